"""The rules of PEP 554 and PEP 734 (interpreters and their queues) that are ours too, one test each; and what the review corrected.

Queue = a channel with a buffer; `exec`, `call` = `run`; ExecutionFailed = RunFailed; QueueFull, QueueEmpty = Timeout, WouldBlock.
"""

import math
from collections.abc import Iterator
from typing import Any

import pytest

import csp
from csp import Channel, interpreters
from csp.testing import wait_parked, wait_until
from tests import placements as do
from tests.placements import Party


@pytest.fixture(scope="module")
def shared() -> Iterator[interpreters.Interpreter]:
    """One for the tests that leave it as they found it."""
    with interpreters.create() as interp:
        yield interp


# --- interpreters ---


def test_create_makes_a_new_idle_interpreter() -> None:
    """create(): a new id, in list_all(), not running, until it is closed."""
    with interpreters.create() as interp:
        assert isinstance(interp, interpreters.Interpreter)
        assert isinstance(interp.id, int)
        assert interp in interpreters.list_all()
        assert not interp.is_running()
    assert interp not in interpreters.list_all()


def test_list_all_begins_with_main(shared: interpreters.Interpreter) -> None:
    """The main interpreter is always there, and first."""
    everyone = interpreters.list_all()
    assert everyone[0] == interpreters.get_main()
    assert len({interp.id for interp in everyone}) == len(everyone)


def test_get_current_and_get_main_agree_in_main() -> None:
    """Here we run in the main interpreter."""
    assert interpreters.get_current() == interpreters.get_main()
    assert interpreters.get_main().id == 0


def test_get_current_inside_is_that_interpreter(shared: interpreters.Interpreter) -> None:
    """Code that runs in an interpreter sees itself."""
    ch: Channel[int] = Channel(1)
    shared.run("from csp import interpreters\nout.send(interpreters.get_current().id)", out=ch.sender)
    assert ch.recv() == shared.id
    assert shared.id != interpreters.get_main().id


def test_interpreters_are_equal_by_identity(shared: interpreters.Interpreter) -> None:
    """Objects for the same interpreter compare equal and hash alike."""
    again = next(interp for interp in interpreters.list_all() if interp.id == shared.id)
    assert again == shared
    assert hash(again) == hash(shared)
    assert shared != interpreters.get_main()
    assert shared != shared.id


def test_run_executes_in_main_of_that_interpreter(shared: interpreters.Interpreter) -> None:
    """exec(): the code runs in its `__main__`, and what it binds stays for the next run."""
    shared.run("number = 41")
    shared.run("number += 1")
    ch: Channel[Any] = Channel(1)
    shared.run("out.send((number, __name__))", out=ch.sender)
    assert ch.recv() == (42, "__main__")


def test_prepare_main_binds_names(shared: interpreters.Interpreter) -> None:
    """prepare_main(): `run(..., **names)` binds values before the code runs; gh: a 3.13 queue failed to arrive there."""
    ch: Channel[Any] = Channel(1)
    shared.run("out.send([a, b])", a=1, b={"x": (2,)}, out=ch)
    assert ch.recv() == [1, {"x": (2,)}]


def test_call_returns_the_value(shared: interpreters.Interpreter) -> None:
    """call(): a function runs there, with arguments, and its value comes back."""
    assert shared.run(math.hypot, 3, 4) == 5.0
    assert shared.run(sorted, [3, 1, 2], reverse=True) == [3, 2, 1]


def test_run_of_an_uncaught_exception_raises_a_snapshot(shared: interpreters.Interpreter) -> None:
    """ExecutionFailed with a snapshot: type, message and the formatted traceback; the interpreter stays usable."""
    with pytest.raises(interpreters.RunFailed) as caught:
        shared.run("def inner():\n    raise LookupError('gone')\ninner()")
    assert isinstance(caught.value, csp.CspError)
    assert caught.value.remote.type_name == "LookupError"
    assert "gone" in caught.value.remote.message
    assert "inner" in caught.value.remote.traceback
    assert shared.run(int, "7") == 7


def test_original_exception_is_the_cause_where_it_crosses(shared: interpreters.Interpreter) -> None:
    """`__cause__` is the original, by value."""
    with pytest.raises(interpreters.RunFailed) as caught:
        shared.run(int, "seven")
    assert type(caught.value.__cause__) is ValueError


def test_syntax_error_is_a_failure_like_others(shared: interpreters.Interpreter) -> None:
    """Source that does not compile fails with RunFailed or SyntaxError, and runs nothing."""
    with pytest.raises((interpreters.RunFailed, SyntaxError)):
        shared.run("this is no python")
    assert not shared.is_running()


def test_running_twice_is_a_runtime_error() -> None:
    """An interpreter runs one thing at a time."""
    ch: Channel[int] = Channel()
    with interpreters.create() as interp:
        party = Party(interp.run, "ch.recv()", ch=ch.receiver)
        wait_parked(ch, receivers=1)
        assert interp.is_running()
        with pytest.raises(RuntimeError):
            interp.run("pass")
        ch.send(1)
        party.result()
        assert not interp.is_running()


def test_closing_a_running_interpreter_is_a_runtime_error() -> None:
    """close() refuses while code runs, and the code is not disturbed (gh-127041: close against exec crashed)."""
    ch: Channel[int] = Channel()
    with interpreters.create() as interp:
        party = Party(interp.run, "ch.recv()", ch=ch.receiver)
        wait_parked(ch, receivers=1)
        with pytest.raises(RuntimeError):
            interp.close()
        ch.send(1)
        party.result()


def test_closed_interpreter_refuses_to_run() -> None:
    """After close(), which may be repeated, run is a RuntimeError."""
    interp = interpreters.create()
    interp.close()
    interp.close()
    with pytest.raises(RuntimeError):
        interp.run("pass")
    assert not interp.is_running()


def test_main_and_current_can_be_neither_run_nor_closed() -> None:
    """They are running already."""
    for interp in (interpreters.get_main(), interpreters.get_current()):
        assert interp.is_running()
        with pytest.raises(RuntimeError):
            interp.run("pass")
        with pytest.raises(RuntimeError):
            interp.close()


def test_unshareable_argument_is_a_value_error_before_anything_runs(shared: interpreters.Interpreter) -> None:
    """NotShareable is a ValueError; nothing was bound or run."""
    with pytest.raises(csp.NotShareable) as caught:
        shared.run("left_behind = 1", module=math)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(interpreters.RunFailed):
        shared.run("left_behind")


def test_interpreters_are_isolated(shared: interpreters.Interpreter) -> None:
    """Modules, sys.modules and builtins are each one's own."""
    shared.run("import builtins, json; builtins.planted = 1; json.planted = 1")
    import builtins
    import json

    assert not hasattr(builtins, "planted")
    assert not hasattr(json, "planted")


def test_interpreter_made_inside_another() -> None:
    """Any interpreter may create more."""
    ch: Channel[Any] = Channel(1)
    with interpreters.create() as interp:
        interp.run(
            "from csp import interpreters\n"
            "with interpreters.create() as inner:\n"
            "    out.send((inner.id, inner.run(divmod, 7, 2)))\n",
            out=ch.sender,
        )
    inner, value = ch.recv()
    assert value == (3, 1)
    assert inner not in (0, interp.id)


# --- queues ---

NATIVE = [None, True, False, 0, -1, 2**63, -(2**200), 0.5, -math.inf, "", "text", "\ud800", b"", b"bytes", (), (1, ("a", None))]
BEYOND = [[1, [2]], {"k": {1}}, frozenset({1}), bytearray(b"x"), 1 + 2j, range(3), Exception, len]


@pytest.mark.parametrize("value", NATIVE + BEYOND, ids=repr)
def test_shareable_values_cross_equal(shared: interpreters.Interpreter, value: Any) -> None:
    """PEP 734's shareable types, ints of any size (3.13 refused them beyond 64 bits), and what 3.13 refused altogether."""
    requests: Channel[Any] = Channel(1)
    replies: Channel[Any] = Channel(1)
    requests.send(value)
    requests.close()
    shared.run(do.echo, requests.receiver, replies.sender)
    got = replies.recv()
    assert got == value
    assert type(got) is type(value)


def test_memoryview_crosses_with_its_shape(shared: interpreters.Interpreter) -> None:
    """A memoryview keeps format, shape and values, sliced and cast too (RustPython got it wrong first)."""
    data = memoryview(bytearray(range(24)))
    views = [data, data[3:9], data[::2], data.cast("H"), data.cast("B", (4, 6)), data.cast("i"), data.toreadonly()]
    requests: Channel[Any] = Channel(len(views))
    replies: Channel[Any] = Channel(len(views))
    requests.send_many(views)
    requests.close()
    shared.run(do.echo, requests.receiver, replies.sender)
    for view in views:
        got = replies.recv()
        assert (got.tolist(), got.format, got.shape) == (view.tolist(), view.format, view.shape)


def test_queue_crosses_through_a_queue(shared: interpreters.Interpreter) -> None:
    """A queue sent through another is the same queue there: equal, same id."""
    mail: Channel[Any] = Channel(1)
    ch: Channel[Any] = Channel(2)
    mail.send(ch)
    shared.run("got = mail.recv(); got.send((got.id, got == other))", mail=mail.receiver, other=ch)
    assert ch.recv() == (ch.id, True)


def test_queue_is_full_and_empty() -> None:
    """put on a full and get on an empty queue fail without waiting, or after their timeout."""
    ch: Channel[int] = Channel(1)
    ch.send(1)
    with pytest.raises(csp.WouldBlock):
        ch.send_nowait(2)
    with pytest.raises(csp.Timeout):
        ch.send(2, timeout=0.01)
    assert ch.recv() == 1
    with pytest.raises(csp.WouldBlock):
        ch.recv_nowait()
    with pytest.raises(csp.Timeout):
        ch.recv(timeout=0.01)


def test_fraction_of_a_second_is_a_timeout() -> None:
    """gh-153005: `get(timeout=0.9)` returned at once, since the timeout was cut to an int."""
    ch: Channel[int] = Channel(1)
    party = Party(ch.recv, 0.9)
    wait_parked(ch, receivers=1)
    ch.send(1)
    assert party.result() == 1


def test_value_outlives_its_interpreter() -> None:
    """unbounditems: what an interpreter sent before it ended is still there, whole; it belongs to no interpreter."""
    ch: Channel[Any] = Channel(5)
    interp = interpreters.create()
    sent = ["x" * 5000, {"k": [1]}, b"y" * 100_000, 2**300]
    interp.run(do.send_all, ch.sender, sent)
    interp.run("out.send(memoryview(bytearray(b'z' * 100_000)))", out=ch.sender)
    interp.close()
    assert [ch.recv() for _ in sent] == sent
    assert bytes(ch.recv()) == b"z" * 100_000


def test_handle_of_an_ended_interpreter_is_given_up() -> None:
    """The handles that an interpreter held are closed by its end."""
    sender, receiver = csp.channel(1)
    interp = interpreters.create()
    interp.run("kept = handle", handle=sender)
    sender.close()
    with pytest.raises(csp.Timeout):
        receiver.recv(timeout=0)
    assert receiver.statistics().senders == 1
    interp.close()
    with pytest.raises(csp.EndOfChannel):
        receiver.recv(timeout=10)


def test_end_of_an_interpreter_wakes_who_waits() -> None:
    """A receiver that waits for an interpreter's handle is woken by the interpreter's end."""
    sender, receiver = csp.channel()
    interp = interpreters.create()
    interp.run("kept = handle", handle=sender)
    del sender
    party = Party(receiver.recv)
    wait_parked(receiver, receivers=1)
    interp.close()
    with pytest.raises(csp.EndOfChannel):
        party.result()


def test_lease_held_by_an_ended_interpreter_goes_back() -> None:
    """A value leased in an interpreter that ends goes back to the head of the channel, and the next lease counts it."""
    ch: Channel[str] = Channel(3)
    ch.send_many(["a", "b"])
    interp = interpreters.create()
    interp.run("lease = ch.lease(); value = lease.__enter__()", ch=ch.receiver)
    assert (len(ch), ch.statistics().received) == (1, 1)
    interp.close()
    wait_until(lambda: len(ch) == 2)
    lease = ch.lease()
    with lease as value:
        assert (value, lease.deliveries) == ("a", 2)


def test_undecodable_value_is_an_error_of_the_receiver(shared: interpreters.Interpreter) -> None:
    """gh-151892: a value that cannot be rebuilt where it arrives is DecodeError there, and the channel goes on."""
    ch: Channel[Any] = Channel(3)
    shared.run(
        "import sys, types\n"
        "module = sys.modules['only_here'] = types.ModuleType('only_here')\n"
        "exec('class Thing: pass', module.__dict__)\n"
        "out.send(module.Thing())\n"
        "out.send('next')\n",
        out=ch.sender,
    )
    with pytest.raises(csp.DecodeError) as caught:
        ch.recv()
    assert isinstance(caught.value.__cause__, ImportError)
    assert ch.recv() == "next"


def test_all_handles_of_a_queue_see_its_shutdown(shared: interpreters.Interpreter) -> None:
    """queue.shutdown: puts fail at once, gets drain and then fail, in every interpreter (gh-117531: getters were not woken)."""
    ch: Channel[int] = Channel(2)
    sender = ch.sender
    ch.send(1)
    party = Party(shared.run, do.receive_all, ch.receiver)
    wait_parked(ch, receivers=1)
    ch.close()
    assert party.result() == [1]
    assert shared.run(do.outcome, do.send, sender, 2) == "BrokenChannel"
