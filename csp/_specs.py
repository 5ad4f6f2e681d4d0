"""What a supervisor is told and what it tells: child specifications and their check, information, events.

Values only; what they mean is in csp._machine.  attrs is allowed here: this is the parent's side, no actor pays for it.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from attrs import evolve, field, frozen

from csp._ref import ActorRef, Exit

if TYPE_CHECKING:
    from csp.supervision import Supervisor

Restart = Literal["permanent", "transient", "temporary"]
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
AutoShutdown = Literal["never", "any_significant", "all_significant"]
Shutdown = float | None | Literal["kill"]
State = Literal["waiting", "starting", "running", "restarting", "stopping", "stopped", "finished"]

RESTARTS = ("permanent", "transient", "temporary")
STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")
AUTO_SHUTDOWNS = ("never", "any_significant", "all_significant")


# --- specifications ---


@frozen
class Backoff:
    """Waits before restarts that grow with each failure: `min(max, first * factor**n)`, and up to `jitter` of it more, at random.

    `n` counts the failures in a row; a life that lasted `reset_after` seconds ends the row.  The waiting blocks nobody: siblings
    go on, and the supervisor answers.  The budget (`max_restarts`) counts all the same.

        ChildSpec(fetch, backoff=Backoff(first=0.1, max=10.0))
    """

    first: float = 0.1
    factor: float = 2.0
    max: float = 30.0
    jitter: float = 0.1
    reset_after: float = 60.0

    def delay(self, failures: int, random: float) -> float:
        """Seconds to wait after so many failures in a row (1 is the first); `random` is from 0 to 1."""
        try:
            wait = min(self.max, self.first * self.factor ** (failures - 1))
        except OverflowError:
            wait = self.max
        return wait * (1.0 + random * self.jitter)


@frozen
class ChildSpec:
    """What a supervisor has to know to start a child, to end it, and to decide whether it is started again.

        ChildSpec(fetch, args=(urls.receiver,), id="fetch", restart="transient", shutdown=10.0)

    - `actor`: a function or class, decorated or not.  `args` and `kwargs` are held by the supervisor: each life gets the same ones,
      so channels among them stay open over a restart.
    - `id`: the child's name among its siblings; by default the actor's.
    - `restart`: `"permanent"` always, `"transient"` only after `"failed"`, `"killed"` or `"watchdog"`, `"temporary"` never: it is
      removed when it ends.
    - `shutdown`: how many seconds it has to stop before it is killed; None: as long as it needs; `"kill"`: killed at once.
    - `count`: so many children of this kind, with the ids `id[0]`, `id[1]`, ...; on shared channels that is a pool.
    - `backoff`: a `Backoff`, or None: restarts are immediate.
    - `significant`: its own end counts for the supervisor's `auto_shutdown`.
    - `isolation`: instead of the actor's own.
    - `name`: its registered name; by default its path in the tree.

    Checked when a tree is built from it, not here.
    """

    actor: Callable[..., Any]
    args: tuple[Any, ...] = field(default=(), kw_only=True)
    kwargs: Mapping[str, Any] = field(factory=dict, kw_only=True)
    id: str | None = field(default=None, kw_only=True)
    restart: Restart = field(default="permanent", kw_only=True)
    shutdown: Shutdown = field(default=5.0, kw_only=True)
    count: int = field(default=1, kw_only=True)
    backoff: Backoff | None = field(default=None, kw_only=True)
    significant: bool = field(default=False, kw_only=True)
    isolation: str | None = field(default=None, kw_only=True)
    name: str | None = field(default=None, kw_only=True)

    @property
    def supervisor(self) -> "Supervisor | None":
        return None

    @property
    def start_timeout(self) -> float | None:
        """What the actor's definition allows for its start."""
        options: dict[str, Any] = getattr(self.actor, "__csp_actor__", None) or {}
        return options.get("start_timeout")


@frozen
class SupervisorSpec:
    """A supervisor as the child of another."""

    supervisor: "Supervisor"
    id: str
    restart: Restart = "permanent"
    shutdown: Shutdown = None
    significant: bool = False
    backoff: None = None
    start_timeout: None = None
    name: None = None
    count: Literal[1] = 1


Spec = ChildSpec | SupervisorSpec


# --- checking ---


def check(
    specs: "Iterable[ChildSpec | Supervisor | Callable[..., Any]]", *, auto_shutdown: str = "never", dynamic: bool = False
) -> list[Spec]:
    """The children that the specifications stand for, one each; `ValueError` or `TypeError` naming the child that is wrong."""
    children = [child for spec in specs for child in expand(spec, auto_shutdown, dynamic)]
    seen: set[str] = set()
    for child in children:
        if child.id in seen:
            raise ValueError(f"child {child.id!r}: another child has this id")
        seen.add(child.id)  # type: ignore[arg-type]
    return children


def expand(spec: object, auto_shutdown: str = "never", dynamic: bool = False) -> Iterator[Spec]:
    """One checked specification for each child that `spec` stands for; all have an id."""
    whole = normal(spec)
    problem = _problem(whole) or _problem_of_significance(whole, auto_shutdown, dynamic)
    if problem is not None:
        raise problem
    if not isinstance(whole, ChildSpec) or whole.count == 1:
        yield whole
        return
    for n in range(whole.count):
        yield evolve(whole, id=f"{whole.id}[{n}]", count=1, name=None if whole.name is None else f"{whole.name}[{n}]")


def normal(spec: object) -> Spec:
    """A specification with an id, whatever was given: a spec, a supervisor or a plain actor."""
    from csp.supervision import Supervisor

    if isinstance(spec, SupervisorSpec):
        return spec
    if isinstance(spec, Supervisor):
        return spec._spec
    if not isinstance(spec, ChildSpec):
        if not callable(spec):
            raise TypeError(f"a child is a ChildSpec, a Supervisor or an actor, not {type(spec).__name__}")
        spec = ChildSpec(spec)
    if spec.id is None:
        spec = evolve(spec, id=default_id(spec.actor))
    args: Any = spec.args
    return spec if isinstance(args, tuple | str) else evolve(spec, args=tuple(args))


def default_id(actor: object) -> str:
    return str(getattr(actor, "__name__", type(actor).__name__)).replace("/", "_")


def _problem(spec: Any) -> Exception | None:
    """What is wrong with one specification, for itself."""
    if not isinstance(spec.id, str):
        return TypeError(f"child {spec.id!r}: an id is a str, not {type(spec.id).__name__}")

    def wrong(what: str) -> ValueError:
        return ValueError(f"child {spec.id!r}: {what}")

    if not spec.id or "/" in spec.id:
        return wrong("an id must not be empty, nor contain '/', which separates the ids of a path")
    if spec.restart not in RESTARTS:
        return wrong(f"restart must be one of {', '.join(RESTARTS)}, not {spec.restart!r}")
    if not _is_shutdown(spec.shutdown):
        return wrong(f"shutdown must be a number of seconds, None or 'kill', not {spec.shutdown!r}")
    if not isinstance(spec.significant, bool):
        return wrong(f"significant must be a bool, not {spec.significant!r}")
    return _problem_of_actor(spec, wrong) if isinstance(spec, ChildSpec) else None


def _problem_of_actor(spec: Any, wrong: Callable[[str], ValueError]) -> Exception | None:
    from csp.actors import _ISOLATIONS

    if not callable(spec.actor):
        return TypeError(f"child {spec.id!r}: an actor is a function or a class, not {type(spec.actor).__name__}")
    if isinstance(spec.args, str):
        return wrong("args is a tuple of arguments, not a str")
    if type(spec.count) is not int or spec.count < 1:
        return wrong(f"count must be an int of at least 1, not {spec.count!r}")
    if spec.isolation is not None and spec.isolation not in _ISOLATIONS:
        return wrong(f"isolation must be one of {', '.join(_ISOLATIONS)}, not {spec.isolation!r}")
    if spec.name is not None and (not isinstance(spec.name, str) or not spec.name):
        return wrong(f"name must be a str that is not empty, not {spec.name!r}")
    if spec.backoff is not None:
        return _problem_of_backoff(spec.backoff, wrong)
    return None


def _problem_of_backoff(backoff: object, wrong: Callable[[str], ValueError]) -> ValueError | None:
    if not isinstance(backoff, Backoff):
        return wrong(f"backoff must be a Backoff or None, not {backoff!r}")
    for name, least in (("first", 0.0), ("factor", 1.0), ("max", 0.0), ("jitter", 0.0), ("reset_after", 0.0)):
        value = getattr(backoff, name)
        if not is_number(value) or value < least or (value == math.inf and name != "reset_after"):
            return wrong(f"backoff: {name} must be a number of at least {least:g}, not {value!r}")
    return None


def _problem_of_significance(spec: Spec, auto_shutdown: str, dynamic: bool) -> ValueError | None:
    if not spec.significant:
        return None
    if dynamic:
        return ValueError(f"child {spec.id!r}: the children of a DynamicSupervisor cannot be significant")
    if auto_shutdown == "never":
        return ValueError(f"child {spec.id!r}: it is significant for nothing, auto_shutdown is 'never'")
    if spec.restart == "permanent":
        return ValueError(f"child {spec.id!r}: a permanent child cannot be significant, it never ends for good")
    return None


def is_number(value: object) -> bool:
    """An int or float that is not NaN, and no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _is_shutdown(value: object) -> bool:
    return value is None or value == "kill" or (is_number(value) and value >= 0)  # type: ignore[operator]


# --- information ---


@frozen
class ChildInfo:
    """What `children()` says of one child: `id`, `ref`, `state`, `restarts`, `last_exit`.

    `state` is `"waiting"` (its first start has not come yet), `"starting"`, `"running"`, `"restarting"` (between two lives: backing
    off, or until its turn comes), `"stopping"`, `"stopped"` (by `terminate_child`, or with the supervisor) or `"finished"` (it ended
    by itself, and is not started again).  `ref` is None before the first start, and for a supervisor, which is in `supervisor`.
    """

    id: str
    ref: ActorRef | None
    state: State
    restarts: int
    last_exit: Exit | None
    supervisor: "Supervisor | None" = None


class ChildCount(NamedTuple):
    """What `count_children()` says: how many children there are, how many of them run, and of what kind they are."""

    specs: int
    active: int
    supervisors: int
    workers: int


# --- events ---


@frozen
class Started:
    """A child came up for the first time, or by hand.  `id` is its path from the supervisor whose event it is."""

    id: str
    ref: ActorRef | None


@frozen
class Exited:
    """A child's life ended, or never began; `exit` says how."""

    id: str
    exit: Exit

    @property
    def reason(self) -> str:
        """The exit's."""
        return self.exit.reason


@frozen
class Restarted:
    """A child came up again; `restarts` counts how often it did."""

    id: str
    ref: ActorRef | None
    restarts: int


@frozen
class GaveUp:
    """A supervisor fails: one more restart than its budget allows was needed, by the child `child`, after `exit`.

    `id` is the path of the supervisor, empty for the one whose event it is.
    """

    id: str
    child: str
    exit: Exit

    @property
    def reason(self) -> str:
        """How the child's last life ended."""
        return self.exit.reason


Event = Started | Exited | Restarted | GaveUp

for _public in (Backoff, ChildSpec, ChildInfo, ChildCount, Started, Exited, Restarted, GaveUp):
    _public.__module__ = "csp"
del _public
