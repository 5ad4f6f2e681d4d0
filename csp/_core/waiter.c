/* Claim, finish, park, cancel; the FIFO of cases; what is left to do after unlocking. */
#include "waiter.h"

#include "chan.h"
#include "deadlock.h"
#include "interp.h"
#include "loop.h"

/* How long a wait spins at most before it sleeps: about what waking an idle core costs (competitive spinning). */
#define SPIN_NS 20000
#define SPIN_BRIEF 64 /* pauses before the long part: one or two microseconds */
#define SPIN_LOOK 32  /* pauses between two looks at the clock */

void csp_waiter_init(csp_waiter *waiter, struct csp_interp *interp, csp_case *cases, uint32_t ncases)
{
    atomic_init(&waiter->outcome, 0);
    atomic_init(&waiter->claimed, 0);
    waiter->status = CSP_PENDING;
    waiter->fired = NULL;
    waiter->loop = NULL;
    waiter->interp = interp;
    waiter->parked = false;
    waiter->cases = cases;
    waiter->ncases = ncases;
    waiter->deadline = CSP_NEVER;
    waiter->forever = waiter->main_thread = false;
    atomic_init(&waiter->looked, false);
    waiter->threads = 0;
    waiter->counted = 0;
    waiter->serial = 0;
    waiter->since = 0;
    for (uint32_t i = 0; i < ncases; i++)
        cases[i].waiter = waiter;
}

bool csp_waiter_claim(csp_waiter *waiter)
{
    /* Relaxed: who may claim came by the lock of a channel or of the interpreter, which orders what it reads; finish orders
     * what it writes. */
    uint32_t unclaimed = 0;
    return atomic_compare_exchange_strong_explicit(&waiter->claimed, &unclaimed, 1, memory_order_relaxed,
                                                   memory_order_relaxed);
}

void csp_waiter_finish(csp_waiter *waiter)
{
    struct csp_loop *loop = waiter->loop;
    /* Release: the outcome must be visible to who sees DONE (acquire in csp_waiter_done). */
    uint32_t before = atomic_exchange_explicit(&waiter->outcome, CSP_DONE, memory_order_release);
    if (loop != NULL)
        csp_loop_post(loop, waiter); /* its memory is the loop's, and stays until drained */
    else if (before == CSP_ASLEEP)
        csp_futex_wake(&waiter->outcome); /* only the address: the sleeper may be gone (L4) */
}

static csp_status sleep_until_done(csp_waiter *waiter, csp_time deadline)
{
    for (;;) {
        uint32_t none = 0;
        if (csp_waiter_done(waiter))
            return CSP_OK;
        /* Relaxed: it only announces the sleep; futex_wait compares the word again. */
        if (!atomic_compare_exchange_strong_explicit(&waiter->outcome, &none, CSP_ASLEEP, memory_order_relaxed,
                                                     memory_order_relaxed) && none != CSP_ASLEEP)
            continue;
        csp_sleep slept = csp_futex_wait(&waiter->outcome, CSP_ASLEEP, deadline);
        if (csp_waiter_done(waiter))
            continue;
        if (slept == CSP_WOKEN) {
            if (waiter->forever && !csp_waiter_looked(waiter))
                return CSP_TIMEOUT; /* woken to look for a deadlock again, in a while */
            continue;
        }
        return slept == CSP_SLEPT_OUT ? CSP_TIMEOUT : CSP_INTERRUPTED;
    }
}

/* Nanoseconds, unless the claimer was preempted.  Who finishes the wait of an event loop wakes nobody. */
void csp_waiter_await_claimer(csp_waiter *waiter)
{
    for (int i = 0; i < 200 && !csp_waiter_done(waiter); i++)
        csp_pause();
    if (waiter->loop != NULL)
        while (!csp_waiter_done(waiter))
            csp_futex_wait(&waiter->outcome, 0, csp_now() + 100000);
    else
        while (sleep_until_done(waiter, CSP_NEVER) != CSP_OK)
            ; /* a signal: not now */
}

bool csp_waiter_cancel(csp_waiter *waiter)
{
    if (csp_waiter_claim(waiter))
        return true;
    if (waiter->loop == NULL)
        csp_waiter_await_claimer(waiter);
    return false;
}

/* A long spin ends early when the interpreter is being stopped. */
static bool stop_asked(csp_waiter *waiter)
{
    if (waiter->interp == NULL)
        return false;
    /* Relaxed: csp_interp_enter_wait looks again under the lock. */
    uint32_t cancel = atomic_load_explicit(&waiter->interp->cancel, memory_order_relaxed);
    return cancel != CSP_RUNNING && cancel != CSP_STOP_DELIVERED;
}

static bool pause_until_done(csp_waiter *waiter, int pauses)
{
    for (int i = 0; i < pauses; i++) {
        if (csp_waiter_done(waiter))
            return true;
        csp_pause();
    }
    return false;
}

/* True if it was done within the spin.  The answer of a peer that is running comes within the brief part, which costs
 * neither a look at the clock nor a write to memory that all threads share. */
static bool spin_until_done(csp_waiter *waiter, csp_time deadline)
{
    if (pause_until_done(waiter, SPIN_BRIEF))
        return true;
    if (!csp_spin_enter_long())
        return false;
    csp_time until = csp_now() + SPIN_NS;
    if (deadline < until)
        until = deadline;
    bool done;
    do
        done = pause_until_done(waiter, SPIN_LOOK);
    while (!done && !stop_asked(waiter) && csp_now() < until);
    csp_spin_leave_long();
    return done;
}

/* Once in a wait that lasts, while it stands on its interpreter's list.  True if that ended it. */
static bool look_for_deadlock(csp_waiter *waiter)
{
    csp_time patience = waiter->main_thread ? CSP_LOOK_MAIN : CSP_LOOK_SOON;
    if (csp_waiter_looked(waiter) || waiter->interp == NULL || waiter->threads == 0 || csp_now() - waiter->since < patience)
        return false;
    atomic_store_explicit(&waiter->looked, true, memory_order_relaxed); /* before looking: a handle closed since is news */
    if (atomic_load_explicit(&csp_deadlock_detection, memory_order_relaxed)) /* a switch */
        csp_deadlock_look();
    return csp_waiter_done(waiter);
}

csp_status csp_waiter_park(csp_waiter *waiter, csp_time deadline, csp_spin *spin)
{
    if (csp_waiter_done(waiter))
        return CSP_OK;
    if (csp_spin_begin(spin)) {
        bool paid = spin_until_done(waiter, deadline);
        csp_spin_end(spin, paid);
        if (paid)
            return CSP_OK;
    }
    if (waiter->since == 0)
        waiter->since = csp_now();
    if (waiter->interp != NULL && !csp_interp_enter_wait(waiter->interp, waiter)) {
        csp_waiter_await_claimer(waiter); /* be it the stop or somebody before it */
        return CSP_OK;
    }
    csp_status status = sleep_until_done(waiter, deadline);
    if (status == CSP_TIMEOUT && waiter->forever && look_for_deadlock(waiter))
        status = CSP_OK;
    if (waiter->interp != NULL)
        csp_interp_leave_wait(waiter->interp, waiter);
    return status;
}

/* --- the FIFO of cases --- */

void csp_waitq_push(csp_waitq *queue, csp_case *c)
{
    c->next = NULL;
    c->prev = queue->tail;
    if (queue->tail != NULL)
        queue->tail->next = c;
    else
        queue->head = c;
    queue->tail = c;
    c->queued = true;
}

void csp_waitq_remove(csp_waitq *queue, csp_case *c)
{
    if (!c->queued)
        return; /* Go issue 2075: removing a removed last node corrupts the queue */
    *(c->prev != NULL ? &c->prev->next : &queue->head) = c->next;
    *(c->next != NULL ? &c->next->prev : &queue->tail) = c->prev;
    c->queued = false;
}

/* --- effects --- */

void csp_effects_add_values(csp_effects *fx, csp_segment *values)
{
    csp_segment **tail = &fx->values;
    while (*tail != NULL)
        tail = &(*tail)->next;
    *tail = values;
}

void csp_effects_forget(csp_effects *fx)
{
    fx->one.kind = CSP_MSG_EMPTY;
    for (csp_segment *segment = fx->values; segment != NULL; segment = segment->next)
        segment->first = segment->last = 0;
}

void csp_effects_run_slow(csp_effects *fx)
{
    csp_waiter *waiter = fx->wake;
    while (waiter != NULL) {
        csp_waiter *next = waiter->next_wake; /* read before finish: afterwards the waiter may be gone (L4) */
        csp_waiter_finish(waiter);
        waiter = next;
    }
    csp_msg_clear(&fx->one);
    while (fx->more != NULL) {
        csp_blob *blob = fx->more;
        fx->more = blob->next_free;
        csp_blob_free(blob);
    }
    csp_segments_free(fx->values);
    csp_effects_init(fx);
}
