"""Actors that keep what they have in a module global, so that only the end of the actor can give it up."""

import os
import threading
import weakref
from typing import Any

import csp
from csp import actors

KEPT: list[Any] = []  # in a thread of the main interpreter the test sees it too

REASONS = ("normal", "failed", "shutdown", "killed")


def keep(*what: Any) -> None:
    KEPT.extend(what)


def wait(gate: Any) -> None:
    """Until the test says how to end: by returning, by raising, or from outside."""
    if gate.recv() == "failed":
        raise LookupError("as told")


def keep_arguments(sender: Any, receiver: Any, gate: Any, up: Any) -> None:
    keep(sender, receiver)
    up.send("up")
    wait(gate)


def keep_what_comes(inbox: Any, gate: Any, up: Any) -> None:
    """The handles in one message, and clones of them in place of the originals."""
    sender, receiver = inbox.recv()
    keep(sender.clone(), receiver.clone())
    up.send("up")
    wait(gate)


def keep_what_it_makes(gate: Any, up: Any) -> None:
    """A channel that it receives from and one that it sends on: the other sides go to the test."""
    inward, outward = csp.channel(), csp.channel()
    keep(inward[1], outward[0])
    up.send((outward[1], inward[0]))
    inward[0].close()
    outward[1].close()
    wait(gate)


def keep_leases(jobs: Any, gate: Any, up: Any) -> None:
    """Two values on loan, of which one is taken for good."""
    first, second = jobs.lease(), jobs.lease()
    keep(first, second)
    up.send((first.__enter__(), second.__enter__()))
    first.__exit__(None, None, None)
    wait(gate)


def read_to_the_end(fd: int) -> None:
    """Stuck in C code that no kill ends, until the test closes the other side of the pipe."""
    while True:
        try:
            os.read(fd, 1)
            return
        except csp.Killed:
            continue  # before it was stuck, or after


def stuck_with_handles(sender: Any, receiver: Any, jobs: Any, fd: int, up: Any, report: int) -> None:
    """Stuck, with two handles and a lease; tries what it has once it is back."""
    lease = jobs.lease()
    keep(sender, receiver, lease)
    up.send(lease.__enter__())
    try:
        read_to_the_end(fd)
    finally:
        os.write(report, tried(receiver).encode())


def tried(receiver: Any) -> str:
    """What a receive through it raises; Killed is thrown at us besides, anywhere."""
    try:
        receiver.recv(0)
    except BaseException as error:
        return type(error).__name__
    return "nothing"


def start_thread(gate: Any, up: Any) -> None:
    """A thread of the actor makes a channel while the actor runs."""

    def make() -> None:
        keep(csp.Channel(4))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    up.send("up")
    wait(gate)


class Value:
    pass


def keep_local(gate: Any, up: Any) -> None:
    """A channel of objects, with one in it."""
    channel, value = csp.Channel(4, local=True), Value()
    channel.send(value)
    keep(channel, weakref.ref(value))
    del value
    up.send("up")
    wait(gate)


def parent_of_a_thread(sender: Any, receiver: Any, gate: Any, up: Any) -> None:
    """The handles are a thread actor's, which has this interpreter for its own."""
    child = csp.spawn(keep_arguments, sender, receiver, gate, up, isolation="thread")
    sender.close()
    receiver.close()
    up.send(child)
    csp.never().recv()


def stuck_parent_of_a_thread(sender: Any, receiver: Any, gate: Any, up: Any, fd: int) -> None:
    child = csp.spawn(keep_arguments, sender, receiver, gate, up, isolation="thread")
    sender.close()
    receiver.close()
    up.send(child)
    read_to_the_end(fd)


def write_up(report: int) -> None:
    os.write(report, b"a child runs")


def stuck_with_a_thread_that_spawns(fd: int, gate: int, report: int, up: Any) -> None:
    """Another thread of this interpreter, once the gate opens, starts a child; it reports what came of that through a pipe."""

    def spawn_late() -> None:
        os.read(gate, 1)
        try:
            ref, _ = actors.start(write_up, (report,), {}, name="late child")
            os.write(report, f"started {ref.name}".encode())
        except csp.Killed as error:
            os.write(report, f"Killed: {error}".encode())

    threading.Thread(target=spawn_late).start()
    up.send("up")
    read_to_the_end(fd)


def use_reference(ref: Any) -> None:
    """The first who sends through the reference that the module keeps."""
    KEPT[0].send("from the actor")


def keep_dead_letters(up: Any) -> None:
    up.send(csp.dead_letters.closed)


def keep_for_supervisor(sender: Any, up: Any) -> None:
    keep(sender)
    up.send("up")
    csp.never().recv()


def cycle(gate: Any, up: Any) -> None:
    """A channel in a cycle that only the collector frees."""
    box: list[Any] = [csp.Channel(), Value()]
    box[1].box = box
    keep(weakref.ref(box[1]), weakref.ref(box[0]))
    del box
    up.send("up")
    wait(gate)


def ask_and_keep(ref: Any, gate: Any, up: Any) -> None:
    """A question without an answer yet, and one with."""
    keep(ref.ask.where(), ref.call.where())
    up.send("up")
    wait(gate)


def stuck_in_memory(buffer: Any, fd: int, up: Any) -> None:
    """C code that has a buffer of it, which is written in the end."""
    with memoryview(buffer) as view:
        up.send("up")
        os.readv(fd, [view])


def stuck(fd: int, up: Any) -> None:
    up.send("up")
    read_to_the_end(fd)


def fork_with_a_lease(jobs: Any, up: Any) -> None:
    """What the child of a fork in the middle of a lease finds: its exit status."""
    import warnings

    warnings.simplefilter("ignore")  # Python warns of any fork with threads
    with jobs.lease():
        pid = os.fork()
        if pid == 0:
            os._exit(tried_in_child(jobs))
        up.send(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def tried_in_child(jobs: Any) -> int:
    try:
        jobs.recv(0)
        return 1
    except csp.ForkedError:
        pass
    channel = csp.Channel(1)
    channel.send("works")
    return 0 if channel.recv(0) == "works" else 2


def send_late(sender: Any) -> None:
    """After the main thread's wait has been looked at; through its own handle, or the one of the module."""
    csp.sleep(2.0)
    (KEPT[0] if sender is None else sender).send("late")
