"""The life of a process-isolated actor, as the engine sees it: this thread, which does for the child what the child asks for.

It is an event loop of its own: one socket, one csp Loop, and the deadlines of what is under way.  Requests that may wait are
`Wait`s of the engine, so a stop breaks them off, their cancellation is exact, and no thread is blocked by any of them.
Pickled values are passed on as they came (`Pickled`): no code of the user's runs here.

Whatever ends this function ends the child: `Killed` strikes here, in Python, since a kill wakes the loop.
"""

import _signal  # type: ignore[import-not-found]  # as `signal` has them, which is slow to import
import _socket
import os
import select
import time

from csp import _core, _pickling  # noqa: F401  # now: when they are needed no file may be free
from csp._process import wire
from csp._process.stack import frames_of
from csp._process.wire import Segments
from csp._ref import ActorRef, Exit, current_actor
from csp._remote import RemoteError
from csp.errors import CspError, DecodeError, EndOfChannel, Killed, Stopped, Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


_core.set_record_type(4, wire.Pickled)

_NO_START = "no start"  # in the place of a RemoteError that is ours to make
_LAST = 5.0  # seconds that a child has to end after its body has, before it is killed
_LOOK = 0.3  # seconds to find out where it hangs
_FD = 3  # of the socket, in the child
_HANDLES = ("Channel", "SendChannel", "RecvChannel")
_PRIMITIVES = ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Event", "WaitGroup", "Once", "AtomicInt")
# What the child may call of the core, in our name: nothing of it waits.
_CORE = frozenset(
    """after await_message boot_alive boot_asked boot_hung channel Channel dead_letter dead_letters find_actor ignore_stops
    list_actors never reply_channel restart_actor spawn_actor take_stop tick Lock Semaphore BoundedSemaphore Event WaitGroup
    AtomicInt RLock Condition Once SharedBuffer""".split()
)


def run(payload: "tuple[bytes, list[Any]]", path: "list[str]", command: "list[str]", watchdog: float) -> None:
    """Called by csp._boot, in the actor's thread."""
    bridge = Bridge(current_actor().ref, watchdog)
    try:
        _core.pass_on(True)
        bridge.begin(payload, path, command)
        bridge.serve()
    except Exception as error:
        if not bridge.pid:
            raise
        bridge.exit = Exit(bridge.ref, "failed", None, _told(type(error).__name__, f"{error}")), False, True
    finally:
        while True:
            try:
                _core.pass_on(False)
                bridge.end()
                break
            except Killed:  # it strikes again and again
                pass


class _Unreachable(Exception):
    """There is no stand-in for it."""


def _refused(value: object, error: _Unreachable) -> DecodeError:
    """In a function of its own: an error in a variable of a frame of its traceback is a cycle, and keeps the value."""
    refused = DecodeError(f"the value arrived but could not be rebuilt here: {error}")
    reply = wire.asker(value)
    if reply is not None:
        refused._reply = reply  # type: ignore[attr-defined]
    return refused


class Bridge:
    """What there is of the child here: see the module."""

    def __init__(self, ref: ActorRef, watchdog: float) -> None:
        self.ref = ref
        self.watchdog = watchdog or float("inf")
        self.quiet_since = float("inf")  # when the child last asked for something or was answered; infinite before its body begins
        self.asked = 0.0  # when the child was asked whether its event loop turns
        self.has_loop = self.later = False  # the child has one; the request in hand comes from it
        self.objects: dict[int, Any] = {}  # what the child has stand-ins for
        self.count = 0
        self.loop = _core.Loop()
        self.waits: dict[int, Waiting] = {}  # by the number of the request
        self.pid = 0
        self.exit: tuple[Exit, bool, bool] | None = None  # what the child has said of its end
        self.sock, self._child = _socket.socketpair()
        self.sock.setblocking(False)
        self.incoming, self.outgoing = wire.Incoming(self.sock), wire.Outgoing(self.sock)
        self.poll = select.poll()
        self.poll.register(self.loop.fileno(), select.POLLIN)
        self.poll.register(self.sock.fileno(), select.POLLIN)
        self.writing = False
        self.stack_file: int | None = None  # of the child, which can be asked for its stack
        self.closed = False  # by the child
        self.last = float("inf")  # until when it has to be

    # --- the child ---

    def begin(self, payload: "tuple[bytes, list[Any]]", path: "list[str]", command: "list[str]") -> None:
        segments = Segments()
        hello = (path, self.identity(self.ref), wire.pack(wire.Pickled(payload), segments, self.describe))
        self.outgoing.add(hello, segments)
        script = os.path.join(os.path.dirname(__file__), "boot.py")
        self.pid = start_process([*command, script], self._child.fileno())
        self._child.close()

    def end(self) -> None:
        """The child is gone, or made to go; what it said of its end, or what can be said, is the Exit.  May be called again."""
        if self.pid and not self.closed:
            kill_process(self.pid)
        self.sock.close()
        self._child.close()
        self.waits.clear()
        _core.abandon_loops()  # what the child was to receive goes back
        if self.pid:
            _core.boot_process(0, 0)
            status = wait_for(self.pid, _LAST if self.closed else 0.0)
            self.pid = 0
            end = (Exit(self.ref, "killed", None, _how_it_died(status)), False, True) if self.exit is None else self.exit
            _core.boot_exit(*end)  # before the handles go: it is the cause that the others hear
        self.objects.clear()

    # --- the loop ---

    def serve(self) -> None:
        """Until the child has closed its end of the socket."""
        while True:
            self.write()
            for fd, events in self.poll.poll(self.patience()):
                if fd != self.sock.fileno():
                    self.finish_those_done()
                elif events & ~select.POLLOUT and not self.read():
                    self.closed = True
                    return
            now = time.monotonic()
            if self.last <= now:
                return
            if self.asks_at() <= now:
                self.ask(now)
            if self.struck_at() <= now:
                self.exit = Exit(self.ref, "watchdog", None, _hung(self.watchdog, self.stack())), False, True
                return
            self.finish_those_due(now)

    # Functions of their own, so that the last wait and what was sent in it do not live until the next one.

    def finish_those_done(self) -> None:
        for wait in self.loop.drain():
            if wait.token is not None:  # else nobody has asked for it yet: see do_queue
                wait.token.finish()

    def finish_those_due(self, now: float) -> None:
        for waiting in [w for w in self.waits.values() if w.deadline <= now]:
            waiting.time_out()
        for waiting in [w for w in self.waits.values() if w.timed]:
            waiting.wait.fire_due()

    def patience(self) -> "float | None":
        """Milliseconds for poll: never too early."""
        until = min((w.deadline for w in self.waits.values()), default=float("inf"))
        until = min(until, self.last, self.asks_at(), self.struck_at()) - time.monotonic()
        for waiting in self.waits.values():
            if waiting.timed and (due := waiting.wait.due()) is not None:
                until = min(until, due)
        return None if until == float("inf") else max(until, 0.0) * 1000 + 1

    def struck_at(self) -> float:
        """When the watchdog strikes: who waits in csp is left alone, but for the tasks of an event loop, which has to turn."""
        until = max(self.quiet_since, self.asked) + self.watchdog
        if until == float("inf") or self.exit is not None or any(not waiting.later for waiting in self.waits.values()):
            return float("inf")
        return until

    def asks_at(self) -> float:
        """When an event loop is to be asked whether it turns."""
        return self.quiet_since + self.watchdog / 2 if self.has_loop and self.asked <= self.quiet_since else float("inf")

    def ask(self, now: float) -> None:
        self.outgoing.add((0, "turn"), Segments())
        try:
            self.outgoing.flush()  # here: what `write` sends is a sign of life
        except OSError:
            pass
        self.asked = now

    def do_turned(self, number: int, segments: Segments) -> None: ...

    def stack(self) -> "tuple[Any, ...]":
        if self.stack_file is None:
            return ()
        return tuple((*frame, None, None, None) for frame in frames_of([(self.pid, self.stack_file)], _LOOK)[0] or ())

    def write(self) -> None:
        if self.outgoing and self.quiet_since < float("inf"):
            self.quiet_since = time.monotonic()
        try:
            rest = not self.outgoing.flush()
        except OSError:  # it has ended: reading tells
            rest = False
        if rest != self.writing:
            self.writing = rest
            self.poll.modify(self.sock.fileno(), select.POLLIN | (select.POLLOUT if rest else 0))

    def read(self) -> bool:
        try:
            more = self.incoming.read()
        except BlockingIOError:
            return True
        except OSError:
            return False
        while (found := self.incoming.frame()) is not None:
            self.handle(*found)
        return more

    # --- requests ---

    def handle(self, head: "Any", segments: Segments) -> None:
        number, operation, *arguments = head
        if self.quiet_since < float("inf"):
            self.quiet_since = time.monotonic()
        try:
            done = getattr(self, "do_" + operation)(number, segments, *arguments)
        except (Exception, Stopped) as error:
            if number:
                self.fail(number, error)
        else:
            self.answer_or_fail(number, done)

    def answer_or_fail(self, number: int, done: object) -> None:
        if done is self or not number:
            return
        try:
            self.answer(number, done)
        except Exception as error:
            self.fail(number, error)

    def answer(self, number: int, value: object) -> None:
        segments = Segments()
        self.outgoing.add((number, True, self.pack(value, segments)), segments)

    def answer_with(self, number: int, extras: "tuple[Any, ...]", value: object) -> "Bridge":
        """(*extras, value), the value as it came."""
        segments = Segments()
        packed = self.pack(value, segments)
        self.outgoing.add((number, True, ("t", extras, packed)), segments)
        return self

    def fail(self, number: int, error: BaseException) -> None:
        segments = Segments()
        extra = {name: vars(error)[name] for name in ("index", "sent") if vars(error).get(name) is not None}
        cause = getattr(error, "cause", None) or vars(error).get("_reply")  # of a request that cannot be rebuilt: who asked
        try:
            packed = wire.pack(cause, segments, self.describe)
        except Exception:
            packed = ("v", None)
        self.outgoing.add((number, False, type(error).__name__, str(error), extra, packed), segments)

    def do_core(self, number: int, segments: Segments, name: str, args: "Any", kwargs: "dict[str, Any]") -> object:
        if name not in _CORE:
            raise RuntimeError(f"a child asks for {name}")
        values = [wire.unpack(arg, segments, self.find) for arg in args]
        if name in ("spawn_actor", "restart_actor"):
            return self.start(name, values)
        return getattr(_core, name)(*values, **kwargs)

    def start(self, name: str, values: "list[Any]") -> object:
        """An actor that the child spawns: it is this actor's child, and lives here."""
        from csp.actors import no_start, prepare_process

        prepare_process()
        values[[type(v) is str and v == _NO_START for v in values].index(True)] = no_start()
        return getattr(_core, name)(*values)

    def do_get(self, number: int, segments: Segments, which: int, name: str) -> object:
        return getattr(self.objects[which], name)

    def do_set(self, number: int, segments: Segments, which: int, name: str, value: object) -> None:
        setattr(self.objects[which], name, value)

    def do_call(self, number: int, segments: Segments, which: int, name: str, args: "Any", kwargs: "dict[str, Any]") -> object:
        return getattr(self.objects[which], name)(*[wire.unpack(arg, segments, self.find) for arg in args], **kwargs)

    def do_slice(self, number: int, segments: Segments, which: int, start: int, stop: int, step: int) -> object:
        return self.objects[which][start:stop:step]

    def do_drop(self, number: int, segments: Segments, which: "list[int]") -> None:
        for one in which:
            self.objects.pop(one, None)

    def do_can_show(self, number: int, segments: Segments, file: int) -> None:
        self.stack_file = file
        _core.boot_process(self.pid, file)

    def do_begin(self, number: int, segments: Segments) -> None:
        self.quiet_since = time.monotonic()

    def do_exit(self, number: int, segments: Segments, reason: str, value: "Any", remote: "Any", returned: bool, failed: bool) -> None:
        self.exit = Exit(self.ref, reason, wire.unpack(value, segments, self.find), _remote_error(remote)), returned, failed
        self.last = time.monotonic() + _LAST

    def do_answer(self, number: int, segments: Segments, reply: int, pair: "Any") -> None:
        _core.answer(self.objects[reply], True, wire.unpack(pair, segments, self.find))

    # --- requests that may wait ---

    def do_later(self, number: int, segments: Segments, operation: str, *arguments: object) -> object:
        """The same, for a task of an event loop."""
        self.has_loop = self.later = True
        try:
            return getattr(self, "do_" + operation)(number, segments, *arguments)
        finally:
            self.later = False

    def do_cancel(self, number: int, segments: Segments, which: int) -> bool:
        """False: it is over, and what came of it is on its way before this answer."""
        waiting = self.waits.get(which)
        return waiting is not None and waiting.called_off()

    def do_recv(self, number: int, segments: Segments, which: int, timeout: "float | None") -> object:
        handle = self.objects[which]
        if timeout == 0:
            return handle.recv(0)
        return self.wait(number, _core.begin_recv(self.loop, handle), timeout)

    def do_send(self, number: int, segments: Segments, which: int, value: "Any", timeout: "float | None") -> object:
        handle, value = self.objects[which], wire.unpack(value, segments, self.find)
        if timeout == 0:
            return handle.send(value, 0)
        return self.wait(number, _core.begin_send(self.loop, handle, value), timeout)

    def do_select(self, number: int, segments: Segments, cases: "list[Any]", timeout: "float | None", priority: bool) -> object:
        real: list[Any] = []
        for case in cases:
            if type(case) is tuple:
                real.append((self.objects[case[0]], wire.unpack(case[1], segments, self.find)))
            else:
                real.append(None if case is None else self.objects[case])
        if timeout == 0:
            return self.fired(number, _core.select(real, timeout=0, priority=priority))
        wait = _core.begin_select(self.loop, real, priority)
        return self.wait(number, wait, timeout, lambda wait: self.fired(number, wait.result()), True)

    def do_queue(self, number: int, segments: Segments, which: int) -> int:
        """Queue for a notification of a Condition, then release its lock: so none is missed."""
        condition = self.objects[which]
        if not condition._lock.locked():
            raise RuntimeError("cannot wait on un-acquired lock")
        wait = _core.begin_select(self.loop, [condition], False)
        condition.release()
        return self.keep(wait)

    def do_queued(self, number: int, segments: Segments, which: int, timeout: "float | None") -> object:
        """The rest of that: wait."""
        return self.wait(number, self.objects.pop(which), timeout, lambda wait: self.fired(number, wait.result()), True)

    def fired(self, number: int, selected: "_core.Selected") -> "Bridge":
        return self.answer_with(number, (selected.index,), selected.value)

    def do_recv_many(self, number: int, segments: Segments, which: int, limit: int, timeout: "float | None") -> object:
        handle = self.objects[which]
        if timeout == 0:
            return self.batch(number, handle.recv_many(limit, 0))

        def and_more(wait: "_core.Wait") -> object:
            first = [wait.result()]
            try:
                return self.batch(number, first + (handle.recv_many(limit - 1, 0) if limit > 1 else []))
            except CspError:  # there are no more, or there never will be
                return self.batch(number, first)

        return self.wait(number, _core.begin_recv(self.loop, handle), timeout, and_more)

    def batch(self, number: int, values: "list[Any]") -> "Bridge":
        segments = Segments()
        packed = [self.pack(value, segments) for value in values]
        self.outgoing.add((number, True, ("l", packed)), segments)
        return self

    def do_send_many(self, number: int, segments: Segments, which: int, values: "list[Any]", timeout: "float | None") -> object:
        return self.send_rest(number, self.objects[which], [wire.unpack(v, segments, self.find) for v in values], 0, _until(timeout))

    def send_rest(self, number: int, handle: "Any", values: "list[Any]", sent: int, until: float) -> object:
        """As many as there is room for; then wait for room for the next, and so on."""
        try:
            if sent < len(values):
                handle.send_many(values[sent:], 0)
            return len(values)
        except Timeout as error:
            sent += error.sent
            if until <= time.monotonic():
                error.sent = sent
                raise
        except CspError as error:
            error.sent = sent + getattr(error, "sent", 0)  # type: ignore[attr-defined]
            raise

        def and_rest(wait: "_core.Wait") -> object:
            try:
                wait.result()
            except CspError as error:
                error.sent = sent  # type: ignore[attr-defined]
                raise
            return self.send_rest(number, handle, values, sent + 1, until)

        done = self.wait(number, _core.begin_send(self.loop, handle, values[sent]), None, and_rest)
        waiting = self.waits.get(number)
        if waiting is not None and waiting.sent is None:  # else it is that of a further value
            waiting.deadline, waiting.sent = until, sent
        return done

    def do_lease(self, number: int, segments: Segments, which: int, timeout: "float | None") -> object:
        handle = self.objects[which]
        lease = handle.lease(0)
        if timeout == 0:
            return self.leased(number, lease, lease.__enter__())
        wait = _core.begin_recv(self.loop, handle)
        return self.wait(number, wait, timeout, lambda wait: self.leased(number, lease, wait.into(lease)))

    def leased(self, number: int, lease: "Any", value: object) -> "Bridge":
        which = self.keep(lease)
        try:
            return self.answer_with(number, (which, lease.deliveries), value)
        except DecodeError:  # it cannot reach the child: it is gone, as everywhere
            del self.objects[which]
            lease.__exit__(None, None, None)
            raise

    def do_next(self, number: int, segments: Segments, inbox: int, done: bool) -> object:
        """The next message of a class actor, as (True, message); None if it was stopped or drained."""
        if done:
            self.ref._done()
        if _core.await_message(True):
            return None

        def message(wait: "_core.Wait") -> object:
            try:
                value = wait.result()
            except EndOfChannel:
                _core.take_stop()
                return None
            finally:
                _core.await_message(False)
            return self.answer_with(number, (True,), value)

        return self.wait(number, _core.begin_recv(self.loop, self.objects[inbox]), None, message)

    def wait(
        self, number: int, wait: "_core.Wait", timeout: "float | None", take: "Callable[[_core.Wait], object] | None" = None, selects: bool = False
    ) -> object:
        """Ourselves: the answer comes later.  (Or the answer, if it is there at once.)"""
        waiting = Waiting(self, number, wait, _until(timeout), take, selects)
        if wait.done:
            return waiting.take()
        wait.token = waiting
        self.waits[number] = waiting
        return self

    # --- what the child has stand-ins for ---

    def keep(self, thing: object) -> int:
        self.count += 1
        self.objects[self.count] = thing
        return self.count

    def find(self, part: "tuple[Any, ...]", segments: Segments) -> object:
        return self.objects[part[1]]

    def identity(self, ref: ActorRef) -> "tuple[Any, ...]":
        return "o", self.keep(ref), "ActorRef", ref.id, ref.name, ref._serves

    def pack(self, value: object, segments: Segments) -> "tuple[Any, ...]":
        """As it is if it is one thing that the child gets a stand-in for, else by way of a pickle."""
        try:
            if isinstance(value, ActorRef) or type(value).__name__ in (*_HANDLES, "SharedBuffer"):
                return self.describe(value, segments)
            return wire.pack(value, segments, self.describe)
        except _Unreachable as error:
            raise _refused(value, error) from error

    def describe(self, part: "Any", segments: Segments) -> "tuple[Any, ...]":
        kind = type(part).__name__
        if isinstance(part, ActorRef):
            return self.identity(part)
        if kind in _HANDLES:
            return "o", self.keep(part), kind, part.id
        if kind in _PRIMITIVES:
            return "o", self.keep(part), kind, hash(part)
        if kind == "Condition":
            return "o", self.keep(part), kind, hash(part), self.describe(part._lock, segments)
        if kind == "SharedBuffer":
            return "o", *self.passed(part, segments)
        if kind == "SharedView":
            raise _Unreachable("memory lent by share() cannot be seen by a process-isolated actor: send it a copy")
        raise _Unreachable(f"{kind} does not reach into a process-isolated actor")

    def passed(self, buffer: "Any", segments: Segments) -> "tuple[Any, ...]":
        """A SharedBuffer, whose file the child maps.  The memory stays as long as the child has its stand-in, also if that is closed."""
        with memoryview(buffer):  # which lets this handle keep the memory: see region.h
            found = _core.buffer_file(buffer)
        if found is None:
            raise _Unreachable("a SharedBuffer that is in no file cannot be seen by a process-isolated actor: make it with mapped=True")
        file, size, offset = found
        return self.keep(buffer), "SharedBuffer", buffer.id, segments.add_file(file), size, offset, buffer.nbytes, buffer.readonly


class Waiting:
    """One request of the child that is under way."""

    def __init__(self, bridge: Bridge, number: int, wait: "_core.Wait", deadline: float, take: "Callable[[_core.Wait], object] | None", selects: bool) -> None:
        self.bridge, self.number, self.wait, self.deadline = bridge, number, wait, deadline
        self._take, self._selects = take, selects
        self.sent: int | None = None  # of a batch, what went before
        self.timed = wait.due() is not None
        self.later = bridge.later  # for an event loop

    def take(self) -> object:
        return self.wait.result() if self._take is None else self._take(self.wait)

    def finish(self) -> None:
        self._leave()
        bridge = self.bridge
        try:
            done = self.take()
        except (Exception, Stopped) as error:
            bridge.fail(self.number, error)
        else:
            bridge.answer_or_fail(self.number, done)

    def _leave(self) -> None:
        self.bridge.waits.pop(self.number, None)
        self.wait.token = None

    def called_off(self) -> bool:
        """Nothing was sent or taken, and nothing will be; False: it was too late for that, and its answer is on its way."""
        if not self.wait.cancel():
            self.wait.settle()
            self.finish()
            return False
        self._leave()
        return True

    def time_out(self) -> None:
        if not self.called_off():
            return
        if self._selects:
            self.bridge.answer_with(self.number, (-1,), None)
            return
        error = Timeout("the deadline passed")
        if self.sent is not None:
            error.sent = self.sent
        self.bridge.fail(self.number, error)


def _until(timeout: "float | None") -> float:
    return float("inf") if timeout is None else time.monotonic() + timeout


# --- processes ---


def start_process(command: "list[str]", fd: int) -> int:
    """Run it, with the socket as its descriptor 3 and nothing else of ours; its pid.  No fork."""
    actions = [
        (os.POSIX_SPAWN_DUP2, fd, _FD),  # this one is inherited, ours is not
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    ]
    return os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsigmask=[], setsigdef=[_signal.SIGPIPE])


def kill_process(pid: int) -> None:
    try:
        os.kill(pid, _signal.SIGKILL)
    except ProcessLookupError:
        pass


def wait_for(pid: int, patience: float) -> "int | None":
    """Its exit status as `os.waitstatus_to_exitcode` gives it; it is killed if it does not end.  None: somebody else waited for it."""
    until = time.monotonic() + patience
    pause = 0.0005
    killed = False
    while True:
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return None
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= until and not killed:
            killed = True
            kill_process(pid)
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def _remote_error(fields: "tuple[Any, ...] | None") -> "Any":
    if fields is None:
        return None
    return RemoteError((*fields[:4], _remote_error(fields[4]), _remote_error(fields[5]), fields[6]))


def _told(type_name: str, message: str, frames: "tuple[Any, ...]" = ()) -> RemoteError:
    """What nothing was raised for."""
    return RemoteError((type_name, message, frames, (), None, None, None))


def _hung(seconds: float, frames: "tuple[Any, ...]") -> "Any":
    text = f"finished no message and waited for nothing in csp for {seconds:g} s"
    return _told("TimeoutError", text, frames)


def _how_it_died(status: "int | None") -> "Any":
    if status is None:
        how = "its process has ended"
    elif status < 0:
        try:
            import signal

            how = f"its process was ended by {signal.Signals(-status).name}"
        except (ValueError, ImportError, OSError):  # a signal without a name, or nothing can be imported now
            how = f"its process was ended by signal {-status}"
    else:
        how = f"its process exited with status {status}"
    return _told("ProcessError", how)
