"""`seawall-sensor`: what this kernel can do (`check`), and the sensor itself (`run`)."""

from __future__ import annotations

import json
import logging
import os
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


RESULTS, DELIVERY, LIMITS, KUBERNETES = "What is printed", "Delivery", "Limits", "Kubernetes"
BASELINES = "Baselines"
STATE_DIR = Path("/var/lib/seawall-sensor")


@app.command()
def run(
    output: Annotated[
        str,
        typer.Option(
            help="jsonl: one JSON object a line; none. Default: jsonl without --server", rich_help_panel=RESULTS
        ),
    ] = "",
    only: Annotated[
        list[str] | None, typer.Option(help="only these kinds of lines: event, alert", rich_help_panel=RESULTS)
    ] = None,
    events: Annotated[
        bool, typer.Option("--events/--no-events", help="events too, not only alerts", rich_help_panel=RESULTS)
    ] = True,
    server: Annotated[
        str, typer.Option(envvar="SEAWALL_SERVER", help="address of the server: https://...", rich_help_panel=DELIVERY)
    ] = "",
    enrolment_token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="SEAWALL_ENROLMENT_TOKEN_FILE",
            help="file with the one-time token; or its text in SEAWALL_ENROLMENT_TOKEN",
            rich_help_panel=DELIVERY,
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            envvar="SEAWALL_CA_FILE", help="who signed the server's certificate, PEM", rich_help_panel=DELIVERY
        ),
    ] = None,
    proxy: Annotated[
        str,
        typer.Option(
            envvar="SEAWALL_PROXY", help="http://host:port; HTTPS_PROXY counts without", rich_help_panel=DELIVERY
        ),
    ] = "",
    deliver: Annotated[
        str,
        typer.Option(help="alerts (with their events and the node's state) or events (all)", rich_help_panel=DELIVERY),
    ] = "alerts",
    state_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="SEAWALL_STATE_DIR",
            help=f"where identity, spool and baselines are kept; with --server {STATE_DIR} by default",
            rich_help_panel=DELIVERY,
        ),
    ] = None,
    spool_mb: Annotated[int, typer.Option(min=1, help="most that the spool holds", rich_help_panel=DELIVERY)] = 256,
    spool_hours: Annotated[float, typer.Option(min=0.01, help="and how long", rich_help_panel=DELIVERY)] = 72,
    max_pause_s: Annotated[
        float, typer.Option(min=1, help="longest pause between attempts to deliver", rich_help_panel=DELIVERY)
    ] = 60,
    event_hub: Annotated[
        str, typer.Option(envvar="SEAWALL_EVENT_HUB", help="deliver to this Event Hub", rich_help_panel=DELIVERY)
    ] = "",
    event_hub_namespace: Annotated[
        str,
        typer.Option(
            envvar="SEAWALL_EVENT_HUB_NAMESPACE",
            help="NAME.servicebus.windows.net; or SEAWALL_EVENT_HUB_CONNECTION",
            rich_help_panel=DELIVERY,
        ),
    ] = "",
    event_hub_websockets: Annotated[
        bool, typer.Option(envvar="SEAWALL_EVENT_HUB_WEBSOCKETS", help="on port 443", rich_help_panel=DELIVERY)
    ] = False,
    event_hub_credential: Annotated[
        str, typer.Option(help="default, workload or certificate", rich_help_panel=DELIVERY)
    ] = "default",
    event_hub_certificate: Annotated[
        Path | None, typer.Option(help="PEM with key, for --event-hub-credential certificate", rich_help_panel=DELIVERY)
    ] = None,
    detect: Annotated[
        bool, typer.Option("--detect/--no-detect", help="run the analytics here; without, the receiver does")
    ] = True,
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines/--no-baselines", help="tell what a workload never did before", rich_help_panel=BASELINES
        ),
    ] = True,
    learn_hours: Annotated[
        float,
        typer.Option(
            min=0.001,
            max=24 * 30,
            envvar="SEAWALL_LEARN_HOURS",
            help="hours of activity after which a workload is known",
            rich_help_panel=BASELINES,
        ),
    ] = 24,
    check_files: Annotated[
        bool, typer.Option("--check-files/--no-check-files", help="hashes and YARA rules over new programs")
    ] = True,
    inventory: Annotated[
        bool, typer.Option("--inventory/--no-inventory", help="containers and which of their packages are in use")
    ] = True,
    kube_api: Annotated[
        str,
        typer.Option(
            envvar="SEAWALL_KUBE_API",
            help="API server that knows the node's pods; in a pod it is found by itself",
            rich_help_panel=KUBERNETES,
        ),
    ] = "",
    kubelet: Annotated[
        str,
        typer.Option(
            envvar="SEAWALL_KUBELET",
            help="ask the kubelet instead: https://NODE:10250, or the node's address",
            rich_help_panel=KUBERNETES,
        ),
    ] = "",
    kube_token_file: Annotated[
        Path | None, typer.Option(help="bearer token; the service account's by default", rich_help_panel=KUBERNETES)
    ] = None,
    kube_ca_file: Annotated[
        Path | None, typer.Option(help="who signed its certificate", rich_help_panel=KUBERNETES)
    ] = None,
    kubelet_unverified: Annotated[
        bool,
        typer.Option("--kubelet-unverified", help="kubelets that sign for themselves", rich_help_panel=KUBERNETES),
    ] = False,
    all_hooks: Annotated[bool, typer.Option("--all-hooks", help="also hooks that no analytic needs (forks)")] = False,
    tracepoints: Annotated[
        bool, typer.Option("--tracepoints", help="see system calls by tracepoint even where the kernel has trampolines")
    ] = False,
    cluster: Annotated[str, typer.Option(envvar="SEAWALL_CLUSTER", help="cluster that the node belongs to")] = "",
    node: Annotated[str, typer.Option(envvar="SEAWALL_NODE", help="name of the node; the host name by default")] = "",
    host_root: Annotated[str, typer.Option(envvar="SEAWALL_HOST_ROOT", help="where the node's / is mounted")] = "/",
    status_address: Annotated[
        str, typer.Option(envvar="SEAWALL_STATUS_ADDRESS", help="host:port of /metrics and /healthz; empty = none")
    ] = "",
    cpu_share: Annotated[
        float, typer.Option(min=0.01, help="share of one core above which load is shed", rich_help_panel=LIMITS)
    ] = 0.5,
    memory_mb: Annotated[
        int, typer.Option(min=50, help="own memory above which load is shed", rich_help_panel=LIMITS)
    ] = 200,
    policy: Annotated[
        Path | None, typer.Option(help="file of enforcement policies; nothing is stopped without")
    ] = None,
    fold_s: Annotated[float, typer.Option(min=0, help="equal events within this time are counted, not repeated")] = 5.0,
) -> None:
    """Watch this node until SIGTERM. Prints one JSON object a line, or delivers to a server, or both."""
    from seawall_sensor.event_hub import EventHubSettings
    from seawall_sensor.limits import Limits
    from seawall_sensor.pod_sources import SERVICE_ACCOUNT, ApiPods, KubeletPods, PodSource, in_cluster, kubelet_url
    from seawall_sensor.pods import PodDirectory
    from seawall_sensor.receiving import Receiving
    from seawall_sensor.running import Plan, watch

    output = output or ("none" if server else "jsonl")
    for name, value, known in (
        ("--output", output, ("jsonl", "none")),
        ("--deliver", deliver, ("alerts", "events")),
        ("--event-hub-credential", event_hub_credential, ("default", "workload", "certificate")),
        *(("--only", kind, ("event", "alert", "loss", "heartbeat")) for kind in only or ()),
    ):
        if value not in known:
            raise typer.BadParameter(f"{value!r} is not known: {', '.join(known)}", param_hint=name)
    if output == "none" and not server:
        raise typer.BadParameter("nothing would be told: give --server, or --output jsonl", param_hint="--output")
    if event_hub and not server:
        raise typer.BadParameter("--event-hub needs --server too: it gives the certificate", param_hint="--event-hub")
    if event_hub_namespace and not event_hub:
        raise typer.BadParameter("name the hub in it: --event-hub NAME", param_hint="--event-hub-namespace")
    federated = os.environ.get("AZURE_FEDERATED_TOKEN_FILE", "")
    hub = EventHubSettings(
        event_hub,
        connection_string=os.environ.get("SEAWALL_EVENT_HUB_CONNECTION", ""),
        namespace=event_hub_namespace,
        websockets=event_hub_websockets,
        proxy=proxy,
        ca_file=ca_file,
        credential=event_hub_credential,
        tenant=os.environ.get("AZURE_TENANT_ID", ""),
        client=os.environ.get("AZURE_CLIENT_ID", ""),
        certificate_file=event_hub_certificate,
        token_file=Path(federated) if federated else None,
    )
    receiving = Receiving(
        server=server,
        state=state_dir or STATE_DIR,
        token=os.environ.pop("SEAWALL_ENROLMENT_TOKEN", "").strip(),
        token_file=enrolment_token_file,
        ca_file=ca_file,
        proxy=proxy,
        event_hub=hub if event_hub else None,
        spool_bytes=spool_mb << 20,
        spool_age_s=spool_hours * 3600,
        max_pause_s=max_pause_s,
    )
    if kube_api and kubelet:
        raise typer.BadParameter("give --kube-api or --kubelet, not both", param_hint="--kubelet")

    def pods(directory: PodDirectory, node: str) -> PodSource | None:
        account = SERVICE_ACCOUNT / "token"
        token = kube_token_file or (account if account.is_file() else None)
        authority = kube_ca_file or (SERVICE_ACCOUNT / "ca.crt" if (SERVICE_ACCOUNT / "ca.crt").is_file() else None)
        if kubelet:
            return KubeletPods(
                kubelet_url(kubelet), directory, token_file=token, ca_file=authority, verify=not kubelet_unverified
            )
        if kube_api:
            return ApiPods(kube_api, directory, node=node, token_file=token, ca_file=authority)
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "")
        return in_cluster(directory, node, host, port)

    watch(
        Plan(
            receiving=receiving if server else None,
            lines=output == "jsonl",
            only=tuple(only or (() if events else ("alert",))),
            deliver_all=deliver == "events" or not detect,
            detect=detect,
            learn_hours=learn_hours if baselines else 0,
            learnt_in=state_dir or (STATE_DIR if server else None),
            check_files=check_files,
            inventory=inventory,
            pods=pods,
            all_hooks=all_hooks,
            tracepoints=tracepoints,
            cluster=cluster,
            node=node,
            host_root=host_root,
            status_address=status_address,
            limits=Limits(cpu_share, memory_mb << 20),
            policy=policy,
            fold_s=fold_s,
            version=_version(),
        )
    )


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
