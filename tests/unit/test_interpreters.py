"""csp.interpreters: run, results, errors, and a life cycle that no race can crash."""

import os
import signal
import threading
import time

import pytest

import csp
from csp import interpreters
from csp.testing import wait_parked, wait_until
from tests.unit import actor_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def interp(request):
    """An interpreter that is closed afterwards."""
    made = interpreters.create()
    yield made
    wait_until(lambda: not made.is_running())
    made.close()
    request.node.funcargs.pop("interp", None)  # it would keep the record until no_leaks has looked


def test_source_binds_names_that_stay(interp):
    """A run of source returns None; what it binds is there for the next one."""
    assert interp.run("x = 20") is None
    channel = csp.Channel(1)
    interp.run("out.send(x + 1)", out=channel.sender)
    assert channel.recv(10) == 21


def test_shared_values_are_bound_before_the_source_runs(interp):
    """Keyword arguments become names in __main__, copied."""
    data = [1, 2]
    channel = csp.Channel(1)
    interp.run("data.append(3); out.send(data)", data=data, out=channel)
    assert channel.recv(10) == [1, 2, 3]
    assert data == [1, 2]


def test_function_returns_its_value(interp):
    """run(function, *args, **kwargs) calls it there."""
    assert interp.run(bodies.times, 6, b=7) == 42
    assert interp.run(divmod, 7, 2) == (3, 1)
    assert interp.run(os.getpid) == os.getpid()


def test_module_state_is_its_own(interp):
    """A change in one interpreter's module is not seen in another."""
    interp.run("import csp; csp.marked = True")
    assert not hasattr(csp, "marked")


def test_bad_code_is_refused(interp):
    """Source takes no positional arguments; anything but source and callables is a TypeError."""
    with pytest.raises(TypeError, match="positional"):
        interp.run("pass", 1)
    with pytest.raises(TypeError, match="int"):
        interp.run(3)


def test_unshareable_argument_is_refused_before_anything_runs(interp):
    """NotShareable is a ValueError, and the interpreter stays idle."""
    with pytest.raises(ValueError) as caught:
        interp.run("x = 1", value=(i for i in ()))
    assert isinstance(caught.value, csp.NotShareable)
    assert not interp.is_running()
    with pytest.raises(interpreters.RunFailed, match="NameError"):
        interp.run("x")


def test_uncaught_exception_is_run_failed(interp):
    """With the snapshot, the original as cause, and the interpreter usable afterwards."""
    with pytest.raises(interpreters.RunFailed, match="ZeroDivisionError") as caught:
        interp.run("def f():\n    1 / 0\nf()")
    assert isinstance(caught.value, csp.CspError)
    assert caught.value.remote.type_name == "ZeroDivisionError"
    assert "in f" in caught.value.remote.traceback
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert interp.run(bodies.times, 2) == 4


@pytest.mark.parametrize("source", ["raise SystemExit(3)", "raise KeyboardInterrupt", "def f(:"])
def test_any_base_exception_is_run_failed(interp, source):
    """SystemExit, KeyboardInterrupt and syntax errors end the run, not the interpreter or the process."""
    with pytest.raises(interpreters.RunFailed):
        interp.run(source)
    assert interp.run(bodies.times, 2) == 4


def test_result_that_does_not_cross_is_run_failed(interp):
    """The remote error says NotShareable."""
    with pytest.raises(interpreters.RunFailed) as caught:
        interp.run(bodies.unshareable_result)
    assert caught.value.remote.type_name == "csp.NotShareable"


def test_running_one_refuses_run_and_close(interp):
    """RuntimeError for a second run and for close while one is going on."""
    gate, results = csp.Channel(), csp.Channel(1)
    thread = threading.Thread(target=lambda: results.send(interp.run(bodies.wait_for, gate.receiver)))
    thread.start()
    wait_parked(gate, receivers=1)
    assert interp.is_running()
    with pytest.raises(RuntimeError, match="already running"):
        interp.run("pass")
    with pytest.raises(RuntimeError, match="running"):
        interp.close()
    gate.send(None)
    assert results.recv(10) == "went on"
    thread.join()


def test_close_is_idempotent_and_final():
    """A closed interpreter refuses to run, is not running and not listed; closing again is fine."""
    interp = interpreters.create()
    assert interp in interpreters.list_all()
    interp.close()
    interp.close()
    assert not interp.is_running()
    assert interp not in interpreters.list_all()
    with pytest.raises(RuntimeError, match="closed"):
        interp.run("pass")


def test_context_manager_closes():
    """Leaving the block ends it."""
    with interpreters.create() as interp:
        interp.run("pass")
    with pytest.raises(RuntimeError, match="closed"):
        interp.run("pass")


def test_current_and_main_cannot_be_run_or_closed():
    """They are running, always."""
    for interp in (interpreters.get_main(), interpreters.get_current()):
        assert interp.id == 0
        assert interp.is_running()
        with pytest.raises(RuntimeError):
            interp.run("pass")
        with pytest.raises(RuntimeError):
            interp.close()
    assert interpreters.list_all() == [interpreters.get_main()]


def test_interpreter_knows_itself(interp):
    """get_current, get_main and list_all tell the same from inside; the current one cannot be run or closed."""
    source = """
from csp import interpreters
me = interpreters.get_current()
refused = 0
for refuse in (me.close, lambda: me.run("pass")):
    try:
        refuse()
    except RuntimeError:
        refused += 1
out.send((me.id, interpreters.get_main().id, sorted(i.id for i in interpreters.list_all()), refused))
"""
    channel = csp.Channel(1)
    interp.run(source, out=channel)
    assert channel.recv(10) == (interp.id, 0, [0, interp.id], 2)


def test_interpreters_of_actors_are_listed_and_left_alone():
    """They are running: neither run nor close touches them."""
    ref = csp.spawn(bodies.block)
    (listed,) = [interp for interp in interpreters.list_all() if interp.id != 0]
    assert listed.is_running()
    with pytest.raises(RuntimeError):
        listed.run("pass")
    with pytest.raises(RuntimeError):
        listed.close()
    assert ref.alive
    ref.stop()


def test_equal_and_hashable(interp):
    """The same interpreter found twice is equal to itself."""
    (found,) = [other for other in interpreters.list_all() if other.id == interp.id]
    assert found == interp
    assert hash(found) == hash(interp)
    assert found != interpreters.get_main()
    assert str(interp.id) in repr(interp)


def test_current_actor_is_no_actor(interp):
    """Code of csp.interpreters is not an actor."""
    with pytest.raises(interpreters.RunFailed, match="outside"):
        interp.run(bodies.look_at_itself)


def test_interpreter_ends_with_the_one_that_created_it():
    """What is created inside an interpreter is closed with it."""
    with interpreters.create() as outer:
        outer.run("from csp import interpreters; inner = interpreters.create()")
        assert len(interpreters.list_all()) == 3
    assert interpreters.list_all() == [interpreters.get_main()]


@pytest.mark.parametrize("body", [bodies.spin, bodies.block], ids=["spinning", "blocked"])
def test_ctrl_c_ends_the_wait(body):
    """KeyboardInterrupt within 100 ms in the caller; it is raised in the running Python code too."""
    interp = interpreters.create()
    if body is bodies.block:  # a wait in csp is not broken off: let the code go on by a channel
        gate = csp.Channel()
        code, args = bodies.wait_for, (gate.receiver,)
        wait = lambda: wait_parked(gate, receivers=1)  # noqa: E731
    else:
        up = csp.Channel(1)
        code, args = bodies.spin, (up.sender,)
        wait = lambda: up.recv(10)  # noqa: E731
    sent = []

    def interrupt():
        wait()
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        interp.run(code, *args)
    late = time.monotonic() - sent[0]
    thread.join()
    assert late < 1.0  # the promise is 0.1; a loaded machine gets more
    if body is bodies.block:
        assert interp.is_running()
        gate.send(None)
    wait_until(lambda: not interp.is_running())
    interp.close()


def test_racing_run_close_and_list_never_crash():
    """Many threads create, run, close, list and look at the same interpreters: only the documented errors come out."""
    shared: list[interpreters.Interpreter] = [interpreters.create() for _ in range(3)]
    odd: list[BaseException] = []
    deadline = time.monotonic() + 3.0
    counts = {"ran": 0, "refused": 0, "closed": 0}

    def work(seed):
        n = seed
        while time.monotonic() < deadline:
            n = n * 1103515245 + 12345 & 0x7FFFFFFF
            slot = n // 7 % len(shared)
            try:
                match n // 64 % 8:
                    case 0:
                        shared[slot].close()
                        counts["closed"] += 1
                        shared[slot] = interpreters.create()
                    case 1:
                        interpreters.list_all()
                    case 2:
                        shared[slot].is_running()
                    case _:
                        shared[slot].run("x = 1")
                        counts["ran"] += 1
            except RuntimeError as error:
                if "running" in str(error) or "closed" in str(error) or "ended" in str(error):
                    counts["refused"] += 1
                else:
                    odd.append(error)
            except BaseException as error:
                odd.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for interp in interpreters.list_all()[1:]:
        interp.close()
    assert odd == []
    assert min(counts.values()) > 0, counts
