/* share() and SharedView: share.h tells who owns what. */
#include "share.h"

#include "codec.h"
#include "mem.h"

/* --- the count --- */

static void release_buffer(csp_shared *shared) /* attached to the owner */
{
    PyObject *error = PyErr_GetRaisedException(); /* an exporter may run code */
    PyBuffer_Release(&shared->buffer);
    PyErr_SetRaisedException(error);
}

static void shared_free(csp_shared *shared)
{
    csp_interp_decref(shared->owner);
    csp_raw_free(shared);
}

static bool drop_ref(csp_shared *shared)
{
    /* Release our use of the memory to, and acquire that of, whoever drops the last one. */
    return atomic_fetch_sub_explicit(&shared->refs, 1, memory_order_acq_rel) == 1;
}

void csp_take_back_slow(csp_interp *interp)
{
    csp_shared *shared = atomic_exchange_explicit(&interp->returned, NULL, memory_order_acquire); /* release in push */
    while (shared != NULL) {
        csp_shared *next = shared->next;
        release_buffer(shared);
        shared_free(shared);
        shared = next;
    }
}

static int pending_call(void *arg) /* in the main thread, attached */
{
    csp_interp *interp = arg;
    csp_take_back(interp);
    csp_interp_decref(interp);
    return 0;
}

static void push(csp_interp *owner, csp_shared *shared)
{
    csp_shared *head = atomic_load_explicit(&owner->returned, memory_order_relaxed); /* the exchange checks it */
    do
        shared->next = head;
    while (!atomic_compare_exchange_weak_explicit(&owner->returned, &head, shared, memory_order_release, memory_order_relaxed));
    if (!owner->is_main || head != NULL) /* one call empties the list */
        return;
    csp_interp_incref(owner);
    if (Py_AddPendingCall(pending_call, owner) < 0)
        csp_interp_decref(owner); /* there are too many: its next operation does it */
}

static void away_incref(csp_shared *shared)
{
    atomic_fetch_add_explicit(&shared->owner->away, 1, memory_order_relaxed); /* the caller has a reference */
    atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);        /* likewise */
}

/* No thread state needed. */
static void away_decref(csp_shared *shared)
{
    csp_interp *owner = shared->owner;
    csp_interp_incref(owner); /* the last reference on `shared` may take the owner's along */
    if (drop_ref(shared)) {
        if (atomic_load_explicit(&owner->orphaned, memory_order_acquire)) /* release in py_interp.c: the process is ending */
            shared_free(shared);
        else
            push(owner, shared);
    }
    atomic_fetch_sub_explicit(&owner->away, 1, memory_order_release); /* acquire in py_interp.c: it finds what was pushed */
    csp_interp_decref(owner);
}

static void home_decref(csp_shared *shared) /* attached to the owner */
{
    if (drop_ref(shared)) {
        release_buffer(shared);
        shared_free(shared);
    }
}

static void part_release(void *self) { away_decref(self); }

static void *part_clone(void *self)
{
    away_incref(self);
    return self;
}

const csp_part_ops csp_shared_part = {"shared memory", part_release, part_clone, NULL};

/* --- the view --- */

typedef struct {
    PyObject_HEAD
    csp_shared *shared; /* counted, at home or away; NULL once released or moved */
    csp_shared *pinned; /* likewise: kept from then on to the end of the object, if it has exported a buffer: region.h says why */
    csp_parcel *parcel; /* counted, or NULL: what has become of it, which was moved; guarded by the GIL, or the object's lock */
    bool home;          /* immutable */
    bool readonly;      /* immutable */
    bool exported;      /* it has exported a buffer */
    Py_ssize_t exports; /* Py_buffers out: not to be released meanwhile */
    PyObject *weakrefs;
} view_object;

static view_object *view_alloc(csp_state *state, csp_shared *shared, bool home, bool readonly)
{
    PyTypeObject *type = state->shared_view_type;
    view_object *self = (view_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->shared = shared;
    self->home = home;
    self->readonly = readonly;
    return self;
}

PyObject *csp_shared_view(csp_state *state, csp_shared *shared, bool readonly)
{
    bool home = shared->owner == state->interp;
    view_object *self = view_alloc(state, NULL, home, readonly);
    if (self == NULL)
        return NULL;
    if (home)
        atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed); /* the caller has one: nothing to order */
    else
        away_incref(shared);
    self->shared = shared;
    return (PyObject *)self;
}

static void drop(view_object *self, csp_shared *shared)
{
    if (shared == NULL)
        return;
    if (self->home)
        home_decref(shared);
    else
        away_decref(shared);
}

/* It is not to be used any more. */
static void view_drop(view_object *self)
{
    csp_shared *shared = self->shared;
    self->shared = NULL;
    if (self->exported && self->pinned == NULL)
        self->pinned = shared;
    else
        drop(self, shared);
}

static void view_dealloc(PyObject *op)
{
    view_object *self = (view_object *)op;
    PyTypeObject *type = Py_TYPE(op);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(op);
    drop(self, self->shared);
    drop(self, self->pinned);
    if (self->parcel != NULL)
        csp_parcel_decref(self->parcel);
    type->tp_free(op);
    Py_DECREF(type);
}

/* It was moved, and the value was not sent: the reference in flight, which is away, is ours again. */
static void take_up(view_object *self)
{
    Py_BEGIN_CRITICAL_SECTION(self);
    csp_shared *shared = self->parcel == NULL ? NULL : csp_parcel_take_up(self->parcel);
    if (shared != NULL) {
        if (self->home) {
            atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed); /* we have one */
            away_decref(shared);
        }
        self->shared = shared;
        csp_parcel_decref(self->parcel);
        self->parcel = NULL;
    }
    Py_END_CRITICAL_SECTION();
}

static csp_shared *view_shared(PyObject *op) /* borrowed */
{
    if (((view_object *)op)->parcel != NULL)
        take_up((view_object *)op);
    csp_shared *shared = ((view_object *)op)->shared;
    if (shared == NULL)
        PyErr_SetString(PyExc_ValueError, "the SharedView was released");
    return shared;
}

csp_shared *csp_shared_of_view(PyObject *op, bool *p_readonly)
{
    csp_shared *shared = view_shared(op);
    if (shared == NULL)
        return NULL;
    if (atomic_load_explicit(&shared->owner->lends_no_more, memory_order_relaxed) && ((view_object *)op)->home) { /* its own thread set it */
        PyErr_SetString(PyExc_ValueError, "memory of an actor that ends cannot leave with its result: send it through a channel before");
        return NULL;
    }
    away_incref(shared);
    *p_readonly = ((view_object *)op)->readonly;
    return shared;
}

csp_parcel *csp_shared_view_move(PyObject *op, bool *p_readonly)
{
    view_object *self = (view_object *)op;
    csp_parcel *parcel = csp_parcel_again(self->parcel);
    if (parcel != NULL) {
        *p_readonly = self->readonly;
        return parcel;
    }
    csp_shared *shared = csp_shared_of_view(op, p_readonly);
    if (shared == NULL)
        return NULL;
    if (self->exports > 0) {
        PyErr_Format(PyExc_BufferError, "a SharedView with %zd exported buffer%s cannot be moved: they could still be used here", self->exports,
                     self->exports == 1 ? "" : "s");
        away_decref(shared);
        return NULL;
    }
    parcel = csp_parcel_new(&csp_shared_part, shared);
    if (parcel != NULL) {
        view_drop(self);
        self->parcel = parcel;
    }
    return parcel;
}

static bool is_contiguous(const csp_shared *shared, bool fortran)
{
    Py_buffer view = {.buf = shared->memory, .len = shared->nbytes, .itemsize = shared->itemsize, .ndim = shared->ndim,
                      .shape = (Py_ssize_t *)shared->dims, .strides = (Py_ssize_t *)shared->dims + shared->ndim};
    return PyBuffer_IsContiguous(&view, fortran ? 'F' : 'C');
}

static const char *refuse_export(const view_object *self, int flags)
{
    const csp_shared *shared = self->shared;
    if ((flags & PyBUF_WRITABLE) == PyBUF_WRITABLE && self->readonly)
        return "the memory is shared read-only: share(..., writable=True) would let it be written";
    bool c = is_contiguous(shared, false), fortran = is_contiguous(shared, true);
    if ((flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS && !c)
        return "the shared memory is not C-contiguous";
    if ((flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS && !fortran)
        return "the shared memory is not Fortran-contiguous";
    if ((flags & PyBUF_ANY_CONTIGUOUS) == PyBUF_ANY_CONTIGUOUS && !c && !fortran)
        return "the shared memory is not contiguous";
    if ((flags & PyBUF_STRIDES) != PyBUF_STRIDES && !c)
        return "the shared memory is not C-contiguous";
    return NULL;
}

static int view_getbuffer(PyObject *op, Py_buffer *view, int flags)
{
    view_object *self = (view_object *)op;
    view->obj = NULL;
    csp_shared *shared = view_shared(op);
    const char *refused = shared == NULL ? NULL : refuse_export(self, flags);
    if (refused != NULL)
        PyErr_SetString(PyExc_BufferError, refused);
    if (shared == NULL || refused != NULL)
        return -1;
    view->buf = shared->memory;
    view->obj = Py_NewRef(op);
    view->len = shared->nbytes;
    view->readonly = self->readonly;
    view->itemsize = shared->itemsize;
    view->format = (flags & PyBUF_FORMAT) == PyBUF_FORMAT ? shared->format : NULL;
    view->ndim = shared->ndim;
    view->shape = (flags & PyBUF_ND) == PyBUF_ND ? shared->dims : NULL;
    view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? shared->dims + shared->ndim : NULL;
    view->suboffsets = NULL;
    view->internal = NULL;
    if (shared->ndim == 0)
        view->shape = view->strides = NULL;
    else if (view->shape == NULL) { /* a consumer that knows no shape sees bytes */
        view->ndim = 1;
        view->itemsize = 1;
    }
    self->exported = true;
    self->exports++;
    return 0;
}

static void view_releasebuffer(PyObject *op, Py_buffer *view) { ((view_object *)op)->exports--; }

static PyObject *view_release(PyObject *op, PyObject *unused)
{
    view_object *self = (view_object *)op;
    if (self->exports > 0)
        return PyErr_Format(PyExc_BufferError, "the SharedView has %zd exported buffer%s", self->exports, self->exports == 1 ? "" : "s");
    if (self->parcel != NULL)
        take_up(self);
    view_drop(self);
    if (self->parcel != NULL) /* moved away: it does not come back then */
        csp_parcel_decref(self->parcel);
    self->parcel = NULL;
    Py_RETURN_NONE;
}

static PyObject *view_enter(PyObject *op, PyObject *unused) { return view_shared(op) == NULL ? NULL : Py_NewRef(op); }
static PyObject *view_exit(PyObject *op, PyObject *args) { return view_release(op, NULL); }

static PyObject *dims_tuple(const Py_ssize_t *dims, int ndim)
{
    PyObject *tuple = PyTuple_New(ndim);
    for (int i = 0; tuple != NULL && i < ndim; i++) {
        PyObject *n = PyLong_FromSsize_t(dims[i]);
        if (n == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, i, n);
    }
    return tuple;
}

typedef enum { GET_SHAPE, GET_STRIDES, GET_FORMAT, GET_ITEMSIZE, GET_NDIM, GET_NBYTES, GET_READONLY } getter_of;

static PyObject *view_get(PyObject *op, void *which)
{
    csp_shared *shared = view_shared(op);
    if (shared == NULL)
        return NULL;
    switch ((getter_of)(uintptr_t)which) {
    case GET_SHAPE: return dims_tuple(shared->dims, shared->ndim);
    case GET_STRIDES: return dims_tuple(shared->dims + shared->ndim, shared->ndim);
    case GET_FORMAT: return PyUnicode_FromString(shared->format);
    case GET_ITEMSIZE: return PyLong_FromSsize_t(shared->itemsize);
    case GET_NDIM: return PyLong_FromLong(shared->ndim);
    case GET_NBYTES: return PyLong_FromSsize_t(shared->nbytes);
    default: return PyBool_FromLong(((view_object *)op)->readonly);
    }
}

static Py_ssize_t view_length(PyObject *op)
{
    csp_shared *shared = view_shared(op);
    if (shared != NULL && shared->ndim == 0)
        PyErr_SetString(PyExc_TypeError, "a SharedView of no dimension has no length");
    return shared == NULL || shared->ndim == 0 ? -1 : shared->dims[0];
}

static PyObject *view_repr(PyObject *op)
{
    if (((view_object *)op)->parcel != NULL)
        take_up((view_object *)op);
    csp_shared *shared = ((view_object *)op)->shared;
    if (shared == NULL)
        return PyUnicode_FromString("<csp.SharedView released>");
    PyObject *shape = dims_tuple(shared->dims, shared->ndim);
    PyObject *text = shape == NULL ? NULL : PyUnicode_FromFormat("<csp.SharedView format='%s' shape=%R %s>", shared->format, shape,
                                                                 ((view_object *)op)->readonly ? "read-only" : "writable");
    Py_XDECREF(shape);
    return text;
}

/* --- share() --- */

/* Items that are pointers to Python objects: names of fields stand between colons. */
static bool holds_objects(const char *format)
{
    bool name = false;
    for (; *format != '\0'; format++) {
        if (*format == ':')
            name = !name;
        else if (!name && (*format == 'O' || *format == 'P' || *format == '&'))
            return true;
    }
    return false;
}

/* What an exporter said wrong, or of memory that cannot be shared; NULL: fine. */
static const char *refuse_buffer(const Py_buffer *b)
{
    if (b->ndim < 0 || b->ndim > PyBUF_MAX_NDIM || b->len < 0 || b->itemsize < 0 || (b->ndim > 1 && b->shape == NULL))
        return "the object exports a malformed buffer";
    if (b->suboffsets != NULL)
        for (int i = 0; i < b->ndim; i++)
            if (b->suboffsets[i] >= 0)
                return "memory with suboffsets cannot be shared";
    if (b->format != NULL && holds_objects(b->format))
        return "items that are pointers mean nothing in another interpreter";
    return NULL;
}

static void copy_shape(csp_shared *shared, const Py_buffer *b)
{
    Py_ssize_t stride = shared->itemsize;
    for (int i = b->ndim; i-- > 0;) {
        shared->dims[i] = b->shape != NULL ? b->shape[i] : b->itemsize > 0 ? b->len / b->itemsize : 0;
        shared->dims[b->ndim + i] = b->strides != NULL ? b->strides[i] : stride;
        stride *= shared->dims[i];
    }
}

static csp_shared *lend(csp_state *state, PyObject *object, bool writable)
{
    Py_buffer b;
    if (PyObject_GetBuffer(object, &b, writable ? PyBUF_FULL : PyBUF_FULL_RO) < 0)
        return NULL;
    const char *refused = refuse_buffer(&b);
    const char *format = b.format != NULL ? b.format : "B";
    size_t dims = refused != NULL ? 0 : 2 * (size_t)b.ndim * sizeof(Py_ssize_t);
    csp_shared *shared = refused != NULL ? NULL : csp_raw_alloc(offsetof(csp_shared, dims) + dims + strlen(format) + 1);
    if (shared == NULL) {
        PyBuffer_Release(&b);
        if (refused != NULL)
            PyErr_SetString(PyExc_BufferError, refused);
        else
            PyErr_NoMemory();
        return NULL;
    }
    atomic_init(&shared->refs, 1);
    shared->owner = state->interp;
    csp_interp_incref(shared->owner);
    shared->next = NULL;
    shared->format = strcpy((char *)shared->dims + dims, format);
    shared->itemsize = b.itemsize;
    shared->nbytes = b.len;
    shared->memory = b.buf;
    shared->ndim = b.ndim;
    shared->writable = writable;
    copy_shape(shared, &b);
    shared->buffer = b;
    if (b.shape == &b.len) /* as PyBuffer_FillInfo leaves it: within itself */
        shared->buffer.shape = &shared->buffer.len;
    if (b.strides == &b.itemsize)
        shared->buffer.strides = &shared->buffer.itemsize;
    return shared;
}

static PyObject *share_again(csp_state *state, PyObject *object, bool writable)
{
    csp_shared *shared = view_shared(object);
    if (shared == NULL)
        return NULL;
    if (writable && ((view_object *)object)->readonly) {
        PyErr_SetString(PyExc_BufferError, "the memory is shared read-only");
        return NULL;
    }
    return csp_shared_view(state, shared, !writable);
}

/* What exports the object's buffer: itself; or for one that speaks DLPack only, an array of numpy, which reads all versions of it. */
static PyObject *exporter_of(PyObject *object)
{
    int speaks = PyObject_CheckBuffer(object) ? 0 : PyObject_HasAttrStringWithError(object, "__dlpack__");
    if (speaks <= 0)
        return speaks < 0 ? NULL : Py_NewRef(object);
    PyObject *numpy = PyImport_ImportModule("numpy");
    if (numpy == NULL) {
        if (PyErr_ExceptionMatches(PyExc_ImportError))
            PyErr_Format(PyExc_TypeError, "%.100s exports no buffer but speaks DLPack, which takes numpy, and that does not import here", Py_TYPE(object)->tp_name);
        return NULL;
    }
    PyObject *array = PyObject_CallMethod(numpy, "from_dlpack", "O", object);
    Py_DECREF(numpy);
    return array;
}

static PyObject *py_share(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "writable", NULL};
    csp_state *state = csp_state_of_module(module);
    PyObject *object;
    int writable = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$p:share", names, &object, &writable))
        return NULL;
    csp_take_back(state->interp);
    if (Py_TYPE(object) == state->shared_view_type)
        return share_again(state, object, writable);
    PyObject *exporter = exporter_of(object);
    csp_shared *shared = exporter == NULL ? NULL : lend(state, exporter, writable);
    Py_XDECREF(exporter);
    if (shared == NULL)
        return NULL;
    PyObject *view = (PyObject *)view_alloc(state, shared, true, !writable);
    if (view == NULL)
        home_decref(shared);
    return view;
}

PyDoc_STRVAR(view_doc,
             "Memory that share() lends: read and written in place, in every interpreter that received it.\n\n"
             "Itself an exporter: memoryview(view) and numpy.asarray(view) cost nothing.  Sent on, it is the same memory again.  The\n"
             "memory lives as long as any view of it, whatever becomes of the object and of the interpreter that owned it.");
PyDoc_STRVAR(share_doc,
             "share($module, obj, /, *, writable=False)\n--\n\n"
             "Lend the memory of any object that exports a buffer, or speaks DLPack; no copy is made, now or later.\n\n"
             "The SharedView that it returns may be sent, also inside a larger value: the receiver gets a SharedView on the same memory,\n"
             "with its shape, strides and format, and writes to it only with `writable`.  Nothing orders these accesses but the\n"
             "messages that you send.  Until the last view is gone the object counts as exported: a bytearray cannot be resized.\n\n"
             "TypeError: no buffer is exported, nor DLPack spoken.  BufferError: read-only, but writable was asked; suboffsets; items that are pointers.\n\n"
             "    view = csp.share(array, writable=True)\n"
             "    ch.send({\"rows\": view})");

static PyMethodDef view_methods[] = {
    {"release", view_release, METH_NOARGS,
     PyDoc_STR("release($self, /)\n--\n\nGive the memory up; idempotent.  BufferError while buffers of this view are in use.  If one ever was, the\n"
               "memory is kept until this object is gone: numpy.ndarray(buffer=...) uses memory of a buffer that it has given back.")},
    {"__enter__", view_enter, METH_NOARGS, NULL},
    {"__exit__", view_exit, METH_VARARGS, NULL},
    {NULL},
};

#define GETTER(name, which, doc) {name, view_get, NULL, PyDoc_STR(doc), (void *)(uintptr_t)which}
static PyGetSetDef view_getters[] = {
    GETTER("shape", GET_SHAPE, "The length of each dimension."),
    GETTER("strides", GET_STRIDES, "The bytes from one item to the next, in each dimension."),
    GETTER("format", GET_FORMAT, "The format of an item, as struct and PEP 3118 have it."),
    GETTER("itemsize", GET_ITEMSIZE, "Bytes of an item."),
    GETTER("ndim", GET_NDIM, "The number of dimensions."),
    GETTER("nbytes", GET_NBYTES, "Bytes of all items."),
    GETTER("readonly", GET_READONLY, "It cannot be written through this view."),
    {NULL},
};

static PyMemberDef view_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(view_object, weakrefs), Py_READONLY, NULL},
    {NULL},
};

static PyType_Slot view_slots[] = {
    {Py_tp_doc, (void *)view_doc},        {Py_tp_dealloc, view_dealloc},
    {Py_tp_repr, view_repr},              {Py_tp_methods, view_methods},
    {Py_tp_getset, view_getters},         {Py_tp_members, view_members},
    {Py_sq_length, view_length},          {Py_bf_getbuffer, view_getbuffer},
    {Py_bf_releasebuffer, view_releasebuffer}, {0, NULL},
};

static PyType_Spec view_spec = {
    .name = "csp.SharedView",
    .basicsize = sizeof(view_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = view_slots,
};

int csp_add_share_type(PyObject *module, csp_state *state)
{
    state->shared_view_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &view_spec, NULL);
    return state->shared_view_type == NULL ? -1 : PyModule_AddType(module, state->shared_view_type);
}

PyMethodDef csp_share_functions[] = {
    {"share", _PyCFunction_CAST(py_share), METH_VARARGS | METH_KEYWORDS, share_doc},
    {NULL},
};
