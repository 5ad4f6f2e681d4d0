"""Memory that is lent, and memory that is nobody's, under a thousand random lifetimes: freed once, and never too early."""

import random
from typing import Any

import pytest

import csp
from tests.stress import memory_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks")

ENDS = ["in order", "killed", "with its module"]


class Party:
    """An actor that is sent memory, and sends memory back."""

    def __init__(self, dice: random.Random, isolation: str) -> None:
        self.ins, self.back = csp.Channel(20), csp.Channel(20)
        self.ends = dice.choice(ENDS)
        arguments = (dice.randrange(2**32), self.ins.receiver, self.back.sender, self.ends)
        self.ref = csp.spawn(bodies.holder, *arguments, isolation=isolation)

    def end(self, dice: random.Random) -> None:
        """Before or after its channels, which may still hold memory."""
        if dice.random() < 0.5:
            self.back.close()
        if self.ends == "killed":
            self.ref.kill()
        self.ins.close()
        assert self.ref.join(30).reason in ("normal", "killed")
        self.back.close()


@pytest.mark.parametrize("isolation", ["interpreter", "thread"])
def test_random_lifetimes(isolation: str, seed: int) -> None:
    """Made, cut, sent, received, looked at, dropped, closed; owners that end and are killed: at the end all of it is back."""
    print("seed", seed)
    dice = random.Random(seed)
    held: list[Any] = []
    received, ended = 0, 0
    parties = [Party(dice, isolation) for _ in range(3)]
    for _ in range(2500):
        party = dice.choice(parties)
        match dice.randrange(10):
            case 0 | 1:
                held.append(bodies.make(dice))
            case 2 | 3 if held:
                try:
                    party.ins.send(dice.choice(held), timeout=0)
                except (csp.Timeout, csp.NotShareable, csp.ClosedHandle):  # full, or given up
                    pass
            case 4 | 5:
                value = party.back.recv_nowait(None)
                if value is not None:
                    received += 1
                    held.append(bodies.unwrapped(value))
                    bodies.look(held[-1])
            case 6 if dice.random() < 0.08:
                party.end(dice)
                ended += 1
                parties[parties.index(party)] = Party(dice, isolation)
            case _:
                bodies.step(dice, held, party.ins)
        del held[: -2 * bodies.MOST]
    for value in held:
        bodies.look(value)
    for party in parties:
        party.end(dice)
    bodies.kept = None
    assert received > 20 and ended > 0
