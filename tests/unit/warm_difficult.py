"""A module that makes trouble when it is imported in an interpreter that waits for an actor.  Which trouble says WARM_TROUBLE."""

import os
from typing import Any

import csp
from csp import RecvChannel, SendChannel, current_actor
from csp._ref import context_here, home
from tests.unit.warm_bodies import remember

WAITING = home() is not None and context_here() is None
TROUBLE = os.environ.get("WARM_TROUBLE")


def idle() -> None:
    csp.never().recv()


if WAITING:
    if TROUBLE == "raises":
        raise ImportError("not before there is an actor")
    if TROUBLE == "never ends":
        while True:
            pass
    if TROUBLE == "waits":
        csp.never().recv()
    if TROUBLE == "spawns":
        csp.spawn(idle)
    if TROUBLE == "exits":
        raise SystemExit(3)
if TROUBLE == "never works" and csp.interpreters.get_current().id != 0:
    raise ImportError("nowhere but in the main interpreter")


def work(log: SendChannel[Any], orders: RecvChannel[Any]) -> Any:
    return remember(log, orders)


def name() -> str:
    return current_actor().name
