/* What an engine operation may answer.  One enum for the whole engine: no errno, no exception.
 *
 * errors.c turns a status into a Python exception; it is the only place that does.
 */
#ifndef CSP_STATUS_H
#define CSP_STATUS_H

typedef enum {
    CSP_OK = 0,         /* done */
    CSP_PENDING,        /* cannot complete now: the caller may wait */
    CSP_WOULD_BLOCK,    /* cannot complete now, and the caller asked not to wait */
    CSP_TIMEOUT,        /* the deadline passed; nothing moved */
    CSP_END,            /* receive: the sending side is gone and the buffer is drained */
    CSP_BROKEN,         /* send: the receiving side is gone, or the other side closed the channel */
    CSP_CLOSED_HANDLE,  /* this very handle was closed by its own side */
    CSP_STOPPED,        /* the interpreter was asked to stop */
    CSP_KILLED,         /* the interpreter was killed, or is fenced off */
    CSP_INTERRUPTED,    /* a signal arrived, or a slice of the main thread's wait ended: look and wait on */
    CSP_FORKED,         /* the handle was made before a fork, in the parent */
    CSP_DEADLOCK,       /* nobody left can complete the wait */
    CSP_NO_MEMORY,      /* an allocation failed; nothing moved */
} csp_status;

#endif
