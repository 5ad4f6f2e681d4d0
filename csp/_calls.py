"""What a call of a class actor is made of in Python: the Request, the Reply, the errors.  The call itself is py_ask.c's."""

from csp import _core
from csp._ref import ActorRef, error_of
from csp.errors import ActorDied, ActorFailed, EndOfChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, Generic, TypeVar

    R_co = TypeVar("R_co", covariant=True, default=Any)

    class _Of(Generic[R_co]): ...

else:
    R_co = None
    _Of = {R_co: object}  # for `_Of[R_co]` below, without typing

__all__ = ["DeadLetter", "Reply"]


class Request(tuple):  # type: ignore[type-arg]
    """(method, args, kwargs, reply): a message that `on_receive` never sees.  `reply` is None for a cast."""

    __slots__ = ()


class DeadLetter(tuple):  # type: ignore[type-arg]
    """A message that nobody will handle: `(ref, message, deliveries)`, out of `csp.dead_letters`.

    `message` is what was sent; of a call or cast it is the tuple (method, args, kwargs).  `deliveries` says how often it had
    been handed to a life of the actor.
    """

    __slots__ = ()
    __module__ = "csp"
    __match_args__ = ("ref", "message", "deliveries")

    @property
    def ref(self) -> ActorRef:
        """Whom it was for."""
        return self[0]  # type: ignore[no-any-return]

    @property
    def message(self) -> "Any":
        """What was sent."""
        return self[1]

    @property
    def deliveries(self) -> int:
        """How often it was handed out."""
        return self[2]  # type: ignore[no-any-return]


_core.set_record_type(2, Request)
_core.set_record_type(3, DeadLetter)


class Reply(_Of[R_co]):
    """The answer to `ref.ask.method(...)`, to be had later: by `result`, or as a receive case of `select`.

    For type checkers it is generic in the answer; `ask` cannot know which, so say it: `reply: Reply[int] = ref.ask.incr()`.
    """

    __slots__ = ("_answer", "_call", "_channel", "_ref")
    __module__ = "csp"
    __class_getitem__: "Any" = classmethod(type(list[int]))

    def __init__(self, ref: ActorRef, call: str, channel: "_core.RecvChannel[Any]") -> None:
        self._ref = ref
        self._call = call
        self._channel = channel
        self._answer: tuple[bool, Any] | None = None

    def __repr__(self) -> str:
        return f"<csp.Reply {self._ref.name}.{self._call}{' (answered)' if self._answer else ''}>"

    def result(self, timeout: "float | None" = None) -> "R_co":
        """Wait for the answer and return it, each time it is asked for.

        Raises `ActorFailed` if the method raised (`.remote`, and `__cause__` the original where that can cross),
        `ActorDied` if the actor ended before it answered, and `Timeout`: then it can be asked again.
        """
        if self._answer is None:
            try:
                self._answer = self._channel.recv(timeout)
            except EndOfChannel as end:
                raise _died(self._ref, self._call, end) from None
        return _unwrap(self._ref, self._call, self._answer)  # type: ignore[no-any-return]

    def __await__(self) -> "Generator[Any, Any, R_co]":
        """As `result`, in a task of trio or asyncio."""
        from csp._awaiting import areply

        return areply(self).__await__()

    def __csp_case__(self) -> "_core.RecvChannel[Any]":
        return self._channel

    def __csp_result__(self, answer: "tuple[bool, Any] | None", end: "EndOfChannel | None") -> "Any":
        """What `select` makes of the case: the value, or the error that `result` would raise."""
        if answer is None:
            raise _died(self._ref, self._call, end)
        self._answer = answer
        return _unwrap(self._ref, self._call, answer)


def _unwrap(ref: ActorRef, call: str, answer: "tuple[bool, Any]") -> "Any":
    if answer[0]:
        return answer[1]
    raise error_of(ActorFailed, f"{ref.name}.{call} raised", answer[1])


def _died(ref: ActorRef, call: str, end: "EndOfChannel | None" = None) -> ActorDied:
    cause = getattr(end, "cause", None)
    reason = getattr(cause, "reason", None)
    return ActorDied(f"{ref.name} ended before it answered {call}" + (f": {reason}" if reason else ""))


_core.set_call_hooks(Reply, _died, _unwrap)
