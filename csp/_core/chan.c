/* The channel: birth, ends, send and receive, close, looking. */
#include "chan.h"

#include "bounds.h"
#include "clock.h"
#include "interp.h"
#include "mem.h"
#include "region.h"
#include "registry.h"
#include "sync.h"

/* --- birth and death --- */

static uint32_t fork_generation(void)
{
    return atomic_load_explicit(&csp_fork_generation, memory_order_relaxed); /* changes only in the child of a fork */
}

static csp_chan *chan_alloc(const char *name)
{
    csp_chan *chan = csp_raw_alloc_line(sizeof *chan);
    if (chan == NULL)
        return NULL;
    memset(chan, 0, sizeof *chan);
    chan->max_bytes = CSP_UNBOUNDED;
    if (name != NULL) {
        size_t size = strlen(name) + 1;
        if ((chan->name = csp_raw_alloc(size)) == NULL) {
            csp_raw_free_line(chan);
            return NULL;
        }
        memcpy(chan->name, name, size);
    }
    atomic_init(&chan->refs, 1);
    atomic_init(&chan->due, CSP_NEVER);
    atomic_init(&chan->spin.credit, 4);
    atomic_init(&chan->look.credit, 4);
    chan->fork_generation = fork_generation();
    return chan;
}

/* The immutable fields are set: from now on others may find it. */
static void chan_publish(csp_chan *chan)
{
    csp_buffer_changed(chan); /* the capacity is known only now */
    csp_registry_add_chan(chan);
}

csp_chan *csp_chan_new(size_t capacity, csp_overflow overflow, bool local, const char *name)
{
    csp_chan *chan = chan_alloc(name);
    if (chan == NULL)
        return NULL;
    chan->capacity = capacity;
    chan->overflow = overflow;
    chan->local = local;
    chan_publish(chan);
    return chan;
}

csp_chan *csp_chan_new_bounded(size_t capacity, size_t max_bytes, csp_overflow overflow, const char *name)
{
    csp_chan *chan = chan_alloc(name);
    if (chan == NULL)
        return NULL;
    chan->capacity = capacity;
    chan->max_bytes = max_bytes;
    chan->overflow = overflow;
    chan_publish(chan);
    return chan;
}

csp_chan *csp_reply_new(void)
{
    csp_chan *chan = chan_alloc(NULL);
    if (chan == NULL)
        return NULL;
    chan->capacity = 1;
    chan->reply = true;
    chan_publish(chan);
    return chan;
}

csp_chan *csp_sync_chan_new(uint8_t kind, struct csp_sync *primitive)
{
    csp_chan *chan = chan_alloc(NULL);
    if (chan == NULL)
        return NULL;
    chan->sync = kind;
    chan->primitive = primitive;
    chan_publish(chan);
    csp_chan_lock(chan);
    csp_sync_changed(chan);
    csp_chan_unlock(chan);
    return chan;
}

csp_chan *csp_timer_new(csp_timer_kind kind, csp_time due, csp_time period)
{
    csp_chan *chan = chan_alloc(NULL);
    if (chan == NULL)
        return NULL;
    chan->timer = kind;
    chan->period = period;
    chan->senders = 1; /* the clock */
    atomic_init(&chan->due, kind == CSP_NEVER_READY ? CSP_NEVER : due);
    chan_publish(chan);
    return chan;
}

void csp_chan_incref(csp_chan *chan)
{
    atomic_fetch_add_explicit(&chan->refs, 1, memory_order_relaxed); /* the caller has one: nothing to order */
}

void csp_chan_decref(csp_chan *chan)
{
    /* Release our writes to, and acquire those of, whoever drops the last one. */
    if (atomic_fetch_sub_explicit(&chan->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (chan->fork_generation != fork_generation())
        return; /* of the parent: who knows what its threads were doing to it; leak it */
    csp_registry_remove_chan(chan);
    csp_queue_destroy(&chan->buffer);
    csp_msg_clear(&chan->cause);
    csp_sync_free(chan->primitive);
    csp_raw_free(chan->name);
    csp_raw_free(atomic_load_explicit(&chan->origin, memory_order_relaxed)); /* nobody else is left */
    csp_raw_free_line(chan);
}

/* --- waking --- */

/* The outcome is the caller's to deliver: it has claimed the case's waiter. */
void csp_chan_fire(csp_case *c, csp_status status, csp_effects *fx)
{
    c->waiter->fired = c;
    c->waiter->status = status;
    csp_effects_add_wake(fx, c->waiter);
}

/* The oldest case whose waiter nobody else has claimed, off the queue and claimed; NULL if there is none. */
csp_case *csp_chan_claim_first(csp_waitq *queue)
{
    csp_case *c;
    while ((c = queue->head) != NULL) {
        csp_case_prefetch(c);
        csp_waitq_remove(queue, c);
        if (csp_waiter_claim(c->waiter))
            return c;
    }
    return NULL;
}

static void fire_all(csp_waitq *queue, csp_status status, csp_effects *fx)
{
    csp_case *c;
    while ((c = csp_chan_claim_first(queue)) != NULL)
        csp_chan_fire(c, status, fx);
}

/* End the waits that go through this very handle. */
static void fire_end(csp_waitq *queue, csp_end *end, csp_effects *fx)
{
    csp_case *next;
    for (csp_case *c = queue->head; c != NULL; c = next) {
        next = c->next;
        if (c->end == end) {
            csp_waitq_remove(queue, c);
            if (csp_waiter_claim(c->waiter))
                csp_chan_fire(c, CSP_CLOSED_HANDLE, fx);
        }
    }
}

/* --- ends --- */

csp_end *csp_end_new(csp_chan *chan, uint8_t dir, struct csp_interp *interp)
{
    csp_end *end = csp_raw_calloc(1, sizeof *end);
    if (end == NULL)
        return NULL;
    csp_chan_incref(chan);
    end->chan = chan;
    atomic_init(&end->refs, 1);
    end->dir = dir;
    if ((end->interp = interp) != NULL)
        csp_interp_incref(interp);
    end->fork_generation = fork_generation();
    end->counted = dir;
    csp_chan_lock(chan);
    chan->senders += (dir & CSP_SEND) != 0;
    chan->receivers += (dir & CSP_RECV) != 0;
    csp_chan_unlock(chan);
    if (interp != NULL && !csp_interp_add_end(interp, end)) { /* fenced off: the handle is born dead */
        csp_effects fx;
        csp_effects_init(&fx);
        csp_end_close(end, &fx);
        csp_effects_run(&fx);
    }
    return end;
}

/* One less who could complete these waits: one of them that has looked for a deadlock in vain is to look again.  Rare, so
 * that its wake-up under the lock does not matter; and the waiter cannot go away meanwhile. */
static void ask_to_look(csp_waitq *queue)
{
    for (csp_case *c = queue->head; c != NULL; c = c->next) {
        csp_waiter *waiter = c->waiter;
        if (!csp_waiter_looked(waiter)) /* nor read `forever`, which may only now be set: who looks waits for ever */
            continue;
        atomic_store_explicit(&waiter->looked, false, memory_order_relaxed); /* see the field */
        csp_futex_wake(&waiter->outcome);
        return;
    }
}

/* The end no longer counts for `sides`; `cause` says why if it was the last sender (moved then). */
static void uncount_locked(csp_end *end, uint8_t sides, csp_msg *cause, csp_effects *fx)
{
    csp_chan *chan = end->chan;
    CSP_ASSERT_HELD(&chan->lock);
    sides &= end->counted;
    end->counted &= ~sides;
    if ((sides & CSP_SEND) && --chan->senders == 0) {
        if (cause != NULL && chan->cause.kind == CSP_MSG_EMPTY && !chan->closed)
            csp_msg_move(&chan->cause, cause);
        fire_all(&chan->receivers_waiting, CSP_END, fx);
    }
    else if (sides & CSP_SEND)
        ask_to_look(&chan->receivers_waiting);
    if ((sides & CSP_RECV) && --chan->receivers == 0) {
        fire_all(&chan->senders_waiting, CSP_BROKEN, fx);
        csp_buffer_detach(chan, fx); /* no receiver can ever come again */
        csp_buffer_changed(chan);
        if (chan->sync) /* but to the lock of a Condition */
            csp_sync_changed(chan);
    }
    else if (sides & CSP_RECV)
        ask_to_look(&chan->senders_waiting);
}

/* After the flag is set: who sees the count sees the flag (acquire in select's has_closed). */
static void count_close(csp_end *end)
{
    if (end->interp != NULL)
        atomic_fetch_add_explicit(&csp_interp_home(end->interp)->closes, 1, memory_order_release);
}

void csp_end_close_because(csp_end *end, csp_msg *cause, csp_effects *fx)
{
    csp_chan *chan = end->chan;
    csp_chan_lock(chan);
    atomic_store_explicit(&end->closed, true, memory_order_relaxed); /* the lock orders it */
    count_close(end);
    if (end->dir & CSP_SEND)
        fire_end(&chan->senders_waiting, end, fx);
    if (end->dir & CSP_RECV)
        fire_end(&chan->receivers_waiting, end, fx);
    if (end->held > 0)
        csp_sync_drop_holds(end, fx);
    uncount_locked(end, CSP_SEND | CSP_RECV, cause, fx);
    csp_buffer_admit_behind(chan, fx);
    csp_region *region = chan->sync == CSP_MEMORY ? csp_region_settle_locked(chan) : NULL;
    csp_chan_unlock(chan);
    csp_region_free(region);
}

void csp_end_close(csp_end *end, csp_effects *fx)
{
    csp_msg cause = {.kind = CSP_MSG_EMPTY};
    if (end->interp != NULL && (end->dir & CSP_SEND))
        csp_interp_copy_exit_cause(end->interp, &cause); /* before the channel's lock: its rank is lower */
    csp_end_close_because(end, &cause, fx);
    csp_msg_clear(&cause);
}

void csp_end_incref(csp_end *end)
{
    atomic_fetch_add_explicit(&end->refs, 1, memory_order_relaxed); /* the caller has one, or the list's lock */
}

void csp_end_decref(csp_end *end)
{
    /* Release our use of it to, and acquire that of, whoever drops the last one. */
    if (atomic_fetch_sub_explicit(&end->refs, 1, memory_order_acq_rel) != 1)
        return;
    csp_chan_decref(end->chan);
    if (end->interp != NULL)
        csp_interp_decref(end->interp);
    csp_raw_free(end);
}

static bool foreign(csp_end *end) /* made before a fork, in the parent */
{
    return end->fork_generation != fork_generation();
}

static void end_drop(csp_end *end, bool forget_objects)
{
    if (foreign(end))
        return; /* its locks may be held by threads that do not exist here: leak it */
    if (end->interp != NULL)
        csp_interp_remove_end(end->interp, end);
    /* Relaxed: whoever closes a sender sets this and takes it out of the count in one step, under the lock.  Nothing is left to do
     * then, and the channel's line may be another core's by now. */
    if (end->dir != CSP_SEND || !atomic_load_explicit(&end->closed, memory_order_relaxed)) {
        csp_effects fx;
        csp_effects_init(&fx);
        csp_end_close(end, &fx);
        if (forget_objects && end->chan->local)
            csp_effects_forget(&fx);
        csp_effects_run(&fx);
    }
    csp_end_decref(end);
}

void csp_end_free(csp_end *end) { end_drop(end, false); }
void csp_end_abandon(csp_end *end) { end_drop(end, true); }

static void part_release(void *self) { csp_end_free(self); }

static void *part_clone(void *self)
{
    csp_end *end = self;
    return csp_end_new(end->chan, end->dir, NULL);
}

const csp_part_ops csp_end_part = {"channel end", part_release, part_clone, NULL};

bool csp_chan_close(csp_chan *chan, csp_end *end, csp_msg *cause, csp_effects *fx)
{
    csp_chan_lock(chan);
    bool first = !chan->closed;
    if (end != NULL) {
        atomic_store_explicit(&end->closed, true, memory_order_relaxed); /* the lock orders it */
        count_close(end);
    }
    if (first) {
        chan->closed = true;
        if (cause != NULL && cause->kind != CSP_MSG_EMPTY && chan->cause.kind == CSP_MSG_EMPTY)
            csp_msg_move(&chan->cause, cause);
        if (end != NULL)
            fire_end(&chan->senders_waiting, end, fx);
        fire_all(&chan->senders_waiting, CSP_BROKEN, fx);
        fire_all(&chan->receivers_waiting, CSP_END, fx); /* the buffer is empty, or nobody would wait */
    }
    if (end != NULL)
        uncount_locked(end, CSP_SEND, NULL, fx); /* it may still drain, so it stays a receiver */
    csp_chan_unlock(chan);
    return first;
}

#define MOST_RETURNED 16 /* an actor has one message in hand; more only if a function leases more */

void csp_chan_discard(csp_chan *chan, csp_effects *fx)
{
    csp_msg returned[MOST_RETURNED];
    size_t n = 0, kept = 0;
    csp_chan_lock(chan);
    while (n < MOST_RETURNED && chan->buffer.length > 0) {
        csp_buffer_pop(chan, &returned[n]);
        if (returned[n].deliveries == 0) {
            csp_buffer_push_front(chan, &returned[n]); /* into the place just left: it cannot fail */
            break;
        }
        n++;
    }
    csp_buffer_detach(chan, fx);
    for (kept = n; kept > 0 && csp_buffer_push_front(chan, &returned[kept - 1]);)
        kept--;
    chan->counts.discarded += kept; /* out of memory */
    csp_buffer_changed(chan);
    csp_chan_unlock(chan);
    while (kept > 0)
        csp_msg_clear(&returned[--kept]);
}

bool csp_chan_take_returned(csp_chan *chan, uint32_t deliveries, csp_msg *to)
{
    csp_chan_lock(chan);
    bool found = chan->buffer.length > 0;
    if (found) {
        csp_buffer_pop(chan, to);
        found = to->deliveries > 0 && to->deliveries >= deliveries;
        if (!found)
            csp_buffer_push_front(chan, to); /* into the place just left: it cannot fail */
    }
    if (found)
        chan->counts.received++;
    csp_buffer_changed(chan);
    csp_chan_unlock(chan);
    return found;
}

void csp_chan_reopen(csp_chan *chan)
{
    csp_chan_lock(chan);
    chan->closed = false;
    csp_chan_unlock(chan);
}

/* --- send and receive --- */

static csp_status send_locked(csp_chan *chan, csp_end *end, csp_msg *msg, csp_effects *fx)
{
    if (end != NULL && atomic_load_explicit(&end->closed, memory_order_relaxed)) /* under the lock */
        return CSP_CLOSED_HANDLE;
    if (chan->closed || chan->receivers == 0)
        return CSP_BROKEN;
    csp_case *receiver = csp_chan_claim_first(&chan->receivers_waiting);
    if (receiver != NULL) {
        csp_msg_move(&receiver->msg, msg);
        chan->counts.sent++;
        chan->counts.received++;
        csp_chan_fire(receiver, CSP_OK, fx);
        return CSP_OK;
    }
    /* Without a bound of bytes nobody waits while there is room, and so neither question is asked of memory that is another's. */
    bool room = (chan->buffer_allows & CSP_SEND) &&
                (!csp_bounds_bytes(chan) || (csp_buffer_fits(chan, msg) && csp_first_waiting(&chan->senders_waiting) == NULL));
    if (!room && chan->overflow != CSP_DROP_OLDEST) {
        if (chan->overflow == CSP_BLOCK)
            return CSP_PENDING;
        chan->counts.sent++;
        chan->counts.dropped++;
        csp_effects_displace(fx, msg);
        return CSP_OK;
    }
    if (!csp_buffer_push(chan, msg))
        return CSP_NO_MEMORY;
    chan->counts.sent++;
    if (!room)
        csp_buffer_drop_oldest(chan, fx);
    csp_buffer_changed(chan);
    return CSP_OK;
}

static csp_status timer_take_locked(csp_chan *chan, csp_time now, csp_msg *msg)
{
    csp_time due = atomic_load_explicit(&chan->due, memory_order_relaxed); /* under the lock */
    if (now < due || due == CSP_NEVER)
        return CSP_PENDING;
    csp_time next = CSP_NEVER;
    if (chan->timer == CSP_TICK) { /* late: skip to the newest tick, stay on the grid */
        due += (now - due) / chan->period * chan->period;
        next = due > CSP_NEVER - chan->period ? CSP_NEVER : due + chan->period;
    }
    else {
        chan->senders = 0; /* fires once: the clock closes its end */
    }
    atomic_store_explicit(&chan->due, next, memory_order_relaxed); /* see chan.h: a stale look is repeated */
    msg->kind = CSP_MSG_FLOAT;
    msg->deliveries = 0;
    msg->as.real = (double)csp_clock_shown(due) / 1e9;
    chan->counts.sent++;
    chan->counts.received++;
    return CSP_OK;
}

/* If the timer is due, it is the oldest waiting receiver's, before that has woken. */
static void timer_serve_locked(csp_chan *chan, csp_time now, csp_effects *fx)
{
    csp_case *receiver;
    if (csp_chan_due(chan) > now || (receiver = csp_chan_claim_first(&chan->receivers_waiting)) == NULL)
        return;
    timer_take_locked(chan, now, &receiver->msg); /* due, and the lock is held: it succeeds */
    csp_chan_fire(receiver, CSP_OK, fx);
    if (chan->senders == 0)
        fire_all(&chan->receivers_waiting, CSP_END, fx);
}

static csp_status timer_recv_locked(csp_chan *chan, csp_msg *msg, csp_effects *fx)
{
    csp_time now = csp_clock();
    timer_serve_locked(chan, now, fx);
    return chan->senders == 0 ? CSP_END : timer_take_locked(chan, now, msg);
}

static csp_status recv_locked(csp_chan *chan, csp_end *end, csp_msg *msg, csp_effects *fx)
{
    /* A closed Channel still drains; a closed RecvChannel is given up. */
    if (end != NULL && !(end->dir & CSP_SEND) && atomic_load_explicit(&end->closed, memory_order_relaxed))
        return CSP_CLOSED_HANDLE;
    if (chan->sync)
        return csp_sync_take(chan, end, msg);
    if (chan->buffer_allows & CSP_RECV) {
        csp_buffer_pop(chan, msg);
        chan->counts.received++;
        csp_buffer_admit(chan, fx);
        return CSP_OK;
    }
    csp_case *sender = csp_chan_claim_first(&chan->senders_waiting); /* capacity 0 */
    if (sender != NULL) {
        csp_msg_move(msg, &sender->msg);
        chan->counts.sent++;
        chan->counts.received++;
        csp_chan_fire(sender, CSP_OK, fx);
        return CSP_OK;
    }
    if (chan->closed || chan->senders == 0)
        return CSP_END;
    return chan->timer != CSP_NO_TIMER ? timer_recv_locked(chan, msg, fx) : CSP_PENDING;
}

csp_status csp_chan_try_locked(csp_case *c, csp_effects *fx)
{
    CSP_ASSERT_HELD(&c->chan->lock);
    return c->dir == CSP_SEND ? send_locked(c->chan, c->end, &c->msg, fx) : recv_locked(c->chan, c->end, &c->msg, fx);
}

csp_status csp_chan_try(csp_case *c, csp_effects *fx)
{
    csp_chan_lock(c->chan);
    csp_status status = csp_chan_try_locked(c, fx);
    csp_chan_unlock(c->chan);
    return status;
}

static csp_waitq *queue_of(csp_case *c)
{
    return c->dir == CSP_SEND ? &c->chan->senders_waiting : &c->chan->receivers_waiting;
}

/* A buffer is there to be filled and emptied several values at a time.  If whoever is faster queued up at once, each value
 * would be handed over by itself, at several times the cost; so look again a few times first, in growing distances so that
 * the other side can work undisturbed.  In all it takes less than to give the GIL up and take it again. */
static bool look_again(csp_case *c)
{
    bool ready = false;
    for (int pauses = CSP_LOOK_FIRST; pauses <= CSP_LOOK_LAST && !ready; pauses *= 2) {
        for (int i = 0; i < pauses; i++)
            csp_pause();
        /* Relaxed: what it says is tried under the lock. */
        ready = (atomic_load_explicit(&c->chan->hint, memory_order_relaxed) & c->dir) != 0;
    }
    return ready;
}

csp_status csp_chan_start(csp_case *c, csp_effects *fx)
{
    csp_chan *chan = c->chan;
    csp_chan_lock(chan);
    csp_status status = csp_chan_try_locked(c, fx);
    if (status == CSP_PENDING && chan->capacity > 1 && queue_of(c)->head == NULL && csp_spin_begin(&chan->look)) {
        csp_chan_unlock(chan);
        csp_spin_end(&chan->look, look_again(c));
        csp_chan_lock(chan);
        status = csp_chan_try_locked(c, fx);
    }
    if (status == CSP_PENDING)
        csp_waitq_push(queue_of(c), c);
    csp_chan_unlock(chan);
    return status;
}

void csp_chan_withdraw(csp_case *c)
{
    csp_chan *chan = c->chan;
    csp_effects fx;
    csp_effects_init(&fx);
    csp_chan_lock(chan);
    csp_waitq_remove(queue_of(c), c);
    csp_buffer_admit_behind(chan, &fx);
    csp_chan_unlock(chan);
    csp_effects_run(&fx);
}

csp_status csp_chan_try_send_many(csp_case *c, csp_msg *msgs, size_t n, size_t *p_done, csp_effects *fx)
{
    csp_chan *chan = c->chan;
    csp_status status = CSP_OK;
    size_t done = 0;
    while (status == CSP_OK && done < n) {
        csp_chan_lock(chan);
        /* fx holds one displaced value: with a drop policy free it, outside the lock, before the next. */
        while (done < n && fx->one.kind == CSP_MSG_EMPTY &&
               (status = send_locked(chan, c->end, &msgs[done], fx)) == CSP_OK)
            done++;
        csp_chan_unlock(chan);
        if (status == CSP_OK && done < n)
            csp_effects_run(fx);
    }
    *p_done = done;
    return status;
}

csp_status csp_chan_try_recv_many(csp_case *c, csp_msg *msgs, size_t n, size_t *p_done, csp_effects *fx)
{
    csp_status status = CSP_OK;
    size_t done = 0;
    csp_chan_lock(c->chan);
    while (done < n && (status = recv_locked(c->chan, c->end, &msgs[done], fx)) == CSP_OK)
        done++;
    csp_chan_unlock(c->chan);
    *p_done = done;
    return status;
}

csp_status csp_chan_answer(csp_end *end, csp_msg *msg, csp_effects *fx)
{
    csp_chan *chan = end->chan;
    csp_chan_lock(chan);
    csp_status status = send_locked(chan, end, msg, fx);
    atomic_store_explicit(&end->closed, true, memory_order_relaxed); /* the lock orders it */
    count_close(end);
    uncount_locked(end, CSP_SEND, NULL, fx);
    csp_chan_unlock(chan);
    return status;
}

bool csp_chan_is_fresh(csp_chan *chan)
{
    csp_chan_lock(chan);
    bool fresh = chan->senders == 0 && chan->receivers == 1 && !chan->closed && chan->buffer.length == 0 && chan->cause.kind == CSP_MSG_EMPTY;
    csp_chan_unlock(chan);
    return fresh;
}

void csp_chan_give_back(csp_chan *chan, csp_msg *msg, csp_effects *fx)
{
    csp_chan_lock(chan);
    csp_case *receiver;
    if (chan->sync) {
        csp_sync_give_back(chan, msg, fx);
    }
    else if (chan->receivers == 0) {
        csp_effects_displace(fx, msg);
        chan->counts.discarded++;
        chan->counts.received--;
    }
    else if ((receiver = csp_chan_claim_first(&chan->receivers_waiting)) != NULL) {
        csp_msg_move(&receiver->msg, msg);
        csp_chan_fire(receiver, CSP_OK, fx);
    }
    else {
        chan->counts.received--;
        if (!csp_buffer_push_front(chan, msg)) {
            csp_effects_displace(fx, msg); /* out of memory, and nobody to tell: counted, at least */
            chan->counts.discarded++;
        }
        csp_buffer_changed(chan);
    }
    csp_chan_unlock(chan);
}

/* --- timers --- */

void csp_timer_fire(csp_chan *chan, csp_time now, csp_effects *fx)
{
    csp_chan_lock(chan);
    timer_serve_locked(chan, now, fx);
    csp_chan_unlock(chan);
}

/* --- looking --- */

/* Who really waits: a select that fired through another channel may not have withdrawn its case yet. */
static uint32_t count_waiting(const csp_waitq *queue)
{
    uint32_t n = 0;
    for (csp_case *c = queue->head; c != NULL; c = c->next)
        n += csp_waiter_waits(c->waiter);
    return n;
}

void csp_chan_inspect(csp_chan *chan, csp_chan_info *p_info)
{
    csp_chan_lock(chan);
    p_info->counts = chan->counts;
    p_info->buffered = chan->buffer.length;
    p_info->buffered_bytes = chan->buffered_bytes;
    p_info->waiting_senders = count_waiting(&chan->senders_waiting);
    p_info->waiting_receivers = count_waiting(&chan->receivers_waiting);
    p_info->senders = chan->senders;
    p_info->receivers = chan->receivers;
    p_info->closed = chan->closed;
    csp_chan_unlock(chan);
}
