/* A channel from its arguments. */
#ifndef CSP_PY_BOUNDS_H
#define CSP_PY_BOUNDS_H

#include "state.h"

/* A channel from the arguments of Channel() or channel(), with no ends yet; NULL with an exception set.  `format` is for
 * PyArg_ParseTupleAndKeywords: it differs in the name of the function. */
csp_chan *csp_chan_from_args(PyObject *args, PyObject *kwargs, const char *format);

/* As Python sees it: an int, or None for CSP_UNBOUNDED. */
PyObject *csp_max_bytes_object(size_t bytes);

#endif
