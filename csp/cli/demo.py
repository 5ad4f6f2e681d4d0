"""`csp demo`: measure a tree of Python source by a pipeline of actors, and report.

The figures, as `--json` writes them; all numbers are plain, all times in seconds:

    schema      "csp-demo/1"
    csp, python, platform, cores    versions; the cores available to this process
    path, title, skipped            the tree; how the report calls it; names of directories that were not entered
    workers     how many workers were asked for
    chaos       the seed of the kills, or null
    run         the outcome of the run:
        complete, interrupted           whether the whole tree was measured; whether Ctrl-C came
        kills, restarts                 how many workers were killed; how often one was started again
        handed_again, duplicates        batches that a worker died over and another one measured; results that came twice, and were dropped
        seconds, cpu_seconds            from the first spawn to the end of the last actor; of the whole process
        counts      equal to those of csp/demo/reference.py:
            files, measured, bytes          found and read; without a problem; of all files
            lines, code, comment, blank     of measured files, as all that follows; lines = code + comment + blank
            tokens, functions, classes      tokens without comments and layout
            problems                        {problem: files}: "syntax", "encoding", "depth", "unreadable"
            failed                          [{path, problem, message}], by path
            longest                         ten of {lines, function, path, line}
        workers     [{worker, files, lines, cpu_seconds}], numbered from 1
        channels    {name: {capacity, sent, received, dropped, discarded, peak}}
        unreadable_directories          paths
        failures    [{actor, reason, error, traceback}]: actors that did not end in order
    baseline    the same work with one worker: {workers, complete, interrupted, identical, files, seconds, cpu_seconds, failures},
                or null
    speed_up    baseline.seconds / run.seconds, or null
"""

import argparse
import json
import os
import platform
import random
import sys
import sysconfig
from typing import Any

import csp
from csp.cli import report
from csp.cli.progress import display
from csp.demo import walk

MOST_WORKERS = 256

MOST_KILLS = 1000

KILLS = 25
"""Kills that `--chaos` tries, unless it is told how many; a short run is over before."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    cores = os.process_cpu_count() or 1
    parser = commands.add_parser(
        "demo",
        help="measure a source tree on all cores by a pipeline of actors",
        description="A supervised pipeline of actors, each in its own interpreter, measures the Python files under PATH: one walks, N parse "
        "and tokenize, one adds up.  Then the same is done by one worker, for the speed-up.  With --chaos workers are killed meanwhile, and "
        "the counts stay the same.  Ctrl-C ends it with a partial report.",
        allow_abbrev=False,
    )
    parser.add_argument("path", metavar="PATH", nargs="?", type=existing, help="a directory or a file (default: the standard library of this Python)")
    parser.add_argument("--workers", metavar="N", type=worker_count, default=cores, help=f"how many actors measure (default: the cores available, {cores})")
    parser.add_argument("--json", metavar="FILE", type=writable, help="write all figures to FILE as JSON; '-' writes them to stdout in place of the report")
    chaos = f"kill workers at random moments, up to KILLS times ({KILLS})"
    parser.add_argument("--chaos", metavar="KILLS", nargs="?", type=kill_count, const=KILLS, help=chaos)
    parser.add_argument("--seed", metavar="N", type=int, help="the seed of --chaos (default: a new one each time; it is printed)")
    parser.add_argument("--no-baseline", action="store_true", help="do not run again with one worker")
    parser.set_defaults(run=run)


def existing(text: str) -> str:
    if not os.path.exists(text):
        raise argparse.ArgumentTypeError(f"no such file or directory: {text!r}")
    return text


def worker_count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_WORKERS):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {MOST_WORKERS}, not {text!r}")
    return int(text)


def kill_count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_KILLS):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {MOST_KILLS}, not {text!r}")
    return int(text)


def writable(text: str) -> str:
    folder = os.path.dirname(text) or "."
    if text != "-" and (os.path.isdir(text) or not os.access(folder, os.W_OK)):
        raise argparse.ArgumentTypeError(f"cannot be written: {text!r}")
    return text


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    seed = None
    if options.chaos is not None:
        seed = random.randrange(2**32) if options.seed is None else options.seed
        print(f"csp demo: chaos with --seed {seed}", file=sys.stderr, flush=True)
    data = figures(options.path, options.workers, baseline=not options.no_baseline, chaos=seed, kills=options.chaos or 0)
    if options.json != "-":
        print(report.render(data))
    for failure in data["run"]["failures"]:
        print(f"csp demo: {failure['actor']} {failure['reason']}: {failure['error']}\n{failure['traceback'].rstrip()}", file=sys.stderr)
    if not (data["run"]["counts"]["files"] or data["run"]["failures"] or data["run"]["interrupted"]):
        print(f"csp demo: no Python files (*.py) under {data['path']}", file=sys.stderr)
    if options.json is not None and not write_json(data, options.json):
        return 1
    return status(data)


def figures(path: str | None, workers: int, *, baseline: bool, chaos: int | None = None, kills: int = 0) -> dict[str, Any]:
    """Measure, and measure again with one worker, whom nobody kills, if `baseline` and if that says anything; return all figures."""
    root = path or sysconfig.get_path("stdlib")
    skip = () if path else walk.INSTALLED
    outcome = measured(root, skip, workers, chaos, kills)
    data: dict[str, Any] = {
        "schema": "csp-demo/1",
        "csp": csp.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.process_cpu_count() or 1,
        "path": os.path.abspath(root),
        "title": os.path.abspath(path) if path else f"The standard library of Python {platform.python_version()}",
        "skipped": list(skip),
        "workers": workers,
        "chaos": chaos,
        "run": outcome,
        "baseline": None,
        "speed_up": None,
    }
    if baseline and (workers > 1 or chaos is not None) and outcome["complete"] and outcome["counts"]["files"]:
        single = measured(root, skip, 1)
        data["baseline"] = {
            "workers": 1,
            "complete": single["complete"],
            "interrupted": single["interrupted"],
            "identical": single["counts"] == outcome["counts"],
            "files": single["counts"]["files"],
            "seconds": single["seconds"],
            "cpu_seconds": single["cpu_seconds"],
            "failures": single["failures"],
        }
        if single["complete"]:
            data["speed_up"] = single["seconds"] / outcome["seconds"]
    return data


def measured(root: str, skip: tuple[str, ...], workers: int, chaos: int | None = None, kills: int = 0) -> dict[str, Any]:
    """The outcome of one run, shown while it goes on."""
    from csp.demo import measure, pipeline

    with display(f"{workers} worker{'s' * (workers != 1)}") as progress:
        run = pipeline.Pipeline(root, workers, skip=skip, measure=measure.measure_file, chaos=chaos, kills=kills)
        return run.run(progress.show)


def write_json(data: dict[str, Any], target: str) -> bool:
    """Write the figures; False, and a word on stderr, if that fails."""
    text = json.dumps(data, indent=2) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return True
    try:
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        print(f"csp demo: --json: {error}", file=sys.stderr)
        return False
    return True


def status(data: dict[str, Any]) -> int:
    """The exit status: 0, 1 or 130."""
    runs = [data["run"], *filter(None, [data["baseline"]])]
    if any(run["failures"] for run in runs):
        return 1
    if any(run["interrupted"] for run in runs):
        return 130
    return 0 if data["run"]["counts"]["files"] and all(run.get("identical", True) for run in runs) else 1
