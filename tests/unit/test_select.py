"""select, Selector, Selected and merge: what a case is, which one fires, and that the others have no effect."""

import gc
import math
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import csp
from csp import Channel, Selected, Selector, select
from csp.testing import wait_parked
from tests.placements import Party


def filled(*values: Any) -> Channel[Any]:
    ch: Channel[Any] = Channel(len(values))
    ch.send_many(values)
    return ch


def by_select(cases: Any, **options: Any) -> Selected:
    return select(cases, **options)


def by_selector(cases: Any, **options: Any) -> Selected:
    return Selector(cases).select(**options)


both = pytest.mark.parametrize("select", [by_select, by_selector], ids=["select", "Selector"])

# --- cases ---


@both
def test_receive_case_is_a_channel_or_a_recv_channel(select: Callable[..., Selected]) -> None:
    """A Channel or a RecvChannel stands for receiving from it."""
    ch = filled("a", "b")
    receiver = ch.receiver
    assert tuple(select([ch])) == (ch, "a")
    assert tuple(select([receiver])) == (receiver, "b")


@both
def test_send_case_is_a_pair(select: Callable[..., Selected]) -> None:
    """A pair (channel, value) stands for sending; the value of the result is None."""
    ch: Channel[str] = Channel(2)
    sender = ch.sender
    assert tuple(select([(ch, "a")])) == (ch, None)
    fired = select([(sender, "b")])
    assert fired.channel is sender
    assert ch.recv_many(3) == ["a", "b"]


@both
def test_none_case_is_disabled_and_keeps_its_index(select: Callable[..., Selected]) -> None:
    """None, as Go's nil channel, never fires; the positions of the others stay."""
    ch = filled(7)
    fired = select([None, None, ch, None])
    assert (fired.channel, fired.value, fired.index) == (ch, 7, 2)


@both
@pytest.mark.parametrize("cases", [[], [None], [None, None], ()])
def test_no_enabled_case_without_timeout_is_a_value_error(select: Callable[..., Selected], cases: Any) -> None:
    """`timeout=None` with nothing to wait for would wait for ever: ValueError."""
    with pytest.raises(ValueError, match="case"):
        select(cases)


@both
@pytest.mark.parametrize("cases", [[], [None]])
@pytest.mark.parametrize("timeout", [0, 0.005])
def test_no_enabled_case_with_timeout_times_out(select: Callable[..., Selected], cases: Any, timeout: float) -> None:
    """With a timeout, nothing to wait for just waits."""
    assert not select(cases, timeout=timeout)


@both
@pytest.mark.parametrize("make", [lambda ch: [ch, ch], lambda ch: (ch, ch), lambda ch: (c for c in [ch, ch]), lambda ch: {ch: 1}])
def test_cases_are_any_iterable(select: Callable[..., Selected], make: Any) -> None:
    """A list, tuple, generator or any other iterable of cases."""
    assert select(make(filled(1))).value == 1


@both
@pytest.mark.parametrize("cases", [3, None, Channel(), Channel().sender])
def test_cases_must_be_iterable(select: Callable[..., Selected], cases: Any) -> None:
    """What holds no cases is a TypeError."""
    if isinstance(cases, Channel):
        cases.close()  # a Channel is an iterable, of values: an empty one here
        with pytest.raises(ValueError, match="case"):
            select(cases)
        return
    with pytest.raises(TypeError):
        select(cases)


@both
@pytest.mark.parametrize(
    "case",
    [
        1,
        "ch",
        (),
        (Channel(1),),
        (Channel(1), 1, 2),
        [Channel(1), 1],
        (1, Channel(1)),
        (None, 1),
        Channel(1).sender,
        (Channel(1).receiver, 1),
    ],
    ids=repr,
)
def test_wrong_case_is_a_type_error_with_its_position(select: Callable[..., Selected], case: Any) -> None:
    """What is no case, or the wrong side of a channel, is a TypeError that says which; nothing was done."""
    ready = filled(1)
    with pytest.raises(TypeError, match="case 1"):
        select([ready, case], timeout=0)
    assert len(ready) == 1


class Offer:
    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def __csp_case__(self) -> Any:
        return self.handle


@both
def test_what_offers_a_channel_is_a_case(select: Callable[..., Selected]) -> None:
    """Anything that can be waited for is a receive case by `__csp_case__`; the result names the object itself."""
    offer = Offer(filled(5).receiver)
    fired = select([offer])
    assert fired.channel is offer
    assert fired.value == 5


@both
@pytest.mark.parametrize("handle", [None, 1, Channel().sender])
def test_wrong_offer_is_a_type_error(select: Callable[..., Selected], handle: Any) -> None:
    """`__csp_case__` must return what can be received from."""
    with pytest.raises(TypeError, match="case 0"):
        select([Offer(handle)], timeout=0)


def test_offer_that_raises_passes_on() -> None:
    """An error of `__csp_case__` is the caller's to see, and nothing was done."""

    class Broken:
        def __csp_case__(self) -> Any:
            raise LookupError

    ready = filled(1)
    with pytest.raises(LookupError):
        select([ready, Broken()])
    assert len(ready) == 1


def test_options_are_keyword_only() -> None:
    """`select(cases, *, timeout, priority)`."""
    for call in (
        lambda: select([], 0),  # type: ignore[misc]
        lambda: select([], wait=0),  # type: ignore[call-arg]
        lambda: select(),  # type: ignore[call-arg]
        lambda: Selector([]).select(0),  # type: ignore[misc]
        lambda: Selector([]).select(wait=0),  # type: ignore[call-arg]
        lambda: Selector(),  # type: ignore[call-arg]
    ):
        with pytest.raises(TypeError):
            call()


# --- the result ---


@both
def test_result_is_a_pair_with_an_index(select: Callable[..., Selected]) -> None:
    """Selected is the tuple (channel, value) with `.channel`, `.value`, `.index`; it unpacks, and is true."""
    ch = filled("x")
    fired = select([csp.never(), ch])
    assert isinstance(fired, Selected)
    assert isinstance(fired, tuple)
    channel, value = fired
    assert (len(fired), channel is ch, value) == (2, True, "x")
    assert (fired.channel is ch, fired.value, fired.index) == (True, "x", 1)
    assert fired == (ch, "x")
    assert bool(fired)


@both
def test_result_channel_is_the_object_that_was_passed(select: Callable[..., Selected]) -> None:
    """`channel` is the very object, though other handles are equal."""
    ch = filled(1, 2)
    one, two = ch.receiver, ch.receiver
    assert select([None, two]).channel is two
    assert select([one, None]).channel is one


def test_result_crosses_with_its_index() -> None:
    """A Selected is a value: it crosses whole."""
    mail: Channel[Any] = Channel(1)
    ch = filled("x")
    for fired in (select([None, ch]), select([], timeout=0)):
        mail.send(fired)
        came = mail.recv()
        assert type(came) is Selected
        assert (came.channel, came.value, came.index, bool(came)) == (fired.channel, fired.value, fired.index, bool(fired))


@both
@pytest.mark.parametrize("timeout", [0, 0.0, 0.005])
def test_timeout_result_is_falsy(select: Callable[..., Selected], timeout: float) -> None:
    """On timeout: (None, None), index -1, falsy; no exception."""
    fired = select([Channel(), (Channel(), 1)], timeout=timeout)
    assert fired == (None, None)
    assert (fired.channel, fired.value, fired.index, bool(fired)) == (None, None, -1, False)


@both
@pytest.mark.parametrize("value", [None, 0, False, "", ()])
def test_result_is_true_whatever_the_value(select: Callable[..., Selected], value: Any) -> None:
    """A falsy value, and a send, make a true result."""
    assert select([filled(value)])
    assert select([(Channel(1), value)])


# --- exactly one ---


@both
@pytest.mark.parametrize("priority", [False, True])
def test_exactly_one_case_fires(select: Callable[..., Selected], priority: bool) -> None:
    """With all cases ready, one is done and the others are as before."""
    sources = [filled(n) for n in range(4)]
    sinks: list[Channel[int]] = [Channel(1) for _ in range(4)]
    fired = select([*sources, *((sink, 9) for sink in sinks)], priority=priority)
    assert sum(len(source) for source in sources) + sum(1 - len(sink) for sink in sinks) == 7
    assert [len(source) for source in sources] == [int(fired.index != n) for n in range(4)]
    assert [len(sink) for sink in sinks] == [int(fired.index == 4 + n) for n in range(4)]


@both
def test_waiting_select_fires_one_case_and_leaves_the_others(select: Callable[..., Selected]) -> None:
    """A select that waited has withdrawn from every other channel: nothing taken, nothing sent, nobody waits there."""
    a: Channel[Any] = Channel()
    b: Channel[Any] = Channel()
    c: Channel[Any] = Channel()
    party = Party(select, [a, b, (c, "c")])
    for ch in (a, b):
        wait_parked(ch, receivers=1)
    wait_parked(c, senders=1)
    b.send("b")
    assert party.result().value == "b"
    for ch in (a, c):
        stats = ch.statistics()
        assert (stats.waiting_senders, stats.waiting_receivers, stats.sent) == (0, 0, 0)
    with pytest.raises(csp.WouldBlock):
        a.send_nowait(1)
    with pytest.raises(csp.WouldBlock):
        c.recv_nowait()


@both
def test_waiting_select_sends(select: Callable[..., Selected]) -> None:
    """A select that waits with a send case completes by a receive."""
    ch: Channel[str] = Channel()
    party = Party(select, [csp.never(), (ch, "x")])
    wait_parked(ch, senders=1)
    assert ch.recv() == "x"
    assert party.result().index == 1


def test_two_peers_at_once_fire_a_select_once() -> None:
    """Two senders on two channels of one waiting select: one is taken, the other keeps waiting."""
    for _ in range(200):
        a: Channel[str] = Channel()
        b: Channel[str] = Channel()
        party = Party(select, [a, b])
        senders = [Party(a.send, "a", 10), Party(b.send, "b", 10)]
        first = party.result().value
        left = b if first == "a" else a
        assert left.recv() == {"a": "b", "b": "a"}[first]
        for sender in senders:
            sender.result()


@both
@pytest.mark.parametrize("order", [0, 1])
def test_timed_out_select_leaves_nothing(select: Callable[..., Selected], order: int) -> None:
    """After a timeout nobody waits, nothing was sent and nothing taken."""
    a: Channel[int] = Channel()
    b: Channel[int] = Channel()
    cases: list[Any] = [a, (b, 1)]
    for timeout in (0, 0.005):
        assert not select(cases[::-1] if order else cases, timeout=timeout)
    for ch in (a, b):
        stats = ch.statistics()
        assert (stats.sent, stats.received, stats.waiting_senders, stats.waiting_receivers) == (0, 0, 0, 0)


@both
def test_send_values_are_encoded_on_entry(select: Callable[..., Selected]) -> None:
    """A value that cannot cross raises NotShareable with its index, though another case is ready, and nothing was done."""
    ready = filled(1)
    sink: Channel[Any] = Channel(1)
    with pytest.raises(csp.NotShareable) as caught:
        select([ready, (sink, 2), (Channel(1), math)], priority=True)
    assert caught.value.index == 2
    assert (len(ready), len(sink)) == (1, 0)


def test_send_value_is_copied_on_entry() -> None:
    """Changing the value while the select waits changes nothing."""
    ch: Channel[list[int]] = Channel()
    value = [1]
    party = Party(select, [(ch, value)])
    wait_parked(ch, senders=1)
    value.append(2)
    assert ch.recv() == [1]
    party.result()


# --- which one ---


@both
def test_ready_cases_are_chosen_uniformly(select: Callable[..., Selected]) -> None:
    """Of several ready cases each is chosen about equally often (five sigma)."""
    cases: list[Any] = [Channel(1, overflow="drop_newest") for _ in range(4)]
    times = 2000
    counts = Counter(select([None, *((ch, 0) for ch in cases)]).index for _ in range(times))
    expected = times / 4
    assert set(counts) == {1, 2, 3, 4}
    assert all(abs(count - expected) < 5 * math.sqrt(expected * 0.75) for count in counts.values())


def test_ready_kinds_of_cases_are_chosen_uniformly() -> None:
    """Receives, sends, errors and timers stand equal chances."""
    counts: Counter[int] = Counter()
    times = 1000
    ended = csp.channel()[1]  # its sender is gone at once
    ready, sink = filled(*range(times)), Channel[int](math.inf)
    for _ in range(times):
        try:
            counts[select([ended, ready, (sink, 0), csp.after(0)]).index] += 1
        except csp.EndOfChannel as end:
            assert end.index is not None
            counts[end.index] += 1
    assert all(abs(counts[n] - times / 4) < 5 * math.sqrt(times / 4 * 0.75) for n in range(4))


@both
def test_priority_takes_the_first_ready_case(select: Callable[..., Selected]) -> None:
    """`priority=True`: the first in order that is ready, always."""
    for _ in range(50):
        a, b = filled(1), filled(2)
        assert select([Channel(), a, b], priority=True).index == 1
        assert select([Channel(), a, b], priority=True).index == 2


def test_priority_prefers_an_error_that_comes_first() -> None:
    """An ended case is ready: with priority it comes before later ones."""
    with pytest.raises(csp.EndOfChannel):
        select([csp.channel()[1], filled(1)], priority=True)
    assert select([filled(1), csp.channel()[1]], priority=True).value == 1


# --- errors are readiness ---


def test_disable_the_case_that_ended() -> None:
    """The idiom: `except EndOfChannel as e: cases[e.index] = None`, until none is left."""
    cases: list[Any] = [filled(1, 2), filled(3), filled()]
    for ch in cases:
        ch.close()
    got = []
    while any(cases):
        try:
            got.append(select(cases).value)
        except csp.EndOfChannel as end:
            assert end.index is not None
            assert end.channel is cases[end.index]
            cases[end.index] = None
    assert sorted(got) == [1, 2, 3]


@both
@pytest.mark.parametrize("side", ["recv", "send"])
@pytest.mark.parametrize("how", ["close", "last"])
def test_closing_wakes_a_waiting_select(select: Callable[..., Selected], side: str, how: str) -> None:
    """A select that waits raises what recv or send would, with handle and index, when its channel closes or its peers go."""
    ch: Channel[int] = Channel()
    handle = ch.receiver if side == "recv" else ch.sender
    party = Party(select, [csp.never(), handle if side == "recv" else (handle, 1)])
    wait_parked(ch, receivers=side == "recv", senders=side == "send")
    if how == "close":
        ch.close()
    del ch
    with pytest.raises(csp.EndOfChannel if side == "recv" else csp.BrokenChannel) as caught:
        party.result()
    assert caught.value.channel is handle
    assert caught.value.index == 1


@both
def test_giving_up_a_handle_wakes_a_waiting_select(select: Callable[..., Selected]) -> None:
    """Closing the very handle that a select waits through is ClosedHandle there."""
    ch: Channel[int] = Channel()
    receiver = ch.receiver
    party = Party(select, [csp.never(), csp.never(), receiver])
    wait_parked(ch, receivers=1)
    receiver.close()
    with pytest.raises(csp.ClosedHandle) as caught:
        party.result()
    assert (caught.value.index, caught.value.channel) == (2, receiver)


def test_undecodable_value_raises_with_its_index() -> None:
    """DecodeError out of select has the case that fired; the channel goes on."""

    ch: Channel[Any] = Channel(2)
    ch.send_many([Unbuildable(), 2])
    with pytest.raises(csp.DecodeError) as caught:
        select([None, ch])
    assert (caught.value.index, caught.value.channel) == (1, ch)
    assert select([ch]).value == 2


class Unbuildable:
    def __reduce__(self) -> Any:
        return fail, ()


def fail() -> None:
    raise LookupError


# --- Selector ---


def test_selector_selects_again_and_again() -> None:
    """A Selector is the same set, prepared once: it receives what comes, and sends its value anew each time."""
    source = filled(1, 2)
    sink: Channel[str] = Channel(5)
    selector = Selector([source, (sink, "again")])
    for _ in range(7):
        selector.select()
    assert not selector.select(timeout=0)
    assert (len(source), sink.recv_many(9)) == (0, ["again"] * 5)


def test_selector_is_for_one_thread_at_a_time() -> None:
    """A second thread gets RuntimeError, and the first is not disturbed."""
    ch: Channel[int] = Channel()
    selector = Selector([ch])
    party = Party(selector.select)
    wait_parked(ch, receivers=1)
    with pytest.raises(RuntimeError):
        selector.select(timeout=0)
    ch.send(1)
    assert party.result().value == 1
    ch_two = Party(ch.send, 2)
    assert selector.select().value == 2
    ch_two.result()


def test_selector_works_after_errors() -> None:
    """A timeout, an ended case and a refused value leave a Selector usable."""
    ch: Channel[int] = Channel(1)
    selector = Selector([ch])
    assert not selector.select(timeout=0)
    with pytest.raises(ValueError, match="timeout"):
        selector.select(timeout=-1)
    ch.send(1)
    assert selector.select().value == 1
    ch.close()
    for _ in range(2):
        with pytest.raises(csp.EndOfChannel):
            selector.select()


def test_selector_keeps_its_handles_and_lets_them_go() -> None:
    """A Selector holds the handles of its cases, and drops them with itself, through a cycle as well."""
    sender, receiver = csp.channel()
    selector = Selector([receiver])
    del receiver
    assert sender.statistics().receivers == 1
    del selector
    assert sender.statistics().receivers == 0

    class Owner:
        pass

    owner: Any = Owner()
    owner.__csp_case__ = csp.never
    offer = Offer(csp.never())
    offer.me = Selector([offer])  # type: ignore[attr-defined]
    watch = weakref.ref(offer)
    del offer
    gc.collect()
    assert watch() is None


# --- merge ---


def test_merge_yields_everything_until_all_have_ended() -> None:
    """`merge(channels)` iterates (channel, value) until all are closed, each channel in its order."""
    channels = [filled(*range(n)) for n in (3, 0, 5)]
    for ch in channels:
        ch.close()
    got: dict[Any, list[int]] = {ch: [] for ch in channels}
    for channel, value in csp.merge(channels):
        got[channel].append(value)
    assert list(got.values()) == [[0, 1, 2], [], [0, 1, 2, 3, 4]]


def test_merge_of_nothing_ends_at_once() -> None:
    """Without channels there is nothing to wait for."""
    assert list(csp.merge([])) == []


def test_merge_waits() -> None:
    """merge goes on while any channel is open, and leaving it closes nothing."""
    a: Channel[int] = Channel()
    b: Channel[int] = Channel()
    party = Party(lambda: [value for _, value in csp.merge([a, b])])
    for n in range(4):
        (a, b)[n % 2].send(n)
    a.close()
    b.send(4)
    b.close()
    assert party.result() == [0, 1, 2, 3, 4]
    c = filled(1, 2)
    for _channel, value in csp.merge([c]):
        assert value == 1
        break
    assert (c.closed, len(c)) == (False, 1)


# --- what can be selected ---


def test_timers_and_channels_mix() -> None:
    """after, tick and never are cases like any other."""
    ch: Channel[int] = Channel()
    assert select([ch, csp.after(0.005), csp.never()]).index == 1
    assert select([ch, csp.never(), csp.tick(0.005)]).index == 2
    party = Party(select, [csp.after(60), ch])
    wait_parked(ch, receivers=1)
    ch.send(3)
    assert party.result() == (ch, 3)


def test_many_cases() -> None:
    """Hundreds of cases, in any order of their channels, work as two do."""
    channels: list[Channel[int]] = [Channel(1) for _ in range(300)]
    cases = channels[::-1]
    party = Party(select, cases)
    wait_parked(channels[137], receivers=1)
    channels[137].send(137)
    fired = party.result()
    assert (fired.value, fired.index) == (137, 300 - 1 - 137)
    assert all(ch.statistics().waiting_receivers == 0 for ch in channels)
    channels[0].send(0)
    assert select(cases, timeout=0).index == 299
