"""What an actor returns may not be rebuilt where its end is heard of: the reason is, always."""

import pytest

import csp
from csp.testing import wait_until
from tests.unit import actor_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks")

LIMIT = 20.0


def check(end: csp.Exit, ref: csp.ActorRef, reason: str) -> None:
    assert (end.ref, end.reason, end.value) == (ref, reason, None)
    assert end.remote is not None
    assert end.remote.type_name == "csp.DecodeError"
    assert "ValueError: not here" in end.remote.message
    assert end.remote.cause is not None and end.remote.cause.message == "not here"


def test_reason_arrives_without_the_value() -> None:
    """By `exited`, by select and by `join`, for each observer, also after the fact; `remote` says what is missing."""
    ref = csp.spawn(bodies.return_unrebuildable)
    check(ref.exited.recv(LIMIT), ref, "normal")
    check(csp.select([ref.exited], timeout=LIMIT).value, ref, "normal")
    check(ref.join(LIMIT), ref, "normal")


def test_reason_of_a_stop_arrives_without_the_value() -> None:
    """It is no failure: the actor did what it was asked to."""
    up = csp.Channel[str](1)
    ref = csp.spawn(bodies.return_unrebuildable_on_stop, up.sender)
    up.recv(LIMIT)
    check(ref.stop(), ref, "shutdown")


def test_result_that_cannot_be_rebuilt_raises() -> None:
    """DecodeError, as a channel would: None would be a lie."""
    ref = csp.spawn(bodies.return_unrebuildable)
    with pytest.raises(csp.DecodeError, match="not here"):
        ref.result(LIMIT)


def test_value_by_pickle_keeps_its_handles_and_references() -> None:
    """Apart from the Exit it crosses as it would in it."""
    channel = csp.Channel[str](1)
    ref = csp.spawn(bodies.return_pair, channel.sender)
    for _ in range(2):
        value = ref.join(LIMIT).value
        assert type(value) is bodies.Pair
        assert value.first == ref
        value.second.send("hello")
        assert channel.recv(LIMIT) == "hello"
    del value
    assert not ref.alive


@pytest.mark.parametrize(("restart", "lives"), [("transient", 1), ("permanent", 2)])
def test_supervisor_judges_by_the_reason(restart: str, lives: int) -> None:
    """A transient child that returned what the supervisor cannot rebuild has finished; no guess is made."""
    spec = csp.ChildSpec(bodies.return_unrebuildable, id="a", restart=restart)  # type: ignore[arg-type]
    with csp.Supervisor([spec], max_restarts=1) as tree:
        if lives == 1:
            wait_until(lambda: tree.children()[0].state == "finished", LIMIT)
            last = tree.children()[0].last_exit
            assert last is not None and last.remote is not None
            assert (last.reason, last.remote.type_name) == ("normal", "csp.DecodeError")
        else:
            with pytest.raises(csp.SupervisorError) as caught:
                tree.wait(LIMIT)
            assert caught.value.reason == "normal"
