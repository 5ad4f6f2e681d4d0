"""Arrays as values: any dtype and layout, one copy at the send and none after; and other libraries' memory."""

import dataclasses
import datetime
from typing import Any

import pytest

import csp
from csp import _core
from tests.unit import array_bodies as bodies

np = pytest.importorskip("numpy", reason="its arrays are the subject")

crossed = _core.copy_by_crossing
pytestmark = pytest.mark.usefixtures("no_leaks")


@dataclasses.dataclass
class Frame:
    name: str
    pixels: Any


GRID = np.arange(24.0).reshape(2, 3, 4)
ONE_COPY = {
    "C order": np.arange(12.0).reshape(3, 4),
    "Fortran order": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "axes exchanged": GRID.transpose(2, 0, 1),
    "every second": np.arange(24)[::2],
    "bytes, every third": np.arange(100, dtype="u1")[::3],
    "reversed": np.arange(10, dtype="f4")[::-1],
    "reversed twice": np.arange(12, dtype="i2").reshape(3, 4)[::-1, ::-2],
    "a column": np.arange(12.0).reshape(3, 4)[:, 1],
    "a window": np.arange(60).reshape(3, 4, 5)[1:, ::2, 1:4],
    "broadcast": np.broadcast_to(np.arange(3), (4, 3)),
    "empty": np.zeros((0, 3)),
    "no dimension": np.array(5.5),
    "records": np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "i4"), ("b", "f8")]),
    "records, every second": np.zeros(6, dtype=[("a", "i1"), ("b", "f8")])[::2],
    "a field": np.zeros(6, dtype=[("a", "i1"), ("b", "f8")])["b"],
    "big-endian": np.arange(4, dtype=">i4"),
    "complex, reversed": (np.arange(4) * 1j)[::-1],
    "half": np.arange(4, dtype="f2"),
    "long double, every second": np.arange(9, dtype="g")[::2],
    "text": np.array(["one", "three"]),
    "text, reversed": np.array(["one", "three"])[::-1],
    "bytes": np.array([b"ab", b"c"]),
    "bools": np.array([True, False]),
    "dates": np.array(["2026-11-25", "NaT"], dtype="M8[D]"),
    "times, every second": np.arange(9, dtype="m8[ms]")[::2],
}


def parts(value: Any) -> tuple[int, int]:
    """Bytes of the encoding, and pieces of memory beside it."""
    _, length, beside = _core.inspect_encoded(_core.encode(value))
    return length, beside


@pytest.mark.parametrize("name", ONE_COPY)
def test_an_array_is_copied_once(name: str) -> None:
    """Its memory travels beside the encoding, and the received array stands on it, whatever dtype and layout it has."""
    array = ONE_COPY[name]
    assert parts(array)[1] == 1
    got = crossed({"a": [array], "b": array})["a"][0]
    assert type(got) is np.ndarray
    assert (got.dtype, got.shape) == (array.dtype, array.shape)
    assert got.tolist() == array.tolist() or str(got) == str(array)  # NaT is not equal to itself
    assert not got.flags.owndata and not np.shares_memory(got, array)
    assert got.flags.writeable == array.flags.writeable
    if got.flags.writeable and got.size:
        got[...] = got[...]


def test_layout_stays_what_it_was() -> None:
    """The order of the axes in memory is kept: what ran fast along the array still does."""
    for array in (np.asfortranarray(GRID), GRID.transpose(1, 0, 2), GRID.transpose(2, 1, 0)[::-1]):
        order = np.argsort([-abs(stride) for stride in array.strides])
        assert (np.argsort([-abs(stride) for stride in crossed(array).strides]) == order).all()


def test_nested_and_shared_arrays() -> None:
    """In dicts, dataclasses and tuples, and the same array twice is one array."""
    array = np.arange(1000)[::2]
    got = crossed([Frame("a", array), {"again": array}, (array,)])
    assert got[0].pixels is got[1]["again"] is got[2][0]
    assert got[0].pixels.tolist() == array.tolist()


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, "a", None, datetime.date(2026, 1, 1)], dtype=object),
        np.array([(1, [2])], dtype=[("a", "i4"), ("b", "O")]),
        np.array([[1], {}], dtype=object)[::-1],
    ],
)
def test_arrays_of_objects_go_by_pickle(array: Any) -> None:
    """Their items are values of their own."""
    got = crossed(array)
    assert got.dtype == array.dtype
    assert got.tolist() == array.tolist()


@pytest.mark.parametrize("array", [np.ma.array([1, 2, 3], mask=[0, 1, 0]), np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])])
def test_subclasses_stay_what_they_are(array: Any) -> None:
    """They say themselves how they are pickled."""
    got = crossed(array)
    assert type(got) is type(array)
    assert got.tolist() == array.tolist()


def test_a_received_array_keeps_its_memory() -> None:
    """A slice of it is enough; with the last one the block goes back."""
    before = _core.census()["blocks"]
    part = crossed(np.arange(100_000)[::-1])[5:9]
    assert _core.census()["blocks"] == before + 1
    assert part.tolist() == [99994, 99993, 99992, 99991]
    del part
    assert _core.census()["blocks"] == before


# --- where numpy does not load ---


@pytest.mark.parametrize("make", [lambda: np.arange(4), lambda: np.arange(9)[::2], lambda: {"a": (np.zeros(2), "b")}])
def test_an_interpreter_without_numpy_hears_what_to_do(make: Any) -> None:
    """DecodeError names the module and the ways out, every time; the channel goes on."""
    channel: csp.Channel[Any] = csp.Channel(3)
    for value in (make(), make(), "next"):
        channel.send(value)
    refs = [csp.spawn(bodies.receive, channel.receiver)]
    text, cause = refs[0].result(20)
    assert "numpy" in text and "does not load in a subinterpreter" in text
    assert "isolation='thread' or 'process'" in text and "csp.share" in text
    assert len(text) < 400
    assert cause == "ImportError"
    assert csp.spawn(bodies.receive, channel.receiver, isolation="thread").result(20) is not None
    assert csp.spawn(bodies.receive, channel.receiver).result(20) == "next"


def test_share_arrives_typed_where_numpy_does_not_load() -> None:
    """The fix that the error names: a view with format, shape and strides."""
    array = np.arange(12, dtype="i4").reshape(3, 4)[:, ::2]
    ref = csp.spawn(bodies.describe, csp.share(array))
    assert ref.result(10) == ("SharedView", "i", (3, 2), (16, 8), array.tobytes())


# --- other libraries ---


class SpeaksDLPack:
    """What a tensor library gives: no buffer, only DLPack."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


class OnAnotherDevice(SpeaksDLPack):
    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("its memory is on another device")


def test_share_takes_what_speaks_dlpack() -> None:
    """The memory is the object's own, typed, and writable if it is."""
    array = np.arange(6, dtype="f4").reshape(2, 3)
    view = csp.share(SpeaksDLPack(array), writable=True)
    assert (view.format, view.shape, view.strides) == ("f", (2, 3), (12, 4))
    memoryview(crossed(view)).cast("B")[:4] = b"\0\0\x80?"
    assert array[0, 0] == 1.0


def test_share_refuses_what_has_no_memory_here() -> None:
    """Memory of a device is the library's to bring; anything else is a TypeError."""
    with pytest.raises(BufferError, match="another device"):
        csp.share(OnAnotherDevice(np.arange(3)))
    with pytest.raises(TypeError):
        csp.share(object())


def test_pyarrow() -> None:
    """A buffer and an array are shared in place; arrays and tables are values, with their memory beside the pickle."""
    pa = pytest.importorskip("pyarrow", reason="its memory is the subject")
    numbers = pa.array(range(1000), type=pa.int64())
    buffer = numbers.buffers()[1]
    assert memoryview(csp.share(buffer)).nbytes == buffer.size
    view = csp.share(numbers)
    assert view.readonly and (view.format, view.shape) == ("l", (1000,))
    assert np.asarray(crossed(view)).ctypes.data == buffer.address
    assert csp.spawn(bodies.describe, view).result(10)[-1] == np.arange(1000).tobytes()
    for value in (numbers, pa.table({"a": numbers, "b": [str(n) for n in range(1000)]}), buffer):
        assert parts(value)[1] >= 1
        assert crossed(value) == value
    before = _core.census()["blocks"]
    got = crossed(numbers)
    assert _core.census()["blocks"] == before + 1
    assert got.sum().as_py() == 499_500
    del got


def test_polars() -> None:
    """Frames are values; a series without nulls is shared through its array."""
    pl = pytest.importorskip("polars", reason="its memory is the subject")
    frame = pl.DataFrame({"a": range(100), "b": [str(n) for n in range(100)]})
    assert crossed(frame).equals(frame)
    view = csp.share(frame["a"].to_numpy())
    assert csp.spawn(bodies.describe, view).result(10)[-1] == np.arange(100).tobytes()
