/* The record of one actor: its name, its mailbox, its lives and their ends.  Process-wide, RAW and counted, so that it
 * survives the interpreter that made it and the one that runs it.  An interpreter of csp.interpreters has one too, without
 * a name.
 *
 * A reference names the record, not one life: a supervisor may start another life after the end of one (csp_actor_restart).
 * Whether one may come is `keep`: then the name and the mailbox with what is queued stay over the end of a life, and else
 * they are given up just before that end is announced.  What the fields say of a life is said of the running one, or,
 * between lives, of the last.
 *
 * Names: registered from spawn until the last life's exit is announced; looked up from any interpreter.
 * Monitors: channels of capacity 1 that each get the Exit once and end; a monitor made after the fact gets it at once.
 * Lives: one is an OS thread that owns an interpreter of ours (or borrows this one: isolation "thread"); while an
 * interpreter of ours lives the process must not fork, and its exit has to end it first.
 *
 * Reference cycle: the Exit of an actor names the actor, so the message kept here would keep its own record alive.
 * The references that it holds on its own record are therefore not counted (self_refs); csp_actor_decref gives them back
 * before it frees the message.
 */
#ifndef CSP_ACTOR_H
#define CSP_ACTOR_H

#include "interp.h"

typedef enum { CSP_ACTOR_STARTING = 0, CSP_ACTOR_ALIVE, CSP_ACTOR_EXITED } csp_actor_state;

/* May another life follow? */
typedef enum { CSP_KEEP_NEVER = 0, CSP_KEEP_ON_FAILURE, CSP_KEEP_ALWAYS } csp_keep;

/* What an interpreter of csp.interpreters is doing; a true actor is busy all its life. */
typedef enum { CSP_IDLE = 0, CSP_BUSY, CSP_CLOSING } csp_activity;

struct csp_owner; /* py_interp.h: the thread that runs it */

typedef struct csp_actor {
    csp_lock lock;             /* rank ACTOR */
    _Atomic uint32_t refs;     /* acquire-release in decref */
    uint64_t id;               /* immutable: process-wide, ascending */
    char *name;                /* immutable, RAW, UTF-8 */
    struct csp_actor *parent;  /* immutable, counted: who spawned it; NULL for the main interpreter */
    uint32_t fork_generation;  /* immutable: csp_fork_generation at birth */
    bool is_interpreter;       /* immutable: no actor: belongs to csp.interpreters, or is warm */
    bool warm;                 /* immutable: stands for an interpreter that waits for an actor; py_warm.c */
    bool in_thread;            /* immutable: shares the interpreter of whoever spawned it */
    bool trap_stop;            /* immutable: a stop only fires `stopping` */
    bool serves;               /* immutable: a class, which answers calls */
    csp_time watchdog;         /* immutable: how long it may show no sign of life; 0: for ever */
    uint32_t max_deliveries;   /* immutable: how often a message is handed out before it is a dead letter; 0: none ever is */
    uint32_t epoch;            /* guarded by lock: which life this is; the first is 1 */
    int keep;                  /* guarded by lock: csp_keep */
    bool over;                 /* guarded by lock: no further life; the name and the mailbox are given up */
    bool between;              /* guarded by lock: a class that traps stops waits for its next message: a stop may break that off */
    uint64_t handled;          /* guarded by lock: messages done, over all lives */
    uint64_t discarded;        /* guarded by lock, once over: messages that no life was left for */
    double cpu_seconds;        /* guarded by lock: processor time of the last life, once it has ended */
    double started_at;         /* guarded by lock: time.monotonic() at the start of this life */
    int state;                 /* guarded by lock: csp_actor_state */
    int activity;              /* guarded by lock: csp_activity */
    bool stop_asked, kill_asked; /* guarded by lock */
    bool hung;                 /* guarded by lock: it was the watchdog who asked for the kill, before anybody else */
    bool returned;             /* guarded by lock: the function came to its end, `value` of the Exit is its result */
    csp_end *inbox_sender, *inbox_receiver; /* guarded by lock, NULL once over; in-flight ends that keep the mailbox open in
                                  both directions while nobody holds a handle */
    csp_chan *inbox;           /* guarded by lock, counted: where ref.send goes; NULL once over */
    csp_chan *stopping;        /* guarded by lock, counted: this life's, yields True once when a stop is asked; NULL once EXITED */
    csp_end *stopping_sender, *stopping_receiver; /* guarded by lock; as for the inbox; the sender goes with the stop */
    struct csp_interp *interp; /* guarded by lock, counted: whose waits a stop breaks off; NULL before and after */
    struct csp_owner *owner;   /* guarded by lock, counted: the thread that runs it; NULL before and after */
    struct csp_owner *successor; /* guarded by lock, counted: of a warm one: whose its thread is to be next; or NULL */
    csp_msg exit;              /* guarded by lock: the encoded Exit, once EXITED */
    uint32_t self_refs;        /* guarded by lock: uncounted references on this record inside `exit` */
    char *start_error;         /* guarded by lock, RAW: why no interpreter or no csp could be had for it, or NULL */
    csp_end **monitors;        /* guarded by lock: sending ends, in flight */
    uint32_t nmonitors, monitors_room;
    csp_end *started;          /* guarded by lock: gets True once alive, or the Exit if it never was */
    uint32_t listed;           /* guarded by the table's lock: reasons to be on the list: each thread that still runs a life of
                                  it, and one while another life may follow */
    bool listed_as_kept;       /* guarded by the table's lock: the latter */
    uint32_t zombies;          /* guarded by the table's lock: threads that were given up and still run */
    bool named;                /* guarded by the table's lock */
    struct csp_actor *next, *prev, *next_named; /* guarded by the table's lock */
} csp_actor;

typedef struct {
    const char *name;    /* the whole name, or its stem if `unique` */
    bool unique;         /* make it unique by a suffix */
    bool is_interpreter; /* no name in the table */
    bool warm;
    bool in_thread;      /* isolation "thread": shares the interpreter of whoever spawns it */
    bool trap_stop, serves;
    int keep;            /* csp_keep */
    unsigned max_deliveries; /* 0: what a crash leaves is dropped */
    size_t mailbox;      /* capacity of the inbox */
    csp_time watchdog;   /* nanoseconds, or 0 */
    csp_actor *parent;   /* or NULL */
} csp_actor_spec;

/* A new record, STARTING, in the tables, refs = 1.  NULL: *p_status is CSP_NO_MEMORY, CSP_BROKEN (a live actor has that name) or
 * CSP_KILLED (the process is ending). */
csp_actor *csp_actor_new(const csp_actor_spec *spec, csp_status *p_status);
void csp_actor_incref(csp_actor *actor);
void csp_actor_decref(csp_actor *actor);

/* The part by which a reference travels: part.self is a csp_actor*. */
extern const csp_part_ops csp_actor_part;

/* --- the tables: actor_table.c --- */
#define CSP_NAME_SUFFIX 24 /* room after the stem of a name for "-" and an id */

void csp_actors_install_fork_handler(void);
/* Into the tables, under a name of its own, which goes to actor->name: CSP_OK, CSP_BROKEN (taken), CSP_KILLED (the process ends). */
csp_status csp_actor_list(csp_actor *actor, const csp_actor_spec *spec);
csp_status csp_actor_list_again(csp_actor *actor); /* for another life */
/* Out of the names; and off the list, if only a life to come kept it there. */
void csp_actor_unname(csp_actor *actor);
void csp_actor_forget(csp_actor *actor); /* out of all tables */

/* The live actor of that name, with a new reference, or NULL. */
csp_actor *csp_actor_find(const char *name);

/* All records with a thread (quarantined ones too) or a life to come, oldest first, each with a new reference, in a RAW array to be freed; NULL without memory.
 * `children_of`: only those that it spawned (NULL: only those of main), unless `all`. */
csp_actor **csp_actor_snapshot(csp_actor *children_of, bool all, uint32_t *p_count);

/* A thread of the actor is given up; it has come back.  `thread` is its state, guarded by the table's lock: giving up one that has
 * come back has no effect.  And the actors of those given up, in a RAW array as above, once a thread. */
typedef enum { CSP_THREAD_RUNS = 0, CSP_THREAD_GIVEN_UP, CSP_THREAD_GONE } csp_thread_state;
void csp_actor_give_up_thread(csp_actor *actor, csp_thread_state *thread);
void csp_actor_thread_gone(csp_actor *actor, csp_thread_state *thread);
csp_actor **csp_actor_zombies(uint32_t *p_count);

/* How many interpreters wait for an actor. */
uint32_t csp_actor_count_warm(void);

/* A receiving end of a new monitor, for `interp`.  NULL without memory. */
csp_end *csp_actor_monitor(csp_actor *actor, struct csp_interp *interp);

/* As a monitor, once: True when it becomes alive, its Exit if it never does.  Before its thread starts. */
csp_end *csp_actor_watch_start(csp_actor *actor, struct csp_interp *interp);

/* A receiving end on its inbox or `stopping`, or a sending one on its inbox.  NULL: it has exited, or no memory. */
typedef enum { CSP_INBOX_SENDER, CSP_INBOX_RECEIVER, CSP_STOPPING_RECEIVER } csp_actor_end;
csp_end *csp_actor_open(csp_actor *actor, csp_actor_end which, struct csp_interp *interp);

/* From now on a stop or kill reaches the waits of `interp` (counted by this call); one asked before reaches them at once.
 * Without effect, as csp_actor_alive, if `owner` is not the thread of the life that runs now. */
void csp_actor_set_interp(csp_actor *actor, struct csp_owner *owner, struct csp_interp *interp);
void csp_actor_alive(csp_actor *actor, struct csp_owner *owner);

/* Keep the text (copied) for the ActorStartError; the first one counts. */
void csp_actor_set_start_error(csp_actor *actor, const char *text);

/* Ask it to stop: `stopping` fires and, unless it traps stops, its waits end with CSP_STOPPED.  Whoever waits for an answer that a
 * class without a further life will not give any more learns it now.  Idempotent. */
void csp_actor_ask_stop(csp_actor *actor);

/* A class that traps stops begins or ends its wait for a message.  Beginning is refused (true) once a stop has been asked. */
bool csp_actor_between(csp_actor *actor, bool between);

/* Count a message as handled. */
void csp_actor_done(csp_actor *actor);

/* Ask it to die: all its waits end with CSP_KILLED.  (Killing its Python code is py_attach.c's.)  Idempotent. */
void csp_actor_ask_kill(csp_actor *actor);

/* The watchdog strikes: that life is to be killed for it (its waits are not broken off yet).  False: it has ended, or is being
 * killed already. */
bool csp_actor_note_hung(csp_actor *actor, struct csp_owner *owner);

/* As csp_actor_ask_kill, unless another life than the owner's runs by now. */
void csp_actor_ask_kill_of(csp_actor *actor, struct csp_owner *owner);

/* Its life has ended: unless another may follow, free the name and close the mailbox; then keep `exit` (moved) and announce it
 * to the monitors.  `failed`: for CSP_KEEP_ON_FAILURE.  `owner` is the thread whose life it was: true gives the record's
 * reference on it back to the caller; false means that the life had ended before, and perhaps another began (a quarantined
 * actor whose thread came back), and `exit` is cleared.  No lock held. */
bool csp_actor_exited(csp_actor *actor, struct csp_owner *owner, csp_msg *exit, bool failed);

/* Another life may follow from now on, or none: an actor that is between lives and has none left is over at once. */
void csp_actor_set_keep(csp_actor *actor, csp_keep keep);

/* Begin a new life, STARTING, after the end of one.  CSP_OK; CSP_WOULD_BLOCK: one is running; CSP_END: it is over;
 * CSP_NO_MEMORY; CSP_KILLED: the process is ending. */
csp_status csp_actor_restart(csp_actor *actor);

/* No new messages: senders get CSP_BROKEN; those queued are still received. */
void csp_actor_close_inbox(csp_actor *actor);

/* The state machine of csp.interpreters.  CSP_OK; CSP_WOULD_BLOCK: it is running; CSP_END: closing or closed. */
csp_status csp_actor_begin_run(csp_actor *actor);
void csp_actor_end_run(csp_actor *actor);
csp_status csp_actor_begin_close(csp_actor *actor);

/* Send `msg` (moved) to the dead letters, as a DeadLetter for the actor.  No lock held.  Installed by letter.c, which knows how such
 * a value is written. */
extern void (*_Atomic csp_actor_bury)(csp_actor *actor, csp_msg *msg); /* relaxed: the same function every time */

/* Where messages go that nobody will handle: made on first use, kept open for ever in both directions, dropping the oldest.
 * Borrowed; NULL without memory. */
csp_chan *csp_dead_letters(void);

/* --- lives ---
 * The end of one has two steps, with the announcement between them: csp_life_end, so that whoever hears of the end may fork at
 * once; csp_actor_unlist, so that whoever ends actors waits until all is announced. */
void csp_life_begin(void);
void csp_life_end(void);
uint32_t csp_lives(void);
void csp_actor_unlist(csp_actor *actor);
/* Counts csp_actor_unlist; and sleep until it is no longer `seen`, the deadline passes or a signal arrives. */
uint32_t csp_endings(void);
void csp_endings_wait(uint32_t seen, csp_time deadline);

bool csp_process_is_ending(void);
void csp_process_set_ending(void); /* from now on csp_actor_new refuses */

/* What the exit of the process says if actors remain that nobody can end: set by csp.run, else -1. */
extern _Atomic int csp_exit_status;

#endif
