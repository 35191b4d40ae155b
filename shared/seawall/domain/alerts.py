"""What a detection says: matches, alerts, evidence, the entities they touch."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from seawall.domain.severity import Severity

ATTACK_VERSION = "17.1"
"""The ATT&CK release whose ids the declarations use."""


class EntityKind(StrEnum):
    """What an alert can be about; incidents join over these."""

    CLUSTER = "cluster"
    NAMESPACE = "namespace"
    WORKLOAD = "workload"
    POD = "pod"
    CONTAINER = "container"
    IMAGE = "image"
    NODE = "node"
    USER = "user"
    SERVICE_ACCOUNT = "service_account"
    CLOUD_IDENTITY = "cloud_identity"
    CREDENTIAL = "credential"
    IP = "ip"
    DOMAIN = "domain"
    PROCESS = "process"
    FILE = "file"
    RESOURCE = "resource"
    REGISTRY = "registry"


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing named so that two alerts about the same thing carry the same value.

    `id` is unique within `scope`; `scope` is the cluster (or account) for things that exist per cluster, and empty for
    things that are global (an address, an image digest).
    """

    kind: EntityKind
    id: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """A rule fired. `message` says in one sentence what happened; `raise_to`/`lower_to` change the severity with a reason."""

    message: str
    severity: Severity | None = None
    """Overrides the declaration's severity; `reasons` say why."""
    reasons: tuple[str, ...] = ()
    entities: tuple[Entity, ...] = ()
    key: str = ""
    """What repeats fold on, beside analytic and cluster; empty = actor and target object."""
    features: dict[str, str] = field(default_factory=dict)
    """Contributing features of a baseline rule, or matched list entries."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One event behind an alert. `event_id` is the audit id, sensor sequence or registry event id.

    `file` and `index` say where it stood when it was read from a file.
    """

    source: str
    event_id: str
    ts: datetime | None = None
    summary: str = ""
    file: str = ""
    index: int = 0
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """Repeats of one analytic on one entity, folded. `id` is derived from analytic, cluster, severity, key and UTC day."""

    id: str
    analytic: str
    title: str
    message: str
    severity: Severity
    attack: tuple[str, ...]
    first_seen: datetime
    last_seen: datetime
    source: str
    """audit, runtime, cloud, registry or inventory."""
    count: int = 1
    cluster: str = ""
    namespace: str = ""
    actor: str = ""
    """Kubernetes user (the real one, not the impersonated), cloud principal, or empty."""
    source_ip: str = ""
    confidence: str = "medium"
    reasons: tuple[str, ...] = ()
    entities: tuple[Entity, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    features: dict[str, str] = field(default_factory=dict)
    response: str = ""
    context: dict[str, Any] = field(default_factory=dict)
    """Further fields by source: container, process tree, image digest, workload owner, account, ..."""
    analytic_version: int = 1
    attack_version: str = ATTACK_VERSION
    members: tuple[int, ...] = ()
    """The smallest hashes of the ids of the events counted (a k-minimum-values sketch): `count` is exact up to its size."""


@dataclass(frozen=True, slots=True)
class EntityLink:
    """One edge of an incident's graph: `source` --`kind`--> `target`, in words ("used by", "runs on", "read secrets")."""

    source: Entity
    kind: str
    target: Entity


@dataclass(frozen=True, slots=True)
class Incident:
    """Alerts that belong together: shared entities within a window. The same alerts give the same incident in any order."""

    id: str
    title: str
    severity: Severity
    first_seen: datetime
    last_seen: datetime
    alert_ids: tuple[str, ...]
    status: str = "new"
    """new, active or closed."""
    clusters: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    attack: tuple[str, ...] = ()
    entities: tuple[Entity, ...] = ()
    timeline: tuple[tuple[datetime, str], ...] = ()
    next_steps: tuple[str, ...] = ()
    seq: int = 0
    """Number of the state change; what is published says it, so repeats can be told apart."""
    merged_into: str = ""
    """Id of the incident that took this one's alerts over; empty while it stands for itself."""
    tactics: tuple[str, ...] = ()
    """ATT&CK tactics of its alerts, in the matrix's order."""
    reasons: tuple[str, ...] = ()
    """Why the severity is what it is."""
    links: tuple[EntityLink, ...] = ()
    """A small graph of the entities: the most telling edges, at most 60."""
    classification: str = ""
    """An analyst's: truePositive, falsePositive or informationalExpectedActivity; empty = none yet."""
    owner: str = ""
    """Whom an analyst's tool assigned it to."""
