"""What there is of csp.sync in the process of an actor: stand-ins for what a select can wait for, and AtomicInt."""

from csp._process.channels import select
from csp._process.line import Standing, core_call, request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Waited(Standing):
    """A primitive that a select can wait for."""

    __slots__ = ()
    __module__ = "csp"
    waits = True

    def __new__(cls, *args: "Any") -> "Any":
        if len(args) == 2:  # from the wire
            return object.__new__(cls)
        return core_call(cls.__name__, *args)

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
    waits = False

    @property
    def value(self) -> int:
        return self._get("value")  # type: ignore[no-any-return]

    @value.setter
    def value(self, value: int) -> None:
        request("set", self._which, "value", value)

    def add(self, n: int = 1) -> int:
        return self._do("add", n)  # type: ignore[no-any-return]

    def compare_exchange(self, expected: int, new: int) -> bool:
        return self._do("compare_exchange", expected, new)  # type: ignore[no-any-return]


STAND_INS = (Lock, Semaphore, BoundedSemaphore, Event, WaitGroup, AtomicInt)
