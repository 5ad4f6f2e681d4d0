"""What goes over the socket between a process-isolated actor and its bridge: frames, and the values in them.

A frame is a small tuple of plain data, by `marshal`, and segments of raw bytes behind it:

    length of the head, number of segments, number of files   three uint32
    of each segment its length, and its slab or 0              two uint64 each
    the head, and the segments that are in no slab

A big segment is in a slab (slabs.py), which both processes have mapped.  Files come along with the head, by SCM_RIGHTS: first those
of the slabs that are new, then those of the values.

A value is `("v", plain)`, `("b", segment)`, which is bytes, or `("p", pickle, parts)`: a pickle of protocol 5 as
csp._pickling makes them, and what travels beside it.  A part is `("b", segment, readonly)`, a buffer; `("m", segment, readonly,
format, shape)`, a memoryview; or what the side that sends it makes of a handle, a reference or a primitive.  Both ends are the same
Python on one machine.
"""

import _socket
import errno
import marshal
import struct
import time
from _collections import deque  # type: ignore[import-not-found]  # as `collections` has it, which is slow to import
from array import array

from csp import _core
from csp._process.slabs import FROM, Mapped, Slabs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Describe = Callable[[Any, "Segments"], tuple[Any, ...]]
    Find = Callable[[tuple[Any, ...], "Segments"], Any]

_HEAD = struct.Struct("<III")
_SEGMENT = struct.Struct("<QQ")
_FORGET = 2**64 - 1  # in the place of a length: the slab is given up
_PLAIN = frozenset((type(None), bool, int, float, str))
_SHORT = 4096  # bytes objects up to here go with the head
_AT_ONCE = 64  # pieces in one system call, well below IOV_MAX
_FILES_AT_ONCE = 200  # in one system call, of which the kernel takes 253


class Segments(list):  # type: ignore[type-arg]
    """Of one frame: buffers that it carries beside its head, and Descriptors."""

    __slots__ = ("files",)

    def __init__(self) -> None:
        self.files: list[_core.Descriptor] = []

    def add_file(self, file: "_core.Descriptor") -> int:
        self.files.append(file)
        return len(self.files) - 1


# --- frames ---


class Outgoing:
    """Frames that are on their way out of a socket, which may block or not."""

    def __init__(self, sock: "_socket.socket") -> None:
        self._sock = sock
        self._pieces: deque[tuple[memoryview, list[_core.Descriptor]]] = deque()
        self._slabs = Slabs()

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, head: "Any", segments: Segments) -> None:
        """What is big in the segments is copied at once; the rest has to stay as it is until it is out."""
        data = marshal.dumps(head)
        table, inline, files = b"", [], []
        for segment in segments:
            view = memoryview(segment)
            length = view.nbytes
            placed = self._slabs.filled(view) if length >= FROM else None
            if placed is None:
                table += _SEGMENT.pack(length, 0)
                if length:
                    inline.append(view.cast("B"))
                continue
            table += _SEGMENT.pack(length, placed[0])
            if placed[1] is not None:
                files.append(placed[1])
        forgotten = self._slabs.forgotten
        while forgotten:
            table += _SEGMENT.pack(_FORGET, forgotten.pop())
        files += segments.files
        start = memoryview(_HEAD.pack(len(data), len(table) // _SEGMENT.size, len(files)) + table + data)
        while len(files) > _FILES_AT_ONCE:  # each lot of them goes with a byte: there are more bytes than files
            self._pieces.append((start[:1], files[:_FILES_AT_ONCE]))
            start, files = start[1:], files[_FILES_AT_ONCE:]
        self._pieces.append((start, files))
        self._pieces.extend((view, []) for view in inline)

    def flush(self) -> bool:
        """Write what the socket takes; True if nothing is left."""
        pieces = self._pieces
        try:
            while pieces:
                n = self._send()
                while pieces and n >= len(pieces[0][0]):
                    n -= len(pieces.popleft()[0])
                if n:
                    pieces[0] = pieces[0][0][n:], []
        except BlockingIOError:
            return False
        return True

    def _send(self) -> int:
        """Some pieces: those that have files begin a system call, since files go with the first byte of one."""
        pieces = self._pieces
        now: list[memoryview] = []
        for piece, files in pieces:
            if len(now) == _AT_ONCE or (now and files):
                break
            now.append(piece)
        files = pieces[0][1]
        if not files:
            return self._sock.sendmsg(now)
        rights = array("i", [file.fileno() for file in files])
        while True:
            try:
                n = self._sock.sendmsg(now, [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
            except OSError as error:
                if error.errno != errno.ETOOMANYREFS:
                    raise
                time.sleep(0.001)  # as many as a user may have under way: until somebody takes some
                continue
            if n < len(pieces[0][0]):
                pieces[0] = pieces[0][0], []  # they have gone
            return n


class Incoming:
    """Frames that come in, from a socket that may block or not."""

    def __init__(self, sock: "_socket.socket") -> None:
        self._fd = sock.fileno()
        self._room = bytearray(65536)  # for what is read at once
        self._buffer = bytearray()  # of small frames
        self._files: deque[_core.Descriptor] = deque()
        self._came: list[_core.Descriptor] = []
        self._slabs = Mapped()
        self._head: object = None
        self._segments: Segments | None = None  # of a frame whose head is here
        self._unfilled: deque[memoryview] = deque()  # what is missing of them

    def read(self) -> bool:
        """Read once; False at the end of the stream."""
        if self._unfilled:
            n = self._receive(self._unfilled[0])
            self._fill(n)
            return n > 0
        n = self._receive(self._room)
        self._buffer += memoryview(self._room)[:n]
        return n > 0

    def _receive(self, into: "bytearray | memoryview") -> int:
        n = _core.receive(self._fd, into, self._came)
        if self._came:
            self._files.extend(self._came)
            self._came.clear()
        return n

    def frame(self) -> "tuple[Any, Segments] | None":
        """The next frame that is there as a whole."""
        if self._segments is None and not self._begin():
            return None
        buffer, unfilled = self._buffer, self._unfilled
        while unfilled:
            if not buffer:
                return None
            missing = unfilled[0]
            n = min(len(missing), len(buffer))
            missing[:n] = memoryview(buffer)[:n]
            del buffer[:n]
            self._fill(n)
        head, segments = self._head, self._segments
        self._head = self._segments = None
        assert segments is not None
        return head, segments

    def _fill(self, n: int) -> None:
        """So many bytes of the first one that is not whole have come."""
        unfilled = self._unfilled
        rest = unfilled.popleft()[n:]
        if rest:
            unfilled.appendleft(rest)

    def _begin(self) -> bool:
        """Take a head off the buffer; then all files of the frame are here too."""
        buffer = self._buffer
        if len(buffer) < _HEAD.size:
            return False
        length, count, nfiles = _HEAD.unpack_from(buffer)
        start = _HEAD.size + _SEGMENT.size * count
        if len(buffer) < start + length:
            return False
        table = list(_SEGMENT.iter_unpack(memoryview(buffer)[_HEAD.size : start]))
        self._head = marshal.loads(memoryview(buffer)[start : start + length])
        del buffer[: start + length]
        files = deque(self._files.popleft() for _ in range(nfiles))
        self._segments = segments = Segments()
        for nbytes, slab in table:
            if nbytes == _FORGET:
                self._slabs.forget(slab)
            elif slab:
                segments.append(self._slabs.view(slab, nbytes, files))
            else:
                segments.append(bytearray(nbytes))
                if nbytes:
                    self._unfilled.append(memoryview(segments[-1]))
        segments.files += files
        return True


# --- values ---


class Pickled(tuple):  # type: ignore[type-arg]
    """(pickle, parts): a value that is passed on as it came.  The core makes one of a pickled message, and a message of one."""

    __slots__ = ()

    def __reduce__(self) -> "Any":
        """Inside another value: whoever rebuilds that rebuilds this too."""
        from csp._pickling import loads

        return loads, (self[0], self[1])


def pack(value: "Any", segments: Segments, describe: "Describe") -> "tuple[Any, ...]":
    """The value for a frame; what is bulky is added to `segments`.  `describe` is asked about what is no memory.

    Raises what pickling raises.
    """
    kind = type(value)
    if kind in _PLAIN or (kind is bytes and len(value) <= _SHORT):
        return "v", value
    if kind is bytes:
        segments.append(value)
        return "b", len(segments) - 1
    if kind is Pickled:
        data, parts = value
    else:
        from csp._pickling import dumps

        data, parts = dumps(value)
    if len(data) > _SHORT:
        segments.append(data)
        data = len(segments) - 1
    return "p", data, [_part(part, segments, describe) for part in parts]


def _part(part: "Any", segments: Segments, describe: "Describe") -> "tuple[Any, ...]":
    kind = type(part).__name__
    if kind == "PickleBuffer":
        raw = part.raw()
        segments.append(raw)
        return "b", len(segments) - 1, raw.readonly
    if kind == "memoryview":
        segments.append(part.cast("B") if part.c_contiguous and part.nbytes else part.tobytes())
        return "m", len(segments) - 1, part.readonly, part.format, part.shape
    return describe(part, segments)


def asker(value: "Any") -> "Any":
    """Who is to hear of it if this value, a request, cannot be rebuilt; None: nobody, or it cannot be told."""
    if type(value).__name__ == "Request":
        return value[3]
    if type(value) is Pickled and b"csp._calls" in value[0]:
        senders = [part for part in value[1] if type(part).__name__ == "SendChannel"]
        if len(senders) == 1:
            return senders[0]
    return None


def unpack(value: "tuple[Any, ...]", segments: Segments, find: "Find") -> "Any":
    """A plain value, what `find` makes of what the other side described, or the `Pickled`."""
    if value[0] == "v":
        return value[1]
    if value[0] == "b":
        return bytes(segments[value[1]])
    if value[0] == "o":
        return find(value, segments)
    _, data, parts = value
    if type(data) is int:
        data = bytes(segments[data])
    return Pickled((data, [_whole(part, segments, find) for part in parts]))


def _whole(part: "tuple[Any, ...]", segments: Segments, find: "Find") -> "Any":
    if part[0] not in ("b", "m"):
        return find(part, segments)
    view = memoryview(segments[part[1]])
    if part[0] == "m" and part[3][-1] != "x":  # raw items stay bytes: of what they are, who uses them has a word of its own
        view = view.cast("B", (view.nbytes,)).cast(part[3], part[4]) if view.nbytes else memoryview(bytearray()).cast(part[3])
    return view.toreadonly() if part[2] else view
