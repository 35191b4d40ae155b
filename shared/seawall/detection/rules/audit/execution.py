"""Commands and channels into running pods: exec, attach, port-forward, debug containers, copies."""

from __future__ import annotations

import re
import shlex
from urllib.parse import parse_qsl

from seawall.detection.context import context
from seawall.detection.declaration import detection
from seawall.detection.describe import short
from seawall.detection.engine import caller_kind
from seawall.detection.judgement import grade, may, place, who
from seawall.detection.workloads import at, mapping, pod_of, text, texts
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

EXEC = ("pods/exec", "pods/attach")
EXEC_VERBS = ("create", "get", "connect")
"""SPDY clients create, WebSocket clients (kubectl from 1.30) get with code 101; old API servers said connect."""

_MAX_COMMAND = 8192
_INVESTIGATE = (
    "Who is the caller and is this their task?",
    "What ran there afterwards (sensor: process tree of the pod)?",
)


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


def command_line(event: AuditEvent) -> str:
    """Return the command as one line, cut to 8,192 characters."""
    return " ".join(command_of(event))[:_MAX_COMMAND]


def is_exec_done(event: AuditEvent) -> bool:
    """True when the stream was opened: `get` counts with code 101 only (a refused upgrade answers 400)."""
    return event.verb != "get" or event.code in (0, 101, 200)


_TOKEN_PATHS = re.compile(
    r"/var/run/secrets/|/run/secrets/(kubernetes\.io|eks\.amazonaws\.com|azure/tokens|tokens)|serviceaccount/(token|ca\.crt|\*)"
    r"|/var/lib/kubelet/pods/[^ ]*token|azure-identity-token|gcp-ksa/token"
)
_CREDENTIAL_PATHS = re.compile(
    r"/etc/(shadow|gshadow|sudoers)\b|/etc/kubernetes/(pki|[a-z-]*\.conf)|\.kube/config|kubeconfig"
    r"|\.aws/(credentials|config)|\.azure/(accessTokens|msal|azureProfile|service_principal)"
    r"|\.config/gcloud|application_default_credentials|\.docker/config\.json|\.dockercfg|\.git-credentials|\.netrc|\.npmrc|\.pypirc"
    r"|\.ssh/|id_(rsa|ed25519|ecdsa|dsa)\b|\.pgpass|\.my\.cnf|/proc/(\d+|self|1|\*)/environ|vault-token|\.bash_history"
    r"|/var/lib/kubelet/(kubeconfig|pki)|/var/lib/etcd|\.tfstate|/root/\.|secrets?\.ya?ml"
)
METADATA = re.compile(
    r"169\.254\.169\.254|\[?fd00:ec2::254\]?|metadata\.google\.internal|169\.254\.170\.(2|23)\b|100\.100\.100\.200|metadata\.azure\.com"
    r"|168\.63\.129\.16|2852039166|0xa9fea9fe|computeMetadata/v1|latest/meta-data|metadata/identity"
)
REVERSE_SHELL = re.compile(
    r"/dev/(tcp|udp)/|\b(nc|ncat|netcat|nc\.traditional|busybox nc)\b[^|;]*\s-[a-z]*[ec]\s|\bsocat\b.*\b(exec|system):|mkfifo\s+\S+.*\b(nc|ncat|openssl|telnet)\b"
    r"|\bbash\s+-i\b.*[<>]|\bsh\s+-i\b.*[<>]|import\s+socket.*(subprocess|pty|dup2)|pty\.spawn|socket\.socket|fsockopen\("
    r"|Socket::INET|TCPSocket\.(open|new)|openssl\s+s_client.*\|.*sh\b|\bperl\b.*socket|net\.createConnection|child_process",
    re.IGNORECASE,
)
_DOWNLOAD = re.compile(
    r"\b(curl|wget|aria2c|fetch|axel)\b.*(https?|ftp)://|\b(curl|wget)\b\s+\S*\d+\.\d+\.\d+\.\d+", re.IGNORECASE
)
PIPED = re.compile(
    r"\b(curl|wget)\b.*\|\s*(sudo\s+)?(ba|z|da|k)?sh\b|\b(base64\s+(-d|--decode|-D)|xxd\s+-r).*\|\s*(ba|z|da)?sh\b|\beval\b.*\$\(.*(curl|wget|base64)",
    re.IGNORECASE,
)
_ESCAPE = re.compile(
    r"\bnsenter\b|\bunshare\b|\bchroot\s+/(host|rootfs|mnt|proc/1/root)|release_agent|core_pattern|/proc/1/root|\bdebugfs\b|\bmount\s+(-t|/dev/|--bind|-o)"
    r"|docker\.sock|containerd\.sock|crio\.sock|\b(ctr|crictl|nerdctl|runc)\s|\binsmod\b|\bmodprobe\b|\bcapsh\b|/sys/kernel/(uevent_helper|debug)|/proc/sysrq-trigger|ld\.so\.preload"
)
_ENUMERATION = re.compile(
    r"\b(nmap|masscan|zmap|rustscan|amicontained|peirates|kube-hunter|kubeletctl|linpeas|linenum|deepce|botb|cdk|kdigger|etcdctl|kubectl|xmrig|chisel|frpc|ngrok|tcpdump|arpspoof|ettercap|bettercap|hydra|mimipenguin|pspy(32|64)?)\b"
)
_SHELLS = frozenset(
    {
        "sh",
        "bash",
        "ash",
        "dash",
        "zsh",
        "ksh",
        "fish",
        "csh",
        "tcsh",
        "pwsh",
        "powershell",
        "cmd",
        "cmd.exe",
        "powershell.exe",
    }
)


def base_name(command: list[str]) -> str:
    """Return the program of a command without its folder."""
    return command[0].rpartition("/")[2] if command else ""


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
    shell = base_name(command) in _SHELLS
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
    """The command of an exec names a service-account token, a cloud key, an SSH key or another credential file."""
    line = command_line(event)
    if not line or not is_exec_done(event) or may(event, "debug"):
        return None
    if _TOKEN_PATHS.search(line):
        return _exec_match(event, Severity.HIGH, line[:300], "the command names a service-account token")
    if _CREDENTIAL_PATHS.search(line):
        return _exec_match(event, Severity.MEDIUM, line[:300], "the command names a credential file")
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
    benign=("Health checks by hand with curl (only downloads from outside count, at low).",),
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
        (PIPED, Severity.HIGH, "it runs what it downloads or decodes"),
        (_ESCAPE, Severity.HIGH, "it reaches for the node"),
        (_ENUMERATION, Severity.MEDIUM, "it runs a reconnaissance or attack tool"),
    ):
        if pattern.search(line):
            return _exec_match(event, severity, line[:300], why)
    if _DOWNLOAD.search(line) and not re.search(r"(localhost|127\.0\.0\.1|\[::1\]|\.svc\b|\.cluster\.local)", line):
        return _exec_match(event, Severity.LOW, line[:300], "it downloads from elsewhere")
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


def copied_path(command: list[str]) -> str | None:
    """Return what a tar or database dump writes to standard output, None when the command does no such thing."""
    words = command
    if base_name(words) in _SHELLS and len(words) >= 3:
        try:
            words = shlex.split(words[-1], posix=True)[:50]
        except ValueError:
            return None
    name = base_name(words)
    if name == "tar" and len(words) >= 2:
        flags = words[1].lstrip("-")
        creates = ("c" in flags and not words[1].startswith("--")) or "--create" in words
        to_stdout = ("f" in flags and len(words) > 2 and words[2] == "-") or "--file=-" in words or flags.endswith("O")
        into_pod = "x" in flags
        if creates and to_stdout and not into_pod:
            return " ".join(words[3:])[:200] or "."
    if name in ("mysqldump", "pg_dump", "pg_dumpall", "mongodump", "redis-cli") and not any(
        word in ("-f", "--file", "-r", "--result-file") or word.startswith(("--file=", "--result-file="))
        for word in words
    ):
        return " ".join(words)[:200] if name != "redis-cli" or "--rdb" in words else None
    return None


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
    if pod is None or may(event, "control-loops"):
        return None
    named = bool(re.fullmatch(r"node-debugger-.+|node-shell-.+|nsenter-.+", pod.name))
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
    verbs=EXEC_VERBS,
    resources=("pods/portforward", "services/portforward"),
    catalogue=("X_PortForward", "Falco: port-forward"),
    needs=("metadata of pods/portforward",),
    benign=("Developers who look at a dashboard or database of their own.",),
    investigate=("Who is the caller, and what is behind the port?",),
    response="Take the right to port-forward away where it is not needed.",
    action="tunnelled to a pod",
)
def port_forward(event: AuditEvent) -> Match | None:
    """A tunnel through the API server to a pod passes network policies and leaves no trace at the pod."""
    if not is_exec_done(event):
        return None
    name = event.name.lower()
    ports = (
        [value for key, value in parse_qsl(event.uri.partition("?")[2], max_num_fields=200) if key == "ports"]
        if len(event.uri) < 65536
        else []
    )
    sensitive = bool(_SENSITIVE_NAMES.search(name)) or any(port in _SENSITIVE_PORTS for port in ports)
    system = context().is_system(event.namespace)
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
    confidence="low",
)
def exec_denied(event: AuditEvent) -> Match | None:
    """Somebody without the right tried to reach into a pod."""
    base = Severity.MEDIUM if caller_kind(event.actor) in ("anonymous", "node") else Severity.LOW
    return Match(f"{who(event)} was denied {event.resource} on {place(event)}", severity=base)
