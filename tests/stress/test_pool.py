"""A pool of workers on one channel of jobs, supervised, whose lives are killed at random: every job gets its result."""

import math
import random
import threading
from collections import Counter

import pytest

import csp
from csp import ChildSpec, Supervisor
from csp.testing import wait_until
from tests.stress import pool_bodies as bodies

LIMIT = 20.0
WORKERS = 4


def produce(jobs: "csp.SendChannel[int]", n: int) -> threading.Thread:
    """Send them and give the channel up: then the workers come to their end."""

    def send() -> None:
        with jobs:
            for job in range(n):
                jobs.send(job)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize(
    ("isolation", "n", "every", "warm"), [("interpreter", 400, 16, 0), ("interpreter", 400, 16, 2), ("thread", 400, 8, 0), ("process", 160, 20, 0)]
)
def test_pool_on_one_channel_does_every_job(isolation: str, n: int, every: int, warm: int, seed: int) -> None:
    """At least once, and nothing else; twice only where a worker was killed between its result and the end of the lease."""
    dice, done = random.Random(seed), Counter[int]()
    (give, jobs), (give_result, results) = csp.channel(capacity=8), csp.channel(capacity=math.inf)
    spec = ChildSpec(bodies.works, args=(jobs, give_result), id="w", count=WORKERS, restart="transient", isolation=isolation)
    with Supervisor([spec], max_restarts=10**6, warm=warm) as tree:
        refs = [tree[f"w[{i}]"] for i in range(WORKERS)]
        producer = produce(give, n)
        while len(done) < n:
            job, square, deliveries = results.recv(LIMIT)
            done[job] += 1
            assert square == job * job and (deliveries > 1 or not bodies.fails(job)), f"{job} (seed {seed})"
            if done.total() % every == 0 and producer.is_alive():
                dice.choice(refs).kill()
        producer.join(LIMIT)
        wait_until(lambda: {child.state for child in tree.children()} == {"finished"}, LIMIT, "the end of all workers")
        restarts = sum(child.restarts for child in tree.children())
        assert len(jobs) == 0
    ends = Counter(event.reason for event in tree.events if isinstance(event, csp.Exited))
    while (late := results.recv_nowait(None)) is not None:
        done[late[0]] += 1
    assert set(done) == set(range(n)), f"(seed {seed})"
    assert done.total() - n <= ends["killed"], f"{done.most_common(3)} after {ends} (seed {seed})"
    assert ends == {"normal": WORKERS, "killed": ends["killed"], "failed": ends["failed"]}, f"(seed {seed})"
    assert restarts <= ends["killed"] + ends["failed"], "fewer if one was killed on its way up"
    assert ends["killed"] > 2 and 0 < ends["failed"] <= sum(map(bodies.fails, range(n))), f"{ends}: no stress (seed {seed})"
