"""What leaves as OCSF fits the schema of its class, as OCSF publishes it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import jsonschema
import pytest
from ocsf_json_schema.embedded import OcsfJsonSchemaEmbedded
from ocsf_json_schema.loader import get_ocsf_schema
from seawall.domain.findings import Finding, ImageReport
from seawall.domain.packages import Distro
from seawall.domain.posture import Assessment, ObjectRef, Status
from seawall.domain.publishing import alert_document, assessment_document, image_document, incident_document
from seawall.domain.severity import Severity
from seawall.formats import ocsf

from tests.support.publishing import ALERT, INCIDENT, T0


@cache
def published() -> OcsfJsonSchemaEmbedded:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(version=ocsf.VERSION))


def report(*findings: Finding) -> ImageReport:
    return ImageReport("sha256:" + "1" * 64, "r/x", "linux/amd64", Distro("debian", "12"), (), findings, (), T0)


FULL = Finding(
    "CVE-2026-1", "pkg:deb/debian/zlib@1", "zlib", "1", Severity.HIGH, fixed_version="2", cvss=7.5,
    cvss_vector="CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", epss=0.1, in_kev=True, url="https://x",
)  # fmt: skip
PLACE = ObjectRef(kind="Pod", name="x", namespace="n", cluster="c")


def assessed(status: Status) -> Assessment:
    return Assessment(id="a", control="WL-001", title="t", severity=Severity.HIGH, status=status, object=PLACE)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param("incident", incident_document(INCIDENT, [ALERT]), id="incident"),
        pytest.param(
            "incident",
            incident_document(replace(INCIDENT, status="closed", owner="eve", classification="falsePositive", seq=4), []),
            id="closed incident",
        ),
        pytest.param("alert", alert_document(ALERT, INCIDENT.id), id="alert"),
        pytest.param("alert", alert_document(replace(ALERT, entities=(), attack=(), context={}, response=""), ""), id="bare alert"),
        pytest.param("image", image_document(report(FULL, Finding("CVE-2", "pkg:a/b", "b", "1"))), id="image"),
        *(pytest.param("assessment", assessment_document(assessed(status)), id=str(status)) for status in Status),
    ],
)  # fmt: skip
def test_records_fit_the_published_schema(kind: str, body: dict[str, Any]) -> None:
    records = list(ocsf.records(kind, "subject", 1, body, T0))
    assert records
    for record in records:
        name = published().lookup_class_name_from_uid(record["class_uid"])
        schema = published().get_class_schema(name)
        problems = [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(record)]
        assert problems == []
