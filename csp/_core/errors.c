/* Status -> exception: the one place.  Messages say what happened, on which channel, from which side. */
#include "state.h"

#include "codec.h"
#include "mem.h"
#include "py_wait.h"

#define LABEL 160

/* "channel 'jobs' (id 7)" or "channel 7" */
static void label_of(csp_chan *chan, char label[LABEL])
{
    if (chan == NULL)
        snprintf(label, LABEL, "wait");
    else if (chan->sync == CSP_MEMORY)
        snprintf(label, LABEL, "SharedBuffer %llu", (unsigned long long)chan->id);
    else if (chan->sync)
        snprintf(label, LABEL, "primitive %llu", (unsigned long long)chan->id);
    else if (chan->name != NULL)
        snprintf(label, LABEL, "channel '%.100s' (id %llu)", chan->name, (unsigned long long)chan->id);
    else
        snprintf(label, LABEL, "channel %llu", (unsigned long long)chan->id);
}

static csp_error error_of(csp_status status)
{
    switch (status) {
    case CSP_WOULD_BLOCK: return CSP_E_WouldBlock;
    case CSP_TIMEOUT: return CSP_E_Timeout;
    case CSP_END: return CSP_E_EndOfChannel;
    case CSP_BROKEN: return CSP_E_BrokenChannel;
    case CSP_CLOSED_HANDLE: return CSP_E_ClosedHandle;
    case CSP_STOPPED: return CSP_E_Stopped;
    case CSP_KILLED: return CSP_E_Killed;
    case CSP_FORKED: return CSP_E_ForkedError;
    case CSP_DEADLOCK: return CSP_E_DeadlockError;
    default: csp_fatal("errors: a status that is no error reached Python");
    }
}

static const char *text_of(csp_status status, csp_dir dir, csp_chan *chan)
{
    csp_chan_info info = {.closed = false};
    switch (status) {
    case CSP_WOULD_BLOCK:
        return dir == CSP_SEND ? "no receiver waits and the buffer has no room" : "no value is there to be received";
    case CSP_TIMEOUT:
        return dir == CSP_SEND ? "the deadline passed, nothing was sent" : "the deadline passed, nothing was received";
    case CSP_END: return "the sending side is closed and the buffer is drained";
    case CSP_BROKEN:
        if (chan != NULL)
            csp_chan_inspect(chan, &info);
        return info.closed ? "the other side closed the channel, the value was not sent"
                           : "nobody is left to receive, the value was not sent";
    case CSP_CLOSED_HANDLE: return "this handle was closed by its own side";
    case CSP_STOPPED: return "this actor was asked to stop";
    case CSP_KILLED: return "this actor was killed";
    case CSP_FORKED: return "the handle was made before a fork, in the parent process";
    case CSP_DEADLOCK: return "nobody is left who could complete this wait";
    default: return "";
    }
}

static int set_attribute(PyObject *exception, PyObject *name, PyObject *value)
{
    return value == NULL ? -1 : PyObject_SetAttr(exception, name, value);
}

static int annotate(csp_state *state, PyObject *exception, PyObject *object, Py_ssize_t index)
{
    if (object != NULL && set_attribute(exception, state->str_channel, object) < 0)
        return -1;
    if (index >= 0) {
        PyObject *number = PyLong_FromSsize_t(index);
        int rc = set_attribute(exception, state->str_index, number);
        Py_XDECREF(number);
        return rc;
    }
    return 0;
}

/* Why the channel ended; without a known cause, or if it cannot be rebuilt here, .cause stays None. */
static int set_cause(csp_state *state, PyObject *exception, csp_chan *chan)
{
    if (chan == NULL || chan->cause.kind == CSP_MSG_EMPTY)
        return 0;
    PyObject *cause = csp_decode(state, &chan->cause, true);
    if (cause == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return -1;
        PyErr_Clear();
        return 0;
    }
    int rc = PyObject_SetAttr(exception, state->str_cause, cause);
    Py_DECREF(cause);
    return rc;
}

PyObject *csp_raise(csp_state *state, csp_status status, csp_dir dir, csp_chan *chan, PyObject *object,
                    Py_ssize_t index)
{
    if (status == CSP_INTERRUPTED) {
        if (!PyErr_Occurred())
            csp_fatal("errors: interrupted without an exception");
        return NULL;
    }
    if (status == CSP_NO_MEMORY)
        return PyErr_NoMemory();
    char label[LABEL];
    label_of(chan, label);
    PyObject *type = state->errors[error_of(status)];
    const char *verb = chan == NULL ? "" : chan->sync == CSP_MEMORY ? "use of " : chan->sync ? "wait for " : dir == CSP_SEND ? "send on " : "receive from ";
    char *graph = status == CSP_DEADLOCK ? csp_take_deadlock_text() : NULL;
    PyObject *text = PyUnicode_FromFormat("%s%s: %s%s", verb, label, text_of(status, dir, chan), graph == NULL ? "" : graph);
    csp_raw_free(graph);
    if (text == NULL)
        return NULL;
    PyObject *exception = PyObject_CallOneArg(type, text);
    Py_DECREF(text);
    if (exception == NULL)
        return NULL;
    if (annotate(state, exception, object, index) == 0 &&
        ((status != CSP_END && status != CSP_BROKEN) || set_cause(state, exception, chan) == 0))
        PyErr_SetObject(type, exception);
    Py_DECREF(exception);
    return NULL;
}

PyObject *csp_annotate(csp_state *state, PyObject *object, Py_ssize_t index)
{
    PyObject *exception = PyErr_GetRaisedException();
    int ours = PyObject_IsInstance(exception, state->errors[CSP_E_CspError]);
    if (ours < 0 || (ours > 0 && annotate(state, exception, object, index) < 0))
        PyErr_Clear(); /* the original error matters more */
    PyErr_SetRaisedException(exception);
    return NULL;
}

PyObject *csp_raise_format(csp_state *state, csp_error which, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PyErr_FormatV(state->errors[which], format, arguments);
    va_end(arguments);
    return NULL;
}
