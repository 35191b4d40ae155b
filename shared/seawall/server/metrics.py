"""Prometheus metrics of one server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """Counters with bounded labels, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.accepted = Counter(
            "seawall_events_accepted", "Events that doors accepted", ["door"], registry=self.registry
        )
        self.refused = Counter(
            "seawall_requests_refused", "Requests answered with an error", ["status"], registry=self.registry
        )
        self.jobs = Counter("seawall_jobs", "Jobs by kind and outcome", ["job", "outcome"], registry=self.registry)
        self.job_seconds = Histogram("seawall_job_seconds", "How long jobs run", ["job"], registry=self.registry)
        self.queue = Gauge("seawall_queue_depth", "Jobs that wait or run", ["job"], registry=self.registry)
        self.outbox = Gauge(
            "seawall_outbox_pending",
            "Documents that wait for their destination",
            ["destination"],
            registry=self.registry,
        )
        self.rejects = Counter(
            "seawall_records_rejected", "Single records that could not be read", ["door"], registry=self.registry
        )
