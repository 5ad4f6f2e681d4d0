"""What stands for an actor: the reference, its end, and, inside the actor, what it knows of itself.

On an actor's path: imports nothing that a bare interpreter has not.
"""

import _thread

from csp import _core
from csp.errors import ActorDied, ActorFailed, ActorStartError, BrokenChannel, DeadlockError, DecodeError, Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Generic, Protocol, Self, TypeVar, overload

    from csp._awaiting import AwaitedCall
    from csp._calls import Reply
    from csp._remote import RemoteError
    from csp.errors import RunFailed

    R = TypeVar("R")
    Target_co = TypeVar("Target_co", covariant=True, default=Any)

    class Ask(Protocol):
        """No type can say "each method of T, with another result": names and arguments of `ask` are not checked."""

        def __getattr__(self, method: str) -> "Callable[..., Reply[Any]]": ...
        def __call__(self, *, timeout: float | None) -> "Ask": ...

    class Cast(Protocol):
        """As `Ask`."""

        def __getattr__(self, method: str) -> "Callable[..., None]": ...
        def __call__(self, *, timeout: float | None) -> "Cast": ...

    class _ActorOf(_core.Actor, Generic[Target_co]):
        @property
        def call(self) -> Target_co: ...
        @property
        def ask(self) -> Ask: ...
        @property
        def cast(self) -> Cast: ...

else:
    Target_co = None
    _ActorOf = {Target_co: _core.Actor}  # for `_ActorOf[Target_co]` below, without typing

_KILL_GRACE = 1.0  # seconds that a kill gets before the actor is quarantined


class Exit(tuple):  # type: ignore[type-arg]
    """How an actor ended: `(ref, reason, value, remote)`.

    `reason` is `"normal"` (it returned `value`), `"shutdown"` (it was stopped), `"failed"` (it raised; `remote` is the
    `RemoteError`), `"killed"`, or `"watchdog"` (it hung and was killed for it; `remote` says where).  The reason always arrives: if the
    value cannot be rebuilt where the Exit is received, `value` is None and `remote` is the `DecodeError`.
    """

    __slots__ = ()
    __module__ = "csp"
    __match_args__ = ("ref", "reason", "value", "remote")

    def __new__(
        cls, ref: "ActorRef", reason: str, value: object = None, remote: "RemoteError | None" = None
    ) -> "Self":
        return tuple.__new__(cls, (ref, reason, value, remote))

    def __getnewargs__(self) -> "tuple[Any, ...]":
        """For pickle, when it is part of something that goes by it."""
        return tuple(self)

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
        """What the function returned; None if it did not, or if that cannot be rebuilt here."""
        return self[2]

    @property
    def remote(self) -> "RemoteError | None":
        """What it raised, where it was when the watchdog struck, or why `value` cannot be rebuilt here; else None."""
        return self[3]  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"Exit(ref={self[0]!r}, reason={self[1]!r}, value={self[2]!r}, remote={self[3]!r})"


_core.set_record_type(0, Exit)


class ActorStatistics(tuple):  # type: ignore[type-arg]
    """The figures of an actor at one moment; its fields are properties."""

    __slots__ = ()
    __module__ = "csp"
    _fields = ("handled", "queued", "discarded", "restarts", "started_at", "cpu_seconds")

    handled: "int" = property(lambda self: self[0], doc="Messages done, over all lives.")  # type: ignore[assignment]
    queued: "int" = property(lambda self: self[1], doc="Messages in the mailbox now.")  # type: ignore[assignment]
    discarded: "int" = property(lambda self: self[2], doc="Messages that no life was left for.")  # type: ignore[assignment]
    restarts: "int" = property(lambda self: self[3], doc="Lives before this one.")  # type: ignore[assignment]
    started_at: "float" = property(lambda self: self[4], doc="time.monotonic() at the start of this life.")  # type: ignore[assignment]
    cpu_seconds: "float" = property(lambda self: self[5], doc="Processor time of this life's thread.")  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ActorStatistics({', '.join(f'{name}={value!r}' for name, value in zip(self._fields, self, strict=True))})"


# --- references ---


class ActorRef(_ActorOf[Target_co]):
    """A reference to an actor: shareable, comparable, hashable.  References come from `spawn` and `whereis`.

    It does not keep the actor alive, and an actor does not end because nobody has a reference to it.

    For type checkers it is generic in what was spawned: `ActorRef[Counter]` for a class, whose `call` then has the methods of
    a `Counter`; `ActorRef[Callable[..., int]]` for a function, whose `result()` is then an int.  Without a parameter
    nothing is checked.
    """

    __slots__ = ()
    __module__ = "csp"
    __class_getitem__: "Any" = classmethod(type(list[int]))  # the type of aliases: annotations may be evaluated

    def __repr__(self) -> str:
        return f"<ActorRef {self.name!r} id={self.id}>"

    @property
    def exited(self) -> "_core.RecvChannel[Exit]":
        """A new channel that yields the `Exit` once and then ends: a monitor, for `select`.

        Each access is a monitor of its own, so any number of observers each get the Exit, also after the fact.  Keep
        the object to compare it with what `select` returns.
        """
        return self._monitor()

    @property
    def acall(self) -> "AwaitedCall":
        """`await ref.acall.method(...)`: as `call`, in a task of trio or asyncio, under its cancellation and its timeouts.

        Cancelled, the request was not made, or its answer reaches nobody: the method may have run.
        """
        from csp._awaiting import AwaitedCall

        if not self._serves:
            raise TypeError(f"{self.name} is a function: it takes send(), only class actors answer calls")
        return AwaitedCall(self)

    def join(self, timeout: "float | None" = None) -> Exit:
        """Wait for the end and return the `Exit`.  Raises `Timeout`, and `DeadlockError` in the actor itself."""
        self._refuse_self("join")
        return self._monitor().recv(timeout)

    if TYPE_CHECKING:

        @overload
        def result(self: "ActorRef[Callable[..., R]]", timeout: "float | None" = None) -> R: ...
        @overload
        def result(self, timeout: "float | None" = None) -> Any: ...

    def result(self, timeout: "float | None" = None) -> "Any":
        """Wait for the end and return what the function returned.

        Raises `ActorFailed` if it did not return: it raised (`remote` is the snapshot, `__cause__` the original
        exception where that can cross), or it was stopped or killed before it returned.  Raises `DecodeError` if what it
        returned cannot be rebuilt here, and `Timeout` as `join`.
        """
        end = self.join(timeout)
        if end.reason in ("normal", "shutdown") and self._returned():
            if end.remote is not None:
                raise DecodeError(f"what actor {self.name!r} returned: {end.remote.message}") from end.remote.original()
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
        in, raises `Stopped`; code that computes is not interrupted.  Past `timeout` it is killed.  Raises `DeadlockError`
        in the actor itself.
        """
        self._refuse_self("stop")
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
        guarded = _core.guard_clock(True)  # a second is a second, also if a test has stopped the clock
        try:
            return monitor.recv(_KILL_GRACE)
        except Timeout:
            self._quarantine()
            return monitor.recv()
        finally:
            _core.guard_clock(guarded)

    def drain(self, timeout: "float | None" = None) -> Exit:
        """Take no new messages (senders get `ActorDied`), let the queued ones be handled, then stop; return the `Exit`.

        Past `timeout` it is stopped, with what is still queued discarded.  A function that has nothing queued is
        stopped at once; else its `inbox` ends, and the function has to come to an end itself.
        """
        self._refuse_self("drain")
        monitor = self._monitor()
        self._close_inbox()
        if not self._serves and self._figures()[4] == 0:
            return self.stop()
        try:
            return monitor.recv(timeout)
        except Timeout:
            return self.stop()

    def statistics(self) -> "ActorStatistics":
        """The actor's figures now: `handled`, `queued`, `discarded`, `restarts`, `started_at`, `cpu_seconds`."""
        handled, started_at, _, epoch, queued, discarded = self._figures()
        return ActorStatistics((handled, queued, discarded, epoch - 1, started_at, self._cpu_seconds()))

    def _refuse_self(self, what: str) -> None:
        context = context_here()
        if context is not None and context.ref == self:
            raise DeadlockError(f"{what}: an actor cannot wait for its own end")


_core.set_ref_type(ActorRef)


def error_of(cls: "type[ActorFailed | ActorStartError | RunFailed]", what: str, remote: "RemoteError") -> "Any":
    """The exception that stands for what was raised in another interpreter."""
    from csp._remote import in_words

    error = cls(f"{what}: {in_words(remote)}")
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
_thread_context = _thread._local()  # its .context: of the actor that is this thread
_home: "ActorRef | None" = None  # whose interpreter this is: the parent of what is spawned here


def enter(ref: ActorRef, context: "ActorContext | None") -> None:
    """This interpreter belongs to `ref` from now on.  Called by csp._boot."""
    global _context, _home
    _home = ref
    _context = context


def enter_thread(context: "ActorContext | None") -> None:
    """This thread belongs to the actor from now on, or to none again.  Called by csp._boot."""
    _thread_context.context = context


def leave() -> None:
    """The actor's body is over.  Called by csp._boot.

    What hangs on this module's globals would else never be freed: references and handles are in a cycle with it, through
    their classes, and the cycle collector does not see into them.
    """
    global _context, _home
    _context = _home = None


_at_end: "dict[ActorContext | None, list[Callable[[], None]]]" = {}  # what ends with the body of each actor


def at_body_end(close: "Callable[[], None]") -> None:
    """Call it in the thread of the actor whose code runs here, once its body is over and before its children are ended."""
    _at_end.setdefault(context_here(), []).append(close)


def body_ended() -> None:
    """Called by csp._boot."""
    for close in reversed(_at_end.pop(context_here(), ())):
        close()


def home() -> "ActorRef | None":
    """Whose interpreter this is; None in the main one."""
    return _home


def context_here() -> "ActorContext | None":
    return getattr(_thread_context, "context", None) or _context


def current_actor() -> ActorContext:
    """The actor that this code runs in.  Raises `RuntimeError` outside of actors."""
    context = context_here()
    if context is None:
        raise RuntimeError("current_actor() outside of an actor")
    return context
