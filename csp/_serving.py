"""A class actor in its own interpreter: one message at a time, from the mailbox, until it is stopped.

What ends the loop: a stop (`Stopped` out of the wait for a message, or found between two of them), the end of a closed
mailbox (a drain), an exception that no caller can be given, a kill.  With `on_crash` other than "drop" a message is only on
lease while it is handled: whatever ends this life, it then goes back to the head of the mailbox, for the next one.
"""

from csp import _core
from csp._calls import DeadLetter, Request
from csp.errors import BrokenChannel, EndOfChannel, Killed, NotShareable, Stopped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from csp._ref import ActorRef
    from csp._remote import RemoteError

    Inbox = _core.RecvChannel[Any]

MAX_DELIVERIES = 3


def serve_class(
    ref: "ActorRef", cls: "type[Any]", args: "tuple[Any, ...]", kwargs: "dict[str, Any]", options: "dict[str, Any]"
) -> None:
    """The whole life: `__init__`, `on_start`, the messages, `on_stop`.  Returns if it was stopped or drained."""
    instance = cls(*args, **kwargs)
    _hook(instance, "on_start")
    if not options.get("ready"):
        _core.boot_alive()
    try:
        _serve(ref, instance, ref._inbox(), _deliveries(options))
    except Stopped as error:
        if not _core.take_stop():
            _hook(instance, "on_failure", error)  # somebody raised it himself
            raise
    except Killed:
        raise
    except BaseException as error:
        _hook(instance, "on_failure", error)
        raise
    _hook(instance, "on_stop", "shutdown")


def _hook(instance: object, name: str, *args: object) -> None:
    hook = getattr(instance, name, None)
    if hook is not None:
        hook(*args)


def _deliveries(options: "dict[str, Any]") -> int:
    """How often a message is handed out before it is a dead letter; 0: it is not on lease at all."""
    on_crash = options.get("on_crash", "drop")
    if on_crash == "drop":
        return 0
    return 1 if on_crash == "dead_letter" else options.get("max_deliveries", MAX_DELIVERIES)


def _serve(ref: "ActorRef", instance: "Any", inbox: "Inbox", deliveries: int) -> None:
    while not _core.await_message(True):
        lease = inbox.lease() if deliveries else None
        try:
            message = inbox.recv() if lease is None else lease.__enter__()
        except EndOfChannel:
            return  # drained
        _core.await_message(False)
        if lease is None:
            _handle(ref, instance, message)
        else:
            _handle_leased(ref, instance, message, lease, deliveries)
        ref._done()


def _handle_leased(ref: "ActorRef", instance: "Any", message: "Any", lease: "_core.Lease[Any]", deliveries: int) -> None:
    if lease.deliveries > deliveries:  # the last life died with it
        lease.__exit__(None, None, None)
        _bury(ref, message, lease.deliveries - 1)
        return
    try:
        _handle(ref, instance, message)
    except Stopped:
        lease.__exit__(None, None, None)  # broken off, not crashed: it is not handed out again
        raise
    except Exception:
        if lease.deliveries >= deliveries:
            lease.__exit__(None, None, None)
            _bury(ref, message, lease.deliveries)
        raise  # else it stays on lease, and goes back as this life ends
    lease.__exit__(None, None, None)


def _bury(ref: "ActorRef", message: "Any", deliveries: int) -> None:
    letter = message[:3] if type(message) is Request else message
    _core.dead_letter(DeadLetter((ref, letter, deliveries)))


def _handle(ref: "ActorRef", instance: "Any", message: "Any") -> None:
    if type(message) is not Request:
        receive = getattr(instance, "on_receive", None)
        if receive is None:
            _bury(ref, message, 1)
        else:
            receive(message)
        return
    method, args, kwargs, reply = message
    if reply is None:
        getattr(instance, method)(*args, **kwargs)
        return
    try:
        answer = (True, getattr(instance, method)(*args, **kwargs))
    except (Stopped, Killed):
        raise  # the reply goes with us: the caller gets ActorDied
    except BaseException as error:
        answer = (False, snapshot(error))
    _answer(reply, answer)


def snapshot(error: BaseException) -> "RemoteError":
    from csp._remote import snapshot

    return snapshot(error)


def _answer(reply: "_core.SendChannel[Any]", answer: "tuple[bool, Any]") -> None:
    try:
        reply.send_nowait(answer)
    except BrokenChannel:
        pass  # too late: the caller has left
    except NotShareable as error:
        reply.send_nowait((False, snapshot(error)))
    reply.close()
