"""Go's rules of channels and select, one test each: runtime/chan.go, select.go, test/chan/*.go, and the language specification.

Written anew from the documented behaviour.  Where csp differs, the test says so.
"""

import time
from collections import Counter
from typing import Any

import pytest

import csp
from csp import Channel, select
from csp.testing import wait_parked
from tests.placements import Party

# --- the order of a send ---


def test_send_on_a_closed_channel_fails_before_anything_else() -> None:
    """chan.go: closed comes first, though a receiver could wait and the buffer has room (Go panics; here BrokenChannel)."""
    ch: Channel[int] = Channel(5)
    sender = ch.sender
    ch.close()
    with pytest.raises(csp.BrokenChannel):
        sender.send(1)
    with pytest.raises(csp.BrokenChannel):
        sender.send_nowait(1)


def test_send_to_a_parked_receiver_bypasses_the_buffer() -> None:
    """chan.go: a parked receiver gets the value directly, on a buffered channel too."""
    ch: Channel[int] = Channel(5)
    party = Party(ch.recv)
    wait_parked(ch, receivers=1)
    ch.send(1)
    assert (len(ch), ch.statistics().peak) == (0, 0)
    assert party.result() == 1


def test_send_with_room_does_not_block() -> None:
    """The specification: a send on a buffered channel can proceed if the buffer is not full."""
    ch: Channel[int] = Channel(2)
    ch.send(1, timeout=0)
    ch.send(2, timeout=0)
    with pytest.raises(csp.Timeout):
        ch.send(3, timeout=0)


# --- the order of a receive ---


def test_receive_on_closed_and_empty_reports_the_end() -> None:
    """chan.go: zero value and ok=false, for ever (here EndOfChannel, every time)."""
    ch: Channel[int] = Channel(1)
    ch.close()
    for _ in range(3):
        with pytest.raises(csp.EndOfChannel):
            ch.recv()


def test_receive_with_parked_senders_takes_the_head_and_admits_the_sender() -> None:
    """chan.go: with a full buffer the receiver takes the head, and the parked sender's value goes to the tail."""
    ch: Channel[int] = Channel(2)
    ch.send_many([1, 2])
    party = Party(ch.send, 3)
    wait_parked(ch, senders=1)
    assert ch.recv() == 1
    assert len(ch) == 2  # the sender's value is in already
    assert [ch.recv(), ch.recv()] == [2, 3]
    party.result()


def test_receive_on_an_unbuffered_channel_copies_from_the_sender() -> None:
    """chan.go: with capacity 0 the value comes from the parked sender itself."""
    ch: Channel[int] = Channel()
    party = Party(ch.send, 1)
    wait_parked(ch, senders=1)
    assert ch.recv(timeout=0) == 1
    party.result()


# --- close ---


def test_close_wakes_every_parked_receiver() -> None:
    """chan.go: all of them, at once."""
    ch: Channel[int] = Channel()
    parties = [Party(ch.recv) for _ in range(5)]
    wait_parked(ch, receivers=5)
    ch.close()
    for party in parties:
        with pytest.raises(csp.EndOfChannel):
            party.result()


def test_close_wakes_every_parked_sender() -> None:
    """chan.go: parked senders fail (Go panics them; here BrokenChannel), and their values are not sent."""
    ch: Channel[int] = Channel()
    parties = [Party(ch.sender.send, n) for n in range(5)]
    wait_parked(ch, senders=5)
    ch.close()
    for party in parties:
        with pytest.raises(csp.BrokenChannel):
            party.result()
    assert ch.statistics().sent == 0


def test_buffered_values_remain_receivable_after_close() -> None:
    """The specification: values sent before the close are received after it."""
    ch: Channel[int] = Channel(3)
    ch.send_many([1, 2, 3])
    ch.close()
    assert list(ch) == [1, 2, 3]


def test_close_twice_is_fine_here() -> None:
    """Go panics on the second close; here close is idempotent."""
    ch: Channel[int] = Channel()
    ch.close()
    ch.close()


def test_range_over_a_channel_ends_with_it() -> None:
    """`for v := range ch` yields until the channel is closed and drained."""
    ch: Channel[int] = Channel()
    party = Party(list, ch)
    for n in range(10):
        ch.send(n)
    ch.close()
    assert party.result() == list(range(10))


# --- the nil channel ---


def test_nil_case_is_skipped() -> None:
    """select3.go: a nil channel never proceeds, with others present."""
    ch: Channel[int] = Channel(1)
    ch.send(1)
    for _ in range(20):
        assert select([None, ch, None]).index == 1
        ch.send(1)


def test_nil_case_with_default_runs_default() -> None:
    """select3.go: with only nil channels, default runs (here the timeout)."""
    assert select([None, None], timeout=0).index == -1


@pytest.mark.parametrize("cases", [[], [None]])
def test_select_that_could_only_block_for_ever_is_refused(cases: list[Any]) -> None:
    """Go blocks for ever without cases or with nil ones only; here that is a ValueError."""
    with pytest.raises(ValueError, match="case"):
        select(cases)


def test_never_is_the_channel_that_blocks_for_ever() -> None:
    """Receiving from a nil channel blocks: `never()` is a real one like that; len and cap are 0."""
    nil = csp.never()
    with pytest.raises(csp.Timeout):
        nil.recv(timeout=0.005)
    assert (len(nil), nil.capacity) == (0, 0)


# --- select ---


@pytest.mark.parametrize("capacity", [0, 1])
def test_select_blocks_and_proceeds_as_select3_demands(capacity: int) -> None:
    """select3.go's table: which selects block, and which do not."""

    def proceeds(cases: list[Any]) -> bool:
        return select(cases, timeout=0).index >= 0

    ch: Channel[int] = Channel(capacity)
    assert not proceeds([ch])
    assert proceeds([(ch, 1)]) == (capacity > 0)
    assert proceeds([ch]) == (capacity > 0)
    closed: Channel[int] = Channel(capacity)
    closed.close()
    with pytest.raises(csp.EndOfChannel):
        proceeds([closed])
    with pytest.raises(csp.ClosedHandle):
        proceeds([(closed, 1)])


def test_send_values_are_evaluated_once_on_entry() -> None:
    """golang/go #23728: operands are evaluated exactly once, in order, also for cases not chosen."""
    order: list[int] = []

    class Seen:
        def __init__(self, number: int) -> None:
            self.number = number

        def __reduce__(self) -> Any:
            order.append(self.number)
            return int, (self.number,)

    ready: Channel[int] = Channel(1)
    ready.send(0)
    assert select([(Channel(), Seen(1)), (Channel(), Seen(2)), ready, (Channel(), Seen(3))]).index == 2
    assert order == [1, 2, 3]


def test_select_chooses_uniformly() -> None:
    """The specification: of several cases that can proceed, one is chosen by a uniform pseudo-random selection."""
    a: Channel[int] = Channel(1)
    b: Channel[int] = Channel(1)
    a.close()
    b.send(0)
    counts: Counter[int] = Counter()
    for _ in range(2000):
        try:
            fired = select([a, b])
            b.send(0)
            counts[fired.index] += 1
        except csp.EndOfChannel as end:
            counts[end.index or 0] += 1
    assert abs(counts[0] - 1000) < 5 * 22.4


def test_closed_channel_makes_a_case_ready() -> None:
    """The specification: a closed channel can always be received from; a send case on it fails (panics, in Go)."""
    closed: Channel[int] = Channel()
    sender = closed.sender
    closed.close()
    with pytest.raises(csp.EndOfChannel):
        select([csp.never(), closed], timeout=0)
    with pytest.raises(csp.BrokenChannel):
        select([csp.never(), (sender, 1)], timeout=0)


def test_default_runs_only_if_nothing_is_ready() -> None:
    """The specification: default is chosen only when no case can proceed."""
    ch: Channel[int] = Channel(1)
    assert select([ch], timeout=0).index == -1
    ch.send(1)
    assert select([ch], timeout=0).index == 0


# --- test/chan, runtime/chan_test.go ---


@pytest.mark.parametrize("capacity", [0, 10])
def test_self_select(capacity: int) -> None:
    """TestSelfSelect: two parties select a send and a receive on one channel; unbuffered, nobody receives his own value."""
    ch: Channel[int] = Channel(capacity)
    rounds = 300

    def party(me: int) -> None:
        for n in range(rounds):
            cases: list[Any] = [(ch, me), ch] if n % 2 else [ch, (ch, me)]
            fired = select(cases, timeout=10)
            assert fired
            if fired.value is not None and capacity == 0:
                assert fired.value != me, "received its own value"

    parties = [Party(party, me) for me in (1, 2)]
    # Each select is one half of a pair, so with capacity 0 both come through together.
    for each in parties:
        each.result()


def test_lone_self_select_blocks() -> None:
    """TestSelfSelect: a lone select with a send and a receive on one unbuffered channel pairs with nobody."""
    ch: Channel[int] = Channel()
    for cases in ([ch, (ch, 1)], [(ch, 1), ch], [ch, (ch, 1), ch, (ch, 2)]):
        assert not select(cases, timeout=0)
        assert not select(cases, timeout=0.005)
    assert ch.statistics().sent == 0


def test_self_select_on_a_buffer_may_take_its_own_value() -> None:
    """With a buffer, one select sends and the next may receive what it sent."""
    ch: Channel[int] = Channel(1)
    assert select([ch, (ch, 1)]).index == 1
    assert select([ch, (ch, 2)]).value == 1


def test_duplicate_channel_in_a_select() -> None:
    """TestSelectDuplicateChannel: one channel in several cases of one select; the queue stays whole for those behind."""
    a: Channel[int] = Channel()
    b: Channel[int] = Channel()
    duplicate = Party(select, [a, a, a, b])
    wait_parked(a, receivers=1)
    behind = Party(a.recv)
    wait_parked(a, receivers=2)
    b.send(9)  # the select goes, and takes its three places out of the middle of the queue
    assert duplicate.result().value == 9
    a.send(1, timeout=10)
    assert behind.result() == 1
    assert a.statistics().waiting_receivers == 0


def test_duplicate_channel_fires_one_of_its_cases() -> None:
    """A value for a channel that stands in several cases is received once."""
    ch: Channel[int] = Channel()
    party = Party(select, [ch, ch, ch])
    wait_parked(ch, receivers=1)
    ch.send(1)
    assert party.result().value == 1
    with pytest.raises(csp.WouldBlock):
        ch.send_nowait(2)


def test_select_pairs_with_select() -> None:
    """select5.go and doubleselect.go: two selects pair, whatever the order of their cases, and each fires once."""
    a: Channel[int] = Channel()
    b: Channel[int] = Channel()
    rounds = 300

    def client(flip: bool) -> Counter[str]:
        counts: Counter[str] = Counter()
        for n in range(rounds):
            cases: list[Any] = [(a, n), (b, n)]
            fired = select(cases[::-1] if flip else cases, timeout=20)
            counts["ab"[fired.channel is b]] += 1
        return counts

    def server(flip: bool) -> Counter[str]:
        counts: Counter[str] = Counter()
        for _ in range(rounds):
            fired = select([b, a] if flip else [a, b], timeout=20)
            counts["ab"[fired.channel is b]] += 1
        return counts

    sending = [Party(client, flip) for flip in (False, True)]
    receiving = [Party(server, flip) for flip in (False, True)]
    sent = sum((party.result() for party in sending), Counter())
    received = sum((party.result() for party in receiving), Counter())
    assert sent == received
    assert sent.total() == 2 * rounds


def test_double_select() -> None:
    """doubleselect.go: a value offered to several channels by one select arrives on one of them only."""
    channels: list[Channel[int]] = [Channel() for _ in range(4)]
    out: Channel[int] = Channel(10)
    total = 400

    def offer() -> None:
        for n in range(total):
            select([(ch, n) for ch in channels])
        for ch in channels:
            ch.close()

    def forward(ch: Channel[int]) -> None:
        for value in ch:
            out.send(value)

    parties = [Party(offer), *(Party(forward, ch) for ch in channels)]
    got = [out.recv() for _ in range(total)]
    for party in parties:
        party.result()
    assert sorted(got) == list(range(total))
    assert len(out) == 0


@pytest.mark.parametrize("kind", ["buffered", "closed"])
def test_nonblocking_select_race(kind: str) -> None:
    """TestNonblockSelectRace and Race2: if at every moment one case is ready, a poll never reports that none is."""
    rounds = 1500
    failures = 0
    begin, done = Channel[Any](), Channel[bool]()

    def poll() -> None:
        for a, b in begin:
            try:
                fired = bool(select([a, b], timeout=0))
            except csp.EndOfChannel:
                fired = True
            done.send(fired)

    party = Party(poll)
    for _ in range(rounds):
        a: Channel[int] = Channel(1)
        b: Channel[int] = Channel(1)
        a.send(1)
        begin.send((a, b))
        if kind == "buffered":
            b.send(1)
        else:
            b.close()
        a.recv_nowait(None)
        failures += not done.recv()
    begin.close()
    party.result()
    assert failures == 0


def test_select_fairness_between_a_spinner_and_a_waiter() -> None:
    """select_fairness / fixedbugs: a case that is always ready does not starve another that is ready too."""
    busy: Channel[int] = Channel(1, overflow="drop_oldest")
    other: Channel[int] = Channel(1)
    other.send(1)
    busy.send(0)
    for _ in range(200):
        if select([busy, other]).channel is other:
            return
        busy.send(0)
    pytest.fail("never chosen in 200 rounds")


def test_wait_queues_are_left_in_linear_time() -> None:
    """chanlinear.go: leaving the middle of a wait queue does not depend on its length."""

    def cost(n: int) -> float:
        channels: list[Channel[int]] = [Channel() for _ in range(4)]
        crowd = [channels[0]] * n
        start = time.perf_counter()
        for _ in range(20):
            select([*crowd, *channels], timeout=0.0000001)
        return time.perf_counter() - start

    small = min(cost(200) for _ in range(3))
    large = min(cost(1600) for _ in range(3))
    assert large < 8 * small * 5  # quadratic would be 64 times


def test_sieve() -> None:
    """test/chan/sieve1.go: a chain of filters over unbuffered channels."""

    def generate(ch: Any) -> None:
        n = 2
        try:
            while True:
                ch.send(n)
                n += 1
        except csp.BrokenChannel:
            pass

    def sift(inward: Any, outward: Any, prime: int) -> None:
        try:
            for n in inward:
                if n % prime:
                    outward.send(n)
        except csp.BrokenChannel:
            pass

    sender, receiver = csp.channel()
    parties = [Party(generate, sender)]
    primes = []
    for _ in range(12):
        prime = receiver.recv()
        primes.append(prime)
        outward, following = csp.channel()
        parties.append(Party(sift, receiver, outward, prime))
        receiver = following
    assert primes == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37]
    del sender, outward, following
    receiver.close()


# --- timers since Go 1.23 ---


def test_timer_channels_look_unbuffered() -> None:
    """Go 1.23: len and cap of a timer channel are 0, due or not."""
    for timer in (csp.after(0), csp.after(60), csp.tick(0.001)):
        csp.sleep(0.003)
        assert (len(timer), timer.capacity) == (0, 0)


def test_stopped_timer_delivers_no_stale_tick() -> None:
    """Go 1.23: once stopped, nothing more is received, though it was due (here close: ClosedHandle)."""
    timer = csp.tick(0.001)
    csp.sleep(0.005)
    timer.close()
    with pytest.raises(csp.ClosedHandle):
        timer.recv_nowait(None)


def test_unreferenced_timer_is_collected() -> None:
    """Go 1.23: a timer that nobody holds is collected, fired or not."""
    before = csp.testing.census()["channels"]
    timers = [csp.after(3600) for _ in range(100)] + [csp.tick(3600) for _ in range(100)]
    assert csp.testing.census()["channels"] == before + 200
    del timers
    assert csp.testing.census()["channels"] == before


def test_ticker_needs_a_positive_period() -> None:
    """`NewTicker(d <= 0)` panics; here a ValueError."""
    for period in (0, -1):
        with pytest.raises(ValueError, match="period"):
            csp.tick(period)


def test_ticker_drops_ticks_for_slow_receivers() -> None:
    """time.NewTicker: the ticker adjusts or drops ticks to make up for slow receivers."""
    ticker = csp.tick(0.002)
    csp.sleep(0.05)  # 25 beats
    start, got = time.monotonic(), 0
    while csp.select([ticker], timeout=0):
        got += 1
    assert 1 <= got <= 2 + (time.monotonic() - start) / 0.002  # beats may fall while we take


def test_after_fires_once() -> None:
    """time.After delivers once (and then blocks for ever in Go; here it has ended)."""
    timer = csp.after(0.001)
    timer.recv()
    with pytest.raises(csp.EndOfChannel):
        timer.recv()


def test_timeout_idiom() -> None:
    """select { case v := <-ch: case <-time.After(d): }"""
    ch: Channel[int] = Channel()
    timeout = csp.after(0.005)
    assert select([ch, timeout]).channel is timeout
