/* csp.sync.Condition: a wait queue without permits, over a lock. */
#include "py_sync.h"

static PyObject *condition_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"lock", NULL};
    csp_state *state = csp_state_of_type(type);
    PyObject *lock = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:Condition", names, &lock))
        return NULL;
    if (lock == Py_None)
        lock = csp_sync_make(state->sync_types[CSP_RLOCK], CSP_RLOCK, csp_sync_new(1));
    else if (!csp_is_sync(lock) || chan_of(sync_of(lock))->sync > CSP_RLOCK)
        return PyErr_Format(PyExc_TypeError, "lock must be a csp.sync.Lock or RLock, not %.100s", Py_TYPE(lock)->tp_name);
    else
        Py_INCREF(lock);
    csp_sync *sync = lock == NULL ? NULL : csp_sync_new(0);
    if (sync != NULL) {
        sync->lock = chan_of(sync_of(lock));
        csp_chan_incref(sync->lock);
    }
    csp_sync_object *self = lock == NULL ? NULL : (csp_sync_object *)csp_sync_make(type, CSP_CONDITION, sync);
    if (self != NULL)
        Py_SETREF(self->lock, Py_NewRef(lock)); /* the very handle */
    Py_XDECREF(lock);
    return (PyObject *)self;
}

/* Does this thread hold it (an RLock), or does anybody (a Lock, as in threading)? */
static int ensure_owned(csp_sync_object *self, const char *verb)
{
    csp_sync_object *lock = sync_of(self->lock);
    if (csp_sync_begin(self) < 0)
        return -1;
    csp_sync now = csp_sync_look(lock, NULL);
    if (chan_of(lock)->sync == CSP_RLOCK ? csp_sync_owns(&now) : now.value <= 0)
        return 0;
    PyErr_Format(PyExc_RuntimeError, "cannot %s un-acquired lock", verb);
    return -1;
}

static PyObject *condition_notify_some(csp_sync_object *self, uint32_t n)
{
    csp_effects fx;
    if (ensure_owned(self, "notify on") < 0)
        return NULL;
    csp_effects_init(&fx);
    csp_chan_lock(chan_of(self));
    csp_sync_wake(chan_of(self), n, &fx);
    csp_chan_unlock(chan_of(self));
    csp_effects_run(&fx);
    Py_RETURN_NONE;
}

static PyObject *condition_notify(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"n", NULL};
    int n = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|i:notify", names, &n))
        return NULL;
    return condition_notify_some(sync_of(object), n > 0 ? (uint32_t)n : 0);
}

static PyObject *condition_notify_all(PyObject *object, PyObject *unused) { return condition_notify_some(sync_of(object), UINT32_MAX); }

/* Take the lock again, as often as it was held.  Only a kill, or the like, prevents it: then that exception is set as well. */
static void reacquire(csp_sync_object *lock, uint32_t depth)
{
    PyObject *error = PyErr_GetRaisedException();
    csp_status status;
    while ((status = csp_sync_lock(lock, CSP_NEVER)) == CSP_INTERRUPTED && atomic_load_explicit(&csp_record_here(lock->handle.state)->cancel, memory_order_relaxed) < CSP_KILL_ASKED)
        Py_XSETREF(error, PyErr_GetRaisedException()); /* a signal: it is raised once the lock is ours */
    if (status == CSP_OK && depth > 1) {
        csp_chan_lock(chan_of(lock));
        state_of(lock)->depth = depth;
        csp_chan_unlock(chan_of(lock));
    }
    if (status != CSP_OK && status != CSP_INTERRUPTED)
        csp_sync_answer(lock, status);
    if (error != NULL && !PyErr_Occurred())
        PyErr_SetRaisedException(error);
    else
        Py_XDECREF(error);
}

/* The wait is queued while the lock is still held, so no notification is missed. */
static csp_status condition_wait_until(csp_sync_object *self, csp_time deadline)
{
    csp_state *state = self->handle.state;
    csp_sync_object *lock = sync_of(self->lock);
    csp_op op;
    csp_effects fx;
    csp_status status = csp_may_begin(state);
    if (status != CSP_OK)
        return status;
    uint32_t depth = csp_sync_look(lock, NULL).depth;
    csp_effects_init(&fx);
    csp_op_init_end(&op, self->handle.end, CSP_RECV);
    op.c.lease = false;
    csp_waiter_init(&op.waiter, csp_record_here(state), &op.c, 1);
    status = csp_chan_start(&op.c, &fx); /* always pending */
    if (chan_of(lock)->sync == CSP_RLOCK) {
        csp_chan_lock(chan_of(lock));
        state_of(lock)->depth = 1;
        csp_chan_unlock(chan_of(lock));
    }
    csp_sync_unlock(lock, 1);
    status = csp_wait(&op.waiter, deadline, NULL, false);
    if (op.waiter.fired == NULL || status == CSP_TIMEOUT || status == CSP_INTERRUPTED)
        csp_chan_withdraw(&op.c);
    if (status != CSP_OK && status != CSP_TIMEOUT && status != CSP_INTERRUPTED)
        csp_raise(state, status, CSP_RECV, chan_of(self), (PyObject *)self, -1);
    reacquire(lock, depth);
    return PyErr_Occurred() ? CSP_INTERRUPTED : status;
}

static PyObject *condition_wait(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", NULL};
    PyObject *timeout = Py_None;
    csp_time deadline;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:wait", names, &timeout) || csp_parse_timeout(timeout, &deadline) < 0 ||
        ensure_owned(sync_of(object), "wait on") < 0)
        return NULL;
    return csp_sync_answer(sync_of(object), condition_wait_until(sync_of(object), deadline));
}

static PyObject *condition_wait_for(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"predicate", "timeout", NULL};
    PyObject *predicate, *timeout = Py_None, *result;
    csp_time deadline;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:wait_for", names, &predicate, &timeout) || csp_parse_timeout(timeout, &deadline) < 0)
        return NULL;
    bool late = false;
    while ((result = PyObject_CallNoArgs(predicate)) != NULL) {
        int true_now = PyObject_IsTrue(result);
        if (true_now != 0 || late)
            return true_now < 0 ? (Py_DECREF(result), NULL) : result;
        Py_DECREF(result);
        if (ensure_owned(sync_of(object), "wait on") < 0)
            return NULL;
        csp_status status = condition_wait_until(sync_of(object), deadline);
        if (status != CSP_OK && status != CSP_TIMEOUT)
            return csp_sync_answer(sync_of(object), status);
        late = status == CSP_TIMEOUT;
    }
    return NULL;
}

static PyObject *condition_acquire(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return csp_sync_py_acquire(sync_of(object)->lock, args, nargs, kwnames);
}
static PyObject *condition_release(PyObject *object, PyObject *unused) { return csp_sync_py_release(sync_of(object)->lock, NULL); }
static PyObject *condition_enter(PyObject *object, PyObject *unused) { return csp_sync_py_enter(sync_of(object)->lock, NULL); }
static PyObject *condition_exit(PyObject *object, PyObject *const *args, Py_ssize_t nargs) { return csp_sync_py_release(sync_of(object)->lock, NULL); }

static PyMethodDef condition_methods[] = {
    ACQUIRE(condition_acquire, "-1"), CONTEXT(condition_enter, condition_exit), WAIT(condition_wait), REDUCE,
    {"release", condition_release, METH_NOARGS, DOC("release($self, /)", "Release the lock.")},
    {"wait_for", FAST(condition_wait_for), KEYWORDS, DOC("wait_for($self, /, predicate, timeout=None)", "Wait until predicate() is true; its last result.")},
    {"notify", FAST(condition_notify), KEYWORDS, DOC("notify($self, /, n=1)", "Wake up to n who wait, the oldest first.")},
    {"notify_all", condition_notify_all, METH_NOARGS, DOC("notify_all($self, /)", "Wake all who wait.")},
    {NULL},
};

static PyObject *get_lock(PyObject *object, void *unused) { return Py_NewRef(sync_of(object)->lock); }

static PyGetSetDef getters[] = {WAITING, {"_lock", get_lock, NULL, NULL}, {NULL}};
SLOTS(csp_condition_slots, condition_new, condition_methods, getters, PyDoc_STR("Condition(lock=None)\n--\n\nthreading.Condition, between interpreters, over a Lock or RLock of csp.sync."));
