"""What a pod can do without: root, escalation, capabilities, a writable root file system, shared namespaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from seawall.domain.posture import Status
from seawall.posture.check import Finding, check, fail, in_container, not_applicable
from seawall.posture.checks.pod_security import (
    APPARMOR_ANNOTATION,
    SECCOMP_ANNOTATION,
    SECCOMP_ANNOTATIONS_UNTIL,
    SECCOMP_POD_ANNOTATION,
    seccomp_annotated,
)
from seawall.posture.fields import FieldControl, On, Op, Rule, capability_name
from seawall.posture.objects import mapping, number, sequence, text
from seawall.posture.parts import Part
from seawall.posture.workloads import Container, Workload
from seawall.posture.world import World

_PROFILES: Final = frozenset({"RuntimeDefault", "Localhost"})


def _accept_seccomp_annotations(workload: Workload, world: World, found: list[Finding]) -> Iterable[Finding]:
    """Before 1.27 the annotations of old counted where the field is not set."""
    if found and (world.minor is None or world.minor < SECCOMP_ANNOTATIONS_UNTIL):
        notes = (
            {**workload.annotations, **workload.obj.annotations}
            if SECCOMP_POD_ANNOTATION in workload.obj.annotations
            else workload.annotations
        )
        if seccomp_annotated(notes.get(SECCOMP_POD_ANNOTATION)):
            return [item for item in found if item.actual is not None]
        return [
            item
            for item in found
            if item.actual is not None or not seccomp_annotated(notes.get(f"{SECCOMP_ANNOTATION}{item.part}"))
        ]
    return found


TABLE: Final = (
    FieldControl(
        "WL-002",
        (Rule("securityContext.allowPrivilegeEscalation", Op.IS, False, absent=Status.FAIL, linux_only=True),),
    ),
    FieldControl(
        "WL-009",
        (
            Rule(
                "securityContext.capabilities.drop",
                Op.HAS_ANY,
                ("ALL", "NET_RAW"),
                absent=Status.FAIL,
                linux_only=True,
                as_text=capability_name,
            ),
        ),
    ),
    FieldControl(
        "WL-010",
        (
            Rule(
                "securityContext.capabilities.drop",
                Op.HAS,
                ("ALL",),
                absent=Status.FAIL,
                linux_only=True,
                as_text=capability_name,
            ),
            Rule("securityContext.capabilities.add", Op.WITHIN, frozenset({"NET_BIND_SERVICE"}), linux_only=True),
        ),
    ),
    FieldControl(
        "WL-019",
        (Rule("securityContext.readOnlyRootFilesystem", Op.IS, True, absent=Status.FAIL, linux_only=True),),
    ),
    FieldControl(
        "WL-020",
        (
            Rule(
                "securityContext.seccompProfile.type",
                Op.IN,
                _PROFILES,
                absent=Status.FAIL,
                inherit="securityContext.seccompProfile.type",
                linux_only=True,
            ),
        ),
        refine=_accept_seccomp_annotations,
        refine_reads=(Part.CONTEXT,),
    ),
    FieldControl("WL-055", (Rule("shareProcessNamespace", Op.IS_NOT, True, on=On.POD),)),
    FieldControl(
        "WL-056", (Rule("stdin", Op.IS_NOT, True), Rule("tty", Op.IS_NOT, True)), "`stdin` and `tty` are not true"
    ),
    FieldControl("WL-060", (Rule("hostAliases", Op.EMPTY, on=On.POD),)),
)


def effective(container: Container, workload: Workload, name: str) -> Any:
    """Return a field of the container's securityContext, else of the pod's."""
    own = container.sc.get(name)
    return own if own is not None else workload.sc.get(name)


def where(container: Container, workload: Workload, name: str) -> str:
    """JSON path of the field that decides."""
    if container.sc.get(name) is None and workload.sc.get(name) is not None:
        return workload.at(f"securityContext.{name}")
    return f"{container.path}.securityContext.{name}"


def in_user_namespace(workload: Workload, world: World) -> bool:
    """Whether root in the pod is somebody else on the node, as Pod Security accepts from 1.35."""
    return workload.spec.get("hostUsers") is False and (world.minor is None or world.minor >= 35)


@check("WL-003", on=Workload, reads=(Part.CONTEXT,))
def run_as_non_root(workload: Workload, world: World) -> Iterator[Finding]:
    """Effective `runAsNonRoot` and `runAsUser`, container over pod."""
    if in_user_namespace(workload, world):
        return
    for container in workload.containers:
        if effective(container, workload, "runAsNonRoot") is True:
            continue
        user = number(effective(container, workload, "runAsUser"))
        if user is None or user == 0:
            windows = mapping(container.sc.get("windowsOptions")).get("runAsUserName") or mapping(
                workload.sc.get("windowsOptions")
            ).get("runAsUserName")
            if workload.windows and windows and "administrator" not in text(windows).lower():
                continue
            yield Finding(
                Status.FAIL,
                where(container, workload, "runAsUser" if user == 0 else "runAsNonRoot"),
                user if user == 0 else effective(container, workload, "runAsNonRoot"),
                "above 0" if user == 0 else True,
                "" if user == 0 else "the image decides, and may choose root",
                container.name,
            )


@check("WL-005", on=Workload, reads=(Part.CONTEXT,), least=10000)
def high_ids(workload: Workload, world: World) -> Iterator[Finding]:
    """Effective `runAsUser` and `runAsGroup` are high enough not to be an account of the host."""
    if workload.windows or workload.spec.get("hostUsers") is False:
        yield not_applicable(
            "Windows pod" if workload.windows else "a user namespace of its own: its ids are no ids of the host"
        )
        return
    least = world.parameter("WL-005", "least", 10000)
    for container in workload.containers:
        for name in ("runAsUser", "runAsGroup"):
            value = number(effective(container, workload, name))
            if value is None or value < least:
                yield Finding(
                    Status.FAIL,
                    where(container, workload, name),
                    value,
                    f"at least {least}",
                    "" if value is not None else "not set",
                    container.name,
                )


@check("WL-006", on=Workload, reads=(Part.CONTEXT,))
def root_group(workload: Workload, _: World) -> Iterator[Finding]:
    """`runAsGroup`, `fsGroup` and `supplementalGroups` are not 0."""
    if number(workload.sc.get("fsGroup")) == 0:
        yield fail(workload.at("securityContext.fsGroup"), 0, "above 0")
    for index, group in enumerate(sequence(workload.sc.get("supplementalGroups"))):
        if number(group) == 0:
            yield fail(workload.at(f"securityContext.supplementalGroups[{index}]"), 0, "above 0")
    for container in workload.containers:
        group = number(effective(container, workload, "runAsGroup"))
        if group is None and not workload.windows:
            yield in_container(
                container,
                "securityContext.runAsGroup",
                None,
                "above 0",
                "not set: without it the primary group is the image's, which is root's by default",
            )
        elif group == 0:
            yield Finding(Status.FAIL, where(container, workload, "runAsGroup"), 0, "above 0", "", container.name)


@check("WL-024", on=Workload, reads=(Part.CONTEXT,))
def any_hardening(workload: Workload, _: World) -> Iterator[Finding]:
    """One of seccomp, AppArmor, SELinux options or dropped capabilities for each container."""
    if workload.windows:
        yield not_applicable("Windows pod")
        return
    pod = workload.sc
    notes = workload.annotations
    whole = (
        any(pod.get(name) for name in ("seccompProfile", "seLinuxOptions", "appArmorProfile"))
        or SECCOMP_POD_ANNOTATION in notes
    )
    if whole and mapping(pod.get("seccompProfile")).get("type") != "Unconfined":
        return
    for container in workload.containers:
        own = container.sc
        if mapping(own.get("seccompProfile")).get("type") not in (None, "Unconfined"):
            continue
        if (
            own.get("seLinuxOptions")
            or mapping(own.get("appArmorProfile")).get("type") not in (None, "Unconfined")
            or container.dropped()
        ):
            continue
        if (
            text(notes.get(f"{APPARMOR_ANNOTATION}{container.name}")) not in ("", "unconfined")
            or f"{SECCOMP_ANNOTATION}{container.name}" in notes
        ):
            continue
        yield in_container(
            container,
            "securityContext",
            container.body.get("securityContext"),
            "one of seccompProfile, appArmorProfile, seLinuxOptions, capabilities.drop",
        )


@check("WL-028", on=Workload, reads=(Part.CONTEXT,))
def windows_user(workload: Workload, _: World) -> Iterator[Finding]:
    """Effective `windowsOptions.runAsUserName` of Windows containers."""
    if not workload.on_windows_nodes:
        pod = text(mapping(workload.sc.get("windowsOptions")).get("runAsUserName"))
        names = [
            pod,
            *(text(mapping(item.sc.get("windowsOptions")).get("runAsUserName")) for item in workload.containers),
        ]
        if not any(names):
            yield not_applicable("not a Windows pod")
            return
    for container in workload.containers:
        name = text(mapping(container.sc.get("windowsOptions")).get("runAsUserName")) or text(
            mapping(workload.sc.get("windowsOptions")).get("runAsUserName")
        )
        if not name or name.rsplit("\\", 1)[-1].lower() in {"containeradministrator", "administrator", "system"}:
            yield in_container(container, "securityContext.windowsOptions.runAsUserName", name or None, "ContainerUser")


@check("WL-062", on=Workload, reads=(Part.CONTEXT,))
def user_namespace(workload: Workload, world: World) -> Iterator[Finding]:
    """`hostUsers` is false, on clusters that have user namespaces (1.33 and later)."""
    if workload.on_windows_nodes:
        yield not_applicable("Windows pod")
    elif world.minor is not None and world.minor < 33:
        yield not_applicable(f"user namespaces are on by default from 1.33; this cluster is 1.{world.minor}")
    elif any(workload.spec.get(name) is True for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield fail(
            workload.at("hostUsers"),
            workload.spec.get("hostUsers"),
            False,
            "not possible while a host namespace is shared",
        )
    elif workload.spec.get("hostUsers") is not False:
        yield fail(workload.at("hostUsers"), workload.spec.get("hostUsers"), False)


@check("WL-077", on=Workload)
def debug_containers(workload: Workload, _: World) -> Iterator[Finding]:
    """`ephemeralContainers` of the template and of the pods that run."""
    for container in workload.containers:
        if container.is_ephemeral:
            yield Finding(Status.FAIL, container.path, container.name, "none", "", container.name)
    for pod in workload.pods:
        for index, item in enumerate(sequence(pod.spec.get("ephemeralContainers"))):
            name = text(mapping(item).get("name"))
            yield fail(f"spec.ephemeralContainers[{index}]", name, "none", f"in pod {pod.name}", name)


@check("AD-11", on=Workload, reads=(Part.CONTEXT,))
def security_context_set(workload: Workload, _: World) -> Iterator[Finding]:
    """Pod and every container have a securityContext."""
    bare = [container for container in workload.containers if not container.sc and not container.is_ephemeral]
    if not workload.sc and bare:
        yield fail(workload.at("securityContext"), workload.spec.get("securityContext"), "set")
    for container in bare:
        yield in_container(container, "securityContext", container.body.get("securityContext"), "set")
