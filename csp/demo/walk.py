"""Which files of a tree are measured, and in which order."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

SKIPPED = ("__pycache__",)
"""Directories that are never entered, beside hidden ones."""

INSTALLED = ("site-packages", "dist-packages")
"""What lies in the standard library's folder and is not part of it."""


def walk(root: str, skip: "Collection[str]" = (), unreadable: "list[str] | None" = None) -> "Iterator[str]":
    """Yield the paths of the .py files under `root`, relative to it and sorted within each directory.

    Links to directories are not followed, hidden directories and those named in `skip` are not entered.  A directory that
    cannot be read is appended to `unreadable`.  A `root` that is itself a file is yielded as its name.
    """
    if os.path.isfile(root):
        yield os.path.basename(root)
        return
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            if unreadable is not None:
                unreadable.append(folder or ".")
            continue
        below = []
        for entry in entries:
            path = os.path.join(folder, entry.name)
            if entry.is_dir(follow_symlinks=False):
                if not (entry.name.startswith(".") or entry.name in SKIPPED or entry.name in skip):
                    below.append(path)
            elif entry.name.endswith(".py") and entry.is_file():  # not a FIFO, whose open would wait for ever
                yield path
        pending.extend(reversed(below))


def base(root: str) -> str:
    """What the paths of `walk(root)` are relative to."""
    return (os.path.dirname(root) or ".") if os.path.isfile(root) else root
