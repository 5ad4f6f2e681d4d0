"""The clock of csp.testing: what goes by it, what does not, and that it is as if it had never stood."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import csp
from csp import _core, sync
from csp.testing import VirtualClock, wait_parked, wait_until

from . import clock_bodies

HOUR = 3600.0


class Background:
    """A call in a thread; its outcome, or a Timeout if it does not end."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._out = csp.Channel[Any](1, local=True)
        threading.Thread(target=self._run, args=(call,), daemon=True).start()

    def _run(self, call: Callable[[], Any]) -> None:
        try:
            self._out.send(("value", call()))
        except BaseException as error:
            self._out.send(("error", type(error)))

    def outcome(self) -> Any:
        return self._out.recv(timeout=10)


def test_a_tick_of_an_hour_takes_no_time(csp_clock: VirtualClock) -> None:
    """A tick fires when the clock gets there, delivers the clock's time, and stays on its grid."""
    ticks, out = csp.tick(HOUR), csp.Channel[float](local=True)
    start = csp_clock.time()
    threading.Thread(target=lambda: [out.send(ticks.recv()) for _ in range(24)], daemon=True).start()
    for n in range(1, 25):
        csp_clock.wait_for(HOUR)
        csp_clock.advance(HOUR)
        assert out.recv(timeout=10) == pytest.approx(start + n * HOUR)


def test_nothing_fires_while_the_clock_stands() -> None:
    """Real time does not count for timers; `advance` says when they fire, to the nanosecond."""
    with VirtualClock() as clock:
        timer = csp.after(0.001)
        time.sleep(0.005)
        assert csp.select([timer], timeout=0).channel is None
        clock.advance(0.0009)
        assert csp.select([timer], timeout=0).channel is None
        clock.advance(0.0001)
        assert timer.recv(timeout=0) == pytest.approx(clock.time())


def ends_of_waits(ch: csp.Channel[Any], lock: sync.Lock) -> dict[str, Callable[[], Any]]:
    full = csp.Channel[int](1)
    full.send(0)
    condition, event, slots = sync.Condition(), sync.Event(), sync.Semaphore(0)

    def wait_for_news() -> bool:
        with condition:
            return condition.wait(timeout=30)

    return {
        "recv": lambda: ch.recv(timeout=30),
        "send": lambda: full.send(1, timeout=30),
        "select": lambda: csp.select([ch, (full, 1)], timeout=30).channel,
        "selector": lambda: csp.Selector([ch]).select(timeout=30).channel,
        "after in select": lambda: type(csp.select([ch, csp.after(30)]).value),
        "recv_many": lambda: ch.recv_many(3, timeout=30),
        "lease": lambda: ch.lease(timeout=30).__enter__(),
        "lock": lambda: lock.acquire(timeout=30),
        "condition": wait_for_news,
        "event": lambda: event.wait(timeout=30),
        "semaphore": lambda: slots.acquire(timeout=30),
        "sleep": lambda: csp.sleep(30),
    }


EXPECTED = {
    "recv": ("error", csp.Timeout), "send": ("error", csp.Timeout), "select": ("value", None), "selector": ("value", None),
    "after in select": ("value", float), "recv_many": ("error", csp.Timeout), "lease": ("error", csp.Timeout),
    "lock": ("value", False), "condition": ("value", False), "event": ("value", False), "semaphore": ("value", False),
    "sleep": ("value", None),
}  # fmt: skip


def test_every_kind_of_wait_goes_by_the_clock(csp_clock: VirtualClock) -> None:
    """Whatever takes a timeout ends when the clock gets there, and no nanosecond before; many threads at once."""
    ch, lock = csp.Channel[Any](), sync.Lock()
    lock.acquire()
    calls = {name: Background(call) for name, call in ends_of_waits(ch, lock).items()}
    assert calls.keys() == EXPECTED.keys()
    csp_clock.wait_for(30, count=len(calls))
    assert csp_clock.waits() == [30.0] * len(calls)
    csp_clock.advance(29.999999999)
    assert csp_clock.waits() == [1e-9] * len(calls)
    csp_clock.advance(1e-9)
    assert {name: call.outcome() for name, call in calls.items()} == EXPECTED


def test_a_wait_that_has_timed_out_takes_nothing_any_more(csp_clock: VirtualClock) -> None:
    """Once `advance` has returned nobody is there to receive, whether the receiver has run since or not."""
    ch = csp.Channel[int]()
    for _ in range(50):
        receiver = Background(lambda: ch.recv(timeout=5))
        csp_clock.wait_for(5)
        csp_clock.advance(5)
        with pytest.raises(csp.WouldBlock):
            ch.send_nowait(1)
        assert receiver.outcome() == ("error", csp.Timeout)


def test_timers_come_before_timeouts_and_each_in_order(csp_clock: VirtualClock) -> None:
    """One advance over several times: a timer that fires within the timeout of its select is what the select returns."""
    order = csp.Channel[str](10, local=True)

    def wait(name: str, timer: float, timeout: float) -> None:
        found = csp.select([csp.after(timer)], timeout=timeout)
        order.send(f"{name} {'timeout' if found.channel is None else 'fired'}")

    threads = [threading.Thread(target=wait, args=args, daemon=True) for args in (("a", 1.0, 2.0), ("b", 3.0, 2.0))]
    for thread in threads:
        thread.start()
    csp_clock.wait_for(2, count=2)
    csp_clock.wait_for(3)
    csp_clock.wait_for(1)
    csp_clock.advance(10)
    assert {order.recv(timeout=10), order.recv(timeout=10)} == {"a fired", "b fired"}
    assert csp.select([csp.after(3.0)], timeout=0).channel is None


def test_actors_in_interpreters_wait_by_the_same_clock(csp_clock: VirtualClock, csp_spawn: Any) -> None:
    """There is one clock in the process: several interpreters' waits end by one advance."""
    out = csp.Channel[Any](10)
    csp_spawn(clock_bodies.patient, out.sender, HOUR)
    csp_spawn(clock_bodies.ticking, out.sender, HOUR)
    csp_clock.wait_for(HOUR, count=2)
    csp_clock.advance(HOUR)
    first, second = sorted((out.recv(timeout=10) for _ in range(2)), key=str)
    assert second == "timed out"
    assert first == ("tick", pytest.approx(csp_clock.time()))


def test_calls_time_out_by_the_clock(csp_clock: VirtualClock, csp_spawn: Any) -> None:
    """`ref.call(timeout=)` of an actor that does not answer."""
    slow = csp_spawn(clock_bodies.Slow)
    call = Background(lambda: slow.call(timeout=60).answer())
    csp_clock.wait_for(60)
    csp_clock.advance(60)
    assert call.outcome() == ("error", csp.Timeout)


def test_a_restart_after_a_back_off_of_half_a_minute(csp_clock: VirtualClock) -> None:
    """A supervisor waits for the clock before it restarts a child, and says meanwhile that it does."""
    spec = csp.ChildSpec(clock_bodies.Counter, id="c", backoff=csp.Backoff(first=30, factor=2, max=600, jitter=0))
    with csp.Supervisor([spec], max_restarts=10) as tree:
        for epoch, delay in enumerate((30, 60, 120), start=2):
            tree["c"].cast.fail()
            csp_clock.wait_for(delay)
            assert csp_clock.waits() == [delay]
            assert tree.children()[0].state == "restarting"
            csp_clock.advance(delay - 0.5)
            assert tree.children()[0].state == "restarting"
            csp_clock.advance(0.5)
            assert tree["c"].call(timeout=10).incr() == 1
            assert tree["c"].epoch == epoch


def test_the_restart_budget_is_a_window_of_the_clock(csp_clock: VirtualClock) -> None:
    """A restart that is older than `within` does not count any more."""
    with pytest.raises(csp.SupervisorError, match="more than 1 restarts within 60 s"):
        with csp.Supervisor([csp.ChildSpec(clock_bodies.Counter, id="c")], max_restarts=1, within=60) as tree:
            for epoch in (2, 3, 4):
                csp_clock.advance(61)
                tree["c"].cast.fail()
                assert tree["c"].call(timeout=10).incr() == 1
                assert tree["c"].epoch == epoch
            tree["c"].cast.fail()
            tree.wait(timeout=10)


def test_a_tree_ends_though_the_clock_stands(csp_clock: VirtualClock) -> None:
    """While a tree ends in order real seconds count as well: a child that hears no stop is killed without an advance."""
    out = csp.Channel[Any](1)
    with csp.Supervisor([csp.ChildSpec(clock_bodies.deaf, args=(out.sender,), id="deaf", shutdown=0.05)]) as tree:
        assert out.recv(timeout=10) == "up"
        tree.stop()


def test_who_stopped_the_clock_is_not_kept_for_ever() -> None:
    """A timeout in the thread that moves the clock, which cannot move it while it waits, ends after so many real seconds."""
    with VirtualClock() as clock:
        before = clock.time()
        with pytest.raises(csp.Timeout):
            csp.Channel[int]().recv(timeout=0.01)
        csp.sleep(0.001)
        wait_until(lambda: True)
        assert clock.time() == before


def test_a_kill_needs_no_advance(csp_clock: VirtualClock, csp_spawn: Any) -> None:
    """An actor that sits in C code is given up after a real second, whoever kills it."""
    out = csp.Channel[Any](1)
    stuck = csp_spawn(clock_bodies.in_c, out.sender, isolation="thread")
    assert out.recv(timeout=10) == "up"
    assert Background(lambda: stuck.kill().reason).outcome() == ("value", "killed")


FORKS = """
import os, time
import csp
from csp.testing import VirtualClock

with VirtualClock() as clock:
    clock.advance(3600)
    pid = os.fork()
    if pid == 0:
        start = time.monotonic()
        csp.sleep(0.001)
        os._exit(0 if start <= csp.after(0).recv() <= time.monotonic() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_the_clock_of_a_forked_child_runs() -> None:
    """Nobody is there to move it."""
    root = str(Path(csp.__file__).parent.parent)
    done = subprocess.run([sys.executable, "-c", FORKS], env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_time_goes_on_where_it_stood() -> None:
    """After the block what was to happen in a while does, in a while; and nobody sees that the clock was moved."""
    ch, out = csp.Channel[Any](), csp.Channel[Any](1, local=True)
    with VirtualClock() as clock:
        waiting = Background(lambda: ch.recv(timeout=HOUR + 0.01))
        threading.Thread(target=lambda: out.send(csp.after(HOUR + 0.01).recv()), daemon=True).start()
        clock.wait_for(HOUR + 0.01, count=2)
        clock.advance(HOUR)
    before = time.monotonic()
    assert waiting.outcome() == ("error", csp.Timeout)
    assert out.recv(timeout=10) < time.monotonic() + 1
    assert before <= csp.after(0).recv() <= time.monotonic()


def test_one_clock_at_a_time_and_only_inside_its_block() -> None:
    """A second clock is refused; so is an advance of a clock that is not in use, and one that is negative or out of range."""
    clock = VirtualClock()
    with pytest.raises(RuntimeError, match="runs"):
        clock.advance(1)
    with clock:
        with pytest.raises(RuntimeError, match="stands already"), VirtualClock():
            pass
        for seconds in (-1, float("nan")):
            with pytest.raises(ValueError):
                clock.advance(seconds)
        for seconds in (float("inf"), 1e11):
            with pytest.raises(ValueError, match="that far"):
                clock.advance(seconds)
        with pytest.raises(TypeError):
            clock.advance("1")  # type: ignore[arg-type]
        clock.advance(0)
    assert "not in use" in repr(clock)
    assert not _core.clock_stands()


def test_time_is_restored_though_the_test_fails() -> None:
    """An exception in the block lets time go on too."""
    with pytest.raises(ZeroDivisionError), VirtualClock():
        raise ZeroDivisionError
    assert not _core.clock_stands()


async def _two_timers(clock: VirtualClock, start: Callable[[Callable[[], Any]], Any], pause: Callable[[], Any]) -> list[Any]:
    got: list[Any] = []
    ch = csp.Channel[int]()

    async def wait() -> None:
        found = await csp.aselect([ch, csp.after(HOUR)])
        got.append(found.index)
        got.append(await csp.after(HOUR).arecv())

    start(wait)
    for _ in range(2):
        while not clock.waits():
            await pause()
        clock.advance(HOUR)
    while len(got) < 2:
        await pause()
    return got


def test_awaited_timers_go_by_the_clock_under_asyncio(csp_clock: VirtualClock) -> None:
    """Timers in `aselect` and `arecv` fire by `advance`; the event loop's own clock is another."""

    async def main() -> list[Any]:
        tasks = []
        return await _two_timers(csp_clock, lambda work: tasks.append(asyncio.create_task(work())), lambda: asyncio.sleep(0))

    assert asyncio.run(main()) == [1, pytest.approx(csp_clock.time())]


@pytest.mark.parametrize("autojump", [False, True])
def test_awaited_timers_go_by_the_clock_under_trio(csp_clock: VirtualClock, autojump: bool) -> None:
    """The same; and trio's MockClock, which jumps over trio's own deadlines, does not run away over those of csp's timers."""

    async def main() -> list[Any]:
        async with trio.open_nursery() as nursery:
            start = trio.current_time()
            got = await _two_timers(csp_clock, nursery.start_soon, trio.lowlevel.checkpoint)
            assert not autojump or trio.current_time() == start
            return got

    clock = trio.testing.MockClock(autojump_threshold=0) if autojump else None
    assert trio.run(main, clock=clock) == [1, pytest.approx(csp_clock.time())]


def _goes_on(loop: str) -> Any:
    """An awaited timer that is set while the clock stands, and comes once it goes on."""

    async def main() -> float:
        with VirtualClock() as clock:
            timer = csp.after(HOUR + 0.01)
            task = asyncio.create_task(timer.arecv()) if loop != "trio" else None
            async with trio.open_nursery() if task is None else _nothing() as nursery:
                if task is None:
                    nursery.start_soon(timer.arecv)
                while not clock.waits():
                    await (asyncio.sleep(0) if task is not None else trio.lowlevel.checkpoint())
                clock.advance(HOUR)
                _core.resume_clock()
            return 0.0 if task is None else await task

    if loop == "uvloop":
        uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed for this Python")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main())
    return asyncio.run(main()) if loop == "asyncio" else trio.run(main)


class _nothing:
    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *exc: object) -> None: ...


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_an_awaited_timer_comes_once_the_clock_goes_on(loop: str) -> None:
    """An event loop that set no alarm while the clock stood sets it then."""
    assert _goes_on(loop) < time.monotonic() + 1


def test_wait_for_and_wait_parked_go_by_real_time(csp_clock: VirtualClock) -> None:
    """What only waits for others does not wait for the clock: it ends with a Timeout of its own."""
    with pytest.raises(csp.Timeout, match="1 waits that are to end in 5 s"):
        csp_clock.wait_for(5, timeout=0.01)
    with pytest.raises(csp.Timeout, match="1 senders"):
        wait_parked(csp.Channel[int](), senders=1, timeout=0.01)
