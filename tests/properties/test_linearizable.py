"""Operations that race look as if each happened in one instant."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import csp
from tests.properties.linearizable import Operation, linearizable
from tests.properties.racing import Record, Step, perform, worker

WORKERS, STEPS = 3, 4
BUDGET = 4.0  # seconds


def script_of(dice: random.Random, values: Iterator[int]) -> list[Step]:
    return [step_of(dice, values) for _ in range(STEPS)]


def step_of(dice: random.Random, values: Iterator[int]) -> Step:
    timeout = dice.choice([0, 0, 0.0003, 0.002])
    what = dice.choices(["send", "recv", "select", "priority", "close"], [6, 6, 4, 2, 1])[0]
    if what == "close":
        return what, dice.randrange(2), 0
    sides = {"send": ["send"], "recv": ["recv"]}.get(what) or [dice.choice(["send", "recv"]) for _ in range(dice.randint(1, 3))]
    cases = tuple((dice.randrange(2), side, next(values) if side == "send" else None) for side in sides)
    return what, cases, timeout


def in_threads(channels: list[Any], scripts: list[list[Step]]) -> list[Record]:
    gate, records, lock = csp.Channel(), [], threading.Lock()

    def run(mine: list[Any], script: list[Step]) -> None:
        came = perform(mine, gate, script)
        with lock:
            records.extend(came)

    threads = [threading.Thread(target=run, args=([c.clone() for c in channels], script)) for script in scripts]
    for thread in threads:
        thread.start()
    gate.close()
    for thread in threads:
        thread.join()
    return records


def check_histories(seed: int, run: Callable[[list[Any], list[list[Step]]], list[Record]]) -> None:
    dice, deadline = random.Random(seed), time.monotonic() + BUDGET
    handed_over = histories = 0
    while time.monotonic() < deadline:
        capacities = [dice.choice([0, 0, 1, 2]) for _ in range(2)]
        values = iter(range(10**6))
        scripts = [script_of(dice, values) for _ in range(WORKERS)]
        history = [Operation(*record) for record in run([csp.Channel(capacity) for capacity in capacities], scripts)]
        assert len(history) == WORKERS * STEPS
        assert linearizable(history, capacities), f"seed {seed}: no order explains, with {capacities=}:\n" + "\n".join(map(str, sorted(history)))
        histories += 1
        # Without a buffer a value passes only if one party waits for the other.
        handed_over += sum(o.outcome == "ok" and bool(o.cases) and not capacities[o.cases[o.index or 0][0]] for o in history)
    assert histories >= 20 and handed_over >= 20, f"{histories} histories, {handed_over} met a waiting party: too few to prove anything"


def test_threads_of_one_interpreter(seed: int) -> None:
    """Any history of sends, receives, selects, timeouts and closes in threads has an order that explains it."""
    check_histories(seed, in_threads)


def test_interpreters_in_parallel(seed: int) -> None:
    """The same where the operations really overlap: in actors, each with a GIL of its own."""
    jobs, done = [csp.Channel(1) for _ in range(WORKERS)], csp.Channel(WORKERS)
    actors = [csp.spawn(worker, job.receiver, done.sender) for job in jobs]

    def run(channels: list[Any], scripts: list[list[Step]]) -> list[Record]:
        gate = csp.Channel()
        for job, script in zip(jobs, scripts, strict=True):
            job.send((channels, gate, script))
        csp.sleep(0.0002)  # not for correctness: the actors had better be at the gate when it opens
        gate.close()
        return [record for _ in jobs for record in done.recv(30)]

    try:
        check_histories(seed, run)
    finally:
        for job in jobs:
            job.close()
        for actor in actors:
            assert actor.join(10).reason == "normal"


S, R = "send", "recv"


@pytest.mark.parametrize(
    ("history", "capacity"),
    [
        pytest.param([(1, 2, ((0, S, 7),), False), (3, 4, ((0, S, 8),), False), (5, 6, ((0, R, None),), False, False, None, "ok", 0, 8)],
                     2, id="not first in, first out"),
        pytest.param([(1, 2, ((0, S, 7),), False), (3, 4, ((0, R, None),), True, False, None, "timeout")], 1, id="a value was there"),
        pytest.param([(1, 4, ((0, R, None),), False, False, None, "ok", 0, 7)], 1, id="a value from nowhere"),
        pytest.param([(1, 2, ((0, S, 7),), False)], 0, id="sent to nobody"),
        pytest.param([(1, 2, ((0, S, 7),), False), (3, 5, ((0, R, None),), False, False, None, "ok", 0, 7),
                      (3, 5, ((0, R, None),), False, False, None, "ok", 0, 7)], 1, id="received twice"),
        pytest.param([(1, 2, (), False, False, 0), (3, 4, ((0, S, 7),), False)], 1, id="sent after the close"),
        pytest.param([(1, 2, ((0, S, 7),), False), (3, 4, ((0, S, 8), (0, R, None)), False, True, None, "ok", 1, 7)],
                     2, id="the second case, though the first was ready"),
    ],
)  # fmt: skip
def test_the_checker_finds_what_is_wrong(history: list[tuple[Any, ...]], capacity: int) -> None:
    """Histories that no atomic channel could give are refused."""
    operations = [Operation(*record)._replace(index=(*record, *[0] * 9)[7]) for record in history]
    assert not linearizable(operations, [capacity])


def test_the_checker_accepts_what_is_right() -> None:
    """A hand-over to a receiver that waits, and a select that times out beside it."""
    history = [
        Operation(1, 9, ((0, R, None),), True, outcome="ok", index=0, value=7),
        Operation(2, 3, ((1, R, None), (1, S, 5)), False, outcome="timeout", index=-1),
        Operation(4, 5, ((0, S, 7),), False, index=0),
    ]
    assert linearizable(history, [0, 0])
