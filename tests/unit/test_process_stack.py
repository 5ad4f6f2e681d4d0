"""What the process of an actor does, asked from outside: csp.debug.stacks() and the watchdog."""

import os
import signal
import sys
from typing import Any

import pytest

import csp
from csp.testing import wait_until
from tests.unit import process_bodies as bodies

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(sys.platform != "linux", reason="it takes memory files and /proc"),
]
LETTERS = csp.dead_letters  # made once for the program: no leak of a test


def frames_of(ref: Any, timeout: float = 20) -> list[str] | None:
    """The functions, outermost first."""
    for stack in csp.debug.stacks(timeout):
        if stack.ref == ref:
            return None if stack.frames is None else [function for _, _, function in stack.frames]
    return ["not there"]


@pytest.mark.parametrize("where", ["receives", "sleeps", "spins"])
def test_who_waits_and_who_computes(where: str) -> None:
    """The frames of the actor's own code, and what it waits for; also of one that sits in C code."""
    told: csp.Channel[str] = csp.Channel(1)
    never: csp.Channel[None] = csp.Channel()
    ref = bodies.Stuck.spawn(told)
    ref.cast.stuck(where, never)
    assert told.recv(20) == where
    wait_until(lambda: frames_of(ref) == ["stuck", where], 20, "the stack")
    stack = next(stack for stack in csp.debug.stacks() if stack.ref == ref)
    assert f"in {where}" in str(stack)
    if where == "receives":
        assert stack.state == "waiting" and f"receive from channel {never.id}" in str(stack.waits_for)
    else:
        assert stack.state == "running"
    ref.kill()
    assert frames_of(ref) == ["not there"]


def test_a_process_that_is_held_does_not_answer() -> None:
    """Within the time, and the others do."""
    held, other = bodies.Counter.spawn(), bodies.Counter.spawn()
    pid = held.call(timeout=20).pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        assert frames_of(held, 0.2) is None
        assert frames_of(other, 3) == []
    finally:
        os.kill(pid, signal.SIGCONT)
    assert frames_of(held) == []
    held.stop()
    other.stop()


def test_the_watchdog_says_where_it_hung() -> None:
    """Its Exit has the frames of the process."""
    ref = bodies.Watched.spawn()
    reply = ref.ask.spin()
    end = ref.join(20)
    assert end.reason == "watchdog" and end.remote is not None
    assert [frame[2] for frame in end.remote[2]] == ["spin"]
    assert "process_bodies.py" in end.remote.traceback
    with pytest.raises(csp.ActorDied):
        reply.result(20)
