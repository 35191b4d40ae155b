"""Policies act on the containers that they select, on the running kernel, and on nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from seawall_sensor.host import Host

from tests.sensor.conftest import HIDE_V2, PODMAN, Running

pytestmark = [pytest.mark.real("ebpf"), pytest.mark.real("podman"), pytest.mark.bpf]

POLICIES = """
policies:
  - name: watched
    select: {names: ["seawall-audit-*"]}
    drift: {action: audit}
  - name: strict
    select: {names: ["seawall-strict-*"], images: ["*/seawall-test-busybox*"]}
    drift: {action: block, scripts: true}
    programs: {action: kill, names: [unshare], paths: [/bin/listed]}
    outbound:
      action: block
      deny: [{cidr: 127.0.0.0/8, ports: [9, [7000, 7010]]}]
      allow: [{cidr: 127.0.0.7/32}]
"""


@pytest.fixture(scope="module")
def enforcing(programs, tmp_path_factory):
    file = tmp_path_factory.mktemp("policy") / "policy.yaml"
    file.write_text(POLICIES)
    running = Running("--all-hooks", "--policy", str(file))
    running.wait_for(lambda line: line["kind"] == "heartbeat" and line["state"] == "ready")
    yield running
    running.stop()


@pytest.fixture
def shell(image):
    def run(name: str, line: str) -> tuple[str, str]:
        name = f"seawall-{name}-{os.getpid()}-{time.monotonic_ns()}"
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", HIDE_V2, "sh", "podman", "run", "--rm", *PODMAN, "--network", "none", "--name",
             name, image, "sh", "-c", line],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "OCI runtime error" not in done.stderr, done.stderr
        return name, done.stdout

    return run


def enforced(name):
    return lambda line: line.get("event") == "enforced" and (line.get("container") or {}).get("name") == name


DRIFT = "cp /bin/busybox /tmp/sleep; /tmp/sleep 1; echo code $?"


@pytest.mark.parametrize(
    ("line", "output", "expected"),
    [
        pytest.param(DRIFT, "code 137", {"action": "kill", "reason": "drift", "path": "/tmp/sleep"}, id="drifted program"),
        pytest.param("unshare -U sleep 1; echo code $?", "code", {}, id="applet has the name of its program, busybox"),
        pytest.param("sleep 1; echo code $?", "code 0", {}, id="program of the image"),
        pytest.param("sleep 2; nc -w 1 127.0.0.1 9; echo; nc -w 1 127.0.0.1 9 2>&1", "not permitted", {"action": "block", "reason": "network", "address": "127.0.0.1", "port": 9}, id="refused peer"),
        pytest.param("sleep 2; nc -w 1 127.0.0.1 7005 2>&1", "not permitted", {"reason": "network", "port": 7005}, id="port in a range"),
        pytest.param("sleep 2; nc -w 1 127.0.0.1 7011 2>&1", "refused", {}, id="port beside the range"),
        pytest.param("sleep 2; nc -w 1 127.0.0.7 9 2>&1", "refused", {}, id="smaller network may be reached"),
        pytest.param("sleep 2; nc -w 1 ::ffff:127.0.0.1 9 2>&1", "not permitted", {"reason": "network", "address": "127.0.0.1"}, id="IPv4 written as IPv6"),
        pytest.param("printf '#!/bin/sh\\nsleep 2\\necho ran\\n' > /tmp/s; chmod +x /tmp/s; /tmp/s; echo code $?", "code 137", {"reason": "drift", "path": "/tmp/s"}, id="drifted script"),
    ],
)  # fmt: skip
def test_selected_container(enforcing, shell, line, output, expected):
    name, said = shell("strict", line)
    assert output in said
    if expected:
        found = enforcing.wait_for(enforced(name))
        assert {key: found.get(key) for key in expected} == expected
        assert found["policy"] == "strict"
    else:
        assert not any(enforced(name)(line) for line in enforcing.lines)


def test_audit_lets_it_run(enforcing, shell):
    name, said = shell("audit", DRIFT)
    assert "code 0" in said
    assert enforcing.wait_for(enforced(name))["action"] == "audit"


def test_other_containers_and_the_node_are_untouched(enforcing, shell, tmp_path):
    name, said = shell("other", f"{DRIFT}; nc -w 1 127.0.0.1 9 2>&1")
    assert "code 0" in said
    assert "refused" in said
    copy = tmp_path / "true"
    copy.write_bytes(Path("/bin/true").read_bytes())
    copy.chmod(0o755)
    assert subprocess.run([copy], check=False).returncode == 0
    code = "import socket; s = socket.socket(); print(s.connect_ex(('127.0.0.1', 9)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "111"
    assert not any(enforced(name)(line) for line in enforcing.lines)
    assert enforcing.process.poll() is None


def test_an_alert_says_what_was_stopped(enforcing, shell):
    name, _ = shell("strict", DRIFT.replace("/tmp/sleep", "/tmp/rm").replace("rm 1", "rm -f /tmp/x"))
    found = enforcing.wait_for(
        lambda line: line["kind"] == "alert" and line["analytic"] == "RT-0102" and line["container"]["name"] == name
    )
    assert "strict" in found["message"]


def test_host_has_a_hierarchy_for_network_programs():
    assert Host.here().cgroup2
