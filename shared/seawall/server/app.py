"""The HTTP application: doors, API, console, health, metrics. The same one runs under uvicorn, Functions and Lambda."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.base import RequestResponseEndpoint

from seawall.adapters.tracing import job
from seawall.console import asset_pages, pages
from seawall.domain.errors import SeawallError
from seawall.server import api, asset_api, doors, login, problems, sensor_doors
from seawall.server.admission_door import AdmissionDoor
from seawall.server.metrics import Metrics
from seawall.server.security import require_reader

if TYPE_CHECKING:
    from seawall.app.application import Application
    from seawall.settings import Settings

_CONTENT_SECURITY = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
_DOCS_SECURITY = "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"


def create_app(
    application: Application,
    settings: Settings,
    *,
    metrics: Metrics | None = None,
    start: Callable[[], None] = lambda: None,
    stop: Callable[[], None] = lambda: None,
    depth: Callable[[], dict[str, int]] = dict,
) -> FastAPI:
    """Return the application; `start` and `stop` run around its life (queue, timers), `depth` says what waits."""
    counted = metrics or Metrics()

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(start)
        try:
            yield
        finally:
            await asyncio.to_thread(stop)

    app = FastAPIOffline(
        title="Seawall",
        version=version("seawall"),
        summary="Container security: doors for events, results as JSON.",
        lifespan=life,
        static_url="/docs-static",
    )
    token = settings.api_token.get_secret_value()
    problems.install(app, login="/login" if token else "")

    def reader(request: Request) -> None:
        require_reader(request, token)

    @app.middleware("http")
    async def guard(request: Request, call_next: RequestResponseEndpoint) -> Response:
        door = "/".join(request.url.path.split("/")[:4])
        with job(f"{request.method} {door}", request.headers.get("traceparent", "")):
            response = await call_next(request)
        docs = request.url.path.startswith(("/docs", "/redoc"))
        response.headers.setdefault("Content-Security-Policy", _DOCS_SECURITY if docs else _CONTENT_SECURITY)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "no-referrer")
        if response.status_code >= 400:
            counted.refused.labels(str(response.status_code)).inc()
        elif request.method == "POST" and request.url.path.startswith("/v1/events/"):
            counted.accepted.labels(request.url.path.split("/")[3]).inc()
        return response

    @app.get("/healthz", tags=["operation"], summary="The process is alive")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["operation"], summary="Store and queue answer")
    def readyz(response: Response) -> dict[str, object]:
        checks: dict[str, object] = {}
        for name, check in (("store", application.check_store), ("queue", depth)):
            try:
                check()
                checks[name] = "ok"
            except SeawallError as error:
                checks[name] = error.message
                response.status_code = 503
        return {"status": "ok" if response.status_code != 503 else "not ready", "checks": checks}

    @app.get("/metrics", tags=["operation"], summary="Prometheus metrics", response_class=Response)
    def metrics_page() -> Response:
        counted.show(counted.queue, depth())
        counted.show(counted.outbox, application.incidents.pending())
        counted.show(counted.vcores, application.monitored_vcores())
        return Response(generate_latest(counted.registry), media_type=CONTENT_TYPE_LATEST)

    app.include_router(doors.router(application, settings))
    app.include_router(sensor_doors.router(application, settings))
    app.include_router(api.router(application, reader))
    app.include_router(asset_api.router(application, reader))
    app.include_router(pages.router(application, reader))
    if token:
        app.include_router(login.router(token))
    app.include_router(asset_pages.router(application, reader))
    app.mount("/static", pages.static_files())
    if settings.admission is not None:
        secret = settings.admission.token.get_secret_value()
        app.add_middleware(AdmissionDoor, admission=application.admission, token=secret, metrics=counted)
    return app
