"""after, tick, never and sleep: when they fire, what they deliver, how they end."""

import math
import time
from collections.abc import Callable
from typing import Any

import pytest

import csp
from csp.testing import wait_parked, wait_until
from tests.placements import Party

GENEROUS = 5.0  # how late a busy machine may make us


def test_after_delivers_once_and_then_ends() -> None:
    """`after(s)` delivers the time.monotonic() at which it fired, not before s seconds have passed; then EndOfChannel."""
    start = time.monotonic()
    timer = csp.after(0.02)
    fired = timer.recv()
    now = time.monotonic()
    assert isinstance(fired, float)
    assert start + 0.02 <= fired <= now
    for _ in range(2):
        with pytest.raises(csp.EndOfChannel):
            timer.recv()
    assert list(timer) == []


def test_after_is_not_early_and_says_when() -> None:
    """Read late, it still delivers the moment at which it fired."""
    start = time.monotonic()
    timer = csp.after(0.01)
    made = time.monotonic()
    csp.sleep(0.03)
    assert start + 0.01 <= timer.recv(timeout=0) <= made + 0.01


@pytest.mark.parametrize("seconds", [0, 0.0, -0.0, 1e-12])
def test_after_zero_is_ready_at_once(seconds: float) -> None:
    """`after(0)` has fired."""
    timer = csp.after(seconds)
    wait_until(lambda: csp.select([timer], timeout=0))


def test_after_is_one_way() -> None:
    """Timers are RecvChannels."""
    for timer in (csp.after(1), csp.tick(1), csp.never()):
        assert type(timer) is csp.RecvChannel
        assert not hasattr(timer, "send")


@pytest.mark.parametrize("make", [csp.after, csp.tick, csp.sleep])
@pytest.mark.parametrize("seconds", [-1, -1e-9, math.nan, -math.inf, -(10**400)])
def test_negative_or_nan_is_a_value_error(make: Callable[[float], Any], seconds: float) -> None:
    """Negative and NaN are refused."""
    with pytest.raises(ValueError, match="seconds|period"):
        make(seconds)


@pytest.mark.parametrize("make", [csp.after, csp.tick, csp.sleep])
@pytest.mark.parametrize("seconds", [None, "1", [], 1j])
def test_wrong_type_is_a_type_error(make: Callable[[Any], Any], seconds: Any) -> None:
    """What is no number is a TypeError that names the argument."""
    with pytest.raises(TypeError, match="seconds|period"):
        make(seconds)


@pytest.mark.parametrize("period", [0, 0.0, -0.0])
def test_tick_needs_a_positive_period(period: float) -> None:
    """`tick(0)` would be ready always: ValueError."""
    with pytest.raises(ValueError, match="period"):
        csp.tick(period)


@pytest.mark.parametrize("make", [csp.after, csp.tick])
@pytest.mark.parametrize("seconds", [math.inf, 1e308, 10**400, 1e10])
def test_huge_timers_never_fire(make: Callable[[float], Any], seconds: float) -> None:
    """Infinity and what no clock reaches never fire; nothing overflows."""
    timer = make(seconds)
    with pytest.raises(csp.WouldBlock):
        timer.recv_nowait()
    with pytest.raises(csp.Timeout):
        timer.recv(timeout=0.002)
    assert not csp.select([timer], timeout=0.002)


def test_tick_delivers_again_and_again_on_its_grid() -> None:
    """`tick(p)` fires at multiples of p after its making, never early."""
    start = time.monotonic()
    ticker = csp.tick(0.01)
    made = time.monotonic()
    times = [ticker.recv() for _ in range(4)]
    for earlier, later in zip(times, times[1:], strict=False):
        beats = (later - earlier) / 0.01
        assert round(beats) >= 1
        assert beats == pytest.approx(round(beats), abs=1e-3)
    assert start + 0.01 <= times[0]
    assert (times[0] - made) / 0.01 == pytest.approx(round((times[0] - made) / 0.01), abs=0.2 + (made - start) / 0.01)


def test_tick_skips_what_nobody_took() -> None:
    """Missed ticks are not queued: after a pause there is one, the newest, and the beat is not shifted."""
    ticker = csp.tick(0.01)
    first = ticker.recv()
    time.sleep(0.055)
    late = ticker.recv(timeout=0)
    now = time.monotonic()
    assert now - late < 0.01 + GENEROUS
    beats = (late - first) / 0.01
    assert round(beats) >= 5
    assert beats == pytest.approx(round(beats), abs=1e-3)
    assert ticker.recv() >= late + 0.0099


def test_tick_ends_with_its_handle() -> None:
    """Closing the handle ends the ticks: ClosedHandle."""
    ticker = csp.tick(0.001)
    ticker.recv()
    ticker.close()
    with pytest.raises(csp.ClosedHandle):
        ticker.recv()
    assert ticker.closed


def test_never_is_never_ready() -> None:
    """`never()` neither delivers nor ends."""
    timer = csp.never()
    with pytest.raises(csp.WouldBlock):
        timer.recv_nowait()
    assert timer.recv_nowait("nothing") == "nothing"
    with pytest.raises(csp.Timeout):
        timer.recv(timeout=0.002)
    assert not csp.select([timer, timer], timeout=0.002)
    assert not timer.closed


def test_timers_look_like_rendezvous_channels() -> None:
    """capacity and len report 0, also when the timer is due (as in Go since 1.23)."""
    due = csp.after(0)
    for timer in (due, csp.tick(0.001), csp.never()):
        assert (timer.capacity, len(timer)) == (0, 0)
    assert due.recv() <= time.monotonic()


def test_one_of_several_receivers_gets_after() -> None:
    """`after` delivers once: of two who wait one gets it, the other the end; of two clones likewise."""
    timer = csp.after(0.05)
    parties = [Party(timer.recv), Party(timer.clone().recv)]
    outcomes = []
    for party in parties:
        try:
            outcomes.append(type(party.result()))
        except csp.EndOfChannel:
            outcomes.append(csp.EndOfChannel)
    assert sorted(outcomes, key=str) == sorted([float, csp.EndOfChannel], key=str)


def test_the_first_to_wait_gets_the_timer() -> None:
    """First come, first served among those who wait for a timer."""
    timer = csp.after(0.4)
    first = Party(timer.recv)
    wait_parked(timer, receivers=1)
    second = Party(timer.recv)
    assert isinstance(first.result(), float)
    with pytest.raises(csp.EndOfChannel):
        second.result()


@pytest.mark.parametrize("operation", ["recv", "recv_many", "lease", "next", "select", "recv with timeout"])
def test_every_receive_waits_for_a_timer(operation: str) -> None:
    """All receiving operations work on timers."""

    def lease(timer: Any) -> float:
        with timer.lease() as fired:
            return float(fired)

    operations: dict[str, Callable[[Any], float]] = {
        "recv": lambda timer: timer.recv(),
        "recv_many": lambda timer: timer.recv_many(5)[0],
        "lease": lease,
        "next": next,
        "select": lambda timer: csp.select([timer]).value,
        "recv with timeout": lambda timer: timer.recv(timeout=20),
    }
    start = time.monotonic()
    fired = operations[operation](csp.after(0.01))
    assert start + 0.01 <= fired <= time.monotonic()


def test_deadline_before_a_timer_is_a_timeout() -> None:
    """The earlier of deadline and timer decides."""
    start = time.monotonic()
    with pytest.raises(csp.Timeout):
        csp.after(60).recv(timeout=0.01)
    assert not csp.select([csp.after(60), csp.tick(60)], timeout=0.01)
    assert time.monotonic() - start < GENEROUS
    assert csp.select([csp.after(60), csp.after(0.01)], timeout=60).index == 1


def test_closing_a_timer_wakes_who_waits_through_the_handle() -> None:
    """A receive that waits for a timer through this handle gets ClosedHandle when it is closed."""
    timer = csp.after(60)
    party = Party(timer.recv)
    wait_parked(timer, receivers=1)
    timer.close()
    with pytest.raises(csp.ClosedHandle):
        party.result()


def test_timer_crosses_and_keeps_its_time() -> None:
    """A timer inside a value is the same timer: it fires once, at its time, for whoever takes it."""
    mail: csp.Channel[Any] = csp.Channel(1)
    timer = csp.after(0.01)
    mail.send({"timer": timer})
    came = mail.recv()["timer"]
    assert came == timer
    assert came.recv() <= time.monotonic()
    with pytest.raises(csp.EndOfChannel):
        timer.recv()


def test_timers_cost_nothing_once_dropped() -> None:
    """A timer nobody waits for is collected with its handle, fired or not, also one made for each turn of a select loop."""
    before = csp.testing.census()["channels"]
    ch: csp.Channel[int] = csp.Channel(1)
    for n in range(1000):
        ch.send(n)
        assert csp.select([ch, csp.after(3600)], priority=True).value == n
    del ch
    assert csp.testing.census()["channels"] == before


def test_sleep_sleeps() -> None:
    """`sleep(s)` returns None after s seconds, not before."""
    start = time.monotonic()
    assert csp.sleep(0.03) is None
    assert time.monotonic() - start >= 0.03
    assert csp.sleep(0) is None


def test_sleepers_of_several_threads_sleep_together() -> None:
    """sleep lets other threads run."""
    start = time.monotonic()
    for party in [Party(csp.sleep, 0.1) for _ in range(20)]:
        party.result()
    assert 0.1 <= time.monotonic() - start < 1.9
