"""The rules of supervision, on the state machine alone: starts, restart types, strategies, the budget."""

import itertools

import pytest

from csp._machine import Failure
from tests.unit.supervision_rig import Rig, TimedSpec, running, spec

RESTARTS = ("permanent", "transient", "temporary")
REASONS = ("normal", "shutdown", "failed", "killed", "watchdog")
STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")
ABNORMAL = ("failed", "killed", "watchdog")


def comes_back(restart, reason):
    return restart == "permanent" or (restart == "transient" and reason in ABNORMAL)


# --- starting ---


def test_children_start_in_order_each_once_the_one_before_is_up():
    """The second is not started before the first is up; the supervisor is up with the last."""
    rig = Rig("a", "b").start()
    assert rig.take_log() == ["start a"]
    assert rig.states() == {"a": "starting", "b": "waiting"}
    rig.up("a")
    assert rig.take_log() == ["start b"]
    rig.up("b")
    assert rig.take_log() == ["up"]
    assert rig.events == [("started", "a", None), ("started", "b", None)]


def test_supervisor_without_children_is_up_at_once():
    """As OTP's: it waits for start_child."""
    assert Rig().start().take_log() == ["up"]


def test_failed_start_stops_what_had_started_in_reverse():
    """Then it is down, with the culprit as its failure; nothing is retried."""
    rig = Rig("a", "b", "c", "d").start().up("a", "b")
    rig.take_log()
    rig.fails_to_start("c")
    assert rig.take_log() == ["stop b"]
    rig.ends("b", "shutdown")
    assert rig.take_log() == ["stop a"]
    rig.ends("a", "shutdown")
    assert rig.take_log() == ["down"]
    assert rig.outcome is not None
    assert (rig.outcome.child.id, rig.outcome.exit.reason, rig.outcome.at_start) == ("c", "failed", True)
    assert not any(rig.kept.values())


@pytest.mark.parametrize("restart", RESTARTS)
def test_first_start_is_not_retried_whatever_the_type(restart):
    """A permanent child that never was up ends the start like any other."""
    rig = Rig(spec("a", restart)).start().fails_to_start("a")
    assert rig.take_log() == ["start a", "down"]


def test_child_that_crashes_during_the_start_is_restarted_meanwhile():
    """one_for_one: a later sibling that starts slowly does not delay it."""
    rig = Rig("a", "b").start().up("a")
    rig.take_log()
    rig.ends("a")
    assert rig.take_log() == ["start a"]
    rig.up("b")
    assert rig.take_log() == ["up"]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_group_crash_during_the_start_begins_the_start_again(strategy):
    """The sibling that is starting is stopped, then all start in order, and the supervisor comes up once."""
    rig = Rig("a", "b", "c", strategy=strategy).start().up("a")
    rig.take_log()
    rig.ends("a")
    assert rig.take_log() == ["stop b"]
    rig.ends("b", "shutdown", started=False)
    assert rig.take_log() == ["start a"]
    rig.up("a", "b", "c")
    assert rig.take_log() == ["start b", "start c", "up"]


def test_start_timeout_kills_and_is_a_failed_start():
    """A child that is not up in time is killed, quarantined if need be, and has failed to start."""
    rig = Rig("a")
    rig.child("a").spec = TimedSpec(rig.child("a").spec, 2.0)
    rig.start().later(1.9)
    assert rig.take_log() == ["start a"]
    rig.later(0.2)
    assert rig.take_log() == ["kill a"]
    rig.later(1.0)
    assert rig.take_log() == ["quarantine a"]
    rig.fails_to_start("a", "killed")
    assert rig.take_log() == ["down"]
    assert rig.outcome is not None and rig.outcome.at_start


def test_child_that_is_up_in_time_is_not_killed_later():
    """The deadline of the start is gone once it is up."""
    rig = Rig("a")
    rig.child("a").spec = TimedSpec(rig.child("a").spec, 2.0)
    rig.start().up("a")
    assert rig.machine.next_due() is None
    assert "kill a" not in rig.later(100).take_log()


# --- restart types: all reasons x all types x all strategies ---


@pytest.mark.parametrize(("strategy", "restart", "reason"), list(itertools.product(STRATEGIES, RESTARTS, REASONS)))
def test_restart_type_decides_whether_it_comes_back(strategy, restart, reason):
    """Permanent always, transient after an abnormal end, temporary never: then it is removed."""
    rig = running("before", spec("it", restart), "after", strategy=strategy, max_restarts=10)
    rig.ends("it", reason)
    back = comes_back(restart, reason)
    assert ("start it" in rig.take_log()) == back
    states = rig.states()
    if back:
        assert states["it"] == "running"
        assert rig.child("it").restarts == 1
    elif restart == "temporary":
        assert "it" not in states
    else:
        assert states["it"] == "finished"
    assert rig.kept["it"] == back, "a name is kept only for another life"
    assert states["before"] == states["after"] == "running"


@pytest.mark.parametrize(("strategy", "restart", "reason"), list(itertools.product(STRATEGIES, RESTARTS[:2], REASONS)))
def test_restart_that_fails_is_judged_by_the_same_rules(strategy, restart, reason):
    """A restart that ends before it is up is tried again where an end of that kind would be."""
    rig = running(spec("it", restart), max_restarts=10, strategy=strategy)
    rig.obedient = False
    rig.ends("it")
    rig.take_log()
    rig.fails_to_start("it", reason)
    assert ("start it" in rig.take_log()) == comes_back(restart, reason)


def test_permanent_childs_normal_exit_costs_one():
    """As measured on OTP 29."""
    rig = running("a", max_restarts=1).ends("a", "normal")
    assert rig.take_log() == ["start a"]
    assert rig.ends("a", "normal").take_log() == ["down"]


# --- strategies ---


def test_one_for_one_concerns_the_child_alone():
    """Siblings are not touched."""
    assert running("a", "b", "c").ends("b").take_log() == ["start b"]


def test_one_for_all_stops_right_to_left_and_starts_left_to_right():
    """All others are stopped first, then all are started."""
    rig = running("a", "b", "c", strategy="one_for_all").ends("b")
    assert rig.take_log() == ["stop c", "stop a", "start a", "start b", "start c"]


def test_rest_for_one_leaves_those_before_untouched():
    """The failed one and those after it."""
    rig = running("a", "b", "c", "d", strategy="rest_for_one").ends("b")
    assert rig.take_log() == ["stop d", "stop c", "start b", "start c", "start d"]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_group_stops_one_after_the_other(strategy):
    """The next is asked only once the one before has ended; only then does anything start."""
    rig = running("a", "b", "c", strategy=strategy)
    rig.obedient = False
    rig.ends("a")
    assert rig.take_log() == ["stop c"]
    rig.ends("c", "shutdown")
    assert rig.take_log() == ["stop b"]
    rig.ends("b", "shutdown")
    assert rig.take_log() == ["start a"]
    rig.up("a")
    assert rig.take_log() == ["start b"]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_group_restart_costs_one(strategy):
    """However many are in it."""
    rig = running("a", "b", "c", "d", strategy=strategy, max_restarts=1)
    rig.ends("a")
    assert "down" not in rig.take_log()
    rig.ends("a")
    assert rig.take_log()[-1] == "down"


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_finished_transient_stays_finished_in_a_group_restart(strategy):
    """OTP would start it again; here only what was meant to be up comes back."""
    rig = running("a", spec("t", "transient"), "b", strategy=strategy)
    rig.ends("t", "normal")
    rig.take_log()
    rig.ends("a")
    assert rig.take_log() == ["stop b", "start a", "start b"]
    assert rig.states()["t"] == "finished"


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_terminated_child_stays_stopped_in_a_group_restart(strategy):
    """What the user stopped, stays."""
    rig = running("a", "b", "c", strategy=strategy)
    rig.command("terminate_child", "b")
    rig.take_log()
    rig.ends("a")
    assert rig.take_log() == ["stop c", "start a", "start c"]
    assert rig.states()["b"] == "stopped"


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_temporary_sibling_is_removed_by_a_group_restart(strategy):
    """It is taken down with the group and never comes back."""
    rig = running("a", spec("t", "temporary"), "b", strategy=strategy).ends("a")
    assert rig.take_log() == ["stop b", "stop t", "start a", "start b"]
    assert "t" not in rig.states()


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_added_child_is_a_member_of_the_group(strategy):
    """The last one, whoever fails; and what it fails of concerns the others as the strategy says."""
    rig = running("a", "b", strategy=strategy)
    rig.command("start_child", spec("new"))
    rig.take_log()
    assert rig.ends("a").take_log() == ["stop new", "stop b", "start a", "start b", "start new"]
    rig.ends("new")
    assert rig.take_log() == {"one_for_all": ["stop b", "stop a", "start a", "start b", "start new"], "rest_for_one": ["start new"]}[strategy]


@pytest.mark.parametrize("restart", ["permanent", "transient"])
def test_siblings_names_are_kept_over_a_group_restart(restart):
    """Their stop says that they come back."""
    rig = running("a", spec("b", restart), strategy="one_for_all")
    rig.obedient = False
    rig.ends("a")
    assert rig.kept["b"]


def test_transient_that_returned_before_it_was_stopped_stays_finished():
    """In a group restart a sibling comes to its own end just before the stop reaches it."""
    rig = running("a", spec("t", "transient"), strategy="one_for_all")
    rig.obedient = False
    rig.ends("a").ends("t", "normal")
    assert rig.states()["t"] == "finished"
    assert not rig.kept["t"]


def test_sibling_that_crashes_while_its_group_is_stopped_costs_nothing_more():
    """It would have been stopped anyway."""
    rig = running("a", "b", "c", strategy="one_for_all", max_restarts=1)
    rig.obedient = False
    rig.ends("a")  # c is asked to stop, b waits for its turn
    rig.ends("b", "failed").ends("c", "killed")
    assert rig.take_log() == ["stop c", "start a"]


def test_one_for_all_begins_again_from_the_first_when_a_sibling_does_not_come_back():
    """Those that had come back are stopped again; the try costs one more."""
    rig = running("a", "b", "c", strategy="one_for_all", max_restarts=2)
    rig.obedient = False
    rig.ends("a").ends("c", "shutdown").ends("b", "shutdown").up("a")
    rig.take_log()
    rig.fails_to_start("b")
    assert rig.take_log() == ["stop a"]
    rig.ends("a", "shutdown")
    assert rig.take_log() == ["start a"]
    rig.up("a", "b", "c")
    assert rig.states() == dict.fromkeys("abc", "running")


def test_rest_for_one_goes_on_from_the_sibling_that_does_not_come_back():
    """Those that had come back stay."""
    rig = running("a", "b", "c", strategy="rest_for_one", max_restarts=3)
    rig.obedient = False
    rig.ends("a").ends("c", "shutdown").ends("b", "shutdown").up("a")
    rig.take_log()
    rig.fails_to_start("b")
    assert rig.take_log() == ["start b"]
    rig.fails_to_start("b")
    assert rig.take_log() == ["start b"]
    rig.up("b", "c")
    assert rig.take_log() == ["start c"]


def test_earlier_sibling_that_crashes_in_a_rest_for_one_restart_widens_it():
    """One more is charged, and all from that sibling on are stopped and started."""
    rig = running("a", "b", "c", strategy="rest_for_one", max_restarts=2)
    rig.obedient = False
    rig.ends("b").ends("c", "shutdown").up("b")
    rig.take_log()
    rig.ends("a")  # c is starting
    assert rig.take_log() == ["stop c"]
    rig.ends("c", "shutdown", started=False).ends("b", "shutdown")
    assert rig.take_log() == ["stop b", "start a"]
    rig.up("a", "b", "c")
    assert rig.states() == dict.fromkeys("abc", "running")


def test_child_that_starts_while_a_later_one_crashes_is_not_in_its_group():
    """rest_for_one: also if it was down during an earlier restart of a group that it stands in."""
    rig = running("a", "b", "c", strategy="rest_for_one", max_restarts=2)
    rig.command("terminate_child", "b")
    rig.ends("a")
    rig.obedient = False
    rig.command("restart_child", "b")
    rig.take_log()
    rig.ends("c")
    assert rig.take_log() == ["start c"]
    assert rig.states() == {"a": "running", "b": "starting", "c": "starting"}


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_group_waits_for_a_member_that_is_being_terminated(strategy):
    """Nobody comes up before the last of the old ones is down."""
    rig = running("a", "b", strategy=strategy)
    rig.obedient = False
    rig.command("terminate_child", "b")
    rig.ends("a")
    assert rig.take_log() == ["stop b"]
    rig.ends("b", "shutdown")
    assert rig.take_log() == ["start a"]
    assert rig.states() == {"a": "starting", "b": "stopped"}


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_temporary_child_that_a_group_stops_on_its_way_up_is_answered(strategy):
    """Whoever asked for it hears that it will not come up."""
    rig = running("a", strategy=strategy)
    rig.obedient = False
    assert rig.command("start_child", spec("t", "temporary"), "asked") == "pending"
    rig.ends("a")
    rig.ends("t", "shutdown", started=False)
    answer = rig.answers["asked"]
    assert isinstance(answer, Failure) and (answer.child.id, answer.exit.reason, answer.at_start) == ("t", "shutdown", True)
    assert "t" not in rig.states()


# --- intensity ---


@pytest.mark.parametrize("allowed", [0, 1, 2, 5])
def test_as_many_restarts_as_allowed_and_no_more(allowed):
    """max_restarts=n: n restarts go well, the next one ends the supervisor; 0: the first."""
    rig = running("a", "b", max_restarts=allowed)
    for _ in range(allowed):
        assert rig.ends("a").take_log() == ["start a"]
    assert rig.ends("a").take_log() == ["stop b", "down"]
    assert isinstance(rig.outcome, Failure)
    assert (rig.outcome.child.id, rig.outcome.exit.reason) == ("a", "failed")
    assert ("gave_up", "a", rig.outcome.exit) in rig.events


@pytest.mark.parametrize(("pause", "survives"), [(4.999, False), (5.0, True), (5.001, True)])
def test_window_is_half_open(pause, survives):
    """A restart counts while now - then < within, and no longer."""
    rig = running("a", max_restarts=1, within=5.0).ends("a").later(pause).ends("a")
    assert ("down" not in rig.take_log()) == survives


def test_window_slides():
    """It is not a period that begins anew with the first failure after it."""
    rig = running("a", max_restarts=2, within=10.0).ends("a").later(9).ends("a").later(2).ends("a")
    assert "down" not in rig.take_log()
    assert "down" in rig.later(7).ends("a").take_log()


def test_fractions_of_a_second_count():
    """With 1 in 1 s, two crashes 1.01 s apart are fine, 0.99 s apart are not (OTP rounds to whole seconds)."""
    assert "down" not in running("a", max_restarts=1, within=1.0).ends("a").later(1.01).ends("a").take_log()
    assert "down" in running("a", max_restarts=1, within=1.0).ends("a").later(0.99).ends("a").take_log()


def test_budget_is_the_supervisors():
    """Failures of different children add up."""
    assert "down" in running("a", "b", "c", max_restarts=2).ends("a").ends("b").ends("c").take_log()


def test_each_retry_of_a_failed_restart_costs_one_more():
    """Charged before the try, so a start that fails at once uses it up."""
    rig = running("a", max_restarts=3)
    rig.obedient = False
    rig.ends("a").fails_to_start("a").fails_to_start("a")
    assert rig.take_log() == ["start a"] * 3
    assert rig.fails_to_start("a").take_log() == ["down"]


def test_restart_by_hand_costs_nothing():
    """Five with a budget of one."""
    rig = running("a", max_restarts=1)
    for _ in range(5):
        rig.command("terminate_child", "a")
        assert rig.command("restart_child", "a") is rig.child("a")
    assert "down" not in rig.ends("a").take_log()


def test_giving_up_stops_the_others_in_reverse():
    """The culprit is down already; each of the others is waited for."""
    rig = running("a", "b", "c", max_restarts=0)
    rig.obedient = False
    rig.ends("b")
    assert rig.take_log() == ["stop c"]
    rig.ends("c", "failed")
    assert rig.take_log() == ["stop a"]
    assert rig.ends("a", "shutdown").take_log() == ["down"]


def test_names_are_given_up_with_the_root():
    """Whatever its children are doing when it gives up: no life follows."""
    rig = running("a", "b", max_restarts=0).ends("a")
    assert not any(rig.kept.values())


def test_names_are_kept_when_a_parent_may_start_it_again():
    """The refs of a child supervisor's children outlive its failure."""
    rig = running("a", spec("t", "transient"), spec("tt", "temporary"), "c", max_restarts=0, may_return=True)
    assert rig.ends("a").outcome is not None
    assert rig.kept == {"a": True, "t": True, "tt": False, "c": True}
