"""Functions that the tests run as actors.  They import nothing heavy: each actor's interpreter imports this module."""

import time
from typing import Any

import csp
from csp import Channel, RecvChannel, SendChannel, actor, current_actor


@actor
def add(a: int, b: int = 10) -> int:
    """Add two numbers."""
    return a + b


@actor(mailbox=2)
def small_mailbox(done: SendChannel[str], gate: RecvChannel[None]) -> list[object]:
    done.send("up")
    gate.recv()
    inbox = current_actor().inbox
    return [inbox.recv() for _ in range(3)]


@actor
def echo(jobs: RecvChannel[Any], done: SendChannel[Any]) -> str:
    for job in jobs:
        done.send(job)
    return "drained"


@actor
def boom(text: str) -> None:
    inner(text)


def inner(text: str) -> None:
    raise ValueError(text)


class Odd(Exception):
    """Crosses by pickle only through its own reduce."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")
        self.pair = (a, b)

    def __reduce__(self) -> tuple[type["Odd"], tuple[int, int]]:
        return Odd, self.pair


class Lost(Exception):
    """Pickles, but cannot be loaded again."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__("lost")


def raise_odd() -> None:
    raise Odd(1, 2)


def raise_lost() -> None:
    raise Lost(1, 2)


def raise_chain() -> None:
    try:
        {}["key"]
    except KeyError as error:
        failure = RuntimeError("outer")
        failure.add_note("a note")
        raise failure from error


def raise_unprintable() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    raise Mute


def raise_system_exit() -> None:
    raise SystemExit(3)


def recurse(n: int = 0) -> int:
    return recurse(n + 1)


def unshareable_result() -> object:
    return time.sleep, (x for x in ())


def block() -> None:
    csp.never().recv()


def block_and_tell(up: SendChannel[str]) -> None:
    up.send("up")
    csp.never().recv()


def clean_up(up: SendChannel[str], log: SendChannel[str]) -> None:
    up.send("up")
    try:
        csp.never().recv()
    finally:
        log.send("cleaned up")


def spin(up: SendChannel[str] | None = None) -> None:
    if up is not None:
        up.send("up")
    while True:
        pass


def spin_stubbornly(up: SendChannel[str], times: int) -> None:
    up.send("up")
    for _ in range(times):
        try:
            while True:
                pass
        except BaseException:
            pass
    while True:
        try:
            while True:
                pass
        except Exception:
            pass


def stuck_in_c(up: SendChannel[str], n: int) -> int:
    up.send("up")
    return sum(range(n))


@actor(trap_stop=True)
def patient(up: SendChannel[str]) -> str:
    up.send("up")
    stopping = current_actor().stopping
    fired, value = csp.select([stopping, Channel[None]()])
    assert fired is stopping
    return f"stopping: {value}"


def look_at_itself() -> tuple[str, int, str | None, csp.ActorRef]:
    me = current_actor()
    return me.name, me.id, None if me.parent is None else me.parent.name, me.ref


def parent_of_two(up: SendChannel[csp.ActorRef]) -> None:
    up.send(csp.spawn(block))
    up.send(csp.spawn(block))
    csp.never().recv()


def grandparent() -> tuple[str, str | None]:
    name, _, parent, _ = csp.spawn(look_at_itself).result()
    return name, parent


def nested(depth: int) -> int:
    return 0 if depth == 0 else 1 + csp.spawn(nested, depth - 1).result()


def join_myself() -> None:
    current_actor().ref.join()


@actor(ready=True)
def ready_later(gate: RecvChannel[None]) -> str:
    gate.recv()
    current_actor().ready()
    return "was ready"


@actor(ready=True)
def never_ready() -> None:
    pass


@actor(ready=True, start_timeout=0.05)
def too_slow() -> None:
    csp.never().recv()


def path_and_name() -> tuple[list[str], str]:
    import sys

    return sys.path, __name__


def leave_thread(seconds: float, out: SendChannel[str]) -> str:
    import threading

    def work() -> None:
        time.sleep(seconds)
        out.send("thread done")

    threading.Thread(target=work).start()
    return "body done"


def leave_pool() -> int:
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(4)
    return sum(pool.map(abs, range(-10, 0)))


def leave_spinning_thread() -> None:
    import threading

    def work() -> None:
        while True:
            pass

    threading.Thread(target=work).start()


def leave_blocked_thread() -> None:
    import threading

    threading.Thread(target=Channel[None]().recv).start()


def run_subprocess() -> int:
    import subprocess
    import sys

    return subprocess.run([sys.executable, "-c", "raise SystemExit(7)"], check=False).returncode


def import_module(name: str) -> str:
    return str(__import__(name).__name__)


def import_or_raise(name: str) -> None:
    try:
        __import__(name)
    except ImportError:
        raise RuntimeError(f"it takes {name}")  # noqa: B904 - as packages do


def send_then_die(out: SendChannel[int], gate: RecvChannel[None]) -> None:
    gate.recv()
    out.send(1)
    raise ValueError("died with the channel")


def try_fork() -> str:
    import os

    try:
        os.fork()
    except RuntimeError as error:
        return type(error).__name__
    return "forked"


def times(a: int, b: int = 2) -> int:
    return a * b


def wait_for(gate: RecvChannel[None]) -> str:
    gate.recv()
    return "went on"


def print_at_the_end(up: SendChannel[str]) -> None:
    import atexit

    atexit.register(print, "atexit", flush=True)
    up.send("up")
    try:
        csp.never().recv()
    finally:
        print("finally", flush=True)


def spawn_while_stopping(up: SendChannel[str]) -> None:
    up.send("up")
    try:
        csp.never().recv()
    finally:
        csp.spawn(block)


def nested_thread() -> tuple[str, str | None]:
    """A thread actor inside an actor of its own interpreter."""
    ref = csp.spawn(look_at_itself, isolation="thread")
    name, _, parent, _ = ref.result()
    return name, parent


def append_to(data: list[object]) -> list[object]:
    data.append("more")
    return data


@actor
class Counter:
    """A class actor, for the isolations."""

    def __init__(self, start: int = 0) -> None:
        self.value = start

    def incr(self, by: int = 1) -> int:
        self.value += by
        return self.value

    def where(self) -> str:
        return current_actor().name


class Unrebuildable:
    """Pickles, and nobody can load it again."""

    def __init__(self, *cargo: object) -> None:
        self.cargo = cargo

    def __reduce__(self) -> tuple[Any, ...]:
        return refuse_to_rebuild, self.cargo


def refuse_to_rebuild(*cargo: object) -> None:
    raise ValueError("not here")


class Pair:
    """A value that goes by pickle."""

    def __init__(self, first: object, second: object) -> None:
        self.first, self.second = first, second


def return_unrebuildable() -> Unrebuildable:
    return Unrebuildable(current_actor().ref, csp.Channel(1).sender)


def return_unrebuildable_on_stop(up: SendChannel[str]) -> Unrebuildable:
    up.send("up")
    try:
        csp.never().recv()
    except csp.Stopped:
        pass
    return Unrebuildable()


def return_pair(channel: SendChannel[Any]) -> Pair:
    return Pair(current_actor().ref, channel)


def log_a_line() -> None:
    import logging

    logging.error("a line")


def run_asyncio() -> None:
    import asyncio

    asyncio.run(asyncio.sleep(0))


def divide(numbers: Any) -> float:
    """Fails if it is sent a zero."""
    return 1 / float(numbers.recv())
