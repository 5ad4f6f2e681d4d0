/* The Python side of actors' records: the handle that ActorRef derives from, spawning, looking up, the veto of fork. */
#include <structmember.h>

#include "codec.h"
#include "mem.h"
#include "py_ask.h"
#include "py_interp.h"

/* --- the handle --- */

typedef struct {
    PyObject_HEAD
    csp_actor *actor;   /* counted; never NULL once constructed */
    uint64_t id;        /* the actor's; and whether it serves: a caller that looked there would take the line that the actor writes */
    bool serves;
    csp_state *state;   /* of this interpreter's module, which the type keeps alive */
    PyObject *sender;   /* a SendChannel on the inbox, made on first need, or NULL */
    PyObject *weakrefs;
} actor_object;

PyObject *csp_ref_new(csp_state *state, csp_actor *actor)
{
    if (state->ref_type == NULL) { /* csp.actors sets it */
        PyObject *module = PyImport_ImportModule("csp.actors");
        Py_XDECREF(module);
        if (module == NULL)
            return NULL;
        if (state->ref_type == NULL) {
            PyErr_SetString(PyExc_RuntimeError, "csp.actors is only half imported");
            return NULL;
        }
    }
    actor_object *self = (actor_object *)state->ref_type->tp_alloc(state->ref_type, 0);
    if (self == NULL)
        return NULL;
    csp_actor_incref(actor);
    self->actor = actor;
    self->id = actor->id;
    self->serves = actor->serves;
    self->state = state;
    return (PyObject *)self;
}

csp_actor *csp_ref_actor(PyObject *ref) { return ((actor_object *)ref)->actor; }
uint64_t csp_ref_id(PyObject *ref) { return ((actor_object *)ref)->id; }
bool csp_ref_serves(PyObject *ref) { return ((actor_object *)ref)->serves; }
csp_state *csp_ref_state(PyObject *ref) { return ((actor_object *)ref)->state; }

static bool is_forked(csp_actor *actor)
{
    /* Relaxed: it changes only while the process has one thread. */
    return actor->fork_generation != atomic_load_explicit(&csp_fork_generation, memory_order_relaxed);
}

/* The actor, or NULL with ForkedError set. */
static csp_actor *usable(actor_object *self)
{
    if (!is_forked(self->actor))
        return self->actor;
    csp_raise_format(self->state, CSP_E_ForkedError, "%s belongs to the process that this one was forked from",
                     self->actor->name);
    return NULL;
}

static PyObject *actor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyErr_SetString(PyExc_TypeError, "references come from spawn, whereis or current_actor, they cannot be made");
    return NULL;
}

static void actor_dealloc(actor_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs((PyObject *)self);
    Py_XDECREF(self->sender);
    if (self->actor != NULL && !is_forked(self->actor)) /* else leak it: its locks may be held for ever */
        csp_actor_decref(self->actor);
    type->tp_free(self);
    Py_DECREF(type);
}

static Py_hash_t actor_hash(actor_object *self)
{
    Py_hash_t hash = (Py_hash_t)(self->actor->id * 0x9E3779B97F4A7C15u >> 1);
    return hash == -1 ? -2 : hash;
}

static PyObject *actor_compare(actor_object *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !PyObject_TypeCheck(other, self->state->actor_type))
        Py_RETURN_NOTIMPLEMENTED;
    bool same = self->actor == ((actor_object *)other)->actor;
    return PyBool_FromLong(same == (op == Py_EQ));
}

static PyObject *actor_reduce(actor_object *self, PyObject *unused)
{
    PyErr_SetString(PyExc_TypeError, "an ActorRef crosses through channels and as an actor's argument, it cannot be pickled");
    return NULL;
}

static PyObject *actor_name(actor_object *self, void *unused) { return PyUnicode_FromString(self->actor->name); }
static PyObject *actor_id(actor_object *self, void *unused) { return PyLong_FromUnsignedLongLong(self->actor->id); }

static PyObject *actor_alive(actor_object *self, void *unused)
{
    csp_actor *actor = usable(self);
    if (actor == NULL)
        return NULL;
    csp_lock_acquire(&actor->lock);
    bool alive = actor->state == CSP_ACTOR_ALIVE;
    csp_lock_release(&actor->lock);
    return PyBool_FromLong(alive);
}

/* Handles on its channels; NULL with an exception set. */
static PyObject *handle_or_raise(actor_object *self, csp_end *end)
{
    if (end == NULL)
        return PyErr_NoMemory();
    return csp_handle_new(self->state, end);
}

static PyObject *actor_monitor(actor_object *self, PyObject *unused)
{
    csp_actor *actor = usable(self);
    return actor == NULL ? NULL : handle_or_raise(self, csp_actor_monitor(actor, csp_record_here(self->state)));
}

static PyObject *open_end(actor_object *self, csp_actor_end which, csp_interp *record)
{
    csp_actor *actor = usable(self);
    if (actor == NULL)
        return NULL;
    csp_end *end = csp_actor_open(actor, which, record);
    if (end == NULL)
        return csp_raise_format(self->state, CSP_E_ActorDied, "%s has ended", actor->name);
    return csp_handle_new(self->state, end);
}

static PyObject *actor_sender(actor_object *self, PyObject *unused)
{
    if (self->sender == NULL) {
        /* The reference may be shared by threads that outlive the actor which uses it first: the interpreter's. */
        PyObject *sender = open_end(self, CSP_INBOX_SENDER, self->state->interp);
        if (sender == NULL)
            return NULL;
        if (self->sender == NULL)
            self->sender = sender;
        else
            Py_DECREF(sender); /* another thread was faster */
    }
    return Py_NewRef(self->sender);
}

PyObject *csp_ref_sender(PyObject *ref) { return actor_sender((actor_object *)ref, NULL); }

static PyObject *actor_inbox(actor_object *self, PyObject *unused)
{
    return open_end(self, CSP_INBOX_RECEIVER, csp_record_here(self->state));
}

static PyObject *actor_stopping(actor_object *self, PyObject *unused)
{
    return open_end(self, CSP_STOPPING_RECEIVER, csp_record_here(self->state));
}

static PyObject *actor_parent(actor_object *self, PyObject *unused)
{
    csp_actor *parent = self->actor->parent;
    while (parent != NULL && parent->is_interpreter) /* an interpreter of csp.interpreters is no actor */
        parent = parent->parent;
    if (parent == NULL)
        Py_RETURN_NONE;
    return csp_ref_new(self->state, parent);
}

/* Stopping and killing take locks and start threads, no more: nothing here waits. */
static PyObject *act(actor_object *self, void (*what)(csp_actor *))
{
    csp_actor *actor = usable(self);
    if (actor == NULL)
        return NULL;
    what(actor);
    Py_RETURN_NONE;
}

static void interrupt(csp_actor *actor)
{
    csp_owner *owner = csp_actor_owner(actor);
    if (owner == NULL)
        return;
    csp_owner_throw(owner, CSP_THROW_INTERRUPT);
    csp_owner_decref(owner);
}

static PyObject *actor_ask_stop(actor_object *self, PyObject *unused) { return act(self, csp_actor_ask_stop); }
static PyObject *actor_kill(actor_object *self, PyObject *unused) { return act(self, csp_actor_kill); }
static PyObject *actor_quarantine(actor_object *self, PyObject *unused) { return act(self, csp_actor_quarantine); }
static PyObject *actor_interrupt(actor_object *self, PyObject *unused) { return act(self, interrupt); }

static PyObject *actor_returned(actor_object *self, PyObject *unused)
{
    csp_lock_acquire(&self->actor->lock);
    bool returned = self->actor->returned;
    csp_lock_release(&self->actor->lock);
    return PyBool_FromLong(returned);
}

static PyObject *actor_start_error(actor_object *self, PyObject *unused)
{
    csp_lock_acquire(&self->actor->lock);
    const char *text = self->actor->start_error; /* set once */
    csp_lock_release(&self->actor->lock);
    if (text == NULL)
        Py_RETURN_NONE;
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

/* --- of csp.interpreters --- */

static PyObject *status_word(csp_status status)
{
    return PyUnicode_FromString(status == CSP_OK ? "ok" : status == CSP_WOULD_BLOCK ? "running" : "closed");
}

static PyObject *actor_begin_run(actor_object *self, PyObject *unused)
{
    csp_actor *actor = usable(self);
    return actor == NULL ? NULL : status_word(csp_actor_begin_run(actor));
}

static PyObject *actor_end_run(actor_object *self, PyObject *unused) { return act(self, csp_actor_end_run); }

static PyObject *actor_begin_close(actor_object *self, PyObject *unused)
{
    csp_actor *actor = usable(self);
    return actor == NULL ? NULL : status_word(csp_actor_begin_close(actor));
}

static PyObject *actor_keep(actor_object *self, PyObject *mode)
{
    int keep = PyLong_AsInt(mode);
    if (keep == -1 && PyErr_Occurred())
        return NULL;
    csp_actor *actor = usable(self);
    if (actor == NULL)
        return NULL;
    csp_actor_set_keep(actor, (csp_keep)keep);
    Py_RETURN_NONE;
}

static PyObject *actor_close_inbox(actor_object *self, PyObject *unused) { return act(self, csp_actor_close_inbox); }

static PyObject *actor_epoch(actor_object *self, void *unused)
{
    csp_lock_acquire(&self->actor->lock);
    uint32_t epoch = self->actor->epoch;
    csp_lock_release(&self->actor->lock);
    return PyLong_FromUnsignedLong(epoch);
}

static PyObject *actor_serves(actor_object *self, void *unused) { return PyBool_FromLong(self->actor->serves); }

static PyObject *actor_done(actor_object *self, PyObject *unused)
{
    csp_actor_done(self->actor);
    Py_RETURN_NONE;
}

/* handled, started_at, over, epoch, and the figures of the mailbox */
static PyObject *actor_figures(actor_object *self, PyObject *unused)
{
    csp_actor *actor = usable(self);
    csp_chan_info info = {.buffered = 0};
    if (actor == NULL)
        return NULL;
    csp_lock_acquire(&actor->lock);
    if (actor->inbox != NULL)
        csp_chan_inspect(actor->inbox, &info);
    unsigned long long handled = actor->handled;
    double started_at = actor->started_at;
    bool over = actor->over;
    unsigned long long discarded = actor->inbox != NULL ? info.counts.discarded : actor->discarded;
    unsigned long epoch = actor->epoch;
    csp_lock_release(&actor->lock);
    return Py_BuildValue("(KdOknK)", handled, started_at, over ? Py_True : Py_False, epoch, (Py_ssize_t)info.buffered,
                         discarded);
}

static PyObject *actor_cpu_seconds(actor_object *self, PyObject *unused)
{
    csp_actor *actor = usable(self);
    return actor == NULL ? NULL : PyFloat_FromDouble(csp_actor_cpu_seconds(actor));
}

static PyObject *actor_look(actor_object *self, PyObject *unused)
{
    csp_actor *actor = usable(self);
    if (actor == NULL)
        return NULL;
    csp_lock_acquire(&actor->lock);
    long long id = actor->interp == NULL ? -1 : (long long)actor->interp->id;
    bool running = actor->activity == CSP_BUSY;
    csp_lock_release(&actor->lock);
    return Py_BuildValue("(LOO)", id, running ? Py_True : Py_False, actor->is_interpreter ? Py_True : Py_False);
}

static PyMethodDef actor_methods[] = {
    {"_monitor", (PyCFunction)actor_monitor, METH_NOARGS, PyDoc_STR("A new channel that gets the Exit.")},
    {"_sender", (PyCFunction)actor_sender, METH_NOARGS, PyDoc_STR("The sending side of its inbox; ActorDied.")},
    {"_inbox", (PyCFunction)actor_inbox, METH_NOARGS, PyDoc_STR("A receiving handle on its inbox; ActorDied.")},
    {"_stopping", (PyCFunction)actor_stopping, METH_NOARGS, PyDoc_STR("A receiving handle that fires at a stop; ActorDied.")},
    {"_parent", (PyCFunction)actor_parent, METH_NOARGS, PyDoc_STR("The actor that spawned it, or None.")},
    {"_ask_stop", (PyCFunction)actor_ask_stop, METH_NOARGS, PyDoc_STR("Ask for a stop; does not wait.")},
    {"_kill", (PyCFunction)actor_kill, METH_NOARGS, PyDoc_STR("Break off its waits, raise Killed in its code; does not wait.")},
    {"_quarantine", (PyCFunction)actor_quarantine, METH_NOARGS, PyDoc_STR("Give up on it: its end is announced now.")},
    {"_interrupt", (PyCFunction)actor_interrupt, METH_NOARGS, PyDoc_STR("Raise KeyboardInterrupt, once, in what it runs.")},
    {"_returned", (PyCFunction)actor_returned, METH_NOARGS, PyDoc_STR("Did its function come to its end?")},
    {"_start_error", (PyCFunction)actor_start_error, METH_NOARGS, PyDoc_STR("Why it had no interpreter, or None.")},
    {"_begin_run", (PyCFunction)actor_begin_run, METH_NOARGS, PyDoc_STR("'ok', 'running' or 'closed'.")},
    {"_end_run", (PyCFunction)actor_end_run, METH_NOARGS, PyDoc_STR("Take a begin_run back.")},
    {"_begin_close", (PyCFunction)actor_begin_close, METH_NOARGS, PyDoc_STR("'ok', 'running' or 'closed'.")},
    {"_cpu_seconds", (PyCFunction)actor_cpu_seconds, METH_NOARGS, PyDoc_STR("Processor time of this life's thread.")},
    {"_look", (PyCFunction)actor_look, METH_NOARGS, PyDoc_STR("(interpreter's id or -1, running, of csp.interpreters)")},
    {"_keep", (PyCFunction)actor_keep, METH_O, PyDoc_STR("May another life follow?  0 never, 1 after a failure, 2 always.")},
    {"_close_inbox", (PyCFunction)actor_close_inbox, METH_NOARGS, PyDoc_STR("No new messages; those queued are served.")},
    {"_done", (PyCFunction)actor_done, METH_NOARGS, PyDoc_STR("Count a message as handled.")},
    {"_figures", (PyCFunction)actor_figures, METH_NOARGS,
     PyDoc_STR("(handled, started_at, over, epoch, queued, discarded)")},
    {"__reduce__", (PyCFunction)actor_reduce, METH_NOARGS, NULL},
    {NULL},
};

static PyGetSetDef actor_getset[] = {
    CSP_VERB_GETTERS
    {"name", (getter)actor_name, NULL, PyDoc_STR("Its registered name.")},
    {"id", (getter)actor_id, NULL, PyDoc_STR("A number that no other actor of this process ever has.")},
    {"epoch", (getter)actor_epoch, NULL, PyDoc_STR("Which life of it this is, from 1; a supervisor's restart adds one.")},
    {"_serves", (getter)actor_serves, NULL, PyDoc_STR("Is it a class, which answers calls?")},
    {"alive", (getter)actor_alive, NULL, PyDoc_STR("Is it up, and has its end not been announced?")},
    {NULL},
};

static PyMemberDef actor_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(actor_object, weakrefs), Py_READONLY, NULL},
    {NULL},
};

static PyType_Slot actor_slots[] = {
    {Py_tp_doc, PyDoc_STR("What ActorRef is made of: a counted handle on the record of an actor.")},
    {Py_tp_new, actor_new},
    {Py_tp_dealloc, actor_dealloc},
    {Py_tp_hash, actor_hash},
    {Py_tp_richcompare, actor_compare},
    {Py_tp_methods, actor_methods},
    {Py_tp_getset, actor_getset},
    {Py_tp_members, actor_members},
    {0, NULL},
};

static PyType_Spec actor_spec = {
    .name = "csp._core.Actor",
    .basicsize = sizeof(actor_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = actor_slots,
};

/* --- fork --- */

/* Forking copies interpreters whose threads the child does not have: it crashes, on every version.  So it is refused. */
static int refuse_fork(const char *event, PyObject *args, void *unused)
{
    if (event[0] != 'o' || (strcmp(event, "os.fork") != 0 && strcmp(event, "os.forkpty") != 0) || csp_lives() == 0)
        return 0;
    PyObject *errors = PyImport_ImportModule("csp.errors");
    PyObject *error = errors == NULL ? NULL : PyObject_GetAttrString(errors, "ForkedError");
    if (error != NULL)
        PyErr_Format(error, "%s() while %u other interpreter(s) live would crash the child: end the actors first, or use "
                            "subprocess, or multiprocessing with 'spawn'", event, (unsigned)csp_lives());
    Py_XDECREF(errors);
    Py_XDECREF(error);
    return -1;
}

static _Atomic bool hook_added; /* process-wide; acquire-release: the first spawn installs it */

static int install_fork_veto(void)
{
    if (atomic_exchange_explicit(&hook_added, true, memory_order_acq_rel))
        return 0;
    if (PySys_AddAuditHook(refuse_fork, NULL) == 0)
        return 0;
    atomic_store_explicit(&hook_added, false, memory_order_release);
    return -1;
}

/* --- spawning --- */

/* sys.path as bytes that belong to no interpreter. */
static int save_path(csp_owner *owner)
{
    PyObject *path = PySys_GetObject("path"); /* borrowed */
    Py_ssize_t n = path != NULL && PyList_Check(path) ? PyList_GET_SIZE(path) : 0;
    for (Py_ssize_t i = 0; i < n && i < PyList_GET_SIZE(path); i++) {
        PyObject *entry = PyList_GET_ITEM(path, i);
        PyObject *bytes = PyUnicode_Check(entry) ? PyUnicode_EncodeFSDefault(entry) : NULL;
        if (bytes == NULL) {
            PyErr_Clear(); /* no importer of the child could use it either */
            continue;
        }
        size_t size = strlen(PyBytes_AS_STRING(bytes)) + 1; /* an entry with a NUL in it ends there */
        char *grown = csp_raw_realloc(owner->path, owner->path_size + size);
        if (grown != NULL) {
            memcpy(grown + owner->path_size, PyBytes_AS_STRING(bytes), size);
            owner->path = grown;
            owner->path_size += size;
        }
        Py_DECREF(bytes);
        if (grown == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    return 0;
}

/* Exit(ref, reason, None, remote), encoded. */
static int encode_exit(csp_state *state, PyObject *ref, const char *reason, PyObject *remote, csp_msg *msg)
{
    PyObject *exit_type = (PyObject *)state->record_types[0];
    PyObject *exit = exit_type == NULL ? NULL : PyObject_CallFunction(exit_type, "OsOO", ref, reason, Py_None, remote);
    if (exit_type == NULL)
        PyErr_SetString(PyExc_RuntimeError, "csp.actors has not been imported");
    int result = exit == NULL ? -1 : csp_encode_slow(state, exit, msg);
    Py_XDECREF(exit);
    return result;
}

static csp_actor *new_record(csp_state *state, const csp_actor_spec *spec)
{
    csp_status status;
    csp_actor *actor = csp_actor_new(spec, &status);
    if (actor == NULL && status == CSP_BROKEN)
        PyErr_Format(PyExc_ValueError, "a live actor is named '%s' already", spec->name);
    else if (actor == NULL && status == CSP_KILLED)
        csp_raise_format(state, CSP_E_ActorStartError, "the process is ending: no new actors");
    else if (actor == NULL)
        PyErr_NoMemory();
    csp_note_origin(actor == NULL ? NULL : actor->inbox); /* nobody else knows the actor yet */
    return actor;
}

/* The thread's record, complete with what it will run.  Takes over `payload`. */
static csp_owner *new_owner(csp_state *state, csp_actor *actor, PyObject *ref, PyObject *remote, csp_msg *payload)
{
    csp_owner *owner = csp_raw_calloc(1, sizeof *owner);
    if (owner == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    atomic_init(&owner->refs, 1);
    csp_lock_init(&owner->lock, CSP_RANK_OWNER, actor->id);
    csp_actor_incref(actor);
    owner->actor = actor;
    csp_msg_move(&owner->payload, payload);
    if (actor->in_thread) {
        owner->shared = PyInterpreterState_Get();
        owner->host = state->interp;
        csp_interp_incref(owner->host);
        owner->state = state;
    }
    if ((actor->in_thread || save_path(owner) == 0) && encode_exit(state, ref, "failed", remote, &owner->failed_exit) == 0 &&
        encode_exit(state, ref, "killed", Py_None, &owner->killed_exit) == 0)
        return owner;
    csp_owner_decref(owner);
    return NULL;
}

/* Start it: the handle that hears when it is up, or NULL with an exception and the name free again. */
static PyObject *launch(csp_state *state, csp_actor *actor, csp_owner *owner, csp_actor *warm)
{
    csp_interp *here = csp_record_here(state);
    if (csp_interp_is_dead(here))
        return csp_raise_format(state, CSP_E_Killed, "%s was given up: it starts nobody any more", here->label);
    csp_end *started = csp_actor_watch_start(actor, here);
    PyObject *handle = started == NULL ? PyErr_NoMemory() : csp_handle_new(state, started);
    int error = handle == NULL ? 0 : csp_owner_start(owner, warm);
    if (error == 0)
        return handle;
    csp_raise_format(state, CSP_E_ActorStartError, "no thread for actor '%s': %s", actor->name, strerror(error));
    Py_DECREF(handle);
    return NULL;
}

/* A life for the record, STARTING and listed; takes over `payload`.  (ref, started), or NULL with the life ended again. */
static PyObject *begin_life(csp_state *state, csp_actor *actor, PyObject *remote, csp_msg *payload, csp_actor *warm)
{
    PyObject *result = NULL, *ref = csp_ref_new(state, actor);
    csp_owner *owner = ref == NULL ? NULL : new_owner(state, actor, ref, remote, payload);
    PyObject *started = owner == NULL ? NULL : launch(state, actor, owner, actor->in_thread ? NULL : warm);
    if (started != NULL) {
        result = PyTuple_Pack(2, ref, started);
    }
    else { /* it never was: nobody but a racing whereis can have seen it */
        PyObject *exception = PyErr_GetRaisedException();
        csp_msg nothing = {.kind = CSP_MSG_EMPTY};
        csp_actor_exited(actor, NULL, &nothing, true);
        csp_actor_unlist(actor);
        PyErr_SetRaisedException(exception);
    }
    if (owner != NULL)
        csp_owner_decref(owner);
    Py_XDECREF(ref);
    Py_XDECREF(started);
    return result;
}

/* The argument `warm`: a reference to one that csp._warm made, or None. */
static csp_actor *warm_actor(csp_state *state, PyObject *warm)
{
    return PyObject_TypeCheck(warm, state->actor_type) ? usable((actor_object *)warm) : NULL;
}

static PyObject *spawn_actor(PyObject *module, PyObject *args)
{
    csp_state *state = csp_state_of_module(module);
    csp_actor_spec spec = {0};
    PyObject *parent, *payload, *remote, *warm, *result = NULL;
    int unique, trap_stop, kind, serves;
    Py_ssize_t mailbox;
    double watchdog;
    if (!PyArg_ParseTuple(args, "OsppipiIndOOO:spawn_actor", &payload, &spec.name, &unique, &trap_stop, &kind,
                          &serves, &spec.keep, &spec.max_deliveries, &mailbox, &watchdog, &parent, &remote, &warm))
        return NULL;
    spec.unique = unique;
    spec.trap_stop = trap_stop;
    spec.is_interpreter = kind == 1 || kind == 3;
    spec.in_thread = kind == 2;
    spec.warm = kind == 3;
    spec.serves = serves;
    spec.watchdog = watchdog <= 0 ? 0 : watchdog < 9e9 ? (csp_time)(watchdog * 1e9) + 1 : CSP_NEVER;
    spec.mailbox = mailbox < 0 ? CSP_UNBOUNDED : (size_t)mailbox;
    spec.parent = parent == Py_None ? NULL : csp_ref_actor(parent);
    csp_msg msg = {.kind = CSP_MSG_EMPTY};
    if ((!spec.in_thread && install_fork_veto() < 0) || csp_encode_slow(state, payload, &msg) < 0)
        return NULL; /* before anything is made */
    csp_actor *actor = new_record(state, &spec);
    if (actor != NULL) {
        result = begin_life(state, actor, remote, &msg, warm_actor(state, warm));
        csp_actor_decref(actor);
    }
    csp_msg_unsend(&msg);
    return result;
}

static PyObject *restart_actor(PyObject *module, PyObject *args)
{
    csp_state *state = csp_state_of_module(module);
    PyObject *object, *payload, *remote, *warm, *result = NULL;
    if (!PyArg_ParseTuple(args, "O!OOO:restart_actor", state->actor_type, &object, &payload, &remote, &warm))
        return NULL;
    csp_actor *actor = usable((actor_object *)object);
    csp_msg msg = {.kind = CSP_MSG_EMPTY};
    if (actor == NULL || csp_encode_slow(state, payload, &msg) < 0)
        return NULL;
    csp_status status = csp_actor_restart(actor);
    if (status == CSP_OK)
        result = begin_life(state, actor, remote, &msg, warm_actor(state, warm));
    else if (status == CSP_NO_MEMORY)
        PyErr_NoMemory();
    else if (status == CSP_WOULD_BLOCK)
        PyErr_Format(PyExc_RuntimeError, "actor '%s' has not ended", actor->name);
    else
        csp_raise_format(state, status == CSP_END ? CSP_E_ActorDied : CSP_E_ActorStartError,
                         status == CSP_END ? "actor '%s' has no further life" : "the process is ending: no life for '%s'",
                         actor->name);
    csp_msg_unsend(&msg);
    return result;
}

static PyObject *find_actor(PyObject *module, PyObject *name)
{
    const char *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    if (text == NULL) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_TypeError, "name must be a str, not %.100s", Py_TYPE(name)->tp_name);
        return NULL;
    }
    csp_actor *actor = csp_actor_find(text);
    if (actor == NULL)
        Py_RETURN_NONE;
    PyObject *ref = csp_ref_new(csp_state_of_module(module), actor);
    csp_actor_decref(actor);
    return ref;
}

/* Takes over the array.  What stands for a warm interpreter is no actor. */
static PyObject *list_of(PyObject *module, csp_actor **actors, uint32_t n)
{
    PyObject *list = actors == NULL ? PyErr_NoMemory() : PyList_New(0);
    for (uint32_t i = 0; i < n; i++) {
        bool wanted = list != NULL && !actors[i]->warm;
        PyObject *ref = wanted ? csp_ref_new(csp_state_of_module(module), actors[i]) : NULL;
        if (wanted && (ref == NULL || PyList_Append(list, ref) < 0))
            Py_CLEAR(list);
        Py_XDECREF(ref);
        csp_actor_decref(actors[i]);
    }
    csp_raw_free(actors);
    return list;
}

static PyObject *list_actors(PyObject *module, PyObject *unused)
{
    uint32_t n = 0;
    csp_actor **actors = csp_actor_snapshot(NULL, true, &n);
    return list_of(module, actors, n);
}

static PyObject *zombies(PyObject *module, PyObject *unused)
{
    uint32_t n = 0;
    csp_actor **actors = csp_actor_zombies(&n);
    return list_of(module, actors, n);
}

static PyObject *dead_letters(PyObject *module, PyObject *unused)
{
    csp_state *state = csp_state_of_module(module);
    csp_chan *chan = csp_dead_letters();
    csp_end *end = chan == NULL ? NULL : csp_end_new(chan, CSP_RECV, state->interp); /* csp keeps the handle, for all threads */
    return end == NULL ? PyErr_NoMemory() : csp_handle_new(state, end);
}

static PyObject *dead_letter(PyObject *module, PyObject *letter)
{
    csp_chan *chan = csp_dead_letters();
    csp_case c = {.chan = chan, .dir = CSP_SEND};
    if (chan == NULL)
        return PyErr_NoMemory();
    if (csp_encode_slow(csp_state_of_module(module), letter, &c.msg) < 0)
        return NULL;
    csp_effects fx;
    csp_effects_init(&fx);
    csp_chan_try(&c, &fx); /* there is room: the oldest gives way */
    csp_effects_run(&fx);
    csp_msg_clear(&c.msg);
    Py_RETURN_NONE;
}

static PyObject *set_ref_type(PyObject *module, PyObject *type)
{
    csp_state *state = csp_state_of_module(module);
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, state->actor_type)) {
        PyErr_SetString(PyExc_TypeError, "a kind of Actor is wanted");
        return NULL;
    }
    Py_XSETREF(state->ref_type, (PyTypeObject *)Py_NewRef(type));
    Py_RETURN_NONE;
}

PyMethodDef csp_actor_functions[] = {
    {"spawn_actor", spawn_actor, METH_VARARGS,
     PyDoc_STR("spawn_actor(payload, name, unique, trap_stop, kind, serves, keep, max_deliveries, mailbox, watchdog, "
               "parent, remote, warm)\n-> (ref, started)\n\n"
               "Start a thread with an interpreter of its own.  `started` gets True, or the Exit of one that never came up,\n"
               "which has `remote` if it could not say itself what was wrong.  mailbox < 0: unbounded.  watchdog: seconds,\n"
               "or 0.  keep: may another life follow?  0 never, 1 after a failure, 2 always.  kind: 0 an actor, 1 an interpreter of csp.interpreters, 2 an\n"
               "actor that is a thread of this interpreter, 3 a warm interpreter, which waits for an actor.  warm: None, or one that\n"
               "it is to have instead of a new one, if that is still free.")},
    {"restart_actor", restart_actor, METH_VARARGS,
     PyDoc_STR("restart_actor(ref, payload, remote, warm) -> (ref, started)\n\nBegin another life of an actor that has ended and was "
               "kept.  Raises ActorDied if\nit has no further life.")},
    {"find_actor", find_actor, METH_O, PyDoc_STR("find_actor(name) -> ActorRef | None")},
    {"list_actors", list_actors, METH_NOARGS, PyDoc_STR("list_actors() -> references to all whose thread lives")},
    {"zombies", zombies, METH_NOARGS, PyDoc_STR("zombies() -> references to those given up whose thread still runs")},
    {"dead_letters", dead_letters, METH_NOARGS, PyDoc_STR("dead_letters() -> RecvChannel of what nobody will handle")},
    {"dead_letter", dead_letter, METH_O, PyDoc_STR("dead_letter(letter)\n\nSend to the dead letters; never waits.")},
    {"set_ref_type", set_ref_type, METH_O, PyDoc_STR("set_ref_type(cls)\n\nThe class that references are made of.")},
    {NULL},
};

/* --- the module --- */

int csp_add_actor_types(PyObject *module, csp_state *state)
{
    state->actor_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &actor_spec, NULL);
    if (state->actor_type == NULL || PyModule_AddType(module, state->actor_type) < 0)
        return -1;
    csp_owner *owner = csp_current_owner();
    if (owner != NULL && owner->record == NULL) { /* the first thing that the child imports */
        owner->state = state;
        csp_interp_incref(state->interp);
        owner->record = state->interp;
        csp_actor_set_interp(owner->actor, owner, state->interp);
    }
    return state->interp->is_main ? csp_call_at_exit(module, "process_ends") : 0;
}
