/* send_many and recv_many: batches under one lock and with one wake-up. */
#include "py_batch.h"

#include "codec.h"
#include "mem.h"
#include "py_wait.h"

/* A growing array of messages, in RAW memory; small ones on the stack. */
typedef struct {
    csp_msg *msgs; /* RAW or `few` */
    size_t n, room;
    csp_msg few[32];
} batch;

static void batch_init(batch *b)
{
    b->msgs = b->few;
    b->n = 0;
    b->room = sizeof b->few / sizeof *b->few;
}

static int batch_reserve(batch *b, size_t room)
{
    if (room <= b->room)
        return 0;
    csp_msg *msgs = room > SIZE_MAX / sizeof *msgs ? NULL : csp_raw_alloc(room * sizeof *msgs);
    if (msgs == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(msgs, b->msgs, b->n * sizeof *msgs);
    if (b->msgs != b->few)
        csp_raw_free(b->msgs);
    b->msgs = msgs;
    b->room = room;
    return 0;
}

/* Messages from `from` on are still ours: clear them, and free the array. */
static void batch_destroy(batch *b, size_t from)
{
    for (size_t i = from; i < b->n; i++)
        csp_msg_clear(&b->msgs[i]);
    if (b->msgs != b->few)
        csp_raw_free(b->msgs);
}

/* Those from `from` on were not sent. */
static void batch_unsend(batch *b, size_t from)
{
    for (size_t i = from; i < b->n; i++)
        csp_msg_unsend(&b->msgs[i]);
    batch_destroy(b, b->n);
}

/* --- send_many --- */

static int encode_all(csp_handle *self, PyObject *values, batch *b)
{
    PyObject *iterator = PyObject_GetIter(values), *value;
    if (iterator == NULL)
        return -1;
    while ((value = PyIter_Next(iterator)) != NULL) {
        int rc = b->n < b->room ? 0 : batch_reserve(b, b->room * 2);
        if (rc == 0) {
            b->msgs[b->n].kind = CSP_MSG_EMPTY;
            rc = csp_encode(self->state, self->end->chan, value, &b->msgs[b->n]);
        }
        Py_DECREF(value);
        if (rc < 0) {
            Py_DECREF(iterator);
            csp_annotate(self->state, (PyObject *)self, -1);
            return -1;
        }
        b->n++;
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? -1 : 0;
}

/* Send b->msgs[*p_sent ..], waiting while the channel is full. */
static csp_status send_all(csp_handle *self, batch *b, csp_time deadline, size_t *p_sent)
{
    csp_status status = CSP_OK;
    csp_op op;
    while (*p_sent < b->n) {
        csp_effects fx;
        size_t done = 0;
        csp_effects_init(&fx);
        csp_op_init(&op, self, CSP_SEND);
        if (csp_is_forked(self->end))
            return CSP_FORKED;
        if ((status = csp_may_begin(self->state)) != CSP_OK)
            return status;
        status = csp_chan_try_send_many(&op.c, b->msgs + *p_sent, b->n - *p_sent, &done, &fx);
        csp_effects_run(&fx);
        *p_sent += done;
        if (status != CSP_PENDING)
            return status;
        csp_msg_move(&op.c.msg, &b->msgs[*p_sent]); /* full: wait with the next one */
        status = csp_op_run(self->state, &op, deadline);
        if (status != CSP_OK) {
            csp_msg_move(&b->msgs[*p_sent], &op.c.msg);
            return status;
        }
        (*p_sent)++;
    }
    return CSP_OK;
}

PyObject *csp_handle_send_many(PyObject *object, PyObject *args, PyObject *kwargs)
{
    csp_handle *self = (csp_handle *)object;
    static char *names[] = {"values", "timeout", NULL};
    PyObject *values, *timeout = NULL;
    csp_time deadline;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:send_many", names, &values, &timeout) ||
        csp_parse_timeout(timeout, &deadline) < 0)
        return NULL;
    batch b;
    size_t sent = 0;
    batch_init(&b);
    if (encode_all(self, values, &b) < 0) {
        batch_unsend(&b, 0);
        return NULL;
    }
    csp_status status = send_all(self, &b, deadline, &sent);
    batch_unsend(&b, sent);
    PyObject *count = PyLong_FromSize_t(sent);
    if (status == CSP_OK || count == NULL)
        return count;
    csp_raise(self->state, status, CSP_SEND, self->end->chan, object, -1);
    PyObject *exception = PyErr_GetRaisedException();
    if (PyObject_SetAttr(exception, self->state->str_sent, count) < 0)
        PyErr_Clear(); /* MemoryError and the like take no attribute */
    PyErr_SetRaisedException(exception);
    Py_DECREF(count);
    return NULL;
}

/* --- recv_many --- */

/* Values not handed to the caller go back to the head, last first, so their order is kept. */
static void give_back(csp_handle *self, batch *b, size_t from)
{
    for (size_t i = b->n; i-- > from;)
        csp_put_back(self->end->chan, &b->msgs[i]);
    b->n = from;
}

/* As many as can be rebuilt, into the list; the messages stay whole.  With an exception set if there are more. */
static size_t decode_into(csp_handle *self, batch *b, PyObject *list)
{
    size_t done = 0;
    for (; done < b->n; done++) {
        PyObject *value = csp_decode(self->state, &b->msgs[done], false);
        int rc = value == NULL ? -1 : PyList_Append(list, value);
        Py_XDECREF(value);
        if (rc < 0)
            break;
    }
    return done;
}

/* Decode in order.  One that cannot be rebuilt goes back with those after it, and raises next time when it is the first.  What
 * says nothing about the values, as Ctrl-C, gives all of them back. */
static PyObject *decode_all(csp_handle *self, batch *b)
{
    PyObject *list = PyList_New(0);
    size_t done = list == NULL ? 0 : decode_into(self, b, list);
    if (list != NULL && (done == b->n || (done > 0 && PyErr_ExceptionMatches(PyExc_Exception)))) {
        PyErr_Clear();
        give_back(self, b, done);
        return list; /* the caller clears the messages that were handed out */
    }
    PyObject *exception = PyErr_GetRaisedException();
    Py_XDECREF(list); /* its values may run Python as they go */
    PyErr_SetRaisedException(exception);
    give_back(self, b, done == 0 && list != NULL && csp_value_is_bad() ? 1 : 0); /* a culprit is gone, as with recv */
    return csp_annotate(self->state, (PyObject *)self, -1);
}

static csp_status take_ready(csp_handle *self, batch *b, size_t limit)
{
    csp_effects fx;
    csp_op op;
    size_t done = 0;
    csp_effects_init(&fx);
    csp_op_init(&op, self, CSP_RECV);
    csp_status status = csp_chan_try_recv_many(&op.c, b->msgs + b->n, limit - b->n, &done, &fx);
    csp_effects_run(&fx);
    b->n += done;
    return status;
}

/* As many as are there now, at most `limit`: room is made for what is buffered or held by waiting senders. */
static int reserve_for(csp_handle *self, batch *b, size_t limit)
{
    csp_chan_info info;
    csp_chan_inspect(self->end->chan, &info);
    size_t there = info.buffered + info.waiting_senders;
    size_t room = there < limit ? there : limit;
    return batch_reserve(b, room > 0 ? room : 1);
}

PyObject *csp_handle_recv_many(PyObject *object, PyObject *args, PyObject *kwargs)
{
    csp_handle *self = (csp_handle *)object;
    static char *names[] = {"limit", "timeout", NULL};
    PyObject *number, *timeout = NULL;
    csp_time deadline;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:recv_many", names, &number, &timeout) ||
        csp_parse_timeout(timeout, &deadline) < 0)
        return NULL;
    if (!PyIndex_Check(number))
        return PyErr_Format(PyExc_TypeError, "limit must be an int, not %.100s", Py_TYPE(number)->tp_name);
    Py_ssize_t limit = PyNumber_AsSsize_t(number, NULL); /* no matter by how much it is beyond what can be there */
    if (limit == -1 && PyErr_Occurred())
        return NULL;
    if (limit < 1)
        return PyErr_Format(PyExc_ValueError, "limit must be at least 1, not %R", number);
    if (csp_is_forked(self->end))
        return csp_raise(self->state, CSP_FORKED, CSP_RECV, NULL, object, -1);
    csp_status status = csp_may_begin(self->state);
    if (status != CSP_OK)
        return csp_raise(self->state, status, CSP_RECV, self->end->chan, object, -1);
    batch b;
    batch_init(&b);
    if (reserve_for(self, &b, (size_t)limit) < 0)
        return NULL;
    size_t most = b.room < (size_t)limit ? b.room : (size_t)limit;
    status = take_ready(self, &b, most);
    if (b.n == 0 && status == CSP_PENDING) {
        csp_op op;
        csp_op_init(&op, self, CSP_RECV);
        status = csp_op_run(self->state, &op, deadline);
        if (status == CSP_OK) {
            csp_msg_move(&b.msgs[b.n++], &op.c.msg);
            take_ready(self, &b, most); /* its outcome is the next call's business */
        }
    }
    PyObject *result = b.n > 0 ? decode_all(self, &b)
                               : csp_raise(self->state, status, CSP_RECV, self->end->chan, object, -1);
    batch_destroy(&b, 0);
    return result;
}

const char csp_send_many_doc[] = PyDoc_STR(
    "send_many($self, /, values, timeout=None)\n--\n\n"
    "Send all values of an iterable, in order, as batches under one lock and with one wake-up; return how many.\n\n"
    "All values are encoded before the first is sent.  It waits while the channel is full.  If the deadline passes or\n"
    "the channel breaks, the exception's `.sent` says how many values went; the others never will.");
const char csp_recv_many_doc[] = PyDoc_STR(
    "recv_many($self, /, limit, timeout=None)\n--\n\n"
    "Wait for one value, then take what is there, up to `limit`; return a list of at least one.\n\n"
    "`timeout` bounds the wait for the first.  If a value cannot be rebuilt here, those before it are returned and it\n"
    "raises DecodeError in the next call.");
