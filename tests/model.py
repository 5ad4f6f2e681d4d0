"""What a channel must do, in a hundred lines: no threads, no locks, one operation after another.

The property tests drive this and the real thing in lockstep.  An operation answers a pair (outcome, value).  Where it could
not complete it answers PENDING, and may then be put on the wait queues as a Party, whose outcome a later operation sets.
The handles are counted as csp counts them, and a value that holds a handle (`Flight`) keeps it open until it is received
or lost.
"""

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
    """A value in a channel, and how often a lease has handed it out."""

    def __init__(self, value: object) -> None:
        self.value, self.deliveries = value, 0


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


class Channel:
    def __init__(self, capacity: float = 0, overflow: str = "block") -> None:
        self.capacity, self.overflow, self.closed = capacity, overflow, False
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
        if len(self.buffer) >= self.capacity:
            if self.overflow == "block":
                return PENDING
            self.sent, self.dropped = self.sent + 1, self.dropped + 1
            if self.overflow == "drop_oldest":
                self.buffer.append(item)
                item = self.buffer.popleft()
            lose(deque([item]))
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
        while len(self.buffer) < self.capacity and (admitted := self.admit()) is not None:
            self.buffer.append(admitted)
        return OK, item

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
