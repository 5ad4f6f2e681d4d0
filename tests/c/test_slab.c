/* Slabs: one memory, mapped twice, filled by one side and read by the other. */
#include "harness.h"

#include "slab.h"

#ifdef __linux__
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* Both sides of one, as two processes have them. */
static void both(size_t size, csp_slab **p_ours, csp_slab **p_theirs)
{
    int fd;
    *p_ours = csp_slab_new(size, &fd);
    CHECK(*p_ours != NULL && (*p_ours)->size >= size);
    *p_theirs = csp_slab_of(fd);
    CHECK(*p_theirs != NULL && (*p_theirs)->size == (*p_ours)->size);
    close(fd);
}

TEST(slab_is_filled_here_and_read_there)
{
    for (size_t size = 0; size <= (size_t)3 << 20; size = size * 5 + 1) {
        csp_slab *ours, *theirs;
        both(size, &ours, &theirs);
        for (int i = 0; i < 3; i++) {
            CHECK(csp_slab_claim(ours) && !csp_slab_claim(ours));
            memset(csp_slab_data(ours), i + 1, size);
            csp_block *block = csp_slab_block(theirs, size);
            CHECK(block != NULL && block->size == size && csp_block_is_laid(block));
            CHECK(size == 0 || (block->data[0] == i + 1 && block->data[size - 1] == i + 1));
            CHECK(csp_slab_block(theirs, size) == NULL);
            CHECK_EQ(csp_blocks_live(), 1);
            CHECK(!csp_slab_claim(ours));
            csp_block_decref(block);
            CHECK_EQ(csp_slabs_idle(), theirs->mapped);
        }
        CHECK(csp_slab_block(theirs, theirs->size + 1) == NULL);
        csp_slab_decref(ours);
        csp_slab_decref(theirs);
        CHECK_EQ(csp_slabs_idle(), 0);
    }
    CHECK_EQ(csp_slabs_live(), 0);
}

TEST(slab_that_was_not_sent_is_free)
{
    csp_slab *ours, *theirs;
    both(100, &ours, &theirs);
    CHECK(csp_slab_claim(ours));
    csp_slab_unclaim(ours);
    CHECK(csp_slab_claim(ours));
    csp_slab_decref(ours);
    csp_slab_decref(theirs);
}

TEST(slab_lives_as_long_as_its_block)
{
    csp_slab *ours, *theirs;
    both(5000, &ours, &theirs);
    CHECK(csp_slab_claim(ours));
    csp_slab_data(ours)[4999] = 7;
    csp_block *block = csp_slab_block(theirs, 5000);
    csp_slab_decref(ours);
    csp_slab_decref(theirs);
    CHECK_EQ(csp_slabs_live(), 1);
    CHECK_EQ(block->data[4999], 7);
    csp_block *copy = csp_block_part.clone(block); /* two messages do not stand on one slab */
    CHECK(copy != block && copy->data[4999] == 7);
    csp_block_decref(block);
    csp_block_decref(copy);
    CHECK_EQ(csp_slabs_live(), 0);
    csp_pool_trim();
}

TEST(slabs_beyond_what_is_kept_give_their_pages_back)
{
    enum { N = 6 };
    csp_slab *ours[N], *theirs[N];
    csp_block *blocks[N];
    size_t size = (size_t)60 << 20;
    for (int i = 0; i < N; i++) {
        int fd;
        ours[i] = csp_slab_new(size, &fd);
        theirs[i] = csp_slab_of(fd);
        close(fd);
        CHECK(csp_slab_claim(ours[i]));
        csp_slab_data(ours[i])[0] = 1;
        blocks[i] = csp_slab_block(theirs[i], size);
    }
    for (int i = 0; i < N; i++)
        csp_block_decref(blocks[i]);
    CHECK_EQ(csp_slabs_idle(), 4 * theirs[0]->mapped);
    CHECK_EQ(csp_slab_data(ours[0])[0], 1);
    CHECK_EQ(csp_slab_data(ours[N - 1])[0], 0); /* these pages are new */
    CHECK(csp_slab_claim(ours[N - 1]) && !csp_slab_claim(ours[N - 1]));
    for (int i = 0; i < N; i++) {
        csp_slab_decref(ours[i]);
        csp_slab_decref(theirs[i]);
    }
    CHECK_EQ(csp_slabs_idle(), 0);
}

TEST(two_slabs_are_kept_however_large)
{
    csp_slab *ours[3], *theirs[3];
    csp_block *blocks[3];
    size_t size = (size_t)130 << 20;
    for (int i = 0; i < 3; i++) {
        both(size, &ours[i], &theirs[i]);
        CHECK(csp_slab_claim(ours[i]));
        csp_slab_data(ours[i])[0] = 1;
        blocks[i] = csp_slab_block(theirs[i], size);
    }
    for (int i = 0; i < 3; i++)
        csp_block_decref(blocks[i]);
    CHECK_EQ(csp_slabs_idle(), 2 * theirs[0]->mapped);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(csp_slab_data(ours[i])[0], i < 2);
        csp_slab_decref(ours[i]);
        csp_slab_decref(theirs[i]);
    }
}

TEST(slab_of_another_file_is_refused)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK(csp_slab_of(ends[0]) == NULL);
    close(ends[0]);
    close(ends[1]);
    FILE *file = tmpfile();
    CHECK(file != NULL && csp_slab_of(fileno(file)) == NULL);
    fclose(file);
    CHECK(csp_slab_new(SIZE_MAX / 2, &ends[0]) == NULL);
    CHECK_EQ(csp_slabs_live(), 0);
}

static void *drop(void *block)
{
    csp_block_decref(block);
    return NULL;
}

TEST(slab_goes_to_and_fro_between_threads)
{
    csp_slab *ours, *theirs;
    both(1000, &ours, &theirs);
    for (int i = 0; i < 300; i++) {
        while (!csp_slab_claim(ours))
            sched_yield();
        csp_slab_data(ours)[0] = (unsigned char)i;
        csp_block *block = csp_slab_block(theirs, 1000);
        CHECK(block != NULL && block->data[0] == (unsigned char)i);
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, drop, block) == 0);
        CHECK(pthread_detach(thread) == 0);
    }
    while (!csp_slab_claim(ours))
        sched_yield();
    csp_slab_decref(ours);
    csp_slab_decref(theirs);
    while (csp_slabs_live() > 0)
        sched_yield();
}

TEST(slab_is_not_given_back_by_the_child_of_a_fork)
{
    csp_slab *ours, *theirs;
    both(1000, &ours, &theirs);
    CHECK(csp_slab_claim(ours));
    csp_block *block = csp_slab_block(theirs, 1000);
    pid_t child = fork();
    if (child == 0) {
        csp_block_decref(block);
        _exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(!csp_slab_claim(ours));
    csp_block_decref(block);
    CHECK(csp_slab_claim(ours));
    csp_slab_decref(ours);
    csp_slab_decref(theirs);
}

#endif
