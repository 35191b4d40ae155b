"""What workloads run and mount, on how many nodes, and what is added to running ones."""

from __future__ import annotations

import re
from dataclasses import replace

from seawall.detection.commands import API_CALL, DROPPED, METADATA, PIPED, POWERSHELL, REVERSE_SHELL, ends_of
from seawall.detection.context import context
from seawall.detection.declaration import detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import (
    done,
    grade,
    grade_pod,
    has_own_command,
    is_own_namespace,
    may,
    place,
    pod_match,
    who,
)
from seawall.detection.workloads import (
    BODIES,
    POD_CHANGES,
    WRITES,
    at,
    items,
    mapping,
    pod_of,
    text,
    texts,
    written,
)
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

_INVESTIGATE = ("Who created it, with which client?", "What is in the image?")


_HOOKS = (
    ("lifecycle", "postStart", "exec", "command"), ("lifecycle", "preStop", "exec", "command"),
    ("livenessProbe", "exec", "command"), ("readinessProbe", "exec", "command"), ("startupProbe", "exec", "command"),
)  # fmt: skip
"""Where a container keeps commands beside its own: the kubelet runs them."""


_MAX_JUDGED = 20


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
