"""Runs every control over every subject and keeps what came out in little room."""

from __future__ import annotations

import gc
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

from seawall.catalog import collect
from seawall.domain.errors import ConfigError
from seawall.domain.ids import content_id
from seawall.domain.posture import Assessment, ObjectRef, Priority, Status
from seawall.domain.severity import Severity
from seawall.posture.catalogue import Control, controls
from seawall.posture.check import Check, Cluster, Extension, Finding
from seawall.posture.components import components, node_files
from seawall.posture.fields import FieldControl
from seawall.posture.objects import Note, Obj
from seawall.posture.parts import Part, fingerprint
from seawall.posture.workloads import Workload
from seawall.posture.world import World

CLUSTER_REF: Final = ObjectRef("Cluster", "cluster")
_POSITION: Final = re.compile(r"\[\d+\]")
ORDER: Final = (Status.FAIL, Status.UNKNOWN, Status.MANUAL, Status.PASS, Status.NOT_APPLICABLE)
"""What a control's status is when its subjects differ: the first of these that occurs."""


@cache
def checks() -> dict[str, Check]:
    """Return the check of every control that has one.

    Raises:
        ConfigError: two declarations decide one control, or a declaration's id is not in the catalogue.
    """
    found: dict[str, Check] = {item.id: item for item in collect("seawall.posture.checks", Check)}
    for row in collect("seawall.posture.checks", FieldControl):
        if row.id in found:
            raise ConfigError(f"control {row.id} is decided twice")
        found[row.id] = row.check()
    for extension in collect("seawall.posture.checks", Extension):
        found[extension.id] = _extended(found[extension.id], extension)
    if unknown_ids := set(found) - set(controls()):
        raise ConfigError(f"no such control in the catalogue: {', '.join(sorted(unknown_ids))}")
    return {name: found[name] for name in controls() if name in found}


def _extended(check: Check, extension: Extension) -> Check:
    def run(subject: Any, world: World) -> Iterable[Finding]:
        return (
            extension.run(subject, world)
            if isinstance(subject, Obj) and subject.kind in extension.on
            else check.run(subject, world)
        )

    return replace(check, on=(*check.on, *extension.on), run=run)


@dataclass(slots=True)
class Report:
    """Outcome of an assessment. Passes are kept as object numbers; `assessments()` writes everything out."""

    world: World
    controls: tuple[Control, ...]
    found: list[tuple[int, int, Finding]] = field(default_factory=list)
    """(number of the control, number of the object or -1 for the cluster, what was found), in no order.

    Equal workloads share what was found."""
    passed: dict[int, array[int]] = field(default_factory=dict)
    partial: list[Note] = field(default_factory=list)
    excepted: dict[str, str] = field(default_factory=dict)
    """Ids of failures that an exception covers, with its reason."""
    cluster: str = ""
    priorities: dict[str, Priority] = field(default_factory=dict)
    """Of failures by id, when attack paths were searched."""
    _extra: dict[int, Obj] = field(default_factory=dict)

    def object(self, number: int) -> Obj:
        """Return an object by its number, owners that were not collected included."""
        if number < len(self.world.objects):
            return self.world.objects[number]
        if not self._extra:
            self._extra.update({workload.obj.index: workload.obj for workload in self.world.workloads})
        return self._extra[number]

    def ref(self, number: int) -> ObjectRef:
        """Return the name of an object by its number; below 0 it is the cluster."""
        if number < 0:
            return ObjectRef("Cluster", self.cluster or "cluster", cluster=self.cluster)
        obj = self.object(number)
        return ObjectRef(obj.kind, obj.name, obj.namespace, obj.api_version, self.cluster)

    def id_of(self, control: Control, ref: ObjectRef, finding: Finding) -> str:
        """The id of a failure: the same in the next scan, also when its container has moved within its list."""
        return content_id(
            "posture",
            control.id,
            ref.cluster,
            ref.kind,
            ref.namespace,
            ref.name,
            finding.part,
            _POSITION.sub("[]", finding.path),
        )

    def assessments(self, *, passes: bool = True) -> Iterator[Assessment]:
        """Yield every result, the most urgent failures first, then (unless told otherwise) the passes."""
        for number, target, finding in sorted(
            self.found, key=lambda item: (ORDER.index(item[2].status), -self._urgency(item), item[0], item[1])
        ):
            yield self.assessment(number, target, finding)
        if passes:
            for number, targets in sorted(self.passed.items()):
                control = self.controls[number]
                for target in sorted(targets):
                    ref = self.ref(target)
                    yield Assessment(
                        content_id("posture", control.id, ref.cluster, ref.kind, ref.namespace, ref.name, "", ""),
                        control.id, Status.PASS, control.severity, ref, control.title,
                    )  # fmt: skip

    def _urgency(self, item: tuple[int, int, Finding]) -> int:
        number, target, finding = item
        control = self.controls[number]
        if self.priorities and finding.status is Status.FAIL:
            known = self.priorities.get(self.id_of(control, self.ref(target), finding))
            if known is not None:
                return known.score
        return int(control.severity)

    def assessment(self, number: int, target: int, finding: Finding) -> Assessment:
        """Write one result out."""
        control, ref = self.controls[number], self.ref(target)
        name = self.id_of(control, ref, finding)
        failed = finding.status is Status.FAIL
        return Assessment(
            id=name,
            control=control.id,
            status=finding.status,
            severity=control.severity,
            object=ref,
            title=control.title,
            path=finding.path,
            actual=finding.actual,
            expected=finding.expected,
            fix=control.remedy if failed else "",
            reason=finding.reason,
            excepted=self.excepted.get(name, "") if failed else "",
            priority=self.priorities.get(name) if failed else None,
        )

    def failures(self) -> Iterator[Assessment]:
        """Yield what failed and is not excepted."""
        for number, target, finding in self.found:
            if finding.status is Status.FAIL:
                item = self.assessment(number, target, finding)
                if not item.excepted:
                    yield item

    def by_control(self) -> dict[str, Counter[Status]]:
        """Return for each control how many objects have which status; an excepted failure counts as not applicable."""
        counted: dict[str, Counter[Status]] = {control.id: Counter() for control in self.controls}
        worst: dict[tuple[int, int], Status] = {}
        for number, target, finding in self.found:
            status = finding.status
            if status is Status.FAIL and self.excepted:
                control = self.controls[number]
                if self.id_of(control, self.ref(target), finding) in self.excepted:
                    status = Status.NOT_APPLICABLE
            known = worst.get((number, target))
            if known is None or ORDER.index(status) < ORDER.index(known):
                worst[number, target] = status
        for (number, _), status in worst.items():
            counted[self.controls[number].id][status] += 1
        for number, targets in self.passed.items():
            counted[self.controls[number].id][Status.PASS] += len(targets)
        return counted

    def status_of(self, control: str) -> Status:
        """Return the status of one control over all its objects."""
        counts = self.by_control()[control]
        return overall(counts)

    def summary(self) -> dict[str, Any]:
        """Return totals: objects by status, failures by severity, and each control's status."""
        by_control = self.by_control()
        totals: Counter[str] = Counter()
        for counts in by_control.values():
            totals.update({status.value: count for status, count in counts.items()})
        severities: Counter[str] = Counter(item.severity.label for item in self.failures())
        return {
            "objects": len(self.world.objects),
            "workloads": len(self.world.workloads),
            **{status.value: totals[status.value] for status in Status},
            "excepted": len(self.excepted),
            "failures_by_severity": {
                item.label: severities[item.label] for item in reversed(Severity) if severities[item.label]
            },
            "controls": {name: overall(counts).value for name, counts in by_control.items()},
        }


def overall(counts: Counter[Status]) -> Status:
    """Return the one status that stands for many; none at all means not applicable."""
    return next((status for status in ORDER if counts[status]), Status.NOT_APPLICABLE)


def evaluate(
    world: World, wanted: Iterable[str] | None = None, *, cluster: str = "", only: Callable[[Obj], bool] | None = None
) -> Report:
    """Judge every subject of `world` by the wanted controls (all when None).

    Args:
        only: restricts the subjects, for reassessing what a change touched; the surroundings stay the whole world.
    """
    selected = tuple(control for name, control in controls().items() if wanted is None or name in frozenset(wanted))
    report = Report(world, selected, partial=list(world.notes), cluster=cluster)
    declared = checks()
    for_workloads: list[tuple[int, Check]] = []
    for_kinds: dict[str, list[tuple[int, Check]]] = defaultdict(list)
    for_cluster: list[tuple[int, Check]] = []
    for number, control in enumerate(selected):
        check = declared.get(control.id)
        if check is None:
            continue
        for kind in check.on:
            if isinstance(kind, str):
                for_kinds[kind].append((number, check))
            elif kind is Workload:
                for_workloads.append((number, check))
            else:
                for_cluster.append((number, check))
    passed: dict[int, array[int]] = {number: array("l") for number in range(len(selected))}
    collecting = gc.isenabled()
    gc.disable()  # results are only added, so that scanning a growing heap finds nothing to free
    try:
        _judge_all(report, for_workloads, for_kinds, for_cluster, passed, only)
    finally:
        if collecting:
            gc.enable()
    report.passed = {number: targets for number, targets in passed.items() if targets}
    report.found = [_computed(report, item) for item in report.found] if _has_terraform(world) else report.found
    return report


def _has_terraform(world: World) -> bool:
    return any(obj.source.endswith(".tf") for obj in world.objects)


def _computed(report: Report, item: tuple[int, int, Finding]) -> tuple[int, int, Finding]:
    """What Terraform has yet to compute is no failure: nobody knows the value."""
    number, target, finding = item
    actual = finding.actual
    is_expression = isinstance(actual, str) and actual.startswith("${") and actual.endswith("}")
    if not is_expression or finding.status is not Status.FAIL or target < 0:
        return item
    if not report.object(target).source.endswith(".tf"):
        return item
    return number, target, finding._replace(status=Status.UNKNOWN, reason="Terraform computes the value")


def _judge_all(
    report: Report,
    for_workloads: list[tuple[int, Check]],
    for_kinds: dict[str, list[tuple[int, Check]]],
    for_cluster: list[tuple[int, Check]],
    passed: dict[int, array[int]],
    only: Callable[[Obj], bool] | None,
) -> None:
    world = report.world
    extra = len(world.objects)
    judged: list[tuple[Workload, int]] = []
    for workload in world.workloads if for_workloads else ():
        if workload.obj.index < 0:
            workload.obj.index = extra
            extra += 1
        if only is not None and not only(workload.obj):
            continue
        if workload.broken:
            _judge_broken(workload, for_workloads, world, report)
            continue
        judged.append((workload, workload.obj.index))
    _judge_workloads(judged, for_workloads, world, report, passed)
    for kind, items in for_kinds.items():
        chosen = [item for item in subjects(world, kind) if only is None or only(getattr(item, "obj", item))]
        _judge_each([(subject, subject.index) for subject in chosen], items, world, report, passed)
        if only is None and kind.startswith(("component:", "file:")) and not subjects(world, kind):
            for number, _ in items:
                _record([_absent_evidence(kind, world)], number, -1, report, passed)
    if only is None:
        for number, check in for_cluster:
            _record(_run(check, Cluster(), world), number, -1, report, passed)


def subjects(world: World, kind: str) -> list[Any]:
    """Return what a kind stands for: objects, or components and files of nodes that were told of."""
    if kind.startswith("component:"):
        return components(world).get(kind.removeprefix("component:"), [])
    if kind.startswith("file:"):
        return node_files(world).get(kind.removeprefix("file:"), [])
    return world.of(kind)


def _absent_evidence(kind: str, world: World) -> Finding:
    """Why nothing can be said about a component or a file."""
    name = kind.partition(":")[2]
    if not world.is_cluster:
        return Finding(Status.NOT_APPLICABLE, reason="no cluster in the input")
    if world.provider and name in {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"}:
        return Finding(Status.NOT_APPLICABLE, reason=f"{world.provider.upper()} runs the control plane")
    if world.provider and name in _PROVIDER_FILES:
        return Finding(Status.NOT_APPLICABLE, reason=f"not on nodes of {world.provider.upper()}")
    if name == "NF-18" and world.provider != "aks":
        return Finding(Status.NOT_APPLICABLE, reason="AKS only")
    return Finding(
        Status.UNKNOWN,
        reason="no node collector ran" if kind.startswith("file:") else f"nothing tells how {name} is configured",
    )


_PROVIDER_FILES: Final = frozenset(
    {"NF-01", "NF-02", "NF-03", "NF-04", "NF-06", "NF-07", "NF-08", "NF-09", "NF-10", "NF-11", "NF-12"}
)


_BATCH: Final = 64
"""Subjects that one check judges in a row: few enough to stay in the processor's cache, many enough to keep its code there."""


def _judge_broken(workload: Workload, items: list[tuple[int, Check]], world: World, report: Report) -> None:
    """A template that the API server would refuse: what fails in the readable part fails, the rest is unknown."""
    note = Note(_name(workload.obj), workload.broken)
    if note not in report.partial[-1:]:
        report.partial.append(note)
    for number, check in items:
        failed = [item for item in _run(check, workload, world) if item.status is Status.FAIL]
        report.found += [
            (number, workload.obj.index, item)
            for item in failed or [Finding(Status.UNKNOWN, workload.path, reason=workload.broken)]
        ]


def _judge_workloads(
    workloads: list[tuple[Workload, int]],
    items: list[tuple[int, Check]],
    world: World,
    report: Report,
    passed: dict[int, array[int]],
) -> None:
    """Judge every workload, and those that are equal in all that a control reads only once."""
    by_parts: dict[frozenset[Part], list[tuple[int, Check]]] = defaultdict(list)
    for item in items:
        by_parts[item[1].reads].append(item)
    prints = {part: [fingerprint(workload, part, world) for workload, _ in workloads] for part in Part if any(part in parts for parts in by_parts)}  # fmt: skip
    for parts, these in by_parts.items():
        if not parts:
            _judge_each(workloads, these, world, report, passed)
            continue
        equal: dict[Any, list[tuple[Workload, int]]] = defaultdict(list)
        for row, key in zip(workloads, zip(*(prints[part] for part in parts), strict=True), strict=True):
            equal[row[1] if None in key else key].append(row)
        for rows in equal.values():
            _judge_equal(rows, these, world, report, passed)


def _judge_equal(
    rows: list[tuple[Workload, int]],
    items: list[tuple[int, Check]],
    world: World,
    report: Report,
    passed: dict[int, array[int]],
) -> None:
    targets = array("l", [target for _, target in rows])
    first, found = rows[0][0], report.found
    for number, check in items:
        try:
            outcome = list(check.run(first, world))
        except Exception:  # noqa: BLE001 - judged one by one, so that each is named with its reason
            _judge_each(rows, [(number, check)], world, report, passed)
            continue
        if outcome:
            found += [(number, target, item) for target in targets for item in outcome]
        else:
            passed[number].extend(targets)


def _judge_each(
    subjects: list[tuple[Any, int]],
    items: list[tuple[int, Check]],
    world: World,
    report: Report,
    passed: dict[int, array[int]],
) -> None:
    for start in range(0, len(subjects), _BATCH):
        _judge_batch(subjects[start : start + _BATCH], items, world, report, passed)


def _judge_batch(
    batch: list[tuple[Any, int]],
    items: list[tuple[int, Check]],
    world: World,
    report: Report,
    passed: dict[int, array[int]],
) -> None:
    append = report.found.append
    for number, check in items:
        run, passes = check.run, passed[number].append
        for subject, target in batch:
            try:
                outcome = run(subject, world)
                if outcome.__class__ is not list:
                    outcome = list(outcome)
            except Exception as error:  # noqa: BLE001 - one odd object must not cost the others; the reason is reported
                outcome = _surprise(check, subject, error, report)
            if outcome:
                for item in outcome:
                    append((number, target if item.target is None else item.target.index, item))
            else:
                passes(target)


def _run(check: Check, subject: Any, world: World) -> list[Finding]:
    try:
        return list(check.run(subject, world))
    except Exception as error:  # noqa: BLE001 - one odd object must not cost the others; the reason is reported
        return [Finding(Status.UNKNOWN, reason=f"could not be judged: {type(error).__name__}: {error}"[:300])]


def _surprise(check: Check, subject: Any, error: Exception, report: Report) -> list[Finding]:
    obj = getattr(subject, "obj", subject)
    report.partial.append(Note(_name(obj), f"{check.id} could not be judged: {type(error).__name__}: {error}"[:300]))
    return [Finding(Status.UNKNOWN, reason=f"could not be judged: {type(error).__name__}")]


def _record(found: list[Finding], number: int, target: int, report: Report, passed: dict[int, array[int]]) -> None:
    if found:
        report.found += [(number, target if item.target is None else item.target.index, item) for item in found]
    else:
        passed[number].append(target)


def _name(obj: Obj) -> str:
    return "/".join(part for part in (obj.kind, obj.namespace, obj.name) if part)


def reassess(world: World, obj: Obj, *, cluster: str = "") -> Report:
    """Judge one object again, as after a change that a watch told of, with the rest of `world` around it.

    `obj` belongs to `world`; its pods and replica sets are judged with their owner.
    """
    own = [item for item in world.workloads if item.obj is obj]
    kinds = {obj.kind}
    report = Report(world, tuple(controls().values()), cluster=cluster)
    passed: dict[int, array[int]] = {number: array("l") for number in range(len(report.controls))}
    declared = checks()
    for number, control in enumerate(report.controls):
        check = declared.get(control.id)
        if check is None:
            continue
        for kind in check.on:
            if kind is Workload:
                for workload in own:
                    if workload.broken:
                        _judge_broken(workload, [(number, check)], world, report)
                    else:
                        _judge_batch([(workload, obj.index)], [(number, check)], world, report, passed)
            elif isinstance(kind, str) and kind in kinds:
                _record(_run(check, obj, world), number, obj.index, report, passed)
    report.passed = {number: targets for number, targets in passed.items() if targets}
    return report
