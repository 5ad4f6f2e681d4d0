/* Everything at once, under random timeouts, closes, stops and selects: values are conserved.
 *
 * Each test runs for a fixed time (STRESS_MS, 400 by default) and prints nothing unless it fails; then it prints the seed.
 * Which thread does what depends on the seed, how they interleave does not: a failure may take several runs to come back. */
#include "harness.h"

#include <sched.h>

#define CHANNELS 5
#define THREADS 6

static csp_time budget(void)
{
    const char *given = getenv("STRESS_MS");
    return (given != NULL ? strtoll(given, NULL, 10) : 400) * MS;
}

typedef struct {
    pair p[CHANNELS];
    csp_time until;
    csp_interp *interp[THREADS];
    _Atomic int64_t sent[CHANNELS], received[CHANNELS]; /* sums of values */
    _Atomic int64_t timeouts, waits, selects, closes;   /* to prove that it was not all plain sailing */
} world;

typedef struct {
    world *w;
    int me;
    uint64_t random;
    int64_t next; /* its values are its own: me, me + THREADS, ... */
} actor;

static csp_time random_timeout(actor *a)
{
    switch (random_to(&a->random, 4)) {
    case 0: return 0;
    case 1: return random_to(&a->random, 3000);
    case 2: return random_to(&a->random, 100000);
    default: return random_to(&a->random, 2000000);
    }
}

static void account(actor *a, int channel, csp_dir dir, csp_status status, csp_msg *msg, int64_t value)
{
    world *w = a->w;
    if (status == CSP_OK) {
        if (dir == CSP_SEND) {
            CHECK_EQ(msg->kind, CSP_MSG_EMPTY);
            atomic_fetch_add(&w->sent[channel], value);
        }
        else {
            atomic_fetch_add(&w->received[channel], msg_int(msg));
        }
    }
    else {
        CHECK(dir == CSP_SEND ? msg->kind != CSP_MSG_EMPTY : msg->kind == CSP_MSG_EMPTY);
        if (dir == CSP_SEND)
            CHECK_EQ(msg_int(msg), value); /* unsent: still ours */
        if (status == CSP_TIMEOUT)
            atomic_fetch_add(&w->timeouts, 1);
    }
    csp_msg_clear(msg);
}

/* One operation, through a handle of its own that is closed at once afterwards, now and then. */
static void one_operation(actor *a)
{
    world *w = a->w;
    int channel = (int)random_to(&a->random, CHANNELS);
    csp_dir dir = random_to(&a->random, 2) ? CSP_SEND : CSP_RECV;
    bool own = random_to(&a->random, 8) == 0;
    csp_end *end = own ? csp_end_new(w->p[channel].chan, (uint8_t)dir, w->interp[a->me])
                       : dir == CSP_SEND ? w->p[channel].out : w->p[channel].in;
    int64_t value = a->next += THREADS;
    csp_msg msg = {.kind = CSP_MSG_EMPTY};
    csp_status status;
    if (dir == CSP_SEND) {
        msg = blob_msg(value);
        status = send_msg(end, &msg, random_timeout(a));
    }
    else {
        status = recv_msg(end, &msg, random_timeout(a));
    }
    account(a, channel, dir, status, &msg, value);
    if (own) {
        csp_end_free(end);
        atomic_fetch_add(&w->closes, 1);
    }
}

static void one_select(actor *a)
{
    world *w = a->w;
    csp_case cases[4];
    int channel[4];
    int64_t value[4];
    uint32_t n = 1 + random_to(&a->random, 4);
    for (uint32_t i = 0; i < n; i++) {
        channel[i] = (int)random_to(&a->random, CHANNELS); /* the same one twice, too */
        value[i] = a->next += THREADS;
        cases[i] = case_recv(random_to(&a->random, 10) == 0 ? NULL : w->p[channel[i]].in);
        if (cases[i].chan != NULL && random_to(&a->random, 2)) {
            cases[i] = case_send(w->p[channel[i]].out, 0);
            cases[i].msg = blob_msg(value[i]);
        }
    }
    csp_status status;
    int fired = select_wait(cases, n, random_timeout(a), random_to(&a->random, 2), &status);
    CHECK(fired >= 0 ? status == CSP_OK : status == CSP_TIMEOUT);
    for (uint32_t i = 0; i < n; i++)
        if (cases[i].chan != NULL)
            account(a, channel[i], (csp_dir)cases[i].dir, (int)i == fired ? CSP_OK : CSP_WOULD_BLOCK, &cases[i].msg, value[i]);
    atomic_fetch_add(&w->selects, 1);
}

/* A lease that is given back half of the time. */
static void one_lease(actor *a)
{
    world *w = a->w;
    int channel = (int)random_to(&a->random, CHANNELS);
    csp_msg msg;
    if (recv_msg(w->p[channel].in, &msg, random_timeout(a)) != CSP_OK)
        return;
    if (random_to(&a->random, 2)) {
        csp_effects fx;
        csp_effects_init(&fx);
        csp_chan_give_back(w->p[channel].chan, &msg, &fx);
        csp_effects_run(&fx);
        return;
    }
    account(a, channel, CSP_RECV, CSP_OK, &msg, 0);
}

static void live(void *arg)
{
    actor *a = arg;
    while (csp_now() < a->w->until) {
        uint32_t what = random_to(&a->random, 10);
        if (what < 5)
            one_operation(a);
        else if (what < 9)
            one_select(a);
        else
            one_lease(a);
        atomic_fetch_add(&a->w->waits, 1);
    }
}

/* Take out what is left, and compare. */
static void balance(world *w, int channel)
{
    csp_msg msg;
    while (recv_msg(w->p[channel].in, &msg, 0) == CSP_OK) {
        atomic_fetch_add(&w->received[channel], msg_int(&msg));
        csp_msg_clear(&msg);
    }
    csp_chan_info i = info(w->p[channel].chan);
    CHECK_EQ(i.counts.sent, i.counts.received + i.counts.dropped + i.counts.discarded);
    CHECK_EQ(i.waiting_senders + i.waiting_receivers, 0);
    CHECK(i.senders == 1 && i.receivers == 1);
    if (w->p[channel].chan->overflow == CSP_BLOCK) {
        CHECK_EQ(i.counts.dropped + i.counts.discarded, 0);
        CHECK_EQ(atomic_load(&w->sent[channel]), atomic_load(&w->received[channel]));
    }
}

TEST(values_are_conserved_under_everything_at_once)
{
    static world w;
    actor actors[THREADS];
    task *threads[THREADS];
    memset(&w, 0, sizeof w);
    w.p[0] = pair_new(0);
    w.p[1] = pair_new(0);
    w.p[2] = pair_new(1);
    w.p[3] = pair_new(100);
    w.p[4] = pair_with(2, CSP_DROP_OLDEST, NULL, NULL);
    w.until = csp_now() + 2 * budget();
    for (int i = 0; i < THREADS; i++) {
        w.interp[i] = csp_interp_new(100 + i, false);
        actors[i] = (actor){&w, i, test_seed() + (uint64_t)i, i};
        threads[i] = spawn(live, &actors[i]);
    }
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
    for (int i = 0; i < CHANNELS; i++) {
        balance(&w, i);
        pair_free(w.p[i]);
    }
    for (int i = 0; i < THREADS; i++)
        csp_interp_decref(w.interp[i]);
    CHECK(atomic_load(&w.timeouts) > 0 && atomic_load(&w.selects) > 0 && atomic_load(&w.closes) > 0);
}

/* --- interpreters that die in the middle of it --- */

typedef struct {
    pair p, in;
    csp_interp *interp;
    int64_t sum;
    bool lease;
} mortal;

static void work_until_dead(void *arg)
{
    mortal *m = arg;
    for (;;) {
        csp_msg msg;
        csp_status status = recv_msg(m->in.in, &msg, FOREVER);
        if (status != CSP_OK)
            return;
        csp_lease *lease = csp_raw_calloc(1, sizeof *lease);
        lease->chan = m->in.chan;
        csp_chan_incref(lease->chan);
        lease->interp = m->interp;
        int64_t value = msg_int(&msg);
        csp_msg_move(&lease->msg, &msg);
        if (!csp_interp_add_lease(m->interp, lease)) {
            csp_lease_return(lease, false); /* dead before it could be entered: give it back by hand */
        }
        else {
            if (value % 3 == 0)
                sched_yield();
            if (csp_interp_remove_lease(m->interp, lease)) {
                m->sum += value;
                csp_msg_clear(&lease->msg);
            }
        }
        csp_chan_decref(lease->chan);
        csp_raw_free(lease);
    }
}

TEST(death_at_any_moment_returns_what_was_leased)
{
    csp_time until = csp_now() + budget();
    uint64_t random = test_seed();
    int rounds = 0;
    for (; csp_now() < until; rounds++) {
        csp_interp *interp = csp_interp_new(500, false);
        pair p = pair_with(8, CSP_BLOCK, NULL, interp);
        csp_end *other = csp_end_new(p.chan, CSP_RECV, NULL);
        mortal m = {.in = p, .interp = interp};
        task *t = spawn(work_until_dead, &m);
        int64_t sum = 0, left = 0;
        uint32_t n = random_to(&random, 30);
        for (int64_t i = 1; i <= 30; i++) {
            if ((uint32_t)i == n)
                csp_interp_died(interp, NULL, false);
            csp_msg msg = blob_msg(i);
            if (send_msg(p.out, &msg, (uint32_t)i < n ? FOREVER : 0) == CSP_OK)
                sum += i;
            csp_msg_clear(&msg);
        }
        csp_interp_died(interp, NULL, false);
        join(t);
        int64_t v;
        while (recv_int(other, &v, 0) == CSP_OK)
            left += v;
        CHECK_EQ(m.sum + left, sum);
        csp_end_free(other);
        pair_free(p);
        csp_interp_reap(interp);
        csp_interp_decref(interp);
    }
    CHECK(rounds > 3);
}

/* --- order --- */

typedef struct {
    pair p;
    int me;
    int64_t n;
    csp_time until;
} source;

static void send_in_order(void *arg)
{
    source *s = arg;
    uint64_t random = test_seed() + (uint64_t)s->me;
    while (csp_now() < s->until) {
        if (send_int(s->p.out, s->n * THREADS + s->me, random_to(&random, 200000)) == CSP_OK)
            s->n++;
    }
}

TEST(each_senders_values_arrive_in_its_order)
{
    for (size_t capacity = 0; capacity <= 3; capacity += 3) {
        pair p = pair_new(capacity);
        source s[THREADS];
        task *threads[THREADS];
        int64_t next[THREADS] = {0}, v;
        csp_time until = csp_now() + budget() / 2;
        for (int i = 0; i < THREADS; i++) {
            s[i] = (source){p, i, 0, until};
            threads[i] = spawn(send_in_order, &s[i]);
        }
        while (csp_now() < until + 2 * MS) {
            if (recv_int(p.in, &v, 100000) != CSP_OK)
                continue;
            CHECK_EQ(v / THREADS, next[v % THREADS]);
            next[v % THREADS]++;
        }
        for (int i = 0; i < THREADS; i++)
            join(threads[i]);
        while (recv_int(p.in, &v, 0) == CSP_OK)
            next[v % THREADS]++;
        for (int i = 0; i < THREADS; i++)
            CHECK_EQ(next[i], s[i].n);
        pair_free(p);
    }
}

/* --- fairness --- */

TEST(every_waiting_sender_gets_its_turn)
{
    pair p = pair_new(0);
    source s[THREADS];
    task *threads[THREADS];
    int64_t v, got = 0;
    csp_time until = csp_now() + budget() / 2;
    for (int i = 0; i < THREADS; i++) {
        s[i] = (source){p, i, 0, until};
        threads[i] = spawn(send_in_order, &s[i]);
    }
    while (csp_now() < until + 2 * MS)
        got += recv_int(p.in, &v, 100000) == CSP_OK;
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
    for (int i = 0; i < THREADS; i++)
        CHECK(s[i].n * THREADS * 20 > got); /* at least a twentieth of an equal share */
    pair_free(p);
}
