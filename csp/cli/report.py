"""The report of `csp demo`, as text that a person likes to read."""

import os
import sys
from collections.abc import Iterator
from typing import Any

BAR = 24
"""Columns of a bar of 100 %."""

SHOWN = 5
"""How many of the files that could not be measured are named; JSON has them all."""

CALM = 0.85
"""One worker that is alone on a core keeps it busy to this share, or more."""

LONG_ENOUGH = 2.0
"""Seconds from which on a run is more than its start."""

REASONS = {
    "syntax": "with a syntax error",
    "encoding": "with a bad encoding",
    "depth": "nested too deeply",
    "unreadable": "that cannot be read",
}


class Style:
    """Bold and dim text where the output is a terminal, and a bar that the output's encoding can hold."""

    def __init__(self, stream: Any) -> None:
        self.colour = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        try:
            "█░×·".encode(stream.encoding or "ascii")
            self.full, self.empty, self.times, self.dot = "█", "░", "×", "·"
        except UnicodeEncodeError:
            self.full, self.empty, self.times, self.dot = "#", ".", "x", "-"

    def bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self.colour else text

    def dim(self, text: str) -> str:
        return f"\033[2m{text}\033[0m" if self.colour else text

    def bar(self, share: float) -> str:
        filled = round(share * BAR)
        return self.full * filled + self.dim(self.empty * (BAR - filled))


def render(data: dict[str, Any], style: Style | None = None) -> str:
    """The whole report of the figures that `--json` writes."""
    style = style or Style(sys.stdout)
    run = data["run"]
    lines = [*head(data, style), *counted(run, style)]
    for section in (longest, shares, channels):
        lines += section(run, style)
    lines += lives(data, style)
    lines += times(data, style)
    return "\n".join(lines)


def head(data: dict[str, Any], style: Style) -> Iterator[str]:
    workers = f"{data['workers']} worker{'s' * (data['workers'] != 1)}"
    yield style.bold(f"{data['title']}, measured by {workers}, each in its own interpreter")
    if data["run"]["interrupted"]:
        yield style.bold("interrupted: this is a partial report")
    elif not data["run"]["complete"]:
        yield style.bold("an actor failed: this is a partial report")
    yield ""


def counted(run: dict[str, Any], style: Style) -> Iterator[str]:
    counts = run["counts"]

    def row(name: str, value: int, remark: str = "") -> str:
        return f"  {name:<10}{value:>12,}{'   ' + remark if remark else ''}"

    yield row("files", counts["files"], f"{counts['bytes'] / 1e6:,.1f} MB")
    parts = f" {style.dot} ".join(f"{counts[kind]:,} {kind} ({percent(counts[kind], counts['lines'])})" for kind in ("code", "comment", "blank"))
    yield row("lines", counts["lines"], parts)
    yield row("tokens", counts["tokens"])
    yield row("functions", counts["functions"])
    yield row("classes", counts["classes"])
    if counts["failed"]:
        reasons = ", ".join(f"{number} {REASONS[problem]}" for problem, number in counts["problems"].items())
        yield row("left out", len(counts["failed"]), reasons)
        for failure in counts["failed"][:SHOWN]:
            yield style.dim(f"{'':15}{failure['path']}: {failure['message']}")
        if len(counts["failed"]) > SHOWN:
            yield style.dim(f"{'':15}and {len(counts['failed']) - SHOWN} more")
    if run["unreadable_directories"]:
        yield row("not entered", len(run["unreadable_directories"]), "directories that cannot be read")


def longest(run: dict[str, Any], style: Style) -> Iterator[str]:
    found = run["counts"]["longest"]
    if not found:
        return
    yield from ("", style.bold("Longest functions"))
    width = min(max(len(function["function"]) for function in found), 48)
    for function in found:
        name = function["function"]
        if len(name) > width:
            name = name[: width - 3] + "..."
        yield f"  {function['lines']:>5,} lines  {name:<{width}}  " + style.dim(f"{function['path']}:{function['line']}")


def shares(run: dict[str, Any], style: Style) -> Iterator[str]:
    if not run["workers"]:
        return
    yield from ("", style.bold("Share of each worker"))
    total = sum(worker["lines"] for worker in run["workers"]) or 1
    for worker in run["workers"]:
        share = worker["lines"] / total
        yield (
            f"  {worker['worker']:>3}  {style.bar(share)} {share:>6.1%}  {worker['lines']:>9,} lines"
            f"  {worker['files']:>6,} files  {worker['cpu_seconds']:>6.2f} s of CPU"
        )


def channels(run: dict[str, Any], style: Style) -> Iterator[str]:
    columns = ("capacity", "sent", "received", "dropped", "discarded", "peak")
    yield from ("", style.bold("Channels") + style.dim("".join(f"{column:>11}" for column in columns).rjust(2 + 10 + 66 - 8)))
    for name, figures in run["channels"].items():
        yield f"  {name:<10}" + "".join(f"{figures[column]:>11,}" for column in columns)


def lives(data: dict[str, Any], style: Style) -> Iterator[str]:
    """Who was killed and started again, if anybody was."""
    run = data["run"]
    if data["chaos"] is None and not run["restarts"]:
        return
    yield from ("", style.bold("Restarts") + ("" if data["chaos"] is None else style.dim(f"  workers were killed at random, --seed {data['chaos']}")))
    yield f"  {'killed':<10}{run['kills']:>12,}   workers"
    yield f"  {'restarts':<10}{run['restarts']:>12,}"
    yield f"  {'again':<10}{run['handed_again']:>12,}   batches that a worker died over, measured by another"
    yield f"  {'twice':<10}{run['duplicates']:>12,}   results of a worker that died after it had sent them, counted once"


def times(data: dict[str, Any], style: Style) -> Iterator[str]:
    run, baseline = data["run"], data["baseline"]

    def row(workers: int, files: int, took: dict[str, Any]) -> str:
        seconds = max(took["seconds"], 1e-9)
        return (
            f"  {workers:>3} worker{'s' if workers != 1 else ' '} {seconds:>8.2f} s {files / seconds:>9,.0f} files/s"
            f"   {took['cpu_seconds']:>7.2f} s of CPU, {took['cpu_seconds'] / seconds:.2f} cores in use"
        )

    yield from ("", style.bold("Time") + style.dim(f"  on {data['cores']} core{'s' * (data['cores'] != 1)}, start of the interpreters included"))
    yield row(data["workers"], run["counts"]["files"], run)
    if baseline is None:
        return
    if not baseline["complete"]:
        yield f"    1 worker   {'interrupted' if baseline['interrupted'] else 'failed'}: no speed-up"
        return
    yield row(1, baseline["files"], baseline)
    same = "the same counts" if baseline["identical"] else "DIFFERENT COUNTS: this is a bug"
    yield f"  speed-up {style.bold(f'{data["speed_up"]:>9.2f}{style.times}')}   {style.dim(f'{same}; the single worker ran second, on a warm file cache')}"
    if baseline["seconds"] < LONG_ENOUGH:
        yield style.dim("  starting the interpreters is much of so short a run: the speed-up says little")
    elif baseline["cpu_seconds"] < CALM * baseline["seconds"]:
        yield style.dim("  other programs kept the cores busy, so the times, and the speed-up, say little")


def percent(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "0%"
