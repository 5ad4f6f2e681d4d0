/* The clock, the futex pair in its three shapes, and the adaptive spin. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_getaffinity, syscall */
#endif
#include "park.h"

#if defined(__linux__) && !defined(CSP_PARK_PTHREAD)
#define PARK_FUTEX
#elif defined(_WIN32) && !defined(CSP_PARK_PTHREAD)
#define PARK_WINDOWS
#endif

#ifdef _WIN32
#include <windows.h>
#else
#include <time.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <sched.h>
#endif

/* --- the clock --- */

#define NS_PER_S 1000000000LL

csp_time csp_now(void)
{
#ifdef _WIN32
    static _Atomic int64_t frequency; /* process-wide; written with one value only */
    LARGE_INTEGER count, hz;
    int64_t f = atomic_load_explicit(&frequency, memory_order_relaxed); /* relaxed: stale means computed again */
    if (f == 0) {
        QueryPerformanceFrequency(&hz);
        f = hz.QuadPart;
        atomic_store_explicit(&frequency, f, memory_order_relaxed);
    }
    QueryPerformanceCounter(&count);
    return (count.QuadPart / f) * NS_PER_S + (count.QuadPart % f) * NS_PER_S / f;
#else
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (csp_time)ts.tv_sec * NS_PER_S + ts.tv_nsec;
#endif
}

int csp_cores(void)
{
    static _Atomic int cores; /* process-wide; written with one value only */
    int n = atomic_load_explicit(&cores, memory_order_relaxed); /* relaxed: stale means counted again */
    if (n > 0)
        return n;
#ifdef __linux__
    cpu_set_t set;
    n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
#elif defined(_WIN32)
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    n = (int)info.dwNumberOfProcessors;
#else
    n = (int)sysconf(_SC_NPROCESSORS_ONLN);
#endif
    if (n < 1)
        n = 1;
    atomic_store_explicit(&cores, n, memory_order_relaxed);
    return n;
}

/* --- the futex --- */

#ifdef PARK_FUTEX
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>

const char csp_parking[] = "futex";

csp_sleep csp_futex_wait(_Atomic uint32_t *word, uint32_t expected, csp_time deadline)
{
    struct timespec at, *until = NULL;
    if (deadline != CSP_NEVER) {
        at.tv_sec = deadline / NS_PER_S;
        at.tv_nsec = deadline % NS_PER_S;
        until = &at;
    }
    /* WAIT_BITSET takes an absolute monotonic time: nothing to recompute after a signal. */
    long rc = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, until, NULL,
                      FUTEX_BITSET_MATCH_ANY);
    if (rc == 0 || errno == EAGAIN)
        return CSP_WOKEN;
    return errno == ETIMEDOUT ? CSP_SLEPT_OUT : errno == EINTR ? CSP_SIGNALLED : CSP_WOKEN;
}

static void futex_wake(_Atomic uint32_t *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n, NULL, NULL, 0);
}

void csp_futex_wake(_Atomic uint32_t *word) { futex_wake(word, 1); }
void csp_futex_wake_all(_Atomic uint32_t *word) { futex_wake(word, INT_MAX); }

#elif defined(PARK_WINDOWS)

const char csp_parking[] = "WaitOnAddress";

csp_sleep csp_futex_wait(_Atomic uint32_t *word, uint32_t expected, csp_time deadline)
{
    DWORD ms = INFINITE;
    if (deadline != CSP_NEVER) {
        csp_time left = deadline - csp_now();
        if (left <= 0)
            return CSP_SLEPT_OUT;
        ms = left / 1000000 > 0x7fffffff ? 0x7fffffff : (DWORD)((left + 999999) / 1000000);
    }
    if (WaitOnAddress((volatile VOID *)word, &expected, sizeof expected, ms))
        return CSP_WOKEN;
    return GetLastError() == ERROR_TIMEOUT ? CSP_SLEPT_OUT : CSP_WOKEN;
}

void csp_futex_wake(_Atomic uint32_t *word) { WakeByAddressSingle((PVOID)word); }
void csp_futex_wake_all(_Atomic uint32_t *word) { WakeByAddressAll((PVOID)word); }

#else /* anywhere with POSIX threads */
#include <errno.h>
#include <pthread.h>

const char csp_parking[] = "pthread";

/* Sleepers hash by address into buckets that are never destroyed, so a waker needs nothing of the sleeper's memory but
 * its address, as with a futex.  A shared bucket costs a spurious wake-up, no more. */
#define BUCKETS 64

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
} bucket;

static bucket buckets[BUCKETS]; /* process-wide */
static pthread_once_t buckets_once = PTHREAD_ONCE_INIT;
static bool buckets_made; /* process-wide; written once, in buckets_once; read in the child of a fork */

static void buckets_init(void)
{
    for (int i = 0; i < BUCKETS; i++) {
        pthread_condattr_t attr;
        pthread_condattr_init(&attr);
#ifndef __APPLE__
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
#endif
        pthread_mutex_init(&buckets[i].mutex, NULL);
        pthread_cond_init(&buckets[i].changed, &attr);
        pthread_condattr_destroy(&attr);
    }
    buckets_made = true;
}

static bucket *bucket_of(_Atomic uint32_t *word)
{
    pthread_once(&buckets_once, buckets_init);
    return &buckets[((uintptr_t)word >> 4) * 0x9E3779B97F4A7C15ull >> 58];
}

/* A condition variable does not return on a signal, so the wait is cut into slices: the main thread's caller looks for
 * signals after each CSP_SIGNALLED. */
#define SLICE (50 * 1000000LL)

static int timed_wait(bucket *b, csp_time until)
{
#ifdef __APPLE__ /* no monotonic condition variables: a relative wait */
    csp_time left = until - csp_now();
    struct timespec ts = {left > 0 ? left / NS_PER_S : 0, left > 0 ? left % NS_PER_S : 0};
    return pthread_cond_timedwait_relative_np(&b->changed, &b->mutex, &ts);
#else
    struct timespec ts = {until / NS_PER_S, until % NS_PER_S};
    return pthread_cond_timedwait(&b->changed, &b->mutex, &ts);
#endif
}

csp_sleep csp_futex_wait(_Atomic uint32_t *word, uint32_t expected, csp_time deadline)
{
    bucket *b = bucket_of(word);
    csp_sleep slept = CSP_WOKEN;
    csp_time slice = csp_now() + SLICE;
    pthread_mutex_lock(&b->mutex);
    if (atomic_load_explicit(word, memory_order_acquire) == expected) { /* pairs with the release of who changed it */
        int rc = timed_wait(b, deadline < slice ? deadline : slice);
        if (rc == ETIMEDOUT)
            slept = deadline <= slice ? CSP_SLEPT_OUT : CSP_SIGNALLED;
    }
    pthread_mutex_unlock(&b->mutex);
    return slept;
}

void csp_futex_wake_all(_Atomic uint32_t *word)
{
    bucket *b = bucket_of(word);
    pthread_mutex_lock(&b->mutex);
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

void csp_futex_wake(_Atomic uint32_t *word) { csp_futex_wake_all(word); } /* the bucket may hold strangers */
#endif

/* --- the adaptive spin --- */

#define CREDIT_MAX 8
#define SKIP 32

static _Atomic int spinning; /* process-wide: threads in a long spin.  Relaxed: a place too many is harmless */

bool csp_spin_begin(csp_spin *spin)
{
    if (spin == NULL || csp_cores() < 2)
        return false;
    if (atomic_load_explicit(&spin->credit, memory_order_relaxed) > 0)
        return true;
    uint8_t skip = atomic_load_explicit(&spin->skip, memory_order_relaxed);
    if (skip == 0)
        return true; /* skipped long enough: one try earns new credit or another stretch without */
    atomic_store_explicit(&spin->skip, (uint8_t)(skip - 1), memory_order_relaxed);
    return false;
}

bool csp_spin_enter_long(void)
{
    if (atomic_fetch_add_explicit(&spinning, 1, memory_order_relaxed) < csp_cores() - 1)
        return true;
    csp_spin_leave_long();
    return false;
}

void csp_spin_leave_long(void) { atomic_fetch_sub_explicit(&spinning, 1, memory_order_relaxed); }

void csp_spin_end(csp_spin *spin, bool paid)
{
    int8_t credit = atomic_load_explicit(&spin->credit, memory_order_relaxed);
    if (paid) {
        if (credit < CREDIT_MAX)
            atomic_store_explicit(&spin->credit, (int8_t)(credit + 1), memory_order_relaxed);
        return;
    }
    if (credit > 0)
        atomic_store_explicit(&spin->credit, (int8_t)(credit - 1), memory_order_relaxed);
    if (credit <= 1)
        atomic_store_explicit(&spin->skip, SKIP, memory_order_relaxed);
}

/* --- fork --- */

void csp_park_after_fork(void)
{
    atomic_store_explicit(&spinning, 0, memory_order_relaxed); /* only one thread is left */
#if !defined(PARK_FUTEX) && !defined(PARK_WINDOWS)
    if (buckets_made)
        buckets_init(); /* a mutex may be held by a thread that is no more */
#endif
}
