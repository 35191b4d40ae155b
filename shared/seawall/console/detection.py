"""Pages of detection: incidents, alerts, analytics, and what arrives from where."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from seawall.app.respond import responses_about
from seawall.console import entity_graph
from seawall.console.rendering import PAGE_SIZE, SEVERITIES, Page
from seawall.domain.attack import TACTICS
from seawall.domain.errors import NotFound
from seawall.domain.severity import Severity
from seawall.response.offers import offers

if TYPE_CHECKING:
    from seawall.app.application import Application

CLASSIFICATIONS = {
    "": "not decided",
    "truePositive": "true positive",
    "falsePositive": "false positive",
    "informationalExpectedActivity": "expected activity",
}
STATUSES = ("new", "active", "closed")


def router(application: Application, reader: Callable[[Request], None], page: Page) -> APIRouter:
    """Return the pages; `reader` lets a caller in or raises."""
    store = application.store
    pages = APIRouter(include_in_schema=False, dependencies=[Depends(reader)], default_response_class=HTMLResponse)

    @pages.get("/incidents")
    def incidents(
        status: Literal["", "new", "active", "closed"] = "", page_number: int = Query(0, ge=0)
    ) -> HTMLResponse:
        rows = store.incidents.newest(limit=PAGE_SIZE, offset=page_number * PAGE_SIZE, status=status)
        return page(
            "incidents.html",
            active="incidents",
            incidents=rows,
            status=status,
            statuses=STATUSES,
            page_number=page_number,
            full=len(rows) == PAGE_SIZE,
        )

    @pages.get("/incidents/{incident_id}")
    def incident(incident_id: str) -> Response:
        found = store.incidents.get(incident_id)
        if found is None:
            raise NotFound(f"there is no incident {incident_id}")
        if found.merged_into:
            return RedirectResponse(f"/incidents/{found.merged_into}", status_code=303)
        alerts = store.alerts.get(found.alert_ids)
        return page(
            "incident.html",
            active="incidents",
            incident=found,
            alerts=alerts,
            offers=offers(found, alerts),
            responses=responses_about(store, found),
            picture=entity_graph.draw(found.links),
            tactics=TACTICS,
            statuses=STATUSES,
            classifications=CLASSIFICATIONS,
        )

    @pages.post("/incidents/{incident_id}/decision")
    def decide(
        incident_id: str,
        request: Request,
        status: Literal["new", "active", "closed"] = Form(),
        classification: Literal["", "truePositive", "falsePositive", "informationalExpectedActivity"] = Form(""),
        owner: str = Form("", max_length=200),
    ) -> Response:
        # A page of another site cannot post here: browsers send where the form came from.
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise NotFound("this form was sent from another site")
        decided = application.incidents.decide(
            incident_id, status=status, classification=classification, owner=owner.strip()
        )
        if decided is None:
            raise NotFound(f"there is no incident {incident_id}")
        return RedirectResponse(f"/incidents/{incident_id}", status_code=303)

    @pages.get("/alerts")
    def alerts(
        severity: str = Query("", pattern=f"^({'|'.join(SEVERITIES)})?$"),
        cluster: str = "",
        analytic: str = "",
        page_number: int = Query(0, ge=0),
    ) -> HTMLResponse:
        rows = store.alerts.newest(
            limit=PAGE_SIZE,
            offset=page_number * PAGE_SIZE,
            severity=Severity.parse(severity) if severity else None,
            cluster=cluster,
            analytic=analytic.strip().upper(),
        )
        return page(
            "alerts.html",
            active="alerts",
            alerts=rows,
            chosen={"severity": severity, "cluster": cluster, "analytic": analytic},
            clusters=sorted({item["cluster"] for item in application.detection.coverage()} | {cluster} - {""}),
            page_number=page_number,
            full=len(rows) == PAGE_SIZE,
        )

    @pages.get("/alerts/{alert_id}")
    def alert(alert_id: str) -> HTMLResponse:
        found = store.alerts.get([alert_id])
        if not found:
            raise NotFound(f"there is no alert {alert_id}")
        return page(
            "alert.html",
            active="alerts",
            alert=found[0],
            incidents=[item for item in store.incidents.holding([alert_id]) if not item.merged_into],
            rule=application.detection.analytics().get(found[0].analytic),
            offers=offers(found[0], found),
            responses=store.responses.of({alert_id}),
        )

    @pages.get("/analytics")
    def analytics(search: str = Query("", max_length=200)) -> HTMLResponse:
        rules = sorted(application.detection.analytics().values(), key=lambda rule: rule.id)
        wanted = search.strip().casefold()
        shown = [
            rule
            for rule in rules
            if wanted in " ".join((rule.id, rule.title, *rule.attack, *rule.catalogue, *rule.resources)).casefold()
        ]
        return page("analytics.html", active="analytics", rules=shown, all=len(rules), search=search)

    @pages.get("/analytics/{analytic_id}")
    def analytic(analytic_id: str) -> HTMLResponse:
        rule = application.detection.analytics().get(analytic_id)
        if rule is None:
            raise NotFound(f"there is no analytic {analytic_id}")
        blind = {
            item["cluster"]: item["blind"][rule.id]
            for item in application.detection.coverage()
            if rule.id in item["blind"]
        }
        recent = store.alerts.newest(limit=10, analytic=rule.id)
        return page("analytic.html", active="analytics", rule=rule, blind=blind, alerts=recent)

    @pages.get("/sources")
    def sources() -> HTMLResponse:
        return page(
            "sources.html",
            active="sources",
            clusters=application.detection.coverage(),
            sensors=store.sensors.sensors(),
            poison=store.poison.newest(20),
            titles={rule.id: rule.title for rule in application.detection.analytics().values()},
        )

    return pages
