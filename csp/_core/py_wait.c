/* The one blocking wait of the shell, and the operations that are a single case. */
#include "py_wait.h"

#include "clock.h"
#include "deadlock.h"
#include "mem.h"

#include "codec.h"
#include "py_call.h"

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__APPLE__)
#include <pthread.h>
#elif defined(_WIN32)
#include <windows.h>
#endif

/* The main thread sleeps in slices: a signal that the kernel handed to another thread, or that came between the check and
 * the sleep, is seen after one slice at the latest. */
#define SLICE (50 * 1000000LL)

int csp_parse_timeout(PyObject *timeout, csp_time *p_deadline)
{
    if (timeout == NULL || timeout == Py_None) {
        *p_deadline = CSP_NEVER;
        return 0;
    }
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError)) { /* an int beyond floats: for ever, or negative */
            PyErr_Clear();
            PyObject *zero = PyLong_FromLong(0);
            int negative = zero == NULL ? -1 : PyObject_RichCompareBool(timeout, zero, Py_LT);
            Py_XDECREF(zero);
            if (negative < 0)
                return -1;
            seconds = negative ? -1.0 : Py_HUGE_VAL;
        }
        else {
            if (PyErr_ExceptionMatches(PyExc_TypeError))
                PyErr_Format(PyExc_TypeError, "timeout must be a number of seconds or None, not %.100s",
                             Py_TYPE(timeout)->tp_name);
            return -1;
        }
    }
    if (!(seconds >= 0.0)) { /* also NaN */
        PyErr_Format(PyExc_ValueError, "timeout must not be negative or NaN, not %R", timeout);
        return -1;
    }
    *p_deadline = seconds == 0.0 ? CSP_POLL : csp_deadline_after(seconds);
    return 0;
}

/* --- signals --- */

/* Is this the thread in which CPython runs signal handlers? */
static bool in_main_thread(csp_interp *interp)
{
    if (interp == NULL || !interp->is_main)
        return false;
#ifdef __linux__
    static _Thread_local int8_t is_main; /* 0: not asked yet */
    if (is_main == 0)
        is_main = syscall(SYS_gettid) == getpid() ? 1 : -1;
    return is_main > 0;
#elif defined(__APPLE__)
    return pthread_main_np() != 0;
#else
    return true; /* slices in every thread of the main interpreter: a little wasteful, never wrong */
#endif
}

static int raise_later(void *exception)
{
    PyErr_SetRaisedException(exception);
    return -1;
}

void csp_put_back(csp_chan *chan, csp_msg *msg)
{
    PyObject *exception = PyErr_GetRaisedException(); /* freeing a displaced value may run Python */
    csp_effects fx;
    csp_effects_init(&fx);
    csp_chan_give_back(chan, msg, &fx);
    csp_effects_run(&fx);
    PyErr_SetRaisedException(exception);
}

PyObject *csp_take(csp_state *state, csp_chan *chan, csp_msg *msg)
{
    PyObject *value = csp_decode(state, msg, false);
    if (value == NULL && !csp_value_is_bad()) {
        csp_put_back(chan, msg);
        return NULL;
    }
    if (value == NULL)
        csp_attach_reply(state, msg);
    csp_msg_clear(msg);
    return value;
}

/* A signal handler raised, but the operation had completed before it could be called off.  A received value goes back to
 * the head of its channel, so nothing was taken.  A sent one is gone: the exception then waits until the send has
 * returned.  True if the exception is still set and is now the outcome. */
static bool settle_signal(csp_waiter *waiter)
{
    csp_case *fired = waiter->fired;
    if (waiter->status != CSP_OK || fired == NULL)
        return true;
    if (fired->dir == CSP_RECV) {
        csp_put_back(fired->chan, &fired->msg);
        return true;
    }
    PyObject *exception = PyErr_GetRaisedException();
    if (Py_AddPendingCall(raise_later, exception) == 0)
        return false;
    PyErr_SetRaisedException(exception); /* the queue of pending calls is full */
    PyErr_WriteUnraisable(NULL);
    return false;
}

/* --- timers among the cases --- */

csp_time csp_earliest_due(csp_waiter *waiter)
{
    csp_time due = CSP_NEVER;
    for (uint32_t i = 0; i < waiter->ncases; i++) {
        csp_case *c = &waiter->cases[i];
        if (c->chan != NULL && c->chan->timer != CSP_NO_TIMER && csp_chan_due(c->chan) < due)
            due = csp_chan_due(c->chan);
    }
    return due;
}

void csp_fire_due(csp_waiter *waiter)
{
    csp_effects fx;
    csp_effects_init(&fx);
    csp_time now = csp_clock();
    for (uint32_t i = 0; i < waiter->ncases; i++) {
        csp_case *c = &waiter->cases[i];
        if (c->chan != NULL && c->chan->timer != CSP_NO_TIMER && csp_chan_due(c->chan) <= now)
            csp_timer_fire(c->chan, now, &fx);
    }
    csp_effects_run(&fx);
}

/* --- a deadlock --- */

static _Thread_local char *deadlock_text; /* RAW; process-wide in kind, one a thread; from csp_wait to csp_raise */

char *csp_take_deadlock_text(void)
{
    char *text = deadlock_text;
    deadlock_text = NULL;
    return text;
}

bool csp_frame_is_ours(PyFrameObject *frame)
{
    PyObject *globals = PyFrame_GetGlobals(frame);
    PyObject *name = PyDict_GetItemString(globals, "__name__"); /* borrowed */
    const char *text = name != NULL && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    bool ours = text != NULL && strncmp(text, "csp.", 4) == 0;
    PyErr_Clear();
    Py_DECREF(globals);
    return ours;
}

void csp_place_here(char *text, size_t size)
{
    PyFrameObject *frame = (PyFrameObject *)Py_XNewRef(PyEval_GetFrame());
    snprintf(text, size, "an unknown place");
    while (frame != NULL && csp_frame_is_ours(frame)) {
        PyFrameObject *outer = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = outer;
    }
    if (frame == NULL)
        return;
    PyCodeObject *code = PyFrame_GetCode(frame);
    const char *file = PyUnicode_AsUTF8(code->co_filename), *name = PyUnicode_AsUTF8(code->co_qualname);
    if (file != NULL && name != NULL)
        snprintf(text, size, "%s:%d in %s", file, PyFrame_GetLineNumber(frame), name);
    PyErr_Clear();
    Py_DECREF(code);
    Py_DECREF(frame);
}

#define REPORT_PATIENCE (300 * 1000000LL) /* how long we wait for the places of the others */

/* Say where we are, hear where the others are, and keep the text for csp_raise. */
static void keep_report(csp_waiter *waiter)
{
    csp_report *report = waiter->report;
    char where[CSP_REPORT_TEXT];
    csp_place_here(where, sizeof where);
    Py_BEGIN_ALLOW_THREADS
    csp_report_say(report, waiter->report_line, where);
    csp_report_await(report, csp_now() + REPORT_PATIENCE);
    Py_END_ALLOW_THREADS
    size_t room = (size_t)report->nlines * (2 * CSP_REPORT_TEXT + 16) + 1, used = 0;
    char *text = csp_raw_alloc(room);
    csp_lock_acquire(&report->lock);
    for (uint32_t i = 0; text != NULL && i < report->nlines; i++) {
        csp_report_line *line = &report->lines[i];
        used += (size_t)snprintf(text + used, room - used, "\n  %s%s%s", line->what, line->where[0] ? ", at " : "", line->where);
    }
    csp_lock_release(&report->lock);
    csp_report_decref(report);
    csp_raw_free(deadlock_text);
    deadlock_text = text;
}

/* How many threads the interpreter has, or 0 if that cannot be said now.  Its thread states must not be walked: an extension's
 * import in another interpreter visits the main one, and deletes its thread state there after it has let go of the lock. */
#define COUNT_SOON (500 * 1000000LL)
#define COUNT_LATE (10000 * 1000000LL)

static uint32_t count_threads(csp_interp *interp)
{
    if (csp_thread_record != NULL)
        return UINT32_MAX; /* the record is the actor's alone, the interpreter is not: there is always somebody else */
    PyObject *module = PyImport_ImportModule("_thread");
    PyObject *started = module == NULL ? NULL : PyObject_CallMethod(module, "_count", NULL); /* without the first thread */
    long n = started == NULL ? -1 : PyLong_AsLong(started);
    Py_XDECREF(started);
    Py_XDECREF(module);
    PyErr_Clear();
    uint32_t guests = atomic_load_explicit(&interp->guests, memory_order_relaxed); /* see interp.h */
    return n < 0 ? 0 : (uint32_t)n + 1 + guests;
}

/* When a wait for ever counts again.  A thread that is not waiting in csp may end, and nobody tells: who has looked in vain, and
 * is not alone, asks now and then, ever more seldom.  CSP_NEVER: there is nothing to ask. */
static csp_time next_count(csp_waiter *waiter)
{
    if (!csp_waiter_looked(waiter) || waiter->threads <= 1 || waiter->threads == UINT32_MAX)
        return CSP_NEVER;
    csp_time waited = (waiter->counted - waiter->since) / 2;
    return waiter->counted + (waited < COUNT_SOON ? COUNT_SOON : waited > COUNT_LATE ? COUNT_LATE : waited);
}

/* Of a wait that lasts.  True if there is reason to look for a deadlock at once. */
static bool count_if_due(csp_waiter *waiter)
{
    if (waiter->threads != 0 && csp_now() < next_count(waiter))
        return false;
    uint32_t before = waiter->threads;
    waiter->counted = csp_now();
    waiter->threads = count_threads(waiter->interp);
    if (waiter->threads == before)
        return false;
    atomic_store_explicit(&waiter->looked, false, memory_order_relaxed); /* see the field */
    return waiter->threads != 0;
}

static bool has_enabled_case(csp_waiter *waiter)
{
    for (uint32_t i = 0; i < waiter->ncases; i++)
        if (waiter->cases[i].chan != NULL)
            return true;
    return false;
}

/* --- the wait --- */

static csp_status outcome(csp_waiter *waiter)
{
    if (waiter->status == CSP_DEADLOCK)
        keep_report(waiter);
    return waiter->status;
}

csp_status csp_wait(csp_waiter *waiter, csp_time deadline, csp_spin *spin, bool has_timers)
{
    bool sliced = in_main_thread(waiter->interp);
    waiter->forever = deadline == CSP_NEVER && !has_timers && has_enabled_case(waiter);
    waiter->main_thread = sliced;
    waiter->deadline = deadline;
    csp_time guard = csp_clock_guard(deadline);
    bool counted = false; /* just now: the look comes next */
    for (;;) {
        csp_time until = deadline;
        if (has_timers) {
            csp_time due = csp_earliest_due(waiter);
            until = due < until ? due : until;
        }
        until = csp_clock_until(until);
        until = guard < until ? guard : until;
        if (sliced) {
            csp_time slice = csp_now() + SLICE;
            until = slice < until ? slice : until;
        }
        else if (waiter->forever && csp_waiter_looked(waiter)) {
            until = next_count(waiter);
        }
        else if (waiter->forever) {
            until = counted ? csp_now() : csp_now() + atomic_load_explicit(&csp_look_patience, memory_order_relaxed);
        }
        csp_status status;
        Py_BEGIN_ALLOW_THREADS
        status = csp_waiter_park(waiter, until, spin);
        Py_END_ALLOW_THREADS
        csp_take_back(csp_interp_home(waiter->interp)); /* who shares an interpreter has a record of its own, which owns no memory */
        if (status == CSP_OK)
            return outcome(waiter);
        spin = NULL; /* once is enough */
        if (sliced && PyErr_CheckSignals() < 0) {
            if (csp_waiter_cancel(waiter) || settle_signal(waiter))
                return CSP_INTERRUPTED;
            return outcome(waiter);
        }
        if (has_timers)
            csp_fire_due(waiter);
        counted = waiter->forever && count_if_due(waiter); /* only now, that it lasts: most waits never get here */
        if (deadline != CSP_NEVER && (csp_clock() >= deadline || csp_now() >= guard))
            return csp_waiter_cancel(waiter) ? CSP_TIMEOUT : outcome(waiter);
    }
}

csp_status csp_op_run(csp_state *state, csp_op *op, csp_time deadline)
{
    csp_case *c = &op->c;
    csp_effects fx;
    if (csp_is_forked(c->end))
        return CSP_FORKED;
    csp_status status = csp_may_begin(state);
    if (status != CSP_OK)
        return status;
    csp_effects_init(&fx);
    if (deadline == CSP_POLL) {
        status = csp_chan_try(c, &fx);
        csp_effects_run(&fx);
        return status == CSP_PENDING ? CSP_TIMEOUT : status;
    }
    csp_waiter_init(&op->waiter, csp_record_here(state), c, 1);
    op->waiter.deadline = deadline;
    status = csp_chan_start(c, &fx);
    csp_effects_run(&fx);
    if (status != CSP_PENDING)
        return status;
    status = csp_wait(&op->waiter, deadline, &c->chan->spin, c->chan->timer != CSP_NO_TIMER);
    if (op->waiter.fired == NULL || status == CSP_TIMEOUT || status == CSP_INTERRUPTED)
        csp_chan_withdraw(c);
    return status;
}
