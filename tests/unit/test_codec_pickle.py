"""What crosses by pickle, how a failure to rebuild it is told, and who pays for a message that never arrives."""

import collections
import copyreg
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import gc
import ipaddress
import operator
import os
import pathlib
import re
import subprocess
import sys
import uuid
import zoneinfo
from typing import Any, NamedTuple

import attrs
import pytest

import csp
from csp import _core

crossed = _core.copy_by_crossing


class Color(enum.Enum):
    RED = 1
    BLUE = "b"


class Flags(enum.Flag):
    A = enum.auto()
    B = enum.auto()


@dataclasses.dataclass
class Point:
    x: float
    y: float
    tags: list[Any] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True, frozen=True)
class Frozen:
    a: int
    b: Any


@attrs.define
class Defined:
    a: int
    b: Any = None


class Named(NamedTuple):
    first: int
    second: Any


class IntKind(int):
    pass


class ListKind(list[Any]):
    pass


class DictKind(dict[Any, Any]):
    extra: Any = None


def function(x: int) -> int:
    return x + 1


class Slotted:
    __slots__ = ("a", "b")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and (self.a, self.b) == (other.a, other.b)

    __hash__ = None  # type: ignore[assignment]


def slotted() -> Slotted:
    value = Slotted()
    value.a, value.b = 1, [2]
    return value


VALUES: list[Any] = [
    Color.RED,
    Color.BLUE,
    Flags.A | Flags.B,
    Point(1.0, 2.0, ["x"]),
    Frozen(1, {"k": Frozen(2, None)}),
    Defined(1, Defined(2)),
    Named(1, [2]),
    IntKind(5),
    True,
    ListKind([1, ListKind([2])]),
    DictKind(a=1),
    slotted(),
    datetime.datetime(2020, 2, 29, 12, tzinfo=datetime.UTC),
    datetime.datetime(2020, 2, 29, 12, tzinfo=zoneinfo.ZoneInfo("UTC")),
    datetime.timedelta(days=-1, microseconds=5),
    decimal.Decimal("-0.10"),
    fractions.Fraction(1, 3),
    pathlib.Path("a/b"),
    pathlib.PurePosixPath("/x"),
    uuid.UUID(int=5),
    ipaddress.ip_address("::1"),
    re.compile("a+", re.I),
    collections.OrderedDict([("b", 1), ("a", 2)]),
    collections.defaultdict(list, a=[1]),
    collections.Counter("abca"),
    collections.deque([1, 2, 3], maxlen=5),
    range(1, 10, 2),
    slice(1, None, 2),
    Ellipsis,
    NotImplemented,
    bytearray(b"abc"),
    function,
    Point,
    int,
    len,
    "abc".upper,
    operator.itemgetter(1),
    functools.partial(function, 5),
    os.stat_result(range(10)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_value_arrives_equal(value: Any) -> None:
    """Everything that pickle can carry arrives equal, alone and inside native containers."""
    for got in (crossed(value), crossed([{"k": (value,)}])[0]["k"][0]):
        assert type(got) is type(value)
        if isinstance(value, functools.partial):
            assert (got.func, got.args) == (value.func, value.args)
        elif callable(value) and not isinstance(value, (type, enum.Enum, operator.itemgetter)):
            assert got(*((1,) if value is function else ((1, 2),) if value is len else ())) is not None
        elif isinstance(value, operator.itemgetter):
            assert got([1, 2]) == 2
        else:
            assert got == value


@pytest.mark.parametrize("thing", [function, Point, Color.RED, Color, int, len, Ellipsis], ids=str)
def test_what_has_a_name_is_the_same_object(thing: object) -> None:
    """Functions, classes and enum members go by reference: in one interpreter they are the very same."""
    assert crossed([thing])[0] is thing


def test_exceptions_cross_with_their_attributes() -> None:
    """Type, arguments, notes and attributes; what pickle leaves out (traceback, chain) stays behind."""
    error = OSError(2, "gone", "/some/file")
    error.add_note("a note")
    got = crossed(error)
    assert type(got) is FileNotFoundError
    assert (got.errno, got.strerror, got.filename, got.__notes__) == (2, "gone", "/some/file", ["a note"])
    group = ExceptionGroup("several", [ValueError(1), KeyError("k")])
    assert repr(crossed(group)) == repr(group)
    assert isinstance(crossed(csp.EndOfChannel("x")), csp.EndOfChannel)


def test_shared_references_within_one_pickle() -> None:
    """Objects and native containers of one value keep what they share, cycles included."""
    shared = [1]
    point = Point(1, 2, shared)
    value: dict[str, Any] = {"p": point, "again": point, "list": shared}
    value["self"] = value
    got = crossed(value)
    assert got["p"] is got["again"]
    assert got["p"].tags is got["list"]
    assert got["self"] is got


def test_frozenset_in_a_cycle() -> None:
    """A cycle through a frozenset needs an object that hashes by identity, and so goes by pickle."""
    holder = Holder()
    holder.inside = frozenset({holder})
    got = crossed([holder])[0]
    assert next(iter(got.inside)) is got


class Holder:
    inside: Any = None


def test_registered_reducers_are_used() -> None:
    """copyreg works as for any pickle."""
    copyreg.pickle(Odd, lambda odd: (make_odd, (odd.n + 1,)))
    try:
        assert crossed(Odd(1)).n == 2
    finally:
        del copyreg.dispatch_table[Odd]


class Odd:
    def __init__(self, n: int) -> None:
        self.n = n


def make_odd(n: int) -> Odd:
    return Odd(n)


# --- handles in pickled values ---


@dataclasses.dataclass
class Job:
    reply: Any
    at: datetime.date = datetime.date(2020, 1, 1)


@pytest.mark.usefixtures("no_leaks")
def test_handles_inside_of_objects() -> None:
    """A handle in an object's attribute arrives as a handle to the same end, and counts as one while in flight."""
    ch: csp.Channel[Any] = csp.Channel(1)
    message = _core.encode(Job(ch.sender))
    assert ch.statistics().senders == 2
    got = _core.decode(message)
    assert ch.statistics().senders == 2
    got.reply.send("done")
    assert ch.recv() == "done"
    del got
    assert ch.statistics().senders == 1


@pytest.mark.parametrize("wrap", [lambda h: h, lambda h: [h], lambda h: {"k": (h,)}, Job], ids=["bare", "list", "dict", "object"])
@pytest.mark.usefixtures("no_leaks")
def test_every_kind_of_handle_crosses(wrap: Any) -> None:
    """Channels, one-way handles and timers, wherever they are in the value."""
    ch: csp.Channel[int] = csp.Channel(3, name="some name")
    for handle in (ch, ch.sender, ch.receiver, csp.never(), csp.after(100), csp.tick(100)):
        got = crossed(wrap(handle))
        while not isinstance(got, type(handle)):
            got = got.reply if isinstance(got, Job) else next(iter(got.values())) if isinstance(got, dict) else got[0]
        assert got == handle
        assert got is not handle
        assert hash(got) == hash(handle)
        assert (got.id, got.name, got.capacity) == (handle.id, handle.name, handle.capacity)


@pytest.mark.usefixtures("no_leaks")
def test_handle_in_a_discarded_message_is_given_up() -> None:
    """The other side learns that nobody will come: a handle in a message that goes nowhere does not keep a channel open."""
    carrier: csp.Channel[Any] = csp.Channel(1)
    ch: csp.Channel[int] = csp.Channel(1)
    sender, receiver = ch.sender, ch.receiver
    ch.close()
    ch2: csp.Channel[int] = csp.Channel(1)
    rx = ch2.receiver
    carrier.send([ch2])
    del ch2
    assert rx.statistics().senders == 1
    del carrier
    with pytest.raises(csp.EndOfChannel):
        rx.recv(timeout=0)
    del sender, receiver


@pytest.mark.parametrize("wrap", [lambda h: h, lambda h: [1, h], Job], ids=["bare", "list", "object"])
def test_handle_that_was_given_up_cannot_be_sent(wrap: Any) -> None:
    """A one-way handle that this side closed is of no use to anybody: ClosedHandle, which names it."""
    ch: csp.Channel[int] = csp.Channel(1)
    for handle in (ch.sender, ch.receiver):
        handle.close()
        with pytest.raises(csp.ClosedHandle) as caught:
            crossed(wrap(handle))
        assert caught.value.channel is handle


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("value", ["[ch.sender]", "{1: ch}", "[ch, datetime.date.today()]"])
def test_handle_inherited_through_a_fork_cannot_be_sent(value: str) -> None:
    """In the child of a fork a handle of the parent is good for nothing: ForkedError."""
    code = (
        "import csp, datetime, os\nfrom csp import _core\nch = csp.Channel(1)\npid = os.fork()\n"
        "if pid:\n    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
        f"try:\n    _core.copy_by_crossing({value})\nexcept csp.ForkedError:\n    os._exit(7)\nos._exit(8)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 7


def test_closed_channel_can_be_sent_and_drained() -> None:
    """Whoever gets a closed Channel receives what it still holds."""
    ch: csp.Channel[int] = csp.Channel(2)
    ch.send(1)
    ch.close()
    got = crossed([ch])[0]
    assert got.recv() == 1
    with pytest.raises(csp.EndOfChannel):
        got.recv()


# --- what cannot be rebuilt ---


class Fails:
    """Pickles, and raises when it is rebuilt."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        return fail, (self.error,)


def fail(error: BaseException) -> None:
    raise error


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class FailsInSetState:
    def __getstate__(self) -> Any:
        return {"a": 1}

    def __setstate__(self, state: object) -> None:
        raise ZeroDivisionError("in __setstate__")


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (Fails(ValueError("broken")), ValueError),
        ([1, {"k": Fails(KeyError("x"))}], KeyError),
        (Fails(RecursionError("deep")), RecursionError),
        (Fails(NoText()), NoText),
        (Fails(csp.DecodeError("nested")), csp.DecodeError),
        (FailsInSetState(), ZeroDivisionError),
    ],
)
@pytest.mark.usefixtures("no_leaks")
def test_failure_to_rebuild_is_a_decode_error(value: object, cause: type[Exception]) -> None:
    """The receiver gets DecodeError with the original as its cause, and the channel goes on."""
    ch: csp.Channel[Any] = csp.Channel(2)
    ch.send([value, csp.Channel(), memoryview(bytes(1000))])
    ch.send("next")
    with pytest.raises(csp.DecodeError) as caught:
        ch.recv()
    assert type(caught.value.__cause__) is cause
    assert cause.__name__ in str(caught.value)
    assert ch.recv() == "next"
    caught.value.__cause__.__traceback__ = None
    caught.value.__traceback__ = None


def test_module_that_is_missing_is_a_decode_error() -> None:
    """A class whose module is gone."""
    module = type(sys)("module_that_goes")
    sys.modules["module_that_goes"] = module
    exec("class Gone: pass", module.__dict__)
    message = _core.encode(module.__dict__["Gone"]())
    del sys.modules["module_that_goes"]
    with pytest.raises(csp.DecodeError, match="ModuleNotFoundError: No module named 'module_that_goes'") as caught:
        _core.decode(message)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), csp.Stopped(), csp.Killed(), MemoryError()])
def test_what_is_no_error_passes_through(error: BaseException) -> None:
    """Ctrl-C, an exit, a stop, and the lack of memory stay what they are, on both sides."""
    with pytest.raises(type(error)) as caught:
        crossed([Fails(error)])
    assert type(caught.value) is type(error)
    with pytest.raises(type(error)):
        crossed([FailsToReduce(error)])


class FailsToReduce:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce_ex__(self, protocol: int) -> Any:
        raise self.error


# --- memory ---


@pytest.mark.usefixtures("no_leaks")
def test_memory_stays_flat() -> None:
    """Thousands of messages of every kind leave nothing behind."""
    import tracemalloc

    ch: csp.Channel[Any] = csp.Channel(1)
    value = [*VALUES, ch, memoryview(b"abc"), {"k": [1, 2.5, "x" * 100]}, {1, 2}, 2**100]
    value.append(value)

    def rounds(n: int) -> None:
        for _ in range(n):
            got = crossed(value)
            got.clear()
            with pytest.raises(csp.NotShareable):
                crossed([value, fail, lambda: 0])
            with pytest.raises(csp.DecodeError):
                crossed([value, Fails(ValueError())])
        gc.collect()
        sys._clear_internal_caches()  # the cache of attributes keeps names that came out of pickles

    rounds(20)
    tracemalloc.start()
    try:
        rounds(5)
        before = tracemalloc.get_traced_memory()[0]
        rounds(50)
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    value.clear()
    assert after - before < 10_000


FAULTY: dict[str, Any] = {
    "flat": lambda: [list(range(100)), {"k": ["x" * 3000, "y" * 3000]}, {i: [i] for i in range(200)}],
    "deep": lambda: functools.reduce(lambda inner, _: [inner], range(200), 1),
    "shared": lambda: [x := [[i] for i in range(200)], x, list(reversed(x))],
    "handles": lambda: [csp.Channel(1).sender, csp.Channel(), csp.never()],
    "views": lambda: [memoryview(bytes(100)), memoryview(bytearray(100_000))],
    "pickled": lambda: [Point(1, 2, [memoryview(b"abc"), csp.Channel(1)]), bytearray(5000), "x" * 5000],
}


@pytest.mark.parametrize("kind", FAULTY)
@pytest.mark.usefixtures("no_leaks")
def test_every_allocation_may_fail(kind: str) -> None:
    """Whichever raw allocation fails, on either side, MemoryError comes out and nothing is lost or left behind."""
    value = FAULTY[kind]()
    repr_before = repr(value) if kind in ("flat", "deep", "shared") else None
    for n in range(1, 1000):
        gc.collect()
        before = _core.census()
        _core.fail_allocation(n)
        try:
            got = crossed(value)
        except MemoryError:
            got = None
        finally:
            left = _core.fail_allocation(0)
        if left > 0:
            break
        assert got is None
        gc.collect()
        assert _core.census() == before
    else:
        pytest.fail("the allocations never ended")
    assert n > 1
    assert repr_before is None or repr(got) == repr_before
