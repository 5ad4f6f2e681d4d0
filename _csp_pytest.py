"""The pytest plugin of csp-actors, registered by its entry point.

It stands outside of the package so that pytest can load it without importing csp: that is done by the first fixture that is used.

- `csp_no_leaks`: the test leaves no actor, channel, interpreter or message behind.  With the ini option `csp_leak_check = true` every
  test is held to that, but for those marked `csp_may_leak`.
- `csp_clock`: time stands still, and the test moves it.
- `csp_spawn`: as `csp.spawn`; what was spawned is killed at the end of the test.
"""

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from csp.testing import VirtualClock

__all__ = ["csp_clock", "csp_no_leaks", "csp_spawn"]

_FAILED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("csp_leak_check", "csp: fail every test that leaves actors, channels or interpreters behind", type="bool", default=False)
    parser.addini("csp_leak_timeout", "csp: seconds for what a test leaves to come to its end", default="10")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "csp_may_leak: csp_leak_check is not about this test")
    if config.getini("csp_leak_check"):
        config.pluginmanager.register(_EveryTest(), "csp_leak_check")


class _EveryTest:
    @pytest.fixture(autouse=True)
    def _csp_leak_check(self, request: pytest.FixtureRequest) -> None:
        if request.node.get_closest_marker("csp_may_leak") is None:
            request.getfixturevalue("csp_no_leaks")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when != "teardown" and report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture
def csp_no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test if it leaves actors, channels, interpreters or messages behind; say which, and where they were made."""
    from csp.testing import LeakCheck

    with LeakCheck(float(request.config.getini("csp_leak_timeout"))) as check:
        yield
        if request.node.stash.get(_FAILED, False):
            check.forget()  # the traceback keeps alive what the test's frames held
        if check.grown():
            getattr(request.node, "funcargs", {}).clear()  # the values of fixtures that are over
        if left := check.left():
            pytest.fail(left, pytrace=False)


@pytest.fixture
def csp_clock() -> "Iterator[VirtualClock]":
    """Time stands still for all of csp, and `csp_clock.advance(seconds)` moves it; see `csp.testing.VirtualClock`."""
    from csp.testing import VirtualClock

    with VirtualClock() as clock:
        yield clock


@pytest.fixture
def csp_spawn() -> "Iterator[Callable[..., Any]]":
    """As `csp.spawn`; at the end of the test what was spawned is killed, which does nothing to what has ended."""
    import csp

    refs: list[Any] = []

    def spawn(*args: Any, **kwargs: Any) -> Any:
        refs.append(csp.spawn(*args, **kwargs))
        return refs[-1]

    yield spawn
    while refs:
        refs.pop().kill()
