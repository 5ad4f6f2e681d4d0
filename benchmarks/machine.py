"""The machine: its facts, the floor probe, and the hogs that make every core busy."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def cores() -> int:
    return len(os.sched_getaffinity(0))


def facts() -> dict[str, Any]:
    import csp

    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "kernel": f"{platform.system()} {platform.release()}",
        "libc": " ".join(platform.libc_ver()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "csp": csp.__version__,
        "commit": commit(),
        "load before": os.getloadavg()[0],
    }


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def commit() -> str:
    if shutil.which("git") is None:
        return "unknown"
    command = ["git", "-C", str(HERE), "-c", "safe.directory=*", "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


@contextmanager
def hogs(n: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    running = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for hog in running:
            hog.kill()
            hog.wait()


class Floor:
    """Two threads in C that hand a word to and fro, compiled here if there is a compiler."""

    def __init__(self, folder: str) -> None:
        self.program = Path(folder) / "floor"
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None or sys.platform != "linux":
            self.works = False
            return
        command = [compiler, "-O2", "-pthread", str(HERE / "floor.c"), "-o", str(self.program)]
        self.works = subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0

    def nanoseconds(self, how: str, seconds: float) -> float | None:
        """A round trip; None if there is no probe or, spinning, no core for each."""
        if not self.works or (how == "spin" and cores() < 2):
            return None
        done = subprocess.run([self.program, how, str(seconds)], capture_output=True, text=True, timeout=60)
        return float(done.stdout)


@contextmanager
def floor_probe() -> Iterator[Floor]:
    with tempfile.TemporaryDirectory() as folder:
        yield Floor(folder)
