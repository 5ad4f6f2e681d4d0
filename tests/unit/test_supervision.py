"""Supervisors with real actors: lives, refs, mailboxes and names over restarts; races; nested, dynamic, and in actors."""

import gc
import threading
import time

import pytest

import csp
from csp import Backoff, ChildSpec, DynamicSupervisor, Supervisor
from csp.testing import wait_until
from tests.unit import tree_bodies as bodies

pytestmark = pytest.mark.usefixtures("no_leaks")

LIMIT = 20.0


class Log:
    """Where the actors write.  It lets go of its channel before what is left is counted."""

    def __init__(self):
        self.channel = csp.Channel(1000)

    @property
    def sender(self):
        return self.channel.sender

    def recv(self, timeout):
        return self.channel.recv(timeout)


@pytest.fixture
def log():
    log = Log()
    yield log
    del log.channel


def mail(log, id=None, **options):
    """A child that follows orders sent to its ref."""
    return ChildSpec(bodies.by_mail, args=(log.sender,), id=id, **options)


def take(log, n):
    """The next n entries."""
    return [log.recv(LIMIT) for _ in range(n)]


def states(supervisor):
    return {child.id: child.state for child in supervisor.children()}


def await_states(supervisor, **wanted):
    wait_until(lambda: states(supervisor) == wanted, LIMIT, f"{wanted}")


# --- starting and stopping ---


def test_children_start_in_order_and_stop_in_reverse(log):
    """With the context manager: all up inside, all gone after."""
    with Supervisor([mail(log, "a"), mail(log, "b"), mail(log, "c")]) as tree:
        assert [entry[1] for entry in take(log, 3)] == ["a", "b", "c"]
        assert states(tree) == dict.fromkeys("abc", "running")
        refs = [tree[id] for id in "abc"]
        assert all(ref.alive for ref in refs)
    assert [entry[1] for entry in take(log, 3)] == ["c", "b", "a"]
    assert not any(ref.alive for ref in refs)
    assert states(tree) == dict.fromkeys("abc", "stopped")


def test_a_plain_actor_is_its_default_spec():
    """Permanent, with its own name as id."""
    with Supervisor([bodies.Counter]) as tree:
        assert tree["Counter"].call.add(2) == 2
        assert tree.children()[0].id == "Counter"


def test_failed_start_stops_the_others_and_raises():
    """SupervisorError names the child; the cause is what it raised; nothing is left, no name either."""
    tree = Supervisor([ChildSpec(bodies.Counter, id="good"), ChildSpec(bodies.Counter, kwargs={"wrong": True}, id="bad")])
    with pytest.raises(csp.SupervisorError, match=r"'bad'.*wrong from the start") as caught:
        tree.start()
    assert (caught.value.child, caught.value.reason) == ("bad", "failed")
    assert caught.value.remote.type_name == "ValueError"
    assert isinstance(caught.value.__cause__, ValueError)
    assert csp.whereis("good") is None
    assert csp.whereis("bad") is None
    assert states(tree) == {"good": "stopped", "bad": "stopped"}


def test_unshareable_argument_is_a_failed_start(log):
    """NotShareable is the cause."""
    with pytest.raises(csp.SupervisorError, match="'b'") as caught:
        Supervisor([mail(log, "a"), ChildSpec(bodies.by_mail, args=((x for x in ()),), id="b")]).start()
    assert isinstance(caught.value.__cause__, csp.NotShareable)


def test_start_timeout_of_the_actor_counts():
    """@actor(start_timeout=...): the start fails as "killed"."""
    with pytest.raises(csp.SupervisorError, match="'too_late'") as caught:
        Supervisor([bodies.too_late]).start()
    assert caught.value.reason == "killed"


def test_tree_can_be_started_again(log):
    """After it was stopped; started twice at once it cannot be."""
    tree = Supervisor([mail(log, "a")])
    for _ in range(2):
        with tree:
            with pytest.raises(RuntimeError, match="has been started"):
                tree.start()
            assert states(tree) == {"a": "running"}
            assert log.recv(LIMIT) == ("up", "a", 1)
        assert log.recv(LIMIT) == ("stopped", "a")


def test_stop_and_wait_need_no_running_tree():
    """stop() of one that never ran does nothing; wait() and commands say so."""
    tree = Supervisor([bodies.Counter])
    tree.stop()
    assert states(tree) == {"Counter": "waiting"}
    with pytest.raises(RuntimeError, match="not been started"):
        tree.wait()
    with pytest.raises(csp.SupervisorError) as caught:
        tree.terminate_child("Counter")
    assert caught.value.reason == "shutdown"
    with pytest.raises(KeyError):
        tree["Counter"]


def test_wait_times_out_and_returns_after_a_stop(log):
    """Timeout while it runs; None once somebody has stopped it."""
    with Supervisor([mail(log, "a")]) as tree:
        with pytest.raises(csp.Timeout):
            tree.wait(0.01)
        stopper = threading.Thread(target=tree.stop)
        stopper.start()
        tree.wait(LIMIT)
        stopper.join()


def test_child_that_does_not_stop_is_killed(log):
    """After its own shutdown, not before."""
    with Supervisor([ChildSpec(bodies.stubborn, args=(log.sender,), shutdown=0.2)]) as tree:
        take(log, 1)
        ref = tree["stubborn"]
        begun = time.monotonic()
    assert 0.2 <= time.monotonic() - begun < 5
    assert ref.join(0).reason == "killed"


def test_child_stuck_in_c_is_quarantined_and_holds_up_nobody(log):
    """shutdown="kill": one second of grace, then it is given up."""
    with Supervisor([ChildSpec(bodies.in_c, args=(log.sender, 60_000_000), shutdown="kill")]) as tree:
        take(log, 1)
        ref = tree["in_c"]
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    assert ref.join(0).reason == "killed"
    assert csp.whereis("in_c") is None
    wait_until(lambda: csp.testing.census()["interpreters"] == 1, LIMIT, "the end of the C code")


def test_stop_with_a_timeout_kills_what_is_left(log):
    """All at once, whatever their own shutdown."""
    tree = Supervisor([ChildSpec(bodies.stubborn, args=(log.sender,), id=id, shutdown=None) for id in "ab"])
    tree.start()
    take(log, 2)
    begun = time.monotonic()
    tree.stop(timeout=0.1)
    assert time.monotonic() - begun < 5
    assert states(tree) == {"a": "stopped", "b": "stopped"}


# --- over a restart ---


def test_ref_name_and_mailbox_outlive_a_crash(log):
    """The same ref, the next epoch; what was queued is served by the next life; the name never was free."""
    with Supervisor([mail(log, "a")]) as tree:
        ref = tree["a"]
        ref.send("raise")
        for n in range(5):
            ref.send(n)
        assert take(log, 7) == [("up", "a", 1), ("up", "a", 2), *(("a", n) for n in range(5))]
        assert tree["a"] == ref == csp.whereis("a")
        assert ref.epoch == 2
        assert ref.statistics().restarts == 1
        child = tree.children()[0]
        assert (child.restarts, child.last_exit.reason) == (1, "failed")
        assert child.last_exit.remote.message == "as told"


def test_class_actor_begins_afresh(log):
    """Its state is the new instance's; the ref answers calls again."""
    with Supervisor([ChildSpec(bodies.Counter, args=(log.sender,))]) as tree:
        ref = tree["Counter"]
        assert ref.call.add(5) == 5
        ref.cast.fail()
        wait_until(lambda: ref.epoch == 2 and ref.alive, LIMIT)
        assert ref.call.add(1) == 1


def test_channels_stay_open_over_a_restart(log):
    """The supervisor holds the arguments: a consumer never sees an end of channel."""
    orders = csp.Channel(10)
    with Supervisor([ChildSpec(bodies.obedient, args=(log.sender, orders.receiver), id="a")], max_restarts=10) as tree:
        for epoch in (1, 2, 3):
            assert log.recv(LIMIT) == ("up", "a", epoch)
            orders.send("raise")
        assert log.recv(LIMIT) == ("up", "a", 4)
        assert orders.statistics().discarded == 0
        assert states(tree) == {"a": "running"}


def test_pool_shares_a_channel(log):
    """count=n: ids id[0] to id[n-1], all on the same channel."""
    orders = csp.Channel(10)
    with Supervisor([ChildSpec(bodies.obedient, args=(log.sender, orders.receiver), id="w", count=3, restart="temporary")]) as tree:
        assert {name for _, name, _ in take(log, 3)} == {"w[0]", "w[1]", "w[2]"}
        assert [child.id for child in tree.children()] == ["w[0]", "w[1]", "w[2]"]
        for _ in range(3):
            orders.send("return")
        wait_until(lambda: tree.children() == [], LIMIT)


@pytest.mark.parametrize(("restart", "order", "kept"), [("temporary", "raise", False), ("transient", "return", False), ("transient", "raise", True)])
def test_name_is_free_before_the_exit_if_no_life_follows(log, restart, order, kept):
    """Who hears of the end finds the name free, or taken by the next life."""
    with Supervisor([mail(log, "a", restart=restart)]) as tree:
        ref = tree["a"]
        exited = ref.exited
        ref.send(order)
        exited.recv(LIMIT)
        assert (csp.whereis("a") is not None) == kept


def test_terminated_child_gives_up_its_name_and_mailbox(log):
    """Senders get ActorDied at once; restart_child makes a new ref."""
    with Supervisor([mail(log, "a")]) as tree:
        ref = tree["a"]
        assert tree.terminate_child("a").reason == "shutdown"
        assert csp.whereis("a") is None
        with pytest.raises(csp.ActorDied):
            ref.send("hello")
        assert tree.terminate_child("a") is None
        again = tree.restart_child("a")
        assert again == csp.whereis("a") != ref
        assert again.epoch == 1


def test_hundred_restarts_leave_nothing_behind(log):
    """Census before and after; the ref is the same."""
    with Supervisor([mail(log, "a")], max_restarts=1000) as tree:
        ref = tree["a"]
        log.recv(LIMIT)
        gc.collect()
        before = csp.testing.census()
        for epoch in range(2, 102):
            ref.send("raise")
            assert log.recv(LIMIT) == ("up", "a", epoch)
        wait_until(lambda: tree.children()[0].state == "running", LIMIT)

        def settled():
            gc.collect()
            now = csp.testing.census()
            return all(now[what] <= before[what] + (300 if what == "blobs" else 1) for what in before)

        wait_until(settled, LIMIT, "the census of the beginning")  # blobs: up to 256 events wait for a listener


# --- giving up ---


def test_root_that_gives_up_raises_from_wait(log):
    """Naming the child and its last reason."""
    with Supervisor([mail(log, "a"), mail(log, "b")], max_restarts=1) as tree:
        ref = tree["a"]
        take(log, 2)
        ref.send("raise")
        take(log, 1)
        ref.send("raise")
        with pytest.raises(csp.SupervisorError, match=r"'a'.*as told") as caught:
            tree.wait(LIMIT)
        assert (caught.value.child, caught.value.reason) == ("a", "failed")
        assert isinstance(caught.value.__cause__, ValueError)
        assert states(tree) == {"a": "stopped", "b": "stopped"}
        assert csp.whereis("a") is csp.whereis("b") is None
        with pytest.raises(csp.ActorDied):
            ref.send("hello")


def test_child_that_cannot_come_up_uses_up_the_budget():
    """Each retry is charged, so it ends in an error and not in a loop."""
    with Supervisor([bodies.fails_at_once], max_restarts=3) as tree:
        with pytest.raises(csp.SupervisorError, match="at once"):
            tree.wait(LIMIT)


# --- always answering ---


def test_it_answers_while_a_child_is_starting(log):
    """children() and stop() return at once; start() in the other thread raises."""
    gate = csp.Channel()
    tree = Supervisor([mail(log, "a"), ChildSpec(bodies.late, args=(log.sender, gate.receiver))])
    outcome = []

    def start():
        try:
            tree.start()
        except csp.SupervisorError as error:
            outcome.append(error.reason)

    starter = threading.Thread(target=start)
    starter.start()
    assert take(log, 2)[1] == ("starting", "late")
    begun = time.monotonic()
    assert states(tree) == {"a": "running", "late": "starting"}
    tree.stop()
    assert time.monotonic() - begun < 2
    starter.join()
    assert outcome == ["shutdown"]
    assert log.recv(LIMIT) == ("stopped", "a")


def test_it_answers_while_a_child_backs_off(log):
    """And stopping it cancels the restart."""
    with Supervisor([mail(log, "a", backoff=Backoff(first=60))]) as tree:
        ref = tree["a"]
        ref.send("raise")
        await_states(tree, a="restarting")
        assert not ref.alive
        assert csp.whereis("a") == ref == tree["a"]
        assert tree.count_children() == (1, 0, 0, 1)
        begun = time.monotonic()
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("what", ["terminate_child", "delete_child"])
def test_pending_restart_is_cancelled_for_good(log, what):
    """The child does not come back when the delay is over."""
    with Supervisor([mail(log, "a", backoff=Backoff(first=0.3, jitter=0)), mail(log, "b")]) as tree:
        take(log, 2)
        tree["a"].send("raise")
        await_states(tree, a="restarting", b="running")
        getattr(tree, what)("a")
        assert csp.whereis("a") is None
        csp.sleep(0.4)
        tree["b"].send("still here")
        assert log.recv(LIMIT) == ("b", "still here")
        assert "a" not in states(tree) or states(tree)["a"] == "stopped"


def test_messages_wait_through_a_back_off(log):
    """They are in the mailbox when the next life comes up."""
    with Supervisor([mail(log, "a", backoff=Backoff(first=0.2, jitter=0))]) as tree:
        ref = tree["a"]
        ref.send("raise")
        await_states(tree, a="restarting")
        ref.send("waited")
        assert take(log, 3) == [("up", "a", 1), ("up", "a", 2), ("a", "waited")]


# --- commands ---


def test_commands_on_a_running_tree(log):
    """start, terminate, restart, delete; and what each refuses."""
    with Supervisor([mail(log, "a")]) as tree:
        ref = tree.start_child(mail(log, "b"))
        assert ref == tree["b"] == csp.whereis("b")
        with pytest.raises(ValueError, match="'b'"):
            tree.start_child(mail(log, "b"))
        with pytest.raises(csp.SupervisorError) as caught:
            tree.delete_child("b")
        assert (caught.value.child, caught.value.reason) == ("b", "running")
        with pytest.raises(csp.SupervisorError):
            tree.restart_child("b")
        tree.terminate_child("b")
        tree.delete_child("b")
        assert list(states(tree)) == ["a"]
        for command in (tree.delete_child, tree.terminate_child, tree.restart_child):
            with pytest.raises(KeyError):
                command("b")


def test_start_child_that_fails_raises_and_leaves_nothing(log):
    """The tree goes on."""
    with Supervisor([mail(log, "a")]) as tree:
        with pytest.raises(csp.SupervisorError, match="wrong from the start"):
            tree.start_child(ChildSpec(bodies.Counter, kwargs={"wrong": True}, id="bad"))
        assert list(states(tree)) == ["a"]
        assert csp.whereis("bad") is None


def test_group_restart_with_real_actors(log):
    """one_for_all: the sibling's mailbox is kept over its stop, as the crashed one's is."""
    with Supervisor([mail(log, "a"), mail(log, "b")], strategy="one_for_all") as tree:
        take(log, 2)
        a, b = tree["a"], tree["b"]
        b.send("raise")
        assert take(log, 3) == [("stopped", "a"), ("up", "a", 2), ("up", "b", 2)]
        assert (tree["a"], tree["b"]) == (a, b)
        a.send("hello")
        assert log.recv(LIMIT) == ("a", "hello")


# --- races ---


def test_child_that_ends_while_it_is_being_stopped(log):
    """Crashes and stops at the same moment, many times: the stop always returns, nothing is restarted after it."""
    orders = csp.Channel(1)
    for n in range(20):
        tree = Supervisor([ChildSpec(bodies.obedient, args=(log.sender, orders.receiver), id="a")], max_restarts=1000)
        tree.start()
        log.recv(LIMIT)
        orders.send("raise")
        if n % 2:
            csp.sleep(0.001 * n)
        tree.stop()
        assert states(tree) == {"a": "stopped"}
        assert csp.whereis("a") is None
        while orders.recv_nowait(None) is not None:
            pass


def test_terminate_against_crash(log):
    """Whoever is first: the child is stopped in the end."""
    with Supervisor([mail(log, "a")], max_restarts=1000) as tree:
        for n in range(20):
            tree["a"].send("raise")
            if n % 2:
                csp.sleep(0.0005 * n)
            tree.terminate_child("a")
            assert states(tree) == {"a": "stopped"}
            tree.restart_child("a")


def test_kill_during_a_start(log):
    """A child that is killed before it is up has failed to start."""
    gate = csp.Channel()
    tree = Supervisor([ChildSpec(bodies.late, args=(log.sender, gate.receiver))])
    killer = threading.Thread(target=lambda: (log.recv(LIMIT), csp.whereis("late").kill()))
    killer.start()
    with pytest.raises(csp.SupervisorError) as caught:
        tree.start()
    killer.join()
    assert caught.value.reason == "killed"


def test_restart_child_during_the_stop(log):
    """It is refused, or its life is ended with the others: stop() returns in any case."""
    for _ in range(10):
        tree = Supervisor([mail(log, "a"), mail(log, "b")])
        tree.start()
        tree.terminate_child("b")
        outcome = []

        def restart(tree=tree, outcome=outcome):
            try:
                outcome.append(tree.restart_child("b").join(LIMIT).reason)
            except csp.SupervisorError as error:
                outcome.append(error.reason)

        racer = threading.Thread(target=restart)
        racer.start()
        tree.stop()
        racer.join()
        assert outcome[0] == "shutdown"


def test_many_threads_command_one_tree(log):
    """Each is answered, and in the end all that was started has been stopped."""
    with DynamicSupervisor() as tree:

        def work(n):
            for i in range(5):
                id = f"{n}-{i}"
                tree.start_child(mail(log, id))
                tree.children()
                tree.terminate_child(id)
                tree.delete_child(id)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert tree.children() == []


# --- nested ---


def test_nested_tree(log):
    """Paths, counts, looks at and commands to the inner supervisor; stopped from the inside out, in reverse."""
    inner = Supervisor([mail(log, "b"), mail(log, "c")], id="in")
    with Supervisor([mail(log, "a"), inner, mail(log, "d")]) as tree:
        assert [entry[1] for entry in take(log, 4)] == ["a", "in/b", "in/c", "d"]
        assert tree["in/b"] == inner["b"] == csp.whereis("in/b")
        assert tree.count_children() == (3, 3, 1, 2)
        assert tree.children()[1].supervisor is inner
        assert states(inner) == {"b": "running", "c": "running"}
        for wrong in ("in", "in/z", "z", "a/b", "", "in/b/"):
            with pytest.raises(KeyError):
                tree[wrong]
        with pytest.raises(RuntimeError, match="root"):
            inner.start()
        assert inner.start_child(mail(log, "e")).name == "in/e"
        take(log, 1)
    assert [entry[1] for entry in take(log, 5)] == ["d", "in/e", "in/c", "in/b", "a"]


def test_inner_failure_is_a_failure_for_the_parent(log):
    """A transient inner supervisor is started again, its children's refs and mailboxes are kept; then the parent gives up, too."""
    inner = Supervisor([mail(log, "b"), mail(log, "c")], id="in", max_restarts=0, restart="transient")
    with Supervisor([inner], max_restarts=1) as tree:
        b, c = tree["in/b"], tree["in/c"]
        take(log, 2)
        b.send("raise")
        b.send("kept")
        assert take(log, 2) == [("stopped", "in/c"), ("up", "in/b", 2)]
        assert sorted(take(log, 2)) == [("in/b", "kept"), ("up", "in/c", 2)]
        assert (tree["in/b"], tree["in/c"]) == (b, c)
        c.send("raise")
        with pytest.raises(csp.SupervisorError) as caught:
            tree.wait(LIMIT)
        assert (caught.value.child, caught.value.reason) == ("in", "failed")
        assert caught.value.__cause__.child == "c"
        assert isinstance(caught.value.__cause__.__cause__, ValueError)
        assert "as told" in str(caught.value)
        assert csp.whereis("in/b") is csp.whereis("in/c") is None


def test_temporary_inner_supervisor_is_removed_when_it_fails(log):
    """And the names below it are free."""
    inner = Supervisor([mail(log, "b")], id="in", max_restarts=0, restart="temporary")
    with Supervisor([inner, mail(log, "a")]) as tree:
        tree["in/b"].send("raise")
        wait_until(lambda: list(states(tree)) == ["a"], LIMIT)
        assert csp.whereis("in/b") is None


def test_inner_start_failure_stops_all_and_names_both():
    """The chain of errors leads to the child."""
    inner = Supervisor([ChildSpec(bodies.Counter, kwargs={"wrong": True}, id="bad")], id="in")
    with pytest.raises(csp.SupervisorError, match="'in'") as caught:
        Supervisor([bodies.Counter, inner]).start()
    assert caught.value.child == "in"
    assert caught.value.__cause__.child == "bad"


def test_terminated_inner_supervisor_can_be_restarted(log):
    """Its subtree ends with it, and is started afresh."""
    inner = Supervisor([mail(log, "b")], id="in")
    with Supervisor([inner]) as tree:
        old = tree["in/b"]
        tree.terminate_child("in")
        assert states(inner) == {"b": "stopped"}
        assert csp.whereis("in/b") is None
        assert tree.restart_child("in") is inner
        assert tree["in/b"] != old
        inner.stop()
        assert states(tree) == {"in": "stopped"}


def test_supervisor_has_one_place():
    """It cannot be a child twice."""
    inner = Supervisor([bodies.Counter], id="in")
    Supervisor([inner])
    with pytest.raises(ValueError, match="'in'"):
        Supervisor([inner])


def test_added_children_are_lost_when_the_supervisor_is_restarted(log):
    """As OTP's dynamic children are; their names are free."""
    inner = Supervisor([mail(log, "b")], id="in", max_restarts=0)
    with Supervisor([inner], max_restarts=5) as tree:
        added = inner.start_child(mail(log, "added"))
        tree["in/b"].send("raise")
        added.join(LIMIT)
        await_states(inner, b="running")
        assert csp.whereis("in/added") is None
        with pytest.raises(csp.ActorDied):
            added.send("hello")


# --- dynamic ---


def test_dynamic_supervisor_starts_children_on_demand(log):
    """Ids of their own, a limit, and all stopped at once."""
    with DynamicSupervisor(max_children=3) as tree:
        assert tree.children() == []
        refs = [tree.start_child(ChildSpec(bodies.by_mail, args=(log.sender,))) for _ in range(3)]
        assert len({ref.name for ref in refs}) == 3
        with pytest.raises(csp.SupervisorError) as caught:
            tree.start_child(mail(log))
        assert caught.value.reason == "max_children"
        refs[0].send("raise")
        wait_until(lambda: refs[0].epoch == 2, LIMIT)
    assert not any(ref.alive for ref in refs)


def test_dynamic_stop_takes_the_longest_not_the_sum(log):
    """Three that do not hear a stop."""
    with DynamicSupervisor() as tree:
        for id in "abc":
            tree.start_child(ChildSpec(bodies.stubborn, args=(log.sender,), id=id, shutdown=0.5))
        take(log, 3)
        begun = time.monotonic()
    assert 0.5 <= time.monotonic() - begun < 1.4


# --- auto_shutdown ---


def test_auto_shutdown_ends_the_tree_in_order(log):
    """wait() returns; nothing failed."""
    children = [mail(log, "a"), mail(log, "s", restart="transient", significant=True)]
    with Supervisor(children, auto_shutdown="any_significant") as tree:
        take(log, 2)
        tree["s"].send("return")
        tree.wait(LIMIT)
        assert log.recv(LIMIT) == ("stopped", "a")


# --- names ---


def test_default_name_gives_way_to_another_trees(log):
    """Two trees with the same ids run beside each other; a given name is an error."""
    with Supervisor([mail(log, "a")]) as one, Supervisor([mail(log, "a")]) as two:
        assert one["a"].name == "a"
        assert two["a"].name.startswith("a-")
        with pytest.raises(csp.SupervisorError) as caught:
            one.start_child(mail(log, "b", name="a"))
        assert isinstance(caught.value.__cause__, ValueError)
        assert one.start_child(mail(log, "b", name="bee")) == csp.whereis("bee")


# --- events ---


def test_events_tell_what_happened(log):
    """Selectable, in order, with paths from the supervisor that is asked; they end with the tree."""
    inner = Supervisor([mail(log, "b")], id="in", max_restarts=1)
    tree = Supervisor([inner], max_restarts=0)
    with tree:
        channel, event = csp.select([tree.events], timeout=LIMIT)
        assert channel is tree.events
        assert event == csp.Started("in/b", tree["in/b"])
        assert tree.events.recv(LIMIT) == csp.Started("in", None)
        tree["in/b"].send("raise")
        tree["in/b"].send("raise")
        with pytest.raises(csp.SupervisorError):
            tree.wait(LIMIT)
    seen = [(type(event).__name__, event.id, getattr(event, "reason", None)) for event in tree.events]
    assert seen == [
        ("Exited", "in/b", "failed"),
        ("Restarted", "in/b", None),
        ("Exited", "in/b", "failed"),
        ("GaveUp", "in", "failed"),
        ("Exited", "in", "failed"),
        ("GaveUp", "", "failed"),
    ]
    assert [event.id for event in inner.events][:2] == ["b", "b"]


def test_nobody_has_to_listen_to_events(log):
    """The oldest are dropped."""
    with DynamicSupervisor(id="d") as tree:
        for _ in range(100):
            tree.start_child(ChildSpec(bodies.fails_late, restart="temporary", id="x"))
            wait_until(lambda: tree.children() == [], LIMIT)
            if tree.events.statistics().dropped:
                break
        assert len(tree.events) <= tree.events.capacity
