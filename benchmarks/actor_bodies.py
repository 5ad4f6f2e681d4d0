"""What the actors of the scenarios do, and the functions that executors are given instead.  Imports nothing heavy."""

import os
from time import perf_counter as clock

import csp
from benchmarks.units import measure, receiving, sending

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Plain:
    def __init__(self) -> None:
        self.n = 0

    def incr(self, by: int = 1) -> int:
        self.n += by
        return self.n

    def crash(self) -> None:
        raise RuntimeError("on purpose")

    def die(self) -> None:
        os._exit(1)


@csp.actor
class Counter(Plain):
    pass


def incremented(n: int) -> int:
    return n + 1


def fail() -> None:
    raise RuntimeError("on purpose")


def call_again_and_again(ref: "csp.ActorRef", result: "Any", seconds: float) -> None:
    def loop(n: int) -> None:
        for _ in range(n):
            ref.call.incr(1)

    loop(10)
    result.send(measure(loop, seconds))


def compute(orders: "Any", done: "Any") -> None:
    """As many steps as each order says, then a message; 0 ends it."""
    receive, say = receiving(orders), sending(done)
    while n := receive():
        start = clock()
        total = 0
        for i in range(n):
            total += i * i % 7
        say(clock() - start)
