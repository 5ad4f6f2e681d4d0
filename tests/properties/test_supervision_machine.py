"""Whatever happens to a supervisor in whatever order, some things always hold.

Hypothesis plays the world: children come up, fail, return, do not come up; time passes; the user gives commands; the supervisor is
stopped, hurried or killed.  The rig already refuses what no machine may ever ask: to start a child twice, or to stop one
that does not run; and to answer a command twice.
"""

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from csp._machine import DOWN, RUNNING, STARTING, WAITING
from csp._specs import Backoff
from tests.unit.supervision_rig import Rig, TimedSpec, spec

RESTARTS = ("permanent", "transient", "temporary")
REASONS = ("normal", "shutdown", "failed", "killed", "watchdog")

some_child = st.builds(
    dict,
    restart=st.sampled_from(RESTARTS),
    shutdown=st.sampled_from([0.5, None, "kill"]),
    backoff=st.sampled_from([None, Backoff(first=1.0, jitter=0.0)]),
    significant=st.booleans(),
)


class Supervised(RuleBasedStateMachine):
    @initialize(
        children=st.lists(some_child, max_size=4),
        strategy=st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
        max_restarts=st.sampled_from([0, 1, 3, 1000]),
        may_return=st.booleans(),
        auto_shutdown=st.sampled_from(["never", "never", "any_significant", "all_significant"]),
        start_timeout=st.sampled_from([None, 2.0]),
        most=st.sampled_from([None, None, 2]),
    )
    def build(self, children, strategy, max_restarts, may_return, auto_shutdown, start_timeout, most):
        self.auto_shutdown, self.start_timeout = auto_shutdown, start_timeout
        rules = {"strategy": strategy, "max_restarts": max_restarts, "auto_shutdown": auto_shutdown}
        if most is not None:  # a dynamic one
            children, rules = [], {"max_restarts": max_restarts, "dynamic": True, "max_children": most}
            self.auto_shutdown = "never"
        self.rig = Rig(*(self.spec(f"c{n}", options) for n, options in enumerate(children)), may_return=may_return, **rules)
        for child in self.machine.children:
            child.spec = TimedSpec(child.spec, start_timeout)
        self.serial = 0
        self.asked = []
        self.terminated = set()
        self.rig.start()

    def spec(self, id, options):
        may_be = self.auto_shutdown != "never" and options["restart"] != "permanent"
        return spec(id, **options | {"significant": options["significant"] and may_be})

    @property
    def machine(self):
        return self.rig.machine

    def pick(self, index):
        live = sorted(self.rig.live)
        return live[index % len(live)] if live else None

    @precondition(lambda self: self.rig.live)
    @rule(index=st.integers(0, 10))
    def comes_up(self, index):
        self.rig.up(self.pick(index))

    @precondition(lambda self: self.rig.live)
    @rule(index=st.integers(0, 10), reason=st.sampled_from(REASONS))
    def ends(self, index, reason):
        id = self.pick(index)
        self.rig.ends(id, reason, started=self.rig.child(id).state != "starting")

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 7.0]))
    def time_passes(self, seconds):
        self.rig.later(seconds)

    @rule(what=st.sampled_from(["terminate_child", "restart_child", "delete_child"]), n=st.integers(0, 6))
    def command(self, what, n):
        id = f"c{n}"
        token = self.token()
        self.rig.command(what, id, token)
        if what == "terminate_child":
            self.terminated.add(id)
        else:
            self.terminated.discard(id)

    @rule(options=some_child)
    def start_child(self, options):
        token = self.token()
        self.rig.command("start_child", TimedSpec(self.spec(f"c{self.serial % 7}", options), self.start_timeout), token)
        self.terminated.discard(f"c{self.serial % 7}")

    def token(self):
        self.serial += 1
        self.asked.append(self.serial)
        return self.serial

    @rule()
    def all_come_up(self):
        """The usual case, which single steps seldom reach."""
        while self.machine.phase in ("starting", "running") and (starting := [c for c in self.machine.children if c.state == STARTING]):
            self.rig.up(*(child.id for child in starting))

    # Most of a life comes before its end.

    @precondition(lambda self: self.serial > 4)
    @rule(final=st.booleans())
    def stop(self, final):
        self.rig.stop(final=final or not self.machine.may_return)

    @precondition(lambda self: self.serial > 6)
    @rule(how=st.sampled_from(["hurry", "kill"]))
    def stop_faster(self, how):
        getattr(self.machine, how)(self.rig.now)
        self.rig.settle()

    # --- what always holds ---

    @invariant()
    def the_machine_and_the_world_agree(self):
        """A child has a life if and only if one was started that has not ended."""
        assert {child.id for child in self.machine.children if child.alive} == self.rig.live

    @invariant()
    def the_budget_is_kept(self):
        """While it runs, no more restarts are charged than the budget allows."""
        if self.machine.phase == "running":
            assert len(self.machine._stamps) <= self.machine.rules.max_restarts

    @invariant()
    def a_dynamic_one_keeps_its_limit(self):
        """Those that run, or will run again, are never more than it may have."""
        taken = sum(child.alive or child.state == WAITING for child in self.machine.children)
        assert taken <= self.machine.rules.max_children or not self.machine.rules.dynamic

    @invariant()
    def it_ends_only_with_all_its_children(self):
        """And it does end as soon as they have, once it is stopping."""
        assert (self.machine.phase == "ended") == (self.machine.phase in ("stopping", "ended") and not self.rig.live)
        if self.machine.phase == "ended":
            assert self.machine.next_due() is None

    @invariant()
    def what_was_terminated_stays_down(self):
        """No timer and no group brings it back."""
        for id in self.terminated:
            child = self.machine.find(id)
            assert child is None or not child.wanted

    @invariant()
    def nobody_is_left_in_between(self):
        """A child that is wanted and down has something that will start it: a deadline, or its turn in a group."""
        if self.machine.phase not in ("starting", "running"):
            return
        for child in self.machine.children:
            assert (child.state == DOWN) == (not child.wanted and not child.alive)
            if child.state == WAITING:
                assert child.due is not None or (child.in_group and self.machine.stage is not None)

    @invariant()
    def a_group_always_goes_on(self):
        """While one is in progress somebody is being started, stopped, or waited for."""
        if self.machine.stage is not None:
            turn = self.machine._turn()
            assert turn is not None
            assert turn.state != RUNNING
            assert turn.alive or turn.due is not None

    @invariant()
    def names_go_with_the_last_life(self):
        """A child that will not come back keeps neither name nor mailbox."""
        for child in self.machine.children:
            if child.state == DOWN and (self.machine.phase in ("starting", "running") or self.machine.final):
                assert not self.rig.kept.get(child.id, False)

    @invariant()
    def who_asked_is_answered(self):
        """At once, unless the child is on its way up or down."""
        waiting = {token for child in self.machine.children for token in (*child.starters, *child.stoppers)}
        assert {token for token in self.asked if token not in self.rig.answers} == waiting

    def teardown(self):
        """It can always be brought to its end."""
        if not hasattr(self, "rig"):
            return
        self.machine.kill(self.rig.now)
        self.rig.settle()
        for id in sorted(self.rig.live):
            self.rig.ends(id, "killed", started=False)
        assert self.machine.phase == "ended"
        assert all(token in self.rig.answers for token in self.asked)
        if self.machine.final:  # else its own supervisor decides
            assert not any(self.rig.kept.values())


TestSupervised = Supervised.TestCase
TestSupervised.settings = settings(
    stateful_step_count=40,
    max_examples=4 * settings.default.max_examples,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
