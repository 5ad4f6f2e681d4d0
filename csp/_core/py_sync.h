/* What py_sync.c and py_condition.c share. */
#ifndef CSP_PY_SYNC_H
#define CSP_PY_SYNC_H

#include "py_wait.h"

static inline csp_sync_object *sync_of(PyObject *object) { return (csp_sync_object *)object; }
static inline csp_chan *chan_of(csp_sync_object *self) { return self->handle.end->chan; }
static inline csp_sync *state_of(csp_sync_object *self) { return chan_of(self)->primitive; }

/* Forked, or given up with its actor: -1 with the exception set. */
int csp_sync_begin(csp_sync_object *self);
/* The state at one moment. */
csp_sync csp_sync_look(csp_sync_object *self, uint32_t *p_waiting);
/* A new primitive; takes over `sync`, which may be NULL for want of memory. */
PyObject *csp_sync_make(PyTypeObject *type, csp_sync_kind kind, csp_sync *sync);
/* True, False for a timeout, or the exception that the status means. */
PyObject *csp_sync_answer(csp_sync_object *self, csp_status status);
csp_status csp_sync_lock(csp_sync_object *self, csp_time deadline);
int csp_sync_unlock(csp_sync_object *self, uint32_t n);

PyObject *csp_sync_py_acquire(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *csp_sync_py_release(PyObject *object, PyObject *unused);
PyObject *csp_sync_py_enter(PyObject *object, PyObject *unused);

/* Does this thread own the RLock?  One that acts for a process (csp_passes_on) acquires as a case of a select, in the name of a thread
 * over there: that process knows which it is, and how often. */
bool csp_sync_owns(const csp_sync *rlock);

/* The slots that all types have. */
void csp_sync_dealloc(PyObject *object);
Py_hash_t csp_sync_hash(PyObject *object);
PyObject *csp_sync_compare(PyObject *a, PyObject *b, int op);
PyObject *csp_sync_repr(PyObject *object);
PyObject *csp_sync_reduce(PyObject *object, PyObject *unused);
PyObject *csp_sync_get_waiting(PyObject *object, void *unused);
extern PyMemberDef csp_sync_members[];
extern PyType_Slot csp_condition_slots[];

#define FAST(f) ((PyCFunction)(void (*)(void))(f))
#define KEYWORDS (METH_VARARGS | METH_KEYWORDS)
#define DOC(signature, text) PyDoc_STR(signature "\n--\n\n" text)
#define REDUCE {"__reduce__", csp_sync_reduce, METH_NOARGS, DOC("__reduce__($self, /)", "Refuse: it crosses only inside a value sent through a channel.")}
#define ACQUIRE(f, t) {"acquire", FAST(f), METH_FASTCALL | METH_KEYWORDS, DOC("acquire($self, /, blocking=True, timeout=" t ")", "Wait for a permit; False if there was none in time.")}
#define CONTEXT(enter, exit)                                                                        \
    {"__enter__", enter, METH_NOARGS, DOC("__enter__($self, /)", "Acquire.")},                      \
    {"__exit__", FAST(exit), METH_FASTCALL, DOC("__exit__($self, /, *exc)", "Release.")}
#define WAITING {"waiting", csp_sync_get_waiting, NULL, PyDoc_STR("How many wait for it now, over all interpreters.")}
#define WAIT(f) {"wait", FAST(f), KEYWORDS, DOC("wait($self, /, timeout=None)", "Wait; False if the timeout (seconds) passed first.")}
#define SLOTS(var, new, methods, getters, doc)                                                      \
    PyType_Slot var[] = {{Py_tp_new, new}, {Py_tp_dealloc, csp_sync_dealloc}, {Py_tp_methods, methods}, {Py_tp_getset, getters}, \
                                {Py_tp_members, csp_sync_members}, {Py_tp_hash, csp_sync_hash}, {Py_tp_richcompare, csp_sync_compare}, {Py_tp_repr, csp_sync_repr}, \
                                {Py_tp_doc, (void *)(doc)}, {0, NULL}}

#endif
