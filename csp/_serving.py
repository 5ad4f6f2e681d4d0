"""A class actor in its own interpreter: one message at a time, from the mailbox, until it is stopped.

What ends the loop: a stop (`Stopped` out of the wait for a message, or found between two of them), the end of a closed
mailbox (a drain), an exception that no caller can be given, a kill.  With `on_crash` other than "drop" a message is only on
lease while it is handled: if this life crashes, the core gives it back to the head of the mailbox, for the next one, or
buries it, once it was handed out often enough or no life is left.
"""

from csp import _core
from csp._calls import DeadLetter, Request
from csp.errors import DecodeError, EndOfChannel, Killed, Stopped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from csp._ref import ActorRef
    from csp._remote import RemoteError

    Inbox = _core.RecvChannel[Any]


def serve_class(
    ref: "ActorRef", cls: "type[Any]", args: "tuple[Any, ...]", kwargs: "dict[str, Any]", options: "dict[str, Any]"
) -> None:
    """The whole life: `__init__`, `on_start`, the messages, `on_stop`.  Returns if it was stopped or drained."""
    instance = cls(*args, **kwargs)
    try:
        _hook(instance, "on_start")
        if not options.get("ready"):
            _core.boot_alive()
        _serve(ref, instance, ref._inbox(), options.get("on_crash", "drop") != "drop")
    except Stopped as error:
        if not _core.take_stop():
            _report(instance, error)  # somebody raised it himself
            raise
    except Killed:
        raise
    except BaseException as error:
        _report(instance, error)
        raise
    _hook(instance, "on_stop", "shutdown")


def _hook(instance: object, name: str, *args: object) -> object:
    hook = getattr(instance, name, None)
    return None if hook is None else hook(*args)


def _report(instance: object, error: BaseException) -> None:
    """`on_failure`.  What the actor died of stays what it was, whatever the hook itself does."""
    try:
        _hook(instance, "on_failure", error)
    except Exception as second:
        error.add_note(f"on_failure raised in its turn: {type(second).__name__}: {second}")


def _serve(ref: "ActorRef", instance: "Any", inbox: "Inbox", leases: bool) -> None:
    if leases:
        _serve_leased(ref, instance, inbox)
        return

    def other(message: object) -> None:
        _handle(ref, instance, message, None)

    serve = _core.serve
    while serve(instance, inbox, other, _refuse, _fail):
        pass


def _serve_leased(ref: "ActorRef", instance: "Any", inbox: "Inbox") -> None:
    while not _core.await_message(True):
        lease = inbox.lease()
        try:
            message = lease.__enter__()
        except EndOfChannel:
            _core.take_stop()  # as `serve` does
            return
        except DecodeError as error:
            _core.await_message(False)
            _refuse(error)
        else:
            _core.await_message(False)
            _handle(ref, instance, message, lease)
        ref._done()


def _refuse(error: DecodeError) -> None:
    """What was asked cannot be rebuilt here.  Who waits for an answer gets that; a cast or a message is failed by it."""
    reply = getattr(error, "_reply", None)
    if reply is None:
        raise error
    del error._reply  # type: ignore[attr-defined]
    _fail(reply, error)


def _handle(ref: "ActorRef", instance: "Any", message: "Any", lease: "_core.Lease[Any] | None") -> None:
    if type(message) is Request and message[3] is not None:
        _handle_call(instance, message, lease)
        return
    try:
        if type(message) is Request:
            method, args, kwargs, _ = message
            getattr(instance, method)(*args, **kwargs)
        else:
            _receive(ref, instance, message)
    except Stopped:
        _keep(lease)  # broken off, not crashed
        raise
    _keep(lease)  # else it stays on lease, and goes back as this life ends


def _receive(ref: "ActorRef", instance: "Any", message: object) -> object:
    receive = getattr(instance, "on_receive", None)
    if receive is None:
        _core.dead_letter(DeadLetter((ref, message, 1)))
        return None
    result: object = receive(message)
    return result


def _handle_call(instance: "Any", request: Request, lease: "_core.Lease[Any] | None") -> None:
    method, args, kwargs, reply = request
    try:
        ok, value = True, getattr(instance, method)(*args, **kwargs)
    except Stopped:
        _keep(lease)
        reply.close()  # the caller gets ActorDied, before on_stop runs
        raise
    except Killed:
        raise
    except BaseException as error:
        ok, value = False, snapshot(error)
    _keep(lease)  # it is done, whatever becomes of the answer
    try:
        _core.answer(reply, ok, value)
    except Exception as error:  # the result does not cross
        _fail(reply, error)


def _fail(reply: "_core.SendChannel[Any]", error: BaseException) -> None:
    _core.answer(reply, False, snapshot(error))


def _keep(lease: "_core.Lease[Any] | None") -> None:
    if lease is not None:
        lease.__exit__(None, None, None)


def snapshot(error: BaseException) -> "RemoteError":
    from csp._remote import snapshot

    return snapshot(error)
