"""Downloads, and what happens to them next; data that leaves."""

from __future__ import annotations

import re
from datetime import timedelta

from seawall.detection.declaration import Logic, detection
from seawall.detection.indicators import indicators
from seawall.detection.processes import (
    DOWNLOADERS,
    INTERPRETERS,
    PACKAGE_MANAGERS,
    SHELLS,
    addresses,
    by_package_manager,
    domain_entity,
    file_entity,
    hosts,
    in_build,
    ip_entity,
    is_hidden,
    is_temporary,
    program,
    told,
    urls,
)
from seawall.detection.rules.runtime import EXECS, FILES
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import FileChmod, FileEvent, FileOpen, ProcessExec
from seawall.domain.severity import Severity

_CLIENTS = (
    DOWNLOADERS
    | SHELLS
    | INTERPRETERS
    | frozenset({"git", "scp", "sftp", "rsync", "nc", "ncat", "openssl", "aws", "gsutil", "az"})
)
_OUTPUT = re.compile(r"(?:^|\s)(?:-o|--output|-O|--output-document|-P|--directory-prefix|--dir|-d)[= ]?(\S+)")


@detection(
    id="RT-0401",
    title="Download from a known bad source",
    severity=Severity.MEDIUM,
    attack=("T1105",),
    on=ProcessExec,
    response="Block the source, find what started the download, remove the file.",
    action="downloaded from a known bad source",
    logic=Logic.LIST,
    programs=_CLIENTS,
    catalogue=("K8S.NODE_SuspectDownload",),
    needs=(EXECS, "threat lists of domains and addresses"),
    confidence="high",
    benign=("Researchers and threat-feed collectors.",),
    investigate=("Was the file run afterwards?",),
)
def bad_source(event: ProcessExec) -> Match | None:
    """A download tool is given a URL whose host is on a threat list."""
    lists = indicators()
    for host, path in urls(told(event.process)):
        if lists.domains("threat_domains").find(host) or host in lists.addresses("threat_addresses"):
            entity = ip_entity(host) if host[:1].isdigit() else domain_entity(host)
            return Match(f"{program(event.process)} fetches {host}{path}", entities=(entity,), key=host)
    return None


_SCRIPT_AS_PICTURE = re.compile(r"\.(?:jpe?g|png|gif|ico|bmp|css|txt|log|dat)(?:\?\S*)?$", re.IGNORECASE)


@detection(
    id="RT-0402",
    title="Odd-looking download",
    severity=Severity.INFORMATIONAL,
    attack=("T1105",),
    on=ProcessExec,
    response="Look at the file and at what it was fetched for.",
    action="downloaded something odd",
    programs=_CLIENTS,
    catalogue=("K8S.NODE_SuspectDownloadArtifacts",),
    needs=(EXECS,),
    confidence="low",
    benign=(
        "Start-up scripts that fetch tools to /tmp.",
        "Internal services addressed by number (private addresses are left out).",
    ),
    investigate=("Is the file made executable or run (RT-0404, RT-0101)?",),
)
def odd_download(event: ProcessExec) -> Match | None:
    """A download goes to a temporary or hidden place, comes from a bare public address, a paste or anonymous file host,
    or hides a script behind a picture's name."""
    process = event.process
    if in_build(event):
        return None
    text = told(process)
    name = program(process)
    if name not in DOWNLOADERS and not re.search(
        r"\b(?:curl|wget|urlopen|urlretrieve|requests\.get|LWP|fsockopen)\b", text
    ):
        return None
    reasons = []
    for host, path in urls(text):
        if host[:1].isdigit() and addresses(host) and not _private(host):
            reasons.append(f"a bare address ({host})")
        if host in indicators().domains("paste_domains"):
            reasons.append(f"a paste or file host ({host})")
        output = _OUTPUT.search(text)
        if (
            output
            and _SCRIPT_AS_PICTURE.search(path)
            and re.search(r"\.(?:sh|py|pl|elf|bin)$|^/(?:usr/)?s?bin/", output.group(1))
        ):
            reasons.append("a script or program under another kind of name")
    output = _OUTPUT.search(text)
    target = output.group(1) if output else ""
    if target and target != "/dev/null" and (is_temporary(target + "/") or is_hidden(target)):
        reasons.append(f"to {target}")
    elif (
        name in DOWNLOADERS
        and is_temporary(process.cwd + "/")
        and re.search(r"(?:^|\s)-\w*O\b|\bwget\b", text)
        and urls(text)
    ):
        reasons.append(f"to {process.cwd}")
    if not reasons:
        return None
    found = urls(text)
    entities = tuple(
        ip_entity(host) if host[:1].isdigit() else domain_entity(host) for host, _ in found[:4] if not _private(host)
    )
    return Match(f"{name} fetches {'; '.join(reasons)}: {text[:160]}", reasons=tuple(reasons), entities=entities)


def _private(host: str) -> bool:
    return bool(
        re.match(
            r"(?:10|127)\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|169\.254\.|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|localhost",
            host,
        )
    )


_FETCH_AND_RUN = re.compile(
    r"\b(?:curl|wget|fetch|lwp-download|aria2c)\b[^|;&]*(?:\|\s*(?:sudo\s+)?(?:\S*/)?(?:env\s+)?(?:ba|da|a|z|k)?sh\b"
    r"|\|\s*(?:sudo\s+)?(?:python|perl|ruby|php|node)[\d.]*\b|\|\s*(?:base64|gunzip|zcat|gzip|xxd|openssl)\b[^|]*\|\s*(?:\S*/)?(?:ba|da|z)?sh\b)"
    r"|(?:ba|da|z|k)?sh\s+(?:-c\s+)?[\"']?(?:<\(|\$\(|`)\s*(?:curl|wget)\b"
    r"|\b(?:eval|source|\.)\s+[\"']?(?:<\(|\$\(|`)\s*(?:curl|wget)\b"
    r"|\b(?:curl|wget)\b(?P<to>.{0,300}?)(?:&&|;|\n)\s*(?:sudo\s+)?chmod\s+(?:\+x|u\+x|a\+x|[0-7]*[1357][0-7]{0,2})\s+(?P<made>[\w./-]+)"
    r"|\b(?:curl|wget)\b(?P<into>.{0,300}?)(?:&&|;|\n)\s*(?:nohup\s+)?(?:(?:ba|da|z)?sh|python\d?|perl)\s+(?P<run>[\w./][\w./-]*)"
    r"|\bpython[\d.]*\s+-c\s.{0,200}?(?:exec|eval|os\.system|popen|subprocess\.\w+)\s*\(\s*.{0,80}?(?:urlopen|requests\.get)"
    r"|\b(?:urlopen|requests\.get|LWP::Simple|fsockopen)\b[^\n]{0,400}?\|\s*(?:sudo\s+)?(?:\S*/)?(?:ba|da|a|z|k)?sh\b",
    re.DOTALL,
)


def _same_file(match: re.Match[str]) -> bool:
    """Whether what is run or made executable afterwards is what was fetched; pipes need no name."""
    name = (match["made"] or match["run"] or "").rpartition("/")[2]
    return not name or name in (match["to"] or match["into"] or "")


@detection(
    id="RT-0403",
    title="Downloaded and run in one command",
    severity=Severity.MEDIUM,
    attack=("T1105", "T1059.004"),
    on=ProcessExec,
    response="Fetch the script from a safe place and read it; treat the container as compromised until you did.",
    action="downloaded and ran a program",
    catalogue=("K8S.NODE_DownloadAndRunCombo",),
    programs=SHELLS | INTERPRETERS,
    needs=(EXECS,),
    confidence="high",
    benign=("Installers of the kind `curl … | sh` at image build (left out).", "Cloud-init and CI jobs on nodes."),
    investigate=("Who started the shell: a person, a web server, cron?",),
)
def download_and_run(event: ProcessExec) -> Match | None:
    """One command line fetches something and runs it: piped to a shell, or made executable and started."""
    if in_build(event) or by_package_manager(event):
        return None
    text = told(event.process)
    if not ("curl" in text or "wget" in text or "urlopen" in text or "requests" in text or "fetch" in text):
        return None
    match = next((each for each in _FETCH_AND_RUN.finditer(text[:8192]) if _same_file(each)), None)
    if match is None:
        return None
    entities = tuple(domain_entity(host) if not host[:1].isdigit() else ip_entity(host) for host, _ in urls(text)[:4])
    return Match(f"fetches and runs: {text[:200]}", entities=entities)


@detection(
    id="RT-0404",
    title="Downloaded file was made executable in a suspicious folder",
    severity=Severity.MEDIUM,
    attack=("T1222.002", "T1105"),
    on=ProcessExec,
    response="Keep the file, find what started the download.",
    action="made a download executable",
    logic=Logic.CORRELATION,
    programs=DOWNLOADERS | frozenset({"chmod", "install"}),
    catalogue=("K8S.NODE_ChmodAfterDownload†",),
    needs=(EXECS,),
    benign=("Entry points that fetch a helper to /tmp.",),
    investigate=("Is it run (RT-0101, RT-0104)?",),
    window=timedelta(minutes=15),
    by="scope",
)
def chmod_after_download(event: ProcessExec, earlier: list[ProcessExec]) -> Match | None:
    """`chmod +x` on a file in a temporary, hidden or shared-memory folder within 15 minutes after a download there."""
    process = event.process
    if program(process) not in ("chmod", "install") or in_build(event):
        return None
    if not any(
        re.fullmatch(r"[ugoa]*\+[rws]*x[rws]*|0?[0-7]*[1357][0-7]*|-m0?[0-7]*[1357][0-7]*", arg)
        for arg in process.args[1:]
    ):
        return None
    for argument in process.args[1:]:
        path = argument if argument.startswith("/") else f"{process.cwd.rstrip('/')}/{argument.removeprefix('./')}"
        if argument.startswith("-") or not (is_temporary(path) or is_hidden(path)):
            continue
        name = path.rpartition("/")[2]
        for download in earlier:
            if program(download.process) in DOWNLOADERS and name and name in download.process.command_line:
                return Match(
                    f"{path} was downloaded and made executable", entities=(file_entity(event, path),), key=path
                )
    return None


@detection(
    id="RT-0405",
    title="File made executable in a shared-memory or hidden folder",
    severity=Severity.LOW,
    attack=("T1222.002",),
    on=FileChmod,
    response="Look at the file and at what wrote it.",
    action="made a hidden file executable",
    needs=(FILES,),
    confidence="low",
    benign=("Build tools and unpackers.",),
    investigate=("Is it run?",),
)
def executable_in_odd_place(event: FileChmod) -> Match | None:
    """An execute bit is set on a file below /dev/shm, or on a hidden file in a temporary folder."""
    path = event.path
    if not event.mode & 0o111 or (event.previous_mode >= 0 and event.previous_mode & 0o111):
        return None
    if in_build(event) or by_package_manager(event):
        return None
    if path.startswith(("/dev/shm/", "/run/shm/")) or (is_temporary(path) and is_hidden(path)):
        return Match(f"{path} was made executable", entities=(file_entity(event, path),), key=path)
    return None


def _downloads_or_not_from_image(event: ProcessExec) -> bool:
    process = event.process
    if process.drift or event.script_drift or program(process) in DOWNLOADERS:
        return True
    return is_temporary(event.script or process.exe)


@detection(
    id="RT-0406",
    title="Download was run at once",
    severity=Severity.MEDIUM,
    attack=("T1105", "T1543", "T1505"),
    on=ProcessExec,
    response="Isolate the pod; keep the file; look for what it installed.",
    action="ran a download at once",
    logic=Logic.CORRELATION,
    catalogue=("K8S.NODE_LinuxBackdoorArtifact",),
    needs=(EXECS, "origin of executed files (overlay)"),
    benign=("Self-updating agents.",),
    investigate=("What did the program write and connect to?",),
    window=timedelta(minutes=10),
    concerns=_downloads_or_not_from_image,
    by="scope",
)
def download_then_exec(event: ProcessExec, earlier: list[ProcessExec]) -> Match | None:
    """A program that is not from the image, or from a temporary folder, runs within ten minutes of a download whose
    arguments name it: the pattern of backdoor installers."""
    process = event.process
    path = event.script or process.exe
    if not (process.drift or event.script_drift or is_temporary(path)) or in_build(event) or by_package_manager(event):
        return None
    name = path.rpartition("/")[2]
    if len(name) < 2:
        return None
    for download in reversed(earlier):
        if program(download.process) in DOWNLOADERS and name in re.split(r"[/\s=?&]", download.process.command_line):
            detached = any(program(item) in ("nohup", "setsid") for item in process.ancestors[:2]) or process.ppid == 1
            reasons = ("detached from its shell",) if detached else ()
            return Match(
                f"{path} was downloaded and run", reasons=reasons, entities=(file_entity(event, path),), key=path
            )
    return None


_INSTALL = {
    "apt": {"install", "full-upgrade"},
    "apt-get": {"install"},
    "aptitude": {"install"},
    "apk": {"add"},
    "yum": {"install", "localinstall"},
    "dnf": {"install"},
    "microdnf": {"install"},
    "tdnf": {"install"},
    "zypper": {"install", "in"},
    "pacman": {"-S", "-Sy", "-Syu"},
    "dpkg": {"-i", "--install"},
    "rpm": {"-i", "-U", "-ivh", "-Uvh", "--install"},
    "pip": {"install"},
    "pip3": {"install"},
    "npm": {"install", "i", "add"},
    "yarn": {"add", "install"},
    "pnpm": {"add", "install"},
    "gem": {"install"},
    "cargo": {"install"},
    "go": {"install", "get"},
}


@detection(
    id="RT-0407",
    title="Package manager used in a running container",
    severity=Severity.LOW,
    attack=("T1105",),
    on=ProcessExec,
    response="Rebuild the image with what is needed; running containers should not change.",
    action="installed packages into a running container",
    catalogue=("X_PackageManager",),
    needs=(EXECS,),
    benign=("Image builds and CI jobs (builders are left out).", "Entry points that install at start: fix the image."),
    investigate=("Which package? Compilers, scanners and network tools are what attackers install.",),
)
def package_manager(event: ProcessExec) -> Match | None:
    """apt, apk, yum, dnf, pip, npm and their like install something in a container that is not a build."""
    if event.container is None or in_build(event):
        return None
    process = event.process
    name = program(process)
    arguments = process.args[1:]
    if name in INTERPRETERS and len(process.args) > 1:
        script = process.args[1].rpartition("/")[2]
        if process.args[1] == "-m" and len(process.args) > 3:
            name, arguments = process.args[2], process.args[3:]
        elif script in _INSTALL or script in ("npm-cli.js", "yarn.js", "pnpm.cjs"):
            name, arguments = script.partition("-cli")[0].partition(".")[0], process.args[2:]
    verbs = _INSTALL.get(name)
    if not verbs or not verbs.intersection(arguments[:4]):
        return None
    if any(program(ancestor) in PACKAGE_MANAGERS for ancestor in process.ancestors):
        return None
    if "CI" in event.container.labels or event.container.image.partition("@")[0].rpartition("/")[2].startswith(
        "gitlab-runner"
    ):
        return None
    return Match(f"{name} installs: {process.command_line[:160]}", key=name)


_EGRESS = re.compile(
    r"\b(?:tar|zip|gzip|7z|mysqldump|pg_dump|mongodump|find|cat)\b[^|;]*\|\s*(?:\S*/)?(?:curl|wget|nc|ncat|netcat|socat|ssh|openssl)\b"
    r"|\b(?:tar|zip|7z|gzip)\b.{1,300}?(?:&&|;|\n)\s*(?:\S*/)?(?:curl\b.{0,200}?(?:\s-T|\s-F|--upload-file|--data-binary|\s-d)\b|scp\b|rsync\b|aws\s+s3|gsutil|az\s+storage|rclone|mc\s+cp)",
    re.DOTALL,
)
_UPLOAD = re.compile(r"(?:^|\s)(?:-T|--upload-file|-F|--form|--data-binary|--post-file|--body-file)[= ]?\S*")
_PRECIOUS = re.compile(
    r"/etc/(?:passwd|shadow|kubernetes)|\.ssh/|id_(?:rsa|ed25519|ecdsa)|\.aws/|\.kube/config|\.git-credentials|\.docker/config"
    r"|/var/run/secrets/|/run/secrets/|\.env\b|\.(?:sql|dump|bak|pem|key|kdbx)(?:\.gz|\.zst)?\b|@/?(?:tmp|dev/shm|var/tmp)/|/(?:tmp|dev/shm)/\S+\.(?:tgz|tar|zip|gz|7z)"
)


@detection(
    id="RT-0408",
    title="Data may be leaving",
    severity=Severity.MEDIUM,
    attack=("T1048", "T1041"),
    on=ProcessExec,
    response="Cut the pod's egress, keep the archive, find out what it held.",
    action="sent data out",
    catalogue=("K8S.NODE_DataEgressArtifacts",),
    needs=(EXECS,),
    benign=("Backup jobs: exempt their workload.", "`kubectl cp` (a tar process without a network part) is left out."),
    investigate=("What is in the archive, who owns the destination?",),
)
def data_egress(event: ProcessExec) -> Match | None:
    """Something is packed and sent in one go, an upload names key, database or archive files, or a copy goes to a
    cloud bucket or host outside from a place where data is gathered."""
    process = event.process
    name = program(process)
    text = told(process)
    if in_build(event):
        return None
    found = tuple(
        domain_entity(host) if not host[:1].isdigit() else ip_entity(host)
        for host, _ in urls(text)[:4]
        if not _private(host) and not host.endswith((".svc", ".cluster.local", ".internal"))
    )
    if name in SHELLS and len(text) > 16 and _EGRESS.search(text[:8192]):
        return Match(f"packs and sends: {text[:200]}", entities=found)
    if name in ("curl", "wget") and _UPLOAD.search(text) and _PRECIOUS.search(text) and found:
        return Match(f"uploads: {text[:200]}", entities=found)
    if name in ("scp", "rsync", "sftp", "rclone", "gsutil", "aws", "azcopy", "s3cmd", "mc") and _PRECIOUS.search(text):
        sends = re.search(r"\b(?:cp|sync|mv|copy|put|upload)\b|\S+@\S+:|s3://|gs://|https://", text)
        if sends and event.container is not None:
            return Match(f"{name} sends: {text[:200]}", entities=found)
    if (
        name in ("curl", "wget", "nc", "ncat")
        and any(host in indicators().domains("paste_domains") for host in hosts(text))
        and (_UPLOAD.search(text) or re.search(r"(?:^|\s)(?:-d|--data\S*)[= ]", text) or name in ("nc", "ncat"))
    ):
        return Match(f"sends to a paste or file host: {text[:200]}", entities=found)
    return None


@detection(
    id="RT-0409",
    title="Program file written into a system folder",
    severity=Severity.MEDIUM,
    attack=("T1036.005", "T1543"),
    on=FileEvent,
    response="Compare the file with the image's; stop the container.",
    action="wrote a program into a system folder",
    needs=(FILES,),
    benign=(
        "Package managers (left out).",
        "Entry points that link tools at start: links within the folder are left out.",
    ),
    investigate=("Which process wrote it, and is it executed?",),
)
def system_folder_written(event: FileEvent) -> Match | None:
    """A container writes or renames a file into /bin, /sbin, /usr/bin, /usr/sbin or a library folder after start."""
    if (
        event.container is None
        or in_build(event)
        or by_package_manager(event)
        or program(event.process) in PACKAGE_MANAGERS
    ):
        return None
    if isinstance(event, FileOpen) and not event.writes:
        return None
    if type(event).__name__ not in ("FileOpen", "FileRename"):
        return None
    path = event.changed
    if not path.startswith(
        ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/lib/", "/lib64/", "/usr/lib/", "/usr/local/sbin/")
    ):
        return None
    if (
        program(event.process) in ("ldconfig", "update-ca-certificates", "c_rehash", "pip", "npm")
        or path.endswith((".pyc", ".pem", ".crt"))
        or "/__pycache__/" in path
        or "/python" in path
        or "/node_modules/" in path
    ):
        return None
    loader = re.search(r"/ld-(?:linux|musl)[^/]*\.so", path)
    return Match(
        f"{event.process} wrote {path}",
        Severity.HIGH if loader else None,
        ("the dynamic loader runs in every program",) if loader else (),
        (file_entity(event, path),),
        path,
    )
