"""Pod Security Standards as the admission plugin decides them: level and version in, violated rules out.

Source: Kubernetes documentation, Pod Security Standards; versions are minor versions of 1.x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from seawall.posture.checks.pod_security import (
    APPARMOR_ANNOTATION,
    BASELINE_CAPABILITIES,
    PORTABLE_VOLUMES,
    PROBES,
    SAFE_SYSCTLS,
    SECCOMP_ANNOTATION,
    SECCOMP_POD_ANNOTATION,
    seccomp_annotated,
)
from seawall.posture.objects import dig, mapping, mappings, sequence, text
from seawall.posture.workloads import Workload

Rule = Callable[[Workload, int], bool]


def rules_of(level: str, minor: int) -> dict[str, tuple[int, Rule]]:
    """Return the rules of `level` (baseline or restricted) that are in force at version 1.`minor`."""
    rules = BASELINE
    if level != "baseline":
        replaced = {name for rule, name in REPLACES.items() if minor >= RESTRICTED[rule][0]}
        rules = {**{name: rule for name, rule in BASELINE.items() if name not in replaced}, **RESTRICTED}
    return {name: rule for name, rule in rules.items() if minor >= rule[0]}


def violations(workload: Workload, level: str, minor: int) -> list[str]:
    """Return the names of the rules of `level` (baseline or restricted) that a pod template breaks at version 1.`minor`."""
    return [name for name, (_, breaks) in rules_of(level, minor).items() if breaks(workload, minor)]


def _contexts(workload: Workload) -> Iterator[dict[str, Any]]:
    yield workload.sc
    for container in workload.containers:
        yield container.sc


def _privileged(workload: Workload, _: int) -> bool:
    return any(container.sc.get("privileged") is True for container in workload.containers)


def _host_namespaces(workload: Workload, _: int) -> bool:
    return any(workload.spec.get(name) is True for name in ("hostNetwork", "hostPID", "hostIPC"))


def _host_path(workload: Workload, _: int) -> bool:
    return any(volume.get("hostPath") is not None for _, volume in workload.volumes)


def _host_ports(workload: Workload, _: int) -> bool:
    return any(
        item.get("hostPort") not in (None, 0)
        for container in workload.containers
        for item in mappings(container.body.get("ports"))
    )


def _added(workload: Workload, allowed: frozenset[str]) -> bool:
    return any(
        item not in allowed for container in workload.containers for item in sequence(container.capabilities.get("add"))
    )


def _capabilities(workload: Workload, _: int) -> bool:
    return _added(workload, BASELINE_CAPABILITIES)


def _apparmor(workload: Workload, _: int) -> bool:
    for key, value in workload.annotations.items():
        if (
            key.startswith(APPARMOR_ANNOTATION)
            and value not in ("", "runtime/default")
            and not text(value).startswith("localhost/")
        ):
            return True
    return any(
        mapping(context.get("appArmorProfile")).get("type") not in (None, "RuntimeDefault", "Localhost")
        for context in _contexts(workload)
    )


def _selinux(workload: Workload, minor: int) -> bool:
    allowed = {None, "", "container_t", "container_init_t", "container_kvm_t"} | (
        {"container_engine_t"} if minor >= 31 else set()
    )
    for context in _contexts(workload):
        options = mapping(context.get("seLinuxOptions"))
        if options.get("type") not in allowed or options.get("user") or options.get("role"):
            return True
    return False


def _user_namespace(workload: Workload, minor: int) -> bool:
    return minor >= 35 and workload.spec.get("hostUsers") is False


def _proc_mount(workload: Workload, minor: int) -> bool:
    return not _user_namespace(workload, minor) and _unmasked(workload, minor)


def _unmasked(workload: Workload, _: int) -> bool:
    return any(container.sc.get("procMount") not in (None, "Default") for container in workload.containers)


def _seccomp_baseline(workload: Workload, minor: int) -> bool:
    if minor < 19:
        keys = [SECCOMP_POD_ANNOTATION, *(f"{SECCOMP_ANNOTATION}{container.name}" for container in workload.containers)]
        return any(key in workload.annotations and not seccomp_annotated(workload.annotations[key]) for key in keys)
    return any(
        mapping(context.get("seccompProfile")).get("type") not in (None, "RuntimeDefault", "Localhost")
        for context in _contexts(workload)
    )


def _sysctls(workload: Workload, minor: int) -> bool:
    return any(
        SAFE_SYSCTLS.get(text(item.get("name")), 1 << 30) > minor for item in mappings(workload.sc.get("sysctls"))
    )


def _host_process(workload: Workload, _: int) -> bool:
    return any(mapping(context.get("windowsOptions")).get("hostProcess") is True for context in _contexts(workload))


def _probe_hosts(workload: Workload, _: int) -> bool:
    return any(
        dig(container.body, f"{probe}.{action}.host") not in (None, "")
        for container in workload.containers
        for probe in PROBES
        for action in ("httpGet", "tcpSocket")
    )


def _volumes(workload: Workload, _: int) -> bool:
    return any(
        source not in PORTABLE_VOLUMES and source != "name" and volume[source] is not None
        for _, volume in workload.volumes
        for source in volume
    )


def _escalation(workload: Workload, minor: int) -> bool:
    if workload.windows and minor >= 25:
        return False
    return any(container.sc.get("allowPrivilegeEscalation") is not False for container in workload.containers)


def _non_root(workload: Workload, minor: int) -> bool:
    if _user_namespace(workload, minor):
        return False
    pod = workload.sc.get("runAsNonRoot")
    if pod is False:
        return True
    return any(
        container.sc.get("runAsNonRoot") is False or (container.sc.get("runAsNonRoot") is None and pod is not True)
        for container in workload.containers
    )


def _root_user(workload: Workload, minor: int) -> bool:
    if _user_namespace(workload, minor):
        return False
    return any(
        context.get("runAsUser") == 0 and context.get("runAsUser") is not False for context in _contexts(workload)
    )


def _seccomp_restricted(workload: Workload, minor: int) -> bool:
    if workload.windows and minor >= 25:
        return False
    allowed = {"RuntimeDefault", "Localhost"}
    pod = mapping(workload.sc.get("seccompProfile")).get("type")
    for container in workload.containers:
        own = mapping(container.sc.get("seccompProfile")).get("type")
        if (own if own is not None else pod) not in allowed:
            return True
    return pod is not None and pod not in allowed


def _capabilities_restricted(workload: Workload, minor: int) -> bool:
    if workload.windows and minor >= 25:
        return False
    if any("ALL" not in sequence(container.capabilities.get("drop")) for container in workload.containers):
        return True
    return _added(workload, frozenset({"NET_BIND_SERVICE"}))


BASELINE: Final[dict[str, tuple[int, Rule]]] = {
    "privileged": (0, _privileged),
    "host namespaces": (0, _host_namespaces),
    "host path": (0, _host_path),
    "host ports": (0, _host_ports),
    "capabilities": (0, _capabilities),
    "AppArmor": (0, _apparmor),
    "SELinux": (0, _selinux),
    "/proc mount": (0, _proc_mount),
    "seccomp": (0, _seccomp_baseline),
    "sysctls": (0, _sysctls),
    "Windows HostProcess": (0, _host_process),
    "probe hosts": (34, _probe_hosts),
}
"""Rule: since which minor version, and whether a pod breaks it."""

RESTRICTED: Final[dict[str, tuple[int, Rule]]] = {
    "volume types": (0, _volumes),
    "privilege escalation": (8, _escalation),
    "run as non-root": (0, _non_root),
    "run as user": (23, _root_user),
    "seccomp (restricted)": (19, _seccomp_restricted),
    "capabilities (restricted)": (22, _capabilities_restricted),
    "/proc mount (restricted)": (35, _unmasked),
}

REPLACES: Final = {
    "volume types": "host path",
    "seccomp (restricted)": "seccomp",
    "capabilities (restricted)": "capabilities",
    "/proc mount (restricted)": "/proc mount",
}
"""Rules of the restricted level that stand in the place of one of baseline, with their exemption of Windows pods."""

CONTROLS: Final[dict[str, tuple[str, ...]]] = {
    "privileged": ("WL-001",),
    "host namespaces": ("WL-011", "WL-012", "WL-013"),
    "host path": ("WL-015", "WL-016", "WL-017"),
    "host ports": ("WL-014",),
    "capabilities": ("WL-007", "WL-008"),
    "AppArmor": ("WL-022",),
    "SELinux": ("WL-023",),
    "/proc mount": ("WL-026",),
    "seccomp": ("WL-021",),
    "sysctls": ("WL-025",),
    "Windows HostProcess": ("WL-027",),
    "probe hosts": ("WL-030",),
    "volume types": ("WL-015", "WL-029"),
    "privilege escalation": ("WL-002",),
    "run as non-root": ("WL-003",),
    "run as user": ("WL-004",),
    "seccomp (restricted)": ("WL-020", "WL-021"),
    "capabilities (restricted)": ("WL-007", "WL-010"),
    "/proc mount (restricted)": ("WL-026",),
}
"""Controls that tell of the same fields, with place and remedy."""
