"""Actors in processes of their own: the same channels, ends and deaths, across the border of a process."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

import csp
from csp import Channel, ChildSpec, Supervisor, channel
from csp.testing import wait_until
from tests.unit import process_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks")
ROOT = str(Path(__file__).resolve().parents[2])
LETTERS = csp.dead_letters  # made once for the program: no leak of a test


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- channels ---


def test_it_is_another_process() -> None:
    """With its own pid, which is gone once the actor has ended."""
    ref = bodies.pid.spawn()
    pid = ref.result(20)
    assert pid != os.getpid()
    assert not is_running(pid)
    assert ref.join() == (ref, "normal", pid, None)


@pytest.mark.parametrize(
    "value",
    [
        None, True, -(2**70), 1.5, "\ud800", b"x" * 10_000, [1, (2, {"a": {3}})], range(3), ValueError("no"), memoryview(b"abc"),
        memoryview(bytearray(100_000)), {"deep": [bytearray(5_000)] * 2},
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_values_cross_both_ways(value: Any) -> None:
    """Plain ones, pickled ones and large buffers."""
    (tx, inp), (out, rx) = channel(1), channel(1)
    ref = bodies.give_back.spawn(inp, out)
    tx.send(value)
    back = rx.recv(20)
    assert type(back) is type(value)
    assert back == value or (repr(back) == repr(value) and isinstance(value, Exception))
    tx.close()
    assert ref.join(20).reason == "normal"


def test_shared_references_stay_shared() -> None:
    """Within one value."""
    (tx, inp), (out, rx) = channel(1), channel(1)
    bodies.give_back.spawn(inp, out)
    shared: list[Any] = []
    shared.append(shared)
    tx.send([shared, shared])
    back = rx.recv(20)
    assert back[0] is back[1] and back[0][0] is back[0]


def test_handles_cross_both_ways() -> None:
    """A channel sent there and back is equal to itself; what each side holds is counted."""
    (tx, inp), (out, rx) = channel(1), channel(1)
    ref = bodies.give_back.spawn(inp, out)
    mine: Channel[int] = Channel(1)
    tx.send({"it": [mine, mine.sender], "who": ref})
    back = rx.recv(20)
    assert back["it"][0] == mine and back["who"] == ref
    back["it"][1].send(7)
    assert mine.recv(0) == 7
    tx.close()
    ref.join(20)
    del back
    assert mine.statistics().senders == 1


def test_rendezvous() -> None:
    """A send to the process returns once the value is taken, and not before."""
    (tx, inp), (out, rx) = channel(0), channel(0)
    bodies.give_back.spawn(inp, out)
    tx.send(1, 20)
    with pytest.raises(csp.Timeout):
        tx.send(2, 0.01)  # it waits in `out.send` now, and takes nothing
    assert rx.recv(20) == 1
    tx.send(3, 20)
    assert rx.recv(20) == 3


def test_operations_that_do_not_come_about() -> None:
    """Timeout and WouldBlock, with their channel; equality and hashes of handles."""
    (tx, inp), (out, rx) = channel(1), channel(0)
    ref = bodies.take_until_full.spawn(inp, out)
    del inp, out
    assert ref.result(20) == [("Timeout", True)] * 3 + [("WouldBlock", True), "nothing", True]
    assert tx.statistics().receivers == 0 and rx.statistics().senders == 0


def test_select_of_each_kind() -> None:
    """Receives, sends, a disabled case, a timer, a timeout, and an end with its index and cause."""
    (tx, inp), (out, rx) = channel(1), channel(1)
    ref = bodies.choose.spawn(inp, out)
    assert rx.recv(20) == "up"
    tx.send("late")
    tx.close("enough")
    assert ref.result(20) == [(2, None, True), (1, 5, True), False, True, (0, "late"), (0, True, "enough")]


def test_batches() -> None:
    """recv_many takes what is there, send_many says how many went."""
    (tx, inp), (out, rx) = channel(4), channel(4)
    tx.send_many([1, 2, 3])
    assert bodies.batches.spawn(inp, out).result(20) == [[1, 2, 3], 2, 2]
    assert rx.recv_many(10) == [1, 2, 3, 4]


@pytest.mark.parametrize("what", ["die", "raise", "end"])
def test_lease(what: str) -> None:
    """Taken for good if the block ends; back at the head if it raises, or its process dies."""
    jobs: Channel[str] = Channel(2)
    up: Channel[Any] = Channel(2)
    jobs.send_many(["first", "second"])
    ref = bodies.lease_and.spawn(what, jobs.receiver, up.sender)
    assert up.recv(20) == ("first", 1)
    ref.join(20)
    with jobs.lease(0) as job:
        assert job == ("second" if what == "end" else "first")


def test_the_end_of_the_process_closes_its_ends() -> None:
    """Whoever waits for it is woken, with the Exit as the cause."""
    up: Channel[str] = Channel(0)
    tx, rx = channel(0)
    ref = csp.spawn(bodies.wait_and_tell, up.sender, "csp", isolation="process")
    assert up.recv(20) == "up"
    ends: list[Any] = []
    other = bodies.give_back.spawn(rx, up.sender)
    del rx
    thread = threading.Thread(target=lambda: ends.append(pytest.raises(csp.BrokenChannel, tx.send_many, range(10))))
    thread.start()
    wait_until(lambda: tx.statistics().waiting_senders == 1)
    other.kill()
    thread.join(20)
    assert ends
    ref.kill()


# --- endings ---


@pytest.mark.parametrize(
    ("how", "reason", "says"),
    [
        ("segfault", "killed", "SIGSEGV"),
        ("exit 3", "killed", "status 3"),
        ("exit 0", "killed", "status 0"),
        ("sys.exit", "failed", "4"),
        ("raise", "failed", "so it is"),
    ],
)
def test_ways_to_die(how: str, reason: str, says: str) -> None:
    """A signal is an ordinary Exit that names it; a process that leaves without a word has not returned, whatever its status."""
    ref = bodies.die.spawn(how)
    end = ref.join(20)
    assert end.reason == reason
    assert says in str(end.remote)
    with pytest.raises(csp.ActorFailed, match=says) as caught:
        ref.result()
    if how == "raise":
        assert isinstance(caught.value.__cause__, LookupError)
        assert "process_bodies.py" in caught.value.remote.traceback  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["csp", "python", "C"])
def test_kill(how: str) -> None:
    """For real, whatever it is doing: no quarantine."""
    up: Channel[str] = Channel(2)
    ref = bodies.wait_and_tell.spawn(up.sender, how)
    assert up.recv(20) == "up"
    assert ref.kill().reason == "killed"
    assert csp.debug.zombies() == []
    assert not ref.alive


def test_stop_breaks_off_a_wait() -> None:
    """Stopped is raised in it once, and `finally` works."""
    up: Channel[str] = Channel(2)
    ref = bodies.wait_and_tell.spawn(up.sender, "csp")
    assert up.recv(20) == "up"
    assert ref.stop().reason == "shutdown"
    assert up.recv(0) == "finally"


def test_stop_past_its_timeout_is_a_kill() -> None:
    up: Channel[str] = Channel(2)
    ref = bodies.wait_and_tell.spawn(up.sender, "python")
    assert up.recv(20) == "up"
    assert ref.stop(timeout=0.05).reason == "killed"


def test_trapped_stop_only_fires_stopping() -> None:
    up: Channel[str] = Channel(2)
    ref = bodies.trap.spawn(up.sender)
    assert up.recv(20) == "up"
    assert ref.stop() == (ref, "shutdown", "stopping True", None)


def test_watchdog_strikes_who_computes_and_not_who_waits() -> None:
    ref = bodies.Watched.spawn()
    assert ref.call.wait() == "waited"
    with pytest.raises(csp.ActorDied, match="watchdog"):
        ref.call.spin()
    assert ref.join(20).reason == "watchdog"


def test_fork_in_it() -> None:
    """What the child of a fork inherited raises ForkedError."""
    tx, rx = channel(1)
    assert bodies.fork_and_use.spawn(tx).result(20) == "forked"
    assert rx.statistics().buffered == 0


# --- classes and trees ---


def test_calls_between_isolations() -> None:
    """A process calls an interpreter's actor, and another process's; a call to itself is a DeadlockError."""
    here, there = csp.spawn(bodies.Counter, 1, isolation="interpreter"), bodies.Counter.spawn(10)
    asking = bodies.Counter.spawn()
    assert asking.call.ask(here) == (6, 7, here.name)
    assert asking.call.ask(there) == (15, 16, there.name)
    with pytest.raises(csp.ActorFailed, match="DeadlockError"):
        asking.call.ask_itself()
    assert asking.call(timeout=20).incr() == 1
    for ref in (here, there, asking):
        assert ref.stop().reason == "shutdown"


def test_caller_of_one_that_dies_hears_of_it_at_once() -> None:
    ref = bodies.Counter.spawn()
    reply = ref.ask.die()
    queued = ref.ask.incr()
    with pytest.raises(csp.ActorDied):
        reply.result(20)
    with pytest.raises(csp.ActorDied):
        queued.result(20)


def test_restart_under_a_supervisor() -> None:
    """The reference and the mailbox stay; a message in hand is redelivered, then buried."""
    log: Channel[Any] = Channel(10)
    with Supervisor([ChildSpec(bodies.Fragile, args=(log.sender,), id="fragile")], max_restarts=5) as tree:
        ref = tree["fragile"]
        ref.send("poison")
        ref.send("well")
        seen = [log.recv(20) for _ in range(4)]
        assert [message for message, _ in seen] == ["poison"] * 3 + ["well"]
        assert len({pid for _, pid in seen}) == 4
        assert ref.epoch == 4
        assert LETTERS.recv(20) == (ref, "poison", 3)


def test_isolation_of_a_child_spec() -> None:
    """It overrides the actor's own, in restarts too."""
    with Supervisor([ChildSpec(bodies.Counter, id="here", isolation="interpreter"), ChildSpec(bodies.Counter, id="there")]) as tree:
        assert tree["here"].call.pid() == os.getpid()
        first = tree["there"].call.pid()
        tree["there"].kill()
        wait_until(lambda: tree["there"].alive)
        assert tree["there"].call.pid() not in (first, os.getpid())


def test_what_it_spawns_is_its_child_and_lives_in_the_first_process() -> None:
    """Interpreters and processes; threads are refused.  They end with it."""
    up: Channel[Any] = Channel(5)
    ref = bodies.spawn_another.spawn(up.sender)
    (first, has_parent), (second, _), refused, here = (up.recv(20) for _ in range(4))
    assert (first, has_parent) == (os.getpid(), True)
    assert second != os.getpid()
    assert "threads" in refused and here == "here"
    assert ref.join(20).reason == "normal"
    assert up.recv(20) == "gone"


# --- libraries that refuse interpreters ---


def test_numpy() -> None:
    """Works in it, and arrays cross with their memory."""
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    ref = bodies.Counter.spawn()
    array = ref.call.array((100, 200))
    assert array.shape == (100, 200) and (array.ravel() == numpy.arange(20_000)).all()
    assert ref.call.total(array[::2, ::-1]) == array[::2].sum()
    assert ref.call.pickled(1) < 1000 and ref.call.pickled(2) < 1000  # the items travel beside it, also of one with gaps
    assert ref.call.total(array[:0, ::-1]) == 0
    ref.stop()


def test_what_has_no_stand_in_is_a_decode_error() -> None:
    """Lent memory: the receiver hears why, and the channel goes on."""
    ref = bodies.Counter.spawn()
    for _ in range(2):
        reply = ref.ask.refused()
        ref.send([csp.share(b"abc")])
        assert "process-isolated" in reply.result(20)
    ref.stop()


# --- programs ---


def run_script(source: str, tmp_path: Path, status: int = 0) -> "tuple[str, str]":
    script = tmp_path / "a script.py"
    script.write_text(textwrap.dedent(source))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-u", str(script)], capture_output=True, text=True, env=env, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def test_script(tmp_path: Path) -> None:
    """Its functions and classes are found by the guarded re-import; what is left at its end is stopped in order."""
    source = """
    import csp, os
    class Error(Exception): pass
    @csp.actor(isolation="process")
    class Echo:
        def echo(self, value): return value
        def fail(self): raise Error("from there")
        def on_stop(self, reason): print("stopped", flush=True)
    if __name__ == "__main__":
        ref = csp.spawn(Echo)
        assert ref.call.echo(Echo) is Echo
        try:
            ref.call.fail()
        except csp.ActorFailed as error:
            print(isinstance(error.__cause__, Error))
    """
    assert run_script(source, tmp_path) == ("True\nstopped\n", "")


def test_no_orphan_outlives_the_program(tmp_path: Path) -> None:
    """However that ends: the children are gone, those too that only compute."""
    source = """
    import csp, os, time
    @csp.actor(isolation="process")
    def spin(up):
        up.send(os.getpid())
        while True: csp.never().recv() if os.environ.get("WAITS") else None
    if __name__ == "__main__":
        up = csp.Channel(1)
        csp.spawn(spin, up.sender)
        print(up.recv(20), flush=True)
        os._exit(7)
    """
    out, _ = run_script(source, tmp_path, 7)
    wait_until(lambda: not is_running(int(out)), 20)


def test_ctrl_c_is_the_main_programs(tmp_path: Path) -> None:
    """The terminal's SIGINT reaches the whole group; the actor is stopped in order by who spawned it."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import csp
        @csp.actor(isolation="process")
        def wait(up):
            try:
                up.send("up")
                csp.never().recv()
            finally:
                print("in order", flush=True)
        if __name__ == "__main__":
            up = csp.Channel(0)
            ref = csp.spawn(wait, up.sender)
            print(up.recv(20), flush=True)
            ref.join()
        """)
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True)
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out == "in order\n"
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert process.returncode in (130, -signal.SIGINT)
