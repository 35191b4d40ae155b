"""Compliance: what the results mean for the requirements of a benchmark or law, and the score."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from seawall.domain.errors import InputError
from seawall.domain.posture import Status
from seawall.posture.catalogue import controls
from seawall.posture.engine import ORDER, Report, overall
from seawall.posture.objects import mapping, text, texts
from seawall.posture.pod_security import CONTROLS as RULE_CONTROLS
from seawall.posture.pod_security import rules_of
from seawall.posture.world import LATEST_MINOR
from seawall.posture.yaml_reader import documents

TITLES: Final = {
    "cis_kubernetes_1.12": "CIS Kubernetes Benchmark 1.12",
    "cis_aks_1.8": "CIS Azure Kubernetes Service Benchmark 1.8",
    "cis_eks_1.8": "CIS Amazon Elastic Kubernetes Service Benchmark 1.8",
    "cis_gke_1.9": "CIS Google Kubernetes Engine Benchmark 1.9",
    "nsa_cisa": "NSA/CISA Kubernetes Hardening Guide",
    "pod_security_baseline": "Pod Security Standards, baseline",
    "pod_security_restricted": "Pod Security Standards, restricted",
    "nist_800_190": "NIST SP 800-190",
    "nist_800_53_r5": "NIST SP 800-53 revision 5",
    "pci_dss_4.0.1": "PCI DSS 4.0.1",
    "iso_27001_2022": "ISO/IEC 27001:2022, Annex A",
    "soc_2": "SOC 2 trust services criteria",
    "hipaa": "HIPAA Security Rule, 45 CFR 164",
    "mcsb": "Microsoft cloud security benchmark v1",
    "azure_policy": "Azure Policy built-ins for containers",
}
_LEVELS: Final = {"pod_security_baseline": "baseline", "pod_security_restricted": "restricted"}


@dataclass(frozen=True, slots=True)
class Framework:
    """A set of requirements, each with the controls that are evidence for it."""

    id: str
    title: str
    requirements: Mapping[str, tuple[str, ...]]
    titles: Mapping[str, str]

    @property
    def controls(self) -> tuple[str, ...]:
        """Ids of every control that counts."""
        return tuple(sorted({name for names in self.requirements.values() for name in names}))


@cache
def frameworks() -> dict[str, Framework]:
    """Return the built-in frameworks by id."""
    found = {}
    for name, title in TITLES.items():
        if name in _LEVELS:
            rules = rules_of(_LEVELS[name], LATEST_MINOR)
            found[name] = Framework(name, title, {rule: RULE_CONTROLS[rule] for rule in rules}, {})
            continue
        requirements: dict[str, list[str]] = defaultdict(list)
        for control in controls().values():
            for requirement in _requirements(name, control.mappings):
                requirements[requirement].append(control.id)
        found[name] = Framework(
            name, title, {key: tuple(requirements[key]) for key in sorted(requirements, key=_natural)}, {}
        )
    return found


def _requirements(name: str, mappings: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    if name == "nsa_cisa":
        return ("named in the guide",) if mappings.get(name) else ()
    return mappings.get(name, ())


def _natural(key: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdigit() else (1 << 30, part)
        for part in key.replace("(", ".").replace(")", "").replace("-", ".").split(".")
    ]


def find(name: str) -> Framework:
    """Return a built-in framework by its id, or by a beginning that only one has.

    Raises:
        InputError: there is none, or more than one.
    """
    wanted = name.lower().replace("-", "_").replace(" ", "_")
    known = frameworks()
    hits = [wanted] if wanted in known else [key for key in known if key.startswith(wanted)]
    if len(hits) != 1:
        raise InputError(
            f"no such framework: {name}" if not hits else f"{name} may mean {', '.join(hits)}", hint=", ".join(known)
        )
    return known[hits[0]]


def read_framework(data: bytes, where: str) -> Framework:
    """Read a framework of one's own: `id`, `title`, and `requirements` with `id`, `title` and `controls` each.

    Raises:
        InputError: the file is malformed or names a control that there is not.
    """
    document = next(documents(data), None)
    if document is None or document.error or not isinstance(document.value, dict):
        raise InputError(f"{where}: {document.error if document and document.error else 'expected a mapping'}")
    value: dict[str, Any] = document.value
    requirements, titles = {}, {}
    items = value.get("requirements")
    for number, item in enumerate(items if isinstance(items, list) else [], 1):
        key, names = text(mapping(item).get("id")), texts(mapping(item).get("controls"))
        if not key or not names:
            raise InputError(f"{where}: requirement {number} needs id and controls")
        if wrong := [name for name in names if name not in controls()]:
            raise InputError(f"{where}: requirement {key} names no control: {', '.join(wrong)}")
        requirements[key], titles[key] = tuple(names), text(mapping(item).get("title"))
    if not requirements:
        raise InputError(f"{where}: the framework has no requirements")
    return Framework(
        text(value.get("id")) or "own",
        text(value.get("title")) or text(value.get("id")) or "own framework",
        requirements,
        titles,
    )


@dataclass(frozen=True, slots=True)
class Requirement:
    """Outcome of one requirement: passes when all its controls pass, `manual` when a person or evidence is missing."""

    id: str
    title: str
    status: Status
    controls: Mapping[str, Status]
    passed: int
    assessed: int


@dataclass(frozen=True, slots=True)
class Compliance:
    """Outcome of a framework. `score` is the share of assessed objects that pass, 0 to 1; None when nothing was assessed."""

    framework: Framework
    requirements: tuple[Requirement, ...]
    score: float | None
    excepted: int

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON output shows."""
        counted = Counter(item.status.value for item in self.requirements)
        return {
            "framework": self.framework.id, "title": self.framework.title, "score": None if self.score is None else round(self.score, 4),
            "requirements": [
                {"id": item.id, "title": item.title, "status": item.status.value, "passed": item.passed, "assessed": item.assessed, "controls": {name: status.value for name, status in item.controls.items()}}
                for item in self.requirements
            ],
            "summary": {status.value: counted[status.value] for status in Status}, "excepted": self.excepted,
        }  # fmt: skip


def comply(report: Report, framework: Framework) -> Compliance:
    """Judge a framework by a report that ran its controls."""
    by_control = report.by_control()
    if framework.id in _LEVELS:
        return _pod_security(report, framework, by_control)
    rows = []
    passed = assessed = 0
    for key, names in framework.requirements.items():
        statuses = {name: overall(by_control[name]) if name in by_control else Status.UNKNOWN for name in names}
        good = sum(by_control[name][Status.PASS] for name in names if name in by_control)
        all_of = good + sum(by_control[name][Status.FAIL] for name in names if name in by_control)
        rows.append(Requirement(key, framework.titles.get(key, ""), _status(statuses.values()), statuses, good, all_of))
    for name in framework.controls:
        passed += by_control.get(name, Counter())[Status.PASS]
        assessed += by_control.get(name, Counter())[Status.PASS] + by_control.get(name, Counter())[Status.FAIL]
    return Compliance(framework, tuple(rows), passed / assessed if assessed else None, len(report.excepted))


def _pod_security(report: Report, framework: Framework, by_control: Mapping[str, Counter[Status]]) -> Compliance:
    """Judge Pod Security Standards by the admission plugin's own rules: the controls beside them say where and what to do."""
    world, level = report.world, _LEVELS[framework.id]
    minor = LATEST_MINOR if world.minor is None else world.minor
    in_force = rules_of(level, minor)
    rows, passed = [], 0
    broken = sum(bool(workload.broken) for workload in world.workloads)
    judged = [workload for workload in world.workloads if not workload.broken]
    failing: set[int] = set()
    for rule, names in framework.requirements.items():
        statuses = {name: overall(by_control[name]) if name in by_control else Status.UNKNOWN for name in names}
        if rule not in in_force:
            rows.append(Requirement(rule, "", Status.NOT_APPLICABLE, statuses, 0, 0))
            continue
        breaks = in_force[rule][1]
        bad = [number for number, workload in enumerate(judged) if breaks(workload, minor)]
        failing.update(bad)
        status = Status.FAIL if bad else Status.MANUAL if broken else Status.PASS if judged else Status.NOT_APPLICABLE
        rows.append(Requirement(rule, "", status, statuses, len(judged) - len(bad), len(judged)))
    passed = len(judged) - len(failing)
    return Compliance(framework, tuple(rows), passed / len(judged) if judged else None, len(report.excepted))


def _status(statuses: Iterable[Status]) -> Status:
    found = set(statuses)
    if Status.FAIL in found:
        return Status.FAIL
    if found & {Status.MANUAL, Status.UNKNOWN}:
        return Status.MANUAL
    return Status.PASS if Status.PASS in found else Status.NOT_APPLICABLE


def score_by_team(report: Report, label: str = "team") -> dict[str, tuple[int, int]]:
    """Return passed and assessed objects by team: the value of `label` on the object, else on its namespace, else the namespace's name."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    teams: dict[int, str] = {}

    def team_of(target: int) -> str:
        if target not in teams:
            obj = report.object(target)
            own = text(obj.labels.get(label))
            teams[target] = (
                own
                or text(report.world.namespaces.get(obj.in_namespace, {}).get(label))
                or obj.in_namespace
                or "(cluster)"
            )
        return teams[target]

    worst: dict[tuple[int, int], Status] = {}
    for number, target, finding in report.found:
        if target >= 0 and finding.status in {Status.PASS, Status.FAIL}:
            key = (number, target)
            if key not in worst or ORDER.index(finding.status) < ORDER.index(worst[key]):
                worst[key] = finding.status
    for _, target in worst:
        counts[team_of(target)][1] += 1
    for targets in report.passed.values():
        for target in targets:
            if target >= 0:
                entry = counts[team_of(target)]
                entry[0] += 1
                entry[1] += 1
    return {team: (good, whole) for team, (good, whole) in sorted(counts.items())}
