"""Where workloads run and what they offer: namespaces, ports, runtimes, interfaces, API versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from seawall.domain.posture import Status
from seawall.posture.check import Cluster, Finding, check, fail, in_container, manual, not_applicable, unknown
from seawall.posture.objects import Obj, mapping, mappings, number, text, texts
from seawall.posture.parts import Part
from seawall.posture.workloads import Workload
from seawall.posture.world import SYSTEM_NAMESPACES, World

IN_DEFAULT: Final = (
    "Service", "ConfigMap", "Secret", "Ingress", "ServiceAccount", "Role", "RoleBinding", "PersistentVolumeClaim",
    "Endpoints", "EndpointSlice", "Lease", "NetworkPolicy", "HorizontalPodAutoscaler", "ResourceQuota", "LimitRange",
    "PodDisruptionBudget", "ControllerRevision", "CSIStorageCapacity",
)  # fmt: skip
_OWN: Final = frozenset(
    {
        ("Service", "kubernetes"),
        ("Endpoints", "kubernetes"),
        ("EndpointSlice", "kubernetes"),
        ("ServiceAccount", "default"),
        ("ConfigMap", "kube-root-ca.crt"),
    }
)
HARDENED: Final = ("gvisor", "runsc", "kata", "firecracker", "sysbox", "confidential", "quark", "edera", "nabla")
INTERFACES: Final = {
    "kubernetes-dashboard": ("kubernetes-dashboard", "kubernetesui/dashboard"),
    "argo": ("argocd-server", "argo-server", "argocli", "argoproj/argocd", "argo-ui"),
    "jenkins": ("jenkins",),
    "nifi": ("nifi",),
    "kubeflow": ("kubeflow", "ml-pipeline-ui", "centraldashboard"),
    "prometheus": ("prometheus",),
    "ray": ("ray-head", "rayproject/ray"),
    "mlflow": ("mlflow",),
    "weave-scope": ("weave-scope", "weaveworks/scope"),
    "grafana": ("grafana",),
    "airflow": ("airflow-webserver",),
    "octant": ("octant",),
    "jupyter": ("jupyterhub", "jupyter/"),
}
"""Consoles that give what they manage to whoever reaches them, and how names and images tell them."""

REMOVED: Final[dict[tuple[str, str], tuple[int, str]]] = {
    **{("extensions/v1beta1", kind): (16, "apps/v1") for kind in ("Deployment", "DaemonSet", "ReplicaSet", "StatefulSet")},
    **{(version, kind): (16, "apps/v1") for version in ("apps/v1beta1", "apps/v1beta2") for kind in ("Deployment", "DaemonSet", "ReplicaSet", "StatefulSet", "ControllerRevision")},
    ("extensions/v1beta1", "NetworkPolicy"): (16, "networking.k8s.io/v1"),
    ("extensions/v1beta1", "PodSecurityPolicy"): (16, "Pod Security admission"),
    ("extensions/v1beta1", "Ingress"): (22, "networking.k8s.io/v1"),
    ("networking.k8s.io/v1beta1", "Ingress"): (22, "networking.k8s.io/v1"),
    ("networking.k8s.io/v1beta1", "IngressClass"): (22, "networking.k8s.io/v1"),
    **{("rbac.authorization.k8s.io/v1beta1", kind): (22, "rbac.authorization.k8s.io/v1") for kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")},
    **{("rbac.authorization.k8s.io/v1alpha1", kind): (22, "rbac.authorization.k8s.io/v1") for kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")},
    **{("admissionregistration.k8s.io/v1beta1", kind): (22, "admissionregistration.k8s.io/v1") for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")},
    ("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition"): (22, "apiextensions.k8s.io/v1"),
    ("apiregistration.k8s.io/v1beta1", "APIService"): (22, "apiregistration.k8s.io/v1"),
    **{("authentication.k8s.io/v1beta1", kind): (22, "authentication.k8s.io/v1") for kind in ("TokenReview",)},
    **{("authorization.k8s.io/v1beta1", kind): (22, "authorization.k8s.io/v1") for kind in ("LocalSubjectAccessReview", "SelfSubjectAccessReview", "SubjectAccessReview", "SelfSubjectRulesReview")},
    ("certificates.k8s.io/v1beta1", "CertificateSigningRequest"): (22, "certificates.k8s.io/v1"),
    ("coordination.k8s.io/v1beta1", "Lease"): (22, "coordination.k8s.io/v1"),
    ("scheduling.k8s.io/v1beta1", "PriorityClass"): (22, "scheduling.k8s.io/v1"),
    **{("storage.k8s.io/v1beta1", kind): (22, "storage.k8s.io/v1") for kind in ("CSIDriver", "CSINode", "StorageClass", "VolumeAttachment")},
    ("batch/v1beta1", "CronJob"): (25, "batch/v1"),
    ("discovery.k8s.io/v1beta1", "EndpointSlice"): (25, "discovery.k8s.io/v1"),
    ("events.k8s.io/v1beta1", "Event"): (25, "events.k8s.io/v1"),
    ("autoscaling/v2beta1", "HorizontalPodAutoscaler"): (25, "autoscaling/v2"),
    ("autoscaling/v2beta2", "HorizontalPodAutoscaler"): (26, "autoscaling/v2"),
    ("policy/v1beta1", "PodDisruptionBudget"): (25, "policy/v1"),
    ("policy/v1beta1", "PodSecurityPolicy"): (25, "Pod Security admission"),
    ("node.k8s.io/v1beta1", "RuntimeClass"): (25, "node.k8s.io/v1"),
    ("storage.k8s.io/v1beta1", "CSIStorageCapacity"): (27, "storage.k8s.io/v1"),
    **{(f"flowcontrol.apiserver.k8s.io/{version}", kind): (minor, "flowcontrol.apiserver.k8s.io/v1") for version, minor in (("v1beta1", 26), ("v1beta2", 29), ("v1beta3", 32)) for kind in ("FlowSchema", "PriorityLevelConfiguration")},
}  # fmt: skip
"""API version and kind: the minor release that stopped serving it, and what replaces it. Source: Kubernetes deprecation guide."""

_SUDO: Final = re.compile(r"(?:^|[\s;&|(/])sudo(?:\s|$)")


@check("WL-052", on=(Workload, *IN_DEFAULT))
def default_namespace(subject: Workload | Obj, _: World) -> Iterator[Finding]:
    """Namespace of workloads and what belongs to them; none means `default`."""
    obj = subject.obj if isinstance(subject, Workload) else subject
    if obj.kind in {"Sandbox", "SandboxTemplate"} or obj.in_namespace != "default" or (obj.kind, obj.name) in _OWN:
        return
    yield fail("metadata.namespace", obj.namespace or None, "a namespace of its own")


_SHIPPED: Final = frozenset(
    [
        "coredns",
        "kube-dns",
        "kube-proxy",
        "kube-apiserver",
        "kube-scheduler",
        "kube-controller-manager",
        "etcd",
        "kindnet",
        "metrics-server",
        "konnectivity-agent",
        "aws-node",
        "calico-node",
        "calico-kube-controllers",
        "cilium",
        "cilium-operator",
        "kube-flannel-ds",
        "azure-ip-masq-agent",
        "csi-azuredisk-node",
        "csi-azurefile-node",
        "cloud-node-manager",
        "ebs-csi-node",
        "ebs-csi-controller",
        "efs-csi-node",
        "fluentbit-gke",
        "gke-metadata-server",
        "gke-metrics-agent",
        "konnectivity-agent-autoscaler",
        "kube-dns-autoscaler",
        "coredns-autoscaler",
        "l7-default-backend",
        "pdcsi-node",
        "event-exporter-gke",
        "snapshot-controller",
        "weave-net",
        "local-path-provisioner",
        "storage-provisioner",
        "tiller-deploy",
        "kube-state-metrics",
        "node-local-dns",
        "ama-logs",
        "ama-logs-rs",
        "azure-policy",
        "azure-policy-webhook",
        "microsoft-defender-collector-ds",
        "microsoft-defender-collector-misc",
        "microsoft-defender-publisher-ds",
        "vpc-resource-controller",
        "eks-pod-identity-agent",
        "antrea-agent",
        "antrea-controller",
    ]
)
_MARKS: Final = (
    "tier",
    "component",
    "k8s-app",
    "addonmanager.kubernetes.io/mode",
    "kubernetes.azure.com/managedby",
    "eks.amazonaws.com/component",
    "kubernetes.io/cluster-service",
    "components.gke.io/component-name",
)


@check("WL-053", on=Workload)
def system_namespace(workload: Workload, _: World) -> Iterator[Finding]:
    """kube-system, kube-public and kube-node-lease hold what the platform ships."""
    if workload.namespace not in {"kube-system", "kube-public", "kube-node-lease"}:
        return
    labels = {**workload.labels, **workload.obj.labels}
    if workload.is_static or workload.obj.name in _SHIPPED or any(mark in labels for mark in _MARKS):
        return
    yield fail("metadata.namespace", workload.namespace, "a namespace of its own")


@check("WL-057", on=Workload, reads=(Part.PROGRAM,))
def low_ports(workload: Workload, _: World) -> Iterator[Finding]:
    """`containerPort` below 1024."""
    for container in workload.containers:
        for index, item in enumerate(mappings(container.body.get("ports"))):
            port = number(item.get("containerPort"))
            if port is not None and 0 < port < 1024:
                yield in_container(container, f"ports[{index}].containerPort", port, "1024 or above")


@check("WL-058", on=(Workload, "Service"), reads=(Part.PROGRAM,))
def ssh_port(subject: Workload | Obj, _: World) -> Iterator[Finding]:
    """Container and service ports 22 and 2222."""
    if isinstance(subject, Obj):
        for index, item in enumerate(mappings(subject.spec.get("ports"))):
            for name in ("targetPort", "port"):
                if number(item.get(name)) in {22, 2222}:
                    yield fail(f"spec.ports[{index}].{name}", item.get(name), "no SSH")
                    break
        return
    for container in subject.containers:
        for index, item in enumerate(mappings(container.body.get("ports"))):
            if number(item.get("containerPort")) in {22, 2222}:
                yield in_container(container, f"ports[{index}].containerPort", item.get("containerPort"), "no SSH")


@check("WL-059", on=Workload, reads=(Part.PROGRAM,))
def sudo(workload: Workload, _: World) -> Iterator[Finding]:
    """`command` and `args` that call sudo."""
    for container in workload.containers:
        for name in ("command", "args"):
            for index, item in enumerate(texts(container.body.get(name))):
                if _SUDO.search(item):
                    yield in_container(container, f"{name}[{index}]", item[:200], "without sudo")


@check(
    "WL-061", on=Workload, runtimes=HARDENED, untrusted_labels=("untrusted", "sandbox", "security.seawall.io/untrusted")
)
def hardened_runtime(workload: Workload, world: World) -> Iterator[Finding]:
    """`runtimeClassName` of sandbox resources and of workloads that a label calls untrusted."""
    labels = {**workload.obj.labels, **workload.labels}
    marks = world.parameter("WL-061", "untrusted_labels", ("untrusted", "sandbox", "security.seawall.io/untrusted"))
    if not workload.kind.startswith("Sandbox") and not any(
        text(labels.get(mark)).lower() in {"true", "yes"} for mark in marks
    ):
        yield not_applicable("not marked as untrusted")
        return
    name = text(workload.spec.get("runtimeClassName"))
    if not is_hardened(name, world):
        yield fail(
            workload.at("runtimeClassName"),
            name or None,
            {"one of": list(world.parameter("WL-061", "runtimes", HARDENED))},
        )


def is_hardened(name: str, world: World) -> bool:
    """Whether a runtime class, or the handler behind it, is a sandbox."""
    known = world.parameter("WL-061", "runtimes", HARDENED)
    found = world.find("RuntimeClass", "", name)
    handler = text(found.body.get("handler")) if found is not None else ""
    return bool(name) and any(word in candidate.lower() for candidate in (name, handler) for word in known)


@check("WL-064", on=Cluster)
def metadata_reachable(_: Cluster, world: World) -> Iterator[Finding]:
    """A probe's answer, or the metadata settings of EKS launch templates and GKE node pools."""
    probed = [obj for obj in world.objects if obj.kind.lower() == "cloudproviderinfo"]
    for obj in probed:
        if mapping(obj.body.get("data")).get("providerMetaDataAPIAccess") is True:
            yield fail(
                "data.providerMetaDataAPIAccess", True, False, "the metadata service answered from a pod", target=obj
            )
    if probed:
        return
    templates = world.of("AWS::EC2::LaunchTemplate")
    for obj in templates:
        if (finding := metadata_of_template(obj)) is not None:
            yield finding._replace(target=obj)
    if templates:
        return
    if world.is_cluster and world.provider in {"aks", "eks"}:
        yield unknown("no probe ran in the cluster and no launch template was collected")
    else:
        yield not_applicable("no cloud node in the input, or judged by the cloud's own controls")


def metadata_of_template(obj: Obj) -> Finding | None:
    """Judge the metadata options of an EC2 launch template version."""
    data = mapping(obj.body.get("LaunchTemplateData") or obj.body.get("launchTemplateData") or obj.body)
    options = mapping(data.get("MetadataOptions") or data.get("metadataOptions"))
    tokens = text(options.get("HttpTokens") or options.get("httpTokens"))
    hops = number(options.get("HttpPutResponseHopLimit") or options.get("httpPutResponseHopLimit"))
    if text(options.get("HttpEndpoint") or options.get("httpEndpoint")) == "disabled":
        return None
    if tokens != "required":
        return fail("LaunchTemplateData.MetadataOptions.HttpTokens", tokens or None, "required")
    if hops is not None and hops > 1:
        return fail("LaunchTemplateData.MetadataOptions.HttpPutResponseHopLimit", hops, 1)
    return None


_INTERFACE_MARKS: Final = tuple((mark, name) for name, marks in INTERFACES.items() for mark in marks)


def interface_of(workload: Workload) -> str:
    """Return which management interface a workload is, by its name, labels and images; empty = none."""
    labels = workload.labels
    told = [workload.obj.name, *(text(labels.get(key)) for key in ("app", "k8s-app", "app.kubernetes.io/name"))]
    told += [container.image.repository for container in workload.containers]
    whole = " ".join(told).lower()
    for mark, name in _INTERFACE_MARKS:
        if mark in whole:
            return name
    return ""


@check("WL-065", on=Workload)
def management_interface(workload: Workload, world: World) -> Iterator[Finding]:
    """Known consoles, by name and image, that a service or ingress publishes; the Kubernetes dashboard in any case."""
    interface = interface_of(workload)
    if not interface:
        return
    from seawall.posture.checks.exposure import exposed_by

    ways = exposed_by(workload, world)
    if ways:
        yield fail("", interface, "inside the cluster only", f"published by {ways[0].kind} {ways[0].name}", interface)
    elif interface == "kubernetes-dashboard":
        yield fail("", interface, "not deployed", "the dashboard is deployed", interface)


@check("WL-066", on=(Workload, "Service"))
def tiller(subject: Workload | Obj, _: World) -> Iterator[Finding]:
    """Images, labels and services of Helm 2's server."""
    if isinstance(subject, Obj):
        selector = mapping(subject.spec.get("selector"))
        if (
            subject.name == "tiller-deploy"
            or selector.get("name") == "tiller"
            or selector.get("app") == "helm"
            or subject.labels.get("name") == "tiller"
        ):
            yield fail("metadata.name", subject.name, "not deployed")
        return
    for container in subject.containers:
        if "tiller" in container.image.repository:
            yield in_container(container, "image", container.image.raw, "not deployed")
            return
    if subject.labels.get("name") == "tiller" and subject.labels.get("app") == "helm":
        yield fail("metadata.labels", subject.labels, "not deployed")


def _serving(obj: Obj) -> tuple[int, str] | None:
    return REMOVED.get((obj.api_version, obj.kind))


DEPRECATED_BEFORE: Final = 3
"""Minor versions between the deprecation of a beta API and its end. Source: Kubernetes deprecation policy."""


@check("WL-067", by=None, on=tuple(sorted({kind for _, kind in REMOVED})))
def served_api(obj: Obj, world: World) -> Iterator[Finding]:
    """Pairs of apiVersion and kind that are, or soon will be, no longer served."""
    found = _serving(obj)
    if found is not None:
        minor, instead = found
        by = world.parameter("WL-067", "by", None)
        if (by is not None and minor > by) or (world.minor is not None and world.minor < minor - DEPRECATED_BEFORE):
            return
        at = "gone" if world.minor is None or world.minor >= minor else "deprecated"
        yield fail("apiVersion", obj.api_version, instead, f"{at}: not served from 1.{minor}")


@check("WL-080", on=("Sandbox", "SandboxTemplate"), allowed=(), cpu_most="", memory_most="")
def sandbox_complete(obj: Obj, world: World) -> Iterator[Finding]:
    """Runtime class, limits, egress policy and images of agent sandboxes."""
    from seawall.posture.checks.images import comes_from

    workload = next((item for item in world.workloads if item.obj is obj), None)
    template = mapping(obj.spec.get("podTemplate"))
    if workload is not None and template:
        if not is_hardened(text(workload.spec.get("runtimeClassName")), world):
            yield fail(workload.at("runtimeClassName"), workload.spec.get("runtimeClassName"), "a sandbox runtime")
        for container in workload.containers:
            limits = mapping(mapping(container.body.get("resources")).get("limits"))
            for resource in ("cpu", "memory"):
                most = quantity(world.parameter("WL-080", f"{resource}_most", ""))
                amount = quantity(limits.get(resource))
                if limits.get(resource) is None:
                    yield in_container(container, f"resources.limits.{resource}", None, "set")
                elif most is not None and amount is not None and amount > most:
                    yield in_container(
                        container,
                        f"resources.limits.{resource}",
                        limits.get(resource),
                        f"at most {world.parameter('WL-080', f'{resource}_most', '')}",
                    )
            allowed = world.parameter("WL-080", "allowed", ()) or world.parameter("WL-045", "allowed", ())
            if allowed and not any(comes_from(container.image, entry) for entry in allowed):
                yield in_container(container, "image", container.image.raw, {"one of": list(allowed)})
            if not container.image.digest and container.image.tag.lower() in FLOATING:
                yield in_container(container, "image", container.image.raw, "a version or a digest", "the tag can move")
    if obj.kind == "SandboxTemplate":
        yield from _sandbox_egress(obj)


FLOATING: Final = frozenset(
    {
        "",
        "latest",
        "dev",
        "develop",
        "nightly",
        "main",
        "master",
        "edge",
        "canary",
        "stable",
        "snapshot",
        "head",
        "rolling",
        "staging",
        "prod",
        "production",
        "test",
        "beta",
        "alpha",
        "current",
        "testing",
        "unstable",
        "mainline",
    }
)
"""Tags that name a moving target."""


def _sandbox_egress(obj: Obj) -> Iterator[Finding]:
    management, policy = obj.spec.get("networkPolicyManagement"), obj.spec.get("networkPolicy")
    if management not in (None, "", "Managed"):
        yield fail("spec.networkPolicyManagement", management, "Managed")
        return
    if policy is None:
        yield fail("spec.networkPolicy", None, "an egress policy", "the default allows the public internet")
        return
    if not isinstance(policy, dict) or not isinstance(policy.get("egress"), list | None):
        yield fail("spec.networkPolicy", policy, "an egress policy", "malformed")
        return
    for index, rule in enumerate(policy.get("egress") or []):
        peers = mapping(rule).get("to")
        if not isinstance(peers, list) or not peers or any(opens_all(peer) for peer in peers):
            yield fail(f"spec.networkPolicy.egress[{index}].to", peers, "named destinations")


def opens_all(peer: Any) -> bool:
    """Whether a network policy peer stands for every address."""
    if not isinstance(peer, dict) or not peer:
        return True
    block = mapping(peer.get("ipBlock"))
    return text(block.get("cidr")).strip() in {"0.0.0.0/0", "::/0"} and not block.get("except")


_UNITS: Final = {
    "m": 0.001,
    "": 1,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
    "Ei": 2**60,
}


def quantity(value: object) -> float | None:
    """Return a Kubernetes quantity (`500m`, `1Gi`, 2) as a number; None when it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    match = re.fullmatch(r"([+-]?[0-9.]+(?:[eE][+-]?\d+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?", text(value).strip())
    if not match:
        return None
    try:
        return float(match[1]) * _UNITS[match[2] or ""]
    except ValueError:
        return None


__all__ = ["SYSTEM_NAMESPACES", "Status", "manual"]
