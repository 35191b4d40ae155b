"""Registry logs and notifications as `RegistryEvent`: distribution (Docker), Harbor, ACR, ECR, Artifact Registry, GitHub."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from seawall.detection.sources.batch import fingerprint, items, mapping, text
from seawall.domain.audit_events import RegistryEvent, parse_time

_ACR_ACTIONS = {
    "push": "push", "pull": "pull", "delete": "delete", "purge": "delete", "untag": "tag", "import": "push",
    "acquiretoken": "login", "mount": "push",
}  # fmt: skip
_GRID_ACTIONS = {
    "microsoft.containerregistry.imagepushed": "push",
    "microsoft.containerregistry.imagedeleted": "delete",
    "microsoft.containerregistry.chartpushed": "push",
    "microsoft.containerregistry.chartdeleted": "delete",
}


def distribution_event(entry: dict[str, Any]) -> RegistryEvent | None:
    """Return one event of a notification of the CNCF distribution registry (distribution.github.io, notifications)."""
    target, action = mapping(entry.get("target")), text(entry.get("action"))
    if action not in ("push", "pull", "delete", "mount") or not text(target.get("repository")):
        return None
    request = mapping(entry.get("request"))
    address = text(request.get("addr"))
    return RegistryEvent(
        event_id=text(entry.get("id")),
        action="push" if action == "mount" else action,
        registry=text(request.get("host")),
        repository=text(target.get("repository")),
        tag=text(target.get("tag")),
        digest=text(target.get("digest")),
        time=parse_time(text(entry.get("timestamp"))),
        actor=text(mapping(entry.get("actor")).get("name")),
        source_ip=address.rpartition(":")[0].strip("[]") if address.count(":") == 1 or "]" in address else address,
        user_agent=text(request.get("useragent")),
    )


def event_grid(document: dict[str, Any]) -> RegistryEvent | None:
    """Return an Azure Container Registry event, in Event Grid's own schema or as a CloudEvent."""
    kind = (text(document.get("eventType")) or text(document.get("type"))).lower()
    data = mapping(document.get("data"))
    if kind not in _GRID_ACTIONS:
        return None
    target, request = mapping(data.get("target")), mapping(data.get("request"))
    return RegistryEvent(
        event_id=text(document.get("id")) or text(data.get("id")),
        action=_GRID_ACTIONS[kind],
        registry=text(request.get("host")),
        repository=text(target.get("repository")),
        tag=text(target.get("tag")),
        digest=text(target.get("digest")),
        time=parse_time(text(document.get("eventTime")) or text(document.get("time")) or text(data.get("timestamp"))),
        actor=text(mapping(data.get("actor")).get("name")),
        source_ip=text(request.get("addr")).partition(":")[0],
        user_agent=text(request.get("useragent")),
    )


def azure_registry_log(document: dict[str, Any]) -> RegistryEvent | None:
    """Return a record of ACR's `ContainerRegistryRepositoryEvents` or `…LoginEvents`, raw or from the table."""
    category = text(document.get("category")) or text(document.get("Category"))
    if not category.lower().startswith("containerregistry"):
        return None
    properties = mapping(document.get("properties")) or document
    operation = (text(document.get("operationName")) or text(document.get("OperationName"))).lower()
    action = _ACR_ACTIONS.get(operation.replace(" ", ""), "login" if "login" in category.lower() else operation)
    result = text(document.get("resultType")) or text(document.get("ResultType")) or text(document.get("resultCode"))
    if result in ("HttpStatusCode_401", "HttpStatusCode_403", "401", "403"):
        action = "denied"
    return RegistryEvent(
        event_id=text(document.get("correlationId")) or text(document.get("CorrelationId")) or fingerprint(repr(sorted(document)).encode()),
        action=action,
        registry=(text(document.get("loginServer")) or text(document.get("LoginServer")) or text(properties.get("loginServer"))),
        repository=text(properties.get("repository")) or text(document.get("Repository")),
        tag=text(properties.get("tag")) or text(document.get("Tag")),
        digest=text(properties.get("digest")) or text(document.get("Digest")),
        time=parse_time(text(document.get("time")) or text(document.get("TimeGenerated"))),
        actor=text(document.get("identity")) or text(document.get("Identity")) or text(properties.get("identity")),
        source_ip=(
            text(document.get("callerIpAddress")) or text(document.get("CallerIpAddress"))
            or text(properties.get("callerIpAddress"))
        ),
        user_agent=text(properties.get("userAgent")) or text(document.get("UserAgent")),
    )  # fmt: skip


def ecr_image_action(document: dict[str, Any]) -> RegistryEvent | None:
    """Return an EventBridge `ECR Image Action`."""
    if document.get("detail-type") != "ECR Image Action":
        return None
    detail = mapping(document.get("detail"))
    account, region = text(document.get("account")), text(document.get("region"))
    return RegistryEvent(
        event_id=text(document.get("id")),
        action="delete" if text(detail.get("action-type")) == "DELETE" else "push",
        registry=f"{account}.dkr.ecr.{region}.amazonaws.com",
        repository=text(detail.get("repository-name")),
        tag=text(detail.get("image-tag")),
        digest=text(detail.get("image-digest")),
        time=parse_time(text(document.get("time"))),
    )


def artifact_registry_notice(document: dict[str, Any], data: bytes) -> RegistryEvent | None:
    """Return a message of Artifact Registry's `gcr` topic: `{"action": "INSERT", "digest": …, "tag": …}`."""
    action = text(document.get("action"))
    reference = text(document.get("tag")) or text(document.get("digest"))
    if action not in ("INSERT", "DELETE") or not reference:
        return None
    name, _, digest = text(document.get("digest")).partition("@")
    tagged = text(document.get("tag"))
    if not name:
        name = tagged.rpartition(":")[0]
    registry, _, repository = name.partition("/")
    return RegistryEvent(
        event_id=fingerprint(data),
        action="push" if action == "INSERT" else "delete",
        registry=registry,
        repository=repository,
        tag=tagged.rpartition(":")[2] if tagged else "",
        digest=digest,
    )


_HARBOR_ACTIONS = {
    "PUSH_ARTIFACT": "push", "PULL_ARTIFACT": "pull", "DELETE_ARTIFACT": "delete", "pushImage": "push", "pullImage": "pull",
    "deleteImage": "delete",
}  # fmt: skip
_HARBOR_RESOURCES = 1000


def harbor_events(document: dict[str, Any], data: bytes) -> list[RegistryEvent]:
    """Return the artifacts of a Harbor webhook, empty when it is none (goharbor.io, "Configure Webhook Notifications")."""
    action, held = _HARBOR_ACTIONS.get(text(document.get("type"))), mapping(document.get("event_data"))
    repository = text(mapping(held.get("repository")).get("repo_full_name"))
    if action is None or not repository:
        return []
    moment = document.get("occur_at")
    time = datetime.fromtimestamp(moment, UTC) if isinstance(moment, int) and 0 < moment < 1 << 34 else None
    found, mark = [], fingerprint(data)
    for number, resource in enumerate(map(mapping, items(held.get("resources"))[:_HARBOR_RESOURCES])):
        tag = text(resource.get("tag"))
        found.append(
            RegistryEvent(
                event_id=f"{mark}-{number}",
                action=action,
                registry=text(resource.get("resource_url")).partition("/")[0],
                repository=repository,
                tag="" if tag.startswith("sha256:") else tag,
                digest=text(resource.get("digest")),
                time=time,
                actor=text(document.get("operator")),
            )
        )
    return found


def github_package(document: dict[str, Any], data: bytes) -> RegistryEvent | None:
    """Return a `registry_package` or `package` webhook of GitHub about a container (docs.github.com, "Webhook events and payloads")."""
    package = mapping(document.get("registry_package")) or mapping(document.get("package"))
    if text(package.get("package_type")).lower() not in ("container", "docker"):
        return None
    if text(document.get("action")) not in ("published", "updated"):
        return None
    version = mapping(package.get("package_version"))
    tag = mapping(mapping(version.get("container_metadata")).get("tag"))
    owner = text(package.get("namespace")).partition("/")[0] or text(mapping(package.get("owner")).get("login"))
    return RegistryEvent(
        event_id=fingerprint(data),
        action="push",
        registry="ghcr.io",
        repository=f"{owner}/{text(package.get('name'))}".lower(),
        tag=text(tag.get("name")),
        digest=text(tag.get("digest")) or text(version.get("version")),
        time=parse_time(text(package.get("updated_at")) or text(version.get("updated_at"))),
        actor=text(mapping(document.get("sender")).get("login")),
    )
