"""The deadlock detector: never wrong, found within a second, silent while anybody could still help."""

import os
import subprocess
import sys
import threading
import time

import pytest

import csp
from csp.testing import wait_parked


@csp.actor
class Peer:
    """Calls its peer, which calls back."""

    def meet(self, other):
        self.other = other

    def ping(self):
        return self.other.call.pong()

    def pong(self):
        return self.other.call.ping()


@csp.actor
def forward(source, sink):
    """Hand one value on."""
    sink.send(source.recv())


@csp.actor
def hold(channel, seconds):
    """Keep a handle for a while, then give a value."""
    csp.sleep(seconds)
    channel.send("at last")


@pytest.fixture
def peers():
    a, b = Peer.spawn(), Peer.spawn()
    a.call.meet(b)
    b.call.meet(a)
    yield a, b
    a.stop()
    b.stop()


def test_two_actors_that_call_each_other_are_found_within_a_second(peers):
    """The error names both, the channels, and the places in the source."""
    begun = time.monotonic()
    with pytest.raises(csp.ActorFailed) as caught:
        peers[0].call(timeout=10).ping()
    assert time.monotonic() - begun < 5  # a second, on a machine that has other things to do as well
    text = str(caught.value)
    assert caught.value.remote.type_name == "csp.DeadlockError"
    assert all(ref.name in text for ref in peers)
    assert "Peer.ping" in text and "Peer.pong" in text and "test_deadlock.py" in text


def test_an_actor_goes_on_after_a_deadlock(peers):
    """The error is that call's; the actors still answer."""
    with pytest.raises(csp.ActorFailed):
        peers[0].call(timeout=10).ping()
    peers[0].call(timeout=10).meet(peers[1])


def test_a_ring_of_actors_that_wait_for_each_other_is_found():
    """Each waits for its neighbour, whose handle nobody outside holds."""
    channels = [csp.Channel(name=f"ring {i}") for i in range(4)]
    refs = [forward.spawn(channels[i].receiver, channels[(i + 1) % 4].sender) for i in range(4)]
    del channels
    for ref in refs:
        end = ref.join(10)
        assert end.reason == "failed" and end.remote.type_name == "csp.DeadlockError"
        assert all(f"'ring {i}'" in end.remote.message for i in range(4))


def test_a_handle_in_a_message_that_only_the_waiting_could_receive_helps_nobody():
    """The only sender lies in the buffer of a channel that only the waiting actor receives from."""
    source, sink = csp.Channel(), csp.Channel(1)
    carrier = csp.Channel(1)
    carrier.send(source.sender)
    ref = forward_later.spawn(source.receiver, carrier.receiver, sink.sender)
    carrier.sender.close()
    del source, carrier
    end = ref.join(10)
    assert end.reason == "failed" and end.remote.type_name == "csp.DeadlockError"


@csp.actor
def forward_later(source, carrier, sink):
    """Wait for a value while the handle that could send it lies unread."""
    sink.send(source.recv())
    carrier.recv()


def test_a_handle_that_is_given_up_later_makes_a_deadlock():
    """The actors have looked in vain while we could help; they look again when we no longer can."""
    here, there = csp.Channel(), csp.Channel()
    refs = [forward.spawn(here.receiver, there.sender), forward.spawn(there.receiver, here.sender)]
    wait_parked(here, receivers=1)
    wait_parked(there, receivers=1)
    assert not csp.select([refs[0].exited], timeout=0.6)  # longer than the detector's patience
    del here, there
    assert [ref.join(10).remote.type_name for ref in refs] == ["csp.DeadlockError"] * 2


def test_an_actor_that_somebody_outside_can_help_is_left_alone():
    """Main holds the sender: however long it takes, that is no deadlock."""
    source, sink = csp.Channel(), csp.Channel(1)
    ref = forward.spawn(source.receiver, sink.sender)
    wait_parked(source, receivers=1)
    csp.sleep(0.5)  # longer than the detector's patience
    source.send(1)
    assert sink.recv(5) == 1
    assert ref.join(5).reason == "normal"


@csp.actor
def wait_for_itself():
    """Receive from a channel that nobody else has."""
    csp.Channel().recv()


def test_an_actor_that_waits_for_itself_alone_can_still_be_stopped():
    """Nobody waits for it, so nobody is stuck."""
    refs = [wait_for_itself.spawn() for _ in range(3)]
    assert not csp.select([ref.exited for ref in refs], timeout=0.6)
    assert {ref.stop().reason for ref in refs} == {"shutdown"}


JOIN = """
import csp
from tests.unit.test_deadlock import wait_for_itself
if __name__ == "__main__":
    ref = wait_for_itself.spawn()
    try:
        ref.join()
    except csp.DeadlockError as error:
        assert "main waits" in str(error) and ref.name in str(error), error
        print("found", ref.join(10).reason)
"""


def test_whoever_joins_an_actor_that_waits_for_itself_is_told():
    """Both hear of it: the actor, and who waits for its end."""
    done = subprocess.run([sys.executable, "-c", JOIN], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("found failed\n", 0), done.stderr


def test_a_sleeping_actor_can_still_help():
    """Whoever sleeps or has a timeout will act again."""
    channel = csp.Channel(1)
    ref = hold.spawn(channel.sender, 0.5)
    receiver = channel.receiver
    del channel
    assert receiver.recv() == "at last"
    ref.join(5)


def test_a_thread_that_waits_elsewhere_keeps_it_silent():
    """A thread that csp does not know to be waiting could still help."""
    channel, woken = csp.Channel(), threading.Event()

    def send_later():
        woken.wait(0.5)
        channel.send("hello")

    thread = threading.Thread(target=send_later)
    thread.start()
    assert channel.recv() == "hello"
    thread.join()


@csp.actor
def forward_beside_a_thread(source, sink, pipe):
    """As `forward`, with a thread that waits outside csp and then ends."""
    thread = threading.Thread(target=os.read, args=(pipe, 1))
    thread.start()
    try:
        sink.send(source.recv())
    finally:
        thread.join()


def test_a_thread_that_ends_later_does_not_keep_it_silent():
    """Who had looked in vain, since there was another thread, looks again once that is gone."""
    (read, write), here, there = os.pipe(), csp.Channel(name="here"), csp.Channel(name="there")
    refs = [
        forward_beside_a_thread.spawn(here.receiver, there.sender, read),
        forward.spawn(there.receiver, here.sender),
    ]
    wait_parked(here, receivers=1)
    wait_parked(there, receivers=1)
    del here, there
    try:
        assert not csp.select([ref.exited for ref in refs], timeout=0.5)  # longer than the detector's patience
    finally:
        os.write(write, b".")
    begun = time.monotonic()
    assert [ref.join(10).remote.type_name for ref in refs] == ["csp.DeadlockError"] * 2
    assert time.monotonic() - begun < 5  # a second, on a machine that has other things to do as well
    os.close(read)
    os.close(write)


OUTLASTED = """
import csp, threading, time
threading.Thread(target=time.sleep, args=(1.8,)).start()  # longer than the detector leaves the main thread alone
try:
    csp.Channel(name="mine").recv()
except csp.DeadlockError:
    print("found", threading.active_count())
"""


def test_the_main_thread_is_told_once_the_other_threads_have_ended():
    """Also of a thread that csp never saw."""
    done = subprocess.run([sys.executable, "-c", OUTLASTED], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("found 1\n", 0), done.stderr


ALONE = """
import csp, sys
if len(sys.argv) > 1:
    csp.debug.deadlock_detection(False)
    import signal
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("silent"))
    signal.setitimer(signal.ITIMER_REAL, 2.5)
try:
    csp.Channel(name="mine").recv()
except csp.DeadlockError as error:
    assert "'mine'" in str(error) and "main waits" in str(error), error
    print("found")
"""


def run_alone(*args: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", ALONE, *args], capture_output=True, text=True, timeout=60)


def test_a_program_whose_only_thread_waits_for_itself_is_told():
    """As Go's "all goroutines are asleep"."""
    done = run_alone()
    assert (done.stdout, done.returncode) == ("found\n", 0), done.stderr


def test_the_detector_can_be_switched_off():
    """Then it waits as it was told."""
    done = run_alone("off")
    assert (done.stderr, done.returncode) == ("silent\n", 1), done.stdout


def test_the_switch_says_what_it_was():
    """So that a test can put it back."""
    assert csp.debug.deadlock_detection(True) is True
