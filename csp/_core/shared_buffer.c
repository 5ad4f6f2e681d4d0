/* SharedBuffer: a handle to memory of no interpreter, and an exporter of it.
 *
 * The handle is a channel end of the region's channel (region.h), so it is counted, closed with its owner and foreign after a
 * fork as other handles are.  What lies here is the window that it has on the memory, and the buffer protocol.
 *
 * A handle that has exported a buffer keeps the memory until its object is gone, closed or not: region.h says why.
 */
#include "shared_buffer.h"

#include <structmember.h>

#include "codec.h"
#include "region.h"

typedef struct {
    csp_handle handle;          /* first: its layout is that of all handles */
    csp_extent extent;          /* immutable */
    csp_parcel *parcel;         /* counted, or NULL: what has become of its handle, which was moved; guarded by the GIL, or the object's lock */
    _Atomic bool pinned;        /* guarded as `exports`: it has exported a buffer */
    _Atomic Py_ssize_t exports; /* buffers out through this handle; relaxed: the GIL orders it, or (free-threaded) only a courtesy does */
} buffer_object;

static inline buffer_object *buffer_of(PyObject *object) { return (buffer_object *)object; }
static inline csp_end *end_of(PyObject *object) { return ((csp_handle *)object)->end; }
static inline csp_chan *chan_of(PyObject *object) { return end_of(object)->chan; }

bool csp_is_shared_buffer(csp_state *state, PyObject *object) { return Py_TYPE(object) == state->shared_buffer_type; }

/* --- birth and death --- */

/* Takes over `end`, also on failure; it may be NULL for want of memory. */
static PyObject *buffer_alloc(csp_state *state, csp_end *end, const csp_extent *extent)
{
    PyTypeObject *type = state->shared_buffer_type;
    buffer_object *self = end == NULL ? (buffer_object *)PyErr_NoMemory() : (buffer_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        if (end != NULL)
            csp_end_free(end);
        return NULL;
    }
    self->handle.end = end;
    self->handle.state = state;
    self->extent = *extent;
    atomic_init(&self->pinned, false);
    atomic_init(&self->exports, 0);
    return (PyObject *)self;
}

PyObject *csp_shared_buffer_new(csp_state *state, csp_end *end, const csp_extent *extent)
{
    return buffer_alloc(state, csp_end_new(end->chan, CSP_SEND | CSP_RECV, csp_record_here(state)), extent);
}

static PyObject *buffer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "zeroed", "mapped", "huge", NULL};
    csp_state *state = csp_state_of_type(type);
    Py_ssize_t nbytes;
    int zeroed = 1, huge = 0;
    PyObject *mapped = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n|$pOp:SharedBuffer", names, &nbytes, &zeroed, &mapped, &huge))
        return NULL;
    int want = mapped == Py_None ? huge : PyObject_IsTrue(mapped);
    if (want < 0)
        return NULL;
    if (nbytes < 0 || (huge && !want))
        return PyErr_Format(PyExc_ValueError, nbytes < 0 ? "nbytes must not be negative, not %zd" : "huge pages are mapped: huge=True needs them", nbytes);
    csp_placement placement = huge ? CSP_HUGE : mapped == Py_None ? CSP_BY_SIZE : want ? CSP_MAPPED : CSP_UNMAPPED;
    csp_region *region;
    Py_BEGIN_ALLOW_THREADS /* zeroing may take a while */
    region = csp_region_new((size_t)nbytes, zeroed, placement);
    Py_END_ALLOW_THREADS
    csp_chan *chan = region == NULL ? NULL : csp_region_chan_new(region);
    csp_note_origin(chan);
    if (chan == NULL)
        return PyErr_NoMemory();
    csp_end *end = csp_end_new(chan, CSP_SEND | CSP_RECV, csp_record_here(state));
    csp_chan_decref(chan);
    return buffer_alloc(state, end, &(csp_extent){0, nbytes, false});
}

static bool is_forked(PyObject *op) /* relaxed: it changes only while the process has one thread */
{
    return end_of(op)->fork_generation != atomic_load_explicit(&csp_fork_generation, memory_order_relaxed);
}

static void buffer_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    if (((csp_handle *)op)->weakrefs != NULL)
        PyObject_ClearWeakRefs(op);
    if (end_of(op) != NULL) {
        if (atomic_load_explicit(&buffer_of(op)->pinned, memory_order_relaxed) && !is_forked(op)) /* nobody else is here */
            csp_region_unpin(chan_of(op));
        csp_end_free(end_of(op));
    }
    if (buffer_of(op)->parcel != NULL)
        csp_parcel_decref(buffer_of(op)->parcel);
    type->tp_free(op);
    Py_DECREF(type);
}

/* --- may it be used? --- */

/* It was moved, and the value was not sent: the handle in flight is ours again.  Without memory for one of our own it is so later. */
static void take_up(PyObject *op)
{
    buffer_object *self = buffer_of(op);
    Py_BEGIN_CRITICAL_SECTION(op);
    if (self->parcel != NULL && csp_parcel_is_back(self->parcel)) {
        csp_end *end = csp_end_new(chan_of(op), CSP_SEND | CSP_RECV, csp_record_here(self->handle.state)), *old = end_of(op);
        if (end != NULL) {
            csp_end *in_flight = csp_parcel_take_up(self->parcel);
            self->handle.end = end;
            csp_end_free(in_flight);
            csp_end_free(old);
            csp_parcel_decref(self->parcel);
            self->parcel = NULL;
        }
    }
    Py_END_CRITICAL_SECTION();
}

static bool is_closed(PyObject *op) /* relaxed: a close that races with us may come later as well; csp_region_export looks under the lock */
{
    if (buffer_of(op)->parcel != NULL && !is_forked(op))
        take_up(op);
    return atomic_load_explicit(&end_of(op)->closed, memory_order_relaxed);
}

/* NULL, with the exception that a use of the handle raises. */
static PyObject *refuse(PyObject *op)
{
    csp_state *state = ((csp_handle *)op)->state;
    csp_status status = CSP_CLOSED_HANDLE;
    if (is_forked(op))
        status = CSP_FORKED;
    else if (atomic_load_explicit(&csp_record_here(state)->cancel, memory_order_relaxed) == CSP_FENCED) /* for good */
        status = CSP_KILLED;
    else if (buffer_of(op)->parcel != NULL) {
        csp_raise_format(state, CSP_E_ClosedHandle, "use of SharedBuffer %llu: this handle was moved to whoever receives it", (unsigned long long)chan_of(op)->id);
        return csp_annotate(state, op, -1);
    }
    return csp_raise(state, status, CSP_RECV, chan_of(op), op, -1);
}

static bool usable(PyObject *op)
{
    if (!is_forked(op) && !is_closed(op))
        return true;
    refuse(op);
    return false;
}

csp_end *csp_shared_buffer_end(PyObject *op, csp_extent *p_extent)
{
    if (!usable(op))
        return NULL;
    *p_extent = buffer_of(op)->extent;
    csp_end *end = csp_end_new(chan_of(op), CSP_SEND | CSP_RECV, NULL);
    if (end == NULL)
        PyErr_NoMemory();
    return end;
}

static Py_ssize_t exports_of(PyObject *op) { return atomic_load_explicit(&buffer_of(op)->exports, memory_order_relaxed); /* see the field */ }

csp_parcel *csp_shared_buffer_move(PyObject *op, csp_extent *p_extent)
{
    csp_state *state = ((csp_handle *)op)->state;
    Py_ssize_t exports = exports_of(op);
    csp_parcel *parcel = csp_parcel_again(buffer_of(op)->parcel);
    if (parcel != NULL) {
        *p_extent = buffer_of(op)->extent;
        return parcel;
    }
    csp_end *in_flight = csp_shared_buffer_end(op, p_extent);
    if (in_flight == NULL)
        return NULL;
    if (exports > 0) {
        csp_end_free(in_flight);
        csp_raise_format(state, CSP_E_NotShareable, "a SharedBuffer with %zd exported buffer%s cannot be moved: they could still be used here",
                         exports, exports == 1 ? "" : "s");
        return NULL;
    }
    parcel = csp_parcel_new(&csp_end_part, in_flight);
    if (parcel == NULL)
        return NULL;
    buffer_of(op)->parcel = parcel;
    csp_effects fx;
    csp_effects_init(&fx);
    csp_end_close(end_of(op), &fx);
    csp_effects_run(&fx);
    return parcel;
}

/* --- the buffer protocol --- */

static int buffer_getbuffer(PyObject *op, Py_buffer *view, int flags)
{
    const csp_extent *extent = &buffer_of(op)->extent;
    bool pinned = atomic_exchange_explicit(&buffer_of(op)->pinned, true, memory_order_relaxed); /* see the field */
    csp_region *region = is_forked(op) || is_closed(op) ? NULL : csp_region_export(end_of(op), !pinned);
    if (region == NULL) {
        atomic_store_explicit(&buffer_of(op)->pinned, pinned, memory_order_relaxed);
        view->obj = NULL;
        refuse(op);
        return -1;
    }
    if (PyBuffer_FillInfo(view, op, region->data + extent->offset, extent->nbytes, extent->readonly, flags) < 0) {
        csp_region_unexport(chan_of(op));
        return -1;
    }
    atomic_fetch_add_explicit(&buffer_of(op)->exports, 1, memory_order_relaxed); /* see the field */
    return 0;
}

static void buffer_releasebuffer(PyObject *op, Py_buffer *view)
{
    atomic_fetch_sub_explicit(&buffer_of(op)->exports, 1, memory_order_relaxed); /* see the field */
    if (!is_forked(op))
        csp_region_unexport(chan_of(op));
}

static Py_ssize_t buffer_length(PyObject *op) { return usable(op) ? buffer_of(op)->extent.nbytes : -1; }

/* What memoryview(op)[key] is, or does with a value.  The memoryview is not to get out: it is no export, so that an index leaves no pin. */
static PyObject *through_view(PyObject *op, PyObject *key, PyObject *value)
{
    const csp_extent *extent = &buffer_of(op)->extent;
    csp_region *region = is_forked(op) || is_closed(op) ? NULL : csp_region_export(end_of(op), true);
    if (region == NULL)
        return refuse(op);
    Py_buffer raw;
    PyObject *view = NULL, *result = NULL;
    if (PyBuffer_FillInfo(&raw, NULL, region->data + extent->offset, extent->nbytes, extent->readonly, PyBUF_FULL_RO) == 0)
        view = PyMemoryView_FromBuffer(&raw);
    if (view != NULL && value == NULL)
        result = PyObject_GetItem(view, key);
    else if (view != NULL && PyObject_SetItem(view, key, value) == 0)
        result = Py_NewRef(Py_None);
    Py_XDECREF(view);
    csp_region_unexport(chan_of(op));
    csp_region_unpin(chan_of(op));
    return result;
}

static PyObject *buffer_part(PyObject *op, PyObject *slice)
{
    csp_extent part = buffer_of(op)->extent;
    Py_ssize_t start, stop, step;
    if (!usable(op) || PySlice_Unpack(slice, &start, &stop, &step) < 0)
        return NULL;
    if (step != 1)
        return PyErr_Format(PyExc_ValueError, "a part of a SharedBuffer has no gaps: take memoryview(buffer)[...] for a step of %zd", step);
    part.nbytes = PySlice_AdjustIndices(part.nbytes, &start, &stop, step);
    part.offset += start;
    return csp_shared_buffer_new(((csp_handle *)op)->state, end_of(op), &part);
}

static bool is_key(PyObject *key)
{
    if (PyIndex_Check(key) || PySlice_Check(key))
        return true;
    PyErr_Format(PyExc_TypeError, "an index of a SharedBuffer is an int or a slice, not %.100s", Py_TYPE(key)->tp_name);
    return false;
}

static PyObject *buffer_subscript(PyObject *op, PyObject *key)
{
    if (!is_key(key))
        return NULL;
    return PySlice_Check(key) ? buffer_part(op, key) : through_view(op, key, NULL);
}

static int buffer_assign(PyObject *op, PyObject *key, PyObject *value)
{
    if (value == NULL)
        PyErr_SetString(PyExc_TypeError, "bytes of a SharedBuffer cannot be deleted");
    PyObject *done = value == NULL || !is_key(key) ? NULL : through_view(op, key, value);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* --- handles --- */

static PyObject *buffer_close(PyObject *op, PyObject *unused)
{
    Py_ssize_t exports = exports_of(op);
    if (is_forked(op))
        return refuse(op);
    if (is_closed(op)) { /* moved away, say: it does not come back then */
        csp_parcel *parcel = buffer_of(op)->parcel;
        buffer_of(op)->parcel = NULL;
        if (parcel != NULL)
            csp_parcel_decref(parcel);
        Py_RETURN_NONE;
    }
    if (exports > 0)
        return PyErr_Format(PyExc_BufferError, "the SharedBuffer has %zd exported buffer%s", exports, exports == 1 ? "" : "s");
    csp_effects fx;
    csp_effects_init(&fx);
    csp_end_close(end_of(op), &fx);
    csp_effects_run(&fx);
    Py_RETURN_NONE;
}

static PyObject *buffer_enter(PyObject *op, PyObject *unused) { return usable(op) ? Py_NewRef(op) : NULL; }
static PyObject *buffer_exit(PyObject *op, PyObject *args) { return buffer_close(op, NULL); }

static PyObject *buffer_clone(PyObject *op, PyObject *unused)
{
    return usable(op) ? csp_shared_buffer_new(((csp_handle *)op)->state, end_of(op), &buffer_of(op)->extent) : NULL;
}

static PyObject *buffer_toreadonly(PyObject *op, PyObject *unused)
{
    csp_extent extent = buffer_of(op)->extent;
    extent.readonly = true;
    return usable(op) ? csp_shared_buffer_new(((csp_handle *)op)->state, end_of(op), &extent) : NULL;
}

static PyObject *buffer_reduce(PyObject *op, PyObject *unused)
{
    return csp_raise_format(((csp_handle *)op)->state, CSP_E_NotShareable,
                            "a SharedBuffer crosses only inside a value sent through a channel, it cannot be pickled or copied");
}

/* --- numpy --- */

/* How many items numpy.frombuffer is to take, as a new int: -1, all, without a shape or if it leaves one length open. */
static PyObject *count_items(PyObject *shape)
{
    if (shape == Py_None)
        return PyLong_FromLong(-1);
    if (PyIndex_Check(shape))
        return PyNumber_Index(shape);
    PyObject *math = PyImport_ImportModule("math");
    PyObject *count = math == NULL ? NULL : PyObject_CallMethod(math, "prod", "(O)", shape);
    Py_XDECREF(math);
    if (count != NULL && PyLong_Check(count) && PyLong_AsLongLong(count) < 0 && !PyErr_Occurred())
        Py_SETREF(count, PyLong_FromLong(-1));
    return count;
}

static PyObject *buffer_to_numpy(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"dtype", "shape", NULL};
    PyObject *dtype = NULL, *shape = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:to_numpy", names, &dtype, &shape))
        return NULL;
    PyObject *numpy = usable(op) ? PyImport_ImportModule("numpy") : NULL;
    PyObject *count = numpy == NULL ? NULL : count_items(shape), *array = NULL;
    if (count != NULL) /* which keeps a buffer as long as the array lives, and numpy.ndarray(buffer=...) does not */
        array = dtype == NULL ? PyObject_CallMethod(numpy, "frombuffer", "OsO", op, "u1", count)
                              : PyObject_CallMethod(numpy, "frombuffer", "OOO", op, dtype, count);
    if (array != NULL && shape != Py_None)
        Py_SETREF(array, PyObject_CallMethod(array, "reshape", "(O)", shape));
    Py_XDECREF(count);
    Py_XDECREF(numpy);
    return array;
}

/* --- looking --- */

static PyObject *buffer_statistics(PyObject *op, PyObject *unused)
{
    static const char *const backings[] = {"heap", "file", "pages", "hugetlb"};
    csp_state *state = ((csp_handle *)op)->state;
    if (is_forked(op))
        return refuse(op);
    PyObject *record = PyStructSequence_New(state->buffer_statistics_type);
    if (record == NULL)
        return NULL;
    csp_chan_lock(chan_of(op));
    const csp_region *region = chan_of(op)->primitive->region;
    Py_ssize_t nbytes = region == NULL ? 0 : (Py_ssize_t)region->size, exports = region == NULL ? 0 : (Py_ssize_t)region->exports;
    const char *backing = region == NULL ? NULL : backings[region->backing];
    uint32_t handles = chan_of(op)->receivers;
    csp_chan_unlock(chan_of(op));
    PyObject *values[] = {PyLong_FromSsize_t(nbytes), PyLong_FromUnsignedLong(handles), PyLong_FromSsize_t(exports),
                          backing == NULL ? Py_NewRef(Py_None) : PyUnicode_FromString(backing)};
    bool whole = true;
    for (Py_ssize_t i = 0; i < 4; i++) {
        whole = whole && values[i] != NULL;
        PyStructSequence_SetItem(record, i, values[i]);
    }
    if (!whole)
        Py_CLEAR(record);
    return record;
}

static PyObject *get_nbytes(PyObject *op, void *unused) { return PyLong_FromSsize_t(buffer_of(op)->extent.nbytes); }
static PyObject *get_readonly(PyObject *op, void *unused) { return PyBool_FromLong(buffer_of(op)->extent.readonly); }
static PyObject *get_closed(PyObject *op, void *unused) { return PyBool_FromLong(is_closed(op)); }
static PyObject *get_id(PyObject *op, void *unused) { return PyLong_FromUnsignedLongLong(chan_of(op)->id); }

static PyObject *buffer_repr(PyObject *op)
{
    const csp_extent *extent = &buffer_of(op)->extent;
    return PyUnicode_FromFormat("<csp.SharedBuffer %llu nbytes=%zd offset=%zd%s%s>", (unsigned long long)chan_of(op)->id, extent->nbytes,
                                extent->offset, extent->readonly ? " read-only" : "",
                                is_forked(op) ? " of a parent process" : is_closed(op) ? " closed" : "");
}

static Py_hash_t buffer_hash(PyObject *op)
{
    const csp_extent *extent = &buffer_of(op)->extent;
    uint64_t where = (chan_of(op)->id * 31 + (uint64_t)extent->offset) * 31 + (uint64_t)extent->nbytes;
    Py_hash_t hash = (Py_hash_t)(where * 0x9E3779B97F4A7C15ull >> 1);
    return hash == -1 ? -2 : hash;
}

static PyObject *buffer_compare(PyObject *a, PyObject *b, int op)
{
    if ((op != Py_EQ && op != Py_NE) || Py_TYPE(a) != Py_TYPE(b))
        Py_RETURN_NOTIMPLEMENTED;
    const csp_extent *x = &buffer_of(a)->extent, *y = &buffer_of(b)->extent;
    bool same = chan_of(a) == chan_of(b) && x->offset == y->offset && x->nbytes == y->nbytes;
    return PyBool_FromLong(same == (op == Py_EQ));
}

/* For the process of an actor, which maps it. */
static PyObject *buffer_file(PyObject *module, PyObject *op)
{
    if (!csp_is_shared_buffer(csp_state_of_module(module), op))
        return PyErr_Format(PyExc_TypeError, "a SharedBuffer, not %.100s", Py_TYPE(op)->tp_name);
    csp_region *region = is_forked(op) || is_closed(op) ? NULL : csp_region_export(end_of(op), true); /* it stays while we look */
    if (region == NULL)
        return refuse(op);
    Py_ssize_t mapped = (Py_ssize_t)region->mapped;
    bool filed = region->fd >= 0;
    PyObject *file = filed ? csp_descriptor_of(csp_state_of_module(module), region->fd) : NULL;
    csp_region_unexport(chan_of(op));
    csp_region_unpin(chan_of(op));
    if (!filed)
        Py_RETURN_NONE;
    return file == NULL ? NULL : Py_BuildValue("(Nnn)", file, mapped, buffer_of(op)->extent.offset);
}

PyMethodDef csp_shared_buffer_functions[] = {
    {"buffer_file", buffer_file, METH_O,
     PyDoc_STR("buffer_file(buffer, /) -> (Descriptor, its bytes, offset of the buffer in it), or None: it is in no file")},
    {NULL},
};

/* --- the type --- */

PyDoc_STRVAR(buffer_doc,
             "SharedBuffer(nbytes, /, *, zeroed=True, mapped=None, huge=False)\n--\n\n"
             "Memory that belongs to no interpreter, and a handle to it: a writable buffer of bytes.\n\n"
             "Sent, also inside a larger value, it arrives as a new handle to the same memory; no byte is copied.  The memory is freed with\n"
             "the last handle or the last buffer that somebody took of one (memoryview, numpy), whoever made it.  Nothing orders reads and\n"
             "writes but the messages that you send.\n\n"
             "`buffer[a:b]` is a handle to a part; an index reads and assigns as in a memoryview.  zeroed=False leaves whatever is in the\n"
             "memory.  It is mapped from 1 MiB on, or as `mapped` says: pages of its own in a memory file (a descriptor each), and 256 MiB\n"
             "of those that are freed are kept warm for the next.  huge=True prefers large pages to a file.  Never blocks.\n\n"
             "Raises ValueError (nbytes < 0), MemoryError.\n\n"
             "    buffer = csp.SharedBuffer(8 * 1000)\n"
             "    rows = buffer.to_numpy('f8', (10, 100))       # or memoryview(buffer).cast('d')\n"
             "    ch.send({'rows': buffer})");
PyDoc_STRVAR(close_doc,
             "close($self, /)\n--\n\n"
             "Give this handle up; idempotent.  Any further use of it is ClosedHandle; other handles stay.\n\n"
             "BufferError while buffers taken through this handle are in use.  If one ever was, the memory is kept until this object is gone:\n"
             "numpy.ndarray(buffer=...) uses memory of a buffer that it has given back.");
PyDoc_STRVAR(to_numpy_doc,
             "to_numpy($self, /, dtype='u1', shape=None)\n--\n\n"
             "A NumPy array on this memory, read-only if the handle is.  Without a shape: of one dimension.\n\n"
             "Keeps the memory, and stands in the way of close(), until the array is gone.  Raises ImportError (no NumPy here: it does not\n"
             "load in a subinterpreter), ValueError (bytes are left over, or too few, or items would be objects).");

static PyMethodDef buffer_methods[] = {
    {"close", buffer_close, METH_NOARGS, close_doc},
    {"release", buffer_close, METH_NOARGS, PyDoc_STR("release($self, /)\n--\n\nThe same as close(), by the name that a memoryview has for it.")},
    {"clone", buffer_clone, METH_NOARGS, PyDoc_STR("clone($self, /)\n--\n\nAnother counted handle to the same memory.")},
    {"toreadonly", buffer_toreadonly, METH_NOARGS,
     PyDoc_STR("toreadonly($self, /)\n--\n\nA handle to the same memory through which nobody can write, here or wherever it is sent.")},
    {"to_numpy", _PyCFunction_CAST(buffer_to_numpy), METH_VARARGS | METH_KEYWORDS, to_numpy_doc},
    {"statistics", buffer_statistics, METH_NOARGS,
     PyDoc_STR("statistics($self, /)\n--\n\nThe figures of the memory now, as an immutable record: nbytes, handles, exports, backing.")},
    {"__enter__", buffer_enter, METH_NOARGS, PyDoc_STR("__enter__($self, /)\n--\n\nThe handle itself, which is closed on leaving the block.")},
    {"__exit__", buffer_exit, METH_VARARGS, PyDoc_STR("__exit__($self, /, *exc)\n--\n\nClose the handle.")},
    {"__reduce__", buffer_reduce, METH_NOARGS, PyDoc_STR("__reduce__($self, /)\n--\n\nRefuse: it crosses only inside a value sent through a channel.")},
    {NULL},
};

static PyGetSetDef buffer_getters[] = {
    {"nbytes", get_nbytes, NULL, PyDoc_STR("Bytes that this handle is about.")},
    {"readonly", get_readonly, NULL, PyDoc_STR("It cannot be written through this handle.")},
    {"closed", get_closed, NULL, PyDoc_STR("True if this handle was closed.")},
    {"id", get_id, NULL, PyDoc_STR("The memory's number, unique in the process.")},
    {NULL},
};

static PyMemberDef buffer_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(csp_handle, weakrefs), Py_READONLY},
    {NULL},
};

static PyType_Slot buffer_slots[] = {
    {Py_tp_doc, (void *)buffer_doc},      {Py_tp_new, buffer_new},
    {Py_tp_dealloc, buffer_dealloc},      {Py_tp_repr, buffer_repr},
    {Py_tp_methods, buffer_methods},      {Py_tp_getset, buffer_getters},
    {Py_tp_members, buffer_members},      {Py_tp_hash, buffer_hash},
    {Py_tp_richcompare, buffer_compare},  {Py_mp_length, buffer_length},
    {Py_mp_subscript, buffer_subscript},  {Py_mp_ass_subscript, buffer_assign},
    {Py_bf_getbuffer, buffer_getbuffer},  {Py_bf_releasebuffer, buffer_releasebuffer},
    {0, NULL},
};

static PyType_Spec buffer_spec = {"csp.SharedBuffer", sizeof(buffer_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, buffer_slots};

static PyStructSequence_Field statistics_fields[] = {
    {"nbytes", "bytes of the whole memory; 0 once it is freed"},
    {"handles", "open handles, over all interpreters and messages"},
    {"exports", "buffers in use (memoryviews, arrays), over all interpreters"},
    {"backing", "'heap', 'file' (a memory file), 'pages' or 'hugetlb'; None once it is freed"},
    {NULL},
};
static PyStructSequence_Desc statistics_desc = {"csp.BufferStatistics", "The figures of a SharedBuffer's memory at one moment.",
                                                statistics_fields, 4};

int csp_add_shared_buffer_type(PyObject *module, csp_state *state)
{
    state->shared_buffer_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &buffer_spec, NULL);
    state->buffer_statistics_type = PyStructSequence_NewType(&statistics_desc);
    if (state->shared_buffer_type == NULL || state->buffer_statistics_type == NULL ||
        PyModule_AddType(module, state->shared_buffer_type) < 0)
        return -1;
    return PyModule_AddType(module, state->buffer_statistics_type);
}
