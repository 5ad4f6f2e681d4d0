"""The same actors as threads of this interpreter: for libraries that refuse to load in another one."""

import os
import time

import pytest

import csp
from tests.unit import actor_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture(params=["interpreter", "thread"])
def spawn(request):
    """csp.spawn with each isolation."""

    def spawn_isolated(*args, **kwargs):
        return csp.spawn(*args, isolation=request.param, **kwargs)

    return spawn_isolated


def test_value_comes_back(spawn):
    """result() is what the function returned."""
    assert spawn(bodies.add, 1, b=2).result(10) == 3


def test_arguments_are_copied(spawn):
    """What the actor gets never aliases what the caller kept."""
    data = [1]
    assert spawn(bodies.append_to, data).result(10) == [1, "more"]
    assert data == [1]


def test_unshareable_arguments_are_refused(spawn):
    """Actors talk only through channels, wherever they run."""
    with pytest.raises(csp.NotShareable):
        spawn(bodies.add, (x for x in ()))


def test_failure_has_snapshot_and_original(spawn):
    """As from afar, though it was near."""
    with pytest.raises(csp.ActorFailed) as caught:
        spawn(bodies.boom, "near").result(10)
    assert caught.value.remote.message == "near"
    assert type(caught.value.__cause__) is ValueError


def test_channel_ends_with_the_exit_as_its_cause(spawn):
    """EndOfChannel.cause is the Exit of the actor that dropped the last sender."""
    sender, receiver = csp.channel(4)
    gate = csp.Channel()
    ref = spawn(bodies.send_then_die, sender, gate.receiver)
    sender.close()
    gate.send(None)
    assert receiver.recv(10) == 1
    with pytest.raises(csp.EndOfChannel) as caught:
        receiver.recv(10)
    assert caught.value.cause == ref.join(10)


def test_stop_reaches_this_actor_alone(spawn):
    """The other one goes on waiting."""
    first, second = spawn(bodies.block), spawn(bodies.block)
    assert first.stop().reason == "shutdown"
    assert second.alive
    assert second.stop().reason == "shutdown"


def test_kill_ends_python_code(spawn):
    """Also `while True: pass`, and the rest of the program goes on."""
    up = csp.Channel(1)
    ref = spawn(bodies.spin, up.sender)
    up.recv(10)
    begun = time.monotonic()
    assert ref.kill().reason == "killed"
    assert time.monotonic() - begun < 5


def test_actor_knows_itself_and_its_parent(spawn):
    """current_actor() is the actor's own, though others run beside it."""
    ref = spawn(bodies.nested_thread)
    name, parent = ref.result(20)
    assert name.startswith("look_at_itself")
    assert parent == ref.name
    with pytest.raises(RuntimeError):
        csp.current_actor()


def test_children_end_with_their_parent(spawn):
    """Whatever the parent is."""
    up = csp.Channel(2)
    parent = spawn(bodies.parent_of_two, up.sender)
    children = [up.recv(10), up.recv(10)]
    parent.stop()
    assert not any(child.alive for child in children)


def test_library_that_refuses_interpreters_loads_in_a_thread():
    """The advice of the error holds."""
    pytest.importorskip("numpy", reason="numpy is not installed")
    assert csp.spawn(bodies.import_module, "numpy", isolation="thread").result(20) == "numpy"


def test_thread_is_no_obstacle_to_fork_by_itself():
    """It is a thread of this interpreter, as any other: no veto."""
    ref = csp.spawn(bodies.block, isolation="thread")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of any fork with threads
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    ref.stop()


def test_class_actor_serves_calls(spawn):
    """Calls are answered, by the actor, and a stop is a shutdown."""
    ref = spawn(bodies.Counter, 5)
    assert ref.call.incr(by=2) == 7
    assert ref.call.where() == ref.name
    with pytest.raises(csp.ActorFailed):
        ref.call.incr(by="x")
    assert ref.call.incr() == 8
    assert ref.stop().reason == "shutdown"
