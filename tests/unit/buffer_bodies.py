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


# --- move() ---


def is_gone(memory: Any) -> str:
    try:
        memoryview(memory)
    except ValueError:
        return "gone"
    return "here"


def move_on(memory: Any, out: csp.SendChannel[Any]) -> str:
    with memoryview(memory) as view:
        view[0] = 5
    out.send(csp.move(memory))
    return is_gone(memory)


def mover() -> bytes:
    """Lends memory to a child, which gives it back, and then owns it alone again."""
    data, ch = bytearray(5), csp.Channel(1)
    csp.spawn(fill_and_give_back, csp.move(csp.share(data, writable=True)), ch.sender).join(10)
    ch.recv(10).release()
    csp.sleep(0)
    data.append(0)
    return bytes(data[:-1])


def fill_and_give_back(view: Any, out: csp.SendChannel[Any]) -> None:
    with memoryview(view) as window:
        window[:] = b"moved"
    out.send(csp.move(view))


class Keeper:
    def keep(self, memory: Any) -> int:
        self.memory = memory
        return len(memory)


def look_and_take(ch: csp.Channel[Any], seen: csp.SendChannel[Any]) -> int:
    csp.testing.wait_parked(ch, senders=1)
    seen.send(is_gone(kept))
    return len(ch.recv())


def release_and_leave(ch: csp.Channel[Any], seen: csp.SendChannel[Any]) -> None:
    csp.testing.wait_parked(ch, senders=1)
    kept.release()
    ch.close()
