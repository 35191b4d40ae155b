"""What rules ask about a process: which program it really is, where it runs, what started it, what it was told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from seawall.domain.alerts import Entity, EntityKind
from seawall.domain.runtime_events import Ancestor, Process, RuntimeEvent

SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "tcsh", "csh", "rbash"})
DOWNLOADERS = frozenset({"curl", "wget", "aria2c", "axel", "lwp-download", "lwp-request", "fetch", "ftpget", "tftp"})
INTERPRETERS = frozenset({"python", "perl", "ruby", "php", "node", "lua", "nodejs", "deno", "bun", "pypy"})
MULTI_CALL = frozenset({"busybox", "toybox", "coreutils", "uutils", "busybox.static"})
"""One file that is many programs: the name that counts is the argument's."""

PACKAGE_MANAGERS = frozenset(
    {
        "apt", "apt-get", "aptitude", "dpkg", "dpkg-deb", "apk", "yum", "dnf", "microdnf", "tdnf", "rpm", "zypper",
        "pacman", "unattended-upgr", "unattended-upgrade", "update-alternatives", "debconf", "frontend", "rpm-ostree",
    }
)  # fmt: skip
BUILDERS = frozenset(
    {
        "buildkitd", "buildctl", "buildah", "kaniko", "executor", "buildkit-runc", "docker-buildx", "img", "makisu",
        "packer", "debootstrap", "mmdebstrap", "livecd-creator",
    }
)  # fmt: skip
RUNTIMES = frozenset(
    {
        "containerd", "containerd-shim", "containerd-shim-runc-v1", "containerd-shim-runc-v2", "runc", "crun", "youki",
        "crio", "conmon", "conmonrs", "dockerd", "docker-init", "docker-proxy", "podman", "kubelet", "runsc",
        "containerd-shim-runsc-v1", "kata-agent", "containerd-shim-kata-v2", "cri-dockerd", "catatonit", "pause",
        "buildkit-runc", "k3s", "k3s-server", "k3s-agent", "rke2",
    }
)  # fmt: skip
"""Programs that make containers: on the node they do what is suspicious for everybody else."""

WEB_SERVERS = frozenset(
    {
        "apache2", "httpd", "nginx", "php-fpm", "php-cgi", "lighttpd", "caddy", "lsphp", "litespeed", "uwsgi",
        "gunicorn", "openresty", "tomcat", "jetty", "catalina", "puma", "unicorn", "passenger", "hypercorn", "uvicorn",
        "daphne", "traefik", "haproxy", "varnishd", "frankenphp", "w3wp",
    }
)  # fmt: skip
DATABASES = frozenset(
    {
        "postgres", "postmaster", "mysqld", "mariadbd", "mongod", "mongos", "redis-server", "valkey-server", "memcached",
        "clickhouse-server", "clickhouse", "cassandra", "couchdb", "beam.smp", "sqlservr", "influxd", "elasticsearch",
        "opensearch", "neo4j", "cockroach", "etcd", "keydb-server", "oracle", "firebird", "db2sysc",
    }
)  # fmt: skip
REMOTE_SHELLS = frozenset(
    {
        "sshd", "dropbear", "in.telnetd", "telnetd", "rshd", "inetd", "xinetd", "ttyd", "gotty", "wetty", "shellinaboxd",
        "code-server", "mosh-server", "dockerd", "containerd", "buildkitd", "kubelet", "gitlab-runner", "tmate",
    }
)  # fmt: skip
"""Services that run commands for people and pipelines on purpose."""
_FOR_PEOPLE = re.compile(
    r"\b(?:jupyter|ipykernel|code-server|openvscode|theia|rstudio|webssh|jenkins|buildbot|airflow|ansible|salt|pytest)",
    re.IGNORECASE,
)
_WRAPPERS = frozenset({"env", "timeout", "nohup", "xargs", "busybox"})
SECURITY_PROCESSES = frozenset(
    {
        "seawall-sensor", "falco", "tetragon", "tracee", "sysdig", "auditd", "osqueryd", "wazuh-agentd", "ossec-agentd",
        "mdatp", "wdavdaemon", "defender", "falcon-sensor", "falcond", "cbagentd", "ds_agent", "clamd", "freshclam",
        "aliyundun", "aliyun-service", "aegis", "ydservice", "ydlive", "bcm-agent", "cloudmonitor", "qcloud",
        "crowdsec", "fail2ban-server", "apparmor_parser", "selinuxd", "node_exporter", "fluent-bit", "fluentd",
        "filebeat", "auditbeat", "splunkd", "datadog-agent", "amazon-cloudwatch-agent", "azuremonitoragent", "mdsd",
        "rsyslogd", "syslog-ng", "systemd-journald", "kube-proxy", "guardduty", "newrelic-infra", "sentinelone",
        "s1-agent", "twistlock_defender", "aquasec-enforcer", "kubearmor", "inspektor-gadget",
    }
)  # fmt: skip
"""Sensors, agents and log shippers whose end blinds somebody."""

TEMPORARY = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/shm/", "/var/run/user/", "/run/user/", "/dev/mqueue/")
PLATFORM_NAMESPACES = frozenset(
    {
        "kube-system", "gke-system", "gke-managed-system", "gmp-system", "calico-system", "tigera-operator", "cilium",
        "azure-arc", "aks-istio-system", "amazon-cloudwatch", "amazon-guardduty", "gatekeeper-system",
        "openshift-monitoring", "openshift-multus", "openshift-ovn-kubernetes", "openshift-sdn", "openshift-storage",
        "openshift-machine-config-operator", "openshift-cluster-node-tuning-operator", "openshift-network-operator",
        "openshift-dns", "openshift-ingress", "openshift-etcd", "openshift-kube-apiserver", "cattle-system",
        "longhorn-system", "rook-ceph", "seawall-system", "istio-system", "linkerd", "gpu-operator", "nvidia-gpu-operator",
    }
)  # fmt: skip
"""Namespaces of node agents: network, storage and monitoring components work with the node there."""

_VERSIONED = re.compile(r"^(python|pypy|perl|ruby|php|lua|node|php-fpm|java)[0-9][0-9.]*$")


@lru_cache(maxsize=4096)
def family(name: str) -> str:
    """Return a program's name without its version: python3.11 -> python, php-fpm8.2 -> php-fpm."""
    match = _VERSIONED.match(name)
    return match.group(1) if match else name


def program(process: Process | Ancestor) -> str:
    """Return which program this is, in lower case: the file's name, for multi-call files the applet's.

    The file counts, not args[0], which a process may choose freely.
    """
    name = _file(process.exe)
    if name in MULTI_CALL:
        for argument in process.args[:2]:
            applet = argument.rpartition("/")[2].lower().lstrip("-")
            if applet not in MULTI_CALL:
                return applet
    return name


@lru_cache(maxsize=4096)
def _file(exe: str) -> str:
    """A start is judged by some 140 looks at its own name and those above it: nearly all of them are the same few."""
    return family(exe.rpartition("/")[2].lower())


_MONITORS = frozenset(
    {"conmon", "conmonrs", "containerd-shim", "containerd-shim-runc-v1", "containerd-shim-runc-v2", "containerd-shim-runsc-v1",
     "containerd-shim-kata-v2"}
)  # fmt: skip


def programs(event: RuntimeEvent) -> Iterator[str]:
    """Yield the program and those above it, nearest first."""
    yield program(event.process)
    for ancestor in event.process.ancestors:
        name = program(ancestor)
        if event.container is not None and name in _MONITORS:
            return  # the container ends there
        yield name


def parent(event: RuntimeEvent) -> str:
    """Return the program of the parent, or empty."""
    return program(event.process.ancestors[0]) if event.process.ancestors else ""


def server_above(event: RuntimeEvent, servers: frozenset[str]) -> Ancestor | None:
    """Return the nearest of `servers` above the process, looking through shells and interpreters only.

    A server's child that is itself a program of its own (a job runner, a package manager) ends the search: what that
    starts was not started by a request.
    """
    for ancestor in event.process.ancestors:
        name = program(ancestor)
        if name in servers:
            return ancestor
        if name not in SHELLS and name not in INTERPRETERS and name not in _WRAPPERS:
            return None
    return None


def service_above(event: RuntimeEvent) -> Ancestor | None:
    """Return the nearest network service above the process, looking through shells and interpreters only.

    A service by what it does: it listens on a TCP port inside a container, whatever it is written in. None for those that
    run commands for people on purpose (ssh, notebooks, terminals in the browser, CI).
    """
    for ancestor in event.process.ancestors:
        name = program(ancestor)
        if ancestor.listens:
            return None if name in REMOTE_SHELLS or _FOR_PEOPLE.search(" ".join(ancestor.args[:4])) else ancestor
        if name not in SHELLS and name not in INTERPRETERS and name not in _WRAPPERS:
            return None
    return None


_INITS = frozenset(
    {"tini", "dumb-init", "docker-init", "catatonit", "s6-overlay-suexec", "s6-svscan", "s6-rc", "execlineb", "runsv"}
)
_ANYONES_FOLDERS = ("/tmp/", "/var/tmp/", "/dev/shm/")


def by_entry_script(event: RuntimeEvent) -> bool:
    """Whether the script that a container starts with stands above the process: only shells and inits do, one of them was
    given a file to run, and nothing among them listens. A command line (`sh -c`) is no such script."""
    if event.container is None:
        return False
    found = False
    for ancestor in event.process.ancestors:
        name = program(ancestor)
        if name in _MONITORS:
            break
        if ancestor.listens or (name not in SHELLS and name not in _INITS):
            return False
        script = next((word for word in ancestor.args[1:3] if not word.startswith("-")), "")
        found |= "-c" not in ancestor.args[1:3] and script.startswith("/") and not script.startswith(_ANYONES_FOLDERS)
    return found


def in_build(event: RuntimeEvent) -> bool:
    """Whether an image builder stands above the process, or the container is one."""
    if any(program(ancestor) in BUILDERS for ancestor in event.process.ancestors):
        return True
    container = event.container
    return container is not None and any(
        word in container.image for word in ("moby/buildkit", "kaniko-project", "buildah", "/img:")
    )


def by_package_manager(event: RuntimeEvent) -> bool:
    """Whether a package manager stands above the process: its maintainer scripts do much that is else suspicious."""
    return any(program(ancestor) in PACKAGE_MANAGERS for ancestor in event.process.ancestors)


_INSTALLERS = frozenset({"pip", "npm", "npx", "yarn", "pnpm", "corepack", "uv", "poetry", "pipx", "pdm", "conda", "mamba", "gem", "bundle",
                         "composer", "cpan", "cpanm", "luarocks", "easy_install", "virtualenv"})  # fmt: skip
_BUILD_TOOLS = frozenset(
    {"make", "gmake", "ninja", "cmake", "ctest", "meson", "cargo", "rustc", "gradle", "mvn", "bazel", "scons", "configure",
     "config.status", "conftest", "libtool", "autoreconf", "dpkg-buildpackage", "debuild", "rpmbuild", "abuild", "makepkg", "tox", "nox",
     "node-gyp", "gcc", "g++", "cc", "c++", "clang", "ghc", "stack", "swift", "zig", "sbt", "ant", "rake", "tsc", "webpack", "jest",
     "pytest", "setup.py", "go"}
)  # fmt: skip
_SCRIPT_ENDING = re.compile(r"(?:-cli)?\.(?:js|py|cjs|mjs|rb|pl|php)$|[0-9.]+$")


def _tools(item: Process | Ancestor) -> Iterator[str]:
    """The program, and the script or module that it runs when it is an interpreter."""
    name = program(item)
    yield name
    if name in INTERPRETERS or name in SHELLS:
        args = item.args[1:4]
        if args[:1] == ("-m",) and len(args) > 1:
            yield args[1]
            return
        script = next((each for each in args if not each.startswith("-")), "").rpartition("/")[2].lower()
        yield script
        yield _SCRIPT_ENDING.sub("", script)
        # Node.js tools give themselves a title, which is all of their arguments then: "npm install x".
        yield (item.args[0] if item.args else "").partition(" ")[0].lower()


def _chain(event: RuntimeEvent) -> Iterator[Process | Ancestor]:
    yield event.process
    yield from event.process.ancestors


def by_installer(event: RuntimeEvent) -> bool:
    """Whether the process is, or stands below, an installer of a language's packages: pip, npm, cargo's kin. They write
    programs and run them on purpose; so do attacks that come with a package, which is why this lowers and never hides."""
    return any(tool in _INSTALLERS for item in _chain(event) for tool in _tools(item))


def by_build_tool(event: RuntimeEvent) -> bool:
    """Whether a compiler driver, make or a configure script stands above: it runs what it has just made."""
    return any(tool in _BUILD_TOOLS for item in event.process.ancestors for tool in _tools(item))


def by_runtime(event: RuntimeEvent) -> bool:
    """Whether the process is part of the container runtime itself, on the node."""
    return event.container is None and program(event.process) in RUNTIMES


def on_platform(event: RuntimeEvent) -> bool:
    """Whether the container runs in a namespace of node agents."""
    return event.container is not None and event.container.namespace in PLATFORM_NAMESPACES


def interactive(event: RuntimeEvent) -> bool:
    """Whether a person sits at a terminal."""
    return bool(event.process.tty)


def _own(args: tuple[str, ...]) -> int:
    """Return where a shell's own arguments begin: behind the applet's name in `busybox sh -c TEXT`."""
    return 2 if args and args[0].rpartition("/")[2] in MULTI_CALL else 1


def reads_commands(process: Process) -> bool:
    """Whether it is a shell that was given nothing to run, so that its input says what it does (`sh`, `bash -il`)."""
    if program(process) not in SHELLS or script_text(process):
        return False
    return all(argument.startswith("-") for argument in process.args[_own(process.args) :])


def for_a_person(process: Process) -> bool:
    """Whether it is a shell at a terminal that reads what somebody types."""
    return bool(process.tty) and reads_commands(process)


def script_text(process: Process) -> str:
    """Return what a shell or interpreter was told on its command line (`sh -c TEXT`, `python -c TEXT`), else empty."""
    args = process.args
    name = program(process)
    if name in SHELLS:
        first = _own(args)
        for index, argument in enumerate(args[first:], first):
            if argument.startswith("-") and not argument.startswith("--") and "c" in argument[1:]:
                return args[index + 1] if index + 1 < len(args) else ""
            if not argument.startswith(("-", "+")):
                return ""
        return ""
    flags = _TEXT_FLAGS.get(name)
    if flags is None:
        return ""
    for index, argument in enumerate(args[1:-1], 1):
        if argument in flags:
            return args[index + 1]
    return ""


_TEXT_FLAGS = {
    "python": ("-c",), "perl": ("-e", "-E"), "ruby": ("-e",), "php": ("-r", "-B", "-E", "-R"), "lua": ("-e",),
    "node": ("-e", "-p", "--eval", "--print"), "nodejs": ("-e",), "deno": ("eval",), "pypy": ("-c",),
}  # fmt: skip
"""Interpreter: the arguments that a text to run comes after."""


CONTAINER_CLIENTS = frozenset(
    {"docker", "podman", "nerdctl", "ctr", "crictl", "kubectl", "oc", "conmon", "crun", "runc", "containerd-shim-runc-v2",
     "buildah", "lxc", "lxc-attach", "machinectl", "unshare", "nsenter", "chroot", "bwrap"}
)  # fmt: skip
"""Programs that carry a command somewhere else: what they are told happens there, and is seen there."""


def told(process: Process) -> str:
    """Return what the process itself was told to do: a shell's or interpreter's inline text without the arguments that it
    is handed along, nothing for programs that carry a command elsewhere, else the command line."""
    name = program(process)
    if name in CONTAINER_CLIENTS:
        return ""
    if name in SHELLS:
        return plain(script_text(process)) or process.command_line
    return process.command_line


_BRACED = re.compile(r"\{([^\s{}]*,[^\s{}]*)\}")


def plain(text: str) -> str:
    """Return a shell's text with the blanks that it spares itself: `{base64,-d}` and `base64${IFS}-d` are `base64 -d`."""
    if "$IFS" in text or "${IFS" in text:
        text = re.sub(r"\$IFS(?:\$\d)?|\$\{IFS[^}]*\}", " ", text)
    return _BRACED.sub(lambda match: match[1].replace(",", " "), text) if "{" in text else text


_ELSEWHERE = re.compile(
    r"^(/(?!(?:tmp|src|build|work|workspace|code|data)/)[^/]+(?:/[^/]+)?)(/(?:etc|var/(?:lib/kubelet|spool|log|backups)|root|home)/.+)$"
)
_NODE = re.compile(r"/(?:etc|root|home|boot|var/(?:spool|log|lib/(?:kubelet(?!/pods/|/plugins/)|rancher|k0s)))/")
"""What is the node's own: not the volumes of pods, which lie on it too."""
_HOST_ROOTS = re.compile(
    r"^/(?:host|hostfs|rootfs|host-root|hostroot|node|node-root|mnt/host|mnt/rootfs|proc/\d+/root)$|(?:^|/)[\w-]*host[\w-]*$"
)


def root_and_path(event: RuntimeEvent, path: str) -> tuple[str, str]:
    """Split a container's path into another system's root that is mounted there, and the path in it: ("/host",
    "/etc/shadow"). The root is empty for the container's own files and for the node's processes."""
    node_path = getattr(event, "node_path", "")
    if node_path and path == getattr(event, "path", "") and _NODE.match(node_path):
        return "/host", node_path
    if event.container is None or path.startswith(
        ("/etc/", "/root/", "/home/", "/var/", "/usr/", "/opt/", "/app/", "/srv/")
    ):
        return "", path
    found = _ELSEWHERE.match(path)
    return (found.group(1), found.group(2)) if found else ("", path)


def is_host_root(root: str) -> bool:
    """Whether a folder is named the way the node's root is usually mounted into a container."""
    return _HOST_ROOTS.search(root) is not None


def is_temporary(path: str) -> bool:
    """Whether the path lies in a folder that anybody may write to."""
    return path.startswith(TEMPORARY)


_TOOL_FOLDERS = frozenset(
    {
        ".", "..", ".venv", ".tox", ".nox", ".virtualenvs", ".pyenv", ".rbenv", ".rvm", ".nvm", ".volta", ".asdf", ".sdkman",
        ".cargo", ".rustup", ".local", ".dotnet", ".gem", ".bun", ".deno", ".bin", ".vscode-server", ".yarn", ".pnpm",
    }
)  # fmt: skip
"""Where language tools and their version managers put programs, `node_modules/.bin` and `.venv/bin` first."""


def is_hidden(path: str) -> bool:
    """Whether some part of the path begins with a dot; folders of language tools do not count."""
    return any(part.startswith(".") and part not in _TOOL_FOLDERS for part in path.split("/"))


_URL = re.compile(
    r"\b(?:https?|ftps?|tftp)://(?:[^\s/@'\"]{1,128}@)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]{1,253})(?::\d{1,5})?([^\s'\"|;)>]*)"
)
_ADDRESS = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_HOST = re.compile(r"\b(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})\.){1,10}[A-Za-z][A-Za-z0-9-]{1,62}\b")
_MAX_TEXT = 16_384


@lru_cache(maxsize=1024)
def urls(text: str) -> tuple[tuple[str, str], ...]:
    """Return (host in lower case, path) of the URLs in a text, at most 32."""
    found = []
    for match in _URL.finditer(text[:_MAX_TEXT]):
        found.append((match.group(1).strip("[]").lower().rstrip("."), match.group(2)))
        if len(found) == 32:
            break
    return tuple(found)


@lru_cache(maxsize=1024)
def hosts(text: str) -> tuple[str, ...]:
    """Return what looks like a host name in a text, lower case, at most 64."""
    found: dict[str, None] = {}
    for match in _HOST.finditer(text[:_MAX_TEXT]):
        found[match.group().lower()] = None
        if len(found) == 64:
            break
    return tuple(found)


@lru_cache(maxsize=1024)
def addresses(text: str) -> tuple[str, ...]:
    """Return the dotted IPv4 addresses in a text, at most 64."""
    return tuple(dict.fromkeys(_ADDRESS.findall(text[:_MAX_TEXT])))[:64]


def file_entity(event: RuntimeEvent, path: str) -> Entity:
    """Name a file so that two alerts about it in one container join."""
    return Entity(EntityKind.FILE, path, f"{event.cluster}/{event.scope}")


def ip_entity(address: str) -> Entity:
    """Name an address."""
    return Entity(EntityKind.IP, address)


def domain_entity(name: str) -> Entity:
    """Name a domain."""
    return Entity(EntityKind.DOMAIN, name)


_LOADER = re.compile(r"(?:^|/)ld(?:-linux|-musl|-\d)?[\w.-]*\.so(?:\.\d+)*$")


def is_loader(exe: str) -> bool:
    """Whether a program is the dynamic loader, started by its name: ld.so(8)."""
    return _LOADER.search(exe) is not None


def has_inline_code(process: Process) -> bool:
    """Whether Perl, Ruby or the like was given its code as an argument (`-e`, `-ne`) or by the standard input."""
    return len(process.args) < 2 or any(re.match(r"-[a-zA-Z]*[eE]", argument) for argument in process.args[1:8])
