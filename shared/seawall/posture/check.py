"""How a control is decided: declarations, what they look at, what they answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from seawall.domain.posture import Status
from seawall.posture.objects import Obj
from seawall.posture.parts import Part
from seawall.posture.workloads import Container, Workload

if TYPE_CHECKING:
    from seawall.posture.world import World


class Finding(NamedTuple):
    """One answer about one place. `part` names the container, volume or subject, so that the id outlives its position."""

    status: Status
    path: str = ""
    actual: Any = None
    expected: Any = None
    reason: str = ""
    part: str = ""
    target: Obj | None = None
    """The object that the answer is about, where it is not the subject: a check of the cluster names what it found."""


class Cluster:
    """The subject of controls that judge the cluster (or account) as a whole."""


Subject = Workload | Obj | Cluster
Run = Callable[[Any, "World"], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """Decides one control of the catalogue, whose `id` it bears.

    `on` is `Workload`, `Cluster`, or the kinds of objects to look at. `run` yields what is wrong with one subject;
    nothing means pass. `parameters` are the settings it reads with their defaults.
    """

    id: str
    on: tuple[type[Workload] | type[Cluster] | str, ...]
    run: Run
    about: str = ""
    """One sentence: what is looked at. For people."""
    parameters: dict[str, Any] = field(default_factory=dict)
    table: Any = None
    """The row of a field-decided control, which enforcement and repair are generated from."""
    reads: frozenset[Part] = frozenset()
    """The parts of a workload that alone decide, settings and what holds for the whole cluster aside; none = any of it."""


@dataclass(frozen=True, slots=True)
class Extension:
    """Lets the control of that `id` also judge objects of further kinds."""

    id: str
    on: tuple[str, ...]
    run: Run


R = TypeVar("R", bound=Callable[..., Iterator[Finding]])


def check(
    id: str,  # noqa: A002 - the word of every declaration
    *,
    on: type[Workload] | type[Cluster] | str | tuple[type[Workload] | str, ...],
    reads: Iterable[Part] = (),
    **parameters: Any,
) -> Callable[[R], Check]:
    """Declare a check above the generator that decides it; its docstring's first line says what is looked at."""

    def declare(run: R) -> Check:
        kinds = on if isinstance(on, tuple) else (on,)
        about = (run.__doc__ or "").strip().split("\n", 1)[0]
        return Check(id, kinds, run, about, parameters, reads=frozenset(reads))

    return declare


def fail(
    path: str,
    actual: object = None,
    expected: object = None,
    reason: str = "",
    part: str = "",
    target: Obj | None = None,
) -> Finding:
    """The requirement is not met at `path`."""
    return Finding(Status.FAIL, path, actual, expected, reason, part, target)


def in_container(
    container: Container, field: str, actual: object = None, expected: object = None, reason: str = ""
) -> Finding:
    """A failure at a field of one container."""
    return Finding(Status.FAIL, f"{container.path}.{field}", actual, expected, reason, container.name)


def unknown(reason: str, path: str = "") -> Finding:
    """The evidence is missing or cannot be read."""
    return Finding(Status.UNKNOWN, path, reason=reason)


@cache
def not_applicable(reason: str) -> Finding:
    """There is nothing here that the control is about."""
    return Finding(Status.NOT_APPLICABLE, reason=reason)


def manual(reason: str, path: str = "", actual: object = None) -> Finding:
    """A person has to decide; `reason` says what to look at."""
    return Finding(Status.MANUAL, path, actual, reason=reason)
