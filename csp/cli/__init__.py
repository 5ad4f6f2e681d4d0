"""The command line: `csp run`, `csp tree`, `csp demo`, `csp doctor`.  Never imported by `import csp`.

Exit status: 0, all went well; 1, something failed and the output says what; 2, a bad argument, named in the message;
75, the tree that `csp run` ran has failed; 130, interrupted by Ctrl-C.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

INTERRUPTED = 130


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run the command line and return the exit status; raises SystemExit(2) for bad arguments, as argparse does."""
    try:
        options = make_parser().parse_args(argv)
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        import csp

        print("csp: interrupted", file=sys.stderr)
        csp.run(lambda: sys.exit(INTERRUPTED))  # an actor that is busy in C code cannot be waited for; the status stays right


def make_parser() -> "argparse.ArgumentParser":
    """The whole grammar of the command line.  The commands are loaded here: a probing process needs none of them."""
    import argparse

    import csp
    from csp.cli import demo, doctor, run

    parser = argparse.ArgumentParser(
        prog="csp",
        description="CSP channels, select and actors, each in its own subinterpreter with its own GIL.",
        epilog="'csp COMMAND --help' says more of a command.  Exit status: 0 well, 1 something failed, 2 bad arguments, 75 a tree failed, 130 interrupted.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"csp {csp.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    demo.add_to(commands)
    doctor.add_to(commands)
    run.add_to(commands)
    return parser
