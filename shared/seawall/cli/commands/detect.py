"""`seawall detect`: analytics over logs in files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from seawall.cli.command import Command
from seawall.cli.console import echo
from seawall.domain.errors import InputError
from seawall.domain.severity import Severity

if TYPE_CHECKING:
    from seawall.app.detect_logs import LogFindings
    from seawall.domain.alerts import Alert

EXIT_POLICY = 3
app = typer.Typer(help="Detect threats in logs.", no_args_is_help=True)
COMMAND = Command(id="detect", app=app)


class OutputFormat(StrEnum):
    """How alerts are printed."""

    JSONL = "jsonl"
    TABLE = "table"


@app.callback()
def detect() -> None:
    """Detect threats in logs."""


@app.command()
def audit(
    files: Annotated[
        list[str],
        typer.Argument(help="Log files: JSON lines or documents, also gzip or zstd; - reads standard input."),
    ],
    output: Annotated[
        OutputFormat, typer.Option("--format", "-f", help="jsonl: one alert a line; table: for people.")
    ] = OutputFormat.TABLE,
    severity: Annotated[str, typer.Option(help="Print alerts of at least this severity.")] = "informational",
    cluster: Annotated[str, typer.Option(help="Name of the cluster for events that carry none.")] = "",
    fail_on: Annotated[
        str, typer.Option("--fail-on", help="Exit with 3 when there is an alert of at least this severity.")
    ] = "",
    tuning: Annotated[Path | None, typer.Option(help="Tuning file: changed analytics and suppressions.")] = None,
    sigma: Annotated[list[Path] | None, typer.Option(help="Sigma rules to run too: a file or folder.")] = None,
    identities: Annotated[
        list[str] | None, typer.Option(help="Your platform's identities and what each may do: YAML, file or URL.")
    ] = None,
) -> None:
    """Detect threats in Kubernetes audit, cloud management and registry logs, in the forms their sources deliver."""
    from datetime import UTC, datetime

    from seawall.adapters.lists import read_text
    from seawall.app.analytics import assembled
    from seawall.app.detect_logs import detect_logs

    least, limit = _severity(severity), _severity(fail_on) if fail_on else None
    with ExitStack() as stack:
        now = datetime.now(UTC)
        own = [(place, read_text(place)) for place in identities or ()]
        analytics = assembled(today=now.date(), tuning=tuning, sigma=sigma or (), identities=own)
        found = detect_logs(
            _opened(files, stack), rules=analytics.rules, cluster=cluster, knowledge=analytics.knowledge, now=now
        )
    found.alerts = analytics.tuning.raised(found.alerts)
    for (analytic, reason), count in sorted(analytics.tuning.suppressed.items()):
        echo(f"suppressed: {count} events of {analytic}: {reason}", err=True)
    for entry in analytics.tuning.expired:
        echo(f"expired, not applied: {entry}", err=True)
    shown = [alert for alert in found.alerts if alert.severity >= least]
    if output is OutputFormat.JSONL:
        _print_lines(shown)
    elif shown:
        _print_table(shown)
    _print_summary(found, shown)
    if not found.events and not found.skipped and found.rejected:
        raise InputError("no events in these files", hint="see seawall detect audit --help for the forms that are read")
    if limit is not None and any(alert.severity >= limit for alert in found.alerts):
        raise typer.Exit(EXIT_POLICY)


def _severity(word: str) -> Severity:
    found = Severity.parse(word)
    if found is Severity.UNKNOWN:
        raise InputError(f"{word!r} is not a severity", hint="informational, low, medium, high or critical")
    return found


def _opened(files: list[str], stack: ExitStack) -> Iterator[tuple[str, IO[bytes]]]:
    for name in files:
        if name == "-":
            yield "-", sys.stdin.buffer
            continue
        try:
            stream = stack.enter_context(Path(name).open("rb"))  # noqa: SIM115 - the stack closes it
        except OSError as error:
            raise InputError(f"{name}: {error.strerror or error}") from error
        yield name, stream
        stream.close()


def _print_lines(alerts: list[Alert]) -> None:
    import msgspec

    encoder = msgspec.json.Encoder()
    for alert in alerts:
        sys.stdout.buffer.write(encoder.encode(as_record(alert)) + b"\n")
    sys.stdout.buffer.flush()


def as_record(alert: Alert) -> dict[str, object]:
    """Return the alert as the object that `--format jsonl` prints."""
    return {
        "id": alert.id,
        "analytic": alert.analytic,
        "title": alert.title,
        "message": alert.message,
        "severity": alert.severity.label,
        "confidence": alert.confidence,
        "attack": list(alert.attack),
        "attack_version": alert.attack_version,
        "first_seen": alert.first_seen,
        "last_seen": alert.last_seen,
        "count": alert.count,
        "source": alert.source,
        "cluster": alert.cluster,
        "namespace": alert.namespace,
        "actor": alert.actor,
        "source_ip": alert.source_ip,
        "reasons": list(alert.reasons),
        "features": alert.features,
        "entities": [{"kind": str(e.kind), "id": e.id, "scope": e.scope} for e in alert.entities],
        "response": alert.response,
        "evidence": [
            {"file": e.file, "index": e.index, "audit_id": e.event_id, "ts": e.ts, "summary": e.summary}
            for e in alert.evidence
        ],
    }


_NARROW = 60
"""Columns of a terminal under which what happened would be squeezed between the other columns."""


def _print_table(alerts: list[Alert]) -> None:
    from rich.text import Text

    from seawall.cli.console import Console
    from seawall.cli.table import SEVERITY_STYLES, listing

    console = Console()
    in_order = sorted(alerts, key=lambda item: (-item.severity, item.first_seen, item.id))
    if console.width < _NARROW:
        table = listing("Severity", "What happened", whole=("Severity",), widest="What happened")
        for alert in in_order:
            times = f"{alert.count} times since" if alert.count > 1 else "at"
            where = f" in {alert.cluster}" if alert.cluster else ""
            when = f"{alert.analytic}, {times} {alert.first_seen:%Y-%m-%d %H:%M}{where}"
            severity = Text(alert.severity.label, style=SEVERITY_STYLES[alert.severity])
            table.add_row(severity, Text(f"{alert.title}\n{alert.message}\n{when}"))
        console.print(table)
        return
    clusters = any(alert.cluster for alert in alerts)
    headings = ("Severity", "Analytic", "What happened", "Count", "First seen", *(("Cluster",) if clusters else ()))
    table = listing(*headings, right=("Count",), whole=("Severity", "Analytic"), widest="What happened")
    for alert in in_order:
        table.add_row(
            Text(alert.severity.label, style=SEVERITY_STYLES[alert.severity]),
            f"{alert.analytic}",
            Text(f"{alert.title}\n{alert.message}"),
            str(alert.count),
            alert.first_seen.strftime("%Y-%m-%d %H:%M:%S"),
            *((Text(alert.cluster),) if clusters else ()),
        )
    console.print(table)


def _print_summary(found: LogFindings, shown: list[Alert]) -> None:
    rejected = ", ".join(f"{count} {reason}" for reason, count in sorted(found.rejected.items()))
    parts = [f"{found.events} events, {len(shown)} alerts"]
    if found.skipped:
        parts.append(f"{found.skipped} records of other kinds passed over")
    if rejected:
        parts.append(f"{sum(found.rejected.values())} records rejected ({rejected})")
    echo("; ".join(parts), err=True)
    for reject in found.rejects[:20]:
        echo(f"  {reject.file}:{reject.index}: {reject.reason}: {reject.detail}", err=True)
    for analytic, count in sorted(found.errors.items()):
        echo(f"  analytic {analytic} failed on {count} records", err=True)
