/* Timers: after, tick, never; no thread behind them. */
#include "harness.h"

#include <sched.h>

TEST(after_delivers_its_time_once_then_ends)
{
    csp_time due = csp_now() + 5 * MS;
    csp_end *t = timer_end(CSP_AFTER, due, 0);
    int64_t v;
    CHECK_EQ(recv_int(t, &v, 0), CSP_WOULD_BLOCK);
    CHECK_EQ(recv_int(t, &v, FOREVER), CSP_OK);
    CHECK(csp_now() >= due);
    CHECK(v - due < 1000 && due - v < 1000); /* as seconds in a double: a little is lost */
    CHECK_EQ(recv_int(t, &v, 0), CSP_END);
    CHECK_EQ(recv_int(t, &v, FOREVER), CSP_END);
    csp_end_free(t);
}

TEST(after_can_be_received_late)
{
    csp_time due = csp_now() - 100 * MS;
    csp_end *t = timer_end(CSP_AFTER, due, 0);
    int64_t v;
    CHECK_EQ(recv_int(t, &v, 0), CSP_OK);
    CHECK(v - due < 1000 && due - v < 1000);
    csp_end_free(t);
}

/* Four receivers of one timer; false if the machine was so slow that it fired before all of them waited. */
static bool one_of_four(csp_time delay)
{
    csp_time due = csp_now() + delay;
    csp_end *t = timer_end(CSP_AFTER, due, 0);
    waiting *w[4];
    int ok = 0;
    bool in_time = true;
    for (uint32_t i = 0; i < 4; i++) {
        w[i] = start_recv(t);
        while ((in_time = in_time && csp_now() < due) && info(t->chan).waiting_receivers != i + 1)
            sched_yield();
    }
    for (int i = 0; i < 4; i++) {
        csp_status status = await(w[i], NULL);
        CHECK(status == CSP_OK || status == CSP_END);
        CHECK(!in_time || (status == CSP_OK) == (i == 0)); /* the oldest */
        ok += status == CSP_OK;
    }
    CHECK_EQ(ok, 1);
    csp_end_free(t);
    return in_time;
}

TEST(after_reaches_exactly_one_of_several_waiting)
{
    for (csp_time delay = 10 * MS; !one_of_four(delay); delay *= 3)
        ;
}

TEST(a_due_timer_is_the_oldest_waiting_receivers_not_a_pollers)
{
    csp_end *t = timer_end(CSP_TICK, csp_now() - 1, 3600 * 1000 * MS);
    csp_case c = case_recv(t);
    csp_waiter w; /* enqueued by hand: waits, but has not noticed that the time has come */
    csp_waiter_init(&w, NULL, &c, 1);
    csp_chan_lock(t->chan);
    csp_waitq_push(&t->chan->receivers_waiting, &c);
    csp_chan_unlock(t->chan);
    CHECK_EQ(recv_int(t, NULL, 0), CSP_WOULD_BLOCK);
    CHECK(csp_waiter_done(&w));
    CHECK_EQ(w.status, CSP_OK);
    CHECK_EQ(c.msg.kind, CSP_MSG_FLOAT);
    csp_end_free(t);
}

TEST(tick_delivers_again_and_again_on_its_grid)
{
    csp_time start = csp_now(), period = 3 * MS;
    csp_end *t = timer_end(CSP_TICK, start + period, period);
    int64_t last = start;
    for (int i = 0; i < 4; i++) {
        int64_t v;
        CHECK_EQ(recv_int(t, &v, FOREVER), CSP_OK);
        int64_t off = (v - start + period / 2) % period - period / 2;
        CHECK(off < 1000 && off > -1000);
        CHECK(v > last);
        last = v;
    }
    csp_end_free(t);
}

TEST(tick_skips_what_nobody_took)
{
    csp_time period = 10 * MS, due = csp_now() - 35 * MS;
    csp_end *t = timer_end(CSP_TICK, due, period); /* four are overdue */
    int64_t v;
    CHECK_EQ(recv_int(t, &v, 0), CSP_OK);
    int64_t steps = (v - due + period / 2) / period;
    CHECK(steps >= 3); /* the newest of them */
    int64_t off = v - due - steps * period;
    CHECK(off < 1000 && off > -1000); /* on the grid */
    CHECK(csp_chan_due(t->chan) == due + (steps + 1) * period); /* and so is the next */
    csp_end_free(t);
}

TEST(tick_far_beyond_the_clock_never_comes)
{
    csp_end *t = timer_end(CSP_TICK, csp_now() - 1, CSP_NEVER - 1);
    CHECK_EQ(recv_int(t, NULL, 0), CSP_OK);
    CHECK_EQ(csp_chan_due(t->chan), CSP_NEVER);
    CHECK_EQ(recv_int(t, NULL, MS), CSP_TIMEOUT);
    csp_end_free(t);
}

TEST(never_is_never_ready)
{
    csp_end *t = timer_end(CSP_NEVER_READY, 0, 0);
    CHECK_EQ(recv_int(t, NULL, 0), CSP_WOULD_BLOCK);
    CHECK_EQ(recv_int(t, NULL, 2 * MS), CSP_TIMEOUT);
    CHECK_EQ(csp_chan_due(t->chan), CSP_NEVER);
    csp_end_free(t);
}

TEST(timer_looks_empty_and_counts_what_it_delivered)
{
    csp_end *t = timer_end(CSP_TICK, csp_now() - 1, 3600 * 1000 * MS);
    CHECK_EQ(info(t->chan).buffered, 0);
    CHECK_EQ(recv_int(t, NULL, 0), CSP_OK);
    CHECK_EQ(info(t->chan).counts.sent, 1);
    CHECK_EQ(info(t->chan).counts.received, 1);
    csp_end_free(t);
}

TEST(select_wakes_at_the_earliest_timer)
{
    pair p = pair_new(0);
    csp_end *late = timer_end(CSP_AFTER, csp_now() + 10000 * MS, 0), *soon = timer_end(CSP_AFTER, csp_now() + 5 * MS, 0);
    csp_case cases[3] = {case_recv(late), case_recv(p.in), case_recv(soon)};
    csp_status status;
    CHECK_EQ(select_wait(cases, 3, 5000 * MS, false, &status), 2);
    CHECK_EQ(status, CSP_OK);
    CHECK_EQ(info(late->chan).waiting_receivers, 0);
    csp_end_free(late);
    csp_end_free(soon);
    pair_free(p);
}

TEST(select_due_is_the_earliest_of_its_timers)
{
    csp_time now = csp_now();
    csp_end *a = timer_end(CSP_AFTER, now + 9, 0), *b = timer_end(CSP_TICK, now + 5, 7);
    pair p = pair_new(0);
    csp_case cases[3] = {case_recv(a), case_recv(p.in), case_recv(b)}, *order[3];
    csp_look looks[sizeof order / sizeof *order];
    csp_select sel = {.cases = cases, .ncases = 3, .order = order, .looks = looks, .random = 1};
    csp_select_prepare(&sel);
    CHECK_EQ(csp_select_due(&sel), now + 5);
    cases[2].chan = cases[0].chan = NULL;
    csp_select_prepare(&sel);
    CHECK_EQ(csp_select_due(&sel), CSP_NEVER);
    csp_end_free(a);
    csp_end_free(b);
    pair_free(p);
}

TEST(due_timer_makes_a_poll_ready)
{
    csp_end *t = timer_end(CSP_AFTER, csp_now() - 1, 0);
    pair p = pair_new(0);
    csp_case cases[2] = {case_recv(p.in), case_recv(t)};
    csp_status status;
    CHECK_EQ(select_wait(cases, 2, 0, false, &status), 1);
    CHECK_EQ(status, CSP_OK);
    CHECK_EQ(select_wait(cases, 2, 0, false, &status), 1);
    CHECK_EQ(status, CSP_END);
    csp_end_free(t);
    pair_free(p);
}

typedef struct {
    csp_end *end;
    _Atomic int64_t *taken;
} ticker;

static void take_ticks(void *arg)
{
    ticker *t = arg;
    while (recv_int(t->end, NULL, FOREVER) == CSP_OK)
        atomic_fetch_add(t->taken, 1);
}

TEST(several_receivers_share_the_ticks_and_none_gets_one_twice)
{
    csp_time period = MS, began = csp_now();
    csp_end *t = timer_end(CSP_TICK, began + period, period);
    _Atomic int64_t taken = 0;
    ticker k = {t, &taken};
    task *threads[3];
    for (int i = 0; i < 3; i++)
        threads[i] = spawn(take_ticks, &k);
    while (atomic_load(&taken) < 20)
        sched_yield();
    end_close(t);
    for (int i = 0; i < 3; i++)
        join(threads[i]);
    CHECK(atomic_load(&taken) <= (csp_now() - began) / period);
    CHECK_EQ(info(t->chan).counts.sent, atomic_load(&taken));
    csp_end_free(t);
}

TEST(closing_a_timer_handle_ends_its_wait)
{
    csp_end *t = timer_end(CSP_NEVER_READY, 0, 0);
    waiting *w = start_recv(t);
    wait_parked(t->chan, 0, 1);
    end_close(t);
    CHECK_EQ(await(w, NULL), CSP_CLOSED_HANDLE);
    csp_end_free(t);
}
