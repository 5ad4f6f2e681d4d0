"""SharedBuffer: memory of no interpreter, with counted handles that cross, freed once and only when nobody can reach it."""

import copy
import dataclasses
import gc
import os
import pickle
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

import csp
from csp import _core
from tests.unit import buffer_bodies as bodies
from tests.unit import owner_bodies

pytestmark = pytest.mark.usefixtures("no_leaks")

MiB = 1 << 20


@dataclasses.dataclass
class Holder:
    buffer: Any


def crossed(value: Any) -> Any:
    return _core.copy_by_crossing(value)


def buffers() -> int:
    gc.collect()
    return csp.debug.census()["buffers"]


@pytest.fixture(params=["interpreter", "thread"])
def spawn(request):
    return lambda *args: csp.spawn(*args, isolation=request.param)


KINDS: dict[str, dict[str, Any]] = {"heap": {"mapped": False}, "file": {"mapped": True}, "pages": {"huge": True}}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 4096, 5000, 3 * MiB])
def test_zeroed_and_writable(kind, n):
    """Zero to begin with, also where warm memory is used again, and every byte is there to be written."""
    for _ in range(2):
        buffer = csp.SharedBuffer(n, **KINDS[kind])
        assert (buffer.nbytes, len(buffer), buffer.readonly, buffer.closed) == (n, n, False, False)
        assert bytes(buffer) == bytes(n)
        buffer[:] = b"\xff" * n
        assert bytes(buffer) == b"\xff" * n


def test_backing():
    """Small ones lie on the heap, large ones in a memory file, and huge=True asks for large pages."""
    assert csp.SharedBuffer(100).statistics().backing == "heap"
    assert csp.SharedBuffer(2 * MiB).statistics().backing in ("file", "hugetlb")
    assert csp.SharedBuffer(2 * MiB, mapped=False).statistics().backing == "heap"
    assert csp.SharedBuffer(2 * MiB, huge=True).statistics().backing in ("pages", "hugetlb")


def test_memory_is_one(spawn):
    """What one interpreter writes another reads, wherever the handle was made."""
    buffer = csp.SharedBuffer(1000)
    spawn(bodies.fill, buffer, 7).result(10)
    assert bytes(buffer) == b"\7" * 1000


def test_outlives_its_maker(spawn):
    """The memory is nobody's: the actor that made it ends, or is killed, and nothing happens to it."""
    ch = csp.Channel(2)
    spawn(bodies.make, ch.sender, 5000).join(10)
    ref = spawn(bodies.make_and_wait, ch.sender, 5000)
    made = [ch.recv(10), ch.recv(10)]
    assert ref.kill().reason == "killed"
    assert [bytes(buffer) for buffer in made] == [b"x" * 5000] * 2


def test_as_a_result(spawn):
    """A result may stand on it, unlike on what share() lends."""
    assert bytes(spawn(bodies.make_as_result, 100).result(10)["rows"]) == bytes(range(100))


def test_sits_anywhere_in_a_value():
    """In containers, in a dataclass, and twice as the same object."""
    buffer = csp.SharedBuffer(3)
    back = crossed({"a": [buffer, Holder(buffer)]})
    assert back["a"][0] is back["a"][1].buffer
    buffer[0] = 5
    assert back["a"][0][0] == 5


def test_an_actor_in_the_middle():
    """What was received can be sent on, and outlives whoever passed it on."""
    ins, outs = csp.Channel(1), csp.Channel(1)
    ref = csp.spawn(bodies.pass_on, ins.receiver, outs.sender)
    buffer = csp.SharedBuffer(10)
    ins.send(buffer[2:])
    part = outs.recv(10)
    ref.stop()
    part[0] = 9
    assert bytes(buffer) == b"\0\0\t" + bytes(7)


# --- parts ---


def test_slices_are_handles():
    """A slice is a handle to a part, a slice of it to a part of that; indices are as a memoryview's."""
    buffer = csp.SharedBuffer(10)
    buffer[:] = bytes(range(10))
    part = crossed(buffer[2:8][1:-1])
    assert bytes(part) == bytes([3, 4, 5, 6])
    assert (part[0], part[-1], len(part[100:])) == (3, 6, 0)
    part[0] = 33
    part[1:3] = b"ab"
    assert bytes(buffer) == bytes([0, 1, 2, 33, 97, 98, 6, 7, 8, 9])
    with pytest.raises(IndexError):
        part[4]
    for key in (..., None, "a", (0,)):
        with pytest.raises(TypeError, match="an int or a slice"):
            part[key]
        with pytest.raises(TypeError, match="an int or a slice"):
            part[key] = 0
    with pytest.raises(ValueError, match="gaps"):
        part[::2]
    with pytest.raises(ValueError):
        part[0] = 256
    with pytest.raises(ValueError):
        part[:] = b"too long"
    with pytest.raises(TypeError, match="deleted"):
        del part[0]


def test_a_part_keeps_the_whole():
    """The memory is one: it goes with the last handle to any of it."""
    before = buffers()
    part = csp.SharedBuffer(100)[90:]
    assert buffers() == before + 1
    part[0] = 1
    del part
    assert buffers() == before


def test_read_only(spawn):
    """Through a read-only handle nobody writes, here or elsewhere; the memory is the same."""
    buffer = csp.SharedBuffer(4)
    reader = buffer.toreadonly()
    assert reader.readonly and memoryview(reader).readonly and reader[1:].readonly and reader.clone().readonly
    assert "read-only" in spawn(bodies.try_to_write, reader).result(10)
    assert spawn(bodies.try_to_write, buffer).result(10) == "written"
    assert reader[0] == 1


def test_equality_is_of_memory():
    """Equal and of one hash if they are about the same bytes; contents do not count."""
    one, other = csp.SharedBuffer(10), csp.SharedBuffer(10)
    assert one != other and one == one.clone() == crossed(one) == one[:] == one.toreadonly()
    assert one[2:] == one[1:][1:] != one and one != bytes(one)
    assert len({one, one.clone(), one[:], one[1:]}) == 2


# --- lifetimes ---


def test_handles_are_counted_everywhere():
    """Over all interpreters and messages in flight; exports too."""
    buffer, ch = csp.SharedBuffer(10), csp.Channel(1)
    ch.send([buffer, buffer[1:]])
    with memoryview(buffer):
        assert buffer.statistics()[:3] == (10, 3, 1)
    parts = ch.recv()
    assert buffer.statistics()[:3] == (10, 3, 0)
    del parts
    assert buffer.statistics()[:3] == (10, 1, 0)
    ref = csp.spawn(bodies.hold_and_wait, buffer, ch.sender)
    ch.recv(10)
    assert buffer.statistics()[:3] == (10, 2, 1)
    ref.kill()
    csp.testing.wait_until(lambda: buffer.statistics()[:3] == (10, 1, 0))


def test_close():
    """Idempotent, refused while a buffer is in use, and the end of this handle only."""
    before = buffers()
    buffer = csp.SharedBuffer(3)
    other, window = buffer.clone(), memoryview(buffer)
    for give_up in (buffer.close, buffer.release):
        with pytest.raises(BufferError, match="1 exported buffer"):
            give_up()
    window.release()
    with buffer as same:
        assert same is buffer
    buffer.close()
    assert buffer.closed and not other.closed and "closed" in repr(buffer)
    uses = (lambda: memoryview(buffer), lambda: buffer[0], lambda: buffer[1:], lambda: len(buffer), buffer.clone,
            buffer.toreadonly, buffer.to_numpy, buffer.__enter__, lambda: crossed([Holder(buffer)]), lambda: crossed(buffer))  # fmt: skip
    for use in uses:
        with pytest.raises(csp.ClosedHandle) as caught:
            use()
        assert caught.value.channel is buffer
    other[0] = 1
    other.close()
    assert buffers() == before + 1
    buffer = same = uses = use = caught = give_up = None
    assert buffers() == before
    assert other.statistics() == (0, 0, 0, None)


def test_an_export_keeps_the_memory():
    """The handle may go before the buffers taken from it."""
    before = buffers()
    window = memoryview(csp.SharedBuffer(100))
    gc.collect()
    window[:] = b"y" * 100
    assert buffers() == before + 1
    window.release()
    assert buffers() == before


def test_an_export_outlives_the_handle_of_a_killed_actor():
    """An actor that is a thread here is killed: its handle goes dead, and the memory stays while a view of it is left."""
    before, ch = buffers(), csp.Channel(1)
    buffer = csp.SharedBuffer(50)
    ref = csp.spawn(bodies.hold_and_wait, buffer, ch.sender, isolation="thread")
    ch.recv(10)
    ref.kill()
    ref.join(10)
    handle, window = bodies.kept
    bodies.kept = None
    assert handle.closed and buffer.statistics()[:3] == (50, 1, 1)
    with pytest.raises(csp.ClosedHandle):
        handle[0]
    buffer.close()
    window[:] = b"z" * 50
    assert buffers() == before + 1
    window.release()
    del handle
    assert buffers() == before


def test_close_without_an_export_frees():
    """Without waiting for the object: an index or a slice is no export."""
    before = buffers()
    buffer = csp.SharedBuffer(100)
    buffer[0] = buffer[1] + 1
    buffer[1:3][:] = b"ab"
    buffer.close()
    assert buffers() == before


def test_numpy_without_an_export():
    """numpy.ndarray(buffer=...) gives the buffer back at once and uses the memory as long as it has the object: so long it is kept."""
    np = pytest.importorskip("numpy")
    before = buffers()
    buffer = csp.SharedBuffer(2 * MiB)
    array = np.ndarray((2 * MiB,), "u1", buffer=buffer)
    buffer.close()
    del buffer
    array[:] = 3
    assert buffers() == before + 1 and csp.SharedBuffer(2 * MiB)[5] == 0 and array.sum() == 6 * MiB
    del array
    assert buffers() == before


def test_a_quarantined_actor_leaves_the_memory_to_its_c_code(spawn):
    """Its handle is given up at once; what it writes when it comes back still finds the memory."""
    before, up, (source, sink) = buffers(), csp.Channel(1), os.pipe()
    buffer = csp.SharedBuffer(50)
    ref = spawn(owner_bodies.stuck_in_memory, buffer, source, up.sender)
    assert up.recv(10) == "up" and ref.kill().reason == "killed"
    assert csp.debug.zombies() == [ref] and buffer.statistics()[:3] == (50, 1, 1)
    witness = buffer[:5]
    buffer.close()
    os.write(sink, b"here I am")
    csp.testing.wait_until(lambda: csp.debug.zombies() == [], 20)
    assert bytes(witness) == b"here " and witness.statistics()[:3] == (50, 1, 0)
    del witness
    csp.testing.wait_until(lambda: buffers() == before)
    os.close(source)
    os.close(sink)


def test_unreceived_is_freed():
    """A message that nobody takes holds the memory as long as it lives."""
    before, ch = buffers(), csp.Channel(4)
    ch.send(csp.SharedBuffer(8))
    assert buffers() == before + 1
    ch.close()
    del ch
    assert buffers() == before


def test_an_interpreter_does_not_keep_it():
    """A handle in a global of an actor's module goes with the interpreter."""
    before = buffers()
    assert csp.spawn(bodies.keep, csp.SharedBuffer(10)).result(10) == 10
    csp.testing.wait_until(lambda: buffers() == before)


def test_a_lease_that_gives_it_back():
    """Each delivery has a handle of its own, to the same memory."""
    ch = csp.Channel(1)
    ch.send(csp.SharedBuffer(4))
    with pytest.raises(RuntimeError), ch.lease() as first:
        first[0] = 1
        raise RuntimeError
    assert ch.recv()[0] == 1


def test_weak_references():
    """A handle goes when it is forgotten."""
    buffer = csp.SharedBuffer(1)
    gone = weakref.ref(buffer)
    del buffer
    assert gone() is None


@pytest.mark.parametrize("make_copy", [copy.copy, copy.deepcopy, pickle.dumps])
def test_neither_pickled_nor_copied(make_copy):
    """It crosses inside a value that is sent, and in no other way."""
    with pytest.raises(csp.NotShareable, match="crosses only"):
        make_copy(csp.SharedBuffer(1))


def test_bad_arguments():
    """Refused before anything is made."""
    before = buffers()
    for error, args, options in (
        (ValueError, (-1,), {}), (TypeError, ("1",), {}), (TypeError, (1.5,), {}), (TypeError, (), {}),
        (ValueError, (1,), {"huge": True, "mapped": False}), (MemoryError, (1 << 50,), {}), (MemoryError, (1 << 50,), {"mapped": False}),
        (MemoryError, (sys.maxsize,), {}), (MemoryError, (sys.maxsize,), {"huge": True}),
    ):  # fmt: skip
        with pytest.raises(error):
            csp.SharedBuffer(*args, **options)
    assert buffers() == before


def test_failed_allocations():
    """Whichever allocation of a buffer, a slice or a crossing fails: MemoryError, and nothing is lost."""
    kept = csp.SharedBuffer(5)
    for act in (lambda: csp.SharedBuffer(10), lambda: csp.SharedBuffer(10, mapped=True), lambda: kept[1:], lambda: crossed([kept])):
        for n in range(1, 50):
            _core.fail_allocation(n)
            try:
                act()
            except MemoryError:
                continue
            finally:
                left = _core.fail_allocation(0)
            if left > 0:
                break  # else what failed was not needed: a note of where the memory was made, while leaks are looked for
        assert left > 0 and n > 1
    assert kept.statistics()[:3] == (5, 1, 0)


# --- the pool ---


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc, which Linux has")
def test_files_are_bounded():
    """A freed buffer's pages are kept for the next one, and so is its file, but few of them."""
    for _ in range(3):
        many = [csp.SharedBuffer(MiB, mapped=True, zeroed=False) for _ in range(60)]
        del many
    held = len(os.listdir("/proc/self/fd"))
    for _ in range(300):
        csp.SharedBuffer(MiB + 4096 * (_ % 7), zeroed=False)
    assert len(os.listdir("/proc/self/fd")) <= held + 1


@pytest.mark.skipif(sys.platform != "linux", reason="limits open files")
def test_without_a_file_pages_do():
    """Where no descriptor is free a buffer is made none the less."""
    code = (
        "import csp, resource\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))\n"
        "many = [csp.SharedBuffer(1 << 20) for _ in range(40)]\n"
        "for i, buffer in enumerate(many): buffer[-1] = i\n"
        "print(sorted({b.statistics().backing for b in many} - {'hugetlb'}), sum(b[-1] for b in many))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"['file', 'pages'] {sum(range(40))}\n", "")


# --- fork, exit ---


@pytest.mark.skipif(not hasattr(os, "fork"), reason="is about fork")
def test_forked_child():
    """Handles and their views are the parent's: ForkedError, what the child frees and makes is its own."""
    code = (
        "import csp, os\n"
        "for options in ({}, {'mapped': True}):\n"
        "    buffer, spare = csp.SharedBuffer(5000, **options), csp.SharedBuffer(5000, **options)\n"
        "    buffer[:] = b'p' * 5000\n"
        "    window = memoryview(csp.SharedBuffer(10))\n"
        "    del spare\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        for use in (lambda: buffer[0], lambda: memoryview(buffer), lambda: len(buffer), buffer.close, buffer.clone, buffer.statistics,\n"
        "                    lambda: csp.Channel(1).send(buffer)):\n"
        "            try: use()\n"
        "            except csp.ForkedError: pass\n"
        "            else: os._exit(1)\n"
        "        repr(buffer), hash(buffer), buffer == buffer\n"
        "        window.release()\n"
        "        del buffer, window\n"
        "        own = csp.SharedBuffer(5000, **options)\n"
        "        own[:] = b'c' * 5000\n"
        "        os._exit(0 if bytes(own) == b'c' * 5000 else 2)\n"
        "    print(os.waitpid(child, 0)[1], bytes(buffer) == b'p' * 5000, bytes(csp.SharedBuffer(5000, **options)) == bytes(5000))\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 True True\n" * 2, "")


def test_process_exits_with_handles_out():
    """Handles and views in globals, of main and of an actor, neither delay the end of the process nor change its status."""
    code = (
        "import csp\nfrom tests.unit import buffer_bodies as b\n"
        "buffer, ch = csp.SharedBuffer(10), csp.Channel(1)\nref = csp.spawn(b.hold_and_wait, buffer, ch.sender)\nch.recv(10)\n"
        "window = memoryview(buffer)\nprint(sum(window))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_to_numpy():
    """An array on the memory itself, of any dtype and shape that fits, read-only if the handle is."""
    np = pytest.importorskip("numpy")
    buffer = csp.SharedBuffer(80)
    rows = buffer.to_numpy("f8", (2, 5))
    rows[1, 4] = 2.5
    assert buffer[72:].to_numpy(np.float64)[0] == 2.5
    assert buffer.to_numpy().dtype == np.uint8 and buffer.to_numpy(dtype="i4").shape == (20,)
    assert buffer.to_numpy("f8", 3).shape == (3,) and buffer.to_numpy("f8", (0, 4)).shape == (0, 4)
    assert not buffer.toreadonly().to_numpy("f8").flags.writeable
    with pytest.raises(BufferError):
        buffer.close()
    assert buffer.to_numpy("f8", (-1, 5)).shape == (2, 5)
    for error, args in ((ValueError, ("V3",)), (ValueError, ("f8", (3, 5))), (TypeError, ("no such type",)), (ValueError, ("O",)),
                        (TypeError, ("f8", "ab")), (TypeError, ("f8", 1.5))):  # fmt: skip
        with pytest.raises(error):
            buffer.to_numpy(*args)
    del rows
    buffer.close()
