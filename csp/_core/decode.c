/* From the flat encoding (flat.h) to Python objects.
 *
 * It is read in one pass with a stack of open containers: no recursion, so depth is bounded by memory.
 * A container exists before its items, so that a REF inside can lead back to it, and is put into its parent once it is complete;
 * until then its frame owns it.  A frozenset cannot be filled while anybody else has it, so a REF finds it only when it is complete
 * (a cycle through one needs an object that only pickle can carry).
 *
 * Hashes are computed only of exact native types, of handles, and of records.  Of tuples Python computes them recursively and
 * without a guard, so a tuple nested deeper than MAX_HASHED is refused as a key: the sender may have had a larger stack.
 *
 * encode.c is the other half; buffer.c makes what stands on a block of memory.
 */
#include "codec.h"

#include "actor.h"
#include "flat.h"
#include "mem.h"
#include "move.h"
#include "share.h"
#include "shared_buffer.h"

#define FIRST_FRAMES 16
#define FIRST_SHARED 32
#define NEAR 4096 /* bytes of an encoding in which a REF finds its object without a search */
#define MAX_HASHED 2000   /* tuples in tuples, as a key: a few hundred KiB of C stack */
#define LONGEST_KEY 32    /* characters of a dictionary key that is worth caching */
#define NO_ENTRY SIZE_MAX

/* A container that is being filled. */
typedef struct {
    PyObject *container; /* owned */
    PyObject *key;       /* dict: owned, its value comes next; else NULL */
    Py_ssize_t next, length;
    size_t entry;        /* in `shared`, NO_ENTRY if it is met once */
    uint32_t height;     /* tuple: how deep tuples in tuples go below it */
    csp_tag kind;
} frame;

/* A value that is met again, in order of offset. */
typedef struct {
    size_t offset;
    PyObject *object; /* owned; NULL: a frozenset that is not complete */
    uint32_t height;
} shared_entry;

typedef struct {
    csp_state *state;
    const unsigned char *start, *p;
    csp_blob *blob; /* holds the parts; NULL if there are none */
    bool keep;
    uint32_t height; /* of the value just made, if it is a tuple; else 0 */
    PyObject *missed; /* owned: why a TAG_APART could not be rebuilt; or NULL */
    frame *frames;
    size_t depth, room;
    shared_entry *shared;
    size_t nshared, shared_room;
    frame first_frames[FIRST_FRAMES];
    shared_entry first_shared[FIRST_SHARED];
    uint16_t near[NEAR]; /* offset -> index in `shared`; set where a tag is SHARED, and read nowhere else */
} decoder;

static void decoder_init(decoder *d, csp_state *state, const unsigned char *data, csp_blob *blob, bool keep)
{
    d->state = state;
    d->start = d->p = data;
    d->blob = blob;
    d->keep = keep;
    d->height = 0;
    d->missed = NULL;
    d->frames = d->first_frames;
    d->depth = 0;
    d->room = FIRST_FRAMES;
    d->shared = d->first_shared;
    d->nshared = 0;
    d->shared_room = FIRST_SHARED;
}

static void decoder_clear(decoder *d)
{
    while (d->depth > 0) {
        frame *f = &d->frames[--d->depth];
        Py_XDECREF(f->key);
        Py_DECREF(f->container);
    }
    while (d->nshared > 0)
        Py_XDECREF(d->shared[--d->nshared].object);
    Py_XDECREF(d->missed);
    if (d->frames != d->first_frames)
        csp_raw_free(d->frames);
    if (d->shared != d->first_shared)
        csp_raw_free(d->shared);
}

/* --- bytes --- */

static inline size_t get_size(decoder *d)
{
    unsigned first = *d->p++;
    if (first < 254)
        return first;
    uint32_t small;
    uint64_t large;
    if (first == 254) {
        memcpy(&small, d->p, 4);
        d->p += 4;
        return small;
    }
    memcpy(&large, d->p, 8);
    d->p += 8;
    return (size_t)large;
}

#define GET_INT(d, type)                       \
    type v;                                    \
    memcpy(&v, (d)->p, sizeof v);              \
    (d)->p += sizeof v;                        \
    return PyLong_FromLongLong((long long)v)

/* --- objects met again --- */

/* Takes no reference of the caller's. */
static bool share(decoder *d, size_t offset, PyObject *object)
{
    if (d->nshared == d->shared_room) {
        size_t room = d->shared_room * 2;
        bool on_stack = d->shared == d->first_shared;
        shared_entry *entries = csp_raw_realloc(on_stack ? NULL : d->shared, room * sizeof *entries);
        if (entries == NULL) {
            PyErr_NoMemory();
            return false;
        }
        if (on_stack)
            memcpy(entries, d->first_shared, sizeof d->first_shared);
        d->shared = entries;
        d->shared_room = room;
    }
    if (offset < NEAR)
        d->near[offset] = (uint16_t)d->nshared;
    d->shared[d->nshared++] = (shared_entry){offset, Py_XNewRef(object), 0};
    return true;
}

static size_t find_shared(decoder *d, size_t offset)
{
    size_t low = 0, high = d->nshared;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (d->shared[middle].offset <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static PyObject *get_ref(decoder *d)
{
    size_t offset = get_size(d);
    shared_entry *entry = &d->shared[offset < NEAR ? d->near[offset] : find_shared(d, offset)];
    if (entry->object == NULL) {
        PyErr_SetString(PyExc_ValueError, "a frozenset that contains itself");
        return NULL;
    }
    d->height = entry->height;
    return Py_NewRef(entry->object);
}

/* --- scalars --- */

static PyObject *get_str(decoder *d, Py_UCS4 largest, size_t kind)
{
    size_t n = get_size(d);
    const unsigned char *text = d->p;
    d->p += n * kind;
    if (n <= 1 && kind == 1) /* there is one object of it in each interpreter */
        return PyUnicode_FromKindAndData(PyUnicode_1BYTE_KIND, text, (Py_ssize_t)n);
    PyObject *value = PyUnicode_New((Py_ssize_t)n, largest);
    if (value != NULL)
        memcpy(PyUnicode_DATA(value), text, n * kind);
    return value;
}

/* A key: keys come again in the next message, so a short one is looked for among those made lately, which saves making it and
 * hashing it.  Direct-mapped: a newcomer takes the place. */
static PyObject *get_key(decoder *d)
{
#ifndef Py_GIL_DISABLED
    size_t n = d->p[0];
    if (n >= 2 && n <= LONGEST_KEY) {
        const unsigned char *text = d->p + 1;
        uint64_t a = 0, b = 0;
        if (n >= 8) {
            memcpy(&a, text, 8);
            memcpy(&b, text + n - 8, 8);
        }
        else if (n >= 4) {
            memcpy(&a, text, 4);
            memcpy(&b, text + n - 4, 4);
        }
        else
            a = text[0] | (uint64_t)text[1] << 8 | (uint64_t)text[n - 1] << 16;
        uint64_t hash = (a ^ (b << 23 | b >> 41) ^ n) * UINT64_C(0x9E3779B97F4A7C15);
        PyObject **slot = &d->state->key_cache[hash >> 56 & (CSP_KEY_CACHE - 1)];
        PyObject *cached = *slot;
        if (cached != NULL && (size_t)PyUnicode_GET_LENGTH(cached) == n && memcmp(PyUnicode_DATA(cached), text, n) == 0) {
            d->p += 1 + n;
            return Py_NewRef(cached);
        }
        PyObject *key = get_str(d, 127, 1);
        if (key != NULL)
            Py_XSETREF(*slot, Py_NewRef(key));
        return key;
    }
#endif
    return get_str(d, 127, 1);
}

static PyObject *get_big_int(decoder *d)
{
    size_t n = get_size(d);
    PyObject *value = PyLong_FromNativeBytes(d->p, n, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
    d->p += n;
    return value;
}

static PyObject *get_bytes(decoder *d)
{
    size_t n = get_size(d);
    PyObject *value = PyBytes_FromStringAndSize((const char *)d->p, (Py_ssize_t)n);
    d->p += n;
    return value;
}

static PyObject *get_complex(decoder *d)
{
    PyObject *value = PyComplex_FromDoubles(0.0, 0.0);
    if (value != NULL) /* not through registers: the payload of a NaN is kept */
        memcpy(&((PyComplexObject *)value)->cval, d->p, sizeof(Py_complex));
    d->p += sizeof(Py_complex);
    return value;
}

static PyObject *get_float(decoder *d)
{
    double v;
    memcpy(&v, d->p, sizeof v);
    d->p += sizeof v;
    return PyFloat_FromDouble(v);
}

static PyObject *get_int(decoder *d, csp_tag tag)
{
    switch (tag) {
    case TAG_INT1: { GET_INT(d, int8_t); }
    case TAG_INT2: { GET_INT(d, int16_t); }
    case TAG_INT4: { GET_INT(d, int32_t); }
    default: { GET_INT(d, int64_t); }
    }
}

/* --- parts --- */

static PyObject *get_handle(decoder *d)
{
    csp_part *part = &d->blob->parts[get_size(d)];
    csp_end *in_flight = part->self;
    csp_end *end = csp_end_new(in_flight->chan, in_flight->dir, csp_record_here(d->state));
    return end == NULL ? PyErr_NoMemory() : csp_handle_new(d->state, end);
}

/* Classes that a module of ours registers may be met before anything here has needed the module. */
static bool load(const char *name)
{
    PyObject *module = PyImport_ImportModule(name);
    Py_XDECREF(module);
    return module != NULL;
}

static PyObject *get_actor(decoder *d)
{
    csp_part *part = &d->blob->parts[get_size(d)];
    if (d->state->ref_type == NULL && !load("csp.actors"))
        return NULL;
    return csp_ref_new(d->state, part->self);
}

/* Of a call or cast what was asked, without whom to answer. */
static PyObject *get_letter(decoder *d)
{
    csp_msg *msg = d->blob->parts[get_size(d)].self;
    PyObject *message = csp_decode(d->state, msg, true);
    PyTypeObject *request = d->state->record_types[CSP_REQUEST];
    if (message == NULL || request == NULL || Py_TYPE(message) != request)
        return message;
    PyObject *asked = PyTuple_GetSlice(message, 0, 3);
    Py_DECREF(message);
    return asked;
}

/* The value of an Exit: the rest must arrive even if this cannot be rebuilt here. */
static PyObject *get_apart(decoder *d)
{
    PyObject *value = csp_decode(d->state, d->blob->parts[get_size(d)].self, d->keep);
    if (value != NULL || !PyErr_ExceptionMatches(d->state->errors[CSP_E_DecodeError]))
        return value;
    Py_XSETREF(d->missed, PyErr_GetRaisedException());
    return Py_NewRef(Py_None);
}

static PyObject *get_missed(decoder *d)
{
    if (d->missed == NULL)
        return Py_NewRef(Py_None);
    PyObject *remote = PyImport_ImportModule("csp._remote");
    PyObject *snapshot = remote == NULL ? NULL : PyObject_CallMethod(remote, "snapshot", "O", d->missed);
    Py_XDECREF(remote);
    return snapshot;
}

static PyObject *get_view(decoder *d)
{
    csp_block *block = d->blob->parts[get_size(d)].self;
    unsigned flags = *d->p++;
    size_t itemsize = get_size(d), format_length = get_size(d);
    const char *format = (const char *)d->p;
    d->p += format_length;
    int ndim = *d->p++;
    Py_ssize_t shape[PyBUF_MAX_NDIM];
    for (int i = 0; i < ndim; i++)
        shape[i] = (Py_ssize_t)get_size(d);
    /* Acquire, pairs with the release in csp_block_decref(): if we are the last, whoever else had it is done with it.  A clone of
     * this message may be decoded elsewhere, and two receivers must not stand on one memory. */
    if (d->keep || (!csp_block_is_laid(block) && atomic_load_explicit(&block->refs, memory_order_acquire) > 1)) {
        csp_block *copy = csp_block_new(block->size);
        if (copy == NULL)
            return PyErr_NoMemory();
        memcpy(copy->data, block->data, block->size);
        block = copy;
    }
    else
        csp_block_incref(block);
    return csp_block_view(d->state, block, format, format_length, (Py_ssize_t)itemsize, ndim, shape, flags & VIEW_READONLY);
}

static PyObject *get_shared(decoder *d)
{
    csp_shared *shared = csp_part_content(&d->blob->parts[get_size(d)]);
    unsigned flags = *d->p++;
    return csp_shared_view(d->state, shared, flags & VIEW_READONLY);
}

static PyObject *get_shared_buffer(decoder *d)
{
    csp_end *in_flight = csp_part_content(&d->blob->parts[get_size(d)]);
    csp_extent extent = {.readonly = *d->p++ & VIEW_READONLY};
    extent.offset = (Py_ssize_t)get_size(d);
    extent.nbytes = (Py_ssize_t)get_size(d);
    return csp_shared_buffer_new(d->state, in_flight, &extent);
}

/* --- containers --- */

static PyObject *new_record(decoder *d, unsigned code, Py_ssize_t length)
{
    if (d->state->record_types[code] == NULL && !load(code < 2 ? "csp.actors" : "csp._calls"))
        return NULL;
    if (d->state->record_types[code] == NULL) { /* RemoteError, which an actor seldom needs */
        PyObject *remote = PyImport_ImportModule("csp._remote");
        if (remote == NULL)
            return NULL;
        Py_DECREF(remote);
    }
    PyTypeObject *type = d->state->record_types[code];
    if (type == NULL) {
        PyErr_Format(PyExc_LookupError, "records of code %u are not known here", code);
        return NULL;
    }
    return type->tp_alloc(type, length);
}

static PyObject *new_container(decoder *d, csp_tag tag, unsigned code, Py_ssize_t length)
{
    switch (tag) {
    case TAG_TUPLE: return PyTuple_New(length);
    case TAG_LIST: return PyList_New(length);
    case TAG_DICT: return PyDict_New();
    case TAG_SET: return PySet_New(NULL);
    case TAG_FROZENSET: return PyFrozenSet_New(NULL);
    default: return new_record(d, code, length);
    }
}

static bool frames_grow(decoder *d)
{
    size_t room = d->room * 2;
    bool on_stack = d->frames == d->first_frames;
    frame *frames = csp_raw_realloc(on_stack ? NULL : d->frames, room * sizeof *frames);
    if (frames == NULL) {
        PyErr_NoMemory();
        return false;
    }
    if (on_stack)
        memcpy(frames, d->first_frames, sizeof d->first_frames);
    d->frames = frames;
    d->room = room;
    return true;
}

/* Make a container and, if it has items, open it.  The value if it is complete; NULL with *p_opened, or with an exception. */
static PyObject *get_container(decoder *d, csp_tag tag, size_t offset, bool shared, bool *p_opened)
{
    unsigned code = tag == TAG_RECORD ? *d->p++ : 0;
    Py_ssize_t length = (Py_ssize_t)get_size(d);
    if (d->depth == d->room && !frames_grow(d))
        return NULL;
    PyObject *container = new_container(d, tag, code, length);
    if (container == NULL)
        return NULL;
    size_t entry = shared ? d->nshared : NO_ENTRY;
    if (shared && !share(d, offset, tag == TAG_FROZENSET && length > 0 ? NULL : container)) {
        Py_DECREF(container);
        return NULL;
    }
    d->height = tag == TAG_TUPLE || tag == TAG_RECORD;
    if (length == 0)
        return container;
    csp_tag kind = tag == TAG_RECORD ? TAG_TUPLE : tag;
    d->frames[d->depth++] = (frame){container, NULL, 0, length, entry, d->height, kind};
    *p_opened = true;
    return NULL;
}

static bool hashable_depth(decoder *d)
{
    if (d->height <= MAX_HASHED)
        return true;
    PyErr_Format(PyExc_RecursionError, "a tuple nested %u deep cannot be a key here", d->height);
    return false;
}

/* Put a complete value (reference taken, also on failure) into the innermost container. */
static bool fill(decoder *d, frame *f, PyObject *value)
{
    int failed;
    switch (f->kind) {
    case TAG_LIST:
        PyList_SET_ITEM(f->container, f->next++, value);
        return true;
    case TAG_TUPLE:
        if (d->height >= f->height)
            f->height = d->height + 1;
        PyTuple_SET_ITEM(f->container, f->next++, value);
        return true;
    case TAG_DICT:
        if (f->key == NULL) {
            f->key = value;
            return hashable_depth(d);
        }
        failed = PyDict_SetItem(f->container, f->key, value);
        Py_CLEAR(f->key);
        break;
    default:
        failed = hashable_depth(d) ? PySet_Add(f->container, value) : -1;
    }
    Py_DECREF(value);
    f->next++;
    return failed == 0;
}

/* The innermost container is complete. */
static PyObject *close_container(decoder *d)
{
    frame *f = &d->frames[--d->depth];
    d->height = f->kind == TAG_TUPLE ? f->height : 0;
    if (f->entry != NO_ENTRY) {
        shared_entry *entry = &d->shared[f->entry];
        entry->height = d->height;
        if (entry->object == NULL)
            entry->object = Py_NewRef(f->container);
    }
    return f->container;
}

/* --- the pass --- */

/* One value that is no container. */
static PyObject *get_scalar(decoder *d, csp_tag tag)
{
    switch (tag) {
    case TAG_NONE: return Py_NewRef(Py_None);
    case TAG_TRUE: return Py_NewRef(Py_True);
    case TAG_FALSE: return Py_NewRef(Py_False);
    case TAG_INT1: case TAG_INT2: case TAG_INT4: case TAG_INT8: return get_int(d, tag);
    case TAG_INT_BIG: return get_big_int(d);
    case TAG_FLOAT: return get_float(d);
    case TAG_COMPLEX: return get_complex(d);
    case TAG_ASCII: return get_str(d, 127, 1);
    case TAG_STR1: return get_str(d, 255, 1);
    case TAG_STR2: return get_str(d, 0xFFFF, 2);
    case TAG_STR4: return get_str(d, 0x10FFFF, 4);
    case TAG_BYTES: return get_bytes(d);
    case TAG_REF: return get_ref(d);
    case TAG_HANDLE: return get_handle(d);
    case TAG_ACTOR: return get_actor(d);
    case TAG_VIEW: return get_view(d);
    case TAG_LETTER: return get_letter(d);
    case TAG_APART: return get_apart(d);
    case TAG_MISSED: return get_missed(d);
    case TAG_NAME: return get_key(d); /* the same object each time is what Python's caches of attributes go by */
    case TAG_SHARE: return get_shared(d);
    case TAG_BUFFER: return get_shared_buffer(d);
    default:
        if (tag >= TAG_SMALL)
            return PyLong_FromLong((long)tag - TAG_SMALL);
        Py_FatalError("csp: decode: not an encoding");
    }
}

/* The next value, complete: or NULL with *p_opened if its items have to come first, or with an exception. */
static inline PyObject *get_value(decoder *d, bool *p_opened)
{
    size_t offset = (size_t)(d->p - d->start);
    unsigned byte = *d->p++;
    csp_tag tag = (csp_tag)(byte & ~(unsigned)TAG_SHARED);
    bool shared = (byte & TAG_SHARED) != 0;
    if (tag >= TAG_TUPLE && tag <= TAG_RECORD)
        return get_container(d, tag, offset, shared, p_opened);
    frame *f = d->depth > 0 ? &d->frames[d->depth - 1] : NULL;
    d->height = 0;
    PyObject *value = tag == TAG_ASCII && f != NULL && f->kind == TAG_DICT && f->key == NULL ? get_key(d) : get_scalar(d, tag);
    if (value != NULL && shared && !share(d, offset, value))
        Py_CLEAR(value);
    return value;
}

static PyObject *read_value(decoder *d)
{
    for (;;) {
        bool opened = false;
        PyObject *value = get_value(d, &opened);
        if (value == NULL) {
            if (opened)
                continue;
            return NULL;
        }
        for (;;) { /* put it where it belongs, and what that completes */
            if (d->depth == 0)
                return value;
            frame *f = &d->frames[d->depth - 1];
            if (!fill(d, f, value))
                return NULL;
            if (f->next < f->length)
                break;
            value = close_container(d);
        }
    }
}

PyObject *csp_flat_decode(csp_state *state, csp_msg *msg, bool keep, const char **p_pickle, size_t *p_length)
{
    decoder d;
    csp_blob *blob = msg->kind == CSP_MSG_BLOB ? msg->as.blob : NULL;
    decoder_init(&d, state, blob != NULL ? blob->data : msg->as.bytes, blob, keep);
    *p_pickle = NULL;
    if (*d.p == TAG_PICKLE) {
        d.p++;
        *p_length = get_size(&d);
        *p_pickle = (const char *)d.p;
        d.p += *p_length;
    }
    PyObject *value = read_value(&d);
    decoder_clear(&d);
    return value;
}
