/* Stacks as text, and the Exit of an actor that hung, written as encode.c would. */
#include "stack.h"

#include <stdio.h>

#include "flat.h"
#include "mem.h"

uint32_t *csp_stack_add(csp_stack *stack, int line, uint32_t file, uint32_t function)
{
    size_t need = stack->used + 3 + file + function;
    if (stack->nframes == CSP_STACK_FRAMES)
        return NULL;
    if (need > stack->room) {
        size_t room = need * 2 + 256;
        uint32_t *grown = csp_raw_realloc(stack->words, room * sizeof *grown);
        if (grown == NULL)
            return NULL;
        stack->words = grown;
        stack->room = room;
    }
    uint32_t *frame = stack->words + stack->used;
    frame[0] = (uint32_t)line;
    frame[1] = file;
    frame[2] = function;
    stack->at[stack->nframes++] = (uint32_t)stack->used;
    stack->used = need;
    return frame + 3;
}

void csp_stack_clear(csp_stack *stack)
{
    csp_raw_free(stack->words);
    memset(stack, 0, sizeof *stack);
}

/* --- writing: there is room, it was computed before --- */

static void put(csp_blob *blob, const void *bytes, size_t n)
{
    memcpy(blob->data + blob->length, bytes, n);
    blob->length += n;
}

static void put_byte(csp_blob *blob, unsigned byte) { put(blob, &(unsigned char){(unsigned char)byte}, 1); }

static void put_size(csp_blob *blob, uint32_t n)
{
    if (n < 254) {
        put_byte(blob, n);
        return;
    }
    put_byte(blob, 254);
    put(blob, &n, sizeof n);
}

static void put_ascii(csp_blob *blob, const char *text)
{
    put_byte(blob, TAG_ASCII);
    put_size(blob, (uint32_t)strlen(text));
    put(blob, text, strlen(text));
}

/* In the narrowest kind: strings are kept so, and compared so. */
static void put_text(csp_blob *blob, const uint32_t *points, uint32_t n)
{
    uint32_t all = 0;
    for (uint32_t i = 0; i < n; i++)
        all = points[i] > all ? points[i] : all;
    put_byte(blob, all < 0x80 ? TAG_ASCII : all < 0x100 ? TAG_STR1 : all < 0x10000 ? TAG_STR2 : TAG_STR4);
    put_size(blob, n);
    for (uint32_t i = 0; i < n; i++) {
        uint16_t two = (uint16_t)points[i];
        if (all < 0x100)
            put_byte(blob, points[i]);
        else if (all < 0x10000)
            put(blob, &two, sizeof two);
        else
            put(blob, &points[i], sizeof points[i]);
    }
}

/* (file, line, function, None, None, None), as csp._remote has it */
static void put_frame(csp_blob *blob, const uint32_t *frame)
{
    const unsigned char head[] = {TAG_TUPLE, 6}, none[] = {TAG_NONE, TAG_NONE, TAG_NONE};
    put(blob, head, sizeof head);
    put_text(blob, frame + 3, frame[1]);
    put_byte(blob, TAG_INT4);
    put(blob, frame, sizeof *frame);
    put_text(blob, frame + 3 + frame[1], frame[2]);
    put(blob, none, sizeof none);
}

#define FRAME_OVERHEAD 24  /* tags, sizes and the line */
#define FIXED_SIZE 512     /* all that is no frame */

bool csp_hung_exit(csp_actor *actor, const csp_stack *stack, csp_msg *msg)
{
    uint32_t n = stack == NULL ? 0 : stack->nframes, index;
    csp_blob *blob = csp_blob_new(FIXED_SIZE + n * FRAME_OVERHEAD + (n > 0 ? stack->used : 0) * sizeof(uint32_t));
    if (blob == NULL)
        return false;
    csp_actor_incref(actor);
    if (!csp_blob_add_part(blob, &csp_actor_part, actor, 0, &index)) {
        csp_actor_decref(actor);
        csp_blob_free(blob);
        return false;
    }
    char message[160];
    snprintf(message, sizeof message, "finished no message and waited for nothing in csp for %.6g s",
             (double)actor->watchdog / 1e9);
    const unsigned char head[] = {TAG_RECORD, CSP_EXIT, 4, TAG_ACTOR, (unsigned char)index};
    const unsigned char middle[] = {TAG_NONE, TAG_RECORD, CSP_REMOTE_ERROR, 7};
    const unsigned char tail[] = {TAG_TUPLE, 0, TAG_NONE, TAG_NONE, TAG_NONE};
    put(blob, head, sizeof head);
    put_ascii(blob, "watchdog");
    put(blob, middle, sizeof middle);
    put_ascii(blob, "TimeoutError");
    put_ascii(blob, message);
    put_byte(blob, TAG_TUPLE);
    put_size(blob, n);
    while (n-- > 0) /* the outermost first */
        put_frame(blob, stack->words + stack->at[n]);
    put(blob, tail, sizeof tail);
    *msg = (csp_msg){.kind = CSP_MSG_BLOB, .as.blob = blob};
    return true;
}
