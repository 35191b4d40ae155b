"""Ceilings, requests and probes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from seawall.domain.posture import Status
from seawall.posture.check import Finding, check, fail, in_container, not_applicable
from seawall.posture.fields import FieldControl, On, Op, Rule
from seawall.posture.objects import dig, mapping, mappings, text
from seawall.posture.parts import Part
from seawall.posture.workloads import Workload
from seawall.posture.world import SYSTEM_NAMESPACES, World

_BY_LIMIT = {("requests", "cpu")}
"""What a limit alone sets."""


def _unless_limit_range(kind: str, resource: str) -> Callable[[Workload, World, list[Finding]], list[Finding]]:
    def refine(workload: Workload, world: World, found: list[Finding]) -> list[Finding]:
        """Defaults of a LimitRange, and for a request of processor time the container's own limit, stand in.

        The API server copies a limit of memory too, but then the pod reserves its peak: the catalogue wants it said.
        """
        if not found or (kind, resource) in world.limit_ranges.get(workload.namespace, {}):
            return []
        if (kind, resource) in _BY_LIMIT:
            limited = {
                item.name for item in workload.containers if dig(item.body, f"resources.limits.{resource}") is not None
            }
            return [item for item in found if item.part not in limited]
        return found

    return refine


def _unless_job(workload: Workload, _: World, found: list[Finding]) -> list[Finding]:
    if workload.is_job or text(workload.spec.get("restartPolicy")) in {"Never", "OnFailure"}:
        return [Finding(Status.NOT_APPLICABLE, reason="runs to an end")]
    return found


def _unless_unserved(workload: Workload, world: World, found: list[Finding]) -> list[Finding]:
    """Readiness matters to pods that a Service sends traffic to; without any Service in the input, to every pod."""
    if found and world.of("Service") and not world.services_of(workload):
        return [Finding(Status.NOT_APPLICABLE, reason="no Service selects the pods")]
    return _unless_job(workload, world, found)


def _set_in(resource: str, kinds: tuple[str, ...]) -> str:
    """CEL: one of the kinds is set for each container, or for the pod; a limit stands in for a request."""
    own = " || ".join(
        f"(has(c.resources) && has(c.resources.{kind}) && '{resource}' in c.resources.{kind})" for kind in kinds
    )
    spec = "variables.spec.resources"
    pod = " || ".join(f"(has({spec}) && has({spec}.{kind}) && '{resource}' in {spec}.{kind})" for kind in kinds)
    return f"variables.main.all(c, {own} || {pod})"


TABLE = (
    *(
        FieldControl(
            name,
            (
                Rule(
                    f"resources.{kind}.{resource}",
                    Op.SET,
                    absent=Status.FAIL,
                    on=On.MAIN,
                    inherit=f"resources.{kind}.{resource}",
                ),
            ),
            refine=_unless_limit_range(kind, resource),
            refine_reads=(Part.UPKEEP,),
            cel=_set_in(resource, (kind, "limits") if (kind, resource) in _BY_LIMIT else (kind,)),
        )
        for name, kind, resource in (
            ("WL-035", "limits", "cpu"),
            ("WL-036", "limits", "memory"),
            ("WL-037", "requests", "cpu"),
            ("WL-038", "requests", "memory"),
        )
    ),
    FieldControl(
        "WL-040",
        (Rule("livenessProbe", Op.SET, absent=Status.FAIL, on=On.RUNNING),),
        refine=_unless_job,
        refine_reads=(Part.UPKEEP,),
        adds=True,
        cel="object.kind in ['Job', 'CronJob'] || (has(variables.spec.restartPolicy) && variables.spec.restartPolicy != 'Always') || variables.running.all(c, has(c.livenessProbe))",
    ),
    FieldControl(
        "WL-041",
        (Rule("readinessProbe", Op.SET, absent=Status.FAIL, on=On.RUNNING),),
        refine=_unless_unserved,
        adds=True,
        enforce=False,
    ),
)


@check(
    "WL-039",
    on=Workload,
    reads=(
        Part.UPKEEP,
        Part.STORAGE,
    ),
)
def ephemeral_storage(workload: Workload, world: World) -> Iterator[Finding]:
    """`limits.ephemeral-storage` of each container and `sizeLimit` of each emptyDir."""
    if ("limits", "ephemeral-storage") not in world.limit_ranges.get(workload.namespace, {}):
        for container in workload.containers:
            if (
                not container.is_ephemeral
                and mapping(dig(container.body, "resources.limits")).get("ephemeral-storage") is None
            ):
                yield in_container(container, "resources.limits.ephemeral-storage", None, "set")
    for index, volume in workload.volumes:
        if volume.get("emptyDir") is not None and mapping(volume["emptyDir"]).get("sizeLimit") is None:
            yield fail(workload.at(f"volumes[{index}].emptyDir.sizeLimit"), None, "set", part=text(volume.get("name")))


@check("WL-075", on=("Namespace", "LimitRange", "ResourceQuota"))
def namespace_quota(subject: object, world: World) -> Iterator[Finding]:
    """A ResourceQuota and a LimitRange in each user namespace, and that they limit something."""
    from seawall.posture.objects import Obj

    assert isinstance(subject, Obj)
    if subject.kind == "Namespace":
        if subject.name in SYSTEM_NAMESPACES:
            yield not_applicable("system namespace")
            return
        for kind in ("ResourceQuota", "LimitRange"):
            if not world.in_namespace(kind, subject.name):
                yield fail("", None, kind, f"no {kind} in the namespace", kind)
    elif subject.kind == "LimitRange":
        if not any(
            item.get("default") or item.get("max") or item.get("defaultRequest")
            for item in mappings(subject.spec.get("limits"))
        ):
            yield fail("spec.limits", subject.spec.get("limits"), "a default or a maximum")
    elif not mapping(subject.spec.get("hard")):
        yield fail("spec.hard", subject.spec.get("hard"), "a hard limit")
