/* Which channels there are and, while that is switched on, where in the program each was made: for the message of a leak check. */
#include "mem.h"
#include "py_wait.h"
#include "registry.h"
#include "sync.h"

static _Atomic bool tracing; /* process-wide; relaxed: a switch */

void csp_note_origin(csp_chan *chan)
{
    if (chan == NULL || !atomic_load_explicit(&tracing, memory_order_relaxed))
        return;
    char text[CSP_PLACE];
    csp_place_here(text, sizeof text);
    size_t size = strlen(text) + 1;
    char *origin = csp_raw_alloc(size);
    if (origin == NULL)
        return; /* it is not known, then */
    memcpy(origin, text, size);
    char *none = NULL;
    /* Release: who sees the pointer sees the text.  Noted by its maker, once. */
    if (!atomic_compare_exchange_strong_explicit(&chan->origin, &none, origin, memory_order_release, memory_order_relaxed))
        csp_raw_free(origin);
}

static PyObject *trace_origins(PyObject *module, PyObject *on)
{
    int value = PyObject_IsTrue(on);
    if (value < 0)
        return NULL;
    return PyBool_FromLong(atomic_exchange_explicit(&tracing, value != 0, memory_order_relaxed)); /* a switch */
}

/* What it is, in a word. */
static const char *kind_of(const csp_chan *chan)
{
    static const char *const primitives[CSP_NSYNC] = {"", "Lock", "RLock", "Semaphore", "BoundedSemaphore", "Event",
                                                      "Condition", "WaitGroup", "Once", "AtomicInt", "SharedBuffer"};
    _Static_assert(CSP_MEMORY + 1 == CSP_NSYNC, "a word for each");
    static const char *const timers[] = {"", "after", "tick", "never"};
    if (chan->sync != CSP_NO_SYNC)
        return primitives[chan->sync];
    if (chan->timer != CSP_NO_TIMER)
        return timers[chan->timer];
    return chan->reply ? "reply channel" : "channel";
}

/* A reply channel that an interpreter keeps for its next call is nobody's. */
static bool is_kept_for_reuse(const csp_chan *chan, const csp_chan_info *info) { return chan->reply && info->senders == 0; }

static PyObject *entry_of(csp_chan *chan)
{
    csp_chan_info info;
    csp_chan_inspect(chan, &info);
    if (is_kept_for_reuse(chan, &info))
        Py_RETURN_NONE;
    const char *origin = atomic_load_explicit(&chan->origin, memory_order_acquire); /* pairs with csp_note_origin */
    return Py_BuildValue("(Ksssnkk)", (unsigned long long)chan->id, kind_of(chan), chan->name, origin, (Py_ssize_t)info.buffered,
                         (unsigned long)info.senders, (unsigned long)info.receivers);
}

static PyObject *live_channels(PyObject *module, PyObject *unused)
{
    uint32_t n = 0;
    csp_chan **chans = csp_registry_chans(&n);
    PyObject *list = chans == NULL ? PyErr_NoMemory() : PyList_New(0);
    for (uint32_t i = n; i-- > 0;) { /* the newest is first in the table */
        PyObject *entry = list == NULL ? NULL : entry_of(chans[i]);
        if (list != NULL && (entry == NULL || (entry != Py_None && PyList_Append(list, entry) < 0)))
            Py_CLEAR(list);
        Py_XDECREF(entry);
        csp_chan_decref(chans[i]);
    }
    csp_raw_free(chans);
    return list;
}

PyMethodDef csp_origin_functions[] = {
    {"live_channels", live_channels, METH_NOARGS,
     PyDoc_STR("live_channels() -> list\n\nOf each in the process, the oldest first: (id, what it is, name or None, where it was made or None, "
               "buffered,\nsending handles, receiving handles).")},
    {"trace_origins", trace_origins, METH_O,
     PyDoc_STR("trace_origins(on) -> bool\n\nFrom now on note where channels are made, in the whole process; returns what it was.")},
    {NULL},
};
