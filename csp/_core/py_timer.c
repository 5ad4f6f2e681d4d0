/* Timers as receive-only channels, sleep, and the clock that they go by.  A timer has no thread: whoever waits computes until when. */
#include "clock.h"
#include "py_wait.h"

static PyObject *timer(PyObject *module, csp_timer_kind kind, csp_time due, csp_time period)
{
    csp_state *state = csp_state_of_module(module);
    csp_chan *chan = csp_timer_new(kind, due, period);
    csp_note_origin(chan);
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
    return timer(module, CSP_AFTER, due == CSP_POLL ? csp_clock() : due, 0);
}

static PyObject *tick(PyObject *module, PyObject *seconds)
{
    csp_time due;
    if (parse_seconds(seconds, "period", &due) < 0)
        return NULL;
    csp_time now = csp_clock();
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
        status = csp_wait(&waiter, deadline == CSP_POLL ? csp_clock() : deadline, NULL, false);
    }
    if (status == CSP_TIMEOUT)
        Py_RETURN_NONE;
    return csp_raise(state, status, CSP_RECV, NULL, NULL, -1);
}

/* --- the clock, for the supervisor's driver and csp.testing --- */

static PyObject *clock_now(PyObject *module, PyObject *unused) { return PyFloat_FromDouble((double)csp_clock() / 1e9); }

static PyObject *clock_stands(PyObject *module, PyObject *unused) { return PyBool_FromLong(csp_clock_stands()); }

static PyObject *stop_clock(PyObject *module, PyObject *unused) { return PyBool_FromLong(csp_clock_stop()); }

static PyObject *resume_clock(PyObject *module, PyObject *unused)
{
    csp_clock_resume();
    Py_RETURN_NONE;
}

static PyObject *advance_clock(PyObject *module, PyObject *seconds)
{
    csp_time until;
    bool no_memory;
    if (parse_seconds(seconds, "seconds", &until) < 0)
        return NULL;
    csp_time step = until == CSP_POLL ? 0 : until - csp_clock();
    if (until > CSP_CLOCK_END)
        return PyErr_Format(PyExc_ValueError, "the clock cannot be moved that far: %R", seconds);
    bool done = csp_clock_advance(step, &no_memory);
    return no_memory ? PyErr_NoMemory() : PyBool_FromLong(done);
}

static PyObject *clock_waits(PyObject *module, PyObject *unused)
{
    uint32_t n = 0;
    csp_time now = csp_clock(), *times = csp_clock_waits(&n);
    PyObject *list = times == NULL ? PyErr_NoMemory() : PyList_New((Py_ssize_t)n);
    for (uint32_t i = 0; list != NULL && i < n; i++) {
        PyObject *left = PyFloat_FromDouble((double)(times[i] - now) / 1e9);
        if (left == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, left);
    }
    csp_raw_free(times);
    return list;
}

static PyObject *guard_clock(PyObject *module, PyObject *on)
{
    int truth = PyObject_IsTrue(on);
    if (truth < 0)
        return NULL;
    return PyBool_FromLong(csp_clock_guard_thread(truth != 0));
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
    {"clock", clock_now, METH_NOARGS, PyDoc_STR("clock()\n\ncsp's clock, in seconds: it never goes back.")},
    {"clock_stands", clock_stands, METH_NOARGS, PyDoc_STR("clock_stands() -> bool")},
    {"stop_clock", stop_clock, METH_NOARGS, PyDoc_STR("stop_clock() -> bool\n\nFalse: it stands already.")},
    {"resume_clock", resume_clock, METH_NOARGS, PyDoc_STR("resume_clock()\n\nGo on from where it stands.")},
    {"advance_clock", advance_clock, METH_O, PyDoc_STR("advance_clock(seconds) -> bool\n\nEnd what is due.  False: it does not stand.")},
    {"clock_waits", clock_waits, METH_NOARGS, PyDoc_STR("clock_waits() -> list\n\nOf each timer that is waited for and each timeout: the seconds left.")},
    {"guard_clock", guard_clock, METH_O, PyDoc_STR("guard_clock(on) -> bool\n\nWhile the clock stands, this thread's timeouts go by the real time too; returns what it was.")},
    {NULL},
};
