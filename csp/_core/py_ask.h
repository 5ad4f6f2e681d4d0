/* The caller's side of class actors: `ref.call`, `ref.ask`, `ref.cast`. */
#ifndef CSP_PY_ASK_H
#define CSP_PY_ASK_H

#include "state.h"

/* Getters of ActorRef.  TypeError if the actor is a function. */
PyObject *csp_verb_call(PyObject *ref, void *unused);
PyObject *csp_verb_ask(PyObject *ref, void *unused);
PyObject *csp_verb_cast(PyObject *ref, void *unused);

/* The module of this interpreter goes: so does the reply channel that it keeps. */
void csp_drop_idle_reply(csp_state *state);

#endif
