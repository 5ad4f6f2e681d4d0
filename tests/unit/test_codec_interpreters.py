"""Crossing between interpreters: what is true in one interpreter is true between two, and failures stay where they belong."""

import datetime
import decimal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import csp
from csp import _core, interpreters


class Refused:
    """Rebuilt only in the main interpreter."""

    def __setstate__(self, state: object) -> None:
        raise RuntimeError(f"not in interpreter {interpreters.get_current().id}")

    def __getstate__(self) -> object:
        return {"a": 1}


def echo(jobs: csp.RecvChannel[Any], done: csp.SendChannel[Any]) -> None:
    for job in jobs:
        done.send(job)


def fill(view: memoryview) -> tuple[bytes, memoryview]:
    before = bytes(view)
    view[:] = b"x" * len(view)
    return before, view


def modules() -> set[str]:
    return set(sys.modules)


def receive(jobs: csp.RecvChannel[Any], n: int) -> list[str]:
    said = []
    for _ in range(n):
        try:
            said.append(repr(jobs.recv()))
        except csp.DecodeError as error:
            said.append(repr(error.__cause__))
    return said


def send_back(handle: Any, ch: csp.SendChannel[Any]) -> None:
    ch.send({"h": handle, "again": [handle]})


@pytest.fixture(scope="module")
def child() -> Iterator[interpreters.Interpreter]:
    with interpreters.create() as interpreter:
        yield interpreter


VALUES: list[Any] = [
    [None, True, -(2**70), 1.5, 2j, "x\ud800", b"y", (1,), {"k": {2}}, frozenset({3})],
    datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    {"d": decimal.Decimal("1.10"), "when": [datetime.timedelta(5)]},
    ValueError("x", 5),
    range(5),
    bytearray(b"abc"),
    int,
    len,
    echo,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_value_there_and_back(child: interpreters.Interpreter, value: object) -> None:
    """A value crosses to another interpreter and back."""
    jobs: csp.Channel[Any] = csp.Channel(1)
    done: csp.Channel[Any] = csp.Channel(1)
    jobs.send(value)
    jobs.close()
    child.run(echo, jobs, done)
    assert repr(done.recv()) == repr(value)


def test_shape_of_references_there_and_back(child: interpreters.Interpreter) -> None:
    """Cycles and shared objects survive the trip."""
    value: dict[str, Any] = {"list": [1], "date": datetime.date(2020, 1, 1)}
    value.update(again=value["list"], self=value, dates=[value["date"]])
    jobs: csp.Channel[Any] = csp.Channel(1)
    done: csp.Channel[Any] = csp.Channel(1)
    jobs.send(value)
    jobs.close()
    child.run(echo, jobs, done)
    got = done.recv()
    assert got["self"] is got
    assert got["again"] is got["list"]
    assert got["dates"][0] is got["date"]


@pytest.mark.usefixtures("no_leaks")
def test_memory_outlives_the_interpreter_that_sent_it() -> None:
    """A view of received memory stays good when the sender's interpreter has ended."""
    with interpreters.create() as sender:
        before, view = sender.run(fill, memoryview(bytearray(b"abc")))
    assert before == b"abc"
    assert bytes(view) == b"xxx"
    view[0] = 0


def test_handle_there_and_back(child: interpreters.Interpreter) -> None:
    """Handles made in another interpreter work here and lead to the same channel."""
    ch: csp.Channel[int] = csp.Channel(1)
    carrier: csp.Channel[Any] = csp.Channel(1)
    child.run(send_back, ch.sender, carrier)
    got = carrier.recv()
    assert got["h"] == ch.sender
    assert got["h"] is got["again"][0]
    got["h"].send(5)
    assert ch.recv() == 5


@pytest.mark.usefixtures("no_leaks")
def test_failure_to_rebuild_stays_with_the_receiver(child: interpreters.Interpreter) -> None:
    """The receiver gets DecodeError and goes on; the sender sees nothing; what else was in the message is given up."""
    jobs: csp.Channel[Any] = csp.Channel(3)
    reply: csp.Channel[int] = csp.Channel(1)
    jobs.send([Refused(), reply, memoryview(bytes(5000))])
    jobs.send("next")
    first, second = child.run(receive, jobs, 2)
    assert first.startswith("RuntimeError('not in interpreter ")
    assert second == "'next'"
    assert (reply.statistics().senders, reply.statistics().receivers) == (1, 1)


def test_module_that_refuses_subinterpreters(child: interpreters.Interpreter) -> None:
    """A numpy array cannot be rebuilt where numpy cannot be imported: DecodeError with the import's own error."""
    numpy = pytest.importorskip("numpy")
    jobs: csp.Channel[Any] = csp.Channel(3)
    jobs.send(numpy.arange(3))
    jobs.send(memoryview(numpy.arange(3)).cast("B"))  # the memory itself can
    first, second = child.run(receive, jobs, 2)
    assert first.startswith("ImportError(")
    assert second.startswith("<memory at")


def test_native_values_do_not_load_pickle_in_a_child() -> None:
    """An interpreter that only ever gets native values does not pay for pickle; one that gets others does not pay for re."""
    with interpreters.create() as fresh:
        names = fresh.run(modules)
        assert not {"pickle", "_pickle", "csp._pickling"} & names
        jobs: csp.Channel[Any] = csp.Channel(1)
        jobs.send(decimal.Decimal(1))
        fresh.run(receive, jobs, 1)
        names = fresh.run(modules)
        assert "csp._pickling" in names
        assert "pickle" not in names


def test_records_and_refs_inside_of_values(child: interpreters.Interpreter) -> None:
    """What an actor's end is told by crosses natively, references to actors inside."""
    ref = csp.spawn(modules_actor)
    end = ref.join(timeout=30)
    message = _core.encode([end, {"ref": ref}])
    assert _core.inspect_encoded(message)[0] != "pickle"
    got = _core.decode(message)
    assert got[0] == end
    assert type(got[0]) is type(end)
    assert got[1]["ref"] == ref
    by_pickle = _core.copy_by_crossing([end.reason, {"ref": ref, "when": datetime.date(2020, 1, 1)}])
    assert by_pickle[1]["ref"] == ref
    jobs: csp.Channel[Any] = csp.Channel(1)
    jobs.send({"end": end, "ref": ref})
    assert ref.name in child.run(receive, jobs, 1)[0]


@csp.actor
def modules_actor() -> int:
    return 5
