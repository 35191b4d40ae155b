"""What control planes report: Kubernetes audit events, cloud management operations, registry events, inventory facts.

Kubernetes audit events are decoded by msgspec straight into `AuditEvent`: field names in JSON are those of
`audit.k8s.io/v1` (kubernetes.io, "kube-apiserver Audit Configuration"), other sources are mapped onto them. Bodies,
annotations and the user's extra fields stay undecoded bytes until something asks.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

MAX_BODY_BYTES = 4 * 1024 * 1024
"""A request body over this is not decoded; the API server itself refuses over 3 MiB."""

_OMITTED = msgspec.Raw(b"")


def decode_raw(raw: msgspec.Raw | bytes | None) -> Any:
    """Return the JSON value in `raw`; None when it is absent, over `MAX_BODY_BYTES`, too deep or not JSON."""
    if not raw:
        return None
    data = bytes(raw)
    if len(data) > MAX_BODY_BYTES:
        return None
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None


def parse_time(text: str) -> datetime | None:
    """Return the UTC time of an RFC 3339 text (a space for the T, no zone = UTC, up to 9 digits of fraction), or None."""
    if not 10 <= len(text) <= 40:
        return None
    head, dot, tail = text.partition(".")
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        text = f"{head}.{tail[: min(digits, 6)].ljust(6, '0')}{tail[digits:]}"
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (OverflowError, ValueError):
        return None


class User(msgspec.Struct, gc=False, omit_defaults=True):
    """authentication.k8s.io UserInfo. GKE and Azure give no groups."""

    username: str | None = ""
    groups: list[str] | None = None
    uid: str | None = ""
    extra: msgspec.Raw = _OMITTED


class ObjectRef(msgspec.Struct, gc=False, omit_defaults=True, rename="camel"):
    """What the request was about; an empty `name` is a collection or a name that the server makes."""

    resource: str | None = ""
    namespace: str | None = ""
    name: str | None = ""
    subresource: str | None = ""
    api_group: str | None = ""
    api_version: str | None = ""
    uid: str | None = ""


class ResponseStatus(msgspec.Struct, gc=False, omit_defaults=True):
    """meta/v1 Status; code 0 = not known."""

    code: int | None = 0
    reason: str | None = ""
    status: str | None = ""
    message: str | None = ""


NO_USER = User()
NO_OBJECT = ObjectRef()


class AuditEvent(
    msgspec.Struct,
    gc=False,
    omit_defaults=True,
    rename={
        "audit_id": "auditID",
        "impersonated": "impersonatedUser",
        "source_ips": "sourceIPs",
        "user_agent": "userAgent",
        "object_ref": "objectRef",
        "response": "responseStatus",
        "request_uri": "requestURI",
        "request_raw": "requestObject",
        "response_raw": "responseObject",
        "received": "requestReceivedTimestamp",
        "stage_time": "stageTimestamp",
        "enrichment": "p_enrichment",
        "cluster": "seawall:cluster",
        "platform": "seawall:platform",
        "file": "seawall:file",
        "index": "seawall:index",
        "event_id": "seawall:event_id",
        "request_cache": "seawall:request",
        "response_cache": "seawall:response",
        "views_cache": "seawall:views",
        "id_cache": "seawall:id",
        "source": "seawall:source",
    },
):
    """One stage of one call to a Kubernetes API server.

    The last fields (`cluster` on) are set by the source, never by the log line.
    """

    audit_id: str | None = ""
    stage: str | None = ""
    """RequestReceived, ResponseStarted, ResponseComplete or Panic; empty = the source has no stages."""
    verb: str | None = ""
    user: User | None = None
    impersonated: User | None = None
    source_ips: list[str] | None = None
    """Client first, then proxies."""
    user_agent: str | None = ""
    object_ref: ObjectRef | None = None
    response: ResponseStatus | None = None
    request_uri: str | None = ""
    level: str | None = ""
    annotations: msgspec.Raw = _OMITTED
    request_raw: msgspec.Raw = _OMITTED
    response_raw: msgspec.Raw = _OMITTED
    received: str | None = ""
    stage_time: str | None = ""
    timestamp: str | None = ""
    """audit.k8s.io/v1beta1 and older."""
    enrichment: msgspec.Raw = _OMITTED
    """Findings that a log pipeline added before us (Panther's `p_enrichment`)."""
    cluster: str = ""
    platform: str = ""
    """aks, eks, gke, openshift or empty (self-managed, or not told)."""
    file: str = ""
    index: int = 0
    event_id: str = ""
    """Set by sources whose records have no audit id, so that a repeat is still known."""
    source: str = "audit"
    request_cache: Any = None
    response_cache: Any = None
    views_cache: Any = None
    id_cache: str = ""

    @property
    def actor(self) -> str:
        """The real user (not the impersonated one)."""
        return (self.user and self.user.username) or ""

    @property
    def effective_user(self) -> str:
        """Whose permissions counted: the impersonated user where there is one."""
        return (self.impersonated and self.impersonated.username) or self.actor

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of the real user."""
        return tuple((self.user and self.user.groups) or ())

    @property
    def resource(self) -> str:
        """`pods`, or `pods/exec` with a sub-resource."""
        ref = self.object_ref
        if ref is None:
            return ""
        return f"{ref.resource}/{ref.subresource}" if ref.subresource else ref.resource or ""

    @property
    def namespace(self) -> str:
        """Namespace of the object, empty for cluster-scoped ones."""
        return (self.object_ref and self.object_ref.namespace) or ""

    @property
    def name(self) -> str:
        """Name of the object; where the server made it, from the answer."""
        name = (self.object_ref and self.object_ref.name) or ""
        if not name:
            for body in (self.request_body, self.response_body):
                metadata = body.get("metadata") if isinstance(body, dict) else None
                if isinstance(metadata, dict):
                    found = metadata.get("name") or metadata.get("generateName")
                    if isinstance(found, str) and found:
                        return found
        return name

    @property
    def target(self) -> str:
        """The object, as windows count it: `namespace/resource/name`."""
        ref = self.object_ref or NO_OBJECT
        return f"{ref.namespace or ''}/{self.resource}/{ref.name or ''}"

    @property
    def target_kind(self) -> str:
        """What kind of request it was: verb, resource and namespace, or the path."""
        return f"{self.verb}/{self.resource or self.path}/{self.namespace}"

    @property
    def path(self) -> str:
        """The request's path without its query."""
        return self.uri.partition("?")[0]

    @property
    def code(self) -> int:
        """HTTP status of the answer, 0 = not known."""
        return (self.response and self.response.code) or 0

    @property
    def source_ip(self) -> str:
        """Address of the client, or empty. Proxies in front may be named by clients: judge with care."""
        return (self.source_ips or [""])[0]

    @property
    def agent(self) -> str:
        """The client's own words for itself."""
        return self.user_agent or ""

    @property
    def uri(self) -> str:
        """Path and query of the request."""
        return self.request_uri or ""

    @property
    def time(self) -> datetime | None:
        """When the request arrived, UTC; None = the record does not say."""
        for text in (self.received, self.timestamp, self.stage_time):
            if text and (time := parse_time(text)):
                return time
        return None

    @property
    def request_body(self) -> Any:
        """Decoded request body, or None. A PATCH may be a list (RFC 6902). Do not change it."""
        if self.request_cache is None and self.request_raw:
            self.request_cache = (decode_raw(self.request_raw),)
        return self.request_cache[0] if self.request_cache else None

    @property
    def response_body(self) -> Any:
        """Decoded response body, or None. Do not change it."""
        if self.response_cache is None and self.response_raw:
            self.response_cache = (decode_raw(self.response_raw),)
        return self.response_cache[0] if self.response_cache else None

    @property
    def extra(self) -> dict[str, Any]:
        """The user's extra fields."""
        found = decode_raw(self.user.extra) if self.user else None
        return found if isinstance(found, dict) else {}

    @property
    def notes(self) -> dict[str, Any]:
        """The event's annotations."""
        found = decode_raw(self.annotations)
        return found if isinstance(found, dict) else {}

    @property
    def threat_lists(self) -> tuple[str, ...]:
        """Names of the threat lists that a pipeline before us found in this record."""
        found = decode_raw(self.enrichment)
        return tuple(sorted(key for key, value in found.items() if value)) if isinstance(found, dict) else ()

    @property
    def key(self) -> str:
        """What one delivery is known by: auditID + stage, with enough of the request that a caller who chooses the
        `Audit-ID` header cannot hide a second request behind the first."""
        return f"{self.id}/{self.stage}"

    @property
    def id(self) -> str:
        """One call, whatever its stage: the same on every delivery. Worked out once: the event must not change after."""
        if self.id_cache:
            return self.id_cache
        ref = self.object_ref or NO_OBJECT
        parts = (
            self.cluster or "", self.audit_id or self.event_id or "", self.verb or "", self.request_uri or "", self.actor,
            ref.namespace or "", ref.resource or "", ref.subresource or "", ref.name or "", self.source_ip or "",
            self.received or self.timestamp or "",
        )  # fmt: skip
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        self.id_cache = found = hashlib.blake2b(text, digest_size=12).hexdigest()
        return found


class CloudActivity(msgspec.Struct, gc=False, omit_defaults=True):
    """One management operation from Azure Activity, AWS CloudTrail or Google Cloud Audit Logs (Admin Activity)."""

    event_id: str
    provider: str
    """azure, aws or gcp."""
    operation: str
    """As the provider spells it, lower case, e.g. `eks:createaccessentry`,
    `microsoft.containerservice/managedclusters/write`, `google.container.v1.clustermanager.updatecluster`."""
    time: datetime | None = None
    actor: str = ""
    """Principal: e-mail, ARN, object id or application id."""
    actor_type: str = ""
    """user, service or empty."""
    source_ip: str = ""
    user_agent: str = ""
    account: str = ""
    """Subscription, account or project."""
    resource: str = ""
    """Full id of what was operated on, as the provider spells it."""
    cluster: str = ""
    """Name of the cluster that it concerns, if any."""
    outcome: str = "allowed"
    """allowed, denied or failed."""
    request: dict[str, Any] = {}
    """Request parameters as the provider gives them. Do not change."""
    response: dict[str, Any] = {}
    file: str = ""
    index: int = 0
    source: str = "cloud"

    @property
    def id(self) -> str:
        """The same on every delivery."""
        return f"{self.provider}:{self.event_id}"

    @property
    def key(self) -> str:
        """What one delivery is known by."""
        return self.id


class RegistryEvent(msgspec.Struct, gc=False, omit_defaults=True):
    """Something happened to a repository of a container registry."""

    event_id: str
    action: str
    """push, delete, pull, tag, policy or denied."""
    registry: str
    """Host name, e.g. `acme.azurecr.io`."""
    repository: str = ""
    tag: str = ""
    digest: str = ""
    time: datetime | None = None
    actor: str = ""
    source_ip: str = ""
    user_agent: str = ""
    previous_digest: str = ""
    """What the tag pointed to before a push, where that is known."""
    immutable: bool = False
    """The repository's settings forbid to move tags."""
    file: str = ""
    index: int = 0
    cluster: str = ""
    source: str = "registry"

    @property
    def image_name(self) -> str:
        """What was touched, as windows count it."""
        return f"{self.repository}@{self.digest or self.tag}"

    @property
    def id(self) -> str:
        """The same on every delivery."""
        return f"{self.registry}:{self.event_id}"

    @property
    def key(self) -> str:
        """What one delivery is known by."""
        return self.id


class InventoryFact(msgspec.Struct, gc=False, omit_defaults=True):
    """Something that became true of a cluster between two inventory snapshots, for analytics that audit events alone
    cannot decide. Only changes are facts; existing state is posture."""

    event_id: str
    kind: str
    """exposed_service, sensor_unhealthy, mirror_pod, node_joined, ..."""
    cluster: str
    time: datetime | None = None
    namespace: str = ""
    name: str = ""
    facts: dict[str, Any] = {}
    """Fields by kind; each analytic's page names those it reads."""
    actor: str = ""
    source_ip: str = ""
    file: str = ""
    index: int = 0
    source: str = "inventory"

    @property
    def id(self) -> str:
        """The same on every delivery."""
        return f"{self.cluster}:{self.event_id}"

    @property
    def key(self) -> str:
        """What one delivery is known by."""
        return self.id


class Reject(msgspec.Struct, frozen=True, gc=False):
    """A record that could not be read; the rest of its batch still counts. `reason` is one of a fixed set of words."""

    reason: str
    detail: str = ""
    file: str = ""
    index: int = 0
