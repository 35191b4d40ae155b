"""What is learnt from a sensor's event: features of the workload that its container belongs to.

| family | from | value |
|--|--|--|
| program | process starts, commands that a multi-call shell runs inside itself | path, applet, script or `-c`; where it is not from the image, that |
| terminal | process starts at a terminal: a shell, or what was sent in from outside | program |
| token | reads of projected tokens | program |
| file | reads of other sensitive files | program and path |
| port | sockets that listen, except on loopback | port and protocol; `high` from 32768 on |
| api | connections to the Kubernetes API | program |
| metadata | connections to a cloud's metadata service | program |
| peer | connections to private addresses | service or /16 (IPv6: /48), and port |
| outside | connections to public addresses that no name was asked for | /16 (IPv6: /32), and port |
| domain | DNS questions | registered domain; the whole name below domains that many share |
| egress | bytes sent to public addresses within an hour of a node | their power of two |

Values leave out what differs from one start to the next: numbers, ids, temporary names, addresses of single pods. Below a
shell that somebody opened from outside nothing is learnt or judged: the shell is what is told.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from seawall.detection.applets import applets_of
from seawall.detection.baselines.features import cut, network_of, repository_of
from seawall.detection.credentials import METADATA, is_token
from seawall.detection.processes import (
    INTERPRETERS,
    RUNTIMES,
    SHELLS,
    family,
    in_build,
    program,
    script_text,
)
from seawall.domain.runtime_events import (
    Connect,
    ContainerContext,
    DnsQuery,
    Listen,
    ProcessExec,
    RuntimeEvent,
    SensitiveRead,
)

NETWORK = frozenset({"api", "metadata", "peer", "outside", "domain", "egress"})
"""Families that only work on the network teaches."""
EPHEMERAL = 32_768
"""Linux gives out ports from here on by itself (ip_local_port_range)."""
AZURE_HOST = "168.63.129.16"
"""Answers DHCP, DNS and health probes too: not a place of credentials alone."""

_INVENTED_NAME = re.compile(r"^[a-z]+_[a-z]+\d?$")
_REPLICA = re.compile(r"[-_]\d+$")
_VARYING = re.compile(r"[0-9a-f]{8,}|\d{3,}|(?<![a-z])tmp[._]?[A-Za-z0-9_]{6,}")
_SHARED_DOMAINS = frozenset(
    {
        "amazonaws.com", "windows.net", "azure.com", "azurewebsites.net", "azureedge.net", "googleapis.com", "appspot.com",
        "run.app", "web.app", "firebaseio.com", "cloudfunctions.net", "cloudfront.net", "workers.dev", "pages.dev",
        "r2.dev", "github.io", "githubusercontent.com", "gitlab.io", "herokuapp.com", "vercel.app", "netlify.app",
        "onrender.com", "fly.dev", "ngrok.io", "ngrok.app", "ngrok-free.app", "trycloudflare.com", "digitaloceanspaces.com",
        "backblazeb2.com", "wasabisys.com", "cluster.local",
    }
)  # fmt: skip
"""Domains below which anybody, or any namespace, has names."""
_CLUSTER_SUFFIX = re.compile(r"\.cluster\.local$")
_SERVICE = re.compile(r"^(?:.+\.)?([^.]+\.[^.]+\.svc)$")
_GKE_API = "34.118.224.1"
"""First address of GKE's default range of services, which is a public one."""


class Feature(NamedTuple):
    """One thing that can be learnt of a workload."""

    family: str
    value: str


Features = tuple[Feature, ...]
Read = Callable[[Any], Features]
_NONE: Features = ()


def workload_of(container: ContainerContext) -> str:
    """Return the workload whose replicas share a baseline, with the container's name in it.

    In Kubernetes `namespace/Kind/name/container`. Elsewhere the project and service of Compose, else the image without
    its tag and the container's name without a replica's number, unless the runtime made the name up.
    """
    if container.owner or container.pod:
        return cut(f"{container.namespace}/{container.owner or 'Pod/' + container.pod}/{container.name}")
    project = container.labels.get("com.docker.compose.project", "")
    service = container.labels.get("com.docker.compose.service", "")
    if project and service:
        return cut(f"{project}/{service}")
    name = "" if _INVENTED_NAME.match(container.name) else _VARYING.sub("#", _REPLICA.sub("", container.name))
    image = repository_of(container.image)[1] if container.image else container.id
    return cut(f"{image}/{name}" if name else image)


def version_of(container: ContainerContext) -> str:
    """Return what a roll-out changes: the image's digest, or its reference, and the hash of the pod's template."""
    labels = container.labels
    template = labels.get("pod-template-hash") or labels.get("controller-revision-hash") or ""
    return cut(f"{container.image_digest or container.image} {template}".strip())


def runtime_features(event: RuntimeEvent) -> Features:
    """Return what can be learnt from the event, without its bytes; of one outside containers, nothing."""
    read = READERS.get(type(event))
    return _NONE if read is None or event.container is None else read(event)


def program_value(event: ProcessExec) -> str:
    """Return how a process start is remembered: the path, then applet, script or `-c`, then whether it is foreign."""
    process = event.process
    name = program(process)
    text = _VARYING.sub("#", process.exe or process.name)
    applet = name != family(process.name.lower())
    if applet:
        text += f" {name}"
    if event.script and not (applet and name not in SHELLS):
        text += " " + _VARYING.sub("#", event.script)
    elif (name in SHELLS or name in INTERPRETERS) and script_text(process):
        text += " -c"
    return cut(text + " (not from the image)" if process.drift else text)


def of_exec(event: ProcessExec) -> Features:
    """See `program` and `terminal` in the table."""
    if in_build(event):
        return _NONE
    process = event.process
    if process.tty:
        name = program(process)
        if process.entered:
            above = process.ancestors[0] if process.ancestors else None
            sent_in = above is None or program(above) in RUNTIMES or above.name.startswith("runc")
            return (Feature("terminal", cut(name)),) if sent_in else _NONE
        if name in SHELLS:
            return (Feature("terminal", cut(name)), Feature("program", program_value(event)))
    return (
        Feature("program", program_value(event)),
        *(Feature("program", program_value(applet)) for applet in applets_of(event)),
    )


def of_read(event: SensitiveRead) -> Features:
    """See `token` and `file` in the table."""
    name = program(event.process)
    if is_token(event.path):
        return (Feature("token", cut(name)),)
    return (Feature("file", cut(f"{name} {_VARYING.sub('#', _of_process(event))}")),)


def _of_process(event: SensitiveRead) -> str:
    return event.path.replace(f"/proc/{event.target_pid}/", "/proc/#/") if event.target_pid else event.path


def of_listen(event: Listen) -> Features:
    """See `port` in the table."""
    if event.family == "unix" or event.address.startswith("127.") or event.address == "::1":
        return _NONE
    return (Feature("port", f"{event.port if event.port < EPHEMERAL else 'high'}/{event.protocol}"),)


def of_connect(event: Connect) -> Features:
    """See `api`, `metadata`, `peer` and `outside` in the table."""
    address, port = event.address, event.port
    if event.family == "unix" or port == 53 or not address or address.startswith("127.") or address == "::1":
        return _NONE
    if address in METADATA:
        return _NONE if address == AZURE_HOST else (Feature("metadata", cut(program(event.process))),)
    if is_api(address, port, event.host):
        return (Feature("api", cut(program(event.process))),)
    shown = str(port) if port < EPHEMERAL else "high"
    network = network_of(address)
    if network != "private":
        return _NONE if event.host or not network else (Feature("outside", f"{network}:{shown}"),)
    where = service_of(event.host) or private_range(address)
    return (Feature("peer", cut(f"{where}:{shown}")),) if where else _NONE


def of_query(event: DnsQuery) -> Features:
    """See `domain` in the table."""
    name = event.name
    if event.malformed or "." not in name or name.endswith(".arpa"):
        return _NONE
    registered = event.registered
    if registered == "cluster.local":
        return _NONE  # services: what is connected to is told as `peer`
    return (Feature("domain", cut(_VARYING.sub("#", name) if registered in _SHARED_DOMAINS else registered)),)


READERS: dict[type[Any], Read] = {
    ProcessExec: of_exec, SensitiveRead: of_read, Listen: of_listen, Connect: of_connect, DnsQuery: of_query,
}  # fmt: skip
"""Event: what it teaches. A family of one's own is a function here."""


def is_api(address: str, port: int, host: str) -> bool:
    """Whether a connection goes to the Kubernetes API: by name, by port, or the first address of a range of services."""
    if host.startswith("kubernetes.default"):
        return True
    if port == 6443:
        return True
    return port == 443 and ((address.endswith(".1") and network_of(address) == "private") or address == _GKE_API)


@lru_cache(maxsize=4_096)
def private_range(address: str) -> str:
    """Return the /16 (IPv6: /48) that a private address lies in: pods, whose own addresses change, keep it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if parsed.is_loopback or parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified:
        return ""
    return str(ipaddress.ip_network((parsed, 16 if parsed.version == 4 else 48), strict=False))


@lru_cache(maxsize=4_096)
def service_of(host: str) -> str:
    """Return the service behind a name: of a pod of a StatefulSet its service, without the cluster's suffix; other names
    without their numbers; empty for none."""
    if not host:
        return ""
    short = _CLUSTER_SUFFIX.sub("", host)
    found = _SERVICE.match(short)
    return found.group(1) if found else re.sub(r"\d+", "#", short)
