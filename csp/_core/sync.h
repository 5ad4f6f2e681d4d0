/* The state of a csp.sync primitive.  It is a channel without a buffer: whoever waits for it is a receiver in its queue, so that
 * select, timeouts, stops, first come first served, the wait-for graph, counted handles and crossing are those of channels.
 *
 * Permits (of locks, semaphores and a Once) are taken through a handle, and the handle counts them in `held`.  The
 * handle is on its interpreter's list: with its owner it is closed, and then its permits are released (law L6).
 *
 * Functions want chan->lock, but for csp_sync_new and csp_sync_free.
 */
#ifndef CSP_SYNC_H
#define CSP_SYNC_H

#include "chan.h"

typedef enum {
    CSP_NO_SYNC = 0, CSP_LOCK, CSP_RLOCK, CSP_SEMAPHORE, CSP_BOUNDED, CSP_EVENT, CSP_CONDITION, CSP_GROUP, CSP_ONCE, CSP_ATOMIC,
    CSP_MEMORY, /* of a SharedBuffer: nobody waits for it; region.h */
    CSP_NSYNC
} csp_sync_kind;

typedef struct csp_sync {
    int64_t value;     /* guarded by chan->lock: free permits; an event's 0 or 1; a group's or an AtomicInt's number */
    int64_t initial;   /* immutable: permits at the beginning; 0: who acquires holds nothing */
    csp_end *holders;  /* guarded by chan->lock: handles with `held` > 0, linked by next_holder */
    uintptr_t thread;  /* guarded by chan->lock: RLock: csp_sync_thread() of the owner, or 0 */
    uint32_t depth;    /* guarded by chan->lock: RLock: acquired so often */
    bool owner_died;   /* guarded by chan->lock: the last holder ended without a release; until the next one releases */
    bool done;         /* guarded by chan->lock: Once: the function has returned */
    csp_chan *lock;    /* immutable, counted: a Condition's lock, or NULL */
    struct csp_region *region; /* guarded by chan->lock: CSP_MEMORY: owned; NULL once it is freed */
} csp_sync;

csp_sync *csp_sync_new(int64_t value); /* NULL without memory */
void csp_sync_free(csp_sync *sync);    /* NULL is fine */
uintptr_t csp_sync_thread(void);       /* this thread, among the live ones */

/* After each change of the state: is it ready for who would wait? */
void csp_sync_changed(csp_chan *chan);
csp_status csp_sync_take(csp_chan *chan, csp_end *end, csp_msg *msg);
void csp_sync_give_back(csp_chan *chan, csp_msg *msg, csp_effects *fx);
/* Release one permit, which `end` holds if it holds any.  A handle that is to be freed now, or NULL. */
csp_end *csp_sync_release(csp_chan *chan, csp_end *end, csp_effects *fx);
void csp_sync_drop_holds(csp_end *end, csp_effects *fx); /* its owner ends */
/* Wake up to n who wait, in their order: an event is set, a group is done, a condition notifies. */
void csp_sync_wake(csp_chan *chan, uint32_t n, csp_effects *fx);

#endif
