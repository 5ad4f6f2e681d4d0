"""What the units of the scenarios do, written once for all means: csp's channels, queues of threads, of processes, of interpreters.

A unit is given ends (a channel, a queue, a connection) and uses only their receive and send methods.  The unit that
measures is told for how many seconds; the others are told by it how much to do, so every measurement ends by itself.
Actors import this module, so it imports nothing heavy.
"""

from time import perf_counter as clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

BATCH = 256
PAYLOAD = {  # nested, about 1 KiB
    "id": 10_000_000,
    "name": "a record of moderate size",
    "tags": ["alpha", "beta", "gamma", "delta"],
    "position": (52.520008, 13.404954),
    "active": True,
    "parent": None,
    "history": [{"at": 1_700_000_000.5 + n, "who": f"user-{n}", "what": "changed the title of it", "score": n * 1.5} for n in range(8)],
    "limits": {f"limit-{n}": n * 1000 for n in range(8)},
    "blob": b"0123456789abcdef" * 8,
}
VALUES = {"int": 1_000, "dict": PAYLOAD}


def receiving(end: "Any") -> "Callable[[], Any]":
    return end.recv if hasattr(end, "recv") else end.get  # type: ignore[no-any-return]


def sending(end: "Any") -> "Callable[[Any], None]":
    return end.send if hasattr(end, "send") else end.put  # type: ignore[no-any-return]


def measure(loop: "Callable[[int], None]", seconds: float, first: int = 8) -> float:
    """Seconds per item of `loop(items)`, with more and more items until they take about `seconds`."""
    n = first
    while True:
        start = clock()
        loop(n)
        took = clock() - start
        if took >= seconds * 0.5:
            return took / n
        n = max(n + 1, min(n * 16, int(n * seconds / took)))


# --- W1: ping-pong ---


def pong(rx: "Any", tx: "Any") -> None:
    recv, send = receiving(rx), sending(tx)
    while (value := recv()) is not None:
        send(value)


def ping(tx: "Any", rx: "Any", result: "Any", seconds: float) -> None:
    send, recv = sending(tx), receiving(rx)

    def loop(n: int) -> None:
        for i in range(n):
            send(i)
            recv()

    per_item = measure(loop, seconds)
    send(None)
    sending(result)(per_item)


# --- W2, W3, W4, W13: streams ---


def produce(orders: "Any", tx: "Any", ack: "Any", kind: str, batch: int) -> None:
    """Send as many values as each order says; with `ack`, wait for one after each: a rendezvous for who has none."""
    order, send = receiving(orders), sending(tx)
    value = VALUES[kind]
    values = [value] * batch
    while n := order():
        if batch:
            for _ in range(0, n, batch):
                tx.send_many(values)
        elif ack is not None:
            acked = receiving(ack)
            for _ in range(n):
                send(value)
                acked()
        else:
            for _ in range(n):
                send(value)


def consume(orders: "list[Any]", rx: "Any", ack: "Any", batch: int, result: "Any", seconds: float) -> None:
    """Order values from each producer, receive them all; the result is seconds per value."""
    recv = receiving(rx)
    order_all = [sending(each) for each in orders]

    def loop(n: int) -> None:
        for order in order_all:
            order(n // len(order_all))
        if batch:
            left = n
            while left:
                left -= len(rx.recv_many(batch))
        elif ack is not None:
            acknowledge = sending(ack)
            for _ in range(n):
                recv()
                acknowledge(0)
        else:
            for _ in range(n):
                recv()

    unit = len(orders) * (batch or 1)
    per_item = measure(lambda n: loop(max(1, n // unit) * unit), seconds, first=2 * unit)
    for order in order_all:
        order(0)
    sending(result)(per_item)


# --- W5: select over many, one of them busy ---


def consume_select(orders: "Any", ends: "list[Any]", how: str, result: "Any", seconds: float) -> None:
    order = sending(orders)
    if how in ("select", "Selector"):
        import csp

        one = csp.Selector(ends).select if how == "Selector" else None
        select = csp.select

        def receive(n: int) -> None:
            if one is not None:
                for _ in range(n):
                    one()
            else:
                for _ in range(n):
                    select(ends)

    elif how == "wait":
        from multiprocessing.connection import wait

        def receive(n: int) -> None:
            for _ in range(n):
                wait(ends)[0].recv()

    elif how == "wait for readers":  # a multiprocessing.Queue has no select of its own
        from multiprocessing.connection import wait

        by_reader = {end._reader: end for end in ends}

        def receive(n: int) -> None:
            readers = list(by_reader)
            for _ in range(n):
                by_reader[wait(readers)[0]].get()

    else:  # "poll": go round the queues

        def receive(n: int) -> None:
            while n:
                for end in ends:
                    if not end.empty():
                        end.get()
                        n -= 1
                        if not n:
                            return

    def loop(n: int) -> None:
        order(n)
        receive(n)

    per_item = measure(loop, seconds)
    order(0)
    sending(result)(per_item)


# --- W6: big memory ---


def pass_back(rx: "Any", tx: "Any", kind: str, short: bool) -> None:
    """Send back whatever comes, or a short answer, after a look at its last byte."""
    recv, send = taking(rx, kind), sending(tx)
    if kind == "move":
        from csp import move
    while (value := recv()) is not None:
        if kind == "shared_memory":
            look_by_name(value)
        else:
            memoryview(value)[-1]
        if short:
            del value  # the memory may be used again for the next one
            send(b".")
        else:
            send(move(value) if kind == "move" else value)
            del value


def pass_there_and_back(tx: "Any", rx: "Any", kind: str, short: bool, nbytes: int, result: "Any", seconds: float) -> None:
    """Seconds of a round trip."""
    send, recv = sending(tx), taking(rx, kind)
    wrap, data = payload(kind, nbytes)

    def loop(n: int) -> None:
        nonlocal data
        for _ in range(n):
            send(wrap(data))
            back = recv()
            if kind != "shared_memory":
                memoryview(back)[-1]
            if kind == "move":
                data = back
            del back

    loop(2)  # from then on the memory is warm
    per_item = measure(loop, seconds, first=1)
    send(None)
    if kind == "shared_memory":
        data.unlink()
    sending(result)(per_item)


def payload(kind: str, nbytes: int) -> "tuple[Callable[[Any], Any], Any]":
    """How the data is wrapped for each send, and the data, all of whose pages are there."""
    kind = kind.partition(",")[0]
    if kind == "shared_memory":
        from multiprocessing.shared_memory import SharedMemory

        memory = SharedMemory(create=True, size=nbytes)
        memory.buf[:] = b"\1" * nbytes
        return lambda memory: memory.name, memory
    if kind == "array":
        import numpy

        return lambda array: array, numpy.ones(nbytes, "u1")
    if kind in ("SharedBuffer", "move"):
        import csp

        buffer = csp.SharedBuffer(nbytes)
        buffer[:] = b"\1" * nbytes
        return (csp.move if kind == "move" else lambda buffer: buffer), buffer
    if kind == "share":
        import csp

        return csp.share, bytearray(b"\1") * nbytes
    return (memoryview if kind == "memoryview" else lambda data: data), b"\1" * nbytes


def look_by_name(name: str) -> None:
    from multiprocessing.shared_memory import SharedMemory

    memory = SharedMemory(name, track=False)
    memory.buf[-1]
    memory.close()


def taking(end: "Any", kind: str) -> "Callable[[], Any]":
    """As `receiving`; of a queue of interpreters, which sleeps 10 ms at a time, also without ever sleeping."""
    if not kind.endswith(", spinning"):
        return receiving(end)
    from concurrent.interpreters import QueueEmpty

    def take() -> "Any":
        while True:
            try:
                return end.get_nowait()
            except QueueEmpty:
                pass

    return take


def copied_warm(nbytes: int, seconds: float) -> float:
    source, target = memoryview(b"\1" * nbytes), memoryview(bytearray(b"\2") * nbytes)

    def loop(n: int) -> None:
        for _ in range(n):
            target[:] = source

    loop(2)
    return measure(loop, seconds, first=1)


# --- W9: a token in a ring ---


def relay(rx: "Any", tx: "Any") -> None:
    recv, send = receiving(rx), sending(tx)
    while (value := recv()) is not None:
        send(value)
    send(None)


def drive_ring(tx: "Any", rx: "Any", members: int, result: "Any", seconds: float) -> None:
    send, recv = sending(tx), receiving(rx)

    def loop(n: int) -> None:
        for i in range(n):
            send(i)
            recv()

    loop(1)  # everybody is up
    per_lap = measure(loop, seconds, first=1)
    send(None)
    recv()
    sending(result)(per_lap / members)


# --- W10: the sieve ---


def sieve(rx: "Any", tx: "Any", primes: "Any") -> None:
    """The first number of a lap is this unit's prime; pass on what it does not divide.  0 ends a lap, None all."""
    recv, send, found = receiving(rx), sending(tx), sending(primes)
    while (prime := recv()) is not None:
        found(prime)
        while n := recv():
            if n % prime:
                send(n)
        send(0)
    send(None)


def drive_sieve(tx: "Any", rx: "Any", primes: "Any", limit: int, filters: int, result: "Any", seconds: float) -> None:
    send, recv, found = sending(tx), receiving(rx), receiving(primes)

    def lap() -> list[int]:
        for n in range(2, limit + 1):
            send(n)
        send(0)
        recv()
        return [found() for _ in range(filters)]

    first = sorted(lap())  # everybody is up
    assert first == [n for n in range(2, limit + 1) if all(n % d for d in range(2, n))], first

    def loop(n: int) -> None:
        for _ in range(n):
            lap()

    per_lap = measure(loop, seconds, first=1)
    send(None)
    recv()
    sending(result)(per_lap)


# --- W7: spawn, first message, join; and what one weighs ---


def hello(tx: "Any") -> None:
    sending(tx)(1)


def wait_for_end(rx: "Any", tx: "Any") -> None:
    sending(tx)(1)
    receiving(rx)()


# --- shared primitives ---


def locked(lock: "Any", seconds: float) -> float:
    acquire, release = lock.acquire, lock.release

    def loop(n: int) -> None:
        for _ in range(n):
            acquire()
            release()

    return measure(loop, seconds)


def keep_locking(lock: "Any", stop: "Any", up: "Any") -> None:
    """Until told to stop; the look at the event is one in a hundred."""
    sending(up)(None)
    while not stop.is_set():
        for _ in range(100):
            lock.acquire()
            lock.release()


def measure_locking(lock: "Any", up: "Any", result: "Any", seconds: float) -> None:
    receiving(up)()
    sending(result)(locked(lock, seconds))


def signal_back(there: "Any", back: "Any", stop: "Any") -> None:
    while True:
        there.acquire()
        if stop.is_set():
            return
        back.release()


def measure_signals(there: "Any", back: "Any", stop: "Any", result: "Any", seconds: float) -> None:
    def loop(n: int) -> None:
        for _ in range(n):
            there.release()
            back.acquire()

    per_item = measure(loop, seconds)
    stop.set()
    there.release()
    sending(result)(per_item)
