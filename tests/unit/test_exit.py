"""The end of the process: with actors in whatever state, it is bounded, silent, and has the program's status."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

ROOT = str(Path(__file__).resolve().parents[2])
LIMIT = 60.0

HEADER = """
import csp, sys, threading, time, os
from tests.unit import actor_bodies as bodies
up = csp.Channel(100)
"""

KINDS = {
    "live": "csp.spawn(bodies.block)",
    "blocked": "csp.spawn(bodies.block_and_tell, up.sender); up.recv()",
    "spinning": "csp.spawn(bodies.spin, up.sender); up.recv()",
    "failed": "csp.spawn(bodies.boom, 'x').join()",
    "finished": "csp.spawn(bodies.add, 1).join()",
    "starting": "threading.Thread(target=csp.spawn, args=(bodies.block,), daemon=True).start()",
    "parent": "csp.spawn(bodies.parent_of_two, up.sender); up.recv(); up.recv()",
    "many": "[csp.spawn(bodies.block) for _ in range(8)]",
    "interpreter": "from csp import interpreters; interpreters.create().run('x = 1')",
    "thread_blocked": "csp.spawn(bodies.block, isolation='thread')",
    "thread_spinning": "csp.spawn(bodies.spin, up.sender, isolation='thread'); up.recv()",
    "left_thread": "csp.spawn(bodies.leave_blocked_thread)",
}


def run_script(source, *, kind="script", header=HEADER, wait=True, **options):
    """The finished process, or the running one."""
    source = textwrap.dedent(header) + textwrap.dedent(source)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(
        [sys.executable, "-W", "default", "-c", source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        cwd=ROOT,
        **options,
    )
    return finish(process) if wait else process


def finish(process):
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"the process did not end: {out!r} {err!r}")
    return process.returncode, out, err


@pytest.mark.parametrize("kind", KINDS)
def test_exit_is_silent_and_has_status_zero(kind):
    """Whatever the actors do, a program that is over ends with status 0 and says nothing."""
    begun = time.monotonic()
    assert run_script(KINDS[kind] + "\nprint('over')") == (0, "over\n", "")
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("kind", ["blocked", "spinning"])
def test_sys_exit_keeps_its_status(kind):
    """sys.exit(n) is n."""
    assert run_script(KINDS[kind] + "\nsys.exit(7)") == (7, "", "")


@pytest.mark.parametrize("kind", ["blocked", "spinning"])
def test_uncaught_exception_is_status_one(kind):
    """With the traceback of the program and nothing else."""
    status, out, err = run_script(KINDS[kind] + "\nraise LookupError('mine')")
    assert (status, out) == (1, "")
    assert err.endswith("LookupError: mine\n")
    assert "remaining subinterpreters" not in err


def test_os_exit_is_immediate():
    """os._exit does not wait for anybody."""
    assert run_script(KINDS["spinning"] + "\nos._exit(9)") == (9, "", "")


def test_interrupted_program_ends_by_the_signal():
    """Ctrl-C in a program with live actors: a KeyboardInterrupt traceback, death by SIGINT, no hang."""
    process = run_script(KINDS["blocked"] + "\n" + KINDS["spinning"] + "\nprint('up', flush=True)\ncsp.Channel().recv()", wait=False)
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    status, _, err = finish(process)
    assert status == -signal.SIGINT
    assert err.endswith("KeyboardInterrupt\n")


def test_threads_of_the_main_program_are_joined_first():
    """A non-daemon thread goes on working with its actor until it is done."""
    source = """
    jobs, done = csp.Channel(), csp.Channel()
    bodies.echo.spawn(jobs.receiver, done.sender)
    main_done = threading.Event()
    def work():
        main_done.wait()
        jobs.send("late")
        print(done.recv())
    threading.Thread(target=work).start()
    threading.main_thread()
    import atexit
    main_done.set()
    """
    assert run_script(source) == (0, "late\n", "")


def test_handlers_registered_after_the_import_still_find_the_actors():
    """csp's own exit handler runs last: atexit functions of the program can use actors and channels."""
    source = """
    import atexit
    jobs, done = csp.Channel(), csp.Channel()
    ref = bodies.echo.spawn(jobs.receiver, done.sender)
    def last_words():
        jobs.send("bye")
        print(done.recv(), ref.stop().reason)
    atexit.register(last_words)
    """
    assert run_script(source) == (0, "bye shutdown\n", "")


def test_actors_are_stopped_in_order_not_killed():
    """An actor that waits gets Stopped at exit: its finally blocks run, its atexit functions too."""
    source = """
    import csp.testing
    log = csp.Channel(10)
    csp.spawn(bodies.print_at_the_end, up.sender)
    up.recv()
    """
    status, out, err = run_script(source)
    assert (status, sorted(out.split()), err) == (0, ["atexit", "finally"], "")


STUCK = "csp.spawn(bodies.stuck_in_c, up.sender, 10**11, name='stuck one'); up.recv()\n"


def test_bare_script_with_a_zombie_exits_70_and_names_it():
    """C code cannot be ended inside a process: one line says who, and the status is not a wrong 0."""
    status, out, err = run_script(STUCK + "print('over')")
    assert (status, out) == (70, "over\n")
    assert "stuck one" in err
    assert err.count("\n") == 1


def test_zombie_that_is_a_thread_of_the_program_is_no_different():
    """Given up, with its handles; the process still ends, with 70."""
    source = """
    from tests.unit import owner_bodies
    reader, writer = os.pipe()
    csp.spawn(owner_bodies.stuck, reader, up.sender, name='stuck one', isolation='thread')
    print(up.recv())
    """
    status, out, err = run_script(source)
    assert (status, out) == (70, "up\n")
    assert "stuck one" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("main", "expected"),
    [("lambda: None", 0), ("lambda: sys.exit(4)", 4), ("lambda: sys.exit('words')", 1), ("lambda: 1 / 0", 1)],
)
def test_run_owns_the_status_even_with_a_zombie(main, expected):
    """csp.run(main) knows the status that the program has."""
    status, _, err = run_script(STUCK + f"csp.run({main})")
    assert status == expected
    assert "stuck one" in err


def test_zombie_and_uncaught_exception_is_status_one():
    """The exception that ended the program is known without csp.run."""
    status, _, err = run_script(STUCK + "raise LookupError('mine')")
    assert status == 1
    assert "LookupError: mine" in err


def test_run_returns_the_value_of_main():
    """csp.run(main) is main() otherwise."""
    assert run_script("print(csp.run(lambda: 5))") == (0, "5\n", "")


def test_no_actor_starts_while_the_process_ends():
    """A spawn inside an actor during the exit is refused, and nothing hangs."""
    source = """
    csp.spawn(bodies.spawn_while_stopping, up.sender)
    up.recv()
    """
    assert run_script(source)[0] == 0


def test_script_with_guard_spawns_functions_of_its_own(tmp_path):
    """Functions of a script's __main__ are found by running it again under its guard."""
    script = tmp_path / "program.py"
    script.write_text("import csp\n@csp.actor\ndef double(n):\n    return 2 * n\nif __name__ == '__main__':\n    print(double.spawn(21).result())\n")
    env = {**os.environ, "PYTHONPATH": ROOT}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=LIMIT, env=env, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "42\n", "")


def test_program_without_a_file_spawns_functions_by_value():
    """`python -c`: the function itself crosses."""
    pytest.importorskip("cloudpickle", reason="functions cross by value with cloudpickle")
    source = """
    factor = 2
    @csp.actor
    def double(n):
        return factor * n
    print(double.spawn(21).result(), csp.spawn(lambda: factor).result())
    """
    assert run_script(source) == (0, "42 2\n", "")


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="creating interpreters while tracing is fixed in 3.15")
def test_tracemalloc_is_refused_clearly():
    """Before 3.15 it would deadlock: an error instead, and no hang at exit."""
    source = """
    import tracemalloc
    tracemalloc.start()
    try:
        csp.spawn(bodies.add, 1)
    except csp.ActorStartError as error:
        print("tracemalloc" in str(error))
    """
    assert run_script(source) == (0, "True\n", "")


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="creating interpreters while tracing is fixed in 3.15")
@pytest.mark.parametrize("isolation", ["interpreter", "process"])
def test_tracemalloc_fails_a_restart(isolation):
    """Which makes an interpreter too, also for the bridge of a process: the supervisor gives up instead."""
    source = f"""
    import tracemalloc
    numbers = csp.Channel()
    child = csp.ChildSpec(bodies.divide, args=(numbers.receiver,), isolation={isolation!r}, id="it", backoff=csp.Backoff(first=0.5))
    tree = csp.Supervisor([child], max_restarts=1)
    tree.start()
    numbers.send(0)
    while not isinstance(tree.events.recv({LIMIT}), csp.Exited):
        pass
    tracemalloc.start()  # while no interpreter lives
    try:
        tree.wait({LIMIT})
    except csp.SupervisorError as error:
        print("tracemalloc" in str(error))
    """
    assert run_script(source) == (0, "True\n", "")


@pytest.mark.parametrize("flags", [["-X", "dev"], ["-S"], ["-O"]])
def test_interpreter_flags_do_not_matter(flags):
    """Developer mode, without site, optimised."""
    source = textwrap.dedent(HEADER) + "assert csp.spawn(bodies.add, 1).result() == 11\ncsp.spawn(bodies.block)\nprint('over')"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, *[p for p in sys.path if p]])}
    done = subprocess.run([sys.executable, *flags, "-c", source], capture_output=True, text=True, timeout=LIMIT, env=env, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "over\n", "")


def test_actors_that_log_or_run_asyncio_end_in_silence():
    """`threading` knows the actor's thread only as a stranger, and has forgotten it before its module is cleared."""
    source = """
    from csp import interpreters
    csp.spawn(bodies.log_a_line).result(10)
    csp.spawn(bodies.run_asyncio).result(10)
    with interpreters.create() as interpreter:
        interpreter.run("import atexit, logging; logging.error('in it'); atexit.register(logging.error, 'last')")
    """
    assert run_script(source) == (0, "", "ERROR:root:a line\nERROR:root:in it\nERROR:root:last\n")
