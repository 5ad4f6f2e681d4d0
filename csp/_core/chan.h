/* A channel: a buffer of capacity >= 0, two queues of waiting cases and the counts of its ends, under one lock.
 *
 * Invariants, while the lock is free:
 *   - a receiver waits only if the buffer is empty and no sender waits (but for the cases of one select, which
 *     never pairs with itself, and cases already claimed);
 *   - a sender waits only if the value of the oldest waiting one does not fit: buffered >= capacity, or too many bytes (bounds.h);
 *   - closed, or without senders: no receiver waits.  closed, or without receivers: no sender waits;
 *   - buffered <= capacity, and buffered bytes <= max_bytes or buffered = 1, but for values that a lease gave back to the head;
 *   - `hint` tells which direction would not block; with a bound of bytes, for some value.
 *
 * A value sent while a receiver waits is that receiver's, before it runs; room in the buffer that becomes free
 * is the oldest waiting sender's.  So both queues are first come, first served.
 *
 * This room does not know select, the codec or Python.  Functions ending in _locked want chan->lock.
 */
#ifndef CSP_CHAN_H
#define CSP_CHAN_H

#include "lock.h"
#include "queue.h"
#include "waiter.h"

#define CSP_UNBOUNDED SIZE_MAX

/* The looks at a channel that is not ready, before the wait is queued: pauses (of some 25 to 45 ns) between them. */
#define CSP_LOOK_FIRST 8
#define CSP_LOOK_LAST 32

typedef enum { CSP_BLOCK = 0, CSP_DROP_OLDEST, CSP_DROP_NEWEST } csp_overflow;
typedef enum { CSP_NO_TIMER = 0, CSP_AFTER, CSP_TICK, CSP_NEVER_READY } csp_timer_kind;

/* The figures of statistics(); guarded by chan->lock. */
typedef struct {
    uint64_t sent, received;
    size_t peak;
    uint64_t dropped, discarded;
} csp_chan_counts;

/* A wait and a hand-over touch the first line, and of the second one of the two sides the counts; a buffered value both. */
typedef struct csp_chan {
    csp_lock lock;
    _Atomic uint32_t hint;    /* CSP_SEND | CSP_RECV bits; release in csp_chan_unlock / relaxed in select's first look,
                                 which repeats under the lock whatever it finds */
    uint8_t overflow;         /* immutable: csp_overflow */
    bool reply;               /* immutable: carries the one answer to a request that holds its only sender */
    uint8_t timer;            /* immutable: csp_timer_kind; a timer has no sender but the clock */
    bool local;               /* immutable: values are objects of one interpreter */
    bool closed;              /* guarded by lock: by close() on a Channel */
    uint8_t sync;             /* immutable: csp_sync_kind; a primitive of csp.sync, without a buffer, and its state in `primitive` */
    uint8_t buffer_allows;    /* guarded by lock: CSP_SEND if the buffer has room, CSP_RECV if it holds a value */
    uint32_t senders, receivers; /* guarded by lock: open ends over all interpreters and messages in flight */
    csp_waitq senders_waiting, receivers_waiting; /* guarded by lock */
    unsigned char rest_of_line[64 - 24 - 4 * sizeof(void *)];
    /* the second line */
    csp_queue buffer;         /* guarded by lock; buffer_allows follows each change */
    csp_chan_counts counts;   /* guarded by lock */
    /* cold, or only read */
    size_t capacity;          /* immutable */
    size_t max_bytes;         /* immutable: CSP_UNBOUNDED if the bytes are not bounded, and not counted */
    size_t buffered_bytes;    /* guarded by lock: of the values in the buffer, if max_bytes bounds them */
    csp_spin spin, look;      /* advice for waits on this channel, and for looking again before a wait is queued */
    uint64_t id;              /* immutable: process-wide, ascending; the lock order among channels */
    char *name;               /* immutable, RAW, UTF-8 or NULL */
    csp_time period;          /* immutable: CSP_TICK */
    _Atomic csp_time due;     /* CSP_AFTER, CSP_TICK: when it fires next, CSP_NEVER once spent; written under lock, read
                                 without it by select's first look (relaxed: the look is repeated under the lock) */
    _Atomic uint32_t refs;    /* acquire-release in decref: handles, parts in flight, actors, registry look-ups */
    uint32_t fork_generation; /* immutable: csp_fork_generation at birth */
    csp_msg cause;            /* guarded by lock: why the sending side ended, or empty */
    struct csp_sync *primitive; /* RAW, owned; the pointer immutable, NULL if `sync` is 0; see sync.h */
    _Atomic(char *) origin;   /* RAW, owned: where it was made, or NULL; release in py_origin.c / acquire there */
    uint64_t exit_of;         /* immutable: the actor whose end it will tell, or 0 */
    uint32_t inert_receivers; /* guarded by lock: receiving ends that only keep the channel open, of an actor's record */
    struct csp_chan *next_registered, **prev_registered; /* guarded by the registry's lock */
} csp_chan;

#ifndef CSP_DEBUG_LOCKS
_Static_assert(sizeof(void *) != 8 || offsetof(csp_chan, buffer) == 64, "the first line is one line");
#endif

/* A handle: one interpreter's hold on one or both sides of a channel.  RAW, owned by one Python object (or by one
 * part of a message in flight, with interp == NULL).  Kept in its interpreter's list so that an interpreter's death drops
 * it even if the Python object leaked. */
typedef struct csp_end {
    csp_chan *chan;            /* immutable, counted */
    struct csp_interp *interp; /* immutable, counted; NULL in flight */
    struct csp_end *next, *prev; /* guarded by interp->lock */
    struct csp_end *next_postponed; /* owner: the thread that deallocates its handle, in py_channel.c */
    _Atomic uint32_t refs;     /* acquire-release in decref: its owner, and csp_interp_died while at work on it */
    uint32_t fork_generation;  /* immutable: csp_fork_generation at birth */
    uint8_t dir;               /* immutable: CSP_SEND, CSP_RECV or both */
    _Atomic bool closed;       /* set under chan->lock; relaxed look outside it is repeated inside */
    struct csp_end *next_holder; /* guarded by chan->lock: of those with `held`; see sync.h */
    uint32_t held;             /* guarded by chan->lock: permits of the primitive taken through it and not released */
    bool orphan;               /* guarded by chan->lock: its Python object is gone, and it is kept for the permits that it holds; freed by who
                                  takes back the flag when it holds none any more, else by csp_interp_died */
    bool given_up;             /* guarded by interp->lock: closed by the death of its interpreter */
    uint8_t counted;           /* guarded by chan->lock: the sides it still counts for, as CSP_SEND | CSP_RECV */
} csp_end;

extern _Atomic uint32_t csp_fork_generation; /* + 1 in the child of each fork */

/* --- birth and death --- */

/* A channel with no ends yet and refs = 1.  `name` is copied.  NULL without memory. */
csp_chan *csp_chan_new(size_t capacity, csp_overflow overflow, bool local, const char *name);
/* The same, of values that cross, with a bound of bytes too: capacity > 0, 0 < max_bytes < CSP_UNBOUNDED. */
csp_chan *csp_chan_new_bounded(size_t capacity, size_t max_bytes, csp_overflow overflow, const char *name);
/* For the answer to one request.  When the request comes back from a lease its channel is closed: who asked hears at once. */
csp_chan *csp_reply_new(void);
/* A timer: `due` absolute, `period` > 0 for CSP_TICK. */
csp_chan *csp_timer_new(csp_timer_kind kind, csp_time due, csp_time period);
/* A primitive of csp.sync; takes over `primitive`. */
csp_chan *csp_sync_chan_new(uint8_t kind, struct csp_sync *primitive);
void csp_chan_incref(csp_chan *chan);
void csp_chan_decref(csp_chan *chan); /* the last one frees; no lock held */

/* A new counted handle.  NULL without memory. */
csp_end *csp_end_new(csp_chan *chan, uint8_t dir, struct csp_interp *interp);
/* Give up this handle: waits going on through it end with CSP_CLOSED_HANDLE, and if it was the last of its side the
 * other side learns.  Idempotent.  Effects are the caller's to run. */
void csp_end_close(csp_end *end, csp_effects *fx);
/* The same, saying why: `cause` is moved in if this was the last sender and no cause is known yet. */
void csp_end_close_because(csp_end *end, csp_msg *cause, csp_effects *fx);
/* Close if open, and free.  No lock held; for a local channel its interpreter is attached. */
void csp_end_free(csp_end *end);
void csp_end_incref(csp_end *end);
void csp_end_decref(csp_end *end); /* the last one frees the memory; it is closed and unlisted by then */
/* As csp_end_free, for a handle whose interpreter is gone: values of a local channel are forgotten, not freed. */
void csp_end_abandon(csp_end *end);
/* Close the channel for everyone, through `end` (may be NULL).  `cause` is moved in if it is the first close; it may be NULL.
 * True for the call that closed it. */
bool csp_chan_close(csp_chan *chan, csp_end *end, csp_msg *cause, csp_effects *fx);

/* Drop what is buffered, and count it; but for what leases gave back to the head. */
void csp_chan_discard(csp_chan *chan, csp_effects *fx);
/* Take out the message at the head if leases have handed it out at least so often (at least once) and given it back. */
bool csp_chan_take_returned(csp_chan *chan, uint32_t deliveries, csp_msg *to);
/* Undo a csp_chan_close() that went through no handle. */
void csp_chan_reopen(csp_chan *chan);

/* The part by which a handle travels: part.self is a csp_end* with interp NULL; part.extra its dir. */
extern const csp_part_ops csp_end_part;

/* --- operations ---
 * A case is prepared by the caller: chan, end, dir, msg.  All return at once. */

/* Complete the case if that needs no waiting: CSP_OK, an error that recv or send would raise, or CSP_PENDING. */
csp_status csp_chan_try(csp_case *c, csp_effects *fx);
csp_status csp_chan_try_locked(csp_case *c, csp_effects *fx);

/* Complete it, or put it on the wait queue (CSP_PENDING). */
csp_status csp_chan_start(csp_case *c, csp_effects *fx);

/* Take the case off its queue again, if it is still there.  Those who waited behind it may have room now: it wakes them. */
void csp_chan_withdraw(csp_case *c);

/* Batches under one lock.  Send moves from msgs[0 .. n), receive fills them; *p_done counts.  The status is that of
 * the first message that did not go: CSP_OK if all went. */
csp_status csp_chan_try_send_many(csp_case *c, csp_msg *msgs, size_t n, size_t *p_done, csp_effects *fx);
csp_status csp_chan_try_recv_many(csp_case *c, csp_msg *msgs, size_t n, size_t *p_done, csp_effects *fx);

/* Send the one answer and give up the sending end that it goes through, in one step: once the answer is received the channel has no
 * sender.  Moves, if it returns CSP_OK. */
csp_status csp_chan_answer(csp_end *end, csp_msg *msg, csp_effects *fx);

/* Is the reply channel, whose only receiver the caller has, as it was when it was new? */
bool csp_chan_is_fresh(csp_chan *chan);

/* Give a leased value back: to the oldest waiting receiver, else to the head of the buffer; if nobody is left to
 * receive it, it is discarded and counted.  Moves. */
void csp_chan_give_back(csp_chan *chan, csp_msg *msg, csp_effects *fx);

/* If the timer is due, serve the oldest waiting receiver(s) from it. */
void csp_timer_fire(csp_chan *chan, csp_time now, csp_effects *fx);

/* The moment the channel becomes ready by itself: a timer's due time, else CSP_NEVER. */
static inline csp_time csp_chan_due(csp_chan *chan)
{
    return chan->timer ? atomic_load_explicit(&chan->due, memory_order_relaxed) : CSP_NEVER;
}

/* Would the operation complete at once, be it with an error?  (A timer's due time is looked at apart.) */
static inline uint32_t csp_chan_ready_locked(csp_chan *chan)
{
    uint32_t ready = chan->buffer_allows;
    if (chan->senders_waiting.head != NULL || chan->closed || chan->senders == 0)
        ready |= CSP_RECV;
    if (chan->receivers_waiting.head != NULL || chan->closed || chan->receivers == 0 || chan->overflow != CSP_BLOCK)
        ready |= CSP_SEND;
    return ready;
}

static inline void csp_chan_lock(csp_chan *chan) { csp_lock_acquire(&chan->lock); }

static inline void csp_chan_unlock(csp_chan *chan) /* refreshes the hint */
{
    uint32_t ready = csp_chan_ready_locked(chan);
    /* Relaxed look: only we, the holder, write it; storing only a change keeps the line shared among select's readers. */
    if (atomic_load_explicit(&chan->hint, memory_order_relaxed) != ready)
        atomic_store_explicit(&chan->hint, ready, memory_order_release);
    csp_lock_release(&chan->lock);
}

/* For sync.c, under the lock: the oldest waiting case that nobody has claimed, claimed and off its queue, or NULL; its outcome. */
csp_case *csp_chan_claim_first(csp_waitq *queue);
void csp_chan_fire(csp_case *c, csp_status status, csp_effects *fx);

/* --- looking --- */
typedef struct {
    csp_chan_counts counts;
    size_t buffered, buffered_bytes;
    uint32_t waiting_senders, waiting_receivers, senders, receivers;
    bool closed;
} csp_chan_info;
void csp_chan_inspect(csp_chan *chan, csp_chan_info *p_info);

#endif
