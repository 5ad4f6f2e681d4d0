"""trio, asyncio and uvloop behind one face, for tests of the awaiting forms."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

Outcome = tuple[Any, ...]  # ("value", v), ("cancelled",) or ("error", exception)


class Task:
    """One task, from outside."""

    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        self.cancel: Callable[[], object]


class Asyncio:
    name = "asyncio"

    def run(self, main: Callable[["Any"], Awaitable[Any]]) -> Any:
        return asyncio.run(main(self))  # type: ignore[arg-type]

    async def start(self, work: Callable[[], Awaitable[Any]]) -> Task:
        task = Task()

        async def body() -> None:
            try:
                task.outcome = ("value", await work())
            except asyncio.CancelledError:
                task.outcome = ("cancelled",)
            except Exception as error:
                task.outcome = ("error", error)

        running = asyncio.create_task(body())
        task.cancel = running.cancel
        self.keep = running
        await asyncio.sleep(0)
        return task

    async def turn(self) -> None:
        """Let the others run."""
        await asyncio.sleep(0)

    async def nap(self) -> None:
        await asyncio.sleep(0.0005)

    def within(self, seconds: float) -> Any:
        return asyncio.timeout(seconds)


class Uvloop(Asyncio):
    name = "uvloop"

    def run(self, main: Callable[["Any"], Awaitable[Any]]) -> Any:
        uvloop = pytest.importorskip("uvloop", reason="uvloop has no wheel for this Python")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main(self))  # type: ignore[arg-type]


class Trio:
    name = "trio"

    def run(self, main: Callable[["Any"], Awaitable[Any]]) -> Any:
        async def everything() -> Any:
            async with trio.open_nursery() as self.nursery:
                result = await main(self)
                self.nursery.cancel_scope.cancel()
            return result

        return trio.run(everything)

    async def start(self, work: Callable[[], Awaitable[Any]]) -> Task:
        task, scope = Task(), trio.CancelScope()
        task.cancel = scope.cancel

        async def body() -> None:
            try:
                with scope:
                    task.outcome = ("value", await work())
                if scope.cancelled_caught:
                    task.outcome = ("cancelled",)
            except Exception as error:
                task.outcome = ("error", error)

        self.nursery.start_soon(body)
        await trio.lowlevel.checkpoint()
        return task

    async def turn(self) -> None:
        """Let the others run."""
        await trio.lowlevel.checkpoint()

    async def nap(self) -> None:
        await trio.sleep(0.0005)

    def within(self, seconds: float) -> Any:
        return trio.fail_after(seconds)


Loop = Asyncio | Trio
FLAVOURS = [Trio, Asyncio, Uvloop]


async def until(loop: Loop, condition: Callable[[], object]) -> None:
    """Let others run until it is true."""
    with_limit = loop.within(20)
    if hasattr(with_limit, "__aenter__"):
        async with with_limit:
            while not condition():
                await loop.nap()
    else:
        with with_limit:
            while not condition():
                await loop.nap()


async def outcome(loop: Loop, task: Task) -> Outcome:
    await until(loop, lambda: task.outcome is not None)
    assert task.outcome is not None
    return task.outcome


async def parked(loop: Loop, channel: Any, *, senders: int = 0, receivers: int = 0) -> None:
    """Until so many wait on the channel."""

    def waiting() -> bool:
        now = channel.statistics()
        return bool(now.waiting_senders == senders and now.waiting_receivers == receivers)

    await until(loop, waiting)
