"""Pitfalls that other projects fell into, one test each, with the source: issues of channel and select libraries and of CPython.

What needs event loops (async receivers, loop-side cancellation) is not here; what is about the life of interpreters is in test_pep734.
"""

import gc
import math
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import csp
from csp import Channel, interpreters, select
from csp.testing import census, wait_parked, wait_until
from tests import placements as do
from tests.placements import Party

ROOT = Path(__file__).parents[2]


def run_script(script: str) -> None:
    """In a process of its own; it must end well and quietly."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def settled() -> dict[str, int]:
    gc.collect()
    return census()


# --- channels and select ---


def test_losing_select_cases_leave_their_queues() -> None:
    """Go issue 2075 (select6.go): a select left waiters behind, removal of a removed last node corrupted the queue, later waiters slept on."""
    a: Channel[int] = Channel()
    b: Channel[int] = Channel()
    first = Party(a.recv)  # stays on a's queue throughout
    wait_parked(a, receivers=1)
    for n in range(50):
        party = Party(select, [a, b])
        wait_parked(b, receivers=1)
        b.send(n)
        assert party.result().value == n
    assert a.statistics().waiting_receivers == 1
    last = Party(a.recv)
    wait_parked(a, receivers=2)
    a.send(1)
    a.send(2)
    assert [first.result(), last.result()] == [1, 2]


def test_two_cases_of_one_select_never_both_fire() -> None:
    """doubleselect.go: with peers ready on all channels at once, one value moves for each select."""
    channels: list[Channel[int]] = [Channel() for _ in range(3)]
    senders = [Party(do.send_all, ch, list(range(100)), True) for ch in channels]
    got = 0
    cases: list[Any] = list(channels)
    while any(cases):
        try:
            got += bool(select(cases))
        except csp.EndOfChannel as end:
            cases[end.index or 0] = None
    for party in senders:
        party.result()
    assert got == 300 == sum(ch.statistics().received for ch in channels)


def test_poll_is_one_instant() -> None:
    """TestNonblockSelectRace2: looking at the channels one after the other misses a value that moved on meanwhile."""
    a: Channel[int] = Channel(1)
    b: Channel[int] = Channel(1)
    token, stop = 1, Channel[int](1)

    def juggle() -> None:  # at every moment a value is in `a` or the channel `b` is full
        while stop.recv_nowait(None) is None:
            b.send(token)
            a.recv()
            a.send(token)
            b.recv()

    a.send(token)
    party = Party(juggle)
    sink: Channel[int] = Channel()
    misses = 0
    for _ in range(2000):
        # Never ready together with neither: reading from `a` or `b`; put back what was taken.
        fired = select([a, b, (sink, 0)], timeout=0)
        if not fired:
            misses += 1
        else:
            fired.channel.send(token)
    stop.send(1)
    party.result()
    assert misses == 0


def test_many_selects_on_one_channel_cost_linear_time() -> None:
    """chanlinear.go: leaving a long wait queue is O(1) for each waiter."""

    def cost(n: int) -> float:
        ch: Channel[int] = Channel()
        hot: Channel[int] = Channel(1)
        start = time.perf_counter()
        for _ in range(10):
            hot.send(1)
            select([*[ch] * n, hot, *[ch] * n])
            select([ch] * n, timeout=1e-9)
        return time.perf_counter() - start

    small, large = min(cost(150) for _ in range(3)), min(cost(1200) for _ in range(3))
    assert large < 8 * 5 * small  # quadratic: 64 times


@pytest.mark.parametrize("flip", [False, True])
def test_select_send_pairs_with_select_receive(flip: bool) -> None:
    """BurntSushi/chan #20, crystal #3862: two selects on a rendezvous channel never met, depending on the order of cases."""
    a: Channel[str] = Channel()
    b: Channel[str] = Channel()
    cases: list[Any] = [(a, "x"), b]
    party = Party(select, cases[::-1] if flip else cases)
    wait_parked(a, senders=1)
    wait_parked(b, receivers=1)
    fired = select([(b, "y"), a][:: -1 if flip else 1], timeout=10)
    other = party.result()
    assert {fired.value, other.value} in ({"x", None}, {"y", None})


def test_a_thread_never_pairs_with_itself() -> None:
    """crossbeam send_recv_same_channel, Go TestSelfSelect."""
    ch: Channel[int] = Channel()
    for priority in (False, True):
        assert not select([(ch, 1), ch], timeout=0, priority=priority)
        assert not select([ch, (ch, 1)], timeout=0.002, priority=priority)
    assert ch.statistics()[:2] == (0, 0)


def test_receiver_that_gives_up_loses_no_item() -> None:
    """anyio #146, #728; culsans 0.9.0; Kotlin #1813: the item was handed to a receive that had just been cancelled."""
    ch: Channel[int] = Channel()
    got: list[int] = []

    def receive() -> None:
        while True:
            try:
                got.append(ch.recv(timeout=0.00002))
            except csp.Timeout:
                continue
            except csp.EndOfChannel:
                return

    party = Party(receive)
    for n in range(1000):
        ch.send(n)
    ch.close()
    party.result()
    assert got == list(range(1000))


def test_sender_that_gives_up_has_not_delivered() -> None:
    """anyio #536, #729: the send reported cancellation though the item had arrived."""
    ch: Channel[int] = Channel()
    party = Party(list, ch)
    delivered = []
    for n in range(1000):
        try:
            ch.send(n, timeout=0.00002)
            delivered.append(n)
        except csp.Timeout:
            pass
    ch.close()
    assert party.result() == delivered


def test_send_does_not_break_after_a_successful_hand_over() -> None:
    """anyio #186: the receiver closes right after it took the item; the send succeeded all the same."""
    for _ in range(200):
        sender, receiver = csp.channel()

        def take(receiver: Any = receiver) -> Any:
            with receiver:
                return receiver.recv()

        party = Party(take)
        sender.send(1)
        assert party.result() == 1


def test_receive_nowait_admits_the_next_sender() -> None:
    """anyio #143: after receive_nowait the parked sender's item was not in the buffer."""
    ch: Channel[int] = Channel(1)
    ch.send(1)
    party = Party(ch.send, 2)
    wait_parked(ch, senders=1)
    assert [ch.recv_nowait(), ch.recv_nowait()] == [1, 2]
    party.result()


def test_wake_up_is_passed_on_by_who_gives_up() -> None:
    """flume, iroh #2533: a woken waiter that gave up swallowed the wake-up of the next."""
    for _ in range(30):
        ch: Channel[int] = Channel()
        hurried = [Party(ch.recv, 0.001) for _ in range(3)]
        patient = Party(ch.recv)
        sent = 0
        while patient.running:
            try:
                ch.send(sent, timeout=0.0005)
                sent += 1
            except csp.Timeout:
                pass
        got = [patient.result()]
        for party in hurried:
            try:
                got.append(party.result())
            except csp.Timeout:
                pass
        assert sorted(got) == list(range(sent))


def test_trying_again_adds_no_memory() -> None:
    """flume #182, core.async cleanup, crossbeam 0.5.1: each retry left an entry in a queue."""
    ch: Channel[int] = Channel(1)
    selector = csp.Selector([ch, csp.never()])
    before = settled()
    for _ in range(500):
        assert not selector.select(timeout=1e-9)
        assert not select([ch, csp.after(100)], timeout=1e-9)
    assert census() == before
    assert ch.statistics().waiting_receivers == 0


def test_graceful_close_wakes_getters() -> None:
    """gh-117531: queue.shutdown() without `immediate` left blocked getters asleep."""
    ch: Channel[int] = Channel(1)
    parties = [Party(list, ch) for _ in range(3)]
    wait_parked(ch, receivers=3)
    ch.close()
    assert [party.result() for party in parties] == [[], [], []]


@pytest.mark.parametrize("timeout", [1e-300, 0.9, 1e18, 1e300, math.inf, 2**200])
def test_timeouts_are_neither_cut_nor_overflow(timeout: float) -> None:
    """crossbeam 0.5.3, 0.5.7, flume 0.12, gh-153005: huge ones overflowed, fractions were cut to 0."""
    ch: Channel[int] = Channel()
    if timeout < 1e-9:
        with pytest.raises(csp.Timeout):
            ch.recv(timeout)
        return
    party = Party(ch.recv, timeout)
    wait_parked(ch, receivers=1)
    ch.send(1)
    assert party.result() == 1


@pytest.mark.parametrize("timeout", [math.nan, -1e-300, -math.inf])
def test_nan_and_small_negative_timeouts_are_refused(timeout: float) -> None:
    """The same issues: NaN compares false with everything, and a small negative number is not 0."""
    for wait in (lambda: Channel().recv(timeout), lambda: select([Channel()], timeout=timeout), lambda: csp.sleep(timeout)):
        with pytest.raises(ValueError, match="negative or NaN"):
            wait()


@pytest.mark.skipif(not hasattr(os, "kill") or sys.platform == "win32", reason="sends POSIX signals")
def test_interrupted_wait_recomputes_the_remaining_time() -> None:
    """gh-74953: each EINTR began the whole timeout again, so a stream of signals made it endless."""
    run_script(
        "import csp, signal, time\n"
        "signal.signal(signal.SIGALRM, lambda *_: None)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)\n"
        "start = time.monotonic()\n"
        "assert not csp.select([csp.never()], timeout=0.2)\n"
        "took = time.monotonic() - start\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"  # Python's own end gives signals back to the system
        "assert 0.2 <= took < 5\n"
    )


def test_a_timer_for_each_turn_of_a_loop_leaks_nothing() -> None:
    """golang/go #15781, #29316, vault #14814: `case <-time.After(hour)` in a hot loop kept each timer for an hour."""
    ch: Channel[int] = Channel(1)
    before = settled()
    for n in range(1000):
        ch.send(n)
        select([ch, csp.after(3600), csp.tick(3600)], priority=True)
    assert census() == before


def test_no_stale_tick() -> None:
    """golang/go #11513: a tick that had fired before Stop or Reset was received after it."""
    ticker = csp.tick(0.001)
    csp.sleep(0.004)
    ticker.close()
    fresh = csp.tick(60)
    assert not select([fresh], timeout=0)
    with pytest.raises(csp.ClosedHandle):
        select([ticker], timeout=0)


def test_priority_lets_a_stop_come_first() -> None:
    """golang/go #18846, #52637, #80090, buf #913: random choice took work after the stop; with priority, never."""
    work: Channel[int] = Channel(math.inf)
    stop: Channel[int] = Channel(1)
    for _ in range(200):
        work.send_many([1, 2, 3])
        stop.send(0)
        assert select([stop, work], priority=True).channel is stop


def test_priority_sees_a_stop_sent_before_the_work() -> None:
    """The same, as a race: work that was sent after the stop is never taken before it."""
    for _ in range(300):
        work: Channel[int] = Channel(1)
        stop: Channel[int] = Channel(1)

        def produce(stop: Any = stop, work: Any = work) -> None:
            stop.send(0)
            work.send(1)

        party = Party(produce)
        assert select([stop, work], priority=True).channel is stop
        party.result()


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="reads the processor time of a thread")
def test_waiting_burns_no_processor_time() -> None:
    """crossbeam #821, rust #106668, kanal #53: waiters spun. A wait of 0.3 s may cost a few milliseconds."""

    def cost(wait: Any) -> float:
        before = time.thread_time()
        wait()
        return time.thread_time() - before

    ch: Channel[int] = Channel()
    full: Channel[int] = Channel(1)
    full.send(1)
    waits = [
        lambda: select([ch, csp.after(9)], timeout=0.3),
        lambda: csp.sleep(0.3),
        lambda: do.outcome(full.send, 1, 0.3),
        lambda: do.outcome(ch.recv, 0.3),
    ]
    parties = [Party(cost, wait) for wait in waits]
    assert max(party.result() for party in parties) < 0.1


def test_exception_while_encoding_leaves_the_channel_intact() -> None:
    """crossbeam recv_in_send, panic_sender: a panic while a send value is evaluated inside a select."""

    class Explodes:
        def __reduce__(self) -> Any:
            raise KeyboardInterrupt

    ch: Channel[Any] = Channel(1)
    for send in (ch.send, lambda v: ch.send_many([0, v]), lambda v: select([(ch, 1), (Channel(), v)])):
        with pytest.raises((KeyboardInterrupt, csp.NotShareable)):
            send(Explodes())
    assert (len(ch), ch.statistics().sent, ch.statistics().waiting_senders) == (0, 0, 0)
    ch.send(1)
    assert ch.recv() == 1


def test_value_that_uses_the_channel_while_it_is_encoded() -> None:
    """crossbeam recv_in_send: no lock is held while Python code of a value runs, also if it closes the very channel."""
    ch: Channel[Any] = Channel(2)

    class Closes:
        def __reduce__(self) -> Any:
            ch.send("inner")
            ch.close()
            return int, ()

    with pytest.raises(csp.ClosedHandle):
        ch.send(Closes())
    assert list(ch) == ["inner"]


def test_value_that_uses_the_channel_while_it_is_decoded_or_freed() -> None:
    """The same at the other end, and in destructors of what a local channel loses."""
    ch: Channel[Any] = Channel(3)
    ch.send_many([Reenters(ch), "second"])
    assert ch.recv() == "second"
    lengths: list[int] = []

    class Looks:
        def __init__(self, sender: Any) -> None:
            self.sender = sender

        def __del__(self) -> None:
            lengths.append(len(self.sender))

    sender, receiver = csp.channel(1, local=True, overflow="drop_oldest")
    sender.send(Looks(sender))
    sender.send(Looks(sender))
    assert lengths == [1]
    receiver.close()
    assert lengths == [1, 0]


class Reenters:
    def __init__(self, ch: Any) -> None:
        self.ch = ch

    def __reduce__(self) -> Any:
        return take_next, (self.ch,)


def take_next(ch: Any) -> Any:
    return ch.recv(timeout=5)


def test_one_clone_closed_disturbs_no_other() -> None:
    """trio test_close_multiple_send_handles and its mpmc example."""
    ch: Channel[int] = Channel(math.inf)
    handles = [ch.sender for _ in range(5)]
    for n, handle in enumerate(handles):
        handle.send(n)
        handle.close()
    assert ch.recv_many(9) == [0, 1, 2, 3, 4]
    assert not ch.closed
    ch.send(5)


def test_none_is_a_value_and_not_the_end() -> None:
    """core.async, aiochan, aiointerpreters use None as their end marker."""
    ch: Channel[Any] = Channel(3)
    ch.send_many([None, 1, None])
    ch.close()
    assert list(ch) == [None, 1, None]


def test_no_value_goes_to_two_readers() -> None:
    """extrainterpreters #11: a queue item came out in two interpreters."""
    ch: Channel[int] = Channel(3)
    total = 400
    with interpreters.create() as child:
        elsewhere = Party(child.run, do.receive_all, ch.receiver)
        here = [Party(list, ch.receiver) for _ in range(2)]
        ch.send_many(range(total))
        ch.close()
        got = elsewhere.result() + [value for party in here for value in party.result()]
    assert Counter(got) == Counter(range(total))


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_ctrl_c_at_a_wake_up_leaves_locks_alone() -> None:
    """gh-118433, culsans 0.11: KeyboardInterrupt between the wake-up and the lock released a lock that was not held."""
    run_script(
        "import csp, os, signal, threading\n"
        "ch = csp.Channel()\n"
        "def produce():\n"
        "    for n in range(200):\n"
        "        ch.send(n)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    ch.close()\n"
        "got = []\n"
        "def receive():\n"
        "    got.extend(ch)\n"
        "def handler(number, frame):\n"
        "    if frame.f_code is receive.__code__:\n"
        "        raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGINT, handler)\n"
        "thread = threading.Thread(target=produce)\n"
        "thread.start()\n"
        "while True:\n"
        "    try:\n"
        "        receive()\n"
        "        break\n"
        "    except KeyboardInterrupt:\n"
        "        pass\n"
        "thread.join()\n"
        "assert got == list(range(200)), got\n"
    )


def test_unreceived_messages_are_freed_with_their_channel() -> None:
    """crossbeam 0.5.8, 0.5.15: messages leaked when a channel was destroyed, or a node was freed by two parties."""
    before = settled()
    for capacity in (5, math.inf):
        ch: Channel[Any] = Channel(capacity)
        ch.send_many([b"x" * 10_000, memoryview(b"y" * 100_000), ch.sender, {"k": ["v" * 500]}, 2**500])
        ch.recv()
        inner = ch.recv()
        del ch, inner
        sender, receiver = csp.channel(capacity)
        sender.send_many([b"x" * 10_000] * 3)
        receiver.close()
        del sender, receiver
    gc.collect()
    assert census() == before


# --- memory across interpreters ---


def test_view_outlives_the_interpreter_that_sent_it() -> None:
    """gh-132776: 3.13.0 died at the drop of a memoryview whose owner interpreter had been closed first."""
    ch: Channel[Any] = Channel(2)
    interp = interpreters.create()
    interp.run("out.send(memoryview(bytearray(b'x' * 1_000_000)))", out=ch.sender)
    view = ch.recv()
    interp.close()
    assert (len(view), view[0], view[-1]) == (1_000_000, 120, 120)
    del view
    gc.collect()


def test_memory_of_a_view_is_returned() -> None:
    """gh-153713 and the measured +20 MiB for each 20 MiB buffer on 3.14: what crossed must be freed with its last view."""
    before = settled()
    with interpreters.create() as interp:
        ch: Channel[Any] = Channel(2)
        for _ in range(3):
            interp.run("out.send(memoryview(bytearray(1_000_000)))", out=ch.sender)
            ch.recv()
        del ch
    del interp  # it holds the record of how it ended
    gc.collect()
    wait_until(lambda: all(census()[what] <= before[what] for what in ("blobs", "blocks", "channels")))


def test_ints_beyond_64_bits_cross() -> None:
    """3.13: OverflowError `try sending as bytes`, although is_shareable said True."""
    ch: Channel[int] = Channel(4)
    numbers = [2**64, -(2**64), 10**1000, -(2**63) - 1]
    ch.send_many(numbers)
    assert ch.recv_many(4) == numbers


def test_channel_can_be_handed_to_an_interpreter_that_never_imported_csp() -> None:
    """3.13: prepare_main(q=queue) failed with `_interpqueues module not imported yet`."""
    ch: Channel[str] = Channel(1)
    with interpreters.create() as interp:
        interp.run("ch.send('first thing ever')", ch=ch)
    assert ch.recv() == "first thing ever"


def test_failing_unpickle_is_an_error_and_no_abort() -> None:
    """gh-151892: an object whose unpickling raises in the caller aborted debug builds."""
    ch: Channel[Any] = Channel(2)
    for _ in range(3):
        ch.send(Unbuildable())
        with pytest.raises(csp.DecodeError) as caught:
            ch.recv()
        assert isinstance(caught.value.__cause__, LookupError)


class Unbuildable:
    def __reduce__(self) -> Any:
        return fail, ()


def fail() -> None:
    raise LookupError


@pytest.mark.parametrize("value", [None, True, False, Ellipsis, NotImplemented], ids=repr)
def test_singletons_keep_their_identity(value: Any) -> None:
    """gh-142572: sentinels did not survive the crossing; the built-in ones do."""
    ch: Channel[Any] = Channel(2)
    ch.send([value, {"k": value}])
    got = ch.recv()
    assert got[0] is value
    assert got[1]["k"] is value


def test_structured_views_keep_their_descriptor() -> None:
    """RustPython #8632: sliced and cast memoryviews lost format, shape or strides."""
    ch: Channel[Any] = Channel(1)
    base = memoryview(bytes(range(48)))
    for view in (base[5:20], base[::3], base[::-1], base.cast("I"), base.cast("d"), base.cast("B", (2, 3, 8)), base.cast("H")[2:9:2]):
        ch.send(view)
        got = ch.recv()
        assert (got.tolist(), got.format, got.itemsize, got.shape) == (view.tolist(), view.format, view.itemsize, view.shape)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_inherited_handle_raises_in_a_forked_child() -> None:
    """5.3 rule 7: channels are of one process; after a fork every handle must raise, not hang."""
    run_script(
        "import csp, os, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "ch = csp.Channel(3)\n"
        "ch.send(1)\n"
        "sender, receiver, timer = ch.sender, ch.receiver, csp.after(0)\n"
        "selector = csp.Selector([receiver])\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    failed = 0\n"
        "    for use in (lambda: ch.send(1), ch.recv, lambda: ch.recv_nowait(0), lambda: sender.send_nowait(1), receiver.recv,\n"
        "                lambda: receiver.recv_many(2), lambda: sender.send_many([1]), lambda: ch.lease().__enter__(), ch.close,\n"
        "                lambda: csp.select([ch]), lambda: csp.select([(sender, 1)], timeout=0), selector.select, timer.recv,\n"
        "                ch.clone, lambda: ch.sender, lambda: len(ch), ch.statistics, lambda: ch.closed, lambda: next(ch),\n"
        "                lambda: csp.Channel(1).send(ch)):\n"
        "        try:\n"
        "            use()\n"
        "            failed += 1\n"
        "        except csp.ForkedError:\n"
        "            pass\n"
        "    repr(ch); hash(ch); ch == ch.id; bool(ch)\n"
        "    own = csp.Channel(1)\n"
        "    own.send(7)\n"
        "    os._exit(failed + (own.recv() != 7))\n"
        "_, status = os.waitpid(pid, 0)\n"
        "assert os.waitstatus_to_exitcode(status) == 0, status\n"
        "assert ch.recv() == 1\n"
    )


def test_daemon_threads_that_wait_do_not_disturb_the_exit() -> None:
    """5.3 rule 3: the process ends with its status, at once and quietly, whoever waits in a daemon thread."""
    run_script(
        "import csp, threading\n"
        "from csp.testing import wait_parked\n"
        "ch, local = csp.Channel(), csp.Channel(local=True)\n"
        "for wait in (ch.recv, lambda: csp.select([ch, csp.after(60)]), lambda: local.send(object()),\n"
        "             lambda: local.send_many([object()] * 3), lambda: csp.sleep(60)):\n"
        "    threading.Thread(target=wait, daemon=True).start()\n"
        "wait_parked(ch, receivers=2)\n"
        "wait_parked(local, senders=2)\n"
    )
