/* Watchdogs: who finishes nothing and waits for nothing for too long is struck.
 *
 * One service thread for all of the process: it is started with the first watch, sleeps until the earliest of them is due, and
 * ends with the last.  Who is watched only notes when it last made progress (csp_interp_progressed, and each wait that slept);
 * nobody wakes the service for that: when a watch is due it looks, and is due again later if there was progress, or if a
 * thread of the interpreter waits now.  So a watch that is quiet costs one look in each `limit`, and one that is exceeded is
 * struck at its moment.
 *
 * Who lives in an event loop (csp_interp_set_heart) has nothing to note while that is idle: it is asked to turn, again and again, and is
 * struck if it has not for a whole `limit` since it was asked.
 *
 * A watch is struck, and, if it has not been ended when the grace is over, given up.
 *
 * After systemd's WatchdogSec=, but for what counts as a sign of life.
 */
#ifndef CSP_WATCHDOG_H
#define CSP_WATCHDOG_H

#include "interp.h"

typedef struct csp_watch {
    struct csp_interp *interp; /* immutable while listed; kept alive by who began it: whose progress counts */
    csp_time limit, grace;     /* immutable while listed */
    void *self;                /* immutable while listed; what the two are called with */
    bool (*strike)(void *self); /* immutable; in the service thread, no lock held; false: not to be given up, it is over */
    void (*give_up)(void *self); /* immutable; as above */
    csp_time due;              /* guarded by the watchdogs' lock */
    csp_time asked;            /* guarded by the watchdogs' lock: when an event loop was asked to turn; 0: never */
    bool struck;               /* guarded by the watchdogs' lock */
    bool listed;               /* guarded by the watchdogs' lock */
    struct csp_watch *next, *prev; /* guarded by the watchdogs' lock, while listed */
} csp_watch;

/* From now on.  False: no thread could be had, and nothing is watched.  The first five fields are set by the caller. */
bool csp_watch_begin(csp_watch *watch);

/* Not any more.  Waits for a strike or a giving up that is going on; afterwards the memory is the caller's again.  Idempotent,
 * and fine for one that never began (all zero). */
void csp_watch_end(csp_watch *watch);

/* As the end, without the wait: for who may be called by the service thread itself. */
void csp_watch_cancel(csp_watch *watch);

/* How many are watched; is there a service thread? */
uint32_t csp_watches(bool *p_service);

#endif
