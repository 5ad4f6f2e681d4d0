"""Supervised class actors whose lives are killed at random: no job that was accepted vanishes."""

import math
import random
import threading
from collections import Counter
from typing import Any

import pytest

import csp
from csp import ChildSpec, Supervisor
from tests.unit import redelivery_bodies as bodies

JOBS = 240  # of each producer


def start_thread(*args: Any) -> tuple[threading.Thread, list[Any]]:
    came: list[Any] = []
    thread = threading.Thread(target=lambda: came.extend(bodies.produce(*args)), daemon=True)
    thread.start()
    return thread, came


def drained(channel: Any) -> list[Any]:
    found = []
    while (value := channel.recv_nowait(None)) is not None:
        found.append(value)
    return found


@pytest.mark.parametrize(
    ("cls", "isolation"),
    [(bodies.Diligent, "interpreter"), (bodies.Diligent, "thread"), (bodies.Diligent, "process"), (bodies.DiligentTask, "thread")],
    ids=["interpreter", "thread", "process", "trio"],
)
def test_no_job_vanishes_while_lives_are_killed(cls: Any, isolation: str, seed: int) -> None:
    """Each is done at least once or is a dead letter, and is handed out at most max_deliveries times."""
    dice, log = random.Random(seed), csp.Channel(math.inf)
    drained(csp.dead_letters)
    children = [ChildSpec(cls, args=(log.sender,), id=id, isolation=isolation) for id in "abc"]
    with Supervisor(children, max_restarts=10**6) as tree:
        refs = [tree[id] for id in "abc"]
        threads = [start_thread(refs, me, JOBS) for me in range(2)]
        actors = [csp.spawn(bodies.produce, refs, me, JOBS) for me in (2, 3)]
        for _ in range(20):
            dice.choice(refs).kill()
            csp.sleep(dice.uniform(0, 0.02))
        for thread, _ in threads:
            thread.join(20)
        accepted = [job for _, came in threads for job in came] + [job for ref in actors for job in ref.result(20)]
        for ref in refs:
            ref.call.work(("last", ref.name))  # what was given back is at the head: all of it is done before this
        lives = sum(ref.epoch for ref in refs)
    entries = drained(log)
    begun = Counter(job for what, job in entries if what == "begun")
    done = {job for what, job in entries if what == "done"}
    buried = {letter.message[1][0] for letter in drained(csp.dead_letters)}
    assert len(accepted) == len(set(accepted)) == 4 * JOBS, f"(seed {seed})"
    assert set(accepted) <= done | buried, f"{set(accepted) - done - buried} vanished (seed {seed})"
    assert max(begun.values()) <= bodies.DELIVERIES, f"{begun.most_common(3)} (seed {seed})"
    assert lives > 8, f"{lives} lives: no stress (seed {seed})"
