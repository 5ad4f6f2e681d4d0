"""Every example ends by itself, says nothing on stderr, and prints what it is said to print."""

from pathlib import Path

import pytest
from docs.running import ROOT, compare, run_script

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_example_prints_what_is_expected(script: Path, tmp_path: Path) -> None:
    """The output of an example is the one kept in examples/expected; what files it writes go to where it is run."""
    compare(run_script(script, tmp_path), script.parent / "expected" / f"{script.stem}.txt")


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_example_is_short_and_introduces_itself(script: Path) -> None:
    """An example has 20 to 80 lines and begins with a sentence."""
    lines = script.read_text().splitlines()
    assert 20 <= len(lines) <= 80
    assert lines[0].startswith('"""')
    assert ". " in " ".join(lines[:3]) or lines[0].rstrip('"').endswith(".")


def test_every_example_is_in_the_readme() -> None:
    """examples/README.md lists each example, and no expected output is without its program."""
    readme = (ROOT / "examples/README.md").read_text()
    names = {script.stem for script in EXAMPLES}
    assert {name for name in names if f"({name}.py)" in readme} == names
    assert {path.stem for path in (ROOT / "examples/expected").glob("*.txt")} == names
