"""Supervisors of supervisors: budgets multiply, ends go down, orderly and failed ends go up, and what was added is lost."""

import math
import threading

import pytest

import csp
from csp import ChildSpec, DynamicSupervisor, Supervisor
from csp.testing import wait_parked, wait_until
from tests.unit import end_bodies as bodies
from tests.unit.start_bodies import Gated
from tests.unit.supervision_rig import running

pytestmark = pytest.mark.usefixtures("no_leaks")

LIMIT = 20.0


def follows(id, **options):
    return ChildSpec(bodies.follows, id=id, isolation="thread", **options)


def states(supervisor):
    return {child.id: child.state for child in supervisor.children()}


# --- up ---


@pytest.mark.parametrize("budgets", [(0, 0), (1, 1), (2, 1), (1, 2, 1)])
def test_budgets_of_nested_supervisors_multiply(budgets):
    """As many lives as worst_case_restarts() says, and then the root has failed; the cause is known through all levels."""
    tree = ChildSpec(bodies.fails_at_once, id="it", isolation="thread")
    for level, budget in enumerate(budgets):
        tree = Supervisor([tree], max_restarts=budget, within=1000, id=f"s{level}")
    tree.start()
    with pytest.raises(csp.SupervisorError) as caught:
        tree.wait(LIMIT)
    path = "/".join([f"s{level}" for level in reversed(range(len(budgets) - 1))] + ["it"])
    ends = [event for event in tree.events if isinstance(event, csp.Exited) and event.id == path]
    assert len(ends) == tree.worst_case_restarts() == math.prod(budget + 1 for budget in budgets)
    error = caught.value
    for _ in range(len(budgets)):
        error = error.__cause__
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(("restart", "then"), [("permanent", None), ("transient", "finished"), ("temporary", "removed")])
def test_auto_shutdown_of_a_child_supervisor_is_an_orderly_end(restart, then):
    """A permanent one is started again, and charged for it, so that this cannot go on for ever; others have come to their end."""
    inner = Supervisor([follows("s", restart="transient", significant=True)], auto_shutdown="any_significant", restart=restart, id="in")
    with Supervisor([inner, follows("a")], max_restarts=1) as tree:
        tree["in/s"].send("return")
        if then is None:
            wait_until(lambda: tree.children()[0].restarts == 1, LIMIT)
            tree["in/s"].send("return")
            with pytest.raises(csp.SupervisorError) as caught:
                tree.wait(LIMIT)
            assert (caught.value.child, caught.value.reason) == ("in", "shutdown")
        else:
            wanted = {"a": "running"} if then == "removed" else {"in": then, "a": "running"}
            wait_until(lambda: states(tree) == wanted, LIMIT)
        assert csp.whereis("in/s") is None


def that_shuts_down_as_it_starts(gate, **options):
    """Its significant child has ended before the next one is up."""
    children = [follows("s", restart="transient", significant=True), ChildSpec(Gated, args=(gate,), id="late", isolation="thread")]
    return Supervisor(children, auto_shutdown="any_significant", **options)


@pytest.mark.parametrize(("restart", "then"), [("transient", {"in": "finished"}), ("temporary", {})])
def test_auto_shutdown_during_the_start_is_no_failed_start(restart, then):
    """Neither of a child supervisor, whose siblings go on to be started, nor of the root."""
    gate = csp.Channel()
    inner = that_shuts_down_as_it_starts(gate.receiver, id="in", restart=restart)
    for tree, id, wanted in ((Supervisor([inner, follows("a")]), "in/s", then | {"a": "running"}), (that_shuts_down_as_it_starts(gate.receiver), "s", None)):
        starter = threading.Thread(target=tree.start)
        starter.start()
        wait_parked(gate, receivers=1)
        csp.whereis(id).send("return")
        starter.join(LIMIT)
        if wanted is None:
            assert tree.wait(LIMIT) is None
        else:
            assert states(tree) == wanted
        tree.stop()
        assert tree.wait() is None


# --- down ---


def test_child_supervisor_has_all_the_time_it_needs():
    """Its shutdown is None by default: its children have theirs."""
    rig = running(Supervisor([], id="in"))
    rig.obedient = False
    assert rig.stop().take_log() == ["stop in"]
    assert rig.machine.next_due() is None


@pytest.mark.parametrize("shutdown", [0.05, "kill"])
def test_child_supervisor_that_runs_out_of_time_leaves_no_orphans(shutdown):
    """What it is still waiting for is killed with it, on all levels."""
    deepest = Supervisor([ChildSpec(bodies.stubborn, id="x", shutdown=None, isolation="thread"), follows("y")], id="deepest")
    inner = Supervisor([deepest, follows("z", shutdown=None)], id="in", shutdown=shutdown)
    with Supervisor([inner]) as tree:
        refs = [tree[path] for path in ("in/deepest/x", "in/deepest/y", "in/z")]
    assert not any(ref.alive for ref in refs)
    assert refs[0].join(0).reason == "killed"
    assert [csp.whereis(ref.name) for ref in refs] == [None] * 3
    assert states(inner) == {"deepest": "stopped", "z": "stopped"}
    assert states(deepest) == {"x": "stopped", "y": "stopped"}


@pytest.mark.parametrize("how", ["terminate_child", "stop"])
def test_child_supervisor_that_stops_for_its_group_can_be_ended_for_good_meanwhile(how):
    """The names below it, which were kept for its next life, are free at once; whoever asked waits for the rest."""
    gate = csp.Channel()
    slow = ChildSpec(bodies.takes_its_time, args=(gate.receiver,), id="slow", isolation="thread", shutdown=None)
    inner = Supervisor([slow, follows("c")], id="in")
    with Supervisor([follows("a"), inner], strategy="one_for_all") as tree, gate:
        c = tree["in/c"]
        tree["a"].send("raise")
        wait_until(lambda: states(inner) == {"slow": "stopping", "c": "stopped"}, LIMIT)
        assert csp.whereis("in/c") == c
        asker = threading.Thread(target=tree.stop if how == "stop" else lambda: tree.terminate_child("in"))
        asker.start()
        wait_until(lambda: csp.whereis("in/c") is None, LIMIT)
        assert states(inner) == {"slow": "stopping", "c": "stopped"}
        gate.send(None)
        asker.join(LIMIT)
        if how == "terminate_child":
            wait_until(lambda: states(tree) == {"a": "running", "in": "stopped"}, LIMIT)
        else:
            assert states(tree) == {"a": "stopped", "in": "stopped"}


# --- dynamic ones below ---


@pytest.mark.parametrize("why", ["its own failure", "a group restart"])
def test_children_of_a_dynamic_supervisor_are_lost_when_it_is_restarted(why):
    """Their names are free and their refs dead; it takes new ones."""
    pool = DynamicSupervisor(id="pool", max_restarts=0)
    with Supervisor([follows("a"), pool], strategy="one_for_all") as tree:
        refs = [pool.start_child(follows(id, restart="transient")) for id in "xy"]
        (refs[0] if why == "its own failure" else tree["a"]).send("raise")
        wait_until(lambda: tree.children()[1].restarts == 1, LIMIT)
        assert pool.children() == []
        for ref in refs:
            assert csp.whereis(ref.name) is None
            with pytest.raises(csp.ActorDied):
                ref.send("return")
        again = pool.start_child(follows("x"))
        assert again == csp.whereis("pool/x") and again.epoch == 1


# --- what is checked when a child is added ---


def test_supervisor_that_could_not_be_added_is_free_again():
    """It had no place yet: it can be added elsewhere, or be a root."""
    inner = Supervisor([ChildSpec(bodies.takes_its_time, args=((x for x in ()),), id="bad"), follows("good")], id="in")
    with Supervisor([]) as tree, DynamicSupervisor() as pool:
        for supervisor in (tree, pool):
            with pytest.raises(csp.SupervisorError, match="'in'"):
                supervisor.start_child(inner)
            assert supervisor.children() == []
    with pytest.raises(csp.SupervisorError, match="'bad'"):
        inner.start()


def test_running_tree_cannot_become_a_child():
    """Neither of a tree that is built nor of one that runs."""
    with Supervisor([], id="root") as root, DynamicSupervisor() as pool:
        with pytest.raises(ValueError, match="'root'"):
            pool.start_child(root)
        with pytest.raises(ValueError, match="'root'"):
            Supervisor([root])
        assert states(root) == {} and pool.children() == []


def test_tree_that_is_started_again_has_new_events():
    """Those of the first run have ended with it; below it, too."""
    inner = Supervisor([follows("b")], id="in")
    tree = Supervisor([inner])
    for _ in range(2):
        with tree:
            assert [event.id for event in (tree.events.recv(LIMIT), tree.events.recv(LIMIT))] == ["in/b", "in"]
            assert inner.events.recv(LIMIT) == csp.Started("b", inner["b"])
        assert [type(event) for event in inner.events] == [csp.Exited]


def test_significance_is_checked_by_start_child_too():
    """As when a tree is built; nothing is added."""
    significant = follows("s", restart="transient", significant=True)
    with Supervisor([]) as tree, DynamicSupervisor() as pool:
        for supervisor in (tree, pool):
            with pytest.raises(ValueError, match="'s'"):
                supervisor.start_child(significant)
            assert supervisor.children() == []
