"""`seawall respond`: act on an incident with the caller's own rights. Shows what it would do; `--apply` does it."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.cli.command import Command
from seawall.cli.console import echo
from seawall.domain.errors import ConfigError, InputError, NotFound

if TYPE_CHECKING:
    from seawall.adapters.kubernetes.changing import KubeChanger
    from seawall.domain.alerts import Alert, Entity, Incident
    from seawall.domain.responses import Change, Offer, Plan, Response
    from seawall.ports.store import Store
    from seawall.response.action import Action

app = typer.Typer()
COMMAND = Command(id="respond", app=app)
FORMATS = ("table", "json", "kubectl")


@app.command("respond")
def respond(
    subject: Annotated[
        str,
        typer.Argument(
            help="Id of an incident or alert: what can be done about it. Without any: what was done so far."
        ),
    ] = "",
    action: Annotated[str, typer.Option("--action", "-a", help="Show what this action would change.")] = "",
    pod: Annotated[str, typer.Option("--pod", help="NAMESPACE/NAME.")] = "",
    workload: Annotated[str, typer.Option("--workload", help="NAMESPACE/NAME or KIND/NAMESPACE/NAME.")] = "",
    node: Annotated[str, typer.Option("--node", help="Name of a node.")] = "",
    image: Annotated[str, typer.Option("--image", help="Digest of an image, or its name with the digest.")] = "",
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it, after the API server has been asked whether it would.")
    ] = False,
    force: Annotated[
        str, typer.Option("--force", metavar="REASON", help="Do what is refused by default; the reason is recorded.")
    ] = "",
    undo: Annotated[str, typer.Option("--undo", metavar="ID", help="Take a response back; with --apply.")] = "",
    rbac: Annotated[str, typer.Option("--rbac", metavar="ACTION", help="Print the role that an action needs.")] = "",
    output: Annotated[
        str, typer.Option("--format", "-f", help=f"{', '.join(FORMATS)}; kubectl prints the commands of a plan.")
    ] = "table",
    kubeconfig: Annotated[Path | None, typer.Option("--kubeconfig", help="Act by this kubeconfig.")] = None,
    context: Annotated[
        str, typer.Option("--context", help="Context of the kubeconfig; default: the one named as the cluster is.")
    ] = "",
    in_cluster: Annotated[
        bool, typer.Option("--in-cluster", help="Act on the cluster that this process runs in.")
    ] = False,
) -> None:
    """Act on an incident: cut off, take out of service or end a pod, stop a workload, cordon a node, refuse an image."""
    from seawall.adapters.blobs import open_blobs
    from seawall.adapters.sql.store import open_store
    from seawall.app.respond import Responder, responses_about
    from seawall.domain.alerts import Entity, EntityKind, Incident
    from seawall.domain.responses import DENY_IMAGE
    from seawall.response.offers import action_named, offers
    from seawall.settings import load_settings

    if output not in FORMATS:
        raise InputError(f"no such format: {output}", hint=", ".join(FORMATS))
    if rbac:
        print_role(action_named(rbac))
        return
    chosen = action_named(action) if action else None
    named = [
        Entity(EntityKind(kind), name.strip())
        for kind, name in (("pod", pod), ("workload", workload), ("node", node), ("image", image))
        if name.strip()
    ]
    if chosen is None and (apply or force or named) and not undo:
        raise InputError("name an --action", hint=", ".join(fitting(named)))
    settings = load_settings()
    with ExitStack() as stack:
        store = open_store(settings)
        stack.callback(store.close)

        def responder(scope: str, *, needs_cluster: bool = True) -> Responder:
            cluster = connect(scope, kubeconfig, context, in_cluster) if needs_cluster else None
            if cluster is not None:
                stack.callback(cluster.close)
            return Responder(
                store.responses,
                lambda: open_blobs(settings.effective_blob_url, settings),
                lambda: datetime.now(UTC),
                cluster=cluster,
                operator=getpass.getuser(),
            )

        if undo:
            response = store.responses.get(undo)
            if response is None:
                raise NotFound(f"there is no response {undo}", hint="`seawall respond` lists them")
            acting = responder(response.target.scope, needs_cluster=bool(response.server))
            print_responses([acting.undo(undo, apply=apply)], output, undoing=not apply)
            return
        found, alerts = subject_of(store, subject) if subject else (None, [])
        if chosen is None:
            if found is None:
                print_responses(store.responses.newest(), output)
            else:
                print_offers(offers(found, alerts), output)
                if output == "table":
                    done = (
                        responses_about(store, found) if isinstance(found, Incident) else store.responses.of({found.id})
                    )
                    print_responses(done, output)
            return
        targets = targets_of(chosen, named, found, alerts)
        scopes = {target.scope for target in targets}
        if len(scopes) > 1:
            raise InputError(f"these are of several clusters: {', '.join(sorted(scopes))}", hint="name one target")
        acting = responder(scopes.pop(), needs_cluster=chosen.id != DENY_IMAGE)
        plans = [acting.plan(chosen, target, found.last_seen if found else None) for target in targets]
        if not apply:
            print_plans(plans, chosen, output)
            return
        made = acting.apply(plans, subject=found.id if found else "", force=force)
        print_responses(made, output, none="It is so already: nothing was changed.")


def fitting(named: Iterable[Entity]) -> list[str]:
    """Return the actions for what is named, all of them when nothing is."""
    from seawall.response.offers import actions

    kinds = {target.kind for target in named}
    return [action.id for action in actions().values() if not kinds or action.on in kinds]


def subject_of(store: Store, name: str) -> tuple[Incident | Alert, list[Alert]]:
    """Return the incident or alert, and the alerts of an incident.

    Raises:
        NotFound: it is neither.
    """
    incident = store.incidents.get(name)
    if incident is not None and incident.merged_into:
        incident = store.incidents.get(incident.merged_into)
    if incident is not None:
        return incident, store.alerts.get(incident.alert_ids)
    alerts = store.alerts.get([name])
    if not alerts:
        raise NotFound(f"there is no incident or alert {name}")
    return alerts[0], alerts


def targets_of(
    action: Action, named: Sequence[Entity], subject: Incident | Alert | None, alerts: Sequence[Alert]
) -> list[Entity]:
    """Return what to act on: what is named, which must be of the subject if there is one; else all of it that fits.

    Raises:
        InputError: nothing fits.
    """
    from seawall.domain.alerts import EntityKind
    from seawall.response.action import require_fit
    from seawall.response.offers import digest_in, targets

    for target in named:
        require_fit(action, target)
    if subject is None:
        if not named:
            raise InputError(f"name a --{action.on.value}, or an incident or alert")
        return list(named)
    of_subject = [target for target in targets(subject, alerts) if target.kind is action.on]
    if not named:
        if not of_subject:
            raise InputError(f"{subject.id} is about no {action.on.value}")
        return of_subject
    wanted = {digest_in(item.id) if item.kind is EntityKind.IMAGE else item.id for item in named}
    found = [target for target in of_subject if target.id in wanted]
    if len(found) != len(named):
        known = ", ".join(target.id for target in of_subject) or "none"
        raise InputError(f"{subject.id} is not about that {action.on.value}", hint=f"it is about: {known}")
    return found


def connect(scope: str, kubeconfig: Path | None, context: str, in_cluster: bool) -> KubeChanger:
    """Return the cluster to act on: the one named, else the kubeconfig's context that bears the cluster's name."""
    from seawall.adapters.kubernetes import access
    from seawall.adapters.kubernetes.changing import KubeChanger

    if in_cluster:
        return KubeChanger(access.in_cluster())
    try:
        return KubeChanger(access.from_kubeconfig(kubeconfig, context or scope))
    except ConfigError as error:
        if not scope or context:
            raise
        raise ConfigError(
            f"which cluster is {scope}? {error.message}", hint=f"name its context with --context; {error.hint}"
        ) from error


def print_role(action: Action) -> None:
    """Print a ClusterRole as YAML."""
    import yaml

    from seawall.response.action import cluster_role

    if not action.rights:
        echo(f"{action.id} needs no right in a cluster: whoever may write to Seawall's store may do it", err=True)
        return
    sys.stdout.write(yaml.safe_dump(cluster_role(action), sort_keys=False))


def print_offers(found: Sequence[Offer], output: str) -> None:
    """Print what can be done."""
    from seawall.server.api import plain

    if output == "json":
        sys.stdout.write(json.dumps({"offers": plain(found)}, indent=2) + "\n")
        return
    from rich.text import Text

    from seawall.cli.console import Console
    from seawall.cli.table import listing
    from seawall.response.action import named

    if not found:
        echo("Nothing of it can be acted on from here.", err=True)
        return
    table = listing("Action", "On", "What it breaks", "Undo", whole=("Action",), widest="What it breaks")
    for offer in found:
        table.add_row(offer.action, Text(named(offer.target)), offer.breaks, "yes" if offer.undoable else "no")
    Console(highlight=False).print(table)
    echo(f"\nFor example: {found[0].command}")


def print_plans(plans: Sequence[Plan], action: Action, output: str) -> None:
    """Print what an action would change."""
    from seawall.response.action import named
    from seawall.response.kubectl import command
    from seawall.server.api import plain

    if output == "json":
        sys.stdout.write(json.dumps({"plans": plain(plans), "breaks": action.breaks}, indent=2) + "\n")
        return
    for item in plans:
        comment = "# " if output == "kubectl" else ""
        echo(f"{comment}{action.id} on {named(item.target)}: {'it is so already' if item.done else action.breaks}")
        for note in item.notes if not item.done else ():
            echo(f"{comment}{note}")
        for why in item.refusals:
            echo(f'{comment}refused without --force "REASON": {why}')
        for change in item.changes:
            echo(command(change.do) if output == "kubectl" else told(change))
    echo("Nothing was changed: --apply does it.", err=True)


def told(change: Change) -> str:
    """Return a change in two lines, without what only tests."""
    body = change.do.body
    if change.do.method == "PATCH":
        body = [operation for operation in body if operation["op"] != "test"]
    shown = f" {json.dumps(body)}" if body is not None else ""
    undo = f"{change.undo.method} {change.undo.path}" if change.undo else "cannot be undone"
    return f"  {change.do.method} {change.do.path}{shown}\n    undo: {undo}"


def print_responses(
    found: Iterable[Response], output: str, *, undoing: bool = False, none: str = "Nothing was done so far."
) -> None:
    """Print responses and where they stand, each as soon as it is there; `none` when there are none."""
    from seawall.response.action import named
    from seawall.server.api import plain

    if output == "json":
        sys.stdout.write(json.dumps({"responses": plain(list(found))}, indent=2) + "\n")
        return
    count = 0
    for item in found:
        count += 1
        last = item.history[-1]
        why = f" ({item.reason})" if item.reason else ""
        echo(
            f"{item.id}  {last.at:%Y-%m-%d %H:%M:%S} UTC  {item.state.value}  {item.action} on {named(item.target)} by {last.actor}{why}"
        )
        if item.evidence and item.state.value == "applied":
            echo(f"  evidence: {item.evidence}")
    if undoing:
        echo("Nothing was changed: --apply takes it back.", err=True)
    elif not count:
        echo(none, err=True)
