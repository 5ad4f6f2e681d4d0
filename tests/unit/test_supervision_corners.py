"""Rare moments of the state machine: each of these is a line that could be left out without any other test noticing."""

import pytest

from csp import Backoff, Supervisor
from csp._machine import Failure
from tests.unit.supervision_rig import Rig, TimedSpec, running, spec

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
    assert rig.take_log() == ["start b"]
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


def test_child_that_was_terminated_in_a_group_is_no_member_of_the_next():
    """Started by hand after that, it is on its own: rest_for_one, and a later child fails while it comes up."""
    rig = running("a", "b", "c", strategy="rest_for_one")
    rig.obedient = False
    rig.ends("a").ends("c", "shutdown")
    rig.command("terminate_child", "b", "off")
    rig.ends("b", "shutdown").up("a", "c")
    rig.command("restart_child", "b")
    rig.take_log()
    rig.ends("c")
    assert rig.take_log() == ["start c"]
    assert rig.states() == {"a": "running", "b": "starting", "c": "starting"}


def test_child_that_was_terminated_and_restarted_comes_back_with_its_group():
    """That it was terminated once is forgotten with that life."""
    rig = running("a", "b", strategy="one_for_all")
    rig.command("terminate_child", "b")
    rig.command("restart_child", "b")
    rig.take_log()
    rig.ends("a")
    assert rig.take_log() == ["stop b", "start a", "start b"]
    assert rig.states() == {"a": "running", "b": "running"}


def test_child_that_comes_up_as_its_time_is_over_has_failed_to_start():
    """It is being killed for it: the first start is not retried, whatever it says now."""
    rig = Rig("a")
    rig.child("a").spec = TimedSpec(rig.child("a").spec, 2.0)
    rig.start().later(2.0).up("a").ends("a", "killed", started=True)
    assert rig.take_log() == ["start a", "kill a", "down"]
    assert rig.outcome is not None and rig.outcome.at_start


def test_earlier_child_that_crashes_while_a_rest_for_one_group_is_stopped_comes_back():
    """It is none of those that are stopped: its own failure widens the group, and is charged."""
    rig = running("a", "b", "c", strategy="rest_for_one", max_restarts=2)
    rig.obedient = False
    rig.ends("b").ends("a")
    assert rig.take_log() == ["stop c"]
    rig.ends("c", "shutdown").up("a", "b", "c")
    assert rig.take_log() == ["start a", "start b", "start c"]
    assert rig.child("a").restarts == 1
    assert rig.ends("c").machine.phase == "stopping", "two were charged, the third is one too many"


def test_static_child_whose_first_start_is_by_hand_is_kept_if_it_fails():
    """It was terminated before its turn had come; what is in the specs is forgotten by delete_child alone."""
    rig = Rig("a", "b").start()
    rig.command("terminate_child", "b", "off")
    rig.up("a")
    rig.command("restart_child", "b")
    rig.fails_to_start("b")
    assert isinstance(rig.answers["token"], Failure)
    assert rig.states() == {"a": "running", "b": "stopped"}


def test_temporary_child_that_is_terminated_before_its_turn_is_removed():
    """Nothing could start it again; whoever asked for it hears of it."""
    rig = running("a", "b", strategy="one_for_all")
    rig.obedient = False
    rig.ends("a")
    rig.command("start_child", spec("t", "temporary"), "asked")
    assert rig.command("terminate_child", "t") is None
    assert rig.answers["asked"].reason == "terminated"
    assert rig.states() == {"a": "restarting", "b": "stopping"}


def test_hurry_goes_on_to_child_supervisors():
    """They are asked to hurry too: how much time they have left is nothing that their own children know."""
    rig = running(Supervisor([], id="in"), "a")
    rig.obedient = False
    rig.machine.hurry(rig.now)
    assert rig.settle().take_log() == ["stop a", "stop in", "hurry in"]


def test_kill_reaches_each_of_several_that_are_starting():
    """Also those whose turn to be stopped has not come."""
    rig = running("a", "b", "c")
    rig.obedient = False
    rig.ends("a").ends("b")
    rig.take_log()
    rig.machine.kill(rig.now)
    assert sorted(rig.settle().take_log()) == ["kill a", "kill b", "kill c", "stop c"]


def test_one_that_had_finished_once_and_is_stopped_with_its_supervisor_is_stopped():
    """`finished` is said of its last life."""
    rig = running(spec("a", "transient"), may_return=True).ends("a", "normal")
    rig.command("restart_child", "a")
    rig.stop(final=False)
    assert rig.states() == {"a": "stopped"}


def test_timer_of_a_deleted_child_is_not_the_one_of_its_successor():
    """A stale restart would revive it: the new child of that id is started once, when it was asked for."""
    rig = running(spec("a", backoff=SLOW)).ends("a")
    rig.command("delete_child", "a")
    rig.obedient = False
    rig.command("start_child", spec("a"))
    rig.take_log()
    assert rig.later(100).take_log() == []
    assert rig.states() == {"a": "starting"}


def test_restart_that_does_not_come_up_in_time_is_killed_charged_and_tried_again():
    """Not the end of the supervisor, as at the first start; its group begins again with it."""
    rig = running("a", "b", strategy="rest_for_one", max_restarts=2)
    rig.child("b").spec = TimedSpec(rig.child("b").spec, 2.0)
    rig.obedient = False
    rig.ends("b").later(2.0)
    assert rig.take_log() == ["start b", "kill b"]
    rig.ends("b", "killed", started=False)
    assert rig.take_log() == ["start b"]
    rig.later(2.0).ends("b", "killed", started=False)
    assert rig.take_log() == ["kill b", "stop a"]
    assert rig.outcome is None and rig.machine.phase == "stopping"
