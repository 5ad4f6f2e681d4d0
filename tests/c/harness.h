/* A small test runner and the blocking operations that the engine leaves to its shell.
 *
 *     TEST(a_promise) { CHECK(1 + 1 == 2); }
 *
 * Each test has a hard time limit, and must leave no channel, interpreter record, blob, block or thread behind.
 * A failed CHECK, in whatever thread, ends the program at once: a stack of half-finished threads is worth nothing.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chan.h"
#include "clock.h"
#include "interp.h"
#include "loop.h"
#include "mem.h"
#include "registry.h"
#include "select.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#elif defined(__SANITIZE_ADDRESS__)
#define UNDER_SANITIZER 1
#else
#define UNDER_SANITIZER 0
#endif
/* How often a racy thing is tried: fewer times where each is slow. */
#define ROUNDS(n) (UNDER_SANITIZER ? (n) / 10 : (n))

typedef void (*test_function)(void);
void test_register(const char *file, const char *name, test_function function);

#define TEST(name)                                                                        \
    static void name(void);                                                               \
    __attribute__((constructor)) static void register_##name(void)                        \
    {                                                                                     \
        test_register(__FILE__, #name, name);                                             \
    }                                                                                     \
    static void name(void)

_Noreturn void check_failed(const char *file, int line, const char *text, long long a, long long b);
#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition, 0, 0))
#define CHECK_EQ(a, b)                                                                    \
    do {                                                                                  \
        long long check_a = (long long)(a), check_b = (long long)(b);                     \
        if (check_a != check_b)                                                           \
            check_failed(__FILE__, __LINE__, #a " == " #b, check_a, check_b);             \
    } while (0)

uint64_t test_seed(void);             /* of this run, printed at its start; set it with SEED=n */
uint32_t random_next(uint64_t *state); /* a generator a thread */
static inline uint32_t random_to(uint64_t *state, uint32_t n) { return (uint32_t)(((uint64_t)random_next(state) * n) >> 32); }

/* --- channels of one or two ends --- */

typedef struct {
    csp_chan *chan; /* counted by the ends */
    csp_end *out, *in;
} pair;

pair pair_new(size_t capacity);
pair pair_with(size_t capacity, csp_overflow overflow, csp_interp *sender, csp_interp *receiver);
void pair_free(pair p); /* an end that is NULL was freed already */
csp_end *timer_end(csp_timer_kind kind, csp_time due, csp_time period); /* the one receiving end of a new timer */
void end_close(csp_end *end);
bool chan_close(csp_chan *chan, csp_end *end);
csp_chan_info info(csp_chan *chan);

/* --- blocking operations; `timeout` in nanoseconds, 0 polls --- */

#define MS 1000000LL
#define FOREVER CSP_NEVER

csp_status send_int(csp_end *end, int64_t value, csp_time timeout);
csp_status recv_int(csp_end *end, int64_t *p_value, csp_time timeout);
csp_status send_msg(csp_end *end, csp_msg *msg, csp_time timeout);
csp_status recv_msg(csp_end *end, csp_msg *msg, csp_time timeout);

csp_case case_send(csp_end *end, int64_t value);
csp_case case_recv(csp_end *end);
/* Which case fired, or -1 (then the status is CSP_TIMEOUT, or how the wait was broken off). */
int select_wait(csp_case *cases, uint32_t n, csp_time timeout, bool priority, csp_status *p_status);

/* --- threads --- */

typedef struct task task;
task *spawn(void (*function)(void *), void *argument);
void join(task *t);

/* A blocking operation in a thread of its own. */
typedef struct {
    csp_case cases[4];
    uint32_t n;
    csp_time timeout;
    csp_status status; /* after await */
    int fired;         /* after await: index, or -1 */
    task *task;
} waiting;
waiting *start_send(csp_end *end, int64_t value);
waiting *start_recv(csp_end *end);
waiting *start_select(csp_case *cases, uint32_t n);
waiting *start_in(csp_interp *interp, csp_case *cases, uint32_t n, csp_time timeout);
csp_status await(waiting *w, int64_t *p_value); /* joins and frees; the value received, if any */

/* Until so many wait on the channel. */
void wait_parked(csp_chan *chan, uint32_t senders, uint32_t receivers);

/* --- values that count --- */

csp_msg blob_msg(int64_t value); /* a value in a blob: a lost or doubled one shows in the census and under ASAN */
int64_t msg_int(const csp_msg *msg);

#endif
