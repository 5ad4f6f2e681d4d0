"""Real channels and the model of tests/model.py, driven in lockstep by hypothesis; some operations wait in threads."""

import gc
import math
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import model
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from model import CLOSED, OK, PENDING, RECV, SEND, Flight, Handle, Item, Party

import csp
from csp.testing import census, wait_until

Real = Any  # one of the three handle classes
Data = st.DataObject | random.Random
Case = tuple[Real, Handle, str, object, Item | None] | None  # real and model handle, side, value, its item


def outcome_of(operation: Callable[[], object]) -> tuple[str, object, int | None]:
    """What an operation came to: (outcome, value, index of the case)."""
    try:
        return OK, operation(), None
    except csp.CspError as error:
        return type(error).__name__, None, error.index


class Parked(threading.Thread):
    """An operation that the model says must wait, in a thread of its own."""

    def __init__(self, operation: Callable[[], object], party: Party) -> None:
        super().__init__(daemon=True)
        self.operation: Callable[[], object] | None = operation
        self.party, self.result = party, (PENDING, None, None)
        self.start()

    def run(self) -> None:
        assert self.operation is not None
        self.result = outcome_of(self.operation)
        self.operation = None


OVERFLOWS = ["block", "drop_oldest", "drop_newest"]


def weighed(value: object) -> int:
    """The bytes that a value counts for."""
    scale: csp.Channel[object] = csp.Channel(1, max_bytes=1 << 40)
    scale.send(value)
    return scale.statistics().buffered_bytes or 0


class Lockstep(RuleBasedStateMachine):
    parked_waits = 0  # over all examples: proof that the queues were used
    fair_select = False  # let select choose among several ready cases: then a run cannot be repeated exactly

    @initialize(
        shapes=st.lists(
            st.one_of(
                st.tuples(st.sampled_from([0, 1, 2, 3, math.inf]), st.just("block"), st.none()),
                st.tuples(st.sampled_from([1, 2]), st.sampled_from(["drop_oldest", "drop_newest"]), st.none()),
                st.tuples(st.sampled_from([2, math.inf]), st.sampled_from(OVERFLOWS), st.sampled_from([10, 20, 500])),
            ),
            min_size=1,
            max_size=3,
        )
    )
    def make_channels(self, shapes: list[tuple[float, str, int | None]]) -> None:
        self.baseline = census()
        self.channels: list[tuple[Real, model.Channel]] = []  # a handle that only looks, and the model
        self.handles: list[tuple[Real, Handle]] = []
        self.parked: list[Parked] = []
        self.leases: list[tuple[Any, Item, Handle]] = []
        self.number = 0
        for capacity, overflow, max_bytes in shapes:
            real: Real = csp.Channel(capacity, overflow=overflow, max_bytes=max_bytes)  # type: ignore[call-overload]
            double = model.Channel(capacity, overflow, max_bytes or math.inf)
            self.channels.append((real, double))
            self.handles.append((real, Handle(double, frozenset({SEND, RECV}))))

    # --- drawing ---

    @staticmethod
    def below(data: Data, limit: int) -> int:
        """A number below the limit.  (hypothesis draws numbers only: it would keep handles that it drew alive.)"""
        return data.randrange(limit) if isinstance(data, random.Random) else data.draw(st.integers(0, limit - 1))

    def choose(self, data: Data, words: str) -> str:
        return words.split()[self.below(data, len(words.split()))]

    def pick(self, data: Data, side: str | None = None, closed: bool = True) -> tuple[Real, Handle] | None:
        able = [h for h in self.handles if (side is None or side in h[1].sides) and (closed or not h[1].closed)]
        return able[self.below(data, len(able))] if able else None

    def value(self, data: Data, channel: model.Channel) -> tuple[object, Item]:
        """A fresh value: a scalar, something longer, or a handle of an earlier channel (so that none holds itself)."""
        self.number += 1
        kind = self.choose(data, "int int long handle")
        if kind == "handle":
            rank = self.rank(channel)
            able = [h for h in self.handles if self.rank(h[1].channel) < rank and not h[1].closed]
            if able:
                real, handle = able[self.below(data, len(able))]
                bytes = weighed((self.number, real))
                return (self.number, real), Item(Flight(Handle(handle.channel, handle.sides), handle), bytes)
        value: object = self.number if kind != "long" else {self.number: "x" * 300, "n": [self.number]}
        return value, Item(value, weighed(value))

    def rank(self, channel: model.Channel) -> int:
        return next(i for i, (_, double) in enumerate(self.channels) if double is channel)

    # --- comparing ---

    def lose(self, *items: Item | None) -> None:
        """These values were not sent after all."""
        for item in items:
            if item is not None and isinstance(item.value, Flight):
                item.value.handle.drop()

    def accept(self, value: object, item: Item | None) -> None:
        """`value` was received; it must be what the model holds."""
        assert item is not None
        if isinstance(item.value, Flight):
            assert isinstance(value, tuple)
            real, handle = value[1], item.value.handle
            assert (real.id, hasattr(real, "send"), hasattr(real, "recv")) == (
                self.channels[self.rank(handle.channel)][0].id, SEND in handle.sides, RECV in handle.sides,
            )  # fmt: skip
            self.handles.append((real, handle))
        else:
            assert value == item.value and (value is not item.value or isinstance(value, int))

    def settle(self) -> None:
        """Everybody whose wait is over in the model comes back with that outcome; all figures agree."""
        while over := [p for p in self.parked if p.party.outcome is not None]:
            for thread in over:
                self.parked.remove(thread)
                thread.join(3)
                assert not thread.is_alive(), f"{thread.party.outcome} in the model, still waiting"
                assert thread.party.outcome is not None
                index, outcome, item = thread.party.outcome
                kind, value, at = thread.result
                if isinstance(value, csp.Selected):
                    kind, at, value = OK, value.index, value.value
                assert (kind, index if at is None else at) == (outcome, index)
                sent = {id(i) for _, side, i in thread.party.cases if side == SEND and kind == OK and i is thread.party.cases[index][2]}
                self.lose(*(i for _, side, i in thread.party.cases if side == SEND and id(i) not in sent))
                if kind == OK and thread.party.cases[index][1] == RECV:
                    self.accept(value, item)
                thread.result = (PENDING, None, None)
                value = None
        for real, double in self.channels:
            assert tuple(real.statistics()) == double.statistics()
            assert len(real) == len(double.buffer)
            assert real.statistics().buffered_bytes == (None if real.max_bytes is None else double.buffered_bytes())
            assert real.closed == (double.closed or self.handle_of(real).closed)

    def handle_of(self, real: Real) -> Handle:
        return next(handle for other, handle in self.handles if other is real)

    def park(self, operation: Callable[[], object], cases: list[Case]) -> None:
        enabled = [case for case in cases if case is not None]
        party = Party([(case[1], case[2], case[4]) for case in enabled])
        if len(enabled) != len(cases):  # the index counts disabled cases too
            raise AssertionError("park only enabled cases")
        self.parked.append(Parked(operation, party))
        type(self).parked_waits += 1
        for case in enabled:
            real, double = self.channels[self.rank(case[1].channel)]
            expected = double.statistics()[6:8]
            wait_until(lambda: tuple(real.statistics()[6:8]) == expected, what=f"{expected} waiting on {real}")  # noqa: B023

    # --- one operation at a time ---

    @rule(data=st.data())
    def send(self, data: Data) -> None:
        how = self.choose(data, "send_nowait timeout")
        if picked := self.pick(data, SEND):
            real, handle = picked
            value, item = self.value(data, handle.channel)
            expected = handle.channel.send(handle, item)
            if expected != OK:
                self.lose(item)
            refused = "WouldBlock" if how == "send_nowait" else "Timeout"
            operation = (lambda: real.send_nowait(value)) if how == "send_nowait" else lambda: real.send(value, timeout=0)
            assert outcome_of(operation)[0] == (refused if expected == PENDING else expected)
        self.settle()

    @rule(data=st.data())
    def recv(self, data: Data) -> None:
        how = self.choose(data, "recv_nowait default timeout")
        if picked := self.pick(data, RECV):
            real, handle = picked
            expected, item = handle.channel.recv(handle)
            operation = {
                "recv_nowait": lambda: real.recv_nowait(),
                "default": lambda: real.recv_nowait("nothing"),
                "timeout": lambda: real.recv(timeout=0),
            }[how]
            outcome, value, _ = outcome_of(operation)
            if expected == PENDING:
                assert (outcome, value) == {
                    "recv_nowait": ("WouldBlock", None), "default": (OK, "nothing"), "timeout": ("Timeout", None),
                }[how]  # fmt: skip
            else:
                assert outcome == expected
                if outcome == OK:
                    self.accept(value, item)
        self.settle()

    @rule(data=st.data())
    def send_many(self, data: Data) -> None:
        count = self.below(data, 6)
        if picked := self.pick(data, SEND):
            real, handle = picked
            pairs = [self.value(data, handle.channel) for _ in range(count)]
            sent, expected = 0, OK
            for _, item in pairs:
                expected = handle.channel.send(handle, item)
                if expected != OK:
                    break
                sent += 1
            self.lose(*(item for _, item in pairs[sent:]))
            try:
                outcome, number = OK, real.send_many([value for value, _ in pairs], timeout=0)
            except csp.CspError as error:
                outcome, number = type(error).__name__, error.sent  # type: ignore[attr-defined]
            assert (outcome, number) == ("Timeout" if expected == PENDING else expected, sent)
        self.settle()

    @rule(data=st.data())
    def recv_many(self, data: Data) -> None:
        limit = 1 + self.below(data, 4)
        if picked := self.pick(data, RECV):
            real, handle = picked
            items, expected = [], OK
            while len(items) < limit and expected == OK:
                expected, item = handle.channel.recv(handle)
                if expected == OK:
                    items.append(item)
            outcome, values, _ = outcome_of(lambda: real.recv_many(limit, timeout=0))
            if items:
                assert outcome == OK and isinstance(values, list) and len(values) == len(items)
                for value, item in zip(values, items, strict=True):
                    self.accept(value, item)
                values.clear()
            else:
                assert outcome == ("Timeout" if expected == PENDING else expected)
        self.settle()

    # --- leases ---

    @rule(data=st.data())
    def lease(self, data: Data) -> None:
        if picked := self.pick(data, RECV):
            real, handle = picked
            expected, item = handle.channel.recv(handle)
            lease = real.lease(timeout=0)
            outcome, value, _ = outcome_of(lease.__enter__)
            assert outcome == ("Timeout" if expected == PENDING else expected)
            if item is not None:
                item.deliveries += 1
                assert lease.deliveries == item.deliveries
                held = Item(item.value)
                if isinstance(item.value, Flight):  # what is handed out is a copy: the lease keeps its own
                    held.value = Flight(Handle(item.value.handle.channel, item.value.handle.sides))
                self.accept(value, held)
                self.leases.append((lease, item, handle))
        self.settle()

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def end_lease(self, data: Data) -> None:
        lease, item, handle = self.leases.pop(self.below(data, len(self.leases)))
        if self.choose(data, "fails ends") == "fails":
            handle.channel.give_back(item)
            lease.__exit__(ValueError, ValueError(), None)
        else:
            self.lose(item)
            lease.__exit__(None, None, None)
        self.settle()

    # --- select ---

    def draw_cases(self, data: Data, disabled: bool) -> list[Case]:
        cases: list[Case] = []
        for _ in range(1 + self.below(data, 4)):
            side = self.choose(data, "send recv none" if disabled else "send recv")
            picked = None if side == "none" else self.pick(data, side)
            if picked is None:
                if disabled:
                    cases.append(None)
                continue
            value, item = self.value(data, picked[1].channel) if side == SEND else (None, None)
            cases.append((*picked, side, value, item))
        return cases

    @staticmethod
    def ready(case: Case) -> bool:
        if case is None:
            return False
        handle, side = case[1], case[2]
        channel = handle.channel
        if side == SEND:
            return bool(
                handle.closed or channel.closed or not channel.count(RECV) or channel.overflow != "block"
                or list(channel.parties(RECV)) or channel.has_room(case[4])  # type: ignore[arg-type]
            )  # fmt: skip
        return bool(
            (handle.closed and not handle.both) or channel.buffer or list(channel.parties(SEND))
            or channel.closed or not channel.count(SEND)
        )  # fmt: skip

    @staticmethod
    def real_cases(cases: list[Case]) -> list[Any]:
        return [None if c is None else c[0] if c[2] == RECV else (c[0], c[3]) for c in cases]

    @rule(data=st.data())
    def select(self, data: Data) -> None:
        cases, prepared, order = self.draw_cases(data, disabled=True), self.below(data, 2), self.choose(data, "priority random")
        ready = [index for index, case in enumerate(cases) if self.ready(case)]
        priority = order == "priority" or (len(ready) > 1 and not self.fair_select)
        real = self.real_cases(cases)
        operation = csp.Selector(real).select if prepared else lambda **options: csp.select(real, **options)
        kind, got, at = outcome_of(lambda: operation(timeout=0, priority=priority))
        if isinstance(got, csp.Selected):
            at = got.index
        assert at in (ready[:1] if priority else ready) if ready else at == -1
        chosen = cases[at] if at is not None and at >= 0 else None
        if chosen is not None:
            handle, side, item = chosen[1], chosen[2], chosen[4]
            if side == SEND:
                assert item is not None
                expected = handle.channel.send(handle, item)
            else:
                expected, item = handle.channel.recv(handle)
            assert kind == expected
            if kind == OK:
                assert isinstance(got, csp.Selected) and got.channel is chosen[0]
                if side == RECV:
                    self.accept(got.value, item)
        got = None
        self.lose(*(c[4] for i, c in enumerate(cases) if c is not None and (i != at or kind != OK)))
        self.settle()

    # --- waiting ---

    @precondition(lambda self: len(self.parked) < 5)
    @rule(data=st.data())
    def wait(self, data: Data) -> None:
        what = self.choose(data, "send recv select")
        if what == "select":
            cases = self.draw_cases(data, disabled=False)
        else:
            side = SEND if what == "send" else RECV
            picked = self.pick(data, side)
            value, item = self.value(data, picked[1].channel) if picked and side == SEND else (None, None)
            cases = [(*picked, side, value, item)] if picked else []
        if not cases or any(self.ready(case) for case in cases):
            self.lose(*(case[4] for case in cases if case is not None))
            return
        real = self.real_cases(cases)
        if what == "select":
            self.park(lambda: csp.select(real), cases)
        elif what == "send":
            self.park(lambda: real[0][0].send(real[0][1]), cases)
        else:
            self.park(lambda: real[0].recv(), cases)
        self.settle()

    # --- handles ---

    @rule(data=st.data())
    def derive(self, data: Data) -> None:
        how = self.choose(data, "clone sender receiver")
        if (picked := self.pick(data)) and (how == "clone" or picked[1].both):
            real, handle = picked
            sides = {"clone": handle.sides, "sender": frozenset({SEND}), "receiver": frozenset({RECV})}[how]
            outcome, new, _ = outcome_of(lambda: real.clone() if how == "clone" else getattr(real, how))
            drains = how == "receiver" and handle.both  # what a closed Channel is still good for
            assert outcome == (CLOSED if handle.closed and not drains else OK)
            if outcome == OK:
                assert (new == real) == (sides == handle.sides)
                self.handles.append((new, Handle(handle.channel, sides)))
        self.settle()

    @rule(data=st.data())
    def close(self, data: Data) -> None:
        if picked := self.pick(data):
            picked[1].close()
            picked[0].close()
        self.settle()

    @rule(data=st.data())
    def drop(self, data: Data) -> None:
        """Forget a handle, without closing it, that nobody waits through."""
        cases = [case for thread in self.parked for case in thread.party.cases]
        used = {id(handle) for handle, _, _ in cases}
        used |= {id(item.value.original) for _, _, item in cases if item is not None and isinstance(item.value, Flight)}
        used |= {id(handle) for _, _, handle in self.leases} | {id(self.handle_of(real)) for real, _ in self.channels}
        idle = [i for i, (_, handle) in enumerate(self.handles) if id(handle) not in used]
        if idle:
            self.handles.pop(idle[self.below(data, len(idle))])[1].drop()
        self.settle()

    def teardown(self) -> None:
        if not hasattr(self, "channels"):
            return
        for real, handle in list(self.handles):
            handle.drop() if not handle.both else handle.close()
            real.close()
        for thread in self.parked:
            thread.join(3)
            assert not thread.is_alive(), "closing all handles left somebody waiting"
            thread.result = (PENDING, None, None)
        real = handle = thread = None
        self.leases.clear()
        self.parked.clear()
        self.handles.clear()
        self.channels.clear()
        if sys.exc_info()[0] is None:  # the traceback of a failure holds handles
            if census() != self.baseline:
                gc.collect()
            assert census() == self.baseline


@settings(stateful_step_count=40, phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink])
class _Run(Lockstep):
    pass


TestLockstep = _Run.TestCase


class FairLockstep(Lockstep):
    fair_select = True


STEPS = ["send", "recv", "send_many", "recv_many", "lease", "end_lease", "select", "wait", "derive", "close", "drop"]
WEIGHTS = [6, 6, 3, 3, 3, 3, 8, 12, 3, 1, 1]


@pytest.mark.parametrize("walk", range(4))
def test_walks_agree_with_the_model_whatever_select_chooses(walk: int, seed: int) -> None:
    """Long random walks, in which select chooses among ready cases as it likes, end in the model's state at each step."""
    dice, deadline = random.Random(seed), time.monotonic() + 1.0
    waits = FairLockstep.parked_waits
    # On a busy machine a second may not be enough for many waits: then it goes on until there were some.
    while time.monotonic() < deadline or FairLockstep.parked_waits <= waits + 20:
        machine = FairLockstep()
        shapes = [(dice.choice([0, 1, 2, 3, math.inf]), "block", None) for _ in range(3)]
        shapes += [(2, "drop_oldest", None), (1, "drop_newest", None), (dice.choice([2, math.inf]), dice.choice(OVERFLOWS), 20)]
        shapes += [(math.inf, "block", 10), (math.inf, "block", 500)]
        machine.make_channels(dice.sample(shapes, 3))
        for _ in range(100):
            step = dice.choices(STEPS, WEIGHTS)[0]
            if (step != "end_lease" or machine.leases) and (step != "wait" or len(machine.parked) < 5):
                getattr(machine, step)(data=dice)
        machine.teardown()
    assert FairLockstep.parked_waits > waits + 20
