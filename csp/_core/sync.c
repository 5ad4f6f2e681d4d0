/* Permits and their holders.  See sync.h. */
#include "sync.h"

#include "interp.h"
#include "mem.h"
#include "region.h"

csp_sync *csp_sync_new(int64_t value)
{
    csp_sync *sync = csp_raw_calloc(1, sizeof *sync);
    if (sync != NULL)
        sync->value = sync->initial = value;
    return sync;
}

void csp_sync_free(csp_sync *sync)
{
    if (sync == NULL)
        return;
    if (sync->lock != NULL)
        csp_chan_decref(sync->lock);
    csp_region_free(sync->region);
    csp_raw_free(sync);
}

uintptr_t csp_sync_thread(void) { return (uintptr_t)&csp_thread_record; /* each thread has its own */ }

static bool has_permits(const csp_chan *chan) { return chan->sync <= CSP_BOUNDED || chan->sync == CSP_ONCE; }

/* A semaphore made with 0 is a signal: who acquires holds nothing. */
static bool has_holders(const csp_chan *chan) { return chan->primitive->initial > 0; }

void csp_sync_changed(csp_chan *chan)
{
    csp_sync *sync = chan->primitive;
    bool ready = has_permits(chan) || chan->sync == CSP_EVENT ? sync->value > 0 : chan->sync == CSP_GROUP && sync->value == 0;
    chan->buffer_allows = ready ? CSP_RECV : 0;
}

/* --- holders --- */

static void hold(csp_chan *chan, csp_end *end)
{
    if (end->held++ > 0)
        return;
    end->next_holder = chan->primitive->holders;
    chan->primitive->holders = end;
}

static void unlink_holder(csp_chan *chan, csp_end *end)
{
    csp_end **at = &chan->primitive->holders;
    while (*at != NULL && *at != end)
        at = &(*at)->next_holder;
    if (*at != NULL)
        *at = end->next_holder;
    end->held = 0;
}

/* Whose permit does a release through `end` give back?  Its own, or that of another handle of its owner, or anybody's. */
static csp_end *holder_for(csp_chan *chan, csp_end *end)
{
    if (end->held > 0)
        return end;
    for (csp_end *at = chan->primitive->holders; at != NULL; at = at->next_holder)
        if (at->interp == end->interp)
            return at;
    return chan->primitive->holders;
}

/* --- permits --- */

static void permit_to(csp_chan *chan, csp_end *end, csp_msg *msg)
{
    msg->kind = CSP_MSG_TRUE;
    msg->deliveries = 0;
    msg->as.object = end; /* for csp_sync_give_back */
    if (has_permits(chan) && has_holders(chan))
        hold(chan, end);
}

csp_status csp_sync_take(csp_chan *chan, csp_end *end, csp_msg *msg)
{
    CSP_ASSERT_HELD(&chan->lock);
    if (atomic_load_explicit(&end->closed, memory_order_relaxed)) /* under the lock: its owner has ended */
        return CSP_KILLED;
    if (!(chan->buffer_allows & CSP_RECV))
        return CSP_PENDING;
    if (has_permits(chan))
        chan->primitive->value--;
    permit_to(chan, end, msg);
    csp_sync_changed(chan);
    return CSP_OK;
}

/* One permit more: the oldest waiting one's, before that has woken. */
static void grant(csp_chan *chan, csp_effects *fx)
{
    csp_case *c = csp_chan_claim_first(&chan->receivers_waiting);
    if (c != NULL) {
        permit_to(chan, c->end, &c->msg);
        csp_chan_fire(c, CSP_OK, fx);
        return;
    }
    chan->primitive->value++;
    csp_sync_changed(chan);
}

csp_end *csp_sync_release(csp_chan *chan, csp_end *end, csp_effects *fx)
{
    CSP_ASSERT_HELD(&chan->lock);
    csp_sync *sync = chan->primitive;
    csp_end *holder = holder_for(chan, end), *orphan = NULL;
    if (holder != NULL && --holder->held == 0) {
        unlink_holder(chan, holder);
        orphan = holder->orphan ? holder : NULL;
    }
    sync->thread = 0;
    sync->depth = 0;
    sync->owner_died = false;
    grant(chan, fx);
    return orphan;
}

void csp_sync_give_back(csp_chan *chan, csp_msg *msg, csp_effects *fx)
{
    msg->kind = CSP_MSG_EMPTY;
    if (has_permits(chan))
        csp_sync_release(chan, msg->as.object, fx); /* who gives back still has the handle: it is no orphan */
    else if (chan->sync == CSP_CONDITION)
        csp_sync_wake(chan, 1, fx);
}

void csp_sync_drop_holds(csp_end *end, csp_effects *fx)
{
    csp_chan *chan = end->chan;
    csp_sync *sync = chan->primitive;
    CSP_ASSERT_HELD(&chan->lock);
    uint32_t held = end->held;
    unlink_holder(chan, end);
    sync->thread = 0;
    sync->depth = 0;
    sync->owner_died = true;
    for (; held > 0 && sync->value < sync->initial; held--)
        grant(chan, fx);
}

void csp_sync_wake(csp_chan *chan, uint32_t n, csp_effects *fx)
{
    CSP_ASSERT_HELD(&chan->lock);
    csp_case *c;
    for (; n > 0 && (c = csp_chan_claim_first(&chan->receivers_waiting)) != NULL; n--) {
        permit_to(chan, c->end, &c->msg);
        csp_chan_fire(c, CSP_OK, fx);
    }
}
