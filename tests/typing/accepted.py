"""Programs that a strict type checker must accept.  Checked, never run."""

import math
from collections.abc import Callable
from typing import Any, assert_type

import csp
from csp import Channel, RecvChannel, Selected, Selector, SendChannel, after, merge, never, select, sync, tick


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
    blocks: Channel[bytes] = Channel(max_bytes=64 << 20, overflow="drop_oldest")
    assert_type(blocks.max_bytes, int | None)
    assert_type(blocks.statistics().buffered_bytes, int | None)


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
    return csp.channel(capacity=2, name="pair", max_bytes=math.inf)


def errors(channel: Channel[int]) -> None:
    try:
        channel.recv()
    except csp.EndOfChannel as end:
        print(end.channel, end.index, end.cause)
    except csp.Timeout as late:
        assert_type(late.sent, int)


@csp.actor
def resize(width: int, factor: float = 1.0) -> str:
    return str(width * factor)


@csp.actor(mailbox=math.inf, on_crash="redeliver", max_deliveries=2)
class Counter:
    def __init__(self, n: int = 0) -> None:
        self.n = n

    def incr(self, by: int = 1) -> int:
        self.n += by
        return self.n


def function_actors() -> None:
    assert_type(resize(3), str)
    ref = resize.spawn(3, factor=2.0)
    assert_type(ref, csp.ActorRef[Callable[..., str]])
    assert_type(ref.result(timeout=1), str)
    assert_type(csp.spawn(resize, 3, name="resizer").result(), str)
    assert_type(csp.whereis("resizer"), csp.ActorRef[Any] | None)


def class_actors() -> csp.ActorRef[Counter]:
    assert_type(Counter(5).incr(), int)
    ref = csp.spawn(Counter, 5, name="counter")
    assert_type(ref, csp.ActorRef[Counter])
    assert_type(ref.call.incr(by=2), int)
    assert_type(ref.call.n, int)  # a limit: at run time an attribute of `call` is a method to be called
    assert_type(ref.ask.incr(), csp.Reply[Any])
    reply: csp.Reply[int] = ref.ask(timeout=1).incr()
    assert_type(reply.result(timeout=1), int)
    ref.cast.incr()
    ref.cast(timeout=1).incr()
    bounded: csp.ActorRef = ref  # the way round the limit that `ref.call(timeout=2)` is an error
    assert_type(bounded.call(timeout=2).incr(), Any)
    base: csp.ActorRef[object] = ref
    print(base)
    return ref


async def awaited(ref: csp.ActorRef[Counter]) -> None:
    assert_type(await ref.acall.incr(2), Any)
    assert_type(await ref.acall(timeout=1).incr(2), Any)
    reply: csp.Reply[int] = ref.ask.incr()
    assert_type(await reply, int)
    assert_type(await csp.aselect([ref.exited, reply, after(1), sync.Lock(), None]), Selected)


@csp.actor(watchdog=2.0)
def watched() -> int:
    return 1


def options() -> None:
    assert_type(watched.spawn().result(), int)


def primitives() -> None:
    lock, ready, group, hits = sync.Lock(), sync.Event(), sync.WaitGroup(), sync.AtomicInt(3)
    with lock as acquired:
        assert_type(acquired, bool)
    assert_type(lock.acquire(timeout=1.5), bool)
    assert_type(lock.owner_died, bool)
    assert_type(hits.add(), int)
    assert_type(hits.compare_exchange(3, 4), bool)
    assert_type(sync.Condition(sync.RLock()).wait_for(lambda: 3, timeout=1), int)
    assert_type(sync.Barrier(2).wait(), int)
    fired = csp.select([lock, ready, group, sync.Semaphore(2), sync.BoundedSemaphore(2)], timeout=1)
    print(fired.index)
    sync.Once().do(primitives)


def memory(buffer: csp.SharedBuffer) -> None:
    assert_type(buffer[0], int)
    assert_type(buffer[1:], csp.SharedBuffer)
    assert_type(buffer.toreadonly().clone(), csp.SharedBuffer)
    assert_type(buffer.statistics(), csp.BufferStatistics)
    assert_type(buffer.statistics().handles, int)
    buffer[0] = 1
    buffer[:3] = b"abc"
    assert_type(bytes(memoryview(buffer)), bytes)
    with csp.SharedBuffer(8, zeroed=False, mapped=True, huge=False) as other:
        assert_type(other, csp.SharedBuffer)


def moves(ch: csp.Channel[csp.SharedBuffer], buffer: csp.SharedBuffer, view: csp.SharedView) -> None:
    ch.send(csp.move(buffer), timeout=1)
    assert_type(csp.move(view), csp.SharedView)
