"""What an attack graph is made of: vertices, steps between them, and the declaration of one kind of step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from seawall.graph.scene import Scene


class VertexKind(StrEnum):
    """What a vertex stands for. GROUP is "all of these": one vertex instead of an edge to each member."""

    INTERNET = "Internet"
    ENDPOINT = "Endpoint"
    CONTAINER = "Container"
    POD = "Pod"
    NODE = "Node"
    VOLUME = "Volume"
    IDENTITY = "Identity"
    PERMISSIONS = "PermissionSet"
    IMAGE = "Image"
    SECRET = "Secret"  # noqa: S105 - a kind of vertex
    CLOUD_IDENTITY = "CloudIdentity"
    CLOUD_RESOURCE = "CloudResource"
    CLUSTER_ADMIN = "ClusterAdmin"
    GROUP = "Group"

    # The enum's own hash is a Python call; vertices are hashed millions of times.
    __hash__ = str.__hash__


class Vertex(NamedTuple):
    """`namespace` is empty outside namespaces; `name` is unique within kind and namespace.

    A pod vertex stands for a controller with all its replicas; a container's name is `pod/container`, a volume's
    `pod/volume`, a permission set's `role::binding`, an identity's `User:x`, `Group:x` or `ServiceAccount:x`.
    """

    kind: VertexKind
    namespace: str
    name: str

    def __str__(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind.value} {place}" if place else self.kind.value


class Step(NamedTuple):
    """One possible move. `cause` names what makes it possible and what must change to close it."""

    source: Vertex
    target: Vertex
    cause: str


Finder = Callable[["Scene"], Iterable[Step]]


@dataclass(frozen=True, slots=True)
class AttackEdge:
    """A kind of step.

    `likelihood` (0 to 1) is our estimate that an attacker who stands at the source succeeds; it orders paths and is no
    measured frequency. `controls` are posture controls whose repair closes the step.
    """

    id: str
    title: str
    source: tuple[VertexKind, ...]
    target: tuple[VertexKind, ...]
    technique: str
    likelihood: float
    precondition: str
    remedy: str
    find: Finder
    controls: tuple[str, ...] = ()


def attack_edge(
    *,
    id: str,  # noqa: A002 - the word of every declaration
    title: str,
    source: VertexKind | tuple[VertexKind, ...],
    target: VertexKind | tuple[VertexKind, ...],
    technique: str,
    likelihood: float,
    precondition: str,
    remedy: str,
    controls: tuple[str, ...] = (),
) -> Callable[[Finder], AttackEdge]:
    """Declare a kind of step; the decorated function yields the steps of a scene."""

    def declare(find: Finder) -> AttackEdge:
        return AttackEdge(
            id,
            title,
            source if isinstance(source, tuple) else (source,),
            target if isinstance(target, tuple) else (target,),
            technique,
            likelihood,
            precondition,
            remedy,
            find,
            controls,
        )

    return declare
