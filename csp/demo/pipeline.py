"""A supervised pipeline of actors that measures a tree of source: one walks, N measure, one adds up; the main thread watches.

    demo
      aggregate      temporary: its end is the end of the run (auto_shutdown)
      workers        a supervisor of its own, with a budget of restarts
        measure[n]   transient: one that is killed or fails is started again
      walk           temporary
      chaos          only on demand: kills workers at random

    walk_tree --batches--> measure_files (N of them) --measured--> aggregate
        |                        ^                                     |
      found                     quit                             progress, report
        v                        |                                     v
    ======================== the main thread: watch() ========================

- The two channels in the middle are bounded: a fast walker waits for slow workers instead of filling the memory.
- `found` and `progress` hold one value and drop the older one: nobody waits for the screen.
- Every batch counts once, whoever is killed when.  A worker *leases* its batch: as long as its result has not been sent, the batch
  goes back to the channel when the worker dies, so it is measured at least once.  A worker that dies between the two, with the
  result sent and the lease still open, has it measured again; so batches are numbered, and the aggregator drops what it has.
- The aggregator ends the run, once it has the result of every batch: a channel that is empty says little while a batch may come back.
- `quit` carries nothing.  Closing it is the message, and it reaches everybody at once (Go's "done channel").
- The supervisor holds the ends of the channels for the next lives, so no channel ends with its actors.  When the last worker is
  gone for good before the work is done, the main thread closes `measured`, and the aggregator reports what it has.
"""

import os
import time

import csp
from csp import BrokenChannel, EndOfChannel, actor, select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from csp import ActorRef, Channel, RecvChannel, SendChannel

    Measure = Callable[[str, str], dict[str, Any]]
    Batch = tuple[int, bool, list[str]]  # its number, whether it is the last, the paths
    Result = tuple[int, bool, int, int, float, list[dict[str, Any]]]  # both again, the worker, deliveries, seconds of CPU, figures

BATCH = 4
"""Files in one work item: enough that a hand-over costs nothing, few enough that no worker ends long after the others."""

FOUND_EVERY = 100
"""Files after which the walker says how far it is."""

AHEAD = 32
"""Work items that wait between two stages."""

REDRAW = 0.1
"""Seconds that the main thread waits for news before it shows the passing of time."""

RESTARTS = 3
"""Restarts of workers in one run before they are given up, beside those that chaos costs."""

PAUSE = (0.02, 0.3)
"""Seconds between two kills, at least and at most."""

PATIENCE = 2.0
"""Seconds that the actors have to end in order after a second Ctrl-C."""


@actor
def walk_tree(
    root: str,
    skip: "Collection[str]",
    batches: "SendChannel[Batch]",
    found: "SendChannel[tuple[int, bool]]",
    quit: "RecvChannel[None]",
) -> "list[str]":
    """Find the files, say how many there are, and send their paths in batches; return the directories that could not be read."""
    from csp.demo.walk import walk

    unreadable: list[str] = []
    paths: list[str] = []
    for path in walk(root, skip, unreadable):
        paths.append(path)
        if len(paths) % FOUND_EVERY == 0:
            if quit.closed:
                return unreadable
            found.send((len(paths), False))
    found.send((len(paths), True))
    starts = range(0, max(1, len(paths)), BATCH)  # an empty tree is one empty batch
    try:
        for number, start in enumerate(starts):
            batch = (number, number + 1 == len(starts), paths[start : start + BATCH])
            select([quit, (batches, batch)], priority=True)  # a closed `quit` is ready, with EndOfChannel
    except (EndOfChannel, BrokenChannel):
        pass  # asked to quit, or no worker is left
    return unreadable


@actor
def measure_files(
    folder: str,
    measure: "Measure",
    batches: "RecvChannel[Batch]",
    measured: "SendChannel[Result]",
    quit: "RecvChannel[None]",
) -> None:
    """Measure batches of files until there are none, or until `quit` is closed; every file that was measured is sent on."""
    worker = own_number()
    try:
        while True:
            lease = batches.lease()
            with lease as (number, last, paths):  # handed to another worker if this one does not get to the end of the block
                started = time.thread_time()
                figures = []
                for name in paths:
                    if quit.closed:
                        break
                    figures.append(measure(os.path.join(folder, name), name))
                measured.send((number, last, worker, lease.deliveries, time.thread_time() - started, figures))
    except (EndOfChannel, BrokenChannel):
        pass  # no more batches, or asked to quit, or nobody is left to hear the result


def own_number() -> int:
    """Which of the pool this worker is, from 1, in every life: its path ends in `measure[n]`, or in `measure` if it is alone."""
    try:
        name = csp.current_actor().name
    except RuntimeError:  # called as a plain function
        return 1
    index = name.rpartition("[")[2].partition("]")[0]
    return int(index) + 1 if index.isdecimal() else 1


@actor
def aggregate(
    workers: int,
    batches: "Channel[Batch]",
    measured: "RecvChannel[Result]",
    progress: "SendChannel[tuple[int, int, int]]",
    report: "SendChannel[dict[str, Any]]",
) -> None:
    """Add up what the workers measured, each batch once; report when all is there, or when no more comes."""
    from csp.demo.totals import Totals

    totals = Totals()
    shares = [{"worker": number, "files": 0, "lines": 0, "cpu_seconds": 0.0} for number in range(1, workers + 1)]
    seen: set[int] = set()
    again = duplicates = expected = 0
    for number, last, worker, deliveries, cpu_seconds, figures in measured:
        if number in seen:
            duplicates += 1
            continue
        seen.add(number)
        again += deliveries > 1
        if last:
            expected = number + 1
        totals.add(figures)
        share = shares[worker - 1]
        share["files"] += len(figures)
        share["lines"] += sum(file.get("lines", 0) for file in figures)
        share["cpu_seconds"] += cpu_seconds
        progress.send((totals.files, totals.sums["lines"], totals.sums["tokens"]))
        if len(seen) == expected:
            break
    batches.close()
    report.send({"counts": totals.counts(), "workers": shares, "handed_again": again, "duplicates": duplicates})


@actor
def kill_at_random(seed: int, kills: int, victims: "RecvChannel[list[ActorRef]]") -> None:
    """Kill one of the victims now and then."""
    from random import Random

    random = Random(seed)
    refs = victims.recv()
    for _ in range(kills):
        csp.sleep(random.uniform(*PAUSE))
        random.choice(refs).kill()


class Pipeline:
    """One run over one tree, watched from the main thread.  Its public attributes are what is known so far.

    `measure` is what is done with each file.  It crosses to the workers by reference, so it is a function of a module.
    `chaos` is the seed with which `kills` workers are killed at random moments, or None.
    """

    def __init__(
        self,
        root: str,
        workers: int,
        *,
        skip: "Collection[str]" = (),
        measure: "Measure | None" = None,
        chaos: int | None = None,
        kills: int = 0,
    ) -> None:
        from csp.demo import measure as measuring
        from csp.demo.walk import base

        self.root, self.folder, self.skip, self.workers = root, base(root), tuple(skip), workers
        self.measure = measure or measuring.measure_file
        self.total = self.done = self.lines = self.tokens = self.killed = self.restarts = 0
        self.walked = self.interrupted = False
        self.reported: dict[str, Any] | None = None
        self.failures: list[dict[str, str]] = []
        self.unreadable: list[str] = []
        self.started, self.cpu_started = time.monotonic(), time.process_time()
        self.open()
        self.plan(chaos, kills)

    def open(self) -> None:
        """Make the channels."""
        self.quit: Channel[Any] = csp.Channel(name="quit")
        self.batches: Channel[Batch] = csp.Channel(AHEAD, name="batches")
        self.measured: Channel[Result] = csp.Channel(AHEAD, name="measured")
        self.found: Channel[tuple[int, bool]] = csp.Channel(1, name="found", overflow="drop_oldest")
        self.progress: Channel[tuple[int, int, int]] = csp.Channel(1, name="progress", overflow="drop_oldest")
        self.report: Channel[dict[str, Any]] = csp.Channel(1, name="report")
        self.victims: Channel[list[ActorRef]] = csp.Channel(1, name="victims")

    def plan(self, chaos: int | None, kills: int) -> None:
        """Make the tree of supervisors, the last stage first."""
        from csp import ChildSpec, Supervisor

        quit, batches, measured = self.quit.receiver, self.batches, self.measured
        worker = ChildSpec(
            measure_files,
            args=(self.folder, self.measure, batches.receiver, measured.sender, quit),
            id="measure",
            count=self.workers,
            restart="transient",
            significant=True,
        )
        self.pool = Supervisor(
            [worker],
            id="workers",
            restart="temporary",
            max_restarts=RESTARTS + (0 if chaos is None else kills),
            within=float("inf"),
            auto_shutdown="all_significant",
        )
        adding_up = (self.workers, batches, measured.receiver, self.progress.sender, self.report.sender)
        walking = (self.root, self.skip, batches.sender, self.found.sender, quit)
        children: list[Any] = [
            ChildSpec(aggregate, args=adding_up, restart="temporary", significant=True),
            self.pool,
            ChildSpec(walk_tree, args=walking, id="walk", restart="temporary"),
        ]
        if chaos is not None:
            children.append(ChildSpec(kill_at_random, args=(chaos, kills, self.victims.receiver), id="chaos", restart="temporary"))
        self.tree = Supervisor(children, id="demo", auto_shutdown="any_significant")

    def run(self, show: "Callable[[Pipeline], None]" = lambda pipeline: None) -> "dict[str, Any]":
        """Run to the end, calling `show(self)` whenever there is something to show, and return the outcome.

        The first Ctrl-C ends the run in order, with what was measured until then; a second one breaks out of it.
        """
        try:
            self.tree.start()
            self.victims.send([child.ref for child in self.pool.children() if child.ref is not None])
            self.watch(show)
        except KeyboardInterrupt:
            self.interrupted = True
            self.stop()
            self.watch(show)
        finally:
            self.stop()
            self.tree.stop(timeout=PATIENCE)
        return self.outcome()

    def stop(self) -> None:
        """Ask walker and workers to leave off; the aggregator follows when they are gone."""
        self.quit.close()
        self.batches.close()

    def watch(self, show: "Callable[[Pipeline], None]") -> None:
        """Follow the run until the tree has ended."""
        cases: list[Any] = [self.report, self.found, self.progress, self.tree.events]
        while True:
            try:
                news = select(cases, timeout=REDRAW, priority=True)  # what an actor sent comes before its exit
            except EndOfChannel:
                return
            if news.channel is self.report:
                self.reported = news.value
            elif news.channel is self.found:
                self.total, self.walked = news.value
            elif news.channel is self.progress:
                self.done, self.lines, self.tokens = news.value
            elif news:
                self.happened(news.value)
            show(self)

    def happened(self, event: "Any") -> None:
        """Keep count of kills and restarts.  If a stage is lost the others cannot finish their work: stop them."""
        if isinstance(event, csp.Restarted):
            self.restarts += 1
        elif isinstance(event, csp.GaveUp):
            self.failed(f"{event.id}/{event.child}", event.exit)
        elif isinstance(event, csp.Exited):
            self.ended(event.id, event.exit)

    def ended(self, id: str, exit: "csp.Exit") -> None:
        if id == "workers":
            self.measured.close()
        elif "/" in id:
            self.killed += exit.reason == "killed"  # a worker: its supervisor sees to it
        elif exit.reason not in ("normal", "shutdown"):
            self.failed(id, exit)
        elif id == "walk" and exit.reason == "normal":
            self.unreadable = exit.value

    def failed(self, id: str, exit: "csp.Exit") -> None:
        remote = exit.remote
        self.failures.append(
            {
                "actor": id,
                "reason": exit.reason,
                "error": f"{remote.type_name}: {remote.message}" if remote else exit.reason,
                "traceback": remote.traceback if remote else "",
            }
        )
        self.stop()
        if id == "aggregate":
            self.measured.close()  # who still sends to an actor that is no more, is woken

    def outcome(self) -> "dict[str, Any]":
        """All that is known of the run, as plain values."""
        from csp.demo.totals import Totals

        seconds, cpu_seconds = time.monotonic() - self.started, time.process_time() - self.cpu_started
        reported = self.reported or {"counts": Totals().counts(), "workers": [], "handed_again": 0, "duplicates": 0}
        return {
            "complete": not (self.interrupted or self.failures),
            "interrupted": self.interrupted,
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            **reported,
            "kills": self.killed,
            "restarts": self.restarts,
            "channels": {channel.name: figures(channel) for channel in (self.batches, self.measured, self.found, self.progress)},
            "unreadable_directories": self.unreadable,
            "failures": self.failures,
        }


def figures(channel: "Channel[Any]") -> dict[str, int]:
    """What went through a channel; it is closed by that."""
    channel.close()
    counted = channel.statistics()
    return {"capacity": int(channel.capacity), **{key: getattr(counted, key) for key in ("sent", "received", "dropped", "discarded", "peak")}}
