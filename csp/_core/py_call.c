/* Calls of class actors: see py_call.h. */
#include "py_call.h"

#include "codec.h"
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

void csp_attach_reply(csp_state *state, const csp_msg *msg)
{
    csp_end *reply = reply_in(msg);
    if (reply == NULL)
        return;
    PyObject *exception = PyErr_GetRaisedException();
    csp_end *end = csp_end_new(reply->chan, CSP_SEND, state->interp);
    PyObject *handle = end == NULL ? PyErr_NoMemory() : csp_handle_new(state, end);
    if (handle == NULL || PyObject_SetAttrString(exception, "_reply", handle) < 0)
        PyErr_Clear(); /* who asked learns that there will be no answer, at least */
    Py_XDECREF(handle);
    PyErr_SetRaisedException(exception);
}

/* --- the answer --- */

/* Not stopped by a stop: the message in hand is finished, its answer included.  Nothing waits here: the channel has room. */
static PyObject *answer(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    csp_state *state = csp_state_of_module(module);
    if (nargs != 3 || Py_TYPE(args[0]) != state->send_channel_type)
        return PyErr_Format(PyExc_TypeError, "answer takes a SendChannel, a bool and a value");
    csp_end *end = ((csp_handle *)args[0])->end;
    PyObject *pair = PyTuple_Pack(2, args[1], args[2]);
    csp_case c = {.chan = end->chan, .end = end, .dir = CSP_SEND};
    int failed = pair == NULL || csp_encode_slow(state, pair, &c.msg) < 0;
    Py_XDECREF(pair);
    if (failed)
        return NULL;
    csp_effects fx;
    csp_effects_init(&fx);
    csp_chan_answer(end, &c.msg, &fx); /* if it fails, the caller has left */
    csp_effects_run(&fx);
    csp_msg_clear(&c.msg);
    Py_RETURN_NONE;
}

PyMethodDef csp_call_functions[] = {
    {"answer", (PyCFunction)(void (*)(void))answer, METH_FASTCALL,
     PyDoc_STR("answer(reply, ok, value)\n\nSend (ok, value) to whoever asked, if they still wait, and close the handle.")},
    {NULL},
};
