"""What the other interpreters of the fault tests do."""

from collections.abc import Callable
from typing import Any

import csp


def wait_for_end(channel: Any, *_: object) -> None:
    """Receive until there is nothing more to come."""
    for _ in channel:
        pass


class Bad:
    """Does the deed when it is pickled, rebuilt, hashed, compared or freed, as told."""

    def __init__(self, when: str, deed: "Callable[[], object] | None" = None, error: type[BaseException] = ValueError) -> None:
        self.when, self.deed, self.error = when, deed, error

    def act(self, when: str) -> None:
        if when == self.when:
            if self.deed is not None:
                self.deed()
            else:
                raise self.error(f"{when} refused")

    def __reduce__(self) -> Any:
        self.act("pickled")
        return rebuild, (self.when, self.error)

    def __hash__(self) -> int:
        self.act("hashed")
        return 1

    def __eq__(self, other: object) -> bool:
        self.act("compared")
        return self is other

    def __del__(self) -> None:
        self.act("freed")


def rebuild(when: str, error: type[BaseException]) -> Bad:
    """What pickle calls in the receiver."""
    if when == "rebuilt" and (patience := PATIENCE.get("tries", 0)) >= 0:
        PATIENCE["tries"] = patience - 1
        raise error("rebuilding refused")
    return Bad("received" if when in ("rebuilt", "pickled", "hashed later") else when, error=error)


PATIENCE: dict[str, int] = {}  # "tries": how many more times rebuilding is refused after this one


class Exporter:
    """A buffer that can refuse to be viewed, or to be let go."""

    def __init__(self, when: str) -> None:
        self.when, self.memory = when, bytearray(100_000)

    def __buffer__(self, flags: int) -> memoryview:
        if self.when == "viewed":
            raise BufferError("viewing refused")
        return memoryview(self.memory)

    def __release_buffer__(self, view: memoryview) -> None:
        if self.when == "released":
            raise BufferError("releasing refused")
        view.release()


def hold_leases(jobs: Any, told: Any) -> None:
    """Take two values on loan, tell so, and wait for ever."""
    with jobs.lease() as first, jobs.lease() as second:
        told.send((first, second))
        csp.Channel().recv()


def wait_in(how: str, channel: Any, told: Any, idle: Any = None) -> None:
    """Wait in one of the blocking operations until somebody ends it."""
    told.send("up")
    match how:
        case "send":
            channel.send("never")
        case "recv":
            channel.recv()
        case "select":
            csp.select([(channel.sender, "never"), csp.never(), csp.Channel()])
        case "send_many":
            channel.send_many(["never"] * 10)
        case "hold":
            idle.recv()


def leave_values(channel: Any, keep: Any, go: Any) -> None:
    """Once told to, send values with handles in them, and end without closing anything."""
    go.recv()
    for i in range(5):
        channel.send([i, keep.clone(), b"x" * 1000])
    globals()["kept"] = channel.clone(), keep.sender
