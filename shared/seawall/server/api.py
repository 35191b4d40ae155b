"""The JSON API over the store, and the doors' scan states."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from seawall.app.respond import responses_about
from seawall.domain.errors import InputError, NotFound
from seawall.domain.posture import Status
from seawall.domain.severity import Severity
from seawall.response.offers import offers

if TYPE_CHECKING:
    from seawall.app.application import Application

LONGEST_WAIT_S = 60
SeverityWord = Literal["informational", "low", "medium", "high", "critical"]


class Decision(BaseModel):
    """What an analyst decided about an incident; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["", "new", "active", "closed"] = ""
    classification: Literal["", "truePositive", "falsePositive", "informationalExpectedActivity"] = ""
    owner: str = Field("", max_length=200)


def plain(value: object) -> Any:
    """A domain value as JSON: severities as words."""
    return _worded(msgspec.to_builtins(value))


def _worded(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_worded(item) for item in value]
    if isinstance(value, dict):
        return {
            key: Severity(item).label if key == "severity" and isinstance(item, int) else _worded(item)
            for key, item in value.items()
        }
    return value


def router(application: Application, reader: Callable[[Request], None]) -> APIRouter:
    """Return the routes under `/v1`; `reader` lets a caller in or raises."""
    store = application.store
    api = APIRouter(prefix="/v1", dependencies=[Depends(reader)])

    @api.get("/images", tags=["images"], summary="Images, most severe findings first")
    def images(limit: int = Query(100, ge=1, le=1000), offset: int = Query(0, ge=0)) -> Any:
        return {"images": plain(store.images.summaries(limit, offset))}

    @api.get("/images/{digest}", tags=["images"], summary="Packages, findings and gaps of one image")
    def image(digest: str) -> Any:
        report = application.images.report(digest)
        if report is None:
            raise NotFound(f"there is no image {digest}")
        return plain(report) | {"attestation": plain(store.images.attestation(digest))}

    @api.get("/scans/{digest}", tags=["images"], summary="Where a scan stands; waits up to `wait` seconds for its end")
    async def scan(digest: str, wait: float = Query(0, ge=0, le=LONGEST_WAIT_S)) -> Any:
        end = asyncio.get_running_loop().time() + wait
        while True:
            state = await asyncio.to_thread(store.images.state, digest)
            over = asyncio.get_running_loop().time() >= end
            if over or (state and state.state in ("done", "failed", "skipped")):
                break
            await asyncio.sleep(0.2)
        if state is None:
            raise NotFound(f"no scan of {digest} was asked for")
        return plain(state)

    @api.get(
        "/vulnerabilities/{name}",
        tags=["images"],
        summary="Which images ever seen, and which running workloads, have this vulnerability",
    )
    def vulnerability(name: str) -> Any:
        return application.images.affected(name)

    @api.get("/alerts", tags=["detection"], summary="Alerts, newest first")
    def alerts(
        limit: int = Query(100, ge=1, le=1000),
        offset: int = Query(0, ge=0),
        severity: SeverityWord | None = None,
        cluster: str = "",
        analytic: str = "",
    ) -> Any:
        least = Severity.parse(severity) if severity else None
        return {
            "alerts": plain(
                store.alerts.newest(limit=limit, offset=offset, severity=least, cluster=cluster, analytic=analytic)
            )
        }

    @api.get("/analytics/coverage", tags=["detection"], summary="Per cluster: silent or not, and blind analytics")
    def coverage() -> Any:
        return {"clusters": application.detection.coverage()}

    @api.get(
        "/sensors", tags=["sensors"], summary="Sensors: when they were last heard, what they lost, what is missing"
    )
    def sensors(cluster: str = "", limit: int = Query(1000, ge=1, le=10_000)) -> Any:
        return {"sensors": plain(store.sensors.sensors(cluster=cluster, limit=limit))}

    @api.get(
        "/usage", tags=["operation"], summary="Monitored vCores by cluster; without `start` and `end` the last 30 days"
    )
    def usage(start: AwareDatetime | None = None, end: AwareDatetime | None = None, cluster: str = "") -> Any:
        until = end or datetime.now(UTC)
        since = start or until - timedelta(days=30)
        if since >= until:
            raise InputError("start is not before end", where="query/start")
        clusters = application.usage(since, until, cluster)
        return {"start": since.isoformat(), "end": until.isoformat(), "clusters": clusters}

    @api.get("/incidents", tags=["detection"], summary="Incidents, newest first")
    def incidents(
        limit: int = Query(100, ge=1, le=1000),
        offset: int = Query(0, ge=0),
        status: Literal["", "new", "active", "closed"] = "",
    ) -> Any:
        return {"incidents": plain(store.incidents.newest(limit=limit, offset=offset, status=status))}

    @api.get(
        "/incidents/{incident_id}",
        tags=["detection"],
        summary="One incident with its alerts, what can be done about it and what was done",
    )
    def incident(incident_id: str) -> Any:
        found = store.incidents.get(incident_id)
        if found is None:
            raise NotFound(f"there is no incident {incident_id}")
        alerts = store.alerts.get(found.alert_ids)
        done = responses_about(store, found)
        return plain(found) | {
            "alerts": plain(alerts),
            "offers": plain(offers(found, alerts)),
            "responses": plain(done),
        }

    @api.patch(
        "/incidents/{incident_id}", tags=["detection"], summary="Set status, classification or owner of an incident"
    )
    def decide(incident_id: str, decision: Decision) -> Any:
        changed = application.incidents.decide(incident_id, **decision.model_dump())
        if changed is None:
            raise NotFound(f"there is no incident {incident_id}")
        return plain(changed)

    @api.get("/responses", tags=["detection"], summary="What was done about incidents, newest first")
    def responses(limit: int = Query(100, ge=1, le=1000)) -> Any:
        return {"responses": plain(store.responses.newest(limit))}

    @api.get("/posture", tags=["posture"], summary="Results of controls, most severe first")
    def posture(
        scope: str = "",
        status: Status | None = None,
        control: str = "",
        limit: int = Query(1000, ge=1, le=10000),
        offset: int = Query(0, ge=0),
    ) -> Any:
        rows = store.assessments.find(scope=scope, status=status, control=control, limit=limit, offset=offset)
        return {"results": plain(rows), "summary": store.assessments.counts(scope)}

    @api.get("/posture/trend", tags=["posture"], summary="Scores of clusters and teams over time, oldest first")
    def trend(scope: str = "", team: str | None = None, days: int = Query(30, ge=1, le=3650)) -> Any:
        since = datetime.now(UTC) - timedelta(days=days)
        points = store.assessments.trend(scope=scope, team=team, since=since)
        return {"trend": [plain(point) | {"score": point.score} for point in points]}

    @api.get("/poison", tags=["operation"], summary="Inputs that could not be processed, with their reasons")
    def poison(limit: int = Query(100, ge=1, le=1000)) -> Any:
        rows = store.poison.newest(limit)
        return {
            "poison": [
                {"id": row.id, "source": row.source, "reason": row.reason, "received_at": row.received_at}
                for row in rows
            ]
        }

    return api
