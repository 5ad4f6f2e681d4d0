"""Rare moments of the state machine: each of these is a line that could be left out without any other test noticing."""

import pytest

from csp import Backoff
from csp._machine import Failure
from tests.unit.supervision_rig import Rig, running, spec

SLOW = Backoff(first=10.0, jitter=0.0)


def test_group_that_backs_off_wakes_only_when_its_turn_has_come():
    """A later member's delay sets no timer while an earlier one is starting: a wake-up in vain, again and again."""
    rig = running("a", spec("b", backoff=SLOW), strategy="one_for_all", max_restarts=9)
    rig.ends("b")
    rig.obedient = False
    rig.ends("a")  # the group begins again: a starts, b waits
    assert rig.states()["a"] == "starting"
    assert rig.machine.next_due() is None


@pytest.mark.parametrize("reason", ["normal", "failed"])
def test_child_that_is_down_has_no_deadline(reason):
    """It stays down, and the driver sleeps."""
    rig = running(spec("a", "transient", backoff=SLOW), "b")
    rig.ends("a", "failed")
    rig.command("terminate_child", "a")
    assert rig.machine.next_due() is None
    assert rig.later(100).take_log() == []


def test_restart_by_hand_is_no_restart():
    """`restarts` counts what the supervisor did; the event says Started."""
    rig = running("a")
    rig.command("terminate_child", "a")
    rig.events.clear()
    rig.command("restart_child", "a")
    assert rig.events == [("started", "a", None)]
    assert rig.child("a").restarts == 0


def test_late_up_of_a_child_that_is_being_stopped_changes_nothing():
    """It had come up when the stop was asked for; its end is waited for."""
    rig = Rig("a").start().stop()
    assert rig.states() == {"a": "stopping"}
    rig.up("a")
    assert rig.states() == {"a": "stopping"}
    assert rig.ends("a", "shutdown").take_log() == ["start a", "stop a", "down"]


def test_end_that_is_told_twice_counts_once():
    """A monitor that is late must not take the next life for dead."""
    rig = running("a", max_restarts=1)
    rig.obedient = False
    child = rig.child("a")
    rig.ends("a")
    rig.up("a")
    rig.command("terminate_child", "a")
    rig.ends("a", "shutdown")
    rig.machine.child_down(child, child.last_exit, rig.now)
    rig.settle()
    assert rig.states() == {"a": "stopped"}
    assert rig.take_log() == ["start a", "stop a"]


def test_start_by_hand_that_fails_after_the_first_life_keeps_the_child():
    """Added and once up: it is stopped, not forgotten; a static one is never forgotten."""
    rig = running("s")
    rig.command("start_child", spec("a"))
    for id in ("s", "a"):
        rig.command("terminate_child", id)
    rig.obedient = False
    for id in ("s", "a"):
        rig.command("restart_child", id, id)
        rig.fails_to_start(id)
        assert isinstance(rig.answers[id], Failure)
    assert rig.states() == {"s": "stopped", "a": "stopped"}


def test_restart_that_fails_during_the_first_start_is_a_restart():
    """The child had been up: it is retried, the start goes on."""
    rig = Rig("a", "b").start().up("a")
    rig.ends("a").fails_to_start("a")
    assert rig.take_log() == ["start a", "start b", "start a", "start a"]


@pytest.mark.parametrize("may_return", [False, True])
@pytest.mark.parametrize("restart", ["permanent", "transient"])
def test_names_after_a_failed_start(may_return, restart):
    """Those of the siblings are kept if a parent may start the supervisor again, else given up."""
    rig = Rig(spec("a", restart), "b", may_return=may_return).start().up("a").fails_to_start("b").ends("a", "shutdown")
    assert rig.kept["a"] == may_return


@pytest.mark.parametrize(("restart", "reason", "kept"), [("transient", "normal", False), ("transient", "failed", True), ("permanent", "normal", True)])
def test_names_of_children_that_end_while_a_supervisor_stops_to_come_back(restart, reason, kept):
    """One that came to its own end meanwhile will not be started by its next life under the same name."""
    rig = running(spec("a", restart), may_return=True)
    rig.obedient = False
    rig.stop(final=False).ends("a", reason)
    assert rig.kept["a"] == kept


@pytest.mark.parametrize(
    ("restart", "reason", "state"), [("transient", "shutdown", "running"), ("permanent", "normal", "running"), ("transient", "normal", "finished")]
)
def test_which_ends_in_a_group_stop_are_its_own(restart, reason, state):
    """Only a transient child's normal end is; a permanent one comes back whatever it returned."""
    rig = running("a", spec("b", restart), strategy="one_for_all")
    rig.obedient = False
    rig.ends("a").ends("b", reason).up("a")
    if state == "running":
        rig.up("b")
    assert rig.states()["b"] == state


def test_giving_up_after_the_start_is_no_failed_start():
    """And during it, it is one."""
    assert running("a", max_restarts=0).ends("a").outcome.at_start is False
    rig = Rig("a", "b", max_restarts=0).start().up("a").ends("a").ends("b", "shutdown", started=False)
    assert rig.outcome.at_start is True


def test_terminate_during_a_group_stop_gives_the_name_up():
    """The stop said that a life follows; now none does."""
    rig = running("a", "b", strategy="one_for_all")
    rig.obedient = False
    rig.ends("a")
    assert rig.kept["b"]
    rig.command("terminate_child", "b")
    assert not rig.kept["b"]
    rig.ends("b", "shutdown")
    assert rig.states()["b"] == "stopped"
    assert rig.answers["token"].reason == "shutdown"


def test_added_children_do_not_keep_their_names_for_the_next_life():
    """It does not know them."""
    rig = running("a", may_return=True)
    rig.command("start_child", spec("b"))
    rig.stop(final=False)
    assert rig.kept == {"a": True, "b": False}


def test_caller_whose_child_waits_for_its_turn_is_answered_at_the_stop():
    """Not left waiting for a start that never comes."""
    rig = running("a", spec("b", backoff=SLOW), strategy="one_for_all")
    rig.ends("b")
    rig.obedient = False
    rig.ends("a", "killed")
    assert rig.command("start_child", spec("c"), "asked") == "pending"
    rig.stop()
    assert rig.answers["asked"].reason == "shutdown"


def test_a_stop_leaves_no_timer_of_a_back_off():
    """Nothing is due once it is down."""
    rig = running(spec("a", backoff=SLOW), "b").ends("a")
    rig.obedient = False
    rig.stop()
    assert rig.machine.next_due() == pytest.approx(rig.now + 5.0)  # b's shutdown
    assert rig.child("a").due is None


def test_significant_child_that_is_starting_counts_as_running():
    """all_significant waits for it."""
    significant = {"restart": "transient", "significant": True}
    rig = running(spec("a", **significant), spec("b", **significant), auto_shutdown="all_significant")
    rig.obedient = False
    rig.ends("b").ends("a", "normal")
    assert "down" not in rig.take_log()
    rig.up("b").ends("b", "normal")
    assert rig.take_log() == ["down"]


def test_terminated_after_it_had_finished_is_stopped():
    """`finished` says that it ended by itself and nobody touched it since."""
    rig = running(spec("a", "transient")).ends("a", "normal")
    assert rig.states() == {"a": "finished"}
    rig.command("terminate_child", "a")
    assert rig.states() == {"a": "stopped"}
    rig.command("restart_child", "a")
    assert rig.states() == {"a": "running"}
    rig.command("terminate_child", "a")
    assert rig.states() == {"a": "stopped"}


@pytest.mark.parametrize("what", ["terminate_child", "delete_child"])
@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_group_goes_on_when_the_child_it_waits_for_is_taken_away(what, strategy):
    """At once, not with the next event."""
    rig = running(spec("a", backoff=SLOW), "b", strategy=strategy).ends("a")
    rig.take_log()
    rig.command(what, "a")
    assert rig.take_log() == ["start b"]


def test_child_that_waits_in_a_group_cannot_be_started_by_hand():
    """Its turn comes: a second start would be one too many."""
    rig = running("a", "b", strategy="one_for_all")
    rig.obedient = False
    rig.ends("a").ends("b", "shutdown")
    assert rig.command("restart_child", "b").reason == "restarting"


def test_restart_by_hand_begins_the_row_of_failures_anew():
    """And leaves no timer of the old back-off behind."""
    rig = running(spec("a", backoff=Backoff(first=1.0, factor=10.0, max=100.0, jitter=0.0)), max_restarts=9)
    rig.ends("a").later(1).ends("a")
    rig.command("restart_child", "a")
    assert rig.machine.next_due() is None
    rig.ends("a")
    assert rig.machine.next_due() == pytest.approx(rig.now + 1.0)


def test_start_child_of_one_for_one_does_not_wait_for_the_first_start():
    """A sibling that comes up slowly holds up nobody."""
    rig = Rig("a").start()
    rig.take_log()
    rig.command("start_child", spec("b"))
    assert rig.take_log() == ["start b"]


@pytest.mark.parametrize(("shutdown", "killed_after"), [(0.5, 0.5), (5.0, 1.0), (None, 1.0)])
def test_hurry_shortens_the_patience_and_never_adds_to_it(shutdown, killed_after):
    """A second at most, its own shutdown if that is less."""
    rig = running(spec("a", shutdown=shutdown))
    rig.obedient = False
    rig.machine.hurry(rig.now)
    rig.settle()
    assert rig.take_log() == ["stop a"]
    assert rig.machine.next_due() == pytest.approx(rig.now + killed_after)


def test_kill_reaches_children_that_are_starting_and_none_twice():
    """One that is being killed has had its kill; its grace is not begun again."""
    rig = running("a", spec("b", shutdown="kill"))
    rig.obedient = False
    rig.command("restart_child", "a")
    rig.command("terminate_child", "b")
    due = rig.machine.next_due()
    rig.now += 0.5
    rig.machine.kill(rig.now)
    rig.settle()
    assert rig.take_log() == ["kill b", "kill a"]
    assert rig.child("b").due == due
    starting = Rig("c").start()
    starting.machine.kill(starting.now)
    assert starting.settle().take_log() == ["start c", "stop c", "kill c"]


def test_group_member_that_has_to_be_killed_comes_back():
    """Its stop became a kill; why it was stopped is not forgotten."""
    rig = running("a", spec("b", shutdown=1.0), strategy="one_for_all")
    rig.obedient = False
    rig.ends("a").later(1.0)
    assert rig.take_log() == ["stop b", "kill b"]
    rig.ends("b", "killed").up("a")
    assert rig.take_log() == ["start a", "start b"]
