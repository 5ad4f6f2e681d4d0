"""One supervisor as a state machine: no threads, no channels, no clock of its own.

Events come in as method calls with the time; what is to be done goes out as actions, in order, through `take_actions()`.
The driver (csp._tree) performs them.  Nothing here waits, so a supervisor answers whatever its children are doing.

A child has one state and at most one deadline, `due`, whose meaning follows from the state:

    WAITING    down, and wanted up         start it (it is backing off)
    STARTING   a life has begun            kill it: it was not up in time
    RUNNING    it is up                    none
    STOPPING   asked to stop               kill it
    KILLING    asked to die                give it up (quarantine)
    DOWN       not wanted: stopped by the user, or finished

Each change of state replaces the deadline, so a timer can never be stale: a child that was stopped or deleted has none.

`wanted` is what the user and the restart types want.  A group (`one_for_all`, `rest_for_one`, and the first start of every
supervisor) is a mark on its members, `in_group`, and a stage: "stopping" stops them from the last to the first, "starting" starts
those that are wanted from the first to the last.  A new failure of a member marks more members or sets the stage back: there is no
second group beside it.

The rules are OTP's; where they differ, docs/explanation/otp-compared.md says why.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

from csp._specs import ChildCount, Spec, State

WAITING, STARTING, RUNNING, STOPPING, KILLING, DOWN = "waiting", "starting", "running", "stopping", "killing", "down"

# Why a child is being stopped; a later one in this list replaces an earlier one.
START, GROUP, TERMINATE, END = "start timed out", "group", "terminate", "end"
_WEIGHT = {None: -1, START: 0, GROUP: 1, TERMINATE: 2, END: 3}

FAILURES = ("failed", "killed", "watchdog")
KILL_GRACE = 1.0  # seconds that a kill gets before the actor is quarantined
HURRY = 1.0  # seconds that a child has left once the stop is hurried


class Rules(NamedTuple):
    """What does not change in the life of a supervisor."""

    strategy: str = "one_for_one"
    max_restarts: float = 3
    within: float = 5.0
    auto_shutdown: str = "never"
    dynamic: bool = False
    max_children: float = float("inf")


class Action(NamedTuple):
    """What the driver is to do.

    To a child: "start" it, in another life of the one that is kept, or anew; ask it to "stop" or "kill" it (`detail`: will it come
    back?  None: as said before); "hurry" it, a supervisor; "quarantine" it; "release" it: no life follows this one, or the last, so its name and mailbox go.
    To the caller of a command: "answer" (`detail`: the value or the exception; `token`: which command).  To whoever listens:
    "event" (`detail`: started, exited, restarted or gave_up; `token`: the exit).  Of the supervisor itself: it is "up", or "down"
    (`detail`: None or the `Failure`).
    """

    what: Literal["start", "stop", "hurry", "kill", "quarantine", "release", "answer", "event", "up", "down"]
    child: "Child | None" = None
    detail: Any = None
    token: Any = None


class Failure(NamedTuple):
    """Why a supervisor failed: because of which child, how its last life ended, and whether it never had been up."""

    child: "Child"
    exit: Any
    at_start: bool


class Refusal(Exception):
    """A command that cannot be followed: `reason` is the word for it."""

    def __init__(self, child: str, reason: str) -> None:
        super().__init__(f"{child!r}: {reason}")
        self.child = child
        self.reason = reason


class Child:
    """What is known of one child."""

    def __init__(self, spec: Spec, *, added: bool = False) -> None:
        self.spec = spec
        self.id: str = spec.id  # type: ignore[assignment]
        self.state = WAITING
        self.wanted = True
        self.due: float | None = None
        self.purpose: str | None = None
        self.in_group = False
        self.added = added  # by start_child, so a restart of the supervisor does not bring it back
        self.ever_up = False
        self.finished = False
        self.up_at = 0.0
        self.failures = 0  # in a row, for the back-off
        self.restarts = 0
        self.last_exit: Any = None
        self.starters: list[Any] = []  # commands to answer once it is up
        self.stoppers: list[Any] = []  # commands to answer once it is down
        self.handle: Any = None  # the driver's

    def __repr__(self) -> str:
        return f"<Child {self.id} {self.state}>"

    @property
    def alive(self) -> bool:
        """Is there a life that has begun and not ended?"""
        return self.state in (STARTING, RUNNING, STOPPING, KILLING)

    @property
    def public_state(self) -> State:
        if self.state == KILLING:
            return "stopping"
        if self.state == WAITING:
            return "restarting" if self.ever_up or self.failures else "waiting"
        if self.state == DOWN:
            return "finished" if self.finished else "stopped"
        return self.state  # type: ignore[return-value]


class Machine:
    """One life of one supervisor."""

    def __init__(self, rules: Rules, specs: Iterable[Spec], *, random: Callable[[], float], may_return: bool = False) -> None:
        self.rules = rules
        self.children = [Child(spec) for spec in specs]
        self.phase: Literal["new", "starting", "running", "stopping", "ended"] = "new"
        self.stage: Literal["stopping", "starting"] | None = None
        self.failure: Failure | None = None
        self.may_return = may_return  # its own supervisor may start it again: children are kept when it fails
        self.final = False  # once stopping: no child comes back
        self._random = random
        self._stamps: deque[float] = deque()
        self._actions: deque[Action] = deque()

    # --- what the driver asks ---

    def take_actions(self) -> "deque[Action]":
        """What is to be done now, in this order; the caller takes from the left, and more may be added meanwhile."""
        return self._actions

    def next_due(self) -> float | None:
        """When `tick` has to be called next; None: only after another event."""
        due = [child.due for child in self.children if child.due is not None and self._is_timed(child)]
        return min(due, default=None)

    def _is_timed(self, child: Child) -> bool:
        """A member of a group that backs off is waited for only when its turn has come."""
        return child.state != WAITING or not child.in_group or self._turn() is child

    def find(self, id: str) -> Child | None:
        return next((child for child in self.children if child.id == id), None)

    def count(self) -> ChildCount:
        supervisors = sum(child.spec.supervisor is not None for child in self.children)
        return ChildCount(
            specs=len(self.children),
            active=sum(child.alive for child in self.children),
            supervisors=supervisors,
            workers=len(self.children) - supervisors,
        )

    # --- from its owner ---

    def start(self, now: float) -> None:
        """Start all children in order; then "up", or "down" with the failure."""
        self.phase = "starting"
        for child in self.children:
            child.in_group = True
        self.stage = "starting"
        self._advance(now)

    def stop(self, now: float, *, final: bool = True) -> None:
        """Stop all children, the last first; then "down".  `final`: no child is kept for another life of the supervisor."""
        if self.phase == "ended":
            return
        if self.phase != "stopping":
            self._begin_end(now, final)
        elif final and not self.final:
            self.final = True
            for child in self.children:
                self._do("release", child)

    def hurry(self, now: float) -> None:
        """As `stop`, but all at once, and each has no more than a second left."""
        self.stop(now)
        for child in self.children:
            if not child.alive:
                continue
            self._stop_child(child, END, now)
            if child.state == STOPPING:
                child.due = now + HURRY if child.due is None else min(child.due, now + HURRY)
            if child.spec.supervisor is not None:
                self._do("hurry", child)

    def kill(self, now: float) -> None:
        """As `stop`, but all at once and without patience."""
        self.stop(now)
        for child in self.children:
            if child.state in (STARTING, RUNNING, STOPPING):
                self._kill(child, END, now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        for child in list(self.children):
            if child.due is None or child.due > now or not self._is_timed(child):
                continue
            child.due = None
            if child.state == STARTING:
                self._kill(child, START, now)
            elif child.state == STOPPING:
                self._kill(child, child.purpose, now)
            elif child.state == KILLING:
                self._do("quarantine", child)
            elif child.state == WAITING and not child.in_group:
                self._start(child, now)
        self._advance(now)

    # --- from its children ---

    def child_up(self, child: Child, now: float) -> None:
        """The life that was started is up."""
        if child.state != STARTING:
            return  # it is being stopped: its end is waited for
        again = child.ever_up and not child.starters
        child.state, child.due, child.up_at, child.in_group = RUNNING, None, now, False
        child.ever_up = True
        child.restarts += again
        self._do("event", child, "restarted" if again else "started")
        self._answer(child.starters, child)
        self._advance(now)

    def child_down(self, child: Child, exit: Any, now: float, *, started: bool = True) -> None:
        """The life that was started has ended, or (not `started`) never came up."""
        if not child.alive:
            return
        state, purpose = child.state, child.purpose
        child.due = child.purpose = None
        child.last_exit = exit
        self._do("event", child, "exited", exit)
        if self.phase == "stopping":
            self._ended_at_end(child, exit)
        elif state in (STOPPING, KILLING) and purpose != START:
            self._ended_as_asked(child, exit, purpose)
        elif not started or state == STARTING or purpose == START:
            self._failed_to_start(child, exit, now)
        else:
            self._ended_by_itself(child, exit, now)
        self._advance(now)

    def _ended_by_itself(self, child: Child, exit: Any, now: float) -> None:
        if self.stage == "stopping" and child.in_group:
            self._wait_or_finish(child, exit)  # it would have been stopped anyway: charged already
        elif self._comes_back(child, exit):
            if child.spec.backoff is not None and now - child.up_at >= child.spec.backoff.reset_after:
                child.failures = 0
            self._restart(child, exit, now)
        else:
            self._finish(child)
            self._consider_auto_shutdown(child, now)

    def _failed_to_start(self, child: Child, exit: Any, now: float) -> None:
        if child.starters:  # by hand: the caller hears of it, and decides
            self._answer(child.starters, Failure(child, exit, True))
            self._set_down(child)
            if child.added and not child.ever_up:
                self._remove(child)
        elif self.phase == "starting" and not child.ever_up:
            self._set_down(child)
            self.failure = Failure(child, exit, True)
            self._begin_end(now, final=not self.may_return)
        elif self._comes_back(child, exit):
            self._restart(child, exit, now)
        else:
            self._finish(child)

    def _ended_as_asked(self, child: Child, exit: Any, purpose: str | None) -> None:
        if purpose == GROUP:
            self._wait_or_finish(child, exit)
            return
        self._set_down(child)
        self._answer(child.stoppers, exit)
        if child.spec.restart == "temporary":
            self._remove(child)

    def _ended_at_end(self, child: Child, exit: Any) -> None:
        if self._is_kept(child, END) and (child.spec.restart == "permanent" or exit.reason != "normal"):
            child.state = DOWN
        else:
            self._set_down(child)
        self._answer(child.stoppers, exit)

    def _wait_or_finish(self, child: Child, exit: Any) -> None:
        """A member of a group is down: it comes back, unless it had come to its own end, or never comes back."""
        if child.spec.restart == "temporary" or (child.spec.restart == "transient" and exit.reason == "normal"):
            self._finish(child)
        else:
            child.state = WAITING

    def _comes_back(self, child: Child, exit: Any) -> bool:
        if child.spec.restart == "transient":
            return exit.reason in FAILURES
        return child.spec.restart == "permanent"

    def _finish(self, child: Child) -> None:
        """It has come to its own end."""
        self._answer(child.starters, Failure(child, child.last_exit, True))  # a group stopped it on its way up
        self._set_down(child)
        child.finished = True
        if child.spec.restart == "temporary" or self.rules.dynamic:
            self._remove(child)

    def _set_down(self, child: Child) -> None:
        child.state, child.due, child.wanted, child.in_group, child.finished = DOWN, None, False, False, False
        self._do("release", child)

    def _remove(self, child: Child) -> None:
        if child in self.children:
            self.children.remove(child)

    # --- restarts ---

    def _restart(self, child: Child, exit: Any, now: float) -> None:
        """Bring it back, and its group with it, if the budget allows it."""
        child.state = WAITING
        if not self._charge(now):
            self._do("event", child, "gave_up", exit)
            self.failure = Failure(child, exit, self.phase == "starting")
            self._begin_end(now, final=not self.may_return)
            return
        child.failures += 1
        backoff = child.spec.backoff
        child.due = now if backoff is None else now + backoff.delay(child.failures, self._random())
        child.in_group = False
        if self.rules.strategy != "one_for_one":
            self._begin_group(child)
        elif child.due <= now:
            self._start(child, now)

    def _charge(self, now: float) -> bool:
        """Charge one restart; False: it is one too many."""
        while self._stamps and not now - self._stamps[0] < self.rules.within:
            self._stamps.popleft()
        self._stamps.append(now)
        return len(self._stamps) <= self.rules.max_restarts

    def _begin_group(self, culprit: Child) -> None:
        """Mark who is stopped and started again because of `culprit`, and stop them."""
        first = self.children.index(culprit) if self.rules.strategy == "rest_for_one" else 0
        for child in self.children[first:]:
            if child.wanted or child.alive:
                child.in_group = True
        self.stage = "stopping"

    def _turn(self) -> Child | None:
        """The member of the group that the stage is at: the last that is up, the first that is to come up."""
        if self.stage == "stopping":
            return next((child for child in reversed(self.children) if child.in_group and child.alive), None)
        coming = [child for child in self.children if child.in_group and child.state not in (RUNNING, DOWN)]
        # One that is on its way goes on, even if an earlier one has been restarted by hand meanwhile: one after the other.
        return next((child for child in coming if child.alive), next(iter(coming), None))

    def _advance(self, now: float) -> None:
        """Go on with what goes step by step: the end of all, or a group."""
        if self.phase == "stopping":
            self._advance_end(now)
        elif self.stage is not None:
            self._advance_group(now)

    def _advance_group(self, now: float) -> None:
        child = self._turn()
        if child is None and self.stage == "stopping":
            self.stage = "starting"
            child = self._turn()
        if child is None:
            self.stage = None
            if self.phase == "starting":
                self.phase = "running"
                self._do("up")
        elif self.stage == "stopping":
            self._stop_child(child, GROUP, now)
        elif child.state == WAITING and (child.due is None or child.due <= now):
            self._start(child, now)

    # --- single children ---

    def _start(self, child: Child, now: float) -> None:
        child.state, child.finished = STARTING, False
        child.due = None if child.spec.start_timeout is None else now + child.spec.start_timeout
        self._do("start", child)

    def _stop_child(self, child: Child, purpose: str, now: float) -> None:
        """Begin to end a life; nothing if that has begun, but for the purpose."""
        if _WEIGHT[purpose] > _WEIGHT[child.purpose]:
            if child.purpose == GROUP and not self._is_kept(child, purpose):
                self._do("release", child)
            child.purpose = purpose
        if child.state in (STOPPING, KILLING):
            return
        kept = self._is_kept(child, purpose)
        if child.spec.shutdown == "kill":
            self._kill(child, purpose, now, kept)
            return
        child.state = STOPPING
        child.due = None if child.spec.shutdown is None else now + child.spec.shutdown
        self._do("stop", child, kept)

    def _is_kept(self, child: Child, purpose: str) -> bool:
        """Will a life follow the one that is being stopped?"""
        if not child.wanted or child.spec.restart == "temporary":
            return False
        return purpose == GROUP or (purpose == END and not self.final and not child.added)

    def _kill(self, child: Child, purpose: str | None, now: float, kept: bool | None = None) -> None:
        child.state, child.due, child.purpose = KILLING, now + KILL_GRACE, purpose
        self._do("kill", child, kept)

    # --- the end ---

    def _begin_end(self, now: float, final: bool) -> None:
        self.phase, self.stage, self.final = "stopping", None, final
        for child in self.children:
            self._answer(child.starters, Refusal(child.id, "shutdown"))
            if child.state == WAITING:
                child.state, child.due = DOWN, None
            if not self._is_kept(child, END):
                self._do("release", child)  # also while it runs: whatever ends it now, no life follows
        self._advance(now)

    def _advance_end(self, now: float) -> None:
        for child in reversed(self.children):
            if child.alive:
                self._stop_child(child, END, now)
                if not self.rules.dynamic:
                    return
        if not any(child.alive for child in self.children):
            self.phase = "ended"
            self._do("down", None, self.failure)

    def _consider_auto_shutdown(self, child: Child, now: float) -> None:
        if self.rules.auto_shutdown == "never" or not child.spec.significant:
            return
        if self.rules.auto_shutdown == "all_significant" and any(
            other.spec.significant and (other.alive or other.state == WAITING) for other in self.children
        ):
            return
        self._begin_end(now, final=not self.may_return)

    # --- commands: each is answered, now or once it is done ---

    def terminate_child(self, id: str, token: Any, now: float) -> None:
        """Stop it and keep it stopped; answered with its exit, or None if it was down.  A restart that was to come is off."""
        child = self.find(id)
        if child is None:
            self._do("answer", None, KeyError(id), token)
            return
        child.wanted = False
        self._answer(child.starters, Refusal(id, "terminated"))
        if child.alive:
            child.stoppers.append(token)
            self._stop_child(child, TERMINATE, now)
            return
        if child.state == WAITING:
            self._set_down(child)
        child.finished = False
        if child.spec.restart == "temporary":
            self._remove(child)
        self._do("answer", None, None, token)
        self._advance(now)

    def delete_child(self, id: str, token: Any, now: float) -> None:
        """Forget a child that is down, or waits to be started again."""
        child = self.find(id)
        if child is None or child.alive:
            self._do("answer", None, KeyError(id) if child is None else Refusal(id, child.public_state), token)
            return
        self._answer(child.starters, Refusal(id, "deleted"))
        self._set_down(child)
        self._remove(child)
        self._do("answer", None, None, token)
        self._advance(now)

    def restart_child(self, id: str, token: Any, now: float) -> None:
        """Start a child that is down, or that backs off; answered once it is up.  Costs nothing."""
        child = self.find(id)
        if child is None:
            self._do("answer", None, KeyError(id), token)
        elif self.phase not in ("starting", "running"):
            self._do("answer", None, Refusal(id, "shutdown"), token)
        elif child.alive or (child.state == WAITING and child.in_group):
            self._do("answer", None, Refusal(id, child.public_state), token)
        else:
            self._start_by_hand(child, token, now)

    def start_child(self, spec: Spec, token: Any, now: float) -> None:
        """Add a child after the others and start it; answered once it is up."""
        id: str = spec.id  # type: ignore[assignment]
        taken = sum(child.alive or child.state == WAITING for child in self.children)
        if self.phase not in ("starting", "running"):
            self._do("answer", None, Refusal(id, "shutdown"), token)
        elif self.find(id) is not None:
            self._do("answer", None, ValueError(f"child {id!r}: another child has this id"), token)
        elif taken >= self.rules.max_children:
            self._do("answer", None, Refusal(id, "max_children"), token)
        else:
            child = Child(spec, added=True)
            self.children.append(child)
            self._start_by_hand(child, token, now)

    def _start_by_hand(self, child: Child, token: Any, now: float) -> None:
        child.wanted, child.state, child.due, child.failures = True, WAITING, None, 0
        child.starters.append(token)
        if self.rules.strategy != "one_for_one" and self.stage is not None:
            child.in_group = True  # its turn comes, at once if the group only backs off
            self._advance(now)
        else:
            self._start(child, now)

    # --- out ---

    def _answer(self, tokens: list[Any], value: Any) -> None:
        for token in tokens:
            self._do("answer", None, value, token)
        tokens.clear()

    def _do(self, what: Any, child: Child | None = None, detail: Any = None, token: Any = None) -> None:
        self._actions.append(Action(what, child, detail, token))
