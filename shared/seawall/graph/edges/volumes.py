"""Volumes, what lies in them, and secrets."""

from __future__ import annotations

from collections.abc import Iterator

from seawall.graph.model import Step, Vertex, VertexKind, attack_edge
from seawall.graph.scene import ALL_NODES, ALL_SECRETS, Scene, account, because, covers, group, owner, volume_secrets
from seawall.posture.objects import mapping, mappings, text

K = VertexKind


def tokens_on(node: Vertex) -> Vertex:
    """Return the group of the token volumes that lie on a node's disk."""
    return group(f"token volumes on {node.name}")


@attack_edge(
    id="VOLUME_DISCOVER", title="Find what the container mounts", source=K.CONTAINER, target=K.VOLUME, technique="T1613", likelihood=1.0,
    precondition="the container mounts the volume", remedy="Mount only what the container needs.",
)  # fmt: skip
def volume_discover(scene: Scene) -> Iterator[Step]:
    for unit in scene.units:
        interesting = {
            text(volume.get("name"))
            for _, volume in unit.workload.volumes
            if {"hostPath", "secret", "projected"} & set(volume)
        }
        for vertex, container in unit.containers:
            for mount in mappings(container.body.get("volumeMounts")):
                if (name := text(mount.get("name"))) in interesting:
                    yield Step(vertex, unit.volume(name), f"{owner(unit)}, volume {name}")
            if unit.token:
                yield Step(vertex, unit.token_volume, f"{owner(unit)}: token of {unit.workload.service_account}")


@attack_edge(
    id="VOLUME_ACCESS", title="Read the volumes of the node's pods", source=K.NODE, target=(K.VOLUME, K.GROUP), technique="T1613", likelihood=1.0,
    precondition="always: host and projected volumes lie on the node's disk", remedy="Close the way to the node.",
)  # fmt: skip
def volume_access(scene: Scene) -> Iterator[Step]:
    for unit in scene.units:
        for node in unit.nodes:
            if node is not ALL_NODES:
                if unit.token:
                    hub = tokens_on(node)
                    yield Step(node, hub, "the node's disk")
                    yield Step(hub, unit.token_volume, owner(unit))
                for _, volume in unit.workload.volumes:
                    if {"secret", "hostPath"} & set(volume):
                        yield Step(node, unit.volume(text(volume.get("name"))), owner(unit))


@attack_edge(
    id="EXPLOIT_HOST_TRAVERSE", title="Read other pods' tokens through the kubelet's folder", source=K.VOLUME, target=(K.VOLUME, K.GROUP), technique="T1552", likelihood=0.8,
    precondition="a hostPath at, above or below /var/lib/kubelet/pods", remedy="Remove the hostPath volume.",
    controls=("WL-015", "WL-017", "WL-063"),
)  # fmt: skip
def host_traverse(scene: Scene) -> Iterator[Step]:
    for unit in scene.units:
        for _, container in unit.containers:
            for mount in scene.host_mounts(unit, container):
                if covers(mount.path, "/var/lib/kubelet/pods") or covers("/var/lib/kubelet/pods", mount.path):
                    nodes = scene.schedulable if unit.nodes == (ALL_NODES,) else unit.nodes
                    cause = f"{owner(unit)}, volume {mount.volume}: hostPath {mount.path}"
                    for node in nodes:
                        yield Step(unit.volume(mount.volume), tokens_on(node), cause)


@attack_edge(
    id="TOKEN_STEAL", title="Take the token from a volume", source=K.VOLUME, target=K.IDENTITY, technique="T1552", likelihood=1.0,
    precondition="the volume holds a projected service account token", remedy="Set `automountServiceAccountToken: false`.",
    controls=("WL-031",),
)  # fmt: skip
def token_steal(scene: Scene) -> Iterator[Step]:
    for unit in scene.units:
        if unit.token:
            yield Step(unit.token_volume, unit.account, f"{owner(unit)}: token of {unit.workload.service_account}")
        for _, volume in unit.workload.volumes:
            for source in mappings(mapping(volume.get("projected")).get("sources")):
                if "serviceAccountToken" in source:
                    yield Step(unit.volume(text(volume.get("name"))), unit.account, f"{owner(unit)}, projected token")


def secrets_within(scope: str) -> Vertex:
    """Return the group of a namespace's secrets, of all secrets for the empty scope."""
    return group("secrets", scope) if scope else ALL_SECRETS


@attack_edge(
    id="SECRET_READ", title="Read a secret", source=(K.PERMISSIONS, K.VOLUME, K.CONTAINER), target=(K.SECRET, K.GROUP), technique="T1552.007", likelihood=0.95,
    precondition="get, list or watch on secrets, or the secret is mounted or in the environment",
    remedy="Take secrets from the role or name the one that is needed.",
    controls=("RB-002", "WL-050"),
)  # fmt: skip
def secret_read(scene: Scene) -> Iterator[Step]:
    for binding, vertex, names in scene.grants(("get", "list", "watch"), ("",), "secrets"):
        if not names:
            yield Step(vertex, secrets_within(binding.scope), because(binding))
        for name in names:
            if binding.scope:
                yield Step(vertex, Vertex(K.SECRET, binding.scope, name), because(binding))
            else:
                for namespace, held in scene.secrets.items():
                    if name in held:
                        yield Step(vertex, Vertex(K.SECRET, namespace, name), because(binding))
    for unit in scene.units:
        for _, volume in unit.workload.volumes:
            for name in volume_secrets(volume):
                source = unit.volume(text(volume.get("name")))
                yield Step(source, Vertex(K.SECRET, unit.namespace, name), owner(unit))
        for vertex, container in unit.containers:
            names_here = [
                *(
                    mapping(mapping(i.get("valueFrom")).get("secretKeyRef"))
                    for i in mappings(container.body.get("env"))
                ),
                *(mapping(i.get("secretRef")) for i in mappings(container.body.get("envFrom"))),
            ]
            for reference in names_here:
                if name := text(reference.get("name")):
                    yield Step(vertex, Vertex(K.SECRET, unit.namespace, name), f"{owner(unit)}: environment")


@attack_edge(
    id="SECRET_GIVES", title="Use the credential in a secret", source=K.SECRET, target=(K.IDENTITY, K.CLOUD_IDENTITY, K.CLUSTER_ADMIN), technique="T1552", likelihood=0.9,
    precondition="the secret's type or keys say that it holds a token, kubeconfig, cloud key or registry credential",
    remedy="Use short-lived tokens and workload identity instead of the secret.",
    controls=("RB-028",),
)  # fmt: skip
def secret_gives(scene: Scene) -> Iterator[Step]:
    for namespace, held in scene.secrets.items():
        for name, obj in held.items():
            if obj is None:
                continue
            vertex, cause = Vertex(K.SECRET, namespace, name), f"Secret {namespace}/{name}"
            kind = text(obj.body.get("type"))
            keys = {str(k).lower() for k in {**mapping(obj.body.get("data")), **mapping(obj.body.get("stringData"))}}
            if kind == "kubernetes.io/service-account-token":
                holder = text(obj.annotations.get("kubernetes.io/service-account.name"))
                if holder:
                    yield Step(vertex, account(namespace, holder), cause)
            elif keys & {"kubeconfig", "kubeconfig.yaml", "kubeconfig.yml"}:
                yield Step(vertex, Vertex(K.IDENTITY, "", f"User:kubeconfig in {namespace}/{name}"), cause)
            elif any(_is_cloud_key(key) for key in keys):
                yield Step(vertex, Vertex(K.CLOUD_IDENTITY, "", f"key in secret {namespace}/{name}"), cause)
            elif kind in {"kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"}:
                yield Step(vertex, Vertex(K.CLOUD_IDENTITY, "", f"registry login in secret {namespace}/{name}"), cause)


def _is_cloud_key(key: str) -> bool:
    flat = key.replace("-", "_").replace(".", "_")
    return any(
        mark in flat
        for mark in ("aws_secret_access_key", "aws_access_key", "azure_client_secret", "client_secret", "service_account_json", "gcp_key", "credentials_json")
    )  # fmt: skip
