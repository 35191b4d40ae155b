"""Offensive tools by name and by the way they are used."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta

from seawall.detection.declaration import Logic, detection
from seawall.detection.indicators import indicators
from seawall.detection.processes import (
    INTERPRETERS,
    SHELLS,
    ip_entity,
    on_platform,
    program,
    script_text,
    told,
)
from seawall.detection.rules.runtime import EXECS, FILES, PEERS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import Connect, FileEvent, FileUnlink, ProcessExec
from seawall.domain.severity import Severity


def _named(event: ProcessExec, *lists: str) -> str:
    """The listed name of the program, or of the script that an interpreter runs."""
    candidates: Iterable[str] = (program(event.process),)
    if event.script:
        candidates = (*candidates, event.script.rpartition("/")[2])
    elif program(event.process) in INTERPRETERS and len(event.process.args) > 1:
        candidates = (*candidates, event.process.args[1].rpartition("/")[2])
    for name in candidates:
        bare = name.lower().removesuffix(".py").removesuffix(".pl").removesuffix(".elf").removesuffix(".rb")
        for listed in lists:
            names = indicators().names(listed)
            if name in names or bare in names:
                return name
    return ""


@detection(
    id="RT-0301",
    title="Linux botnet client",
    severity=Severity.MEDIUM,
    attack=("T1059.004", "T1071"),
    on=ProcessExec,
    response="Isolate the pod and keep the file.",
    action="ran a botnet client",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_CommonBot",),
    needs=(EXECS,),
    benign=("A program that shares the name by chance: check its path and hash.",),
    investigate=("What does it connect to?", "Which way did it come in: download, exposed service, image?"),
)
def botnet_client(event: ProcessExec) -> Match | None:
    """The program's file name is that of a known Linux bot family, or it sits where they drop themselves."""
    name = _named(event, "bot_names")
    if name:
        return Match(f"{name} is the name of a botnet client", key=name)
    if re.fullmatch(
        r"/(?:tmp|var/tmp|dev/shm)/(?:\.x|\.X\d+-unix/\S+|bot\.(?:x86|arm\d?|mips|sh)|x86_64\.bot)", event.process.exe
    ):
        return Match(f"{event.process.exe} is where botnet clients drop themselves", key=event.process.exe)
    return None


@detection(
    id="RT-0302",
    title="Denial-of-service toolkit",
    severity=Severity.MEDIUM,
    attack=("T1498", "T1499"),
    on=ProcessExec,
    response="Stop the container: attacks on others leave from your addresses.",
    action="ran a denial-of-service toolkit",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_KnownLinuxDDoSToolkit",),
    needs=(EXECS,),
    benign=("Load tests that use such a tool on purpose.",),
    investigate=("Which target is in the arguments?",),
)
def ddos_program(event: ProcessExec) -> Match | None:
    """A program or script with the name of a denial-of-service kit runs."""
    name = _named(event, "ddos_names")
    return Match(f"{name} is a denial-of-service tool", key=name) if name else None


@detection(
    id="RT-0303",
    title="File of a denial-of-service toolkit was written",
    severity=Severity.MEDIUM,
    attack=("T1498", "T1499"),
    on=FileEvent,
    response="Remove the file and find what wrote it.",
    action="wrote a denial-of-service toolkit to disk",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_KnownLinuxDDoSToolkit",),
    needs=(FILES,),
    benign=("Load-test images being built.",),
    investigate=("Is it executed afterwards (RT-0302)?",),
)
def ddos_file(event: FileEvent) -> Match | None:
    """A file with the name of a denial-of-service kit or bot is created in a container or on a node."""
    if isinstance(event, FileUnlink) or not getattr(event, "creates", True):
        return None
    name = event.changed.rpartition("/")[2]
    if name in indicators().names("ddos_names") or name in indicators().names("bot_names"):
        return Match(f"{event.changed} was written", key=name)
    return None


_SCANNER_USE = re.compile(
    r"(?:^|\s)(?:-sS|-sT|-sU|-sn|-sV|-Pn|-A|-O|--script[= ]|--rate[= ]|--top-ports)|(?:\d{1,3}\.){3}\d{1,3}/\d{1,2}\b"
)


@detection(
    id="RT-0304",
    title="Offensive tool was executed",
    severity=Severity.MEDIUM,
    attack=("T1588.002", "T1059.004"),
    on=ProcessExec,
    response="Find who runs it; outside an agreed test treat the container as compromised.",
    action="ran an attack tool",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_KnownLinuxAttackTool",),
    needs=(EXECS,),
    benign=("Agreed penetration tests and security images.",),
    investigate=("What are the targets in the arguments?", "How did the tool come here?"),
)
def attack_tool(event: ProcessExec) -> Match | None:
    """A scanner, brute-forcer, exploit framework or privilege-escalation helper runs, by file or script name."""
    name = _named(event, "attack_tools")
    return Match(f"the offensive tool {name} runs", key=name) if name else None


@detection(
    id="RT-0305",
    title="Credential theft tool was executed",
    severity=Severity.MEDIUM,
    attack=("T1003", "T1552"),
    on=ProcessExec,
    response="Rotate every credential that the container or node could read.",
    action="ran a credential theft tool",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_KnownLinuxCredentialAccessTool",),
    needs=(EXECS,),
    benign=("Secret scanners in CI; core-dump tools used by developers (procdump).",),
    investigate=("What did it write, and did anything leave?",),
)
def credential_tool(event: ProcessExec) -> Match | None:
    """A credential dumper or harvester runs, by name or by options that only they have."""
    name = _named(event, "credential_tools")
    if name:
        return Match(f"the credential tool {name} runs", key=name)
    text = told(event.process)
    if program(event.process) in ("gcore", "gdb", "procdump") and re.search(
        r"\b(?:sshd|gnome-keyring|gdm|vsftpd|lsass|sudo)\b", text
    ):
        return Match(f"memory of a credential holder is dumped: {text[:120]}", key="dump")
    if program(event.process) == "strings" and re.search(r"/proc/\d+/(?:mem|environ)|/dev/mem", text):
        return Match(f"memory is searched for texts: {text[:120]}", key="strings")
    return None


@detection(
    id="RT-0306",
    title="Kubernetes penetration tool was executed",
    severity=Severity.LOW,
    attack=("T1613",),
    on=ProcessExec,
    response="Ask who is testing; outside an agreed test treat the pod as compromised.",
    action="ran a Kubernetes attack tool",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_PenTestTool†",),
    needs=(EXECS,),
    benign=("Agreed tests.", "AWS's `cdk` is a Node.js script and does not match."),
    investigate=("Which service account does the pod have, and what did it do at the API server?",),
)
def kubernetes_tool(event: ProcessExec) -> Match | None:
    """kube-hunter, peirates, kdigger, cdk, deepce and their like start in a pod."""
    name = _named(event, "kubernetes_tools")
    if not name or (name == "cdk" and event.process.name != "cdk"):
        return None
    return Match(f"the Kubernetes penetration tool {name} runs", key=name)


@detection(
    id="RT-0307",
    title="Network scanning tool",
    severity=Severity.MEDIUM,
    attack=("T1046",),
    on=ProcessExec,
    response="Find who started it; look for connections that succeeded.",
    action="ran a network scanner",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_NetworkScanTool†",),
    needs=(EXECS,),
    confidence="high",
    benign=("Network diagnosis by an administrator.", "Monitoring that uses fping: exempt its image."),
    investigate=("Which range and ports?", "Was it part of the image?"),
)
def network_scanner(event: ProcessExec) -> Match | None:
    """nmap, masscan, zmap, naabu, rustscan, fscan and their like run; or netcat sweeps ports."""
    name = _named(event, "network_scanners")
    text = event.process.command_line
    if name:
        if name == "fping" and on_platform(event):
            return None
        ranges = _SCANNER_USE.search(text)
        return Match(f"{name} runs: {text[:160]}", reasons=("scan options or a range",) if ranges else (), key=name)
    if program(event.process) in ("nc", "ncat", "netcat", "nc.openbsd", "nc.traditional") and re.search(
        r"\s-\w*z\w*\b.*\s\d{1,5}-\d{1,5}\b", text
    ):
        return Match(f"netcat sweeps ports: {text[:160]}", key="netcat")
    shell = script_text(event.process) if program(event.process) in SHELLS else ""
    if shell and re.search(r"\bseq\b|\{\d+\.\.\d+\}", shell) and re.search(r"/dev/tcp/|\bnc\b.*-z|\bping\b.*-c", shell):
        return Match("a shell loop probes addresses or ports", key="loop")
    return None


@detection(
    id="RT-0308",
    title="Process connects to many addresses or ports",
    severity=Severity.MEDIUM,
    attack=("T1046",),
    on=Connect,
    response="Find the program; look for connections that succeeded.",
    action="scanned the network",
    logic=Logic.CORRELATION,
    catalogue=("K8S.NODE_NetworkScanTool†",),
    needs=(PEERS,),
    benign=("Monitoring, service discovery and peer-to-peer databases.", "Load balancers and crawlers."),
    investigate=("Are most attempts refused or unanswered?",),
    window=timedelta(minutes=1),
    by="actor_process",
    threshold=60,
    distinct="subject",
)
def connect_fan_out(event: Connect) -> Match | None:
    """One process tries 60 different address and port pairs within a minute and few of them answer.

    Counts refused, unreachable and timed-out attempts only: clients of many services get answers.
    """
    if event.family == "unix" or event.result in (0, 115) or on_platform(event):
        return None
    return Match(f"{event.process} probes {event.subject}", entities=(), key=event.process.exe)


@detection(
    id="RT-0309",
    title="Backdoor or tunnelling program",
    severity=Severity.MEDIUM,
    attack=("T1090", "T1572", "T1219"),
    on=ProcessExec,
    response="Cut the pod's egress and find the far end of the tunnel.",
    action="ran a backdoor or tunnel",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_BackdoorProxyBinary†",),
    needs=(EXECS,),
    benign=("Tunnels that developers use on purpose.", "tinyproxy or frp as a declared workload: exempt its image."),
    investigate=("Which address does it dial, which port does it open?",),
)
def tunnel_tool(event: ProcessExec) -> Match | None:
    """chisel, frp, ngrok, gs-netcat, ligolo and their like run; also cloudflared or ssh used as a quick tunnel."""
    name = _named(event, "tunnel_tools")
    if name:
        return Match(f"the tunnelling program {name} runs: {event.process.command_line[:120]}", key=name)
    process = event.process
    if program(process) == "cloudflared" and process.drift and "tunnel" in process.args:
        return Match("cloudflared, which is not from the image, opens a tunnel", key="cloudflared")
    return None


@detection(
    id="RT-0310",
    title="MITRE Caldera agent",
    severity=Severity.MEDIUM,
    attack=("T1071", "T1059"),
    on=ProcessExec,
    response="Ask who is testing; else treat it as a backdoor: the agent takes orders from its server.",
    action="ran a Caldera agent",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_MitreCalderaTools",),
    needs=(EXECS,),
    confidence="high",
    benign=("Agreed emulation exercises.",),
    investigate=("Which server is in the arguments?",),
)
def caldera_agent(event: ProcessExec) -> Match | None:
    """The agent (sandcat, manx, ragdoll) is fetched or started: its file names, header and options (Caldera's docs)."""
    text = told(event.process)
    if re.search(r"(?:^|[/\s])(?:sandcat\.go|sandcat|manx\.go|ragdoll\.py)\b", text) or (
        "/file/download" in text and re.search(r"file:\s*(?:sandcat|manx|ragdoll)", text)
    ):
        return Match(f"a Caldera agent: {text[:160]}", key="caldera")
    if program(event.process) == "splunkd" and re.search(r"-server\s+https?://\S+\s.*-group\s", text):
        return Match(f"a Caldera agent under its default name: {text[:160]}", key="caldera")
    return None


_NETCAT = frozenset({"nc", "ncat", "netcat", "nc.openbsd", "nc.traditional", "socat", "pwncat"})


@detection(
    id="RT-0311",
    title="Netcat listens or runs a program",
    severity=Severity.MEDIUM,
    attack=("T1095", "T1059.004"),
    on=ProcessExec,
    response="Close the port or connection and read what went over it.",
    action="opened a netcat listener or shell",
    programs=_NETCAT,
    catalogue=("K8S.NODE_Netcat†",),
    needs=(EXECS,),
    benign=("Port checks (`nc -z`) are left out.", "socat as a sidecar that forwards one port: exempt its image."),
    investigate=("Who is at the other end?",),
)
def netcat(event: ProcessExec) -> Match | None:
    """nc, ncat or socat listens, or gives a program to whoever connects."""
    args = event.process.args[1:]
    text = " ".join(args)
    name = program(event.process)
    if name == "socat":
        if re.search(r"\b(?:EXEC|SYSTEM|SHELL):", text, re.IGNORECASE):
            return Match(
                f"socat hands a program to a connection: {text[:160]}", Severity.HIGH, ("runs a program",), key="exec"
            )
        if re.search(r"\b(?:TCP|UDP|OPENSSL|SCTP)[46]?-(?:LISTEN|L):", text, re.IGNORECASE) and not on_platform(event):
            return Match(f"socat listens: {text[:160]}", key="listen")
        return None
    if any(re.fullmatch(r"-\w*[ec]|--exec|--sh-exec|--lua-exec", arg) for arg in args) or re.search(
        r"(?:^|\s)-\w*[ec]\s*/?(?:\w+/)*(?:ba|da|z|k)?sh\b", text
    ):
        return Match(
            f"{name} hands a program to a connection: {text[:160]}", Severity.HIGH, ("runs a program",), key="exec"
        )
    if any(re.fullmatch(r"-\w*l\w*|--listen", arg) for arg in args):
        return Match(f"{name} listens: {text[:160]}", key="listen")
    return None


@detection(
    id="RT-0312",
    title="Remote administration from a workload by brute force",
    severity=Severity.MEDIUM,
    attack=("T1110",),
    on=Connect,
    response="Cut the pod's access to that port and read the target's authentication log.",
    action="guessed passwords of other machines",
    logic=Logic.CORRELATION,
    catalogue=("X_BruteForce",),
    needs=(PEERS,),
    benign=("Connection pools that are misconfigured and reconnect endlessly.", "Health checks (few per minute)."),
    investigate=("Did one attempt last longer than the others? That one may have succeeded.",),
    window=timedelta(minutes=1),
    by="scope+address+port",
)
def brute_force(event: Connect, earlier: list[Connect]) -> Match | None:
    """Thirty connections within a minute from one pod to one login port (SSH, RDP, VNC, databases, LDAP, FTP, Telnet).

    Databases count only when the connecting program is a scripting or attack tool: applications have pools. Equal
    connections come folded: their number is what counts.
    """
    if event.port not in _LOGIN_PORTS and not (
        event.port in _DATABASE_PORTS and program(event.process) in INTERPRETERS | SHELLS | _GUESSERS
    ):
        return None
    number = event.count + sum(each.count for each in earlier)
    if number < 30:
        return None
    return Match(
        f"{event.process} tries {event.address}:{event.port} again and again",
        entities=(ip_entity(event.address),),
        key=f"{event.address}:{event.port}",
        features={"connections": str(number)},
    )


_LOGIN_PORTS = frozenset({21, 22, 23, 389, 445, 512, 513, 514, 636, 2222, 3389, 5900, 5901, 5985, 5986})
_DATABASE_PORTS = frozenset({1433, 1521, 3306, 5432, 5984, 6379, 9042, 9200, 11211, 27017})
_GUESSERS = frozenset({"hydra", "medusa", "ncrack", "patator", "mysql", "psql", "redis-cli", "mongosh", "mongo"})
