"""The core promises, with the two parties in threads of one interpreter, in main and a child, and in two children."""

from collections import Counter
from typing import Any

import pytest

import csp
from csp import Channel
from csp.testing import wait_parked, wait_until
from tests import placements as do
from tests.placements import Placement

CAPACITIES = [0, 1, 5]
every_capacity = pytest.mark.parametrize("capacity", CAPACITIES)

VALUES = [None, True, 0, -(10**50), 1.5, "text ☃", b"bytes", (1, (2, 3)), [1, [2]], {"a": {1, 2}}, frozenset({"x"}), 1j, "x" * 10_000]


@every_capacity
def test_values_arrive_equal_and_in_order(placement: Placement, capacity: int) -> None:
    """What one party sends is what the other receives: equal values of the same types, in order."""
    sender, receiver = csp.channel(capacity)
    sending = placement.start(do.send_all, sender, VALUES, True)
    receiving = placement.start(do.receive_all, receiver)
    del sender, receiver
    got = receiving.result()
    assert sending.result() is None
    assert got == VALUES
    assert [type(value) for value in got] == [type(value) for value in VALUES]


def test_rendezvous_send_returns_only_once_taken(placement: Placement) -> None:
    """capacity 0 holds across interpreters: the sender waits until the value is taken."""
    ch: Channel[str] = Channel()
    sending = placement.start(do.after_return, ch.sender, "x")
    wait_parked(ch, senders=1)
    receiving = placement.start(do.recv, ch.receiver)
    assert receiving.result() == "x"
    assert isinstance(sending.result(), float)
    assert ch.statistics()[:5] == (1, 1, 0, 0, 0)


def test_receiver_waits_and_is_handed_the_value(placement: Placement) -> None:
    """A receiver that waits gets what is sent, directly."""
    ch: Channel[str] = Channel()
    receiving = placement.start(do.recv, ch.receiver)
    wait_parked(ch, receivers=1)
    sending = placement.start(do.send, ch.sender, "x", 0)
    assert sending.result() is None
    assert receiving.result() == "x"


@every_capacity
def test_full_channel_makes_the_sender_wait(placement: Placement, capacity: int) -> None:
    """The sender goes on when the other party makes room."""
    ch: Channel[int] = Channel(capacity)
    sending = placement.start(do.send_all, ch.sender, list(range(capacity + 1)))
    wait_parked(ch, senders=1)
    assert len(ch) == capacity
    receiving = placement.start(do.receive_some, ch.receiver, capacity + 1)
    assert receiving.result() == list(range(capacity + 1))
    assert sending.result() is None


@every_capacity
def test_timeout_of_a_sender_leaves_nothing(placement: Placement, capacity: int) -> None:
    """A send that timed out in one place is not received in the other."""
    ch: Channel[int] = Channel(capacity)
    ch.send_many(range(capacity))
    assert placement.start(do.send, ch.sender, -1, 0.01).result() == "Timeout"
    assert placement.start(do.receive_some, ch.receiver, capacity).result() == list(range(capacity))
    assert placement.start(do.recv, ch.receiver, 0).result() == "Timeout"
    stats = ch.statistics()
    assert (stats.sent, stats.received, stats.waiting_senders, stats.waiting_receivers) == (capacity, capacity, 0, 0)


@every_capacity
def test_close_wakes_the_waiting_receiver(placement: Placement, capacity: int) -> None:
    """Closing the last sender at one place ends the receive that waits at the other."""
    sender, receiver = csp.channel(capacity)
    receiving = placement.start(do.receive_all, receiver)
    wait_parked(receiver, receivers=1)
    placement.start(do.send_all, sender.clone(), [1, 2], True).result()
    sender.close()
    assert receiving.result() == [1, 2]


@every_capacity
def test_close_of_a_channel_wakes_everybody(placement: Placement, capacity: int) -> None:
    """A Channel closed at one place: who sends at the other gets BrokenChannel, and what is buffered can be drained."""
    ch: Channel[int] = Channel(capacity)
    ch.send_many(range(capacity))
    sending = placement.start(do.send, ch.sender, -1)
    wait_parked(ch, senders=1)
    assert placement.start(do.close, ch.clone()).result() is None
    assert sending.result() == "BrokenChannel"
    assert ch.closed
    assert placement.start(do.receive_all, ch.receiver).result() == list(range(capacity))


@every_capacity
def test_handle_that_goes_with_its_party_counts_as_closed(placement: Placement, capacity: int) -> None:
    """When the function that got the last sender returns, receivers get the end; the last receiver likewise."""
    sender, receiver = csp.channel(capacity)
    receiving = placement.start(do.receive_all, receiver)
    wait_parked(receiver, receivers=1)
    del receiver
    leaving = placement.start(do.drop, sender)
    del sender
    leaving.result()
    assert receiving.result() == []


@every_capacity
def test_last_receiver_gone_breaks_the_sender(placement: Placement, capacity: int) -> None:
    """A sender that waits at one place learns that the last receiver, at the other, has gone; the values are discarded."""
    sender, receiver = csp.channel(capacity)
    sending = placement.start(do.send_all, sender, list(range(capacity + 1)))
    wait_parked(sender, senders=1)
    leaving = placement.start(do.drop, receiver)
    del receiver
    leaving.result()
    assert sending.result() == "BrokenChannel"
    stats = sender.statistics()
    assert (stats.sent, stats.discarded, stats.buffered) == (capacity, capacity, 0)


@every_capacity
def test_open_handles_are_counted_over_all_places(placement: Placement, capacity: int) -> None:
    """statistics() counts the handle of a party elsewhere, until it is gone."""
    ch: Channel[Any] = Channel(capacity)
    quiet: Channel[Any] = Channel()
    party = placement.start(do.echo, ch.receiver, quiet.sender)
    wait_parked(ch, receivers=1)
    open_now = 3 if placement.places[0] == "child" else 2  # ours, the party's, and what the caller of `run` holds meanwhile
    assert (ch.statistics().receivers, quiet.statistics().senders) == (open_now, open_now)
    ch.close()
    assert party.result() is None
    wait_until(lambda: (ch.statistics().receivers, quiet.statistics().senders) == (1, 1))


@every_capacity
def test_waiting_senders_are_served_in_order(placement: Placement, capacity: int) -> None:
    """First come, first served, whoever waits where."""
    ch: Channel[int] = Channel(capacity)
    ch.send_many(range(capacity))
    parties = []
    for n in range(4):
        parties.append(placement.start(do.send, ch.sender, capacity + n))
        wait_parked(ch, senders=n + 1)
    assert [ch.recv() for _ in range(capacity + 4)] == list(range(capacity + 4))
    for party in parties:
        assert party.result() is None


@every_capacity
def test_waiting_receivers_are_served_in_order(placement: Placement, capacity: int) -> None:
    """First come, first served, whoever waits where; a select stands in the same line."""
    ch: Channel[int] = Channel(capacity)
    parties = []
    for n in range(4):
        function = (do.recv, do.recv, do.select_recv, do.select_recv)[n]
        parties.append(placement.start(function, [ch.receiver] if n > 1 else ch.receiver))
        wait_parked(ch, receivers=n + 1)
    for n in range(4):
        ch.send(n)
    assert [party.result() for party in parties] == [0, 1, (0, 2), (0, 3)]


@every_capacity
def test_select_wakes_for_a_sender_elsewhere(placement: Placement, capacity: int) -> None:
    """A select that waits over channels fires exactly one case when a party elsewhere sends."""
    channels: list[Channel[str]] = [Channel(capacity) for _ in range(3)]
    selecting = placement.start(do.select_recv, [ch.receiver for ch in channels])
    for ch in channels:
        wait_parked(ch, receivers=1)
    placement.start(do.send, channels[1].sender, "one").result()
    assert selecting.result() == (1, "one")
    for ch in channels:
        assert ch.statistics().waiting_receivers == 0


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_two_selects_pair_with_each_other(placement: Placement, first: bool, second: bool) -> None:
    """Two selects, each with a send and a receive over the same two rendezvous channels, pair, in any order of cases."""
    a: Channel[str] = Channel()
    b: Channel[str] = Channel()
    for _ in range(5):
        one = placement.start(do.select_send_or_recv, a.receiver, b.sender, "from one", first)
        two = placement.start(do.select_send_or_recv, b.receiver, a.sender, "from two", second)
        outcomes = [one.result(), two.result()]
        assert outcomes in ([("sent", None), ("received", "from one")], [("received", "from two"), ("sent", None)])


@every_capacity
def test_select_with_timeout_elsewhere(placement: Placement, capacity: int) -> None:
    """A select that timed out at its place took nothing."""
    ch: Channel[int] = Channel(capacity)
    assert placement.start(do.select_recv, [ch.receiver, csp.never()], 0.01).result() == (-1, None)
    assert ch.statistics().waiting_receivers == 0


@every_capacity
def test_every_value_arrives_exactly_once(placement: Placement, capacity: int) -> None:
    """Four senders and three receivers over the places: nothing lost, nothing doubled, each sender's order kept."""
    each = 150
    sender, receiver = csp.channel(capacity)
    senders = [placement.start(do.send_numbered, sender.clone(), n, each) for n in range(4)]
    receivers = [placement.start(do.receive_all, receiver.clone()) for _ in range(3)]
    sender.close()
    for party in senders:
        assert party.result() is None
    seen = [party.result() for party in receivers]
    assert Counter(value for values in seen for value in values) == Counter((s, n) for s in range(4) for n in range(each))
    for values in seen:
        for s in range(4):
            mine = [n for who, n in values if who == s]
            assert mine == sorted(mine)
    stats = receiver.statistics()
    assert (stats.sent, stats.received, stats.buffered, stats.discarded) == (4 * each, 4 * each, 0, 0)


@every_capacity
def test_selects_share_the_work_without_loss(placement: Placement, capacity: int) -> None:
    """Two parties select over the same channels: every value goes to one of them."""
    channels: list[Channel[int]] = [Channel(capacity) for _ in range(3)]
    receivers = [placement.start(do.select_recv_some, [ch.receiver for ch in channels], 60) for _ in range(2)]
    senders = [placement.start(do.send_all, ch.sender, list(range(n * 100, n * 100 + 40))) for n, ch in enumerate(channels)]
    for party in senders:
        assert party.result() is None
    got = [value for party in receivers for value in party.result()]
    assert sorted(got) == [n * 100 + i for n in range(3) for i in range(40)]


@every_capacity
def test_handles_travel_inside_values(placement: Placement, capacity: int) -> None:
    """A request may carry the channel for its reply: the other place answers through it."""
    requests: Channel[Any] = Channel(capacity)
    replies: Channel[Any] = Channel(capacity)
    party = placement.start(do.echo, requests.receiver, replies.sender)
    asking = placement.start(do.send_all, requests.sender, [{"reply": [replies.sender]}, 2])
    came = replies.recv()["reply"][0]
    assert came == replies.sender
    assert replies.recv() == 2
    requests.close()
    assert party.result() is None
    assert asking.result() is None


def test_a_deadlocked_looking_pair_is_none(placement: Placement) -> None:
    """Ping-pong over two rendezvous channels through another place comes back whole."""
    ping: Channel[int] = Channel()
    pong: Channel[int] = Channel()
    party = placement.start(do.echo, ping.receiver, pong.sender)
    for n in range(200):
        ping.send(n)
        assert pong.recv() == n
    ping.close()
    assert party.result() is None
