"""PodSecurityPolicies of clusters before 1.25: what every one of them lets pods do, the controls count as done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from seawall.posture.check import Extension, Finding, fail
from seawall.posture.objects import Obj, mapping, sequence, text, texts
from seawall.posture.world import World


def _extension(control: str, field: str, allows: Callable[[dict[str, Any]], bool]) -> Extension:
    def run(obj: Obj, world: World) -> Iterator[Finding]:
        # One policy that forbids it suffices: privileged workloads may need another.
        if all(allows(item.spec) for item in world.of("PodSecurityPolicy")):
            yield fail(f"spec.{field}", obj.spec.get(field), "forbidden by at least one policy", part=field)

    return Extension(control, ("PodSecurityPolicy",), run)


def _may_be_root(spec: dict[str, Any]) -> bool:
    rule = mapping(spec.get("runAsUser"))
    zero = any(mapping(item).get("min") == 0 for item in sequence(rule.get("ranges")))
    return text(rule.get("rule")) not in {"MustRunAsNonRoot", "MustRunAs"} or (rule.get("rule") == "MustRunAs" and zero)


EXTENSIONS: Final = (
    _extension("WL-001", "privileged", lambda spec: spec.get("privileged") is True),
    _extension("WL-002", "allowPrivilegeEscalation", lambda spec: spec.get("allowPrivilegeEscalation") is not False),
    _extension("WL-003", "runAsUser", _may_be_root),
    _extension("WL-007", "allowedCapabilities", lambda spec: bool(sequence(spec.get("allowedCapabilities")))),
    _extension(
        "WL-010",
        "requiredDropCapabilities",
        lambda spec: (
            "ALL" not in texts(spec.get("requiredDropCapabilities"))
            and not sequence(spec.get("requiredDropCapabilities"))
        ),
    ),
    _extension("WL-011", "hostPID", lambda spec: spec.get("hostPID") is True),
    _extension("WL-012", "hostIPC", lambda spec: spec.get("hostIPC") is True),
    _extension("WL-013", "hostNetwork", lambda spec: spec.get("hostNetwork") is True),
)
