/* The buffer of a channel within its two bounds: how many values, and how many bytes.
 *
 * All that puts values into a buffer or takes them out goes through here, so that `buffered_bytes` is always the sum over what is in it.  A channel
 * without a bound of bytes does not count them: it need not look into values that another core wrote.
 *
 * A value fits if there is a place for one more and room for its bytes.  Into an empty buffer any value fits: it is in memory already, and
 * waiting would not make it smaller.  Not in order does nobody get in: while a sender waits for room, those that come after it wait behind it.
 *
 * Guarded by chan->lock, all of it.  For chan.c alone.
 */
#ifndef CSP_BOUNDS_H
#define CSP_BOUNDS_H

#include "chan.h"

static inline bool csp_bounds_bytes(const csp_chan *chan) { return chan->max_bytes != CSP_UNBOUNDED; }

/* To be called after each change of the buffer: those who only wait or hand over then need not look at it, and so do not
 * take its line from another core. */
static inline void csp_buffer_changed(csp_chan *chan)
{
    size_t length = chan->buffer.length;
    if (length > chan->counts.peak)
        chan->counts.peak = length;
    bool room = length < chan->capacity && (!csp_bounds_bytes(chan) || length == 0 || chan->buffered_bytes < chan->max_bytes);
    chan->buffer_allows = (uint8_t)((length > 0 ? CSP_RECV : 0) | (room ? CSP_SEND : 0));
}

static inline bool csp_buffer_push(csp_chan *chan, csp_msg *msg) /* false: no memory, nothing moved */
{
    size_t bytes = csp_bounds_bytes(chan) ? csp_msg_bytes(msg) : 0;
    if (!csp_queue_push(&chan->buffer, msg))
        return false;
    if (bytes > 0) /* else leave the line alone */
        chan->buffered_bytes += bytes;
    return true;
}

static inline bool csp_buffer_push_front(csp_chan *chan, csp_msg *msg) /* likewise */
{
    size_t bytes = csp_bounds_bytes(chan) ? csp_msg_bytes(msg) : 0;
    if (!csp_queue_push_front(&chan->buffer, msg))
        return false;
    if (bytes > 0) /* else leave the line alone */
        chan->buffered_bytes += bytes;
    return true;
}

static inline void csp_buffer_pop(csp_chan *chan, csp_msg *to)
{
    csp_queue_pop(&chan->buffer, to);
    if (csp_bounds_bytes(chan))
        chan->buffered_bytes -= csp_msg_bytes(to);
}

static inline void csp_buffer_detach(csp_chan *chan, csp_effects *fx)
{
    chan->counts.discarded += chan->buffer.length;
    chan->buffered_bytes = 0;
    csp_effects_add_values(fx, csp_queue_detach(&chan->buffer));
}

/* Is there room for this value?  No matter who waits. */
static inline bool csp_buffer_fits(const csp_chan *chan, const csp_msg *msg)
{
    if (chan->buffer.length >= chan->capacity)
        return false;
    if (!csp_bounds_bytes(chan) || chan->buffer.length == 0)
        return true;
    /* What a lease gave back may have filled it beyond the bound. */
    return chan->buffered_bytes <= chan->max_bytes && csp_msg_bytes(msg) <= chan->max_bytes - chan->buffered_bytes;
}

/* A value was pushed for which there was no room: make it. */
static inline void csp_buffer_drop_oldest(csp_chan *chan, csp_effects *fx)
{
    do {
        csp_msg oldest;
        csp_buffer_pop(chan, &oldest);
        csp_effects_displace(fx, &oldest);
        chan->counts.dropped++;
    } while (chan->buffered_bytes > chan->max_bytes && chan->buffer.length > 1);
}

/* The sender that has waited longest, if its wait is not over; cases of waits that are over leave the queue. */
static inline csp_case *csp_first_waiting(csp_waitq *queue)
{
    while (queue->head != NULL && !csp_waiter_waits(queue->head->waiter))
        csp_waitq_remove(queue, queue->head);
    return queue->head;
}

/* There may be room: it is the oldest waiting senders', in their order. */
static inline void csp_buffer_admit(csp_chan *chan, csp_effects *fx)
{
    csp_waitq *waiting = &chan->senders_waiting;
    while (chan->buffer.length < chan->capacity && waiting->head != NULL) {
        csp_case_prefetch(waiting->head);
        csp_case *sender = csp_bounds_bytes(chan) ? csp_first_waiting(waiting) : waiting->head;
        if (sender == NULL || !csp_buffer_fits(chan, &sender->msg))
            break; /* a smaller value behind it does not overtake */
        csp_waitq_remove(waiting, sender);
        if (!csp_waiter_claim(sender->waiter))
            continue;
        if (!csp_buffer_push(chan, &sender->msg)) {
            csp_chan_fire(sender, CSP_NO_MEMORY, fx);
            continue;
        }
        chan->counts.sent++;
        csp_chan_fire(sender, CSP_OK, fx);
    }
    csp_buffer_changed(chan);
}

/* A sender that waited in front is gone: with a bound of bytes those behind it, whose values are smaller, may have room. */
static inline void csp_buffer_admit_behind(csp_chan *chan, csp_effects *fx)
{
    if (csp_bounds_bytes(chan) && chan->senders_waiting.head != NULL && !chan->closed && chan->receivers > 0)
        csp_buffer_admit(chan, fx);
}

#endif
