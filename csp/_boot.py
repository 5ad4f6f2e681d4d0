"""The first code in a new interpreter, called by the thread that owns it: what to run, run it, say how it ended."""

import _thread
import atexit
import sys

from csp import _core, _ref
from csp.errors import DecodeError, EndOfChannel, Killed, Stopped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from csp._remote import RemoteError


def _quiet_threads() -> None:
    """A thread of the actor that a stop or a kill ends is no news: `threading`, once imported, takes this hook for its own."""
    atexit.register(_forget_thread)  # before the user's, so it is called after them
    report = getattr(_thread, "_excepthook", None)
    if report is None:
        return

    def excepthook(args: "Any", /) -> None:
        if not issubclass(args.exc_type, (Stopped, Killed)):
            report(args)

    _thread._excepthook = excepthook


def _forget_thread() -> None:
    """Take from `threading`, while it can still do it, what it keeps for a thread that it did not start, as ours is for it.

    Otherwise CPython 3.13 finds it after the module is cleared, and reports an ignored exception: for each actor that has logged a line.
    """
    info = getattr(sys.modules.get("threading"), "_thread_local_info", None)
    if info is not None:
        info.__dict__.clear()


def live() -> None:
    """The whole life of an actor in an interpreter of its own."""
    _quiet_threads()
    ref = _core.boot_ref()
    _ref.enter(ref, _ref.ActorContext(ref))
    _live(ref)
    _ref.leave()


def warm() -> None:
    """The life of an interpreter before it has an actor: import what that will need, and wait until it is handed over, or told to end.

    A module that does not import is the business of the actor that needs it.
    """
    _quiet_threads()
    ref = _core.boot_ref()
    _ref.enter(ref, None)  # whoever asks for an actor while a module is imported is told that there is none yet
    try:
        modules = _core.boot_payload()
        inbox = ref._inbox()
        _core.run_body(_import_all, (modules,), {})
        if _core.is_childless() and not _core.boot_asked():
            _core.boot_alive()
            inbox.recv()
    except (EndOfChannel, Stopped, Killed):
        pass
    _ref.leave()


def _import_all(modules: "tuple[Any, ...]") -> None:
    for module in modules:
        try:
            if isinstance(module, tuple):
                from csp._main import load_main

                load_main(module)
            else:
                __import__(module)
        except Killed:
            raise
        except BaseException:
            pass


def live_in_thread() -> None:
    """The whole life of an actor that is a thread of this interpreter."""
    ref = _core.boot_ref()
    _ref.enter_thread(_ref.ActorContext(ref))
    _live(ref)
    _ref.enter_thread(None)


def _live(ref: "_ref.ActorRef") -> None:
    try:
        target, args, kwargs, options = _core.boot_payload()
        target = _resolved(target)
        if options.get("async"):  # an import, as that of the target: the watchdog does not look yet
            __import__("asyncio" if options.get("loop") == "asyncio" else "trio")
    except BaseException as error:
        _say(_exit(ref, False, error), returned=False)
        return
    process = options.pop("process", False)  # then the target is its bridge, which also says how it ended
    if options.pop("async", False):
        from csp import _async_serving

        serves = isinstance(target, type)
        if not serves and not options.get("ready"):
            _core.boot_alive()
        args = (ref, target, args, kwargs, options) if serves else (target, args, kwargs, options)
        target, kwargs = _async_serving.serve_class if serves else _async_serving.run_function, {}
    elif isinstance(target, type):
        from csp._serving import serve_class

        target, args, kwargs = serve_class, (ref, target, args, kwargs, options), {}
    elif not options.get("ready"):
        _core.boot_alive()
    if _core.boot_asked() in ("kill", "unnoticed stop"):  # before it began; one that traps stops is to see it itself
        ok, result = False, Stopped("stopped before it began")
    else:
        ok, result = _core.run_body(target, args, kwargs)
    if _core.boot_asked() == "watchdog":
        _core.boot_hung()
    elif not (process and ok):
        _say(_exit(ref, ok, result), returned=ok)
    _ref.body_ended()
    del result  # an exception: its traceback leads back to this frame, and with it to all that the arguments hold


def _resolved(function: "Any") -> "Any":
    """The function that `csp.actors.by_reference` named."""
    if type(function) is not tuple:
        return function
    where, qualname = function
    if isinstance(where, tuple):
        from csp._main import main_attribute

        return main_attribute(where, qualname)
    __import__(where)
    found = sys.modules[where]
    for name in qualname.split("."):
        found = getattr(found, name)
    return found


def _exit(ref: "_ref.ActorRef", ok: bool, result: "Any") -> "_ref.Exit":
    asked = _core.boot_asked()
    if asked == "kill":
        return _ref.Exit(ref, "killed")
    if ok:
        return _ref.Exit(ref, "shutdown" if asked == "stop" or ref._serves else "normal", result)
    if asked and isinstance(result, Stopped):
        return _ref.Exit(ref, "shutdown")
    return _ref.Exit(ref, "failed", None, _snapshot(result))


def _say(end: "_ref.Exit", *, returned: bool) -> None:
    try:
        _core.boot_exit(end, returned, end.reason not in ("normal", "shutdown"))
    except BaseException as error:  # the value does not cross, or refuses to be pickled
        _core.boot_exit(_ref.Exit(end.ref, "failed", None, _snapshot(error)), False, True)


def _snapshot(error: BaseException) -> "RemoteError":
    from csp._remote import snapshot

    return snapshot(error)


def serve() -> None:
    """The life of an interpreter of csp.interpreters: run what is handed in, one request at a time."""
    _quiet_threads()
    ref = _core.boot_ref()
    _ref.enter(ref, None)
    inbox = ref._inbox()
    _core.boot_alive()
    try:
        while True:
            answer, reply = _one_run(inbox)
            _core.boot_idle()  # before the answer: the caller may run again at once
            _answer(reply, answer)
            del answer, reply
    except (Stopped, Killed):
        pass
    _say(_ref.Exit(ref, "normal"), returned=True)
    _ref.body_ended()
    _ref.leave()


def _one_run(inbox: "_core.RecvChannel[Any]") -> "tuple[tuple[bool, Any], _core.SendChannel[Any]]":
    try:
        code, args, shared = inbox.recv()
    except DecodeError as error:  # say, the module of an argument does not import here
        return (False, _snapshot(error)), inbox.recv()
    reply = inbox.recv()  # sent in one batch with the request
    ok, result = _run_source(code, shared) if isinstance(code, str) else _call(code, args, shared)
    answer = ok, result if ok else _snapshot(result)
    del result  # an exception: its traceback leads back to this frame
    return answer, reply


def _call(code: "Any", args: "tuple[Any, ...]", shared: "dict[str, Any]") -> "tuple[bool, Any]":
    try:
        function = _resolved(code)
    except BaseException as error:
        return False, error
    return _core.run_body(function, args, shared)


def _run_source(source: str, shared: "dict[str, object]") -> "tuple[bool, Any]":
    namespace = sys.modules["__main__"].__dict__
    namespace.update(shared)
    try:
        code = compile(source, "<run>", "exec", dont_inherit=True)
    except BaseException as error:
        return False, error
    ok, result = _core.run_body(exec, (code, namespace), {})
    return ok, result


def _answer(reply: "_core.SendChannel[Any]", answer: "tuple[bool, Any]") -> None:
    try:
        reply.send_nowait(answer)
    except (Stopped, Killed):
        raise
    except BaseException as error:
        try:
            reply.send_nowait((False, _snapshot(error)))  # the result does not cross
        except Exception:
            pass  # the caller has left


def release_pools() -> None:
    """Tell the idle threads of executors that nobody shut down to end: they wait for an exit that has begun.

    `concurrent.futures` does this in a hook of `threading._shutdown`, which then joins them without a limit.
    """
    futures: Any = sys.modules.get("concurrent.futures.thread")
    if futures is None:
        return
    with futures._global_shutdown_lock:
        futures._shutdown = True
    for queue in list(futures._threads_queues.values()):
        queue.put(None)
