"""Actors in a child process (`isolation="process"`): the same channels, the same ends, for libraries that no interpreter of ours loads.

All channels, mailboxes and counts stay where they are, in the engine of the process that spawned the actor.  What the child has of
them are stand-ins: each operation is a request over a socket, and is answered when it completes.

    child process                                   this process
    far.py: Channel, select, ActorRef ...  --wire-- bridge.py: a thread that holds the real handles
    boot.py: the first code                         in an interpreter of its own, and is, for the engine, the actor's life

So rendezvous, select, leases, deadlines, stops and monitors are those of the one engine, and the end of the child, by whatever
signal, is the end of a life: its handles drop, its leases go back, its supervisor hears of it.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def packed(life: "tuple[Any, ...]", watchdog: float) -> "tuple[Any, ...]":
    """(target, args, kwargs, options) as the payload of the bridge, which passes it on without rebuilding it.

    Raises `NotShareable`.
    """
    from csp import _pickling
    from csp.errors import CspError, NotShareable

    try:
        pickled = _pickling.dumps(life)
    except (CspError, MemoryError):
        raise
    except Exception as error:
        raise NotShareable(_pickling.explain(life, error)) from error
    command = _python()
    return ("csp._process.bridge", "run"), (pickled, list(sys.path), command, watchdog), {}, {"process": True, "ready": True}


_command: "list[str]" = []  # made once


def _python() -> "list[str]":
    """A Python like this one.  Found out here: the import would cost each bridge 7 ms."""
    if not sys.executable:
        raise RuntimeError("sys.executable is not known: no child process can be started")
    if not _command:
        from subprocess import _args_from_interpreter_flags  # type: ignore[attr-defined]

        _command.extend([sys.executable, *_args_from_interpreter_flags()])
    return _command
