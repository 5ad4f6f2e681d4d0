"""Actors of the tests of starts: they wait in their start hooks, or give commands to a tree there."""

from typing import Any

import csp
from csp import RecvChannel, SendChannel, Supervisor, actor, current_actor

trees: dict[str, Supervisor] = {}  # what an actor that is a thread finds here, one in another interpreter cannot have


@actor
class Gated:
    """Its start hook waits until the gate lets it pass; a "raise" ends it."""

    def __init__(self, gate: RecvChannel[str]) -> None:
        self.gate = gate

    def on_start(self) -> None:
        if self.gate.recv() == "raise":
            raise ValueError("not today")

    def on_receive(self, message: str) -> None:
        raise ValueError(message)


@actor
class Waits:
    """Does nothing, and does it well."""

    def on_start(self) -> None:
        pass


@actor(isolation="thread")
class Asks:
    """Gives a command to a tree when it starts, or when it is told to; what came of it goes to the log."""

    def __init__(self, log: SendChannel[Any], command: str, *args: Any, at_start: bool = True) -> None:
        self.log, self.command, self.args, self.at_start = log, command, args, at_start

    def on_start(self) -> None:
        if self.at_start:
            self.ask()

    def ask(self) -> None:
        try:
            answer = getattr(trees["tree"], self.command)(*self.args)
        except csp.CspError as error:
            answer = type(error).__name__
            self.log.send(answer)
            raise
        self.log.send(answer)


@actor(isolation="thread")
def asks_first(log: SendChannel[Any]) -> None:
    """Does so in its first line."""
    log.send(trees["tree"].start_child(csp.ChildSpec(Waits, id="new", isolation="thread")))
    csp.never().recv()


@actor
class Owner:
    """Starts a tree of its own while it handles a call, so that it answers no other."""

    def begin(self) -> None:
        self.tree = Supervisor([AsksItsParent])
        self.tree.start()

    def add(self) -> int:
        return 1


@actor
class AsksItsParent:
    """Calls the actor that its tree belongs to."""

    def on_start(self) -> None:
        current_actor().parent.call.add()


def owns_one_that_asks(log: SendChannel[Any]) -> str:
    """The end of a start, in an interpreter of its own, of a tree whose child asks for another one."""
    spec = csp.ChildSpec(Asks, args=(log, "start_child", csp.ChildSpec(Waits, id="new", isolation="thread")), id="asks")
    trees["tree"] = tree = Supervisor([spec], strategy="one_for_all")
    try:
        tree.start()
    except csp.SupervisorError as error:
        return type(error.__cause__).__name__
    finally:
        trees.clear()
    return "started"


@actor(isolation="thread", trap_stop=True)
class Traps(Asks):
    """As `Asks`, with a stop that it would have to see for itself."""


@actor(isolation="thread")
class AsksAsItStops(Asks):
    """Gives its command again when it has been stopped."""

    def on_stop(self, reason: str) -> None:
        self.ask()
