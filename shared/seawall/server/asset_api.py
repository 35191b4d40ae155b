"""The JSON API of the asset graph and of what runs now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime

from seawall.app.show_assets import asset_diff, asset_history, show_asset
from seawall.domain.errors import InputError
from seawall.server.api import plain

if TYPE_CHECKING:
    from seawall.app.application import Application


def router(application: Application, reader: Callable[[Request], None]) -> APIRouter:
    """Return the routes under `/v1`; `reader` lets a caller in or raises. Ids hold slashes, so they are a parameter."""
    store = application.store
    api = APIRouter(prefix="/v1", dependencies=[Depends(reader)], tags=["inventory"])

    @api.get("/assets", summary="Assets by scope, kind, namespace and part of the name, now or at a time")
    def assets(
        scope: str = "",
        kind: str = "",
        namespace: str = "",
        text: str = "",
        at: AwareDatetime | None = None,
        limit: int = Query(100, ge=1, le=10_000),
        offset: int = Query(0, ge=0),
    ) -> Any:
        found = store.assets.find(
            scope=scope, kind=kind, namespace=namespace, text=text, at=at, limit=limit, offset=offset
        )
        rows = [{"scope": item.scope, "namespace": item.namespace} | plain(item.asset) for item in found]
        return {"assets": rows, "counts": store.assets.counts(scope)}

    @api.get("/assets/item", summary="One asset: relations both ways, failed controls, latest changes")
    def asset(id: str = Query(max_length=2048), at: AwareDatetime | None = None) -> Any:  # noqa: A002 - the API's word
        return plain(show_asset(store, id, at))

    @api.get("/assets/history", summary="Versions of one asset: what changed, when, by whom")
    def history(id: str = Query(max_length=2048), limit: int = Query(50, ge=1, le=1000)) -> Any:  # noqa: A002
        return {"history": plain(asset_history(store, id, limit))}

    @api.get("/assets/changes", summary="What was added, removed and changed between two times")
    def changes(
        start: AwareDatetime | None = None,
        end: AwareDatetime | None = None,
        scope: str = "",
        limit: int = Query(1000, ge=1, le=10_000),
    ) -> Any:
        last = end or datetime.now(UTC)
        first = start or last - timedelta(days=1)
        if first >= last:
            raise InputError("start is not before end")
        return {"from": first, "to": last, "changes": plain(asset_diff(store, first, last, scope, limit))}

    @api.get("/assets/scopes", summary="What was listed when, by scope and kind")
    def scopes() -> Any:
        return {"scopes": plain(store.assets.scopes())}

    @api.get("/running", summary="Containers that run now, of one cluster, one image or all")
    def running(
        cluster: str = "", namespace: str = "", digest: str = "", limit: int = Query(1000, ge=1, le=10_000)
    ) -> Any:
        if digest:
            found = store.running.of_digests([digest], limit=limit)
        elif cluster:
            found = store.running.in_cluster(cluster, namespace=namespace, limit=limit)
        else:
            found = store.running.all(limit=limit)
        return {"running": plain(found)}

    return api
