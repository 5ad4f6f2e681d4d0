"""Children on their way up, with real actors: commands about one whose start hook waits, and commands that its start hook gives."""

import math
import threading

import pytest

import csp
from csp import ChildSpec, DynamicSupervisor, Supervisor
from csp.testing import wait_parked, wait_until
from tests.unit import start_bodies as bodies
from tests.unit.end_bodies import takes_its_time
from tests.unit.start_bodies import trees

pytestmark = pytest.mark.usefixtures("no_leaks")

LIMIT = 20.0
ISOLATIONS = ("interpreter", "thread")
STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")


class Scene:
    """A tree whose child "it" has crashed, and whose next life waits in its start hook."""

    def __init__(self, isolation, strategy="one_for_one", **options):
        self.gate = csp.Channel(1)
        children = [ChildSpec(bodies.Gated, args=(self.gate.receiver,), id="it"), ChildSpec(bodies.Waits, id="other")]
        self.tree = Supervisor([ChildSpec(c.actor, args=c.args, id=c.id, isolation=isolation) for c in children], strategy=strategy, **options)
        self.gate.send("pass")
        self.tree.start()
        self.ref = self.tree["it"]
        self.ref.send("as told")
        wait_parked(self.gate, receivers=1)
        assert self.states()["it"] == "starting"

    def states(self):
        return {child.id: child.state for child in self.tree.children()}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.tree.stop()
        assert csp.whereis("it") is None
        del self.gate


# --- about one that is starting ---


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_terminate_breaks_off_a_restart_that_waits_in_its_start(strategy, isolation):
    """Its wait is broken off, it does not come back, its group goes on without it; restarted by hand it is a new actor."""
    with Scene(isolation, strategy) as scene:
        assert scene.tree.terminate_child("it").reason == "shutdown"
        wait_until(lambda: scene.states() == {"it": "stopped", "other": "running"}, LIMIT)
        assert csp.whereis("it") is None
        with pytest.raises(csp.ActorDied):
            scene.ref.send("anybody there?")
        assert scene.gate.statistics().waiting_receivers == 0
        scene.gate.send("pass")
        again = scene.tree.restart_child("it")
        assert (again.epoch, again == scene.ref) == (1, False)


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("what", ["delete_child", "restart_child"])
def test_delete_and_restart_are_refused_while_it_starts(what, isolation):
    """At once, with the reason; the start is not disturbed, and it is the same actor that comes up."""
    with Scene(isolation) as scene:
        with pytest.raises(csp.SupervisorError) as caught:
            getattr(scene.tree, what)("it")
        assert (caught.value.child, caught.value.reason) == ("it", "starting")
        assert scene.states() == {"it": "starting", "other": "running"}
        scene.gate.send("pass")
        wait_until(lambda: scene.states()["it"] == "running", LIMIT)
        assert scene.tree["it"] == scene.ref == csp.whereis("it")
        assert scene.ref.epoch == 2


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_stop_breaks_off_a_restart_that_waits_in_its_start(isolation):
    """And is no failure of the tree."""
    with Scene(isolation) as scene:
        scene.tree.stop()
        assert scene.states() == {"it": "stopped", "other": "stopped"}
        assert scene.tree.wait(LIMIT) is None


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_kill_in_a_restart_is_a_restart_that_failed(isolation):
    """It is charged, and tried again: by the ref, which is the same."""
    with Scene(isolation) as scene:
        assert scene.ref.kill().reason == "killed"
        scene.gate.send("pass")
        wait_until(lambda: scene.states()["it"] == "running", LIMIT)
        assert scene.ref.epoch == 3 and scene.tree["it"] == scene.ref


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_restart_that_fails_in_its_start_uses_up_the_budget(isolation):
    """Two restarts are allowed: the second fails like the first, and the tree does."""
    with Scene(isolation, max_restarts=2) as scene:
        for _ in range(2):
            scene.gate.send("raise")
        with pytest.raises(csp.SupervisorError, match=r"'it'.*not today"):
            scene.tree.wait(LIMIT)
        assert scene.states() == {"it": "stopped", "other": "stopped"}


# --- beside one that is starting, or stopping ---


class Asked:
    """A call in a thread of its own, and what came of it."""

    def __init__(self, function, *args):
        self.outcome = []
        self.thread = threading.Thread(target=lambda: self.outcome.append(function(*args)), daemon=True)
        self.thread.start()

    def get(self):
        self.thread.join(LIMIT)
        (answer,) = self.outcome
        return answer


def in_thread(actor, id, *args, **options):
    return ChildSpec(actor, args=args, id=id, isolation="thread", **options)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_start_child_waits_for_its_own_child_alone(strategy):
    """Another one, asked for later, is up before the first."""
    gate = csp.Channel()
    with Supervisor([in_thread(bodies.Waits, "a")], strategy=strategy) as tree:
        slow = Asked(tree.start_child, in_thread(bodies.Gated, "slow", gate.receiver))
        wait_parked(gate, receivers=1)
        assert tree.start_child(in_thread(bodies.Waits, "new")).alive
        assert {child.id: child.state for child in tree.children()} == {"a": "running", "slow": "starting", "new": "running"}
        assert tree.count_children() == (3, 3, 0, 3)
        gate.send("pass")
        assert slow.get() == tree["slow"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_answers_while_a_child_is_stopping(strategy):
    """Looks, starts and ends of others; who asks for the same stop waits for the same Exit; the rest is refused."""
    gate = csp.Channel()
    with Supervisor([in_thread(takes_its_time, "it", gate.receiver), in_thread(bodies.Waits, "a")], strategy=strategy) as tree:
        asked = [Asked(tree.terminate_child, "it") for _ in range(2)]
        wait_until(lambda: tree.children()[0].state == "stopping", LIMIT)
        for command in (tree.delete_child, tree.restart_child):
            with pytest.raises(csp.SupervisorError) as caught:
                command("it")
            assert caught.value.reason == "stopping"
        assert tree.terminate_child("a").reason == "shutdown"
        assert tree.start_child(in_thread(bodies.Waits, "new")).alive
        gate.send(None)
        assert [ask.get().reason for ask in asked] == ["shutdown", "shutdown"]
        assert {child.id: child.state for child in tree.children()} == {"it": "stopped", "a": "stopped", "new": "running"}


# --- by one that is starting ---

@pytest.fixture
def log(request):
    yield csp.Channel(math.inf)
    trees.clear()
    request.node.funcargs.pop("log")  # or it is alive when the leaks are counted


NEW = ChildSpec(bodies.Waits, id="new", isolation="thread")


def with_one_that_asks(log, strategy, *command, **options):
    asks = ChildSpec(bodies.Asks, args=(log.sender, *command), kwargs=options, id="asks")
    trees["tree"] = Supervisor([ChildSpec(bodies.Waits, id="first", isolation="thread"), asks], strategy=strategy)
    return trees["tree"]


@pytest.mark.parametrize("command", [("start_child", NEW), ("restart_child", "first")])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_start_that_waits_for_its_own_supervisor_is_a_deadlock_error(log, strategy, command):
    """At once, under each strategy: in a group the one would wait for the other for ever.  The start fails, for that cause."""
    with pytest.raises(csp.SupervisorError, match=r"'asks'.*starting under this supervisor") as caught:
        with_one_that_asks(log, strategy, *command).start()
    assert isinstance(caught.value.__cause__, csp.DeadlockError)
    assert log.recv(LIMIT) == "DeadlockError"


def test_the_supervisor_further_up_is_an_ancestor_too(log):
    """It waits for the one below, which waits for the start."""
    inner = Supervisor([ChildSpec(bodies.Asks, args=(log.sender, "start_child", NEW), id="asks")], id="in")
    trees["tree"] = Supervisor([inner], strategy="one_for_all")
    with pytest.raises(csp.SupervisorError, match="'in'"):
        trees["tree"].start()
    assert log.recv(LIMIT) == "DeadlockError"


def test_tree_of_an_actor_is_no_different(log):
    """Its child is a thread of the actor's interpreter, and still an actor of its own."""
    assert csp.spawn(bodies.owns_one_that_asks, log.sender).result(LIMIT) == "DeadlockError"
    assert log.recv(LIMIT) == "DeadlockError"


def test_the_supervisor_of_another_branch_is_no_ancestor(log):
    """It does not wait for this start: the child comes up."""
    pool = trees["tree"] = DynamicSupervisor(id="pool")
    with Supervisor([pool, ChildSpec(bodies.Asks, args=(log.sender, "start_child", NEW), id="asks")], strategy="one_for_all") as tree:
        assert log.recv(LIMIT) == tree["pool/new"] == csp.whereis("pool/new")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_that_is_up_may_start_another(log, strategy):
    """Its supervisor waits for nobody."""
    with with_one_that_asks(log, strategy, "start_child", NEW, at_start=False) as tree:
        tree["asks"].call.ask()
        assert log.recv(LIMIT) == tree["new"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_function_is_up_before_its_first_line(log, strategy):
    """Also if its supervisor has not heard of that yet: here it is held up from the start until it has been asked."""
    with Supervisor([], strategy=strategy) as tree:
        trees["tree"], driver, held = tree, tree._tree, threading.Event()
        driver.command("look", held.wait, LIMIT)
        driver.command("start_child", tree._node, None, ChildSpec(bodies.asks_first, args=(log.sender,), id="asks"))
        driver.command("look", lambda: wait_until(lambda: len(driver._commands)))
        held.set()
        assert log.recv(LIMIT) == tree["new"]
        assert tree["asks"].epoch == 1


@pytest.mark.parametrize(
    ("command", "answer"), [(("terminate_child", "first"), "shutdown"), (("delete_child", "asks"), "SupervisorError"), (("count_children",), 2)]
)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_other_commands_of_a_start_are_answered(log, strategy, command, answer):
    """None of them waits for a start."""
    tree = with_one_that_asks(log, strategy, *command)
    try:
        tree.start()
    except csp.SupervisorError as error:
        assert error.child == "asks"
    told = log.recv(LIMIT)
    assert answer in (told, getattr(told, "reason", None), getattr(told, "specs", None))
    tree.stop()


OWN_END = [("stop",), ("terminate_child", "asks"), ("terminate_child", "in")]


def with_one_that_ends_itself(log, actor, command, at_start):
    """All the time that it needs is for ever, if it waits for its own end."""
    asks = ChildSpec(actor, args=(log.sender, *command), kwargs={"at_start": at_start}, id="asks", shutdown=None)
    if command[-1] == "in":
        tree = Supervisor([Supervisor([asks], id="in")])
    else:
        tree = Supervisor([asks])
    trees["tree"] = tree
    return tree


@pytest.mark.parametrize("command", OWN_END)
def test_wait_for_the_own_end_is_a_deadlock_error_if_stops_are_trapped(log, command):
    """In a start as later; nothing is done, and no time is lost."""
    with pytest.raises(csp.SupervisorError, match="cannot wait for its own end"):
        with_one_that_ends_itself(log, bodies.Traps, command, True).start()
    assert log.recv(LIMIT) == "DeadlockError"
    with with_one_that_ends_itself(log, bodies.Traps, command, False) as tree:
        ref = tree["in/asks" if command[-1] == "in" else "asks"]
        with pytest.raises(csp.ActorFailed, match="cannot wait for its own end"):
            ref.call.ask()
        assert ref.alive and log.recv(LIMIT) == "DeadlockError"


@pytest.mark.parametrize("command", OWN_END)
def test_wait_for_the_own_end_is_a_deadlock_error_on_the_way_out(log, command):
    """The stop that would break it off has come already, whoever asked for it."""
    with with_one_that_ends_itself(log, bodies.AsksAsItStops, command, False) as tree:
        ref = tree["in/asks" if command[-1] == "in" else "asks"]
        assert ref.stop(timeout=None).reason == "failed"
        assert log.recv(LIMIT) == "DeadlockError"
        wait_until(lambda: ref.alive, LIMIT)
    assert log.recv(LIMIT) == "DeadlockError"


@pytest.mark.parametrize("command", [("stop",), ("terminate_child", "asks")])
def test_start_that_ends_itself_is_broken_off(log, command):
    """Its wait for its own end is one that the stop breaks off."""
    tree = with_one_that_asks(log, "one_for_one", *command)
    try:
        tree.start()
    except csp.SupervisorError as error:
        assert error.reason == "shutdown"
    tree.stop()
    assert [child.state for child in tree.children()] == ["stopped", "stopped"]


def test_start_that_calls_the_actor_that_starts_its_tree_is_found():
    """From another interpreter a supervisor can be reached only through its owner, who is waiting: the detector sees it."""
    owner = bodies.Owner.spawn()
    with pytest.raises(csp.ActorFailed, match="AsksItsParent") as caught:
        owner.call(timeout=LIMIT).begin()
    assert caught.value.remote.type_name == "csp.DeadlockError"
    assert owner.call(timeout=LIMIT).add() == 1
    owner.stop()
