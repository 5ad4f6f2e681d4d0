/* The segmented double-ended queue. */
#include "harness.h"

static void push(csp_queue *q, int64_t value)
{
    csp_msg msg = blob_msg(value);
    CHECK(csp_queue_push(q, &msg));
    CHECK_EQ(msg.kind, CSP_MSG_EMPTY);
}

static void push_front(csp_queue *q, int64_t value)
{
    csp_msg msg = blob_msg(value);
    CHECK(csp_queue_push_front(q, &msg));
    CHECK_EQ(msg.kind, CSP_MSG_EMPTY);
}

static int64_t pop(csp_queue *q)
{
    csp_msg msg;
    csp_queue_pop(q, &msg);
    int64_t value = msg_int(&msg);
    csp_msg_clear(&msg);
    return value;
}

TEST(queue_is_fifo_across_segments)
{
    csp_queue q = {NULL, NULL, NULL, 0, 0, 0};
    for (int i = 0; i < 1000; i++)
        push(&q, i);
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(pop(&q), i);
    CHECK_EQ(q.length, 0);
    csp_queue_destroy(&q);
}

TEST(queue_takes_back_at_the_front)
{
    csp_queue q = {NULL, NULL, NULL, 0, 0, 0};
    push_front(&q, 1);
    push_front(&q, 0);
    push(&q, 2);
    for (int i = 0; i < 200; i++)
        push_front(&q, -1 - i);
    for (int i = -200; i < 3; i++)
        CHECK_EQ(pop(&q), i);
    csp_queue_destroy(&q);
}

TEST(queue_agrees_with_a_plain_array_under_random_use)
{
    enum { N = 4096 };
    static int64_t model[2 * N];
    int head = N, tail = N;
    int64_t next = 0;
    csp_queue q = {NULL, NULL, NULL, 0, 0, 0};
    uint64_t random = test_seed();
    for (int round = 0; round < 20000; round++) {
        bool grow = (round / 500) % 2 == 0;
        uint32_t what = random_to(&random, 10);
        if (tail > head && what < (grow ? 3 : 7)) {
            CHECK_EQ(pop(&q), model[head++]);
        }
        else if (what == 9 && head > 0) {
            push_front(&q, model[--head] = next);
            next++;
        }
        else if (tail < 2 * N) {
            push(&q, model[tail++] = next);
            next++;
        }
        if (head == tail)
            head = tail = N;
        CHECK_EQ(q.length, tail - head);
    }
    while (head < tail)
        CHECK_EQ(pop(&q), model[head++]);
    csp_queue_destroy(&q);
}

TEST(queue_in_steady_use_does_not_allocate)
{
    csp_queue q = {NULL, NULL, NULL, 0, 0, 0};
    csp_msg msg = {.kind = CSP_MSG_NONE};
    for (int i = 0; i < 100; i++, msg.kind = CSP_MSG_NONE)
        CHECK(csp_queue_push(&q, &msg));
    for (int i = 0; i < 200; i++, msg.kind = CSP_MSG_NONE) { /* once around, so that one segment is spare */
        csp_queue_pop(&q, &msg);
        CHECK(csp_queue_push(&q, &msg));
    }
    csp_mem_fail_after(1); /* the next allocation would fail */
    for (int i = 0; i < 1000; i++, msg.kind = CSP_MSG_NONE) {
        csp_queue_pop(&q, &msg);
        CHECK(csp_queue_push(&q, &msg));
    }
    csp_mem_fail_after(0);
    csp_segments_free(csp_queue_detach(&q));
    csp_queue_destroy(&q);
}

TEST(queue_detach_hands_over_everything_and_stays_usable)
{
    csp_queue q = {NULL, NULL, NULL, 0, 0, 0};
    CHECK(csp_queue_detach(&q) == NULL);
    for (int i = 0; i < 150; i++)
        push(&q, i);
    CHECK_EQ(pop(&q), 0);
    csp_segment *all = csp_queue_detach(&q);
    CHECK_EQ(q.length, 0);
    push(&q, 7);
    CHECK_EQ(pop(&q), 7);
    csp_segments_free(all);
    csp_queue_destroy(&q);
}

TEST(queue_without_memory_keeps_the_message_with_the_caller)
{
    csp_queue q = {NULL, NULL, NULL, 0, 0, 0};
    csp_msg msg = blob_msg(5);
    csp_mem_fail_after(1);
    CHECK(!csp_queue_push(&q, &msg));
    CHECK_EQ(msg_int(&msg), 5);
    csp_mem_fail_after(1);
    CHECK(!csp_queue_push_front(&q, &msg));
    CHECK_EQ(msg_int(&msg), 5);
    CHECK(csp_queue_push(&q, &msg));
    CHECK_EQ(pop(&q), 5);
    csp_queue_destroy(&q);
}
