"""The driver of a tree of supervisors: one thread, one select.

A tree has one thread, whatever its depth: a supervisor is a state machine (csp._machine), so one thread can run them all, a failure
goes up and a stop goes down without a message between threads, and a child supervisor costs nothing while it is idle.  The thread
waits in one select over the commands, the `started` channels of children that are starting and the monitors of those that are up,
until the earliest deadline.  It never waits for anything else, so the tree always answers.

The thread ends with the root.  If it is broken off (the actor that it belongs to was killed), it ends all children first.
"""

import _thread
import sys
import time
from collections.abc import Callable, Iterable
from random import random
from typing import TYPE_CHECKING, Any

from csp import _core, _ref
from csp._machine import STARTING, Action, Child, Failure, Machine, Refusal
from csp._ref import ActorRef, Exit
from csp._specs import ChildInfo, ChildSpec, Event, Exited, GaveUp, Restarted, Started, State
from csp.errors import (
    ActorDied,
    BrokenChannel,
    ClosedHandle,
    DeadlockError,
    DecodeError,
    EndOfChannel,
    Killed,
    NotShareable,
    Stopped,
    SupervisorError,
)

if TYPE_CHECKING:
    from csp._warm import WarmPool
    from csp.supervision import Supervisor

_KEEP = {"permanent": 2, "transient": 1, "temporary": 0}
_KEPT, _NOT_KEPT = 2, 0
_STARTS = ("start_child", "restart_child")  # the commands that are answered once a child is up
_MEMORY_PERIOD = 10.0  # seconds after which a tree with a memory budget looks, if nothing happens: its actors may spawn others

_DIGITS, _GRAIN = 6, 1e-6  # of a second: what floats say of times is exact to some nanoseconds, and a clock that stands never makes up for them

running: "set[Tree]" = set()  # of this interpreter: their threads have begun and not ended


class Life:
    """What the driver knows of the present or last life of an actor."""

    __slots__ = ("channel", "error", "ref", "up")

    def __init__(self, ref: ActorRef | None) -> None:
        self.ref = ref
        self.channel: _core.RecvChannel[Any] | None = None  # watched: `started`, then a monitor; None: it has ended
        self.up = False
        self.error: BaseException | None = None  # why it could not even be tried


def _pool_of(supervisor: "Supervisor") -> "WarmPool | None":
    if supervisor._warm == 0:
        return None
    from csp._warm import WarmPool

    return WarmPool(supervisor._warm, before_children=supervisor._dynamic)


class Node:
    """One supervisor of a running tree.  It outlives the lives of the supervisor, and so do the actors that are kept in it."""

    def __init__(self, supervisor: "Supervisor", parent: "Node | None", path: str) -> None:
        self.supervisor = supervisor
        self.parent = parent
        self.path = path  # with a "/" at the end; of the root ""
        self.child: Child | None = None  # what the parent's machine calls it
        self.nodes: dict[str, Node] = {}  # of child supervisors, by id
        self.kept: dict[str, ActorRef] = {}  # actors that may have another life
        self.error: SupervisorError | None = None  # why its last life failed
        self.up = False
        self.settling = False
        self.pool = _pool_of(supervisor)
        self.renew()

    def renew(self) -> None:
        """A machine for another life."""
        may_return = self.child is not None and self.child.spec.restart != "temporary"
        self.machine = Machine(self.supervisor._rules, self.supervisor._specs, random=random, may_return=may_return)
        self.up, self.error = False, None

    def all(self) -> "Iterable[Node]":
        yield self
        for node in self.nodes.values():
            yield from node.all()

    def refill(self) -> None:
        """Replace the warm interpreters that were taken, unless nobody will need them."""
        if self.pool is not None and self.machine.phase == "running":
            self.pool.refill()

    def close_pool(self) -> None:
        if self.pool is not None:
            self.pool.close()


class Tree:
    """A running tree.  `command` may be called from any thread, the rest is the driver's."""

    def __init__(self, root: "Supervisor") -> None:
        self.root = Node(root, None, "")
        self.failure: SupervisorError | None = None
        self.outcome: Exit | None = None
        self._commands: _core.Channel[Any] = _core.Channel(float("inf"), local=True, name="supervisor commands")
        self._alive, self.ended = _core.channel(name="supervisor ended")  # ends when the tree has
        self._watched: dict[_core.RecvChannel[Any], tuple[Node, Child, Life]] = {}
        self._selector: _core.Selector | None = None
        self._retired: list[WarmPool] = []  # of nodes that are no more; their interpreters may still be ending
        self._starting: list[Any] = []
        self._fatal: BaseException | None = None
        self._stop_asked = False
        self._ending: tuple[float, float] | None = None  # when it was told to end, by csp's clock and the real one
        self._memory_budget = root._memory_budget if sys.version_info < (3, 14) else None
        self._exhausted: SupervisorError | None = None  # the memory budget is, and this is what is to be said of it
        self.context = _ref.context_here()  # of the actor that it belongs to

    # --- for other threads ---

    def run_in_thread(self) -> None:
        running.add(self)
        _thread.start_new_thread(self._main, ())

    def command(self, what: str, *args: Any) -> "_core.RecvChannel[Any]":
        """Post a command; its answer, (True, value) or (False, exception), comes over the channel, which else just ends."""
        sender, receiver = _core.channel(1, local=True)
        try:
            self._commands.send_nowait((what, args, sender))
        except (BrokenChannel, ClosedHandle):
            sender.close()
        return receiver

    def abandon(self) -> None:
        """End it at once, from a thread whose waits have all been broken off."""
        self._commands.close()

    # --- the thread ---

    def _main(self) -> None:
        _core.ignore_stops()
        if self.context is not None:
            _ref.enter_thread(self.context)
        try:
            self._loop()
        except (Killed, Stopped) as error:
            self._break_off(error)
        except BaseException as error:
            self._fatal = error
            self._break_off(error)
        finally:
            self._close()
            _ref.enter_thread(None)

    def _now(self) -> float:
        """csp's clock, which a test may have stopped; but an end in order goes on by the real time."""
        now = _core.clock()
        if self._ending is None:
            return now
        began, real = self._ending
        return max(now, began + time.monotonic() - real)

    def _loop(self) -> None:
        machine = self.root.machine
        machine.start(self._now())
        self._settle(self.root)
        while machine.phase != "ended":
            self._wait()

    def _wait(self) -> None:
        """Wait for one thing to happen, and do what follows from it."""
        if self._selector is None:
            self._selector = _core.Selector([self._commands, *self._watched])
        now = self._now()
        dues = [due for node in self.root.all() if (due := node.machine.next_due()) is not None]
        if self._memory_budget is not None:
            dues.append(now + _MEMORY_PERIOD)
        timeout = max(0.0, round(min(dues) - now, _DIGITS)) if dues else None
        try:
            channel, value = self._selector.select(timeout=timeout, priority=True)
        except (EndOfChannel, DecodeError) as error:
            if error.index == 0:
                raise Killed("abandoned") from None
            # The life has ended, but its Exit was lost, for want of memory.  That is no orderly end.
            channel, value = error.channel, Exit(self._watched[error.channel][2].ref, "failed")  # type: ignore[arg-type]
        except ClosedHandle:
            raise Killed("abandoned") from None
        except DeadlockError:
            return  # the actors that make it up hear of it themselves, and their ends come here
        if channel is self._commands:
            self._obey(*value)
        elif channel is not None:
            self._heard(channel, value)
        now = self._now()
        self._consider_memory(now)
        for node in list(self.root.all()):
            due = node.machine.next_due()
            if due is not None and due - now < _GRAIN:
                node.machine.tick(max(due, now))
                self._settle(node)

    def _heard(self, channel: "_core.RecvChannel[Any]", value: Any) -> None:
        node, child, life = self._watched[channel]
        self._unwatch(life)
        now = self._now()
        if value is not True:
            self._consider_memory(now)
        if value is True:
            life.up = True
            assert life.ref is not None
            self._watch(node, child, life, life.ref._monitor())
            node.machine.child_up(child, now)
        else:
            node.machine.child_down(child, value, now, started=life.up)
        self._settle(node)
        node.refill()  # now that whoever took one has begun, or has not

    def _watch(self, node: Node, child: Child, life: Life, channel: "_core.RecvChannel[Any]") -> None:
        life.channel = channel
        self._watched[channel] = (node, child, life)
        self._selector = None

    def _unwatch(self, life: Life) -> None:
        if life.channel is not None:
            del self._watched[life.channel]
            life.channel = None
            self._selector = None

    # --- what the machines want ---

    def _settle(self, node: Node) -> None:
        """Perform the actions of a machine until there are none."""
        if node.settling:
            return  # further up on the stack
        node.settling = True
        try:
            actions = node.machine.take_actions()
            while actions:
                self._perform(node, actions.popleft())
                actions = node.machine.take_actions()  # it may have begun another life
        finally:
            node.settling = False

    def _perform(self, node: Node, action: Action) -> None:
        what, child, detail, token = action
        if what == "answer":
            self._reply(token, self._result(node, detail))
        elif what == "event":
            assert child is not None
            self._tell(node, self._event(node, child, detail, token))
        elif what == "up":
            self._up(node)
        elif what == "down":
            self._down(node, detail)
        elif what == "start":
            assert child is not None
            (self._start_node if child.spec.supervisor is not None else self._start_actor)(node, child)
        elif isinstance(child, Child) and isinstance(child.handle, Node):
            self._act_on_node(child.handle, what, detail)
        elif isinstance(child, Child):
            self._act_on_actor(node, child, what, detail)

    def _act_on_actor(self, node: Node, child: Child, what: str, kept: bool | None) -> None:
        if what == "release" or kept is False:
            ref = node.kept.pop(child.id, None)
            if ref is not None:
                ref._keep(_NOT_KEPT)
        life: Life | None = child.handle
        if what == "release" or life is None or life.channel is None or life.ref is None:
            return
        if kept:
            life.ref._keep(_KEPT)
        if what == "stop":
            life.ref._ask_stop()
        elif what == "kill":
            life.ref._kill()
        else:
            life.ref._quarantine()

    def _act_on_node(self, node: Node, what: str, kept: bool | None) -> None:
        now = self._now()
        if what == "release":
            self._release(node)
        elif what == "stop":
            node.machine.stop(now, final=not kept)
        elif what in ("hurry", "kill"):
            getattr(node.machine, what)(now)
        self._settle(node)

    def _release(self, node: Node) -> None:
        """No life follows the one that runs, or the last."""
        node.machine.may_return = False
        if node.machine.phase == "stopping":
            node.machine.stop(self._now())
            self._settle(node)
        elif node.machine.phase == "ended":
            for below in node.all():
                self._retire(below)
                for ref in below.kept.values():
                    ref._keep(_NOT_KEPT)
                below.kept.clear()
            if node.parent is not None and node.child is not None:
                node.parent.nodes.pop(node.child.id, None)

    # --- lives ---

    def _start_actor(self, node: Node, child: Child) -> None:
        life = child.handle = Life(node.kept.get(child.id))
        spec = child.spec
        assert isinstance(spec, ChildSpec)
        warm = self._warm_for(node, spec)
        try:
            started = self._another_life(life, spec, warm) or self._first_life(node, life, child.id, spec, warm)
        except Exception as error:
            from csp._remote import snapshot

            if warm is not None and node.pool is not None:
                node.pool.give_back(warm)

            life.error = error
            exit = Exit(life.ref, "failed", None, snapshot(error))  # type: ignore[arg-type]
            node.machine.child_down(child, exit, self._now(), started=False)
            return
        if spec.restart != "temporary" and life.ref is not None:
            node.kept[child.id] = life.ref
        self._watch(node, child, life, started)

    @staticmethod
    def _warm_for(node: Node, spec: ChildSpec) -> ActorRef | None:
        from csp.actors import isolation_of

        if node.pool is None or isolation_of(spec.actor, spec.isolation) != "interpreter":
            return None
        node.pool.learn(spec.actor)
        return node.pool.take()

    def _another_life(self, life: Life, spec: ChildSpec, warm: ActorRef | None) -> "_core.RecvChannel[Any] | None":
        from csp.actors import isolation_of, prepare_process, restart

        if life.ref is None:
            return None
        try:
            if isolation_of(spec.actor, spec.isolation) != "thread":
                prepare_process()
            life.ref._keep(_KEEP[spec.restart])
            return restart(life.ref, spec.actor, spec.args, dict(spec.kwargs), warm, spec.isolation)
        except ActorDied:
            life.ref = None  # it came to its own end when it was to be kept
            return None

    def _first_life(
        self, node: Node, life: Life, id: str, spec: ChildSpec, warm: ActorRef | None
    ) -> "_core.RecvChannel[Any]":
        from csp.actors import start

        options: dict[str, Any] = {"isolation": spec.isolation, "keep": _KEEP[spec.restart], "warm": warm}
        path = node.path + id
        try:
            life.ref, started = start(spec.actor, spec.args, dict(spec.kwargs), name=spec.name or path, **options)
        except ValueError as error:
            if spec.name is not None or isinstance(error, NotShareable) or _ref_named(path) is None:
                raise
            # Another tree has a child at this path: nobody asked for the name, so it gives way.
            life.ref, started = start(spec.actor, spec.args, dict(spec.kwargs), unique_name=path, **options)
        return started

    def _start_node(self, parent: Node, child: Child) -> None:
        supervisor = child.spec.supervisor
        assert supervisor is not None
        node = parent.nodes.get(child.id)
        if node is None or node.supervisor is not supervisor:
            if node is not None:
                self._retire(node)
            node = parent.nodes[child.id] = Node(supervisor, parent, f"{parent.path}{child.id}/")
        node.child = child
        child.handle = supervisor._node = node
        node.renew()
        node.machine.start(self._now())
        self._settle(node)

    def _up(self, node: Node) -> None:
        node.up = True
        node.refill()
        if node.parent is None:
            self._answer_starting((True, None))
            return
        assert node.child is not None
        node.parent.machine.child_up(node.child, self._now())
        self._settle(node.parent)

    def _down(self, node: Node, failure: Failure | None) -> None:
        """Its last child is down."""
        node.error = None if failure is None else _error_of(node, failure)
        if node.error is None or not node.machine.may_return:
            node.close_pool()  # else it is perhaps started again at once
        if node.parent is None:
            self.failure = node.error or self._exhausted
            return
        assert node.child is not None
        machine, now = node.parent.machine, self._now()
        if node.error is None:
            if not node.up:  # it shut down before all its children had been started
                machine.child_up(node.child, now)
            exit = Exit(None, "shutdown")  # type: ignore[arg-type]
        else:
            from csp._remote import snapshot

            exit = Exit(None, "failed", None, snapshot(node.error))  # type: ignore[arg-type]
        machine.child_down(node.child, exit, now, started=node.up or node.error is None)
        self._settle(node.parent)

    # --- commands ---

    def _obey(self, what: str, args: tuple[Any, ...], reply: "_core.SendChannel[Any]") -> None:
        now = self._now()
        if what == "start":
            self._starting.append(reply)
            if self.root.up:
                self._answer_starting((True, None))
        elif what in ("stop", "hurry", "kill"):
            self._stop_asked = True
            self._end_in_order(now, what)
        elif what == "look":
            self._reply(reply, _attempt(args[0], *args[1:]))
        else:
            node, caller, *rest = args
            if what in _STARTS and caller is not None and _is_starting_below(node, caller):
                error = DeadlockError(f"{what}: actor {caller.name!r} is starting under this supervisor, and cannot wait for it meanwhile")
                self._reply(reply, (False, error))
                return
            getattr(node.machine, what)(*rest, reply, now)
            self._settle(node)

    def _result(self, node: Node, value: Any) -> tuple[bool, Any]:
        if isinstance(value, Child):
            handle = value.handle
            return True, handle.ref if isinstance(handle, Life) else handle.supervisor
        if isinstance(value, Failure):
            return False, _error_of(node, value)
        if isinstance(value, Refusal):
            return False, refusal(value)
        return not isinstance(value, Exception), value

    @staticmethod
    def _reply(reply: "_core.SendChannel[Any]", answer: tuple[bool, Any]) -> None:
        try:
            reply.send_nowait(answer)
        except (BrokenChannel, ClosedHandle):
            pass  # the caller has left
        reply.close()

    def _answer_starting(self, answer: tuple[bool, Any]) -> None:
        for reply in self._starting:
            self._reply(reply, answer)
        self._starting.clear()

    # --- events ---

    def _event(self, node: Node, child: Child, what: str, exit: Any) -> Event:
        if what == "exited":
            return Exited(child.id, exit)
        if what == "gave_up":
            return GaveUp("", child.id, exit)
        ref = child.handle.ref if isinstance(child.handle, Life) else None
        return Started(child.id, ref) if what == "started" else Restarted(child.id, ref, child.restarts)

    def _tell(self, node: Node | None, event: Event) -> None:
        """Put it where the supervisor's listeners find it, and those of all above, with the path from there."""
        from attrs import evolve

        while node is not None:
            try:
                node.supervisor._events.send_nowait(event)
            except Exception:
                pass  # nobody listens, or nobody could understand it
            if node.child is not None:
                event = evolve(event, id=f"{node.child.id}/{event.id}" if event.id else node.child.id)
            node = node.parent

    # --- the end ---

    def _end_in_order(self, now: float, how: str = "stop") -> None:
        if self._ending is None:
            _core.guard_clock(True)
            self._ending = _core.clock(), time.monotonic()
        for node in self.root.all():
            node.close_pool()
        getattr(self.root.machine, how)(now)
        self._settle(self.root)

    def _consider_memory(self, now: float) -> None:
        """Past the root's budget all is to end, so that the process can be started anew."""
        budget = self._memory_budget
        if budget is None or self._exhausted is not None or self.root.machine.phase in ("stopping", "ended"):
            return
        count, leaked = _core.ended_interpreters()
        if leaked <= budget:
            return
        self._exhausted = SupervisorError(
            f"the memory budget is used up: about {leaked >> 20} MiB are lost to {count} ended interpreters, "
            f"more than {budget / 2**20:.0f} MiB (CPython 3.13 never gives them back)"
        )
        self._exhausted.reason = "memory_budget"
        self._end_in_order(now)

    def _break_off(self, error: BaseException) -> None:
        """End all actors without waiting for them: this thread is dying."""
        for node in self.root.all():
            node.close_pool()
            for ref in node.kept.values():
                ref._keep(_NOT_KEPT)
            for child in node.machine.children:
                life = child.handle
                if isinstance(life, Life) and life.ref is not None:
                    life.ref._keep(_NOT_KEPT)
                    if life.channel is not None:
                        life.ref._kill()
        if self._fatal is not None:
            self.failure = SupervisorError(f"the supervisor itself failed: {error!r}")
            self.failure.__cause__ = error

    def _retire(self, node: Node) -> None:
        """It will need no more warm interpreters, or, if it is started again after all, new ones."""
        if node.pool is not None:
            node.pool.close()
            self._retired = [pool for pool in self._retired if pool.is_ending and pool is not node.pool]
            self._retired.append(node.pool)

    def _drain_pools(self) -> None:
        """Whoever hears that the tree has ended may fork."""
        for node in list(self.root.all()):
            self._retire(node)
        for pool in self._retired:
            pool.await_end()

    def _close(self) -> None:
        _core.guard_clock(True)
        self._drain_pools()
        self._watched.clear()
        self._selector = None
        self._commands.close()
        try:
            for what, args, reply in self._commands:
                if what == "start":
                    self._starting.append(reply)
                elif what == "look":
                    self._reply(reply, _attempt(args[0], *args[1:]))
                # The others see their reply channel end.
            self._answer_starting(self._how_it_started())
        except (Killed, Stopped, ClosedHandle):
            pass
        for supervisor in {*self.root.supervisor._all(), *(node.supervisor for node in self.root.all())}:
            supervisor._events.close()
        running.discard(self)
        self._alive.close()

    def _how_it_started(self) -> tuple[bool, Any]:
        """What `start` is to say of a tree that has ended meanwhile."""
        if self.failure is not None:
            return False, self.failure
        if not self._stop_asked:
            return True, None  # auto_shutdown
        error = SupervisorError(f"{self.root.supervisor!r} was stopped while it started")
        error.reason = "shutdown"
        return False, error


def _attempt(function: Callable[..., Any], *args: Any) -> tuple[bool, Any]:
    try:
        return True, function(*args)
    except Exception as error:
        return False, error


def _is_starting_below(node: Node, caller: ActorRef) -> bool:
    """It may have come up before this thread has heard of it: then `started` has something to say."""
    lives = (child.handle for below in node.all() for child in below.machine.children if child.state == STARTING)
    return any(isinstance(life, Life) and life.ref == caller and life.channel is not None and not len(life.channel) for life in lives)


def _ref_named(name: str) -> ActorRef | None:
    return _core.find_actor(name)


def refusal(value: Refusal) -> SupervisorError:
    """The exception for a command that was refused."""
    text = {
        "shutdown": "the supervisor is stopping, or has stopped",
        "max_children": "the supervisor has max_children children",
    }.get(value.reason, f"it is {value.reason}" if value.reason in STATES else f"it was {value.reason}")
    error = SupervisorError(f"child {value.child!r}: {text}")
    error.child, error.reason = value.child, value.reason
    return error


STATES: tuple[State, ...] = ("waiting", "starting", "running", "restarting", "stopping", "stopped", "finished")


def _error_of(node: Node, failure: Failure) -> SupervisorError:
    """Why a supervisor failed, in words: the child, and what its last life died of."""
    from csp._remote import in_words

    child, exit, at_start = failure
    rules = node.machine.rules
    end = exit.reason if exit.remote is None else f"{exit.reason}, {in_words(exit.remote)}"
    who = node.path + child.id
    if at_start:
        error = SupervisorError(f"child {who!r} could not be started: {end}")
    else:
        error = SupervisorError(
            f"child {who!r} ended again ({end}): more than {rules.max_restarts:g} restarts within {rules.within:g} s"
        )
    error.child, error.reason, error.remote = child.id, exit.reason, exit.remote
    if isinstance(child.handle, Node):
        error.__cause__ = child.handle.error
    elif isinstance(child.handle, Life) and child.handle.error is not None:
        error.__cause__ = child.handle.error
    elif exit.remote is not None:
        error.__cause__ = exit.remote.original()
        error.add_note(f"\nIn the actor:\n{exit.remote.traceback.rstrip()}")
    return error


def info(child: Child) -> ChildInfo:
    """What is to be said of a child."""
    handle = child.handle
    ref = handle.ref if isinstance(handle, Life) else None
    return ChildInfo(child.id, ref, child.public_state, child.restarts, child.last_exit, child.spec.supervisor)
