/* The search for a deadlocked set, and the report of one.  The theory is in deadlock.h. */
#include "deadlock.h"

#include <stdio.h>
#include <stdlib.h>

#include "mem.h"
#include "registry.h"

_Atomic bool csp_deadlock_detection = true;
_Atomic csp_time csp_look_patience = CSP_LOOK_SOON;

/* --- what is looked at: copies, taken under one lock at a time --- */

typedef struct {
    csp_interp *interp; /* counted */
    bool in;            /* still in the set */
} member;

typedef struct {
    csp_waiter *waiter; /* address only; it may be gone */
    uint64_t serial;    /* of that wait */
    csp_chan *chan;     /* counted */
    uint8_t dir;
    bool of_main_thread;
    csp_time since;
    uint32_t member;    /* index */
} wait_case;

typedef struct {
    csp_chan *chan;  /* address only */
    uint32_t member; /* index of who holds it, or IN_FLIGHT: in a message */
    uint8_t sides;
} holding;

#define IN_FLIGHT UINT32_MAX

typedef struct {
    member *members; /* RAW */
    uint32_t nmembers;
    wait_case *cases; /* RAW */
    uint32_t ncases, cases_room;
    csp_chan **chans; /* RAW, counted: all channels there are; NULL until needed */
    uint32_t nchans;
    holding *index;   /* RAW: handles of the members and in messages, by channel */
    uint32_t nindex, index_room;
    bool by_index;    /* shrink asks the index */
    bool failed;      /* no memory: the answer is "no deadlock" */
} picture;

static void picture_free(picture *p)
{
    for (uint32_t i = 0; i < p->ncases; i++)
        csp_chan_decref(p->cases[i].chan);
    for (uint32_t i = 0; i < p->nmembers; i++)
        csp_interp_decref(p->members[i].interp);
    for (uint32_t i = 0; i < p->nchans; i++)
        csp_chan_decref(p->chans[i]);
    csp_raw_free(p->index);
    csp_raw_free(p->cases);
    csp_raw_free(p->members);
    csp_raw_free(p->chans);
}

static bool add_case_locked(picture *p, uint32_t m, csp_waiter *waiter, csp_case *c)
{
    if (p->ncases == p->cases_room) {
        uint32_t room = p->cases_room == 0 ? 64 : p->cases_room * 2;
        wait_case *grown = csp_raw_realloc(p->cases, room * sizeof *grown);
        if (grown == NULL) {
            p->failed = true;
            return false;
        }
        p->cases = grown;
        p->cases_room = room;
    }
    csp_chan_incref(c->chan); /* alive: its waiter is on the list, and holds it */
    p->cases[p->ncases++] = (wait_case){waiter, waiter->serial, c->chan, c->dir, waiter->main_thread, waiter->since, m};
    return true;
}

/* Does each thread of the interpreter wait for ever?  The latest count tells how many there are: each of these waits has begun
 * before, so if they were all that there was, nobody was left to start another thread. */
static bool is_stuck_locked(csp_interp *interp)
{
    uint32_t waiting = 0, threads = 1;
    csp_time counted = 0;
    for (csp_waiter *w = interp->parked; w != NULL; w = w->next_parked) {
        if (!w->forever || w->loop != NULL || w->threads == 0 || !csp_waiter_waits(w))
            return false; /* not counted yet: it will look later than we do */
        waiting++;
        if (w->counted >= counted) {
            threads = w->counted == counted && threads > w->threads ? threads : w->threads;
            counted = w->counted;
        }
    }
    return !interp->dead && waiting >= threads;
}

static void add_member(picture *p, uint32_t m)
{
    csp_interp *interp = p->members[m].interp;
    csp_lock_acquire(&interp->lock);
    p->members[m].in = is_stuck_locked(interp);
    for (csp_waiter *w = interp->parked; p->members[m].in && w != NULL; w = w->next_parked)
        for (uint32_t i = 0; i < w->ncases; i++)
            if (w->cases[i].chan != NULL && !add_case_locked(p, m, w, &w->cases[i]))
                break;
    csp_lock_release(&interp->lock);
}

static bool take_picture(picture *p)
{
    uint32_t n = 0;
    csp_interp **interps = csp_registry_interps(&n);
    memset(p, 0, sizeof *p);
    p->members = interps == NULL ? NULL : csp_raw_alloc(n * sizeof *p->members);
    for (uint32_t i = 0; interps != NULL && i < n; i++) {
        if (p->members == NULL)
            csp_interp_decref(interps[i]);
        else
            p->members[p->nmembers++] = (member){interps[i], false};
    }
    csp_raw_free(interps);
    for (uint32_t i = 0; i < p->nmembers; i++)
        add_member(p, i);
    return p->members != NULL && !p->failed;
}

/* --- who holds the other side --- */

/* Handles for `side` of the channel that the members hold. */
static uint32_t count_handles(picture *p, csp_chan *chan, uint8_t side)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->nmembers; i++) {
        if (!p->members[i].in)
            continue;
        csp_interp *interp = p->members[i].interp;
        csp_lock_acquire(&interp->lock);
        csp_chan_lock(chan);
        for (csp_end *end = interp->ends; end != NULL; end = end->next)
            count += end->chan == chan && (end->counted & side) != 0;
        csp_chan_unlock(chan);
        csp_lock_release(&interp->lock);
    }
    return count;
}

typedef struct {
    uint32_t total, inert;
    bool closed;
} side_count;

static side_count count_side(csp_chan *chan, uint8_t side)
{
    csp_chan_lock(chan);
    side_count count = {side == CSP_SEND ? chan->senders : chan->receivers, side == CSP_SEND ? 0 : chan->inert_receivers,
                        chan->closed};
    if (count.inert == count.total)
        count.inert = 0; /* between the lives of an actor: the next one will receive */
    csp_chan_unlock(chan);
    return count;
}

/* Handles for `side` of the channel inside a message. */
static uint32_t count_in_message(const csp_msg *msg, csp_chan *chan, uint8_t side)
{
    uint32_t count = 0;
    for (uint32_t i = 0; msg->kind == CSP_MSG_BLOB && i < msg->as.blob->nparts; i++) {
        const csp_part *part = &msg->as.blob->parts[i];
        const csp_end *end = part->self;
        count += part->ops == &csp_end_part && end->chan == chan && (end->counted & side) != 0;
    }
    return count;
}

/* ... inside what is buffered in `holder` or offered to it by waiting senders. */
static uint32_t count_in_channel(csp_chan *holder, csp_chan *chan, uint8_t side)
{
    uint32_t count = 0;
    csp_chan_lock(holder);
    const csp_queue *buffer = &holder->buffer;
    for (csp_segment *s = buffer->head; s != NULL; s = s->next)
        for (uint32_t i = s == buffer->head ? buffer->first : 0; i < (s == buffer->tail ? buffer->last : CSP_SEGMENT); i++)
            count += count_in_message(&s->cells[i], chan, side);
    for (csp_case *c = holder->senders_waiting.head; c != NULL; c = c->next)
        count += count_in_message(&c->msg, chan, side);
    csp_chan_unlock(holder);
    return count;
}

/* Can only members receive from it? */
static bool received_by_members(picture *p, csp_chan *holder)
{
    side_count receivers = count_side(holder, CSP_RECV);
    return receivers.total <= count_handles(p, holder, CSP_RECV) + receivers.inert;
}

static uint32_t count_in_leases(picture *p, csp_chan *chan, uint8_t side)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->nmembers; i++) {
        csp_interp *interp = p->members[i].interp;
        csp_lock_acquire(&interp->lock);
        for (csp_lease *lease = interp->leases; p->members[i].in && lease != NULL; lease = lease->next)
            if (lease->open) /* its message is not touched while the lock is held */
                count += count_in_message(&lease->msg, chan, side);
        csp_lock_release(&interp->lock);
    }
    return count;
}

/* Handles in flight that nobody but members could ever get hold of. */
static uint32_t count_in_flight(picture *p, csp_chan *chan, uint8_t side)
{
    if (p->chans == NULL && (p->chans = csp_registry_chans(&p->nchans)) == NULL)
        return 0; /* no memory: they count as outside */
    uint32_t count = count_in_leases(p, chan, side);
    for (uint32_t i = 0; i < p->nchans; i++) {
        uint32_t n = count_in_channel(p->chans[i], chan, side);
        if (n > 0 && received_by_members(p, p->chans[i]))
            count += n;
    }
    return count;
}

/* The end of an actor is told when its life is over: by the interpreter that it lives in. */
static bool tells_the_end(const member *m, const csp_chan *chan)
{
    return chan->exit_of != 0 && m->interp->actor_id == chan->exit_of;
}

/* --- the first, cheap answer ---
 *
 * Counting as above costs a walk through all members' handles for each case.  That is well spent on a deadlock, but most looks
 * are at programs that only wait, some of them with hundreds of actors.  So they are first looked at through an index that
 * is made in one walk.  It says who might be stuck, never too few: a handle in flight counts as out of reach. */

static void add_holding(picture *p, csp_chan *chan, uint32_t member, uint8_t sides)
{
    if (p->nindex == p->index_room) {
        uint32_t room = p->index_room == 0 ? 256 : p->index_room * 2;
        holding *grown = csp_raw_realloc(p->index, room * sizeof *grown);
        if (grown == NULL) {
            p->failed = true;
            return;
        }
        p->index = grown;
        p->index_room = room;
    }
    p->index[p->nindex++] = (holding){chan, member, sides};
}

static void index_message(picture *p, const csp_msg *msg)
{
    for (uint32_t i = 0; msg->kind == CSP_MSG_BLOB && i < msg->as.blob->nparts; i++) {
        const csp_part *part = &msg->as.blob->parts[i];
        const csp_end *end = part->self;
        if (part->ops == &csp_end_part)
            add_holding(p, end->chan, IN_FLIGHT, end->counted);
    }
}

static void index_member(picture *p, uint32_t m)
{
    csp_interp *interp = p->members[m].interp;
    csp_lock_acquire(&interp->lock);
    for (csp_end *end = interp->ends; p->members[m].in && end != NULL; end = end->next) {
        csp_chan_lock(end->chan);
        uint8_t sides = end->counted;
        csp_chan_unlock(end->chan);
        add_holding(p, end->chan, m, sides);
    }
    for (csp_lease *lease = interp->leases; lease != NULL; lease = lease->next)
        if (lease->open)
            index_message(p, &lease->msg);
    csp_lock_release(&interp->lock);
}

static void index_channel(picture *p, csp_chan *chan)
{
    csp_chan_lock(chan);
    const csp_queue *buffer = &chan->buffer;
    for (csp_segment *s = buffer->head; s != NULL; s = s->next)
        for (uint32_t i = s == buffer->head ? buffer->first : 0; i < (s == buffer->tail ? buffer->last : CSP_SEGMENT); i++)
            index_message(p, &s->cells[i]);
    for (csp_case *c = chan->senders_waiting.head; c != NULL; c = c->next)
        index_message(p, &c->msg);
    csp_chan_unlock(chan);
}

static int by_channel(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const holding *)a)->chan, y = (uintptr_t)((const holding *)b)->chan;
    return x < y ? -1 : x > y;
}

static bool take_index(picture *p)
{
    for (uint32_t i = 0; i < p->nmembers; i++)
        index_member(p, i);
    if (p->chans == NULL && (p->chans = csp_registry_chans(&p->nchans)) == NULL)
        return false;
    for (uint32_t i = 0; i < p->nchans; i++)
        index_channel(p, p->chans[i]);
    if (p->nindex > 0)
        qsort(p->index, p->nindex, sizeof *p->index, by_channel);
    return !p->failed;
}

/* At most so many handles for `side` of the channel are the members' or out of reach. */
static uint32_t count_by_index(picture *p, csp_chan *chan, uint8_t side)
{
    uint32_t low = 0, high = p->nindex, count = 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if ((uintptr_t)p->index[middle].chan < (uintptr_t)chan)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < p->nindex && p->index[low].chan == chan; low++) {
        const holding *h = &p->index[low];
        count += (h->sides & side) != 0 && (h->member == IN_FLIGHT || p->members[h->member].in);
    }
    return count;
}

static bool can_be_helped(picture *p, wait_case *w)
{
    for (uint32_t i = 0; w->chan->exit_of != 0 && i < p->nmembers; i++)
        if (p->members[i].in && tells_the_end(&p->members[i], w->chan))
            return false;
    uint8_t side = w->dir == CSP_RECV ? CSP_SEND : CSP_RECV;
    side_count other = count_side(w->chan, side);
    if (other.closed || other.total == 0 || w->chan->timer != CSP_NO_TIMER)
        return true; /* about to wake by itself */
    if (p->by_index)
        return count_by_index(p, w->chan, side) + other.inert < other.total;
    uint32_t held = count_handles(p, w->chan, side) + other.inert;
    return held < other.total && held + count_in_flight(p, w->chan, side) < other.total;
}

/* Strike out whoever can be helped, until nobody more is.  True if a set remains. */
static bool shrink(picture *p)
{
    bool changed = true, any = false;
    while (changed) {
        changed = any = false;
        for (uint32_t i = 0; i < p->ncases; i++) {
            member *m = &p->members[p->cases[i].member];
            if (m->in && can_be_helped(p, &p->cases[i])) {
                m->in = false;
                changed = true;
            }
            any = any || m->in;
        }
    }
    return any;
}

/* Does the member hold the other side of the case? */
static bool holds(picture *p, uint32_t m, wait_case *w)
{
    picture one = {.members = &p->members[m], .nmembers = 1};
    return tells_the_end(&p->members[m], w->chan) ||
           count_handles(&one, w->chan, w->dir == CSP_RECV ? CSP_SEND : CSP_RECV) > 0;
}

/* Is the member in a circle with others, that is, does one wait for the other? */
static bool has_company(picture *p, uint32_t m)
{
    for (uint32_t i = 0; i < p->ncases; i++) {
        wait_case *w = &p->cases[i];
        bool mine = w->member == m, held_by_a_member = false;
        if (!p->members[w->member].in)
            continue;
        for (uint32_t other = 0; other < p->nmembers; other++) {
            bool held = p->members[other].in && holds(p, other, w);
            held_by_a_member = held_by_a_member || held;
            if (held && (mine ? other != m : other == m))
                return true;
        }
        if (mine && !held_by_a_member)
            return true; /* in a message that only others could receive */
    }
    return false;
}

/* Leave out the actors that only wait for themselves.  Nothing hangs on them, so one pass is enough. */
static bool leave_out_the_lonely(picture *p)
{
    bool any = false;
    for (uint32_t m = 0; m < p->nmembers; m++) {
        if (p->members[m].in && !p->members[m].interp->is_main && !has_company(p, m))
            p->members[m].in = false;
        any = any || p->members[m].in;
    }
    return any;
}

/* --- the report --- */

static void name_of(const csp_interp *interp, char *name, size_t size)
{
    if (interp->label[0] != '\0')
        snprintf(name, size, "actor '%s'", interp->label);
    else if (interp->is_main)
        snprintf(name, size, "main");
    else
        snprintf(name, size, "interpreter %lld", (long long)interp->id);
}

/* The members that hold the other side of the case. */
static void list_holders(picture *p, wait_case *w, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < p->nmembers && used + 100 < size; i++) {
        char name[96];
        if (!p->members[i].in || !holds(p, i, w))
            continue;
        name_of(p->members[i].interp, name, sizeof name);
        used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", name);
    }
    if (used == 0)
        snprintf(text, size, "a message that only they could receive");
}

static void describe(picture *p, wait_case *w, char text[CSP_REPORT_TEXT])
{
    char name[96], holders[160];
    name_of(p->members[w->member].interp, name, sizeof name);
    list_holders(p, w, holders, sizeof holders);
    if (w->chan->sync) {
        snprintf(text, CSP_REPORT_TEXT, "%s waits for primitive %llu of csp.sync, which is shared with %s", name, (unsigned long long)w->chan->id,
                 holders);
        return;
    }
    snprintf(text, CSP_REPORT_TEXT, "%s waits to %s channel %llu%s%.60s%s, whose other side is held by %s", name,
             w->dir == CSP_RECV ? "receive from" : "send on", (unsigned long long)w->chan->id,
             w->chan->name != NULL ? " '" : "", w->chan->name != NULL ? w->chan->name : "",
             w->chan->name != NULL ? "'" : "", holders);
}

void csp_report_decref(csp_report *report)
{
    /* Release our use of it to, and acquire that of, whoever drops the last one. */
    if (atomic_fetch_sub_explicit(&report->refs, 1, memory_order_acq_rel) == 1)
        csp_raw_free(report);
}

void csp_report_say(csp_report *report, uint32_t line, const char *where)
{
    csp_lock_acquire(&report->lock);
    snprintf(report->lines[line].where, CSP_REPORT_TEXT, "%s", where);
    csp_lock_release(&report->lock);
    if (atomic_fetch_sub_explicit(&report->missing, 1, memory_order_release) == 1)
        csp_futex_wake_all(&report->missing);
}

void csp_report_await(csp_report *report, csp_time deadline)
{
    for (;;) {
        uint32_t missing = atomic_load_explicit(&report->missing, memory_order_acquire);
        if (missing == 0 || csp_now() >= deadline)
            return;
        csp_futex_wait(&report->missing, missing, deadline);
    }
}

/* --- breaking off --- */

/* The waiter of the case, claimed, if it is still in that same wait. */
static csp_waiter *claim_waiter(picture *p, wait_case *w)
{
    csp_interp *interp = p->members[w->member].interp;
    csp_waiter *found = NULL;
    csp_lock_acquire(&interp->lock);
    for (csp_waiter *at = interp->parked; at != NULL && found == NULL; at = at->next_parked)
        if (at == w->waiter && at->serial == w->serial && csp_waiter_claim(at))
            found = at;
    csp_lock_release(&interp->lock);
    return found;
}

static void break_off(picture *p)
{
    csp_report *report = csp_raw_calloc(1, sizeof *report + p->ncases * sizeof *report->lines);
    csp_waiter **claimed = csp_raw_alloc((p->ncases + 1) * sizeof *claimed);
    uint32_t n = 0;
    for (uint32_t i = 0; report != NULL && claimed != NULL && i < p->ncases; i++) {
        if (!p->members[p->cases[i].member].in)
            continue;
        describe(p, &p->cases[i], report->lines[report->nlines].what);
        csp_waiter *waiter = claim_waiter(p, &p->cases[i]);
        if (waiter != NULL) { /* else a further case of a select that is claimed already */
            waiter->status = CSP_DEADLOCK;
            waiter->fired = NULL;
            waiter->report = report;
            waiter->report_line = report->nlines;
            claimed[n++] = waiter;
        }
        report->nlines++;
    }
    if (n == 0) {
        csp_raw_free(report);
    }
    else {
        csp_lock_init(&report->lock, CSP_RANK_POOL, 0);
        atomic_init(&report->refs, n);
        atomic_init(&report->missing, n);
        for (uint32_t i = 0; i < n; i++)
            csp_waiter_finish(claimed[i]);
    }
    csp_raw_free(claimed);
}

/* A signal may be on its way to the main thread: not before it has waited for a while. */
static bool too_soon(picture *p)
{
    csp_time now = csp_now();
    for (uint32_t i = 0; i < p->ncases; i++) {
        wait_case *w = &p->cases[i];
        if (p->members[w->member].in && w->of_main_thread && now - w->since < CSP_LOOK_MAIN)
            return true;
    }
    return false;
}

/* Is there a set, by the index, and then by an exact count among those that it left? */
static bool find(picture *p)
{
    if (!take_picture(p) || p->ncases == 0 || !take_index(p)) /* mostly somebody still runs, and there is nothing to index */
        return false;
    p->by_index = true;
    bool possible = shrink(p);
    p->by_index = false;
    return possible && shrink(p) && leave_out_the_lonely(p) && !p->failed;
}

/* The members may all wait, look, and begin to wait again: let that take a twentieth of one core at most. */
static void set_patience(uint32_t nmembers, csp_time taken)
{
    csp_time patience = 20 * taken * nmembers;
    patience = patience < CSP_LOOK_SOON ? CSP_LOOK_SOON : patience > CSP_LOOK_LATE ? CSP_LOOK_LATE : patience;
    atomic_store_explicit(&csp_look_patience, patience, memory_order_relaxed); /* advice */
}

#define TRIES 4

void csp_deadlock_look(void)
{
    csp_time begin = csp_now();
    uint32_t nmembers = 0;
    bool still = false;
    for (int i = 0; i < TRIES && !still; i++) {
        picture p;
        /* Acquire and, below, acquire: if nobody began or ended a wait in between, the picture is of one moment. */
        uint64_t before = atomic_load_explicit(&csp_wait_moves, memory_order_acquire);
        bool found = find(&p);
        still = atomic_load_explicit(&csp_wait_moves, memory_order_acquire) == before;
        if (found && still && !too_soon(&p))
            break_off(&p);
        nmembers = p.nmembers;
        picture_free(&p);
    }
    set_patience(nmembers, csp_now() - begin);
}
