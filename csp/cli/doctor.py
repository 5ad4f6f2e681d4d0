"""`csp doctor`: this Python, its known faults that matter here, and in which kinds of actor a module loads, by trial.

The figures, as `--json` writes them:

    schema      "csp-doctor/1"
    python      {version, build, compiler, executable, free_threaded, gil_enabled}
    csp         {version, core, parking}
    platform    {name, cores, cores_of_machine}
    faults      [{what, way_round}]: the known faults of this version
    modules     [{module, verdict, message, seconds, isolation, tried}]; `verdict` is
        "loads"     it can be used in any actor
        "refused"   it does not load in an interpreter of its own, but elsewhere
        "crashes"   loading it in an interpreter, or ending that interpreter, crashed the process that tried
        "hangs"     it had not been loaded within a minute
        "missing"   there is no such module
        "broken"    it cannot be imported in any kind of actor
      `isolation` is what to give to @actor: the first of "interpreter", "thread", "process" that it loads in, or null.
      `tried` has an object {outcome, message, seconds} for each of these three, where outcome is "loads", "failed", "crashes" or "hangs".
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from typing import Any

import csp
from csp import _core
from csp.cli import probe
from csp.cli.faults import Version, faults_of
from csp.cli.report import Style

PATIENCE = 60.0
"""Seconds that a module may take to load."""

START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from csp.cli.probe import main; main(*sys.argv[2:])"
"""What a probing process runs: with the path of this one, so that it finds the same modules."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "doctor",
        help="say what this Python can do, and which modules load in an actor",
        description="Print this Python, those of its known faults that matter to actors with the way round each, and which isolation each MODULE "
        "needs, by trying it in an interpreter with its own GIL, in a thread and in a process.  Exit status 1 if one does not load in the first.",
        allow_abbrev=False,
    )
    parser.add_argument("modules", metavar="MODULE", nargs="*", type=module_name, help="the full name of a module, such as numpy or xml.sax")
    parser.add_argument("--json", action="store_true", help="print JSON in place of text")
    parser.set_defaults(run=run)


def module_name(text: str) -> str:
    if not all(part.isidentifier() for part in text.split(".")):
        raise argparse.ArgumentTypeError(f"not the name of a module: {text!r}")
    return text


def run(options: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    data = about()
    style = Style(sys.stdout)
    if not options.json:
        print("\n".join(render(data, style)))
    if options.modules and not options.json:
        print("\n" + style.bold("Modules, tried in an interpreter with its own GIL, a thread and a process"))
    for module in dict.fromkeys(options.modules):
        found = diagnosed(module)
        data["modules"].append(found)
        if not options.json:
            print("\n".join(verdict_of(found, max(map(len, options.modules)), style)), flush=True)
    if options.json:
        print(json.dumps(data, indent=2))
    return 0 if all(found["verdict"] == "loads" for found in data["modules"]) else 1


def about() -> dict[str, Any]:
    """Everything but the modules."""
    version: Version = sys.version_info[:3]
    return {
        "schema": "csp-doctor/1",
        "python": {
            "version": platform.python_version(),
            "build": " ".join(platform.python_build()),
            "compiler": platform.python_compiler(),
            "executable": sys.executable,
            "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
            "gil_enabled": sys._is_gil_enabled(),
        },
        "csp": {"version": csp.__version__, "core": _core.__file__, "parking": _core.PARKING},
        "platform": {"name": platform.platform(), "cores": os.process_cpu_count(), "cores_of_machine": os.cpu_count()},
        "faults": [{"what": fault.what, "way_round": fault.way_round} for fault in faults_of(version)],
        "modules": [],
    }


ISOLATIONS = ("interpreter", "thread", "process")


def diagnosed(module: str) -> dict[str, Any]:
    """Try to load one module as each kind of actor would, and find out why if it does not."""
    tried = {where: attempt(where, module) for where in ISOLATIONS}
    isolation = next((where for where in ISOLATIONS if tried[where]["outcome"] == "loads"), None)
    verdict, told = tried["interpreter"]["outcome"], tried["interpreter"]
    if verdict == "failed":
        verdict = "refused"
        if isolation is None:
            told = tried["process"]  # which is most like the main program
            verdict = "missing" if is_missing(module, told) else "broken"
    return {
        "module": module,
        "verdict": verdict,
        "message": told["message"],
        "seconds": told["seconds"],
        "isolation": isolation,
        "tried": {where: {key: found[key] for key in ("outcome", "message", "seconds")} for where, found in tried.items()},
    }


def attempt(where: str, module: str) -> dict[str, Any]:
    """Load a module in a process of its own: {outcome, message, type_name, seconds}, with outcome "loads", "failed", "crashes" or "hangs"."""
    nothing = {"message": "", "type_name": "", "seconds": None}
    command = [sys.executable, "-c", START, json.dumps(sys.path), where, module]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return nothing | {"outcome": "hangs", "message": f"not loaded within {PATIENCE:.0f} s"}
    marked = [line for line in done.stdout.decode(errors="replace").splitlines() if line.startswith(probe.MARK)]
    if not marked or done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        when = "after it was tried" if marked else "while it was tried"
        message = ": ".join([f"the process ended with {status_text(done.returncode)} {when}", *last])
        return nothing | {"outcome": "crashes", "message": message}
    found: dict[str, Any] = json.loads(marked[-1].removeprefix(probe.MARK))
    return found | {"outcome": "loads" if found["loads"] else "crashes" if found.get("ended") else "failed"}


def status_text(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"status {returncode}"


def is_missing(module: str, outcome: dict[str, Any]) -> bool:
    """Whether the module itself is not there, rather than one that it imports."""
    names = module.split(".")
    parents = [".".join(names[:n]) for n in range(1, len(names) + 1)]
    return outcome["type_name"] == "ModuleNotFoundError" and any(f"No module named {name!r}" in outcome["message"] for name in parents)


# --- as text ---


def render(data: dict[str, Any], style: Style) -> Iterator[str]:
    """The lines about the Python and its faults."""
    python, ours, where = data["python"], data["csp"], data["platform"]
    threads = "free-threaded" if python["free_threaded"] else "with a GIL in each interpreter"
    if python["free_threaded"] and python["gil_enabled"]:
        threads += ", with the GIL switched on"
    yield f"{style.bold('Python')}    {python['version']} ({python['build']}, {python['compiler']}), {threads}"
    yield f"          {python['executable']}"
    yield f"{style.bold('csp')}       {ours['version']}, waits by {ours['parking']}"
    yield f"          {ours['core']}"
    yield f"{style.bold('Platform')}  {where['name']}, {where['cores']} of {where['cores_of_machine']} cores available to this process"
    if python["free_threaded"]:
        yield "          free-threaded builds have not been tried: use the default build"
    yield from ("", style.bold("What to know about interpreters in this version"))
    for fault in data["faults"]:
        yield f"  {style.dot} {fault['what']}"
        yield style.dim(f"      {fault['way_round']}")


def verdict_of(found: dict[str, Any], width: int, style: Style) -> Iterator[str]:
    """The lines about one module."""
    loads = found["verdict"] == "loads"
    took = f"  {style.dim(milliseconds(found))}" if loads else ""
    yield f"  {found['module']:<{width}}  {style.bold(found['verdict'])}{took}"
    margin = " " * (width + 4)
    lines = [line.strip() for line in found["message"].splitlines() if line.strip()]
    if lines:
        yield f"{margin}{lines[0]}"
    if loads:
        return
    if found["verdict"] == "missing":
        yield f"{margin}install it for {sys.executable} first"
    elif found["isolation"] is None:
        yield f"{margin}it loads in no kind of actor: no isolation helps"
    else:
        elsewhere = {where: how for where, how in found["tried"].items() if where != "interpreter"}
        yield margin + style.dim("; ".join(f"{where}: {how['outcome']} {milliseconds(how)}".rstrip() for where, how in elsewhere.items()))
        both = all(how["outcome"] == "loads" for how in elsewhere.values())
        rather = ', or isolation="process" if it holds the GIL or may crash' if both else ""
        yield f'{margin}use @actor(isolation="{found["isolation"]}") for an actor that needs it{rather}'


def milliseconds(how: dict[str, Any]) -> str:
    return f"{how['seconds'] * 1000:.0f} ms" if how["seconds"] is not None else ""
