"""The core as the process of an actor has it.

`install` puts stand-ins for what lives in the other process into csp._core, under the names of what they stand for, before the
rest of csp is imported; so all of csp, and the user's code, is the same there.  Each operation is a request to the bridge.
"""

import sys

from csp import _core
from csp._process import awaiting, channels, line, memory, primitives, wire
from csp._process.actors import Actor, Verb, boot_ref
from csp._process.channels import Lease, Selector, select, sleep
from csp._process.line import KINDS, Standing, core_call, describe, pack, request, unpack
from csp._process.wire import Segments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


_Function = type(lambda: None)
KINDS.update({cls.__name__: cls for cls in (*channels.STAND_INS, *primitives.STAND_INS, *memory.STAND_INS)})
_NO_START = "no start"  # in the place of a RemoteError that is the bridge's to make

# --- this actor ---


def boot_payload() -> "Any":
    head, segments = line.hello
    line.hello = None  # with the memory and the files in it
    return unpack(head[2], segments)


def boot_exit(end: "Any", returned: bool, failed: bool) -> None:
    segments = Segments()
    packed = pack(end.value, segments)
    remote = None if end.remote is None else _plain(end.remote)
    request("exit", end.reason, packed, remote, returned, failed, segments=segments)


def _plain(remote: "Any") -> "Any":
    """A RemoteError as tuples."""
    return tuple(_plain(item) if type(item).__name__ == "RemoteError" else item for item in remote)


def run_body(function: "Any", args: "tuple[Any, ...]", kwargs: "dict[str, Any]", /) -> "tuple[bool, Any]":
    line.tell("begin")
    try:
        return True, function(*args, **kwargs)
    except BaseException as error:
        return False, error


_handled = False  # a message, since the last `next`


def serve(instance: object, inbox: "Any", other: "Callable[[Any], object]", refuse: "Callable[[Any], object]", fail: "Any") -> bool:
    global _handled
    from csp._calls import Request
    from csp._serving import _handle_call
    from csp.errors import DecodeError

    done, _handled = _handled, False
    try:
        found = request("next", inbox._which, done, channel=inbox)
    except DecodeError as error:
        refuse(error)
        _handled = True
        return True
    if found is None:
        return False
    message = found[1]
    if type(message) is Request and message[3] is not None:
        _handle_call(instance, message, None)
    else:
        other(message)
    _handled = True
    return True


def answer(reply: "Any", ok: bool, value: "Any", /) -> None:
    segments = Segments()
    try:
        packed = pack((ok, value), segments)
    except Exception as error:
        from csp.errors import NotShareable

        if isinstance(error, NotShareable) and str(error).startswith("value[1]"):
            raise NotShareable("value" + str(error).removeprefix("value[1]")) from error.__cause__
        raise
    line.tell("answer", reply._which, packed, segments=segments)


def boot_alive() -> None:
    core_call("boot_alive")


# --- into csp._core ---


def is_part(thing: object, /) -> bool:
    return isinstance(thing, (Standing, memoryview))


def _reducer_override(pickler: "Any", thing: object, /) -> "Any":
    if is_part(thing):
        return pickler.mark(thing)
    if _core.is_array(thing):
        return pickler.array(thing)
    if isinstance(thing, (type, _Function)) and thing.__module__ in ("__main__", "__mp_main__"):
        return pickler.of_main(thing)
    return NotImplemented


def encode(value: object, /, *, explain: bool = True) -> object:
    """For csp._pickling's search: can it cross?"""
    wire.pack(value, Segments(), describe)
    return None


def _set_ref_type(cls: "type[Actor]", /) -> None:
    KINDS["ActorRef"] = cls


def _not_here(name: str) -> "Any":
    def refuse(*args: object, **kwargs: object) -> "Any":
        raise NotImplementedError(f"{name} is not there in the process of an actor")

    refuse.__name__ = name
    return refuse


def spawn_actor(payload: "Any", *rest: "Any") -> "Any":
    """(payload, name, unique, trap_stop, kind, ...): see csp.actors."""
    if rest[3] == 2 and payload[0] != ("csp._process.bridge", "run"):
        raise NotImplementedError("an actor in a process of its own cannot have actors that are threads: there is no engine here")
    return core_call("spawn_actor", payload, *(_NO_START if type(each).__name__ == "RemoteError" else each for each in rest))


def restart_actor(ref: "Any", payload: "Any", remote: object, warm: object, /) -> "Any":
    return core_call("restart_actor", ref, payload, _NO_START, warm)


_REQUESTS = """after await_message boot_asked boot_hung channel dead_letter dead_letters find_actor list_actors never reply_channel
    take_stop tick ignore_stops""".split()
_MISSING = "share move stacks zombies".split()


def _core_function(name: str) -> "Any":
    def function(*args: object, **kwargs: object) -> "Any":
        return core_call(name, *args, **kwargs)

    function.__name__ = name
    return function


def install(core: "Any") -> None:
    """Put the stand-ins into the core."""
    names = {name: _core_function(name) for name in _REQUESTS} | {name: _not_here(name) for name in _MISSING}
    names |= {cls.__name__: cls for cls in [*KINDS.values(), Lease, Selector, Verb, Actor, awaiting.Loop, awaiting.Wait]}
    here = (
        spawn_actor,
        restart_actor,
        select,
        sleep,
        serve,
        answer,
        boot_ref,
        boot_payload,
        boot_exit,
        boot_alive,
        run_body,
        is_part,
        encode,
        *awaiting.FUNCTIONS,
    )
    names |= {function.__name__: function for function in here}
    names |= {"reducer_override": _reducer_override, "set_ref_type": _set_ref_type, "set_call_hooks": lambda *hooks: None}
    for name, thing in names.items():
        setattr(core, name, thing)
    sys.modules["csp._core"] = core
