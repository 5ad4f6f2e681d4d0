"""What an `async def` actor has done outside of its event loop: threads, processes, files, look-ups of names.

They work in an interpreter of its own, where CPython refuses daemon threads, and a stop or a kill in the midst of one ends the actor
in time: a job in a thread cannot be broken off, but if it waits in csp; a child process goes with the actor.
"""

import asyncio
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

import csp
from csp.testing import wait_until

PRINT = ["sh", "-c", "echo out; echo err >&2; exit 3"]


@pytest.fixture(params=["interpreter", "thread"])
def isolation(request: pytest.FixtureRequest) -> Any:
    return request.param


# --- they work ---


async def trio_thread(_: Any) -> Any:
    return await trio.to_thread.run_sync(sum, [1, 2])


async def trio_many_threads(_: Any) -> Any:
    got = []

    async def one(n: int) -> None:
        got.append(await trio.to_thread.run_sync(lambda: n))

    async with trio.open_nursery() as nursery:
        for n in range(100):
            nursery.start_soon(one, n)
    return sorted(got) == list(range(100))


async def trio_thread_and_back(_: Any) -> Any:
    return await trio.to_thread.run_sync(lambda: trio.from_thread.run(trio_thread, None))


async def trio_process(_: Any) -> Any:
    done = await trio.run_process(PRINT, capture_stdout=True, capture_stderr=True, check=False)
    return done.stdout, done.stderr, done.returncode


async def trio_names(_: Any) -> Any:
    found = await trio.socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    return {family for family, *_ in found} <= {socket.AF_INET, socket.AF_INET6} and len(found) > 0


async def trio_connection(_: Any) -> Any:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener, await trio.open_tcp_stream("localhost", listener.socket.getsockname()[1]) as stream:
        accepted = await listener.accept()
        async with accepted:
            await stream.send_all(b"hello")
            return await accepted.receive_some()


async def trio_files(folder: Any) -> Any:
    path = trio.Path(folder) / "told"
    await path.write_text("one\ntwo\n")
    async with await trio.open_file(path) as file:
        return [line async for line in file], await path.exists(), [p.name for p in await path.parent.iterdir()]


async def asyncio_thread(_: Any) -> Any:
    return await asyncio.to_thread(sum, [1, 2])


async def asyncio_many_threads(_: Any) -> Any:
    return await asyncio.gather(*[asyncio.to_thread(lambda n=n: n) for n in range(100)]) == list(range(100))


async def asyncio_process(_: Any) -> Any:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*PRINT, stdout=pipe, stderr=pipe)
    return *await process.communicate(), process.returncode


async def asyncio_names(_: Any) -> Any:
    found = await asyncio.get_running_loop().getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    return {family for family, *_ in found} <= {socket.AF_INET, socket.AF_INET6} and len(found) > 0


async def asyncio_connection(_: Any) -> Any:
    async def greet(reader: Any, writer: Any) -> None:
        writer.write(b"hello")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection("localhost", server.sockets[0].getsockname()[1])
        got = await reader.read()
        writer.close()
        await writer.wait_closed()
        return got


WORK: dict[Callable[..., Any], Any] = {
    trio_thread: 3,
    trio_many_threads: True,
    trio_thread_and_back: 3,
    trio_process: (b"out\n", b"err\n", 3),
    trio_names: True,
    trio_connection: b"hello",
    trio_files: (["one\n", "two\n"], True, ["told"]),
    asyncio_thread: 3,
    asyncio_many_threads: True,
    asyncio_process: (b"out\n", b"err\n", 3),
    asyncio_names: True,
    asyncio_connection: b"hello",
}


class Worker:
    async def work(self, name: str, folder: str) -> Any:
        return await globals()[name](folder)


class WorkerTrio(Worker):
    pass


class WorkerAsyncio(Worker):
    pass


csp.actor(WorkerTrio)
csp.actor(loop="asyncio")(WorkerAsyncio)


@pytest.fixture(scope="module")
def workers() -> Iterator[Callable[[type, str], Any]]:
    """Each kind once: an import of trio or asyncio takes a new interpreter a tenth of a second."""
    there: dict[tuple[type, str], Any] = {}

    def worker(cls: type, isolation: str) -> Any:
        key = cls, isolation
        if key not in there:
            there[key] = csp.spawn(cls, isolation=isolation)
        return there[key]

    yield worker
    for ref in there.values():
        end = ref.stop(20)
        assert end.reason == "shutdown", end.remote


@pytest.mark.parametrize("body", WORK, ids=lambda body: body.__name__)
def test_it_works(body: Callable[..., Any], isolation: str, workers: Any, tmp_path: Any, capfd: Any) -> None:
    """As anywhere else, and without a word on stderr."""
    ref = workers(WorkerAsyncio if body.__name__.startswith("asyncio") else WorkerTrio, isolation)
    assert ref.call(timeout=20).work(body.__name__, str(tmp_path)) == WORK[body]
    assert said(capfd) == []


def said(capfd: Any) -> list[str]:
    """The lines on stderr, but for what csp says about CPython 3.13's memory."""
    return [line for line in capfd.readouterr().err.splitlines() if "interpreters have ended" not in line]


def spawn(body: Callable[..., Any], *args: Any, isolation: str = "interpreter") -> Any:
    options = {"loop": "asyncio"} if body.__name__.startswith("asyncio") else {}
    return csp.spawn(csp.actor(**options)(body) if options else csp.actor(body), *args, isolation=isolation)


# --- a stop or a kill in the midst of one ---


async def trio_child(told: Any, fd: int) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda **how: trio.run_process(["sleep", "600"], pass_fds=[fd], **how))
        await told.asend("up")


async def asyncio_child(told: Any, fd: int) -> None:
    process = await asyncio.create_subprocess_exec("sleep", "600", pass_fds=[fd])
    try:
        await told.asend("up")
        await process.wait()
    finally:
        process.kill()  # asyncio leaves it to its user


async def asyncio_shell(told: Any, fd: int) -> None:
    process = await asyncio.create_subprocess_shell("exec sleep 600", pass_fds=[fd])
    try:
        await told.asend("up")
        await process.communicate()
    finally:
        process.kill()


@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.parametrize("body", [trio_child, asyncio_child, asyncio_shell])
def test_a_child_process_goes_with_the_actor(body: Callable[..., Any], how: str, isolation: str, capfd: Any) -> None:
    """Stopped or killed: nothing is left running, and nobody hangs."""
    told = csp.Channel(4)
    mine, its = os.pipe()
    try:
        ref = spawn(body, told.sender, its, isolation=isolation)
        assert told.recv(20) == "up"
    finally:
        os.close(its)
    end = ref.stop(20) if how == "stop" else ref.kill()
    assert end.reason == ("shutdown" if how == "stop" else "killed")
    assert select.select([mine], [], [], 20)[0], "the child lives on"
    assert os.read(mine, 1) == b""
    os.close(mine)
    wait_until(lambda: ref not in csp.debug.zombies(), 20, "its end")
    assert said(capfd) == []


def wait_in_csp(told: Any) -> None:
    told.send("up")
    csp.never().recv()


async def trio_waits(told: Any) -> None:
    await trio.to_thread.run_sync(wait_in_csp, told)


async def asyncio_waits(told: Any) -> None:
    await asyncio.to_thread(wait_in_csp, told)


@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.parametrize("body", [trio_waits, asyncio_waits])
def test_a_thread_that_waits_in_csp_is_broken_off(body: Callable[..., Any], how: str, capfd: Any) -> None:
    """As every thread of the actor's interpreter."""
    told = csp.Channel(4)
    ref = spawn(body, told.sender)
    assert told.recv(20) == "up"
    end = ref.stop(20) if how == "stop" else ref.kill()
    assert end.reason == ("shutdown" if how == "stop" else "killed")
    wait_until(lambda: ref not in csp.debug.zombies(), 20, "its end")
    assert said(capfd) == []


def block(told: Any, fd: int) -> None:
    """In C code, until there is something to read."""
    told.send("up")
    os.read(fd, 1)


def slow_names(told: Any, fd: int) -> None:
    """From now on a look-up of a name in this interpreter takes as long."""

    def getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        block(told, fd)
        raise socket.gaierror(socket.EAI_AGAIN, "nobody knows")

    socket.getaddrinfo = getaddrinfo


async def trio_thread_for_long(told: Any, fd: int) -> None:
    await trio.to_thread.run_sync(block, told, fd)


async def trio_thread_abandoned(told: Any, fd: int) -> None:
    await trio.to_thread.run_sync(block, told, fd, abandon_on_cancel=True)


async def trio_names_for_long(told: Any, fd: int) -> None:
    slow_names(told, fd)
    await trio.socket.getaddrinfo("localhost", 80)


async def trio_file_for_long(told: Any, fd: int) -> None:
    file = await trio.open_file(fd, "rb", buffering=0, closefd=False)
    await told.asend("up")
    await file.read(1)


async def asyncio_thread_for_long(told: Any, fd: int) -> None:
    await asyncio.to_thread(block, told, fd)


async def asyncio_names_for_long(told: Any, fd: int) -> None:
    slow_names(told, fd)
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


async def trio_beside(work: Any, told: Any, fd: int) -> None:
    """`work` and a task that says when it is cancelled."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, told, fd)
        try:
            await trio.sleep_forever()
        finally:
            told.send_nowait("cancelled")


async def asyncio_beside(work: Any, told: Any, fd: int) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(work(told, fd))
        try:
            await asyncio.sleep(3600)
        finally:
            told.send_nowait("cancelled")


LONG = [
    trio_thread_for_long,
    trio_thread_abandoned,
    trio_names_for_long,
    trio_file_for_long,
    asyncio_thread_for_long,
    asyncio_names_for_long,
]
each_long_one = pytest.mark.parametrize("work", LONG, ids=lambda work: work.__name__)


@pytest.fixture
def blocked(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Any]]:
    """Start it and wait until it is blocked; then its ActorRef, its channel, and how to let it go on."""
    mine: list[int] = []

    def start(work: Any) -> Any:
        told = csp.Channel(4)
        read, write = os.pipe()
        mine.extend([read, write])
        ref = spawn(asyncio_beside if work.__name__.startswith("asyncio") else trio_beside, work, told.sender, read)
        assert told.recv(20) == "up"
        return ref, told, lambda: os.write(write, b"x")

    yield start
    for fd in mine[1::2]:
        os.write(fd, b"xx")
    wait_until(lambda: not csp.debug.zombies(), what="the end of what was blocked")
    for fd in mine:
        os.close(fd)


@each_long_one
def test_a_stop_waits_for_a_thread_that_is_blocked(work: Any, blocked: Any, capfd: Any) -> None:
    """The other tasks are cancelled at once; the actor ends, orderly, when the thread does."""
    ref, told, release = blocked(work)
    ends: list[Any] = []
    stopping = threading.Thread(target=lambda: ends.append(ref.stop(60)))
    stopping.start()
    assert told.recv(20) == "cancelled"
    assert ref.alive and not ends
    release()
    stopping.join(60)
    assert [end.reason for end in ends] == ["shutdown"]
    assert said(capfd) == []


@pytest.mark.parametrize(("work", "how"), [(trio_thread_for_long, "stop"), (trio_thread_abandoned, "kill"), (asyncio_thread_for_long, "kill")])
def test_one_that_stays_blocked_does_not_keep_the_end_from_being_announced(work: Any, how: str, blocked: Any, capfd: Any) -> None:
    """It is quarantined, as whatever is stuck in C code, and goes for good once the thread returns."""
    ref, _, release = blocked(work)
    assert (ref.stop(0.05) if how == "stop" else ref.kill()).reason == "killed"
    assert not ref.alive and ref in csp.debug.zombies()
    release()
    wait_until(lambda: ref not in csp.debug.zombies(), what="its end")
    assert said(capfd) == []


# --- a kill is a cancellation first ---


async def trio_cleans_up(told: Any, fd: int) -> None:
    try:
        await told.asend("up")
        await trio.sleep_forever()
    finally:
        os.write(fd, b"cleaned up.")


async def asyncio_cleans_up(told: Any, fd: int) -> None:
    try:
        await told.asend("up")
        await asyncio.sleep(3600)
    finally:
        os.write(fd, b"cleaned up.")


class Desk:
    def __init__(self, told: Any, fd: int) -> None:
        self.told, self.fd = told, fd

    async def on_stop(self, reason: str) -> None:
        os.write(self.fd, b"on_stop.")

    async def on_failure(self, error: BaseException) -> None:
        os.write(self.fd, b"on_failure.")


class DeskTrio(Desk):
    async def wait(self) -> None:
        await trio_cleans_up(self.told, self.fd)


class DeskAsyncio(Desk):
    async def wait(self) -> None:
        await asyncio_cleans_up(self.told, self.fd)


csp.actor(concurrency=2)(DeskTrio)
csp.actor(loop="asyncio")(DeskAsyncio)


async def trio_holds_on(told: Any) -> None:
    await told.asend("up")
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


async def asyncio_holds_on(told: Any) -> None:
    await told.asend("up")
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


@pytest.mark.parametrize("trapping", [False, True])
@pytest.mark.parametrize("body", [trio_cleans_up, asyncio_cleans_up])
def test_a_kill_lets_the_tasks_clean_up(body: Callable[..., Any], trapping: bool, isolation: str, pipe: Any, capfd: Any) -> None:
    """`finally` blocks run, whatever it thinks of stops."""
    told = csp.Channel(4)
    options: dict[str, Any] = {"loop": "asyncio"} if body is asyncio_cleans_up else {}
    ref = csp.spawn(csp.actor(trap_stop=trapping, **options)(body), told, pipe[1], isolation=isolation)
    assert told.recv(20) == "up"
    assert ref.kill().reason == "killed"
    assert os.read(pipe[0], 100) == b"cleaned up."
    assert said(capfd) == []


@pytest.mark.parametrize("cls", [DeskTrio, DeskAsyncio])
def test_a_kill_runs_no_hook(cls: type, isolation: str, pipe: Any) -> None:
    """Neither `on_stop` nor `on_failure`."""
    told = csp.Channel(4)
    ref = csp.spawn(cls, told, pipe[1], isolation=isolation)
    ref.cast.wait()
    assert told.recv(20) == "up"
    assert ref.kill().reason == "killed"
    assert os.read(pipe[0], 100) == b"cleaned up."
    assert not select.select([pipe[0]], [], [], 0)[0]


@pytest.mark.parametrize("body", [trio_holds_on, asyncio_holds_on])
def test_what_resists_its_cancellation_is_killed_all_the_same(body: Callable[..., Any], isolation: str, capfd: Any) -> None:
    """Half a second later, and with it the loop."""
    told = csp.Channel(4)
    ref = spawn(body, told, isolation=isolation)
    assert told.recv(20) == "up"
    assert ref.kill().reason == "killed"
    wait_until(lambda: ref not in csp.debug.zombies(), 20, "its end")  # throwing the loop away may take a second, where much else lives
    assert said(capfd) == []
