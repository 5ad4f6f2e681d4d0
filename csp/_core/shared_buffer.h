/* SharedBuffer: handles to memory of no interpreter (region.h), as Python sees them. */
#ifndef CSP_SHARED_BUFFER_H
#define CSP_SHARED_BUFFER_H

#include "move.h"

/* What of the memory a handle is about. */
typedef struct {
    Py_ssize_t offset, nbytes;
    bool readonly;
} csp_extent;

bool csp_is_shared_buffer(csp_state *state, PyObject *object);

/* A handle in flight to the memory of this one, to be freed by the caller.  NULL with ClosedHandle, ForkedError or MemoryError set. */
csp_end *csp_shared_buffer_end(PyObject *object, csp_extent *p_extent);

/* The same, for move(): this handle is closed, until the parcel is back.  NotShareable: a buffer of it is in use. */
csp_parcel *csp_shared_buffer_move(PyObject *object, csp_extent *p_extent);

/* A new SharedBuffer on the memory that `end` is about; `end` stays the caller's. */
PyObject *csp_shared_buffer_new(csp_state *state, csp_end *end, const csp_extent *extent);

#endif
