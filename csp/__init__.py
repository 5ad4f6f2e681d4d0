"""CSP channels, Go-style select and actors, each in its own subinterpreter with its own GIL.

    import csp

    with csp.Channel(16) as ch:
        ch.send("hello")
        print(ch.recv())

Every actor's interpreter pays for this import, so it loads only the C core, the errors and select.  The other public
names load on first use.

PYTEST_DONT_REWRITE: the distribution has a pytest plugin, and pytest would warn about a csp that was imported before it.
"""

from csp._core import (
    BufferStatistics,
    Channel,
    ChannelStatistics,
    Lease,
    RecvChannel,
    Selected,
    Selector,
    SendChannel,
    SharedBuffer,
    SharedView,
    after,
    channel,
    move,
    never,
    share,
    sleep,
    tick,
)
from csp.errors import (
    ActorDied,
    ActorError,
    ActorFailed,
    ActorStartError,
    BrokenChannel,
    ClosedHandle,
    CspError,
    DeadlockError,
    DecodeError,
    EndOfChannel,
    ForkedError,
    Killed,
    NotShareable,
    Stopped,
    SupervisorError,
    Timeout,
    WouldBlock,
)

# Eager, before the name is bound: `csp.select` is the function for good, `from csp.select import ...` finds the module.
from csp.select import merge, select

__version__ = "0.1.0"

# Public names that load on first use, and the module each comes from.
_LAZY = {
    "ActorContext": "actors",
    "ActorRef": "actors",
    "ActorStatistics": "_ref",
    "Backoff": "supervision",
    "ChildCount": "supervision",
    "ChildInfo": "supervision",
    "ChildSpec": "supervision",
    "DeadLetter": "_calls",
    "DynamicSupervisor": "supervision",
    "Exit": "actors",
    "Exited": "supervision",
    "GaveUp": "supervision",
    "RemoteError": "actors",
    "Reply": "_calls",
    "Restarted": "supervision",
    "Started": "supervision",
    "Supervisor": "supervision",
    "actor": "actors",
    "aselect": "_awaiting",
    "current_actor": "actors",
    "run": "actors",
    "spawn": "actors",
    "whereis": "actors",
}
_MODULES = ("debug", "errors", "interpreters", "sync", "testing")

__all__ = [
    "ActorContext",
    "ActorDied",
    "ActorError",
    "ActorFailed",
    "ActorRef",
    "ActorStartError",
    "ActorStatistics",
    "Backoff",
    "BrokenChannel",
    "BufferStatistics",
    "Channel",
    "ChannelStatistics",
    "ChildCount",
    "ChildInfo",
    "ChildSpec",
    "ClosedHandle",
    "CspError",
    "DeadLetter",
    "DeadlockError",
    "DecodeError",
    "DynamicSupervisor",
    "EndOfChannel",
    "Exit",
    "Exited",
    "ForkedError",
    "GaveUp",
    "Killed",
    "Lease",
    "NotShareable",
    "RecvChannel",
    "RemoteError",
    "Reply",
    "Restarted",
    "Selected",
    "Selector",
    "SendChannel",
    "SharedBuffer",
    "SharedView",
    "Started",
    "Stopped",
    "Supervisor",
    "SupervisorError",
    "Timeout",
    "WouldBlock",
    "actor",
    "after",
    "aselect",
    "channel",
    "current_actor",
    "dead_letters",
    "debug",
    "errors",
    "interpreters",
    "merge",
    "move",
    "never",
    "run",
    "select",
    "share",
    "sleep",
    "spawn",
    "sync",
    "testing",
    "tick",
    "whereis",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from csp import debug, errors, interpreters, sync, testing
    from csp._awaiting import aselect
    from csp._calls import DeadLetter, Reply
    from csp._ref import ActorStatistics
    from csp.actors import (
        ActorContext,
        ActorRef,
        Exit,
        RemoteError,
        actor,
        current_actor,
        run,
        spawn,
        whereis,
    )
    from csp.supervision import (
        Backoff,
        ChildCount,
        ChildInfo,
        ChildSpec,
        DynamicSupervisor,
        Exited,
        GaveUp,
        Restarted,
        Started,
        Supervisor,
    )

    dead_letters: RecvChannel[DeadLetter]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _LAZY:
        value = getattr(import_module("csp." + _LAZY[name]), name)
    elif name == "dead_letters":
        from csp._core import dead_letters as open_dead_letters

        value = open_dead_letters()
    elif name in _MODULES:
        value = import_module("csp." + name)
    else:
        raise AttributeError(f"module 'csp' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
