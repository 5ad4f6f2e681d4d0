/* Selected: what a select returns. */
#include "py_select.h"

/* A tuple of two with the index behind them: as a struct sequence has its hidden fields, but made in a third of the time. */
#define INDEX_ITEM 2

PyObject *csp_selected(csp_state *state, PyObject *object, PyObject *value, Py_ssize_t index)
{
    PyObject *number = PyLong_FromSsize_t(index);
    PyTupleObject *self = number == NULL || value == NULL
                              ? NULL
                              : PyObject_GC_NewVar(PyTupleObject, state->selected_type, INDEX_ITEM + 1);
    if (self == NULL) {
        Py_XDECREF(number);
        Py_XDECREF(value);
        return NULL;
    }
    self->ob_item[0] = Py_NewRef(object);
    self->ob_item[1] = value;
    self->ob_item[INDEX_ITEM] = number;
    Py_SET_SIZE(self, INDEX_ITEM); /* what is seen of it */
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static void selected_dealloc(PyObject *object)
{
    PyTupleObject *self = (PyTupleObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    for (int i = 0; i <= INDEX_ITEM; i++)
        Py_XDECREF(self->ob_item[i]);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

static int selected_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    for (int i = 0; i < INDEX_ITEM; i++)
        Py_VISIT(((PyTupleObject *)object)->ob_item[i]);
    return 0;
}

static PyObject *selected_item(PyObject *object, void *i) { return Py_NewRef(((PyTupleObject *)object)->ob_item[(intptr_t)i]); }

static int selected_bool(PyObject *object) { return ((PyTupleObject *)object)->ob_item[0] != Py_None; }

static PyObject *selected_repr(PyObject *object)
{
    PyObject **items = ((PyTupleObject *)object)->ob_item;
    return PyUnicode_FromFormat("csp.Selected(channel=%R, value=%R, index=%R)", items[0], items[1], items[INDEX_ITEM]);
}

static PyObject *selected_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"channel", "value", "index", NULL};
    PyObject *object, *value;
    Py_ssize_t index;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOn:Selected", names, &object, &value, &index))
        return NULL;
    return csp_selected(csp_state_of_type(type), object, Py_NewRef(value), index);
}

static PyObject *selected_reduce(PyObject *object, PyObject *unused)
{
    PyObject **items = ((PyTupleObject *)object)->ob_item;
    return Py_BuildValue("(O(OOO))", (PyObject *)Py_TYPE(object), items[0], items[1], items[INDEX_ITEM]);
}

static PyMethodDef selected_methods[] = {
    {"__reduce__", selected_reduce, METH_NOARGS, PyDoc_STR("Made again from its three parts.")},
    {NULL},
};

static PyGetSetDef selected_getset[] = {
    {"channel", selected_item, NULL, PyDoc_STR("The very object that was passed as the channel; None after a timeout."), (void *)0},
    {"value", selected_item, NULL, PyDoc_STR("What was received; None for a send and after a timeout."), (void *)1},
    {"index", selected_item, NULL, PyDoc_STR("The position of the case; -1 after a timeout."), (void *)INDEX_ITEM},
    {NULL},
};

static PyType_Slot selected_slots[] = {
    {Py_tp_doc, (void *)"The case that fired: a tuple (channel, value), with .index.  False after a timeout."},
    {Py_tp_dealloc, selected_dealloc}, {Py_tp_traverse, selected_traverse}, {Py_tp_repr, selected_repr},
    {Py_tp_new, selected_new},
    {Py_tp_methods, selected_methods}, {Py_tp_getset, selected_getset},     {Py_nb_bool, selected_bool},
    {0, NULL},
};

static PyType_Spec selected_spec = {
    "csp.Selected", 0, 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE, selected_slots};

int csp_add_selected_type(PyObject *module, csp_state *state)
{
    state->selected_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &selected_spec, (PyObject *)&PyTuple_Type);
    return state->selected_type == NULL ? -1 : PyModule_AddType(module, state->selected_type);
}
