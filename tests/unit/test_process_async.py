"""Event loops in the processes of actors: `async def` actors, awaited channels, exact cancellation across the border."""

import os
from typing import Any

import pytest

import csp
from csp import channel
from csp.testing import wait_parked
from tests.unit import process_async_bodies as bodies

pytest.importorskip("trio", reason="the event loop of async actors")
pytestmark = pytest.mark.usefixtures("no_leaks")
LETTERS = csp.dead_letters  # made once for the program: no leak of a test
DESKS = [bodies.Desk, bodies.DeskAsyncio, bodies.Wide]


@pytest.fixture
def told() -> Any:
    return csp.Channel(100)


@pytest.mark.parametrize("body", [bodies.echo_trio, bodies.echo_asyncio])
def test_a_function_awaits_channels(body: Any) -> None:
    """`async for`, `asend` and `async with`, in a process of its own; its return is its result."""
    (tx, inp), (out, rx) = channel(1), channel(1)
    ref = body.spawn(inp, out)
    del inp, out
    for value in (1, "two", [3], b"x" * 200_000):
        tx.send(value, 20)
        assert rx.recv(20)[1] == value
    tx.close()
    assert ref.result(20) != os.getpid()
    with pytest.raises(csp.EndOfChannel):
        rx.recv(20)


@pytest.mark.parametrize("desk", DESKS)
def test_a_class_answers_and_is_stopped_in_order(desk: Any, told: Any) -> None:
    """Calls; select with its index; errors with their cause; a stop cancels what waits, whose caller hears of it, then `on_stop` runs."""
    ref = desk.spawn(told)
    assert ref.call(timeout=20).echo({"a": 1}) == {"a": 1}
    source: csp.Channel[int] = csp.Channel(1)
    sink: csp.Channel[str] = csp.Channel(1)
    source.send(7)
    assert ref.call(timeout=20).choose(source, sink) == [(1, None), (0, 7), 1]
    assert sink.recv(0) == "sent"
    (out, ended), (gone, receiver) = channel(), channel()
    out.close("enough")
    receiver.close()
    assert ref.call(timeout=20).ends(ended, gone, csp.Channel().receiver) == [
        ("EndOfChannel", "enough", None), ("BrokenChannel", "None", None), ("ClosedHandle", "None", None),
        ("EndOfChannel", "enough", 1), ("NotShareable", "None", None),
    ]  # fmt: skip
    waits: csp.Channel[int] = csp.Channel()
    reply = ref.ask.wait(waits)
    wait_parked(waits, receivers=1)
    assert ref.stop(20).reason == "shutdown"
    with pytest.raises(csp.ActorDied):
        reply.result(20)
    assert [told.recv(0), told.recv(0)] == ["left", ("stop", "shutdown")]
    assert waits.statistics().waiting_receivers == 0


def test_several_messages_at_once(told: Any) -> None:
    """`concurrency=3`: while two wait a third is answered."""
    ref = bodies.Wide.spawn(told)
    gate: csp.Channel[int] = csp.Channel()
    replies = [ref.ask.wait(gate), ref.ask.wait(gate)]
    wait_parked(gate, receivers=2)
    assert ref.call(timeout=20).echo(1) == 1
    gate.send(1, 20)
    gate.send(2, 20)
    assert [reply.result(20) for reply in replies] == [1, 2]
    ref.stop()


def test_a_trapped_stop_is_seen_by_the_actor(told: Any) -> None:
    """It is not cancelled, and its return after the stop is its value."""
    ref = bodies.patient.spawn(told)
    assert told.recv(20) == "up"
    end = ref.stop(20)
    assert (end.reason, end.value, told.recv(0)) == ("shutdown", "in order", "asked")


@pytest.mark.parametrize("desk", DESKS[:2])
def test_a_kill_breaks_off_what_it_awaits(desk: Any, told: Any) -> None:
    """Its caller hears at once, and nothing of it waits any more."""
    ref = desk.spawn(told)
    waits: csp.Channel[int] = csp.Channel()
    reply = ref.ask.wait(waits)
    wait_parked(waits, receivers=1)
    assert ref.kill().reason == "killed"
    with pytest.raises(csp.ActorDied):
        reply.result(20)
    with pytest.raises(csp.Timeout):
        waits.send(1, 0)


def test_it_asks_other_actors(told: Any) -> None:
    """`acall`, with and without a limit, and an awaited reply, from one process to another."""
    first, second = bodies.Desk.spawn(told), bodies.DeskAsyncio.spawn(told)
    assert first.call(timeout=20).asks(second) == (1, 2, 3)
    assert second.call(timeout=20).asks(first) == (1, 2, 3)
    with pytest.raises(csp.ActorFailed, match="cannot wait for its own answer"):
        first.call(timeout=20).asks(first)
    first.stop()
    second.stop()


@pytest.mark.parametrize("library", ["trio", "asyncio"])
def test_nothing_is_lost_or_doubled_under_cancellation(library: str, seed: int) -> None:
    """Each await of the process is cancelled at random moments: what was received is forwarded once, in order."""
    (tx, inp), (out, rx) = channel(2), channel(2)
    struck: csp.Channel[int] = csp.Channel(1)
    ref = csp.spawn(bodies.forward_cancelled, inp, out, struck.sender, seed, library, isolation="process")
    del inp, out
    assert struck.recv(20) == 5  # while there was nothing to receive
    got = []
    for number in range(300):
        while tx.statistics().buffered == 2:
            got.append(rx.recv(20))
        tx.send(number, 20)
    tx.close()
    got += list(rx)
    assert got == list(range(300))
    assert ref.result(20) >= 5


def test_an_event_loop_beside_threads() -> None:
    """In a function that is no `async def`: who blocks and who awaits share the process's one line."""
    numbers: csp.Channel[int] = csp.Channel(10)
    words: csp.Channel[str] = csp.Channel(10)
    sums: csp.Channel[int] = csp.Channel(1)
    ref = csp.spawn(bodies.loop_beside_threads, numbers.receiver, words.receiver, sums.sender, isolation="process")
    for n, word in enumerate("the quick brown fox".split()):
        words.send(word)
        numbers.send(n)
    words.close()
    numbers.close()
    assert sums.recv(20) == 6
    assert ref.result(20) == "the quick brown fox"


@pytest.mark.parametrize("desk", DESKS[:2])
def test_the_watchdog_strikes_a_loop_that_does_not_turn(desk: Any, told: Any) -> None:
    """And leaves alone one that is idle, or awaits something of its own for longer than the limit."""
    ref = desk.spawn(told)
    csp.sleep(2 * bodies.LIMIT)
    assert ref.call(timeout=20).naps(2 * bodies.LIMIT) == 2 * bodies.LIMIT
    reply = ref.ask.hangs()
    assert ref.join(20).reason == "watchdog"
    with pytest.raises(csp.ActorDied):
        reply.result(20)
