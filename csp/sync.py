"""Primitives shared between interpreters: the names, signatures and results of `threading`, and Go's WaitGroup and Once.

Send one through a channel or give it to an actor: what arrives is a new handle to the same thing.  A lock whose holder's actor or
interpreter ended is released; the next holder reads `lock.owner_died`.  `Lock`, the semaphores, `Event` and `WaitGroup` are
cases of `csp.select`.

    hits = AtomicInt()
    with lock: ...
"""

from csp._core import (
    AtomicInt,
    BoundedSemaphore,
    Condition,
    Event,
    Lock,
    Once,
    RLock,
    Semaphore,
    WaitGroup,
)

__all__ = ["AtomicInt", "BoundedSemaphore", "Condition", "Event", "Lock", "Once", "RLock", "Semaphore", "WaitGroup"]
