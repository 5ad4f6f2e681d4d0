"""Rules of flume, Kotlin's channels and core.async that are ours too, one test each; and where we chose otherwise."""

import math
from typing import Any

import pytest

import csp
from csp import Channel, select
from csp.testing import wait_parked
from tests.placements import Party

# --- flume ---


def test_receive_pulls_waiting_senders_into_the_buffer() -> None:
    """flume: a receive lets blocked senders fill the room, in their order."""
    ch: Channel[int] = Channel(1)
    ch.send(0)
    parties = []
    for n in (1, 2):
        parties.append(Party(ch.send, n))
        wait_parked(ch, senders=n)
    assert ch.recv() == 0
    wait_parked(ch, senders=1)
    assert len(ch) == 1
    assert [ch.recv(), ch.recv()] == [1, 2]
    for party in parties:
        party.result()


def test_counts_of_handles() -> None:
    """flume: sender_count and receiver_count."""
    sender, receiver = csp.channel()
    clones = [sender.clone() for _ in range(3)] + [receiver.clone()]
    assert receiver.statistics()[8:] == (4, 2)
    del clones
    assert receiver.statistics()[8:] == (1, 1)


def test_blocked_senders_fail_when_the_channel_breaks() -> None:
    """On disconnection blocked senders get an error; here none of their values is moved to the buffer."""
    ch: Channel[int] = Channel(1)
    sender, receiver = ch.sender, ch.receiver
    sender.send(0)
    party = Party(sender.send, 1)
    wait_parked(ch, senders=1)
    del ch
    receiver.close()
    with pytest.raises(csp.BrokenChannel):
        party.result()
    assert sender.statistics().sent == 1


def test_a_receiver_that_gives_up_passes_the_wake_up_on() -> None:
    """async_recv_drop_recv: whoever gives up must not swallow the value that the next one waits for."""
    for _ in range(100):
        ch: Channel[int] = Channel()
        impatient = Party(ch.recv, 0.0005)
        patient = Party(ch.recv, 20)
        sent = 0
        while patient.running or impatient.running:
            try:
                ch.send(sent, timeout=0.001)
                sent += 1
            except csp.Timeout:
                continue
        received = [patient.result()]
        try:
            received.append(impatient.result())
        except csp.Timeout:
            pass
        assert sorted(received) == list(range(sent))


def test_retrying_adds_no_waiters() -> None:
    """flume #182: a wait that is tried again and again leaves no entries in the queue."""
    ch: Channel[int] = Channel()
    blocks = csp.testing.census()["blocks"]
    for _ in range(300):
        with pytest.raises(csp.Timeout):
            ch.recv(timeout=0.00001)
        with pytest.raises(csp.Timeout):
            ch.send(1, timeout=0.00001)
        assert not select([ch, (ch, 1)], timeout=0.00001)
    stats = ch.statistics()
    assert (stats.waiting_senders, stats.waiting_receivers) == (0, 0)
    assert csp.testing.census()["blocks"] == blocks


# --- Kotlin ---


def test_closed_for_send_is_not_closed_for_receive() -> None:
    """isClosedForSend at once, isClosedForReceive only when the buffer is empty."""
    ch: Channel[int] = Channel(1)
    sender = ch.sender
    ch.send(1)
    ch.close()
    with pytest.raises(csp.BrokenChannel):
        sender.send(2)
    assert ch.recv() == 1
    with pytest.raises(csp.EndOfChannel):
        ch.recv()


def test_close_fails_senders_already_suspended_here() -> None:
    """testSuspendSendOnClosedChannel: Kotlin still delivers sends suspended before the close; here they get BrokenChannel."""
    ch: Channel[int] = Channel()
    party = Party(ch.sender.send, 1)
    wait_parked(ch, senders=1)
    ch.close()
    with pytest.raises(csp.BrokenChannel):
        party.result()


def test_cause_of_the_close_reaches_the_receivers() -> None:
    """close(cause): whoever receives afterwards learns it; the first cause wins."""
    ch: Channel[int] = Channel()
    receivers = [Party(ch.recv) for _ in range(2)]
    wait_parked(ch, receivers=2)
    ch.close(cause="why")
    ch.close(cause="later")
    for party in receivers:
        with pytest.raises(csp.EndOfChannel) as caught:
            party.result()
        assert caught.value.cause == "why"


def test_try_operations_have_three_outcomes() -> None:
    """trySend and tryReceive: success, failed (retrying makes sense), closed (it never will)."""
    ch: Channel[int] = Channel(1)
    sender = ch.sender
    sender.send_nowait(1)
    with pytest.raises(csp.WouldBlock):
        sender.send_nowait(2)
    assert ch.recv_nowait() == 1
    with pytest.raises(csp.WouldBlock):
        ch.recv_nowait()
    ch.close()
    with pytest.raises(csp.BrokenChannel):
        sender.send_nowait(3)
    with pytest.raises(csp.EndOfChannel):
        ch.recv_nowait()


def test_overflow_policies() -> None:
    """SUSPEND, DROP_OLDEST, DROP_LATEST; CONFLATED is a capacity of 1 with DROP_OLDEST."""
    conflated: Channel[int] = Channel(1, overflow="drop_oldest")
    latest: Channel[int] = Channel(1, overflow="drop_newest")
    for n in range(5):
        conflated.send_nowait(n)
        latest.send_nowait(n)
    assert (conflated.recv(), latest.recv()) == (4, 0)


def test_dropping_with_capacity_zero_is_refused_here() -> None:
    """Kotlin makes capacity 0 with a drop policy a capacity of 1; here it is a ValueError."""
    with pytest.raises(ValueError, match="capacity"):
        Channel(0, overflow="drop_oldest")


def test_select_does_not_fail_while_another_case_is_ready_with_priority() -> None:
    """Kotlin throws if any clause fails; here a failing case is one among the ready ones, and priority decides."""
    ended, ready = csp.channel()[1], Channel[int](2)
    ready.send_many([1, 2])
    assert select([ready, ended], priority=True).value == 1
    with pytest.raises(csp.EndOfChannel):
        select([ended, ready], priority=True)


def test_timeout_clause_of_zero_is_chosen_at_once() -> None:
    """onTimeout(0) fires at once when nothing else is ready."""
    assert select([Channel(), csp.after(0)], timeout=10).index == 1


def test_early_exit_of_iteration_does_not_cancel() -> None:
    """Leaving a `for` early leaves the channel as it is; `with` closes it."""
    ch: Channel[int] = Channel(3)
    ch.send_many([1, 2, 3])
    for _ in ch:
        break
    assert len(ch) == 2
    with ch:
        pass
    assert ch.closed


# --- core.async ---


@pytest.mark.parametrize("value", [None, False, 0])
def test_none_is_a_value(value: Any) -> None:
    """core.async cannot send nil, its end marker; here every value can be sent."""
    ch: Channel[Any] = Channel(1)
    ch.send(value)
    assert ch.recv() is value


def test_more_than_1024_may_wait() -> None:
    """core.async asserts at most 1024 pending operations; here a select may wait on one channel in as many cases as it likes."""
    ch: Channel[int] = Channel()
    party = Party(select, [ch] * 2000)
    wait_parked(ch, receivers=1)
    ch.send(1)
    assert party.result().value == 1
    assert ch.statistics().waiting_receivers == 0


def test_alts_priority() -> None:
    """alts! :priority takes the first that is ready, :default only if none is."""
    a, b = Channel[int](1), Channel[int](1)
    assert not select([a, b], timeout=0, priority=True)
    b.send(2)
    assert select([a, b], timeout=0, priority=True).value == 2
    a.send(1)
    b.send(2)
    assert select([a, b], timeout=0, priority=True).value == 1


def test_unbounded_buffer_has_no_limit_but_memory() -> None:
    """`math.inf` takes what is sent; backpressure is then nobody's."""
    ch: Channel[int] = Channel(math.inf)
    assert ch.send_many(range(5000)) == 5000
    assert ch.statistics().peak == 5000
