/* The service thread of all watchdogs, and the list that it looks after. */
#include "watchdog.h"

#include <pthread.h>

#include "lock.h"

static csp_lock watch_lock = CSP_LOCK_INIT(WATCH); /* process-wide */
static csp_watch *first;       /* process-wide; guarded by watch_lock */
static uint32_t nwatches;      /* process-wide; guarded by watch_lock */
static csp_watch *called;      /* process-wide; guarded by watch_lock: whose function runs now, outside the lock */
static bool service;           /* process-wide; guarded by watch_lock: the thread is there, or about to be */
static csp_time sleeps_until;  /* process-wide; guarded by watch_lock */
static _Atomic uint32_t news;  /* process-wide; futex word of the service; release in tell / acquire before it looks */
static _Atomic uint32_t calls; /* process-wide; futex word, + 1 after each call; release / acquire in csp_watch_end */

/* --- fork --- */

/* The child has no service thread, and none of those that were watched. */
static void after_fork_in_child(void)
{
    csp_lock_init(&watch_lock, CSP_RANK_WATCH, 0);
    first = called = NULL;
    nwatches = 0;
    service = false;
}

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static void install(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

/* --- the list --- */

static void enter_locked(csp_watch *watch)
{
    CSP_ASSERT_HELD(&watch_lock);
    watch->prev = NULL;
    watch->next = first;
    if (first != NULL)
        first->prev = watch;
    first = watch;
    watch->listed = true;
    nwatches++;
}

static void leave_locked(csp_watch *watch)
{
    CSP_ASSERT_HELD(&watch_lock);
    if (!watch->listed)
        return;
    *(watch->prev != NULL ? &watch->prev->next : &first) = watch->next;
    if (watch->next != NULL)
        watch->next->prev = watch->prev;
    watch->listed = false;
    nwatches--;
}

static void tell(void)
{
    atomic_fetch_add_explicit(&news, 1, memory_order_release);
    csp_futex_wake_all(&news);
}

/* --- the service --- */

/* When the watch is due again, or what is not after `now`: then the limit is exceeded. */
static csp_time judge_locked(csp_watch *watch, csp_time now)
{
    CSP_ASSERT_HELD(&watch_lock);
    csp_time last = csp_interp_waits_now(watch->interp) ? now : csp_interp_progress(watch->interp);
    if (watch->asked > last) /* it owes an answer, and may be at something shorter than the limit */
        last = watch->asked;
    else if (csp_interp_ask_heart(watch->interp)) {
        watch->asked = now;
        return now + watch->limit / 2;
    }
    return last > CSP_NEVER - watch->limit ? CSP_NEVER : last + watch->limit;
}

/* One that is over its limit or its grace, or NULL: then *p_due is when to look again. */
static csp_watch *find_exceeded_locked(csp_time *p_due)
{
    CSP_ASSERT_HELD(&watch_lock);
    csp_time now = csp_now(), earliest = CSP_NEVER;
    for (csp_watch *watch = first; watch != NULL; watch = watch->next) {
        if (watch->due <= now && !watch->struck)
            watch->due = judge_locked(watch, now);
        if (watch->due <= now)
            return watch;
        earliest = watch->due < earliest ? watch->due : earliest;
    }
    *p_due = earliest;
    return NULL;
}

/* Strike it, or give it up.  Lets go of the lock meanwhile: csp_watch_end waits for us, so the memory stays. */
static void act_locked(csp_watch *watch)
{
    CSP_ASSERT_HELD(&watch_lock);
    bool again = watch->struck;
    called = watch;
    csp_lock_release(&watch_lock);
    bool goes_on = false;
    if (again)
        watch->give_up(watch->self);
    else
        goes_on = watch->strike(watch->self);
    csp_lock_acquire(&watch_lock);
    called = NULL;
    watch->struck = true;
    watch->due = csp_now() + watch->grace;
    if (!goes_on)
        leave_locked(watch);
    atomic_fetch_add_explicit(&calls, 1, memory_order_release);
    csp_futex_wake_all(&calls);
}

static void *service_main(void *unused)
{
    csp_lock_acquire(&watch_lock);
    while (first != NULL) {
        csp_time due;
        uint32_t seen = atomic_load_explicit(&news, memory_order_acquire); /* before looking: no lost wake-up */
        csp_watch *watch = find_exceeded_locked(&due);
        if (watch != NULL) {
            act_locked(watch);
            continue;
        }
        sleeps_until = due;
        csp_lock_release(&watch_lock);
        csp_futex_wait(&news, seen, due);
        csp_lock_acquire(&watch_lock);
    }
    service = false;
    csp_lock_release(&watch_lock);
    return unused;
}

static bool start_service(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    bool started = pthread_create(&thread, &attr, service_main, NULL) == 0;
    pthread_attr_destroy(&attr);
    return started;
}

/* --- watching --- */

bool csp_watch_begin(csp_watch *watch)
{
    pthread_once(&fork_once, install);
    csp_interp_watch(watch->interp);
    csp_time now = csp_now();
    csp_lock_acquire(&watch_lock);
    watch->due = now > CSP_NEVER - watch->limit ? CSP_NEVER : now + watch->limit;
    watch->asked = 0;
    watch->struck = false;
    enter_locked(watch);
    bool starts = !service, earlier = service && watch->due < sleeps_until;
    if (starts) {
        service = true;
        sleeps_until = 0; /* it looks before it sleeps */
    }
    csp_lock_release(&watch_lock);
    if (earlier)
        tell();
    if (!starts || start_service())
        return true;
    csp_lock_acquire(&watch_lock);
    service = false; /* others that came meanwhile are not watched before the next one begins */
    leave_locked(watch);
    csp_lock_release(&watch_lock);
    return false;
}

void csp_watch_cancel(csp_watch *watch)
{
    csp_lock_acquire(&watch_lock);
    bool last = watch->listed && nwatches == 1;
    leave_locked(watch);
    csp_lock_release(&watch_lock);
    if (last)
        tell();
}

void csp_watch_end(csp_watch *watch)
{
    csp_watch_cancel(watch);
    for (;;) {
        uint32_t seen = atomic_load_explicit(&calls, memory_order_acquire); /* before looking: no lost wake-up */
        csp_lock_acquire(&watch_lock);
        bool busy = called == watch;
        csp_lock_release(&watch_lock);
        if (!busy)
            return;
        csp_futex_wait(&calls, seen, CSP_NEVER);
    }
}

uint32_t csp_watches(bool *p_service)
{
    csp_lock_acquire(&watch_lock);
    uint32_t n = nwatches;
    *p_service = service;
    csp_lock_release(&watch_lock);
    return n;
}
