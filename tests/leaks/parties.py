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


def leak(what: Any) -> None:
    """As an extension with a wrong count does."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(what))


def leaks(ch: Any, told: Any) -> None:
    """Leak handles, here and in a thread actor of this interpreter; memory too, in use and on its way."""
    leak(ch.clone())
    buffers = [csp.SharedBuffer(100), csp.SharedBuffer(100)]
    leak(buffers[0])
    leak(memoryview(buffers[0]))
    leak(buffers[1])
    told.send_nowait(csp.move(buffers[1]))
    told.recv_nowait()
    csp.spawn(leaks_handles_and_a_lease, ch, told, isolation="thread").result(20)


def leaks_handles_and_a_lease(ch: Any, told: Any) -> None:
    told.send("value")
    lease = ch.lease(0)
    lease.__enter__()
    leak(ch)
    leak(lease)


def echo(there: Any, back: Any, move: bool) -> None:
    """Send back what comes, until nothing more does."""
    for value in there:
        back.send(csp.move(value) if move else value)
        del value
