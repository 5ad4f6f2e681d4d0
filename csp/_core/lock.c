/* The engine's mutex: three states in one word, after Drepper's "Futexes Are Tricky" (mutex 2), with a short spin first
 * because a holder is gone within a hundred nanoseconds unless the scheduler took it off its core.
 *
 * The debug half keeps a per-thread stack of held locks and checks the order of lock.h.
 */
#include "lock.h"

#include <stdio.h>
#include <stdlib.h>

#include "mem.h"
#include "park.h"

/* Pauses between two looks: each look takes the line, with what the lock protects, from the holder, who else does several
 * operations in the time of one contended one.  In all about what a sleep and a wake-up would cost, for the holder may be
 * at work on a whole batch. */
#define LOCK_FIRST 32
#define LOCK_NEXT 64
#define LOCK_LOOKS 8

_Thread_local long csp_mem_countdown = 0; /* process-wide in kind, one a thread: see mem.h */

_Noreturn void csp_fatal(const char *text)
{
    fprintf(stderr, "csp: fatal: %s\n", text);
    fflush(stderr);
    abort();
}

void csp_lock_init(csp_lock *lock, csp_rank rank, uint64_t order)
{
    atomic_init(&lock->word, 0);
#ifdef CSP_DEBUG_LOCKS
    lock->rank = rank;
    lock->order = order;
#else
    (void)rank;
    (void)order;
#endif
}

void csp_lock_acquire_slow(csp_lock *lock)
{
    for (int looks = csp_cores() > 1 ? LOCK_LOOKS : 0; looks > 0; looks--) {
        for (int pauses = looks == LOCK_LOOKS ? LOCK_FIRST : LOCK_NEXT; pauses > 0; pauses--)
            csp_pause();
        uint32_t free = 0;
        /* Relaxed look first: an exchange in vain would steal the line all the same. */
        if (atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(&lock->word, &free, 1, memory_order_acquire, memory_order_relaxed))
            return;
    }
    /* 2 says that somebody may sleep; having slept we cannot know whether others still do, so we keep saying it. */
    while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0)
        csp_futex_wait(&lock->word, 2, CSP_NEVER);
}

void csp_lock_release_slow(csp_lock *lock) { csp_futex_wake(&lock->word); }

#ifdef CSP_DEBUG_LOCKS
#define HELD_MAX 4096

static const char *const rank_names[] = {
#define CSP_RANK(name) #name,
    CSP_LOCK_RANKS(CSP_RANK)
#undef CSP_RANK
};

static _Thread_local csp_lock *held[HELD_MAX];
static _Thread_local int nheld;

void csp_lock_note_acquire(csp_lock *lock)
{
    for (int i = 0; i < nheld; i++) {
        csp_lock *other = held[i];
        if (other->rank > lock->rank || (other->rank == lock->rank && other->order >= lock->order)) {
            fprintf(stderr, "csp: lock order: %s/%llu wanted while holding %s/%llu\n", rank_names[lock->rank],
                    (unsigned long long)lock->order, rank_names[other->rank], (unsigned long long)other->order);
            abort();
        }
    }
    if (nheld == HELD_MAX)
        csp_fatal("lock: too many held by one thread");
    held[nheld++] = lock;
}

void csp_lock_note_release(csp_lock *lock)
{
    for (int i = nheld - 1; i >= 0; i--) {
        if (held[i] == lock) {
            held[i] = held[--nheld];
            return;
        }
    }
    csp_fatal("lock: released by a thread that does not hold it");
}

bool csp_lock_is_held(csp_lock *lock)
{
    for (int i = 0; i < nheld; i++)
        if (held[i] == lock)
            return true;
    return false;
}
#endif
