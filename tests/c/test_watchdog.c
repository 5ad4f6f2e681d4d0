/* Watches: who is struck and when, who is not, the one thread and its end. */
#include "harness.h"

#include <sched.h>

#include "loop.h"
#include "watchdog.h"

static _Atomic int64_t next_id = 5000; /* relaxed: only uniqueness counts */

/* A watch that counts what happens to it. */
typedef struct {
    csp_watch watch;
    _Atomic int strikes, given_up; /* relaxed: counts, looked at again and again */
    bool goes_on;
    csp_time struck_at;            /* before `strikes`, which is release / acquire for it */
} victim;

static bool strike(void *self)
{
    victim *v = self;
    v->struck_at = csp_now();
    atomic_fetch_add_explicit(&v->strikes, 1, memory_order_release);
    return v->goes_on;
}

static void give_up(void *self)
{
    victim *v = self;
    atomic_fetch_add_explicit(&v->given_up, 1, memory_order_release);
}

static int strikes(victim *v) { return atomic_load_explicit(&v->strikes, memory_order_acquire); }
static int given_up(victim *v) { return atomic_load_explicit(&v->given_up, memory_order_acquire); }

static void victim_init(victim *v, csp_time limit, csp_time grace)
{
    memset(v, 0, sizeof *v);
    v->goes_on = true;
    v->watch = (csp_watch){.limit = limit, .grace = grace, .self = v, .strike = strike, .give_up = give_up};
    v->watch.interp = csp_interp_new(atomic_fetch_add_explicit(&next_id, 1, memory_order_relaxed), false);
    CHECK(v->watch.interp != NULL);
    CHECK(csp_watch_begin(&v->watch));
}

static void victim_end(victim *v)
{
    csp_watch_end(&v->watch);
    csp_interp_decref(v->watch.interp);
}

static void pause_for(csp_time nanoseconds)
{
    for (csp_time until = csp_now() + nanoseconds; csp_now() < until;)
        sched_yield();
}

static void wait_no_service(void)
{
    bool service = true;
    while (service)
        CHECK_EQ(csp_watches(&service), 0);
}

TEST(watch_that_shows_no_sign_of_life_is_struck_once_then_given_up)
{
    victim v;
    csp_time begin = csp_now();
    victim_init(&v, 20 * MS, 20 * MS);
    while (strikes(&v) == 0)
        sched_yield();
    CHECK(v.struck_at - begin >= 20 * MS);
    while (given_up(&v) == 0)
        sched_yield();
    CHECK(csp_now() - v.struck_at >= 20 * MS);
    wait_no_service();
    victim_end(&v);
    CHECK_EQ(strikes(&v), 1);
    CHECK_EQ(given_up(&v), 1);
}

TEST(watch_that_is_over_by_its_strike_is_not_given_up)
{
    victim v;
    victim_init(&v, 5 * MS, 5 * MS);
    csp_watch_cancel(&v.watch);
    v.goes_on = false;
    CHECK(csp_watch_begin(&v.watch));
    while (strikes(&v) == 0)
        sched_yield();
    pause_for(20 * MS);
    CHECK_EQ(given_up(&v), 0);
    wait_no_service();
    victim_end(&v);
}

TEST(watch_with_signs_of_life_is_not_struck)
{
    victim v;
    victim_init(&v, 200 * MS, MS);
    for (int i = 0; i < 30; i++) {
        csp_interp_progressed(v.watch.interp);
        pause_for(20 * MS);
    }
    CHECK_EQ(strikes(&v), 0);
    victim_end(&v);
}

TEST(watch_of_who_waits_is_not_struck)
{
    victim v;
    victim_init(&v, 20 * MS, MS);
    pair p = pair_with(0, CSP_BLOCK, NULL, v.watch.interp);
    waiting *w = start_recv(p.in);
    for (bool asleep = false; !asleep; sched_yield()) {
        csp_interp_progressed(v.watch.interp); /* until it waits */
        asleep = csp_interp_waits_now(v.watch.interp);
    }
    pause_for(100 * MS);
    CHECK_EQ(strikes(&v), 0);
    CHECK_EQ(send_int(p.out, 1, FOREVER), CSP_OK);
    CHECK_EQ(await(w, NULL), CSP_OK);
    while (strikes(&v) == 0) /* the wait was its last sign of life */
        sched_yield();
    csp_watch_end(&v.watch);
    pair_free(p);
    victim_end(&v);
}

/* A loop that turns whenever it is asked to, until told to stop. */
typedef struct {
    csp_loop *loop;
    csp_interp *interp;
    _Atomic bool hangs; /* relaxed: looked at again and again */
} turning;

static void turn(void *argument)
{
    turning *t = argument;
    while (!atomic_load_explicit(&t->hangs, memory_order_relaxed)) {
        csp_loop_drain(t->loop);
        csp_interp_heart_beats(t->interp);
        pause_for(MS / 4);
    }
}

TEST(watch_of_an_event_loop_asks_it_to_turn)
{
    victim v;
    turning t = {.loop = csp_loop_new()};
    CHECK(t.loop != NULL);
    victim_init(&v, 150 * MS, MS);
    t.interp = v.watch.interp;
    csp_interp_set_heart(t.interp, t.loop);
    task *loop = spawn(turn, &t);
    pause_for(400 * MS);
    CHECK_EQ(strikes(&v), 0);
    atomic_store_explicit(&t.hangs, true, memory_order_relaxed);
    csp_time hung = csp_now();
    join(loop);
    while (strikes(&v) == 0)
        sched_yield();
    CHECK(v.struck_at - hung >= 75 * MS); /* at least the limit after it was asked */
    csp_interp_unset_heart(t.interp, t.loop);
    CHECK(!csp_interp_ask_heart(t.interp));
    csp_loop_free(t.loop);
    victim_end(&v);
}

TEST(watch_that_ends_in_time_is_not_struck)
{
    victim v;
    victim_init(&v, 10000 * MS, MS);
    victim_end(&v);
    csp_watch_end(&v.watch); /* once more is fine */
    CHECK_EQ(strikes(&v), 0);
    wait_no_service();
}

TEST(watch_that_comes_later_and_is_due_earlier_is_not_overlooked)
{
    victim patient, hasty;
    victim_init(&patient, 10000 * MS, MS);
    pause_for(5 * MS);
    victim_init(&hasty, 10 * MS, MS);
    bool service;
    CHECK(csp_watches(&service) >= 1);
    CHECK(service);
    while (strikes(&hasty) == 0)
        sched_yield();
    CHECK_EQ(strikes(&patient), 0);
    victim_end(&hasty);
    victim_end(&patient);
    wait_no_service();
}

TEST(watch_without_a_limit_within_the_clock_is_never_due)
{
    victim v;
    victim_init(&v, CSP_NEVER, MS);
    pause_for(5 * MS);
    victim_end(&v);
    CHECK_EQ(strikes(&v), 0);
}

/* After the end the memory is the caller's, so a strike that is going on is waited for: ASAN and TSAN would see it. */
static void begin_and_end(void *argument)
{
    uint64_t state = test_seed() ^ (uint64_t)(uintptr_t)argument;
    for (int i = 0; i < ROUNDS(2000); i++) {
        victim *v = malloc(sizeof *v);
        CHECK(v != NULL);
        victim_init(v, random_to(&state, 50) * 1000, random_to(&state, 50) * 1000);
        pause_for(random_to(&state, 100) * 1000);
        victim_end(v);
        CHECK(strikes(v) <= 1 && given_up(v) <= strikes(v));
        memset(v, 0xff, sizeof *v);
        free(v);
    }
}

TEST(watches_begin_and_end_while_others_are_struck)
{
    task *tasks[3];
    for (size_t i = 0; i < 3; i++)
        tasks[i] = spawn(begin_and_end, (void *)(i + 1));
    for (size_t i = 0; i < 3; i++)
        join(tasks[i]);
    wait_no_service();
}
