"""The exceptions of csp.

    Exception
    +-- CspError
    |   +-- EndOfChannel (EOFError)            receive: the sending side is gone and the buffer is drained
    |   +-- BrokenChannel (BrokenPipeError)    send: the receiving side is gone, or the other side closed
    |   +-- ClosedHandle (ValueError)          this side itself closed the handle
    |   +-- ForkedError (RuntimeError)         a handle, or an interpreter, and os.fork
    |   +-- Timeout (TimeoutError)             the deadline passed
    |   +-- WouldBlock (BlockingIOError)       a _nowait call could not complete at once
    |   +-- NotShareable (TypeError, ValueError)  the value cannot cross; raised in the sender
    |   +-- DecodeError (ValueError)           the value arrived and could not be rebuilt here
    |   +-- DeadlockError (RuntimeError)       nobody left can complete this wait
    |   +-- RunFailed (RuntimeError)           code run in another interpreter raised
    |   +-- ActorError (RuntimeError)
    |       +-- ActorStartError                the actor's initialisation failed
    |       +-- ActorFailed                    the actor raised
    |       +-- ActorDied                      the actor ended before it answered
    |       +-- SupervisorError                a supervisor could not start, gave up, or refuses
    BaseException
    +-- Stopped                                an actor was asked to stop
    +-- Killed                                 an actor is being killed

An unsent value is never lost: whenever `send` raises one of these, the value is still the caller's alone.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from csp.actors import RemoteError


class CspError(Exception):
    """Base of the errors of csp.

    `channel` is the handle that the caller passed, or None; `index` is the position of the case when the error
    comes out of `select`, else None.
    """

    channel: "Any" = None
    index: "int | None" = None


class EndOfChannel(CspError, EOFError):
    """Receive: the sending side has closed and the buffer is drained.

    You get it once every sending handle is closed, collected or gone with its interpreter, or after `close()` on a
    `Channel`, and only when all buffered values have been received.  You do not get it from a handle that you closed
    yourself (`ClosedHandle`), but for a `Channel`, which still drains.

    `cause` says why when that is known: what `close(cause=...)` was given, or the `Exit` of the actor whose end
    dropped the last sender.
    """

    cause: "Any" = None


class BrokenChannel(CspError, BrokenPipeError):
    """Send: the receiving side is gone, or somebody else closed the channel.  The value was not sent.

    `cause` is what `close(cause=...)` was given, or None.
    """

    cause: "Any" = None


class ClosedHandle(CspError, ValueError):
    """An operation on a handle that this side itself has closed.  Nothing was sent or received."""


class ForkedError(CspError, RuntimeError):
    """os.fork while interpreters of ours live, or an operation on a handle inherited through a fork.

    The child of a fork would crash with other interpreters alive, so the fork is refused; `subprocess` and the
    spawn method of `multiprocessing` are fine.
    """


class Timeout(CspError, TimeoutError):
    """The deadline passed.  Nothing was sent or received, but for what a batch's `sent` counts."""

    sent = 0


class WouldBlock(CspError, BlockingIOError):
    """A `_nowait` call could not complete at once.  Nothing was sent or received."""


class NotShareable(CspError, TypeError, ValueError):
    """The value cannot cross.  Raised in the sender, before anything is sent; names the offending part by path."""


class DecodeError(CspError, ValueError):
    """A value arrived but could not be rebuilt here, say because its module does not import.

    That value is gone; the channel stays usable.  `__cause__` is the original error.
    """


class DeadlockError(CspError, RuntimeError):
    """Nobody left can complete this wait."""


class Stopped(BaseException):
    """Raised at a channel operation inside an actor that was asked to stop, once for each stop.

    Not an `Exception`, so that a broad `except Exception` lets it pass.  Let it: `finally` blocks run, and channel
    operations work again in them.
    """

    channel: "Any" = None
    index: "int | None" = None


class Killed(BaseException):
    """Injected into an actor that is being killed, and raised by every channel operation from then on."""

    channel: "Any" = None
    index: "int | None" = None


class ActorError(CspError, RuntimeError):
    """Base of the errors about actors.  `remote` is a `RemoteError` snapshot of what was raised there, or None."""

    remote: "RemoteError | None" = None


class ActorStartError(ActorError):
    """The actor could not be started: its interpreter, its module or its initialisation failed."""


class ActorFailed(ActorError):
    """The actor raised.  `remote` is the snapshot; `__cause__` the original exception where that could cross."""


class ActorDied(ActorError):
    """The actor has ended: it takes no more messages, and a call that it had not answered never will be."""


class SupervisorError(ActorError):
    """A supervisor could not start its children, gave up on one, or refuses a command.

    `child` is the id of the child that was the cause, `reason` the word for it: how its last life ended (`"failed"`,
    `"killed"`, ...), why a command is refused (`"running"`, `"shutdown"`, `"max_children"`, ...), or, where no child is to blame,
    `"memory_budget"`.  `__cause__` is the child's own error where that could be had, so a failure that comes up through several
    supervisors still says where it began.
    """

    child: "str | None" = None
    reason: "str | None" = None


class RunFailed(CspError, RuntimeError):
    """Code run by `csp.interpreters` raised.  `remote` is the snapshot, `__cause__` the original where it could cross."""

    remote: "RemoteError | None" = None


__all__ = [
    "ActorDied",
    "ActorError",
    "ActorFailed",
    "ActorStartError",
    "BrokenChannel",
    "ClosedHandle",
    "CspError",
    "DeadlockError",
    "DecodeError",
    "EndOfChannel",
    "ForkedError",
    "Killed",
    "NotShareable",
    "RunFailed",
    "Stopped",
    "SupervisorError",
    "Timeout",
    "WouldBlock",
]

for _name in __all__:
    globals()[_name].__module__ = "csp"
del _name
