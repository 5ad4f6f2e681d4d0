/* Waiting for one of several cases: poll, enqueue, park, dequeue.
 *
 * Exactly one case fires; the others have no effect.  The poll is one instant: if nothing looks ready without locks,
 * all channels are locked at once, in ascending id, before the answer is "nothing".  A first look without locks finds
 * a ready case cheaply; what it finds is tried under that channel's lock, so it is never wrong, only sometimes late.
 *
 * As in Go (runtime/select.go) cases are queued with all channels locked and each waiter is claimed by one
 * compare-and-swap, so two selects pair with each other in any mix, and no select with itself.
 */
#ifndef CSP_SELECT_H
#define CSP_SELECT_H

#include "chan.h"

/* What the first look at a case needs, packed: a select over many channels reads little else. */
typedef struct {
    csp_chan *chan; /* NULL: disabled */
    uint32_t dir;
} csp_look;

typedef struct {
    csp_case *cases;     /* caller's; chan NULL: disabled.  At least one enabled, or nothing ever fires */
    uint32_t ncases;
    csp_case **order;    /* caller's room for ncases pointers: lock order, filled by csp_select_prepare */
    csp_look *looks;     /* caller's room for ncases, filled by csp_select_prepare */
    uint32_t norder;     /* enabled cases in it */
    uint32_t closes;     /* the interpreter's count of closed handles when `has_closed` was found out */
    bool has_closed;     /* some case's handle was closed by its own side */
    bool priority;       /* first ready in order, instead of one at random */
    bool has_timers, has_buffers; /* filled by csp_select_prepare: among the enabled cases */
    uint32_t random;     /* state of the choice; any seed */
} csp_select;

/* Sort the enabled cases into lock order.  Once for a set of channels. */
void csp_select_prepare(csp_select *sel);

/* Fire one ready case: its status, with *p_fired; CSP_PENDING if at one instant none was ready. */
csp_status csp_select_try(csp_select *sel, csp_case **p_fired, csp_effects *fx);

/* The same, but if none is ready every case is queued for `waiter` at that same instant (CSP_PENDING). */
csp_status csp_select_start(csp_select *sel, csp_waiter *waiter, csp_case **p_fired, csp_effects *fx);

/* Take what is still queued off again, after the wait ended in whatever way. */
void csp_select_withdraw(csp_select *sel);

/* Earliest moment a timer among the cases becomes ready. */
csp_time csp_select_due(csp_select *sel);

#endif
