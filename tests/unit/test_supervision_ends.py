"""Every way in which a real child can end, under every restart type and strategy."""

import itertools
import threading

import pytest

import csp
from csp import Backoff, ChildSpec, Supervisor
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


def follows(id, **options):
    return ChildSpec(bodies.follows, id=id, isolation="thread", **options)


def states(supervisor):
    return {child.id: child.state for child in supervisor.children()}


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
    it = ChildSpec(actor, id="it", restart=restart, isolation="thread")
    with Supervisor([follows("before"), it, follows("after")], strategy=strategy) as tree:
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


@pytest.mark.parametrize("restart", ["permanent", "transient"])
@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_sibling_that_its_group_takes_down_keeps_what_it_has(strategy, restart):
    """Ref, name and mailbox: its stop is no end of its own, whatever its restart type."""
    with Supervisor([follows("it"), follows("sibling", restart=restart)], strategy=strategy) as tree:
        it, sibling = tree["it"], tree["sibling"]
        it.send("raise")
        wait_until(lambda: lives(tree) == {"it": ("running", 2), "sibling": ("running", 2)}, LIMIT)
        assert tree["sibling"] == sibling == csp.whereis("sibling")
        exited, held = sibling.exited, threading.Event()
        tree._tree.command("look", held.wait, LIMIT)  # it is not the supervisor's doing, which hears of it later
        sibling.send("done")
        assert exited.recv(LIMIT).value == "done"
        assert (csp.whereis("sibling") is None) == (restart == "transient"), "an end of its own, this time"
        held.set()


def test_sibling_that_somebody_else_stops_while_its_group_is_stopped_comes_back():
    """For the group it is one of those that were stopped; what it had is gone, so it is another actor of that name."""
    gate = csp.Channel()
    slow = ChildSpec(bodies.takes_its_time, args=(gate.receiver,), id="slow", isolation="thread", shutdown=None)
    with Supervisor([follows("it"), follows("sibling", restart="transient"), slow], strategy="one_for_all") as tree, gate:
        sibling = tree["sibling"]
        tree["it"].send("raise")
        wait_until(lambda: states(tree)["slow"] == "stopping", LIMIT)
        assert sibling.stop().reason == "shutdown"
        gate.send(None)
        wait_until(lambda: states(tree) == dict.fromkeys(("it", "sibling", "slow"), "running"), LIMIT)
        assert tree["sibling"] == csp.whereis("sibling") != sibling


# --- between two lives ---


@pytest.mark.parametrize("isolation", ["interpreter", "thread"])
def test_each_life_is_given_the_same_arguments(isolation):
    """What a life did to its own is gone with it, also where actors share the interpreter with their supervisor."""
    log, memory, options = csp.Channel(4), ["given"], {"n": 1}
    spec = ChildSpec(bodies.changes_its_arguments, args=(log.sender, memory), kwargs={"options": options}, id="it", isolation=isolation)
    with Supervisor([spec]) as tree:
        for _ in range(3):
            assert log.recv(LIMIT) == (["given"], {"n": 1})
            tree["it"].send("now")
        assert log.recv(LIMIT) == (["given"], {"n": 1})
    assert (memory, options) == (["given"], {"n": 1})


NEVER = Backoff(first=1000, max=1000)  # not in this test


@pytest.mark.parametrize("verb", ["join", "stop", "kill", "drain"])
def test_verbs_between_lives_speak_of_the_last_one(verb):
    """At once; none of them is about the life to come, which comes."""
    with Supervisor([follows("a", backoff=NEVER)]) as tree:
        ref = tree["a"]
        assert ref.alive
        ref.send("raise")
        wait_until(lambda: states(tree) == {"a": "restarting"}, LIMIT)
        assert not ref.alive
        assert getattr(ref, verb)().reason == "failed"
        assert ref.exited.recv(LIMIT).reason == "failed"
        assert states(tree) == {"a": "restarting"} and csp.whereis("a") == ref
        assert tree.restart_child("a") == ref and ref.epoch == 2
        exited = ref.exited
        ref.send("done")
        assert exited.recv(LIMIT).value == "done"



def test_mailbox_survives_one_back_off_after_the_other():
    """Also if the first message of what had waited fails again: what is behind it is served by the life after that."""
    with Supervisor([follows("a", backoff=Backoff(first=0.05, factor=1.0, jitter=0))], max_restarts=10) as tree:
        ref = tree["a"]
        for order in ("raise", "raise", "raise", "wait", "wait"):
            ref.send(order)
        wait_until(lambda: ref.epoch == 6 and ref.alive, LIMIT)
        assert [ref.statistics().queued, ref.statistics().discarded] == [0, 0]
        assert tree.children()[0].last_exit.value == "wait"


@pytest.mark.parametrize("how", ["terminate_child", "delete_child", "stop"])
def test_calls_that_wait_for_a_life_fail_when_none_is_left(how):
    """At once, as do those that come later."""
    with Supervisor([ChildSpec(bodies.Answers, id="a", isolation="thread", backoff=NEVER)]) as tree:
        ref = tree["a"]
        ref.cast.fail()
        wait_until(lambda: states(tree) == {"a": "restarting"}, LIMIT)
        reply = ref.ask.answer()
        assert not csp.select([reply], timeout=0.02)
        tree.stop() if how == "stop" else getattr(tree, how)("a")
        for late in (reply, ref.ask):
            with pytest.raises(csp.ActorDied):
                (late.answer() if late is not reply else late).result(LIMIT)


def test_calls_that_wait_for_a_life_are_answered_by_it():
    """Whoever asked does not notice that there was none."""
    with Supervisor([ChildSpec(bodies.Answers, id="a", isolation="thread", backoff=NEVER)]) as tree:
        ref = tree["a"]
        ref.cast.fail()
        wait_until(lambda: states(tree) == {"a": "restarting"}, LIMIT)
        reply = ref.ask.answer()
        tree.restart_child("a")
        assert reply.result(LIMIT) == 2
