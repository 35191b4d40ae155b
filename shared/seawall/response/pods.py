"""What can be done about a pod: cut it off, take it out of service, end it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from seawall.domain.alerts import EntityKind
from seawall.domain.errors import InputError
from seawall.domain.responses import Change, Current, Request
from seawall.posture.objects import mapping, selects, text
from seawall.response.action import Action, Draft, Rights, controller_of, metadata, patched, uid_of

LABEL: Final = "seawall.io/isolated"
"""Its value is the pod's uid, so that the policy selects this pod and no copy of it."""
GRACE_S: Final = 1
"""A program that shall be stopped gets no time to finish. 0 would take the object away before the kubelet has ended it."""

_CNI = "A network plug-in that does not enforce NetworkPolicies ignores it, and some leave open connections open."
_POD: Final = Rights("", ("pods",), ("get", "patch"))
_POLICY: Final = Rights("networking.k8s.io", ("networkpolicies",), ("list", "create", "delete"))


def _isolate(current: Current) -> Draft:
    labels = mapping(metadata(current).get("labels")) | {LABEL: uid_of(current)}
    return _cut_off(current, labels, (_CNI,))


def _quarantine(current: Current) -> Draft:
    owner = text(controller_of(current.object).get("kind"))
    notes = [_CNI]
    if owner == "StatefulSet":
        notes.append("A StatefulSet makes no replacement while a pod holds its name.")
    elif owner:
        notes.append(f"Its {owner} lets the pod go and makes another one, perhaps with the same hole.")
    return _cut_off(current, {LABEL: uid_of(current)}, tuple(notes))


def _cut_off(current: Current, labels: Mapping[str, Any], notes: tuple[str, ...]) -> Draft:
    """Return the draft that gives the pod these labels, and a policy that selects it and allows nothing."""
    if mapping(current.object.get("spec")).get("hostNetwork") is True:
        raise InputError(
            f"pod {current.target.id} is in its node's network, where NetworkPolicies do not reach",
            hint="terminate-pod ends it",
        )
    changes = []
    if mapping(metadata(current).get("labels")) != labels:
        after = {**current.object, "metadata": {**metadata(current), "labels": dict(labels)}}
        changes.append(patched(current.path, current.object, after))
    policy = _deny_all(current)
    name = policy["metadata"]["name"]
    if name not in {text(mapping(item.get("metadata")).get("name")) for item in current.policies}:
        namespace = text(metadata(current).get("namespace"))
        path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
        changes.append(Change(Request("POST", path, policy), Request("DELETE", f"{path}/{name}")))
    return Draft(tuple(changes), notes, tuple(_openings(current.policies, labels)))


def _deny_all(current: Current) -> dict[str, Any]:
    uid, meta = uid_of(current), metadata(current)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": f"seawall-isolate-{uid}",
            "namespace": text(meta.get("namespace")),
            "labels": {"app.kubernetes.io/managed-by": "seawall"},
            # The garbage collector takes the policy away with its pod.
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": text(meta.get("name")), "uid": uid}],
        },
        "spec": {"podSelector": {"matchLabels": {LABEL: uid}}, "policyTypes": ["Ingress", "Egress"]},
    }


def _openings(policies: tuple[Mapping[str, Any], ...], labels: Mapping[str, Any]) -> Iterator[str]:
    """Yield the policies that go on to let traffic through: NetworkPolicies add up, and none can take from another."""
    for policy in policies:
        spec = mapping(policy.get("spec"))
        if selects(spec.get("podSelector") or {}, labels) and (spec.get("ingress") or spec.get("egress")):
            name = text(mapping(policy.get("metadata")).get("name"))
            yield f"NetworkPolicy {name} selects the pod and would go on to allow what it allows"


def _terminate(current: Current) -> Draft:
    if metadata(current).get("deletionTimestamp"):
        return Draft(())
    owner = controller_of(current.object)
    notes = (f"{owner.get('kind')} {owner.get('name')} makes another one at once: stop-workload ends them all.",)
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": GRACE_S,
        "preconditions": {"uid": uid_of(current)},
    }
    return Draft((Change(Request("DELETE", current.path, options)),), notes if owner else ())


ISOLATE = Action(
    id="isolate-pod",
    title="Cut the pod off the network",
    on=EntityKind.POD,
    breaks="The pod answers nobody and reaches nobody, DNS included; its service still sends it requests until its readiness fails.",
    draft=_isolate,
    rights=(_POD, _POLICY),
    reads_policies=True,
)
QUARANTINE = Action(
    id="quarantine-pod",
    title="Take the pod out of service and keep it for examination",
    on=EntityKind.POD,
    breaks="The pod loses its labels and the network: services drop it, and its controller replaces it.",
    draft=_quarantine,
    rights=(_POD, _POLICY),
    keeps_evidence=True,
    reads_policies=True,
)
TERMINATE = Action(
    id="terminate-pod",
    title="End the pod",
    on=EntityKind.POD,
    breaks="What the pod holds in memory and in its own file system is lost; its manifest, events and last log lines are kept.",
    draft=_terminate,
    rights=(Rights("", ("pods",), ("get", "delete")),),
    undoable=False,
    keeps_evidence=True,
)
