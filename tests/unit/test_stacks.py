"""`csp.debug.stacks()`: what each actor's thread does, from wherever it is asked, whatever the actor does meanwhile."""

import math
import threading
import time

import pytest

import csp
from csp.testing import wait_until
from tests.unit import watch_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks")

HARD = 20.0


@pytest.fixture
def log(request):
    yield csp.Channel(math.inf)
    request.node.funcargs.pop("log")  # or it is alive when the leaks are counted


def stack_of(ref, timeout=HARD):
    (found,) = [stack for stack in csp.debug.stacks(timeout) if stack.ref == ref]
    return found


def waiting_stack(ref):
    """Once it sleeps."""
    wait_until(lambda: stack_of(ref).state == "waiting", HARD)
    return stack_of(ref)


def test_no_actors_no_stacks():
    """The main program is no actor."""
    assert csp.debug.stacks() == []


@pytest.mark.parametrize("isolation", ["interpreter", "thread"])
def test_computing_actor(log, isolation):
    """It shows its frames, the innermost last, and goes on computing."""
    ref = csp.spawn(bodies.computes, log.sender, isolation=isolation)
    log.recv(HARD)
    stack = stack_of(ref)
    assert (stack.state, stack.waits_for, stack.seconds) == ("running", None, 0.0)
    assert [function for _, _, function in stack.frames] == ["computes", "hang"]
    assert all(file == bodies.__file__ for file, _, _ in stack.frames)
    assert (stack.name, stack.id) == (ref.name, ref.id)
    assert ref.alive
    ref.kill()


@pytest.mark.parametrize("isolation", ["interpreter", "thread"])
def test_waiting_actor(isolation):
    """It says on which channel it waits, and for how long; the wait is not disturbed."""
    channel = csp.Channel(name="jobs")
    ref = csp.spawn(bodies.receives, channel.receiver, isolation=isolation)
    stack = waiting_stack(ref)
    assert (stack.state, stack.waits_for) == ("waiting", f"receive from channel {channel.id} 'jobs'")
    assert 0 <= stack.seconds < HARD
    assert [function for _, _, function in stack.frames] == ["receives"]
    channel.send(1)
    assert ref.join(HARD).reason == "normal"


def test_what_is_waited_for_is_said_in_words():
    """Sends, selects, sleeps and the mailbox."""
    channel, other = csp.Channel(), csp.Channel()
    sender = csp.spawn(bodies.sends, channel.sender)
    chooser = csp.spawn(bodies.selects, other.receiver, other.receiver)
    sleeper, idle = csp.spawn(bodies.sleeps), bodies.Idle.spawn()
    found = [waiting_stack(ref).waits_for for ref in (sender, chooser, sleeper, idle)]
    assert found == [f"send to channel {channel.id}", "select one of 2 cases", "sleep", "receive from its mailbox"]
    for ref in (sender, chooser, sleeper, idle):
        ref.kill()


def test_text_is_for_a_person(log):
    """One line of who and what, then the frames as Python prints them, with the source."""
    ref = csp.spawn(bodies.computes, log.sender, name="worker")
    log.recv(HARD)
    first, *rest = str(stack_of(ref)).splitlines()
    assert first == f"actor 'worker' (id {ref.id}): running"
    assert rest[0].startswith(f'  File "{bodies.__file__}", line ')
    assert rest[1] == "    hang()"
    ref.kill()
    sleeper = csp.spawn(bodies.sleeps)
    assert f"(id {sleeper.id}): sleeping, for " in str(waiting_stack(sleeper))
    sleeper.kill()


def test_interpreter_kept_by_c_code_does_not_answer(log):
    """Its entry says so, in bounded time, and the others answer; asked again and again no threads pile up."""
    other = csp.spawn(bodies.sleeps)
    waiting_stack(other)
    stuck = csp.spawn(bodies.keeps_its_gil, log.sender, 2 * 10**8)
    log.recv(HARD)
    start = time.monotonic()
    by_ref = {stack.ref: stack for stack in csp.debug.stacks(timeout=0.3)}
    took = time.monotonic() - start
    assert by_ref[other].frames
    if stuck.alive and by_ref[stuck].frames is None:  # a very fast machine is through with it
        assert took < 5
        assert "does not answer" in str(by_ref[stuck])
    other.kill()
    stuck.kill()
    wait_until(lambda: csp.debug.zombies() == [], 60)
    wait_until(lambda: csp.debug.stacks() == [], 60)


def test_zombie_is_listed_with_its_place(log):
    """One that was given up and sits in C that has let go of the interpreter's lock."""
    ref = bodies.Idle.spawn()
    ref.cast.in_c(log.sender, 2.5)
    log.recv(HARD)
    assert ref.kill().reason == "killed"
    stack = stack_of(ref)
    assert stack.state == "zombie"
    assert stack.frames[-1][2] == "Idle.in_c"
    wait_until(lambda: csp.debug.zombies() == [] and csp.debug.stacks() == [], HARD)


def test_actor_may_ask(log):
    """From any interpreter; it finds itself, asking."""
    ref = csp.spawn(bodies.looks, log.sender)
    ((state, _, _, frames),) = log.recv(HARD)
    assert state == "running"
    assert "looks" in [function for _, _, function in frames]
    ref.join(HARD)


def test_asking_while_actors_come_and_go(log):
    """Ends, kills and starts may cross with it; what is there for all the time is always in it."""
    rock = bodies.Idle.spawn()
    rock.call.echo(1)
    over = threading.Event()
    missing = []

    def ask():
        while not over.is_set():
            found = [stack.ref for stack in csp.debug.stacks(HARD)]
            if rock not in found:
                missing.append(found)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    for i in range(12):
        ref = csp.spawn(bodies.computes, log.sender, isolation="thread" if i % 3 == 0 else "interpreter")
        log.recv(HARD)
        ref.kill()
    over.set()
    for asker in askers:
        asker.join()
    assert not missing
    assert rock.call.echo(2) == 2
    rock.stop()


@pytest.mark.parametrize("timeout", [-1, math.nan])
def test_timeout_is_no_nonsense(timeout):
    """As everywhere."""
    with pytest.raises(ValueError, match="timeout"):
        csp.debug.stacks(timeout)


def test_entry_shows_its_fields():
    """It is a tuple with names."""
    ref = csp.spawn(bodies.sleeps)
    match waiting_stack(ref):
        case csp.debug.ActorStack(found, state, waits_for, seconds, frames):
            assert (found, state, waits_for) == (ref, "waiting", "sleep")
            assert seconds >= 0
            assert frames
    assert repr(stack_of(ref)).startswith(f"ActorStack(ref={ref!r}, state='waiting', waits_for='sleep', seconds=")
    ref.kill()
