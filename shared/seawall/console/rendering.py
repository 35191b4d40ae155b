"""What all pages share: the templates, their filters, the size of a page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from fastapi.responses import HTMLResponse

from seawall.assets.ids import described
from seawall.domain.attack import technique
from seawall.domain.severity import Severity

HERE = Path(__file__).parent
PAGE_SIZE = 100
SEVERITIES = tuple(severity.label for severity in sorted(Severity, reverse=True))

Page = Callable[..., HTMLResponse]


def renderer() -> Page:
    """Return `page(template, **values)`. Everything that is not markup of a template is escaped."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    templates.filters |= {
        "time": _time,
        "day": _day,
        "technique": _technique,
        "tactic": _tactic,
        "image": _image,
        "asset": _asset,
    }
    templates.globals["severities"] = SEVERITIES

    def page(name: str, **values: Any) -> HTMLResponse:
        return HTMLResponse(templates.get_template(name).render(**values))

    return page


def _time(value: datetime | None) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S UTC") if value else ""


def _day(value: datetime | None) -> str:
    return value.strftime("%d %b %H:%M") if value else ""


def _technique(identifier: str) -> str:
    known = technique(identifier)
    return f"{identifier} {known.name}" if known else identifier


def _tactic(name: str) -> str:
    return name.replace("-", " ").capitalize()


def _image(name: str) -> str:
    """A reference that fits a table: the digest cut to twelve digits."""
    head, at, digest = name.rpartition("@")
    algorithm, _, value = (digest if at else name).partition(":")
    if algorithm != "sha256":
        return name
    return f"{head}{at}{algorithm}:{value[:12]}…"


def _asset(identifier: str) -> str:
    """Kind and name of an asset, by its id."""
    return " ".join(described(identifier)).strip()
