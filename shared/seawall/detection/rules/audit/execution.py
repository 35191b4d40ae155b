"""Commands and channels into running pods: exec, attach, port-forward, debug containers, copies."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from seawall.detection.commands import (
    ADDRESS,
    API_CALL,
    CLOUD_CREDENTIALS,
    CREDENTIAL_PATHS,
    CREDENTIAL_SEARCH,
    DOWNLOAD,
    DROPPED,
    ENUMERATION,
    ENVIRONMENT,
    ESCAPE,
    KEY_FILES,
    MAX_COMMAND,
    METADATA,
    MINING,
    PIPED,
    POWERSHELL,
    READERS,
    REVERSE_SHELL,
    SHELLS,
    SOCKET_USE,
    TAMPERING,
    TOKEN_PATHS,
    TUNNEL,
    UPLOAD,
    base_name,
    copied_path,
    looks_around,
)  # fmt: skip
from seawall.detection.context import context
from seawall.detection.declaration import detection
from seawall.detection.describe import short
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import grade, may, place, who
from seawall.detection.workloads import at, mapping, once, pod_of, text, texts
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

EXEC = ("pods/exec", "pods/attach")
EXEC_VERBS = ("create", "get", "connect")
"""SPDY clients create, WebSocket clients (kubectl from 1.30) get with code 101; old API servers said connect."""

_INVESTIGATE = (
    "Who is the caller and is this their task?",
    "What ran there afterwards (sensor: process tree of the pod)?",
)


@once
def command_of(event: AuditEvent) -> list[str]:
    """Return the command of an exec: the repeated `command` of the request URI, else of the body; [] when not logged."""
    uri = event.uri
    query = uri.partition("?")[2]
    found: list[str] = []
    if "command=" in query and len(query) <= 64 * 1024:
        try:
            found = [
                value for key, value in parse_qsl(query, keep_blank_values=True, max_num_fields=500) if key == "command"
            ]
        except ValueError:
            found = []
    body = mapping(event.request_body)
    return found or texts(body.get("command")) or texts(at(body, "spec", "command"))


@once
def command_line(event: AuditEvent) -> str:
    """Return the command as one line, cut to 4,096 characters."""
    return " ".join(command_of(event))[:MAX_COMMAND]


def is_exec_done(event: AuditEvent) -> bool:
    """True when the stream was opened: `get` counts with code 101 only (a refused upgrade answers 400)."""
    return event.verb != "get" or event.code in (0, 101, 200)


def _exec_match(event: AuditEvent, base: Severity, what: str, *reasons: str) -> Match:
    severity, found = grade(event, base)
    return Match(
        f"{who(event)} ran in pod {place(event)}: {what}",
        severity=severity,
        reasons=(*reasons, *found),
        key=f"exec|{event.actor}|{event.namespace}|{event.name}",
        features={"command": short(command_line(event), 300)} if command_line(event) else {},
    )


@detection(
    id="AU-0201",
    title="Command run in a pod",
    severity=Severity.LOW,
    attack=("T1609",),
    on=AuditEvent,
    verbs=EXEC_VERBS,
    resources=EXEC,
    catalogue=(
        "X_ExecIntoContainer",
        "Falco: Attach/Exec Pod",
        "Sigma: Potential Remote Command Execution In Pod Container",
    ),
    needs=("metadata of pods/exec (AKS: the full kube-audit category, since new clients use get)",),
    platform_notes={"aks": "kube-audit-admin leaves out `get`, and so the exec of kubectl 1.30 and later."},
    benign=("Debugging by developers, CI jobs, operators that run commands in the pods they own.",),
    investigate=_INVESTIGATE,
    response="If nobody stands for it: take the caller's access away, then isolate the pod.",
    action="opened a shell in a pod",
    confidence="high",
)
def exec_into_pod(event: AuditEvent) -> Match | None:
    """Somebody opened a command or attached to a process in a running container.

    A shell in a platform namespace, in production, or by a service account is worth more than a developer's in a
    development namespace.
    """
    if not is_exec_done(event) or may(event, "debug"):
        return None
    command = command_of(event)
    shell = base_name(command) in SHELLS
    base, reasons = Severity.LOW, []
    system = context().is_system(event.namespace)
    if system and not may(event, "system-workloads"):
        base = Severity.MEDIUM
        reasons.append("the pod belongs to the platform")
    if caller_kind(event.actor) == "service_account" and shell and not may(event, "deploy"):
        if f":{event.namespace}:" in event.actor and not system:
            reasons.append("a service account of the same namespace opened a shell")
        else:
            base = Severity.MEDIUM
            reasons.append("a service account opened a shell in another namespace")
    if caller_kind(event.actor) == "node":
        base = Severity.HIGH
        reasons.append("nodes never do this")
    return _exec_match(event, base, " ".join(command)[:300] or event.resource.partition("/")[2], *reasons)


@detection(
    id="AU-0202",
    title="Credentials read through exec",
    severity=Severity.HIGH,
    attack=("T1528", "T1552.001"),
    on=AuditEvent,
    verbs=EXEC_VERBS,
    resources=EXEC,
    catalogue=(
        "Panther: Service Account Token Theft from Pod",
        "Elastic: Pod Exec Sensitive File or Credential Path Access",
    ),
    needs=("metadata of pods/exec",),
    benign=("A developer who inspects mounted configuration.",),
    investigate=(*_INVESTIGATE, "Was the token of this pod's service account used from elsewhere since?"),
    response="Restart the pod's workload and rotate its service account's token and any file named in the command.",
    action="read a pod's credentials",
    confidence="high",
)
def exec_reads_credentials(event: AuditEvent) -> Match | None:
    """The command of an exec names a service-account token, a cloud key, an SSH key or another credential file, or
    searches for such.

    Printing the environment, where applications are handed their passwords, is low: it is also how people debug.
    """
    line = command_line(event)
    if not line or not is_exec_done(event) or may(event, "debug"):
        return None
    if TOKEN_PATHS.search(line):
        return _exec_match(event, Severity.HIGH, line[:300], "the command names a service-account token")
    if CREDENTIAL_PATHS.search(line):
        return _exec_match(event, Severity.MEDIUM, line[:300], "the command names a credential file")
    if KEY_FILES.search(line):
        # A client that is handed its own key (etcdctl --key=...) is ordinary; one that prints it is not.
        base = Severity.MEDIUM if READERS.search(line) else Severity.INFORMATIONAL
        return _exec_match(event, base, line[:300], "the command names a key file")
    if CREDENTIAL_SEARCH.search(line):
        return _exec_match(event, Severity.MEDIUM, line[:300], "the command searches for credentials")
    if ENVIRONMENT.search(line) or "/etc/passwd" in line:
        return _exec_match(event, Severity.LOW, line[:300], "the command prints the environment or the accounts")
    return None


@detection(
    id="AU-0203",
    title="Cloud metadata service reached through exec",
    severity=Severity.HIGH,
    attack=("T1552.005",),
    on=AuditEvent,
    verbs=EXEC_VERBS,
    resources=EXEC,
    catalogue=("Elastic: Pod Exec Cloud Instance Metadata Access", "K8S.NODE_ImdsCall"),
    needs=("metadata of pods/exec",),
    benign=("Testing of workload identity by an administrator.",),
    investigate=(*_INVESTIGATE, "Was the node's cloud identity used from elsewhere since?"),
    response="Block the metadata address for pods (hop limit, network policy), rotate the node's credentials.",
    action="asked the cloud's metadata service for credentials",
    confidence="high",
)
def exec_reaches_metadata(event: AuditEvent) -> Match | None:
    """The command asks the link-local metadata address, which hands out the node's or the pod's cloud credentials."""
    line = command_line(event)
    if line and METADATA.search(line) and is_exec_done(event):
        return _exec_match(event, Severity.HIGH, line[:300], "the command names the metadata service")
    return None


@detection(
    id="AU-0204",
    title="Attack command run through exec",
    severity=Severity.HIGH,
    attack=("T1059.004", "T1609", "T1105"),
    on=AuditEvent,
    verbs=EXEC_VERBS,
    resources=EXEC,
    catalogue=("Elastic: Pod Exec Potential Reverse Shell", "Elastic: Pod Exec with Curl or Wget to HTTPS"),
    needs=("metadata of pods/exec",),
    benign=("Health checks by hand with curl (calls inside the cluster do not count, named hosts at low).",),
    investigate=_INVESTIGATE,
    response="Isolate the pod, then follow its process tree and connections.",
    action="ran an attack tool in a pod",
)
def exec_runs_attack(event: AuditEvent) -> Match | None:
    """The command opens a reverse shell, runs a download, breaks out of the container, or starts an attack tool."""
    line = command_line(event)
    if not line or not is_exec_done(event):
        return None
    for pattern, severity, why in (
        (REVERSE_SHELL, Severity.HIGH, "it looks like a reverse shell"),
        (MINING, Severity.HIGH, "it mines"),
        (POWERSHELL, Severity.HIGH, "it runs what it downloads or decodes"),
        (PIPED, Severity.HIGH, "it runs what it downloads or decodes"),
        (DROPPED, Severity.HIGH, "it runs what it downloads"),
        (ESCAPE, Severity.HIGH, "it reaches for the node"),
        (SOCKET_USE, Severity.MEDIUM, "it opens a connection by hand"),
        (TUNNEL, Severity.MEDIUM, "it tunnels or scans"),
        (ENUMERATION, Severity.MEDIUM, "it runs a reconnaissance or attack tool"),
    ):
        if pattern.search(line):
            return _exec_match(event, severity, line[:300], why)
    if re.search(r"(localhost|127\.0\.0\.1|\[::1\]|\.svc\b|\.cluster\.local)", line):
        return None
    if UPLOAD.search(line):
        return _exec_match(event, Severity.MEDIUM, line[:300], "it sends data elsewhere")
    address = ADDRESS.search(line)
    if address is not None and context().networks.kind(address.group(1)) in ("public", "listed", "cloud"):
        return _exec_match(event, Severity.MEDIUM, line[:300], "it connects to a bare public address")
    if DOWNLOAD.search(line):
        return _exec_match(event, Severity.LOW, line[:300], "it downloads from elsewhere")
    return None


@detection(
    id="AU-0210",
    title="Pod tampered with through exec",
    severity=Severity.MEDIUM,
    attack=("T1609", "T1070", "T1136.001", "T1053.003", "T1548.001", "T1485"),
    on=AuditEvent,
    verbs=EXEC_VERBS,
    resources=EXEC,
    catalogue=("X_SetuidChange", "K8S.NODE_SystemLogRemoval", "K8S.NODE_SuspectUserAddition"),
    needs=("metadata of pods/exec",),
    benign=("An administrator who repairs a container by hand.",),
    investigate=_INVESTIGATE,
    response="Restart the workload from its image, then see what the caller did elsewhere.",
    action="tampered with a pod from inside",
)
def exec_tampers(event: AuditEvent) -> Match | None:
    """The command changes a container in a way that its operation does not need: set-uid programs, accounts, timers,
    logs removed, a firewall emptied, data destroyed. Containers are replaced, not repaired."""
    line = command_line(event)
    if not line or not is_exec_done(event) or may(event, "debug"):
        return None
    for pattern, why in TAMPERING:
        if pattern.search(line):
            return _exec_match(event, Severity.MEDIUM, line[:300], why)
    return None


@detection(
    id="AU-0211",
    title="Pod's identity used through exec",
    severity=Severity.MEDIUM,
    attack=("T1609", "T1550.001", "T1613", "T1526"),
    on=AuditEvent,
    verbs=EXEC_VERBS,
    resources=EXEC,
    catalogue=(
        "K8S.NODE_KubernetesAPI",
        "X_KubeletApiAccess",
        "X_CloudCliUse",
        "K8S.NODE_ReconnaissanceArtifactsBurst",
    ),
    needs=("metadata of pods/exec",),
    benign=("A test of workload identity or of network policies by a developer.",),
    investigate=(*_INVESTIGATE, "What was the pod's service account, or its cloud identity, used for?"),
    response="Restart the workload, end its service account's tokens, narrow its permissions.",
    action="used a pod's identity from inside",
)
def exec_uses_identity(event: AuditEvent) -> Match | None:
    """The command calls the API server, a kubelet or the cloud from inside the pod, with the pod's own identity, or
    looks the machine over. Whoever has a kubeconfig does not need this."""
    line = command_line(event)
    if not line or not is_exec_done(event) or may(event, "debug"):
        return None
    if API_CALL.search(line):
        return _exec_match(event, Severity.MEDIUM, line[:300], "it calls the cluster's API with a general tool")
    if CLOUD_CREDENTIALS.search(line):
        return _exec_match(event, Severity.MEDIUM, line[:300], "it asks the cloud for credentials or secrets")
    if looks_around(line):
        return _exec_match(event, Severity.MEDIUM, line[:300], "it looks the machine over")
    return None


@detection(
    id="AU-0205",
    title="Files copied out of a pod",
    severity=Severity.MEDIUM,
    attack=("T1005", "T1048"),
    on=AuditEvent,
    verbs=EXEC_VERBS,
    resources=EXEC,
    catalogue=("Panther: Data Copy via kubectl cp", "Falco: Exfiltrating Artifacts via Kubernetes Control Plane"),
    needs=("metadata of pods/exec",),
    benign=("`kubectl cp` of a heap dump or a report by a developer.",),
    investigate=("What do the copied paths hold?", *_INVESTIGATE),
    response="Take the caller's exec right away if it has no business with this data; assess what left.",
    action="copied files out of a pod",
)
def files_copied_out(event: AuditEvent) -> Match | None:
    """`kubectl cp` out of a pod is an exec of `tar cf - PATH` whose output the client writes to its disk."""
    if not is_exec_done(event) or may(event, "debug"):
        return None
    path = copied_path(command_of(event))
    if path is None:
        return None
    return _exec_match(event, Severity.MEDIUM, f"tar of {path} to the caller")


@detection(
    id="AU-0206",
    title="Debug container added to a running pod",
    severity=Severity.MEDIUM,
    attack=("T1609", "T1610"),
    on=AuditEvent,
    verbs=("create", "update", "patch"),
    resources=("pods/ephemeralcontainers",),
    catalogue=(
        "X_EphemeralContainer",
        "Falco: EphemeralContainers Created",
        "Elastic: Ephemeral Container Added to Pod",
    ),
    needs=("metadata of pod writes",),
    benign=("`kubectl debug` by a developer.",),
    investigate=(*_INVESTIGATE, "Which image, and does it target another container's processes?"),
    response="Delete the pod (ephemeral containers cannot be removed), take the right to patch them away.",
    action="added a debug container to a pod",
    confidence="high",
)
def ephemeral_container(event: AuditEvent) -> Match | None:
    """An ephemeral container joins a running pod, with its network and, on request, its processes, past its image."""
    pod = pod_of(event)
    images = ", ".join(pod.images[:3]) if pod is not None else ""
    severity, reasons = grade(event, Severity.MEDIUM)
    return Match(
        f"{who(event)} added a debug container to pod {place(event)}" + (f" from {images}" if images else ""),
        severity=severity,
        reasons=tuple(reasons),
    )


_NODE_SHELL = re.compile(r"node-debugger-.+|node-shell-.+|nsenter-.+|.+-node-shell")


@detection(
    id="AU-0207",
    title="Pod for debugging a node",
    severity=Severity.HIGH,
    attack=("T1611",),
    on=AuditEvent,
    verbs=("create",),
    resources=("pods",),
    catalogue=("X_NodeDebugPod",),
    needs=("request bodies of pods and workloads",),
    benign=("`kubectl debug node/…` by an administrator.",),
    investigate=_INVESTIGATE,
    response="Delete the pod; look at what ran on the node meanwhile.",
    action="took a shell on a node",
    confidence="high",
)
def node_debug_pod(event: AuditEvent) -> Match | None:
    """A pod with the node's root folder and namespaces, pinned to one node: what `kubectl debug node/…` makes."""
    pod = pod_of(event)
    if may(event, "control-loops"):
        return None
    if pod is None:
        if event.request_body is not None or not _NODE_SHELL.fullmatch(event.name):
            return None
        severity, reasons = grade(event, Severity.MEDIUM)
        return Match(
            f"{who(event)} created pod {place(event)}, by its name a shell on a node",
            severity=severity,
            reasons=("its specification was not logged", *reasons),
            key=f"node-debug|{event.actor}|{event.namespace}",
        )
    named = bool(_NODE_SHELL.fullmatch(pod.name))
    pinned = bool(text(pod.spec.get("nodeName")) or mapping(pod.spec.get("nodeSelector")).get("kubernetes.io/hostname"))
    root = any(mount.path == "/" for mount in pod.host_paths)
    shared = pod.flag("hostPID") or pod.flag("hostNetwork")
    enters = any("nsenter" in container.command_line for container in pod.containers)
    if not (
        (root and shared and (pinned or named)) or (enters and pod.flag("hostPID")) or (named and (root or shared))
    ):
        return None
    severity, reasons = grade(event, Severity.HIGH)
    return Match(
        f"{who(event)} created pod {place(event)}, a shell on a node",
        severity=severity,
        reasons=tuple(reasons),
        key=f"node-debug|{event.actor}|{event.namespace}",
    )


_SENSITIVE_PORTS = {
    "5432": "PostgreSQL", "3306": "MySQL", "6379": "Redis", "27017": "MongoDB", "9200": "Elasticsearch", "2379": "etcd",
    "1433": "SQL Server", "1521": "Oracle", "5984": "CouchDB", "9042": "Cassandra", "11211": "memcached",
    "10250": "kubelet", "8200": "Vault", "5601": "Kibana", "3000": "Grafana", "9090": "Prometheus", "15672": "RabbitMQ",
    "8443": "a dashboard", "22": "SSH",
}  # fmt: skip
_SENSITIVE_NAMES = re.compile(
    r"(^|[-_.])(postgres(ql)?|mysql|mariadb|redis|mongo(db)?|elastic(search)?|etcd|vault|dashboard|grafana|argocd|jenkins|kibana|rabbitmq|cassandra|minio|keycloak)([-_.0-9]|$)"
)


@detection(
    id="AU-0208",
    title="Port forwarded to a sensitive pod",
    severity=Severity.LOW,
    attack=("T1572",),
    on=AuditEvent,
    verbs=(*EXEC_VERBS, "update", "patch", "delete"),
    resources=("pods/portforward", "services/portforward", "pods/proxy", "services/proxy"),
    catalogue=("X_PortForward", "Falco: port-forward"),
    needs=("metadata of pods/portforward",),
    benign=("Developers who look at a dashboard or database of their own.",),
    investigate=("Who is the caller, and what is behind the port?",),
    response="Take the right to port-forward away where it is not needed.",
    action="tunnelled to a pod",
)
def port_forward(event: AuditEvent) -> Match | None:
    """A tunnel through the API server to a pod passes network policies and leaves no trace at the pod. The API server's
    proxy does the same for HTTP: only that to sensitive applications counts."""
    if not is_exec_done(event):
        return None
    # The proxy takes `https:name:port`.
    name = max(event.name.lower().split(":"), key=len)
    ports = (
        [value for key, value in parse_qsl(event.uri.partition("?")[2], max_num_fields=200) if key == "ports"]
        if len(event.uri) < 65536
        else []
    )
    sensitive = bool(_SENSITIVE_NAMES.search(name)) or any(port in _SENSITIVE_PORTS for port in ports)
    system = context().is_system(event.namespace)
    if event.resource.endswith("/proxy") and (not sensitive or caller_kind(event.actor) != "user"):
        return None
    base = Severity.MEDIUM if system and sensitive else Severity.LOW if system or sensitive else Severity.INFORMATIONAL
    severity, reasons = grade(event, base) if base > Severity.INFORMATIONAL else (base, [])
    return Match(f"{who(event)} opened a tunnel to pod {place(event)}", severity=severity, reasons=tuple(reasons))


@detection(
    id="AU-0209",
    title="Attempt to run a command in a pod was denied",
    severity=Severity.LOW,
    attack=("T1609",),
    on=AuditEvent,
    verbs=EXEC_VERBS,
    resources=(*EXEC, "pods/ephemeralcontainers", "pods/portforward"),
    outcomes=("denied",),
    catalogue=("X_ExecIntoContainer",),
    needs=("metadata of pods/exec",),
    benign=("A developer in the wrong context.",),
    investigate=("What else was this caller denied?",),
    response="None alone.",
    action="was refused a shell in a pod",
    confidence="low",
)
def exec_denied(event: AuditEvent) -> Match | None:
    """Somebody without the right tried to reach into a pod."""
    base = Severity.MEDIUM if caller_kind(event.actor) in ("anonymous", "node") else Severity.LOW
    return Match(f"{who(event)} was denied {event.resource} on {place(event)}", severity=base)
