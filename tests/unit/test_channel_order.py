"""Order: per sender first in first out, among waiting parties first come first served, nothing lost or doubled."""

import math
import random
from collections import Counter
from typing import Any

import pytest

import csp
from csp import Channel
from csp.testing import wait_parked
from tests.placements import Party

CAPACITIES = [0, 1, 3]


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_waiting_senders_are_served_in_order(capacity: int) -> None:
    """Of senders that wait, the one that came first is served first."""
    ch: Channel[int] = Channel(capacity)
    ch.send_many(range(capacity))
    parties = []
    for n in range(capacity, capacity + 5):
        parties.append(Party(ch.send, n))
        wait_parked(ch, senders=len(parties))
    assert [ch.recv() for _ in range(capacity + 5)] == list(range(capacity + 5))
    for party in parties:
        party.result()


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_waiting_receivers_are_served_in_order(capacity: int) -> None:
    """Of receivers that wait, the one that came first gets the first value."""
    ch: Channel[int] = Channel(capacity)
    parties = []
    for n in range(5):
        parties.append(Party(ch.recv))
        wait_parked(ch, receivers=n + 1)
    for n in range(5):
        ch.send(n)
    assert [party.result() for party in parties] == list(range(5))


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_all_kinds_of_waits_stand_in_one_queue(capacity: int) -> None:
    """recv, recv_many, lease, select and iteration wait in the same line; so do send, send_many and select."""
    ch: Channel[Any] = Channel(capacity)

    def lease() -> Any:
        with ch.lease() as value:
            return value

    waits = [
        ch.recv,
        lambda: ch.recv_many(1)[0],
        lambda: csp.select([csp.never(), ch]).value,
        lease,
        lambda: next(iter(ch)),
        ch.recv,
    ]
    parties = []
    for wait in waits:
        parties.append(Party(wait))
        wait_parked(ch, receivers=len(parties))
    for n in range(len(waits)):
        ch.send(n)
    assert [party.result() for party in parties] == list(range(len(waits)))

    ch.send_many(range(capacity))
    sends = [
        lambda: ch.send("a"),
        lambda: csp.select([(ch, "b"), csp.never()]),
        lambda: ch.send_many(["c"]),
        lambda: ch.send("d"),
    ]
    parties = []
    for send in sends:
        parties.append(Party(send))
        wait_parked(ch, senders=len(parties))
    assert [ch.recv() for _ in range(capacity + 4)] == [*range(capacity), "a", "b", "c", "d"]
    for party in parties:
        party.result()


def test_a_place_that_becomes_free_is_the_waiting_senders() -> None:
    """A send that comes later cannot overtake one that waits for room."""
    ch: Channel[int] = Channel(1)
    ch.send(0)
    waiting = Party(ch.send, 1)
    wait_parked(ch, senders=1)
    assert ch.recv() == 0
    with pytest.raises(csp.WouldBlock):  # the place is taken, before the sender has run
        ch.send_nowait(2)
    assert ch.recv() == 1
    waiting.result()


def test_a_value_is_the_waiting_receivers() -> None:
    """A receive that comes later cannot take what was sent while another waited."""
    ch: Channel[int] = Channel(1)
    waiting = Party(ch.recv)
    wait_parked(ch, receivers=1)
    ch.send(0)
    with pytest.raises(csp.WouldBlock):
        ch.recv_nowait()
    assert waiting.result() == 0


@pytest.mark.parametrize("capacity", [0, 1, 16, math.inf])
@pytest.mark.parametrize(("senders", "receivers"), [(1, 1), (4, 1), (1, 4), (4, 4)])
def test_many_to_many_keeps_each_senders_order(capacity: float, senders: int, receivers: int) -> None:
    """Any number of threads send and receive: every value arrives once, and each receiver sees each sender's in order."""
    each = 150
    sender, receiver = csp.channel(capacity)

    def produce(handle: Any, number: int) -> None:
        with handle:
            for n in range(each):
                handle.send((number, n))

    producers = [Party(produce, sender.clone(), number) for number in range(senders)]
    consumers = [Party(list, receiver.clone()) for _ in range(receivers)]
    sender.close()
    for producer in producers:
        producer.result()
    seen = [consumer.result() for consumer in consumers]
    for values in seen:
        for number in range(senders):
            mine = [n for who, n in values if who == number]
            assert mine == sorted(mine)
    everything = Counter(value for values in seen for value in values)
    assert everything == Counter((number, n) for number in range(senders) for n in range(each))
    stats = receiver.statistics()
    assert (stats.sent, stats.received, stats.dropped, stats.discarded) == (senders * each, senders * each, 0, 0)


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_mixed_operations_lose_nothing(capacity: int, seed: int) -> None:
    """Single sends, batches, polls and selects from several threads: what is received is what was sent, in order per sender."""
    ch: Channel[Any] = Channel(capacity)
    total = 200

    def produce(number: int) -> None:
        rng, n = random.Random(seed + number), 0
        while n < total:
            how = rng.randrange(4)
            if how == 0:
                ch.send((number, n))
                n += 1
            elif how == 1:
                batch = [(number, i) for i in range(n, min(n + rng.randrange(1, 6), total))]
                ch.send_many(batch)
                n += len(batch)
            elif how == 2:
                csp.select([csp.never(), (ch, (number, n))])
                n += 1
            else:
                try:
                    ch.send_nowait((number, n))
                    n += 1
                except csp.WouldBlock:
                    pass

    def consume(number: int) -> list[Any]:
        rng, got = random.Random(seed - number), []
        while True:
            try:
                how = rng.randrange(5)
                if how == 0:
                    got.append(ch.recv())
                elif how == 1:
                    got += ch.recv_many(rng.randrange(1, 6))
                elif how == 2:
                    got.append(csp.select([ch]).value)
                elif how == 3:
                    with ch.lease() as value:
                        got.append(value)
                else:
                    value = ch.recv_nowait(None)
                    if value is not None:
                        got.append(value)
            except csp.EndOfChannel:
                return got

    consumers = [Party(consume, n) for n in range(3)]
    producers = [Party(produce, n) for n in range(3)]
    for producer in producers:
        producer.result()
    ch.close()
    seen = [consumer.result() for consumer in consumers]
    assert Counter(value for values in seen for value in values) == Counter((p, n) for p in range(3) for n in range(total))
    for values in seen:
        for number in range(3):
            mine = [n for who, n in values if who == number]
            assert mine == sorted(mine)
