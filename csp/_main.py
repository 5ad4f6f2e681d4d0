"""How objects of the main program are found in another interpreter.

A function or class of an ordinary module crosses as a module's name and its own.  `__main__` is another module in each
interpreter, so its objects cross with a *reference* to the program: a script file, or the module given to `python -m`.  An
interpreter that needs it runs the program once more, under the name `__mp_main__`, as `multiprocessing` does for its spawned
processes; hence the usual `if __name__ == "__main__":` guard.  In the interpreter whose `__main__` is the program itself, the
reference leads to that.

A program without a file (`python -c`, a REPL, a notebook, standard input), or one that has no such guard by nature
(a package's `__main__.py`), has no reference; its objects cross by value (`csp._pickling`).

This module is on an actor's path and imports only what every interpreter has.
"""

import os
import sys
from _thread import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType

    Reference = tuple[str, str]

NAME = "__mp_main__"
NAMES = ("__main__", NAME)

_loading = RLock()  # two threads must not run the program both; the program itself may come back here


def main_reference() -> "Reference | None":
    """How another interpreter can reach the main program: ("path", file), ("module", name), or None if it cannot."""
    reference: Reference | None = getattr(sys.modules.get(NAME), "__csp_reference__", None)
    if reference is not None:
        return reference
    main = vars(sys.modules.get("__main__", sys))
    name = getattr(main.get("__spec__"), "name", None)
    if name is not None:
        # `__main__` of a package, a directory or a zip file runs its job when imported: it has no guard.
        return None if name.rpartition(".")[2] == "__main__" else ("module", name)
    file = main.get("__file__")
    if isinstance(file, str) and not file.endswith(".pyc") and os.path.isfile(file):
        return "path", os.path.abspath(file)
    return None


def load_main(reference: "Reference") -> "ModuleType":
    """The module of the program in this interpreter: `__main__` if this is where it runs, else run it once as `__mp_main__`.

    Raises whatever the program raises.
    """
    with _loading:
        if main_reference() == reference:
            # One that has run it as __mp_main__ knows the reference from there; where it is __main__, both names lead to it.
            return sys.modules.setdefault(NAME, sys.modules["__main__"])
        return _run(reference)


def main_attribute(reference: "Reference", qualname: str) -> object:
    """The function or class of that name in the program."""
    return resolve(load_main(reference), qualname)


def resolve(module: object, qualname: str) -> object:
    """Follow a dotted name.  AttributeError if it leads nowhere."""
    found = module
    for name in qualname.split("."):
        found = getattr(found, name)
    return found


def reference_to(thing: object) -> "tuple[Reference, str] | None":
    """(reference, qualname) of a function or class of the main program, or None if it cannot be found by that."""
    reference = main_reference()
    qualname = getattr(thing, "__qualname__", None)
    if reference is None or not isinstance(qualname, str):
        return None
    module = sys.modules.get(thing.__module__)
    try:
        if resolve(module, qualname) is not thing:
            return None
    except AttributeError:
        return None
    code = getattr(thing, "__code__", None)
    if code is not None and code.co_filename.startswith("<"):
        return None  # typed at the prompt that `python -i script.py` gives
    return reference, qualname


def _run(reference: "Reference") -> "ModuleType":
    module = type(sys)(NAME)
    code = _code_of(reference, module)
    module.__csp_reference__ = reference  # type: ignore[attr-defined]
    previous = sys.modules.get(NAME)
    sys.modules[NAME] = module
    try:
        exec(code, vars(module))
    except BaseException:
        if previous is None:
            del sys.modules[NAME]
        else:
            sys.modules[NAME] = previous
        raise
    _let_main_find(module)
    return module


def _code_of(reference: "Reference", module: "ModuleType") -> "CodeType":
    kind, where = reference
    if kind == "module":
        from importlib.util import find_spec

        spec = find_spec(where)
        if spec is None or spec.loader is None:
            raise ImportError(f"the main program, module {where!r}, is not found here", name=where)
        module.__file__ = spec.origin
        module.__package__ = spec.parent
        code: CodeType | None = spec.loader.get_code(where)  # type: ignore[attr-defined]
        if code is None:
            raise ImportError(f"the main program, module {where!r}, has no code", name=where)
        return code
    from _io import open_code

    directory = os.path.dirname(where)
    if directory not in sys.path:
        sys.path.insert(0, directory)  # as it is where the script runs
    module.__file__ = where
    with open_code(where) as file:
        return compile(file.read(), where, "exec", dont_inherit=True)


def _let_main_find(module: "ModuleType") -> None:
    """Let a foreign pickle that names `__main__` find the program's objects, without touching what __main__ itself has."""
    main = sys.modules.get("__main__")
    if main is None or main is module or "__getattr__" in vars(main):
        return

    def __getattr__(name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(f"module '__main__' has no attribute {name!r}")
        return getattr(module, name)

    main.__getattr__ = __getattr__  # type: ignore[method-assign]
