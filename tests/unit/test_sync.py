"""csp.sync in one interpreter, against the documented behaviour of `threading`: where the two coincide each test runs on both."""

import copy
import pickle
import threading
from types import ModuleType
from typing import Any

import pytest

import csp
from csp import sync
from csp.testing import wait_until

both = pytest.mark.parametrize("lib", [threading, sync], ids=["threading", "csp.sync"])
LOCKS = ["Lock", "RLock"]


def run(*bodies: Any) -> list[threading.Thread]:
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    return threads


def in_thread(body: Any) -> Any:
    out: list[Any] = []
    for thread in run(lambda: out.append(body())):
        thread.join()
    return out[0]


@both
@pytest.mark.parametrize("kind", LOCKS)
def test_acquire_returns_bools(lib: ModuleType, kind: str) -> None:
    """acquire is True with the lock, False without, at once or after the timeout."""
    lock = getattr(lib, kind)()
    assert lock.acquire() is True
    assert in_thread(lambda: lock.acquire(False)) is False
    assert in_thread(lambda: lock.acquire(blocking=True, timeout=0.01)) is False
    assert in_thread(lambda: lock.acquire(True, 0)) is False
    lock.release()
    assert in_thread(lambda: lock.acquire(timeout=-1)) is True


@both
@pytest.mark.parametrize("kind", LOCKS)
def test_bad_arguments(lib: ModuleType, kind: str) -> None:
    """A timeout without blocking, or a negative one, is a ValueError; a release of what is not held a RuntimeError."""
    lock = getattr(lib, kind)()
    with pytest.raises(ValueError):
        lock.acquire(False, 1)
    with pytest.raises(ValueError):
        lock.acquire(True, -2)
    with pytest.raises(RuntimeError):
        lock.release()


@both
def test_lock_is_released_by_any_thread(lib: ModuleType) -> None:
    """A Lock has no owning thread; `with` holds it."""
    lock = lib.Lock()
    with lock as held:
        assert held is True
        assert lock.locked()
        in_thread(lock.release)
        assert not lock.locked()
        lock.acquire()
    assert not lock.locked()


@both
def test_rlock_is_owned_by_a_thread(lib: ModuleType) -> None:
    """An RLock is acquired again by its thread, and is free after as many releases, which no other thread may do."""
    lock = lib.RLock()
    with lock, lock:
        assert in_thread(lambda: lock.acquire(False)) is False
        with pytest.raises(RuntimeError):
            run_release = []
            in_thread(lambda: run_release.append(pytest.raises(RuntimeError, lock.release)))
            assert run_release
            raise RuntimeError
        lock.release()
        assert in_thread(lambda: lock.acquire(False)) is False
        lock.acquire()
    assert in_thread(lambda: lock.acquire(False)) is True


@both
def test_semaphores(lib: ModuleType) -> None:
    """A semaphore counts permits; a bounded one refuses more than it began with."""
    semaphore = lib.Semaphore(2)
    assert semaphore.acquire() and semaphore.acquire(timeout=1)
    assert semaphore.acquire(blocking=False) is False
    assert semaphore.acquire(timeout=0.01) is False
    semaphore.release(n=3)
    assert [semaphore.acquire(False) for _ in range(4)] == [True, True, True, False]
    with pytest.raises(ValueError):
        lib.Semaphore(-1)
    with pytest.raises(ValueError):
        semaphore.release(0)
    bounded = lib.BoundedSemaphore()
    with bounded:
        assert not bounded.acquire(False)
    with pytest.raises(ValueError):
        bounded.release()
    signal = lib.Semaphore(0)
    threads = run(signal.acquire, signal.acquire)
    signal.release(2)
    for thread in threads:
        thread.join()
    assert not signal.acquire(False)


@both
def test_event(lib: ModuleType) -> None:
    """wait returns True once it is set, False on timeout; all who wait are woken."""
    event = lib.Event()
    assert not event.is_set()
    assert event.wait(0.01) is False
    results: list[bool] = []
    threads = run(*[lambda: results.append(event.wait()) for _ in range(3)])
    event.set()
    for thread in threads:
        thread.join()
    assert results == [True] * 3
    assert event.wait(timeout=0) is True
    event.clear()
    assert event.wait(0) is False


@both
@pytest.mark.parametrize("kind", [*LOCKS, None])
def test_condition(lib: ModuleType, kind: str | None) -> None:
    """A condition's wait releases the lock, however deep, and has it again afterwards; notify wakes the oldest."""
    condition = lib.Condition() if kind is None else lib.Condition(getattr(lib, kind)())
    for call in (condition.wait, condition.notify, condition.notify_all):
        with pytest.raises(RuntimeError):
            call()
    items: list[int] = []
    got: list[int] = []

    def consume() -> None:
        with condition:
            assert condition.wait_for(lambda: items)
            got.append(items.pop())

    threads = run(consume, consume)
    with condition:
        assert condition.wait(0.01) is False
        assert condition.wait_for(lambda: 0, timeout=0.01) == 0
        items.extend([1, 2])
        condition.notify()
        condition.notify_all()
    for thread in threads:
        thread.join()
    assert sorted(got) == [1, 2]
    if kind != "Lock":
        with condition, condition:
            assert condition.wait(0.001) is False
            assert in_thread(lambda: condition.acquire(False)) is False


def test_waiters_are_served_in_order() -> None:
    """Among waiting threads, first come first served."""
    lock = sync.Lock()
    order: list[int] = []

    def body(i: int) -> None:
        with lock:
            order.append(i)

    threads = []
    with lock:
        for i in range(5):
            threads += run(lambda i=i: body(i))
            wait_until(lambda i=i: lock.waiting == i + 1)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_mutual_exclusion() -> None:
    """Threads that hammer a lock never meet inside."""
    lock, numbers = sync.Lock(), [0]

    def body() -> None:
        for _ in range(2000):
            with lock:
                n = numbers[0]
                numbers[0] = n + 1

    for thread in run(*[body] * 4):
        thread.join()
    assert numbers == [8000]


def test_wait_group() -> None:
    """wait returns once the counter is zero; a negative counter is an error and changes nothing."""
    group = sync.WaitGroup()
    assert group.wait() is True
    group.add(2)
    assert group.wait(timeout=0.01) is False
    threads = run(group.wait)
    group.done()
    group.add(-1)
    threads[0].join()
    with pytest.raises(ValueError):
        group.done()
    assert group.wait(0)


def test_once() -> None:
    """The function is called once, concurrent callers wait for it; an Exception in it counts as done, what is none does not."""
    once, calls = sync.Once(), []
    for thread in run(*[lambda: once.do(lambda: calls.append(1))] * 4):
        thread.join()
    assert calls == [1] and once.done
    once = sync.Once()

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once.do(interrupted)
    assert not once.done
    with pytest.raises(ZeroDivisionError):
        once.do(lambda: 1 / 0)
    once.do(lambda: calls.append(2))
    assert calls == [1] and once.done


def test_atomic_int() -> None:
    """add returns the new value, compare_exchange whether it was the expected one; 64 bits, beyond is OverflowError."""
    number = sync.AtomicInt(5)
    assert number.add() == 6
    assert number.add(-10) == -4
    assert number.compare_exchange(-4, 2**63 - 1) is True
    assert number.compare_exchange(expected=0, new=1) is False
    with pytest.raises(OverflowError):
        number.add(1)
    assert number.value == 2**63 - 1
    number.value = -(2**63)
    with pytest.raises(OverflowError):
        number.add(-1)
    with pytest.raises(OverflowError):
        number.value = 2**63


ALL = [sync.Lock, sync.RLock, sync.Semaphore, sync.BoundedSemaphore, sync.Event, sync.Condition, sync.WaitGroup, sync.Once, sync.AtomicInt]


@pytest.mark.parametrize("kind", ALL)
def test_handles(kind: Any) -> None:
    """What crosses is a new handle to the same thing, equal and of the same hash; it is neither pickled nor copied."""
    thing = kind()
    channel: csp.Channel[Any] = csp.Channel(1)
    channel.send({"a": [thing]})
    other = channel.recv()["a"][0]
    assert other is not thing and other == thing and hash(other) == hash(thing) and type(other) is kind
    assert kind() != thing
    for refuse in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(csp.NotShareable):
            refuse(thing)


def test_a_handle_that_is_gone_does_not_release() -> None:
    """A lock taken through a handle that was dropped meanwhile is held until somebody releases it."""
    lock = sync.Lock()
    channel: csp.Channel[sync.Lock] = csp.Channel(1)
    channel.send(lock)
    channel.recv().acquire()
    assert lock.locked()
    lock.release()
    assert lock.acquire(False) and not lock.owner_died


def test_select() -> None:
    """A lock, semaphore, event or wait group is a case that fires with True once it is acquired or set."""
    channel: csp.Channel[int] = csp.Channel(1)
    for thing in (sync.Lock(), sync.Semaphore(1)):
        assert csp.select([channel, thing]) == (thing, True)
        assert not csp.select([channel, thing], timeout=0)
        assert not thing.acquire(False)
        channel.send(1)
        assert csp.select([thing, channel]).channel is channel
        thing.release()
        assert thing.acquire(False)
    event, group = sync.Event(), sync.WaitGroup()
    group.add()
    assert not csp.select([event, group], timeout=0.01)
    thread = run(lambda: csp.select([event, channel]))[0]
    wait_until(lambda: event.waiting)
    event.set()
    thread.join()
    assert csp.select([event, group]).channel is event
    group.done()
    assert csp.select([None, group]).index == 1
    with pytest.raises(TypeError):
        csp.select([sync.AtomicInt()])


@pytest.mark.parametrize("timeout", [-0.5, float("nan")])
def test_bad_timeouts(timeout: float) -> None:
    """A negative or NaN timeout is a ValueError."""
    for wait in (sync.Event().wait, sync.WaitGroup().wait, sync.Semaphore().acquire):
        with pytest.raises(ValueError):
            wait(timeout=timeout)


def test_deadlock() -> None:
    """A wait for a lock that nobody could release is a DeadlockError."""
    lock = sync.Lock()
    lock.acquire()
    with pytest.raises(csp.DeadlockError):
        lock.acquire()
