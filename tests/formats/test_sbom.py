"""Bills of materials, SARIF and VEX: valid by the official schemas and validators, and what goes out comes in again."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from datetime import date

import pytest
from seawall.domain.findings import Finding, ImageReport
from seawall.domain.packages import Distro, Gap, Package
from seawall.domain.severity import Severity
from seawall.formats import cyclonedx, openvex, sarif, spdx, vex
from seawall.formats import report as own
from seawall.vulnerability.exceptions import Exceptions, ImageNames, Rule, VexStatus, apply

from tests.conftest import SARIF_SCHEMA
from tests.support.advisories import NOON

OPENSSL = Package(
    "pkg:deb/debian/libssl3@3.0.8-1?arch=amd64&distro=debian-12", "libssl3", "3.0.8-1", "Debian:12", "openssl", "3.0.8-1", "amd64",
    ("Apache-2.0", "weird licence"), "var/lib/dpkg/status", "sha256:" + "1" * 64, "/bin/sh -c apt-get install", "dpkg",
)  # fmt: skip
LODASH = Package("pkg:npm/%40scope/lodash@4.17.20", "@scope/lodash", "4.17.20", "npm", path="app/a/package.json")
SAME = replace(LODASH, path="app/b c/package.json")
NO_VERSION = Package("pkg:generic/thing", "thing", "")


def finding(name, package, **more) -> Finding:
    return Finding(name, package.purl, package.name, package.version, path=package.path, **more)


REPORT = ImageReport(
    digest="sha256:" + "a" * 64,
    name="registry.example/team/app:1@sha256:" + "a" * 64,
    platform="linux/amd64",
    distro=Distro("debian", "12", pretty_name="Debian GNU/Linux 12"),
    packages=(OPENSSL, LODASH, SAME, NO_VERSION),
    findings=(
        finding("CVE-2026-1", OPENSSL, severity=Severity.CRITICAL, cvss=9.8, cvss_vector="CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", aliases=("DSA-1-1",), fixed_version="3.0.9-1", epss=0.5, in_kev=True, published="2026-01-01T00:00:00Z"),
        finding("GHSA-aaaa-bbbb-cccc", LODASH, severity=Severity.MEDIUM, cvss=5.0),
        finding("GHSA-aaaa-bbbb-cccc", SAME, severity=Severity.MEDIUM, cvss=5.0),
        finding("CVE-2026-2", LODASH, severity=Severity.INFORMATIONAL, status="wont_fix", status_reason="unimportant"),
        finding("CVE-2026-3", LODASH, status="not_affected", status_reason="the code is not called"),
        finding("CVE-2026-4", SAME, status="suppressed", status_reason="accepted (until 2027-01-01)"),
    ),
    gaps=(Gap("var/lib/x", "broken", line=3),),
    scanned_at=NOON,
    database="sha256:db",
)  # fmt: skip
TWICE = replace(REPORT, findings=(*REPORT.findings, *REPORT.findings))
FOLDER = replace(REPORT, digest="", name="dir:/some where", distro=Distro(), findings=(), gaps=(), packages=())


@pytest.mark.parametrize("report", [REPORT, TWICE, FOLDER], ids=["image", "findings-twice", "empty-folder"])
@pytest.mark.parametrize("make", [cyclonedx.document, cyclonedx.vex_document], ids=["bom", "vex"])
def test_cyclonedx_is_valid_by_its_schema(report, make):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(make(report)))
    assert error is None, str(error)[:2000]


def test_cyclonedx_references_are_unique_and_exist():
    body = cyclonedx.document(REPORT)
    refs = [item["bom-ref"] for item in body["components"]]
    assert len(refs) == len(set(refs))
    assert all(target["ref"] in refs for item in body["vulnerabilities"] for target in item["affects"])
    states = {item["id"]: item.get("analysis", {}).get("state") for item in body["vulnerabilities"]}
    assert states == {
        "CVE-2026-1": None,
        "GHSA-aaaa-bbbb-cccc": None,
        "CVE-2026-2": None,
        "CVE-2026-3": "not_affected",
        "CVE-2026-4": "not_affected",
    }


@pytest.mark.real("sarif-schema")
@pytest.mark.parametrize("report", [REPORT, FOLDER], ids=["image", "empty-folder"])
def test_sarif_is_valid_by_its_schema(report):
    from jsonschema import Draft7Validator

    schema = json.loads(SARIF_SCHEMA.read_text())
    Draft7Validator.check_schema(schema)
    body = sarif.document(report)
    errors = [f"{list(error.absolute_path)}: {error.message}" for error in Draft7Validator(schema).iter_errors(body)]
    assert errors == []
    assert list(Draft7Validator(schema).iter_errors(body | {"version": "2.0.0"}))


def test_licences_are_expressions_where_they_are_certain():
    certain = replace(REPORT, packages=(replace(OPENSSL, licenses=("GPLv2+ and MIT",)),))
    assert spdx.document(certain)["packages"][1]["licenseDeclared"] == "GPL-2.0-or-later AND MIT"
    assert cyclonedx.document(certain)["components"][0]["licenses"] == [{"expression": "GPL-2.0-or-later AND MIT"}]
    assert spdx.document(REPORT)["packages"][1]["licenseDeclared"] == "NOASSERTION"


@pytest.mark.parametrize("report", [REPORT, FOLDER], ids=["image", "empty-folder"])
def test_spdx_is_valid_by_the_project_s_own_validator(report, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from spdx_tools.spdx.parser.parse_anything import parse_file
        from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

        path = tmp_path / "sbom.spdx.json"
        path.write_text(json.dumps(spdx.document(report)))
        messages = validate_full_spdx_document(parse_file(str(path)))
    assert [message.validation_message for message in messages] == []


SARIF_REQUIRED = {
    "": {"version", "runs"}, "runs": {"tool"}, "tool": {"driver"}, "driver": {"name"}, "rules": {"id"}, "results": {"message"},
    "message": {"text"}, "shortDescription": {"text"}, "fullDescription": {"text"}, "suppressions": {"kind"}, "help": {"text"},
}  # fmt: skip


def objects(value, key=""):
    """Every object of a JSON document with the name that it stands under."""
    if isinstance(value, dict):
        yield key, value
        for name, item in value.items():
            yield from objects(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from objects(item, key)


def test_sarif_has_what_its_schema_requires():
    body = sarif.document(REPORT)
    for name, value in objects(body):
        assert SARIF_REQUIRED.get(name, set()) <= value.keys(), name
    run = body["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(rules) == len(set(rules))
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in {"none", "note", "warning", "error"}
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert " " not in uri
        assert not uri.startswith("/")
    assert [len(result.get("suppressions", [])) for result in run["results"]] == [0, 0, 0, 1, 1, 1]
    fingerprints = [result["partialFingerprints"]["finding/v1"] for result in run["results"]]
    assert len(set(fingerprints)) == len(fingerprints)


def test_own_json_has_the_published_keys():
    body = own.document(REPORT)
    assert body.keys() == {"image", "packages", "findings", "gaps", "not_judged"}
    assert {
        "id",
        "aliases",
        "purl",
        "installed_version",
        "fixed_version",
        "severity",
        "cvss",
        "epss",
        "in_kev",
    } <= body["findings"][0].keys()
    assert body["findings"][0]["severity"] == "critical"
    assert json.loads(json.dumps(body)) == body


@pytest.mark.parametrize("make", [openvex.document, cyclonedx.vex_document], ids=["openvex", "cyclonedx"])
def test_vex_that_goes_out_comes_in_again(make):
    decided = vex.read(json.dumps(make(REPORT)))
    fresh = tuple(replace(item, status="open", status_reason="") for item in REPORT.findings)
    names = ImageNames.of(REPORT.name, REPORT.digest)
    applied = apply(fresh, decided, image=names, now=NOON).findings
    status = {(item.id, item.path): item.status for item in applied}
    assert status["CVE-2026-3", LODASH.path] == "not_affected"
    assert status["CVE-2026-4", SAME.path] == "not_affected"
    assert status["CVE-2026-1", OPENSSL.path] == "open"


def test_openvex_says_what_its_specification_requires():
    body = openvex.document(REPORT)
    assert {"@context", "@id", "author", "timestamp", "version", "statements"} <= body.keys()
    for statement in body["statements"]:
        assert statement["status"] in {word.value for word in VexStatus}
        if statement["status"] == "not_affected":
            assert statement["impact_statement"]
        if statement["status"] == "affected":
            assert statement["action_statement"]


@pytest.mark.shared
def test_vex_of_another_project(shared_data):
    decided = vex.read((shared_data / "fixtures/vuln/vex/openvex.json").read_bytes())
    opa = finding("CVE-2022-23628", Package("pkg:golang/github.com/open-policy-agent/opa@v0.35.0", "opa", "v0.35.0"))
    root = "pkg:golang/github.com/testdata/testdata"
    image = ImageNames.of(REPORT.name, REPORT.digest)
    [covered] = apply([opa], decided, image=image, now=NOON, package_purls=[root]).findings
    assert covered.status == "not_affected"
    assert "vulnerable_code_not_in_execute_path" in covered.status_reason
    [elsewhere] = apply([opa], decided, image=image, now=NOON).findings
    assert elsewhere.status == "open"
    [folder] = apply([opa], decided, image=ImageNames.of("dir:/src"), now=NOON).findings
    assert folder.status == "not_affected"


def test_rules_suppress_and_stay_visible():
    rule = Rule("accepted by team", date(2026, 12, 1), id="CVE-2026-*", purl="pkg:npm/%40scope/*", path="app/*")
    applied = apply(REPORT.findings, Exceptions((rule,)), image=ImageNames.of(REPORT.name), now=NOON)
    assert len(applied.findings) == len(REPORT.findings)
    assert [item.id for item in applied.findings if "accepted by team" in item.status_reason] == [
        "CVE-2026-2",
        "CVE-2026-3",
        "CVE-2026-4",
    ]
    assert "until 2026-12-01" in applied.findings[3].status_reason


def test_an_expired_rule_suppresses_nothing_and_is_reported():
    rule = Rule("old", date(2026, 11, 22), id="CVE-2026-1")
    applied = apply(REPORT.findings, Exceptions((rule,)), image=ImageNames(), now=NOON)
    assert applied.findings[0].status == "open"
    assert applied.expired == (rule,)


@pytest.mark.parametrize(
    ("pattern", "holds"),
    [
        pytest.param("registry.example/team/*", True, id="with-registry"),
        pytest.param("team/app", True, id="repository"),
        pytest.param("team/app:1", False, id="tag-without-registry"),
        pytest.param("sha256:" + "a" * 64, True, id="digest"),
        pytest.param("other/*", False, id="another"),
    ],
)
def test_rules_by_image(pattern, holds):
    rule = Rule("r", date(2027, 1, 1), image=pattern)
    applied = apply(REPORT.findings[:1], Exceptions((rule,)), image=ImageNames.of(REPORT.name, REPORT.digest), now=NOON)
    assert (applied.findings[0].status == "suppressed") is holds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("ignore: [{id: CVE-1, expires: 2026-01-01}]", "reason", id="no-reason"),
        pytest.param("ignore: [{id: CVE-1, reason: x}]", "expires", id="no-expiry"),
        pytest.param("ignore: [{reason: x, expires: 2026-01-01}]", "at least one", id="no-condition"),
        pytest.param("ignore: [{id: CVE-1, reason: '  ', expires: 2026-01-01}]", "empty", id="blank-reason"),
        pytest.param("ignored: []", "ignored", id="unknown-key"),
        pytest.param("ignore: [", "not YAML", id="broken"),
        pytest.param("ignore: [{id: CVE-1, reason: x, expires: soon}]", "expires", id="no-date"),
    ],
)
def test_policy_files_that_are_wrong_say_where(text, message):
    from seawall.domain.errors import InputError
    from seawall.formats import policy

    with pytest.raises(InputError, match=message):
        policy.read(text)


def test_policy_files_in_yaml():
    from seawall.formats import policy

    read = policy.read("ignore:\n  - id: CVE-2026-1\n    purl: pkg:npm/x\n    reason: why\n    expires: 2026-12-31\n")
    assert read.rules == (Rule("why", date(2026, 12, 31), id="CVE-2026-1", purl="pkg:npm/x"),)


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b"\xff\xfe", b'{"@context": "x"}', b'{"bomFormat": "SPDX"}', b"[" * 100_000]
)
def test_what_is_no_vex_is_refused(raw):
    from seawall.domain.errors import InputError

    with pytest.raises(InputError):
        vex.read(raw)


def test_sarif_of_several_platforms_is_one_document_and_keeps_to_what_code_scanning_takes(monkeypatch):
    monkeypatch.setattr(sarif, "MAX_RESULTS", 1)
    arm = replace(REPORT, platform="linux/arm64")
    body = sarif.document(REPORT, arm)
    assert [run["automationDetails"]["id"] for run in body["runs"]] == ["seawall/linux/amd64/", "seawall/linux/arm64/"]
    run = body["runs"][0]
    assert [item["ruleId"] for item in run["results"]] == [REPORT.findings[0].id]
    assert len(run["tool"]["driver"]["rules"]) == 1
    left = len(REPORT.findings) - 1
    assert run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"].startswith(f"{left} less urgent")
