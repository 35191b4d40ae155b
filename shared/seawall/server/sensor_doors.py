"""The doors of sensors: batches, enrolment, renewal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from seawall.domain.errors import Unauthenticated
from seawall.server.api import plain
from seawall.server.security import bounded_body, presented_secret

if TYPE_CHECKING:
    from seawall.app.application import Application
    from seawall.settings import Settings


class EnrolmentRequest(BaseModel):
    """A node asks for its first certificate; the one-time token is in the Authorization header."""

    model_config = ConfigDict(extra="forbid")

    node: str = Field(max_length=253)
    csr: str = Field(max_length=16384)


class RenewalRequest(BaseModel):
    """A sensor asks for its next certificate, signing the request with the present key."""

    model_config = ConfigDict(extra="forbid")

    certificate: str = Field(max_length=16384)
    csr: str = Field(max_length=16384)
    signature: str = Field(max_length=1024)


def router(application: Application, settings: Settings) -> APIRouter:
    """Return the sensor doors. A batch is authenticated by its own signature, so a proxy may end TLS."""
    doors = APIRouter(tags=["sensors"])

    @doors.post("/v1/events/sensor", status_code=202, summary="A signed batch of a sensor (docs/sensor-batch.md)")
    async def batch(request: Request) -> Any:
        body = await bounded_body(request, settings.max_body_bytes)
        return await asyncio.to_thread(application.doors.sensor, body)

    @doors.post("/v1/sensors/enrol", summary="A first certificate for a one-time token")
    def enrol(request: Request, asked: EnrolmentRequest) -> Any:
        token = presented_secret(request)
        if not token:
            raise Unauthenticated("the enrolment token is missing", hint="Authorization: Bearer <token>")
        return plain(application.doors.enrol_sensor(token, asked.csr, asked.node))

    @doors.post("/v1/sensors/renew", summary="The next certificate for an enrolled sensor")
    def renew(asked: RenewalRequest) -> Any:
        return plain(application.doors.renew_sensor(asked.certificate, asked.csr, asked.signature))

    return doors
