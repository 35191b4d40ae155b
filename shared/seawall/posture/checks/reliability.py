"""Workloads that survive the loss of a pod, and manifests that say what they mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from seawall.domain.posture import Status
from seawall.posture.check import Finding, check, fail, not_applicable
from seawall.posture.fields import FieldControl, Op, Rule
from seawall.posture.objects import Obj, mapping, mappings, number, selects, subset_of, text
from seawall.posture.parts import Part
from seawall.posture.workloads import Workload
from seawall.posture.world import World

SCALED: Final = frozenset(
    {"Deployment", "StatefulSet", "ReplicaSet", "ReplicationController", "DeploymentConfig", "Rollout"}
)
RECOMMENDED: Final = frozenset(
    {
        "app", "tier", "phase", "version", "owner", "env", "team", "component", "k8s-app", "app.kubernetes.io/name",
        "app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/component", "app.kubernetes.io/part-of",
        "app.kubernetes.io/managed-by", "app.kubernetes.io/created-by",
    }
)  # fmt: skip
"""Labels one of which tells whose a workload is. Source: Kubernetes documentation, recommended labels."""

TABLE: Final = (
    FieldControl(
        "WL-076",
        (Rule("spec.strategy.type", Op.IN, frozenset({"RollingUpdate", "Rolling", ""})),),
        kinds=("Deployment", "DeploymentConfig"),
    ),
)


@check("WL-054", on=Workload)
def bare_pod(workload: Workload, _: World) -> Iterator[Finding]:
    """Pods have an owner, or mirror a static pod."""
    if workload.kind == "Pod" and not workload.is_static:
        yield fail("metadata.ownerReferences", workload.obj.meta.get("ownerReferences"), "a controller")


@check("WL-068", on="CronJob")
def cron_jobs(obj: Obj, _: World) -> Iterator[Finding]:
    """CronJobs, for review: a place where an intruder stays."""
    yield fail("spec.schedule", obj.spec.get("schedule"), "reviewed")


@check("WL-070", on=Workload, reads=(Part.PROGRAM,))
def duplicate_variables(workload: Workload, _: World) -> Iterator[Finding]:
    """Names in `env` occur once."""
    for container in workload.containers:
        names = [text(item.get("name")) for item in mappings(container.body.get("env"))]
        if len(set(names)) == len(names):
            continue
        for name, count in Counter(names).items():
            if count > 1 and name:
                index = len(names) - 1 - names[::-1].index(name)
                yield fail(f"{container.path}.env[{index}].name", name, "once", part=f"{container.name} {name}")


@check("WL-071", on=Workload)
def selector_matches(workload: Workload, _: World) -> Iterator[Finding]:
    """`spec.selector` of the controller selects the labels of its template."""
    obj = workload.obj
    if (
        workload.kind
        not in {"Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "ReplicationController", "DeploymentConfig"}
        or not obj.spec
    ):
        yield not_applicable("has no selector of its own")
        return
    selector = obj.spec.get("selector")
    plain = workload.kind in {"ReplicationController", "DeploymentConfig"}
    if selector is None and (plain or obj.api_version.startswith("extensions/")):
        return
    if not mapping(selector):
        yield fail("spec.selector", selector, "labels of the template")
    elif not (subset_of(mapping(selector), workload.labels) if plain else selects(selector, workload.labels)):
        yield fail("spec.selector", selector, workload.labels)


def replicas(workload: Workload, world: World) -> int:
    """Return the replicas that a workload keeps at least: of its autoscaler, else its own, else 1."""
    for scaler in world.in_namespace("HorizontalPodAutoscaler", workload.namespace):
        target = mapping(scaler.spec.get("scaleTargetRef"))
        if target.get("kind") == workload.kind and target.get("name") == workload.obj.name:
            found = number(scaler.spec.get("minReplicas"))
            return 1 if found is None else found
    own = number(workload.obj.spec.get("replicas"))
    return 1 if own is None else own


@check("WL-072", on=(Workload, "PodDisruptionBudget", "HorizontalPodAutoscaler"), least=2)
def survives_loss(subject: Workload | Obj, world: World) -> Iterator[Finding]:
    """Replicas, disruption budgets that select the pods, and budgets that let one go."""
    least = world.parameter("WL-072", "least", 2)
    if isinstance(subject, Obj):
        yield from _budget(subject, world) if subject.kind == "PodDisruptionBudget" else _scaler(subject, least)
        return
    if subject.kind not in SCALED or subject.obj.body.get("spec") is None:
        yield not_applicable("has no replicas")
        return
    count = replicas(subject, world)
    if count == 0:
        yield not_applicable("scaled to zero")
        return
    if count < least:
        yield fail("spec.replicas", subject.obj.spec.get("replicas"), f"at least {least}")
    budgets = world.in_namespace("PodDisruptionBudget", subject.namespace)
    if not any(selects(budget.spec.get("selector"), subject.labels) for budget in budgets):
        yield Finding(Status.FAIL, "", None, "a PodDisruptionBudget", "no disruption budget selects the pods", "budget")


def _budget(obj: Obj, world: World) -> Iterator[Finding]:
    least, most = obj.spec.get("minAvailable"), obj.spec.get("maxUnavailable")
    if least is None and most is None:
        yield fail("spec", None, "minAvailable or maxUnavailable", "the budget says nothing")
    if text(least).strip() == "100%":
        yield fail("spec.minAvailable", least, "one pod may go")
    if most is not None and (text(most).strip() == "0%" or (number(most) is not None and (number(most) or 0) <= 0)):
        yield fail("spec.maxUnavailable", most, "one pod may go")
    wanted = number(least)
    if wanted is None or isinstance(least, str):
        wanted = None
    for workload in world.workloads_in.get(obj.in_namespace, ()):
        if workload.kind in SCALED and selects(obj.spec.get("selector"), workload.labels):
            count = replicas(workload, world)
            if wanted is not None and 0 < count <= wanted and count > 0:
                yield fail(
                    "spec.minAvailable",
                    least,
                    f"below {count}",
                    f"{workload.kind} {workload.obj.name} keeps {count} replicas",
                )


def _scaler(obj: Obj, least: int) -> Iterator[Finding]:
    own = number(obj.spec.get("minReplicas"))
    if (1 if own is None else own) < least:
        yield fail("spec.minReplicas", obj.spec.get("minReplicas"), f"at least {least}")


@check("WL-073", on=Workload)
def spread(workload: Workload, world: World) -> Iterator[Finding]:
    """`topologySpreadConstraints` or pod anti-affinity of workloads with several replicas."""
    if workload.kind not in SCALED:
        yield not_applicable("has no replicas")
        return
    given = mappings(workload.spec.get("topologySpreadConstraints"))
    for index, item in enumerate(given):
        if not _spreads(item):
            yield fail(
                workload.at(f"topologySpreadConstraints[{index}]"),
                item,
                "a valid constraint",
                "the API server refuses it",
            )
            return
    if replicas(workload, world) < 2:
        yield not_applicable("one replica only")
        return
    affinity = mapping(mapping(workload.spec.get("affinity")).get("podAntiAffinity"))
    rules = [
        *mappings(affinity.get("requiredDuringSchedulingIgnoredDuringExecution")),
        *(
            mapping(item.get("podAffinityTerm"))
            for item in mappings(affinity.get("preferredDuringSchedulingIgnoredDuringExecution"))
        ),
    ]
    constraints = [item for item in mappings(workload.spec.get("topologySpreadConstraints")) if _spreads(item)]
    if constraints or any(_repels(rule, workload) for rule in rules):
        return
    yield fail(
        workload.at("topologySpreadConstraints"),
        workload.spec.get("topologySpreadConstraints"),
        "a spread over nodes or zones",
    )


def _spreads(item: dict[str, Any]) -> bool:
    """Whether the API server would accept a spread constraint."""
    domains = item.get("minDomains")
    return bool(
        item.get("topologyKey")
        and item.get("whenUnsatisfiable", "DoNotSchedule") in {"DoNotSchedule", "ScheduleAnyway"}
        and (number(item.get("maxSkew")) or 0) > 0
        and (domains is None or (number(domains) or 0) > 0)
    )


def _repels(rule: dict[str, object], workload: Workload) -> bool:
    """Whether an anti-affinity term keeps the workload's own pods apart."""
    return bool(rule.get("topologyKey")) and selects(rule.get("labelSelector"), workload.labels)


@check("WL-074", on=Workload, labels=(), annotations=())
def required_labels(workload: Workload, world: World) -> Iterator[Finding]:
    """Labels and annotations of the lists, or at least one label that says whose the workload is."""
    own = {**workload.labels, **workload.obj.labels}
    wanted, notes = world.parameter("WL-074", "labels", ()), world.parameter("WL-074", "annotations", ())
    for name in wanted:
        if not own.get(name):
            yield fail("metadata.labels", own, f"the label {name}", part=name)
    for name in notes:
        if not workload.obj.annotations.get(name):
            yield fail("metadata.annotations", workload.obj.annotations, f"the annotation {name}", part=name)
    if not wanted and not notes and RECOMMENDED.isdisjoint(own):
        yield fail("metadata.labels", own, {"one of": sorted(RECOMMENDED)})
