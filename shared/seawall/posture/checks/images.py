"""What runs: tags, digests, registries, pull policy, signatures and findings of images."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from seawall.posture.check import Cluster, Finding, check, fail, in_container, manual, not_applicable, unknown
from seawall.posture.objects import Obj, mapping, mappings, number, sequence, text, texts
from seawall.posture.workloads import Image, Workload
from seawall.posture.world import World

_HOOKS: Final = frozenset(
    {
        "GITSYNC_EXECHOOK_COMMAND",
        "GIT_SYNC_EXECHOOK_COMMAND",
        "GITSYNC_GIT",
        "GIT_SYNC_GIT",
        "GITSYNC_ASKPASS_URL",
        "GITSYNC_PASSWORD",
        "GITSYNC_SYNC_HOOK_COMMAND",
        "GIT_SYNC_HOOK_COMMAND",
    }
)


@check("WL-042", on=Workload, disallowed=("latest",))
def fixed_tag(workload: Workload, world: World) -> Iterator[Finding]:
    """Images without digest have a tag, and not `latest`."""
    disallowed = world.parameter("WL-042", "disallowed", ("latest",))
    for container in workload.containers:
        image = container.image
        if image.raw and not image.digest and (not image.tag or image.tag in disallowed):
            yield in_container(container, "image", image.raw, "a version or a digest")
        elif not image.raw and not container.is_ephemeral:
            yield in_container(
                container, "image", container.body.get("image"), "a version or a digest", "no image is named"
            )


_HEX: Final = {"sha384": 96, "sha512": 128, "blake3": 64}
_DIGEST: Final = re.compile(r"([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*):([A-Za-z0-9=_-]+)")
"""Source: OCI image-spec, descriptor.md, "digests"."""


def _is_digest(value: str) -> bool:
    """Whether a reference ends in a digest. A shortened `sha256` pins too: it names one content or cannot be pulled."""
    found = _DIGEST.fullmatch(value)
    if found is None:
        return False
    algorithm, encoded = found.groups()
    is_hex = re.fullmatch("[0-9a-fA-F]+", encoded) is not None
    if algorithm == "sha256":
        return is_hex
    return algorithm not in _HEX or (is_hex and len(encoded) == _HEX[algorithm])


@check("WL-043", on=Workload, exempt=())
def digest_pinned(workload: Workload, world: World) -> Iterator[Finding]:
    """Images are named with a whole digest; repositories in `exempt` are left out."""
    exempt = world.parameter("WL-043", "exempt", ())
    for container in workload.containers:
        if exempt and any(
            comes_from(container.image, entry) or container.image.raw.startswith(entry) for entry in exempt
        ):
            continue
        if not _is_digest(container.image.digest):
            yield in_container(container, "image", container.image.raw, "@sha256:...")


@check("WL-044", on=Workload)
def pull_policy(workload: Workload, _: World) -> Iterator[Finding]:
    """Effective `imagePullPolicy` of images with a tag that can move."""
    for container in workload.containers:
        image, policy = container.image, container.body.get("imagePullPolicy")
        if image.digest or policy == "Always":
            continue
        if policy is None and image.tag in ("", "latest"):
            continue
        yield in_container(
            container, "imagePullPolicy", policy, "Always", "" if policy else "the default is IfNotPresent"
        )


def full_name(image: Image) -> str:
    """The normal form of an image name: host, repository, tag, digest."""
    tag = f":{image.tag}" if image.tag else ""
    digest = f"@{image.digest}" if image.digest else ""
    return f"{image.registry}/{image.repository}{tag}{digest}"


def comes_from(image: Image, entry: str) -> bool:
    """Whether an image lies in a registry or below a repository prefix.

    A prefix ends at a path boundary: `registry.io/team` does not allow `registry.io/team-evil/app`; `*` at its end
    and a slash do what they say.
    """
    name = full_name(image)
    for candidate in (name, name.removeprefix("docker.io/library/"), name.removeprefix("docker.io/")):
        if entry.endswith(("/", "*")):
            if candidate.startswith(entry.rstrip("*")):
                return True
        elif candidate == entry or candidate.startswith((f"{entry}/", f"{entry}:", f"{entry}@")):
            return True
    return False


@check("WL-045", on=Workload, allowed=(), disallowed=())
def allowed_registry(workload: Workload, world: World) -> Iterator[Finding]:
    """Normalised image names against the lists `allowed` and `disallowed`."""
    allowed = world.parameter("WL-045", "allowed", ())
    disallowed = world.parameter("WL-045", "disallowed", ())
    if not allowed and not disallowed:
        yield not_applicable("no list of registries is set (parameter allowed)")
        return
    for container in workload.containers:
        if allowed and not any(comes_from(container.image, entry) for entry in allowed):
            yield in_container(container, "image", container.image.raw, {"one of": list(allowed)})
        elif any(comes_from(container.image, entry) for entry in disallowed):
            yield in_container(container, "image", container.image.raw, {"none of": list(disallowed)})


@check("WL-046", on=Workload)
def frozen_registry(workload: Workload, _: World) -> Iterator[Finding]:
    """No image is taken from `k8s.gcr.io`."""
    for container in workload.containers:
        if container.image.registry == "k8s.gcr.io" or container.image.registry.endswith(".k8s.gcr.io"):
            yield in_container(container, "image", container.image.raw, "registry.k8s.io")


@check("WL-047", on=Cluster)
def signatures(_: Cluster, world: World) -> Iterator[Finding]:
    """A policy that verifies signatures, or a verification result for each image."""
    verified = {text(item.body.get("image")): item for item in world.of("ImageSignature")}
    bad = [obj for obj in verified.values() if obj.body.get("verified") is not True]
    for obj in bad:
        yield fail("verified", obj.body.get("verified"), True, text(obj.body.get("reason")), target=obj)
    if verified and not bad:
        return
    if signature_gates(world):
        return
    if not world.workloads:
        yield not_applicable("no workload")
    elif not verified and world.is_cluster:
        yield fail("", None, "a policy that verifies signatures", "nothing in the cluster verifies image signatures")
    elif not verified:
        yield not_applicable("manifests alone do not say how images are verified")


def signature_gates(world: World) -> list[Obj]:
    """Return the objects that make a valid signature a condition of admission."""
    found = [
        obj
        for obj in world.of("ClusterImagePolicy", "ImagePolicy")
        if "sigstore" in obj.api_version or obj.kind == "ImagePolicy"
    ]
    for obj in world.of("ClusterPolicy", "Policy", "ImageVerificationPolicy", "ImageValidatingPolicy"):
        rules = mappings(obj.spec.get("rules"))
        if obj.kind.startswith("Image") or any(rule.get("verifyImages") for rule in rules):
            found.append(obj)
    found += [obj for obj in world.of("Verifier", "Store") if "ratify" in obj.api_version]
    for obj in world.of("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        names = " ".join([obj.name, *(text(hook.get("name")) for hook in mappings(obj.body.get("webhooks")))]).lower()
        if any(
            word in names
            for word in ("cosign", "sigstore", "ratify", "connaisseur", "portieris", "notation", "seawall")
        ):
            found.append(obj)
    return found


@check("WL-048", on=Cluster, threshold=1)
def vulnerable_images(_: Cluster, world: World) -> Iterator[Finding]:
    """Findings of the images that run: critical, known to be exploited, or with remote code execution while exposed."""
    evidence = world.of("ImageFindings", "VulnerabilityReport", "ImageVulnerabilities")
    if not evidence:
        yield (
            unknown("no image findings were collected: scan the images with `seawall scan`")
            if world.is_cluster
            else not_applicable("no image findings in the input")
        )
        return
    limit = world.parameter("WL-048", "threshold", 1)
    for obj in evidence:
        critical, exploited, remote = _gravest(obj)
        if exploited:
            yield fail("", exploited, 0, "known to be exploited", target=obj)
        elif critical >= limit:
            yield fail("", critical, f"fewer than {limit} critical", target=obj)
        elif remote and _is_exposed(obj, world):
            yield fail("", remote, 0, "remote code execution in an exposed workload", target=obj)


def _gravest(obj: Obj) -> tuple[int, int, int]:
    """Return counts of critical findings, of those known to be exploited, and of those with remote code execution."""
    if obj.kind == "VulnerabilityReport":
        return number(obj.get("report.summary.criticalCount")) or 0, 0, 0
    if obj.kind == "ImageFindings":
        return (
            number(obj.body.get("critical")) or 0,
            number(obj.body.get("in_kev")) or 0,
            number(obj.body.get("remote")) or 0,
        )
    rows = mappings(obj.body.get("data"))
    critical = sum(text(row.get("severity")).lower() == "critical" for row in rows)
    remote = sum(bool(mapping(category).get("isRce")) for row in rows for category in [row.get("categories")])
    return critical, 0, remote


def _is_exposed(obj: Obj, world: World) -> bool:
    from seawall.posture.checks.exposure import exposures

    image = text(obj.meta.get("name"))
    return any(
        container.image.raw == image or not image
        for workload, _ in exposures(world)
        for container in workload.containers
    )


@check("WL-049", on=Workload, private=())
def pull_secret(workload: Workload, world: World) -> Iterator[Finding]:
    """Images from the registries in `private` are pulled with a secret of the pod or its account."""
    private = world.parameter("WL-049", "private", ())
    wanting = [
        container for container in workload.containers if any(comes_from(container.image, entry) for entry in private)
    ]
    if not wanting:
        yield not_applicable("no image from a registry that is set as private (parameter private)")
        return
    account = world.service_accounts.get((workload.namespace, workload.service_account))
    if not sequence(workload.spec.get("imagePullSecrets")) and not (
        account and sequence(account.body.get("imagePullSecrets"))
    ):
        yield fail(workload.at("imagePullSecrets"), workload.spec.get("imagePullSecrets"), "a pull secret")


@check("WL-078", on=Workload)
def git_sync_hooks(workload: Workload, _: World) -> Iterator[Finding]:
    """git-sync images have no variable that names a command to run."""
    for container in workload.containers:
        if "git-sync" not in container.image.repository:
            continue
        for index, item in enumerate(mappings(container.body.get("env"))):
            if item.get("name") in _HOOKS:
                yield in_container(container, f"env[{index}].name", item.get("name"), "not set")


@check("WL-081", on=("K8sAllowedRepos", "K8sAllowedReposv2", "K8sDisallowedRepos"))
def repository_prefixes(obj: Obj, _: World) -> Iterator[Finding]:
    """`repos` of the constraint end with a slash, or name one image."""
    repos = obj.get("spec.parameters.repos")
    for index, entry in enumerate(texts(repos)):
        if obj.kind == "K8sAllowedRepos" and not entry.endswith("/") and ":" not in entry.rsplit("/", 1)[-1]:
            yield fail(f"spec.parameters.repos[{index}]", entry, f"{entry}/", "also matches look-alike names", entry)


def tags_in_use(world: World) -> dict[str, list[Any]]:
    """Return the workloads that run each image, by the image as it is named."""
    found: dict[str, list[Any]] = defaultdict(list)
    for workload in world.workloads:
        for container in workload.containers:
            found[container.image.raw].append(workload)
    return found


__all__ = ["comes_from", "full_name", "manual", "signature_gates", "tags_in_use"]
