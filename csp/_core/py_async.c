/* Waiting in an event loop: Loop, the wake target of one running loop, and Wait, one operation under way in it.
 *
 * A Wait is a select (over one case, for a send or a receive) whose waiter fires into a csp_loop instead of waking a thread.
 * The Python side (csp/_awaiting.py) begins it, suspends the task, and takes the result once `drain` hands the Wait back.
 *
 *     BEGUN --fired, drained--> DONE --result()--> TAKEN
 *     BEGUN --cancel() won----> CANCELLED                   nothing was sent or taken, and nothing will be
 *     BEGUN --cancel() lost---> BEGUN; settle() --> SETTLED the outcome is there, only the loop has not been told yet
 *
 * While its waiter is known to a channel or to the loop's list the Wait holds a reference on itself.
 */
#include "py_batch.h"
#include "py_select.h"

#include "clock.h"
#include "interp.h"
#include "loop.h"

#ifndef _WIN32
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#endif

typedef enum { BEGUN, SETTLED, DONE, CANCELLED, TAKEN } phase;

typedef struct csp_loop_object {
    PyObject_HEAD
    csp_loop *loop; /* owned, immutable; NULL only in one that could not be made */
    csp_state *state; /* immutable: the list is its `loops` */
    struct csp_loop_object *next, **link; /* guarded by the GIL: the interpreter's event loops */
    struct wait_object *waits; /* guarded by the GIL: those that are listed */
    csp_interp *heart_of; /* counted, immutable: the actor whose life runs in it, or NULL */
    unsigned long thread; /* immutable: whose event loop it is */
    PyObject *wake; /* how to make the event loop itself run Python code; NULL: not known */
    int wake_fd;    /* guarded by the GIL: the same by a byte to this socket, owned; -1: not known */
} loop_object;

typedef struct wait_object wait_object;

typedef struct {
    csp_waiter waiter; /* first: the loop's list gives us this */
    wait_object *owner; /* OBJ(the interpreter of the loop), alive while it is listed */
} async_waiter;

struct wait_object {
    PyObject_HEAD
    csp_state *state;
    csp_cases cs;
    async_waiter *raw;  /* RAW, owned: known to the engine while phase is BEGUN or `listed` */
    loop_object *loop;  /* a new reference: outlives all posts to it */
    PyObject *token;    /* what is to be woken: a task or a future, or NULL */
    csp_case *fired;    /* with DONE and SETTLED */
    csp_status status;  /* with DONE and SETTLED */
    phase phase;        /* the event loop's thread only, as all of it */
    bool listed;        /* the loop has it or will have it: it keeps itself alive */
    struct wait_object *next, **link; /* while it is listed: the loop's `waits` */
    bool single;        /* a send or a receive: its result is the bare value */
};

/* --- Wait --- */

static void enlist(wait_object *self)
{
    loop_object *loop = self->loop;
    self->listed = true;
    self->link = &loop->waits;
    self->next = loop->waits;
    if (self->next != NULL)
        self->next->link = &self->next;
    loop->waits = self;
    Py_INCREF(self);
}

/* The caller has a reference. */
static void unlist(wait_object *self)
{
    *self->link = self->next;
    if (self->next != NULL)
        self->next->link = self->link;
    self->listed = false;
    Py_DECREF(self);
}

/* The waiter has an outcome, or none and never will. */
static void leave(wait_object *self)
{
    csp_select_withdraw(&self->cs.sel);
    csp_interp_leave_wait(self->raw->waiter.interp, &self->raw->waiter);
    csp_interp_decref(self->raw->waiter.interp);
}

static void keep_outcome(wait_object *self, phase phase)
{
    leave(self);
    self->status = self->raw->waiter.status;
    self->fired = self->raw->waiter.fired;
    self->phase = phase;
}

/* Begin it: done at once, or listed.  The values are encoded. */
static void start(wait_object *self)
{
    csp_effects fx;
    csp_effects_init(&fx);
    csp_cases *cs = &self->cs;
    self->phase = DONE;
    self->status = csp_cases_may_begin(self->state, cs, &self->fired);
    if (self->status != CSP_OK)
        return;
    cs->sel.random = csp_select_seed(self->state);
    csp_waiter *waiter = &self->raw->waiter;
    csp_waiter_init(waiter, csp_record_here(self->state), NULL, 0);
    waiter->loop = self->loop->loop;
    waiter->cases = cs->sel.cases;
    waiter->ncases = cs->sel.ncases;
    self->status = csp_select_start(&cs->sel, waiter, &self->fired, &fx);
    self->state->random = cs->sel.random;
    csp_effects_run(&fx);
    if (self->status != CSP_PENDING)
        return;
    self->phase = BEGUN;
    enlist(self);
    waiter->since = csp_now();
    csp_interp_incref(waiter->interp); /* of an actor that is a thread: it may be over when the loop hears of it */
    csp_interp_enter_wait(waiter->interp, waiter); /* if it is being stopped, then that is the outcome, and comes by the loop */
}

static wait_object *wait_new(PyObject *module, PyObject *loop, PyTypeObject *type)
{
    csp_state *state = csp_state_of_module(module);
    if (!Py_IS_TYPE(loop, state->loop_type))
        return (wait_object *)PyErr_Format(PyExc_TypeError, "a Loop is needed, not %.100s", Py_TYPE(loop)->tp_name);
    wait_object *self = (wait_object *)type->tp_alloc(type, 0);
    async_waiter *raw = self == NULL ? NULL : csp_raw_alloc_line(sizeof *raw);
    if (raw == NULL) {
        Py_XDECREF(self);
        return (wait_object *)PyErr_NoMemory();
    }
    self->state = state;
    self->raw = raw;
    raw->owner = self;
    self->loop = (loop_object *)Py_NewRef(loop);
    self->phase = CANCELLED;
    return self;
}

static PyObject *begin(wait_object *self)
{
    if (self->cs.has_sends && csp_cases_encode(self->state, &self->cs) < 0) {
        if (self->single)
            csp_annotate(self->state, self->cs.objects[0], -1);
        csp_cases_clear(&self->cs);
        Py_DECREF(self);
        return NULL;
    }
    start(self);
    return (PyObject *)self;
}

static PyObject *begin_single(PyObject *module, PyObject *loop, PyObject *case_)
{
    csp_state *state = csp_state_of_module(module);
    wait_object *self = wait_new(module, loop, state->wait_type);
    if (self == NULL)
        return NULL;
    self->single = true;
    if (csp_cases_reserve(&self->cs, 1, NULL) < 0 || csp_cases_add(state, &self->cs, case_) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    csp_select_prepare(&self->cs.sel);
    return begin(self);
}

static PyObject *begin_recv(PyObject *module, PyObject *args)
{
    PyObject *loop, *handle;
    if (!PyArg_ParseTuple(args, "OO:begin_recv", &loop, &handle))
        return NULL;
    return begin_single(module, loop, handle);
}

static PyObject *begin_send(PyObject *module, PyObject *args)
{
    PyObject *loop, *handle, *value;
    if (!PyArg_ParseTuple(args, "OOO:begin_send", &loop, &handle, &value))
        return NULL;
    PyObject *pair = PyTuple_Pack(2, handle, value);
    PyObject *self = pair == NULL ? NULL : begin_single(module, loop, pair);
    Py_XDECREF(pair);
    return self;
}

static PyObject *begin_select(PyObject *module, PyObject *args)
{
    csp_state *state = csp_state_of_module(module);
    PyObject *loop, *list;
    int priority;
    if (!PyArg_ParseTuple(args, "OOp:begin_select", &loop, &list, &priority))
        return NULL;
    wait_object *self = wait_new(module, loop, state->wait_type);
    if (self == NULL)
        return NULL;
    csp_cases cs;
    if (csp_cases_from(state, &cs, list, NULL) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->cs = cs;
    self->cs.sel.priority = priority;
    if (cs.sel.norder == 0) {
        PyErr_SetString(PyExc_ValueError, "aselect without an enabled case would wait for ever");
        Py_DECREF(self);
        return NULL;
    }
    return begin(self);
}

static PyObject *wait_cancel(PyObject *object, PyObject *unused)
{
    wait_object *self = (wait_object *)object;
    if (self->phase != BEGUN)
        return PyBool_FromLong(self->phase == CANCELLED);
    if (!csp_waiter_cancel(&self->raw->waiter))
        Py_RETURN_FALSE; /* whoever claimed it is about to post it */
    leave(self);
    csp_cases_clear(&self->cs);
    self->phase = CANCELLED;
    unlist(self);
    Py_RETURN_TRUE;
}

static PyObject *wait_settle(PyObject *object, PyObject *unused)
{
    wait_object *self = (wait_object *)object;
    if (self->phase == BEGUN) {
        Py_BEGIN_ALLOW_THREADS
        csp_waiter_await_claimer(&self->raw->waiter);
        Py_END_ALLOW_THREADS
        keep_outcome(self, SETTLED);
    }
    Py_RETURN_NONE;
}

static PyObject *single_result(wait_object *self)
{
    csp_case *c = &self->cs.sel.cases[0];
    PyObject *handle = self->cs.objects[0];
    if (self->status != CSP_OK)
        return csp_raise(self->state, self->status, c->dir, c->chan, handle, -1);
    if (c->dir == CSP_SEND)
        Py_RETURN_NONE;
    PyObject *value = csp_take(self->state, c->chan, &c->msg);
    return value != NULL ? value : csp_annotate(self->state, handle, -1);
}

static PyObject *wait_result(PyObject *object, PyObject *unused)
{
    wait_object *self = (wait_object *)object;
    if (self->phase != DONE && self->phase != SETTLED) {
        PyErr_SetString(PyExc_RuntimeError, "this wait has no outcome to give");
        return NULL;
    }
    csp_take_back(self->state->interp); /* it may have slept for long, while others ran */
    self->phase = TAKEN;
    PyObject *result =
        self->single ? single_result(self) : csp_cases_result(self->state, &self->cs, self->status, self->fired);
    csp_cases_clear(&self->cs);
    return result;
}

/* As `result`, for a lease: a value of its channel is on loan then. */
static PyObject *wait_into(PyObject *object, PyObject *lease)
{
    wait_object *self = (wait_object *)object;
    if (!Py_IS_TYPE(lease, self->state->lease_type))
        return PyErr_Format(PyExc_TypeError, "a Lease is needed, not %.100s", Py_TYPE(lease)->tp_name);
    bool received = (self->phase == DONE || self->phase == SETTLED) && self->status == CSP_OK && self->fired->dir == CSP_RECV;
    if (!received || self->fired->chan != csp_lease_chan(lease))
        return wait_result(object, NULL);
    csp_take_back(self->state->interp);
    self->phase = TAKEN;
    Py_ssize_t index = (Py_ssize_t)self->fired->index;
    PyObject *value = csp_lease_take(lease, &self->fired->msg);
    if (value != NULL && !self->single)
        value = csp_selected(self->state, self->cs.objects[index], value, index);
    csp_cases_clear(&self->cs);
    return value;
}

/* Whoever awaited it is gone: what was received goes back to the head of its channel.  A value that was sent is gone. */
static PyObject *wait_put_back(PyObject *object, PyObject *unused)
{
    wait_object *self = (wait_object *)object;
    if (self->phase == DONE || self->phase == SETTLED) {
        self->phase = TAKEN;
        if (self->status == CSP_OK && self->fired != NULL && self->fired->dir == CSP_RECV)
            csp_put_back(self->fired->chan, &self->fired->msg);
        csp_cases_clear(&self->cs);
    }
    Py_RETURN_NONE;
}

static PyObject *wait_due(PyObject *object, PyObject *unused)
{
    wait_object *self = (wait_object *)object;
    csp_time due = self->phase == BEGUN && self->cs.sel.has_timers ? csp_earliest_due(&self->raw->waiter) : CSP_NEVER, now = csp_clock();
    if (due == CSP_NEVER)
        Py_RETURN_NONE;
    if (due > now && csp_clock_stands())
        return PyFloat_FromDouble(Py_HUGE_VAL); /* who moves the clock fires it; csp_clock_resume pokes the loop */
    return PyFloat_FromDouble(due > now ? (double)(due - now) / 1e9 : 0.0);
}

static PyObject *wait_fire_due(PyObject *object, PyObject *unused)
{
    wait_object *self = (wait_object *)object;
    if (self->phase == BEGUN)
        csp_fire_due(&self->raw->waiter);
    Py_RETURN_NONE;
}

static PyObject *wait_get_done(PyObject *object, void *unused)
{
    return PyBool_FromLong(((wait_object *)object)->phase != BEGUN);
}

static PyObject *wait_get_token(PyObject *object, void *unused)
{
    wait_object *self = (wait_object *)object;
    return Py_NewRef(self->token == NULL ? Py_None : self->token);
}

static int wait_set_token(PyObject *object, PyObject *token, void *unused)
{
    wait_object *self = (wait_object *)object;
    Py_XSETREF(self->token, Py_XNewRef(token));
    return 0;
}

static int wait_traverse(PyObject *object, visitproc visit, void *arg)
{
    wait_object *self = (wait_object *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->token);
    Py_VISIT(self->loop);
    for (uint32_t i = 0; i < self->cs.sel.ncases; i++) {
        Py_VISIT(self->cs.objects[i]);
        Py_VISIT(self->cs.handles[i]);
        Py_VISIT(self->cs.values[i]);
    }
    return 0;
}

/* Only what a cycle can go through: one that is listed keeps itself alive and is not collected. */
static int wait_clear(PyObject *object)
{
    Py_CLEAR(((wait_object *)object)->token);
    return 0;
}

static void wait_dealloc(PyObject *object)
{
    wait_object *self = (wait_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    wait_put_back(object, NULL); /* an outcome that nobody took */
    wait_clear(object);
    csp_cases_release(&self->cs);
    if (self->raw != NULL)
        csp_raw_free_line(self->raw);
    Py_XDECREF(self->loop);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef wait_methods[] = {
    {"cancel", wait_cancel, METH_NOARGS, PyDoc_STR("cancel($self, /)\n--\n\nCall it off: True if nothing was sent or taken and nothing will be.")},
    {"settle", wait_settle, METH_NOARGS, PyDoc_STR("settle($self, /)\n--\n\nAfter a cancel in vain: make the outcome there now.  A matter of microseconds.")},
    {"result", wait_result, METH_NOARGS, PyDoc_STR("result($self, /)\n--\n\nThe outcome, once: what the operation returns or raises.")},
    {"into", wait_into, METH_O, PyDoc_STR("into($self, lease, /)\n--\n\nAs `result`; a value received through the channel of the unused lease goes on loan to it.")},
    {"put_back", wait_put_back, METH_NOARGS, PyDoc_STR("put_back($self, /)\n--\n\nNobody wants the outcome: a received value goes back to the head of its channel.")},
    {"due", wait_due, METH_NOARGS, PyDoc_STR("due($self, /)\n--\n\nSeconds until a timer among the cases is ready, infinity while the clock stands, or None.")},
    {"fire_due", wait_fire_due, METH_NOARGS, PyDoc_STR("fire_due($self, /)\n--\n\nLet the timers fire whose time has come.")},
    {NULL},
};

static PyGetSetDef wait_getters[] = {
    {"done", wait_get_done, NULL, PyDoc_STR("It is over: there is an outcome, or it was called off.")},
    {"token", wait_get_token, wait_set_token, PyDoc_STR("What the loop is to wake.")},
    {NULL},
};

static PyType_Slot wait_slots[] = {
    {Py_tp_doc, (void *)"A channel operation under way in an event loop."},
    {Py_tp_dealloc, wait_dealloc}, {Py_tp_traverse, wait_traverse}, {Py_tp_clear, wait_clear},
    {Py_tp_methods, wait_methods}, {Py_tp_getset, wait_getters}, {0, NULL},
};

static PyType_Spec wait_spec = {"csp.Wait", sizeof(wait_object), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                wait_slots};

/* --- the methods of handles --- */

/* The coroutine that csp._awaiting makes of it: that module imports nothing but what is there, and is not imported before. */
static PyObject *coroutine(PyObject *object, const char *name, PyObject *value)
{
    csp_state *state = ((csp_handle *)object)->state;
    if (state->awaiting == NULL) {
        PyObject *module = PyImport_ImportModule("csp._awaiting");
        if (module == NULL)
            return NULL;
        Py_XSETREF(state->awaiting, module); /* another thread may have been here during the import */
    }
    PyObject *function = PyObject_GetAttrString(state->awaiting, name);
    PyObject *result = function == NULL ? NULL : PyObject_CallFunctionObjArgs(function, object, value, NULL);
    Py_XDECREF(function);
    return result;
}

PyObject *csp_handle_arecv(PyObject *object, PyObject *unused) { return coroutine(object, "arecv", NULL); }

PyObject *csp_handle_asend(PyObject *object, PyObject *value) { return coroutine(object, "asend", value); }

PyObject *csp_handle_anext(PyObject *object) { return coroutine(object, "anext", NULL); }

PyObject *csp_handle_aenter(PyObject *object, PyObject *unused) { return coroutine(object, "aenter", NULL); }

PyObject *csp_handle_aexit(PyObject *object, PyObject *args) { return coroutine(object, "aexit", NULL); }

const char csp_asend_doc[] = PyDoc_STR(
    "asend($self, value, /)\n--\n\n"
    "Send a value from a task of trio or asyncio: awaitable, as `send` without a timeout.\n\n"
    "Cancelled, it was not sent and never will be.  If the value was handed over before the cancellation came, the await\n"
    "returns, and the cancellation is delivered at the next checkpoint.");
const char csp_arecv_doc[] = PyDoc_STR(
    "arecv($self, /)\n--\n\n"
    "Receive the oldest value in a task of trio or asyncio: awaitable, as `recv` without a timeout.\n\n"
    "Cancelled, nothing was taken.  If a value had been handed over before the cancellation came, it is returned, and the\n"
    "cancellation is delivered at the next checkpoint.\n\n"
    "    with trio.move_on_after(2.5):\n"
    "        page = await pages.arecv()");
const char csp_aenter_doc[] = PyDoc_STR("__aenter__($self, /)\n--\n\nThe handle itself, which is closed on leaving the block.");
const char csp_aexit_doc[] = PyDoc_STR("__aexit__($self, /, *exc)\n--\n\nClose the handle.");

/* --- Loop --- */

static PyObject *loop_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Loop", names))
        return NULL;
    loop_object *self = (loop_object *)type->tp_alloc(type, 0);
    if (self != NULL && (self->loop = csp_loop_new()) == NULL) {
        Py_DECREF(self);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    if (self != NULL) {
        self->state = csp_state_of_type(type);
        self->thread = PyThread_get_thread_ident();
        self->wake_fd = -1;
        self->link = &self->state->loops;
        self->next = self->state->loops;
        if (self->next != NULL)
            self->next->link = &self->next;
        self->state->loops = self;
        if (csp_ignores_stops) { /* the thread of an `async def` actor, to which a stop is a cancellation */
            self->heart_of = csp_record_here(self->state);
            csp_interp_incref(self->heart_of);
            csp_interp_set_heart(self->heart_of, self->loop);
        }
    }
    return (PyObject *)self;
}

static PyObject *loop_fileno(PyObject *object, PyObject *unused)
{
    return PyLong_FromLong(((loop_object *)object)->loop->read_fd);
}

/* Those that are to be woken, in the order in which they fired. */
static PyObject *loop_drain(PyObject *object, PyObject *unused)
{
    PyObject *list = PyList_New(0);
    if (list == NULL)
        return NULL;
    loop_object *loop = (loop_object *)object;
    csp_waiter *next, *waiter = csp_loop_drain(loop->loop);
    if (loop->heart_of != NULL)
        csp_interp_heart_beats(loop->heart_of);
    int failed = 0;
    for (; waiter != NULL; waiter = next) {
        next = waiter->next_wake;
        wait_object *self = (wait_object *)Py_NewRef(((async_waiter *)waiter)->owner);
        unlist(self);
        if (self->phase == BEGUN) { /* else its outcome was fetched, it is here for the last time */
            keep_outcome(self, DONE);
            failed |= PyList_Append(list, (PyObject *)self);
        }
        Py_DECREF(self);
    }
    if (failed) {
        Py_DECREF(list);
        return NULL;
    }
    return list;
}

static PyObject *loop_poke(PyObject *object, PyObject *unused)
{
    csp_loop_poke(((loop_object *)object)->loop);
    Py_RETURN_NONE;
}

/* Full, or nobody reads it any more: fine. */
static void write_to(int fd)
{
#ifndef _WIN32
    char byte = 0;
    if (fd >= 0 && send(fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        /* as said */
    }
#else
    (void)fd;
#endif
}

#define MANY_LOOPS 16

void csp_poke_loops(csp_state *state)
{
    PyObject *wakes[MANY_LOOPS];
    int n = 0;
    for (loop_object *self = state->loops; self != NULL; self = self->next) {
        csp_loop_poke(self->loop); /* each way that there is: a kill may have hit one of them already */
        write_to(self->wake_fd);
        if (self->wake != NULL && n < MANY_LOOPS)
            wakes[n++] = Py_NewRef(self->wake);
    }
    while (n-- > 0) { /* Python runs now: the list may change */
        PyObject *done = PyObject_CallNoArgs(wakes[n]);
        Py_XDECREF(done);
        PyErr_Clear(); /* it has ended, say */
        Py_DECREF(wakes[n]);
    }
}

static PyObject *loop_get_wake(PyObject *object, void *unused)
{
    loop_object *self = (loop_object *)object;
    return Py_NewRef(self->wake == NULL ? Py_None : self->wake);
}

static int loop_set_wake(PyObject *object, PyObject *wake, void *unused)
{
    loop_object *self = (loop_object *)object;
    Py_XSETREF(self->wake, Py_XNewRef(wake));
    return 0;
}

/* A duplicate, so that it is ours to close, and no other thread's. */
static PyObject *loop_wake_by(PyObject *object, PyObject *number)
{
    loop_object *self = (loop_object *)object;
    int fd = PyLong_AsInt(number);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
#ifndef _WIN32
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (self->wake_fd >= 0)
        close(self->wake_fd);
    self->wake_fd = copy;
#endif
    Py_RETURN_NONE;
}

static PyGetSetDef loop_getters[] = {
    {"wake", loop_get_wake, loop_set_wake, PyDoc_STR("A function that makes the event loop run Python code, from any thread.")},
    {NULL},
};

static void loop_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    loop_object *self = (loop_object *)object;
    if (self->link != NULL) {
        *self->link = self->next;
        if (self->next != NULL)
            self->next->link = self->link;
    }
    Py_XDECREF(self->wake);
    if (self->heart_of != NULL) {
        csp_interp_unset_heart(self->heart_of, self->loop);
        csp_interp_decref(self->heart_of);
    }
#ifndef _WIN32
    if (self->wake_fd >= 0)
        close(self->wake_fd);
#endif
    if (self->loop != NULL)
        csp_loop_free(self->loop); /* each Wait holds a reference on us: nobody waits through it */
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef loop_methods[] = {
    {"fileno", loop_fileno, METH_NOARGS, PyDoc_STR("fileno($self, /)\n--\n\nReadable when something has fired.")},
    {"drain", loop_drain, METH_NOARGS, PyDoc_STR("drain($self, /)\n--\n\nThe waits that have fired since the last time, oldest first.")},
    {"wake_by", loop_wake_by, METH_O, PyDoc_STR("wake_by($self, fd, /)\n--\n\nA byte to this socket makes the event loop run Python code.")},
    {"poke", loop_poke, METH_NOARGS, PyDoc_STR("poke($self, /)\n--\n\nMake the descriptor readable.")},
    {NULL},
};

static PyType_Slot loop_slots[] = {
    {Py_tp_doc, (void *)"The wake target of one running event loop: one descriptor, whatever the number of waits."},
    {Py_tp_new, loop_new}, {Py_tp_dealloc, loop_dealloc}, {Py_tp_methods, loop_methods},
    {Py_tp_getset, loop_getters}, {0, NULL},
};

static PyType_Spec loop_spec = {"csp.Loop", sizeof(loop_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, loop_slots};

/* Nobody is left to be woken.  What waits is called off, so that its tasks can be collected: until then it keeps them alive. */
static void abandon(loop_object *self)
{
    Py_CLEAR(self->wake);
    for (wait_object *wait; (wait = self->waits) != NULL;) {
        Py_INCREF(wait);
        Py_CLEAR(wait->token);
        Py_DECREF(wait_cancel((PyObject *)wait, NULL));
        if (wait->listed) { /* lost: it is on its way here */
            Py_DECREF(wait_settle((PyObject *)wait, NULL));
            Py_DECREF(wait_put_back((PyObject *)wait, NULL));
            PyObject *waits = loop_drain((PyObject *)self, NULL);
            Py_XDECREF(waits);
            PyErr_Clear();
        }
        Py_DECREF(wait);
    }
}

/* The event loops of this thread have been left half-way. */
static PyObject *abandon_loops(PyObject *module, PyObject *unused)
{
    csp_state *state = csp_state_of_module(module);
    unsigned long thread = PyThread_get_thread_ident();
    for (loop_object *next, *self = (loop_object *)Py_XNewRef(state->loops); self != NULL; self = next) {
        if (self->thread == thread)
            abandon(self);
        next = (loop_object *)Py_XNewRef(self->next); /* only now: what was freed may have been loops */
        Py_DECREF(self);
    }
    Py_RETURN_NONE;
}

PyMethodDef csp_async_functions[] = {
    {"abandon_loops", abandon_loops, METH_NOARGS, PyDoc_STR("abandon_loops()\n\nThe event loops of this thread have been left half-way: call off what waits through them.")},
    {"begin_recv", begin_recv, METH_VARARGS, PyDoc_STR("begin_recv(loop, handle) -> Wait")},
    {"begin_send", begin_send, METH_VARARGS, PyDoc_STR("begin_send(loop, handle, value) -> Wait")},
    {"begin_select", begin_select, METH_VARARGS, PyDoc_STR("begin_select(loop, cases, priority) -> Wait")},
    {NULL},
};

int csp_add_async_types(PyObject *module, csp_state *state)
{
    state->wait_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &wait_spec, NULL);
    state->loop_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &loop_spec, NULL);
    if (state->wait_type == NULL || state->loop_type == NULL || PyModule_AddType(module, state->wait_type) < 0)
        return -1;
    return PyModule_AddType(module, state->loop_type);
}
