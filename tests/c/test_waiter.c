/* Fire-once, cancel, and the FIFO of cases. */
#include "harness.h"

#include <sched.h>

TEST(waiter_is_claimed_once)
{
    csp_waiter w;
    csp_waiter_init(&w, NULL, NULL, 0);
    CHECK(csp_waiter_waits(&w));
    CHECK(csp_waiter_claim(&w));
    CHECK(!csp_waiter_claim(&w));
    CHECK(!csp_waiter_waits(&w));
    csp_waiter_finish(&w);
    CHECK(csp_waiter_done(&w));
    CHECK(!csp_waiter_claim(&w));
}

TEST(cancel_before_a_claim_wins)
{
    csp_waiter w;
    csp_waiter_init(&w, NULL, NULL, 0);
    CHECK(csp_waiter_cancel(&w));
    CHECK(!csp_waiter_claim(&w));
}

TEST(park_of_a_finished_waiter_returns_at_once)
{
    csp_waiter w;
    csp_waiter_init(&w, NULL, NULL, 0);
    CHECK(csp_waiter_claim(&w));
    w.status = CSP_END;
    csp_waiter_finish(&w);
    CHECK_EQ(csp_waiter_park(&w, CSP_NEVER, NULL), CSP_OK);
    CHECK_EQ(w.status, CSP_END);
}

TEST(park_ends_at_the_deadline_and_may_go_on)
{
    csp_waiter w;
    csp_waiter_init(&w, NULL, NULL, 0);
    for (int i = 0; i < 2; i++) {
        csp_time deadline = csp_now() + 5 * MS;
        csp_status status;
        while ((status = csp_waiter_park(&w, deadline, NULL)) == CSP_INTERRUPTED)
            ;
        CHECK_EQ(status, CSP_TIMEOUT);
        CHECK(csp_now() >= deadline);
    }
    CHECK(csp_waiter_claim(&w)); /* also with the mark of having slept */
    csp_waiter_finish(&w);
    CHECK_EQ(csp_waiter_park(&w, CSP_NEVER, NULL), CSP_OK);
}

/* Claimers race with the sleeper's own timeout: exactly one of them wins, and the sleeper sees the winner's outcome. */

typedef struct {
    csp_waiter *_Atomic waiter;
    _Atomic int won, lost;
    _Atomic bool stop;
    int status;
} race;

static void claim_in_turn(void *arg)
{
    race *r = arg;
    while (!atomic_load(&r->stop)) {
        csp_waiter *w = atomic_exchange(&r->waiter, NULL);
        if (w == NULL)
            continue;
        if (csp_waiter_claim(w)) {
            w->status = r->status;
            csp_waiter_finish(w);
            atomic_fetch_add(&r->won, 1);
        }
        else {
            atomic_fetch_add(&r->lost, 1);
        }
    }
}

TEST(claim_and_timeout_never_both_win)
{
    race r = {.status = CSP_BROKEN};
    task *t = spawn(claim_in_turn, &r);
    uint64_t random = test_seed();
    int timeouts = 0, fired = 0, rounds = ROUNDS(3000);
    csp_waiter *w = malloc(sizeof *w); /* kept until the racer has let go of it: a channel's lock sees to that otherwise */
    for (int i = 0; i < rounds; i++) {
        csp_waiter_init(w, NULL, NULL, 0);
        csp_time deadline = csp_now() + random_to(&random, 4000);
        atomic_store(&r.waiter, w);
        csp_status status;
        while ((status = csp_waiter_park(w, deadline, NULL)) == CSP_INTERRUPTED)
            ;
        if (status == CSP_TIMEOUT && csp_waiter_cancel(w)) {
            timeouts++;
        }
        else {
            fired++;
            CHECK_EQ(w->status, CSP_BROKEN);
        }
        if (atomic_exchange(&r.waiter, NULL) == NULL)
            while (atomic_load(&r.won) + atomic_load(&r.lost) < i + 1)
                sched_yield();
        else
            atomic_fetch_add(&r.lost, 1);
    }
    atomic_store(&r.stop, true);
    join(t);
    CHECK_EQ(fired, atomic_load(&r.won));
    CHECK_EQ(timeouts + fired, rounds);
    free(w);
}

typedef struct {
    csp_waiter w;
    _Atomic bool claimed;
} slow_claim;

static void claim_slowly(void *arg)
{
    slow_claim *s = arg;
    CHECK(csp_waiter_claim(&s->w));
    atomic_store(&s->claimed, true);
    csp_time until = csp_now() + 20 * MS; /* as if preempted between claim and finish */
    while (csp_now() < until)
        sched_yield();
    s->w.status = CSP_OK;
    csp_waiter_finish(&s->w);
}

TEST(cancel_after_a_claim_waits_for_its_outcome)
{
    slow_claim s = {.claimed = false};
    csp_waiter_init(&s.w, NULL, NULL, 0);
    task *t = spawn(claim_slowly, &s);
    while (!atomic_load(&s.claimed))
        sched_yield();
    CHECK(!csp_waiter_cancel(&s.w));
    CHECK(csp_waiter_done(&s.w));
    CHECK_EQ(s.w.status, CSP_OK);
    join(t);
}

/* --- the FIFO --- */

TEST(waitq_is_first_in_first_out)
{
    csp_waitq q = {NULL, NULL};
    csp_case c[3] = {{.index = 0}, {.index = 1}, {.index = 2}};
    for (int i = 0; i < 3; i++)
        csp_waitq_push(&q, &c[i]);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQ(q.head->index, i);
        csp_waitq_remove(&q, q.head);
    }
    CHECK(q.head == NULL && q.tail == NULL);
}

TEST(waitq_removal_twice_is_harmless) /* Go issue 2075 */
{
    csp_waitq q = {NULL, NULL};
    csp_case c[3] = {{.index = 0}, {.index = 1}, {.index = 2}};
    csp_waitq_push(&q, &c[0]);
    csp_waitq_push(&q, &c[1]);
    csp_waitq_remove(&q, &c[1]); /* the last */
    csp_waitq_remove(&q, &c[1]);
    csp_waitq_push(&q, &c[2]);
    CHECK(q.head == &c[0] && q.tail == &c[2] && c[0].next == &c[2]);
    csp_waitq_remove(&q, &c[0]); /* the first */
    csp_waitq_remove(&q, &c[0]);
    CHECK(q.head == &c[2] && q.tail == &c[2]);
    csp_waitq_remove(&q, &c[2]);
    CHECK(q.head == NULL && q.tail == NULL);
}

TEST(waitq_agrees_with_a_plain_list_under_random_use)
{
    enum { N = 40 };
    csp_case c[N];
    int order[N], n = 0;
    csp_waitq q = {NULL, NULL};
    uint64_t random = test_seed();
    memset(c, 0, sizeof c);
    for (uint32_t i = 0; i < N; i++)
        c[i].index = i;
    for (int round = 0; round < 20000; round++) {
        uint32_t k = random_to(&random, N);
        if (c[k].queued) {
            csp_waitq_remove(&q, &c[k]);
            int at = 0;
            while (order[at] != (int)k)
                at++;
            memmove(&order[at], &order[at + 1], (size_t)(--n - at) * sizeof *order);
        }
        else {
            csp_waitq_push(&q, &c[k]);
            order[n++] = (int)k;
        }
        csp_case *p = q.head;
        for (int i = 0; i < n; i++, p = p->next) {
            CHECK_EQ(p->index, order[i]);
            CHECK(p->prev == (i > 0 ? &c[order[i - 1]] : NULL));
        }
        CHECK(p == NULL);
    }
}

/* --- effects --- */

TEST(effects_keep_whole_buffers_of_several_channels)
{
    csp_effects fx;
    csp_effects_init(&fx);
    for (int i = 0; i < 3; i++) {
        csp_queue q = {NULL, NULL, NULL, 0, 0, 0};
        for (int k = 0; k < 100; k++) {
            csp_msg msg = blob_msg(k);
            CHECK(csp_queue_push(&q, &msg));
        }
        csp_effects_add_values(&fx, csp_queue_detach(&q));
        csp_queue_destroy(&q);
    }
    csp_effects_run(&fx); /* the census sees that all 300 were freed */
}
