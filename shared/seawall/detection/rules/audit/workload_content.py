"""What runs: images, commands, names, places, and changes of running workloads."""

from __future__ import annotations

import re
from dataclasses import replace

from seawall.detection.commands import API_CALL, DROPPED, METADATA, MINING, PIPED, POWERSHELL, REVERSE_SHELL
from seawall.detection.context import context
from seawall.detection.declaration import Logic, detection
from seawall.detection.engine import caller_kind
from seawall.detection.judgement import (
    done,
    grade,
    grade_pod,
    has_own_command,
    is_own_namespace,
    is_vendor_image,
    may,
    node_agent,
    place,
    pod_match,
    who,
)
from seawall.detection.workloads import (
    POD_CHANGES,
    WRITES,
    Container,
    at,
    items,
    mapping,
    pod_of,
    repository,
    text,
    texts,
    written,
)
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

BODIES = ("request bodies of pods and workloads",)
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
        "docker.io/servethehome/universal_cryptonight", "docker.io/linuxserver/folding-xmrig", "docker.io/giansalex/monero-miner",
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


_HOOKS = (
    ("lifecycle", "postStart", "exec", "command"), ("lifecycle", "preStop", "exec", "command"),
    ("livenessProbe", "exec", "command"), ("readinessProbe", "exec", "command"), ("startupProbe", "exec", "command"),
)  # fmt: skip
"""Where a container keeps commands beside its own: the kubelet runs them."""
_MAX_JUDGED = 20
_MAX_COMMAND = 4096


def ends_of(command: str) -> str:
    """Return a command whole, or of a very long one both ends: padding must not hide what follows it."""
    return command if len(command) <= _MAX_COMMAND else f"{command[:2048]}\n{command[-2048:]}"


@detection(
    id="AU-0802",
    title="Workload with an attack command",
    severity=Severity.HIGH,
    attack=("T1059.004", "T1610"),
    on=AuditEvent,
    verbs=WRITES,
    resources=POD_CHANGES,
    mentions=(
        b"command",
        b"args",
    ),
    catalogue=("X_CronJobCreated", "K8S_MaliciousContainerImage"),
    needs=BODIES,
    benign=("Start-up scripts that download a tool over HTTPS and run it (medium).",),
    investigate=_INVESTIGATE,
    response="Delete the workload, look at where its command connects to.",
    action="started a workload with an attack command",
)
def attack_command(event: AuditEvent) -> Match | None:
    """The command of a pod opens a reverse shell, runs a download, reaches for the node or for cloud credentials."""
    pod = pod_of(event)
    if pod is None:
        return None
    lines = [ends_of(container.command_line) for container in pod.containers[:_MAX_JUDGED]]
    hooks = [
        ends_of(" ".join(texts(at(container.raw, place, *kind))))
        for container in pod.containers[:_MAX_JUDGED]
        for place, *kind in _HOOKS
    ]
    line = "\n".join(item for item in (*lines, *hooks) if item)
    if not line:
        return None
    for pattern, base, why in _COMMANDS:
        if pattern.search(line):
            match = pod_match(event, pod, base, f"with a command {why}")
            # No agent's own set-up looks like the others; Cilium's enters the node.
            return match if pattern is _NODE else replace(match, severity=max(match.severity or base, Severity.MEDIUM))
    return None


_NODE = re.compile(r"\bnsenter\b|release_agent|core_pattern|chroot\s+/(host|rootfs|node)")
_COMMANDS = (
    (REVERSE_SHELL, Severity.HIGH, "that looks like a reverse shell"),
    (POWERSHELL, Severity.HIGH, "that runs what it downloads or decodes"),
    (_NODE, Severity.HIGH, "that reaches for the node"),
    (re.compile(r"serviceaccount/token.{0,300}\b(curl|wget|nc|http)|\b(curl|wget)\b.{0,300}@/(var/)?run/secrets/"), Severity.HIGH, "that sends its token away"),
    (
        re.compile(r"\bget\s+secrets?\b.{0,100}(\s-A\b|--all-namespaces)|\bget\s+secrets?\b.{0,300}\|.{0,200}\b(curl|wget|nc|ncat)\b"),
        Severity.HIGH,
        "that reads secrets to send them on",
    ),
    (PIPED, Severity.MEDIUM, "that runs what it downloads or decodes"),
    (re.compile(DROPPED.pattern.replace("(curl|wget)", r"(curl|wget)\b.{0,200}(http://|//\d+\.\d+\.\d+\.\d+)", 1), re.IGNORECASE), Severity.MEDIUM, "that runs what it downloads unprotected"),
    (METADATA, Severity.MEDIUM, "that asks the cloud's metadata service"),
    (re.compile(API_CALL.pattern + r".{0,200}/secrets\b|" + r"\b(curl|wget)\b.{0,300}/api/v1/(namespaces/[a-z0-9-]{1,63}/)?secrets\b"), Severity.MEDIUM, "that reads secrets of the API server with a general tool"),
)  # fmt: skip


@detection(
    id="AU-0803",
    title="CronJob or Job written",
    severity=Severity.INFORMATIONAL,
    attack=("T1053.007",),
    on=AuditEvent,
    verbs=WRITES,
    resources=("cronjobs", "jobs"),
    catalogue=(
        "X_CronJobCreated",
        "Sigma: Kubernetes CronJob/Job Modification",
        "Panther: CronJob Created or Modified",
    ),
    needs=("metadata of workload writes",),
    benign=("Ordinary deployment.",),
    investigate=("What does it run, and how often?",),
    response="Delete it if nobody stands for it.",
    action="planted a CronJob or Job",
    confidence="low",
)
def scheduled_job(event: AuditEvent) -> Match | None:
    """A CronJob comes back after clean-up. One with a shell one-liner, by a service account, or in a platform namespace
    is low; others are recorded."""
    if any(may(event, power) for power in ("control-loops", "deploy", "system-workloads")):
        return None
    pod = pod_of(event)
    base, reasons = Severity.INFORMATIONAL, []
    if pod is not None and has_own_command(pod) and event.resource == "cronjobs" and event.verb == "create":
        base = Severity.LOW
        reasons.append("it runs a shell command")
    if context().is_system(event.namespace) and not is_own_namespace(event, event.namespace):
        base = Severity.LOW
        reasons.append("in a platform namespace")
    if event.resource == "jobs" and base is Severity.INFORMATIONAL and caller_kind(event.actor) == "service_account":
        return None
    return Match(f"{who(event)} {done(event)} {event.resource} {place(event)}", severity=base, reasons=tuple(reasons))


@detection(
    id="AU-0804",
    title="DaemonSet created",
    severity=Severity.LOW,
    attack=("T1543.005", "T1610"),
    on=AuditEvent,
    verbs=("create",),
    resources=("daemonsets",),
    catalogue=("X_DaemonSetRollout", "Panther: DaemonSet Created"),
    needs=("metadata of workload writes",),
    benign=("Installation of a node agent.",),
    investigate=("What is the image, and does it tolerate every taint?",),
    response="Delete it if nobody stands for it.",
    action="placed a workload on every node",
)
def daemon_set_created(event: AuditEvent) -> Match | None:
    """A DaemonSet runs on every node at once, control-plane nodes too when it tolerates their taint."""
    if any(may(event, power) for power in ("control-loops", "system-workloads")):
        return None
    pod = pod_of(event)
    base, reasons = Severity.LOW, []
    if pod is not None:
        tolerations = [mapping(item) for item in items(pod.spec.get("tolerations"))]
        everywhere = any(item.get("operator") == "Exists" and not item.get("key") for item in tolerations)
        strong = (
            any(container.privileged for container in pod.containers)
            or pod.flag("hostPID")
            or any(m.path == "/" for m in pod.host_paths)
        )
        if strong:
            base = Severity.MEDIUM
            reasons.append("with access to the nodes")
        if everywhere:
            reasons.append("tolerates every taint")
    severity, found = grade(event, base) if pod is None else grade_pod(event, pod, base)
    return Match(f"{who(event)} created DaemonSet {place(event)}", severity=severity, reasons=(*reasons, *found))


@detection(
    id="AU-0805",
    title="Container added to a running workload",
    severity=Severity.MEDIUM,
    attack=("T1610", "T1609"),
    on=AuditEvent,
    verbs=("patch",),
    resources=("deployments", "daemonsets", "statefulsets"),
    catalogue=("X_SidecarInjected", "Sigma: Potential Sidecar Injection Into Running Deployment"),
    needs=("request and response bodies of workload patches",),
    benign=("`kubectl apply` that adds a sidecar on purpose (low).", "Mesh and agent operators."),
    investigate=("What does the added container mount and connect to?",),
    response="Roll the workload back (`kubectl rollout undo`).",
    action="added a container to a running workload",
)
def sidecar_added(event: AuditEvent) -> Match | None:
    """A patch brings a container beside the one of the workload. A JSON patch that appends one is how injection scripts
    do it; in a merge patch a second container with an image of its own."""
    if any(may(event, power) for power in ("control-loops", "deploy", "system-workloads")):
        return None
    body = event.request_body
    added = []
    if isinstance(body, list):
        for operation in map(mapping, body[:200]):
            path = text(operation.get("path"))
            if operation.get("op") == "add" and re.search(r"/spec/template/spec/(init)?[cC]ontainers/(-|\d+)$", path):
                added.append(text(mapping(operation.get("value")).get("image")))
        base = Severity.MEDIUM
    else:
        pod = pod_of(event)
        answer = event.response_body
        total = len(items(at(answer, "spec", "template", "spec", "containers")))
        sent = [c for c in (pod.containers if pod else []) if c.image and c.kind == "container"]
        new = [c for c in sent if c.raw.get("resources") is not None or c.raw.get("name")]
        # A merge patch names an existing container to change its image; a new one brings image and command or mounts.
        if 0 < len(new) < max(total, 2):
            added = [
                c.image
                for c in new
                if c.raw.get("command")
                or c.raw.get("args")
                or c.raw.get("volumeMounts")
                or c.raw.get("securityContext")
            ]
        base = Severity.LOW
    if not added:
        return None
    severity, reasons = grade(event, base)
    return Match(
        f"{who(event)} added a container from {added[0][:200] or 'an unnamed image'} to {event.resource} {place(event)}",
        severity=severity,
        reasons=tuple(reasons),
    )


_PLATFORM_NAMES = re.compile(
    r"^(kube-proxy|kube-apiserver|kube-controller-manager|kube-scheduler|kube-dns|coredns|etcd|aws-node|azure-cns|azure-npm|cloud-node-manager|"
    r"konnectivity-agent|metrics-server|calico-node|cilium|kube-flannel-ds|weave-net|csi-azuredisk-node|csi-azurefile-node|ebs-csi-node|pdcsi-node|"
    r"gke-metadata-server|gke-metrics-agent|fluentbit-gke|node-local-dns|kube-state-metrics-system|kubelet|kube-rbac-proxy-system|event-exporter-gke)(-[a-z0-9]{4,10}){0,2}$"
)
_LOOKALIKE = re.compile(
    r"^(kube[-_]?(pr0xy|proxi|apiserv(?!er)|api-server-|sytem|systm|dns-[a-z]{1,3}x)|c0redns|coredn5|kub3|kubee-|k8s-proxy$)"
)


@detection(
    id="AU-0806",
    title="Workload named like a platform component",
    severity=Severity.MEDIUM,
    attack=("T1036.005",),
    on=AuditEvent,
    verbs=WRITES,
    resources=("pods", "deployments", "daemonsets", "statefulsets", "jobs", "cronjobs", "replicasets"),
    catalogue=("X_NameMasquerade",),
    needs=("metadata of workload writes",),
    benign=("A test of a component in a namespace of its own; virtual clusters (vcluster) that run a CoreDNS each.",),
    investigate=_INVESTIGATE,
    response="Delete the workload if nobody stands for it.",
    action="disguised a workload as a platform component",
)
def name_masquerade(event: AuditEvent) -> Match | None:
    """A workload outside the platform's namespaces carries a platform component's name, or inside them with an image
    from somewhere else; or the platform's own component was given such an image."""
    pod = pod_of(event)
    name = pod.workload if pod is not None else event.name
    changed = event.verb != "create"
    if changed and not context().is_system(event.namespace):
        return None
    if _LOOKALIKE.match(name) and not changed:
        severity, reasons = grade(event, Severity.MEDIUM)
        return Match(
            f"{who(event)} created {event.resource} {place(event)}, nearly a platform name",
            severity=severity,
            reasons=tuple(reasons),
            key=f"{event.namespace}|{name}",
        )
    if not _PLATFORM_NAMES.match(name) or any(may(event, power) for power in ("control-loops", "system-workloads")):
        return None
    if pod is not None and ((caller_kind(event.actor) == "node" and pod.is_mirror) or node_agent(pod)):
        return None
    if context().is_system(event.namespace) or context().allowances.known_workload(event.namespace, name):
        images = pod.images if pod is not None else []
        if not images or all(map(is_vendor_image, images)) or _well_known_image(images):
            return None
        what, base = f"with the foreign image {images[0][:200]}", Severity.MEDIUM
    else:
        images = pod.images if pod is not None else []
        vendor = bool(images) and (all(map(is_vendor_image, images)) or _well_known_image(images))
        common = bool(re.match(r"(etcd|metrics-server|coredns|kube-dns|cilium|calico-node|kube-state-metrics)", name))
        # People run an etcd or a CoreDNS of their own; a kube-proxy or kube-apiserver they do not.
        what, base = "outside the platform's namespaces", Severity.LOW if vendor or common else Severity.MEDIUM
    severity, reasons = grade(event, base)
    return Match(
        f"{who(event)} {done(event)} {event.resource} {place(event)}, a platform component's name, {what}",
        severity=min(severity, base) if base is Severity.LOW else severity,
        reasons=tuple(reasons),
        key=f"{event.namespace}|{name}",
    )


def _well_known_image(images: list[str]) -> bool:
    return all(
        re.match(
            r"(quay\.io/(cilium|calico|coreos)/|docker\.io/(calico|cilium|coredns|flannel|weaveworks|rancher|amazon)/|ghcr\.io/flannel-io/|"
            r"[a-z0-9]+\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/(eks|amazon-k8s-cni))",
            repository(image),
        )
        for image in images
    )


@detection(
    id="AU-0807",
    title="Pod forced onto a control-plane node",
    severity=Severity.MEDIUM,
    attack=("T1610", "T1611"),
    on=AuditEvent,
    verbs=WRITES,
    resources=POD_CHANGES,
    mentions=(
        b"node-role.kubernetes.io",
        b"nodeName",
    ),
    catalogue=("X_ControlPlaneScheduling",),
    needs=BODIES,
    platforms=("self-managed",),
    platform_notes=dict.fromkeys(("aks", "eks", "gke"), "The control plane has no nodes that pods could reach."),
    benign=("Add-ons of self-managed clusters in kube-system; single-node clusters.",),
    investigate=_INVESTIGATE,
    response="Delete the workload; control-plane nodes hold the cluster's keys.",
    action="placed a pod on a control-plane node",
)
def control_plane_pod(event: AuditEvent) -> Match | None:
    """A pod outside the platform's namespaces asks for a control-plane node by selector, affinity or name."""
    pod = pod_of(event)
    if pod is None or context().is_system(pod.namespace) or event.platform in ("aks", "eks", "gke"):
        return None
    selector = mapping(pod.spec.get("nodeSelector"))
    terms = items(
        at(pod.spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
    )
    keys = set(selector) | {
        text(mapping(e).get("key"))
        for term in terms
        for e in items(mapping(term).get("matchExpressions"))
        if mapping(e).get("operator") in ("Exists", "In")
    }
    wanted = keys & {
        "node-role.kubernetes.io/control-plane",
        "node-role.kubernetes.io/master",
        "node-role.kubernetes.io/etcd",
    }
    named = (
        re.search(r"(^|[-.])(control-?plane|master)([-.0-9]|$)", text(pod.spec.get("nodeName")))
        if not may(event, "control-loops")
        else None
    )
    if not wanted and not named:
        return None
    return pod_match(event, pod, Severity.MEDIUM, "that asks for a control-plane node")


@detection(
    id="AU-0808",
    title="Unknown static pod",
    severity=Severity.MEDIUM,
    attack=("T1543.005", "T1610"),
    on=AuditEvent,
    verbs=("create",),
    resources=("pods",),
    actors=("node",),
    catalogue=("X_UnexpectedMirrorPod",),
    needs=BODIES,
    benign=("Static pods that the cluster's owner placed on nodes (name them in an allow list).",),
    investigate=("Who wrote the manifest on the node (sensor: file events)?",),
    response="Remove the manifest from the node, replace the node.",
    action="started a static pod",
)
def unknown_static_pod(event: AuditEvent) -> Match | None:
    """The kubelet mirrors a pod from a file on its node that is no component we know: admission never saw it."""
    pod = pod_of(event)
    if pod is None or not pod.is_mirror:
        return None
    node = event.actor[12:]
    name = pod.name.removesuffix(f"-{node}")
    if (
        context().allowances.known_workload(pod.namespace, name)
        or re.match(r"openshift-[a-z-]+$", pod.namespace)
        or all(map(is_vendor_image, pod.images))
    ):
        return None
    return Match(f"Node {node} runs the unknown static pod {pod.namespace}/{name}", key=f"{pod.namespace}|{name}")


@detection(
    id="AU-0809",
    title="Sudden jump in replicas",
    severity=Severity.LOW,
    attack=("T1496.001", "T1499"),
    on=AuditEvent,
    verbs=("update", "patch", "create"),
    resources=("deployments/scale", "statefulsets/scale", "replicasets/scale", "deployments", "replicasets"),
    mentions=(b"replicas",),
    catalogue=("X_ScaleAbuse",),
    needs=("request bodies of workload writes",),
    benign=("Load tests, autoscalers with a high ceiling.",),
    investigate=("Is it the autoscaler, and is there load?",),
    response="Scale down, set a quota for the namespace.",
    action="scaled a workload up without measure",
    confidence="low",
)
def replica_jump(event: AuditEvent) -> Match | None:
    """A workload was set to a hundred replicas or more, by somebody other than an autoscaler."""
    if any(may(event, power) for power in ("control-loops", "deploy")):
        return None
    replicas = at(written(event), "spec", "replicas")
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 100:
        return None
    return Match(
        f"{who(event)} set {event.resource} {place(event)} to {replicas} replicas",
        severity=Severity.MEDIUM if replicas >= 1000 else Severity.LOW,
    )


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
    """The image comes from a registry that keeps images for hours, from a tunnel, or from a bare public address."""
    pod = pod_of(event)
    if pod is None:
        return None
    for image in pod.images:
        name = image.lower()
        if _SUSPECT_REGISTRIES.match(name):
            host = name.partition("/")[0].partition(":")[0]
            if context().networks.kind(host) != "private":
                return pod_match(event, pod, Severity.MEDIUM, f"from {image[:200]}")
    return None


@detection(
    id="AU-0811",
    title="Workload mounts another identity's credentials",
    severity=Severity.MEDIUM,
    attack=("T1528", "T1552.001"),
    on=AuditEvent,
    verbs=WRITES,
    resources=POD_CHANGES,
    mentions=(b"hostPath",),
    catalogue=("K8S.NODE_SecretRecon†",),
    needs=BODIES,
    benign=("Node agents (left out by name).",),
    investigate=_INVESTIGATE,
    response="Delete the workload; rotate the credentials of the node.",
    action="mounted credentials of the node",
    confidence="high",
)
def credential_files_mounted(event: AuditEvent) -> Match | None:
    """A pod mounts exactly the files that hold the node's or the control plane's keys."""
    pod = pod_of(event)
    if pod is None:
        return None
    for mount in pod.host_paths:
        if re.match(
            r"/etc/kubernetes/(pki|admin\.conf|super-admin\.conf|controller-manager\.conf|scheduler\.conf|azure\.json|cloud-config|cloud\.conf)|/var/lib/kubelet/(pki|kubeconfig)|/root/\.(kube|ssh|aws|azure)|"
            r"/home/[^/]+/\.(kube|ssh|aws)|/var/lib/etcd|/etc/(shadow|sudoers)|/var/lib/rancher/k3s/server|/var/lib/waagent",
            mount.path,
        ):
            return pod_match(event, pod, Severity.HIGH, f"with {mount.path} of the node")
    return None


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
