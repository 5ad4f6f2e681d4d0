/* The record of an interpreter: its handles, leases and waits, and what its death does. */
#include "interp.h"

#include <stdio.h>

#include "loop.h"
#include "mem.h"
#include "registry.h"

_Thread_local csp_interp *csp_thread_record;

static csp_interp *interp_new(int64_t id, bool is_main, csp_interp *host)
{
    csp_interp *interp = csp_raw_calloc(1, sizeof *interp);
    if (interp == NULL)
        return NULL;
    csp_lock_init(&interp->lock, CSP_RANK_INTERP, (uint64_t)id);
    interp->id = id;
    interp->is_main = is_main;
    interp->host = host;
    atomic_init(&interp->refs, 1);
    csp_registry_add_interp(interp);
    return interp;
}

csp_interp *csp_interp_new(int64_t id, bool is_main) { return interp_new(id, is_main, NULL); }

csp_interp *csp_interp_new_guest(csp_interp *host, int64_t id)
{
    csp_interp *interp = interp_new(id, false, host);
    if (interp == NULL)
        return NULL;
    csp_interp_incref(host);
    csp_lock_acquire(&host->lock);
    host->had_guests = true;
    csp_lock_release(&host->lock);
    return interp;
}

void csp_interp_incref(csp_interp *interp)
{
    atomic_fetch_add_explicit(&interp->refs, 1, memory_order_relaxed); /* the caller has one: nothing to order */
}

void csp_interp_decref(csp_interp *interp)
{
    /* Release our writes to, and acquire those of, whoever drops the last one. */
    if (atomic_fetch_sub_explicit(&interp->refs, 1, memory_order_acq_rel) != 1)
        return;
    csp_registry_remove_interp(interp);
    csp_msg_clear(&interp->exit_cause);
    csp_interp *host = interp->host;
    csp_raw_free(interp);
    if (host != NULL)
        csp_interp_decref(host);
}

/* --- what it owns --- */

static void link_end_locked(csp_interp *interp, csp_end *end)
{
    csp_end **list = end->given_up ? &interp->given_up : &interp->ends;
    end->prev = NULL;
    end->next = *list;
    if (end->next != NULL)
        end->next->prev = end;
    *list = end;
}

static void unlink_end_locked(csp_interp *interp, csp_end *end)
{
    csp_end **list = end->given_up ? &interp->given_up : &interp->ends;
    if (end->prev == NULL && *list != end)
        return; /* not listed */
    *(end->prev != NULL ? &end->prev->next : list) = end->next;
    if (end->next != NULL)
        end->next->prev = end->prev;
    end->next = end->prev = NULL;
}

bool csp_interp_add_end(csp_interp *interp, csp_end *end)
{
    csp_lock_acquire(&interp->lock);
    bool alive = !interp->dead;
    end->given_up = !alive;
    link_end_locked(interp, end);
    csp_lock_release(&interp->lock);
    return alive;
}

void csp_interp_remove_end(csp_interp *interp, csp_end *end)
{
    csp_lock_acquire(&interp->lock);
    unlink_end_locked(interp, end);
    csp_lock_release(&interp->lock);
}

bool csp_interp_add_lease(csp_interp *interp, csp_lease *lease)
{
    csp_lock_acquire(&interp->lock);
    bool alive = !interp->dead;
    if (alive) {
        lease->open = lease->listed = true;
        lease->fork_generation = atomic_load_explicit(&csp_fork_generation, memory_order_relaxed); /* see registry.c */
        lease->prev = NULL;
        lease->next = interp->leases;
        if (interp->leases != NULL)
            interp->leases->prev = lease;
        interp->leases = lease;
    }
    csp_lock_release(&interp->lock);
    return alive;
}

bool csp_interp_remove_lease(csp_interp *interp, csp_lease *lease)
{
    if (lease->listed && lease->fork_generation != atomic_load_explicit(&csp_fork_generation, memory_order_relaxed))
        return false; /* the parent's: it settles the value there */
    csp_lock_acquire(&interp->lock);
    bool was_open = lease->open;
    lease->open = false;
    if (lease->listed) {
        *(lease->prev != NULL ? &lease->prev->next : &interp->leases) = lease->next;
        if (lease->next != NULL)
            lease->next->prev = lease->prev;
        lease->listed = false;
    }
    csp_lock_release(&interp->lock);
    return was_open;
}

/* The life that had the request in hand is over: whoever waits for its answer is not to wait for the next one's. */
static void close_replies(const csp_msg *msg)
{
    for (uint32_t i = 0; msg->kind == CSP_MSG_BLOB && i < msg->as.blob->nparts; i++) {
        const csp_part *part = &msg->as.blob->parts[i];
        if (part->ops != &csp_end_part || !((csp_end *)part->self)->chan->reply)
            continue;
        csp_effects fx;
        csp_effects_init(&fx);
        csp_chan_close(((csp_end *)part->self)->chan, NULL, NULL, &fx);
        csp_effects_run(&fx);
    }
}

void csp_lease_return(csp_lease *lease, bool attached)
{
    csp_effects fx;
    close_replies(&lease->msg);
    csp_effects_init(&fx);
    csp_chan_give_back(lease->chan, &lease->msg, &fx);
    if (lease->chan->local && !attached)
        csp_effects_forget(&fx);
    csp_effects_run(&fx);
}

/* --- waits --- */

_Atomic uint64_t csp_wait_moves;
_Thread_local bool csp_ignores_stops;

static csp_status check_locked(csp_interp *interp)
{
    switch (atomic_load_explicit(&interp->cancel, memory_order_relaxed)) { /* written under the lock we hold */
    case CSP_RUNNING:
    case CSP_STOP_DELIVERED:
        return CSP_OK;
    case CSP_STOP_ASKED:
        if (csp_ignores_stops)
            return CSP_OK; /* it is another thread's to take */
        atomic_store_explicit(&interp->cancel, CSP_STOP_DELIVERED, memory_order_relaxed); /* as above */
        return CSP_STOPPED;
    default:
        return CSP_KILLED;
    }
}

csp_status csp_interp_check(csp_interp *interp)
{
    csp_lock_acquire(&interp->lock);
    csp_status status = check_locked(interp);
    csp_lock_release(&interp->lock);
    return status;
}

static bool breaks_waits(csp_cancel cancel)
{
    return cancel > CSP_STOP_DELIVERED || (cancel == CSP_STOP_ASKED && !csp_ignores_stops);
}

bool csp_interp_enter_wait(csp_interp *interp, csp_waiter *waiter)
{
    bool stopped = false;
    csp_lock_acquire(&interp->lock);
    /* Relaxed: written under the lock we hold. */
    bool enter = !interp->dead && !breaks_waits(atomic_load_explicit(&interp->cancel, memory_order_relaxed));
    if (!enter && (stopped = csp_waiter_claim(waiter))) {
        /* Only now is a stop consumed: a wait that has been completed meanwhile leaves it to the next. */
        waiter->status = interp->dead ? CSP_KILLED : check_locked(interp);
    }
    if (enter) {
        atomic_fetch_add_explicit(&csp_wait_moves, 1, memory_order_release);
        if (waiter->serial == 0)
            waiter->serial = ++interp->waits;
        waiter->parked = true;
        waiter->ignores_stops = csp_ignores_stops;
        waiter->prev_parked = NULL;
        waiter->next_parked = interp->parked;
        if (interp->parked != NULL)
            interp->parked->prev_parked = waiter;
        interp->parked = waiter;
    }
    csp_lock_release(&interp->lock);
    if (stopped)
        csp_waiter_finish(waiter);
    return enter;
}

void csp_interp_leave_wait(csp_interp *interp, csp_waiter *waiter)
{
    csp_lock_acquire(&interp->lock);
    if (waiter->parked) {
        if (!waiter->ignores_stops)
            csp_interp_progressed(interp);
        *(waiter->prev_parked != NULL ? &waiter->prev_parked->next_parked : &interp->parked) = waiter->next_parked;
        if (waiter->next_parked != NULL)
            waiter->next_parked->prev_parked = waiter->prev_parked;
        waiter->parked = false;
        atomic_fetch_add_explicit(&csp_wait_moves, 1, memory_order_release);
    }
    csp_lock_release(&interp->lock);
}

void csp_interp_watch(csp_interp *interp)
{
    atomic_store_explicit(&interp->progress, csp_now(), memory_order_relaxed); /* see interp.h */
    atomic_store_explicit(&interp->watched, true, memory_order_relaxed);
}

void csp_interp_set_heart(csp_interp *interp, csp_loop *loop)
{
    csp_lock_acquire(&interp->lock);
    interp->heart = loop;
    csp_lock_release(&interp->lock);
}

void csp_interp_unset_heart(csp_interp *interp, csp_loop *loop)
{
    csp_lock_acquire(&interp->lock);
    if (interp->heart == loop)
        interp->heart = NULL;
    csp_lock_release(&interp->lock);
}

void csp_interp_heart_beats(csp_interp *interp)
{
    if (atomic_load_explicit(&interp->watched, memory_order_relaxed)) /* see interp.h */
        atomic_store_explicit(&interp->progress, csp_now(), memory_order_relaxed); /* as above */
}

bool csp_interp_ask_heart(csp_interp *interp)
{
    csp_lock_acquire(&interp->lock);
    bool has = interp->heart != NULL;
    if (has)
        csp_loop_poke(interp->heart); /* under the lock, or it might be freed; at most one write, which never blocks */
    csp_lock_release(&interp->lock);
    return has;
}

bool csp_interp_waits_now(csp_interp *interp)
{
    csp_lock_acquire(&interp->lock);
    csp_waiter *waiter = interp->parked;
    while (waiter != NULL && waiter->ignores_stops)
        waiter = waiter->next_parked;
    csp_lock_release(&interp->lock);
    return waiter != NULL;
}

static void describe_case(const csp_case *c, const csp_chan *inbox, char *text, size_t size)
{
    const char *does = c->dir == CSP_RECV ? "receive from" : "send to", *name = c->chan->name;
    if (c->chan == inbox)
        snprintf(text, size, "%s its mailbox", does);
    else
        snprintf(text, size, "%s channel %llu%s%.60s%s", does, (unsigned long long)c->chan->id, name != NULL ? " '" : "",
                 name != NULL ? name : "", name != NULL ? "'" : "");
}

bool csp_interp_describe_wait(csp_interp *interp, const csp_chan *inbox, char *text, size_t size, csp_time *p_since)
{
    csp_lock_acquire(&interp->lock);
    csp_waiter *waiter = interp->parked;
    while (waiter != NULL && waiter->ignores_stops)
        waiter = waiter->next_parked;
    const csp_case *only = NULL; /* what a listed waiter waits for does not change */
    uint32_t enabled = 0;
    for (uint32_t i = 0; waiter != NULL && i < waiter->ncases; i++) {
        if (waiter->cases[i].chan == NULL)
            continue;
        only = &waiter->cases[i];
        enabled++;
    }
    if (enabled == 1)
        describe_case(only, inbox, text, size);
    else if (enabled > 1)
        snprintf(text, size, "select one of %u cases", (unsigned)enabled);
    else
        snprintf(text, size, "sleep");
    if (waiter != NULL)
        *p_since = waiter->since;
    csp_lock_release(&interp->lock);
    return waiter != NULL;
}

/* Claim every sleeping wait for `status`.  The waiters stay listed: a waiter leaves by itself, under the lock. */
static bool break_off_locked(csp_interp *interp, csp_status status, csp_effects *fx)
{
    bool any = false;
    for (csp_waiter *w = interp->parked; w != NULL; w = w->next_parked) {
        if ((status == CSP_STOPPED && w->ignores_stops) || !csp_waiter_claim(w))
            continue;
        w->status = status;
        w->fired = NULL;
        csp_effects_add_wake(fx, w);
        any = true;
    }
    return any;
}

void csp_interp_cancel(csp_interp *interp, csp_cancel how)
{
    csp_effects fx;
    csp_effects_init(&fx);
    csp_lock_acquire(&interp->lock);
    if (how > atomic_load_explicit(&interp->cancel, memory_order_relaxed)) { /* written under the lock we hold */
        csp_status status = how == CSP_STOP_ASKED ? CSP_STOPPED : CSP_KILLED;
        bool any = break_off_locked(interp, status, &fx);
        if (how == CSP_STOP_ASKED && any)
            how = CSP_STOP_DELIVERED;
        atomic_store_explicit(&interp->cancel, how, memory_order_relaxed); /* read again under the lock */
    }
    csp_lock_release(&interp->lock);
    csp_effects_run(&fx);
}

/* --- the end --- */

void csp_interp_set_exit_cause(csp_interp *interp, csp_msg *cause)
{
    csp_msg old;
    csp_lock_acquire(&interp->lock);
    csp_msg_move(&old, &interp->exit_cause);
    csp_msg_move(&interp->exit_cause, cause);
    atomic_store_explicit(&interp->has_exit_cause, interp->exit_cause.kind != CSP_MSG_EMPTY, memory_order_relaxed);
    csp_lock_release(&interp->lock);
    csp_msg_clear(&old);
}

void csp_interp_copy_exit_cause(csp_interp *interp, csp_msg *to)
{
    if (!atomic_load_explicit(&interp->has_exit_cause, memory_order_relaxed)) /* set by the interpreter's own thread, or before its end */
        return;
    csp_lock_acquire(&interp->lock);
    if (!csp_msg_clone(to, &interp->exit_cause))
        to->kind = CSP_MSG_EMPTY;
    csp_lock_release(&interp->lock);
}

/* Take the value of a lease that is still open out of it; its Python object, or csp_interp_reap, frees the rest. */
static bool take_open_lease(csp_interp *interp, csp_lease *taken)
{
    csp_lock_acquire(&interp->lock);
    csp_lease *lease = interp->leases;
    while (lease != NULL && !lease->open)
        lease = lease->next;
    if (lease != NULL) {
        lease->open = false;
        csp_chan_incref(lease->chan); /* the Python object may drop its own any moment */
        taken->chan = lease->chan;
        csp_msg_move(&taken->msg, &lease->msg);
    }
    csp_lock_release(&interp->lock);
    return lease != NULL;
}

/* A handle still open, with a reference: its Python object may free it any moment. */
static csp_end *take_open_end(csp_interp *interp)
{
    csp_lock_acquire(&interp->lock);
    csp_end *end = interp->ends;
    if (end != NULL) {
        unlink_end_locked(interp, end);
        end->given_up = true;
        link_end_locked(interp, end);
        csp_end_incref(end);
    }
    csp_lock_release(&interp->lock);
    return end;
}

void csp_interp_died(csp_interp *interp, csp_msg *cause, bool attached)
{
    if (cause != NULL)
        csp_interp_set_exit_cause(interp, cause);
    csp_interp_cancel(interp, CSP_FENCED);
    csp_lock_acquire(&interp->lock);
    interp->dead = true;
    csp_lock_release(&interp->lock);
    /* Leases first: a value may go back to a channel whose other receivers take it, before our own end of it closes. */
    csp_lease lease;
    while (take_open_lease(interp, &lease)) {
        csp_lease_return(&lease, attached);
        csp_chan_decref(lease.chan);
    }
    csp_end *end;
    while ((end = take_open_end(interp)) != NULL) {
        csp_effects fx;
        csp_effects_init(&fx);
        csp_end_close(end, &fx);
        if (end->chan->local && !attached)
            csp_effects_forget(&fx);
        csp_effects_run(&fx);
        if (end->orphan) /* nobody else frees it: it holds no permit any more, so the flag is settled */
            csp_end_free(end);
        csp_end_decref(end);
    }
}

bool csp_interp_is_dead(csp_interp *interp)
{
    csp_lock_acquire(&interp->lock);
    bool dead = interp->dead;
    csp_lock_release(&interp->lock);
    return dead;
}

static void reap(csp_interp *interp)
{
    while (interp->leases != NULL) { /* nobody else can reach the lists now */
        csp_lease *lease = interp->leases;
        csp_interp_remove_lease(interp, lease);
        csp_chan_decref(lease->chan);
        csp_raw_free(lease);
        csp_interp_decref(interp); /* the lease's; the caller has one */
    }
    while (interp->ends != NULL)
        csp_end_abandon(interp->ends);
    while (interp->given_up != NULL)
        csp_end_abandon(interp->given_up);
}

void csp_interp_reap(csp_interp *interp)
{
    uint32_t n = 0;
    csp_interp **all = interp->had_guests ? csp_registry_interps(&n) : NULL; /* nobody else is here */
    for (uint32_t i = 0; all != NULL && i < n; i++) {
        if (all[i]->host == interp)
            reap(all[i]);
        csp_interp_decref(all[i]);
    }
    csp_raw_free(all);
    reap(interp);
}

void csp_interp_after_fork(csp_interp *interp)
{
    csp_lock_init(&interp->lock, CSP_RANK_INTERP, (uint64_t)interp->id);
    interp->ends = interp->given_up = NULL;
    interp->leases = NULL;
    atomic_store_explicit(&interp->returned, NULL, memory_order_relaxed); /* nobody else is here */
    interp->parked = NULL; /* threads that do not exist here */
    atomic_store_explicit(&interp->guests, 0, memory_order_relaxed); /* nor do theirs; nobody else is here */
}
