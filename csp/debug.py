"""For looking at a running program: what is alive, what is stuck.

    print(*csp.debug.stacks(), sep="\n\n")
    print(csp.debug.zombies())
"""

from csp import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from csp._ref import ActorRef

    Frame = tuple[str, int, str]

__all__ = ["ActorStack", "census", "deadlock_detection", "leaked", "stacks", "zombies"]


def zombies() -> "list[ActorRef]":
    """The actors that were given up because they are stuck in C code, and whose thread still runs.

    Their end has been announced and their names are free; what they hold of the process is reclaimed if the C code ever
    returns.  An actor with several such lives stands in the list once for each.
    """
    return _core.zombies()


class ActorStack(tuple):  # type: ignore[type-arg]
    """What one actor's thread does: `(ref, state, waits_for, seconds, frames)`; `str()` is for a person to read.

    `state` is `"starting"`, `"running"` (it computes, or waits for something outside of csp), `"waiting"` (in csp), `"killed"` (it is
    being killed) or `"zombie"` (it was given up, and runs on).  `waits_for` says what it waits for and `seconds` for how long; None
    and 0.0 unless it waits.  `frames` are `(file, line, function)`, the innermost last, without those of csp that call the actor's
    code; empty while it runs none (its interpreter boots or ends), None if it did not answer in time.  Of an actor in a process they
    are its main thread's (on Linux).
    """

    __slots__ = ()
    __module__ = "csp.debug"
    __match_args__ = ("ref", "state", "waits_for", "seconds", "frames")

    ref: "ActorRef" = property(lambda self: self[0], doc="Whose thread it is.")  # type: ignore[assignment]
    state: str = property(lambda self: self[1], doc="One word for what it does.")  # type: ignore[assignment]
    waits_for: "str | None" = property(lambda self: self[2], doc="What it waits for in csp, or None.")  # type: ignore[assignment]
    seconds: float = property(lambda self: self[3], doc="For how long it has waited.")  # type: ignore[assignment]
    frames: "tuple[Frame, ...] | None" = property(lambda self: self[4], doc="The Python stack.")  # type: ignore[assignment]
    name: str = property(lambda self: self[0].name, doc="The actor's name.")  # type: ignore[assignment]
    id: int = property(lambda self: self[0].id, doc="The actor's number.")  # type: ignore[assignment]

    def __str__(self) -> str:
        import linecache

        what = self.state
        if self.waits_for is not None:
            what = "sleeping" if self.waits_for == "sleep" else f"waiting to {self.waits_for}"
            what = f"{what}, for {self.seconds:.1f} s"
        lines = [f"actor {self.name!r} (id {self.id}): {what}"]
        if self.frames is None:
            lines.append("  does not answer: its interpreter is kept by C code, or its process is held")
        for file, line, function in self.frames or ():
            lines.append(f'  File "{file}", line {line}, in {function}')
            source = linecache.getline(file, line).strip()
            if source:
                lines.append(f"    {source}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"ActorStack({', '.join(f'{name}={value!r}' for name, value in zip(self.__match_args__, self, strict=True))})"


def stacks(timeout: "float | None" = 1.0) -> "list[ActorStack]":
    """The Python stack of each actor's thread, those that hang and the zombies included, the oldest first; from any interpreter.

        for stack in csp.debug.stacks():
            print(stack)

    An actor that waits is not disturbed, one that runs Python code is held up for a moment.  One whose interpreter is kept by
    C code cannot be asked: after `timeout` seconds in all its entry says so.  The entries are not of one instant.
    """
    from time import monotonic

    until = None if timeout is None else monotonic() + timeout
    found: list[Any] = [list(entry) for entry in _core.stacks(timeout)]
    processes = [entry for entry in found if entry[5]]
    if processes:
        from csp._process.stack import frames_of

        left = None if until is None else max(until - monotonic(), 0.0)
        for entry, frames in zip(processes, frames_of([(entry[5], entry[6]) for entry in processes], left), strict=True):
            entry[4] = frames
    return [ActorStack(entry[:5]) for entry in found]


def census() -> "dict[str, int]":
    """Count what is alive: channels, interpreters, those of them that are warm (wait for an actor), blobs and blocks in flight, buffers."""
    return _core.census()


def leaked() -> int:
    """About how many bytes interpreters have taken with them when they ended, in the whole process: on CPython 3.13 nearly all that they
    used, from 3.14 on 0.

    An estimate from the number of modules that each had imported; what it had in large values besides is not in it.
    """
    return _core.ended_interpreters()[1]


def deadlock_detection(on: bool, /) -> bool:
    """Switch the detector of deadlocks for the whole process; return what it was.  It is on to begin with.

    Off, a wait that nobody can complete any more lasts for ever instead of raising `DeadlockError`.
    """
    return _core.deadlock_detection(on)
