"""For looking at a running program: what is alive, what is stuck.

    print(csp.debug.zombies())
"""

from csp import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from csp._ref import ActorRef

__all__ = ["census", "deadlock_detection", "leaked", "zombies"]


def zombies() -> "list[ActorRef]":
    """The actors that were given up because they are stuck in C code, and whose thread still runs.

    Their end has been announced and their names are free; what they hold of the process is reclaimed if the C code ever
    returns.  An actor with several such lives stands in the list once for each.
    """
    return _core.zombies()


def census() -> "dict[str, int]":
    """Count what is alive: channels, interpreters, those of them that are warm (wait for an actor), blobs and blocks in flight."""
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
