"""Scenarios of shared primitives: a lock alone, a lock that two want, and a signal to and fro.

The peers: `threading` in one interpreter, `multiprocessing` between processes.  The means of means.py start the units.
"""

import multiprocessing
import threading
from functools import partial
from typing import Any

from benchmarks import units
from benchmarks.means import Csp, ProcessPipes, ThreadQueues
from csp import sync

PRIMITIVES = {Csp: sync, ThreadQueues: threading, ProcessPipes: multiprocessing.get_context("fork")}
NAMES = {Csp: "csp", ThreadQueues: "threading", ProcessPipes: "multiprocessing"}


def lock_alone(means: Any, seconds: float, quick: bool) -> float:
    """Acquire and release, nobody else near."""
    return units.locked(PRIMITIVES[means].Lock(), seconds) * 1e9


def lock_of_two(means: Any, seconds: float, quick: bool) -> float:
    """Two units, each for ever acquiring and releasing: the mean time for one of them to have it once."""
    m = means()
    lock = PRIMITIVES[means].Lock()
    (up_tx, up_rx), (result_tx, result_rx) = m.channel(1), m.channel(1)
    stop = PRIMITIVES[means].Event()
    running = [m.start(units.keep_locking, lock, stop, up_tx), m.start(units.measure_locking, lock, up_rx, result_tx, seconds)]
    per_item: float = units.receiving(result_rx)()
    stop.set()
    for unit in running:
        unit.join()
    return per_item * 1e9


def signal_and_back(means: Any, seconds: float, quick: bool) -> float:
    """Release one semaphore, acquire the other: a round trip."""
    m = means()
    there, back = PRIMITIVES[means].Semaphore(0), PRIMITIVES[means].Semaphore(0)
    stop = PRIMITIVES[means].Event()
    result_tx, result_rx = m.channel(1)
    running = [m.start(units.signal_back, there, back, stop), m.start(units.measure_signals, there, back, stop, result_tx, seconds)]
    per_item: float = units.receiving(result_rx)()
    for unit in running:
        unit.join()
    return per_item * 1e6


def runs(function: Any) -> dict[str, Any]:
    return {NAMES[means]: partial(function, means) for means in PRIMITIVES}
