/* The engine's mutex, and the one table of the lock order.
 *
 * A lock protects a few dozen instructions and is never held while Python code can run, while memory of an
 * interpreter is allocated or freed, or while waiting to attach a thread state (law L1).  So a holder can only
 * be delayed by the scheduler, and taking a lock with the GIL attached is fine.
 *
 * Order: a thread takes locks in ascending rank; several of equal rank (select) in ascending `order`, which for
 * a channel is its id.  With CSP_DEBUG_LOCKS each thread keeps the stack of what it holds, and a wrong order
 * aborts with both names.
 */
#ifndef CSP_LOCK_H
#define CSP_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The lock order, lowest first.  X(name) */
#define CSP_LOCK_RANKS(X)                                                                           \
    X(WATCH)    /* the list of watchdogs */                                                          \
    X(OWNER)    /* csp_owner: the guard of an interpreter that others enter */                      \
    X(ACTOR)    /* csp_actor: state, monitors */                                                    \
    X(INTERP)   /* csp_interp: handles, leases, parked waiters */                                   \
    X(CHAN)     /* csp_chan: buffer, wait queues, ends; several at once in ascending id */          \
    X(REGISTRY) /* the process-wide tables */                                                       \
    X(POOL)     /* free lists of blobs and blocks */                                                \
    X(LOOP)     /* an event loop's list of fired waiters */

typedef enum {
#define CSP_RANK(name) CSP_RANK_##name,
    CSP_LOCK_RANKS(CSP_RANK)
#undef CSP_RANK
} csp_rank;

typedef struct {
    _Atomic uint32_t word; /* 0 free, 1 held, 2 held and somebody sleeps; acquire in acquire / release in release */
#ifdef CSP_DEBUG_LOCKS
    csp_rank rank;  /* immutable after init */
    uint64_t order; /* immutable after init; ties between equal ranks */
#endif
} csp_lock;

/* A free lock in static storage. */
#ifdef CSP_DEBUG_LOCKS
#define CSP_LOCK_INIT(rank_) {.rank = CSP_RANK_##rank_}
#else
#define CSP_LOCK_INIT(rank_) {0}
#endif

/* Make a free lock.  `order` breaks ties between locks of equal rank that are held together. */
void csp_lock_init(csp_lock *lock, csp_rank rank, uint64_t order);
void csp_lock_acquire_slow(csp_lock *lock);
void csp_lock_release_slow(csp_lock *lock);

#ifdef CSP_DEBUG_LOCKS
void csp_lock_note_acquire(csp_lock *lock);
void csp_lock_note_release(csp_lock *lock);
bool csp_lock_is_held(csp_lock *lock);
#define CSP_ASSERT_HELD(lock) \
    do { if (!csp_lock_is_held(lock)) csp_fatal("lock: a _locked function was called without its lock"); } while (0)
#else
#define csp_lock_note_acquire(lock) ((void)0)
#define csp_lock_note_release(lock) ((void)0)
#define CSP_ASSERT_HELD(lock) ((void)0)
#endif

/* An invariant of ours is broken: print the constant text and abort.  Never for a user's mistake. */
_Noreturn void csp_fatal(const char *text);

static inline void csp_lock_acquire(csp_lock *lock)
{
    uint32_t free = 0;
    csp_lock_note_acquire(lock);
    if (!atomic_compare_exchange_strong_explicit(&lock->word, &free, 1, memory_order_acquire, memory_order_relaxed))
        csp_lock_acquire_slow(lock);
}

static inline void csp_lock_release(csp_lock *lock)
{
    csp_lock_note_release(lock);
    if (atomic_exchange_explicit(&lock->word, 0, memory_order_release) == 2)
        csp_lock_release_slow(lock);
}

#endif
