"""`async def` actors, under trio and asyncio: functions, classes, concurrency, stops as cancellations, kills."""

import asyncio
import gc
import os
import threading
from typing import Any

import pytest
import trio

import csp
from csp.testing import wait_parked, wait_until


@pytest.fixture(params=["interpreter", "thread"])
def isolation(request: pytest.FixtureRequest) -> Any:
    return request.param


@csp.actor
async def double(source: Any, sink: Any) -> str:
    async for value in source:
        await sink.asend(value * 2)
    return "done"


@csp.actor(loop="asyncio")
async def double_asyncio(source: Any, sink: Any) -> str:
    asyncio.get_running_loop()
    async for value in source:
        await sink.asend(value * 2)
    return "done"


@csp.actor
async def raises(_: Any) -> None:
    await trio.lowlevel.checkpoint()
    raise LookupError("no such thing")


async def clean_up(told: Any) -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await told.asend("cleaned up")


async def clean_up_asyncio(told: Any) -> None:
    try:
        await asyncio.sleep(3600)
    finally:
        await told.asend("cleaned up")


clean_up = csp.actor(clean_up)
clean_up_asyncio = csp.actor(loop="asyncio")(clean_up_asyncio)


@csp.actor(trap_stop=True)
async def patient(told: Any) -> str:
    await told.asend("up")
    await csp.current_actor().stopping.arecv()
    await told.asend("asked")
    return "in peace"


@csp.actor
async def in_a_thread(_: Any) -> int:
    return await trio.to_thread.run_sync(threading.get_ident)


@csp.actor
async def spin(told: Any) -> None:
    told.send_nowait("up")
    while True:
        pass


@csp.actor
async def sleep(told: Any) -> None:
    told.send_nowait("up")
    await trio.sleep_forever()


class Desk:
    """Answers, some of it by tasks."""

    def __init__(self, told: Any) -> None:
        self.told = told
        self.running = self.most = 0

    async def on_start(self) -> None:
        await self.told.asend("start")

    async def on_stop(self, reason: str) -> None:
        await csp.after(0).arecv()
        await self.told.asend(("stop", reason))

    async def on_failure(self, error: BaseException) -> None:
        await self.told.asend(("failure", type(error).__name__))

    async def on_receive(self, message: Any) -> None:
        await self.told.asend(("received", message))

    async def wait(self, channel: Any) -> Any:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await channel.arecv()
        finally:
            self.running -= 1

    def plain(self, n: int) -> int:
        return n + 1

    async def fail(self) -> None:
        raise LookupError("no such thing")

    def peak(self) -> int:
        return self.most


class DeskTrio(Desk):
    pass


class DeskAsyncio(Desk):
    pass


class Wide(Desk):
    pass


class WideAsyncio(Desk):
    pass


csp.actor(DeskTrio)
csp.actor(loop="asyncio")(DeskAsyncio)
csp.actor(concurrency=3)(Wide)
csp.actor(loop="asyncio", concurrency=3)(WideAsyncio)


def started(cls: type, isolation: str) -> Any:
    told = csp.Channel(64)
    ref = csp.spawn(cls, told, isolation=isolation)
    assert told.recv(20) == "start"
    yield ref, told
    ref.kill()


@pytest.fixture(params=[DeskTrio, DeskAsyncio])
def desk(request: pytest.FixtureRequest, isolation: str) -> Any:
    yield from started(request.param, isolation)


@pytest.fixture(params=[Wide, WideAsyncio])
def wide(request: pytest.FixtureRequest, isolation: str) -> Any:
    yield from started(request.param, isolation)


@pytest.fixture(params=[DeskTrio, DeskAsyncio, Wide, WideAsyncio])
def any_desk(request: pytest.FixtureRequest, isolation: str) -> Any:
    yield from started(request.param, isolation)


# --- functions ---


@pytest.mark.parametrize("body", [double, double_asyncio])
def test_a_function_runs_in_an_event_loop(body: Any, isolation: str) -> None:
    """And what it returns is the value of its Exit."""
    source, sink = csp.Channel(4), csp.Channel(4)
    ref = csp.spawn(body, source.receiver, sink.sender, isolation=isolation)
    source.send_many([1, 2, 3])
    source.close()
    assert [sink.recv(20) for _ in range(3)] == [2, 4, 6]
    end = ref.join(20)
    assert (end.reason, end.value) == ("normal", "done")


def test_what_it_raises_is_what_it_died_of(isolation: str) -> None:
    """The error itself, not a group of it."""
    ref = csp.spawn(raises, None, isolation=isolation)
    end = ref.join(20)
    assert end.reason == "failed" and end.remote is not None
    assert (end.remote.type_name, end.remote.message) == ("LookupError", "no such thing")


@pytest.mark.parametrize("body", [clean_up, clean_up_asyncio])
def test_a_stop_is_a_cancellation(body: Any, isolation: str) -> None:
    """Whatever it awaits is cancelled, `finally` blocks run and may await channels."""
    told = csp.Channel(4)
    ref = csp.spawn(body, told.sender, isolation=isolation)
    csp.sleep(0.05)
    assert ref.stop(20).reason == "shutdown"
    assert told.recv(1) == "cleaned up"


def test_one_that_traps_stops_is_only_told(isolation: str) -> None:
    """Its `stopping` fires, nothing is cancelled, and it ends as "shutdown"."""
    told = csp.Channel(4)
    ref = csp.spawn(patient, told.sender, isolation=isolation)
    assert told.recv(20) == "up"
    end = ref.stop(20)
    assert (end.reason, end.value) == ("shutdown", "in peace")
    assert told.recv(1) == "asked"


@pytest.mark.parametrize("body", [spin, sleep])
def test_a_kill_ends_it(body: Any, isolation: str) -> None:
    """Whether it computes or waits for something of the event loop's own."""
    told = csp.Channel(4)
    ref = csp.spawn(body, told.sender, isolation=isolation)
    assert told.recv(20) == "up"
    assert ref.kill().reason == "killed"
    wait_until(lambda: ref not in csp.debug.zombies(), 20, "its end")  # throwing the loop away may take a second, where much else lives


def test_threads_of_trio_work(isolation: str) -> None:
    """`trio.to_thread`, and with it files and name look-ups."""
    ref = csp.spawn(in_a_thread, None, isolation=isolation)
    assert isinstance(ref.result(20), int)


# --- classes ---


def test_a_class_answers_calls(desk: Any) -> None:
    """By `async def` methods and by others; errors and messages as in any class actor."""
    ref, told = desk
    channel = csp.Channel(1)
    channel.send("tea")
    assert ref.call.wait(channel) == "tea"
    assert ref.call.plain(1) == 2
    with pytest.raises(csp.ActorFailed) as caught:
        ref.call.fail()
    assert type(caught.value.__cause__) is LookupError
    ref.send("hello")
    assert told.recv(20) == ("received", "hello")
    wait_until(lambda: ref.statistics().handled == 4)


def test_one_message_at_a_time(desk: Any) -> None:
    """The default: the next waits in the mailbox while one awaits."""
    ref, _ = desk
    channel = csp.Channel()
    replies = [ref.ask.wait(channel) for _ in range(3)]
    wait_parked(channel, receivers=1)
    for n in range(3):
        channel.send(n, timeout=20)
    assert [reply.result(20) for reply in replies] == [0, 1, 2]
    assert ref.call.peak() == 1


def test_several_at_once(wide: Any) -> None:
    """With `concurrency=3` three are handled by tasks of their own, a fourth waits."""
    ref, _ = wide
    channel = csp.Channel()
    replies = [ref.ask.wait(channel) for _ in range(5)]
    wait_parked(channel, receivers=3)
    for n in range(5):
        channel.send(n, timeout=20)
    assert sorted(reply.result(20) for reply in replies) == [0, 1, 2, 3, 4]
    assert ref.call.peak() == 3


def test_a_stop_cancels_what_is_in_hand(any_desk: Any) -> None:
    """Who asked hears of it before `on_stop` runs, and `on_stop` may await."""
    ref, told = any_desk
    channel = csp.Channel()
    reply = ref.ask.wait(channel)
    wait_parked(channel, receivers=1)
    assert ref.stop(20).reason == "shutdown"
    with pytest.raises(csp.ActorDied):
        reply.result(20)
    assert told.recv(1) == ("stop", "shutdown")
    assert channel.statistics().waiting_receivers == 0


def test_one_that_waits_for_a_message_is_stopped(any_desk: Any) -> None:
    """It hears of the stop in two ways at once, and `on_stop` is not cancelled by either."""
    ref, told = any_desk
    assert ref.stop(20).reason == "shutdown"
    assert told.recv(1) == ("stop", "shutdown")


def test_a_drain_finishes_what_is_queued(any_desk: Any) -> None:
    """Then it stops."""
    ref, told = any_desk
    channel = csp.Channel(8)
    replies = [ref.ask.wait(channel) for _ in range(4)]
    channel.send_many([1, 2, 3, 4])
    assert ref.drain(20).reason == "shutdown"
    assert sorted(reply.result(20) for reply in replies) == [1, 2, 3, 4]
    assert told.recv(1) == ("stop", "shutdown")


def test_a_cast_that_raises_ends_it(any_desk: Any) -> None:
    """As "failed", with the error itself, after `on_failure`."""
    ref, told = any_desk
    ref.cast.fail()
    end = ref.join(20)
    assert end.reason == "failed" and end.remote is not None and end.remote.type_name == "LookupError"
    assert told.recv(1) == ("failure", "LookupError")


def test_a_kill_breaks_off_calls(any_desk: Any) -> None:
    """Who asked hears of it at once."""
    ref, _ = any_desk
    channel = csp.Channel()
    reply = ref.ask.wait(channel)
    wait_parked(channel, receivers=1)
    assert ref.kill().reason == "killed"
    with pytest.raises(csp.ActorDied):
        reply.result(20)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of what the loop had open: it is left half-way
@pytest.mark.parametrize("kind", ["Wide", "WideAsyncio"])
def test_kills_leave_no_event_loop_behind(kind: str) -> None:
    """Where the actor is a thread its loop was made in our interpreter: the descriptor goes with it, wherever in the loop the kill strikes."""
    told: Any = csp.Channel(1000)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(20):
        ref = csp.spawn(globals()[kind], told, isolation="thread")
        channel: csp.Channel[int] = csp.Channel()
        reply = ref.ask.wait(channel)
        wait_parked(channel, receivers=1)
        assert ref.kill().reason == "killed"
        del ref, reply
    gc.collect()
    gc.collect()
    assert not before or len(os.listdir("/proc/self/fd")) <= before + 2


def test_what_cannot_be_rebuilt_is_that_calls_error(desk: Any) -> None:
    """And the actor goes on."""
    ref, _ = desk
    with pytest.raises(csp.ActorFailed):
        ref.call.plain(Unrebuilt())
    assert ref.call.plain(2) == 3


class Unrebuilt:
    def __reduce__(self) -> Any:
        return (refuse, ())


def refuse() -> None:
    raise ValueError("not here")


# --- options ---


def test_options_are_checked() -> None:
    """By name, where the actor is declared."""

    async def function() -> None: ...

    def plain() -> None: ...

    class Class:
        async def method(self) -> None: ...

    for target, options, what in [
        (function, {"loop": "twisted"}, "loop"),
        (plain, {"loop": "trio"}, "loop"),
        (function, {"concurrency": 2}, "concurrency"),
        (Class, {"concurrency": 0}, "concurrency"),
        (Class, {"concurrency": True}, "concurrency"),
    ]:
        with pytest.raises(ValueError, match=what):
            csp.actor(**options)(target)
