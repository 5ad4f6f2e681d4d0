/* The thread that runs an actor.  As a rule it owns an interpreter for life: makes it, runs one actor (or the requests of csp.interpreters) in it, and
 * ends it, all in one raw OS thread with one thread state, as CPython wants it.
 *
 * Guard (attaching to an interpreter that ends aborts or hangs the process): whoever wants to enter the interpreter from
 * another thread does so in csp_guard_visit; the owner opens the gate while user code runs and
 * csp_guard_close waits until all are out.  Never from the main thread of the process, where it costs 80 us and may block
 * for as long as C code holds that interpreter's lock: csp_owner_throw starts a service thread instead.
 */
#ifndef CSP_PY_INTERP_H
#define CSP_PY_INTERP_H

#include <time.h>

#include "actor.h"
#include "stack.h"
#include "state.h"
#include "watchdog.h"

/* How the code of an actor ends when it is killed: by Killed raised in it; or, being an event loop that waits for this, by cancelling
 * its tasks when it hears of it, and only if that does not end it by Killed; it is cancelling them. */
typedef enum { CSP_UNWINDS_BY_FORCE, CSP_UNWINDS_ITSELF, CSP_UNWINDING } csp_unwinding;

typedef struct csp_owner {
    _Atomic uint32_t refs;   /* acquire-release in decref */
    csp_actor *actor;        /* immutable, counted */
    char *path;              /* immutable, RAW: the parent's sys.path, each entry in the file system's encoding, ended by NUL */
    size_t path_size;        /* immutable */
    csp_msg payload;         /* owner's thread only once started: what to run, taken by _core.boot_payload */
    csp_msg exit;            /* owner's thread only: the Exit that the actor computed */
    csp_msg failed_exit;     /* owner's thread only once started: the Exit for a life that could not say its own */
    clockid_t cpu_clock;     /* guarded by actor->lock while it is the actor's owner: the thread's processor time */
    bool has_cpu_clock;      /* guarded by actor->lock, as above */
    csp_thread_state thread; /* guarded by the table's lock */
    bool failed;             /* owner's thread only: the Exit is a failure, for the record's `keep` */
    PyInterpreterState *shared; /* immutable: isolation "thread": the interpreter that it shares, which ends its children
                                first; NULL: it has one of its own */
    csp_interp *host;        /* immutable, counted: that interpreter's record, or NULL */
    csp_interp *record;      /* owner's thread only; counted; NULL until csp is loaded */
    csp_state *state;        /* owner's thread, and others inside the guard: the module of its interpreter */
    csp_lock lock;           /* rank OWNER */
    csp_msg killed_exit;     /* guarded by lock: the Exit for a kill that ends in quarantine, and for one by the watchdog */
    PyInterpreterState *interp; /* guarded by lock: NULL unless other threads may enter */
    PyThreadState *tstate;   /* guarded by lock: the thread's own, while interp is set */
    unsigned long ident;     /* guarded by lock: the thread for PyThreadState_SetAsyncExc, while interp is set */
    uint32_t inside;         /* guarded by lock: threads in the guard */
    bool killing;            /* guarded by lock: a service thread is at work */
    csp_unwinding unwinding; /* guarded by lock: of its code, which is an event loop or not */
    int pid, stack_file;     /* guarded by lock: the actor's process, or 0, and its descriptor for csp._process.stack */
    uint32_t askers;         /* guarded by lock: threads that want its stack */
    csp_time asked_at;       /* guarded by lock: since when there are any */
    csp_watch watch;         /* its fields name their guards; begun and ended in the owner's thread */
    struct csp_owner *next, *prev; /* guarded by the list's lock: py_stacks.c */
    _Atomic uint32_t turn;   /* futex word, + 1 when `inside` falls to 0, when the gate closes and when `unwinding` changes;
                                release / acquire in waits */
} csp_owner;

void csp_owner_incref(csp_owner *owner);
void csp_owner_decref(csp_owner *owner);

/* In the owner's thread, while it runs code. */
void csp_owner_unwinds(csp_owner *owner, csp_unwinding how);

/* The owner whose thread this is, or NULL. */
csp_owner *csp_current_owner(void);
csp_owner *csp_owner_or_raise(void); /* NULL with RuntimeError set */

/* In the owner's thread.  Consume a stop that no wait has delivered yet, so that channel operations work from here on: was one asked,
 * or a kill, or is another life of the actor running? */
bool csp_take_stop(csp_owner *owner);
/* A class begins or ends its wait for a message.  Was it asked to stop?  The stop is consumed then. */
bool csp_await_message(csp_owner *owner, bool begin);

/* Start its thread, which takes references of its own.  0, or an errno.  With `warm` (or NULL), a warm interpreter that is still
 * free, that one's thread goes over to it instead. */
int csp_owner_start(csp_owner *owner, csp_actor *warm);

/* The actor's thread, with a new reference, or NULL. */
csp_owner *csp_actor_owner(csp_actor *actor);

/* Processor time of the life that runs, or of the last one. */
double csp_actor_cpu_seconds(csp_actor *actor);

/* Threads of the attached interpreter besides this one. */
uint32_t csp_count_other_threads(void);

/* --- py_attach.c --- */
typedef enum { CSP_THROW_KILLED, CSP_THROW_INTERRUPT, CSP_THROW_HUNG } csp_throw;

typedef enum { CSP_GONE, CSP_NO_VISIT, CSP_VISITED } csp_visit; /* its code has ended; no memory for a thread state; done */
typedef void csp_visitor(csp_owner *owner, unsigned long ident, void *arg); /* ident: the thread that runs the code */

/* Call the visitor attached to the owner's interpreter, inside the guard.  Not in a thread that is attached already. */
csp_visit csp_guard_visit(csp_owner *owner, csp_visitor *visitor, void *arg);
/* In the owner's thread, attached.  Closing waits for those inside and takes back an exception that is still pending. */
void csp_guard_open(csp_owner *owner);
void csp_guard_close(csp_owner *owner);

/* Raise in the code that the owner runs now: Killed, again and again until it ends (HUNG: its stack goes into its Exit before),
 * or KeyboardInterrupt, once.
 * Returns at once; a service thread does it. */
void csp_owner_throw(csp_owner *owner, csp_throw what);

/* The watchdog of what the owner is about to run, if the actor has one.  -1 with an exception set. */
int csp_owner_watch(csp_owner *owner);

/* --- py_stacks.c --- */
void csp_owner_list(csp_owner *owner);
void csp_owner_unlist(csp_owner *owner);

/* The Python stack of its thread, by a service thread.  False: it runs no code of its actor now.  Waits for the interpreter's lock. */
bool csp_owner_stack(csp_owner *owner, csp_stack *stack);

/* --- py_warm.c --- */

/* Give the interpreter, if it waits and is free, to `next`, whose references are the thread's then.  No lock held. */
bool csp_warm_hand_over(csp_actor *warm, csp_owner *next);
/* In the thread of a warm one that has stopped waiting: from now on it is not free.  Whose it is, or NULL. */
csp_owner *csp_warm_successor(csp_actor *warm);

/* --- py_leak.c --- */
Py_ssize_t csp_modules_here(void); /* imported by the attached interpreter */
void csp_interpreter_ended(Py_ssize_t modules); /* it had so many */

/* --- endings: py_ending.c --- */

/* Ask to stop, then throw: all that a kill may do short of quarantine. */
void csp_actor_kill(csp_actor *actor);

/* Give the actor up: its handles go dead, its name is free, its end ("killed") is announced; its thread goes on. */
void csp_actor_quarantine(csp_actor *actor);
void csp_owner_quarantine(csp_owner *owner); /* only if its life still runs */

/* End all actors that `parent` spawned (NULL: main): stop until `stop_by`, then kill until `kill_by`.  Attached; signals are
 * seen if this is the main thread.  How many are left. */
uint32_t csp_end_children(csp_actor *parent, csp_time stop_seconds, csp_time kill_seconds);

/* Give up all that are left of them. */
void csp_give_up_children(csp_actor *parent);

#endif
