"""`seawall serve`: doors, API, console, queue and timers in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seawall.cli.command import Command

app = typer.Typer()


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8440,
    data_dir: Annotated[Path | None, typer.Option(help="Where the embedded store, keys and caches live.")] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM certificate chain: serve HTTPS.", exists=True, dir_okay=False)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="PEM key of the certificate.", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """Serve doors, API and console from one process with an embedded store."""
    from seawall.server.run import run
    from seawall.settings import load_settings

    settings = load_settings(**({"data_dir": data_dir} if data_dir else {}))
    run(settings, host=host, port=port, tls_cert=tls_cert, tls_key=tls_key)


COMMAND = Command("serve", app)
