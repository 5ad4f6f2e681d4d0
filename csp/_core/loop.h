/* The wake target of an event loop: one list of fired waiters and one file descriptor, whatever the number of channels.
 *
 * A firing thread pushes the waiter (lock-free) and writes the descriptor only if it is not already signalled; the loop
 * sees it readable, drains, and completes each waiter in its own thread.  Level-triggered: a drain that races with a push
 * leaves the descriptor readable.
 */
#ifndef CSP_LOOP_H
#define CSP_LOOP_H

#include "waiter.h"

typedef struct csp_loop {
    _Atomic(csp_waiter *) fired;  /* newest first; acq-rel in post and drain, which pair with each other */
    _Atomic uint32_t signalled;   /* 1: the descriptor is readable or about to be; acq-rel exchange in post / drain */
    _Atomic uint32_t posting;     /* threads inside csp_loop_post; release in post / acquire in csp_loop_free */
    int read_fd, write_fd;        /* immutable; the same eventfd on Linux, the two ends of a pipe elsewhere */
} csp_loop;

csp_loop *csp_loop_new(void);      /* NULL: no memory or no descriptor */
/* Nothing may be waiting through it.  A thread whose waiter was drained already may still be about to write the descriptor:
 * it is waited for. */
void csp_loop_free(csp_loop *loop);
void csp_loop_post(csp_loop *loop, csp_waiter *waiter);
/* Make the descriptor readable: the loop is to look at something else. */
void csp_loop_poke(csp_loop *loop);
/* All waiters fired so far, oldest first, linked by next_wake; NULL if none.  The loop's thread only. */
csp_waiter *csp_loop_drain(csp_loop *loop);

#endif
