"""What cannot cross is refused in the sender, before anything is sent, and the message says where it is."""

import collections
import dataclasses
import functools
import sys
import threading
from typing import Any, NamedTuple

import pytest

import csp
from csp import _core

crossed = _core.copy_by_crossing


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Slotted:
    __slots__ = ("__weakref__", "left", "right")

    def __init__(self, left: Any, right: Any) -> None:
        self.left, self.right = left, right


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: Any
    b: Any = None


class Pair(NamedTuple):
    first: Any
    second: Any


class ListKind(list[Any]):
    pass


class Bad:
    """Raises what it is told to when it is pickled."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce_ex__(self, protocol: int) -> Any:
        raise self.error


class ReducesToNonsense:
    def __init__(self, reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


def lock() -> Any:
    return threading.Lock()


def local_class() -> Any:
    class Local:
        pass

    return Local


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (lock(), "value"),
        ([lock()], "value[0]"),
        ({"a": [1, 2, 3, lock()]}, "value['a'][3]"),
        ({"a": {"b": ({1: lock()},)}}, "value['a']['b'][0][1]"),
        ({("t", 1): lock()}, "value[<tuple>]"),
        ({"x" * 1000: lock()}, "value['xxx"),
        ({lock(): 1}, "list(value)[0]"),
        ({"k": {1: 2, lock(): 1}}, "list(value['k'])[1]"),
        ([{frozenset({lock()})}], "list(list(value[0])[0])[0]"),
        (Plain(x=1, y=[lock()]), "value.y[0]"),
        ([Plain(a=Plain(b={"c": lock()}))], "value[0].a.b['c']"),
        (Slotted(1, lock()), "value.right"),
        (Frozen(1, Frozen(lock())), "value.b.a"),
        (Pair(1, [lock()]), "value.__reduce_ex__(5)[1][2][0]"),
        (ListKind([1, lock()]), "value[1]"),
        (collections.OrderedDict(a=1, b=lock()), "value['b']"),
        (collections.defaultdict(list, {"b": lock()}), "value['b']"),
        (collections.deque([lock()]), "value[0]"),
        (ValueError("x", lock()), "value.args[1]"),
        (ExceptionGroup("g", [KeyError(lock())]), "value.args[1][0].args[0]"),
        (functools.partial(print, lock()), "value.__reduce_ex__(5)[2][1][0]"),
        ([1, (i for i in ())], "value[1]"),
        ([sys], "value[0]"),
        ([sys.stdout], "value[0]"),
        ([sys._getframe()], "value[0]"),
        ([lambda: 0], "value[0]"),
        ([local_class()], "value[0]"),
        ([local_class()()], "type(value[0])"),
        ([Plain(f=iter([])), {"z": lambda: 0}], "value[1]['z']"),
        ({"ok": bytearray(5), "bad": Bad(ValueError("no"))}, "value['bad']"),
        ([Bad(RecursionError("deep"))], "value[0]"),
        ([Bad(csp.Timeout("inside"))], "value[0]"),
        ([ReducesToNonsense(5)], "value[0]"),
        ([ReducesToNonsense((1,))], "value[0]"),
        ([ReducesToNonsense("no such name")], "value[0]"),
        ([ReducesToNonsense((print, 5))], "value[0]"),
        ([csp.Channel(local=True)], "value[0]"),
        (Plain(reply=csp.Channel(local=True)), "value.reply"),
        ({"s": csp.Channel(local=True).sender}, "value['s']"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("no_leaks")
def test_path_to_the_offending_part(value: Any, path: str) -> None:
    """The message begins with an expression that leads to the part, `value` being what was sent."""
    ch: csp.Channel[Any] = csp.Channel(1)
    with pytest.raises(csp.NotShareable) as caught:
        ch.send(value)
    text = str(caught.value)
    assert text.startswith(path), text
    assert text.startswith(path + ": ") or path == "value['xxx", text
    assert isinstance(caught.value.__cause__, Exception)
    caught.value.__cause__.__traceback__ = None  # the parameter lives on, and holds it
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ValueError)
    assert len(ch) == 0
    assert ch.statistics().sent == 0


def test_cause_is_the_original_error() -> None:
    """What stood in the way is the cause, the very object."""
    error = ValueError("no")
    with pytest.raises(csp.NotShareable, match="no") as caught:
        crossed([Bad(error)])
    assert caught.value.__cause__ is error


def test_path_in_a_cyclic_value() -> None:
    """Every part of a cycle fails to cross with the whole; the one that is to blame is named."""
    root = Plain(name="root", children=[])
    for i in range(3):
        root.children.append(Plain(name=i, parent=root, guard=lock() if i == 1 else None))
    with pytest.raises(csp.NotShareable, match=r"^value\.children\[1\]\.guard: TypeError"):
        crossed(root)
    ring: list[Any] = [1]
    ring += [ring, lock()]
    with pytest.raises(csp.NotShareable, match=r"^value\[2\]: "):
        crossed(ring)


def test_path_of_a_part_that_is_very_deep() -> None:
    """A path of very many steps is cut, and looking for it takes no multiple of the whole for each."""
    value: Any = lock()
    for _ in range(200_000):
        value = [value]
    with pytest.raises(csp.NotShareable) as caught:
        crossed(value)
    text = str(caught.value)
    assert text.startswith("value[0][0]")
    assert "<...>" in text
    assert len(text) < 1000


def test_part_among_many() -> None:
    """One among a hundred thousand is found."""
    value: list[Any] = [{"n": i} for i in range(100_000)]
    value[77_777]["n"] = lock()
    with pytest.raises(csp.NotShareable, match=r"^value\[77777\]\['n'\]: "):
        crossed(value)


def test_pickle_deeper_than_its_limit() -> None:
    """Objects nested deeper than pickle can go are refused, with its RecursionError as the cause."""
    value: Any = None
    for _ in range(100_000):
        value = Plain(next=value)
    with pytest.raises(csp.NotShareable) as caught:
        crossed(value)
    assert isinstance(caught.value.__cause__, RecursionError)
    while value is not None:  # Python would take them apart recursively
        value = value.__dict__.pop("next")


def test_error_without_text() -> None:
    """An error that cannot be printed does not hide the refusal."""

    class NoText(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    with pytest.raises(csp.NotShareable, match=r"^value\[0\]: NoText: <no message>"):
        crossed([Bad(NoText())])


class Hostile:
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        raise ZeroDivisionError

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


def test_parts_with_hostile_repr() -> None:
    """Nothing of the value is printed but plain keys."""

    with pytest.raises(csp.NotShareable, match=r"^value\[<Hostile>\]|^list\(value\)\[0\]"):
        crossed({Hostile(): lock()})


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), csp.Stopped(), MemoryError()])
def test_what_is_no_error_is_not_swallowed(error: BaseException) -> None:
    """Ctrl-C, an exit, a stop and the lack of memory come out as they are, during the search for the path too."""
    with pytest.raises(type(error)):
        crossed([Bad(error)])
    count = [0]

    class Later:
        def __reduce_ex__(self, protocol: int) -> Any:
            count[0] += 1
            raise ValueError if count[0] == 1 else error

    with pytest.raises(csp.NotShareable if isinstance(error, Exception) else type(error)) as caught:
        crossed([Later()])
    assert caught.value is error or isinstance(error, Exception)


@pytest.mark.usefixtures("no_leaks")
def test_refusal_gives_up_what_was_encoded_before() -> None:
    """Handles and memory that were on their way already come back."""
    ch: csp.Channel[Any] = csp.Channel(1)
    for value in ([ch.sender, memoryview(bytes(9999)), lock()], Plain(a=ch.sender, b=memoryview(b"x"), c=csp.Channel(local=True))):
        with pytest.raises(csp.NotShareable):
            crossed(value)
    value = None
    now = ch.statistics()
    assert (now.senders, now.receivers) == (1, 1)


def test_select_and_batches_refuse_before_anything_is_sent() -> None:
    """A select sends nothing, a batch nothing of the value; what it had sent before is counted."""
    ch: csp.Channel[Any] = csp.Channel(5)
    with pytest.raises(csp.NotShareable, match=r"^value\[0\]"):
        csp.select([(ch, 1), (ch, [lock()])])
    assert len(ch) == 0
    with pytest.raises(csp.NotShareable):
        ch.send_many([1, lock(), 3])
    assert len(ch) <= 1


def test_local_channel_takes_anything() -> None:
    """By reference, whatever it is."""
    ch: csp.Channel[Any] = csp.Channel(1, local=True)
    thing = lock()
    ch.send(thing)
    assert ch.recv() is thing
