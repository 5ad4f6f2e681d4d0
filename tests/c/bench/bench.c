/* What the engine alone costs, without Python: a send and a receive in one thread, a ping-pong, a stream, a fan-in, a select.
 *
 *     bench [BUSY]     with so many threads that do nothing but compute beside it
 */
#include "harness.h"

#include <pthread.h>

/* The runner's main is in harness.c; the benchmarks are its tests. */

static csp_time budget = 300 * MS;

typedef struct {
    pair there, back;
    int64_t n;
    _Atomic bool stop;
    csp_end *out;
} bench;

static void report(const char *name, int64_t n, csp_time took)
{
    printf("%-44s %9.1f ns   %7.2f M/s\n", name, (double)took / (double)n, (double)n * 1e3 / (double)took);
    fflush(stdout);
}

static _Atomic bool busy_stop;
static void be_busy(void *arg)
{
    (void)arg;
    volatile double x = 1;
    while (!atomic_load_explicit(&busy_stop, memory_order_relaxed))
        for (int i = 0; i < 1000; i++)
            x = x * 1.0000001;
}

static task *busy[16];
static int nbusy;
static void busy_begin(void)
{
    const char *n = getenv("BUSY");
    nbusy = n != NULL ? atoi(n) : 0;
    atomic_store(&busy_stop, false);
    for (int i = 0; i < nbusy; i++)
        busy[i] = spawn(be_busy, NULL);
}
static void busy_end(void)
{
    atomic_store(&busy_stop, true);
    for (int i = 0; i < nbusy; i++)
        join(busy[i]);
}

/* The floor: one word, two threads that never sleep. */
static _Alignas(64) _Atomic int64_t word;
static void answer(void *arg)
{
    int64_t n = *(int64_t *)arg;
    for (int64_t i = 1; i < 2 * n; i += 2) {
        while (atomic_load_explicit(&word, memory_order_acquire) != i)
            csp_pause();
        atomic_store_explicit(&word, i + 1, memory_order_release);
    }
}

TEST(floor_of_ping_pong)
{
    int64_t n = 200000;
    atomic_store(&word, 0);
    task *t = spawn(answer, &n);
    csp_time began = csp_now();
    for (int64_t i = 0; i < 2 * n; i += 2) {
        atomic_store_explicit(&word, i + 1, memory_order_release);
        while (atomic_load_explicit(&word, memory_order_acquire) != i + 2)
            csp_pause();
    }
    report("floor: an atomic word, round trip", n, csp_now() - began);
    join(t);
}

TEST(one_thread)
{
    pair p = pair_new(8);
    int64_t n = 2000000;
    csp_time began = csp_now();
    for (int64_t i = 0; i < n; i++) {
        send_int(p.out, i, 0);
        recv_int(p.in, NULL, 0);
    }
    report("send + recv, one thread, buffered", n, csp_now() - began);
    pair_free(p);
}

static void echo(void *arg)
{
    bench *b = arg;
    int64_t v;
    while (recv_int(b->there.in, &v, FOREVER) == CSP_OK)
        send_int(b->back.out, v, FOREVER);
}

static void ping_pong(const char *name, size_t capacity)
{
    bench b = {.there = pair_new(capacity), .back = pair_new(capacity)};
    busy_begin();
    task *t = spawn(echo, &b);
    int64_t n = 0, v;
    csp_time began = csp_now();
    do
        for (int i = 0; i < 100; i++, n++) {
            send_int(b.there.out, n, FOREVER);
            recv_int(b.back.in, &v, FOREVER);
        }
    while (csp_now() < began + budget);
    report(name, n, csp_now() - began);
    end_close(b.there.out);
    join(t);
    busy_end();
    pair_free(b.there);
    pair_free(b.back);
}

TEST(ping_pong_rendezvous) { ping_pong("ping-pong, round trip, rendezvous", 0); }
TEST(ping_pong_buffered) { ping_pong("ping-pong, round trip, capacity 1", 1); }

static void source(void *arg)
{
    bench *b = arg;
    int64_t i = 0;
    while (send_int(b->out, i++, FOREVER) == CSP_OK)
        ;
}

static void stream(const char *name, size_t capacity, int senders)
{
    pair p = pair_new(capacity);
    bench b = {.out = p.out};
    task *t[8];
    busy_begin();
    for (int i = 0; i < senders; i++)
        t[i] = spawn(source, &b);
    int64_t n = 0, v;
    csp_time began = csp_now();
    do
        for (int i = 0; i < 100; i++, n++)
            recv_int(p.in, &v, FOREVER);
    while (csp_now() < began + budget);
    report(name, n, csp_now() - began);
    end_close(p.in);
    for (int i = 0; i < senders; i++)
        join(t[i]);
    busy_end();
    pair_free(p);
}

TEST(stream_buffered) { stream("1 -> 1, capacity 1000", 1000, 1); }
TEST(stream_small) { stream("1 -> 1, capacity 8", 8, 1); }
TEST(stream_rendezvous) { stream("1 -> 1, rendezvous", 0, 1); }
TEST(fan_in) { stream("4 -> 1, capacity 1000", 1000, 4); }
TEST(fan_in_rendezvous) { stream("4 -> 1, rendezvous", 0, 4); }

static void select_over(const char *name, int n)
{
    pair p[64];
    csp_case cases[64], *order[64], *fired;
    for (int i = 0; i < n; i++) {
        p[i] = pair_new(1000);
        cases[i] = case_recv(p[i].in);
    }
    bench b = {.out = p[n / 2].out};
    task *t = spawn(source, &b);
    csp_look looks[sizeof order / sizeof *order];
    csp_select sel = {.cases = cases, .ncases = (uint32_t)n, .order = order, .looks = looks, .random = 1};
    csp_select_prepare(&sel);
    int64_t done = 0;
    csp_time began = csp_now();
    do
        for (int k = 0; k < 100; k++, done++) {
            csp_waiter w;
            csp_effects fx;
            csp_effects_init(&fx);
            csp_waiter_init(&w, NULL, cases, (uint32_t)n);
            csp_status status = csp_select_start(&sel, &w, &fired, &fx);
            csp_effects_run(&fx);
            if (status == CSP_PENDING) {
                while (csp_waiter_park(&w, CSP_NEVER, &cases[0].chan->spin) != CSP_OK)
                    ;
                csp_select_withdraw(&sel);
            }
        }
    while (csp_now() < began + budget);
    report(name, done, csp_now() - began);
    for (int i = 0; i < n; i++)
        end_close(p[i].in);
    join(t);
    for (int i = 0; i < n; i++)
        pair_free(p[i]);
}

TEST(select_8) { select_over("select over 8, one busy", 8); }
TEST(select_64) { select_over("select over 64, one busy", 64); }

static void hop(void *arg)
{
    bench *b = arg;
    int64_t v;
    while (recv_int(b->there.in, &v, FOREVER) == CSP_OK)
        send_int(b->back.out, v, FOREVER);
    end_close(b->back.out);
}

TEST(ring_of_threads)
{
    enum { N = 100 };
    static bench b[N];
    static task *t[N];
    pair p[N + 1];
    for (int i = 0; i <= N; i++)
        p[i] = pair_new(0);
    for (int i = 0; i < N; i++) {
        b[i].there = p[i];
        b[i].back = p[i + 1];
        t[i] = spawn(hop, &b[i]);
    }
    int64_t n = 0, v;
    csp_time began = csp_now();
    do {
        send_int(p[0].out, n, FOREVER);
        recv_int(p[N].in, &v, FOREVER);
        n += N + 1;
    } while (csp_now() < began + budget);
    report("ring of 100 threads, a hop", n, csp_now() - began);
    end_close(p[0].out);
    for (int i = 0; i < N; i++)
        join(t[i]);
    for (int i = 0; i <= N; i++)
        pair_free(p[i]);
}

typedef struct {
    pair there, back;
    csp_time until;
    int64_t n;
} player;

static void play(void *arg)
{
    player *p = arg;
    bench b = {.there = p->there, .back = p->back};
    task *t = spawn(echo, &b);
    int64_t v;
    while (csp_now() < p->until) {
        send_int(p->there.out, p->n++, FOREVER);
        recv_int(p->back.in, &v, FOREVER);
    }
    end_close(p->there.out);
    join(t);
}

TEST(many_ping_pongs)
{
    enum { N = 8 };
    static player p[N];
    task *t[N];
    int64_t n = 0;
    csp_time began = csp_now();
    for (int i = 0; i < N; i++) {
        p[i] = (player){pair_new(0), pair_new(0), began + budget, 0};
        t[i] = spawn(play, &p[i]);
    }
    for (int i = 0; i < N; i++) {
        join(t[i]);
        n += p[i].n;
        pair_free(p[i].there);
        pair_free(p[i].back);
    }
    report("8 ping-pongs at once, a round trip", n, csp_now() - began);
}
