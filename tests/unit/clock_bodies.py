"""Actors that wait for the clock."""

import time
from typing import Any

import csp


def patient(out: csp.SendChannel[Any], seconds: float) -> None:
    try:
        csp.Channel[int]().recv(timeout=seconds)
    except csp.Timeout:
        out.send("timed out")


def ticking(out: csp.SendChannel[Any], seconds: float) -> None:
    out.send(("tick", csp.tick(seconds).recv()))


@csp.actor
class Slow:
    def answer(self) -> None:
        csp.never().recv()


@csp.actor
class Counter:
    def __init__(self) -> None:
        self.n = 0

    def incr(self) -> int:
        self.n += 1
        return self.n

    def fail(self) -> None:
        raise ValueError("as told")


def deaf(out: csp.SendChannel[Any]) -> None:
    """Does not hear a stop."""
    out.send("up")
    while True:
        time.sleep(0.001)


def in_c(out: csp.SendChannel[Any]) -> None:
    """Sits in C code for a while, where nothing reaches it."""
    out.send("up")
    time.sleep(1.3)
