"""Timeouts: which numbers they take, what they leave behind, how long they are."""

import decimal
import math
import time
from collections.abc import Callable
from typing import Any

import pytest

import csp
from csp import Channel
from csp.testing import wait_parked
from tests.placements import Party

WAITS: dict[str, Callable[[Any, Any], Any]] = {
    "send": lambda ch, timeout: ch.send(1, timeout),
    "recv": lambda ch, timeout: ch.recv(timeout),
    "send_many": lambda ch, timeout: ch.send_many([1, 2], timeout),
    "recv_many": lambda ch, timeout: ch.recv_many(2, timeout),
    "lease": lambda ch, timeout: ch.lease(timeout).__enter__(),
    "select recv": lambda ch, timeout: csp.select([ch], timeout=timeout),
    "select send": lambda ch, timeout: csp.select([(ch, 1)], timeout=timeout),
    "Selector": lambda ch, timeout: csp.Selector([ch]).select(timeout=timeout),
}


def timed_out(wait: Callable[[Any, Any], Any], ch: Any, timeout: Any) -> bool:
    try:
        return wait(ch, timeout) == (None, None)  # select says it by its result
    except csp.Timeout:
        return True


@pytest.mark.parametrize("what", WAITS)
@pytest.mark.parametrize("timeout", [-1, -0.001, -math.inf, math.nan, -(10**400)])
@pytest.mark.parametrize("ready", [False, True])
def test_negative_or_nan_timeout_is_a_value_error(what: str, timeout: float, ready: bool) -> None:
    """A negative or NaN timeout is refused, also where the operation could complete at once; nothing happens."""
    ch: Channel[int] = Channel(2)
    if ready:
        ch.send(0)
    before = ch.statistics()
    with pytest.raises(ValueError, match="timeout"):
        WAITS[what](ch, timeout)
    assert ch.statistics() == before


@pytest.mark.parametrize("what", WAITS)
@pytest.mark.parametrize("timeout", ["1", b"1", [], object(), 1j])
def test_timeout_of_a_wrong_type_is_a_type_error(what: str, timeout: Any) -> None:
    """A timeout that is no number is a TypeError that names the argument."""
    ch: Channel[int] = Channel(2)
    ch.send(0)
    with pytest.raises(TypeError, match="timeout"):
        WAITS[what](ch, timeout)
    assert (ch.statistics().sent, len(ch)) == (1, 1)


@pytest.mark.parametrize("what", WAITS)
@pytest.mark.parametrize("timeout", [0, 0.0, -0.0, 5e-324, 1e-9])
def test_zero_polls(what: str, timeout: float) -> None:
    """`timeout=0` returns at once: the deadline has passed if the operation cannot complete."""
    start = time.monotonic()
    assert timed_out(WAITS[what], Channel(), timeout)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("what", WAITS)
def test_zero_completes_what_needs_no_waiting(what: str) -> None:
    """`timeout=0` does what can be done at once."""
    ch: Channel[int] = Channel(3)
    ch.send(0)
    assert not timed_out(WAITS[what], ch, 0)


@pytest.mark.parametrize("timeout", [None, math.inf, 1e308, 10**400, 2**63, 1e10, 9.3e9, 2**64 / 1e9, decimal.Decimal(10**9)])
@pytest.mark.parametrize("what", WAITS)
def test_huge_timeout_waits(what: str, timeout: Any) -> None:
    """None, infinity and numbers beyond any clock wait for ever: nothing overflows."""
    ch: Channel[Any] = Channel()
    party = Party(WAITS[what], ch, timeout)
    if what in ("send", "send_many", "select send"):
        wait_parked(ch, senders=1)
        expected = [1, 2] if what == "send_many" else [1]
        assert [ch.recv(timeout=10) for _ in expected] == expected
    else:
        wait_parked(ch, receivers=1)
        ch.send(7, timeout=10)
    party.result()


@pytest.mark.parametrize("what", WAITS)
@pytest.mark.parametrize("timeout", [0.03, 0.051])
def test_fractions_of_a_second_count(what: str, timeout: float) -> None:
    """A wait ends at its deadline, never before, on the monotonic clock; fractions are neither cut off nor rounded up to a second."""
    start = time.monotonic()
    assert timed_out(WAITS[what], Channel(), timeout)
    elapsed = time.monotonic() - start
    assert timeout <= elapsed < timeout + 0.9


def test_timed_out_send_is_not_sent_and_never_will_be() -> None:
    """After Timeout a rendezvous send has left no value and no waiting sender behind."""
    ch: Channel[int] = Channel()
    for timeout in (0, 0.01):
        with pytest.raises(csp.Timeout):
            ch.send(1, timeout)
    with pytest.raises(csp.WouldBlock):
        ch.recv_nowait()
    stats = ch.statistics()
    assert (stats.sent, stats.waiting_senders) == (0, 0)


def test_timed_out_send_to_a_full_buffer_is_not_sent() -> None:
    """After Timeout the buffer holds what it held, and room that comes later stays free."""
    ch: Channel[int] = Channel(1)
    ch.send(1)
    for timeout in (0, 0.01):
        with pytest.raises(csp.Timeout):
            ch.send(2, timeout)
    assert ch.recv() == 1
    assert (len(ch), ch.statistics().sent) == (0, 1)


@pytest.mark.parametrize("what", ["recv", "recv_many", "lease", "select recv"])
def test_timed_out_recv_has_taken_nothing(what: str) -> None:
    """After Timeout no receiver is left that would swallow the next value."""
    ch: Channel[int] = Channel()
    for timeout in (0, 0.01):
        assert timed_out(WAITS[what], ch, timeout)
    with pytest.raises(csp.WouldBlock):
        ch.send_nowait(1)
    stats = ch.statistics()
    assert (stats.received, stats.waiting_receivers) == (0, 0)


def test_would_block_leaves_nothing_behind() -> None:
    """A `_nowait` call that could not complete has neither sent nor taken, and nobody waits."""
    ch: Channel[int] = Channel()
    with pytest.raises(csp.WouldBlock):
        ch.send_nowait(1)
    with pytest.raises(csp.WouldBlock):
        ch.recv_nowait()
    stats = ch.statistics()
    assert (stats.sent, stats.received, stats.waiting_senders, stats.waiting_receivers) == (0, 0, 0, 0)


def test_nowait_admits_the_next_waiting_sender() -> None:
    """`recv_nowait` that makes room lets the oldest waiting sender in at once."""
    ch: Channel[int] = Channel(1)
    ch.send(1)
    sender = Party(ch.send, 2)
    wait_parked(ch, senders=1)
    assert ch.recv_nowait() == 1
    assert len(ch) == 1
    assert ch.recv_nowait() == 2
    sender.result()


def test_a_timeout_does_not_disturb_the_others_in_the_queue() -> None:
    """Of three waiting senders the middle one gives up; the others keep their turn."""
    ch: Channel[int] = Channel()
    first = Party(ch.send, 1)
    wait_parked(ch, senders=1)
    middle = Party(ch.send, 2, 0.1)
    wait_parked(ch, senders=2)
    last = Party(ch.send, 3)
    wait_parked(ch, senders=3)
    with pytest.raises(csp.Timeout):
        middle.result()
    assert ch.statistics().waiting_senders == 2
    assert [ch.recv(), ch.recv()] == [1, 3]
    first.result()
    last.result()


def test_timeouts_race_with_sends_without_loss() -> None:
    """Receivers with tiny timeouts against a sender: every value sent is received exactly once, every Timeout took nothing."""
    ch: Channel[int] = Channel()
    got: list[int] = []

    def receive() -> None:
        while True:
            try:
                got.append(ch.recv(timeout=0.00003))
            except csp.Timeout:
                pass
            except csp.EndOfChannel:
                return

    receivers = [Party(receive) for _ in range(2)]
    sent = 0
    for n in range(1500):
        try:
            ch.send(n, timeout=0.00003)
            sent += 1
        except csp.Timeout:
            pass
    ch.close()
    for receiver in receivers:
        receiver.result()
    assert len(got) == len(set(got)) == sent == ch.statistics().received
