"""Turns the test database of another scanner (buckets, packages, ids) into OSV records."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_LANGUAGES = {
    "go": "Go", "maven": "Maven", "npm": "npm", "nuget": "NuGet", "pip": "PyPI", "composer": "Packagist",
    "cargo": "crates.io", "conan": "ConanCenter", "rubygems": "RubyGems", "pub": "Pub", "swift": "SwiftURL", "erlang": "Hex",
}  # fmt: skip
_DISTRIBUTIONS = (
    (r"alpine (\S+)", "Alpine:v{}"), (r"debian (\S+)", "Debian:{}"), (r"ubuntu (\S+)", "Ubuntu:{}"), (r"alma (\S+)", "AlmaLinux:{}"),
    (r"rocky (\S+)", "Rocky Linux:{}"), (r"Oracle Linux (\S+)", "Oracle Linux:{}"), (r"amazon linux (\S+)", "Amazon Linux:{}"),
    (r"CBL-Mariner (\S+)", "CBL-Mariner:{}"), (r"Photon OS (\S+)", "Photon OS:{}"), (r"openSUSE Leap (\S+)", "openSUSE:Leap {}"),
    (r"SUSE Linux Enterprise (\d+)-SP(\d)", "SUSE:Linux Enterprise Server {} SP{}"),
)  # fmt: skip
_RED_HAT_REPOSITORIES = {857: "6", 858: "6", 859: "7", 860: "7", 862: "7", 869: "7"}
"""The database names repositories of Red Hat by number; these are base repositories of a release, told by their fixes."""
_TERM = re.compile(r"(<=|>=|<|>|=)?\s*v?(.+)")


def records(folder: Path) -> list[dict[str, Any]]:
    """Every advisory of the database as an OSV record, several of one id where it stands in several buckets."""
    out: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.json")):
        if path.name in ("vulnerability.json", "data-source.json"):
            continue
        for bucket in json.loads(path.read_text()):
            for package in bucket["pairs"]:
                for item in package.get("pairs", ()):
                    out += _record(bucket["bucket"], package["bucket"], item["key"], item.get("value") or {})
    return out


def _record(bucket: str, package: str, name: str, value: dict[str, Any]) -> list[dict[str, Any]]:
    if bucket == "Red Hat":
        return [item for entry in value["Entries"] for item in _red_hat(package, name, entry)]
    language = _LANGUAGES.get(bucket.partition("::")[0])
    if language:
        return [{"id": name, "affected": [_constrained(language, package, value)]}]
    for pattern, form in _DISTRIBUTIONS:
        found = re.fullmatch(pattern, bucket)
        if found:
            return [
                {"id": name, "affected": [_fixed(form.format(*found.groups()), package, value.get("FixedVersion", ""))]}
            ]
    return []


def _red_hat(package: str, name: str, entry: dict[str, Any]) -> list[dict[str, Any]]:
    releases = {_RED_HAT_REPOSITORIES[number] for number in entry["Affected"] if number in _RED_HAT_REPOSITORIES}
    cves = [item["ID"] for item in entry.get("Cves", ()) if item.get("ID")]
    affected = [
        _fixed(f"Red Hat:enterprise_linux:{release}", package, entry.get("FixedVersion", ""))
        for release in sorted(releases)
    ]
    return [{"id": name, "upstream": cves, "affected": affected}]


def _fixed(ecosystem: str, package: str, version: str) -> dict[str, Any]:
    events: list[dict[str, str]] = [{"introduced": "0"}]
    if version:
        events.append({"fixed": version})
    return {"package": {"ecosystem": ecosystem, "name": package}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}


def _terms(constraint: str) -> list[str]:
    """Comma-separated comparisons; Maven's `[a,b)` in that form."""
    found = re.fullmatch(r"\s*([\[(])([^,]*),([^,]*)([\])])\s*", constraint)
    if not found:
        return constraint.split(",")
    low = [f"{'>=' if found[1] == '[' else '>'}{found[2]}"] if found[2] else []
    return low + ([f"{'<=' if found[4] == ']' else '<'}{found[3]}"] if found[3] else [])


def _constrained(ecosystem: str, package: str, value: dict[str, Any]) -> dict[str, Any]:
    patched = value.get("PatchedVersions", [])
    ranges: list[dict[str, Any]] = []
    for constraint in value.get("VulnerableVersions", []):
        for alternative in constraint.split("||"):
            events: list[dict[str, str]] = []
            for term in _terms(alternative):
                operator, version = _TERM.fullmatch(term.strip()).groups()  # type: ignore[union-attr]
                if operator == "<":
                    # The text of the fix as the database gives it, "v" and all.
                    own = [item for item in patched if item.removeprefix("v") == version]
                    # A bound that is no patched version ends the range without being a fix.
                    events.append({"fixed": own[0] if own else version} if own or not patched else {"limit": version})
                elif operator == "<=":
                    events.append({"last_affected": version})
                elif operator in (">", ">="):
                    events.append({"introduced": version})
                else:
                    events += [{"introduced": version}, {"last_affected": version}]
            if not any("introduced" in event for event in events):
                events.insert(0, {"introduced": "0"})
            ranges.append({"type": "ECOSYSTEM", "events": events})
    out: dict[str, Any] = {"package": {"ecosystem": ecosystem, "name": package}, "ranges": ranges}
    if patched:
        out["ecosystem_specific"] = {"first_patched": patched[0]}
    return out
