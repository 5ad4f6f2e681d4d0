/* The search for a deadlocked set, among many that wait. */
#include "deadlock.h"
#include "harness.h"

enum { MANY = 300 };

typedef struct {
    csp_interp *interp;
    pair link; /* this one receives, the one before sends */
    csp_waiter waiter;
    csp_case c;
} party;

/* Parties that wait for ever, each for the one before.  The first waits for the last, or for somebody who is not waiting. */
static void make_parties(party *parties, int n, csp_interp *before_the_first)
{
    for (int i = 0; i < n; i++)
        CHECK((parties[i].interp = csp_interp_new(1000 + i, false)) != NULL);
    for (int i = 0; i < n; i++) {
        party *p = &parties[i];
        csp_interp *before = i > 0 ? parties[i - 1].interp : before_the_first != NULL ? before_the_first : parties[n - 1].interp;
        csp_effects fx;
        csp_effects_init(&fx);
        p->link = pair_with(0, CSP_BLOCK, before, p->interp);
        p->c = case_recv(p->link.in);
        csp_waiter_init(&p->waiter, p->interp, &p->c, 1);
        p->waiter.forever = true;
        p->waiter.threads = 1;
        p->waiter.since = csp_now();
        CHECK_EQ(csp_chan_start(&p->c, &fx), CSP_PENDING);
        CHECK(csp_interp_enter_wait(p->interp, &p->waiter));
    }
}

static void end_parties(party *parties, int n)
{
    for (int i = 0; i < n; i++) {
        if (csp_waiter_cancel(&parties[i].waiter))
            parties[i].waiter.report = NULL;
        else
            csp_report_decref(parties[i].waiter.report);
        csp_chan_withdraw(&parties[i].c);
        csp_interp_leave_wait(parties[i].interp, &parties[i].waiter);
        pair_free(parties[i].link);
    }
    for (int i = 0; i < n; i++) {
        csp_interp_died(parties[i].interp, NULL, false);
        csp_interp_reap(parties[i].interp);
        csp_interp_decref(parties[i].interp);
    }
}

TEST(deadlock_of_a_ring_is_found)
{
    enum { N = 5 };
    static party parties[N];
    make_parties(parties, N, NULL);
    csp_deadlock_look();
    for (int i = 0; i < N; i++) {
        CHECK(csp_waiter_done(&parties[i].waiter));
        CHECK_EQ(parties[i].waiter.status, CSP_DEADLOCK);
    }
    end_parties(parties, N);
}

TEST(deadlock_is_not_seen_where_the_first_of_a_chain_can_be_helped)
{
    enum { N = 5 };
    static party parties[N];
    csp_interp *busy = csp_interp_new(999, false);
    make_parties(parties, N, busy);
    csp_deadlock_look();
    for (int i = 0; i < N; i++)
        CHECK(!csp_waiter_done(&parties[i].waiter));
    end_parties(parties, N);
    csp_interp_died(busy, NULL, false);
    csp_interp_reap(busy);
    csp_interp_decref(busy);
}

/* Each look was a walk through all handles for each case, again for each that was struck out: with a few hundred actors that
 * waited, looks took all the cores, and the waits that they drew out led to further looks. */
TEST(deadlock_look_at_hundreds_that_wait_is_cheap)
{
    static party parties[MANY];
    csp_interp *busy = csp_interp_new(999, false);
    make_parties(parties, MANY, busy);
    csp_time begin = csp_now();
    csp_deadlock_look();
    CHECK(csp_now() - begin < 500 * MS); /* it takes a few; it took many seconds */
    for (int i = 0; i < MANY; i++)
        CHECK(!csp_waiter_done(&parties[i].waiter));
    CHECK(atomic_load(&csp_look_patience) >= CSP_LOOK_SOON && atomic_load(&csp_look_patience) <= CSP_LOOK_LATE);
    end_parties(parties, MANY);
    csp_interp_died(busy, NULL, false);
    csp_interp_reap(busy);
    csp_interp_decref(busy);
    atomic_store(&csp_look_patience, CSP_LOOK_SOON);
}
