"""`async def` actors: a function, or a class with `async def` methods, under trio (or asyncio) in the actor's own thread.

A stop is a cancellation: what the actor awaits, channel or not, is cancelled, `finally` blocks run, and `on_stop` runs outside of
the cancelled part.  An actor that traps stops is not cancelled; it looks at `current_actor().stopping`.  A kill is a cancellation
too, without `on_stop`: the wait for the stop that is always under way lets the event loop hear of it, and what the tasks hold, a
child process say, ends with them.  What has not ended then is dropped where it is, by `Killed`.

A class handles one message at a time, unless it was declared `concurrency=n`: then up to n are handled by tasks of their own.
"""

import sys

from csp import _core, _ref
from csp._awaiting import aselect, aselect_leased
from csp._calls import Request
from csp._serving import _fail, _hook, _receive, _refuse, snapshot
from csp.errors import DecodeError, EndOfChannel, Killed, Stopped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from csp._ref import ActorRef

    Inbox = _core.RecvChannel[Any]
    Stopping = _core.RecvChannel[bool] | None  # None: stops are trapped
    Body = Callable[[], Awaitable[Any]]

# --- the loops ---


class _Trio:
    """The actor's life as a run of trio."""

    def __init__(self) -> None:
        import trio

        self.module = trio
        self.cancelled = trio.Cancelled
        _threads_of_this_interpreter()

    def run(self, body: "Body", stopping: "Stopping", last: "Body | None" = None) -> "Any":
        """What `body` returns; if a stop has cancelled it, `last` is run, or else `Stopped` raised."""
        trio = self.module
        killed = False

        async def watch(scope: "Any") -> None:
            nonlocal killed
            killed = not await _asked(stopping)
            scope.cancel()

        async def life() -> "Any":
            with trio.CancelScope() as scope:
                trio.lowlevel.spawn_system_task(watch, scope)
                result = await body()
            if killed:
                return None
            if last is not None:
                await last()
            elif scope.cancelled_caught:
                raise Stopped("the actor was stopped")
            return result if not scope.cancelled_caught else None

        return _or_killed(lambda: trio.run(life))

    def group(self) -> "Any":
        return self.module.open_nursery()

    def begin(self, group: "Any", work: "Callable[..., Awaitable[None]]", *args: "Any") -> None:
        group.start_soon(work, *args)


class _Asyncio:
    """The actor's life as a run of asyncio."""

    def __init__(self) -> None:
        import asyncio

        self.module = asyncio
        self.cancelled = asyncio.CancelledError

    def run(self, body: "Body", stopping: "Stopping", last: "Body | None" = None) -> "Any":
        asyncio = self.module

        async def life() -> "Any":
            stopped, over, result = False, False, None

            async def watch(task: "Any") -> None:
                nonlocal stopped
                asked = await _asked(stopping)
                if not over:  # else its own cancellation came too late
                    stopped = asked
                    task.cancel()

            asyncio.get_running_loop().set_exception_handler(_no_news_of_kills)
            this = asyncio.current_task()
            watcher = asyncio.create_task(watch(this))
            try:
                result = await body()
            except asyncio.CancelledError:
                if not stopped:
                    raise
                this.uncancel()
                if last is None:
                    raise Stopped("the actor was stopped") from None
            else:
                if stopped:  # at the same time: the cancellation is still to come
                    this.uncancel()
            finally:
                over = True
                watcher.cancel()
            if last is not None:
                await last()
            return result

        return _or_killed(lambda: asyncio.run(life()))

    def group(self) -> "Any":
        return self.module.TaskGroup()

    def begin(self, group: "Any", work: "Callable[..., Awaitable[None]]", *args: "Any") -> None:
        group.create_task(work(*args))


async def _limited(loop: "_Trio | _Asyncio", count: int, serve: "Callable[[Any], Coroutine[Any, Any, None]]") -> None:
    """`serve` with a place for each of `count` tasks: how to take one, to give it back, and to run a coroutine in a task that has one."""
    places = loop.module.Semaphore(count)

    async def occupy(work: "Callable[..., Awaitable[None]]", args: "tuple[Any, ...]") -> None:
        try:
            await work(*args)
        finally:
            places.release()

    async with loop.group() as group:

        def start(work: "Callable[..., Awaitable[None]]", *args: "Any") -> None:
            loop.begin(group, occupy, work, args)

        await serve((places.acquire, places.release, start))


def _or_killed(run: "Callable[[], Any]") -> "Any":
    """Run it.  A kill may leave the event loop half-way: what that leaves is thrown away here, and is no news."""
    try:
        try:
            return run()
        except BaseException as error:  # not only Killed: trio.TrioInternalError, if it came in the middle of trio's own code
            if not _killed():
                raise
            rest = error
    except Killed as error:  # once more, just here
        rest = error
    while not _thrown_away(rest):
        pass  # and again
    raise Killed("the actor was killed")


_THROWING = 0.1  # seconds
_dropping = False  # an event loop is thrown away just now


def _thrown_away(error: "BaseException | None") -> bool:
    global _dropping
    try:
        import gc
        import time
        import warnings

        hook, sys.unraisablehook = sys.unraisablehook, _no_news
        _dropping = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _core.abandon_loops()
                context = getattr(sys.modules.get("trio._core._run"), "GLOBAL_RUN_CONTEXT", None)
                if context is not None:  # this thread's; a kill may have struck before trio cleared it
                    context.__dict__.clear()
                errors = [error]
                while errors:  # with the frames the event loop goes
                    error = errors.pop()
                    if error is not None:
                        errors += [error.__context__, error.__cause__, *getattr(error, "exceptions", ())]
                        error.__traceback__ = error.__context__ = error.__cause__ = None
                # A task that is thrown away runs its `finally` blocks, and so holds on to others: again, unless there is very much
                # else to go through, since a kill that takes a second ends in quarantine.
                until = time.monotonic() + _THROWING
                for _ in range(5):
                    if not gc.collect() or time.monotonic() > until:
                        break
        finally:
            _dropping = False
            if hook is not _no_news and _ref.home() is None:  # else the interpreter ends
                sys.unraisablehook = hook
    except Killed:
        return False
    return True


def _no_news(_: object) -> None:
    """Tasks that are in the middle of something complain when they are thrown away."""


def _no_news_of_kills(loop: "Any", context: "dict[str, Any]") -> None:
    if not _dropping and not isinstance(context.get("exception"), Killed):
        loop.default_exception_handler(context)


async def _asked(stopping: "Stopping") -> bool:
    """Until a stop is asked; for ever if it is trapped.  A kill breaks this off in any case, and so wakes the loop: then False."""
    try:
        await (stopping or _core.never()).arecv()
    except (EndOfChannel, Killed):
        pass
    if not _killed():
        return True
    _core.unwinding(True)
    return False


def _killed() -> bool:
    return _core.boot_asked() in ("kill", "watchdog")


def _loop(options: "dict[str, Any]") -> "_Trio | _Asyncio":
    _core.ignore_stops()  # they come as cancellations
    _core.unwinding(False)
    return _Asyncio() if options.get("loop") == "asyncio" else _Trio()


def _stops(options: "dict[str, Any]") -> "Stopping":
    return None if options.get("trap_stop") else _ref.current_actor().stopping


def _threads_of_this_interpreter() -> None:
    """trio's cache keeps daemon threads, which an actor's interpreter refuses: give each job a thread of its own instead.

    The cache is private to trio.  Where it is not found, `trio.to_thread` raises what CPython says of daemon threads.
    """
    if _ref.home() is None:
        return
    cache = sys.modules.get("trio._core._thread_cache")
    if cache is not None and hasattr(cache, "THREAD_CACHE"):
        cache.THREAD_CACHE = _ThreadPerJob()  # type: ignore[attr-defined]


class _ThreadPerJob:
    def start_thread_soon(
        self, job: "Callable[[], Any]", deliver: "Callable[[Any], object]", name: "str | None" = None
    ) -> None:
        import errno
        import threading

        import outcome

        def run() -> None:
            result = outcome.capture(job)
            try:
                deliver(result)
            except OSError as error:
                if error.errno != errno.EBADF:  # a kill has dropped the run, and with it the socket that would wake it
                    raise

        threading.Thread(target=run, name=name, daemon=False).start()


# --- a function ---


def run_function(
    target: "Callable[..., Awaitable[Any]]", args: "tuple[Any, ...]", kwargs: "dict[str, Any]", options: "dict[str, Any]"
) -> "Any":
    """The whole life of an `async def` function."""
    return _loop(options).run(lambda: target(*args, **kwargs), _stops(options))


# --- a class ---


def serve_class(
    ref: "ActorRef", cls: "type[Any]", args: "tuple[Any, ...]", kwargs: "dict[str, Any]", options: "dict[str, Any]"
) -> None:
    """The whole life of a class with `async def` methods: as csp._serving.serve_class, in tasks."""
    loop = _loop(options)
    server = _Server(loop, ref, options)

    async def life() -> None:
        instance = server.instance = cls(*args, **kwargs)
        try:
            await _either(_hook(instance, "on_start"))
            if not options.get("ready"):
                _core.boot_alive()
            await server.serve(int(options.get("concurrency", 1)))
        except Killed:
            raise
        except BaseException as error:
            failure = _failure(error, loop.cancelled)
            if failure is None or _killed():
                raise  # cancelled by the stop, or by the kill
            await _failed(instance, failure)
            raise failure from failure.__cause__

    async def stopped() -> None:
        _core.take_stop()
        if server.instance is not None:
            await _either(_hook(server.instance, "on_stop", "shutdown"))

    loop.run(life, _stops(options), stopped)


async def _either(result: "Any") -> "Any":
    """What a function returned that may be an `async def` one."""
    return await result if type(result).__name__ == "coroutine" else result


def _failure(error: BaseException, cancelled: "type[BaseException]") -> "BaseException | None":
    """What it is beside cancellations; of a group that a nursery made of one error, that one."""
    if not isinstance(error, BaseExceptionGroup):
        return None if isinstance(error, cancelled) else error
    rest: BaseException | None = error.split(cancelled)[1]
    while isinstance(rest, BaseExceptionGroup) and len(rest.exceptions) == 1:
        rest = rest.exceptions[0]
    return rest


async def _failed(instance: object, error: BaseException) -> None:
    try:
        await _either(_hook(instance, "on_failure", error))
    except Exception as second:
        error.add_note(f"on_failure raised in its turn: {type(second).__name__}: {second}")


class _Server:
    """Takes one message after the other from the mailbox, and handles each.

    With `on_crash` other than "drop" a message is on lease until it is done, as in csp._serving.  The open leases are kept here, to
    the end of this life: one that was let go with a task would give its message back while the others still receive.
    """

    def __init__(self, loop: "_Trio | _Asyncio", ref: "ActorRef", options: "dict[str, Any]") -> None:
        self.loop, self.ref = loop, ref
        self.instance: Any = None  # until it is made
        self.inbox, self.stopping = ref._inbox(), _ref.current_actor().stopping
        self.trapping = bool(options.get("trap_stop"))
        self.leases: set[_core.Lease[Any]] | None = None if options.get("on_crash", "drop") == "drop" else set()

    async def serve(self, count: int) -> None:
        if count == 1:
            while await self._next(None):
                pass
            return

        async def serve(places: "Any") -> None:
            acquire, release, start = places
            while True:
                await acquire()
                if not await self._next(start):
                    release()
                    return

        await _limited(self.loop, count, serve)

    async def _next(self, start: "Any") -> bool:
        """Take one message and handle it, here or in a task of its own; False if there will be none."""
        cases, lease = [self.stopping, self.inbox], None
        try:
            if self.leases is None:
                channel, message = await aselect(cases, priority=True)
            else:
                lease = self.inbox.lease()
                channel, message = await aselect_leased(cases, lease)
        except (EndOfChannel, DecodeError) as error:
            if isinstance(error, EndOfChannel):
                return False  # drained
            _refuse(error)
            self.ref._done()
            if start is not None:
                start(_nothing)
            return True
        if channel is self.stopping:
            return False
        if lease is not None and self.leases is not None:
            self.leases.add(lease)
        if start is None:
            await self._handle(message, lease)
        else:
            start(self._handle, message, lease)
        return True

    async def _handle(self, message: "Any", lease: "_core.Lease[Any] | None") -> None:
        try:
            if type(message) is not Request:
                await _either(_receive(self.ref, self.instance, message))
            elif message[3] is None:
                method, args, kwargs, _ = message
                await _either(getattr(self.instance, method)(*args, **kwargs))
            else:
                await self._handle_call(message, lease)
        except BaseException as error:
            if _failure(error, self.loop.cancelled) is None and self._is_stopped():
                self._keep(lease)  # broken off, not crashed
            raise
        self._keep(lease)  # else it stays on lease, and goes back as this life ends
        self.ref._done()

    async def _handle_call(self, request: Request, lease: "_core.Lease[Any] | None") -> None:
        method, args, kwargs, reply = request
        try:
            ok, value = True, await _either(getattr(self.instance, method)(*args, **kwargs))
        except (Killed, GeneratorExit):
            raise
        except BaseException as error:
            if _failure(error, self.loop.cancelled) is None:
                reply.close()  # the caller gets ActorDied, before on_stop runs
                raise
            ok, value = False, snapshot(error)
        self._keep(lease)  # it is done, whatever becomes of the answer
        try:
            _core.answer(reply, ok, value)
        except Exception as error:  # the result does not cross
            _fail(reply, error)

    def _keep(self, lease: "_core.Lease[Any] | None") -> None:
        if lease is not None and self.leases is not None and lease in self.leases:
            lease.__exit__(None, None, None)
            self.leases.remove(lease)

    def _is_stopped(self) -> bool:
        """What is cancelled now is so by a stop, and neither by a kill nor by the crash of a task beside it."""
        return not self.trapping and _core.boot_asked() in ("stop", "unnoticed stop")


async def _nothing() -> None:
    """A message that took a place and needs none."""
