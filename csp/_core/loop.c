/* An event loop as the target of a wake-up. */
#include "loop.h"

#include "mem.h"

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#define write _write
#define read _read
#define close _close
#else
#include <fcntl.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <sys/eventfd.h>
#endif

static bool open_descriptor(csp_loop *loop)
{
#ifdef __linux__
    loop->read_fd = loop->write_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return loop->read_fd >= 0;
#elif defined(_WIN32)
    int fds[2];
    if (_pipe(fds, 4096, _O_BINARY | _O_NOINHERIT) != 0)
        return false;
    loop->read_fd = fds[0];
    loop->write_fd = fds[1];
    return true;
#else
    int fds[2];
    if (pipe(fds) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
    }
    loop->read_fd = fds[0];
    loop->write_fd = fds[1];
    return true;
#endif
}

csp_loop *csp_loop_new(void)
{
    csp_loop *loop = csp_raw_alloc(sizeof *loop);
    if (loop == NULL)
        return NULL;
    atomic_init(&loop->fired, NULL);
    atomic_init(&loop->signalled, 0);
    atomic_init(&loop->posting, 0);
    if (!open_descriptor(loop)) {
        csp_raw_free(loop);
        return NULL;
    }
    return loop;
}

void csp_loop_free(csp_loop *loop)
{
    uint32_t posting;
    while ((posting = atomic_load_explicit(&loop->posting, memory_order_acquire)) != 0) /* pairs with post's last act */
        csp_futex_wait(&loop->posting, posting, csp_now() + 1000000); /* nobody wakes us: it is a matter of microseconds */
    close(loop->read_fd);
    if (loop->write_fd != loop->read_fd)
        close(loop->write_fd);
    csp_raw_free(loop);
}

void csp_loop_poke(csp_loop *loop)
{
    if (atomic_exchange_explicit(&loop->signalled, 1, memory_order_acq_rel) == 0) {
        uint64_t one = 1;
        if (write(loop->write_fd, &one, sizeof one) < 0) {
            /* Full: then it is readable already, which is all that is wanted. */
        }
    }
}

void csp_loop_post(csp_loop *loop, csp_waiter *waiter)
{
    /* Relaxed: the push below publishes it to whoever drains the waiter, and only then may the loop be freed. */
    atomic_fetch_add_explicit(&loop->posting, 1, memory_order_relaxed);
    csp_waiter *head = atomic_load_explicit(&loop->fired, memory_order_relaxed); /* the exchange checks it */
    do {
        waiter->next_wake = head;
        /* Acquire too: if a drain came before us, we must see that it had reopened `signalled`. */
    } while (!atomic_compare_exchange_weak_explicit(&loop->fired, &head, waiter, memory_order_acq_rel,
                                                    memory_order_relaxed));
    csp_loop_poke(loop);
    atomic_fetch_sub_explicit(&loop->posting, 1, memory_order_release); /* pairs with csp_loop_free; the last touch */
}

csp_waiter *csp_loop_drain(csp_loop *loop)
{
    uint64_t count;
    if (read(loop->read_fd, &count, sizeof count) < 0) {
        /* Empty: a drain for its own sake. */
    }
    /* First open for new signals, then take: a post in between signals again and is at worst drained early.  A post that
     * comes after the taking has acquired from it (release), so it finds the signal open and writes. */
    atomic_exchange_explicit(&loop->signalled, 0, memory_order_acq_rel);
    csp_waiter *newest = atomic_exchange_explicit(&loop->fired, NULL, memory_order_acq_rel);
    csp_waiter *oldest = NULL;
    while (newest != NULL) {
        csp_waiter *next = newest->next_wake;
        newest->next_wake = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}
