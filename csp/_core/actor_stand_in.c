/* Stand-in until py_interp.c, py_attach.c and py_actor.c land.  Delete it then (and in pyproject.toml). */
#include "state.h"

int csp_add_actor_types(PyObject *module, csp_state *state) { return 0; }
PyMethodDef csp_interp_functions[] = {{NULL}};
PyMethodDef csp_actor_functions[] = {{NULL}};
struct csp_actor *csp_ref_actor(PyObject *ref) { return NULL; }
PyObject *csp_ref_new(csp_state *state, struct csp_actor *actor) { return Py_NewRef(Py_None); }
