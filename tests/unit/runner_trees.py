"""Trees that the tests of the runner run, each made by a function: an actor's interpreter imports this module and must not make one."""

import csp
from csp import actor, current_actor


@actor
def idle():
    csp.sleep(3600)


@actor(trap_stop=True)
def deaf(seconds=3600.0):
    """Does not hear of a stop."""
    csp.sleep(seconds)


@actor(trap_stop=True)
def slow(seconds):
    """Takes a while to stop."""
    current_actor().stopping.recv()
    csp.sleep(seconds)


@actor
def boom():
    raise ValueError("no such page")


@actor
def fails_in_its_first_life(lives):
    if lives.recv() == 1:
        raise ValueError("no such page")
    csp.sleep(3600)


@actor
def returns():
    return 1


@actor(ready=True)
def never_ready():
    csp.sleep(3600)


class Unstartable:
    def __init__(self):
        raise OSError("no such port")


def quiet():
    below = csp.Supervisor([csp.ChildSpec(idle, count=2)], id="below", strategy="rest_for_one")
    return csp.Supervisor([csp.ChildSpec(idle, id="first"), below])


def restarting():
    lives = csp.Channel(4)
    lives.send_many([1, 2])
    child = csp.ChildSpec(fails_in_its_first_life, args=(lives.receiver,), id="worker")
    return csp.Supervisor([csp.Supervisor([child], id="below")])


def giving_up():
    return csp.Supervisor([csp.Supervisor([csp.ChildSpec(boom)], id="below", max_restarts=1)], max_restarts=0)


def unstartable():
    return csp.Supervisor([csp.ChildSpec(idle), csp.ChildSpec(actor(Unstartable))])


def hanging():
    return csp.Supervisor([idle, never_ready])


def one_shot():
    return csp.Supervisor([csp.ChildSpec(returns, restart="transient", significant=True)], auto_shutdown="any_significant")


def patient():
    """An ordered stop takes a second at least, and two at most."""
    return csp.Supervisor([csp.ChildSpec(slow, args=(1.0,), shutdown=2.0), csp.ChildSpec(idle)])


def bounded():
    """None of its children hears of a stop: the whole budget is used up."""
    return csp.Supervisor([csp.ChildSpec(deaf, id=f"deaf{n}", shutdown=0.5) for n in range(2)])


def stubborn():
    """An ordered stop takes for ever."""
    below = csp.Supervisor([csp.ChildSpec(deaf, shutdown=None), idle], id="below")
    return csp.Supervisor([below, csp.ChildSpec(deaf, shutdown=None)])


def all_kinds():
    below = csp.Supervisor([csp.ChildSpec(idle, count=3, shutdown=1.5)], id="below", strategy="one_for_all", restart="transient")
    children = [
        csp.ChildSpec(idle, id="first", shutdown="kill"),
        below,
        csp.ChildSpec(idle, id="last", restart="temporary", significant=True),
        csp.DynamicSupervisor(id="sessions", max_children=5, shutdown=3.0),
    ]
    return csp.Supervisor(children, id="all", max_restarts=7, within=2.5, auto_shutdown="any_significant")


def broken():
    raise RuntimeError("not today")


not_a_tree = 5


def leaking():
    """On 3.13 its budget is gone with the first interpreter that ends."""
    once = csp.ChildSpec(returns, restart="temporary")
    return csp.Supervisor([csp.ChildSpec(idle, id="first"), once], memory_budget=2**20)
