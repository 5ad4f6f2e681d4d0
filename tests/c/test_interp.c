/* The record of an interpreter: stop and kill, its death, fork. */
#include <pthread.h>

#include "harness.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

static int64_t next_id = 1000;

static csp_interp *interp_new(void)
{
    csp_interp *i = csp_interp_new(next_id++, false);
    CHECK(i != NULL);
    return i;
}

static void died(csp_interp *i, csp_msg *cause) { csp_interp_died(i, cause, false); }

/* Until a thread of it sleeps in a wait: it has spun before. */
static void wait_asleep(csp_interp *i)
{
    for (bool asleep = false; !asleep; sched_yield()) {
        csp_lock_acquire(&i->lock);
        asleep = i->parked != NULL;
        csp_lock_release(&i->lock);
    }
}

/* --- stop and kill --- */

TEST(stop_ends_a_wait_that_is_going_on)
{
    csp_interp *i = interp_new();
    pair p = pair_with(0, CSP_BLOCK, NULL, i);
    waiting *w = start_recv(p.in);
    wait_asleep(i);
    csp_interp_cancel(i, CSP_STOP_ASKED);
    CHECK_EQ(await(w, NULL), CSP_STOPPED);
    CHECK_EQ(info(p.chan).waiting_receivers, 0);
    pair_free(p);
    csp_interp_decref(i);
}

TEST(stop_ends_the_next_wait_if_there_was_none)
{
    csp_interp *i = interp_new();
    csp_interp_cancel(i, CSP_STOP_ASKED);
    CHECK_EQ(csp_interp_check(i), CSP_STOPPED);
    CHECK_EQ(csp_interp_check(i), CSP_OK);
    csp_interp_decref(i);
    i = interp_new();
    pair p = pair_with(0, CSP_BLOCK, NULL, i);
    csp_interp_cancel(i, CSP_STOP_ASKED);
    CHECK_EQ(recv_int(p.in, NULL, FOREVER), CSP_STOPPED);
    pair_free(p);
    csp_interp_decref(i);
}

TEST(stop_is_delivered_once)
{
    csp_interp *i = interp_new();
    pair p = pair_with(0, CSP_BLOCK, NULL, i);
    waiting *w = start_recv(p.in);
    wait_asleep(i);
    csp_interp_cancel(i, CSP_STOP_ASKED);
    CHECK_EQ(await(w, NULL), CSP_STOPPED);
    csp_interp_cancel(i, CSP_STOP_ASKED); /* asked again: nothing new */
    CHECK_EQ(recv_int(p.in, NULL, 2 * MS), CSP_TIMEOUT); /* in a finally block, waits work again */
    CHECK_EQ(csp_interp_check(i), CSP_OK);
    pair_free(p);
    csp_interp_decref(i);
}

static void *recv_ignoring_stops(void *arg)
{
    csp_ignores_stops = true; /* this thread's: it ends with the test */
    csp_end *in = arg;
    int64_t value = 0;
    CHECK_EQ(csp_interp_check(in->interp), CSP_OK);
    CHECK_EQ(recv_int(in, &value, FOREVER), CSP_OK);
    return NULL;
}

TEST(stop_passes_over_a_thread_that_ignores_it)
{
    csp_interp *i = interp_new();
    pair p = pair_with(0, CSP_BLOCK, NULL, i);
    pthread_t thread;
    pthread_create(&thread, NULL, recv_ignoring_stops, p.in);
    wait_asleep(i);
    csp_interp_cancel(i, CSP_STOP_ASKED);
    CHECK_EQ(csp_interp_check(i), CSP_STOPPED); /* still to be had, by a thread that does not */
    CHECK_EQ(send_int(p.out, 1, FOREVER), CSP_OK);
    pthread_join(thread, NULL);
    pair_free(p);
    csp_interp_decref(i);
}

TEST(stop_ends_all_waits_going_on_in_it_and_no_others)
{
    csp_interp *i = interp_new(), *other = interp_new();
    pair p = pair_with(0, CSP_BLOCK, other, i);
    pair q = pair_with(0, CSP_BLOCK, i, other);
    waiting *a = start_recv(p.in), *b = start_send(q.out, 1), *c = start_recv(q.in);
    CHECK_EQ(await(b, NULL), CSP_OK);
    CHECK_EQ(await(c, NULL), CSP_OK);
    b = start_send(q.out, 1);
    wait_parked(q.chan, 1, 0);
    wait_parked(p.chan, 0, 1);
    csp_end *third = csp_end_new(p.chan, CSP_RECV, other);
    c = start_recv(third);
    wait_parked(p.chan, 0, 2);
    csp_interp_cancel(i, CSP_KILL_ASKED);
    CHECK_EQ(await(a, NULL), CSP_KILLED);
    CHECK_EQ(await(b, NULL), CSP_KILLED);
    CHECK_EQ(info(p.chan).waiting_receivers, 1);
    CHECK_EQ(send_int(p.out, 4, FOREVER), CSP_OK);
    CHECK_EQ(await(c, NULL), CSP_OK);
    csp_end_free(third);
    pair_free(p);
    pair_free(q);
    csp_interp_decref(i);
    csp_interp_decref(other);
}

TEST(kill_ends_all_waits_now_and_later)
{
    csp_interp *i = interp_new();
    pair p = pair_with(0, CSP_BLOCK, NULL, i);
    waiting *w = start_recv(p.in);
    wait_parked(p.chan, 0, 1);
    csp_interp_cancel(i, CSP_STOP_ASKED);
    CHECK_EQ(await(w, NULL), CSP_STOPPED);
    csp_interp_cancel(i, CSP_KILL_ASKED); /* past the stop's timeout */
    CHECK_EQ(recv_int(p.in, NULL, FOREVER), CSP_KILLED);
    CHECK_EQ(recv_int(p.in, NULL, FOREVER), CSP_KILLED);
    csp_interp_cancel(i, CSP_STOP_ASKED); /* never goes back */
    CHECK_EQ(csp_interp_check(i), CSP_KILLED);
    pair_free(p);
    csp_interp_decref(i);
}

TEST(stop_breaks_a_select_off_on_all_its_channels)
{
    csp_interp *i = interp_new();
    pair p = pair_new(0), q = pair_new(0);
    csp_case cases[2] = {case_recv(p.in), case_send(q.out, 1)};
    cases[1].msg = blob_msg(1);
    waiting *w = start_in(i, cases, 2, FOREVER);
    wait_parked(p.chan, 0, 1);
    csp_interp_cancel(i, CSP_STOP_ASKED);
    join(w->task);
    CHECK_EQ(w->status, CSP_STOPPED);
    CHECK_EQ(w->fired, -1);
    CHECK_EQ(msg_int(&w->cases[1].msg), 1); /* unsent */
    csp_msg_clear(&w->cases[1].msg);
    free(w);
    CHECK_EQ(info(p.chan).waiting_receivers + info(q.chan).waiting_senders, 0);
    pair_free(p);
    pair_free(q);
    csp_interp_decref(i);
}

static void finish_later(void *arg)
{
    csp_waiter *w = arg;
    usleep(5000);
    w->status = CSP_OK;
    csp_waiter_finish(w);
}

TEST(a_wait_that_completes_leaves_a_stop_to_the_next_one)
{
    csp_interp *i = interp_new();
    csp_waiter w;
    csp_waiter_init(&w, i, NULL, 0);
    csp_interp_cancel(i, CSP_STOP_ASKED);
    CHECK(csp_waiter_claim(&w)); /* a peer is at work on it */
    task *t = spawn(finish_later, &w);
    CHECK_EQ(csp_waiter_park(&w, CSP_NEVER, NULL), CSP_OK);
    CHECK_EQ(w.status, CSP_OK);
    join(t);
    CHECK_EQ(csp_interp_check(i), CSP_STOPPED);
    csp_interp_decref(i);
}

typedef struct {
    pair p;
    int64_t sum;
    _Atomic int stopped;
} stoppable;

static void receive_until_stopped(void *arg)
{
    stoppable *s = arg;
    csp_msg m;
    csp_status status;
    while ((status = recv_msg(s->p.in, &m, FOREVER)) == CSP_OK) {
        s->sum += msg_int(&m);
        csp_msg_clear(&m);
    }
    CHECK_EQ(status, CSP_STOPPED);
    atomic_store(&s->stopped, 1);
}

TEST(stop_against_a_hand_over_loses_nothing)
{
    for (int round = 0, n = ROUNDS(300); round < n; round++) {
        csp_interp *i = interp_new();
        stoppable s = {.p = pair_with(0, CSP_BLOCK, NULL, i)};
        task *t = spawn(receive_until_stopped, &s);
        int64_t sum = 0;
        for (int64_t k = 1; k < 6; k++) {
            csp_msg m = blob_msg(k);
            CHECK_EQ(send_msg(s.p.out, &m, FOREVER), CSP_OK);
            sum += k;
        }
        waiting *w = start_send(s.p.out, 100); /* may or may not arrive before the stop */
        csp_interp_cancel(i, CSP_STOP_ASKED);
        join(t);
        end_close(s.p.in);
        csp_status status = await(w, NULL);
        CHECK(status == CSP_OK || status == CSP_BROKEN);
        CHECK_EQ(s.sum, sum + (status == CSP_OK ? 100 : 0));
        pair_free(s.p);
        csp_interp_decref(i);
    }
}

/* --- death --- */

TEST(death_drops_its_handles_and_wakes_the_others)
{
    csp_interp *i = interp_new();
    pair p = pair_with(1, CSP_BLOCK, i, NULL), q = pair_with(0, CSP_BLOCK, NULL, i);
    CHECK_EQ(send_int(p.out, 1, 0), CSP_OK);
    waiting *s = start_send(q.out, 2);
    wait_parked(q.chan, 1, 0);
    died(i, NULL);
    CHECK_EQ(await(s, NULL), CSP_BROKEN);
    CHECK_EQ(recv_int(p.in, NULL, FOREVER), CSP_OK); /* drained first */
    CHECK_EQ(recv_int(p.in, NULL, FOREVER), CSP_END);
    died(i, NULL); /* idempotent */
    csp_interp_reap(i); /* what its objects leaked: both handles */
    csp_end_free(p.in);
    csp_end_free(q.out);
    csp_interp_decref(i);
}

TEST(death_leaves_the_memory_to_the_objects_that_point_to_it)
{
    csp_interp *i = interp_new();
    pair p = pair_with(0, CSP_BLOCK, NULL, i);
    died(i, NULL);
    CHECK_EQ(recv_int(p.in, NULL, 0), CSP_CLOSED_HANDLE); /* may still be tried */
    csp_end_free(p.in);
    csp_interp_reap(i); /* nothing left */
    csp_end_free(p.out);
    csp_interp_decref(i);
}

TEST(death_breaks_its_waits_off)
{
    csp_interp *i = interp_new();
    pair p = pair_with(0, CSP_BLOCK, NULL, i);
    waiting *w = start_recv(p.in);
    wait_parked(p.chan, 0, 1);
    died(i, NULL);
    csp_status status = await(w, NULL);
    CHECK(status == CSP_KILLED || status == CSP_CLOSED_HANDLE);
    pair_free(p);
    csp_interp_decref(i);
}

TEST(death_says_why_to_the_channels_that_lose_their_last_sender)
{
    csp_interp *i = interp_new();
    pair p = pair_with(0, CSP_BLOCK, i, NULL), q = pair_with(0, CSP_BLOCK, i, NULL);
    csp_end *clone = csp_end_new(q.chan, CSP_SEND, NULL);
    csp_msg cause = blob_msg(42);
    died(i, &cause);
    CHECK_EQ(cause.kind, CSP_MSG_EMPTY);
    CHECK_EQ(recv_int(p.in, NULL, 0), CSP_END);
    CHECK_EQ(msg_int(&p.chan->cause), 42);
    CHECK_EQ(q.chan->cause.kind, CSP_MSG_EMPTY); /* another sender is left */
    csp_end_free(clone);
    CHECK_EQ(q.chan->cause.kind, CSP_MSG_EMPTY);
    csp_interp_reap(i);
    csp_end_free(p.in);
    csp_end_free(q.in);
    csp_interp_decref(i);
}

TEST(first_cause_wins)
{
    csp_interp *i = interp_new();
    pair p = pair_with(0, CSP_BLOCK, i, NULL);
    csp_effects fx;
    csp_effects_init(&fx);
    csp_msg first = blob_msg(1), second = blob_msg(2), third = blob_msg(3);
    CHECK(csp_chan_close(p.chan, NULL, &first, &fx));
    CHECK(!csp_chan_close(p.chan, NULL, &second, &fx));
    csp_effects_run(&fx);
    CHECK_EQ(msg_int(&second), 2); /* still the caller's */
    csp_msg_clear(&second);
    died(i, &third);
    CHECK_EQ(msg_int(&p.chan->cause), 1);
    csp_interp_reap(i);
    csp_end_free(p.in);
    csp_interp_decref(i);
}

TEST(a_handle_made_after_death_is_born_closed)
{
    csp_interp *i = interp_new();
    pair p = pair_new(0);
    died(i, NULL);
    csp_end *late = csp_end_new(p.chan, CSP_SEND, i);
    CHECK_EQ(info(p.chan).senders, 1);
    CHECK_EQ(send_int(late, 1, 0), CSP_CLOSED_HANDLE);
    csp_end_free(late);
    pair_free(p);
    csp_interp_decref(i);
}

TEST(death_with_many_handles_takes_linear_time)
{
    enum { N = 20000 };
    csp_interp *i = interp_new();
    pair p = pair_new(0);
    csp_end **ends = calloc(N, sizeof *ends);
    for (int k = 0; k < N; k++)
        ends[k] = csp_end_new(p.chan, CSP_SEND, i);
    csp_time began = csp_now();
    died(i, NULL);
    CHECK(csp_now() - began < 2000 * MS);
    CHECK_EQ(info(p.chan).senders, 1);
    for (int k = 0; k < N; k++)
        csp_end_free(ends[k]);
    free(ends);
    pair_free(p);
    csp_interp_decref(i);
}

static int dropped;
static void drop(void *object) { dropped += *(int *)object; }

TEST(values_of_a_local_channel_are_freed_only_while_their_interpreter_is_there)
{
    int one = 1;
    csp_msg_drop_object = drop;
    for (int attached = 0; attached < 2; attached++) {
        csp_interp *i = interp_new();
        csp_chan *chan = csp_chan_new(70, CSP_BLOCK, true, NULL);
        csp_end *both = csp_end_new(chan, CSP_SEND | CSP_RECV, i);
        csp_chan_decref(chan);
        for (int k = 0; k < 70; k++) {
            csp_msg m = {.kind = CSP_MSG_OBJECT, .as.object = &one};
            CHECK_EQ(send_msg(both, &m, 0), CSP_OK);
        }
        dropped = 0;
        csp_interp_died(i, NULL, attached);
        CHECK_EQ(dropped, attached ? 70 : 0); /* else forgotten: the objects are gone with their interpreter */
        csp_interp_reap(i);
        CHECK_EQ(dropped, attached ? 70 : 0);
        csp_interp_decref(i);
    }
    csp_msg_drop_object = NULL;
}

/* --- leases --- */

static csp_lease *lease_new(csp_interp *i, pair p)
{
    csp_lease *lease = csp_raw_calloc(1, sizeof *lease);
    lease->chan = p.chan;
    csp_chan_incref(p.chan);
    lease->interp = i;
    csp_interp_incref(i);
    CHECK_EQ(recv_msg(p.in, &lease->msg, 0), CSP_OK);
    CHECK(csp_interp_add_lease(i, lease));
    return lease;
}

static void lease_free(csp_lease *lease)
{
    csp_msg_clear(&lease->msg);
    csp_chan_decref(lease->chan);
    csp_interp_decref(lease->interp);
    csp_raw_free(lease);
}

TEST(death_returns_leases_to_the_head)
{
    csp_interp *i = interp_new();
    pair p = pair_with(3, CSP_BLOCK, NULL, i);
    csp_end *other = csp_end_new(p.chan, CSP_RECV, NULL);
    int64_t v;
    for (int k = 1; k <= 2; k++) {
        csp_msg m = blob_msg(k);
        CHECK_EQ(send_msg(p.out, &m, 0), CSP_OK);
    }
    csp_lease *lease = lease_new(i, p);
    CHECK_EQ(msg_int(&lease->msg), 1);
    died(i, NULL);
    CHECK(!csp_interp_remove_lease(i, lease)); /* settled already */
    CHECK_EQ(lease->msg.kind, CSP_MSG_EMPTY);
    for (int k = 1; k <= 2; k++) {
        CHECK_EQ(recv_int(other, &v, 0), CSP_OK);
        CHECK_EQ(v, k);
    }
    CHECK(!csp_interp_add_lease(i, lease)); /* dead: no new one */
    lease_free(lease);
    csp_end_free(other);
    pair_free(p);
    csp_interp_decref(i);
}

TEST(death_returns_a_lease_to_a_waiting_receiver)
{
    csp_interp *i = interp_new();
    pair p = pair_with(1, CSP_BLOCK, NULL, i);
    csp_end *other = csp_end_new(p.chan, CSP_RECV, NULL);
    CHECK_EQ(send_int(p.out, 1, 0), CSP_OK);
    csp_lease *lease = lease_new(i, p);
    waiting *w = start_recv(other);
    wait_parked(p.chan, 0, 1);
    died(i, NULL);
    int64_t v;
    CHECK_EQ(await(w, &v), CSP_OK);
    CHECK_EQ(v, 1);
    csp_interp_remove_lease(i, lease);
    lease_free(lease);
    csp_end_free(other);
    pair_free(p);
    csp_interp_decref(i);
}

TEST(lease_is_settled_once)
{
    csp_interp *i = interp_new();
    pair p = pair_with(1, CSP_BLOCK, NULL, i);
    CHECK_EQ(send_int(p.out, 1, 0), CSP_OK);
    csp_lease *lease = lease_new(i, p);
    CHECK(csp_interp_remove_lease(i, lease));
    CHECK(!csp_interp_remove_lease(i, lease));
    csp_lease_return(lease, true);
    CHECK_EQ(recv_int(p.in, NULL, 0), CSP_OK);
    lease_free(lease);
    pair_free(p);
    csp_interp_decref(i);
}

/* --- actors that are threads of an interpreter --- */

TEST(death_of_a_guest_gives_up_its_own_handles_only)
{
    csp_interp *host = interp_new(), *guest = csp_interp_new_guest(host, -1);
    pair theirs = pair_with(1, CSP_BLOCK, host, guest), ours = pair_with(1, CSP_BLOCK, host, host);
    uint32_t closes = atomic_load_explicit(&host->closes, memory_order_relaxed);
    died(guest, NULL);
    CHECK_EQ(send_int(theirs.out, 1, 0), CSP_BROKEN);
    CHECK_EQ(recv_int(theirs.in, NULL, 0), CSP_CLOSED_HANDLE);
    CHECK(atomic_load_explicit(&host->closes, memory_order_relaxed) != closes); /* a select of the host looks again */
    CHECK_EQ(send_int(ours.out, 1, 0), CSP_OK);
    CHECK_EQ(recv_int(ours.in, NULL, 0), CSP_OK);
    pair_free(theirs);
    pair_free(ours);
    csp_interp_decref(guest);
    csp_interp_decref(host);
}

TEST(handles_and_leases_outlive_the_guest_that_had_them)
{
    csp_interp *host = interp_new(), *guest = csp_interp_new_guest(host, -1);
    pair p = pair_with(1, CSP_BLOCK, host, guest);
    csp_end *late = csp_end_new(p.chan, CSP_RECV, guest);
    CHECK_EQ(send_int(p.out, 1, 0), CSP_OK);
    csp_lease *lease = lease_new(guest, p);
    died(guest, NULL);
    csp_interp_decref(guest); /* the thread has ended, its Python objects have not */
    CHECK_EQ(recv_int(late, NULL, 0), CSP_CLOSED_HANDLE);
    csp_interp_remove_lease(guest, lease);
    lease_free(lease);
    csp_end_free(late);
    pair_free(p);
    csp_interp_decref(host);
}

TEST(reaping_the_host_frees_what_its_guests_leaked)
{
    csp_interp *host = interp_new(), *guest = csp_interp_new_guest(host, -1);
    pair p = pair_with(1, CSP_BLOCK, NULL, guest);
    CHECK_EQ(send_int(p.out, 1, 0), CSP_OK);
    lease_new(guest, p);
    died(guest, NULL);
    csp_interp_decref(guest);
    died(host, NULL);
    csp_interp_reap(host);
    csp_interp_decref(host);
    CHECK_EQ(info(p.chan).receivers, 0);
    csp_end_free(p.out);
}

/* --- fork --- */

static void hold_lock(void *arg)
{
    csp_chan *chan = arg;
    csp_chan_lock(chan);
    usleep(30000);
    csp_chan_unlock(chan);
}

/* What the child finds: its parent's handles are foreign, nothing of them is touched, and new things work. */
static int forked_child(csp_interp *i, pair p)
{
    csp_census census;
    csp_registry_census(&census);
    if (census.channels != 0)
        return 1;
    csp_end_free(p.in); /* does not touch the lock that nobody will ever release */
    csp_end_free(p.out);
    pair q = pair_with(1, CSP_BLOCK, i, i);
    csp_msg m = blob_msg(3);
    int64_t v;
    if (send_msg(q.out, &m, 0) != CSP_OK || recv_int(q.in, &v, 0) != CSP_OK || v != 3)
        return 2;
    waiting *w = start_recv(q.in);
    if (send_int(q.out, 1, FOREVER) != CSP_OK || await(w, &v) != CSP_OK)
        return 3;
    pair_free(q);
    csp_registry_census(&census);
    return census.channels == 0 ? 0 : 4;
}

TEST(child_of_a_fork_leaves_the_parents_handles_alone_and_works)
{
#if UNDER_SANITIZER && defined(__SANITIZE_THREAD__)
    return; /* TSAN does not follow threads that are started in the child of a multi-threaded process */
#endif
    csp_registry_install_fork_handler();
    csp_registry_install_fork_handler(); /* once is enough */
    csp_interp *i = interp_new();
    pair p = pair_with(1, CSP_BLOCK, i, i);
    waiting *w = start_recv(p.in); /* parked in the parent while it forks */
    wait_parked(p.chan, 0, 1);
    task *holder = spawn(hold_lock, p.chan);
    while (atomic_load_explicit(&p.chan->lock.word, memory_order_relaxed) == 0)
        sched_yield();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        _exit(forked_child(i, p));
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
    join(holder);
    CHECK_EQ(send_int(p.out, 1, FOREVER), CSP_OK); /* and the parent goes on */
    CHECK_EQ(await(w, NULL), CSP_OK);
    pair_free(p);
    csp_interp_decref(i);
}
