"""Azure Policy: definitions of our own, built-ins where they exist, and one initiative over both.

Source: Azure Policy definition structure; resource provider mode Microsoft.Kubernetes.Data for objects in clusters.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, Final

from seawall.domain.posture import Status
from seawall.posture.catalogue import Control, controls
from seawall.posture.enforcement import cloud_rows, enforceable
from seawall.posture.enforcement.rego import templates
from seawall.posture.fields import FieldControl, Op, Rule

BUILT_IN: Final = "/providers/Microsoft.Authorization/policyDefinitions/"
_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EFFECT: Final = {"effect": {"type": "String", "allowedValues": ["Audit", "Deny", "Disabled"], "defaultValue": "Audit"}}


def built_ins(control: Control) -> tuple[str, ...]:
    """Return the ids of Microsoft's definitions that judge the same thing."""
    found = [
        match[0]
        for value in (*control.maps_to("azure_policy_ids"), *control.maps_to("azure_policy"))
        for match in [_GUID.search(value)]
        if match
    ]
    return tuple(dict.fromkeys(found))


def alias(kind: str, field: str) -> str:
    """Return the alias of a field of a resource."""
    return f"{kind}/{field.removeprefix('properties.')}"


def _condition(kind: str, rule: Rule) -> dict[str, Any]:
    """Return the condition under which a resource breaks a rule."""
    field = alias(kind, rule.field)
    match rule.op:
        case Op.IS:
            broken: dict[str, Any] = {"field": field, "notEquals": _text(rule.value)}
        case Op.IS_NOT:
            return {"field": field, "equals": _text(rule.value)}
        case Op.IN:
            broken = {"field": field, "notIn": sorted(rule.value)}
        case Op.NOT_IN:
            broken = {"field": field, "in": sorted(rule.value)}
        case Op.SET:
            return {"field": field, "exists": "false"}
        case _:
            return {"field": field, "exists": "true"}
    missing = {"field": field, "exists": "false"}
    if rule.absent is Status.PASS:
        return {"allOf": [{"field": field, "exists": "true"}, broken]}
    return {"anyOf": [missing, broken]}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def resource_definition(row: FieldControl) -> dict[str, Any]:
    """Return a definition that judges an Azure resource by the row."""
    control, kind = controls()[row.id], row.kinds[0]
    broken = [_condition(kind, rule) for rule in row.rules]
    return _definition(
        control,
        "Indexed",
        {
            "if": {"allOf": [{"field": "type", "equals": kind}, {"anyOf": broken} if len(broken) > 1 else broken[0]]},
            "then": {"effect": "[parameters('effect')]"},
        },
    )


def cluster_definition(control: Control, template: dict[str, Any], constraint: dict[str, Any]) -> dict[str, Any]:
    """Return a definition that the policy add-on enforces in clusters with the generated Gatekeeper template."""
    content = base64.b64encode(json.dumps(template, sort_keys=True).encode()).decode()
    details = {
        "templateInfo": {"sourceType": "Base64Encoded", "content": content},
        "apiGroups": sorted({group for item in constraint["spec"]["match"]["kinds"] for group in item["apiGroups"]}),
        "kinds": sorted({kind for item in constraint["spec"]["match"]["kinds"] for kind in item["kinds"]}),
        "excludedNamespaces": "[parameters('excludedNamespaces')]",
    }
    rule = {
        "if": {
            "field": "type",
            "in": ["Microsoft.ContainerService/managedClusters", "Microsoft.Kubernetes/connectedClusters"],
        },
        "then": {"effect": "[parameters('effect')]", "details": details},
    }
    extra = {"excludedNamespaces": {"type": "Array", "defaultValue": ["kube-system", "gatekeeper-system", "azure-arc"]}}
    return _definition(control, "Microsoft.Kubernetes.Data", rule, extra)


def _definition(
    control: Control, mode: str, rule: dict[str, Any], parameters: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "name": f"seawall-{control.id.lower()}",
        "type": "Microsoft.Authorization/policyDefinitions",
        "properties": {
            "displayName": f"Seawall {control.id}: {control.title}", "description": control.remedy, "policyType": "Custom", "mode": mode,
            "metadata": {"category": "Kubernetes", "version": "1.0.0", "seawallControl": control.id}, "parameters": {**_EFFECT, **(parameters or {})}, "policyRule": rule,
        },
    }  # fmt: skip


def initiative(
    wanted: list[str] | None = None, *, scope: str = "/subscriptions/<subscription>"
) -> list[dict[str, Any]]:
    """Return the custom definitions and one initiative that refers to them and to built-ins, by control.

    A control with a built-in gets no definition of its own. `scope` is where the custom definitions are created.
    """
    own: list[dict[str, Any]] = []
    references: list[dict[str, Any]] = []
    rego = templates(wanted)
    by_control = {
        document["metadata"]["labels"]["seawall.io/control"]: (rego[index - 1], document)
        for index, document in enumerate(rego)
        if document["kind"] != "ConstraintTemplate"
    }
    rows = cloud_rows()
    for name, control in controls().items():
        if wanted is not None and name not in wanted:
            continue
        ids = built_ins(control)
        for number, definition in enumerate(ids):
            references.append(
                {
                    "policyDefinitionReferenceId": f"{name}-{number}",
                    "policyDefinitionId": f"{BUILT_IN}{definition}",
                    "groupNames": [name],
                    "parameters": {},
                }
            )
        if ids:
            continue
        if name in rows:
            own.append(resource_definition(rows[name]))
        elif name in by_control and name in enforceable():
            own.append(cluster_definition(control, *by_control[name]))
        else:
            continue
        references.append(
            {
                "policyDefinitionReferenceId": name,
                "policyDefinitionId": f"{scope}{BUILT_IN}{own[-1]['name']}",
                "groupNames": [name],
                "parameters": {},
            }
        )
    used = sorted({reference["groupNames"][0] for reference in references})
    whole = {
        "name": "seawall-posture", "type": "Microsoft.Authorization/policySetDefinitions",
        "properties": {
            "displayName": "Seawall posture controls", "policyType": "Custom", "metadata": {"category": "Kubernetes", "version": "1.0.0"},
            "policyDefinitionGroups": [{"name": name, "displayName": controls()[name].title} for name in used], "policyDefinitions": references,
        },
    }  # fmt: skip
    return [*own, whole]


def read_states(answer: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Return control id, resource id and whether it complies, from a policyStates query's answer.

    States of our definitions carry the control in their name; those of built-ins are found by the definition's id.
    """
    by_built_in: dict[str, list[str]] = {}
    for name, control in controls().items():
        for definition in built_ins(control):
            by_built_in.setdefault(definition, []).append(name)
    found = []
    for item in answer.get("value", []) if isinstance(answer.get("value"), list) else []:
        if not isinstance(item, dict):
            continue
        definition = str(item.get("policyDefinitionName", "")).lower()
        own = definition.removeprefix("seawall-").upper()
        names = [own] if definition.startswith("seawall-") and own in controls() else by_built_in.get(definition, [])
        found += [
            (name, str(item.get("resourceId", "")), str(item.get("complianceState", "")) == "Compliant")
            for name in names
        ]
    return found
