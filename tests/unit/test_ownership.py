"""What an actor made or received is its own, in an interpreter and in a thread alike: it is given up as the actor ends."""

import gc
import os
import threading

import pytest

import csp
from csp.testing import wait_parked, wait_until
from tests.placements import Party, outcome
from tests.unit import owner_bodies as bodies
from tests.unit.class_bodies import Counter

csp.dead_letters  # noqa: B018  # made on first use, for good: no leak


@pytest.fixture(autouse=True)
def nothing_kept(no_leaks):
    yield
    bodies.KEPT.clear()


@pytest.fixture
def pipe():
    """(what to be stuck in, how to end that); at the end nobody is."""
    reader, writer = os.pipe()
    closed = []

    def let_go():
        if not closed:
            closed.append(True)
            os.close(writer)

    yield reader, let_go
    let_go()
    wait_until(lambda: not csp.debug.zombies(), 20)
    os.close(reader)


def end(ref, gate, reason):
    """Let it end with that reason; the Exit."""
    if reason == "shutdown":
        return ref.stop()
    if reason == "killed":
        return ref.kill()
    gate.send(reason)
    return ref.join(20)


def check_given_up(receiver, sender, exit):
    """The peers of an actor that has ended."""
    with pytest.raises(csp.EndOfChannel) as caught:
        receiver.recv(10)
    assert caught.value.cause == exit
    with pytest.raises(csp.BrokenChannel):
        sender.send(1, timeout=10)


# --- ordinary ends ---


@pytest.mark.parametrize("reason", bodies.REASONS)
def test_arguments_are_given_up(isolation, reason):
    """Peers see the end, with the Exit as its cause, though an object of the actor's is still alive."""
    gate, up = csp.Channel(1), csp.Channel(1)
    outward, inward = csp.channel(), csp.channel()
    ref = csp.spawn(bodies.keep_arguments, outward[0], inward[1], gate.receiver, up.sender)
    outward[0].close()
    inward[1].close()
    up.recv(10)
    exit = end(ref, gate, reason)
    assert exit.reason == reason
    check_given_up(outward[1], inward[0], exit)


@pytest.mark.parametrize("reason", bodies.REASONS)
def test_peers_that_wait_are_woken(isolation, reason):
    """At once: nobody waits for the dead."""
    gate, up = csp.Channel(1), csp.Channel(1)
    outward, inward = csp.channel(), csp.channel()
    ref = csp.spawn(bodies.keep_arguments, outward[0], inward[1], gate.receiver, up.sender)
    outward[0].close()
    inward[1].close()
    up.recv(10)
    parties = Party(outcome, outward[1].recv), Party(outcome, inward[0].send, 1)
    wait_parked(outward[1], receivers=1)
    wait_parked(inward[0], senders=1)
    end(ref, gate, reason)
    assert [party.result() for party in parties] == ["EndOfChannel", "BrokenChannel"]


@pytest.mark.parametrize("reason", bodies.REASONS)
def test_handles_out_of_messages_and_clones_are_given_up(isolation, reason):
    """Whatever way they came."""
    gate, up, mail = csp.Channel(1), csp.Channel(1), csp.Channel(1)
    outward, inward = csp.channel(), csp.channel()
    ref = csp.spawn(bodies.keep_what_comes, mail.receiver, gate.receiver, up.sender)
    mail.send((outward[0], inward[1]))
    outward[0].close()
    inward[1].close()
    up.recv(10)
    check_given_up(outward[1], inward[0], end(ref, gate, reason))


@pytest.mark.parametrize("reason", bodies.REASONS)
def test_channels_that_it_made_are_given_up(isolation, reason):
    """What it sent away is a copy, and is not."""
    gate, up = csp.Channel(1), csp.Channel(1)
    ref = csp.spawn(bodies.keep_what_it_makes, gate.receiver, up.sender)
    receiver, sender = up.recv(10)
    check_given_up(receiver, sender, end(ref, gate, reason))
    assert not receiver.closed
    assert not sender.closed


@pytest.mark.parametrize("reason", bodies.REASONS)
def test_open_leases_go_back(isolation, reason):
    """To the head of the channel, counted; what was taken for good is not among them."""
    gate, up, jobs = csp.Channel(1), csp.Channel(1), csp.Channel(4)
    jobs.send_many(["first", "second", "third"])
    ref = csp.spawn(bodies.keep_leases, jobs.receiver, gate.receiver, up.sender)
    assert up.recv(10) == ("first", "second")
    end(ref, gate, reason)
    lease = jobs.lease(10)
    with lease as value:
        assert (value, lease.deliveries) == ("second", 2)
    assert jobs.recv(10) == "third"
    assert len(jobs) == 0


# --- quarantine ---


def test_quarantine_gives_up_what_the_stuck_one_has(isolation, pipe):
    """Peers wake with the Exit, the lease is back; and when the thread is, its handles are dead."""
    answer, report = os.pipe()
    up, jobs = csp.Channel(1), csp.Channel(1)
    outward, inward = csp.channel(), csp.channel()
    jobs.send("job")
    ref = csp.spawn(
        bodies.stuck_with_handles, outward[0], inward[1], jobs.receiver, pipe[0], up.sender, report
    )
    outward[0].close()
    inward[1].close()
    assert up.recv(10) == "job"
    parties = Party(outcome, outward[1].recv), Party(outcome, inward[0].send, 1)
    wait_parked(inward[0], senders=1)
    exit = ref.kill()
    assert exit.reason == "killed"
    assert [party.result() for party in parties] == ["EndOfChannel", "BrokenChannel"]
    check_given_up(outward[1], inward[0], exit)
    assert csp.debug.zombies() == [ref]
    lease = jobs.lease(10)
    with lease as value:
        assert (value, lease.deliveries) == ("job", 2)
    pipe[1]()
    assert os.read(answer, 100).decode() in ("Killed", "ClosedHandle")
    wait_until(lambda: csp.debug.zombies() == [], 20)
    os.close(answer)
    os.close(report)


def test_what_shares_a_stuck_interpreter_is_given_up_with_it(pipe):
    """A thread in an interpreter that is quarantined: the one that is stuck might hold its lock for ever."""
    gate, up = csp.Channel(1), csp.Channel(2)
    outward, inward = csp.channel(), csp.channel()
    ref = csp.spawn(
        bodies.stuck_parent_of_a_thread, outward[0], inward[1], gate.receiver, up.sender, pipe[0]
    )
    outward[0].close()
    inward[1].close()
    assert up.recv(10) == "up"
    child = up.recv(10)
    ref.kill()
    exit = child.join(10)
    assert exit.reason == "killed"
    check_given_up(outward[1], inward[0], exit)


def test_nobody_is_started_from_an_interpreter_that_was_given_up(pipe):
    """A thread of it that goes on gets Killed out of a spawn: its children have been ended, and nobody would end this one."""
    gate, let_spawn = os.pipe()
    answer, report = os.pipe()
    up = csp.Channel(1)
    ref = csp.spawn(bodies.stuck_with_a_thread_that_spawns, pipe[0], gate, report, up.sender, name="host")
    assert up.recv(10) == "up"
    assert ref.kill().reason == "killed"
    assert csp.debug.zombies() == [ref]
    os.close(let_spawn)
    assert os.read(answer, 100).decode() == "Killed: host was given up: it starts nobody any more"
    assert csp.whereis("late child") is None
    pipe[1]()
    wait_until(lambda: csp.debug.zombies() == [], 20)
    for fd in (gate, answer, report):
        os.close(fd)


# --- the same interpreter, other threads ---


def thread_actor(body, *args):
    """(ref, gate), once it is up."""
    gate, up = csp.Channel(1), csp.Channel(1)
    ref = csp.spawn(body, *args, gate.receiver, up.sender, isolation="thread")
    up.recv(10)
    return ref, gate


def test_handle_kept_in_the_module_is_closed():
    """Other threads of the interpreter that use it find a closed handle, those that wait through it too."""
    outward, inward = csp.channel(), csp.channel()
    ref, _ = thread_actor(bodies.keep_arguments, outward[0], inward[1])
    sender, receiver = bodies.KEPT
    party = Party(outcome, receiver.recv)
    wait_parked(receiver, receivers=1)
    ref.stop()
    assert party.result() == "ClosedHandle"
    for call in (lambda: receiver.recv(0), lambda: sender.send(1, 0), receiver.clone):
        with pytest.raises(csp.ClosedHandle):
            call()
    assert (sender.closed, receiver.closed) == (True, True)


def test_select_notices_that_one_of_its_handles_is_closed():
    """Also one over handles of several owners, that had looked before."""
    mine, theirs = csp.channel(), csp.channel()
    ref, _ = thread_actor(bodies.keep_arguments, csp.Channel().sender, theirs[1])
    selector = csp.Selector([mine[1], bodies.KEPT[1]])
    assert not selector.select(timeout=0)
    ref.stop()
    with pytest.raises(csp.ClosedHandle) as caught:
        selector.select(timeout=0)
    assert caught.value.index == 1


def test_what_a_thread_of_the_actor_makes_is_the_interpreters():
    """It is no part of the actor, and may go on after it."""
    ref, _ = thread_actor(bodies.start_thread)
    ref.stop()
    bodies.KEPT[0].send("still open")
    assert bodies.KEPT[0].recv(0) == "still open"


def test_handles_of_the_interpreter_are_untouched():
    """The end of a thread actor closes only what it had itself."""
    channel = csp.Channel(1)
    ref, _ = thread_actor(bodies.keep_arguments, channel.sender, channel.receiver)
    ref.stop()
    channel.send(1)
    assert channel.recv(0) == 1
    now = channel.statistics()
    assert (now.senders, now.receivers) == (1, 1)


def test_reference_serves_others_after_the_actor_that_used_it_first():
    """What a reference keeps inside belongs to nobody in particular."""
    up = csp.Channel(1)
    listener = csp.spawn(bodies.keep_for_supervisor, csp.Channel().sender, up.sender)
    assert up.recv(10) == "up"
    bodies.keep(listener)
    end = csp.spawn(bodies.use_reference, listener, isolation="thread").join(10)
    assert end.reason == "normal", end.remote
    listener.send("from here")
    listener.stop()


def test_dead_letters_serve_others_after_the_actor_that_used_them_first(monkeypatch):
    """`csp.dead_letters` is made on first use, by whomever."""
    monkeypatch.delitem(vars(csp), "dead_letters", raising=False)
    up = csp.Channel(1)
    csp.spawn(bodies.keep_dead_letters, up.sender, isolation="thread").join(10)
    assert up.recv(10) is False
    assert not csp.dead_letters.closed


def test_values_of_its_local_channels_are_freed():
    """As the last receiver of objects goes, the objects do."""
    ref, _ = thread_actor(bodies.keep_local)
    value = bodies.KEPT[1]
    assert value() is not None
    ref.stop()
    assert value() is None


def test_handles_in_cycles_are_collected_by_any_thread():
    """Weak references and the collector know nothing of owners."""
    ref, gate = thread_actor(bodies.cycle)
    gate.send("normal")
    ref.join(10)
    threading.Thread(target=gc.collect).start()
    wait_until(lambda: [weak() for weak in bodies.KEPT] == [None, None], 10)


def test_reply_that_it_waits_for_is_its_own():
    """What it asked, nobody else can be told; calls of the interpreter's other threads go on."""
    counter = csp.spawn(Counter)
    ref, _ = thread_actor(bodies.ask_and_keep, counter)
    ref.stop()
    with pytest.raises(csp.ClosedHandle):
        bodies.KEPT[0].result(10)
    assert counter.call.incr() == 1
    counter.stop()


def test_child_of_a_fork_in_the_actor_gives_nothing_up():
    """The handles and the lease are the parent's: the child gets ForkedError, and what it makes itself works."""
    jobs, up = csp.Channel(2), csp.Channel(1)
    jobs.send_many(["first", "second"])
    ref = csp.spawn(bodies.fork_with_a_lease, jobs.receiver, up.sender, isolation="thread")
    assert up.recv(20) == 0
    assert ref.join(10).reason == "normal"
    assert jobs.recv(0) == "second"


@pytest.mark.parametrize("through", ["its own handle", "the module's"])
def test_what_a_thread_actor_may_still_send_is_no_deadlock(through):
    """Whoever holds the handle that it will use, the main thread's wait for it goes on."""
    sender, receiver = csp.channel()
    shared = through == "the module's"
    csp.spawn(bodies.send_late, None if shared else sender, isolation="thread")
    if shared:
        bodies.keep(sender)
    else:
        sender.close()
    assert receiver.recv() == "late"


# --- actors in actors ---


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_thread_actor_in_an_actor_gives_up_its_own(isolation, how):
    """Ended with its parent, in an interpreter or a thread; the cause is its own Exit, not its parent's."""
    gate, up = csp.Channel(1), csp.Channel(2)
    outward, inward = csp.channel(), csp.channel()
    ref = csp.spawn(bodies.parent_of_a_thread, outward[0], inward[1], gate.receiver, up.sender)
    outward[0].close()
    inward[1].close()
    assert up.recv(10) == "up"
    child = up.recv(10)
    getattr(ref, how)()
    check_given_up(outward[1], inward[0], child.join(10))


def test_thread_actor_that_ends_before_its_parent_gives_up_its_own(isolation):
    """The parent goes on, and so does what it has."""
    gate, up = csp.Channel(1), csp.Channel(2)
    outward, inward = csp.channel(), csp.channel()
    ref = csp.spawn(bodies.parent_of_a_thread, outward[0], inward[1], gate.receiver, up.sender)
    outward[0].close()
    inward[1].close()
    assert up.recv(10) == "up"
    child = up.recv(10)
    gate.send("failed")
    exit = child.join(10)
    assert exit.reason == "failed"
    check_given_up(outward[1], inward[0], exit)
    assert ref.alive
    ref.stop()


def test_each_life_under_a_supervisor_gets_its_arguments_again(isolation):
    """The old life's handles are closed, the supervisor's stay, and the new life has its own."""
    sender, receiver = csp.channel(1)
    up = csp.Channel(1)
    child = csp.ChildSpec(bodies.keep_for_supervisor, args=(sender, up.sender), id="child")
    tree = csp.Supervisor([child], max_restarts=5)
    with tree:
        for lives in range(1, 4):
            up.recv(10)
            assert receiver.statistics().senders == 2  # the test's and this life's
            if isolation == "thread":
                assert [handle.closed for handle in bodies.KEPT] == [True] * (lives - 1) + [False]
            tree["child"].kill()
        up.recv(10)
    del tree, child
    gc.collect()
    assert receiver.statistics().senders == 1
