"""Waiting for one of several channel operations: `select`, `Selector`, `merge`, and the timer channels.

The specification, after Go's select:

- A case is a channel or RecvChannel (receive), a pair (channel, value) (send), or None (disabled; it keeps its index).
- Exactly one case fires.  The others have no effect whatever: nothing taken, nothing sent.
- If several are ready, one is chosen at random with equal chances; `priority=True` takes the first in order.
- A case is ready when it would not block, an error included.  A closed case that is chosen raises what `recv` or `send`
  would, with `.channel` and `.index`; disable it then: `except EndOfChannel as e: cases[e.index] = None`.
- The poll is one instant: if at every moment some case is ready, `timeout=0` never reports a timeout.
- All send values are encoded on entry, chosen or not; one that cannot cross raises before anything is done.
- A select never pairs with itself; two selects pair with each other in any mix of send and receive.
- An object that offers a channel by a method `__csp_case__()` is a receive case as well.

Timers (`after`, `tick`, `never`) are receive-only channels without a thread: whoever waits computes until when.
"""

from csp._core import Selected, Selector, after, never, select, tick
from csp.errors import EndOfChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from csp._core import Channel, RecvChannel

__all__ = ["Selected", "Selector", "after", "merge", "never", "select", "tick"]


def merge(
    channels: "Iterable[Channel[Any] | RecvChannel[Any]]", /
) -> "Iterator[tuple[Channel[Any] | RecvChannel[Any], Any]]":
    """Iterate over (channel, value) of several channels, fairly, until all of them have ended.

    Waits like `select`.  Leaving the loop early closes nothing.

        for channel, value in merge([lines, errors]): ...
    """
    cases: list[Any] = list(channels)
    left = len(cases)
    selector = Selector(cases)
    while left:
        try:
            yield selector.select()
        except EndOfChannel as end:
            if end.index is None:
                raise
            cases[end.index] = None
            left -= 1
            selector = Selector(cases)


merge.__module__ = "csp"
