"""Mistakes that a strict type checker must find, each at its line.  Checked, never run."""

from csp import Channel, RecvChannel, Selector, SendChannel, select


def mistakes(numbers: Channel[int], inp: RecvChannel[int], out: SendChannel[int]) -> None:
    numbers.send("one")  # expect: arg-type
    numbers.send()  # expect: call-arg
    numbers.recv(timeout="1")  # expect: arg-type
    Channel(1, overflow="drop")  # expect: arg-type
    Channel(1, "name")  # expect: call-arg
    inp.send(1)  # expect: attr-defined
    out.recv()  # expect: attr-defined
    word: str = inp.recv()  # expect: assignment
    wider: SendChannel[object] = out  # expect: assignment
    select([1])  # expect: list-item
    select([inp], 1.0)  # expect: call-arg
    Selector(inp)  # expect: arg-type
    numbers.capacity = 3  # expect: misc
    print(word, wider)
