"""Actors that end in each way there is, and trees of them.  Most are run as threads: they start fast."""

from typing import Any

from csp import RecvChannel, SendChannel, actor, current_actor


def follows() -> Any:
    """One order by mail: "return", "raise" or "hang"; a stop breaks the wait off."""
    order = current_actor().inbox.recv()
    if order == "raise":
        raise ValueError("as told")
    while order == "hang":
        pass
    return order


def changes_its_arguments(log: SendChannel[Any], memory: list[str], *, options: dict[str, int]) -> None:
    """Says what it was given, changes that, and fails when it is told to."""
    log.send((memory, options))
    memory.append("seen")
    options.clear()
    current_actor().inbox.recv()
    raise ValueError(memory)


@actor(watchdog=0.25)
def watched() -> Any:
    """As `follows`."""
    return follows()


@actor(trap_stop=True)
def takes_its_time(gate: RecvChannel[Any]) -> None:
    """Ends when the gate says so, and not before."""
    gate.recv()


def fails_at_once() -> None:
    raise ValueError("at once")


def stubborn() -> None:
    """Computes, and does not hear a stop."""
    while True:
        pass


@actor
class Answers:
    """Says in which life it answers."""

    def answer(self) -> int:
        return current_actor().ref.epoch

    def fail(self) -> None:
        raise ValueError("as told")
