"""What all tests share: the seed, the hard limit of a test, and the count of what it leaves behind."""

import compileall
import gc
import os
import random
import time
from collections.abc import Generator, Iterator
from importlib.util import find_spec

import hypothesis
import pytest

SEED = int(os.environ.get("CSP_SEED") or random.SystemRandom().randrange(2**32))

hypothesis.settings.register_profile("csp", deadline=None, print_blob=True, max_examples=50)
hypothesis.settings.register_profile("thorough", parent=hypothesis.settings.get_profile("csp"), max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("CSP_HYPOTHESIS", "csp"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """One seed for the whole run, hypothesis included, unless the command line gives hypothesis its own."""
    if config.pluginmanager.hasplugin("timeout"):
        raise pytest.UsageError("pytest-timeout aborts the process while interpreters live (CPython 3.13): pass -p no:timeout")
    # Where PYTHONDONTWRITEBYTECODE is set, every interpreter would compile csp again, and each spawn take ten times as long.
    spec = find_spec("csp")
    if spec is not None and spec.submodule_search_locations:
        compileall.compile_dir(spec.submodule_search_locations[0], quiet=2)
    if getattr(config.option, "hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(SEED)


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {SEED} (CSP_SEED={SEED} repeats it); hard limit of a test: {config.getini('faulthandler_timeout')} s"


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A number that differs from test to test and from run to run, and that CSP_SEED repeats."""
    return random.Random(f"{SEED} {request.node.nodeid}").randrange(2**32)


def settled_census(baseline: dict[str, int], limit: float = 10.0) -> dict[str, int]:
    """The census, once nothing in it is above `baseline` or after `limit` seconds: an interpreter's end is not instantaneous."""
    from csp import _core

    deadline = time.monotonic() + limit
    while True:
        gc.collect()
        now: dict[str, int] = dict(_core.census())
        if all(now[what] <= baseline[what] for what in baseline) or time.monotonic() > deadline:
            return now
        time.sleep(0.005)


@pytest.fixture
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test leaves no channel, interpreter, blob or block behind."""
    from csp import _core

    gc.collect()
    before = dict(_core.census())
    yield
    if request.node.stash.get(FAILED, False):
        return  # the traceback keeps alive what the test held
    after = settled_census(before)
    left = {what: after[what] - before[what] for what in before if after[what] > before[what]}
    assert not left, f"left behind: {left}"


@pytest.fixture(scope="module", autouse=True)
def no_interpreters_left() -> Iterator[None]:
    """A test module leaves no interpreter running: they cost memory, and slow down whatever is measured next."""
    from csp import _core

    before = {"interpreters": _core.census()["interpreters"]}
    yield
    after = settled_census(before)
    assert after["interpreters"] <= before["interpreters"], "a test of this module left an interpreter alive"
