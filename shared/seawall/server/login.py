"""Signing in to the console with the API token; the browser then holds a session instead of the token."""

from __future__ import annotations

import time

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from seawall.console.rendering import renderer
from seawall.server.security import SESSION_COOKIE, SESSION_S, is_token, new_session


def router(token: str) -> APIRouter:
    """Return the pages `/login` and `/logout`."""
    page = renderer()
    pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @pages.get("/login")
    def show(next: str = Query("/", max_length=2000)) -> HTMLResponse:  # noqa: A002 - the parameter's usual name
        return page("login.html", target=_own(next), wrong=False)

    @pages.post("/login")
    def sign_in(
        request: Request, shown: str = Form(max_length=4096), target: str = Form("/", max_length=2000)
    ) -> Response:
        if not is_token(shown.strip(), token):
            answer = page("login.html", target=_own(target), wrong=True)
            answer.status_code = 401
            return answer
        response = RedirectResponse(_own(target), 303)
        response.set_cookie(
            SESSION_COOKIE,
            new_session(token, time.time()),
            max_age=SESSION_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https",
        )
        return response

    @pages.post("/logout")
    def sign_out() -> Response:
        response = RedirectResponse("/login", 303)
        response.delete_cookie(SESSION_COOKIE)
        return response

    return pages


def _own(target: str) -> str:
    """A path of this console; anything that could lead elsewhere is the start page."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable() else "/"
