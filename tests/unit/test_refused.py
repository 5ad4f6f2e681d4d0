"""An extension that refuses subinterpreters, numpy here: every error says which one it is and the one word that helps."""

import re
from collections.abc import Callable
from typing import Any

import pytest

import csp
from csp._remote import in_words, refused_module, snapshot
from tests.unit import actor_bodies as bodies
from tests.unit.class_bodies import Importer

pytest.importorskip("numpy", reason="numpy is not installed")

from tests.unit import refused_bodies

ADVICE = r"ImportError: numpy\.\S+ does not load in a subinterpreter: give the actor that needs it isolation='process', or 'thread'"


def in_a_tree() -> None:
    with csp.Supervisor([csp.ChildSpec(refused_bodies.total, args=([],))]):
        pass


def in_a_call() -> None:
    ref = csp.spawn(Importer)
    try:
        ref.call(timeout=20).load("numpy")
    finally:
        ref.stop()


def in_an_interpreter() -> None:
    with csp.interpreters.create() as interpreter:
        interpreter.run("import numpy")


WAYS: list[tuple[Callable[[], Any], type[csp.CspError]]] = [
    (lambda: csp.spawn(refused_bodies.total, []), csp.ActorStartError),
    (lambda: csp.spawn(refused_bodies.Adder), csp.ActorStartError),
    (lambda: csp.spawn(Importer, "numpy"), csp.ActorStartError),
    (lambda: csp.spawn(bodies.import_module, "numpy").result(20), csp.ActorFailed),
    (in_a_call, csp.ActorFailed),
    (in_a_tree, csp.SupervisorError),
    (in_an_interpreter, csp.interpreters.RunFailed),
]
NAMES = ["module of a function", "module of a class", "its __init__", "in a function", "in a call", "under a supervisor", "csp.interpreters"]


@pytest.mark.parametrize(("way", "error"), WAYS, ids=NAMES)
def test_the_error_names_the_module_and_the_word(way: Callable[[], Any], error: type[csp.CspError]) -> None:
    """In one line in place of numpy's page, which stays in `remote` and in the note with the traceback."""
    with pytest.raises(error) as caught:
        way()
    text = str(caught.value)
    assert re.search(f"{ADVICE}$", text)
    assert "\n" not in text
    assert "PLEASE READ" in caught.value.remote.message  # type: ignore[attr-defined]


def test_the_word_helps() -> None:
    """The same function runs with the isolation that the error names first, and with the second."""
    with pytest.raises(csp.ActorStartError) as caught:
        csp.spawn(refused_bodies.total, [1.0, 2.0])
    first, second = re.search(r"isolation='(\w+)', or '(\w+)'", str(caught.value)).groups()  # type: ignore[union-attr]
    assert (first, second) == ("process", "thread")
    for isolation in (first, second):
        assert csp.spawn(refused_bodies.total, [1.0, 2.0], isolation=isolation).result(30) == 3.0


def test_an_error_of_its_own_keeps_its_words() -> None:
    """A package that turns the refusal into another error: its message stays, with the advice behind."""
    with pytest.raises(csp.ActorFailed) as caught:
        csp.spawn(bodies.import_or_raise, "numpy").result(20)
    assert re.search(r"RuntimeError: it takes numpy \[numpy\S+ does not load in .* isolation='process', or 'thread'\]$", str(caught.value))


def test_an_array_that_does_not_arrive_is_explained_once() -> None:
    """As an argument of an actor that has no numpy: the words are those of the DecodeError, and no more."""
    with pytest.raises(csp.ActorStartError) as caught:
        csp.spawn(bodies.add, refused_bodies.numpy.ones(2), 1)
    assert str(caught.value).count("isolation=") == str(caught.value).count("does not load") == 1


def test_other_import_errors_are_left_alone() -> None:
    """A missing module is told as Python tells it."""
    with pytest.raises(csp.ActorFailed) as caught:
        csp.spawn(bodies.import_module, "no_such_module_anywhere").result(20)
    assert str(caught.value).endswith("failed: ModuleNotFoundError: No module named 'no_such_module_anywhere'")


def test_causes_in_a_circle_come_to_an_end() -> None:
    """Python lets one set such causes; nothing is found in them, and nothing hangs."""
    one, other = ImportError("one"), ImportError("other")
    one.__cause__, other.__cause__ = other, one
    assert refused_module(one) is None
    assert in_words(snapshot(one)) == "ImportError: one"
