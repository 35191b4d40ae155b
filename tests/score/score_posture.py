"""How well controls and attack edges agree with what 17 other projects expect. `make score-posture`; ARGS="-v" lists every case.

A label says that one project's check passes or fails on a file. Its name maps to controls by the catalogue (and by the
rows below, for checks that are named otherwise); the verdict is `fail` when one of those controls fails on the file,
else `pass`. Each disagreement is printed with its reason, which `reasons.tsv` keeps; one without a reason is a fault.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from seawall.app.assess_posture import assess
from seawall.domain.posture import Status
from seawall.posture.catalogue import controls
from seawall.posture.engine import Report
from seawall.posture.loading import Loaded, load, load_file
from seawall.posture.objects import mapping, mappings
from seawall.posture.pod_security import violations

HERE = Path(__file__).parent
DATA = HERE.parents[2] / "shared" / "data" / "posture"
DATA = DATA if DATA.is_dir() else HERE.parents[3] / "shared" / "data" / "posture"
REQUIRED = 0.97
TODAY = date(2026, 8, 23)
SOURCES = {
    "kubescape-regolibrary": "kubescape", "pod-security-admission": "", "gatekeeper-library": "gatekeeper", "kube-linter": "kube_linter",
    "polaris": "polaris", "kyverno-policies": "kyverno", "trivy-checks": "trivy", "trivy-cloud": "trivy",
    "checkov-kubernetes": "checkov", "checkov-cloud": "checkov", "prowler": "prowler", "kubeaudit": "", "kube-score": "",
}  # fmt: skip


KYVERNO: dict[str, dict[str, dict[str, Any]]] = {
    "restrict-image-registries": {"WL-045": {"allowed": ["eu.foo.io", "bar.io"]}},
    "require-annotations": {"WL-074": {"annotations": ["corp.org/department"]}},
    "require-labels": {"WL-074": {"labels": ["app.kubernetes.io/name"]}},
}
"""What the policies' own texts name, as settings of controls."""


@dataclass
class Case:
    source: str
    file: str
    object: str
    check: str
    expected: str
    detail: dict[str, Any]
    controls: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    got: str = ""
    narrowed: bool = False
    """Whether a row of aspects.tsv (each with its reason) stands for the catalogue's mapping."""

    @property
    def key(self) -> str:
        return f"{self.source}/{self.file}#{self.object}#{self.check}"


def table(name: str) -> list[dict[str, str]]:
    with (HERE / "posture" / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t"))


def by_foreign_name() -> dict[str, dict[str, set[str]]]:
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for control in controls().values():
        for column in {name for name in SOURCES.values() if name}:
            for name in control.maps_to(column):
                found[column][name].add(control.id)
    return found


def cases(
    source: str, foreign: dict[str, dict[str, set[str]]], aspects: dict[tuple[str, str], dict[str, str]]
) -> Iterator[Case]:
    with (DATA / source / "labels.tsv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            case = Case(
                source, row["file"], row["object"], row["check"], row["expected"], json.loads(row["detail"] or "{}")
            )
            names = [case.check]
            if source == "kubescape-regolibrary":
                names = case.detail.get("controls", [])
            elif source == "kyverno-policies":
                names = [case.check.partition("/")[0]]
            found = (
                {control for name in names for control in foreign[SOURCES[source]][name]} if SOURCES[source] else set()
            )
            row_of = aspects.get((source, case.check)) or aspects.get((source, case.check.partition("/")[0]))
            if row_of:
                found = {name for name in row_of["controls"].split(",") if name}
                case.paths = tuple(part for part in row_of["paths"].split("|") if part)
            if source == "kubescape-regolibrary" and found & {f"NF-{number:02}" for number in range(1, 19)}:
                case.paths = (r"\w+:\w+",) if "ownership" in case.check else ("or tighter",)
            case.controls = tuple(sorted(found))
            case.narrowed = bool(row_of)
            yield case


def read(case: Case) -> Loaded:
    loaded = Loaded()
    target = DATA / case.source / case.file
    if case.source == "kubescape-regolibrary":
        return load(target / "input") if (target / "input").is_dir() else load(target)
    if case.source == "gatekeeper-library":
        for file in sorted(target.glob("*.yaml")):
            if file.name != "constraint.yaml":
                load_file(file, loaded)
        return loaded
    if case.source == "prowler":
        from tests.score.prowler import documents

        for document in documents(case.check, json.loads(target.read_text())):
            loaded.add(document, case.file)
        return loaded
    if target.is_dir():
        return load(target)
    load_file(target, loaded)
    return loaded


def verdict(case: Case, report: Report) -> str:
    kind, _, name = case.object.partition(".")
    wanted = case.object if case.source == "checkov-kubernetes" and kind[:1].isupper() else ""
    failures: list[str] = []
    unknown = passed = False
    for item in report.assessments():
        if (wanted and not (item.object.kind == kind or kind == "Pod")) or (wanted and item.object.name not in name):
            continue
        if item.status is Status.FAIL:
            failures.append(f"{item.path} {item.reason} {item.actual} {item.expected}")
        unknown |= item.status in {Status.UNKNOWN, Status.MANUAL}
        passed |= item.status is Status.PASS
    if case.paths and case.paths[0] == "each":
        failed = all(any(re.search(part, text) for text in failures) for part in case.paths[1:])
    elif case.paths and case.paths[0] == "not":
        failed = any(not any(re.search(part, text) for part in case.paths[1:]) for text in failures)
    else:
        failed = any(not case.paths or any(re.search(part, text) for part in case.paths) for text in failures)
    return "fail" if failed else "unknown" if unknown and not passed else "pass"


def pod_security(case: Case) -> str:
    """Judge a Pod Security case by the level's rules at both ends of each range of versions."""
    level = case.detail["level"]
    loaded = read(case)
    workloads = assess(loaded.objects, today=TODAY, controls=()).world.workloads
    got = set()
    for span in case.detail["versions"]:
        low, _, high = span.partition("-")
        for version in {low, high or low}:
            minor = int(version.removeprefix("v1."))
            got.add("fail" if any(violations(item, level, minor) for item in workloads) else "pass")
    return got.pop() if len(got) == 1 else "mixed"


def kubescape_parameters(case: Case) -> dict[str, dict[str, Any]]:
    file = DATA / case.source / case.file / "data.json"
    inputs = mapping(mapping(json.loads(file.read_text())).get("postureControlInputs")) if file.exists() else {}
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    names = {
        "imageRepositoryAllowList": [("WL-045", "allowed"), ("WL-080", "allowed")], "publicRegistries": [("WL-045", "disallowed")],
        "untrustedRegistries": [("WL-045", "disallowed")], "hardenedSandboxRuntimeClasses": [("WL-061", "runtimes")],
    }  # fmt: skip
    for name, values in inputs.items():
        for control, parameter in names.get(name, ()):
            found[control][parameter] = [*found[control].get(parameter, []), *values]
        if name in {"sandbox_cpu_limit_max", "sandbox_memory_limit_max"} and values:
            found["WL-080"]["cpu_most" if "cpu" in name else "memory_most"] = values[0]
    return found


def gatekeeper_parameters(case: Case) -> dict[str, dict[str, Any]]:
    from tests.score.gatekeeper import parameters

    loaded = Loaded()
    load_file(DATA / case.source / case.file / "constraint.yaml", loaded)
    return parameters(case.check, mapping(loaded.objects[0].spec.get("parameters"))) if loaded.objects else {}


def judge(case: Case) -> str:
    if case.source == "pod-security-admission":
        return pod_security(case)
    parameters: dict[str, dict[str, Any]] = {}
    if case.source == "kubescape-regolibrary":
        parameters = kubescape_parameters(case)
    elif case.source == "gatekeeper-library":
        parameters = gatekeeper_parameters(case)
    elif case.source == "kyverno-policies":
        parameters = KYVERNO.get(case.check.partition("/")[0], {})
    loaded = read(case)
    minor = None
    if case.source == "gatekeeper-library" and case.check == "VerifyDeprecatedAPI":
        minor = int(re.search(r"1\.(\d+)", case.file)[1])  # type: ignore[index]
        parameters = {"WL-067": {"by": minor}}
    report = assess(
        loaded.objects, today=TODAY, notes=loaded.notes, controls=case.controls, parameters=parameters, minor=minor
    )
    return verdict(case, report)


def agrees(case: Case) -> bool:
    if case.expected == "not-applicable":
        return case.got != "fail"
    return case.got == case.expected


def main(arguments: Iterable[str]) -> int:
    if not DATA.is_dir():
        print("skipped: needs ../shared")
        return 0
    verbose, only = "-v" in arguments, [item for item in arguments if not item.startswith("-")]
    foreign = by_foreign_name()
    aspects = {(row["source"], row["check"]): row for row in table("aspects.tsv")}
    reasons = table("reasons.tsv")
    totals: Counter[str] = Counter()
    good = explained = plain_good = plain_all = 0
    missing: list[Case] = []
    for source in SOURCES:
        if only and source not in only:
            continue
        counted: Counter[str] = Counter()
        wrong: list[tuple[Case, str]] = []
        others: list[tuple[Case, str]] = []
        plain = {case.key: case for case in cases(source, foreign, {})}
        for case in cases(source, foreign, aspects):
            if case.expected not in {"pass", "fail", "not-applicable", "mixed"}:
                continue
            if not case.controls and source != "pod-security-admission":
                counted["outside"] += 1
                continue
            case.got = judge(case)
            as_mapped = plain[case.key] if case.narrowed else case
            if as_mapped.controls or source == "pod-security-admission":
                as_mapped.got = as_mapped.got or judge(as_mapped)
                plain_all += 1
                plain_good += agrees(as_mapped)
            row = next((item for item in reasons if re.match(item["case"], case.key)), None)
            if not agrees(case) and row and row["kind"] == "other question":
                counted["other"] += 1
                others.append((case, row["reason"]))
                continue
            counted["labelled"] += 1
            if agrees(case):
                counted["agree"] += 1
            else:
                wrong.append((case, row["reason"] if row else ""))
        totals.update(counted)
        good += counted["agree"]
        share = counted["agree"] / counted["labelled"] if counted["labelled"] else 1.0
        print(
            f"{source:<24} {counted['agree']:>4} of {counted['labelled']:>4} agree ({share:6.1%}); {counted['other']} ask another question, {counted['outside']} are of checks outside the catalogue"
        )
        for case, reason in wrong:
            explained += bool(reason)
            if not reason:
                missing.append(case)
            print(
                f"    {case.file} {case.object} {case.check}: expected {case.expected}, got {case.got} by {','.join(case.controls)}: {reason or 'NO REASON WRITTEN'}"
            )
        for case, reason in others:
            print(
                f"    not counted: {case.file} {case.object} {case.check}: expected {case.expected}, got {case.got}: {reason}"
            )
        if source == "pod-security-admission" and wrong:
            missing += [case for case, _ in wrong]
    if verbose:
        print(f"unexplained: {len(missing)}")
    share = good / totals["labelled"] if totals["labelled"] else 1.0
    whole = totals["labelled"] + totals["other"]
    print(
        f"{'as the catalogue maps':<24} {plain_good:>4} of {plain_all:>4} agree ({plain_good / plain_all if plain_all else 1:6.2%}), nothing narrowed or left out"
    )
    print(f"{'other questions counted':<24} {good:>4} of {whole:>4} agree ({good / whole if whole else 1:6.2%})")
    print(
        f"{'all':<24} {good:>4} of {totals['labelled']:>4} agree ({share:6.2%}), {explained} differ on purpose, {len(missing)} without a reason"
    )
    if only:
        return 0
    from tests.score import score_paths

    return score_paths.main() or (0 if share >= REQUIRED and not missing else 1)


__all__ = ["mappings"]

if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))
    sys.exit(main(sys.argv[1:]))
