"""Images: miners, attack tools, throw-away registries."""

from __future__ import annotations

import re
from functools import lru_cache

from seawall.detection.commands import MINING, ends_of
from seawall.detection.context import context
from seawall.detection.declaration import Logic, detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import (
    pod_match,
)
from seawall.detection.workloads import (
    BODIES,
    POD_CHANGES,
    WRITES,
    Container,
    items,
    mapping,
    pod_of,
    repository,
    text,
)
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

_INVESTIGATE = ("Who created it, with which client?", "What is in the image?")
_MINING_NAMES = re.compile(
    r"(^|[/_.-])(xmrig|xmr-stak|xmr|monero|moneroocean|c3pool|minerd|cpuminer|cgminer|bfgminer|ethminer|nbminer|t-rex|trexminer|lolminer|gminer|phoenixminer|"
    r"teamredminer|nanominer|ccminer|randomx|kinsing|nicehash|coinhive|minergate|hellminer|srbminer|bzminer|rigel|nheqminer|xmrigcc|cryptonight|supportxmr)([/_.:@-]|\d|$)",
    re.IGNORECASE,
)


_MINING_REPOSITORIES = frozenset(
    {
        "docker.io/kannix/monero-miner", "docker.io/metal3d/xmrig", "docker.io/servethehome/monero_cpu_minergate",
        "docker.io/pmietlicki/xmrig", "docker.io/patsissons/xmrig", "docker.io/miningcontainers/xmrig",
        "docker.io/servethehome/universal_cryptonight", "docker.io/giansalex/monero-miner",
        "docker.io/azurenql/197", "docker.io/lifengyi1323/kubectled", "docker.io/kirito666/blackt", "docker.io/0xe910d9fb6c/docker-network-bridge-ipv6",
        "docker.io/hildeteamtnt/pause-amd64", "docker.io/tntpwner/traffmonitizer",
    }
)  # fmt: skip
"""Repositories that published incident reports name as mining images."""


def mining_name(repository_path: str) -> bool:
    """True when a repository's path names a miner."""
    return bool(_MINING_NAMES.search(repository_path))


@detection(
    id="AU-0801",
    title="Coin-mining image or command",
    severity=Severity.HIGH,
    attack=("T1610", "T1204.003", "T1496.001"),
    on=AuditEvent,
    verbs=WRITES,
    resources=POD_CHANGES,
    logic=Logic.LIST,
    catalogue=("K8S_MaliciousContainerImage",),
    needs=BODIES,
    benign=("A mining business.",),
    investigate=_INVESTIGATE,
    response="Delete the workload, find how the caller got in, check the other workloads it made.",
    action="started a coin miner",
    confidence="high",
)
def mining_image(event: AuditEvent) -> Match | None:
    """The image's name or digest is known for mining, or the command connects to a mining pool."""
    pod = pod_of(event)
    if pod is None:
        return None
    knowledge = context()
    for container in pod.containers:
        name = repository(container.image)
        digest = container.image.partition("@")[2]
        if (
            name in _MINING_REPOSITORIES
            or name in knowledge.mining_images
            or (digest and digest in knowledge.image_digests)
        ):
            what = f"from the listed image {container.image[:200]}"
        elif _MINING_NAMES.search(name.partition("/")[2]):
            what = f"from the mining image {container.image[:200]}"
        elif MINING.search(ends_of(container.command_line)) or any(map(MINING.search, _values(container))):
            what = f"whose container {container.name} mines"
        else:
            continue
        match = pod_match(event, pod, Severity.HIGH, what)
        return Match(
            match.message,
            severity=max(match.severity or Severity.HIGH, Severity.HIGH),
            reasons=match.reasons,
            entities=match.entities,
            key=match.key,
        )
    return None


def _values(container: Container) -> list[str]:
    """Values of a container's environment: miners take their pool from there."""
    return [text(mapping(entry).get("value"))[:512] for entry in items(container.raw.get("env"))[:200]]


_SUSPECT_REGISTRIES = re.compile(
    r"^(ttl\.sh|[a-z0-9-]+\.(ngrok(-free)?\.(io|app|dev)|trycloudflare\.com|serveo\.net|loca\.lt|duckdns\.org))/|^\d+\.\d+\.\d+\.\d+(:\d+)?/"
)


@detection(
    id="AU-0810",
    title="Image from a throw-away or unnamed registry",
    severity=Severity.MEDIUM,
    attack=("T1610", "T1204.003"),
    on=AuditEvent,
    verbs=WRITES,
    resources=POD_CHANGES,
    catalogue=("X_FirstSeenRegistry", "X_ImageSwap", "Splunk: Kubernetes Suspicious Image Pulling"),
    needs=BODIES,
    benign=("Tests with ttl.sh; laboratories with a registry on a private address (left out).",),
    investigate=_INVESTIGATE,
    response="Delete the workload, allow only known registries by admission policy.",
    action="ran an image from an untrusted registry",
)
def suspect_registry(event: AuditEvent) -> Match | None:
    """The image comes from a registry that keeps images for hours, from a tunnel, from a bare public address, or from
    one whose name is a slip away from a well-known registry's: it takes the logins of those who mistype."""
    pod = pod_of(event)
    if pod is None:
        return None
    for image in pod.images:
        name = image.lower()
        if _SUSPECT_REGISTRIES.match(name):
            host = name.partition("/")[0].partition(":")[0]
            if context().networks.kind(host) != "private":
                return pod_match(event, pod, Severity.MEDIUM, f"from {image[:200]}")
        elif len(name) <= 512 and (meant := _imitated(repository(name).partition("/")[0])):
            return pod_match(event, pod, Severity.MEDIUM, f"from {image[:200]}, whose registry is named like {meant}")
    return None


_REGISTRIES = (
    "docker.io", "ghcr.io", "quay.io", "gcr.io", "registry.k8s.io", "mcr.microsoft.com", "public.ecr.aws", "registry.gitlab.com",
    "registry.redhat.io", "nvcr.io",
)  # fmt: skip
_OTHERS = frozenset(
    {*_REGISTRIES, "icr.io", "docr.io", "ocir.io", "k8s.gcr.io", "us.gcr.io", "eu.gcr.io", "lscr.io", "vcr.io"}
)
"""Registries whose names are close to one another by right."""


@lru_cache(4096)
def _imitated(host: str) -> str:
    """Return the well-known registry whose name `host` is one slip of the finger away from, or empty."""
    if host in _OTHERS:
        return ""
    return next((name for name in _REGISTRIES if len(name) > 6 and _one_slip(host, name)), "")


def _one_slip(left: str, right: str) -> bool:
    """True when one letter was added, left out or replaced, or two neighbours changed places."""
    short, long = sorted((left, right), key=len)
    if left == right or len(long) - len(short) > 1:
        return False
    start = next((i for i, letter in enumerate(short) if letter != long[i]), len(short))
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    return short[start + 1 :] == long[start + 1 :] or (
        short[start : start + 2] == long[start : start + 2][::-1] and short[start + 2 :] == long[start + 2 :]
    )


_ATTACK_IMAGES = re.compile(
    r"(^|[/_.-])(kali(linux)?(-rolling)?|kali-linux-docker|parrot(os|sec)?|blackarch|metasploit(-framework)?|peirates|kube-hunter|kubesploit|"
    r"kdigger|badpods|bad-pods|amicontained|deepce|chisel|sliver|mythic|empire|bloodhound|hashcat|hydra|responder|ngrok|frpc|gsocket)([/_.:@-]|$)"
)


_DEBUG_IMAGES = frozenset(
    f"docker.io/{name}"
    for name in (
        "library/alpine", "library/busybox", "library/ubuntu", "library/debian", "library/bash", "library/centos",
        "library/fedora", "library/python", "library/docker", "nicolaka/netshoot", "curlimages/curl", "alpine/curl",
        "alpine/k8s", "bitnami/kubectl", "rancher/kubectl", "raesene/alpine-nettools", "praqma/network-multitool",
        "wbitt/network-multitool", "digitalocean/doks-debug", "leodotcloud/swiss-army-knife",
    )
)  # fmt: skip
"""Images that hold a shell and tools, and no application."""


@detection(
    id="AU-0812",
    title="Pod from an attack or debugging image",
    severity=Severity.MEDIUM,
    attack=("T1610", "T1204.003"),
    on=AuditEvent,
    verbs=WRITES,
    resources=POD_CHANGES,
    logic=Logic.LIST,
    catalogue=(
        "Elastic: Pod Creation with a Common Debug or Base Image",
        "Splunk: Kubernetes Scanner Image Pulling",
        "K8S_MaliciousContainerImage",
    ),
    needs=BODIES,
    benign=("`kubectl run` of a shell for debugging (low).", "An agreed penetration test."),
    investigate=(*_INVESTIGATE, "Which commands ran in it (exec and attach events)?"),
    response="Delete the pod if nobody stands for it.",
    action="started a pod with a shell and tools",
)
def tool_image(event: AuditEvent) -> Match | None:
    """A pod from an image that holds tools of attackers, or, made by hand and waiting for a shell, one that holds nothing
    but a shell."""
    pod = pod_of(event)
    if pod is None:
        return None
    for container in pod.containers:
        name = repository(container.image)
        if _ATTACK_IMAGES.search(name.partition("/")[2]):
            return pod_match(event, pod, Severity.MEDIUM, f"from the tool image {container.image[:200]}")
        if (
            name in _DEBUG_IMAGES
            and event.resource == "pods"
            and event.verb == "create"
            and not pod.owner_kind
            and container.kind == "container"
            and caller_kind(event.actor) in ("user", "service_account")
            and (
                container.raw.get("stdin") is True
                or container.raw.get("tty") is True
                or _WAITS.search(container.command_line)
            )
        ):
            return pod_match(event, pod, Severity.LOW, f"from {container.image[:200]}, which waits for a shell")
    return None


_WAITS = re.compile(
    r"\bsleep\s+(\d{3,}|\d+[hd]|inf(inity)?)|tail\s+-f\s+/dev/null|while\s+(true|:|\[)|^(/bin/)?(ba|a|da)?sh$"
)
