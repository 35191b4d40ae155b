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

from tests.support.ports import free_port

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
        process.wait(10)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
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
