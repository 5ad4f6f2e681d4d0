/* The life of an interpreter of ours: made, used and ended by one raw OS thread.
 *
 * The order of an end: the body returned and its Exit is encoded -> children ended -> other threads of the interpreter gone
 * (bounded; if some stay, the end is announced and this thread waits on) -> memory it shared come back (likewise) -> Py_EndInterpreter, whose atexit drops the handles
 * -> the record dies -> one life less -> name freed, Exit announced -> off the list of actors.
 */
#define _GNU_SOURCE /* pthread_getcpuclockid */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "codec.h"
#include "mem.h"
#include "py_interp.h"
#include "share.h"

#if PY_VERSION_HEX >= 0x030e0000
#define STACK_SIZE (1024 * 1024) /* address space only */
#else
#define STACK_SIZE (8 * 1024 * 1024) /* 3.13 overflows smaller stacks before it sees the recursion limit */
#endif

#define SECOND 1000000000LL
#define THREADS_PATIENCE (2 * SECOND) /* how long threads that the actor left behind may go on */
#define THREADS_KILL (SECOND)         /* how long they may take to die then */
#define CHILDREN_STOP (5 * SECOND)
#define CHILDREN_KILL (SECOND)

static _Thread_local csp_owner *current_owner; /* process-wide in kind, one a thread; owned by owner_main */

csp_owner *csp_current_owner(void) { return current_owner; }

/* --- the record of the thread --- */

void csp_owner_incref(csp_owner *owner)
{
    atomic_fetch_add_explicit(&owner->refs, 1, memory_order_relaxed); /* the caller has one: nothing to order */
}

void csp_owner_decref(csp_owner *owner)
{
    /* Release our writes to, and acquire those of, whoever drops the last one. */
    if (atomic_fetch_sub_explicit(&owner->refs, 1, memory_order_acq_rel) != 1)
        return;
    csp_msg_unsend(&owner->payload); /* if nobody took it */
    csp_msg_clear(&owner->exit);
    csp_msg_clear(&owner->failed_exit);
    csp_msg_clear(&owner->killed_exit);
    csp_raw_free(owner->path);
    if (owner->host != NULL)
        csp_interp_decref(owner->host);
    csp_actor_decref(owner->actor);
    csp_raw_free(owner);
}

csp_owner *csp_actor_owner(csp_actor *actor)
{
    csp_lock_acquire(&actor->lock);
    csp_owner *owner = actor->owner;
    if (owner != NULL)
        csp_owner_incref(owner);
    csp_lock_release(&actor->lock);
    return owner;
}

static void set_owner(csp_actor *actor, csp_owner *owner) /* counted by the caller, or NULL */
{
    csp_lock_acquire(&actor->lock);
    csp_owner *old = actor->owner;
    actor->owner = owner;
    csp_lock_release(&actor->lock);
    if (old != NULL)
        csp_owner_decref(old);
}

/* Is it the thread of the life that runs now?  Not once it was given up: then another life may run already. */
static bool is_current(csp_owner *owner)
{
    csp_lock_acquire(&owner->actor->lock);
    bool current = owner->actor->owner == owner;
    csp_lock_release(&owner->actor->lock);
    return current;
}

/* --- processor time --- */

static double read_clock(clockid_t clock)
{
    struct timespec ts = {0};
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void begin_cpu_time(csp_owner *owner) /* in its thread */
{
    clockid_t clock;
    if (pthread_getcpuclockid(pthread_self(), &clock) != 0)
        return;
    csp_lock_acquire(&owner->actor->lock);
    owner->cpu_clock = clock;
    owner->has_cpu_clock = true;
    csp_lock_release(&owner->actor->lock);
}

double csp_actor_cpu_seconds(csp_actor *actor)
{
    csp_lock_acquire(&actor->lock);
    csp_owner *owner = actor->owner; /* its thread lives as long as it stands here */
    double seconds = owner == NULL             ? actor->cpu_seconds
                     : owner->has_cpu_clock ? read_clock(owner->cpu_clock)
                                            : 0.0;
    csp_lock_release(&actor->lock);
    return seconds;
}

/* --- threads left in the interpreter --- */

uint32_t csp_count_other_threads(void)
{
    PyThreadState *self = PyThreadState_Get();
    uint32_t count = 0;
    PyThreadState *other = PyInterpreterState_ThreadHead(PyThreadState_GetInterpreter(self));
    for (; other != NULL; other = PyThreadState_Next(other)) /* they leave the list with this lock held: it is not the main one */
        count += other != self;
    return count;
}

static void sleep_detached(csp_time nanoseconds)
{
    _Atomic uint32_t nobody_wakes = 0;
    csp_time until = csp_now() + nanoseconds;
    Py_BEGIN_ALLOW_THREADS
    while (csp_now() < until && csp_futex_wait(&nobody_wakes, 0, until) != CSP_SLEPT_OUT)
        ;
    Py_END_ALLOW_THREADS
}

/* True once this is the only thread of the interpreter. */
static bool await_threads(csp_time patience)
{
    csp_time until = csp_now() + patience, pause = SECOND / 2000;
    while (csp_count_other_threads() > 0) {
        if (csp_now() >= until)
            return false;
        sleep_detached(pause);
        pause = pause < SECOND / 50 ? pause * 2 : pause;
    }
    return true;
}

static void throw_at_threads(csp_owner *owner)
{
    PyThreadState *self = PyThreadState_Get();
    unsigned long ids[256];
    int n = 0;
    for (PyThreadState *other = PyInterpreterState_ThreadHead(PyThreadState_GetInterpreter(self));
         other != NULL && n < 256; other = PyThreadState_Next(other))
        if (other != self)
            ids[n++] = other->thread_id;
    while (n > 0)
        PyThreadState_SetAsyncExc(ids[--n], owner->state->errors[CSP_E_Killed]);
}

static bool kill_is_asked(csp_actor *actor)
{
    csp_lock_acquire(&actor->lock);
    bool asked = actor->kill_asked;
    csp_lock_release(&actor->lock);
    return asked;
}

/* Let the other threads of the interpreter end; idle threads of executors are told to. */
static bool settle_threads(csp_owner *owner)
{
    if (csp_count_other_threads() == 0)
        return true;
    PyObject *boot = PyImport_ImportModule("csp._boot");
    PyObject *done = boot == NULL ? NULL : PyObject_CallMethod(boot, "release_pools", NULL);
    Py_XDECREF(boot);
    Py_XDECREF(done);
    PyErr_Clear(); /* best effort: what remains is waited for */
    if (await_threads(kill_is_asked(owner->actor) ? 0 : THREADS_PATIENCE))
        return true;
    csp_interp_cancel(owner->record, CSP_KILL_ASKED);
    throw_at_threads(owner);
    return await_threads(THREADS_KILL);
}

/* --- the thread --- */

/* What the parent had as sys.path when it spawned: edits made at run time are not inherited by themselves. */
static int copy_path(csp_owner *owner)
{
    PyObject *path = PyList_New(0);
    const char *entry = owner->path, *end = owner->path + owner->path_size;
    while (path != NULL && entry < end) {
        PyObject *text = PyUnicode_DecodeFSDefault(entry);
        if (text == NULL || PyList_Append(path, text) < 0)
            Py_CLEAR(path);
        Py_XDECREF(text);
        entry += strlen(entry) + 1;
    }
    int result = path == NULL ? -1 : PySys_SetObject("path", path);
    Py_XDECREF(path);
    return result;
}

/* The exception that is set becomes the text of the ActorStartError. */
static void keep_start_error(csp_owner *owner)
{
    PyObject *exception = PyErr_GetRaisedException();
    PyObject *text = exception == NULL ? NULL
                                       : PyUnicode_FromFormat("%s: %S", Py_TYPE(exception)->tp_name, exception);
    const char *utf8 = text == NULL ? NULL : PyUnicode_AsUTF8(text);
    csp_actor_set_start_error(owner->actor, utf8 != NULL ? utf8 : "the interpreter could not be set up");
    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(exception);
}

/* All that happens in Python, from csp._boot. */
static void run_boot(csp_owner *owner)
{
    bool own = owner->shared == NULL;
    PyObject *boot = own && copy_path(owner) < 0 ? NULL : PyImport_ImportModule("csp._boot");
    const char *entry = !own                          ? "live_in_thread"
                        : owner->actor->warm           ? "warm"
                        : owner->actor->is_interpreter ? "serve"
                                                       : "live";
    PyObject *done = boot == NULL ? NULL : PyObject_CallMethod(boot, entry, NULL);
    if (done == NULL)
        keep_start_error(owner);
    Py_XDECREF(done);
    Py_XDECREF(boot);
}

/* The life is over for everybody else; `owner->exit` or a fallback is announced. */
static void announce(csp_owner *owner)
{
    csp_actor *actor = owner->actor;
    csp_msg exit;
    csp_msg_move(&exit, &owner->exit);
    if (exit.kind == CSP_MSG_EMPTY && kill_is_asked(actor)) {
        csp_lock_acquire(&owner->lock);
        csp_msg_move(&exit, &owner->killed_exit); /* empty if it is in quarantine, where nothing is announced */
        csp_lock_release(&owner->lock);
    }
    csp_lock_acquire(&actor->lock);
    if (actor->owner == owner)
        actor->cpu_seconds = read_clock(CLOCK_THREAD_CPUTIME_ID);
    csp_lock_release(&actor->lock);
    bool failed = owner->failed || exit.kind == CSP_MSG_EMPTY || kill_is_asked(actor);
    if (exit.kind == CSP_MSG_EMPTY)
        csp_msg_move(&exit, &owner->failed_exit);
    if (csp_actor_exited(actor, owner, &exit, failed))
        csp_owner_decref(owner); /* the record's reference; ours remains */
}

/* The same, and the thread, whose reference goes, is no longer its. */
static void finish(csp_owner *owner)
{
    csp_owner_unlist(owner); /* one that is listed and not its actor's any more is a zombie */
    announce(owner);
    csp_actor_thread_gone(owner->actor, &owner->thread);
    csp_actor_unlist(owner->actor);
    csp_owner_decref(owner);
}

/* Threads stay that nobody can end: ending the interpreter under them would crash.  The actor's end is announced, the
 * interpreter lives on until they are gone. */
static void outlive_threads(csp_owner *owner)
{
    csp_interp_died(owner->record, NULL, true);
    csp_actor_give_up_thread(owner->actor, &owner->thread);
    Py_BEGIN_ALLOW_THREADS
    announce(owner);
    Py_END_ALLOW_THREADS
    while (!await_threads(60 * SECOND))
        ;
}

/* Attached, no thread is left.  Is all of its memory back that it had shared? */
static bool is_all_back(csp_interp *record)
{
    bool back = atomic_load_explicit(&record->away, memory_order_acquire) == 0; /* release in share.c: what came back is listed */
    csp_take_back(record);
    return back;
}

/* Others still use memory of its objects: the end is announced, and the interpreter lives on until the last view of them is gone.
 * But the process does not wait: its end finds the memory in place, since nothing releases the buffers. */
static void outlive_views(csp_owner *owner)
{
    csp_msg none = {.kind = CSP_MSG_EMPTY};
    csp_interp *record = owner->record;
    csp_interp_died(record, NULL, true);
    csp_interp_set_exit_cause(record, &none); /* which may hold a view itself */
    csp_actor_give_up_thread(owner->actor, &owner->thread);
    Py_BEGIN_ALLOW_THREADS
    announce(owner);
    Py_END_ALLOW_THREADS
    while (!is_all_back(record)) {
        if (csp_process_is_ending()) {
            atomic_store_explicit(&record->orphaned, true, memory_order_release); /* acquire in share.c */
            return;
        }
        sleep_detached(SECOND / 50);
    }
}

/* Make the interpreter: attached on success. */
static PyThreadState *make_interpreter(csp_owner *owner)
{
    const PyInterpreterConfig config = {
        .use_main_obmalloc = 0,
        .allow_fork = 0,
        .allow_exec = 0,
        .allow_threads = 1,
        .allow_daemon_threads = 0, /* one left behind at the end is a use after free */
        .check_multi_interp_extensions = 1,
        .gil = PyInterpreterConfig_OWN_GIL,
    };
    PyThreadState *tstate = NULL;
    PyStatus status = Py_NewInterpreterFromConfig(&tstate, &config);
    if (!PyStatus_Exception(status) && tstate != NULL)
        return tstate;
    csp_actor_set_start_error(owner->actor, status.err_msg != NULL ? status.err_msg : "no interpreter could be created");
    return NULL;
}

static void end_children(csp_owner *owner)
{
    if (is_current(owner) && csp_end_children(owner->actor, CHILDREN_STOP, CHILDREN_KILL) > 0)
        csp_give_up_children(owner->actor);
}

/* A warm interpreter goes over to the actor that it was given to, if it was: this thread is that one's from here on. */
static csp_owner *go_over(csp_owner *owner)
{
    csp_owner *next = csp_warm_successor(owner->actor);
    if (next == NULL)
        return owner;
    current_owner = next;
    next->record = owner->record;
    next->state = owner->state;
    owner->record = NULL;
    begin_cpu_time(next);
    csp_actor_set_interp(next->actor, next, next->record);
    finish(owner);
    return next;
}

/* Returns whose thread it is at the end. */
static csp_owner *live_in_own_interpreter(csp_owner *owner)
{
    PyThreadState *tstate = make_interpreter(owner);
    if (tstate != NULL) {
        if (owner->actor->warm) {
            run_boot(owner);
            owner = go_over(owner);
        }
        if (!owner->actor->warm)
            run_boot(owner);
        end_children(owner);
        if (owner->record != NULL && !settle_threads(owner))
            outlive_threads(owner);
        if (owner->record != NULL) {
            atomic_store_explicit(&owner->record->lends_no_more, true, memory_order_relaxed); /* read by this thread */
            if (!is_all_back(owner->record))
                outlive_views(owner);
        }
        Py_ssize_t modules = csp_modules_here();
        Py_EndInterpreter(tstate);
        csp_interpreter_ended(modules);
    }
    if (owner->record != NULL) {
        csp_interp_died(owner->record, NULL, false); /* once more, in case no atexit ran */
        csp_interp_reap(owner->record);
        if (owner->record->has_module) /* it was leaked, as by an object that was: nobody else drops its reference */
            csp_interp_decref(owner->record);
        csp_interp_decref(owner->record);
    }
    csp_life_end();
    return owner;
}

/* It lives in another's interpreter, or no longer does: the host's waits are not alone there. */
static void count_guest(csp_owner *owner, int change)
{
    if (owner->host != NULL) /* relaxed: see interp.h */
        atomic_fetch_add_explicit(&owner->host->guests, (uint32_t)change, memory_order_relaxed);
}

/* The interpreter is its parent's: that one is alive now, and ends its children before itself. */
static void live_in_shared_interpreter(csp_owner *owner)
{
    PyThreadState *tstate = PyThreadState_New(owner->shared);
    owner->record = csp_interp_new_guest(owner->host, -(int64_t)owner->actor->id);
    if (tstate == NULL || owner->record == NULL) {
        csp_actor_set_start_error(owner->actor, "no memory for another thread state");
    }
    else {
        csp_thread_record = owner->record;
        PyEval_RestoreThread(tstate);
        csp_actor_set_interp(owner->actor, owner, owner->record);
        run_boot(owner);
        end_children(owner);
        csp_interp_died(owner->record, NULL, true); /* Python objects that others see may keep its handles: closed ones now */
        PyThreadState_Clear(tstate); /* may run Python: the record is still ours, and makes no more handles */
        PyThreadState_DeleteCurrent();
        csp_thread_record = NULL;
    }
    count_guest(owner, -1);
    if (owner->record != NULL)
        csp_interp_decref(owner->record);
}

static void *owner_main(void *arg)
{
    csp_owner *owner = arg;
    current_owner = owner;
    begin_cpu_time(owner);
    if (owner->shared != NULL)
        live_in_shared_interpreter(owner);
    else
        owner = live_in_own_interpreter(owner);
    finish(owner);
    return NULL;
}

int csp_owner_start(csp_owner *owner, csp_actor *warm)
{
    pthread_attr_t attr;
    pthread_t thread;
    csp_owner_incref(owner); /* the actor's */
    csp_owner_incref(owner); /* the thread's */
    set_owner(owner->actor, owner);
    csp_owner_list(owner);
    if (warm != NULL && csp_warm_hand_over(warm, owner))
        return 0;
    if (owner->shared == NULL)
        csp_life_begin(); /* a thread of this interpreter stands in the way of no fork */
    count_guest(owner, 1);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    int error = pthread_create(&thread, &attr, owner_main, owner);
    pthread_attr_destroy(&attr);
    if (error != 0) {
        csp_owner_unlist(owner);
        if (owner->shared == NULL)
            csp_life_end();
        count_guest(owner, -1);
        set_owner(owner->actor, NULL);
        csp_owner_decref(owner);
    }
    return error;
}

/* --- what csp._boot calls, in the owner's thread --- */

csp_owner *csp_owner_or_raise(void)
{
    if (current_owner == NULL)
        PyErr_SetString(PyExc_RuntimeError, "only the thread that owns an actor's interpreter may call this");
    return current_owner;
}

static PyObject *boot_ref(PyObject *module, PyObject *unused)
{
    csp_owner *owner = csp_owner_or_raise();
    return owner == NULL ? NULL : csp_ref_new(csp_state_of_module(module), owner->actor);
}

static PyObject *boot_payload(PyObject *module, PyObject *unused)
{
    csp_owner *owner = csp_owner_or_raise();
    if (owner == NULL)
        return NULL;
    PyObject *payload = csp_decode(csp_state_of_module(module), &owner->payload, false);
    csp_msg_clear(&owner->payload);
    return payload;
}

static PyObject *boot_alive(PyObject *module, PyObject *unused)
{
    csp_owner *owner = csp_owner_or_raise();
    if (owner == NULL)
        return NULL;
    if (owner->actor->is_interpreter)
        csp_actor_end_run(owner->actor);
    csp_actor_alive(owner->actor, owner);
    Py_RETURN_NONE;
}

static PyObject *boot_idle(PyObject *module, PyObject *unused)
{
    csp_owner *owner = csp_owner_or_raise();
    if (owner == NULL)
        return NULL;
    csp_actor_end_run(owner->actor);
    Py_RETURN_NONE;
}

static PyObject *run_body(PyObject *module, PyObject *args)
{
    PyObject *function, *positional, *named;
    if (!PyArg_ParseTuple(args, "OO!O!:run_body", &function, &PyTuple_Type, &positional, &PyDict_Type, &named))
        return NULL;
    csp_owner *owner = csp_owner_or_raise();
    if (owner == NULL)
        return NULL;
    csp_guard_open(owner);
    PyObject *result = NULL;
    if (kill_is_asked(owner->actor) || !is_current(owner)) /* before the gate was open, so nobody threw it */
        PyErr_SetNone(csp_state_of_module(module)->errors[CSP_E_Killed]);
    else if (csp_owner_watch(owner) == 0)
        result = PyObject_Call(function, positional, named);
    csp_watch_end(&owner->watch);
    PyObject *exception = result == NULL ? PyErr_GetRaisedException() : NULL;
    csp_guard_close(owner); /* from here on no kill strikes: what follows is ours */
    if (result != NULL)
        return Py_BuildValue("(ON)", Py_True, result);
    return Py_BuildValue("(ON)", Py_False, exception);
}

static PyObject *boot_asked(PyObject *module, PyObject *unused)
{
    csp_owner *owner = csp_owner_or_raise();
    if (owner == NULL)
        return NULL;
    csp_actor *actor = owner->actor;
    csp_lock_acquire(&actor->lock);
    bool stop = actor->stop_asked, kill = actor->kill_asked || actor->owner != owner, hung = actor->hung && actor->owner == owner;
    csp_chan_info stopping = {.closed = false};
    if (!kill && actor->stopping != NULL)
        csp_chan_inspect(actor->stopping, &stopping);
    csp_lock_release(&actor->lock);
    /* Relaxed: only this interpreter's own waits deliver a stop, and they are over or their outcome is known. */
    uint32_t cancel = atomic_load_explicit(&owner->record->cancel, memory_order_relaxed);
    bool noticed = actor->trap_stop || cancel >= CSP_STOP_DELIVERED || stopping.counts.received > 0;
    return PyUnicode_FromString(hung ? "watchdog" : kill ? "kill" : !stop ? "" : noticed ? "stop" : "unnoticed stop");
}

bool csp_take_stop(csp_owner *owner)
{
    bool asked = csp_actor_between(owner->actor, false) || !is_current(owner);
    if (asked)
        csp_interp_check(owner->record);
    return asked;
}

bool csp_await_message(csp_owner *owner, bool begin)
{
    bool asked = csp_actor_between(owner->actor, owner->actor->trap_stop && begin);
    if (asked)
        csp_interp_check(owner->record);
    return asked;
}

static PyObject *take_stop(PyObject *module, PyObject *unused)
{
    csp_owner *owner = csp_owner_or_raise();
    if (owner == NULL)
        return NULL;
    return PyBool_FromLong(csp_take_stop(owner));
}

static PyObject *await_message(PyObject *module, PyObject *begin)
{
    csp_owner *owner = csp_owner_or_raise();
    if (owner == NULL)
        return NULL;
    return PyBool_FromLong(csp_await_message(owner, begin == Py_True));
}

static PyObject *ignore_stops(PyObject *module, PyObject *unused)
{
    csp_ignores_stops = true;
    Py_RETURN_NONE;
}

static PyObject *unwinding(PyObject *module, PyObject *begun)
{
    csp_owner *owner = csp_owner_or_raise();
    if (owner == NULL)
        return NULL;
    csp_owner_unwinds(owner, begun == Py_True ? CSP_UNWINDING : CSP_UNWINDS_ITSELF);
    Py_RETURN_NONE;
}

static PyObject *interpreter_id(PyObject *module, PyObject *unused)
{
    return PyLong_FromLongLong(PyInterpreterState_GetID(PyInterpreterState_Get()));
}

static PyObject *boot_exit(PyObject *module, PyObject *args)
{
    PyObject *exit;
    int returned, failed;
    if (!PyArg_ParseTuple(args, "Opp:boot_exit", &exit, &returned, &failed))
        return NULL;
    csp_owner *owner = csp_owner_or_raise();
    if (owner == NULL)
        return NULL;
    csp_state *state = csp_state_of_module(module);
    csp_msg msg = {.kind = CSP_MSG_EMPTY}, cause = {.kind = CSP_MSG_EMPTY};
    /* The record of the actor keeps the Exit, and the interpreter may refer to the record: memory of its own in there would keep it
     * alive for good.  Relaxed: read by its own threads. */
    bool own = owner->shared == NULL;
    if (own)
        atomic_store_explicit(&state->interp->lends_no_more, true, memory_order_relaxed);
    int encoded = csp_encode_exit(state, exit, &msg);
    if (own)
        atomic_store_explicit(&state->interp->lends_no_more, false, memory_order_relaxed); /* as above */
    if (encoded < 0)
        return NULL;
    if (csp_msg_clone(&cause, &msg))
        csp_interp_set_exit_cause(owner->record, &cause);
    csp_msg_clear(&owner->exit);
    csp_msg_move(&owner->exit, &msg);
    owner->failed = failed;
    csp_lock_acquire(&owner->actor->lock);
    if (owner->actor->owner == owner)
        owner->actor->returned = returned;
    csp_lock_release(&owner->actor->lock);
    Py_RETURN_NONE;
}

/* The Exit that the watchdog has made is the one. */
static PyObject *boot_hung(PyObject *module, PyObject *unused)
{
    csp_owner *owner = csp_owner_or_raise();
    if (owner == NULL)
        return NULL;
    csp_msg cause = {.kind = CSP_MSG_EMPTY};
    csp_msg_clear(&owner->exit);
    csp_lock_acquire(&owner->lock);
    csp_msg_move(&owner->exit, &owner->killed_exit); /* empty if it was quarantined: then all has been said */
    csp_lock_release(&owner->lock);
    if (csp_msg_clone(&cause, &owner->exit))
        csp_interp_set_exit_cause(owner->record, &cause);
    owner->failed = true;
    Py_RETURN_NONE;
}

PyMethodDef csp_interp_functions[] = {
    {"boot_ref", boot_ref, METH_NOARGS, PyDoc_STR("The ActorRef of the actor whose interpreter this is.")},
    {"boot_payload", boot_payload, METH_NOARGS, PyDoc_STR("What to run; once.")},
    {"boot_alive", boot_alive, METH_NOARGS, PyDoc_STR("The actor is up: spawn returns.")},
    {"boot_idle", boot_idle, METH_NOARGS, PyDoc_STR("The run of this interpreter is over: it may be run again.")},
    {"boot_asked", boot_asked, METH_NOARGS, PyDoc_STR("'watchdog', 'kill', 'stop', 'unnoticed stop' or '': what has been asked of this actor.")},
    {"take_stop", take_stop, METH_NOARGS,
     PyDoc_STR("Was a stop or kill asked?  The stop is delivered by that: channel operations work afterwards.")},
    {"await_message", await_message, METH_O,
     PyDoc_STR("await_message(begin) -> bool\n\nA class actor begins or ends its wait for a message; True: it was asked to stop.")},
    {"ignore_stops", ignore_stops, METH_NOARGS,
     PyDoc_STR("A stop of the actor does not break off the waits of this thread, which serves the others.")},
    {"unwinding", unwinding, METH_O,
     PyDoc_STR("unwinding(begun)\n\nThis actor's event loop will cancel its tasks when it hears of a kill, or does so now: no Killed "
               "strikes it until it has had time for that.")},
    {"interpreter_id", interpreter_id, METH_NOARGS, PyDoc_STR("CPython's number of this interpreter.")},
    {"boot_exit", boot_exit, METH_VARARGS,
     PyDoc_STR("boot_exit(exit, returned, failed)\n\nKeep the Exit, to be announced once the interpreter has ended.")},
    {"boot_hung", boot_hung, METH_NOARGS, PyDoc_STR("As boot_exit, with the Exit that the watchdog has made.")},
    {"run_body", run_body, METH_VARARGS,
     PyDoc_STR("run_body(function, args, kwargs) -> (True, result) or (False, exception)\n\nCall it; while it runs, and only "
               "then, a kill may strike.")},
    {NULL},
};
