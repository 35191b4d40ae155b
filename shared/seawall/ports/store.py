"""What is kept, one Protocol per aggregate. Every write is idempotent: the same value twice changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from seawall.domain.alerts import Alert, Entity, Incident
from seawall.domain.findings import ImageReport
from seawall.domain.posture import Assessment, ObjectRef, Status, TrendPoint
from seawall.domain.severity import Severity
from seawall.ports.assets import AssetStore
from seawall.ports.baselines import BaselineStore
from seawall.ports.correlation import Carry
from seawall.ports.inventory_index import InventoryIndex
from seawall.ports.metering import MeterStore
from seawall.ports.outbox import Outbox
from seawall.ports.portal import PortalLinks
from seawall.ports.responses import ResponseStore
from seawall.ports.running import RunningStore
from seawall.ports.sensors import SensorStore

SCAN_STATES = ("queued", "running", "done", "failed", "skipped")
"""skipped: what was pushed is not an image (a signature, an attestation, a chart), or is not there any more."""


@dataclass(frozen=True, slots=True)
class ScanState:
    """Where the scan of one image stands; `digest` is the manifest or index that was pushed."""

    digest: str
    reference: str
    state: str
    reason: str = ""
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """One row of the list of images: how many open findings by severity label."""

    digest: str
    name: str
    platform: str
    distro: str
    scanned_at: datetime
    packages: int
    gaps: int
    findings: dict[str, int]


@dataclass(frozen=True, slots=True)
class AttestationRecord:
    """Where the signed findings of an image lie. `referrer` is the digest of the manifest in the registry."""

    digest: str
    reference: str
    referrer: str
    key_id: str
    created_at: datetime
    expires_at: datetime


class ImageStore(Protocol):
    """Scans and their reports."""

    def set_state(self, state: ScanState) -> None:
        """Record where a scan stands; a finished scan is not set back to queued by a late repeat of its push, nor one under way;
        `queued` with a reason is the word of the worker, who will try again."""

    def state(self, digest: str) -> ScanState | None:
        """Where the scan of `digest` stands."""

    def states(
        self, limit: int = 100, *, states: Sequence[str] = (), before: datetime | None = None
    ) -> list[ScanState]:
        """The newest scans first; only those in `states`, and that did not change since `before`."""

    def save(self, report: ImageReport) -> bool:
        """Keep the report and its findings in place of earlier ones; False when nothing but the time of the scan is new."""

    def report(self, digest: str) -> ImageReport | None:
        """The report of one image."""

    def names(self, digests: Sequence[str]) -> dict[str, str]:
        """Names of images by digest; those that are not stored are left out. At most some hundreds at once."""

    def platforms(self, index_digests: Sequence[str]) -> dict[str, list[str]]:
        """Digests of the stored images that are a platform of these indexes, by index."""

    def summaries(self, limit: int = 100, offset: int = 0) -> list[ImageSummary]:
        """Images, most severe findings first."""

    def save_attestation(self, record: AttestationRecord) -> None:
        """Remember where the attestation lies."""

    def attestation(self, digest: str) -> AttestationRecord | None:
        """Where the attestation of `digest` lies."""


Fold = Callable[[Iterable[Alert]], list[Alert]]


class AlertStore(Protocol):
    """Folded alerts."""

    def merge(self, alerts: Sequence[Alert], fold: Fold) -> list[Alert]:
        """Fold `alerts` into the stored ones of the same ids in one transaction; return those that changed, as stored.

        An event counts once for an alert, however often it arrives.
        """

    def get(self, ids: Iterable[str]) -> list[Alert]:
        """The alerts that exist among `ids`, oldest first."""

    def touching(self, entity: Entity, start: datetime, end: datetime, limit: int) -> list[Alert]:
        """See `ports.correlation.CorrelationStore`."""

    def between(self, start: datetime, end: datetime, cluster: str | None = None) -> list[Alert]:
        """Alerts whose [first_seen, last_seen] touches [start, end], oldest first."""

    def newest(
        self,
        *,
        limit: int = 100,
        offset: int = 0,
        severity: Severity | None = None,
        cluster: str = "",
        analytic: str = "",
    ) -> list[Alert]:
        """Alerts of at least `severity`, newest first."""

    def per_day(self, start: datetime) -> list[tuple[date, Severity, int]]:
        """How many alerts were first seen on each UTC day since `start`, by severity; days without any are left out."""


class IncidentStore(Protocol):
    """Incidents and their state changes."""

    def alone(self) -> AbstractContextManager[None]:
        """Wait until no other worker or process correlates, and keep them waiting inside.

        Two that read, join and write at once would each write incidents without what the other had just added.
        """

    def holding(self, alert_ids: Collection[str]) -> list[Incident]:
        """See `ports.correlation.CorrelationStore`."""

    def save(self, incidents: Sequence[Incident], carry: Carry) -> list[Incident]:
        """See `ports.correlation.CorrelationStore`."""

    def get(self, id: str) -> Incident | None:  # noqa: A002
        """One incident."""

    def between(self, start: datetime, end: datetime) -> list[Incident]:
        """Incidents that are not merged into others and touch [start, end], oldest first."""

    def newest(self, *, limit: int = 100, offset: int = 0, status: str = "") -> list[Incident]:
        """Incidents that are not merged into others, newest first."""

    def open_counts(self) -> dict[Severity, int]:
        """How many incidents that are not closed there are, by severity."""

    def decide(
        self,
        id: str,  # noqa: A002
        *,
        status: str = "",
        classification: str = "",
        owner: str = "",
    ) -> Incident | None:
        """Keep what an analyst decided, here or elsewhere; empty texts leave what is there. None = no such incident."""


class AssessmentStore(Protocol):
    """Posture results, one row per control and object."""

    def replace(self, scope: str, assessments: Sequence[Assessment], assessed_at: datetime) -> int:
        """Keep `assessments` as the present state of `scope` (a cluster or a target); return how many rows changed."""

    def replace_object(
        self,
        scope: str,
        ref: ObjectRef,
        assessments: Sequence[Assessment],
        assessed_at: datetime,
    ) -> int:
        """Keep `assessments` as the present results of one object, after a change of it; return how many rows changed."""

    def find(
        self,
        *,
        scope: str = "",
        status: Status | None = None,
        control: str = "",
        ref: ObjectRef | None = None,
        limit: int = 1000,
        offset: int = 0,
    ) -> list[Assessment]:
        """Results, most severe first; of one object by its kind, namespace and name."""

    def note_trend(self, points: Sequence[TrendPoint]) -> None:
        """Keep the totals of one assessment: every one for two weeks, then the last of each day."""

    def trend(self, *, scope: str = "", team: str | None = None, since: datetime | None = None) -> list[TrendPoint]:
        """Totals by scope, team and time, oldest first; `team` empty = of whole scopes, None = of scopes and teams."""

    def counts(self, scope: str = "") -> dict[str, int]:
        """How many results by status."""


@dataclass(frozen=True, slots=True)
class PoisonRecord:
    """An input that could not be processed: kept with its reason for a person to look at."""

    id: str
    source: str
    reason: str
    body: bytes
    received_at: datetime


class PoisonStore(Protocol):
    """Inputs that no retry can help."""

    def add(self, record: PoisonRecord) -> None:
        """Keep it once."""

    def forget(self, before: datetime) -> int:
        """Delete what came before then; return how many."""

    def newest(self, limit: int = 100) -> list[PoisonRecord]:
        """Newest first."""


class Store(Protocol):
    """Everything that is kept."""

    @property
    def images(self) -> ImageStore: ...
    @property
    def index(self) -> InventoryIndex: ...
    @property
    def alerts(self) -> AlertStore: ...
    @property
    def incidents(self) -> IncidentStore: ...
    @property
    def baselines(self) -> BaselineStore: ...
    @property
    def assessments(self) -> AssessmentStore: ...
    @property
    def sensors(self) -> SensorStore: ...
    @property
    def assets(self) -> AssetStore: ...
    @property
    def running(self) -> RunningStore: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def poison(self) -> PoisonStore: ...
    @property
    def portal(self) -> PortalLinks: ...
    @property
    def metering(self) -> MeterStore: ...
    @property
    def responses(self) -> ResponseStore: ...
