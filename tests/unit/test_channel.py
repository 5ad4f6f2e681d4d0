"""Channel: its arguments, rendezvous and buffer, overflow, copies, batches' simpler sisters, and iteration."""

import array
import decimal
import fractions
import inspect
import math
import operator
import threading
import weakref
from typing import Any

import pytest

import csp
from csp import Channel
from csp.testing import wait_parked
from tests.placements import Party

# --- arguments ---


@pytest.mark.parametrize("capacity", [0, 1, 2, 1000, 10**9, math.inf])
def test_capacity_is_kept(capacity: float) -> None:
    """`capacity` is what was given; infinity is math.inf."""
    ch = Channel(capacity)
    assert ch.capacity == capacity
    assert ch.sender.capacity == ch.receiver.capacity == capacity


def test_default_is_a_rendezvous_without_a_name() -> None:
    """`Channel()` has capacity 0 and no name."""
    ch: Channel[Any] = Channel()
    assert (ch.capacity, ch.name, len(ch), ch.closed) == (0, None, 0, False)


@pytest.mark.parametrize("capacity", [-1, -(10**30), 10**30, -1.0, -0.5, -math.inf, math.nan])
def test_capacity_out_of_range_is_a_value_error(capacity: float) -> None:
    """A negative, NaN or impossible capacity is a ValueError naming the argument."""
    with pytest.raises(ValueError, match="capacity"):
        Channel(capacity)


@pytest.mark.parametrize("capacity", [True, False, 1.0, 0.5, "1", None, b"1", [1], decimal.Decimal(1), 1j])
def test_capacity_of_a_wrong_type_is_refused(capacity: Any) -> None:
    """A bool or anything that is not integral is a TypeError or ValueError naming the argument."""
    with pytest.raises((TypeError, ValueError), match="capacity"):
        Channel(capacity)


class Three:
    def __index__(self) -> int:
        return 3


def test_capacity_takes_what_is_an_index() -> None:
    """Whatever has `__index__` is integral."""
    assert Channel(Three()).capacity == 3  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["jobs", "", "naïve ☃", "x" * 1000])
def test_name_is_kept(name: str) -> None:
    """`name` is any text, and every handle of the channel has it."""
    ch: Channel[Any] = Channel(name=name)
    assert ch.name == ch.sender.name == ch.receiver.name == ch.clone().name == name


@pytest.mark.parametrize("name", [1, b"jobs", ["jobs"]])
def test_name_must_be_text(name: Any) -> None:
    """Anything but a str or None is a TypeError."""
    with pytest.raises(TypeError):
        Channel(name=name)


@pytest.mark.parametrize("overflow", ["drop", "", "BLOCK", "drop-oldest"])
def test_unknown_overflow_is_a_value_error(overflow: Any) -> None:
    """`overflow` is one of three words; the error says which."""
    with pytest.raises(ValueError, match="drop_oldest"):
        Channel(4, overflow=overflow)


@pytest.mark.parametrize("overflow", [None, 1, b"block"])
def test_overflow_of_a_wrong_type_is_a_type_error(overflow: Any) -> None:
    """`overflow` is a str."""
    with pytest.raises(TypeError):
        Channel(4, overflow=overflow)


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
@pytest.mark.parametrize("capacity", [0, math.inf])
def test_dropping_needs_a_finite_buffer(overflow: Any, capacity: float) -> None:
    """The drop policies need `1 <= capacity < inf`."""
    with pytest.raises(ValueError, match="capacity"):
        Channel(capacity, overflow=overflow)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((1, "name"), {}), ((), {"size": 1}), ((1,), {"capacity": 1}), ((), {"maxsize": 2}), ((1, None, "block"), {})],
)
def test_options_are_keyword_only(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Only `capacity` is positional, and unknown options are a TypeError."""
    with pytest.raises(TypeError):
        Channel(*args, **kwargs)
    with pytest.raises(TypeError):
        csp.channel(*args, **kwargs)


def test_channel_function_returns_the_two_ends() -> None:
    """`csp.channel(capacity, **options)` returns (SendChannel, RecvChannel) of one new channel."""
    sender, receiver = csp.channel(3, name="pair", overflow="drop_oldest")
    assert type(sender) is csp.SendChannel
    assert type(receiver) is csp.RecvChannel
    assert (sender.id, sender.name, sender.capacity) == (receiver.id, "pair", 3)
    stats = sender.statistics()
    assert (stats.senders, stats.receivers) == (1, 1)


@pytest.mark.parametrize("cls", [csp.SendChannel, csp.RecvChannel, csp.Lease])
def test_one_way_handles_come_only_from_channels(cls: Any) -> None:
    """SendChannel, RecvChannel and Lease cannot be made by hand."""
    with pytest.raises(TypeError):
        cls()


def test_one_way_handles_have_only_their_side() -> None:
    """SendChannel has no receiving operation, RecvChannel no sending one."""
    ch: Channel[int] = Channel()
    sending = {"send", "send_nowait", "send_many"}
    receiving = {"recv", "recv_nowait", "recv_many", "lease", "__iter__", "__next__"}
    both = {"close", "clone", "capacity", "name", "id", "closed", "statistics", "__len__", "__enter__", "__exit__"}
    assert sending | receiving | both <= set(dir(ch))
    assert sending | both <= set(dir(ch.sender))
    assert receiving | both <= set(dir(ch.receiver))
    assert not receiving & set(dir(ch.sender))
    assert not sending & set(dir(ch.receiver))


def test_repr_shows_id_and_name() -> None:
    """The repr tells a reader which channel it is."""
    ch: Channel[int] = Channel(2, name="jobs")
    for handle in (ch, ch.sender, ch.receiver):
        assert str(ch.id) in repr(handle)
        assert "jobs" in repr(handle)
        assert type(handle).__name__ in repr(handle)


# --- rendezvous ---


def test_rendezvous_send_returns_only_once_taken() -> None:
    """With capacity 0, `send` waits until a receiver has taken the value."""
    ch: Channel[str] = Channel()
    sender = Party(ch.send, "x")
    wait_parked(ch, senders=1)
    assert sender.running
    assert (len(ch), ch.statistics().sent) == (0, 0)
    assert ch.recv() == "x"
    assert sender.result() is None


def test_rendezvous_recv_waits_for_a_sender() -> None:
    """With capacity 0, `recv` waits until somebody sends."""
    ch: Channel[str] = Channel()
    receiver = Party(ch.recv)
    wait_parked(ch, receivers=1)
    ch.send("x", timeout=0)
    assert receiver.result() == "x"


def test_rendezvous_never_buffers() -> None:
    """With capacity 0, `len` and `peak` stay 0."""
    ch: Channel[int] = Channel()
    sender = Party(ch.send_many, range(50))
    assert [ch.recv() for _ in range(50)] == list(range(50))
    assert sender.result() == 50
    assert (len(ch), ch.statistics().peak) == (0, 0)


def test_send_nowait_on_a_rendezvous_needs_a_waiting_receiver() -> None:
    """`send_nowait` with capacity 0 is WouldBlock, unless a receiver waits: then it is that receiver's."""
    ch: Channel[int] = Channel()
    with pytest.raises(csp.WouldBlock):
        ch.send_nowait(1)
    receiver = Party(ch.recv)
    wait_parked(ch, receivers=1)
    assert ch.send_nowait(2) is None
    with pytest.raises(csp.WouldBlock):  # the value is taken, though the receiver may not have run yet
        ch.send_nowait(3)
    assert receiver.result() == 2


def test_recv_nowait_takes_from_a_waiting_sender() -> None:
    """`recv_nowait` with capacity 0 completes if a sender waits."""
    ch: Channel[int] = Channel()
    sender = Party(ch.send, 1)
    wait_parked(ch, senders=1)
    assert ch.recv_nowait() == 1
    sender.result()


# --- buffer ---


@pytest.mark.parametrize("capacity", [1, 2, 7, 64, 65, 300])
def test_buffer_holds_capacity_values_and_no_more(capacity: int) -> None:
    """A buffer of n takes n values without a receiver; one more would block. It is first in, first out."""
    ch: Channel[int] = Channel(capacity)
    for n in range(capacity):
        ch.send_nowait(n)
        assert len(ch) == n + 1
    with pytest.raises(csp.WouldBlock):
        ch.send_nowait(capacity)
    assert [ch.recv_nowait() for _ in range(capacity)] == list(range(capacity))
    with pytest.raises(csp.WouldBlock):
        ch.recv_nowait()


def test_full_buffer_makes_send_wait_for_room() -> None:
    """`send` on a full buffer waits until a value is taken, and then completes."""
    ch: Channel[int] = Channel(1)
    ch.send(1)
    sender = Party(ch.send, 2)
    wait_parked(ch, senders=1)
    assert ch.recv() == 1
    sender.result()
    assert ch.recv() == 2


def test_unbounded_buffer_never_blocks() -> None:
    """`capacity=math.inf` takes as many as are sent, in order."""
    ch: Channel[int] = Channel(math.inf)
    for n in range(10_000):
        ch.send_nowait(n)
    assert len(ch) == 10_000
    assert [ch.recv_nowait() for _ in range(10_000)] == list(range(10_000))


def test_buffer_keeps_order_over_many_rounds() -> None:
    """First in, first out holds while the buffer wraps round and segments come and go."""
    ch: Channel[int] = Channel(100)
    sent = received = 0
    for step in (1, 99, 37, 100, 64, 63, 65, 2):
        for _ in range(min(step, 100 - len(ch))):
            ch.send_nowait(sent)
            sent += 1
        for _ in range(min(step - 1, len(ch))):
            assert ch.recv_nowait() == received
            received += 1
    assert sent - received == len(ch)


def test_recv_nowait_default_is_returned_instead_of_would_block() -> None:
    """With a default, also None, an empty channel returns it; a value still comes first."""
    ch: Channel[int] = Channel(1)
    marker = object()
    assert ch.recv_nowait(marker) is marker
    assert ch.recv_nowait(default=None) is None
    ch.send(0)
    assert ch.recv_nowait(default=marker) == 0


def test_recv_nowait_default_does_not_hide_the_end() -> None:
    """A closed and drained channel raises EndOfChannel, with a default too."""
    ch: Channel[int] = Channel(1)
    ch.send(1)
    ch.close()
    assert ch.recv_nowait(None) == 1
    with pytest.raises(csp.EndOfChannel):
        ch.recv_nowait(None)


@pytest.mark.parametrize("value", [None, False, 0, "", (), csp.EndOfChannel])
def test_any_value_may_be_sent(value: object) -> None:
    """No value stands for the end or for emptiness: None crosses as None."""
    ch: Channel[object] = Channel(1)
    ch.send(value)
    assert ch.recv() == value


# --- overflow ---


def test_drop_oldest_keeps_the_newest_values() -> None:
    """A full sliding channel loses its oldest value; nobody waits, and the drops are counted."""
    ch: Channel[int] = Channel(3, overflow="drop_oldest")
    for n in range(10):
        ch.send_nowait(n)
    stats = ch.statistics()
    assert (stats.dropped, stats.sent, stats.buffered, stats.peak) == (7, 10, 3, 3)
    assert ch.recv_many(10) == [7, 8, 9]


def test_drop_newest_keeps_the_oldest_values() -> None:
    """A full channel loses the value that is being sent; nobody waits, and the drops are counted."""
    ch: Channel[int] = Channel(3, overflow="drop_newest")
    for n in range(10):
        ch.send(n, timeout=0)
    stats = ch.statistics()
    assert (stats.dropped, stats.buffered, stats.peak) == (7, 3, 3)
    assert ch.recv_many(10) == [0, 1, 2]


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
def test_dropping_channel_hands_over_to_who_waits(overflow: Any) -> None:
    """A waiting receiver gets the value: nothing is dropped."""
    ch: Channel[int] = Channel(1, overflow=overflow)
    receiver = Party(ch.recv)
    wait_parked(ch, receivers=1)
    ch.send(1)
    assert receiver.result() == 1
    assert ch.statistics().dropped == 0


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
def test_dropping_channel_still_breaks(overflow: Any) -> None:
    """Closing wins over dropping."""
    ch: Channel[int] = Channel(1, overflow=overflow)
    other = ch.sender
    ch.send(1)
    ch.close()
    with pytest.raises(csp.BrokenChannel):
        other.send(2)
    assert ch.recv() == 1


def test_dropping_channel_drops_in_batches_and_select_too() -> None:
    """send_many and select obey the policy as send does."""
    ch: Channel[int] = Channel(2, overflow="drop_oldest")
    assert ch.send_many(range(5)) == 5
    assert csp.select([(ch, 5)], timeout=0).index == 0
    assert ch.recv_many(9) == [4, 5]
    assert ch.statistics().dropped == 4


# --- copies, and references ---


@pytest.mark.parametrize("capacity", [0, 1])
@pytest.mark.parametrize("value", [[1, [2]], {"a": [1]}, {1, 2}, bytearray(b"ab"), array.array("i", [1, 2])])
def test_received_value_never_aliases_the_sent_one(capacity: int, value: Any) -> None:
    """In one interpreter too the receiver gets a copy, equal, of the same type, and independent."""
    ch: Channel[Any] = Channel(capacity)
    sender = Party(ch.send, value)
    got = ch.recv()
    sender.result()
    assert got == value
    assert type(got) is type(value)
    assert got is not value
    if isinstance(value, list):
        assert got[1] is not value[1]


def test_value_is_copied_when_it_is_sent() -> None:
    """Changing the value after the send, waiting or done, changes nothing."""
    ch: Channel[list[int]] = Channel()
    value = [1]
    sender = Party(ch.send, value)
    wait_parked(ch, senders=1)
    value.append(2)
    assert ch.recv() == [1]
    sender.result()
    assert value == [1, 2]


def test_local_channel_passes_the_very_object() -> None:
    """`local=True`: any object at all, by reference, through every operation."""
    ch: Channel[Any] = Channel(5, local=True)
    things = [object(), threading.Lock(), lambda: 1, math, [1]]
    for thing in things:
        ch.send(thing)
    assert ch.recv() is things[0]
    assert ch.recv_nowait() is things[1]
    assert csp.select([ch]).value is things[2]
    with ch.lease() as leased:
        assert leased is things[3]
    assert ch.recv_many(2)[0] is things[4]


def test_local_rendezvous_passes_the_very_object() -> None:
    """A waiting sender's and a waiting receiver's hand-over keep identity as well."""
    ch: Channel[Any] = Channel(local=True)
    thing = object()
    sender = Party(ch.send, thing)
    wait_parked(ch, senders=1)
    assert ch.recv() is thing
    sender.result()


@pytest.mark.parametrize("part", [operator.attrgetter("sender"), operator.attrgetter("receiver"), lambda ch: ch])
def test_local_channel_cannot_leave_its_interpreter(part: Any) -> None:
    """A handle on a local channel inside a value is NotShareable."""
    with pytest.raises(csp.NotShareable):
        Channel(1).send({"handle": part(Channel(1, local=True))})


class Thing:
    """Something that a weak reference can watch."""


def test_local_channel_frees_what_it_loses() -> None:
    """Values of a local channel are let go of when dropped, when not sent, and with the last receiver."""
    ch: Channel[Any] = Channel(1, local=True, overflow="drop_oldest")
    things = [Thing(), Thing()]
    watched = [weakref.ref(thing) for thing in things]
    ch.send(things.pop(0))
    ch.send(things.pop(0))
    assert watched[0]() is None
    assert watched[1]() is not None
    del ch
    assert watched[1]() is None
    unsent: Channel[Any] = Channel(local=True)
    thing = Thing()
    watch = weakref.ref(thing)
    with pytest.raises(csp.Timeout):
        unsent.send(thing, timeout=0.001)
    del thing
    assert watch() is None


@pytest.mark.parametrize("local", [False, True])
def test_long_chain_of_channels_in_channels_is_freed(local: bool) -> None:
    """A channel whose buffer holds the last receiver of the next, and so on, is freed whole: the C stack does not limit the chain."""

    def build_and_free() -> int:
        first, receiver = csp.channel(local=local)
        for _ in range(10_000):
            sender, outer = csp.channel(1, local=local)
            sender.send(receiver)
            if not local:
                receiver.close()
            receiver = outer
        del sender, outer
        receiver.close()
        return first.statistics().receivers

    usual = threading.stack_size(512 * 1024)
    try:
        party = Party(build_and_free)
    finally:
        threading.stack_size(usual)
    assert party.result() == 0


# --- iteration and with ---


def test_iteration_ends_at_the_end_without_raising() -> None:
    """`for value in channel` drains, and ends when the channel has."""
    ch: Channel[int] = Channel(3)
    ch.send_many([1, 2, 3])
    ch.close()
    assert list(ch) == [1, 2, 3]
    assert list(ch) == []


def test_iteration_ends_when_the_last_sender_goes() -> None:
    """Through a RecvChannel too, also while it waits."""
    sender, receiver = csp.channel()
    party = Party(list, receiver)
    sender.send(1)
    sender.send(2)
    wait_parked(receiver, receivers=1)
    sender.close()
    assert party.result() == [1, 2]


def test_leaving_a_loop_closes_nothing() -> None:
    """`break` leaves the rest in the channel."""
    ch: Channel[int] = Channel(3)
    ch.send_many([1, 2, 3])
    for value in ch:
        assert value == 1
        break
    assert not ch.closed
    assert ch.recv() == 2


def test_iterating_a_handle_given_up_is_closed_handle() -> None:
    """A RecvChannel that this side closed does not look like an end."""
    receiver = Channel(1).receiver
    receiver.close()
    with pytest.raises(csp.ClosedHandle):
        list(receiver)


def test_with_closes_on_leaving() -> None:
    """`with channel:` yields the channel and closes it at the end of the block."""
    with Channel(1) as ch:
        ch.send(1)
        assert not ch.closed
    assert ch.closed
    assert list(ch) == [1]


@pytest.mark.parametrize("side", ["sender", "receiver"])
def test_with_gives_up_a_one_way_handle(side: str) -> None:
    """`with handle:` of one side gives up that handle only."""
    ch: Channel[int] = Channel(1)
    with getattr(ch, side) as handle:
        assert not handle.closed
    assert handle.closed
    assert not ch.closed


def test_with_closes_when_the_block_raises() -> None:
    """The error passes, and the channel is closed."""
    ch: Channel[int] = Channel(1)
    with pytest.raises(LookupError), ch:
        raise LookupError
    assert ch.closed


# --- calling conventions ---


@pytest.mark.parametrize(
    "call",
    [
        lambda ch: ch.send(),
        lambda ch: ch.send(1, 2, 3),
        lambda ch: ch.send(1, value=2),
        lambda ch: ch.send(1, wait=2),
        lambda ch: ch.send_nowait(),
        lambda ch: ch.recv(1, 2),
        lambda ch: ch.recv(block=False),
        lambda ch: ch.recv_nowait(1, 2),
        lambda ch: ch.recv_many(),
        lambda ch: ch.recv_many("3"),
        lambda ch: ch.recv_many(1.5),
        lambda ch: ch.send_many(3),
        lambda ch: ch.close(1, 2),
    ],
)
def test_wrong_arguments_are_a_type_error(call: Any) -> None:
    """A wrong call is a TypeError, and nothing is sent or taken."""
    ch: Channel[int] = Channel(2)
    ch.send(0)
    with pytest.raises(TypeError):
        call(ch)
    stats = ch.statistics()
    assert (stats.sent, stats.received, ch.closed) == (1, 0, False)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (Channel.send, "(self, /, value, timeout=None)"),
        (Channel.recv, "(self, /, timeout=None)"),
        (Channel.send_nowait, "(self, value, /)"),
        (Channel.recv_nowait, "(self, /, default=Ellipsis)"),
        (Channel.send_many, "(self, /, values, timeout=None)"),
        (Channel.recv_many, "(self, /, limit, timeout=None)"),
        (Channel.lease, "(self, /, timeout=None)"),
        (Channel.close, "(self, /, cause=None)"),
        (Channel, "(capacity=0, *, name=None, overflow='block', local=False, max_bytes=None)"),
        (csp.channel, "(capacity=0, *, name=None, overflow='block', local=False, max_bytes=None)"),
        (csp.select, "(cases, *, timeout=None, priority=False)"),
        (csp.Selector.select, "(self, /, *, timeout=None, priority=False)"),
    ],
)
def test_signatures_are_there_to_be_read(call: Any, text: str) -> None:
    """inspect.signature, and so help() and editors, show the arguments of the contract."""
    assert str(inspect.signature(call)) == text


def test_value_and_timeout_go_by_position_or_by_keyword() -> None:
    """`send(value, timeout)` and `recv(timeout)` accept both forms."""
    ch: Channel[Any] = Channel(4)
    ch.send(1, 1.0)
    ch.send(2, timeout=1)
    ch.send(value=3, timeout=None)
    ch.send(timeout=1.0, value=fractions.Fraction(4))
    assert [ch.recv(1.0), ch.recv(timeout=1), ch.recv(timeout=None), ch.recv(None)] == [1, 2, 3, 4]
