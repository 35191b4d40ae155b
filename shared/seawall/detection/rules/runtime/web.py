"""Web servers that start programs, and pages put into their folders."""

from __future__ import annotations

import re

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
    on_platform,
    program,
    script_text,
    server_above,
    service_above,
)
from seawall.detection.rules.runtime import EXECS, FILES
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import FileEvent, FileOpen, FileRename, ProcessExec
from seawall.domain.severity import Severity

TOOLS = frozenset(
    {
        "id", "whoami", "uname", "hostname", "ifconfig", "ip", "netstat", "ss", "ps", "w", "who", "last", "lsof", "arp",
        "route", "env", "printenv", "groups", "cat", "ls", "find", "curl", "wget", "nc", "ncat", "netcat", "socat",
        "nmap", "base64", "chmod", "chattr", "crontab", "python", "perl", "ruby", "gcc", "cc", "tcpdump", "ping",
        "nslookup", "dig", "mount", "df", "lscpu", "nproc", "free", "passwd", "su", "sudo", "kubectl", "crictl",
    }
)  # fmt: skip


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
        if not WEB_COMMANDS.search(text) or HELPERS.search(text):
            return None
        return Match(f"{program(server)} ran: {text[:200]}", key=program(server))
    if name in TOOLS and not HELPERS.search(event.process.command_line):
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
    if not _FIRST_QUESTIONS.search(text) or HELPERS.search(text):
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


WEB_COMMANDS = re.compile(
    r"(?:^|[\s;&|`(/])(?:(?:id|whoami|uname|hostname|ifconfig|ip\s+(?:a|addr|r|route|n)|netstat|ss|ps|w|who"
    r"|curl|wget|nc|ncat|nmap|base64|chmod|crontab|python\S*\s+-c|perl\s+-e|bash\s+-[ic]|sh\s+-[ic]|env|printenv|kubectl"
    r"|echo\s+\S{12,}|modprobe|grep\s+-\w*[rR]\w*|getent|dig|nslookup|arp|mount|df)(?:[\s;&|)<>]|$)"
    r"|(?:cat|ls|find|touch)\s+/|ls\s+-)"
)


HELPERS = re.compile(
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
            and WEB_COMMANDS.search(text)
            and not HELPERS.search(text)
        ):
            return Match(f"the PHP worker started a shell: {text[:200]}", key="worker")
    return None
