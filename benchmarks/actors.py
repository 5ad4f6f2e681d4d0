"""Scenarios of actors: calls, crashes, many at once, two cores, idling; and what other libraries and executors have for them.

The actors' own code is in actor_bodies.py, which is all that their interpreters import.
"""

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import csp
from benchmarks import actor_bodies as bodies
from benchmarks import units
from benchmarks.means import create_bare_interpreter, end_bare_interpreter
from csp.testing import wait_until

Run = Callable[[float, bool], float]

HAS_POOL = sys.version_info >= (3, 14)
HAS_PYKKA = importlib.util.find_spec("pykka") is not None
HAS_RAY = importlib.util.find_spec("ray") is not None


def executor(kind: str, workers: int) -> Executor:
    if kind == "threads":
        return ThreadPoolExecutor(workers)
    if kind == "processes":
        return ProcessPoolExecutor(workers)
    from concurrent.futures import InterpreterPoolExecutor  # from 3.14 on

    return InterpreterPoolExecutor(workers)  # type: ignore[no-any-return]


def executors() -> dict[str, str]:
    """What the contender is called -> its kind."""
    found = {"ThreadPoolExecutor": "threads", "ProcessPoolExecutor": "processes"}
    if HAS_POOL:
        found["InterpreterPoolExecutor"] = "interpreters"
    return found


@contextmanager
def ray_up() -> Iterator[Any]:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        yield ray
    finally:
        ray.shutdown()


# --- W11: ask and wait for the answer ---


def calls(seconds: float, quick: bool) -> float:
    """The caller and the actor each have an interpreter."""
    ref = csp.spawn(bodies.Counter)
    tx, rx = csp.channel(1)
    caller = csp.spawn(bodies.call_again_and_again, ref, tx, seconds)
    per_call: float = rx.recv()
    caller.join()
    ref.stop()
    return 1e-3 / per_call


def calls_of_executor(kind: str, seconds: float, quick: bool) -> float:
    with executor(kind, 1) as pool:
        pool.submit(bodies.incremented, 0).result()

        def loop(n: int) -> None:
            for i in range(n):
                pool.submit(bodies.incremented, i).result()

        return 1e-3 / units.measure(loop, seconds)


def calls_of_interpreter(seconds: float, quick: bool) -> float:
    from concurrent import interpreters

    interpreter = interpreters.create()
    interpreter.exec(f"import sys; sys.path[:] = {sys.path!r}")
    interpreter.call(bodies.incremented, 0)

    def loop(n: int) -> None:
        for i in range(n):
            interpreter.call(bodies.incremented, i)

    per_call = units.measure(loop, seconds)
    interpreter.close()
    return 1e-3 / per_call


def pykka_class() -> Any:
    import pykka

    class Plain(pykka.ThreadingActor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.n = 0

        def on_receive(self, message: Any) -> Any:
            if message == "crash":
                raise RuntimeError("on purpose")
            self.n += message
            return self.n

    return Plain


def calls_of_pykka(seconds: float, quick: bool) -> float:
    ref = pykka_class().start()

    def loop(n: int) -> None:
        for _ in range(n):
            ref.ask(1)

    per_call = units.measure(loop, seconds)
    ref.stop()
    return 1e-3 / per_call


def calls_of_ray(seconds: float, quick: bool) -> float:
    with ray_up() as ray:
        ref = ray.remote(bodies.Plain).remote()
        ray.get(ref.incr.remote(1))

        def loop(n: int) -> None:
            for _ in range(n):
                ray.get(ref.incr.remote(1))

        return 1e-3 / units.measure(loop, seconds)


def call_runs() -> dict[str, Run]:
    found: dict[str, Run] = {"csp": calls}
    for name, kind in executors().items():
        found[name] = lambda seconds, quick, kind=kind: calls_of_executor(kind, seconds, quick)
    if HAS_POOL:
        found["Interpreter.call"] = calls_of_interpreter
    if HAS_PYKKA:
        found["pykka"] = calls_of_pykka
    if HAS_RAY:
        found["ray"] = calls_of_ray
    return found


# --- W12: from the crash to the replacement's answer ---


def median_of(one: Callable[[], float], seconds: float) -> float:
    """In ms; five at least."""
    one()
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while len(taken) < 5 or time.perf_counter() < end:
        taken.append(one())
    return sorted(taken)[len(taken) // 2] * 1e3


def crash(seconds: float, quick: bool, warm: int) -> float:
    """What is asked after the crash waits in the mailbox, which outlives it."""
    specs = [csp.ChildSpec(bodies.Counter, id="counter", shutdown="kill")]
    with csp.Supervisor(specs, warm=warm, max_restarts=10**6, within=1.0) as tree:
        ref = tree["counter"]

        def one() -> float:
            wait_until(lambda: csp.debug.census()["warm"] == warm and csp.debug.census()["interpreters"] == 2 + warm)
            start = time.perf_counter()
            ref.cast.crash()
            ref.call.incr()
            return time.perf_counter() - start

        return median_of(one, seconds)


def crash_warm(seconds: float, quick: bool) -> float:
    return crash(seconds, quick, 1)


def crash_cold(seconds: float, quick: bool) -> float:
    return crash(seconds, quick, 0)


def bare(seconds: float, quick: bool) -> float:
    def one() -> float:
        start = time.perf_counter()
        end_bare_interpreter(create_bare_interpreter())
        return time.perf_counter() - start

    return median_of(one, seconds)


def crash_of_process(seconds: float, quick: bool) -> float:
    """The pool is broken for good by that: who wants to go on makes a new one."""
    pool = ProcessPoolExecutor(1)
    pool.submit(bodies.incremented, 0).result()

    def one() -> float:
        nonlocal pool
        start = time.perf_counter()
        try:
            pool.submit(os._exit, 1).result()
        except BrokenProcessPool:
            pool.shutdown()
        pool = ProcessPoolExecutor(1)
        pool.submit(bodies.incremented, 0).result()
        return time.perf_counter() - start

    found = median_of(one, seconds)
    pool.shutdown()
    return found


def crash_of_interpreter(seconds: float, quick: bool) -> float:
    """An error leaves the interpreter as it was: a fresh one is made by hand."""
    from concurrent import interpreters

    def fresh() -> Any:
        interpreter = interpreters.create()
        interpreter.exec(f"import sys; sys.path[:] = {sys.path!r}")
        interpreter.call(bodies.incremented, 0)
        return interpreter

    interpreter = fresh()

    def one() -> float:
        nonlocal interpreter
        start = time.perf_counter()
        try:
            interpreter.call(bodies.fail)
        except interpreters.ExecutionFailed:
            interpreter.close()
        interpreter = fresh()
        return time.perf_counter() - start

    found = median_of(one, seconds)
    interpreter.close()
    return found


def crash_of_pykka(seconds: float, quick: bool) -> float:
    """No supervisor: whoever asks finds it dead and starts another."""
    import logging

    import pykka

    logging.disable(logging.CRITICAL)
    cls = pykka_class()
    ref = cls.start()

    def one() -> float:
        nonlocal ref
        start = time.perf_counter()
        ref.tell("crash")
        try:
            ref.ask(1)
        except pykka.ActorDeadError:
            ref = cls.start()
            ref.ask(1)
        return time.perf_counter() - start

    found = median_of(one, seconds)
    ref.stop()
    return found


def crash_of_ray(seconds: float, quick: bool) -> float:
    with ray_up() as ray:
        ref = ray.remote(bodies.Plain).options(max_restarts=-1, max_task_retries=0).remote()
        ray.get(ref.incr.remote(1))

        def one() -> float:
            start = time.perf_counter()
            try:
                ray.get(ref.die.remote())
            except ray.exceptions.RayActorError:
                pass
            while True:
                try:
                    ray.get(ref.incr.remote(1))
                    return time.perf_counter() - start
                except ray.exceptions.RayActorError:
                    time.sleep(0.001)

        return median_of(one, seconds)


def crash_runs() -> dict[str, Run]:
    found: dict[str, Run] = {"csp": crash_warm, "csp, cold": crash_cold, "bare interpreter, create and end": bare}
    found["ProcessPoolExecutor, made anew"] = crash_of_process
    if HAS_POOL:
        found["Interpreter, made anew"] = crash_of_interpreter
    if HAS_PYKKA:
        found["pykka, started by hand"] = crash_of_pykka
    if HAS_RAY:
        found["ray"] = crash_of_ray
    return found


# --- W7n: many at once ---


def many(seconds: float, quick: bool) -> float:
    """All are up before the first one ends; ms for each."""
    n = 50 if quick else 500
    start = time.perf_counter()
    refs = [csp.spawn(bodies.Counter) for _ in range(n)]
    for ref in refs:
        ref.call.incr()
    for ref in refs:
        ref.stop()
    return (time.perf_counter() - start) / n * 1e3


def many_bare(seconds: float, quick: bool) -> float:
    n = 50 if quick else 500
    start = time.perf_counter()
    for interpreter in [create_bare_interpreter() for _ in range(n)]:
        end_bare_interpreter(interpreter)
    return (time.perf_counter() - start) / n * 1e3


def many_of_pykka(seconds: float, quick: bool) -> float:
    n = 50 if quick else 500
    cls = pykka_class()
    start = time.perf_counter()
    refs = [cls.start() for _ in range(n)]
    for ref in refs:
        ref.ask(1)
    for ref in refs:
        ref.stop()
    return (time.perf_counter() - start) / n * 1e3


def many_runs() -> dict[str, Run]:
    found: dict[str, Run] = {"csp": many, "bare interpreter, create and end": many_bare}
    if HAS_PYKKA:
        found["pykka"] = many_of_pykka
    return found


# --- W8: two that compute, against one ---


def two_cores(means: Any, seconds: float, quick: bool) -> float:
    m = means()
    orders = [m.channel(1) for _ in range(2)]
    done_tx, done_rx = m.channel(2)
    running = [m.start(bodies.compute, order_rx, done_tx) for _, order_rx in orders]
    order, done = [units.sending(tx) for tx, _ in orders], units.receiving(done_rx)

    def took(units_at_work: int, n: int) -> float:
        start = time.perf_counter()
        for i in range(units_at_work):
            order[i](n)
        for _ in range(units_at_work):
            done()
        return time.perf_counter() - start

    took(2, 1000)
    n = int(seconds / took(1, 200_000) * 200_000)
    ratios = [2 * took(1, n) / took(2, n) for _ in range(3)]
    for i in range(2):
        order[i](0)
    for unit in running:
        unit.join()
    return sorted(ratios)[1]


# --- idling ---

SETTLE = 1.0  # seconds that the last wait for news may take until it sleeps for good


def wake_ups() -> int:
    """Voluntary switches of all threads of the process so far."""
    total = 0
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/status") as status:
            total += next(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))
    return total


def idle(quick: bool) -> tuple[float, float]:
    """Processor time, in percent of a core, and wake-ups a second, of the whole process meanwhile."""
    time.sleep(SETTLE)
    switches = wake_ups()
    cpu, start = time.process_time(), time.perf_counter()
    time.sleep(1.0 if quick else 5.0)
    cpu, took = time.process_time() - cpu, time.perf_counter() - start
    return cpu / took * 100, (wake_ups() - switches) / took


def idle_tree(quick: bool) -> tuple[float, float]:
    specs = [csp.ChildSpec(bodies.Counter, id="counter", count=100)]
    with csp.Supervisor(specs) as tree:
        for child in tree.children():
            child.ref.call.incr()
        return idle(quick)


def idle_executor(kind: str, quick: bool) -> tuple[float, float]:
    """Its threads in this process; of other processes nothing is counted."""
    with executor(kind, 100) as pool:
        for future in [pool.submit(time.sleep, 0.1) for _ in range(100)]:
            future.result()
        return idle(quick)


def idle_pykka(quick: bool) -> tuple[float, float]:
    refs = [pykka_class().start() for _ in range(100)]
    for ref in refs:
        ref.ask(1)
    found = idle(quick)
    for ref in refs:
        ref.stop()
    return found


def idle_runs(which: int) -> dict[str, Run]:
    contenders: dict[str, Callable[[bool], tuple[float, float]]] = {"csp": idle_tree}
    for name, kind in executors().items():
        if kind != "processes":
            contenders[name] = lambda quick, kind=kind: idle_executor(kind, quick)
    if HAS_PYKKA:
        contenders["pykka"] = idle_pykka
    return {name: (lambda seconds, quick, run=run: run(quick)[which]) for name, run in contenders.items()}
