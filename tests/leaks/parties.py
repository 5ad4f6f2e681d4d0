"""Actors of the leak tests."""

from typing import Any

import csp


def returns(ch: Any, told: Any) -> list[Any]:
    """Use a little of everything, and return."""
    inner = csp.Channel(3)
    inner.send([ch, "x" * 300])
    csp.select([inner, csp.after(5)])
    told.send_nowait("y" * 300)
    ch.recv_nowait(None)
    return ["z" * 300, told]


def fails(ch: Any, told: Any) -> None:
    """Raise with a lease in hand and values in a channel of its own."""
    inner = csp.Channel(3)
    inner.send([ch, "x" * 300])
    with ch.lease(0):
        raise ValueError("as told", "x" * 300)


def waits(ch: Any, told: Any) -> None:
    """Wait until it is killed, with a lease in hand."""
    lease = ch.lease(5)
    lease.__enter__()
    csp.Channel().recv()
