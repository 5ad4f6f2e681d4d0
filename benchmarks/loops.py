"""Scenarios of event loops: a round trip between a task and a thread, or an interpreter; a thousand tasks that wait; what these cost idle.

The peers are queues with a side for threads and one for tasks (janus, culsans), a thread for each wait, and executors.  Everything is
made while its loop runs, in the one process that each measurement has.
"""

import importlib.util
import queue
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import csp
from benchmarks import actors, units
from benchmarks.means import Csp

Start = Callable[..., None]  # a task for an async function with its arguments
WAITERS = 1000


def there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


# --- event loops ---


class Trio:
    name = "trio"

    def run(self, main: Callable[[Start], Awaitable[Any]]) -> Any:
        import trio

        async def everything() -> Any:
            async with trio.open_nursery() as nursery:
                result = await main(nursery.start_soon)
                nursery.cancel_scope.cancel()
                return result

        self.limiter = trio.CapacityLimiter(WAITERS + 10)
        self.to_thread = trio.to_thread.run_sync
        return trio.run(everything)

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await self.to_thread(function, *args, limiter=self.limiter, abandon_on_cancel=True)


class Asyncio:
    name = "asyncio"

    def run(self, main: Callable[[Start], Awaitable[Any]]) -> Any:
        import asyncio

        self.executor = ThreadPoolExecutor(WAITERS + 10)
        self.to_thread = asyncio.to_thread

        async def everything() -> Any:
            asyncio.get_running_loop().set_default_executor(self.executor)
            tasks: list[asyncio.Task[Any]] = []
            result = await main(lambda function, *args: tasks.append(asyncio.create_task(function(*args))))
            for task in tasks:
                task.cancel()
            return result

        with asyncio.Runner(loop_factory=self.new_loop()) as runner:
            return runner.run(everything())  # type: ignore[arg-type]

    def new_loop(self) -> Any:
        return None

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await self.to_thread(function, *args)


class Uvloop(Asyncio):
    name = "uvloop"

    def new_loop(self) -> Any:
        import uvloop

        return uvloop.new_event_loop


LOOPS: list[Any] = [Trio, Asyncio, *([Uvloop] if there("uvloop") else [])]

# --- queues with two sides ---


class CspChannel:
    name = "csp"

    def __init__(self, loop: Any) -> None:
        channel = csp.Channel(1)
        self.send, self.recv, self.asend, self.arecv = channel.send, channel.recv, channel.asend, channel.arecv

    def close(self) -> None: ...


class TwoSided:
    """janus and culsans have the same face."""

    module = ""

    def __init__(self, loop: Any) -> None:
        self.both = importlib.import_module(self.module).Queue(maxsize=1)
        self.send, self.recv = self.both.sync_q.put, self.both.sync_q.get
        self.asend, self.arecv = self.both.async_q.put, self.both.async_q.get

    def close(self) -> None: ...


class Janus(TwoSided):
    name = module = "janus"


class Culsans(TwoSided):
    name = module = "culsans"


class ThreadPerWait:
    """A queue of threads; the task waits for it in a thread."""

    name = "a thread per wait"

    def __init__(self, loop: Any) -> None:
        both: queue.Queue[Any] = queue.Queue(1)
        self.send, self.recv = both.put, both.get
        self.asend, self.arecv = partial(loop.in_thread, both.put), partial(loop.in_thread, both.get)

    def close(self) -> None:
        """Let the thread go that waits."""
        self.send(None)


def contenders() -> dict[str, tuple[Any, Any]]:
    """What it is called -> means and loop."""
    found = [(CspChannel, loop) for loop in LOOPS]
    if there("janus"):
        found += [(Janus, loop) for loop in LOOPS if loop is not Trio]
    if there("culsans"):
        found += [(Culsans, loop) for loop in LOOPS]
    found += [(ThreadPerWait, loop) for loop in LOOPS[:2]]
    return {f"{means.name}, {loop.name}" if means is not CspChannel or loop is not Asyncio else "csp": (means, loop) for means, loop in found}


def runs(function: Callable[[Any, Any, float, bool], float]) -> dict[str, Any]:
    return {name: partial(function, means, loop) for name, (means, loop) in contenders().items()}


# --- L1: a thread and a task ---


def thread_and_task(means: Any, loop_type: Any, seconds: float, quick: bool) -> float:
    """The thread asks, the task answers."""
    loop = loop_type()

    async def main(start: Start) -> float:
        there, back = means(loop), means(loop)

        async def echo() -> None:
            while (value := await there.arecv()) is not None:
                await back.asend(value)

        def ping() -> float:
            def rounds(n: int) -> None:
                for i in range(n):
                    there.send(i)
                    back.recv()

            per_item = units.measure(rounds, seconds)
            there.send(None)
            return per_item

        start(echo)
        return await loop.in_thread(ping)  # type: ignore[no-any-return]

    return float(loop.run(main)) * 1e6


# --- L2: an interpreter and a task ---


async def measure(rounds: Callable[[int], Awaitable[None]], seconds: float) -> float:
    """As units.measure."""
    n = 8
    while True:
        start = units.clock()
        await rounds(n)
        took = units.clock() - start
        if took >= seconds * 0.5:
            return took / n
        n = max(n + 1, min(n * 16, int(n * seconds / took)))


def interpreter_and_task(loop_type: Any, seconds: float, quick: bool) -> float:
    """The task asks, a unit in an interpreter of its own answers."""
    there, back = csp.Channel(1), csp.Channel(1)

    async def main(start: Start) -> float:
        async def rounds(n: int) -> None:
            for i in range(n):
                await there.asend(i)
                await back.arecv()

        return await measure(rounds, seconds)

    unit = Csp().start(units.pong, there.receiver, back.sender)
    found = float(loop_type().run(main)) * 1e6
    there.send(None)
    unit.join()
    return found


def call_of_actor(loop_type: Any, seconds: float, quick: bool) -> float:
    counter = csp.spawn(actors.bodies.Counter)

    async def main(start: Start) -> float:
        async def rounds(n: int) -> None:
            for _ in range(n):
                await counter.acall.incr()

        return await measure(rounds, seconds)

    found = float(loop_type().run(main)) * 1e6
    counter.stop()
    return found


def process_and_task(loop_type: Any, seconds: float, quick: bool) -> float:
    """What comes back from the process is waited for in a thread."""
    context, loop = get_context("spawn"), loop_type()
    there, back = context.SimpleQueue(), context.SimpleQueue()
    unit = context.Process(target=units.pong, args=(there, back))
    unit.start()

    async def main(start: Start) -> float:
        async def rounds(n: int) -> None:
            for i in range(n):
                there.put(i)
                await loop.in_thread(back.get)

        return await measure(rounds, seconds)

    found = float(loop.run(main)) * 1e6
    there.put(None)
    unit.join()
    return found


def identity(value: int) -> int:
    return value


def executor_and_task(kind: str, seconds: float, quick: bool) -> float:
    """`run_in_executor` of asyncio."""
    import asyncio

    async def main(start: Start) -> float:
        loop = asyncio.get_running_loop()

        async def rounds(n: int) -> None:
            for i in range(n):
                await loop.run_in_executor(pool, identity, i)

        return await measure(rounds, seconds)

    with actors.executor(kind, 1) as pool:
        return float(Asyncio().run(main)) * 1e6


def interpreter_runs() -> dict[str, Any]:
    found: dict[str, Any] = {"csp": partial(interpreter_and_task, Asyncio)}
    found |= {f"csp, {loop.name}": partial(interpreter_and_task, loop) for loop in LOOPS if loop is not Asyncio}
    found |= {f"csp, acall, {loop.name}": partial(call_of_actor, loop) for loop in LOOPS}
    found |= {f"process, a thread per wait, {loop.name}": partial(process_and_task, loop) for loop in LOOPS[:2]}
    found["ProcessPoolExecutor"] = partial(executor_and_task, "processes")
    if actors.HAS_POOL:
        found["InterpreterPoolExecutor"] = partial(executor_and_task, "interpreters")
    return found


# --- L3: a thousand tasks that wait ---


def fan_in(means: Any, loop_type: Any, seconds: float, quick: bool) -> float:
    """Each waits on a channel of its own; a thread sends to one after the other and waits until all have got it."""
    loop, waiters = loop_type(), 100 if quick else WAITERS

    async def main(start: Start) -> float:
        channels = [means(loop) for _ in range(waiters)]
        left, round_over = waiters, threading.Semaphore(0)

        async def receive(channel: Any) -> None:
            nonlocal left
            while await channel.arecv() is not None:
                left -= 1
                if left == 0:
                    left = waiters
                    round_over.release()

        def rounds(n: int) -> None:
            for _ in range(n):
                for channel in channels:
                    channel.send(1)
                round_over.acquire()

        def feed() -> float:
            per_item = units.measure(rounds, seconds, first=1) / waiters
            for channel in channels:
                channel.send(None)
            return per_item

        for channel in channels:
            start(receive, channel)
        return await loop.in_thread(feed)  # type: ignore[no-any-return]

    return float(loop.run(main)) * 1e6


# --- L4: a thousand tasks that wait for nothing ---


def idle(means: Any, loop_type: Any, which: int, seconds: float, quick: bool) -> float:
    loop, waiters = loop_type(), 100 if quick else WAITERS

    async def main(start: Start) -> tuple[float, float]:
        channels = [means(loop) for _ in range(waiters)]
        for channel in channels:
            start(channel.arecv)
        found: tuple[float, float] = await loop.in_thread(actors.idle, quick)
        for channel in channels:
            channel.close()
        return found

    return float(loop.run(main)[which])


def idle_runs(which: int) -> dict[str, Any]:
    return {name: partial(idle, means, loop, which) for name, (means, loop) in contenders().items()}
