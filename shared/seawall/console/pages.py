"""The console's pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from seawall.console import charts, detection
from seawall.console.rendering import HERE, PAGE_SIZE, renderer
from seawall.domain.errors import NotFound
from seawall.domain.posture import Status

if TYPE_CHECKING:
    from seawall.app.application import Application

_HISTORY_DAYS = 14


def router(application: Application, reader: Callable[[Request], None]) -> APIRouter:
    """Return the pages over `application`; `reader` lets a caller in or raises."""
    store = application.store
    page = renderer()
    pages = APIRouter(include_in_schema=False, dependencies=[Depends(reader)], default_response_class=HTMLResponse)

    @pages.get("/")
    def overview() -> HTMLResponse:
        unsettled = [item for status in ("new", "active") for item in store.incidents.newest(limit=10, status=status)]
        open_incidents = sorted(unsettled, key=lambda item: item.last_seen, reverse=True)[:10]
        today = datetime.now(UTC).date()
        first = datetime.combine(today - timedelta(days=_HISTORY_DAYS - 1), time(), UTC)
        return page(
            "overview.html",
            active="overview",
            incidents=open_incidents,
            counts=store.incidents.open_counts(),
            alerts=charts.days(store.alerts.per_day(first), today, _HISTORY_DAYS),
            silent=[item["cluster"] for item in application.detection.coverage() if item["silent"]],
            images=store.images.summaries(limit=10),
            failures=store.assessments.find(status=Status.FAIL, limit=10),
            posture=store.assessments.counts(),
            scans=store.images.states(limit=20, states=("queued", "running", "failed")),
        )

    @pages.get("/images")
    def images(page_number: int = 0) -> HTMLResponse:
        rows = store.images.summaries(limit=PAGE_SIZE, offset=max(page_number, 0) * PAGE_SIZE)
        return page("images.html", active="images", images=rows, page_number=page_number, full=len(rows) == PAGE_SIZE)

    @pages.get("/images/{digest}")
    def image(digest: str) -> HTMLResponse:
        report = application.images.report(digest)
        if report is None:
            raise NotFound(f"there is no image {digest}")
        return page("image.html", active="images", image=report, attestation=store.images.attestation(digest))

    @pages.get("/vulnerabilities")
    def search(name: str = "") -> Response:
        wanted = name.strip()
        return RedirectResponse(f"/vulnerabilities/{quote(wanted, safe='')}" if wanted else "/images", status_code=303)

    @pages.get("/vulnerabilities/{name}")
    def vulnerability(name: str) -> HTMLResponse:
        found = application.images.affected(name)
        digests = sorted({digest for package in found["packages"] for digest in package["images"][:PAGE_SIZE]})
        names = store.images.names(digests[:PAGE_SIZE])
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

    pages.include_router(detection.router(application, reader, page))
    return pages


def static_files() -> StaticFiles:
    """The style sheet and the icon."""
    return StaticFiles(directory=HERE / "static")
