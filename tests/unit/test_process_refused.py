"""What does not reach into the process of an actor is the DecodeError of whoever asked; the actor goes on, as in an interpreter."""

from collections.abc import Callable
from typing import Any

import pytest

import csp
from tests.unit import process_refused_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks")

VALUES: list[Callable[[], Any]] = [
    lambda: csp.share(b"abc"),
    lambda: {"deep": [csp.share(b"abc")]},
    lambda: (csp.share(b"abc"), ValueError("which takes pickle")),
    lambda: csp.SharedBuffer(8, mapped=False),
]


@pytest.mark.parametrize("kind", [bodies.Plain, bodies.Redelivered, bodies.Async])
def test_caller_hears_of_it_and_the_actor_goes_on(kind: Any) -> None:
    """Natively encoded or pickled, on lease or not, awaited or not."""
    ref = kind.spawn()
    for make in VALUES:
        with pytest.raises(csp.ActorFailed, match="DecodeError: the value arrived but could not be rebuilt here: "):
            ref.call(timeout=20).double(make())
    assert ref.call(timeout=20).double(4) == 8
    assert ref.stop().reason == "shutdown"


def test_cast_fails_the_actor() -> None:
    """Nobody else could be told."""
    ref = bodies.Plain.spawn()
    ref.cast.double(csp.share(b"abc"))
    end = ref.join(20)
    assert end.reason == "failed" and end.remote is not None
    assert end.remote.type_name == "csp.DecodeError"


def test_job_on_lease_is_gone() -> None:
    """It does not come back when the actor ends: nobody there could rebuild it either."""
    jobs: csp.Channel[Any] = csp.Channel(2)
    jobs.send(csp.share(b"abc"))
    jobs.send("next")
    refusal, job = bodies.lease_two.spawn(jobs.receiver).result(20)
    assert "memory lent by share()" in refusal and job == "next"
    assert jobs.statistics()[:2] == (2, 2) and len(jobs) == 0
