"""Actors of the tests of warm pools.  They say where this module was imported: before there was an actor, or in one."""

from typing import Any

import csp
from csp import RecvChannel, SendChannel, current_actor
from csp._ref import context_here, home

WAITING = home() is not None and context_here() is None  # imported in a warm interpreter
history: list[Any] = []  # of the lives that this module has seen


def remember(log: SendChannel[Any], orders: RecvChannel[Any]) -> Any:
    """Say (was it warm?, which life this module sees, name, epoch); then follow an order: "raise" or a value to return."""
    me = current_actor()
    history.append(me.ref.epoch)
    log.send((WAITING, len(history), me.name, me.ref.epoch))
    order = orders.recv()
    if order == "raise":
        raise ValueError("as told")
    return order


def path_and_log(log: SendChannel[Any]) -> None:
    """Say (was it warm?, sys.path), then wait for a stop."""
    import sys

    log.send((WAITING, list(sys.path)))
    csp.never().recv()


def last_sender(log: SendChannel[Any], handed: SendChannel[Any]) -> None:
    """Fail as the last one that could send on `handed`."""
    channel = csp.Channel(1)
    handed.send(channel.receiver)
    sender = channel.sender
    del channel
    log.send(WAITING)
    assert sender
    raise ValueError("with a handle in my hands")


def forward(source: RecvChannel[Any], sink: SendChannel[Any]) -> None:
    """Pass on what comes."""
    for value in source:
        sink.send(value)


class Counter:
    """A class actor: how often it was asked, and whether its interpreter was warm."""

    def __init__(self) -> None:
        self.n = 0

    def count(self) -> tuple[bool, int]:
        self.n += 1
        return WAITING, self.n

    def fail(self) -> None:
        raise SystemError


def supervises(log: SendChannel[Any], endless: bool) -> None:
    """An actor with a tree of its own that has a warm pool; waits, or returns while the pool is being filled."""
    orders = csp.Channel(1)
    tree = csp.Supervisor([csp.ChildSpec(remember, args=(log, orders.receiver))], warm=2)
    tree.start()
    if endless:
        csp.never().recv()
