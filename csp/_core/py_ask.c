/* The caller's side of a class actor: what `ref.call`, `ref.ask` and `ref.cast` are, and a call from its arguments to its answer.
 *
 * A call is a Request in the mailbox.  Its answer comes over a channel whose only sender travels inside the request: when the
 * actor ends before it answers, that sender is gone and the caller hears of it at once.  Who leaves early gives up the only
 * receiver, so an answer that comes too late finds nobody.  After gen_server's call and cast.
 *
 * Once the one answer has been received such a channel is as new.  An interpreter keeps one for its next call: no other end of it
 * is left, so nobody can tell.  (More would serve only threads that call at the same moment, and they wait for each other's GIL.)
 */
#include "py_ask.h"

#include "actor.h"
#include "codec.h"
#include "py_wait.h"
#include "registry.h"

typedef enum { CALL, ASK, CAST } verb_kind;

typedef struct {
    PyObject_HEAD
    csp_state *state;   /* of this interpreter's module, which the type keeps alive */
    PyObject *ref;      /* an ActorRef */
    PyObject *timeout;  /* NULL: none */
    PyObject *method;   /* str; NULL: still `ref.call` itself */
    vectorcallfunc call; /* immutable: `apply`, once there is a method */
    uint8_t kind;       /* verb_kind */
} verb_object;

static const char *name_of(verb_object *self) { return csp_ref_actor(self->ref)->name; }

/* --- reply channels --- */

static csp_end *new_reply(csp_state *state)
{
    csp_chan *chan = csp_reply_new();
    csp_note_origin(chan);
    csp_end *end = chan == NULL ? NULL : csp_end_new(chan, CSP_RECV, csp_record_here(state));
    if (chan != NULL)
        csp_chan_decref(chan);
    return end;
}

/* The receiving end of a reply channel; NULL without memory. */
static csp_end *open_reply(csp_state *state)
{
    if (csp_thread_record != NULL)
        return new_reply(state); /* an actor that shares the interpreter: what it holds goes with it */
    /* Acquire, pairs with the release in close_reply(): on a free-threaded build another thread may have put it there. */
    csp_end *end = atomic_exchange_explicit(&state->idle_reply, NULL, memory_order_acquire);
    if (end == NULL)
        return new_reply(state);
    if (csp_is_forked(end))
        return new_reply(state); /* the parent's: leak it */
    csp_registry_count_idle(-1);
    if (!atomic_load_explicit(&end->closed, memory_order_relaxed)) /* only the end of this interpreter closes it */
        return end;
    csp_end_free(end);
    return new_reply(state);
}

static void close_reply(csp_state *state, csp_end *end)
{
    csp_end *none = NULL;
    if (csp_thread_record == NULL && csp_chan_is_fresh(end->chan) &&
        atomic_compare_exchange_strong_explicit(&state->idle_reply, &none, end, memory_order_release, memory_order_relaxed))
        csp_registry_count_idle(1);
    else
        csp_end_free(end);
}

void csp_drop_idle_reply(csp_state *state)
{
    csp_end *end = atomic_exchange_explicit(&state->idle_reply, NULL, memory_order_acquire); /* see open_reply() */
    if (end == NULL || csp_is_forked(end))
        return;
    csp_registry_count_idle(-1);
    csp_end_free(end);
}

/* --- the request --- */

/* By way of the Request that the receiver will see, for what is not native, and to hear what is wrong with it. */
static int encode_whole(csp_state *state, const csp_request *request, csp_msg *msg)
{
    Py_ssize_t named = request->names == NULL ? 0 : PyTuple_GET_SIZE(request->names);
    PyObject *args = PyTuple_New(request->nargs), *kwargs = PyDict_New(), *reply = Py_NewRef(Py_None), *parts = NULL, *whole = NULL;
    csp_end *end = request->reply == NULL ? NULL : csp_end_new(request->reply, CSP_SEND, csp_record_here(state));
    if (end != NULL)
        Py_SETREF(reply, csp_handle_new(state, end));
    else if (request->reply != NULL)
        PyErr_NoMemory();
    bool failed = args == NULL || kwargs == NULL || reply == NULL || (end == NULL && request->reply != NULL);
    for (Py_ssize_t i = 0; !failed && i < request->nargs; i++)
        PyTuple_SET_ITEM(args, i, Py_NewRef(request->args[i]));
    for (Py_ssize_t i = 0; !failed && i < named; i++)
        failed = PyDict_SetItem(kwargs, PyTuple_GET_ITEM(request->names, i), request->args[request->nargs + i]) < 0;
    if (!failed)
        parts = PyTuple_Pack(4, request->method, args, kwargs, reply);
    if (parts != NULL)
        whole = PyObject_CallOneArg((PyObject *)state->record_types[CSP_REQUEST], parts);
    int rc = whole == NULL ? -1 : csp_encode_slow(state, whole, msg);
    Py_XDECREF(whole);
    Py_XDECREF(parts);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    if (reply != NULL && end != NULL) { /* the only sender left is in the message */
        PyObject *exception = PyErr_GetRaisedException();
        csp_effects fx;
        csp_effects_init(&fx);
        csp_end_close(end, &fx);
        csp_effects_run(&fx);
        PyErr_SetRaisedException(exception);
    }
    Py_XDECREF(reply);
    return rc;
}

static int encode(csp_state *state, const csp_request *request, csp_msg *msg)
{
    int rc = csp_encode_request(state, request, msg);
    if (rc == 0)
        return 0;
    if (rc < 0)
        PyErr_Clear(); /* it comes again, in full */
    return encode_whole(state, request, msg);
}

/* Into the mailbox; the message is empty afterwards.  -1 with an exception set. */
static int post(verb_object *self, csp_msg *msg, csp_time deadline)
{
    csp_state *state = self->state;
    PyObject *sender = csp_ref_sender(self->ref);
    csp_op op;
    if (sender == NULL) {
        csp_msg_unsend(msg);
        return -1;
    }
    csp_op_init(&op, (csp_handle *)sender, CSP_SEND);
    csp_msg_move(&op.c.msg, msg);
    csp_status status = csp_op_run(state, &op, deadline);
    if (status != CSP_OK) {
        csp_raise(state, status, CSP_SEND, op.c.chan, sender, -1); /* first: nothing of ours may run with Ctrl-C's exception set */
        PyObject *exception = PyErr_GetRaisedException();
        csp_msg_unsend(&op.c.msg);
        if (status == CSP_BROKEN)
            csp_raise_format(state, CSP_E_ActorDied, "%s takes no more messages: it has ended, or is ending", name_of(self));
        else if (status == CSP_TIMEOUT)
            csp_raise_format(state, CSP_E_Timeout, "%s: no room in the mailbox within %S s; %U was not asked", name_of(self), self->timeout, self->method);
        if (PyErr_Occurred())
            Py_DECREF(exception);
        else
            PyErr_SetRaisedException(exception);
    }
    Py_DECREF(sender);
    return status == CSP_OK ? 0 : -1;
}

/* Ask; the receiving end of where the answer will come, or NULL with an exception set. */
static csp_end *ask(verb_object *self, csp_request *request, csp_time deadline)
{
    csp_state *state = self->state;
    if (csp_record_here(state)->actor_id == csp_ref_id(self->ref)) { /* set before it runs code */
        csp_raise_format(state, CSP_E_DeadlockError, "%s.%U: an actor cannot wait for its own answer", name_of(self), self->method);
        return NULL;
    }
    csp_end *reply = open_reply(state);
    if (reply == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    csp_msg msg = {.kind = CSP_MSG_EMPTY};
    request->reply = reply->chan;
    if (encode(state, request, &msg) < 0 || post(self, &msg, deadline) < 0) {
        PyObject *exception = PyErr_GetRaisedException();
        csp_end_free(reply);
        PyErr_SetRaisedException(exception);
        return NULL;
    }
    return reply;
}

/* --- the answer --- */

/* What csp._calls makes of it: hook(ref, method, what). */
static PyObject *by_hook(verb_object *self, csp_call_hook hook, PyObject *what)
{
    return PyObject_CallFunctionObjArgs(self->state->call_hooks[hook], self->ref, self->method, what, NULL);
}

static PyObject *no_answer(verb_object *self, csp_status status, csp_chan *chan)
{
    csp_state *state = self->state;
    if (status == CSP_TIMEOUT)
        return csp_raise_format(state, CSP_E_Timeout, "%s.%U did not answer within %S s; it may have run",
                                name_of(self), self->method, self->timeout);
    csp_raise(state, status, CSP_RECV, chan, NULL, -1);
    if (status != CSP_END || !PyErr_ExceptionMatches(state->errors[CSP_E_EndOfChannel]))
        return NULL;
    PyObject *end = PyErr_GetRaisedException();
    PyObject *died = by_hook(self, CSP_HOOK_DIED, end);
    Py_DECREF(end);
    if (died != NULL)
        PyErr_SetObject((PyObject *)Py_TYPE(died), died);
    Py_XDECREF(died);
    return NULL;
}

/* The value of the pair (ok, value), or what it says was raised.  Steals the pair. */
static PyObject *value_of(verb_object *self, PyObject *answer)
{
    PyObject *value = answer == NULL ? NULL
                      : PyTuple_GET_ITEM(answer, 0) == Py_True ? Py_NewRef(PyTuple_GET_ITEM(answer, 1))
                                                               : by_hook(self, CSP_HOOK_UNWRAP, answer);
    Py_XDECREF(answer);
    return value;
}

static PyObject *await_answer(verb_object *self, csp_end *reply, csp_time deadline)
{
    csp_op op;
    csp_op_init_end(&op, reply, CSP_RECV);
    csp_status status = csp_op_run(self->state, &op, deadline);
    if (status != CSP_OK) {
        no_answer(self, status, reply->chan);
        PyObject *exception = PyErr_GetRaisedException();
        csp_end_free(reply);
        PyErr_SetRaisedException(exception);
        return NULL;
    }
    PyObject *answer = csp_decode(self->state, &op.c.msg, false);
    PyObject *exception = PyErr_GetRaisedException();
    csp_msg_clear(&op.c.msg);
    close_reply(self->state, reply);
    PyErr_SetRaisedException(exception);
    return value_of(self, answer);
}

static PyObject *await_later(verb_object *self, csp_end *reply)
{
    PyObject *handle = csp_handle_new(self->state, reply);
    PyObject *later = handle == NULL ? NULL : by_hook(self, CSP_HOOK_REPLY, handle);
    Py_XDECREF(handle);
    return later;
}

/* --- ref.call.method(...) --- */

static int load_hooks(csp_state *state)
{
    if (state->call_hooks[CSP_NHOOKS - 1] != NULL)
        return 0;
    PyObject *module = PyImport_ImportModule("csp._calls");
    Py_XDECREF(module);
    return module == NULL ? -1 : 0;
}

static PyObject *apply(PyObject *object, PyObject *const *args, size_t nargsf, PyObject *names)
{
    verb_object *self = (verb_object *)object;
    csp_request request = {.method = self->method, .args = args, .nargs = PyVectorcall_NARGS(nargsf), .names = names};
    csp_time deadline;
    if (load_hooks(self->state) < 0 || csp_parse_timeout(self->timeout, &deadline) < 0)
        return NULL;
    if (self->kind == CAST) {
        csp_msg msg = {.kind = CSP_MSG_EMPTY};
        if (encode(self->state, &request, &msg) < 0 || post(self, &msg, deadline) < 0)
            return NULL;
        Py_RETURN_NONE;
    }
    csp_end *reply = ask(self, &request, deadline);
    if (reply == NULL)
        return NULL;
    return self->kind == ASK ? await_later(self, reply) : await_answer(self, reply, deadline);
}

/* --- the type --- */

static PyObject *verb_new(csp_state *state, verb_kind kind, PyObject *ref, PyObject *timeout, PyObject *method)
{
    verb_object *self = (verb_object *)state->verb_type->tp_alloc(state->verb_type, 0);
    if (self == NULL)
        return NULL;
    self->state = state;
    self->kind = (uint8_t)kind;
    self->ref = Py_NewRef(ref);
    self->timeout = Py_XNewRef(timeout);
    self->method = Py_XNewRef(method);
    self->call = method == NULL ? NULL : apply;
    return (PyObject *)self;
}

static void verb_dealloc(verb_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->ref);
    Py_XDECREF(self->timeout);
    Py_XDECREF(self->method);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Of `ref.call` each public attribute is a method of the actor. */
static PyObject *verb_getattro(PyObject *object, PyObject *name)
{
    verb_object *self = (verb_object *)object;
    if (self->method != NULL || PyUnicode_GET_LENGTH(name) == 0)
        return PyObject_GenericGetAttr(object, name);
    if (PyUnicode_READ_CHAR(name, 0) != '_')
        return verb_new(self->state, (verb_kind)self->kind, self->ref, self->timeout, name);
    PyObject *found = PyObject_GenericGetAttr(object, name);
    if (found == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        PyErr_Format(PyExc_AttributeError, "%U is private: only public methods of an actor can be called", name);
    }
    return found;
}

static PyObject *verb_call(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", NULL};
    verb_object *self = (verb_object *)object;
    PyObject *timeout = NULL;
    if (self->method != NULL)
        return PyVectorcall_Call(object, args, kwargs);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$O:call", names, &timeout))
        return NULL;
    if (timeout == NULL) {
        PyErr_SetString(PyExc_TypeError, "name the method: ref.call.method(...), or ref.call(timeout=...).method(...)");
        return NULL;
    }
    return verb_new(self->state, (verb_kind)self->kind, self->ref, timeout, NULL);
}

static PyObject *verb_repr(verb_object *self)
{
    static const char *const words[] = {"call", "ask", "cast"};
    if (self->method == NULL)
        return PyUnicode_FromFormat("<%s of %R>", words[self->kind], self->ref);
    return PyUnicode_FromFormat("<%s of %R: %U>", words[self->kind], self->ref, self->method);
}

static PyMemberDef verb_members[] = {
    {"__vectorcalloffset__", Py_T_PYSSIZET, offsetof(verb_object, call), Py_READONLY, NULL},
    {NULL},
};

static PyType_Slot verb_slots[] = {
    {Py_tp_doc, PyDoc_STR("`ref.call`, `ref.ask` or `ref.cast`: an attribute is a method of the actor; calling it sets the timeout.")},
    {Py_tp_dealloc, verb_dealloc},
    {Py_tp_getattro, verb_getattro},
    {Py_tp_call, verb_call},
    {Py_tp_repr, verb_repr},
    {Py_tp_members, verb_members},
    {0, NULL},
};

static PyType_Spec verb_spec = {
    .name = "csp._core.Verb",
    .basicsize = sizeof(verb_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = verb_slots,
};

static PyObject *verb_of(PyObject *ref, verb_kind kind)
{
    csp_state *state = csp_ref_state(ref);
    if (!csp_ref_serves(ref))
        return PyErr_Format(PyExc_TypeError, "%s is a function: it takes send(), only class actors answer calls", csp_ref_actor(ref)->name);
    return verb_new(state, kind, ref, NULL, NULL);
}

PyObject *csp_verb_call(PyObject *ref, void *unused) { return verb_of(ref, CALL); }
PyObject *csp_verb_ask(PyObject *ref, void *unused) { return verb_of(ref, ASK); }
PyObject *csp_verb_cast(PyObject *ref, void *unused) { return verb_of(ref, CAST); }

static PyObject *set_call_hooks(PyObject *module, PyObject *args)
{
    csp_state *state = csp_state_of_module(module);
    PyObject *hooks[CSP_NHOOKS];
    if (!PyArg_ParseTuple(args, "OOO:set_call_hooks", &hooks[0], &hooks[1], &hooks[2]))
        return NULL;
    for (int i = 0; i < CSP_NHOOKS; i++)
        Py_XSETREF(state->call_hooks[i], Py_NewRef(hooks[i]));
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"set_call_hooks", set_call_hooks, METH_VARARGS,
     PyDoc_STR("set_call_hooks(reply, died, unwrap)\n\nEach takes (ref, method, what): make the Reply of a channel, the ActorDied of\n"
               "an EndOfChannel or None, and raise what an answer says.")},
    {NULL},
};

int csp_add_verb_type(PyObject *module, csp_state *state)
{
    state->verb_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &verb_spec, NULL);
    if (state->verb_type == NULL || PyModule_AddType(module, state->verb_type) < 0)
        return -1;
    return csp_add_functions(module, functions);
}
