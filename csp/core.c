/* csp._core: the face of the C core.  No logic here, only what the module is made of.
 *
 * The rooms, in csp/_core/, each including only those above it:
 *
 *   ground     mem.h lock status.h           memory, locks and their order, what an operation may answer
 *   engine     park msg queue waiter loop    a sleeping thread, a value in flight, a buffer, a blocked operation, an event loop
 *              chan sync region slab         a channel, a primitive of csp.sync, memory of no interpreter, memory of two processes
 *              select interp registry        waiting for several, what an interpreter holds, process-wide tables
 *              deadlock clock                who can never be helped; what timers and timeouts go by
 *              actor actor_table             an actor's record, lives and ends; which actors there are
 *   crossing   encode decode buffer share shared_buffer move letter   Python objects <-> messages
 *   shell      errors py_wait                status -> exception; the one blocking wait
 *              py_channel py_bounds py_lease py_select py_interp py_attach py_warm py_leak py_origin py_actor py_call
 *              py_exit py_slab
 *
 * Ground and engine never include Python.h: they are tested as a plain C program under sanitizers.  "The life of one
 * send" in docs/explanation walks through the functions that a value passes.
 */
#include "codec.h"
#include "state.h"

#include "actor.h"
#include "deadlock.h"
#include "py_ask.h"
#include "mem.h"

#ifdef __linux__
#include <signal.h>
#include <sys/prctl.h>
#endif
#include "registry.h"
#include "share.h"

/* --- module state --- */

static int import_errors(csp_state *state)
{
    static const char *const names[] = {
#define CSP_ERROR(name) #name,
        CSP_ERRORS(CSP_ERROR)
#undef CSP_ERROR
    };
    PyObject *errors = PyImport_ImportModule("csp.errors");
    if (errors == NULL)
        return -1;
    for (int i = 0; i < CSP_NERRORS; i++) {
        state->errors[i] = PyObject_GetAttrString(errors, names[i]);
        if (state->errors[i] == NULL) {
            Py_DECREF(errors);
            return -1;
        }
    }
    Py_DECREF(errors);
    return 0;
}

static int intern_names(csp_state *state)
{
    const struct {
        PyObject **where;
        const char *text;
    } names[] = {
        {&state->str_index, "index"}, {&state->str_channel, "channel"}, {&state->str_cause, "cause"},
        {&state->str_sent, "sent"},   {&state->str_case, "__csp_case__"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *names[i].where = PyUnicode_InternFromString(names[i].text);
        if (*names[i].where == NULL)
            return -1;
    }
    return 0;
}

/* Runs while Python still works in this interpreter (atexit): what it held is given up, and others wake.  Not in the main
 * one: atexit functions registered before csp was imported run later, and may use channels. */
static PyObject *interpreter_ends(PyObject *module, PyObject *unused)
{
    csp_state *state = csp_state_of_module(module);
    if (state->interp != NULL)
        csp_take_back(state->interp);
    if (state->interp != NULL && !state->interp->is_main)
        csp_interp_died(state->interp, NULL, true);
    Py_RETURN_NONE;
}

int csp_call_at_exit(PyObject *module, const char *function)
{
    PyObject *atexit = PyImport_ImportModule("atexit");
    PyObject *callback = PyObject_GetAttrString(module, function);
    PyObject *done = NULL;
    if (atexit != NULL && callback != NULL)
        done = PyObject_CallMethod(atexit, "register", "O", callback);
    Py_XDECREF(atexit);
    Py_XDECREF(callback);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int add_interpreter(csp_state *state)
{
    PyInterpreterState *self = PyInterpreterState_Get();
    int64_t id = PyInterpreterState_GetID(self);
    state->interp = csp_interp_new(id, self == PyInterpreterState_Main());
    if (state->interp == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    state->interp->has_module = true;
    return 0;
}

static void drop_object(void *object) { Py_DECREF((PyObject *)object); }

/* --- looking, for tests and debugging --- */

static PyObject *census(PyObject *module, PyObject *unused)
{
    csp_census c;
    csp_registry_census(&c);
    return Py_BuildValue("{s:l,s:l,s:l,s:l,s:l,s:l,s:n}", "channels", c.channels, "interpreters", c.interpreters, "warm",
                         (long)csp_actor_count_warm(), "blobs", c.blobs, "blocks", c.blocks,
                         "buffers", c.buffers, "buffer_bytes", (Py_ssize_t)c.buffer_bytes);
}

static PyObject *fail_allocation(PyObject *module, PyObject *number)
{
    long n = PyLong_AsLong(number);
    if (n == -1 && PyErr_Occurred())
        return NULL;
    long left = csp_mem_countdown;
    csp_mem_fail_after(n);
    return PyLong_FromLong(left);
}

static PyObject *set_record_type(PyObject *module, PyObject *args)
{
    csp_state *state = csp_state_of_module(module);
    int code;
    PyTypeObject *type;
    if (!PyArg_ParseTuple(args, "iO!:set_record_type", &code, &PyType_Type, &type))
        return NULL;
    if (code < 0 || code >= CSP_NRECORDS || !PyType_IsSubtype(type, &PyTuple_Type)) {
        PyErr_Format(PyExc_ValueError, "code must be 0 to %d and the class a kind of tuple", CSP_NRECORDS - 1);
        return NULL;
    }
    Py_XSETREF(state->record_types[code], (PyTypeObject *)Py_NewRef(type));
    Py_RETURN_NONE;
}

static PyObject *deadlock_detection(PyObject *module, PyObject *on)
{
    int value = PyObject_IsTrue(on);
    if (value < 0)
        return NULL;
    /* Relaxed: a switch. */
    return PyBool_FromLong(atomic_exchange_explicit(&csp_deadlock_detection, value != 0, memory_order_relaxed));
}

/* For the process of an actor: whatever it computes, it does not outlive the thread that started it. */
static PyObject *end_with_parent(PyObject *module, PyObject *unused)
{
#ifdef __linux__
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return PyErr_SetFromErrno(PyExc_OSError);
#endif
    Py_RETURN_NONE;
}

static PyMethodDef face_functions[] = {
    {"end_with_parent", end_with_parent, METH_NOARGS,
     PyDoc_STR("end_with_parent()\n\nLet the kernel kill this process when the thread that started it ends, where it can.")},
    {"deadlock_detection", deadlock_detection, METH_O,
     PyDoc_STR("deadlock_detection(on) -> bool\n\nSwitch the detector for the whole process; returns what it was.")},
    {"_interpreter_ends", interpreter_ends, METH_NOARGS, PyDoc_STR("Give up what this interpreter holds; runs at its exit.")},
    {"census", census, METH_NOARGS,
     PyDoc_STR("census() -> dict of the live channels, interpreters (and how many of them are warm: wait for an\n"
               "actor), blobs and blocks of the process.")},
    {"fail_allocation", fail_allocation, METH_O,
     PyDoc_STR("fail_allocation(n) -> int\n\nMake the n-th raw allocation from now in this thread fail, once; 0: none.  For "
               "tests.  Returns\nwhat was left of the previous count.")},
    {"set_record_type", set_record_type, METH_VARARGS,
     PyDoc_STR("set_record_type(code, cls)\n\nLet instances of a tuple subclass cross natively.")},
    {NULL},
};

int csp_add_functions(PyObject *module, PyMethodDef *table)
{
    PyObject *owner = PyUnicode_InternFromString("csp");
    if (owner == NULL)
        return -1;
    for (; table->ml_name != NULL; table++) {
        PyObject *function = PyCFunction_NewEx(table, module, owner);
        if (PyModule_Add(module, table->ml_name, function) < 0) {
            Py_DECREF(owner);
            return -1;
        }
    }
    Py_DECREF(owner);
    return 0;
}

/* --- the module --- */

static int execute(PyObject *module)
{
    csp_state *state = csp_state_of_module(module);
    atomic_store_explicit(&csp_msg_drop_object, drop_object, memory_order_relaxed); /* see msg.h */
    csp_install_letters();
    csp_registry_install_fork_handler();
    static PyMethodDef *const tables[] = {
        face_functions,
        csp_channel_functions,
        csp_select_functions,
        csp_async_functions,
        csp_timer_functions,
        csp_origin_functions,
        csp_interp_functions,
        csp_actor_functions,
        csp_call_functions,
        csp_exit_functions,
        csp_warm_functions,
        csp_leak_functions,
        csp_stack_functions,
        csp_codec_functions,
        csp_share_functions,
        csp_shared_buffer_functions,
        csp_slab_functions,
        csp_move_functions,
    };
    if (import_errors(state) < 0 || intern_names(state) < 0 || add_interpreter(state) < 0)
        return -1;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (csp_add_functions(module, tables[i]) < 0)
            return -1;
    if (PyModule_AddStringConstant(module, "PARKING", csp_parking) < 0)
        return -1;
    static int (*const add_types[])(PyObject *, csp_state *) = {
        csp_add_channel_types,
        csp_add_lease_type,
        csp_add_select_types,
        csp_add_selected_type,
        csp_add_async_types,
        csp_add_block_type,
        csp_add_share_type,
        csp_add_shared_buffer_type,
        csp_add_slab_types,
        csp_add_moved_type,
        csp_add_actor_types,
        csp_add_verb_type,
        csp_add_sync_types,
    };
    for (size_t i = 0; i < sizeof add_types / sizeof *add_types; i++)
        if (add_types[i](module, state) < 0)
            return -1;
    return csp_call_at_exit(module, "_interpreter_ends");
}

/* All that the state holds, for traverse and clear alike.  V(field) */
#define STATE_OBJECTS(V)                                                                            \
    V(channel_type) V(send_channel_type) V(recv_channel_type) V(lease_type) V(statistics_type)      \
    V(selected_type) V(selector_type) V(block_type) V(actor_type) V(ref_type) V(verb_type)          \
    V(wait_type) V(loop_type) V(shared_view_type) V(shared_buffer_type) V(buffer_statistics_type) V(descriptor_type) V(slab_type) V(moved_type) V(pickling) V(awaiting)                           \
    V(str_index) V(str_channel) V(str_cause) V(str_sent) V(str_case)

static int traverse(PyObject *module, visitproc visit, void *arg)
{
    csp_state *state = csp_state_of_module(module);
#define V(field) Py_VISIT(state->field);
    STATE_OBJECTS(V)
#undef V
    for (int i = 0; i < CSP_NERRORS; i++)
        Py_VISIT(state->errors[i]);
    for (int i = 0; i < CSP_NRECORDS; i++)
        Py_VISIT(state->record_types[i]);
    for (int i = 0; i < CSP_NSYNC; i++)
        Py_VISIT(state->sync_types[i]);
    for (int i = 0; i < CSP_NHOOKS; i++)
        Py_VISIT(state->call_hooks[i]);
    for (int i = 0; i < CSP_KEY_CACHE; i++)
        Py_VISIT(state->key_cache[i]);
    return 0;
}

static int clear(PyObject *module)
{
    csp_state *state = csp_state_of_module(module);
#define V(field) Py_CLEAR(state->field);
    STATE_OBJECTS(V)
#undef V
    for (int i = 0; i < CSP_NERRORS; i++)
        Py_CLEAR(state->errors[i]);
    for (int i = 0; i < CSP_NRECORDS; i++)
        Py_CLEAR(state->record_types[i]);
    for (int i = 0; i < CSP_NSYNC; i++)
        Py_CLEAR(state->sync_types[i]);
    for (int i = 0; i < CSP_NHOOKS; i++)
        Py_CLEAR(state->call_hooks[i]);
    for (int i = 0; i < CSP_KEY_CACHE; i++)
        Py_CLEAR(state->key_cache[i]);
    return 0;
}

static void free_state(void *module)
{
    csp_state *state = csp_state_of_module(module);
    clear(module);
    csp_drop_idle_reply(state);
    if (state->interp != NULL) {
        csp_interp_died(state->interp, NULL, true); /* once more, in case no atexit ran */
        state->interp->has_module = false;
        csp_interp_decref(state->interp);
        state->interp = NULL;
    }
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
    {0, NULL},
};

struct PyModuleDef csp_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "csp._core",
    .m_doc = PyDoc_STR("The C core of csp: channels, select, crossing, interpreters.  Use the names of `csp`."),
    .m_size = sizeof(csp_state),
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = free_state,
};

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&csp_module); }
