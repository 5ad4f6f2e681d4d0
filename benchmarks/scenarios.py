"""The scenarios: for each means how to set it up, in what unit it is told, and what csp is to reach."""

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import csp
from benchmarks import actors, loops, memory, sync, units
from benchmarks.means import (
    BUFFER,
    Csp,
    InterpreterQueues,
    ProcessPipes,
    ProcessQueues,
    ProcessSimpleQueues,
    SpawnedProcessPipes,
    ThreadQueues,
    ThreadSimpleQueues,
    create_bare_interpreter,
    end_bare_interpreter,
)
from csp.testing import wait_until

# A run is given the seconds to measure for, and whether everything should be small; it returns a number in the scenario's unit.
Run = Callable[[float, bool], float]


MORE = ("M/s", "k/s", "x")


@dataclass(frozen=True)
class Target:
    """A figure to reach.  `floor`: times that figure of the floor probe, measured in the same regime."""

    value: float
    floor: str | None = None
    plus_bare: str | None = None  # in addition to that contender's figure
    times: str | None = None  # times that contender's figure


@dataclass
class Scenario:
    key: str
    title: str
    unit: str  # one of MORE: more is better; else less is
    runs: dict[str, Run] = field(default_factory=dict)
    free: Target | None = None
    loaded: Target | None = None
    ours: str = "csp"
    slow: bool = False  # setting it up takes seconds: fewer rounds

    @property
    def more_is_better(self) -> bool:
        return self.unit in MORE


INTERPRETERS = [InterpreterQueues] if sys.version_info >= (3, 14) else []
STREAMING = [Csp, ThreadQueues, ThreadSimpleQueues, ProcessQueues, ProcessSimpleQueues, ProcessPipes, *INTERPRETERS]


def finish(result: Any, running: list[Any]) -> float:
    value: float = units.receiving(result)()
    for unit in running:
        unit.join()
    return value


# --- the runs ---


def ping_pong(means: Any, seconds: float, quick: bool) -> float:
    m = means()
    (there_tx, there_rx), (back_tx, back_rx), (result_tx, result_rx) = m.channel(1), m.channel(1), m.channel(1)
    running = [m.start(units.pong, there_rx, back_tx), m.start(units.ping, there_tx, back_rx, result_tx, seconds)]
    return finish(result_rx, running) * 1e6


def stream(
    means: Any, seconds: float, quick: bool, *, producers: int = 1, capacity: int = BUFFER, batch: int = 0, acked: bool = False, kind: str = "int"
) -> float:
    m = means()
    tx, rx = m.channel(capacity)
    ack_tx, ack_rx = m.channel(1) if acked else (None, None)
    orders = [m.channel(1) for _ in range(producers)]
    result_tx, result_rx = m.channel(1)
    running = [m.start(units.produce, order_rx, tx, ack_rx, kind, batch) for _, order_rx in orders]
    running.append(m.start(units.consume, [order_tx for order_tx, _ in orders], rx, ack_tx, batch, result_tx, seconds))
    return 1e-6 / finish(result_rx, running)


def select_one_busy(means: Any, how: str, n: int, seconds: float, quick: bool) -> float:
    m = means()
    channels = [m.channel(BUFFER) for _ in range(n)]
    (order_tx, order_rx), (result_tx, result_rx) = m.channel(1), m.channel(1)
    running = [
        m.start(units.produce, order_rx, channels[n // 2][0], None, "int", 0),
        m.start(units.consume_select, order_tx, [rx for _, rx in channels], how, result_tx, seconds),
    ]
    return 1e-6 / finish(result_rx, running)


def ring(means: Any, members: int, seconds: float, quick: bool) -> float:
    members = min(members, 50) if quick else members
    m = means()
    links = [m.channel(1) for _ in range(members)]
    result_tx, result_rx = m.channel(1)
    running = [m.start(units.relay, links[i][1], links[i + 1][0]) for i in range(members - 1)]
    running.append(m.start(units.drive_ring, links[0][0], links[-1][1], members, result_tx, seconds))
    return finish(result_rx, running) * 1e6


def sieve(means: Any, seconds: float, quick: bool, capacity: int = 64) -> float:
    filters, limit = (25, 100) if quick else (100, 541)
    m = means()
    links = [m.channel(capacity) for _ in range(filters + 1)]
    primes_tx, primes_rx = m.channel(filters)
    result_tx, result_rx = m.channel(1)
    running = [m.start(units.sieve, links[i][1], links[i + 1][0], primes_tx) for i in range(filters)]
    running.append(m.start(units.drive_sieve, links[0][0], links[-1][1], primes_rx, limit, filters, result_tx, seconds))
    return finish(result_rx, running) * 1e3


def spawn_and_join(means: Any, seconds: float, quick: bool) -> float:
    m = means()

    def one() -> None:
        tx, rx = m.channel(1)
        unit = m.start(units.hello, tx)
        units.receiving(rx)()
        unit.join()

    return repeat(one, seconds) * 1e3


def start_supervised(seconds: float, quick: bool, warm: int) -> float:
    """From the call of start_child to the child's first message; the pool is full before, and nothing else is counted."""
    tx, rx = csp.channel(1)
    never, idle = csp.channel(1)
    child = csp.ChildSpec(units.wait_for_end, args=(idle, tx), id="child", restart="temporary", shutdown="kill")
    with never, csp.DynamicSupervisor(warm=warm) as tree:

        def one() -> None:
            tree.start_child(child)
            rx.recv()

        def settle() -> None:
            if tree.children():
                tree.terminate_child("child")
            wait_until(lambda: csp.debug.census()["interpreters"] == 1 + warm and csp.debug.census()["warm"] == warm)

        return repeat(one, seconds, before=settle) * 1e3


def bare_interpreter(seconds: float, quick: bool) -> float:
    return repeat(lambda: end_bare_interpreter(create_bare_interpreter()), seconds) * 1e3


def repeat(one: Callable[[], None], seconds: float, before: Callable[[], None] = lambda: None) -> float:
    """The median of as many as fit, five at least; `before` each is not counted."""
    before()
    one()
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while len(taken) < 5 or time.perf_counter() < end:
        before()
        start = time.perf_counter()
        one()
        taken.append(time.perf_counter() - start)
    return sorted(taken)[len(taken) // 2]


def resident_kib() -> float:
    with open("/proc/self/smaps_rollup") as smaps:
        return next(float(line.split()[1]) for line in smaps if line.startswith("Private_Dirty:"))


def memory_of(start: Callable[[], Any], end: Callable[[Any], None], quick: bool) -> float:
    """MiB of each of twenty, after a first that pays for what is made once."""
    first = start()
    gc.collect()
    before = resident_kib()
    live = [start() for _ in range(20)]
    each = (resident_kib() - before) / 20 / 1024
    for unit in [first, *live]:
        end(unit)
    return each


def memory_of_unit(means: Any, seconds: float, quick: bool) -> float:
    m = means()

    def start() -> Any:
        (end_tx, end_rx), (up_tx, up_rx) = m.channel(1), m.channel(1)
        unit = m.start(units.wait_for_end, end_rx, up_tx)
        units.receiving(up_rx)()
        return unit, end_tx

    def end(started: Any) -> None:
        unit, end_tx = started
        units.sending(end_tx)(None)
        unit.join()

    return memory_of(start, end, quick)


def memory_of_bare(seconds: float, quick: bool) -> float:
    return memory_of(create_bare_interpreter, end_bare_interpreter, quick)


# --- the table ---


def runs(function: Any, means: list[Any], *args: Any, **options: Any) -> dict[str, Run]:
    return {m.name: partial(function, m, *args, **options) for m in means}


def select_runs(n: int) -> dict[str, Run]:
    found: dict[str, Run] = {
        "csp": partial(select_one_busy, Csp, "Selector", n),
        "csp, select()": partial(select_one_busy, Csp, "select", n),
        "processes, Queue": partial(select_one_busy, ProcessQueues, "wait for readers", n),
        "processes, Pipe": partial(select_one_busy, ProcessPipes, "wait", n),
    }
    for m in INTERPRETERS:
        found[m.name] = partial(select_one_busy, m, "poll", n)
    return found


def ring_runs() -> dict[str, Run]:
    """Where a unit is heavy and a hop slow, the ring is shorter: a hop does not depend on it."""
    found: dict[str, Run] = {
        "csp": partial(ring, Csp, 500),
        "threads, Queue": partial(ring, ThreadQueues, 500),
        "threads, SimpleQueue": partial(ring, ThreadSimpleQueues, 500),
        "processes, Queue": partial(ring, ProcessQueues, 50),
        "processes, Pipe": partial(ring, ProcessPipes, 50),
    }
    for m in INTERPRETERS:
        found[m.name] = partial(ring, m, 20)
    return found


RENDEZVOUS = [ThreadQueues, ThreadSimpleQueues, ProcessQueues, ProcessSimpleQueues, ProcessPipes, *INTERPRETERS]

SCENARIOS = [
    Scenario("W1", "ping-pong of an int, round trip", "us", runs(ping_pong, STREAMING), Target(0.4), Target(1.3, floor="futex")),
    Scenario("W2", "stream of ints 1 to 1, buffer of 1,024", "M/s", runs(stream, STREAMING), Target(6), Target(2)),
    Scenario(
        "W2b",
        "the same, send_many and recv_many of 256",
        "M/s",
        {**runs(stream, [Csp], batch=units.BATCH), **runs(stream, STREAMING[1:])},
        Target(20),
    ),
    Scenario(
        "W3",
        "rendezvous 1 to 1 (peers: acknowledged)",
        "M/s",
        {**runs(stream, [Csp], capacity=0), **runs(stream, RENDEZVOUS, acked=True)},
        Target(4),
        Target(1, floor="futex"),
    ),
    Scenario("W4", "fan-in of ints, 4 to 1", "M/s", runs(stream, [m for m in STREAMING if m is not ProcessPipes], producers=4), Target(5)),
    Scenario("W5/8", "select over 8, one busy", "M/s", select_runs(8), Target(3.5)),
    Scenario("W5/64", "select over 64, one busy", "M/s", select_runs(64), Target(2.5)),
    *(Scenario(f"W6/{n}", f"{n} MiB handed over", "us", memory.handing_over(n), Target(2), slow=n > 16) for n in memory.SIZES),
    *(Scenario(f"W6/{n}c", f"{n} MiB copied", "us", memory.copying(n), Target(1.25, times="memcpy, warm"), slow=n > 16) for n in memory.SIZES),
    Scenario(
        "W7",
        "spawn, first message, join",
        "ms",
        {
            **runs(spawn_and_join, [Csp]),
            "bare interpreter, create and end": bare_interpreter,
            **runs(spawn_and_join, [ThreadQueues, ProcessPipes, SpawnedProcessPipes, *INTERPRETERS]),
        },
        Target(1, plus_bare="bare interpreter, create and end"),
    ),
    Scenario(
        "W7w",
        "start by a supervisor, first message",
        "ms",
        {"csp": partial(start_supervised, warm=2), "csp, cold": partial(start_supervised, warm=0)},
        Target(0.3),
    ),
    Scenario(
        "W7m",
        "memory of a waiting one",
        "MiB",
        {**runs(memory_of_unit, [Csp]), "bare interpreter": memory_of_bare, **runs(memory_of_unit, INTERPRETERS)},
        Target(0.3, plus_bare="bare interpreter"),
    ),
    Scenario(
        "W7n",
        "500 up at once: spawned, asked and ended, each",
        "ms",
        actors.many_runs(),
        Target(1, plus_bare="bare interpreter, create and end"),
        slow=True,
    ),
    Scenario(
        "W8",
        "two that compute, against one",
        "x",
        runs(actors.two_cores, [Csp, ThreadQueues, ProcessPipes, *INTERPRETERS]),
        Target(1.95),
    ),
    Scenario("W9", "ring of 500, a hop", "us", ring_runs(), Target(10), slow=True),
    Scenario(
        "W10",
        "sieve of 100 primes, a unit each",
        "ms",
        runs(sieve, [Csp, ThreadSimpleQueues, ProcessQueues, *INTERPRETERS]),
        Target(25),
        slow=True,
    ),
    Scenario("W11", "ask an actor and wait for the answer", "k/s", actors.call_runs(), Target(400), Target(20)),
    Scenario("W12", "from a crash to the answer of the replacement", "ms", actors.crash_runs(), Target(1)),
    Scenario("idle", "a supervised tree of 100 idle actors, processor", "%", actors.idle_runs(0), Target(0.1), slow=True),
    Scenario("idle/w", "the same, wake-ups of its threads", "1/s", actors.idle_runs(1), slow=True),
    Scenario("W13", "stream of nested dicts of 1 KiB", "M/s", runs(stream, STREAMING, kind="dict"), Target(0.33)),
    Scenario("S1", "a lock acquired and released, nobody else near", "ns", sync.runs(sync.lock_alone)),
    Scenario("S2", "the same while another unit does the same", "ns", sync.runs(sync.lock_of_two)),
    Scenario("S3", "a semaphore released, another acquired, round trip", "us", sync.runs(sync.signal_and_back)),
    Scenario("L1", "thread to task and back, round trip of an int", "us", loops.runs(loops.thread_and_task)),
    Scenario("L2", "task to another interpreter and back", "us", loops.interpreter_runs()),
    Scenario("L3", "1,000 tasks wait, each gets a value, for each", "us", loops.runs(loops.fan_in)),
    Scenario("L4", "1,000 tasks that wait, processor", "%", loops.idle_runs(0), slow=True),
    Scenario("L4/w", "the same, wake-ups of its threads", "1/s", loops.idle_runs(1), slow=True),
]
