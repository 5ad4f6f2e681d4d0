"""Actors: functions that live in an interpreter of their own and talk through channels.

    @csp.actor
    def square(jobs, done):
        for n in jobs:
            done.send(n * n)

    if __name__ == "__main__":
        jobs, done = csp.Channel(8), csp.Channel(8)
        ref = square.spawn(jobs.receiver, done.sender)
        jobs.send(7)
        print(done.recv())
        print(ref.stop().reason)

An actor's interpreter imports this module at each start, so it imports nothing that a bare interpreter has not.  The
vocabulary, exits and monitors are Erlang's; `stopping` as a channel for select is Go's habit.
"""

import sys

from csp import _core
from csp.errors import (
    ActorDied,
    ActorFailed,
    ActorStartError,
    BrokenChannel,
    DeadlockError,
    NotShareable,
    Timeout,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ParamSpec, Protocol, Self, TypeVar, overload

    from csp._remote import RemoteError
    from csp.errors import RunFailed

    P = ParamSpec("P")
    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)

    class ActorFunction(Protocol[P, R_co]):
        """A function that `@actor` has decorated: it still works directly, and it can be spawned."""

        __name__: str

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
        def spawn(self, *args: P.args, **kwargs: P.kwargs) -> "ActorRef": ...


__all__ = [
    "ActorContext",
    "ActorRef",
    "Exit",
    "RemoteError",
    "actor",
    "current_actor",
    "run",
    "spawn",
    "whereis",
]

_MAILBOX = 1024
_KILL_GRACE = 1.0  # seconds that a kill gets before the actor is quarantined
_ISOLATIONS = ("interpreter", "thread", "process")


class Exit(tuple):  # type: ignore[type-arg]
    """How an actor ended: `(ref, reason, value, remote)`.

    `reason` is `"normal"` (it returned `value`), `"shutdown"` (it was stopped), `"failed"` (it raised; `remote` is the
    `RemoteError`), `"killed"` or `"watchdog"`.
    """

    __slots__ = ()
    __module__ = "csp"
    __match_args__ = ("ref", "reason", "value", "remote")

    def __new__(cls, ref: "ActorRef", reason: str, value: object = None, remote: "RemoteError | None" = None) -> "Self":
        return tuple.__new__(cls, (ref, reason, value, remote))

    @property
    def ref(self) -> "ActorRef":
        """Whose end it was."""
        return self[0]  # type: ignore[no-any-return]

    @property
    def reason(self) -> str:
        """`"normal"`, `"shutdown"`, `"failed"`, `"killed"` or `"watchdog"`."""
        return self[1]  # type: ignore[no-any-return]

    @property
    def value(self) -> "Any":
        """What the function returned, else None."""
        return self[2]

    @property
    def remote(self) -> "RemoteError | None":
        """What it raised, else None."""
        return self[3]  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"Exit(ref={self[0]!r}, reason={self[1]!r}, value={self[2]!r}, remote={self[3]!r})"


_core.set_record_type(0, Exit)


# --- references ---


class ActorRef(_core.Actor):
    """A reference to an actor: shareable, comparable, hashable.  References come from `spawn` and `whereis`.

    It does not keep the actor alive, and an actor does not end because nobody has a reference to it.
    """

    __slots__ = ()
    __module__ = "csp"

    def __repr__(self) -> str:
        return f"<ActorRef {self.name!r} id={self.id}>"

    @property
    def exited(self) -> "_core.RecvChannel[Exit]":
        """A new channel that yields the `Exit` once and then ends: a monitor, for `select`.

        Each access is a monitor of its own, so any number of observers each get the Exit, also after the fact.  Keep
        the object to compare it with what `select` returns.
        """
        return self._monitor()

    def join(self, timeout: "float | None" = None) -> Exit:
        """Wait for the end and return the `Exit`.  Raises `Timeout`, and `DeadlockError` in the actor itself."""
        self._refuse_self("join")
        return self._monitor().recv(timeout)

    def result(self, timeout: "float | None" = None) -> "Any":
        """Wait for the end and return what the function returned.

        Raises `ActorFailed` if it did not return: it raised (`remote` is the snapshot, `__cause__` the original
        exception where that can cross), or it was stopped or killed before it returned.  Raises `Timeout` as `join`.
        """
        end = self.join(timeout)
        if end.reason in ("normal", "shutdown") and self._returned():
            return end.value
        if end.remote is None:
            raise ActorFailed(f"actor {self.name!r} ended before it returned: {end.reason}")
        raise error_of(ActorFailed, f"actor {self.name!r} failed", end.remote)

    def send(self, message: object, timeout: "float | None" = None) -> None:
        """Send a raw message to the actor's inbox; waits while the mailbox is full.

        Raises `ActorDied` if the actor has ended, `Timeout`, and `NotShareable`: in each case nothing was sent.
        """
        try:
            self._sender().send(message, timeout)
        except BrokenChannel:
            raise ActorDied(f"actor {self.name!r} has ended") from None

    def stop(self, timeout: "float | None" = 5.0) -> Exit:
        """Ask the actor to stop, wait until it has ended and return the `Exit`.

        Its `stopping` channel fires and, unless it traps stops, its next blocking csp operation, or the one it waits
        in, raises `Stopped`; code that computes is not interrupted.  Past `timeout` it is killed.
        """
        monitor = self._monitor()
        self._ask_stop()
        try:
            return monitor.recv(timeout)
        except Timeout:
            return self.kill()

    def kill(self) -> Exit:
        """End the actor at once and return the `Exit`.

        Its waits in csp are broken off and `Killed` is raised in its Python code, again and again.  What sits in C
        code cannot be stopped inside one process: after a second it is quarantined, that is, its handles go dead, its
        name is free and its end is announced as `"killed"`, while its thread goes on until the C code returns.
        """
        monitor = self._monitor()
        self._kill()
        try:
            return monitor.recv(_KILL_GRACE)
        except Timeout:
            self._quarantine()
            return monitor.recv()

    def _refuse_self(self, what: str) -> None:
        context = _context_here()
        if context is not None and context.ref == self:
            raise DeadlockError(f"{what}: an actor cannot wait for its own end")


_core.set_ref_type(ActorRef)


def error_of(cls: "type[ActorFailed | ActorStartError | RunFailed]", what: str, remote: "RemoteError") -> "Any":
    """The exception that stands for what was raised in another interpreter."""
    from csp._remote import refused_advice

    error = cls(f"{what}: {remote}{refused_advice(remote)}")
    error.remote = remote
    error.__cause__ = remote.original()
    error.add_note(f"\nIn the actor:\n{remote.traceback.rstrip()}")
    return error


# --- inside an actor ---


class ActorContext:
    """What an actor knows of itself: `name`, `id`, `ref`, `inbox`, `stopping`, `parent`.  From `current_actor()`."""

    __slots__ = ("_inbox", "_stopping", "ref")
    __module__ = "csp"

    def __init__(self, ref: ActorRef) -> None:
        self.ref = ref
        self._inbox: _core.RecvChannel[Any] | None = None
        self._stopping: _core.RecvChannel[bool] | None = None

    def __repr__(self) -> str:
        return f"<ActorContext {self.ref.name!r}>"

    @property
    def name(self) -> str:
        """The registered name."""
        return self.ref.name

    @property
    def id(self) -> int:
        """The number of the actor, unique in this process."""
        return self.ref.id

    @property
    def inbox(self) -> "_core.RecvChannel[Any]":
        """Where `ref.send` goes; the same handle each time."""
        if self._inbox is None:
            self._inbox = self.ref._inbox()
        return self._inbox

    @property
    def stopping(self) -> "_core.RecvChannel[bool]":
        """Yields True when a stop is asked, then ends; for `select`.  The same handle each time."""
        if self._stopping is None:
            self._stopping = self.ref._stopping()
        return self._stopping

    @property
    def parent(self) -> "ActorRef | None":
        """The actor that spawned this one; None if the main program did."""
        return self.ref._parent()

    def ready(self) -> None:
        """Tell `spawn` that the actor is ready; only for `@actor(ready=True)`, else it has no effect."""
        _core.boot_alive()


_context: "ActorContext | None" = None  # of the actor that has this interpreter to itself
_home: "ActorRef | None" = None  # whose interpreter this is: the parent of what is spawned here


def enter(ref: ActorRef, context: "ActorContext | None") -> None:
    """This interpreter belongs to `ref` from now on.  Called by csp._boot."""
    global _context, _home
    _home = ref
    _context = context


def leave() -> None:
    """The actor's body is over.  Called by csp._boot.

    What hangs on this module's globals would else never be freed: references and handles are in a cycle with it, through
    their classes, and the cycle collector does not see into them.
    """
    global _context, _home
    _context = _home = None


def _context_here() -> "ActorContext | None":
    return _context


def current_actor() -> ActorContext:
    """The actor that this code runs in.  Raises `RuntimeError` outside of actors."""
    context = _context_here()
    if context is None:
        raise RuntimeError("current_actor() outside of an actor")
    return context


# --- making and finding them ---


class _Spawn:
    """The `spawn` of a decorated function.  Not a closure: it has to cross with functions that go by value."""

    __slots__ = ("function",)

    def __init__(self, function: "Callable[..., object]") -> None:
        self.function = function

    def __call__(self, *args: object, **kwargs: object) -> ActorRef:
        return _spawn(self.function, args, kwargs, None, None)


if TYPE_CHECKING:

    @overload
    def actor(function: Callable[P, R], /) -> ActorFunction[P, R]: ...
    @overload
    def actor(
        *,
        isolation: str = ...,
        mailbox: float = ...,
        trap_stop: bool = ...,
        ready: bool = ...,
        start_timeout: float | None = ...,
    ) -> Callable[[Callable[P, R]], ActorFunction[P, R]]: ...


def actor(function: "Any" = None, /, **options: "Any") -> "Any":
    """Make a function spawnable as an actor; called directly it is the function that it was.

        @csp.actor
        def resize(jobs, done): ...

        @csp.actor(mailbox=16, trap_stop=True)
        def patient(jobs): ...

    Options:

    - `isolation`: `"interpreter"` (its own interpreter and GIL, the default).
    - `mailbox`: how many messages of `ref.send` wait at most; 1024, `math.inf` for no bound.
    - `trap_stop`: a stop only fires `current_actor().stopping`; nothing raises `Stopped`.
    - `ready`: `spawn` waits until the actor calls `current_actor().ready()`.
    - `start_timeout`: how many seconds `spawn` waits for it to be up; then it is killed, and `ActorStartError` raised.
    """
    _check_options(options)

    def decorate(function: "Any") -> "Any":
        if not callable(function):
            raise TypeError(f"@actor decorates a function, not {type(function).__name__}")
        function.__csp_actor__ = options
        function.spawn = _Spawn(function)
        return function

    return decorate if function is None else decorate(function)


def _check_options(options: "dict[str, Any]") -> None:
    for name in options.keys() - {"isolation", "mailbox", "trap_stop", "ready", "start_timeout"}:
        raise TypeError(f"@actor has no option {name!r}")
    if options.get("isolation", "interpreter") not in _ISOLATIONS:
        raise ValueError(f"isolation must be one of {', '.join(_ISOLATIONS)}, not {options['isolation']!r}")
    _mailbox(options.get("mailbox", _MAILBOX))


def _mailbox(capacity: "Any") -> int:
    """As the core wants it: -1 for no bound."""
    if type(capacity) is float and capacity == float("inf"):
        return -1
    if type(capacity) is not int:
        raise TypeError(f"mailbox must be an int or math.inf, not {type(capacity).__name__}")
    if capacity < 1:
        raise ValueError(f"mailbox must be at least 1, not {capacity}")
    return capacity


def spawn(
    function: "Callable[..., object]",
    /,
    *args: object,
    name: "str | None" = None,
    isolation: "str | None" = None,
    **kwargs: object,
) -> ActorRef:
    """Start an actor that runs `function(*args, **kwargs)`; return its `ActorRef` once it is up.

    Waits until the interpreter is there and the function and its arguments have arrived in it; a failure there raises
    `ActorStartError` with `.remote`.  Arguments are copied, as everything that crosses; `NotShareable` is raised before
    anything is started.  `name` must be no other live actor's (`ValueError`); the default is made from the
    function's.  The function's module is imported in the new interpreter, so a script needs its
    `if __name__ == "__main__":` guard.  Ctrl-C while it waits kills the actor.
    """
    return _spawn(function, args, kwargs, name, isolation)


def _spawn(function: "Any", args: "tuple[object, ...]", kwargs: "dict[str, object]", name: "str | None", isolation: "str | None") -> ActorRef:
    options = getattr(function, "__csp_actor__", None) or {}
    _check_target(function, isolation or options.get("isolation") or "interpreter")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    if name == "":
        raise ValueError("name must not be empty")
    prepare_process()
    try:
        ref, started = _core.spawn_actor(
            (by_reference(function), args, kwargs, {"ready": True} if options.get("ready") else {}),
            name or str(getattr(function, "__name__", type(function).__name__)),
            name is None,
            options.get("trap_stop", False),
            False,
            isinstance(function, type),
            0,
            _mailbox(options.get("mailbox", _MAILBOX)),
            _parent_here(),
            no_start(),
        )
    except NotShareable as error:
        raise NotShareable(_name_the_argument(str(error))) from error.__cause__
    await_start(ref, started, options.get("start_timeout"))
    return ref


def by_reference(function: "Any") -> "Any":
    """A function as (module or reference to the main program, qualname), which needs no pickle; else the function itself.

    Pickle costs a new interpreter 4 ms.  `csp._boot` resolves it.
    """
    if type(function) is not type(by_reference):
        return function
    from csp._main import NAMES, reference_to, resolve

    if function.__module__ in NAMES:
        return reference_to(function) or function
    try:
        found = resolve(sys.modules.get(function.__module__), function.__qualname__)
    except AttributeError:
        return function
    return (function.__module__, function.__qualname__) if found is function else function


def no_start() -> "RemoteError":
    """What an actor died of that could not say it itself."""
    from csp._remote import RemoteError

    return RemoteError(("RuntimeError", "the interpreter could not be set up", (), (), None, None, None))


def _parent_here() -> "ActorRef | None":
    context = _context_here()
    return _home if context is None else context.ref


def _check_target(function: "Any", isolation: str) -> None:
    if isolation not in _ISOLATIONS:
        raise ValueError(f"isolation must be one of {', '.join(_ISOLATIONS)}, not {isolation!r}")
    if isolation != "interpreter":
        raise NotImplementedError(f"isolation={isolation!r} is not implemented yet: use 'interpreter'")
    if isinstance(function, type):
        raise NotImplementedError(f"{function.__name__} is a class: class actors are not implemented yet")
    if not callable(function):
        raise TypeError(f"an actor is made of a function, not of {type(function).__name__}")
    if getattr(getattr(function, "__code__", None), "co_flags", 0) & 0x80:  # inspect.CO_COROUTINE
        raise NotImplementedError(f"{function.__name__} is async: async actors are not implemented yet")


def _name_the_argument(text: str) -> str:
    """The payload is (function, args, kwargs, ...): say it in the caller's words."""
    for path, word in (("value[0]", "the function"), ("value[1]", "args"), ("value[2]", "kwargs")):
        text = text.replace(path, word)
    return text


def await_start(ref: ActorRef, started: "_core.RecvChannel[Any]", timeout: "float | None") -> None:
    """Wait until it is up; raise `ActorStartError` if it never comes up."""
    try:
        outcome = started.recv(timeout)
    except Timeout:
        ref.kill()
        raise ActorStartError(f"{ref.name!r} was not up after {timeout} s") from None
    except BaseException:
        ref._kill()
        raise
    if outcome is True:
        return
    what = f"{ref.name!r} could not be started"
    detail = ref._start_error()
    if detail is not None:
        raise ActorStartError(f"{what}: {detail}")
    if outcome.remote is None:
        raise ActorStartError(f"{what}: it ended before it was up ({outcome.reason})")
    raise error_of(ActorStartError, what, outcome.remote)


_prepared = False


def prepare_process() -> None:
    """What this process needs before another interpreter is made; cheap after the first time."""
    global _prepared
    if _home is not None:
        return  # not the main interpreter: it is there because main was prepared
    if sys.version_info < (3, 15):
        import _tracemalloc

        if _tracemalloc.is_tracing():  # creating an interpreter then deadlocks or crashes
            raise ActorStartError("no interpreter can be made while tracemalloc traces, before Python 3.15")
    if not _prepared and sys.version_info < (3, 14):
        # Its static types must be main's: else concurrent imports crash, and so does the exit (gh-136421).
        import _datetime  # type: ignore[import-not-found]  # noqa: F401
    _prepared = True


def whereis(name: str) -> "ActorRef | None":
    """The live actor of that name, from any interpreter; None if there is none."""
    return _core.find_actor(name)


def __getattr__(name: str) -> object:
    if name != "RemoteError":
        raise AttributeError(f"module 'csp.actors' has no attribute {name!r}")
    from csp._remote import RemoteError

    return RemoteError


# --- the program ---


def run(main: "Callable[[], R]") -> "R":
    """Call `main()`, return its value, and own the exit status of the program.

    The status is right even if actors remain at the end that nobody can stop, because they are stuck in C code: then the
    process is left at once with the status that it would have had (a bare script exits 70 in that case).
    """
    try:
        value = main()
    except SystemExit as error:
        _core.set_exit_status(_status_of(error.code))
        raise
    except KeyboardInterrupt:
        _core.set_exit_status(130)
        raise
    except BaseException:
        _core.set_exit_status(1)
        raise
    _core.set_exit_status(0)
    return value


def _status_of(code: object) -> int:
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1


for _function in (actor, current_actor, run, spawn, whereis):
    _function.__module__ = "csp"
del _function
