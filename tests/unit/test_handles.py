"""Handles: equality, hash, clones, what they count, how they travel, and the figures of statistics()."""

import copy
import gc
import math
import pickle
import weakref
from typing import Any

import pytest

import csp
from csp import Channel
from csp.testing import wait_parked, wait_until
from tests.placements import Party

FIELDS = (
    "sent",
    "received",
    "dropped",
    "discarded",
    "buffered",
    "peak",
    "waiting_senders",
    "waiting_receivers",
    "senders",
    "receivers",
)


# --- identity ---


@pytest.mark.parametrize("attribute", ["sender", "receiver"])
def test_each_access_is_a_new_counted_handle(attribute: str) -> None:
    """`ch.sender` and `ch.receiver` make a new handle each time, which counts while it is open."""
    ch: Channel[int] = Channel()
    one, two = getattr(ch, attribute), getattr(ch, attribute)
    assert one is not two
    count = attribute + "s"
    assert getattr(ch.statistics(), count) == 3
    one.close()
    assert getattr(ch.statistics(), count) == 2
    del two
    assert getattr(ch.statistics(), count) == 1


def test_handles_to_the_same_end_are_equal_and_hash_alike() -> None:
    """Clones and repeated accesses compare equal; the other end and other channels do not."""
    ch: Channel[int] = Channel()
    groups = [
        [ch, ch.clone()],
        [ch.sender, ch.sender, ch.sender.clone()],
        [ch.receiver, ch.receiver, ch.receiver.clone()],
        [Channel()],
        [csp.channel()[0]],
    ]
    for i, group in enumerate(groups):
        assert len(set(group)) == 1
        for j, other in enumerate(groups):
            assert (group[0] == other[-1]) == (i == j)
            assert (group[0] != other[-1]) == (i != j)


def test_handles_do_not_equal_other_things() -> None:
    """A handle is equal to nothing but a handle, and has no order."""
    ch: Channel[int] = Channel()
    for other in (None, ch.id, ch.name, object(), (ch,)):
        assert ch != other
    with pytest.raises(TypeError):
        ch < ch.clone()  # type: ignore[operator]  # noqa: B015


def test_closing_changes_neither_equality_nor_hash() -> None:
    """A closed handle is still a key."""
    ch: Channel[int] = Channel()
    sender, clone = ch.sender, ch.sender
    before = hash(sender)
    sender.close()
    assert sender == clone
    assert hash(sender) == before


def test_a_handle_that_came_through_a_channel_is_equal() -> None:
    """Each crossing makes a new handle to the same end: equal, hashing alike, and open on its own."""
    mail: Channel[Any] = Channel(1)
    ch: Channel[int] = Channel(2)
    for handle in (ch, ch.sender, ch.receiver, csp.after(10), csp.never()):
        mail.send({"handle": [handle]})
        came = mail.recv()["handle"][0]
        assert came is not handle
        assert type(came) is type(handle)
        assert came == handle
        assert hash(came) == hash(handle)
        assert (came.id, came.name, came.capacity) == (handle.id, handle.name, handle.capacity)
    sender = ch.sender
    mail.send(sender)
    came = mail.recv()
    sender.close()
    came.send(1)
    assert ch.recv() == 1


def test_id_is_the_channels_and_unique() -> None:
    """All handles of a channel have its id; no two channels share one."""
    channels: list[Channel[int]] = [Channel() for _ in range(50)]
    assert len({ch.id for ch in channels}) == 50
    for ch in channels:
        assert isinstance(ch.id, int)
        assert ch.sender.id == ch.receiver.id == ch.clone().id == ch.id


def test_a_channel_is_always_true() -> None:
    """Empty, closed, given up: a handle is truthy, though it has a length."""
    ch: Channel[int] = Channel(1)
    sender = ch.sender
    assert ch and sender and ch.receiver and csp.never()
    sender.close()
    ch.close()
    assert ch and sender
    assert len(ch) == 0


def test_len_is_what_is_buffered() -> None:
    """`len` counts buffered values, through every handle, also a closed one; senders that wait do not count."""
    ch: Channel[int] = Channel(2)
    sender = ch.sender
    ch.send(1)
    ch.send(2)
    waiting = Party(ch.send, 3)
    wait_parked(ch, senders=1)
    assert len(ch) == len(sender) == len(ch.receiver) == 2
    assert ch.recv_many(3) == [1, 2, 3]
    waiting.result()
    ch.send(4)
    sender.close()
    ch.close()
    assert len(ch) == len(sender) == 1


def test_clone_keeps_the_kind() -> None:
    """`clone` is another handle to the same end; closing one leaves the other open."""
    ch: Channel[int] = Channel(1, name="n")
    for handle in (ch.sender, ch.receiver):
        clone = handle.clone()
        assert type(clone) is type(handle)
        handle.close()
        assert handle.closed
        assert not clone.closed
        assert clone.clone() == handle
    both = ch.clone()
    assert type(both) is Channel
    both.send(1)
    assert ch.recv() == 1


def test_a_handle_can_be_weakly_referenced_and_dies_at_once() -> None:
    """Dropping the last reference collects a handle, and its end is given up."""
    sender, receiver = csp.channel()
    watch = weakref.ref(sender)
    del sender
    assert watch() is None
    with pytest.raises(csp.EndOfChannel):
        receiver.recv()


def test_a_waiting_party_keeps_its_handle() -> None:
    """A handle that somebody waits through is not collected under him."""
    ch: Channel[int] = Channel()
    party = Party(ch.receiver.recv)  # the only reference is the party's
    wait_parked(ch, receivers=1)
    gc.collect()
    ch.send(1)
    assert party.result() == 1
    wait_until(lambda: ch.statistics().receivers == 1)


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_handles_are_neither_pickled_nor_copied(take: Any) -> None:
    """A handle crosses only inside a value sent through a channel; elsewhere that is NotShareable, a TypeError."""
    ch: Channel[int] = Channel()
    for handle in (ch, ch.sender, ch.receiver):
        with pytest.raises(csp.NotShareable):
            take(handle)
        with pytest.raises(TypeError):
            take(handle)


def test_handles_take_no_attributes() -> None:
    """A misspelt attribute is an error; the read-only ones stay."""
    ch: Channel[int] = Channel(1)
    for name in ("capacity", "name", "closed", "id", "sender", "receiver", "color"):
        with pytest.raises(AttributeError):
            setattr(ch, name, 1)
    with pytest.raises(TypeError):
        type("Mine", (Channel,), {})


def test_channel_types_take_type_arguments() -> None:
    """`Channel[int]` works in annotations at run time."""
    for cls in (Channel, csp.SendChannel, csp.RecvChannel):
        assert cls[int].__origin__ is cls


# --- statistics ---


def test_statistics_fields_are_those_of_the_contract() -> None:
    """The record has exactly these fields in this order, all ints."""
    stats = Channel(3).statistics()
    assert tuple(stats) == (0, 0, 0, 0, 0, 0, 0, 0, 1, 1)
    assert [getattr(stats, field) for field in FIELDS] == list(stats)
    assert type(stats).__match_args__ == FIELDS
    assert all(f"{field}=" in repr(stats) for field in FIELDS)


@pytest.mark.parametrize("field", FIELDS)
def test_statistics_cannot_be_changed(field: str) -> None:
    """The record is immutable."""
    stats = Channel(3).statistics()
    with pytest.raises((AttributeError, TypeError)):
        setattr(stats, field, 1)
    with pytest.raises((AttributeError, TypeError)):
        delattr(stats, field)
    with pytest.raises(TypeError):
        stats[0] = 1  # type: ignore[index]


def test_statistics_crosses() -> None:
    """The record is a plain value: it crosses, pickles and copies, and its class is a public name."""
    ch: Channel[Any] = Channel(3)
    stats = ch.statistics()
    assert type(stats) is csp.ChannelStatistics
    assert "ChannelStatistics" in csp.__all__
    ch.send(stats)
    for copied in (ch.recv(), pickle.loads(pickle.dumps(stats)), copy.deepcopy(stats)):
        assert type(copied) is csp.ChannelStatistics
        assert copied == stats


def test_statistics_is_a_snapshot() -> None:
    """The record says what was, and does not follow the channel."""
    ch: Channel[int] = Channel(3)
    before = ch.statistics()
    ch.send(1)
    assert before.sent == 0
    assert ch.statistics().sent == 1


def test_statistics_counts_values() -> None:
    """sent, received, buffered and peak."""
    ch: Channel[int] = Channel(5)
    ch.send_many(range(4))
    ch.recv()
    ch.recv_many(2)
    ch.send(9)
    stats = ch.statistics()
    assert (stats.sent, stats.received, stats.buffered, stats.peak) == (5, 3, 2, 4)


def test_statistics_counts_who_waits() -> None:
    """waiting_senders and waiting_receivers, those in a select too, and none after they are served."""
    ch: Channel[int] = Channel()
    parties = [Party(ch.recv), Party(csp.select, [ch, csp.never()]), Party(ch.recv_many, 2)]
    wait_parked(ch, receivers=3)
    assert ch.statistics()[6:8] == (0, 3)
    for n in range(3):
        ch.send(n)
    for party in parties:
        party.result()
    parties = [Party(ch.send, 1), Party(csp.select, [(ch, 2)])]
    wait_parked(ch, senders=2)
    assert ch.statistics()[6:8] == (2, 0)
    assert sorted([ch.recv(), ch.recv()]) == [1, 2]
    for party in parties:
        party.result()
    assert ch.statistics()[6:8] == (0, 0)


def test_statistics_counts_open_handles() -> None:
    """senders and receivers: every open handle once, a Channel on both sides, a handle in flight as well."""
    ch: Channel[int] = Channel()
    mail: Channel[Any] = Channel(math.inf)
    held = [ch.sender, ch.sender, ch.receiver, ch.clone()]
    assert ch.statistics()[8:] == (4, 3)
    mail.send((ch.sender, ch.receiver))
    assert ch.statistics()[8:] == (5, 4)
    came = mail.recv()
    assert ch.statistics()[8:] == (5, 4)
    del came
    assert ch.statistics()[8:] == (4, 3)
    held[0].close()
    held[2].close()
    assert ch.statistics()[8:] == (3, 2)
    del held
    assert ch.statistics()[8:] == (1, 1)


def test_failed_operations_are_not_counted() -> None:
    """What was refused, timed out or could not cross was never sent."""
    ch: Channel[Any] = Channel(1)
    before = ch.statistics()
    for operation in (
        lambda: ch.send(math),
        lambda: ch.recv_nowait(),
        lambda: ch.recv(timeout=0.001),
        lambda: ch.send(1, timeout=-1),
    ):
        with pytest.raises((csp.CspError, ValueError)):
            operation()
    assert ch.statistics() == before


def test_every_value_is_accounted_for() -> None:
    """sent = received + dropped + discarded + buffered, whatever happens to the values."""
    ch: Channel[int] = Channel(2, overflow="drop_oldest")
    sender = ch.sender
    for n in range(7):
        ch.send(n)
        if n % 3 == 0:
            ch.recv()
    with pytest.raises(LookupError), ch.lease():
        raise LookupError
    stats = ch.statistics()
    assert stats.sent == stats.received + stats.dropped + stats.discarded + stats.buffered
    del ch
    stats = sender.statistics()
    assert (stats.buffered, stats.discarded) == (0, 1)
    assert stats.sent == stats.received + stats.dropped + stats.discarded


def test_a_handle_given_up_still_answers_questions() -> None:
    """statistics, len, id, name, capacity, closed and repr work on a closed handle."""
    ch: Channel[int] = Channel(2, name="n")
    for handle in (ch.sender, ch.receiver, ch):
        handle.close()
        assert handle.closed
        assert (handle.name, handle.capacity, len(handle)) == ("n", 2, 0)
        assert handle.statistics().sent == 0
        assert "closed" in repr(handle)
