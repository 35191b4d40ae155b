"""A report for people: a line about the image, the findings by urgency, what was suppressed, what could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

from rich.table import Table
from rich.text import Text

from seawall.cli.console import Console
from seawall.domain.findings import Finding, ImageReport
from seawall.domain.severity import Severity

_STYLES = {
    Severity.CRITICAL: "bold white on red", Severity.HIGH: "red", Severity.MEDIUM: "yellow", Severity.LOW: "cyan",
    Severity.INFORMATIONAL: "dim", Severity.UNKNOWN: "magenta",
}  # fmt: skip
_SHORT = {Severity.INFORMATIONAL: "info"}
MAX_GAPS = 20
MAX_KINDS = 5


def print_report(report: ImageReport, console: Console | None = None) -> None:
    """Print to standard output; the columns shown depend on the width."""
    out = console or Console(highlight=False)
    _print_head(report, out)
    shown = [finding for finding in report.findings if finding.status == "open"]
    others = [finding for finding in report.findings if finding.status != "open"]
    if shown:
        out.print(_table(shown, out.width))
    else:
        _print_none(report, out)
    for status in dict.fromkeys(finding.status for finding in others):
        _print_others(status, [finding for finding in others if finding.status == status], out)
    if report.gaps:
        out.print(f"\n{len(report.gaps)} could not be read:", style="yellow")
        for gap in report.gaps[:MAX_GAPS]:
            out.print(Text(f"  {gap.where}{f':{gap.line}' if gap.line else ''}: {gap.reason}"))
        if len(report.gaps) > MAX_GAPS:
            out.print(f"  and {len(report.gaps) - MAX_GAPS} more; --format json lists all")


def _print_head(report: ImageReport, out: Console) -> None:
    distro = (
        report.distro.pretty_name or " ".join((report.distro.id, report.distro.version)).strip() or "no distribution"
    )
    out.print(Text.assemble((report.name, "bold"), f"  {report.platform}, {distro}, {len(report.packages):,} packages"))
    end = report.distro.end_of_life
    if end and end < report.scanned_at.date().isoformat():
        out.print(
            Text(
                f"{distro} is not maintained since {_day(end)}: findings that nobody looks for are missing.",
                style="yellow",
            )
        )
    if report.not_judged:
        _print_not_judged(report, out)
    counts = Counter(finding.severity for finding in report.findings if finding.status == "open")
    line = Text()
    for severity in sorted(Severity, reverse=True):
        if counts[severity]:
            line.append(f" {severity.label} {counts[severity]} ", style=_STYLES[severity]).append(" ")
    if line:
        out.print(line)


def _print_none(report: ImageReport, out: Console) -> None:
    judged = len(report.packages) - sum(item.packages for item in report.not_judged)
    if not report.not_judged:
        out.print("No open findings.", style="green")
    elif judged:
        out.print(f"No open findings in the {judged:,} packages that were judged.")


def _print_not_judged(report: ImageReport, out: Console) -> None:
    kinds = ", ".join(f"{item.packages:,} of {item.ecosystem}" for item in report.not_judged[:MAX_KINDS])
    more = f" and {len(report.not_judged) - MAX_KINDS} other kinds" if len(report.not_judged) > MAX_KINDS else ""
    out.print(
        Text(
            f"Packages not judged, as the advisory file holds nothing about their kind: {kinds}{more}. "
            "`seawall db update` fetches what OSV has.",
            style="yellow",
        )
    )


def _table(findings: Sequence[Finding], width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    wide, medium = width >= 130, width >= 90
    columns = ["Urgency"] if medium else []
    narrow = width < 75
    columns += ["Severity", "Vulnerability", "Package", *([] if narrow else ["Installed"]), "Fixed in"]
    if wide:
        columns += ["CVSS", "EPSS"]
    if medium:
        columns += ["Why"]
    if wide:
        columns += ["Found in"]
    for name in columns:
        right = name in ("Urgency", "CVSS", "EPSS")
        fixed = name in ("Urgency", "Severity", "Vulnerability", "CVSS", "EPSS")
        table.add_column(name, justify="right" if right else "left", no_wrap=fixed, overflow="fold")
    for finding, places in _by_package(findings):
        cells = {
            "Urgency": Text(f"{finding.priority:.0f}"),
            "Severity": Text(_SHORT.get(finding.severity, finding.severity.label), style=_STYLES[finding.severity]),
            "Vulnerability": _named(finding, short=not medium),
            "Package": Text(f"{finding.package} {finding.installed_version}" if narrow else finding.package),
            "Installed": Text(finding.installed_version),
            "Fixed in": Text(finding.fixed_version or "no fix", style="green" if finding.fixed_version else "dim"),
            "CVSS": Text("" if finding.cvss is None else f"{finding.cvss:.1f}"),
            "EPSS": Text("" if finding.epss is None else f"{finding.epss:.1%}"),
            "Why": Text(_why(finding)),
            "Found in": Text(places, style="dim"),
        }
        table.add_row(*(cells[name] for name in columns))
    return table


def _by_package(findings: Sequence[Finding]) -> list[tuple[Finding, str]]:
    """One row for a package that lies in several places, with the first of them and how many more there are."""
    rows: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        rows.setdefault((finding.id, finding.package, finding.installed_version), []).append(finding)
    return [
        (group[0], group[0].path + (f" and {len(group) - 1} more" if len(group) > 1 else "")) for group in rows.values()
    ]


def _named(finding: Finding, *, short: bool) -> Text:
    """The id; where there is no room for reasons, with the one that matters most."""
    out = Text(finding.id)
    if short and finding.in_kev:
        out.append("\nexploited", style="bold red")
    return out


def _why(finding: Finding) -> str:
    """The reasons that the other columns do not show."""
    parts = ["exploited"] if finding.in_kev else []
    text = " ".join(finding.priority_reasons)
    for phrase, short in (
        ("exploit is public", "exploit public"), ("active exploitation", "exploitation active"),
        ("reachable", "reachable"), ("in use", "in use"), ("not loaded", "not loaded"),
    ):  # fmt: skip
        if phrase in text:
            parts.append(short)
    return ", ".join([*parts, *([finding.status_reason] if finding.status_reason else [])])


def _print_others(status: str, findings: Sequence[Finding], out: Console) -> None:
    words = {"suppressed": "suppressed", "not_affected": "not affected", "wont_fix": "will not be fixed"}
    out.print(f"\n{len(findings)} {words.get(status, status)}:", style="dim")
    for reason, count in Counter(finding.status_reason for finding in findings).most_common():
        names = ", ".join(f"{item.id} {item.package}" for item in findings if item.status_reason == reason)
        out.print(Text(f"  {reason}: {names if len(names) < 200 else f'{count} findings'}", style="dim"))


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).strftime("%-d %B %Y")
    except ValueError:
        return text
