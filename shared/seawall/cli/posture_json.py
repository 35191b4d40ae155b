"""The JSON document of `seawall posture assess`, written result by result."""

from __future__ import annotations

import json
from typing import Any

from seawall.domain.posture import Priority
from seawall.posture.engine import Report
from seawall.posture.frameworks import score_by_team


def write_json(report: Report, compliances: list[Any], out: Any, team_label: str) -> None:
    """Write a report as one JSON document, result by result."""
    out.write('{"results": [')
    for number, item in enumerate(report.assessments()):
        row = {
            "id": item.id,
            "control": item.control,
            "title": item.title,
            "status": item.status.value,
            "severity": item.severity.label,
            "object": {"kind": item.object.kind, "namespace": item.object.namespace, "name": item.object.name},
            "path": item.path,
            "actual": item.actual,
            "expected": item.expected,
            "fix": item.fix,
            "reason": item.reason,
            "excepted": item.excepted,
        }
        if item.priority is not None:
            row["priority"] = priority(item.priority)
        out.write((",\n" if number else "\n") + json.dumps(row, default=str))
    partial = [{"where": note.where, "reason": note.reason} for note in report.partial]
    teams = {
        name: {"passed": good, "assessed": whole, "score": round(good / whole, 4) if whole else None}
        for name, (good, whole) in score_by_team(report, team_label).items()
    }
    summary = {**report.summary(), "teams": teams}
    frameworks = [item.as_dict() for item in compliances]
    out.write(
        '\n],\n"summary": '
        + json.dumps(summary)
        + ',\n"frameworks": '
        + json.dumps(frameworks)
        + ',\n"partial": '
        + json.dumps(partial)
        + "}\n"
    )


def priority(item: Priority) -> dict[str, Any]:
    """Return a priority as JSON values; what is on no path has its score alone."""
    if not item.paths:
        return {"score": item.score, "paths": 0}
    return {
        "score": item.score,
        "paths": item.paths,
        "likelihood": round(item.likelihood, 3),
        "impact": item.impact,
        "path": list(item.path),
    }
