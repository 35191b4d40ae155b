"""Repairs keep a file as its author laid it out."""

from __future__ import annotations

from datetime import date

import pytest
import yaml
from seawall.posture.remediation.files import repair_text

TODAY = date(2026, 1, 1)
MIXED = """\
# who: the shop
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}

spec:
    selector: {matchLabels: {app: web}}
    template:
      metadata:
         labels: {app: web}
      spec:
        hostPID: true   # left over
        # hostNetwork: true
        containers:
            - name: c      # the program
              image: "registry.example.com/web:1"

              ports:
              - containerPort: 8080
            - name: d
              image: registry.example.com/d:1
        volumes:
        - name: tmp
          emptyDir: {}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: shop}
data:
  a.txt: |
    - not a list
      kept   as it is
"""


def test_only_what_changes_changes() -> None:
    text, fixed, _, notes = repair_text(MIXED, "f", today=TODAY)
    assert fixed
    assert not notes
    removed = [line for line in MIXED.splitlines() if line not in text.splitlines()]
    assert removed == ["        hostPID: true   # left over"]
    added = [line for line in text.splitlines() if line not in MIXED.splitlines()]
    assert "              securityContext:" in added
    assert not [line for line in added if line.strip().startswith("#")]
    spec = next(yaml.safe_load_all(text))["spec"]["template"]["spec"]
    assert "hostPID" not in spec
    assert all(item["securityContext"]["allowPrivilegeEscalation"] is False for item in spec["containers"])


def test_a_second_repair_changes_nothing() -> None:
    once, *_ = repair_text(MIXED, "f", today=TODAY)
    twice, fixed, *_ = repair_text(once, "f", today=TODAY)
    assert (twice, fixed) == (once, [])


def test_anchors_are_kept() -> None:
    source = MIXED.replace(
        "            - name: d\n", "            - name: d\n              env: &env [{name: A, value: b}]\n"
    )
    source = source.replace("              ports:\n", "              env: *env\n              ports:\n").replace(
        "*env", "[]", 1
    )
    text, fixed, *_ = repair_text(source, "f", today=TODAY)
    assert fixed
    assert "env: &env [{name: A, value: b}]" in text


def test_shared_parts_are_repaired_once() -> None:
    source = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec:\n  containers:\n"
        "  - name: a\n    image: r.example.com/a:1\n    securityContext: &sc\n      privileged: false\n"
        "  - name: b\n    image: r.example.com/b:1\n    securityContext: *sc\n"
    )
    text, *_ = repair_text(source, "f", today=TODAY)
    assert "securityContext: &sc" in text
    assert "securityContext: *sc" in text
    assert text.count("allowPrivilegeEscalation: false") == 1


@pytest.mark.parametrize(
    ("source", "word"),
    [
        pytest.param("kind: Pod\nmetadata:\n  name: {{ .Values.name }}\n", "Helm template", id="template"),
        pytest.param("{{- if .Values.on }}\nkind: Pod\n{{- end }}\n", "Helm template", id="condition"),
        pytest.param("kind: [\n", "left as it is", id="broken"),
    ],
)
def test_what_cannot_be_read_is_left(source: str, word: str) -> None:
    text, fixed, _, notes = repair_text(source, "f", today=TODAY)
    assert (text, fixed) == (source, [])
    assert word in notes[0].reason
