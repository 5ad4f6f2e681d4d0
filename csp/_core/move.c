/* Parcels, and the mark that move() puts on an object.  See move.h. */
#include "move.h"

#include "codec.h"
#include "mem.h"
#include "share.h"
#include "shared_buffer.h"

static _Thread_local csp_move_scope scope; /* process-wide in kind, one a thread: the select whose cases it encodes */
static _Thread_local uint64_t selects;     /* likewise: how many there were */
static _Atomic uint64_t threads;           /* process-wide; relaxed: only uniqueness counts */

csp_move_scope csp_move_scope_begin(void)
{
    csp_move_scope outer = scope; /* encoding may run any Python */
    if (scope.thread == 0)
        scope.thread = 1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed); /* see there */
    scope.select = ++selects;
    return outer;
}

void csp_move_scope_end(csp_move_scope outer) { scope.select = outer.select; }

/* --- parcels --- */

csp_parcel *csp_parcel_new(const csp_part_ops *ops, void *content)
{
    csp_parcel *parcel = csp_raw_alloc(sizeof *parcel);
    if (parcel == NULL) {
        ops->release(content);
        PyErr_NoMemory();
        return NULL;
    }
    atomic_init(&parcel->refs, 2);
    atomic_init(&parcel->messages, 1);
    atomic_init(&parcel->unsent, 1);
    atomic_init(&parcel->back, false);
    parcel->scope = scope;
    parcel->ops = ops;
    atomic_init(&parcel->content, content);
    return parcel;
}

static void release_content(csp_parcel *parcel)
{
    void *content = atomic_exchange_explicit(&parcel->content, NULL, memory_order_acq_rel); /* whoever gets it has it alone */
    if (content != NULL)
        parcel->ops->release(content);
}

void csp_parcel_decref(csp_parcel *parcel)
{
    /* Release our use of it to, and acquire that of, whoever drops the last one. */
    if (atomic_fetch_sub_explicit(&parcel->refs, 1, memory_order_acq_rel) != 1)
        return;
    release_content(parcel);
    csp_raw_free(parcel);
}

bool csp_parcel_is_back(csp_parcel *parcel)
{
    return atomic_load_explicit(&parcel->back, memory_order_acquire); /* release in part_unsend */
}

void *csp_parcel_take_up(csp_parcel *parcel)
{
    return csp_parcel_is_back(parcel) ? atomic_exchange_explicit(&parcel->content, NULL, memory_order_acq_rel) : NULL; /* as above */
}

static void part_release(void *self)
{
    csp_parcel *parcel = self;
    /* As in decref. */
    if (atomic_fetch_sub_explicit(&parcel->messages, 1, memory_order_acq_rel) == 1 && !csp_parcel_is_back(parcel))
        release_content(parcel);
    csp_parcel_decref(parcel);
}

static void *part_clone(void *self)
{
    csp_parcel *parcel = self;
    atomic_fetch_add_explicit(&parcel->refs, 1, memory_order_relaxed);     /* the caller has one: nothing to order */
    atomic_fetch_add_explicit(&parcel->messages, 1, memory_order_relaxed); /* likewise */
    return self;
}

static void part_unsend(void *self)
{
    csp_parcel *parcel = self;
    if (atomic_fetch_sub_explicit(&parcel->unsent, 1, memory_order_acq_rel) == 1) /* in order: see the field */
        atomic_store_explicit(&parcel->back, true, memory_order_release);
}

csp_parcel *csp_parcel_again(csp_parcel *parcel)
{
    if (parcel == NULL || scope.select == 0 || parcel->scope.thread != scope.thread || parcel->scope.select != scope.select ||
        csp_parcel_is_back(parcel))
        return NULL;
    atomic_fetch_add_explicit(&parcel->unsent, 1, memory_order_relaxed); /* none is sent before this thread has encoded all */
    return part_clone(parcel);
}

const csp_part_ops csp_parcel_part = {"moved", part_release, part_clone, part_unsend};

/* --- the mark --- */

typedef struct {
    PyObject_HEAD
    PyObject *source; /* immutable */
} moved_object;

PyObject *csp_moved_source(csp_state *state, PyObject *object)
{
    return Py_TYPE(object) == state->moved_type ? ((moved_object *)object)->source : NULL;
}

static void moved_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    Py_XDECREF(((moved_object *)op)->source);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *moved_repr(PyObject *op) { return PyUnicode_FromFormat("<csp.Moved %R>", ((moved_object *)op)->source); }

/* Why what the object is cannot be given away. */
static PyObject *refuse(csp_state *state, PyObject *object)
{
    const char *name = Py_TYPE(object)->tp_name;
    if (PyMemoryView_Check(object))
        return csp_raise_format(state, CSP_E_NotShareable,
                                "a memoryview cannot be moved: the object that it is a view of could still be used here; move the SharedBuffer, or "
                                "share() the object");
    if (PyBytes_CheckExact(object))
        return csp_raise_format(state, CSP_E_NotShareable, "bytes cannot be moved: whoever has them here keeps them; send a copy, or share() them");
    if (PyObject_CheckBuffer(object))
        return csp_raise_format(state, CSP_E_NotShareable,
                                "a %.100s cannot be moved without a copy: its memory belongs to it, in this interpreter; fill a SharedBuffer in its "
                                "place, or lend it with share()", name);
    return csp_raise_format(state, CSP_E_NotShareable, "a %.100s cannot be moved: it is no memory; what is sent is copied", name);
}

static PyObject *py_move(PyObject *module, PyObject *object)
{
    csp_state *state = csp_state_of_module(module);
    if (Py_TYPE(object) == state->moved_type)
        return Py_NewRef(object);
    if (!csp_is_shared_buffer(state, object) && Py_TYPE(object) != state->shared_view_type)
        return refuse(state, object);
    moved_object *self = (moved_object *)state->moved_type->tp_alloc(state->moved_type, 0);
    if (self != NULL)
        self->source = Py_NewRef(object);
    return (PyObject *)self;
}

PyDoc_STRVAR(moved_doc, "What move() returns: a mark on an object that is to be given away when it is sent.");
PyDoc_STRVAR(move_doc,
             "move($module, obj, /)\n--\n\n"
             "Mark a SharedBuffer or a SharedView to be given away by the send that it is passed to, anywhere in the value.\n\n"
             "The receiver gets it, without a copy, and this side's handle is closed: any further use of a SharedBuffer is ClosedHandle, of a\n"
             "SharedView ValueError.  Until a send, nothing happens.  While a send waits, the handle is closed already; if nothing was\n"
             "sent (Timeout, WouldBlock, BrokenChannel, NotShareable, a case of select that was not chosen) it is open again.  Other handles\n"
             "to the memory, and the object behind a SharedView, are not touched.\n\n"
             "NotShareable: another kind of object, which could only be copied, and says why; at the send, a buffer taken through the handle\n"
             "is in use, or the channel is local.\n\n"
             "    ch.send(csp.move(buffer))");

static PyType_Slot moved_slots[] = {
    {Py_tp_doc, (void *)moved_doc}, {Py_tp_dealloc, moved_dealloc}, {Py_tp_repr, moved_repr}, {0, NULL},
};

static PyType_Spec moved_spec = {
    .name = "csp.Moved",
    .basicsize = sizeof(moved_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = moved_slots,
};

int csp_add_moved_type(PyObject *module, csp_state *state)
{
    state->moved_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &moved_spec, NULL);
    return state->moved_type == NULL ? -1 : 0;
}

PyMethodDef csp_move_functions[] = {
    {"move", py_move, METH_O, move_doc},
    {NULL},
};
