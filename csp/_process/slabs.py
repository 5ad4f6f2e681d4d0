"""The memory in which big values travel: what one side of a socket fills and the other has mapped.  See csp/_core/slab.h.

A value's bytes are copied into a slab, and the frame says which: no other copy is made, and nothing of it goes through the socket.
The other side gives the slab back by a mark in it, so that there is no message for that, and none to be lost.
"""

from _collections import deque  # type: ignore[import-not-found]  # as `collections` has it, which is slow to import

from csp import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FROM = 64 << 10  # bytes: less goes through the socket, which is as fast then
_MOST = 2048  # slabs: each is two mappings, and a process has 65,530
_LOOK = 8  # slabs of a size that are asked whether they are free
_KEEP = 64  # of those that are free, when there are too many
_CLASSES = 4  # in a doubling


def _rounded(nbytes: int) -> int:
    """A size that serves others too: at most a quarter more."""
    step = 1 << max(nbytes.bit_length() - 3, 12)
    return -(-nbytes // step) * step


class Slabs:
    """Those that one side fills."""

    def __init__(self) -> None:
        self._sizes: dict[int, deque[int]] = {}  # by size: their numbers, those that were asked last at the end
        self._slabs: dict[int, _core.Slab] = {}
        self._count = 0
        self._sweep_at = _KEEP
        self.forgotten: list[int] = []  # to be told to the other side, which has them mapped

    def filled(self, bytes: "memoryview") -> "tuple[int, _core.Descriptor | None] | None":
        """Copy them into a slab: its number, and its file if the other side has not got it yet.  None: there is no such memory."""
        size = _rounded(bytes.nbytes)
        number = self._free_one(size)
        file = None
        if number is None:
            made = self._make(size)
            if made is None:
                return None
            number, file = made
        try:
            self._slabs[number].fill(bytes)
        except BaseException:
            self._slabs[number].unclaim()
            if file is not None:
                self._forget(number, size)
            raise
        return number, file

    def _free_one(self, size: int) -> "int | None":
        numbers = self._sizes.get(size)
        if numbers is None:
            return None
        number: int
        for _ in range(min(len(numbers), _LOOK)):
            number = numbers[0]
            numbers.rotate(-1)
            if self._slabs[number].claim():
                return number
        return None

    def _make(self, size: int) -> "tuple[int, _core.Descriptor] | None":
        if len(self._slabs) >= self._sweep_at:
            self._sweep()
        made = _core.make_slab(size) if len(self._slabs) < _MOST else None
        if made is None:
            return None
        slab, file = made
        slab.claim()
        self._count += 1
        self._slabs[self._count] = slab
        self._sizes.setdefault(size, deque()).append(self._count)
        return self._count, file

    def _sweep(self) -> None:
        """Give up what is free, but for some; so often that it costs little."""
        kept = 0
        for number, size in list(self._all()):
            slab = self._slabs[number]
            if slab.claim():
                slab.unclaim()
                kept += 1
                if kept > _KEEP // 2:
                    self._forget(number, size)
                    self.forgotten.append(number)
        self._sweep_at = min(max(_KEEP, 2 * len(self._slabs)), _MOST)

    def _all(self) -> "Iterator[tuple[int, int]]":
        """Those that were made last first, with their sizes."""
        sizes = {number: size for size, numbers in self._sizes.items() for number in numbers}
        return ((number, sizes[number]) for number in reversed(self._slabs))

    def _forget(self, number: int, size: int) -> None:
        del self._slabs[number]
        numbers = self._sizes[size]
        numbers.remove(number)
        if not numbers:
            del self._sizes[size]


class Mapped:
    """Those that the other side fills, by its numbers."""

    def __init__(self) -> None:
        self._slabs: dict[int, _core.Slab] = {}

    def view(self, number: int, nbytes: int, files: "deque[_core.Descriptor]") -> memoryview:
        """What is in it.  A number that is new comes with the next file."""
        slab = self._slabs.get(number)
        if slab is None:
            slab = self._slabs[number] = _core.slab_of_file(files.popleft())
        return slab.view(nbytes)

    def forget(self, number: int) -> None:
        self._slabs.pop(number, None)
