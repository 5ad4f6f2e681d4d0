"""The pytest plugin: what its fixtures say of leaks, the ini option, the marker, and that it costs nothing where it is not used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import csp
from csp import _core
from csp.testing import LeakCheck

pytest_plugins = ["pytester"]

LEAKY = """
import pytest
import csp

kept = []

def serve():
    csp.current_actor().inbox.recv()

def make_orders():
    return csp.Channel(3, name="orders")

def test_channel():
    kept.append(make_orders())

def test_lock():
    kept.append(csp.sync.Lock())

def test_actor():
    kept.append(csp.spawn(serve, name="server", isolation="thread"))

def test_interpreter():
    kept.append(csp.interpreters.create())

def test_buffer():
    kept.append(csp.SharedBuffer(4096))

@pytest.mark.csp_may_leak
def test_marked():
    kept.append(csp.Channel())

def test_clean():
    with csp.Channel(1) as ch:
        ch.send(1)

def test_fails():
    ch = csp.Channel()
    assert False, "the news"
"""


@pytest.fixture
def plugin(request: pytest.FixtureRequest) -> list[str]:
    """The arguments by which a pytest of our own has the plugin: none where csp is installed."""
    manager = request.config.pluginmanager
    return ["-p", "no:randomly"] + ([] if manager.get_plugin("csp") is not None else ["-p", "_csp_pytest"])


def end_actors() -> None:
    for ref in _core.list_actors():
        ref.kill()


def test_each_leak_fails_its_test_and_is_named(pytester: pytest.Pytester, plugin: list[str]) -> None:
    """With csp_leak_check every test is held to it, but for marked ones; the message has names, and the lines that made it."""
    pytester.makeini("[pytest]\ncsp_leak_check = true\ncsp_leak_timeout = 0.05\n")
    path = pytester.makepyfile(test_leaky=LEAKY)
    try:
        result = pytester.runpytest_inprocess("-q", *plugin)
    finally:
        end_actors()
    result.assert_outcomes(passed=7, failed=1, errors=5)
    line = {text.strip(): n for n, text in enumerate(path.read_text().splitlines(), 1)}
    place = f"{path}:{line['return csp.Channel(3, name="orders")']} in make_orders"
    result.stdout.fnmatch_lines_random([
        "left behind: 1 channel",
        f"  channel 'orders' (id *), made at {place}; 1 sending handle, 1 receiving handle, 0 values",
        f"  Lock (id *), made at {path}:{line['kept.append(csp.sync.Lock())']} in test_lock; 1 handle",
        "left behind: 1 actor, *",
        "left behind: 1 actor, * 1 interpreter*",
        "left behind: 1 channel, 1 block, 1 buffer",
        f"  SharedBuffer (id *), made at {path}:{line['kept.append(csp.SharedBuffer(4096))']} in test_buffer; 1 handle",
        f"  actor 'server' (id *), spawned at {path}:{line['kept.append(csp.spawn(serve, name="server", isolation="thread"))']} in test_actor",
        "E * the news",
    ])  # fmt: skip
    result.stdout.no_fnmatch_line("*of one that has failed*")


def test_without_the_option_nothing_is_checked(pytester: pytest.Pytester, plugin: list[str]) -> None:
    """A test that does not ask is not checked, and one that does is; `csp_spawn` ends what the test left; the clock goes on."""
    pytester.makepyfile(
        test_some="""
        import csp
        import pytest

        kept = []

        def serve():
            csp.current_actor().inbox.recv()

        def test_unchecked():
            kept.append(csp.Channel())

        @pytest.fixture
        def orders():
            return csp.Channel()

        def test_a_fixtures_value_is_no_leak(orders, csp_no_leaks):
            orders.close()

        def test_actor(csp_no_leaks, csp_spawn):
            assert csp_spawn(serve, isolation="thread", name="one") == csp.whereis("one")

        def test_clock(csp_clock):
            csp_clock.advance(3600)
            assert False

        def test_clock_again(csp_clock):
            assert csp_clock.waits() == []
        """
    )
    result = pytester.runpytest_inprocess("-q", *plugin)
    result.assert_outcomes(passed=4, failed=1)
    assert csp.whereis("one") is None
    assert not _core.clock_stands()


def test_who_does_not_use_it_does_not_import_csp(tmp_path: Path) -> None:
    """The plugin is loaded by every pytest where csp is installed: it imports nothing but pytest."""
    (tmp_path / "test_plain.py").write_text("def test_plain(): import sys; assert 'csp' not in sys.modules and '_csp_pytest' in sys.modules\n")
    root = str(Path(csp.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    arguments = [sys.executable, "-m", "pytest", "-q", "-p", "_csp_pytest", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(arguments, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_distribution_registers_it() -> None:
    """The entry point of pytest plugins, by the name csp."""
    import tomllib

    path = Path(__file__).parent.parent.parent / "pyproject.toml"
    assert tomllib.loads(path.read_text())["project"]["entry-points"]["pytest11"] == {"csp": "_csp_pytest"}


def test_a_leak_check_without_pytest() -> None:
    """`with LeakCheck()` raises AssertionError for what the block left, waits for what is going, and lets an exception pass."""
    kept: list[csp.Channel[int]] = []
    with LeakCheck():
        with csp.Channel[int](1) as ch:
            ch.send(1)
        del ch
    with pytest.raises(AssertionError, match="left behind: 1 channel\n  channel 'kept' .*test_pytest_plugin.py:[0-9]+ in .*pytest"):
        with LeakCheck(timeout=0.01):
            kept.append(csp.Channel(name="kept"))
    with pytest.raises(ZeroDivisionError), LeakCheck(timeout=0.01):
        kept.append(csp.Channel())
        raise ZeroDivisionError
    assert not _core.trace_origins(False)  # it was switched off again


def test_the_repositorys_own_fixture_is_the_plugins(no_leaks: None, request: pytest.FixtureRequest) -> None:
    """`no_leaks` of the conftest is `csp_no_leaks`."""
    assert "csp_no_leaks" in request.fixturenames
