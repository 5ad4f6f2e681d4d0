"""Children of the trees under random commands: some lives do not come up, some come up late, all end when they are told to."""

import random

import csp
from csp import actor, current_actor


@actor
class Moody:
    """Its first life comes up; each later one does so at once, late, or not at all."""

    def __init__(self, seed: int) -> None:
        me = current_actor().ref
        mood = random.Random(seed * 1000 + me.epoch).random() if me.epoch > 1 else 0.5
        if mood < 0.15:
            raise ArithmeticError("not today")
        if mood > 0.8:
            csp.sleep(0.002)

    def on_receive(self, message: object) -> None:
        raise ArithmeticError(message)
