"""`python -m benchmarks`: run the scenarios, csp beside its peers, and print the table of ratios.

    python -m benchmarks                       all, in both regimes: twenty minutes
    python -m benchmarks --quick               one short round of everything, small sizes: three minutes
    python -m benchmarks --only W1,W3 --json figures.json
"""

import argparse
import compileall
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from subprocess import PIPE
from typing import Any

import csp
from benchmarks import machine
from benchmarks.scenarios import SCENARIOS, Scenario, Target

ROOT = Path(__file__).parent.parent
REGIMES = ("free", "loaded")
LIMIT = 120.0  # seconds for one measurement, set-up included; past it the process is ended


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    # Without .pyc files every actor would compile csp again, and each spawn take ten times as long.
    compileall.compile_dir(os.path.dirname(csp.__file__), quiet=2)
    compileall.compile_dir(ROOT / "benchmarks", quiet=2)
    report: dict[str, Any] = {"machine": machine.facts(), "rounds": options.rounds, "seconds": options.seconds, "floor": {}, "scenarios": {}}
    for name, value in report["machine"].items():
        print(f"{name:12} {value}")
    print(flush=True)
    try:
        with machine.floor_probe() as floor:
            for scenario in options.scenarios:
                report["scenarios"][scenario.key] = run(scenario, floor, options, report["floor"])
                print_scenario(scenario, report)
    finally:
        if options.json:
            options.json.write_text(json.dumps(report, indent=1) + "\n")
    print_summary(options.scenarios, report)
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="csp beside the standard library's means, in one run.")
    parser.add_argument("--quick", action="store_true", help="one short round, small sizes")
    parser.add_argument("--only", metavar="W1,W3", help="these scenarios only")
    parser.add_argument("--contenders", metavar="TEXT", help="only those whose name contains this")
    parser.add_argument("--regime", choices=REGIMES, help="only free cores, or only more busy threads than cores")
    parser.add_argument("--rounds", type=int, help="interleaved rounds, of which the median is taken (default 5)")
    parser.add_argument("--seconds", type=float, help="how long one measurement lasts (default 0.3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.1 if options.quick else 0.3)
    keys = [key.strip().upper() for key in options.only.split(",")] if options.only else None
    options.scenarios = [s for s in SCENARIOS if keys is None or s.key.upper() in keys or s.key.upper().partition("/")[0] in keys]
    known = {s.key.upper() for s in SCENARIOS} | {s.key.upper().partition("/")[0] for s in SCENARIOS}
    if keys is not None and (unknown := [key for key in keys if key not in known]):
        parser.error(f"no scenario {', '.join(unknown)}: there are {', '.join(s.key for s in SCENARIOS)}")
    options.regimes = [options.regime] if options.regime else list(REGIMES)
    return options


# --- measuring ---


def run(scenario: Scenario, floor: machine.Floor, options: argparse.Namespace, floors: dict[str, list[float]]) -> dict[str, Any]:
    """All figures of a scenario: {regime: {contender: [figure of each round]}}, and errors."""
    names = [name for name in scenario.runs if not options.contenders or options.contenders in name]
    figures: dict[str, Any] = {}
    rounds = min(options.rounds, 3) if scenario.slow else options.rounds
    for regime in options.regimes:
        found: dict[str, list[float]] = {name: [] for name in names}
        broken: dict[str, str] = {}
        with machine.hogs(machine.cores()) if regime == "loaded" else nullcontext():
            for _ in range(rounds):
                for how in ("spin", "futex"):
                    probed = floor.nanoseconds(how, min(options.seconds, 0.2))
                    if probed is not None:
                        floors.setdefault(f"{how} {regime}", []).append(probed)
                for name in names:
                    if name not in broken:
                        outcome = measure(scenario, name, options)
                        if isinstance(outcome, float):
                            found[name].append(outcome)
                        else:
                            broken[name] = outcome
        figures[regime] = {name: values for name, values in found.items() if values}
        if broken:
            figures[regime + " broken"] = broken
    return figures


def measure(scenario: Scenario, name: str, options: argparse.Namespace) -> float | str:
    """The figure, or what went wrong."""
    command = [sys.executable, "-m", "benchmarks.one", scenario.key, name, str(options.seconds), *(["quick"] if options.quick else [])]
    start = time.monotonic()
    # A session of its own, so that its child processes can be ended with it.
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True, cwd=ROOT, start_new_session=True) as running:
        try:
            output, errors = running.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            return f"took more than {LIMIT:.0f} s"
    if running.returncode:
        lines = errors.strip().splitlines() or ["nothing said"]
        return f"status {running.returncode} after {time.monotonic() - start:.1f} s: {lines[-1]}"
    return float(output.split()[-1])  # some libraries say something of their own before


# --- telling ---


def median(report: dict[str, Any], key: str, regime: str, name: str) -> float | None:
    values = report["scenarios"].get(key, {}).get(regime, {}).get(name)
    return statistics.median(values) if values else None


def floor_of(report: dict[str, Any], how: str, regime: str) -> float | None:
    values = report["floor"].get(f"{how} {regime}")
    return statistics.median(values) if values else None


def wanted(scenario: Scenario, regime: str, report: dict[str, Any]) -> float | None:
    """The figure to reach, in the scenario's unit."""
    target: Target | None = getattr(scenario, regime)
    if target is None:
        return None
    if target.floor is not None:
        trip = floor_of(report, target.floor, regime)
        if trip is None:
            return None
        microseconds = trip / 1000
        return target.value / microseconds if scenario.more_is_better else target.value * microseconds
    if target.plus_bare is not None:
        bare = median(report, scenario.key, regime, target.plus_bare)
        return None if bare is None else bare + target.value
    if target.times is not None:
        other = median(report, scenario.key, regime, target.times)
        return None if other is None else other * target.value
    return target.value


def digits(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def print_scenario(scenario: Scenario, report: dict[str, Any]) -> None:
    print(f"{scenario.key}  {scenario.title}, {scenario.unit}")
    print(f"    {'':34}{'free cores':>12}{'ours is':>12}{'loaded':>12}{'ours is':>12}")
    for name in scenario.runs:
        figures = [median(report, scenario.key, regime, name) for regime in REGIMES]
        if figures == [None, None]:
            continue
        cells = ""
        for regime, figure in zip(REGIMES, figures, strict=True):
            ours = median(report, scenario.key, regime, scenario.ours)
            better = None
            if figure is not None and ours is not None and name != scenario.ours:
                better = ours / figure if scenario.more_is_better else figure / ours
            cells += f"{digits(figure):>12}{digits(better) + ' x' if better else '':>12}"
        print(f"    {name:34}{cells}")
    for regime in REGIMES:
        for name, what in report["scenarios"][scenario.key].get(regime + " broken", {}).items():
            print(f"    {name}, {regime}: {what}")
    print(flush=True)


def print_summary(scenarios: Sequence[Scenario], report: dict[str, Any]) -> None:
    for name, values in sorted(report["floor"].items()):
        print(f"floor, {name}: {statistics.median(values) / 1000:.3g} us a round trip")
    print(f"\n    {'':8}{'regime':8}{'ours':>10}{'target':>12}  {'':10}{'spread of the rounds'}")
    for scenario in scenarios:
        for regime in REGIMES:
            ours, target = median(report, scenario.key, regime, scenario.ours), wanted(scenario, regime, report)
            if ours is None:
                continue
            verdict = ""
            if target is not None:
                verdict = "met" if (ours >= target if scenario.more_is_better else ours <= target) else "MISSED"
            values = report["scenarios"][scenario.key][regime][scenario.ours]
            sign = "" if target is None else ">= " if scenario.more_is_better else "<= "
            goal = sign + digits(target)
            print(f"    {scenario.key:8}{regime:8}{digits(ours):>10}{goal:>12}  {verdict:10}{digits(min(values))} to {digits(max(values))} {scenario.unit}")


if __name__ == "__main__":
    sys.exit(main())
