"""Every way in which a real child can end, under every restart type and strategy."""

import itertools

import pytest

import csp
from csp import ChildSpec, Supervisor
from csp.testing import wait_until
from tests.unit import end_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks")

LIMIT = 20.0
RESTARTS = ("permanent", "transient", "temporary")
STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")
ENDS = {
    "normal": lambda ref: ref.send("return"),
    "shutdown": lambda ref: ref.stop(),  # by somebody who is not its supervisor
    "failed": lambda ref: ref.send("raise"),
    "killed": lambda ref: ref.kill(),
    "watchdog": lambda ref: ref.send("hang"),
}
CASES = [case for case in itertools.product(STRATEGIES, RESTARTS, ENDS) if case[2] != "watchdog"] + [
    (strategy, restart, "watchdog") for strategy, restart in zip(STRATEGIES, RESTARTS, strict=True)
]


def lives(tree):
    """Of each child: its state and which life it is."""
    return {child.id: (child.state, child.ref.epoch) for child in tree.children()}


def expected(strategy, restart, reason):
    """The rules, once more in other words."""
    if restart == "permanent" or (restart == "transient" and reason in ("failed", "killed", "watchdog")):
        epochs = {"one_for_one": (1, 2, 1), "one_for_all": (2, 2, 2), "rest_for_one": (1, 2, 2)}[strategy]
        return {id: ("running", epoch) for id, epoch in zip(("before", "it", "after"), epochs, strict=True)}
    rest = {"before": ("running", 1), "after": ("running", 1)}
    return rest if restart == "temporary" else rest | {"it": ("finished", 1)}


@pytest.mark.parametrize(("strategy", "restart", "reason"), CASES)
def test_end_of_a_child_is_followed_by_what_its_restart_type_says(strategy, restart, reason):
    """Who comes back has the same ref, name and mailbox; who does not has given them up; siblings are as the strategy says."""
    actor = bodies.watched if reason == "watchdog" else bodies.follows
    specs = [ChildSpec(bodies.follows, id=id, isolation="thread") for id in ("before", "it", "after")]
    specs[1] = ChildSpec(actor, id="it", restart=restart, isolation="thread")
    with Supervisor(specs, strategy=strategy) as tree:
        ref, exited = tree["it"], tree["it"].exited
        ENDS[reason](ref)
        assert exited.recv(LIMIT).reason == reason
        wanted = expected(strategy, restart, reason)
        wait_until(lambda: lives(tree) == wanted, LIMIT, f"{wanted}")
        if wanted.get("it") == ("running", 2):
            assert tree["it"] == csp.whereis("it") == ref
            assert next(child for child in tree.children() if child.id == "it").last_exit.reason == reason
            ref.send("return")
        else:
            assert csp.whereis("it") is None
            with pytest.raises(csp.ActorDied):
                ref.send("return")
