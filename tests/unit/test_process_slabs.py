"""Big values to and from the processes of actors travel in memory that both have mapped: they are whole, and nothing of it is left."""

import gc
import os
import resource
import socket
import sys
import threading
from typing import Any

import pytest

import csp
from csp import _core
from csp._process import wire
from csp._process.slabs import FROM, Slabs
from tests.unit import process_slab_bodies as bodies

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(sys.platform != "linux", reason="a memory file is what Linux has"),
]

BIG = 1 << 20


def files() -> int:
    return len(os.listdir("/proc/self/fd"))


def no_slab_is_left() -> None:
    csp.testing.wait_until(lambda: gc.collect() >= 0 and _core.slabs() == (0, 0), 20, f"an end of all of {_core.slabs()}")


@pytest.mark.parametrize("body", [bodies.give_back, bodies.give_back_through_the_socket])
@pytest.mark.parametrize("nbytes", [FROM - 1, FROM, BIG + 5])
def test_big_values_come_back_whole(body: Any, nbytes: int) -> None:
    """In slabs and, where the actor can have no memory files, through the socket; of each type; several in one value."""
    numpy = pytest.importorskip("numpy")
    ins, outs = csp.Channel(), csp.Channel()
    ref = body.spawn(ins.receiver, outs.sender)
    content = bytes(range(256)) * (nbytes // 256 + 1)
    content = content[:nbytes]
    fortran = numpy.asfortranarray(numpy.arange(nbytes).reshape(-1, 1).repeat(2, 1))
    for value in (
        content,
        bytearray(content),
        {"a": content, "b": [bytearray(content), "text" * nbytes]},
        [numpy.frombuffer(content, "u1"), numpy.arange(nbytes), {"nested": numpy.ones(nbytes // 8)}, fortran],
        [memoryview(content), memoryview(bytearray(content))],
    ):
        ins.send(value, 20)
        back = outs.recv(20)
        numpy.testing.assert_equal(back, value)
        assert type(back) is type(value)
    assert back[0].readonly and not back[1].readonly
    assert any(bodies.is_in_a_file(numpy.asarray(part)) for part in back) == (body is bodies.give_back and nbytes >= FROM)
    del back
    ref.kill()
    no_slab_is_left()


def test_segments_go_through_the_socket_where_there_are_no_memory_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, and after each other."""
    monkeypatch.setattr(_core, "make_slab", lambda nbytes: None)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        outgoing, incoming = wire.Outgoing(ours), wire.Incoming(theirs)
        sent = [b"a" * FROM, bytearray(BIG), b"", b"c"]
        segments = wire.Segments()
        segments.extend(sent)
        outgoing.add(("head", 1), segments)
        outgoing.add(("next",), wire.Segments())
        writer = threading.Thread(target=outgoing.flush)
        writer.start()
        heads = []
        while len(heads) < 2:
            while (found := incoming.frame()) is not None:
                heads.append(found[0])
                if found[0][0] == "head":
                    assert [bytes(part) for part in found[1]] == sent
            if len(heads) < 2:
                assert incoming.read()
        writer.join()
    assert heads == [("head", 1), ("next",)] and _core.slabs() == (0, 0)


def test_what_arrives_stands_on_the_shared_memory() -> None:
    """Here and there: no copy but the one into it, and the receiver may write; what it keeps stays as it is."""
    numpy = pytest.importorskip("numpy")
    ins, outs = csp.Channel(), csp.Channel()
    ref = bodies.change.spawn(ins.receiver, outs.sender)
    kept = []
    for i in range(6):
        ins.send(numpy.full(BIG, i, "u1"), 20)
        back, shared_there = outs.recv(20)
        assert shared_there and bodies.is_in_a_file(back)
        back[0] = 100
        kept.append(back)
    for i, array in enumerate(kept):
        assert array[0] == 100 and (array[1:] == i + 1).all()
    ref.kill()
    csp.testing.wait_until(lambda: not ref.alive)
    assert all((array[1:] == i + 1).all() for i, array in enumerate(kept))  # the memory outlives the process
    del kept, array, back
    no_slab_is_left()


def test_memory_stays_flat() -> None:
    """A thousand messages of 1 MiB each way need the memory of a few."""
    numpy = pytest.importorskip("numpy")
    ins, outs = csp.Channel(), csp.Channel()
    ref = bodies.give_back.spawn(ins.receiver, outs.sender)
    value = numpy.ones(BIG, "u1")

    def exchange(n: int) -> None:
        for _ in range(n):
            ins.send(value, 20)
            assert outs.recv(20)[-1] == 1

    exchange(20)
    before = files()
    resident = _resident()
    exchange(980)
    assert files() == before and _core.slabs()[0] < 16
    assert _resident() < resident + 300 * BIG  # of 980; a sanitizer keeps up to 256 MiB of what was freed
    ref.kill()
    no_slab_is_left()


def _resident() -> int:
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


def test_what_lies_unread_is_bounded_again_when_it_is_read() -> None:
    """As many slabs as there are values at a time; what they leave when they are gone is not more than a few hundred megabytes."""
    outs = csp.Channel(float("inf"))
    ref = bodies.send_many.spawn(outs.sender, 300, BIG)
    values = [outs.recv(20) for _ in range(300)]
    assert _core.slabs()[0] == 300
    assert all(value[0] == value[-1] == i % 256 for i, value in enumerate(values))
    values.clear()
    assert 200 * BIG < _core.slabs()[1] <= 256 * BIG
    ref.kill()
    no_slab_is_left()


@pytest.mark.parametrize("nbytes", [100_000, 3 * BIG])
@pytest.mark.parametrize("way", ["out", "in"])
def test_a_kill_while_values_are_in_flight_leaves_nothing(way: str, nbytes: int) -> None:
    """No file, no memory, no message: whatever the process was doing."""
    open_before = files()
    for _ in range(5):
        ch = csp.Channel(4)
        if way == "out":
            ref = bodies.drown.spawn(ch.sender, nbytes)
            value = ch.recv(20)
        else:
            ref = bodies.swallow.spawn(ch.receiver)
            value = memoryview(bytes(nbytes))
            feeder = threading.Thread(target=_feed, args=(ch.sender, value))
            ch.close()
            feeder.start()
        csp.sleep(0.01)  # anywhere in it: no moment is better than another
        ref.kill()
        if way == "in":
            feeder.join()
        assert len(value) == nbytes and value[-1] == 0
        del ch, value
    no_slab_is_left()
    assert files() == open_before


def _feed(out: Any, value: Any) -> None:
    try:
        while True:
            out.send(value, 20)
    except csp.BrokenChannel:
        pass


def test_no_descriptor_is_free() -> None:
    """Then what is sent goes through the socket; what comes in a file cannot be taken, and the actor ends for that reason."""
    ins, outs = csp.Channel(), csp.Channel()
    ref = bodies.length_and_back.spawn(ins.receiver, outs.sender)
    ins.send(memoryview(b"."), 20)
    assert outs.recv(20) == 1 and outs.recv(20) == b"."  # what has to be imported is
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        ins.send(memoryview(bytes(BIG)), 20)
        assert outs.recv(20) == BIG and _core.slabs() == (0, 0)
        end = ref.join(20)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert end.reason == "failed" and "too many open" in str(end.remote)
    no_slab_is_left()


def test_a_crash_leaves_what_was_sent() -> None:
    """A value that the process sent before it died is its receiver's."""
    ins, outs = csp.Channel(), csp.Channel(1)
    ref = bodies.crash_with_mail.spawn(ins.receiver, outs.sender)
    ins.send(memoryview(b"x" * BIG), 20)
    assert "SIGSEGV" in str(ref.join(20).remote)
    value = outs.recv(20)
    assert bytes(value) == b"x" * BIG
    del value
    no_slab_is_left()


def test_a_lease_that_is_given_back_is_delivered_again() -> None:
    """What the first holder wrote into its copy the second one does not see; nor do two that hear of the same cause."""
    ch = csp.Channel(3)
    ref = bodies.send_one.spawn(ch, BIG)
    receiver = ch.receiver
    with pytest.raises(ZeroDivisionError), receiver.lease(20) as value:
        value[0] = 1
        raise ZeroDivisionError
    for _ in range(2):
        with receiver.lease(20) as value:
            assert len(value) == BIG and not any(value)
    for _ in range(2):
        with pytest.raises(csp.EndOfChannel) as caught:
            receiver.recv(20)
        [seen] = caught.value.cause.args
        assert len(seen) == BIG and seen[0] == 0
        seen[0] = 1
    ref.join(20)
    del value, seen, caught, receiver, ch
    no_slab_is_left()


def test_pool_of_slabs() -> None:
    """Slabs are used again when they are free, also when some never are; when there are too many free ones they are given up."""
    slabs = Slabs()
    data = memoryview(bytes(100_000))
    mapped: dict[int, Any] = {}

    def send() -> int:
        number, file = slabs.filled(data)  # type: ignore[misc]
        if file is not None:
            mapped[number] = _core.slab_of_file(file)
        return number

    held = [mapped[send()].view(100) for _ in range(20)]
    numbers = set()
    for _ in range(100):
        number = send()
        mapped[number].view(100)
        numbers.add(number)
    assert len(numbers) <= 25  # a few until the free ones have come to the front
    held += [mapped[send()].view(100) for _ in range(300)]
    held.clear()
    data = memoryview(bytes(200_000))
    held += [mapped[send()].view(100) for _ in range(400)]
    assert 200 < len(slabs.forgotten) < 320
    for number in slabs.forgotten:
        del mapped[number]
    assert len(mapped) < 400 + 320 - 200
    held.clear()
    mapped.clear()
    slabs = Slabs()
    assert _core.slabs() == (0, 0)


@pytest.mark.parametrize("n", range(1, 8))
def test_without_memory_nothing_is_lost(n: int) -> None:
    """Wherever an allocation fails, a slab is made or it is not."""
    _core.fail_allocation(n)
    try:
        made = _core.make_slab(BIG)
        slab = None if made is None else _core.slab_of_file(made[1])
        view = None if slab is None else slab.view(5)
    except MemoryError:
        view = None
    _core.fail_allocation(0)
    del view
    made = slab = None
    assert _core.slabs() == (0, 0)
