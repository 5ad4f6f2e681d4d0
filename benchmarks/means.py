"""The means that are compared.  Each starts units and gives them ends; what the units do is in units.py.

A means is a class with `channel(capacity)` -> (sending end, receiving end), and `start(function, *args)` -> something with
`join()`.  Capacity None: the means' own default for a buffer of about a thousand.
"""

import multiprocessing
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import csp

BUFFER = 1024


class Csp:
    """Actors and channels."""

    name: ClassVar[str] = "csp"

    def channel(self, capacity: int = BUFFER) -> tuple[Any, Any]:
        return csp.channel(capacity)

    def start(self, function: Callable[..., None], *args: Any) -> Any:
        return csp.spawn(function, *args)


class ThreadQueues:
    """Threads of one interpreter and queue.Queue: by reference, one core."""

    name: ClassVar[str] = "threads, Queue"

    def channel(self, capacity: int = BUFFER) -> tuple[Any, Any]:
        q: queue.Queue[Any] = queue.Queue(max(capacity, 1))
        return q, q

    def start(self, function: Callable[..., None], *args: Any) -> threading.Thread:
        thread = threading.Thread(target=function, args=args, daemon=True)
        thread.start()
        return thread


class ThreadSimpleQueues(ThreadQueues):
    """Threads and queue.SimpleQueue, which has no bound."""

    name = "threads, SimpleQueue"

    def channel(self, capacity: int = BUFFER) -> tuple[Any, Any]:
        q: queue.SimpleQueue[Any] = queue.SimpleQueue()
        return q, q


class ProcessQueues:
    """Processes and multiprocessing.Queue."""

    name: ClassVar[str] = "processes, Queue"
    method = "fork"

    def __init__(self) -> None:
        self.context: Any = multiprocessing.get_context(self.method)

    def channel(self, capacity: int = BUFFER) -> tuple[Any, Any]:
        q = self.context.Queue(max(capacity, 1))
        return q, q

    def start(self, function: Callable[..., None], *args: Any) -> Any:
        process = self.context.Process(target=function, args=args, daemon=True)
        process.start()
        return process


class ProcessSimpleQueues(ProcessQueues):
    """Processes and multiprocessing.SimpleQueue, whose bound is the pipe's."""

    name = "processes, SimpleQueue"

    def channel(self, capacity: int = BUFFER) -> tuple[Any, Any]:
        q = self.context.SimpleQueue()
        return q, q


class ProcessPipes(ProcessQueues):
    """Processes and multiprocessing.Pipe: one sender, one receiver."""

    name = "processes, Pipe"

    def channel(self, capacity: int = BUFFER) -> tuple[Any, Any]:
        rx, tx = self.context.Pipe(duplex=False)
        return tx, rx


class SpawnedProcessPipes(ProcessPipes):
    name = "processes (spawn), Pipe"
    method = "spawn"


class InterpreterQueues:
    """Threads in concurrent.interpreters and its Queue, from 3.14 on: waiting is polling every 10 ms."""

    name: ClassVar[str] = "interpreters, Queue"

    class Unit:
        def __init__(self, interpreter: Any, thread: threading.Thread) -> None:
            self.interpreter, self.thread = interpreter, thread

        def join(self) -> None:
            self.thread.join()
            self.interpreter.close()

    def channel(self, capacity: int = BUFFER) -> tuple[Any, Any]:
        from concurrent import interpreters

        q = interpreters.create_queue(max(capacity, 1))
        return q, q

    def start(self, function: Callable[..., None], *args: Any) -> Any:
        from concurrent import interpreters

        interpreter = interpreters.create()
        interpreter.exec(f"import sys; sys.path[:] = {sys.path!r}")
        return self.Unit(interpreter, interpreter.call_in_thread(function, *args))


def create_bare_interpreter() -> Any:
    """An interpreter with a GIL of its own, and nothing in it."""
    import _interpreters

    return _interpreters.create("isolated")


def end_bare_interpreter(interpreter: Any) -> None:
    import _interpreters

    _interpreters.destroy(interpreter)
