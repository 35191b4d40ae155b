"""What a deployment does with alerts: kept, correlated into incidents, decided about, published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from seawall.app.parts import Outcome
from seawall.domain.errors import MalformedEvent
from seawall.domain.ids import content_id
from seawall.formats.cloudevents import ALERTS_RAISED, CloudEvent

if TYPE_CHECKING:
    from seawall.app.parts import Parts
    from seawall.domain.alerts import Alert, Incident
    from seawall.ports.store import Store


class IncidentJobs:
    """Idempotent, over the stores of alerts and incidents and the outbox."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._queue: Callable[[CloudEvent], None] | None = None

    def correlate_apart(self, queue: Callable[[CloudEvent], None]) -> None:
        """From now on correlation is a job of its own, in order by cluster: `queue` takes its events."""
        self._queue = queue

    def raised(self, alerts: Sequence[Alert], rejected: int = 0) -> Outcome:
        """Keep alerts, correlate them, put what changed into the outbox; with a queue for it, in a job of its own.

        Everything is done again for a repeat, and a repeat changes nothing: a crash between two steps is made up for when
        the batch comes again.
        """
        from seawall.detection.folding import fold

        alerts = self._parts.tuning().raised(alerts)
        changed = self._parts.store.alerts.merge(alerts, fold)
        if not alerts:
            return Outcome(rejected=rejected)
        ids = sorted({alert.id for alert in alerts})
        if self._queue is None:
            return Outcome(tuple(changed), self.correlate(ids).incidents, rejected)
        by_cluster: dict[str, list[str]] = {}
        for alert in sorted({alert.id: alert for alert in alerts}.values(), key=lambda alert: alert.id):
            by_cluster.setdefault(alert.cluster, []).append(alert.id)
        state = content_id("alerts", *(f"{alert.id}/{alert.count}" for alert in self._parts.store.alerts.get(ids)))
        for cluster, members in by_cluster.items():
            key = content_id("correlate", cluster, state)
            data = {"cluster": cluster, "alerts": members}
            self._queue(CloudEvent(id=key, source="/alerts", type=ALERTS_RAISED, subject=cluster, data=data))
        return Outcome(tuple(changed), (), rejected)

    def correlate(self, alert_ids: Sequence[str]) -> Outcome:
        """Bring the incidents of stored alerts up to date and put their present state into the outbox, once each."""
        with self._parts.store.incidents.alone():
            return self._correlate(alert_ids)

    def _correlate(self, alert_ids: Sequence[str]) -> Outcome:
        from seawall.app.correlate import correlate_alerts
        from seawall.app.publishing import incident_entries

        alerts = self._parts.store.alerts.get(alert_ids)
        changed = correlate_alerts(alerts, self._correlation, self._parts.analytics) if alerts else []
        touched = {incident.id: incident for incident in [*self._correlation.holding(alert_ids), *changed]}
        now = self._parts.now()
        for incident in sorted(touched.values(), key=lambda item: item.id):
            held = self._parts.store.alerts.get(incident.alert_ids)
            self._parts.store.outbox.add(incident_entries(self._parts.publishers, incident, held, now))
        return Outcome(incidents=tuple(changed))

    def correlate_event(self, event: CloudEvent) -> Outcome:
        """Correlate the alerts that an event of `raised` names.

        Raises:
            MalformedEvent: it names none.
        """
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

        changed = self._parts.store.incidents.decide(
            incident_id, status=status, classification=classification, owner=owner
        )
        if changed is not None:
            held = self._parts.store.alerts.get(changed.alert_ids)
            self._parts.store.outbox.add(incident_entries(self._parts.publishers, changed, held, self._parts.now()))
        return changed

    def take_forwarded(self, event: Mapping[str, Any]) -> int:
        """Add a document that another deployment forwarded to the outbox; return how many entries were new."""
        from seawall.app.forwarding import take_forwarded

        return take_forwarded(self._parts.store.outbox, self._parts.publishers, event, self._parts.now())

    def publish(self) -> Any:
        """Offer every due document of the outbox to its destination once."""
        from seawall.app.publishing import publish_outbox

        return publish_outbox(self._parts.store.outbox, self._parts.publishers, self._parts.clock)

    def pending(self) -> dict[str, int]:
        """How many documents wait, by destination."""
        return self._parts.store.outbox.pending()

    @cached_property
    def _correlation(self) -> Any:
        return _Correlation(self._parts.store)


class _Correlation:
    """`ports.correlation.CorrelationStore` over the stores of alerts and incidents."""

    def __init__(self, store: Store) -> None:
        self.touching = store.alerts.touching
        self.holding = store.incidents.holding
        self.save = store.incidents.save
