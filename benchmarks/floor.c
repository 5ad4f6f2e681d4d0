/* The floor: two threads that hand a word to and fro, without any Python.  Prints nanoseconds a round trip.
 *
 *     floor spin SECONDS      both spin, so they need a core each
 *     floor futex SECONDS     both sleep in the kernel
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Alignas(64) _Atomic uint32_t turn; /* 0: mine, 1: the other's, 2: the end */
static bool spins;

static void await_turn(uint32_t mine)
{
    uint32_t now;
    while ((now = atomic_load(&turn)) != mine && now != 2) {
        if (!spins)
            syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
#if defined(__x86_64__)
        else
            __builtin_ia32_pause();
#endif
    }
}

static void hand_over(uint32_t to)
{
    atomic_store(&turn, to);
    if (!spins)
        syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *other(void *unused)
{
    for (;;) {
        await_turn(1);
        if (atomic_load(&turn) == 2)
            return NULL;
        hand_over(0);
    }
}

static double seconds_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    if (argc != 3)
        return 2;
    spins = strcmp(argv[1], "spin") == 0;
    double start = seconds_now(), end = start + atof(argv[2]);
    long trips = 0;
    pthread_create(&thread, NULL, other, NULL);
    while (seconds_now() < end)
        for (int i = 0; i < 16; i++, trips++) {
            hand_over(1);
            await_turn(0);
        }
    printf("%.1f\n", (seconds_now() - start) / (double)trips * 1e9);
    hand_over(2);
    pthread_join(thread, NULL);
    return 0;
}
