/* The clock that a test stops and moves: what it ends, what it leaves alone, and that it goes on from where it stood. */
#include "harness.h"

#include <sched.h>

#define HOUR (3600 * 1000 * MS)

static int64_t next_id = 7000; /* the test runner's thread only */

static csp_interp *interp_new(void)
{
    csp_interp *interp = csp_interp_new(next_id++, false);
    CHECK(interp != NULL);
    return interp;
}

static void advance(csp_time step)
{
    bool no_memory;
    CHECK(csp_clock_advance(step, &no_memory));
}

/* Until so many waits stand where the clock finds them. */
static csp_time wait_listed(uint32_t count)
{
    for (;;) {
        uint32_t n = 0;
        csp_time *times = csp_clock_waits(&n), first = n > 0 ? times[0] : CSP_NEVER;
        csp_raw_free(times);
        if (n == count)
            return first;
        sched_yield();
    }
}

TEST(a_stopped_clock_moves_by_hand_only_and_goes_on_from_there)
{
    bool no_memory;
    CHECK(!csp_clock_advance(1, &no_memory) && !no_memory);
    csp_time before = csp_clock();
    CHECK(csp_clock_stop());
    CHECK(!csp_clock_stop()); /* one at a time */
    csp_time at = csp_clock();
    CHECK(at >= before);
    CHECK_EQ(csp_clock(), at);
    advance(HOUR);
    CHECK_EQ(csp_clock(), at + HOUR);
    CHECK_EQ(csp_deadline_after(1.1), at + HOUR + 1100 * MS);
    CHECK_EQ(csp_clock_shown(at), at);
    csp_clock_resume();
    CHECK(csp_clock() >= at + HOUR);
    csp_time real = csp_now(), shown = csp_clock_shown(csp_clock());
    CHECK(shown >= real && shown <= csp_now()); /* nobody sees that it was moved */
    CHECK(csp_clock_stop());
    advance(CSP_NEVER - 1);
    CHECK_EQ(csp_clock(), CSP_CLOCK_END); /* no further */
    csp_clock_reset();
}

TEST(advance_ends_a_timeout_before_it_returns)
{
    csp_interp *interp = interp_new();
    pair p = pair_with(0, CSP_BLOCK, NULL, interp);
    CHECK(csp_clock_stop());
    csp_case c = case_recv(p.in), d = case_recv(p.in);
    waiting *w = start_in(interp, &c, 1, HOUR), *longer = start_in(interp, &d, 1, 2 * HOUR);
    CHECK_EQ(wait_listed(2), csp_clock() + HOUR);
    advance(HOUR - 1);
    CHECK_EQ(wait_listed(2), csp_clock() + 1);
    advance(1);
    bool timed_out = false, waits = false;
    csp_lock_acquire(&interp->lock);
    for (csp_waiter *each = interp->parked; each != NULL; each = each->next_parked)
        *(each->deadline <= csp_clock() ? &timed_out : &waits) |= csp_waiter_waits(each);
    csp_lock_release(&interp->lock);
    CHECK(!timed_out && waits); /* at once, whatever the sleeper does */
    CHECK_EQ(await(w, NULL), CSP_TIMEOUT);
    CHECK_EQ(send_int(p.out, 5, FOREVER), CSP_OK);
    int64_t v;
    CHECK_EQ(await(longer, &v), CSP_OK);
    CHECK_EQ(v, 5);
    csp_clock_reset();
    pair_free(p);
    csp_interp_decref(interp);
}

TEST(advance_fires_timers_before_timeouts_and_jumps_over_ticks)
{
    csp_interp *interp = interp_new();
    CHECK(csp_clock_stop());
    csp_time began = csp_clock();
    csp_end *tick = timer_end(CSP_TICK, began + HOUR, HOUR), *after = timer_end(CSP_AFTER, began + 5 * HOUR, 0);
    csp_case ticks = case_recv(tick), either = case_recv(after);
    waiting *w = start_in(interp, &ticks, 1, FOREVER), *x = start_in(interp, &either, 1, HOUR);
    wait_listed(3); /* a timer, a timer, and a timeout */
    advance(5 * HOUR + 7);
    CHECK_EQ(info(tick->chan).counts.sent, 1); /* it is the waiter's before it runs */
    CHECK_EQ(csp_chan_due(tick->chan), began + 6 * HOUR);
    int64_t v;
    CHECK_EQ(await(w, &v), CSP_OK);
    CHECK(v - (began + 5 * HOUR) < 100000 && began + 5 * HOUR - v < 100000);
    CHECK_EQ(await(x, NULL), CSP_OK); /* not the timeout */
    csp_clock_reset();
    csp_end_free(tick);
    csp_end_free(after);
    csp_interp_decref(interp);
}

TEST(a_timeout_of_who_stopped_the_clock_is_the_real_one_too)
{
    csp_interp *interp = interp_new();
    pair p = pair_with(0, CSP_BLOCK, NULL, interp);
    CHECK(csp_clock_stop());
    CHECK_EQ(recv_int(p.in, NULL, 2 * MS), CSP_TIMEOUT);
    csp_clock_reset();
    pair_free(p);
    csp_interp_decref(interp);
}

TEST(a_wait_that_began_on_a_stopped_clock_ends_when_it_goes_on)
{
    csp_interp *interp = interp_new();
    pair p = pair_with(0, CSP_BLOCK, NULL, interp);
    CHECK(csp_clock_stop());
    csp_case c = case_recv(p.in);
    waiting *w = start_in(interp, &c, 1, HOUR + 10 * MS);
    wait_listed(1);
    advance(HOUR);
    csp_clock_resume();
    CHECK_EQ(await(w, NULL), CSP_TIMEOUT);
    csp_clock_reset();
    pair_free(p);
    csp_interp_decref(interp);
}

typedef struct {
    csp_interp *interp;
    csp_end *in;
    _Atomic int *timeouts;
} sleeper;

static void time_out_often(void *arg)
{
    sleeper *s = arg;
    for (int i = 0; i < ROUNDS(300); i++) {
        csp_status status = recv_int(s->in, NULL, (1 + i % 3) * 1000 * MS);
        CHECK(status == CSP_TIMEOUT || status == CSP_OK);
        if (status == CSP_TIMEOUT)
            atomic_fetch_add(s->timeouts, 1);
    }
    atomic_fetch_add(s->timeouts, 1 << 20);
}

/* The claim by the clock races with a sender's, and with the sleeper's own look. */
TEST(advance_races_with_senders_and_sleepers_and_loses_nothing)
{
    enum { N = 3 };
    csp_interp *interp = interp_new();
    pair p = pair_with(0, CSP_BLOCK, NULL, interp);
    _Atomic int timeouts = 0;
    sleeper s = {interp, p.in, &timeouts};
    task *threads[N];
    uint64_t seed = test_seed();
    int sent = 0;
    CHECK(csp_clock_stop());
    for (int i = 0; i < N; i++)
        threads[i] = spawn(time_out_often, &s);
    while (atomic_load(&timeouts) >> 20 < N) {
        if (random_to(&seed, 2) == 0)
            advance((1 + random_to(&seed, 3)) * 1000 * MS);
        else
            sent += send_int(p.out, 1, 0) == CSP_OK;
    }
    for (int i = 0; i < N; i++)
        join(threads[i]);
    CHECK_EQ((atomic_load(&timeouts) & ((1 << 20) - 1)) + sent, N * ROUNDS(300));
    csp_clock_reset();
    pair_free(p);
    csp_interp_decref(interp);
}
