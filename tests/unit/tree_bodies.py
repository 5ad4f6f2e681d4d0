"""Actors that the supervision tests start: they say that they are up, and end as they are told to."""

from typing import Any

import csp
from csp import RecvChannel, SendChannel, actor, current_actor


def obedient(log: SendChannel[Any], orders: RecvChannel[Any]) -> Any:
    """Say ("up", name, epoch), then follow one order: "return", "raise", or "exit"."""
    me = current_actor()
    log.send(("up", me.name, me.ref.epoch))
    order = orders.recv()
    if order == "raise":
        raise ValueError("as told")
    return order


def by_mail(log: SendChannel[Any]) -> Any:
    """The orders come by `ref.send`: "raise", "return"; anything else is echoed to the log."""
    me = current_actor()
    log.send(("up", me.name, me.ref.epoch))
    try:
        for message in me.inbox:
            if message == "raise":
                raise ValueError("as told")
            if message == "return":
                return "returned"
            log.send((me.name, message))
    except csp.Stopped:
        log.send(("stopped", me.name))
        raise


def stubborn(log: SendChannel[Any]) -> None:
    """Computes, and does not hear a stop."""
    log.send(("up", current_actor().name, current_actor().ref.epoch))
    while True:
        pass


def in_c(log: SendChannel[Any], n: int) -> None:
    """Sits in C code, where nothing reaches it."""
    log.send(("up", current_actor().name, current_actor().ref.epoch))
    sum(range(n))


@actor(ready=True)
def late(log: SendChannel[Any], gate: RecvChannel[Any]) -> None:
    """Comes up when the gate yields True, fails when it yields False."""
    log.send(("starting", current_actor().name))
    if not gate.recv():
        raise ValueError("not today")
    current_actor().ready()
    csp.sleep(1000)


@actor(ready=True, start_timeout=0.05)
def too_late() -> None:
    csp.sleep(1000)


def fails_at_once() -> None:
    raise ValueError("at once")


@actor
class Counter:
    def __init__(self, log: SendChannel[Any] | None = None, wrong: bool = False) -> None:
        if wrong:
            raise ValueError("wrong from the start")
        self.value = 0

    def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    def fail(self) -> None:
        raise ValueError("as told")


def fails_late() -> None:
    csp.sleep(0.001)
    raise ValueError("late")


def has_a_tree(log: SendChannel[Any], how: str = "waits", isolation: Any = None) -> str:
    """An actor that supervises two others, and ends in one way or another."""
    children = [csp.ChildSpec(by_mail, args=(log,), id=id, name=f"of {current_actor().name}: {id}", isolation=isolation) for id in "xy"]
    tree = csp.Supervisor(children)
    tree.start()
    if how == "waits":
        csp.never().recv()
    elif how == "inbox":
        current_actor().inbox.recv()
    elif how == "spins":
        while True:
            pass
    elif how == "raises":
        current_actor().inbox.recv()
        raise ValueError("with a tree")
    return "with a tree"


def in_c_once(log: SendChannel[Any], n: int) -> None:
    """Its first life sits in C code, the others wait."""
    epoch = current_actor().ref.epoch
    log.send(("up", current_actor().name, epoch))
    if epoch == 1:
        sum(range(n))
    csp.never().recv()
