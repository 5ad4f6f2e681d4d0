/* Calls of class actors, the parts that C does: whom to answer when a request cannot be rebuilt, and the answer itself. */
#ifndef CSP_PY_CALL_H
#define CSP_PY_CALL_H

#include "state.h"

/* The message could not be decoded, and that exception is set.  If it is a request, the exception gets the sender of its
 * reply channel as `_reply`: whoever waits for the answer is to hear of it. */
void csp_attach_reply(csp_state *state, const csp_msg *msg);

#endif
