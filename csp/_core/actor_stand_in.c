/* Stand-in until py_interp.c, py_attach.c and py_actor.c land.  Delete it then (and in pyproject.toml). */
#include "state.h"

int csp_add_actor_types(PyObject *module, csp_state *state) { return 0; }
PyMethodDef csp_interp_functions[] = {{NULL}};
PyMethodDef csp_actor_functions[] = {{NULL}};
