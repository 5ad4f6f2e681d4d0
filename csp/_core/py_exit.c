/* The end of the process: actors are ended in bounded time, and what cannot be ended is left behind with a clear status. */
#include <stdio.h>
#include <unistd.h>

#include "mem.h"
#include "py_interp.h"

#define SECOND 1000000000LL

#define EXIT_STOP (SECOND)
#define EXIT_KILL (2 * SECOND) /* a loaded machine may take a second to run the threads that die */

static int status_of_exit(void)
{
    int status = atomic_load_explicit(&csp_exit_status, memory_order_relaxed); /* set by this thread */
    if (status >= 0)
        return status;
    PyObject *last = PySys_GetObject("last_exc");
    if (last == NULL || last == Py_None)
        return 70; /* EX_SOFTWARE: the code of a SystemExit cannot be seen from here */
    return PyErr_GivenExceptionMatches(last, PyExc_KeyboardInterrupt) ? 130 : 1;
}

static void flush_stream(const char *name)
{
    PyObject *stream = PySys_GetObject(name);
    PyObject *done = stream == NULL || stream == Py_None ? NULL : PyObject_CallMethod(stream, "flush", NULL);
    Py_XDECREF(done);
    PyErr_Clear(); /* it may be closed */
}

/* Actors remain that run C code for ever: finalizing under them would crash. */
static void leave_at_once(void)
{
    int status = status_of_exit();
    uint32_t n = 0;
    csp_actor **list = csp_actor_snapshot(NULL, true, &n);
    flush_stream("stdout");
    flush_stream("stderr");
    fflush(NULL);
    fprintf(stderr, "csp: exit with status %d: could not end", status);
    for (uint32_t i = 0; list != NULL && i < n && i < 10; i++)
        fprintf(stderr, "%s %s", i == 0 ? "" : ",", list[i]->name);
    fprintf(stderr, "%s, stuck in C code\n", n > 10 ? ", ..." : "");
    fflush(NULL);
    _exit(status);
}

static PyObject *process_ends(PyObject *module, PyObject *unused)
{
    csp_process_set_ending();
    if (csp_end_children(NULL, EXIT_STOP, EXIT_KILL) > 0)
        leave_at_once();
    Py_RETURN_NONE;
}

static PyObject *set_exit_status(PyObject *module, PyObject *status)
{
    int value = PyLong_AsInt(status);
    if (value == -1 && PyErr_Occurred())
        return NULL;
    atomic_store_explicit(&csp_exit_status, value, memory_order_relaxed); /* read by the main thread at its exit */
    Py_RETURN_NONE;
}

PyMethodDef csp_exit_functions[] = {
    {"process_ends", process_ends, METH_NOARGS, PyDoc_STR("Stop all actors, kill those that go on; runs at exit.")},
    {"set_exit_status", set_exit_status, METH_O,
     PyDoc_STR("set_exit_status(status)\n\nThe status of an exit that has to leave actors behind.")},
    {NULL},
};
