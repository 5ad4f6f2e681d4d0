/* Send, receive and close on one channel.  Go's rules (runtime/chan.go, test/chan), crossbeam's and trio's, as far as they
 * live in the engine. */
#include "harness.h"

#include <sched.h>

/* --- rendezvous --- */

TEST(rendezvous_send_waits_for_a_receiver)
{
    pair p = pair_new(0);
    waiting *w = start_send(p.out, 5);
    wait_parked(p.chan, 1, 0);
    int64_t v;
    CHECK_EQ(recv_int(p.in, &v, FOREVER), CSP_OK);
    CHECK_EQ(v, 5);
    CHECK_EQ(await(w, NULL), CSP_OK);
    pair_free(p);
}

TEST(rendezvous_recv_waits_for_a_sender)
{
    pair p = pair_new(0);
    waiting *w = start_recv(p.in);
    wait_parked(p.chan, 0, 1);
    CHECK_EQ(send_int(p.out, 6, FOREVER), CSP_OK);
    int64_t v;
    CHECK_EQ(await(w, &v), CSP_OK);
    CHECK_EQ(v, 6);
    pair_free(p);
}

TEST(rendezvous_nowait_needs_a_waiting_peer)
{
    pair p = pair_new(0);
    int64_t v;
    CHECK_EQ(send_int(p.out, 1, 0), CSP_WOULD_BLOCK);
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_WOULD_BLOCK);
    waiting *w = start_send(p.out, 2);
    wait_parked(p.chan, 1, 0);
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
    CHECK_EQ(v, 2);
    CHECK_EQ(await(w, NULL), CSP_OK);
    w = start_recv(p.in);
    wait_parked(p.chan, 0, 1);
    CHECK_EQ(send_int(p.out, 3, 0), CSP_OK);
    CHECK_EQ(await(w, &v), CSP_OK);
    CHECK_EQ(v, 3);
    CHECK_EQ(info(p.chan).buffered, 0);
    pair_free(p);
}

/* --- buffer --- */

TEST(buffer_takes_capacity_values_and_no_more)
{
    pair p = pair_new(3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(send_int(p.out, i, 0), CSP_OK);
    CHECK_EQ(send_int(p.out, 3, 0), CSP_WOULD_BLOCK);
    CHECK_EQ(send_int(p.out, 3, 2 * MS), CSP_TIMEOUT);
    CHECK_EQ(info(p.chan).buffered, 3);
    int64_t v;
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
        CHECK_EQ(v, i);
    }
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_WOULD_BLOCK);
    CHECK_EQ(recv_int(p.in, &v, 2 * MS), CSP_TIMEOUT);
    pair_free(p);
}

TEST(unbounded_buffer_never_blocks_a_sender)
{
    pair p = pair_new(CSP_UNBOUNDED);
    int64_t v;
    for (int i = 0; i < 5000; i++)
        CHECK_EQ(send_int(p.out, i, 0), CSP_OK);
    for (int i = 0; i < 5000; i++) {
        CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
        CHECK_EQ(v, i);
    }
    pair_free(p);
}

TEST(recv_nowait_admits_the_next_waiting_sender) /* anyio #143 */
{
    pair p = pair_new(1);
    CHECK_EQ(send_int(p.out, 0, 0), CSP_OK);
    waiting *w = start_send(p.out, 1);
    wait_parked(p.chan, 1, 0);
    int64_t v;
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
    CHECK_EQ(v, 0);
    CHECK_EQ(await(w, NULL), CSP_OK); /* without another receive */
    CHECK_EQ(info(p.chan).buffered, 1);
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
    CHECK_EQ(v, 1);
    pair_free(p);
}

TEST(a_freed_place_is_the_oldest_waiting_senders)
{
    pair p = pair_new(1);
    CHECK_EQ(send_int(p.out, 0, 0), CSP_OK);
    waiting *w = start_send(p.out, 1);
    wait_parked(p.chan, 1, 0);
    int64_t v;
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
    CHECK_EQ(send_int(p.out, 2, 0), CSP_WOULD_BLOCK); /* the place is taken though that sender may not have run */
    CHECK_EQ(await(w, NULL), CSP_OK);
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
    CHECK_EQ(v, 1);
    pair_free(p);
}

TEST(a_value_sent_while_one_waits_is_that_receivers)
{
    pair p = pair_new(4);
    waiting *w = start_recv(p.in);
    wait_parked(p.chan, 0, 1);
    CHECK_EQ(send_int(p.out, 1, 0), CSP_OK);
    int64_t v;
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_WOULD_BLOCK); /* even before that one has run */
    CHECK_EQ(await(w, &v), CSP_OK);
    CHECK_EQ(v, 1);
    pair_free(p);
}

TEST(waiting_receivers_are_served_first_come_first_served)
{
    pair p = pair_new(0);
    waiting *w[4];
    for (uint32_t i = 0; i < 4; i++) {
        w[i] = start_recv(p.in);
        wait_parked(p.chan, 0, i + 1);
    }
    for (int i = 0; i < 4; i++)
        CHECK_EQ(send_int(p.out, i, 0), CSP_OK);
    for (int i = 0; i < 4; i++) {
        int64_t v;
        CHECK_EQ(await(w[i], &v), CSP_OK);
        CHECK_EQ(v, i);
    }
    pair_free(p);
}

static void senders_in_order(size_t capacity)
{
    pair p = pair_new(capacity);
    waiting *w[4];
    int64_t v, next = 0;
    for (size_t i = 0; i < capacity; i++)
        CHECK_EQ(send_int(p.out, next++, 0), CSP_OK);
    for (uint32_t i = 0; i < 4; i++) {
        w[i] = start_send(p.out, next++);
        wait_parked(p.chan, i + 1, 0);
    }
    for (int64_t i = 0; i < next; i++) {
        CHECK_EQ(recv_int(p.in, &v, FOREVER), CSP_OK);
        CHECK_EQ(v, i);
    }
    for (int i = 0; i < 4; i++)
        CHECK_EQ(await(w[i], NULL), CSP_OK);
    pair_free(p);
}

TEST(waiting_senders_are_served_first_come_first_served)
{
    senders_in_order(0);
    senders_in_order(1);
    senders_in_order(3);
}

TEST(try_receive_after_a_send_of_ones_own_never_fails) /* crossbeam: linearizable */
{
    pair p = pair_new(4);
    for (int i = 0; i < 1000; i++) {
        int64_t v;
        CHECK_EQ(send_int(p.out, i, FOREVER), CSP_OK);
        CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
    }
    pair_free(p);
}

static void send_then_try_recv(void *arg)
{
    pair *p = arg;
    for (int i = 0, n = ROUNDS(20000); i < n; i++) {
        int64_t v;
        CHECK_EQ(send_int(p->out, i, 0), CSP_OK);
        CHECK_EQ(recv_int(p->in, &v, 0), CSP_OK);
    }
}

TEST(four_threads_sending_then_receiving_always_find_something) /* crossbeam tests/array.rs linearizable */
{
    pair p = pair_new(4);
    task *t[4];
    for (int i = 0; i < 4; i++)
        t[i] = spawn(send_then_try_recv, &p);
    for (int i = 0; i < 4; i++)
        join(t[i]);
    CHECK_EQ(info(p.chan).buffered, 0);
    pair_free(p);
}

TEST(a_reply_needs_no_waiting_receiver)
{
    csp_chan *chan = csp_reply_new();
    csp_end *out = csp_end_new(chan, CSP_SEND, NULL), *in = csp_end_new(chan, CSP_RECV, NULL);
    csp_chan_decref(chan);
    int64_t v;
    CHECK_EQ(send_int(out, 4, 0), CSP_OK);
    CHECK_EQ(send_int(out, 5, 0), CSP_WOULD_BLOCK);
    CHECK_EQ(recv_int(in, &v, 0), CSP_OK);
    CHECK_EQ(v, 4);
    csp_end_free(out);
    csp_end_free(in);
}

/* --- close --- */

TEST(close_wakes_waiting_receivers_with_the_end)
{
    pair p = pair_new(0);
    waiting *a = start_recv(p.in), *b = start_recv(p.in);
    wait_parked(p.chan, 0, 2);
    CHECK(chan_close(p.chan, NULL));
    CHECK_EQ(await(a, NULL), CSP_END);
    CHECK_EQ(await(b, NULL), CSP_END);
    pair_free(p);
}

TEST(close_wakes_waiting_senders_as_broken_and_their_values_stay_with_them)
{
    pair p = pair_new(1);
    CHECK_EQ(send_int(p.out, 0, 0), CSP_OK);
    csp_case c = case_send(p.out, 0);
    c.msg = blob_msg(9);
    waiting *w = start_in(NULL, &c, 1, FOREVER);
    wait_parked(p.chan, 1, 0);
    CHECK(chan_close(p.chan, NULL));
    join(w->task);
    CHECK_EQ(w->status, CSP_BROKEN);
    CHECK_EQ(msg_int(&w->cases[0].msg), 9);
    csp_msg_clear(&w->cases[0].msg);
    free(w);
    pair_free(p);
}

TEST(close_happens_once)
{
    pair p = pair_new(0);
    CHECK(chan_close(p.chan, NULL));
    CHECK(!chan_close(p.chan, NULL));
    CHECK(info(p.chan).closed);
    pair_free(p);
}

TEST(closed_channel_drains_then_ends)
{
    pair p = pair_new(3);
    int64_t v;
    CHECK_EQ(send_int(p.out, 1, 0), CSP_OK);
    CHECK_EQ(send_int(p.out, 2, 0), CSP_OK);
    chan_close(p.chan, NULL);
    CHECK_EQ(send_int(p.out, 3, 0), CSP_BROKEN);
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
    CHECK_EQ(v, 1);
    CHECK_EQ(recv_int(p.in, &v, FOREVER), CSP_OK);
    CHECK_EQ(v, 2);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(recv_int(p.in, &v, FOREVER), CSP_END);
    pair_free(p);
}

TEST(send_reports_success_though_the_receiver_closed_right_after) /* anyio #186 */
{
    pair p = pair_new(0);
    waiting *w = start_send(p.out, 1);
    wait_parked(p.chan, 1, 0);
    CHECK_EQ(recv_int(p.in, NULL, 0), CSP_OK);
    end_close(p.in);
    CHECK_EQ(await(w, NULL), CSP_OK);
    pair_free(p);
}

TEST(channel_handle_that_closed_gets_closed_handle_for_sends_and_still_drains)
{
    csp_chan *chan = csp_chan_new(2, CSP_BLOCK, false, "named");
    csp_end *mine = csp_end_new(chan, CSP_SEND | CSP_RECV, NULL), *other = csp_end_new(chan, CSP_SEND | CSP_RECV, NULL);
    csp_chan_decref(chan);
    int64_t v;
    CHECK_EQ(send_int(mine, 1, 0), CSP_OK);
    CHECK_EQ(send_int(mine, 2, 0), CSP_OK);
    CHECK(chan_close(chan, mine));
    CHECK_EQ(send_int(mine, 3, 0), CSP_CLOSED_HANDLE);
    CHECK_EQ(send_int(other, 3, 0), CSP_BROKEN);
    CHECK_EQ(recv_int(mine, &v, 0), CSP_OK);
    CHECK_EQ(v, 1);
    CHECK_EQ(recv_int(other, &v, 0), CSP_OK);
    CHECK_EQ(v, 2);
    CHECK_EQ(recv_int(mine, &v, 0), CSP_END);
    CHECK_EQ(recv_int(other, &v, 0), CSP_END);
    csp_end_free(mine);
    csp_end_free(other);
}

TEST(waits_through_the_closing_handle_end_as_its_own_others_as_broken)
{
    csp_chan *chan = csp_chan_new(0, CSP_BLOCK, false, NULL);
    csp_end *mine = csp_end_new(chan, CSP_SEND | CSP_RECV, NULL), *other = csp_end_new(chan, CSP_SEND | CSP_RECV, NULL);
    csp_chan_decref(chan);
    waiting *a = start_send(mine, 1);
    wait_parked(chan, 1, 0);
    waiting *b = start_send(other, 2);
    wait_parked(chan, 2, 0);
    chan_close(chan, mine);
    CHECK_EQ(await(a, NULL), CSP_CLOSED_HANDLE);
    CHECK_EQ(await(b, NULL), CSP_BROKEN);
    csp_end_free(mine);
    csp_end_free(other);
}

/* --- ends are counted --- */

TEST(last_sender_gone_means_drain_then_end)
{
    pair p = pair_new(2);
    csp_end *clone = csp_end_new(p.chan, CSP_SEND, NULL);
    int64_t v;
    CHECK_EQ(send_int(p.out, 1, 0), CSP_OK);
    csp_end_free(p.out);
    p.out = NULL;
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_WOULD_BLOCK); /* a clone is open yet */
    CHECK_EQ(send_int(clone, 2, 0), CSP_OK);
    csp_end_free(clone);
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
    CHECK_EQ(v, 2);
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_END);
    pair_free(p);
}

TEST(last_sender_gone_wakes_waiting_receivers_at_once)
{
    pair p = pair_new(0);
    waiting *a = start_recv(p.in), *b = start_recv(p.in);
    wait_parked(p.chan, 0, 2);
    end_close(p.out);
    CHECK_EQ(await(a, NULL), CSP_END);
    CHECK_EQ(await(b, NULL), CSP_END);
    pair_free(p);
}

TEST(last_receiver_gone_breaks_senders_and_discards_the_buffer)
{
    pair p = pair_new(2);
    csp_msg m = blob_msg(1);
    CHECK_EQ(send_msg(p.out, &m, 0), CSP_OK);
    m = blob_msg(2);
    CHECK_EQ(send_msg(p.out, &m, 0), CSP_OK);
    waiting *w = start_send(p.out, 3);
    wait_parked(p.chan, 1, 0);
    long blobs = csp_blobs_live();
    end_close(p.in);
    CHECK_EQ(await(w, NULL), CSP_BROKEN);
    CHECK_EQ(csp_blobs_live(), blobs - 2);
    CHECK_EQ(info(p.chan).counts.discarded, 2);
    CHECK_EQ(info(p.chan).buffered, 0);
    CHECK_EQ(send_int(p.out, 4, 0), CSP_BROKEN);
    pair_free(p);
}

TEST(closing_a_handle_wakes_only_the_waits_through_it) /* trio */
{
    pair p = pair_new(0);
    csp_end *clone = csp_end_new(p.chan, CSP_RECV, NULL);
    waiting *a = start_recv(p.in), *b = start_recv(clone);
    wait_parked(p.chan, 0, 2);
    end_close(clone);
    CHECK_EQ(await(b, NULL), CSP_CLOSED_HANDLE);
    wait_parked(p.chan, 0, 1);
    int64_t v;
    CHECK_EQ(send_int(p.out, 8, 0), CSP_OK);
    CHECK_EQ(await(a, &v), CSP_OK);
    CHECK_EQ(v, 8);
    CHECK_EQ(recv_int(clone, &v, 0), CSP_CLOSED_HANDLE);
    csp_end_free(clone);
    pair_free(p);
}

TEST(closing_the_last_handle_ends_its_own_wait_as_closed_handle)
{
    pair p = pair_new(0);
    waiting *r = start_recv(p.in);
    wait_parked(p.chan, 0, 1);
    end_close(p.in);
    CHECK_EQ(await(r, NULL), CSP_CLOSED_HANDLE);
    CHECK_EQ(send_int(p.out, 1, FOREVER), CSP_BROKEN);
    pair_free(p);
    p = pair_new(0);
    waiting *s = start_send(p.out, 1);
    wait_parked(p.chan, 1, 0);
    end_close(p.out);
    CHECK_EQ(await(s, NULL), CSP_CLOSED_HANDLE);
    CHECK_EQ(recv_int(p.in, NULL, FOREVER), CSP_END);
    pair_free(p);
}

TEST(closing_a_handle_twice_counts_once)
{
    pair p = pair_new(0);
    csp_end *clone = csp_end_new(p.chan, CSP_SEND, NULL);
    CHECK_EQ(info(p.chan).senders, 2);
    end_close(clone);
    end_close(clone);
    CHECK_EQ(info(p.chan).senders, 1);
    csp_end_free(clone);
    CHECK_EQ(info(p.chan).senders, 1);
    CHECK_EQ(recv_int(p.in, NULL, 0), CSP_WOULD_BLOCK);
    pair_free(p);
}

TEST(a_handle_in_flight_counts_until_its_message_is_cleared)
{
    pair carrier = pair_new(1), p = pair_new(0);
    csp_msg msg = {.kind = CSP_MSG_BLOB};
    uint32_t index;
    msg.as.blob = csp_blob_new(0);
    CHECK(csp_blob_add_part(msg.as.blob, &csp_end_part, csp_end_new(p.chan, CSP_SEND, NULL), CSP_SEND, &index));
    CHECK_EQ(send_msg(carrier.out, &msg, 0), CSP_OK);
    csp_end_free(p.out);
    p.out = NULL;
    CHECK_EQ(info(p.chan).senders, 1);
    waiting *w = start_recv(p.in);
    wait_parked(p.chan, 0, 1);
    end_close(carrier.in); /* discards the message, and with it the last sender */
    CHECK_EQ(await(w, NULL), CSP_END);
    pair_free(p);
    pair_free(carrier);
}

TEST(channels_nested_in_messages_are_freed_without_recursion)
{
    int n = UNDER_SANITIZER ? 20000 : 100000; /* deep enough to overrun any stack */
    csp_end *in = NULL;
    for (int i = 0; i < n; i++) { /* each channel holds the receiving end of the one before */
        pair p = pair_new(1);
        if (in != NULL) {
            csp_msg msg = {.kind = CSP_MSG_BLOB};
            uint32_t index;
            msg.as.blob = csp_blob_new(0);
            CHECK(csp_blob_add_part(msg.as.blob, &csp_end_part, in, CSP_RECV, &index));
            CHECK_EQ(send_msg(p.out, &msg, 0), CSP_OK);
        }
        csp_end_free(p.out);
        in = p.in;
    }
    csp_end_free(in);
}

/* --- drop policies --- */

TEST(drop_oldest_keeps_the_newest_and_counts)
{
    pair p = pair_with(3, CSP_DROP_OLDEST, NULL, NULL);
    for (int i = 0; i < 200; i++) {
        csp_msg m = blob_msg(i);
        CHECK_EQ(send_msg(p.out, &m, FOREVER), CSP_OK);
    }
    csp_chan_info i = info(p.chan);
    CHECK_EQ(i.buffered, 3);
    CHECK_EQ(i.counts.dropped, 197);
    CHECK_EQ(i.counts.sent, 200);
    CHECK_EQ(i.counts.peak, 3);
    for (int k = 197; k < 200; k++) {
        int64_t v;
        CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
        CHECK_EQ(v, k);
    }
    pair_free(p);
}

TEST(drop_newest_keeps_the_oldest_and_counts)
{
    pair p = pair_with(2, CSP_DROP_NEWEST, NULL, NULL);
    for (int i = 0; i < 5; i++) {
        csp_msg m = blob_msg(i);
        CHECK_EQ(send_msg(p.out, &m, 0), CSP_OK);
        CHECK_EQ(m.kind, CSP_MSG_EMPTY);
    }
    CHECK_EQ(info(p.chan).counts.dropped, 3);
    for (int k = 0; k < 2; k++) {
        int64_t v;
        CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
        CHECK_EQ(v, k);
    }
    pair_free(p);
}

TEST(drop_policies_still_hand_over_to_a_waiting_receiver)
{
    for (int policy = CSP_DROP_OLDEST; policy <= CSP_DROP_NEWEST; policy++) {
        pair p = pair_with(1, (csp_overflow)policy, NULL, NULL);
        waiting *w = start_recv(p.in);
        wait_parked(p.chan, 0, 1);
        int64_t v;
        CHECK_EQ(send_int(p.out, 1, 0), CSP_OK);
        CHECK_EQ(await(w, &v), CSP_OK);
        CHECK_EQ(v, 1);
        CHECK_EQ(info(p.chan).counts.dropped, 0);
        pair_free(p);
    }
}

/* --- timeouts --- */

TEST(a_timed_out_receive_takes_nothing)
{
    pair p = pair_new(0);
    CHECK_EQ(recv_int(p.in, NULL, 2 * MS), CSP_TIMEOUT);
    CHECK_EQ(send_int(p.out, 1, 0), CSP_WOULD_BLOCK); /* nobody waits any more */
    CHECK_EQ(info(p.chan).waiting_receivers, 0);
    pair_free(p);
}

TEST(a_timed_out_send_never_happens)
{
    pair p = pair_new(0);
    csp_msg m = blob_msg(1);
    CHECK_EQ(send_msg(p.out, &m, 2 * MS), CSP_TIMEOUT);
    CHECK_EQ(msg_int(&m), 1); /* still the sender's */
    csp_msg_clear(&m);
    CHECK_EQ(recv_int(p.in, NULL, 0), CSP_WOULD_BLOCK);
    pair_free(p);
}

/* A sender and a receiver that both time out at random: each value is either received or still its sender's. */
typedef struct {
    pair p;
    int64_t sum, count;
    uint64_t random;
    _Atomic bool stop;
} exchange;

static void recv_with_timeouts(void *arg)
{
    exchange *x = arg;
    csp_msg m;
    for (;;) {
        csp_status status = recv_msg(x->p.in, &m, random_to(&x->random, 30000));
        if (status == CSP_END)
            return;
        if (status == CSP_OK) {
            x->sum += msg_int(&m);
            x->count++;
            csp_msg_clear(&m);
        }
    }
}

static void conserve(size_t capacity)
{
    exchange x = {.p = pair_new(capacity), .random = test_seed() + capacity};
    uint64_t random = test_seed() * 31 + capacity;
    int64_t sum = 0, count = 0;
    task *t = spawn(recv_with_timeouts, &x);
    for (int64_t i = 0, n = ROUNDS(4000); i < n; i++) {
        csp_msg m = blob_msg(i);
        if (send_msg(x.p.out, &m, random_to(&random, 30000)) == CSP_OK) {
            CHECK_EQ(m.kind, CSP_MSG_EMPTY);
            sum += i;
            count++;
        }
        else {
            CHECK_EQ(msg_int(&m), i);
            csp_msg_clear(&m);
        }
    }
    csp_end_free(x.p.out);
    x.p.out = NULL;
    join(t);
    CHECK_EQ(x.count, count);
    CHECK_EQ(x.sum, sum);
    CHECK(count > 0);
    pair_free(x.p);
}

TEST(timeouts_on_both_sides_neither_lose_nor_double_a_value)
{
    conserve(0);
    conserve(1);
    conserve(5);
}

/* --- looking --- */

TEST(statistics_count_what_happened)
{
    pair p = pair_new(2);
    csp_end *clone = csp_end_new(p.chan, CSP_RECV, NULL);
    CHECK_EQ(send_int(p.out, 1, 0), CSP_OK);
    CHECK_EQ(send_int(p.out, 2, 0), CSP_OK);
    CHECK_EQ(recv_int(p.in, NULL, 0), CSP_OK);
    waiting *a = start_send(p.out, 3);
    CHECK_EQ(await(a, NULL), CSP_OK);
    waiting *b = start_send(p.out, 4);
    wait_parked(p.chan, 1, 0);
    csp_chan_info i = info(p.chan);
    CHECK_EQ(i.counts.sent, 3);
    CHECK_EQ(i.counts.received, 1);
    CHECK_EQ(i.counts.peak, 2);
    CHECK_EQ(i.buffered, 2);
    CHECK_EQ(i.senders, 1);
    CHECK_EQ(i.receivers, 2);
    CHECK_EQ(i.waiting_senders, 1);
    CHECK_EQ(i.waiting_receivers, 0);
    CHECK(!i.closed);
    csp_end_free(clone);
    csp_end_free(p.in);
    p.in = NULL;
    CHECK_EQ(await(b, NULL), CSP_BROKEN);
    CHECK_EQ(info(p.chan).counts.sent, 3);
    CHECK_EQ(info(p.chan).counts.discarded, 2);
    pair_free(p);
}

TEST(a_wait_that_fired_elsewhere_is_not_counted_as_waiting)
{
    pair p = pair_new(0), q = pair_new(0);
    csp_waiter waiter;
    csp_case cases[2] = {case_recv(p.in), case_recv(q.in)}, *order[2], *fired;
    csp_effects fx;
    csp_effects_init(&fx);
    csp_look looks[sizeof order / sizeof *order];
    csp_select sel = {.cases = cases, .ncases = 2, .order = order, .looks = looks, .random = 1};
    csp_waiter_init(&waiter, NULL, cases, 2);
    csp_select_prepare(&sel);
    CHECK_EQ(csp_select_start(&sel, &waiter, &fired, &fx), CSP_PENDING);
    CHECK_EQ(info(q.chan).waiting_receivers, 1);
    CHECK_EQ(send_int(p.out, 1, 0), CSP_OK);
    CHECK_EQ(info(q.chan).waiting_receivers, 0); /* though its case is queued yet */
    CHECK_EQ(send_int(q.out, 1, 0), CSP_WOULD_BLOCK);
    csp_select_withdraw(&sel);
    pair_free(p);
    pair_free(q);
}
