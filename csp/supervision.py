"""Supervisors: actors that are started in order, watched, started again when they fail, and stopped in order.

    tree = csp.Supervisor(
        [
            csp.ChildSpec(fetch, args=(urls.receiver, pages.sender)),
            csp.Supervisor([csp.ChildSpec(parse, count=2), index], id="indexing", strategy="rest_for_one"),
        ],
        max_restarts=3, within=5.0,
    )
    with tree:
        ...

The vocabulary and the rules are OTP's; docs/explanation/otp-compared.md goes through the differences.

This module is the public face.  csp._specs has the values, csp._machine the rules, csp._tree the thread that drives a tree.
"""

import atexit
import math
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self

from csp import _core, _ref
from csp._machine import Rules
from csp._ref import ActorRef, Exit
from csp._specs import (
    AUTO_SHUTDOWNS,
    RESTARTS,
    STRATEGIES,
    AutoShutdown,
    Backoff,
    ChildCount,
    ChildInfo,
    ChildSpec,
    Event,
    Exited,
    GaveUp,
    Restart,
    Restarted,
    Shutdown,
    Spec,
    Started,
    Strategy,
    SupervisorSpec,
    check,
    default_id,
    expand,
    is_number,
)
from csp._tree import Node, Tree, info, running
from csp.errors import DeadlockError, EndOfChannel, Killed, SupervisorError, Timeout

if TYPE_CHECKING:
    from csp._machine import Machine

__all__ = [
    "Backoff",
    "ChildCount",
    "ChildInfo",
    "ChildSpec",
    "DynamicSupervisor",
    "Exited",
    "GaveUp",
    "Restarted",
    "Started",
    "Supervisor",
]

_EVENTS = 256  # how many events wait for a listener before the oldest are dropped
_EXIT_STOP = 1.0  # seconds that trees have to stop in order at the end of the program
_BODY_STOP = 5.0  # the same at the end of an actor's body


class Supervisor:
    """Starts its children in order, starts again those that fail, and stops them in reverse order.

        with csp.Supervisor([producer, csp.ChildSpec(worker, count=4)]) as tree:
            tree.wait()

    - `children`: `ChildSpec`s, other supervisors, or plain actors, which stand for their default spec.  They are checked here:
      `ValueError` (or `TypeError`) names the child that is wrong.
    - `strategy`: whom one failure concerns: `"one_for_one"` the child alone, `"one_for_all"` all children, `"rest_for_one"` it and
      those after it.
    - `max_restarts` within `within` seconds are allowed; one more, and the supervisor stops its children and fails.
    - `auto_shutdown`: the supervisor ends when `"any_significant"` child, or the last of them (`"all_significant"`), has ended by
      itself; `"never"` is the default.
    - `warm`: so many booted interpreters, with the modules of this supervisor's own children imported, are kept waiting: a restart
      takes one instead of booting (0.1 ms instead of 10, and more with large modules), and it is replaced in the background.  Each is
      used for one life only, so no life sees module state of another.  One costs 2.5 MiB and what its modules need.
    - `memory_budget`: for the root, on CPython 3.13, where what an interpreter used is lost when it ends: once about so many bytes are
      lost in the process, the tree ends in order and fails with `SupervisorError`, `reason` `"memory_budget"`, so that a service
      manager starts the program anew.  Without effect from 3.14 on.
    - `id`, `restart`, `shutdown` (None: as long as it needs) and `significant` are for a supervisor that is the child of another.

    A tree is driven by one thread.  Its methods may be called from any thread of the interpreter that made it; a supervisor does
    not cross to others.  A tree that is made in an actor ends with it.
    """

    __module__ = "csp"
    _dynamic = False

    def __init__(
        self,
        children: "Iterable[ChildSpec | Supervisor | Callable[..., Any]]",
        *,
        strategy: Strategy = "one_for_one",
        max_restarts: float = 3,
        within: float = 5.0,
        auto_shutdown: AutoShutdown = "never",
        warm: int = 0,
        memory_budget: float | None = None,
        id: str | None = None,
        restart: Restart = "permanent",
        shutdown: Shutdown = None,
        significant: bool = False,
    ) -> None:
        rules = Rules(strategy, max_restarts, within, auto_shutdown)
        self._init(children, rules, warm, memory_budget, id, restart, shutdown, significant)

    def _init(
        self,
        children: "Iterable[Any]",
        rules: Rules,
        warm: int,
        memory_budget: float | None,
        id: str | None,
        restart: Restart,
        shutdown: Shutdown,
        significant: bool,
    ) -> None:
        self._rules = rules
        self._warm = warm
        self._memory_budget = memory_budget
        self._id = type(self).__name__ if id is None else id
        self._check_rules(restart)
        self._spec = SupervisorSpec(self, self._id, restart, shutdown, significant)
        self._specs = check(children, auto_shutdown=rules.auto_shutdown, dynamic=self._dynamic)
        self._parent: Supervisor | None = None
        self._node: Node | None = None
        self._tree: Tree | None = None
        self._open_events()
        for spec in self._specs:
            if spec.supervisor is not None:
                spec.supervisor._join(self)

    def _check_rules(self, restart: str) -> None:
        strategy, max_restarts, within, auto_shutdown, _, max_children = self._rules

        def wrong(what: str) -> ValueError:
            return ValueError(f"supervisor {self._id!r}: {what}")

        if not isinstance(self._id, str) or not self._id or "/" in self._id:
            raise wrong("an id is a str, not empty, without '/'")
        if strategy not in STRATEGIES:
            raise wrong(f"strategy must be one of {', '.join(STRATEGIES)}, not {strategy!r}")
        if restart not in RESTARTS:
            raise wrong(f"restart must be one of {', '.join(RESTARTS)}, not {restart!r}")
        if auto_shutdown not in AUTO_SHUTDOWNS:
            raise wrong(f"auto_shutdown must be one of {', '.join(AUTO_SHUTDOWNS)}, not {auto_shutdown!r}")
        if not _is_count(max_restarts, 0):
            raise wrong(f"max_restarts must be an int of at least 0, not {max_restarts!r}")
        if not is_number(within) or within <= 0:
            raise wrong(f"within must be a number of seconds above 0, not {within!r}")
        if not _is_count(self._warm, 0) or self._warm == math.inf:
            raise wrong(f"warm must be an int of at least 0, not {self._warm!r}")
        budget = self._memory_budget
        if budget is not None and (not is_number(budget) or budget <= 0):
            raise wrong(f"memory_budget must be a number of bytes above 0, or None, not {budget!r}")
        if not _is_count(max_children, 1):
            raise wrong(f"max_children must be an int of at least 1, or math.inf, not {max_children!r}")

    def _join(self, parent: "Supervisor") -> None:
        if self._parent is not None and self._parent is not parent:
            raise ValueError(f"child {self._id!r}: this supervisor is the child of another one already")
        if self._tree is not None:
            raise ValueError(f"child {self._id!r}: this supervisor runs as the root of a tree")
        if self._memory_budget is not None:
            raise ValueError(f"child {self._id!r}: memory_budget is an option of the root, the whole program's")
        self._parent = parent

    def _open_events(self) -> None:
        events: _core.Channel[Event] = _core.Channel(_EVENTS, overflow="drop_oldest", name=f"events of {self._id}")
        self._events = events.sender
        self._listener = events.receiver
        del events  # a Channel counts as both sides

    def __repr__(self) -> str:
        return f"<csp.{type(self).__name__} {self._id!r} of {len(self._specs)} children>"

    # --- the whole tree ---

    def start(self) -> None:
        """Start all children in order; return once the last one is up.

        If one cannot be started, those before it are stopped again, in reverse, and `SupervisorError` is raised.  Only for
        the root of a tree.  A tree that has ended can be started again.
        """
        reply = self._begin()
        tree = self._tree
        assert tree is not None
        try:
            self._await_start(reply, tree)
        except Killed:
            tree.command("kill")
            raise
        except BaseException:  # say, Ctrl-C, or a stop of the actor that starts it: what has started is stopped in order
            tree.command("stop")
            raise

    def _begin(self) -> "_core.RecvChannel[tuple[bool, Any]]":
        """Start the thread; what comes over the channel says that all is up, or why not."""
        if self._parent is not None:
            raise RuntimeError(f"{self!r} is a child: start the root of its tree")
        if self._tree in running:
            raise RuntimeError(f"{self!r} has been started")
        for supervisor in self._all():
            supervisor._node = None
            if supervisor._events.closed:
                supervisor._open_events()
        tree = Tree(self)
        self._node = tree.root
        self._tree = tree
        reply = tree.command("start")
        _see_to_its_end(tree)
        tree.run_in_thread()
        return reply

    @staticmethod
    def _await_start(reply: "_core.RecvChannel[tuple[bool, Any]]", tree: Tree) -> None:
        try:
            ok, value = reply.recv()
        except EndOfChannel:
            ok, value = True, None
        if not ok:
            _wait_for_end(tree, None)
            raise value

    def _all(self) -> "Iterable[Supervisor]":
        yield self
        for spec in self._specs:
            if spec.supervisor is not None:
                yield from spec.supervisor._all()

    def stop(self, timeout: float | None = None) -> None:
        """Stop all children, in reverse order, each within its own `shutdown`; return once all have ended.

        Past `timeout` those that are left are killed, all at once.  Starts and restarts that are under way, or were to come, are
        off.  Without effect on a tree that does not run.  A child supervisor is stopped as by its parent's `terminate_child`.
        An actor below it may call this too: the stop breaks its wait off, as any other.  Where that cannot be, since it traps
        stops, or has been stopped already and is on its way out, `DeadlockError` is raised and nothing done.
        """
        self._refuse_own_end("stop")
        if self._parent is not None:
            self._parent.terminate_child(self._id)
            return
        tree = self._tree
        if tree is None:
            return
        tree.command("stop")
        try:
            _wait_for_end(tree, timeout)
        except Timeout:
            tree.command("kill")
            _wait_for_end(tree, None)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the tree has ended: because it was stopped, or by `auto_shutdown`.

        Raises `SupervisorError` if it failed, and `Timeout`.
        """
        tree = self._root_tree()
        _wait_for_end(tree, timeout)
        if tree.failure is not None:
            raise tree.failure

    def _root_tree(self) -> Tree:
        if self._parent is not None:
            raise RuntimeError(f"{self!r} is a child: wait for the root of its tree")
        if self._tree is None:
            raise RuntimeError(f"{self!r} has not been started")
        return self._tree

    def run(self) -> None:
        """Start, wait for SIGINT or SIGTERM, or for the tree's own end, and stop it; the program's main function.

        - The first signal stops the children in order, each within its `shutdown`.  A second one hurries that: all are asked at
          once, and killed after a second; then `run` raises `SystemExit` with 128 + the number of that signal.  A third one ends
          the process at once with that status.
        - If the tree fails, or cannot be started, `SupervisorError` is raised, as by `wait` and `start`.
        - The signal handlers are restored.  SIGINT stays ignored where it was.  Outside the main thread no signals are waited for.
        - A service manager that set NOTIFY_SOCKET (systemd with `Type=notify`) is told when all are up, when the tree stops, and, if
          it set WATCHDOG_USEC, that the tree still answers.
        """
        from csp._runner import run

        hurried = run(self)
        if hurried is not None:
            raise SystemExit(128 + hurried)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    # --- from an event loop ---

    async def start_async(self) -> None:
        """As `start`, in a task of trio or asyncio.  Cancelled, it stops in order what has started."""
        from csp._awaiting import shielded

        reply = self._begin()
        tree = self._tree
        assert tree is not None
        try:
            ok, value = await _answer_of(reply)
        except BaseException:
            tree.command("stop")
            with shielded():
                await _end_of(tree)
            raise
        if not ok:
            with shielded():
                await _end_of(tree)
            raise value

    async def stop_async(self) -> None:
        """As `stop`, in a task of trio or asyncio.  Cancelled, it kills those that are left."""
        from csp._awaiting import shielded

        tree = self._root_tree() if self._tree is not None else None
        if tree is None:
            return
        tree.command("stop")
        try:
            await _end_of(tree)
        except BaseException:
            tree.command("kill")
            with shielded():
                await _end_of(tree)
            raise

    async def wait_async(self) -> None:
        """As `wait`, in a task of trio or asyncio, under its cancellation and its timeouts."""
        tree = self._root_tree()
        await _end_of(tree)
        if tree.failure is not None:
            raise tree.failure

    async def __aenter__(self) -> Self:
        await self.start_async()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop in order, whatever cancelled the block: as long as the children's `shutdown` allows."""
        from csp._awaiting import shielded

        with shielded():
            await self.stop_async()

    # --- looking ---

    def children(self) -> list[ChildInfo]:
        """What there is to say of each child, in start order; at once, whatever the children are doing."""
        return self._look(_infos)  # type: ignore[no-any-return]

    def count_children(self) -> ChildCount:
        """How many children there are (`specs`), how many have a life (`active`), and how many are `supervisors` and `workers`."""
        return self._look(_count)  # type: ignore[no-any-return]

    def __getitem__(self, path: str) -> ActorRef:
        """The actor at a path of ids: `tree["indexing/index"]`.

        It is the same reference over all restarts.  `KeyError` if there is no such child, if it is a supervisor, or if
        it has not been started yet.
        """
        if not isinstance(path, str):
            raise TypeError(f"a path is a str, not {type(path).__name__}")
        return self._look(_ref_at, path)  # type: ignore[no-any-return]

    def _look(self, function: "Callable[..., Any]", *args: Any) -> Any:
        root: Supervisor = self
        while root._parent is not None:
            root = root._parent
        if root._tree is not None and root._tree in running:
            try:
                return _value(root._tree.command("look", function, self, *args))
            except EndOfChannel:
                pass  # it has just ended
        return function(self, *args)

    def _machine(self) -> "Machine":
        return Node(self, None, "").machine if self._node is None else self._node.machine

    @property
    def events(self) -> "_core.RecvChannel[Event]":
        """A channel of `Started`, `Exited`, `Restarted` and `GaveUp`, of its children and of all below; the same handle each time.

        Works in `select`.  Nobody has to listen: of what nobody took, the oldest is dropped.  It ends with the tree.
        """
        return self._listener

    @staticmethod
    def check(specs: "Iterable[ChildSpec | Supervisor | Callable[..., Any]]", *, auto_shutdown: AutoShutdown = "never") -> None:
        """Raise what a supervisor of these children would raise: `ValueError` or `TypeError`, naming the child."""
        check(specs, auto_shutdown=auto_shutdown)

    def worst_case_restarts(self) -> float:
        """How many times one actor of this tree may end before the failure has come up to here, if they follow quickly.

        Budgets of nested supervisors multiply: with 3 on each of two levels it is 16.
        """
        below = [spec.supervisor.worst_case_restarts() for spec in self._specs if spec.supervisor is not None]
        return (self._rules.max_restarts + 1) * max(below, default=1)

    # --- single children ---

    def start_child(self, spec: "ChildSpec | Supervisor | Callable[..., Any]") -> Any:
        """Add a child after the others, start it, and return its `ActorRef` once it is up (a child supervisor: itself).

        `SupervisorError` if it cannot be started; then it is not added.  `ValueError` for an id that another child has.
        `DeadlockError` in an actor that is itself starting under this supervisor: whatever its strategy, a start cannot wait for
        another one.  A restart of this supervisor by its own does not bring it back.
        """
        child = self._one(spec)
        if child.supervisor is not None:
            child.supervisor._join(self)
        try:
            return self._command("start_child", str(child.id), child)
        except BaseException:
            if child.supervisor is not None:
                child.supervisor._parent = None
            raise

    def _one(self, spec: object) -> Spec:
        children = list(expand(spec, self._rules.auto_shutdown, self._dynamic))
        if len(children) != 1:
            raise ValueError(f"child {default_id(spec)!r}: start_child starts one child, count must be 1")
        return children[0]

    def terminate_child(self, id: str) -> Exit | None:
        """Stop a child, keep it stopped, and return its `Exit`; None if it was not running.  A restart that was to come is off.

        Its spec stays for `restart_child`, unless it is temporary.  `KeyError` for an unknown id.  `DeadlockError` as by `stop`.
        """
        self._refuse_own_end("terminate_child", id)
        return self._command("terminate_child", id, id)  # type: ignore[no-any-return]

    def restart_child(self, id: str) -> Any:
        """Start a child that is stopped, finished or backing off; return its `ActorRef` once it is up.  Costs no restart.

        `SupervisorError` if it is running (`reason`), or cannot be started.  `KeyError` for an unknown id.  `DeadlockError` as
        by `start_child`.
        """
        return self._command("restart_child", id, id)

    def delete_child(self, id: str) -> None:
        """Forget a child that is stopped or finished, or about to be started again: then it is not.

        `SupervisorError` if it is running: terminate it first.  `KeyError` for an unknown id.
        """
        self._command("delete_child", id, id)

    def _refuse_own_end(self, what: str, id: str | None = None) -> None:
        """An actor that waits for its own end is broken off by its stop.  But for one that this cannot reach, that is a deadlock."""
        caller = _ref.context_here()
        spec = None if caller is None else _spec_of(self, caller.ref, id)
        if spec is not None and (_traps_stops(spec) or _core.boot_asked() not in ("", "unnoticed stop")):
            raise DeadlockError(f"{what}: an actor cannot wait for its own end")

    def _command(self, what: str, id: str, *args: Any) -> Any:
        root: Supervisor = self
        while root._parent is not None:
            root = root._parent
        error = SupervisorError(f"child {id!r}: {self!r} does not run")
        error.child, error.reason = id, "shutdown"
        if root._tree is None or self._node is None:
            raise error
        caller = _ref.context_here()
        try:
            return _value(root._tree.command(what, self._node, None if caller is None else caller.ref, *args))
        except EndOfChannel:
            raise error from None


class DynamicSupervisor(Supervisor):
    """A supervisor of children that are started on demand, by `start_child`; it begins with none.

        with csp.DynamicSupervisor(max_children=100) as sessions:
            ref = sessions.start_child(csp.ChildSpec(session, args=(connection,), restart="temporary"))

    Each child is on its own (`one_for_one`), and all are stopped at once.  A child without an `id` gets one made from the actor's
    name.  `max_children` counts those that run or wait to be started again; one more is a `SupervisorError`.  A child that
    has come to its own end is forgotten; when the supervisor itself is restarted, all are.  `warm` interpreters are there for first
    starts, too; they import the modules of the children that there have been.
    """

    __module__ = "csp"
    _dynamic = True

    def __init__(
        self,
        *,
        max_children: float = math.inf,
        max_restarts: float = 3,
        within: float = 5.0,
        warm: int = 0,
        memory_budget: float | None = None,
        id: str | None = None,
        restart: Restart = "permanent",
        shutdown: Shutdown = None,
        significant: bool = False,
    ) -> None:
        self._serial = 0
        rules = Rules("one_for_one", max_restarts, within, "never", True, max_children)
        self._init((), rules, warm, memory_budget, id, restart, shutdown, significant)

    def _one(self, spec: object) -> Spec:
        child = super()._one(spec)
        given = spec.id if isinstance(spec, ChildSpec) else None
        if isinstance(child, SupervisorSpec) or given is not None:
            return child
        from attrs import evolve

        taken = {other.id for other in self.children()}
        while child.id in taken:
            self._serial += 1
            child = evolve(child, id=f"{default_id(child.actor)}-{self._serial + 1}")
        return child


def _is_count(value: object, least: int) -> bool:
    return value == math.inf or (isinstance(value, int) and not isinstance(value, bool) and value >= least)


def _value(reply: "_core.RecvChannel[tuple[bool, Any]]") -> Any:
    ok, value = reply.recv()
    if not ok:
        raise value
    return value


def _wait_for_end(tree: Tree, timeout: float | None) -> None:
    try:
        tree.ended.clone().recv(timeout)
    except EndOfChannel:
        pass


# --- what a look is; performed by the tree's thread while it runs ---


async def _answer_of(reply: "_core.RecvChannel[tuple[bool, Any]]") -> tuple[bool, Any]:
    try:
        return await reply.arecv()
    except EndOfChannel:
        return True, None


async def _end_of(tree: Tree) -> None:
    try:
        await tree.ended.arecv()
    except EndOfChannel:
        pass


def _infos(supervisor: Supervisor) -> list[ChildInfo]:
    return [info(child) for child in supervisor._machine().children]


def _count(supervisor: Supervisor) -> ChildCount:
    return supervisor._machine().count()


def _ref_at(supervisor: Supervisor, path: str) -> ActorRef:
    *above, last = path.split("/")
    for id in above:
        child = supervisor._machine().find(id)
        if child is None or child.spec.supervisor is None:
            raise KeyError(path)
        supervisor = child.spec.supervisor
    child = supervisor._machine().find(last)
    ref = None if child is None else info(child).ref
    if ref is None:
        raise KeyError(path)
    return ref


def _spec_of(supervisor: Supervisor, ref: ActorRef, id: str | None = None) -> Spec | None:
    """The specification of an actor that lives below the supervisor, below its child `id` if that is given; asked by that actor.

    Its own place in the tree stays as it is while it asks, so this looks without waiting for the tree's thread.
    """
    for child in list(supervisor._machine().children):
        if id is not None and child.id != id:
            continue
        below = child.spec.supervisor
        found = _spec_of(below, ref) if below is not None else child.spec if child.alive and info(child).ref == ref else None
        if found is not None:
            return found
    return None


def _traps_stops(spec: Spec) -> bool:
    return bool((getattr(getattr(spec, "actor", None), "__csp_actor__", None) or {}).get("trap_stop"))


# --- the end of the program, or of the actor ---

_seen: set[object] = set()  # the actors (None: the program, or the interpreter) whose end has been seen to


def _see_to_its_end(tree: Tree) -> None:
    """It is to be stopped, in order, before the actors of the program, or the children of the actor, are ended."""
    context = tree.context
    if context in _seen:
        return
    _seen.add(context)
    if context is None and _ref.home() is None:
        atexit.register(_stop_all, None, _EXIT_STOP)
    else:
        _ref.at_body_end(lambda: _stop_all(context, _BODY_STOP))


def _stop_all(context: "_ref.ActorContext | None", patience: float) -> None:
    """Stop the trees in order, as far as the time allows; who ends the actors ends the rest."""
    _seen.discard(context)
    trees = [tree for tree in running if tree.context is context]
    deadline = time.monotonic() + patience
    try:
        for tree in trees:
            tree.command("stop")
        for tree in trees:
            _wait_for_end(tree, max(0.0, deadline - time.monotonic()))
    except BaseException:  # past the deadline, or all waits of this thread are broken off
        for tree in trees:
            tree.abandon()
