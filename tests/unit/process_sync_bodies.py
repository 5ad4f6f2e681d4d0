"""What actors in processes of their own do with csp.sync in the tests."""

import os
import signal
import threading
from typing import Any

import csp
from csp import sync


@csp.actor(isolation="process")
def use_rlock(lock: Any) -> list[Any]:
    """As threading's: owned by a thread, as often as it is acquired."""
    seen: list[Any] = [lock.acquire(), lock.acquire(False), lock.acquire(timeout=1), lock.locked()]
    other: list[Any] = []

    def from_another_thread() -> None:
        other.append(lock.acquire(False))
        other.append(lock.acquire(timeout=0.01))
        try:
            lock.release()
        except RuntimeError as error:
            other.append(str(error))

    _in_a_thread(from_another_thread)
    lock.release()
    lock.release()
    seen += [other, lock.locked()]
    lock.release()
    with lock, lock:
        seen.append(lock.locked())
    seen.append(lock.locked())
    _in_a_thread(lambda: other.append(lock.acquire(False)))
    seen += [lock.locked(), other[-1]]
    return seen  # and a thread that has ended holds it


def _in_a_thread(function: Any) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


@csp.actor(isolation="process")
def hold(lock: Any, out: csp.SendChannel[Any], die: bool) -> None:
    lock.acquire()
    lock.acquire()
    out.send("held")
    if die:
        os.kill(os.getpid(), signal.SIGKILL)
    csp.never().recv()


@csp.actor(isolation="process")
def take_turns(condition: Any, number: Any, mine: int, turns: int) -> int:
    """Add to the number whenever it is our turn."""
    for _ in range(turns):
        with condition:
            assert condition.wait_for(lambda: number.value % 2 == mine, 20)
            number.add(1)
            condition.notify_all()
    return int(number.value)


@csp.actor(isolation="process")
def use_condition(condition: Any) -> list[Any]:
    """What goes wrong, and timeouts."""
    seen: list[Any] = []
    for wrong in (condition.wait, condition.notify, condition.notify_all, condition.release):
        try:
            wrong()
        except RuntimeError as error:
            seen.append(str(error))
    with condition:
        seen += [condition.wait(0), condition.wait(0.01), condition.wait_for(lambda: 0, 0.01), condition.waiting]
    own = sync.Condition(sync.Lock())
    with own:
        threading.Thread(target=_notify, args=(own,)).start()
        seen.append(own.wait(20))
    return seen


def _notify(condition: Any) -> None:
    with condition:
        condition.notify()


@csp.actor(isolation="process")
def wait_until_stopped(condition: Any, out: csp.SendChannel[Any]) -> None:
    condition.acquire()
    condition.acquire()
    try:
        out.send("waiting")
        condition.wait()
    except csp.Stopped:
        condition.release()
        condition.release()  # as often as before
        out.send("released twice")
        raise


@csp.actor(isolation="process")
def once(one: Any, number: Any, how: str) -> list[Any]:
    def function() -> None:
        number.add(1)
        if how == "raise":
            raise ValueError
        if how == "die":
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        one.do(function)
    except ValueError:
        return ["raised", one.done]
    return [number.value, one.done]


@csp.actor(isolation="process")
def meet(barrier: Any, times: int) -> list[int]:
    return [barrier.wait(20) for _ in range(times)]


@csp.actor(isolation="process")
def made_there(out: csp.SendChannel[Any]) -> Any:
    made = {"rlock": sync.RLock(), "condition": sync.Condition(), "once": sync.Once(), "barrier": sync.Barrier(1)}
    made["rlock"].acquire()
    made["once"].do(lambda: None)
    made["barrier"].wait()
    out.send(made)
    csp.never().recv()
