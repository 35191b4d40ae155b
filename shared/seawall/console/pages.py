"""The console's pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jinja2
from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from seawall.domain.errors import NotFound
from seawall.domain.posture import Status
from seawall.domain.severity import Severity

if TYPE_CHECKING:
    from seawall.app.application import Application

HERE = Path(__file__).parent
ORDER = [severity.label for severity in sorted(Severity, reverse=True)]
PAGE_SIZE = 100


def _time(value: datetime | None) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S UTC") if value else ""


def environment() -> jinja2.Environment:
    """The templates, with everything escaped."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    templates.filters["time"] = _time
    templates.globals["severities"] = ORDER
    return templates


def router(application: Application, reader: Callable[[Request], None]) -> APIRouter:
    """Return the pages over `application`; `reader` lets a caller in or raises."""
    store = application.store
    templates = environment()
    pages = APIRouter(include_in_schema=False, dependencies=[Depends(reader)], default_response_class=HTMLResponse)

    def page(name: str, **values: Any) -> HTMLResponse:
        return HTMLResponse(templates.get_template(name).render(**values))

    @pages.get("/")
    def overview() -> HTMLResponse:
        incidents, images = store.incidents.newest(limit=10), store.images.summaries(limit=10)
        worst = store.assessments.find(status=Status.FAIL, limit=10)
        return page(
            "overview.html",
            active="overview",
            incidents=incidents,
            images=images,
            failures=worst,
            posture=store.assessments.counts(),
            scans=[state for state in store.images.states(limit=20) if state.state not in ("done", "skipped")],
        )

    @pages.get("/incidents")
    def incidents(page_number: int = 0) -> HTMLResponse:
        rows = store.incidents.newest(limit=PAGE_SIZE, offset=max(page_number, 0) * PAGE_SIZE)
        return page(
            "incidents.html", active="incidents", incidents=rows, page_number=page_number, full=len(rows) == PAGE_SIZE
        )

    @pages.get("/incidents/{incident_id}")
    def incident(incident_id: str) -> HTMLResponse:
        found = store.incidents.get(incident_id)
        if found is None:
            raise NotFound(f"there is no incident {incident_id}")
        return page("incident.html", active="incidents", incident=found, alerts=store.alerts.get(found.alert_ids))

    @pages.post("/incidents/{incident_id}/status")
    def decide(incident_id: str, request: Request, status: str = Form(pattern="^(new|active|closed)$")) -> Response:
        # A page of another site cannot post here: browsers send where the form came from.
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise NotFound("this form was sent from another site")
        if store.incidents.set_status(incident_id, status) is None:
            raise NotFound(f"there is no incident {incident_id}")
        return RedirectResponse(f"/incidents/{incident_id}", status_code=303)

    @pages.get("/images")
    def images(page_number: int = 0) -> HTMLResponse:
        rows = store.images.summaries(limit=PAGE_SIZE, offset=max(page_number, 0) * PAGE_SIZE)
        return page("images.html", active="images", images=rows, page_number=page_number, full=len(rows) == PAGE_SIZE)

    @pages.get("/images/{digest}")
    def image(digest: str) -> HTMLResponse:
        report = store.images.report(digest)
        if report is None:
            raise NotFound(f"there is no image {digest}")
        return page("image.html", active="images", image=report, attestation=store.images.attestation(digest))

    @pages.get("/vulnerabilities")
    def search(name: str = "") -> Response:
        wanted = name.strip()
        return RedirectResponse(f"/vulnerabilities/{quote(wanted, safe='')}" if wanted else "/images", status_code=303)

    @pages.get("/vulnerabilities/{name}")
    def vulnerability(name: str) -> HTMLResponse:
        found = application.affected(name)
        digests = sorted({digest for package in found["packages"] for digest in package["images"][:PAGE_SIZE]})
        names = {digest: report.name for digest in digests[:PAGE_SIZE] if (report := store.images.report(digest))}
        return page("vulnerability.html", active="images", found=found, names=names)

    @pages.get("/posture")
    def posture(control: str = "", page_number: int = 0) -> HTMLResponse:
        rows = store.assessments.find(
            status=Status.FAIL, control=control, limit=PAGE_SIZE, offset=max(page_number, 0) * PAGE_SIZE
        )
        return page(
            "posture.html",
            active="posture",
            failures=rows,
            counts=store.assessments.counts(),
            control=control,
            page_number=page_number,
            full=len(rows) == PAGE_SIZE,
        )

    return pages


def static_files() -> StaticFiles:
    """The style sheet and the icon."""
    return StaticFiles(directory=HERE / "static")
