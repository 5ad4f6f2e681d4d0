"""csp/demo/measure.py, walk.py, totals.py: what is counted in a file, and how it adds up."""

import os
import random
import subprocess
import sys
import textwrap
import tokenize
import warnings
from pathlib import Path

import pytest

import csp
from csp.demo.measure import measure_file, measure_source
from csp.demo.reference import count
from csp.demo.totals import LONGEST, Totals
from csp.demo.walk import base, walk

from .conftest import ODD_FILES

SOURCE = b'''\
# A comment.
"""A docstring

of three lines."""

import os  # a comment beside code


class Outer:
    def method(self):
        if True:
            def inner(): return os
        # a comment inside
        return inner

    class Nested:
        async def method(self):
            return f"""one {
                1 + 1} two"""
'''


def test_counts_of_a_small_file() -> None:
    """Lines by kind, tokens, functions and classes are what one counts by hand."""
    figures = measure_source(SOURCE, "small.py")
    assert figures["problem"] is None
    assert figures["bytes"] == len(SOURCE)
    assert {key: figures[key] for key in ("lines", "code", "comment", "blank")} == {"lines": 19, "code": 13, "comment": 2, "blank": 4}
    assert (figures["functions"], figures["classes"]) == (3, 2)
    assert figures["longest"] == [
        (5, "Outer.method", 10),
        (3, "Outer.Nested.method", 17),
        (1, "Outer.method.inner", 12),
    ]


def test_tokens_leave_out_comments_and_layout() -> None:
    """`x = 1` has three tokens, whatever surrounds it."""
    assert measure_source(b"x = 1", "")["tokens"] == 3
    assert measure_source(b"# one\n\nif y:  # two\n    x = 1\n", "")["tokens"] == 6


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        (b"", (0, 0, 0, 0)),
        (b"\n", (1, 0, 0, 1)),
        (b"x", (1, 1, 0, 0)),
        (b"#", (1, 0, 1, 0)),
        (b"\n\n#\nx\n", (4, 1, 1, 2)),
        (b"x = '''\n\n'''\n", (3, 3, 0, 0)),
        (b"x = [\n\n    # why\n    1]\n", (4, 2, 1, 1)),
        (b"def f():\r\n    return 1\r\n", (2, 2, 0, 0)),
        (b"def f():\r    return 1\r", (2, 2, 0, 0)),
        (b"x\f\n", (1, 1, 0, 0)),
    ],
)
def test_lines_are_code_comment_or_blank(source: bytes, kinds: tuple[int, ...]) -> None:
    """Each line is of exactly one kind; a line inside a string is code."""
    figures = measure_source(source, "")
    assert tuple(figures[key] for key in ("lines", "code", "comment", "blank")) == kinds


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("syntax_error.py", "syntax"),
        ("null.py", "syntax"),
        ("unfinished.py", "syntax"),
        ("unknown_encoding.py", "encoding"),
        ("not_utf8.py", "encoding"),
        ("codec_without_text.py", "encoding"),
        ("latin1.py", None),
        ("bom.py", None),
        ("empty.py", None),
        ("bad_escape.py", None),
    ],
)
def test_problems_are_counted_not_raised(name: str, problem: str | None) -> None:
    """A file that cannot be decoded or parsed has a problem and a message, and no other counts."""
    figures = measure_source(ODD_FILES[name], name)
    assert figures["problem"] == problem
    assert set(figures) == {"path", "bytes", "problem", "message"} if problem else "lines" in figures


def test_too_deep_is_a_problem_of_its_own() -> None:
    """What is nested too deeply for the parser is a problem, and does not end the worker."""
    assert measure_source(b"-" * 200_000 + b"1\n", "deep.py")["problem"] in ("depth", "syntax")


def test_a_file_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    """A file that vanished between the walk and the measuring is counted as unreadable."""
    assert measure_file(str(tmp_path / "gone.py"), "gone.py") == {
        "path": "gone.py",
        "bytes": 0,
        "problem": "unreadable",
        "message": os.strerror(2),
    }


def test_warnings_of_the_source_are_no_errors() -> None:
    """An invalid escape neither warns nor fails, also where warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert measure_source(ODD_FILES["bad_escape.py"], "")["problem"] is None


def test_own_source_agrees_with_tokenize(seed: int) -> None:
    """For files of the standard library: code lines are those on which a token other than layout and comments lies."""
    files = sorted(Path(tokenize.__file__).parent.glob("*.py"))
    for path in random.Random(seed).sample(files, 5):
        rows: set[int] = set()
        with tokenize.open(path) as file:
            for token in tokenize.generate_tokens(file.readline):
                if tokenize.tok_name[token.type] not in ("NL", "NEWLINE", "INDENT", "DEDENT", "COMMENT", "ENDMARKER"):
                    rows.update(range(token.start[0], token.end[0] + 1))
        assert measure_file(str(path), path.name)["code"] == len(rows), path


def test_walk_is_sorted_and_skips(tree: Path) -> None:
    """Hidden folders, __pycache__, links to folders and named folders are not entered; the order is fixed."""
    (tree / "link").symlink_to(tree / "part0", target_is_directory=True)
    os.mkfifo(tree / "fifo.py")
    found = list(walk(str(tree)))
    assert len(found) == 60 + len(ODD_FILES)
    assert found == list(walk(str(tree)))
    assert not [path for path in found if "not_this" in path or path.startswith("link") or path == "fifo.py"]
    assert not [path for path in walk(str(tree), skip=("part0",)) if path.startswith("part0")]


def test_walk_of_a_file_is_that_file(tree: Path) -> None:
    """A file as the root is measured alone."""
    path = str(tree / "odd" / "bom.py")
    assert list(walk(path)) == ["bom.py"]
    assert base(path) == str(tree / "odd")
    assert count(path)["files"] == 1


def test_walk_notes_what_it_cannot_enter(tmp_path: Path) -> None:
    """A folder that is not there, or cannot be read, is reported and not silently left out."""
    unreadable: list[str] = []
    assert list(walk(str(tmp_path / "nowhere"), unreadable=unreadable)) == []
    assert unreadable == ["."]


def test_totals_do_not_depend_on_order_or_grouping(tree: Path, seed: int) -> None:
    """Any order and any batches add up to equal counts, ties among the longest functions included."""
    figures = [measure_file(str(tree / name), name) for name in walk(str(tree))]
    one_by_one = Totals()
    for file in figures:
        one_by_one.add([file])
    shuffled = Totals()
    random_numbers = random.Random(seed)
    random_numbers.shuffle(figures)
    while figures:
        size = random_numbers.randrange(1, 9)
        shuffled.add(figures[:size])
        del figures[:size]
    assert shuffled.counts() == one_by_one.counts() == count(str(tree))


def test_totals_add_up(tree: Path) -> None:
    """Files are those measured and those left out; lines are code, comment and blank."""
    counts = count(str(tree))
    assert counts["files"] == 60 + len(ODD_FILES)
    assert counts["files"] == counts["measured"] + sum(counts["problems"].values())
    assert counts["problems"] == {"encoding": 3, "syntax": 3}
    assert counts["lines"] == counts["code"] + counts["comment"] + counts["blank"]
    assert [failure["path"] for failure in counts["failed"]] == sorted(failure["path"] for failure in counts["failed"])
    assert len(counts["longest"]) == LONGEST


def test_measuring_imports_no_csp_core(tmp_path: Path) -> None:
    """Counting needs nothing of csp: the reference is independent of what it is compared with."""
    script = textwrap.dedent("""
        import sys, types
        package = types.ModuleType("csp")
        package.__path__ = [sys.argv[1]]
        sys.modules["csp"] = package
        import csp.demo.reference
        assert not [name for name in sys.modules if name.startswith("csp.") and not name.startswith("csp.demo")]
    """)
    subprocess.run([sys.executable, "-c", script, csp.__path__[0]], check=True, cwd=tmp_path)
