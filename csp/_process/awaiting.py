"""What csp._awaiting builds on, as the process of an actor has it: `Loop` and `Wait`, whose operations are under way at the bridge.

An event loop must not wait for answers, so with the first Loop a thread begins to read the socket for all of the process.  It
puts what has been answered on the Loop's list and makes its descriptor readable: one descriptor, and one thread, whatever the
number of waits.  A cancellation is decided by the bridge, where the real wait is: won there, nothing was sent or taken; lost, the
outcome is here before the bridge's answer to the cancellation is.
"""

from collections import deque

from csp import _core
from csp._process import line
from csp._process.channels import case_of, selected
from csp._process.line import pack
from csp._process.wire import Segments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from csp._process.line import Standing

_Target = _core.Loop  # the core's own, which far.py puts ours in the place of: a descriptor that a thread makes readable
_first: "Loop | None" = None  # the actor's own, which says that it turns


class Loop:
    """The wake target of one running event loop."""

    def __init__(self) -> None:
        global _first
        self._target = _Target()
        self._fired: deque[Wait] = deque()  # filled by whoever reads the line
        self._asked = False  # by the bridge, whether it turns; either side may be late, that is all
        self.wake: Any = None
        if _first is None:
            _first = self
        line.read_always(_turn)

    def fileno(self) -> int:
        return self._target.fileno()

    def poke(self) -> None:
        self._target.poke()

    def wake_by(self, fd: int, /) -> None:
        """A kill of a process needs nobody's help."""

    def drain(self) -> "list[Wait]":
        self._target.drain()  # before we look: what comes later makes it readable again
        if self._asked:
            self._asked = False
            line.tell("turned")
        waits = []
        while self._fired:
            wait = self._fired.popleft()
            if not wait.done:  # else whoever awaited it knows already
                wait.done = True
                waits.append(wait)
        return waits

    def arrived(self, wait: "Wait") -> None:
        self._fired.append(wait)
        self.poke()


def _turn() -> None:
    if _first is not None:
        _first._asked = True
        _first.poke()


class Wait:
    """One operation under way."""

    def __init__(self, loop: Loop, take: "Callable[[Any], Any]", operation: str, *arguments: object, segments: Segments | None = None) -> None:
        self._loop, self._take = loop, take
        self._found: Any = None  # what the bridge has answered
        self.done = False  # only in the loop's own thread does it become true
        self.token: Any = None
        self._number = line.begin_wait(self, operation, arguments, segments)

    def arrive(self, found: "Any") -> None:
        """In the thread that reads the line."""
        self._found = found
        self._loop.arrived(self)

    def cancel(self) -> bool:
        if self.done or self._found is not None:
            return self.done and self._found is None
        if not line.request("cancel", self._number):
            return False
        line.forget_wait(self._number)
        self.done = True
        return True

    def settle(self) -> None:
        self.done = True  # the outcome came before the news that it was too late to cancel

    def result(self) -> "Any":
        found, self._found = self._found, None
        return self._take(lambda channel: line.outcome(found[0], found[1], channel))

    def put_back(self) -> None:
        """An outcome that nobody took is gone: the bridge has given it out."""

    def due(self) -> None:
        """Timers among the cases are the bridge's."""

    def fire_due(self) -> None: ...


def begin_recv(loop: Loop, handle: "Standing", /) -> Wait:
    return Wait(loop, lambda outcome: outcome(handle), "recv", handle._which, None)


def begin_send(loop: Loop, handle: "Standing", value: object, /) -> Wait:
    segments = Segments()
    packed = pack(value, segments)
    return Wait(loop, lambda outcome: outcome(handle), "send", handle._which, packed, None, segments=segments)


def begin_select(loop: Loop, cases: "Iterable[Any]", priority: bool, /) -> Wait:
    listed = list(cases)
    segments = Segments()
    wired = [case_of(case, segments) for case in listed]
    if all(case is None for case in wired):
        raise ValueError("aselect without an enabled case would wait for ever")
    return Wait(loop, lambda outcome: selected(listed, lambda: outcome(None)), "select", wired, None, priority, segments=segments)


def abandon_loops() -> None:
    """A kill does not leave an event loop half-way: it ends the process."""


def unwinding(begun: bool, /) -> None:
    """Nor is it a cancellation first."""


FUNCTIONS = (begin_recv, begin_send, begin_select, abandon_loops, unwinding)
