"""What a crash leaves of the messages that an `async def` class has in hand: `on_crash`, with one and with several at once."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import trio

import csp
from csp import actors
from csp.testing import wait_parked, wait_until

csp.dead_letters  # noqa: B018  # made on first use, for good: no leak


class Clerk:
    """Says what it begins and what it has done; in between it waits for the gate."""

    def __init__(self, log: Any, gate: Any) -> None:
        self.log, self.gate = log, gate

    async def work(self, job: Any) -> Any:
        await self.log.asend(("begun", job))
        await self.gate.arecv()
        await self.log.asend(("done", job))
        return job

    async def fail_if(self, poison: Any) -> None:
        """There is one: take it, and raise."""
        await self.log.asend(("begun", "fail_if"))
        if poison.recv_nowait(None):
            raise LookupError("poison")

    async def fail(self) -> None:
        raise LookupError("always")

    def ping(self) -> str:
        return "pong"


class ClerkTrio(Clerk):
    async def in_a_nursery(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.gate.arecv)
            nursery.start_soon(self.gate.arecv)


class ClerkAsyncio(Clerk):
    async def in_a_nursery(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.gate.arecv())
            group.create_task(self.gate.arecv())


class OneTrio(ClerkTrio):
    width = 1


class OneAsyncio(ClerkAsyncio):
    width = 1


class ThreeTrio(ClerkTrio):
    width = 3


class ThreeAsyncio(ClerkAsyncio):
    width = 3


class Buried(ClerkTrio):
    width = 3


csp.actor(on_crash="redeliver", max_deliveries=2)(OneTrio)
csp.actor(on_crash="redeliver", max_deliveries=2, loop="asyncio")(OneAsyncio)
csp.actor(on_crash="redeliver", max_deliveries=2, concurrency=3)(ThreeTrio)
csp.actor(on_crash="redeliver", max_deliveries=2, loop="asyncio", concurrency=3)(ThreeAsyncio)
csp.actor(on_crash="dead_letter", concurrency=3)(Buried)


def drained(channel: Any) -> list[Any]:
    found = []
    while (value := channel.recv_nowait(None)) is not None:
        found.append(value)
    return found


def letters() -> list[Any]:
    return drained(csp.dead_letters)


class Lives:
    """One actor, life after life, as under a supervisor."""

    def __init__(self, cls: Any, isolation: str) -> None:
        letters()
        self.cls, self.log, self.gate = cls, csp.Channel(64), csp.Channel()
        self.args = self.log.sender, self.gate.receiver
        self.ref, started = actors.start(cls, self.args, {}, keep=2, isolation=isolation)
        actors.await_start(self.ref, started, 20)

    def next(self) -> None:
        actors.await_start(self.ref, actors.restart(self.ref, self.cls, self.args, {}), 20)

    def in_hand(self, count: int) -> None:
        wait_parked(self.gate, receivers=count)

    def open_gate(self, count: int) -> None:
        for _ in range(count):
            self.gate.send("go on", timeout=20)

    def end(self) -> None:
        self.ref._keep(0)
        self.ref.kill()


def lives_of(cls: Any, isolation: str) -> Iterator[Lives]:
    lives = Lives(cls, isolation)
    yield lives
    lives.end()


ALL = [(OneTrio, "interpreter"), (OneAsyncio, "thread"), (ThreeTrio, "thread"), (ThreeAsyncio, "interpreter")]


@pytest.fixture(params=ALL, ids=lambda which: f"{which[0].__name__}-{which[1]}")
def lives(request: pytest.FixtureRequest) -> Iterator[Lives]:
    yield from lives_of(*request.param)


@pytest.fixture(params=[(ThreeTrio, "interpreter"), (ThreeAsyncio, "thread")], ids=["trio", "asyncio"])
def wide(request: pytest.FixtureRequest) -> Iterator[Lives]:
    yield from lives_of(*request.param)


def test_all_that_was_in_hand_comes_again_before_what_was_queued(lives: Lives) -> None:
    """Once more each, to the next life; nothing is lost and nothing is done twice."""
    width = lives.cls.width
    for n in range(width + 1):
        lives.ref.cast.work(n)
    lives.in_hand(width)
    assert lives.ref.kill().reason == "killed"
    assert sorted(drained(lives.log)) == [("begun", n) for n in range(width)]
    lives.next()
    lives.open_gate(width + 1)
    assert lives.ref.call.ping() == "pong"
    wait_until(lambda: lives.ref.statistics().handled == width + 2)
    said = drained(lives.log)
    assert Counter(said) == Counter([(what, n) for what in ("begun", "done") for n in range(width + 1)])
    assert [job for what, job in said if what == "begun"][width] == width
    assert letters() == []


def test_a_crash_gives_back_what_is_in_hand_beside_it(wide: Lives) -> None:
    """The message that raised, and those that were cancelled for it: each is delivered once more."""
    poison = csp.Channel(4)
    wide.ref.cast.work("beside")
    wide.in_hand(1)
    poison.send(True)
    wide.ref.cast.fail_if(poison)
    assert wide.ref.join(20).reason == "failed"
    wide.next()
    wide.open_gate(1)
    wait_until(lambda: wide.ref.statistics().handled == 2)
    said = Counter(drained(wide.log))
    assert said == {("begun", "beside"): 2, ("begun", "fail_if"): 2, ("done", "beside"): 1}
    assert letters() == []


def test_one_that_always_crashes_is_a_dead_letter(lives: Lives) -> None:
    """After max_deliveries."""
    lives.ref.cast.fail()
    for life in range(2):
        assert lives.ref.join(20).reason == "failed"
        assert len(letters()) == life
        lives.next()
    assert lives.ref.call.ping() == "pong"


def test_dead_letters_of_several_in_hand() -> None:
    """on_crash="dead_letter": each is buried at once, and who asked for one hears of it."""
    for lives in lives_of(Buried, "thread"):
        reply = lives.ref.ask.work(0)
        lives.ref.cast.work(1)
        lives.in_hand(2)
        lives.ref.kill()
        with pytest.raises(csp.ActorDied):
            reply.result(20)
        wait_until(lambda lives=lives: csp.dead_letters.statistics().buffered == 2)
        assert sorted(letter.message[1] for letter in letters()) == [(0,), (1,)]


def test_what_a_stop_breaks_off_is_not_a_crash(lives: Lives) -> None:
    """It is neither redelivered nor buried, and its caller gets ActorDied; what was queued is kept."""
    width = lives.cls.width
    replies = [lives.ref.ask.work(n) for n in range(width)]
    lives.in_hand(width)
    lives.ref.cast.work("queued")
    assert lives.ref.stop(20).reason == "shutdown"
    for reply in replies:
        with pytest.raises(csp.ActorDied):
            reply.result(20)
    drained(lives.log)
    lives.next()
    lives.open_gate(1)
    assert lives.ref.call.ping() == "pong"
    wait_until(lambda: lives.ref.statistics().handled == 2)
    assert drained(lives.log) == [("begun", "queued"), ("done", "queued")]
    assert letters() == []


def test_a_call_that_fails_is_not_a_crash(lives: Lives) -> None:
    """It is its caller's, and is done."""
    with pytest.raises(csp.ActorFailed):
        lives.ref.call.fail()
    assert lives.ref.call.ping() == "pong"
    assert lives.ref.kill().reason == "killed"
    lives.next()
    assert lives.ref.call.ping() == "pong"
    assert letters() == []


def test_a_redelivered_call_answers_nobody(lives: Lives) -> None:
    """Its caller got ActorDied when the first life crashed; the next one handles it all the same."""
    reply = lives.ref.ask.work("once more")
    lives.in_hand(1)
    lives.ref.kill()
    with pytest.raises(csp.ActorDied):
        reply.result(20)
    lives.next()
    lives.open_gate(1)
    wait_until(lambda: lives.ref.statistics().handled == 1)
    assert drained(lives.log) == [("begun", "once more")] * 2 + [("done", "once more")]


def test_a_method_with_tasks_of_its_own_is_broken_off_too(lives: Lives) -> None:
    """The group of cancellations that comes out of it is a cancellation, and no answer."""
    reply = lives.ref.ask.in_a_nursery()
    lives.in_hand(2)
    assert lives.ref.stop(20).reason == "shutdown"
    with pytest.raises(csp.ActorDied):
        reply.result(20)
    assert letters() == []
