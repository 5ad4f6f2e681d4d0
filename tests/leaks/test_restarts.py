"""A supervisor that restarts for ever does not grow."""

import sys
import textwrap

import pytest

from tests.unit.test_exit import run_script

HEADER = """
import csp, gc, sys
from csp import ChildSpec, Supervisor
from csp.testing import census, wait_until
from tests.unit import tree_bodies as bodies

def memory():
    # resident KiB
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

def settled(before):
    # an interpreter's end is not instantaneous
    def below():
        gc.collect()
        now = census()
        return all(now[what] <= before[what] for what in before)
    wait_until(below, 20, f"{before}, but {census()}")
"""

BODY = """
log = csp.Channel(10)
specs = [ChildSpec(bodies.by_mail, args=(log.sender,), id=id) for id in "ab"]
with Supervisor(specs, strategy=STRATEGY, max_restarts=10**6) as tree:
    events = tree.events
    ref = tree["a"]
    each = 1 if STRATEGY == "one_for_one" else 2
    def restart(times):
        for _ in range(times):
            ref.send("raise")
            up = 0
            while up < each:
                up += log.recv(20)[0] == "up"
        wait_until(lambda: all(child.state == "running" for child in tree.children()), 20)
        while events.recv_nowait(None) is not None:
            pass
    log.recv(20), log.recv(20)
    restart(60)
    gc.collect()
    counts, kib = census(), memory()
    restart(RESTARTS)
    settled(counts)
    grown = memory() - kib
    assert grown < 3072, f"{grown} KiB more after {RESTARTS} restarts"
print("flat")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
@pytest.mark.skipif(sys.version_info < (3, 14), reason="CPython 3.13 itself leaks at least 1.6 MiB with each interpreter (gh-113055, fixed in 3.14)")
@pytest.mark.parametrize(("strategy", "restarts"), [("one_for_one", 300), ("one_for_all", 100)])
def test_memory_and_counts_are_flat_over_restarts(strategy, restarts):
    """300 restarts after a warm-up: less than 3 MiB more, and not one handle, channel, interpreter or message."""
    body = f"STRATEGY, RESTARTS = {strategy!r}, {restarts}\n" + textwrap.dedent(BODY)
    assert run_script(body, header=HEADER) == (0, "flat\n", "")


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all"])
def test_counts_are_flat_over_a_few_restarts(strategy):
    """On every version, whatever CPython keeps of an ended interpreter."""
    body = f"import warnings; warnings.simplefilter('ignore')\nSTRATEGY, RESTARTS = {strategy!r}, 30\n" + BODY.replace("restart(60)", "restart(10)")
    body = body.replace("grown = memory() - kib", "grown = 0")
    assert run_script(body, header=HEADER) == (0, "flat\n", "")
