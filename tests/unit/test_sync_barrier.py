"""csp.sync.Barrier: what threading.Barrier promises, in one interpreter and between several."""

import threading
from types import ModuleType
from typing import Any

import pytest

import csp
from csp import sync
from csp.testing import wait_until

both = pytest.mark.parametrize("lib", [threading, sync], ids=["threading", "csp.sync"])


def outcomes(count: int, body: Any) -> tuple[list[Any], list[threading.Thread]]:
    """What `body` returned or raised in so many threads."""
    out: list[Any] = []

    def run() -> None:
        try:
            out.append(body())
        except Exception as error:
            out.append(type(error).__name__)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    return out, threads


def joined(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


@both
def test_all_go_on_together(lib: ModuleType) -> None:
    """Each gets a number of its own, cycle after cycle, and the action runs once a cycle, before anybody goes on."""
    calls: list[int] = []
    barrier = lib.Barrier(3, action=lambda: calls.append(1))
    assert (barrier.parties, barrier.n_waiting, barrier.broken) == (3, 0, False)
    for cycle in range(1, 20):
        seen: list[int] = []

        def body(seen: list[int] = seen) -> int:
            number = int(barrier.wait())
            seen.append(len(calls))
            return number

        out, threads = outcomes(3, body)
        joined(threads)
        assert sorted(out) == [0, 1, 2] and seen == [cycle] * 3


@both
def test_cycles_do_not_mix(lib: ModuleType) -> None:
    """Threads that come back at once wait for the next cycle."""
    barrier, rounds = lib.Barrier(4), [0] * 4

    def body(n: int) -> None:
        for _ in range(200):
            rounds[n] += 1
            barrier.wait()
            assert max(rounds) - min(rounds) <= 1

    numbers = iter(range(4))
    out, threads = outcomes(4, lambda: body(next(numbers)))
    joined(threads)
    assert out == [None] * 4 and rounds == [200] * 4


@both
def test_a_timeout_breaks_it(lib: ModuleType) -> None:
    """For those who wait, for those who come later, until it is reset."""
    barrier = lib.Barrier(3, timeout=20)
    out, threads = outcomes(1, barrier.wait)
    wait_until(lambda: barrier.n_waiting == 1)
    with pytest.raises(lib.BrokenBarrierError):
        barrier.wait(0.01)
    joined(threads)
    assert out == ["BrokenBarrierError"] and barrier.broken and barrier.n_waiting == 0
    with pytest.raises(lib.BrokenBarrierError):
        barrier.wait()
    barrier.reset()
    assert not barrier.broken
    out, threads = outcomes(3, barrier.wait)
    joined(threads)
    assert sorted(out) == [0, 1, 2]


@both
@pytest.mark.parametrize("how", ["abort", "reset"])
def test_abort_and_reset_wake_those_who_wait(lib: ModuleType, how: str) -> None:
    """With BrokenBarrierError; only an abort leaves it broken."""
    barrier = lib.Barrier(3)
    out, threads = outcomes(2, barrier.wait)
    wait_until(lambda: barrier.n_waiting == 2)
    getattr(barrier, how)()
    joined(threads)
    assert out == ["BrokenBarrierError"] * 2 and barrier.broken is (how == "abort")


@both
def test_an_action_that_raises_breaks_it(lib: ModuleType) -> None:
    """The last to come gets its exception, the others BrokenBarrierError."""

    def action() -> None:
        raise LookupError

    barrier = lib.Barrier(2, action)
    out, threads = outcomes(2, barrier.wait)
    joined(threads)
    assert sorted(out) == ["BrokenBarrierError", "LookupError"] and barrier.broken


@both
def test_bad_arguments(lib: ModuleType) -> None:
    """Nobody can wait for nobody."""
    with pytest.raises(ValueError):
        lib.Barrier(0)


@csp.actor
def meet(barrier: sync.Barrier, times: int, told: Any) -> None:
    for _ in range(times):
        told.send(barrier.wait())


@pytest.mark.parametrize("isolation", ["interpreter", "thread"])
def test_actors_meet(isolation: str) -> None:
    """A barrier that was sent is the same barrier."""
    barrier, told = sync.Barrier(3), csp.Channel(64)
    refs = [csp.spawn(meet, barrier, 10, told, isolation=isolation) for _ in range(2)]
    for _ in range(10):
        told.send(barrier.wait(20))
    for ref in refs:
        assert ref.join(20).reason == "normal"
    numbers = told.recv_many(64)
    assert sorted(numbers) == sorted([0, 1, 2] * 10)
    echo = csp.Channel(1)
    echo.send(barrier)
    assert echo.recv() == barrier and echo.recv_nowait(None) is None


@pytest.mark.parametrize("isolation", ["interpreter", "thread"])
def test_a_party_that_is_killed_is_not_there_any_more(isolation: str) -> None:
    """Another can take its place."""
    barrier, told = sync.Barrier(2), csp.Channel(4)
    ref = csp.spawn(meet, barrier, 1, told, isolation=isolation)
    wait_until(lambda: barrier.n_waiting == 1)
    ref.kill()
    wait_until(lambda: barrier.n_waiting == 0)
    assert not barrier.broken
    other = csp.spawn(meet, barrier, 1, told, isolation=isolation)
    assert sorted([barrier.wait(20), told.recv(20)]) == [0, 1]
    other.join(20)
