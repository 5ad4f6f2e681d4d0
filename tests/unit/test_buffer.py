"""Memory that crosses: one copy at the send, none after, and what arrives belongs to the receiver alone."""

import array
import ctypes
import gc
import pickle
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import csp
from csp import _core

crossed = _core.copy_by_crossing
pytestmark = pytest.mark.usefixtures("no_leaks")

np = pytest.importorskip("numpy")

# --- memoryviews ---


def views() -> list[memoryview]:
    block = memoryview(bytearray(range(240)))
    return [
        memoryview(b""),
        memoryview(b"abc"),
        memoryview(bytearray(b"abc")),
        block[::2],
        block[::-1],
        block[10:50:7],
        block.cast("B", (10, 24)),
        block.cast("I", (3, 4, 5)),
        block.cast("d"),
        block.cast("?"),
        block.cast("c", (2, 3, 4, 10)),
        memoryview(array.array("q", [-1, 2, 3])),
        memoryview(array.array("d", [1.5])).toreadonly(),
        memoryview(struct.pack("i", 7)).cast("i", ()),
        memoryview(np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)),
        memoryview(np.asfortranarray(np.arange(6.0).reshape(2, 3))),
        memoryview(np.zeros((0, 3))),
        memoryview(np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])),
        memoryview(np.arange(10, dtype="f4")[::-3]),
        memoryview((ctypes.c_int * 4)(1, 2, 3, 4)),
    ]


@pytest.mark.parametrize("n", range(len(views())))
def test_memoryview_keeps_format_shape_and_mode(n: int) -> None:
    """A view of any shape, strides and format arrives as a memoryview of the same format, shape and mode, in C order."""
    view = views()[n]
    assert _core.inspect_encoded(_core.encode(view))[0] != "pickle"
    for got in (crossed(view), crossed([view, {1: view}])[1][1]):
        assert type(got) is memoryview
        assert (got.format, got.itemsize, got.ndim, got.shape) == (view.format, view.itemsize, view.ndim, view.shape)
        assert got.readonly == view.readonly
        assert got.c_contiguous
        assert got.tobytes() == view.tobytes()


@given(st.binary(max_size=300), st.integers(1, 5), st.integers(-4, 4).filter(bool))
def test_any_slice_of_a_view(data: bytes, start: int, step: int) -> None:
    """What arrives are the items that the sender's view shows."""
    assert crossed(memoryview(data)[start::step]).tolist() == memoryview(data)[start::step].tolist()


def test_received_memory_is_a_copy() -> None:
    """Neither side sees what the other writes."""
    data = bytearray(b"abc")
    got = crossed(memoryview(data))
    data[0] = 0
    got[1] = 1
    assert bytes(got) == b"a\x01c"
    assert data == b"\0bc"


def test_read_only_stays_read_only() -> None:
    """There is no way to write through what arrives of a read-only view."""
    got = crossed(memoryview(b"abc"))
    with pytest.raises(TypeError):
        got[0] = 1
    with pytest.raises(BufferError, match="read-only"):
        got.obj.__buffer__(0x1)  # PyBUF_WRITABLE


def test_memory_lives_as_long_as_a_view() -> None:
    """A slice, a cast, or an array on the memory keeps it; the last one gives it back."""
    gc.collect()
    before = _core.census()["blocks"]
    got = crossed(memoryview(bytearray(b"0123456789")))
    part = got[2:4]
    on_it = np.frombuffer(got.obj, dtype="u1")
    assert _core.census()["blocks"] == before + 1
    del got
    assert bytes(part) == b"23"
    assert on_it[9] == ord("9")
    part.release()
    del on_it
    gc.collect()
    assert _core.census()["blocks"] == before


def test_exporter_serves_every_kind_of_request() -> None:
    """A consumer that wants plain bytes gets bytes, whatever the shape; one that wants a view gets it all."""
    got = crossed(memoryview(np.arange(6, dtype="i4").reshape(2, 3)))
    assert bytes(got.obj) == np.arange(6, dtype="i4").tobytes()
    assert memoryview(got.obj).shape == (2, 3)
    assert b"".join([got.obj]) == got.tobytes()
    assert int.from_bytes(crossed(memoryview(struct.pack("i", 7)).cast("i", ())).obj, "little") == 7
    with pytest.raises(TypeError):
        type(got.obj)()


def test_released_view_is_refused() -> None:
    """A released memoryview is named as the part that cannot cross."""
    view = memoryview(b"abc")
    view.release()
    with pytest.raises(csp.NotShareable, match=r"^value\['v'\]: ValueError") as caught:
        crossed({"v": view})
    assert isinstance(caught.value.__cause__, ValueError)


# --- what owns its memory ---


@pytest.mark.parametrize("value", [bytearray(), bytearray(b"abc"), bytearray(100_000), array.array("d", [1.5, 2.5]), array.array("w", "x€"), array.array("b")])
def test_owners_of_memory_arrive_as_they_are(value: Any) -> None:
    """A bytearray and an array.array arrive as such, growable and apart from the sender's."""
    got = crossed([value])[0]
    assert type(got) is type(value)
    assert got == value
    got.append(value[0] if value else (1 if not isinstance(value, array.array) else value.typecode == "w" and "x" or 1))
    assert len(got) == len(value) + 1


# --- numpy, and others that keep buffers out of band ---


@pytest.mark.parametrize(
    "array_",
    [
        np.arange(12.0).reshape(3, 4),
        np.arange(12.0).reshape(3, 4).T,
        np.arange(100)[::3],
        np.array([], dtype="f4"),
        np.array(3.5),
        np.array(["a", "bc"]),
        np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["2020-01-01"], dtype="M8[D]"),
        np.array([True, False]),
        np.array([None, "x", {"y": 1}], dtype=object),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_numpy_arrays_arrive_equal(array_: Any) -> None:
    """Any dtype, shape and order, alone and inside of other values."""
    got = crossed({"a": [array_, (array_,)]})["a"]
    assert got[0] is got[1][0]
    assert got[0].dtype == array_.dtype
    assert got[0].shape == array_.shape
    assert got[0].tolist() == array_.tolist()
    assert not np.shares_memory(got[0], array_)


def test_numpy_array_stands_on_the_received_memory() -> None:
    """An array is not copied at the receiver: its memory is the block that arrived, writable as the sender's was."""
    before = _core.census()["blocks"]
    got = crossed(np.arange(100_000))
    assert _core.census()["blocks"] == before + 1
    assert got.flags.writeable
    assert not got.flags.owndata
    got[0] = 5
    assert got[0] == 5
    frozen = np.arange(10)
    frozen.flags.writeable = False
    assert not crossed(frozen).flags.writeable
    del got


def test_large_array_is_not_in_the_pickle() -> None:
    """Its bytes cross out of band: the encoding stays small."""
    how, length, parts = _core.inspect_encoded(_core.encode({"a": np.zeros(1_000_000), "b": np.ones(5)}))
    assert how == "pickle"
    assert length < 2000
    assert parts == 2


def test_pickle_buffer_arrives_as_a_memoryview() -> None:
    """A PickleBuffer by itself stands for its bytes."""
    got = crossed([pickle.PickleBuffer(b"abc"), pickle.PickleBuffer(np.arange(4, dtype="u1"))])
    assert [type(g) for g in got] == [memoryview, memoryview]
    assert [bytes(g) for g in got] == [b"abc", b"\0\1\2\3"]
    with pytest.raises(csp.NotShareable, match=r"^value\[0\]: BufferError"):
        crossed([pickle.PickleBuffer(np.arange(8)[::2])])


class Owner:
    """Keeps its buffer out of band, as the pickle documentation shows."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: int) -> Any:
        return Owner, (pickle.PickleBuffer(self.data),)


def test_class_with_a_buffer_of_its_own() -> None:
    """A class that hands a PickleBuffer to pickle gets a view of the received memory, with the mode of the original."""
    assert bytes(crossed(Owner(b"abc")).data) == b"abc"
    assert memoryview(crossed(Owner(b"abc")).data).readonly
    assert not memoryview(crossed(Owner(bytearray(b"abc"))).data).readonly


def test_views_and_handles_beside_a_pickle_keep_their_places() -> None:
    """Buffers, views and handles in one pickled value do not get mixed up, and shared ones stay shared."""
    ch: csp.Channel[int] = csp.Channel(1)
    view = memoryview(bytearray(b"view"))
    value = [np.arange(3), ch, view, Owner(b"own"), ch.sender, view, ch, np.arange(2)]
    got = crossed(value)
    assert got[0].tolist() == [0, 1, 2]
    assert got[1] == ch
    assert got[1] is got[6]
    assert bytes(got[2]) == b"view"
    assert got[2] is got[5]
    assert bytes(got[3].data) == b"own"
    assert got[4] == ch.sender
    assert got[7].tolist() == [0, 1]
    got[4].send(7)
    assert ch.recv() == 7


# --- several receivers of one message ---


@pytest.mark.parametrize("make", [lambda: memoryview(bytearray(b"abc")), lambda: np.arange(3)])
def test_leased_memory_can_be_decoded_again(make: Any) -> None:
    """What a first delivery writes does not show in the second."""
    message = _core.encode([make()])
    first = _core.decode(message, keep=True)[0]
    first[0] = 99
    again = _core.decode(message, keep=True)[0]
    last = _core.decode(message)[0]
    assert again.tolist() == last.tolist() == make().tolist()
    last[0] = 98
    assert again.tolist() == make().tolist()


def test_clones_do_not_share_their_memory() -> None:
    """Two receivers of clones of one message each get their own."""
    message = _core.encode(memoryview(bytearray(b"abc")))
    clone = _core.clone_encoded(message)
    a, b = _core.decode(message), _core.decode(clone)
    a[0] = 0
    b[1] = 1
    assert (bytes(a), bytes(b)) == (b"\0bc", b"a\x01c")


def test_message_decoded_twice_without_keeping_is_an_error() -> None:
    """The second time there is nothing left."""
    message = _core.encode([memoryview(b"abc")])
    _core.decode(message)
    with pytest.raises(ValueError, match="decoded before"):
        _core.decode(message)


def test_memory_comes_back_to_the_pool() -> None:
    """Many large messages in turn use the same memory."""
    import resource

    view = memoryview(bytearray(4 << 20))
    for _ in range(5):
        crossed([view, bytes(1000)])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(200):
        crossed([view, bytes(1000)])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 32 * 1024
