"""A tree as the whole program: signals, budgets, exit statuses, log lines, and what a service manager hears."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import csp
from csp._runner import budget
from csp.cli import main
from csp.cli.run import shape

from . import runner_trees as trees

ROOT = str(Path(__file__).resolve().parents[2])
LIMIT = 60.0
# A shell that starts the tests in the background makes them ignore SIGINT.
SIGINT = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
COMMAND = SIGINT + "from csp.cli import main; sys.exit(main())"
CALL = """
from tests.unit import runner_trees
tree = getattr(runner_trees, sys.argv[-1])()
handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
try:
    tree.run()
finally:
    print(handlers == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)])
"""


class Service:
    """A process that runs a tree."""

    def __init__(self, tree, *arguments, source=COMMAND, **environment):
        command = [sys.executable, "-c", source, "run", *arguments, f"tests.unit.runner_trees:{tree}" if source is COMMAND else tree]
        paths = os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, "PYTHONPATH": paths, **environment}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=ROOT)
        self.lines = []

    def until(self, text):
        """Read the log up to a line that ends so."""
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if self.lines[-1].endswith(text):
                return self
        pytest.fail(f"no line {text!r} in {self.lines}")

    def signal(self, number):
        self.process.send_signal(number)
        return self

    def end(self):
        """(status, seconds until the end)."""
        began = time.monotonic()
        try:
            out, err = self.process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            pytest.fail(f"the service did not end: {self.lines}")
        self.out = out
        self.lines += err.splitlines()
        return self.process.returncode, time.monotonic() - began


# --- signals ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_tree_in_order(number):
    """The children end in reverse order, each line of the log has the actor's path, and the status is 0."""
    service = Service("quiet").until(": below: started")
    status, _ = service.signal(number).end()
    assert status == 0, service.lines
    assert service.lines == [
        f"csp run: {line}"
        for line in (
            "first: started",
            "below/idle[0]: started",
            "below/idle[1]: started",
            "below: started",
            f"{number.name}: stopping, within 15 s",
            "below/idle[1]: exited: shutdown",
            "below/idle[0]: exited: shutdown",
            "below: exited: shutdown",
            "first: exited: shutdown",
        )
    ]


def test_an_orderly_stop_waits_for_who_needs_its_time():
    """A child that needs a second gets it, within its `shutdown`."""
    service = Service("patient").until(": idle: started")
    status, seconds = service.signal(signal.SIGTERM).end()
    assert status == 0
    assert seconds >= 0.9
    assert "csp run: slow: exited: shutdown" in service.lines


def test_an_ordered_stop_keeps_within_the_summed_budget():
    """Children that do not hear are killed one after the other when their time is over; that is still an orderly end."""
    service = Service("bounded").until(": deaf1: started")
    status, seconds = service.signal(signal.SIGTERM).until("stopping, within 1 s").end()
    assert status == 0
    assert 0.9 <= seconds < 10
    assert service.lines[-2:] == ["csp run: deaf1: exited: killed", "csp run: deaf0: exited: killed"]


def test_a_second_signal_hurries():
    """All are asked at once, in subtrees too, killed after a second, and the status is 128 + the second signal."""
    service = Service("stubborn").until(": deaf: started").signal(signal.SIGTERM).until(": stopping")
    status, seconds = service.signal(signal.SIGINT).end()
    assert status == 128 + signal.SIGINT, service.lines
    assert seconds < 15
    assert "csp run: SIGINT again: stopping within a second" in service.lines
    for ended in ("below/idle: exited: shutdown", "below/deaf: exited: killed", "deaf: exited: killed"):
        assert f"csp run: {ended}" in service.lines


def test_a_third_signal_ends_the_process_at_once():
    """Nothing is waited for any more; the status is 128 + the third signal."""
    service = Service("stubborn").until(": deaf: started").signal(signal.SIGINT).until(": stopping")
    service.signal(signal.SIGTERM).until("within a second").signal(signal.SIGINT)
    status, _ = service.end()
    assert status == 128 + signal.SIGINT
    assert not [line for line in service.lines if "exited: killed" in line]


def test_an_echo_of_a_signal_does_not_hurry():
    """The same signal twice in a moment, as wrappers that pass it on bring about, is one."""
    from csp._runner import _Signals

    with _Signals() as signals:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        assert [signals.recv_nowait(), signals.recv_nowait(), signals.recv_nowait(None)] == [signal.SIGTERM, signal.SIGINT, None]


def test_a_signal_during_the_start_stops_what_has_started():
    """The start of a child that hangs is broken off by the stop."""
    service = Service("hanging").until(": idle: started")
    status, _ = service.signal(signal.SIGTERM).end()
    assert status == 0, service.lines
    assert service.lines[-1] == "csp run: idle: exited: shutdown"


# --- Supervisor.run() ---


@pytest.mark.parametrize(("tree", "status"), [("one_shot", 0), ("giving_up", 1)])
def test_run_restores_the_handlers(tree, status):
    """However the tree ends; a failure is a SupervisorError."""
    service = Service(tree, source=SIGINT + CALL)
    assert service.end()[0] == status, service.lines
    assert service.out == "True\n"
    assert any("csp.SupervisorError: child 'below'" in line for line in service.lines) == bool(status)


def test_a_hurried_run_is_a_system_exit():
    """`Supervisor.run()` raises SystemExit with 128 + the signal that hurried it, with the handlers restored."""
    with ManagerSocket() as (manager, address):
        service = Service("stubborn", source=SIGINT + CALL, NOTIFY_SOCKET=address)
        assert manager.recv(100) == b"READY=1"
        service.signal(signal.SIGINT)
        assert manager.recv(100) == b"STOPPING=1"
        service.signal(signal.SIGTERM)
        assert service.end()[0] == 128 + signal.SIGTERM
        assert service.out == "True\n"


def test_run_outside_the_main_thread_leaves_signals_alone():
    """It just waits for the end."""
    import threading

    before = signal.getsignal(signal.SIGTERM)
    tree = trees.one_shot()
    thread = threading.Thread(target=tree.run)
    thread.start()
    assert signal.getsignal(signal.SIGTERM) is before
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_run_leaves_the_events_to_others():
    """Who listens to the events of a tree gets all of them."""
    tree = trees.one_shot()
    events = tree.events
    tree.run()
    assert [type(event) for event in events] == [csp.Started, csp.Exited]


# --- statuses and log lines ---


def test_a_restart_is_told_with_its_reason():
    """The exit with its reason and the actor's traceback, then the restart; the path stands on every line."""
    service = Service("restarting").until("restarted (1)")
    assert service.signal(signal.SIGTERM).end()[0] == 0
    told = [line.removeprefix("csp run: below/worker: ") for line in service.lines if "below/worker: " in line]
    assert told[:2] == ["started", "exited: failed, ValueError: no such page"]
    assert "| ValueError: no such page" in told
    assert told[-2:] == ["restarted (1)", "exited: shutdown"]


def test_a_root_that_gives_up_is_75():
    """And the log says who gave up, on every level."""
    service = Service("giving_up")
    assert service.end()[0] == 75
    assert "csp run: below: gave up: boom ended again (failed)" in service.lines
    assert "csp run: gave up: below ended again (failed)" in service.lines
    assert service.lines[-1].startswith("csp run: the tree failed: child 'below'")


def test_a_tree_that_cannot_start_is_75():
    """What had started is stopped again."""
    service = Service("unstartable")
    assert service.end()[0] == 75
    assert service.lines[-2] == "csp run: idle: exited: shutdown"
    assert "'Unstartable' could not be started: failed, OSError: no such port" in service.lines[-1]


def test_a_tree_that_ends_by_itself_is_0_and_quiet_is_quiet():
    """`auto_shutdown` is an orderly end; --quiet leaves the log lines out."""
    service = Service("one_shot", "--quiet")
    assert service.end()[0] == 0
    assert service.lines == []


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("no_such_module:tree", "no module named 'no_such_module'"),
        ("tests.unit.no_such_module:tree", "no module named 'tests.unit.no_such_module'"),
        ("tests.unit.runner_trees", "package.module:tree"),
        ("tests.unit.runner_trees:", "package.module:tree"),
        ("tests.unit.runner_trees:a-b", "package.module:tree"),
        ("tests.unit.runner_trees:nowhere", "has no 'nowhere'"),
        ("tests.unit.runner_trees:not_a_tree", "is not a Supervisor, nor does it return one: 5"),
        ("tests.unit.runner_trees:broken", "broken failed: RuntimeError: not today"),
        ("tests.unit.runner_trees:bounded.nowhere", "has no 'bounded.nowhere'"),
    ],
)
@pytest.mark.parametrize("command", ["run", "tree"])
def test_a_bad_target_is_named(command, target, said, capsys):
    """Status 2, and a last line on stderr that says what is wrong with it."""
    try:
        status = main([command, target])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


# --- the service manager ---


class ManagerSocket:
    """A datagram socket and what NOTIFY_SOCKET is to be; abstract without a path."""

    def __init__(self, path=None):
        self.address = f"@csp-test-{os.getpid()}-{time.monotonic_ns()}" if path is None else str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self):
        self.socket.bind("\0" + self.address[1:] if self.address[0] == "@" else self.address)
        self.socket.settimeout(LIMIT)
        return self.socket, self.address

    def __exit__(self, *exc):
        self.socket.close()


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_is_told(abstract, tmp_path):
    """READY=1 once all are up, WATCHDOG=1 at half the period while the tree answers, STOPPING=1 at the first signal."""
    with ManagerSocket(None if abstract else tmp_path / "notify") as (manager, address):
        service = Service("quiet", NOTIFY_SOCKET=address, WATCHDOG_USEC="400000")
        heard = [manager.recv(100)]
        while b"READY=1" not in heard:
            heard.append(manager.recv(100))
        began = time.monotonic()
        assert [manager.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        assert time.monotonic() - began >= 0.35  # not faster than every 0.2 s
        service.signal(signal.SIGTERM)
        heard = manager.recv(100)
        while heard == b"WATCHDOG=1":
            heard = manager.recv(100)
        assert heard == b"STOPPING=1"
        assert service.end()[0] == 0


def test_a_watchdog_of_another_process_is_not_ours(monkeypatch):
    """WATCHDOG_PID names who is meant; without a socket, or with nonsense, there is no watchdog."""
    from csp._notify import Notifier

    monkeypatch.setenv("NOTIFY_SOCKET", "@nobody")
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert Notifier().period == 1.5
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert Notifier().period == 1.5
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert Notifier().period is None
    monkeypatch.delenv("WATCHDOG_PID")
    for nonsense in ("", "0", "-5", "soon"):
        monkeypatch.setenv("WATCHDOG_USEC", nonsense)
        assert Notifier().period is None
    Notifier().tell("READY=1")  # nobody listens: nothing happens
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert Notifier().period is None


# --- the shape ---


def test_the_shape_is_printed_without_starting_anything(capsys):
    """Ids, strategies, restart types and shutdowns of all levels, pools as one line, and the sum of the shutdowns."""
    before = csp._core.census()["interpreters"]
    assert main(["tree", "tests.unit.runner_trees:all_kinds"]) == 0
    assert csp._core.census()["interpreters"] == before
    assert capsys.readouterr().out.splitlines() == [
        "all             one_for_one, 7 restarts within 2.5 s, ends with any_significant",
        "  first         permanent, killed at shutdown",
        "  below         one_for_all, 3 restarts within 5 s; transient, no limit to its shutdown",
        "    idle[0..2]  permanent, shutdown 1.5 s",
        "  last          temporary, shutdown 5 s, significant",
        "  sessions      dynamic, at most 5 children, 3 restarts within 5 s; permanent, shutdown 3 s",
        "an ordered stop takes at most 12.5 s",
    ]


def test_the_budget_is_the_sum():
    """Of all children and of those below; a supervisor's own `shutdown` bounds its subtree; without a limit there is none."""
    assert budget(trees.all_kinds()) == 4.5 + 5.0 + 3.0
    assert budget(trees.stubborn()) == float("inf")
    assert shape(trees.stubborn())[-1] == "an ordered stop takes as long as it needs"
    below = csp.Supervisor([csp.ChildSpec(trees.idle, count=4)], id="below", shutdown=7.0)
    assert budget(csp.Supervisor([below, trees.idle])) == 12.0


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="nothing leaks from 3.14 on")
def test_used_up_memory_budget_is_status_75():
    """The tree ends in order, and the service manager is asked to start the program anew."""
    service = Service("leaking")
    status, _ = service.end()
    assert status == 75
    log = "\n".join(service.lines)
    assert "first: exited: shutdown" in log
    assert "the tree failed: the memory budget is used up: about 2 MiB are lost to 1 ended interpreters" in log
