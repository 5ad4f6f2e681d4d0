"""Functions that the tests of SharedBuffer run as actors."""

from typing import Any

import csp


def fill(buffer: Any, value: int) -> None:
    buffer[:] = bytes([value]) * len(buffer)


def make(out: csp.SendChannel[Any], n: int) -> None:
    """Its end does not matter to the memory."""
    buffer = csp.SharedBuffer(n)
    buffer[:] = b"x" * n
    out.send(buffer)


def make_and_wait(out: csp.SendChannel[Any], n: int) -> None:
    make(out, n)
    csp.never().recv()


def make_as_result(n: int) -> Any:
    buffer = csp.SharedBuffer(n)
    buffer[:] = bytes(range(n))
    return {"rows": buffer}


def hold_and_wait(buffer: Any, out: csp.SendChannel[Any]) -> None:
    """Keeps a handle and a view of it where an actor's end does not find them."""
    global kept
    kept = buffer, memoryview(buffer)
    out.send(None)
    csp.never().recv()


def keep(buffer: Any) -> int:
    global kept
    kept = buffer
    return len(buffer)


def try_to_write(buffer: Any) -> str:
    try:
        buffer[0] = 1
    except TypeError as error:
        return str(error)
    return "written"


def pass_on(source: csp.RecvChannel[Any], out: csp.SendChannel[Any]) -> None:
    for value in source:
        out.send(value)


kept: Any = None
