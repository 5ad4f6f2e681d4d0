"""Classes that the tests run as actors.  They import nothing heavy: each actor's interpreter imports this module."""

import time
from typing import Any

import csp
from csp import RecvChannel, SendChannel, actor, current_actor


@actor
class Counter:
    """Counts."""

    def __init__(self, start: int = 0) -> None:
        if start < 0:
            raise ValueError("negative")
        self.n = start

    def incr(self, by: int = 1) -> int:
        self.n += by
        return self.n

    def fail(self, text: str) -> None:
        raise LookupError(text)

    def unshareable(self) -> object:
        return (x for x in ())

    def echo(self, value: Any) -> Any:
        return value

    def same(self, *values: Any, **named: Any) -> bool:
        return len({id(value) for value in [*values, *named.values()]}) == 1

    def exit(self, code: int) -> None:
        raise SystemExit(code)

    def interrupt(self) -> None:
        raise KeyboardInterrupt

    def where(self) -> tuple[int, str, str | None]:
        me = current_actor()
        return csp._core.interpreter_id(), me.name, None if me.parent is None else me.parent.name

    def ask_myself(self, how: str) -> object:
        me = current_actor().ref
        if how == "call":
            return me.call.incr()
        if how == "ask":
            return me.ask.incr().result()
        return getattr(me, how)()

    def cast_myself(self) -> None:
        current_actor().ref.cast.incr(10)

    def _private(self) -> None:
        pass


class Touchy:
    """Pickles; explodes when an actor rebuilds it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, ()


def rebuild() -> Touchy:
    try:
        current_actor()
    except RuntimeError:
        return Touchy()
    raise RuntimeError("not here")


class Explosive:
    """Cannot even be pickled, and says so with an error of its own."""

    def __reduce__(self) -> tuple[Any, ...]:
        raise ZeroDivisionError("on the way out")


@actor(mailbox=2)
class Worker:
    """Does what the tests need, and writes down which of its hooks ran."""

    def __init__(self, log: SendChannel[Any] | None = None, gate: RecvChannel[Any] | None = None) -> None:
        self.log = log
        self.gate = gate
        self.seen: list[Any] = []

    def note(self, *what: object) -> None:
        if self.log is not None:
            self.log.send(what)

    def on_start(self) -> None:
        self.note("on_start")

    def on_receive(self, message: Any) -> None:
        if isinstance(message, BaseException):
            raise message
        self.seen.append(message)
        self.note("got", message)

    def on_stop(self, reason: str) -> None:
        self.note("on_stop", reason)

    def on_failure(self, error: BaseException) -> None:
        self.note("on_failure", type(error).__name__, str(error))

    def wait(self) -> object:
        """Wait in csp."""
        assert self.gate is not None
        self.note("waiting")
        try:
            return self.gate.recv()
        finally:
            self.note("left")

    def compute(self, until: float) -> str:
        """Compute until that moment, without csp."""
        self.note("computing")
        while time.monotonic() < until:
            pass
        return "computed"

    def ignore_stop(self) -> str:
        """Wait in csp, and go on when that is broken off."""
        assert self.gate is not None
        self.note("waiting")
        try:
            self.gate.recv()
        except BaseException as error:
            self.note("caught", type(error).__name__)
        return "went on"

    def boom(self, error: BaseException) -> None:
        raise error

    def history(self) -> list[Any]:
        return self.seen

    def spin(self) -> None:
        self.note("spinning")
        while True:
            try:
                while True:
                    pass
            except Exception:
                continue

    def in_c(self, seconds: float) -> None:
        self.note("in C")
        time.sleep(seconds)

    def children(self, n: int) -> list[csp.ActorRef]:
        return [Worker.spawn(self.log.clone() if self.log else None) for _ in range(n)]


@actor(trap_stop=True)
class Patient(Worker):
    """Finishes what it waits for, stop or no stop."""


@actor
class StuckAtTheEnd(Worker):
    def on_stop(self, reason: str) -> None:
        self.note("on_stop", reason)
        csp.never().recv()


@actor
class FailsToStop(Worker):
    def on_stop(self, reason: str) -> None:
        raise RuntimeError("on_stop")


@actor
class FailsToFail(Worker):
    def on_failure(self, error: BaseException) -> None:
        raise RuntimeError("in the hook")


@actor
class FailsToBegin(Worker):
    def on_start(self) -> None:
        raise RuntimeError("on_start")


@actor
class Mute:
    """No hooks at all."""

    def noop(self) -> None:
        pass


@actor(ready=True)
class Slow:
    """Is ready when it says so."""

    def __init__(self, gate: RecvChannel[None], ready: bool = True) -> None:
        gate.recv()
        if ready:
            current_actor().ready()

    def on_receive(self, message: object) -> None:
        pass


@actor(ready=True, start_timeout=0.1)
class NeverReady:
    pass


@actor(on_crash="redeliver")
class Redelivered(Worker):
    pass


@actor(on_crash="redeliver", max_deliveries=1)
class DeliveredOnce(Worker):
    pass


@actor(on_crash="dead_letter")
class Buried(Worker):
    pass


# --- functions ---


@actor
def receive_one() -> Any:
    return current_actor().inbox.recv()


@actor
def reads_until_the_end(up: SendChannel[str], gate: RecvChannel[None]) -> list[Any]:
    up.send("up")
    gate.recv()
    return list(current_actor().inbox)


def stop_seen(up: SendChannel[str]) -> str:
    """Catch the stop; then csp works again."""
    up.send("up")
    try:
        csp.never().recv()
    except csp.Stopped:
        up.send("stopped")
        csp.sleep(0)
        up.send("and on")
        raise
    return "never"


def stop_swallowed(up: SendChannel[str]) -> str:
    up.send("up")
    try:
        csp.never().recv()
    except csp.Stopped:
        pass
    up.send("went on")
    return "returned"


@actor(trap_stop=True)
def trapped(up: SendChannel[str]) -> str:
    up.send("up")
    me = current_actor()
    csp.select([me.stopping, csp.never()])
    up.send("asked")
    return "value"


def selects_on_stopping(up: SendChannel[str]) -> str:
    up.send("up")
    try:
        fired, value = csp.select([current_actor().stopping, csp.never()])
        up.send(f"fired {value}")
    except csp.Stopped:
        up.send("Stopped")
        raise
    return "value"


def stubborn_finally(up: SendChannel[str]) -> None:
    up.send("up")
    try:
        csp.never().recv()
    finally:
        csp.never().recv()


def raises_stopped() -> None:
    raise csp.Stopped("of my own")


def spin(up: SendChannel[str]) -> None:
    up.send("up")
    while True:
        pass


def spin_past_exceptions(up: SendChannel[str]) -> None:
    up.send("up")
    while True:
        try:
            while True:
                pass
        except Exception:
            continue


def sleep_in_c(up: SendChannel[str], seconds: float, after: SendChannel[str] | None = None) -> None:
    up.send("up")
    time.sleep(seconds)
    if after is not None:
        try:
            after.send("still there")
        finally:
            pass


def holds_its_gil(up: SendChannel[str], n: int) -> int:
    up.send("up")
    return sum(range(n))


def find(name: str) -> csp.ActorRef | None:
    return csp.whereis(name)


def claim(name: str, mark: RecvChannel[None]) -> str:
    """Get or spawn, atomically: the loop that the docs show."""
    while True:
        ref = csp.whereis(name)
        if ref is None:
            try:
                ref = csp.spawn(Counter, name=name)
            except ValueError:
                continue
        try:
            return str(ref.call.incr())
        except csp.ActorDied:
            continue


def family(up: SendChannel[Any], log: SendChannel[Any]) -> None:
    """A parent with two children that write down how they end."""
    children = [Worker.spawn(log.clone()) for _ in range(2)]
    up.send([child.name for child in children])
    csp.never().recv()


class Importer:
    """Imports a module as it starts, or when told."""

    def __init__(self, name: str = "") -> None:
        if name:
            self.load(name)

    def load(self, name: str) -> None:
        __import__(name)
