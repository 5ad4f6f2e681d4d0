"""Measuring functions that go wrong; in a module of their own, so that they cross to the workers by reference."""

import os
from typing import Any

import csp
from csp.demo.measure import measure_file


def raises_at_bad(path: str, name: str) -> dict[str, Any]:
    """Fail as a bug in a worker would, at the file bad.py."""
    if name.endswith("bad.py"):
        raise ZeroDivisionError(f"cannot measure {name}")
    return measure_file(path, name)


def raises_at_bad_once(path: str, name: str) -> dict[str, Any]:
    """Fail as above, but only in the first life that comes to it."""
    if name.endswith("bad.py"):
        try:
            os.close(os.open(path + ".seen", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            raise ZeroDivisionError(f"cannot measure {name}")
    return measure_file(path, name)


def dawdles(path: str, name: str) -> dict[str, Any]:
    """Take long enough for a kill to find a worker at it."""
    csp.sleep(0.05)
    return measure_file(path, name)


def forgets_the_size(path: str, name: str) -> dict[str, Any]:
    """Give figures that the aggregator cannot add up."""
    return {"path": name}


def exits(path: str, name: str) -> dict[str, Any]:
    """End the worker as sys.exit does."""
    raise SystemExit(3)
