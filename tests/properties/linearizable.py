"""Is a history of overlapping operations one that atomic channels could have given?

After Wing and Gong, "Testing and verifying concurrent objects" (1993), with the waiting made part of the state, as in
Scherer and Scott's dual data structures (2004): a blocking operation has two points within its interval, at the first it
completes or joins a wait queue, at the second somebody else completes it or it gives up.  The search is exhaustive.
"""

from collections.abc import Iterator
from typing import NamedTuple

SEND, RECV = "send", "recv"
OK, TIMEOUT, END, BROKEN = "ok", "timeout", "EndOfChannel", "BrokenChannel"


class Operation(NamedTuple):
    """Cases (channel, side, value) of which one fired, or a close, which has none; and what came of it."""

    call: int
    end: int  # when it returned; a total order with `call`, ties allowed
    cases: tuple[tuple[int, str, object], ...]
    blocking: bool  # it may wait: it had a timeout above zero
    priority: bool = False
    closes: int | None = None
    outcome: str = OK
    index: int | None = None  # of the case that fired or failed
    value: object = None  # what it received


class Channel(NamedTuple):
    capacity: int
    buffer: tuple[object, ...] = ()
    closed: bool = False
    senders: tuple[tuple[int, int], ...] = ()  # (operation, case) that wait, oldest first
    receivers: tuple[tuple[int, int], ...] = ()


class State(NamedTuple):
    channels: tuple[Channel, ...]
    pending: frozenset[int]  # not begun
    waiting: frozenset[int]  # begun, not over


def linearizable(history: list[Operation], capacities: list[int]) -> bool:
    """Search for an order of points that explains all outcomes."""
    start = State(tuple(Channel(capacity) for capacity in capacities), frozenset(range(len(history))), frozenset())
    seen, todo = set(), [start]
    while todo:
        state = todo.pop()
        if not state.pending and not state.waiting:
            return True
        if state not in seen:
            seen.add(state)
            todo.extend(_next(history, state))
    return False


def _next(history: list[Operation], state: State) -> Iterator[State]:
    """All states one point later."""
    latest = min(history[i].end for i in state.pending | state.waiting)  # nothing that was called later comes first
    for i in state.pending:
        if history[i].call <= latest:
            yield from _begin(history, state._replace(pending=state.pending - {i}), i)
    for i in state.waiting:
        if history[i].outcome == TIMEOUT:
            yield _forget(state, i)


def _begin(history: list[Operation], state: State, i: int) -> Iterator[State]:
    operation = history[i]
    if operation.closes is not None:
        yield from _close(history, state, operation.closes)
        return
    tries = [_try(history, state, channel, side, value) for channel, side, value in operation.cases]
    ready = [index for index, came in enumerate(tries) if came is not None]
    if ready:
        index = operation.index
        if operation.outcome != TIMEOUT and index in (ready[:1] if operation.priority else ready):
            came = tries[index]  # type: ignore[index]
            if came is not None and came[1:] == (operation.outcome, operation.value):
                yield from came[0]
        return
    if not operation.blocking:
        if operation.outcome == TIMEOUT:
            yield state
        return
    for index, (channel, side, _) in enumerate(operation.cases):
        state = _enqueue(state, channel, side, (i, index))
    yield state._replace(waiting=state.waiting | {i})


def _try(history: list[Operation], state: State, number: int, side: str, value: object) -> tuple[list[State], str, object] | None:
    """(the states after it, outcome, received value), or None if it would have to wait."""
    channel = state.channels[number]
    if side == SEND:
        if channel.closed:
            return [state], BROKEN, None
        if channel.receivers:
            return _fire(history, state, channel.receivers[0], OK, value), OK, None
        if len(channel.buffer) < channel.capacity:
            return [_put(state, number, channel._replace(buffer=(*channel.buffer, value)))], OK, None
        return None
    if channel.buffer:
        taken = channel.buffer[0]
        state = _put(state, number, channel._replace(buffer=channel.buffer[1:]))
        if not channel.senders:
            return [state], OK, taken
        states = _fire(history, state, channel.senders[0], OK, None)
        passed = _value(history, channel.senders[0])
        return [_put(s, number, s.channels[number]._replace(buffer=(*s.channels[number].buffer, passed))) for s in states], OK, taken
    if channel.senders:
        return _fire(history, state, channel.senders[0], OK, None), OK, _value(history, channel.senders[0])
    return ([state], END, None) if channel.closed else None


def _value(history: list[Operation], waiting: tuple[int, int]) -> object:
    return history[waiting[0]].cases[waiting[1]][2]


def _fire(history: list[Operation], state: State, waiting: tuple[int, int], outcome: str, value: object) -> list[State]:
    """The wait is over in this way, if that is how it really ended."""
    i, index = waiting
    operation = history[i]
    if (operation.outcome, operation.index, operation.value) != (outcome, index, value):
        return []
    return [_forget(state, i)]


def _close(history: list[Operation], state: State, number: int) -> Iterator[State]:
    channel = state.channels[number]
    states = [_put(state, number, channel._replace(closed=True))]
    for queue, outcome in (("senders", BROKEN), ("receivers", END)):
        while states and (waiting := getattr(states[0].channels[number], queue)):
            states = _fire(history, states[0], waiting[0], outcome, None)
    yield from states


def _put(state: State, number: int, channel: Channel) -> State:
    return state._replace(channels=(*state.channels[:number], channel, *state.channels[number + 1 :]))


def _enqueue(state: State, number: int, side: str, waiting: tuple[int, int]) -> State:
    queue = "senders" if side == SEND else "receivers"
    channel = state.channels[number]
    return _put(state, number, channel._replace(**{queue: (*getattr(channel, queue), waiting)}))


def _forget(state: State, i: int) -> State:
    channels = tuple(
        channel._replace(senders=tuple(w for w in channel.senders if w[0] != i), receivers=tuple(w for w in channel.receivers if w[0] != i))
        for channel in state.channels
    )
    return state._replace(channels=channels, waiting=state.waiting - {i})
