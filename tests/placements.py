"""Where the parties of a test run: threads of one interpreter, main and a child interpreter, two children.

`Party` is a function that runs beside the test; a `Placement` says in which interpreter.  What the parties do stands
here too, in functions that a child interpreter imports, so this module must not import pytest.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import csp
from csp import interpreters

LIMIT = 30.0  # seconds after which a party that should have come back is taken for hung


class Party:
    """A function running in a thread of its own."""

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function, args, kwargs), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            self._value = function(*args, **kwargs)
        except BaseException as error:
            self._error = error

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def result(self, timeout: float = LIMIT) -> Any:
        """What the function returned or raised; an AssertionError if it does not come back."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "the party did not come back"
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._value


def outcome(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What the call returns, or the name of the error that it raises: a thing that crosses and compares."""
    try:
        return function(*args, **kwargs)
    except (csp.CspError, ValueError) as error:
        return type(error).__name__


class Placement:
    """Starts parties, by turns at the first and at the second place."""

    def __init__(self, name: str, places: tuple[str, str]) -> None:
        self.name = name
        self.places = places
        self._started = 0
        self._free: list[interpreters.Interpreter] = []
        self._all: list[interpreters.Interpreter] = []

    def start(self, function: Callable[..., Any], *args: Any) -> Party:
        """Start the next party: `function` must be importable, and what it takes and returns must cross."""
        place = self.places[self._started % 2]
        self._started += 1
        if place == "main":
            return Party(outcome, function, *args)
        interp = self._free.pop() if self._free else self._new()
        return Party(self._run_in, interp, function, args)

    def _new(self) -> interpreters.Interpreter:
        interp = interpreters.create()
        self._all.append(interp)
        return interp

    def _run_in(self, interp: interpreters.Interpreter, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        try:
            return interp.run(outcome, function, *args)
        finally:
            self._free.append(interp)

    def fresh(self) -> None:
        """A new test: its first party runs at the first place."""
        self._started = 0

    def close(self) -> None:
        for interp in self._all:
            interp.close()


PLACEMENTS = {
    "threads": ("main", "main"),
    "main-child": ("main", "child"),
    "child-main": ("child", "main"),
    "children": ("child", "child"),
}


def opened(name: str) -> Iterator[Placement]:
    """The body of a fixture."""
    placement = Placement(name, PLACEMENTS[name])
    yield placement
    placement.close()


# --- what parties do ---


def send(channel: Any, value: Any, timeout: float | None = None) -> None:
    channel.send(value, timeout)


def recv(channel: Any, timeout: float | None = None) -> Any:
    return channel.recv(timeout)


def send_all(channel: Any, values: list[Any], close: bool = False) -> None:
    for value in values:
        channel.send(value)
    if close:
        channel.close()


def receive_all(channel: Any) -> list[Any]:
    return list(channel)


def receive_some(channel: Any, count: int) -> list[Any]:
    return [channel.recv() for _ in range(count)]


def send_numbered(channel: Any, sender: int, count: int) -> None:
    """Send (sender, 0), (sender, 1), ... and give the handle up."""
    for n in range(count):
        channel.send((sender, n))
    channel.close()


def echo(requests: Any, replies: Any) -> None:
    for value in requests:
        replies.send(value)


def fail_on_request(requests: Any, replies: Any) -> None:
    """As echo, but the first request is too much."""
    raise LookupError(requests.recv())


def select_send_or_recv(inward: Any, outward: Any, value: Any, outward_first: bool) -> tuple[str, Any]:
    """One select over a receive and a send; says which fired, and what came."""
    cases = [(outward, value), inward] if outward_first else [inward, (outward, value)]
    fired = csp.select(cases)
    return ("sent", None) if fired.channel is outward else ("received", fired.value)


def select_recv(channels: list[Any], timeout: float | None = None) -> tuple[int, Any]:
    fired = csp.select(channels, timeout=timeout)
    return fired.index, fired.value


def select_recv_some(channels: list[Any], count: int) -> list[Any]:
    return [csp.select(channels).value for _ in range(count)]


def drop(channel: Any) -> None:
    """Return, and so let go of the handle that came as an argument."""


def close(channel: Any) -> None:
    channel.close()


def after_return(channel: Any, value: Any) -> float:
    """When a send returned."""
    channel.send(value)
    return time.monotonic()
