"""A lock under fire: actors of several interpreters that are killed while they hold it or wait for it."""

import random

import pytest

from csp import actor, spawn, sync


@actor
def enter(lock: sync.Lock, inside: sync.AtomicInt, met: sync.AtomicInt, entered: sync.AtomicInt) -> None:
    while True:
        with lock:
            if lock.owner_died:
                inside.value = 0  # whoever was inside is gone
            if inside.add() != 1:
                met.add()
            entered.add()
            inside.add(-1)


@pytest.mark.parametrize("isolation", ["interpreter", "thread", "process"])
def test_killed_holders(isolation: str) -> None:
    """Two never meet inside the lock, and it goes on to the next whoever is killed."""
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    lock, inside, met, entered = sync.Lock(), sync.AtomicInt(), sync.AtomicInt(), sync.AtomicInt()
    refs = [spawn(enter, lock, inside, met, entered, isolation=isolation) for _ in range(3)]
    for _ in range(12):
        victim = chance.randrange(3)
        refs[victim].kill()
        before = entered.value
        refs[victim] = spawn(enter, lock, inside, met, entered, isolation=isolation)
        assert lock.acquire(timeout=10)
        lock.release()
        assert entered.value >= before
    for ref in refs:
        ref.kill()
    assert lock.acquire(timeout=10)
    assert met.value == 0 and entered.value > 0
