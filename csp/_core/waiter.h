/* A blocked operation: one waiter, its cases, and how exactly one of them fires.
 *
 * A case says what somebody would do on one channel.  A waiter is one wait for a set of cases; it lives on the
 * stack of the waiting thread (or in an event loop's memory), and so do its cases.  Life of a waiter:
 *
 *     WAITING --claim--> CLAIMED --finish--> DONE
 *
 * claim   a compare-and-swap, by whoever completes a case (with that channel's lock held), cancels the wait, or
 *         by the sleeper itself on timeout.  Won once (law L3); the winner alone writes the outcome.
 * finish  after all locks are released.  Once it has swapped in DONE nothing of the waiter may be touched (law
 *         L4): the sleeper may be gone.  Only its address goes to the futex.
 *
 * The wake target is a thread (woken through `outcome` itself) or an event loop (`loop`: pushed onto its list of fired
 * waiters, then its eventfd is written).
 */
#ifndef CSP_WAITER_H
#define CSP_WAITER_H

#include "lock.h"
#include "mem.h"
#include "msg.h"
#include "park.h"
#include "status.h"

struct csp_chan;
struct csp_end;
struct csp_interp;
typedef struct csp_waiter csp_waiter;
typedef struct csp_case csp_case;

typedef enum { CSP_SEND = 1, CSP_RECV = 2 } csp_dir; /* bits: an end may allow both */

/* What a claimer of another core touches comes first, in one line with the head of the message, which is all of a small one. */
struct csp_case {
    csp_case *next, *prev;   /* guarded by chan->lock: neighbours in the channel's wait queue */
    csp_waiter *waiter;      /* immutable during the wait */
    struct csp_chan *chan;   /* immutable during the wait; kept alive by the caller; NULL: a disabled case */
    struct csp_end *end;     /* immutable during the wait: the handle it goes through */
    uint32_t index;          /* immutable: position in the caller's list */
    uint8_t dir;             /* immutable: csp_dir */
    bool queued;             /* guarded by chan->lock: on the wait queue now */
    bool lease;              /* immutable: a receive that may be given back */
    csp_msg msg;             /* send: the value, taken by the claimer.  recv: filled by the claimer */
};

#define CSP_DONE 1u
#define CSP_ASLEEP 2u /* the thread sleeps on the word: wake it */

/* Two lines: in one what the sleeper looks at while it spins, in the other what a claimer writes before it is done, so that
 * neither takes the line from the other's core.  (On a line's beginning if the caller sees to it; it is right anywhere.) */
struct csp_waiter {
    _Atomic uint32_t outcome; /* 0, CSP_ASLEEP or CSP_DONE; release in finish / acquire in csp_waiter_done */
    uint32_t ncases;
    struct csp_interp *interp; /* immutable: who waits, for stop, kill and the wait-for graph; may be NULL in C tests */
    csp_waiter *next_parked, *prev_parked; /* guarded by interp->lock: the interpreter's sleeping waiters */
    csp_case *cases;         /* immutable during the wait */
    csp_time since;          /* the sleeper's until it is on its interpreter's list, then immutable: when it began to sleep */
    csp_time deadline;       /* immutable once parked: on csp's clock, CSP_NEVER without timeout */
    uint32_t threads;        /* the sleeper's while off its interpreter's list, else immutable: how many threads its interpreter
                                had, this one included, at `counted`; 0: not counted yet */
    csp_time counted;        /* as `threads`: just before the count */
    bool forever;            /* immutable once parked: no deadline, and no timer among its cases; see deadlock.h */
    _Atomic bool looked;     /* it has looked for a deadlock; taken back, under chan->lock, by who closes a handle that could
                                have helped it.  Relaxed: the sleeper is woken, and looks again */
    bool main_thread;        /* immutable: the one in which signal handlers run */
    /* the claimer's line */
    _Atomic uint32_t claimed; /* 0 or 1; the one who swaps it is the claimer */
    csp_status status;       /* outcome; written by the claimer before finish */
    csp_case *fired;         /* the case that completed or failed, or NULL; written by the claimer before finish */
    csp_waiter *next_wake;   /* owner: the claimer, in its list of wake-ups to do */
    struct csp_loop *loop;   /* immutable: NULL for a thread */
    bool parked;             /* guarded by interp->lock: on that list */
    bool ignores_stops;      /* guarded by interp->lock: set while on that list */
    uint32_t report_line;    /* with CSP_DEADLOCK: our line in it */
    struct csp_report *report; /* with CSP_DEADLOCK, counted: written by the claimer before finish */
    uint64_t serial;         /* guarded by interp->lock: which wait of the interpreter; 0 before it sleeps */
};

void csp_waiter_init(csp_waiter *waiter, struct csp_interp *interp, csp_case *cases, uint32_t ncases);

/* Try to be the one who completes it. */
bool csp_waiter_claim(csp_waiter *waiter);

/* Publish the outcome and wake.  By the claimer only, no lock held, `fired` and `status` already written. */
void csp_waiter_finish(csp_waiter *waiter);

static inline bool csp_waiter_done(csp_waiter *waiter)
{
    return (atomic_load_explicit(&waiter->outcome, memory_order_acquire) & CSP_DONE) != 0;
}

static inline bool csp_waiter_looked(csp_waiter *waiter)
{
    return atomic_load_explicit(&waiter->looked, memory_order_relaxed); /* see the field */
}

/* Nobody has claimed it yet.  A look, for counting; relaxed: it may change the next instant anyway. */
static inline bool csp_waiter_waits(csp_waiter *waiter)
{
    return atomic_load_explicit(&waiter->claimed, memory_order_relaxed) == 0;
}

/* Sleep until DONE, the deadline or a signal: CSP_OK (outcome is in the waiter), CSP_TIMEOUT, CSP_INTERRUPTED.
 * Spins first while `spin` says that this pays (NULL: never).  No lock held, no thread state attached.
 * While asleep the waiter stands in its interpreter's list, so a stop or kill finds it; the first call may
 * therefore also claim and finish the wait itself, with CSP_STOPPED or CSP_KILLED. */
csp_status csp_waiter_park(csp_waiter *waiter, csp_time deadline, csp_spin *spin);

/* Give up: true if nothing had fired and now nothing will; false if the outcome is there (waits for a claimer that
 * is between claim and finish). */
bool csp_waiter_cancel(csp_waiter *waiter);

/* Somebody else has claimed it: until the outcome is there, which is a matter of microseconds. */
void csp_waiter_await_claimer(csp_waiter *waiter);

/* Whoever is about to claim a case needs its line and the claimer's line of its waiter, both another core's until now.  In a
 * wait for a single case the latter is the line before the case: ask for both at once, instead of for the second when
 * the first has told where it is.  Elsewhere that is some other line, and no harm is done. */
static inline void csp_case_prefetch(csp_case *c)
{
    csp_prefetch_write(c);
    csp_prefetch_write((void *)((uintptr_t)c - CSP_LINE));
}

/* A FIFO of cases; guarded by its channel's lock. */
typedef struct {
    csp_case *head, *tail;
} csp_waitq;

void csp_waitq_push(csp_waitq *queue, csp_case *c);
void csp_waitq_remove(csp_waitq *queue, csp_case *c); /* O(1); fine if it is not queued any more */

/* What an operation leaves to do once its locks are released: waiters to wake, values to free. */
typedef struct {
    csp_waiter *wake;           /* finished by csp_effects_wake, in the order they were claimed */
    csp_waiter **wake_tail;
    csp_msg one;                /* the first displaced value */
    csp_blob *more;             /* further ones, linked by next_free */
    struct csp_segment *values; /* whole buffers, linked by next */
} csp_effects;

static inline void csp_effects_init(csp_effects *fx)
{
    fx->wake = NULL;
    fx->wake_tail = &fx->wake;
    fx->one.kind = CSP_MSG_EMPTY;
    fx->more = NULL;
    fx->values = NULL;
}

static inline void csp_effects_add_wake(csp_effects *fx, csp_waiter *waiter)
{
    waiter->next_wake = NULL;
    *fx->wake_tail = waiter;
    fx->wake_tail = &waiter->next_wake;
}

/* A value to free later (moved).  Of a local channel at most one between two runs. */
static inline void csp_effects_displace(csp_effects *fx, csp_msg *msg)
{
    if (fx->one.kind == CSP_MSG_EMPTY)
        csp_msg_move(&fx->one, msg);
    else if (msg->kind == CSP_MSG_OBJECT)
        csp_fatal("effects: a second object displaced before the first was freed");
    else if (msg->kind == CSP_MSG_BLOB) {
        msg->as.blob->next_free = fx->more;
        fx->more = msg->as.blob;
    }
    msg->kind = CSP_MSG_EMPTY;
}

/* A whole buffer to free later, besides those that are there. */
void csp_effects_add_values(csp_effects *fx, struct csp_segment *values);

/* The values in it belong to an interpreter that is gone: forget them. */
void csp_effects_forget(csp_effects *fx);

/* Wake and free.  No lock held; for a local channel its interpreter is attached. */
void csp_effects_run_slow(csp_effects *fx);
static inline void csp_effects_run(csp_effects *fx)
{
    if (fx->wake != NULL || fx->one.kind != CSP_MSG_EMPTY || fx->values != NULL)
        csp_effects_run_slow(fx);
}

#endif
