/* From Python objects to the flat encoding (flat.h), for values that are made of exact native types only.
 *
 * The walk runs no Python code and never lets go of the GIL, so the containers it stands in cannot change under it; on a
 * free-threaded build it walks snapshots instead.  At the first object that it does not know it gives up: crossing.c has the
 * whole value pickled then.
 *
 * Writing begins on the C stack; a blob is taken from the pool once that is full or a part has to be held.  The stack of open
 * containers and the table of objects met begin there too, and move to RAW memory.  There is no recursion.
 *
 * encode_view.c writes buffers; decode.c is the other half of both.
 */
#include "encoder.h"

#include "actor.h"
#include "mem.h"
#include "shared_buffer.h"

static void encoder_init(encoder *e, csp_state *state)
{
    e->state = state;
    e->data = e->first;
    e->length = 0;
    e->capacity = FIRST_BYTES;
    e->blob = NULL;
    e->frames = e->first_frames;
    e->depth = 0;
    e->room = FIRST_FRAMES;
    e->seen = NULL;
    e->nseen = 0;
    e->mask = FIRST_SEEN - 1;
    e->final = false;
#ifdef Py_GIL_DISABLED
    e->snapshots = NULL;
#endif
}

/* Give up all but the blob, which the caller has taken or freed. */
static void encoder_clear(encoder *e)
{
    while (e->depth > 0) {
        frame *f = &e->frames[--e->depth];
        if (f->kind == TAG_SET)
            Py_XDECREF(f->pending);
    }
    if (e->frames != e->first_frames)
        csp_raw_free(e->frames);
    if (e->seen != NULL && e->seen != e->first_seen)
        csp_raw_free(e->seen);
#ifdef Py_GIL_DISABLED
    Py_CLEAR(e->snapshots);
#endif
}

/* --- bytes --- */

bool csp_encoder_to_blob(encoder *e, size_t more)
{
    size_t want = e->length + more;
    csp_blob *blob = e->blob == NULL ? csp_blob_new(want) : csp_blob_grow(e->blob, want);
    if (blob == NULL)
        return false;
    if (e->blob == NULL)
        memcpy(blob->data, e->first, e->length);
    e->blob = blob;
    e->data = blob->data;
    e->capacity = blob->capacity;
    return true;
}

/* --- objects met before --- */

static inline size_t seen_slot(PyObject *object, size_t mask)
{
    return (size_t)(((uint64_t)(uintptr_t)object >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 20) & mask;
}

static bool seen_grow(encoder *e)
{
    if (e->seen == NULL) {
        memset(e->first_seen, 0, sizeof e->first_seen);
        e->seen = e->first_seen;
        return true;
    }
    size_t mask = e->mask * 4 + 3;
    seen_entry *table = csp_raw_calloc(mask + 1, sizeof *table);
    if (table == NULL)
        return false;
    for (size_t i = 0; i <= e->mask; i++) {
        if (e->seen[i].object == NULL)
            continue;
        size_t slot = seen_slot(e->seen[i].object, mask);
        while (table[slot].object != NULL)
            slot = (slot + 1) & mask;
        table[slot] = e->seen[i];
    }
    if (e->seen != e->first_seen)
        csp_raw_free(e->seen);
    e->seen = table;
    e->mask = mask;
    return true;
}

int csp_encoder_seen(encoder *e, PyObject *object)
{
    if ((e->seen == NULL || e->nseen * 2 > e->mask) && !seen_grow(e))
        return -1;
    size_t slot = seen_slot(object, e->mask);
    for (; e->seen[slot].object != NULL; slot = (slot + 1) & e->mask) {
        if (e->seen[slot].object != object)
            continue;
        if (!reserve(e, TAG_ROOM))
            return -1;
        e->data[e->seen[slot].offset] |= TAG_SHARED;
        put_byte(e, TAG_REF);
        put_size(e, e->seen[slot].offset);
        return 1;
    }
    e->seen[slot].object = object;
    e->seen[slot].offset = e->length;
    e->nseen++;
    return 0;
}

/* --- scalars --- */

static outcome write_big_int(encoder *e, PyObject *value)
{
    Py_ssize_t n = PyLong_AsNativeBytes(value, NULL, 0, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
    if (n < 0)
        return FAILED;
    if (!reserve(e, TAG_ROOM + (size_t)n))
        return no_memory();
    put_byte(e, TAG_INT_BIG);
    put_size(e, (size_t)n);
    if (PyLong_AsNativeBytes(value, e->data + e->length, n, Py_ASNATIVEBYTES_LITTLE_ENDIAN) < 0)
        return FAILED;
    e->length += (size_t)n;
    return WRITTEN;
}

static outcome write_int(encoder *e, PyObject *value)
{
    int64_t v;
    if (PyUnstable_Long_IsCompact((PyLongObject *)value))
        v = PyUnstable_Long_CompactValue((PyLongObject *)value);
    else {
        int overflow;
        v = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow)
            return write_big_int(e, value);
    }
    if (!reserve(e, TAG_ROOM))
        return no_memory();
    if (v >= 0 && v < 64)
        put_byte(e, TAG_SMALL + (unsigned)v);
    else if (v >= INT8_MIN && v <= INT8_MAX) {
        put_byte(e, TAG_INT1);
        put_byte(e, (unsigned char)(int8_t)v);
    }
    else if (v >= INT16_MIN && v <= INT16_MAX) {
        int16_t narrow = (int16_t)v;
        put_byte(e, TAG_INT2);
        put_bytes(e, &narrow, sizeof narrow);
    }
    else if (v >= INT32_MIN && v <= INT32_MAX) {
        int32_t narrow = (int32_t)v;
        put_byte(e, TAG_INT4);
        put_bytes(e, &narrow, sizeof narrow);
    }
    else {
        put_byte(e, TAG_INT8);
        put_bytes(e, &v, sizeof v);
    }
    return WRITTEN;
}

static inline outcome write_fixed(encoder *e, csp_tag tag, const void *bytes, size_t n)
{
    if (!reserve(e, TAG_ROOM))
        return no_memory();
    put_byte(e, tag);
    put_bytes(e, bytes, n);
    return WRITTEN;
}

static inline outcome write_tag(encoder *e, csp_tag tag)
{
    if (!reserve(e, TAG_ROOM))
        return no_memory();
    put_byte(e, tag);
    return WRITTEN;
}

/* Without a look whether it came before. */
static outcome write_text(encoder *e, PyObject *value)
{
    Py_ssize_t n = PyUnicode_GET_LENGTH(value);
    int kind = (int)PyUnicode_KIND(value);
    size_t bytes = (size_t)n * (size_t)kind;
    if (!reserve(e, TAG_ROOM + bytes))
        return no_memory();
    put_byte(e, PyUnicode_IS_ASCII(value) ? TAG_ASCII : kind == 1 ? TAG_STR1 : kind == 2 ? TAG_STR2 : TAG_STR4);
    put_size(e, (size_t)n);
    put_bytes(e, PyUnicode_DATA(value), bytes);
    return WRITTEN;
}

static outcome write_str(encoder *e, PyObject *value)
{
    if (PyUnicode_GET_LENGTH(value) > 1 || PyUnicode_KIND(value) > 1) /* the others are one object an interpreter anyway */
        RETURN_IF_SEEN(e, value);
    return write_text(e, value);
}

static outcome write_bytes(encoder *e, PyObject *value)
{
    size_t n = (size_t)PyBytes_GET_SIZE(value);
    if (n > 1)
        RETURN_IF_SEEN(e, value);
    if (!reserve(e, TAG_ROOM + n))
        return no_memory();
    put_byte(e, TAG_BYTES);
    put_size(e, n);
    put_bytes(e, PyBytes_AS_STRING(value), n);
    return WRITTEN;
}

/* --- containers --- */

static bool frames_grow(encoder *e)
{
    size_t room = e->room * 2;
    bool on_stack = e->frames == e->first_frames;
    frame *frames = csp_raw_realloc(on_stack ? NULL : e->frames, room * sizeof *frames);
    if (frames == NULL)
        return false;
    if (on_stack)
        memcpy(frames, e->first_frames, sizeof e->first_frames);
    e->frames = frames;
    e->room = room;
    return true;
}

#ifdef Py_GIL_DISABLED
/* A copy that no other thread can change, kept to the end.  Borrowed. */
static PyObject *snapshot(encoder *e, csp_tag kind, PyObject *container)
{
    PyObject *copy;
    if (e->snapshots == NULL && (e->snapshots = PyList_New(0)) == NULL)
        return NULL;
    if (kind == TAG_LIST)
        copy = PyList_GetSlice(container, 0, PY_SSIZE_T_MAX);
    else if (kind == TAG_DICT)
        copy = PyDict_Copy(container);
    else if (kind == TAG_SET)
        copy = PySet_New(container);
    else
        return container; /* immutable */
    if (copy == NULL)
        return NULL;
    int failed = PyList_Append(e->snapshots, copy);
    Py_DECREF(copy);
    return failed ? NULL : copy;
}
#endif

static Py_ssize_t container_length(csp_tag kind, PyObject *container)
{
    switch (kind) {
    case TAG_LIST: return PyList_GET_SIZE(container);
    case TAG_DICT: return PyDict_GET_SIZE(container);
    case TAG_SET: case TAG_FROZENSET: return PySet_GET_SIZE(container);
    default: return PyTuple_GET_SIZE(container);
    }
}

/* Write the head of a container; if it has items, they come next.  `code` is for TAG_RECORD only. */
static outcome open_container(encoder *e, csp_tag kind, PyObject *container, int code)
{
    RETURN_IF_SEEN(e, container);
#ifdef Py_GIL_DISABLED
    if ((container = snapshot(e, kind, container)) == NULL)
        return FAILED;
#endif
    Py_ssize_t length = container_length(kind, container);
    if (!reserve(e, TAG_ROOM) || (e->depth == e->room && !frames_grow(e)))
        return no_memory();
    put_byte(e, kind);
    if (kind == TAG_RECORD)
        put_byte(e, (unsigned)code);
    put_size(e, (size_t)length);
    if (length == 0)
        return WRITTEN;
    frame *f = &e->frames[e->depth];
    f->container = container;
    f->pending = NULL;
    f->next = 0;
    f->length = length;
    f->kind = kind == TAG_RECORD ? TAG_TUPLE : kind == TAG_FROZENSET ? TAG_SET : kind;
    if (f->kind == TAG_SET && (f->pending = PyObject_GetIter(container)) == NULL)
        return FAILED;
    e->depth++;
    return OPENED;
}

/* --- parts: what an encoding can only refer to --- */

outcome csp_encoder_part(encoder *e, csp_tag tag, const csp_part_ops *ops, void *self, size_t extra)
{
    uint32_t index;
    if (!reserve(e, TAG_ROOM) || (e->blob == NULL && !csp_encoder_to_blob(e, TAG_ROOM)) ||
        !csp_blob_add_part(e->blob, ops, self, extra, &index)) {
        if (ops->unsend != NULL)
            ops->unsend(self);
        ops->release(self);
        return no_memory();
    }
    put_byte(e, tag);
    put_size(e, index);
    return WRITTEN;
}

/* A handle is used by sending it: one that this side has given up cannot be sent, as it can do nothing else. A Channel that was
 * closed can, since whoever gets it can still drain it. */
static outcome write_handle(encoder *e, PyObject *object)
{
    csp_end *end = ((csp_handle *)object)->end;
    csp_status wrong = CSP_OK;
    if (end->fork_generation != atomic_load_explicit(&csp_fork_generation, memory_order_relaxed)) /* changes only in fork */
        wrong = CSP_FORKED;
    else if (end->dir != (CSP_SEND | CSP_RECV) &&
             atomic_load_explicit(&end->closed, memory_order_relaxed)) /* a close that races with us may come later as well */
        wrong = CSP_CLOSED_HANDLE;
    if (wrong != CSP_OK) {
        e->final = true;
        csp_raise(e->state, wrong, (csp_dir)end->dir, end->chan, object, -1);
        return FAILED;
    }
    if (end->chan->local) {
        csp_raise_format(e->state, CSP_E_NotShareable, "a handle of a local channel cannot leave its interpreter");
        return FAILED;
    }
    RETURN_IF_SEEN(e, object);
    csp_end *in_flight = csp_end_new(end->chan, end->dir, NULL);
    return in_flight == NULL ? no_memory() : csp_encoder_part(e, TAG_HANDLE, &csp_end_part, in_flight, end->dir);
}

static outcome write_actor(encoder *e, PyObject *object)
{
    csp_actor *actor = csp_ref_actor(object);
    if (actor->fork_generation != atomic_load_explicit(&csp_fork_generation, memory_order_relaxed)) { /* as above */
        e->final = true;
        csp_raise_format(e->state, CSP_E_ForkedError, "a reference to an actor was inherited through a fork");
        return FAILED;
    }
    RETURN_IF_SEEN(e, object);
    csp_actor_incref(actor);
    return csp_encoder_part(e, TAG_ACTOR, &csp_actor_part, actor, 0);
}

/* --- the walk --- */

static outcome write_uncommon(encoder *e, PyObject *object)
{
    csp_state *state = e->state;
    PyTypeObject *type = Py_TYPE(object);
    if (csp_is_handle(state, object) || csp_is_sync(object))
        return write_handle(e, object);
    if (type == &PyMemoryView_Type)
        return csp_encoder_memoryview(e, object);
    if (type == state->shared_view_type)
        return csp_encoder_shared(e, object);
    if (type == state->moved_type)
        return csp_encoder_moved(e, object);
    if (csp_is_shared_buffer(state, object))
        return csp_encoder_shared_buffer(e, object);
    if (type == &PyPickleBuffer_Type)
        return csp_encoder_pickle_buffer(e, object);
    if (PyTuple_Check(object))
        for (int code = 0; code < CSP_NRECORDS; code++)
            if (type == state->record_types[code] && code != CSP_PICKLED)
                return open_container(e, TAG_RECORD, object, code);
    if (state->ref_type != NULL && PyObject_TypeCheck(object, state->ref_type))
        return write_actor(e, object);
    return FOREIGN;
}

static outcome write_object(encoder *e, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if (type == &PyUnicode_Type)
        return write_str(e, object);
    if (type == &PyLong_Type)
        return write_int(e, object);
    if (type == &PyFloat_Type)
        return write_fixed(e, TAG_FLOAT, &((PyFloatObject *)object)->ob_fval, sizeof(double));
    if (type == &PyDict_Type)
        return open_container(e, TAG_DICT, object, 0);
    if (type == &PyList_Type)
        return open_container(e, TAG_LIST, object, 0);
    if (type == &PyTuple_Type)
        return open_container(e, TAG_TUPLE, object, 0);
    if (type == &PyBool_Type)
        return write_tag(e, object == Py_True ? TAG_TRUE : TAG_FALSE);
    if (object == Py_None)
        return write_tag(e, TAG_NONE);
    if (type == &PyBytes_Type)
        return write_bytes(e, object);
    if (type == &PySet_Type)
        return open_container(e, TAG_SET, object, 0);
    if (type == &PyFrozenSet_Type)
        return open_container(e, TAG_FROZENSET, object, 0);
    if (type == &PyComplex_Type) {
        RETURN_IF_SEEN(e, object);
        return write_fixed(e, TAG_COMPLEX, &((PyComplexObject *)object)->cval, sizeof(Py_complex));
    }
    return write_uncommon(e, object);
}

/* Each of these writes items of the innermost container until one opens another, or fails; when it is through, it leaves
 * WRITTEN.  A frame may move when one is opened, so it is not touched after that. */
static outcome walk_sequence(encoder *e, frame *f)
{
    outcome r = WRITTEN;
    PyObject *container = f->container;
    while (r == WRITTEN && f->next < f->length) {
        Py_ssize_t i = f->next++;
        r = write_object(e, f->kind == TAG_LIST ? PyList_GET_ITEM(container, i) : PyTuple_GET_ITEM(container, i));
    }
    return r;
}

static outcome walk_dict(encoder *e, frame *f)
{
    outcome r = WRITTEN;
    PyObject *key, *value;
    for (;;) {
        if ((value = f->pending) != NULL) {
            f->pending = NULL;
            if ((r = write_object(e, value)) != WRITTEN)
                return r;
        }
        if (!PyDict_Next(f->container, &f->next, &key, &f->pending))
            return WRITTEN;
        if ((r = write_object(e, key)) != WRITTEN)
            return r;
    }
}

static outcome walk_set(encoder *e, frame *f)
{
    outcome r = WRITTEN;
    while (r == WRITTEN) {
        PyObject *item = PyIter_Next(f->pending);
        if (item == NULL) {
            if (PyErr_Occurred())
                return FAILED;
            Py_CLEAR(f->pending);
            break;
        }
        r = write_object(e, item);
        Py_DECREF(item); /* the set still has it */
    }
    return r;
}

static outcome write_value(encoder *e, PyObject *value)
{
    outcome r = write_object(e, value);
    while (r <= OPENED && e->depth > 0) {
        frame *f = &e->frames[e->depth - 1];
        r = f->kind == TAG_DICT ? walk_dict(e, f) : f->kind == TAG_SET ? walk_set(e, f) : walk_sequence(e, f);
        if (r == WRITTEN)
            e->depth--;
    }
    return r;
}

/* --- messages --- */

/* What is no content of the encoding: its first tag and size; of a view alone, all that tells its shape. */
static size_t head_of(const unsigned char *data, size_t length)
{
    csp_tag tag = (csp_tag)(data[0] & ~(unsigned)TAG_SHARED);
    if (tag == TAG_VIEW)
        return length;
    if ((tag >= TAG_ASCII && tag <= TAG_DICT) || tag == TAG_PICKLE)
        return data[1] < 254 ? CSP_MSG_HEAD : data[1] == 254 ? 1 + 5 : 1 + 9;
    return 0;
}

/* Move what was written into the message. */
static outcome finish(encoder *e, csp_msg *msg)
{
    if (e->blob == NULL && e->length <= CSP_MSG_INLINE) {
        msg->kind = CSP_MSG_SHORT;
        msg->length = (uint8_t)e->length;
        memcpy(msg->as.bytes, e->first, e->length);
        return WRITTEN;
    }
    if (e->blob == NULL && !csp_encoder_to_blob(e, 0))
        return no_memory();
    e->blob->length = e->length;
    csp_blob_weigh(e->blob, head_of(e->data, e->length));
    msg->kind = CSP_MSG_BLOB;
    msg->as.blob = e->blob;
    e->blob = NULL;
    return WRITTEN;
}

static void encoder_end(encoder *e)
{
    if (e->blob != NULL)
        csp_blob_unsend(e->blob);
    encoder_clear(e);
}

/* The head of a pickled message; the list of what travels beside the pickle comes next, as a value. */
static outcome write_pickle(encoder *e, PyObject *pickle)
{
    size_t n = (size_t)PyBytes_GET_SIZE(pickle);
    if (!reserve(e, TAG_ROOM + n))
        return no_memory();
    put_byte(e, TAG_PICKLE);
    put_size(e, n);
    put_bytes(e, PyBytes_AS_STRING(pickle), n);
    return WRITTEN;
}

int csp_flat_encode(csp_state *state, PyObject *pickle, PyObject *value, csp_msg *msg, bool *p_final)
{
    encoder e;
    encoder_init(&e, state);
    outcome r = pickle == NULL ? WRITTEN : write_pickle(&e, pickle);
    if (r == WRITTEN)
        r = write_value(&e, value);
    if (r == WRITTEN)
        r = finish(&e, msg);
    encoder_end(&e);
    *p_final = e.final;
    return r == WRITTEN ? 0 : r == FOREIGN ? 1 : -1;
}

/* --- requests --- */

/* Does one argument come twice that has only one reference?  The caller's stack may lend them (from CPython 3.14 on), and
 * seen_before goes by references. */
static bool lent_twice(const csp_request *request, Py_ssize_t n)
{
    for (Py_ssize_t i = 1; i < n; i++)
        for (Py_ssize_t j = 0; Py_REFCNT(request->args[i]) == 1 && j < i; j++)
            if (request->args[j] == request->args[i])
                return true;
    return false;
}

static outcome write_arguments(encoder *e, const csp_request *request)
{
    outcome r = WRITTEN;
    Py_ssize_t named = request->names == NULL ? 0 : PyTuple_GET_SIZE(request->names);
    if (lent_twice(request, request->nargs + named))
        return FOREIGN;
    put_byte(e, TAG_TUPLE);
    put_size(e, (size_t)request->nargs);
    for (Py_ssize_t i = 0; r == WRITTEN && i < request->nargs; i++)
        r = write_value(e, request->args[i]);
    if (r != WRITTEN)
        return r;
    if (!reserve(e, TAG_ROOM))
        return no_memory();
    put_byte(e, TAG_DICT);
    put_size(e, (size_t)named);
    for (Py_ssize_t i = 0; r == WRITTEN && i < named; i++) {
        r = write_text(e, PyTuple_GET_ITEM(request->names, i));
        if (r == WRITTEN)
            r = write_value(e, request->args[request->nargs + i]);
    }
    return r;
}

static outcome write_reply(encoder *e, csp_chan *reply)
{
    if (reply == NULL)
        return write_tag(e, TAG_NONE);
    csp_end *in_flight = csp_end_new(reply, CSP_SEND, NULL);
    return in_flight == NULL ? no_memory() : csp_encoder_part(e, TAG_HANDLE, &csp_end_part, in_flight, CSP_SEND);
}

/* As csp_flat_encode would write the Request, but for the tuple, the dict and the handle that nobody has to make then. */
int csp_encode_request(csp_state *state, const csp_request *request, csp_msg *msg)
{
    encoder e;
    encoder_init(&e, state);
    put_byte(&e, TAG_RECORD); /* on the C stack there is room for this */
    put_byte(&e, CSP_REQUEST);
    put_size(&e, 4);
    size_t method = e.length;
    outcome r = write_text(&e, request->method);
    if (r == WRITTEN && e.data[method] == TAG_ASCII)
        e.data[method] = TAG_NAME;
    if (r == WRITTEN)
        r = reserve(&e, TAG_ROOM) ? write_arguments(&e, request) : no_memory();
    if (r == WRITTEN)
        r = write_reply(&e, request->reply);
    if (r == WRITTEN)
        r = finish(&e, msg);
    encoder_end(&e);
    return r == WRITTEN ? 0 : r == FOREIGN ? 1 : -1;
}
