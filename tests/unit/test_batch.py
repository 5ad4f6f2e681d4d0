"""send_many and recv_many: order, counts, what an exception's `.sent` says, what a timeout leaves."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

import csp
from csp import Channel
from csp.testing import wait_parked
from tests.placements import Party

# --- send_many ---


@pytest.mark.parametrize("make", [list, tuple, iter, set, lambda r: (n for n in r), lambda r: dict.fromkeys(r)])
def test_send_many_takes_any_iterable(make: Any) -> None:
    """It sends all values of an iterable in their order, and returns how many."""
    ch: Channel[int] = Channel(10)
    assert ch.send_many(make(range(5))) == 5
    assert ch.recv_many(10) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("capacity", [0, 1])
def test_send_many_of_nothing_is_zero(capacity: int) -> None:
    """An empty batch is sent at once, also where one value would wait."""
    ch: Channel[int] = Channel(capacity)
    assert ch.send_many([]) == 0
    assert ch.send_many([], timeout=0) == 0
    assert ch.statistics().sent == 0


@pytest.mark.parametrize("capacity", [0, 1, 7, 100])
def test_send_many_waits_for_room(capacity: int) -> None:
    """More than fits waits until all is sent; the order stays."""
    ch: Channel[int] = Channel(capacity)
    party = Party(ch.send_many, range(300))
    assert [ch.recv() for _ in range(300)] == list(range(300))
    assert party.result() == 300


def test_send_many_serves_waiting_receivers_first() -> None:
    """Values go to those who wait, in their order, the rest into the buffer."""
    ch: Channel[int] = Channel(3)
    parties = []
    for n in range(3):
        parties.append(Party(ch.recv))
        wait_parked(ch, receivers=n + 1)
    assert ch.send_many(range(6)) == 6
    assert [party.result() for party in parties] == [0, 1, 2]
    assert ch.recv_many(9) == [3, 4, 5]


@pytest.mark.parametrize("capacity", [0, 2])
@pytest.mark.parametrize("timeout", [0, 0.01])
def test_send_many_timeout_says_how_many_went(capacity: int, timeout: float) -> None:
    """Timeout with `.sent`: so many went, in order from the first; the others never will."""
    ch: Channel[int] = Channel(capacity)
    with pytest.raises(csp.Timeout) as caught:
        ch.send_many(range(5), timeout=timeout)
    assert caught.value.sent == capacity
    assert caught.value.channel is ch
    assert [ch.recv_nowait(None) for _ in range(3)] == [*range(capacity), *[None] * (3 - capacity)]
    assert (ch.statistics().sent, ch.statistics().waiting_senders) == (capacity, 0)


def test_send_many_timeout_is_for_the_whole_batch() -> None:
    """The deadline is that of the call, not of each value."""
    ch: Channel[int] = Channel()
    stop: Channel[int] = Channel(1)

    def take_slowly() -> int:
        taken = 0
        while stop.recv_nowait(None) is None:
            csp.sleep(0.005)
            taken += ch.recv_nowait(None) is not None
        return taken

    party = Party(take_slowly)
    with pytest.raises(csp.Timeout) as caught:
        ch.send_many(range(100_000), timeout=0.1)
    stop.send(1)
    assert caught.value.sent == party.result()


@pytest.mark.parametrize("how", ["closed", "last receiver gone"])
def test_send_many_broken_says_how_many_went(how: str) -> None:
    """BrokenChannel in the middle of a batch has `.sent`."""
    sender, receiver = csp.channel(2)
    party = Party(sender.send_many, range(9))
    wait_parked(sender, senders=1)
    assert receiver.recv_many(2) == [0, 1]
    wait_parked(sender, senders=1)
    if how == "closed":
        receiver.close()
    del receiver
    with pytest.raises(csp.BrokenChannel) as caught:
        party.result()
    assert caught.value.sent == 4
    assert sender.statistics().discarded == 2


def test_send_many_on_a_closed_channel_sends_nothing() -> None:
    """Closed from the start: `.sent` is 0, the class is that of send."""
    ch: Channel[int] = Channel(9)
    sender, given_up = ch.sender, ch.sender
    given_up.close()
    ch.close()
    for handle, cls in ((sender, csp.BrokenChannel), (ch, csp.ClosedHandle), (given_up, csp.ClosedHandle)):
        with pytest.raises(cls) as caught:
            handle.send_many([1, 2])  # type: ignore[attr-defined]
        assert caught.value.sent == 0  # type: ignore[attr-defined]


def test_send_many_encodes_all_before_it_sends_any() -> None:
    """A value that cannot cross raises NotShareable, and nothing was sent, not even those before it."""
    ch: Channel[Any] = Channel(9)
    with pytest.raises(csp.NotShareable):
        ch.send_many([1, 2, math, 4])
    assert (len(ch), ch.statistics().sent) == (0, 0)


def test_send_many_passes_the_iterables_error() -> None:
    """An iterable that raises: its error passes, and nothing was sent."""
    ch: Channel[int] = Channel(9)

    def values() -> Iterator[int]:
        yield 1
        raise LookupError

    with pytest.raises(LookupError):
        ch.send_many(values())
    assert ch.statistics().sent == 0


def test_send_many_from_an_iterable_that_uses_the_channel() -> None:
    """The values are taken before any lock: an iterable may itself use the channel."""
    ch: Channel[int] = Channel(9)

    def values() -> Iterator[int]:
        ch.send(0)
        yield 1
        ch.send(len(ch))

    assert ch.send_many(values()) == 1
    assert ch.recv_many(9) == [0, 1, 1]


def test_batches_of_two_senders_keep_their_order() -> None:
    """Each sender's values stay in its order, whatever comes between."""
    ch: Channel[Any] = Channel(3)
    parties = [Party(ch.send_many, [(who, n) for n in range(100)]) for who in range(2)]
    got = [ch.recv() for _ in range(200)]
    for who in range(2):
        assert [n for w, n in got if w == who] == list(range(100))
    for party in parties:
        assert party.result() == 100


# --- recv_many ---


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 100, 2**62, 10**30])
def test_recv_many_takes_what_is_there_up_to_limit(limit: int) -> None:
    """It takes at most `limit` of what is there, in order, and does not wait for more."""
    ch: Channel[int] = Channel(9)
    ch.send_many(range(5))
    got = ch.recv_many(limit)
    assert got == list(range(min(limit, 5)))
    assert len(ch) == 5 - len(got)


@pytest.mark.parametrize("limit", [0, -1, -(10**30)])
def test_recv_many_limit_must_be_positive(limit: int) -> None:
    """A limit below 1 is a ValueError that names it."""
    with pytest.raises(ValueError, match="limit"):
        Channel(1).recv_many(limit)


@pytest.mark.parametrize("limit", [None, 1.0, "1"])
def test_recv_many_limit_must_be_an_int(limit: Any) -> None:
    """What is no int is a TypeError that names it."""
    with pytest.raises(TypeError, match="limit"):
        Channel(1).recv_many(limit)


def test_recv_many_waits_for_one() -> None:
    """On an empty channel it waits for the first value, and then takes what there is."""
    ch: Channel[int] = Channel(5)
    party = Party(ch.recv_many, 10)
    wait_parked(ch, receivers=1)
    ch.send(1)
    got = party.result()
    assert got == [1]


@pytest.mark.parametrize("capacity", [0, 2])
def test_recv_many_takes_from_waiting_senders(capacity: int) -> None:
    """Values of senders that wait are there as well: buffered ones first, then theirs, in their order."""
    ch: Channel[int] = Channel(capacity)
    ch.send_many(range(capacity))
    parties = []
    for n in range(4):
        parties.append(Party(ch.send, capacity + n))
        wait_parked(ch, senders=n + 1)
    assert ch.recv_many(capacity + 3) == list(range(capacity + 3))
    assert ch.recv_many(9) == [capacity + 3]
    for party in parties:
        party.result()


def test_recv_many_drains_and_then_ends() -> None:
    """What is left of a closed channel comes as a shorter batch; then EndOfChannel."""
    ch: Channel[int] = Channel(5)
    ch.send_many([1, 2])
    ch.close()
    assert ch.recv_many(5) == [1, 2]
    with pytest.raises(csp.EndOfChannel):
        ch.recv_many(5)


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_recv_many_timeout_has_taken_nothing(timeout: float) -> None:
    """Timeout if there is not even one."""
    ch: Channel[int] = Channel(1)
    with pytest.raises(csp.Timeout):
        ch.recv_many(3, timeout=timeout)
    assert ch.statistics().waiting_receivers == 0


def test_recv_many_with_an_undecodable_value() -> None:
    """Those before it are returned; the next call raises DecodeError; those after it come then. Nothing else is lost."""
    ch: Channel[Any] = Channel(5)
    ch.send_many([1, Unbuildable(), 3])
    assert ch.recv_many(5) == [1]
    with pytest.raises(csp.DecodeError):
        ch.recv_many(5)
    assert ch.recv_many(5) == [3]


class Unbuildable:
    def __reduce__(self) -> Any:
        return fail, ()


def fail() -> None:
    raise LookupError


def test_batches_of_local_channels_keep_identity() -> None:
    """By reference, too."""
    ch: Channel[Any] = Channel(5, local=True)
    things = [object() for _ in range(4)]
    ch.send_many(things)
    assert all(got is thing for got, thing in zip(ch.recv_many(9), things, strict=True))


def test_large_batches_cross_whole() -> None:
    """Thousands at once."""
    ch: Channel[int] = Channel(math.inf)
    assert ch.send_many(range(20_000)) == 20_000
    assert ch.recv_many(10_000) + ch.recv_many(20_000) == list(range(20_000))


def test_batch_figures() -> None:
    """A batch counts value by value."""
    ch: Channel[int] = Channel(4)
    ch.send_many(range(4))
    ch.recv_many(3)
    stats = ch.statistics()
    assert (stats.sent, stats.received, stats.buffered, stats.peak) == (4, 3, 1, 4)
