"""The types that users see: programs that must be accepted, and mistakes that must be found."""

import re
from pathlib import Path

import pytest

mypy_api = pytest.importorskip("mypy.api", reason="mypy is not installed for this Python")

FOLDER = Path(__file__).parent / "typing"


def check(name: str, cache: Path) -> list[tuple[int, str]]:
    """(line, code) of each error that mypy finds in the file."""
    arguments = ["--strict", "--config-file=", f"--cache-dir={cache}", "--no-error-summary", "--hide-error-context", str(FOLDER / name)]
    out, err, status = mypy_api.run(arguments)
    assert status in (0, 1), out + err
    return [(int(line), code) for line, code in re.findall(rf"{re.escape(name)}:(\d+): error: .*\[([\w-]+)\]$", out, re.M)]


def test_correct_programs_are_accepted(tmp_path: Path) -> None:
    """A strict check of a correct program finds nothing."""
    assert check("accepted.py", tmp_path) == []


def test_mistakes_are_found(tmp_path: Path) -> None:
    """Each marked line of rejected.py is an error of the kind it names, and no other line is."""
    lines = (FOLDER / "rejected.py").read_text().splitlines()
    expected = [(number, match[1]) for number, line in enumerate(lines, 1) if (match := re.search(r"# expect: ([\w-]+)$", line))]
    assert check("rejected.py", tmp_path) == expected
