/* The segmented double-ended queue of messages. */
#include "queue.h"

#include "mem.h"
#include "park.h"

/* A receiver on another core had the cells last.  If the store of a value had to wait for its line, the channel's unlocking
 * would wait with it; so a push asks for the line of the value that comes so many after. */
#define AHEAD 4

static csp_segment *segment_new(csp_queue *queue)
{
    csp_segment *segment = queue->spare;
    if (segment != NULL)
        queue->spare = NULL;
    else if ((segment = csp_raw_alloc_line(sizeof *segment)) == NULL)
        return NULL;
    segment->next = segment->prev = NULL;
    return segment;
}

bool csp_queue_push(csp_queue *queue, csp_msg *msg)
{
    csp_segment *tail = queue->tail;
    if (tail == NULL || queue->last == CSP_SEGMENT) {
        csp_segment *segment = segment_new(queue);
        if (segment == NULL)
            return false;
        segment->prev = tail;
        if (tail != NULL)
            tail->next = segment;
        else
            queue->head = segment, queue->first = 0;
        queue->tail = tail = segment;
        queue->last = 0;
    }
    csp_msg_move(&tail->cells[queue->last++], msg);
    if (queue->last + AHEAD < CSP_SEGMENT)
        csp_prefetch_write(&tail->cells[queue->last + AHEAD]);
    queue->length++;
    return true;
}

bool csp_queue_push_front(csp_queue *queue, csp_msg *msg)
{
    csp_segment *head = queue->head;
    if (head == NULL || queue->first == 0) {
        csp_segment *segment = segment_new(queue);
        if (segment == NULL)
            return false;
        segment->next = head;
        if (head != NULL)
            head->prev = segment;
        else
            queue->tail = segment, queue->last = CSP_SEGMENT;
        queue->head = head = segment;
        queue->first = CSP_SEGMENT;
    }
    csp_msg_move(&head->cells[--queue->first], msg);
    queue->length++;
    return true;
}

/* The head's last cell was taken. */
static void retire_head(csp_queue *queue)
{
    csp_segment *head = queue->head;
    queue->first = 0;
    if (head->next == NULL) { /* the only one: start again at its beginning */
        queue->last = 0;
        return;
    }
    queue->head = head->next;
    queue->head->prev = NULL;
    if (queue->spare == NULL)
        queue->spare = head;
    else
        csp_raw_free_line(head);
}

void csp_queue_pop(csp_queue *queue, csp_msg *to)
{
    csp_segment *head = queue->head;
    csp_msg_move(to, &head->cells[queue->first++]);
    queue->length--;
    if (queue->first == CSP_SEGMENT || queue->length == 0)
        retire_head(queue);
}

csp_segment *csp_queue_detach(csp_queue *queue)
{
    csp_segment *segments = queue->length > 0 ? queue->head : NULL;
    if (segments == NULL)
        return NULL;
    for (csp_segment *segment = segments; segment != NULL; segment = segment->next) {
        segment->first = 0;
        segment->last = CSP_SEGMENT;
    }
    queue->head->first = queue->first;
    queue->tail->last = queue->last;
    queue->head = queue->tail = NULL;
    queue->length = 0;
    return segments;
}

void csp_segments_free(csp_segment *segment)
{
    while (segment != NULL) {
        csp_segment *next = segment->next;
        for (uint32_t i = segment->first; i < segment->last; i++)
            csp_msg_clear(&segment->cells[i]);
        csp_raw_free_line(segment);
        segment = next;
    }
}

void csp_queue_destroy(csp_queue *queue)
{
    csp_raw_free_line(queue->spare);
    csp_raw_free_line(queue->head); /* empty: there is one at most */
    queue->head = queue->tail = queue->spare = NULL;
}
