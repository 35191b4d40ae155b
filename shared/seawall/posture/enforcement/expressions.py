"""CEL for controls that generators decide from one object: what admission can hold them to.

Each stands for the check of the same id; the tests run both over the same objects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from seawall.posture.checks.host_paths import BELOW, SENSITIVE, SOCKET_NAMES, SOCKETS
from seawall.posture.checks.pod_security import SAFE_SYSCTLS


@dataclass(frozen=True, slots=True)
class Expression:
    """A control in CEL over `variables.spec` and `variables.containers`, or over `object` for other `kinds`."""

    id: str
    field: str
    """What it looks at, for the message."""
    cel: str
    kinds: tuple[str, ...] = ()


_SPEC: Final = "variables.spec"
_POD: Final = f"{_SPEC}.securityContext"
_WINDOWS: Final = f"(has({_SPEC}.os) && {_SPEC}.os.name == 'windows')"
_OWN_USERS: Final = f"(has({_SPEC}.hostUsers) && !{_SPEC}.hostUsers)"


_NO_ADMINISTRATOR: Final = "(@ != '' && !@.matches('(?i)administrator'))"


def _effective(field: str, test: str, otherwise: str) -> str:
    """The container's field, else the pod's, through `test` (with `@` for the value), else `otherwise`."""
    steps = field.split(".")

    def there(base: str) -> str:
        return " && ".join(f"has({'.'.join([base, *steps[: end + 1]])})" for end in range(len(steps)))

    own, pod = f"c.securityContext.{field}", f"{_POD}.{field}"
    return (
        f"((has(c.securityContext) && {there('c.securityContext')}) ? {test.replace('@', own)}"
        f" : (has({_POD}) && {there(_POD)}) ? {test.replace('@', pod)} : {otherwise})"
    )


_WINDOWS_USER: Final = f"({_WINDOWS} && {_effective('windowsOptions.runAsUserName', _NO_ADMINISTRATOR, 'false')})"


def _each(test: str) -> str:
    return f"variables.containers.all(c, {test})"


def _volumes(test: str) -> str:
    return f"!has({_SPEC}.volumes) || {_SPEC}.volumes.all(v, {test})"


def _quoted(pattern: str) -> str:
    return "'" + pattern.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _one_of(paths: set[str]) -> str:
    return "|".join(re.escape(path) for path in sorted(paths))


_ABOVE_SOCKETS: Final = {
    "/".join(socket.split("/")[:end]) or "/" for socket in SOCKETS for end in range(1, len(socket.split("/")) + 1)
}
_SOCKET: Final = f"^(?:{_one_of(_ABOVE_SOCKETS)}|.*/(?:{_one_of(set(SOCKET_NAMES))}))/*$"
_SYSTEM: Final = f"^(?:(?:{_one_of(set(SENSITIVE))})/*|(?:{_one_of(set(BELOW))})/.*)$"
_UNUSUAL: Final = (
    "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "fc", "flexVolume", "flocker", "gcePersistentDisk",
    "gitRepo", "glusterfs", "hostPath", "iscsi", "nfs", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO",
    "storageos", "vsphereVolume",
)  # fmt: skip
_OLDEST: Final = 32
"""A policy cannot ask for the cluster's version: sysctls that became safe later than this minor version are refused."""
_SAFE: Final = "[" + ", ".join(f"'{name}'" for name, since in SAFE_SYSCTLS.items() if since <= _OLDEST) + "]"
_MOVES: Final = "(!c.image.matches(':[^/]+$') || c.image.endsWith(':latest'))"

EXPRESSIONS: Final = (
    Expression(
        "WL-003", "runAsNonRoot, runAsUser",
        f"{_OWN_USERS} || {_each(_effective('runAsNonRoot', '@', 'false') + ' || ' + _effective('runAsUser', '@ > 0', _WINDOWS_USER))}",
    ),
    Expression(
        "WL-004", "runAsUser",
        f"{_OWN_USERS} || ((!has({_POD}) || !has({_POD}.runAsUser) || {_POD}.runAsUser > 0) && {_each('!has(c.securityContext) || !has(c.securityContext.runAsUser) || c.securityContext.runAsUser > 0')})",
    ),
    Expression(
        "WL-005", "runAsUser, runAsGroup",
        f"{_WINDOWS} || {_OWN_USERS} || {_each(_effective('runAsUser', '@ >= 10000', 'false') + ' && ' + _effective('runAsGroup', '@ >= 10000', 'false'))}",
    ),
    Expression(
        "WL-006", "runAsGroup, fsGroup, supplementalGroups",
        f"(!has({_POD}) || ((!has({_POD}.fsGroup) || {_POD}.fsGroup != 0) && (!has({_POD}.supplementalGroups) || {_POD}.supplementalGroups.all(g, g != 0)))) && {_each(_effective('runAsGroup', '@ != 0', _WINDOWS))}",
    ),
    Expression(
        "WL-016", "volumeMounts[*].readOnly",
        _each(f"!has(c.volumeMounts) || c.volumeMounts.all(m, (has(m.readOnly) && m.readOnly) || !has({_SPEC}.volumes) || !{_SPEC}.volumes.exists(v, v.name == m.name && has(v.hostPath)))"),
    ),
    Expression("WL-017", "volumes[*].hostPath.path", _volumes(f"!has(v.hostPath) || !v.hostPath.path.matches({_quoted(_SYSTEM)})")),
    Expression("WL-018", "volumes[*].hostPath.path", _volumes(f"!has(v.hostPath) || !v.hostPath.path.matches({_quoted(_SOCKET)})")),
    Expression(
        "WL-025", "sysctls[*].name", f"!has({_POD}) || !has({_POD}.sysctls) || {_POD}.sysctls.all(s, s.name in {_SAFE})"
    ),
    Expression("WL-029", "volumes[*]", _volumes(" && ".join(f"!has(v.{name})" for name in _UNUSUAL))),
    Expression("WL-039", "limits.ephemeral-storage, emptyDir.sizeLimit",
        "variables.main.all(c, has(c.resources) && has(c.resources.limits) && 'ephemeral-storage' in c.resources.limits) && ("
        + _volumes("!has(v.emptyDir) || has(v.emptyDir.sizeLimit)") + ")",
    ),
    Expression("WL-042", "image", _each(f"has(c.image) && (c.image.contains('@') || !{_MOVES})")),
    Expression("WL-043", "image", _each("has(c.image) && c.image.matches('@[A-Za-z][A-Za-z0-9]*([-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$')")),
    Expression("WL-044", "imagePullPolicy", _each(f"(has(c.image) && c.image.contains('@')) || (has(c.imagePullPolicy) ? c.imagePullPolicy == 'Always' : (!has(c.image) || {_MOVES}))")),
    Expression("WL-046", "image", _each("!has(c.image) || !c.image.matches('^([^/]*[.])?k8s[.]gcr[.]io/')")),
    Expression(
        "WL-050", "env, envFrom",
        _each("(!has(c.env) || c.env.all(e, !has(e.valueFrom) || !has(e.valueFrom.secretKeyRef))) && (!has(c.envFrom) || c.envFrom.all(e, !has(e.secretRef)))"),
    ),
    Expression("WL-057", "ports[*].containerPort", _each("!has(c.ports) || c.ports.all(p, !has(p.containerPort) || p.containerPort >= 1024 || p.containerPort <= 0)")),
    Expression("WL-070", "env[*].name", _each("!has(c.env) || c.env.all(e, c.env.filter(o, o.name == e.name).size() == 1)")),
    Expression("NW-009", "externalIPs", "!has(object.spec.externalIPs) || object.spec.externalIPs.size() == 0", ("Service",)),
    Expression(
        "NW-011", "rules[*].host",
        "has(object.spec.rules) && object.spec.rules.size() > 0 ? object.spec.rules.all(r, has(r.host) && r.host != '' && !r.host.startsWith('*')) : !has(object.spec.defaultBackend)",
        ("Ingress",),
    ),
)  # fmt: skip
