"""What is known to go wrong with interpreters in which Python, and what csp does, or you can do, about it.

Measured, or read from CPython's tracker, on the releases of 3.13 to 3.15.  `since` is the first version that has the fault,
`until` the first that does not; None for `until` means that it is so to this day, mostly by design.
"""

from typing import NamedTuple

Version = tuple[int, int, int]


class Fault(NamedTuple):
    """One fault: what you see, and the way round it."""

    since: Version
    until: Version | None
    what: str
    way_round: str


FAULTS = [
    Fault(
        (3, 13, 0), (3, 14, 0),
        "every interpreter that has ended leaks its heap: 1.6 MiB bare, more with what it imported",
        "keep actors alive instead of spawning one a job; or use Python 3.14",
    ),
    Fault(
        (3, 13, 0), (3, 14, 0),
        "a first import of datetime (or of what needs it) in an actor crashes the process, at once or at exit",
        "csp imports datetime in the main interpreter before it makes the first interpreter",
    ),
    Fault(
        (3, 13, 0), (3, 14, 0),
        "sys._current_frames aborts the process while other interpreters live; pytest-timeout calls it",
        "use pytest's faulthandler_timeout, or a timeout round the process",
    ),
    Fault(
        (3, 13, 0), (3, 14, 0),
        "deep recursion overflows the C stack of a thread with a small stack",
        "csp gives the threads of actors a large one",
    ),
    Fault(
        (3, 13, 0), (3, 14, 0),
        "a thread left over at the end of an interpreter aborts the process",
        "csp waits for an actor's threads, and keeps an interpreter that has some left; join your threads",
    ),
    Fault(
        (3, 13, 0), (3, 14, 0),
        "coverage does not see the code of actors",
        "measure on Python 3.14, with coverage's patch = subprocess",
    ),
    Fault(
        (3, 14, 0), (3, 14, 1),
        "making an interpreter leaks (gh-140067, gh-140301), and struct races (gh-140260)",
        "use 3.14.1 or newer",
    ),
    Fault((3, 14, 0), (3, 14, 2), "cmath races when several interpreters import it (gh-116738)", "use 3.14.2 or newer"),
    Fault(
        (3, 14, 0), (3, 14, 4),
        "the import of a module that refuses interpreters can crash the process (gh-144601)",
        "ask csp doctor about the module first: it tries in a process of its own; or use 3.14.4 or newer",
    ),
    Fault(
        (3, 14, 0), None,
        "a thread left over at the end of an interpreter can crash the process later",
        "csp waits for an actor's threads, and keeps an interpreter that has some left; join your threads",
    ),
    Fault(
        (3, 13, 0), (3, 15, 0),
        "making an interpreter while tracemalloc traces deadlocks or crashes",
        "csp refuses to make one then (ActorStartError): do not trace while you use actors; or use Python 3.15",
    ),
    Fault(
        (3, 13, 0), (3, 15, 0),
        "a blocking call of the system (time.sleep, a socket) in an actor cannot be broken off",
        "wait by csp.sleep and by channels, which can; give other waits a timeout; or use Python 3.15",
    ),
    Fault(
        (3, 13, 0), None,
        "os.fork while interpreters live crashes the child",
        "csp refuses the fork (ForkedError); subprocess and multiprocessing's spawn are fine",
    ),
    Fault(
        (3, 13, 0), None,
        "a process that exits while interpreters run can crash",
        "csp stops actors and ends their interpreters before Python does",
    ),
    Fault((3, 13, 0), None, "an actor's interpreter refuses daemon threads", "start threads that are not, and join them"),
    Fault(
        (3, 13, 0), None,
        "extension modules that keep state in process-wide memory are refused (numpy, for one)",
        'csp doctor MODULE tells; such an actor needs isolation="thread" or "process"',
    ),
]  # fmt: skip
"""In the order in which they matter, those of one version first."""


def faults_of(version: Version) -> list[Fault]:
    """The faults that a Python of this version has."""
    return [fault for fault in FAULTS if fault.since <= version and (fault.until is None or version < fault.until)]
