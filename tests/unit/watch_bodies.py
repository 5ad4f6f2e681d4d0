"""Actors under a watchdog, and actors to be looked at.  They import nothing heavy: each interpreter imports this module."""

import time
from typing import Any

import csp
from csp import RecvChannel, SendChannel, actor, current_actor
from csp._ref import context_here, home

LIMIT = 0.2  # seconds of the watchdogs here
WARM = home() is not None and context_here() is None  # was this imported by an interpreter that waits for a life?


def hang() -> None:
    """The innermost frame of whoever hangs in Python code."""
    while True:
        pass


@actor(watchdog=2 * LIMIT)
class InTrio:
    """A loop that turns, or not."""

    async def naps(self, seconds: float) -> float:
        import trio

        await trio.sleep(seconds)
        return seconds

    async def spin(self) -> None:
        hang()


@actor(watchdog=2 * LIMIT, loop="asyncio")
class InAsyncio(InTrio):
    async def naps(self, seconds: float) -> float:
        import asyncio

        await asyncio.sleep(seconds)
        return seconds


@actor(watchdog=LIMIT)
class Watched:
    """Hangs where it is told to."""

    def __init__(self, log: SendChannel[Any] | None = None, hangs_in: str = "") -> None:
        self.log = log
        self.hangs_in = hangs_in
        self.note("__init__")

    def note(self, what: object) -> None:
        if self.log is not None:
            self.log.send(what)
        if self.hangs_in == what:
            hang()

    def on_start(self) -> None:
        self.note("on_start")

    def on_stop(self, reason: str) -> None:
        self.note("on_stop")

    def on_receive(self, message: Any) -> None:
        self.note(message)

    def echo(self, value: Any) -> Any:
        return value

    def spin(self) -> None:
        self.note("spinning")
        hang()

    def catches(self) -> None:
        """Past `except Exception`."""
        while True:
            try:
                hang()
            except Exception:
                continue

    def waits(self, times: int, seconds: float) -> int:
        """Longer than the limit in all, but not between two waits."""
        for _ in range(times):
            csp.sleep(seconds)
        return times

    def chats(self, seconds: float) -> int:
        """Operations that never have to wait."""
        channel = csp.Channel(1)
        until = time.monotonic() + seconds
        n = 0
        while time.monotonic() < until:
            channel.send(n)
            n = channel.recv() + 1
        return n

    def in_c(self, seconds: float) -> None:
        self.note("in C")
        time.sleep(seconds)


@actor(watchdog=LIMIT, trap_stop=True)
class Patient(Watched):
    pass


@actor(watchdog=LIMIT, on_crash="redeliver")
class Redelivered(Watched):
    pass


@actor(watchdog=LIMIT, on_crash="dead_letter")
class Buried(Watched):
    pass


@actor(watchdog=LIMIT, isolation="thread")
class InThread(Watched):
    pass


@actor(watchdog=1e9)
class Unhurried(Watched):
    pass


@actor(watchdog=LIMIT)
def watched_function(up: SendChannel[str]) -> None:
    up.send("up")
    hang()


@actor(watchdog=LIMIT)
def waits_for_ever(up: SendChannel[str]) -> None:
    up.send("up")
    csp.never().recv()


@actor(watchdog=LIMIT)
def watched_parent(up: SendChannel[Any]) -> None:
    """Drives a supervisor, whose thread waits in csp, and hangs."""
    with csp.Supervisor([csp.ChildSpec(waits_for_ever, args=(up.clone(),))]):
        hang()


@actor(watchdog=LIMIT)
class Child:
    """Of a supervisor: hangs when it is told to."""

    def on_receive(self, message: object) -> None:
        hang()

    def number(self) -> int:
        return current_actor().ref.epoch

    def was_warm(self) -> bool:
        return WARM


@actor(watchdog=LIMIT, on_crash="redeliver")
class HangsOnce:
    def __init__(self, log: SendChannel[Any]) -> None:
        self.log = log

    def on_receive(self, message: object) -> None:
        epoch = current_actor().ref.epoch
        self.log.send((message, epoch))
        if epoch == 1:
            hang()


# --- to be looked at ---


def computes(up: SendChannel[str]) -> None:
    up.send("up")
    hang()


def receives(channel: RecvChannel[Any]) -> None:
    channel.recv()


def sends(channel: SendChannel[Any]) -> None:
    channel.send(1)


def sleeps() -> None:
    csp.sleep(1000)


def selects(one: RecvChannel[Any], two: RecvChannel[Any]) -> None:
    csp.select([one, two])


def keeps_its_gil(up: SendChannel[str], n: int) -> int:
    up.send("up")
    return sum(range(n))


def looks(up: SendChannel[Any]) -> None:
    """Asks for the stacks itself."""
    from csp import debug

    up.send([tuple(stack)[1:] for stack in debug.stacks() if stack.ref == current_actor().ref])


@actor
class Idle:
    def echo(self, value: Any) -> Any:
        return value

    def in_c(self, up: SendChannel[str], seconds: float) -> None:
        up.send("up")
        time.sleep(seconds)
