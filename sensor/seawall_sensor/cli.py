"""`seawall-sensor`: what this kernel can do (`check`), and the sensor itself (`run`)."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from seawall.domain.errors import SeawallError

EXIT_ERROR = 2

app = typer.Typer(
    name="seawall-sensor",
    help="The eBPF sensor of Seawall.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.command()
def check(form: Annotated[str, typer.Option("--format", help="text or json")] = "text") -> None:
    """Print what this kernel can do and which detections are blind without the rest."""
    from seawall_sensor.check import examine

    report = examine()
    if form == "json":
        sys.stdout.write(json.dumps(report.as_dict(), indent=2) + "\n")
    else:
        sys.stdout.write(report.text())
    if not report.works:
        raise typer.Exit(EXIT_ERROR)


@app.command()
def run(
    output: Annotated[str, typer.Option(help="where results go: jsonl (standard output)")] = "jsonl",
    only: Annotated[list[str] | None, typer.Option(help="only these kinds of lines: event, alert")] = None,
    events: Annotated[bool, typer.Option("--events/--no-events", help="print events, not only alerts")] = True,
    all_hooks: Annotated[bool, typer.Option("--all-hooks", help="also hooks that no analytic needs (forks)")] = False,
    cluster: Annotated[str, typer.Option(envvar="SEAWALL_CLUSTER", help="cluster that the node belongs to")] = "",
    node: Annotated[str, typer.Option(envvar="SEAWALL_NODE", help="name of the node; the host name by default")] = "",
    host_root: Annotated[str, typer.Option(envvar="SEAWALL_HOST_ROOT", help="where the node's / is mounted")] = "/",
    cpu_share: Annotated[float, typer.Option(help="share of one core above which the sensor sheds load")] = 0.5,
    memory_mb: Annotated[int, typer.Option(help="own memory in MB above which the sensor sheds load")] = 200,
    policy: Annotated[
        Path | None, typer.Option(help="file of enforcement policies; nothing is stopped without")
    ] = None,
    fold_s: Annotated[float, typer.Option(help="equal events within this time are counted, not repeated")] = 5.0,
) -> None:
    """Watch this node until SIGTERM: one JSON object a line."""
    from seawall.catalog import collect
    from seawall.detection.declaration import Detection
    from seawall.detection.engine import Engine

    from seawall_sensor.check import kinds_of
    from seawall_sensor.enforcement import Enforcer
    from seawall_sensor.host import Host
    from seawall_sensor.limits import Limits
    from seawall_sensor.loader import Options
    from seawall_sensor.output import JsonLines
    from seawall_sensor.policy import read_policies
    from seawall_sensor.records import Kind
    from seawall_sensor.sensor import Sensor

    if output != "jsonl":
        raise typer.BadParameter(f"{output!r} is not known; jsonl is")
    rules = [rule for rule in collect("seawall.detection.rules.runtime", Detection) if rule.enabled]
    kinds = frozenset(Kind) if all_hooks else kinds_of(rules) if rules else frozenset(Kind) - {Kind.FORK}
    lines = JsonLines(sys.stdout.buffer, only or (() if events else ("alert",)))
    host = Host.here(node)
    enforcer = Enforcer(read_policies(policy), host) if policy is not None else None
    sensor = Sensor(
        host,
        Options(kinds=kinds, fold_s=fold_s, enforce=enforcer is not None),
        lines,
        Engine(rules) if rules else None,
        cluster=cluster,
        version=_version(),
        root=host_root,
        limits=Limits(cpu_share, memory_mb << 20),
        enforcer=enforcer,
    )
    signal.signal(signal.SIGTERM, sensor.stop)
    signal.signal(signal.SIGINT, sensor.stop)
    try:
        sensor.start()
        gc.freeze()
        sensor.run()
    finally:
        sensor.close()


def _version() -> str:
    try:
        return version("seawall")
    except PackageNotFoundError:
        return ""


def main() -> None:
    """Run the command line; never print a traceback for a failure we know."""
    logging.basicConfig(
        level=os.environ.get("SEAWALL_LOG_LEVEL", "WARNING").upper(), format="%(levelname)s %(message)s"
    )
    try:
        app()
    except SeawallError as error:
        sys.stderr.write(f"seawall-sensor: {error}\n")
        sys.exit(EXIT_ERROR)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_ERROR)


if __name__ == "__main__":
    main()
