"""Closing: who closed what, what the others see, and how the ends are counted."""

import gc
from collections.abc import Callable
from typing import Any

import pytest

import csp
from csp import BrokenChannel, Channel, ClosedHandle, EndOfChannel
from csp.testing import wait_parked
from tests.placements import Party

SENDS: dict[str, Callable[[Any], Any]] = {
    "send": lambda h: h.send("x"),
    "send with timeout": lambda h: h.send("x", timeout=5),
    "send polled": lambda h: h.send("x", timeout=0),
    "send_nowait": lambda h: h.send_nowait("x"),
    "send_many": lambda h: h.send_many(["x", "y"]),
    "select": lambda h: csp.select([(h, "x")]),
    "select polled": lambda h: csp.select([(h, "x")], timeout=0),
}
RECEIVES: dict[str, Callable[[Any], Any]] = {
    "recv": lambda h: h.recv(),
    "recv with timeout": lambda h: h.recv(timeout=5),
    "recv polled": lambda h: h.recv(timeout=0),
    "recv_nowait": lambda h: h.recv_nowait(),
    "recv_nowait default": lambda h: h.recv_nowait("default"),
    "recv_many": lambda h: h.recv_many(1)[0],
    "lease": lambda h: leased(h),
    "select": lambda h: csp.select([h]).value,
    "select polled": lambda h: csp.select([h], timeout=0).value,
}
BLOCKING_SENDS = [name for name in SENDS if name in ("send", "send with timeout", "send_many", "select")]
BLOCKING_RECEIVES = [name for name in RECEIVES if name in ("recv", "recv with timeout", "recv_many", "lease", "select")]


def leased(handle: Any) -> Any:
    with handle.lease() as value:
        return value


# --- a Channel closes for everyone ---


@pytest.mark.parametrize("send", SENDS)
def test_the_closing_channel_itself_gets_closed_handle_on_send(send: str) -> None:
    """Through the very handle that closed, every send is ClosedHandle."""
    ch: Channel[str] = Channel(2)
    ch.close()
    with pytest.raises(ClosedHandle):
        SENDS[send](ch)


@pytest.mark.parametrize("send", SENDS)
@pytest.mark.parametrize("other", ["clone", "sender"])
def test_other_senders_get_broken_channel(send: str, other: str) -> None:
    """After a Channel closed, every other sending handle gets BrokenChannel, though there is room and a receiver."""
    ch: Channel[str] = Channel(2)
    handle = ch.clone() if other == "clone" else ch.sender
    ch.close()
    with pytest.raises(BrokenChannel):
        SENDS[send](handle)


@pytest.mark.parametrize("receive", RECEIVES)
@pytest.mark.parametrize("other", ["itself", "clone", "receiver"])
def test_receivers_drain_and_then_get_the_end(receive: str, other: str) -> None:
    """After a Channel closed, what is buffered is received, then EndOfChannel, again and again; through the closing handle too."""
    ch: Channel[str] = Channel(2)
    handle = {"itself": lambda: ch, "clone": ch.clone, "receiver": lambda: ch.receiver}[other]()
    ch.send("a")
    ch.send("b")
    ch.close()
    assert [RECEIVES[receive](handle), RECEIVES[receive](handle)] == ["a", "b"]
    for _ in range(2):
        with pytest.raises(EndOfChannel):
            RECEIVES[receive](handle)


@pytest.mark.parametrize("send", BLOCKING_SENDS)
def test_close_wakes_waiting_senders(send: str) -> None:
    """Senders that wait when a Channel closes get BrokenChannel; nothing of theirs is sent."""
    ch: Channel[str] = Channel()
    parties = [Party(SENDS[send], handle) for handle in (ch.sender, ch.clone())]
    wait_parked(ch, senders=2)
    ch.close()
    for party in parties:
        with pytest.raises(BrokenChannel):
            party.result()
    with pytest.raises(EndOfChannel):
        ch.recv()
    assert ch.statistics().sent == 0


@pytest.mark.parametrize("send", BLOCKING_SENDS)
def test_close_wakes_waiting_senders_of_its_own_handle(send: str) -> None:
    """A send that waits through the very Channel handle that closes gets ClosedHandle."""
    ch: Channel[str] = Channel()
    party = Party(SENDS[send], ch)
    wait_parked(ch, senders=1)
    ch.close()
    with pytest.raises(ClosedHandle):
        party.result()


@pytest.mark.parametrize("receive", BLOCKING_RECEIVES)
@pytest.mark.parametrize("other", ["itself", "clone", "receiver"])
def test_close_wakes_waiting_receivers(receive: str, other: str) -> None:
    """Receivers that wait when a Channel closes get EndOfChannel; through the closing handle too, since it may drain."""
    ch: Channel[str] = Channel()
    handle = {"itself": lambda: ch, "clone": ch.clone, "receiver": lambda: ch.receiver}[other]()
    party = Party(RECEIVES[receive], handle)
    wait_parked(ch, receivers=1)
    ch.close()
    with pytest.raises(EndOfChannel):
        party.result()


def test_close_is_idempotent_on_every_handle() -> None:
    """`close` returns None however often, in any order, on all kinds of handles."""
    ch: Channel[str] = Channel(1)
    handles = [ch, ch.clone(), ch.sender, ch.receiver]
    for _ in range(2):
        for handle in handles:
            assert handle.close() is None
    assert all(handle.closed for handle in handles)


def test_second_channel_to_close_then_has_closed_itself() -> None:
    """A Channel that another closed sends BrokenChannel until it closes, too; from then on ClosedHandle; receiving goes on."""
    ch: Channel[str] = Channel(1)
    other = ch.clone()
    ch.send("a")
    ch.close()
    with pytest.raises(BrokenChannel):
        other.send("x")
    other.close()
    with pytest.raises(ClosedHandle):
        other.send("x")
    assert other.recv() == "a"
    with pytest.raises(EndOfChannel):
        other.recv()


def test_closed_is_seen_by_every_handle() -> None:
    """After a Channel closed, `closed` is true for all handles of the channel."""
    ch: Channel[str] = Channel()
    handles = [ch, ch.clone(), ch.sender, ch.receiver]
    assert not any(handle.closed for handle in handles)
    ch.close()
    assert all(handle.closed for handle in handles)


def test_closed_channel_makes_receivers_but_no_senders() -> None:
    """A Channel that this side closed still drains, also through `.receiver`; `.sender` and `clone()` are ClosedHandle."""
    ch: Channel[str] = Channel(2)
    ch.send("a")
    ch.send("b")
    ch.close()
    assert list(ch.receiver) == ["a", "b"]
    with pytest.raises(ClosedHandle):
        ch.sender  # noqa: B018
    with pytest.raises(ClosedHandle):
        ch.clone()


def test_closed_channel_can_be_sent_on_to_be_drained() -> None:
    """A Channel closed by its side crosses; whoever gets it may drain it, and its sends are BrokenChannel."""
    ch: Channel[str] = Channel(2)
    mail: Channel[Any] = Channel(1)
    ch.send("a")
    ch.close()
    mail.send(ch)
    came = mail.recv()
    with pytest.raises(BrokenChannel):
        came.send("x")
    assert list(came) == ["a"]


@pytest.mark.parametrize("side", ["sender", "receiver"])
def test_handle_given_up_cannot_be_sent_on(side: str) -> None:
    """Sending a one-way handle uses it: ClosedHandle, about that handle, and nothing is sent."""
    handle = getattr(Channel(1), side)
    mail: Channel[Any] = Channel(1)
    handle.close()
    with pytest.raises(ClosedHandle):
        mail.send([handle])
    assert mail.statistics().sent == 0


# --- a one-way handle gives up itself ---


@pytest.mark.parametrize("send", SENDS)
def test_sender_given_up_is_closed_handle(send: str) -> None:
    """Any further use of a SendChannel that this side closed is ClosedHandle; others send on."""
    ch: Channel[str] = Channel(3)
    sender, other = ch.sender, ch.sender
    sender.close()
    with pytest.raises(ClosedHandle):
        SENDS[send](sender)
    other.send("y")
    assert (sender.closed, other.closed, ch.closed) == (True, False, False)
    assert ch.recv() == "y"


@pytest.mark.parametrize("receive", RECEIVES)
def test_receiver_given_up_is_closed_handle(receive: str) -> None:
    """Any further use of a RecvChannel that this side closed is ClosedHandle, also with values there; others receive on."""
    ch: Channel[str] = Channel(1)
    receiver, other = ch.receiver, ch.receiver
    ch.send("a")
    receiver.close()
    with pytest.raises(ClosedHandle):
        RECEIVES[receive](receiver)
    assert (receiver.closed, other.closed, ch.closed) == (True, False, False)
    assert other.recv() == "a"


@pytest.mark.parametrize("side", ["sender", "receiver"])
def test_clone_of_a_handle_given_up_is_closed_handle(side: str) -> None:
    """A handle that was given up makes no new ones."""
    handle = getattr(Channel(1), side)
    handle.close()
    with pytest.raises(ClosedHandle):
        handle.clone()


@pytest.mark.parametrize("send", BLOCKING_SENDS)
def test_giving_up_a_sender_ends_waits_through_it(send: str) -> None:
    """A send that waits through this very handle gets ClosedHandle; one through a clone goes on."""
    ch: Channel[str] = Channel()
    sender, clone = ch.sender, ch.sender
    party, other = Party(SENDS[send], sender), Party(clone.send, "other")
    wait_parked(ch, senders=2)
    sender.close()
    with pytest.raises(ClosedHandle):
        party.result()
    assert ch.recv() == "other"
    other.result()


@pytest.mark.parametrize("receive", BLOCKING_RECEIVES)
def test_giving_up_a_receiver_ends_waits_through_it(receive: str) -> None:
    """A receive that waits through this very handle gets ClosedHandle; one through a clone goes on."""
    ch: Channel[str] = Channel()
    receiver = ch.receiver
    clone = receiver.clone()
    party, other = Party(RECEIVES[receive], receiver), Party(clone.recv)
    wait_parked(ch, receivers=2)
    receiver.close()
    with pytest.raises(ClosedHandle):
        party.result()
    ch.send("y")
    assert other.result() == "y"


def test_giving_up_comes_before_what_the_others_did() -> None:
    """A handle that its side closed is ClosedHandle, whether the channel was closed before or after, ended or broke."""
    for first in ("handle", "channel"):
        ch: Channel[str] = Channel(1)
        sender, receiver = ch.sender, ch.receiver
        ch.send("a")
        if first == "channel":
            ch.close()
        sender.close()
        receiver.close()
        ch.close()
        with pytest.raises(ClosedHandle):
            sender.send("x")
        with pytest.raises(ClosedHandle):
            receiver.recv()


# --- the last one of a side ---


@pytest.mark.parametrize("how", ["close", "drop", "cycle", "with"])
@pytest.mark.parametrize("receive", RECEIVES)
def test_last_sender_gone_is_the_end(how: str, receive: str) -> None:
    """When the last sending handle is closed or collected, receivers drain and get EndOfChannel; the channel is not `closed`."""
    sender, receiver = csp.channel(2)
    clone = sender.clone()
    sender.send("a")
    sender.close()
    assert receiver.statistics().senders == 1
    leave([clone], how)
    del clone
    gc.collect()
    assert receiver.statistics().senders == 0
    assert RECEIVES[receive](receiver) == "a"
    with pytest.raises(EndOfChannel):
        RECEIVES[receive](receiver)
    assert not receiver.closed


@pytest.mark.parametrize("how", ["close", "drop", "cycle", "with"])
@pytest.mark.parametrize("send", SENDS)
def test_last_receiver_gone_breaks_the_channel(how: str, send: str) -> None:
    """When the last receiving handle goes, senders get BrokenChannel, and what was buffered is counted as discarded."""
    sender, receiver = csp.channel(2)
    clone = receiver.clone()
    sender.send("a")
    receiver.close()
    assert (len(sender), sender.statistics().receivers) == (1, 1)
    leave([clone], how)
    del clone
    gc.collect()
    with pytest.raises(BrokenChannel):
        SENDS[send](sender)
    stats = sender.statistics()
    assert (stats.receivers, stats.buffered, stats.discarded, stats.sent) == (0, 0, 1, 1)
    assert not sender.closed


def leave(last: list[Any], how: str) -> None:
    """Let go of the only handle in the list."""
    handle = last.pop()
    if how == "close":
        handle.close()
    elif how == "with":
        with handle:
            pass
    elif how == "cycle":
        cycle: list[Any] = [handle]
        cycle.append(cycle)


@pytest.mark.parametrize("how", ["close", "drop", "cycle", "with"])
def test_last_sender_wakes_who_waits(how: str) -> None:
    """A receiver that waits is woken when the last sender goes."""
    sender, receiver = csp.channel()
    held = [sender]
    del sender
    party = Party(receiver.recv)
    wait_parked(receiver, receivers=1)
    leave(held, how)
    gc.collect()
    with pytest.raises(EndOfChannel):
        party.result()


@pytest.mark.parametrize("how", ["close", "drop", "cycle", "with"])
def test_last_receiver_wakes_who_waits(how: str) -> None:
    """Senders that wait are woken when the last receiver goes; nothing of theirs was sent."""
    sender, receiver = csp.channel(1)
    held = [receiver]
    del receiver
    sender.send(0)
    parties = [Party(sender.send, n) for n in range(2)]
    wait_parked(sender, senders=2)
    leave(held, how)
    gc.collect()
    for party in parties:
        with pytest.raises(BrokenChannel):
            party.result()
    assert sender.statistics().sent == 1


def test_a_channel_counts_as_sender_and_as_receiver() -> None:
    """While a Channel lives, its channel neither ends nor breaks; when it goes, the one-way handles learn."""
    ch: Channel[str] = Channel(1)
    sender, receiver = ch.sender, ch.receiver
    stats = ch.statistics()
    assert (stats.senders, stats.receivers) == (2, 2)
    sender.close()
    with pytest.raises(csp.Timeout):
        receiver.recv(timeout=0)
    del ch
    with pytest.raises(EndOfChannel):
        receiver.recv()


def test_a_closed_channel_still_receives_but_no_longer_sends() -> None:
    """After `close` a Channel counts as a receiver only: what is buffered stays for it."""
    ch: Channel[str] = Channel(1)
    ch.send("a")
    ch.close()
    stats = ch.statistics()
    assert (stats.senders, stats.receivers, stats.buffered, stats.discarded) == (0, 1, 1, 0)
    assert list(ch) == ["a"]


def test_one_clone_closed_does_not_disturb_the_others() -> None:
    """Only the last of a side matters."""
    sender, receiver = csp.channel(4)
    clones = [sender.clone() for _ in range(3)]
    for n, clone in enumerate(clones):
        clone.send(n)
        clone.close()
        clone.close()
    with pytest.raises(csp.WouldBlock):
        assert [receiver.recv_nowait() for _ in range(4)]
    sender.close()
    with pytest.raises(EndOfChannel):
        receiver.recv()


def test_send_that_was_taken_returns_whatever_happens_next() -> None:
    """A receiver that closes right after it took the value does not make the send fail."""
    for _ in range(100):
        sender, receiver = csp.channel()
        party = Party(sender.send, 1)
        assert receiver.recv() == 1
        receiver.close()
        assert party.result() is None


def test_handle_in_a_buffered_value_keeps_its_side_open() -> None:
    """A sender on its way inside a value counts; when the value is discarded, it is gone."""
    sender, receiver = csp.channel()
    mail: Channel[Any] = Channel(1)
    mail.send([sender])
    sender.close()
    with pytest.raises(csp.Timeout):
        receiver.recv(timeout=0)
    assert receiver.statistics().senders == 1
    del mail
    with pytest.raises(EndOfChannel):
        receiver.recv()
