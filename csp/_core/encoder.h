/* The encoder at work: what encode.c and encode_view.c share, and nobody else needs.
 *
 * The functions that write return an outcome; those called put_ want their room reserved.
 */
#ifndef CSP_ENCODER_H
#define CSP_ENCODER_H

#include "flat.h"

#define FIRST_BYTES 2048 /* written on the C stack */
#define FIRST_FRAMES 16
#define FIRST_SEEN 64 /* a power of two */
#define TAG_ROOM 32   /* enough for a tag, sizes, and any fixed payload */

/* An open container.  Borrowed references: whoever holds the value cannot drop it while we hold the GIL. */
typedef struct {
    PyObject *container;
    PyObject *pending; /* dict: the value whose key is being written; set: the iterator, owned */
    Py_ssize_t next, length;
    csp_tag kind;
} frame;

/* An object met before, and where its tag is.  Hashed by address, linear probing; NULL is free. */
typedef struct {
    PyObject *object;
    size_t offset;
} seen_entry;

typedef struct {
    csp_state *state;
    unsigned char *data; /* `first`, or within `blob` */
    size_t length, capacity;
    csp_blob *blob; /* NULL while on the C stack */
    frame *frames;
    size_t depth, room;
    seen_entry *seen; /* NULL until the first object that may come again */
    size_t nseen, mask;
    bool final; /* the exception set is to be raised as it is, not as NotShareable */
#ifdef Py_GIL_DISABLED
    PyObject *snapshots; /* list: alive to the end, so that no address in `seen` is used twice */
#endif
    frame first_frames[FIRST_FRAMES];
    seen_entry first_seen[FIRST_SEEN];
    unsigned char first[FIRST_BYTES];
} encoder;

/* What writing one object came to. */
typedef enum {
    WRITTEN = 0,
    OPENED,  /* a container: its items come next */
    FOREIGN, /* not a native type */
    FAILED,  /* an exception is set */
} outcome;

static inline outcome no_memory(void)
{
    PyErr_NoMemory();
    return FAILED;
}

/* --- bytes --- */

/* Into a blob, with room for `more` bytes besides.  Cold. */
bool csp_encoder_to_blob(encoder *e, size_t more);

static inline bool reserve(encoder *e, size_t more)
{
    return e->capacity - e->length >= more || csp_encoder_to_blob(e, more);
}

static inline void put_byte(encoder *e, unsigned byte) { e->data[e->length++] = (unsigned char)byte; }

static inline void put_bytes(encoder *e, const void *bytes, size_t n)
{
    memcpy(e->data + e->length, bytes, n);
    e->length += n;
}

static inline void put_size(encoder *e, size_t n)
{
    if (n < 254) {
        put_byte(e, (unsigned)n);
        return;
    }
    if (n <= UINT32_MAX) {
        uint32_t small = (uint32_t)n;
        put_byte(e, 254);
        put_bytes(e, &small, 4);
        return;
    }
    uint64_t large = n;
    put_byte(e, 255);
    put_bytes(e, &large, 8);
}

/* --- objects met before --- */

/* As seen_before, for an object that may come again. */
int csp_encoder_seen(encoder *e, PyObject *object);

/* The object is about to be written here.  1: it was before, and a REF is in its place; 0: write it; -1: no memory. */
static inline int seen_before(encoder *e, PyObject *object)
{
#ifndef Py_GIL_DISABLED
    /* Each place in a container holds a reference: what has only one cannot come again. */
    if (Py_REFCNT(object) == 1)
        return 0;
#endif
    return csp_encoder_seen(e, object);
}

/* For use at the start of an outcome-returning function. */
#define RETURN_IF_SEEN(e, object)                          \
    do {                                                   \
        int seen_ = seen_before(e, object);                \
        if (seen_ != 0)                                    \
            return seen_ > 0 ? WRITTEN : no_memory();      \
    } while (0)

/* --- parts: what an encoding can only refer to --- */

/* Hold `self` (the caller's reference, also on failure) and write a tag with its index. */
outcome csp_encoder_part(encoder *e, csp_tag tag, const csp_part_ops *ops, void *self, size_t extra);

/* --- buffers: encode_view.c --- */

/* Any memoryview: strides, suboffsets, whatever its format.  The copy is in C order. */
outcome csp_encoder_memoryview(encoder *e, PyObject *object);
/* A SharedView: no copy. */
outcome csp_encoder_shared(encoder *e, PyObject *object);
/* A SharedBuffer: a new handle. */
outcome csp_encoder_shared_buffer(encoder *e, PyObject *object);
/* One of these two, given away. */
outcome csp_encoder_moved(encoder *e, PyObject *object);
/* An out-of-band buffer: its memory as it lies, in C or in Fortran order, as bytes. */
outcome csp_encoder_pickle_buffer(encoder *e, PyObject *object);

#endif
