"""Objects that raise, or use the channel, at the worst moment: while pickled, rebuilt, hashed, viewed or freed."""

import contextlib
import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

import csp
from csp.testing import census
from tests.faults.parties import PATIENCE, Bad, Exporter

ERRORS = [ValueError, KeyboardInterrupt, SystemExit, MemoryError, RecursionError]

SENDS: dict[str, Callable[[Any, Any], Any]] = {
    "send": lambda channel, value: channel.send(value),
    "send_nowait": lambda channel, value: channel.send_nowait(value),
    "send_many": lambda channel, value: channel.send_many([1, value, 2]),
    "select": lambda channel, value: csp.select([(channel, 1), (channel, value)]),
    "Selector": lambda channel, value: csp.Selector([(channel, 1), (channel, value)]).select(),
    "close": lambda channel, value: channel.close(cause=value),
}


def leased(channel: Any) -> Any:
    with channel.lease() as value:
        return value


RECEIVES: dict[str, Callable[[Any], Any]] = {
    "recv": lambda channel: channel.recv(),
    "recv_nowait": lambda channel: channel.recv_nowait("default"),
    "recv_many": lambda channel: channel.recv_many(10),
    "select": lambda channel: csp.select([csp.never(), channel]).value,
    "lease": leased,
    "next": lambda channel: next(channel),
}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Any:
    before = census()
    yield
    if census() != before:
        gc.collect()
    now = census()
    assert all(now[what] <= before[what] for what in before), (before, now)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("how", SENDS)
def test_raising_when_pickled(how: str, error: type[BaseException]) -> None:
    """The error reaches the sender (an Exception as the cause of NotShareable), and nothing has been sent or closed."""
    channel, (sender, receiver) = csp.Channel(10), csp.channel()
    passes = not issubclass(error, Exception) or error is MemoryError
    with pytest.raises(error if passes else csp.NotShareable) as raised:
        SENDS[how](channel, [sender, Bad("pickled", error=error)])
    assert passes or isinstance(raised.value.__cause__, error)
    now = channel.statistics()
    assert (now.sent, now.buffered, channel.closed) == (0, 0, False)
    assert receiver.statistics().senders == 1


@pytest.mark.parametrize("how", [how for how in SENDS if how != "close"])
def test_closing_the_channel_while_pickled(how: str) -> None:
    """A value whose pickling closes the channel is not sent."""
    channel = csp.Channel(10)
    with pytest.raises(csp.CspError) as raised:
        SENDS[how](channel, Bad("pickled", deed=channel.close))
    assert isinstance(raised.value, csp.ClosedHandle)
    assert channel.statistics().sent == 0


def test_sending_while_pickled() -> None:
    """A value may send on the very channel while it is pickled: that value comes first."""
    channel = csp.Channel(10)
    channel.send([1, Bad("pickled", deed=lambda: channel.send("first"))])
    assert channel.recv() == "first" and channel.recv()[0] == 1


@pytest.mark.parametrize("how", RECEIVES)
def test_an_error_when_rebuilt_costs_that_value_alone(how: str) -> None:
    """DecodeError; the value is gone with all that it held, and the next one comes."""
    channel, other = csp.Channel(10), csp.Channel()
    PATIENCE["tries"] = 0
    channel.send([other.sender, Bad("rebuilt")])
    channel.send(2)
    with pytest.raises(csp.DecodeError) as raised:
        RECEIVES[how](channel)
    assert isinstance(raised.value.__cause__, ValueError) and raised.value.channel is channel
    raised.value.__cause__.__traceback__ = None
    assert RECEIVES[how](channel) in (2, [2])
    assert other.statistics().senders == 1
    now = channel.statistics()
    assert now.sent == now.received == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError, csp.Stopped, csp.Killed])
@pytest.mark.parametrize("how", RECEIVES)
def test_breaking_off_the_rebuilding_takes_nothing(how: str, error: type[BaseException]) -> None:
    """Ctrl-C, a stop, a kill or the lack of memory say nothing about the value: it is still the next, as are those with it."""
    channel, other = csp.Channel(10), csp.Channel()
    PATIENCE["tries"] = 0
    channel.send_many([[other.sender, Bad("rebuilt", error=error)], 2])
    before = channel.statistics()
    with pytest.raises(error):
        RECEIVES[how](channel)
    assert channel.statistics() == before
    received = RECEIVES[how](channel)
    if how == "recv_many":
        assert received[1] == 2
        received = received[0]
    assert received[0] == other.sender and isinstance(received[1], Bad)


def test_breaking_off_a_batch_in_its_middle_takes_nothing() -> None:
    """recv_many, interrupted while it rebuilds its third value, leaves all of them in their order."""
    channel = csp.Channel(10)
    PATIENCE["tries"] = 0
    channel.send_many([1, "two", Bad("rebuilt", error=KeyboardInterrupt), 4])
    with pytest.raises(KeyboardInterrupt):
        channel.recv_many(10)
    first, second, third, fourth = channel.recv_many(10)
    assert (first, second, fourth) == (1, "two", 4) and isinstance(third, Bad)
    assert channel.statistics().received == 4


def test_an_error_in_the_middle_of_a_batch_ends_it_before() -> None:
    """The values before the one that cannot be rebuilt are returned; it raises when it is the first."""
    channel = csp.Channel(10)
    PATIENCE["tries"] = 5
    channel.send_many([1, "two", Bad("rebuilt"), 4])
    assert channel.recv_many(10) == [1, "two"]
    with pytest.raises(csp.DecodeError):
        channel.recv_many(10)
    assert channel.recv_many(10) == [4]


@pytest.mark.parametrize("make", [lambda bad: {bad}, lambda bad: {bad: 1}, lambda bad: frozenset([bad])])
def test_raising_when_hashed_in_the_receiver(make: Callable[[Any], Any]) -> None:
    """A key or member that cannot be hashed there is a DecodeError."""
    channel, bad = csp.Channel(10), Bad("never")
    value = make(bad)
    bad.when = "hashed"
    channel.send(value)
    with pytest.raises(csp.DecodeError):
        channel.recv()
    bad.when = "never"
    channel.send(3)
    assert channel.recv() == 3


@pytest.mark.parametrize("way", ["drop_oldest", "drop_newest", "last receiver", "lease ends", "close", "channel dies"])
def test_using_the_channel_while_freed(way: str) -> None:
    """Values of a local channel are freed outside its locks: their `__del__` may use the channel, and whatever it raises is not ours."""
    overflow = way if way.startswith("drop") else "block"
    channel, freed = csp.Channel(1, local=True, overflow=overflow), []
    looker = None if way == "channel dies" else channel.sender

    def use() -> None:
        freed.append(looker is not None and len(looker))
        if looker is not None:
            looker.statistics()
            repr(looker)
            with contextlib.suppress(csp.BrokenChannel):
                looker.send_nowait("again")

    channel.send(Bad("freed", deed=use))
    if way.startswith("drop"):
        channel.send(Bad("freed", deed=use))
    elif way == "last receiver":
        channel.receiver.close()
        channel.close()
        del channel
    elif way == "lease ends":
        with channel.lease() as value:
            del value
    elif way == "close":
        channel.close()
        assert not freed
        channel.recv()
    else:
        del channel
    gc.collect()
    assert freed


def test_raising_while_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in a `__del__` goes where such errors go, and the operation is unharmed."""
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", lambda info: unraisable.append(info.exc_type))
    channel = csp.Channel(1, local=True, overflow="drop_oldest")
    for _ in range(3):
        channel.send(Bad("freed"))
    del channel
    gc.collect()
    assert unraisable == [ValueError] * 3


@pytest.mark.parametrize("raises", [True, False])
def test_an_iterator_that_uses_the_channel_or_raises(raises: bool) -> None:
    """send_many takes its values before it sends any: what the iterator sends comes first, and its error means nothing sent."""
    channel = csp.Channel(10)

    def values() -> Any:
        yield 1
        if raises:
            raise ZeroDivisionError
        channel.send("first")
        yield 2

    if raises:
        with pytest.raises(ZeroDivisionError):
            channel.send_many(values())
        assert len(channel) == 0
    else:
        assert channel.send_many(values()) == 2
        assert channel.recv_many(10) == ["first", 1, 2]


def test_cases_that_change_the_list_of_cases() -> None:
    """`__csp_case__` may do anything, clearing the list included."""
    channel = csp.Channel(1)
    channel.send(5)

    class Case:
        def __csp_case__(self) -> Any:
            cases.clear()
            return channel

    cases: list[Any] = [Case(), Case(), None]
    case = cases[0]
    fired = csp.select(cases, timeout=0)
    assert fired.channel is case and fired.value == 5

    class Raising:
        def __csp_case__(self) -> Any:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        csp.select([(channel, [channel.sender]), Raising()])
    assert len(channel) == 0 and channel.statistics().senders == 1
    case = None


def test_a_buffer_that_refuses_to_be_viewed() -> None:
    """Is not shareable; nothing was sent."""
    channel = csp.Channel(2)
    with pytest.raises((csp.NotShareable, BufferError)):
        channel.send(memoryview(Exporter("viewed")))
    assert len(channel) == 0


def test_a_buffer_that_refuses_to_be_released(monkeypatch: pytest.MonkeyPatch) -> None:
    """The value was copied and sent; the error goes where such errors go."""
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", lambda info: unraisable.append(info.exc_type))
    channel = csp.Channel(2)
    view = memoryview(Exporter("released"))
    channel.send(view)
    del view
    gc.collect()
    assert channel.recv().nbytes == 100_000
    assert unraisable
