"""Command lines: credentials in flags, and flags of components that are given more than once."""

from __future__ import annotations

from datetime import date

import pytest
from seawall.app.assess_posture import assess_documents
from seawall.domain.posture import Status
from seawall.posture.components import parse_flags


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--password=hunter22", Status.FAIL),
        ("-Dredis.password=hunter22", Status.FAIL),
        ("--auth-token=abcdef123", Status.FAIL),
        ("--github=ghp_abcdefghijklmnopqrstuvwxyz0123456789", Status.FAIL),
        ("--password=$(DB_PASSWORD)", Status.PASS),
        ("--password-file=/run/secrets/p", Status.PASS),
        ("--webhook-ca-secret=cert-manager-webhook-ca", Status.PASS),
        ("--initial-cluster-token=etcd-cluster", Status.PASS),
        ("--password", Status.PASS),
    ],
)
def test_credentials_in_arguments(argument: str, expected: Status) -> None:
    container = {"name": "c", "image": "a:1", "args": [argument, 5, None]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}
    report = assess_documents([pod], today=date(2026, 1, 1), controls=["WL-051"])
    assert report.status_of("WL-051") is expected
    assert all("hunter22" not in str(item.actual) for item in report.assessments())


def test_lists_add_up_and_of_other_flags_the_last_one_counts() -> None:
    words = ["--authorization-mode=Node", "--authorization-mode", "RBAC", "--profiling=true", "--profiling=false"]
    found = parse_flags(words, "args")
    assert found["authorization-mode"][0] == "Node,RBAC"
    assert found["profiling"] == ("false", "args[4]")
