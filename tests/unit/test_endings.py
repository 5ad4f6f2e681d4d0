"""How actors end: stop, drain, kill and its ladder, what each leaves behind, and who hears of it."""

import math
import threading
import time

import pytest

import csp
from csp import actors
from csp.testing import wait_parked, wait_until
from tests.unit import class_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks", "isolation")

csp.dead_letters  # noqa: B018  # made on first use, for good: no leak


def died(ref, limit=20.0):
    return ref.join(timeout=limit)


def drained(channel):
    return [channel.recv() for _ in range(len(channel))]


@pytest.fixture
def log(request):
    yield csp.Channel(math.inf)
    request.node.funcargs.pop("log")  # or it is alive when the leaks are counted


def expect(log, *what):
    """The next entry of the log that begins so; what comes before is skipped."""
    while True:
        entry = log.recv(20)
        if entry[: len(what)] == what:
            return entry


# --- the reasons ---


def test_function_that_returns_ends_normal():
    """The reason is "normal", with the value."""
    ref = bodies.receive_one.spawn()
    ref.send(7)
    assert died(ref) == (ref, "normal", 7, None)


def test_stopped_class_ends_shutdown(log):
    """The reason is "shutdown"; on_stop ran, after the last message, with the reason."""
    ref = bodies.Worker.spawn(log.sender)
    ref.send("x")
    ref.call.history()
    assert ref.stop() == (ref, "shutdown", None, None)
    assert drained(log) == [("on_start",), ("got", "x"), ("on_stop", "shutdown")]


def test_drained_class_ends_shutdown(log):
    """The reason is "shutdown" as well."""
    ref = bodies.Worker.spawn(log.sender)
    assert ref.drain(10).reason == "shutdown"
    assert drained(log)[-1] == ("on_stop", "shutdown")


def test_killed_actor_ends_killed(log):
    """The reason is "killed"; neither on_stop nor on_failure runs."""
    ref = bodies.Worker.spawn(log.sender)
    assert ref.kill() == (ref, "killed", None, None)
    assert drained(log) == [("on_start",)]


def test_failing_on_stop_ends_failed():
    """An actor that raises while it stops has failed, and says what of."""
    end = bodies.FailsToStop.spawn().stop()
    assert (end.reason, end.remote.message) == ("failed", "on_stop")


def test_stopped_function_ends_shutdown(log):
    """A function that lets Stopped pass."""
    ref = csp.spawn(bodies.stop_seen, log.sender)
    log.recv(10)
    assert ref.stop().reason == "shutdown"


def test_function_that_swallows_the_stop_and_returns_is_shutdown_with_its_value(log):
    """It was asked to stop, and it stopped; what it returned is there."""
    ref = csp.spawn(bodies.stop_swallowed, log.sender)
    log.recv(10)
    assert ref.stop() == (ref, "shutdown", "returned", None)
    assert ref.result() == "returned"


def test_trapped_stop_that_returns_is_shutdown(log):
    """A trap_stop actor that returns after a stop is "shutdown"."""
    ref = bodies.trapped.spawn(log.sender)
    log.recv(10)
    assert ref.stop() == (ref, "shutdown", "value", None)


def test_stopped_that_nobody_asked_for_is_a_failure():
    """Raising Stopped oneself is no stop."""
    end = died(csp.spawn(bodies.raises_stopped))
    assert (end.reason, end.remote.type_name) == ("failed", "csp.Stopped")


# --- exited ---


def test_every_observer_of_a_class_gets_the_exit_also_after_the_fact():
    """Monitors are independent, one value each, then the end of the channel."""
    ref = bodies.Counter.spawn()
    before = [ref.exited for _ in range(3)]
    end = ref.stop()
    for monitor in [*before, ref.exited]:
        assert monitor.recv(10) == end
        with pytest.raises(csp.EndOfChannel):
            monitor.recv(10)


def test_exited_works_in_select_beside_other_cases():
    """A monitor is a channel like any other."""
    one, two = bodies.Counter.spawn(), bodies.Counter.spawn()
    monitors = [one.exited, two.exited]
    two._ask_stop()
    fired, end = csp.select([*monitors, csp.after(20)])
    assert fired is monitors[1]
    assert end.ref == two
    one.stop()


def test_busy_or_full_mailbox_does_not_delay_stop_kill_or_monitors(log):
    """They travel beside the data: with the mailbox full a stop still breaks off the message in hand."""
    gate = csp.Channel()
    ref = bodies.Worker.spawn(log.sender, gate.receiver)
    ref.cast.wait()
    wait_parked(gate, receivers=1)
    ref.send(1)
    ref.send(2)
    monitor = ref.exited
    assert ref.stop(10).reason == "shutdown"
    assert monitor.recv(0).reason == "shutdown"


# --- stop ---


def test_stop_breaks_off_a_message_that_waits_in_csp(log):
    """Its caller gets ActorDied; its `finally` runs; on_stop runs; both may use channels."""
    gate = csp.Channel()
    ref = bodies.Worker.spawn(log.sender, gate.receiver)
    reply = ref.ask.wait()
    wait_parked(gate, receivers=1)
    assert ref.stop().reason == "shutdown"
    with pytest.raises(csp.ActorDied):
        reply.result(10)
    assert drained(log) == [("on_start",), ("waiting",), ("left",), ("on_stop", "shutdown")]


def test_stop_lets_a_message_that_computes_finish(log):
    """Its caller gets the answer, then the actor ends."""
    ref = bodies.Worker.spawn(log.sender)
    reply = ref.ask.compute(time.monotonic() + 0.3)
    expect(log, "computing")
    assert ref.stop(10).reason == "shutdown"
    assert reply.result(10) == "computed"
    assert drained(log) == [("on_stop", "shutdown")]


def test_message_that_goes_on_after_the_stop_is_finished(log):
    """Stopped is raised once: a method that catches it can finish, its caller is answered, and the actor ends then."""
    gate = csp.Channel()
    ref = bodies.Worker.spawn(log.sender, gate.receiver)
    reply = ref.ask.ignore_stop()
    wait_parked(gate, receivers=1)
    assert ref.stop().reason == "shutdown"
    assert reply.result(10) == "went on"
    assert ("caught", "Stopped") in drained(log)


def test_stopped_is_raised_once_and_csp_works_again_in_a_function(log):
    """In `except` and `finally` after it, channel operations work."""
    ref = csp.spawn(bodies.stop_seen, log.sender)
    log.recv(10)
    ref.stop()
    assert drained(log) == ["stopped", "and on"]


def test_stop_of_an_idle_class_runs_on_stop(log):
    """The wait for the next message is what the stop breaks off."""
    ref = bodies.Worker.spawn(log.sender)
    ref.stop()
    assert drained(log) == [("on_start",), ("on_stop", "shutdown")]


def test_select_on_stopping_sees_the_value_or_the_stop(log):
    """`stopping` fires before the waits are broken off: a select that has it as a case gets it."""
    ref = csp.spawn(bodies.selects_on_stopping, log.sender)
    log.recv(10)
    wait_until(lambda: ref._look()[1])
    end = ref.stop()
    assert end.reason == "shutdown"
    assert drained(log)[0] in ("fired True", "Stopped")


def test_stop_past_its_timeout_becomes_a_kill_in_on_stop(log):
    """The timeout covers on_stop."""
    ref = bodies.StuckAtTheEnd.spawn(log.sender)
    start = time.monotonic()
    assert ref.stop(0.1).reason == "killed"
    assert time.monotonic() - start >= 0.1
    assert ("on_stop", "shutdown") in drained(log)


def test_stop_past_its_timeout_becomes_a_kill_in_finally(log):
    """Channel operations that worked in `finally` raise Killed then."""
    ref = csp.spawn(bodies.stubborn_finally, log.sender)
    log.recv(10)
    assert ref.stop(0.1).reason == "killed"


def test_stop_timeout_zero_asks_and_kills(log):
    """No time at all."""
    ref = csp.spawn(bodies.spin, log.sender)
    log.recv(10)
    assert ref.stop(0).reason == "killed"


def test_two_stops_get_the_same_exit(log):
    """Stopping twice, or from two threads, is one stop."""
    ref = bodies.Worker.spawn(log.sender)
    ends = []
    threads = [threading.Thread(target=lambda: ends.append(ref.stop())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == [(ref, "shutdown", None, None)] * 4
    assert drained(log).count(("on_stop", "shutdown")) == 1
    assert ref.stop().reason == "shutdown"


def test_what_is_queued_at_a_stop_is_discarded_and_counted(log):
    """Without a further life nobody handles it."""
    gate = csp.Channel()
    ref = bodies.Worker.spawn(log.sender, gate.receiver)
    ref.cast.wait()
    wait_parked(gate, receivers=1)
    ref.send("never 1")
    ref.send("never 2")
    ref.stop()
    now = ref.statistics()
    assert (now.queued, now.discarded) == (0, 2)
    assert not any(entry[0] == "got" for entry in drained(log))


def test_trap_stop_class_finishes_what_waits(log):
    """trap_stop: the message in hand is not broken off; the actor ends after it, and on_stop runs."""
    gate = csp.Channel()
    ref = bodies.Patient.spawn(log.sender, gate.receiver)
    reply = ref.ask.wait()
    wait_parked(gate, receivers=1)
    ref._ask_stop()
    gate.send("in the end")
    assert reply.result(10) == "in the end"
    assert died(ref).reason == "shutdown"
    assert drained(log)[-1] == ("on_stop", "shutdown")


def test_trap_stop_class_that_is_idle_stops_at_once(log):
    """Waiting for a message is no work that has to be finished."""
    ref = bodies.Patient.spawn(log.sender)
    assert ref.stop(10).reason == "shutdown"


def test_trap_stop_class_past_the_timeout_is_killed(log):
    """The timeout holds for it as well."""
    gate = csp.Channel()
    ref = bodies.Patient.spawn(log.sender, gate.receiver)
    ref.cast.wait()
    wait_parked(gate, receivers=1)
    assert ref.stop(0.1).reason == "killed"


# --- drain ---


def test_drain_handles_what_is_queued_and_takes_nothing_new(log):
    """Senders get ActorDied, queued messages are handled, calls among them answered, then on_stop."""
    gate = csp.Channel(1)
    ref = bodies.Worker.spawn(log.sender, gate.receiver)
    ref.cast.wait()
    wait_parked(gate, receivers=1)
    ref.send("queued")
    reply = ref.ask.history()
    ends = []
    drainer = threading.Thread(target=lambda: ends.append(ref.drain(20)))
    drainer.start()
    wait_until(lambda: refused(ref))
    gate.send(None)
    drainer.join(20)
    assert ends == [(ref, "shutdown", None, None)]
    assert reply.result() == ["queued"]
    assert drained(log)[-1] == ("on_stop", "shutdown")
    assert ref.statistics().discarded == 0


def refused(ref):
    try:
        ref.call(timeout=0).note()
    except csp.ActorDied:
        return True
    except csp.Timeout:
        return False


def test_drain_past_its_timeout_stops(log):
    """What is still queued then is discarded."""
    gate = csp.Channel()
    ref = bodies.Worker.spawn(log.sender, gate.receiver)
    ref.cast.wait()
    wait_parked(gate, receivers=1)
    ref.send("never")
    assert ref.drain(0.05).reason == "shutdown"
    assert ref.statistics().discarded == 1


def test_drained_function_reads_the_rest_and_its_inbox_ends(log):
    """A function that iterates over its inbox comes to the end of it."""
    gate = csp.Channel(1)
    ref = bodies.reads_until_the_end.spawn(log.sender, gate.receiver)
    log.recv(10)
    ref.send(1)
    ref.send(2)
    gate.send(None)
    assert ref.drain(20).value == [1, 2]


# --- kill: the ladder ---


@pytest.mark.parametrize("body", [bodies.spin, bodies.spin_past_exceptions])
def test_kill_ends_python_code(log, body):
    """Also `while True: pass`, also past an `except Exception`."""
    ref = csp.spawn(body, log.sender)
    log.recv(10)
    start = time.monotonic()
    assert ref.kill().reason == "killed"
    assert time.monotonic() - start < 5
    assert csp.debug.zombies() == []


def test_kill_ends_a_method_that_loops(log):
    """A class in the middle of a message; its caller gets ActorDied at once."""
    ref = bodies.Worker.spawn(log.sender)
    reply = ref.ask.spin()
    expect(log, "spinning")
    assert ref.kill().reason == "killed"
    with pytest.raises(csp.ActorDied):
        reply.result(0)


def test_kill_ends_a_wait_in_csp(log):
    """The first rung."""
    gate = csp.Channel()
    ref = bodies.Worker.spawn(log.sender, gate.receiver)
    reply = ref.ask.wait()
    wait_parked(gate, receivers=1)
    assert ref.kill().reason == "killed"
    with pytest.raises(csp.ActorDied):
        reply.result(0)


def test_quarantine_of_what_sits_in_c(log):
    """The end is announced, callers hear of it, the name is free, its handles are dead, it is listed; and reclaimed when it returns."""
    gate = csp.Channel(1)
    ref = csp.spawn(bodies.Worker, log.sender, gate.receiver, name="stuck")
    reply = ref.ask.in_c(2.5)
    expect(log, "in C")
    assert ref.kill().reason == "killed"
    with pytest.raises(csp.ActorDied):
        reply.result(0)
    assert csp.whereis("stuck") is None
    again = csp.spawn(bodies.Counter, name="stuck")
    assert csp.debug.zombies() == [ref]
    assert gate.statistics().receivers == 1  # ours
    with pytest.raises(csp.ActorDied):
        ref.send(1)
    wait_until(lambda: csp.debug.zombies() == [], 20)
    assert again.call.incr() == 1
    again.stop()


def test_handles_of_the_quarantined_are_dead(log):
    """An operation that it tries when it comes back raises Killed and does nothing."""
    after = csp.Channel(1)
    ref = csp.spawn(bodies.sleep_in_c, log.sender, 2.0, after.sender)
    log.recv(10)
    assert ref.kill().reason == "killed"
    assert after.statistics().senders == 1  # ours
    wait_until(lambda: csp.debug.zombies() == [], 20)
    assert len(after) == 0


def test_kill_during_the_start_is_a_start_error():
    """Whoever waits for the start hears of it."""
    gate = csp.Channel()
    ref, started = actors.start(bodies.Slow, (gate.receiver,), {})
    wait_parked(gate, receivers=1)
    ref.kill()
    with pytest.raises(csp.ActorStartError, match="killed"):
        actors.await_start(ref, started, 10)


def test_stop_during_the_start_is_a_start_error():
    """A stop breaks off an `__init__` that waits."""
    gate = csp.Channel()
    ref, started = actors.start(bodies.Slow, (gate.receiver,), {})
    wait_parked(gate, receivers=1)
    assert ref.stop().reason == "shutdown"
    with pytest.raises(csp.ActorStartError, match="shutdown"):
        actors.await_start(ref, started, 10)


# --- what a crash leaves: on_crash ---


def letters():
    return drained(csp.dead_letters)


@pytest.fixture(autouse=True)
def no_dead_letters_before():
    letters()


def kept(cls, *args):
    """An actor that has another life after each end, as under a supervisor."""
    ref, started = actors.start(cls, args, {}, keep=2)
    actors.await_start(ref, started, 20)
    return ref


def next_life(ref, cls, *args):
    actors.await_start(ref, actors.restart(ref, cls, args, {}), 20)


def test_dropped_message_is_gone(log):
    """on_crash="drop", the default: the next life goes on with what was queued behind it."""
    ref = kept(bodies.Worker, log.sender)
    ref.send(ValueError("crash"))
    died(ref)
    ref.send("next")
    next_life(ref, bodies.Worker, log.sender)
    assert ref.call.history() == ["next"]
    assert letters() == []
    end_for_good(ref)


def end_for_good(ref):
    ref._keep(0)
    ref.stop()


def test_redelivered_message_comes_before_the_queued_ones(log):
    """on_crash="redeliver": to the next life, first, however the last one crashed."""
    gate = csp.Channel(1)
    ref = kept(bodies.Redelivered, log.sender, gate.receiver)
    ref.cast.wait()
    wait_parked(gate, receivers=1)
    ref.send("queued")
    ref.kill()
    gate.send(None)
    next_life(ref, bodies.Redelivered, log.sender, gate.receiver)
    assert ref.call.history() == ["queued"]
    entries = [entry[0] for entry in drained(log)]
    assert entries == ["on_start", "waiting", "on_start", "waiting", "left", "got"]
    end_for_good(ref)
    assert letters() == []


def test_message_that_always_crashes_is_a_dead_letter_after_three_deliveries(log):
    """max_deliveries=3 is three in all; then it is buried, with what was sent and the count."""
    ref = kept(bodies.Redelivered, log.sender)
    ref.cast.boom(ValueError("poison"))
    for life in range(3):
        assert died(ref).reason == "failed"
        found = letters()
        if life < 2:
            assert found == []
        next_life(ref, bodies.Redelivered, log.sender)
    ((whose, message, deliveries),) = found
    assert (whose, deliveries) == (ref, 3)
    method, args, kwargs = message
    assert (method, kwargs) == ("boom", {})
    assert isinstance(args[0], ValueError)
    assert ref.call.history() == []
    assert ref.statistics().restarts == 3
    end_for_good(ref)


def test_max_deliveries_one_is_never_redelivered(log):
    """One delivery in all."""
    ref = kept(bodies.DeliveredOnce, log.sender)
    ref.send(ValueError("once"))
    died(ref)
    (letter,) = letters()
    assert letter.deliveries == 1
    assert isinstance(letter.message, ValueError)
    end_for_good(ref)


def test_dead_letter_of_a_kill(log):
    """on_crash="dead_letter": a kill counts as a crash; the caller whose call was in hand gets ActorDied at once."""
    gate = csp.Channel()
    ref = bodies.Buried.spawn(log.sender, gate.receiver)
    reply = ref.ask.wait()
    wait_parked(gate, receivers=1)
    ref.kill()
    with pytest.raises(csp.ActorDied):
        reply.result(0)
    assert letters() == [(ref, ("wait", (), {}), 1)]


def test_dead_letter_of_a_quarantine(log):
    """Quarantine as well."""
    ref = bodies.Buried.spawn(log.sender)
    ref.cast.in_c(2.5)
    expect(log, "in C")
    assert ref.kill().reason == "killed"
    assert letters() == [(ref, ("in_c", (2.5,), {}), 1)]
    wait_until(lambda: csp.debug.zombies() == [], 20)
    assert letters() == []


def test_redelivery_without_a_further_life_is_a_dead_letter(log):
    """There is nobody left to deliver it to; what was only queued is discarded and counted."""
    ref = bodies.Redelivered.spawn(log.sender)
    gate = csp.Channel()
    del gate
    ref.cast.boom(ValueError("x"))
    died(ref)
    (letter,) = letters()
    assert letter.deliveries == 1


def test_call_that_fails_is_not_a_crash(log):
    """An exception in a call is its caller's: nothing is redelivered or buried."""
    ref = bodies.Redelivered.spawn(log.sender)
    with pytest.raises(csp.ActorFailed):
        ref.call.boom(ValueError("x"))
    assert ref.call.history() == []
    ref.stop()
    assert letters() == []


def test_message_that_a_stop_breaks_off_is_not_a_crash(log):
    """It is neither redelivered nor buried."""
    gate = csp.Channel()
    ref = kept(bodies.Redelivered, log.sender, gate.receiver)
    ref.cast.wait()
    wait_parked(gate, receivers=1)
    ref.stop()
    next_life(ref, bodies.Redelivered, log.sender, gate.receiver)
    assert ref.call.history() == []
    end_for_good(ref)
    assert letters() == []


def test_redelivered_call_answers_nobody(log):
    """Its caller got ActorDied when the first life crashed; the next life handles it all the same."""
    gate = csp.Channel(1)
    ref = kept(bodies.Redelivered, log.sender, gate.receiver)
    reply = ref.ask.wait()
    wait_parked(gate, receivers=1)
    ref.kill()
    with pytest.raises(csp.ActorDied):
        reply.result(0)
    gate.send("second time")
    next_life(ref, bodies.Redelivered, log.sender, gate.receiver)
    ref.call.history()
    assert [entry for entry in drained(log) if entry[0] == "left"] == [("left",)]
    with pytest.raises(csp.ActorDied):
        reply.result(0)
    end_for_good(ref)


def test_dead_letters_never_block_and_are_counted():
    """The newest 1024 are kept, the oldest give way."""
    ref = bodies.Mute.spawn()
    before = csp.dead_letters.statistics()
    for n in range(1030):
        ref.send(n)
    ref.call.noop()
    now = csp.dead_letters.statistics()
    assert now.sent - before.sent == 1030
    assert now.dropped - before.dropped == 6
    assert [letter.message for letter in letters()] == list(range(6, 1030))
    ref.stop()


# --- lives ---


def test_queued_messages_survive_a_crash_and_a_stop(log):
    """A reference names the mailbox: what is queued waits for the next life, senders never notice."""
    ref = kept(bodies.Worker, log.sender)
    ref.stop()
    assert not ref.alive
    assert ref.epoch == 1
    ref.send("between lives")
    reply = ref.ask.history()
    next_life(ref, bodies.Worker, log.sender)
    assert ref.epoch == 2
    assert ref.alive
    assert reply.result(10) == ["between lives"]
    end_for_good(ref)
    assert ref.statistics().restarts == 1


def test_exited_speaks_of_the_life_that_ran_when_it_was_asked(log):
    """A monitor of the first life fires at its end; between lives a new one speaks of the last."""
    ref = kept(bodies.Worker, log.sender)
    first = ref.exited
    ref.kill()
    assert ref.exited.recv(10).reason == "killed"
    next_life(ref, bodies.Worker, log.sender)
    second = ref.exited
    assert first.recv(10).reason == "killed"
    with pytest.raises(csp.Timeout):
        second.recv(0)
    end_for_good(ref)
    assert second.recv(10).reason == "shutdown"


def test_drained_life_may_be_followed_by_one_that_takes_messages_again(log):
    """A drain closes the mailbox for the rest of that life."""
    ref = kept(bodies.Worker, log.sender)
    ref.call.history()
    ref.drain(10)
    with pytest.raises(csp.ActorDied):
        ref.send("refused")
    next_life(ref, bodies.Worker, log.sender)
    ref.send("taken")
    assert ref.call.history() == ["taken"]
    end_for_good(ref)


def test_giving_up_further_lives_fails_what_waits(log):
    """Once no life can follow, callers of the queue get ActorDied."""
    ref = kept(bodies.Worker, log.sender)
    ref.kill()
    reply = ref.ask.history()
    ref._keep(0)
    with pytest.raises(csp.ActorDied):
        reply.result(10)
    assert ref.statistics().discarded == 1


# --- families ---


def test_children_of_a_class_end_with_it_in_order(log):
    """They are stopped, not killed: their on_stop runs."""
    ref = bodies.Worker.spawn(log.sender)
    children = ref.call.children(2)
    assert all(child.alive for child in children)
    assert ref.stop(10).reason == "shutdown"
    assert [died(child).reason for child in children] == ["shutdown", "shutdown"]
    assert drained(log).count(("on_stop", "shutdown")) == 3


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_children_of_a_function_end_with_it(log, how):
    """However the parent ends."""
    up = csp.Channel(1)
    ref = csp.spawn(bodies.family, up.sender, log.sender)
    names = up.recv(20)
    children = [csp.whereis(name) for name in names]
    getattr(ref, how)()
    assert [died(child).reason for child in children] == ["shutdown", "shutdown"]
    assert [csp.whereis(name) for name in names] == [None, None]


def test_child_knows_its_parent(log):
    """current_actor().parent inside a child spawned inside."""
    ref = bodies.Worker.spawn(log.sender)
    (child,) = ref.call.children(1)
    assert child._parent() == ref
    ref.stop()
