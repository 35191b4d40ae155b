"""OSCAL assessment results (NIST, version 1.1.3): one observation and finding for each control and status."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from seawall.domain.posture import Assessment, Status
from seawall.posture.engine import Report, overall
from seawall.posture.frameworks import Compliance

VERSION: Final = "1.1.3"
_SPACE: Final = uuid.UUID("6f6b5f0e-8f0b-5c55-9a53-7d4f7a1f5f11")
_STATE: Final = {Status.PASS: "satisfied"}
_MOST: Final = 200


def name(*parts: str) -> str:
    """Return the same UUID for the same parts."""
    return str(uuid.uuid5(_SPACE, "\x1f".join(parts)))


def to_oscal(report: Report, now: datetime, compliances: Sequence[Compliance] = ()) -> dict[str, Any]:
    """Return the assessment-results document.

    Each control of the catalogue is one observation with its evidence, and one finding on the objective of that id;
    requirements of frameworks become findings of their own. `now` has a time zone.
    """
    when = now.isoformat(timespec="seconds")
    failed: dict[str, list[Assessment]] = {}
    for item in report.failures():
        failed.setdefault(item.control, []).append(item)
    observations, findings = [], []
    for control_id, counts in report.by_control().items():
        control = next(item for item in report.controls if item.id == control_id)
        status = overall(counts)
        evidence = failed.get(control_id, [])
        observation: dict[str, Any] = {
            "uuid": name(report.cluster, control_id, "observation"),
            "title": control.title,
            "description": f"{control.title}: "
            + (", ".join(f"{counts[item]} {item.value}" for item in Status if counts[item]) or "nothing to assess"),
            "methods": ["EXAMINE" if status is Status.MANUAL else "TEST"],
            "collected": when,
            "props": [{"name": "status", "ns": "https://seawall.io/ns/oscal", "value": status.value}],
        }
        if evidence:
            observation["relevant-evidence"] = [
                {
                    "description": f"{'/'.join(part for part in (item.object.kind, item.object.namespace, item.object.name) if part)}: {item.path} {item.reason}".strip()
                }
                for item in evidence[:_MOST]
            ]
            observation["remarks"] = control.remedy
        observations.append(observation)
        if status in {Status.PASS, Status.FAIL}:
            findings.append(_finding(report, control_id, control.title, status, [observation["uuid"]]))
    for compliance in compliances:
        for requirement in compliance.requirements:
            if requirement.status in {Status.PASS, Status.FAIL}:
                related = [name(report.cluster, control_id, "observation") for control_id in requirement.controls]
                target = f"{compliance.framework.id}_{requirement.id}"
                findings.append(
                    _finding(
                        report, target, f"{compliance.framework.title} {requirement.id}", requirement.status, related
                    )
                )
    chosen: dict[str, Any] = {"include-all": {}}
    result = {
        "uuid": name(report.cluster, when, "result"),
        "title": f"Posture of {report.cluster or 'the input'}",
        "description": "Automated assessment by Seawall's posture controls.",
        "start": when,
        "end": when,
        "reviewed-controls": {"control-selections": [chosen]},
        "observations": observations,
        "findings": findings,
    }
    return {
        "assessment-results": {
            "uuid": name(report.cluster, when),
            "metadata": {
                "title": f"Seawall posture assessment of {report.cluster or 'the input'}",
                "last-modified": when,
                "version": "1",
                "oscal-version": VERSION,
            },
            "import-ap": {
                "href": "#assessment-plan",
                "remarks": "Seawall assesses by its catalogue of controls; there is no separate plan.",
            },
            "results": [{key: value for key, value in result.items() if value != []}],
        }
    }


def _finding(report: Report, target: str, title: str, status: Status, observations: list[str]) -> dict[str, Any]:
    token = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in target)
    return {
        "uuid": name(report.cluster, target, "finding"),
        "title": title,
        "description": title,
        "target": {
            "type": "objective-id",
            "target-id": token if token[:1].isalpha() else f"r_{token}",
            "status": {"state": _STATE.get(status, "not-satisfied")},
        },
        "related-observations": [{"observation-uuid": item} for item in observations],
    }
