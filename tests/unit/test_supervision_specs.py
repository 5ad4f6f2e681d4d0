"""What is refused when a tree is built, and in what words."""

import math

import pytest

import csp
from csp import Backoff, ChildSpec, DynamicSupervisor, Supervisor


def fetch():
    """Never run."""


def test_defaults():
    """Those of the contract: what is not said is what most trees want."""
    spec = ChildSpec(fetch)
    assert (spec.args, dict(spec.kwargs), spec.id, spec.restart, spec.shutdown, spec.count) == ((), {}, None, "permanent", 5.0, 1)
    assert (spec.backoff, spec.significant, spec.isolation, spec.name) == (None, False, None, None)
    back_off = Backoff()
    assert (back_off.first, back_off.factor, back_off.max, back_off.jitter, back_off.reset_after) == (0.1, 2.0, 30.0, 0.1, 60.0)
    static, dynamic = Supervisor([]), DynamicSupervisor()
    assert static._rules == ("one_for_one", 3, 5.0, "never", False, math.inf)
    assert dynamic._rules == ("one_for_one", 3, 5.0, "never", True, math.inf)
    for inner in (static._spec, dynamic._spec):
        assert (inner.restart, inner.shutdown, inner.significant) == ("permanent", None, False)


def test_duplicate_ids_are_refused():
    """Given or by default; a pool's too; two supervisors without an id as well."""
    for children in (
        [ChildSpec(fetch, id="a"), ChildSpec(fetch, id="a")],
        [fetch, ChildSpec(fetch)],
        [ChildSpec(fetch, count=2), ChildSpec(fetch, id="fetch[1]")],
        [Supervisor([]), Supervisor([])],
    ):
        with pytest.raises(ValueError, match=r"'(a|fetch|fetch\[1\]|Supervisor)'.*id"):
            Supervisor(children)


@pytest.mark.parametrize(
    "options",
    [
        {"restart": "sometimes"},
        {"restart": None},
        {"shutdown": -1},
        {"shutdown": math.nan},
        {"shutdown": "soon"},
        {"shutdown": True},
        {"count": 0},
        {"count": 1.5},
        {"count": True},
        {"isolation": "planet"},
        {"name": ""},
        {"name": 7},
        {"significant": 1},
        {"args": "text"},
        {"backoff": 3},
        {"backoff": Backoff(first=-1)},
        {"backoff": Backoff(factor=0.5)},
        {"backoff": Backoff(max=math.inf)},
        {"backoff": Backoff(jitter=math.nan)},
        {"backoff": Backoff(reset_after="long")},  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_bad_words_and_numbers_are_refused_with_the_childs_name(options):
    """ValueError when the tree is built, not when the spec is written."""
    spec = ChildSpec(fetch, id="the-child", **options)
    with pytest.raises(ValueError, match="'the-child'"):
        Supervisor([spec])
    with pytest.raises(ValueError, match="'the-child'"):
        Supervisor.check([spec])


@pytest.mark.parametrize("id", ["", "a/b"])
def test_ids_are_parts_of_paths(id):
    """Not empty, and without the separator, for supervisors too."""
    with pytest.raises(ValueError, match="id"):
        Supervisor([ChildSpec(fetch, id=id)])
    with pytest.raises(ValueError, match="id"):
        Supervisor([], id=id)


@pytest.mark.parametrize("wrong", [3, None, "text", ChildSpec(7, id="seven")], ids=str)  # type: ignore[arg-type]
def test_children_are_specs_supervisors_or_actors(wrong):
    """Anything else is a TypeError."""
    with pytest.raises(TypeError):
        Supervisor([wrong])


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "one_for_two"},
        {"auto_shutdown": "always"},
        {"max_restarts": -1},
        {"max_restarts": 1.5},
        {"max_restarts": True},
        {"within": 0},
        {"within": math.nan},
        {"within": "5"},
        {"restart": "never"},
    ],
    ids=str,
)
def test_bad_options_of_a_supervisor_are_refused_with_its_name(options):
    """ValueError that names the supervisor."""
    with pytest.raises(ValueError, match="'sup'"):
        Supervisor([], id="sup", **options)


def test_shutdown_of_a_child_supervisor_is_checked_with_its_parent():
    """It is a child's property."""
    with pytest.raises(ValueError, match="'in'"):
        Supervisor([Supervisor([], id="in", shutdown=-1)])


@pytest.mark.parametrize("limit", [0, -1, 1.5, math.nan, True])
def test_max_children_is_a_count(limit):
    """An int of at least 1, or infinity."""
    with pytest.raises(ValueError, match="max_children"):
        DynamicSupervisor(max_children=limit)


def test_significance_needs_auto_shutdown_and_an_end():
    """Rejected with "never", with permanent, and for dynamic supervisors."""
    with pytest.raises(ValueError, match="'a'.*never"):
        Supervisor([ChildSpec(fetch, id="a", restart="transient", significant=True)])
    with pytest.raises(ValueError, match="'a'.*permanent"):
        Supervisor([ChildSpec(fetch, id="a", significant=True)], auto_shutdown="any_significant")
    with pytest.raises(ValueError, match="'in'.*permanent"):
        Supervisor([Supervisor([], id="in", significant=True)], auto_shutdown="all_significant")
    with pytest.raises(ValueError, match="DynamicSupervisor"):
        DynamicSupervisor()._one(ChildSpec(fetch, restart="temporary", significant=True))
    Supervisor([ChildSpec(fetch, restart="temporary", significant=True)], auto_shutdown="any_significant")


def test_count_makes_numbered_children():
    """count=1 keeps the id as it is; a given name is numbered too."""
    tree = Supervisor([ChildSpec(fetch, id="w", count=3, name="worker"), fetch])
    assert [child.id for child in tree.children()] == ["w[0]", "w[1]", "w[2]", "fetch"]
    assert [spec.name for spec in tree._specs] == ["worker[0]", "worker[1]", "worker[2]", None]
    with pytest.raises(ValueError, match="count"):
        tree.start_child(ChildSpec(fetch, count=2))


def test_check_says_nothing_if_all_is_well():
    """On the class and on an instance, with a plain actor, a spec and a supervisor."""
    assert Supervisor.check([fetch, ChildSpec(fetch, id="b"), Supervisor([], id="in")]) is None
    assert Supervisor([]).check([fetch]) is None


def test_supervisor_that_was_refused_can_be_a_child_still():
    """A tree that was not built leaves no trace in its parts."""
    inner = Supervisor([], id="in")
    with pytest.raises(ValueError):
        Supervisor([inner, ChildSpec(fetch, restart="sometimes")])  # type: ignore[arg-type]
    Supervisor([inner])


def test_worst_case_restarts_multiply():
    """3 and 3 on two levels: 16 ends of one actor before the root fails."""
    assert Supervisor([fetch]).worst_case_restarts() == 4
    assert Supervisor([Supervisor([fetch]), fetch]).worst_case_restarts() == 16


def test_events_are_values():
    """They compare, they pickle, and they cross."""
    end = csp.Exit(None, "failed")  # type: ignore[arg-type]
    with csp.Channel(4) as channel:
        for event in (csp.Started("a", None), csp.Exited("a", end), csp.Restarted("a", None, 1), csp.GaveUp("", "a", end)):
            channel.send(event)
            assert channel.recv() == event


def test_counts_are_values():
    """What `count_children` says crosses, as a named tuple that csp has the name of."""
    with csp.Channel(1) as channel:
        channel.send(Supervisor([fetch]).count_children())
        assert channel.recv() == csp.ChildCount(specs=1, active=0, supervisors=0, workers=1)


def test_public_face_is_in_csp():
    """Lazily, without attrs until then; the specs say that they are csp's."""
    assert ChildSpec.__module__ == Backoff.__module__ == Supervisor.__module__ == "csp"
