"""What a deployment does with audit events and sensor batches: analytics, baselines, what arrived from where."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from seawall.app.parts import Outcome
from seawall.formats.cloudevents import AUDIT_RECEIVED, SENSOR_RECEIVED, body_id

if TYPE_CHECKING:
    from seawall.app.incident_jobs import IncidentJobs
    from seawall.app.parts import Parts
    from seawall.domain.alerts import Alert

log = logging.getLogger(__name__)

ARRIVAL_STEP = timedelta(minutes=1)


class DetectionJobs:
    """Idempotent; what they raise goes to the jobs of incidents."""

    def __init__(self, parts: Parts, incidents: IncidentJobs) -> None:
        self._parts, self._incidents = parts, incidents
        self._runtime_analytics: str | None = None
        self._arrived: dict[tuple[str, str], datetime] = {}

    def audit(self, body: bytes, cluster: str = "") -> Outcome:
        """Run the analytics over audit events; keep alerts and the incidents they make."""
        from seawall.detection.sources.recognise import decode

        batch = decode(body, cluster=cluster).readable()
        now, engine = self._parts.now(), self._parts.engine(AUDIT_RECEIVED)
        alerts = engine.run(batch.events)
        baselines = self._parts.baselines
        try:
            unusual = baselines.judge(batch.events, alerts, now)
            raised = self._incidents.raised([*alerts, *unusual], rejected=batch.rejected.total())
            muted = baselines.save(now, body_id(body, cluster))
            self._note_arrivals(batch.events, now)
        except Exception:
            baselines.drop()
            raise
        self._parts.follower.take(batch.events, now)
        if muted:
            log.info("baseline alerts were not raised", extra=muted)
        return replace(raised, details={"muted": muted} if muted else {})

    def sensor(self, body: bytes, received_at: datetime | None = None) -> Outcome:
        """Take a sensor batch: what it holds, what is missing, what runs on the node, the alerts of it."""
        from seawall.app.ingest_running import keep_running
        from seawall.app.ingest_sensor import ingest_sensor
        from seawall.app.meter import metered

        raised: list[Outcome] = []

        def keep(batch: Any, alerts: Sequence[Alert]) -> None:
            keep_running(self._parts.store.running, batch.events, now)
            self._parts.store.metering.note(metered(batch, now))
            raised.append(self._incidents.raised(alerts))

        now = self._parts.now()
        taken = ingest_sensor(
            body,
            trust=self._parts.trust(received_at or now),
            store=self._parts.store.sensors,
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

        engine = self._parts.engine(SENSOR_RECEIVED)
        if self._runtime_analytics is None:
            self._runtime_analytics = runtime_analytics_id(engine.rules)
        return [] if header.analytics == self._runtime_analytics else engine.run(events)

    def analytics(self) -> Mapping[str, Any]:
        """Every analytic that judges audit, cloud, registry and inventory events and sensor batches here, by id."""
        return self._parts.analytics

    def coverage(self) -> list[dict[str, Any]]:
        """See `seawall.app.coverage.coverage`; over what every cluster ever sent."""
        from seawall.app.coverage import coverage

        return coverage(self._parts.store.baselines.arrivals(), self._parts.analytics.values(), self._parts.now())

    def _note_arrivals(self, events: Sequence[Any], now: datetime) -> None:
        """Keep what came from which cluster, each fact at most once a minute."""
        from seawall.detection.arrivals import facts_of
        from seawall.ports.baselines import Arrival

        due = [
            Arrival(cluster, fact, min(ts, now))
            for (cluster, fact), ts in facts_of(events).items()
            if ts - self._arrived.get((cluster, fact), ts - ARRIVAL_STEP) >= ARRIVAL_STEP
        ]
        self._parts.store.baselines.arrived(due)
        self._arrived.update({(item.cluster, item.fact): item.last_seen for item in due})
