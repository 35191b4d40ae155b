"""Prometheus metrics of one server."""

from __future__ import annotations

from collections.abc import Mapping

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
        self.admissions = Counter(
            "seawall_admission_reviews", "Admission reviews by outcome", ["outcome"], registry=self.registry
        )
        self.admission_seconds = Histogram(
            "seawall_admission_seconds",
            "How long an API server waits for a decision",
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 3, 10),
            registry=self.registry,
        )
        self.vcores = Gauge(
            "seawall_monitored_vcores", "vCores of nodes whose sensors report", ["cluster"], registry=self.registry
        )

    @staticmethod
    def show(gauge: Gauge, values: Mapping[str, int]) -> None:
        """Set the gauge's one label to what is there now; what was there before and is not any more is 0."""
        for (earlier,) in {tuple(sample.labels.values()) for sample in next(iter(gauge.collect())).samples}:
            gauge.labels(earlier).set(0)
        for label, value in values.items():
            gauge.labels(label).set(value)
