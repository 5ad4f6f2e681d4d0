/* Calls of class actors: see py_call.h. */
#include "py_call.h"

#include "codec.h"
#include "py_interp.h"
#include "py_wait.h"

/* --- a request that cannot be rebuilt --- */

static csp_end *reply_in(const csp_msg *msg)
{
    for (uint32_t i = 0; msg->kind == CSP_MSG_BLOB && i < msg->as.blob->nparts; i++) {
        const csp_part *part = &msg->as.blob->parts[i];
        if (part->ops == &csp_end_part && ((csp_end *)part->self)->chan->reply)
            return part->self;
    }
    return NULL;
}

/* The exception, set again, keeps the handle (NULL: none, with a second exception set) alive. */
static void attach(PyObject *exception, PyObject *handle)
{
    if (handle == NULL || PyObject_SetAttrString(exception, "_reply", handle) < 0)
        PyErr_Clear(); /* who asked learns that there will be no answer, at least */
    PyErr_SetRaisedException(exception);
}

void csp_attach_reply(csp_state *state, const csp_msg *msg)
{
    csp_end *reply = reply_in(msg);
    if (reply == NULL)
        return;
    PyObject *exception = PyErr_GetRaisedException();
    csp_end *end = csp_end_new(reply->chan, CSP_SEND, csp_record_here(state));
    PyObject *handle = end == NULL ? PyErr_NoMemory() : csp_handle_new(state, end);
    attach(exception, handle);
    Py_XDECREF(handle);
}

/* --- the answer --- */

/* Send (ok, value) to whoever asked, if they still wait, and close the handle.  Not stopped by a stop: the message in hand is
 * finished, its answer included.  Nothing waits here: the channel has room.  -1: the value does not cross; nothing was sent. */
static int send_answer(csp_state *state, csp_end *end, PyObject *ok, PyObject *value)
{
    bool passed_on = Py_TYPE(value) == state->record_types[CSP_PICKLED]; /* the pair itself, from elsewhere */
    PyObject *pair = passed_on ? Py_NewRef(value) : PyTuple_Pack(2, ok, value);
    csp_msg msg = {.kind = CSP_MSG_EMPTY};
    int failed = pair == NULL || csp_encode_blaming(state, pair, value, &msg) < 0;
    Py_XDECREF(pair);
    if (failed)
        return -1;
    csp_effects fx;
    csp_effects_init(&fx);
    csp_chan_answer(end, &msg, &fx); /* if it fails, the caller has left */
    csp_effects_run(&fx);
    csp_msg_clear(&msg);
    return 0;
}

static PyObject *answer(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    csp_state *state = csp_state_of_module(module);
    if (nargs != 3 || Py_TYPE(args[0]) != state->send_channel_type)
        return PyErr_Format(PyExc_TypeError, "answer takes a SendChannel, a bool and a value");
    if (send_answer(state, ((csp_handle *)args[0])->end, args[1], args[2]) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* --- a message --- */

#define FEW 8 /* arguments that need no tuple */

static PyObject *call_method(PyObject *instance, PyObject *request)
{
    PyObject *method = PyTuple_GET_ITEM(request, 0), *args = PyTuple_GET_ITEM(request, 1), *kwargs = PyTuple_GET_ITEM(request, 2);
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    if (PyDict_GET_SIZE(kwargs) == 0 && n <= FEW) {
        PyObject *vector[FEW + 1] = {instance};
        for (Py_ssize_t i = 0; i < n; i++)
            vector[i + 1] = PyTuple_GET_ITEM(args, i);
        return PyObject_VectorcallMethod(method, vector, (size_t)(n + 1), NULL);
    }
    PyObject *bound = PyObject_GetAttr(instance, method);
    PyObject *value = bound == NULL ? NULL : PyObject_Call(bound, args, kwargs);
    Py_XDECREF(bound);
    return value;
}

/* The method raised, or its result does not cross: who asked gets that, but for a stop or kill.  `fail` is csp._serving's. */
static int answer_error(csp_state *state, PyObject *handle, PyObject *fail, bool of_method)
{
    if (PyErr_ExceptionMatches(state->errors[CSP_E_Killed]) || (!of_method && !PyErr_ExceptionMatches(PyExc_Exception)))
        return -1;
    PyObject *exception = PyErr_GetRaisedException();
    if (of_method && PyErr_GivenExceptionMatches(exception, state->errors[CSP_E_Stopped])) {
        csp_effects fx;
        csp_effects_init(&fx);
        csp_end_close(((csp_handle *)handle)->end, &fx); /* the caller gets ActorDied, before on_stop runs */
        csp_effects_run(&fx);
        PyErr_SetRaisedException(exception);
        return -1;
    }
    PyObject *done = PyObject_CallFunctionObjArgs(fail, handle, exception, NULL);
    Py_DECREF(exception);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int handle_call(csp_state *state, PyObject *instance, PyObject *request, PyObject *fail)
{
    PyObject *reply = PyTuple_GET_ITEM(request, 3);
    PyObject *value = call_method(instance, request);
    int rc = value == NULL ? -1 : send_answer(state, ((csp_handle *)reply)->end, Py_True, value);
    if (rc < 0 && (rc = answer_error(state, reply, fail, value == NULL)) < 0)
        attach(PyErr_GetRaisedException(), reply); /* so it is closed once the Exit is known, which the caller gets as the cause */
    Py_XDECREF(value);
    return rc;
}

/* A request of a call, as csp._calls makes them. */
static bool is_call(csp_state *state, PyObject *message)
{
    return Py_TYPE(message) == state->record_types[CSP_REQUEST] && PyTuple_GET_SIZE(message) == 4 &&
           Py_TYPE(PyTuple_GET_ITEM(message, 3)) == state->send_channel_type && PyUnicode_Check(PyTuple_GET_ITEM(message, 0)) &&
           PyTuple_CheckExact(PyTuple_GET_ITEM(message, 1)) && PyDict_CheckExact(PyTuple_GET_ITEM(message, 2));
}

/* Steals the message, NULL with an exception: it could not be rebuilt.  -1 with an exception set: the life is over. */
static int handle(csp_state *state, PyObject *instance, PyObject *message, PyObject *const *hooks)
{
    PyObject *done;
    if (message != NULL && is_call(state, message)) {
        int rc = handle_call(state, instance, message, hooks[2]);
        Py_DECREF(message);
        return rc;
    }
    if (message != NULL)
        done = PyObject_CallOneArg(hooks[0], message);
    else if (!PyErr_ExceptionMatches(state->errors[CSP_E_DecodeError]))
        return -1;
    else
        done = PyObject_CallOneArg(hooks[1], message = PyErr_GetRaisedException());
    Py_DECREF(message);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static PyObject *serve(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    csp_state *state = csp_state_of_module(module);
    csp_owner *owner = csp_owner_or_raise();
    if (owner == NULL)
        return NULL;
    if (nargs != 5 || Py_TYPE(args[1]) != state->recv_channel_type)
        return PyErr_Format(PyExc_TypeError, "serve takes an instance, a RecvChannel and three functions");
    if (csp_await_message(owner, true))
        Py_RETURN_FALSE;
    csp_op op;
    csp_op_init(&op, (csp_handle *)args[1], CSP_RECV);
    csp_status status = csp_op_run(state, &op, CSP_NEVER);
    if (status == CSP_END) {
        csp_take_stop(owner); /* drained; and if a stop was asked besides, on_stop is not to meet it */
        Py_RETURN_FALSE;
    }
    if (status != CSP_OK)
        return csp_raise(state, status, CSP_RECV, op.c.chan, args[1], -1);
    PyObject *message = csp_take(state, op.c.chan, &op.c.msg);
    csp_await_message(owner, false);
    if (handle(state, args[0], message, args + 2) < 0)
        return NULL;
    csp_actor_done(owner->actor);
    Py_RETURN_TRUE;
}

PyMethodDef csp_call_functions[] = {
    {"answer", (PyCFunction)(void (*)(void))answer, METH_FASTCALL,
     PyDoc_STR("answer(reply, ok, value)\n\nSend (ok, value) to whoever asked, if they still wait, and close the handle.")},
    {"serve", (PyCFunction)(void (*)(void))serve, METH_FASTCALL,
     PyDoc_STR("serve(instance, inbox, other, refuse, fail) -> bool\n\nWait for one message and handle it; False: stopped or drained.  A "
               "call is handled here.\nother(message): a cast or a raw one; refuse(error): it could not be rebuilt; fail(reply, error): "
               "who asked\nis to get that.")},
    {NULL},
};
