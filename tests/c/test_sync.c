/* Primitives of csp.sync: permits, who holds them, and what the end of a holder does. */
#include "harness.h"

#include "sync.h"

static csp_status take_through(csp_end *end)
{
    csp_case c = {.chan = end->chan, .end = end, .dir = CSP_RECV};
    csp_effects fx;
    csp_effects_init(&fx);
    csp_status status = csp_chan_try(&c, &fx);
    csp_effects_run(&fx);
    return status;
}

static csp_end *release_through(csp_end *end)
{
    csp_effects fx;
    csp_effects_init(&fx);
    csp_chan_lock(end->chan);
    csp_end *orphan = csp_sync_release(end->chan, end, &fx);
    csp_chan_unlock(end->chan);
    csp_effects_run(&fx);
    return orphan;
}

TEST(sync_a_lock_is_held_once)
{
    csp_chan *chan = csp_sync_chan_new(CSP_LOCK, csp_sync_new(1));
    csp_end *a = csp_end_new(chan, CSP_SEND | CSP_RECV, NULL), *b = csp_end_new(chan, CSP_SEND | CSP_RECV, NULL);
    CHECK_EQ(take_through(a), CSP_OK);
    CHECK_EQ(take_through(b), CSP_PENDING);
    CHECK_EQ(a->held, 1);
    release_through(b); /* any handle may release */
    CHECK_EQ(a->held, 0);
    CHECK_EQ(take_through(b), CSP_OK);
    CHECK_EQ(b->held, 1);
    csp_end_free(a);
    csp_end_free(b);
    csp_chan_decref(chan);
}

TEST(sync_the_end_of_the_holder_releases)
{
    csp_chan *chan = csp_sync_chan_new(CSP_LOCK, csp_sync_new(1));
    csp_interp *owner = csp_interp_new(7, false);
    csp_end *a = csp_end_new(chan, CSP_SEND | CSP_RECV, owner), *b = csp_end_new(chan, CSP_SEND | CSP_RECV, NULL);
    CHECK_EQ(take_through(a), CSP_OK);
    csp_interp_died(owner, NULL, false);
    CHECK_EQ(take_through(a), CSP_KILLED);
    CHECK_EQ(take_through(b), CSP_OK);
    CHECK(chan->primitive->owner_died);
    release_through(b);
    CHECK(!chan->primitive->owner_died);
    csp_end_free(a);
    csp_end_free(b);
    csp_interp_decref(owner);
    csp_chan_decref(chan);
}

TEST(sync_a_semaphore_gets_no_more_back_than_it_had)
{
    csp_chan *chan = csp_sync_chan_new(CSP_SEMAPHORE, csp_sync_new(2));
    csp_end *a = csp_end_new(chan, CSP_SEND | CSP_RECV, NULL), *b = csp_end_new(chan, CSP_SEND | CSP_RECV, NULL);
    CHECK_EQ(take_through(a), CSP_OK);
    CHECK_EQ(take_through(a), CSP_OK);
    CHECK_EQ(take_through(b), CSP_PENDING);
    csp_end_free(a);
    CHECK_EQ(chan->primitive->value, 2);
    CHECK_EQ(take_through(b), CSP_OK);
    csp_end_free(b);
    csp_chan_decref(chan);
}
