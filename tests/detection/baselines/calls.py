"""Audit events for the tests of baselines, in few words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from seawall.domain.audit_events import AuditEvent, ObjectRef, ResponseStatus, User

MONDAY = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
APP = "system:serviceaccount:shop:web"
EVE = "eve@example.com"


def call(
    what: str,
    day: int = 0,
    *,
    actor: str = APP,
    namespace: str = "shop",
    name: str = "",
    hour: int = 10,
    ip: str = "10.0.0.5",
    agent: str = "web/1.2 (linux/amd64)",
    body: Any = None,
    uri: str = "",
    acting_as: str = "",
    code: int = 200,
    cluster: str = "prod",
) -> AuditEvent:
    """`what` is "verb resource" or "verb resource/subresource", `day` counts from a Monday."""
    verb, _, resource = what.partition(" ")
    resource, _, subresource = resource.partition("/")
    ts = MONDAY.replace(hour=hour) + timedelta(days=day)
    return AuditEvent(
        audit_id=f"{what}-{day}-{hour}-{actor}-{namespace}-{name}-{ip}",
        stage="ResponseComplete",
        verb=verb,
        user=User(username=actor),
        impersonated=User(username=acting_as) if acting_as else None,
        source_ips=[ip],
        user_agent=agent,
        object_ref=ObjectRef(resource=resource, subresource=subresource, namespace=namespace, name=name),
        response=ResponseStatus(code=code),
        request_uri=uri,
        request_raw=msgspec.Raw(msgspec.json.encode(body)) if body is not None else msgspec.Raw(b""),
        received=ts.isoformat().replace("+00:00", "Z"),
        cluster=cluster,
    )


def deployment(*images: str, replicas: int = 1, **spec: Any) -> dict[str, Any]:
    """The body of a Deployment."""
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    return {"spec": {"replicas": replicas, "template": {"spec": {"containers": containers, **spec}}}}
