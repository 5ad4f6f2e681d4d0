"""The core as the process of an actor has it: stand-ins for what lives in the process that spawned it.

`install` puts them into csp._core, under the names of what they stand for, before the rest of csp is imported; so all of csp, and
the user's code, is the same there.  Each operation is a request to the bridge.  A thread that waits for its answer reads the
socket for all the others that wait: there is no thread of ours here.
"""

import os
import socket
import sys
import threading
from collections import deque

from csp._process import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import GenericAlias
    from typing import Any, Self

    from csp._process.wire import Segments

_Function = type(lambda: None)
_NO_START = "no start"  # in the place of a RemoteError that is the bridge's to make


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
        self.count = 0  # guarded by changed
        self.pid = os.getpid()

    def write(self, head: "tuple[Any, ...]", segments: "Segments") -> None:
        if os.getpid() != self.pid:
            from csp.errors import ForkedError

            raise ForkedError("what an actor's process has of csp is not for the child of a fork")
        with self.writing:
            self._tell_dropped()
            self.outgoing.add(wire.frame(head, segments))
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
            self.outgoing.add(wire.frame((0, "drop", gone), []))

    def request(self, operation: str, *arguments: object, segments: "Segments | None" = None) -> "Any":
        """What the bridge answers: (head, segments)."""
        with self.changed:
            self.count += 1
            number = self.count
            self.answers[number] = None
        try:
            self.write((number, operation, *arguments), segments or [])
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
                if found[0][0] in self.answers:
                    self.answers[found[0][0]] = found
            return self.answers[number]

    def _read(self) -> "tuple[Any, list[bytearray]]":
        while (found := self.incoming.frame()) is None:
            try:
                more = self.incoming.read()
            except OSError:
                more = False
            if not more:  # the other process is gone, or has given this actor up: so has everybody
                os._exit(70)
        return found


line: "Line"
_hello: "Any" = None


def begin(fd: int) -> "list[str]":
    """Take the descriptor; the sys.path of the program."""
    global line, _hello
    line = Line(fd)
    _hello = line._read()
    path: list[str] = _hello[0][0]
    return path


# --- values and requests ---


def _pack(value: "Any", segments: "Segments") -> "tuple[Any, ...]":
    from csp import _pickling
    from csp.errors import CspError, NotShareable

    if isinstance(value, Standing):
        return _describe(value)
    try:
        return wire.pack(value, segments, _describe)
    except (CspError, MemoryError):
        raise
    except Exception as error:
        raise NotShareable(_pickling.explain(value, error)) from error


def _describe(thing: "Any") -> "tuple[Any, ...]":
    return "o", thing._which


def _find(part: "tuple[Any, ...]") -> object:
    return _kinds[part[2]](part[1], *part[3:])


def _unpack(packed: "tuple[Any, ...]", segments: "list[bytearray]") -> "Any":
    kind = packed[0]
    if kind == "v":
        return packed[1]
    if kind == "t":
        return *packed[1], _unpack(packed[2], segments)
    if kind == "l":
        return [_unpack(each, segments) for each in packed[1]]
    value = wire.unpack(packed, segments, _find)
    if kind == "o":
        return value
    try:
        from csp._pickling import loads

        return loads(*value)
    except Exception as error:
        from csp.errors import DecodeError

        wrapped = DecodeError(f"the value arrived but could not be rebuilt here: {type(error).__name__}: {error}")
        if b"csp._calls" in value[0]:  # a request: who asked is to hear of it
            senders = [part for part in value[1] if type(part) is SendChannel]
            if len(senders) == 1:
                wrapped._reply = senders[0]  # type: ignore[attr-defined]
        raise wrapped from error


def _request(operation: str, *arguments: object, segments: "Segments | None" = None, channel: object = None) -> "Any":
    head, received = line.request(operation, *arguments, segments=segments)
    if head[1]:
        try:
            return _unpack(head[2], received)
        except Exception as error:
            if hasattr(error, "channel"):
                error.channel = channel
            raise
    _, _, name, text, extra, cause = head
    raise _error(name, text, extra, cause, received, channel)


def _error(name: str, text: str, extra: "dict[str, Any]", cause: "Any", received: "list[bytearray]", channel: object) -> BaseException:
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
        if isinstance(error, errors.EndOfChannel):
            try:
                error.cause = _unpack(cause, received)
            except errors.DecodeError:
                pass
    return error


def _core_call(name: str, /, *args: object, **kwargs: object) -> "Any":
    segments: Segments = []
    packed = [_pack(arg, segments) for arg in args]
    return _request("core", name, packed, kwargs, segments=segments)


def _seconds(timeout: "Any") -> "float | None":
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
            line.dropped.append(self._which)
            line.tell_dropped()
        except Exception:  # at the end of the process all of them are dropped anyway
            pass

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._same == self._same  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._same))

    def __reduce__(self) -> "Any":
        from csp.errors import NotShareable

        raise NotShareable(f"a {type(self).__name__} crosses only inside a value sent through a channel, it cannot be pickled or copied")

    def _get(self, name: str) -> "Any":
        return _request("get", self._which, name, channel=self)

    def _do(self, name: str, /, *args: object, **kwargs: object) -> "Any":
        segments: Segments = []
        packed = [_pack(arg, segments) for arg in args]
        return _request("call", self._which, name, packed, kwargs, segments=segments, channel=self)


class Handle(Standing):
    __slots__ = ()

    @classmethod
    def __class_getitem__(cls, item: object) -> "GenericAlias":
        return type(list[int])(cls, item)

    def __repr__(self) -> str:
        return f"<csp.{type(self).__name__} {self._same} of another process>"

    @property
    def id(self) -> int:
        return self._same

    capacity = property(lambda self: self._get("capacity"))
    name = property(lambda self: self._get("name"))
    closed = property(lambda self: self._get("closed"))

    def __len__(self) -> int:
        return self._do("__len__")  # type: ignore[no-any-return]

    def __bool__(self) -> bool:
        return True

    def clone(self) -> "Self":
        return self._do("clone")  # type: ignore[no-any-return]

    def close(self, cause: object = None) -> None:
        self._do("close", cause)

    def statistics(self) -> "Any":
        return self._do("statistics")

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Sends(Handle):
    __slots__ = ()

    def send(self, value: object, timeout: "float | None" = None) -> None:
        seconds = _seconds(timeout)
        segments: Segments = []
        packed = _pack(value, segments)
        _request("send", self._which, packed, seconds, segments=segments, channel=self)

    def send_nowait(self, value: object, /) -> None:
        self._do("send_nowait", value)

    def send_many(self, values: "Iterable[object]", timeout: "float | None" = None) -> int:
        seconds = _seconds(timeout)
        segments: Segments = []
        packed = [_pack(value, segments) for value in values]
        return _request("send_many", self._which, packed, seconds, segments=segments, channel=self)  # type: ignore[no-any-return]


_nothing = object()


class _Receives(Handle):
    __slots__ = ()

    def recv(self, timeout: "float | None" = None) -> "Any":
        return _request("recv", self._which, _seconds(timeout), channel=self)

    def recv_nowait(self, default: "Any" = _nothing) -> "Any":
        from csp.errors import WouldBlock

        try:
            return self._do("recv_nowait")
        except WouldBlock:
            if default is _nothing:
                raise
            return default

    def recv_many(self, limit: int, timeout: "float | None" = None) -> "list[Any]":
        if not isinstance(limit, int) or limit < 1:
            self._do("recv_many", limit, 0)  # raises what is wrong with it
        return _request("recv_many", self._which, limit, _seconds(timeout), channel=self)  # type: ignore[no-any-return]

    def lease(self, timeout: "float | None" = None) -> "Lease":
        return Lease(self, _seconds(timeout))

    def __iter__(self) -> "Iterator[Any]":
        return self

    def __next__(self) -> "Any":
        from csp.errors import EndOfChannel

        try:
            return self.recv()
        except EndOfChannel:
            raise StopIteration from None


class Channel(_Sends, _Receives):
    __slots__ = ()
    sender = property(lambda self: self._get("sender"))
    receiver = property(lambda self: self._get("receiver"))

    def __new__(cls, capacity: "Any" = 0, *more: "Any", **options: "Any") -> "Any":
        if more:  # from the wire: (which, id)
            return object.__new__(cls)
        capacity = options.pop("capacity", capacity)
        if options.pop("local", False):
            raise NotImplementedError("a local channel is for one interpreter: in the process of an actor use queue.Queue")
        return _core_call("Channel", capacity, **options)

    def __init__(self, *args: "Any", **options: "Any") -> None:
        if len(args) == 2:
            super().__init__(*args)


class SendChannel(_Sends):
    __slots__ = ()


class RecvChannel(_Receives):
    __slots__ = ()


class Lease:
    """As the core's: a context manager."""

    __module__ = "csp"

    def __init__(self, handle: _Receives, timeout: "float | None") -> None:
        self._handle, self._timeout = handle, timeout
        self._lease: Standing | None = None
        self._used = False
        self.deliveries = 0

    def __enter__(self) -> "Any":
        if self._used:
            raise RuntimeError("a lease is for one `with` block: make a new one")
        which, self.deliveries, value = _request("lease", self._handle._which, self._timeout, channel=self._handle)
        self._used = True
        self._lease = Standing(which, which)
        return value

    def __exit__(self, kind: object, error: object, traceback: object) -> bool:
        if self._lease is not None:
            self._lease._do("__exit__", None if kind is None else True, None, None)
            self._lease = None
        return False


# --- select ---


def select(cases: "Iterable[Any]", *, timeout: "float | None" = None, priority: bool = False) -> "Any":
    from csp._core import Selected
    from csp.errors import CspError, EndOfChannel

    listed = list(cases)
    seconds = _seconds(timeout)
    segments: Segments = []
    wired = [_case(case, segments) for case in listed]
    if seconds is None and all(case is None for case in wired):
        raise ValueError("select without an enabled case and without a timeout would wait for ever")
    if not any(case is not None for case in wired):
        _core_sleep(seconds or 0.0)
        return Selected(None, None, -1)
    try:
        index, value = _request("select", wired, seconds, priority, segments=segments)
    except CspError as error:
        if error.index is not None:
            case = listed[error.index]
            error.channel = case[0] if isinstance(case, tuple) else case
            result = getattr(error.channel, "__csp_result__", None)
            if result is not None and isinstance(error, EndOfChannel):
                return Selected(error.channel, result(None, error), error.index)
        raise
    if index < 0:
        return Selected(None, None, -1)
    case = listed[index]
    if isinstance(case, tuple):
        return Selected(case[0], None, index)
    result = getattr(case, "__csp_result__", None)
    return Selected(case, value if result is None else result(value, None), index)


def _case(case: "Any", segments: "Segments") -> "Any":
    if case is None:
        return None
    if isinstance(case, tuple) and len(case) == 2:
        if not isinstance(case[0], _Sends):
            raise TypeError("a case is a channel to receive from, a pair (channel, value) to send, or None")
        return case[0]._which, _pack(case[1], segments)
    offer = getattr(case, "__csp_case__", None)
    if offer is not None:
        case = offer()
    if not isinstance(case, (_Receives, Waited)):
        raise TypeError("a case is a channel to receive from, a pair (channel, value) to send, or None")
    return case._which


class Selector:
    __module__ = "csp"

    def __init__(self, cases: "Iterable[Any]") -> None:
        self._cases = list(cases)
        for case in self._cases:
            _case(case, [])

    def select(self, *, timeout: "float | None" = None, priority: bool = False) -> "Any":
        return select(self._cases, timeout=timeout, priority=priority)


def sleep(seconds: "Any", /) -> None:
    length = _seconds(seconds)
    if seconds is None:
        raise TypeError("sleep takes a number of seconds")
    _core_sleep(float("inf") if length is None else length)


def _core_sleep(seconds: float) -> None:
    never = _core_call("never")
    select([never], timeout=None if seconds == float("inf") else seconds)


# --- actors ---


class Verb:
    """`ref.call`, `ref.ask`, `ref.cast`."""

    __slots__ = ("_ref", "_timeout", "_verb")

    def __init__(self, ref: "Actor", verb: str, timeout: "float | None" = None) -> None:
        self._ref, self._verb, self._timeout = ref, verb, timeout

    def __repr__(self) -> str:
        return f"<{self._verb} of {self._ref!r}>"

    def __call__(self, *args: object, timeout: "Any" = _nothing) -> "Verb":
        if args or timeout is _nothing:
            raise TypeError(f"name the method: ref.{self._verb}.method(...), or ref.{self._verb}(timeout=...).method(...)")
        return Verb(self._ref, self._verb, _seconds(timeout))

    def __getattr__(self, method: str) -> "Callable[..., Any]":
        if method[:1] == "_":
            raise AttributeError(f"{method} is private: only public methods of an actor can be called")
        if not self._ref._serves:
            raise TypeError(f"{self._ref.name} is a function: it takes send(), only class actors answer calls")

        def ask(*args: object, **kwargs: object) -> "Any":
            return self._ask(method, args, kwargs)

        return ask

    def _ask(self, method: str, args: "tuple[object, ...]", kwargs: "dict[str, object]") -> "Any":
        from time import monotonic

        from csp import _calls
        from csp.errors import ActorDied, BrokenChannel, DeadlockError, EndOfChannel, Timeout

        ref, timeout = self._ref, self._timeout
        until = None if timeout is None else monotonic() + timeout
        if self._verb == "call" and ref == _hello_ref:
            raise DeadlockError(f"{ref.name}.{method}: an actor cannot wait for its own answer")
        sender, receiver = (None, None) if self._verb == "cast" else _core_call("reply_channel")
        try:
            ref._sender().send(_calls.Request((method, args, kwargs, sender)), timeout)
        except BrokenChannel:
            raise ActorDied(f"{ref.name} takes no more messages: it has ended, or is ending") from None
        except Timeout:
            raise Timeout(f"{ref.name}: no room in the mailbox within {timeout} s; {method} was not asked") from None
        finally:
            if sender is not None:
                sender.close()
        if receiver is None:
            return None
        if self._verb == "ask":
            return _calls.Reply(ref, method, receiver)  # type: ignore[arg-type]
        try:
            answer = receiver.recv(None if until is None else max(0.0, until - monotonic()))
        except EndOfChannel as end:
            raise _calls._died(ref, method, end) from None  # type: ignore[arg-type]
        except Timeout:
            raise Timeout(f"{ref.name}.{method} did not answer within {timeout} s; it may have run") from None
        finally:
            receiver.close()
        return _calls._unwrap(ref, method, answer)  # type: ignore[arg-type]


class Actor(Standing):
    """The base of csp.ActorRef."""

    __slots__ = ("_serves", "name")

    def __init__(self, which: int, same: int, name: str, serves: bool) -> None:
        super().__init__(which, same)
        self.name, self._serves = name, serves

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Actor) and other._same == self._same

    __hash__ = Standing.__hash__

    @property
    def id(self) -> int:
        return self._same

    alive = property(lambda self: self._get("alive"))
    epoch = property(lambda self: self._get("epoch"))
    call = property(lambda self: Verb(self, "call"))
    ask = property(lambda self: Verb(self, "ask"))
    cast = property(lambda self: Verb(self, "cast"))

    def _keep(self, mode: int, /) -> None:
        self._do("_keep", mode)


def _far_method(name: str) -> "Any":
    def method(self: Actor) -> "Any":
        return self._do(name)

    method.__name__ = name
    return method


for _name in """_close_inbox _done _figures _cpu_seconds _monitor _sender _inbox _stopping _parent _ask_stop _kill _quarantine
    _returned _start_error""".split():
    setattr(Actor, _name, _far_method(_name))


# --- this actor ---

_hello_ref: "Any" = None


def boot_ref() -> "Any":
    global _hello_ref
    if _hello_ref is None:
        _hello_ref = _find(_hello[0][1])
    return _hello_ref


def boot_payload() -> "Any":
    return _unpack(_hello[0][2], _hello[1])


def boot_exit(end: "Any", returned: bool, failed: bool) -> None:
    segments: Segments = []
    packed = _pack(end.value, segments)
    remote = None if end.remote is None else _plain(end.remote)
    _request("exit", end.reason, packed, remote, returned, failed, segments=segments)


def _plain(remote: "Any") -> "Any":
    """A RemoteError as tuples."""
    return tuple(_plain(item) if type(item).__name__ == "RemoteError" else item for item in remote)


def run_body(function: "Any", args: "tuple[Any, ...]", kwargs: "dict[str, Any]", /) -> "tuple[bool, Any]":
    line.write((0, "begin"), [])
    try:
        return True, function(*args, **kwargs)
    except BaseException as error:
        return False, error


_handled = False  # a message, since the last `next`


def serve(instance: object, inbox: "Any", other: "Callable[[Any], object]", refuse: "Callable[[Any], object]", fail: "Any") -> bool:
    global _handled
    from csp._calls import Request
    from csp._serving import _handle_call
    from csp.errors import DecodeError

    done, _handled = _handled, False
    try:
        found = _request("next", inbox._which, done, channel=inbox)
    except DecodeError as error:
        refuse(error)
        _handled = True
        return True
    if found is None:
        return False
    message = found[1]
    if type(message) is Request and message[3] is not None:
        _handle_call(instance, message, None)
    else:
        other(message)
    _handled = True
    return True


def answer(reply: "Any", ok: bool, value: "Any", /) -> None:
    segments: Segments = []
    try:
        packed = _pack((ok, value), segments)
    except Exception as error:
        from csp.errors import NotShareable

        if isinstance(error, NotShareable) and str(error).startswith("value[1]"):
            raise NotShareable("value" + str(error).removeprefix("value[1]")) from error.__cause__
        raise
    line.write((0, "answer", reply._which, packed), segments)


def boot_alive() -> None:
    _core_call("boot_alive")


# --- csp.sync ---


class Waited(Standing):
    """A primitive that a select can wait for."""

    __slots__ = ()
    __module__ = "csp"

    def __new__(cls, *args: "Any") -> "Any":
        if len(args) == 2:  # from the wire
            return object.__new__(cls)
        return _core_call(cls.__name__, *args)

    def __init__(self, *args: "Any") -> None:
        if len(args) == 2:
            super().__init__(*args)

    waiting = property(lambda self: self._get("waiting"))

    def _wait(self, blocking: bool, timeout: "float | None") -> bool:
        return select([self], timeout=timeout if blocking else 0).index == 0  # type: ignore[no-any-return]


class Acquired(Waited):
    __slots__ = ()

    def acquire(self, blocking: bool = True, timeout: "float | None" = None) -> bool:
        if timeout == -1:
            timeout = None
        if not blocking and timeout is not None:
            raise ValueError("can't specify a timeout for a non-blocking call")
        return self._wait(blocking, timeout)

    def release(self, *n: int) -> None:
        self._do("release", *n)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()


class Lock(Acquired):
    __slots__ = ()
    owner_died = property(lambda self: self._get("owner_died"))

    def locked(self) -> bool:
        return self._do("locked")  # type: ignore[no-any-return]


class Semaphore(Acquired):
    __slots__ = ()


class BoundedSemaphore(Acquired):
    __slots__ = ()


class Event(Waited):
    __slots__ = ()

    def set(self) -> None:
        self._do("set")

    def clear(self) -> None:
        self._do("clear")

    def is_set(self) -> bool:
        return self._do("is_set")  # type: ignore[no-any-return]

    def wait(self, timeout: "float | None" = None) -> bool:
        return self._wait(True, timeout)


class WaitGroup(Waited):
    __slots__ = ()

    def add(self, n: int = 1) -> None:
        self._do("add", n)

    def done(self) -> None:
        self._do("done")

    def wait(self, timeout: "float | None" = None) -> bool:
        return self._wait(True, timeout)


class AtomicInt(Waited):
    __slots__ = ()

    @property
    def value(self) -> int:
        return self._get("value")  # type: ignore[no-any-return]

    @value.setter
    def value(self, value: int) -> None:
        _request("set", self._which, "value", value)

    def add(self, n: int = 1) -> int:
        return self._do("add", n)  # type: ignore[no-any-return]

    def compare_exchange(self, expected: int, new: int) -> bool:
        return self._do("compare_exchange", expected, new)  # type: ignore[no-any-return]


# --- into csp._core ---


def is_part(thing: object, /) -> bool:
    return isinstance(thing, (Standing, memoryview))


def _reducer_override(pickler: "Any", thing: object, /) -> "Any":
    if isinstance(thing, (Standing, memoryview)):
        return pickler.mark(thing)
    if isinstance(thing, (type, _Function)) and thing.__module__ in ("__main__", "__mp_main__"):
        return pickler.of_main(thing)
    return NotImplemented


def encode(value: object, /, *, explain: bool = True) -> object:
    """For csp._pickling's search: can it cross?"""
    wire.pack(value, [], _describe)
    return None


def _set_ref_type(cls: "type[Actor]", /) -> None:
    _kinds["ActorRef"] = cls


def _not_here(name: str) -> "Any":
    def refuse(*args: object, **kwargs: object) -> "Any":
        raise NotImplementedError(f"{name} is not there in the process of an actor")

    refuse.__name__ = name
    return refuse


def spawn_actor(payload: "Any", *rest: "Any") -> "Any":
    """(payload, name, unique, trap_stop, kind, ...): see csp.actors."""
    if rest[3] == 2 and payload[0] != ("csp._process.bridge", "run"):
        raise NotImplementedError("an actor in a process of its own cannot have actors that are threads: there is no engine here")
    return _core_call("spawn_actor", payload, *(_NO_START if type(each).__name__ == "RemoteError" else each for each in rest))


def restart_actor(ref: "Any", payload: "Any", remote: object, warm: object, /) -> "Any":
    return _core_call("restart_actor", ref, payload, _NO_START, warm)


_kinds: "dict[str, Any]" = {
    cls.__name__: cls for cls in (Channel, SendChannel, RecvChannel, Lock, Semaphore, BoundedSemaphore, Event, WaitGroup, AtomicInt)
}
_REQUESTS = """after await_message boot_asked boot_hung channel dead_letter dead_letters find_actor list_actors never reply_channel
    take_stop tick""".split()
_MISSING = "Condition RLock Once share stacks zombies begin_recv begin_send begin_select Loop".split()


def _core_function(name: str) -> "Any":
    def function(*args: object, **kwargs: object) -> "Any":
        return _core_call(name, *args, **kwargs)

    function.__name__ = name
    return function


def install(core: "Any") -> None:
    """Put the stand-ins into the core."""
    names = {name: _core_function(name) for name in _REQUESTS} | {name: _not_here(name) for name in _MISSING}
    names |= {cls.__name__: cls for cls in [*_kinds.values(), Lease, Selector, Verb, Actor]}
    here = (spawn_actor, restart_actor, select, sleep, serve, answer, boot_ref, boot_payload, boot_exit, boot_alive, run_body, is_part, encode)
    names |= {function.__name__: function for function in here}
    names |= {"reducer_override": _reducer_override, "set_ref_type": _set_ref_type, "set_call_hooks": lambda *hooks: None}
    for name, thing in names.items():
        setattr(core, name, thing)
    sys.modules["csp._core"] = core
