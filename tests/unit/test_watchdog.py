"""`@actor(watchdog=seconds)`: who is killed by it and who is not, what is said of it, and what it costs while nobody has one."""

import math
import threading
import time

import pytest

import csp
from csp import ChildSpec, DynamicSupervisor, Supervisor, _core
from csp.testing import wait_until
from tests.unit import watch_bodies as bodies
from tests.unit.watch_bodies import LIMIT

pytestmark = pytest.mark.usefixtures("no_leaks", "no_service")

csp.dead_letters  # noqa: B018  # made on first use, for good: no leak

HARD = 20.0  # seconds that a test waits at most


@pytest.fixture
def log(request):
    yield csp.Channel(math.inf)
    request.node.funcargs.pop("log")  # or it is alive when the leaks are counted


@pytest.fixture
def no_service():
    """The service thread is there while somebody is watched, and only then."""
    assert _core.watches() == (0, False)
    yield
    wait_until(lambda: _core.watches() == (0, False), HARD, "the end of the service thread")


def expect(log, what):
    while log.recv(HARD) != what:
        pass


def letters():
    found = []
    while (letter := csp.dead_letters.recv_nowait(None)) is not None:
        found.append(tuple(letter))
    return found


def hung_in(end):
    """The innermost function of an Exit by the watchdog."""
    assert (end.reason, end.value) == ("watchdog", None)
    return end.remote[2][-1][2]


# --- who is killed ---


@pytest.mark.parametrize("method", ["spin", "catches"])
@pytest.mark.parametrize("cls", [bodies.Watched, bodies.InThread])
def test_method_that_never_ends_is_killed(cls, method):
    """After its limit, not before; also past `except Exception`, also where the actor is a thread; its caller hears at once."""
    ref = cls.spawn()
    ref.call.echo(1)
    start = time.monotonic()
    reply = getattr(ref.ask, method)()
    with pytest.raises(csp.ActorDied, match=f"ended before it answered {method}: watchdog"):
        reply.result(HARD)
    assert time.monotonic() - start >= LIMIT
    assert hung_in(ref.join(HARD)) == "hang"


def test_function_is_one_message(log):
    """Its body neither ends nor waits in csp."""
    ref = bodies.watched_function.spawn(log.sender)
    assert hung_in(ref.join(HARD)) == "hang"
    with pytest.raises(csp.ActorFailed, match="TimeoutError: finished no message and waited for nothing in csp for 0.2 s"):
        ref.result()


def test_hang_in_the_initialisation_counts(log):
    """`spawn` hears of it as of any failed start, with the place."""
    with pytest.raises(csp.ActorStartError, match="finished no message") as caught:
        bodies.Watched.spawn(log.sender, "__init__")
    assert "in hang" in caught.value.remote.traceback


def test_hang_in_on_stop_counts(log):
    """The stop that waits for it gets that Exit."""
    ref = bodies.Watched.spawn(log.sender, "on_stop")
    assert hung_in(ref.stop(HARD)) == "hang"


def test_stop_does_not_save_who_hangs(log):
    """It is not past the stop's timeout that it dies, but past its own limit; a trapped stop is no different."""
    for cls in (bodies.Watched, bodies.Patient):
        ref = cls.spawn(log.sender)
        ref.cast.spin()
        expect(log, "spinning")
        assert hung_in(ref.stop(HARD)) == "hang"


def test_supervisor_in_an_actor_is_no_sign_of_life(log):
    """Its thread waits in csp all the time, the actor itself does not; its children end with it."""
    ref = bodies.watched_parent.spawn(log.sender)
    assert hung_in(ref.join(HARD)) == "hang"


def test_what_sits_in_c_is_quarantined(log):
    """A second after the strike its end is announced as "watchdog", with the place in Python; the thread is reclaimed later."""
    ref = csp.spawn(bodies.Watched, log.sender, name="stuck")
    reply = ref.ask.in_c(2.5)
    end = ref.join(HARD)
    assert hung_in(end) == "Watched.in_c"
    with pytest.raises(csp.ActorDied, match="ended before it answered in_c: watchdog"):
        reply.result(0)
    assert csp.whereis("stuck") is None
    assert csp.debug.zombies() == [ref]
    wait_until(lambda: csp.debug.zombies() == [], HARD)
    assert ref.join(0) == end


# --- who is not ---


def test_idle_actor_is_left_alone():
    """It waits for its next message, for many times its limit."""
    ref = bodies.Watched.spawn()
    csp.sleep(5 * LIMIT)
    assert ref.call.echo(7) == 7
    ref.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of what the loop had open: it is left half-way
@pytest.mark.parametrize("isolation", ["interpreter", "thread"])
@pytest.mark.parametrize("cls", [bodies.InTrio, bodies.InAsyncio])
def test_event_loop_that_turns_is_left_alone(cls, isolation):
    """Idle, or with a message that awaits something of the loop's own for longer than the limit; one that does not turn is struck."""
    ref = csp.spawn(cls, isolation=isolation)
    csp.sleep(5 * LIMIT)
    assert ref.call.naps(5 * LIMIT) == 5 * LIMIT
    reply = ref.ask.spin()
    with pytest.raises(csp.ActorDied, match="ended before it answered spin"):
        reply.result(HARD)
    assert hung_in(ref.join(HARD)) == "hang"


def test_waits_are_signs_of_life():
    """A message that takes many times the limit, and waits in csp now and then."""
    ref = bodies.Watched.spawn()
    assert ref.call.waits(20, LIMIT / 4) == 20
    assert ref.call.waits(2, 3 * LIMIT) == 2
    ref.stop()


def test_operations_that_need_not_wait_are_signs_of_life():
    """Whoever always finds room and values is busy, not stuck."""
    ref = bodies.Watched.spawn()
    assert ref.call.chats(4 * LIMIT) > 0
    ref.stop()


def test_function_that_waits_is_left_alone(log):
    """For as long as it waits."""
    ref = bodies.waits_for_ever.spawn(log.sender)
    expect(log, "up")
    csp.sleep(4 * LIMIT)
    assert ref.alive
    assert ref.stop().reason == "shutdown"


# --- what becomes of the message ---


def test_message_in_hand_is_redelivered(log):
    """A watchdog counts as a crash: the next life gets the message again."""
    with Supervisor([ChildSpec(bodies.HangsOnce, args=(log.sender,), id="once")]) as tree:
        tree["once"].send("m")
        assert log.recv(HARD) == ("m", 1)
        assert log.recv(HARD) == ("m", 2)


def test_message_in_hand_becomes_a_dead_letter(log):
    """on_crash="dead_letter"."""
    ref = bodies.Buried.spawn(log.sender, "m")
    ref.send("m")
    assert ref.join(HARD).reason == "watchdog"
    assert letters() == [(ref, "m", 1)]


# --- supervisors ---


@pytest.mark.parametrize("restart", ["permanent", "transient"])
def test_supervisor_restarts_who_hung(restart):
    """As one that failed; the event has the reason and the place."""
    with Supervisor([ChildSpec(bodies.Child, id="c", restart=restart)]) as tree:
        ref = tree["c"]
        ref.send("hang")
        wait_until(lambda: ref.epoch == 2 and ref.alive, HARD)
        assert ref.call(timeout=HARD).number() == 2
        (info,) = tree.children()
        assert hung_in(info.last_exit) == "hang"
    (reason,) = [event.exit.reason for event in tree.events if isinstance(event, csp.Exited) and event.exit.reason != "shutdown"]
    assert reason == "watchdog"


def test_supervisor_does_not_restart_a_temporary_child():
    """Never means never."""
    with Supervisor([ChildSpec(bodies.Child, id="c", restart="temporary")]) as tree:
        tree["c"].send("hang")
        wait_until(lambda: tree.children() == [], HARD)


def await_warm(n):
    wait_until(lambda: csp.debug.census()["warm"] == n, HARD, f"{n} warm interpreters")


def test_warm_pool_beside_a_watchdog():
    """Interpreters that wait for a life are not watched, however long; the life that one gets is, and ends like any other."""
    with Supervisor([ChildSpec(bodies.Child, id="c")], warm=2, max_restarts=10) as tree:
        ref = tree["c"]
        await_warm(2)
        for epoch in (2, 3):
            assert not csp.select([ref.exited], timeout=1.5 * LIMIT)
            assert csp.debug.census()["warm"] == 2
            assert _core.watches() == (1, True)
            ref.send("hang")
            wait_until(lambda epoch=epoch: ref.epoch == epoch and ref.alive, HARD)
            assert (ref.call(timeout=HARD).number(), ref.call(timeout=HARD).was_warm()) == (epoch, True)
            assert hung_in(tree.children()[0].last_exit) == "hang"
            await_warm(2)


def test_hang_in_the_start_of_a_warm_life_counts(log):
    """It has failed to start, and the interpreter is replaced."""
    with DynamicSupervisor(warm=1) as tree:
        await_warm(1)
        spec = ChildSpec(bodies.Watched, args=(log.sender, "__init__"), id="hangs")
        with pytest.raises(csp.SupervisorError, match=r"'hangs'.*finished no message") as caught:
            tree.start_child(spec)
        assert caught.value.reason == "watchdog"
        await_warm(1)
        assert tree.start_child(ChildSpec(bodies.Child)).call(timeout=HARD).was_warm()


# --- one end ---


def test_kill_and_watchdog_make_one_end(seed):
    """Whoever is first says the reason; every observer gets the same Exit, once."""
    for i in range(8):
        ref = bodies.Watched.spawn()
        monitors = [ref.exited for _ in range(2)]
        ref.cast.spin()
        csp.sleep(LIMIT * (0.9 + 0.05 * i))
        end = ref.kill()
        assert end.reason in ("killed", "watchdog")
        assert [monitor.recv(HARD) for monitor in monitors] == [end, end]
        assert ref.join(0) == end


def test_kill_before_the_limit_is_killed(log):
    """The watchdog adds nothing to it."""
    ref = bodies.Unhurried.spawn(log.sender)
    ref.cast.spin()
    expect(log, "spinning")
    assert ref.kill() == (ref, "killed", None, None)


def test_stop_between_messages_is_shutdown():
    """Nor to that."""
    ref = bodies.Watched.spawn()
    assert ref.stop() == (ref, "shutdown", None, None)


# --- the service thread ---


def test_one_thread_watches_all():
    """However many there are."""
    refs = [bodies.Watched.spawn() for _ in range(3)] + [bodies.InThread.spawn() for _ in range(3)]
    assert _core.watches() == (6, True)
    for ref in refs:
        ref.stop()


def test_unwatched_actor_needs_no_service():
    """It costs nothing while nobody asks for it."""
    ref = csp.spawn(bodies.sleeps)
    assert _core.watches() == (0, False)
    ref.stop()


def test_long_limit_beside_a_short_one(log):
    """Whoever comes later with a nearer deadline is not overlooked."""
    patient = bodies.Unhurried.spawn()
    ref = bodies.watched_function.spawn(log.sender)
    assert ref.join(HARD).reason == "watchdog"
    assert patient.call.echo(1) == 1
    patient.stop()


def test_many_hang_at_once():
    """Each is struck, from whichever thread it was spawned."""
    ends = []

    def one():
        ref = bodies.Watched.spawn()
        ref.cast.spin()
        ends.append(ref.join(HARD))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [hung_in(end) for end in ends] == ["hang"] * 4


# --- the option ---


@pytest.mark.parametrize("seconds", [0, -1, 0.0, -0.5, math.inf, -math.inf, math.nan])
def test_limit_is_positive_and_finite(seconds):
    """Else ValueError, when the function is decorated."""
    with pytest.raises(ValueError, match="watchdog"):
        csp.actor(watchdog=seconds)(bodies.sleeps)


@pytest.mark.parametrize("seconds", ["1", True, [], object()])
def test_limit_is_a_number(seconds):
    """Else TypeError."""
    with pytest.raises(TypeError, match="watchdog"):
        csp.actor(watchdog=seconds)(bodies.sleeps)


def test_no_limit_is_none():
    """None is the default."""
    assert csp.actor(watchdog=None)(lambda: None)
