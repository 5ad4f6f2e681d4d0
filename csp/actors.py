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
from csp._ref import ActorContext, ActorRef, Exit, context_here, current_actor, error_of, home
from csp.errors import ActorStartError, NotShareable, Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ParamSpec, Protocol, TypeVar, overload

    from csp._remote import RemoteError

    P = ParamSpec("P")
    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)
    T = TypeVar("T")

    class ActorFunction(Protocol[P, R_co]):
        """A function that `@actor` has decorated: it still works directly, and it can be spawned."""

        __name__: str

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
        def spawn(self, *args: P.args, **kwargs: P.kwargs) -> "ActorRef[Callable[..., R_co]]": ...

    class Decorator(Protocol):
        """`@actor(...)`.  A class stays the class: mypy takes no other type from a decorator, pyright then no name as a type."""

        @overload
        def __call__(self, function: type[T], /) -> type[T]: ...  # type: ignore[overload-overlap]
        @overload
        def __call__(self, function: Callable[P, R], /) -> ActorFunction[P, R]: ...


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
_MAX_DELIVERIES = 3
_ISOLATIONS = ("interpreter", "thread", "process")
_KINDS = {"interpreter": 0, "thread": 2, "process": 0}  # as spawn_actor wants it; 1 is csp.interpreters; a process has its bridge in an interpreter
_LIFE_OPTIONS = ("ready", "on_crash", "trap_stop", "loop", "concurrency")  # what a life has to know itself
_ON_CRASH = ("drop", "redeliver", "dead_letter")
_OPTIONS = frozenset(
    "isolation mailbox trap_stop ready start_timeout watchdog on_crash max_deliveries loop concurrency".split()
)


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
    def actor(function: type[T], /) -> type[T]: ...  # type: ignore[overload-overlap]
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
        watchdog: float | None = ...,
        on_crash: str = ...,
        max_deliveries: int = ...,
        loop: str = ...,
        concurrency: int = ...,
    ) -> Decorator: ...


def actor(function: "Any" = None, /, **options: "Any") -> "Any":
    """Make a function or a class spawnable as an actor; called directly it is what it was.

    A function is the actor's whole life.  A class answers calls, one at a time: `ref.call.method(...)`, `ref.ask`, `ref.cast`, and
    `ref.send(message)`, which calls `on_receive(message)`.  Its other hooks are `on_start()`, `on_stop(reason)` and
    `on_failure(exc)`, all optional.

        @csp.actor
        def resize(jobs, done): ...

        @csp.actor(mailbox=16, trap_stop=True)
        def patient(jobs): ...

    Options:

    - `isolation`: `"interpreter"` (its own interpreter and GIL, the default), `"thread"` (a thread of this interpreter,
      for libraries that refuse to load in another one; values are copied all the same), or `"process"` (a child process: the
      same for libraries that hold the GIL or may crash).
    - `mailbox`: how many messages wait at most; 1024, `math.inf` for no bound.  While it is full `ref.call`, `ask`, `cast` and `send` wait.
    - `trap_stop`: a stop only fires `current_actor().stopping`; nothing raises `Stopped`.
    - `on_crash`: what becomes of the message in hand when a class actor crashes: `"drop"` (the default), `"redeliver"` (to its next
      life) or `"dead_letter"` (to `csp.dead_letters`).
    - `max_deliveries`: with `"redeliver"`, how often a message is handed out in all, 3 by default; then it is a dead letter.
    - `loop`: under what the `async def` function, or the class with `async def` methods, runs: `"trio"` (the default) or `"asyncio"`.
      A stop is a cancellation there.
    - `concurrency`: how many messages such a class handles at once, each in a task of its own; 1 by default.
    - `ready`: `spawn` waits until the actor calls `current_actor().ready()`.
    - `start_timeout`: how many seconds `spawn` waits for it to be up; then it is killed, and `ActorStartError` raised.
    - `watchdog`: an actor that for so many seconds neither finishes a message nor waits in csp is killed, with reason `"watchdog"`; the
      `Exit` has in `remote` where it was.  None, the default: it is left alone.  A function is one message for all its life; so are
      `__init__` and each hook; the import of its module does not count.  A channel operation that need not wait is as good as a wait.
    """
    _check_options(options)

    def decorate(function: "Any") -> "Any":
        if not callable(function):
            raise TypeError(f"@actor decorates a function, not {type(function).__name__}")
        _check_async(function, options)
        function.__csp_actor__ = options
        function.spawn = _Spawn(function)
        return function

    return decorate if function is None else decorate(function)


def _check_options(options: "dict[str, Any]") -> None:
    for name in options.keys() - _OPTIONS:
        raise TypeError(f"@actor has no option {name!r}")
    if options.get("on_crash", "drop") not in _ON_CRASH:
        raise ValueError(f"on_crash must be one of {', '.join(_ON_CRASH)}, not {options['on_crash']!r}")
    deliveries = options.get("max_deliveries", _MAX_DELIVERIES)
    if type(deliveries) is not int or deliveries < 1:
        raise ValueError(f"max_deliveries must be an int of at least 1, not {deliveries!r}")
    if options.get("isolation", "interpreter") not in _ISOLATIONS:
        raise ValueError(f"isolation must be one of {', '.join(_ISOLATIONS)}, not {options['isolation']!r}")
    _mailbox(options.get("mailbox", _MAILBOX))
    _watchdog(options.get("watchdog"))


def _check_async(target: "Any", options: "dict[str, Any]") -> None:
    loop, concurrency = options.get("loop", "trio"), options.get("concurrency", 1)
    if loop not in ("trio", "asyncio"):
        raise ValueError(f"loop must be 'trio' or 'asyncio', not {loop!r}")
    if type(concurrency) is not int or concurrency < 1:
        raise ValueError(f"concurrency must be an int of at least 1, not {concurrency!r}")
    if not is_async(target):
        for name in ("loop", "concurrency"):
            if name in options:
                raise ValueError(f"{name} is for `async def` actors, and {target.__name__} is none")
    elif "concurrency" in options and not isinstance(target, type):
        raise ValueError(f"concurrency is for class actors: {target.__name__} is a function, and starts its own tasks")


def _mailbox(capacity: "Any") -> int:
    """As the core wants it: -1 for no bound."""
    if type(capacity) is float and capacity == float("inf"):
        return -1
    if type(capacity) is not int:
        raise TypeError(f"mailbox must be an int or math.inf, not {type(capacity).__name__}")
    if capacity < 1:
        raise ValueError(f"mailbox must be at least 1, not {capacity}")
    return capacity


def _watchdog(seconds: "Any") -> float:
    """As the core wants it: 0.0 for none."""
    if seconds is None:
        return 0.0
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"watchdog must be a number of seconds or None, not {type(seconds).__name__}")
    if not 0 < seconds < float("inf"):
        raise ValueError(f"watchdog must be more than 0 and finite, not {seconds!r}")
    return float(seconds)


def _deliveries(options: "dict[str, Any]") -> int:
    """How often a message is handed out before it is a dead letter; 0: what a crash leaves is dropped."""
    on_crash = options.get("on_crash", "drop")
    if on_crash == "drop":
        return 0
    return 1 if on_crash == "dead_letter" else int(options.get("max_deliveries", _MAX_DELIVERIES))


if TYPE_CHECKING:

    @overload
    def spawn(  # type: ignore[overload-overlap]
        function: type[T], /, *args: object, name: str | None = ..., isolation: str | None = ..., **kwargs: object
    ) -> ActorRef[T]: ...
    @overload
    def spawn(
        function: Callable[..., R], /, *args: object, name: str | None = ..., isolation: str | None = ..., **kwargs: object
    ) -> ActorRef[Callable[..., R]]: ...


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


def _spawn(
    function: "Any", args: "tuple[object, ...]", kwargs: "dict[str, object]", name: "str | None", isolation: "str | None"
) -> ActorRef:
    ref, started = start(function, args, kwargs, name=name, isolation=isolation)
    await_start(ref, started, _options(function).get("start_timeout"))
    return ref


def _options(target: "Any") -> "dict[str, Any]":
    return getattr(target, "__csp_actor__", None) or {}


def isolation_of(target: "Any", given: "str | None") -> str:
    """Where it runs; "thread" is the one that needs no interpreter to be made, and so no `prepare_process`."""
    return given or _options(target).get("isolation") or "interpreter"


def start(
    target: "Any",
    args: "tuple[object, ...]",
    kwargs: "dict[str, object]",
    *,
    name: "str | None" = None,
    isolation: "str | None" = None,
    keep: int = 0,
    unique_name: "str | None" = None,
    warm: "ActorRef | None" = None,
) -> "tuple[ActorRef, _core.RecvChannel[Any]]":
    """As `spawn`, without the wait: the second yields True once it is up, or the `Exit` of one that never was.

    `keep` says whether another life may follow (`restart`): 0 never, 1 after a failure, 2 always.  `unique_name` is what a name is
    made from if none is given, instead of the target's own.  `warm` is an interpreter of csp._warm that it is to have, if that is
    still free.
    """
    options = _options(target)
    isolation = isolation_of(target, isolation)
    _check_target(target, isolation)
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    if name == "":
        raise ValueError("name must not be empty")
    if isolation != "thread":
        prepare_process()
    try:
        return _core.spawn_actor(
            _payload(target, args, kwargs, isolation),
            name or unique_name or str(getattr(target, "__name__", type(target).__name__)),
            name is None,
            options.get("trap_stop", False),
            _KINDS[isolation],
            isinstance(target, type),
            keep,
            _deliveries(options),
            _mailbox(options.get("mailbox", _MAILBOX)),
            _watchdog(options.get("watchdog")) if isolation != "process" else 0.0,  # the bridge sees to it
            _parent_here(),
            no_start(),
            warm,
        )
    except NotShareable as error:
        raise NotShareable(_name_the_argument(str(error))) from error.__cause__


def restart(
    ref: ActorRef,
    target: "Any",
    args: "tuple[object, ...]",
    kwargs: "dict[str, object]",
    warm: "ActorRef | None" = None,
    isolation: "str | None" = None,
) -> "_core.RecvChannel[Any]":
    """Another life of an actor that has ended and was kept; does not wait, as `start`.  `ActorDied` if it was given up."""
    _, started = _core.restart_actor(ref, _payload(target, args, kwargs, isolation), no_start(), warm)
    return started


def _payload(
    target: "Any", args: "tuple[object, ...]", kwargs: "dict[str, object]", isolation: "str | None"
) -> "tuple[Any, ...]":
    payload = _life(target, args, kwargs)
    if isolation_of(target, isolation) == "process":
        from csp._process import packed

        return packed(payload, _watchdog(_options(target).get("watchdog")))
    return payload


def _life(target: "Any", args: "tuple[object, ...]", kwargs: "dict[str, object]") -> "tuple[Any, ...]":
    options = {key: value for key, value in _options(target).items() if key in _LIFE_OPTIONS}
    if is_async(target):
        options["async"] = True
    return by_reference(target), args, kwargs, options


_COROUTINE = 0x80  # inspect.CO_COROUTINE, without inspect


def is_async(target: "Any") -> bool:
    """Is it an `async def` function, or a class that has `async def` methods, its own or inherited?"""
    if isinstance(target, type):
        return any(is_async(value) for base in target.__mro__ for value in vars(base).values() if not isinstance(value, type))
    code = getattr(getattr(target, "__func__", target), "__code__", None)
    return type(code) is _CODE and bool(code.co_flags & _COROUTINE)


_CODE = type(is_async.__code__)


def by_reference(function: "Any") -> "Any":
    """A function as (module or reference to the main program, qualname), which needs no pickle; else the function itself.

    Pickle costs a new interpreter 4 ms.  `csp._boot` resolves it.
    """
    if type(function) is not type(by_reference) and not isinstance(function, type):
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
    context = context_here()
    return home() if context is None else context.ref


def _check_target(function: "Any", isolation: str) -> None:
    if isolation not in _ISOLATIONS:
        raise ValueError(f"isolation must be one of {', '.join(_ISOLATIONS)}, not {isolation!r}")
    if not callable(function):
        raise TypeError(f"an actor is made of a function, not of {type(function).__name__}")


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
    if home() is not None:
        return  # not the main interpreter: it is there because main was prepared
    if sys.version_info < (3, 15):
        import _tracemalloc

        if _tracemalloc.is_tracing():  # creating an interpreter then deadlocks or crashes
            raise ActorStartError("no interpreter can be made while tracemalloc traces, before Python 3.15")
    if not _prepared and sys.version_info < (3, 14):
        # Its static types must be main's: else concurrent imports crash, and so does the exit (gh-136421).
        import _datetime  # type: ignore[import-not-found]  # noqa: F401
    _prepared = True
    _warn_of_leak()


_LEAK_WORTH_A_WARNING = 256 * 2**20  # bytes: a hundred small actors
_warned = False


def _warn_of_leak() -> None:
    """Once, in the main interpreter, where people look."""
    global _warned
    count, leaked = _core.ended_interpreters()
    if _warned or leaked < _LEAK_WORTH_A_WARNING:
        return
    _warned = True
    import warnings

    text = (
        f"{count} interpreters have ended, and about {leaked >> 20} MiB with them: CPython 3.13 never gives back what an interpreter "
        "used. Keep actors instead of starting new ones, set a Supervisor's memory_budget, or use CPython 3.14"
    )
    try:
        warnings.warn(text, RuntimeWarning, skip_file_prefixes=(__file__.removesuffix("actors.py"),))
    except RuntimeWarning:  # made an error by a filter; it is no reason for this start to fail
        print(f"csp: {text}", file=sys.stderr)


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
