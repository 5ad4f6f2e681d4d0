/* Dead letters of messages that nobody decodes on the way: what a crash left, and no life is to get again.
 *
 * The message lies whole inside the letter, as a part, so this needs no interpreter: it is done between lives.
 */
#include "actor.h"
#include "flat.h"
#include "mem.h"

/* DeadLetter(ref, message, deliveries), as encode.c would write it. */
static csp_blob *write_letter(csp_actor *actor, csp_msg *msg, csp_msg *boxed)
{
    int32_t deliveries = msg->deliveries;
    const unsigned char head[] = {TAG_RECORD, CSP_DEAD_LETTER, 3, TAG_ACTOR, 0, TAG_LETTER, 1, TAG_INT4};
    csp_blob *blob = csp_blob_new(sizeof head + sizeof deliveries);
    uint32_t index;
    if (blob == NULL)
        return NULL;
    csp_actor_incref(actor);
    if (!csp_blob_add_part(blob, &csp_actor_part, actor, 0, &index)) {
        csp_actor_decref(actor);
        csp_blob_free(blob);
        return NULL;
    }
    if (!csp_blob_add_part(blob, &csp_msg_part, boxed, 0, &index)) {
        csp_blob_free(blob);
        return NULL;
    }
    csp_msg_move(boxed, msg);
    memcpy(blob->data, head, sizeof head);
    memcpy(blob->data + sizeof head, &deliveries, sizeof deliveries);
    blob->length = sizeof head + sizeof deliveries;
    return blob;
}

static void bury(csp_actor *actor, csp_msg *msg)
{
    csp_chan *chan = csp_dead_letters();
    csp_msg *boxed = chan == NULL ? NULL : csp_raw_calloc(1, sizeof *boxed);
    csp_blob *blob = boxed == NULL ? NULL : write_letter(actor, msg, boxed);
    if (blob == NULL) { /* no memory, and nobody to tell */
        csp_raw_free(boxed);
        csp_msg_clear(msg);
        return;
    }
    csp_case c = {.chan = chan, .dir = CSP_SEND, .msg = {.kind = CSP_MSG_BLOB, .as.blob = blob}};
    csp_effects fx;
    csp_effects_init(&fx);
    csp_chan_try(&c, &fx); /* there is room: the oldest gives way */
    csp_effects_run(&fx);
    csp_msg_clear(&c.msg);
}

void csp_install_letters(void)
{
    atomic_store_explicit(&csp_actor_bury, bury, memory_order_relaxed); /* see actor.h */
}
