"""`make score-vulnerabilities`: how right matching is, by data that other projects made. Prints figures and explains misses.

Exits non-zero when a figure is below what is required; prints "skipped" where the data is not there.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from seawall.adapters.images.sources import Sources  # noqa: E402
from seawall.adapters.osv.reading import read_source  # noqa: E402
from seawall.app.inventory_image import inventory_image  # noqa: E402
from seawall.domain.findings import Finding  # noqa: E402
from seawall.domain.packages import Package  # noqa: E402
from seawall.formats import vex  # noqa: E402
from seawall.vulnerability import ecosystems, osv  # noqa: E402
from seawall.vulnerability.advisory_build import Builder  # noqa: E402
from seawall.vulnerability.advisory_file import AdvisoryFile  # noqa: E402
from seawall.vulnerability.exceptions import Exceptions, ImageNames, Rule, apply  # noqa: E402
from seawall.vulnerability.match import match  # noqa: E402
from seawall.vulnerability.versions import ORDERS, compare, satisfies  # noqa: E402
from seawall.vulnerability.versions.rpm import is_modular  # noqa: E402

from tests.score.trivy_database import records as trivy_records  # noqa: E402

DATA = HERE.parents[2] / "shared" / "data"
FIXTURES = DATA / "fixtures" / "vuln"
NAMED = ("alpine", "debian", "maven", "nuget", "packagist", "pypi", "rpm", "rubygems", "semver")
failures: list[str] = []


def say(what: str, right: int, total: int, required: float, misses: Iterable[str] = ()) -> None:
    """One figure, and up to ten misses of it."""
    share = right / total if total else 0.0
    mark = "ok  " if total and share >= required else "LOW "
    if mark == "LOW ":
        failures.append(what)
    print(f"{mark} {what}: {right:,} of {total:,} ({share:.2%}, required {required:.0%})")
    for miss in list(misses)[:10]:
        print(f"        {miss}")


def rows(path: Path) -> list[list[str]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    return [line.split("\t") for line in text.splitlines()][1:]


def versions() -> None:
    signs = {"<": -1, "=": 0, ">": 1}
    for table in NAMED:
        lines = rows(FIXTURES / "versions" / f"{table}.tsv")
        wrong = [row for row in lines if compare(row[0], row[1], row[3]) != signs[row[2]]]
        say(f"version table {table}", len(lines) - len(wrong), len(lines), 1, (" ".join(row[:4]) for row in wrong))
    lines = [row for row in rows(FIXTURES / "versions" / "constraints.tsv") if row[0] in ORDERS]
    wrong = [row for row in lines if satisfies(row[0], row[1], row[2]) is not (row[3] == "true")]
    say("constraint checks", len(lines) - len(wrong), len(lines), 1, (" ".join(row) for row in wrong))


def file_of(records: Iterable[dict[str, Any]]) -> AdvisoryFile:
    builder = Builder()
    for record in records:
        builder.add(osv.parse(json.dumps(record)))
    return AdvisoryFile(builder.finish(built_at=datetime.now(UTC)))


def plain(version: str) -> str:
    return version.removeprefix("v")


def trees(file: AdvisoryFile) -> None:
    right = total = 0
    misses = []
    cases = [(path, path / "expected.json", Exceptions()) for path in sorted((FIXTURES / "e2e").iterdir())]
    decided = vex.read((FIXTURES / "vex" / "openvex.json").read_bytes())
    cases.append((FIXTURES / "e2e" / "gomod", FIXTURES / "vex" / "expected-gomod-vex.json", decided))
    for case, expected, exceptions in cases:
        if not (case / "tree").is_dir():
            continue
        inventory = inventory_image(f"dir:{case / 'tree'}", sources=Sources(no_registry))
        applied = apply(
            match(inventory.packages, file), exceptions, image=ImageNames.of(inventory.target), now=datetime.now(UTC),
            package_purls=[package.purl for package in inventory.packages],
        )  # fmt: skip
        found = [item for item in applied.findings if item.status == "open"]
        got = {
            (item.id, item.package.lower(), plain(item.installed_version), plain(item.fixed_version)) for item in found
        }
        want = {
            (
                item["VulnerabilityID"],
                item["PkgName"].lower(),
                plain(item["InstalledVersion"]),
                plain(item.get("FixedVersion", "")),
            )
            for result in json.loads(expected.read_text())["Results"]
            for item in result.get("Vulnerabilities", ())
        }
        total += 1
        right += got == want
        if got != want:
            misses.append(
                f"{expected.name} of {case.name}: missing {sorted(want - got)}, too much {sorted(got - want)}"
            )
    say("end-to-end trees, exact", right, total, 1, misses)


def no_registry() -> Any:
    raise AssertionError("trees are on disk")


GOLDENS = {
    # golden: (ecosystem, package list or "" where there is none)
    "almalinux-8": ("AlmaLinux:8", ""), "alpine-39": ("Alpine:v3.9", ""), "alpine-39-ignore-cveids": ("Alpine:v3.9", ""),
    "amazon-2": ("Amazon Linux:2", "amazon-2"), "centos-6": ("Red Hat:enterprise_linux:6", "centos-6"),
    "centos-7-medium": ("Red Hat:enterprise_linux:7", ""), "distroless-base": ("Debian:9", "gcr.io-distroless-base-latest"),
    "oraclelinux-8": ("Oracle Linux:8", ""), "spring4shell-jre8": ("Maven", ""), "ubi-7": ("Red Hat:enterprise_linux:7", "ubi-7"),
    "ubuntu-1804": ("Ubuntu:18.04", "ubuntu-18.04"), "ubuntu-1804-ignore-unfixed": ("Ubuntu:18.04", "ubuntu-18.04"),
}  # fmt: skip
_SOURCES = {"libcrypto1.1": "openssl", "libssl1.1": "openssl", "musl-utils": "musl"}


def goldens(file: AdvisoryFile) -> None:
    right = total = 0
    misses = []
    for name, (ecosystem, listed) in GOLDENS.items():
        golden = json.loads((FIXTURES / "images/findings" / f"{name}.json").read_text())
        expected = [item for result in golden["Results"] for item in result.get("Vulnerabilities") or ()]
        want = {
            (item["VulnerabilityID"], item["PkgName"], item["InstalledVersion"], item.get("FixedVersion") or "")
            for item in expected
        }
        if listed:
            packages = [
                _listed(ecosystem, item)
                for item in json.loads((FIXTURES / "images/packages" / f"{listed}.json").read_text())
            ]
        else:
            # No list of this image's packages is there: the packages that have findings stand in for it.
            packages = [
                Package("pkg:x/x", package, version, ecosystem, _SOURCES.get(package, package), version)
                for package, version in sorted({(item["PkgName"], item["InstalledVersion"]) for item in expected})
            ]
        findings = _filtered(name, match(packages, file))
        got = {(item.id, item.package, item.installed_version, item.fixed_version) for item in findings}
        total += 1
        right += got == want
        if got != want:
            misses.append(f"{name}: missing {sorted(want - got)}, too much {sorted(got - want)}")
    say("image goldens, exact", right, total, 1, misses)


def _listed(ecosystem: str, item: dict[str, Any]) -> Package:
    def version(prefix: str) -> str:
        text = item.get(f"{prefix}Version", "")
        if item.get(f"{prefix}Release"):
            text += f"-{item[f'{prefix}Release']}"
        return f"{item[f'{prefix}Epoch']}:{text}" if item.get(f"{prefix}Epoch") else text

    return Package("pkg:x/x", item["Name"], version(""), ecosystem, item.get("SrcName", ""), version("Src"))


def _filtered(name: str, findings: list[Finding]) -> list[Finding]:
    """What the golden's run left out."""
    if name.endswith("ignore-unfixed"):
        return [item for item in findings if item.fixed_version]
    if name.endswith("ignore-cveids"):
        rules = tuple(Rule("golden", date(2999, 1, 1), id=cve) for cve in ("CVE-2019-1549", "CVE-2019-14697"))
        applied = apply(findings, Exceptions(rules), image=ImageNames(), now=datetime.now(UTC))
        return [item for item in applied.findings if item.status == "open"]
    if name.endswith("medium"):
        low = {"CVE-2018-0734", "CVE-2019-18276"}  # that run showed medium and above; the database rates these low
        return [item for item in findings if item.id not in low]
    return findings


NOT_IN_THE_SERVICE = {
    "GHSA-g9g8-vgvw-g3vf": "true of 1.18.2 (fixed in 1.19.4). Our record is rubysec's, who made it from the advisory in the "
    "project's own repository, the only page that it names (its siblings name GitHub's global database too, from which "
    "the service takes RubyGems); the CVE is of 2026-08-25. Its record has the shape of GHSA-wfpw-mmfh-qq69's, which "
    "is in the answer: no rule of matching could tell the two apart",
}
"""Advisories that we hold and the service did not at the time, each looked up by hand: a finding of theirs is right."""


def answers(file: AdvisoryFile) -> None:
    right = total = 0
    misses, unheld = [], 0
    explained: set[str] = set()
    for ecosystem, name, version, ids in rows(FIXTURES / "osv-answers" / "answers.tsv.gz"):
        want = set(ids.replace(",", " ").split())
        key = (ecosystems.release_key(ecosystem), ecosystems.package_name(ecosystem, name))
        held = {
            item
            for item in want
            if any(advisory.id == item and key in advisory.packages for advisory in file.named(item))
        }
        unheld += len(want - held)
        findings = match([Package("pkg:x/x", name, version, ecosystem, name, version)], file)
        got = {advisory for finding in findings for advisory in finding.advisories}
        extra = {
            item
            for finding in findings
            for item in finding.advisories
            if not want & {finding.id, *finding.aliases, *finding.advisories}
            # The service has no records of the source that calls Maven's advisories by their CVE.
            and not (ecosystem == "Maven" and item.startswith("CVE-"))
        }
        explained |= extra & NOT_IN_THE_SERVICE.keys()
        extra -= NOT_IN_THE_SERVICE.keys()
        total += 1
        if held <= got and not extra:
            right += 1
        else:
            misses.append(
                f"{ecosystem} {name} {version}: missing {sorted(held - got)}, too much {sorted(extra)} (our record: {_why(file, key, version, extra)})"
            )
    held_only = f"recorded OSV answers, exact for ids we hold ({unheld} ids that we do not hold left out)"
    say(held_only, right, total, 1, misses)
    for item in sorted(explained):
        print(f"        one finding more than the service gave: {item}: {NOT_IN_THE_SERVICE[item]}")


def _why(file: AdvisoryFile, key: tuple[str, str], version: str, extra: set[str]) -> str:
    block = file.package(*key)
    for entry in block.entries() if block else ():
        if file.advisory(entry.advisory).id in extra:
            ends = [block.boundaries[index] for index in entry.fixes] if block else []
            return f"names {version} itself" if not ends else f"fixed in {ends}"
    return "-"


LANGUAGES = ("PyPI", "npm", "Go", "RubyGems", "NuGet", "crates.io", "Packagist")


def labels(file: AdvisoryFile) -> None:
    """Hand labels. A row is judged when we hold an advisory about its package and vulnerability that can decide it."""
    lines = rows(FIXTURES / "labels" / "match-labels.tsv.gz")
    releases, system_packages, oracle = _images(lines)
    counts: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    misses: dict[str, list[str]] = defaultdict(list)
    disputed = 0
    for image, name, version, vulnerability, cve, label, _ in lines:
        for ecosystem in _ecosystems(version, releases[image]):
            names = {vulnerability, cve}
            fixes = _fixes(file, ecosystem, name, names)
            if fixes is None:
                left_out["we hold no advisory about this package and vulnerability"] += 1
                continue
            true = label == "TP"
            reason = _not_judged(image, name, version, ecosystem, fixes, true, system_packages, oracle)
            package = Package("pkg:x/x", name, version, ecosystem, name, version)
            found = any(names & {item.id, *item.aliases, *item.advisories} for item in match([package], file))
            if reason:
                left_out[reason] += 1
                disputed += found != true and reason in OTHER_QUESTION.values()
                continue
            kind = (
                ("true positive" if true else "false positive")
                if found
                else ("false negative" if true else "true negative")
            )
            counts[kind] += 1
            if found != true:
                misses[kind].append(f"{kind}: {ecosystem} {name} {version} {vulnerability} (fixes {sorted(fixes)[:4]})")
    positive, wrong, missed = counts["true positive"], counts["false positive"], counts["false negative"]
    f1 = 2 * positive / (2 * positive + wrong + missed) if positive else 0.0
    mark = "ok  " if f1 >= 0.95 else "LOW "
    if mark == "LOW ":
        failures.append("hand labels")
    print(f"{mark} hand labels: F1 {f1:.4f} (required 0.95) over {sum(counts.values()):,} rows: {dict(counts)}")
    all_wrong = 2 * positive / (2 * positive + wrong + missed + disputed) if positive else 0.0
    print(f"        with the {disputed} reviewed contradictions counted against us it would be {all_wrong:.4f}")
    for reason, count in left_out.most_common():
        print(f"        not judged, {count:,}: {reason}")
    for lines_of_kind in misses.values():
        for miss in lines_of_kind[:10]:
            print(f"        {miss}")


def _images(lines: list[list[str]]) -> tuple[dict[str, Counter[str]], dict[str, set[str]], set[str]]:
    releases: dict[str, Counter[str]] = defaultdict(Counter)
    system: dict[str, set[str]] = defaultdict(set)
    oracle = set()
    for image, name, version, vulnerability, *_ in lines:
        found = re.search(r"deb(\d+)u", version)
        if found:
            releases[image][f"Debian:{found[1]}"] += 1
        elif "ubuntu" in version:
            releases[image]["Ubuntu"] += 1
        if re.search(r"el\d|deb\d|ubuntu|-r\d+$|amzn", version):
            system[image].add(re.sub(r"^(rubygem|python3?|golang|nodejs|node|php)-", "", name).lower())
        if vulnerability.startswith("ELSA-"):
            oracle.add(image)
    return releases, system, oracle


def _ecosystems(version: str, releases: Counter[str]) -> list[str]:
    if found := re.search(r"\.?el(\d+)", version):
        return [f"AlmaLinux:{found[1]}"]
    if found := re.search(r"\.(?:azl|cm)(\d)", version):
        return [f"Azure Linux:{found[1]}"]
    if "ubuntu" in version or "amzn" in version or re.search(r"-r\d+$", version):
        return []
    debian = [name for name in releases if name.startswith("Debian")]
    out = list(LANGUAGES)
    if len(debian) == 1 and not releases["Ubuntu"] and ("-" in version or "deb" in version):
        out += debian
    return out


def _fixes(file: AdvisoryFile, ecosystem: str, name: str, names: set[str]) -> set[str] | None:
    """Every version that ends the vulnerability in the package; None where we hold nothing about the two."""
    block = file.package(ecosystems.release_key(ecosystem), ecosystems.package_name(ecosystem, name))
    found: set[str] | None = None
    for entry in block.entries() if block else ():
        advisory = file.advisory(entry.advisory)
        if block and names & {advisory.id, *advisory.aliases, *advisory.vulnerabilities}:
            found = (found or set()) | {block.boundaries[index] for index in entry.fixes}
    return found


OTHER_QUESTION = {
    # (package, version): why the label and the record that we hold do not speak of the same thing
    **dict.fromkeys(
        (("mariadb", "3:10.3.28-1.module_el8.3.0+757+d382997d"), ("mariadb-common", "3:10.3.28-1.module_el8.3.0+757+d382997d")),
        "only the client is installed and the vulnerability is in the server; the advisory lists every package of the source",
    ),
    **dict.fromkeys(
        (("urllib3", "1.24.2"), ("webrick", "1.4.2.1"), ("PyYAML", "3.10")),
        "a distribution's package owns it (python3-urllib3 and ruby of el8, python3-yaml of Ubuntu 14.04): the inventory reports that one",
    ),
    **dict.fromkeys((("cookie", "0.4.2"), ("cookie", "0.5.0")), "npm's package of that name, the record is about Rust's"),
    **dict.fromkeys(
        (("swift", "1.0.0"), ("handlebars", "1.0.0")),
        "the label names no ecosystem, and GitLab's image has no such package of the record's ecosystem (a fixture's or a gem's name)",
    ),
    **dict.fromkeys(
        (("github.com/containerd/containerd", "v1.3.4"), ("github.com/opencontainers/runc", "v0.1.1")),
        "a module that is linked into another program: the label looked at whether the vulnerable code is in it",
    ),
    **dict.fromkeys(
        (("nodejs", "1:16.20.2-3.el9_2"), ("nodejs-docs", "1:16.20.2-3.el9_2"), ("nodejs-full-i18n", "1:16.20.2-3.el9_2"),
         ("nodejs-libs", "1:16.20.2-3.el9_2"), ("npm", "1:8.19.4-1.16.20.2.3.el9_2")),
        "the distribution's advisory has it fixed in a lower version",
    ),
    ("numpy", "1.21.2"): "PyPA has it fixed in 1.10.0, GitHub in 1.23.0; we hold the first",
}  # fmt: skip
"""Reviewed by hand. Rows of these that contradict the record are left out; every other contradiction counts."""


def _not_judged(
    image: str, name: str, version: str, ecosystem: str, fixes: set[str], true: bool, system: dict[str, set[str]], oracle: set[str]
) -> str:  # fmt: skip
    if image in oracle:
        return "the image is Oracle Linux, whose advisories we do not have"
    if ecosystem in LANGUAGES and ecosystems.package_name("PyPI", name) in {
        ecosystems.package_name("PyPI", item) for item in system[image]
    }:
        return "a distribution's package owns it: the inventory reports that one instead"
    if fixes and not is_modular(version) and all(map(is_modular, fixes)):
        return "the advisory is about a module stream, the package is not of one"
    below = [compare(ecosystem, version, fix) < 0 for fix in fixes]
    if all(below) if not true else (fixes and not any(below)):
        return OTHER_QUESTION.get((name, version), "")
    return ""


def inventory() -> None:
    path = HERE / "inventory_score.py"
    if not path.exists():
        print("     inventory recall: tests/score/inventory_score.py is not there")
        return
    spec = importlib.util.spec_from_file_location("inventory_score", path)
    assert spec
    assert spec.loader
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules["inventory_score"] = module
    spec.loader.exec_module(module)
    for what, figure, required, misses in module.run(DATA):
        mark = "ok  " if figure >= required else "LOW "
        if mark == "LOW ":
            failures.append(what)
        print(f"{mark} {what}: {figure:.2%} (required {required:.0%})")
        for miss in misses[:10]:
            print(f"        missed {miss}")


def main() -> int:
    if not FIXTURES.is_dir():
        print("skipped: needs ../shared")
        return 0
    versions()
    test_database = file_of(trivy_records(FIXTURES / "e2e" / "advisories"))
    trees(test_database)
    goldens(test_database)
    builder = Builder()
    read_source(DATA / "osv", builder)
    file = AdvisoryFile(builder.finish(built_at=datetime.now(UTC)))
    answers(file)
    labels(file)
    inventory()
    if failures:
        print(f"below what is required: {', '.join(failures)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
