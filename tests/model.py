"""What a channel must do, in a few lines more than a hundred: no threads, no locks, one operation after another.

The property tests drive this and the real thing in lockstep.  An operation answers a pair (outcome, value).  Where it could
not complete it answers PENDING, and may then be put on the wait queues as a Party, whose outcome a later operation sets.
The handles are counted as csp counts them, and a value that holds a handle (`Flight`) keeps it open until it is received
or lost.
"""

import math
from collections import deque
from collections.abc import Iterator

OK, PENDING, END, BROKEN, CLOSED = "ok", "pending", "EndOfChannel", "BrokenChannel", "ClosedHandle"
SEND, RECV = "send", "recv"


class Handle:
    """One hold on one or both sides of a channel."""

    def __init__(self, channel: "Channel", sides: frozenset[str]) -> None:
        self.channel, self.sides, self.counted, self.closed = channel, sides, set(sides), False
        channel.ends.append(self)

    @property
    def both(self) -> bool:
        return len(self.sides) == 2

    def uncount(self, sides: frozenset[str]) -> None:
        lost = self.counted & sides
        self.counted -= lost
        if SEND in lost and not self.channel.count(SEND):
            self.channel.fire_all(RECV, END)
        if RECV in lost and not self.channel.count(RECV):
            self.channel.fire_all(SEND, BROKEN)
            self.channel.discarded += len(self.channel.buffer)
            lose(self.channel.buffer)

    def drop(self) -> None:
        """Give this handle up: waits through it end."""
        self.closed = True
        for side in self.sides:
            self.channel.fire_all(side, CLOSED, through=self)
        self.uncount(self.sides)
        self.channel.admit_all()

    def close(self) -> None:
        if not self.both:
            return self.drop()
        channel, self.closed = self.channel, True
        if not channel.closed:
            channel.closed = True
            channel.fire_all(SEND, CLOSED, through=self)
            channel.fire_all(SEND, BROKEN)
            channel.fire_all(RECV, END)
        self.uncount(frozenset({SEND}))


class Flight:
    """A value that holds a handle on its way."""

    def __init__(self, handle: Handle, original: Handle | None = None) -> None:
        self.handle, self.original = handle, original


class Item:
    """A value in a channel, the bytes it counts for, and how often a lease has handed it out."""

    def __init__(self, value: object, bytes: int = 0) -> None:
        self.value, self.bytes, self.deliveries = value, bytes, 0


def lose(items: "deque[Item]") -> None:
    """The values are gone, and with them the handles they hold."""
    while items:
        item = items.popleft()
        if isinstance(item.value, Flight):
            item.value.handle.drop()


class Party:
    """A blocked operation: cases (handle, side, item), one of which fires."""

    def __init__(self, cases: list[tuple[Handle, str, Item | None]]) -> None:
        self.cases = cases
        self.outcome: tuple[int, str, Item | None] | None = None
        for index, (handle, side, _) in enumerate(cases):
            handle.channel.waiting[side].append((self, index))

    def fire(self, index: int, outcome: str, item: Item | None = None) -> None:
        self.outcome = (index, outcome, item)
        for channel in {case[0].channel for case in self.cases} - {self.cases[index][0].channel}:
            channel.admit_all()  # it no longer waits there: those behind it may have room


class Channel:
    def __init__(self, capacity: float = 0, overflow: str = "block", max_bytes: float = math.inf) -> None:
        self.capacity, self.overflow, self.max_bytes, self.closed = capacity, overflow, max_bytes, False
        self.buffer: deque[Item] = deque()
        self.ends: list[Handle] = []
        self.waiting: dict[str, deque[tuple[Party, int]]] = {SEND: deque(), RECV: deque()}
        self.sent = self.received = self.dropped = self.discarded = self.peak = 0

    def count(self, side: str) -> int:
        return sum(side in end.counted for end in self.ends)

    def parties(self, side: str) -> Iterator[tuple[Party, int]]:
        return (entry for entry in list(self.waiting[side]) if entry[0].outcome is None)

    def fire_all(self, side: str, outcome: str, through: Handle | None = None) -> None:
        for party, index in self.parties(side):
            if party.outcome is None and through in (None, party.cases[index][0]):
                party.fire(index, outcome)

    def send(self, handle: Handle, item: Item) -> str:
        if handle.closed:
            return CLOSED
        if self.closed or not self.count(RECV):
            return BROKEN
        for party, index in self.parties(RECV):
            self.sent, self.received = self.sent + 1, self.received + 1
            party.fire(index, OK, item)
            return OK
        if not self.has_room(item):
            if self.overflow == "block":
                return PENDING
            self.sent += 1
            dropped = deque([item])
            if self.overflow == "drop_oldest":
                dropped = deque([self.buffer.popleft()])
                while self.buffer and self.buffered_bytes() + item.bytes > self.max_bytes:
                    dropped.append(self.buffer.popleft())
                self.buffer.append(item)
            self.dropped += len(dropped)
            lose(dropped)
            return OK
        self.buffer.append(item)
        self.sent, self.peak = self.sent + 1, max(self.peak, len(self.buffer))
        return OK

    def recv(self, handle: Handle) -> tuple[str, Item | None]:
        if handle.closed and not handle.both:
            return CLOSED, None
        if self.buffer:
            item = self.buffer.popleft()
        else:
            taken = self.admit()
            if taken is None:
                return (END if self.closed or not self.count(SEND) else PENDING), None
            item = taken
        self.received += 1
        self.admit_all()
        return OK, item

    def buffered_bytes(self) -> int:
        return sum(item.bytes for item in self.buffer)

    def fits(self, item: Item) -> bool:
        return len(self.buffer) < self.capacity and (not self.buffer or self.buffered_bytes() + item.bytes <= self.max_bytes)

    def has_room(self, item: Item) -> bool:
        return self.fits(item) and not any(self.parties(SEND))

    def admit_all(self) -> None:
        """Waiting senders get the room there is, in their order."""
        for party, index in self.parties(SEND):
            item = party.cases[index][2]
            if party.outcome is not None or self.closed or not self.count(RECV):
                continue
            assert item is not None
            if not self.fits(item):
                break
            self.sent += 1
            self.buffer.append(item)
            party.fire(index, OK)
        self.peak = max(self.peak, len(self.buffer))

    def admit(self) -> Item | None:
        """The value of the sender that has waited longest."""
        for party, index in self.parties(SEND):
            self.sent += 1
            party.fire(index, OK)
            return party.cases[index][2]
        return None

    def give_back(self, item: Item) -> None:
        """A lease's block failed."""
        if not self.count(RECV):
            self.received, self.discarded = self.received - 1, self.discarded + 1
            return lose(deque([item]))
        for party, index in self.parties(RECV):
            return party.fire(index, OK, item)
        self.received -= 1
        self.buffer.appendleft(item)
        self.peak = max(self.peak, len(self.buffer))

    def statistics(self) -> tuple[int, ...]:
        return (
            self.sent, self.received, self.dropped, self.discarded, len(self.buffer), self.peak,
            len(list(self.parties(SEND))), len(list(self.parties(RECV))), self.count(SEND), self.count(RECV),
        )  # fmt: skip
