"""What the actors of test_arrays do.  Imported in their interpreters: no numpy here."""

from typing import Any

import csp


def receive(channel: Any) -> Any:
    """The value, or the DecodeError's message and the type of its cause."""
    try:
        return channel.recv()
    except csp.DecodeError as error:
        return str(error), type(error.__cause__).__name__


def describe(view: Any) -> Any:
    """What a view tells of its memory, without numpy."""
    return type(view).__name__, view.format, view.shape, view.strides, memoryview(view).tobytes()
