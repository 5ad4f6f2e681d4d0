"""Names: unique, found from everywhere, free when the end is announced, kept over restarts."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import csp
from csp import actors
from tests.unit import class_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks", "isolation")


def test_given_name_is_registered():
    """whereis finds it, and gives the same actor."""
    ref = csp.spawn(bodies.Counter, name="registered")
    assert csp.whereis("registered") == ref
    ref.stop()


def test_default_name_is_registered_too():
    """Every actor has a name: unique, made from the definition's."""
    one, two = bodies.Counter.spawn(), bodies.Counter.spawn()
    assert one.name != two.name
    assert one.name.startswith("Counter-")
    assert csp.whereis(one.name) == one
    assert csp.whereis(two.name) == two
    one.stop()
    two.stop()


def test_unknown_name_is_none():
    """No error: None."""
    assert csp.whereis("nobody of that name") is None


def test_second_live_actor_of_a_name_is_a_value_error():
    """ValueError, and nothing was started."""
    ref = csp.spawn(bodies.Counter, name="taken")
    with pytest.raises(ValueError, match="taken"):
        csp.spawn(bodies.Counter, name="taken")
    assert csp.whereis("taken") == ref
    ref.stop()


def test_whereis_works_from_any_interpreter():
    """An actor finds another by its name, and what it finds is the same reference."""
    ref = csp.spawn(bodies.Counter, name="findable")
    assert csp.spawn(bodies.find, "findable").result(20) == ref
    ref.stop()
    assert csp.spawn(bodies.find, "findable").result(20) is None


@pytest.mark.parametrize("how", ["stop", "kill", "drain"])
def test_name_is_free_before_the_end_is_announced(how):
    """Whoever hears of the end can take the name at once."""
    for _ in range(5):
        ref = csp.spawn(bodies.Counter, name="reused")
        getattr(ref, how)()
        assert csp.whereis("reused") is None


def test_monitor_can_spawn_under_the_same_name():
    """The same seen through `exited`, by another thread."""
    ref = csp.spawn(bodies.Counter, name="handed on")
    monitor = ref.exited
    found = []

    def follow():
        monitor.recv(20)
        found.append(csp.spawn(bodies.Counter, name="handed on"))

    thread = threading.Thread(target=follow)
    thread.start()
    ref.kill()
    thread.join(20)
    assert found[0].alive
    assert found[0] != ref
    found[0].stop()


def test_name_is_kept_between_lives():
    """While another life may follow, whereis finds the actor, and nobody else can take the name."""
    ref, started = actors.start(bodies.Counter, (), {}, name="kept", keep=2)
    actors.await_start(ref, started, 20)
    ref.kill()
    assert csp.whereis("kept") == ref
    with pytest.raises(ValueError, match="kept"):
        csp.spawn(bodies.Counter, name="kept")
    actors.await_start(ref, actors.restart(ref, bodies.Counter, (), {}), 20)
    assert csp.whereis("kept") == ref
    ref._keep(0)
    ref.stop()
    assert csp.whereis("kept") is None


def test_one_of_many_that_spawn_one_name_wins():
    """spawn with a name is atomic: of ten threads one gets the actor, the others ValueError."""

    def attempt(_):
        try:
            return csp.spawn(bodies.Counter, name="the one")
        except ValueError:
            return None

    with ThreadPoolExecutor(10) as pool:
        won = [ref for ref in pool.map(attempt, range(10)) if ref is not None]
    assert len(won) == 1
    assert csp.whereis("the one") == won[0]
    won[0].stop()


def test_get_or_spawn_loop_finds_one_actor():
    """whereis, else spawn, else again: all get the same actor, and none of them a dead one."""

    def claim(_):
        return int(bodies.claim("shared", None))

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(claim, range(16)))
    assert answers == list(range(1, 17))
    csp.whereis("shared").stop()
