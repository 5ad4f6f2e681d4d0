/* Warm interpreters: booted, with modules imported, waiting for the actor whose one and only interpreter they will be.
 *
 * Such an interpreter has the record of an actor that nobody sees, to stand for it: it is listed, so that its parent's end or the
 * process's ends it as they end actors, and it counts as a life, so that nobody forks.  csp._boot.warm imports, says that it is
 * up, and waits on the record's inbox, in the core, like any other wait.
 *
 * Handing over: whoever starts an actor sets `successor` under the record's lock, takes the interpreter's waits away from the record,
 * and closes the inbox; the thread wakes, and goes on as the successor's.  It is a stop or a hand-over, never both: who
 * comes second finds the mark of the other under the same lock.
 */
#include "mem.h"
#include "py_interp.h"

bool csp_warm_hand_over(csp_actor *warm, csp_owner *next)
{
    csp_lock_acquire(&warm->lock);
    bool is_free = warm->warm && warm->state == CSP_ACTOR_ALIVE && !warm->stop_asked && !warm->kill_asked &&
                   warm->successor == NULL && warm->owner != NULL;
    csp_interp *interp = NULL;
    if (is_free) {
        warm->successor = next;
        interp = warm->interp; /* a stop of the record must not break off the waits of the actor */
        warm->interp = NULL;
    }
    csp_lock_release(&warm->lock);
    if (!is_free)
        return false;
    csp_actor_close_inbox(warm);
    if (interp != NULL)
        csp_interp_decref(interp);
    return true;
}

csp_owner *csp_warm_successor(csp_actor *warm)
{
    csp_lock_acquire(&warm->lock);
    csp_owner *next = warm->successor;
    warm->successor = NULL;
    warm->stop_asked = true; /* whatever it woke for: it is not free any more */
    csp_lock_release(&warm->lock);
    return next;
}

/* One that spawned actors while it imported is of no use: they are not the next actor's. */
static PyObject *is_childless(PyObject *module, PyObject *unused)
{
    csp_owner *owner = csp_current_owner();
    uint32_t n = 0;
    csp_actor **list = owner == NULL ? NULL : csp_actor_snapshot(owner->actor, false, &n);
    for (uint32_t i = 0; list != NULL && i < n; i++)
        csp_actor_decref(list[i]);
    csp_raw_free(list);
    return PyBool_FromLong(list != NULL && n == 0);
}

PyMethodDef csp_warm_functions[] = {
    {"is_childless", is_childless, METH_NOARGS, PyDoc_STR("Has this interpreter's actor spawned no other that lives?")},
    {NULL},
};
