/* Messages, blobs, blocks and the pool. */
#include "harness.h"

TEST(blob_has_room_and_grows_with_its_contents)
{
    csp_blob *b = csp_blob_new(10);
    CHECK(b->capacity >= 10);
    CHECK_EQ(b->length, 0);
    size_t n = 0;
    for (int round = 0; round < 40; round++) {
        for (; n < b->capacity; n++)
            b->data[n] = (unsigned char)(n * 7);
        csp_blob *larger = csp_blob_grow(b, n + 1);
        CHECK(larger != NULL && larger->capacity > n);
        b = larger;
        for (size_t i = 0; i < n; i += 1 + n / 64)
            CHECK_EQ(b->data[i], (unsigned char)(i * 7));
        if (n > 4 << 20)
            break;
    }
    CHECK(n > 4 << 20); /* it grows in proportion */
    CHECK(csp_blob_grow(b, 5) == b);
    csp_blob_free(b);
}

TEST(blob_of_impossible_size_is_no_memory)
{
    CHECK(csp_blob_new(SIZE_MAX) == NULL);
    CHECK(csp_blob_new(SIZE_MAX / 2) == NULL);
    CHECK(csp_block_new(SIZE_MAX - 100) == NULL);
    CHECK(csp_block_new((size_t)1 << 60) == NULL);
}

TEST(sizes_around_every_class_are_whole)
{
    for (size_t edge = 128; edge <= (size_t)8 << 20; edge += edge / 4)
        for (size_t n = edge - 70; n < edge + 70; n += 7) {
            csp_block *k = csp_block_new(n);
            csp_blob *b = csp_blob_new(n);
            CHECK(k->size == n && b->capacity >= n);
            k->data[n - 1] = b->data[b->capacity - 1] = 1; /* ASAN watches the end */
            csp_block_decref(k);
            csp_blob_free(b);
        }
    csp_pool_trim();
}

/* --- parts --- */

static int part_refs;
static void part_release(void *self) { *(int *)self -= 1; }
static void *part_clone(void *self)
{
    if (csp_mem_fails())
        return NULL;
    *(int *)self += 1;
    return self;
}
static const csp_part_ops ops = {"test", part_release, part_clone, NULL};

TEST(parts_are_released_with_their_blob)
{
    csp_blob *b = csp_blob_new(0);
    part_refs = 0;
    for (uint32_t i = 0; i < 20; i++) {
        uint32_t index;
        part_refs++;
        CHECK(csp_blob_add_part(b, &ops, &part_refs, i, &index));
        CHECK_EQ(index, i);
    }
    b = csp_blob_grow(b, 100000);
    CHECK_EQ(b->nparts, 20);
    CHECK_EQ(b->parts[19].extra, 19);
    csp_blob_free(b);
    CHECK_EQ(part_refs, 0);
}

TEST(clone_says_the_same_and_is_independent)
{
    csp_msg m = blob_msg(77), copy;
    uint32_t index;
    csp_block *block = csp_block_new(1000);
    part_refs = 1;
    CHECK(csp_blob_add_part(m.as.blob, &ops, &part_refs, 5, &index));
    CHECK(csp_blob_add_part(m.as.blob, &csp_block_part, block, 0, &index));
    CHECK(csp_msg_clone(&copy, &m));
    CHECK_EQ(part_refs, 2);
    csp_msg_clear(&m);
    CHECK_EQ(msg_int(&copy), 77);
    CHECK_EQ(copy.as.blob->parts[0].extra, 5);
    CHECK(copy.as.blob->parts[1].self == block); /* memory is shared, not copied */
    CHECK_EQ(part_refs, 1);
    csp_msg_clear(&copy);
    CHECK_EQ(part_refs, 0);
    csp_msg small = {.kind = CSP_MSG_INT, .as.integer = 4};
    CHECK(csp_msg_clone(&copy, &small));
    CHECK_EQ(copy.as.integer, 4);
}

TEST(clone_without_memory_leaves_nothing_behind)
{
    csp_msg m = blob_msg(77), copy;
    uint32_t index;
    part_refs = 2;
    CHECK(csp_blob_add_part(m.as.blob, &ops, &part_refs, 0, &index));
    CHECK(csp_blob_add_part(m.as.blob, &ops, &part_refs, 0, &index));
    int fail = 1;
    for (;; fail++) {
        csp_mem_fail_after(fail);
        if (csp_msg_clone(&copy, &m))
            break;
        CHECK_EQ(copy.kind, CSP_MSG_EMPTY);
        CHECK_EQ(part_refs, 2);
    }
    csp_mem_fail_after(0);
    CHECK(fail > 3);
    csp_msg_clear(&copy);
    csp_msg_clear(&m);
    CHECK_EQ(part_refs, 0);
}

TEST(clear_of_an_empty_message_is_harmless)
{
    csp_msg m = {.kind = CSP_MSG_EMPTY};
    csp_msg_clear(&m);
    m = blob_msg(1);
    csp_msg_clear(&m);
    csp_msg_clear(&m);
    CHECK_EQ(m.kind, CSP_MSG_EMPTY);
}

/* --- the pool --- */

TEST(small_memory_is_used_again)
{
    csp_pool_trim();
    csp_blob *a = csp_blob_new(100);
    csp_blob_free(a);
    CHECK(csp_pool_bytes() > 0);
    csp_blob *b = csp_blob_new(90);
    CHECK(a == b);
    csp_blob_free(b);
}

TEST(big_memory_is_used_again_warm)
{
    csp_pool_trim();
    csp_block *a = csp_block_new((size_t)16 << 20);
    memset(a->data, 1, a->size);
    csp_block_decref(a);
    csp_block *b = csp_block_new((size_t)16 << 20);
    CHECK(a == b);
    csp_block_decref(b);
    csp_pool_trim();
}

TEST(pool_keeps_a_bounded_amount_and_the_newest_giant)
{
    const size_t MB = (size_t)1 << 20;
    csp_pool_trim();
    csp_block *k[40];
    for (int i = 0; i < 40; i++)
        k[i] = csp_block_new(4 * MB);
    for (int i = 0; i < 40; i++)
        csp_block_decref(k[i]);
    CHECK(csp_pool_bytes() <= 64 * MB);
    CHECK(csp_pool_bytes() >= 60 * MB);
    csp_block *giant = csp_block_new(200 * MB), *other = csp_block_new(100 * MB);
    csp_block_decref(giant);
    CHECK(csp_pool_bytes() >= 260 * MB); /* beside the 64 MiB, which stay */
    csp_block *again = csp_block_new(200 * MB);
    CHECK(again == giant);
    csp_block_decref(again);
    csp_block_decref(other);
    CHECK(csp_pool_bytes() < 180 * MB); /* the older one went */
    csp_block *small[3000];
    for (int i = 0; i < 3000; i++)
        small[i] = csp_block_new(3000);
    for (int i = 0; i < 3000; i++)
        csp_block_decref(small[i]);
    CHECK(csp_pool_bytes() < 182 * MB);
    csp_pool_trim();
    CHECK_EQ(csp_pool_bytes(), 0);
}

TEST(oldest_big_memory_goes_first)
{
    const size_t MB = (size_t)1 << 20;
    csp_pool_trim();
    csp_block *old = csp_block_new(10 * MB), *k[10];
    for (int i = 0; i < 10; i++)
        k[i] = csp_block_new(6 * MB);
    csp_block_decref(old);
    for (int i = 0; i < 10; i++)
        csp_block_decref(k[i]); /* 70 MiB in all: the first comes out */
    CHECK_EQ(csp_pool_bytes() / MB, 60);
    csp_pool_trim();
}

typedef struct {
    pair p;
    int n;
} passing;

static void free_what_comes(void *arg)
{
    passing *x = arg;
    csp_msg m;
    while (recv_msg(x->p.in, &m, FOREVER) == CSP_OK) {
        CHECK_EQ(m.as.blob->data[m.as.blob->length - 1], 9);
        csp_msg_clear(&m);
    }
}

TEST(memory_made_in_one_thread_and_freed_in_another_is_whole)
{
    passing x = {pair_new(64), ROUNDS(30000)};
    uint64_t random = test_seed();
    task *t[2] = {spawn(free_what_comes, &x), spawn(free_what_comes, &x)};
    for (int i = 0; i < x.n; i++) {
        size_t length = 1 + random_to(&random, i % 100 == 0 ? 300000 : 2000);
        csp_msg m = {.kind = CSP_MSG_BLOB, .as.blob = csp_blob_new(length)};
        memset(m.as.blob->data, 9, length);
        m.as.blob->length = length;
        CHECK_EQ(send_msg(x.p.out, &m, FOREVER), CSP_OK);
    }
    csp_end_free(x.p.out);
    x.p.out = NULL;
    join(t[0]);
    join(t[1]);
    pair_free(x.p);
}

static int part_back;
static void part_unsend(void *self)
{
    (void)self;
    part_back++;
}
static const csp_part_ops moved_ops = {"moved", part_release, part_clone, part_unsend};

TEST(message_that_was_not_sent_gives_back_what_was_moved_into_it)
{
    uint32_t index;
    for (int sent = 0; sent < 2; sent++) {
        csp_blob *b = csp_blob_new(10);
        part_refs = 2;
        part_back = 0;
        CHECK(csp_blob_add_part(b, &ops, &part_refs, 0, &index));
        CHECK(csp_blob_add_part(b, &moved_ops, &part_refs, 0, &index));
        csp_msg msg = {.kind = CSP_MSG_BLOB, .as.blob = b};
        if (sent)
            csp_msg_clear(&msg);
        else
            csp_msg_unsend(&msg);
        CHECK_EQ(msg.kind, CSP_MSG_EMPTY);
        CHECK_EQ(part_refs, 0);
        CHECK_EQ(part_back, !sent);
    }
    csp_msg number = {.kind = CSP_MSG_INT, .as.integer = 3};
    csp_msg_unsend(&number);
    CHECK_EQ(number.kind, CSP_MSG_EMPTY);
}
