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
    if (!open_descriptor(loop)) {
        csp_raw_free(loop);
        return NULL;
    }
    return loop;
}

void csp_loop_free(csp_loop *loop)
{
    close(loop->read_fd);
    if (loop->write_fd != loop->read_fd)
        close(loop->write_fd);
    csp_raw_free(loop);
}

void csp_loop_post(csp_loop *loop, csp_waiter *waiter)
{
    csp_waiter *head = atomic_load_explicit(&loop->fired, memory_order_relaxed); /* the exchange checks it */
    do {
        waiter->next_wake = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->fired, &head, waiter, memory_order_release,
                                                    memory_order_relaxed));
    if (atomic_exchange_explicit(&loop->signalled, 1, memory_order_acq_rel) == 0) {
        uint64_t one = 1;
        if (write(loop->write_fd, &one, sizeof one) < 0) {
            /* Full: then it is readable already, which is all that is wanted. */
        }
    }
}

csp_waiter *csp_loop_drain(csp_loop *loop)
{
    uint64_t count;
    if (read(loop->read_fd, &count, sizeof count) < 0) {
        /* Empty: a drain for its own sake. */
    }
    /* First open for new signals, then take: a post in between signals again and is at worst drained early. */
    atomic_store_explicit(&loop->signalled, 0, memory_order_seq_cst);
    csp_waiter *newest = atomic_exchange_explicit(&loop->fired, NULL, memory_order_acquire);
    csp_waiter *oldest = NULL;
    while (newest != NULL) {
        csp_waiter *next = newest->next_wake;
        newest->next_wake = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}
