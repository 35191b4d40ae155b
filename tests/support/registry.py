"""A real registry (Debian's docker-registry) on a free port in a temporary folder."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.ports import free_port
from tests.support.tls import Answer, Request, http_service

USER, PASSWORD = "scanner", "correct horse"
# bcrypt of the password, cost 5, as docker-registry demands
_HTPASSWD = f"{USER}:$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n"


@dataclass(frozen=True)
class RunningRegistry:
    host: str
    """`127.0.0.1:<port>`, spoken to without TLS."""
    log: Path


@contextmanager
def running_registry(
    folder: Path, *, auth: bool = False, notify: str = "", delete: bool = True, port: int = 0
) -> Iterator[RunningRegistry]:
    """Yield a registry; with `auth` it wants `USER` and `PASSWORD`, with `notify` it posts its events to that URL."""
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    lines = [
        "version: 0.1",
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: {str(delete).lower()}}}}}",
        f"http: {{addr: 127.0.0.1:{port}, relativeurls: true}}",
        "log: {level: warn}",
    ]
    if auth:
        (folder / "htpasswd").write_text(_HTPASSWD)
        lines.append(f"auth: {{htpasswd: {{realm: test, path: {folder / 'htpasswd'}}}}}")
    if notify:
        lines.append(
            f"notifications: {{endpoints: [{{name: test, url: '{notify}', timeout: 2s, threshold: 3, backoff: 1s}}]}}"
        )
    config = folder / "config.yml"
    config.write_text("\n".join(lines) + "\n")
    log = folder / "registry.log"
    with log.open("wb") as output:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait(f"http://127.0.0.1:{port}/v2/", process, log)
        yield RunningRegistry(f"127.0.0.1:{port}", log)
    finally:
        process.terminate()
        process.wait(60)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(1200):
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return  # 401: it is up and wants a password
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"docker-registry did not start: {log.read_text()[-2000:]}")


@dataclass
class Throttled:
    """A registry behind a front that answers 429 as often as `refuse` says, then lets everything through."""

    host: str = ""
    refuse: int = 0
    refused: int = 0


@contextmanager
def throttled(behind: str) -> Iterator[Throttled]:
    """Yield a front of the registry at `behind`; it asks for more patience than one call has."""
    front = Throttled()

    def answer(request: Request) -> Answer:
        if front.refuse:
            front.refuse -= 1
            front.refused += 1
            return 429, {"Retry-After": "3600"}, b'{"errors": [{"code": "TOOMANYREQUESTS"}]}'
        kept = {name: value for name, value in request.headers.items() if name in ("accept", "content-type")}
        found = httpx.request(request.method, f"http://{behind}{request.path}", headers=kept, content=request.body)
        named = ("content-type", "docker-content-digest", "location")
        return found.status_code, {name: found.headers[name] for name in named if name in found.headers}, found.content

    with http_service(answer) as service:
        front.host = f"127.0.0.1:{service.port}"
        yield front
