/* The Python handles: Channel, SendChannel, RecvChannel.  Argument parsing and lifetimes; what an operation does is in
 * chan.c, how it waits in py_wait.c, what crosses in encode.c and decode.c.
 *
 * The three types share this code and differ in their method tables: each has just its side's operations.
 */
#include "py_wait.h"

#include <structmember.h>

#include "codec.h"
#include "py_bounds.h"
#include "py_batch.h"

#define ENSURE_NOT_FORKED(self)                                                                     \
    do {                                                                                            \
        if (csp_is_forked((self)->end))                                                             \
            return csp_raise((self)->state, CSP_FORKED, CSP_RECV, NULL, (PyObject *)(self), -1);    \
    } while (0)

static inline csp_handle *handle_of(PyObject *object) { return (csp_handle *)object; }

/* --- birth and death --- */

static PyTypeObject *type_of_dir(csp_state *state, uint8_t dir)
{
    return dir == CSP_SEND ? state->send_channel_type : dir == CSP_RECV ? state->recv_channel_type : state->channel_type;
}

PyObject *csp_handle_new(csp_state *state, csp_end *end)
{
    if (end->chan->sync)
        return csp_sync_object_new(state, end);
    PyTypeObject *type = type_of_dir(state, end->dir);
    csp_handle *self = (csp_handle *)type->tp_alloc(type, 0);
    if (self == NULL) {
        csp_end_free(end);
        return NULL;
    }
    self->end = end;
    self->state = state;
    return (PyObject *)self;
}

/* A new handle to (one side of) the channel. */
static PyObject *handle_to(csp_state *state, csp_chan *chan, uint8_t dir)
{
    csp_end *end = csp_end_new(chan, dir, csp_record_here(state));
    return end == NULL ? PyErr_NoMemory() : csp_handle_new(state, end);
}

/* A value of a local channel may hold the last handle on another, that one's value a third, and so on: past a few levels the
 * ends wait for the outermost deallocation of the thread, so that the depth of such a chain is not the depth of the C stack. */
#define NESTED 50

static _Thread_local struct {
    csp_end *postponed;     /* linked by next_postponed */
    csp_interp *outermost;  /* the interpreter whose deallocation is under way */
    int depth;
} releasing; /* process-wide in kind, one a thread */

static void release_end(csp_end *end)
{
    csp_interp *home = csp_interp_home(end->interp);
    if (releasing.depth >= NESTED && home == releasing.outermost) {
        end->next_postponed = releasing.postponed;
        releasing.postponed = end;
        return;
    }
    if (releasing.depth == 0)
        releasing.outermost = home;
    releasing.depth++;
    csp_end_free(end);
    while (releasing.depth == 1 && releasing.postponed != NULL) {
        end = releasing.postponed;
        releasing.postponed = end->next_postponed;
        csp_end_free(end);
    }
    releasing.depth--;
}

static void handle_dealloc(PyObject *object)
{
    csp_handle *self = handle_of(object);
    PyTypeObject *type = Py_TYPE(object);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(object);
    if (self->end != NULL) {
        /* Dropping the last receiver of a local channel frees its values, which may run any Python. */
        PyObject *exception = PyErr_GetRaisedException();
        release_end(self->end);
        PyErr_SetRaisedException(exception);
    }
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    csp_state *state = csp_state_of_type(type);
    csp_chan *chan = csp_chan_from_args(args, kwargs, "|O$zspO:Channel");
    if (chan == NULL)
        return NULL;
    PyObject *self = handle_to(state, chan, CSP_SEND | CSP_RECV);
    csp_chan_decref(chan);
    return self;
}

static PyObject *channel_pair(PyObject *module, PyObject *args, PyObject *kwargs)
{
    csp_state *state = csp_state_of_module(module);
    csp_chan *chan = csp_chan_from_args(args, kwargs, "|O$zspO:channel");
    if (chan == NULL)
        return NULL;
    PyObject *sender = handle_to(state, chan, CSP_SEND);
    PyObject *receiver = sender == NULL ? NULL : handle_to(state, chan, CSP_RECV);
    PyObject *pair = receiver == NULL ? NULL : PyTuple_Pack(2, sender, receiver);
    Py_XDECREF(sender);
    Py_XDECREF(receiver);
    csp_chan_decref(chan);
    return pair;
}

static PyObject *reply_channel(PyObject *module, PyObject *unused)
{
    csp_state *state = csp_state_of_module(module);
    csp_chan *chan = csp_reply_new();
    csp_note_origin(chan);
    PyObject *sender = chan == NULL ? PyErr_NoMemory() : handle_to(state, chan, CSP_SEND);
    PyObject *receiver = sender == NULL ? NULL : handle_to(state, chan, CSP_RECV);
    PyObject *pair = receiver == NULL ? NULL : PyTuple_Pack(2, sender, receiver);
    Py_XDECREF(sender);
    Py_XDECREF(receiver);
    if (chan != NULL)
        csp_chan_decref(chan);
    return pair;
}

/* --- arguments of the hot calls: positional or by keyword, without a tuple --- */

/* Fill out[i] with the argument called names[i]; `required` of them must be there.  -1 with TypeError set. */
static int parse_fast(const char *function, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                      const char *const *names, Py_ssize_t most, Py_ssize_t required, PyObject **out)
{
    Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (nargs > most) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments (%zd given)", function, most, nargs);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++)
        out[i] = args[i];
    for (Py_ssize_t k = 0; k < nkw; k++) {
        PyObject *key = PyTuple_GET_ITEM(kwnames, k);
        Py_ssize_t i = 0;
        while (i < most && PyUnicode_CompareWithASCIIString(key, names[i]) != 0)
            i++;
        if (i == most) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function, key);
            return -1;
        }
        if (out[i] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%s'", function, names[i]);
            return -1;
        }
        out[i] = args[nargs + k];
    }
    for (Py_ssize_t i = 0; i < required; i++) {
        if (out[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s'", function, names[i]);
            return -1;
        }
    }
    return 0;
}

/* --- send and receive --- */

static PyObject *send_until(csp_handle *self, PyObject *value, csp_time deadline, csp_status refused)
{
    csp_op op;
    csp_op_init(&op, self, CSP_SEND);
    if (csp_encode(self->state, self->end->chan, value, &op.c.msg) < 0)
        return csp_annotate(self->state, (PyObject *)self, -1);
    csp_status status = csp_op_run(self->state, &op, deadline);
    if (status == CSP_OK)
        Py_RETURN_NONE;
    csp_msg_unsend(&op.c.msg);
    if (status == CSP_TIMEOUT && refused != CSP_OK)
        status = refused;
    return csp_raise(self->state, status, CSP_SEND, self->end->chan, (PyObject *)self, -1);
}

static PyObject *handle_send(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    csp_handle *self = handle_of(object);
    if (nargs == 1 && kwnames == NULL)
        return send_until(self, args[0], CSP_NEVER, CSP_OK);
    static const char *const names[] = {"value", "timeout"};
    PyObject *out[2] = {NULL, NULL};
    csp_time deadline;
    if (parse_fast("send", args, nargs, kwnames, names, 2, 1, out) < 0 || csp_parse_timeout(out[1], &deadline) < 0)
        return NULL;
    return send_until(self, out[0], deadline, CSP_OK);
}

static PyObject *handle_send_nowait(PyObject *object, PyObject *value)
{
    return send_until(handle_of(object), value, CSP_POLL, CSP_WOULD_BLOCK);
}

/* The value of a message just received; the message is empty afterwards. */
static PyObject *value_of(csp_handle *self, csp_msg *msg)
{
    PyObject *value = csp_take(self->state, self->end->chan, msg);
    return value != NULL ? value : csp_annotate(self->state, (PyObject *)self, -1);
}

static PyObject *recv_until(csp_handle *self, csp_time deadline)
{
    csp_op op;
    csp_op_init(&op, self, CSP_RECV);
    csp_status status = csp_op_run(self->state, &op, deadline);
    if (status == CSP_OK)
        return value_of(self, &op.c.msg);
    return csp_raise(self->state, status, CSP_RECV, self->end->chan, (PyObject *)self, -1);
}

static PyObject *handle_recv(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (nargs == 0 && kwnames == NULL)
        return recv_until(handle_of(object), CSP_NEVER);
    static const char *const names[] = {"timeout"};
    PyObject *timeout = NULL;
    csp_time deadline;
    if (parse_fast("recv", args, nargs, kwnames, names, 1, 0, &timeout) < 0 || csp_parse_timeout(timeout, &deadline) < 0)
        return NULL;
    return recv_until(handle_of(object), deadline);
}

static PyObject *handle_recv_nowait(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    csp_handle *self = handle_of(object);
    static const char *const names[] = {"default"};
    PyObject *fallback = NULL;
    if (parse_fast("recv_nowait", args, nargs, kwnames, names, 1, 0, &fallback) < 0)
        return NULL;
    csp_op op;
    csp_op_init(&op, self, CSP_RECV);
    csp_status status = csp_op_run(self->state, &op, CSP_POLL);
    if (status == CSP_OK)
        return value_of(self, &op.c.msg);
    if (status == CSP_TIMEOUT) {
        if (fallback != NULL)
            return Py_NewRef(fallback);
        status = CSP_WOULD_BLOCK;
    }
    return csp_raise(self->state, status, CSP_RECV, self->end->chan, object, -1);
}

static PyObject *handle_next(PyObject *object)
{
    csp_handle *self = handle_of(object);
    csp_op op;
    csp_op_init(&op, self, CSP_RECV);
    csp_status status = csp_op_run(self->state, &op, CSP_NEVER);
    if (status == CSP_OK)
        return value_of(self, &op.c.msg);
    if (status == CSP_END)
        return NULL; /* the end of the iteration, no exception */
    return csp_raise(self->state, status, CSP_RECV, self->end->chan, object, -1);
}

/* --- close, and more handles --- */

static PyObject *handle_close(PyObject *object, PyObject *args, PyObject *kwargs)
{
    csp_handle *self = handle_of(object);
    static char *names[] = {"cause", NULL};
    PyObject *cause = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:close", names, &cause))
        return NULL;
    ENSURE_NOT_FORKED(self);
    csp_msg msg = {.kind = CSP_MSG_EMPTY};
    /* Encoded for a local channel too: it must be decodable by, and freeable without, any one interpreter. */
    if (cause != Py_None && csp_encode_slow(self->state, cause, &msg) < 0)
        return csp_annotate(self->state, object, -1);
    csp_effects fx;
    csp_effects_init(&fx);
    if (self->end->dir == (CSP_SEND | CSP_RECV))
        csp_chan_close(self->end->chan, self->end, &msg, &fx);
    else if (msg.kind != CSP_MSG_EMPTY)
        csp_end_close_because(self->end, &msg, &fx);
    else
        csp_end_close(self->end, &fx);
    csp_effects_run(&fx);
    csp_msg_clear(&msg);
    Py_RETURN_NONE;
}

static PyObject *handle_enter(PyObject *object, PyObject *unused) { return Py_NewRef(object); }

static PyObject *handle_exit(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    csp_handle *self = handle_of(object);
    csp_effects fx;
    ENSURE_NOT_FORKED(self);
    csp_effects_init(&fx);
    if (self->end->dir == (CSP_SEND | CSP_RECV))
        csp_chan_close(self->end->chan, self->end, NULL, &fx);
    else
        csp_end_close(self->end, &fx);
    csp_effects_run(&fx);
    Py_RETURN_NONE;
}

/* A handle on the same channel for `dir`, if this one is open.  A Channel that this side closed is still good for draining,
 * so it makes receivers. */
static PyObject *derive(csp_handle *self, uint8_t dir)
{
    ENSURE_NOT_FORKED(self);
    bool drains = dir == CSP_RECV && (self->end->dir & CSP_SEND);
    if (!drains && atomic_load_explicit(&self->end->closed, memory_order_relaxed)) /* set by this side */
        return csp_raise(self->state, CSP_CLOSED_HANDLE, dir == CSP_SEND ? CSP_SEND : CSP_RECV, self->end->chan,
                         (PyObject *)self, -1);
    return handle_to(self->state, self->end->chan, dir);
}

static PyObject *handle_clone(PyObject *object, PyObject *unused)
{
    return derive(handle_of(object), handle_of(object)->end->dir);
}

static PyObject *get_sender(PyObject *object, void *unused) { return derive(handle_of(object), CSP_SEND); }
static PyObject *get_receiver(PyObject *object, void *unused) { return derive(handle_of(object), CSP_RECV); }

/* --- looking --- */

static PyObject *get_capacity(PyObject *object, void *unused)
{
    size_t capacity = handle_of(object)->end->chan->capacity;
    return capacity == CSP_UNBOUNDED ? PyFloat_FromDouble(Py_HUGE_VAL) : PyLong_FromSize_t(capacity);
}

static PyObject *get_max_bytes(PyObject *object, void *unused)
{
    return csp_max_bytes_object(handle_of(object)->end->chan->max_bytes);
}

static PyObject *get_name(PyObject *object, void *unused)
{
    const char *name = handle_of(object)->end->chan->name;
    return name == NULL ? Py_NewRef(Py_None) : PyUnicode_FromString(name);
}

static PyObject *get_id(PyObject *object, void *unused)
{
    return PyLong_FromUnsignedLongLong(handle_of(object)->end->chan->id);
}

static PyObject *get_closed(PyObject *object, void *unused)
{
    csp_handle *self = handle_of(object);
    csp_chan_info info;
    ENSURE_NOT_FORKED(self);
    csp_chan_inspect(self->end->chan, &info);
    return PyBool_FromLong(info.closed || atomic_load_explicit(&self->end->closed, memory_order_relaxed));
}

static Py_ssize_t handle_length(PyObject *object)
{
    csp_handle *self = handle_of(object);
    csp_chan_info info;
    if (csp_is_forked(self->end)) {
        csp_raise(self->state, CSP_FORKED, CSP_RECV, NULL, object, -1);
        return -1;
    }
    csp_chan_inspect(self->end->chan, &info);
    return (Py_ssize_t)info.buffered;
}

static int handle_bool(PyObject *object) { return 1; }

static PyObject *handle_statistics(PyObject *object, PyObject *unused)
{
    csp_handle *self = handle_of(object);
    csp_chan_info info;
    ENSURE_NOT_FORKED(self);
    csp_chan_inspect(self->end->chan, &info);
    const uint64_t figures[] = {info.counts.sent,       info.counts.received,     info.counts.dropped,
                                info.counts.discarded,  info.buffered,            info.counts.peak,
                                info.waiting_senders,   info.waiting_receivers,   info.senders,
                                info.receivers};
    PyObject *record = PyStructSequence_New(self->state->statistics_type);
    for (Py_ssize_t i = 0; record != NULL && i < (Py_ssize_t)(sizeof figures / sizeof *figures); i++) {
        PyObject *number = PyLong_FromUnsignedLongLong(figures[i]);
        if (number == NULL)
            Py_CLEAR(record);
        else
            PyStructSequence_SetItem(record, i, number);
    }
    PyObject *bytes = record == NULL ? NULL : csp_max_bytes_object(self->end->chan->max_bytes == CSP_UNBOUNDED ? CSP_UNBOUNDED : info.buffered_bytes);
    if (bytes == NULL)
        Py_CLEAR(record);
    else
        PyStructSequence_SetItem(record, (Py_ssize_t)(sizeof figures / sizeof *figures), bytes);
    return record;
}

static PyObject *handle_repr(PyObject *object)
{
    csp_handle *self = handle_of(object);
    csp_chan *chan = self->end->chan;
    csp_chan_info info;
    const char *type = Py_TYPE(object)->tp_name;
    if (csp_is_forked(self->end))
        return PyUnicode_FromFormat("<%s %llu of the parent process>", type, (unsigned long long)chan->id);
    csp_chan_inspect(chan, &info);
    PyObject *capacity = get_capacity(object, NULL), *name = get_name(object, NULL), *text = NULL;
    if (capacity != NULL && name != NULL)
        text = PyUnicode_FromFormat(
            "<%s %llu%s%V capacity=%S buffered=%zu senders=%u receivers=%u waiting=%u+%u%s>", type,
            (unsigned long long)chan->id, chan->name == NULL ? "" : " ", chan->name == NULL ? NULL : name, "", capacity,
            info.buffered, info.senders, info.receivers, info.waiting_senders, info.waiting_receivers,
            info.closed ? " closed"
            : atomic_load_explicit(&self->end->closed, memory_order_relaxed) ? " handle closed" : "");
    Py_XDECREF(capacity);
    Py_XDECREF(name);
    return text;
}

static Py_hash_t handle_hash(PyObject *object)
{
    csp_end *end = handle_of(object)->end;
    Py_hash_t hash = (Py_hash_t)((end->chan->id * 4 + end->dir) * 0x9E3779B97F4A7C15ull >> 1);
    return hash == -1 ? -2 : hash;
}

static PyObject *handle_compare(PyObject *a, PyObject *b, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !csp_is_handle(handle_of(a)->state, b))
        Py_RETURN_NOTIMPLEMENTED;
    csp_end *x = handle_of(a)->end, *y = handle_of(b)->end;
    bool same = x->chan == y->chan && x->dir == y->dir;
    return PyBool_FromLong(same == (op == Py_EQ));
}

static PyObject *handle_reduce(PyObject *object, PyObject *unused)
{
    return csp_raise_format(handle_of(object)->state, CSP_E_NotShareable,
                            "a %s crosses only inside a value sent through a channel, it cannot be pickled or copied",
                            Py_TYPE(object)->tp_name);
}

/* --- types --- */

#define DOC(name, text) PyDoc_STRVAR(name##_doc, text)

DOC(send,
    "send($self, /, value, timeout=None)\n--\n\n"
    "Send a value: hand it to a waiting receiver, or buffer it, or wait until one of these is possible.\n\n"
    "On a rendezvous channel (capacity 0) it returns only once a receiver has taken the value.  `timeout` is in\n"
    "seconds, None for ever, 0 polls; `Timeout` means: not sent, and it never will be.\n\n"
    "Raises NotShareable (before anything is sent), BrokenChannel (nobody can receive, or the other side closed),\n"
    "ClosedHandle (this handle was closed by its own side), Timeout, and in an actor Stopped and Killed.  Whenever it\n"
    "raises, the value was not sent.\n\n"
    "    jobs.send({'page': 7}, timeout=2.5)");
DOC(send_nowait,
    "send_nowait($self, value, /)\n--\n\n"
    "Send a value only if a receiver waits or the buffer has room; else raise WouldBlock.  Never waits.");
DOC(recv,
    "recv($self, /, timeout=None)\n--\n\n"
    "Receive the oldest value, waiting for one if there is none.\n\n"
    "`timeout` is in seconds, None for ever, 0 polls; `Timeout` means: nothing was taken.  Once the sending side is\n"
    "closed, what is buffered is still received; then EndOfChannel, whose `.cause` says why if that is known.\n\n"
    "Raises EndOfChannel, ClosedHandle (a RecvChannel that this side closed), DecodeError (this value cannot be\n"
    "rebuilt here and is gone; the channel stays usable), Timeout, and in an actor Stopped and Killed.");
DOC(recv_nowait,
    "recv_nowait($self, /, default=...)\n--\n\n"
    "Receive a value if one is there.  Without one: `default` if it is given, else WouldBlock.  Never waits.\n"
    "A closed and drained channel raises EndOfChannel, with a default too.");
DOC(lease,
    "lease($self, /, timeout=None)\n--\n\n"
    "A context manager that receives a value on entry and takes it for good only when the block ends.\n\n"
    "If the block raises, or its interpreter dies, the value goes back to the head of the channel.  The manager's\n"
    "`deliveries` counts how often the value has been handed out; the first is 1.\n\n"
    "    lease = jobs.lease()\n"
    "    with lease as job:\n"
    "        if lease.deliveries > 3: ...");
DOC(close,
    "close($self, /, cause=None)\n--\n\n"
    "Close.  Idempotent, never blocks; waiting parties are woken at once.\n\n"
    "On a Channel it closes the channel for everyone: receivers drain what is buffered and then get EndOfChannel with\n"
    "`cause`; senders, also those already waiting, get BrokenChannel (ClosedHandle through this very handle).\n"
    "On a SendChannel or RecvChannel it gives up this handle only, and waits going on through it end with ClosedHandle.");
DOC(clone, "clone($self, /)\n--\n\nAnother counted handle to the same end.  Closing one leaves the other open.");
DOC(statistics,
    "statistics($self, /)\n--\n\n"
    "The channel's figures now, as an immutable record: sent, received, dropped, discarded, buffered, peak,\n"
    "waiting_senders, waiting_receivers, senders, receivers; by name only, buffered_bytes, None without max_bytes.\n"
    "Open handles are counted over all interpreters.");
DOC(enter, "__enter__($self, /)\n--\n\nThe handle itself, which is closed on leaving the block.");
DOC(exit, "__exit__($self, /, *exc)\n--\n\nClose the handle.");
DOC(reduce, "__reduce__($self, /)\n--\n\nRefuse: a handle crosses only inside a value sent through a channel.");

#define FAST(f) ((PyCFunction)(void (*)(void))(f))
#define SEND_METHODS                                                                                \
    {"send", FAST(handle_send), METH_FASTCALL | METH_KEYWORDS, send_doc},                           \
    {"send_nowait", handle_send_nowait, METH_O, send_nowait_doc},                                   \
    {"asend", csp_handle_asend, METH_O, csp_asend_doc},                                             \
    {"send_many", FAST(csp_handle_send_many), METH_VARARGS | METH_KEYWORDS, csp_send_many_doc}
#define RECV_METHODS                                                                                \
    {"recv", FAST(handle_recv), METH_FASTCALL | METH_KEYWORDS, recv_doc},                           \
    {"recv_nowait", FAST(handle_recv_nowait), METH_FASTCALL | METH_KEYWORDS, recv_nowait_doc},      \
    {"arecv", csp_handle_arecv, METH_NOARGS, csp_arecv_doc},                                             \
    {"recv_many", FAST(csp_handle_recv_many), METH_VARARGS | METH_KEYWORDS, csp_recv_many_doc},         \
    {"lease", FAST(csp_handle_lease), METH_VARARGS | METH_KEYWORDS, lease_doc}
#define COMMON_METHODS                                                                              \
    {"close", FAST(handle_close), METH_VARARGS | METH_KEYWORDS, close_doc},                         \
    {"clone", handle_clone, METH_NOARGS, clone_doc},                                                \
    {"statistics", handle_statistics, METH_NOARGS, statistics_doc},                                 \
    {"__enter__", handle_enter, METH_NOARGS, enter_doc},                                            \
    {"__exit__", FAST(handle_exit), METH_FASTCALL, exit_doc},                                       \
    {"__aenter__", csp_handle_aenter, METH_NOARGS, csp_aenter_doc},                                             \
    {"__aexit__", csp_handle_aexit, METH_VARARGS, csp_aexit_doc},                                             \
    {"__reduce__", handle_reduce, METH_NOARGS, reduce_doc},                                         \
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, PyDoc_STR("Channel[int]: for annotations.")}
#define COMMON_GETTERS                                                                              \
    {"capacity", get_capacity, NULL, PyDoc_STR("Values the buffer holds: 0 for a rendezvous, math.inf if unbounded.")},   \
    {"max_bytes", get_max_bytes, NULL, PyDoc_STR("Bytes of values that the buffer holds at most; None if only their number is bounded.")}, \
    {"name", get_name, NULL, PyDoc_STR("The name given to the channel, or None.")},                 \
    {"id", get_id, NULL, PyDoc_STR("The channel's number, unique in the process.")},                \
    {"closed", get_closed, NULL, PyDoc_STR("True if this handle was closed, or the whole channel was.")}

static PyMethodDef channel_methods[] = {SEND_METHODS, RECV_METHODS, COMMON_METHODS, {NULL}};
static PyMethodDef send_methods[] = {SEND_METHODS, COMMON_METHODS, {NULL}};
static PyMethodDef recv_methods[] = {RECV_METHODS, COMMON_METHODS, {NULL}};

#define SENDER_GETTER {"sender", get_sender, NULL, PyDoc_STR("A new counted handle for sending only.")}
#define RECEIVER_GETTER {"receiver", get_receiver, NULL, PyDoc_STR("A new counted handle for receiving only.")}
static PyGetSetDef channel_getters[] = {COMMON_GETTERS, SENDER_GETTER, RECEIVER_GETTER, {NULL}};
static PyGetSetDef one_way_getters[] = {COMMON_GETTERS, {NULL}};

static PyMemberDef handle_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(csp_handle, weakrefs), Py_READONLY},
    {NULL},
};

PyDoc_STRVAR(channel_doc,
             "Channel(capacity=0, *, name=None, overflow='block', local=False, max_bytes=None)\n--\n\n"
             "A channel of values between any threads of any interpreters of this process, and a handle to both its ends.\n\n"
             "capacity 0 is a rendezvous: a send returns once a receiver has the value.  n > 0 is a bounded FIFO buffer,\n"
             "math.inf an unbounded one.  overflow 'drop_oldest' and 'drop_newest' (1 <= capacity < inf) never block a\n"
             "sender and count what they drop.  Values are copied: what the receiver gets never aliases what the\n"
             "sender kept.  With local=True values pass by reference and the channel cannot leave its interpreter.\n\n"
             "max_bytes bounds the buffer by the bytes of its values too; then capacity is infinite unless it is given.  A\n"
             "value larger than that goes into an empty buffer only.  Shared memory counts as nothing.\n\n"
             "A Channel counts as a sender and as a receiver.  Pass `ch.sender` and `ch.receiver` on, so that the end of\n"
             "a side can be noticed.\n\n"
             "    ch = Channel(16)\n"
             "    ch.send('hello')\n"
             "    for value in ch: ...        # until it is closed");
PyDoc_STRVAR(send_channel_doc, "A handle to the sending end of a channel: `Channel.sender`, or the first of `csp.channel()`.");
PyDoc_STRVAR(recv_channel_doc, "A handle to the receiving end of a channel: `Channel.receiver`, the second of "
                               "`csp.channel()`, or a timer.");

#define COMMON_SLOTS(docs, methods, getters)                                                        \
    {Py_tp_doc, (void *)(docs)}, {Py_tp_dealloc, handle_dealloc}, {Py_tp_methods, methods}, {Py_tp_getset, getters},     \
        {Py_tp_members, handle_members}, {Py_tp_repr, handle_repr}, {Py_tp_hash, handle_hash},      \
        {Py_tp_richcompare, handle_compare}, {Py_sq_length, handle_length}, {Py_nb_bool, handle_bool}

static PyType_Slot channel_slots[] = {
    COMMON_SLOTS(channel_doc, channel_methods, channel_getters),
    {Py_tp_new, channel_new}, {Py_tp_iter, PyObject_SelfIter}, {Py_tp_iternext, handle_next},
    {Py_am_aiter, PyObject_SelfIter}, {Py_am_anext, csp_handle_anext}, {0, NULL},
};
static PyType_Slot send_slots[] = {COMMON_SLOTS(send_channel_doc, send_methods, one_way_getters), {0, NULL}};
static PyType_Slot recv_slots[] = {
    COMMON_SLOTS(recv_channel_doc, recv_methods, one_way_getters),
    {Py_tp_iter, PyObject_SelfIter}, {Py_tp_iternext, handle_next},
    {Py_am_aiter, PyObject_SelfIter}, {Py_am_anext, csp_handle_anext}, {0, NULL},
};

#define FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE)
static PyType_Spec channel_spec = {"csp.Channel", sizeof(csp_handle), 0, FLAGS, channel_slots};
static PyType_Spec send_spec = {"csp.SendChannel", sizeof(csp_handle), 0, FLAGS | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                send_slots};
static PyType_Spec recv_spec = {"csp.RecvChannel", sizeof(csp_handle), 0, FLAGS | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                recv_slots};

static PyStructSequence_Field statistics_fields[] = {
    {"sent", "values accepted: handed over, buffered, or dropped by the overflow policy"},
    {"received", "values taken out"},
    {"dropped", "values that the overflow policy threw away"},
    {"discarded", "values that nobody was left to receive"},
    {"buffered", "values in the buffer now"},
    {"peak", "most values ever in the buffer at once"},
    {"waiting_senders", "senders waiting now"},
    {"waiting_receivers", "receivers waiting now"},
    {"senders", "open sending handles, over all interpreters"},
    {"receivers", "open receiving handles, over all interpreters"},
    {"buffered_bytes", "bytes of the values in the buffer now; None without max_bytes"}, /* by name only: the tuple has ten items */
    {NULL},
};
static PyStructSequence_Desc statistics_desc = {"csp.ChannelStatistics", "The figures of a channel at one moment.",
                                                statistics_fields, 10};

int csp_add_channel_types(PyObject *module, csp_state *state)
{
    const struct {
        PyTypeObject **where;
        PyType_Spec *spec;
    } types[] = {{&state->channel_type, &channel_spec},
                 {&state->send_channel_type, &send_spec},
                 {&state->recv_channel_type, &recv_spec}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        *types[i].where = (PyTypeObject *)PyType_FromModuleAndSpec(module, types[i].spec, NULL);
        if (*types[i].where == NULL || PyModule_AddType(module, *types[i].where) < 0)
            return -1;
    }
    state->statistics_type = PyStructSequence_NewType(&statistics_desc);
    if (state->statistics_type == NULL)
        return -1;
    return PyModule_AddType(module, state->statistics_type);
}

PyDoc_STRVAR(channel_pair_doc,
             "channel(capacity=0, *, name=None, overflow='block', local=False, max_bytes=None)\n--\n\n"
             "Make a channel and return its two one-way handles, (SendChannel, RecvChannel).  See Channel for the options.");

PyMethodDef csp_channel_functions[] = {
    {"channel", FAST(channel_pair), METH_VARARGS | METH_KEYWORDS, channel_pair_doc},
    {"reply_channel", reply_channel, METH_NOARGS,
     PyDoc_STR("reply_channel() -> (sender, receiver) for the one answer to a request.")},
    {NULL},
};
