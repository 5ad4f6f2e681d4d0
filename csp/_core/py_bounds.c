/* What Channel() and channel() say of the buffer: capacity, max_bytes, overflow; and the channel made from it. */
#include "py_bounds.h"

/* An int >= 0, or infinity.  -1 with an exception set. */
static int parse_bound(const char *what, PyObject *value, size_t *p_bound)
{
    if (PyFloat_Check(value)) {
        double number = PyFloat_AS_DOUBLE(value);
        if (number == Py_HUGE_VAL) {
            *p_bound = CSP_UNBOUNDED;
            return 0;
        }
        if (!(number >= 0.0))
            PyErr_Format(PyExc_ValueError, "%s must be an int >= 0 or math.inf, not %R", what, value);
        else
            PyErr_Format(PyExc_TypeError, "%s must be an int or math.inf, not %R", what, value);
        return -1;
    }
    if (PyBool_Check(value) || !PyIndex_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be an int or math.inf, not %.100s", what, Py_TYPE(value)->tp_name);
        return -1;
    }
    Py_ssize_t bound = PyNumber_AsSsize_t(value, PyExc_OverflowError);
    if (bound == -1 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError))
            PyErr_Format(PyExc_ValueError, "%s is out of range (use math.inf for an unbounded channel)", what);
        return -1;
    }
    if (bound < 0) {
        PyErr_Format(PyExc_ValueError, "%s must not be negative, not %zd", what, bound);
        return -1;
    }
    *p_bound = (size_t)bound;
    return 0;
}

/* Both bounds.  -1 with an exception set. */
static int parse_bounds(PyObject *capacity, PyObject *max_bytes, size_t *p_capacity, size_t *p_max_bytes)
{
    *p_max_bytes = CSP_UNBOUNDED;
    if (max_bytes != NULL && max_bytes != Py_None && parse_bound("max_bytes", max_bytes, p_max_bytes) < 0)
        return -1;
    *p_capacity = *p_max_bytes == CSP_UNBOUNDED ? 0 : CSP_UNBOUNDED;
    if (capacity != NULL && parse_bound("capacity", capacity, p_capacity) < 0)
        return -1;
    if (*p_max_bytes == 0) {
        PyErr_SetString(PyExc_ValueError, "max_bytes must be at least 1");
        return -1;
    }
    if (*p_max_bytes != CSP_UNBOUNDED && *p_capacity == 0) {
        PyErr_SetString(PyExc_ValueError, "max_bytes bounds a buffer, and with capacity 0 there is none: give a capacity of at least 1, or none");
        return -1;
    }
    return 0;
}

static int parse_overflow(const char *word, size_t capacity, size_t max_bytes, csp_overflow *p_overflow)
{
    if (strcmp(word, "block") == 0) {
        *p_overflow = CSP_BLOCK;
        return 0;
    }
    if (strcmp(word, "drop_oldest") == 0)
        *p_overflow = CSP_DROP_OLDEST;
    else if (strcmp(word, "drop_newest") == 0)
        *p_overflow = CSP_DROP_NEWEST;
    else {
        PyErr_Format(PyExc_ValueError, "overflow must be 'block', 'drop_oldest' or 'drop_newest', not '%.100s'", word);
        return -1;
    }
    if (capacity == 0 || (capacity == CSP_UNBOUNDED && max_bytes == CSP_UNBOUNDED)) {
        PyErr_Format(PyExc_ValueError, "overflow='%s' needs a capacity of at least 1 and below infinity, or max_bytes", word);
        return -1;
    }
    return 0;
}

csp_chan *csp_chan_from_args(PyObject *args, PyObject *kwargs, const char *format)
{
    static char *names[] = {"capacity", "name", "overflow", "local", "max_bytes", NULL};
    PyObject *capacity_arg = NULL, *bytes_arg = NULL;
    const char *name = NULL, *word = "block";
    int local = 0;
    size_t capacity, max_bytes;
    csp_overflow overflow;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, names, &capacity_arg, &name, &word, &local, &bytes_arg))
        return NULL;
    if (parse_bounds(capacity_arg, bytes_arg, &capacity, &max_bytes) < 0 || parse_overflow(word, capacity, max_bytes, &overflow) < 0)
        return NULL;
    if (local && max_bytes != CSP_UNBOUNDED) {
        PyErr_SetString(PyExc_ValueError, "the values of a local channel are references, and have no bytes: max_bytes cannot bound them");
        return NULL;
    }
    csp_chan *chan = max_bytes != CSP_UNBOUNDED ? csp_chan_new_bounded(capacity, max_bytes, overflow, name)
                                                : csp_chan_new(capacity, overflow, local != 0, name);
    if (chan == NULL)
        PyErr_NoMemory();
    csp_note_origin(chan);
    return chan;
}

PyObject *csp_max_bytes_object(size_t bytes)
{
    return bytes == CSP_UNBOUNDED ? Py_NewRef(Py_None) : PyLong_FromSize_t(bytes);
}
