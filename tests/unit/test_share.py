"""share(): the memory of one interpreter, used in place by others, and given back to its owner, once."""

import array
import ctypes
import dataclasses
import gc
import mmap
import random
import subprocess
import sys
import weakref
from typing import Any

import pytest

import csp
from csp import _core
from tests.unit import share_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks")


@dataclasses.dataclass
class Holder:
    view: Any


def crossed(value: Any) -> Any:
    return _core.copy_by_crossing(value)


@pytest.fixture(params=["interpreter", "thread"])
def spawn(request):
    return lambda *args: csp.spawn(*args, isolation=request.param)


EXPORTERS = {
    "bytes": lambda: b"abcdef",
    "empty": lambda: b"",
    "bytearray": lambda: bytearray(b"abcdef"),
    "array": lambda: array.array("d", [1.5, -2.0]),
    "slice": lambda: memoryview(bytes(range(60)))[3::7],
    "reversed": lambda: memoryview(bytes(range(60)))[::-1],
    "cast": lambda: memoryview(bytes(range(48))).cast("I", (3, 4)),
    "scalar": lambda: ctypes.c_int32(7),
    "ctypes": lambda: (ctypes.c_uint16 * 3 * 2)((1, 2, 3), (4, 5, 6)),
    "mmap": lambda: mmap.mmap(-1, 4096),
}


@pytest.mark.parametrize("name", EXPORTERS)
def test_shape_strides_and_format_are_kept(name, spawn):
    """Whatever exports a buffer is seen elsewhere as it is here, read-only."""
    view = memoryview(EXPORTERS[name]())
    kind, *rest = spawn(bodies.describe, csp.share(view)).result(10)
    assert kind is csp.SharedView
    assert rest == [view.format, view.shape, view.strides, True, view.tobytes()]


def test_memory_is_one(spawn):
    """What one writes the other reads: nothing was copied."""
    data = bytearray(1000)
    spawn(bodies.fill, csp.share(data, writable=True), 7).result(10)
    assert data == b"\7" * 1000
    view = csp.share(data)
    data[0] = 8
    assert spawn(bodies.total, view).result(10) == 7 * 999 + 8


def test_read_only_unless_asked():
    """The receiver writes only with writable=True, and nobody makes a read-only view writable."""
    data = bytearray(4)
    view = crossed(csp.share(data))
    assert view.readonly and memoryview(view).readonly
    with pytest.raises(BufferError, match="read-only"):
        csp.share(view, writable=True)
    with pytest.raises(BufferError):
        csp.share(b"abc", writable=True)
    assert crossed(csp.share(csp.share(data, writable=True))).readonly


def test_sits_anywhere_in_a_value():
    """In containers, in a dataclass, and twice as the same object."""
    view = csp.share(b"abc")
    back = crossed({"a": [view, Holder(view)]})
    assert bytes(memoryview(back["a"][0])) == b"abc"
    assert back["a"][0] is back["a"][1].view


def test_an_export_stands_in_the_way_of_a_resize():
    """BufferError while any view is left, and not a moment longer."""
    data = bytearray(10)
    view = csp.share(data)
    away = crossed(view)
    with pytest.raises(BufferError):
        data.append(1)
    view.release()
    with pytest.raises(BufferError):
        data.append(1)
    away.release()
    data.append(1)


def test_release():
    """Idempotent, refused while a buffer is in use, and the end of the view's use."""
    view = csp.share(b"abc")
    window = memoryview(view)
    with pytest.raises(BufferError, match="1 exported buffer"):
        view.release()
    window.release()
    with view as same:
        assert same is view
    view.release()
    assert "released" in repr(view)
    for use in (lambda: memoryview(view), lambda: view.shape, lambda: len(view), lambda: view.__enter__(), lambda: csp.share(view)):
        with pytest.raises(ValueError, match="released"):
            use()
    with pytest.raises(csp.NotShareable, match="released"):
        crossed([view])


def test_numpy_without_an_export():
    """numpy.ndarray(buffer=...) gives the buffer back at once and uses the memory as long as it has the view: so long it is kept."""
    np = pytest.importorskip("numpy")
    data = bytearray(100_000)
    view = crossed(csp.share(data, writable=True))
    array_ = np.ndarray((100_000,), "u1", buffer=view)
    view.release()
    with pytest.raises(BufferError):
        data.clear()
    del view
    array_[:] = 3
    with pytest.raises(BufferError):
        data.clear()
    del array_
    data.clear()


def test_attributes():
    """As a memoryview has them."""
    view = csp.share(memoryview(bytes(48)).cast("I", (3, 4)))
    assert (view.shape, view.strides, view.format, view.itemsize, view.ndim, view.nbytes, len(view)) == ((3, 4), (16, 4), "I", 4, 2, 48, 3)
    assert repr(view) == "<csp.SharedView format='I' shape=(3, 4) read-only>"


def test_what_exports_no_buffer_is_refused():
    """TypeError, as of memoryview()."""
    with pytest.raises(TypeError):
        csp.share("text")


def test_pointers_are_refused():
    """An item that is a Python object means nothing elsewhere."""
    with pytest.raises(BufferError, match="pointers"):
        csp.share((ctypes.py_object * 2)())


class Hostile:
    """An exporter in Python: counts its releases, and fails in the last."""

    def __init__(self):
        self.released = 0

    def __buffer__(self, flags):
        return memoryview(b"hostile")

    def __release_buffer__(self, view):
        self.released += 1


def test_exporter_in_python_is_released_once():
    """Its own code runs at the release, in the owner."""
    exporter = Hostile()
    view = csp.share(exporter)
    away = crossed([view, view])
    del view
    assert exporter.released == 0
    del away
    csp.sleep(0)
    assert exporter.released == 1


def test_unreceived_memory_is_given_back():
    """A message that nobody takes holds it as long as the message lives."""
    data = bytearray(8)
    ch = csp.Channel(4)
    ch.send(csp.share(data))
    with pytest.raises(BufferError):
        data.append(1)
    ch.close()
    del ch
    gc.collect()
    csp.sleep(0)
    data.append(1)


def test_owner_takes_it_back_by_itself(spawn):
    """Here without any operation of csp's: a pending call does it."""
    data = Exporter(b"abc")
    gone = weakref.ref(data)
    assert spawn(bodies.total, csp.share(data)).result(10) == sum(b"abc")
    del data
    gc.collect()
    while gone() is not None:
        pass


class Exporter(bytearray):
    """A bytearray that weak references can see go."""


def test_view_outlives_its_owner():
    """The actor's end is announced at once; its memory lives as long as the view."""
    ch = csp.Channel(1)
    ref = csp.spawn(bodies.lend, ch.sender, 1000)
    view = ch.recv(10)
    assert ref.join(10).reason == "normal"
    window = memoryview(view)
    window[0] = 5
    assert sum(window) == sum(range(1000)) + 5
    window.release()


def test_view_outlives_a_killed_owner():
    """Likewise."""
    ch = csp.Channel(1)
    ref = csp.spawn(bodies.lend_and_wait, ch.sender, 1 << 20)
    view = ch.recv(10)
    ref.kill()
    assert ref.join(10).reason == "killed"
    assert bytes(memoryview(view)) == b"x" * (1 << 20)


def test_result_on_memory_of_the_actor():
    """Refused where the interpreter ends with the actor, which the result would keep alive; the message says what to do."""
    view = csp.spawn(bodies.lend_as_result, 200, isolation="thread").result(10)["rows"]
    assert bytes(memoryview(view)) == bytes(range(200))
    with pytest.raises(csp.ActorFailed, match="send it through a channel"):
        csp.spawn(bodies.lend_as_result, 200).result(10)


def test_own_views_do_not_outlive_their_interpreter():
    """What an interpreter holds of its own memory does not delay its end: no_leaks would see it."""
    assert csp.spawn(bodies.keep_one, 100).result(10) == 100


def test_a_third_interpreter():
    """A view that was received can be sent on, and outlives the one in the middle."""
    ins, outs = csp.Channel(1), csp.Channel(1)
    ref = csp.spawn(bodies.pass_on, ins.receiver, outs.sender)
    data = bytearray(b"abc")
    ins.send(csp.share(data, writable=True))
    view = outs.recv(10)
    ref.stop()
    memoryview(view)[0] = ord("z")
    assert data == b"zbc"
    ins.close()
    outs.close()


@pytest.mark.parametrize("body", [bodies.lend_until_it_is_back, bodies.host_of_a_lender])
def test_an_actor_gets_its_memory_back(body):
    """The owner resizes as soon as it has heard that the view is gone, also as a thread of another actor's interpreter."""
    out, gate = csp.Channel(1), csp.Channel()
    ref = csp.spawn(body, out.sender, gate.receiver)
    view = out.recv(10)
    gate.send(None, 10)
    csp.testing.wait_parked(gate, receivers=1)
    view.release()
    gate.send(None, 10)
    assert ref.result(10) is True


def test_process_exits_with_views_out():
    """A view in a global of the main program does not delay the end of the process, nor change its status."""
    code = (
        "import csp\nfrom tests.unit import share_bodies as b\n"
        "ch = csp.Channel(1)\nref = csp.spawn(b.lend, ch.sender, 10)\nview = ch.recv(10)\nref.join(10)\nprint(sum(memoryview(view)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "45\n", "")


def test_random_lifetimes(seed):
    """Owners that end or are killed, views that are passed on, dropped, released in any order: all is given back, once."""
    print("seed", seed)
    rng = random.Random(seed)
    held: list[Any] = []
    live: list[Any] = []
    for _ in range(12):
        ch = csp.Channel(100)
        ref = csp.spawn(rng.choice([bodies.lend, bodies.lend_and_wait]), ch.sender, 500)
        view = ch.recv(10)
        for _ in range(80):
            match rng.randrange(5):
                case 0:
                    held.append(csp.share(view))
                case 1:
                    held.append(memoryview(crossed([view, view])[0]))
                case 2:
                    ch.send(view)
                case 3 if held:
                    held.pop(rng.randrange(len(held)))
                case _ if held:
                    assert len(bytes(memoryview(rng.choice(held)))) in (500, 4000)
        live.append((ch, ref))
        if rng.random() < 0.5:
            ref.kill()
        if rng.random() < 0.5:
            del view
    view = None
    rng.shuffle(held)
    while held:
        held.pop()
    for ch, ref in live:
        ref.kill()
        ref.join(10)
        ch.close()


def test_numpy_sees_the_same_array():
    """Any dtype, order, stride and dimension that numpy exports; asarray copies nothing."""
    np = pytest.importorskip("numpy")
    base = np.arange(120.0).reshape(4, 5, 6)
    record = np.zeros(3, dtype=[("Object", "i4"), ("b", "f8", (2,))])
    for array_ in (base, base.T, base[::-1, ::2, 1:4], np.asfortranarray(base), record, np.array(3), base[:0], base.astype("c16"), base > 7):
        back = np.asarray(crossed(csp.share(array_)))
        assert back.dtype == array_.dtype and back.shape == array_.shape and back.strides == array_.strides
        assert np.array_equal(back, array_)
        assert back.ctypes.data == array_.ctypes.data
    with pytest.raises(BufferError, match="pointers"):
        csp.share(np.array([None]))
