"""What runs in the processes of test_process_async, under trio and asyncio."""

import os
import random
import threading
from typing import Any

import csp
from csp import actor

LIMIT = 0.5  # seconds of the watchdog


async def echo(source: Any, sink: Any) -> int:
    async with sink:
        async for value in source:
            await sink.asend((os.getpid(), value))
    return os.getpid()


echo_trio = actor(isolation="process")(echo)
echo_asyncio = actor(isolation="process", loop="asyncio")(echo)


async def pause(seconds: float) -> None:
    """Of the loop's own time."""
    import sys

    if "trio" in sys.modules:
        import trio

        await trio.sleep(seconds)
    else:
        import asyncio

        await asyncio.sleep(seconds)


@actor(isolation="process", watchdog=LIMIT)
class Desk:
    def __init__(self, told: Any) -> None:
        self.told = told

    async def on_stop(self, reason: str) -> None:
        await self.told.asend(("stop", reason))

    async def echo(self, value: Any) -> Any:
        return value

    async def wait(self, channel: Any) -> Any:
        try:
            return await channel.arecv()
        finally:
            self.told.send_nowait("left")

    async def ends(self, ended: Any, gone: Any, closed: Any) -> list[Any]:
        """What raises, of which channel, at which index."""
        found: list[Any] = []
        closed.close()
        for awaitable in (ended.arecv(), gone.asend(1), closed.arecv(), csp.aselect([None, ended]), gone.asend(lambda: 1)):
            try:
                await awaitable
            except csp.CspError as error:
                found.append((type(error).__name__, str(getattr(error, "cause", None)), getattr(error, "index", None)))
        return found

    async def choose(self, source: Any, sink: Any) -> list[Any]:
        never = csp.never()
        fired = [await csp.aselect([never, (sink, "sent")]), await csp.aselect([source, never]), await csp.aselect([never, csp.after(0.01)])]
        return [(one.index, one.value) for one in fired[:2]] + [fired[2].index]

    async def asks(self, other: Any) -> Any:
        return await other.acall.echo(1), await other.acall(timeout=20).echo(2), await other.ask.echo(3)

    async def naps(self, seconds: float) -> float:
        await pause(seconds)
        return seconds

    async def hangs(self) -> None:
        while True:
            pass


@actor(isolation="process", loop="asyncio", watchdog=LIMIT)
class DeskAsyncio(Desk):
    pass


@actor(isolation="process", concurrency=3)
class Wide(Desk):
    pass


@actor(isolation="process", trap_stop=True)
async def patient(told: Any) -> str:
    await told.asend("up")
    await csp.current_actor().stopping.arecv()
    await told.asend("asked")
    return "in order"


def forward_cancelled(source: Any, sink: Any, often: Any, seed: int, library: str) -> int:
    """Forward all values, while each await is cancelled at random; how often that struck."""
    chance = random.Random(seed)
    struck = 0

    async def bounded(awaitable: Any) -> tuple[bool, Any]:
        """(True, result), or (False, None): cancelled, nothing happened."""
        nonlocal struck
        seconds = chance.choice([0.0, 0.0002, 0.0005, 0.001])
        if library == "trio":
            import trio

            with trio.move_on_after(seconds):
                return True, await awaitable
        else:
            import asyncio

            try:
                async with asyncio.timeout(seconds):
                    result = await awaitable
                    seconds = -1.0
            except TimeoutError:
                if seconds < 0:
                    return True, result
            else:
                return True, result
        struck += 1
        if struck == 5:
            often.send_nowait(struck)
        return False, None

    async def work() -> None:
        while True:
            try:
                done, value = await bounded(source.arecv())
            except csp.EndOfChannel:
                return
            while done:
                sent, _ = await bounded(sink.asend(value))
                done = not sent

    if library == "trio":
        import trio

        trio.run(work)
    else:
        import asyncio

        asyncio.run(work())
    return struck


def loop_beside_threads(numbers: Any, words: Any, sums: Any) -> str:
    """An event loop in one thread of a function, blocking operations in another."""
    import asyncio

    def add() -> None:
        sums.send(sum(numbers))

    async def read() -> list[str]:
        return [word async for word in words]

    thread = threading.Thread(target=add)
    thread.start()
    read_words = asyncio.run(read())
    thread.join()
    return " ".join(read_words)
