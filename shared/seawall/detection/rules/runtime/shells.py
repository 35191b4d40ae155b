"""Shells where none belongs: reverse shells, web shells, shells of databases and application servers."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

from seawall.detection.declaration import Logic, detection
from seawall.detection.processes import (
    DATABASES,
    DOWNLOADERS,
    INTERPRETERS,
    SHELLS,
    WEB_SERVERS,
    by_package_manager,
    file_entity,
    in_build,
    interactive,
    ip_entity,
    is_hidden,
    is_temporary,
    on_platform,
    plain,
    program,
    programs,
    reads_commands,
    script_text,
    server_above,
    service_above,
    told,
)
from seawall.detection.rules.runtime import EXECS, FILES
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import FileEvent, FileOpen, FileRename, ProcessExec
from seawall.domain.severity import Severity

_TOOLS = frozenset(
    {
        "id", "whoami", "uname", "hostname", "ifconfig", "ip", "netstat", "ss", "ps", "w", "who", "last", "lsof", "arp",
        "route", "env", "printenv", "groups", "cat", "ls", "find", "curl", "wget", "nc", "ncat", "netcat", "socat",
        "nmap", "base64", "chmod", "chattr", "crontab", "python", "perl", "ruby", "gcc", "cc", "tcpdump", "ping",
        "nslookup", "dig", "mount", "df", "lscpu", "nproc", "free", "passwd", "su", "sudo", "kubectl", "crictl",
    }
)  # fmt: skip
_DISCOVERY = frozenset(
    {
        "id", "whoami", "uname", "hostname", "ifconfig", "ip", "netstat", "ss", "ps", "w", "who", "last", "lsof", "arp",
        "route", "env", "printenv", "groups", "lscpu", "nproc", "free", "df", "mount", "lsblk", "lsmod", "capsh",
        "lsns", "getcap", "getent", "sysctl", "dmesg", "uptime", "hostnamectl", "lsb_release", "arch", "findmnt",
        "systemctl", "dpkg-query", "crontab", "sestatus", "aa-status", "locate", "which", "whereis",
    }
)  # fmt: skip

_REVERSE = re.compile(
    r"/dev/(?:tcp|udp)/[\w.-]+/\d+"
    r"|\bbash\s+-i\s*[<>&0-9\s]*>&?\s*/dev/"
    r"|\bmkfifo\b.{0,200}?\b(?:nc|ncat|netcat|openssl|telnet|socat)\b"
    r"|\bmknod\b\s+\S+\s+p\b.{0,200}?\b(?:nc|ncat|netcat|telnet)\b"
    r"|\b(?:nc|ncat|netcat)\b[^|;&]*\s(?:-[a-z]*[ec][a-z]*\s*|--exec[= ]|--sh-exec[= ])\S*sh\b"
    r"|\bsocket\.socket\b.{0,300}?(?:os\.dup2|subprocess|pty\.spawn)"
    r"|\bpty\.spawn\b.{0,80}?sh\b.{0,200}?\bsocket\b"
    r"|\bfsockopen\s*\(.{0,200}?(?:exec|shell_exec|system|passthru|popen|proc_open|`)"
    r"|\bTCPSocket\.(?:new|open)\b.{0,200}?(?:exec|IO\.popen|to_i)"
    r"|\bSocket\b.{0,120}?\bexec\b.{0,40}?sh\b.{0,20}?-i"
    r"|\buse Socket\b.{0,300}?open\(STDIN"
    r"|\bIO::Socket::INET\b.{0,300}?(?:exec|fdopen|system)"
    r"|\bnet\.(?:Socket|connect|createConnection)\b.{0,300}?child_process"
    r"|child_process.{0,300}?\bnet\.(?:Socket|connect|createConnection)\b"
    r"|\bopenssl\s+s_client\b.{0,200}?\|\s*(?:\S*/)?(?:ba|da|z)?sh\b"
    r"|\btelnet\b\s+\S+\s+\d+\s*\|\s*(?:\S*/)?(?:ba|da|z)?sh\b"
    r"|\bsocat\b.{0,200}?exec:.{0,60}?sh\b.{0,120}?tcp|\bsocat\b.{0,200}?\b(?:tcp|openssl|udp)\d?(?:-connect)?:.{0,200}?\bexec:.{0,60}?sh\b",
    re.DOTALL | re.IGNORECASE,
)


@detection(
    id="RT-0501",
    title="Reverse shell",
    severity=Severity.HIGH,
    attack=("T1059.004", "T1095"),
    on=ProcessExec,
    response="Cut the pod's network at once; the far end of the connection commands it.",
    action="opened a reverse shell",
    logic=Logic.CORRELATION,
    catalogue=("K8S.NODE_ReverseShell",),
    needs=(EXECS, "kinds of descriptors at exec"),
    confidence="high",
    benign=(
        "inetd-style services that hand their socket to a script on purpose.",
        "A script that only tests a port (`</dev/tcp/host/port`) is left out when nothing is bound to it.",
    ),
    investigate=("Who is the peer? What did the shell run since (same process tree)?",),
)
def reverse_shell(event: ProcessExec) -> Match | None:
    """A shell or interpreter starts with a network socket as its input and output, a shell that was given nothing else to run
    with one as its input, or either with a well-known one-liner.

    The first way needs no words: descriptors are looked at in the kernel when the program starts.
    """
    name = program(event.process)
    peer = event.peer.rpartition(":")[0].strip("[]")
    entities = (ip_entity(peer),) if peer else ()
    both = "socket" in event.stdio[1:]
    if event.stdio[0] == "socket" and (name in SHELLS | INTERPRETERS if both else reads_commands(event.process)):
        if (
            peer.startswith("127.")
            or peer == "::1"
            or any(
                item in ("sshd", "in.telnetd", "inetd", "xinetd", "rshd", "systemd", "tini-inetd")
                for item in programs(event)
            )
        ):
            return None
        to = f" ({event.peer})" if event.peer else ""
        ways = "input and output" if both else "input"
        return Match(f"{name} has a network connection as its {ways}{to}", entities=entities, key="socket")
    text = plain(script_text(event.process)) or (event.process.command_line if name in ("socat", "ncat", "nc") else "")
    if len(text) < 10:
        return None
    found = _REVERSE.search(text[:8192])
    if found is None or (found.group().lower().startswith("/dev/") and not _bound(text)):
        return None
    return Match(f"one-liner of a reverse shell: {text[:200]}", entities=entities, key="one-liner")


def _bound(text: str) -> bool:
    """Whether /dev/tcp is more than probed: a shell, or both directions, hang on it."""
    return bool(
        re.search(
            r"\bsh\b.*(?:-i|[<>]&)|exec\s+\d+<>|[<>]&\s*\d|0<&|\d+<>|\b(?:ba|da|z)?sh\s+-i|\|\s*(?:ba|da|z)?sh\b", text
        )
    )


@detection(
    id="RT-0502",
    title="Web server started a shell or discovery tool",
    severity=Severity.MEDIUM,
    attack=("T1505.003", "T1190"),
    on=ProcessExec,
    response="Isolate the pod, keep the web root, look for a file that should not be there.",
    action="ran commands through a web shell",
    logic=Logic.CORRELATION,
    catalogue=("K8S.NODE_WebShellActivity†",),
    needs=(EXECS,),
    confidence="high",
    benign=(
        (
            "Applications that call helpers (image conversion, mail, git) through a shell: only shells with discovery, "
            "download or encoding commands, and such tools themselves, count."
        ),
        "Start-up scripts: a server is an ancestor only after it took over.",
        "Services that run commands for people: ssh, notebooks, terminals in the browser, CI (left out).",
    ),
    investigate=("Find the request at the same second in the access log.", "What did the shell run next?"),
)
def web_shell_activity(event: ProcessExec) -> Match | None:
    """A web or application server runs a discovery, download or encoding tool, or a shell that was told to.

    By behaviour, whatever the file that lets it in: the nearest program above that is no shell or interpreter is a
    server. `whoami` through a page is enough. Below other programs that listen on a port, only what an intruder asks
    first counts.
    """
    server = server_above(event, WEB_SERVERS)
    if server is None and program(event.process) != "php":
        server = _php_server(event)
    if in_build(event):
        return None
    if server is None:
        return _first_questions(event)
    name = program(event.process)
    if name in SHELLS:
        text = script_text(event.process)
        if not text:
            return (
                Match(f"{program(server)} started {name}", key=f"{program(server)}:{name}")
                if interactive(event) or event.stdio[0] == "socket"
                else None
            )
        if not _WEB_COMMANDS.search(text) or _HELPERS.search(text):
            return None
        return Match(f"{program(server)} ran: {text[:200]}", key=program(server))
    if name in _TOOLS and not _HELPERS.search(event.process.command_line):
        return Match(f"{program(server)} ran: {event.process.command_line[:200]}", key=program(server))
    return None


_FIRST_QUESTIONS = re.compile(
    r"(?:^|[\s;&|`(/])(?:(?:id|whoami|uname\s+-\w*a\w*|ifconfig|netstat\s+-\w+|ps\s+(?:aux|-ef)\w*|printenv|env)(?:[\s;&|)<>]|$)"
    r"|cat\s+\S*/etc/(?:passwd|shadow|hosts)|cat\s+\S*/proc/self/environ|ls\s+(?:-\w+\s+)?/(?:\s|$)"
    r"|(?:curl|wget)\b[^|]{0,200}\|\s*(?:\S*/)?(?:ba|da|z)?sh\b|base64\s+-(?:d|-decode)\b[^|]{0,80}\|\s*(?:\S*/)?(?:ba|da|z)?sh\b)"
)


_OWN_ANALYTIC = frozenset({"java", "jsvc", "tomcat", "node", "nodejs", "bun", "deno"})
"""RT-0507 and RT-0508; databases have RT-0506."""


def _first_questions(event: ProcessExec) -> Match | None:
    """What comes through an injection first, below a network service of any kind in a container."""
    service = service_above(event)
    if event.container is None or service is None or interactive(event) or on_platform(event):
        return None
    name = program(event.process)
    if program(service) in DATABASES | _OWN_ANALYTIC:
        return None
    text = script_text(event.process) if name in SHELLS else event.process.command_line
    if not _FIRST_QUESTIONS.search(text) or _HELPERS.search(text):
        return None
    what = " ".join((service.name, *service.args[1:3]))[:80]
    return Match(f"{what}, which listens on the network, ran: {text[:200]}", key=program(service))


def _php_server(event: ProcessExec):  # type: ignore[no-untyped-def]
    """`php -S` is a web server too."""
    for ancestor in event.process.ancestors:
        name = program(ancestor)
        if name == "php" and "-S" in ancestor.args:
            return ancestor
        if name not in SHELLS and name not in INTERPRETERS:
            return None
    return None


_WEB_COMMANDS = re.compile(
    r"(?:^|[\s;&|`(/])(?:(?:id|whoami|uname|hostname|ifconfig|ip\s+(?:a|addr|r|route|n)|netstat|ss|ps|w|who"
    r"|curl|wget|nc|ncat|nmap|base64|chmod|crontab|python\S*\s+-c|perl\s+-e|bash\s+-[ic]|sh\s+-[ic]|env|printenv|kubectl"
    r"|echo\s+\S{12,}|modprobe|grep\s+-\w*[rR]\w*|getent|dig|nslookup|arp|mount|df)(?:[\s;&|)<>]|$)"
    r"|(?:cat|ls|find|touch)\s+/|ls\s+-)"
)
_HELPERS = re.compile(
    r"\b(?:healthz?|readyz?|livez|pg_isready|/status|sendmail|convert|identify|gs\s|ffmpeg|ffprobe|exiftool|wkhtmltopdf|git\s|stty|sbin/ldconfig|locale|localhost:\d+/(?:health|ping|status|metrics))\b|uname -[sp]\b|which \w+$"
)


_WEB_ROOTS = re.compile(
    r"^/(?:var/www|srv/(?:www|http)|usr/share/nginx/html|usr/local/apache2/htdocs|usr/local/tomcat/webapps|opt/[^/]+/(?:htdocs|webapps|wwwroot|public_html)|home/[^/]+/public_html|inetpub|app/(?:public|webroot))/"
)
_PAGES = (
    ".php",
    ".phtml",
    ".php5",
    ".php7",
    ".phar",
    ".jsp",
    ".jspx",
    ".war",
    ".asp",
    ".aspx",
    ".ashx",
    ".cgi",
    ".cfm",
)


@detection(
    id="RT-0503",
    title="Server-side page was dropped into a web root",
    severity=Severity.MEDIUM,
    attack=("T1505.003",),
    on=FileEvent,
    response="Keep the file, take it out of the web root, read the access log for requests of it.",
    action="had a page dropped into its web root",
    catalogue=("K8S.NODE_Webshell",),
    needs=(FILES,),
    benign=("Deployments and plug-in updates through the application itself.", "Template caches are left out."),
    investigate=("Does the page hold eval, base64 or system calls?", "Which request wrote it?"),
)
def page_dropped(event: FileEvent) -> Match | None:
    """A web server, shell, interpreter or download tool creates a page that the server would execute."""
    if not isinstance(event, FileOpen | FileRename) or in_build(event) or by_package_manager(event):
        return None
    if isinstance(event, FileOpen) and not (event.writes and (event.creates or event.truncates)):
        return None
    path = event.changed
    if not path.lower().endswith(_PAGES) or not _WEB_ROOTS.match(path):
        return None
    if re.search(r"/(?:cache|templates_c|compiled|twig|smarty|tmp/sess|vendor|storage/framework)/", path):
        return None
    name = program(event.process)
    if name in WEB_SERVERS | SHELLS | INTERPRETERS | DOWNLOADERS | {"tee", "cp", "mv", "dd", "java"}:
        return Match(f"{event.process} wrote {path}", entities=(file_entity(event, path),), key=path)
    return None


@detection(
    id="RT-0504",
    title="Interactive shell in a container",
    severity=Severity.LOW,
    attack=("T1059.004", "T1609"),
    on=ProcessExec,
    response="Ask who works there; production containers need no terminal.",
    action="had an interactive shell",
    programs=SHELLS,
    catalogue=("X_InteractiveShell",),
    needs=(EXECS,),
    benign=(
        "Debugging by the team (`kubectl exec -it`): joins with the audit log's RT counterpart.",
        "Jump hosts and notebooks.",
    ),
    investigate=("Which user ran `kubectl exec` at this second (audit log)?",),
)
def interactive_shell(event: ProcessExec) -> Match | None:
    """A shell with a terminal starts in a container, not below another such shell."""
    if event.container is None or not interactive(event) or in_build(event):
        return None
    if script_text(event.process) or event.script:
        return None
    above = event.process.ancestors[0] if event.process.ancestors else None
    if above is not None and program(above) in SHELLS:
        return None
    how = "entered from outside" if event.process.entered else "as the container's own program"
    lowered = None if event.process.entered else Severity.INFORMATIONAL
    return Match(
        f"{program(event.process)} at terminal {event.process.tty}, {how}", lowered, (how,), key=event.process.tty
    )


_PHP_CODE = re.compile(
    r"\b(?:eval|assert|base64_decode|gzinflate|str_rot13|system|exec|shell_exec|passthru|popen|proc_open|pcntl_exec|file_put_contents|fsockopen|create_function)\s*\(",
    re.IGNORECASE,
)


@detection(
    id="RT-0505",
    title="Suspicious PHP execution",
    severity=Severity.MEDIUM,
    attack=("T1059", "T1505.003"),
    on=ProcessExec,
    response="Read the code that was run; look for its source in the web root.",
    action="ran suspicious PHP",
    catalogue=("K8S.NODE_SuspiciousPhp†",),
    needs=(EXECS,),
    benign=("Version checks (`php -r 'echo PHP_VERSION;'`) and composer are left out.",),
    investigate=("Who started php: the web server, cron, a person?",),
)
def suspicious_php(event: ProcessExec) -> Match | None:
    """`php -r` with evaluating, decoding or command functions; or a PHP worker that starts a shell with pipes to the web."""
    process = event.process
    if in_build(event) or by_package_manager(event):
        return None
    if program(process) == "php":
        code = script_text(process)
        if code and _PHP_CODE.search(code) and "composer" not in code:
            return Match(f"php -r: {code[:200]}", key="php -r")
        if (
            process.args[1:2]
            and process.args[1].startswith("-d")
            and re.search(r"auto_prepend_file|allow_url_include|disable_functions=\s", process.command_line)
        ):
            return Match(f"php with injected settings: {process.command_line[:200]}", key="php -d")
        return None
    if program(process) in SHELLS and event.process.ancestors:
        worker = program(process.ancestors[0])
        text = script_text(process)
        if (
            worker in ("php-fpm", "php-cgi", "lsphp")
            and text
            and _WEB_COMMANDS.search(text)
            and not _HELPERS.search(text)
        ):
            return Match(f"the PHP worker started a shell: {text[:200]}", key="worker")
    return None


@detection(
    id="RT-0506",
    title="Database started a program",
    severity=Severity.MEDIUM,
    attack=("T1190", "T1505.001"),
    on=ProcessExec,
    response="Isolate the database pod; look for COPY … PROGRAM, UDFs, modules or Lua escapes in its log.",
    action="started a program from its database",
    catalogue=("K8S.NODE_DbSpawn†",),
    needs=(EXECS,),
    confidence="high",
    benign=(
        "archive_command and similar hooks (WAL tools are left out).",
        "Entry-point scripts run above the server, not below.",
    ),
    investigate=("Which client sent the query?",),
)
def database_spawn(event: ProcessExec) -> Match | None:
    """A database server is the parent of a shell, interpreter, download or discovery tool."""
    server = server_above(event, DATABASES)
    if server is None:
        return None
    name = program(event.process)
    if name not in SHELLS | INTERPRETERS | DOWNLOADERS | _TOOLS:
        return None
    text = event.process.command_line
    if re.search(
        r"wal-g|wal_g|barman|pgbackrest|wal-e|archive|pg_wal|cp\s+\S*pg_|test ! -f|backup|pg_isready|mysqladmin|redis-cli\s+(?:-\S+\s+)*ping|jvm\.options|elasticsearch-env|locale -a|^sh -c (?:date|uname)\b",
        text,
    ):
        return None
    return Match(f"{program(server)} started: {text[:200]}", key=program(server))


_JNDI = re.compile(r"\$\{(?:jndi|\$\{|lower:|upper:|env:|sys:|::-)|jndi:(?:ldaps?|rmi|dns|iiop)://", re.IGNORECASE)
_JAVA_TOOLS = frozenset({"java", "javac", "jstat", "jcmd", "jstack", "jmap", "keytool"})


@detection(
    id="RT-0507",
    title="Java application exploited",
    severity=Severity.HIGH,
    attack=("T1190", "T1203"),
    on=ProcessExec,
    response="Isolate the pod, keep its memory and logs; patch the library.",
    action="was exploited through Java",
    logic=Logic.CORRELATION,
    catalogue=("K8S.NODE_JavaExploit†",),
    needs=(EXECS,),
    benign=(
        "CI servers (Jenkins, TeamCity) and Hadoop/Spark run shells all day: left out by name, or exempt their image.",
    ),
    investigate=(
        "Which library: log4j, Spring, Struts, Confluence, ActiveMQ?",
        "Is there an LDAP or RMI connection just before?",
    ),
)
def java_exploit(event: ProcessExec) -> Match | None:
    """A Java server starts a download tool, a reverse shell, an encoded script or a discovery command."""
    server = server_above(event, frozenset({"java", "jsvc", "tomcat", "catalina"}))
    if server is None:
        return None
    joined = " ".join(server.args[:12]).lower()
    if re.search(
        r"jenkins|teamcity|bamboo|hadoop|spark|gradle|maven|sonar|nifi|airflow|jupyter|kafka-run-class|remoting|agent\.jar|slave\.jar",
        joined,
    ):
        return None
    name = program(event.process)
    text = script_text(event.process) or event.process.command_line
    if name in DOWNLOADERS or (
        name in SHELLS and (_REVERSE.search(text) or _WEB_COMMANDS.search(text)) and not _HELPERS.search(text)
    ):
        return Match(f"java started: {text[:200]}", key="java")
    if name in ("id", "whoami", "uname", "nc", "ncat", "base64", "python", "perl", "chmod", "crontab"):
        return Match(f"java started: {text[:200]}", key="java")
    return None


@detection(
    id="RT-0508",
    title="Node.js server exploited by command injection",
    severity=Severity.HIGH,
    attack=("T1190",),
    on=ProcessExec,
    response="Isolate the pod; update React server components and Next.js (CVE-2025-55182).",
    action="was exploited through Node.js",
    logic=Logic.CORRELATION,
    catalogue=("K8S.NODE_React2Shell†",),
    needs=(EXECS,),
    benign=("Builds and package scripts below npm, yarn and pnpm are left out.",),
    investigate=(
        "Find POST requests with a Next-Action header at that second.",
        "Which version of react-server-dom runs?",
    ),
)
def node_exploit(event: ProcessExec) -> Match | None:
    """A Node.js server process (Next.js first of all) starts a shell with download, discovery or encoding commands.

    child_process.exec always goes through `/bin/sh -c`, which is what injected code calls.
    """
    if event.container is None or in_build(event):
        return None
    ancestors = event.process.ancestors
    nearest = next((item for item in ancestors if program(item) not in SHELLS), None)
    if nearest is None or program(nearest) not in ("node", "nodejs", "bun", "deno", "next-server"):
        return None
    if any(
        re.search(
            r"\b(?:npm|npx|yarn|pnpm|corepack|jest|webpack|vite build|next build|lerna|turbo)\b",
            " ".join(item.args[:4]),
        )
        for item in ancestors[:6]
    ):
        return None
    name = program(event.process)
    text = script_text(event.process) or event.process.command_line
    if name not in SHELLS | DOWNLOADERS | _TOOLS or _HELPERS.search(text):
        return None
    if name in SHELLS and not (_WEB_COMMANDS.search(text) or _REVERSE.search(text)):
        return None
    if name in (
        "ps",
        "cat",
        "ls",
        "hostname",
        "uname",
        "df",
        "free",
        "nproc",
        "lscpu",
        "ping",
        "which",
        "find",
        "env",
        "lsof",
        "netstat",
    ):
        return None
    next_js = re.search(r"next(?:-server|\.js|/dist| start|\b)|react-server|server\.js|rsc", " ".join(nearest.args[:6]))
    return Match(
        f"{nearest.name} started: {text[:200]}",
        None if next_js else Severity.MEDIUM,
        () if next_js else ("not seen to be a Next.js server",),
        key="node",
    )


_TRAVERSAL = re.compile(r"(?:\.\./|\.\.\\|%2e%2e(?:%2f|/)|\.\.%2f|\.%2e/|%252e%252e|\.\.;/){2,}", re.IGNORECASE)


@detection(
    id="RT-0509",
    title="Path traversal reached a program",
    severity=Severity.MEDIUM,
    attack=("T1190",),
    on=ProcessExec,
    response="Find the request in the access log and fix the handler; look at what was read.",
    action="was reached by path traversal",
    catalogue=("K8S.NODE_PathTraversal†",),
    needs=(EXECS,),
    benign=("Scripts that walk up relative paths: only those below servers, or towards system files, count.",),
    investigate=("Which file was meant?",),
)
def path_traversal(event: ProcessExec) -> Match | None:
    """A server's child was given a traversal sequence, or a CGI was executed through one."""
    text = told(event.process)
    if ".." not in text and "%2e" not in text.lower():
        return None
    found = _TRAVERSAL.search(text)
    if found is None:
        return None
    server = server_above(event, WEB_SERVERS | frozenset({"java", "node", "python"}))
    to_system = re.search(
        r"(?:\.\./|%2e%2e%2f|\.%2e/){2,}(?:etc|proc|root|bin|usr/bin|var/log|windows)\b", text, re.IGNORECASE
    )
    if server is not None and (to_system or program(server) in WEB_SERVERS):
        return Match(
            f"{program(server)} passed {found.group()[:40]}… to {program(event.process)}: {text[:160]}",
            key=program(server),
        )
    if to_system and program(event.process) in ("curl", "wget") and re.search(r"https?://", text):
        return Match(f"a request with path traversal: {text[:160]}", Severity.LOW, ("sent from here",), key="sent")
    return None


_EXPLOITS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Log4Shell (CVE-2021-44228)", re.compile(r"\$\{(?:jndi|(?:lower|upper):j|::-j|env:\w+:-j)", re.IGNORECASE)),
    ("Shellshock (CVE-2014-6271)", re.compile(r"\(\)\s*\{\s*(?::|_|[\w;]+)\s*;\s*\}\s*;")),
    ("Spring4Shell (CVE-2022-22965)", re.compile(r"class\.module\.classLoader", re.IGNORECASE)),
    ("Struts OGNL (CVE-2017-5638)", re.compile(r"%\{\(?#?_?(?:memberAccess|nike|dm)|@ognl\.OgnlContext|#context\[")),
    ("Confluence OGNL (CVE-2022-26134)", re.compile(r"\$\{(?:@|%28|\()*?(?:#a=|Class\.forName|com\.opensymphony)")),
    ("PHP-CGI arguments (CVE-2012-1823, CVE-2024-4577)", re.compile(r"(?:-d|%ADd)\s*allow_url_include", re.IGNORECASE)),
    ("ThinkPHP (CVE-2018-20062)", re.compile(r"invokefunction&function=|\\think\\(?:app|template)", re.IGNORECASE)),
    ("PHPUnit (CVE-2017-9841)", re.compile(r"phpunit/phpunit/src/Util/PHP/eval-stdin", re.IGNORECASE)),
    ("Apache path traversal (CVE-2021-41773)", re.compile(r"/cgi-bin/(?:\.%2e|%2e%2e|\.\.)/", re.IGNORECASE)),
    ("PwnKit (CVE-2021-4034)", re.compile(r"GCONV_PATH=|pwnkit", re.IGNORECASE)),
    ("sudo heap overflow (CVE-2021-3156)", re.compile(r"sudoedit\s+-s\s+\S*\\")),
    ("Dirty Pipe / Dirty COW", re.compile(r"(?:^|[/\s])(?:dirty_?pipe\w*|dirty_?cow\w*|traitor-\w+)(?:\s|$)", re.IGNORECASE)),
    ("Looney Tunables (CVE-2023-4911)", re.compile(r"GLIBC_TUNABLES=glibc\.\w+\.\w+=glibc\.")),
    ("GitLab ExifTool (CVE-2021-22205)", re.compile(r"\(metadata\s*\(Copyright", re.IGNORECASE)),
    ("Docker API or Kubernetes escape one-liner", re.compile(r"chroot\s+/(?:host|mnt|rootfs|hostfs)\b.*\b(?:bash|sh)\b|docker\s.*-v\s*/:/\S+.*chroot")),
)  # fmt: skip


@detection(
    id="RT-0510",
    title="Exploit string in a command line",
    severity=Severity.MEDIUM,
    attack=("T1190", "T1203"),
    on=ProcessExec,
    response="Find out whether it is aimed at you or sent by you, and whether the target is patched.",
    action="carried an exploit in its command line",
    logic=Logic.LIST,
    catalogue=("K8S.NODE_ExploitAttempt",),
    needs=(EXECS,),
    benign=("Scanners and search commands with such strings (grep is left out).",),
    investigate=("Did the program that got the string start anything?",),
)
def exploit_string(event: ProcessExec) -> Match | None:
    """Arguments or watched variables hold the payload pattern of a well-known flaw."""
    name = program(event.process)
    if name in ("grep", "egrep", "rg", "sed", "awk", "vi", "vim", "less", "git"):
        return None
    tunables = event.environment.get("GLIBC_TUNABLES", "")
    if re.search(r"=glibc\.[\w.]+=", tunables):
        return Match("GLIBC_TUNABLES holds an overflow pattern (CVE-2023-4911)", Severity.HIGH, key="CVE-2023-4911")
    if name == "pkexec" and not event.process.args:
        return Match(
            "pkexec without any argument, not even its name (CVE-2021-4034)", Severity.HIGH, key="CVE-2021-4034"
        )
    text = told(event.process)
    if len(text) < 12:
        return None
    for flaw, pattern in _EXPLOITS:
        if pattern.search(text[:8192]):
            return Match(f"{flaw}: {text[:160]}", key=flaw, features={"flaw": flaw})
    return None


@detection(
    id="RT-0511",
    title="nohup of a hidden or temporary file",
    severity=Severity.MEDIUM,
    attack=("T1059.004", "T1564.001"),
    on=ProcessExec,
    response="Keep the file and stop the process.",
    action="left a hidden program running",
    programs=SHELLS | frozenset({"nohup", "setsid", "disown", "daemonize", "screen", "tmux"}),
    catalogue=("K8S.NODE_SuspectNohup",),
    needs=(EXECS,),
    benign=("Long jobs that a person started from /tmp.",),
    investigate=("What is the file, who wrote it?",),
)
def nohup_hidden(event: ProcessExec) -> Match | None:
    """nohup, setsid or screen detaches a program whose path is hidden or in a temporary folder."""
    process = event.process
    name = program(process)
    if in_build(event):
        return None
    if name in SHELLS:
        found = re.search(
            r"\b(?:nohup|setsid)\s+(?:-\S+\s+)*((?:ba|da)?sh\s+|python\d?\s+|perl\s+)?(\S+)", script_text(process)
        )
        target, direct = (found.group(2), not found.group(1)) if found else ("", False)
    else:
        rest = [item for item in process.args[1:] if not item.startswith("-")]
        target = next((item for item in rest if item.rpartition("/")[2] not in SHELLS | INTERPRETERS), "")
        direct = rest[:1] == [target]
    if not target or (direct and "/" not in target):
        return None  # a command without a slash is looked for in PATH, not here
    path = target if target.startswith("/") else f"{process.cwd.rstrip('/')}/{target}"
    if is_temporary(path) or is_hidden(target.removeprefix("./")):
        return Match(f"{name} detaches {path}", entities=(file_entity(event, path),), key=path)
    return None


@lru_cache(maxsize=4096)
def _installs_packages(args: tuple[str, ...]) -> bool:
    """Asked of everything above every start: remembered, because those are the same few."""
    return bool(re.search(r"\b(?:npm|npm-cli\.js|yarn|pnpm|npx)\b.*\b(?:install|i|ci|add)\b", " ".join(args)))


@detection(
    id="RT-0512",
    title="Package script harvests or sends secrets",
    severity=Severity.HIGH,
    attack=("T1195.002", "T1552.001", "T1567.001"),
    on=ProcessExec,
    response="Rotate npm, GitHub and cloud tokens of that machine at once; look for new public repositories and workflows.",
    action="harvested secrets by a package script",
    logic=Logic.CORRELATION,
    catalogue=("K8S.NODE_ShaiHulud†",),
    needs=(EXECS,),
    confidence="high",
    benign=("Secret scanners that a pipeline runs on purpose are not below a package manager's life-cycle script.",),
    investigate=(
        "Which package's script (npm_lifecycle_event)?",
        "Which versions were published with the stolen token?",
    ),
)
def package_script_worm(event: ProcessExec) -> Match | None:
    """Below an npm, yarn or pnpm install script: a secret scanner, a metadata request, a dump of the environment, or a
    push to a public repository. The pattern of the Shai-Hulud worms of 2025."""
    process = event.process
    lifecycle = event.environment.get("npm_lifecycle_event", "") in ("preinstall", "install", "postinstall", "prepare")
    if not lifecycle and not any(_installs_packages(item.args[:5]) for item in process.ancestors[:8]):
        return None
    name = program(process)
    text = process.command_line
    if name in ("trufflehog", "gitleaks", "noseyparker") or "trufflehog" in text:
        return Match(f"a package script runs a secret scanner: {text[:160]}", key="scanner")
    if "169.254.169.254" in text or "metadata.google.internal" in text:
        return Match(f"a package script asks for cloud credentials: {text[:160]}", key="metadata")
    if re.search(
        r"webhook\.site|api\.github\.com/(?:user/repos|repos/\S+/contents)|Shai-Hulud|/actions/runners",
        text,
        re.IGNORECASE,
    ):
        return Match(f"a package script talks to a public repository: {text[:160]}", key="push")
    if name in ("gh", "git") and re.search(r"\bauth token\b|\brepo create\b.*--public|\bpush\b.*https://\S+@", text):
        return Match(f"a package script uses git credentials: {text[:160]}", key="git")
    if re.search(
        r"\b(?:cat|cp|curl\b.*(?:-d|-F|-T))\b.*(?:\.npmrc|\.aws/credentials|\.git-credentials|\.ssh/id_)", text
    ):
        return Match(f"a package script reads credentials: {text[:160]}", key="files")
    if name in SHELLS and re.search(r"\b(?:env|printenv)\b\s*\|?.*(?:curl|base64|nc)\b", text):
        return Match(f"a package script sends the environment: {text[:160]}", key="environment")
    return None


@detection(
    id="RT-0513",
    title="Burst of discovery commands",
    severity=Severity.LOW,
    attack=("T1082", "T1033", "T1057", "T1016"),
    on=ProcessExec,
    response="Look at what led to it (RT-0501, RT-0502, RT-0504) and what followed.",
    action="explored the system",
    logic=Logic.CORRELATION,
    programs=_DISCOVERY | frozenset({"cat", "head", "ls"}),
    catalogue=("K8S.NODE_ReconnaissanceArtifactsBurst",),
    needs=(EXECS,),
    benign=(
        "Diagnosis by a person.",
        "Start-up and support scripts: those of the container's first seconds are left out.",
    ),
    investigate=("Does one shell stand above all of them?",),
    window=timedelta(minutes=2),
    by="scope+session",
    threshold=5,
    distinct="command",
)
def discovery_burst(event: ProcessExec) -> Match | None:
    """Five different host-discovery commands within two minutes in one session of one container or node."""
    if in_build(event) or by_package_manager(event) or on_platform(event):
        return None
    process = event.process
    name = program(process)
    if name in ("cat", "head", "ls") and not re.search(
        r"/etc/(?:os-release|issue|passwd|group|hosts|resolv\.conf|\S*-release|fstab|crontab)|/proc/(?:version|cpuinfo|meminfo|mounts|self/|1/|net/|sys/)|/sys/(?:fs/cgroup|class)|/var/run/secrets",
        process.command_line,
    ):
        return None
    if name == "env" and any("=" not in argument and not argument.startswith("-") for argument in process.args[1:]):
        return None  # it starts a program: `#!/usr/bin/env bash`
    if name == "mount" and any(argument.startswith("/") for argument in process.args[1:]):
        return None  # it mounts, and lists nothing
    container = event.container
    if (
        container is not None
        and container.started_ns
        and not process.entered
        and not interactive(event)
        and event.ts_ns - container.started_ns < 20_000_000_000
    ):
        return None
    return Match(f"discovery: {process.command_line[:120]}", key="discovery")


@detection(
    id="RT-0514",
    title="Program started by a system account in a login session",
    severity=Severity.LOW,
    attack=("T1059", "T1078"),
    on=ProcessExec,
    response="System accounts do not log in: find out how this one got a terminal.",
    action="ran a program as a system account",
    needs=(EXECS,),
    programs=SHELLS,
    benign=("`su -s /bin/sh www-data` by an administrator.",),
    investigate=("Which process stands above the shell?",),
)
def system_account_shell(event: ProcessExec) -> Match | None:
    """An interactive shell on a node runs as a system account (uid 1 to 999)."""
    process = event.process
    if event.container is not None or not interactive(event) or not 0 < process.uid < 1000 or script_text(process):
        return None
    if any(name in ("sudo", "su", "runuser") for name in programs(event)):
        return None
    return Match(f"{program(process)} at {process.tty} as uid {process.uid}", key=str(process.uid))
