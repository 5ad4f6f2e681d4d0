/* Encoding of buffers: the memory in a block of its own, as a part, and in the encoding what tells its shape.  decode.c is the other
 * half. */
#include "encoder.h"

#include "move.h"
#include "share.h"
#include "shared_buffer.h"

/* --- items that do not lie side by side --- */

#define COPY_ITEMS(size)                            \
    for (Py_ssize_t i = 0; i < n; i++)              \
        memcpy(to + i * (size), from + i * stride, (size))

/* PyBuffer_ToContiguous asks for each item anew where it is: ten times the cost of a loop over a row. */
static void copy_row(unsigned char *to, const unsigned char *from, Py_ssize_t n, Py_ssize_t stride, Py_ssize_t itemsize)
{
    switch (stride == itemsize ? 0 : itemsize) {
    case 0: memcpy(to, from, (size_t)(n * itemsize)); break;
    case 1: COPY_ITEMS(1); break;
    case 2: COPY_ITEMS(2); break;
    case 4: COPY_ITEMS(4); break;
    case 8: COPY_ITEMS(8); break;
    case 16: COPY_ITEMS(16); break;
    default: COPY_ITEMS((size_t)itemsize);
    }
}

/* In C order, all from dimension `dim` on; returns where it ended.  As deep as the view has dimensions, 64 at most. */
static unsigned char *copy_strided(unsigned char *to, const unsigned char *from, const Py_buffer *view, int dim)
{
    Py_ssize_t n = view->shape[dim], stride = view->strides[dim];
    if (dim == view->ndim - 1) {
        copy_row(to, from, n, stride, view->itemsize);
        return to + n * view->itemsize;
    }
    for (Py_ssize_t i = 0; i < n; i++)
        to = copy_strided(to, from + i * stride, view, dim + 1);
    return to;
}

static int copy_view(unsigned char *to, const Py_buffer *view, char order)
{
    if (order != 'C' || view->ndim == 0 || view->len == 0 || view->strides == NULL || view->suboffsets != NULL || PyBuffer_IsContiguous(view, 'C'))
        return PyBuffer_ToContiguous(to, view, view->len, order);
    copy_strided(to, view->buf, view, 0);
    return 0;
}

/* --- buffers --- */

/* The memory in `block`, which is taken over; what tells its shape follows the tag. */
static outcome write_block(encoder *e, const Py_buffer *view, csp_block *block)
{
    size_t format = strlen(view->format);
    outcome r = csp_encoder_part(e, TAG_VIEW, &csp_block_part, block, 0);
    if (r != WRITTEN)
        return r;
    if (!reserve(e, TAG_ROOM + format + (size_t)view->ndim * 9))
        return no_memory();
    put_byte(e, view->readonly ? VIEW_READONLY : 0);
    put_size(e, (size_t)view->itemsize);
    put_size(e, format);
    put_bytes(e, view->format, format);
    put_byte(e, (unsigned)view->ndim);
    for (int i = 0; i < view->ndim; i++)
        put_size(e, (size_t)view->shape[i]);
    return WRITTEN;
}

/* The copy of a buffer. */
static outcome write_view(encoder *e, const Py_buffer *view, char order)
{
    csp_block *block = csp_block_new((size_t)view->len);
    if (block == NULL)
        return no_memory();
    if (copy_view(block->data, view, order) < 0) {
        csp_block_decref(block);
        return FAILED;
    }
    return write_block(e, view, block);
}

/* The block that the memoryview is a view of, all of it, if it may go on as it is, borrowed: whoever passes on does not write. */
static csp_block *passed_block(encoder *e, PyObject *object, const Py_buffer *view)
{
    csp_block *block = csp_passes_on ? csp_block_of_view(e->state, object) : NULL;
    bool whole = block != NULL && csp_block_is_laid(block) && view->buf == block->data && view->len == (Py_ssize_t)block->size &&
                 PyBuffer_IsContiguous(view, 'C');
    return whole ? block : NULL;
}

outcome csp_encoder_memoryview(encoder *e, PyObject *object)
{
    RETURN_IF_SEEN(e, object);
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_FULL_RO) < 0)
        return FAILED;
    csp_block *passed = passed_block(e, object, &view);
    if (passed != NULL)
        csp_block_incref(passed);
    outcome r = passed != NULL ? write_block(e, &view, passed) : write_view(e, &view, 'C');
    PyBuffer_Release(&view);
    return r;
}

static outcome write_shared(encoder *e, const csp_part_ops *ops, void *self, bool readonly)
{
    outcome r = csp_encoder_part(e, TAG_SHARE, ops, self, 0);
    if (r != WRITTEN)
        return r;
    if (!reserve(e, TAG_ROOM))
        return no_memory();
    put_byte(e, readonly ? VIEW_READONLY : 0);
    return WRITTEN;
}

outcome csp_encoder_shared(encoder *e, PyObject *object)
{
    bool readonly;
    RETURN_IF_SEEN(e, object);
    csp_shared *shared = csp_shared_of_view(object, &readonly);
    return shared == NULL ? FAILED : write_shared(e, &csp_shared_part, shared, readonly);
}

static outcome write_shared_buffer(encoder *e, const csp_part_ops *ops, void *self, const csp_extent *extent)
{
    outcome r = csp_encoder_part(e, TAG_BUFFER, ops, self, 0);
    if (r != WRITTEN)
        return r;
    if (!reserve(e, TAG_ROOM))
        return no_memory();
    put_byte(e, extent->readonly ? VIEW_READONLY : 0);
    put_size(e, (size_t)extent->offset);
    put_size(e, (size_t)extent->nbytes);
    return WRITTEN;
}

/* The exception that is set, if the handle itself was used wrongly, is raised as it is. */
static outcome handle_failed(encoder *e)
{
    e->final = !PyErr_ExceptionMatches(e->state->errors[CSP_E_NotShareable]);
    return FAILED;
}

outcome csp_encoder_shared_buffer(encoder *e, PyObject *object)
{
    csp_extent extent;
    RETURN_IF_SEEN(e, object);
    csp_end *in_flight = csp_shared_buffer_end(object, &extent);
    return in_flight == NULL ? handle_failed(e) : write_shared_buffer(e, &csp_end_part, in_flight, &extent);
}

outcome csp_encoder_moved(encoder *e, PyObject *object)
{
    PyObject *source = csp_moved_source(e->state, object);
    RETURN_IF_SEEN(e, object);
    if (csp_is_shared_buffer(e->state, source)) {
        csp_extent extent;
        csp_parcel *parcel = csp_shared_buffer_move(source, &extent);
        return parcel == NULL ? handle_failed(e) : write_shared_buffer(e, &csp_parcel_part, parcel, &extent);
    }
    bool readonly;
    csp_parcel *parcel = csp_shared_view_move(source, &readonly);
    return parcel == NULL ? FAILED : write_shared(e, &csp_parcel_part, parcel, readonly);
}

outcome csp_encoder_pickle_buffer(encoder *e, PyObject *object)
{
    RETURN_IF_SEEN(e, object);
    const Py_buffer *buffer = PyPickleBuffer_GetBuffer(object);
    if (buffer == NULL)
        return FAILED;
    if (!PyBuffer_IsContiguous(buffer, 'A')) {
        PyErr_SetString(PyExc_BufferError, "a PickleBuffer over memory that is not contiguous cannot cross");
        return FAILED;
    }
    Py_ssize_t length = buffer->len;
    Py_buffer raw = *buffer;
    raw.format = "B";
    raw.itemsize = 1;
    raw.ndim = 1;
    raw.shape = &length;
    raw.strides = NULL;
    raw.suboffsets = NULL;
    return write_view(e, &raw, 'C');
}
