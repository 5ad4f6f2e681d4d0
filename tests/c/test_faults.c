/* Fail the n-th allocation of an operation, for n = 1, 2, 3 ... until it succeeds: each failure is reported, nothing moved,
 * nothing is lost and nothing leaks (the census of each test sees to the last). */
#include "harness.h"

/* Run `attempt` with the n-th allocation failing, for growing n, until it says that it succeeded; how often it failed. */
static int fail_each(bool (*attempt)(void *), void *argument)
{
    for (int n = 1;; n++) {
        csp_mem_fail_after(n);
        bool succeeded = attempt(argument);
        csp_mem_fail_after(0);
        if (succeeded)
            return n - 1;
        CHECK(n < 1000);
    }
}

static bool make_channel(void *arg)
{
    csp_chan **p_chan = arg;
    return (*p_chan = csp_chan_new(3, CSP_BLOCK, false, "named")) != NULL;
}

TEST(making_a_channel_fails_cleanly)
{
    csp_chan *chan;
    CHECK_EQ(fail_each(make_channel, &chan), 2); /* the record, the name */
    csp_chan_decref(chan);
}

static bool make_timer(void *arg)
{
    csp_chan **p_chan = arg;
    return (*p_chan = csp_timer_new(CSP_TICK, csp_now(), MS)) != NULL;
}

TEST(making_a_timer_fails_cleanly)
{
    csp_chan *chan;
    CHECK_EQ(fail_each(make_timer, &chan), 1);
    csp_chan_decref(chan);
}

typedef struct {
    pair p;
    csp_end *end;
    csp_msg msg;
    int64_t value; /* of msg */
    csp_status status;
} attempt;

static bool make_end(void *arg)
{
    attempt *a = arg;
    a->end = csp_end_new(a->p.chan, CSP_SEND, NULL);
    if (a->end == NULL)
        CHECK_EQ(info(a->p.chan).senders, 1); /* a handle that was not made does not count */
    return a->end != NULL;
}

TEST(making_a_handle_fails_cleanly)
{
    attempt a = {.p = pair_new(0)};
    CHECK_EQ(fail_each(make_end, &a), 1);
    csp_end_free(a.end);
    pair_free(a.p);
}

static bool make_interp(void *arg) { return (*(csp_interp **)arg = csp_interp_new(77, false)) != NULL; }
static bool make_loop(void *arg) { return (*(csp_loop **)arg = csp_loop_new()) != NULL; }

TEST(making_a_record_or_a_loop_fails_cleanly)
{
    csp_interp *interp;
    csp_loop *loop;
    CHECK_EQ(fail_each(make_interp, &interp), 1);
    CHECK_EQ(fail_each(make_loop, &loop), 1);
    csp_interp_decref(interp);
    csp_loop_free(loop);
}

static bool send_once(void *arg)
{
    attempt *a = arg;
    a->status = send_msg(a->p.out, &a->msg, 0);
    if (a->status != CSP_OK) {
        CHECK_EQ(a->status, CSP_NO_MEMORY);
        CHECK_EQ(msg_int(&a->msg), a->value); /* unsent: still the sender's */
    }
    return a->status == CSP_OK;
}

TEST(a_send_without_memory_moves_nothing)
{
    attempt a = {.p = pair_new(CSP_UNBOUNDED)};
    int failures = 0;
    for (int i = 0; i < 200; i++) {
        a.msg = blob_msg(a.value = i);
        failures += fail_each(send_once, &a);
        CHECK_EQ(info(a.p.chan).buffered, i + 1);
        CHECK_EQ(info(a.p.chan).counts.sent, i + 1);
    }
    CHECK_EQ(failures, 4); /* one a segment */
    pair_free(a.p);
}

TEST(a_send_that_drops_the_oldest_without_memory_drops_nothing)
{
    attempt a = {.p = pair_with(62, CSP_DROP_OLDEST, NULL, NULL)};
    int failures = 0;
    for (int i = 0; i < 70; i++) {
        uint64_t dropped = info(a.p.chan).counts.dropped;
        a.msg = blob_msg(a.value = i);
        failures += fail_each(send_once, &a);
        CHECK_EQ(info(a.p.chan).counts.dropped, dropped + (i >= 62));
        CHECK_EQ(info(a.p.chan).counts.sent, i + 1);
        CHECK_EQ(info(a.p.chan).buffered, i < 62 ? i + 1 : 62);
    }
    CHECK_EQ(failures, 2); /* the first segment, and the second when the first is full */
    for (int64_t i = 70 - 62, v; i < 70; i++) { /* and the order is what it was */
        CHECK_EQ(recv_int(a.p.in, &v, 0), CSP_OK);
        CHECK_EQ(v, i);
    }
    pair_free(a.p);
}

TEST(admitting_a_sender_without_memory_tells_that_sender)
{
    /* A full channel whose last segment is full: the admitted sender needs a new one. */
    pair p = pair_new(62);
    for (int i = 0; i < 62; i++)
        CHECK_EQ(send_int(p.out, i, 0), CSP_OK);
    csp_case c = case_send(p.out, 0);
    c.msg = blob_msg(99);
    waiting *w = start_in(NULL, &c, 1, FOREVER);
    wait_parked(p.chan, 1, 0);
    csp_mem_fail_after(1);
    int64_t v;
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK); /* the receiver is served all the same */
    CHECK_EQ(v, 0);
    csp_mem_fail_after(0);
    join(w->task);
    CHECK_EQ(w->status, CSP_NO_MEMORY);
    CHECK_EQ(msg_int(&w->cases[0].msg), 99);
    csp_msg_clear(&w->cases[0].msg);
    free(w);
    for (int i = 1; i < 62; i++) {
        CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
        CHECK_EQ(v, i);
    }
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_WOULD_BLOCK);
    pair_free(p);
}

static bool send_two(void *arg)
{
    attempt *a = arg;
    csp_msg msgs[100];
    csp_effects fx;
    csp_case c = case_send(a->p.out, 0);
    size_t done;
    for (int i = 0; i < 100; i++)
        msgs[i] = (csp_msg){.kind = CSP_MSG_INT, .as.integer = i};
    csp_effects_init(&fx);
    uint64_t before = info(a->p.chan).counts.sent;
    csp_status status = csp_chan_try_send_many(&c, msgs, 100, &done, &fx);
    csp_effects_run(&fx);
    CHECK_EQ(info(a->p.chan).counts.sent, before + done);
    if (status != CSP_OK) {
        CHECK_EQ(status, CSP_NO_MEMORY);
        CHECK_EQ(msgs[done].as.integer, done); /* the first that did not go */
        CHECK_EQ(msgs[done].kind, CSP_MSG_INT);
    }
    return status == CSP_OK;
}

TEST(a_batch_without_memory_says_how_far_it_came)
{
    attempt a = {.p = pair_new(CSP_UNBOUNDED)};
    CHECK(fail_each(send_two, &a) >= 2);
    pair_free(a.p);
}

TEST(a_lease_given_back_without_memory_is_counted_as_discarded)
{
    pair p = pair_new(70);
    csp_msg m;
    for (int i = 0; i < 62; i++)
        CHECK_EQ(send_int(p.out, i, 0), CSP_OK);
    CHECK_EQ(recv_msg(p.in, &m, 0), CSP_OK);
    csp_msg second;
    CHECK_EQ(recv_msg(p.in, &second, 0), CSP_OK);
    csp_effects fx;
    csp_effects_init(&fx);
    csp_chan_give_back(p.chan, &second, &fx);
    csp_chan_give_back(p.chan, &m, &fx);
    csp_mem_fail_after(1);
    csp_msg extra = {.kind = CSP_MSG_INT};
    csp_chan_give_back(p.chan, &extra, &fx); /* before the first cell: needs a segment */
    csp_mem_fail_after(0);
    csp_effects_run(&fx);
    CHECK_EQ(info(p.chan).counts.discarded, 1);
    CHECK_EQ(info(p.chan).buffered, 62);
    pair_free(p);
}

static bool grow_blob(void *arg)
{
    csp_blob **p_blob = arg;
    csp_blob *larger = csp_blob_grow(*p_blob, (*p_blob)->capacity + 1);
    if (larger == NULL) {
        CHECK_EQ((*p_blob)->data[0], 3); /* the old one is still valid */
        return false;
    }
    *p_blob = larger;
    return true;
}

TEST(growing_a_blob_without_memory_keeps_the_old_one)
{
    csp_blob *blob = csp_blob_new(10);
    blob->data[0] = 3;
    CHECK_EQ(fail_each(grow_blob, &blob), 1);
    csp_blob_free(blob);
}

static bool add_part(void *arg)
{
    attempt *a = arg;
    uint32_t index;
    return csp_blob_add_part(a->msg.as.blob, &csp_end_part, a->end, 0, &index);
}

TEST(adding_a_part_without_memory_leaves_it_to_the_caller)
{
    attempt a = {.p = pair_new(0), .msg = blob_msg(1)};
    a.end = csp_end_new(a.p.chan, CSP_SEND, NULL);
    CHECK_EQ(fail_each(add_part, &a), 1);
    csp_msg_clear(&a.msg);
    CHECK_EQ(info(a.p.chan).senders, 1);
    pair_free(a.p);
}

TEST(a_death_without_memory_still_drops_the_handles)
{
    csp_interp *i = csp_interp_new(78, false);
    pair p = pair_with(0, CSP_BLOCK, i, NULL);
    csp_msg cause = blob_msg(1);
    csp_mem_fail_after(1); /* the copy of the cause for the channel */
    csp_interp_died(i, &cause, false);
    csp_mem_fail_after(0);
    CHECK_EQ(recv_int(p.in, NULL, FOREVER), CSP_END);
    CHECK_EQ(p.chan->cause.kind, CSP_MSG_EMPTY);
    csp_end_free(p.out);
    csp_end_free(p.in);
    csp_interp_decref(i);
}
