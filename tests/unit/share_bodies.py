"""Functions that the tests of share() run as actors."""

import array
from typing import Any

import csp


def total(view: Any) -> int:
    return sum(memoryview(view))


def fill(view: Any, value: int) -> None:
    memoryview(view)[:] = bytes([value]) * len(view)


def describe(view: Any) -> tuple[type, str, tuple[int, ...], tuple[int, ...], bool, bytes]:
    window = memoryview(view)
    return type(view), window.format, window.shape, window.strides, window.readonly, window.tobytes()


def lend(out: csp.SendChannel[Any], n: int) -> None:
    """Its end does not wait for whoever has the view, and the view outlives it."""
    out.send(csp.share(array.array("q", range(n)), writable=True))


def lend_and_wait(out: csp.SendChannel[Any], n: int) -> None:
    out.send(csp.share(bytearray(b"x" * n)))
    csp.never().recv()


def lend_as_result(n: int) -> Any:
    return {"rows": csp.share(bytes(range(n)))}


def keep_one(n: int) -> int:
    """Its own views do not keep an interpreter alive."""
    global kept
    kept = csp.share(bytearray(n))
    return len(kept)


def pass_on(source: csp.RecvChannel[Any], out: csp.SendChannel[Any]) -> None:
    for value in source:
        out.send(value)


def lend_until_it_is_back(out: csp.SendChannel[Any], gate: csp.RecvChannel[None]) -> bool:
    """Resizes its object after the view elsewhere is gone."""
    data = bytearray(1000)
    out.send(csp.share(data))
    gate.recv()
    try:
        data.append(1)
    except BufferError:
        gate.recv()
        data.append(1)
        return True
    return False


def host_of_a_lender(out: csp.SendChannel[Any], gate: csp.RecvChannel[None]) -> bool:
    """The lender is a thread of this interpreter, which sleeps meanwhile."""
    return csp.spawn(lend_until_it_is_back, out, gate, isolation="thread").result(10)


kept: Any = None
