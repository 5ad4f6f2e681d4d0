"""SharedBuffer in the process of an actor: the same memory, mapped from its file.  What is not about bytes is asked of the bridge."""

import mmap
from weakref import WeakValueDictionary

from csp._process.line import Standing, core_call, request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WRITABLE = 1  # of the flags of the buffer protocol
_FROM_WIRE = 7  # arguments

_mappings: "WeakValueDictionary[int, mmap.mmap]" = WeakValueDictionary()  # by the memory's number; kept by those who use them


def _map(number: int, file: "Any", size: int) -> mmap.mmap:
    """The memory as it is here: once, however many handles there are."""
    found = _mappings.get(number)
    if found is None:
        found = _mappings[number] = mmap.mmap(file.fileno(), size, trackfd=False)
    return found


class SharedBuffer(Standing):
    """Memory of a file, which both processes have mapped."""

    __slots__ = ("_exports", "_mapping", "_view", "id", "nbytes", "readonly")
    __module__ = "csp"

    def __new__(cls, *args: "Any", zeroed: bool = True, mapped: "bool | None" = None, huge: bool = False) -> "Any":
        if len(args) == _FROM_WIRE:
            return object.__new__(cls)
        options = {"huge": True} if huge else {"mapped": True if mapped is None else mapped}
        return core_call("SharedBuffer", *args, zeroed=zeroed, **options)

    def __init__(self, *args: "Any", **options: object) -> None:
        if len(args) != _FROM_WIRE:
            return
        which, number, file, size, offset, nbytes, readonly = args
        super().__init__(which, (number, offset, nbytes))  # type: ignore[arg-type]
        self.id, self.nbytes, self.readonly = number, nbytes, readonly
        self._mapping = _map(number, file, size)  # numpy.ndarray(buffer=...) uses it as long as it has us, closed or not
        view = memoryview(self._mapping)[offset : offset + nbytes]
        self._view: memoryview | None = view.toreadonly() if readonly else view
        self._exports = 0

    closed = property(lambda self: self._view is None)

    def _bytes(self) -> memoryview:
        if self._view is None:
            from csp.errors import ClosedHandle

            error = ClosedHandle(f"use of SharedBuffer {self.id}: this handle was closed by its own side")
            error.channel = self
            raise error
        return self._view

    def __buffer__(self, flags: int, /) -> memoryview:
        view = self._bytes()
        if flags & _WRITABLE and self.readonly:
            raise BufferError("Object is not writable.")
        self._exports += 1
        return view[:]

    def __release_buffer__(self, view: memoryview, /) -> None:
        self._exports -= 1
        view.release()

    def __len__(self) -> int:
        return len(self._bytes())

    def __getitem__(self, key: "Any") -> "Any":
        view = self._bytes()
        if not isinstance(key, slice):
            return view[key.__index__()]
        start, stop, step = key.indices(self.nbytes)
        return request("slice", self._which, start, max(start, stop), step, channel=self)

    def __setitem__(self, key: "Any", value: "Any") -> None:
        self._bytes()[key if isinstance(key, slice) else key.__index__()] = value

    def clone(self) -> "Any":
        return self._do("clone")

    def toreadonly(self) -> "Any":
        return self._do("toreadonly")

    def statistics(self) -> "Any":
        """Of all processes, but for `exports`, which are the program's."""
        return self._do("statistics")

    def to_numpy(self, dtype: "Any" = "u1", shape: "Any" = None) -> "Any":
        import math

        import numpy

        self._bytes()
        count = -1 if shape is None else shape if isinstance(shape, int) else max(math.prod(shape), -1)
        array = numpy.frombuffer(self, dtype, count)
        return array if shape is None else array.reshape(shape)

    def close(self) -> None:
        if self._exports:
            raise BufferError(f"the SharedBuffer has {self._exports} exported buffer{'s' * (self._exports > 1)}")
        if self._view is not None:
            self._view = None
            self._do("close")

    release = close

    def __enter__(self) -> "SharedBuffer":
        self._bytes()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        marks = " read-only" * self.readonly + " closed" * self.closed
        return f"<csp.SharedBuffer {self.id} nbytes={self.nbytes} offset={self._same[1]}{marks}>"  # type: ignore[index]


STAND_INS = (SharedBuffer,)
