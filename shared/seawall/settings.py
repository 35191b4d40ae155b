"""Every setting, typed: `SEAWALL_…` in the environment (nested by `__`), over one YAML file (`SEAWALL_CONFIG`), over defaults.

A name that is not a setting is a `ConfigError` that says the nearest one that is.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from seawall.domain.errors import ConfigError

PREFIX = "SEAWALL_"
NOT_SETTINGS = {"SEAWALL_CONFIG", "SEAWALL_REQUIRE", "SEAWALL_LOG_LEVEL", "SEAWALL_FUNCTIONS"}
"""Variables with our prefix that are not settings: where the file is, what tests require, how the command line logs."""


def _scheme(*known: str, path: bool = True) -> AfterValidator:
    """Refuse a URL of another scheme; with `path` what is no URL passes. The value may hold a password and is not shown."""

    def check(value: str) -> str:
        scheme, separator, _ = value.partition("://")
        if value and (separator or not path) and scheme not in known:
            shown = ", ".join(f"{name}://" for name in known)
            raise ValueError(f"expected {shown}{' or a path' if path else ''}")
        return value

    return AfterValidator(check)


DatabaseUrl = Annotated[str, _scheme("sqlite", "postgresql+psycopg", "postgresql", path=False)]
BlobUrl = Annotated[str, _scheme("abfs", "abfss", "az", "s3", "gs", "gcs", "file")]
KeyName = Annotated[str, _scheme("azurekms", "awskms", "gcpkms")]


class Section(BaseModel):
    """A group of settings; an unknown name inside is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RegistryCredential(Section):
    """How to talk to one registry host."""

    username: str = ""
    password: SecretStr = SecretStr("")
    token: SecretStr = SecretStr("")
    """An identity (OAuth 2 refresh) token instead of user name and password."""
    ca_file: Path | None = None
    """PEM bundle for a private certificate authority."""
    plain_http: bool = False
    """Speak HTTP without TLS: only for registries on this machine or in tests."""
    proxy: str = ""
    reconcile: bool = False
    """List this registry every six hours for images whose push was never announced."""
    repositories: tuple[str, ...] = ()
    """Repositories to list; empty = the registry's catalogue, which Docker Hub does not have."""
    rate_limit_reserve: int = Field(default=0, ge=0)
    """Pulls of the registry's rate limit that are left to others."""


class VulnerabilitySettings(Section):
    """Where advisories come from and how findings are judged."""

    update: bool = False
    """`seawall serve` brings the advisory file up to date by itself; otherwise run `seawall db update`."""

    sources: tuple[str, ...] = ()
    """URLs, files or folders for `seawall db update`; empty = the OSV exports, CISA KEV and EPSS."""
    mirror: str = ""
    """URL or folder that has the default sources under the same names, for air-gapped sites."""
    public_key: Path | None = None
    """PEM public key that must have signed the advisory file; none = any file that is whole is taken."""
    policy: Path | None = None
    """Policy file with exceptions that hold for every scan."""


class DetectionSettings(Section):
    """A deployment's own analytics, lists and exceptions from them."""

    tuning: Path | None = None
    """Tuning file: what is off, other severities and thresholds, suppressions; each with reason and expiry."""
    sigma: tuple[Path, ...] = ()
    """Sigma rules for Kubernetes audit: files and folders."""
    python_rules: bool = True
    """Load analytics of installed packages (entry points of the group `seawall.analytics`)."""
    learning_days: int = Field(default=14, ge=1, le=32)
    """How long baselines of a cluster learn before they alert."""
    threat_addresses: tuple[str, ...] = ()
    """Files or URLs with addresses and networks, one a line."""
    own_networks: tuple[str, ...] = ()
    """Files or URLs with public ranges that are this organisation's own."""
    mining_images: tuple[str, ...] = ()
    """Files or URLs with repositories that mine, one a line."""
    image_digests: tuple[str, ...] = ()
    """Files or URLs with digests of harmful images."""
    identities: tuple[str, ...] = ()
    """Files or URLs with identities of your own platform and what each may do without an alert (YAML)."""


class PostureSettings(Section):
    """How this deployment wants its clusters to be judged."""

    exceptions: Path | None = None
    """YAML file of accepted failures, each with a reason and an end."""
    parameters: Path | None = None
    """YAML file of settings by control id."""
    team_label: str = "team"
    """Label of objects or namespaces that names the team; scores are split by it."""


class ClusterSettings(Section):
    """A cluster that is listed through its API server."""

    kubeconfig: Path | None = None
    """Empty = `KUBECONFIG` or `~/.kube/config`, or the pod's own account with `in_cluster`."""
    context: str = ""
    in_cluster: bool = False
    """Through the service account of the pod that Seawall runs in."""


class AzureDiscoverySettings(Section):
    """Subscriptions that are searched for clusters and registries, by the identity of `azure`."""

    subscriptions: tuple[str, ...] = Field(min_length=1)
    clusters: bool = False
    """Also list the objects in the AKS clusters found, with their Entra sign-in."""
    policy_states: bool = True
    """Also read compliance states of Azure Policy."""
    endpoint: str = "https://management.azure.com"
    ca_file: Path | None = None


class AwsDiscoverySettings(Section):
    """The account of the role that Seawall runs under."""

    regions: tuple[str, ...] = ()
    """Empty = every region that the account has enabled."""
    clusters: bool = False
    """Also list the objects in the EKS clusters found; needs an access entry for the role."""


class GcpDiscoverySettings(Section):
    """Projects that are searched for clusters, repositories and Cloud Run services."""

    projects: tuple[str, ...] = Field(min_length=1)
    clusters: bool = False
    """Also list the objects in the GKE clusters found."""
    container_endpoint: str = "https://container.googleapis.com"
    artifacts_endpoint: str = "https://artifactregistry.googleapis.com"
    run_endpoint: str = "https://run.googleapis.com"
    ca_file: Path | None = None


class DiscoverySettings(Section):
    """What the timer job `discover` reads, every hour. Nothing is written there."""

    clusters: dict[str, ClusterSettings] = Field(default_factory=dict)
    """By the cluster's name, the same that its audit events and sensors carry."""
    azure: AzureDiscoverySettings | None = None
    aws: AwsDiscoverySettings | None = None
    gcp: GcpDiscoverySettings | None = None
    registries: tuple[str, ...] = ()
    """Hosts of `registries` whose repositories are listed: Docker Hub, Harbor, JFrog, or by the catalogue API."""


class WebhookPublisherSettings(Section):
    """Generic webhook: incidents as JSON, signed by HMAC-SHA256."""

    url: str
    secret: SecretStr
    timeout_s: float = Field(default=10, gt=0, le=120)


class AzureSettings(Section):
    """Who we are towards Azure."""

    identity: Literal["managed", "workload", "default", "aws", "gcp"] = "managed"
    """managed on Azure; workload on Kubernetes; aws and gcp exchange that cloud's token, without a stored secret."""
    client_id: str = ""
    """Of the user-assigned identity or app registration; empty = the system-assigned identity."""
    tenant_id: str = ""
    """For workload, aws and gcp."""
    authority: str = "https://login.microsoftonline.com"
    key_vault_url: str = ""


class AwsSettings(Section):
    """Who we are towards AWS; empty = the role that the process runs under."""

    role_arn: str = Field(default="", pattern=r"^$|^arn:aws[a-z-]*:iam::\d{12}:role/.+$")
    """A role that trusts Entra: it is taken with a token of the `azure` identity, without a stored secret."""
    audience: str = ""
    """App ID URI of the Entra application that the role's trust policy names, e.g. api://seawall-aws."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.role_arn and not self.audience:
            raise ValueError("role_arn needs audience, the App ID URI that the role's trust policy names")
        return self


DocumentKind = Literal["incident", "alert", "image", "assessment", "asset"]


class SentinelSettings(Section):
    """Rows into Log Analytics, which rules turn into incidents in Sentinel and Defender XDR."""

    endpoint: str = Field(pattern=r"^https://")
    """Logs ingestion endpoint of the data collection rule or endpoint."""
    rule_id: str = Field(pattern=r"^dcr-[0-9a-f]{32}$")
    """Immutable id of the data collection rule."""
    kinds: tuple[DocumentKind, ...] = ("incident", "alert", "image", "assessment", "asset")
    alerts_per_minute: int = Field(default=25, ge=2, le=29)
    """A near-real-time rule raises 30 a minute and folds what is beyond into the last."""
    audience: str = "https://monitor.azure.com"
    ca_file: Path | None = None


class SentinelWorkspace(Section):
    """A workspace, by its place in Azure Resource Manager."""

    subscription_id: str
    resource_group: str
    workspace: str
    endpoint: str = "https://management.azure.com"
    audience: str = "https://management.azure.com"
    ca_file: Path | None = None


class IndicatorSettings(Section):
    """STIX indicators into Sentinel's threat intelligence (upload API, preview)."""

    workspace_id: str
    """The workspace's (customer) id, a GUID."""
    endpoint: str = "https://api.ti.sentinel.azure.com"
    audience: str = "https://management.azure.com"
    valid_days: int = Field(default=30, ge=1, le=365)
    ca_file: Path | None = None


class DefenderSyncSettings(Section):
    """Status, classification and owner of incidents back from the Defender portal."""

    endpoint: str = "https://graph.microsoft.com/v1.0"
    overlap_minutes: int = Field(default=10, ge=1)
    """How far each run looks back behind the last one."""
    write_back: bool = False
    """Also change the portal's incidents when status, classification or owner change here; needs SecurityIncident.ReadWrite.All."""
    ca_file: Path | None = None


class HubSettings(Section):
    """Forward everything that is published to another Seawall's Event Hubs: the hub that has the Defender connection."""

    namespace: str
    """Fully qualified, <name>.servicebus.windows.net."""
    event_hub: str = "forwarded"
    source: str = Field(min_length=1)
    """Name of this spoke, e.g. aws:123456789012:eu-west-1."""
    connection_string: SecretStr = SecretStr("")
    """For tests and emulators; empty = the identity of `azure`."""
    kinds: tuple[DocumentKind, ...] = ("incident", "alert", "image", "assessment", "asset")


class SecurityHubSettings(Section):
    """AWS Security Hub findings (ASFF)."""

    region: str
    account_id: str = Field(pattern=r"^\d{12}$")
    product_arn: str = ""
    """Empty = the account's default product."""
    images: bool = True
    """Also one finding per image with open vulnerabilities."""


class SecurityCommandCenterSettings(Section):
    """Google Security Command Center findings."""

    source: str = Field(pattern=r"^(organizations|folders|projects)/[^/]+/sources/[^/]+$")
    location: str = "global"
    endpoint: str = "https://securitycenter.googleapis.com"
    ca_file: Path | None = None


class ChatSettings(Section):
    """An incoming webhook that shows new and worse incidents as a card."""

    url: SecretStr
    minimum: Literal["informational", "low", "medium", "high", "critical"] = "medium"
    console_url: str = ""
    """Base URL of Seawall's console, for links."""
    ca_file: Path | None = None


class SyslogSettings(Section):
    """Incidents as CEF over syslog (RFC 5424)."""

    host: str
    port: int = Field(default=514, ge=1, le=65535)
    transport: Literal["udp", "tcp", "tls"] = "tcp"
    ca_file: Path | None = None


class ObjectStorageSettings(Section):
    """OCSF JSON lines as objects: one object per batch, below year/month/day."""

    url: BlobUrl
    """URL of a container or bucket folder: abfs://, s3://, gs:// or a path."""
    kinds: tuple[DocumentKind, ...] = ("incident", "alert", "image", "assessment")


class AdmissionSettings(Section):
    """May an image run: decisions for API servers out of signed findings and a policy."""

    policy: str
    """Path of the policy file (read again when it changes), or the policy itself as JSON."""
    token: SecretStr = Field(min_length=16)
    """What API servers show: a bearer token, or the last part of the webhook's path."""
    unknown: Literal["open", "closed"] = "open"
    """Images that cannot be judged (registry down, too slow): let in with a warning, or refused where a rule enforces."""
    public_key: Path | None = None
    """PEM public key that must have signed the findings; empty = this deployment's own `signing_key`."""
    evidence_s: float = Field(default=300, gt=0)
    """How long signed findings are believed before the registry is asked again."""
    missing_s: float = Field(default=30, gt=0)
    """The same where there are none yet."""
    tag_s: float = Field(default=60, gt=0)
    """How long a tag is believed to stand for the same digest."""
    answer_s: float = Field(default=3, gt=0, le=30)
    """Longest that a decision waits for the registry; stay below the webhook's timeoutSeconds."""


class JobQueueSettings(Section):
    """Queues of a serverless deployment; without this section accepted events are handled at once, or by `seawall serve`."""

    service: Literal["azure-storage", "sqs", "pubsub"]
    endpoint: str = ""
    """https://<account>.queue.core.windows.net, https://sqs.<region>.amazonaws.com/<account> or projects/<id>."""
    prefix: str = "seawall-"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        form, example = QUEUE_ENDPOINTS[self.service]
        if not re.fullmatch(form, self.endpoint.rstrip("/")):
            raise ValueError(f"endpoint of {self.service} is {example}")
        return self


QUEUE_ENDPOINTS = {
    "azure-storage": (r"https?://[^/]+(/[^/]+)?", "https://<account>.queue.core.windows.net"),
    "sqs": (r"https?://[^/]+/\d{12}", "https://sqs.<region>.amazonaws.com/<account>"),
    "pubsub": (r"projects/[^/]+", "projects/<id>"),
}
"""Service of a job queue: the form of its endpoint, and how it is shown."""


class Settings(BaseSettings):
    """The settings of this deployment."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Path("seawall-data")
    """Where the embedded store, the advisory file, blobs and keys live by default."""
    store_url: DatabaseUrl = ""
    """SQLAlchemy URL: `sqlite:///path` or `postgresql+psycopg://…`; empty = `seawall.sqlite` in `data_dir`."""
    store_identity: Literal["", "azure", "aws", "gcp"] = ""
    """PostgreSQL's password is a token of this cloud's identity (Entra, RDS IAM, Cloud SQL IAM); empty = as in `store_url`."""
    queue_url: DatabaseUrl = ""
    """SQLAlchemy URL of the local queue; empty = `queue.sqlite` in `data_dir`, or the PostgreSQL store's own database."""
    blob_url: BlobUrl = ""
    """URL for queued bodies, layer caches and the advisory file (`abfs://`, `s3://`, `gs://`, a path); empty = `blobs` in `data_dir`."""
    advisories: Path | None = None
    """The advisory file; empty = `advisories.db` in `data_dir`."""
    vulnerabilities: VulnerabilitySettings = VulnerabilitySettings()
    signing_key: KeyName = ""
    """Signer: a PEM file's path, `env:NAME`, `azurekms://…`, `awskms:///…` or `gcpkms://…`; empty = `signing-key.pem` in `data_dir`."""
    sensor_authority_key: KeyName = ""
    """Signer of sensors' client certificates, written like `signing_key`; empty = `sensor-authority-key.pem` in `data_dir`."""
    sensor_authority_certificate: Path | None = None
    """The authority's certificate; empty = `sensor-authority.pem` in `data_dir`, made at first use."""
    registries: dict[str, RegistryCredential] = Field(default_factory=dict)
    """By registry host[:port]."""
    webhook_secret: SecretStr = SecretStr("")
    """Shared secret of registry and audit webhooks; empty = those doors are closed."""
    api_token: SecretStr = SecretStr("")
    """Bearer token of API and console; empty = only callers on the loopback address are served."""
    event_grid_subscriptions: tuple[str, ...] = ()
    """Names of the Event Grid subscriptions whose handshake and events are answered; empty = any that knows the secret."""
    max_body_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    """Largest request body that a door takes."""
    detection: DetectionSettings = DetectionSettings()
    posture: PostureSettings = PostureSettings()
    discovery: DiscoverySettings = DiscoverySettings()
    cluster: str = ""
    """Name of the cluster whose events carry no cluster name of their own."""
    attach_attestations: bool = True
    """Write signed findings to the registry as OCI referrers."""
    attestation_ttl_days: int = Field(default=30, ge=1)
    ocsf_file: Path | None = None
    """Append alerts and incidents as OCSF JSON lines."""
    webhook: WebhookPublisherSettings | None = None
    job_queue: JobQueueSettings | None = None
    admission: AdmissionSettings | None = None
    azure: AzureSettings = AzureSettings()
    aws: AwsSettings = AwsSettings()
    sentinel: SentinelSettings | None = None
    sentinel_incidents: SentinelWorkspace | None = None
    """Compatibility: put Sentinel incidents by API, for workspaces that are not in the Defender portal."""
    indicators: IndicatorSettings | None = None
    defender_sync: DefenderSyncSettings | None = None
    hub: HubSettings | None = None
    security_hub: SecurityHubSettings | None = None
    security_command_center: SecurityCommandCenterSettings | None = None
    slack: ChatSettings | None = None
    teams: ChatSettings | None = None
    syslog: SyslogSettings | None = None
    ocsf_storage: ObjectStorageSettings | None = None
    log_format: Literal["text", "json"] = "text"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then the YAML file."""
        path = os.environ.get("SEAWALL_CONFIG")
        file = (YamlConfigSettingsSource(settings_cls, yaml_file=path),) if path else ()
        return (init_settings, env_settings, *file)

    @property
    def effective_store_url(self) -> str:
        """`store_url`, or the embedded SQLite file."""
        return self.store_url or f"sqlite:///{self.data_dir / 'seawall.sqlite'}"

    @property
    def effective_queue_url(self) -> str:
        """`queue_url`, or the embedded file, or the store's PostgreSQL database."""
        if self.queue_url or self.store_url.startswith("postgresql"):
            return self.queue_url or self.store_url
        return f"sqlite:///{self.data_dir / 'queue.sqlite'}"

    @property
    def effective_blob_url(self) -> str:
        """`blob_url`, or the local folder."""
        return self.blob_url or str(self.data_dir / "blobs")

    @property
    def effective_advisories(self) -> Path:
        """`advisories`, or the default file."""
        return self.advisories or self.data_dir / "advisories.db"

    @property
    def effective_signing_key(self) -> str:
        """`signing_key`, or the default file."""
        return self.signing_key or str(self.data_dir / "signing-key.pem")


def load_settings(**overrides: Any) -> Settings:
    """Return the settings of this process; `overrides` win over everything.

    Raises:
        ConfigError: an unknown name (with the nearest known one), a value of the wrong type (with its place and what
            is expected), or a file that is not there.
    """
    _refuse_unknown_variables(os.environ)
    path = os.environ.get("SEAWALL_CONFIG")
    if path and not Path(path).is_file():
        raise ConfigError(f"SEAWALL_CONFIG names {path!r}, which is not a file")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigError("; ".join(_explained(error))) from error
    except Exception as error:
        from yaml import YAMLError  # not loaded where there is no file: function apps start with it or without

        if not isinstance(error, YAMLError | UnicodeDecodeError):
            raise
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS and name.split("__")[0] not in known:
            raise ConfigError(f"{name} is not a setting", hint=_nearest(name, known))


def _explained(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            hint = _nearest(str(problem["loc"][-1]), _names_at(problem["loc"][:-1]))
            yield f"{where} is not a setting" + (f" ({hint})" if hint else "")
        else:
            yield f"{where} ({_variable(problem['loc'])}): {problem['msg'].removeprefix('Value error, ')}"


def _variable(location: tuple[int | str, ...]) -> str:
    """The environment's name of a setting; parts of a list have the list's."""
    named = itertools.takewhile(lambda part: isinstance(part, str), location)
    return PREFIX + "__".join(str(part) for part in named).upper()


def _names_at(location: tuple[int | str, ...]) -> set[str]:
    model: Any = Settings
    for part in location:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            continue
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next((item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel)), model)
    return set(getattr(model, "model_fields", {}))


def _nearest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
