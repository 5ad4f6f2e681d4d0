/* Crossing: Python objects <-> messages.
 *
 * csp_encode runs in the sender and is the only place that can say NotShareable; csp_decode runs in the receiver and is
 * the only place that can say DecodeError.  Neither is called with a lock held, both with the interpreter attached.
 *
 * Small scalars lie in the message itself (csp_msg_kind), short encodings in CSP_MSG_SHORT, everything else in a blob.
 * The flat encoding (encode.c describes it) covers None, bool, int, float, complex, str, bytes, tuple, list, dict, set and
 * frozenset of exactly these types, and our own handles; it is iterative, so depth is bounded by memory, and keeps shared and
 * cyclic references.  A value with anything else in it goes through pickle protocol 5 (csp/_pickling.py, imported on
 * first need), with our handles as persistent ids and buffers out of band in csp_blocks.
 */
#ifndef CSP_CODEC_H
#define CSP_CODEC_H

#include "state.h"

/* Encode `value` into *msg (EMPTY before).  0, or -1 with NotShareable (or MemoryError) set and *msg EMPTY. */
int csp_encode_slow(csp_state *state, PyObject *value, csp_msg *msg);

/* Rebuild the value.  `keep`: the message stays whole and may be decoded again (a lease, a close cause), so buffers are
 * copied out; else the receiver may stand on its memory.  Never clears msg: the caller does, afterwards.
 * NULL with DecodeError (or MemoryError, or a BaseException that is no Exception) set. */
PyObject *csp_decode_slow(csp_state *state, csp_msg *msg, bool keep);

/* A message for a channel: by reference on a local one, encoded otherwise. */
static inline int csp_encode(csp_state *state, csp_chan *chan, PyObject *value, csp_msg *msg)
{
    if (chan->local) {
        msg->kind = CSP_MSG_OBJECT;
        msg->deliveries = 0;
        msg->as.object = Py_NewRef(value);
        return 0;
    }
    msg->deliveries = 0;
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

static inline PyObject *csp_decode(csp_state *state, csp_msg *msg, bool keep)
{
    switch (msg->kind) {
    case CSP_MSG_NONE: return Py_NewRef(Py_None);
    case CSP_MSG_TRUE: return Py_NewRef(Py_True);
    case CSP_MSG_FALSE: return Py_NewRef(Py_False);
    case CSP_MSG_INT: return PyLong_FromLongLong(msg->as.integer);
    case CSP_MSG_OBJECT: return Py_NewRef((PyObject *)msg->as.object);
    default: return csp_decode_slow(state, msg, keep);
    }
}

/* Encode and decode in one interpreter: for tests, and for the Python side of pickling.  `_core.encode(value) -> int` etc. are
 * in csp_codec_functions. */

#endif
