"""`seawall verify`: are an image's signed findings there, genuine and still valid?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from seawall.cli.command import Command
from seawall.domain.errors import InputError
from seawall.domain.severity import Severity

EXIT_POLICY = 3
app = typer.Typer()
COMMAND = Command(id="verify", app=app)


@app.command("verify")
def verify(
    image: Annotated[str, typer.Argument(help="A reference to an image in a registry.")],
    key: Annotated[Path, typer.Option("--key", help="Public key (PEM) that must have signed the findings.")],
    output: Annotated[str, typer.Option("--format", "-f", help="table or json.")] = "table",
    fail_on: Annotated[
        str,
        typer.Option("--fail-on", help="Exit with 3 when the findings have an open one of this severity or higher."),
    ] = "",
    platform: Annotated[str, typer.Option("--platform", help="Only findings of this platform.")] = "",
) -> None:
    """Verify the signed findings of IMAGE and say what they are."""
    from seawall.adapters.clock import SystemClock
    from seawall.adapters.images.opening import open_registry
    from seawall.app.attest_image import verify_image
    from seawall.cli.commands.db import read_key
    from seawall.cli.commands.scan import severity_of
    from seawall.oci.references import parse_reference
    from seawall.settings import load_settings

    if output not in ("table", "json"):
        raise InputError(f"no such format: {output}", hint="table, json")
    threshold = severity_of(fail_on)
    found = verify_image(
        parse_reference(image),
        registry=open_registry(load_settings()),
        public_key_pem=read_key(key),
        clock=SystemClock(),
        platform=platform,
    )
    facts = {
        "image": found.reference,
        "digest": found.digest,
        "attestation": found.referrer,
        "platform": found.attested.platform,
        "created_at": found.attested.created_at.isoformat(),
        "expires_at": found.attested.expires_at.isoformat(),
        "database": found.attested.database,
        "summary": dict(found.attested.counts),
    }
    if output == "json":
        sys.stdout.write(json.dumps(facts | {"findings": found.attested.result.get("findings", [])}, indent=2) + "\n")
    else:
        from seawall.cli.console import Console

        console = Console(highlight=False, soft_wrap=True)
        console.print("verified", style="green")
        for name, value in facts.items():
            text = ", ".join(f"{word} {count}" for word, count in value.items()) if isinstance(value, dict) else value
            console.print(f"{name.replace('_', ' ')}: {text}", markup=False)
    worst = max(
        (Severity.parse(word) for word, count in found.attested.counts.items() if count), default=Severity.UNKNOWN
    )
    if threshold is not None and worst >= threshold:
        raise typer.Exit(EXIT_POLICY)
