"""Pod Security Standards, baseline: what breaks the wall between container and node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from seawall.domain.posture import Status
from seawall.posture.check import Finding, check, fail
from seawall.posture.fields import FieldControl, On, Op, Rule, capability_name
from seawall.posture.objects import mapping, number, quote, sequence, text
from seawall.posture.parts import Part
from seawall.posture.workloads import Workload
from seawall.posture.world import World

BASELINE_CAPABILITIES: Final = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
"""What container runtimes grant anyway. Source: Pod Security Standards, baseline."""

SELINUX_TYPES: Final = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})

SAFE_SYSCTLS: Final = {
    "kernel.shm_rmid_forced": 0,
    "net.ipv4.ip_local_port_range": 0,
    "net.ipv4.ip_unprivileged_port_start": 0,
    "net.ipv4.tcp_syncookies": 0,
    "net.ipv4.ping_group_range": 0,
    "net.ipv4.ip_local_reserved_ports": 27,
    "net.ipv4.tcp_keepalive_time": 29,
    "net.ipv4.tcp_fin_timeout": 29,
    "net.ipv4.tcp_keepalive_intvl": 29,
    "net.ipv4.tcp_keepalive_probes": 29,
    "net.ipv4.tcp_rmem": 32,
    "net.ipv4.tcp_wmem": 32,
    "net.ipv4.tcp_slow_start_after_idle": 37,
    "net.ipv4.tcp_notsent_lowat": 37,
}
"""Namespaced sysctls and the Kubernetes minor version since which the baseline level allows them."""

PORTABLE_VOLUMES: Final = frozenset(
    [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ]
)
PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle.postStart", "lifecycle.preStop")
APPARMOR_ANNOTATION: Final = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP_POD_ANNOTATION: Final = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_ANNOTATION: Final = "container.seccomp.security.alpha.kubernetes.io/"
SECCOMP_FIELDS_SINCE: Final = 19
SECCOMP_ANNOTATIONS_UNTIL: Final = 27


def seccomp_annotated(value: object) -> bool:
    """Whether the value of a seccomp annotation confines: the runtime's profile, or one of the node's own."""
    return value in ("runtime/default", "docker/default") or text(value).startswith("localhost/")


def _unless_user_namespace(workload: Workload, world: World, found: list[Finding]) -> list[Finding]:
    """From 1.35 a pod in a user namespace of its own may unmask /proc."""
    relaxed = workload.spec.get("hostUsers") is False and (world.minor is None or world.minor >= 35)
    return [] if relaxed else found


def _apparmor_annotations(workload: Workload, _: World, found: list[Finding]) -> Iterable[Finding]:
    yield from found
    for key, value in workload.annotations.items():
        if (
            key.startswith(APPARMOR_ANNOTATION)
            and value not in ("", None, "runtime/default")
            and not text(value).startswith("localhost/")
        ):
            prefix = workload.path.removesuffix("spec") + "metadata.annotations"
            yield fail(
                f"{prefix}{quote(key)}",
                value,
                {"one of": ["runtime/default", "localhost/*"]},
                part=key.removeprefix(APPARMOR_ANNOTATION),
            )


def _seccomp_annotations(workload: Workload, world: World, found: list[Finding]) -> Iterable[Finding]:
    yield from found
    if world.minor is not None and world.minor >= SECCOMP_ANNOTATIONS_UNTIL:
        return
    for key, value in workload.annotations.items():
        if (key == SECCOMP_POD_ANNOTATION or key.startswith(SECCOMP_ANNOTATION)) and value == "unconfined":
            prefix = workload.path.removesuffix("spec") + "metadata.annotations"
            yield fail(
                f"{prefix}{quote(key)}",
                value,
                "runtime/default",
                "seccomp is switched off by annotation (read up to 1.26)",
            )


_APPARMOR_CEL: Final = (
    "!has(variables.template.metadata) || !has(variables.template.metadata.annotations) || variables.template.metadata.annotations.all(k,"
    f" !k.startsWith('{APPARMOR_ANNOTATION}') || variables.template.metadata.annotations[k] in ['', 'runtime/default']"
    " || variables.template.metadata.annotations[k].startsWith('localhost/'))"
)

_PROFILES: Final = frozenset({"RuntimeDefault", "Localhost"})


def _engine_type(workload: Workload, world: World, found: list[Finding]) -> Iterable[Finding]:
    """`container_engine_t` is a container type from 1.31 on."""
    yield from found
    if world.minor is None or world.minor >= 31:
        return
    places = [
        (workload.sc, workload.at("securityContext"), ""),
        *((item.sc, f"{item.path}.securityContext", item.name) for item in workload.containers),
    ]
    for context, path, part in places:
        if mapping(context.get("seLinuxOptions")).get("type") == "container_engine_t":
            yield fail(
                f"{path}.seLinuxOptions.type",
                "container_engine_t",
                {"one of": sorted(SELINUX_TYPES - {"container_engine_t"})},
                "a container type from 1.31 on",
                part,
            )


TABLE: Final = (
    FieldControl("WL-001", (Rule("securityContext.privileged", Op.IS_NOT, True),)),
    FieldControl("WL-007", (Rule("securityContext.capabilities.add", Op.WITHIN, BASELINE_CAPABILITIES),)),
    FieldControl(
        "WL-008",
        (Rule("securityContext.capabilities.add", Op.LACKS, frozenset({"SYS_ADMIN", "ALL"}), as_text=capability_name),),
    ),
    FieldControl("WL-011", (Rule("hostPID", Op.IS_NOT, True, on=On.POD),)),
    FieldControl("WL-012", (Rule("hostIPC", Op.IS_NOT, True, on=On.POD),)),
    FieldControl("WL-013", (Rule("hostNetwork", Op.IS_NOT, True, on=On.POD),)),
    FieldControl("WL-014", (Rule("ports[*].hostPort", Op.AT_MOST, 0),)),
    FieldControl("WL-015", (Rule("volumes[*].hostPath", Op.EMPTY, on=On.POD),)),
    FieldControl(
        "WL-021",
        (
            Rule("securityContext.seccompProfile.type", Op.IN, _PROFILES, on=On.POD),
            Rule("securityContext.seccompProfile.type", Op.IN, _PROFILES),
        ),
        refine=_seccomp_annotations,
        refine_reads=(Part.CONTEXT,),
        adds=True,
    ),
    FieldControl(
        "WL-022",
        (
            Rule("securityContext.appArmorProfile.type", Op.IN, _PROFILES, on=On.POD),
            Rule("securityContext.appArmorProfile.type", Op.IN, _PROFILES),
        ),
        refine=_apparmor_annotations,
        refine_reads=(Part.CONTEXT,),
        adds=True,
        more_cel=(_APPARMOR_CEL,),
    ),
    FieldControl(
        "WL-023",
        tuple(
            Rule(f"securityContext.seLinuxOptions.{name}", op, value, on=on)
            for on in (On.POD, On.CONTAINER)
            for name, op, value in (("type", Op.IN, SELINUX_TYPES), ("user", Op.EMPTY, None), ("role", Op.EMPTY, None))
        ),
        "type is a container type, user and role are not set",
        refine=_engine_type,
        refine_reads=(Part.CONTEXT,),
        adds=True,
    ),
    FieldControl(
        "WL-026",
        (Rule("securityContext.procMount", Op.IN, frozenset({"Default"})),),
        refine=_unless_user_namespace,
        refine_reads=(Part.CONTEXT,),
        cel="(has(variables.spec.hostUsers) && !variables.spec.hostUsers) || variables.containers.all(c, !has(c.securityContext) || !has(c.securityContext.procMount) || c.securityContext.procMount == 'Default')",
    ),
    FieldControl(
        "WL-027",
        (
            Rule("securityContext.windowsOptions.hostProcess", Op.IS_NOT, True, on=On.POD),
            Rule("securityContext.windowsOptions.hostProcess", Op.IS_NOT, True),
        ),
    ),
    FieldControl(
        "WL-030",
        tuple(Rule(f"{probe}.{action}.host", Op.EMPTY) for probe in PROBES for action in ("httpGet", "tcpSocket")),
        "no probe or hook names a host",
    ),
)


@check("WL-025", on=Workload, reads=(Part.CONTEXT,), allowed=())
def sysctls(workload: Workload, world: World) -> Iterator[Finding]:
    """Names in `securityContext.sysctls` against the safe list of the cluster's version."""
    minor = world.minor
    allowed = world.parameter("WL-025", "allowed", ())
    for index, item in enumerate(sequence(workload.sc.get("sysctls"))):
        name = text(mapping(item).get("name")).replace("/", ".")
        since = SAFE_SYSCTLS.get(name)
        if name in allowed or any(name.startswith(entry[:-1]) for entry in allowed if entry.endswith("*")):
            continue
        if since is None or (minor is not None and minor < since):
            reason = f"safe since 1.{since} only" if since else ""
            yield fail(workload.at(f"securityContext.sysctls[{index}].name"), name, "a safe sysctl", reason, name)


@check("WL-029", on=Workload, reads=(Part.STORAGE,))
def volume_types(workload: Workload, _: World) -> Iterator[Finding]:
    """The source of each volume."""
    for index, volume in workload.volumes:
        for source in volume.keys() - PORTABLE_VOLUMES - {"name"}:
            if volume[source] is not None:
                yield fail(
                    workload.at(f"volumes[{index}].{source}"),
                    source,
                    {"one of": sorted(PORTABLE_VOLUMES)},
                    part=text(volume.get("name")),
                )


@check("WL-004", on=Workload, reads=(Part.CONTEXT,))
def explicit_root(workload: Workload, world: World) -> Iterator[Finding]:
    """`runAsUser` of pod and containers is not 0."""
    if not _unless_user_namespace(workload, world, [Finding(Status.FAIL)]):
        return
    # Where every container chooses another user, the pod's value has no effect, but the standard forbids it still.
    if (user := workload.sc.get("runAsUser")) is not None and not (number(user) or 0) > 0:
        yield _root(user, workload.at("securityContext.runAsUser"), "")
    for container in workload.containers:
        if (user := container.sc.get("runAsUser")) is not None and not (number(user) or 0) > 0:
            yield _root(user, f"{container.path}.securityContext.runAsUser", container.name)


def _root(user: object, path: str, part: str) -> Finding:
    if number(user) is None:
        return Finding(Status.UNKNOWN, path, user, "above 0", "the value is of the wrong type", part)
    return Finding(Status.FAIL, path, user, "above 0", "", part)
