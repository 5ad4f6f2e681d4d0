"""The first code of the process of a process-isolated actor: `python boot.py`, with the bridge's socket as descriptor 3.

Run as a file, before csp is imported: csp gets a core whose channels are stand-ins (far.py), and is itself unchanged.
"""

import importlib.machinery
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class CoreFinder:
    """Finds csp._core, and puts the stand-ins into it before anybody else sees it."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def find_spec(self, name: str, path: object = None, target: object = None) -> "Any":
        if name != "csp._core":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, [self.folder])
        if spec is not None:
            self.loader, spec.loader = spec.loader, self  # type: ignore[assignment]
        return spec

    def create_module(self, spec: "Any") -> "Any":
        return self.loader.create_module(spec)  # type: ignore[union-attr]

    def exec_module(self, module: "Any") -> None:
        self.loader.exec_module(module)  # type: ignore[union-attr]
        from csp._process import far

        far.install(module)


def main() -> None:
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    del sys.modules["__main__"].__file__  # it is not the user's program
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both: the other process decides what becomes of us
    sys.path[0] = os.path.dirname(package)
    sys.meta_path.insert(0, CoreFinder(package))
    from csp import _boot, _core, _ref
    from csp._process import line, stack

    _core.end_with_parent()
    sys.path[:] = line.begin(3)
    file = stack.show()
    if file is not None:
        line.tell("can_show", file)
    ref = _core.boot_ref()
    _ref.enter(ref, _ref.ActorContext(ref))
    _boot._live(ref)
    _ref.leave()


if __name__ == "__main__":
    main()
