"""What a command line says of its purpose: credentials read, code fetched, shells handed out, traces removed.

Functions of the text alone, used on commands of exec, of workloads and of their hooks. Gaps in patterns are bounded: with
`.*` a crafted command of some kilobytes takes the engine minutes.
"""

from __future__ import annotations

import re
import shlex

MAX_COMMAND = 4096

TOKEN_PATHS = re.compile(
    r"[/\\]var[/\\]run[/\\]secrets[/\\]|/run/secrets/(kubernetes\.io|eks\.amazonaws\.com|azure/tokens|tokens)|serviceaccount/(token|ca\.crt|\*)"
    r"|/var/lib/kubelet/pods/[^ ]*token|azure-identity-token|gcp-ksa/token"
)
CREDENTIAL_PATHS = re.compile(
    r"/etc/(shadow|gshadow|sudoers)\b|/etc/kubernetes/(pki|[a-z-]*\.conf)|\.kube/config|kubeconfig"
    r"|\.aws/(credentials|config)|\.azure/(accessTokens|msal|azureProfile|service_principal)"
    r"|\.config/gcloud|application_default_credentials|\.docker/config\.json|\.dockercfg|\.git-credentials|\.netrc|\.npmrc|\.pypirc"
    r"|\.ssh/|id_(rsa|ed25519|ecdsa|dsa)\b|\.pgpass|\.my\.cnf|/proc/(\d+|self|1|\*)/environ|vault-token|\.bash_history"
    r"|/var/lib/kubelet/(kubeconfig|pki)|/var/lib/etcd|\.tfstate|/root/\.|secrets?\.ya?ml|/\.env\b|/\.vault-token|htpasswd"
)
KEY_FILES = re.compile(r"\S\.(pem|key|p12|pfx|jks|keystore|ppk)\b")
READERS = re.compile(
    r"(^|[\s|;&(/])(cat|tac|head|tail|less|more|strings|base64|xxd|od|hexdump|cp|scp|tar|gzip|dd|awk|sed|grep|nl)\s"
)
CREDENTIAL_SEARCH = re.compile(
    r"\b(e?grep|rg|find|ag)\b.{0,300}(passw|secret|token|api_?key|private.?key|BEGIN [A-Z ]*PRIVATE|credential)",
    re.IGNORECASE,
)
ENVIRONMENT = re.compile(r"(^|[;&|]\s*|\s-c\s+)(printenv|env|export -p|declare -x)(\s*$|\s*[|;&>])")
METADATA = re.compile(
    r"169\.254\.169\.254|\[?fd00:ec2::254\]?|metadata\.google\.internal|169\.254\.170\.(2|23)\b|100\.100\.100\.200|metadata\.azure\.com"
    r"|168\.63\.129\.16|\b2852039166\b|0xa9fea9fe|0251\.0376\.0251\.0376|//instance-data\b|computeMetadata/v1|latest/(meta-data|api/token)"
    r"|metadata/identity|AWS_CONTAINER_CREDENTIALS_(RELATIVE|FULL)_URI|IDENTITY_ENDPOINT|MSI_ENDPOINT",
    re.IGNORECASE,
)
REVERSE_SHELL = re.compile(
    r"\b(ba|z|da|k|a)?sh\s+-[a-z]*i[a-z]*\b[^|;]{0,300}[<>]|\bexec\s+\d+<>\s*/dev/(tcp|udp)/|[<>]&?\s*/dev/(tcp|udp)/[^ ;]{1,300}[^;]{0,300}\d>&\d|/inet/(tcp|udp)/|zsh/net/(tcp|udp)"
    r"|\b(nc|ncat|netcat|nc\.traditional|nc\.openbsd|busybox nc)\b[^|;]{0,300}\s(-[a-z]*[ec]|--(sh-)?exec|--lua-exec)\s"
    r"|\bsocat\b.{0,300}\b(exec|system|pty)\b|mkfifo\s+\S+.{0,300}\b(nc|ncat|openssl|telnet)\b|\btelnet\b.{0,300}\|.{0,300}sh\b|\bsh\b.{0,300}\|\s*telnet\b"
    r"|socket\b.{0,300}\b(dup2|pty\.spawn|subprocess|/bin/(ba|da)?sh|exec\()|pty\.spawn|fsockopen\(.{0,300}(exec|system|proc_open|sh)\b|Socket::INET.{0,300}(exec|STDIN|sh)\b"
    r"|socket\(S,PF_INET|TCPSocket\.(open|new)\b.{0,300}(exec|popen|sh)\b|openssl\s+s_client.{0,300}\|.{0,300}sh\b|net\.(createConnection|Socket|connect)\(.{0,300}(spawn|exec|sh)\b"
    r"|child_process.{0,300}net\.|require\(.socket.\).{0,300}(io\.popen|os\.execute|socket\.tcp)",
    re.IGNORECASE,
)
"""A shell or interpreter whose input and output are a connection. Waiting for a port through /dev/tcp is not one."""
SOCKET_USE = re.compile(
    r"/dev/(tcp|udp)/(?!(localhost|127\.0\.0\.1|::1)/)|\bsocket\.socket\(|\b(nc|ncat|netcat)\b[^|;]{0,300}\s-[a-z]*l",
    re.IGNORECASE,
)
DOWNLOAD = re.compile(
    r"\b(curl|wget|aria2c|fetch|axel)\b.{0,300}(https?|ftp)://|\b(curl|wget)\b\s+\S*\d+\.\d+\.\d+\.\d+", re.IGNORECASE
)
PIPED = re.compile(
    r"\b(curl|wget)\b[^|]{0,300}\|\s*(sudo\s+)?((ba|z|da|k|a)?sh|python[23]?|perl|ruby|node|php)\b|\b(base64\s+(-d|--decode|-D)|xxd\s+-r|openssl\s+base64\s+-d)\b.{0,300}\|\s*(ba|z|da)?sh\b"
    r"|\beval\b.{0,100}\$\(.{0,100}(curl|wget|base64)|\b(ba|z|da)?sh\b\s+(-c\s+)?[\"']?(<\(|\$\()\s*(curl|wget)\b",
    re.IGNORECASE,
)
DROPPED = re.compile(
    r"\b(curl|wget)\b.{0,300}(;|&&)\s*(chmod\s+\S{0,20}[x75]\S{0,20}\s|(ba|z|da)?sh\s+[/.]|\./|/tmp/|/dev/shm/|/var/tmp/)",
    re.IGNORECASE,
)
UPLOAD = re.compile(
    r"\bcurl\b.{0,300}\s(-T|--upload-file|-F\s*\S{0,100}=@|--form\s+\S{0,100}=@|-d\s*@|--data(-binary|-raw)?[= ]@)|\bwget\b.{0,300}--(post|body)-file"
    r"|\b(scp|rsync|sftp)\b.{0,300}\S@\S{1,100}:|\brclone\s+(copy|sync|move)\b|\baws\s+s3\s+(cp|sync)\b|\bgsutil\s+(cp|rsync)\b|\bazcopy\s+copy\b|\|\s*(nc|ncat)\s+\S{1,100}\s+\d",
    re.IGNORECASE,
)
ADDRESS = re.compile(
    r"\b(?:curl|wget|nc|ncat|netcat|telnet|socat|ssh|ftp|tftp|scp)\b[^|;]{0,300}?(?<![\d.])(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})(?![\d.])"
)
ESCAPE = re.compile(
    r"\bnsenter\b|\bunshare\b|\bchroot\s+/(host|rootfs|mnt|proc/1/root)|release_agent|core_pattern|/proc/1/root|\bdebugfs\b|\bmount\s+(-t|/dev/|--bind|-o)"
    r"|docker\.sock|\bdocker\s+(run|exec)\b.{0,200}(--privileged|-v\s*/:)|containerd\.sock|crio\.sock|\b(ctr|crictl|nerdctl|runc)\s|\binsmod\b|\bmodprobe\b|\bcapsh\b|/sys/kernel/(uevent_helper|debug)|/proc/sysrq-trigger|ld\.so\.preload"
)
ENUMERATION = re.compile(
    r"\b(nmap|masscan|zmap|rustscan|amicontained|peirates|kube-hunter|kubeletctl|linpeas|linenum|deepce|botb|cdk|kdigger|kubectl|xmrig|chisel|frpc|ngrok|tcpdump|arpspoof|ettercap|bettercap|hydra|mimipenguin|pspy(32|64)?)\b"
    r"|\betcdctl\b.{0,300}\b(get|snapshot\s+save|watch)\b"
)
SHELLS = frozenset(
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


MINING = re.compile(
    r"stratum\+(tcp|ssl|tls)://|--donate-level|--coin[= ](monero|xmr)|-o\s+\S{0,100}(pool|xmr|monero)\S{0,100}:\d|\b(xmrig|minerd|kinsing|kdevtmpfsi)\b|--algo[= ](rx|cn|randomx)|"
    r"(supportxmr|minexmr|nanopool|moneroocean|c3pool|hashvault|2miners|f2pool|nicehash)\.(com|org|stream|io|pro)",
    re.IGNORECASE,
)
"""A miner's name, options or pool."""
POWERSHELL = re.compile(
    r"\b(powershell|pwsh)(\.exe)?\b.{0,300}(\s-e(nc|ncodedcommand|c)?\s+[A-Za-z0-9+/=]{8}|\biex\b|invoke-expression|downloadstring|downloadfile|net\.sockets\.tcpclient)",
    re.IGNORECASE,
)
TUNNEL = re.compile(
    r"\bssh\b.{0,200}\s-[a-zA-Z]*[RD]\s|\b(chisel|frpc|ngrok|cloudflared|gost|ligolo-?\w{0,10})\b\s"
    r"|\bnc\b[^|;]{0,100}\s-[a-z]*z[^|;]{0,100}\s\d{1,5}-\d|\b(for|seq|while)\b.{0,200}\bnc\b[^|;]{0,100}\s-[a-z]*z"
)
"""A tunnel, or many ports or addresses tried; one port is a health check."""
API_CALL = re.compile(
    r"\b(curl|wget|http|https|python3?|perl|ruby|nc)\b.{0,300}(kubernetes\.default|kubernetes\.svc|\$\{?KUBERNETES_(SERVICE_HOST|PORT)|:6443\b|:10250\b|:10255\b|/api/v1/(namespaces|secrets|pods|nodes)\b|/apis/[a-z.]{1,60}/v1)"
)
"""The API server, or a kubelet, called from inside a pod with a general tool."""
CLOUD_CREDENTIALS = re.compile(
    r"\baws\s+(sts\s+(get-caller-identity|assume-role|get-session-token)|iam\s|secretsmanager\s|ssm\s+get-parameter|configure\s+(list|export-credentials)|ecr\s+get-)"
    r"|\bgcloud\s+(auth\s+(print|list|application)|iam\s|secrets\s|projects\s+get-iam)|\baz\s+(account\s+get-access-token|keyvault\s|login\s+--identity|ad\s|role\s)"
)
"""A cloud's own client asked who it is, for credentials or for secrets."""
TAMPERING: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bchmod\s+(-\S+\s+)?([ugoa]*\+[rwx]*s|[4-7]\d{3})\b|\bsetcap\s"), "it gives a program root's rights"),
    (re.compile(r"\b(useradd|adduser|usermod|groupadd|chpasswd)\b|(^|[\s;&|/])passwd(\s|$)|>>?\s*/etc/(passwd|shadow|sudoers)"), "it makes or changes accounts"),
    (re.compile(r"\bcrontab\s+(-\s*$|-e|/|-u)|\|\s*crontab\b|>>?\s*\S{0,60}/(cron\.|crontab|spool/cron|rc\.local|systemd/system|init\.d)|authorized_keys"), "it plants something that comes back"),
    (re.compile(r"\bhistory\s+-c\b|\bunset\s+HISTFILE|HISTSIZE=0|HISTFILE=/dev/null|\b(rm|shred|truncate)\b.{0,100}(/var/log(/|\s|$)|\.bash_history|wtmp|btmp|lastlog)|>\s*/var/log/"), "it removes traces"),
    (re.compile(r"\biptables\b.{0,60}\s(-F|-P|-X|--flush)|\bnft\s+flush|\bsetenforce\s+0|\bufw\s+disable|\b(pkill|killall)\b.{0,60}(falco|tetragon|auditd|sysdig|osquery|seawall|defender|mdsd)"), "it switches off a defence"),
    (re.compile(r"\bCOPY\b.{0,200}\b(TO|FROM)\s+PROGRAM\b|\bxp_cmdshell\b|\bsys_exec\(|\bMODULE\s+LOAD\b", re.IGNORECASE), "it makes a database run commands"),
    (re.compile(r"\bfind\s+/\S*\s.{0,60}-perm\s+[-/]?(u=s|g=s|[+/-]?[246]000)"), "it looks for programs with root's rights"),
    (re.compile(r"\b(nohup|setsid)\s+(/tmp|/dev/shm|/var/tmp)/|(^|[\s;&|])(/tmp|/dev/shm|/var/tmp)/\.[\w-]"), "it runs a file from a place for temporary files"),
    (re.compile(r"\bshred\s+-|\bopenssl\s+enc\s+-aes.{0,200}\s-in\s|\brm\s+-[rfv]*r[rfv]*\s+(--no-preserve-root\s+)?/(\*|\s|$)|\bmkfs\."), "it destroys or encrypts data"),
)  # fmt: skip
"""Changes of a container, its data or its node that operation does not need, with what they do."""
_RECON = re.compile(
    r"(?<![\w./-])(?:/usr)?(?:/s?bin/)?(id|whoami|uname|hostname|ps|ip|ifconfig|netstat|ss|mount|lsblk|arp|route|w|last|getent|groups|lscpu|df)(?=\s|$|[;&|])"
)


def looks_around(line: str) -> bool:
    """True for a command that asks at least four different things about the machine it runs on."""
    return len({found.group(1) for found in _RECON.finditer(line)}) >= 4


def ends_of(command: str) -> str:
    """Return a command whole, or of a very long one both ends: padding must not hide what follows it."""
    return command if len(command) <= MAX_COMMAND else f"{command[:2048]}\n{command[-2048:]}"


def base_name(command: list[str]) -> str:
    """Return the program of a command without its folder."""
    return command[0].rpartition("/")[2] if command else ""


def copied_path(command: list[str]) -> str | None:
    """Return what a tar or database dump writes to standard output, None when the command does no such thing."""
    if base_name(command) in SHELLS and len(command) >= 3:
        steps = re.split(r"&&|\|\||[;\n]", command[-1][:MAX_COMMAND])[:20]
        return next((path for step in steps if (path := _copied_by_step(step)) is not None), None)
    return _copied_by(command)


def _copied_by_step(step: str) -> str | None:
    # Only the last program of a pipe writes to the caller, and a redirected one does not.
    last = step.rpartition("|")[2]
    if ">" in last:
        return None
    try:
        return _copied_by(shlex.split(last, posix=True)[:50])
    except ValueError:
        return None


def _copied_by(words: list[str]) -> str | None:
    name = base_name(words)
    if name == "tar" and len(words) >= 2:
        options = [word for word in words[1:] if word.startswith("-") and word != "-"]
        flags = "".join([words[1].lstrip("-"), *(word[1:] for word in options if not word.startswith("--"))])
        creates = ("c" in flags and not words[1].startswith("--")) or "--create" in words
        at = next((i for i, word in enumerate(words) if i and re.fullmatch(r"-?[a-zA-Z]*f", word)), 0)
        named = at and at + 1 < len(words) and words[at + 1] != "-"
        to_file = named or any(word.startswith("--file=") and word != "--file=-" for word in words)
        if creates and "x" not in flags and not to_file:
            rest = [word for word in words[2:] if not word.startswith("-")]
            return " ".join(rest)[:200] or "."
    if name in ("mysqldump", "pg_dump", "pg_dumpall", "mongodump", "redis-cli") and not any(
        word in ("-f", "--file", "-r", "--result-file") or word.startswith(("--file=", "--result-file="))
        for word in words
    ):
        return " ".join(words)[:200] if name != "redis-cli" or "--rdb" in words else None
    return None
