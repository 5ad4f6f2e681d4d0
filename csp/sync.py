"""Primitives shared between interpreters: the names, signatures and results of `threading`, and Go's WaitGroup and Once.

Send one through a channel or give it to an actor: what arrives is a new handle to the same thing.  A lock whose holder's actor or
interpreter ended is released; the next holder reads `lock.owner_died`.  `Lock`, the semaphores, `Event` and `WaitGroup` are
cases of `csp.select`.

    hits = AtomicInt()
    with lock: ...
"""

from csp._core import (
    AtomicInt,
    BoundedSemaphore,
    Condition,
    Event,
    Lock,
    Once,
    RLock,
    Semaphore,
    WaitGroup,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = [
    "AtomicInt",
    "Barrier",
    "BoundedSemaphore",
    "BrokenBarrierError",
    "Condition",
    "Event",
    "Lock",
    "Once",
    "RLock",
    "Semaphore",
    "WaitGroup",
]

_TURNS = 60  # whose kinds are remembered


class BrokenBarrierError(RuntimeError):
    """The barrier is broken, or was reset or aborted while somebody waited at it."""


class Barrier:
    """Barrier(parties, action=None, timeout=None)

    As threading.Barrier, between interpreters: `wait` returns once `parties` are there, to each a different number from 0 to
    parties - 1; the last one calls `action` first.  A `timeout` (seconds) that passes, `abort`, or an exception in `action` breaks
    it: all who wait and who come later get `BrokenBarrierError`, until `reset`.

    Who waits is who is in the queue: a party whose actor ends while it waits is not there any more, and another can take its place.

        barrier = Barrier(2)
        ref = csp.spawn(work, barrier)
        barrier.wait()
    """

    __slots__ = ("_action", "_broken", "_changed", "_kinds", "_parties", "_timeout", "_turn")
    __module__ = "csp.sync"

    def __init__(
        self, parties: int, action: "Callable[[], object] | None" = None, timeout: "float | None" = None
    ) -> None:
        if parties < 1:
            raise ValueError("parties must be > 0")
        parts = Condition(Lock()), AtomicInt(), AtomicInt(), AtomicInt()
        self.__setstate__((parties, action, timeout, *parts))

    def __setstate__(self, parts: "tuple[Any, ...]") -> None:
        self._parties, self._action, self._timeout, self._changed, self._turn, self._kinds, self._broken = parts

    def __reduce__(self) -> "tuple[Any, ...]":
        parts = self._parties, self._action, self._timeout, self._changed, self._turn, self._kinds, self._broken
        return _new_barrier, (), parts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Barrier) and self._changed == other._changed

    def __hash__(self) -> int:
        return hash(self._changed)

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"waiting {self.n_waiting}/{self.parties}"
        return f"<csp.sync.Barrier {state}>"

    @property
    def parties(self) -> int:
        """How many it waits for."""
        return int(self._parties)

    @property
    def n_waiting(self) -> int:
        """How many wait now."""
        return int(self._changed.waiting)

    @property
    def broken(self) -> bool:
        """Whether it is broken."""
        return bool(self._broken.value)

    def wait(self, timeout: "float | None" = None) -> int:
        """Wait for the others; the number of those who were there before.  `BrokenBarrierError` if it breaks or is reset."""
        timeout = self._timeout if timeout is None else timeout
        with self._changed:
            if self.broken:
                raise BrokenBarrierError
            index = self.n_waiting
            if index + 1 >= self.parties:
                self._release()
                return index
            turn = self._turn.value
            if not self._changed.wait(timeout):
                self._break()
                raise BrokenBarrierError
            if self._was_break(turn):
                raise BrokenBarrierError
            return index

    def reset(self) -> None:
        """Make it as new.  Those who wait get `BrokenBarrierError`."""
        with self._changed:
            self._end_turn(True)
            self._broken.add(-self._broken.value)

    def abort(self) -> None:
        """Break it."""
        with self._changed:
            self._break()

    def _release(self) -> None:
        try:
            if self._action is not None:
                self._action()
        except BaseException:
            self._break()
            raise
        self._end_turn(False)

    def _break(self) -> None:
        self._end_turn(True)
        self._broken.add(1)

    def _end_turn(self, broken: bool) -> None:
        """All who wait now are woken by this: the next to come waits for the next turn."""
        kinds = (self._kinds.value << 1 | broken) & (1 << _TURNS) - 1
        self._kinds.add(kinds - self._kinds.value)
        self._turn.add(1)
        self._changed.notify_all()

    def _was_break(self, turn: int) -> bool:
        """How the turn after that ended: others may have ended before we had the lock again."""
        later = self._turn.value - turn - 1
        return later >= _TURNS or bool(self._kinds.value >> later & 1)


def _new_barrier() -> Barrier:
    return Barrier.__new__(Barrier)
