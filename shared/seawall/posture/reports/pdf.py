"""A PDF for auditors: totals, requirements, failures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from seawall.domain.errors import MissingExtra
from seawall.domain.posture import Status
from seawall.posture.engine import Report
from seawall.posture.frameworks import Compliance

_MOST = 500
_COLUMNS = {"totals": (60, 40), "requirements": (30, 25, 30, 105), "failures": (18, 16, 66, 90)}


def to_pdf(report: Report, now: datetime, compliances: Sequence[Compliance] = ()) -> bytes:
    """Return the report as a PDF document.

    Raises:
        MissingExtra: fpdf2 is not installed.
    """
    try:
        from fpdf import FPDF
    except ImportError as error:
        raise MissingExtra("reports", "PDF reports") from error
    page = FPDF(format="A4")
    page.set_title(f"Posture of {report.cluster or 'the input'}")
    page.set_creation_date(now)
    page.set_auto_page_break(True, margin=15)
    page.add_page()
    _line(page, f"Posture of {report.cluster or 'the input'}", 18)
    summary = report.summary()
    _line(
        page,
        f"Assessed {now.isoformat(timespec='seconds')}. {summary['objects']} objects, {summary['workloads']} workloads.",
        10,
    )
    _rows(
        page,
        "totals",
        [("status", "objects"), *((status.value.replace("_", " "), summary[status.value]) for status in Status)],
    )
    for compliance in compliances:
        score = "nothing assessed" if compliance.score is None else f"{compliance.score:.1%}"
        _line(page, f"{compliance.framework.title}: {score}", 14)
        _rows(
            page,
            "requirements",
            [
                ("requirement", "status", "passed", "controls"),
                *(
                    (item.id, item.status.value, f"{item.passed} of {item.assessed}", ", ".join(item.controls))
                    for item in compliance.requirements
                ),
            ],
        )
    failures = sorted(report.failures(), key=lambda item: -item.severity)
    _line(page, f"{len(failures)} failures" + (f", the first {_MOST} shown" if len(failures) > _MOST else ""), 14)
    _rows(
        page,
        "failures",
        [
            ("severity", "control", "object", "where"),
            *(
                (
                    item.severity.label,
                    item.control,
                    "/".join(part for part in (item.object.kind, item.object.namespace, item.object.name) if part),
                    f"{item.title}. {item.path} {item.reason}",
                )
                for item in failures[:_MOST]
            ),
        ],
    )
    return bytes(page.output())


def _text(value: object) -> str:
    """The built-in fonts hold Latin-1 only."""
    return str(value).encode("latin-1", "replace").decode("latin-1")


def _line(page: Any, text: str, size: int) -> None:
    page.set_font("helvetica", size=size)
    page.multi_cell(0, size * 0.55, _text(text), new_x="LMARGIN", new_y="NEXT")
    page.ln(2)


def _rows(page: Any, name: str, rows: Sequence[Sequence[object]]) -> None:
    page.set_font("helvetica", size=8)
    with page.table(col_widths=_COLUMNS[name], line_height=4.5, text_align="LEFT", first_row_as_headings=True) as table:
        for row in rows:
            line = table.row()
            for value in row:
                line.cell(_text(value)[:400])
    page.ln(4)
