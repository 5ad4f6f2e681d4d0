"""A few operations on a few channels, done while others do theirs, and what came of each.  Also run by actors."""

import time
from typing import Any

import csp

Step = tuple[str, Any, float]  # (what, channels and values, timeout)
Record = tuple[Any, ...]  # the fields of linearizable.Operation


def perform(channels: list[Any], gate: Any, script: list[Step]) -> list[Record]:
    """Do the steps once the gate has closed."""
    for _ in gate:
        pass
    return [_record(channels, *step) for step in script]


def _record(channels: list[Any], what: str, cases: Any, timeout: float) -> Record:
    outcome, index, value, priority = "ok", 0, None, what == "priority"
    call = time.monotonic_ns()
    try:
        if what == "close":
            channels[cases].close()
        elif what == "send":
            channels[cases[0][0]].send(cases[0][2], timeout)
        elif what == "recv":
            value = channels[cases[0][0]].recv(timeout)
        else:
            real = [channels[number] if side == "recv" else (channels[number], sent) for number, side, sent in cases]
            fired = csp.select(real, timeout=timeout, priority=priority)
            outcome, index, value = ("ok" if fired else "timeout"), fired.index, fired.value
    except csp.Timeout:
        outcome = "timeout"
    except csp.EndOfChannel as error:
        outcome, index = "EndOfChannel", error.index or 0
    except (csp.BrokenChannel, csp.ClosedHandle) as error:  # closed by another, or by this worker before
        outcome, index = "BrokenChannel", error.index or 0
    end = time.monotonic_ns()
    closes = cases if what == "close" else None
    return call, end, () if what == "close" else cases, timeout > 0, priority, closes, outcome, index, value


def worker(jobs: Any, done: Any) -> None:
    """An actor that performs one script after another."""
    for channels, gate, script in jobs:
        done.send(perform(channels, gate, script))
