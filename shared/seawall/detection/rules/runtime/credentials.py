"""Credentials: tokens, keys and password files read or searched for, metadata services asked."""

from __future__ import annotations

import re

from seawall.detection.credentials import is_token
from seawall.detection.declaration import Logic, detection
from seawall.detection.processes import (
    DOWNLOADERS,
    INTERPRETERS,
    RUNTIMES,
    SHELLS,
    by_package_manager,
    file_entity,
    for_a_person,
    has_inline_code,
    in_build,
    is_host_root,
    on_platform,
    program,
    root_and_path,
    told,
)
from seawall.detection.rules.runtime import EXECS, READS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import Process, ProcessExec, SensitiveRead
from seawall.domain.severity import Severity

_READERS = frozenset(
    {
        "cat", "head", "tail", "less", "more", "cp", "mv", "tar", "zip", "gzip", "base64", "base32", "xxd", "od", "hexdump",
        "strings", "grep", "egrep", "rg", "awk", "gawk", "mawk", "sed", "cut", "tee", "dd", "find", "vi", "vim", "nano",
        "jq", "scp", "rsync", "nc", "ncat", "openssl", "tac", "nl", "sort", "paste", "xargs", "diff", "wc", "kubectl",
        "install", "split", "rev", "uniq", "tr", "fold", "pr", "cmp", "ed",
    }
)  # fmt: skip
"""Programs that people and scripts read files with; applications read their own credentials themselves."""


_BY_HAND = SHELLS | DOWNLOADERS | _READERS | INTERPRETERS


_TOKEN_IN_TEXT = re.compile(
    r"/run/secrets/(?:kubernetes\.io/serviceaccount/(?:\.\.data/)?token|eks\.amazonaws\.com/serviceaccount/token|azure/tokens/\S+)"
)


@detection(
    id="RT-0601",
    title="Workload identity token read by a tool",
    severity=Severity.LOW,
    attack=("T1528", "T1552.001"),
    on=SensitiveRead,
    response="Find what used the token: look for the service account in the audit log from now on.",
    action="read a workload's token",
    catalogue=("K8S.NODE_TokenAccess†",),
    needs=(READS,),
    benign=("Entry-point scripts that log in with the token (Vault agents, kubectl sidecars).",),
    investigate=("Does a call with this service account follow from another client?",),
)
def token_read(event: SensitiveRead) -> Match | None:
    """A shell, download tool or text tool reads a projected token (Kubernetes, Azure, EKS, GKE) in a container.

    Applications read their token through client libraries; a tool reading it is what an intruder does first.
    """
    if event.container is None or not is_token(event.path) or on_platform(event):
        return None
    name = program(event.process)
    if name not in SHELLS | DOWNLOADERS | _READERS and not (name in INTERPRETERS and "-c" in event.process.args[:3]):
        return None
    return Match(
        f"{event.process} read {event.path}", entities=(file_entity(event, event.path),), key=f"{name}:{event.path}"
    )


@detection(
    id="RT-0602",
    title="Workload identity token on a command line",
    severity=Severity.LOW,
    attack=("T1528", "T1550.001"),
    on=ProcessExec,
    response="Look for calls of this service account in the audit log.",
    action="used a workload's token on a command line",
    catalogue=("K8S.NODE_TokenAccess†",),
    needs=(EXECS,),
    benign=("Documented start-up scripts that log in with the token.",),
    investigate=("Which API was called?",),
)
def token_on_command_line(event: ProcessExec) -> Match | None:
    """A command reads the token file, or sends a bearer token by hand to the API server."""
    if event.container is None or on_platform(event) or in_build(event):
        return None
    text = event.process.command_line
    name = program(event.process)
    if name in _BY_HAND and _TOKEN_IN_TEXT.search(text):
        return Match(f"{name} names the token file: {text[:160]}", key=name)
    if (
        name in DOWNLOADERS
        and re.search(r"authorization:\s*bearer\s+ey|--oauth2-bearer\s+ey", text, re.IGNORECASE)
        and re.search(
            r"kubernetes\.default|kubernetes\.svc|/api/v1/(?:namespaces|secrets|pods|nodes|configmaps)|/apis/[a-z0-9.]+k8s\.io/"
            r"|/apis/apps/v1|:6443|//10\.\d+\.\d+\.1(?::443)?/",
            text,
        )
    ):
        return Match(f"{name} calls the API server with a token", key=name)
    return None


_CREDENTIAL_FILES = re.compile(
    r"(?:^|/)(?:\.git-credentials|\.netrc|\.pgpass|\.my\.cnf|\.npmrc|\.pypirc|\.aws/(?:credentials|config|cli/cache/\S+|sso/cache/\S+)"
    r"|\.azure/(?:accessTokens\.json|azureProfile\.json|msal_token_cache\S*|service_principal_entries\S*)"
    r"|\.config/gcloud/(?:credentials\.db|access_tokens\.db|application_default_credentials\.json|legacy_credentials/\S+)"
    r"|\.docker/config\.json|\.dockercfg|\.config/gh/hosts\.yml|\.kube/config|\.ssh/(?:id_[a-z0-9_]+|identity)|\.gnupg/(?:secring\.gpg|private-keys-v1\.d/\S+)"
    r"|\.vault-token|\.terraform\.d/credentials\S*|\.terraformrc|\.s3cfg|\.boto|\.config/rclone/rclone\.conf|\.cargo/credentials(?:\.toml)?"
    r"|\.gem/credentials|\.rediscli_auth|\.mylogin\.cnf|wp-config\.php|\.htpasswd|\.env(?:\.(?:local|prod|production))?"
    r"|credentials\.xml|master\.key|hudson\.util\.Secret|tomcat-users\.xml|secrets\.ya?ml|id_rsa|id_ed25519|id_ecdsa|id_dsa)$"
    r"|^/etc/ssh/ssh_host_\w+_key$|^/etc/ssl/private/\S+|^/etc/kubernetes/pki/\S+\.key$|^/etc/rancher/(?:k3s|rke2)/\S+\.yaml$"
)


_OWN_TOOLS: tuple[tuple[str, frozenset[str]], ...] = (
    (
        ".ssh/",
        frozenset(
            {"ssh", "scp", "sftp", "ssh-add", "ssh-keygen", "ssh-agent", "git", "rsync", "sshd", "ansible", "sshfs"}
        ),
    ),
    ("/etc/ssh/", frozenset({"sshd", "ssh-keygen", "ssh-keyscan", "dropbear"})),
    (".kube/config", frozenset({"kubectl", "helm", "k9s", "kustomize", "argocd", "flux", "oc", "stern", "terraform"})),
    (".aws/", frozenset({"aws", "terraform", "eksctl", "sam", "cdk", "pulumi", "packer", "kubectl", "aws_completer"})),
    (".azure/", frozenset({"az", "terraform", "azd", "pulumi", "func", "kubelogin"})),
    (".config/gcloud/", frozenset({"gcloud", "gsutil", "bq", "terraform", "gke-gcloud-auth-plugin", "kubectl"})),
    (
        ".docker",
        frozenset(
            {
                "docker",
                "podman",
                "skopeo",
                "buildah",
                "crane",
                "cosign",
                "executor",
                "oras",
                "helm",
                "dockerd",
                "nerdctl",
                "kubelet",
            }
        ),
    ),
    (".git-credentials", frozenset({"git", "git-credential-store", "git-remote-http", "git-remote-https"})),
    (".npmrc", frozenset({"npm", "node", "yarn", "pnpm", "npx"})),
    (".pypirc", frozenset({"python", "twine", "pip", "poetry", "uv"})),
    (".netrc", frozenset({"curl", "git", "git-remote-https", "wget", "go", "bazel", "python"})),
    (".pgpass", frozenset({"psql", "pg_dump", "pg_restore", "postgres", "pgbouncer", "python"})),
    (".my", frozenset({"mysql", "mysqldump", "mysqladmin", "mariadb", "mysqld"})),
    (
        "/etc/kubernetes/pki/",
        frozenset({"kube-apiserver", "kube-controller-manager", "etcd", "kubeadm", "kubelet", "kube-scheduler"}),
    ),
    (
        "/etc/ssl/private/",
        frozenset(
            {
                "nginx",
                "apache2",
                "httpd",
                "haproxy",
                "postgres",
                "mysqld",
                "dovecot",
                "postfix",
                "openssl",
                "certbot",
                "caddy",
                "envoy",
                "smtpd",
            }
        ),
    ),
)


@detection(
    id="RT-0603",
    title="Credential file read by a tool",
    severity=Severity.MEDIUM,
    attack=("T1552.001", "T1005"),
    on=SensitiveRead,
    response="Rotate the credential; look for its use from elsewhere.",
    action="read credential files",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_SensitiveFileAccess†",),
    needs=(READS,),
    benign=("The credential's own client program (left out) and editors used by its owner on a node.",),
    investigate=("Who started the reader?", "Was anything sent afterwards?"),
)
def credential_file_read(event: SensitiveRead) -> Match | None:
    """A program that does not own it reads git, cloud, registry, database or SSH credentials."""
    path = event.path
    if not _CREDENTIAL_FILES.search(path) or in_build(event) or by_package_manager(event):
        return None
    name = program(event.process)
    if any(part in path and name in owners for part, owners in _OWN_TOOLS) or name in RUNTIMES:
        return None
    if name not in _BY_HAND and not event.process.drift:
        return None
    if path.endswith((".env", "wp-config.php", "secrets.yaml", "secrets.yml")) and name in INTERPRETERS:
        return None
    return Match(f"{event.process} read {path}", entities=(file_entity(event, path),), key=path)


_SECRET_WORDS = (
    r"passw(?:or)?d|passwd|secret|token|api[_-]?key|aws_(?:access|secret)|access[_-]?key|private[ _-]?key|credential|BEGIN (?:RSA|OPENSSH|EC|PRIVATE)"  # noqa: S105 - a pattern
    r"|AKIA|ghp_|xox[bp]|client_secret|connection ?string"
)


_FIND_NAMES = re.compile(
    r"-i?(?:name|path|wholename|regex)[= ]?\s*[\"']?\S*(?:id_rsa|id_dsa|id_ed25519|id_ecdsa|\.pem|\.key|\.p12|\.pfx|\.jks|\.kdbx|credential|\.aws|\.azure|\.kube"
    r"|kubeconfig|\.git-credentials|\.netrc|\.npmrc|\.dockercfg|\.docker|secret|token|passw|\.env\b|wp-config|\.ovpn|\.htpasswd|shadow)",
    re.IGNORECASE,
)


@detection(
    id="RT-0604",
    title="Search for secrets",
    severity=Severity.MEDIUM,
    attack=("T1552.001", "T1552.007", "T1083"),
    on=ProcessExec,
    response="Find who searches; assume that what lies in the searched places is known.",
    action="searched for secrets",
    programs=SHELLS
    | frozenset(
        {
            "find",
            "fd",
            "grep",
            "egrep",
            "fgrep",
            "rg",
            "zgrep",
            "locate",
            "env",
            "printenv",
            "strings",
            "awk",
            "tree",
            "ls",
        }
    ),
    catalogue=("K8S.NODE_SecretRecon†",),
    needs=(EXECS,),
    benign=("Developers searching source trees in notebooks and CI: a search below one project folder is left out.",),
    investigate=("What did the search find (same arguments, read-only)?", "Was a found file read (RT-0603)?"),
)
def secret_search(event: ProcessExec) -> Match | None:
    """find, grep or locate hunts for keys, tokens or credential files over the file system; or the environment is
    filtered for secrets."""
    if in_build(event) or by_package_manager(event):
        return None
    process = event.process
    name = program(process)
    text = told(process)
    if name in ("find", "fd", "locate", "tree") and (
        _FIND_NAMES.search(text)
        or (name == "locate" and re.search(_SECRET_WORDS + r"|id_rsa|\.pem", text, re.IGNORECASE))
    ):
        roots = [item for item in process.args[1:3] if item.startswith(("/", "~", "."))]
        if any(
            root.count("/") > 3 and not root.startswith(("/home", "/root", "/etc", "/var/run", "/run", "/proc"))
            for root in roots
        ):
            return None
        if "-delete" in text and "/etc/ssh" in text:
            return None
        return Match(f"searches for credential files: {text[:200]}", key=name)
    if name in ("grep", "egrep", "fgrep", "rg", "zgrep", "strings", "awk") and re.search(
        _SECRET_WORDS, text, re.IGNORECASE
    ):
        wide = re.search(r"(?:^|\s)-\w*[rR]\w*(?:\s|$)|--recursive", text) or name == "rg"
        places = re.search(
            r"(?:^|\s)(?:/|~|/etc|/home|/root|/var|/opt|/srv|/proc(?:/\d+|/self|/\*)?/environ|/run/secrets)\S*", text
        )
        if (wide and places) or re.search(r"/proc/(?:\d+|self|\*)/environ|/run/secrets|\.(?:bash|zsh)_history", text):
            return Match(f"searches for secrets: {text[:200]}", key=name)
        if (
            event.stdio[0] == "pipe"
            and process.ancestors
            and re.search(r"\b(?:env|printenv|set|export -p|declare -x)\b\s*\|", " ".join(process.ancestors[0].args))
        ):
            return Match(f"filters the environment for secrets: {text[:160]}", key=name)
    if name in SHELLS and re.search(
        r"\b(?:env|printenv|set|export\s+-p|cat\s+/proc/(?:self|\d+)/environ)\b[^|;]{0,40}\|[^;]{0,80}?\b(?:e?grep|awk|rg)\b[^;]{0,80}?(?:"
        + _SECRET_WORDS
        + r"|key)",
        text,
        re.IGNORECASE,
    ):
        return Match(f"filters the environment for secrets: {text[:160]}", key="environment")
    if (
        name in ("env", "printenv")
        and len(process.args) == 1
        and any(program(item) in ("apache2", "php-fpm", "nginx", "httpd", "php") for item in process.ancestors)
    ):
        return Match("a web server's child prints the whole environment", key="environment")
    return None


_SHADOW = re.compile(
    r"^/etc/(?:shadow|gshadow|master\.passwd|security/opasswd|shadow\.bak|gshadow\.bak)-?$|^/etc/sudoers(?:\.d/\S+)?$|^/etc/pam\.d/\S+$|^/var/backups/(?:shadow|gshadow)\S*$"
)


_LOGIN_PROGRAMS = frozenset(
    {
        "login", "su", "sudo", "sshd", "sshd-session", "sshd-auth", "passwd", "chage", "useradd", "usermod", "userdel", "groupadd", "groupmod",
        "groupdel", "gpasswd", "chpasswd", "chgpasswd", "newusers", "pwconv", "pwck", "grpck", "vipw", "visudo", "cron", "crond",
        "atd", "systemd", "systemd-logind", "systemd-user", "systemd-sysusers", "unix_chkpwd", "unix_update", "polkitd",
        "polkit-agent-helper-1", "adduser", "deluser", "addgroup", "expiry", "accounts-daemon", "gdm", "lightdm", "vsftpd", "dovecot", "auth",
        "saslauthd", "nscd", "nslcd", "sssd", "sssd_pam", "runuser", "doas", "cvtsudoers", "augenrules", "aide", "lynis", "tallylog",
        "faillock", "pam-auth-update", "google_guest_agent", "waagent", "cloud-init", "shadowconfig", "newgrp", "chsh", "chfn",
    }
)  # fmt: skip


@detection(
    id="RT-0605",
    title="Password hashes or login rules read",
    severity=Severity.INFORMATIONAL,
    attack=("T1003.008",),
    on=SensitiveRead,
    response="Find who read it; change the passwords on that node.",
    action="read password hashes",
    catalogue=("K8S.NODE_SuspectPasswordFileAccess",),
    needs=(READS,),
    benign=("Backup, configuration and compliance tools on nodes: exempt them by program.",),
    investigate=(
        "In a container the file is the image's and says little; below /host or a bind mount it is the node's.",
    ),
)
def password_file_read(event: SensitiveRead) -> Match | None:
    """/etc/shadow, its backups, sudoers or PAM rules are read by a program that has no part in logging in."""
    root, path = root_and_path(event, event.path)
    if not _SHADOW.match(path):
        return None
    name = program(event.process)
    if name in _LOGIN_PROGRAMS or name.startswith(("pam_", "systemd")) or by_package_manager(event) or in_build(event):
        return None
    if name in ("dpkg", "rpm", "tar", "cp", "python") and event.container is None and not event.process.tty:
        return None
    if path.startswith(("/etc/pam.d/", "/etc/sudoers")) and name not in _BY_HAND:
        return None
    of_host = is_host_root(root)
    by_hand = name in _BY_HAND and not (name == "perl" and not has_inline_code(event.process))
    # Perl's getpwnam and getpwuid read /etc/shadow when root asks (perlfunc): a script that wants a home folder does so.
    severity = Severity.HIGH if of_host else Severity.MEDIUM if "shadow" in path and by_hand else None
    reasons = ("the node's own file, seen from a container",) if of_host else ()
    return Match(f"{event.process} read {event.path}", severity, reasons, (file_entity(event, event.path),), path)


_KUBELET = re.compile(
    r"^(?:/host|/hostfs|/rootfs|/proc/\d+/root)?/(?:var/lib/kubelet/(?:kubeconfig|pki/\S+|bootstrap-kubeconfig)|etc/kubernetes/(?:kubelet\.conf|admin\.conf|super-admin\.conf"
    r"|controller-manager\.conf|scheduler\.conf|bootstrap-kubelet\.conf|azure\.json|pki/\S+)|etc/eks/\S*kubeconfig\S*|home/kubernetes/\S*kubeconfig\S*"
    r"|var/lib/kubelet/kubeconfig|etc/rancher/(?:k3s|rke2)/\S+\.yaml|var/lib/rancher/\S+/(?:kubelet\.kubeconfig|admin\.kubeconfig|server/cred/\S+)"
    r"|var/lib/k0s/pki/\S+|root/\.kube/config)$"
)


_NODE_TOOLS = frozenset(
    {
        "kubelet", "kubeadm", "kube-proxy", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "k3s", "k3s-server",
        "k3s-agent", "rke2", "k0s", "etcd", "node-problem-detector", "waagent", "azure-cni", "azure-vnet", "aws-node", "nodeadm",
        "google_guest_agent", "kubectl", "crictl", "calico-node", "cilium-agent", "flanneld", "csi-node-driver-registrar", "konnectivity-agent",
        "aks-log-collector", "walinuxagent", "machine-config-daemon", "bootkube", "systemd", "cloud-init", "containerd", "update-ca-certificates",
        "hyperkube", "openshift-hyperkube", "node-local-dns", "coredns", "kured", "node-feature-discovery", "kubelet-serving-csr-approver",
    }
)  # fmt: skip


@detection(
    id="RT-0606",
    title="Node's kubelet credentials read",
    severity=Severity.MEDIUM,
    attack=("T1552.001",),
    on=SensitiveRead,
    response="Replace the node; look in the audit log for system:node:<node> from other addresses.",
    action="read the kubelet's credentials",
    catalogue=("K8S.NODE_KubeConfigAccess",),
    needs=(READS,),
    benign=(
        "Log collectors and node upgrades (known tools are left out).",
        "An administrator with kubectl on a control-plane node.",
    ),
    investigate=("Is the reader in a container? Then the node's disk is mounted there.",),
)
def kubelet_credentials_read(event: SensitiveRead) -> Match | None:
    """The kubelet's kubeconfig, its client certificate, or the control plane's keys are read by something else."""
    if not _KUBELET.match(root_and_path(event, event.path)[1]):
        return None
    name = program(event.process)
    if name in _NODE_TOOLS or by_package_manager(event) or (on_platform(event) and name not in _BY_HAND):
        return None
    if (
        event.container is None
        and name in ("tar", "rsync", "find", "stat", "ls", "cp", "python")
        and not event.process.tty
    ):
        return Match(
            f"{event.process} read {event.path}", Severity.LOW, ("an unattended tool of the node",), key=event.path
        )
    in_container = event.container is not None
    return Match(
        f"{event.process} read {event.path}",
        Severity.HIGH if in_container else None,
        ("read from inside a container",) if in_container else (),
        (file_entity(event, event.path),),
        event.path,
    )


_HISTORY = re.compile(
    r"/\.(?:bash|zsh|sh|ash|ksh|fish|mysql|psql|python|node_repl|rediscli|sqlite|lesshst|viminfo|irb|mongo)_?(?:history|hist)$|/fish_history$|/\.local/share/fish/fish_history$|/\.histfile$"
)


@detection(
    id="RT-0609",
    title="Command history read",
    severity=Severity.LOW,
    attack=("T1552.003",),
    on=SensitiveRead,
    response="Treat what was typed there (passwords, tokens) as known.",
    action="read a command history",
    catalogue=("K8S.NODE_BashHistoryAccess†",),
    needs=(READS,),
    benign=("Backup tools.", "The owning shell and database clients (left out)."),
    investigate=("Who read it?",),
)
def history_read(event: SensitiveRead) -> Match | None:
    """A history file is read by something other than the shell or client that writes it."""
    if not _HISTORY.search(event.path) or by_package_manager(event):
        return None
    name = program(event.process)
    if for_a_person(event.process) or name in {
        "mysql",
        "mariadb",
        "psql",
        "redis-cli",
        "sqlite3",
        "mongosh",
        "mongo",
        "irb",
        "fish",
        "zsh",
        "ipython",
        "node",
    }:
        return None
    if name in SHELLS | INTERPRETERS and event.process.tty and len(event.process.args) == 1:
        return None
    return Match(f"{event.process} read {event.path}", entities=(file_entity(event, event.path),), key=event.path)


@detection(
    id="RT-0610",
    title="Memory, environment or files of another process read through /proc",
    severity=Severity.MEDIUM,
    attack=("T1552", "T1611"),
    on=SensitiveRead,
    response="Rotate what the other process holds; find why this pod can see it (hostPID, shared process namespace).",
    action="read other processes' memory or environment",
    catalogue=("X_ProcHostAccess",),
    needs=(READS,),
    benign=(
        "Monitoring agents with hostPID (left out in platform namespaces).",
        "A debugger on its own processes.",
        "`ps` and `top` without the option that shows environments (left out, low for processes of others).",
    ),
    investigate=("Whose process was it: the node's, or another container's?",),
)
def proc_of_others(event: SensitiveRead) -> Match | None:
    """/proc/<other>/environ, /mem, /maps, /root or /cwd of another process is read in a container, or kernel memory."""
    path = event.path
    if path in ("/proc/kcore", "/dev/mem", "/dev/kmem", "/proc/kallsyms") and event.container is not None:
        severity = Severity.LOW if path == "/proc/kallsyms" else Severity.HIGH
        return (
            None
            if on_platform(event) and path == "/proc/kallsyms"
            else Match(f"{event.process} read {path}", severity, ("kernel memory",), key=path)
        )
    found = re.match(r"^/proc/(\d+|self|thread-self)/(environ|mem|maps|root(?:/|$)|cwd(?:/|$))", event.asked or path)
    if found is None or found.group(1) in ("self", "thread-self") or on_platform(event):
        return None
    process = event.process
    own = {process.pid, process.ns_pid, process.tid}
    if event.target_pid in own or (not event.target_pid and int(found.group(1)) in own):
        return None
    if event.container is None:
        wanted = found.group(2) in ("mem", "environ") and program(process) in SHELLS | INTERPRETERS | _READERS
        return Match(f"{process} read {path}", Severity.LOW, ("on the node",), key=found.group(2)) if wanted else None
    beyond = bool(event.target_pid) and event.target_container != event.container.id
    what = found.group(2).rstrip("/")
    if not beyond and (what in ("maps", "cwd", "root") or _lists_processes(process)):
        return None
    if _lists_processes(process):
        return Match(f"{process} read {path}", Severity.LOW, ("a list of all processes",), key=f"{what}:list")
    reasons = ("of a process outside this container",) if beyond else ()
    return Match(f"{process} read {path}", Severity.HIGH if beyond else Severity.LOW, reasons, key=f"{what}:{beyond}")


def _lists_processes(process: Process) -> bool:
    """Whether it is `ps` or its like, which open every environment and show none unless BSD's `e` is asked for."""
    name = program(process)
    if process.drift or name not in ("ps", "top", "htop", "pgrep", "pkill", "pidof", "w", "uptime"):
        return False
    return name != "ps" or not any(re.fullmatch(r"[a-zA-Z]*e[a-zA-Z]*", argument) for argument in process.args[1:3])
