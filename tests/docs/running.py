"""How the examples and the code in the docs are run, and how what they print is compared."""

import difflib
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import csp

ROOT = Path(__file__).parent.parent.parent
LIMIT = 60  # seconds for one program
RECORD = "CSP_RECORD"  # set it to write the expected output instead of comparing


def run_script(script: Path, folder: Path) -> str:
    """What the script prints, in a process of its own in that folder; it must succeed, in time, and leave nothing on stderr."""
    where = str(Path(csp.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": where, "PYTHONWARNINGS": "error"}
    if not entry_points(group="pytest11", name="csp"):  # csp is not installed, but in this tree
        environment["PYTEST_PLUGINS"] = "_csp_pytest"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=LIMIT, env=environment, cwd=folder)
    assert (done.returncode, done.stderr) == (0, ""), f"status {done.returncode}, output {done.stdout!r}\n{done.stderr}"
    return done.stdout


def compare(printed: str, expected: Path) -> None:
    if os.environ.get(RECORD):
        expected.parent.mkdir(exist_ok=True)
        expected.write_text(printed)
    wanted = expected.read_text() if expected.exists() else ""
    difference = "\n".join(difflib.unified_diff(wanted.splitlines(), printed.splitlines(), "expected", "printed", lineterm=""))
    assert not difference, f"{difference}\n(after a look at it, {RECORD}=1 writes it down as expected)"


class Program:
    """A Python block of a Markdown page."""

    def __init__(self, line: int, source: str, comment: str) -> None:
        self.line = line  # where its first line stands in the page
        self.source = source
        self.is_run = not comment.startswith("not run: ")
        self.any_order = comment == "any order"

    def output(self, printed: str) -> str:
        """What is compared: with `<!-- any order -->` before the block, the lines sorted."""
        return "".join(sorted(printed.splitlines(keepends=True))) if self.any_order else printed


def programs(page: Path) -> list[Program]:
    """The Python blocks of a page that run: not those after a comment `<!-- not run: reason -->`."""
    found = []
    text = page.read_text(encoding="utf-8")
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.M | re.S):
        comment = re.search(r"<!-- ([^\n]*) -->\s*$", text[: block.start()])
        found.append(Program(text.count("\n", 0, block.start()) + 2, block[1], comment[1] if comment else ""))
    return [program for program in found if program.is_run]
