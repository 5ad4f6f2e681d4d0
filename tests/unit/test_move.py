"""move(): what is sent is given away, without a copy; what was not sent is still there."""

import array
import asyncio
import dataclasses
import gc
import mmap
from typing import Any

import pytest

import csp
from csp import _core
from tests.unit import buffer_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks")


@dataclasses.dataclass
class Holder:
    memory: Any


@pytest.fixture(params=["buffer", "view"])
def make(request):
    """What makes four bytes that can be given away."""
    return (lambda: csp.SharedBuffer(4)) if request.param == "buffer" else (lambda: csp.share(bytearray(4), writable=True))


def is_here(memory: Any) -> bool:
    try:
        memory.__enter__()
    except csp.ClosedHandle:
        assert memory.closed and isinstance(memory, csp.SharedBuffer)
        return False
    except ValueError as error:
        assert "released" in str(error) and isinstance(memory, csp.SharedView)
        return False
    return True


def test_given_away(make):
    """The receiver has it, writable and of the same kind; the sender's is closed for good."""
    memory = make()
    ch = csp.Channel(1)
    mark = csp.move(memory)
    assert is_here(memory) and csp.move(mark) is mark and "Moved" in repr(mark)
    ch.send(mark)
    assert not is_here(memory)
    there = ch.recv()
    assert type(there) is type(memory)
    memoryview(there)[0] = 7
    assert not is_here(memory)
    for give_up in (memory.release, memory.release):
        give_up()
    assert memoryview(there)[0] == 7
    with pytest.raises((csp.ClosedHandle, csp.NotShareable)):
        ch.send(csp.move(memory), timeout=1)
    with pytest.raises((csp.ClosedHandle, csp.NotShareable)):
        ch.send(memory, timeout=1)


def test_handles_are_counted():
    """One that moves is one all the way; with the receiver's the memory goes, whatever the sender keeps."""
    ch, buffer = csp.Channel(1), csp.SharedBuffer(10)
    witness = buffer.clone()
    before = csp.debug.census()["buffers"]
    for part in (lambda: buffer, lambda: witness[2:5]):
        ch.send(csp.move(part()))
        assert witness.statistics().handles == 2
        there = ch.recv()
        assert witness.statistics().handles == 2
        assert bytes(there) == bytes(len(there)) and len(there) in (3, 10)
        there.close()
    ch.send(csp.move(witness))
    there = ch.recv()
    del there
    gc.collect()
    assert csp.debug.census()["buffers"] == before - 1


def test_to_an_actor(make):
    """As an argument, and onwards; a lender that is not asked for its memory any more has it back."""
    memory = make()
    ch = csp.Channel(1)
    ref = csp.spawn(bodies.move_on, csp.move(memory), ch.sender)
    assert not is_here(memory)
    there = ch.recv(10)
    assert ref.result(10) == "gone"
    assert bytes(memoryview(there)) == b"\5\0\0\0"
    assert csp.spawn(bodies.mover).result(10) == b"moved"


def test_anywhere_in_a_value(make):
    """In containers, beside a pickle, and twice as the same mark."""
    memory = make()
    mark, ch = csp.move(memory), csp.Channel(1)
    ch.send({"a": [mark, Holder(mark)], "b": Holder(3)})
    back = ch.recv()
    assert back["a"][0] is back["a"][1].memory and type(back["a"][0]) is type(memory)
    assert not is_here(memory)


NOT_SENT = {
    "timeout": lambda ch, value: ch.send(value, timeout=0),
    "wouldblock": lambda ch, value: ch.send_nowait(value),
    "broken": lambda ch, value: broken().send(value),
    "closed": lambda ch, value: closed().send(value),
    "not shareable": lambda ch, value: csp.Channel(1).send([value, Holder(lambda: 0)]),
    "twice": lambda ch, value: csp.Channel(1).send([value, csp.move(_core_source(value))]),
    "batch": lambda ch, value: csp.Channel(1).send_many([1, value], timeout=0),
    "batch not shareable": lambda ch, value: csp.Channel(5).send_many([value, lambda: 0]),
    "select": lambda ch, value: raise_timeout(csp.select([(ch, value)], timeout=0)),
    "another case": lambda ch, value: raise_timeout(csp.select([csp.after(0), (ch, value)])),
    "select not shareable": lambda ch, value: csp.select([(ch, value), (ch, lambda: 0)], timeout=0),
    "asend": lambda ch, value: asyncio.run(cancelled(ch, value)),
    "local": lambda ch, value: csp.Channel(1, local=True).send(value),
    "spawn": lambda ch, value: csp.spawn(bodies.keep, value, lambda: 0),
}


def _core_source(mark: Any) -> Any:
    return sources[mark]


sources: dict[Any, Any] = {}


def broken() -> Any:
    sender, receiver = csp.channel()
    receiver.close()
    return sender


def closed() -> Any:
    sender, _ = csp.channel()
    sender.close()
    return sender


def raise_timeout(selected: Any) -> None:
    assert selected.channel is None or selected.index == 0
    raise csp.Timeout


async def cancelled(ch: Any, value: Any) -> None:
    await asyncio.wait_for(ch.asend(value), 0.01)


@pytest.mark.parametrize("how", NOT_SENT)
def test_not_sent_is_still_here(make, how):
    """Whatever was in the way: nothing was sent, and the sender has what it had."""
    memory = make()
    ch, mark = csp.Channel(), csp.move(memory)
    sources[mark] = memory
    memoryview(memory)[1] = 9
    gc.collect()
    before = memory.statistics() if isinstance(memory, csp.SharedBuffer) else None
    with pytest.raises((csp.CspError, TimeoutError)):
        NOT_SENT[how](ch, mark)
    sources.clear()
    assert is_here(memory)
    assert before is None or memory.statistics() == before
    assert bytes(memoryview(memory)) == b"\0\t\0\0"
    again = csp.Channel(1)
    again.send(mark)
    assert not is_here(memory) and bytes(memoryview(again.recv())) == b"\0\t\0\0"


@pytest.mark.parametrize("marks", [1, 2])
def test_several_cases_of_a_select(make, marks):
    """To whoever takes it: one of them has it then, and nobody if none did."""
    memory = make()
    outs = [csp.Channel(), csp.Channel(), csp.Channel(1)]
    mark = csp.move(memory)
    cases = [(out, {"memory": csp.move(memory) if marks == 2 else mark, "by": Holder(1)}) for out in outs]
    assert not csp.select(cases[:2], timeout=0)
    assert is_here(memory)
    with pytest.raises(csp.NotShareable):
        csp.select([*cases, (outs[0], lambda: 0)])
    assert is_here(memory)
    assert csp.select(cases).index == 2
    assert not is_here(memory)
    there = outs[2].recv()["memory"]
    memoryview(there)[0] = 7
    assert len(there) == 4 and not is_here(memory)
    with pytest.raises((csp.ClosedHandle, csp.NotShareable)):
        csp.select(cases, timeout=0)
    selector = csp.Selector([(out, csp.move(there)) for out in outs])
    assert selector.select(timeout=1).index == 2 and not is_here(there)
    there = outs[2].recv()
    if isinstance(there, csp.SharedBuffer):
        assert there.statistics().handles == 1
    assert asyncio.run(asending([(out, csp.move(there)) for out in outs])) == 2
    assert not is_here(there) and memoryview(outs[2].recv())[0] == 7


async def asending(cases: Any) -> int:
    return (await csp.aselect(cases)).index


def test_a_call_that_was_not_asked(make):
    """A call, cast or ask to an actor that has ended sends nothing."""
    memory = make()
    ref = csp.spawn(bodies.Keeper)
    assert ref.call.keep(csp.move(memory)) == 4
    assert not is_here(memory)
    ref.stop()
    other = csp.SharedBuffer(3)
    for ask in (ref.call.keep, ref.cast.keep, ref.ask.keep):
        with pytest.raises(csp.ActorDied):
            ask(csp.move(other))
    assert is_here(other)


def test_gone_while_it_is_on_its_way(make):
    """While a send waits neither side can use it."""
    memory = make()
    ch, seen = csp.Channel(), csp.Channel(1)
    ref = csp.spawn(bodies.look_and_take, ch, seen.sender, isolation="thread")
    bodies.kept = memory
    ch.send(csp.move(memory))
    assert seen.recv(10) == "gone"
    assert ref.result(10) == 4
    bodies.kept = None


def test_discarded_is_freed(make):
    """Sent and never received: it is gone, with the channel."""
    memory = make()
    before = csp.debug.census()["buffers"]
    ch = csp.Channel(1)
    ch.send(csp.move(memory))
    ch.close()
    del ch
    gc.collect()
    assert not is_here(memory)
    assert csp.debug.census()["buffers"] <= before


def test_dropped_by_the_channel(make):
    """A channel that drops has taken it."""
    memory = make()
    ch = csp.Channel(1, overflow="drop_newest")
    ch.send(1)
    ch.send(csp.move(memory))
    assert not is_here(memory)


def test_a_lease_gives_it_back_to_the_channel():
    """Not to the sender: the next receiver gets it."""
    ch, buffer = csp.Channel(1), csp.SharedBuffer(4)
    ch.send(csp.move(buffer))
    with pytest.raises(RuntimeError), ch.lease() as first:
        first[0] = 1
        raise RuntimeError
    assert buffer.closed and ch.recv()[0] == 1


def test_released_while_on_its_way(make):
    """Then it does not come back."""
    memory = make()
    before = csp.debug.census()["buffers"]
    ch, seen = csp.Channel(), csp.Channel(1)
    ref = csp.spawn(bodies.release_and_leave, ch, seen.sender, isolation="thread")
    bodies.kept = memory
    with pytest.raises(csp.BrokenChannel):
        ch.sender.send(csp.move(memory), timeout=10)
    bodies.kept = None
    assert ref.result(10) is None and not is_here(memory)
    assert csp.debug.census()["buffers"] <= before


def test_in_use(make):
    """A buffer that could still be used here stands in the way; the message says so."""
    memory = make()
    with memoryview(memory), pytest.raises(csp.NotShareable, match=r"value\[0\].* 1 exported buffer cannot be moved"):
        csp.Channel(1).send([csp.move(memory)])
    assert is_here(memory)


@pytest.mark.parametrize(
    ("thing", "why"),
    [
        (bytearray(3), "fill a SharedBuffer"), (array.array("i", [1]), "fill a SharedBuffer"), (mmap.mmap(-1, 10), "fill a SharedBuffer"),
        (b"abc", "send a copy"), (memoryview(b"abc"), "the object that it is a view of"), ([1], "no memory"), (None, "no memory"),
        (csp.never(), "no memory"),
    ],
    ids=lambda thing: type(thing).__name__,
)  # fmt: skip
def test_what_would_need_a_copy_is_refused(thing, why):
    """At once, and the message says why; nothing is copied in silence."""
    with pytest.raises(csp.NotShareable, match=why):
        csp.move(thing)


def test_numpy_is_refused():
    """An array's memory is its own; one on a SharedBuffer stands in the way of that one's move until it is gone."""
    np = pytest.importorskip("numpy")
    with pytest.raises(csp.NotShareable, match="fill a SharedBuffer"):
        csp.move(np.zeros(3))
    buffer, ch = csp.SharedBuffer(24), csp.Channel(1)
    array_ = buffer.to_numpy("f8")
    with pytest.raises(csp.NotShareable, match="exported buffer"):
        ch.send(csp.move(buffer))
    del array_
    ch.send(csp.move(buffer))
    assert ch.recv().to_numpy("f8").shape == (3,)


def test_failed_allocations(make):
    """Whichever allocation of a move fails: MemoryError, and the sender has it."""
    memory = make()
    for n in range(1, 60):
        _core.fail_allocation(n)
        try:
            there = _core.copy_by_crossing([csp.move(memory)])
        except (MemoryError, csp.DecodeError):
            _core.fail_allocation(0)
            if not is_here(memory):  # it failed in the receiver, which had it by then
                memory = make()
            continue
        assert _core.fail_allocation(0) > 0
        assert not is_here(memory) and len(there[0]) == 4
        return
    pytest.fail("it never succeeded")
