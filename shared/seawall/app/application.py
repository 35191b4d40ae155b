"""The jobs of one deployment over its ports: what function apps and `seawall serve` call.

Doors call `accept_…`: check the form, keep the event in the queue, answer. Workers call `handle(event)`. Every job is
idempotent and reaches the outside only through ports. Heavy parts are imported by the job that needs them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from seawall.domain.errors import ConfigError, MalformedEvent, NotFound, SeawallError, Unavailable, UnsupportedImage
from seawall.domain.ids import content_id
from seawall.formats.cloudevents import (
    ALERTS_RAISED,
    AUDIT_RECEIVED,
    IMAGE_PUSHED,
    POSTURE_RECEIVED,
    SENSOR_RECEIVED,
    CloudEvent,
    carrying,
)

if TYPE_CHECKING:
    from seawall.app.admit import Admission
    from seawall.app.baselines import StoredBaselines
    from seawall.app.follow_assets import AssetFollower
    from seawall.app.judge_posture import PosturePolicy
    from seawall.app.scanning import Scanning
    from seawall.detection.engine import Engine
    from seawall.detection.sources.batch import Batch
    from seawall.detection.tuning import Tuning
    from seawall.domain.alerts import Alert, Incident
    from seawall.domain.findings import ImageReport
    from seawall.domain.images import ImagePushed
    from seawall.ports.clock import Clock
    from seawall.ports.inventory_source import InventorySource, ObjectReader
    from seawall.ports.publisher import BatchPublisher
    from seawall.ports.queue import JobQueue
    from seawall.ports.sensors import SensorAuthority
    from seawall.ports.store import Store

log = logging.getLogger(__name__)

FORGOTTEN = timedelta(hours=1)
"""A scan that is under way for longer was lost with its worker."""
ARRIVAL_STEP = timedelta(minutes=1)
POISON_BYTES = 1024 * 1024
"""How much of a poisonous input is kept."""


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


class Application:
    """The jobs over `ports`; `use_queue` names where accepted events are kept (without one they are handled at once)."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._queue: JobQueue | None = None
        self._correlates_apart = False
        self._engines: dict[str, Engine] = {}
        self._runtime_analytics: str | None = None
        self._arrived: dict[tuple[str, str], datetime] = {}
        self.store = ports.store

    def use_queue(self, queue: JobQueue, *, correlate_apart: bool = False) -> None:
        """Keep accepted events in `queue`; with `correlate_apart` correlation is a job too, in order by cluster."""
        self._queue, self._correlates_apart = queue, correlate_apart

    @staticmethod
    def key(body: bytes, cluster: str = "") -> str:
        """The id of the event that carries `body`: the same input is the same event, whichever door it came through."""
        return _digest(body, cluster)

    def keep(self, event: CloudEvent) -> None:
        """Accept an event that is already in our form: into the queue, or done at once without one.

        Raises:
            Unavailable: the queue does not take it.
        """
        self._keep(event)

    def close(self) -> None:
        """Let go of the store."""
        self._ports.close()

    # Doors

    def accept_registry(self, kind: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        """Take a registry's notification; return (HTTP status, answer).

        Raises:
            MalformedEvent: not of the form that `kind` promises; an unknown `kind`.
        """
        from seawall.oci.notifications import parse_notification

        notification = parse_notification(kind, headers, body)
        if notification.answer is not None:
            return 200, notification.answer
        for push in notification.pushes:
            self.accept_push(push)
        return 202, {"accepted": len(notification.pushes), "digests": [push.digest for push in notification.pushes]}

    def accept_push(self, push: ImagePushed) -> None:
        """Queue the scan of one pushed image."""
        import msgspec

        reference = str(push.reference)
        key = content_id("push", reference, push.source_event_id)
        if push.digest:
            from seawall.ports.store import ScanState

            self.store.images.set_state(ScanState(push.digest, reference, "queued", updated_at=self._now()))
        self._keep(
            CloudEvent(
                id=key,
                source=f"//{push.registry}",
                type=IMAGE_PUSHED,
                subject=reference,
                data=msgspec.to_builtins(push),
            )
        )

    def accept_audit(self, body: bytes, cluster: str = "") -> dict[str, Any]:
        """Queue audit events; return how many records were read and how many could not be.

        Raises:
            MalformedEvent: nothing in it could be read.
        """
        from seawall.detection.sources.recognise import decode

        batch = _readable(decode(body, cluster=cluster))
        self._keep(carrying(AUDIT_RECEIVED, _digest(body, cluster), "/audit", body, subject=cluster))
        return {"events": len(batch.events), "skipped": batch.skipped, "rejected": batch.rejected.total()}

    def accept_sensor(self, body: bytes) -> dict[str, Any]:
        """Queue a sensor batch whose signature holds.

        Raises:
            Unauthenticated: not signed by an enrolled sensor.
            MalformedEvent: not a batch.
            TooLarge: over the limits of the format.
        """
        from seawall.formats.sensor_batch import decode_batch

        now = self._now()
        batch = decode_batch(body, self._trust(now))
        self._keep(carrying(SENSOR_RECEIVED, _digest(body), "/sensor", body, subject=batch.header.sensor, time=now))
        return {"events": len(batch.events), "rejected": len(batch.rejected)}

    def accept_posture(self, scope: str, body: bytes) -> dict[str, Any]:
        """Queue the assessment of the objects in `body` as the present state of `scope`.

        Raises:
            MalformedEvent: no object in it.
        """
        from seawall.formats.inventory_snapshot import decode_snapshot, is_snapshot
        from seawall.posture.loading import Loaded, load_bytes

        loaded = Loaded()
        if is_snapshot(body):
            listing = decode_snapshot(body, scope, self._now())
            loaded.objects, loaded.notes = listing.objects, listing.notes
        else:
            load_bytes(body, loaded, scope)
        if not loaded.objects:
            note = loaded.notes[0] if loaded.notes else None
            raise MalformedEvent(
                f"no object in it{f': {note.reason}' if note else ''}", where=note.where if note else ""
            )
        key = content_id("posture", scope, _digest(body), self._now().isoformat())
        self._keep(carrying(POSTURE_RECEIVED, key, "/posture", body, subject=scope))
        return {"objects": len(loaded.objects), "notes": len(loaded.notes)}

    def enrol_sensor(self, token: str, csr: str, node: str) -> Any:
        """See `seawall.app.enrol_sensor.enrol_sensor`."""
        from seawall.app.enrol_sensor import enrol_sensor

        return enrol_sensor(
            token=token,
            csr=csr,
            node=node,
            store=self.store.sensors,
            authority=self._ports.authority(),
            now=self._now(),
        )

    def renew_sensor(self, certificate: str, csr: str, signature: str) -> Any:
        """See `seawall.app.enrol_sensor.renew_sensor`."""
        from seawall.app.enrol_sensor import renew_sensor

        return renew_sensor(
            certificate=certificate,
            csr=csr,
            signature=signature,
            store=self.store.sensors,
            authority=self._ports.authority(),
            now=self._now(),
        )

    # Jobs

    def handle(self, event: CloudEvent) -> Outcome:
        """Do the job that `event` asks for.

        Raises:
            InputError: no retry can help.
            Unavailable: try again.
        """
        jobs: dict[str, Callable[[CloudEvent], Outcome]] = {
            IMAGE_PUSHED: self._image_pushed,
            AUDIT_RECEIVED: lambda received: self.detect_audit(received.body, received.subject),
            SENSOR_RECEIVED: lambda received: self.ingest_sensor(received.body, received.time),
            POSTURE_RECEIVED: lambda received: self.assess_posture(received.subject, received.body),
            ALERTS_RAISED: self._correlate,
        }
        job = jobs.get(event.type)
        if job is None:
            raise MalformedEvent(f"no job takes {event.type}", where="/type")
        return job(event)

    def _image_pushed(self, event: CloudEvent) -> Outcome:
        import msgspec

        from seawall.domain.images import ImagePushed

        try:
            push = msgspec.convert(event.data, ImagePushed)
        except msgspec.ValidationError as error:
            raise MalformedEvent(f"not an image push: {error}", where="/data") from error
        return self.scan_image(push)

    def scan_image(self, push: ImagePushed) -> Outcome:
        """Scan a pushed image, keep the report, sign and attach it. Scan states follow; the last reason stays visible."""
        from seawall.ports.store import ScanState

        reference, digest = str(push.reference), push.digest

        def state(word: str, reason: str = "") -> None:
            if digest:
                self.store.images.set_state(ScanState(digest, reference, word, reason, self._now()))

        state("running")
        try:
            reports = self._scanning.scan(push.reference)
        except Unavailable as error:
            state("queued", error.message)
            raise
        except (UnsupportedImage, NotFound) as error:
            # Signatures, attestations (our own too) and charts announce themselves like images; others are gone already.
            state("skipped", error.message)
            return Outcome(details={"skipped": error.message})
        except SeawallError as error:
            state("failed", str(error))
            raise
        for report in reports:
            changed = self.store.images.save(report)
            self.store.index.put(report.digest, report.packages)
            if changed:
                self._publish_image(report)
            held = self.store.images.attestation(report.digest)
            if changed or held is None or self._scanning.is_stale(held, self._now()):
                for record in self._scanning.attest(push.reference, report):
                    self.store.images.save_attestation(record)
        state("done")
        return Outcome(details={"digests": [report.digest for report in reports]})

    def _publish_image(self, report: Any) -> None:
        from seawall.app.publishing import image_entries

        self.store.outbox.add(image_entries(self._publishers, report, self._now()))

    def detect_audit(self, body: bytes, cluster: str = "") -> Outcome:
        """Run the analytics over audit events; keep alerts and the incidents they make."""
        from seawall.detection.sources.recognise import decode

        batch = _readable(decode(body, cluster=cluster))
        now, engine = self._now(), self._engine(AUDIT_RECEIVED)
        alerts = engine.run(batch.events)
        baselines = self._baselines
        try:
            unusual = baselines.judge(batch.events, alerts, now)
            raised = self._raised([*alerts, *unusual], rejected=batch.rejected.total())
            muted = baselines.save(now, _digest(body, cluster))
            self._note_arrivals(batch.events, now)
        except Exception:
            baselines.drop()
            raise
        self._follower.take(batch.events, now)
        if muted:
            log.info("baseline alerts were not raised", extra=muted)
        return replace(raised, details={"muted": muted} if muted else {})

    def ingest_sensor(self, body: bytes, received_at: datetime | None = None) -> Outcome:
        """Take a sensor batch: what it holds, what is missing, what runs on the node, the alerts of it."""
        from seawall.app.ingest_running import keep_running
        from seawall.app.ingest_sensor import ingest_sensor
        from seawall.app.meter import metered

        raised: list[Outcome] = []

        def keep(batch: Any, alerts: Sequence[Alert]) -> None:
            keep_running(self.store.running, batch.events, now)
            self.store.metering.note(metered(batch, now))
            raised.append(self._raised(alerts))

        now = self._now()
        taken = ingest_sensor(
            body,
            trust=self._trust(received_at or now),
            store=self.store.sensors,
            detect=self._detect_runtime,
            keep=keep,
            now=now,
        )
        incidents = raised[-1].incidents if raised else ()
        details = {
            "sensor": taken.header.sensor,
            "duplicate": taken.duplicate,
            "events": taken.events,
            "losses": len(taken.losses),
        }
        return Outcome(taken.alerts, incidents, len(taken.rejected), details)

    def _detect_runtime(self, events: Sequence[Any], header: Any) -> Sequence[Alert]:
        """Run the runtime analytics, unless the node ran the very same."""
        from seawall.detection.identity import runtime_analytics_id

        engine = self._engine(SENSOR_RECEIVED)
        if self._runtime_analytics is None:
            self._runtime_analytics = runtime_analytics_id(engine.rules)
        return [] if header.analytics == self._runtime_analytics else engine.run(events)

    def assess_posture(self, scope: str, body: bytes) -> Outcome:
        """Judge the objects in `body`; they are the present state of `scope`, kind by kind."""
        from seawall.app.discover import take
        from seawall.formats.inventory_snapshot import decode_snapshot, is_snapshot
        from seawall.ports.inventory_source import Collected
        from seawall.posture.loading import Loaded, load_bytes

        now = self._now()
        if is_snapshot(body):
            collected = decode_snapshot(body, scope, now)
        else:
            loaded = Loaded()
            load_bytes(body, loaded, scope)
            kinds = {obj.kind for obj in loaded.objects}
            collected = Collected(scope, now, loaded.objects, kinds, notes=loaded.notes)
        taken = take(collected, self.store, publishers=lambda: self._publishers, policy=self._ports.posture(), now=now)
        details = {"results": taken.results, "changed": taken.results_changed, "partial": taken.partial}
        return Outcome(details=details)

    def discover(self) -> list[Any]:
        """Read every configured cluster, account and registry; see `seawall.app.discover`."""
        from seawall.app.discover import discover

        return discover(
            self._ports.sources(),
            self.store,
            publishers=lambda: self._publishers,
            policy=self._ports.posture(),
            now=self._now,
        )

    def _raised(self, alerts: Sequence[Alert], rejected: int = 0) -> Outcome:
        """Keep alerts, correlate them, put what changed into the outbox; with a queue for it, in a job of its own.

        Everything is done again for a repeat, and a repeat changes nothing: a crash between two steps is made up for when
        the batch comes again.
        """
        from seawall.detection.folding import fold

        alerts = self._ports.tuning().raised(alerts)
        changed = self.store.alerts.merge(alerts, fold)
        if not alerts:
            return Outcome(rejected=rejected)
        ids = sorted({alert.id for alert in alerts})
        if self._queue is None or not self._correlates_apart:
            return Outcome(tuple(changed), self.correlate(ids).incidents, rejected)
        by_cluster: dict[str, list[str]] = {}
        for alert in sorted({alert.id: alert for alert in alerts}.values(), key=lambda alert: alert.id):
            by_cluster.setdefault(alert.cluster, []).append(alert.id)
        state = content_id("alerts", *(f"{alert.id}/{alert.count}" for alert in self.store.alerts.get(ids)))
        for cluster, members in by_cluster.items():
            key = content_id("correlate", cluster, state)
            data = {"cluster": cluster, "alerts": members}
            self._queue.put(CloudEvent(id=key, source="/alerts", type=ALERTS_RAISED, subject=cluster, data=data))
        return Outcome(tuple(changed), (), rejected)

    def correlate(self, alert_ids: Sequence[str]) -> Outcome:
        """Bring the incidents of stored alerts up to date and put their present state into the outbox, once each."""
        from seawall.app.correlate import correlate_alerts
        from seawall.app.publishing import incident_entries

        alerts = self.store.alerts.get(alert_ids)
        changed = correlate_alerts(alerts, self._correlation, self._analytics) if alerts else []
        touched = {incident.id: incident for incident in [*self._correlation.holding(alert_ids), *changed]}
        now = self._now()
        for incident in sorted(touched.values(), key=lambda item: item.id):
            held = self.store.alerts.get(incident.alert_ids)
            self.store.outbox.add(incident_entries(self._publishers, incident, held, now))
        return Outcome(incidents=tuple(changed))

    def _correlate(self, event: CloudEvent) -> Outcome:
        ids = event.data.get("alerts") if isinstance(event.data, dict) else None
        if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
            raise MalformedEvent("not a list of alerts", where="/data/alerts")
        return self.correlate(ids)

    def decide(
        self, incident_id: str, *, status: str = "", classification: str = "", owner: str = ""
    ) -> Incident | None:
        """Keep an analyst's decision about an incident and publish it; empty texts leave what is there.

        None: there is no such incident.
        """
        from seawall.app.publishing import incident_entries

        changed = self.store.incidents.decide(incident_id, status=status, classification=classification, owner=owner)
        if changed is not None:
            held = self.store.alerts.get(changed.alert_ids)
            self.store.outbox.add(incident_entries(self._publishers, changed, held, self._now()))
        return changed

    def take_forwarded(self, event: Mapping[str, Any]) -> int:
        """Add a document that another deployment forwarded to the outbox; return how many entries were new."""
        from seawall.app.forwarding import take_forwarded

        return take_forwarded(self.store.outbox, self._publishers, event, self._now())

    # Timers and health

    def tick(self, timer: str) -> None:
        """Do what is due by the clock."""
        if timer == "publish":
            self.publish()
        elif timer == "rescan":
            self.rescan()
        elif timer == "advisories":
            self._ports.update_advisories()
        elif timer == "reconcile":
            self.reconcile()
        elif timer == "discover":
            self.discover()
        elif timer == "assets":
            self._follower.flush(self._now())
        else:
            raise ConfigError(f"there is no timer {timer}")

    def reconcile(self) -> int:
        """Queue scans that were accepted long ago and never finished, and images nobody announced; return how many."""
        from seawall.domain.images import ImagePushed
        from seawall.oci.references import parse_reference

        limit = self._now() - FORGOTTEN
        found = 0
        for state in self.store.images.states(limit=1000):
            if state.state in ("queued", "running") and state.updated_at and state.updated_at < limit:
                reference = parse_reference(state.reference)
                push = ImagePushed(reference.registry, reference.repository, state.digest, reference.tag)
                self.accept_push(replace(push, source_event_id=f"reconcile/{state.updated_at.isoformat()}"))
                found += 1
        for push in self._scanning.unannounced(lambda digest: self.store.images.state(digest) is not None):
            self.accept_push(push)
            found += 1
        return found

    def rescan(self) -> Any:
        """Match stored packages against advisories that changed; publish and sign again where findings are others now."""
        return self._scanning.rescan(self.store, self._rescanned)

    def _rescanned(self, report: ImageReport) -> None:
        self._publish_image(report)
        for record in self._scanning.attest_again(report):
            self.store.images.save_attestation(record)

    def affected(self, name: str) -> dict[str, Any]:
        """Which stored images and running workloads have the vulnerability `name`: JSON values for API and console.

        Raises:
            NotFound: no advisory is called so.
        """
        from seawall.app.rescan import affected, document
        from seawall.app.running_images import running_images

        advisories = self._scanning.advisories()
        if not advisories.named(name):
            raise NotFound(f"no advisory is called {name}")
        found = affected(
            name,
            advisories=advisories,
            index=self.store.index,
            running=lambda digests: running_images(self.store, digests),
        )
        return document(name, found)

    def image(self, digest: str) -> ImageReport | None:
        """The stored report of an image, its findings in the order of their urgency as things run now."""
        from seawall.app.running_images import prioritised, running_images

        report = self.store.images.report(digest)
        running = running_images(self.store, (digest,)) if report else None
        if report is None or running is None or not running.is_known:
            return report
        findings = prioritised(report.findings, digest, running, self._scanning.advisories())
        return replace(report, findings=findings)

    def publish(self) -> Any:
        """Offer every due document of the outbox to its destination once."""
        from seawall.app.publishing import publish_outbox

        return publish_outbox(self.store.outbox, self._publishers, self._ports.clock)

    def poison(self, key: str, body: bytes, reason: str) -> None:
        """Keep an input that cannot be processed, for a person to look at."""
        from seawall.ports.store import PoisonRecord

        identifier = content_id("poison", key, hashlib.sha256(body).hexdigest())
        self.store.poison.add(PoisonRecord(identifier, key, reason[:2000], body[:POISON_BYTES], self._now()))

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

    def outbox_pending(self) -> dict[str, int]:
        """How many documents wait, by destination."""
        return self.store.outbox.pending()

    def analytics(self) -> Mapping[str, Any]:
        """Every analytic that judges audit, cloud, registry and inventory events and sensor batches here, by id."""
        return self._analytics

    def usage(self, start: datetime, end: datetime, cluster: str = "") -> list[dict[str, Any]]:
        """Monitored vCores by cluster in [start, end), as JSON values for API and command line."""
        import msgspec

        return [
            msgspec.to_builtins(item) | {"average_vcores": round(item.average_vcores, 2)}
            for item in self.store.metering.usage(start, end, cluster)
        ]

    def monitored_vcores(self) -> dict[str, int]:
        """vCores by cluster whose sensors were heard in this hour or the one before."""
        return self.store.metering.present(self._now() - timedelta(hours=2))

    def coverage(self) -> list[dict[str, Any]]:
        """See `seawall.app.coverage.coverage`; over what every cluster ever sent."""
        from seawall.app.coverage import coverage

        return coverage(self.store.baselines.arrivals(), self._analytics.values(), self._now())

    # Inside

    def _note_arrivals(self, events: Sequence[Any], now: datetime) -> None:
        """Keep what came from which cluster, each fact at most once a minute."""
        from seawall.detection.arrivals import facts_of
        from seawall.ports.baselines import Arrival

        due = [
            Arrival(cluster, fact, min(ts, now))
            for (cluster, fact), ts in facts_of(events).items()
            if ts - self._arrived.get((cluster, fact), ts - ARRIVAL_STEP) >= ARRIVAL_STEP
        ]
        self.store.baselines.arrived(due)
        self._arrived.update({(item.cluster, item.fact): item.last_seen for item in due})

    def _keep(self, event: CloudEvent) -> None:
        if self._queue is None:
            self.handle(event)
        else:
            self._queue.put(event)

    def _now(self) -> datetime:
        return self._ports.clock.now()

    def _trust(self, at: datetime) -> Any:
        from seawall.formats.sensor_certificate import CertificateTrust

        return CertificateTrust((self._ports.authority().certificate,), at, self.store.sensors.revoked)

    def _engine(self, job: str) -> Engine:
        """The engine of one kind of job: engines keep windows of the past and serve one worker each."""
        engine = self._engines.get(job)
        if engine is None:
            engine = self._engines[job] = self._ports.engine()
        return engine

    @property
    def sensor_authority(self) -> SensorAuthority:
        """Who signs the sensors' client certificates; made at first use."""
        return self._ports.authority()

    @cached_property
    def _scanning(self) -> Scanning:
        return self._ports.scanning()

    @cached_property
    def _baselines(self) -> StoredBaselines:
        return self._ports.baselines()

    @cached_property
    def _follower(self) -> AssetFollower:
        from seawall.app.follow_assets import AssetFollower

        return AssetFollower(
            self.store, publishers=lambda: self._publishers, policy=self._ports.posture, reader=self._ports.reader
        )

    @cached_property
    def _analytics(self) -> Mapping[str, Any]:
        return {rule.id: rule for rule in (*self._engine(AUDIT_RECEIVED).rules, *self._baselines.rules)}

    @cached_property
    def _publishers(self) -> Sequence[BatchPublisher]:
        return self._ports.publishers()

    @cached_property
    def _correlation(self) -> Any:
        return _Correlation(self.store)


class _Correlation:
    """`ports.correlation.CorrelationStore` over the stores of alerts and incidents."""

    def __init__(self, store: Store) -> None:
        self.touching = store.alerts.touching
        self.holding = store.incidents.holding
        self.save = store.incidents.save


def _readable(batch: Batch) -> Batch:
    """Return the batch, unless nothing in it could be read."""
    if batch.rejects and not batch.events and not batch.skipped:
        first = batch.rejects[0]
        what = f"no audit event in it: {first.reason} {first.detail}".strip()
        raise MalformedEvent(what, where=f"record {first.index}")
    return batch


def _digest(body: bytes, *more: str) -> str:
    return content_id("body", hashlib.sha256(body).hexdigest(), *more)
