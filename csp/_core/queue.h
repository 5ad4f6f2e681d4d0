/* A double-ended queue of messages in segments: memory follows what is buffered, so a channel of capacity one
 * million costs nothing while empty, and an unbounded one grows without copying.
 *
 * Guarded by its channel's lock.  Push at the back is a send, pop at the front a receive, push at the front a
 * lease that was given back.
 */
#ifndef CSP_QUEUE_H
#define CSP_QUEUE_H

#include "msg.h"

#define CSP_SEGMENT 62 /* messages a segment: with its header just under 4 KiB */

typedef struct csp_segment {
    struct csp_segment *next, *prev;
    uint32_t first, last; /* used cells, first .. last-1: once detached; a queue knows its own bounds */
    unsigned char room[64 - 3 * sizeof(uint64_t)]; /* the cells begin on a cache line */
    csp_msg cells[CSP_SEGMENT];
} csp_segment;

/* All cells between the oldest, head->cells[first], and the newest, tail->cells[last - 1], are in use. */
typedef struct {
    csp_segment *head, *tail; /* NULL while nothing was ever buffered */
    csp_segment *spare;       /* one emptied segment kept back, so that steady traffic does not allocate */
    size_t length;
    uint32_t first, last;     /* head == tail and first == last: empty */
} csp_queue;

bool csp_queue_push(csp_queue *queue, csp_msg *msg);        /* moves; false: no memory, msg untouched */
bool csp_queue_push_front(csp_queue *queue, csp_msg *msg);  /* likewise */
void csp_queue_pop(csp_queue *queue, csp_msg *to);          /* moves the oldest out; length > 0 */
csp_segment *csp_queue_detach(csp_queue *queue);            /* all contents, for freeing outside the lock */
void csp_segments_free(csp_segment *segments);              /* clears every message in them */
void csp_queue_destroy(csp_queue *queue);                   /* frees empty segments; the queue is empty */

#endif
