"""lease: a value is taken for good only when the block ends; else it goes back to the head."""

import gc
from typing import Any

import pytest

import csp
from csp import Channel
from csp.testing import wait_parked
from tests.placements import Party


def filled(*values: Any, capacity: int = 5, **options: Any) -> Channel[Any]:
    ch: Channel[Any] = Channel(capacity, **options)
    ch.send_many(values)
    return ch


def fail_on(ch: Any) -> Any:
    """Lease a value and fail."""
    lease = ch.lease()
    with pytest.raises(LookupError), lease as value:
        raise LookupError
    return value, lease.deliveries


def test_lease_takes_the_value_when_the_block_ends() -> None:
    """The block gets the value; after it the value is gone for good."""
    ch = filled("a", "b")
    with ch.lease() as value:
        assert value == "a"
        assert (len(ch), ch.statistics().received) == (1, 1)
    assert ch.recv() == "b"
    assert ch.recv_nowait(None) is None


def test_lease_puts_the_value_back_at_the_head_when_the_block_raises() -> None:
    """The error passes, and the value is the next to be received, before the others."""
    ch = filled("a", "b")
    with pytest.raises(LookupError), ch.lease() as value:
        assert value == "a"
        raise LookupError
    assert ch.statistics().received == 0
    assert ch.recv_many(5) == ["a", "b"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, csp.Stopped])
def test_lease_puts_back_on_any_exception(error: type[BaseException]) -> None:
    """Not only an Exception gives the value back."""
    ch = filled("a")
    with pytest.raises(error), ch.lease():
        raise error
    assert ch.recv() == "a"


def test_deliveries_are_counted() -> None:
    """`lease.deliveries` is 1 the first time, and one more each time the value comes back."""
    ch = filled("a", "b")
    assert [fail_on(ch) for _ in range(3)] == [("a", 1), ("a", 2), ("a", 3)]
    lease = ch.lease()
    with lease as value:
        assert (value, lease.deliveries) == ("a", 4)
    assert fail_on(ch) == ("b", 1)


def test_deliveries_before_entry_are_zero() -> None:
    """Making a lease receives nothing."""
    ch = filled("a")
    lease = ch.lease()
    assert type(lease) is csp.Lease
    assert (lease.deliveries, len(ch)) == (0, 1)
    del lease
    assert ch.statistics().received == 0


def test_value_given_back_goes_to_who_waits() -> None:
    """A waiting receiver gets the value that comes back, at once."""
    ch = filled("a")
    entered, leave = Channel[int](), Channel[int]()

    def hold() -> None:
        with ch.lease():
            entered.send(1)
            leave.recv()
            raise LookupError

    holder = Party(hold)
    entered.recv()
    receiver = Party(ch.recv)
    wait_parked(ch, receivers=1)
    leave.send(1)
    with pytest.raises(LookupError):
        holder.result()
    assert receiver.result() == "a"
    stats = ch.statistics()
    assert (stats.sent, stats.received) == (1, 1)


def test_value_given_back_keeps_its_count_for_who_waits() -> None:
    """Handed on to a waiting lease, it is the second delivery."""
    ch = filled("a")
    second: Channel[int] = Channel(1)

    def lease() -> None:
        lease = ch.lease()
        with lease:
            second.send(lease.deliveries)

    with pytest.raises(LookupError), ch.lease():
        party = Party(lease)
        wait_parked(ch, receivers=1)
        raise LookupError
    party.result()
    assert second.recv() == 2


def test_value_given_back_may_exceed_the_capacity() -> None:
    """The place may be taken meanwhile: the value goes back all the same, and is not dropped."""
    for options in ({}, {"overflow": "drop_oldest"}, {"overflow": "drop_newest"}):
        ch = filled("a", capacity=1, **options)
        with pytest.raises(LookupError), ch.lease():
            ch.send("b")
            raise LookupError
        assert len(ch) == 2
        assert ch.statistics().dropped == 0
        with pytest.raises(csp.Timeout):
            if options:
                raise csp.Timeout
            ch.send("c", timeout=0)
        assert ch.recv_many(5) == ["a", "b"]


def test_lease_on_a_rendezvous() -> None:
    """The sender is done once the lease has the value; given back, it waits in the channel for the next receiver."""
    ch: Channel[str] = Channel()
    sender = Party(ch.send, "a")
    with pytest.raises(LookupError), ch.lease() as value:
        sender.result()
        assert value == "a"
        raise LookupError
    assert len(ch) == 1
    assert ch.recv() == "a"


def test_lease_value_may_be_changed() -> None:
    """What comes back is what was sent, whatever the block did to its copy."""
    ch = filled([1])
    with pytest.raises(LookupError), ch.lease() as value:
        value.append(2)
        raise LookupError
    assert ch.recv() == [1]


def test_lease_of_a_local_channel_lends_the_object() -> None:
    """By reference: the very object comes back."""
    thing = object()
    ch = filled(thing, local=True)
    with pytest.raises(LookupError), ch.lease() as value:
        assert value is thing
        raise LookupError
    assert ch.recv() is thing


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_lease_timeout_has_taken_nothing(timeout: float) -> None:
    """Timeout is raised on entry; the block does not run, nobody waits."""
    ch: Channel[int] = Channel(1)
    with pytest.raises(csp.Timeout) as caught, ch.lease(timeout=timeout):
        pytest.fail("entered")
    assert caught.value.channel is ch
    assert ch.statistics().waiting_receivers == 0


def test_lease_that_timed_out_may_be_entered_again() -> None:
    """A lease that has had no value yet is still good."""
    ch: Channel[int] = Channel(1)
    lease = ch.lease(0)
    with pytest.raises(csp.Timeout):
        lease.__enter__()
    ch.send(1)
    with lease as value:
        assert value == 1


def test_lease_waits_for_a_value() -> None:
    """As recv does."""
    ch: Channel[int] = Channel()

    def take() -> int:
        with ch.lease() as value:
            return value

    party = Party(take)
    wait_parked(ch, receivers=1)
    ch.send(3)
    assert party.result() == 3


def test_lease_is_for_one_block() -> None:
    """A second entry, inside or after the block, is a RuntimeError and takes nothing."""
    ch = filled(1, 2)
    lease = ch.lease()
    with lease, pytest.raises(RuntimeError):
        lease.__enter__()
    with pytest.raises(RuntimeError):
        lease.__enter__()
    assert ch.recv_many(5) == [2]


def test_leaving_by_return_takes_the_value() -> None:
    """return, break and continue end a block without an exception."""
    ch = filled(1, 2, 3)

    def take() -> Any:
        with ch.lease() as value:
            return value

    assert take() == 1
    for _ in range(2):
        with ch.lease():
            continue
    assert len(ch) == 0


def test_abandoned_lease_gives_the_value_back() -> None:
    """A lease that is dropped while open, say with its generator, gives back."""
    ch = filled("a", "b")

    def values() -> Any:
        while True:
            with ch.lease() as value:
                yield value

    working = values()
    assert next(working) == "a"
    working.close()
    assert len(ch) == 2
    lease = ch.lease()
    assert lease.__enter__() == "a"
    del lease
    gc.collect()
    assert ch.recv_many(5) == ["a", "b"]


def test_several_leases_at_once() -> None:
    """Each has its own value; those that fail come back at the head."""
    ch = filled(1, 2, 3, 4)
    with ch.lease() as one:
        with pytest.raises(LookupError), ch.lease() as two, ch.lease() as three:
            assert (one, two, three) == (1, 2, 3)
            raise LookupError
    assert ch.recv_many(5) == [2, 3, 4]


def test_lease_of_a_closed_channel_drains_and_ends() -> None:
    """As recv: what is buffered, given back included, and then EndOfChannel."""
    ch = filled("a")
    ch.close()
    assert fail_on(ch) == ("a", 1)
    with ch.lease() as value:
        assert value == "a"
    with pytest.raises(csp.EndOfChannel), ch.lease():
        pytest.fail("entered")


def test_lease_given_back_after_close_can_still_be_drained() -> None:
    """Closing while a value is out on a lease does not lose it."""
    ch = filled("a")
    with pytest.raises(LookupError), ch.lease():
        ch.close()
        raise LookupError
    assert list(ch) == ["a"]


def test_lease_given_back_with_no_receiver_left_is_discarded() -> None:
    """Nobody can receive it any more: it is counted."""
    sender, receiver = csp.channel(1)
    sender.send("a")
    with pytest.raises(LookupError), receiver.lease():
        receiver.close()
        raise LookupError
    stats = sender.statistics()
    assert (stats.sent, stats.received, stats.discarded, stats.buffered) == (1, 0, 1, 0)
    with pytest.raises(csp.BrokenChannel):
        sender.send("b")


def test_lease_keeps_its_handle_open() -> None:
    """While a lease is out its receiver counts, though the handle has no other reference."""
    sender, receiver = csp.channel(1)
    sender.send("a")
    with receiver.lease() as value:
        del receiver
        gc.collect()
        assert value == "a"
        assert sender.statistics().receivers == 1


def test_lease_of_an_undecodable_value() -> None:
    """DecodeError on entry; the value is gone, as with recv, and the channel goes on."""
    ch = filled(Unbuildable(), 2)
    with pytest.raises(csp.DecodeError), ch.lease():
        pytest.fail("entered")
    with ch.lease() as value:
        assert value == 2


class Unbuildable:
    def __reduce__(self) -> Any:
        return fail, ()


def fail() -> None:
    raise LookupError


def test_a_handle_inside_a_leased_value_comes_again() -> None:
    """A value with a handle in it, given back, delivers a handle again."""
    inner: Channel[int] = Channel(2)
    ch = filled({"to": inner.sender})
    with pytest.raises(LookupError), ch.lease() as value:
        value["to"].send(1)
        raise LookupError
    del value
    ch.recv()["to"].send(2)
    assert inner.recv_many(3) == [1, 2]
    assert inner.statistics().senders == 1


def test_no_value_is_lost_among_failing_workers() -> None:
    """Workers that fail now and then: each value is handled to its end exactly once."""
    ch: Channel[int] = Channel(4)
    done: list[int] = []

    def work(number: int) -> None:
        failures = 0
        while True:
            lease = ch.lease()
            try:
                with lease as value:
                    if lease.deliveries == 1 and value % 3 == number:
                        failures += 1
                        raise LookupError
                    done.append(value)
            except LookupError:
                continue
            except csp.EndOfChannel:
                return

    workers = [Party(work, n) for n in range(3)]
    for n in range(300):
        ch.send(n)
    csp.testing.wait_until(lambda: len(done) == 300)
    ch.close()
    for worker in workers:
        worker.result()
    assert sorted(done) == list(range(300))
