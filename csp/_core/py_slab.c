/* What a process and the process of its actor pass to each other beside bytes: descriptors, and memory that both have mapped.
 *
 * All that is received is owned by an object from the moment it is here, so that nothing is left open by whatever strikes the thread
 * between two lines of Python.
 */
#include "codec.h"
#include "state.h"

#include "slab.h"

#ifndef _WIN32
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif
#endif

/* --- a descriptor --- */

typedef struct {
    PyObject_HEAD
    int fd; /* owned */
} descriptor_object;

#ifndef _WIN32

/* Takes over `fd`, also on failure. */
static PyObject *descriptor_new(csp_state *state, int fd)
{
    descriptor_object *self = PyObject_New(descriptor_object, state->descriptor_type);
    if (self == NULL) {
        close(fd);
        return NULL;
    }
    self->fd = fd;
    return (PyObject *)self;
}

PyObject *csp_descriptor_of(csp_state *state, int fd)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return own < 0 ? PyErr_SetFromErrno(PyExc_OSError) : descriptor_new(state, own);
}

static void descriptor_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    close(((descriptor_object *)op)->fd);
    PyObject_Free(op);
    Py_DECREF(type);
}

#else

PyObject *csp_descriptor_of(csp_state *state, int fd)
{
    PyErr_SetString(PyExc_NotImplementedError, "no descriptors are passed on this system");
    return (void)state, (void)fd, NULL;
}

static void descriptor_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_Free(op);
    Py_DECREF(type);
}

#endif

static PyObject *descriptor_fileno(PyObject *op, PyObject *unused) { return PyLong_FromLong(((descriptor_object *)op)->fd); }

static PyMethodDef descriptor_methods[] = {
    {"fileno", descriptor_fileno, METH_NOARGS, PyDoc_STR("fileno() -> int")},
    {NULL},
};

static PyType_Slot descriptor_slots[] = {
    {Py_tp_doc, "A file that was passed, or is to be: closed with the object."},
    {Py_tp_dealloc, (void *)descriptor_dealloc},
    {Py_tp_methods, descriptor_methods},
    {0, NULL},
};

static PyType_Spec descriptor_spec = {
    .name = "csp._core.Descriptor",
    .basicsize = sizeof(descriptor_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = descriptor_slots,
};

/* --- receiving --- */

#ifndef _WIN32

#define MOST_FILES 253 /* SCM_MAX_FD: the kernel passes no more at a time */

/* Append a Descriptor for each that came; those that cannot be are closed.  0, or -1 with an exception set. */
static int take_files(csp_state *state, struct msghdr *message, PyObject *files)
{
    int failed = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (failed) {
                close(fd);
                continue;
            }
            if (MSG_CMSG_CLOEXEC == 0)
                fcntl(fd, F_SETFD, FD_CLOEXEC);
            PyObject *file = descriptor_new(state, fd);
            failed = file == NULL || PyList_Append(files, file) < 0;
            Py_XDECREF(file);
        }
    }
    if (!failed && message->msg_flags & MSG_CTRUNC) {
        PyErr_SetString(PyExc_RuntimeError, "files that were passed are lost: this process has too many open");
        failed = 1;
    }
    return failed ? -1 : 0;
}

/* As sock.recv_into(buffer), with what comes along. */
static PyObject *receive(PyObject *module, PyObject *args)
{
    int fd;
    Py_buffer buffer;
    PyObject *files;
    if (!PyArg_ParseTuple(args, "iw*O!:receive", &fd, &buffer, &PyList_Type, &files))
        return NULL;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * MOST_FILES)];
    struct iovec into = {buffer.buf, (size_t)buffer.len};
    struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = control};
    ssize_t n = -1;
    for (;;) {
        message.msg_controllen = sizeof control;
        int error;
        Py_BEGIN_ALLOW_THREADS
        n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
        error = errno;
        Py_END_ALLOW_THREADS
        errno = error;
        if (n >= 0 || errno != EINTR)
            break;
        if (PyErr_CheckSignals() < 0) {
            PyBuffer_Release(&buffer);
            return NULL;
        }
    }
    PyBuffer_Release(&buffer);
    if (n < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    if ((message.msg_controllen > 0 || message.msg_flags & MSG_CTRUNC) && take_files(csp_state_of_module(module), &message, files) < 0)
        return NULL;
    return PyLong_FromSsize_t(n);
}

#endif

/* --- slabs --- */

typedef struct {
    PyObject_HEAD
    csp_slab *slab; /* counted */
} slab_object;

static csp_slab *slab_of(PyObject *op) { return ((slab_object *)op)->slab; }

/* Takes over the slab, also on failure. */
static PyObject *slab_new(csp_state *state, csp_slab *slab)
{
    slab_object *self = PyObject_New(slab_object, state->slab_type);
    if (self == NULL) {
        csp_slab_decref(slab);
        return NULL;
    }
    self->slab = slab;
    return (PyObject *)self;
}

static void slab_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    csp_slab_decref(slab_of(op));
    PyObject_Free(op);
    Py_DECREF(type);
}

static PyObject *slab_claim(PyObject *op, PyObject *unused) { return PyBool_FromLong(csp_slab_claim(slab_of(op))); }

static PyObject *slab_unclaim(PyObject *op, PyObject *unused)
{
    csp_slab_unclaim(slab_of(op));
    Py_RETURN_NONE;
}

static PyObject *slab_fill(PyObject *op, PyObject *bytes)
{
    Py_buffer view;
    if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    csp_slab *slab = slab_of(op);
    bool fits = (size_t)view.len <= slab->size;
    if (fits) {
        Py_BEGIN_ALLOW_THREADS
        memcpy(csp_slab_data(slab), view.buf, (size_t)view.len);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&view);
    if (!fits)
        return PyErr_Format(PyExc_ValueError, "a slab of %zu bytes", slab->size);
    Py_RETURN_NONE;
}

static PyObject *slab_view(PyObject *op, PyObject *length)
{
    size_t n = PyLong_AsSize_t(length);
    if (n == (size_t)-1 && PyErr_Occurred())
        return NULL;
    csp_block *block = csp_slab_block(slab_of(op), n);
    if (block == NULL)
        return PyErr_Format(PyExc_ValueError, "a slab of %zu bytes that is in use, or shorter than that", slab_of(op)->size);
    Py_ssize_t shape = (Py_ssize_t)n;
    return csp_block_view(csp_state_of_type(Py_TYPE(op)), block, "B", 1, 1, 1, &shape, false);
}

static PyObject *slab_nbytes(PyObject *op, void *closure) { return PyLong_FromSize_t(slab_of(op)->size); }

static PyMethodDef slab_methods[] = {
    {"claim", slab_claim, METH_NOARGS, PyDoc_STR("claim() -> bool\n\nTake it to fill it, if the other process is done with it.")},
    {"unclaim", slab_unclaim, METH_NOARGS, PyDoc_STR("unclaim()\n\nIt was claimed, and is not sent.")},
    {"fill", slab_fill, METH_O, PyDoc_STR("fill(bytes)\n\nCopy them into it, which was claimed.")},
    {"view", slab_view, METH_O,
     PyDoc_STR("view(length) -> memoryview\n\nOf what the other process has filled it with; it is that one's again when the memory is not used.")},
    {NULL},
};

static PyGetSetDef slab_getset[] = {
    {"nbytes", slab_nbytes, NULL, PyDoc_STR("bytes that there is room for"), NULL},
    {NULL},
};

static PyType_Slot slab_slots[] = {
    {Py_tp_doc, "Memory that two processes have mapped, in which values travel."},
    {Py_tp_dealloc, (void *)slab_dealloc},
    {Py_tp_methods, slab_methods},
    {Py_tp_getset, slab_getset},
    {0, NULL},
};

static PyType_Spec slab_spec = {
    .name = "csp._core.Slab",
    .basicsize = sizeof(slab_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slab_slots,
};

#ifndef _WIN32

static PyObject *make_slab(PyObject *module, PyObject *size)
{
    csp_state *state = csp_state_of_module(module);
    size_t n = PyLong_AsSize_t(size);
    if (n == (size_t)-1 && PyErr_Occurred())
        return NULL;
    int fd;
    csp_slab *slab;
    Py_BEGIN_ALLOW_THREADS
    slab = csp_slab_new(n, &fd);
    Py_END_ALLOW_THREADS
    if (slab == NULL)
        Py_RETURN_NONE;
    PyObject *made = slab_new(state, slab), *file = descriptor_new(state, fd);
    PyObject *pair = made == NULL || file == NULL ? NULL : PyTuple_Pack(2, made, file);
    Py_XDECREF(made);
    Py_XDECREF(file);
    return pair;
}

static PyObject *slab_of_file(PyObject *module, PyObject *file)
{
    csp_state *state = csp_state_of_module(module);
    if (Py_TYPE(file) != state->descriptor_type)
        return PyErr_Format(PyExc_TypeError, "a Descriptor, not %.100s", Py_TYPE(file)->tp_name);
    csp_slab *slab;
    int fd = ((descriptor_object *)file)->fd;
    Py_BEGIN_ALLOW_THREADS
    slab = csp_slab_of(fd);
    Py_END_ALLOW_THREADS
    if (slab == NULL) {
        PyErr_SetString(PyExc_MemoryError, "memory of the other process could not be mapped");
        return NULL;
    }
    return slab_new(state, slab);
}

#endif

static PyObject *slabs(PyObject *module, PyObject *unused) { return Py_BuildValue("(ln)", csp_slabs_live(), (Py_ssize_t)csp_slabs_idle()); }

PyMethodDef csp_slab_functions[] = {
#ifndef _WIN32
    {"receive", receive, METH_VARARGS,
     PyDoc_STR("receive(fd, buffer, files) -> int\n\nRead from a socket, as its recv_into(); Descriptors of files that come along are\n"
               "appended to the list.")},
    {"make_slab", make_slab, METH_O,
     PyDoc_STR("make_slab(nbytes) -> (Slab, Descriptor) to fill and to pass, or None where there are no such files")},
    {"slab_of_file", slab_of_file, METH_O, PyDoc_STR("slab_of_file(descriptor) -> Slab that the other process fills")},
#endif
    {"slabs", slabs, METH_NOARGS, PyDoc_STR("slabs() -> (how many there are, bytes of those that are kept for the next value)")},
    {NULL},
};

int csp_add_slab_types(PyObject *module, csp_state *state)
{
    state->descriptor_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &descriptor_spec, NULL);
    state->slab_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &slab_spec, NULL);
    if (state->descriptor_type == NULL || state->slab_type == NULL || PyModule_AddType(module, state->descriptor_type) < 0)
        return -1;
    return PyModule_AddType(module, state->slab_type);
}
