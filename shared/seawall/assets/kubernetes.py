"""Kubernetes objects as assets. An asset's relations are told by its object alone, so one changed object is one update."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from seawall.assets.ids import cluster_id, container_id, image_id, object_id, qualified, registry_id
from seawall.assets.reduce import reduced
from seawall.domain.assets import Asset, AssetState, Relation
from seawall.graph.scene import secret_names
from seawall.posture.objects import CLUSTER_SCOPED, Obj, mapping, mappings, sequence, text, texts
from seawall.posture.workloads import Workload, template_of

UNKEPT: Final = frozenset(
    {"Event", "Lease", "Endpoints", "EndpointSlice", "ControllerRevision", "List", "ComponentStatus"}
)
"""Kinds that change by themselves all the time and are nobody's decision."""
CORES: Final = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "k": 1e3}


def is_kubernetes(obj: Obj) -> bool:
    """Whether an object is one of an API server that the graph keeps."""
    return bool(obj.kind and obj.name and obj.api_version) and "metadata" in obj.body and obj.kind not in UNKEPT


def asset_id(cluster: str, obj: Obj) -> str:
    """Return the id of a collected object."""
    return object_id(cluster, qualified(obj.kind, obj.api_version), obj.in_namespace, obj.name)


def states_of(objects: Iterable[Obj], cluster: str) -> Iterator[AssetState]:
    """Yield the assets of a cluster's objects: each object, the containers of each pod, users and groups that are bound.

    A name that comes twice counts once, the last one.
    """
    identities: dict[str, AssetState] = {}
    for obj in objects:
        if not is_kubernetes(obj):
            continue
        yield from states_of_object(obj, cluster)
        if obj.kind in {"RoleBinding", "ClusterRoleBinding"}:
            for kind, _, name in _subjects(obj):
                if kind in {"User", "Group"}:
                    identifier = object_id(cluster, kind, "", name)
                    identities[identifier] = AssetState(cluster, Asset(identifier, kind, name, cluster_id(cluster)))
    yield from identities.values()


def states_of_object(obj: Obj, cluster: str) -> Iterator[AssetState]:
    """Yield one object's asset, and those of its containers when it is a pod."""
    identifier = asset_id(cluster, obj)
    kind, namespace = qualified(obj.kind, obj.api_version), obj.in_namespace
    parent = object_id(cluster, "Namespace", "", namespace) if namespace else cluster_id(cluster)
    relations = sorted({(kind, target) for kind, target in _targets(obj, cluster) if target != identifier})
    yield AssetState(
        cluster,
        Asset(identifier, kind, obj.name, parent, _properties(obj)),
        namespace,
        tuple(Relation(identifier, name, target) for name, target in relations),
        reduced(obj.body),
    )
    if obj.kind == "Pod":
        yield from _containers(obj, cluster, identifier)


def children_kinds(kind: str) -> tuple[str, ...]:
    """Return the kinds of assets that come with one of an object's kind."""
    if kind == "Pod":
        return ("Pod", "Container")
    return (kind, "User", "Group") if kind in {"RoleBinding", "ClusterRoleBinding"} else (kind,)


def vcpus(value: object) -> float | None:
    """Return a CPU quantity in cores: `2`, `1930m`; None when it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    digits = text(value).strip()
    number, unit = (digits[:-1], digits[-1]) if digits[-1:].isalpha() else (digits, "")
    try:
        return round(float(number) * CORES[unit], 9)
    except (KeyError, ValueError):
        return None


def _containers(obj: Obj, cluster: str, pod: str) -> Iterator[AssetState]:
    status = mapping(obj.body.get("status"))
    known = {
        text(item.get("name")): item
        for name in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
        for item in mappings(status.get(name))
    }
    for container in Workload(obj, obj.body, "").containers:
        if not container.name:
            continue
        item = known.get(container.name, {})
        reference, digest = text(container.body.get("image")), running_digest(text(item.get("imageID")))
        identifier = container_id(pod, container.name)
        relations = []
        if reference or digest:
            relations = [
                Relation(identifier, "from", registry_id(reference)),
                Relation(identifier, "runs", image_id(reference, digest)),
            ]
        properties = {
            "image": reference,
            "digest": digest,
            "container_id": text(item.get("containerID")).rpartition("://")[2],
            "running": bool(mapping(mapping(item.get("state")).get("running"))),
            "init": container.is_init,
        }
        yield AssetState(
            cluster,
            Asset(identifier, "Container", container.name, pod, properties),
            obj.in_namespace,
            tuple(sorted(relations, key=lambda relation: (relation.kind, relation.target))),
        )


def running_digest(image_id: str) -> str:
    """Return the digest in a container status's imageID: `repo@sha256:…`, `docker-pullable://repo@sha256:…`, or bare."""
    digest = image_id.rpartition("@")[2] if "@" in image_id else image_id.rpartition("://")[2]
    return digest if digest.startswith(("sha256:", "sha512:")) else ""


def _properties(obj: Obj) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if obj.kind == "Node":
        status = mapping(obj.body.get("status"))
        info, capacity = mapping(status.get("nodeInfo")), mapping(status.get("capacity"))
        found = {
            "vcpu": vcpus(capacity.get("cpu")),
            "memory": text(capacity.get("memory")),
            "os": text(info.get("osImage")),
            "kernel": text(info.get("kernelVersion")),
            "kubelet": text(info.get("kubeletVersion")),
            "runtime": text(info.get("containerRuntimeVersion")),
            "provider_id": text(obj.spec.get("providerID")),
        }
    elif obj.kind in {"Secret", "Service"}:
        found = {"type": text(obj.spec.get("type")) or text(obj.body.get("type"))}
        if obj.kind == "Service":
            addresses = mappings(mapping(mapping(obj.body.get("status")).get("loadBalancer")).get("ingress"))
            found["addresses"] = sorted(text(item.get("ip")) or text(item.get("hostname")) for item in addresses)
    elif obj.kind == "Pod":
        found = {"node": text(obj.spec.get("nodeName")), "phase": text(mapping(obj.body.get("status")).get("phase"))}
    elif template_of(obj) is not None:
        found = {"replicas": obj.spec.get("replicas")}
    labels = {key: value for key, value in obj.labels.items() if isinstance(value, str)}
    if labels:
        found["labels"] = labels
    return {key: value for key, value in found.items() if value not in (None, "", [])}


def _subjects(obj: Obj) -> Iterator[tuple[str, str, str]]:
    for item in mappings(obj.body.get("subjects")):
        kind, namespace, name = text(item.get("kind")), text(item.get("namespace")), text(item.get("name"))
        if kind and name:
            yield kind, namespace, name


def _targets(obj: Obj, cluster: str) -> Iterator[tuple[str, str]]:
    """Yield (kind of relation, id) of everything that the object itself names."""
    namespace = obj.in_namespace

    def here(kind: str, name: str, place: str = namespace) -> str:
        return object_id(cluster, kind, "" if kind in CLUSTER_SCOPED else place, name)

    for item in mappings(obj.meta.get("ownerReferences")):
        if text(item.get("kind")) and text(item.get("name")):
            yield "owned-by", here(qualified(text(item["kind"]), text(item.get("apiVersion"))), text(item["name"]))
    if (found := template_of(obj)) is not None:
        yield from _of_pods(Workload(obj, *found), here)
    if obj.kind == "ServiceAccount":
        yield from (
            ("uses-secret", here("Secret", text(item.get("name"))))
            for name in ("secrets", "imagePullSecrets")
            for item in mappings(obj.body.get(name))
            if text(item.get("name"))
        )
        yield from _cloud_identity(obj)
    elif obj.kind in {"RoleBinding", "ClusterRoleBinding"}:
        role = mapping(obj.body.get("roleRef"))
        if text(role.get("kind")) and text(role.get("name")):
            yield "grants", here(text(role["kind"]), text(role["name"]))
        for kind, place, name in _subjects(obj):
            yield (
                "to",
                here(kind, name, place or namespace)
                if kind == "ServiceAccount"
                else object_id(cluster, kind, "", name),
            )
    elif obj.kind == "Ingress":
        yield from _ingress(obj, here)
    elif obj.kind.endswith("Route") and "gateway.networking.k8s.io" in obj.api_version:
        yield from _route(obj, here)
    elif obj.kind == "Gateway" and text(obj.spec.get("gatewayClassName")):
        yield "of-class", here("GatewayClass", text(obj.spec["gatewayClassName"]))
    elif obj.kind == "PersistentVolumeClaim" and text(obj.spec.get("volumeName")):
        yield "bound-to", here("PersistentVolume", text(obj.spec["volumeName"]))
    elif obj.kind == "Service" and text(obj.spec.get("type")) == "LoadBalancer":
        for item in mappings(mapping(mapping(obj.body.get("status")).get("loadBalancer")).get("ingress")):
            if address := text(item.get("ip")) or text(item.get("hostname")):
                yield "exposed-at", f"address:{address}"


def _of_pods(workload: Workload, here: Any) -> Iterator[tuple[str, str]]:
    yield "runs-as", here("ServiceAccount", workload.service_account)
    if workload.kind == "Pod" and (node := text(workload.spec.get("nodeName"))):
        yield "runs-on", here("Node", node)
    for name in secret_names(workload):
        yield "uses-secret", here("Secret", name)
    for item in mappings(workload.spec.get("imagePullSecrets")):
        if text(item.get("name")):
            yield "uses-secret", here("Secret", text(item["name"]))
    for _, volume in workload.volumes:
        claim = text(mapping(volume.get("persistentVolumeClaim")).get("claimName"))
        if claim:
            yield "mounts", here("PersistentVolumeClaim", claim)
        if name := text(mapping(volume.get("configMap")).get("name")):
            yield "mounts", here("ConfigMap", name)
    if workload.kind != "Pod":
        for container in workload.containers:
            if reference := text(container.body.get("image")):
                yield "runs", image_id(reference)


def _ingress(obj: Obj, here: Any) -> Iterator[tuple[str, str]]:
    def backend(value: object) -> str:
        found = mapping(value)
        return text(mapping(found.get("service")).get("name")) or text(found.get("serviceName"))

    names = {backend(obj.spec.get("defaultBackend")), backend(obj.spec.get("backend"))}
    for rule in mappings(obj.spec.get("rules")):
        names |= {backend(path.get("backend")) for path in mappings(mapping(rule.get("http")).get("paths"))}
    yield from (("routes-to", here("Service", name)) for name in names if name)
    for item in mappings(obj.spec.get("tls")):
        if text(item.get("secretName")):
            yield "uses-secret", here("Secret", text(item["secretName"]))
    if text(obj.spec.get("ingressClassName")):
        yield "of-class", here("IngressClass", text(obj.spec["ingressClassName"]))


def _route(obj: Obj, here: Any) -> Iterator[tuple[str, str]]:
    place = obj.in_namespace
    for item in mappings(obj.spec.get("parentRefs")):
        if text(item.get("name")):
            yield (
                "attached-to",
                here(text(item.get("kind")) or "Gateway", text(item["name"]), text(item.get("namespace")) or place),
            )
    for rule in mappings(obj.spec.get("rules")):
        for item in sequence(rule.get("backendRefs")):
            found = mapping(item)
            if text(found.get("name")) and text(found.get("kind")) in {"", "Service"}:
                yield "routes-to", here("Service", text(found["name"]), text(found.get("namespace")) or place)


def _cloud_identity(obj: Obj) -> Iterator[tuple[str, str]]:
    """Cloud identities that a service account may become, by the annotations of the three providers."""
    notes = obj.annotations
    if role := text(notes.get("eks.amazonaws.com/role-arn")):
        yield "assumes", role
    if client := text(notes.get("azure.workload.identity/client-id")):
        yield "assumes", f"azure-client:{client.lower()}"
    if account := text(notes.get("iam.gke.io/gcp-service-account")):
        yield "assumes", f"//iam.googleapis.com/serviceAccounts/{account}"


def selectors(obj: Obj) -> list[dict[str, Any]]:
    """Return the pod selectors of a service, network policy or disruption budget: relations that need both sides."""
    spec = obj.spec
    if obj.kind == "Service":
        plain = mapping(spec.get("selector"))
        return [{"matchLabels": plain}] if plain else []
    if obj.kind == "NetworkPolicy" and isinstance(spec.get("podSelector"), dict):
        return [spec["podSelector"]]
    if obj.kind == "PodDisruptionBudget" and isinstance(spec.get("selector"), dict):
        return [spec["selector"]]
    return []


def policy_types(obj: Obj) -> list[str]:
    """Return what a network policy restricts."""
    return texts(obj.spec.get("policyTypes")) or ["Ingress"]
