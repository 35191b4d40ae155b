"""What the jobs of one deployment share: its ports, and what is made of them when a job first needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from seawall.formats.cloudevents import AUDIT_RECEIVED

if TYPE_CHECKING:
    from seawall.app.admit import Admission
    from seawall.app.baselines import StoredBaselines
    from seawall.app.follow_assets import AssetFollower
    from seawall.app.judge_posture import PosturePolicy
    from seawall.app.scanning import Scanning
    from seawall.detection.engine import Engine
    from seawall.detection.tuning import Tuning
    from seawall.domain.alerts import Alert, Incident
    from seawall.ports.clock import Clock
    from seawall.ports.inventory_source import InventorySource, ObjectReader
    from seawall.ports.publisher import BatchPublisher
    from seawall.ports.sensors import SensorAuthority
    from seawall.ports.store import Store


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job produced; `rejected` counts single records that could not be read."""

    alerts: tuple[Alert, ...] = ()
    incidents: tuple[Incident, ...] = ()
    rejected: int = 0
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ports:
    """What a deployment brings. Callables are called when first needed, so a cold start loads one job."""

    store: Store
    clock: Clock
    scanning: Callable[[], Scanning]
    engine: Callable[[], Engine]
    baselines: Callable[[], StoredBaselines]
    tuning: Callable[[], Tuning]
    authority: Callable[[], SensorAuthority]
    publishers: Callable[[], Sequence[BatchPublisher]]
    posture: Callable[[], PosturePolicy]
    sources: Callable[[], Sequence[InventorySource]] = tuple
    reader: Callable[[str], ObjectReader | None] = lambda _scope: None
    update_advisories: Callable[[], None] = lambda: None
    admission: Callable[[], Admission] | None = None
    close: Callable[[], None] = lambda: None


class Parts:
    """The ports of a deployment by what they give; each is opened at first use and kept."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._engines: dict[str, Engine] = {}
        self.store, self.clock = ports.store, ports.clock

    def now(self) -> datetime:
        """The deployment's clock."""
        return self.clock.now()

    def trust(self, at: datetime) -> Any:
        """Which sensors' certificates hold at that time."""
        from seawall.formats.sensor_certificate import CertificateTrust

        return CertificateTrust((self.authority.certificate,), at, self.store.sensors.revoked)

    def engine(self, job: str) -> Engine:
        """The engine of one kind of job: engines keep windows of the past and serve one worker each."""
        engine = self._engines.get(job)
        if engine is None:
            engine = self._engines[job] = self._ports.engine()
        return engine

    def posture(self) -> PosturePolicy:
        """How posture is judged here."""
        return self._ports.posture()

    def tuning(self) -> Tuning:
        """What the operators set about alerts."""
        return self._ports.tuning()

    @property
    def authority(self) -> SensorAuthority:
        """Who signs the sensors' client certificates; made at first use."""
        return self._ports.authority()

    @cached_property
    def scanning(self) -> Scanning:
        """Images scanned, signed, judged again."""
        return self._ports.scanning()

    @cached_property
    def baselines(self) -> StoredBaselines:
        """What was learnt of clusters."""
        return self._ports.baselines()

    @cached_property
    def follower(self) -> AssetFollower:
        """The asset graph, kept up by audit events."""
        from seawall.app.follow_assets import AssetFollower

        return AssetFollower(
            self.store, publishers=lambda: self.publishers, policy=self._ports.posture, reader=self._ports.reader
        )

    @cached_property
    def analytics(self) -> Mapping[str, Any]:
        """Every analytic that judges here, by id."""
        return {rule.id: rule for rule in (*self.engine(AUDIT_RECEIVED).rules, *self.baselines.rules)}

    @cached_property
    def publishers(self) -> Sequence[BatchPublisher]:
        """Where incidents and findings go."""
        return self._ports.publishers()
