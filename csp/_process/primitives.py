"""csp.sync in the process of an actor: stand-ins.

Permits are held by the actor, whichever of its threads has acquired them.  Which thread owns an RLock, and how often, is known here.
"""

from threading import get_ident
from time import monotonic

from csp._process.channels import select
from csp._process.line import Standing, core_call, request, seconds_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
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


_owners: "dict[int, list[int]]" = {}  # of RLocks: the thread and how often it has acquired it; changed by the owner only


class RLock(Lock):
    __slots__ = ()
    waits = False

    def acquire(self, blocking: bool = True, timeout: "float | None" = None) -> bool:
        if self._owned():
            _owners[self._same][1] += 1
            return True
        return super().acquire(blocking, timeout)

    def _wait(self, blocking: bool, timeout: "float | None") -> bool:
        if not _wait_for(self, seconds_of(timeout) if blocking else 0.0):
            return False
        _owners[self._same] = [get_ident(), 1]
        return True

    def release(self) -> None:  # type: ignore[override]
        if not self._owned():
            raise RuntimeError("cannot release un-acquired lock")
        owner = _owners[self._same]
        owner[1] -= 1
        if not owner[1]:
            del _owners[self._same]
            self._do("release")

    def _owned(self) -> bool:
        owner = _owners.get(self._same)
        return owner is not None and owner[0] == get_ident()


def _wait_for(primitive: Standing, seconds: "float | None") -> bool:
    """Wait for what is no case of the user's selects."""
    index, _ = request("select", [primitive._which], seconds, False, channel=primitive)
    return index == 0  # type: ignore[no-any-return]


class Condition(Waited):
    __slots__ = ("_lock",)
    waits = False

    def __new__(cls, lock: "Any" = None, *more: "Any") -> "Any":
        if more:  # from the wire: (which, hash, the lock)
            return object.__new__(cls)
        if lock is not None and not isinstance(lock, Lock):
            raise TypeError(f"lock must be a csp.sync.Lock or RLock, not {type(lock).__name__}")
        return core_call("Condition", lock)

    def __init__(self, *args: "Any", lock: "Any" = None) -> None:
        if len(args) == 3:
            super().__init__(*args[:2])
            self._lock: Lock = args[2]

    def acquire(self, blocking: bool = True, timeout: "float | None" = None) -> bool:
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *exc: object) -> None:
        self._lock.release()

    def wait(self, timeout: "float | None" = None) -> bool:
        seconds = seconds_of(timeout)
        self._ensure_owned("wait on")
        which = request("queue", self._which, channel=self)  # and the lock is released
        owner = _owners.pop(self._lock._same, None)
        try:
            index, _ = request("queued", which, seconds, channel=self)
            return index == 0  # type: ignore[no-any-return]
        finally:
            self._take_again(owner)

    def _take_again(self, owner: "list[int] | None") -> None:
        """As often as it was held.  What breaks off the wait, which is a stop, is raised when the lock is ours."""
        from csp.errors import Stopped

        stopped = None
        while True:
            try:
                _wait_for(self._lock, None)
                break
            except Stopped as error:
                stopped = error
        if owner is not None:
            _owners[self._lock._same] = owner
        if stopped is not None:
            raise stopped

    def wait_for(self, predicate: "Callable[[], Any]", timeout: "float | None" = None) -> "Any":
        seconds = seconds_of(timeout)
        until = None if seconds is None else monotonic() + seconds
        late = False
        while not (result := predicate()) and not late:
            late = not self.wait(None if until is None else max(until - monotonic(), 0.0))
        return result

    def notify(self, n: int = 1) -> None:
        self._ensure_owned("notify on")
        self._do("notify", n)

    def notify_all(self) -> None:
        self._ensure_owned("notify on")
        self._do("notify_all")

    def _ensure_owned(self, verb: str) -> None:
        if isinstance(self._lock, RLock) and not self._lock._owned():
            raise RuntimeError(f"cannot {verb} un-acquired lock")


class Once(Waited):
    __slots__ = ()
    waits = False
    done = property(lambda self: self._get("done"))

    def do(self, function: "Callable[[], object]", /) -> None:
        if self.done:
            return
        _wait_for(self, None)
        done = self.done
        try:
            if not done:
                function()
            done = True
        except Exception:
            done = True
            raise
        finally:
            self._do("_end", done)


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


STAND_INS = (Lock, RLock, Condition, Semaphore, BoundedSemaphore, Event, WaitGroup, Once, AtomicInt)
