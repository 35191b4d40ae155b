"""The console's pages of the inventory, and of posture over time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from seawall.app.show_assets import asset_diff, asset_history, show_asset
from seawall.console.chart import HEIGHT, WIDTH, score_line
from seawall.console.rendering import PAGE_SIZE, renderer
from seawall.domain.errors import NotFound

if TYPE_CHECKING:
    from seawall.app.application import Application
    from seawall.domain.posture import TrendPoint

TREND_DAYS = 90


def router(application: Application, reader: Callable[[Request], None]) -> APIRouter:
    """Return the pages over `application`; `reader` lets a caller in or raises."""
    store = application.store
    page = renderer()
    pages = APIRouter(include_in_schema=False, dependencies=[Depends(reader)], default_response_class=HTMLResponse)

    @pages.get("/assets")
    def assets(
        scope: str = "", kind: str = "", namespace: str = "", text: str = "", page_number: int = Query(0, ge=0)
    ) -> HTMLResponse:
        rows = store.assets.find(
            scope=scope, kind=kind, namespace=namespace, text=text, limit=PAGE_SIZE, offset=page_number * PAGE_SIZE
        )
        return page(
            "assets.html",
            active="assets",
            assets=rows,
            counts=store.assets.counts(scope),
            scopes=sorted({item.scope for item in store.assets.scopes()}),
            scope=scope,
            kind=kind,
            namespace=namespace,
            text=text,
            page_number=page_number,
            full=len(rows) == PAGE_SIZE,
        )

    @pages.get("/assets/item")
    def asset(id: str = Query(max_length=2048)) -> HTMLResponse:  # noqa: A002 - the API's word
        try:
            history = asset_history(store, id, 20)
        except NotFound:
            history = []
        return page("asset.html", active="assets", asset=show_asset(store, id), history=history)

    @pages.get("/assets/changes")
    def changes(hours: int = Query(24, ge=1, le=24 * 30), scope: str = "") -> HTMLResponse:
        now = datetime.now(UTC)
        rows = asset_diff(store, now - timedelta(hours=hours), now, scope, PAGE_SIZE * 2)
        return page("changes.html", active="assets", changes=rows, hours=hours, scope=scope)

    @pages.get("/posture/trend")
    def trend(scope: str = "") -> HTMLResponse:
        points = store.assessments.trend(scope=scope, since=datetime.now(UTC) - timedelta(days=TREND_DAYS))
        lines: dict[tuple[str, str], list[TrendPoint]] = {}
        for point in points:
            lines.setdefault((point.scope, point.team), []).append(point)
        charts = [
            (
                place,
                team,
                found,
                score_line([(point.assessed_at, point.score) for point in found if point.score is not None]),
            )
            for (place, team), found in lines.items()
        ]
        return page("trend.html", active="posture", charts=charts, width=WIDTH, height=HEIGHT, scope=scope)

    return pages
