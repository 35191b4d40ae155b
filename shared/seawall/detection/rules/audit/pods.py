"""What a pod's specification gives it on the node: privileged, host paths, host namespaces, capabilities."""

from __future__ import annotations

import re

from seawall.detection.context import context
from seawall.detection.declaration import detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import (
    grade,
    has_own_command,
    is_vendor_image,
    may,
    node_agent,
    pod_match,
    who,
)
from seawall.detection.workloads import (
    BODIES,
    POD_CHANGES,
    WRITES,
    HostPath,
    PodView,
    at,
    items,
    mapping,
    pod_of,
    text,
)
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

_BENIGN = ("Node agents: network and storage drivers, log and metric collectors, security sensors.",)
_INVESTIGATE = (
    "Who created the workload, from where, with which client?",
    "Is the image known here, and does its purpose need this?",
)

RUNTIME_SOCKETS = (
    "/var/run/docker.sock", "/run/docker.sock", "/var/run/containerd/containerd.sock",
    "/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock", "/var/run/crio/crio.sock",
    "/run/crio/crio.sock", "/var/run/cri-dockerd.sock", "/run/cri-dockerd.sock", "/var/run/dockershim.sock",
    "/var/snap/microk8s/common/run/containerd.sock", "/run/podman/podman.sock", "/var/run/podman/podman.sock",
    "/run/containerd", "/var/run/containerd", "/run/crio", "/var/run/crio", "/run/k3s/containerd",
)  # fmt: skip
"""Container-runtime sockets, and the folders that hold nothing else of use."""
STATIC_POD_DIRS = (
    "/etc/kubernetes/manifests", "/etc/kubernetes", "/etc/kubelet.d", "/var/lib/rancher/k3s/agent/pod-manifests",
    "/var/lib/rancher/rke2/agent/pod-manifests", "/etc/kubernetes/static-pods", "/etc/origin/node/pods",
)  # fmt: skip
SENSITIVE_TREES = (
    "/etc", "/root", "/home", "/proc", "/sys", "/boot", "/dev", "/var/lib/kubelet", "/var/lib/docker",
    "/var/lib/containerd", "/var/lib/containers", "/var/lib/etcd", "/var/lib/rancher", "/var/lib/kubernetes",
    "/var/lib/cloud", "/var/run", "/run", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt/cni", "/var/spool/cron",
    "/var/snap/microk8s", "/mnt",
)  # fmt: skip
"""Folders of a node whose contents lead to the node: credentials, binaries, devices, other workloads' files. `/mnt`
holds the kubelet and container data of AKS nodes with a temporary disk, and the local disks of other clouds."""
_WHOLE = ("/", "/var", "/var/lib", "/host")
_HARMLESS = (
    "/etc/localtime", "/etc/timezone", "/usr/share/zoneinfo", "/etc/ssl/certs", "/etc/pki/ca-trust",
    "/usr/share/ca-certificates", "/etc/machine-id", "/etc/os-release", "/run/udev", "/dev/shm", "/dev/null",
    "/dev/dri", "/dev/kfd", "/dev/nvidia0", "/dev/snd", "/dev/ttyUSB0", "/dev/ttyACM0", "/dev/net/tun",
    "/sys/class/drm", "/lib/modules", "/usr/src", "/usr/share",
)  # fmt: skip
_READ_ONLY_OK = ("/etc/hosts", "/etc/resolv.conf", "/etc/passwd", "/etc/group", "/var/run/udev", "/run/systemd/resolve")


def under(path: str, roots: tuple[str, ...]) -> bool:
    """True when `path` is one of `roots` or below one."""
    return any(path == root or path.startswith(f"{root}/") for root in roots)


def sensitive_path(mount: HostPath) -> str:
    """Return why a mounted path is sensitive, or empty."""
    path = mount.path
    if path in _WHOLE:
        return f"{path} of the node" + ("" if mount.writable else ", read-only")
    if under(path, _HARMLESS) or (not mount.writable and path in _READ_ONLY_OK):
        return ""
    if under(path, RUNTIME_SOCKETS):
        return f"the container runtime at {path}"
    if under(path, SENSITIVE_TREES) or (mount.writable and path in _LOGS):
        return path + ("" if mount.writable else ", read-only")
    return ""


_LOGS = ("/var/log", "/var/log/pods", "/var/log/containers")
"""A pod that may write there replaces a log by a link, which the kubelet then reads for it with root's rights."""


@detection(
    id="AU-0101",
    title="Privileged container",
    severity=Severity.MEDIUM,
    attack=("T1610", "T1611"),
    on=AuditEvent,
    verbs=WRITES,
    resources=POD_CHANGES,
    mentions=(
        b"privileged",
        b"hostProcess",
    ),
    catalogue=("K8S_PrivilegedContainer", "Falco: Create Privileged Pod", "Sigma: Privileged Container Deployed"),
    needs=BODIES,
    benign=_BENIGN,
    investigate=_INVESTIGATE,
    response="Delete the workload if nobody stands for it; enforce the Pod Security level baseline on the namespace.",
    action="ran a privileged container",
    confidence="high",
)
def privileged_container(event: AuditEvent) -> Match | None:
    """A container (init and ephemeral ones too) runs privileged: all capabilities and all devices of the node; on Windows,
    as a HostProcess container, outside of any isolation.

    Such a container is root on the node with one mount command.
    """
    pod = pod_of(event)
    if pod is None:
        return None
    names = [container.name or "?" for container in pod.containers if container.privileged]
    if not names:
        windows = [
            at(security, "windowsOptions", "hostProcess")
            for security in (pod.spec.get("securityContext"), *(container.security for container in pod.containers))
        ]
        return (
            pod_match(event, pod, Severity.MEDIUM, "with a Windows HostProcess container") if True in windows else None
        )
    return pod_match(event, pod, Severity.MEDIUM, f"with privileged container {', '.join(names[:3])}")


@detection(
    id="AU-0102",
    title="Sensitive folder of the node mounted",
    severity=Severity.MEDIUM,
    attack=("T1611",),
    on=AuditEvent,
    verbs=WRITES,
    resources=POD_CHANGES,
    mentions=(b"hostPath",),
    catalogue=(
        "K8S_SensitiveMount",
        "Falco: Create Sensitive Mount Pod",
        "Sigma: Container With A hostPath Mount Created",
    ),
    needs=BODIES,
    benign=(*_BENIGN, "Device plug-ins and node debugging by administrators."),
    investigate=_INVESTIGATE,
    response="Delete the workload if nobody stands for it; forbid hostPath by Pod Security or an admission policy.",
    action="mounted the node's files",
    confidence="high",
)
def sensitive_host_path(event: AuditEvent) -> Match | None:
    """A pod mounts a folder of the node that holds credentials, binaries, devices or other workloads' data."""
    pod = pod_of(event)
    if pod is None:
        return None
    found = [(mount, why) for mount in pod.host_paths if (why := sensitive_path(mount))]
    if not found:
        return None
    base = Severity.MEDIUM
    if all(mount.path in _LOGS for mount, _ in found) or (
        not any(mount.writable for mount, _ in found)
        and all(
            under(mount.path, ("/proc", "/sys", "/dev", "/var/lib/docker/containers", "/run", "/var/run", "/etc"))
            and mount.path not in ("/etc", "/dev", "/run", "/var/run")
            for mount, _ in found
        )
    ):
        base = Severity.LOW
    if any(mount.path == "/" and mount.writable for mount, _ in found) and not may(event, "control-loops"):
        base = Severity.HIGH
    return pod_match(event, pod, base, f"with {'; '.join(why for _, why in found[:3])}")


@detection(
    id="AU-0103",
    title="Container runtime socket mounted",
    severity=Severity.HIGH,
    attack=("T1611", "T1610"),
    on=AuditEvent,
    verbs=WRITES,
    resources=POD_CHANGES,
    mentions=(b"hostPath",),
    catalogue=("X_RuntimeSocketMount",),
    needs=BODIES,
    benign=("Build agents that use the node's Docker; monitoring and security agents.",),
    investigate=_INVESTIGATE,
    response="Delete the workload; builds do not need the node's runtime (rootless builders exist).",
    action="mounted the container runtime's socket",
    confidence="high",
)
def runtime_socket_mounted(event: AuditEvent) -> Match | None:
    """Whoever reaches the runtime's socket starts any container on the node, unseen by the API server."""
    pod = pod_of(event)
    if pod is None:
        return None
    paths = [mount.path for mount in pod.host_paths if under(mount.path, RUNTIME_SOCKETS)]
    return pod_match(event, pod, Severity.HIGH, f"with {paths[0]} of the node") if paths else None


@detection(
    id="AU-0104",
    title="Static-pod folder of the node mounted writable",
    severity=Severity.HIGH,
    attack=("T1543.005", "T1611"),
    on=AuditEvent,
    verbs=WRITES,
    resources=POD_CHANGES,
    mentions=(b"hostPath",),
    catalogue=("X_StaticPodDirMount",),
    needs=BODIES,
    benign=("Node upgrade tools of self-managed clusters.",),
    investigate=_INVESTIGATE,
    response="Delete the workload, then compare the manifests on the node with the expected ones.",
    action="mounted the static-pod folder",
    confidence="high",
)
def static_pod_folder_mounted(event: AuditEvent) -> Match | None:
    """A manifest written there is started by the kubelet itself: no admission, no deletion through the API."""
    pod = pod_of(event)
    if pod is None:
        return None
    for mount in pod.host_paths:
        if mount.writable and (under(mount.path, STATIC_POD_DIRS) or mount.path == "/etc"):
            return pod_match(event, pod, Severity.HIGH, f"with {mount.path} of the node, writable")
    return None


@detection(
    id="AU-0105",
    title="Pod shares a namespace of the node",
    severity=Severity.MEDIUM,
    attack=("T1611",),
    on=AuditEvent,
    verbs=WRITES,
    resources=POD_CHANGES,
    mentions=(
        b"hostPID",
        b"hostIPC",
        b"hostNetwork",
    ),
    catalogue=(
        "X_HostNamespacePod",
        "Falco: Create HostPid Pod",
        "Falco: Create HostIPC Pod",
        "Falco: Create HostNetwork Pod",
    ),
    needs=BODIES,
    benign=(*_BENIGN, "Ingress controllers with host networking on bare metal."),
    investigate=_INVESTIGATE,
    response="Delete the workload if nobody stands for it; enforce the Pod Security level baseline on the namespace.",
    action="shared the node's namespaces",
    confidence="high",
)
def host_namespace(event: AuditEvent) -> Match | None:
    """hostPID shows and can stop every process of the node, hostIPC reads shared memory, hostNetwork sees node-local
    services and passes network policies."""
    pod = pod_of(event)
    if pod is None:
        return None
    found = [name for name in ("hostPID", "hostIPC", "hostNetwork") if pod.flag(name)]
    return pod_match(event, pod, Severity.MEDIUM, f"with {', '.join(found)}") if found else None


STRONG_CAPABILITIES = frozenset(
    {
        "ALL", "SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "DAC_READ_SEARCH", "BPF", "NET_ADMIN",
        "PERFMON", "SYSLOG", "MAC_ADMIN", "MAC_OVERRIDE", "CHECKPOINT_RESTORE", "LINUX_IMMUTABLE", "MKNOD_ALL",
    }
)  # fmt: skip
WEAKER_CAPABILITIES = frozenset(
    {"SYS_TIME", "SYS_NICE", "SYS_RESOURCE", "SYS_TTY_CONFIG", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "DAC_OVERRIDE",
     "SYS_CHROOT", "MKNOD", "SETPCAP", "AUDIT_CONTROL", "AUDIT_READ", "WAKE_ALARM", "BLOCK_SUSPEND", "LEASE",
     "NET_BROADCAST", "SYS_PACCT", "SETFCAP", "FOWNER"}
)  # fmt: skip


@detection(
    id="AU-0106",
    title="Dangerous Linux capability added",
    severity=Severity.MEDIUM,
    attack=("T1611",),
    on=AuditEvent,
    verbs=WRITES,
    resources=POD_CHANGES,
    mentions=(b"capabilities",),
    catalogue=("X_DangerousCapabilities", "Panther: Pod with Dangerous Linux Capabilities"),
    needs=BODIES,
    benign=(*_BENIGN, "VPN and service-mesh sidecars (NET_ADMIN)."),
    investigate=_INVESTIGATE,
    response="Drop the capability; enforce the Pod Security level baseline on the namespace.",
    action="added dangerous capabilities",
)
def dangerous_capability(event: AuditEvent) -> Match | None:
    """A container asks for a capability that gives control over the node or over its network, outside the default set."""
    pod = pod_of(event)
    if pod is None:
        return None
    added = {name for container in pod.containers for name in container.added_capabilities}
    strong = sorted(added & STRONG_CAPABILITIES)
    if strong:
        sidecar = strong == ["NET_ADMIN"] and all(
            container.kind == "init" for container in pod.containers if "NET_ADMIN" in container.added_capabilities
        )
        # Meshes redirect traffic from an init container that has ended before the workload starts.
        return pod_match(
            event, pod, Severity.LOW if sidecar else Severity.MEDIUM, f"with capability {', '.join(strong)}"
        )
    weaker = sorted(added & WEAKER_CAPABILITIES)
    return pod_match(event, pod, Severity.INFORMATIONAL, f"with capability {', '.join(weaker)}") if weaker else None


@detection(
    id="AU-0107",
    title="Container isolation weakened",
    severity=Severity.MEDIUM,
    attack=("T1611", "T1548"),
    on=AuditEvent,
    verbs=WRITES,
    resources=POD_CHANGES,
    mentions=(
        b"procMount",
        b"nconfined",
        b"spc_t",
        b"allowPrivilegeEscalation",
        b"runAsUser",
        b"runAsNonRoot",
        b"sysctls",
    ),
    catalogue=("Falco PSP: procMount, privilege escalation, seccomp, AppArmor, SELinux",),
    needs=BODIES,
    benign=("Nested container builds (procMount Unmasked in a user namespace).", "Images that need root."),
    investigate=_INVESTIGATE,
    response="Remove the setting; enforce the Pod Security level restricted where possible.",
    action="weakened a container's isolation",
)
def isolation_weakened(event: AuditEvent) -> Match | None:
    """An unmasked /proc, a switched-off seccomp, AppArmor or SELinux confinement, or explicit root.

    Unmasked /proc and unconfined profiles are steps of escapes; asking for root or for privilege escalation is common
    and only recorded.
    """
    pod = pod_of(event)
    if pod is None:
        return None
    strong, weak = [], []
    contexts = [mapping(pod.spec.get("securityContext")), *(container.security for container in pod.containers)]
    for security in contexts:
        if security.get("procMount") == "Unmasked":
            strong.append("procMount Unmasked")
        weak += [
            f"{field} Unconfined"
            for field in ("seccompProfile", "appArmorProfile")
            if text(at(security, field, "type")) == "Unconfined"
        ]
        if text(at(security, "seLinuxOptions", "type")) == "spc_t":
            strong.append("SELinux type spc_t")
        if security.get("allowPrivilegeEscalation") is True:
            weak.append("allowPrivilegeEscalation")
        if security.get("runAsUser") == 0 or security.get("runAsNonRoot") is False:
            weak.append("runs as root")
    # A pod-wide root that every container overrides with another user is none.
    overridden = (
        contexts[0].get("runAsUser") == 0
        and pod.containers
        and all(container.security.get("runAsUser") not in (None, 0) for container in pod.containers)
    )
    if overridden:
        weak = [item for item in weak if item != "runs as root"]
    annotations = mapping(pod.metadata.get("annotations"))
    weak += [
        "AppArmor unconfined"
        for key, value in annotations.items()
        if key.startswith("container.apparmor.security.beta.kubernetes.io/") and value == "unconfined"
    ]
    if mapping(pod.spec.get("securityContext")).get("sysctls"):
        weak += ["sets kernel parameters"] if _unsafe_sysctl(pod) else []
    if strong:
        return pod_match(event, pod, Severity.MEDIUM, f"with {', '.join(sorted(set(strong)))}")
    return pod_match(event, pod, Severity.INFORMATIONAL, f"with {', '.join(sorted(set(weak)))}") if weak else None


_SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
    }
)  # fmt: skip
"""kubernetes.io, "Using sysctls in a Kubernetes Cluster", safe ones."""


def _unsafe_sysctl(pod: PodView) -> bool:
    settings = at(pod.spec, "securityContext", "sysctls")
    names = [text(mapping(item).get("name")) for item in settings] if isinstance(settings, list) else []
    return any(name not in _SAFE_SYSCTLS for name in names)


@detection(
    id="AU-0108",
    title="Pod in a platform namespace by somebody else",
    severity=Severity.MEDIUM,
    attack=("T1610", "T1036.005"),
    on=AuditEvent,
    verbs=("create",),
    resources=POD_CHANGES,
    catalogue=(
        "K8S_KubeSystemContainer",
        "Falco: Pod Created in Kube Namespace",
        "Sigma: Creation Of Pod In System Namespace",
    ),
    needs=("metadata of pod writes",),
    benign=(
        "An administrator who installs an add-on into kube-system.",
        "A chart of the distribution (left out by exact identity).",
    ),
    investigate=("Is this a component that the cluster's owner runs there?", "Does its image come from a known place?"),
    response="Delete the workload if nobody stands for it; deny writes to platform namespaces to people.",
    action="placed a workload among the platform's own",
)
def pod_in_platform_namespace(event: AuditEvent) -> Match | None:
    """A workload appears where the platform keeps its own: a place to hide, with access to the platform's secrets."""
    namespace = event.namespace
    knowledge = context()
    if not knowledge.is_system(namespace):
        return None
    if may(event, "system-workloads"):
        return None
    pod = pod_of(event)
    kind = caller_kind(event.actor)
    if may(event, "control-loops"):
        if pod is None or event.resource != "pods" or knowledge.allowances.known_workload(namespace, pod.workload):
            return None
        return Match(
            f"A control loop created pod {pod.name} of {pod.workload} in the platform namespace {namespace}",
            severity=Severity.INFORMATIONAL,
            reasons=("not a component known here; its workload is judged itself",),
            key=f"workload|{namespace}|{pod.workload}",
        )
    if kind == "node" and (pod is None or pod.is_mirror):
        return None
    name = pod.workload if pod is not None else event.name
    base = Severity.MEDIUM
    if pod is not None and pod.images:
        known = knowledge.allowances.known_workload(namespace, name)
        vendor = all(map(is_vendor_image, pod.images)) and not has_own_command(pod)
        if vendor and (known or (kind in ("service_account", "system") and event.resource == "pods")):
            base = Severity.LOW
    severity, reasons = grade(event, base)
    if pod is not None and (agent := node_agent(pod)):
        severity, reasons = min(severity, Severity.LOW), [*reasons, agent]
    return Match(
        f"{who(event)} created {event.resource} {name} in the platform namespace {namespace}",
        severity=severity,
        reasons=tuple(reasons),
        key=f"workload|{namespace}|{name}",
    )


@detection(
    id="AU-0109",
    title="Volume that is cloned from a repository on the node",
    severity=Severity.MEDIUM,
    attack=("T1611",),
    on=AuditEvent,
    verbs=WRITES,
    resources=POD_CHANGES,
    mentions=(b"gitRepo",),
    catalogue=("CVE-2024-10220",),
    needs=BODIES,
    benign=("Old manifests that load content so (low); the volume type is deprecated since 1.11.",),
    investigate=(*_INVESTIGATE, "Does the repository hold hooks, or submodules?"),
    response="Delete the workload, look at what ran as root on its node; refuse gitRepo volumes by an admission policy.",
    action="made a node clone a repository",
)
def repository_volume(event: AuditEvent) -> Match | None:
    """For a gitRepo volume the kubelet runs git as root on the node, outside of any container. A target folder inside
    `.git` lets the repository bring hooks that run there (CVE-2024-10220): medium; others are low."""
    pod = pod_of(event)
    if pod is None:
        return None
    volumes = [mapping(mapping(volume).get("gitRepo")) for volume in items(pod.spec.get("volumes"))[:200]]
    found = [volume for volume in volumes if text(volume.get("repository"))]
    if not found:
        return None
    hooks = any(
        ".git" in text(volume.get("directory")).split("/")
        or not re.match(r"[a-z+]+://|[\w.-]+@", text(volume.get("repository")))
        for volume in found
    )
    what = f"with a volume cloned from {text(found[0].get('repository'))[:200]}"
    return pod_match(event, pod, Severity.MEDIUM if hooks else Severity.LOW, what)
