/* Actors as records: birth, monitors, stop and kill requests, the announcement of an end, the next life. */
#include "actor.h"

#include "mem.h"

void (*_Atomic csp_actor_bury)(csp_actor *actor, csp_msg *msg); /* process-wide; the shell installs the same function every time */

static _Atomic uint64_t last_id; /* process-wide; relaxed: only uniqueness counts */

static uint32_t fork_generation(void)
{
    return atomic_load_explicit(&csp_fork_generation, memory_order_relaxed); /* changes only while there is one thread */
}

/* --- birth and death --- */

/* A channel with one sending and one receiving end that belong to the record. */
static csp_chan *open_channel(size_t capacity, csp_end **p_sender, csp_end **p_receiver)
{
    csp_chan *chan = csp_chan_new(capacity, CSP_BLOCK, false, NULL);
    if (chan == NULL)
        return NULL;
    *p_sender = csp_end_new(chan, CSP_SEND, NULL);
    *p_receiver = csp_end_new(chan, CSP_RECV, NULL);
    chan->inert_receivers = 1; /* nobody else has it yet */
    return chan;
}

static void free_end(csp_end *end)
{
    if (end != NULL)
        csp_end_free(end);
}

static void free_record(csp_actor *actor)
{
    csp_actor_forget(actor);
    free_end(actor->inbox_sender);
    free_end(actor->inbox_receiver);
    free_end(actor->stopping_sender);
    free_end(actor->stopping_receiver);
    free_end(actor->started);
    for (uint32_t i = 0; i < actor->nmonitors; i++)
        csp_end_free(actor->monitors[i]);
    csp_raw_free(actor->monitors);
    if (actor->inbox != NULL)
        csp_chan_decref(actor->inbox);
    if (actor->stopping != NULL)
        csp_chan_decref(actor->stopping);
    if (actor->interp != NULL)
        csp_interp_decref(actor->interp);
    csp_actor *parent = actor->parent;
    csp_raw_free(actor->start_error);
    csp_raw_free(actor->name);
    csp_raw_free(actor);
    if (parent != NULL)
        csp_actor_decref(parent);
}

csp_actor *csp_actor_new(const csp_actor_spec *spec, csp_status *p_status)
{
    csp_actors_install_fork_handler();
    *p_status = CSP_NO_MEMORY;
    csp_actor *actor = csp_raw_calloc(1, sizeof *actor);
    if (actor == NULL)
        return NULL;
    actor->id = 1 + atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed);
    csp_lock_init(&actor->lock, CSP_RANK_ACTOR, actor->id);
    atomic_init(&actor->refs, 1);
    actor->fork_generation = fork_generation();
    actor->is_interpreter = spec->is_interpreter;
    actor->warm = spec->warm;
    actor->in_thread = spec->in_thread;
    actor->trap_stop = spec->trap_stop;
    actor->serves = spec->serves;
    actor->keep = spec->keep;
    actor->max_deliveries = spec->max_deliveries;
    actor->watchdog = spec->watchdog;
    actor->epoch = 1;
    actor->started_at = (double)csp_now() / 1e9;
    actor->activity = CSP_BUSY;
    if ((actor->parent = spec->parent) != NULL)
        csp_actor_incref(spec->parent);
    actor->inbox = open_channel(spec->mailbox, &actor->inbox_sender, &actor->inbox_receiver);
    actor->stopping = open_channel(1, &actor->stopping_sender, &actor->stopping_receiver);
    actor->name = csp_raw_alloc(strlen(spec->name) + CSP_NAME_SUFFIX);
    if (actor->inbox == NULL || actor->inbox_sender == NULL || actor->inbox_receiver == NULL ||
        actor->stopping == NULL || actor->stopping_sender == NULL || actor->stopping_receiver == NULL ||
        actor->name == NULL)
        goto fail;
    strcpy(actor->name, spec->name); /* NOLINT: the room was just measured */
    if ((*p_status = csp_actor_list(actor, spec)) != CSP_OK)
        goto fail;
    return actor;
fail:
    free_record(actor);
    return NULL;
}

void csp_actor_incref(csp_actor *actor)
{
    atomic_fetch_add_explicit(&actor->refs, 1, memory_order_relaxed); /* the caller has one: nothing to order */
}

void csp_actor_decref(csp_actor *actor)
{
    /* Release our writes to, and acquire those of, whoever drops the last one. */
    if (atomic_fetch_sub_explicit(&actor->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (actor->self_refs > 0) { /* only its own Exit refers to it: count those references, then let them go */
        csp_msg exit;
        atomic_store_explicit(&actor->refs, actor->self_refs, memory_order_relaxed); /* nobody else can reach it */
        actor->self_refs = 0;
        csp_msg_move(&exit, &actor->exit);
        csp_msg_clear(&exit);
        return;
    }
    csp_msg_clear(&actor->exit);
    free_record(actor);
}

static void part_release(void *self)
{
    csp_actor *actor = self;
    if (actor->fork_generation == fork_generation()) /* else leak it: its locks may be held for ever */
        csp_actor_decref(actor);
}

static void *part_clone(void *self)
{
    csp_actor_incref(self);
    return self;
}

const csp_part_ops csp_actor_part = {"actor reference", part_release, part_clone, NULL};

/* --- monitors --- */

/* The one value of the channel, then its end.  Takes over `end`. */
static void deliver(csp_end *end, csp_msg *msg)
{
    csp_case c = {.chan = end->chan, .end = end, .dir = CSP_SEND};
    csp_effects fx;
    csp_effects_init(&fx);
    csp_msg_move(&c.msg, msg);
    csp_chan_try(&c, &fx); /* there is room, or nobody is left to receive it */
    csp_effects_run(&fx);
    csp_msg_clear(&c.msg);
    csp_end_free(end);
}

static void deliver_or_end(csp_end *end, csp_msg *msg)
{
    if (msg->kind != CSP_MSG_EMPTY)
        deliver(end, msg);
    else
        csp_end_free(end); /* there was no memory for the copy: the monitor ends without a value */
}

static void deliver_copy(csp_end *end, const csp_msg *exit)
{
    csp_msg copy = {.kind = CSP_MSG_EMPTY};
    csp_msg_clone(&copy, exit);
    deliver_or_end(end, &copy);
}

/* Take out the monitors that nobody listens to any more; linked by `next`, for freeing outside the lock. */
static csp_end *prune_monitors_locked(csp_actor *actor)
{
    csp_end *dropped = NULL;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < actor->nmonitors; i++) {
        csp_end *end = actor->monitors[i];
        csp_chan_info info;
        csp_chan_inspect(end->chan, &info);
        if (info.receivers > 0) {
            actor->monitors[kept++] = end;
        }
        else {
            end->next = dropped; /* in flight, so on no interpreter's list */
            dropped = end;
        }
    }
    actor->nmonitors = kept;
    return dropped;
}

static bool add_monitor_locked(csp_actor *actor, csp_end *end, csp_end **p_dropped)
{
    if (actor->nmonitors == actor->monitors_room) {
        *p_dropped = prune_monitors_locked(actor);
        if (actor->nmonitors > actor->monitors_room / 2 || actor->monitors_room == 0) {
            uint32_t room = actor->monitors_room == 0 ? 4 : actor->monitors_room * 2;
            csp_end **grown = csp_raw_realloc(actor->monitors, room * sizeof *grown);
            if (grown == NULL)
                return false;
            actor->monitors = grown;
            actor->monitors_room = room;
        }
    }
    actor->monitors[actor->nmonitors++] = end;
    return true;
}

static csp_end *new_monitor(csp_actor *actor, struct csp_interp *interp, csp_end **p_sender)
{
    csp_chan *chan = csp_chan_new(1, CSP_BLOCK, false, NULL);
    if (chan == NULL)
        return NULL;
    chan->exit_of = actor->id; /* nobody else has it yet */
    csp_end *receiver = csp_end_new(chan, CSP_RECV, interp);
    *p_sender = receiver == NULL ? NULL : csp_end_new(chan, CSP_SEND, NULL);
    if (receiver != NULL && *p_sender == NULL) {
        csp_end_free(receiver);
        receiver = NULL;
    }
    csp_chan_decref(chan); /* the ends hold it */
    return receiver;
}

csp_end *csp_actor_monitor(csp_actor *actor, struct csp_interp *interp)
{
    csp_end *sender, *dropped = NULL;
    csp_end *receiver = new_monitor(actor, interp, &sender);
    if (receiver == NULL)
        return NULL;
    csp_msg copy = {.kind = CSP_MSG_EMPTY};
    csp_lock_acquire(&actor->lock);
    bool exited = actor->state == CSP_ACTOR_EXITED;
    if (exited)
        csp_msg_clone(&copy, &actor->exit); /* under the lock: a new life clears it */
    bool added = exited || add_monitor_locked(actor, sender, &dropped);
    csp_lock_release(&actor->lock);
    while (dropped != NULL) {
        csp_end *end = dropped;
        dropped = end->next;
        end->next = NULL;
        csp_end_free(end);
    }
    if (exited)
        deliver_or_end(sender, &copy);
    if (!added) {
        csp_end_free(sender);
        csp_end_free(receiver);
        return NULL;
    }
    return receiver;
}

csp_end *csp_actor_watch_start(csp_actor *actor, struct csp_interp *interp)
{
    csp_end *sender;
    csp_end *receiver = new_monitor(actor, interp, &sender);
    if (receiver == NULL)
        return NULL;
    csp_lock_acquire(&actor->lock);
    actor->started = sender;
    csp_lock_release(&actor->lock);
    return receiver;
}

csp_end *csp_actor_open(csp_actor *actor, csp_actor_end which, struct csp_interp *interp)
{
    csp_lock_acquire(&actor->lock);
    csp_chan *chan = which == CSP_STOPPING_RECEIVER ? actor->stopping : actor->inbox;
    /* Once the record has given up its own ends the channel is over: a new one would bring it to life again. */
    csp_end *end = chan == NULL
                       ? NULL
                       : csp_end_new(chan, which == CSP_INBOX_SENDER ? CSP_SEND : CSP_RECV, interp);
    csp_lock_release(&actor->lock);
    return end;
}

/* --- its life --- */

void csp_actor_set_interp(csp_actor *actor, struct csp_owner *owner, struct csp_interp *interp)
{
    csp_lock_acquire(&actor->lock);
    bool current = actor->owner == owner, kill = !current || actor->kill_asked;
    bool stop = actor->stop_asked && !actor->trap_stop;
    if (current) {
        csp_interp_incref(interp);
        actor->interp = interp;
        csp_lock_acquire(&interp->lock);
        interp->actor_id = actor->id;
        size_t length = strlen(actor->name);
        length = length < sizeof interp->label ? length : sizeof interp->label - 1;
        memset(interp->label, 0, sizeof interp->label); /* it was warm, perhaps, and had another one */
        memcpy(interp->label, actor->name, length);
        csp_lock_release(&interp->lock);
    }
    csp_lock_release(&actor->lock);
    if (kill)
        csp_interp_cancel(interp, CSP_KILL_ASKED);
    else if (stop)
        csp_interp_cancel(interp, CSP_STOP_ASKED);
}

void csp_actor_alive(csp_actor *actor, struct csp_owner *owner)
{
    csp_lock_acquire(&actor->lock);
    bool current = actor->owner == owner;
    if (current && actor->state == CSP_ACTOR_STARTING)
        actor->state = CSP_ACTOR_ALIVE;
    csp_end *started = current ? actor->started : NULL;
    if (current)
        actor->started = NULL;
    csp_lock_release(&actor->lock);
    if (started != NULL) {
        csp_msg yes = {.kind = CSP_MSG_TRUE};
        deliver(started, &yes);
    }
}

void csp_actor_set_start_error(csp_actor *actor, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = csp_raw_alloc(size);
    if (copy == NULL)
        return;
    memcpy(copy, text, size);
    csp_lock_acquire(&actor->lock);
    bool first = actor->start_error == NULL;
    if (first)
        actor->start_error = copy;
    csp_lock_release(&actor->lock);
    if (!first)
        csp_raw_free(copy);
}

/* Its interpreter's record with a new reference, or NULL. */
static struct csp_interp *borrow_interp_locked(csp_actor *actor)
{
    if (actor->interp != NULL)
        csp_interp_incref(actor->interp);
    return actor->interp;
}

static void cancel_and_drop(struct csp_interp *interp, csp_cancel how)
{
    if (interp == NULL)
        return;
    csp_interp_cancel(interp, how);
    csp_interp_decref(interp);
}

/* The mailbox, counted, of one that will take nothing more out of it; else NULL. */
static csp_chan *doomed_inbox_locked(csp_actor *actor, bool doomed)
{
    if (!doomed || actor->keep != CSP_KEEP_NEVER || actor->is_interpreter || actor->inbox == NULL)
        return NULL;
    csp_chan_incref(actor->inbox);
    return actor->inbox;
}

/* Whoever waits for room in it, or for the answer to what is queued, waits in vain. */
static void close_doomed(csp_chan *inbox)
{
    if (inbox == NULL)
        return;
    csp_effects fx;
    csp_effects_init(&fx);
    csp_chan_close(inbox, NULL, NULL, &fx);
    csp_chan_discard(inbox, &fx);
    csp_effects_run(&fx);
    csp_chan_decref(inbox);
}

void csp_actor_ask_stop(csp_actor *actor)
{
    csp_lock_acquire(&actor->lock);
    bool first = !actor->stop_asked && actor->state != CSP_ACTOR_EXITED;
    actor->stop_asked = true;
    bool breaks_off = !actor->trap_stop || actor->between;
    csp_end *stopping = first ? actor->stopping_sender : NULL;
    if (first)
        actor->stopping_sender = NULL;
    if (stopping != NULL) {
        csp_msg yes = {.kind = CSP_MSG_TRUE};
        deliver(stopping, &yes); /* before the waits are broken off: a select on it sees the value */
    }
    /* With our lock held: who sees stop_asked can take the stop, and none comes after that. */
    if (first && breaks_off && actor->interp != NULL)
        csp_interp_cancel(actor->interp, CSP_STOP_ASKED);
    csp_chan *doomed = doomed_inbox_locked(actor, first && actor->serves);
    csp_lock_release(&actor->lock);
    close_doomed(doomed);
}

bool csp_actor_between(csp_actor *actor, bool between)
{
    csp_lock_acquire(&actor->lock);
    bool asked = actor->stop_asked || actor->kill_asked;
    actor->between = between && !asked;
    csp_lock_release(&actor->lock);
    return asked;
}

void csp_actor_done(csp_actor *actor)
{
    csp_lock_acquire(&actor->lock);
    actor->handled++;
    csp_lock_release(&actor->lock);
}

bool csp_actor_note_hung(csp_actor *actor, struct csp_owner *owner)
{
    csp_lock_acquire(&actor->lock);
    bool first = actor->owner == owner && actor->state != CSP_ACTOR_EXITED && !actor->kill_asked;
    if (first)
        actor->hung = actor->kill_asked = true;
    csp_lock_release(&actor->lock);
    return first;
}

/* `owner`: only if that life still runs; NULL: whichever does. */
static void ask_kill(csp_actor *actor, struct csp_owner *owner)
{
    csp_lock_acquire(&actor->lock);
    if (owner != NULL && actor->owner != owner) {
        csp_lock_release(&actor->lock);
        return;
    }
    actor->kill_asked = true;
    struct csp_interp *interp = borrow_interp_locked(actor);
    csp_chan *doomed = doomed_inbox_locked(actor, true);
    csp_lock_release(&actor->lock);
    cancel_and_drop(interp, CSP_KILL_ASKED);
    close_doomed(doomed);
}

void csp_actor_ask_kill(csp_actor *actor) { ask_kill(actor, NULL); }
void csp_actor_ask_kill_of(csp_actor *actor, struct csp_owner *owner) { ask_kill(actor, owner); }

static uint32_t count_self_refs(csp_actor *actor, const csp_msg *exit)
{
    uint32_t count = 0;
    for (uint32_t i = 0; exit->kind == CSP_MSG_BLOB && i < exit->as.blob->nparts; i++) {
        csp_part *part = &exit->as.blob->parts[i];
        if (part->ops == &csp_msg_part) /* its value, which goes apart: no message in that */
            count += count_self_refs(actor, part->self);
        else
            count += part->ops == &csp_actor_part && part->self == actor;
    }
    return count;
}

/* What a record gives up, to be freed outside its lock. */
typedef struct {
    csp_end *ends[4];
    csp_chan *inbox, *stopping;
    csp_msg exit;
} given_up;

/* No further life: the mailbox goes.  The caller frees the name, and closes the inbox, once the lock is released. */
static void give_up_mailbox_locked(csp_actor *actor, given_up *out)
{
    CSP_ASSERT_HELD(&actor->lock);
    actor->over = true;
    out->ends[0] = actor->inbox_sender;
    out->ends[1] = actor->inbox_receiver;
    out->inbox = actor->inbox;
    actor->inbox_sender = actor->inbox_receiver = NULL;
    actor->inbox = NULL;
}

static void give_up_stopping_locked(csp_actor *actor, given_up *out)
{
    CSP_ASSERT_HELD(&actor->lock);
    out->ends[2] = actor->stopping_sender;
    out->ends[3] = actor->stopping_receiver;
    out->stopping = actor->stopping;
    actor->stopping_sender = actor->stopping_receiver = NULL;
    actor->stopping = NULL;
}

static void close_for_all(csp_chan *chan)
{
    csp_effects fx;
    csp_effects_init(&fx);
    csp_chan_close(chan, NULL, NULL, &fx);
    csp_effects_run(&fx);
}

static void note_discarded(csp_actor *actor, csp_chan *inbox)
{
    csp_chan_info info;
    csp_chan_inspect(inbox, &info);
    csp_lock_acquire(&actor->lock);
    actor->discarded = info.counts.discarded;
    csp_lock_release(&actor->lock);
}

static void free_given_up(csp_actor *actor, given_up *out)
{
    if (out->inbox != NULL)
        close_for_all(out->inbox); /* whoever else receives from it, nobody may send any more */
    for (size_t i = 0; i < sizeof out->ends / sizeof *out->ends; i++)
        free_end(out->ends[i]);
    if (out->inbox != NULL) {
        note_discarded(actor, out->inbox);
        csp_chan_decref(out->inbox);
    }
    if (out->stopping != NULL)
        csp_chan_decref(out->stopping);
    csp_msg_clear(&out->exit);
}

void csp_actor_close_inbox(csp_actor *actor)
{
    csp_lock_acquire(&actor->lock);
    csp_chan *inbox = actor->inbox;
    if (inbox != NULL)
        csp_chan_incref(inbox);
    csp_lock_release(&actor->lock);
    if (inbox != NULL) {
        close_for_all(inbox);
        csp_chan_decref(inbox);
    }
}

void csp_actor_set_keep(csp_actor *actor, csp_keep keep)
{
    given_up out = {.exit = {.kind = CSP_MSG_EMPTY}};
    csp_lock_acquire(&actor->lock);
    actor->keep = keep;
    bool ends = keep == CSP_KEEP_NEVER && actor->state == CSP_ACTOR_EXITED && !actor->over;
    if (ends)
        give_up_mailbox_locked(actor, &out);
    csp_lock_release(&actor->lock);
    if (!ends)
        return;
    csp_actor_incref(actor); /* the ends given up may hold the last messages that refer to it */
    csp_actor_unname(actor);
    free_given_up(actor, &out);
    csp_actor_decref(actor);
}

/* The message that was in hand, if a crash gave it back: nobody gets it once it was handed out often enough, or nobody is left. */
static void bury_crashed(csp_actor *actor, csp_chan *inbox, bool kept)
{
    csp_msg msg;
    while (csp_chan_take_returned(inbox, kept ? actor->max_deliveries : 1, &msg))
        atomic_load_explicit(&csp_actor_bury, memory_order_relaxed)(actor, &msg); /* see actor.h */
}

bool csp_actor_exited(csp_actor *actor, struct csp_owner *owner, csp_msg *exit, bool failed)
{
    given_up out = {.exit = {.kind = CSP_MSG_EMPTY}};
    csp_lock_acquire(&actor->lock);
    bool current = actor->state != CSP_ACTOR_EXITED && actor->owner == owner;
    bool kept = actor->keep == CSP_KEEP_ALWAYS || (actor->keep == CSP_KEEP_ON_FAILURE && failed);
    if (current) {
        actor->owner = NULL; /* nobody else ends this life now */
        if (!kept)
            actor->over = true;
    }
    csp_chan *inbox = current && actor->max_deliveries > 0 ? actor->inbox : NULL;
    if (inbox != NULL)
        csp_chan_incref(inbox);
    csp_lock_release(&actor->lock);
    if (!current) {
        csp_msg_clear(exit);
        return false;
    }
    if (inbox != NULL) {
        bury_crashed(actor, inbox, kept);
        csp_chan_decref(inbox);
    }
    if (!kept)
        csp_actor_unname(actor); /* the name is free before anybody hears of the end */
    csp_lock_acquire(&actor->lock);
    bool late = kept && actor->keep == CSP_KEEP_NEVER; /* said so since */
    kept = kept && !late;
    csp_end **monitors = actor->monitors, *started = actor->started;
    uint32_t nmonitors = actor->nmonitors;
    struct csp_interp *interp = actor->interp;
    actor->state = CSP_ACTOR_EXITED;
    actor->activity = CSP_CLOSING;
    csp_msg_move(&actor->exit, exit);
    actor->self_refs = count_self_refs(actor, &actor->exit);
    /* The caller has a counted reference besides, so this does not reach zero.  Relaxed: nothing is freed by it. */
    atomic_fetch_sub_explicit(&actor->refs, actor->self_refs, memory_order_relaxed);
    actor->monitors = NULL;
    actor->nmonitors = actor->monitors_room = 0;
    actor->started = NULL;
    actor->interp = NULL;
    csp_msg copy = {.kind = CSP_MSG_EMPTY};
    if (nmonitors > 0 || started != NULL)
        csp_msg_clone(&copy, &actor->exit); /* a new life may clear it while we announce this one */
    give_up_stopping_locked(actor, &out);
    if (!kept)
        give_up_mailbox_locked(actor, &out);
    csp_lock_release(&actor->lock);

    if (late)
        csp_actor_unname(actor);
    free_given_up(actor, &out);
    if (interp != NULL)
        csp_interp_decref(interp);
    for (uint32_t i = 0; i < nmonitors; i++)
        deliver_copy(monitors[i], &copy);
    csp_raw_free(monitors);
    if (started != NULL)
        deliver_copy(started, &copy);
    csp_msg_clear(&copy);
    return true;
}

/* A new life's `stopping` in place of the old one. */
static void renew_locked(csp_actor *actor, csp_chan *stopping, csp_end *sender, csp_end *receiver, given_up *out)
{
    CSP_ASSERT_HELD(&actor->lock);
    actor->stopping = stopping;
    actor->stopping_sender = sender;
    actor->stopping_receiver = receiver;
    /* The references on the record inside the last Exit count again, and go with it. */
    atomic_fetch_add_explicit(&actor->refs, actor->self_refs, memory_order_relaxed); /* the caller has one */
    actor->self_refs = 0;
    csp_msg_move(&out->exit, &actor->exit);
    actor->state = CSP_ACTOR_STARTING;
    actor->activity = CSP_BUSY;
    actor->stop_asked = actor->kill_asked = actor->hung = actor->returned = actor->between = false;
    actor->epoch++;
    actor->started_at = (double)csp_now() / 1e9;
}

csp_status csp_actor_restart(csp_actor *actor)
{
    given_up out = {.exit = {.kind = CSP_MSG_EMPTY}};
    csp_end *sender = NULL, *receiver = NULL;
    csp_chan *stopping = open_channel(1, &sender, &receiver);
    csp_status status = stopping == NULL || sender == NULL || receiver == NULL ? CSP_NO_MEMORY : csp_actor_list_again(actor);
    bool listed = status == CSP_OK;
    csp_lock_acquire(&actor->lock);
    if (status == CSP_OK && actor->state != CSP_ACTOR_EXITED)
        status = CSP_WOULD_BLOCK;
    else if (status == CSP_OK && actor->over)
        status = CSP_END;
    if (status == CSP_OK) {
        renew_locked(actor, stopping, sender, receiver, &out);
        csp_chan_reopen(actor->inbox); /* the last life may have been drained */
    }
    csp_lock_release(&actor->lock);
    if (status == CSP_OK) {
        free_given_up(actor, &out);
        return CSP_OK;
    }
    if (listed)
        csp_actor_unlist(actor);
    free_end(sender);
    free_end(receiver);
    if (stopping != NULL)
        csp_chan_decref(stopping);
    return status;
}

/* --- csp.interpreters --- */

csp_status csp_actor_begin_run(csp_actor *actor)
{
    csp_status status = CSP_OK;
    csp_lock_acquire(&actor->lock);
    if (actor->activity == CSP_CLOSING || actor->kill_asked || actor->stop_asked)
        status = CSP_END;
    else if (actor->activity == CSP_BUSY)
        status = CSP_WOULD_BLOCK;
    else
        actor->activity = CSP_BUSY;
    csp_lock_release(&actor->lock);
    return status;
}

void csp_actor_end_run(csp_actor *actor)
{
    csp_lock_acquire(&actor->lock);
    if (actor->activity == CSP_BUSY)
        actor->activity = CSP_IDLE;
    csp_lock_release(&actor->lock);
}

csp_status csp_actor_begin_close(csp_actor *actor)
{
    csp_status status = CSP_OK;
    csp_lock_acquire(&actor->lock);
    if (actor->activity == CSP_CLOSING)
        status = CSP_END;
    else if (actor->activity == CSP_BUSY)
        status = CSP_WOULD_BLOCK;
    else
        actor->activity = CSP_CLOSING;
    csp_lock_release(&actor->lock);
    return status;
}
