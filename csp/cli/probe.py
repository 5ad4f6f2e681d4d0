"""Does a module load?  Runs in a process of its own, because the answer can be a crash.

    python -c "from csp.cli.probe import main; main('interpreter', 'numpy')"

prints one line, MARK and a JSON object: {"loads", "type_name", "message", "seconds"}, and "ended" if the actor that tried it ended.
"""

import importlib
import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csp import RemoteError

MARK = "csp-probe: "

REFUSAL = "does not support loading in subinterpreters"
"""What CPython says of an extension module that has not declared that it can."""


def main(where: str, module: str) -> None:
    """Try to import `module` in an "interpreter" with its own GIL, or an actor that is a "thread" or a "process"; print what became of it."""
    outcome = in_interpreter(module) if where == "interpreter" else in_actor(module, where)
    print(f"\n{MARK}{json.dumps(outcome)}", flush=True)


def here(module: str) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        importlib.import_module(module)
    except BaseException as error:
        return {"loads": False, "type_name": type(error).__name__, "message": str(error), "seconds": time.perf_counter() - started}
    return {"loads": True, "type_name": "", "message": "", "seconds": time.perf_counter() - started}


def in_interpreter(module: str) -> dict[str, Any]:
    from csp import interpreters
    from csp.errors import RunFailed

    with interpreters.create() as interpreter:
        started = time.perf_counter()
        try:
            interpreter.run("import importlib; importlib.import_module(module)", module=module)
        except RunFailed as error:
            return {"loads": False, **told_by(error.remote), "seconds": time.perf_counter() - started}
        return {"loads": True, "type_name": "", "message": "", "seconds": time.perf_counter() - started}


def in_actor(module: str, isolation: str) -> dict[str, Any]:
    import csp

    end = csp.spawn(here, module, isolation=isolation).join()
    if end.reason == "normal":
        return end.value  # type: ignore[no-any-return]
    return {"loads": False, "ended": True, **told_by(end.remote), "seconds": None}


def told_by(remote: "RemoteError | None") -> dict[str, str]:
    """The error that tells most: the refusal at the root of the chain, if there is one; packages wrap it in pages of advice."""
    telling = error = remote
    while error is not None:
        if REFUSAL in error.message:
            telling = error
        error = error.cause or error.context
    if telling is None:
        return {"type_name": "", "message": "failed, and left no word"}
    return {"type_name": telling.type_name, "message": telling.message}
