"""`seawall serve` as a user starts it: a process of its own, on a free port, in a temporary folder."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.support.certificates import write_certificate
from tests.support.ports import free_port, wait_until

SECRET = "a webhook secret"


class RunningServer:
    """Use as a context manager; `kill` is `kill -9`, `start` starts again over the same data."""

    def __init__(self, folder: Path, settings: dict[str, Any] | None = None, *, tls: bool = False) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.certificate, self._options = folder / "tls.pem", []
        if tls:
            write_certificate(self.certificate, folder / "tls.key")
            self._options = ["--tls-cert", str(self.certificate), "--tls-key", str(folder / "tls.key")]
        self.config = folder / "seawall.yaml"
        self.config.write_text(
            json.dumps({"data_dir": str(folder / "data"), "webhook_secret": SECRET} | (settings or {}))
        )
        self.log = folder / "serve.log"
        verify = ssl.create_default_context(cafile=str(self.certificate)) if tls else True
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False, verify=verify)
        self.process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
        return kept | {"SEAWALL_CONFIG": str(self.config)}

    def start(self) -> None:
        command = [sys.executable, "-m", "seawall.cli.main", "serve", "--port", str(self.port), *self._options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment(), stdout=log, stderr=log)
        wait_until(self._ready, what=f"seawall serve ({self.log})", timeout_s=60)

    def _ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"seawall serve ended: {self.log.read_text()[-2000:]}")
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def run(self, *command: str) -> str:
        """Return what a `seawall` command over the same settings prints."""
        done = subprocess.run(
            [sys.executable, "-m", "seawall.cli.main", *command], env=self.environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> RunningServer:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def post(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        return self.client.post(path, content=body, headers={"Authorization": f"Bearer {SECRET}"} | headers)

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def until(self, path: str, enough: Callable[[Any], bool], timeout_s: float = 60) -> Any:
        """The answer of `path` once it is enough."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                answer = self.client.get(path)
                if answer.status_code == 200 and enough(answer.json()):
                    return answer.json()
            except httpx.TransportError:
                pass
            if time.monotonic() > end:
                raise AssertionError(f"{path} did not come: {self.log.read_text()[-2000:]}")
            time.sleep(0.1)

    def idle(self) -> None:
        """Wait until no job waits or runs."""

        def quiet() -> bool:
            lines = self.client.get("/metrics").text.splitlines()
            return all(line.endswith(" 0.0") for line in lines if line.startswith("seawall_queue_depth{"))

        wait_until(quiet, what="the queue")
