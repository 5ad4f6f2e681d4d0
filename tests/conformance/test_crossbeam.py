"""crossbeam-channel's rules, one test each: its documentation, tests/*.rs and CHANGELOG.  Written anew.

disconnected = the last handle of the other side is gone; try_send = send_nowait; select_biased = priority=True.
"""

import math
import threading
import time
from typing import Any

import pytest

import csp
from csp import Channel, select
from csp.testing import wait_parked, wait_until
from tests.placements import Party

# --- disconnection ---


def test_dropping_the_last_sender_disconnects() -> None:
    """Remaining messages are received first, then the disconnection."""
    sender, receiver = csp.channel(2)
    sender.send(1)
    sender.send(2)
    del sender
    assert [receiver.recv(), receiver.recv()] == [1, 2]
    with pytest.raises(csp.EndOfChannel):
        receiver.recv()


def test_dropping_the_last_receiver_disconnects() -> None:
    """After that nothing blocks: a send fails at once, on a full buffer too."""
    sender, receiver = csp.channel(1)
    sender.send(1)
    del receiver
    for send in (sender.send, sender.send_nowait):
        with pytest.raises(csp.BrokenChannel):
            send(2)


@pytest.mark.parametrize("capacity", [0, 1, math.inf])
def test_disconnect_wakes_receiver(capacity: float) -> None:
    """zero.rs, array.rs, list.rs: `disconnect_wakes_receiver`."""
    sender, receiver = csp.channel(capacity)
    party = Party(receiver.recv)
    wait_parked(receiver, receivers=1)
    del sender
    with pytest.raises(csp.EndOfChannel):
        party.result()


@pytest.mark.parametrize("capacity", [0, 1])
def test_disconnect_wakes_sender(capacity: int) -> None:
    """`disconnect_wakes_sender`."""
    sender, receiver = csp.channel(capacity)
    sender.send_many(range(capacity))
    party = Party(sender.send, 9)
    wait_parked(sender, senders=1)
    del receiver
    with pytest.raises(csp.BrokenChannel):
        party.result()


def test_unsent_value_stays_with_the_caller() -> None:
    """SendError carries the message back; here the value was only copied, so the caller has it still."""
    sender, receiver = csp.channel()
    receiver.close()
    value = [1, 2]
    with pytest.raises(csp.BrokenChannel):
        sender.send(value)
    assert value == [1, 2]


def test_weak_counting_of_clones() -> None:
    """Any number of clones on both sides; only the last one disconnects."""
    sender, receiver = csp.channel(math.inf)
    clones = [sender.clone() for _ in range(10)]
    sender.close()
    while clones:
        clones.pop().send(len(clones))
    assert receiver.recv_many(20) == list(range(9, -1, -1))
    with pytest.raises(csp.EndOfChannel):
        receiver.recv()


# --- readiness is: would not block, an error included ---


@pytest.mark.parametrize("side", ["recv", "send"])
def test_default_when_disconnected(side: str) -> None:
    """select.rs `default_when_disconnected`: a disconnected case is ready, so default does not run."""
    sender, receiver = csp.channel()
    case: Any
    if side == "recv":
        del sender
        case = receiver
    else:
        del receiver
        case = (sender, 1)
    for timeout in (0, 0.5):
        with pytest.raises((csp.EndOfChannel, csp.BrokenChannel)):
            select([csp.never(), case], timeout=timeout)


def test_operation_that_becomes_disconnected_wakes_a_select() -> None:
    """select.rs `cloning*`, `disconnected`: a select that waits sees the disconnection."""
    sender, receiver = csp.channel()
    party = Party(select, [csp.never(), receiver])
    wait_parked(receiver, receivers=1)
    del sender
    with pytest.raises(csp.EndOfChannel):
        party.result()


# --- order of choice ---


def test_biased_select_takes_the_first_always() -> None:
    """select_biased!: with all ready, exactly [COUNT, 0, 0], and once the first has ended, [COUNT, COUNT, 0]."""
    count = 200
    channels: list[Channel[int]] = [Channel(count) for _ in range(3)]
    for ch in channels:
        ch.send_many(range(count))
    hits = [0, 0, 0]
    for _ in range(count):
        hits[select(channels, priority=True).index] += 1
    assert hits == [count, 0, 0]
    for _ in range(count):
        hits[select(channels, priority=True).index] += 1
    assert hits == [count, count, 0]


def test_fair_select_takes_all() -> None:
    """select!: none of several ready cases is passed over."""
    channels: list[Channel[int]] = [Channel(1000) for _ in range(3)]
    for ch in channels:
        ch.send_many(range(1000))
    hits = [0, 0, 0]
    for _ in range(1000):
        hits[select(channels).index] += 1
    assert min(hits) >= 1000 / 3 / 2


def test_fairness_of_one_case_against_its_own_duplicates() -> None:
    """select.rs `fairness2`: readiness may come from both sides and from a duplicate."""
    ch: Channel[int] = Channel(1)
    hits = [0, 0]
    for _ in range(400):
        hits[select([ch, (ch, 1)]).index] += 1
    assert hits == [200, 200]  # a buffer of one alternates


# --- select without operations ---


def test_select_without_operations() -> None:
    """`select()` panics on none (here ValueError), `try_select` finds nothing, `select_timeout` sleeps its timeout."""
    with pytest.raises(ValueError, match="case"):
        select([])
    assert not select([], timeout=0)
    start = time.monotonic()
    assert not select([], timeout=0.02)
    assert time.monotonic() - start >= 0.02


# --- zero capacity ---


def test_zero_capacity_is_empty_and_full() -> None:
    """zero.rs `capacity`, `len_empty_full`: len 0 always; nothing is to be had, nothing goes in."""
    ch: Channel[int] = Channel()
    assert (len(ch), ch.capacity) == (0, 0)
    with pytest.raises(csp.WouldBlock):
        ch.send_nowait(1)
    with pytest.raises(csp.WouldBlock):
        ch.recv_nowait()


def test_zero_capacity_try_send_needs_a_parked_receiver() -> None:
    """zero.rs `try_send`: it succeeds once a receiver waits."""
    ch: Channel[int] = Channel()
    party = Party(ch.recv)
    wait_parked(ch, receivers=1)
    ch.send_nowait(7)
    assert party.result() == 7


def test_zero_capacity_pairing_of_selects() -> None:
    """zero.rs, select.rs `stress_mixed`: any mix of plain and select operations pairs."""
    ch: Channel[int] = Channel()
    sends = [ch.send, lambda n: select([(ch, n), csp.never()])]
    receives = [ch.recv, lambda: select([csp.never(), ch]).value]
    for send in sends:
        for receive in receives:
            for first in ("send", "receive"):
                if first == "send":
                    party = Party(send, 1)
                    wait_parked(ch, senders=1)
                    assert receive() == 1
                    party.result()
                else:
                    party = Party(receive)
                    wait_parked(ch, receivers=1)
                    send(2)
                    assert party.result() == 2


# --- timers ---


def test_after_delivers_once_to_one_of_two() -> None:
    """after.rs `recv_race`: two receivers, exactly one message."""
    for _ in range(20):
        timer = csp.after(0.002)
        got = [Party(lambda t: t.recv_many(1), t) for t in (timer, timer.clone())]
        outcomes = []
        for party in got:
            try:
                outcomes += party.result()
            except csp.EndOfChannel:
                pass
        assert len(outcomes) == 1


def test_after_delivers_the_instant_of_its_deadline() -> None:
    """after.rs `recv_delivers`: the message is the deadline, however late it is received."""
    before = time.monotonic()
    timer = csp.after(0.01)
    made = time.monotonic()
    csp.sleep(0.03)
    assert before + 0.01 <= timer.recv() <= made + 0.0100001


def test_tick_skips_and_delivers_scheduled_instants() -> None:
    """tick.rs `intervals`: late ticks are skipped; here the following ones stay on the grid."""
    ticker = csp.tick(0.01)
    first = ticker.recv()
    csp.sleep(0.035)
    late, following = ticker.recv(), ticker.recv()
    assert round((late - first) / 0.01) >= 3
    assert (following - late) / 0.01 == pytest.approx(round((following - late) / 0.01), abs=1e-3)


def test_never_is_empty_and_never_ready() -> None:
    """never.rs."""
    assert not select([csp.never()], timeout=0.003)
    assert csp.never().recv_nowait(5) == 5


def test_timers_hold_no_thread() -> None:
    """after.rs, tick.rs: a receive computes until when to sleep; there is no thread behind a timer."""
    before = threading.active_count(), native_threads()
    timers = [csp.after(60) for _ in range(50)] + [csp.tick(60) for _ in range(50)]
    assert not select(timers, timeout=0.01)
    after = threading.active_count(), native_threads()
    assert after[0] <= before[0] and after[1] <= before[1]  # a thread of an earlier test may just have ended


def native_threads() -> int:
    try:
        with open("/proc/self/status") as status:
            return int(next(line for line in status if line.startswith("Threads:")).split()[1])
    except OSError:
        return 0


# --- timeouts ---


@pytest.mark.parametrize("timeout", [1e19, 2**63, 1e300, math.inf])
def test_huge_timeout_means_for_ever(timeout: float) -> None:
    """CHANGELOG 0.5.3 and 0.5.7: a duration that overflows the clock is no deadline."""
    ch: Channel[int] = Channel()
    party = Party(ch.recv, timeout)
    wait_parked(ch, receivers=1)
    ch.send(1)
    assert party.result() == 1


# --- linearizability ---


def test_linearizable() -> None:
    """array.rs `linearizable`: 4 threads that each send and then try_recv on a bounded(4) channel always find a value."""
    ch: Channel[int] = Channel(4)

    def work() -> None:
        for _ in range(500):
            ch.send(0)
            ch.recv_nowait()

    for party in [Party(work) for _ in range(4)]:
        party.result()


@pytest.mark.parametrize("capacity", [0, 1, 4, math.inf])
def test_mpmc_conserves(capacity: float) -> None:
    """`mpmc`: 4 senders, 4 receivers, each number from each sender arrives."""
    count, threads = 150, 4
    ch: Channel[int] = Channel(capacity)
    seen = [0] * count
    lock = threading.Lock()

    def receive() -> None:
        for n in ch:
            with lock:
                seen[n] += 1

    def send() -> None:
        for n in range(count):
            ch.send(n)

    receivers = [Party(receive) for _ in range(threads)]
    for party in [Party(send) for _ in range(threads)]:
        party.result()
    ch.close()
    for party in receivers:
        party.result()
    assert seen == [threads] * count


# --- exceptions and destructors in the middle ---


def test_receive_while_evaluating_a_send_value() -> None:
    """`recv_in_send`: an expression that panics or uses the channel while a select is set up leaves the channel intact."""
    ch: Channel[Any] = Channel(1)
    ch.send(1)

    class Uses:
        def __reduce__(self) -> Any:
            return int, (ch.recv() + 1,)

    assert select([(ch, Uses())]).index == 0
    assert ch.recv() == 2

    class Fails:
        def __reduce__(self) -> Any:
            raise LookupError

    with pytest.raises(csp.NotShareable):
        select([ch, (ch, Fails())])
    ch.send(3)
    assert ch.recv() == 3


def test_use_while_exiting() -> None:
    """`use_while_exiting`: channels work in destructors that run as a thread ends."""
    ch: Channel[str] = Channel(2)
    local = threading.local()

    class Last:
        def __del__(self) -> None:
            ch.send("from a destructor")
            assert not select([csp.never()], timeout=0.001)

    def work() -> None:
        local.last = Last()

    Party(work).result()
    wait_until(lambda: len(ch) == 1)
    assert ch.recv() == "from a destructor"


def test_drops_of_unreceived_messages() -> None:
    """`drops`: every message that was sent and not received is freed with the channel, once."""
    alive = 0

    class Counted:
        def __init__(self) -> None:
            nonlocal alive
            alive += 1

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    ch: Channel[Any] = Channel(100, local=True)
    for _ in range(100):
        ch.send(Counted())
    for _ in range(37):
        ch.recv()
    assert alive == 63
    del ch
    assert alive == 0


def test_oneshot() -> None:
    """`oneshot_*`: hundreds of channels that carry one message between two threads."""
    for capacity in (0, 1):
        for _ in range(100):
            sender, receiver = csp.channel(capacity)
            party = Party(sender.send, 1)
            del sender
            assert receiver.recv() == 1
            party.result()
            with pytest.raises(csp.EndOfChannel):
                del party
                receiver.recv(timeout=10)
