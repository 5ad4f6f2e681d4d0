"""Awaiting channels: `asend`, `arecv`, `aselect`, `async for` and `async with`, under trio and under asyncio.

The wake target of an event loop is one descriptor, whatever the number of waits (py_async.c): no thread, and nothing to do while
nothing fires.  A wait that can be completed at once never reaches the loop.

Cancellation is decided by one compare-and-swap, as everything else that ends a wait.  Won before the hand-over: nothing was sent
or taken, and nothing will be.  Lost: the value has moved, so the await returns, and the cancellation is delivered at the next
checkpoint.  Nothing is awaited between the hand-over and the return that could be cancelled.

trio and asyncio are looked for among the modules that are there already: this imports neither.
"""

import sys
from heapq import heapify, heappop, heappush, heapreplace

from csp import _core
from csp.errors import ActorDied, BrokenChannel, DeadlockError, EndOfChannel, Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Any

    from csp._calls import Reply
    from csp._ref import ActorRef

_QUICK = 64  # operations completed at once after which a task on asyncio lets the others run

_NEVER = float("inf")  # when a timer is due while csp's clock stands still: whoever moves the clock fires it

_run_var: "Any" = None  # trio's, one for each run


# --- asyncio ---


class _Asyncio:
    """What a running asyncio loop (or uvloop) has of us.  It refers to the loop by nothing."""

    def __init__(self) -> None:
        self.core = _core.Loop()
        self.quick = 0
        self.held: list[_CallAt] = []  # timers set while csp's clock stood still (csp.testing)

    def drain(self) -> None:
        if self.held and not _core.clock_stands():
            held, self.held = self.held, []
            for timer in held:
                timer.again()
        for wait in self.core.drain():
            if not wait.token.done():
                wait.token.set_result(None)

    async def run(self, begin: "Callable[..., _core.Wait]", *args: object) -> "_core.Wait":
        import asyncio

        if self.quick >= _QUICK:  # before anything is done: this may be cancelled
            self.quick = 0
            await asyncio.sleep(0)
        wait = begin(self.core, *args)
        if wait.done:
            self.quick += 1
        else:
            self.quick = 0
            await self._outcome(asyncio, asyncio.get_running_loop(), wait)
        return wait

    async def _outcome(self, asyncio: "Any", loop: "Any", wait: "_core.Wait") -> None:
        wait.token = future = loop.create_future()
        timer = _CallAt(self, loop, wait) if wait.due() is not None else None
        try:
            await future
        except BaseException as error:
            if wait.cancel():
                raise
            wait.settle()
            if not isinstance(error, asyncio.CancelledError) or (task := asyncio.current_task()) is None:
                wait.put_back()
                raise
            # It has moved.  The cancellation stands, counted once, and comes at the task's next await.
            task.uncancel()
            task.cancel(*error.args)
        finally:
            wait.token = None
            if timer is not None:
                timer.cancel()


class _CallAt:
    """Let the timers among the cases fire, as long as the wait lasts."""

    def __init__(self, ours: _Asyncio, loop: "Any", wait: "_core.Wait") -> None:
        self._ours, self._loop, self._wait = ours, loop, wait
        self._handle: Any = None  # None: held
        self.again()

    def again(self) -> None:
        due = self._wait.due() or 0.0
        if due == _NEVER:
            self._handle = None
            self._ours.held.append(self)
        else:
            self._handle = self._loop.call_later(due, self._fire)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        elif self in self._ours.held:
            self._ours.held.remove(self)

    def _fire(self) -> None:
        self._wait.fire_due()
        if self._wait.due() is not None:  # somebody else had it, or it is for a wait that fires next
            self.again()


def _waker(loop: "Any") -> "Callable[[], None]":
    from weakref import ref

    weak = ref(loop)

    def wake() -> None:
        loop = weak()
        if loop is not None:
            loop.call_soon_threadsafe(_nothing)

    return wake


def _nothing() -> None: ...


def _asyncio_here(asyncio: "Any") -> _Asyncio:
    loop = asyncio.get_running_loop()
    # In the loop itself.  (A kill that strikes in the callback of a WeakKeyDictionary leaves the entry in it for good.)
    ours: _Asyncio | None = getattr(loop, "_csp", None)
    if ours is None:
        ours = loop._csp = _Asyncio()
        loop.add_reader(ours.core.fileno(), ours.drain)
        ours.core.wake = _waker(loop)
    return ours


# --- trio ---


class _Trio:
    """What a trio run has of us: a system task looks at the descriptor, and at the clock for the timers among the cases."""

    def __init__(self) -> None:
        self.core = _core.Loop()
        self.timers: list[list[Any]] = []  # a heap of [trio's time, a number, the wait, or None once that is over]
        self.count = self.over = 0
        self.held = False  # some were set while csp's clock stood still (csp.testing)
        self.dead = False  # a kill has hit the pump: nobody reschedules any more

    async def pump(self) -> None:
        trio = sys.modules["trio"]
        try:
            while True:
                with trio.CancelScope(deadline=self.timers[0][0] if self.timers else _NEVER):
                    await trio.lowlevel.wait_readable(self.core.fileno())
                if self.held and not _core.clock_stands():
                    self._set_again(trio.current_time())
                self._fire_timers(trio.current_time())
                for wait in self.core.drain():
                    trio.lowlevel.reschedule(wait.token)
        finally:
            self.dead = True

    def _fire_timers(self, now: float) -> None:
        while self.timers and self.timers[0][0] <= now:
            entry = self.timers[0]
            due = None
            if entry[2] is not None:
                entry[2].fire_due()
                due = entry[2].due()  # somebody else had it, or it is for a wait that fires next
            if due is None:
                heappop(self.timers)
                self.over -= entry[2] is None
                entry[2] = None
            else:
                entry[0] = now + due
                self.held |= due == _NEVER
                heapreplace(self.timers, entry)

    def _set_again(self, now: float) -> None:
        """csp's clock goes on."""
        self.held = False
        for entry in self.timers:
            due = None if entry[2] is None else entry[2].due()
            if due is not None:
                entry[0] = now + due
                self.held |= due == _NEVER
        heapify(self.timers)

    def _set_timer(self, wait: "_core.Wait", due: float, now: float) -> "list[Any]":
        self.count += 1
        self.held |= due == _NEVER
        entry = [now + due, self.count, wait]
        heappush(self.timers, entry)
        if self.timers[0] is entry:
            self.core.poke()
        return entry

    def _drop_timer(self, entry: "list[Any]") -> None:
        """Most never fire: they go together, once they are the half."""
        if entry[2] is None:
            return
        entry[2] = None
        self.over += 1
        if self.over * 2 > len(self.timers):
            self.timers = [entry for entry in self.timers if entry[2] is not None]
            heapify(self.timers)
            self.over = 0

    async def run(self, begin: "Callable[..., _core.Wait]", *args: object) -> "_core.Wait":
        trio = sys.modules["trio"]
        await trio.lowlevel.checkpoint_if_cancelled()
        wait = begin(self.core, *args)
        if wait.done:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return wait
        due = wait.due()
        timer = None if due is None else self._set_timer(wait, due, trio.current_time())
        wait.token = trio.lowlevel.current_task()

        def abort(_: object) -> "Any":
            if self.dead and not wait.cancel():
                wait.settle()
            return trio.lowlevel.Abort.SUCCEEDED if self.dead or wait.cancel() else trio.lowlevel.Abort.FAILED

        try:
            await trio.lowlevel.wait_task_rescheduled(abort)
        except BaseException:
            if not wait.cancel():  # a task that is torn down by force
                wait.settle()
                wait.put_back()
            raise
        finally:
            wait.token = None
            if timer is not None:
                self._drop_timer(timer)
        return wait


def _trio_here(trio: "Any") -> _Trio:
    global _run_var
    if _run_var is None:
        _run_var = trio.lowlevel.RunVar("csp")
    ours: _Trio | None = _run_var.get(None)
    if ours is None:
        ours = _Trio()
        _run_var.set(ours)
        _let_be_woken(ours.core, trio)
        trio.lowlevel.spawn_system_task(ours.pump, name="csp")
    return ours


def _let_be_woken(core: "_core.Loop", trio: "Any") -> None:
    """By what wakes a guest run, if it is where it was; the public way goes through a task of trio's own, which a kill may have hit."""
    runner = getattr(trio._core._run.GLOBAL_RUN_CONTEXT, "runner", None)
    wakeup = getattr(getattr(runner, "io_manager", None), "_force_wakeup", None)
    socket = getattr(wakeup, "write_sock", None)
    if socket is not None:
        core.wake_by(socket.fileno())
        return
    token = trio.lowlevel.current_trio_token()
    core.wake = lambda: token.run_sync_soon(_nothing)


# --- either ---


def _here() -> "_Trio | _Asyncio":
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        return _trio_here(trio)
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        return _asyncio_here(asyncio)
    raise RuntimeError("awaiting a channel needs a running trio or asyncio event loop")


def shielded() -> "Any":
    """Within it nothing is cancelled.  (asyncio delivers a cancellation once, where it comes: there is nothing to shield from it.)"""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        return trio.CancelScope(shield=True)
    from contextlib import nullcontext

    return nullcontext()


async def arecv(handle: "_core.RecvChannel[Any]") -> "Any":
    return (await _here().run(_core.begin_recv, handle)).result()


async def asend(handle: "_core.SendChannel[Any]", value: "Any") -> None:
    (await _here().run(_core.begin_send, handle, value)).result()


async def anext(handle: "_core.RecvChannel[Any]") -> "Any":
    try:
        return (await _here().run(_core.begin_recv, handle)).result()
    except EndOfChannel:
        raise StopAsyncIteration from None


async def aenter(handle: "_core.Channel[Any]") -> "Any":
    return handle


async def aexit(handle: "_core.Channel[Any]") -> None:
    handle.close()


async def aselect(cases: "Iterable[_core._Case]", *, priority: bool = False) -> "_core.Selected":
    """As `csp.select`, for a task of trio or asyncio; bound it by the event loop's own means (`trio.move_on_after`,
    `asyncio.timeout`), or by an `after` among the cases.

    Exactly one case fires, or, cancelled, none.  If one had fired before the cancellation came, it is returned, and the
    cancellation is delivered at the next checkpoint.  Raises what `select` raises.

        channel, value = await csp.aselect([orders, (out, bill), csp.after(0.5)])
    """
    return (await _here().run(_core.begin_select, cases, priority)).result()  # type: ignore[no-any-return]


aselect.__module__ = "csp"


async def aselect_leased(cases: "Iterable[_core._Case]", lease: "_core.Lease[Any]") -> "_core.Selected":
    """By priority; a value received through the channel of `lease` is on loan: cancelled before that, it was not handed out."""
    return (await _here().run(_core.begin_select, cases, True)).into(lease)  # type: ignore[no-any-return]


# --- calls of actors ---


class AwaitedCall:
    """`ref.acall`: an attribute is a method of the actor; calling it sets the timeout."""

    __slots__ = ("_ref", "_timeout")

    def __init__(self, ref: "ActorRef", timeout: "float | None" = None) -> None:
        self._ref = ref
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<acall of {self._ref!r}>"

    def __call__(self, *, timeout: "float | None") -> "AwaitedCall":
        return AwaitedCall(self._ref, timeout)

    def __getattr__(self, method: str) -> "Callable[..., Coroutine[Any, Any, Any]]":
        if method[:1] == "_":
            raise AttributeError(f"{method} is private: only public methods of an actor can be called")
        ref, timeout = self._ref, self._timeout

        def call(*args: object, **kwargs: object) -> "Coroutine[Any, Any, Any]":
            return _call(ref, timeout, method, args, kwargs)

        return call


async def _call(
    ref: "ActorRef", timeout: "float | None", method: str, args: "tuple[object, ...]", kwargs: "dict[str, object]"
) -> "Any":
    from csp._calls import Request, _died, _unwrap
    from csp._ref import context_here

    context = context_here()
    if context is not None and context.ref == ref:
        raise DeadlockError(f"{ref.name}.{method}: an actor cannot wait for its own answer")
    limit = [] if timeout is None else [_core.after(timeout)]
    sender, receiver = _core.reply_channel()
    try:
        with sender:  # from then on its only handle is in the request
            sent = await aselect([(ref._sender(), Request((method, args, kwargs, sender))), *limit], priority=True)
        if sent.index == 1:
            raise Timeout(f"{ref.name}: no room in the mailbox within {timeout} s; {method} was not asked")
        answer = await aselect([receiver, *limit], priority=True)
    except BrokenChannel:
        raise ActorDied(f"{ref.name} takes no more messages: it has ended, or is ending") from None
    except EndOfChannel as end:
        raise _died(ref, method, end) from None
    finally:
        receiver.close()  # an answer that comes later reaches nobody
    if answer.index == 1:
        raise Timeout(f"{ref.name}.{method} did not answer within {timeout} s; it may have run")
    return _unwrap(ref, method, answer.value)


async def areply(reply: "Reply") -> "Any":
    from csp._calls import _died, _unwrap

    if reply._answer is None:
        try:
            reply._answer = await arecv(reply._channel)
        except EndOfChannel as end:
            raise _died(reply._ref, reply._call, end) from None
    return _unwrap(reply._ref, reply._call, reply._answer)
