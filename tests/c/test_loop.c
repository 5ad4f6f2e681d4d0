/* An event loop as the target of a wake-up: one descriptor for any number of waits. */
#include "harness.h"

#include <poll.h>
#include <sched.h>

static bool readable(csp_loop *loop, int ms)
{
    struct pollfd fd = {.fd = loop->read_fd, .events = POLLIN};
    return poll(&fd, 1, ms) == 1;
}

static csp_status start_through(csp_loop *loop, csp_waiter *w, csp_case *c)
{
    csp_effects fx;
    csp_effects_init(&fx);
    csp_waiter_init(w, NULL, c, 1);
    w->loop = loop;
    csp_status status = csp_chan_start(c, &fx);
    csp_effects_run(&fx);
    return status;
}

TEST(loop_descriptor_is_readable_after_a_wait_fired_and_not_before)
{
    csp_loop *loop = csp_loop_new();
    pair p = pair_new(0);
    csp_case c = case_recv(p.in);
    csp_waiter w;
    CHECK(csp_loop_drain(loop) == NULL);
    CHECK_EQ(start_through(loop, &w, &c), CSP_PENDING);
    CHECK(!readable(loop, 0));
    CHECK_EQ(send_int(p.out, 5, 0), CSP_OK);
    CHECK(readable(loop, 1000));
    CHECK(csp_loop_drain(loop) == &w);
    CHECK(w.next_wake == NULL && csp_waiter_done(&w) && w.status == CSP_OK && w.fired == &c);
    CHECK_EQ(msg_int(&c.msg), 5);
    CHECK(!readable(loop, 0));
    CHECK(csp_loop_drain(loop) == NULL);
    csp_loop_free(loop);
    pair_free(p);
}

TEST(loop_drains_oldest_first_and_all_at_once)
{
    enum { N = 50 };
    csp_loop *loop = csp_loop_new();
    pair p = pair_new(0);
    csp_case c[N];
    csp_waiter w[N];
    for (int i = 0; i < N; i++) {
        c[i] = case_recv(p.in);
        CHECK_EQ(start_through(loop, &w[i], &c[i]), CSP_PENDING);
    }
    for (int i = 0; i < N; i++)
        CHECK_EQ(send_int(p.out, i, 0), CSP_OK);
    csp_waiter *next = csp_loop_drain(loop);
    for (int i = 0; i < N; i++, next = next->next_wake) {
        CHECK(next == &w[i]);
        CHECK_EQ(msg_int(&c[i].msg), i);
    }
    CHECK(next == NULL);
    csp_loop_free(loop);
    pair_free(p);
}

TEST(loop_waits_can_be_cancelled)
{
    csp_loop *loop = csp_loop_new();
    pair p = pair_new(0);
    csp_case c = case_recv(p.in);
    csp_waiter w;
    CHECK_EQ(start_through(loop, &w, &c), CSP_PENDING);
    CHECK(csp_waiter_cancel(&w));
    csp_chan_withdraw(&c);
    CHECK_EQ(send_int(p.out, 1, 0), CSP_WOULD_BLOCK);
    CHECK(csp_loop_drain(loop) == NULL);
    CHECK_EQ(start_through(loop, &w, &c), CSP_PENDING);
    CHECK_EQ(send_int(p.out, 1, 0), CSP_OK);
    CHECK(!csp_waiter_cancel(&w)); /* too late: it comes with the next drain */
    CHECK(csp_loop_drain(loop) == &w);
    csp_loop_free(loop);
    pair_free(p);
}

typedef struct {
    pair p;
    int64_t n;
} sender;

static void send_all(void *arg)
{
    sender *s = arg;
    for (int64_t i = 0; i < s->n; i++)
        CHECK_EQ(send_int(s->p.out, i, FOREVER), CSP_OK);
}

TEST(loop_misses_no_wake_up) /* the descriptor alone tells when to drain */
{
    sender s[2] = {{pair_new(0), ROUNDS(20000)}, {pair_new(1), ROUNDS(20000)}};
    csp_loop *loop = csp_loop_new();
    csp_case c[2];
    csp_waiter w[2];
    int64_t got[2] = {0};
    task *t[2];
    for (int i = 0; i < 2; i++)
        t[i] = spawn(send_all, &s[i]);
    for (int i = 0; i < 2; i++)
        for (c[i] = case_recv(s[i].p.in); start_through(loop, &w[i], &c[i]) == CSP_OK; c[i] = case_recv(s[i].p.in))
            got[i]++;
    while (got[0] < s[0].n || got[1] < s[1].n) {
        CHECK(readable(loop, 20000));
        csp_waiter *next;
        for (csp_waiter *fired = csp_loop_drain(loop); fired != NULL; fired = next) {
            next = fired->next_wake;
            int i = fired == &w[0] ? 0 : 1;
            CHECK_EQ(msg_int(&c[i].msg), got[i]);
            got[i]++;
            for (c[i] = case_recv(s[i].p.in);
                 got[i] < s[i].n && start_through(loop, &w[i], &c[i]) == CSP_OK; c[i] = case_recv(s[i].p.in)) {
                CHECK_EQ(msg_int(&c[i].msg), got[i]);
                got[i]++;
            }
        }
    }
    for (int i = 0; i < 2; i++) {
        join(t[i]);
        pair_free(s[i].p);
    }
    csp_loop_free(loop);
}

static void send_one(void *arg) { CHECK_EQ(send_int(*(csp_end **)arg, 1, FOREVER), CSP_OK); }

TEST(loop_may_be_freed_once_its_last_wait_was_drained)
{
    for (int i = 0, n = ROUNDS(2000); i < n; i++) { /* the poster may still be about to write the descriptor */
        csp_loop *loop = csp_loop_new();
        pair p = pair_new(0);
        csp_case c = case_recv(p.in);
        csp_waiter w;
        CHECK_EQ(start_through(loop, &w, &c), CSP_PENDING);
        task *t = spawn(send_one, &p.out);
        while (csp_loop_drain(loop) == NULL)
            sched_yield();
        csp_loop_free(loop);
        join(t);
        pair_free(p);
    }
}
