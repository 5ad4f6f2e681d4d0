"""A supervisor's warm interpreters: booted, with the children's modules imported, waiting until a child has to be started.

Each is used for one life and ends with it, so no life ever sees what another has left in a module.  One that is taken is replaced
in the background, once the child that took it is up: booting competes with nobody's start, and a child that crashes in a circle
has at most one boot beside each of its lives.

The core has the rest (py_warm.c): who waits, the hand-over, the end.
"""

import time
from typing import TYPE_CHECKING, Any

from csp import _core
from csp.errors import CspError, Killed

if TYPE_CHECKING:
    from csp._ref import ActorRef

_KIND = 3  # of spawn_actor
_PATIENCE = 2.0  # seconds that interpreters which are told to end may take; one that imports may sit in C code


class WarmPool:
    """`size` warm interpreters for the children of one supervisor.  Only its tree's thread calls this, and nothing here but
    `await_end` waits.
    """

    def __init__(self, size: int, *, before_children: bool) -> None:
        self._size = size
        self._wanted = before_children  # a child may come at any time; else there is nothing to boot for until one is known
        self._known: list[Any] = []  # actors whose modules are in `_modules`
        self._modules: dict[Any, None] = {}
        self._fresh: list[ActorRef] = []  # with all modules that are known
        self._stale: list[ActorRef] = []  # without some of them: better than a cold start, replaced at the next refill
        self._ending: list[ActorRef] = []

    def learn(self, actor: Any) -> None:
        """A child of this kind will be started, now or later."""
        if any(actor is known for known in self._known):
            return
        self._known.append(actor)
        modules = modules_of(actor)
        if not modules <= self._modules.keys():
            self._modules.update(dict.fromkeys(sorted(modules - self._modules.keys(), key=repr)))
            self._stale += self._fresh
            self._fresh = []
            self._wanted = True

    def take(self) -> "ActorRef | None":
        """One that waits; it is the caller's, who gives it to a life, or back."""
        for places in (self._fresh, self._stale):
            for ref in places:
                if ref.alive:
                    places.remove(ref)
                    self._wanted = True
                    return ref
        return None

    def give_back(self, ref: "ActorRef") -> None:
        """The life that it was taken for has not begun."""
        self._stale.append(ref)

    def refill(self) -> None:
        """Begin to boot what is missing, if anything was taken or learnt since the last time.

        What cannot be booted is not tried again before then: its end would come as fast as a new try.
        """
        if not self._wanted:
            return
        self._wanted = False
        self._end(self._stale)
        self._fresh = [ref for ref in self._fresh if not _is_over(ref)]
        try:
            while len(self._fresh) < self._size:
                self._fresh.append(_boot(tuple(self._modules)))
        except (CspError, MemoryError):
            pass  # no thread, or tracemalloc traces: children start cold, and say what is wrong

    def close(self) -> None:
        """Tell all to end.  A refill after that begins anew."""
        self._wanted = True
        self._end(self._fresh)
        self._end(self._stale)

    def _end(self, places: "list[ActorRef]") -> None:
        for ref in places:
            ref._ask_stop() if ref.alive else ref._kill()  # one that imports does not hear a stop
        self._ending = [ref for ref in self._ending + places if not _is_over(ref)]
        places.clear()

    @property
    def is_ending(self) -> bool:
        """Are there some that were told to end, and have not?"""
        self._end([])
        return bool(self._ending)

    def await_end(self) -> None:
        """After `close`, wait until all have ended, but not for one that is stuck in C code: the end of the process names that."""
        deadline = time.monotonic() + _PATIENCE
        for ref in self._ending:
            try:
                ref._monitor().recv(max(0.0, deadline - time.monotonic()))
            except (CspError, Killed):
                ref._kill()
        self._ending = []


def modules_of(actor: Any) -> "set[Any]":
    """What an interpreter has to import before it can run the actor: names of modules, or the reference to the main program."""
    from csp.actors import by_reference, is_async

    reference = by_reference(actor)
    if type(reference) is not tuple:
        reference = by_reference(type(actor))
        modules: set[Any] = {"csp._pickling"}
    else:
        modules = set()
    if type(reference) is tuple:
        modules.add(reference[0])
    if isinstance(actor, type):
        modules.add("csp._serving")
    if is_async(actor):
        modules |= {"csp._async_serving", (getattr(actor, "__csp_actor__", None) or {}).get("loop", "trio")}
    return modules


def _is_over(ref: "ActorRef") -> bool:
    over: bool = ref._figures()[2]
    return over


def _boot(modules: "tuple[Any, ...]") -> "ActorRef":
    from csp.actors import _parent_here, no_start, prepare_process

    prepare_process()
    ref, _ = _core.spawn_actor(
        modules, "warm interpreter", False, False, _KIND, False, 0, 0, 1, 0.0, _parent_here(), no_start(), None
    )
    return ref
