"""The other interpreters of the tests of random lifetimes: each holds views of memory, and does with them what chance says."""

import array
import random
from typing import Any

import csp

MOST = 30  # views held at once


def holder(seed: int, ins: Any, out: Any, ends: str) -> int:
    """Receive memory, keep some, pass some on, drop some, until the channel ends; with views still held."""
    dice, held, passed = random.Random(seed), [], 0  # type: tuple[random.Random, list[Any], int]
    while True:
        try:
            value = ins.recv()
        except csp.EndOfChannel:
            if ends == "with its module":
                keep(held)
            return passed
        held.append(unwrapped(value))
        for _ in range(3):
            passed += step(dice, held, out)


def keep(held: list[Any]) -> None:
    """In a global.  Not what others lend: two interpreters that end so, each with a view of the other's, wait for each other."""
    global kept
    kept = [memory for memory in held if isinstance(memory, csp.SharedBuffer)]
    kept += [view for memory in kept for view in view_of(memory)]
    kept.append(csp.share(bytearray(1000)))


def step(dice: random.Random, held: list[Any], out: Any) -> int:
    """One thing that can happen to memory; 1 if it was sent."""
    match dice.randrange(8):
        case 0:
            held.append(make(dice))
        case 1 if held:
            held += part_of(dice, dice.choice(held))
        case 2 if held:
            held += view_of(dice.choice(held))
        case 3 | 4 if held:
            held.pop(dice.randrange(len(held)))
        case 5 if held:
            look(dice.choice(held))
        case 6 if held:
            give_up(dice.choice(held))
        case _ if held:
            value = dice.choice(held)
            try:
                if not isinstance(value, memoryview) and dice.random() < 0.4:
                    value = csp.move(value)
                out.send({"part": value} if dice.random() < 0.5 else [value, value], timeout=0)
            except (csp.Timeout, csp.BrokenChannel, csp.NotShareable, csp.ClosedHandle):
                return 0
            return 1
    del held[:-MOST]
    return 0


def make(dice: random.Random) -> Any:
    """Memory whose every byte says how large it is."""
    n = dice.choice([1, 100, 5000, 70_000])
    if dice.random() < 0.5:
        buffer = csp.SharedBuffer(n, zeroed=False, mapped=dice.random() < 0.3)
        buffer[:] = bytes([n % 251]) * n
        return buffer if dice.random() < 0.7 else buffer.toreadonly()
    return csp.share(array.array("B", bytes([n % 251]) * n), writable=dice.random() < 0.5)


def part_of(dice: random.Random, memory: Any) -> list[Any]:
    try:
        if isinstance(memory, csp.SharedBuffer):
            return [memory[dice.randrange(3) : dice.choice([None, -1])]]
        return [csp.share(memory)]
    except (csp.ClosedHandle, ValueError):  # it was given up
        return []


def view_of(memory: Any) -> list[memoryview]:
    try:
        return [memoryview(memory)]
    except (csp.ClosedHandle, ValueError):
        return []


def unwrapped(value: Any) -> Any:
    return value["part"] if isinstance(value, dict) else value[0] if isinstance(value, list) else value


def look(memory: Any) -> None:
    """All that is held is whole: memory that was freed would be another's by now, or poisoned."""
    for view in view_of(memory):
        assert len(set(bytes(view))) <= 1


def give_up(memory: Any) -> None:
    try:
        memory.release()
    except BufferError:  # in use
        pass


kept: Any = None
