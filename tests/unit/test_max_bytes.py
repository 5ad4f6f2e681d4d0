"""Channel(max_bytes=): a buffer bounded by the bytes of its values, as well as by their number."""

import array
import inspect
import math
from functools import partial
from typing import Any

import pytest
import trio

import csp
from csp import Channel
from csp.testing import wait_parked
from tests.placements import Party, drop, receive_some, send_all

np = pytest.importorskip("numpy", reason="arrays are values here")
pytestmark = pytest.mark.usefixtures("no_leaks")


def weight(value: Any) -> int:
    scale: Channel[Any] = Channel(max_bytes=1 << 40)
    scale.send(value)
    bytes = scale.statistics().buffered_bytes
    assert bytes is not None
    return bytes


def filled(max_bytes: int, *values: Any, **options: Any) -> Channel[Any]:
    channel: Channel[Any] = Channel(max_bytes=max_bytes, **options)
    for value in values:
        channel.send_nowait(value)
    return channel


# --- arguments ---


def test_capacity_is_infinite_unless_it_is_given() -> None:
    """A bound of bytes is enough of a bound; without one nothing changes."""
    assert Channel(max_bytes=100).capacity == math.inf
    assert Channel(3, max_bytes=100).capacity == 3
    assert Channel().max_bytes is None
    assert Channel(max_bytes=math.inf).capacity == 0
    assert Channel(2, max_bytes=None).max_bytes is None


def test_max_bytes_is_kept() -> None:
    """Every handle tells it."""
    channel: Channel[int] = Channel(max_bytes=100)
    assert channel.max_bytes == channel.sender.max_bytes == channel.receiver.max_bytes == 100
    sender, receiver = csp.channel(max_bytes=7)
    assert (sender.max_bytes, receiver.max_bytes) == (7, 7)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"capacity": 0, "max_bytes": 1}, "capacity 0"),
        ({"max_bytes": 0}, "at least 1"),
        ({"max_bytes": -1}, "negative"),
        ({"max_bytes": math.nan}, "max_bytes"),
        ({"max_bytes": 1 << 70}, "max_bytes is out of range"),
        ({"max_bytes": 1, "local": True}, "local"),
        ({"capacity": math.inf, "overflow": "drop_oldest"}, "or max_bytes"),
    ],
)
def test_impossible_bounds_are_value_errors(options: Any, word: str) -> None:
    """Each says what is wrong."""
    for make in (Channel, csp.channel):
        with pytest.raises(ValueError, match=word):
            make(**options)


@pytest.mark.parametrize("max_bytes", [True, 1.5, "1", b"1", [1]])
def test_max_bytes_of_a_wrong_type_is_refused(max_bytes: Any) -> None:
    """A bool or what is not integral is a TypeError."""
    with pytest.raises(TypeError, match="max_bytes"):
        Channel(max_bytes=max_bytes)


def test_signature_is_documented() -> None:
    """help() and inspect show the option."""
    assert inspect.signature(Channel).parameters["max_bytes"].default is None


# --- what counts ---


@pytest.mark.parametrize("size", [1, 10, 54, 55, 253, 254, 1000, 70_000, 10_000_000])
def test_bytes_and_text_count_for_their_length(size: int) -> None:
    """Exactly, whatever way they travel."""
    assert weight(b"x" * size) == size
    assert weight("x" * size) == size
    assert weight("\u20ac" * size) == 2 * size
    assert weight(memoryview(bytearray(size))) == size


def test_small_values_count_for_something() -> None:
    """No value is free, so that no number of them fits."""
    assert [weight(value) for value in (None, True, b"", (), "")] == [1] * 5
    assert weight(3) == weight(2.5) == 8


def test_memory_counts_wherever_it_is_in_the_value() -> None:
    """Arrays and views count with all their bytes, and a little for what describes them."""
    block = bytearray(1_000_000)
    for value in (
        np.zeros(125_000), {"a": [np.zeros(125_000)]}, [memoryview(block)], block, array.array("B", block), np.asfortranarray(np.zeros((1000, 125))),
        np.zeros(250_000)[::2],
    ):  # fmt: skip
        assert 1_000_000 <= weight(value) < 1_000_400
    assert weight([memoryview(block), memoryview(block)]) > 2_000_000
    same = memoryview(block)
    assert weight([same, same]) < 1_000_100


def test_shared_memory_counts_as_nothing() -> None:
    """It is there anyway, and is not the channel's."""
    assert weight(csp.share(bytearray(1_000_000))) < 20
    assert weight({"a": csp.share(np.zeros(100_000))}) < 40


def test_handles_count_for_little() -> None:
    """What is buffered in a channel that travels is that channel's own."""
    inner: Channel[bytes] = Channel(1)
    inner.send(bytes(100_000))
    assert weight([inner]) < 20


# --- waiting ---


def test_statistics_tell_the_bytes() -> None:
    """By name; the record's ten figures stay as they are."""
    channel = filled(100, b"12345", b"123")
    figures = channel.statistics()
    assert figures.buffered_bytes == 8
    assert len(figures) == 10
    channel.recv()
    assert channel.statistics().buffered_bytes == 3
    assert Channel(1).statistics().buffered_bytes is None


def test_a_full_buffer_refuses_and_times_out() -> None:
    """send_nowait is WouldBlock, and send with a deadline Timeout; the exact remainder still fits."""
    channel = filled(10, b"1234567")
    with pytest.raises(csp.WouldBlock):
        channel.send_nowait(b"1234")
    with pytest.raises(csp.Timeout):
        channel.send(b"1234", timeout=0.01)
    channel.send_nowait(b"123")
    assert [channel.recv(), channel.recv()] == [b"1234567", b"123"]


def test_both_bounds_hold() -> None:
    """The number of values is bounded too, if it is given."""
    channel = filled(1000, 1, 2, capacity=2)
    with pytest.raises(csp.WouldBlock):
        channel.send_nowait(3)


def test_a_value_beyond_the_bound_travels_alone() -> None:
    """It waits for the buffer to be empty, and nothing joins it there."""
    channel = filled(10, b"a")
    with pytest.raises(csp.WouldBlock):
        channel.send_nowait(bytes(1000))
    party = Party(channel.send, bytes(1000))
    wait_parked(channel, senders=1)
    assert channel.recv() == b"a"
    party.result()
    with pytest.raises(csp.WouldBlock):
        channel.send_nowait(b"b")
    assert len(channel.recv()) == 1000


def test_senders_are_served_in_order() -> None:
    """A small value does not overtake a big one that waits, though there would be room for it."""
    channel = filled(10, b"1234", b"1234")
    big = Party(channel.send, b"the big 1")
    wait_parked(channel, senders=1)
    with pytest.raises(csp.WouldBlock):
        channel.send_nowait(b"s")
    small = Party(channel.send, b"s")
    wait_parked(channel, senders=2)
    assert [channel.recv() for _ in range(4)] == [b"1234", b"1234", b"the big 1", b"s"]
    big.result()
    small.result()


def test_one_receive_may_let_several_in() -> None:
    """All that fit, in their order."""
    channel = filled(10, b"0123456789")
    parties = []
    for n in range(3):
        parties.append(Party(channel.send, b"%d" % n))
        wait_parked(channel, senders=n + 1)
    channel.recv()
    for party in parties:
        party.result()
    assert [channel.recv() for _ in range(3)] == [b"0", b"1", b"2"]


def test_a_sender_that_gives_up_makes_way() -> None:
    """Whoever waited behind it has room at once: after a timeout, and after the close of its handle."""
    channel = filled(10, b"1234")
    late = Party(lambda: pytest.raises(csp.Timeout, channel.send, b"1234567", timeout=0.05) and None)
    wait_parked(channel, senders=1)
    Party(channel.send, b"12").result()
    late.result()
    other = channel.sender
    closing = Party(lambda: pytest.raises(csp.ClosedHandle, other.send, b"1234567") and None)
    wait_parked(channel, senders=1)
    small = Party(channel.send, b"3")
    wait_parked(channel, senders=2)
    other.close()
    small.result()
    closing.result()


def test_interpreters_pass_more_than_fits_at_once() -> None:
    """A bound far below the whole stream holds the sender back, and nothing is lost."""
    sender, receiver = csp.channel(max_bytes=100_000)
    values = [bytes([n]) * (n * 997) for n in range(40)]
    ref = csp.spawn(send_all, sender, values)
    del sender
    got = receive_some(receiver, 40)
    assert got == values
    assert receiver.statistics().peak < 40
    ref.result(10)


# --- the other operations ---


def test_send_many_counts_what_went() -> None:
    """It fills the buffer, waits, and says in `.sent` how far it came."""
    channel: Channel[bytes] = Channel(max_bytes=10)
    with pytest.raises(csp.Timeout) as caught:
        channel.send_many([b"1234"] * 5, timeout=0)
    assert caught.value.sent == 2
    assert channel.recv_many(10) == [b"1234", b"1234"]
    party = Party(channel.send_many, [b"1234"] * 5)
    assert [channel.recv() for _ in range(5)] == [b"1234"] * 5
    assert party.result() == 5


def test_select_sends_where_there_is_room() -> None:
    """A send that does not fit is not ready, also when a smaller one would be."""
    tight, wide = filled(10, b"12345678"), filled(10)
    for _ in range(10):
        assert csp.select([(tight, b"1234"), (wide, b"1234")], timeout=0).index == 1
        wide.recv()
    assert not csp.select([(tight, b"1234")], timeout=0)
    assert csp.select([(tight, b"12"), (wide, b"1234")], priority=True).index == 0
    waiting = Party(csp.select, [(tight, b"1234")])
    wait_parked(tight, senders=1)
    tight.recv()
    assert waiting.result().index == 0


def test_a_lease_that_fails_exceeds_the_bound() -> None:
    """The value goes back to the head whatever came in meanwhile; then the buffer drains to below the bound again."""
    channel = filled(10, b"12345678")
    with pytest.raises(LookupError), channel.lease():
        channel.send_nowait(b"abcdefgh")
        raise LookupError
    assert channel.statistics().buffered_bytes == 16
    with pytest.raises(csp.WouldBlock):
        channel.send_nowait(b"")
    assert channel.recv() == b"12345678"
    channel.send_nowait(b"ij")
    assert channel.recv_many(5) == [b"abcdefgh", b"ij"]


def test_awaiting_tasks_wait_for_bytes() -> None:
    """asend waits for room, and a cancelled one makes way."""

    async def main() -> list[bytes]:
        channel, scope = filled(10, b"1234"), trio.CancelScope()

        async def big() -> None:
            with scope:
                await channel.asend(bytes(9))

        async with trio.open_nursery() as nursery:
            for waiting, send in enumerate((big, partial(channel.asend, b"56"))):
                nursery.start_soon(send)
                while channel.statistics().waiting_senders == waiting:
                    await trio.sleep(0)
            scope.cancel()
        return channel.recv_many(9)

    assert trio.run(main) == [b"1234", b"56"]


# --- overflow ---


def test_drop_oldest_drops_until_the_new_value_fits() -> None:
    """As many as it takes, and no more; one beyond the bound is left alone."""
    channel = filled(10, b"123", b"456", b"789", overflow="drop_oldest")
    channel.send(b"abcd")
    assert channel.statistics()[:5] == (4, 0, 1, 0, 3)
    channel.send(b"efgh")
    assert channel.statistics().dropped == 3
    assert channel.recv_many(9) == [b"abcd", b"efgh"]
    channel.send_many([b"x", b"y", bytes(100)])
    assert channel.statistics().buffered == 1
    assert len(channel.recv()) == 100


def test_drop_newest_drops_what_does_not_fit() -> None:
    """A later value that fits is kept."""
    channel = filled(10, b"12345678", overflow="drop_newest")
    channel.send(b"abc")
    channel.send(b"de")
    assert channel.recv_many(9) == [b"12345678", b"de"]
    assert channel.statistics().dropped == 1


def test_large_values_that_are_dropped_are_freed() -> None:
    """Several at once, with what they hold: their memory, and the handles in them."""
    channel = filled(1 << 20, overflow="drop_oldest")
    other: Channel[int] = Channel(1)
    for _ in range(3):
        channel.send([np.zeros(40_000), other.sender])
    assert other.statistics().senders == 4
    channel.send(np.zeros(130_000))
    assert other.statistics().senders == 1
    assert len(channel) == 1


# --- ends ---


def test_the_end_of_an_interpreter_is_seen() -> None:
    """A sender that waits for bytes hears that the last receiver has gone."""
    sender, receiver = csp.channel(max_bytes=10)
    sender.send(b"12345678")
    party = Party(lambda: pytest.raises(csp.BrokenChannel, sender.send, b"123") and None)
    wait_parked(sender, senders=1)
    ref = csp.spawn(drop, receiver)
    del receiver
    ref.join(10)
    party.result()
    assert sender.statistics().buffered_bytes == 0
    assert sender.statistics().discarded == 1
