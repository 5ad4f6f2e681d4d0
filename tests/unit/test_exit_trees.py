"""The end of the process with a tree of supervisors in whatever state: bounded, silent, and with the program's status."""

import time

import pytest

from tests.unit.test_exit import run_script

HEADER = """
import csp, sys, threading
from csp import Backoff, ChildSpec, DynamicSupervisor, Supervisor
from csp.testing import wait_until
from tests.unit import tree_bodies as bodies
log = csp.Channel(100)

def mail(id, **options):
    return ChildSpec(bodies.by_mail, args=(log.sender,), id=id, **options)

def started(*children, **options):
    tree = Supervisor(children, **options)
    tree.start()
    return tree
"""

KINDS = {
    "running": "tree = started(mail('a'), mail('b'))",
    "unreferenced": "started(mail('a')); log.recv()",
    "starting": """
        gate = csp.Channel()
        tree = Supervisor([mail('a'), ChildSpec(bodies.late, args=(log.sender, gate.receiver))])
        threading.excepthook = lambda _: None  # the start fails: it is stopped
        threading.Thread(target=tree.start, daemon=True).start()
        log.recv(), log.recv()
        """,
    "backing off": """
        tree = started(mail('a', backoff=Backoff(first=60)), mail('b'))
        tree['a'].send('raise')
        wait_until(lambda: tree.children()[0].state == 'restarting', 20)
        """,
    "stopping": """
        tree = started(ChildSpec(bodies.stubborn, args=(log.sender,), shutdown=1.0))
        log.recv()
        threading.Thread(target=tree.stop, daemon=True).start()
        wait_until(lambda: tree.children()[0].state == 'stopping', 20)
        """,
    "restarting all the time": """
        tree = started(ChildSpec(bodies.fails_late, id='a'), mail('b'), max_restarts=100000)
        wait_until(lambda: tree.children()[0].restarts > 3, 20)
        """,
    "group restart": """
        tree = started(ChildSpec(bodies.stubborn, args=(log.sender,), shutdown=1.0), mail('b'), strategy='one_for_all')
        tree['b'].send('raise')
        wait_until(lambda: tree.children()[0].state == 'stopping', 20)
        """,
    "given up": """
        tree = started(mail('a'), max_restarts=0)
        tree['a'].send('raise')
        wait_until(lambda: tree.children()[0].state == 'stopped', 20)
        """,
    "nested": """
        inner = Supervisor([mail('x'), Supervisor([mail('y')], id='deeper')], id='inner')
        tree = started(mail('a'), inner, DynamicSupervisor(id='dynamic'))
        tree.children()[2].supervisor.start_child(mail('z'))
        """,
    "threads": "tree = started(mail('a', isolation='thread'), mail('b', isolation='thread'))",
    "in an actor": "csp.spawn(bodies.has_a_tree, log.sender); log.recv(), log.recv()",
    "in an actor that is a thread": "csp.spawn(bodies.has_a_tree, log.sender, isolation='thread'); log.recv(), log.recv()",
}

ENDINGS = {"returns": ("", 0), "sys.exit": ("sys.exit(3)", 3)}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_exit_with_a_tree_is_silent_bounded_and_has_the_programs_status(kind, ending):
    """The children are stopped, nothing is restarted, nothing is said."""
    how, status = ENDINGS[ending]
    begun = time.monotonic()
    source = "\n".join(line[8:] if line.startswith("        ") else line for line in KINDS[kind].splitlines())
    assert run_script(f"{source}\nprint('over')\n{how}", header=HEADER) == (status, "over\n", "")
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("ending", ENDINGS)
def test_run_keeps_its_status_with_a_child_that_is_stuck_in_c(ending):
    """csp.run: the child is quarantined, and cannot hold up the end."""
    how, status = ENDINGS[ending]
    begun = time.monotonic()
    got, out, _ = run_script(
        "def main():\n"
        "    tree = started(ChildSpec(bodies.in_c, args=(log.sender, 10**10), shutdown=0.1), mail('b'))\n"
        "    log.recv(), log.recv()\n"
        "    print('over', flush=True)\n"
        f"    {how or 'return None'}\n"
        "csp.run(main)",
        header=HEADER,
    )
    assert (got, out) == (status, "over\n")
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("ending", ENDINGS)
def test_bare_script_with_a_child_that_is_stuck_in_c_exits_70_and_names_it(ending):
    """A tree is no different from a bare actor: one line says who, its siblings are stopped, and it is bounded."""
    begun = time.monotonic()
    got, out, err = run_script(
        "tree = started(ChildSpec(bodies.in_c, args=(log.sender, 10**11), id='stuck one', shutdown=0.1), mail('b'))\n"
        f"log.recv(), log.recv()\nprint('over')\n{ENDINGS[ending][0]}",
        header=HEADER,
    )
    assert (got, out) == (70, "over\n")
    assert "stuck one" in err
    assert err.count("\n") == 1
    assert time.monotonic() - begun < 20
