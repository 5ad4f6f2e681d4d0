/* select and Selector: from a list of Python cases to csp_case, and back to a Selected. */
#include "py_select.h"

#include "codec.h"
#include "mem.h"
#include "move.h"

#define ON_STACK CSP_CASES_ON_STACK

/* --- from Python --- */

int csp_cases_reserve(csp_cases *cs, Py_ssize_t n, csp_cases_room *room)
{
    cs->memory = NULL;
    cs->has_sends = false;
    cs->sel.ncases = 0;
    if (room != NULL && n <= ON_STACK) {
        cs->sel.cases = room->cases;
        cs->sel.order = room->order;
        cs->sel.looks = room->looks;
        cs->objects = room->objects;
    }
    else {
        size_t each = sizeof(csp_case) + sizeof(csp_look) + sizeof(csp_case *) + 3 * sizeof(PyObject *);
        unsigned char *memory = (size_t)n >= UINT32_MAX ? NULL : csp_raw_alloc((size_t)n * each);
        if (memory == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        cs->memory = memory;
        cs->sel.cases = (csp_case *)memory;
        cs->sel.looks = (csp_look *)(cs->sel.cases + n);
        cs->sel.order = (csp_case **)(cs->sel.looks + n);
        cs->objects = (PyObject **)(cs->sel.order + n);
    }
    cs->handles = cs->objects + n;
    cs->values = cs->handles + n;
    return 0;
}

void csp_cases_release(csp_cases *cs)
{
    for (uint32_t i = 0; i < cs->sel.ncases; i++) {
        Py_XDECREF(cs->objects[i]);
        Py_XDECREF(cs->handles[i]);
        Py_XDECREF(cs->values[i]);
    }
    csp_raw_free(cs->memory);
}

/* The handle that an object offers to select by its method __csp_case__: a Reply, a lock.  New reference. */
static PyObject *offered_handle(csp_state *state, PyObject *object, Py_ssize_t index)
{
    PyObject *method;
    if (PyObject_GetOptionalAttr(object, state->str_case, &method) < 0)
        return NULL;
    if (method == NULL)
        return PyErr_Format(PyExc_TypeError,
                            "case %zd must be a channel, a pair (channel, value) or None, not %.100s", index,
                            Py_TYPE(object)->tp_name);
    PyObject *handle = PyObject_CallNoArgs(method);
    Py_DECREF(method);
    if (handle != NULL && !csp_is_handle(state, handle)) {
        PyErr_Format(PyExc_TypeError, "case %zd: __csp_case__ of %.100s must return a channel", index,
                     Py_TYPE(object)->tp_name);
        Py_CLEAR(handle);
    }
    return handle;
}

/* The parts of one case, borrowed but for *p_handle.  -1 with an exception set. */
static int dissect(csp_state *state, PyObject *item, Py_ssize_t index, PyObject **p_object, PyObject **p_value,
                   PyObject **p_handle)
{
    *p_object = item;
    *p_value = NULL;
    if (PyTuple_Check(item) && PyTuple_GET_SIZE(item) == 2) {
        *p_object = PyTuple_GET_ITEM(item, 0);
        *p_value = PyTuple_GET_ITEM(item, 1);
    }
    if (csp_is_handle(state, *p_object))
        *p_handle = Py_NewRef(*p_object);
    else if (*p_value != NULL) {
        PyErr_Format(PyExc_TypeError, "case %zd: the channel of a send must be a channel, not %.100s", index,
                     Py_TYPE(*p_object)->tp_name);
        return -1;
    }
    else if ((*p_handle = csp_sync_case(state, item)) == NULL && (PyErr_Occurred() || (*p_handle = offered_handle(state, item, index)) == NULL))
        return -1;
    uint8_t need = *p_value != NULL ? CSP_SEND : CSP_RECV;
    if (!(((csp_handle *)*p_handle)->end->dir & need)) {
        PyErr_Format(PyExc_TypeError,
                     need == CSP_SEND ? "case %zd: a RecvChannel cannot be sent to"
                                      : "case %zd: a SendChannel cannot be received from: to send, pass (channel, value)",
                     index);
        Py_DECREF(*p_handle);
        return -1;
    }
    return 0;
}

int csp_cases_add(csp_state *state, csp_cases *cs, PyObject *item)
{
    uint32_t i = cs->sel.ncases;
    csp_case *c = &cs->sel.cases[i];
    PyObject *object = NULL, *value = NULL, *handle = NULL;
    c->msg.kind = CSP_MSG_EMPTY;
    c->chan = NULL;
    c->queued = false;
    c->lease = false;
    c->index = i;
    if (item != Py_None) {
        if (dissect(state, item, (Py_ssize_t)i, &object, &value, &handle) < 0)
            return -1;
        c->end = ((csp_handle *)handle)->end;
        c->chan = c->end->chan;
        c->dir = value != NULL ? CSP_SEND : CSP_RECV;
        cs->has_sends |= value != NULL;
    }
    cs->objects[i] = Py_XNewRef(object);
    cs->values[i] = Py_XNewRef(value);
    cs->handles[i] = handle;
    cs->sel.ncases++;
    return 0;
}

/* On failure nothing is left to release. */
int csp_cases_from(csp_state *state, csp_cases *cs, PyObject *list, csp_cases_room *room)
{
    PyObject *items = PySequence_Fast(list, "cases must be a list of channels, pairs (channel, value) and None");
    if (items == NULL)
        return -1;
    Py_ssize_t n = PySequence_Fast_GET_SIZE(items);
    int rc = csp_cases_reserve(cs, n, room);
    if (rc < 0) {
        Py_DECREF(items);
        return -1;
    }
    for (Py_ssize_t i = 0; rc == 0 && i < n && i < PySequence_Fast_GET_SIZE(items); i++) {
        PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(items, i)); /* __csp_case__ may change the list */
        rc = csp_cases_add(state, cs, item);
        Py_DECREF(item);
    }
    Py_DECREF(items);
    if (rc == 0)
        csp_select_prepare(&cs->sel);
    else
        csp_cases_release(cs);
    return rc;
}

/* --- the select --- */

/* Any seed will do.  One state an interpreter: without a GIL two threads may draw the same number, which harms nobody. */
uint32_t csp_select_seed(csp_state *state)
{
    if (state->random == 0)
        state->random = (uint32_t)((uintptr_t)state >> 4) ^ (uint32_t)csp_now() ^ 0x9E3779B9u;
    return state->random;
}

/* Send values are encoded on entry, all of them, chosen or not (as Go evaluates them). */
int csp_cases_encode(csp_state *state, csp_cases *cs)
{
    csp_move_scope outer = csp_move_scope_begin(); /* they may all move the same thing: at most one is sent */
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < cs->sel.ncases; i++) {
        csp_case *c = &cs->sel.cases[i];
        if (cs->values[i] != NULL && (rc = csp_encode(state, c->chan, cs->values[i], &c->msg)) < 0)
            csp_annotate(state, cs->objects[i], (Py_ssize_t)i);
    }
    csp_move_scope_end(outer);
    return rc;
}

void csp_cases_clear(csp_cases *cs)
{
    for (uint32_t i = 0; i < cs->sel.ncases; i++) {
        csp_case *c = &cs->sel.cases[i];
        if (c->dir == CSP_SEND)
            csp_msg_unsend(&c->msg); /* the one that was sent is empty */
        else
            csp_msg_clear(&c->msg);
    }
}

csp_status csp_cases_may_begin(csp_state *state, csp_cases *cs, csp_case **p_fired)
{
    /* Relaxed: it changes only while the process has one thread.  Until a fork there is nothing to look for. */
    bool ever = atomic_load_explicit(&csp_fork_generation, memory_order_relaxed) != 0;
    for (uint32_t i = 0; ever && i < cs->sel.norder; i++) {
        if (csp_is_forked(cs->sel.order[i]->end)) {
            *p_fired = cs->sel.order[i];
            return CSP_FORKED;
        }
    }
    return csp_may_begin(state);
}

/* The status of the case that fired, in *p_fired; CSP_TIMEOUT and others without one. */
static csp_status run_cases(csp_state *state, csp_cases *cs, csp_time deadline, csp_case **p_fired)
{
    csp_waiter waiter;
    csp_effects fx;
    csp_status status = csp_cases_may_begin(state, cs, p_fired);
    if (status != CSP_OK)
        return status;
    csp_effects_init(&fx);
    cs->sel.random = csp_select_seed(state);
    if (deadline == CSP_POLL) {
        status = csp_select_try(&cs->sel, p_fired, &fx);
        state->random = cs->sel.random;
        csp_effects_run(&fx);
        return status == CSP_PENDING ? CSP_TIMEOUT : status;
    }
    csp_waiter_init(&waiter, csp_record_here(state), NULL, 0); /* the cases learn of it if and when they are queued */
    waiter.cases = cs->sel.cases;
    waiter.ncases = cs->sel.ncases;
    status = csp_select_start(&cs->sel, &waiter, p_fired, &fx);
    state->random = cs->sel.random;
    csp_effects_run(&fx);
    if (status != CSP_PENDING)
        return status;
    status = csp_wait(&waiter, deadline, cs->sel.norder > 0 ? &cs->sel.order[0]->chan->spin : NULL, cs->sel.has_timers);
    csp_select_withdraw(&cs->sel);
    if (status != CSP_TIMEOUT && status != CSP_INTERRUPTED)
        *p_fired = waiter.fired;
    return status;
}

/* The case is an object that offers its channel: what it makes of the value, or of the end of the channel, by its method
 * __csp_result__(value, end).  Takes over `value`; NULL: the exception that is set is the outcome. */
static PyObject *result_of_offer(csp_state *state, PyObject *object, PyObject *value)
{
    PyObject *end = value == NULL ? PyErr_GetRaisedException() : NULL;
    PyObject *method, *result = NULL;
    if (PyObject_GetOptionalAttrString(object, "__csp_result__", &method) == 0 && method == NULL)
        result = Py_XNewRef(value); /* it makes nothing of it */
    else if (method != NULL) {
        result = PyObject_CallFunctionObjArgs(method, value == NULL ? Py_None : value, end == NULL ? Py_None : end, NULL);
        if (end != NULL)
            Py_CLEAR(result); /* it is at its end all the same */
    }
    if (result == NULL && end != NULL && !PyErr_Occurred())
        PyErr_SetRaisedException(Py_NewRef(end));
    Py_XDECREF(method);
    Py_XDECREF(value);
    Py_XDECREF(end);
    return result;
}

/* What the select returns or raises.  A received value leaves its case. */
PyObject *csp_cases_result(csp_state *state, csp_cases *cs, csp_status status, csp_case *fired)
{
    PyObject *result;
    Py_ssize_t index = fired == NULL ? -1 : (Py_ssize_t)fired->index;
    if (status == CSP_TIMEOUT)
        result = csp_selected(state, Py_None, Py_NewRef(Py_None), -1);
    else if (status != CSP_OK) {
        result = csp_raise(state, status, fired == NULL ? CSP_RECV : fired->dir, fired == NULL ? NULL : fired->chan,
                           fired == NULL ? NULL : cs->objects[index], index);
        if (status == CSP_END && cs->objects[index] != cs->handles[index]) {
            result = result_of_offer(state, cs->objects[index], NULL);
            csp_annotate(state, cs->objects[index], index);
        }
    }
    else if (fired->dir == CSP_SEND)
        result = csp_selected(state, cs->objects[index], Py_NewRef(Py_None), index);
    else {
        PyObject *value = csp_take(state, fired->chan, &fired->msg);
        if (value != NULL && cs->objects[index] != cs->handles[index])
            value = result_of_offer(state, cs->objects[index], value);
        if (value == NULL)
            csp_annotate(state, cs->objects[index], index);
        result = csp_selected(state, cs->objects[index], value, index);
    }
    return result;
}

static PyObject *select_cases(csp_state *state, csp_cases *cs, csp_time deadline)
{
    csp_case *fired = NULL;
    if (cs->sel.norder == 0 && deadline == CSP_NEVER) {
        PyErr_SetString(PyExc_ValueError, "select without an enabled case and without a timeout would wait for ever");
        return NULL;
    }
    if (cs->has_sends && csp_cases_encode(state, cs) < 0) {
        csp_cases_clear(cs);
        return NULL;
    }
    csp_status status = run_cases(state, cs, deadline, &fired);
    PyObject *result = csp_cases_result(state, cs, status, fired);
    if (cs->has_sends)
        csp_cases_clear(cs);
    return result;
}

/* timeout= and priority=, and `cases=` if `p_cases` is there.  -1 with an exception set. */
static int parse_options(PyObject *const *args, PyObject *kwnames, PyObject **p_cases, csp_time *p_deadline,
                         bool *p_priority)
{
    Py_ssize_t n = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t k = 0; k < n; k++) {
        PyObject *key = PyTuple_GET_ITEM(kwnames, k);
        if (PyUnicode_EqualToUTF8(key, "timeout")) {
            if (csp_parse_timeout(args[k], p_deadline) < 0)
                return -1;
        }
        else if (PyUnicode_EqualToUTF8(key, "priority")) {
            int priority = PyObject_IsTrue(args[k]);
            if (priority < 0)
                return -1;
            *p_priority = priority != 0;
        }
        else if (p_cases != NULL && *p_cases == NULL && PyUnicode_EqualToUTF8(key, "cases"))
            *p_cases = args[k];
        else {
            PyErr_Format(PyExc_TypeError, "select() got an unexpected keyword argument '%U'", key);
            return -1;
        }
    }
    return 0;
}

static PyObject *do_select(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    csp_state *state = csp_state_of_module(module);
    PyObject *list = nargs > 0 ? args[0] : NULL;
    csp_time deadline = CSP_NEVER;
    bool priority = false;
    if (nargs > 1)
        return PyErr_Format(PyExc_TypeError, "select() takes 1 positional argument (%zd given)", nargs);
    if (parse_options(args + nargs, kwnames, &list, &deadline, &priority) < 0)
        return NULL;
    if (list == NULL)
        return PyErr_Format(PyExc_TypeError, "select() missing required argument 'cases'");
    csp_cases_room room;
    csp_cases cs;
    if (csp_cases_from(state, &cs, list, &room) < 0)
        return NULL;
    cs.sel.priority = priority;
    PyObject *result = select_cases(state, &cs, deadline);
    csp_cases_release(&cs);
    return result;
}

/* --- Selector --- */

typedef struct {
    PyObject_HEAD
    csp_state *state;
    csp_cases cs;
    bool busy; /* guarded by the GIL or the object's critical section */
} selector_object;

static PyObject *selector_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"cases", NULL};
    PyObject *list;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Selector", names, &list))
        return NULL;
    csp_state *state = csp_state_of_type(type);
    csp_cases cs;
    if (csp_cases_from(state, &cs, list, NULL) < 0)
        return NULL;
    selector_object *self = (selector_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        csp_cases_release(&cs);
        return NULL;
    }
    self->state = state;
    self->cs = cs;
    return (PyObject *)self;
}

static int selector_traverse(PyObject *object, visitproc visit, void *arg)
{
    selector_object *self = (selector_object *)object;
    Py_VISIT(Py_TYPE(object));
    for (uint32_t i = 0; i < self->cs.sel.ncases; i++) {
        Py_VISIT(self->cs.objects[i]);
        Py_VISIT(self->cs.handles[i]);
        Py_VISIT(self->cs.values[i]);
    }
    return 0;
}

static int selector_clear(PyObject *object)
{
    selector_object *self = (selector_object *)object;
    if (!self->busy) {
        csp_cases cs = self->cs;
        self->cs.sel.ncases = self->cs.sel.norder = 0;
        self->cs.memory = NULL;
        csp_cases_release(&cs);
    }
    return 0;
}

static void selector_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    selector_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static bool selector_take(selector_object *self)
{
    bool taken;
    Py_BEGIN_CRITICAL_SECTION(self);
    taken = !self->busy;
    self->busy = true;
    Py_END_CRITICAL_SECTION();
    return taken;
}

static PyObject *selector_select(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    selector_object *self = (selector_object *)object;
    bool priority = false;
    csp_time deadline = CSP_NEVER;
    if (nargs > 0)
        return PyErr_Format(PyExc_TypeError, "select() takes keyword arguments only");
    if (parse_options(args, kwnames, NULL, &deadline, &priority) < 0)
        return NULL;
    if (!selector_take(self)) {
        PyErr_SetString(PyExc_RuntimeError, "this Selector is selecting already: use one a thread");
        return NULL;
    }
    self->cs.sel.priority = priority;
    PyObject *result = select_cases(self->state, &self->cs, deadline);
    self->busy = false;
    return result;
}

PyDoc_STRVAR(selector_doc, "Selector(cases)\n--\n\n"
                           "The cases of a select, prepared once for a hot loop.  One thread at a time.\n\n"
                           "    selector = Selector([a, b, c])\n"
                           "    while True:\n"
                           "        channel, value = selector.select()");
PyDoc_STRVAR(selector_select_doc, "select($self, /, *, timeout=None, priority=False)\n--\n\n"
                                  "Wait for one of the cases, as csp.select does.  A send case sends its value anew each time.");

static PyMethodDef selector_methods[] = {
    {"select", (PyCFunction)(void (*)(void))selector_select, METH_FASTCALL | METH_KEYWORDS, selector_select_doc},
    {NULL},
};

static PyType_Slot selector_slots[] = {
    {Py_tp_doc, (void *)selector_doc},         {Py_tp_new, selector_new},
    {Py_tp_dealloc, selector_dealloc},         {Py_tp_traverse, selector_traverse},
    {Py_tp_clear, selector_clear},             {Py_tp_methods, selector_methods},
    {0, NULL},
};

static PyType_Spec selector_spec = {"csp.Selector", sizeof(selector_object), 0,
                                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                                    selector_slots};

PyDoc_STRVAR(select_doc,
             "select(cases, *, timeout=None, priority=False)\n--\n\n"
             "Wait until one of several channel operations can be done, and do that one.\n\n"
             "A case is a channel or RecvChannel (receive), a pair (channel, value) (send), or None (disabled, as Go's nil\n"
             "channel; it keeps its index).  Timers, `ref.exited` and whatever else can be waited for are cases too.\n"
             "Exactly one case fires; the others have no effect whatever.  If several are ready, one is chosen at random\n"
             "with equal chances; priority=True takes the first in order.\n\n"
             "Returns a Selected, the tuple (channel, value) with .index, where `channel` is the object that was passed.\n"
             "After `timeout` seconds (0 polls, None waits for ever): (None, None), index -1, which is false.\n\n"
             "A case is ready when it would not block, an error included: a closed case that is chosen raises what recv\n"
             "or send would, with .channel and .index.  Raises ValueError if there is neither an enabled case nor a timeout,\n"
             "NotShareable if a value cannot cross (nothing was done then), Stopped and Killed in an actor.\n\n"
             "    ch, msg = select([a, b, (out, item)], timeout=1.0)\n"
             "    if ch is a: ...\n\n"
             "After Go's select (runtime/select.go).");

PyMethodDef csp_select_functions[] = {
    {"select", (PyCFunction)(void (*)(void))do_select, METH_FASTCALL | METH_KEYWORDS, select_doc},
    {NULL},
};

int csp_add_select_types(PyObject *module, csp_state *state)
{
    state->selector_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &selector_spec, NULL);
    return state->selector_type == NULL ? -1 : PyModule_AddType(module, state->selector_type);
}
