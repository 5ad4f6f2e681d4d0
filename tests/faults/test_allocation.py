"""Each raw allocation of an operation fails in turn: the operation then raises MemoryError and has changed nothing.

Only allocations of the C core in the calling thread are made to fail (csp/_core/mem.h), not Python's own.
"""

import array
import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import csp
from csp import _core
from csp.testing import census
from tests.faults.parties import wait_for_end

MOST = 400  # no operation here allocates more often
Look = tuple[Any, ...]


@dataclass
class Record:
    """Crosses by pickle."""

    text: str
    numbers: list[int]


SCALAR, TEXT, NESTED = 7, "long enough not to be inline " * 8, {"a": [1, 2.5, ("x" * 40, {3, 4})], "b": {"c": b"y" * 5000}}
MANY, PICKLED = list(range(300)), Record("r" * 100, [1, 2, 3])
BUFFER = array.array("d", range(4000))
VALUES = {"scalar": SCALAR, "text": TEXT, "bytes": b"z" * 200_000, "nested": NESTED, "many": MANY, "pickled": PICKLED, "buffer": BUFFER}


def look(channels: list[Any]) -> Look:
    return tuple(tuple(channel.statistics()) for channel in channels), census()


def drain(channel: Any) -> None:
    while len(channel):
        channel.recv_nowait()


def fail_each_allocation(channels: list[Any], operation: Callable[[], Any], undo: Callable[[], Any] | None = None) -> int:
    """Run the operation with its first, second, ... allocation failing until none is left to fail; return how many failed.

    After each failure the channels and the census are as before.  `undo` takes back what a successful run did.
    """
    failures = 0
    for number in range(1, MOST):
        gc.collect(0)
        before = look(channels)
        _core.fail_allocation(number)
        try:
            result = operation()
        except MemoryError:
            failures += 1
            assert _core.fail_allocation(0) == 0, "a MemoryError without a failed allocation"
            assert look(channels) == before, f"allocation {number} failed, and something had changed"
        else:
            untouched = _core.fail_allocation(0)
            if undo is not None:
                undo()
            del result
            assert look(channels)[1] == before[1], f"allocation {number}: the operation succeeded, and left something"
            if untouched:
                return failures
    raise AssertionError(f"more than {MOST} allocations")


def check(channels: list[Any], operation: Callable[[], Any], undo: Callable[[], Any] | None = None) -> None:
    operation()  # what is imported or cached once is no part of the test
    if undo is not None:
        undo()
    assert fail_each_allocation(channels, operation, undo) > 0, "nothing was made to fail"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: csp.Channel(3, name="some name"), id="Channel"),
        pytest.param(lambda: csp.channel(3, name="some name"), id="channel"),
        pytest.param(lambda: csp.after(1000), id="after"),
        pytest.param(lambda: csp.tick(1000), id="tick"),
        pytest.param(csp.never, id="never"),
    ],
)
def test_making_a_channel(make: Callable[[], Any]) -> None:
    """Channels, pairs and timers come whole or not at all."""
    check([], make)


@pytest.mark.parametrize("derive", [lambda c: c.clone(), lambda c: c.sender, lambda c: c.receiver, lambda c: c.lease()])
def test_deriving_from_a_handle(derive: Callable[[Any], Any]) -> None:
    """Clones, one-way handles and leases likewise; the counts of open handles stay right."""
    channel = csp.Channel(1)
    check([channel], lambda: derive(channel))


@pytest.mark.parametrize("kind", [kind for kind in VALUES if kind != "scalar"])  # which allocates nothing
def test_sending(kind: str) -> None:
    """A send that runs out of memory has sent nothing."""
    channel = csp.Channel(1000)
    check([channel], lambda: channel.send(VALUES[kind]), channel.recv)


@pytest.mark.parametrize("kind", [*VALUES, "handles"])
def test_sending_a_batch(kind: str) -> None:
    """A batch that runs out of memory says how many had been sent: exactly those are in the channel."""
    channel, other = csp.Channel(1000), csp.Channel()
    values = [VALUES.get(kind) or [other.sender, other.receiver, other]] * (200 if kind == "scalar" else 40)
    open_ends, failures = other.statistics()[-2:], 0
    assert channel.send_many(values) == len(values)
    for number in range(1, MOST * 4):
        drain(channel)
        before = channel.statistics().sent
        _core.fail_allocation(number)
        try:
            channel.send_many(values)
        except MemoryError as error:
            failures += 1
            assert channel.statistics().sent - before == len(channel) == getattr(error, "sent", 0)
        if _core.fail_allocation(0):
            break
    assert failures > 0
    drain(channel)
    assert other.statistics()[-2:] == open_ends


def test_a_buffer_that_cannot_grow() -> None:
    """The queue of an unbounded channel grows by whole pieces; one that cannot be had fails that send alone."""
    channel = csp.Channel(10**6)
    failures = 0
    for value in range(500):
        _core.fail_allocation(1)
        try:
            channel.send(value)
        except MemoryError:
            failures += 1
            channel.send(value)
        finally:
            _core.fail_allocation(0)
    assert failures > 1
    assert channel.recv_many(1000) == list(range(500))


def test_sending_handles() -> None:
    """Handles in flight are counted until the send has failed, and no longer."""
    channel, other = csp.Channel(4), csp.Channel()
    check([channel, other], lambda: channel.send([other.sender, (other.receiver, other), csp.never()]), channel.recv)


@pytest.mark.parametrize("kind", ["nested", "many", "pickled", "buffer", "handles"])
@pytest.mark.parametrize("how", ["recv", "recv_nowait", "recv_many", "select", "lease", "next"])
def test_receiving(kind: str, how: str) -> None:
    """A receive that runs out of memory has taken nothing: the value is still the next one."""
    channel, other = csp.Channel(4), csp.Channel()
    value = VALUES.get(kind) or [other.sender, other.receiver, {"k": other}]

    def lease() -> Any:
        with channel.lease() as received:
            return received

    operation = {
        "recv": channel.recv, "recv_nowait": channel.recv_nowait, "recv_many": lambda: channel.recv_many(2), "lease": lease,
        "select": lambda: csp.select([other, channel]), "next": lambda: next(iter(channel)),
    }[how]  # fmt: skip
    channel.send(value)
    operation()
    failures = 0
    for number in range(1, MOST):
        gc.collect(0)
        baseline = look([other])
        channel.send(value)
        before = look([channel, other])
        _core.fail_allocation(number)
        try:
            operation()
        except MemoryError:
            failures += 1
            _core.fail_allocation(0)
            assert look([channel, other]) == before, f"allocation {number} failed, and something had changed"
            channel.recv_nowait()
        left = _core.fail_allocation(0)
        assert look([other]) == baseline
        if left:
            break
    assert failures > 0 or kind != "handles"  # the others may be decoded into Python objects alone


@pytest.mark.parametrize("count", [17, 200])
def test_selecting_among_many(count: int) -> None:
    """A select or Selector of more cases than lie on the stack."""
    channels = [csp.Channel(1) for _ in range(count)]
    cases: list[Any] = [(channel, TEXT) if i % 3 else channel for i, channel in enumerate(channels)]
    full = [csp.Channel(1) for _ in range(count)]
    for channel in full:
        channel.send(1)
    check(channels, lambda: csp.select(cases, timeout=0), lambda: [channel.recv_nowait(None) for channel in channels])
    check(full, lambda: csp.select([(channel, NESTED) for channel in full], timeout=0))
    check(full, lambda: csp.Selector(cases))


def test_leases_given_back() -> None:
    """Giving back may need memory too: then the value is gone, but counted, and its handles are closed."""
    channel, other = csp.Channel(4), csp.Channel()
    discarded = 0
    for number in range(1, 12):
        channel.send_many([[other.sender], 2])
        _core.fail_allocation(0)
        with pytest.raises(ZeroDivisionError), channel.lease():
            _core.fail_allocation(number)
            raise ZeroDivisionError
        _core.fail_allocation(0)
        now = channel.statistics()
        assert now.sent == now.received + now.discarded + now.buffered
        discarded = now.discarded
        drain(channel)
    assert discarded == channel.statistics().discarded
    assert other.statistics().senders == 1


def test_closing_with_a_cause() -> None:
    """A close whose cause cannot be kept has not closed."""
    for number in range(1, MOST):
        channel = csp.Channel(1)
        _core.fail_allocation(number)
        try:
            channel.close(cause=NESTED)
        except MemoryError:
            assert not channel.closed
        if _core.fail_allocation(0):
            break
    assert number > 1
    with pytest.raises(csp.EndOfChannel) as ended:
        channel.recv()
    assert ended.value.cause == NESTED


def test_spawning() -> None:
    """A spawn that runs out of memory here has started nothing, or is taken down again."""
    gc.collect()  # what an exception of the test before has kept would go at any time
    channel = csp.Channel(1)
    before, failures = census(), 0
    csp.spawn(wait_for_end, channel.receiver, TEXT).kill()
    csp.testing.wait_until(lambda: census() == before, what=f"the first one gone: {before}")
    for number in range(1, MOST):
        ref = None
        _core.fail_allocation(number)
        try:
            ref = csp.spawn(wait_for_end, channel.receiver, TEXT)
        except (MemoryError, csp.ActorStartError):
            failures += 1
        left = _core.fail_allocation(0)
        if ref is not None:
            assert ref.kill().reason == "killed"
            ref = None
        csp.testing.wait_until(lambda: census() == before, what=f"allocation {number}: {before}")
        assert channel.statistics().receivers == 1
        if left:
            break
    assert failures > 0
