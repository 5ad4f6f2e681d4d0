"""The caller's side of a class actor: `ref.call`, `ref.ask`, `ref.cast`, and the Reply.

A call is a Request in the mailbox.  Its answer comes over a reply channel of its own, whose only sender travels inside the
request: when the actor ends before it answers, that sender is gone and the caller knows at once (`ActorDied`).  An answer
that comes too late finds nobody to receive it.  After gen_server's call and cast.
"""

from time import monotonic

from csp import _core
from csp._ref import ActorRef, context_here, error_of
from csp.errors import ActorDied, ActorFailed, BrokenChannel, DeadlockError, EndOfChannel, Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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


class Reply:
    """The answer to `ref.ask.method(...)`, to be had later: by `result`, or as a receive case of `select`."""

    __slots__ = ("_answer", "_call", "_channel", "_ref")
    __module__ = "csp"

    def __init__(self, ref: ActorRef, call: str, channel: "_core.RecvChannel[Any]") -> None:
        self._ref = ref
        self._call = call
        self._channel = channel
        self._answer: tuple[bool, Any] | None = None

    def __repr__(self) -> str:
        return f"<csp.Reply {self._ref.name}.{self._call}{' (answered)' if self._answer else ''}>"

    def result(self, timeout: "float | None" = None) -> "Any":
        """Wait for the answer and return it, each time it is asked for.

        Raises `ActorFailed` if the method raised (`.remote`, and `__cause__` the original where that can cross),
        `ActorDied` if the actor ended before it answered, and `Timeout`: then it can be asked again.
        """
        if self._answer is None:
            try:
                self._answer = self._channel.recv(timeout)
            except EndOfChannel as end:
                raise _died(self._ref, self._call, end) from None
        return _unwrap(self._ref, self._call, self._answer)

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


def _post(ref: ActorRef, request: Request, timeout: "float | None") -> None:
    try:
        ref._sender().send(request, timeout)
    except BrokenChannel:
        raise ActorDied(f"{ref.name} takes no more messages: it has ended, or is ending") from None
    except Timeout:
        raise Timeout(f"{ref.name}: no room in the mailbox within {timeout} s; {request[0]} was not asked") from None


def _ask(
    ref: ActorRef, method: str, args: "tuple[Any, ...]", kwargs: "dict[str, Any]", timeout: "float | None"
) -> "_core.RecvChannel[Any]":
    context = context_here()
    if context is not None and context.ref == ref:
        raise DeadlockError(f"{ref.name}.{method}: an actor cannot wait for its own answer")
    sender, receiver = _core.reply_channel()
    _post(ref, Request((method, args, kwargs, sender)), timeout)
    sender.close()  # the only sender left is in the mailbox
    return receiver


def _check_served(ref: ActorRef) -> None:
    if not ref._serves:
        raise TypeError(f"{ref.name} is a function: it takes send(), only class actors answer calls")


class _Verb:
    """`ref.call`, `ref.ask` or `ref.cast`: an attribute is a method of the actor; calling it sets the timeout."""

    __slots__ = ("_ref", "_timeout")

    def __init__(self, ref: ActorRef, timeout: "float | None" = None) -> None:
        _check_served(ref)
        self._ref = ref
        self._timeout = timeout

    def __call__(self, *, timeout: "float | None") -> "Any":
        return type(self)(self._ref, timeout)

    def __getattr__(self, method: str) -> "Any":
        if method.startswith("_"):
            raise AttributeError(f"{method} is private: only public methods of an actor can be called")
        return self._bound(self._ref, method, self._timeout)

    _bound: "Any" = None


class _Bound:
    __slots__ = ("_method", "_ref", "_timeout")

    def __init__(self, ref: ActorRef, method: str, timeout: "float | None") -> None:
        self._ref = ref
        self._method = method
        self._timeout = timeout


class _BoundCall(_Bound):
    __slots__ = ()

    def __call__(self, *args: object, **kwargs: object) -> "Any":
        ref, method, timeout = self._ref, self._method, self._timeout
        try:
            deadline = None if timeout is None else monotonic() + timeout
        except (OverflowError, TypeError):
            deadline = None  # for ever; or wrong, and `send` says so
        reply = _ask(ref, method, args, kwargs, timeout)
        try:
            answer = reply.recv(None if deadline is None else max(0.0, deadline - monotonic()))
        except EndOfChannel as end:
            raise _died(ref, method, end) from None
        except Timeout:
            raise Timeout(f"{ref.name}.{method} did not answer within {timeout} s; it may have run") from None
        return answer[1] if answer[0] else _unwrap(ref, method, answer)


class _BoundAsk(_Bound):
    __slots__ = ()

    def __call__(self, *args: object, **kwargs: object) -> Reply:
        return Reply(self._ref, self._method, _ask(self._ref, self._method, args, kwargs, self._timeout))


class _BoundCast(_Bound):
    __slots__ = ()

    def __call__(self, *args: object, **kwargs: object) -> None:
        _post(self._ref, Request((self._method, args, kwargs, None)), self._timeout)


class Call(_Verb):
    """Ask and wait for the reply."""

    __slots__ = ()
    _bound = _BoundCall


class Ask(_Verb):
    """Ask; the `Reply` is for later."""

    __slots__ = ()
    _bound = _BoundAsk


class Cast(_Verb):
    """Fire and forget; blocks only while the mailbox is full."""

    __slots__ = ()
    _bound = _BoundCast


# From now on without the detour of the first use.
ActorRef.call = property(Call, doc=Call.__doc__)  # type: ignore[assignment]
ActorRef.ask = property(Ask, doc=Ask.__doc__)  # type: ignore[assignment]
ActorRef.cast = property(Cast, doc=Cast.__doc__)  # type: ignore[assignment]
