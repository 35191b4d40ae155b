"""Requirements, fulfilled and broken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from seawall.admission.policy import AdmissionPolicy, Evidence, Missing, Requirement, broken
from seawall.domain.errors import InputError
from seawall.domain.findings import Finding
from seawall.domain.severity import Severity
from seawall.formats.admission_policy import read
from seawall.oci.references import parse_reference

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
TAGGED = parse_reference("acme.azurecr.io/shop/api:1")
PINNED = parse_reference("acme.azurecr.io/shop/api@sha256:" + "1" * 64)


def evidence(*findings: Finding, age_days: float = 0) -> Evidence:
    return Evidence(PINNED.digest, NOW - timedelta(days=age_days), findings)


def finding(severity: Severity, **more: object) -> Finding:
    return Finding("CVE-2026-1", "pkg:deb/debian/zlib", "zlib", "1", severity, **more)  # type: ignore[arg-type]


HIGH, CRITICAL = finding(Severity.HIGH), finding(Severity.CRITICAL, fixed_version="2")


@pytest.mark.parametrize(
    ("rule", "image", "known", "why"),
    [
        pytest.param(Requirement("r"), TAGGED, evidence(CRITICAL), "", id="signed is enough"),
        pytest.param(Requirement("r"), TAGGED, Missing("no signed findings"), "no signed", id="not signed"),
        pytest.param(Requirement("r", digest=True), TAGGED, evidence(), "by digest", id="tag"),
        pytest.param(Requirement("r", digest=True), PINNED, evidence(), "", id="digest"),
        pytest.param(Requirement("r", registries=("acme.azurecr.io/*",)), TAGGED, evidence(), "", id="own registry"),
        pytest.param(Requirement("r", registries=("acme.azurecr.io/shop",)), TAGGED, evidence(), "come from", id="no glob"),
        pytest.param(Requirement("r", registries=("*.azurecr.io/*",), signed=False), parse_reference("nginx"), None, "come from", id="Docker Hub"),
        pytest.param(Requirement("r", max_severity=Severity.HIGH), TAGGED, evidence(HIGH), "", id="as bad as allowed"),
        pytest.param(Requirement("r", max_severity=Severity.HIGH), TAGGED, evidence(CRITICAL), "1 vulnerabilities above high", id="worse"),
        pytest.param(Requirement("r", max_severity=Severity.HIGH), TAGGED, evidence(CRITICAL, CRITICAL), "1 vulnerabilities", id="two platforms"),
        pytest.param(Requirement("r", max_severity=Severity.MEDIUM, fixable_only=True), TAGGED, evidence(HIGH), "", id="no fix yet"),
        pytest.param(Requirement("r", max_severity=Severity.MEDIUM, fixable_only=True), TAGGED, evidence(CRITICAL), "fixable", id="fixable"),
        pytest.param(Requirement("r", known_exploited=False), TAGGED, evidence(finding(Severity.LOW, in_kev=True)), "exploited", id="exploited"),
        pytest.param(Requirement("r", known_exploited=False), TAGGED, evidence(CRITICAL), "", id="not exploited"),
        pytest.param(Requirement("r", denied=("CVE-2026-1",)), TAGGED, evidence(finding(Severity.LOW)), "it has CVE-2026-1", id="named"),
        pytest.param(Requirement("r", denied=("GHSA-1",)), TAGGED, evidence(finding(Severity.LOW, aliases=("GHSA-1",))), "it has CVE-2026-1", id="alias"),
        pytest.param(Requirement("r", denied=("CVE-2026-11",)), TAGGED, evidence(finding(Severity.LOW)), "", id="another"),
        pytest.param(Requirement("r", max_age=timedelta(days=7)), TAGGED, evidence(age_days=7), "", id="just fresh"),
        pytest.param(Requirement("r", max_age=timedelta(days=7)), TAGGED, evidence(age_days=7.1), "last scan", id="stale"),
    ],
)  # fmt: skip
def test_a_requirement(rule: Requirement, image: object, known: object, why: str) -> None:
    reasons = broken(rule, image, known, NOW)  # type: ignore[arg-type]
    assert (reasons == []) if not why else (len(reasons) == 1 and why in reasons[0]), reasons


def test_rules_cover_by_namespace_and_image() -> None:
    rule = Requirement("r", namespaces=("prod-*",), images=("acme.azurecr.io/*",))
    assert rule.covers("prod-1", TAGGED)
    assert not rule.covers("dev", TAGGED)
    assert not rule.covers("prod-1", parse_reference("nginx"))
    assert not rule.covers("prod-1", parse_reference("evil.example/acme.azurecr.io/x"))


def test_nobody_is_exempt_unless_named() -> None:
    assert not AdmissionPolicy().exempts("kube-system", "admin")
    policy = AdmissionPolicy((), ("kube-system",), ("system:serviceaccount:flux:*",))
    assert policy.exempts("kube-system", "anyone")
    assert policy.exempts("shop", "system:serviceaccount:flux:helm")
    assert not policy.exempts("kube-system-2", "system:serviceaccount:fluxx")


def test_a_policy_file_is_read() -> None:
    policy = read(
        "exempt: {namespaces: [kube-system]}\n"
        "rules: [{name: prod, namespaces: ['prod-*'], max_severity: high, max_age_days: 14, mode: warn, denied: [cve-2026-1]}]"
    )
    assert policy.exempt_namespaces == ("kube-system",)
    assert policy.rules == (
        Requirement(
            "prod",
            "warn",
            ("prod-*",),
            max_severity=Severity.HIGH,
            max_age=timedelta(days=14),
            denied=("CVE-2026-1",),  # type: ignore[arg-type]
        ),
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "valid dictionary"),
        ("rules: []", "rules"),
        ("rules: [{name: a, max_severity: huge}]", "max_severity"),
        ("rules: [{name: a, serverity: high}]", "serverity"),
        ("rules: [{name: a, signed: false, max_severity: high}]", "signed: false"),
        ("rules: [{name: a, fixable_only: true}]", "fixable_only"),
        ("rules: [{name: a, images: ['']}]", "images"),
        ("exempt: {namespace: [a]}\nrules: [{name: a}]", "namespace"),
        ("rules: [\x00", "not YAML"),
        ("[" * 100_000, "not YAML"),
    ],
)
def test_a_mistake_in_a_policy_is_named(text: str, place: str) -> None:
    with pytest.raises(InputError, match=place):
        read(text)
