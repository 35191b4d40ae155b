"""The jobs of one deployment over its ports: what function apps and `seawall serve` call.

Doors check the form of an input, keep it as an event in the queue, and answer. Workers call `handle(event)`. Every job is
idempotent and reaches the outside only through ports. Heavy parts are imported by the job that needs them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from seawall.app.detection_jobs import DetectionJobs
from seawall.app.doors import Doors
from seawall.app.image_jobs import ImageJobs
from seawall.app.incident_jobs import IncidentJobs
from seawall.app.parts import Outcome, Parts, Ports
from seawall.domain.errors import ConfigError, MalformedEvent
from seawall.domain.ids import content_id
from seawall.formats.cloudevents import (
    ALERTS_RAISED,
    AUDIT_RECEIVED,
    IMAGE_PUSHED,
    POSTURE_RECEIVED,
    SENSOR_RECEIVED,
    CloudEvent,
)

if TYPE_CHECKING:
    from seawall.app.admit import Admission
    from seawall.ports.queue import JobQueue
    from seawall.ports.sensors import SensorAuthority

POISON_BYTES = 1024 * 1024
"""How much of a poisonous input is kept."""
KEEP_SETTLED, KEEP_POISON = timedelta(days=30), timedelta(days=90)
"""How long delivered documents and refused inputs stay; alerts, incidents and responses stay for good."""


class Application:
    """`doors`, and the jobs by subject; `use_queue` names where accepted events are kept (without one they are done at once)."""

    def __init__(self, ports: Ports) -> None:
        self._ports, self._parts = ports, Parts(ports)
        self._queue: JobQueue | None = None
        self.store = ports.store
        self.doors = Doors(self._parts, self.keep)
        self.images = ImageJobs(self._parts, self.doors.push)
        self.incidents = IncidentJobs(self._parts)
        self.detection = DetectionJobs(self._parts, self.incidents)

    def use_queue(self, queue: JobQueue, *, correlate_apart: bool = False) -> None:
        """Keep accepted events in `queue`; with `correlate_apart` correlation is a job too, in order by cluster."""
        self._queue = queue
        if correlate_apart:
            self.incidents.correlate_apart(queue.put)

    def keep(self, event: CloudEvent) -> None:
        """Accept an event that is already in our form: into the queue, or done at once without one.

        Raises:
            Unavailable: the queue does not take it.
        """
        if self._queue is None:
            self.handle(event)
        else:
            self._queue.put(event)

    def handle(self, event: CloudEvent) -> Outcome:
        """Do the job that `event` asks for.

        Raises:
            InputError: no retry can help.
            Unavailable: try again.
        """
        jobs: dict[str, Callable[[CloudEvent], Outcome]] = {
            IMAGE_PUSHED: self.images.pushed,
            AUDIT_RECEIVED: lambda received: self.detection.audit(received.body, received.subject),
            SENSOR_RECEIVED: lambda received: self.detection.sensor(received.body, received.time),
            POSTURE_RECEIVED: lambda received: self.assess_posture(received.subject, received.body),
            ALERTS_RAISED: self.incidents.correlate_event,
        }
        job = jobs.get(event.type)
        if job is None:
            raise MalformedEvent(f"no job takes {event.type}", where="/type")
        return job(event)

    def assess_posture(self, scope: str, body: bytes) -> Outcome:
        """Judge the objects in `body`; they are the present state of `scope`, kind by kind."""
        from seawall.app.discover import take
        from seawall.formats.inventory_snapshot import decode_snapshot, is_snapshot
        from seawall.ports.inventory_source import Collected
        from seawall.posture.loading import Loaded, load_bytes

        now = self._parts.now()
        if is_snapshot(body):
            collected = decode_snapshot(body, scope, now)
        else:
            loaded = Loaded()
            load_bytes(body, loaded, scope)
            kinds = {obj.kind for obj in loaded.objects}
            collected = Collected(scope, now, loaded.objects, kinds, notes=loaded.notes)
        taken = take(
            collected, self.store, publishers=lambda: self._parts.publishers, policy=self._parts.posture(), now=now
        )
        details = {"results": taken.results, "changed": taken.results_changed, "partial": taken.partial}
        return Outcome(details=details)

    def discover(self) -> list[Any]:
        """Read every configured cluster, account and registry; see `seawall.app.discover`."""
        from seawall.app.discover import discover

        return discover(
            self._ports.sources(),
            self.store,
            publishers=lambda: self._parts.publishers,
            policy=self._parts.posture(),
            now=self._parts.now,
        )

    def tick(self, timer: str) -> None:
        """Do what is due by the clock."""
        if timer == "publish":
            self.incidents.publish()
        elif timer == "rescan":
            self.images.rescan()
        elif timer == "advisories":
            self._ports.update_advisories()
        elif timer == "reconcile":
            now = self._parts.now()
            self.store.outbox.forget(now - KEEP_SETTLED)
            self.store.poison.forget(now - KEEP_POISON)
            self.images.reconcile()
        elif timer == "discover":
            self.discover()
        elif timer == "assets":
            self._parts.follower.flush(self._parts.now())
        else:
            raise ConfigError(f"there is no timer {timer}")

    def poison(self, key: str, body: bytes, reason: str) -> None:
        """Keep an input that cannot be processed, for a person to look at."""
        from seawall.ports.store import PoisonRecord

        identifier = content_id("poison", key, hashlib.sha256(body).hexdigest())
        self.store.poison.add(PoisonRecord(identifier, key, reason[:2000], body[:POISON_BYTES], self._parts.now()))

    @cached_property
    def admission(self) -> Admission:
        """Decisions for API servers.

        Raises:
            ConfigError: the deployment has none, or its policy has a mistake.
        """
        if self._ports.admission is None:
            raise ConfigError("admission is not set up", hint="SEAWALL_ADMISSION__POLICY, SEAWALL_ADMISSION__TOKEN")
        return self._ports.admission()

    def check_store(self) -> None:
        """Raise `Unavailable` when the store does not answer."""
        self.store.images.states(limit=1)

    def usage(self, start: datetime, end: datetime, cluster: str = "") -> list[dict[str, Any]]:
        """Monitored vCores by cluster in [start, end), as JSON values for API and command line."""
        import msgspec

        return [
            msgspec.to_builtins(item) | {"average_vcores": round(item.average_vcores, 2)}
            for item in self.store.metering.usage(start, end, cluster)
        ]

    def monitored_vcores(self) -> dict[str, int]:
        """vCores by cluster whose sensors were heard in this hour or the one before."""
        return self.store.metering.present(self._parts.now() - timedelta(hours=2))

    @property
    def sensor_authority(self) -> SensorAuthority:
        """Who signs the sensors' client certificates; made at first use."""
        return self._parts.authority

    def close(self) -> None:
        """Let go of the store."""
        self._ports.close()
