"""For tests of programs that use csp: a clock that the test moves, a check for leaks, and waiting until somebody waits.

    sender = threading.Thread(target=ch.send, args=(1,))
    sender.start()
    wait_parked(ch, senders=1)          # instead of a sleep and hope

With pytest they are fixtures: `csp_clock`, `csp_no_leaks`, `csp_spawn`.  Nothing in here needs pytest.
"""

import gc
import time

from csp import _core
from csp.errors import CspError, Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self

    Handle = _core.Channel[Any] | _core.SendChannel[Any] | _core.RecvChannel[Any]

__all__ = ["LeakCheck", "VirtualClock", "census", "wait_parked", "wait_until"]

_STEP = 0.0002  # seconds between two looks
_DETAILS = ("warm", "buffer_bytes")  # of the census: others count the same things
_GRAIN = 1e-6  # seconds within which two times are the same
_SHORT = 1.0  # seconds for a message in flight to arrive, when nobody is there any more who is about to end


def wait_until(
    condition: "Callable[[], object]", timeout: float = 10.0, what: str = "the condition"
) -> None:
    """Look again and again until `condition()` is true; raise `Timeout` after `timeout` seconds, which are real ones under any clock."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise Timeout(f"{what} did not come about within {timeout} s")
        _core.sleep(0)  # a stop or a kill ends it
        time.sleep(_STEP)


def wait_parked(
    channel: "Handle", *, senders: int = 0, receivers: int = 0, timeout: float = 10.0
) -> None:
    """Wait until at least so many senders and receivers wait on the channel; raise `Timeout` otherwise."""

    def parked() -> bool:
        now = channel.statistics()
        return now.waiting_senders >= senders and now.waiting_receivers >= receivers

    wait_until(parked, timeout, f"{senders} senders and {receivers} receivers waiting on {channel!r}")


def census() -> "dict[str, int]":
    """Count what is alive: channels, interpreters, those of them that are warm (wait for an actor), blobs and blocks in flight, buffers.

    A test that leaks nothing finds the same numbers before and after.
    """
    return _core.census()


class VirtualClock:
    """Time stands still, for all of csp in the whole process, and only `advance` moves it.

        with VirtualClock() as clock:
            thread.start()                       # it calls orders.recv(timeout=3600)
            clock.wait_for(3600)                 # now it really waits
            clock.advance(3600)                  # and now it has timed out

    By this clock go `after` and `tick`, in blocking and in awaited waits, `csp.sleep`, every `timeout=`, and supervisors: their
    back-off, their restart budget, their limits for starting and stopping.  It is not the clock of `time` nor of an event loop, and the
    watchdog and the detector of deadlocks go by the real one.

    The thread that made it stand moves it, so while that thread itself blocks nobody does: there a `timeout=` ends the wait after
    so many real seconds too.  So a timeout stays the guard of the test that it was meant to be.

    On leaving the block time goes on from where it stands: what was to happen in 5 s still does, in 5 s.  One at a time in a process;
    `RuntimeError` for a second.  The idea is that of tokio's `time::pause` and trio's `MockClock`.
    """

    def __enter__(self) -> "Self":
        if not _core.stop_clock():
            raise RuntimeError("csp's clock stands already: there is one for the whole process")
        return self

    def __exit__(
        self, exc_type: "type[BaseException] | None", exc: "BaseException | None", traceback: "TracebackType | None"
    ) -> None:
        _core.resume_clock()

    def __repr__(self) -> str:
        return f"<VirtualClock at {self.time():.6f}{'' if _core.clock_stands() else ', not in use'}>"

    def time(self) -> float:
        """The time in seconds, on the scale of what timers deliver while it stands: that of `time.monotonic()`, plus what it was moved."""
        return _core.clock()

    def advance(self, seconds: float) -> None:
        """Move it by so much at once, and end what is due by then: timers that somebody waits for, then timeouts, each in order.

        Before this returns they have fired: a wait that has timed out takes no value any more.  What follows from that takes its
        course in its own thread, so wait for it by a channel, `wait_for` or `wait_until`.  A `tick` that several times have come for
        fires once, as always when nobody was in time; a loop that sleeps 1 s ten times needs ten advances.
        """
        if not _core.advance_clock(seconds):
            raise RuntimeError("the clock runs: use it inside its `with` block")

    def waits(self) -> "list[float]":
        """Of all in the process that waits for the clock, the seconds that are left, ascending: timers that somebody waits for, timeouts."""
        return _core.clock_waits()

    def wait_for(self, seconds: float, *, count: int = 1, timeout: float = 10.0) -> None:
        """Wait until at least `count` waits are to end in exactly so many seconds; raise `Timeout` after `timeout` real seconds.

        Then `advance(seconds)` ends them, and whatever is to end before.
        """

        def there() -> bool:
            return sum(abs(left - seconds) < _GRAIN for left in _core.clock_waits()) >= count

        wait_until(there, timeout, f"{count} waits that are to end in {seconds} s")


class LeakCheck:
    """What lives at the end of a block, and did not at its beginning: actors, channels, interpreters, messages in flight.

        with LeakCheck():
            main()                               # AssertionError, if it leaves an actor or a channel

    It says their names and where in the program they were made.  An interpreter's end is not instantaneous, so what is about to
    go has `timeout` seconds to do so.  If the block raises, that is the news, and nothing is checked: the traceback keeps alive
    what its frames held.  It counts in the whole process: other threads should not make and drop channels meanwhile.
    """

    def __init__(self, timeout: float = 10.0) -> None:
        self.timeout = timeout
        self._before: dict[str, int] = {}
        self._actors: set[int] = set()
        self._channel = 0  # the newest one's id; ids ascend
        self._traced = self._forgotten = False

    def __enter__(self) -> "Self":
        _core.dead_letters()  # made on first use, and kept
        gc.collect()
        self._traced = _core.trace_origins(True)
        self._before = _core.census()
        self._actors = {ref.id for ref in _core.list_actors()}
        self._channel = _core.Channel[None]().id
        return self

    def __exit__(
        self, exc_type: "type[BaseException] | None", exc: "BaseException | None", traceback: "TracebackType | None"
    ) -> None:
        try:
            if exc_type is None and (left := self.left()):
                raise AssertionError(left)
        finally:
            if not self._traced:
                _core.trace_origins(False)

    def forget(self) -> None:
        """Nothing is to be found any more, whatever is left."""
        self._forgotten = True

    def left(self) -> str:
        """What is left now, in words, or "" if there is nothing; waits up to `timeout` real seconds for what is going."""
        began = time.monotonic()
        while self.grown() and (gc.collect() is None or self.grown()):
            patience = self.timeout if {"actors", "interpreters"} & self.grown().keys() else min(self.timeout, _SHORT)
            if time.monotonic() > began + patience:
                return self._report()
            _core.sleep(0)
            time.sleep(0.005)
        return ""

    def grown(self) -> "dict[str, int]":
        """What there is more of just now, garbage included, and how much more."""
        if self._forgotten:
            return {}
        now = _core.census()
        more = {what: now[what] - count for what, count in self._before.items() if now[what] > count and what not in _DETAILS}
        actors = len(self._new_actors())
        return {"actors": actors, **more} if actors else more

    def _new_actors(self) -> "list[Any]":
        return [ref for ref in _core.list_actors() if ref.id not in self._actors]

    def _report(self) -> str:
        more = self.grown()
        if not more:
            return ""
        lines = ["left behind: " + ", ".join(_count(number, what) for what, number in more.items())]
        channels = {entry[0]: entry for entry in _core.live_channels() if entry[0] > self._channel}
        for ref in self._new_actors():
            inbox = channels.pop(_id_of_inbox(ref), None)
            lines.append(f"  actor {ref.name!r} (id {ref.id}){_made('spawned', inbox)}")
        for entry in channels.values():
            number, kind, name, origin, buffered, senders, receivers = entry
            if name is None and origin is None:
                continue  # csp's own, of an actor
            called = f" {name!r}" if name else ""
            if kind in ("channel", "reply channel"):
                held = f"{_count(senders, 'sending handles')}, {_count(receivers, 'receiving handles')}, {_count(buffered, 'values')}"
            else:
                held = _count(receivers, "handles")
            lines.append(f"  {kind}{called} (id {number}){_made('made', entry)}; {held}")
        return "\n".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number} {what[:-1] if number == 1 else what}"


def _id_of_inbox(ref: "Any") -> int:
    try:
        with ref._sender() as sender:
            number: int = sender.id
            return number
    except CspError:
        return 0  # it has ended meanwhile


def _made(how: str, entry: "tuple[Any, ...] | None") -> str:
    return "" if entry is None or entry[3] is None else f", {how} at {entry[3]}"
