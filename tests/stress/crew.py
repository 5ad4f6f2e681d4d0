"""What the parties of a stress test do: in threads, or as actors in interpreters of their own.

A value is (number of the sender, number of the value), so that each is unique and the order of a sender can be seen.
Channels come and go as lists of handles; what was really sent or received is returned.
"""

import random
import time
from typing import Any

import csp

Value = tuple[int, int]
Log = list[tuple[int, Value]]  # (number of the channel, value)

TIMEOUTS = [0, 0, 0.0002, 0.001, 0.005]


def send_much(outs: list[Any], number: int, seed: int, seconds: float) -> Log:
    """Send in all ways there are, for a time or until all channels are broken; return what was taken."""
    dice, deadline, log, n = random.Random(seed), time.monotonic() + seconds, [], 0
    open_outs: list[Any] = list(outs)
    while time.monotonic() < deadline and any(open_outs):
        n += 1
        at = dice.choice([i for i, out in enumerate(open_outs) if out is not None])
        how, timeout = dice.choices(["send", "nowait", "many", "select"], [4, 2, 1, 4])[0], dice.choice(TIMEOUTS)
        value = (number, n)
        try:
            if how == "send":
                open_outs[at].send(value, timeout)
            elif how == "nowait":
                open_outs[at].send_nowait(value)
            elif how == "many":
                values = [(number, n + i) for i in range(dice.randint(1, 6))]
                n += len(values) - 1
                try:
                    open_outs[at].send_many(values, timeout)
                except csp.CspError as error:
                    log += [(at, value) for value in values[: error.sent]]  # type: ignore[attr-defined]
                    raise
                log += [(at, value) for value in values]
                continue
            else:
                fired = csp.select([out and (out, value) for out in open_outs], timeout=timeout)
                if not fired:
                    continue
                at = fired.index
            log.append((at, value))
        except (csp.Timeout, csp.WouldBlock):
            pass
        except csp.BrokenChannel as error:
            open_outs[at if error.index is None else error.index] = None
    return log


def receive_much(ins: list[Any], seed: int, leases: bool) -> Log:
    """Receive in all ways there are until every channel has ended; return what was taken for good."""
    dice, log = random.Random(seed), []
    open_ins: list[Any] = list(ins)
    while any(open_ins):
        at = dice.choice([i for i, channel in enumerate(open_ins) if channel is not None])
        how, timeout = dice.choices(["recv", "nowait", "many", "select", "lease"], [4, 2, 1, 4, 2 * leases])[0], dice.choice(TIMEOUTS)
        try:
            if how == "recv":
                log.append((at, open_ins[at].recv(timeout)))
            elif how == "nowait":
                log.append((at, open_ins[at].recv_nowait()))
            elif how == "many":
                log += [(at, value) for value in open_ins[at].recv_many(dice.randint(1, 6), timeout)]
            elif how == "lease":
                with open_ins[at].lease(timeout) as value:
                    if dice.random() < 0.5:
                        raise ArithmeticError
                    log.append((at, value))
            else:
                fired = csp.select(open_ins, timeout=timeout)
                if fired:
                    log.append((fired.index, fired.value))
        except (csp.Timeout, csp.WouldBlock, ArithmeticError):
            pass
        except csp.EndOfChannel as error:
            open_ins[at if error.index is None else error.index] = None
    return log


def exchange_much(mine: Any, theirs: Any, number: int, seed: int, seconds: float) -> tuple[Log, Log]:
    """Offer a value on one channel and take from the other in the same select; return (sent, received)."""
    dice, deadline, sent, received, n = random.Random(seed), time.monotonic() + seconds, [], [], 0
    while time.monotonic() < deadline:
        cases: list[Any] = [(mine, (number, n)), theirs]
        if dice.random() < 0.5:
            cases.reverse()
        fired = csp.select(cases, timeout=dice.choice([0.001, 0.01, 0.05]), priority=dice.random() < 0.3)
        if fired.channel is mine:
            sent.append((0, (number, n)))
            n += 1
        elif fired:
            received.append((0, fired.value))
    return sent, received


def relay(jobs: Any, done: Any) -> None:
    """Pass values on, each on loan until it has been passed on."""
    while True:
        try:
            with jobs.lease() as value:
                done.send(value)
        except csp.EndOfChannel:
            return


def take_on_loan(jobs: Any, kept: Any, to_the_end: bool = False) -> None:
    """Write down each value while it is on loan, then take it for good; for a while, or until there are no more."""
    deadline = time.monotonic() + 0.01
    while to_the_end or time.monotonic() < deadline:
        try:
            with jobs.lease(0) as value:
                kept.send(value)
        except csp.Timeout:
            return
