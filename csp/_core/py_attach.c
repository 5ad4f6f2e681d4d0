/* Entering an interpreter from outside: the guard, and the service threads that raise exceptions in running code. */
#include <errno.h>
#include <pthread.h>

#include "mem.h"
#include "py_interp.h"

#define RESEND (50 * 1000000LL) /* code may catch Killed once: raise it again and again */
#define UNWIND (500 * 1000000LL) /* for an event loop that is cancelling its tasks */

/* --- the guard --- */

/* False: its code has ended, nobody may enter. */
static bool enter(csp_owner *owner, PyInterpreterState **p_interp, unsigned long *p_ident)
{
    csp_lock_acquire(&owner->lock);
    bool open = owner->interp != NULL;
    if (open) {
        owner->inside++;
        *p_interp = owner->interp;
        *p_ident = owner->ident;
    }
    csp_lock_release(&owner->lock);
    return open;
}

static void next_turn(csp_owner *owner)
{
    atomic_fetch_add_explicit(&owner->turn, 1, memory_order_release);
    csp_futex_wake_all(&owner->turn);
}

static void leave(csp_owner *owner)
{
    csp_lock_acquire(&owner->lock);
    bool last = --owner->inside == 0;
    csp_lock_release(&owner->lock);
    if (last)
        next_turn(owner); /* the caller has a reference, so the word is still there */
}

csp_visit csp_guard_visit(csp_owner *owner, csp_visitor *visitor, void *arg)
{
    PyInterpreterState *interp;
    unsigned long ident;
    if (!enter(owner, &interp, &ident))
        return CSP_GONE;
    PyThreadState *tstate = PyThreadState_New(interp);
    if (tstate != NULL) {
        PyEval_RestoreThread(tstate); /* waits for the interpreter's lock: for ever, if C code never lets go of it */
        visitor(owner, ident, arg);
        PyThreadState_Clear(tstate);
        PyThreadState_DeleteCurrent();
    }
    leave(owner);
    return tstate != NULL ? CSP_VISITED : CSP_NO_VISIT;
}

void csp_guard_open(csp_owner *owner)
{
    PyInterpreterState *interp = PyInterpreterState_Get();
    csp_lock_acquire(&owner->lock);
    owner->interp = interp;
    owner->ident = PyThread_get_thread_ident();
    owner->tstate = PyThreadState_Get();
    owner->unwinding = CSP_UNWINDS_BY_FORCE;
    csp_lock_release(&owner->lock);
}

void csp_guard_close(csp_owner *owner)
{
    csp_lock_acquire(&owner->lock);
    owner->interp = NULL;
    owner->tstate = NULL;
    uint32_t inside = owner->inside;
    unsigned long ident = owner->ident;
    csp_lock_release(&owner->lock);
    next_turn(owner);
    if (inside > 0) {
        Py_BEGIN_ALLOW_THREADS /* those inside wait for the interpreter's lock that we hold */
        for (;;) {
            uint32_t turn = atomic_load_explicit(&owner->turn, memory_order_acquire); /* before looking: no lost wake-up */
            csp_lock_acquire(&owner->lock);
            inside = owner->inside;
            csp_lock_release(&owner->lock);
            if (inside == 0)
                break;
            csp_futex_wait(&owner->turn, turn, CSP_NEVER);
        }
        Py_END_ALLOW_THREADS
    }
    PyThreadState_SetAsyncExc(ident, NULL);
}

/* --- raising in running code --- */

typedef struct {
    csp_owner *owner; /* counted */
    csp_throw what;
} throw_job;

static void raise_there(csp_owner *owner, unsigned long ident, void *what)
{
    PyObject *exception = *(csp_throw *)what == CSP_THROW_KILLED ? owner->state->errors[CSP_E_Killed] : PyExc_KeyboardInterrupt;
    PyThreadState_SetAsyncExc(ident, exception);
    csp_poke_loops(owner->state); /* one that sleeps in its selector would not see it */
}

/* False: its code has ended, nothing to raise in. */
static bool throw_once(csp_owner *owner, csp_throw what) { return csp_guard_visit(owner, raise_there, &what) != CSP_GONE; }

/* --- the watchdog --- */

/* What a kill by the watchdog says, unless that has been said. */
static void keep_hung_exit(csp_owner *owner, const csp_stack *stack)
{
    csp_msg exit, old = {.kind = CSP_MSG_EMPTY};
    if (!csp_hung_exit(owner->actor, stack, &exit))
        return;
    csp_lock_acquire(&owner->lock);
    if (owner->killed_exit.kind != CSP_MSG_EMPTY) {
        csp_msg_move(&old, &owner->killed_exit);
        csp_msg_move(&owner->killed_exit, &exit);
    }
    csp_lock_release(&owner->lock);
    csp_msg_clear(&old);
    csp_msg_clear(&exit);
}

static void keep_stack(csp_owner *owner)
{
    csp_stack stack = {.nframes = 0};
    if (csp_owner_stack(owner, &stack))
        keep_hung_exit(owner, &stack);
    csp_stack_clear(&stack);
}

static bool strike(void *self)
{
    csp_owner *owner = self;
    if (!csp_actor_note_hung(owner->actor, owner))
        return false;
    keep_hung_exit(owner, NULL); /* in case its stack cannot be had */
    csp_owner_throw(owner, CSP_THROW_HUNG);
    return true;
}

static void give_up(void *self) { csp_owner_quarantine(self); }

#define GRACE (1000000000LL) /* as that of ref.kill() */

int csp_owner_watch(csp_owner *owner)
{
    if (owner->actor->watchdog == 0)
        return 0;
    owner->watch = (csp_watch){.interp = owner->record, .limit = owner->actor->watchdog, .grace = GRACE, .self = owner,
                               .strike = strike, .give_up = give_up};
    if (csp_watch_begin(&owner->watch))
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "no thread for the watchdog");
    return -1;
}

/* --- service threads --- */

void csp_owner_unwinds(csp_owner *owner, csp_unwinding how)
{
    csp_lock_acquire(&owner->lock);
    owner->unwinding = how;
    csp_lock_release(&owner->lock);
    next_turn(owner);
}

/* The waits are broken off.  An event loop that hears of it so cancels its tasks, and what these hold, a child process say, ends with
 * them: let it.  One that computes, or does not come to an end, is dropped where it is. */
static void let_unwind(csp_owner *owner)
{
    csp_time began = csp_now();
    for (;;) {
        uint32_t turn = atomic_load_explicit(&owner->turn, memory_order_acquire); /* before looking: no lost wake-up */
        csp_lock_acquire(&owner->lock);
        csp_unwinding how = owner->interp == NULL ? CSP_UNWINDS_BY_FORCE : owner->unwinding;
        csp_lock_release(&owner->lock);
        csp_time until = began + (how == CSP_UNWINDING ? UNWIND : RESEND);
        if (how == CSP_UNWINDS_BY_FORCE || csp_now() >= until)
            return;
        csp_futex_wait(&owner->turn, turn, until);
    }
}

static void *throw_main(void *arg)
{
    throw_job *job = arg;
    csp_owner *owner = job->owner;
    if (job->what == CSP_THROW_HUNG) {
        keep_stack(owner);
        csp_actor_ask_kill_of(owner->actor, owner); /* after the look, or its next wait would end it before */
        job->what = CSP_THROW_KILLED;
    } else if (job->what == CSP_THROW_KILLED) {
        let_unwind(owner);
    }
    while (throw_once(owner, job->what) && job->what == CSP_THROW_KILLED) {
        uint32_t turn = atomic_load_explicit(&owner->turn, memory_order_acquire); /* before looking: no lost wake-up */
        csp_lock_acquire(&owner->lock);
        bool open = owner->interp != NULL;
        csp_lock_release(&owner->lock);
        if (!open)
            break;
        csp_futex_wait(&owner->turn, turn, csp_now() + RESEND);
    }
    if (job->what == CSP_THROW_KILLED) {
        csp_lock_acquire(&owner->lock);
        owner->killing = false;
        csp_lock_release(&owner->lock);
    }
    csp_owner_decref(owner);
    csp_raw_free(job);
    return NULL;
}

void csp_owner_throw(csp_owner *owner, csp_throw what)
{
    csp_lock_acquire(&owner->lock);
    bool kills = what != CSP_THROW_INTERRUPT;
    bool needed = owner->interp != NULL && !(kills && owner->killing);
    if (needed && kills)
        owner->killing = true;
    csp_lock_release(&owner->lock);
    throw_job *job = needed ? csp_raw_alloc(sizeof *job) : NULL;
    if (job == NULL)
        return;
    job->owner = owner;
    job->what = what;
    csp_owner_incref(owner);
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    if (pthread_create(&thread, &attr, throw_main, job) != 0) {
        csp_owner_decref(owner);
        csp_raw_free(job);
    }
    pthread_attr_destroy(&attr);
}
