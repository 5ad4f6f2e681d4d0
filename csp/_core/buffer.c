/* Received memory as Python sees it: the exporter of a csp_block.
 *
 * A Block object holds one reference to a block of RAW memory and exports it, with the format and the shape that the sender's
 * view had.  Python code sees memoryviews of it, and what it builds on them (a numpy array); the block goes back to the pool
 * with the last of them.  Nobody else has the memory by then: decode.c copies a block that somebody shares.
 *
 * Lending memory of one interpreter to another is not done here.
 */
#include "codec.h"

#include "mem.h"

typedef struct {
    PyObject_VAR_HEAD
    csp_block *block;   /* counted */
    char *format;       /* RAW, immutable */
    Py_ssize_t itemsize;
    int ndim;
    bool readonly;
    Py_ssize_t dims[];  /* shape, then strides; immutable */
} block_object;

static PyObject *block_new(csp_state *state, int ndim)
{
    PyTypeObject *type = state->block_type;
    return type->tp_alloc(type, 2 * (Py_ssize_t)ndim);
}

static void block_dealloc(PyObject *op)
{
    block_object *self = (block_object *)op;
    PyTypeObject *type = Py_TYPE(op);
    if (self->block != NULL)
        csp_block_decref(self->block);
    csp_raw_free(self->format);
    type->tp_free(op);
    Py_DECREF(type);
}

static int block_getbuffer(PyObject *op, Py_buffer *view, int flags)
{
    block_object *self = (block_object *)op;
    if ((flags & PyBUF_WRITABLE) == PyBUF_WRITABLE && self->readonly) {
        view->obj = NULL;
        PyErr_SetString(PyExc_BufferError, "the memory is read-only, as the sender's view of it was");
        return -1;
    }
    view->buf = self->block->data;
    view->obj = Py_NewRef(op);
    view->len = (Py_ssize_t)self->block->size;
    view->readonly = self->readonly;
    view->itemsize = self->itemsize;
    view->format = (flags & PyBUF_FORMAT) == PyBUF_FORMAT ? self->format : NULL;
    view->ndim = self->ndim;
    view->shape = (flags & PyBUF_ND) == PyBUF_ND ? self->dims : NULL;
    view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? self->dims + self->ndim : NULL;
    view->suboffsets = NULL;
    view->internal = NULL;
    if (self->ndim == 0) /* one item: no dimension to tell of */
        view->shape = view->strides = NULL;
    else if (view->shape == NULL) { /* a consumer that knows no shape sees bytes */
        view->ndim = 1;
        view->itemsize = 1;
    }
    return 0;
}

PyDoc_STRVAR(block_doc, "Memory that was received: the object that a received memoryview is a view of.\n\n"
                        "Keeps the memory alive; it belongs to this interpreter alone.");

static PyType_Slot block_slots[] = {
    {Py_tp_doc, (void *)block_doc},
    {Py_tp_dealloc, block_dealloc},
    {Py_bf_getbuffer, block_getbuffer},
    {0, NULL},
};

static PyType_Spec block_spec = {
    .name = "csp._core.Block",
    .basicsize = offsetof(block_object, dims),
    .itemsize = sizeof(Py_ssize_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = block_slots,
};

int csp_add_block_type(PyObject *module, csp_state *state)
{
    state->block_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &block_spec, NULL);
    if (state->block_type == NULL || PyModule_AddType(module, state->block_type) < 0)
        return -1;
    return csp_add_reducer(module);
}

csp_block *csp_block_of_view(csp_state *state, PyObject *view)
{
    PyObject *base = PyMemoryView_Check(view) ? PyMemoryView_GET_BASE(view) : NULL;
    return base != NULL && Py_TYPE(base) == state->block_type ? ((block_object *)base)->block : NULL;
}

PyObject *csp_block_view(csp_state *state, csp_block *block, const char *format, size_t format_length, Py_ssize_t itemsize,
                         int ndim, const Py_ssize_t *shape, bool readonly)
{
    block_object *self = (block_object *)block_new(state, ndim);
    if (self == NULL) {
        csp_block_decref(block);
        return NULL;
    }
    self->block = block;
    self->itemsize = itemsize;
    self->ndim = ndim;
    self->readonly = readonly;
    self->format = csp_raw_alloc(format_length + 1);
    if (self->format == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    memcpy(self->format, format, format_length);
    self->format[format_length] = '\0';
    Py_ssize_t stride = itemsize;
    for (int i = ndim; i-- > 0;) {
        self->dims[i] = shape[i];
        self->dims[ndim + i] = stride;
        stride *= shape[i];
    }
    PyObject *view = PyMemoryView_FromObject((PyObject *)self);
    Py_DECREF(self);
    return view;
}
