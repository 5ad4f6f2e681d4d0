"""What type checkers are told costs nothing at run time, and annotations can be evaluated."""

import subprocess
import sys

import csp


def test_generic_names_can_be_subscripted():
    """`ActorRef[int]` and `Reply[int]` are aliases at run time, as `Channel[int]` is."""
    for cls in (csp.ActorRef, csp.Reply, csp.Channel):
        alias = cls[int]
        assert (alias.__origin__, alias.__args__) == (cls, (int,))


def test_import_brings_no_typing():
    """`import csp` does not import typing, with its generic classes."""
    code = "import csp, sys; csp.ActorRef[int], csp.Reply[int]; print('typing' in sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr
