"""Signals in the main thread: Ctrl-C ends a wait at once with nothing sent or taken; a handler that returns lets it go on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals to its own process")

ROOT = Path(__file__).parents[2]
PROMISED = 0.1  # seconds from Ctrl-C to KeyboardInterrupt

# The wait under test runs in the main thread of a process of its own; another thread interrupts it once it waits.
PROLOGUE = """
import os, signal, sys, threading, time
import csp
from csp import Channel, select
from csp.testing import wait_parked, wait_until

MAIN = threading.main_thread().ident
sent_at = 0.0
tasks = f"/proc/self/task/{os.getpid()}/stat"

def asleep():
    with open(tasks) as f:
        return f.read().rpartition(")")[2].split()[0] == "S"

def interrupt(parked, how):
    def run():
        global sent_at
        parked()
        if how == "process":
            sent_at = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)
        else:                       # the kernel gives the signal to another thread than the main one
            sent_at = time.monotonic()
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread

def delays(wait, parked, how, tries=4):
    found = []
    for _ in range(tries):
        thread = interrupt(parked, how)
        try:
            result = wait()
        except KeyboardInterrupt:
            found.append(time.monotonic() - sent_at)
        else:
            raise SystemExit(f"no KeyboardInterrupt but {result!r}")
        thread.join()
    return found
"""

WAITS = {
    "send": ("Channel()", "lambda: ch.send(1)", "lambda: wait_parked(ch, senders=1)"),
    "send with timeout": ("Channel()", "lambda: ch.send(1, timeout=60)", "lambda: wait_parked(ch, senders=1)"),
    "send to a full buffer": ("full()", "lambda: ch.send(1)", "lambda: wait_parked(ch, senders=1)"),
    "recv": ("Channel()", "lambda: ch.recv()", "lambda: wait_parked(ch, receivers=1)"),
    "recv with timeout": ("Channel(3)", "lambda: ch.recv(60)", "lambda: wait_parked(ch, receivers=1)"),
    "next": ("Channel()", "lambda: next(ch)", "lambda: wait_parked(ch, receivers=1)"),
    "send_many": ("Channel()", "lambda: ch.send_many([1, 2])", "lambda: wait_parked(ch, senders=1)"),
    "recv_many": ("Channel()", "lambda: ch.recv_many(2)", "lambda: wait_parked(ch, receivers=1)"),
    "lease": ("Channel()", "lambda: ch.lease().__enter__()", "lambda: wait_parked(ch, receivers=1)"),
    "select": (
        "Channel()",
        "lambda: select([ch, csp.never(), (ch, 1)])",
        "lambda: wait_parked(ch, receivers=1, senders=1)",
    ),
    "select with a timer": (
        "Channel()",
        "lambda: select([ch, csp.after(60)], timeout=70)",
        "lambda: wait_parked(ch, receivers=1)",
    ),
    "Selector": ("Channel()", "lambda: csp.Selector([ch]).select()", "lambda: wait_parked(ch, receivers=1)"),
    "sleep": ("Channel()", "lambda: csp.sleep(60)", "lambda: wait_until(lambda: all(asleep() for _ in range(20)))"),
    "timer": ("csp.after(60)", "lambda: ch.recv()", "lambda: wait_parked(ch, receivers=1)"),
}


def run(script: str, timeout: float = 30) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + script], capture_output=True, text=True, timeout=timeout, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stderr == ""
    return done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc to see whether the main thread sleeps")
def test_ctrl_c_ends_every_wait_at_once() -> None:
    """KeyboardInterrupt within 100 ms, whatever the main thread waits for; nothing was sent or taken, and nobody waits.

    The machine may be busy: of four tries the quickest counts.
    """
    script = "def full():\n    ch = Channel(1)\n    ch.send(0)\n    return ch\n"
    for name, (channel, wait, parked) in WAITS.items():
        script += f"""
ch = {channel}
before = ch.statistics()
found = delays({wait}, {parked}, "process")
assert min(found) < {PROMISED}, ({name!r}, found)
assert ch.statistics() == before, ({name!r}, ch.statistics(), before)
print({name!r})
"""
    assert run(script).splitlines() == list(WAITS)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc to see whether the main thread sleeps")
@pytest.mark.parametrize("what", ["recv", "send", "select", "sleep"])
def test_ctrl_c_taken_by_another_thread_ends_the_wait_too(what: str) -> None:
    """The kernel may hand the signal to any thread of the process: the main thread's wait still ends in time."""
    channel, wait, parked = WAITS[what]
    run(f"""
ch = {channel}
found = delays({wait}, {parked}, "thread")
assert min(found) < {PROMISED}, found
""")


def test_interrupted_batch_says_what_was_sent() -> None:
    """KeyboardInterrupt out of send_many: `.sent` counts what had gone before, the rest never will."""
    run("""
ch = Channel(2)
interrupt(lambda: wait_parked(ch, senders=1), "process")
try:
    ch.send_many(range(5))
except KeyboardInterrupt as error:
    assert error.sent == 2, error.sent
else:
    raise SystemExit("no KeyboardInterrupt")
assert ch.recv_many(9) == [0, 1]
assert ch.statistics().waiting_senders == 0
""")


def test_handler_that_returns_lets_the_wait_go_on() -> None:
    """After a signal whose handler returns, the wait goes on with the remaining time, and still completes."""
    run("""
count = 0
def handler(number, frame):
    global count
    count += 1
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
ch = Channel()
for wait in (
    lambda: ch.recv(timeout=0.15),
    lambda: ch.send(1, timeout=0.15),
    lambda: csp.select([ch], timeout=0.15),
    lambda: csp.sleep(0.15),
    lambda: csp.after(0.15).recv(),
):
    count, start = 0, time.monotonic()
    try:
        wait()
    except csp.Timeout:
        pass
    elapsed = time.monotonic() - start
    assert 0.15 <= elapsed < 5, elapsed
    assert count >= 2, count
thread = threading.Thread(target=lambda: (wait_parked(ch, receivers=1), wait_until(lambda: count > 3), ch.send("late")))
count = 0
thread.start()
assert ch.recv() == "late"
thread.join()
signal.setitimer(signal.ITIMER_REAL, 0)     # Python's own end gives signals back to the system
signal.setitimer(signal.ITIMER_REAL, 0)  # else one comes when Python has taken its handlers down
""")


def test_handler_runs_while_the_main_thread_waits() -> None:
    """A handler is called during the wait, not after it, and may itself use channels."""
    run("""
ch, answers = Channel(), Channel(1)
def handler(number, frame):
    answers.send("handled")
    ch_sender.start()
ch_sender = threading.Thread(target=lambda: ch.send("go"))
signal.signal(signal.SIGUSR1, handler)
threading.Thread(target=lambda: (wait_parked(ch, receivers=1), os.kill(os.getpid(), signal.SIGUSR1))).start()
assert ch.recv(timeout=30) == "go"
assert answers.recv_nowait() == "handled"
""")


def test_handler_may_close_the_channel_it_interrupts() -> None:
    """Closing from a handler ends the wait that it interrupted."""
    run("""
ch = Channel()
signal.signal(signal.SIGUSR1, lambda *_: ch.close())
threading.Thread(target=lambda: (wait_parked(ch, receivers=1), os.kill(os.getpid(), signal.SIGUSR1))).start()
try:
    ch.recv(timeout=30)
except csp.EndOfChannel:
    pass
else:
    raise SystemExit("no end")
""")


def test_signal_in_the_moment_of_a_hand_over_loses_no_value() -> None:
    """A handler that raises in the very moment of a hand-over: either the value was received, or it is still to be had.

    `list.extend` receives and stores without a step of Python between, so only the wait itself runs the handler.
    """
    run("""
class Raised(Exception):
    pass
got, raised = [], 0
def receive():
    got.extend(ch)
def handler(number, frame):
    if frame.f_code is receive.__code__:
        raise Raised
ch = Channel(1)
def produce():
    for n in range(600):
        ch.send(n)
        if n % 3 == 0:
            os.kill(os.getpid(), signal.SIGUSR1)
    ch.close()
signal.signal(signal.SIGUSR1, handler)
producer = threading.Thread(target=produce)
producer.start()
while True:
    try:
        receive()
        break
    except Raised:
        raised += 1
producer.join()
assert got == list(range(600)), (len(got), raised)
assert raised > 0
assert ch.statistics().received == 600
""")


@pytest.mark.parametrize("how", ["send", "select"])
def test_signal_in_the_moment_of_a_hand_over_never_lies_to_the_sender(how: str) -> None:
    """A send that a handler breaks off was not received and never will be; one that was received returns, and the exception follows.

    `list.extend` stores that the send returned without a step of Python between.
    """
    run(f"""
how = {how!r}
class Raised(Exception):
    pass
ch = Channel()
sent, raised = [], 0
def attempt(n):
    if how == "send":
        sent.extend(map(send_one, [n]))
    else:
        sent.extend(map(select, [[(ch, n), csp.never()]]))
send_one = ch.send
def handler(number, frame):
    if frame.f_code is attempt.__code__:
        raise Raised
signal.signal(signal.SIGUSR1, handler)
got = []
def receive():
    for n in ch.receiver:
        os.kill(os.getpid(), signal.SIGUSR1)
        got.append(n)
def annoy():
    while len(got) < 300:
        os.kill(os.getpid(), signal.SIGUSR1)
        csp.sleep(0.0003)
threads = [threading.Thread(target=t) for t in (receive, annoy)]
for t in threads:
    t.start()
returned, n = [], 0
while len(got) < 300:
    n += 1
    before = len(sent)
    try:
        attempt(n)
    except Raised:
        raised += 1
    if len(sent) > before:
        returned.append(n)
threads[1].join()
ch.close()
threads[0].join()
assert got == returned, (len(got), len(returned), sorted(set(got) ^ set(returned)))
assert raised > 0
""")


def test_no_signal_interrupts_other_threads() -> None:
    """Only the main thread runs handlers: a wait in another thread is not disturbed by Ctrl-C."""
    run("""
ch = Channel()
got = []
thread = threading.Thread(target=lambda: got.append(ch.recv()))
thread.start()
wait_parked(ch, receivers=1)
quiet = Channel()
found = delays(lambda: quiet.recv(), lambda: wait_parked(quiet, receivers=1), "process", tries=2)
assert ch.statistics().waiting_receivers == 1
ch.send(1)
thread.join()
assert got == [1]
""")


def test_main_thread_of_signals_is_really_this_one() -> None:
    """The tests above rest on SIGINT raising KeyboardInterrupt in the main thread."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
