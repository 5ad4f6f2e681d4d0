/* The clock, deadlines, sleeping and waking. */
#include "harness.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

TEST(deadline_of_infinity_or_beyond_the_clock_is_never)
{
    CHECK_EQ(csp_deadline_after(INFINITY), CSP_NEVER);
    CHECK_EQ(csp_deadline_after(1e300), CSP_NEVER);
    CHECK_EQ(csp_deadline_after(9.3e9), CSP_NEVER);
    CHECK(csp_deadline_after(1e9) < CSP_NEVER);
}

TEST(deadline_keeps_fractions_of_a_second)
{
    csp_time before = csp_now(), deadline = csp_deadline_after(0.25), after = csp_now();
    CHECK(deadline >= before + 250 * MS && deadline <= after + 250 * MS);
    before = csp_now();
    deadline = csp_deadline_after(1e-10); /* less than a nanosecond is still not in the past */
    CHECK(deadline > before);
}

TEST(clock_is_the_monotonic_one)
{
    struct timespec ts;
    csp_time a = csp_now();
    clock_gettime(CLOCK_MONOTONIC, &ts);
    csp_time b = csp_now(), real = (csp_time)ts.tv_sec * 1000000000 + ts.tv_nsec;
    CHECK(a <= real && real <= b);
}

TEST(sleep_ends_at_the_deadline_and_not_before)
{
    _Atomic uint32_t word = 7;
    csp_time deadline = csp_now() + 20 * MS;
    csp_sleep slept;
    while ((slept = csp_futex_wait(&word, 7, deadline)) != CSP_SLEPT_OUT)
        CHECK(slept == CSP_WOKEN || slept == CSP_SIGNALLED);
    CHECK(csp_now() >= deadline);
}

TEST(sleep_does_not_begin_if_the_word_has_changed)
{
    _Atomic uint32_t word = 8;
    csp_time began = csp_now();
    CHECK_EQ(csp_futex_wait(&word, 7, CSP_NEVER), CSP_WOKEN);
    CHECK(csp_now() - began < 1000 * MS);
}

TEST(deadline_in_the_past_does_not_sleep)
{
    _Atomic uint32_t word = 7;
    CHECK_EQ(csp_futex_wait(&word, 7, 1), CSP_SLEPT_OUT);
}

static void sleep_on(void *arg)
{
    _Atomic uint32_t *word = arg;
    while (atomic_load(word) == 0)
        csp_futex_wait(word, 0, CSP_NEVER);
}

TEST(wake_all_wakes_all)
{
    _Atomic uint32_t word = 0;
    task *t[3];
    for (int i = 0; i < 3; i++)
        t[i] = spawn(sleep_on, &word);
    atomic_store(&word, 1);
    csp_futex_wake_all(&word);
    for (int i = 0; i < 3; i++)
        join(t[i]);
}

static void on_signal(int signal) { (void)signal; }

typedef struct {
    pthread_t thread;
    _Atomic int ready;
    _Atomic int result;
} sleeper;

static void sleep_for_signal(void *arg)
{
    sleeper *s = arg;
    _Atomic uint32_t word = 0;
    s->thread = pthread_self();
    atomic_store(&s->ready, 1);
    csp_sleep slept;
    while ((slept = csp_futex_wait(&word, 0, CSP_NEVER)) == CSP_WOKEN)
        ;
    atomic_store(&s->result, slept + 1);
}

TEST(signal_breaks_a_sleep)
{
    sleeper s = {.ready = 0};
    struct sigaction action = {.sa_handler = on_signal}, old;
    sigaction(SIGUSR1, &action, &old);
    task *t = spawn(sleep_for_signal, &s);
    while (!atomic_load(&s.ready))
        csp_pause();
    while (atomic_load(&s.result) == 0) { /* it may come before the sleep: send it again */
        pthread_kill(s.thread, SIGUSR1);
        struct timespec ts = {0, 1000000};
        nanosleep(&ts, NULL);
    }
    CHECK_EQ(atomic_load(&s.result) - 1, CSP_SIGNALLED);
    join(t);
    sigaction(SIGUSR1, &old, NULL);
}

TEST(spin_stops_where_it_does_not_pay)
{
    csp_spin spin = {.credit = 4};
    if (csp_cores() < 2) {
        CHECK(!csp_spin_begin(&spin));
        return;
    }
    int spins = 0;
    for (int i = 0; i < 1000; i++)
        if (csp_spin_begin(&spin)) {
            csp_spin_end(&spin, false);
            spins++;
        }
    CHECK(spins < 50); /* a try now and then */
    int tries = 0;
    while (!csp_spin_begin(&spin))
        CHECK(++tries < 100);
    csp_spin_end(&spin, true);
    CHECK(csp_spin_begin(&spin)); /* one success is enough to go on */
    csp_spin_end(&spin, true);
}

TEST(no_advice_means_no_spin)
{
    CHECK(!csp_spin_begin(NULL));
}

TEST(long_spins_leave_a_core_free)
{
    int places = 0;
    while (csp_spin_enter_long())
        CHECK(++places < csp_cores());
    CHECK_EQ(places, csp_cores() - 1);
    while (places-- > 0)
        csp_spin_leave_long();
    if (csp_cores() > 1) {
        CHECK(csp_spin_enter_long());
        csp_spin_leave_long();
    }
}
