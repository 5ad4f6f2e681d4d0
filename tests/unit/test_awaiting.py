"""Awaiting channels under trio, asyncio and uvloop: the same promises as for threads, and exact cancellation."""

import asyncio
import gc
import random
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import trio

import csp
from csp.testing import census, wait_parked, wait_until
from tests.unit.loops import FLAVOURS, Loop, outcome, parked, until


@pytest.fixture(params=FLAVOURS, ids=lambda flavour: flavour.name)
def loop(request: pytest.FixtureRequest) -> Any:
    before = census()
    yield request.param()
    gc.collect()
    wait_until(lambda: all(census()[what] <= before[what] for what in before), what=f"{before}, not {census()}")


@csp.actor
def echo(source: Any, sink: Any) -> None:
    for value in source:
        sink.send(value)


async def begin_recv(handle: Any) -> Any:
    return await handle.arecv()


async def begin_send(handle: Any) -> Any:
    return await handle.asend(1)


async def begin_select(handle: Any) -> Any:
    return await csp.aselect([None, handle])


def collect(source: Any) -> list[Any]:
    return list(source)


# --- the operations ---


def test_a_value_passes_between_tasks_threads_and_interpreters(loop: Loop) -> None:
    """One channel serves all kinds of parties at once."""

    async def main(loop: Loop) -> list[int]:
        there, back = csp.Channel(), csp.Channel()
        ref = echo.spawn(there.receiver, back.sender)
        thread = threading.Thread(target=lambda: [there.send(n) for n in range(50)])
        thread.start()

        async def send() -> None:
            for n in range(50, 100):
                await there.asend(n)

        sender = await loop.start(send)
        got = [await back.arecv() for _ in range(100)]
        await outcome(loop, sender)
        there.close()
        await until(loop, lambda: not ref.alive)
        thread.join()
        return got

    got = loop.run(main)
    assert sorted(got) == list(range(100))
    assert [n for n in got if n < 50] == list(range(50)) and [n for n in got if n >= 50] == list(range(50, 100))


def test_a_rendezvous_send_returns_once_the_value_is_taken(loop: Loop) -> None:
    """Until then the sending task waits."""

    async def main(loop: Loop) -> None:
        channel = csp.Channel()
        sender = await loop.start(lambda: channel.asend("tea"))
        await parked(loop, channel, senders=1)
        assert sender.outcome is None
        assert channel.recv_nowait() == "tea"
        assert await outcome(loop, sender) == ("value", None)

    loop.run(main)


def test_iterating_ends_with_the_channel(loop: Loop) -> None:
    """`async for` takes what is buffered and stops at its end; `async with` closes."""

    async def main(loop: Loop) -> list[int]:
        channel = csp.Channel(8)
        async with channel.sender as sender:
            receiver = channel.receiver
            sender.send_many([1, 2, 3])
            assert not sender.closed
        assert sender.closed
        channel.close()
        return [value async for value in receiver]

    assert loop.run(main) == [1, 2, 3]


@pytest.mark.parametrize("kind", ["recv", "send", "select"])
def test_errors_are_those_of_the_waiting_forms(loop: Loop, kind: str) -> None:
    """With the channel and, out of a select, the index; at once and while waiting."""

    async def main(loop: Loop) -> None:
        for late in (False, True):
            channel = csp.Channel()
            handle = channel.sender if kind == "send" else channel.receiver
            work = {"recv": begin_recv, "send": begin_send, "select": begin_select}[kind]
            work = partial(work, handle)
            if late:
                task = await loop.start(work)
                await parked(loop, channel, **({"senders": 1} if kind == "send" else {"receivers": 1}))
            channel.close(ValueError("enough") if kind != "send" else None)
            if not late:
                task = await loop.start(work)
            what, error = await outcome(loop, task)
            assert what == "error" and type(error) is (csp.BrokenChannel if kind == "send" else csp.EndOfChannel)
            assert error.channel is handle and error.index == (1 if kind == "select" else None)
            if kind != "send":
                assert "enough" in str(error.cause)

    loop.run(main)


def test_what_cannot_cross_is_refused_before_anything_is_sent(loop: Loop) -> None:
    """NotShareable, and the channel goes on."""

    async def main(loop: Loop) -> None:
        channel = csp.Channel(1)
        with pytest.raises(csp.NotShareable):
            await channel.asend([threading.Lock()])
        with pytest.raises(csp.NotShareable):
            await csp.aselect([(channel, threading.Lock())])
        await channel.asend("fine")
        assert await channel.arecv() == "fine"

    loop.run(main)


def test_one_case_fires(loop: Loop) -> None:
    """A select among tasks pairs with selects of threads and tasks; the other cases have no effect."""

    async def main(loop: Loop) -> None:
        a, b = csp.Channel(), csp.Channel()
        task = await loop.start(lambda: csp.aselect([a, (b, "out")]))
        await parked(loop, b, senders=1)
        other = csp.select([(a, "in"), b], priority=True)
        what, chosen = await outcome(loop, task)
        assert what == "value" and other.channel is a and (chosen.channel, chosen.value, chosen.index) == (a, "in", 0)
        assert b.statistics().waiting_senders == a.statistics().waiting_receivers == 0
        both = csp.Channel(1), csp.Channel(1)
        for channel in both:
            channel.send("x")
        assert (await csp.aselect(list(both), priority=True)).index == 0

    loop.run(main)


def test_a_select_without_an_enabled_case_is_refused(loop: Loop) -> None:
    """It would wait for ever."""

    async def main(loop: Loop) -> None:
        with pytest.raises(ValueError):
            await csp.aselect([None])
        with pytest.raises(TypeError):
            await csp.aselect([3])  # type: ignore[list-item]

    loop.run(main)


def test_timers_fire(loop: Loop) -> None:
    """`after` and `tick` wait in the event loop, each until it is due."""

    async def main(loop: Loop) -> None:
        began = time.monotonic()
        fired: dict[int, float] = {}

        async def wait(n: int) -> None:
            fired[n] = await csp.after(n * 0.01).arecv()

        tasks = [await loop.start(lambda n=n: wait(n)) for n in (3, 1, 2)]
        chosen = await csp.aselect([csp.Channel(), csp.never(), csp.after(0.005)])
        assert chosen.index == 2 and chosen.value >= began + 0.005
        for task in tasks:
            await outcome(loop, task)
        assert all(fired[n] >= began + n * 0.01 for n in (1, 2, 3))
        ticks = csp.tick(0.002)
        at = [await ticks.arecv() for _ in range(3)]
        assert at == sorted(at) and at[-1] - at[0] >= 0.0035
        both = [await loop.start(csp.after(0.005).arecv), await loop.start(ticks.arecv)]
        for task in both:
            await outcome(loop, task)

    loop.run(main)


def test_two_tasks_share_one_timer(loop: Loop) -> None:
    """One gets its tick, the other hears of its end."""

    async def main(loop: Loop) -> None:
        timer = csp.after(0.005)
        tasks = [await loop.start(timer.arecv) for _ in range(2)]
        outcomes = [await outcome(loop, task) for task in tasks]
        assert sorted(what for what, *_ in outcomes) == ["error", "value"]

    loop.run(main)


def test_waiting_tasks_are_served_in_order(loop: Loop) -> None:
    """First come, first served, as threads are."""

    async def main(loop: Loop) -> None:
        channel, got = csp.Channel(), []

        async def receive(n: int) -> None:
            got.append((n, await channel.arecv()))

        tasks = []
        for n in range(5):
            tasks.append(await loop.start(lambda n=n: receive(n)))
            await parked(loop, channel, receivers=n + 1)
        for n in range(5):
            channel.send_nowait(n)
        for task in tasks:
            await outcome(loop, task)
        assert sorted(got) == [(n, n) for n in range(5)]  # trio runs those that are ready in any order

    loop.run(main)


def test_a_thousand_waits_need_one_descriptor(loop: Loop) -> None:
    """No thread and no descriptor for each."""

    async def main(loop: Loop) -> None:
        import os

        await csp.Channel(1).asend(0)  # the loop's own one is there now
        fds, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
        channels = [csp.Channel() for _ in range(1000)]
        tasks = [await loop.start(channel.arecv) for channel in channels]
        await parked(loop, channels[-1], receivers=1)
        assert len(os.listdir("/proc/self/fd")) == fds and threading.active_count() == threads
        for n, channel in enumerate(channels):
            channel.send_nowait(n)
        assert [await outcome(loop, task) for task in tasks] == [("value", n) for n in range(1000)]

    loop.run(main)


def test_a_busy_task_lets_the_others_run(loop: Loop) -> None:
    """A task whose operations are all ready does not keep the event loop for itself."""

    async def main(loop: Loop) -> None:
        channel, turns = csp.Channel(1), 0

        async def count() -> None:
            nonlocal turns
            while True:
                await loop.turn()
                turns += 1

        counter = await loop.start(count)
        for n in range(1000):
            await channel.asend(n)
            await channel.arecv()
        counter.cancel()
        assert turns > 10

    loop.run(main)


def test_without_an_event_loop_it_says_so() -> None:
    """Not a hang, nor an AttributeError."""
    with pytest.raises(RuntimeError, match="event loop"):
        csp.Channel().arecv().send(None)


# --- cancellation ---


@pytest.mark.parametrize("kind", ["recv", "send", "select"])
def test_cancelled_nothing_has_happened(loop: Loop, kind: str) -> None:
    """Not sent, nothing taken, nobody waits, and the next in line is served."""

    async def main(loop: Loop) -> None:
        channel = csp.Channel()
        work = {
            "recv": channel.arecv,
            "send": lambda: channel.asend("never"),
            "select": lambda: csp.aselect([channel, csp.never()]),
        }[kind]
        task = await loop.start(work)
        direction = "senders" if kind == "send" else "receivers"
        await parked(loop, channel, **{direction: 1})
        task.cancel()
        assert await outcome(loop, task) == ("cancelled",)
        now = channel.statistics()
        assert (now.sent, now.received, now.waiting_senders, now.waiting_receivers) == (0, 0, 0, 0)

    loop.run(main)


def test_a_value_that_has_moved_is_returned_and_the_cancellation_comes_after(loop: Loop) -> None:
    """Lost to the hand-over, the cancellation waits for the next checkpoint."""

    async def main(loop: Loop) -> None:
        channel, got = csp.Channel(), []

        async def receive() -> None:
            got.append(await channel.arecv())
            await loop.turn()
            got.append("not reached")

        task = await loop.start(receive)
        await parked(loop, channel, receivers=1)
        channel.send_nowait("moved")  # the task cannot have run yet
        task.cancel()
        assert await outcome(loop, task) == ("cancelled",)
        assert got == ["moved"]

    loop.run(main)


def test_a_timeout_counts_once_although_a_value_had_moved() -> None:
    """asyncio.timeout sees its own cancellation, and no more than that, when it comes after the hand-over."""

    async def main() -> None:
        channel, got = csp.Channel(), []

        async def receive() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(None) as limit:
                    limits.append(limit)
                    got.append(await channel.arecv())
                    await asyncio.sleep(10)
            task = asyncio.current_task()
            assert task is not None and task.cancelling() == 0
            await asyncio.sleep(0)

        limits: list[asyncio.Timeout] = []
        task = asyncio.create_task(receive())
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        limits[0].reschedule(loop.time())
        channel.send_nowait("moved")
        await task
        assert got == ["moved"]

    asyncio.run(main())


def test_a_cancelled_task_of_trio_never_begins() -> None:
    """Even if the operation could be done at once: each is a checkpoint.  (asyncio cancels at the next suspension only.)"""

    async def main() -> None:
        channel = csp.Channel(1)
        with trio.CancelScope() as scope:
            scope.cancel()
            await channel.asend(1)
        assert len(channel) == 0

    trio.run(main)


def test_a_coroutine_that_is_dropped_gives_back_what_it_got() -> None:
    """Closed between the hand-over and its next step, a receive has taken nothing."""

    async def main() -> None:
        channel = csp.Channel()
        coroutine = channel.arecv()
        future = coroutine.send(None)
        channel.send_nowait("kept")
        coroutine.close()
        assert channel.recv_nowait() == "kept"
        del future

    asyncio.run(main())


@pytest.mark.parametrize("capacity", [0, 3])
def test_nothing_is_lost_or_doubled_under_cancellation(loop: Loop, capacity: int, seed: int, stress: float) -> None:
    """Tasks on both sides are cancelled at random, while another interpreter receives too: each value that was sent is received once.

    100,000 values and more for each event loop, half of them without a buffer.
    """
    dice, count, calls_off = random.Random(seed), int(50_000 * stress), int(2_500 * stress)

    async def main(loop: Loop) -> None:
        channel, sent, got, cancels = csp.Channel(capacity), [], [], 0
        over = False

        async def send(base: int) -> None:
            n = 0
            while not over:
                await channel.asend((base, n))
                sent.append((base, n))  # no suspension in between
                n += 1

        async def receive() -> None:
            while True:
                got.append(await (channel.arecv() if dice.random() < 0.8 else one_of_two()))

        async def one_of_two() -> Any:
            return (await csp.aselect([channel, csp.never()])).value

        elsewhere = csp.spawn(collect, channel.receiver)
        base = 0
        senders, receivers = [], []
        while not over:
            over = len(sent) >= count and cancels >= calls_off
            while len(senders) < 3 and not over:
                base += 1
                senders.append(await loop.start(lambda base=base: send(base)))
            while len(receivers) < 3:
                receivers.append(await loop.start(receive))
            for _ in range(dice.randrange(4)):
                await loop.turn()
            side = senders if senders and dice.random() < 0.5 else receivers
            side.pop(dice.randrange(len(side))).cancel()
            cancels += 1
        for task in senders:
            task.cancel()
            await until(loop, lambda task=task: task.outcome is not None)
        channel.close()
        for task in receivers:
            await until(loop, lambda task=task: task.outcome is not None)
        await until(loop, lambda: not elsewhere.alive)
        everything = got + elsewhere.result()
        assert len(everything) == len(set(everything)) == len(sent), f"seed {seed}"
        assert set(everything) == set(sent), f"seed {seed}"
        assert len(got) > 100, "no stress"

    loop.run(main)


# --- ends ---


def test_a_run_leaves_nothing_behind() -> None:
    """The descriptor goes with the event loop."""
    import os

    def fds() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    async def main() -> None:
        channel = csp.Channel(1)
        await channel.asend(1)
        await channel.arecv()

    before = fds()
    for _ in range(3):
        trio.run(main)
        asyncio.run(main())
    assert fds() == before


def test_a_stop_breaks_off_the_waits_of_an_event_loop() -> None:
    """An actor whose function runs an event loop hears of it as `Stopped`, wherever it awaits."""
    told = csp.Channel(1)
    ref = csp.spawn(run_a_loop, told.sender)
    assert told.recv(20) == "up"
    assert ref.stop(20).reason == "shutdown"
    assert told.recv(1) == "Stopped"


def run_a_loop(told: Any) -> None:
    async def main() -> None:
        channel = csp.Channel()
        told.send("up")
        try:
            await channel.arecv()
        except csp.Stopped:
            told.send("Stopped")
            raise

    asyncio.run(main())


def test_a_thread_can_wait_for_a_task() -> None:
    """And the other way round, at the same time, on the same channel."""
    channel = csp.Channel()
    thread = threading.Thread(target=lambda: trio.run(channel.asend, "from a task"))
    thread.start()
    wait_parked(channel, senders=1)
    assert channel.recv(10) == "from a task"
    thread.join()


# --- calls of actors ---


@csp.actor(mailbox=1)
class Counter:
    def __init__(self) -> None:
        self.value = 0

    def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    def fail(self) -> None:
        raise ValueError("no")

    def wait(self, channel: Any) -> Any:
        return channel.recv()

    def die(self) -> None:
        raise SystemExit


@contextmanager
def counting() -> Any:
    """Not a fixture: pytest would hold the reference, and with it the Exit, past the count of what is left."""
    ref = Counter.spawn()
    try:
        yield ref
    finally:
        ref.kill()


def test_a_call_is_awaited(loop: Loop) -> None:
    """With arguments, results and errors as `call` has them."""

    async def main(loop: Loop, counter: Any) -> None:
        assert await counter.acall.add() == 1
        assert await counter.acall.add(n=4) == 5
        with pytest.raises(csp.ActorFailed) as caught:
            await counter.acall.fail()
        assert type(caught.value.__cause__) is ValueError and caught.value.remote.type_name == "ValueError"
        with pytest.raises(AttributeError):
            await counter.acall._private()
        tasks = [await loop.start(counter.acall.add) for _ in range(20)]
        assert sorted([(await outcome(loop, task))[1] for task in tasks]) == list(range(6, 26))

    with counting() as counter:
        loop.run(partial(main, counter=counter))


def test_a_reply_is_awaited(loop: Loop) -> None:
    """Each time with the same answer; a select takes it as a case."""

    async def main(loop: Loop, counter: Any) -> None:
        reply = counter.ask.add(3)
        assert await reply == 3 and await reply == 3 and reply.result() == 3
        failing = counter.ask.fail()
        for _ in range(2):
            with pytest.raises(csp.ActorFailed):
                await failing
        chosen = await csp.aselect([counter.ask.add(), csp.after(20)])
        assert (chosen.index, chosen.value) == (0, 4)

    with counting() as counter:
        loop.run(partial(main, counter=counter))


def test_a_call_to_the_dead_fails(loop: Loop) -> None:
    """At once, or when it dies while it is asked."""

    async def main(loop: Loop) -> None:
        ref, channel = Counter.spawn(), csp.Channel()
        task = await loop.start(lambda: ref.acall.wait(channel))
        await parked(loop, channel, receivers=1)
        ref.kill()
        what, error = await outcome(loop, task)
        assert what == "error" and type(error) is csp.ActorDied
        with pytest.raises(csp.ActorDied):
            await ref.acall.add()

    loop.run(main)


def test_a_cancelled_call_gets_no_answer(loop: Loop) -> None:
    """The actor goes on, and its answer reaches nobody."""

    async def main(loop: Loop, counter: Any) -> None:
        channel = csp.Channel()
        task = await loop.start(lambda: counter.acall.wait(channel))
        await parked(loop, channel, receivers=1)
        task.cancel()
        assert await outcome(loop, task) == ("cancelled",)
        channel.send_nowait("late")
        assert await counter.acall.add() == 1

    with counting() as counter:
        loop.run(partial(main, counter=counter))


def test_a_call_has_a_timeout_of_its_own(loop: Loop) -> None:
    """It bounds the room in the mailbox and the answer together."""

    async def main(loop: Loop, counter: Any) -> None:
        channel = csp.Channel()
        with pytest.raises(csp.Timeout, match="may have run"):
            await counter.acall(timeout=0.02).wait(channel)
        await parked(loop, channel, receivers=1)
        waiting = [await loop.start(counter.acall.add)]
        await until(loop, lambda: counter.statistics().queued == 1)
        with pytest.raises(csp.Timeout, match="no room"):
            await counter.acall(timeout=0.02).add()
        channel.send_nowait("go on")
        assert await outcome(loop, waiting[0]) == ("value", 1)

    with counting() as counter:
        loop.run(partial(main, counter=counter))


def test_only_class_actors_answer(loop: Loop) -> None:
    """As with `call`."""
    channel = csp.Channel()
    ref = csp.spawn(collect, channel.receiver)
    with pytest.raises(TypeError):
        _ = ref.acall
    channel.close()
    ref.join()
