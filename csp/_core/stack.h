/* The Python stack of a thread as text that belongs to no interpreter, and the Exit of an actor that hung, which carries one. */
#ifndef CSP_STACK_H
#define CSP_STACK_H

#include "actor.h"

#define CSP_STACK_FRAMES 200 /* the innermost ones; as csp._remote keeps of a traceback */

/* RAW, one owner.  All zero: empty. */
typedef struct {
    uint32_t nframes;               /* 0 is the innermost */
    uint32_t at[CSP_STACK_FRAMES];  /* where each begins in `words` */
    uint32_t *words;                /* of each frame: line, length of the file's name, of the function's, both in code points */
    size_t used, room;
} csp_stack;

/* The next outer frame; its two names are for the caller to fill in, one after the other.  NULL: full, or no memory. */
uint32_t *csp_stack_add(csp_stack *stack, int line, uint32_t file, uint32_t function);
void csp_stack_clear(csp_stack *stack);

/* Exit(ref, "watchdog", None, RemoteError): what an actor dies of that showed no sign of life for its limit; `stack` (NULL: not
 * known) becomes the traceback of the RemoteError.  Needs no interpreter.  False without memory. */
bool csp_hung_exit(csp_actor *actor, const csp_stack *stack, csp_msg *msg);

#endif
