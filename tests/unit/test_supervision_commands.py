"""The rules of supervision, on the state machine alone: back-off, commands, stopping, auto_shutdown, dynamic children."""

import pytest

from csp._machine import Failure, Refusal
from csp._specs import Backoff
from tests.unit.supervision_rig import Rig, running, spec

REASONS = ("normal", "shutdown", "failed", "killed", "watchdog")
STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")


# --- back-off ---


def delays(backoff, failures, random=0.0):
    return [round(backoff.delay(n, random), 6) for n in range(1, failures + 1)]


def test_backoff_grows_by_the_factor_up_to_the_maximum():
    """min(max, first * factor**n)."""
    assert delays(Backoff(first=1, factor=2, max=10, jitter=0), 6) == [1, 2, 4, 8, 10, 10]


def test_jitter_is_added_at_random_up_to_its_share():
    """Between 1 and 1 + jitter times the delay."""
    assert delays(Backoff(first=1, factor=2, max=10, jitter=0.5), 2, random=0.0) == [1, 2]
    assert delays(Backoff(first=1, factor=2, max=10, jitter=0.5), 2, random=1.0) == [1.5, 3]


def test_many_failures_do_not_overflow():
    """The maximum, after a thousand failures and more."""
    assert Backoff(jitter=0).delay(100_000, 0.0) == 30.0


def test_backoff_delays_the_restart_and_nobody_else():
    """It is charged at once, started when due; siblings run, and are restarted meanwhile."""
    rig = running(spec("a", backoff=Backoff(first=2, jitter=0)), "b").ends("a")
    assert rig.take_log() == []
    assert rig.states() == {"a": "restarting", "b": "running"}
    assert rig.ends("b").take_log() == ["start b"]
    assert rig.later(1.9).take_log() == []
    assert rig.later(0.2).take_log() == ["start a"]


def test_failed_restarts_back_off_too():
    """The row of failures goes on."""
    rig = running(spec("a", backoff=Backoff(first=1, factor=3, jitter=0)), max_restarts=10)
    rig.obedient = False
    rig.ends("a").later(1).fails_to_start("a").later(2.9)
    assert rig.take_log() == ["start a"]
    assert rig.later(0.2).take_log() == ["start a"]


@pytest.mark.parametrize(("lived", "wait"), [(9.9, 4.0), (10.0, 1.0)])
def test_row_of_failures_ends_with_a_life_of_reset_after(lived, wait):
    """A shorter life continues it."""
    rig = running(spec("a", backoff=Backoff(first=1, factor=2, jitter=0, reset_after=10)), max_restarts=10, within=1000)
    rig.ends("a").later(1).ends("a").later(2)
    rig.later(lived)
    rig.take_log()
    rig.ends("a").later(wait - 0.01)
    assert rig.take_log() == []
    assert rig.later(0.02).take_log() == ["start a"]


def test_budget_counts_while_backing_off():
    """The pauses do not hide the failures from it."""
    rig = running(spec("a", backoff=Backoff(first=0.1, jitter=0)), max_restarts=2, within=100)
    rig.ends("a").later(1).ends("a").later(1)
    assert "down" in rig.ends("a").take_log()


def test_group_waits_for_its_culprit_at_its_turn():
    """Those before it in the order come back at once, those after it with it."""
    rig = running("a", spec("b", backoff=Backoff(first=2, jitter=0)), "c", strategy="one_for_all").ends("b")
    assert rig.take_log() == ["stop c", "stop a", "start a"]
    assert rig.states() == {"a": "running", "b": "restarting", "c": "restarting"}
    assert rig.later(2).take_log() == ["start b", "start c"]


# --- commands while something is pending ---


@pytest.mark.parametrize("what", ["terminate_child", "delete_child"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_stopping_or_deleting_cancels_a_pending_restart_for_good(what, strategy):
    """No timer brings it back, ever."""
    rig = running("a", spec("b", backoff=Backoff(first=2, jitter=0)), "c", strategy=strategy).ends("b")
    assert rig.command(what, "b") is None
    rig.take_log()
    rig.later(1000)
    assert "start b" not in rig.take_log()
    assert rig.states() == {"a": "running", "c": "running"} | ({"b": "stopped"} if what == "terminate_child" else {})
    assert not rig.kept["b"]


def test_stop_is_answered_while_children_back_off():
    """Nothing is waited for that is not running."""
    rig = running(spec("a", backoff=Backoff(first=20, jitter=0))).ends("a").stop()
    assert rig.take_log() == ["down"]
    assert rig.outcome is None
    assert rig.later(1000).take_log() == []


def test_stop_while_a_child_starts_stops_that_child():
    """It need not come up first."""
    rig = Rig("a", "b").start().up("a")
    rig.take_log()
    rig.stop()
    assert rig.take_log() == ["stop b"]
    rig.ends("b", "shutdown", started=False).ends("a", "shutdown")
    assert rig.take_log() == ["stop a", "down"]


def test_terminate_answers_with_the_exit():
    """Once it has ended; None if it did not run."""
    rig = running("a")
    rig.obedient = False
    assert rig.command("terminate_child", "a") == "pending"
    rig.ends("a", "shutdown")
    assert rig.answers["token"].reason == "shutdown"
    assert rig.command("terminate_child", "a") is None


def test_terminate_of_one_that_crashes_first_does_not_restart_it():
    """The race is the user's."""
    rig = running("a")
    rig.obedient = False
    rig.command("terminate_child", "a")
    rig.take_log()
    rig.ends("a", "failed")
    assert rig.take_log() == []
    assert rig.states() == {"a": "stopped"}


def test_terminated_temporary_child_is_removed():
    """Nothing could start it again."""
    rig = running(spec("a", "temporary"))
    rig.command("terminate_child", "a")
    assert rig.states() == {}


@pytest.mark.parametrize("what", ["terminate_child", "restart_child", "delete_child"])
def test_unknown_id_is_a_key_error(what):
    """For each of the commands."""
    assert isinstance(running("a").command(what, "z"), KeyError)


def test_running_child_is_neither_restarted_nor_deleted():
    """Refused, with the reason; nothing happens."""
    rig = running("a")
    for what in ("restart_child", "delete_child"):
        answer = rig.command(what, "a")
        assert isinstance(answer, Refusal) and answer.reason == "running"
    assert rig.take_log() == []


def test_restart_child_ends_a_back_off():
    """At once, and at no cost."""
    rig = running(spec("a", backoff=Backoff(first=100, jitter=0))).ends("a")
    assert rig.command("restart_child", "a") is rig.child("a")
    assert rig.take_log() == ["start a"]
    assert rig.later(1000).take_log() == []


def test_restart_of_a_finished_child_by_hand():
    """It runs again, and its end is judged as before."""
    rig = running(spec("a", "transient")).ends("a", "normal")
    rig.command("restart_child", "a")
    assert rig.states() == {"a": "running"}
    assert rig.ends("a", "failed").states() == {"a": "running"}


def test_restart_by_hand_that_fails_is_the_callers_failure():
    """The child stays stopped, nothing is charged."""
    rig = running("a", max_restarts=0)
    rig.command("terminate_child", "a")
    rig.obedient = False
    assert rig.command("restart_child", "a") == "pending"
    rig.fails_to_start("a")
    assert isinstance(rig.answers["token"], Failure)
    assert rig.states() == {"a": "stopped"}


def test_start_child_adds_it_at_the_end():
    """And it is restarted and stopped as the others are."""
    rig = running("a")
    assert rig.command("start_child", spec("b")) is rig.child("b")
    assert list(rig.states()) == ["a", "b"]
    rig.take_log()
    assert rig.ends("b").take_log() == ["start b"]
    assert rig.stop().take_log() == ["stop b", "stop a", "down"]


def test_start_child_that_fails_is_not_added():
    """The id is free again."""
    rig = running("a", max_restarts=0)
    rig.obedient = False
    rig.command("start_child", spec("b"))
    rig.fails_to_start("b")
    assert isinstance(rig.answers["token"], Failure)
    assert list(rig.states()) == ["a"]


def test_start_child_with_an_id_that_is_taken():
    """ValueError, whatever the other one does, restarting too."""
    rig = running(spec("a", backoff=Backoff(first=100))).ends("a")
    assert isinstance(rig.command("start_child", spec("a")), ValueError)


def test_start_child_that_is_terminated_while_it_starts():
    """Its caller hears so."""
    rig = running("a")
    rig.obedient = False
    rig.command("start_child", spec("b"), "first")
    rig.command("terminate_child", "b", "second")
    assert isinstance(rig.answers["first"], Refusal)
    rig.ends("b", "shutdown", started=False)
    assert rig.answers["second"].reason == "shutdown"


def test_commands_during_the_end_are_refused():
    """Nothing starts any more."""
    rig = running("a", "b")
    rig.obedient = False
    rig.stop()
    for answer in (rig.command("start_child", spec("c")), rig.command("restart_child", "b")):
        assert isinstance(answer, Refusal) and answer.reason == "shutdown"


def test_start_child_in_the_middle_of_a_group_restart_waits_for_its_turn():
    """It is started once those before it are up."""
    rig = running("a", "b", strategy="one_for_all")
    rig.obedient = False
    rig.ends("a")
    rig.take_log()
    assert rig.command("start_child", spec("c")) == "pending"
    rig.ends("b", "shutdown").up("a", "b")
    assert rig.take_log() == ["start a", "start b", "start c"]
    rig.up("c")
    assert rig.answers["token"] is rig.child("c")


def test_restart_child_in_the_middle_of_a_group_restart_waits_for_the_one_that_starts():
    """Although it stands before it: in a group children come up one after the other."""
    rig = running("a", "b", "c", strategy="one_for_all")
    rig.obedient = False
    rig.command("terminate_child", "a")
    rig.ends("a", "shutdown").ends("b").ends("c", "shutdown")
    rig.take_log()
    assert rig.states() == {"a": "stopped", "b": "starting", "c": "restarting"}
    assert rig.command("restart_child", "a", "again") == "pending"
    assert rig.later(1).take_log() == []
    rig.up("b")
    assert rig.take_log() == ["start a"]
    rig.up("a")
    assert rig.answers["again"] is rig.child("a")
    assert rig.take_log() == ["start c"]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_restart_child_while_the_group_backs_off_is_done_at_once(strategy):
    """Of a child before the culprit; the group goes on when the delay is over."""
    rig = running("a", spec("b", backoff=Backoff(first=5.0, jitter=0.0)), "c", strategy=strategy)
    rig.command("terminate_child", "a")
    rig.ends("b")
    rig.take_log()
    assert rig.command("restart_child", "a") is rig.child("a")
    assert rig.later(4.9).take_log() == ["start a"]
    assert rig.later(0.2).take_log() == ["start b", "start c"]


def test_child_that_is_deleted_before_its_turn_is_answered():
    """Whoever waits for it to come up hears that it never will."""
    rig = running("a", "b", strategy="one_for_all")
    rig.obedient = False
    rig.ends("a")
    rig.command("start_child", spec("c"), "first")
    assert rig.command("delete_child", "c", "second") is None
    answer = rig.answers["first"]
    assert isinstance(answer, Refusal) and answer.reason == "deleted"
    rig.ends("b", "shutdown").up("a", "b")
    assert list(rig.states()) == ["a", "b"]


# --- stopping ---


def test_static_children_stop_one_after_the_other_in_reverse():
    """Each is waited for."""
    rig = running("a", "b", "c")
    rig.obedient = False
    rig.stop()
    assert rig.take_log() == ["stop c"]
    rig.ends("c", "shutdown").ends("b", "shutdown").ends("a", "shutdown")
    assert rig.take_log() == ["stop b", "stop a", "down"]


def test_dynamic_children_stop_all_at_once():
    """The total is the longest, not the sum."""
    rig = running(dynamic=True)
    for id in "abc":
        rig.command("start_child", spec(id))
    rig.obedient = False
    rig.take_log()
    rig.stop()
    assert sorted(rig.take_log()) == ["stop a", "stop b", "stop c"]
    rig.ends("b", "shutdown").ends("a", "shutdown")
    assert rig.take_log() == []
    assert rig.ends("c", "shutdown").take_log() == ["down"]


def test_each_has_its_own_shutdown_then_a_kill_then_quarantine():
    """Three that do not hear: the sum of their times, and a second of grace each."""
    rig = running(spec("a", shutdown=0.2), spec("b", shutdown=0.3))
    rig.obedient = False
    rig.stop().later(0.29)
    assert rig.take_log() == ["stop b"]
    assert rig.later(0.02).take_log() == ["kill b"]
    assert rig.later(0.98).take_log() == []
    assert rig.later(0.02).take_log() == ["quarantine b"]
    rig.ends("b", "killed").later(0.2)
    assert rig.take_log() == ["stop a", "kill a"]
    assert rig.ends("a", "killed").take_log() == ["down"]


def test_shutdown_none_waits_for_ever():
    """No deadline at all."""
    rig = running(spec("a", shutdown=None))
    rig.obedient = False
    rig.stop()
    assert rig.machine.next_due() is None


def test_shutdown_kill_does_not_ask():
    """It is killed at once."""
    rig = running(spec("a", shutdown="kill"))
    rig.obedient = False
    assert rig.stop().take_log() == ["kill a"]


@pytest.mark.parametrize("reason", REASONS)
def test_child_that_ends_by_itself_during_the_stop_disturbs_nothing(reason):
    """Whatever its reason: it is not restarted, and the supervisor does not fail."""
    rig = running("a", "b", "c", max_restarts=0)
    rig.obedient = False
    rig.stop().ends("a", reason).ends("c", reason).ends("b", "shutdown")
    assert rig.take_log() == ["stop c", "stop b", "down"]
    assert rig.outcome is None
    assert not any(rig.kept.values())


def test_stop_during_a_group_restart():
    """The group is off; those that are up, or stopping, end."""
    rig = running("a", "b", "c", strategy="one_for_all")
    rig.obedient = False
    rig.ends("a").stop()
    rig.take_log()
    rig.ends("c", "shutdown").ends("b", "shutdown")
    assert rig.take_log() == ["stop b", "down"]
    assert not any(rig.kept.values())


def test_kill_ends_all_at_once():
    """Without waiting for turns or times."""
    rig = running("a", spec("b", shutdown=None), "c")
    rig.obedient = False
    rig.machine.kill(rig.now)
    rig.settle()
    assert sorted(line for line in rig.take_log() if line.startswith("kill")) == ["kill a", "kill b", "kill c"]
    rig.later(1.1)
    assert sorted(rig.take_log()) == ["quarantine a", "quarantine b", "quarantine c"]


def test_final_stop_of_one_that_was_stopping_to_come_back():
    """A child supervisor in a group restart whose root stops: the names go."""
    rig = running("a", "b", may_return=True)
    rig.obedient = False
    rig.stop(final=False)
    assert rig.kept["a"] and rig.kept["b"]
    rig.stop(final=True)
    assert not any(rig.kept.values())


# --- auto_shutdown ---


@pytest.mark.parametrize(
    ("restart", "reason", "counts"),
    [("transient", "normal", True), ("transient", "failed", False)] + [("temporary", reason, True) for reason in REASONS],
)
def test_which_ends_count_for_auto_shutdown(restart, reason, counts):
    """Transient: a normal one; temporary: any."""
    rig = running("a", spec("s", restart, significant=True), auto_shutdown="any_significant").ends("s", reason)
    assert (rig.take_log()[-1:] == ["down"]) == counts
    assert rig.outcome is None, "an orderly end"


def test_insignificant_children_do_not_count():
    """Only those that are marked."""
    rig = running(spec("a", "temporary"), spec("s", "temporary", significant=True), auto_shutdown="any_significant")
    assert rig.ends("a", "normal").take_log() == []


def test_all_significant_waits_for_the_last():
    """Until no other significant child is running, or about to."""
    rig = running(*(spec(id, "transient", significant=True) for id in "ab"), "c", auto_shutdown="all_significant")
    assert rig.ends("a", "normal").take_log() == []
    assert rig.ends("b", "normal").take_log() == ["stop c", "down"]


def test_significant_child_that_is_restarting_still_counts_as_running():
    """It will be up again."""
    back_off = Backoff(first=5, jitter=0)
    rig = running(
        spec("a", "transient", significant=True, backoff=back_off),
        spec("b", "transient", significant=True),
        auto_shutdown="all_significant",
    )
    assert rig.ends("a", "failed").ends("b", "normal").take_log() == []


def test_terminated_child_does_not_trigger_auto_shutdown():
    """The user ended it, not itself."""
    rig = running(spec("s", "temporary", significant=True), "a", auto_shutdown="any_significant")
    rig.command("terminate_child", "s")
    assert rig.take_log() == ["stop s"]


def test_group_restart_does_not_trigger_auto_shutdown():
    """A temporary significant sibling is taken down with the group."""
    rig = running("a", spec("s", "temporary", significant=True), strategy="one_for_all", auto_shutdown="any_significant")
    assert rig.ends("a").take_log() == ["stop s", "start a"]


# --- dynamic ---


def test_max_children_counts_those_that_are_restarting():
    """A place is taken while its child backs off, and free once it has finished."""
    rig = running(dynamic=True, max_children=2)
    rig.command("start_child", spec("a", "transient", backoff=Backoff(first=50)))
    rig.command("start_child", spec("b", "transient"))
    rig.ends("a", "failed")
    answer = rig.command("start_child", spec("c"))
    assert isinstance(answer, Refusal) and answer.reason == "max_children"
    rig.ends("b", "normal")
    assert rig.command("start_child", spec("c")) is rig.child("c")


def test_finished_child_of_a_dynamic_supervisor_is_forgotten():
    """Else children on demand would pile up."""
    rig = running(dynamic=True)
    rig.command("start_child", spec("a", "transient"))
    assert rig.ends("a", "normal").states() == {}


def test_count_children():
    """All, those with a life, supervisors and workers."""
    rig = running("a", "b", spec("c", backoff=Backoff(first=9)))
    rig.command("terminate_child", "a")
    rig.ends("c")
    assert rig.machine.count() == (3, 1, 0, 3)
