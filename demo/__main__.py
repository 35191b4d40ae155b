"""`make demo`: the whole way on this machine, with an embedded store and input in the forms that clouds deliver.

Starts a registry with the demo's image and `seawall serve` in a process of its own, sends everything through the doors,
waits, and shows what came out. With `--once` it ends by itself: 0 only if every result is there.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
from rich import box
from rich.console import Console
from rich.table import Table

from demo import sensor, story
from demo.registry import DemoRegistry

HERE = Path(__file__).parent
COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
PATIENCE_S = 90.0


class Failed(Exception):
    """A step of the demo did not give its result."""


class Demo:
    """One run in a folder of its own."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.folder = folder
        self.console = console
        self.secret = secrets.token_urlsafe(24)
        self.data = folder / "data"
        self.config: Path | None = None
        self.missing: list[str] = []

    def seawall(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run the command line as a user would."""
        command = [sys.executable, "-m", "seawall.cli.main", *arguments]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False, **more)
        if done.returncode not in (0, 3):
            raise Failed(f"seawall {' '.join(arguments)}: {done.stderr.strip()}")
        return done

    def environment(self) -> dict[str, str]:
        """The settings of this run; what the caller's environment says of Seawall does not count."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}
        settings = kept | {
            "SEAWALL_DATA_DIR": str(self.data),
            "SEAWALL_WEBHOOK_SECRET": self.secret,
            "SEAWALL_OCSF_FILE": str(self.folder / "ocsf.jsonl"),
        }
        return settings | ({"SEAWALL_CONFIG": str(self.config)} if self.config else {})

    def run(self, *, once: bool) -> int:
        """Tell the story; return the exit code."""
        self.step("Building the advisory file from the demo's OSV records, KEV and CVE facts")
        advisories = HERE / "fixtures" / "advisories"
        sources = [str(path) for path in sorted(advisories.iterdir())]
        self.seawall(
            "db", "build", "--from", *_repeated("--from", sources), "--output", str(self.data / "advisories.db")
        )
        with DemoRegistry(HERE / "fixtures" / "image", "shop/api", "1.4.2") as registry:
            server = Server(self, registry.host)
            try:
                self.step(f"Started seawall serve; a registry with the demo's image listens on {registry.host}")
                self.send(server, registry)
                self.show(server, registry)
                return self.finish(server, once=once)
            finally:
                server.stop()

    def step(self, text: str) -> None:
        """Say what happens."""
        self.console.print(f"[bold]▸[/bold] {text}", highlight=False)

    def send(self, server: Server, registry: DemoRegistry) -> None:
        """Everything through the real doors."""
        start = datetime.now(UTC) - timedelta(minutes=20)
        attack = start + timedelta(minutes=4)
        push = {
            "events": [
                {
                    "id": "demo-push", "timestamp": start.isoformat(), "action": "push",
                    "target": {"mediaType": registry.media_type, "digest": registry.digest, "repository": registry.repository, "tag": "1.4.2",
                               "url": f"http://{registry.host}/v2/{registry.repository}/manifests/{registry.digest}"},
                    "request": {"host": registry.host, "method": "PUT"}, "actor": {"name": "ci"},
                }
            ]
        }  # fmt: skip
        self.step(
            "Sending a registry push, audit events of AKS, EKS and GKE, a sensor batch and a namespace of manifests"
        )
        server.post("/v1/events/registry/distribution", json.dumps(push).encode())
        events = sorted(
            story.ordinary(start) + story.attack_on_aks(attack), key=lambda event: str(event["stageTimestamp"])
        )
        server.post("/v1/events/audit", story.aks_envelope(events))
        server.post("/v1/events/audit", story.eks_envelope(attack + timedelta(minutes=6)))
        server.post("/v1/events/audit", story.gke_envelope(attack + timedelta(minutes=8)))
        batch = sensor.batch(server, self, attack + timedelta(minutes=2))
        server.post("/v1/events/sensor", batch)
        server.post("/v1/events/posture/shop", (HERE / "fixtures" / "shop.yaml").read_bytes())

    def show(self, server: Server, registry: DemoRegistry) -> None:
        """Tables of what came out."""
        scan = server.wait_for(
            "the scan",
            lambda: server.get(f"/v1/scans/{registry.digest}?wait=30"),
            lambda answer: answer["state"] in ("done", "failed"),
        )
        if scan["state"] == "failed":
            raise Failed(f"the scan failed: {scan['reason']}")
        image = server.get(f"/v1/images/{registry.digest}")
        self.findings(image)
        self.attestation(image, registry)
        analytics = lambda answer: {alert["analytic"][:2] for alert in answer["alerts"]}  # noqa: E731
        alerts = server.wait_for(
            "the alerts", lambda: server.get("/v1/alerts?limit=1000"), lambda answer: {"AU", "RT"} <= analytics(answer)
        )
        self.alerts(alerts["alerts"])
        self.incident(server)
        posture = server.wait_for(
            "posture", lambda: server.get("/v1/posture?status=fail"), lambda answer: bool(answer["results"])
        )
        self.posture(posture["results"])
        self.published()

    def findings(self, image: dict[str, Any]) -> None:
        table = _table(f"Findings of shop/api:1.4.2, {len(image['packages'])} packages (twelve of the most severe)")
        for name in ("Severity", "Vulnerability", "Package", "Installed", "Fixed in", "Exploited"):
            table.add_column(name, overflow="fold")
        shown = [item for item in image["findings"] if item["status"] == "open"]
        shown.sort(
            key=lambda item: -["unknown", "informational", "low", "medium", "high", "critical"].index(item["severity"])
        )
        for item in shown[:12]:
            table.add_row(
                _coloured(item["severity"]),
                item["id"],
                item["package"],
                item["installed_version"],
                item["fixed_version"] or "no fix",
                "KEV" if item["in_kev"] else "",
            )
        self.console.print(table)
        counts: dict[str, int] = {}
        for item in shown:
            counts[item["severity"]] = counts.get(item["severity"], 0) + 1
        self.console.print(
            f"  {len(shown)} open findings: " + ", ".join(f"{count} {word}" for word, count in counts.items()),
            highlight=False,
        )
        kinds = {item["purl"].split("/")[0] for item in shown}
        self.expect({"pkg:deb", "pkg:pypi", "pkg:npm"} <= kinds, "findings in dpkg, Python and npm packages")
        self.expect(any(item["fixed_version"] for item in shown), "fix versions")

    def attestation(self, image: dict[str, Any], registry: DemoRegistry) -> None:
        record = image["attestation"]
        self.expect(record is not None, "a signed attestation")
        if record is None:
            return
        reference = f"{registry.host}/{registry.repository}@{registry.digest}"
        key = self.data / "signing-key.pub"
        verified = self.seawall("verify", reference, "--key", str(key))
        self.console.print(
            f"  Signed findings: {registry.host}/{registry.repository}@{record['referrer']}",
            highlight=False,
            soft_wrap=True,
        )
        self.console.print(
            f"  seawall verify: {verified.stdout.strip().splitlines()[0] if verified.stdout.strip() else 'ok'}",
            highlight=False,
            soft_wrap=True,
        )
        self.expect(verified.returncode == 0, "the attestation verifies")
        self.expect(bool(registry.referrers(registry.digest)), "the registry lists the attestation as a referrer")

    def alerts(self, alerts: list[dict[str, Any]]) -> None:
        table = _table("Alerts")
        for name in ("Severity", "Analytic", "What happened", "Cluster", "ATT&CK"):
            table.add_column(name, overflow="fold")
        for item in sorted(alerts, key=lambda item: str(item["first_seen"])):
            table.add_row(
                _coloured(item["severity"]),
                item["analytic"],
                item["message"],
                item["cluster"].rsplit("/", 1)[-1],
                ", ".join(item["attack"]),
            )
        self.console.print(table)
        wanted = {"secrets": "secrets", "cluster-admin": "cluster-admin", "exec": "exec", "events": "event"}
        text = " ".join(f"{item['title']} {item['message']}".lower() for item in alerts)
        self.expect(all(word in text for word in wanted.values()), f"alerts about {', '.join(wanted)}")
        self.expect(len({item["cluster"] for item in alerts}) >= 3, "alerts from three clusters")

    def incident(self, server: Server) -> None:
        def whole(answer: dict[str, Any]) -> bool:
            return any(len(item["clusters"]) >= 3 for item in answer["incidents"])

        answer = server.wait_for("the incident", lambda: server.get("/v1/incidents"), whole)
        incidents = answer["incidents"]
        self.expect(len(incidents) == 1, f"one incident (there are {len(incidents)})")
        for item in incidents:
            self.console.print(
                f"\n[bold]Incident[/bold] {_coloured(item['severity'])} {item['title']}", highlight=False
            )
            self.console.print(
                f"  {len(item['alert_ids'])} alerts, {len(item['clusters'])} clusters, ATT&CK {', '.join(item['attack'])}",
                highlight=False,
            )
            for _when, what in item["timeline"][:12]:
                self.console.print(f"  · {what}", highlight=False, markup=False)

    def posture(self, results: list[dict[str, Any]]) -> None:
        table = _table("Failed posture checks of namespace shop (ten of the most severe)")
        for name in ("Severity", "Control", "Object", "Where", "Fix"):
            table.add_column(name, overflow="fold")
        for item in results[:10]:
            place = item["object"]
            table.add_row(
                _coloured(item["severity"]),
                f"{item['control']} {item['title']}",
                f"{place['kind']}/{place['name']}",
                item["path"],
                item["fix"],
            )
        self.console.print(table)
        self.expect(
            any(item["object"]["name"] == "log-collector" for item in results), "failed checks of the careless workload"
        )

    def published(self) -> None:
        path = self.folder / "ocsf.jsonl"
        end = time.monotonic() + PATIENCE_S
        while not (path.exists() and '"class_uid":2005' in path.read_text()):
            if time.monotonic() > end:
                break
            time.sleep(0.5)
        written = path.read_text().splitlines() if path.exists() else []
        self.expect(any(json.loads(line)["class_uid"] == 2005 for line in written), "the incident in the OCSF file")
        self.console.print(f"  {len(written)} OCSF events in {path}", highlight=False, soft_wrap=True)

    def expect(self, holds: bool, what: str) -> None:
        """Note a result that did not come out."""
        if not holds:
            self.missing.append(what)

    def finish(self, server: Server, *, once: bool) -> int:
        for what in self.missing:
            self.console.print(f"[red]missing:[/red] {what}", highlight=False)
        if not self.missing:
            self.console.print("[green]Every result came out.[/green]")
        if once:
            return 1 if self.missing else 0
        self.console.print(
            f"\nConsole: [bold]{server.url}/[/bold]   API: {server.url}/docs   Ctrl-C ends the demo.", highlight=False
        )
        server.process.wait()
        return 1 if self.missing else 0


class Server:
    """`seawall serve` in a process of its own."""

    def __init__(self, demo: Demo, registry: str) -> None:
        settings = {"registries": {registry: {"plain_http": True}}}
        config = demo.folder / "seawall.yaml"
        config.write_text(json.dumps(settings))
        log = (demo.folder / "serve.log").open("w")
        demo.config = config
        self.demo = demo
        command = [sys.executable, "-m", "seawall.cli.main", "serve", "--port", "0"]
        self.process = subprocess.Popen(command, env=demo.environment(), stdout=log, stderr=log)
        self.log = demo.folder / "serve.log"
        self.url = self._url()
        self.client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)
        self.wait_for("the server", lambda: self.client.get("/readyz"), lambda answer: answer.status_code == 200)

    def _url(self) -> str:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            for line in self.log.read_text().splitlines():
                if "console http" in line:
                    return line.split("console ", 1)[1].split("/  ", 1)[0]
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise Failed(f"seawall serve did not start: {self.log.read_text().strip()[-1500:]}")

    def post(self, path: str, body: bytes) -> Any:
        """Send to a door."""
        answer = self.client.post(path, content=body, headers={"Authorization": f"Bearer {self.demo.secret}"})
        if answer.status_code != 202:
            raise Failed(f"{path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json()

    def get(self, path: str) -> Any:
        """Read from the API."""
        answer = self.client.get(path)
        if answer.status_code != 200:
            raise Failed(f"{path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json()

    def wait_for(self, what: str, ask: Callable[[], Any], enough: Callable[[Any], bool]) -> Any:
        """Ask until the answer is enough."""
        end = time.monotonic() + PATIENCE_S
        answer: Any = None
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failed(f"seawall serve ended: {self.log.read_text().strip()[-1500:]}")
            try:
                answer = ask()
            except httpx.TransportError:
                answer = None
            if answer is not None and enough(answer):
                return answer
            time.sleep(0.2)
        raise Failed(
            f"{what} did not come within {PATIENCE_S:.0f} s; the server says: {self.log.read_text().strip()[-1500:]}"
        )

    def stop(self) -> None:
        """End the process that we started."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def _repeated(option: str, values: list[str]) -> list[str]:
    words = [word for value in values for word in (option, value)]
    return words[1:]


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )


def _coloured(severity: str) -> str:
    colour = COLOURS.get(severity)
    return f"[{colour}]{severity}[/{colour}]" if colour else severity


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run in a temporary folder that is removed at the end."""
    parser = argparse.ArgumentParser(prog="demo", description="The whole way on one machine.")
    parser.add_argument("--once", action="store_true", help="end by itself; exit 0 only if every result came out")
    parser.add_argument("--keep", type=Path, help="keep the run's folder here")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    folder = chosen.keep or Path(tempfile.mkdtemp(prefix="seawall-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    try:
        return Demo(folder, console).run(once=chosen.once)
    except Failed as error:
        console.print(f"demo: {error}", style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return 0 if not chosen.once else 130
    finally:
        if not chosen.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
