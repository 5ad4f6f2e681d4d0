"""What goes over the socket between a process-isolated actor and its bridge: frames, and the values in them.

A frame is a small tuple of plain data, by `marshal`, and segments of raw bytes behind it:

    length of the head, number of segments   two uint32
    length of each segment                   uint64 each
    the head, the segments

A value is `("v", plain)`, or `("p", pickle, parts)`: a pickle of protocol 5 as csp._pickling makes them, and what travels beside it.
A part is `("b", segment, readonly)`, a buffer; `("m", segment, readonly, format, shape)`, a memoryview; or what the side that
sends it makes of a handle, a reference or a primitive.  Both ends are the same Python on one machine.
"""

import marshal
import struct
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    Segments = list["bytes | bytearray | memoryview"]

_HEAD = struct.Struct("<II")
_PLAIN = frozenset((type(None), bool, int, float, str))
_SHORT = 4096  # bytes objects up to here go with the head
_AT_ONCE = 64  # pieces in one system call, well below IOV_MAX


# --- frames ---


def frame(head: "Any", segments: "Segments") -> "list[Any]":
    """The pieces of a frame, in order."""
    data = marshal.dumps(head)
    sizes = struct.pack(f"<{len(segments)}Q", *(memoryview(s).nbytes for s in segments))
    return [_HEAD.pack(len(data), len(segments)) + sizes + data, *segments]


class Outgoing:
    """Frames that are on their way out of a socket that does not block."""

    def __init__(self, sock: "socket.socket") -> None:
        self._sock = sock
        self._pieces: deque[memoryview] = deque()

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, pieces: "list[Any]") -> None:
        self._pieces.extend(memoryview(p).cast("B") for p in pieces if len(p))

    def flush(self) -> bool:
        """Write what the socket takes; True if nothing is left."""
        pieces = self._pieces
        try:
            while pieces:
                n = self._sock.sendmsg([pieces[i] for i in range(min(len(pieces), _AT_ONCE))])
                while pieces and n >= len(pieces[0]):
                    n -= len(pieces.popleft())
                if n:
                    pieces[0] = pieces[0][n:]
        except BlockingIOError:
            return False
        return True


class Incoming:
    """Frames that come in, from a socket that may block or not."""

    def __init__(self, sock: "socket.socket") -> None:
        self._sock = sock
        self._buffer = bytearray()  # of small frames
        self._sizes: list[int] | None = None  # of the segments of a frame whose head is here
        self._head: object = None
        self._segments: list[bytearray] = []
        self._filled = 0  # bytes of the last segment

    def read(self) -> bool:
        """Read once; False at the end of the stream."""
        segment = self._segments[-1] if self._segments else None
        if segment is not None and self._filled < len(segment):
            n = self._sock.recv_into(memoryview(segment)[self._filled :])
            self._filled += n
            return n > 0
        data = self._sock.recv(65536)
        self._buffer += data
        return bool(data)

    def frame(self) -> "tuple[Any, list[bytearray]] | None":
        """The next frame that is there as a whole."""
        if self._sizes is None and not self._begin():
            return None
        assert self._sizes is not None
        while True:
            if self._segments and self._filled < len(self._segments[-1]) and not self._fill():
                return None
            if len(self._segments) == len(self._sizes):
                break
            self._segments.append(bytearray(self._sizes[len(self._segments)]))
            self._filled = 0
        head, segments = self._head, self._segments
        self._sizes, self._head, self._segments, self._filled = None, None, [], 0
        return head, segments

    def _begin(self) -> bool:
        buffer = self._buffer
        if len(buffer) < _HEAD.size:
            return False
        length, count = _HEAD.unpack_from(buffer)
        start = _HEAD.size + 8 * count
        if len(buffer) < start + length:
            return False
        self._sizes = list(struct.unpack_from(f"<{count}Q", buffer, _HEAD.size))
        self._head = marshal.loads(memoryview(buffer)[start : start + length])
        del buffer[: start + length]
        return True

    def _fill(self) -> bool:
        """Into the last segment, of what was read with the head."""
        segment = self._segments[-1]
        taken = self._buffer[: len(segment) - self._filled]
        segment[self._filled : self._filled + len(taken)] = taken
        del self._buffer[: len(taken)]
        self._filled += len(taken)
        return self._filled == len(segment)


# --- values ---


class Pickled(tuple):  # type: ignore[type-arg]
    """(pickle, parts): a value that is passed on as it came.  The core makes one of a pickled message, and a message of one."""

    __slots__ = ()

    def __reduce__(self) -> "Any":
        """Inside another value: whoever rebuilds that rebuilds this too."""
        from csp._pickling import loads

        return loads, (self[0], self[1])


def pack(value: "Any", segments: "Segments", describe: "Callable[[Any], tuple[Any, ...]]") -> "tuple[Any, ...]":
    """The value for a frame; what is bulky is added to `segments`.  `describe` is asked about what is no memory.

    Raises what pickling raises.
    """
    kind = type(value)
    if kind in _PLAIN or (kind is bytes and len(value) <= _SHORT):
        return "v", value
    if kind is Pickled:
        data, parts = value
    else:
        from csp._pickling import dumps

        data, parts = dumps(value)
    if len(data) > _SHORT:
        segments.append(data)
        data = len(segments) - 1
    return "p", data, [_part(part, segments, describe) for part in parts]


def _part(part: "Any", segments: "Segments", describe: "Callable[[Any], tuple[Any, ...]]") -> "tuple[Any, ...]":
    kind = type(part).__name__
    if kind == "PickleBuffer":
        raw = part.raw()
        segments.append(raw)
        return "b", len(segments) - 1, raw.readonly
    if kind == "memoryview":
        segments.append(part.cast("B") if part.c_contiguous and part.nbytes else part.tobytes())
        return "m", len(segments) - 1, part.readonly, part.format, part.shape
    return describe(part)


def unpack(value: "tuple[Any, ...]", segments: "list[bytearray]", find: "Callable[[tuple[Any, ...]], Any]") -> "Any":
    """A plain value, what `find` makes of what the other side described, or the `Pickled`."""
    if value[0] == "v":
        return value[1]
    if value[0] == "o":
        return find(value)
    _, data, parts = value
    if type(data) is int:
        data = bytes(segments[data])
    return Pickled((data, [_whole(part, segments, find) for part in parts]))


def _whole(part: "tuple[Any, ...]", segments: "list[bytearray]", find: "Callable[[tuple[Any, ...]], Any]") -> "Any":
    if part[0] not in ("b", "m"):
        return find(part)
    view = memoryview(segments[part[1]])
    if part[0] == "m" and part[3][-1] != "x":  # raw items stay bytes: of what they are, who uses them has a word of its own
        view = view.cast("B", (view.nbytes,)).cast(part[3], part[4]) if view.nbytes else memoryview(bytearray()).cast(part[3])
    return view.toreadonly() if part[2] else view
