"""Mistakes that a strict type checker must find, each at its line.  Checked, never run."""

import csp
from csp import Channel, RecvChannel, Selector, SendChannel, select, sync


def mistakes(numbers: Channel[int], inp: RecvChannel[int], out: SendChannel[int]) -> None:
    numbers.send("one")  # expect: arg-type
    numbers.send()  # expect: call-arg
    numbers.recv(timeout="1")  # expect: arg-type
    Channel(1, overflow="drop")  # expect: arg-type
    Channel(1, "name")  # expect: call-arg
    Channel(max_bytes="1 MiB")  # expect: arg-type
    inp.send(1)  # expect: attr-defined
    out.recv()  # expect: attr-defined
    word: str = inp.recv()  # expect: assignment
    wider: SendChannel[object] = out  # expect: assignment
    select([1])  # expect: list-item
    select([inp], 1.0)  # expect: call-arg
    Selector(inp)  # expect: arg-type
    numbers.capacity = 3  # expect: misc
    print(word, wider)


@csp.actor
def resize(width: int) -> str:
    return str(width)


@csp.actor
class Counter:
    def incr(self, by: int = 1) -> int:
        return by


def actor_mistakes() -> None:
    resize.spawn("3")  # expect: arg-type
    number: int = resize.spawn(3).result()  # expect: assignment
    ref = csp.spawn(Counter)
    ref.call.increment()  # expect: attr-defined
    ref.call.incr("2")  # expect: arg-type
    text: str = ref.call.incr()  # expect: assignment
    ref.cast.incr().result()  # expect: attr-defined
    ref.call(timeout=2)  # expect: operator
    Counter.spawn(5)  # expect: attr-defined
    csp.actor(max_deliveries="3")  # expect: call-overload
    print(number, text)


def primitive_mistakes(lock: sync.Lock, hits: sync.AtomicInt) -> None:
    hits.add("1")  # expect: arg-type
    sync.Semaphore("2")  # expect: arg-type
    csp.select([sync.RLock()])  # expect: list-item
    csp.select([hits])  # expect: list-item
    lock.owner_died = False  # expect: misc
    sync.Condition(sync.Semaphore())  # expect: arg-type


def memory_mistakes(buffer: csp.SharedBuffer) -> None:
    csp.SharedBuffer("8")  # expect: arg-type
    csp.SharedBuffer(8, True)  # expect: call-arg
    buffer[0] = b"a"  # expect: call-overload
    buffer.nbytes = 3  # expect: misc
    csp.move(b"abc")  # expect: type-var
