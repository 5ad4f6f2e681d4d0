"""The socket of an actor's process to its bridge: requests, their answers, and the values in both.

A thread that waits for its answer reads the socket for all the others that wait: there is no thread of ours in the process, before an
event loop needs one (awaiting.py).
"""

import atexit
import os
import socket
import sys
import threading
from collections import deque

from csp._process import wire
from csp._process.wire import Segments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from csp._process.awaiting import Wait

KINDS: "dict[str, Any]" = {}  # what the bridge calls a thing -> the class of its stand-in
NOTHING = object()


class Line:
    """The socket to the bridge, for all threads of this process."""

    def __init__(self, fd: int) -> None:
        self.sock = socket.socket(fileno=fd)
        self.sock.set_inheritable(False)
        self.incoming, self.outgoing = wire.Incoming(self.sock), wire.Outgoing(self.sock)
        self.writing = threading.Lock()
        self.dropped: deque[int] = deque()  # stand-ins that are gone, to be told with the next frame
        self.changed = threading.Condition(threading.Lock())
        self.reading = False  # guarded by changed: a thread reads for all
        self.answers: dict[int, Any] = {}  # guarded by changed: for those who wait; None: not yet
        self.waits: dict[int, Wait] = {}  # guarded by changed: for event loops
        self.turn: Callable[[], None] | None = None  # what to do when the bridge asks for a sign of life; set once
        self.reader: threading.Thread | None = None  # that of an event loop; set once
        self.over = False  # the process ends in order; set before the socket is shut down
        self.count = 0  # guarded by changed
        self.pid = os.getpid()

    def write(self, head: "tuple[Any, ...]", segments: Segments | None) -> None:
        if os.getpid() != self.pid:
            from csp.errors import ForkedError

            raise ForkedError("what an actor's process has of csp is not for the child of a fork")
        with self.writing:
            self._tell_dropped()
            self.outgoing.add(head, Segments() if segments is None else segments)
            self.outgoing.flush()
        self.tell_dropped()

    def tell_dropped(self) -> None:
        """At once, unless a thread is writing, this one perhaps: then that one does it when it is done."""
        while self.dropped and self.writing.acquire(blocking=False):
            try:
                self._tell_dropped()
                self.outgoing.flush()
            except OSError:
                return
            finally:
                self.writing.release()

    def _tell_dropped(self) -> None:
        gone = []
        while self.dropped:
            gone.append(self.dropped.popleft())
        if gone:
            self.outgoing.add((0, "drop", gone), Segments())

    def request(self, operation: str, *arguments: object, segments: Segments | None = None) -> "Any":
        """What the bridge answers: (head, segments)."""
        with self.changed:
            self.count += 1
            number = self.count
            self.answers[number] = None
        try:
            self.write((number, operation, *arguments), segments)
            return self._answer(number)
        finally:
            with self.changed:
                del self.answers[number]

    def _answer(self, number: int) -> "Any":
        changed = self.changed
        with changed:
            while self.answers[number] is None:
                if self.reading:
                    changed.wait()
                    continue
                self.reading = True
                changed.release()
                try:
                    found = self._read()
                finally:
                    changed.acquire()
                    self.reading = False
                    changed.notify_all()
                if found is None:
                    raise SystemExit  # in a daemon thread, while the process ends
                self.deliver(found)
            return self.answers[number]

    def deliver(self, found: "Any") -> None:
        """`changed` is held, and its waiters are told by the caller."""
        number = found[0][0]
        if number in self.answers:
            self.answers[number] = found
        elif number in self.waits:
            self.waits.pop(number).arrive(found)
        elif number == 0 and self.turn is not None:
            self.turn()

    def read_for_all(self) -> None:
        """The life of the thread that an event loop needs."""
        with self.changed:
            while self.reading:
                self.changed.wait()
            self.reading = True
        while self._read_one():
            pass

    def _read_one(self) -> bool:  # of its own, so that what has come, and the memory in it, does not stay until more comes
        found = self._read()
        if found is None:
            return False
        with self.changed:
            self.deliver(found)
            self.changed.notify_all()
        return True

    def end(self) -> None:
        self.over = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)  # a thread may be reading it: then closing it alone would not be noticed
        except OSError:
            pass
        if self.reader is not None:
            self.reader.join()
        self.sock.close()

    def _read(self) -> "tuple[Any, Segments] | None":
        """None: this process is about to end, and has said so."""
        while True:
            try:
                found = self.incoming.frame()
                if found is not None:
                    return found
                more = self.incoming.read()
            except OSError:
                more = False
            except Exception:  # memory or files are lacking, and what has come is lost
                sys.excepthook(*sys.exc_info())
                more = False
            if not more:
                if self.over:
                    return None
                os._exit(70)  # the other process is gone, or has given this actor up: so has everybody


_line: "Line"
hello: "Any" = None


def begin(fd: int) -> "list[str]":
    """Take the descriptor; the sys.path of the program."""
    global _line, hello
    _line = Line(fd)
    atexit.register(_line.end)  # after all that the user's code registers
    hello = _line._read()  # not None: nothing has ended yet
    path: list[str] = hello[0][0]
    return path


def tell(operation: str, *arguments: object, segments: Segments | None = None) -> None:
    """A request that has no answer."""
    _line.write((0, operation, *arguments), segments)


# --- for event loops ---


def read_always(turn: "Callable[[], None]") -> None:
    """From now on a thread reads the line."""
    with _line.changed:
        if _line.turn is not None:
            return
        _line.turn = turn
        _line.reader = threading.Thread(target=_line.read_for_all, name="csp line", daemon=True)
    _line.reader.start()


def begin_wait(wait: "Wait", operation: str, arguments: "tuple[object, ...]", segments: Segments | None) -> int:
    with _line.changed:
        _line.count += 1
        number = _line.count
        _line.waits[number] = wait
    try:
        _line.write((number, "later", operation, *arguments), segments)
    except BaseException:
        forget_wait(number)
        raise
    return number


def forget_wait(number: int) -> None:
    with _line.changed:
        _line.waits.pop(number, None)


# --- values and requests ---


def pack(value: "Any", segments: Segments) -> "tuple[Any, ...]":
    from csp import _pickling
    from csp.errors import CspError, NotShareable

    if isinstance(value, Standing):
        return describe(value, segments)
    try:
        return wire.pack(value, segments, describe)
    except (CspError, MemoryError):
        raise
    except Exception as error:
        raise NotShareable(_pickling.explain(value, error)) from error


def describe(thing: "Any", segments: Segments) -> "tuple[Any, ...]":
    return "o", thing._which


def find(part: "tuple[Any, ...]", segments: Segments) -> object:
    _, which, kind, *more = part
    if kind == "SharedBuffer":  # which comes with its file
        more[1] = segments.files[more[1]]
    elif kind == "Condition":
        more[1] = find(more[1], segments)
    return KINDS[kind](which, *more)


def unpack(packed: "tuple[Any, ...]", segments: Segments) -> "Any":
    kind = packed[0]
    if kind == "v":
        return packed[1]
    if kind == "t":
        return *packed[1], unpack(packed[2], segments)
    if kind == "l":
        return [unpack(each, segments) for each in packed[1]]
    if kind in ("o", "b"):
        return wire.unpack(packed, segments, find)
    value: Any = None
    try:
        from csp._pickling import loads

        value = wire.unpack(packed, segments, find)
        return loads(*value)
    except Exception as error:
        from csp.errors import DecodeError

        wrapped = DecodeError(f"the value arrived but could not be rebuilt here: {type(error).__name__}: {error}")
        reply = wire.asker(value)
        if reply is not None:
            wrapped._reply = reply  # type: ignore[attr-defined]
        raise wrapped from error


def request(operation: str, *arguments: object, segments: Segments | None = None, channel: object = None) -> "Any":
    head, received = _line.request(operation, *arguments, segments=segments)
    return outcome(head, received, channel)


def outcome(head: "Any", received: Segments, channel: object) -> "Any":
    """What the bridge has answered: the value, or the exception raised."""
    if head[1]:
        try:
            return unpack(head[2], received)
        except Exception as error:
            if hasattr(error, "channel"):
                error.channel = channel
            raise
    _, _, name, text, extra, cause = head
    raise _error(name, text, extra, cause, received, channel)


def _error(name: str, text: str, extra: "dict[str, Any]", cause: "Any", received: Segments, channel: object) -> BaseException:
    import builtins

    from csp import errors

    cls = getattr(errors, name, None) or getattr(builtins, name, None)
    if not isinstance(cls, type) or not issubclass(cls, BaseException):
        cls, text = RuntimeError, f"{name}: {text}"
    error: BaseException = cls(text)
    if isinstance(error, errors.CspError):
        error.channel = channel
        for key, value in extra.items():
            setattr(error, key, value)
        if isinstance(error, errors.DecodeError) and (reply := unpack(cause, received)) is not None:
            error._reply = reply  # type: ignore[attr-defined]
        if isinstance(error, errors.EndOfChannel):
            try:
                error.cause = unpack(cause, received)
            except errors.DecodeError:
                pass
    return error


def core_call(name: str, /, *args: object, **kwargs: object) -> "Any":
    segments = Segments()
    packed = [pack(arg, segments) for arg in args]
    return request("core", name, packed, kwargs, segments=segments)


def seconds_of(timeout: "Any") -> "float | None":
    """As the bridge wants it, after the checks that the core makes."""
    if timeout is None:
        return None
    if not isinstance(timeout, (int, float)):
        if not hasattr(timeout, "__float__") and not hasattr(timeout, "__index__"):
            raise TypeError(f"timeout must be a number of seconds or None, not {type(timeout).__name__}")
    try:
        seconds = float(timeout)
    except OverflowError:
        seconds = float("inf") if timeout > 0 else -1.0
    if not seconds >= 0.0:
        raise ValueError(f"timeout must not be negative or NaN, not {timeout!r}")
    return None if seconds == float("inf") else seconds


# --- stand-ins ---


class Standing:
    """What all stand-ins are: the bridge's number of the thing, and what tells two of the same thing that they are equal."""

    __slots__ = ("__weakref__", "_same", "_which")
    __module__ = "csp"

    def __init__(self, which: int, same: int) -> None:
        self._which, self._same = which, same

    def __del__(self) -> None:
        try:
            _line.dropped.append(self._which)
            _line.tell_dropped()
        except Exception:  # at the end of the process all of them are dropped anyway
            pass

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._same == self._same

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._same))

    def __reduce__(self) -> "Any":
        from csp.errors import NotShareable

        raise NotShareable(f"a {type(self).__name__} crosses only inside a value sent through a channel, it cannot be pickled or copied")

    def _get(self, name: str) -> "Any":
        return request("get", self._which, name, channel=self)

    def _do(self, name: str, /, *args: object, **kwargs: object) -> "Any":
        segments = Segments()
        packed = [pack(arg, segments) for arg in args]
        return request("call", self._which, name, packed, kwargs, segments=segments, channel=self)
