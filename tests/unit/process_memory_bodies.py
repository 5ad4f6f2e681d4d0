"""Functions that the tests of SharedBuffer run in processes of their own."""

from typing import Any

import csp


@csp.actor(isolation="process")
def use(buffer: Any) -> list[Any]:
    """What an interpreter could do with it, and what it sees."""
    seen: list[Any] = [len(buffer), buffer.nbytes, buffer.readonly, buffer.closed, bytes(buffer)[:4], buffer[0], buffer.id]
    buffer[1] = 7
    part = buffer[2:5]
    part[:] = b"abc"
    seen += [bytes(part), part == buffer[2:5], part != buffer, bytes(part[1:]), part.statistics().backing, type(buffer).__name__]
    with memoryview(part) as view:
        view[0] = ord("A")
        try:
            part.close()
        except BufferError as error:
            seen.append(str(error))
    part.close()
    try:
        part[0]
    except csp.ClosedHandle as error:
        seen.append(error.channel is part)
    return seen


@csp.actor(isolation="process")
def write(buffer: Any) -> str:
    try:
        buffer[0] = 1
        return "written"
    except TypeError as error:
        return str(error)


@csp.actor(isolation="process")
def make(out: csp.SendChannel[Any], n: int) -> Any:
    buffer = csp.SharedBuffer(n)
    buffer[:] = b"x" * n
    out.send({"made": buffer})
    return buffer[1:3]


@csp.actor(isolation="process")
def give_back(ins: csp.RecvChannel[Any], out: csp.SendChannel[Any]) -> None:
    for value in ins:
        out.send([value, value])
        del value


@csp.actor(isolation="process")
def with_numpy(buffer: Any) -> float:
    array = buffer.to_numpy("f8", (-1, 2))
    array[:, 1] = 3
    return float(buffer.to_numpy("f8").sum())


@csp.actor(isolation="process")
def first_bytes(ins: csp.RecvChannel[Any], out: csp.SendChannel[Any]) -> None:
    """Of each list of buffers the first byte of each; or what is wrong with it."""
    while True:
        try:
            out.send([buffer[0] for buffer in ins.recv()])
        except csp.EndOfChannel:
            return
        except csp.DecodeError as error:
            out.send(str(error))


@csp.actor(isolation="process")
def close_under_an_array(ins: csp.RecvChannel[Any], out: csp.SendChannel[Any]) -> None:
    """numpy.ndarray gives the buffer back at once, and uses the memory as long as it has the object."""
    import numpy

    buffer = ins.recv()
    array: Any = numpy.ndarray(buffer.nbytes, "u1", buffer)
    buffer.close()
    out.send(buffer.closed)
    ins.recv()
    array[:] = 7
    out.send(int(array[-1]))
    del array, buffer
    out.send("gone")
    csp.never().recv()
