"""What ended interpreters cost on CPython 3.13: the estimate, the warning, and the budget that ends a tree.  From 3.14 on: nothing."""

import sys
import warnings

import pytest

import csp
from csp import ChildSpec, DynamicSupervisor, Supervisor, actors
from csp.cli.run import shape
from csp.testing import wait_until
from tests.unit import actor_bodies, runner_trees

LIMIT = 20.0
LEAKS = sys.version_info < (3, 14)
on_3_13 = pytest.mark.skipif(not LEAKS, reason="nothing leaks from 3.14 on")
from_3_14 = pytest.mark.skipif(LEAKS, reason="3.13 leaks")


def resident():
    with open("/proc/self/statm") as figures:
        return int(figures.read().split()[1]) * 4096


@on_3_13
def test_estimate_is_near_what_the_process_loses():
    """Within a factor of two, for actors that import little."""
    csp.spawn(actor_bodies.add, 1).join()
    before, estimate = resident(), csp.debug.leaked()
    for _ in range(15):
        csp.spawn(actor_bodies.add, 1).join()
    lost, estimated = resident() - before, csp.debug.leaked() - estimate
    assert lost / 2 < estimated < lost * 2


@from_3_14
def test_nothing_is_lost():
    """The estimate stays 0."""
    csp.spawn(actor_bodies.add, 1).join()
    assert csp.debug.leaked() == 0


@on_3_13
def test_tree_ends_in_order_past_its_budget():
    """No further life; siblings are stopped; wait raises SupervisorError with the reason."""
    crash = ChildSpec(runner_trees.boom, id="crash")
    # The start of "crash" is over before its end can be heard.
    tree = Supervisor([ChildSpec(runner_trees.idle, id="first"), crash], memory_budget=csp.debug.leaked() + 1)
    tree.start()
    with pytest.raises(csp.SupervisorError, match="memory budget is used up") as caught:
        tree.wait(LIMIT)
    assert caught.value.reason == "memory_budget"
    assert {child.id: (child.restarts, child.last_exit.reason) for child in tree.children()} == {
        "first": (0, "shutdown"),
        "crash": (0, "failed"),
    }


@on_3_13
def test_interpreters_of_others_count(monkeypatch):
    """The budget is the process's: the tree looks from time to time, though none of its own children ends."""
    monkeypatch.setattr("csp._tree._MEMORY_PERIOD", 0.05)
    tree = Supervisor([runner_trees.idle], memory_budget=csp.debug.leaked() + 1)
    tree.start()
    csp.spawn(actor_bodies.add, 1).join()
    with pytest.raises(csp.SupervisorError, match="memory budget is used up"):
        tree.wait(LIMIT)


@from_3_14
def test_budget_has_no_effect():
    """A child is started again as without one."""
    crash = ChildSpec(runner_trees.boom, id="crash")
    with Supervisor([crash], memory_budget=1, max_restarts=1000) as tree:
        wait_until(lambda: tree.children()[0].restarts >= 3, LIMIT)


@on_3_13
def test_warning_is_given_once(monkeypatch):
    """At the next start in the main interpreter, with the figures."""
    csp.spawn(actor_bodies.add, 1).join()
    monkeypatch.setattr(actors, "_LEAK_WORTH_A_WARNING", 1)
    monkeypatch.setattr(actors, "_warned", False)
    with pytest.warns(RuntimeWarning, match=r"\d+ interpreters have ended, and about \d+ MiB with them") as caught:
        csp.spawn(actor_bodies.add, 1).join()
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        csp.spawn(actor_bodies.add, 1).join()


@on_3_13
def test_warning_never_fails_a_start(monkeypatch, capsys):
    """With warnings as errors it goes to stderr."""
    csp.spawn(actor_bodies.add, 1).join()
    monkeypatch.setattr(actors, "_LEAK_WORTH_A_WARNING", 1)
    monkeypatch.setattr(actors, "_warned", False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert csp.spawn(actor_bodies.add, 1).join().reason == "normal"
    assert "interpreters have ended" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [0, -1, "1", True, float("nan")])
@pytest.mark.parametrize("kind", [lambda **k: Supervisor([], **k), DynamicSupervisor])
def test_budget_is_checked(wrong, kind):
    """ValueError names the supervisor."""
    with pytest.raises(ValueError, match="'top': memory_budget must be a number of bytes above 0"):
        kind(memory_budget=wrong, id="top")


def test_budget_is_the_roots():
    """A child supervisor cannot have one."""
    below = Supervisor([], id="below", memory_budget=2**30)
    with pytest.raises(ValueError, match="'below': memory_budget is an option of the root"):
        Supervisor([below])


def test_shape_says_it():
    """`csp tree` prints it."""
    assert "memory budget 512 MiB" in shape(Supervisor([], memory_budget=512 * 2**20))[0]
