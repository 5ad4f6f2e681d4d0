"""The exceptions: their places in the tree, and what each carries."""

import math
from collections.abc import Callable
from typing import Any

import pytest

import csp
import csp.errors
from csp import Channel
from csp.testing import wait_parked
from tests import placements as do
from tests.placements import Party

TREE = {
    "CspError": (Exception,),
    "EndOfChannel": (csp.CspError, EOFError),
    "BrokenChannel": (csp.CspError, BrokenPipeError),
    "ClosedHandle": (csp.CspError, ValueError),
    "ForkedError": (csp.CspError, RuntimeError),
    "Timeout": (csp.CspError, TimeoutError),
    "WouldBlock": (csp.CspError, BlockingIOError),
    "NotShareable": (csp.CspError, TypeError, ValueError),
    "DecodeError": (csp.CspError, ValueError),
    "DeadlockError": (csp.CspError, RuntimeError),
    "Stopped": (BaseException,),
    "Killed": (BaseException,),
    "ActorError": (csp.CspError, RuntimeError),
    "ActorStartError": (csp.ActorError,),
    "ActorFailed": (csp.ActorError,),
    "ActorDied": (csp.ActorError,),
}


@pytest.mark.parametrize("name", TREE)
def test_error_has_its_bases(name: str) -> None:
    """Each exception derives from exactly the classes of the contract, in that order."""
    assert getattr(csp, name).__bases__ == TREE[name]


@pytest.mark.parametrize("name", TREE)
def test_error_is_reexported(name: str) -> None:
    """`csp.X` and `csp.errors.X` are one class, named csp.X, listed in `csp.__all__`."""
    cls = getattr(csp, name)
    assert cls is getattr(csp.errors, name)
    assert (cls.__module__, cls.__qualname__) == ("csp", name)
    assert name in csp.__all__
    assert cls.__doc__


@pytest.mark.parametrize("name", ["Stopped", "Killed"])
def test_stop_and_kill_pass_except_exception(name: str) -> None:
    """`except Exception` catches neither a stop nor a kill, and neither does `except CspError`."""
    assert not issubclass(getattr(csp, name), (Exception, csp.CspError))


@pytest.mark.parametrize("name", TREE)
def test_channel_and_index_default_to_none(name: str) -> None:
    """Every csp error has `.channel` and `.index`, None until an operation sets them."""
    if name == "CspError" or issubclass(getattr(csp, name), csp.CspError):
        error = getattr(csp, name)("text")
        assert error.channel is None
        assert error.index is None
        assert "text" in str(error)


def ended() -> Any:
    sender, receiver = csp.channel()
    sender.close()
    return receiver


def broken() -> Any:
    sender, receiver = csp.channel()
    receiver.close()
    return sender


def given_up(side: str) -> Any:
    handle = getattr(Channel(1), side)
    handle.close()
    return handle


def unbuildable(capacity: int = 1) -> Any:
    """A channel whose next value cannot be rebuilt."""
    ch = Channel(capacity)
    ch.send(Unbuildable())
    return ch


class Unbuildable:
    def __reduce__(self) -> Any:
        return fail, ()


def fail() -> None:
    raise LookupError("cannot be built")


FAILURES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], type[csp.CspError]]] = {
    "recv ended": (ended, lambda h: h.recv(), csp.EndOfChannel),
    "recv_nowait ended": (ended, lambda h: h.recv_nowait(None), csp.EndOfChannel),
    "recv_many ended": (ended, lambda h: h.recv_many(3), csp.EndOfChannel),
    "lease ended": (ended, lambda h: h.lease().__enter__(), csp.EndOfChannel),
    "send broken": (broken, lambda h: h.send(1), csp.BrokenChannel),
    "send_nowait broken": (broken, lambda h: h.send_nowait(1), csp.BrokenChannel),
    "send_many broken": (broken, lambda h: h.send_many([1]), csp.BrokenChannel),
    "send given up": (lambda: given_up("sender"), lambda h: h.send(1), csp.ClosedHandle),
    "send_nowait given up": (lambda: given_up("sender"), lambda h: h.send_nowait(1), csp.ClosedHandle),
    "send_many given up": (lambda: given_up("sender"), lambda h: h.send_many([1]), csp.ClosedHandle),
    "clone given up": (lambda: given_up("sender"), lambda h: h.clone(), csp.ClosedHandle),
    "recv given up": (lambda: given_up("receiver"), lambda h: h.recv(), csp.ClosedHandle),
    "recv_nowait given up": (lambda: given_up("receiver"), lambda h: h.recv_nowait(0), csp.ClosedHandle),
    "recv_many given up": (lambda: given_up("receiver"), lambda h: h.recv_many(1), csp.ClosedHandle),
    "lease given up": (lambda: given_up("receiver"), lambda h: h.lease().__enter__(), csp.ClosedHandle),
    "next given up": (lambda: given_up("receiver"), next, csp.ClosedHandle),
    "send timeout": (Channel, lambda h: h.send(1, timeout=0), csp.Timeout),
    "send waited": (Channel, lambda h: h.send(1, timeout=0.01), csp.Timeout),
    "send_many timeout": (Channel, lambda h: h.send_many([1], timeout=0.01), csp.Timeout),
    "recv timeout": (Channel, lambda h: h.recv(timeout=0), csp.Timeout),
    "recv waited": (Channel, lambda h: h.recv(timeout=0.01), csp.Timeout),
    "recv_many timeout": (Channel, lambda h: h.recv_many(2, timeout=0.01), csp.Timeout),
    "lease timeout": (Channel, lambda h: h.lease(timeout=0.01).__enter__(), csp.Timeout),
    "send_nowait full": (Channel, lambda h: h.send_nowait(1), csp.WouldBlock),
    "recv_nowait empty": (Channel, lambda h: h.recv_nowait(), csp.WouldBlock),
    "send unshareable": (lambda: Channel(1), lambda h: h.send(math), csp.NotShareable),
    "send_nowait unshareable": (lambda: Channel(1), lambda h: h.send_nowait(math), csp.NotShareable),
    "send_many unshareable": (lambda: Channel(1), lambda h: h.send_many([math]), csp.NotShareable),
    "close unshareable": (lambda: Channel(1), lambda h: h.close(cause=math), csp.NotShareable),
    "recv undecodable": (unbuildable, lambda h: h.recv(), csp.DecodeError),
    "recv_nowait undecodable": (unbuildable, lambda h: h.recv_nowait(), csp.DecodeError),
    "recv_many undecodable": (unbuildable, lambda h: h.recv_many(1), csp.DecodeError),
    "lease undecodable": (unbuildable, lambda h: h.lease().__enter__(), csp.DecodeError),
    "next undecodable": (unbuildable, next, csp.DecodeError),
}


@pytest.mark.parametrize("what", FAILURES)
def test_operation_error_names_the_handle(what: str) -> None:
    """Every channel error is of exactly its class and has `.channel`: the very handle that was passed; `.index` is None."""
    make, operate, cls = FAILURES[what]
    handle = make()
    with pytest.raises(cls) as caught:
        operate(handle)
    assert type(caught.value) is cls
    assert caught.value.channel is handle
    assert caught.value.index is None


SELECT_FAILURES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], type[csp.CspError]]] = {
    "recv ended": (ended, lambda h: h, csp.EndOfChannel),
    "recv given up": (lambda: given_up("receiver"), lambda h: h, csp.ClosedHandle),
    "recv undecodable": (unbuildable, lambda h: h, csp.DecodeError),
    "send broken": (broken, lambda h: (h, 1), csp.BrokenChannel),
    "send given up": (lambda: given_up("sender"), lambda h: (h, 1), csp.ClosedHandle),
    "send unshareable": (lambda: Channel(1), lambda h: (h, math), csp.NotShareable),
}


@pytest.mark.parametrize("what", SELECT_FAILURES)
@pytest.mark.parametrize("timeout", [0, 1, None])
def test_select_error_names_handle_and_index(what: str, timeout: float | None) -> None:
    """Out of select an error is what recv or send would raise, with `.channel` the passed object and `.index` its position."""
    make, case_of, cls = SELECT_FAILURES[what]
    handle = make()
    with pytest.raises(cls) as caught:
        csp.select([None, Channel(), case_of(handle)], timeout=timeout)
    assert type(caught.value) is cls
    assert caught.value.channel is handle
    assert caught.value.index == 2


def test_message_says_which_channel() -> None:
    """The text of an error names the channel."""
    ch = Channel(name="jobs")
    with pytest.raises(csp.Timeout, match="jobs"):
        ch.recv(timeout=0)


def test_end_of_channel_has_no_cause_by_default() -> None:
    """Without `close(cause=)` the cause is None, and no exception is chained."""
    with pytest.raises(csp.EndOfChannel) as caught:
        ended().recv()
    assert caught.value.cause is None
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("cause", ["done", 0, ("reason", 3), ValueError("bad input")])
def test_end_of_channel_carries_the_cause(cause: object) -> None:
    """`close(cause=...)` is what every receiver finds in `.cause`, however it receives."""
    ch = Channel(1)
    receiver = ch.receiver
    ch.close(cause=cause)
    operations: list[Callable[[], Any]] = [
        receiver.recv,
        ch.recv,
        ch.recv_nowait,
        lambda: receiver.recv_many(2),
        lambda: csp.select([receiver]),
    ]
    for operate in operations:
        with pytest.raises(csp.EndOfChannel) as caught:
            operate()
        assert type(caught.value.cause) is type(cause)
        assert repr(caught.value.cause) == repr(cause)


def test_first_cause_wins() -> None:
    """The channel closes once: the cause of a later close is ignored."""
    ch = Channel()
    other = ch.clone()
    ch.close(cause="first")
    other.close(cause="second")
    ch.close(cause="third")
    with pytest.raises(csp.EndOfChannel) as caught:
        other.recv()
    assert caught.value.cause == "first"


def test_last_sender_may_give_the_cause() -> None:
    """`close(cause=)` on a SendChannel counts if it was the last sender."""
    sender, receiver = csp.channel()
    other = sender.clone()
    sender.close(cause="not last")
    other.close(cause="last")
    with pytest.raises(csp.EndOfChannel) as caught:
        receiver.recv()
    assert caught.value.cause == "last"


@pytest.mark.parametrize("reason", ["normal", "shutdown", "failed"])
def test_end_of_an_actor_is_the_cause(reason: str) -> None:
    """When the end of an actor drops the last sender, receivers find its `Exit` in `.cause`, whatever it ended by."""
    requests = Channel[Any](1)
    sender, receiver = csp.channel()
    ref = csp.spawn(do.echo if reason != "failed" else do.fail_on_request, requests.receiver, sender)
    sender.close()
    party = Party(receiver.recv)
    wait_parked(receiver, receivers=1)
    if reason == "normal":
        requests.close()
    elif reason == "shutdown":
        ref.stop()
    else:
        requests.send(1)
    with pytest.raises(csp.EndOfChannel) as caught:
        party.result()
    end = ref.join(timeout=10)
    assert (end.ref, end.reason) == (ref, reason)
    assert caught.value.cause == end


def test_actor_that_closes_its_sender_itself_is_no_cause() -> None:
    """A sender closed, not dropped by the actor's end, says nothing but what `close(cause=)` said."""
    sender, receiver = csp.channel(1)
    ref = csp.spawn(do.close, sender)
    ref.join(timeout=10)
    sender.close()
    with pytest.raises(csp.EndOfChannel) as caught:
        receiver.recv()
    assert caught.value.cause is None


def test_unshareable_cause_closes_nothing() -> None:
    """A cause that cannot cross raises NotShareable, and the channel stays open."""
    ch = Channel(1)
    with pytest.raises(csp.NotShareable):
        ch.close(cause=math)
    assert not ch.closed
    ch.send(1)
    assert ch.recv() == 1


def test_decode_error_has_the_original_and_spares_the_channel() -> None:
    """A value that cannot be rebuilt raises DecodeError with the original as `__cause__`; it is gone, the channel goes on."""
    ch = unbuildable(2)
    ch.send("next")
    with pytest.raises(csp.DecodeError) as caught:
        ch.recv()
    assert isinstance(caught.value.__cause__, LookupError)
    assert ch.recv() == "next"
    assert (ch.statistics().received, len(ch)) == (2, 0)


def test_not_shareable_names_the_part_and_sends_nothing() -> None:
    """NotShareable is raised before anything is sent, and gives the path of the offending part."""
    ch = Channel(1)
    with pytest.raises(csp.NotShareable, match=r"value\['a'\]\[3\]"):
        ch.send({"a": [0, 1, 2, math]})
    assert (ch.statistics().sent, len(ch)) == (0, 0)


def test_timeout_of_a_plain_send_has_sent_nothing() -> None:
    """`Timeout.sent` is there, and 0 but for a batch."""
    with pytest.raises(csp.Timeout) as caught:
        Channel().send(1, timeout=0)
    assert caught.value.sent == 0
