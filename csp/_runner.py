"""A tree as the whole program: from its start to the signal that ends it.  `Supervisor.run()` and `csp run` come here.

One select in the main thread waits for signals, for the tree's events, and for its end; the tree's own thread does the work.

The first signal stops the tree in order, which takes at most `budget(supervisor)`.  The second one hurries that: all children are
asked at once, and killed a second later.  The third one ends the process in its handler, whatever the rest is doing.  Wrappers
(timeout, uv run) pass a signal on that the terminal or they themselves have sent to the whole group, so an echo does not count.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from csp import _core
from csp._notify import Notifier
from csp.errors import EndOfChannel

if TYPE_CHECKING:
    from csp._specs import Event, Spec
    from csp._tree import Tree
    from csp.supervision import Supervisor

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LONG = 3600.0  # a wait with an end: who waits without one, for signals as well, looks to the deadlock detector like one of the stuck
_VERBS = ("stop", "hurry")
_ECHO = 0.2  # seconds in which the same signal is the same wish


def run(supervisor: "Supervisor", log: "Callable[[Event | str], None] | None" = None) -> int | None:
    """Run the tree to its end; the number of the signal that hurried it, or None.  Raises what `start` and `wait` raise.

    `log` is called with each event of the tree, and with a line about each signal.  Without it the events are left alone.
    """
    with _Signals() as signals:
        reply = supervisor._begin()
        tree = supervisor._tree
        assert tree is not None
        run = _Run(supervisor, tree, signals, log)
        try:
            run.until_the_end(reply)
        except BaseException:
            tree.command("kill")
            raise
        supervisor.wait()
        return run.hurried_by


def budget(supervisor: "Supervisor") -> float:
    """Seconds that an ordered stop may take: static children one after the other, the rest at once.  Infinite if one has no limit."""
    if supervisor._dynamic:
        return inf  # it depends on the children that there will be
    return sum(map(_share, supervisor._specs))


def _share(spec: "Spec") -> float:
    if spec.shutdown == "kill":
        return 0.0
    limit = inf if spec.shutdown is None else spec.shutdown
    return limit if spec.supervisor is None else min(limit, budget(spec.supervisor))


class _Signals:
    """Signals as values of a channel, while the block lasts.  The third one ends the process."""

    def __init__(self) -> None:
        self.channel: _core.Channel[int] = _core.Channel(inf, local=True, name="signals")
        self._count = 0
        self._last = (0, -inf)
        self._old: list[tuple[signal.Signals, Any]] = []

    def __enter__(self) -> "_core.Channel[int]":
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if number == signal.SIGINT and signal.getsignal(number) == signal.SIG_IGN:
                    continue  # a shell started this in the background
                self._old.append((number, signal.signal(number, self._note)))
        return self.channel

    def _note(self, number: int, frame: object) -> None:
        (last, when), now = self._last, time.monotonic()
        self._last = (number, now)
        if number == last and now - when < _ECHO:
            return
        self._count += 1
        if self._count > len(_VERBS):
            os._exit(128 + number)
        self.channel.send_nowait(number)

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._old:
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


class _Run:
    """What the main thread does while a tree runs."""

    def __init__(
        self, supervisor: "Supervisor", tree: "Tree", signals: "_core.Channel[int]", log: "Callable[[Event | str], None] | None"
    ) -> None:
        self._supervisor = supervisor
        self._tree = tree
        self._signals = signals
        self._log = log
        self._notifier = Notifier()
        self._verbs = list(_VERBS)
        self.hurried_by: int | None = None

    def until_the_end(self, started: "_core.RecvChannel[tuple[bool, Any]]") -> None:
        """Wait for one thing after the other; in this order, so that all events have been seen when the end is."""
        period = self._notifier.period
        cases: dict[str, Any] = {
            "signal": self._signals,
            "event": None if self._log is None else self._supervisor.events,
            "started": started,
            "alive": None,  # the answer of the tree to a question of the watchdog
            "tick": None if period is None else _core.tick(period),
            "ended": self._tree.ended.clone(),
        }
        while True:
            try:
                found = _core.select(list(cases.values()), timeout=_LONG, priority=True)
            except EndOfChannel as end:
                assert end.index is not None
                case = list(cases)[end.index]
                if case == "ended":
                    return
                cases[case] = None
                continue
            if not found:
                continue
            case = list(cases)[found.index]
            if case == "started":
                cases[case] = None
            elif case == "tick":
                cases["alive"] = self._tree.command("look", bool)
            getattr(self, f"_on_{case}")(found.value)

    def _on_signal(self, number: int) -> None:
        verb = self._verbs.pop(0)
        self._tree.command(verb)
        name = signal.Signals(number).name
        if verb == "stop":
            self._notifier.tell("STOPPING=1")
            limit = budget(self._supervisor)
            self._say(f"{name}: stopping" + (f", within {limit:g} s" if limit < inf else ""))
        else:
            self.hurried_by = number
            self._say(f"{name} again: stopping within a second")

    def _on_event(self, event: "Event") -> None:
        assert self._log is not None
        self._log(event)

    def _on_started(self, answer: tuple[bool, Any]) -> None:
        if answer[0]:
            self._notifier.tell("READY=1")

    def _on_tick(self, now: float) -> None:
        """Its thread is asked; `_on_alive` hears of it."""

    def _on_alive(self, answer: tuple[bool, Any]) -> None:
        self._notifier.tell("WATCHDOG=1")

    def _say(self, line: str) -> None:
        if self._log is not None:
            self._log(line)
