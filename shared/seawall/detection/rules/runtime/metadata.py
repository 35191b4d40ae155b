"""The cloud's metadata service and command-line tools, asked by workloads."""

from __future__ import annotations

import re

from seawall.detection.credentials import CLOUD_CLIS, METADATA
from seawall.detection.declaration import detection
from seawall.detection.processes import (
    DOWNLOADERS,
    INTERPRETERS,
    SHELLS,
    in_build,
    ip_entity,
    on_platform,
    program,
)
from seawall.detection.rules.runtime import EXECS, PEERS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import Connect, ProcessExec
from seawall.domain.severity import Severity

_METADATA_HOSTS = re.compile(
    r"169\.254\.169\.254|169\.254\.170\.(?:2|23)\b|metadata\.google\.internal|\bfd00:ec2::254|instance-data\.ec2|(?:^|[/@\s])metadata(?:/computeMetadata)|0xa9fea9fe|2852039166|\[::ffff:a9fe:a9fe\]|AWS_CONTAINER_CREDENTIALS_(?:RELATIVE|FULL)_URI"
)


_IDENTITY_PATH = re.compile(
    r"security-credentials|identity/oauth2/token|service-accounts/\S+/(?:token|identity)|/latest/api/token|/v2/credentials|meta-data/iam|attributes/(?:kube-env|ssh-keys)|user-data|instance/attributes"
)


@detection(
    id="RT-0607",
    title="Cloud metadata token requested",
    severity=Severity.MEDIUM,
    attack=("T1552.005",),
    on=ProcessExec,
    response="Revoke the instance role's sessions; block the metadata address for pods (IMDSv2 hop limit, metadata concealment).",
    action="asked the cloud's metadata service for a token",
    catalogue=("K8S.NODE_ImdsCall",),
    needs=(EXECS,),
    confidence="high",
    benign=("Start-up scripts that ask for region or name: identity paths count more.",),
    investigate=("Look in the cloud's log for the role used from another address.",),
)
def metadata_command(event: ProcessExec) -> Match | None:
    """A download tool or script in a container asks the metadata service: the Azure, AWS (v1, v2, ECS, pod identity),
    Google, Alibaba or Oracle form, numbers in disguise included."""
    if event.container is None or on_platform(event):
        return None
    name = program(event.process)
    if name not in SHELLS | DOWNLOADERS | INTERPRETERS | {"nc", "ncat", "telnet", "http", "https", "openssl", "socat"}:
        return None
    text = event.process.command_line
    if not _METADATA_HOSTS.search(text):
        return None
    identity = _IDENTITY_PATH.search(text)
    return Match(
        f"{name} asks the metadata service: {text[:200]}",
        None if identity else Severity.LOW,
        ("asks for identity or start-up data",) if identity else ("no identity path seen",),
        (ip_entity("169.254.169.254"),),
        name,
    )


@detection(
    id="RT-0608",
    title="Tool connects to the cloud metadata service",
    severity=Severity.MEDIUM,
    attack=("T1552.005",),
    on=Connect,
    response="Revoke the instance role's sessions; block the metadata address for pods.",
    action="connected to the cloud's metadata service",
    catalogue=("K8S.NODE_ImdsCall",),
    needs=(PEERS,),
    benign=("SDKs in applications that use the node's identity: not tools, left out.",),
    investigate=("What else did the pod do in that minute?",),
)
def metadata_connection(event: Connect) -> Match | None:
    """A shell, download tool, one-line script or drifted program in a container connects to a metadata address."""
    if (
        event.container is None
        or event.address not in METADATA
        or event.address == "168.63.129.16"
        or on_platform(event)
    ):
        return None
    if event.port not in (80, 443, 0, 8080):
        return None
    process = event.process
    name = program(process)
    tool = name in SHELLS | DOWNLOADERS | {"nc", "ncat", "telnet", "socat", "http", "openssl"}
    one_liner = name in INTERPRETERS and any(flag in process.args[1:3] for flag in ("-c", "-e", "-r"))
    if not (tool or one_liner or process.drift or process.script_drift):
        return None
    return Match(f"{process} connects to {event.address}:{event.port}", entities=(ip_entity(event.address),), key=name)


@detection(
    id="RT-0611",
    title="Cloud command-line tool in a workload",
    severity=Severity.LOW,
    attack=("T1078.004", "T1526"),
    on=ProcessExec,
    response="Look in the cloud's log for what the pod's identity did.",
    action="used a cloud command-line tool",
    catalogue=("X_CloudCliUse",),
    needs=(EXECS,),
    benign=("CI and deployment images.", "Builds are left out."),
    investigate=("Did a metadata request come first (RT-0607)?", "Is the tool part of the image?"),
)
def cloud_tool(event: ProcessExec) -> Match | None:
    """aws, az, gcloud, terraform or the like runs in a container, more when it was brought there or a person types."""
    if event.container is None or in_build(event) or on_platform(event):
        return None
    process = event.process
    name = program(process)
    if name in INTERPRETERS:
        script = (event.script or (process.args[1] if len(process.args) > 1 else "")).rpartition("/")[2]
        if process.args[1:3] == ("-m", "azure.cli"):
            script = "az"
        name = {"gcloud.py": "gcloud", "gsutil.py": "gsutil"}.get(script, script)
    if name not in CLOUD_CLIS or process.args[-1:] in (("--version",), ("version",), ("--help",)):
        return None
    reasons = []
    if process.drift or event.script_drift:
        reasons.append("the tool is not from the image")
    if process.tty or process.entered:
        reasons.append("entered from outside")
    asks_who = re.search(
        r"get-caller-identity|account (?:show|list|get-access-token)|auth (?:list|print-(?:access|identity)-token)|list-(?:buckets|secrets|users|roles)|secretsmanager|keyvault secret|print-access-token",
        process.command_line,
    )
    if asks_who:
        reasons.append(f"asks who it is or for secrets ({asks_who.group()})")
    return Match(
        f"{name} runs: {process.command_line[:160]}",
        Severity.MEDIUM if asks_who or process.drift else None,
        tuple(reasons),
        key=name,
    )
