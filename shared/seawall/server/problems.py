"""Errors as RFC 9457 problem documents: what went wrong and where, never a traceback."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

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


def install(app: FastAPI) -> None:
    """Answer every failure of `app` with a problem document."""

    @app.exception_handler(SeawallError)
    async def known(_request: Request, error: SeawallError) -> JSONResponse:
        status, title = next((status, title) for kind, status, title in _STATUS if isinstance(error, kind))
        headers = {}
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, Unavailable):
            headers["Retry-After"] = str(int(error.retry_after_s or 5))
        detail = str(error) if status < 500 or isinstance(error, Unavailable | Denied) else error.message
        return problem(status, title, detail, getattr(error, "where", ""), headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = "/".join(str(part) for part in first["loc"])
        return problem(400, "Malformed input", str(first["msg"]), where)

    @app.exception_handler(HTTPException)
    async def http(_request: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> JSONResponse:
        log.error("request failed", extra={"path": request.url.path, "error": type(error).__name__}, exc_info=error)
        return problem(500, "Failed", "the server's log says why")
