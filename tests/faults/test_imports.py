"""Other interpreters import extensions while this one waits.

CPython runs an extension's init function in the main interpreter, with a thread state that it deletes after it has let go of the
main interpreter's lock: whoever walks the list of thread states there meanwhile reads freed memory.
"""

import importlib
import threading
from typing import Any

import csp

EXTENSIONS = "_json _csv _bisect _random _heapq _struct _zoneinfo array math select _statistics _lsprof binascii zlib unicodedata".split()
LIVES = 40


def import_extensions() -> None:
    """Each for the first time in this interpreter."""
    for name in EXTENSIONS:
        importlib.import_module(name)


def feed(channel: Any) -> None:
    """Send, each time waiting for the receiver."""
    while True:
        channel.send(None)


def test_waits_of_the_main_interpreter_survive_imports_in_others() -> None:
    """A thread that begins and ends waits all the time, while other interpreters come, import and go."""
    channel, got = csp.Channel(), 0

    def receive() -> None:
        nonlocal got
        for _ in channel:
            got += 1

    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    feeder = csp.spawn(feed, channel.sender)
    for _ in range(LIVES):
        refs = [csp.spawn(import_extensions) for _ in range(2)]
        assert [ref.join(30).reason for ref in refs] == ["normal", "normal"]
    feeder.stop()
    channel.close()
    thread.join(10)
    assert not thread.is_alive() and got > LIVES
