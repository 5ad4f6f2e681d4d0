/* Crossing, above the flat encoding: what goes by pickle, and what a failure is called.
 *
 * A value that the flat encoding does not cover goes as a whole through csp/_pickling.py: objects inside and outside of a pickle
 * could not keep their shared references otherwise.  Its message is the pickle and, flat, the list of what travels beside it.
 *
 * encode.c and decode.c have the flat encoding; the functions below are for csp._pickling and for tests.
 */
#include "codec.h"

#include "actor.h"
#include "flat.h"
#include "mem.h"
#include "move.h"
#include "shared_buffer.h"

PyObject *csp_pickling(csp_state *state)
{
    if (state->pickling == NULL) {
        PyObject *module = PyImport_ImportModule("csp._pickling");
        if (module != NULL)
            Py_XSETREF(state->pickling, module); /* another thread may have been here during the import */
    }
    return state->pickling;
}

/* Call a method with one or two arguments.  By an interned name: a new string each time would fill the interpreter's
 * cache of attributes, which keeps the names. */
static PyObject *call_method(PyObject *self, const char *name, PyObject *first, PyObject *second)
{
    PyObject *interned = PyUnicode_InternFromString(name);
    if (interned == NULL)
        return NULL;
    PyObject *result = PyObject_CallMethodObjArgs(self, interned, first, second, NULL);
    Py_DECREF(interned);
    return result;
}

/* --- encoding --- */

static int encode_pickled(csp_state *state, PyObject *value, csp_msg *msg, bool *p_final)
{
    PyObject *pickling = csp_pickling(state);
    PyObject *dumped = pickling == NULL ? NULL : call_method(pickling, "dumps", value, NULL);
    if (dumped == NULL)
        return -1;
    PyObject *pickle, *parts; /* the pickle, and the list of what it asks for, in that order */
    int r = PyArg_ParseTuple(dumped, "SO!", &pickle, &PyList_Type, &parts) ? csp_flat_encode(state, pickle, parts, msg, p_final) : -1;
    Py_DECREF(dumped);
    if (r > 0)
        PyErr_SetString(PyExc_SystemError, "csp._pickling put an object beside the pickle that does not cross natively");
    return r == 0 ? 0 : -1;
}

/* Turn the exception that is set into NotShareable, with the path to the offending part and the original as the cause.
 * MemoryError, and what is no Exception, stay as they are. */
static void refuse(csp_state *state, PyObject *value)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError))
        return;
    PyObject *original = PyErr_GetRaisedException();
    PyObject *pickling = csp_pickling(state);
    PyObject *text = pickling == NULL ? NULL : call_method(pickling, "explain", value, original);
    if (text == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_Exception)) { /* say, Ctrl-C in the search */
            Py_DECREF(original);
            return;
        }
        PyErr_Clear();
        text = PyUnicode_FromFormat("the value cannot cross (%s)", Py_TYPE(original)->tp_name);
    }
    PyObject *error = text == NULL ? NULL : PyObject_CallOneArg(state->errors[CSP_E_NotShareable], text);
    Py_XDECREF(text);
    if (error == NULL) {
        Py_DECREF(original);
        return;
    }
    PyException_SetContext(error, Py_NewRef(original));
    PyException_SetCause(error, original);
    PyErr_SetRaisedException(error);
}

/* `blamed`: what is searched for the offending part, or NULL for no search. */
static int encode(csp_state *state, PyObject *value, csp_msg *msg, PyObject *blamed)
{
    bool final = false;
    bool pickled = Py_TYPE(value) == state->record_types[CSP_PICKLED]; /* passed on: see csp_passes_on */
    int r = pickled ? csp_flat_encode(state, PyTuple_GET_ITEM(value, 0), PyTuple_GET_ITEM(value, 1), msg, &final)
                    : csp_flat_encode(state, NULL, value, msg, &final);
    if (r > 0 && !pickled)
        r = encode_pickled(state, value, msg, &final);
    if (r == 0)
        return 0;
    if (r > 0)
        PyErr_SetString(PyExc_SystemError, "what is passed on has an object beside the pickle that does not cross natively");
    msg->kind = CSP_MSG_EMPTY;
    if (blamed != NULL && !final)
        refuse(state, blamed);
    return -1;
}

int csp_encode_blaming(csp_state *state, PyObject *value, PyObject *blamed, csp_msg *msg)
{
    return encode(state, value, msg, blamed);
}

int csp_encode_slow(csp_state *state, PyObject *value, csp_msg *msg)
{
    if (PyLong_CheckExact(value)) {
        int overflow;
        long long v = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (!overflow) {
            msg->kind = CSP_MSG_INT;
            msg->as.integer = v;
            return 0;
        }
    }
    else if (PyBool_Check(value)) {
        msg->kind = value == Py_True ? CSP_MSG_TRUE : CSP_MSG_FALSE;
        return 0;
    }
    return encode(state, value, msg, value);
}

/* Exit(ref, reason, value, None) with the value as a part; takes over `boxed` on success.  false: with an exception. */
static bool write_exit(csp_actor *actor, const char *reason, size_t length, csp_msg *boxed, csp_msg *msg)
{
    const unsigned char head[] = {TAG_RECORD, CSP_EXIT, 4, TAG_ACTOR, 0, TAG_ASCII, (unsigned char)length};
    const unsigned char tail[] = {TAG_APART, 1, TAG_MISSED};
    csp_blob *blob = csp_blob_new(sizeof head + length + sizeof tail);
    uint32_t index;
    bool added = false;
    if (blob != NULL) {
        csp_actor_incref(actor);
        added = csp_blob_add_part(blob, &csp_actor_part, actor, 0, &index);
        if (!added)
            csp_actor_decref(actor);
    }
    if (!added || !csp_blob_add_part(blob, &csp_msg_part, boxed, 0, &index)) {
        if (blob != NULL)
            csp_blob_free(blob);
        PyErr_NoMemory();
        return false;
    }
    memcpy(blob->data, head, sizeof head);
    memcpy(blob->data + sizeof head, reason, length);
    memcpy(blob->data + sizeof head + length, tail, sizeof tail);
    blob->length = sizeof head + length + sizeof tail;
    msg->kind = CSP_MSG_BLOB;
    msg->as.blob = blob;
    return true;
}

int csp_encode_exit(csp_state *state, PyObject *exit, csp_msg *msg)
{
    bool final = false;
    int r = csp_flat_encode(state, NULL, exit, msg, &final);
    if (r == 0)
        return 0;
    msg->kind = CSP_MSG_EMPTY;
    if (r < 0 || PyTuple_GET_ITEM(exit, 3) != Py_None) { /* with a `remote` there is no value */
        if (r < 0 && !final)
            refuse(state, exit);
        return r < 0 ? -1 : encode(state, exit, msg, exit);
    }
    Py_ssize_t length;
    const char *reason = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(exit, 1), &length);
    csp_msg *boxed = reason == NULL ? NULL : csp_raw_calloc(1, sizeof *boxed);
    if (boxed == NULL) {
        if (reason != NULL)
            PyErr_NoMemory();
        return -1;
    }
    if (encode(state, PyTuple_GET_ITEM(exit, 2), boxed, PyTuple_GET_ITEM(exit, 2)) == 0 &&
        write_exit(csp_ref_actor(PyTuple_GET_ITEM(exit, 0)), reason, (size_t)length, boxed, msg))
        return 0;
    csp_msg_clear(boxed);
    csp_raw_free(boxed);
    return -1;
}

/* --- decoding --- */

/* Where a view of the message costs more than a copy. */
#define COPIED 2048

static PyObject *decode_pickled(csp_state *state, const char *pickle, size_t length, PyObject *parts)
{
    PyObject *pickling = csp_pickling(state);
    if (pickling == NULL)
        return NULL;
    PyObject *view = length <= COPIED ? PyBytes_FromStringAndSize(pickle, (Py_ssize_t)length)
                                      : PyMemoryView_FromMemory((char *)pickle, (Py_ssize_t)length, PyBUF_READ);
    if (view == NULL)
        return NULL;
    PyObject *value = call_method(pickling, "loads", view, parts);
    if (length <= COPIED) {
        Py_DECREF(view);
        return value;
    }
    /* Whoever found the view meanwhile must not read the memory once it is gone. */
    PyObject *error = PyErr_GetRaisedException();
    PyObject *released = call_method(view, "release", NULL, NULL);
    if (released == NULL)
        PyErr_Clear();
    Py_XDECREF(released);
    PyErr_SetRaisedException(error);
    Py_DECREF(view);
    return value;
}

/* What to do about a module that does not load in a subinterpreter; NULL, without an exception, if that is not what went wrong. */
static PyObject *advice_on(csp_state *state, PyObject *error)
{
    PyObject *pickling = csp_pickling(state);
    PyObject *advice = pickling == NULL ? NULL : call_method(pickling, "refused_advice", error, NULL);
    if (advice == NULL)
        PyErr_Clear();
    if (advice == Py_None)
        Py_CLEAR(advice);
    return advice;
}

/* Turn the exception that is set into DecodeError, with the original as the cause. */
static void wrap_error(csp_state *state)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError))
        return;
    PyObject *original = PyErr_GetRaisedException();
    PyObject *error = NULL, *text = PyObject_Str(original);
    if (text == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_Exception)) {
            Py_DECREF(original);
            return;
        }
        PyErr_Clear();
        text = PyUnicode_FromString("<no message>");
    }
    PyObject *advice = PyErr_GivenExceptionMatches(original, PyExc_ImportError) ? advice_on(state, original) : NULL;
    PyObject *message = text == NULL     ? NULL
                        : advice != NULL ? PyUnicode_FromFormat("the value arrived but could not be rebuilt here: %U", advice)
                                         : PyUnicode_FromFormat("the value arrived but could not be rebuilt here: %s: %.1000U",
                                                                Py_TYPE(original)->tp_name, text);
    Py_XDECREF(text);
    Py_XDECREF(advice);
    if (message != NULL)
        error = PyObject_CallOneArg(state->errors[CSP_E_DecodeError], message);
    Py_XDECREF(message);
    if (error == NULL) {
        Py_DECREF(original);
        return;
    }
    PyException_SetContext(error, Py_NewRef(original));
    PyException_SetCause(error, original);
    PyErr_SetRaisedException(error);
}

_Thread_local bool csp_passes_on = false; /* process-wide in kind, one a thread; see codec.h */

/* Pickled((pickle, parts)): whoever gets it sends it on, and rebuilds nothing. */
static PyObject *pass_on(csp_state *state, const char *pickle, size_t length, PyObject *parts)
{
    PyObject *data = PyBytes_FromStringAndSize(pickle, (Py_ssize_t)length);
    PyObject *pair = data == NULL ? NULL : PyTuple_Pack(2, data, parts);
    PyObject *passed = pair == NULL ? NULL : PyObject_CallOneArg((PyObject *)state->record_types[CSP_PICKLED], pair);
    Py_XDECREF(pair);
    Py_XDECREF(data);
    return passed;
}

static PyObject *set_passes_on(PyObject *module, PyObject *on)
{
    csp_passes_on = on == Py_True && csp_state_of_module(module)->record_types[CSP_PICKLED] != NULL;
    Py_RETURN_NONE;
}

PyObject *csp_decode_slow(csp_state *state, csp_msg *msg, bool keep)
{
    const char *pickle;
    size_t length;
    PyObject *value = csp_flat_decode(state, msg, keep, &pickle, &length);
    if (value != NULL && pickle != NULL)
        Py_SETREF(value, csp_passes_on ? pass_on(state, pickle, length, value) : decode_pickled(state, pickle, length, value));
    if (value == NULL)
        wrap_error(state);
    return value;
}

/* --- functions of the module --- */

static const char *const capsule_name = "csp._core.Encoded";

static void drop_encoded(PyObject *capsule)
{
    csp_msg *msg = PyCapsule_GetPointer(capsule, capsule_name);
    csp_msg_unsend(msg);
    csp_raw_free(msg);
}

static PyObject *py_encode(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "explain", NULL};
    csp_state *state = csp_state_of_module(module);
    PyObject *value;
    int explain = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$p:encode", names, &value, &explain))
        return NULL;
    csp_msg *msg = csp_raw_calloc(1, sizeof *msg);
    if (msg == NULL)
        return PyErr_NoMemory();
    int failed = explain ? csp_encode_copy(state, value, msg) : encode(state, value, msg, NULL);
    PyObject *capsule = failed ? NULL : PyCapsule_New(msg, capsule_name, drop_encoded);
    if (capsule == NULL) {
        csp_msg_unsend(msg);
        csp_raw_free(msg);
    }
    return capsule;
}

static PyObject *py_decode(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "keep", NULL};
    csp_state *state = csp_state_of_module(module);
    PyObject *capsule;
    int keep = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$p:decode", names, &capsule, &keep))
        return NULL;
    csp_msg *msg = PyCapsule_GetPointer(capsule, capsule_name);
    if (msg == NULL)
        return NULL;
    if (msg->kind == CSP_MSG_EMPTY) {
        PyErr_SetString(PyExc_ValueError, "the message was decoded before, without keep=True");
        return NULL;
    }
    csp_msg taken;
    if (keep)
        return csp_decode(state, msg, true);
    csp_msg_move(&taken, msg);
    PyObject *value = csp_decode(state, &taken, false);
    csp_msg_clear(&taken);
    return value;
}

static PyObject *py_clone(PyObject *module, PyObject *capsule)
{
    csp_msg *msg = PyCapsule_GetPointer(capsule, capsule_name);
    if (msg == NULL)
        return NULL;
    csp_msg *copy = csp_raw_calloc(1, sizeof *copy);
    if (copy == NULL || !csp_msg_clone(copy, msg)) {
        csp_raw_free(copy);
        return PyErr_NoMemory();
    }
    PyObject *result = PyCapsule_New(copy, capsule_name, drop_encoded);
    if (result == NULL) {
        csp_msg_clear(copy);
        csp_raw_free(copy);
    }
    return result;
}

/* How it crosses, the bytes of the encoding, and the number of parts. */
static PyObject *py_inspect(PyObject *module, PyObject *capsule)
{
    csp_msg *msg = PyCapsule_GetPointer(capsule, capsule_name);
    if (msg == NULL)
        return NULL;
    const unsigned char *data = msg->kind == CSP_MSG_BLOB ? msg->as.blob->data : msg->as.bytes;
    Py_ssize_t length = msg->kind == CSP_MSG_BLOB ? (Py_ssize_t)msg->as.blob->length : msg->length;
    int nparts = msg->kind == CSP_MSG_BLOB ? (int)msg->as.blob->nparts : 0;
    const char *how = msg->kind == CSP_MSG_EMPTY                                   ? "empty"
                      : msg->kind < CSP_MSG_SHORT                                  ? "inline"
                      : (data[0] & ~TAG_SHARED) == TAG_PICKLE && data[0] < TAG_SMALL ? "pickle"
                      : msg->kind == CSP_MSG_SHORT                                 ? "short"
                                                                                   : "blob";
    return Py_BuildValue("sni", how, length, nparts);
}

/* Encode and decode at once, for timing the two without the capsule between. */
static PyObject *py_copy(PyObject *module, PyObject *value)
{
    csp_state *state = csp_state_of_module(module);
    csp_msg msg = {.kind = CSP_MSG_EMPTY};
    if (csp_encode_copy(state, value, &msg) < 0)
        return NULL;
    PyObject *copy = csp_decode(state, &msg, false);
    csp_msg_clear(&msg);
    return copy;
}

/* Does the pickler have to put it out of band, as a part of the message? */
static bool is_part(csp_state *state, PyObject *object)
{
    return csp_is_handle(state, object) || csp_is_sync(object) || PyMemoryView_Check(object) ||
           Py_TYPE(object) == state->shared_view_type || csp_is_shared_buffer(state, object) ||
           csp_moved_source(state, object) != NULL ||
           (state->ref_type != NULL && PyObject_TypeCheck(object, state->ref_type));
}

static PyObject *py_is_part(PyObject *module, PyObject *object)
{
    return PyBool_FromLong(is_part(csp_state_of_module(module), object));
}

/* Is it a function or a class of the main program? -1 with an exception. */
static int is_of_main(PyObject *object)
{
    if (!PyFunction_Check(object) && !PyType_Check(object))
        return 0;
    PyObject *module, *name = PyUnicode_InternFromString("__module__");
    if (name == NULL)
        return -1;
    int found = PyObject_GetOptionalAttr(object, name, &module);
    Py_DECREF(name);
    if (found > 0) {
        found = PyUnicode_Check(module) && (PyUnicode_EqualToUTF8(module, "__main__") || PyUnicode_EqualToUTF8(module, "__mp_main__"));
        Py_DECREF(module);
    }
    return found;
}

/* numpy's own array, which numpy would put into the pickle unless it lies in one piece; named so, because nobody imports numpy for this. */
static bool is_array(PyObject *object) { return strcmp(Py_TYPE(object)->tp_name, "numpy.ndarray") == 0; }

static PyObject *py_is_array(PyObject *module, PyObject *object) { return PyBool_FromLong(is_array(object)); }

/* Pickler.reducer_override of csp._pickling: asked about each object that pickle does not know by itself. */
static PyObject *py_reducer_override(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "reducer_override(pickler, object)");
        return NULL;
    }
    if (is_part(csp_state_of_module(module), args[1]))
        return call_method(args[0], "mark", args[1], NULL);
    if (is_array(args[1]))
        return call_method(args[0], "array", args[1], NULL);
    int of_main = is_of_main(args[1]);
    if (of_main != 0)
        return of_main < 0 ? NULL : call_method(args[0], "of_main", args[1], NULL);
    return Py_NewRef(Py_NotImplemented);
}

static PyMethodDef reducer_method = {
    "reducer_override", _PyCFunction_CAST(py_reducer_override), METH_FASTCALL,
    PyDoc_STR("reducer_override(pickler, object)\n\nA method for a pickler class, which has the methods mark(), array() and of_main().")};

int csp_add_reducer(PyObject *module)
{
    PyObject *function = PyCFunction_NewEx(&reducer_method, module, NULL);
    PyObject *method = function == NULL ? NULL : PyInstanceMethod_New(function); /* a C function by itself does not bind */
    Py_XDECREF(function);
    return PyModule_Add(module, "reducer_override", method);
}

PyMethodDef csp_codec_functions[] = {
    {"encode", _PyCFunction_CAST(py_encode), METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("encode(value, /, *, explain=True)\n\nThe message that a channel would carry.  For tests and for csp._pickling.\n"
               "Without `explain`, a value that cannot cross raises the bare original error.")},
    {"decode", _PyCFunction_CAST(py_decode), METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("decode(message, /, *, keep=False)\n\nRebuild the value of a message made by encode().  With `keep` the message "
               "stays whole,\nas under a lease.")},
    {"clone_encoded", py_clone, METH_O, PyDoc_STR("clone_encoded(message, /)\n\nA second message that says the same.")},
    {"inspect_encoded", py_inspect, METH_O,
     PyDoc_STR("inspect_encoded(message, /)\n\n(how, bytes, parts): how is 'inline', 'short', 'blob', 'pickle' or 'empty'.")},
    {"copy_by_crossing", py_copy, METH_O, PyDoc_STR("copy_by_crossing(value, /)\n\nEncode the value and decode it at once.")},
    {"pass_on", set_passes_on, METH_O,
     PyDoc_STR("pass_on(on, /)\n\nWhether this thread receives pickled values as they came, as Pickled((pickle, parts)), to send them on.")},
    {"is_part", py_is_part, METH_O,
     PyDoc_STR("is_part(object, /)\n\nDoes it cross natively although it is no plain data: a handle, a ref, a memoryview?")},
    {"is_array", py_is_array, METH_O, PyDoc_STR("is_array(object, /)\n\nIs it numpy's own array, which picklers are to ask `array` about?")},
    {NULL},
};
