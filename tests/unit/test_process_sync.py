"""csp.sync with actors in processes of their own: who holds what, from both sides, and when the process ends."""

import threading
from typing import Any

import pytest

import csp
from csp import sync
from tests.unit import process_sync_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks")


def test_rlock_is_a_threads() -> None:
    """Of that process: another thread of it is another owner; it ends with its process."""
    lock = sync.RLock()
    seen = bodies.use_rlock.spawn(lock).result(20)
    assert seen == [True, True, True, True, [False, False, "cannot release un-acquired lock", True], True, True, False, True, True]
    assert lock.acquire(timeout=20) and lock.owner_died
    lock.release()


def test_rlock_that_is_held_here() -> None:
    """The process waits for it, and releases it by dying."""
    lock, out = sync.RLock(), csp.Channel()
    lock.acquire()
    ref = bodies.hold.spawn(lock, out.sender, True)
    csp.testing.wait_until(lambda: lock.waiting == 1)
    lock.release()
    assert out.recv(20) == "held" and not lock.owner_died
    assert lock.acquire(timeout=20) and lock.owner_died
    with lock:  # it is this thread's now
        assert lock.owner_died
    lock.release()
    ref.join(20)


def test_rlock_that_is_held_there() -> None:
    """A thread of the program waits, and is told that it does not own it."""
    lock, out = sync.RLock(), csp.Channel()
    ref = bodies.hold.spawn(lock, out.sender, False)
    assert out.recv(20) == "held"
    assert lock.locked() and not lock.acquire(False) and not lock.acquire(timeout=0.01)
    with pytest.raises(RuntimeError):
        lock.release()
    ref.kill()
    assert lock.acquire(timeout=20)
    lock.release()


@pytest.mark.parametrize("lock", [sync.RLock, sync.Lock])
def test_condition_between_processes(lock: Any) -> None:
    """Two processes and a thread take turns; no notification is lost."""
    condition, number = sync.Condition(lock()), sync.AtomicInt()
    refs = [bodies.take_turns.spawn(condition, number, mine, 30) for mine in (0, 1)]
    assert max(ref.result(20) for ref in refs) == 60
    other = bodies.take_turns.spawn(condition, number, 1, 30)
    for _ in range(30):
        with condition:
            assert condition.wait_for(lambda: number.value % 2 == 0, 20)
            number.add(1)
            condition.notify()
    assert other.result(20) == 120


def test_condition_used_wrongly_and_in_vain() -> None:
    """The errors are threading's; a timeout is False."""
    expected = ["cannot wait on un-acquired lock", "cannot notify on un-acquired lock", "cannot notify on un-acquired lock"]
    assert bodies.use_condition.spawn(sync.Condition()).result(20) == [*expected, "cannot release un-acquired lock", False, False, 0, 0, True]
    assert bodies.use_condition.spawn(sync.Condition(sync.Lock())).result(20) == [*expected, "release unlocked lock", False, False, 0, 0, True]


def test_a_stop_breaks_off_the_wait_with_the_lock_held() -> None:
    """As often as it was."""
    condition, out = sync.Condition(), csp.Channel(2)
    ref = bodies.wait_until_stopped.spawn(condition, out.sender)
    assert out.recv(20) == "waiting"
    csp.testing.wait_until(lambda: condition.waiting == 1)
    stopping = threading.Thread(target=ref.stop)
    stopping.start()
    assert out.recv(20) == "released twice"
    stopping.join()
    assert condition.acquire(timeout=20)
    condition.release()


def test_once() -> None:
    """Once over all processes; if its process dies in it, the next one calls."""
    one, number = sync.Once(), sync.AtomicInt()
    bodies.once.spawn(one, number, "die").join(20)
    assert not one.done and number.value == 1
    assert bodies.once.spawn(one, number, "raise").result(20) == ["raised", True]
    assert bodies.once.spawn(one, number, "return").result(20) == [2, True]
    one.do(lambda: number.add(1))
    assert number.value == 2 and one.done


def test_barrier() -> None:
    """Two processes and the program meet, again and again."""
    barrier = sync.Barrier(3)
    refs = [bodies.meet.spawn(barrier, 5) for _ in range(2)]
    numbers = [[barrier.wait(20) for _ in range(5)], *(ref.result(20) for ref in refs)]
    assert all(sorted(turn) == [0, 1, 2] for turn in zip(*numbers, strict=True))


def test_made_in_the_process() -> None:
    """They are the engine's, and outlive it."""
    out = csp.Channel()
    ref = bodies.made_there.spawn(out.sender)
    made = out.recv(20)
    assert made["rlock"].locked() and made["once"].done and made["barrier"].n_waiting == 0
    ref.kill()
    assert made["rlock"].acquire(timeout=20) and made["rlock"].owner_died
    made["rlock"].release()
    with made["condition"]:
        made["condition"].notify()
