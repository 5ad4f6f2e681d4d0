"""References to actors as the process of an actor has them: the base of csp.ActorRef, which derives from it there."""

from csp._process import line
from csp._process.channels import SendChannel
from csp._process.line import NOTHING, Standing, core_call, seconds_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def boot_ref() -> "Any":
    """The reference to the actor whose process this is."""
    global _here
    if _here is None:
        _here = line.find(line.hello[0][1], line.hello[1])
    return _here


_here: "Any" = None


class Verb:
    """`ref.call`, `ref.ask`, `ref.cast`."""

    __slots__ = ("_ref", "_timeout", "_verb")

    def __init__(self, ref: "Actor", verb: str, timeout: "float | None" = None) -> None:
        self._ref, self._verb, self._timeout = ref, verb, timeout

    def __repr__(self) -> str:
        return f"<{self._verb} of {self._ref!r}>"

    def __call__(self, *args: object, timeout: "Any" = NOTHING) -> "Verb":
        if args or timeout is NOTHING:
            raise TypeError(f"name the method: ref.{self._verb}.method(...), or ref.{self._verb}(timeout=...).method(...)")
        return Verb(self._ref, self._verb, seconds_of(timeout))

    def __getattr__(self, method: str) -> "Callable[..., Any]":
        if method[:1] == "_":
            raise AttributeError(f"{method} is private: only public methods of an actor can be called")
        if not self._ref._serves:
            raise TypeError(f"{self._ref.name} is a function: it takes send(), only class actors answer calls")

        def ask(*args: object, **kwargs: object) -> "Any":
            return self._ask(method, args, kwargs)

        return ask

    def _ask(self, method: str, args: "tuple[object, ...]", kwargs: "dict[str, object]") -> "Any":
        from time import monotonic

        from csp import _calls
        from csp.errors import ActorDied, BrokenChannel, DeadlockError, EndOfChannel, Timeout

        ref, timeout = self._ref, self._timeout
        until = None if timeout is None else monotonic() + timeout
        if self._verb == "call" and ref == boot_ref():
            raise DeadlockError(f"{ref.name}.{method}: an actor cannot wait for its own answer")
        sender, receiver = (None, None) if self._verb == "cast" else core_call("reply_channel")
        try:
            ref._sender().send(_calls.Request((method, args, kwargs, sender)), timeout)
        except BrokenChannel:
            raise ActorDied(f"{ref.name} takes no more messages: it has ended, or is ending") from None
        except Timeout:
            raise Timeout(f"{ref.name}: no room in the mailbox within {timeout} s; {method} was not asked") from None
        finally:
            if sender is not None:
                sender.close()
        if receiver is None:
            return None
        if self._verb == "ask":
            return _calls.Reply(ref, method, receiver)  # type: ignore[arg-type]
        try:
            answer = receiver.recv(None if until is None else max(0.0, until - monotonic()))
        except EndOfChannel as end:
            raise _calls._died(ref, method, end) from None  # type: ignore[arg-type]
        except Timeout:
            raise Timeout(f"{ref.name}.{method} did not answer within {timeout} s; it may have run") from None
        finally:
            receiver.close()
        return _calls._unwrap(ref, method, answer)  # type: ignore[arg-type]


class Actor(Standing):
    """The base of csp.ActorRef."""

    __slots__ = ("_serves", "name")

    def __init__(self, which: int, same: int, name: str, serves: bool) -> None:
        super().__init__(which, same)
        self.name, self._serves = name, serves

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Actor) and other._same == self._same

    __hash__ = Standing.__hash__

    @property
    def id(self) -> int:
        return self._same

    alive = property(lambda self: self._get("alive"))
    epoch = property(lambda self: self._get("epoch"))
    call = property(lambda self: Verb(self, "call"))
    ask = property(lambda self: Verb(self, "ask"))
    cast = property(lambda self: Verb(self, "cast"))

    def _keep(self, mode: int, /) -> None:
        self._do("_keep", mode)

    def _done(self) -> None:
        line.tell("call", self._which, "_done", [], {})  # nothing to wait for

    def _sender(self) -> SendChannel:
        return self._do("_sender")  # type: ignore[no-any-return]


def _far_method(name: str) -> "Any":
    def method(self: Actor) -> "Any":
        return self._do(name)

    method.__name__ = name
    return method


for _name in """_close_inbox _figures _cpu_seconds _monitor _inbox _stopping _parent _ask_stop _kill _quarantine
    _returned _start_error""".split():
    setattr(Actor, _name, _far_method(_name))
