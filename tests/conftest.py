"""What all tests share: the seed, the hard limit of a test, and the count of what it leaves behind."""

import compileall
import gc
import os
import random
from collections.abc import Iterator
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
    if not config.pluginmanager.hasplugin("csp"):  # not installed, but in this tree
        config.pluginmanager.import_plugin("_csp_pytest")
    if getattr(config.option, "hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(SEED)


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {SEED} (CSP_SEED={SEED} repeats it); hard limit of a test: {config.getini('faulthandler_timeout')} s"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A number that differs from test to test and from run to run, and that CSP_SEED repeats."""
    return random.Random(f"{SEED} {request.node.nodeid}").randrange(2**32)


@pytest.fixture
def stress() -> float:
    """What part of its full length a long stress test is to have: the sanitizers, which multiply the time it takes, set less than 1."""
    return float(os.environ.get("CSP_STRESS", "1"))


@pytest.fixture
def no_leaks(csp_no_leaks: None) -> None:
    """The test leaves no actor, channel, interpreter, blob or block behind."""


@pytest.fixture(scope="module", autouse=True)
def no_interpreters_left() -> Iterator[None]:
    """A test module leaves no interpreter running: they cost memory, and slow down whatever is measured next."""
    from csp import testing

    before = testing.census()["interpreters"]
    yield
    testing.wait_until(
        lambda: testing.census()["interpreters"] <= before or (gc.collect(), testing.census()["interpreters"])[1] <= before,
        what="the end of all interpreters of this module's tests",
    )
