"""Class actors: direct use, starting, the four ways to talk to one, who gets what goes wrong."""

import contextlib
import math
import threading
import time

import pytest

import csp
from csp.testing import wait_parked, wait_until
from tests.unit import class_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks", "isolation")

csp.dead_letters  # noqa: B018  # made on first use, for good: no leak


@pytest.fixture
def counter(request, isolation):
    ref = bodies.Counter.spawn(5)
    yield ref
    ref.stop()
    request.node.funcargs.pop("counter")  # or the reference is alive when the leaks are counted


def died(ref, limit=20.0):
    return ref.join(timeout=limit)


# --- direct use, and starting ---


def test_decorated_class_still_works_directly():
    """`Counter(5)` is an ordinary object: a unit test needs no interpreter."""
    counter = bodies.Counter(5)
    assert isinstance(counter, bodies.Counter)
    assert counter.incr(2) == 7
    assert bodies.Counter.__doc__ == "Counts."


def test_decorated_class_can_be_derived_from():
    """Inheritance works as ever; a subclass without a decorator of its own is spawned with its parent's options."""

    class More(bodies.Counter):
        pass

    assert More(1).incr() == 2


def test_subclass_spawns_itself():
    """`Patient.spawn` makes a Patient, not the Worker that it inherits `spawn` from."""
    log = csp.Channel(math.inf)
    ref = bodies.FailsToStop.spawn(log.sender)
    assert ref.name.startswith("FailsToStop-")
    assert ref.stop().reason == "failed"


def test_spawn_runs_the_class_where_its_isolation_says(counter, isolation):
    """Each message runs in the actor's own interpreter, or in its thread of this one, and state stays between messages."""
    interpreter, name, parent = counter.call.where()
    assert (interpreter == 0) == (isolation == "thread")
    assert name == counter.name
    assert parent is None
    assert [counter.call.incr() for _ in range(3)] == [6, 7, 8]


def test_spawn_function_takes_a_class():
    """spawn(cls, *args, name=...) as for a function; an undecorated class will do."""
    ref = csp.spawn(bodies.Counter, 1, name="a counter")
    try:
        assert ref.name == "a counter"
        assert ref.call.incr() == 2
    finally:
        ref.stop()


def test_failing_init_is_a_start_error_with_the_remote_traceback():
    """`__init__` runs before spawn returns; what it raises comes as ActorStartError, and the name is free."""
    with pytest.raises(csp.ActorStartError, match="negative") as caught:
        csp.spawn(bodies.Counter, -1, name="negative counter")
    assert caught.value.remote.type_name == "ValueError"
    assert "class_bodies.py" in caught.value.remote.traceback
    assert "__init__" in caught.value.remote.traceback
    assert isinstance(caught.value.__cause__, ValueError)
    assert csp.whereis("negative counter") is None


def test_wrong_arguments_are_a_start_error():
    """Arguments that `__init__` does not take are told as it tells them."""
    with pytest.raises(csp.ActorStartError, match="TypeError"):
        bodies.Counter.spawn(1, 2, 3)


def test_failing_on_start_is_a_start_error_and_reaches_on_failure():
    """on_start belongs to the start."""
    log = csp.Channel(math.inf)
    with pytest.raises(csp.ActorStartError, match="on_start"):
        bodies.FailsToBegin.spawn(log.sender)
    assert log.recv(5) == ("on_failure", "RuntimeError", "on_start")


def test_class_with_ready_is_waited_for_until_it_says_so():
    """@actor(ready=True): spawn returns after current_actor().ready(), and not before."""
    gate = csp.Channel(1)
    with pytest.raises(csp.Timeout):
        csp.Channel().recv(0)
    ref, started = csp.actors.start(bodies.Slow, (gate.receiver,), {})
    wait_parked(gate, receivers=1)
    with pytest.raises(csp.WouldBlock):
        started.recv_nowait()
    assert not ref.alive
    gate.send(None)
    csp.actors.await_start(ref, started, 10)
    assert ref.alive
    ref.stop()


def test_class_that_is_not_ready_in_time_is_killed():
    """start_timeout bounds the start: ActorStartError, and nothing is left of it."""
    with pytest.raises(csp.ActorStartError, match="not up after"):
        csp.spawn(bodies.NeverReady, name="late")
    assert csp.whereis("late") is None


# --- call ---


def test_call_returns_the_result(counter):
    """call waits for the reply; arguments go by position and by name."""
    assert counter.call.incr() == 6
    assert counter.call.incr(4) == 10
    assert counter.call.incr(by=5) == 15


def test_values_are_copied_both_ways(counter):
    """Nothing that the actor gets or returns aliases what the caller has."""
    value = {"list": [1, 2]}
    back = counter.call.echo(value)
    assert back == value
    assert back is not value
    assert back["list"] is not value["list"]


def test_one_argument_twice_arrives_as_one_object(counter):
    """By position and by name, alone or inside another argument, whoever holds references to it."""
    values = ["in a list"]
    assert counter.call.same(values, values)
    assert counter.call.same(values, again=values)
    assert counter.call.same(values[0] + "!", again=values) is False

    def lend(value: list[int]) -> bool:
        return counter.call.same(value, value, again=value)

    assert lend([1, 2, 3])


def test_answers_reach_who_asked(counter):
    """Also when many threads ask at once, again and again, and some of the answers come too late for theirs."""
    wrong = []

    def ask(mine: int) -> None:
        for i in range(200):
            try:
                answer = counter.call(timeout=0.0001 if i % 7 == 0 else 30).echo((mine, i))
            except csp.Timeout:
                continue
            if answer != (mine, i):
                wrong.append((answer, mine, i))

    threads = [threading.Thread(target=ask, args=(mine,)) for mine in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert counter.call.echo("quiet") == "quiet"


def test_a_call_uses_no_channel_up(counter):
    """However a call ends, the channels of the process are as many as before."""
    counter.call.incr()
    before = csp.testing.census()["channels"]
    for number in range(50):
        counter.call.echo([number])
        counter.ask.incr().result()
        with pytest.raises(csp.ActorFailed):
            counter.call.fail("on purpose")
        with pytest.raises(csp.NotShareable):
            counter.call.echo(threading.Lock())
        with contextlib.suppress(csp.Timeout):
            counter.call(timeout=0).incr()
    counter.call.incr()
    csp.testing.wait_until(lambda: csp.testing.census()["channels"] == before)


def test_exception_in_a_call_reaches_the_caller_and_the_actor_goes_on(counter):
    """ActorFailed, with the snapshot and the original; the next call is served."""
    with pytest.raises(csp.ActorFailed, match="not in here") as caught:
        counter.call.fail("not in here")
    assert caught.value.remote.type_name == "LookupError"
    assert "class_bodies.py" in caught.value.remote.traceback
    assert isinstance(caught.value.__cause__, LookupError)
    assert counter.call.incr() == 6


def test_unknown_method_is_the_callers_error(counter):
    """A method that is not there is an AttributeError of that call."""
    with pytest.raises(csp.ActorFailed, match="no_such_thing") as caught:
        counter.call.no_such_thing()
    assert isinstance(caught.value.__cause__, AttributeError)
    assert counter.call.incr() == 6


def test_wrong_arguments_are_the_callers_error(counter):
    """A TypeError of that call."""
    with pytest.raises(csp.ActorFailed, match="TypeError"):
        counter.call.incr(1, 2, 3)
    assert counter.call.incr() == 6


@pytest.mark.parametrize(("method", "args", "name"), [("exit", (3,), "SystemExit"), ("interrupt", (), "KeyboardInterrupt")])
def test_exit_and_interrupt_in_a_call_are_its_error(counter, method, args, name):
    """SystemExit and KeyboardInterrupt inside a call are that call's error; the actor goes on."""
    with pytest.raises(csp.ActorFailed) as caught:
        getattr(counter.call, method)(*args)
    assert caught.value.remote.type_name == name
    assert counter.call.incr() == 6


def test_result_that_cannot_cross_is_the_callers_error(counter):
    """ActorFailed with NotShareable in its snapshot; the actor goes on."""
    with pytest.raises(csp.ActorFailed) as caught:
        counter.call.unshareable()
    assert caught.value.remote.type_name == "csp.NotShareable"
    assert caught.value.remote.message.startswith("value: ")  # the result itself, not what carries it
    assert counter.call.incr() == 6


def test_argument_that_cannot_cross_is_raised_at_once(counter):
    """NotShareable in the caller, with the path from the arguments; the actor never hears of it."""
    with pytest.raises(csp.NotShareable, match=r"^args\[0\]: "):
        counter.call.echo(x for x in ())
    with pytest.raises(csp.NotShareable, match=r"^kwargs\['later'\]\[0\]: "):
        counter.ask.echo(1, later=[(x for x in ())])
    with pytest.raises(csp.NotShareable):
        counter.call.echo(bodies.Explosive())
    assert counter.statistics().handled == 0


def test_argument_that_cannot_be_rebuilt_is_the_callers_error(counter):
    """ActorFailed with DecodeError in its snapshot, for call and ask; the actor goes on."""
    with pytest.raises(csp.ActorFailed) as caught:
        counter.call.echo(bodies.Touchy())
    assert caught.value.remote.type_name == "csp.DecodeError"
    assert "not here" in str(caught.value)
    with pytest.raises(csp.ActorFailed):
        counter.ask.echo([bodies.Touchy()]).result(10)
    assert counter.call.incr() == 6


@pytest.mark.parametrize("cls", [bodies.Redelivered, bodies.Buried])
def test_argument_that_cannot_be_rebuilt_under_a_lease_is_the_callers_error(cls):
    """The same with on_crash: the request is answered once, and not handed out again."""
    ref = cls.spawn()
    try:
        with pytest.raises(csp.ActorFailed, match="not here"):
            ref.call.boom(bodies.Touchy())
        assert ref.call.history() == []
    finally:
        ref.stop()


@pytest.mark.parametrize("verb", ["cast", "send"])
def test_cast_that_cannot_be_rebuilt_fails_the_actor(verb):
    """Nobody waits who could be told: it is as if the method had raised."""
    ref = bodies.Counter.spawn()
    if verb == "cast":
        ref.cast.echo(bodies.Touchy())
    else:
        ref.send(bodies.Touchy())
    end = died(ref)
    assert (end.reason, end.remote.type_name) == ("failed", "csp.DecodeError")


def test_private_methods_cannot_be_called(counter):
    """Names that begin with an underscore are AttributeError in the caller."""
    with pytest.raises(AttributeError, match="private"):
        _ = counter.call._private
    with pytest.raises(AttributeError):
        _ = counter.cast.__init__.__wrapped__


def test_a_functions_reference_takes_no_calls():
    """call, ask and cast of a function actor are a TypeError that says what to do."""
    ref = bodies.receive_one.spawn()
    for verb in ("call", "ask", "cast"):
        with pytest.raises(TypeError, match="send"):
            getattr(ref, verb)
    ref.send("x")
    assert ref.result(10) == "x"


def test_calls_of_many_threads_are_served_one_at_a_time(counter):
    """One message at a time: no update is lost."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: counter.call.incr(), range(400)))
    assert sorted(results) == list(range(6, 406))


def test_messages_of_one_sender_arrive_in_order():
    """call, ask, cast and send share the mailbox: what one sender sends is handled in that order."""
    ref = csp.spawn(bodies.Worker)
    for n in range(100):
        ref.send(n)
    assert ref.call.history() == list(range(100))
    ref.stop()


# --- timeouts ---


def test_call_timeout_bounds_the_wait_for_the_reply():
    """Timeout, not before its time; the request may have run; a later call is served."""
    gate = csp.Channel(1)
    ref = bodies.Worker.spawn(None, gate.receiver)
    start = time.monotonic()
    with pytest.raises(csp.Timeout, match="wait"):
        ref.call(timeout=0.05).wait()
    assert time.monotonic() - start >= 0.05
    gate.send("late")
    assert ref.call(timeout=10).history() == []
    ref.stop()


def test_call_timeout_bounds_room_and_reply_together():
    """One budget for both waits: with the mailbox full the call gives up in time, and was not asked."""
    gate, log = csp.Channel(1), csp.Channel(math.inf)
    ref = bodies.Worker.spawn(log.sender, gate.receiver)
    ref.cast.wait()
    wait_parked(gate, receivers=1)
    for n in range(2):  # mailbox=2, beside the message in hand
        ref.cast(timeout=5).note("queued", n)
    start = time.monotonic()
    with pytest.raises(csp.Timeout, match="mailbox"):
        ref.call(timeout=0.05).note("never")
    assert 0.05 <= time.monotonic() - start < 5
    gate.send(None)
    ref.call(timeout=10).history()
    assert ("never",) not in [log.recv() for _ in range(len(log))]
    ref.stop()


def test_call_timeout_zero_polls_and_the_request_may_have_run(counter):
    """timeout=0 asks without waiting: Timeout, unless the answer is there that fast, and the method runs all the same."""
    with contextlib.suppress(csp.Timeout):
        counter.call(timeout=0).incr()
    wait_until(lambda: counter.call.incr(by=0) == 6)


@pytest.mark.parametrize("timeout", [None, math.inf, 10, 10**400])
def test_call_timeouts_that_are_long_enough(counter, timeout):
    """None and infinity wait for ever, and so does a number beyond all floats."""
    assert counter.call(timeout=timeout).incr() == 6


@pytest.mark.parametrize("verb", ["call", "ask", "cast"])
@pytest.mark.parametrize("timeout", [-1, -0.001, math.nan, -math.inf, -(10**400)])
def test_bad_timeouts_are_value_errors(counter, verb, timeout):
    """Negative or NaN is ValueError, and nothing is asked."""
    with pytest.raises(ValueError, match="timeout"):
        getattr(counter, verb)(timeout=timeout).incr()
    assert counter.call.incr() == 6


def test_timeout_that_is_no_number_is_a_type_error(counter):
    """As everywhere."""
    with pytest.raises(TypeError, match="timeout"):
        counter.call(timeout="soon").incr()


def test_late_reply_reaches_nobody():
    """After a Timeout the answer is dropped: the next call gets its own, never the late one."""
    gate = csp.Channel(1)
    ref = bodies.Worker.spawn(None, gate.receiver)
    with pytest.raises(csp.Timeout):
        ref.call(timeout=0.02).wait()
    gate.send("the late answer")
    assert ref.call(timeout=10).history() == []
    assert ref.statistics().handled >= 1
    ref.stop()


# --- ask ---


def test_ask_returns_a_reply_for_later(counter):
    """result() waits, and gives the same answer each time it is asked for."""
    replies = [counter.ask.incr() for _ in range(3)]
    assert [reply.result(10) for reply in replies] == [6, 7, 8]
    assert replies[0].result() == 6


def test_reply_times_out_and_can_be_asked_again():
    """Timeout leaves the Reply as it was."""
    gate = csp.Channel(1)
    ref = bodies.Worker.spawn(None, gate.receiver)
    reply = ref.ask.wait()
    with pytest.raises(csp.Timeout):
        reply.result(0.02)
    with pytest.raises(csp.Timeout):
        reply.result(timeout=0)
    gate.send("here")
    assert reply.result(10) == "here"
    ref.stop()


def test_reply_of_a_failed_call_raises_each_time(counter):
    """result() raises ActorFailed, again if asked again."""
    reply = counter.ask.fail("no")
    for _ in range(2):
        with pytest.raises(csp.ActorFailed, match="no"):
            reply.result(10)


def test_reply_is_a_case_of_select(counter):
    """select waits for answers; the value is the answer itself, and the case is the Reply that was passed."""
    reply = counter.ask.incr()
    fired, value = csp.select([csp.never(), reply], timeout=10)
    assert fired is reply
    assert value == 6
    assert reply.result() == 6


def test_select_raises_what_result_would(counter):
    """A failed answer raises ActorFailed out of select."""
    with pytest.raises(csp.ActorFailed, match="in select"):
        csp.select([counter.ask.fail("in select")], timeout=10)


def test_select_on_a_reply_of_the_dead_raises_actor_died():
    """The end of the actor makes the case ready."""
    gate = csp.Channel()
    ref = bodies.Worker.spawn(None, gate.receiver)
    reply = ref.ask.wait()
    wait_parked(gate, receivers=1)
    ref.kill()
    with pytest.raises(csp.ActorDied):
        csp.select([reply], timeout=10)
    with pytest.raises(csp.ActorDied):
        reply.result(10)


@pytest.mark.parametrize("isolation", ["interpreter", "thread", "process"])
def test_caller_in_hand_of_the_killed_learns_the_reason(isolation):
    """ActorDied says that it was killed, and comes with the end: not before, when nobody knows the reason, nor much later."""
    gate = csp.Channel()
    ref = csp.spawn(bodies.Worker, None, gate.receiver, name="victim", isolation=isolation)
    reply = ref.ask.wait()
    wait_parked(gate, receivers=1)
    assert ref.kill().reason == "killed"
    with pytest.raises(csp.ActorDied, match="victim ended before it answered wait: killed"):
        reply.result(0)


def test_abandoned_reply_harms_nobody(counter):
    """A Reply that is dropped is like a Timeout: the answer reaches nobody."""
    for _ in range(20):
        counter.ask.incr()
    assert counter.call.incr() == 26


# --- cast and send ---


def test_cast_returns_before_the_message_is_handled():
    """Fire and forget."""
    gate, log = csp.Channel(), csp.Channel(math.inf)
    ref = bodies.Worker.spawn(log.sender, gate.receiver)
    assert ref.cast.wait() is None
    wait_parked(gate, receivers=1)
    gate.send(None)
    ref.call.history()
    ref.stop()
    assert ("left",) in [log.recv() for _ in range(len(log))]


def test_mailbox_counts_beside_the_message_in_hand():
    """mailbox=2: one in hand, two queued; the next waits for room, and Timeout means it was not sent."""
    gate, log = csp.Channel(), csp.Channel(math.inf)
    ref = bodies.Worker.spawn(log.sender, gate.receiver)
    ref.cast.wait()
    wait_parked(gate, receivers=1)
    ref.cast(timeout=0).note(1)
    ref.send(2, timeout=0)
    assert ref.statistics().queued == 2
    with pytest.raises(csp.Timeout):
        ref.cast(timeout=0.02).note(3)
    with pytest.raises(csp.Timeout):
        ref.send(3, timeout=0)
    assert ref.statistics().queued == 2
    gate.send(None)
    ref.cast.note(4)  # waits until there is room
    ref.drain(10)
    got = [log.recv() for _ in range(len(log))]
    assert (4,) in got
    assert (3,) not in got


def test_send_goes_to_on_receive():
    """A raw message of any type."""
    ref = bodies.Worker.spawn()
    ref.send({"raw": 1})
    ref.send(None)
    assert ref.call.history() == [{"raw": 1}, None]
    ref.stop()


def test_send_without_on_receive_is_a_dead_letter():
    """Nobody handles it: it goes to csp.dead_letters, and the actor goes on."""
    drain_dead_letters()
    ref = bodies.Mute.spawn()
    ref.send("for nobody")
    ref.call.noop()
    letter = csp.dead_letters.recv(10)
    assert letter == (ref, "for nobody", 1)
    assert (letter.ref, letter.message, letter.deliveries) == (ref, "for nobody", 1)
    ref.stop()


def drain_dead_letters():
    while csp.dead_letters.recv_nowait(None) is not None:
        pass


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("verb", ["cast", "send"])
def test_exception_in_a_cast_or_on_receive_ends_the_actor_as_failed(verb, error):
    """Also SystemExit and KeyboardInterrupt; on_failure hears of it, on_stop does not run."""
    log = csp.Channel(math.inf)
    ref = bodies.Worker.spawn(log.sender)
    if verb == "cast":
        ref.cast.boom(error)
    else:
        ref.send(error)
    end = died(ref)
    assert (end.reason, end.remote.type_name) == ("failed", type(error).__name__)
    assert [log.recv() for _ in range(len(log))] == [("on_start",), ("on_failure", type(error).__name__, str(error))]


def test_failing_on_failure_does_not_hide_the_failure():
    """The actor died of the first exception; what the hook raised is a note on it."""
    ref = bodies.FailsToFail.spawn()
    ref.cast.boom(ValueError("first"))
    end = died(ref)
    assert end.remote.type_name == "ValueError"
    assert any("in the hook" in note for note in end.remote.notes)


# --- the dead, the dying, oneself ---


def test_calls_to_the_dead_fail_at_once():
    """call, ask, cast and send raise ActorDied; a Reply never comes into being."""
    ref = bodies.Counter.spawn()
    ref.stop()
    for ask in (lambda: ref.call.incr(), lambda: ref.ask.incr(), lambda: ref.cast.incr(), lambda: ref.send(1)):
        with pytest.raises(csp.ActorDied):
            ask()


def test_reference_made_by_whereis_before_the_end_fails_too():
    """The same through a reference that had never been used."""
    ref = csp.spawn(bodies.Counter, name="soon gone")
    other = csp.whereis("soon gone")
    ref.stop()
    with pytest.raises(csp.ActorDied):
        other.call.incr()


@pytest.mark.parametrize("end", ["kill", "stop", "fail"])
def test_queued_calls_fail_when_the_actor_ends(end):
    """A call that nobody will answer any more raises ActorDied at once, and is counted as discarded."""
    gate, log = csp.Channel(), csp.Channel(math.inf)
    ref = bodies.Worker.spawn(log.sender, gate.receiver)
    if end == "fail":
        ref.cast.wait()
    else:
        in_hand = ref.ask.wait()
    wait_parked(gate, receivers=1)
    if end == "fail":
        ref.cast.boom(RuntimeError("x"))
    queued = ref.ask.history()
    if end == "fail":
        gate.send(None)
        died(ref)
    else:
        getattr(ref, end)()
        with pytest.raises(csp.ActorDied):
            in_hand.result(10)
    with pytest.raises(csp.ActorDied):
        queued.result(10)
    assert ref.statistics().discarded == 1
    assert ref.statistics().queued == 0


def test_caller_that_waits_for_room_learns_of_the_end():
    """A call still waiting for a place in the mailbox gets ActorDied."""
    from concurrent.futures import ThreadPoolExecutor

    gate = csp.Channel()
    ref = bodies.Worker.spawn(None, gate.receiver)
    ref.cast.wait()
    wait_parked(gate, receivers=1)
    ref.send(1)
    ref.send(2)
    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(lambda: ref.call.history())
        wait_parked(ref._sender(), senders=1)
        ref.kill()
        with pytest.raises(csp.ActorDied):
            blocked.result(10)


def test_calls_to_the_dying_fail_at_once():
    """While a stop waits for a message that computes, new calls and queued ones do not wait for it: nobody will serve them."""
    log = csp.Channel(math.inf)
    ref = bodies.Worker.spawn(log.sender)
    log.recv(10)
    in_hand = ref.ask.compute(time.monotonic() + 1.0)
    assert log.recv(10) == ("computing",)
    queued = ref.ask.history()
    ref._ask_stop()
    asked = time.monotonic()
    with pytest.raises(csp.ActorDied):
        ref.call.history()
    with pytest.raises(csp.ActorDied):
        queued.result(10)
    assert time.monotonic() - asked < 0.8
    assert in_hand.result(10) == "computed"
    assert died(ref).reason == "shutdown"


@pytest.mark.parametrize("how", ["call", "ask", "join", "stop", "drain", "result"])
def test_waiting_for_oneself_is_a_deadlock_error(counter, how):
    """A call to oneself would hang for ever; so would waiting for one's own end.  The actor goes on."""
    with pytest.raises(csp.ActorFailed) as caught:
        counter.call.ask_myself(how)
    assert caught.value.remote.type_name == "csp.DeadlockError"
    assert counter.call.incr() == 6


def test_casting_to_oneself_is_fine(counter):
    """Nothing is waited for: it is handled in its turn."""
    counter.call.cast_myself()
    assert counter.call.incr() == 16


# --- figures ---


def test_statistics_count_messages_lives_and_time():
    """handled, queued, discarded, restarts, started_at, cpu_seconds; immutable."""
    before = time.monotonic()
    ref = bodies.Counter.spawn()
    for _ in range(5):
        ref.call.incr()
    ref.cast.incr()
    ref.drain(10)
    now = ref.statistics()
    assert (now.handled, now.queued, now.discarded, now.restarts) == (6, 0, 0, 0)
    assert before <= now.started_at <= time.monotonic()
    assert now.cpu_seconds > 0
    with pytest.raises(AttributeError):
        now.handled = 7
    assert now == tuple(now)


def test_failed_calls_count_as_handled(counter):
    """A message is handled when it has been answered, whatever the answer."""
    for ask in (lambda: counter.call.fail("x"), lambda: counter.call.echo(bodies.Touchy())):
        with pytest.raises(csp.ActorFailed):
            ask()
    wait_until(lambda: counter.statistics().handled == 2)
