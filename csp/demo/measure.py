"""What is counted in one file of Python source.

A worker imports this in its own interpreter, so it imports only what loads there: `ast` and `tokenize`, 20 to 40 ms for each
worker.  `measure_file` is a pure function of the file's bytes: where it runs cannot change what it counts.
"""

import ast
import io
import tokenize
import warnings

from csp.demo.totals import LONGEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LAYOUT = frozenset((tokenize.ENCODING, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER))
"""Tokens that say how the source is laid out; they are not counted."""

BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""The fields of a statement that hold statements: a `def` or a `class` stands nowhere else."""


def measure_file(path: str, name: str) -> "dict[str, Any]":
    """Measure the file at `path`, to be called `name`; never raises for what is in the file or for a file that is gone.

    The result has `path` (the name), `bytes` and `problem`: None, or why nothing else was counted: "unreadable",
    "encoding", "syntax" or "depth" (nested deeper than this interpreter's parser goes), explained in `message`.
    Without a problem it also has `lines` = `code` + `comment` + `blank`, `tokens`, `functions`, `classes`, and `longest`:
    up to ten `(lines, qualified name, line)`.
    """
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        return {"path": name, "bytes": 0, "problem": "unreadable", "message": error.strerror or type(error).__name__}
    return measure_source(source, name)


def measure_source(source: bytes, name: str) -> "dict[str, Any]":
    """Measure source given as bytes; see `measure_file`."""
    figures: dict[str, Any] = {"path": name, "bytes": len(source), "problem": None}
    if b"\0" in source:  # no Python parses that, but each calls it differently
        return figures | {"problem": "syntax", "message": "contains a null byte"}
    try:
        text = decoded(source)
    except (SyntaxError, LookupError, UnicodeError) as error:
        return figures | {"problem": "encoding", "message": str(error)}
    try:
        with warnings.catch_warnings():  # an invalid escape is no news here, and must not become an error under -W error
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
            figures |= count_tokens(text)
        figures |= count_definitions(tree)
    except (RecursionError, MemoryError) as error:
        return {"path": name, "bytes": len(source), "problem": "depth", "message": str(error)}
    except SyntaxError as error:
        return {"path": name, "bytes": len(source), "problem": "syntax", "message": f"{error.msg} (line {error.lineno})"}
    except (tokenize.TokenError, ValueError) as error:
        return {"path": name, "bytes": len(source), "problem": "syntax", "message": str(error)}
    return figures


def decoded(source: bytes) -> str:
    """The text of the source, with the line ends of the language."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    return source.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def count_tokens(text: str) -> "dict[str, int]":
    """Count the tokens, and the lines by kind: a line with any token on it, or inside a string, is code."""
    lines = text.count("\n") + (not text.endswith("\n") and text != "")
    tokens = code = comment = last_code_row = 0
    for kind, _, (start, _), (end, _), _ in tokenize.generate_tokens(io.StringIO(text).readline):
        if kind == tokenize.COMMENT:
            comment += start != last_code_row
        elif kind not in LAYOUT:
            tokens += 1
            if end > last_code_row:
                code += end - max(start - 1, last_code_row)
                last_code_row = end
    return {"lines": lines, "code": code, "comment": comment, "blank": lines - code - comment, "tokens": tokens}


def count_definitions(tree: ast.Module) -> "dict[str, Any]":
    """Count functions (async ones and methods too) and classes, and keep the longest functions."""
    classes = 0
    functions = []
    for node, qualname in definitions(tree):
        if isinstance(node, ast.ClassDef):
            classes += 1
        else:
            functions.append(((node.end_lineno or node.lineno) - node.lineno + 1, qualname, node.lineno))
    longest = sorted(functions, key=lambda found: (-found[0], found[2], found[1]))[:LONGEST]
    return {"functions": len(functions), "classes": classes, "longest": longest}


def definitions(tree: ast.Module) -> "Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, str]]":
    """Yield every definition of a module with its qualified name, without recursion."""
    pending: list[tuple[ast.AST, str]] = [(tree, "")]
    while pending:
        parent, prefix = pending.pop()
        for block in BLOCKS:
            for node in getattr(parent, block, ()):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    yield node, prefix + node.name
                    pending.append((node, prefix + node.name + "."))
                else:
                    pending.append((node, prefix))
