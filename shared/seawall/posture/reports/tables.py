"""CSV, and HTML that stands alone: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from html import escape

from seawall.domain.posture import Assessment, Status
from seawall.posture.engine import Report
from seawall.posture.frameworks import Compliance

COLUMNS = (
    "id",
    "control",
    "title",
    "status",
    "severity",
    "cluster",
    "kind",
    "namespace",
    "name",
    "path",
    "actual",
    "expected",
    "reason",
    "fix",
    "excepted",
    "priority",
    "attack_paths",
)
_RISKY = ("=", "+", "-", "@", "\t", "\r")
_SHOWN = 2000


def cell(value: object) -> str:
    """Return a value as a CSV cell that no spreadsheet runs as a formula."""
    shown = "" if value is None else str(value)
    return f"'{shown}" if shown.startswith(_RISKY) else shown


def row_of(item: Assessment) -> tuple[object, ...]:
    """Return one result in the order of `COLUMNS`."""
    ref = item.object
    return (
        item.id, item.control, item.title, item.status.value, item.severity.label, ref.cluster, ref.kind, ref.namespace, ref.name,
        item.path, item.actual, item.expected, item.reason, item.fix, item.excepted,
        item.priority.score if item.priority else None, item.priority.paths if item.priority else None,
    )  # fmt: skip


def to_csv(report: Report) -> str:
    """Return every result as CSV."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for item in report.assessments():
        writer.writerow([cell(value) for value in row_of(item)])
    return out.getvalue()


_STYLE = """
:root{color-scheme:light dark;--line:#8884;--fail:#b3261e;--pass:#1b7f3b;--warn:#8a6100}
@media(prefers-color-scheme:dark){:root{--fail:#ff8a80;--pass:#7bd88f;--warn:#ffcf70}}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
caption{text-align:left;font-weight:600;padding:.4rem 0}.fail{color:var(--fail);font-weight:600}.pass{color:var(--pass);font-weight:600}.manual,.unknown{color:var(--warn);font-weight:600}
code{font-size:.9em}h2{margin-top:2.5rem}
"""


def _urgency(item: Assessment) -> tuple[int, int]:
    return (-(item.priority.score if item.priority else 0), -int(item.severity))


def _priority(item: Assessment) -> str:
    """A priority with the attack paths that it comes from."""
    if item.priority is None:
        return ""
    paths = item.priority.paths
    return (
        f"{item.priority.score}, on {paths:,} attack path{'' if paths == 1 else 's'}"
        if paths
        else str(item.priority.score)
    )


def to_html(report: Report, now: datetime, compliances: Sequence[Compliance] = ()) -> str:
    """Return a report as one HTML page: totals, requirements of frameworks, failures, what is missing."""
    summary = report.summary()
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>Posture of {escape(report.cluster or 'the input')}</title><style>{_STYLE}</style></head><body>",
        f"<h1>Posture of {escape(report.cluster or 'the input')}</h1><p>Assessed {escape(now.isoformat(timespec='seconds'))}. {summary['objects']} objects, {summary['workloads']} workloads.</p>",
        _table(
            "Results",
            ("status", "objects"),
            [(status.value.replace("_", " "), summary[status.value]) for status in Status],
        ),
        _table("Failures by severity", ("severity", "count"), list(summary["failures_by_severity"].items())),
    ]
    for compliance in compliances:
        score = "nothing assessed" if compliance.score is None else f"{compliance.score:.1%}"
        parts.append(f"<h2>{escape(compliance.framework.title)}: {score}</h2>")
        rows = [
            (item.id, item.title, item.status.value, f"{item.passed} of {item.assessed}", ", ".join(item.controls))
            for item in compliance.requirements
        ]
        parts.append(_table("Requirements", ("id", "requirement", "status", "passed", "controls"), rows))
    parts.append("<h2>Failures</h2>")
    failures = list(report.failures())
    parts.append(
        _table(
            f"{len(failures)} failures"
            + (f", the first {_SHOWN} shown; CSV and JSON hold all" if len(failures) > _SHOWN else ""),
            ("severity", "priority", "control", "object", "where", "fix"),
            [
                (
                    item.severity.label,
                    _priority(item),
                    f"{item.control} {item.title}",
                    "/".join(part for part in (item.object.kind, item.object.namespace, item.object.name) if part),
                    f"{item.path} {item.reason}".strip(),
                    item.fix,
                )
                for item in sorted(failures, key=_urgency)[:_SHOWN]
            ],
        )
    )
    if report.partial:
        parts.append(
            _table(
                "Not read or not judged",
                ("where", "why"),
                [(note.where, note.reason) for note in report.partial[:_SHOWN]],
            )
        )
    return "\n".join([*parts, "</body></html>\n"])


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [
        f"<table><caption>{escape(caption)}</caption><thead><tr>",
        *(f'<th scope="col">{escape(name)}</th>' for name in head),
        "</tr></thead><tbody>",
    ]
    for row in rows:
        cells = []
        for value in row:
            shown = escape(str(value))
            mark = f' class="{shown}"' if shown in {"fail", "pass", "manual", "unknown"} else ""
            cells.append(f"<td{mark}>{shown}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "".join([*lines, "</tbody></table>"])
