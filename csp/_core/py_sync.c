/* The types of csp.sync.  What a primitive is, and who holds it, is in sync.c; how one waits, in py_wait.c. */
#include "py_sync.h"

#include <structmember.h>

#include "codec.h"

/* --- birth and death --- */

/* The Python side needs the handle no more; permits taken through it keep it until they are released, or its owner ends. */
static void let_go(csp_end *end)
{
    bool keep = false;
    if (!csp_is_forked(end)) {
        csp_chan_lock(end->chan);
        keep = end->orphan = end->held > 0;
        csp_chan_unlock(end->chan);
    }
    if (!keep)
        csp_end_free(end);
}

void csp_sync_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (sync_of(object)->handle.weakrefs != NULL)
        PyObject_ClearWeakRefs(object);
    if (sync_of(object)->handle.end != NULL)
        let_go(sync_of(object)->handle.end);
    Py_XDECREF(sync_of(object)->lock);
    type->tp_free(object);
    Py_DECREF(type);
}

bool csp_is_sync(PyObject *object) { return Py_TYPE(object)->tp_dealloc == csp_sync_dealloc; }

PyObject *csp_sync_object_new(csp_state *state, csp_end *end)
{
    PyTypeObject *type = state->sync_types[end->chan->sync];
    csp_chan *lock = end->chan->primitive->lock;
    csp_sync_object *self = (csp_sync_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        csp_end_free(end);
        return NULL;
    }
    self->handle.end = end;
    self->handle.state = state;
    if (lock != NULL) {
        csp_end *second = csp_end_new(lock, CSP_SEND | CSP_RECV, csp_record_here(state));
        self->lock = second == NULL ? PyErr_NoMemory() : csp_sync_object_new(state, second);
        if (self->lock == NULL)
            Py_CLEAR(self);
    }
    return (PyObject *)self;
}

/* A new primitive; takes over `sync`, which may be NULL for want of memory. */
PyObject *csp_sync_make(PyTypeObject *type, csp_sync_kind kind, csp_sync *sync)
{
    csp_state *state = csp_state_of_type(type);
    csp_chan *chan = sync == NULL ? NULL : csp_sync_chan_new((uint8_t)kind, sync);
    if (chan == NULL) {
        csp_sync_free(sync);
        return PyErr_NoMemory();
    }
    csp_note_origin(chan);
    csp_end *end = csp_end_new(chan, CSP_SEND | CSP_RECV, csp_record_here(state));
    csp_chan_decref(chan);
    return end == NULL ? PyErr_NoMemory() : csp_sync_object_new(state, end);
}

/* --- what all do --- */

/* Forked, or given up with its actor: -1 with the exception set. */
int csp_sync_begin(csp_sync_object *self)
{
    csp_state *state = self->handle.state;
    csp_status status = csp_is_forked(self->handle.end) ? CSP_FORKED : CSP_OK;
    /* Relaxed: a kill that comes a moment later finds us a moment later. */
    if (status == CSP_OK && atomic_load_explicit(&csp_record_here(state)->cancel, memory_order_relaxed) >= CSP_KILL_ASKED)
        status = CSP_KILLED;
    if (status == CSP_OK)
        return 0;
    csp_raise(state, status, CSP_RECV, chan_of(self), (PyObject *)self, -1);
    return -1;
}

/* This thread's owner is who acquires: if the handle is another's (a thread of the interpreter is an actor), through one of its own. */
static csp_end *end_here(csp_sync_object *self)
{
    csp_end *end = self->handle.end;
    csp_interp *here = csp_record_here(self->handle.state);
    return end->interp == here || csp_is_forked(end) ? end : csp_end_new(end->chan, CSP_SEND | CSP_RECV, here);
}

static csp_status take(csp_sync_object *self, csp_time deadline)
{
    csp_end *end = end_here(self);
    csp_op op;
    if (end == NULL)
        return CSP_NO_MEMORY;
    csp_op_init_end(&op, end, CSP_RECV);
    op.c.lease = false;
    csp_status status = csp_op_run(self->handle.state, &op, deadline);
    if (end != self->handle.end)
        let_go(end);
    return status;
}

PyObject *csp_sync_answer(csp_sync_object *self, csp_status status)
{
    if (status == CSP_OK)
        Py_RETURN_TRUE;
    if (status == CSP_TIMEOUT)
        Py_RETURN_FALSE;
    return csp_raise(self->handle.state, status, CSP_RECV, chan_of(self), (PyObject *)self, -1);
}

PyObject *csp_sync_case(csp_state *state, PyObject *object)
{
    if (!csp_is_sync(object))
        return NULL;
    csp_sync_kind kind = chan_of(sync_of(object))->sync;
    if (!csp_passes_on && kind != CSP_LOCK && kind != CSP_SEMAPHORE && kind != CSP_BOUNDED && kind != CSP_EVENT && kind != CSP_GROUP)
        return NULL;
    csp_end *end = end_here(sync_of(object));
    if (end == sync_of(object)->handle.end)
        return Py_NewRef(object);
    return end == NULL ? PyErr_NoMemory() : csp_sync_object_new(state, end);
}

/* threading's blocking= and timeout=, where -1 (a Lock) or None (a Semaphore) is for ever. */
static int parse_acquire(csp_sync_object *self, PyObject *args, PyObject *kwargs, csp_time *p_deadline)
{
    static char *names[] = {"blocking", "timeout", NULL};
    int blocking = 1;
    PyObject *timeout = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|pO:acquire", names, &blocking, &timeout))
        return -1;
    bool forever = timeout == Py_None;
    if (!forever && chan_of(self)->sync <= CSP_RLOCK) {
        double seconds = PyFloat_AsDouble(timeout);
        if (seconds == -1.0 && PyErr_Occurred())
            return -1;
        forever = seconds == -1.0;
    }
    if (!blocking && !forever) {
        PyErr_SetString(PyExc_ValueError, "can't specify a timeout for a non-blocking call");
        return -1;
    }
    *p_deadline = blocking ? CSP_NEVER : CSP_POLL;
    return forever ? 0 : csp_parse_timeout(timeout, p_deadline);
}

/* --- permits: locks and semaphores --- */

csp_status csp_sync_lock(csp_sync_object *self, csp_time deadline)
{
    csp_chan *chan = chan_of(self);
    csp_sync *sync = chan->primitive;
    if (chan->sync != CSP_RLOCK)
        return take(self, deadline);
    if (csp_sync_begin(self) < 0)
        return CSP_INTERRUPTED;
    csp_chan_lock(chan);
    bool mine = sync->thread == csp_sync_thread();
    sync->depth += mine;
    csp_chan_unlock(chan);
    csp_status status = mine ? CSP_OK : take(self, deadline);
    if (!mine && status == CSP_OK) {
        csp_chan_lock(chan);
        sync->thread = csp_sync_thread();
        sync->depth = 1;
        csp_chan_unlock(chan);
    }
    return status;
}

bool csp_sync_owns(const csp_sync *rlock)
{
    return csp_passes_on ? rlock->value <= 0 && rlock->thread == 0 : rlock->thread == csp_sync_thread();
}

typedef enum { RELEASED, NOT_HELD, NOT_OWNED, TOO_MANY } release_result;

static release_result release_locked(csp_sync_object *self, uint32_t n, csp_effects *fx, csp_end **p_orphan)
{
    csp_chan *chan = chan_of(self);
    csp_sync *sync = chan->primitive;
    bool is_lock = chan->sync <= CSP_RLOCK || chan->sync == CSP_ONCE;
    if (chan->sync == CSP_RLOCK && !csp_sync_owns(sync))
        return NOT_OWNED;
    if (is_lock && sync->value > 0)
        return NOT_HELD;
    if (chan->sync == CSP_BOUNDED && sync->value + n > sync->initial)
        return TOO_MANY;
    if (chan->sync == CSP_RLOCK && !csp_passes_on && --sync->depth > 0)
        return RELEASED;
    for (; n > 0; n--) {
        csp_end *orphan = csp_sync_release(chan, self->handle.end, fx);
        if (orphan != NULL && orphan->interp == csp_record_here(self->handle.state)) {
            orphan->orphan = false; /* ours to free: under the lock, see csp_interp_died.  Another's is freed with its owner */
            orphan->next_postponed = *p_orphan;
            *p_orphan = orphan;
        }
    }
    return RELEASED;
}

int csp_sync_unlock(csp_sync_object *self, uint32_t n)
{
    csp_effects fx;
    csp_end *orphan = NULL;
    if (csp_sync_begin(self) < 0)
        return -1;
    csp_effects_init(&fx);
    csp_chan_lock(chan_of(self));
    release_result result = release_locked(self, n, &fx, &orphan);
    csp_chan_unlock(chan_of(self));
    csp_effects_run(&fx);
    while (orphan != NULL) {
        csp_end *next = orphan->next_postponed;
        csp_end_free(orphan);
        orphan = next;
    }
    if (result == NOT_HELD)
        PyErr_SetString(PyExc_RuntimeError, "release unlocked lock");
    else if (result == NOT_OWNED)
        PyErr_SetString(PyExc_RuntimeError, "cannot release un-acquired lock");
    else if (result == TOO_MANY)
        PyErr_SetString(PyExc_ValueError, "Semaphore released too many times");
    return result == RELEASED ? 0 : -1;
}

PyObject *csp_sync_py_acquire(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    csp_time deadline = CSP_NEVER;
    if (nargs > 0 || kwnames != NULL) { /* rarely */
        PyObject *tuple = PyTuple_New(nargs), *dict = PyDict_New();
        int rc = tuple == NULL || dict == NULL ? -1 : 0;
        for (Py_ssize_t i = 0; rc == 0 && i < nargs; i++)
            PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
        for (Py_ssize_t i = 0; rc == 0 && kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++)
            rc = PyDict_SetItem(dict, PyTuple_GET_ITEM(kwnames, i), args[nargs + i]);
        if (rc == 0)
            rc = parse_acquire(sync_of(object), tuple, dict, &deadline);
        Py_XDECREF(tuple);
        Py_XDECREF(dict);
        if (rc < 0)
            return NULL;
    }
    return csp_sync_answer(sync_of(object), csp_sync_lock(sync_of(object), deadline));
}

PyObject *csp_sync_py_enter(PyObject *object, PyObject *unused) { return csp_sync_answer(sync_of(object), csp_sync_lock(sync_of(object), CSP_NEVER)); }

PyObject *csp_sync_py_release(PyObject *object, PyObject *unused)
{
    if (csp_sync_unlock(sync_of(object), 1) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *lock_exit(PyObject *object, PyObject *const *args, Py_ssize_t nargs) { return csp_sync_py_release(object, NULL); }

static PyObject *semaphore_release(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"n", NULL};
    int n = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|i:release", names, &n))
        return NULL;
    if (n < 1) {
        PyErr_SetString(PyExc_ValueError, "n must be one or more");
        return NULL;
    }
    if (csp_sync_unlock(sync_of(object), (uint32_t)n) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* value, and what goes with it, at one moment */
csp_sync csp_sync_look(csp_sync_object *self, uint32_t *p_waiting)
{
    csp_chan_info info;
    csp_chan_inspect(chan_of(self), &info);
    csp_chan_lock(chan_of(self));
    csp_sync copy = *state_of(self);
    csp_chan_unlock(chan_of(self));
    if (p_waiting != NULL)
        *p_waiting = info.waiting_receivers;
    return copy;
}

static PyObject *lock_locked(PyObject *object, PyObject *unused)
{
    return csp_sync_begin(sync_of(object)) < 0 ? NULL : PyBool_FromLong(csp_sync_look(sync_of(object), NULL).value <= 0);
}

static PyObject *get_owner_died(PyObject *object, void *unused)
{
    csp_sync now = csp_sync_look(sync_of(object), NULL);
    return PyBool_FromLong(now.owner_died && now.value <= 0);
}

PyObject *csp_sync_get_waiting(PyObject *object, void *unused)
{
    uint32_t waiting;
    csp_sync_look(sync_of(object), &waiting);
    return PyLong_FromUnsignedLong(waiting);
}

static PyObject *lock_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    csp_state *state = csp_state_of_type(type);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", names))
        return NULL;
    for (csp_sync_kind kind = CSP_LOCK; kind < CSP_NSYNC; kind++)
        if (type == state->sync_types[kind])
            return csp_sync_make(type, kind, csp_sync_new(kind == CSP_EVENT || kind == CSP_GROUP ? 0 : 1));
    return PyErr_Format(PyExc_TypeError, "cannot make a %s", type->tp_name);
}

static PyObject *semaphore_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"value", NULL};
    int value = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|i", names, &value))
        return NULL;
    if (value < 0) {
        PyErr_SetString(PyExc_ValueError, "semaphore initial value must be >= 0");
        return NULL;
    }
    bool bounded = type == csp_state_of_type(type)->sync_types[CSP_BOUNDED];
    return csp_sync_make(type, bounded ? CSP_BOUNDED : CSP_SEMAPHORE, csp_sync_new(value));
}

/* --- Event, WaitGroup --- */

static PyObject *wait_here(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", NULL};
    PyObject *timeout = Py_None;
    csp_time deadline;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:wait", names, &timeout) || csp_parse_timeout(timeout, &deadline) < 0)
        return NULL;
    return csp_sync_answer(sync_of(object), take(sync_of(object), deadline));
}

static PyObject *set_event(csp_sync_object *self, int value)
{
    csp_effects fx;
    if (csp_sync_begin(self) < 0)
        return NULL;
    csp_effects_init(&fx);
    csp_chan_lock(chan_of(self));
    state_of(self)->value = value;
    csp_sync_changed(chan_of(self));
    if (value)
        csp_sync_wake(chan_of(self), UINT32_MAX, &fx);
    csp_chan_unlock(chan_of(self));
    csp_effects_run(&fx);
    Py_RETURN_NONE;
}

static PyObject *event_set(PyObject *object, PyObject *unused) { return set_event(sync_of(object), 1); }
static PyObject *event_clear(PyObject *object, PyObject *unused) { return set_event(sync_of(object), 0); }
static PyObject *event_is_set(PyObject *object, PyObject *unused)
{
    return csp_sync_begin(sync_of(object)) < 0 ? NULL : PyBool_FromLong(csp_sync_look(sync_of(object), NULL).value > 0);
}

static PyObject *group_change(csp_sync_object *self, long long n)
{
    csp_effects fx;
    if (csp_sync_begin(self) < 0)
        return NULL;
    csp_effects_init(&fx);
    csp_chan_lock(chan_of(self));
    int64_t value = state_of(self)->value;
    bool wrong = n < -value || n > INT64_MAX - value; /* value >= 0 */
    if (!wrong) {
        state_of(self)->value = value + n;
        csp_sync_changed(chan_of(self));
        if (value + n == 0)
            csp_sync_wake(chan_of(self), UINT32_MAX, &fx);
    }
    csp_chan_unlock(chan_of(self));
    csp_effects_run(&fx);
    if (wrong)
        return PyErr_Format(n < 0 ? PyExc_ValueError : PyExc_OverflowError,
                            n < 0 ? "the counter of a WaitGroup must not become negative" : "the counter of a WaitGroup has 63 bits");
    Py_RETURN_NONE;
}

static PyObject *group_add(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"n", NULL};
    long long n = 1;
    return PyArg_ParseTupleAndKeywords(args, kwargs, "|L:add", names, &n) ? group_change(sync_of(object), n) : NULL;
}

static PyObject *group_done(PyObject *object, PyObject *unused) { return group_change(sync_of(object), -1); }

/* --- Once --- */

static bool once_is_done(csp_sync_object *self) { return csp_sync_look(self, NULL).done; }

static PyObject *once_do(PyObject *object, PyObject *function)
{
    csp_sync_object *self = sync_of(object);
    if (csp_sync_begin(self) < 0)
        return NULL;
    if (once_is_done(self))
        Py_RETURN_NONE;
    csp_status status = take(self, CSP_NEVER);
    if (status != CSP_OK)
        return csp_sync_answer(self, status);
    if (!once_is_done(self)) {
        Py_XDECREF(PyObject_CallNoArgs(function));
        PyObject *error = PyErr_GetRaisedException();
        csp_chan_lock(chan_of(self));
        state_of(self)->done = error == NULL || PyObject_TypeCheck(error, (PyTypeObject *)PyExc_Exception);
        csp_chan_unlock(chan_of(self));
        if (csp_sync_unlock(self, 1) < 0 && error != NULL)
            PyErr_Clear();
        if (error != NULL)
            PyErr_SetRaisedException(error);
        if (PyErr_Occurred())
            return NULL;
    }
    else if (csp_sync_unlock(self, 1) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* For the process of an actor, where the function is: it was acquired, and the function has returned, or has not. */
static PyObject *once_end(PyObject *object, PyObject *done)
{
    csp_sync_object *self = sync_of(object);
    csp_chan_lock(chan_of(self));
    state_of(self)->done |= done == Py_True;
    csp_chan_unlock(chan_of(self));
    return csp_sync_py_release(object, NULL);
}

static PyObject *get_done(PyObject *object, void *unused) { return PyBool_FromLong(once_is_done(sync_of(object))); }

/* --- AtomicInt --- */

static PyObject *atomic_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"value", NULL};
    long long value = 0;
    return PyArg_ParseTupleAndKeywords(args, kwargs, "|L", names, &value) ? csp_sync_make(type, CSP_ATOMIC, csp_sync_new(value)) : NULL;
}

static PyObject *atomic_add(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"n", NULL};
    csp_sync_object *self = sync_of(object);
    long long n = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|L:add", names, &n) || csp_sync_begin(self) < 0)
        return NULL;
    csp_chan_lock(chan_of(self));
    int64_t value = state_of(self)->value;
    bool fits = n < 0 ? value >= INT64_MIN - n : value <= INT64_MAX - n;
    if (fits)
        state_of(self)->value = value += n;
    csp_chan_unlock(chan_of(self));
    if (!fits)
        return PyErr_Format(PyExc_OverflowError, "an AtomicInt has 64 bits");
    return PyLong_FromLongLong(value);
}

static PyObject *atomic_compare_exchange(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"expected", "new", NULL};
    csp_sync_object *self = sync_of(object);
    long long expected, value;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "LL:compare_exchange", names, &expected, &value) || csp_sync_begin(self) < 0)
        return NULL;
    csp_chan_lock(chan_of(self));
    bool same = state_of(self)->value == expected;
    if (same)
        state_of(self)->value = value;
    csp_chan_unlock(chan_of(self));
    return PyBool_FromLong(same);
}

static PyObject *get_value(PyObject *object, void *unused)
{
    return csp_sync_begin(sync_of(object)) < 0 ? NULL : PyLong_FromLongLong(csp_sync_look(sync_of(object), NULL).value);
}

static int set_value(PyObject *object, PyObject *number, void *unused)
{
    if (number == NULL) {
        PyErr_SetString(PyExc_AttributeError, "value cannot be deleted");
        return -1;
    }
    long long value = PyLong_AsLongLong(number);
    if ((value == -1 && PyErr_Occurred()) || csp_sync_begin(sync_of(object)) < 0)
        return -1;
    csp_chan_lock(chan_of(sync_of(object)));
    state_of(sync_of(object))->value = value;
    csp_chan_unlock(chan_of(sync_of(object)));
    return 0;
}

/* --- types --- */

Py_hash_t csp_sync_hash(PyObject *object)
{
    Py_hash_t hash = (Py_hash_t)(chan_of(sync_of(object))->id * 0x9E3779B97F4A7C15ull >> 1);
    return hash == -1 ? -2 : hash;
}

PyObject *csp_sync_compare(PyObject *a, PyObject *b, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !csp_is_sync(b))
        Py_RETURN_NOTIMPLEMENTED;
    return PyBool_FromLong((chan_of(sync_of(a)) == chan_of(sync_of(b))) == (op == Py_EQ));
}

PyObject *csp_sync_repr(PyObject *object)
{
    return PyUnicode_FromFormat("<%s %llu>", Py_TYPE(object)->tp_name, (unsigned long long)chan_of(sync_of(object))->id);
}

PyObject *csp_sync_reduce(PyObject *object, PyObject *unused)
{
    return csp_raise_format(sync_of(object)->handle.state, CSP_E_NotShareable,
                            "a %s crosses only inside a value sent through a channel, it cannot be pickled or copied", Py_TYPE(object)->tp_name);
}

static PyMethodDef lock_methods[] = {
    ACQUIRE(csp_sync_py_acquire, "-1"), CONTEXT(csp_sync_py_enter, lock_exit), REDUCE,
    {"release", csp_sync_py_release, METH_NOARGS, DOC("release($self, /)", "Release it; RuntimeError if it is not held (an RLock: by this thread).")},
    {"locked", lock_locked, METH_NOARGS, DOC("locked($self, /)", "Is it held by anybody?")},
    {NULL},
};
static PyMethodDef semaphore_methods[] = {
    ACQUIRE(csp_sync_py_acquire, "None"), CONTEXT(csp_sync_py_enter, lock_exit), REDUCE,
    {"release", FAST(semaphore_release), KEYWORDS, DOC("release($self, /, n=1)", "Give n permits back.  A BoundedSemaphore raises ValueError beyond its initial value.")},
    {NULL},
};
static PyMethodDef event_methods[] = {
    WAIT(wait_here), REDUCE,
    {"set", event_set, METH_NOARGS, DOC("set($self, /)", "Set it, and wake all who wait.")},
    {"clear", event_clear, METH_NOARGS, DOC("clear($self, /)", "From now on waits wait.")},
    {"is_set", event_is_set, METH_NOARGS, DOC("is_set($self, /)", "Is it set?")},
    {NULL},
};
static PyMethodDef group_methods[] = {
    WAIT(wait_here), REDUCE,
    {"add", FAST(group_add), KEYWORDS, DOC("add($self, /, n=1)", "Add n, which may be negative, to the counter; ValueError if it became negative.")},
    {"done", group_done, METH_NOARGS, DOC("done($self, /)", "Take one from the counter.")},
    {NULL},
};
static PyMethodDef once_methods[] = {
    {"do", once_do, METH_O, DOC("do($self, function, /)", "Call the function if none was called yet; otherwise wait until that one has returned.")}, REDUCE,
    {"_end", once_end, METH_O, NULL}, {NULL},
};
static PyMethodDef atomic_methods[] = {
    {"add", FAST(atomic_add), KEYWORDS, DOC("add($self, /, n=1)", "Add n and return the new value; OverflowError, and no change, beyond 64 bits.")},
    {"compare_exchange", FAST(atomic_compare_exchange), KEYWORDS, DOC("compare_exchange($self, /, expected, new)", "Set it to `new` if it is `expected`; was it?")},
    REDUCE, {NULL},
};
static PyGetSetDef lock_getters[] = {
    {"owner_died", get_owner_died, NULL, PyDoc_STR("Did the last holder end without a release?  True until the present one releases.")}, WAITING, {NULL}};
static PyGetSetDef waiting_getters[] = {WAITING, {NULL}};
static PyGetSetDef once_getters[] = {{"done", get_done, NULL, PyDoc_STR("Has the function returned?")}, WAITING, {NULL}};
static PyGetSetDef atomic_getters[] = {{"value", get_value, set_value, PyDoc_STR("The number.")}, {NULL}};
PyMemberDef csp_sync_members[] = {{"__weaklistoffset__", Py_T_PYSSIZET, offsetof(csp_handle, weakrefs), Py_READONLY}, {NULL}};

static SLOTS(lock_slots, lock_new, lock_methods, lock_getters, PyDoc_STR("Lock()\n--\n\nthreading.Lock, between interpreters; released when its holder's actor or interpreter ends."));
static SLOTS(rlock_slots, lock_new, lock_methods, lock_getters, PyDoc_STR("RLock()\n--\n\nthreading.RLock, between interpreters; owned by a thread."));
static SLOTS(semaphore_slots, semaphore_new, semaphore_methods, waiting_getters, PyDoc_STR("Semaphore(value=1)\n--\n\nthreading.Semaphore, between interpreters, first come first served."));
static SLOTS(bounded_slots, semaphore_new, semaphore_methods, waiting_getters, PyDoc_STR("BoundedSemaphore(value=1)\n--\n\nA Semaphore that never exceeds its initial value."));
static SLOTS(event_slots, lock_new, event_methods, waiting_getters, PyDoc_STR("Event()\n--\n\nthreading.Event, between interpreters."));
static SLOTS(group_slots, lock_new, group_methods, waiting_getters, PyDoc_STR("WaitGroup()\n--\n\nGo's sync.WaitGroup: wait until a counter is zero."));
static SLOTS(once_slots, lock_new, once_methods, once_getters, PyDoc_STR("Once()\n--\n\nGo's sync.Once: a function that is called once, by whoever comes first."));
static SLOTS(atomic_slots, atomic_new, atomic_methods, atomic_getters, PyDoc_STR("AtomicInt(value=0)\n--\n\nA number of 64 bits that interpreters share."));

#define SPEC(name, slots) {"csp.sync." name, sizeof(csp_sync_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots}
static PyType_Spec specs[CSP_NSYNC] = {
    [CSP_LOCK] = SPEC("Lock", lock_slots), [CSP_RLOCK] = SPEC("RLock", rlock_slots), [CSP_SEMAPHORE] = SPEC("Semaphore", semaphore_slots),
    [CSP_BOUNDED] = SPEC("BoundedSemaphore", bounded_slots), [CSP_EVENT] = SPEC("Event", event_slots),
    [CSP_CONDITION] = SPEC("Condition", csp_condition_slots), [CSP_GROUP] = SPEC("WaitGroup", group_slots), [CSP_ONCE] = SPEC("Once", once_slots),
    [CSP_ATOMIC] = SPEC("AtomicInt", atomic_slots),
};

int csp_add_sync_types(PyObject *module, csp_state *state)
{
    for (int kind = CSP_LOCK; kind < CSP_NSYNC; kind++) {
        if (specs[kind].name == NULL)
            continue;
        state->sync_types[kind] = (PyTypeObject *)PyType_FromModuleAndSpec(module, &specs[kind], NULL);
        if (state->sync_types[kind] == NULL || PyModule_AddType(module, state->sync_types[kind]) < 0)
            return -1;
    }
    return 0;
}
