/* One sleeping thread: the clock, the futex, the adaptive spin.  The only room that sleeps (law L2).
 *
 * Three implementations of the futex pair, chosen when compiled: Linux futex(2); WaitOnAddress on Windows; and a
 * table of mutex + condition variable buckets anywhere else (force it with -DCSP_PARK_PTHREAD).
 */
#ifndef CSP_PARK_H
#define CSP_PARK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef int64_t csp_time; /* nanoseconds of the monotonic clock, the one of time.monotonic() */
#define CSP_NEVER INT64_MAX

csp_time csp_now(void);

typedef enum { CSP_WOKEN, CSP_SLEPT_OUT, CSP_SIGNALLED } csp_sleep;

/* Sleep while *word == expected, until woken, the deadline passes or a signal handler ran in this thread.
 * May also answer CSP_WOKEN for no reason at all: callers loop. */
csp_sleep csp_futex_wait(_Atomic uint32_t *word, uint32_t expected, csp_time deadline);

/* Wake one / all sleepers on the address.  The memory may already be gone: only the address is used. */
void csp_futex_wake(_Atomic uint32_t *word);
void csp_futex_wake_all(_Atomic uint32_t *word);

/* Which of the three was compiled in: "futex", "WaitOnAddress" or "pthread". */
extern const char csp_parking[];

/* Cores this process may run on, read once. */
int csp_cores(void);

static inline void csp_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* The line will be written soon: fetch it for that at once, instead of for reading first and for writing again. */
static inline void csp_prefetch_write(void *line)
{
#if defined(__x86_64__)
    __asm__ __volatile__("prefetchw %0" : : "m"(*(char *)line));
#else
    __builtin_prefetch(line, 1);
#endif
}

/* Whether spinning has been paying off lately (one in each channel).
 * Relaxed everywhere: it is advice, a stale answer costs one useless or one missed spin. */
typedef struct {
    _Atomic int8_t credit;  /* > 0: spin */
    _Atomic uint8_t skip;   /* waits still to go without a spin once credit ran out */
} csp_spin;

bool csp_spin_begin(csp_spin *spin);          /* spin now?  Never on one core */
void csp_spin_end(csp_spin *spin, bool paid); /* after each begin that said yes: learn from it */

/* A spin that gets long takes one of (cores - 1) places in the process, if one is free, and leaves it at its end. */
bool csp_spin_enter_long(void);
void csp_spin_leave_long(void);

/* In the child of a fork, once, by the registry. */
void csp_park_after_fork(void);

#endif
