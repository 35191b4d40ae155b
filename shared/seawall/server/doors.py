"""The doors: registry notifications, audit logs, sensor batches, manifests. Each checks who calls, checks the form, keeps, answers 202."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from seawall.domain.errors import Unauthenticated
from seawall.server.security import bounded_body, require_secret

if TYPE_CHECKING:
    from seawall.app.application import Application
    from seawall.settings import Settings


def router(application: Application, settings: Settings) -> APIRouter:
    """Return the doors under `/v1/events`."""
    doors = APIRouter(prefix="/v1/events", tags=["doors"])
    secret = settings.webhook_secret.get_secret_value()

    async def received(request: Request, door: str) -> bytes:
        require_secret(request, secret, door)
        return await bounded_body(request, settings.max_body_bytes)

    @doors.post("/registry/{kind}", status_code=202, summary="A registry's push notification")
    async def registry(kind: str, request: Request) -> Any:
        body = await received(request, "the registry door")
        known = {name.lower() for name in settings.event_grid_subscriptions}
        if kind == "eventgrid" and known and request.headers.get("aeg-subscription-name", "").lower() not in known:
            raise Unauthenticated("not a subscription of event_grid_subscriptions")
        status, answer = await asyncio.to_thread(application.doors.registry, kind, dict(request.headers), body)
        return JSONResponse(answer, status)

    @doors.post(
        "/audit", status_code=202, summary="Kubernetes audit events or cloud activity in any supported envelope"
    )
    @doors.post("/audit/{cluster}", status_code=202, summary="The same, for clusters whose events do not name them")
    async def audit(request: Request, cluster: str = "") -> Any:
        body = await received(request, "the audit door")
        return await asyncio.to_thread(application.doors.audit, body, cluster or settings.cluster)

    @doors.post("/posture/{scope}", status_code=202, summary="Kubernetes manifests or an API dump, YAML or JSON")
    async def posture(scope: str, request: Request) -> Any:
        body = await received(request, "the posture door")
        return await asyncio.to_thread(application.doors.posture, scope, body)

    return doors
