"""Gatekeeper constraint templates with Rego or CEL, and constraints. Source: Gatekeeper documentation."""

from __future__ import annotations

import json
from typing import Any, Final

from seawall.domain.posture import Status
from seawall.posture.catalogue import controls
from seawall.posture.enforcement import enforceable
from seawall.posture.enforcement.cel import VARIABLES, expressions, spellings
from seawall.posture.enforcement.expressions import Expression
from seawall.posture.fields import FieldControl, On, Op, Rule

_VIEW: Final = """
template := input.review.object { input.review.object.kind == "Pod" }
template := input.review.object.spec.jobTemplate.spec.template { input.review.object.kind == "CronJob" }
template := input.review.object.spec.template { not input.review.object.kind == "Pod"; not input.review.object.kind == "CronJob" }
spec := template.spec
windows { spec.os.name == "windows" }
main[c] { c := spec.containers[_] }
main[c] { c := spec.initContainers[_] }
containers[c] { main[c] }
containers[c] { c := spec.ephemeralContainers[_] }
running[c] { c := spec.containers[_] }
running[c] { c := spec.initContainers[_]; c.restartPolicy == "Always" }
"""
_SETS: Final = {On.CONTAINER: "containers", On.MAIN: "main", On.RUNNING: "running"}


def _good(rule: Rule, name: str) -> str:
    """Return Rego functions that hold for a good value."""
    want = json.dumps(
        sorted(rule.value, key=str)
        if isinstance(rule.value, frozenset)
        else list(rule.value)
        if isinstance(rule.value, tuple)
        else rule.value
    )
    forms = json.dumps(list(spellings(rule))) if rule.op in {Op.HAS, Op.HAS_ANY, Op.LACKS} else "[]"
    match rule.op:
        case Op.IS:
            return f"{name}(v) {{ v == {want} }}\n"
        case Op.IS_NOT:
            return f"{name}(v) {{ v != {want} }}\n"
        case Op.IN:
            return f"{name}(v) {{ good := {want}; v == good[_] }}\n"
        case Op.NOT_IN:
            return f"{name}_bad(v) {{ bad := {want}; v == bad[_] }}\n{name}(v) {{ not {name}_bad(v) }}\n"
        case Op.EMPTY:
            return f'{name}(v) {{ v == "" }}\n{name}(v) {{ v == [] }}\n'
        case Op.SET:
            return f"{name}(v) {{ v != null }}\n"
        case Op.HAS | Op.HAS_ANY:
            return f"{name}(v) {{ forms := {forms}; i := v[_]; i == forms[_] }}\n"
        case Op.LACKS:
            return (
                f"{name}_bad(v) {{ forms := {forms}; i := v[_]; i == forms[_] }}\n{name}(v) {{ not {name}_bad(v) }}\n"
            )
        case Op.WITHIN:
            return f"{name}_in(i) {{ good := {want}; i == good[_] }}\n{name}_bad(v) {{ i := v[_]; not {name}_in(i) }}\n{name}(v) {{ not {name}_bad(v) }}\n"
        case Op.AT_LEAST:
            return f"{name}(v) {{ v >= {want} }}\n"
        case Op.AT_MOST:
            return f"{name}(v) {{ v <= {want} }}\n"
        case Op.LIKE:
            return "".join(
                f"{name}(v) {{ startswith(v, {json.dumps(item[:-1])}) }}\n"
                if item.endswith("*")
                else f"{name}(v) {{ v == {json.dumps(item)} }}\n"
                for item in rule.value
            )


def _lookup(base: str, field: str) -> tuple[str, str]:
    """Return Rego lines that bind the values of a path, and the name of the last."""
    lines, current = [], base
    pieces = field.split("[*].")
    for number, piece in enumerate(pieces[:-1]):
        lines.append(f"e{number} := {current}.{piece}[_]")
        current = f"e{number}"
    parts = json.dumps(pieces[-1].split("."))
    lines.append(f"v := object.get({current}, {parts}, null)")
    return "; ".join(lines), "v"


def rego(control: FieldControl) -> str:
    """Return the Rego program of a control."""
    out = [f"package seawall.{control.id.lower().replace('-', '')}", "" if control.kinds else _VIEW]
    title = controls()[control.id].title
    for number, rule in enumerate(control.rules):
        good = f"good{number}"
        out.append(_good(rule, good))
        base = "input.review.object" if control.kinds else "spec" if rule.on is On.POD else "c"
        lead = f"{_SETS[rule.on]}[c]; " if base == "c" else ""
        guard = "not windows; " if rule.linux_only else ""
        message = f'msg := sprintf("{control.id}: {title} ({rule.field}), found %v", [v])'
        lookup, _ = _lookup(base, rule.field)
        if rule.inherit:
            inherited = json.dumps(rule.inherit.split("."))
            out.append(
                f"effective{number}(c) = v {{ v := object.get(c, {json.dumps(rule.field.split('.'))}, null); v != null }}"
            )
            out.append(
                f"effective{number}(c) = v {{ object.get(c, {json.dumps(rule.field.split('.'))}, null) == null; v := object.get(spec, {inherited}, null) }}"
            )
            lookup = f"v := effective{number}(c)"
        if rule.absent is not Status.PASS:
            out.append(f'violation[{{"msg": msg}}] {{ {guard}{lead}{lookup}; v == null; {message} }}')
        out.append(f'violation[{{"msg": msg}}] {{ {guard}{lead}{lookup}; v != null; not {good}(v); {message} }}')
    return "\n".join(out)


def native(row: FieldControl | Expression) -> dict[str, Any]:
    """Return the source of a template for Gatekeeper's CEL engine (3.18 and later), for what Rego is not generated for."""
    source: dict[str, Any] = {} if row.kinds else {"variables": [{"name": key, "expression": value} for key, value in VARIABLES.items()]}  # fmt: skip
    source["validations"] = [
        {"expression": expression, "message": f"{row.id}: {controls()[row.id].title} ({field})"}
        for expression, field in expressions(row)
    ]
    return source


def kind_of(control: str) -> str:
    """Return the constraint kind of a control."""
    return f"Seawall{control.replace('-', '').capitalize()}"


def templates(wanted: list[str] | None = None, *, action: str = "deny") -> list[dict[str, Any]]:
    """Return a ConstraintTemplate and a constraint for each enforceable control that is wanted (all when None)."""
    documents: list[dict[str, Any]] = []
    for name, row in enforceable().items():
        if wanted is not None and name not in wanted:
            continue
        kind = kind_of(name)
        program: dict[str, Any] = {"target": "admission.k8s.gatekeeper.sh"}
        if isinstance(row, Expression) or row.cel or row.more_cel:
            program["code"] = [{"engine": "K8sNativeValidation", "source": native(row)}]
        else:
            program["rego"] = rego(row)
        documents.append(
            {
                "apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate",
                "metadata": {"name": kind.lower(), "annotations": {"metadata.gatekeeper.sh/title": controls()[name].title, "description": controls()[name].remedy}},
                "spec": {"crd": {"spec": {"names": {"kind": kind}}}, "targets": [program]},
            }
        )  # fmt: skip
        documents.append(
            {
                "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": kind, "metadata": {"name": f"seawall-{name.lower()}", "labels": {"seawall.io/control": name}},
                "spec": {"enforcementAction": action, "match": {"kinds": _match(row), "excludedNamespaces": ["kube-system", "kube-public", "kube-node-lease", "gatekeeper-system"]}},
            }
        )  # fmt: skip
    return documents


def _match(row: FieldControl | Expression) -> list[dict[str, Any]]:
    if row.kinds:
        return [{"apiGroups": ["*"], "kinds": list(row.kinds)}]
    return [
        {"apiGroups": [""], "kinds": ["Pod", "ReplicationController"]},
        {"apiGroups": ["apps"], "kinds": ["Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"]},
        {"apiGroups": ["batch"], "kinds": ["Job", "CronJob"]},
    ]
