/* Ending actors from outside: stop, kill, give up; and those that one spawned, which end with it. */
#include "mem.h"
#include "py_interp.h"

#define SLICE (1000000000LL / 20)

static void drop_snapshot(csp_actor **list, uint32_t n)
{
    for (uint32_t i = 0; list != NULL && i < n; i++)
        csp_actor_decref(list[i]);
    csp_raw_free(list);
}

static uint32_t for_children(csp_actor *parent, bool all, void (*act)(csp_actor *))
{
    uint32_t n = 0;
    csp_actor **list = csp_actor_snapshot(parent, all, &n);
    for (uint32_t i = list == NULL ? 0 : n; act != NULL && i-- > 0;) /* the youngest first */
        act(list[i]);
    drop_snapshot(list, n);
    return n;
}

/* --- stop, kill, give up --- */

/* For those whose parent ends: no supervisor is left to start them again. */
static void stop_for_good(csp_actor *actor)
{
    csp_actor_set_keep(actor, CSP_KEEP_NEVER);
    csp_actor_ask_stop(actor);
}

static void kill_for_good(csp_actor *actor)
{
    csp_actor_set_keep(actor, CSP_KEEP_NEVER);
    csp_actor_kill(actor);
}

void csp_actor_kill(csp_actor *actor)
{
    csp_actor_ask_kill(actor);
    csp_owner *owner = csp_actor_owner(actor);
    if (owner != NULL) {
        csp_owner_throw(owner, CSP_THROW_KILLED);
        csp_owner_decref(owner);
    }
}

static void give_up_with_host(csp_actor *child);

/* Values of local channels can be freed here only by who is in the interpreter that they belong to.  (A shared one lives on, so
 * they are lost to it if somebody else gives up the actor.) */
static bool is_attached_to(PyInterpreterState *interp)
{
    PyThreadState *tstate = PyThreadState_GetUnchecked();
    return interp != NULL && tstate != NULL && PyThreadState_GetInterpreter(tstate) == interp;
}

/* `with_interpreter`: nothing runs any more in the interpreter that it lives in, as far as we know. */
static void give_up_life(csp_owner *owner, bool with_interpreter)
{
    csp_actor *actor = owner->actor;
    csp_msg exit, cause = {.kind = CSP_MSG_EMPTY};
    csp_lock_acquire(&actor->lock);
    bool current = actor->owner == owner;
    csp_interp *record = current ? actor->interp : NULL;
    if (record != NULL)
        csp_interp_incref(record);
    csp_lock_release(&actor->lock);
    if (!current)
        return; /* another life is not to suffer for it */
    csp_watch_cancel(&owner->watch);
    csp_lock_acquire(&owner->lock);
    csp_msg_move(&exit, &owner->killed_exit);
    csp_lock_release(&owner->lock);
    if (record != NULL) {
        csp_msg_clone(&cause, &exit);
        csp_interp_died(record, &cause, is_attached_to(owner->shared)); /* before the children are visited: see launch */
        csp_interp_decref(record);
    }
    csp_actor_give_up_thread(actor, &owner->thread);
    /* Its own thread, if it comes back, finds another life's perhaps. */
    for_children(actor, false, with_interpreter ? give_up_with_host : kill_for_good);
    if (csp_actor_exited(actor, owner, &exit, true))
        csp_owner_decref(owner);
}

static void give_up(csp_actor *actor, bool with_interpreter)
{
    csp_owner *owner = csp_actor_owner(actor);
    if (owner == NULL)
        return; /* it has ended */
    give_up_life(owner, with_interpreter);
    csp_owner_decref(owner);
}

/* A thread of an interpreter that is given up: what is stuck may hold that interpreter's lock, and then nothing kills this one. */
static void give_up_with_host(csp_actor *child)
{
    kill_for_good(child);
    if (child->in_thread)
        give_up(child, true);
}

void csp_actor_quarantine(csp_actor *actor) { give_up(actor, !actor->in_thread); }
void csp_owner_quarantine(csp_owner *owner) { give_up_life(owner, !owner->actor->in_thread); }

/* --- ending those that it spawned --- */

/* How many remain at the deadline.  A signal handler's exception cuts the wait short, and is swallowed: the process is ending. */
static uint32_t await_children(csp_actor *parent, bool all, csp_time deadline)
{
    for (;;) {
        uint32_t seen = csp_endings(); /* before looking: no lost wake-up */
        uint32_t left = for_children(parent, all, NULL);
        csp_time now = csp_now();
        if (left == 0 || now >= deadline)
            return left;
        csp_time slice = now + SLICE < deadline ? now + SLICE : deadline;
        Py_BEGIN_ALLOW_THREADS
        csp_endings_wait(seen, slice);
        Py_END_ALLOW_THREADS
        if (parent == NULL && PyErr_CheckSignals() < 0) {
            PyErr_Clear();
            return left;
        }
    }
}

uint32_t csp_end_children(csp_actor *parent, csp_time stop_for, csp_time kill_for)
{
    bool everybody = parent == NULL; /* the process ends: a stuck parent must not keep its children from being killed */
    if (for_children(parent, false, stop_for_good) == 0 && !(everybody && for_children(NULL, true, NULL) > 0))
        return 0;
    if (await_children(parent, everybody, csp_now() + stop_for) == 0)
        return 0;
    for_children(parent, everybody, kill_for_good);
    return await_children(parent, everybody, csp_now() + kill_for);
}

void csp_give_up_children(csp_actor *parent) { for_children(parent, false, csp_actor_quarantine); }
