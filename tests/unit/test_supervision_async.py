"""A tree that is run from an event loop: the same promises, and a cancellation that stops it in order."""

import asyncio
from typing import Any

import pytest
import trio

import csp
from csp.testing import wait_until
from tests.unit.loops import FLAVOURS, Loop, outcome, until


@pytest.fixture(params=FLAVOURS, ids=lambda flavour: flavour.name)
def loop(request: pytest.FixtureRequest) -> Any:
    return request.param()


@csp.actor
class Teller:
    def __init__(self, name: str, told: Any) -> None:
        self.name, self.told = name, told
        told.send(("up", name))

    def on_stop(self, reason: str) -> None:
        self.told.send(("down", self.name))

    def fail(self) -> None:
        raise LookupError


class Stillborn:
    def __init__(self) -> None:
        raise LookupError("no")


csp.actor(Stillborn)


def tree_of(told: Any, **options: Any) -> csp.Supervisor:
    return csp.Supervisor([csp.ChildSpec(Teller, args=(name, told), id=name) for name in "abc"], **options)


UP = [("up", name) for name in "abc"]
DOWN = [("down", name) for name in "cba"]


def test_a_block_starts_and_stops_it(loop: Loop) -> None:
    """In order, and in reverse; the loop goes on meanwhile."""
    told = csp.Channel(64)

    async def main(loop: Loop) -> None:
        tree = tree_of(told)
        async with tree as same:
            assert same is tree and tree.count_children().active == 3
            assert told.recv_many(3) == UP
        assert told.recv_many(3) == DOWN and tree.count_children().active == 0

    loop.run(main)


def test_cancelling_the_block_stops_it_in_order(loop: Loop) -> None:
    """Each child within its own shutdown."""
    told = csp.Channel(64)

    async def main(loop: Loop) -> None:
        async def serve() -> None:
            async with tree_of(told):
                await csp.never().arecv()

        task = await loop.start(serve)
        await until(loop, lambda: len(told) == 3)
        await loop.nap()
        task.cancel()
        assert await outcome(loop, task) == ("cancelled",)
        assert told.recv_many(6) == UP + DOWN

    loop.run(main)


def test_its_end_is_awaited(loop: Loop) -> None:
    """`wait_async` returns when it is stopped, and raises what a failed tree raises."""
    told = csp.Channel(64)

    async def main(loop: Loop) -> None:
        tree = tree_of(told, max_restarts=0)
        async with tree:
            waiting = await loop.start(tree.wait_async)
            tree["b"].cast.fail()
            what, error = await outcome(loop, waiting)
            assert what == "error" and type(error) is csp.SupervisorError and "b" in str(error)
        await tree.start_async()
        waiting = await loop.start(tree.wait_async)
        await tree.stop_async()
        assert await outcome(loop, waiting) == ("value", None)
        await tree.stop_async()

    loop.run(main)


def test_a_start_that_fails_raises(loop: Loop) -> None:
    """After what had started was stopped."""
    told = csp.Channel(64)

    async def main(loop: Loop) -> None:
        tree = csp.Supervisor([csp.ChildSpec(Teller, args=("a", told), id="a"), csp.ChildSpec(Stillborn, id="b")])
        with pytest.raises(csp.SupervisorError):
            async with tree:
                raise AssertionError("not reached")
        assert told.recv_many(2) == [("up", "a"), ("down", "a")]

    loop.run(main)


def test_a_cancelled_start_leaves_nothing_running(loop: Loop) -> None:
    """What has started is stopped before the cancellation goes on."""
    gate, told = csp.Channel(), csp.Channel(64)

    async def main(loop: Loop) -> None:
        tree = csp.Supervisor([csp.ChildSpec(Teller, args=("a", told), id="a"), csp.ChildSpec(waits_to_be_ready, args=(gate,), id="b")])
        task = await loop.start(tree.start_async)
        await until(loop, lambda: gate.statistics().waiting_receivers == 1)
        task.cancel()
        assert await outcome(loop, task) == ("cancelled",)
        assert told.recv_many(2) == [("up", "a"), ("down", "a")]
        wait_until(lambda: gate.statistics().waiting_receivers == 0)

    loop.run(main)


@csp.actor(ready=True)
def waits_to_be_ready(gate: Any) -> None:
    gate.recv()
    csp.current_actor().ready()


def test_a_nursery_takes_it_down() -> None:
    """Whatever fails beside it in a trio nursery: the tree is stopped in order."""
    told = csp.Channel(64)

    async def serve(task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        async with tree_of(told):
            task_status.started()
            await trio.sleep_forever()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve)
            raise LookupError

    with pytest.raises(ExceptionGroup):
        trio.run(main)
    assert told.recv_many(6) == UP + DOWN


def test_a_task_group_takes_it_down() -> None:
    """And in one of asyncio."""
    told = csp.Channel(64)

    async def main() -> None:
        up = asyncio.Event()

        async def serve() -> None:
            async with tree_of(told):
                up.set()
                await asyncio.sleep(3600)

        async with asyncio.TaskGroup() as group:
            group.create_task(serve())
            await up.wait()
            raise LookupError

    with pytest.raises(ExceptionGroup):
        asyncio.run(main())
    assert told.recv_many(6) == UP + DOWN
