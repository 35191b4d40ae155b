"""`seawall scan`: the vulnerabilities of an image."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.command import Command
from seawall.domain.errors import InputError
from seawall.domain.severity import Severity

if TYPE_CHECKING:
    from seawall.domain.findings import ImageReport
    from seawall.settings import Settings
    from seawall.vulnerability.advisory_file import AdvisoryFile
    from seawall.vulnerability.exceptions import Exceptions

EXIT_POLICY = 3
FORMATS = ("table", "json", "cyclonedx", "spdx", "sarif", "openvex", "cyclonedx-vex")
INVENTORIES = ("cyclonedx", "spdx")
"""Formats that say something without advisories."""
app = typer.Typer()
COMMAND = Command(id="scan", app=app)


@app.command("scan")
def scan(
    target: Annotated[
        str,
        typer.Argument(
            help="A registry reference, oci:DIR, oci-archive:FILE, docker-archive:FILE, dir:PATH (also /proc/PID/root), "
            "or a path that starts with / or . and is told by its looks."
        ),
    ],
    output: Annotated[str, typer.Option("--format", "-f", help=", ".join(FORMATS))] = "table",
    fail_on: Annotated[
        str,
        typer.Option(
            "--fail-on",
            help="Exit with 3 when an open finding has this severity or a higher one: low, medium, high, critical.",
        ),
    ] = "",
    platform: Annotated[
        str,
        typer.Option(
            "--platform", help="os/architecture or os/architecture/variant of a multi-platform image, or all."
        ),
    ] = "",
    database: Annotated[Path | None, typer.Option("--db", help="The advisory file; default: as in settings.")] = None,
    ignore_file: Annotated[
        list[Path] | None, typer.Option("--ignore-file", help="Policy file with ignore rules; can be repeated.")
    ] = None,
    vex: Annotated[
        list[Path] | None, typer.Option("--vex", help="OpenVEX or CycloneDX VEX document; can be repeated.")
    ] = None,
    only_fixed: Annotated[
        bool, typer.Option("--only-fixed", "--ignore-unfixed", help="Leave out findings that have no fixed version.")
    ] = False,
    severities: Annotated[
        str,
        typer.Option(
            "--severity", "-s", help="Show only these, with commas between: critical,high. --fail-on looks at all."
        ),
    ] = "",
    attest: Annotated[
        bool, typer.Option("--attest", help="Sign the findings and attach them to the image in its registry.")
    ] = False,
    key: Annotated[
        str,
        typer.Option(
            "--key", help="Signing key for --attest: a PEM file, env:NAME, azurekms://, awskms:// or gcpkms://."
        ),
    ] = "",
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Remember what was found in each layer.")] = True,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write there instead of to standard output.")
    ] = None,
) -> None:
    """Print the vulnerabilities of TARGET, most urgent first."""
    from seawall.adapters.clock import SystemClock
    from seawall.adapters.images.opening import open_layer_cache, open_sources
    from seawall.adapters.osv.file import open_file
    from seawall.app.scan_image import scan_platforms, worst_open
    from seawall.cli.commands.db import read_key
    from seawall.settings import load_settings

    if output not in FORMATS:
        raise InputError(f"no such format: {output}", hint=", ".join(FORMATS))
    threshold = severity_of(fail_on)
    shown = severities_of(severities)
    settings = load_settings()
    trusted = settings.vulnerabilities.public_key
    place = database or settings.effective_advisories
    judged = (
        output not in INVENTORIES or database is not None or threshold is not None or attest or Path(place).exists()
    )
    advisories = open_file(place, public_key_pem=read_key(trusted) if trusted else "") if judged else no_advisories()
    reports = scan_platforms(
        target,
        sources=open_sources(settings),
        advisories=advisories,
        clock=SystemClock(),
        cache=open_layer_cache(settings) if cache else None,
        platform=platform,
        exceptions=read_exceptions(settings, ignore_file or [], vex or []),
    )
    if attest:
        attach(reports, target, key or settings.effective_signing_key, settings)
    if only_fixed:
        reports = [without_unfixed(report) for report in reports]
    worst = max((worst_open(report.findings) for report in reports), default=Severity.UNKNOWN)
    if shown:
        hidden = sum(item.severity not in shown for report in reports for item in report.findings)
        reports = [of_severities(report, shown) for report in reports]
        if hidden:
            sys.stderr.write(f"seawall: {hidden:,} findings of other severities are not shown\n")
    write(reports, output, file)
    if threshold is not None and worst >= threshold:
        raise typer.Exit(EXIT_POLICY)


def no_advisories() -> AdvisoryFile:
    """An advisory file without advisories, for a bill of materials on a machine that has none; said on standard error."""
    from datetime import UTC, datetime

    from seawall.vulnerability.advisory_build import Builder
    from seawall.vulnerability.advisory_file import AdvisoryFile

    sys.stderr.write("seawall: no advisory file here: packages only, no findings (`seawall db update` makes one)\n")
    return AdvisoryFile(Builder().finish(built_at=datetime.now(UTC)))


def attach(reports: list[ImageReport], target: str, key: str, settings: Settings) -> None:
    """Sign each report and attach it to its image; say where on standard error.

    Raises:
        InputError: the target is not in a registry.
    """
    from datetime import timedelta

    from seawall.adapters.clock import SystemClock
    from seawall.adapters.images.opening import open_registry
    from seawall.adapters.signers import open_signer
    from seawall.app.attest_image import attest_image
    from seawall.cli.console import Console
    from seawall.oci.references import parse_reference

    signer = open_signer(key)
    registry = open_registry(settings)
    for report in reports:
        for place in attest_image(
            report, parse_reference(target), registry=registry, signer=signer, clock=SystemClock(),
            ttl=timedelta(days=settings.attestation_ttl_days),
        ):  # fmt: skip
            Console(stderr=True, soft_wrap=True, highlight=False).print(
                f"signed findings of {place.digest} attached as {place.referrer}", markup=False
            )


def severity_of(word: str) -> Severity | None:
    """Return the severity that `--fail-on` names, None when it is not given.

    Raises:
        InputError: the word names none.
    """
    if not word:
        return None
    severity = Severity.parse(word)
    if severity is Severity.UNKNOWN:
        raise InputError(f"no such severity: {word}", hint="informational, low, medium, high, critical")
    return severity


def severities_of(words: str) -> frozenset[Severity]:
    """Return the severities that `--severity` names; "unknown" is one of them.

    Raises:
        InputError: a word names none.
    """
    found = set()
    for word in filter(None, (part.strip() for part in words.split(","))):
        severity = Severity.parse(word)
        if severity is Severity.UNKNOWN and word.lower() != "unknown":
            raise InputError(f"no such severity: {word}", hint="unknown, informational, low, medium, high, critical")
        found.add(severity)
    return frozenset(found)


def of_severities(report: ImageReport, severities: frozenset[Severity]) -> ImageReport:
    """The report with only the findings of these severities."""
    from dataclasses import replace

    return replace(report, findings=tuple(item for item in report.findings if item.severity in severities))


def read_exceptions(settings: Settings, policies: list[Path], documents: list[Path]) -> Exceptions:
    """Return the rules and statements of the deployment's policy and of the files given.

    Raises:
        InputError: a file cannot be read, or is not what it should be.
    """
    from seawall.formats import policy
    from seawall.formats import vex as vex_format
    from seawall.vulnerability.exceptions import Exceptions

    found = Exceptions()
    standing = [settings.vulnerabilities.policy] if settings.vulnerabilities.policy else []
    for path in (*standing, *policies):
        found += policy.read(_read(path).decode("utf-8", "replace"), str(path))
    for path in documents:
        found += vex_format.read(_read(path), str(path))
    return found


def without_unfixed(report: ImageReport) -> ImageReport:
    """The report with only the findings that have a fixed version."""
    from dataclasses import replace

    return replace(report, findings=tuple(finding for finding in report.findings if finding.fixed_version))


def render(report: ImageReport, output: str) -> Any:
    """The report as a JSON document of one format."""
    from seawall.formats import cyclonedx, openvex, sarif, spdx
    from seawall.formats import report as own

    match output:
        case "cyclonedx":
            return cyclonedx.document(report)
        case "cyclonedx-vex":
            return cyclonedx.vex_document(report)
        case "spdx":
            return spdx.document(report)
        case "sarif":
            return sarif.document(report)
        case "openvex":
            return openvex.document(report)
        case _:
            return own.document(report)


def write(reports: list[ImageReport], output: str, file: Path | None) -> None:
    """Write one document, or a list of them for several platforms; SARIF has a run for each instead.

    Raises:
        InputError: the file cannot be written.
    """
    if output == "table":
        _write_table(reports, file)
        return
    if output == "sarif":
        from seawall.formats import sarif

        documents = [sarif.document(*reports)]
    else:
        documents = [render(report, output) for report in reports]
    text = json.dumps(documents[0] if len(documents) == 1 else documents, indent=2, ensure_ascii=True) + "\n"
    if file is None:
        sys.stdout.write(text)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}") from error


def _write_table(reports: list[ImageReport], file: Path | None) -> None:
    from seawall.cli.console import Console
    from seawall.cli.scan_table import print_report

    try:
        target = file.open("w", encoding="utf-8") if file else None
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}") from error
    console = Console(file=target, highlight=False)
    for report in reports:
        print_report(report, console)
    if target:
        target.close()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
