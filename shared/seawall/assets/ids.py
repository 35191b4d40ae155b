"""Ids of assets: readable, the same on every host, made from what the thing is called where it lives.

| what | id |
|--|--|
| Kubernetes object | `k8s://<cluster>/<namespace or ->/<kind>/<name>` |
| container of a pod | its pod's id, `/containers/<name>` |
| user, group | `k8s://<cluster>/-/User/<name>` |
| image | `image:<digest>` where it is known, else `image:<registry>/<repository>:<tag>` |
| registry | `registry:<host>` |
| cloud resource | the provider's own: ARM id in lower case, ARN, Google full resource name |
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from seawall.posture.workloads import Image

BUILT_IN_GROUPS = frozenset(
    {
        "", "apps", "batch", "autoscaling", "policy", "rbac.authorization.k8s.io", "networking.k8s.io", "storage.k8s.io",
        "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "certificates.k8s.io",
        "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io", "node.k8s.io",
        "scheduling.k8s.io", "extensions", "gateway.networking.k8s.io",
    }
)  # fmt: skip


def object_id(cluster: str, kind: str, namespace: str, name: str) -> str:
    """Return the id of a Kubernetes object; `kind` as `qualified` gives it."""
    return f"k8s://{_part(cluster)}/{_part(namespace) or '-'}/{kind}/{_part(name)}"


def cluster_id(cluster: str) -> str:
    """Return the id of a cluster as its own API server knows it."""
    return f"k8s://{_part(cluster)}"


def container_id(pod: str, name: str) -> str:
    """Return the id of a container of the pod with this id."""
    return f"{pod}/containers/{_part(name)}"


def qualified(kind: str, api_version: str) -> str:
    """Return a kind, with its group where it is not one of Kubernetes' own: `Service.serving.knative.dev`."""
    group = api_version.rpartition("/")[0]
    return kind if group in BUILT_IN_GROUPS else f"{kind}.{group}"


def image_id(reference: str, digest: str = "") -> str:
    """Return the id of an image: by digest where it is known."""
    image = Image.parse(reference)
    known = digest or image.digest
    if known:
        return f"image:{known}"
    return f"image:{image.registry}/{image.repository}:{image.tag or 'latest'}"


def registry_id(reference: str) -> str:
    """Return the id of the registry that an image comes from."""
    return f"registry:{Image.parse(reference).registry}"


def described(identifier: str) -> tuple[str, str]:
    """Return kind and name of an asset by its id alone, for those that others point at and nobody reported."""
    head, _, rest = identifier.partition(":")
    if head == "image":
        return "Image", rest
    if head == "registry":
        return "Registry", rest
    if identifier.startswith("k8s://"):
        parts = [unquote(part) for part in rest.removeprefix("//").split("/")]
        if len(parts) == 1:
            return "Cluster", parts[0]
        if len(parts) >= 6:
            return "Container", parts[5]
        if len(parts) >= 4:
            return parts[2], parts[3]
    return "", identifier


def _part(text: str) -> str:
    """Escape what would end a part; ARM ids as cluster names stay one part."""
    return quote(text, safe=":@.-_~")
