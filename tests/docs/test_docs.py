"""The Python code in the README and the docs runs as it stands there, and prints what is kept in tests/docs/expected.

Each block is a program of its own, written to a file, since actors import the file that they are defined in.  A block that
cannot run stands after a comment `<!-- not run: reason -->`; one whose lines may come in any order after `<!-- any order -->`.
"""

import ast
from pathlib import Path

import pytest
from docs.running import ROOT, Program, compare, programs, run_script

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCKS = {
    f"{page.relative_to(ROOT).with_suffix('').as_posix().replace('/', '.')}.{n}": program
    for page in PAGES
    for n, program in enumerate(programs(page), 1)
}
EXPECTED = ROOT / "tests/docs/expected"

each_block = pytest.mark.parametrize(("name", "program"), BLOCKS.items(), ids=list(BLOCKS))


@each_block
def test_code_in_the_docs_runs(name: str, program: Program, tmp_path: Path) -> None:
    """A block runs by itself, ends, and prints what is expected."""
    script = tmp_path / "program.py"
    script.write_text("\n" * (program.line - 1) + program.source)  # tracebacks then name the line of the page
    compare(program.output(run_script(script, tmp_path)), EXPECTED / f"{name}.txt")


@each_block
def test_comments_that_tell_the_output_are_right(name: str, program: Program) -> None:
    """Where a line `print(...)` ends in a comment that is a value, that value is printed."""
    printed = (EXPECTED / f"{name}.txt").read_text().splitlines()
    for text in program.source.splitlines():
        code, _, comment = text.partition("#")
        if code.strip().startswith("print(") and is_value(comment.strip()):
            assert comment.strip() in printed, f"{name} says that {code.strip()} prints {comment.strip()}"


def is_value(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return False
    return True


def test_there_is_code_in_the_docs() -> None:
    """The pages are found, and every expected output still has its block."""
    assert len(BLOCKS) > 10
    assert {path.stem for path in EXPECTED.glob("*.txt")} == set(BLOCKS)
