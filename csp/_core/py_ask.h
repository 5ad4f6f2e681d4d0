/* The caller's side of class actors: `ref.call`, `ref.ask`, `ref.cast`. */
#ifndef CSP_PY_ASK_H
#define CSP_PY_ASK_H

#include "state.h"

/* Getters of ActorRef.  TypeError if the actor is a function. */
PyObject *csp_verb_call(PyObject *ref, void *unused);
PyObject *csp_verb_ask(PyObject *ref, void *unused);
PyObject *csp_verb_cast(PyObject *ref, void *unused);

/* Their entries in its table. */
#define CSP_VERB_GETTERS                                                                                                     \
    {"call", csp_verb_call, NULL,                                                                                            \
     PyDoc_STR("Ask and wait for the reply: `ref.call.method(...)`, `ref.call(timeout=2).method(...)`.\n\n"                  \
               "An exception in the method reaches the caller as `ActorFailed`, and the actor goes on.  `ActorDied` if it\n" \
               "ends before it answers; `Timeout`: the request may have run; `DeadlockError` in the actor itself.")},        \
    {"ask", csp_verb_ask, NULL, PyDoc_STR("Ask and get a `Reply` for later: `ref.ask.method(...)`.")},                       \
    {"cast", csp_verb_cast, NULL,                                                                                            \
     PyDoc_STR("Fire and forget: `ref.cast.method(...)`; blocks only while the mailbox is full (`cast(timeout=...)`).\n\n"   \
               "An exception in the method ends the actor as `\"failed\"`.")},

/* The module of this interpreter goes: so does the reply channel that it keeps. */
void csp_drop_idle_reply(csp_state *state);

#endif
