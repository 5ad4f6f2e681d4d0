"""Functions that the tests of big values run in processes of their own."""

from typing import Any

import csp


@csp.actor(isolation="process")
def give_back(ins: csp.RecvChannel[Any], out: csp.SendChannel[Any]) -> None:
    for value in ins:
        out.send(value)
        del value


@csp.actor(isolation="process")
def give_back_through_the_socket(ins: csp.RecvChannel[Any], out: csp.SendChannel[Any]) -> None:
    from csp import _core

    _core.make_slab = lambda nbytes: None
    for value in ins:
        out.send(value)
        del value


@csp.actor(isolation="process")
def change(ins: csp.RecvChannel[Any], out: csp.SendChannel[Any]) -> None:
    """What arrives is this process's, to be written to."""
    for array in ins:
        array += 1
        out.send((array, is_in_a_file(array)))
        del array


def is_in_a_file(array: Any) -> bool:
    """Whether the first byte is memory of one of our memory files."""
    address = array.__array_interface__["data"][0]
    with open("/proc/self/maps") as maps:
        for line in maps:
            low, high = (int(number, 16) for number in line.split()[0].split("-"))
            if low <= address < high:
                return "memfd:csp" in line
    return False


@csp.actor(isolation="process")
def drown(out: csp.SendChannel[Any], nbytes: int) -> None:
    value = memoryview(bytes(nbytes))
    while True:
        out.send(value)


@csp.actor(isolation="process")
def swallow(ins: csp.RecvChannel[Any]) -> None:
    for _ in ins:
        pass


@csp.actor(isolation="process")
def send_one(out: csp.Channel[Any], nbytes: int) -> None:
    import array

    out.send(array.array("B", bytes(nbytes)))
    out.send(memoryview(bytearray(nbytes)))
    out.close(ValueError(memoryview(bytearray(nbytes))))


@csp.actor(isolation="process")
def send_many(out: csp.SendChannel[Any], count: int, nbytes: int) -> None:
    for i in range(count):
        out.send(memoryview(bytes([i % 256]) * nbytes))
    csp.never().recv()


@csp.actor(isolation="process")
def length_and_back(ins: csp.RecvChannel[Any], out: csp.SendChannel[Any]) -> None:
    for value in ins:
        out.send(len(value))
        out.send(value)


@csp.actor(isolation="process")
def crash_with_mail(ins: csp.RecvChannel[Any], out: csp.SendChannel[Any]) -> None:
    """Its memory is still used when it is gone."""
    import os
    import signal

    out.send(ins.recv())
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # a sanitizer has a handler of its own
    os.kill(os.getpid(), signal.SIGSEGV)
