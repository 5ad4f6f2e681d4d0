"""Values that the C core does not encode natively: pickle protocol 5, with a few things put out of band.

The core calls `dumps` and `loads`; it imports this module when a value first needs it.

A pickle may ask for objects that travel beside it, in order: that is how protocol 5 carries large buffers without copying
them into the pickle.  We use it for all that cannot be in a pickle: buffers, memoryviews, channel handles, references to actors.
For each of the latter the pickle holds an empty `PickleBuffer` as a mark, and the core puts the thing itself in its place.

Functions and classes go by reference to their module, which pickle does by itself; those of the main program by a
reference to the program (`csp._main`), or by value, with cloudpickle, where the program is not a file.

`explain` finds the part of a value that cannot cross, after the fact, so that a value that can does not pay for it.

Only C-level parts of pickle are imported here (`_pickle`): the module `pickle` costs an interpreter several milliseconds.
"""

import copyreg
from _io import BytesIO, TextIOWrapper
from _pickle import PickleError, Pickler
from _pickle import loads as _loads
from time import thread_time

from csp import _core
from csp._main import NAMES, load_main, main_attribute, main_reference, reference_to

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pickle import PickleBuffer
    from typing import Any

    # A part of a value, the step that leads to it from the part above, and that part's node.
    _Node = tuple[object, str, "_Node | None"]
else:
    from _pickle import PickleBuffer

__all__ = ["dumps", "explain", "load_main", "loads", "main_reference"]

_Function = type(lambda: None)


class _ByValue(BaseException):
    """The value holds an object of a main program that no reference leads to.  Not for an `except Exception` to swallow."""


def _received(part: object) -> object:
    """In a pickle: the object that travelled beside it."""
    return part


def _array(memory: "Any", dtype: "Any", shape: tuple[int, ...], axes: tuple[int, ...]) -> "Any":
    """In a pickle: an array on memory that travelled beside it, whose axes were sorted as they lie there."""
    from numpy import ndarray

    return ndarray(shape, dtype, memory).transpose(axes)


class _Marks:
    """What is to travel beside one pickle, and is no buffer: for the two picklers to inherit."""

    marked: "dict[int, tuple[object, object]] | None" = None  # id of a mark: the mark (kept alive), and what it stands for

    def mark(self, part: object) -> "tuple[Callable[[object], object], tuple[object]]":
        if self.marked is None:
            self.marked = {}
        mark = PickleBuffer(bytearray())
        self.marked[id(mark)] = mark, part
        return _received, (mark,)

    def array(self, thing: "Any") -> "Any":
        """A numpy array that numpy would copy into the pickle: slices, reversed ones, times.  Its items travel beside it, in one piece."""
        dtype, flags = thing.dtype, thing.flags
        if dtype.hasobject or not dtype.itemsize or ((flags.c_contiguous or flags.f_contiguous) and dtype.kind not in "mM"):
            return NotImplemented
        axes = sorted(range(thing.ndim), key=lambda axis: -abs(thing.strides[axis]))  # copied as it lies in memory
        back = tuple(axes.index(axis) for axis in range(thing.ndim))
        lying = thing.transpose(axes)
        # As raw items: for times numpy exports no buffer.
        return _array, (memoryview(lying.view(f"V{dtype.itemsize}")), dtype, lying.shape, back)

    def unmarked(self, buffers: list[object]) -> list[object]:
        """The buffers that the pickle asks for, with each mark replaced by what it stands for."""
        marked = self.marked
        return buffers if marked is None else [marked[id(b)][1] if id(b) in marked else b for b in buffers]


class _ReferencePickler(_Marks, Pickler):
    # In C, since it is asked about each object: `mark` for what travels beside the pickle, `of_main` for functions and
    # classes of the main program, NotImplemented for all others.
    reducer_override = _core.reducer_override

    def of_main(self, thing: "Any") -> "Any":
        found = reference_to(thing)
        if found is not None:
            return main_attribute, found
        if main_reference() is None or getattr(getattr(thing, "__code__", None), "co_filename", "").startswith("<"):
            raise _ByValue
        return NotImplemented  # a lambda, a local class: pickle says what is wrong with it


class _AfterMain:
    """A value that names the main program in a way of its own: the program is loaded before the rest is rebuilt."""

    def __init__(self, reference: object, value: object) -> None:
        self.reference, self.value = reference, value

    def __reduce__(self) -> "Any":
        return _second, (_LoadMain(self.reference), self.value)


class _LoadMain:
    def __init__(self, reference: object) -> None:
        self.reference = reference

    def __reduce__(self) -> "Any":
        return load_main, (self.reference,)


def _second(_: object, value: object) -> object:
    """In a pickle: the value, which came after what it needs."""
    return value


def _value_pickler() -> "Any":
    """The class of a pickler that carries functions and classes of the main program by value."""
    from cloudpickle import CloudPickler

    class ValuePickler(_Marks, CloudPickler):  # type: ignore[misc]
        def reducer_override(self, thing: "Any") -> "Any":
            if _core.is_part(thing):
                return self.mark(thing)
            if _core.is_array(thing):
                return self.array(thing)
            if isinstance(thing, TextIOWrapper):
                return NotImplemented  # cloudpickle would read the file and send its contents
            if isinstance(thing, (type, _Function)) and thing.__module__ in NAMES:
                found = reference_to(thing)
                if found is not None:
                    return main_attribute, found
            return super().reducer_override(thing)

    return ValuePickler


def dumps(value: object) -> tuple[bytes, list[object]]:
    """Pickle a value: the pickle, and what has to travel beside it in that order.  Raises what pickling raises."""
    try:
        data, parts = _dump(_ReferencePickler, value)
    except _ByValue:
        return _dump(_value_pickler(), value)
    if b"_main__" in data:
        # An object whose __reduce__ returns a bare name, say: pickle wrote the module as it is called here.
        reference = main_reference()
        if reference is not None:
            return _dump(_ReferencePickler, _AfterMain(reference, value))
    return data, parts


def _dump(pickler_class: "Any", value: object) -> tuple[bytes, list[object]]:
    file, buffers = BytesIO(), []  # type: tuple[BytesIO, list[object]]
    pickler = pickler_class(file, 5, buffer_callback=buffers.append)
    pickler.dump(value)
    return file.getvalue(), pickler.unmarked(buffers) if buffers else buffers


def loads(data: bytes | memoryview, parts: list[object]) -> object:
    """Rebuild a value.  Raises what unpickling raises."""
    return _loads(data, buffers=parts)


def refused_advice(error: BaseException) -> str | None:
    """If an extension module that refuses subinterpreters is behind it: which one, and what to do."""
    from csp._remote import refused_module

    module = refused_module(error)
    if module is None:
        return None
    return (
        f"{module} does not load in a subinterpreter; receive the value in an actor with isolation='thread' or 'process', "
        "or send csp.share(...) of its memory instead, which arrives as a typed SharedView"
    )


# --- what cannot cross, and where it is ---

_LEAVES = (type(None), bool, int, float, complex, str, bytes)
_SECONDS = 5.0  # of processor time for the search; a value that takes longer is reported without a path
_LONGEST = 300  # characters of a path


def explain(value: object, error: Exception) -> str:
    """Say which part of a value cannot cross, by its path, and why."""
    return _search(value) or f"value: {_reason(error)}"


def _reason(error: Exception) -> str:
    try:
        text = str(error)
    except Exception:
        text = "<no message>"
    name = type(error).__name__
    return text if name == "NotShareable" else f"{name}: {text[:1000]}" if text else name


def _refusal(thing: object) -> str | None:
    """Why the thing cannot cross by itself; None if it can.

    The text and not the error: an error that a caller keeps in a variable is a cycle, through its traceback and that
    caller's frame, and the handles in the value would wait for the garbage collector.
    """
    try:
        _core.encode(thing, explain=False)
    except Exception as error:
        return _reason(error)
    return None


def _path(node: "_Node") -> str:
    steps: list[str] = []
    above: _Node | None = node
    while above is not None:
        _, step, above = above
        steps.append(step)
    steps.reverse()
    path = ""
    for step in steps if len(steps) < _LONGEST else [*steps[:40], "<...>", *steps[-40:]]:
        path = step.replace("{}", path, 1) if step.startswith(("list({})", "type({})")) else path + step
    return path if len(path) <= _LONGEST else f"{path[: _LONGEST // 2]}<...>{path[-_LONGEST // 2 :]}"


def _search(value: object) -> str | None:
    """Look for a part that cannot cross although all that it is made of can, or that does not say what it is made of.

    Native containers are only walked; what is in them is asked one by one.  A cycle fails to cross at each of its parts, so
    the walk goes on through it until it meets the one that is to blame.
    """
    deadline = thread_time() + _SECONDS
    todo = _roots(value)
    seen: dict[int, object] = {}  # keeps what pickle's reducers make alive, so that no id is used twice
    best: str | None = None
    while todo and thread_time() < deadline:
        node = todo.pop()
        thing = node[0]
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        native = _CONTAINERS.get(type(thing))
        if native is not None:
            todo += [(part, step, node) for part, step in native(thing) if type(part) not in _LEAVES][::-1]
            continue
        reason = _refusal(thing)
        if reason is None:
            continue
        best = best or f"{_path(node)}: {reason}"
        try:
            parts: list[_Node] = [(part, step, node) for part, step in _parts_of(thing) if type(part) not in _LEAVES]
        except Exception:
            return f"{_path(node)}: {reason}"
        if reason.startswith("RecursionError") or all(_refusal(part) is None for part, _, _ in parts):
            return f"{_path(node)}: {reason}"
        todo += parts[::-1]
    return best


def _roots(value: "Any") -> "list[_Node]":
    from csp._calls import Request

    if type(value) is Request:  # the caller knows its parts, and not it
        return [(value[2], "kwargs", None), (value[1], "args", None)]
    return [(value, "value", None)]


def _key(key: object) -> str:
    if type(key) not in _LEAVES:
        return f"<{type(key).__name__}>"
    text = repr(key)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _sequence(thing: "Any") -> "Iterator[tuple[object, str]]":
    return ((item, f"[{i}]") for i, item in enumerate(thing))


def _unordered(thing: "Any") -> "Iterator[tuple[object, str]]":
    return ((item, f"list({{}})[{i}]") for i, item in enumerate(thing))


def _mapping(thing: "Any") -> "Iterator[tuple[object, str]]":
    yield from _unordered(thing)
    for key, item in thing.items():
        yield item, f"[{_key(key)}]"


_CONTAINERS: "dict[type, Callable[[Any], Iterator[tuple[object, str]]]]" = {
    list: _sequence,
    tuple: _sequence,
    dict: _mapping,
    set: _unordered,
    frozenset: _unordered,
}


def _parts_of(thing: "Any") -> "Iterator[tuple[object, str]]":
    """What a thing is made of, each with the step that leads to it, as pickle would see it."""
    if isinstance(thing, (type, _Function)) or _core.is_part(thing):
        return
    reduce: Any = copyreg.dispatch_table.get(type(thing))
    reduced: Any = thing.__reduce_ex__(5) if reduce is None else reduce(thing)
    if not isinstance(reduced, tuple) or not 2 <= len(reduced) <= 6:
        raise PickleError("__reduce_ex__ must return a tuple or a string")
    make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    if getattr(type(thing), "__reduce__", None) is object.__reduce__:
        yield from _slots(thing)
    yield from _state(state)
    yield from _sequence(items or ())
    for key, item in pairs or ():
        yield key, "list({})[...]"
        yield item, f"[{_key(key)}]"
    yield from _arguments(thing, make, arguments)


def _slots(thing: object) -> "Iterator[tuple[object, str]]":
    for cls in type(thing).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(thing, name):
                yield getattr(thing, name), f".{name}"


def _state(state: "Any") -> "Iterator[tuple[object, str]]":
    pair = state if isinstance(state, tuple) and len(state) == 2 else (state, None)  # what __slots__ hold comes second
    if all(part is None or isinstance(part, dict) for part in pair):
        for attributes in pair:
            for name, item in (attributes or {}).items():
                yield item, f".{name}"
    else:
        yield state, ".__reduce_ex__(5)[2]"


def _arguments(thing: object, make: "Any", arguments: "Any") -> "Iterator[tuple[object, str]]":
    yield make, ".__reduce_ex__(5)[0]"
    for i, item in enumerate(arguments):
        if item is type(thing):
            yield item, "type({})"
        elif isinstance(thing, BaseException):
            yield item, f".args[{i}]"
        else:
            yield item, f".__reduce_ex__(5)[1][{i}]"
