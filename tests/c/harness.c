/* The runner: registration, time limits, the census before and after; blocking operations; threads. */
#include "harness.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#define SECONDS_A_TEST 30

/* --- the runner --- */

static struct {
    const char *file, *name;
    test_function function;
} tests[400];
static int ntests;
static const char *volatile current = "(none)";
static uint64_t seed;

void test_register(const char *file, const char *name, test_function function)
{
    if (ntests == (int)(sizeof tests / sizeof *tests))
        abort();
    const char *slash = strrchr(file, '/');
    tests[ntests].file = slash != NULL ? slash + 1 : file;
    tests[ntests].name = name;
    tests[ntests++].function = function;
}

_Noreturn void check_failed(const char *file, int line, const char *text, long long a, long long b)
{
    fprintf(stderr, "\nFAILED %s\n%s:%d: %s  (%lld, %lld)  SEED=%" PRIu64 "\n", current, file, line, text, a, b, seed);
    fflush(NULL);
    _exit(1);
}

static void too_long(int signal)
{
    (void)signal;
    static const char text[] = "\nFAILED: time limit reached in ";
    if (write(2, text, sizeof text - 1) < 0 || write(2, current, strlen(current)) < 0 || write(2, "\n", 1) < 0)
        _exit(3);
    abort(); /* with a core, if they are kept */
}

uint64_t test_seed(void) { return seed; }

uint32_t random_next(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

static void check_census(csp_census before)
{
    csp_census after;
    csp_registry_census(&after);
    CHECK_EQ(after.channels, before.channels);
    CHECK_EQ(after.interpreters, before.interpreters);
    CHECK_EQ(after.blobs, before.blobs);
    CHECK_EQ(after.blocks, before.blocks);
    CHECK_EQ(after.buffers, before.buffers);
    CHECK_EQ(after.buffer_bytes, before.buffer_bytes);
}

int main(int argc, char **argv)
{
    const char *given = getenv("SEED");
    seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)csp_now() ^ (uint64_t)getpid() << 32;
    printf("SEED=%" PRIu64 "\n", seed);
    signal(SIGALRM, too_long);
    int ran = 0;
    bool verbose = getenv("VERBOSE") != NULL;
    for (int i = 0; i < ntests; i++) {
        char name[200];
        snprintf(name, sizeof name, "%s::%s", tests[i].file, tests[i].name);
        if (argc > 1 && strstr(name, argv[1]) == NULL)
            continue;
        current = name;
        csp_census before;
        csp_registry_census(&before);
        csp_time began = csp_now();
        alarm(SECONDS_A_TEST);
        tests[i].function();
        alarm(0);
        check_census(before);
        if (verbose)
            printf("%-70s %6.1f ms\n", name, (double)(csp_now() - began) / 1e6);
        ran++;
    }
    printf("%d passed\n", ran);
    return ran > 0 ? 0 : 2;
}

/* --- channels --- */

pair pair_with(size_t capacity, csp_overflow overflow, csp_interp *sender, csp_interp *receiver)
{
    pair p;
    p.chan = csp_chan_new(capacity, overflow, false, NULL);
    CHECK(p.chan != NULL);
    p.out = csp_end_new(p.chan, CSP_SEND, sender);
    p.in = csp_end_new(p.chan, CSP_RECV, receiver);
    CHECK(p.out != NULL && p.in != NULL);
    csp_chan_decref(p.chan);
    return p;
}

pair pair_new(size_t capacity) { return pair_with(capacity, CSP_BLOCK, NULL, NULL); }

void pair_free(pair p)
{
    if (p.out != NULL)
        csp_end_free(p.out);
    if (p.in != NULL)
        csp_end_free(p.in);
}

csp_end *timer_end(csp_timer_kind kind, csp_time due, csp_time period)
{
    csp_chan *chan = csp_timer_new(kind, due, period);
    CHECK(chan != NULL);
    csp_end *end = csp_end_new(chan, CSP_RECV, NULL);
    csp_chan_decref(chan);
    return end;
}

void end_close(csp_end *end)
{
    csp_effects fx;
    csp_effects_init(&fx);
    csp_end_close(end, &fx);
    csp_effects_run(&fx);
}

bool chan_close(csp_chan *chan, csp_end *end)
{
    csp_effects fx;
    csp_effects_init(&fx);
    bool first = csp_chan_close(chan, end, NULL, &fx);
    csp_effects_run(&fx);
    return first;
}

csp_chan_info info(csp_chan *chan)
{
    csp_chan_info i;
    csp_chan_inspect(chan, &i);
    return i;
}

/* --- operations, as the shell does them --- */

static void fire_due(csp_waiter *waiter)
{
    csp_effects fx;
    csp_effects_init(&fx);
    csp_time now = csp_clock();
    for (uint32_t i = 0; i < waiter->ncases; i++) {
        csp_case *c = &waiter->cases[i];
        if (c->chan != NULL && c->chan->timer != CSP_NO_TIMER && csp_chan_due(c->chan) <= now)
            csp_timer_fire(c->chan, now, &fx);
    }
    csp_effects_run(&fx);
}

/* Wait until the waiter's outcome is there; CSP_TIMEOUT if the deadline came first and nothing will fire any more. */
static csp_status wait_for(csp_waiter *waiter, csp_time deadline, csp_spin *spin)
{
    csp_time guard = csp_clock_guard(deadline);
    waiter->deadline = deadline;
    for (;;) {
        csp_time until = deadline;
        for (uint32_t i = 0; i < waiter->ncases; i++)
            if (waiter->cases[i].chan != NULL && csp_chan_due(waiter->cases[i].chan) < until)
                until = csp_chan_due(waiter->cases[i].chan);
        until = csp_clock_until(until);
        if (csp_waiter_park(waiter, guard < until ? guard : until, spin) == CSP_OK)
            return waiter->status;
        fire_due(waiter);
        if (deadline != CSP_NEVER && (csp_clock() >= deadline || csp_now() >= guard))
            return csp_waiter_cancel(waiter) ? CSP_TIMEOUT : waiter->status;
    }
}

static csp_time deadline_of(csp_time timeout) { return timeout == FOREVER ? CSP_NEVER : csp_clock() + timeout; }

static csp_status run_case(csp_case *c, csp_interp *interp, csp_time timeout)
{
    _Alignas(64) csp_waiter waiter;
    csp_effects fx;
    csp_effects_init(&fx);
    csp_waiter_init(&waiter, interp, c, 1);
    csp_status status = timeout == 0 ? csp_chan_try(c, &fx) : csp_chan_start(c, &fx);
    csp_effects_run(&fx);
    if (status != CSP_PENDING)
        return status;
    if (timeout == 0)
        return CSP_WOULD_BLOCK;
    status = wait_for(&waiter, deadline_of(timeout), &c->chan->spin);
    if (waiter.fired == NULL) /* timed out or broken off: else the claimer took it off the queue */
        csp_chan_withdraw(c);
    return status;
}

csp_case case_recv(csp_end *end)
{
    csp_case c;
    memset(&c, 0, sizeof c);
    c.end = end;
    c.chan = end != NULL ? end->chan : NULL;
    c.dir = CSP_RECV;
    return c;
}

csp_case case_send(csp_end *end, int64_t value)
{
    csp_case c = case_recv(end);
    c.dir = CSP_SEND;
    c.msg.kind = CSP_MSG_INT;
    c.msg.as.integer = value;
    return c;
}

csp_status send_msg(csp_end *end, csp_msg *msg, csp_time timeout)
{
    _Alignas(64) csp_case c = case_send(end, 0);
    csp_msg_move(&c.msg, msg);
    csp_status status = run_case(&c, end->interp, timeout);
    csp_msg_move(msg, &c.msg); /* empty if it went */
    return status;
}

csp_status recv_msg(csp_end *end, csp_msg *msg, csp_time timeout)
{
    _Alignas(64) csp_case c = case_recv(end);
    csp_status status = run_case(&c, end->interp, timeout);
    csp_msg_move(msg, &c.msg);
    return status;
}

csp_status send_int(csp_end *end, int64_t value, csp_time timeout)
{
    csp_msg msg = {.kind = CSP_MSG_INT};
    msg.as.integer = value;
    return send_msg(end, &msg, timeout);
}

csp_status recv_int(csp_end *end, int64_t *p_value, csp_time timeout)
{
    csp_msg msg;
    csp_status status = recv_msg(end, &msg, timeout);
    if (status == CSP_OK && p_value != NULL)
        *p_value = msg_int(&msg);
    csp_msg_clear(&msg);
    return status;
}

static int select_in(csp_interp *interp, csp_case *cases, uint32_t n, csp_time timeout, bool priority, csp_status *p_status)
{
    static _Atomic uint32_t turn;
    csp_case *order[64], *fired = NULL;
    csp_look looks[64];
    csp_waiter waiter;
    csp_effects fx;
    uint64_t random = test_seed() + atomic_fetch_add(&turn, 1);
    csp_select sel = {.cases = cases, .ncases = n, .order = order, .looks = looks, .priority = priority,
                      .random = random_next(&random)};
    CHECK(n <= 64);
    csp_effects_init(&fx);
    csp_waiter_init(&waiter, interp, cases, n);
    csp_select_prepare(&sel);
    csp_status status = timeout == 0 ? csp_select_try(&sel, &fired, &fx) : csp_select_start(&sel, &waiter, &fired, &fx);
    csp_effects_run(&fx);
    if (status == CSP_PENDING && timeout != 0) {
        status = wait_for(&waiter, deadline_of(timeout), n > 0 && cases[0].chan != NULL ? &cases[0].chan->spin : NULL);
        csp_select_withdraw(&sel);
        fired = waiter.fired;
    }
    *p_status = status == CSP_PENDING ? CSP_TIMEOUT : status;
    return fired == NULL ? -1 : (int)(fired - cases);
}

int select_wait(csp_case *cases, uint32_t n, csp_time timeout, bool priority, csp_status *p_status)
{
    return select_in(NULL, cases, n, timeout, priority, p_status);
}

/* --- threads --- */

struct task {
    pthread_t thread;
    void (*function)(void *);
    void *argument;
};

static void *task_main(void *arg)
{
    task *t = arg;
    t->function(t->argument);
    return NULL;
}

task *spawn(void (*function)(void *), void *argument)
{
    task *t = malloc(sizeof *t);
    t->function = function;
    t->argument = argument;
    CHECK_EQ(pthread_create(&t->thread, NULL, task_main, t), 0);
    return t;
}

void join(task *t)
{
    CHECK_EQ(pthread_join(t->thread, NULL), 0);
    free(t);
}

typedef struct {
    waiting *w;
    csp_interp *interp;
} wait_start;

static void wait_main(void *arg)
{
    wait_start *start = arg;
    waiting *w = start->w;
    if (w->n == 1) {
        w->status = run_case(&w->cases[0], start->interp, w->timeout);
        w->fired = w->status == CSP_TIMEOUT ? -1 : 0;
    }
    else {
        w->fired = select_in(start->interp, w->cases, w->n, w->timeout, false, &w->status);
    }
    free(start);
}

waiting *start_in(csp_interp *interp, csp_case *cases, uint32_t n, csp_time timeout)
{
    waiting *w = calloc(1, sizeof *w);
    wait_start *start = malloc(sizeof *start);
    CHECK(n <= 4);
    memcpy(w->cases, cases, n * sizeof *cases);
    w->n = n;
    w->timeout = timeout;
    *start = (wait_start){w, interp};
    w->task = spawn(wait_main, start);
    return w;
}

waiting *start_select(csp_case *cases, uint32_t n) { return start_in(NULL, cases, n, FOREVER); }

waiting *start_send(csp_end *end, int64_t value)
{
    csp_case c = case_send(end, value);
    return start_in(end->interp, &c, 1, FOREVER);
}

waiting *start_recv(csp_end *end)
{
    csp_case c = case_recv(end);
    return start_in(end->interp, &c, 1, FOREVER);
}

csp_status await(waiting *w, int64_t *p_value)
{
    join(w->task);
    csp_status status = w->status;
    if (w->fired >= 0 && status == CSP_OK && w->cases[w->fired].dir == CSP_RECV) {
        if (p_value != NULL)
            *p_value = msg_int(&w->cases[w->fired].msg);
        csp_msg_clear(&w->cases[w->fired].msg);
    }
    free(w);
    return status;
}

void wait_parked(csp_chan *chan, uint32_t senders, uint32_t receivers)
{
    for (;;) {
        csp_chan_info i = info(chan);
        if (i.waiting_senders == senders && i.waiting_receivers == receivers)
            return;
        sched_yield();
    }
}

/* --- values --- */

csp_msg blob_msg(int64_t value)
{
    csp_msg msg = {.kind = CSP_MSG_BLOB};
    msg.as.blob = csp_blob_new(sizeof value);
    CHECK(msg.as.blob != NULL);
    memcpy(msg.as.blob->data, &value, sizeof value);
    msg.as.blob->length = sizeof value;
    return msg;
}

int64_t msg_int(const csp_msg *msg)
{
    int64_t value = -1;
    if (msg->kind == CSP_MSG_BLOB)
        memcpy(&value, msg->as.blob->data, sizeof value);
    else if (msg->kind == CSP_MSG_FLOAT)
        value = (int64_t)(msg->as.real * 1e9 + 0.5);
    else {
        CHECK_EQ(msg->kind, CSP_MSG_INT);
        value = msg->as.integer;
    }
    return value;
}
