"""csp/cli/progress.py: what the terminal, or the log, shows while a run goes on."""

import io
import sys
from pathlib import Path

import pytest

from csp.cli import progress
from csp.demo.pipeline import Pipeline


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(tree: Path) -> progress.Display:
    with progress.display("two workers") as display:
        Pipeline(str(tree), 2).run(display.show)
    return display


def test_terminal_without_rich_rewrites_one_line(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal without rich one line is written over and over, and wiped in the end."""
    terminal = Terminal()
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "FIRST_LINE_AFTER", 0.0)
    assert type(shown(tree)) is progress.Line
    written = terminal.getvalue()
    assert "\n" not in written
    assert written.startswith("\rtwo workers: ")
    assert written.endswith(" \r")


def test_terminal_with_rich_has_a_bar(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With rich a bar is drawn, which leaves the line empty in the end."""
    pytest.importorskip("rich", reason="rich is an extra")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert type(shown(tree)) is progress.Bar
    assert "two workers" in terminal.getvalue()
    assert "files" in terminal.getvalue()


def test_log_gets_whole_lines(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where lines cannot be rewritten each is whole, and there is one in two seconds at most."""
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr(progress, "FIRST_LINE_AFTER", 0.0)
    monkeypatch.setattr(progress.Lines, "every", 1000.0)
    assert type(shown(tree)) is progress.Lines
    (line,) = log.getvalue().splitlines()
    assert line.startswith("two workers: ")
