/* A buffer bounded by bytes: what fits, who gets the room, and in which order. */
#include "harness.h"

static pair bounded(size_t capacity, size_t max_bytes, csp_overflow overflow)
{
    pair p;
    p.chan = csp_chan_new_bounded(capacity, max_bytes, overflow, NULL);
    CHECK(p.chan != NULL);
    p.out = csp_end_new(p.chan, CSP_SEND, NULL);
    p.in = csp_end_new(p.chan, CSP_RECV, NULL);
    CHECK(p.out != NULL && p.in != NULL);
    csp_chan_decref(p.chan);
    return p;
}

/* A value that counts for so many bytes, and says so when it is received. */
static csp_msg weight(size_t bytes)
{
    csp_msg msg = blob_msg((int64_t)bytes);
    msg.as.blob->bytes = bytes;
    return msg;
}

static csp_status send_weight(csp_end *end, size_t bytes, csp_time timeout)
{
    csp_msg msg = weight(bytes);
    csp_status status = send_msg(end, &msg, timeout);
    csp_msg_clear(&msg);
    return status;
}

static csp_case case_weight(csp_end *end, size_t bytes)
{
    csp_case c = case_send(end, 0);
    c.msg = weight(bytes);
    return c;
}

static waiting *start_weight(csp_end *end, size_t bytes, csp_time timeout)
{
    csp_case c = case_weight(end, bytes);
    return start_in(NULL, &c, 1, timeout);
}

/* As await, for sends whose values may not have gone. */
static csp_status await_sends(waiting *w)
{
    join(w->task);
    csp_status status = w->status;
    for (uint32_t i = 0; i < w->n; i++)
        csp_msg_clear(&w->cases[i].msg);
    free(w);
    return status;
}

static int64_t take(csp_end *end)
{
    int64_t value;
    CHECK_EQ(recv_int(end, &value, 0), CSP_OK);
    return value;
}

TEST(values_count_for_their_content)
{
    csp_msg none = {.kind = CSP_MSG_NONE}, number = {.kind = CSP_MSG_INT}, empty = {.kind = CSP_MSG_SHORT, .length = 2};
    csp_msg text = {.kind = CSP_MSG_SHORT, .length = 12};
    CHECK_EQ(csp_msg_bytes(&none), 1);
    CHECK_EQ(csp_msg_bytes(&number), 8);
    CHECK_EQ(csp_msg_bytes(&empty), 1);
    CHECK_EQ(csp_msg_bytes(&text), 10);
    csp_msg inner = {.kind = CSP_MSG_BLOB, .as.blob = csp_blob_new(0)}, outer = {.kind = CSP_MSG_BLOB, .as.blob = csp_blob_new(100)}, copy;
    uint32_t index;
    CHECK(csp_blob_add_part(inner.as.blob, &csp_block_part, csp_block_new(1000), 0, &index));
    csp_blob_weigh(inner.as.blob, 0);
    CHECK_EQ(csp_msg_bytes(&inner), 1000);
    csp_msg *boxed = csp_raw_calloc(1, sizeof *boxed);
    csp_msg_move(boxed, &inner);
    outer.as.blob->length = 90;
    CHECK(csp_blob_add_part(outer.as.blob, &csp_msg_part, boxed, 0, &index));
    csp_blob_weigh(outer.as.blob, 6);
    CHECK_EQ(csp_msg_bytes(&outer), 1084);
    CHECK(csp_msg_clone(&copy, &outer));
    CHECK_EQ(csp_msg_bytes(&copy), 1084);
    csp_msg_clear(&outer);
    csp_msg_clear(&copy);
}

TEST(bytes_fill_a_buffer)
{
    pair p = bounded(CSP_UNBOUNDED, 100, CSP_BLOCK);
    CHECK_EQ(send_weight(p.out, 60, 0), CSP_OK);
    CHECK_EQ(send_weight(p.out, 41, 0), CSP_WOULD_BLOCK);
    CHECK_EQ(send_weight(p.out, 40, 0), CSP_OK);
    CHECK_EQ(info(p.chan).buffered_bytes, 100);
    CHECK_EQ(send_weight(p.out, 1, 0), CSP_WOULD_BLOCK);
    CHECK_EQ(send_weight(p.out, 1, MS), CSP_TIMEOUT);
    CHECK_EQ(take(p.in), 60);
    CHECK_EQ(info(p.chan).buffered_bytes, 40);
    CHECK_EQ(send_weight(p.out, 60, 0), CSP_OK);
    pair_free(p);
}

TEST(both_bounds_hold)
{
    pair p = bounded(2, 100, CSP_BLOCK);
    CHECK_EQ(send_weight(p.out, 1, 0), CSP_OK);
    CHECK_EQ(send_weight(p.out, 1, 0), CSP_OK);
    CHECK_EQ(send_weight(p.out, 1, 0), CSP_WOULD_BLOCK);
    pair_free(p);
}

TEST(a_value_beyond_the_bound_goes_into_an_empty_buffer_only)
{
    pair p = bounded(CSP_UNBOUNDED, 100, CSP_BLOCK);
    CHECK_EQ(send_weight(p.out, 1, 0), CSP_OK);
    CHECK_EQ(send_weight(p.out, 1000, 0), CSP_WOULD_BLOCK);
    waiting *big = start_weight(p.out, 1000, FOREVER);
    wait_parked(p.chan, 1, 0);
    CHECK_EQ(take(p.in), 1);
    CHECK_EQ(await_sends(big), CSP_OK);
    CHECK_EQ(info(p.chan).buffered_bytes, 1000);
    CHECK_EQ(send_weight(p.out, 1, 0), CSP_WOULD_BLOCK);
    CHECK_EQ(take(p.in), 1000);
    CHECK_EQ(info(p.chan).buffered_bytes, 0);
    pair_free(p);
}

TEST(a_waiting_receiver_takes_a_value_of_any_size)
{
    pair p = bounded(1, 1, CSP_BLOCK);
    waiting *w = start_recv(p.in);
    wait_parked(p.chan, 0, 1);
    CHECK_EQ(send_weight(p.out, 1000, 0), CSP_OK);
    int64_t v;
    CHECK_EQ(await(w, &v), CSP_OK);
    CHECK_EQ(v, 1000);
    CHECK_EQ(info(p.chan).buffered_bytes, 0);
    pair_free(p);
}

TEST(a_small_value_does_not_overtake_a_big_one)
{
    pair p = bounded(CSP_UNBOUNDED, 100, CSP_BLOCK);
    CHECK_EQ(send_weight(p.out, 40, 0), CSP_OK);
    CHECK_EQ(send_weight(p.out, 40, 0), CSP_OK);
    waiting *big = start_weight(p.out, 90, FOREVER);
    wait_parked(p.chan, 1, 0);
    CHECK_EQ(send_weight(p.out, 5, 0), CSP_WOULD_BLOCK); /* there would be room */
    waiting *small = start_weight(p.out, 6, FOREVER);
    wait_parked(p.chan, 2, 0);
    CHECK_EQ(take(p.in), 40);
    wait_parked(p.chan, 2, 0); /* still no room for the big one */
    CHECK_EQ(take(p.in), 40);
    CHECK_EQ(await_sends(big), CSP_OK);
    CHECK_EQ(await_sends(small), CSP_OK);
    CHECK_EQ(take(p.in), 90);
    CHECK_EQ(take(p.in), 6);
    pair_free(p);
}

TEST(room_for_several_wakes_several)
{
    pair p = bounded(CSP_UNBOUNDED, 100, CSP_BLOCK);
    CHECK_EQ(send_weight(p.out, 90, 0), CSP_OK);
    waiting *w[3];
    for (uint32_t i = 0; i < 3; i++) {
        w[i] = start_weight(p.out, 30 + i, FOREVER);
        wait_parked(p.chan, i + 1, 0);
    }
    CHECK_EQ(take(p.in), 90);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(await_sends(w[i]), CSP_OK);
    CHECK_EQ(info(p.chan).buffered_bytes, 93);
    pair_free(p);
}

/* --- whoever waits in front and gives up makes way --- */

/* A full buffer, a big value that waits for room, and a small one behind it. */
typedef struct {
    pair p;
    csp_end *other; /* the big one's handle */
    waiting *big, *small;
} jam;

static jam jam_new(csp_interp *interp, csp_time timeout)
{
    jam j = {.p = bounded(CSP_UNBOUNDED, 100, CSP_BLOCK)};
    CHECK_EQ(send_weight(j.p.out, 50, 0), CSP_OK);
    j.other = csp_end_new(j.p.chan, CSP_SEND, interp);
    csp_case c = case_weight(j.other, 51);
    j.big = start_in(interp, &c, 1, timeout);
    wait_parked(j.p.chan, 1, 0);
    j.small = start_weight(j.p.out, 30, FOREVER);
    return j;
}

static void jam_free(jam j, csp_status big)
{
    CHECK_EQ(await_sends(j.small), CSP_OK);
    CHECK_EQ(await_sends(j.big), big);
    CHECK_EQ(info(j.p.chan).buffered_bytes, 80);
    csp_end_free(j.other);
    pair_free(j.p);
}

TEST(a_timeout_makes_way) { jam_free(jam_new(NULL, 50 * MS), CSP_TIMEOUT); }

TEST(a_closed_handle_makes_way)
{
    jam j = jam_new(NULL, FOREVER);
    wait_parked(j.p.chan, 2, 0);
    end_close(j.other);
    jam_free(j, CSP_CLOSED_HANDLE);
}

TEST(a_death_makes_way)
{
    csp_interp *interp = csp_interp_new(501, false);
    jam j = jam_new(interp, FOREVER);
    wait_parked(j.p.chan, 2, 0);
    csp_interp_died(interp, NULL, false);
    CHECK_EQ(await_sends(j.small), CSP_OK);
    CHECK(await_sends(j.big) != CSP_OK);
    CHECK_EQ(info(j.p.chan).buffered_bytes, 80);
    csp_end_free(j.other);
    pair_free(j.p);
    csp_interp_reap(interp);
    csp_interp_decref(interp);
}

TEST(a_select_that_fires_elsewhere_makes_way)
{
    pair p = bounded(CSP_UNBOUNDED, 100, CSP_BLOCK), q = pair_new(1);
    CHECK_EQ(send_weight(p.out, 50, 0), CSP_OK);
    csp_case cases[2] = {case_weight(p.out, 51), case_recv(q.in)};
    waiting *both = start_select(cases, 2);
    wait_parked(p.chan, 1, 0);
    waiting *small = start_weight(p.out, 30, FOREVER);
    wait_parked(p.chan, 2, 0);
    CHECK_EQ(send_int(q.out, 1, 0), CSP_OK);
    CHECK_EQ(await_sends(small), CSP_OK);
    CHECK_EQ(await_sends(both), CSP_OK);
    pair_free(p);
    pair_free(q);
}

TEST(a_select_takes_the_send_that_fits)
{
    pair p = bounded(CSP_UNBOUNDED, 100, CSP_BLOCK), q = bounded(CSP_UNBOUNDED, 100, CSP_BLOCK);
    CHECK_EQ(send_weight(p.out, 99, 0), CSP_OK); /* looks ready, and is, for one byte more */
    CHECK_EQ(send_weight(q.out, 50, 0), CSP_OK);
    for (int i = 0; i < 20; i++) {
        csp_case cases[2] = {case_weight(p.out, 2), case_weight(q.out, 50)};
        csp_status status;
        CHECK_EQ(select_wait(cases, 2, 0, i % 2 == 0, &status), 1);
        CHECK_EQ(status, CSP_OK);
        csp_msg_clear(&cases[0].msg);
        CHECK_EQ(take(q.in), 50);
    }
    csp_case cases[1] = {case_weight(p.out, 2)};
    csp_status status;
    CHECK_EQ(select_wait(cases, 1, 0, false, &status), -1);
    CHECK_EQ(status, CSP_TIMEOUT);
    csp_msg_clear(&cases[0].msg);
    pair_free(p);
    pair_free(q);
}

/* --- overflow --- */

TEST(drop_oldest_drops_as_many_as_it_takes)
{
    pair p = bounded(CSP_UNBOUNDED, 100, CSP_DROP_OLDEST);
    for (size_t i = 20; i < 25; i++)
        CHECK_EQ(send_weight(p.out, i, 0), CSP_OK); /* 20 + 21 + 22 + 23, and 24 in the place of the first */
    CHECK_EQ(info(p.chan).counts.dropped, 1);
    CHECK_EQ(send_weight(p.out, 70, 0), CSP_OK);
    CHECK_EQ(info(p.chan).counts.dropped, 4);
    CHECK_EQ(info(p.chan).buffered_bytes, 94);
    CHECK_EQ(take(p.in), 24);
    CHECK_EQ(send_weight(p.out, 1000, 0), CSP_OK); /* alone */
    CHECK_EQ(info(p.chan).counts.dropped, 5);
    CHECK_EQ(info(p.chan).buffered, 1);
    CHECK_EQ(send_int(p.out, 5, 0), CSP_OK);
    CHECK_EQ(take(p.in), 5);
    CHECK_EQ(info(p.chan).counts.sent, 8);
    pair_free(p);
}

TEST(drop_newest_drops_what_does_not_fit)
{
    pair p = bounded(3, 100, CSP_DROP_NEWEST);
    CHECK_EQ(send_weight(p.out, 60, 0), CSP_OK);
    CHECK_EQ(send_weight(p.out, 41, 0), CSP_OK);
    CHECK_EQ(send_weight(p.out, 20, 0), CSP_OK);
    CHECK_EQ(send_weight(p.out, 20, 0), CSP_OK);
    CHECK_EQ(send_weight(p.out, 0, 0), CSP_OK); /* no place */
    CHECK_EQ(info(p.chan).counts.dropped, 2);
    CHECK_EQ(take(p.in), 60);
    CHECK_EQ(take(p.in), 20);
    CHECK_EQ(take(p.in), 20);
    pair_free(p);
}

TEST(a_batch_that_drops_frees_all_that_it_drops)
{
    pair p = bounded(CSP_UNBOUNDED, 30, CSP_DROP_OLDEST);
    csp_msg msgs[40];
    for (size_t i = 0; i < 40; i++)
        msgs[i] = weight(i % 4 == 3 ? 30 : 10);
    csp_case c = case_send(p.out, 0);
    csp_effects fx;
    csp_effects_init(&fx);
    size_t done = 0;
    CHECK_EQ(csp_chan_try_send_many(&c, msgs, 40, &done, &fx), CSP_OK);
    csp_effects_run(&fx);
    CHECK_EQ(done, 40);
    CHECK_EQ(info(p.chan).counts.dropped, 39);
    CHECK_EQ(take(p.in), 30);
    pair_free(p);
}

/* --- what comes back, and what goes --- */

TEST(a_value_given_back_may_exceed_the_bound)
{
    pair p = bounded(CSP_UNBOUNDED, 100, CSP_BLOCK);
    CHECK_EQ(send_weight(p.out, 80, 0), CSP_OK);
    csp_msg lent;
    CHECK_EQ(recv_msg(p.in, &lent, 0), CSP_OK);
    CHECK_EQ(send_weight(p.out, 70, 0), CSP_OK);
    csp_effects fx;
    csp_effects_init(&fx);
    csp_chan_give_back(p.chan, &lent, &fx);
    csp_effects_run(&fx);
    CHECK_EQ(info(p.chan).buffered_bytes, 150);
    CHECK_EQ(send_weight(p.out, 1, 0), CSP_WOULD_BLOCK);
    CHECK_EQ(take(p.in), 80);
    CHECK_EQ(send_weight(p.out, 30, 0), CSP_OK);
    CHECK_EQ(take(p.in), 70);
    pair_free(p);
}

TEST(the_last_receiver_takes_the_count_along)
{
    pair p = bounded(CSP_UNBOUNDED, 100, CSP_BLOCK);
    CHECK_EQ(send_weight(p.out, 80, 0), CSP_OK);
    waiting *big = start_weight(p.out, 30, FOREVER);
    wait_parked(p.chan, 1, 0);
    end_close(p.in);
    CHECK_EQ(await_sends(big), CSP_BROKEN);
    CHECK_EQ(info(p.chan).buffered_bytes, 0);
    pair_free(p);
}

/* --- many at once --- */

#define SENDERS 3

typedef struct {
    csp_end *out;
    uint64_t random;
    int64_t sum;
    csp_time until;
} stream;

static void send_weights(void *arg)
{
    stream *s = arg;
    while (csp_now() < s->until) {
        size_t bytes = 1 + random_to(&s->random, 150);
        if (send_weight(s->out, bytes, random_to(&s->random, 3) == 0 ? 50000 : 20 * MS) == CSP_OK)
            s->sum += (int64_t)bytes;
    }
}

TEST(nothing_is_lost_and_the_bound_holds_whoever_gives_up)
{
    pair p = bounded(5, 200, CSP_BLOCK);
    stream s[SENDERS];
    task *threads[SENDERS];
    csp_time until = csp_now() + 150 * MS;
    for (int i = 0; i < SENDERS; i++) {
        s[i] = (stream){p.out, test_seed() + (uint64_t)i, 0, until};
        threads[i] = spawn(send_weights, &s[i]);
    }
    int64_t v, got = 0, sent = 0;
    while (csp_now() < until + 2 * MS) {
        CHECK(info(p.chan).buffered_bytes <= 200);
        if (recv_int(p.in, &v, 100000) == CSP_OK)
            got += v;
    }
    for (int i = 0; i < SENDERS; i++) {
        while (info(p.chan).waiting_senders > 0 && recv_int(p.in, &v, 0) == CSP_OK)
            got += v;
        join(threads[i]);
        sent += s[i].sum;
    }
    while (recv_int(p.in, &v, 0) == CSP_OK)
        got += v;
    CHECK_EQ(got, sent);
    CHECK(sent > 0);
    CHECK_EQ(info(p.chan).buffered_bytes, 0);
    pair_free(p);
}
