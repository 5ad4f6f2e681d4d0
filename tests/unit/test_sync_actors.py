"""csp.sync between interpreters: shared state, and what the end of a holder does."""

import os
import warnings
from typing import Any

import pytest

import csp
from csp import SendChannel, actor, spawn, sync
from csp.testing import wait_until

# RLock and Condition belong to threads, and have no stand-in in the process of an actor.
everywhere = pytest.mark.parametrize("isolation", ["interpreter", "thread", "process"])
isolations = pytest.mark.parametrize("isolation", ["interpreter", "thread"])


@actor
def hold(thing: Any, told: SendChannel[str]) -> None:
    thing.acquire()
    told.send("held")
    csp.never().recv()


@actor
def keep_waiting(thing: Any) -> None:
    thing.acquire()


@actor
def count(lock: sync.Lock, number: sync.AtomicInt, plain: sync.AtomicInt, group: sync.WaitGroup, n: int) -> None:
    for _ in range(n):
        number.add()
        with lock:
            plain.value = plain.value + 1
    group.done()


@actor
def wait_on(condition: sync.Condition, event: sync.Event, woken: sync.AtomicInt) -> None:
    with condition:
        event.set()
        condition.wait()
        woken.add()


@everywhere
def test_shared_by_actors(isolation: str) -> None:
    """Actors count together: no addition and no update under the lock is lost, and the group tells when all are done."""
    lock, number, plain, group = sync.Lock(), sync.AtomicInt(), sync.AtomicInt(), sync.WaitGroup()
    group.add(3)
    for _ in range(3):
        spawn(count, lock, number, plain, group, 500, isolation=isolation)
    assert group.wait(30)
    assert number.value == plain.value == 1500


@pytest.mark.parametrize(
    ("kind", "isolation"),
    [(kind, place) for kind in ("Lock", "RLock", "Semaphore") for place in ("interpreter", "thread", "process") if (kind, place) != ("RLock", "process")],
)
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_the_end_of_the_holder_releases(kind: str, end: str, isolation: str) -> None:
    """What an actor holds is released with it; the next holder of a lock reads owner_died until it releases."""
    thing = getattr(sync, kind)()
    told: csp.Channel[str] = csp.Channel(1)
    ref = spawn(hold, thing, told.sender, isolation=isolation)
    assert told.recv(10) == "held"
    assert thing.acquire(False) is False
    getattr(ref, end)()
    assert thing.acquire(timeout=10) is True
    assert thing.acquire(False) is (kind == "RLock")
    if kind != "Semaphore":
        assert thing.owner_died
        thing.release()
        if kind == "RLock":
            assert thing.owner_died
            thing.release()
        assert thing.acquire(False) and not thing.owner_died


@everywhere
def test_a_waiting_thread_gets_the_lock_of_the_dead(isolation: str) -> None:
    """An actor that waits for the lock gets it when the holder is killed."""
    lock = sync.Lock()
    told: csp.Channel[str] = csp.Channel(2)
    first = spawn(hold, lock, told.sender, isolation=isolation)
    told.recv(10)
    second = spawn(hold, lock, told.sender, isolation=isolation)
    wait_until(lambda: lock.waiting)
    first.kill()
    assert told.recv(10) == "held"
    assert lock.owner_died
    second.kill()


@everywhere
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_wait_is_broken_off(end: str, isolation: str) -> None:
    """Stopping or killing an actor ends its wait for a lock, and takes nothing."""
    lock = sync.Lock()
    lock.acquire()
    ref = spawn(keep_waiting, lock, isolation=isolation)
    wait_until(lambda: lock.waiting)
    assert getattr(ref, end)().reason == ("killed" if end == "kill" else "shutdown")
    wait_until(lambda: not lock.waiting)
    lock.release()
    assert lock.acquire(False)


@isolations
def test_condition_between_actors(isolation: str) -> None:
    """A condition and its lock cross together."""
    condition, event, woken = sync.Condition(), sync.Event(), sync.AtomicInt()
    ref = spawn(wait_on, condition, event, woken, isolation=isolation)
    assert event.wait(10)
    with condition:
        condition.notify_all()
    assert ref.join(10).reason == "normal"
    assert woken.value == 1


@isolations
def test_a_killed_wait_on_a_condition_leaves_the_lock_free(isolation: str) -> None:
    """An actor that is killed in Condition.wait holds the lock no more."""
    condition, event, woken = sync.Condition(), sync.Event(), sync.AtomicInt()
    ref = spawn(wait_on, condition, event, woken, isolation=isolation)
    assert event.wait(10)
    wait_until(lambda: condition.waiting)
    ref.kill()
    assert condition.acquire(timeout=10) is True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_fork() -> None:
    """In the child of a fork a primitive of the parent raises ForkedError."""
    lock, number = sync.Lock(), sync.AtomicInt()
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of any fork with threads, and another test may have left some
        pid = os.fork()
    if pid == 0:
        answer = b"no error"
        try:
            lock.acquire()
        except csp.ForkedError:
            try:
                number.add()
            except csp.ForkedError:
                answer = b"forked"
        os.write(write, answer)
        os._exit(0)
    os.close(write)
    assert os.read(read, 100) == b"forked"
    os.waitpid(pid, 0)
    os.close(read)
