"""Warm pools: lives in interpreters that were there before, fresh each time; refilled, drained, and never in anybody's way."""

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import csp
from csp import ChildSpec, DynamicSupervisor, Supervisor
from csp.cli.run import shape
from csp.testing import wait_until
from tests.unit import warm_bodies as bodies
from tests.unit import warm_difficult as difficult

pytestmark = pytest.mark.usefixtures("no_leaks")

LIMIT = 20.0
ROOT = str(Path(__file__).resolve().parents[2])


class Rig:
    """The channels of the children; it lets go of them before what is left is counted."""

    def __init__(self):
        self.log = csp.Channel(1000)
        self.orders = csp.Channel(1000)

    def spec(self, actor=bodies.remember, **options):
        return ChildSpec(actor, args=(self.log.sender, self.orders.receiver), **options)

    def next(self):
        return self.log.recv(LIMIT)


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    del rig.log, rig.orders
    gc.collect()


def warm():
    return csp.debug.census()["warm"]


def await_warm(n):
    wait_until(lambda: warm() == n, LIMIT, f"{n} warm interpreters")


def assert_no_life():
    """No interpreter of ours lives: a fork would be allowed."""
    sys.audit("os.fork")


# --- what a life finds ---


def test_restart_takes_a_warm_interpreter_with_fresh_modules(rig):
    """The first life boots; each later one finds its module imported already, and nothing of earlier lives in it."""
    with Supervisor([rig.spec()], warm=1, max_restarts=100):
        assert rig.next() == (False, 1, "remember", 1)
        for epoch in range(2, 36):
            await_warm(1)
            rig.orders.send("raise")
            assert rig.next() == (True, 1, "remember", epoch)


def test_restart_with_an_empty_pool_boots(rig):
    """Restarts come faster than the pool is filled: all come up, warm or not, with fresh modules."""
    with Supervisor([rig.spec()], warm=2, max_restarts=100):
        for epoch in range(1, 31):
            assert rig.next()[1:] == (1, "remember", epoch)
            rig.orders.send("raise")


def test_pool_is_refilled(rig):
    """What was taken is replaced, up to `warm`, and no more."""
    with Supervisor([rig.spec(count=2)], warm=2):
        await_warm(2)
        for _ in range(2):
            rig.orders.send("raise")
        for _ in range(4):
            rig.next()
        await_warm(2)
        assert csp.debug.census()["interpreters"] == 1 + 2 + 2


def test_class_actor_gets_one(rig):
    """Calls are answered as ever, by a fresh instance."""
    with Supervisor([bodies.Counter], warm=1) as tree:
        ref = tree["Counter"]
        await_warm(1)
        assert ref.call.count() == (False, 1)
        ref.cast.fail()
        assert ref.call.count() == (True, 1)


def test_life_that_cannot_begin_gives_it_back(rig):
    """An argument that does not cross: it is there for the next one."""
    with DynamicSupervisor(warm=1) as tree:
        await_warm(1)
        with pytest.raises(csp.SupervisorError, match="'bad'"):
            tree.start_child(ChildSpec(bodies.forward, args=((x for x in ()), 1), id="bad"))
        await_warm(1)
        assert csp.debug.census()["interpreters"] == 2


def test_sys_path_is_the_one_of_the_start(rig, monkeypatch, tmp_path):
    """What the parent has changed since the interpreter booted holds."""
    with DynamicSupervisor(warm=1) as tree:
        await_warm(1)
        monkeypatch.syspath_prepend(tmp_path)
        tree.start_child(ChildSpec(bodies.path_and_log, args=(rig.log.sender,)))
        _, path = rig.next()
        assert path[0] == str(tmp_path)


def test_end_of_a_warm_life_is_the_actors(rig):
    """Channels that lose their last sender with it have its Exit as their cause; the monitor says how it ended."""
    handed = csp.Channel(4)
    spec = ChildSpec(bodies.last_sender, args=(rig.log.sender, handed.sender), id="last")
    with DynamicSupervisor(warm=1, max_restarts=0) as tree:
        await_warm(1)
        ref = tree.start_child(ChildSpec(bodies.last_sender, args=spec.args, id="last", restart="temporary"))
        assert rig.next() is False  # its module was not known when that one was booted
        end = ref.join(LIMIT)
        assert (end.reason, end.ref, end.remote.type_name) == ("failed", ref, "ValueError")
        with pytest.raises(csp.EndOfChannel) as caught:
            handed.recv(LIMIT).recv(LIMIT)
        assert caught.value.cause.ref == ref
        wait_until(lambda: warm() == 1 and not tree.children(), LIMIT)
        ref = tree.start_child(ChildSpec(bodies.last_sender, args=spec.args, id="last", restart="temporary"))
        assert rig.next() is True
        assert ref.join(LIMIT).reason == "failed"
        with pytest.raises(csp.EndOfChannel) as caught:
            handed.recv(LIMIT).recv(LIMIT)
        assert caught.value.cause.ref == ref


@pytest.mark.parametrize(("how", "reason"), [("stop", "shutdown"), ("kill", "killed")])
def test_warm_life_is_stopped_and_killed_as_any(rig, how, reason):
    """Both reach it at once."""
    with Supervisor([rig.spec()], warm=1) as tree:
        rig.next()
        await_warm(1)
        rig.orders.send("raise")
        assert rig.next()[0]
        ref = tree["remember"]
        assert getattr(ref, how)().reason == reason


def test_kill_during_the_hand_over(rig):
    """A life that is killed as it begins is followed by another; none is lost, none hangs."""
    with Supervisor([rig.spec()], warm=2, max_restarts=1000) as tree:
        ref = tree["remember"]
        for _ in range(20):
            await_warm(2)
            epoch = ref.epoch
            ref._kill()
            wait_until(lambda e=epoch: ref.epoch > e, LIMIT)
            ref._kill()  # at whatever point of its start
        wait_until(lambda: ref.alive, LIMIT)


# --- what it is not ---


def test_warm_interpreters_are_no_actors(rig):
    """Not among the interpreters of csp.interpreters, nor the zombies; they have no name."""
    with Supervisor([rig.spec()], warm=2) as tree:
        await_warm(2)
        assert len(csp.interpreters.list_all()) == 2
        assert csp.debug.zombies() == []
        assert csp.whereis("warm interpreter") is None
        assert tree.count_children() == (1, 1, 0, 1)


def test_they_stand_in_the_way_of_a_fork_until_the_tree_has_ended(rig):
    """As actors do; stop returns when they have ended."""
    tree = DynamicSupervisor(warm=2)
    tree.start()
    await_warm(2)
    with pytest.raises(csp.ForkedError):
        sys.audit("os.fork")
    tree.stop()
    assert_no_life()


def test_waiting_for_long_is_no_deadlock(rig):
    """They wait on, and do not keep the detector from finding those who are stuck."""
    with Supervisor([rig.spec()], warm=2):
        rig.next()
        await_warm(2)
        a, b = csp.Channel(), csp.Channel()
        stuck = [csp.spawn(bodies.forward, a.receiver, b.sender), csp.spawn(bodies.forward, b.receiver, a.sender)]
        del a, b
        assert [ref.join(LIMIT).remote.type_name for ref in stuck] == ["csp.DeadlockError"] * 2
        assert warm() == 2
        rig.orders.send("raise")
        assert rig.next()[0]


def test_without_warm_there_is_no_pool(rig):
    """Nor its module."""
    source = "import csp, sys\nwith csp.DynamicSupervisor() as tree: print('csp._warm' in sys.modules, csp.debug.census()['warm'])"
    assert run("-c", source) == (0, "False 0\n", "")


def test_children_that_are_threads_need_none(rig):
    """No interpreter is booted for a child that has none of its own."""
    with Supervisor([rig.spec(isolation="thread")], warm=2, max_restarts=10):
        for _ in range(3):
            rig.next()
            rig.orders.send("raise")
        rig.next()
        assert csp.debug.census()["interpreters"] <= 2  # main's, and the record of the thread's waits


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "2", float("inf"), None])
@pytest.mark.parametrize("kind", [lambda **k: Supervisor([], **k), DynamicSupervisor])
def test_warm_is_checked(wrong, kind):
    """ValueError names the supervisor."""
    with pytest.raises(ValueError, match="'pool': warm must be an int of at least 0"):
        kind(warm=wrong, id="pool")


def test_shape_says_it(rig):
    """`csp tree` prints it, if there is any."""
    below = DynamicSupervisor(id="below", warm=3)
    lines = shape(Supervisor([below], id="top"))
    assert "warm" not in lines[0]
    assert "3 warm" in lines[1]


# --- ends ---


def test_stop_during_the_refill(rig):
    """Whenever the stop comes, nothing is left when it returns."""
    for n in range(12):
        tree = Supervisor([rig.spec()], warm=3)
        tree.start()
        csp.sleep(n * 0.002)  # any moment of the boots
        tree.stop()
        assert_no_life()
        assert warm() == 0


def test_tree_that_fails_drains_its_pools(rig):
    """Nested ones, too."""
    below = Supervisor([rig.spec()], id="below", warm=2, max_restarts=0)
    tree = Supervisor([below], warm=1, max_restarts=1)
    tree.start()
    for _ in range(2):
        rig.next()
        rig.orders.send("raise")
    with pytest.raises(csp.SupervisorError):
        tree.wait(LIMIT)
    assert_no_life()


def test_each_supervisor_has_its_own(rig):
    """A nested one is asked by itself, and drained when it is stopped by itself."""
    below = Supervisor([rig.spec()], id="below", warm=2)
    with Supervisor([below, rig.spec(id="other")], max_restarts=10) as tree:
        await_warm(2)
        rig.next(), rig.next()
        tree.terminate_child("below")
        await_warm(0)
        tree.restart_child("below")
        await_warm(2)


def test_tree_can_be_started_again(rig):
    """With a new pool."""
    tree = Supervisor([rig.spec()], warm=2)
    for _ in range(2):
        with tree:
            await_warm(2)
        assert warm() == 0


@pytest.mark.parametrize("endless", [True, False])
def test_pool_in_an_actor_ends_with_it(rig, endless):
    """Whether it returns or is killed."""
    ref = csp.spawn(bodies.supervises, rig.log.sender, endless)
    if endless:
        rig.next()
        await_warm(2)
        ref.kill()
    ref.join(LIMIT)
    await_warm(0)
    wait_until(lambda: csp.debug.census()["interpreters"] == 1, LIMIT)


# --- modules that make trouble ---


@pytest.mark.parametrize("trouble", ["raises", "spawns", "exits"])
def test_module_that_cannot_be_imported_ahead(rig, monkeypatch, trouble):
    """It is imported by the child that needs it; nobody else hears of it."""
    monkeypatch.setenv("WARM_TROUBLE", trouble)
    with Supervisor([rig.spec(difficult.work)], warm=1, max_restarts=10):
        for epoch in range(1, 4):
            assert rig.next()[1:] == (1, "work", epoch)
            if trouble != "spawns":
                await_warm(1)
            rig.orders.send("raise")
        rig.next()


def test_module_that_imports_nowhere_is_the_childs_failure(rig, monkeypatch):
    """Said by its start, as without a pool."""
    monkeypatch.setenv("WARM_TROUBLE", "never works")
    with DynamicSupervisor(warm=1) as tree:
        for _ in range(3):
            await_warm(1)
            with pytest.raises(csp.SupervisorError, match="nowhere but in the main"):
                tree.start_child(rig.spec(difficult.work))
        assert tree.start_child(rig.spec(id="well")).alive


@pytest.mark.parametrize("trouble", ["never ends", "waits"])
def test_import_that_does_not_end_is_killed(rig, monkeypatch, trouble):
    """By the stop of the tree; children start cold meanwhile."""
    monkeypatch.setenv("WARM_TROUBLE", trouble)
    with Supervisor([rig.spec(difficult.work)], warm=1, max_restarts=10):
        for epoch in range(1, 4):
            assert rig.next() == (False, 1, "work", epoch)
            rig.orders.send("raise")
        rig.next()
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert_no_life()


# --- programs ---


def run(*arguments, **environment):
    """(status, stdout, stderr) of a program."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")]), **environment}
    command = [sys.executable, "-W", "default", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


PROGRAM = """
import csp, sys
from csp.testing import wait_until
from tests.unit import warm_bodies as bodies, warm_difficult as difficult
log, orders = csp.Channel(9), csp.Channel(9)
tree = csp.Supervisor([csp.ChildSpec(getattr({}), args=(log.sender, orders.receiver))], warm=3)
tree.start()
"""


@pytest.mark.parametrize("trouble", ["", "never ends", "waits"])
def test_program_that_ends_with_warm_interpreters(trouble):
    """Silent, in bounded time, with its own status; whether they wait, import, or have only just begun."""
    source = PROGRAM.format("difficult, 'work'") + "log.recv(); print('over'); sys.exit(7)\n"
    began = time.monotonic()
    assert run("-c", source, WARM_TROUBLE=trouble) == (7, "over\n", "")
    assert time.monotonic() - began < 20


def test_program_that_ends_with_waiting_ones():
    """As above, once they all wait; and with a tree that nobody stops."""
    source = PROGRAM.format("bodies, 'remember'") + "wait_until(lambda: csp.debug.census()['warm'] == 3); print('over')"
    assert run("-c", source) == (0, "over\n", "")


SCRIPT = """
import csp
from csp.testing import wait_until

lives = []

def child(log, orders):
    lives.append(1)
    log.send((__name__, len(lives), csp.current_actor().ref.epoch))
    orders.recv()
    raise ValueError

if __name__ == "__main__":
    log, orders = csp.Channel(9), csp.Channel(9)
    with csp.Supervisor([csp.ChildSpec(child, args=(log.sender, orders.receiver))], warm=1):
        for _ in range(3):
            print(*log.recv())
            wait_until(lambda: csp.debug.census()["warm"] == 1)
            orders.send(1)
        print(*log.recv())
"""


def test_children_of_the_running_script(tmp_path):
    """The script is what their interpreters have imported."""
    (tmp_path / "program.py").write_text(SCRIPT)
    expected = "".join(f"__mp_main__ 1 {epoch}\n" for epoch in range(1, 5))
    assert run(str(tmp_path / "program.py")) == (0, expected, "")
