"""ValidatingAdmissionPolicy with CEL. Source: Kubernetes documentation, Validating Admission Policy and CEL."""

from __future__ import annotations

import json
from typing import Any, Final

from seawall.domain.posture import Status
from seawall.posture.catalogue import controls
from seawall.posture.enforcement import enforceable
from seawall.posture.enforcement.expressions import Expression
from seawall.posture.fields import FieldControl, On, Op, Rule, capability_name

VARIABLES: Final = {
    "template": "object.kind == 'Pod' ? object : object.kind == 'CronJob' ? object.spec.jobTemplate.spec.template : object.spec.template",
    "spec": "variables.template.spec",
    "main": "(has(variables.spec.initContainers) ? variables.spec.initContainers : []) + variables.spec.containers",
    "containers": "variables.main + (has(variables.spec.ephemeralContainers) ? variables.spec.ephemeralContainers : [])",
    "running": "variables.spec.containers + (has(variables.spec.initContainers) ? variables.spec.initContainers.filter(c, has(c.restartPolicy) && c.restartPolicy == 'Always') : [])",
}
"""The effective view, as variables that every policy over pods has."""

_RESOURCES: Final = (
    ("", ["v1"], ["pods", "pods/ephemeralcontainers", "replicationcontrollers"]),
    ("apps", ["v1"], ["deployments", "replicasets", "daemonsets", "statefulsets"]),
    ("batch", ["v1"], ["jobs", "cronjobs"]),
)
_KINDS: Final = {
    "Service": ("", ["v1"], ["services"]),
    "Deployment": ("apps", ["v1"], ["deployments"]),
    "Ingress": ("networking.k8s.io", ["v1"], ["ingresses"]),
    "PeerAuthentication": ("security.istio.io", ["*"], ["peerauthentications"]),
}
_LISTS: Final = {On.CONTAINER: "variables.containers", On.MAIN: "variables.main", On.RUNNING: "variables.running"}


def literal(value: object) -> str:
    """Return a CEL literal."""
    if isinstance(value, frozenset | tuple | set):
        return (
            "["
            + ", ".join(literal(item) for item in (sorted(value, key=str) if not isinstance(value, tuple) else value))
            + "]"
        )
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" if isinstance(value, str) else json.dumps(value)


def spellings(rule: Rule) -> tuple[str, ...]:
    """Return every text that the rule's usual form stands for: capabilities may be lower case and carry CAP_."""
    values = sorted(rule.value, key=str) if isinstance(rule.value, frozenset) else list(rule.value)
    if rule.as_text is not capability_name:
        return tuple(values)
    return tuple(
        form
        for value in values
        for form in (value, f"CAP_{value}", value.lower(), f"cap_{value.lower()}", value.capitalize())
    )


def test(rule: Rule, value: str) -> str:
    """Return the CEL condition on a value that is set."""
    want = rule.value
    match rule.op:
        case Op.IS:
            return f"{value} == {literal(want)}"
        case Op.IS_NOT:
            return f"{value} != {literal(want)}"
        case Op.IN:
            return f"{value} in {literal(want)}"
        case Op.NOT_IN:
            return f"!({value} in {literal(want)})"
        case Op.EMPTY:
            return f"({value} == '' || {value} == [])"
        case Op.SET:
            return "true"
        case Op.HAS:
            return " && ".join(
                f"{value}.exists(i, i in {literal(spellings(Rule(rule.field, rule.op, (item,), as_text=rule.as_text)))})"
                for item in want
            )
        case Op.HAS_ANY:
            return f"{value}.exists(i, i in {literal(spellings(rule))})"
        case Op.LACKS:
            return f"{value}.all(i, !(i in {literal(spellings(rule))}))"
        case Op.WITHIN:
            return f"{value}.all(i, i in {literal(want)})"
        case Op.AT_LEAST:
            return f"{value} >= {want}"
        case Op.AT_MOST:
            return f"{value} <= {want}"
        case Op.LIKE:
            return " || ".join(
                f"{value}.startsWith({literal(item[:-1])})" if item.endswith("*") else f"{value} == {literal(item)}"
                for item in want
            )


def present(base: str, parts: list[str]) -> str:
    """Return the CEL condition that every part of a path is there."""
    return " && ".join(f"has({'.'.join([base, *parts[: end + 1]])})" for end in range(len(parts)))


def condition(rule: Rule, base: str, depth: int = 0) -> str:
    """Return the CEL condition of a rule on one container, pod spec or object."""
    head, star, tail = rule.field.partition("[*].") if depth == 0 or "[*]" in rule.field else (rule.field, "", "")
    if star:
        parts, name = head.split("."), f"e{depth}"
        inner = condition(Rule(tail, rule.op, rule.value, rule.absent, rule.on, as_text=rule.as_text), name, depth + 1)
        return f"!({present(base, parts)}) || {base}.{head}.all({name}, {inner})"
    parts = rule.field.split(".")
    there, holds = present(base, parts), test(rule, f"{base}.{rule.field}")
    if rule.inherit:
        pod, pod_holds = (
            present("variables.spec", rule.inherit.split(".")),
            test(rule, f"variables.spec.{rule.inherit}"),
        )
        otherwise = f"({pod}) && ({pod_holds})" if rule.absent is not Status.PASS else f"!({pod}) || ({pod_holds})"
        return f"({there}) ? ({holds}) : ({otherwise})"
    return f"({there}) && ({holds})" if rule.absent is not Status.PASS else f"!({there}) || ({holds})"


def expressions(control: FieldControl | Expression) -> list[tuple[str, str]]:
    """Return the CEL expression of each rule and the field that it is about; all have to hold."""
    if isinstance(control, Expression):
        return [(control.cel, control.field)]
    if control.cel:
        return [(control.cel, control.rules[0].field)]
    found = []
    for rule in control.rules:
        if control.kinds:
            body = condition(rule, "object")
        elif rule.on is On.POD:
            body = condition(rule, "variables.spec")
        else:
            body = f"{_LISTS[rule.on]}.all(c, {condition(rule, 'c')})"
        if rule.linux_only:
            body = f"(has(variables.spec.os) && variables.spec.os.name == 'windows') || ({body})"
        found.append((body, rule.field))
    return [*found, *((extra, control.rules[0].field) for extra in control.more_cel)]


def policy_name(control: str) -> str:
    """Return the name of a control's policy."""
    return f"seawall-{control.lower()}"


def policies(wanted: list[str] | None = None, *, action: str = "Deny") -> list[dict[str, Any]]:
    """Return a ValidatingAdmissionPolicy and its binding for each enforceable control that is wanted (all when None).

    `action` is Deny, Warn or Audit. System namespaces are left out, so that a mistake cannot stop the cluster.
    """
    documents: list[dict[str, Any]] = []
    for name, row in enforceable().items():
        if wanted is not None and name not in wanted:
            continue
        control = controls()[name]
        rules = [_KINDS[kind] for kind in row.kinds if kind in _KINDS] or ([] if row.kinds else list(_RESOURCES))
        if not rules:
            continue
        spec: dict[str, Any] = {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [group],
                        "apiVersions": versions,
                        "operations": ["CREATE", "UPDATE"],
                        "resources": resources,
                    }
                    for group, versions, resources in rules
                ]
            },
        }
        if not row.kinds:
            spec["variables"] = [{"name": key, "expression": value} for key, value in VARIABLES.items()]
        spec["validations"] = [
            {
                "expression": expression,
                "message": f"{name}: {control.title} ({field}). {control.remedy}",
                "reason": "Forbidden",
            }
            for expression, field in expressions(row)
        ]
        labels = {"app.kubernetes.io/managed-by": "seawall", "seawall.io/control": name}
        documents.append(
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingAdmissionPolicy",
                "metadata": {"name": policy_name(name), "labels": labels},
                "spec": spec,
            }
        )
        documents.append(
            {
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": policy_name(name), "labels": labels},
                "spec": {
                    "policyName": policy_name(name), "validationActions": [action],
                    "matchResources": {"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "kube-public", "kube-node-lease"]}]}},
                },
            }
        )  # fmt: skip
    return documents
