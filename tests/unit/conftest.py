"""Isolation as a parameter: the same test with actors in interpreters of their own, and as threads of this one."""

from collections.abc import Callable
from typing import Any

import pytest

from csp import actors


@pytest.fixture(params=["interpreter", "thread"])
def isolation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What an actor that does not say it gets, here and in all that runs in this interpreter."""
    wanted: str = request.param
    start: Callable[..., Any] = actors.start

    def start_isolated(target: Any, *args: Any, isolation: str | None = None, **options: Any) -> Any:
        return start(target, *args, isolation=isolation or actors._options(target).get("isolation") or wanted, **options)

    monkeypatch.setattr(actors, "start", start_isolated)
    return wanted
