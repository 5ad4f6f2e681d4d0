"""`Supervisor.run()`: a tree as the whole program, from its start to the signal that ends it."""

import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from csp import _core
from csp.errors import EndOfChannel

if TYPE_CHECKING:
    from csp._tree import Tree
    from csp.supervision import Supervisor

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(supervisor: "Supervisor") -> None:
    """Start, wait for a signal or the end, stop; a second signal kills.  Restores the handlers."""
    signals: _core.Channel[int] = _core.Channel(float("inf"), local=True, name="signals")
    restore = _catch(signals) if threading.current_thread() is threading.main_thread() else None
    try:
        supervisor._begin()
        tree = supervisor._tree
        assert tree is not None
        try:
            _until_the_end(tree, signals)
        except BaseException:
            tree.command("kill")
            raise
        supervisor.wait()
    finally:
        if restore is not None:
            restore()


def _catch(signals: "_core.Channel[int]") -> Callable[[], None]:
    def note(number: int, frame: Any) -> None:
        signals.send_nowait(number)

    old = [(number, signal.signal(number, note)) for number in _SIGNALS]

    def restore() -> None:
        for number, handler in old:
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    return restore


def _until_the_end(tree: "Tree", signals: "_core.Channel[int]") -> None:
    """The first signal stops the tree, the second one kills it."""
    ended = tree.ended.clone()
    for verb in ("stop", "kill", None):
        try:
            _core.select([ended, signals] if verb is not None else [ended])
        except EndOfChannel:
            return
        assert verb is not None
        tree.command(verb)
