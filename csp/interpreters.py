"""Interpreters without channels or actors: the surface of PEP 554, corrected.

    from csp import interpreters

    with interpreters.create() as interp:
        interp.run("import math; x = math.pi * r", r=2)
        print(interp.run(math.sqrt, 2.0))

One OS thread owns each interpreter for life; `run` hands it the code and waits.  There is no reset: state lives in modules,
C extensions included, so the only clean interpreter is a new one.
"""

from csp import _core, actors
from csp._ref import error_of, home
from csp.errors import ActorStartError, EndOfChannel, RunFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self

__all__ = ["Interpreter", "RunFailed", "create", "get_current", "get_main", "list_all"]

_MAIN = 0


class Interpreter:
    """An interpreter.  They come from `create`, `list_all`, `get_current` and `get_main`; equal if they are the same.

    It lives until `close`, or the end of the interpreter that created it; dropping the object does not end it.
    """

    __slots__ = ("__weakref__", "_id", "_ref")

    def __init__(self, id: int, ref: "actors.ActorRef | None") -> None:
        self._id = id
        self._ref = ref

    @property
    def id(self) -> int:
        """CPython's number of the interpreter."""
        return self._id

    def __repr__(self) -> str:
        return f"<Interpreter id={self._id}>"

    def __eq__(self, other: object) -> bool:
        return self._id == other._id if isinstance(other, Interpreter) else NotImplemented

    def __hash__(self) -> int:
        return hash((Interpreter, self._id))

    def is_running(self) -> bool:
        """Does code run in it?  The main interpreter, this one and those of actors always run."""
        if self._ref is None:
            return True
        id, running, _ = self._ref._look()
        return running and id >= 0

    def run(self, code: "str | Callable[..., Any]", /, *args: object, **shared: object) -> "Any":
        """Run source text or call a function in it, and wait for the end.

        Source runs in its `__main__`, where the names that it binds stay, as do the `shared` values, bound before; it
        returns None.  A function is called with `*args, **shared` and its value returned.  All values are copied.

        Raises `RuntimeError` if it is running already or closed; `NotShareable` before anything ran; `RunFailed` for an
        uncaught exception, with `.remote`, and `__cause__` where the original crosses.  Ctrl-C ends the wait with
        `KeyboardInterrupt`, which is also raised, once, in the running code, at its next step in Python: what sits in
        C code or waits in a channel goes on, and the interpreter counts as running until it ends.
        """
        if isinstance(code, str):
            if args:
                raise TypeError("source takes no positional arguments: share values by name")
        elif not callable(code):
            raise TypeError(f"code must be source text or a function, not {type(code).__name__}")
        what = code if isinstance(code, str) else actors.by_reference(code)
        ref = self._begin()
        sender, reply = _core.channel(1)
        try:
            ref._sender().send_many([(what, args, shared), sender])
        except BaseException:
            ref._end_run()
            raise
        sender.close()  # the reply ends with the interpreter
        try:
            ok, value = reply.recv()
        except EndOfChannel:
            raise RunFailed(f"interpreter {self._id} ended before the code did") from None
        except BaseException:
            ref._interrupt()
            raise
        if ok:
            return value
        raise error_of(RunFailed, f"in interpreter {self._id}", value)

    def _begin(self) -> "actors.ActorRef":
        word = "running" if self._ref is None else self._ref._begin_run()
        if self._ref is None or word != "ok":
            raise RuntimeError(f"interpreter {self._id} is {'already running' if word == 'running' else 'closed'}")
        return self._ref

    def close(self) -> None:
        """End it, and wait until it has ended; idempotent.

        Raises `RuntimeError` while code runs in it, and for the main interpreter, this one and those of actors.
        """
        if self._ref is None or self == get_current():
            raise RuntimeError(f"interpreter {self._id} is running: it cannot be closed from here")
        word = self._ref._begin_close()
        if word == "running":
            raise RuntimeError(f"interpreter {self._id} is running: it cannot be closed now")
        monitor = self._ref.exited
        if word == "ok":
            self._ref._ask_stop()
        monitor.recv()

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self,
        exc_type: "type[BaseException] | None",
        exc: "BaseException | None",
        traceback: "TracebackType | None",
    ) -> None:
        self.close()


for _class in (Interpreter,):
    _class.__module__ = "csp.interpreters"


def create() -> Interpreter:
    """Make an interpreter with a GIL of its own.  Raises `ActorStartError` if there cannot be one."""
    actors.prepare_process()
    ref, started = _core.spawn_actor(None, "interpreter", True, False, True, False, 0, 0, 64, 0.0, actors._parent_here(), actors.no_start(), None)
    actors.await_start(ref, started, None)
    id, _, _ = ref._look()
    if id < 0:
        raise ActorStartError("the interpreter has ended again: the process is ending")
    return Interpreter(id, ref)


def list_all() -> "list[Interpreter]":
    """All live interpreters that csp knows, the main one first: created here, of actors, and this one."""
    found = {_MAIN: get_main()}
    for ref in _core.list_actors():
        id, _, _ = ref._look()
        if id > 0:
            found[id] = Interpreter(id, ref)
    current = get_current()
    found.setdefault(current.id, current)
    return list(found.values())


def get_current() -> Interpreter:
    """The interpreter that this code runs in."""
    return Interpreter(_core.interpreter_id(), home())


def get_main() -> Interpreter:
    """The main interpreter of the process."""
    return Interpreter(_MAIN, None)
