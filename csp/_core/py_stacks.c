/* What Python code do the actors' threads run?  Asked from outside: for the Exit of one that hung, and for csp.debug.stacks().
 *
 * Frames are looked at inside their own interpreter, with its lock, by a service thread within the guard; what comes out is
 * text.  (sys._current_frames goes through all interpreters, which CPython 3.13 does not survive.)  The thread state looked at
 * is the one that the owner noted when it opened the gate: no list of thread states is walked.  C code that does not let go of
 * its interpreter's lock keeps the service thread that asks it, and not the caller: who waits, waits until a deadline.
 */
#include <pthread.h>

#include "clock.h"
#include "mem.h"
#include "py_interp.h"
#include "py_wait.h"

#define STUCK (1000000000LL)      /* nobody asks an interpreter that has kept another asker for so long */
#define SLICE (20 * 1000000LL)    /* no answer for so long: another thread goes on with the rest */
#define ASKERS 2                  /* threads to begin with */

/* --- the threads that there are --- */

static csp_lock list_lock = CSP_LOCK_INIT(REGISTRY); /* process-wide; held with no other lock */
static csp_owner *first_owner;                       /* process-wide; guarded by list_lock: the newest */
static uint32_t nowners;                             /* process-wide; guarded by list_lock */

static void after_fork_in_child(void)
{
    csp_lock_init(&list_lock, CSP_RANK_REGISTRY, 0);
    first_owner = NULL; /* none of those threads is here */
    nowners = 0;
}

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static void install(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

void csp_owner_list(csp_owner *owner)
{
    pthread_once(&fork_once, install);
    csp_lock_acquire(&list_lock);
    owner->prev = NULL;
    owner->next = first_owner;
    if (first_owner != NULL)
        first_owner->prev = owner;
    first_owner = owner;
    nowners++;
    csp_lock_release(&list_lock);
}

void csp_owner_unlist(csp_owner *owner)
{
    csp_lock_acquire(&list_lock);
    *(owner->prev != NULL ? &owner->prev->next : &first_owner) = owner->next;
    if (owner->next != NULL)
        owner->next->prev = owner->prev;
    owner->next = owner->prev = NULL;
    nowners--;
    csp_lock_release(&list_lock);
}

/* --- frames --- */

static uint32_t text_length(PyObject *text)
{
    return PyUnicode_Check(text) ? (uint32_t)PyUnicode_GET_LENGTH(text) : 0;
}

static bool add_frame(csp_stack *stack, PyFrameObject *frame)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    uint32_t file = text_length(code->co_filename), name = text_length(code->co_qualname);
    uint32_t *text = csp_stack_add(stack, PyFrame_GetLineNumber(frame), file, name);
    if (text != NULL && file > 0)
        PyUnicode_AsUCS4(code->co_filename, text, file, 0);
    if (text != NULL && name > 0)
        PyUnicode_AsUCS4(code->co_qualname, text + file, name, 0);
    Py_DECREF(code);
    return text != NULL;
}

/* The stack of another thread of the attached interpreter, without the frames of csp that everything else runs in. */
static void take_stack(PyThreadState *of, csp_stack *stack)
{
    PyFrameObject *frame = PyThreadState_GetFrame(of);
    uint32_t last = 0; /* how many frames there are up to the outermost one that is not csp's */
    while (frame != NULL && add_frame(stack, frame)) {
        if (!csp_frame_is_ours(frame))
            last = stack->nframes;
        PyFrameObject *outer = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = outer;
    }
    Py_XDECREF(frame);
    if (last > 0)
        stack->nframes = last;
}

static void look_there(csp_owner *owner, unsigned long ident, void *stack)
{
    csp_lock_acquire(&owner->lock);
    PyThreadState *of = owner->tstate; /* its thread is in run_body for as long as we are in the guard */
    csp_lock_release(&owner->lock);
    if (of != NULL)
        take_stack(of, stack);
}

bool csp_owner_stack(csp_owner *owner, csp_stack *stack) { return csp_guard_visit(owner, look_there, stack) == CSP_VISITED; }

/* --- asking all of them --- */

typedef enum { NO_ANSWER = 0, NO_CODE, ANSWERED } answer;

typedef struct {
    csp_owner *owner;          /* counted */
    const char *state;         /* of the moment of the question: what it does, in a word; NULL: it has ended */
    char waits_for[200];       /* UTF-8, if the word is "waiting" */
    csp_time waited;           /* for how long */
    csp_stack stack;           /* the asker's until the answer is there */
    _Atomic uint32_t answer;   /* of that type; release by the asker / acquire by who waits */
} question;

typedef struct {
    _Atomic uint32_t refs;     /* acquire-release in drop_survey: the caller and each asker */
    _Atomic uint32_t next;     /* relaxed: only to share them out */
    _Atomic uint32_t turn;     /* futex word, + 1 for each answer; release / acquire in await_answers */
    uint32_t n;                /* immutable */
    question questions[];      /* as above */
} survey;

static void drop_survey(survey *all)
{
    /* Release our writes to, and acquire those of, whoever drops the last one. */
    if (atomic_fetch_sub_explicit(&all->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < all->n; i++) {
        csp_stack_clear(&all->questions[i].stack);
        csp_owner_decref(all->questions[i].owner);
    }
    csp_raw_free(all);
}

/* May one more thread ask it?  Not if it keeps one already, and has for long. */
static bool begin_asking(csp_owner *owner)
{
    csp_time now = csp_now();
    csp_lock_acquire(&owner->lock);
    bool may = owner->askers == 0 || now - owner->asked_at < STUCK;
    if (may && owner->askers++ == 0)
        owner->asked_at = now;
    csp_lock_release(&owner->lock);
    return may;
}

static void end_asking(csp_owner *owner)
{
    csp_lock_acquire(&owner->lock);
    owner->askers--;
    csp_lock_release(&owner->lock);
}

static void *asker_main(void *arg)
{
    survey *all = arg;
    uint32_t i;
    while ((i = atomic_fetch_add_explicit(&all->next, 1, memory_order_relaxed)) < all->n) {
        question *q = &all->questions[i];
        answer said = NO_ANSWER;
        if (begin_asking(q->owner)) {
            said = csp_owner_stack(q->owner, &q->stack) ? ANSWERED : NO_CODE;
            end_asking(q->owner);
        }
        atomic_store_explicit(&q->answer, said, memory_order_release);
        atomic_fetch_add_explicit(&all->turn, 1, memory_order_release);
        csp_futex_wake_all(&all->turn);
    }
    drop_survey(all);
    return NULL;
}

static void start_asker(survey *all)
{
    pthread_attr_t attr;
    pthread_t thread;
    atomic_fetch_add_explicit(&all->refs, 1, memory_order_relaxed); /* the caller has one: nothing to order */
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    if (pthread_create(&thread, &attr, asker_main, all) != 0)
        drop_survey(all);
    pthread_attr_destroy(&attr);
}

/* All owners, the oldest first; NULL without memory. */
static survey *new_survey(void)
{
    csp_lock_acquire(&list_lock);
    survey *all = csp_raw_calloc(1, sizeof *all + nowners * sizeof *all->questions);
    uint32_t n = all == NULL ? 0 : nowners;
    for (csp_owner *owner = first_owner; all != NULL && owner != NULL; owner = owner->next) {
        csp_owner_incref(owner);
        all->questions[--n].owner = owner;
    }
    if (all != NULL) {
        all->n = nowners;
        atomic_init(&all->refs, 1);
    }
    csp_lock_release(&list_lock);
    return all;
}

static bool is_listed(csp_owner *owner)
{
    csp_lock_acquire(&list_lock);
    bool listed = owner->prev != NULL || first_owner == owner;
    csp_lock_release(&list_lock);
    return listed;
}

static void look(question *q)
{
    csp_actor *actor = q->owner->actor;
    csp_time since = 0;
    csp_lock_acquire(&actor->lock);
    bool current = actor->owner == q->owner, dying = actor->kill_asked, starting = actor->state == CSP_ACTOR_STARTING;
    bool waits = current && actor->interp != NULL &&
                 csp_interp_describe_wait(actor->interp, actor->inbox, q->waits_for, sizeof q->waits_for, &since);
    csp_lock_release(&actor->lock);
    q->waited = waits ? csp_now() - since : 0;
    if (current)
        q->state = dying ? "killed" : waits ? "waiting" : starting ? "starting" : "running";
    else if (is_listed(q->owner))
        q->state = "zombie";
}

/* One slice of the wait.  False: it is over. */
static bool await_answers(survey *all, csp_time deadline)
{
    uint32_t turn = atomic_load_explicit(&all->turn, memory_order_acquire); /* before looking: no lost wake-up */
    csp_time now = csp_now();
    if (turn == all->n || now >= deadline)
        return false;
    csp_time until = now + SLICE < deadline ? now + SLICE : deadline;
    csp_sleep slept = csp_futex_wait(&all->turn, turn, until);
    if (slept == CSP_SLEPT_OUT && atomic_load_explicit(&all->next, memory_order_relaxed) < all->n) /* see the field */
        start_asker(all);
    return true;
}

/* --- for Python --- */

static PyObject *frames_of(const csp_stack *stack)
{
    PyObject *frames = PyTuple_New(stack->nframes);
    for (uint32_t i = 0; frames != NULL && i < stack->nframes; i++) { /* the outermost first */
        const uint32_t *frame = stack->words + stack->at[stack->nframes - 1 - i];
        PyObject *file = PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, frame + 3, frame[1]);
        PyObject *name = PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, frame + 3 + frame[1], frame[2]);
        PyObject *item = file == NULL || name == NULL ? NULL : Py_BuildValue("(OiO)", file, (int)frame[0], name);
        Py_XDECREF(file);
        Py_XDECREF(name);
        if (item == NULL)
            Py_CLEAR(frames);
        else
            PyTuple_SET_ITEM(frames, i, item);
    }
    return frames;
}

/* (ref, state, what it waits for or None, for how many seconds, frames or None, pid or 0, its descriptor) */
static PyObject *entry_of(csp_state *state, question *q)
{
    bool waits = strcmp(q->state, "waiting") == 0;
    bool answered = atomic_load_explicit(&q->answer, memory_order_acquire) != NO_ANSWER;
    PyObject *frames = answered ? frames_of(&q->stack) : Py_NewRef(Py_None);
    PyObject *ref = csp_ref_new(state, q->owner->actor);
    csp_lock_acquire(&q->owner->lock);
    int pid = q->owner->pid, file = q->owner->stack_file;
    csp_lock_release(&q->owner->lock);
    PyObject *what = waits ? PyUnicode_DecodeUTF8(q->waits_for, (Py_ssize_t)strlen(q->waits_for), "replace") : Py_NewRef(Py_None);
    PyObject *entry = frames == NULL || ref == NULL || what == NULL
                          ? NULL
                          : Py_BuildValue("(OsOdOii)", ref, q->state, what, (double)q->waited / 1e9, frames, pid, file);
    Py_XDECREF(frames);
    Py_XDECREF(ref);
    Py_XDECREF(what);
    return entry;
}

static PyObject *list_entries(csp_state *state, survey *all)
{
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; list != NULL && i < all->n; i++) {
        if (all->questions[i].owner->actor->is_interpreter || all->questions[i].state == NULL)
            continue;
        PyObject *entry = entry_of(state, &all->questions[i]);
        if (entry == NULL || PyList_Append(list, entry) < 0)
            Py_CLEAR(list);
        Py_XDECREF(entry);
    }
    return list;
}

static PyObject *stacks(PyObject *module, PyObject *timeout)
{
    csp_time deadline;
    if (csp_parse_timeout(timeout, &deadline) < 0)
        return NULL;
    if (deadline != CSP_NEVER && deadline != CSP_POLL)
        deadline += csp_now() - csp_clock(); /* for a look from outside, whatever csp's clock does */
    survey *all = new_survey();
    if (all == NULL)
        return PyErr_NoMemory();
    for (uint32_t i = 0; i < all->n; i++)
        look(&all->questions[i]);
    for (uint32_t i = 0; i < ASKERS && i < all->n; i++)
        start_asker(all);
    bool goes_on = true, interrupted = false;
    while (goes_on && !interrupted) {
        Py_BEGIN_ALLOW_THREADS
        goes_on = await_answers(all, deadline);
        Py_END_ALLOW_THREADS
        interrupted = PyErr_CheckSignals() < 0;
    }
    PyObject *list = interrupted ? NULL : list_entries(csp_state_of_module(module), all);
    drop_survey(all);
    return list;
}

static PyObject *watches(PyObject *module, PyObject *unused)
{
    bool service;
    uint32_t n = csp_watches(&service);
    return Py_BuildValue("(kO)", (unsigned long)n, service ? Py_True : Py_False);
}

static PyObject *boot_process(PyObject *module, PyObject *args)
{
    int pid, file;
    csp_owner *owner = PyArg_ParseTuple(args, "ii:boot_process", &pid, &file) ? csp_owner_or_raise() : NULL;
    if (owner == NULL)
        return NULL;
    csp_lock_acquire(&owner->lock);
    owner->pid = pid;
    owner->stack_file = file;
    csp_lock_release(&owner->lock);
    Py_RETURN_NONE;
}

PyMethodDef csp_stack_functions[] = {
    {"stacks", stacks, METH_O,
     PyDoc_STR("stacks(timeout) -> list\n\nOf each actor's thread: (ref, state, what it waits for or None, for how many "
               "seconds, frames or\nNone, pid, descriptor).  A frame is (file, line, function), the outermost first; None: it did not "
               "answer.  Of an actor in a process\nthe frames are those of its bridge; pid and descriptor are for csp._process.stack, else 0.")},
    {"boot_process", boot_process, METH_VARARGS,
     PyDoc_STR("boot_process(pid, descriptor)\n\nThis actor has a process, whose stack can be asked for; pid 0: not any more.")},
    {"watches", watches, METH_NOARGS,
     PyDoc_STR("watches() -> (actors under a watchdog, does the service thread run?)")},
    {NULL},
};
