"""Does a module load?  Runs in a process of its own, because the answer can be a crash.

    python -c "from csp.cli.probe import main; main('interpreter', 'numpy')"

prints one line, MARK and a JSON object: {"loads", "type_name", "message", "seconds"}.
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
    """Try to import `module` "here" or in an "interpreter" with its own GIL, and print what became of it."""
    outcome = here(module) if where == "here" else in_interpreter(module)
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
