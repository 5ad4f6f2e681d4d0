"""`csp run` and `csp tree`: a tree of supervisors, named as `package.module:tree`, as a service or as a picture.

`csp run` writes a line to stderr for each thing that happens, with the path of the actor in front:

    csp run: indexing/parse[0]: exited: failed, ValueError: no such page
    csp run: indexing/parse[0]: restarted (1)
"""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csp._specs import Event, Spec
    from csp.supervision import Supervisor

GAVE_UP = 75
"""EX_TEMPFAIL of sysexits.h: it may go better another time, so a service manager should try again."""


class BadTarget(Exception):
    """There is no tree at `package.module:tree`; the message says what is there."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both commands to the parser."""
    target = "a Supervisor, or a function without parameters that returns one; modules are looked for in the current directory, too"
    parser = commands.add_parser(
        "run",
        help="run a tree of supervisors as a service",
        description="Start the tree and run it until SIGTERM, SIGINT or its own end.  A signal stops it in order; a second one hurries that, "
        "a third ends the process at once.  Exit status: 0 an orderly end, 75 the tree failed, 128+n hurried by signal n, 2 no such tree.",
        allow_abbrev=False,
    )
    parser.add_argument("target", metavar="MODULE:TREE", type=target_name, help=target)
    parser.add_argument("--quiet", action="store_true", help="no log lines on stderr, unless the tree fails")
    parser.set_defaults(run=run)
    parser = commands.add_parser(
        "tree",
        help="print the shape of a tree of supervisors",
        description="Print the children of the tree, and what happens when they end, without starting anything.",
        allow_abbrev=False,
    )
    parser.add_argument("target", metavar="MODULE:TREE", type=target_name, help=target)
    parser.set_defaults(run=show)


def target_name(text: str) -> str:
    module, colon, path = text.partition(":")
    if not colon or not all(part.isidentifier() for name in (module, path) for part in name.split(".")):
        raise argparse.ArgumentTypeError(f"not of the form package.module:tree: {text!r}")
    return text


def run(options: argparse.Namespace) -> int:
    """`csp run`; it ends the process with the right status, even if an actor is left that nobody can stop."""
    import csp
    from csp import _runner
    from csp.errors import SupervisorError

    supervisor = load(options, "run")
    if supervisor is None:
        return 2

    def main() -> None:
        try:
            hurried = _runner.run(supervisor, None if options.quiet else log)
        except SupervisorError as error:
            say(f"the tree failed: {error}")
            sys.exit(GAVE_UP)
        sys.exit(0 if hurried is None else 128 + hurried)

    csp.run(main)
    return 0


def show(options: argparse.Namespace) -> int:
    """`csp tree`."""
    supervisor = load(options, "tree")
    if supervisor is None:
        return 2
    print("\n".join(shape(supervisor)))
    return 0


# --- the target ---


def load(options: argparse.Namespace, command: str) -> "Supervisor | None":
    """The tree; None, and a word on stderr, if there is none."""
    try:
        return tree_at(options.target)
    except BadTarget as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        print(f"csp {command}: {error}", file=sys.stderr)
        return None


def tree_at(target: str) -> "Supervisor":
    """The tree that `package.module:tree` names.  Raises BadTarget."""
    from csp.supervision import Supervisor

    name, _, path = target.partition(":")
    found: Any = module_named(name)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise BadTarget(f"{name} has no {path!r}") from None
    if callable(found) and not isinstance(found, type):
        try:
            found = found()
        except Exception as error:
            raise BadTarget(f"{target} failed: {type(error).__name__}: {error}") from error
    if not isinstance(found, Supervisor):
        raise BadTarget(f"{target} is not a Supervisor, nor does it return one: {found!r}")
    if found._parent is not None:
        raise BadTarget(f"{target} is the child of another supervisor: name the root of its tree")
    return found


def module_named(name: str) -> Any:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)  # `python -m csp` has it there already; actors get this path
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise BadTarget(f"no module named {error.name!r}") from None
        raise BadTarget(f"{name} cannot be imported: {error}") from error
    except Exception as error:
        raise BadTarget(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


# --- the log ---


def say(line: str) -> None:
    try:
        print(f"csp run: {line}", file=sys.stderr, flush=True)
    except OSError:
        pass  # whoever read it has gone; the service has not


def log(event: "Event | str") -> None:
    """Write what happened, an actor's path in front of every line."""
    for line in [event] if isinstance(event, str) else lines_of(event):
        say(line)


def lines_of(event: "Event") -> Iterator[str]:
    from csp._remote import in_words
    from csp._specs import Exited, GaveUp, Restarted

    where = f"{event.id}: " if event.id else ""
    if isinstance(event, Exited):
        remote = event.exit.remote
        yield f"{where}exited: {event.reason}" + ("" if remote is None else f", {in_words(remote)}")
        if remote is not None and event.exit.ref is not None:  # a supervisor has no traceback of its own
            yield from (f"{where}| {line}" for line in remote.traceback.rstrip().splitlines())
    elif isinstance(event, Restarted):
        yield f"{where}restarted ({event.restarts})"
    elif isinstance(event, GaveUp):
        yield f"{where}gave up: {event.child} ended again ({event.reason})"
    else:
        yield f"{where}started"


# --- the shape ---


def shape(supervisor: "Supervisor") -> list[str]:
    """The tree as lines: the root, its children below it, and how long a stop may take."""
    from csp._runner import budget

    rows = [(supervisor._id, rules_of(supervisor)), *rows_below(supervisor, 1)]
    width = max(len(name) for name, _ in rows)
    limit = budget(supervisor)
    end = "an ordered stop takes as long as it needs" if limit == inf else f"an ordered stop takes at most {limit:g} s"
    return [*(f"{name:{width}}  {rest}" for name, rest in rows), end]


def rows_below(supervisor: "Supervisor", depth: int) -> Iterator[tuple[str, str]]:
    for id, spec in grouped(supervisor._specs):
        below = spec.supervisor
        what = f"{spec.restart}, {shutdown_of(spec)}" + (", significant" if spec.significant else "")
        if below is None:
            yield "  " * depth + id, what
        else:
            yield "  " * depth + id, f"{rules_of(below)}; {what}"
            yield from rows_below(below, depth + 1)


def grouped(specs: "list[Spec]") -> "Iterator[tuple[str, Spec]]":
    """The children with their ids; those of one pool, `id[0]` to `id[n]`, as one."""
    pools: dict[str, list[Spec]] = {}
    for spec in specs:
        base, bracket, _ = str(spec.id).partition("[")
        pools.setdefault(base + bracket, []).append(spec)
    for name, pool in pools.items():
        id = f"{name}0..{len(pool) - 1}]" if len(pool) > 1 else str(pool[0].id)
        yield id, pool[0]


def rules_of(supervisor: "Supervisor") -> str:
    rules = supervisor._rules
    kind = f"dynamic, at most {rules.max_children:g} children" if rules.dynamic else rules.strategy
    auto = "" if rules.auto_shutdown == "never" else f", ends with {rules.auto_shutdown}"
    warm = f", {supervisor._warm} warm" if supervisor._warm else ""
    budget = supervisor._memory_budget
    memory = "" if budget is None else f", memory budget {budget / 2**20:g} MiB"
    return f"{kind}, {rules.max_restarts:g} restarts within {rules.within:g} s{auto}{warm}{memory}"


def shutdown_of(spec: "Spec") -> str:
    if spec.shutdown is None:
        return "no limit to its shutdown"
    return "killed at shutdown" if spec.shutdown == "kill" else f"shutdown {spec.shutdown:g} s"
