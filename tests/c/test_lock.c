/* The engine's mutex and the order in which locks may be taken. */
#include "harness.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

static csp_lock shared;
static long counter; /* plain on purpose: the lock alone protects it */

static void add_many(void *n)
{
    for (long i = 0; i < *(long *)n; i++) {
        csp_lock_acquire(&shared);
        counter++;
        csp_lock_release(&shared);
    }
}

TEST(lock_excludes_threads_from_each_other)
{
    long n = ROUNDS(200000);
    task *threads[4];
    csp_lock_init(&shared, CSP_RANK_CHAN, 1);
    counter = 0;
    for (int i = 0; i < 4; i++)
        threads[i] = spawn(add_many, &n);
    for (int i = 0; i < 4; i++)
        join(threads[i]);
    CHECK_EQ(counter, 4 * n);
}

static void take_once(void *arg)
{
    _Atomic int *state = arg;
    atomic_store(state, 1);
    csp_lock_acquire(&shared);
    atomic_store(state, 2);
    csp_lock_release(&shared);
}

TEST(lock_waits_for_a_holder_that_went_to_sleep)
{
    _Atomic int state = 0;
    csp_lock_init(&shared, CSP_RANK_CHAN, 1);
    csp_lock_acquire(&shared);
    task *t = spawn(take_once, &state);
    while (atomic_load_explicit(&shared.word, memory_order_relaxed) != 2) /* the other one says that it sleeps */
        sched_yield();
    CHECK_EQ(atomic_load(&state), 1);
    csp_lock_release(&shared);
    join(t);
    CHECK_EQ(atomic_load(&state), 2);
}

#ifdef CSP_DEBUG_LOCKS
/* Does it abort?  In a child, since it takes the process with it. */
static bool aborts(void (*function)(void))
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(9);
        function();
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static csp_lock low, high, high_too;

static void init_ranks(void)
{
    csp_lock_init(&low, CSP_RANK_INTERP, 1);
    csp_lock_init(&high, CSP_RANK_CHAN, 1);
    csp_lock_init(&high_too, CSP_RANK_CHAN, 2);
}

static void ascending(void) { csp_lock_acquire(&low), csp_lock_acquire(&high), csp_lock_acquire(&high_too); }
static void descending(void) { csp_lock_acquire(&high), csp_lock_acquire(&low); }
static void descending_order(void) { csp_lock_acquire(&high_too), csp_lock_acquire(&high); }
static void twice(void) { csp_lock_acquire(&high), csp_lock_acquire(&high); }
static void unheld(void) { csp_lock_release(&high); }
static void unheld_assert(void) { CSP_ASSERT_HELD(&high); }

TEST(lock_order_is_checked_in_debug_builds)
{
    init_ranks();
    CHECK(!aborts(ascending));
    CHECK(aborts(descending));
    CHECK(aborts(descending_order));
    CHECK(aborts(twice));
    CHECK(aborts(unheld));
    CHECK(aborts(unheld_assert));
}
#endif
