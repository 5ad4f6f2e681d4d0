"""What actors in processes of their own do in the tests."""

import os
import signal
import sys
import time
from typing import Any

import csp
from csp import Channel, RecvChannel, SendChannel, actor, current_actor, select


@actor(isolation="process")
def pid(*_: object) -> int:
    return os.getpid()


@actor(isolation="process")
def give_back(inp: RecvChannel[Any], out: SendChannel[Any]) -> None:
    for value in inp:
        out.send(value)


@actor(isolation="process")
def take_until_full(inp: RecvChannel[Any], out: SendChannel[Any]) -> "tuple[str, str, Any]":
    """What an operation that does not come about says."""
    said = []
    for operation in (lambda: inp.recv(0), lambda: inp.recv(timeout=0.01), lambda: out.send(1, 0.01), lambda: out.send_nowait(1)):
        try:
            operation()
        except csp.CspError as error:
            said.append((type(error).__name__, error.channel in (inp, out)))
    said.append(inp.recv_nowait("nothing"))
    said.append(out.clone() == out and hash(out.clone()) == hash(out) and out != inp)
    return said  # type: ignore[return-value]


@actor(isolation="process")
def choose(inp: RecvChannel[Any], out: SendChannel[Any]) -> "list[Any]":
    """Each kind of case once."""
    mine: Channel[int] = Channel(1)
    fired = []
    chosen = select([inp, None, (mine, 5)])
    fired.append((chosen.index, chosen.value, chosen.channel is mine))
    chosen = select([inp, mine])
    fired.append((chosen.index, chosen.value, chosen.channel is mine))
    fired.append(bool(select([inp, mine], timeout=0.01)))
    timer = csp.after(0.01)
    fired.append(select([inp, timer]).channel is timer)
    out.send("up")
    chosen = select([inp, csp.never()])
    fired.append((chosen.index, chosen.value))
    try:
        select([inp, csp.never()])
    except csp.EndOfChannel as end:
        fired.append((end.index, end.channel is inp, end.cause))
    return fired


@actor(isolation="process")
def batches(inp: RecvChannel[Any], out: SendChannel[Any]) -> "list[Any]":
    said: list[Any] = [inp.recv_many(100), out.send_many([1, 2])]
    try:
        out.send_many([3, 4, 5], timeout=0.01)
    except csp.Timeout as error:
        said.append(error.sent)
    return said


@actor(isolation="process")
def lease_and(what: str, jobs: RecvChannel[Any], up: SendChannel[Any]) -> None:
    lease = jobs.lease()
    with lease as job:
        up.send((job, lease.deliveries))
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "raise":
            raise ValueError("back it goes")


@actor(isolation="process")
def die(how: str) -> None:
    if how == "segfault":
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # a sanitizer, or faulthandler, makes something else of it
        os.kill(os.getpid(), signal.SIGSEGV)
    elif how.startswith("exit"):
        os._exit(int(how.split()[1]))
    elif how == "sys.exit":
        sys.exit(4)
    elif how == "raise":
        raise LookupError("so it is")


@actor(isolation="process")
def wait_and_tell(up: SendChannel[str], how: str) -> None:
    up.send("up")
    try:
        if how == "csp":
            csp.never().recv()
        while how == "python":
            pass
        time.sleep(1000)
    finally:
        up.send("finally")


@actor(isolation="process", trap_stop=True)
def trap(up: SendChannel[str]) -> str:
    up.send("up")
    return f"stopping {current_actor().stopping.recv()}"


@actor(isolation="process")
def spawn_another(up: SendChannel[Any]) -> None:
    csp.spawn(tell, up, isolation="interpreter").result(20)
    csp.spawn(tell, up, isolation="process").result(20)
    try:
        csp.spawn(tell, up, isolation="thread")
    except NotImplementedError as error:
        up.send(str(error))
    csp.spawn(stay, up, isolation="interpreter")


def tell(up: SendChannel[Any]) -> None:
    up.send((os.getpid(), current_actor().parent is not None))


def stay(up: SendChannel[Any]) -> None:
    try:
        up.send("here")
        csp.never().recv()
    finally:
        up.send("gone")


@actor(isolation="process")
class Counter:
    def __init__(self, n: int = 0) -> None:
        self.n = n

    def incr(self, by: int = 1) -> int:
        self.n += by
        return self.n

    def pid(self) -> int:
        return os.getpid()

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def ask(self, other: csp.ActorRef) -> Any:
        return other.call.incr(5), other.ask.incr(1).result(5), other.name

    def ask_itself(self) -> Any:
        return current_actor().ref.call.pid()

    def array(self, shape: "tuple[int, ...]") -> Any:
        import numpy

        return numpy.arange(numpy.prod(shape)).reshape(shape)

    def total(self, array: Any) -> Any:
        return array.sum()

    def pickled(self, step: int) -> int:
        """Bytes of the pickle of an array of 800,000 bytes with gaps."""
        import numpy

        from csp import _pickling

        return len(_pickling.dumps(numpy.arange(100_000 * step)[::step])[0])

    def refused(self) -> str:
        try:
            current_actor().inbox.recv()
        except csp.DecodeError as error:
            return str(error)
        return ""


@actor(isolation="process", on_crash="redeliver")
class Fragile:
    def __init__(self, log: SendChannel[Any]) -> None:
        self.log = log

    def on_receive(self, message: str) -> None:
        self.log.send((message, os.getpid()))
        if message == "poison":
            os.kill(os.getpid(), signal.SIGKILL)


@actor(isolation="process", watchdog=0.3)
class Watched:
    def wait(self) -> str:
        csp.sleep(0.5)
        return "waited"

    def spin(self) -> None:
        while True:
            pass


@actor(isolation="process")
class Stuck:
    """In a channel, in C code, in Python code."""

    def __init__(self, told: SendChannel[str]) -> None:
        self.told = told

    def stuck(self, where: str, channel: Any) -> None:
        self.told.send(where)
        getattr(self, where)(channel)

    def receives(self, channel: Any) -> None:
        channel.recv()

    def sleeps(self, channel: Any) -> None:
        time.sleep(1000)

    def spins(self, channel: Any) -> None:
        while True:
            pass


@actor(isolation="process")
def fork_and_use(channel: SendChannel[Any]) -> str:
    import warnings

    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        try:
            channel.send(1)
        except csp.ForkedError:
            os.write(write, b"forked")
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(read, 100).decode()
