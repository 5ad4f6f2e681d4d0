"""Trees under random commands from several threads, while their children are killed and crash: each command is answered."""

import itertools
import random
import threading
from collections import Counter
from typing import Any

import pytest

import csp
from csp import ChildSpec, DynamicSupervisor, Supervisor
from csp.testing import wait_until
from tests.stress import tree_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks")

LIMIT = 30.0
STEPS = 100  # of each thread
FOREVER = 10**6


class Scene:
    """A tree of three supervisors, and what a thread may do to it."""

    def __init__(self, strategy: Any, seed: int) -> None:
        self.serial = itertools.count(seed % 1000)
        self.inner = Supervisor([self.spec("c"), self.spec("d")], id="in", strategy=strategy, max_restarts=FOREVER)
        self.pool = DynamicSupervisor(id="pool", max_restarts=FOREVER)
        children = [self.spec("a"), self.inner, self.spec("b", "interpreter"), self.pool]
        self.tree = Supervisor(children, strategy=strategy, max_restarts=FOREVER, warm=1)
        self.supervisors = [self.tree, self.inner, self.pool]
        self.seen: dict[csp.ActorRef, None] = {}
        self.answers: Counter[str] = Counter()

    def spec(self, id: str, isolation: Any = "thread", **options: Any) -> ChildSpec:
        return ChildSpec(bodies.Moody, args=(next(self.serial),), id=id, isolation=isolation, shutdown=1.0, **options)

    def step(self, dice: random.Random) -> None:
        supervisor = dice.choice(self.supervisors)
        known = supervisor.children()
        refs = [child.ref for child in known if child.ref is not None]
        self.seen.update(dict.fromkeys(refs))
        ids = [child.id for child in known] or ["x"]
        what = dice.choices(["kill", "crash", "start", "terminate", "restart", "delete", "count"], [2, 4, 4, 2, 3, 1, 1])[0]
        try:
            if what in ("kill", "crash") and refs:
                ref = dice.choice(refs)
                ref.kill() if what == "kill" else ref.send("crash", timeout=0)
            elif what == "start":
                restart = dice.choice(["permanent", "transient", "temporary"])
                self.seen[supervisor.start_child(self.spec(dice.choice("abcdxyz"), restart=restart))] = None
            elif what in ("terminate", "restart", "delete"):
                getattr(supervisor, f"{what}_child")(dice.choice(ids))
            else:
                supervisor.count_children()
            self.answers[what] += 1
        except (csp.CspError, KeyError, ValueError) as error:
            self.answers[getattr(error, "reason", None) or type(error).__name__] += 1

    def run(self, seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(STEPS):
            self.step(dice)


@pytest.mark.parametrize("amid", [False, True], ids=["stopped after", "stopped amid"])
@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_every_command_is_answered_and_the_end_is_the_end_of_all(strategy: str, amid: bool, seed: int) -> None:
    """Whatever crosses: a restart and a stop, a kill and a start, two commands about one child."""
    scene = Scene(strategy, seed)
    with scene.tree:
        threads = [threading.Thread(target=scene.run, args=(seed + n,), daemon=True) for n in range(4)]
        for thread in threads:
            thread.start()
        if amid:
            wait_until(lambda: scene.answers.total() > STEPS, LIMIT)
            scene.tree.stop()
        for thread in threads:
            thread.join(LIMIT)
        stuck = [thread for thread in threads if thread.is_alive()]
        assert not stuck, f"{[s.children() for s in scene.supervisors]} (seed {seed})"
        for supervisor in scene.supervisors:
            scene.seen.update((child.ref, None) for child in supervisor.children() if child.ref is not None)
    assert not [ref for ref in scene.seen if ref.alive or csp.whereis(ref.name) is not None], f"(seed {seed})"
    assert {state for s in scene.supervisors for state in (c.state for c in s.children())} <= {"stopped", "finished", "waiting"}
    assert len(scene.answers) > 5 and (amid or len(scene.seen) > 5), f"{scene.answers}: no stress (seed {seed})"
