/* Stand-in until encode.c, decode.c and buffer.c land: scalars only.  Delete it then (and in pyproject.toml). */
#include "codec.h"

int csp_encode_slow(csp_state *state, PyObject *value, csp_msg *msg)
{
    if (PyLong_CheckExact(value)) {
        msg->kind = CSP_MSG_INT;
        msg->as.integer = PyLong_AsLongLong(value);
        return 0;
    }
    if (value == Py_True || value == Py_False) {
        msg->kind = value == Py_True ? CSP_MSG_TRUE : CSP_MSG_FALSE;
        return 0;
    }
    if (PyUnicode_CheckExact(value) || PyBytes_CheckExact(value)) {
        Py_ssize_t n;
        const char *s = PyUnicode_AsUTF8AndSize(value, &n);
        if (s != NULL && n <= CSP_MSG_INLINE) {
            msg->kind = CSP_MSG_SHORT;
            msg->length = n;
            memcpy(msg->as.bytes, s, n);
            return 0;
        }
    }
    csp_raise_format(state, CSP_E_NotShareable, "stand-in");
    return -1;
}

PyObject *csp_decode_slow(csp_state *state, csp_msg *msg, bool keep)
{
    if (msg->kind == CSP_MSG_FLOAT)
        return PyFloat_FromDouble(msg->as.real);
    return PyUnicode_FromStringAndSize((char *)msg->as.bytes, msg->length);
}

int csp_add_block_type(PyObject *module, csp_state *state) { return 0; }
PyMethodDef csp_codec_functions[] = {{NULL}};
