"""The peer's interpreter ends, in whatever way, while it waits, holds leases or has values on their way."""

import gc
import threading
from typing import Any

import pytest

import csp
from csp.testing import census, wait_parked, wait_until
from tests.faults.parties import hold_leases, leave_values, wait_in

ENDS = ["kill", "stop"]


def end(ref: csp.ActorRef, how: str) -> None:
    assert (ref.kill() if how == "kill" else ref.stop(30)).reason == {"kill": "killed", "stop": "shutdown"}[how]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Any:
    before = census()
    yield
    gc.collect()  # tracebacks of expected errors hold handles
    wait_until(lambda: all(census()[what] <= before[what] for what in before), what=f"{before}, not {census()}")


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("wait", ["send", "recv", "select", "send_many"])
def test_while_it_waits(wait: str, how: str) -> None:
    """Its wait is gone with it, its value was not sent, and its handles are closed."""
    channel, told = csp.Channel(), csp.Channel(1)
    ref = csp.spawn(wait_in, wait, channel, told.sender)
    assert told.recv(10) == "up"
    wait_parked(channel, **({"receivers": 1} if wait == "recv" else {"senders": 1}))
    end(ref, how)
    now = channel.statistics()
    assert (now.sent, now.waiting_senders, now.waiting_receivers, now.senders, now.receivers) == (0, 0, 0, 1, 1)
    with pytest.raises(csp.WouldBlock):
        channel.recv_nowait()
    with pytest.raises(csp.WouldBlock):
        channel.send_nowait(1)


@pytest.mark.parametrize("how", ENDS)
def test_while_it_holds_leases(how: str) -> None:
    """The values go back to the head of the channel, and are counted as delivered once."""
    jobs, told = csp.Channel(4), csp.Channel(1)
    ref = csp.spawn(hold_leases, jobs.receiver, told.sender)
    jobs.send_many(["first", "second", "third"])
    assert told.recv(10) == ("first", "second")
    end(ref, how)
    deliveries = {}
    for _ in range(3):
        lease = jobs.lease(10)
        with lease as value:
            deliveries[value] = lease.deliveries
    assert deliveries == {"first": 2, "second": 2, "third": 1}


def test_while_somebody_waits_for_what_it_holds() -> None:
    """A value on loan goes to the receiver that waits, before it ends because the sender has gone."""
    sender, receiver = csp.channel(4)
    told = csp.Channel(1)
    ref = csp.spawn(hold_leases, receiver.clone(), told.sender)
    sender.send_many(["first", "second"])
    told.recv(10)
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(receiver.recv(10)), daemon=True)
    thread.start()
    wait_parked(receiver, receivers=1)
    ref.kill()
    thread.join(10)
    assert got in (["first"], ["second"])


def test_with_values_on_their_way() -> None:
    """What it had sent is still received, with working handles inside; then the channel ends, with its Exit as the cause."""
    sender, receiver = csp.channel(10)
    keep, go = csp.Channel(10), csp.Channel()
    ref = csp.spawn(leave_values, sender, keep, go.receiver)
    sender.close()  # so that the actor's is the last
    go.send("now")
    assert ref.join(10).reason == "normal"
    for i in range(5):
        number, handle, data = receiver.recv(10)
        handle.send(number)
        assert (number, len(data)) == (i, 1000)
    with pytest.raises(csp.EndOfChannel) as ended:
        receiver.recv(10)
    assert ended.value.cause.reason == "normal" and ended.value.cause.ref == ref
    assert keep.recv_many(10) == [0, 1, 2, 3, 4]
    del handle
    wait_until(lambda: keep.statistics().senders == 1)


@pytest.mark.parametrize("direction", ["senders", "receivers"])
def test_while_others_wait_for_it(direction: str) -> None:
    """Those who waited for the last peer are woken at once: EndOfChannel for receivers, BrokenChannel for senders."""
    sender, receiver = csp.channel()
    told, idle = csp.Channel(1), csp.Channel()
    mine, theirs = (receiver, sender) if direction == "receivers" else (sender, receiver)
    ref = csp.spawn(wait_in, "hold", theirs, told.sender, idle.receiver)
    theirs.close()
    told.recv(10)
    outcomes: list[Any] = []

    def wait() -> None:
        try:
            mine.recv() if direction == "receivers" else mine.send(1)
        except csp.CspError as error:
            outcomes.append(type(error))

    threads = [threading.Thread(target=wait, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_parked(mine, **{direction: 3})
    ref.kill()
    for thread in threads:
        thread.join(10)
    assert outcomes == [csp.EndOfChannel if direction == "receivers" else csp.BrokenChannel] * 3
