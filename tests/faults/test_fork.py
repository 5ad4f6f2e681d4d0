"""A fork while threads wait, hold leases or have values on their way: the child raises ForkedError and never hangs."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROLOGUE = """
import contextlib, os, sys, threading, warnings
import csp
from csp.testing import wait_parked
warnings.simplefilter("ignore")  # forking a program with threads is what is tested

def forked(operation):
    try:
        operation()
    except csp.ForkedError:
        return
    raise AssertionError(f"{operation} did not raise ForkedError")

def in_child(check):
    pid = os.fork()
    if pid == 0:
        try:
            check()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
            os._exit(1)
        sys.exit(0)  # an orderly end: it must neither hang nor complain
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"the child ended with {status}"
"""


def run(program: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run([sys.executable, "-c", PROLOGUE + textwrap.dedent(program)], capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


PARKED = {
    "send": ("ch.send(1)", "senders=1"),
    "recv": ("ch.recv()", "receivers=1"),
    "timeout": ("ch.recv(timeout=60)", "receivers=1"),
    "select": ("csp.select([ch, csp.never(), (ch, 2)])", "senders=1"),
    "send_many": ("ch.send_many([1, 2, 3])", "senders=1"),
    "recv_many": ("ch.recv_many(3)", "receivers=1"),
    "lease": ("ch.lease().__enter__()", "receivers=1"),
}


@pytest.mark.parametrize("how", PARKED)
def test_while_a_thread_waits(how: str) -> None:
    """The child has no such wait, its operations raise; in the parent the wait goes on and completes."""
    operation, waiting = PARKED[how]
    run(f"""
    ch = csp.Channel(name="before")

    def wait():
        with contextlib.suppress(csp.CspError):
            {operation}

    thread = threading.Thread(target=wait)
    thread.start()
    wait_parked(ch, {waiting})

    def check():
        for operation in (lambda: ch.send(1), ch.recv, lambda: ch.send(1, timeout=0), ch.recv_nowait, ch.clone, ch.statistics,
                          lambda: csp.select([ch]), lambda: csp.select([(ch, 1)], timeout=0), lambda: ch.lease().__enter__(),
                          lambda: ch.send_many([1]), lambda: ch.recv_many(1), lambda: ch.close(), lambda: len(ch),
                          lambda: ch.sender, lambda: next(ch), lambda: new.send(ch)):
            new = csp.Channel(1)
            forked(operation)
        repr(ch), hash(ch), bool(ch), ch.id, ch.name
        with csp.Channel(1) as mine:  # channels made after the fork work
            worker = threading.Thread(target=lambda: [mine.send(i) for i in range(50)])
            worker.start()
            assert [mine.recv() for _ in range(50)] == list(range(50))
            worker.join()
        assert csp.after(0.01).recv() > 0

    in_child(check)
    if {waiting!r} == "receivers=1":
        ch.send(7)
    else:
        ch.recv()
        ch.close()
    thread.join()
    """)


def test_with_values_on_their_way_and_a_lease() -> None:
    """What the child inherits of buffered values, leases, selectors and iterators raises, or goes without a trace."""
    run("""
    ch, other, local = csp.Channel(10), csp.Channel(), csp.Channel(4, local=True)
    ch.send_many([[other.sender, b"x" * 5000], 2, 3])
    local.send(object())
    lease = ch.lease()
    lease.__enter__()
    selector, timer, iterator = csp.Selector([ch, other]), csp.tick(0.01), iter(ch)

    def check():
        global ch, local
        forked(selector.select)
        forked(lambda: selector.select(timeout=0))
        forked(timer.recv)
        forked(lambda: next(iterator))
        forked(lambda: local.recv())
        lease.__exit__(ValueError, ValueError(), None)
        del ch, local

    in_child(check)
    lease.__exit__(ValueError, ValueError(), None)
    assert [type(value) for value in ch.recv_many(10)] == [list, int, int]
    assert local.recv() is not None
    """)


def test_while_many_threads_are_busy() -> None:
    """Forks at any moment of a lively traffic: every child ends, and no lock of the parent's stays held."""
    run("""
    channels, over = [csp.Channel(i % 2) for i in range(4)], threading.Event()

    def work(mine, theirs):
        while not over.is_set():
            try:
                csp.select([(mine, b"x" * 3000), theirs], timeout=0.01)
                mine.send([1, theirs.sender], timeout=0.001)
            except csp.Timeout:
                pass

    threads = [threading.Thread(target=work, args=(channels[i], channels[i - 1])) for i in range(4)]
    for thread in threads:
        thread.start()

    def check():
        forked(lambda: channels[0].send(1))
        mine = csp.Channel(1)
        mine.send(b"y" * 3000)
        assert mine.recv() == b"y" * 3000

    for _ in range(25):
        in_child(check)
    over.set()
    for thread in threads:
        thread.join()
    """)
