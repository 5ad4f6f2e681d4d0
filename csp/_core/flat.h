/* The flat encoding, which encode.c writes and decode.c reads.  Nobody else looks inside a message.
 *
 * A value is one tag byte and what the tag says follows; a container's items follow its length, in order, so there is
 * nothing to match up and both sides need only a stack of open containers.  Numbers are in the machine's own byte order:
 * an encoding never leaves the process.
 *
 *   size      one byte below 254; or 254 and 4 bytes; or 255 and 8 bytes
 *   shared    an object that is met again gets SHARED set in the tag of its first place, afterwards (the encoder knows
 *             where that was), and a REF to the offset of that tag in each further place.  So an object met once costs the
 *             decoder nothing.
 *
 * The encoding is trusted: only csp_encode_slow makes one, so the decoder checks no bounds.
 */
#ifndef CSP_FLAT_H
#define CSP_FLAT_H

#include "codec.h"

typedef enum {
    TAG_NONE, TAG_TRUE, TAG_FALSE,
    TAG_INT1, TAG_INT2, TAG_INT4, TAG_INT8, /* signed, of so many bytes */
    TAG_INT_BIG,    /* size, two's complement, least significant byte first */
    TAG_FLOAT,      /* 8 bytes, as they lie in memory: the payload of a NaN is kept */
    TAG_COMPLEX,    /* 16 bytes */
    TAG_ASCII,      /* size n, n bytes */
    TAG_STR1, TAG_STR2, TAG_STR4, /* size n, n code points of so many bytes; surrogates are code points */
    TAG_BYTES,      /* size, bytes */
    TAG_TUPLE, TAG_LIST, TAG_SET, TAG_FROZENSET, /* size n, n values */
    TAG_DICT,       /* size n, n pairs of key and value */
    TAG_RECORD,     /* code byte, size n, n values: a tuple subclass from state->record_types */
    TAG_REF,        /* size: offset of the tag of an earlier value */
    TAG_HANDLE,     /* size: index of the part that is the channel end */
    TAG_ACTOR,      /* size: index of the part that is the actor */
    TAG_VIEW,       /* flags byte, part, item size, format (size, bytes), ndim byte, shape as sizes: a memoryview */
    TAG_PICKLE,     /* size, a pickle; then the list of its out-of-band buffers and parts, as a value */
    TAG_LETTER,     /* size: index of the part that is a message in another one: what a dead letter is about */
    TAG_APART,      /* size: index of the part that is a message: a value in a value.  None if it cannot be rebuilt: see TAG_MISSED */
    TAG_MISSED,     /* the RemoteError that says why the TAG_APART before it could not be rebuilt; else None */
    TAG_NAME,       /* as TAG_ASCII, of a method: it will be looked up, and come again */
    TAG_SHARE,      /* size: index of the part that is shared memory; flags byte */
    TAG_BUFFER,     /* size: index of the part that is a handle to memory; flags byte; offset and length as sizes: a SharedBuffer */
    TAG_SMALL = 64, /* 64 + i: the int i, 0 <= i < 64 */
    TAG_SHARED = 128,
} csp_tag;

#define VIEW_READONLY 1

/* encode.c: write the value into *msg, behind `pickle` (bytes) if that is not NULL.  0; 1 if something in it is not native, without
 * an exception; -1 with one, and *p_final if it is to be raised as it is: a handle in the value was used wrongly. */
int csp_flat_encode(csp_state *state, PyObject *pickle, PyObject *value, csp_msg *msg, bool *p_final);

/* decode.c: the value; of a pickled message the list of what travels beside the pickle, and where that is (in the message);
 * else *p_pickle is NULL.  `keep` as in csp_decode_slow().  NULL with an exception set, which is not wrapped yet. */
PyObject *csp_flat_decode(csp_state *state, csp_msg *msg, bool keep, const char **p_pickle, size_t *p_length);

#endif
