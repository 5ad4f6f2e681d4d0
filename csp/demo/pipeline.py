"""A pipeline of actors that measures a tree of source: one walks, N measure, one adds up; the main thread watches.

    walk_tree --batches--> measure_files (N of them) --measured--> aggregate
        |                        ^                                     |
      found                     quit                             progress, report
        v                        |                                     v
    ======================== the main thread: watch() ========================

- The two channels in the middle are bounded: a fast walker waits for slow workers instead of filling the memory.
- `found` and `progress` hold one value and drop the older one: nobody waits for the screen.
- `quit` carries nothing.  Closing it is the message, and it reaches everybody at once (Go's "done channel").
- Nobody counts workers.  When the last of them ends, the last sender of `measured` is gone, so the aggregator's loop ends and it
  reports: after the whole tree, after Ctrl-C, or after a crash.
- An actor that fails shows up in the main thread's `select` as its `exited`.
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

BATCH = 4
"""Files in one work item: enough that a hand-over costs nothing, few enough that no worker ends long after the others."""

FOUND_EVERY = 100
"""Files after which the walker says how far it is."""

AHEAD = 32
"""Work items that wait between two stages."""

REDRAW = 0.1
"""Seconds that the main thread waits for news before it shows the passing of time."""


@actor
def walk_tree(
    root: str,
    skip: "Collection[str]",
    batches: "SendChannel[list[str]]",
    found: "SendChannel[int]",
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
            found.send(len(paths))
    found.send(len(paths))
    found.close()
    try:
        for start in range(0, len(paths), BATCH):
            select([quit, (batches, paths[start : start + BATCH])], priority=True)  # a closed `quit` is ready, with EndOfChannel
    except (EndOfChannel, BrokenChannel):
        pass  # asked to quit, or no worker is left
    return unreadable


@actor
def measure_files(
    number: int,
    folder: str,
    measure: "Measure",
    batches: "RecvChannel[list[str]]",
    measured: "SendChannel[tuple[int, float, list[dict[str, Any]]]]",
    quit: "RecvChannel[None]",
) -> None:
    """Measure batches of files until there are none, or until `quit` is closed; every file that was measured is sent on."""
    try:
        while True:
            _, batch = select([quit, batches], priority=True)
            started = time.thread_time()
            figures = []
            for name in batch:
                if quit.closed:
                    break
                figures.append(measure(os.path.join(folder, name), name))
            measured.send((number, time.thread_time() - started, figures))
    except (EndOfChannel, BrokenChannel):
        pass  # no more batches, or asked to quit, or nobody is left to hear the result


@actor
def aggregate(
    workers: int,
    measured: "RecvChannel[tuple[int, float, list[dict[str, Any]]]]",
    progress: "SendChannel[tuple[int, int, int]]",
    report: "SendChannel[dict[str, Any]]",
) -> None:
    """Add up what the workers measured, and report once the last of them is gone."""
    from csp.demo.totals import Totals

    totals = Totals()
    shares = [{"worker": number, "files": 0, "lines": 0, "cpu_seconds": 0.0} for number in range(1, workers + 1)]
    for number, cpu_seconds, figures in measured:
        totals.add(figures)
        share = shares[number - 1]
        share["files"] += len(figures)
        share["lines"] += sum(file.get("lines", 0) for file in figures)
        share["cpu_seconds"] += cpu_seconds
        progress.send((totals.files, totals.sums["lines"], totals.sums["tokens"]))
    report.send({"counts": totals.counts(), "workers": shares})


class Pipeline:
    """One run over one tree, watched from the main thread.  Its public attributes are what is known so far.

    `measure` is what is done with each file.  It crosses to the workers by reference, so it is a function of a module.
    """

    def __init__(self, root: str, workers: int, *, skip: "Collection[str]" = (), measure: "Measure | None" = None) -> None:
        from csp.demo import measure as measuring
        from csp.demo.walk import base

        self.root, self.folder, self.skip, self.workers = root, base(root), tuple(skip), workers
        self.measure = measure or measuring.measure_file
        self.total = self.done = self.lines = self.tokens = 0
        self.walked = self.interrupted = False
        self.reported: dict[str, Any] | None = None
        self.failures: list[dict[str, str]] = []
        self.unreadable: list[str] = []
        self.channels: dict[str, dict[str, Any]] = {}
        self.refs: list[ActorRef] = []
        self.walker: ActorRef | None = None
        self.started, self.cpu_started = time.monotonic(), time.process_time()
        self.open()

    def open(self) -> None:
        """Make the channels.  Of the two in the middle only the receiver is kept, for its statistics."""
        self.quit: Channel[Any] = csp.Channel(name="quit")
        self.batches_in, self.batches = csp.channel(AHEAD, name="batches")
        self.measured_in, self.measured = csp.channel(AHEAD, name="measured")
        self.found_in, self.found = csp.channel(1, name="found", overflow="drop_oldest")
        self.progress_in, self.progress = csp.channel(1, name="progress", overflow="drop_oldest")
        self.report_in, self.report = csp.channel(1, name="report")

    def run(self, show: "Callable[[Pipeline], None]" = lambda pipeline: None) -> "dict[str, Any]":
        """Run to the end, calling `show(self)` whenever there is something to show, and return the outcome.

        The first Ctrl-C ends the run in order, with what was measured until then; a second one breaks out of it.
        """
        try:
            self.spawn()
            self.watch(show)
        except KeyboardInterrupt:
            self.interrupted = True
            self.stop()
            self.watch(show)
        finally:
            self.stop()
        return self.outcome()

    def spawn(self) -> None:
        """Start the actors, the last stage first; then each channel ends with the actors that send into it."""
        quit = self.quit.receiver
        self.refs.append(aggregate.spawn(self.workers, self.measured, self.progress_in, self.report_in))
        self.walker = walk_tree.spawn(self.root, self.skip, self.batches_in, self.found_in, quit)
        self.refs.append(self.walker)
        for number in range(1, self.workers + 1):
            self.refs.append(measure_files.spawn(number, self.folder, self.measure, self.batches, self.measured_in, quit))
        self.give_up_senders()

    def give_up_senders(self) -> None:
        """Close this side's sending ends.  As long as one is open its channel cannot end."""
        for end in (self.batches_in, self.measured_in, self.found_in, self.progress_in, self.report_in):
            end.close()

    def stop(self) -> None:
        """Ask walker and workers to leave off; the aggregator follows when they are gone."""
        self.quit.close()
        self.give_up_senders()

    def watch(self, show: "Callable[[Pipeline], None]") -> None:
        """Follow the run until every actor has ended."""
        exits = [ref.exited for ref in self.refs]
        cases: list[Any] = [self.report, self.found, self.progress, *exits]
        running = len(exits)
        while running:
            try:
                news = select(cases, timeout=REDRAW, priority=True)  # what an actor sent comes before its exit
            except EndOfChannel as end:
                assert end.index is not None
                cases[end.index] = None
                self.walked |= end.channel is self.found
                continue
            if news.channel is self.report:
                self.reported = news.value
            elif news.channel is self.found:
                self.total = news.value
            elif news.channel is self.progress:
                self.done, self.lines, self.tokens = news.value
            elif news:
                cases[news.index] = None
                running -= 1
                self.ended(news.value)
            show(self)

    def ended(self, exit: "csp.Exit") -> None:
        """An actor has ended.  If it failed the others cannot finish their work: keep the failure, and stop them."""
        if self.walker is not None and exit.ref == self.walker and exit.reason == "normal":
            self.unreadable = exit.value
        if exit.reason in ("normal", "shutdown"):
            return
        remote = exit.remote
        self.failures.append(
            {
                "actor": exit.ref.name,
                "reason": exit.reason,
                "error": f"{remote.type_name}: {remote.message}" if remote else exit.reason,
                "traceback": remote.traceback if remote else "",
            }
        )
        self.stop()
        self.close(self.batches, self.measured)  # who still sends to an actor that is no more, is woken

    def close(self, *ends: "RecvChannel[Any]") -> None:
        """Note the figures of channels, then give up this side's ends of them."""
        for end in ends:
            if not end.closed:
                figures = end.statistics()
                self.channels[end.name or ""] = {
                    "capacity": end.capacity,
                    **{key: getattr(figures, key) for key in ("sent", "received", "dropped", "discarded", "peak")},
                }
                end.close()

    def outcome(self) -> "dict[str, Any]":
        """All that is known of the run, as plain values."""
        from csp.demo.totals import Totals

        seconds, cpu_seconds = time.monotonic() - self.started, time.process_time() - self.cpu_started
        self.close(self.batches, self.measured, self.found, self.progress)
        reported = self.reported or {"counts": Totals().counts(), "workers": []}
        return {
            "complete": not (self.interrupted or self.failures),
            "interrupted": self.interrupted,
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            **reported,
            "channels": self.channels,
            "unreadable_directories": self.unreadable,
            "failures": self.failures,
        }
