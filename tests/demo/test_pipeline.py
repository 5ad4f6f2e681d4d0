"""csp/demo/pipeline.py: the actors count what one loop counts, and end in order whatever happens."""

import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import csp
from csp.demo import walk
from csp.demo.pipeline import AHEAD, BATCH, RESTARTS, Pipeline
from csp.demo.reference import count

from . import crashing

pytestmark = pytest.mark.usefixtures("no_leaks")

STDLIB = Path(sysconfig.get_path("stdlib"))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_counts_equal_the_reference(tree: Path, workers: int) -> None:
    """Any number of workers counts exactly what one thread without csp counts, files with problems included."""
    outcome = Pipeline(str(tree), workers).run()
    assert outcome["counts"] == count(str(tree))
    assert outcome["complete"]
    assert not outcome["failures"]
    assert sum(worker["files"] for worker in outcome["workers"]) == outcome["counts"]["files"]
    assert sum(worker["lines"] for worker in outcome["workers"]) == outcome["counts"]["lines"]
    assert [worker["worker"] for worker in outcome["workers"]] == list(range(1, workers + 1))


@pytest.mark.parametrize("part", ["email", "json", "asyncio", "encodings", "test/tokenizedata", "test/encoded_modules"])
def test_counts_of_the_standard_library_equal_the_reference(part: str) -> None:
    """On real files, odd encodings and files that do not parse among them, the pipeline and the reference agree."""
    root = STDLIB / part
    if not root.is_dir():
        pytest.skip(f"this Python was installed without {part}")
    assert Pipeline(str(root), 2).run()["counts"] == count(str(root))


def test_skipped_directories_are_not_entered(tree: Path) -> None:
    """`skip` reaches the walker."""
    outcome = Pipeline(str(tree), 2, skip=("part0", "part1")).run()
    assert outcome["counts"] == count(str(tree), ("part0", "part1"))


def test_empty_tree(tmp_path: Path) -> None:
    """Nothing to measure is an outcome like any other."""
    outcome = Pipeline(str(tmp_path), 3).run()
    assert outcome["complete"]
    assert outcome["counts"]["files"] == 0
    assert outcome["counts"]["longest"] == []


def test_every_value_that_was_sent_was_received(tree: Path) -> None:
    """The channels in the middle are bounded and lose nothing; those to the screen may drop."""
    outcome = Pipeline(str(tree), 2).run()
    batches = -(-outcome["counts"]["files"] // BATCH)
    for name in ("batches", "measured"):
        figures = outcome["channels"][name]
        assert (figures["sent"], figures["received"], figures["dropped"], figures["discarded"]) == (batches, batches, 0, 0)
        assert figures["peak"] <= figures["capacity"] == AHEAD
    assert outcome["channels"]["progress"]["sent"] == batches


def test_progress_grows_to_the_whole(tree: Path) -> None:
    """What is shown only grows, never passes what was found, and the total found is the number of files."""
    seen: list[tuple[int, int, int]] = []
    run = Pipeline(str(tree), 2)
    outcome = run.run(lambda run: seen.append((run.done, run.lines, run.tokens)))
    assert seen == sorted(seen)
    assert run.walked
    assert run.total == outcome["counts"]["files"]


def interrupt_once(when: "Callable[[Pipeline], bool]") -> "Callable[[Pipeline], None]":
    """A `show` during which Ctrl-C comes, once."""
    pressed = False

    def show(run: Pipeline) -> None:
        nonlocal pressed
        if not pressed and when(run):
            pressed = True
            raise KeyboardInterrupt

    return show


def test_interrupt_gives_what_was_measured_until_then(tree: Path) -> None:
    """After Ctrl-C every actor ends in order, and the files measured so far are reported."""
    outcome = Pipeline(str(tree), 2).run(interrupt_once(lambda run: run.done > 0))
    assert outcome["interrupted"]
    assert not outcome["complete"]
    assert not outcome["failures"]
    assert BATCH <= outcome["counts"]["files"] <= len(list(walk.walk(str(tree))))
    assert sum(worker["files"] for worker in outcome["workers"]) == outcome["counts"]["files"]


def test_second_interrupt_breaks_out(tree: Path) -> None:
    """A second Ctrl-C is not swallowed."""

    def show(run: Pipeline) -> None:
        raise KeyboardInterrupt

    run = Pipeline(str(tree), 2)
    with pytest.raises(KeyboardInterrupt):
        run.run(show)
    run.tree.wait(timeout=0)  # it has ended, without a failure
    run.outcome()


@pytest.mark.parametrize("workers", [1, 3])
def test_crash_of_a_worker_is_reported(tree: Path, workers: int) -> None:
    """A worker that raises again and again ends the run: the failure names it and has its traceback, the rest is a partial report."""
    (tree / "part1" / "bad.py").write_text("x = 1\n")
    outcome = Pipeline(str(tree), workers, measure=crashing.raises_at_bad).run()
    assert not outcome["complete"]
    (failure,) = outcome["failures"]
    assert failure["actor"].startswith("workers/measure")
    assert outcome["restarts"] <= RESTARTS
    assert failure["reason"] == "failed"
    assert failure["error"] == f"ZeroDivisionError: cannot measure {Path('part1', 'bad.py')}"
    assert "crashing.py" in failure["traceback"]
    assert "raises_at_bad" in failure["traceback"]


@pytest.mark.parametrize("measure", [crashing.forgets_the_size, crashing.exits])
def test_crash_of_any_stage_is_no_hang(tree: Path, measure: Any) -> None:
    """A failing aggregator, and workers that all exit, end the run too."""
    outcome = Pipeline(str(tree), 2, measure=measure).run()
    assert not outcome["complete"]
    assert outcome["failures"]
    assert outcome["counts"]["files"] == 0


def test_a_worker_that_fails_once_costs_nothing(tree: Path) -> None:
    """It is started again, its batch is handed out again, and the counts are the reference's."""
    (tree / "part1" / "bad.py").write_text("x = 1\n")
    outcome = Pipeline(str(tree), 1, measure=crashing.raises_at_bad_once).run()
    assert outcome["complete"]
    assert outcome["counts"] == count(str(tree))
    assert (outcome["restarts"], outcome["kills"], outcome["handed_again"]) == (1, 0, 1)


@pytest.mark.parametrize("workers", [1, 3])
def test_counts_stay_exact_while_workers_are_killed(tree: Path, workers: int, seed: int) -> None:
    """Under chaos every batch is counted once, with any number of workers, and every kill costs one restart at most."""
    outcome = Pipeline(str(tree), workers, measure=crashing.dawdles, chaos=seed, kills=8).run()
    assert outcome["complete"], outcome["failures"]
    assert outcome["counts"] == count(str(tree))
    assert sum(worker["files"] for worker in outcome["workers"]) == outcome["counts"]["files"]
    assert 1 <= outcome["kills"] <= 8
    assert outcome["restarts"] <= outcome["kills"]


def test_a_result_that_comes_twice_counts_once(tree: Path) -> None:
    """A worker that dies after it has sent a result and before its lease ends has the batch measured again: the aggregator knows."""
    from csp.demo.pipeline import aggregate

    channels = [csp.Channel[Any](10) for _ in range(4)]
    batches, measured, progress, report = channels
    file = {"path": "a.py", "bytes": 3, "problem": "syntax", "message": "no"}
    for number, last, deliveries in ((0, False, 1), (0, False, 2), (1, True, 2), (1, True, 3)):
        measured.send((number, last, 1, deliveries, 0.5, [file]))
    aggregate(1, batches, measured, progress, report)
    reported = report.recv(timeout=0)
    assert (reported["counts"]["files"], reported["duplicates"], reported["handed_again"]) == (2, 1, 1)
    assert batches.closed
    for channel in channels:
        channel.close()


def test_functions_run_without_an_interpreter(tree: Path) -> None:
    """The stages are plain functions too: run one after the other in this thread they give the same counts."""
    from csp.demo.measure import measure_file
    from csp.demo.pipeline import aggregate, measure_files, walk_tree

    quit = csp.Channel[Any]()
    ends = [csp.Channel[Any](10_000) for _ in range(5)]
    batches, found, measured, progress, report = ends
    assert walk_tree(str(tree), (), batches, found, quit) == []
    batches.close()
    measure_files(str(tree), measure_file, batches, measured, quit)
    aggregate(1, batches, measured, progress, report)
    assert report.recv(timeout=0)["counts"] == count(str(tree))
    for channel in (quit, *ends):
        channel.close()
