"""The one place that picks implementations for ports, from typed settings."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING

from seawall.app.application import Application
from seawall.app.parts import Ports
from seawall.domain.errors import ConfigError, MissingExtra
from seawall.settings import DetectionSettings, Settings, load_settings

if TYPE_CHECKING:
    from seawall.adapters.job_queues import CloudJobQueue
    from seawall.adapters.shared_advisories import SharedAdvisories
    from seawall.app.admit import Admission
    from seawall.app.analytics import Analytics
    from seawall.app.baselines import StoredBaselines
    from seawall.app.judge_posture import PosturePolicy
    from seawall.app.scanning import Scanning
    from seawall.detection.engine import Engine
    from seawall.ports.clock import Clock
    from seawall.ports.inventory_source import InventorySource, ObjectReader
    from seawall.ports.outbox import Outbox
    from seawall.ports.publisher import BatchPublisher
    from seawall.ports.sensors import SensorAuthority
    from seawall.ports.signer import Signer
    from seawall.ports.store import Store
    from seawall.vulnerability.advisory_file import AdvisoryFile
    from seawall.vulnerability.exceptions import Exceptions


def bootstrap(settings: Settings | None = None) -> Application:
    """Return the application of this deployment; `settings` None = from environment and file.

    Opens the store and nothing else: what a job needs is made when the job first runs.
    """
    from seawall.adapters.clock import SystemClock
    from seawall.adapters.sql.store import open_store

    chosen = settings or load_settings()
    if chosen.aws.role_arn:
        _federate(chosen)
    store, clock = open_store(chosen), SystemClock()
    analytics = cache(lambda: configured_analytics(chosen.detection, clock.now().date()))
    return Application(
        Ports(
            store=store,
            clock=clock,
            scanning=lambda: _scanning(chosen, clock),
            engine=lambda: _engine(analytics()),
            baselines=lambda: _baselines(analytics(), store, chosen),
            tuning=lambda: analytics().tuning,
            authority=lambda: _authority(chosen),
            publishers=lambda: publishers(chosen, store.outbox, clock),
            posture=cache(lambda: posture_policy(chosen)),
            sources=lambda: inventory_sources(chosen),
            reader=ClusterReaders(chosen),
            update_advisories=lambda: _update_advisories(chosen),
            admission=(lambda: _admission(chosen, clock, store)) if chosen.admission else None,
            close=store.close,
        )
    )


def function_app(settings: Settings | None = None) -> tuple[Application, CloudJobQueue | None]:
    """Return the application of a function app, and the cloud's queue that it keeps accepted events in, if one is set."""
    from seawall.adapters.job_queues import open_job_queue

    chosen = settings or load_settings()
    application = bootstrap(chosen)
    queue = open_job_queue(chosen)
    if queue is not None:
        application.use_queue(queue, correlate_apart=True)
    return application, queue


def _federate(settings: Settings) -> None:
    from seawall.adapters.aws.session import federate
    from seawall.adapters.azure.identity import azure_credential

    credential, scope = azure_credential(settings.azure), f"{settings.aws.audience}/.default"
    federate(settings.aws.role_arn, lambda: credential.get_token(scope).token)


def _update_advisories(settings: Settings) -> None:
    from seawall.adapters.shared_advisories import update_advisories

    update_advisories(settings)


def _admission(settings: Settings, clock: Clock, store: Store) -> Admission:
    from seawall.adapters.admission_policy import PolicyFile
    from seawall.adapters.images.opening import open_registry
    from seawall.app.admit import Admission, AdmissionLimits, SignedFindings

    section = settings.admission
    assert section is not None

    @cache
    def key() -> str:
        if section.public_key is None:
            return configured_signer(settings).public_key_pem()
        try:
            return section.public_key.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"admission.public_key {section.public_key} cannot be read: {error}") from error

    if section.public_key is not None:
        key()
    findings = SignedFindings(open_registry(settings), key, clock)
    limits = AdmissionLimits(section.evidence_s, section.missing_s, section.tag_s, section.answer_s)
    return Admission(
        PolicyFile(section.policy),
        findings,
        unknown=section.unknown,
        limits=limits,
        clock=clock.now,
        denied=store.responses.denied,
    )


def _scanning(settings: Settings, clock: Clock) -> Scanning:
    from seawall.adapters.images.opening import open_layer_cache, open_registry, open_sources
    from seawall.adapters.osv.file import mark_rescanned, open_rescanned
    from seawall.app.scanning import Scanning

    return Scanning(
        clock=clock,
        sources=lambda: open_sources(settings),
        cache=lambda: open_layer_cache(settings),
        advisories=AdvisoryOpener(settings),
        registry=cache(lambda: open_registry(settings)),
        signer=cache(lambda: configured_signer(settings)) if settings.attach_attestations else None,
        attestation_lifetime=timedelta(days=settings.attestation_ttl_days),
        listed={host: entry.repositories for host, entry in settings.registries.items() if entry.reconcile},
        exceptions=cache(lambda: standing_exceptions(settings)),
        previous=lambda: open_rescanned(settings.effective_advisories),
        rescanned=lambda: mark_rescanned(settings.effective_advisories),
    )


def posture_policy(settings: Settings) -> PosturePolicy:
    """Return how this deployment wants to be judged.

    Raises:
        ConfigError: a file cannot be read. InputError: it has a mistake.
    """
    from seawall.app.judge_posture import PosturePolicy
    from seawall.posture.exceptions import read_exceptions
    from seawall.posture.parameters import read_parameters

    section = settings.posture
    try:
        accepted = (
            read_exceptions(section.exceptions.read_bytes(), str(section.exceptions)) if section.exceptions else []
        )
        chosen = read_parameters(section.parameters.read_bytes(), str(section.parameters)) if section.parameters else {}
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}") from error
    return PosturePolicy(accepted, chosen, section.team_label)


def inventory_sources(settings: Settings) -> Sequence[InventorySource]:
    """Return what discovery reads: the clusters, accounts and registries of the settings."""
    from seawall.adapters.inventory import open_sources

    return open_sources(settings)


class ClusterReaders:
    """Readers of single objects by cluster, opened when first needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: dict[str, ObjectReader] = {}

    def __call__(self, scope: str) -> ObjectReader | None:
        """Return the reader of a cluster that the settings name, None for others."""
        if scope not in self._settings.discovery.clusters:
            return None
        if scope not in self._open:
            from seawall.adapters.inventory import cluster_source

            self._open[scope] = cluster_source(scope, self._settings.discovery.clusters[scope])
        return self._open[scope]


def standing_exceptions(settings: Settings) -> Exceptions:
    """Return the rules of the deployment's policy file, none where there is no such setting.

    Raises:
        ConfigError: the file cannot be read.
        InputError: it is no policy.
    """
    from seawall.formats import policy
    from seawall.vulnerability.exceptions import NO_EXCEPTIONS

    path = settings.vulnerabilities.policy
    if path is None:
        return NO_EXCEPTIONS
    try:
        return policy.read(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"the policy {path} cannot be read: {error}") from error


class AdvisoryOpener:
    """Opens the advisory file, and opens it again when `seawall db update` has put a new one in its place."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: tuple[tuple[int, int], AdvisoryFile] | None = None
        self._shared: SharedAdvisories | None = None
        if settings.blob_url:
            from seawall.adapters.blobs import open_blobs
            from seawall.adapters.shared_advisories import SharedAdvisories

            self._shared = SharedAdvisories(open_blobs(settings.blob_url, settings), settings.effective_advisories)

    def __call__(self) -> AdvisoryFile:
        """Return the present advisory file.

        Raises:
            ConfigError: there is none.
        """
        from seawall.adapters.osv.file import open_file

        if self._shared is not None:
            self._shared.refresh()
        path, key = self._settings.effective_advisories, self._settings.vulnerabilities.public_key
        try:
            state = path.stat()
            version = (state.st_mtime_ns, state.st_ino)
        except OSError:
            version = (0, 0)
        if self._open is None or self._open[0] != version:
            self._open = (version, open_file(path, public_key_pem=key.read_text() if key else ""))
        return self._open[1]


def configured_signer(settings: Settings) -> Signer:
    """Return the signer of findings; the default key file and its public half (`.pub`) are made at first use."""
    from seawall.adapters.signers import open_signer

    signer = open_signer(settings.effective_signing_key, create=not settings.signing_key)
    if not settings.signing_key:
        public = settings.data_dir / "signing-key.pub"
        if not public.exists():
            public.write_text(signer.public_key_pem())
    return signer


def _authority(settings: Settings) -> SensorAuthority:
    from seawall.adapters.sensor_authority import SignedAuthority
    from seawall.adapters.signers import open_signer

    key = settings.sensor_authority_key or str(settings.data_dir / "sensor-authority-key.pem")
    signer = open_signer(key, create=not settings.sensor_authority_key)
    certificate = settings.sensor_authority_certificate or settings.data_dir / "sensor-authority.pem"
    return SignedAuthority(signer, certificate)


def configured_analytics(detection: DetectionSettings, today: date) -> Analytics:
    """Return the analytics as this deployment wants them, with its lists.

    Raises:
        ConfigError: a file of rules, lists or tuning cannot be read or has a mistake.
    """
    from seawall.adapters.lists import read_list, read_text
    from seawall.app.analytics import assembled

    return assembled(
        today=today,
        tuning=detection.tuning,
        sigma=detection.sigma,
        python_rules=detection.python_rules,
        lists={
            name: tuple(entry for place in getattr(detection, name) for entry in read_list(place))
            for name in ("threat_addresses", "own_networks", "mining_images", "image_digests")
        },
        identities=[(place, read_text(place)) for place in detection.identities],
    )


def _engine(analytics: Analytics) -> Engine:
    from seawall.detection.engine import Engine

    return Engine(analytics.rules, knowledge=analytics.knowledge)


def _baselines(analytics: Analytics, store: Store, settings: Settings) -> StoredBaselines:
    from seawall.app.baselines import StoredBaselines
    from seawall.detection.baselines.learner import Learning

    learning = Learning(learning_days=settings.detection.learning_days)
    return StoredBaselines(analytics.baselines, store.baselines, learning, analytics.knowledge)


def publishers(settings: Settings, outbox: Outbox, clock: Clock) -> Sequence[BatchPublisher]:
    """Return the destinations whose settings are there.

    Raises:
        MissingExtra: a destination's optional dependency is not installed.
    """
    from seawall.adapters.destinations import DESTINATIONS
    from seawall.app.publishing import PerIncident

    found: list[BatchPublisher] = []
    for destination in DESTINATIONS:
        if getattr(settings, destination.id) is None:
            continue
        module, _, name = destination.factory.partition(":")
        try:
            made = getattr(importlib.import_module(module), name)(settings, outbox, clock)
        except ImportError as error:
            raise MissingExtra(destination.extra or "server", destination.title) from error
        found.append(made if hasattr(made, "publish_batch") else PerIncident(made))
    return found
