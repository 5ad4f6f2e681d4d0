/* The record of one actor: its name, its mailbox, its end.  Process-wide, RAW and counted, so that it survives the
 * interpreter that made it and the one that runs it.
 *
 * Names: registered from spawn until just before the exit is announced; looked up from any interpreter.
 * Monitors: channels of capacity 1 that each get the Exit once and are closed; a monitor made after the fact gets it at once.
 */
#ifndef CSP_ACTOR_H
#define CSP_ACTOR_H

#include "interp.h"

typedef enum { CSP_ACTOR_STARTING = 0, CSP_ACTOR_ALIVE, CSP_ACTOR_EXITED } csp_actor_state;

typedef struct csp_actor {
    csp_lock lock;            /* rank ACTOR */
    _Atomic uint32_t refs;    /* acquire-release in decref */
    uint64_t id;              /* immutable */
    char *name;               /* immutable, RAW, UTF-8 */
    uint64_t parent;          /* immutable: id of the actor that spawned it, 0 for none */
    int state;                /* guarded by lock: csp_actor_state */
    csp_chan *inbox;          /* immutable, counted: where ref.send goes */
    csp_chan *stopping;       /* immutable, counted: fires when a stop is asked */
    struct csp_interp *interp; /* guarded by lock: the interpreter it runs in, counted; NULL before and after */
    csp_msg exit;             /* guarded by lock: the encoded Exit, once EXITED */
    csp_chan **monitors;      /* guarded by lock: counted channels */
    uint32_t nmonitors, monitors_room;
    bool named;               /* guarded by the table's lock: in the name table */
    struct csp_actor *next, *prev; /* guarded by the table's lock */
} csp_actor;

#endif
