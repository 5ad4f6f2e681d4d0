/* The methods of handles that live in rooms of their own: batches (py_batch.c) and leases (py_lease.c). */
#ifndef CSP_PY_BATCH_H
#define CSP_PY_BATCH_H

#include "state.h"

PyObject *csp_handle_send_many(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *csp_handle_recv_many(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *csp_handle_lease(PyObject *object, PyObject *args, PyObject *kwargs);
/* What entering a new lease does once the message is received: the value, which stays on loan.  Moves the message. */
PyObject *csp_lease_take(PyObject *lease, csp_msg *msg);
struct csp_chan *csp_lease_chan(PyObject *lease); /* borrowed */

extern const char csp_send_many_doc[], csp_recv_many_doc[];

#endif
