"""Channels, leases, select and timers as the process of an actor has them: stand-ins."""

from csp._process.line import NOTHING, Standing, core_call, pack, request, seconds_of
from csp._process.wire import Segments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator
    from typing import Any, Literal, Self



class Handle(Standing):
    __slots__ = ()

    __class_getitem__: "Any" = classmethod(type(list[int]))

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

    async def __aenter__(self) -> "Self":
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()


class _Sends(Handle):
    __slots__ = ()

    def send(self, value: object, timeout: "float | None" = None) -> None:
        seconds = seconds_of(timeout)
        segments = Segments()
        packed = pack(value, segments)
        request("send", self._which, packed, seconds, segments=segments, channel=self)

    def send_nowait(self, value: object, /) -> None:
        self._do("send_nowait", value)

    def asend(self, value: object, /) -> "Coroutine[Any, Any, None]":
        from csp import _awaiting

        return _awaiting.asend(self, value)  # type: ignore[arg-type]

    def send_many(self, values: "Iterable[object]", timeout: "float | None" = None) -> int:
        seconds = seconds_of(timeout)
        segments = Segments()
        packed = [pack(value, segments) for value in values]
        return request("send_many", self._which, packed, seconds, segments=segments, channel=self)  # type: ignore[no-any-return]


class _Receives(Handle):
    __slots__ = ()
    waits = True

    def recv(self, timeout: "float | None" = None) -> "Any":
        return request("recv", self._which, seconds_of(timeout), channel=self)

    def recv_nowait(self, default: "Any" = NOTHING) -> "Any":
        from csp.errors import WouldBlock

        try:
            return self._do("recv_nowait")
        except WouldBlock:
            if default is NOTHING:
                raise
            return default

    def arecv(self) -> "Coroutine[Any, Any, Any]":
        from csp import _awaiting

        return _awaiting.arecv(self)  # type: ignore[arg-type]

    def __aiter__(self) -> "Self":
        return self

    def __anext__(self) -> "Coroutine[Any, Any, Any]":
        from csp import _awaiting

        return _awaiting.anext(self)  # type: ignore[arg-type]

    def recv_many(self, limit: int, timeout: "float | None" = None) -> "list[Any]":
        if not isinstance(limit, int) or limit < 1:
            self._do("recv_many", limit, 0)  # raises what is wrong with it
        return request("recv_many", self._which, limit, seconds_of(timeout), channel=self)  # type: ignore[no-any-return]

    def lease(self, timeout: "float | None" = None) -> "Lease":
        return Lease(self, seconds_of(timeout))

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
        return core_call("Channel", capacity, **options)

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
        which, self.deliveries, value = request("lease", self._handle._which, self._timeout, channel=self._handle)
        self._used = True
        self._lease = Standing(which, which)
        return value

    def __exit__(self, kind: object, error: object, traceback: object) -> "Literal[False]":
        if self._lease is not None:
            self._lease._do("__exit__", None if kind is None else True, None, None)
            self._lease = None
        return False


# --- select ---


def select(cases: "Iterable[Any]", *, timeout: "float | None" = None, priority: bool = False) -> "Any":
    from csp._core import Selected

    listed = list(cases)
    seconds = seconds_of(timeout)
    segments = Segments()
    wired = [case_of(case, segments) for case in listed]
    if seconds is None and all(case is None for case in wired):
        raise ValueError("select without an enabled case and without a timeout would wait for ever")
    if not any(case is not None for case in wired):
        _core_sleep(seconds or 0.0)
        return Selected(None, None, -1)
    return selected(listed, lambda: request("select", wired, seconds, priority, segments=segments))


def selected(listed: "list[Any]", outcome: "Callable[[], Any]") -> "Any":
    """What a select over these cases returns or raises, if the bridge has answered this."""
    from csp._core import Selected
    from csp.errors import CspError, EndOfChannel

    try:
        index, value = outcome()
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


def case_of(case: "Any", segments: Segments) -> "Any":
    if case is None:
        return None
    if isinstance(case, tuple) and len(case) == 2:
        if not isinstance(case[0], _Sends):
            raise TypeError("a case is a channel to receive from, a pair (channel, value) to send, or None")
        return case[0]._which, pack(case[1], segments)
    offer = getattr(case, "__csp_case__", None)
    if offer is not None:
        case = offer()
    if not getattr(case, "waits", False):
        raise TypeError("a case is a channel to receive from, a pair (channel, value) to send, or None")
    return case._which


class Selector:
    __module__ = "csp"

    def __init__(self, cases: "Iterable[Any]") -> None:
        self._cases = list(cases)
        for case in self._cases:
            case_of(case, Segments())

    def select(self, *, timeout: "float | None" = None, priority: bool = False) -> "Any":
        return select(self._cases, timeout=timeout, priority=priority)


def sleep(seconds: "Any", /) -> None:
    length = seconds_of(seconds)
    if seconds is None:
        raise TypeError("sleep takes a number of seconds")
    _core_sleep(float("inf") if length is None else length)


def _core_sleep(seconds: float) -> None:
    never = core_call("never")
    select([never], timeout=None if seconds == float("inf") else seconds)


STAND_INS = (Channel, SendChannel, RecvChannel)
