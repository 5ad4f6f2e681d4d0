/* One record a live interpreter that has loaded csp: what it owns, whom to wake when it is stopped, and what has to
 * be given up when it dies.  An interpreter's death is an event (law L6): csp_interp_died() drops its handles, returns
 * its leases and breaks off its waits, whatever its Python objects did or leaked.
 *
 * RAW and counted: a record outlives its interpreter as long as somebody may still ask about it.
 */
#ifndef CSP_INTERP_H
#define CSP_INTERP_H

#include "chan.h"

typedef enum { CSP_RUNNING = 0, CSP_STOP_ASKED, CSP_STOP_DELIVERED, CSP_KILL_ASKED, CSP_FENCED } csp_cancel;

/* A received value that may still go back to its channel. RAW, owned by the Python Lease object; one that is still listed when
 * its interpreter is gone is freed by csp_interp_reap. */
typedef struct csp_lease {
    csp_chan *chan;              /* immutable, counted */
    csp_msg msg;                 /* owner interpreter only; empty once settled */
    struct csp_interp *interp;   /* immutable, counted */
    struct csp_lease *next, *prev; /* guarded by interp->lock */
    bool open;                   /* guarded by interp->lock: the value is neither kept nor given back yet */
    bool listed;                 /* guarded by interp->lock: on the interpreter's list */
    uint32_t fork_generation;    /* immutable once listed: csp_fork_generation at that time */
} csp_lease;

typedef struct csp_interp {
    csp_lock lock;               /* rank INTERP */
    int64_t id;                  /* immutable: CPython's id of the interpreter */
    _Atomic uint32_t refs;       /* acquire-release in decref */
    _Atomic uint32_t cancel;     /* csp_cancel; written under lock, read without by waits about to sleep or spinning */
    _Atomic uint32_t closes;     /* handles closed by their own side, guests' too; release in count_close / acquire in has_closed */
    bool is_main;                /* immutable */
    _Atomic uint32_t away;       /* references on its shared memory that others hold; release in share.c / acquire in py_interp.c */
    _Atomic bool lends_no_more;  /* its own threads only, while it ends; relaxed */
    _Atomic bool orphaned;       /* the process ends: its buffers are never released; release in py_interp.c / acquire in share.c */
    _Atomic(struct csp_shared *) returned; /* memory whose last view is gone, for it to release; release in push / acquire in take */
    _Atomic uint32_t guests;     /* actors with isolation "thread" whose thread lives in it; relaxed: a guest begins before its
                                    host's next wait and its handles are not the host's, so whoever counts it late is only silent */
    struct csp_interp *host;     /* immutable, counted: of the actor that is a thread of that interpreter; else NULL */
    struct csp_loop *heart;      /* RAW, guarded by lock: the event loop that its life runs in, or NULL; unset before that is freed */
    bool had_guests;             /* guarded by lock: there are, or were, records whose host this is */
    _Atomic bool watched;        /* it has a watchdog; relaxed: set before the code runs that it is about */
    _Atomic int64_t progress;    /* csp_time of its last sign of life, while watched; relaxed: only the value counts */
    _Atomic bool has_exit_cause; /* set under lock; relaxed look outside it: saves the lock while the interpreter lives */
    bool has_module;             /* interpreter's thread only: the state of the C module in it has a reference on this record */
    bool dead;                   /* guarded by lock: no new handle, lease or wait may be entered */
    csp_end *ends;               /* guarded by lock: the handles that are not given up */
    csp_end *given_up;           /* guarded by lock: closed by the death of the interpreter, not freed yet */
    csp_lease *leases;           /* guarded by lock */
    csp_waiter *parked;          /* guarded by lock: waiters of its sleeping threads, and all of its event loops */
    uint64_t waits;              /* guarded by lock: counts the waits that slept */
    uint64_t actor_id;           /* guarded by lock while set, as the label: the actor that lives here, or 0 */
    char label[64];              /* guarded by lock while set, before it runs code: the actor's name, or empty */
    csp_msg exit_cause;          /* guarded by lock: becomes the cause of channels whose last sender dies with it */
    struct csp_interp *next, *prev; /* guarded by the registry's lock */
} csp_interp;

/* An actor with isolation "thread" has a record of its own, though its interpreter is shared: what its thread makes or receives is
 * its own, and is given up with it, and its waits are stopped and killed by themselves.  Threads that it starts are no part of
 * it: what they make is the interpreter's.  The Python objects may outlive the actor, so each handle and lease counts its record.
 * This thread only; process-wide in kind, one a thread; NULL in all other threads. */
extern _Thread_local csp_interp *csp_thread_record;

csp_interp *csp_interp_new(int64_t id, bool is_main); /* refs = 1, in the registry; NULL without memory */
csp_interp *csp_interp_new_guest(csp_interp *host, int64_t id); /* the same, for a thread of `host`'s interpreter */

/* The record of the interpreter itself. */
static inline csp_interp *csp_interp_home(csp_interp *interp) { return interp->host != NULL ? interp->host : interp; }

void csp_interp_incref(csp_interp *interp);
void csp_interp_decref(csp_interp *interp);

/* Break off waits: CSP_STOP_ASKED ends every wait now going on in it with CSP_STOPPED, or, if there was none, the
 * next one to begin; CSP_KILL_ASKED and CSP_FENCED end all waits, now and later, with CSP_KILLED.  Never goes back. */
void csp_interp_cancel(csp_interp *interp, csp_cancel how);

/* This thread serves the others of its interpreter (it drives a supervisor): a stop does not break off its waits, nor is the
 * stop consumed by it.  A kill does.  Process-wide in kind, one a thread. */
extern _Thread_local bool csp_ignores_stops;

/* Signs of life, for the watchdog: an operation that may wait begins, or a wait that slept is over.  Not by a thread that only
 * serves the others. */
static inline void csp_interp_progressed(csp_interp *interp)
{
    if (atomic_load_explicit(&interp->watched, memory_order_relaxed) && !csp_ignores_stops)
        atomic_store_explicit(&interp->progress, csp_now(), memory_order_relaxed);
}

static inline csp_time csp_interp_progress(csp_interp *interp)
{
    return atomic_load_explicit(&interp->progress, memory_order_relaxed);
}

void csp_interp_watch(csp_interp *interp); /* signs of life are noted from now on; this is the first */

/* An `async def` actor lives in an event loop: that this turns is its sign of life, and whoever wants to know asks. */
void csp_interp_set_heart(csp_interp *interp, struct csp_loop *loop);
void csp_interp_unset_heart(csp_interp *interp, struct csp_loop *loop); /* no more asked when this returns */
void csp_interp_heart_beats(csp_interp *interp); /* the loop has turned */
bool csp_interp_ask_heart(csp_interp *interp); /* make it turn; false: there is none */
bool csp_interp_waits_now(csp_interp *interp); /* a thread of it waits, but for those that only serve the others */

/* What the newest such wait is for, in words, and when it began to sleep; false: none.  `inbox` (may be NULL) is called the mailbox. */
bool csp_interp_describe_wait(csp_interp *interp, const csp_chan *inbox, char *text, size_t size, csp_time *p_since);

/* What a wait about to begin must answer: CSP_OK, CSP_STOPPED (consumed by this call) or CSP_KILLED. */
csp_status csp_interp_check(csp_interp *interp);

/* The interpreter is ending, gone, or fenced off for good: give up all that it held.  `cause` (moved, may be NULL) becomes the
 * cause of channels that lose their last sender by this.  Handles are closed and leases returned, but their memory stays:
 * Python objects may still point to it, and free it as they die.  `attached`: its thread state is, so values of local
 * channels can be freed; else they are forgotten.  No lock held.  Idempotent. */
void csp_interp_died(csp_interp *interp, csp_msg *cause, bool attached);

/* Has that begun?  Who spawns looks here once the child is listed, and who gives up an actor does it before visiting the children: so
 * either the child is visited, or the spawn, by another thread of that interpreter, is refused. */
bool csp_interp_is_dead(csp_interp *interp);

/* In the child of a fork, by the registry: a new lock, and nothing owned.  What was owned belongs to the parent. */
void csp_interp_after_fork(csp_interp *interp);

/* No Python object of the interpreter can be reached any more: free the handles and leases that its objects leaked, those of
 * actors that were threads of it included. */
void csp_interp_reap(csp_interp *interp);

/* From now on a channel that loses its last sender through this interpreter gets a copy of `exit_cause`.  Moves. */
void csp_interp_set_exit_cause(csp_interp *interp, csp_msg *cause);

/* A copy of it, or *to stays EMPTY. */
void csp_interp_copy_exit_cause(csp_interp *interp, csp_msg *to);

extern _Atomic uint64_t csp_wait_moves; /* process-wide: + 1 when a waiter enters or leaves a list; release / acquire in deadlock.c */

/* Enter and leave the list of sleeping waiters.  It is not entered (false) if the interpreter is being stopped or killed:
 * then the wait is over with CSP_STOPPED or CSP_KILLED, unless somebody else had claimed it, and then the stop still stands. */
bool csp_interp_enter_wait(csp_interp *interp, csp_waiter *waiter);
void csp_interp_leave_wait(csp_interp *interp, csp_waiter *waiter);

bool csp_interp_add_end(csp_interp *interp, csp_end *end); /* false: dead; it is listed none the less */
void csp_interp_remove_end(csp_interp *interp, csp_end *end);
bool csp_interp_add_lease(csp_interp *interp, csp_lease *lease); /* false: dead */
bool csp_interp_remove_lease(csp_interp *interp, csp_lease *lease); /* true: it was still open, the caller settles it */
/* Give an open lease's value back to its channel; the lease is empty then.  The caller took it by csp_interp_remove_lease. */
void csp_lease_return(csp_lease *lease, bool attached);

#endif
