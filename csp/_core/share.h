/* Memory of one interpreter that others read and write in place: lent, never copied.
 *
 * csp_shared is RAW and counted.  It holds a Py_buffer of its owner's object, which only the owner may release; everybody else uses
 * the memory and the RAW copies of shape, strides and format, and never the object.  A reference is at home (a SharedView in the
 * owner's interpreter) or away (a part of a message, a SharedView elsewhere).  The last one, if away, pushes it on the owner's list
 * `returned`, which the owner empties: at its next csp operation, by a pending call (the main interpreter), or at its end.
 * An interpreter is ended only when nothing of its is away: py_interp.c.
 */
#ifndef CSP_SHARE_H
#define CSP_SHARE_H

#include "move.h"

typedef struct csp_shared {
    _Atomic uint32_t refs;     /* acquire-release in the functions that drop one */
    csp_interp *owner;         /* immutable, counted */
    Py_buffer buffer;          /* buffer.obj is OBJ(owner); released by the owner only */
    struct csp_shared *next;   /* the pusher until it is on the list, then the owner */
    char *format;              /* immutable: in the same allocation, as dims */
    Py_ssize_t itemsize, nbytes; /* immutable */
    void *memory;              /* immutable: of the owner's object */
    int ndim;                  /* immutable */
    bool writable;             /* immutable */
    Py_ssize_t dims[];         /* immutable: shape, then strides */
} csp_shared;

extern const csp_part_ops csp_shared_part; /* part.self is a csp_shared*, a reference that is away */

/* For a part of a message, a reference that is away: false with an exception if the view was released. */
csp_shared *csp_shared_of_view(PyObject *view, bool *p_readonly);
/* The same, for move(): this view is released, until the parcel is back.  NULL with an exception. */
csp_parcel *csp_shared_view_move(PyObject *view, bool *p_readonly);
/* A SharedView on it; takes a new reference. */
PyObject *csp_shared_view(csp_state *state, csp_shared *shared, bool readonly);

/* Attached to the owner: release what came back. */
void csp_take_back_slow(csp_interp *interp);
static inline void csp_take_back(csp_interp *interp)
{
    if (atomic_load_explicit(&interp->returned, memory_order_relaxed) != NULL) /* taken by an exchange that acquires */
        csp_take_back_slow(interp);
}

#endif
