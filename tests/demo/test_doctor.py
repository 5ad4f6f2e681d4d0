"""`csp doctor`: in which kinds of actor a module loads, by trial, and what is known of the Python."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from csp.cli import main
from csp.cli.faults import FAULTS, faults_of


def examine(capfd: pytest.CaptureFixture[str], *modules: str) -> tuple[int, list[dict[str, Any]]]:
    """The status and the verdicts of `csp doctor --json`."""
    status = main(["doctor", "--json", *modules])
    return status, json.loads(capfd.readouterr().out)["modules"]


def test_module_that_loads(capfd: pytest.CaptureFixture[str]) -> None:
    """json, with its C accelerator, loads: status 0."""
    status, (found,) = examine(capfd, "json")
    assert status == 0
    assert (found["module"], found["verdict"], found["message"], found["isolation"]) == ("json", "loads", "", "interpreter")
    assert found["seconds"] > 0
    assert {where: how["outcome"] for where, how in found["tried"].items()} == dict.fromkeys(("interpreter", "thread", "process"), "loads")


@pytest.mark.parametrize("module", ["numpy", "readline"])
def test_module_that_refuses(module: str, capfd: pytest.CaptureFixture[str]) -> None:
    """numpy is refused: status 1, the refusal itself is named and not the pages round it, and a thread is the advice."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    status, (found,) = examine(capfd, module)
    if module == "readline" and status == 0:
        pytest.skip("this Python's readline loads everywhere")
    assert status == 1
    assert (found["verdict"], found["isolation"]) == ("refused", "thread")
    assert found["message"].startswith(f"module {module}")
    assert found["message"].endswith("does not support loading in subinterpreters")
    assert {where: how["outcome"] for where, how in found["tried"].items()} == {"interpreter": "failed", "thread": "loads", "process": "loads"}


@pytest.mark.parametrize("module", ["no_such_module_anywhere", "json.no_such_part", "no_such_package.part"])
def test_module_that_is_not_there(module: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A module that does not exist is missing, which no isolation helps: status 1."""
    status, (found,) = examine(capfd, module)
    assert status == 1
    assert (found["verdict"], found["isolation"]) == ("missing", None)
    assert "No module named" in found["message"]


# Source, verdict, isolation, and what the message has in it.
PECULIAR = {
    "broken": ("raise ValueError('not today')", "broken", None, "not today"),
    "needs_more": ("import no_such_module_anywhere", "broken", None, "No module named 'no_such_module_anywhere'"),
    "crashing": ("import os; os.kill(os.getpid(), 11)", "crashes", None, "signal 11"),
    "leaving": ("import os; os._exit(0)", "crashes", None, "status 0"),
    "crashing_elsewhere": (
        "import os, csp\nif csp.interpreters.get_current().id or csp.current_actor() is None: os.kill(os.getpid(), 11)",
        "crashes",
        "thread",
        "signal 11",
    ),
    "talking": ("print('csp-probe: {}'); print('hello')", "loads", "interpreter", ""),
    "main_only": (
        "import threading\nif threading.current_thread() is not threading.main_thread(): raise RuntimeError('main thread only')",
        "refused",
        "process",
        "main thread only",
    ),
    "daemonic": ("import threading\nthreading.Thread(target=print, daemon=True).start()", "refused", "thread", "daemon"),
}


@pytest.mark.parametrize("name", PECULIAR)
def test_peculiar_modules(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A module that is broken, crashes, leaves the process or prints is diagnosed as what it is, found by this process's path."""
    source, verdict, isolation, message = PECULIAR[name]
    (tmp_path / f"peculiar_{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    status, (found,) = examine(capfd, f"peculiar_{name}")
    assert (found["verdict"], found["isolation"]) == (verdict, isolation)
    assert message in found["message"]
    assert status == (0 if verdict == "loads" else 1)


def test_module_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A module whose import never ends is given up."""
    (tmp_path / "peculiar_hanging.py").write_text("import threading\nthreading.Event().wait()")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("csp.cli.doctor.PATIENCE", 0.8)
    status, (found,) = examine(capfd, "peculiar_hanging")
    assert status == 1
    assert found["verdict"] == "hangs"


def test_text_names_python_faults_and_verdicts(capfd: pytest.CaptureFixture[str]) -> None:
    """The text has the version, the core, every fault of this version with the way round it, and a line for each module."""
    assert main(["doctor", "json", "no_such_module_anywhere", "json"]) == 1
    out = capfd.readouterr().out
    assert sys.version.split()[0] in out
    assert "waits by" in out
    for fault in faults_of(sys.version_info[:3]):
        assert fault.what in out
        assert fault.way_round in out
    assert out.count("  loads  ") == 1
    assert out.count("  missing") == 1


def test_text_says_which_word_to_use(capfd: pytest.CaptureFixture[str]) -> None:
    """Of a module that is refused the text has what came of each trial, and the recommended isolation."""
    pytest.importorskip("numpy", reason="numpy is not installed")
    assert main(["doctor", "numpy"]) == 1
    out = capfd.readouterr().out
    assert "numpy  refused" in out
    assert "thread: loads " in out and "process: loads " in out
    assert 'use @actor(isolation="thread") for an actor that needs it, or isolation="process"' in out


def test_without_modules_all_is_well(capfd: pytest.CaptureFixture[str]) -> None:
    """Known faults of the Python are information, not a failure: status 0."""
    status, modules = examine(capfd)
    assert (status, modules) == (0, [])


@pytest.mark.parametrize(
    ("version", "present", "absent"),
    [
        ((3, 13, 0), ["1.6 MiB", "datetime", "tracemalloc", "os.fork"], ["gh-144601"]),
        ((3, 14, 0), ["gh-144601", "gh-140260", "tracemalloc", "os.fork"], ["1.6 MiB", "datetime"]),
        ((3, 14, 8), ["tracemalloc", "os.fork"], ["gh-144601", "gh-116738", "1.6 MiB"]),
        ((3, 15, 0), ["os.fork"], ["tracemalloc", "csp.sleep", "1.6 MiB"]),
    ],
)
def test_faults_by_version(version: tuple[int, int, int], present: list[str], absent: list[str]) -> None:
    """Each version is told of its own faults only."""
    text = "\n".join(fault.what + fault.way_round for fault in faults_of(version))
    assert [word for word in present if word not in text] == []
    assert [word for word in absent if word in text] == []


def test_every_fault_has_a_way_round() -> None:
    """No fault is only a complaint, and no interval is empty."""
    for fault in FAULTS:
        assert fault.what
        assert fault.way_round
        assert fault.until is None or fault.since < fault.until
