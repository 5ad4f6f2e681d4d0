"""trio's rules of memory channels, one test each (trio/_channel.py, its documentation and its tests).  Written anew.

Here the two ends are threads instead of tasks; ClosedResourceError = ClosedHandle, BrokenResourceError = BrokenChannel.
"""

import math
from typing import Any

import pytest

import csp
from csp import Channel
from csp.testing import wait_parked
from tests.placements import Party


@pytest.mark.parametrize("capacity", [1.0, "1", None])
def test_capacity_must_be_an_int_or_inf(capacity: Any) -> None:
    """open_memory_channel(1.0) is a TypeError."""
    with pytest.raises(TypeError):
        csp.channel(capacity)


def test_capacity_must_not_be_negative() -> None:
    """open_memory_channel(-1) is a ValueError; infinity is allowed."""
    with pytest.raises(ValueError, match="capacity"):
        csp.channel(-1)
    assert csp.channel(math.inf)[0].capacity == math.inf


def test_there_are_two_objects() -> None:
    """Sending and receiving are different objects, without the other's methods."""
    sender, receiver = csp.channel(1)
    assert not hasattr(sender, "recv")
    assert not hasattr(receiver, "send")


def test_side_closes_with_its_last_clone() -> None:
    """test_close_multiple_send_handles: the end comes when all clones are closed."""
    one, receiver = csp.channel()
    two = one.clone()

    def use(handle: Any, value: int) -> None:
        with handle:
            handle.send(value)

    parties = [Party(use, one, 1), Party(use, two, 2)]
    assert sorted(receiver) == [1, 2]
    for party in parties:
        party.result()


def test_forgetting_the_original_clone_keeps_the_channel_open() -> None:
    """The documentation's mpmc-broken example: the original that nobody closed hangs the consumer (who may time out)."""
    sender, receiver = csp.channel(math.inf)
    with sender.clone() as clone:
        clone.send(1)
    assert receiver.recv() == 1
    with pytest.raises(csp.Timeout):
        receiver.recv(timeout=0.005)
    sender.close()
    with pytest.raises(csp.EndOfChannel):
        receiver.recv()


def test_closed_resource_is_about_this_handle() -> None:
    """ClosedResourceError: this handle was closed; the clones work on."""
    sender, receiver = csp.channel(2)
    clone = sender.clone()
    sender.close()
    with pytest.raises(csp.ClosedHandle):
        sender.send(1)
    with pytest.raises(csp.ClosedHandle):
        sender.send_nowait(1)
    with pytest.raises(csp.ClosedHandle):
        sender.clone()
    clone.send(2)
    assert receiver.recv() == 2


def test_closing_a_handle_wakes_only_who_is_parked_on_it() -> None:
    """Closing one clone wakes the tasks parked on that clone, and no others."""
    ch: Channel[int] = Channel()
    one, two = ch.receiver, ch.receiver
    first, second = Party(one.recv), Party(two.recv)
    wait_parked(ch, receivers=2)
    one.close()
    with pytest.raises(csp.ClosedHandle):
        first.result()
    assert ch.statistics().waiting_receivers == 1
    ch.send(1)
    assert second.result() == 1


def test_broken_resource_means_all_receivers_are_gone() -> None:
    """BrokenResourceError: now, or while waiting."""
    sender, receiver = csp.channel()
    party = Party(sender.send, 1)
    wait_parked(sender, senders=1)
    receiver.close()
    with pytest.raises(csp.BrokenChannel):
        party.result()
    with pytest.raises(csp.BrokenChannel):
        sender.send_nowait(1)


def test_end_of_channel_means_all_senders_are_gone_and_the_buffer_is_empty() -> None:
    """EndOfChannel comes after what was buffered."""
    sender, receiver = csp.channel(2)
    sender.send(1)
    sender.close()
    assert receiver.recv() == 1
    with pytest.raises(csp.EndOfChannel):
        receiver.recv()
    with pytest.raises(csp.EndOfChannel):
        receiver.recv_nowait()


def test_closing_the_last_receiver_discards_the_buffer() -> None:
    """The values are gone, and counted here."""
    sender, receiver = csp.channel(3)
    sender.send_many([1, 2, 3])
    receiver.close()
    assert (len(sender), sender.statistics().discarded) == (0, 3)


def test_a_receiver_closing_does_not_disturb_buffered_values_of_others() -> None:
    """test_close_multiple_receive_handles."""
    sender, one = csp.channel(2)
    two = one.clone()
    sender.send_many([1, 2])
    one.close()
    assert two.recv_many(3) == [1, 2]


def test_a_value_belongs_to_the_parked_receiver_before_it_runs() -> None:
    """Fairness: a value sent while somebody is parked is his; send_nowait succeeds once for each who waits."""
    ch: Channel[int] = Channel()
    parties = [Party(ch.recv) for _ in range(2)]
    wait_parked(ch, receivers=2)
    ch.send_nowait(1)
    ch.send_nowait(2)
    with pytest.raises(csp.WouldBlock):
        ch.send_nowait(3)
    assert sorted(party.result() for party in parties) == [1, 2]


def test_a_freed_slot_belongs_to_the_oldest_parked_sender() -> None:
    """Fairness: recv_nowait frees a slot, and the parked sender's value is in it at once."""
    ch: Channel[int] = Channel(1)
    ch.send(1)
    party = Party(ch.send, 2)
    wait_parked(ch, senders=1)
    assert [ch.recv_nowait(), ch.recv_nowait()] == [1, 2]
    party.result()


def test_statistics_tell_what_trio_tells() -> None:
    """Buffer in use, open handles and waiting tasks of both sides; and a peak."""
    sender, receiver = csp.channel(2)
    clone = sender.clone()
    sender.send(1)
    stats = receiver.statistics()
    assert (stats.buffered, stats.senders, stats.receivers) == (1, 2, 1)
    assert (stats.waiting_senders, stats.waiting_receivers, stats.peak) == (0, 0, 1)
    clone.close()
    assert receiver.statistics().senders == 1


def test_unbuffered_send_is_received_in_the_same_order() -> None:
    """test_unbuffered: each send completes with its receive."""
    sender, receiver = csp.channel(0)
    with pytest.raises(csp.WouldBlock):
        receiver.recv_nowait()
    with pytest.raises(csp.WouldBlock):
        sender.send_nowait(1)
    party = Party(sender.send, 1)
    assert receiver.recv() == 1
    party.result()


def test_cancelled_wait_has_no_effect() -> None:
    """Cancellation is atomic: the value moved or it did not (here the deadline cancels)."""
    ch: Channel[int] = Channel()
    with pytest.raises(csp.Timeout):
        ch.send(1, timeout=0.003)
    with pytest.raises(csp.Timeout):
        ch.recv(timeout=0.003)
    party = Party(ch.recv)
    wait_parked(ch, receivers=1)
    ch.send(2)
    assert party.result() == 2


def test_zero_timeout_sends_what_needs_no_waiting() -> None:
    """trio issue 1626 asks for it: a zero timeout round a send that needs no waiting succeeds."""
    ch: Channel[int] = Channel(1)
    ch.send(1, timeout=0)
    assert ch.recv(timeout=0) == 1


def test_with_closes_the_handle() -> None:
    """`with send_channel:` closes this handle."""
    sender, receiver = csp.channel(1)
    with sender:
        sender.send(1)
    assert list(receiver) == [1]


def test_iteration_ends_with_the_senders() -> None:
    """`async for`, here `for`."""
    sender, receiver = csp.channel(5)
    with sender, sender.clone() as clone:
        sender.send(1)
        clone.send(2)
    assert list(receiver) == [1, 2]
