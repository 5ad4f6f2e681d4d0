"""Trees that belong to actors, and children that are threads: the subtree never outlives whoever started it."""

import time

import pytest

import csp
from csp import ChildSpec, Supervisor
from csp.testing import wait_until
from tests.unit import tree_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks")

LIMIT = 20.0
ISOLATIONS = ("interpreter", "thread")


def take(log, n):
    return [log.recv(LIMIT) for _ in range(n)]


def children_of(ref):
    found = [csp.whereis(f"of {ref.name}: {id}") for id in "xy"]
    assert all(child is not None and child.alive for child in found)
    return found


def assert_over(ref, children):
    """At the moment the actor's end is heard of, not some time after."""
    assert not any(child.alive for child in children)
    assert [csp.whereis(child.name) for child in children] == [None, None]
    for child in children:
        with pytest.raises(csp.ActorDied):
            child.send("anybody there?")


@pytest.mark.parametrize("children", ISOLATIONS)
@pytest.mark.parametrize("owner", ISOLATIONS)
@pytest.mark.parametrize(("how", "order", "reason"), [("waits", "stop", "shutdown"), ("inbox", "go on", "normal")])
def test_tree_of_an_actor_is_stopped_in_order_before_its_end_is_told(owner, children, how, order, reason):
    """Stopped, or returned: the last child first, each in its own time."""
    log = csp.Channel(100)
    ref = csp.spawn(bodies.has_a_tree, log.sender, how, children, isolation=owner)
    take(log, 2)
    inner = children_of(ref)
    if order == "stop":
        end = ref.stop()
    else:
        ref.send("go on")
        end = ref.join(LIMIT)
    assert_over(ref, inner)
    assert end.reason == reason
    assert [entry[1][-1] for entry in take(log, 2)] == ["y", "x"]


@pytest.mark.parametrize("children", ISOLATIONS)
@pytest.mark.parametrize("owner", ISOLATIONS)
def test_tree_of_an_actor_that_fails_ends_with_it(owner, children):
    """The traceback holds the tree: that keeps nobody alive."""
    log = csp.Channel(100)
    ref = csp.spawn(bodies.has_a_tree, log.sender, "raises", children, isolation=owner)
    take(log, 2)
    inner = children_of(ref)
    ref.send("now")
    end = ref.join(LIMIT)
    assert (end.reason, end.remote.message) == ("failed", "with a tree")
    assert_over(ref, inner)
    assert [entry[1][-1] for entry in take(log, 2)] == ["y", "x"]


@pytest.mark.parametrize("children", ISOLATIONS)
@pytest.mark.parametrize("owner", ISOLATIONS)
@pytest.mark.parametrize("how", ["waits", "spins"])
def test_tree_of_an_actor_that_is_killed_ends_with_it(owner, children, how):
    """At once, and nothing is restarted."""
    log = csp.Channel(100)
    ref = csp.spawn(bodies.has_a_tree, log.sender, how, children, isolation=owner)
    take(log, 2)
    inner = children_of(ref)
    begun = time.monotonic()
    assert ref.kill().reason == "killed"
    assert time.monotonic() - begun < 5
    wait_until(lambda: not any(child.alive for child in inner), LIMIT)
    assert_over(ref, inner)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_actor_with_a_tree_is_restarted_with_it(isolation):
    """A supervised actor that supervises others: its next life starts a tree of its own, and the old one is gone."""
    log = csp.Channel(100)
    spec = ChildSpec(bodies.has_a_tree, args=(log.sender, "inbox"), id="owner", isolation=isolation)
    with Supervisor([spec], max_restarts=10) as tree:
        for life in range(3):
            assert {entry[0] for entry in take(log, 2)} == {"up"}
            children_of(tree["owner"])
            tree["owner"].send("go on")
            assert [entry[0] for entry in take(log, 2)] == ["stopped", "stopped"], life
        take(log, 2)


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_children_that_are_threads_restart_like_any_other(strategy):
    """The ref and the mailbox are kept; what else the strategy restarts comes with it."""
    log = csp.Channel(100)
    specs = [ChildSpec(bodies.by_mail, args=(log.sender,), id=id, isolation="thread") for id in "ab"]
    with Supervisor(specs, strategy=strategy) as tree:
        take(log, 2)
        a, b = tree["a"], tree["b"]
        a.send("raise")
        a.send("still here")
        wait_until(lambda: a.epoch == 2 and a.alive and b.alive and b.epoch == (1 if strategy == "one_for_one" else 2), LIMIT)
        assert tree["a"] == a
        told = take(log, 2 if strategy == "one_for_one" else 4)
        assert ("a", "still here") in told


def test_quarantined_child_makes_room_at_once_and_the_group_keeps_its_order():
    """Stuck in C code when its group is restarted: given up, and the rest come up in order beside it."""
    log = csp.Channel(100)
    specs = [
        ChildSpec(bodies.in_c_once, args=(log.sender, 60_000_000), id="stuck", shutdown=0.1),
        ChildSpec(bodies.by_mail, args=(log.sender,), id="b"),
    ]
    with Supervisor(specs, strategy="one_for_all") as tree:
        take(log, 2)
        stuck = tree["stuck"]
        begun = time.monotonic()
        tree["b"].send("raise")
        assert take(log, 2) == [("up", "stuck", 2), ("up", "b", 2)]
        assert time.monotonic() - begun < 5
        assert tree["stuck"] == stuck == csp.whereis("stuck")
        assert tree.children()[0].last_exit.reason == "killed"
    wait_until(lambda: csp.testing.census()["interpreters"] == 1, LIMIT, "the end of the C code")
