"""Coin mining: programs, downloads, pools, and a host tuned for it; bandwidth sold the same way."""

from __future__ import annotations

import re
from datetime import timedelta

from seawall.detection.declaration import Logic, detection
from seawall.detection.indicators import indicators
from seawall.detection.processes import (
    DOWNLOADERS,
    INTERPRETERS,
    SHELLS,
    domain_entity,
    hosts,
    ip_entity,
    is_hidden,
    is_temporary,
    on_platform,
    program,
    told,
    urls,
)
from seawall.detection.rules.runtime import DNS, EXECS, PEERS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import Connect, DnsMessage, DnsQuery, ProcessExec
from seawall.domain.severity import Severity

_STOP = "Stop the workload, find how the miner came in, and rotate what the pod could read."
_POOL_URL = re.compile(r"\bstratum(?:\d?\+(?:tcp|ssl|tls|udp)|s)?://", re.IGNORECASE)
_FLAGS = re.compile(
    r"(?:^|\s)(?:--donate-level|--randomx-[a-z0-9-]+|--cpu-max-threads-hint|--coin[= ](?:monero|xmr|etc|rvn|kas|zeph)"
    r"|--nicehash|--rig-id|--cuda-launch|--pool-pass|--algo[= ](?:rx/|cn/|cn-|randomx|cryptonight|kawpow|ethash|etchash"
    r"|autolykos|kheavyhash|ghostrider|argon2/|astrobwt|verushash|yespower|lyra2|x11|x16r)"
    r"|-a (?:rx/|cn/|cn-|randomx|cryptonight|kawpow|ethash|etchash|ghostrider|yespower|verus))",
    re.IGNORECASE,
)
_POOL_ARGUMENT = re.compile(r"(?:^|\s)(?:-o|--url|--pool|-P|--server)[= ]\S*?([A-Za-z0-9.-]+\.[A-Za-z]{2,}):\d{2,5}\b")
_MONERO = re.compile(r"(?<![0-9A-Za-z])[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}(?:[1-9A-HJ-NP-Za-km-z]{11})?(?![0-9A-Za-z])")
_USER_WALLET = re.compile(
    r"(?:^|\s)(?:-u|--user|--wallet|-w)[= ](?:0x[0-9a-fA-F]{40}|(?:bc1|ltc1|t1|R|kaspa:)[0-9A-Za-z]{25,90})"
)


def _told_to_mine(text: str) -> str:
    if _POOL_URL.search(text):
        return "a stratum address"
    if _MONERO.search(text):
        return "a Monero wallet"
    if match := _FLAGS.search(text):
        return f"a miner's option ({match.group().strip()})"
    if _USER_WALLET.search(text) and _POOL_ARGUMENT.search(text):
        return "a pool and a wallet"
    pools = indicators().domains("mining_domains")
    for host in hosts(text):
        if host in pools:
            return f"the mining pool {host}"
    return ""


@detection(
    id="RT-0201",
    title="Coin mining",
    severity=Severity.HIGH,
    attack=("T1496.001",),
    on=ProcessExec,
    response=_STOP,
    action="mined cryptocurrency",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_DigitalCurrencyMining",),
    needs=(EXECS,),
    confidence="high",
    benign=("Workloads of a mining business: exempt the namespace.", "A search for miners (grep, ps) is left out."),
    investigate=("Read pool and wallet from the arguments.", "How did the program come here (RT-0203, RT-0101)?"),
)
def coin_mining(event: ProcessExec) -> Match | None:
    """A command line has a mining pool, a wallet, a stratum address or a miner's options, or the program is a miner.

    Looks at what the program is told, so a renamed miner is seen; downloads and searches have rules of their own.
    """
    process = event.process
    name = program(process)
    if name in _LOOKERS or name in DOWNLOADERS:
        return None
    if name in indicators().names("miner_names") and name not in SHELLS:
        return Match(f"the miner {name} runs", key=name)
    text = told(process)
    if len(text) < 12:
        return None
    why = _told_to_mine(text)
    if not why or (name in SHELLS and _only_mentions(text)):
        return None
    return Match(f"{name} was started with {why}", key=name)


_LOOKERS = frozenset(
    {
        "grep", "egrep", "fgrep", "rg", "ag", "ps", "pgrep", "pkill", "killall", "find", "cat", "less", "vi", "vim",
        "nano", "sed", "awk", "gawk", "mawk", "echo", "printf", "dig", "nslookup", "host", "getent", "git", "iptables",
        "ip6tables", "nft", "which", "ls", "rm", "chattr", "lsattr", "head", "tail", "tee", "kubectl", "docker", "crictl",
    }
)  # fmt: skip
"""Programs that name a miner to look at it, block it or remove it."""
_MENTION = re.compile(r"\b(?:grep|pkill|pgrep|killall|iptables|sed|awk|curl|wget|dig|nslookup|rm)\b")


def _only_mentions(text: str) -> bool:
    return bool(_MENTION.search(text)) and not _POOL_URL.search(text)


@detection(
    id="RT-0202",
    title="Miner runs in a container",
    severity=Severity.MEDIUM,
    attack=("T1496.001",),
    on=ProcessExec,
    response=_STOP,
    action="ran a miner",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_CryptoCoinMinerArtifacts",),
    needs=(EXECS,),
    confidence="high",
    benign=("Mining workloads on purpose.",),
    investigate=("Is the miner part of the image, or was it brought (RT-0101)?",),
)
def miner_in_container(event: ProcessExec) -> Match | None:
    """A program in a container has a miner's file name, or a miner's name as its own idea of itself (args[0])."""
    if event.container is None or not event.process.args:
        return None
    names = indicators().names("miner_names")
    own, said = program(event.process), event.process.args[0].rpartition("/")[2].lower().lstrip("-")
    for name in (own, said):
        if name in names and name not in SHELLS:
            return Match(f"{name} ({event.process.exe}) runs in a container", key=name)
    return None


_MINER_FILE = re.compile(
    r"(?:xmrig|xmr-stak|cpuminer|minerd|ethminer|t-rex-|lolminer|nbminer|phoenixminer|teamredminer|srbminer|cgminer"
    r"|bfgminer|nanominer|gminer_|kdevtmpfsi|kinsing|c3pool_?(?:miner|setup)|setup_(?:moneroocean|c3pool)_miner"
    r"|moneroocean|xmr[-_.]?(?:linux|miner|static)|(?:^|[/_.-])miner(?:[._-]|$))",
    re.IGNORECASE,
)


_FETCHING = ("curl", "wget", "urlretrieve", "urlopen", "requests.get", "LWP", "http.get", "https.get")
"""Words of a text that fetches something."""


@detection(
    id="RT-0203",
    title="Coin miner was downloaded",
    severity=Severity.MEDIUM,
    attack=("T1105", "T1496.001"),
    on=ProcessExec,
    response="Find what started the download and remove the file.",
    action="downloaded a coin miner",
    logic=Logic.LIST,
    programs=DOWNLOADERS | SHELLS | INTERPRETERS | frozenset({"git"}),
    catalogue=("K8S.NODE_CryptoCoinMinerDownload",),
    needs=(EXECS,),
    confidence="high",
    benign=("A scan or research machine.",),
    investigate=("Was the file run afterwards (RT-0201, RT-0101)?",),
)
def miner_download(event: ProcessExec) -> Match | None:
    """A download tool fetches a file, or from a host, that belongs to miners."""
    text = told(event.process)
    name = program(event.process)
    if name in SHELLS | INTERPRETERS and not any(tool in text for tool in _FETCHING):
        return None
    pools = indicators().domains("mining_domains")
    for host, path in urls(text):
        if host in pools or _MINER_FILE.search(path):
            return Match(f"{name} fetches {host}{path}", entities=(domain_entity(host),), key=f"{host}{path}")
    if name in DOWNLOADERS:
        for argument in event.process.args[1:]:
            if not argument.startswith("-") and _MINER_FILE.search(argument):
                return Match(f"{name} fetches {argument}", key=argument)
    return None


@detection(
    id="RT-0204",
    title="Program started the way miners are started",
    severity=Severity.MEDIUM,
    attack=("T1496.001",),
    on=ProcessExec,
    response=_STOP,
    action="started a program the way miners are started",
    catalogue=("K8S.NODE_CryptoCoinMinerExecution",),
    needs=(EXECS,),
    benign=("Benchmarks with thread and affinity options in a temporary folder.",),
    investigate=("Does the process use its whole CPU limit?", "What does it connect to?"),
)
def miner_style(event: ProcessExec) -> Match | None:
    """A program from a temporary or hidden place, or a detached one, has pool, thread and affinity options."""
    process = event.process
    text = process.command_line
    pool = _POOL_ARGUMENT.search(text) is not None
    tuning = re.search(
        r"(?:^|\s)(?:--cpu-affinity|--cpu-priority|--threads?|-t|-B|--background|--no-huge-pages|--huge-pages|--keepalive"
        r"|--max-cpu-usage|--tls|-k)(?:[= ]|$)",
        text,
    )
    credentials = re.search(r"(?:^|\s)(?:-u|--user|-p|--pass|--wallet)[= ]\S+", text)
    odd_place = is_temporary(process.exe) or is_hidden(process.exe) or process.drift or process.memfd
    hidden_name = bool(process.args) and process.args[0].startswith(("[", "kworker", "ksoftirq"))
    if (pool and credentials and tuning) or (odd_place and pool and (tuning or credentials)):
        return Match(f"{process.exe} was started with pool and tuning options", key=process.exe)
    if odd_place and hidden_name:
        return Match(f"{process.exe} calls itself {process.args[0]}, a kernel thread", key=process.exe)
    return None


@detection(
    id="RT-0205",
    title="Host tuned for mining",
    severity=Severity.HIGH,
    attack=("T1496.001",),
    on=ProcessExec,
    response="Isolate the pod: it had the power to change the node. Look for a miner on the node.",
    action="tuned the host for mining",
    programs=SHELLS | frozenset({"modprobe", "wrmsr", "insmod", "sysctl", "cpupower", "cpufreq-set", "tee", "kmod"}),
    catalogue=("K8S.NODE_CpuOptimization†",),
    needs=(EXECS,),
    confidence="high",
    benign=("Node-tuning DaemonSets of the platform (left out in platform namespaces).", "Database huge pages."),
    investigate=("Is the container privileged? Who deployed it?",),
)
def tuned_for_mining(event: ProcessExec) -> Match | None:
    """A container loads the msr module, writes model-specific registers, sets huge pages or the CPU governor.

    Miners do this for RandomX (xmrig's documentation, "MSR mod" and "huge pages").
    """
    if event.container is None or on_platform(event):
        return None
    text = told(event.process)
    name = program(event.process)
    if name in ("modprobe", "insmod", "kmod") and re.search(r"(?:^|[\s/])msr(?:\.ko\S*)?(?:\s|$)", text):
        return Match(f"the msr module is loaded: {text[:120]}", key="msr")
    if name == "wrmsr":
        return Match(f"a model-specific register is written: {text[:120]}", key="msr")
    if name in ("sysctl", "tee", *SHELLS) and re.search(r"nr_hugepages|scaling_governor|/dev/cpu/\d+/msr", text):
        return Match(f"the node's memory or CPU is tuned: {text[:120]}", key="tuning")
    if name in ("cpupower", "cpufreq-set"):
        return Match(f"the CPU governor is changed: {text[:120]}", key="tuning")
    if name in SHELLS and re.search(r"modprobe\s+(?:-\S+\s+)*msr\b|\bwrmsr\b", text):
        return Match(f"a script loads the msr module: {text[:120]}", key="msr")
    return None


_RIVALS = re.compile(
    r"xmr|miner|kinsing|kdevtmpfsi|kthreaddi|watchbog|ddgs|sysrv|stratum|cryptonight|randomx|nanopool|supportxmr"
    r"|(?::|\b)(?:3333|4444|5555|7777|14444|45700)\b",
    re.IGNORECASE,
)


@detection(
    id="RT-0206",
    title="Rival miners are killed",
    severity=Severity.MEDIUM,
    attack=("T1496.001", "T1489"),
    on=ProcessExec,
    response="Whoever does this brings a miner of their own: stop the container and look for it.",
    action="killed rival miners",
    logic=Logic.CORRELATION,
    programs=SHELLS | frozenset({"pkill", "killall", "killall5", "kill", "pgrep", "fuser"}),
    catalogue=("K8S.NODE_MinerKills†",),
    needs=(EXECS,),
    confidence="high",
    benign=("Clean-up scripts of an administrator after an infection.",),
    investigate=("Read the whole script: it downloads its own miner next.",),
    window=timedelta(minutes=5),
    by="scope",
    threshold=2,
    distinct="command",
)
def rivals_killed(event: ProcessExec) -> Match | None:
    """Two or more different commands within five minutes kill processes by names or ports that only miners have."""
    name = program(event.process)
    text = told(event.process)
    if name in SHELLS and not re.search(r"\b(?:pkill|killall|kill|fuser)\b", text):
        return None
    found = _RIVALS.search(text)
    return Match(f"kills by {found.group()}: {text[:120]}", key="kills") if found else None


@detection(
    id="RT-0207",
    title="Connection to a mining pool",
    severity=Severity.HIGH,
    attack=("T1496.001", "T1071"),
    on=Connect,
    response=_STOP,
    action="connected to a mining pool",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_MiningPoolAccess†",),
    needs=(PEERS, DNS),
    confidence="high",
    benign=("Pool statistics pages opened by a person.",),
    investigate=("Which program connects? Keep it.",),
)
def mining_pool_connection(event: Connect) -> Match | None:
    """A process connects to an address that the pod resolved from a mining pool's name."""
    pool = event.host and indicators().domains("mining_domains").find(event.host)
    if not pool:
        return None
    return Match(
        f"{event.process} connects to the mining pool {event.host}:{event.port}",
        entities=(domain_entity(event.host), ip_entity(event.address)),
        key=pool,
    )


@detection(
    id="RT-0208",
    title="Mining pool's name was resolved",
    severity=Severity.LOW,
    attack=("T1496.001",),
    on=DnsQuery,
    response="Find the process that asked; a miner resolves its pool before it connects.",
    action="looked up a mining pool",
    logic=Logic.LIST,
    catalogue=("AzureDNS_CurrencyMining", "K8S.NODE_CurrencyMining"),
    needs=(DNS,),
    benign=("A person reading a pool's page; ad-block lists being tested.",),
    investigate=("Does the same pod connect there (RT-0207)?",),
)
def mining_pool_name(event: DnsMessage) -> Match | None:
    """A pod asks for the name of a mining pool."""
    pool = indicators().domains("mining_domains").find(event.name)
    if not pool:
        return None
    return Match(
        f"{event.process.name or 'a process'} resolves {event.name}", entities=(domain_entity(event.name),), key=pool
    )


@detection(
    id="RT-0209",
    title="Bandwidth-selling client",
    severity=Severity.MEDIUM,
    attack=("T1496.002",),
    on=ProcessExec,
    response="Remove it: strangers' traffic leaves from your address.",
    action="sold its bandwidth",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_Proxyware†",),
    needs=(EXECS,),
    confidence="high",
    benign=("Installed on purpose by whoever owns the machine.",),
    investigate=("Whose account is in the arguments?",),
)
def proxyware(event: ProcessExec) -> Match | None:
    """A client that sells the node's bandwidth runs, by file name or by the image's name."""
    names = indicators().names("proxyware_names")
    name = program(event.process)
    if name in names:
        return Match(f"the bandwidth-selling client {name} runs", key=name)
    container = event.container
    if container is not None and container.image:
        repository = container.image.rpartition("/")[2].partition("@")[0].partition(":")[0]
        if repository in names:
            return Match(f"the image {container.image} is a bandwidth-selling client", key=repository)
    return None
