/* Batches and leases on one channel: many values under one lock, and values that may come back. */
#include "harness.h"

/* --- batches --- */

static size_t send_batch(csp_end *end, csp_msg *msgs, size_t n, csp_status *p_status)
{
    csp_effects fx;
    csp_effects_init(&fx);
    csp_case c = case_recv(end);
    size_t done = 99;
    c.dir = CSP_SEND;
    *p_status = csp_chan_try_send_many(&c, msgs, n, &done, &fx);
    csp_effects_run(&fx);
    return done;
}

static size_t recv_batch(csp_end *end, csp_msg *msgs, size_t n, csp_status *p_status)
{
    csp_effects fx;
    csp_effects_init(&fx);
    csp_case c = case_recv(end);
    size_t done = 99;
    *p_status = csp_chan_try_recv_many(&c, msgs, n, &done, &fx);
    csp_effects_run(&fx);
    return done;
}

TEST(send_many_fills_the_buffer_and_says_how_far_it_came)
{
    pair p = pair_new(3);
    csp_msg msgs[5];
    csp_status status;
    for (int i = 0; i < 5; i++)
        msgs[i] = blob_msg(i);
    CHECK_EQ(send_batch(p.out, msgs, 5, &status), 3);
    CHECK_EQ(status, CSP_PENDING);
    CHECK_EQ(msgs[2].kind, CSP_MSG_EMPTY);
    CHECK_EQ(msg_int(&msgs[3]), 3);
    csp_msg got[5];
    CHECK_EQ(recv_batch(p.in, got, 2, &status), 2);
    CHECK_EQ(status, CSP_OK);
    CHECK_EQ(send_batch(p.out, msgs + 3, 2, &status), 2);
    CHECK_EQ(status, CSP_OK);
    CHECK_EQ(recv_batch(p.in, got + 2, 5, &status), 3);
    CHECK_EQ(status, CSP_PENDING);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(msg_int(&got[i]), i);
        csp_msg_clear(&got[i]);
    }
    end_close(p.in);
    CHECK_EQ(send_batch(p.out, msgs, 1, &status), 0);
    CHECK_EQ(status, CSP_BROKEN);
    pair_free(p);
}

TEST(send_many_under_a_drop_policy_frees_all_that_it_drops)
{
    for (int policy = CSP_DROP_OLDEST; policy <= CSP_DROP_NEWEST; policy++) {
        pair p = pair_with(2, (csp_overflow)policy, NULL, NULL);
        csp_msg msgs[10];
        csp_status status;
        for (int i = 0; i < 10; i++)
            msgs[i] = blob_msg(i);
        CHECK_EQ(send_batch(p.out, msgs, 10, &status), 10);
        CHECK_EQ(status, CSP_OK);
        CHECK_EQ(info(p.chan).counts.dropped, 8);
        int64_t v;
        CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
        CHECK_EQ(v, policy == CSP_DROP_OLDEST ? 8 : 0);
        pair_free(p);
    }
}

TEST(recv_many_takes_from_waiting_senders_too)
{
    pair p = pair_new(1);
    csp_msg got[4];
    csp_status status;
    CHECK_EQ(send_int(p.out, 0, 0), CSP_OK);
    waiting *a = start_send(p.out, 1);
    wait_parked(p.chan, 1, 0);
    waiting *b = start_send(p.out, 2);
    wait_parked(p.chan, 2, 0);
    CHECK_EQ(recv_batch(p.in, got, 4, &status), 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(msg_int(&got[i]), i);
    CHECK_EQ(await(a, NULL), CSP_OK);
    CHECK_EQ(await(b, NULL), CSP_OK);
    pair_free(p);
}

TEST(recv_many_of_a_closed_channel_takes_the_rest_and_reports_the_end)
{
    pair p = pair_new(4);
    csp_msg got[4];
    csp_status status;
    CHECK_EQ(send_int(p.out, 0, 0), CSP_OK);
    end_close(p.out);
    CHECK_EQ(recv_batch(p.in, got, 4, &status), 1);
    CHECK_EQ(status, CSP_END);
    pair_free(p);
}

/* --- leases --- */

static void give_back(csp_chan *chan, csp_msg *msg)
{
    csp_effects fx;
    csp_effects_init(&fx);
    csp_chan_give_back(chan, msg, &fx);
    csp_effects_run(&fx);
}

TEST(a_value_given_back_goes_to_the_head)
{
    pair p = pair_new(3);
    csp_msg m;
    int64_t v;
    for (int i = 0; i < 3; i++)
        CHECK_EQ(send_int(p.out, i, 0), CSP_OK);
    CHECK_EQ(recv_msg(p.in, &m, 0), CSP_OK);
    CHECK_EQ(send_int(p.out, 3, 0), CSP_OK); /* the place has been filled meanwhile */
    give_back(p.chan, &m);
    CHECK_EQ(info(p.chan).buffered, 4); /* over the capacity, for once */
    CHECK_EQ(send_int(p.out, 4, 0), CSP_WOULD_BLOCK);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
        CHECK_EQ(v, i);
    }
    CHECK_EQ(info(p.chan).counts.received, 4);
    pair_free(p);
}

TEST(over_the_capacity_no_waiting_sender_is_admitted)
{
    pair p = pair_new(1);
    csp_msg m;
    CHECK_EQ(send_int(p.out, 0, 0), CSP_OK);
    CHECK_EQ(recv_msg(p.in, &m, 0), CSP_OK);
    CHECK_EQ(send_int(p.out, 1, 0), CSP_OK);
    waiting *w = start_send(p.out, 2);
    wait_parked(p.chan, 1, 0);
    give_back(p.chan, &m); /* 0, 1 buffered in a place for one */
    int64_t v;
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
    CHECK_EQ(v, 0);
    CHECK_EQ(info(p.chan).buffered, 1);
    CHECK_EQ(info(p.chan).waiting_senders, 1);
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
    CHECK_EQ(v, 1);
    CHECK_EQ(await(w, NULL), CSP_OK);
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
    CHECK_EQ(v, 2);
    pair_free(p);
}

TEST(rendezvous_takes_back_before_waiting_senders)
{
    pair p = pair_new(0);
    waiting *a = start_send(p.out, 1);
    wait_parked(p.chan, 1, 0);
    csp_msg m;
    CHECK_EQ(recv_msg(p.in, &m, 0), CSP_OK);
    CHECK_EQ(await(a, NULL), CSP_OK);
    waiting *b = start_send(p.out, 2);
    wait_parked(p.chan, 1, 0);
    give_back(p.chan, &m);
    CHECK_EQ(send_int(p.out, 3, 0), CSP_WOULD_BLOCK);
    int64_t v;
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
    CHECK_EQ(v, 1);
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
    CHECK_EQ(v, 2);
    CHECK_EQ(await(b, NULL), CSP_OK);
    pair_free(p);
}

TEST(a_value_given_back_is_a_waiting_receivers)
{
    pair p = pair_new(1);
    csp_msg m;
    CHECK_EQ(send_int(p.out, 7, 0), CSP_OK);
    CHECK_EQ(recv_msg(p.in, &m, 0), CSP_OK);
    m.deliveries = 1;
    csp_case c = case_recv(p.in);
    waiting *w = start_in(NULL, &c, 1, FOREVER);
    wait_parked(p.chan, 0, 1);
    give_back(p.chan, &m);
    join(w->task);
    CHECK_EQ(msg_int(&w->cases[0].msg), 7);
    CHECK_EQ(w->cases[0].msg.deliveries, 1);
    free(w);
    CHECK_EQ(info(p.chan).counts.received, 1);
    pair_free(p);
}

TEST(a_value_given_back_to_nobody_is_discarded_and_counted)
{
    pair p = pair_new(1);
    csp_msg m = blob_msg(1);
    CHECK_EQ(send_msg(p.out, &m, 0), CSP_OK);
    CHECK_EQ(recv_msg(p.in, &m, 0), CSP_OK);
    end_close(p.in);
    give_back(p.chan, &m);
    CHECK_EQ(info(p.chan).counts.discarded, 1);
    CHECK_EQ(info(p.chan).counts.received, 0);
    pair_free(p);
}

TEST(a_value_given_back_to_a_closed_channel_can_still_be_received)
{
    pair p = pair_new(1);
    csp_msg m;
    int64_t v;
    CHECK_EQ(send_int(p.out, 7, 0), CSP_OK);
    CHECK_EQ(recv_msg(p.in, &m, 0), CSP_OK);
    chan_close(p.chan, NULL);
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_END);
    give_back(p.chan, &m);
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_OK);
    CHECK_EQ(v, 7);
    CHECK_EQ(recv_int(p.in, &v, 0), CSP_END);
    pair_free(p);
}
