/* What cppcheck is told of Python.h, in which it would spend minutes: which macros return. */
#define Py_RETURN_NONE return Py_None
#define Py_RETURN_TRUE return Py_True
#define Py_RETURN_FALSE return Py_False
#define Py_RETURN_NOTIMPLEMENTED return Py_NotImplemented
#define Py_VISIT(o) do { int r = visit(o, arg); if (r) return r; } while (0)
