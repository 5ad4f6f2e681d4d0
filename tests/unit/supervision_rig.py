"""A supervisor's state machine on the table: fake children, a clock that the test turns, a log of what it asked for."""

from typing import Any

import csp
from csp._machine import Child, Failure, Machine, Rules
from csp._specs import ChildSpec, check


def nothing() -> None:
    """The actor of every child here: it is never run."""


def spec(id: str, restart: Any = "permanent", **options: Any) -> ChildSpec:
    return ChildSpec(nothing, id=id, restart=restart, **options)


class TimedSpec:
    """A spec whose actor has a start_timeout."""

    def __init__(self, spec: Any, start_timeout: float) -> None:
        self._spec = spec
        self.start_timeout = start_timeout

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spec, name)


class Rig:
    """Drives a Machine by hand.  Starts come up, and stops are obeyed, only when the test says so, or with `obedient`."""

    def __init__(self, *children: Any, obedient: bool = False, may_return: bool = False, random: float = 0.0, **rules: Any) -> None:
        specs = check(
            [spec(c) if isinstance(c, str) else c for c in children],
            auto_shutdown=rules.get("auto_shutdown", "never"),
            dynamic=rules.get("dynamic", False),
        )
        self.machine = Machine(Rules(**rules), specs, random=lambda: random, may_return=may_return)
        self.now = 100.0
        self.obedient = obedient
        self.log: list[str] = []  # "start a", "stop b", "up", "down", ...
        self.answers: dict[Any, Any] = {}
        self.events: list[tuple[str, str, Any]] = []
        self.live: set[str] = set()  # what the fake world runs
        self.outcome: Failure | None = None
        self.kept: dict[str, bool] = {}

    # --- the fake world ---

    def settle(self) -> "Rig":
        actions = self.machine.take_actions()
        while actions:
            what, child, detail, token = actions.popleft()
            if what == "answer":
                assert token not in self.answers, "answered twice"
                self.answers[token] = detail
            elif what == "event":
                self.events.append((detail, child.id, token))
            else:
                if what == "down":
                    self.outcome = detail
                self.log.append(what if child is None else f"{what} {child.id}")
                self._world(what, child, detail)
        return self

    def _world(self, what: str, child: Child | None, detail: Any) -> None:
        if child is None:
            return
        if what == "start":
            assert child.id not in self.live, f"{child.id} was started twice"
            self.live.add(child.id)
            self.kept[child.id] = child.spec.restart != "temporary"
            if self.obedient:
                self.machine.child_up(child, self.now)
        elif what == "release":
            self.kept[child.id] = False
        elif what in ("stop", "kill"):
            assert child.id in self.live, f"{child.id} is asked to {what}, but does not run"
            if detail is not None:
                self.kept[child.id] = detail
            if self.obedient:
                self.live.discard(child.id)
                self.machine.child_down(child, exit("shutdown" if what == "stop" else "killed"), self.now)

    # --- what the test does ---

    def start(self) -> "Rig":
        self.machine.start(self.now)
        return self.settle()

    def up(self, *ids: str) -> "Rig":
        for id in ids:
            assert id in self.live, f"{id} has not been started"
            self.machine.child_up(self.child(id), self.now)
            self.settle()
        return self

    def ends(self, id: str, reason: str = "failed", *, started: bool = True) -> "Rig":
        assert id in self.live, f"{id} does not run"
        self.live.discard(id)
        self.machine.child_down(self.child(id), exit(reason), self.now, started=started)
        return self.settle()

    def fails_to_start(self, id: str, reason: str = "failed") -> "Rig":
        return self.ends(id, reason, started=False)

    def later(self, seconds: float) -> "Rig":
        """Turn the clock, stopping at each deadline on the way."""
        until = self.now + seconds
        while (due := self.machine.next_due()) is not None and due <= until:
            self.now = max(due, self.now)
            self.machine.tick(self.now)
            self.settle()
        self.now = until
        self.machine.tick(self.now)
        return self.settle()

    def stop(self, **how: Any) -> "Rig":
        self.machine.stop(self.now, **how)
        return self.settle()

    def command(self, what: str, argument: Any, token: Any = "token") -> Any:
        """The answer; "pending" if there is none yet."""
        self.answers.pop(token, None)
        getattr(self.machine, what)(argument, token, self.now)
        self.settle()
        return self.answers.get(token, "pending")

    # --- what it sees ---

    def child(self, id: str) -> Child:
        found = self.machine.find(id)
        assert found is not None, f"there is no {id}"
        return found

    def states(self) -> dict[str, str]:
        return {child.id: child.public_state for child in self.machine.children}

    def take_log(self) -> list[str]:
        """What has been asked for since the last look, without "release"."""
        taken = [line for line in self.log if not line.startswith("release")]
        self.log.clear()
        return taken


def exit(reason: str) -> csp.Exit:
    return csp.Exit(None, reason)  # type: ignore[arg-type]


def running(*children: Any, **options: Any) -> Rig:
    """All up, the log empty; from here on the children do as they are told at once."""
    rig = Rig(*children, obedient=True, **options).start()
    assert set(rig.states().values()) <= {"running"}
    rig.take_log()
    rig.events.clear()
    return rig
