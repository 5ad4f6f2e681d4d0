/* A lease: a value received on entry of a `with` block and taken for good only when the block ends without an exception.
 *
 * The value stays whole in the csp_lease while the block runs; it is decoded with keep=true, so it can be handed out
 * again.  While open, the lease stands in the list of its interpreter, or of the actor that is a thread of it: its death gives the
 * value back (law L6).
 */
#include "py_batch.h"

#include "clock.h"
#include "codec.h"
#include "mem.h"
#include "py_call.h"
#include "py_wait.h"

typedef struct {
    PyObject_HEAD
    csp_lease *lease;    /* RAW, owned */
    PyObject *handle;    /* the channel or RecvChannel it receives through */
    csp_state *state;
    csp_time deadline;
    csp_time timeout_ns; /* CSP_NEVER, CSP_POLL, or how long from entry */
    unsigned deliveries;
    bool used;
} lease_object;

PyObject *csp_handle_lease(PyObject *object, PyObject *args, PyObject *kwargs)
{
    csp_handle *handle = (csp_handle *)object;
    static char *names[] = {"timeout", NULL};
    PyObject *timeout = NULL;
    csp_time deadline;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:lease", names, &timeout) ||
        csp_parse_timeout(timeout, &deadline) < 0)
        return NULL;
    PyTypeObject *type = handle->state->lease_type;
    csp_lease *lease = csp_raw_calloc(1, sizeof *lease);
    lease_object *self = lease == NULL ? NULL : (lease_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        csp_raw_free(lease);
        return PyErr_NoMemory();
    }
    csp_chan_incref(handle->end->chan);
    lease->chan = handle->end->chan;
    lease->interp = csp_record_here(handle->state);
    csp_interp_incref(lease->interp);
    self->lease = lease;
    self->handle = Py_NewRef(object);
    self->state = handle->state;
    self->timeout_ns = deadline == CSP_NEVER || deadline == CSP_POLL ? deadline : deadline - csp_clock();
    return (PyObject *)self;
}

/* If the value is still open, it goes back to its channel. */
static void give_back_if_open(lease_object *self)
{
    if (csp_interp_remove_lease(self->lease->interp, self->lease))
        csp_lease_return(self->lease, true);
}

static int lease_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((lease_object *)object)->handle);
    return 0;
}

static void lease_dealloc(PyObject *object)
{
    lease_object *self = (lease_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->lease != NULL) {
        PyObject *exception = PyErr_GetRaisedException(); /* a displaced value may run Python as it goes */
        give_back_if_open(self);
        csp_msg_clear(&self->lease->msg);
        csp_chan_decref(self->lease->chan);
        csp_interp_decref(self->lease->interp);
        csp_raw_free(self->lease);
        PyErr_SetRaisedException(exception);
    }
    Py_XDECREF(self->handle);
    type->tp_free(object);
    Py_DECREF(type);
}

static csp_time deadline_of(lease_object *self)
{
    if (self->timeout_ns == CSP_NEVER || self->timeout_ns == CSP_POLL)
        return self->timeout_ns;
    csp_time now = csp_clock();
    return self->timeout_ns > CSP_NEVER - now ? CSP_NEVER : now + self->timeout_ns;
}

csp_chan *csp_lease_chan(PyObject *object) { return ((lease_object *)object)->lease->chan; }

PyObject *csp_lease_take(PyObject *object, csp_msg *msg)
{
    lease_object *self = (lease_object *)object;
    self->used = true;
    csp_lease *lease = self->lease;
    csp_msg_move(&lease->msg, msg);
    if (lease->msg.deliveries < UINT16_MAX)
        lease->msg.deliveries++;
    self->deliveries = lease->msg.deliveries;
    PyObject *value = csp_decode(self->state, &lease->msg, true);
    if (value == NULL) {
        if (csp_value_is_bad()) {
            csp_attach_reply(self->state, &lease->msg);
            csp_msg_clear(&lease->msg); /* it cannot be rebuilt here: gone, as with recv */
        }
        else {
            lease->msg.deliveries--; /* nobody has seen it */
            csp_put_back(lease->chan, &lease->msg);
        }
        return csp_annotate(self->state, self->handle, -1);
    }
    /* Only now: the death of the interpreter, seen by another thread, must not move the message while it is decoded. */
    if (!csp_interp_add_lease(lease->interp, lease)) {
        csp_lease_return(lease, true);
        Py_DECREF(value);
        return csp_raise(self->state, CSP_KILLED, CSP_RECV, lease->chan, self->handle, -1);
    }
    return value;
}

static PyObject *lease_enter(PyObject *object, PyObject *unused)
{
    lease_object *self = (lease_object *)object;
    csp_handle *handle = (csp_handle *)self->handle;
    csp_op op;
    if (self->used) {
        PyErr_SetString(PyExc_RuntimeError, "a lease is for one `with` block: make a new one");
        return NULL;
    }
    csp_op_init(&op, handle, CSP_RECV);
    csp_status status = csp_op_run(self->state, &op, deadline_of(self));
    if (status != CSP_OK)
        return csp_raise(self->state, status, CSP_RECV, handle->end->chan, self->handle, -1);
    return csp_lease_take(object, &op.c.msg);
}

static PyObject *lease_exit(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    lease_object *self = (lease_object *)object;
    if (nargs != 3)
        return PyErr_Format(PyExc_TypeError, "__exit__ takes 3 arguments, not %zd", nargs);
    if (args[0] != Py_None)
        give_back_if_open(self);
    else if (csp_interp_remove_lease(self->lease->interp, self->lease))
        csp_msg_clear(&self->lease->msg);
    Py_RETURN_FALSE;
}

static PyObject *lease_repr(PyObject *object)
{
    lease_object *self = (lease_object *)object;
    return PyUnicode_FromFormat("<csp.Lease on channel %llu deliveries=%u>",
                                (unsigned long long)self->lease->chan->id, self->deliveries);
}

static PyMethodDef lease_methods[] = {
    {"__enter__", lease_enter, METH_NOARGS, PyDoc_STR("Receive a value, as recv does, and keep it on loan.")},
    {"__exit__", (PyCFunction)(void (*)(void))lease_exit, METH_FASTCALL,
     PyDoc_STR("Take the value for good, or give it back if the block raised.")},
    {NULL},
};

static PyMemberDef lease_members[] = {
    {"deliveries", Py_T_UINT, offsetof(lease_object, deliveries), Py_READONLY,
     PyDoc_STR("How often the value has been handed out, this time included; 0 before entry.")},
    {NULL},
};

static PyType_Slot lease_slots[] = {
    {Py_tp_doc, (void *)"A received value that goes back to its channel unless the `with` block ends well: see recv's lease."},
    {Py_tp_dealloc, lease_dealloc},
    {Py_tp_traverse, lease_traverse},
    {Py_tp_repr, lease_repr},
    {Py_tp_methods, lease_methods},
    {Py_tp_members, lease_members},
    {0, NULL},
};

static PyType_Spec lease_spec = {
    "csp.Lease", sizeof(lease_object), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, lease_slots};

int csp_add_lease_type(PyObject *module, csp_state *state)
{
    state->lease_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &lease_spec, NULL);
    return state->lease_type == NULL ? -1 : PyModule_AddType(module, state->lease_type);
}
