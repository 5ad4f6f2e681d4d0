"""Scenarios of big memory: handed over, and copied.

What is handed over goes to the other unit and back, and half of that is told.  What is copied goes there, and a short answer comes
back.  Each side looks at the last byte.  The peers are given what they have for it: a reference in threads, shared memory by name
or a pipe between processes, a memoryview between interpreters.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import csp
from benchmarks import units
from benchmarks.actors import HAS_RAY, ray_up
from benchmarks.means import Csp, InterpreterQueues, ProcessPipes, ProcessQueues, ThreadQueues

Run = Callable[[float, bool], float]

SIZES = (1, 16, 256)  # MiB
HAS_INTERPRETERS = sys.version_info >= (3, 14)


class CspProcess(Csp):
    """The unit that measures has an interpreter, the other a process."""

    measuring = "interpreter"

    def start(self, function: Callable[..., None], *args: Any) -> Any:
        return csp.spawn(function, *args, isolation="process" if function is units.pass_back else self.measuring)


class CspProcessOfThread(CspProcess):
    """The unit that measures is where NumPy loads."""

    measuring = "thread"


class CspThreads(Csp):
    """Both are where NumPy loads."""

    def start(self, function: Callable[..., None], *args: Any) -> Any:
        return csp.spawn(function, *args, isolation="thread")


def nbytes(mebibytes: int, quick: bool) -> int:
    return min(mebibytes, 64 if quick else mebibytes) << 20


def there_and_back(means: Any, kind: str, short: bool, mebibytes: int, seconds: float, quick: bool) -> float:
    m = means()
    (there_tx, there_rx), (back_tx, back_rx), (result_tx, result_rx) = m.channel(1), m.channel(1), m.channel(1)
    running = [
        m.start(units.pass_back, there_rx, back_tx, kind, short),
        m.start(units.pass_there_and_back, there_tx, back_rx, kind, short, nbytes(mebibytes, quick), result_tx, seconds),
    ]
    per_trip: float = units.receiving(result_rx)()
    for unit in running:
        unit.join()
    return per_trip * 1e6 / (1 if short else 2)


def copied_warm(mebibytes: int, seconds: float, quick: bool) -> float:
    return units.copied_warm(nbytes(mebibytes, quick), seconds) * 1e6


def to_ray(mebibytes: int, put: bool, seconds: float, quick: bool) -> float:
    """There, and a number back.  With `put` the object store has the array before."""
    import numpy

    class Looker:
        def last(self, array: Any) -> int:
            return int(array[-1])

    array = numpy.ones(nbytes(mebibytes, quick), "u1")
    with ray_up() as ray:
        ref = ray.remote(Looker).remote()
        what = ray.put(array) if put else array

        def loop(n: int) -> None:
            for _ in range(n):
                ray.get(ref.last.remote(what))

        loop(2)
        return units.measure(loop, seconds, first=1) * 1e6


def handing_over(mebibytes: int) -> dict[str, Run]:
    """Without a copy."""
    ways: dict[str, tuple[Any, str]] = {
        "csp": (Csp, "share"),
        "csp, SharedBuffer": (Csp, "SharedBuffer"),
        "csp, move(SharedBuffer)": (Csp, "move"),
        "csp, SharedBuffer, process actor": (CspProcess, "SharedBuffer"),
        "threads, Queue, by reference": (ThreadQueues, "bytes"),
        "processes, shared_memory by name": (ProcessPipes, "shared_memory"),
    }
    if HAS_INTERPRETERS:
        ways["interpreters, memoryview"] = (InterpreterQueues, "memoryview")
        ways["interpreters, memoryview, spinning"] = (InterpreterQueues, "memoryview, spinning")
    found: dict[str, Run] = {name: partial(there_and_back, means, kind, False, mebibytes) for name, (means, kind) in ways.items()}
    if HAS_RAY:
        found["ray, from its object store"] = partial(to_ray, mebibytes, True)
    return found


def copying(mebibytes: int) -> dict[str, Run]:
    """The sender keeps its own."""
    ways: dict[str, tuple[Any, str]] = {
        "csp": (Csp, "memoryview"),
        "csp, bytes": (Csp, "bytes"),
        "csp, array, thread actors": (CspThreads, "array"),
        "csp, array, process actor": (CspProcessOfThread, "array"),
        "csp, memoryview, process actor": (CspProcess, "memoryview"),
        "processes, Queue": (ProcessQueues, "bytes"),
        "processes, Pipe": (ProcessPipes, "bytes"),
    }
    if HAS_INTERPRETERS:
        ways["interpreters, bytes"] = (InterpreterQueues, "bytes")
        ways["interpreters, bytes, spinning"] = (InterpreterQueues, "bytes, spinning")
    found: dict[str, Run] = {name: partial(there_and_back, means, kind, True, mebibytes) for name, (means, kind) in ways.items()}
    found["memcpy, warm"] = partial(copied_warm, mebibytes)
    if HAS_RAY:
        found["ray, array"] = partial(to_ray, mebibytes, False)
    return found
