"""Workloads of a node: what raises each baseline after 20 usual days, and what looks like it."""

from __future__ import annotations

from typing import Any

from seawall.domain.runtime_events import Flow, Listen

from tests.detection.cases import Case, Pairs
from tests.detection.runtime_events import asked, dialled, event, ran, read

TOKEN = "/run/secrets/kubernetes.io/serviceaccount/token"
ROTATED = "/run/secrets/kubernetes.io/serviceaccount/..2026_11_02_09_30_00.123456789/token"


def listens(port: int, **more: Any) -> Listen:
    return event(Listen, address="0.0.0.0", port=port, **more)


def sent(megabytes: int, address: str = "203.0.114.9") -> Flow:
    return event(Flow, address=address, port=443, sent_bytes=megabytes << 20)


def _web(_day: int) -> list[Any]:
    """A web application with a nightly report, probes, a database and a payment service."""
    return [
        ran("java -jar /app/app.jar"),
        ran("sh -c 'pg_isready -U app'", entered=True),
        ran("python3 /app/report.py", exe="/usr/bin/python3.11", script="/app/report.py"),
        read(TOKEN, "java"),
        read("/etc/ssl/private/web.key", "nginx"),
        asked("api.payments.example"),
        asked("web-uploads.s3.eu-central-1.amazonaws.com"),
        dialled("10.96.14.2", 5432, "java", host="db.shop.svc.cluster.local"),
        dialled("203.0.114.9", 8443, "java"),
        dialled("10.96.0.1", 443, "java"),
        dialled("169.254.169.254", 80, "java"),
        listens(8080),
        sent(4),
    ]


def habit(fires: str, found: Any, quiet: str, other: Any) -> tuple[Case, Case]:
    """Return what raises it and what does not, both after the usual days."""
    several = [tuple(each) if isinstance(each, list) else (each,) for each in (found, other)]
    return Case(fires, several[0], _web), Case(quiet, several[1], _web)


WORKLOADS: Pairs = {
    "BL-0101": habit("A program of the image that the shop never ran", ran("find / -perm -4000", by=["java -jar /app/app.jar"]),
                     "The nightly report under another number", ran("python3 /app/report.py --day 307", exe="/usr/bin/python3.11", script="/app/report.py")),
    "BL-0102": habit("kubectl exec -it", ran("bash", tty="pts0", entered=True), "A probe by a shell, without a terminal", ran("sh -c 'pg_isready -U app'", entered=True)),
    "BL-0103": habit("aws in a web shop", ran("aws s3 ls", by=["sh"]), "The web shop's report, which is Python too", ran("python3 /app/report.py", exe="/usr/bin/python3.11", script="/app/report.py")),
    "BL-0104": habit("curl calls the API server", dialled("10.96.0.1", 443, "curl x"), "The application calls it, as always", dialled("10.96.0.1", 443, "java")),
    "BL-0105": habit("A forged request makes the web server ask for credentials", dialled("169.254.169.254", 80, "nginx"), "The application's library asks, as always", dialled("169.254.169.254", 80, "java")),
    "BL-0106": habit("PHP reads the token", read(TOKEN, "php-fpm"), "The application reads it after a rotation", read(ROTATED, "java")),
    "BL-0107": habit("A web server is talked into reading a password file", read("/etc/shadow", "nginx"), "It reads its own key", read("/etc/ssl/private/web.key", "nginx")),
    "BL-0108": habit("A domain that nobody of the shop asked for", asked("cdn.evil-updates.example"), "Another name of the payment service", asked("eu.payments.example")),
    "BL-0109": habit("An address without a name", dialled("198.51.101.7", 4444, "java"), "Another machine of the partner", dialled("203.0.200.4", 8443, "java")),
    "BL-0110": habit("The database of another team", dialled("10.96.90.9", 5432, "java", host="db.payroll.svc.cluster.local"),
                     "One's own database at a new address", dialled("10.96.14.77", 5432, "java", host="db.shop.svc.cluster.local")),
    "BL-0111": habit("600 MB within an hour, where there never were ten", [sent(200), sent(200), sent(200)], "Three times as much as usual", [sent(4), sent(8)]),
    "BL-0112": habit("A second port", listens(4444), "The usual one after a restart", listens(8080)),
}  # fmt: skip
