"""`seawall serve`: one process with doors, queue, timers and an embedded store."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import ssl
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from seawall.adapters.tracing import configure_logging, job
from seawall.bootstrap import bootstrap
from seawall.domain.errors import ConfigError
from seawall.formats.cloudevents import AUDIT_RECEIVED, IMAGE_PUSHED, POSTURE_RECEIVED, SENSOR_RECEIVED, parse
from seawall.server.app import create_app
from seawall.server.metrics import Metrics
from seawall.server.queue import DurableQueue, Job, Timer
from seawall.settings import Settings

if TYPE_CHECKING:
    from seawall.app.application import Application

log = logging.getLogger(__name__)

JOBS = {IMAGE_PUSHED: 2, AUDIT_RECEIVED: 1, SENSOR_RECEIVED: 1, POSTURE_RECEIVED: 1}
"""Kinds of events and how many of each run at a time: correlation sees alerts of one stream in order."""
SWITCH_S = 0.0005
"""How long a thread may compute while another waits for its turn."""
TIMERS = {
    "publish": "*/10 * * * * *",
    "rescan": "41 * * * *",
    "reconcile": "23 */6 * * *",
    "advisories": "11 */6 * * *",
    "assets": "*/20 * * * * *",
    "discover": "17 * * * *",
}
"""Timer jobs of `Application.tick` and when they run; `advisories` only where settings ask for it."""


def run(settings: Settings, *, host: str, port: int, tls_cert: Path | None = None, tls_key: Path | None = None) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        ConfigError: the address is taken or not ours, the certificate and key are not a pair.
    """
    if bool(tls_cert) != bool(tls_key):
        raise ConfigError("TLS needs --tls-cert and --tls-key")
    if tls_cert and tls_key:
        check_certificate(tls_cert, tls_key)
    level = os.environ.get("SEAWALL_LOG_LEVEL", "warning")
    configure_logging(level, text=settings.log_format == "text")
    with listen(host, port) as listener:
        _serve(settings, listener, level, tls_cert, tls_key)


def _serve(
    settings: Settings, listener: socket.socket, level: str, tls_cert: Path | None, tls_key: Path | None
) -> None:
    application = bootstrap(settings)
    metrics = Metrics()
    queue = local_queue(settings, application, metrics)
    application.use_queue(queue)
    app = create_app(application, settings, metrics=metrics, start=queue.start, stop=queue.stop, depth=queue.depth)
    scheme, address = ("https" if tls_cert else "http"), listener.getsockname()
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    sys.stderr.write(f"seawall: console {scheme}://{shown}:{address[1]}/  API {scheme}://{shown}:{address[1]}/docs\n")
    if not settings.webhook_secret.get_secret_value():
        sys.stderr.write(
            f"seawall: the doors are closed; open them with SEAWALL_WEBHOOK_SECRET, e.g. {secrets.token_urlsafe(24)}\n"
        )
    sys.stderr.flush()
    config = uvicorn.Config(
        app,
        log_level=level.lower(),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=10,
        ssl_certfile=str(tls_cert) if tls_cert else None,
        ssl_keyfile=str(tls_key) if tls_key else None,
        # Sensors prove themselves in the handshake too; browsers and webhooks have no certificate of ours and need none.
        ssl_ca_certs=str(_authority_file(application, settings)) if tls_cert else None,
        ssl_cert_reqs=ssl.CERT_OPTIONAL if tls_cert else ssl.CERT_NONE,
    )
    # Doors share the interpreter with jobs. While a job computes, the event loop gets its turn only this often, and a request
    # needs several turns: with Python's five milliseconds an API server waits 20 ms and more for a decision of admission.
    sys.setswitchinterval(SWITCH_S)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        application.close()


def _authority_file(application: Application, settings: Settings) -> Path:
    """The certificate of the sensors' authority, as a file that a TLS context can read."""
    from cryptography.hazmat.primitives.serialization import Encoding

    file = settings.data_dir / "sensor-clients.pem"
    file.write_bytes(application.sensor_authority.certificate.public_bytes(Encoding.PEM))
    return file


def local_queue(settings: Settings, application: object, metrics: Metrics) -> DurableQueue:
    """The durable queue of one server over `application`'s jobs and timers."""
    from seawall.app.application import Application

    assert isinstance(application, Application)

    def handle(_key: str, body: bytes) -> None:
        event = parse(body)
        with metrics.job_seconds.labels(event.type).time(), job(event.type, event.traceparent):
            try:
                outcome = application.handle(event)
            except Exception as error:
                metrics.jobs.labels(event.type, "failed").inc()
                log.warning(
                    "job failed", extra={"job": event.type, "id": event.id, "error": f"{type(error).__name__}: {error}"}
                )
                raise
        metrics.jobs.labels(event.type, "done").inc()
        if outcome.rejected:
            metrics.rejects.labels(event.type).inc(outcome.rejected)

    return DurableQueue(
        settings.effective_queue_url,
        [Job(kind, handle, workers) for kind, workers in JOBS.items()],
        [
            Timer(name, cron, partial(application.tick, name))
            for name, cron in TIMERS.items()
            if name != "advisories" or settings.vulnerabilities.update
        ],
        lambda _job, key, body, reason: application.poison(key, body, reason),
    )


def check_certificate(chain: Path, key: Path) -> None:
    """Load a certificate chain and its key, and forget them.

    Raises:
        ConfigError: they cannot be read, are not PEM, are encrypted, or do not belong together.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"{chain} and {key} are no certificate and key: {error.strerror if isinstance(error, OSError) else error}",
            hint="a PEM certificate chain and its unencrypted PEM key",
        ) from error


def listen(host: str, port: int) -> socket.socket:
    """Return a TCP socket bound to the address; port 0 takes a free one.

    Raises:
        ConfigError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only on sockets that say they are TCP (`base_events._set_nodelay`). Left on, the
    # body of an answer waits for the acknowledgement of its head, which the other side delays by 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another with --host and --port"
        ) from error
    listener.set_inheritable(True)
    return listener
