/* move(obj): what is sent is given away.
 *
 * While a message with a moved thing is on its way, neither side has it: the source (a Python object of the sender) has closed its own
 * handle, and the handle in flight is the content of a csp_parcel, which source and messages share.  Sent, it is the messages': the last
 * one releases it.  Not sent (a timeout, a closed channel, a value that cannot cross), the message is taken apart by csp_msg_unsend() in
 * place of csp_msg_clear(); the parcel is `back` then, and the source takes the content up again when it is next used.
 *
 * The cases of one select are encoded before any is sent, and at most one is: they may all move the same thing.  Their messages share the
 * parcel, which is back once each of them was not sent.
 */
#ifndef CSP_MOVE_H
#define CSP_MOVE_H

#include "state.h"

/* Which select of which thread; `select` 0: none. */
typedef struct {
    uint64_t thread, select;
} csp_move_scope;

typedef struct csp_parcel {
    _Atomic uint32_t refs;     /* acquire-release in decref: the source, and the messages */
    _Atomic uint32_t messages; /* acquire-release in part_release */
    _Atomic uint32_t unsent;   /* acquire-release in unsend: messages of the source that may yet come back */
    _Atomic bool back;         /* release in unsend / acquire in take_up */
    csp_move_scope scope;      /* immutable: of the select whose cases move it, or none */
    const csp_part_ops *ops;   /* immutable: of the content */
    _Atomic(void *) content;   /* RAW, counted, or NULL; taken by an exchange: by the last message, or if it is `back` by the source */
} csp_parcel;

extern const csp_part_ops csp_parcel_part; /* part.self is a csp_parcel* */

/* A parcel of one message and one source; takes over the content, also on failure.  NULL with MemoryError set. */
csp_parcel *csp_parcel_new(const csp_part_ops *ops, void *content);
void csp_parcel_decref(csp_parcel *parcel);
/* Has it come back?  Then the source may take the content, once; NULL if it has gone. */
bool csp_parcel_is_back(csp_parcel *parcel);
void *csp_parcel_take_up(csp_parcel *parcel);

/* This thread encodes the cases of one select from here on, to the end of it, which takes what the beginning returned. */
csp_move_scope csp_move_scope_begin(void);
void csp_move_scope_end(csp_move_scope outer);
/* The parcel for one more message, if an earlier case of the same select has it; else NULL, without an exception.  NULL is fine. */
csp_parcel *csp_parcel_again(csp_parcel *parcel);

/* What a part is about, moved or not.  Whoever has the message keeps it. */
static inline void *csp_part_content(const csp_part *part)
{
    if (part->ops != &csp_parcel_part)
        return part->self;
    return atomic_load_explicit(&((csp_parcel *)part->self)->content, memory_order_relaxed); /* the channel has ordered it */
}

/* The object that is to be moved, borrowed; NULL without an exception if this is not what move() returns. */
PyObject *csp_moved_source(csp_state *state, PyObject *object);

#endif
