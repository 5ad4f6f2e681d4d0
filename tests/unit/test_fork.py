"""os.fork and interpreters: refused while they live, fine otherwise, and inherited handles say so."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import csp
from tests.unit import actor_bodies as bodies

ROOT = str(Path(__file__).resolve().parents[2])

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def run_script(source):
    """(status, stdout, stderr) of a program; in one of its own, because it forks."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import csp, os, sys\n" + textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ROOT},
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("fork", [os.fork, os.forkpty] if hasattr(os, "forkpty") else [os.fork])
def test_fork_is_refused_while_an_actor_lives(fork):
    """ForkedError, before anything is forked; and the actor goes on."""
    ref = csp.spawn(bodies.block)
    with pytest.raises(csp.ForkedError, match="crash"):
        fork()
    assert ref.alive
    ref.stop()


def test_fork_is_refused_while_an_interpreter_lives():
    """The same for csp.interpreters."""
    with csp.interpreters.create():
        with pytest.raises(csp.ForkedError):
            os.fork()


def test_fork_in_an_actor_is_refused():
    """An isolated interpreter may not fork at all."""
    assert csp.spawn(bodies.try_fork).result(20) in ("RuntimeError", "ForkedError")


def test_subprocess_is_fine_while_actors_live():
    """It does not fork Python."""
    ref = csp.spawn(bodies.block)
    assert subprocess.run([sys.executable, "-c", "raise SystemExit(5)"], check=False).returncode == 5
    ref.stop()


def test_fork_after_the_last_actor_ended_is_fine():
    """Whoever has heard of the end may fork at once, and the child can start actors of its own."""
    source = """
    from tests.unit import actor_bodies as bodies
    for i in range(5):
        assert csp.spawn(bodies.add, i).result() == i + 10
        pid = os.fork()
        if pid == 0:
            ok = csp.spawn(bodies.add, 5).result() == 15
            os._exit(0 if ok else 3)
        assert os.waitpid(pid, 0)[1] == 0
    print("fine")
    """
    assert run_script(source) == (0, "fine\n", "")


def test_multiprocessing_spawn_is_fine_and_fork_is_refused():
    """The start method decides."""
    source = """
    import multiprocessing
    from tests.unit import actor_bodies as bodies
    if __name__ == "__main__":
        ref = csp.spawn(bodies.block)
        process = multiprocessing.get_context("spawn").Process(target=bodies.times, args=(1, 2))
        process.start()
        process.join()
        try:
            multiprocessing.get_context("fork").Process(target=bodies.times, args=(1, 2)).start()
        except csp.ForkedError:
            print("refused", process.exitcode)
        ref.stop()
    """
    assert run_script(source) == (0, "refused 0\n", "")


def test_inherited_references_and_channels_raise():
    """Every operation on a handle made before the fork is ForkedError in the child; new ones work."""
    source = """
    from tests.unit import actor_bodies as bodies
    ref = csp.spawn(bodies.add, 1)
    ref.join()
    channel, exited = csp.Channel(1), ref.exited
    pid = os.fork()
    if pid == 0:
        uses = [
            lambda: channel.send(1), lambda: channel.recv(), lambda: ref.join(), lambda: ref.alive, lambda: ref.exited,
            lambda: ref.send(1), lambda: ref.stop(), lambda: ref.kill(), lambda: exited.recv(),
            lambda: csp.select([channel], timeout=0),
        ]
        raised = 0
        for use in uses:
            try:
                use()
            except csp.ForkedError:
                raised += 1
            except BaseException as error:
                print(uses.index(use), repr(error), file=sys.stderr)
        fresh = csp.Channel(1)
        fresh.send(2)
        print(len(uses) - raised, fresh.recv(), ref.name == "add-1", csp.whereis("add-1"), flush=True)
        sys.exit(6)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    assert run_script(source) == (0, "0 2 True None\n6\n", "")
