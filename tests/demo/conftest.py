"""Trees of Python source to measure."""

import random
from pathlib import Path

import pytest

ODD_FILES = {
    "empty.py": b"",
    "only_comment.py": b"# nothing here",
    "syntax_error.py": b"def f(:\n    pass\n",
    "unknown_encoding.py": b"# -*- coding: uft-8 -*-\nx = 1\n",
    "not_utf8.py": b"x = '\xff'\n",
    "latin1.py": b"# -*- coding: latin-1 -*-\nx = '\xff'\n",
    "codec_without_text.py": b"# -*- coding: hex -*-\nx = 1\n",
    "null.py": b"x = 1\0\n",
    "bom.py": b"\xef\xbb\xbfx = 1\n",
    "dos.py": b"def f():\r\n    return 1\r\n",
    "old_mac.py": b"def f():\r    return 1\r",
    "bad_escape.py": rb"x = '\d'" + b"\n",
    "unfinished.py": b"x = (1,\n",
}


def some_source(random_numbers: random.Random) -> str:
    """A file of functions and classes that differs from the next in all counts."""
    parts = ['"""A file."""\n\n# a comment\n']
    for number in range(random_numbers.randrange(1, 6)):
        body = "".join(f"    x = {n}  # {n}\n" for n in range(random_numbers.randrange(1, 30)))
        parts.append(f"def function_{number}():\n{body}\n")
        parts.append(f"class Class_{number}:\n    async def method(self):\n        def inner():\n            return 1\n        return inner\n\n")
    return "".join(parts)


def make_tree(root: Path, files: int, seed: int) -> Path:
    """A tree of `files` good files in nested folders, the odd ones, and what is not to be measured."""
    random_numbers = random.Random(seed)
    for number in range(files):
        folder = root / f"part{number % 5}" / f"below{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file{number}.py").write_text(some_source(random_numbers))
    (root / "odd").mkdir(parents=True)
    for name, source in ODD_FILES.items():
        (root / "odd" / name).write_bytes(source)
    for folder in ("__pycache__", ".hidden"):
        (root / folder).mkdir()
        (root / folder / "not_this.py").write_text("x = 1\n")
    (root / "notes.txt").write_text("not this either\n")
    return root


@pytest.fixture
def tree(tmp_path: Path, seed: int) -> Path:
    return make_tree(tmp_path / "tree", 60, seed)
