"""For tests of programs that use csp: wait until somebody waits, count what is alive.

    sender = threading.Thread(target=ch.send, args=(1,))
    sender.start()
    wait_parked(ch, senders=1)          # instead of a sleep and hope
"""

import time

from csp import _core
from csp.errors import Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Handle = _core.Channel[Any] | _core.SendChannel[Any] | _core.RecvChannel[Any]

__all__ = ["census", "wait_parked", "wait_until"]

_STEP = 0.0002  # seconds between two looks


def wait_until(
    condition: "Callable[[], object]", timeout: float = 10.0, what: str = "the condition"
) -> None:
    """Look again and again until `condition()` is true; raise `Timeout` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise Timeout(f"{what} did not come about within {timeout} s")
        _core.sleep(_STEP)


def wait_parked(
    channel: "Handle", *, senders: int = 0, receivers: int = 0, timeout: float = 10.0
) -> None:
    """Wait until at least so many senders and receivers wait on the channel; raise `Timeout` otherwise."""

    def parked() -> bool:
        now = channel.statistics()
        return now.waiting_senders >= senders and now.waiting_receivers >= receivers

    wait_until(parked, timeout, f"{senders} senders and {receivers} receivers waiting on {channel!r}")


def census() -> "dict[str, int]":
    """Count what is alive: channels, interpreters, those of them that are warm (wait for an actor), blobs and blocks in flight, buffers.

    A test that leaks nothing finds the same numbers before and after.
    """
    return _core.census()
