/* The cases of a select in the engine's form and in Python's, for select, Selector and the awaiting forms. */
#ifndef CSP_PY_SELECT_H
#define CSP_PY_SELECT_H

#include "py_wait.h"
#include "select.h"

typedef struct {
    csp_select sel;
    PyObject **objects; /* what was passed as the channel, a new reference each; NULL: disabled */
    PyObject **handles; /* the handle behind it (often the same object), a new reference each */
    PyObject **values;  /* what to send, a new reference each; NULL: a receive */
    void *memory;       /* RAW, owned: all arrays above, if they are not on the stack */
    bool has_sends;
} csp_cases;

#define CSP_CASES_ON_STACK 16 /* cases of one call that need no allocation */
typedef struct {
    csp_case cases[CSP_CASES_ON_STACK];
    csp_case *order[CSP_CASES_ON_STACK];
    csp_look looks[CSP_CASES_ON_STACK];
    PyObject *objects[3 * CSP_CASES_ON_STACK];
} csp_cases_room;

/* From a list of cases; `room` may be NULL.  On failure, -1 with an exception set, nothing is left to release. */
int csp_cases_from(csp_state *state, csp_cases *cs, PyObject *list, csp_cases_room *room);
/* The same by hand: room for n, then each; csp_select_prepare after the last. */
int csp_cases_reserve(csp_cases *cs, Py_ssize_t n, csp_cases_room *room);
int csp_cases_add(csp_state *state, csp_cases *cs, PyObject *item);
void csp_cases_release(csp_cases *cs);

int csp_cases_encode(csp_state *state, csp_cases *cs); /* the values to send; -1 with an exception set: clear them all the same */
void csp_cases_clear(csp_cases *cs);                   /* those that were not sent */

/* What a wait must answer before it begins: CSP_OK, or CSP_FORKED with *p_fired, CSP_STOPPED, CSP_KILLED. */
csp_status csp_cases_may_begin(csp_state *state, csp_cases *cs, csp_case **p_fired);

PyObject *csp_cases_result(csp_state *state, csp_cases *cs, csp_status status, csp_case *fired);

uint32_t csp_select_seed(csp_state *state);

/* py_selected.c.  Takes over `value` (NULL: an exception is set, which stays). */
PyObject *csp_selected(csp_state *state, PyObject *object, PyObject *value, Py_ssize_t index);

#endif
