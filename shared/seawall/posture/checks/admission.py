"""What stands at the API server's door: policy engines, Pod Security labels, webhooks, versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Final

from seawall.posture.check import Cluster, Finding, check, fail, manual, not_applicable, unknown
from seawall.posture.checks.images import signature_gates
from seawall.posture.objects import Obj, mapping, mappings, selects, sequence, text
from seawall.posture.world import SYSTEM_NAMESPACES, World, minor_of

ENFORCE: Final = "pod-security.kubernetes.io/enforce"
LEVELS: Final = frozenset({"baseline", "restricted"})
SECURITY_WORDS: Final = (
    "gatekeeper",
    "kyverno",
    "policy",
    "security",
    "sigstore",
    "cosign",
    "validat",
    "admission",
    "opa",
    "ratify",
    "seawall",
    "connaisseur",
    "kubewarden",
    "polaris",
    "falco",
    "azure-policy",
)

END_OF_LIFE: Final = {
    19: "2021-10-28", 20: "2022-02-28", 21: "2022-06-28", 22: "2022-10-28", 23: "2023-02-28", 24: "2023-07-28", 25: "2023-10-28",
    26: "2024-02-28", 27: "2024-06-28", 28: "2024-10-28", 29: "2025-02-28", 30: "2025-06-28", 31: "2025-10-28", 32: "2026-02-28",
    33: "2026-06-28", 34: "2026-10-27", 35: "2027-02-28", 36: "2027-06-28", 37: "2027-10-28",
}  # fmt: skip
"""Kubernetes minor versions and the day on which upstream patches end. Source: kubernetes.io/releases."""


def supported(minor: int, today: date, *, grace_days: int = 0) -> bool:
    """Whether upstream still patches a minor version; versions above the table are taken to be new."""
    if minor > max(END_OF_LIFE):
        return True
    end = END_OF_LIFE.get(minor)
    return end is not None and (today - date.fromisoformat(end)).days <= grace_days


def enforced(labels: dict[str, object]) -> bool:
    """Whether a namespace's labels enforce baseline or restricted."""
    return text(labels.get(ENFORCE)) in LEVELS


def enforcing_policies(world: World) -> list[Obj]:
    """Return policies and constraints that refuse, whatever their engine."""
    denying = {
        text(obj.spec.get("policyName"))
        for obj in world.of("ValidatingAdmissionPolicyBinding")
        if "Deny" in sequence(obj.spec.get("validationActions"))
    }
    found = [obj for obj in world.of("ValidatingAdmissionPolicy") if obj.name in denying]
    found += [
        obj
        for obj in world.objects
        if obj.api_version.startswith("constraints.gatekeeper.sh/")
        and text(obj.spec.get("enforcementAction") or "deny") == "deny"
    ]
    found += [
        obj
        for obj in world.of("ClusterPolicy", "Policy")
        if obj.api_version.startswith("kyverno.io/")
        and (
            text(obj.spec.get("validationFailureAction")).lower() == "enforce"
            or any(
                text(mapping(rule.get("validate")).get("failureAction")).lower() == "enforce"
                for rule in mappings(obj.spec.get("rules"))
            )
        )
    ]
    found += [
        obj
        for obj in world.of("ClusterAdmissionPolicy", "AdmissionPolicy")
        if text(obj.spec.get("mode") or "protect") == "protect"
    ]
    return found


def engines(world: World) -> list[Obj]:
    """Return webhooks of policy engines."""
    found = []
    for obj in world.of("ValidatingWebhookConfiguration"):
        names = " ".join([obj.name, *(text(hook.get("name")) for hook in mappings(obj.body.get("webhooks")))]).lower()
        if any(
            word in names
            for word in ("gatekeeper", "kyverno", "kubewarden", "azure-policy", "opa", "seawall", "polaris")
        ):
            found.append(obj)
    return found


@check("AD-01", on=Cluster)
def policy_engine(_: Cluster, world: World) -> Iterator[Finding]:
    """Pod Security labels, admission policies with bindings, Gatekeeper, Kyverno, Azure Policy, Kubewarden."""
    users = {obj.name: obj.labels for obj in world.of("Namespace") if obj.name not in SYSTEM_NAMESPACES}
    if enforcing_policies(world) or engines(world) or world.of("PodSecurityPolicy"):
        return
    if not users:
        yield not_applicable("no user namespace in the input")
        return
    bare = sorted(name for name, labels in users.items() if not enforced(labels))
    if bare:
        yield fail("", bare[:20], "an enforcing policy", f"{len(bare)} of {len(users)} user namespaces are not covered")


@check("AD-02", on="Namespace", least="baseline")
def pod_security_label(obj: Obj, world: World) -> Iterator[Finding]:
    """Label `pod-security.kubernetes.io/enforce` of user namespaces is baseline or restricted."""
    if obj.name in SYSTEM_NAMESPACES:
        yield not_applicable("system namespace")
        return
    least = world.parameter("AD-02", "least", "baseline")
    level = text(obj.labels.get(ENFORCE))
    if level not in LEVELS or (least == "restricted" and level != "restricted"):
        yield fail(
            f'metadata.labels["{ENFORCE}"]',
            obj.labels.get(ENFORCE),
            {"one of": sorted(LEVELS) if least == "baseline" else ["restricted"]},
        )


def is_security_hook(obj: Obj, hook: dict[str, object]) -> bool:
    """Whether a webhook guards something, by its name."""
    return any(word in f"{obj.name} {text(hook.get('name'))}".lower() for word in SECURITY_WORDS)


_HOOKS: Final = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")


@check("AD-03", on=_HOOKS)
def fails_open(obj: Obj, _: World) -> Iterator[Finding]:
    """`failurePolicy` of webhooks that guard something."""
    for index, hook in enumerate(mappings(obj.body.get("webhooks"))):
        if hook.get("failurePolicy") == "Ignore" and is_security_hook(obj, hook):
            yield fail(f"webhooks[{index}].failurePolicy", "Ignore", "Fail", part=text(hook.get("name")))


_TENANT_KEYS: Final = re.compile(r"(?i)(ignore|skip|exclude|exempt|bypass|disable|no-?inject|inject)")


@check("AD-04", on=_HOOKS)
def bypass(obj: Obj, _: World) -> Iterator[Finding]:
    """Selectors that let a label on an object, or on any namespace, switch the webhook off; rules that match everything."""
    for index, hook in enumerate(mappings(obj.body.get("webhooks"))):
        if not is_security_hook(obj, hook):
            continue
        part = text(hook.get("name"))
        for name in ("objectSelector", "namespaceSelector"):
            for place, item in enumerate(mappings(mapping(hook.get(name)).get("matchExpressions"))):
                key = text(item.get("key"))
                if (
                    text(item.get("operator")) in {"NotIn", "DoesNotExist"}
                    and key not in {"kubernetes.io/metadata.name", "control-plane"}
                    and (name == "objectSelector" or _TENANT_KEYS.search(key))
                ):
                    yield fail(
                        f"webhooks[{index}].{name}.matchExpressions[{place}]",
                        item,
                        "no label that a tenant can set",
                        part=f"{part} {key}",
                    )
        if hook.get("failurePolicy") != "Ignore":
            for place, rule in enumerate(mappings(hook.get("rules"))):
                wide = all("*" in sequence(rule.get(field)) for field in ("apiGroups", "resources"))
                if wide and not hook.get("namespaceSelector") and not hook.get("matchConditions"):
                    yield fail(
                        f"webhooks[{index}].rules[{place}]",
                        rule,
                        "a scope without system namespaces",
                        "a broken webhook would stop the cluster",
                        part=part,
                    )


@check("AD-05", on=_HOOKS)
def unknown_webhook(obj: Obj, world: World) -> Iterator[Finding]:
    """Webhooks that call an address outside the cluster, or a service that does not exist."""
    for index, hook in enumerate(mappings(obj.body.get("webhooks"))):
        client, part = mapping(hook.get("clientConfig")), text(hook.get("name"))
        url = text(client.get("url"))
        if url and ".svc" not in url and not re.match(r"https://(localhost|127\.|\[::1\])", url):
            yield fail(f"webhooks[{index}].clientConfig.url", url, "a service of the cluster", part=part)
        service = mapping(client.get("service"))
        if (
            service
            and world.is_cluster
            and world.of("Service")
            and world.find("Service", text(service.get("namespace")), text(service.get("name"))) is None
        ):
            yield fail(
                f"webhooks[{index}].clientConfig.service",
                f"{service.get('namespace')}/{service.get('name')}",
                "an existing service",
                part=part,
            )


@check("AD-06", on=Cluster)
def audit_only(_: Cluster, world: World) -> Iterator[Finding]:
    """Constraints, policies and bindings that only warn or write down."""
    seen = False
    for obj in world.objects:
        if obj.api_version.startswith("constraints.gatekeeper.sh/"):
            seen = True
            if text(obj.spec.get("enforcementAction")) in {"dryrun", "warn"}:
                yield fail("spec.enforcementAction", obj.spec.get("enforcementAction"), "deny", target=obj)
        elif obj.kind == "ValidatingAdmissionPolicyBinding":
            seen = True
            if "Deny" not in sequence(obj.spec.get("validationActions")):
                yield fail("spec.validationActions", obj.spec.get("validationActions"), "Deny", target=obj)
        elif (
            obj.kind in {"ClusterPolicy", "Policy"}
            and obj.api_version.startswith("kyverno.io/")
            and any(rule.get("validate") for rule in mappings(obj.spec.get("rules")))
        ):
            seen = True
            actions = {
                text(obj.spec.get("validationFailureAction") or "Audit").lower(),
                *(
                    text(mapping(rule.get("validate")).get("failureAction")).lower()
                    for rule in mappings(obj.spec.get("rules"))
                ),
            }
            if "enforce" not in actions:
                yield fail(
                    "spec.validationFailureAction", obj.spec.get("validationFailureAction"), "Enforce", target=obj
                )
    if not seen:
        yield not_applicable("no policy in the input")


@check("AD-07", on=Cluster)
def vulnerability_gate(_: Cluster, world: World) -> Iterator[Finding]:
    """A webhook or policy that decides by the findings of an image."""
    gates = [
        obj
        for obj in world.of("ValidatingWebhookConfiguration")
        if any(
            word
            in " ".join([obj.name, *(text(hook.get("name")) for hook in mappings(obj.body.get("webhooks")))]).lower()
            for word in (
                "seawall",
                "image-policy",
                "vulnerab",
                "trivy",
                "anchore",
                "neuvector",
                "stackrox",
                "aqua",
                "prisma",
                "snyk",
            )
        )
    ]
    flags = any(
        "ImagePolicyWebhook" in text(arg)
        for workload in world.workloads
        if workload.is_static
        for container in workload.containers
        for arg in [*sequence(container.body.get("command")), *sequence(container.body.get("args"))]
    )
    if gates or flags:
        return
    yield (
        fail("", None, "a gate for vulnerable images", "no gate decides by an image's findings")
        if world.is_cluster
        else not_applicable("manifests alone do not say")
    )


@check("AD-08", on=Cluster)
def signature_gate(_: Cluster, world: World) -> Iterator[Finding]:
    """Sigstore or Kyverno image policies, Ratify, Connaisseur, Binary Authorization, ImagePolicyWebhook."""
    binary = any(
        text(mapping(obj.body.get("binaryAuthorization")).get("evaluationMode")) not in ("", "DISABLED")
        for obj in world.of("container.googleapis.com/Cluster")
    )
    if signature_gates(world) or binary:
        return
    yield (
        fail("", None, "a gate for signatures", "nothing makes a valid signature a condition")
        if world.is_cluster
        else not_applicable("manifests alone do not say")
    )


@check("AD-09", on=Cluster)
def secret_store(_: Cluster, world: World) -> Iterator[Finding]:
    """SecretProviderClass, ExternalSecret, SealedSecret, Vault objects, or the drivers behind them, where secrets are used."""
    stores = world.of(
        "SecretProviderClass",
        "ExternalSecret",
        "SecretStore",
        "ClusterSecretStore",
        "SealedSecret",
        "VaultStaticSecret",
        "VaultAuth",
        "AzureKeyVaultSecret",
        "BitwardenSecret",
        "InfisicalSecret",
    )
    drivers = any("secrets-store" in obj.name for obj in world.of("CSIDriver")) or any(
        word in container.image.repository
        for workload in world.workloads
        for container in workload.containers
        for word in (
            "secrets-store",
            "external-secrets",
            "vault-secrets",
            "aad-pod-identity",
            "sealed-secrets",
            "berglas",
            "secrets-manager",
        )
    )
    if (
        stores
        or drivers
        or any("vault.hashicorp.com/agent-inject" in workload.annotations for workload in world.workloads)
    ):
        return
    used = any(obj.kind == "Secret" and text(obj.body.get("type")) in ("", "Opaque") for obj in world.objects)
    whole = world.is_cluster or bool(world.of("Namespace"))
    if used or (whole and world.workloads):
        yield fail("", None, "an external secret store", "secrets are kept in the cluster only")
    else:
        yield not_applicable("no secret in the input")


@check("AD-10", on=Cluster)
def team_namespaces(_: Cluster, world: World) -> Iterator[Finding]:
    """Namespaces other than `default` that hold workloads."""
    holding = {workload.namespace for workload in world.workloads} - SYSTEM_NAMESPACES
    if not world.is_cluster:
        yield not_applicable("no whole cluster in the input")
    elif holding == {"default"}:
        yield fail("", sorted(holding), "namespaces by team", "every workload is in default")
    elif holding:
        yield manual(f"see that the {len(holding)} namespaces in use separate teams")


@check("AD-12", on=Cluster)
def kubernetes_supported(_: Cluster, world: World) -> Iterator[Finding]:
    """The server's minor version against the days on which upstream patches end."""
    if world.minor is None:
        yield (
            unknown("the server's version was not collected")
            if world.is_cluster
            else not_applicable("no cluster in the input")
        )
    elif not supported(world.minor, world.today):
        yield fail(
            "",
            f"1.{world.minor}",
            "a supported version",
            f"patches ended on {END_OF_LIFE.get(world.minor, 'a day before 2021-10-28')}",
        )


KNOWN_FLAWS: Final = (
    ("CVE-2022-0185", "kernel", ((5, 1, 0), (5, 16, 2))),
    ("CVE-2024-21626", "runc", ((0, 0, 0), (1, 1, 12))),
    ("CVE-2019-5736", "runc", ((0, 0, 0), (1, 0, 0))),
    ("CVE-2022-0811", "cri-o", ((1, 19, 0), (1, 23, 2))),
    ("CVE-2022-23648", "containerd", ((0, 0, 0), (1, 4, 13))),
    ("CVE-2021-25741", "kubelet", ((1, 0, 0), (1, 19, 15))),
    ("CVE-2021-25741", "kubelet", ((1, 20, 0), (1, 20, 11))),
    ("CVE-2021-25741", "kubelet", ((1, 21, 0), (1, 21, 5))),
    ("CVE-2021-25741", "kubelet", ((1, 22, 0), (1, 22, 2))),
    ("CVE-2022-3172", "kube-apiserver", ((1, 0, 0), (1, 22, 14))),
    ("CVE-2022-3172", "kube-apiserver", ((1, 23, 0), (1, 23, 11))),
    ("CVE-2022-3172", "kube-apiserver", ((1, 24, 0), (1, 24, 5))),
    ("CVE-2022-3172", "kube-apiserver", ((1, 25, 0), (1, 25, 1))),
    ("CVE-2021-25742", "nginx-controller", ((0, 0, 0), (0, 49, 1))),
    ("CVE-2021-25742", "nginx-ingress-controller", ((0, 0, 0), (0, 49, 1))),
    ("CVE-2025-1974", "ingress-nginx/controller", ((0, 0, 0), (1, 11, 5))),
    ("CVE-2025-1974", "ingress-nginx/controller", ((1, 12, 0), (1, 12, 1))),
    ("CVE-2022-24348", "argoproj/argocd", ((0, 0, 0), (2, 1, 9))),
    ("CVE-2022-24348", "argoproj/argocd", ((2, 2, 0), (2, 2, 4))),
    ("CVE-2022-39328", "grafana/grafana", ((9, 2, 0), (9, 2, 4))),
    ("CVE-2022-47633", "kyverno/kyverno", ((1, 8, 3), (1, 8, 5))),
)
"""Flaw, component, and the range from (included) to (excluded) that has it. Sources: the projects' advisories."""


_IMAGES: Final = (
    "ingress-nginx/controller",
    "nginx-controller",
    "nginx-ingress-controller",
    "argoproj/argocd",
    "grafana/grafana",
    "kyverno/kyverno",
)


def version_of(raw: str) -> tuple[int, int, int] | None:
    """Return the first three numbers of a version; None when there are none."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", raw)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def flaws(component: str, raw: str) -> Iterator[str]:
    """Yield the flaws of a component's version."""
    version = version_of(raw)
    for name, affected, (low, high) in KNOWN_FLAWS:
        if affected == component and version is not None and low <= version < high:
            yield name


@check("AD-13", on=Cluster)
def known_flaws(_: Cluster, world: World) -> Iterator[Finding]:
    """Versions of kernel, runtime, kubelet, API server and well-known controllers against flaws that matter."""
    looked = False
    for node in world.of("Node"):
        looked = True
        info = mapping(mapping(node.body.get("status")).get("nodeInfo"))
        runtime, _sep, version = text(info.get("containerRuntimeVersion")).partition("://")
        for component, raw, field in (
            ("kernel", text(info.get("kernelVersion")), "kernelVersion"),
            ("kubelet", text(info.get("kubeletVersion")), "kubeletVersion"),
            (runtime, version, "containerRuntimeVersion"),
        ):
            for name in flaws(component, raw):
                if name == "CVE-2022-0185" and not _unprivileged_namespaces(node, world):
                    continue
                yield fail(f"status.nodeInfo.{field}", raw, f"without {name}", name, name, node)
    for obj in world.of("ServerVersion", "APIServerInfo"):
        looked = True
        raw = text(obj.body.get("gitVersion")) or text(mapping(obj.body.get("data")).get("gitVersion"))
        for name in flaws("kube-apiserver", raw):
            yield fail("gitVersion", raw, f"without {name}", name, name, obj)
    for workload in world.workloads:
        for container in workload.containers:
            looked = True
            for component in _IMAGES:
                if f"/{container.image.repository}".endswith(f"/{component}"):
                    for name in flaws(component, container.image.tag):
                        yield fail(
                            f"{container.path}.image", container.image.raw, f"without {name}", name, name, workload.obj
                        )
    if not looked:
        yield not_applicable("no node, server version or workload in the input")


def _unprivileged_namespaces(node: Obj, world: World) -> bool:
    """Whether unprivileged user namespaces are on, as the flaw needs; taken to be on when no collector says."""
    for obj in world.of("LinuxKernelVariables"):
        if obj.name in ("", node.name):
            for item in mappings(obj.body.get("data")):
                if item.get("key") == "unprivileged_userns_clone":
                    return text(item.get("value")).strip() != "0"
    return True


__all__ = ["minor_of", "selects"]
