/* Waiting, as Python sees it: deadlines from `timeout=`, the release of the interpreter's lock round the sleep, signals,
 * stops and kills.  Every blocking operation of the shell is a csp_op or calls csp_wait, so these are handled once.
 */
#ifndef CSP_PY_WAIT_H
#define CSP_PY_WAIT_H

#include "share.h"
#include "state.h"

#include "mem.h"

#define CSP_POLL ((csp_time)0) /* the deadline of timeout=0: it has always passed, and nobody sleeps */

/* None is for ever, 0 polls, infinity is for ever.  -1 with ValueError (negative, NaN) or TypeError set. */
int csp_parse_timeout(PyObject *timeout, csp_time *p_deadline);

/* What a blocking operation of this interpreter must answer before it begins: CSP_OK, CSP_STOPPED or CSP_KILLED. */
static inline csp_status csp_may_begin(csp_state *state)
{
    /* Relaxed: csp_interp_check looks again under the lock; a stop that comes a moment later finds the waiter. */
    csp_take_back(state->interp);
    csp_interp *interp = csp_record_here(state);
    csp_interp_progressed(interp);
    if (atomic_load_explicit(&interp->cancel, memory_order_relaxed) == CSP_RUNNING)
        return CSP_OK;
    return csp_interp_check(interp);
}

/* Was the handle made before a fork, in the parent? */
static inline bool csp_is_forked(const csp_end *end)
{
    /* Relaxed: it changes only while the process has one thread. */
    return end->fork_generation != atomic_load_explicit(&csp_fork_generation, memory_order_relaxed);
}

/* Sleep until the queued waiter has an outcome, which is returned; or CSP_TIMEOUT; or CSP_INTERRUPTED with the exception of
 * a signal handler set.  In the last two nothing fired and nothing will: the caller takes its cases off their
 * queues, and also when the outcome is CSP_STOPPED or CSP_KILLED.
 * `has_timers`: some case's channel is a timer, which this wait then fires when it is due. */
csp_status csp_wait(csp_waiter *waiter, csp_time deadline, csp_spin *spin, bool has_timers);

/* The timers among its cases: when the first is due, and letting those fire whose time has come. */
csp_time csp_earliest_due(csp_waiter *waiter);
void csp_fire_due(csp_waiter *waiter);

/* What the DeadlockError that this thread is about to raise says, RAW, to be freed by the caller; NULL without memory. */
char *csp_take_deadlock_text(void);

/* A send or receive: start, wait, finish.  On the stack, on cache lines of its own. */
typedef struct {
    _Alignas(CSP_LINE) csp_waiter waiter;
    _Alignas(CSP_LINE) csp_case c;
} csp_op;

static inline void csp_op_init_end(csp_op *op, csp_end *end, csp_dir dir)
{
    op->c.chan = end->chan;
    op->c.end = end;
    op->c.dir = (uint8_t)dir;
    op->c.index = 0;
    op->c.queued = false;
    op->c.msg.kind = CSP_MSG_EMPTY;
}

static inline void csp_op_init(csp_op *op, csp_handle *handle, csp_dir dir) { csp_op_init_end(op, handle->end, dir); }

/* CSP_OK, or why not; with CSP_POLL, CSP_TIMEOUT if it would have to wait.  A value that was not sent is still in c.msg. */
csp_status csp_op_run(csp_state *state, csp_op *op, csp_time deadline);

/* Is the frame's code a part of csp?  Attached to its interpreter; no exception is set or lost. */
bool csp_frame_is_ours(PyFrameObject *frame);

/* "main.py:12 in produce": the innermost place here that is not csp's own, cut to `size`.  As above. */
#define CSP_PLACE 400
void csp_place_here(char *text, size_t size);

/* Give a received value back to the head of its channel, so that nothing was taken.  The exception that is set stays. */
void csp_put_back(csp_chan *chan, csp_msg *msg);

/* Is the exception that is set the value's own fault, so that it is gone?  A lack of memory and what is no Exception (Ctrl-C, a
 * stop, a kill) say nothing about the value: it was not taken. */
static inline bool csp_value_is_bad(void)
{
    return PyErr_ExceptionMatches(PyExc_Exception) && !PyErr_ExceptionMatches(PyExc_MemoryError);
}

/* The value of a message received from `chan`; the message is empty afterwards.  NULL with an exception set. */
PyObject *csp_take(csp_state *state, csp_chan *chan, csp_msg *msg);

#endif
