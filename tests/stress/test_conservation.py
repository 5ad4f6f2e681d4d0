"""Under random timeouts, selects, leases and closes, no value is lost, none arrives twice, and a sender's order is kept."""

import math
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import csp
from csp.testing import wait_until
from tests.stress.crew import Log, exchange_much, receive_much, relay, send_much, take_on_loan

SECONDS = 0.5  # that the senders of one test work


class Crew:
    """Starts parties where the test wants them, and waits for what they return."""

    def __init__(self, placement: str) -> None:
        self.placement, self.started = placement, 0

    def start(self, function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        self.started += 1
        inside = self.placement == "interpreters" or (self.placement == "both" and self.started % 2)
        return self.start_actor(function, args) if inside else self.start_thread(function, args)

    def start_actor(self, function: Callable[..., Any], args: Any) -> Callable[[], Any]:
        ref = csp.spawn(function, *args)
        return lambda: ref.result(30)

    def start_thread(self, function: Callable[..., Any], args: Any) -> Callable[[], Any]:
        came: list[Any] = []

        def run() -> None:
            try:
                came.append(function(*args))
            except BaseException as error:
                came.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def wait() -> Any:
            thread.join(30)
            assert came, "a thread never came back"
            if isinstance(came[0], BaseException):
                raise came[0]
            return came[0]

        return wait


class Watch(threading.Thread):
    """Looks at channels all the time: counts how often somebody waited, and checks what holds at every instant."""

    def __init__(self, channels: list[Any]) -> None:
        super().__init__(daemon=True)
        self.channels, self.over, self.waited, self.wrong = channels, csp.Channel(), 0, ""
        self.start()

    def run(self) -> None:
        while not self.over.closed and not self.wrong:
            csp.sleep(0.0005)
            for channel in self.channels:
                now = channel.statistics()
                self.waited += bool(now.waiting_senders or now.waiting_receivers)
                if now.sent != now.received + now.dropped + now.discarded + now.buffered:
                    self.wrong = f"{now} does not add up"

    def stop(self) -> None:
        self.over.close()
        self.join(30)
        assert not self.wrong, self.wrong


def ordered(log: Log) -> bool:
    """What one receiver got from each sender, through each channel, is in the order sent."""
    last: dict[tuple[int, int], int] = {}
    for channel, (sender, n) in log:
        if last.get((channel, sender), 0) >= n:
            return False
        last[channel, sender] = n
    return True


def note(seed: int) -> str:
    return f"(seed {seed})"


@pytest.mark.parametrize("placement", ["threads", "interpreters", "both"])
@pytest.mark.parametrize("capacity", [0, 1, 8])
def test_each_value_arrives_once_and_in_order(placement: str, capacity: int, seed: int) -> None:
    """Whatever is sent arrives exactly once, and each receiver sees a sender's values of one channel in order."""
    check_conservation(placement, capacity, seed, leases=False)


@pytest.mark.parametrize("placement", ["threads", "interpreters"])
@pytest.mark.parametrize("capacity", [0, 3])
def test_leases_that_fail_lose_nothing(placement: str, capacity: int, seed: int) -> None:
    """With leases half of which fail, every value is still taken for good exactly once."""
    check_conservation(placement, capacity, seed, leases=True)


def check_conservation(placement: str, capacity: int, seed: int, leases: bool) -> None:
    dice, crew = random.Random(seed), Crew(placement)
    channels = [csp.Channel(capacity) for _ in range(2)]
    watch = Watch([channel.clone() for channel in channels])
    receivers = [crew.start(receive_much, [c.receiver for c in channels], dice.random(), leases) for _ in range(2)]
    senders = [crew.start(send_much, [c.sender for c in channels], i, dice.random(), SECONDS) for i in range(3)]
    sent: Log = [entry for wait in senders for entry in wait()]
    for channel in channels:
        channel.close()
    logs: list[Log] = [wait() for wait in receivers]
    watch.stop()
    assert Counter(entry for log in logs for entry in log) == Counter(sent), note(seed)
    assert leases or all(ordered(log) for log in logs), note(seed)
    for i, channel in enumerate(channels):
        now = channel.statistics()
        assert now.sent == now.received == sum(at == i for at, _ in sent), note(seed)
    assert len(sent) > 50 and watch.waited > 5, f"{len(sent)} values, {watch.waited} looks with somebody waiting: no stress"


@pytest.mark.parametrize("placement", ["threads", "interpreters"])
@pytest.mark.parametrize("capacity", [0, 4])
def test_a_close_in_the_middle_loses_nothing(placement: str, capacity: int, seed: int) -> None:
    """A send that returned was received, a send that raised was not, also when the channel closes meanwhile."""
    dice, total, waited = random.Random(seed), 0, 0
    for _ in range(3):
        crew, channels = Crew(placement), [csp.Channel(capacity) for _ in range(2)]
        watch = Watch([channel.clone() for channel in channels])
        receivers = [crew.start(receive_much, [c.receiver for c in channels], dice.random(), False) for _ in range(2)]
        senders = [crew.start(send_much, [c.sender for c in channels], i, dice.random(), 20.0) for i in range(2)]
        csp.sleep(dice.uniform(0.05, 0.2))
        for channel in channels:
            channel.close()
        sent: Log = [entry for wait in senders for entry in wait()]
        assert Counter(entry for wait in receivers for entry in wait()) == Counter(sent), note(seed)
        watch.stop()
        total, waited = total + len(sent), waited + watch.waited
    assert total > 20 and waited > 3, f"{total} values, {waited} looks with somebody waiting: no stress"


@pytest.mark.parametrize("placement", ["threads", "interpreters"])
def test_receivers_that_leave_discard_what_they_leave(placement: str, seed: int) -> None:
    """Values left when the last receiver goes are counted as discarded: sent = received + discarded."""
    dice, crew, sender_end, receiver_end = random.Random(seed), Crew(placement), *csp.channel(64)
    senders = [crew.start(send_much, [sender_end.clone()], i, dice.random(), 20.0) for i in range(2)]
    got = [receiver_end.recv(10) for _ in range(200)]
    receiver_end.close()
    sent: Log = [entry for wait in senders for entry in wait()]
    now = sender_end.statistics()
    assert (now.sent, now.received, now.buffered) == (len(sent), len(got), 0), note(seed)
    assert now.discarded == now.sent - now.received and now.receivers == 0, note(seed)
    assert {(0, value) for value in got} <= set(sent), note(seed)


@pytest.mark.parametrize("placement", ["threads", "interpreters"])
@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
def test_dropped_values_are_counted(placement: str, overflow: str, seed: int) -> None:
    """At every instant sent = received + dropped + discarded + buffered, and what is not dropped arrives in order."""
    dice, crew, channel = random.Random(seed), Crew(placement), csp.Channel(4, overflow=overflow)
    watch = Watch([channel.clone()])
    receiver = crew.start(receive_much, [channel.receiver], dice.random(), False)
    senders = [crew.start(send_much, [channel.sender], i, dice.random(), SECONDS) for i in range(2)]
    sent: Log = [entry for wait in senders for entry in wait()]
    channel.close()
    log: Log = receiver()
    watch.stop()
    now = channel.statistics()
    assert now.sent == len(sent) == now.received + now.dropped and now.received == len(log), note(seed)
    assert set(log) <= set(sent) and ordered(log), note(seed)
    assert now.dropped > 20 and now.received > 20, f"{now}: no stress"


@pytest.mark.parametrize("placement", ["threads", "interpreters"])
def test_selects_that_offer_and_take_never_deadlock(placement: str, seed: int) -> None:
    """Parties that each offer on one channel and take from another, without buffers, all make progress and lose nothing."""
    dice, crew, a, b = random.Random(seed), Crew(placement), csp.Channel(), csp.Channel()
    watch = Watch([a.clone(), b.clone()])
    pairs = [(a, b), (b, a)] * 2
    parties = [crew.start(exchange_much, m.sender, t.receiver, i, dice.random(), SECONDS) for i, (m, t) in enumerate(pairs)]
    results = [wait() for wait in parties]
    watch.stop()
    sent, received = (Counter(entry for result in results for entry in result[which]) for which in (0, 1))
    assert sent == received, note(seed)
    assert all(ordered([(c, (s, n + 1)) for c, (s, n) in result[1]]) for result in results), note(seed)
    assert sum(sent.values()) > 50 and watch.waited > 5, f"{sum(sent.values())} exchanged: no stress"


@pytest.mark.parametrize("isolation", ["interpreter", "thread", "process"])
def test_killed_actors_hand_back_what_was_on_loan(isolation: str, seed: int) -> None:
    """Actors that are killed in the middle of leases: every value is passed on at least once, more often only for a kill."""
    dice, jobs, done = random.Random(seed), csp.Channel(8), csp.Channel()
    actors = [csp.spawn(relay, jobs.receiver, done.sender, isolation=isolation) for _ in range(2)]
    count, kills, got = 400, 8, []

    def collect() -> None:
        got.extend(done.receiver)

    def kill() -> None:
        for _ in range(kills):
            csp.sleep(dice.uniform(0.0, 0.01))
            victim = actors.pop(0)
            actors.append(csp.spawn(relay, jobs.receiver, done.sender, isolation=isolation))
            assert victim.kill().reason == "killed"

    threads = [threading.Thread(target=collect, daemon=True), threading.Thread(target=kill, daemon=True)]
    for thread in threads:
        thread.start()
    value = 0
    while value < count or threads[1].is_alive():
        jobs.send(value, timeout=30)
        value += 1
    threads[1].join(30)
    jobs.close()
    for actor in actors:
        assert actor.join(30).reason == "normal"
    done.close()
    threads[0].join(30)
    counts = Counter(got)
    assert set(counts) == set(range(value)), note(seed)
    assert len(got) <= value + kills, note(seed)
    assert jobs.statistics().discarded == 0


@pytest.mark.parametrize("isolation", ["interpreter", "thread", "process"])
def test_quarantined_actors_hand_back_what_was_on_loan(isolation: str, seed: int) -> None:
    """Actors that are given up in the middle of leases, over and over: what each had on loan comes back, and nothing else."""
    dice, jobs, kept = random.Random(seed), csp.Channel(math.inf), csp.Channel(math.inf)
    count, rounds = 2000, 30
    jobs.send_many(range(count))
    for _ in range(rounds):
        actor = csp.spawn(take_on_loan, jobs.receiver, kept.sender, isolation=isolation)
        csp.sleep(dice.uniform(0.0, 0.002))
        actor._quarantine()  # without the second's grace of a kill
        assert actor.join(10).reason in ("killed", "normal"), note(seed)
    wait_until(lambda: csp.debug.zombies() == [], 20)  # one that had a value in hand, but not on loan yet, gives it back itself
    csp.spawn(take_on_loan, jobs.receiver, kept.sender, True, isolation=isolation).join(30)
    got = Counter(kept.recv_many(count + 2 * rounds))
    assert all(got[value] for value in range(count)), note(seed)
    assert sum(got.values()) <= count + rounds, note(seed)
