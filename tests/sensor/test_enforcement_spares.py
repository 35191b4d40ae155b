"""Whom a policy that selects everything never touches: the runtime, the node, its privileged agents, kube-system."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sensor.conftest import HIDE_V2, PODMAN, Running

pytestmark = [pytest.mark.real("ebpf"), pytest.mark.real("podman"), pytest.mark.bpf]

# Only this test's containers: others may run beside it.
POLICIES = """
policies:
  - name: system
    select: {names: ["seawall-spare-named-*"], namespaces: [kube-system]}
    drift: {action: kill}
  - name: everything
    select: {names: ["seawall-spare-*"]}
    drift: {action: block, scripts: true}
    programs: {action: kill, names: [listed], paths: [/bin/listed]}
    outbound: {action: block, deny: [{cidr: 0.0.0.0/0}, {cidr: "::/0"}]}
"""
DRIFT = "cp /bin/busybox /tmp/sleep; /tmp/sleep 1; echo code $?"
KUBELET = f"kubelet 0; sleep 1; {DRIFT}"


@pytest.fixture(scope="module")
def enforcing(programs, tmp_path_factory):
    file = tmp_path_factory.mktemp("policy") / "policy.yaml"
    file.write_text(POLICIES)
    running = Running("--policy", str(file), "--no-inventory")
    running.wait_for(lambda line: line["kind"] == "heartbeat" and line["state"] == "ready")
    yield running
    assert running.process.poll() is None, "the sensor itself lives"
    running.stop()


def podman(*command: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", HIDE_V2, "sh", "podman", *command],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "OCI runtime error" not in done.stderr, done.stderr
    return done


def run(image: str, name: str, line: str, *options: str) -> str:
    whole = f"seawall-spare-{name}-{os.getpid()}-{time.monotonic_ns()}"
    return podman(
        "run", "--rm", *PODMAN, "--network", "none", "--name", whole, *options, image, "sh", "-c", line
    ).stdout


def enforced(running: Running) -> list[str]:
    return [line["container"]["name"] for line in running.lines if line.get("event") == "enforced"]


@pytest.mark.parametrize(
    ("name", "line", "options", "code"),
    [
        pytest.param("plain", DRIFT, (), "137", id="the policy holds"),
        pytest.param("node", KUBELET, ("--privileged",), "0", id="privileged and runs kubelet: a node in a container"),
        pytest.param("fake", KUBELET, (), "137", id="runs kubelet without privilege"),
        pytest.param("fake", f"cp /bin/kubelet /tmp/kubelet; /tmp/kubelet 0; {DRIFT}", ("--privileged",), "137", id="privileged with a kubelet that is not from the image"),
        pytest.param("privileged", DRIFT, ("--privileged",), "137", id="privileged alone"),
        pytest.param("dns", DRIFT, ("--annotation", "io.kubernetes.pod.namespace=kube-system"), "0", id="kube-system"),
        pytest.param("named-dns", DRIFT, ("--annotation", "io.kubernetes.pod.namespace=kube-system"), "137", id="kube-system by its name"),
        pytest.param("named-web", DRIFT, ("--annotation", "io.kubernetes.pod.namespace=shop"), "137", id="another namespace"),
    ],
)  # fmt: skip
def test_containers(enforcing, image, name, line, options, code):
    assert f"code {code}" in run(image, name, line, *options)


def test_the_runtime_still_starts_enters_stops_and_removes(enforcing, image):
    name = f"seawall-spare-runtime-{os.getpid()}"
    before = len(enforced(enforcing))
    assert podman("run", "-d", *PODMAN, "--network", "none", "--name", name, image, "sleep", "60").returncode == 0
    try:
        time.sleep(1.5)  # the policy holds by now
        assert podman("exec", name, "echo", "entered").stdout == "entered\n"
        assert podman("exec", name, "sh", "-c", "nc -w 1 127.0.0.1 9 2>&1").stdout.strip().endswith("not permitted")
        assert name in podman("ps", "--format", "{{.Names}}").stdout
        assert podman("pause", name).returncode == podman("unpause", name).returncode == 0
        assert podman("stop", "-t", "1", name).returncode == 0
        assert podman("start", name).returncode == 0
        time.sleep(1)
        assert podman("exec", name, "echo", "again").stdout == "again\n"
    finally:
        podman("rm", "-f", "-t", "0", name)
    time.sleep(0.5)
    told = [line for line in enforcing.lines if line.get("event") == "enforced"][before:]
    assert {line["reason"] for line in told} <= {"network"}, told


def test_the_node_is_untouched(enforcing, tmp_path):
    copy = tmp_path / "listed"
    copy.write_bytes(Path("/bin/true").read_bytes())
    copy.chmod(0o755)
    assert subprocess.run([copy], check=False).returncode == 0
    code = "import socket; s = socket.socket(); print(s.connect_ex(('127.0.0.1', 9)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "111"
