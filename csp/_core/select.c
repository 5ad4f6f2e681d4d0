/* Select: a first look without locks, the locked poll, enqueue, dequeue. */
#include "select.h"

#include "clock.h"
#include "interp.h"

#include <stdlib.h>

/* --- order and choice --- */

static int by_id(const void *a, const void *b)
{
    uint64_t x = (*(csp_case *const *)a)->chan->id, y = (*(csp_case *const *)b)->chan->id;
    return x < y ? -1 : x > y;
}

void csp_select_prepare(csp_select *sel)
{
    uint32_t n = 0;
    sel->has_timers = sel->has_buffers = false;
    sel->has_closed = true; /* not known yet */
    sel->closes = 0;
    for (uint32_t i = 0; i < sel->ncases; i++) {
        csp_case *c = &sel->cases[i];
        sel->looks[i] = (csp_look){c->chan, c->dir};
        if (c->chan == NULL)
            continue;
        if (c->chan->timer != CSP_NO_TIMER)
            sel->has_timers = true;
        if (c->chan->capacity > 1)
            sel->has_buffers = true;
        sel->order[n++] = c;
    }
    sel->norder = n;
    /* Channels mostly come in the order of their making: then insertion is linear. */
    if (n > 32) {
        qsort(sel->order, n, sizeof *sel->order, by_id);
        return;
    }
    for (uint32_t i = 1; i < n; i++) {
        csp_case *c = sel->order[i];
        uint32_t j = i;
        for (; j > 0 && sel->order[j - 1]->chan->id > c->chan->id; j--)
            sel->order[j] = sel->order[j - 1];
        sel->order[j] = c;
    }
}

/* xorshift32, then a multiply-shift: uniform below n up to 2^-32. */
static uint32_t random_below(csp_select *sel, uint32_t n)
{
    uint32_t x = sel->random ? sel->random : 0x9E3779B9u;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    sel->random = x;
    return (uint32_t)(((uint64_t)x * n) >> 32);
}

/* Would the case complete at once, as far as can be told without the lock? */
static bool looks_ready(csp_case *c, csp_time *p_now)
{
    csp_chan *chan = c->chan;
    /* Relaxed: a wrong answer is corrected by trying, or by the locked poll. */
    if (atomic_load_explicit(&chan->hint, memory_order_relaxed) & c->dir)
        return true;
    if (c->end != NULL && atomic_load_explicit(&c->end->closed, memory_order_relaxed))
        return true;
    if (chan->timer == CSP_NO_TIMER || c->dir != CSP_RECV)
        return false;
    if (*p_now == 0)
        *p_now = csp_clock();
    return csp_chan_due(chan) <= *p_now;
}

/* Closed handles are rare, and to look at each costs a cache line: look again only when the interpreter closed some. */
static bool has_closed(csp_select *sel)
{
    struct csp_interp *interp = sel->norder > 0 && sel->order[0]->end != NULL ? sel->order[0]->end->interp : NULL;
    if (interp == NULL)
        return true; /* not known: look at each */
    interp = csp_interp_home(interp); /* it counts for all handles that one select can have */
    /* Acquire: pairs with the release in count_close, so that the flags it counts are seen. */
    uint32_t closes = 1 + atomic_load_explicit(&interp->closes, memory_order_acquire);
    if (closes != sel->closes) {
        sel->closes = closes;
        sel->has_closed = false;
        for (uint32_t i = 0; i < sel->norder; i++)
            if (sel->order[i]->end != NULL && atomic_load_explicit(&sel->order[i]->end->closed, memory_order_relaxed))
                sel->has_closed = true; /* relaxed: see above; it is looked at again under the lock */
    }
    return sel->has_closed;
}

/* One of the cases that look ready: the first, or one at random with equal chances; NULL if none does. */
static csp_case *choose(csp_select *sel)
{
    csp_case *chosen = NULL;
    csp_time now = 0;
    uint32_t ready = 0;
    bool hints_only = !sel->has_timers && !has_closed(sel);
    for (uint32_t i = 0; i < sel->ncases; i++) {
        csp_look look = sel->looks[i];
        csp_case *c = &sel->cases[i];
        if (look.chan == NULL)
            continue;
        /* Relaxed: as in looks_ready. */
        if (!(atomic_load_explicit(&look.chan->hint, memory_order_relaxed) & look.dir) &&
            (hints_only || !looks_ready(c, &now)))
            continue;
        if (sel->priority)
            return c;
        /* Keep the k-th ready case with probability 1/k: uniform in one pass. */
        if (++ready == 1 || random_below(sel, ready) == 0)
            chosen = c;
    }
    return chosen;
}

/* --- the poll --- */

#define QUICK_TRIES 4

static bool earlier_looks_ready(csp_select *sel, csp_case *c)
{
    csp_time now = 0;
    for (csp_case *earlier = sel->cases; earlier < c; earlier++)
        if (earlier->chan != NULL && looks_ready(earlier, &now))
            return true;
    return false;
}

/* What looks ready is tried under its own lock; that it fires is then decided at that instant.  With priority the earlier
 * cases are looked at once more under that lock: whatever was sent before the value that we are about to take shows by
 * then, so a select over (stop, work) never takes work that was sent after a stop. */
static csp_status try_quick(csp_select *sel, csp_case **p_fired, csp_effects *fx)
{
    for (int i = 0; i < QUICK_TRIES; i++) {
        csp_case *c = choose(sel);
        if (c == NULL)
            return CSP_PENDING;
        csp_status status = CSP_PENDING;
        csp_chan_lock(c->chan);
        if (!sel->priority || !earlier_looks_ready(sel, c))
            status = csp_chan_try_locked(c, fx);
        csp_chan_unlock(c->chan);
        if (status != CSP_PENDING) {
            *p_fired = c;
            return status;
        }
    }
    return CSP_PENDING;
}

/* As csp_chan_start does: look again a few times before queueing up, which is dear with many cases.  The first channel
 * keeps the record of whether that pays. */
static csp_status look_again(csp_select *sel, csp_case **p_fired, csp_effects *fx)
{
    csp_status status = CSP_PENDING;
    csp_spin *look = sel->has_buffers ? &sel->order[0]->chan->look : NULL;
    if (!csp_spin_begin(look))
        return CSP_PENDING;
    for (int pauses = CSP_LOOK_FIRST; pauses <= CSP_LOOK_LAST && status == CSP_PENDING; pauses *= 2) {
        for (int i = 0; i < pauses; i++)
            csp_pause();
        status = try_quick(sel, p_fired, fx);
    }
    csp_spin_end(look, status != CSP_PENDING);
    return status;
}

static void lock_all(csp_select *sel)
{
    csp_chan *last = NULL;
    for (uint32_t i = 0; i < sel->norder; i++) {
        csp_chan *chan = sel->order[i]->chan;
        if (chan != last) /* a channel may stand in several cases */
            csp_chan_lock(chan);
        last = chan;
    }
}

static void unlock_all(csp_select *sel)
{
    csp_chan *last = NULL;
    for (uint32_t i = sel->norder; i-- > 0;) {
        csp_chan *chan = sel->order[i]->chan;
        if (chan != last)
            csp_chan_unlock(chan);
        last = chan;
    }
}

/* All locked: try the cases, each once, until one does not want to wait.  The first to be tried is one of those that look
 * ready, with equal chances; the look only errs where a queue holds nothing but waiters that were claimed elsewhere, and
 * then the rest is tried in a circle from there. */
static csp_status try_locked(csp_select *sel, csp_case **p_fired, csp_effects *fx)
{
    uint32_t n = sel->ncases;
    csp_case *first = sel->priority ? NULL : choose(sel);
    uint32_t at = first != NULL ? (uint32_t)(first - sel->cases) : 0;
    for (uint32_t i = 0; i < n; i++, at = at + 1 == n ? 0 : at + 1) {
        csp_case *c = &sel->cases[at];
        if (c->chan == NULL)
            continue;
        csp_status status = csp_chan_try_locked(c, fx);
        if (status != CSP_PENDING) {
            *p_fired = c;
            return status;
        }
    }
    return CSP_PENDING;
}

csp_status csp_select_try(csp_select *sel, csp_case **p_fired, csp_effects *fx)
{
    csp_status status = try_quick(sel, p_fired, fx);
    if (status != CSP_PENDING || sel->norder == 0)
        return status;
    lock_all(sel);
    status = try_locked(sel, p_fired, fx);
    unlock_all(sel);
    return status;
}

csp_status csp_select_start(csp_select *sel, csp_waiter *waiter, csp_case **p_fired, csp_effects *fx)
{
    csp_status status = try_quick(sel, p_fired, fx);
    if (status == CSP_PENDING)
        status = look_again(sel, p_fired, fx);
    if (status != CSP_PENDING)
        return status;
    /* Pass 1: lock all, in ascending id.  Pass 2: poll. */
    lock_all(sel);
    status = sel->norder > 0 ? try_locked(sel, p_fired, fx) : CSP_PENDING;
    if (status == CSP_PENDING) {
        /* Pass 3: enqueue.  Only now can anybody claim the waiter, so it never pairs with itself. */
        for (uint32_t i = 0; i < sel->ncases; i++) {
            csp_case *c = &sel->cases[i];
            if (c->chan == NULL)
                continue;
            c->waiter = waiter;
            csp_waitq_push(c->dir == CSP_SEND ? &c->chan->senders_waiting : &c->chan->receivers_waiting, c);
        }
    }
    unlock_all(sel);
    return status;
}

void csp_select_withdraw(csp_select *sel)
{
    /* One lock at a time is enough: whoever finds a case still queued cannot claim its waiter. */
    for (uint32_t i = 0; i < sel->norder; i++)
        csp_chan_withdraw(sel->order[i]);
}

csp_time csp_select_due(csp_select *sel)
{
    csp_time due = CSP_NEVER;
    for (uint32_t i = 0; sel->has_timers && i < sel->norder; i++) {
        csp_time at = csp_chan_due(sel->order[i]->chan);
        if (at < due)
            due = at;
    }
    return due;
}
