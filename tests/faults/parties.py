"""What the other interpreters of the fault tests do."""

from typing import Any


def wait_for_end(channel: Any, *_: object) -> None:
    """Receive until there is nothing more to come."""
    for _ in channel:
        pass
