"""`csp` and `csp demo` as commands: arguments, report, JSON, exit status, Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import csp
from csp.cli import main
from csp.cli.report import Style, render
from csp.demo import measure
from csp.demo.reference import count

from . import crashing
from .conftest import make_tree

FAILED = {"path": str, "problem": str, "message": str}
COUNTS = {
    **dict.fromkeys(("files", "measured", "bytes", "lines", "code", "comment", "blank", "tokens", "functions", "classes"), int),
    "problems": dict,
    "failed": [FAILED],
    "longest": [{"lines": int, "function": str, "path": str, "line": int}],
}
CHANNEL = dict.fromkeys(("capacity", "sent", "received", "dropped", "discarded", "peak"), int)
FAILURE = {"actor": str, "reason": str, "error": str, "traceback": str}
SCHEMA = {
    **dict.fromkeys(("schema", "csp", "python", "platform", "path", "title"), str),
    "cores": int,
    "skipped": [str],
    "workers": int,
    "chaos": type(None),
    "run": {
        **dict.fromkeys(("kills", "restarts", "handed_again", "duplicates"), int),
        "complete": bool,
        "interrupted": bool,
        "seconds": float,
        "cpu_seconds": float,
        "counts": COUNTS,
        "workers": [{"worker": int, "files": int, "lines": int, "cpu_seconds": float}],
        "channels": dict.fromkeys(("batches", "measured", "found", "progress"), CHANNEL),
        "unreadable_directories": [str],
        "failures": [FAILURE],
    },
    "baseline": {
        **dict.fromkeys(("complete", "interrupted", "identical"), bool),
        **dict.fromkeys(("workers", "files"), int),
        **dict.fromkeys(("seconds", "cpu_seconds"), float),
        "failures": [FAILURE],
    },
    "speed_up": float,
}


def check(value: Any, schema: Any, path: str = "data") -> None:
    """The value has exactly the keys and types of the schema; a list in the schema stands for any number of such items."""
    if isinstance(schema, dict):
        assert isinstance(value, dict), path
        assert value.keys() == schema.keys(), path
        for key in schema:
            check(value[key], schema[key], f"{path}[{key!r}]")
    elif isinstance(schema, list):
        assert isinstance(value, list), path
        for number, item in enumerate(value):
            check(item, schema[0], f"{path}[{number}]")
    else:
        assert type(value) is schema, (path, value)


def run_csp(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "csp", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=os.environ | {"PYTHONIOENCODING": "utf-8"}, **options)


def status_of(*arguments: object) -> int:
    """The exit status of the command, run in this process."""
    try:
        return main([*map(str, arguments)])
    except SystemExit as error:
        assert isinstance(error.code, int)
        return error.code


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`csp --version` prints the version of the package."""
    assert status_of("--version") == 0
    assert capsys.readouterr().out == f"csp {csp.__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["doctor", "--help"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every level has a usage message."""
    assert status_of(*arguments) == 0
    assert capsys.readouterr().out.startswith("usage: csp")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "COMMAND"),
        (["dance"], "dance"),
        (["demo", "--workers", "0"], "--workers"),
        (["demo", "--workers", "two"], "--workers"),
        (["demo", "--workers", "100000"], "--workers"),
        (["demo", "--workers"], "--workers"),
        (["demo", ".", "--chaos", "0"], "--chaos"),
        (["demo", ".", "--chaos", "--seed", "x"], "--seed"),
        (["demo", "no/such/folder"], "PATH"),
        (["demo", "--json", "no/such/folder/x.json"], "--json"),
        (["demo", "--json", "."], "--json"),
        (["demo", "--frobnicate"], "--frobnicate"),
        (["doctor", "not a module"], "MODULE"),
    ],
)
def test_bad_argument_is_named(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad argument exits with 2 and a message that names it, on stderr."""
    assert status_of(*arguments) == 2
    captured = capsys.readouterr()
    assert named in captured.err.splitlines()[-1]
    assert captured.out == ""


def test_json_has_the_documented_schema(tree: Path) -> None:
    """`--json -` writes one object to stdout and nothing else; its counts are the reference's, for both runs."""
    done = run_csp("demo", tree, "--workers", 2, "--json", "-")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    check(data, SCHEMA)
    assert data["schema"] == "csp-demo/1"
    assert data["run"]["counts"] == json.loads(json.dumps(count(str(tree))))
    assert data["baseline"]["identical"]
    assert data["speed_up"] == data["baseline"]["seconds"] / data["run"]["seconds"]


def test_report_and_json_file(tree: Path, tmp_path: Path) -> None:
    """Without a terminal the report is plain text with all figures; `--json FILE` writes the same figures beside it."""
    target = tmp_path / "figures.json"
    done = run_csp("demo", tree, "--workers", 2, "--json", target)
    assert done.returncode == 0, done.stderr
    assert "\033" not in done.stdout + done.stderr
    data = json.loads(target.read_text())
    counts = data["run"]["counts"]
    for name in ("files", "lines", "tokens", "functions", "classes"):
        assert re.search(rf"^  {name} +{counts[name]:,}\b", done.stdout, re.M), name
    for function in counts["longest"]:
        assert f"{function['path']}:{function['line']}" in done.stdout
    assert len(re.findall(r"^ +[12]  .*%.* lines .* files .* s of CPU$", done.stdout, re.M)) == 2
    for channel in data["run"]["channels"]:
        assert re.search(rf"^  {channel} +\d", done.stdout, re.M)
    assert f"{data['speed_up']:.2f}" in done.stdout


def test_default_is_the_standard_library() -> None:
    """Without PATH the tree is the standard library, without what is installed in it."""
    from csp.cli import demo

    options = main.__globals__["make_parser"]().parse_args(["demo"])
    assert options.path is None
    assert options.workers == os.process_cpu_count()
    assert options.run is demo.run


@pytest.mark.parametrize("options", [["--workers", 1], ["--workers", 2, "--no-baseline"]])
def test_no_baseline(tree: Path, options: list[object], capfd: pytest.CaptureFixture[str]) -> None:
    """One worker is its own baseline, and --no-baseline leaves it out."""
    assert status_of("demo", tree, "--json", "-", *options) == 0
    data = json.loads(capfd.readouterr().out)
    assert data["baseline"] is None
    assert data["speed_up"] is None


def test_tree_without_python_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing to measure is said so, with status 1."""
    assert status_of("demo", tmp_path) == 1
    assert f"no Python files (*.py) under {tmp_path}" in capfd.readouterr().err


def test_unwritable_json_is_an_error_not_a_traceback(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """If the file cannot be written in the end the report was still printed, and the status is 1."""
    folder = tmp_path / "out"
    folder.mkdir()
    from csp.cli import demo

    figures = demo.figures

    def and_then_remove(*arguments: Any, **options: Any) -> dict[str, Any]:
        data = figures(*arguments, **options)
        folder.rmdir()
        return data

    monkeypatch.setattr(demo, "figures", and_then_remove)
    assert status_of("demo", tree, "--workers", 1, "--json", folder / "x.json") == 1
    captured = capfd.readouterr()
    assert "--json" in captured.err
    assert "Longest functions" in captured.out


def test_crash_of_a_worker_is_status_1(tree: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A worker that fails: status 1, its remote traceback on stderr, a partial report on stdout, no hang."""
    (tree / "part1" / "bad.py").write_text("x = 1\n")
    monkeypatch.setattr(measure, "measure_file", crashing.raises_at_bad)
    assert status_of("demo", tree, "--workers", 2) == 1
    captured = capfd.readouterr()
    assert "ZeroDivisionError: cannot measure" in captured.err
    assert "in raises_at_bad" in captured.err
    assert "partial report" in captured.out


def test_chaos_prints_its_seed_and_the_counts_stay_exact(tmp_path: Path, seed: int) -> None:
    """`--chaos` kills workers; the report says so, the counts are the reference's and those of a run in which nobody was killed."""
    root = make_tree(tmp_path / "tree", 600, seed)
    done = run_csp("demo", root, "--workers", 2, "--chaos", 10, "--seed", seed, "--json", tmp_path / "x.json")
    assert done.returncode == 0, done.stderr
    assert f"csp demo: chaos with --seed {seed}" in done.stderr.splitlines()
    data = json.loads((tmp_path / "x.json").read_text())
    run = data["run"]
    assert data["chaos"] == seed
    assert run["counts"] == json.loads(json.dumps(count(str(root))))
    assert data["baseline"]["identical"]
    assert run["kills"] <= 10
    assert re.search(rf"^  killed +{run['kills']} ", done.stdout, re.M)
    assert re.search(rf"^  restarts +{run['restarts']}$", done.stdout, re.M)


def slow_tree(root: Path) -> Path:
    """Work for many seconds."""
    big = max(Path(subprocess.__file__).parent.glob("*.py"), key=lambda path: path.stat().st_size).read_bytes()
    root.mkdir()
    for number in range(400):
        (root / f"copy{number}.py").write_bytes(big)
    return root


def test_interrupt_gives_a_partial_report_and_130(tmp_path: Path) -> None:
    """SIGINT while it measures: a partial report, status 130, no traceback, within seconds."""
    root = slow_tree(tmp_path / "slow")
    command = [sys.executable, "-m", "csp", "demo", str(root), "--workers", "2", "--json", str(tmp_path / "x.json")]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    with subprocess.Popen(command, **pipes, env=os.environ | {"PYTHONIOENCODING": "utf-8"}) as process:
        assert process.stderr is not None
        assert re.match(r"2 workers: \d+ of [\d,]+\+? files, ", process.stderr.readline())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "partial report" in out
    data = json.loads((tmp_path / "x.json").read_text())
    assert data["run"]["interrupted"]
    assert not data["run"]["failures"]
    assert 0 < data["run"]["counts"]["files"] < 400


def test_report_survives_a_narrow_encoding(tree: Path) -> None:
    """Where stdout cannot hold the bars' characters, plain ones stand for them."""
    done = subprocess.run(
        [sys.executable, "-m", "csp", "demo", str(tree), "--workers", "2"],
        capture_output=True, timeout=100, check=False, env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "#" in done.stdout.decode("ascii")


def test_report_of_an_interrupted_baseline(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An interrupted baseline gives the whole report without a speed-up."""
    status_of("demo", tree, "--workers", 2, "--no-baseline", "--json", "-")
    data = json.loads(capfd.readouterr().out)
    data["baseline"] = {**data["run"], "workers": 1, "complete": False, "interrupted": True, "identical": False, "files": 3}
    text = render(data, Style(sys.stdout))
    assert "interrupted: no speed-up" in text
    assert "speed-up  " not in text


def test_import_csp_does_not_load_the_command_line() -> None:
    """`import csp` loads neither argparse nor anything of the command line or the demo."""
    script = "import sys, csp; print([m for m in sys.modules if m == 'argparse' or m.startswith(('csp.cli', 'csp.demo', 'rich'))])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
