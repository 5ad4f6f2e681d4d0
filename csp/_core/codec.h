/* Crossing: Python objects <-> messages.
 *
 * csp_encode runs in the sender and is the only place that can say NotShareable; csp_decode runs in the receiver and is
 * the only place that can say DecodeError.  Neither is called with a lock held, both with the interpreter attached.
 *
 * Small scalars lie in the message itself (csp_msg_kind), short encodings in CSP_MSG_SHORT, everything else in a blob.
 * The flat encoding (flat.h describes it) covers None, bool, int, float, complex, str, bytes, tuple, list, dict, set and
 * frozenset of exactly these types, memoryviews, records, and our own handles; it is iterative, so depth is bounded by memory,
 * and keeps shared and cyclic references.  A value with anything else in it goes through pickle protocol 5
 * (csp/_pickling.py, imported on first need), with our handles as parts and buffers out of band in csp_blocks.
 *
 * What an encoding refers to and cannot contain is a part of its blob: a channel end in flight, an actor, a block of memory.
 * The blob owns the parts, so they are given up whether the message is decoded, discarded, or its decoding fails.
 */
#ifndef CSP_CODEC_H
#define CSP_CODEC_H

#include "state.h"

/* Encode `value` into *msg (EMPTY before).  0, or -1 with *msg EMPTY and an exception set:
 *   NotShareable   the value cannot cross: the message names the path, __cause__ is what stood in the way;
 *   ClosedHandle, ForkedError   it holds a one-way handle that this side gave up, or a handle inherited through a fork;
 *   MemoryError, and whatever is no Exception (KeyboardInterrupt, Stopped), as they came. */
int csp_encode_slow(csp_state *state, PyObject *value, csp_msg *msg);
/* The same for a container of ours: a NotShareable names the path from `blamed`, which is what the user put into it. */
int csp_encode_blaming(csp_state *state, PyObject *value, PyObject *blamed, csp_msg *msg);

/* A call or cast, as the caller has it: arguments by position, then those of `names` (a tuple of str, or NULL).  All borrowed. */
typedef struct {
    PyObject *method;
    PyObject *const *args;
    Py_ssize_t nargs;
    PyObject *names;
    csp_chan *reply; /* gets a new sending end inside the message; NULL: a cast */
} csp_request;

/* Encode it into *msg (EMPTY before), as csp_encode_slow does the Request of the same parts, if all in it is native: 0.  Else 1, or
 * -1 with an exception set, and *msg is EMPTY: csp_encode_slow knows more, or says what is wrong. */
int csp_encode_request(csp_state *state, const csp_request *request, csp_msg *msg);

/* As csp_encode_slow, for an Exit.  A value that goes by pickle is a message of its own, so that whoever cannot rebuild it still
 * learns the reason: the Exit arrives with value=None, and `remote` says why. */
int csp_encode_exit(csp_state *state, PyObject *exit, csp_msg *msg);

/* Rebuild the value.  `keep`: the message stays whole and may be decoded again (a lease, a close cause), so buffers are
 * copied out; else the receiver may stand on its memory, if nobody else holds it.  Never clears msg: the caller does, afterwards.
 * NULL with DecodeError (or MemoryError, or a BaseException that is no Exception) set. */
PyObject *csp_decode_slow(csp_state *state, csp_msg *msg, bool keep);

/* letter.c: from now on dead letters can be written without an interpreter. */
void csp_install_letters(void);

/* csp._pickling, imported on first need.  Borrowed; NULL with an exception set. */
PyObject *csp_pickling(csp_state *state);

/* buffer.c: a memoryview over the block (the caller's reference, also on failure) of the given format and shape, in
 * C order.  `format` is copied.  NULL with an exception set. */
PyObject *csp_block_view(csp_state *state, csp_block *block, const char *format, size_t format_length, Py_ssize_t itemsize,
                         int ndim, const Py_ssize_t *shape, bool readonly);

/* crossing.c: this thread receives pickled values as they came, to send them on, and writes into none of their memory. */
extern _Thread_local bool csp_passes_on;

/* The block that a memoryview made by csp_block_view is a view of, or a part of; borrowed.  NULL without an exception: of none. */
csp_block *csp_block_of_view(csp_state *state, PyObject *view);

/* Add `reducer_override`, the C method of csp._pickling's pickler, to the module. */
int csp_add_reducer(PyObject *module);

/* A message that may leave its interpreter. */
static inline int csp_encode_copy(csp_state *state, PyObject *value, csp_msg *msg)
{
    msg->deliveries = 0;
    if (PyLong_CheckExact(value) && PyUnstable_Long_IsCompact((PyLongObject *)value)) {
        msg->kind = CSP_MSG_INT;
        msg->as.integer = PyUnstable_Long_CompactValue((PyLongObject *)value);
        return 0;
    }
    if (value == Py_None) {
        msg->kind = CSP_MSG_NONE;
        return 0;
    }
    if (PyFloat_CheckExact(value)) {
        msg->kind = CSP_MSG_FLOAT;
        memcpy(&msg->as.real, &((PyFloatObject *)value)->ob_fval, sizeof(double));
        return 0;
    }
    return csp_encode_slow(state, value, msg);
}

/* A message for a channel: by reference on a local one, encoded otherwise. */
static inline int csp_encode(csp_state *state, csp_chan *chan, PyObject *value, csp_msg *msg)
{
    if (chan->local) {
        if (Py_TYPE(value) == state->moved_type) {
            csp_raise_format(state, CSP_E_NotShareable, "a local channel passes the object itself: it cannot be moved");
            return -1;
        }
        msg->kind = CSP_MSG_OBJECT;
        msg->deliveries = 0;
        msg->as.object = Py_NewRef(value);
        return 0;
    }
    return csp_encode_copy(state, value, msg);
}

static inline PyObject *csp_decode(csp_state *state, csp_msg *msg, bool keep)
{
    switch (msg->kind) {
    case CSP_MSG_NONE: return Py_NewRef(Py_None);
    case CSP_MSG_TRUE: return Py_NewRef(Py_True);
    case CSP_MSG_FALSE: return Py_NewRef(Py_False);
    case CSP_MSG_INT: return PyLong_FromLongLong(msg->as.integer);
    case CSP_MSG_FLOAT: return PyFloat_FromDouble(msg->as.real);
    case CSP_MSG_OBJECT: return Py_NewRef((PyObject *)msg->as.object);
    default: return csp_decode_slow(state, msg, keep);
    }
}

#endif
