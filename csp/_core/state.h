/* Per-interpreter state of the C module: types, exceptions, and the interpreter's record.  Shell only. */
#ifndef CSP_STATE_H
#define CSP_STATE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "interp.h"
#include "sync.h"

/* The exceptions of csp.errors that C raises, in the order of csp_state.errors.  X(name) */
#define CSP_ERRORS(X)                                                                               \
    X(CspError) X(EndOfChannel) X(BrokenChannel) X(ClosedHandle) X(ForkedError) X(Timeout)          \
    X(WouldBlock) X(NotShareable) X(DecodeError) X(DeadlockError) X(Stopped) X(Killed)              \
    X(ActorError) X(ActorStartError) X(ActorFailed) X(ActorDied)

typedef enum {
#define CSP_ERROR(name) CSP_E_##name,
    CSP_ERRORS(CSP_ERROR)
#undef CSP_ERROR
    CSP_NERRORS
} csp_error;

#define CSP_KEY_CACHE 256 /* direct-mapped cache of short dictionary keys: a power of two */

#define CSP_NRECORDS 8 /* `_core.set_record_type(code, cls)`, code < CSP_NRECORDS */
enum { CSP_EXIT = 0, CSP_REMOTE_ERROR, CSP_REQUEST, CSP_DEAD_LETTER, CSP_PICKLED };

/* What csp._calls does of a call, in the order of csp_state.call_hooks. */
typedef enum { CSP_HOOK_REPLY, CSP_HOOK_DIED, CSP_HOOK_UNWRAP, CSP_NHOOKS } csp_call_hook;

typedef struct csp_state {
    csp_interp *interp;              /* this interpreter's record; counted */
    PyObject *errors[CSP_NERRORS];   /* exception classes, from csp.errors */
    PyTypeObject *channel_type, *send_channel_type, *recv_channel_type;
    PyTypeObject *lease_type, *statistics_type, *selected_type, *selector_type;
    PyTypeObject *wait_type, *loop_type; /* py_async.c */
    PyTypeObject *block_type;        /* exporter over a csp_block */
    PyTypeObject *shared_view_type;  /* SharedView: share.c */
    PyTypeObject *shared_buffer_type, *buffer_statistics_type; /* SharedBuffer: shared_buffer.c */
    PyTypeObject *descriptor_type, *slab_type; /* py_slab.c */
    PyTypeObject *moved_type;        /* what move() returns: move.c */
    PyTypeObject *actor_type;        /* handle on a csp_actor: ActorRef's C base */
    PyTypeObject *ref_type;          /* csp.ActorRef, set by csp.actors; NULL until then */
    PyTypeObject *record_types[CSP_NRECORDS]; /* tuple subclasses that cross natively, set from Python; else NULL */
    PyTypeObject *sync_types[CSP_NSYNC]; /* by csp_sync_kind; [0] unused */
    PyTypeObject *verb_type;         /* `ref.call`, `ref.ask`, `ref.cast` */
    PyObject *call_hooks[CSP_NHOOKS]; /* functions of csp._calls; NULL until it is imported */
    _Atomic(csp_end *) idle_reply;   /* the receiving end of a reply channel that no call uses now, or NULL; py_ask.c */
    uint32_t random;                 /* of select's choice; any value, races are harmless */
    struct csp_loop_object *loops;   /* guarded by the GIL: the event loops of this interpreter, py_async.c */
    PyObject *pickling, *awaiting;   /* csp._pickling, csp._awaiting, imported on first need; NULL until then */
    PyObject *key_cache[CSP_KEY_CACHE]; /* str or NULL; decode.c */
    PyObject *str_index, *str_channel, *str_cause, *str_sent, *str_case; /* interned names; str_case: "__csp_case__" */
} csp_state;

extern struct PyModuleDef csp_module;

/* Whose waits, handles and leases those of this thread are: the interpreter's, or those of the actor that is a thread of it. */
static inline csp_interp *csp_record_here(csp_state *state)
{
    return csp_thread_record != NULL ? csp_thread_record : state->interp;
}

static inline csp_state *csp_state_of_module(PyObject *module)
{
    return (csp_state *)PyModule_GetState(module);
}

static inline csp_state *csp_state_of_type(PyTypeObject *type)
{
    /* Works for our own heap types and for subclasses of them made in Python. */
    PyObject *module = PyType_GetModuleByDef(type, &csp_module);
    return module == NULL ? NULL : csp_state_of_module(module);
}

/* --- the Python object that is a handle: py_channel.c --- */
typedef struct {
    PyObject_HEAD
    csp_end *end;          /* owned; never NULL once constructed */
    csp_state *state;      /* of this interpreter's module, which the type keeps alive */
    PyObject *weakrefs;
} csp_handle;

/* A primitive of csp.sync: py_sync.c.  The same, so that it crosses as handles do. */
typedef struct {
    csp_handle handle;
    PyObject *lock;        /* of a Condition: the Lock or RLock; else NULL */
} csp_sync_object;
bool csp_is_sync(PyObject *object);
PyObject *csp_sync_object_new(csp_state *state, csp_end *end); /* takes over `end`, also on failure */
/* The handle that acquires for this thread, a new reference, if the object can be a case of select; NULL without an exception if not. */
PyObject *csp_sync_case(csp_state *state, PyObject *object);
int csp_add_sync_types(PyObject *module, csp_state *state);

static inline int csp_is_handle(csp_state *state, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return type == state->channel_type || type == state->recv_channel_type || type == state->send_channel_type;
}

/* A new Python handle that takes over `end` (also on failure).  Its type follows end->dir. */
PyObject *csp_handle_new(csp_state *state, csp_end *end);

/* Let the event loops of this interpreter look about themselves: an exception was raised in its code.  py_async.c */
void csp_poke_loops(csp_state *state);

/* Awaiting, for its method tables: py_async.c */
extern const char csp_arecv_doc[], csp_asend_doc[], csp_aenter_doc[], csp_aexit_doc[];
PyObject *csp_handle_arecv(PyObject *object, PyObject *unused);
PyObject *csp_handle_asend(PyObject *object, PyObject *value);
PyObject *csp_handle_anext(PyObject *object);
PyObject *csp_handle_aenter(PyObject *object, PyObject *unused);
PyObject *csp_handle_aexit(PyObject *object, PyObject *args);

/* A new Python ActorRef for the actor (takes a new reference on it): py_actor.c */
struct csp_actor;
PyObject *csp_ref_new(csp_state *state, struct csp_actor *actor);
/* The actor behind an ActorRef, borrowed. */
struct csp_actor *csp_ref_actor(PyObject *ref);
csp_state *csp_ref_state(PyObject *ref);
/* Of its actor, without a look there. */
uint64_t csp_ref_id(PyObject *ref);
bool csp_ref_serves(PyObject *ref);
/* The sending side of its inbox, new reference; NULL with ActorDied or ForkedError set. */
PyObject *csp_ref_sender(PyObject *ref);

/* --- errors.c --- */

/* Raise the exception that `status` means for an operation in direction `dir` on `chan` (may be NULL), with .channel = object
 * (may be NULL) and .index (if >= 0).  With CSP_INTERRUPTED an exception is set already.  Returns NULL. */
PyObject *csp_raise(csp_state *state, csp_status status, csp_dir dir, csp_chan *chan, PyObject *object,
                    Py_ssize_t index);

/* Give the exception that is set now .channel and .index, if it is one of ours.  Returns NULL. */
PyObject *csp_annotate(csp_state *state, PyObject *object, Py_ssize_t index);

/* Raise errors[which] with a message in PyErr_Format's language.  Returns NULL. */
PyObject *csp_raise_format(csp_state *state, csp_error which, const char *format, ...);

/* --- small types, one add function a room; -1 with an exception set on failure --- */
int csp_add_channel_types(PyObject *module, csp_state *state);
int csp_add_lease_type(PyObject *module, csp_state *state);
int csp_add_select_types(PyObject *module, csp_state *state);
int csp_add_selected_type(PyObject *module, csp_state *state); /* py_selected.c */
int csp_add_async_types(PyObject *module, csp_state *state);
/* Add the functions of a table to the module, as functions of `csp`. */
int csp_add_functions(PyObject *module, PyMethodDef *table);
/* Let the interpreter call that function of the module at its exit. */
int csp_call_at_exit(PyObject *module, const char *function);
int csp_add_block_type(PyObject *module, csp_state *state);   /* buffer.c */
int csp_add_share_type(PyObject *module, csp_state *state);   /* share.c */
int csp_add_shared_buffer_type(PyObject *module, csp_state *state); /* shared_buffer.c */
int csp_add_slab_types(PyObject *module, csp_state *state);   /* py_slab.c */
int csp_add_moved_type(PyObject *module, csp_state *state);   /* move.c */
int csp_add_actor_types(PyObject *module, csp_state *state);  /* py_actor.c */
int csp_add_verb_type(PyObject *module, csp_state *state);    /* py_ask.c */

/* Note where in the program the channel was made, if that is switched on.  Attached; no exception is set or lost; `chan` may be NULL,
 * and others may know of it already. */
void csp_note_origin(csp_chan *chan); /* py_origin.c */

/* A Descriptor of the same file, which is its own: py_slab.c.  NULL with an exception set. */
PyObject *csp_descriptor_of(csp_state *state, int fd);

/* Method tables of rooms that only add functions to the module. */
extern PyMethodDef csp_channel_functions[],
    csp_select_functions[],
    csp_async_functions[],
    csp_timer_functions[],
    csp_origin_functions[],
    csp_interp_functions[],
    csp_actor_functions[],
    csp_call_functions[],
    csp_exit_functions[],
    csp_warm_functions[],
    csp_leak_functions[],
    csp_stack_functions[],
    csp_codec_functions[],
    csp_share_functions[],
    csp_shared_buffer_functions[],
    csp_slab_functions[],
    csp_move_functions[];

#endif
