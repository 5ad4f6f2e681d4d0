"""The same async test on asyncio and on trio, by anyio's pytest plugin, with the awaiting forms and the fixtures of csp."""

from typing import Any

import pytest

import csp
from csp.testing import VirtualClock, wait_parked

from . import clock_bodies

anyio = pytest.importorskip("anyio", reason="anyio's pytest plugin is what these tests are about")

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("csp_no_leaks")]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def test_send_and_receive_between_tasks(anyio_backend: str) -> None:
    """`asend`, `arecv`, `async for` and `async with` in a task group."""
    got: list[int] = []
    sender, receiver = csp.channel()

    async def produce() -> None:
        async with sender:
            for n in range(10):
                await sender.asend(n)

    async with anyio.create_task_group() as group:
        group.start_soon(produce)
        assert await receiver.arecv() == 0
        async for n in receiver:
            got.append(n)
    assert got == list(range(1, 10))


async def test_a_cancelled_receive_takes_nothing(anyio_backend: str) -> None:
    """anyio's cancel scopes bound an await of csp."""
    with csp.Channel[str](1) as ch:
        with anyio.move_on_after(0.001) as scope:
            await ch.arecv()
        assert scope.cancelled_caught
        ch.send("kept")
        assert await ch.arecv() == "kept"


async def test_calls_of_an_actor(anyio_backend: str, csp_spawn: Any) -> None:
    """`acall` asks an actor in an interpreter of its own; `csp_spawn` ends it."""
    counter = csp_spawn(clock_bodies.Counter)
    assert [await counter.acall.incr() for _ in range(3)] == [1, 2, 3]


async def test_select_with_a_timer_by_the_virtual_clock(anyio_backend: str, csp_clock: VirtualClock) -> None:
    """`aselect` over a channel and an `after` of an hour, in no time."""
    with csp.Channel[int]() as ch:
        found: list[int] = []

        async def wait() -> None:
            found.append((await csp.aselect([ch, csp.after(3600)])).index)

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.to_thread.run_sync(lambda: wait_parked(ch, receivers=1))
            csp_clock.advance(3600)
        assert found == [1]
