"""Sends a listing to the posture door of a server."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from seawall.adapters.rest import JsonHttp
from seawall.domain.errors import ConfigError
from seawall.formats.inventory_snapshot import encode_snapshot
from seawall.ports.inventory_source import Collected


def push_listing(server: str, cluster: str, collected: Collected, secret: str, ca_file: Path | None = None) -> int:
    """Send it; return how many bytes went over the line. TLS is required except to this machine.

    Raises:
        ConfigError: the URL would send the secret unencrypted. Denied, TooLarge, Unavailable: as the server says.
    """
    if not server.startswith(("https://", "http://127.0.0.1:", "http://localhost:", "http://[::1]:")):
        raise ConfigError(f"{server} is not https", hint="the secret and the listing travel encrypted only")
    body = encode_snapshot(collected)
    http = JsonHttp(
        server, lambda: secret, needs="the server's webhook secret", ca_file=str(ca_file or ""), timeout_s=120
    )
    try:
        http.call("POST", f"/v1/events/posture/{quote(cluster, safe='')}", body)
    finally:
        http.close()
    return len(body)
