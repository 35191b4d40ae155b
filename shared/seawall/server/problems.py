"""Errors as RFC 9457 problem documents: what went wrong and where, never a traceback."""

from __future__ import annotations

import logging
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from seawall.console.rendering import Page, renderer
from seawall.domain.errors import (
    ConfigError,
    Denied,
    InputError,
    NotFound,
    SeawallError,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_STATUS: tuple[tuple[type[SeawallError], int, str], ...] = (
    (TooLarge, 413, "Too large"),
    (InputError, 400, "Malformed input"),
    (Unauthenticated, 401, "Not authenticated"),
    (NotFound, 404, "Not found"),
    (Denied, 502, "A service refused"),
    (Unavailable, 503, "Try again later"),
    (ConfigError, 500, "Misconfigured"),
    (SeawallError, 500, "Failed"),
)


def problem(
    status: int, title: str, detail: str = "", where: str = "", headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return a problem document; `where` points into the request."""
    body: dict[str, object] = {"type": "about:blank", "status": status, "title": title}
    if detail:
        body["detail"] = detail
    if where:
        body["where"] = where
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)


def _shown(page: Page, status: int, title: str, detail: str, hint: str) -> HTMLResponse:
    answer = page("problem.html", active="", title=title, detail=detail, hint=hint)
    answer.status_code = status
    return answer


def _is_page(request: Request) -> bool:
    return (
        request.method == "GET"
        and "text/html" in request.headers.get("accept", "")
        and not request.url.path.startswith("/v1/")
    )


def install(app: FastAPI, *, login: str = "") -> None:
    """Answer every failure of `app` with a problem document; browsers get a page, those not signed in `login`."""
    page = renderer()

    @app.exception_handler(SeawallError)
    async def known(request: Request, error: SeawallError) -> Response:
        if login and isinstance(error, Unauthenticated) and _is_page(request):
            return RedirectResponse(f"{login}?next={quote(request.url.path, safe='/')}", 303)
        status, title = next((status, title) for kind, status, title in _STATUS if isinstance(error, kind))
        headers = {}
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, Unavailable):
            headers["Retry-After"] = str(int(error.retry_after_s or 5))
        detail = str(error) if status < 500 or isinstance(error, Unavailable | Denied) else error.message
        if _is_page(request):
            return _shown(page, status, title, error.message, error.hint)
        return problem(status, title, detail, getattr(error, "where", ""), headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = "/".join(str(part) for part in first["loc"])
        if _is_page(request):
            return _shown(page, 400, "Malformed input", f"{where}: {first['msg']}", "")
        return problem(400, "Malformed input", str(first["msg"]), where)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if _is_page(request):
            return _shown(page, error.status_code, str(error.detail), "There is no such page.", "")
        return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> JSONResponse:
        log.error("request failed", extra={"path": request.url.path, "error": type(error).__name__}, exc_info=error)
        return problem(500, "Failed", "the server's log says why")
