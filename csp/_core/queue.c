/* The segmented double-ended queue of messages. */
#include "queue.h"

#include "mem.h"

static csp_segment *segment_new(csp_queue *queue, uint32_t at)
{
    csp_segment *segment = queue->spare;
    if (segment != NULL)
        queue->spare = NULL;
    else if ((segment = csp_raw_alloc(sizeof *segment)) == NULL)
        return NULL;
    segment->next = segment->prev = NULL;
    segment->first = segment->last = at;
    return segment;
}

bool csp_queue_push(csp_queue *queue, csp_msg *msg)
{
    csp_segment *tail = queue->tail;
    if (tail == NULL || tail->last == CSP_SEGMENT) {
        csp_segment *segment = segment_new(queue, 0);
        if (segment == NULL)
            return false;
        segment->prev = tail;
        if (tail != NULL)
            tail->next = segment;
        else
            queue->head = segment;
        queue->tail = tail = segment;
    }
    csp_msg_move(&tail->cells[tail->last++], msg);
    queue->length++;
    return true;
}

bool csp_queue_push_front(csp_queue *queue, csp_msg *msg)
{
    csp_segment *head = queue->head;
    if (head == NULL || head->first == 0) {
        csp_segment *segment = segment_new(queue, CSP_SEGMENT);
        if (segment == NULL)
            return false;
        segment->next = head;
        if (head != NULL)
            head->prev = segment;
        else
            queue->tail = segment;
        queue->head = head = segment;
    }
    csp_msg_move(&head->cells[--head->first], msg);
    queue->length++;
    return true;
}

static void retire_head(csp_queue *queue)
{
    csp_segment *head = queue->head;
    if (head->next == NULL) { /* the only one: start again at its beginning */
        head->first = head->last = 0;
        return;
    }
    queue->head = head->next;
    queue->head->prev = NULL;
    if (queue->spare == NULL)
        queue->spare = head;
    else
        csp_raw_free(head);
}

void csp_queue_pop(csp_queue *queue, csp_msg *to)
{
    csp_segment *head = queue->head;
    csp_msg_move(to, &head->cells[head->first++]);
    queue->length--;
    if (head->first == head->last)
        retire_head(queue);
}

csp_segment *csp_queue_detach(csp_queue *queue)
{
    csp_segment *segments = queue->length > 0 ? queue->head : NULL;
    if (segments != NULL) {
        queue->head = queue->tail = NULL;
        queue->length = 0;
    }
    return segments;
}

void csp_segments_free(csp_segment *segment)
{
    while (segment != NULL) {
        csp_segment *next = segment->next;
        for (uint32_t i = segment->first; i < segment->last; i++)
            csp_msg_clear(&segment->cells[i]);
        csp_raw_free(segment);
        segment = next;
    }
}

void csp_queue_destroy(csp_queue *queue)
{
    csp_raw_free(queue->spare);
    csp_segments_free(queue->head);
    queue->head = queue->tail = queue->spare = NULL;
    queue->length = 0;
}
