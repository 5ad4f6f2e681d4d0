"""Programs that a strict type checker must accept.  Checked, never run."""

import math
from typing import Any, assert_type

import csp
from csp import Channel, RecvChannel, Selected, Selector, SendChannel, after, merge, never, select, tick


def channels() -> None:
    numbers: Channel[int] = Channel(4, name="numbers", overflow="drop_oldest")
    numbers.send(1, timeout=0.5)
    numbers.send_nowait(True)
    assert_type(numbers.recv(timeout=1), int)
    assert_type(numbers.recv_nowait(None), int | None)
    assert_type(numbers.recv_many(10), list[int])
    assert_type(numbers.send_many(range(3)), int)
    assert_type(list(numbers), list[int])
    assert_type(numbers.sender, SendChannel[int])
    assert_type(numbers.receiver.clone(), RecvChannel[int])
    with numbers.lease() as number:
        assert_type(number, int)
    with Channel[str](math.inf) as words:
        words.close(cause="enough")
    assert_type(numbers.statistics().peak, int)


def variance(ints: RecvChannel[int], objects: SendChannel[object]) -> tuple[RecvChannel[object], SendChannel[int]]:
    """Who can receive ints can receive objects; who can send objects can send ints."""
    return ints, objects


def choices(a: Channel[int], b: RecvChannel[str], out: SendChannel[bytes]) -> None:
    fired = select([a, b, (out, b"x"), None, after(1), tick(0.5), never()], timeout=1.0, priority=True)
    assert_type(fired, Selected)
    channel, value = fired
    if channel is a:
        print(value, fired.index)
    assert_type(Selector([a, b]).select(), Selected)
    for _source, _value in merge([a, a.receiver]):
        pass


def pair() -> tuple[SendChannel[Any], RecvChannel[Any]]:
    return csp.channel(capacity=2, name="pair")


def errors(channel: Channel[int]) -> None:
    try:
        channel.recv()
    except csp.EndOfChannel as end:
        print(end.channel, end.index, end.cause)
    except csp.Timeout as late:
        assert_type(late.sent, int)
