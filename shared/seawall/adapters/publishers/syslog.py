"""Incidents as ArcSight CEF over syslog (RFC 5424; TCP and TLS with octet counting, RFC 6587 and 5425).

Syslog has no acknowledgement: TCP and TLS say when a connection is gone, UDP says nothing.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from seawall.app.publishing import outcome_of
from seawall.domain.alerts import Alert, Incident
from seawall.domain.errors import SeawallError, Unavailable
from seawall.domain.publishing import DONE, Kind, Outcome, incident_of
from seawall.domain.severity import Severity
from seawall.ports.clock import Clock
from seawall.ports.outbox import Outbox, OutboxEntry
from seawall.settings import Settings, SyslogSettings

FACILITY = 13  # log audit
TIMEOUT_S = 10
UDP_BYTES = 8 * 1024
MESSAGE_BYTES = 32 * 1024
_CEF = {
    Severity.CRITICAL: 10,
    Severity.HIGH: 8,
    Severity.MEDIUM: 5,
    Severity.LOW: 3,
    Severity.INFORMATIONAL: 1,
    Severity.UNKNOWN: 0,
}
_SYSLOG = {
    Severity.CRITICAL: 2,
    Severity.HIGH: 3,
    Severity.MEDIUM: 4,
    Severity.LOW: 5,
    Severity.INFORMATIONAL: 6,
    Severity.UNKNOWN: 6,
}


class SyslogPublisher:
    """Fulfils `ports.publisher.BatchPublisher`: one connection per round."""

    id = "syslog"
    kinds = frozenset({Kind.INCIDENT})

    def __init__(self, settings: SyslogSettings) -> None:
        self._settings = settings

    def publish_batch(self, entries: Sequence[OutboxEntry]) -> list[Outcome]:
        """See the port. After a broken connection the rest of the round is retried later."""
        outcomes: list[Outcome] = []
        try:
            with self._connect() as connection:
                for entry in entries:
                    try:
                        incident, alerts = incident_of(entry.body)
                    except SeawallError as error:
                        outcomes.append(outcome_of(error))
                        continue
                    self._send(connection, message(incident, alerts))
                    outcomes.append(DONE)
        except (OSError, ssl.SSLError) as error:
            place = f"{self._settings.host}:{self._settings.port}"
            failure = outcome_of(Unavailable(f"syslog {place}: {type(error).__name__}", hint=str(error)))
            outcomes += [failure] * (len(entries) - len(outcomes))
        return outcomes

    def _connect(self) -> socket.socket:
        place = (self._settings.host, self._settings.port)
        if self._settings.transport == "udp":
            family, kind, protocol, _, address = socket.getaddrinfo(*place, type=socket.SOCK_DGRAM)[0]
            connection = socket.socket(family, kind, protocol)
            connection.connect(address)
            return connection
        connection = socket.create_connection(place, timeout=TIMEOUT_S)
        if self._settings.transport == "tls":
            context = ssl.create_default_context(cafile=str(self._settings.ca_file or "") or None)
            try:
                return context.wrap_socket(connection, server_hostname=self._settings.host)
            except BaseException:
                connection.close()
                raise
        return connection

    def _send(self, connection: socket.socket, text: str) -> None:
        raw = text.encode("utf-8", "replace")
        if self._settings.transport == "udp":
            connection.send(raw[:UDP_BYTES])
            return
        raw = raw[:MESSAGE_BYTES]
        connection.sendall(f"{len(raw)} ".encode() + raw)


def message(incident: Incident, alerts: Sequence[Alert]) -> str:
    """Return the syslog message of one state change."""
    priority = FACILITY * 8 + _SYSLOG[incident.severity]
    when = incident.last_seen.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"<{priority}>1 {when} {socket.gethostname() or '-'} seawall - incident - {cef(incident, alerts)}"


def cef(incident: Incident, alerts: Sequence[Alert]) -> str:
    """Return the CEF record. Header fields escape `\\` and `|`, extension values `\\`, `=` and line ends."""
    first = alerts[0] if alerts else None
    header = "|".join(
        _header(part)
        for part in (
            "CEF:0",
            "Seawall",
            "Seawall",
            version("seawall"),
            first.analytic if first else "incident",
            incident.title,
            str(_CEF[incident.severity]),
        )
    )
    state = "merged" if incident.merged_into else incident.status
    extension = {
        "externalId": incident.id,
        "start": _milliseconds(incident.first_seen),
        "end": _milliseconds(incident.last_seen),
        "cnt": str(len(incident.alert_ids)),
        "outcome": state,
        "suser": ", ".join(incident.actors),
        "src": next((alert.source_ip for alert in alerts if alert.source_ip), ""),
        "msg": first.message if first else incident.title,
        "cn1Label": "seq",
        "cn1": str(incident.seq),
        "cs1Label": "clusters",
        "cs1": ", ".join(incident.clusters),
        "cs2Label": "techniques",
        "cs2": ", ".join(incident.attack),
        "cs3Label": "namespaces",
        "cs3": ", ".join(dict.fromkeys(alert.namespace for alert in alerts if alert.namespace)),
    }
    return f"{header}|" + " ".join(f"{name}={_value(value[:1023])}" for name, value in extension.items() if value)


def _header(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\r", " ").replace("\n", " ")


def _value(text: str) -> str:
    return (
        text.replace("\\", "\\\\").replace("=", "\\=").replace("\r\n", "\\n").replace("\n", "\\n").replace("\r", "\\n")
    )


def _milliseconds(value: datetime) -> str:
    return str(int(value.timestamp() * 1000))


def publisher(settings: Settings, outbox: Outbox, clock: Clock) -> SyslogPublisher:  # noqa: ARG001 - every factory has this form
    """Return the publisher that the settings describe."""
    assert settings.syslog is not None
    return SyslogPublisher(settings.syslog)
