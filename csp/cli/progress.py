"""How the main thread shows a run while it goes on: a bar if rich is there, one rewritten line on a bare terminal, else a line now and then.

All of it goes to stderr, so that stdout holds the report alone.
"""

import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from csp.demo.pipeline import Pipeline

LINE_EVERY = 2.0
"""Seconds between two lines where lines cannot be rewritten."""

FIRST_LINE_AFTER = 0.5
REWRITE_EVERY = 0.1


class Display(Protocol):
    """Shows one run; used as a context manager round it."""

    def show(self, run: "Pipeline") -> None: ...
    def __enter__(self) -> "Display": ...
    def __exit__(self, *exc_info: object) -> None: ...


def display(label: str) -> Display:
    """The best display that stderr and the installed packages allow."""
    if not sys.stderr.isatty():
        return Lines(label)
    try:
        return Bar(label)
    except ImportError:
        return Line(label)


def summary(run: "Pipeline") -> str:
    """One line of figures."""
    total = f"{run.total:,}" if run.walked else f"{run.total:,}+"
    return f"{run.done:,} of {total} files, {run.lines:,} lines, {run.tokens:,} tokens, {time.monotonic() - run.started:.1f} s"


class Lines:
    """For a log file: a whole line every two seconds."""

    every = LINE_EVERY

    def __init__(self, label: str) -> None:
        self.label = label
        self.due = time.monotonic() + FIRST_LINE_AFTER

    def __enter__(self) -> "Lines":
        return self

    def show(self, run: "Pipeline") -> None:
        now = time.monotonic()
        if now >= self.due:
            self.due = now + self.every
            self.write(f"{self.label}: {summary(run)}")

    def write(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def __exit__(self, *exc_info: object) -> None:
        pass


class Line(Lines):
    """For a terminal without rich: one line, written over and over, and wiped at the end."""

    every = REWRITE_EVERY
    written = 0

    def write(self, text: str) -> None:
        sys.stderr.write("\r" + text.ljust(self.written))
        sys.stderr.flush()
        self.written = len(text)

    def __exit__(self, *exc_info: object) -> None:
        sys.stderr.write("\r" + " " * self.written + "\r")
        sys.stderr.flush()


class Bar:
    """A bar of rich, drawn by this thread: rich's own would compete with the workers for no gain."""

    def __init__(self, label: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("files  [cyan]{task.fields[lines]:,}[/] lines"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self.task: Any = self.progress.add_task(label, total=None, lines=0)
        self.due = 0.0

    def __enter__(self) -> "Bar":
        self.progress.start()
        return self

    def show(self, run: "Pipeline") -> None:
        now = time.monotonic()
        if now >= self.due:
            self.due = now + REWRITE_EVERY
            self.progress.update(self.task, completed=run.done, total=run.total if run.walked else None, lines=run.lines, refresh=True)

    def __exit__(self, *exc_info: object) -> None:
        self.progress.stop()
