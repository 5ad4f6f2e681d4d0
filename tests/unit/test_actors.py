"""Function actors: spawn, references, exits, stop and kill, errors from afar."""

import gc
import threading
import time
import weakref

import pytest

import csp
from csp.testing import wait_parked, wait_until
from tests.unit import actor_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks")


def gone(ref: csp.ActorRef, limit: float = 20.0) -> csp.Exit:
    """The Exit, or a failed test."""
    return ref.join(timeout=limit)


# --- spawning ---


def test_decorated_function_still_works_directly():
    """A unit test of an actor's function needs no interpreter."""
    assert bodies.add(1, 2) == 3
    assert bodies.add.__name__ == "add"
    assert bodies.add.__doc__ == "Add two numbers."


def test_spawn_runs_the_function_in_another_interpreter():
    """Arguments cross, the value comes back in the Exit and by result()."""
    ref = bodies.add.spawn(1, b=2)
    end = gone(ref)
    assert end == (ref, "normal", 3, None)
    assert (end.ref, end.reason, end.value, end.remote) == (ref, "normal", 3, None)
    assert ref.result() == 3


def test_spawn_function_takes_name_and_passes_the_rest():
    """spawn(fn, *args, name=, **kwargs): the name is the actor's, the other keywords are the function's."""
    ref = csp.spawn(bodies.add, 5, name="adder", b=1)
    assert ref.name == "adder"
    assert ref.result() == 6


def test_channels_as_arguments_connect_the_actor():
    """Handles cross as arguments; the loop ends when the last sender is gone."""
    jobs, done = csp.Channel(4), csp.Channel(4)
    ref = bodies.echo.spawn(jobs.receiver, done.sender)
    jobs.send({"n": 1})
    assert done.recv(10) == {"n": 1}
    jobs.close()
    assert ref.result(10) == "drained"


def test_unshareable_argument_starts_nothing():
    """NotShareable is raised in the caller, names the argument, and leaves no actor and no name behind."""
    with pytest.raises(csp.NotShareable, match=r"args\[1\]"):
        csp.spawn(bodies.add, 1, (x for x in ()), name="never")
    assert csp.whereis("never") is None


def test_lambda_is_refused_clearly():
    """A function that no reference leads to is NotShareable."""
    with pytest.raises(csp.NotShareable, match="the function"):
        csp.spawn(lambda: 1)


@pytest.mark.parametrize("wrong", [3, "text", None])
def test_target_must_be_callable(wrong):
    """Anything else is a TypeError."""
    with pytest.raises(TypeError):
        csp.spawn(wrong)


def test_unknown_isolation_and_options_are_refused():
    """Bad words get an error that names them."""
    with pytest.raises(ValueError, match="isolation"):
        csp.spawn(bodies.add, 1, isolation="planet")
    with pytest.raises(TypeError, match="color"):
        csp.actor(color="red")
    with pytest.raises(ValueError, match="mailbox"):
        csp.actor(mailbox=0)
    with pytest.raises(TypeError, match="mailbox"):
        csp.actor(mailbox=1.5)
    with pytest.raises(TypeError, match="name"):
        csp.spawn(bodies.add, 1, name=3)
    with pytest.raises(ValueError, match="name"):
        csp.spawn(bodies.add, 1, name="")


def test_sys_path_edits_reach_the_actor(tmp_path, monkeypatch):
    """What was added to sys.path at run time is there in the actor too."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "made_for_one_test.py").write_text("def f():\n    return 'found'\n")
    import made_for_one_test  # type: ignore[import-not-found]

    assert csp.spawn(made_for_one_test.f).result(10) == "found"
    assert str(tmp_path) in csp.spawn(bodies.path_and_name).result(10)[0]


def test_failed_import_is_a_start_error(tmp_path, monkeypatch):
    """A module that does not import there raises ActorStartError with the remote error, and frees the name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "imports_once.py"
    module.write_text("def f():\n    pass\n")
    import imports_once  # type: ignore[import-not-found]

    module.write_text("raise LookupError('not here')\n")
    with pytest.raises(csp.ActorStartError, match="not here") as caught:
        csp.spawn(imports_once.f, name="unlucky")
    assert caught.value.remote.type_name == "LookupError"
    assert "imports_once.py" in caught.value.remote.traceback
    assert isinstance(caught.value.__cause__, LookupError)
    assert csp.whereis("unlucky") is None


def test_many_threads_spawn_at_once():
    """Starts are safe in parallel: ten threads, five actors each."""
    values = []

    def start(n):
        values.extend(csp.spawn(bodies.add, n, b=i).result(60) for i in range(5))

    threads = [threading.Thread(target=start, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(values) == sorted(n + i for n in range(10) for i in range(5))


def test_fifty_actors_live_at_once():
    """Fifty at once, all alive, all stopped."""
    refs = [csp.spawn(bodies.block) for _ in range(50)]
    assert all(ref.alive for ref in refs)
    assert len({ref.name for ref in refs}) == 50
    assert {ref.stop().reason for ref in refs} == {"shutdown"}
    assert not any(ref.alive for ref in refs)


def test_actors_spawn_actors():
    """Nesting works, and results come up through every level."""
    assert csp.spawn(bodies.nested, 3).result(60) == 3


def test_ready_actor_is_waited_for():
    """@actor(ready=True): spawn returns only after current_actor().ready()."""
    gate = csp.Channel()
    spawned = csp.Channel(1)
    thread = threading.Thread(target=lambda: spawned.send(bodies.ready_later.spawn(gate.receiver)))
    thread.start()
    wait_parked(gate, receivers=1)
    assert len(spawned) == 0
    gate.send(None)
    assert spawned.recv(10).result(10) == "was ready"
    thread.join()


def test_actor_that_ends_before_it_is_ready_is_a_start_error():
    """spawn does not wait for ever for a ready() that cannot come any more."""
    with pytest.raises(csp.ActorStartError, match="before it was up"):
        bodies.never_ready.spawn()


def test_start_timeout_kills_and_raises():
    """Past start_timeout the actor is killed and spawn raises."""
    with pytest.raises(csp.ActorStartError, match="not up"):
        bodies.too_slow.spawn()


# --- references ---


def test_references_compare_hash_and_cross():
    """A reference that went through an actor is equal to the one that spawn returned."""
    ref = csp.spawn(bodies.look_at_itself)
    name, id, parent, inside = ref.result(10)
    assert (name, id, parent) == (ref.name, ref.id, None)
    assert inside == ref
    assert hash(inside) == hash(ref)
    assert {ref: 1}[inside] == 1
    assert ref != csp.spawn(bodies.add, 1)
    assert ref != ref.id


def test_reference_can_be_weakly_referenced():
    """Nothing but the holder keeps the handle."""
    ref = csp.spawn(bodies.add, 1)
    weak = weakref.ref(ref)
    gone(ref)
    del ref
    gc.collect()
    assert weak() is None


def test_references_are_not_made_or_pickled():
    """They come from spawn and whereis only."""
    import pickle

    with pytest.raises(TypeError, match="spawn"):
        csp.ActorRef()
    ref = csp.spawn(bodies.add, 1)
    with pytest.raises(TypeError, match="ActorRef"):
        pickle.dumps(ref)
    gone(ref)


def test_default_names_are_unique_and_made_from_the_function():
    """Two actors of one function have two names."""
    a, b = bodies.add.spawn(1), bodies.add.spawn(2)
    assert a.name != b.name
    assert a.name.startswith("add")
    gone(a), gone(b)


def test_name_is_unique_while_its_actor_lives():
    """A second live actor of that name is a ValueError; whereis finds the first one, from an actor too."""
    ref = csp.spawn(bodies.block, name="the one")
    assert csp.whereis("the one") == ref
    with pytest.raises(ValueError, match="the one"):
        csp.spawn(bodies.block, name="the one")
    assert csp.spawn(csp.whereis, "the one").result(10) == ref
    assert csp.whereis("nobody") is None
    ref.stop()


def test_name_is_free_before_exited_yields():
    """Whoever hears of the end can take the name at once."""
    for _ in range(10):
        exited = csp.spawn(bodies.add, 1, name="phoenix").exited
        exited.recv(10)
        assert csp.whereis("phoenix") is None


def test_alive():
    """True from spawn to the announced end."""
    ref = csp.spawn(bodies.block)
    assert ref.alive
    ref.stop()
    assert not ref.alive


# --- exits ---


def test_every_observer_gets_the_exit_also_after_the_fact():
    """Each `exited` is a monitor of its own that yields one Exit and ends."""
    ref = csp.spawn(bodies.add, 1)
    before = [ref.exited, ref.exited]
    end = gone(ref)
    for monitor in [*before, ref.exited]:
        assert monitor.recv(10) == end
        with pytest.raises(csp.EndOfChannel):
            monitor.recv(10)


def test_exited_works_in_select():
    """A monitor is a receive case."""
    ref = csp.spawn(bodies.add, 1)
    exited, other = ref.exited, csp.Channel()
    fired, end = csp.select([other, exited], timeout=10)
    assert fired is exited
    assert end.reason == "normal"


def test_exit_crosses_between_interpreters():
    """An Exit sent through a channel is an Exit there, its reference and remote error included."""
    channel = csp.Channel(1)
    end = gone(csp.spawn(bodies.boom, "far"))
    channel.send(end)
    copy = channel.recv()
    assert type(copy) is csp.Exit
    assert copy == end
    assert copy.remote.message == "far"


def test_join_and_result_time_out():
    """Timeout, and the actor goes on."""
    ref = csp.spawn(bodies.block)
    with pytest.raises(csp.Timeout):
        ref.join(timeout=0.01)
    with pytest.raises(csp.Timeout):
        ref.result(timeout=0)
    assert ref.alive
    ref.stop()


def test_monitors_given_up_do_not_pile_up():
    """A thousand joins that timed out leave nothing in the record of the actor."""
    ref = csp.spawn(bodies.block)
    before = csp.testing.census()["channels"]
    for _ in range(1000):
        with pytest.raises(csp.Timeout):
            ref.join(timeout=0)
    assert csp.testing.census()["channels"] < before + 50
    ref.stop()


def test_actor_cannot_wait_for_its_own_end():
    """join on oneself is a DeadlockError, not a hang."""
    with pytest.raises(csp.ActorFailed) as caught:
        csp.spawn(bodies.join_myself).result(10)
    assert caught.value.remote.type_name == "csp.DeadlockError"


def test_channel_ends_with_the_exit_as_its_cause():
    """EndOfChannel.cause is the Exit of the actor whose end dropped the last sender."""
    sender, receiver = csp.channel(4)
    gate = csp.Channel()
    ref = csp.spawn(bodies.send_then_die, sender, gate.receiver)
    sender.close()
    gate.send(None)
    assert receiver.recv(10) == 1
    with pytest.raises(csp.EndOfChannel) as caught:
        receiver.recv(10)
    assert caught.value.cause == gone(ref)
    assert caught.value.cause.reason == "failed"


# --- errors from afar ---


def test_failure_carries_the_remote_traceback_and_the_original():
    """ActorFailed.remote is the snapshot; __cause__ the original exception."""
    ref = csp.spawn(bodies.boom, "why not")
    with pytest.raises(csp.ActorFailed, match="ValueError: why not") as caught:
        ref.result(10)
    remote = caught.value.remote
    assert type(remote) is csp.RemoteError
    assert (remote.type_name, remote.message) == ("ValueError", "why not")
    assert "actor_bodies.py" in remote.traceback
    assert "in inner" in remote.traceback
    assert "raise ValueError(text)" in remote.traceback
    assert "_boot" not in remote.traceback
    assert type(caught.value.__cause__) is ValueError
    assert caught.value.__cause__.args == ("why not",)
    assert gone(ref).remote == remote


def test_chain_and_notes_are_in_the_snapshot():
    """cause, context and notes are snapshots too; the original crosses all the same."""
    ref = csp.spawn(bodies.raise_chain)
    remote = gone(ref).remote
    assert remote.notes == ("a note",)
    assert remote.cause.type_name == "KeyError"
    assert "direct cause" in remote.traceback
    assert "a note" in remote.traceback
    with pytest.raises(csp.ActorFailed) as caught:
        ref.result()
    assert type(caught.value.__cause__) is RuntimeError
    assert caught.value.__cause__.__notes__ == ["a note"]


def test_original_that_needs_its_own_reduce_crosses():
    """Exceptions cross by pickle, classes by reference."""
    with pytest.raises(csp.ActorFailed) as caught:
        csp.spawn(bodies.raise_odd).result(10)
    assert isinstance(caught.value.__cause__, bodies.Odd)
    assert caught.value.__cause__.pair == (1, 2)
    assert caught.value.remote.type_name.endswith("actor_bodies.Odd")


def test_original_that_cannot_be_rebuilt_is_left_out():
    """Then there is the snapshot alone."""
    with pytest.raises(csp.ActorFailed) as caught:
        csp.spawn(bodies.raise_lost).result(10)
    assert caught.value.__cause__ is None
    assert caught.value.remote.message == "lost"


def test_unprintable_exception_is_reported():
    """An exception whose str() raises is still an end with a remote error."""
    remote = gone(csp.spawn(bodies.raise_unprintable)).remote
    assert "Mute" in remote.type_name
    assert "failed" in remote.message


def test_system_exit_ends_the_actor_as_failed():
    """SystemExit in a function is a failure, and the process goes on."""
    end = gone(csp.spawn(bodies.raise_system_exit))
    assert (end.reason, end.remote.type_name) == ("failed", "SystemExit")


def test_deep_recursion_is_a_failure_not_a_crash():
    """RecursionError, with both ends of the traceback."""
    end = gone(csp.spawn(bodies.recurse))
    assert end.remote.type_name == "RecursionError"


def test_result_that_cannot_cross_is_a_failure():
    """The reason is failed, the remote error NotShareable."""
    end = gone(csp.spawn(bodies.unshareable_result))
    assert end.reason == "failed"
    assert end.remote.type_name == "csp.NotShareable"


# --- the inbox ---


def test_send_reaches_the_inbox_and_waits_while_it_is_full():
    """The mailbox is bounded; Timeout means not sent."""
    up, gate = csp.Channel(1), csp.Channel()
    ref = bodies.small_mailbox.spawn(up.sender, gate.receiver)
    assert up.recv(10) == "up"
    ref.send("a")
    ref.send("b")
    with pytest.raises(csp.Timeout):
        ref.send("lost", timeout=0.01)
    gate.send(None)
    ref.send("c", timeout=10)
    assert ref.result(10) == ["a", "b", "c"]


def test_mailbox_holds_1024_by_default():
    """Nothing is unbounded that nobody asked to be."""
    ref = csp.spawn(bodies.block, isolation="thread")
    for n in range(1024):
        ref.send(n, timeout=0)
    with pytest.raises(csp.Timeout):
        ref.send("lost", timeout=0)
    assert ref.statistics().queued == 1024
    ref.kill()


def test_send_to_the_dead_is_actor_died():
    """Through an old handle and through a fresh one."""
    ref = csp.spawn(bodies.block)
    ref.send("discarded")
    ref.stop()
    with pytest.raises(csp.ActorDied):
        ref.send("more")
    done = csp.spawn(bodies.add, 1)
    gone(done)
    with pytest.raises(csp.ActorDied):
        done.send("more")


def test_current_actor_outside_is_an_error():
    """RuntimeError in the main program."""
    with pytest.raises(RuntimeError, match="outside"):
        csp.current_actor()


def test_parent_is_the_spawning_actor():
    """None for the main program's actors, the spawning actor's reference else."""
    ref = csp.spawn(bodies.grandparent)
    _, parent = ref.result(20)
    assert parent == ref.name


# --- stop and kill ---


def test_stop_breaks_off_a_wait():
    """Stopped is raised in the operation it waits in; finally blocks run, and channels work in them."""
    up, log = csp.Channel(1), csp.Channel(1)
    ref = csp.spawn(bodies.clean_up, up.sender, log.sender)
    up.recv(10)
    end = ref.stop()
    assert end == (ref, "shutdown", None, None)
    assert log.recv(10) == "cleaned up"
    assert ref.stop() == end
    with pytest.raises(csp.ActorFailed, match="shutdown"):
        ref.result()


def test_trapped_stop_fires_the_channel_and_raises_nothing():
    """A trap_stop actor that returns after a stop is shutdown, with its value."""
    up = csp.Channel(1)
    ref = bodies.patient.spawn(up.sender)
    up.recv(10)
    assert ref.stop() == (ref, "shutdown", "stopping: True", None)
    assert ref.result() == "stopping: True"


def test_stop_past_its_timeout_kills():
    """Code that computes does not notice a stop; the kill ends it."""
    up = csp.Channel(1)
    ref = csp.spawn(bodies.spin, up.sender)
    up.recv(10)
    assert ref.stop(timeout=0.05).reason == "killed"


def test_kill_ends_a_blocked_actor():
    """Waits in csp are broken off."""
    up = csp.Channel(1)
    ref = csp.spawn(bodies.block_and_tell, up.sender)
    up.recv(10)
    assert ref.kill() == (ref, "killed", None, None)
    assert ref.kill().reason == "killed"


@pytest.mark.parametrize("times", [0, 1, 3])
def test_kill_ends_python_code_that_catches_it(times):
    """Killed is raised again until it gets through; `except Exception` never catches it."""
    up = csp.Channel(1)
    ref = csp.spawn(bodies.spin_stubbornly, up.sender, times)
    up.recv(10)
    begun = time.monotonic()
    assert ref.kill().reason == "killed"
    assert time.monotonic() - begun < 5
    wait_until(lambda: csp.whereis(ref.name) is None)


def test_kill_of_code_in_c_is_a_quarantine():
    """C code cannot be stopped: the end is announced, the name is free, and the thread ends itself later."""
    interpreters = csp.testing.census()["interpreters"]
    up = csp.Channel(1)
    ref = csp.spawn(bodies.stuck_in_c, up.sender, 10**8, name="stuck")
    up.recv(10)
    assert ref.kill() == (ref, "killed", None, None)
    assert csp.whereis("stuck") is None
    again = csp.spawn(bodies.add, 1, name="stuck")
    assert again.result(10) == 11
    wait_until(lambda: csp.testing.census()["interpreters"] == interpreters, 60, "the end of the quarantined thread")


def test_kill_of_the_dead_returns_their_exit():
    """The first end counts."""
    ref = csp.spawn(bodies.add, 1)
    end = gone(ref)
    assert ref.kill() == end
    assert ref.stop() == end


def test_children_end_with_their_parent():
    """An actor spawned inside an actor is stopped when that one ends."""
    up = csp.Channel()
    parent = csp.spawn(bodies.parent_of_two, up.sender)
    first, second = up.recv(10), up.recv(10)
    assert first.alive and second.alive
    exits = [first.exited, second.exited]
    parent.stop()
    assert [end.recv(0).reason for end in exits] == ["shutdown", "shutdown"]


# --- threads left behind ---


def test_thread_left_behind_is_waited_for():
    """A non-daemon thread of the actor ends before its interpreter does."""
    out = csp.Channel(1)
    ref = csp.spawn(bodies.leave_thread, 0.2, out.sender)
    assert gone(ref).value == "body done"
    assert out.recv(0) == "thread done"


def test_executor_left_behind_does_not_hang():
    """Idle threads of a ThreadPoolExecutor that nobody shut down are told to end."""
    begun = time.monotonic()
    assert csp.spawn(bodies.leave_pool).result(20) == 55
    assert time.monotonic() - begun < 1.9


@pytest.mark.parametrize("body", [bodies.leave_spinning_thread, bodies.leave_blocked_thread])
def test_thread_that_goes_on_is_killed(body):
    """Past the patience their waits are broken off and Killed is raised in them."""
    assert gone(csp.spawn(body)).reason == "normal"


@pytest.mark.filterwarnings("ignore")
def test_subprocess_works_in_an_actor():
    """Starting programs is fine."""
    assert csp.spawn(bodies.run_subprocess).result(20) == 7
