/* Timers as receive-only channels, and sleep.  A timer has no thread: whoever waits computes until when. */
#include "py_wait.h"

static PyObject *timer(PyObject *module, csp_timer_kind kind, csp_time due, csp_time period)
{
    csp_state *state = csp_state_of_module(module);
    csp_chan *chan = csp_timer_new(kind, due, period);
    csp_end *end = chan == NULL ? NULL : csp_end_new(chan, CSP_RECV, csp_record_here(state));
    if (chan != NULL)
        csp_chan_decref(chan);
    return end == NULL ? PyErr_NoMemory() : csp_handle_new(state, end);
}

/* A number of seconds, >= 0, infinity included; None is refused.  -1 with an exception set. */
static int parse_seconds(PyObject *number, const char *name, csp_time *p_deadline)
{
    if (number == Py_None || csp_parse_timeout(number, p_deadline) < 0) {
        if (number == Py_None || PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError, "%s must be a number of seconds, not %.100s", name, Py_TYPE(number)->tp_name);
        else if (PyErr_ExceptionMatches(PyExc_ValueError))
            PyErr_Format(PyExc_ValueError, "%s must not be negative or NaN, not %R", name, number);
        return -1;
    }
    return 0;
}

static PyObject *after(PyObject *module, PyObject *seconds)
{
    csp_time due;
    if (parse_seconds(seconds, "seconds", &due) < 0)
        return NULL;
    return timer(module, CSP_AFTER, due == CSP_POLL ? csp_now() : due, 0);
}

static PyObject *tick(PyObject *module, PyObject *seconds)
{
    csp_time due;
    if (parse_seconds(seconds, "period", &due) < 0)
        return NULL;
    csp_time now = csp_now();
    if (due == CSP_POLL)
        return PyErr_Format(PyExc_ValueError, "period must be more than 0, not %R", seconds);
    return timer(module, CSP_TICK, due, due == CSP_NEVER ? CSP_NEVER : due > now ? due - now : 1);
}

static PyObject *never(PyObject *module, PyObject *unused) { return timer(module, CSP_NEVER_READY, CSP_NEVER, 0); }

static PyObject *do_sleep(PyObject *module, PyObject *seconds)
{
    csp_state *state = csp_state_of_module(module);
    csp_waiter waiter;
    csp_time deadline;
    if (parse_seconds(seconds, "seconds", &deadline) < 0)
        return NULL;
    csp_status status = csp_may_begin(state);
    if (status == CSP_OK) {
        csp_waiter_init(&waiter, csp_record_here(state), NULL, 0);
        waiter.deadline = deadline;
        status = csp_wait(&waiter, deadline == CSP_POLL ? csp_now() : deadline, NULL, false);
    }
    if (status == CSP_TIMEOUT)
        Py_RETURN_NONE;
    return csp_raise(state, status, CSP_RECV, NULL, NULL, -1);
}

PyDoc_STRVAR(after_doc, "after($module, seconds, /)\n--\n\n"
                        "A receive-only channel that delivers once, after `seconds`, the time.monotonic() at which it fired,\n"
                        "and then ends.  With several receivers exactly one gets it.  Infinity never fires.\n\n"
                        "    ch, msg = select([replies, after(0.5)])");
PyDoc_STRVAR(tick_doc, "tick($module, period, /)\n--\n\n"
                       "A receive-only channel that delivers every `period` seconds the time.monotonic() at which it fired.\n"
                       "Ticks that nobody took are skipped; the following ones stay on the grid.  Close the handle, or drop it,\n"
                       "to end it.  ValueError unless period > 0.");
PyDoc_STRVAR(never_doc, "never($module, /)\n--\n\nA receive-only channel that is never ready.");
PyDoc_STRVAR(sleep_doc, "sleep($module, seconds, /)\n--\n\n"
                        "Wait, as a channel operation does: stops, kills and Ctrl-C end it at once.\n\n"
                        "time.sleep in an actor cannot be interrupted before Python 3.15.");

PyMethodDef csp_timer_functions[] = {
    {"after", after, METH_O, after_doc},
    {"tick", tick, METH_O, tick_doc},
    {"never", never, METH_NOARGS, never_doc},
    {"sleep", do_sleep, METH_O, sleep_doc},
    {NULL},
};
