"""The sensor as a DaemonSet runs it: in a container with the chart's capabilities and a cgroup namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from seawall.app.enrol_sensor import create_token
from seawall.domain.runtime_events import Connect, Enforced, Heartbeat, ProcessExec
from seawall_sensor import host

from tests.support.ports import wait_until

from .conftest import HIDE_V2, PODMAN, ROOT

NOW = datetime.now(UTC)
PREFIX = f"seawall-own-{os.getpid()}"
POLICY = f"""
policies:
  - name: everything
    select: {{names: ["{PREFIX}-*"]}}
    drift: {{action: block, scripts: true}}
    outbound: {{action: block, deny: [{{cidr: 0.0.0.0/0}}, {{cidr: "::/0"}}]}}
"""


def podman(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", HIDE_V2, "sh", "podman", *command],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.real("ebpf")
@pytest.mark.real("podman")
@pytest.mark.bpf
def test_it_sees_the_node_and_spares_itself(tmp_path, programs, image, receiver):
    """Without `privileged`; a policy for every container cuts off another one and not the sensor's own delivery."""
    token = create_token(receiver.store, cluster="prod", now=NOW, lifetime=timedelta(hours=1))
    (tmp_path / "token").write_text(token)
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "state").mkdir()
    values = yaml.safe_load((ROOT / "sensor/chart/values.yaml").read_text())
    capabilities = [f"--cap-add={name}" for name in values["capabilities"]]
    command = [
        "run", "-d", *PODMAN, "--name", f"{PREFIX}-sensor", "--cap-drop=ALL", *capabilities, "--cgroupns=private",
        "--pid=host", "--network=host", "-v", "/:/host:ro,rslave", "-v", f"{tmp_path}:{tmp_path}",
        "--env", "SEAWALL_HOST_ROOT=/host", "--rootfs", "/:O", sys.executable, "-m", "seawall_sensor.cli", "run",
        "--server", receiver.url, "--ca-file", str(receiver.ca), "--enrolment-token-file", str(tmp_path / "token"),
        "--state-dir", str(tmp_path / "state"), "--deliver", "events", "--policy", str(tmp_path / "policy.yaml"),
    ]  # fmt: skip
    try:
        early = f"{PREFIX}-early"
        podman("run", "-d", *PODMAN, "--network", "none", "--name", early, image, "sh", "-c",
               "while true; do nc -w 1 127.0.0.1 9; sleep 1; done")  # fmt: skip
        started = podman(*command)
        assert started.returncode == 0, started.stderr

        def seen(kind: type, name: str) -> list:
            return [
                each
                for each in receiver.events()
                if type(each) is kind and each.container and each.container.name == name
            ]

        wait_until(lambda: any(isinstance(each, Heartbeat) for each in receiver.events()), what="the sensor")
        before = len(receiver.batches)
        wait_until(lambda: seen(Enforced, early), what="the container that ran before it")
        victim = f"{PREFIX}-victim"
        said = podman("run", "--rm", *PODMAN, "--network", "none", "--name", victim, image, "sh", "-c",
                      "sleep 2; nc -w 1 127.0.0.1 9 2>&1; cp /bin/busybox /tmp/sleep; /tmp/sleep 1; echo code $?").stdout  # fmt: skip
        assert "not permitted" in said
        assert "code 137" in said
        wait_until(lambda: {each.reason for each in seen(Enforced, victim)} == {"network", "drift"}, what="both")
        assert any("/bin/busybox" in each.process.exe for each in seen(ProcessExec, victim))
        assert len(receiver.batches) > before
        assert not seen(Enforced, f"{PREFIX}-sensor")
        assert not [each for each in seen(Connect, f"{PREFIX}-sensor") if each.result]
    finally:
        log = podman("logs", f"{PREFIX}-sensor")
        podman("rm", "-f", "-t", "5", f"{PREFIX}-sensor")
        podman("rm", "-f", "-t", "0", early)
        time.sleep(0.1)
        print(log.stdout, log.stderr)


MOUNTS = """\
30 23 0:26 {own} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
99 23 0:26 / /host/sys/fs/cgroup ro,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate
"""


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        pytest.param(MOUNTS.format(own="/kubepods.slice/cri-containerd-1.scope"), "/host/sys/fs/cgroup", id="of the whole"),
        pytest.param(MOUNTS.format(own="/"), "/sys/fs/cgroup", id="the shortest of equals"),
        pytest.param(MOUNTS.format(own="/a").splitlines()[0], "/sys/fs/cgroup", id="only a part is there"),
    ],
)  # fmt: skip
def test_the_node_s_hierarchy_is_taken(monkeypatch, text, folder):
    monkeypatch.setattr(host, "read_text", lambda _path: text)
    assert host._cgroup2_folder() == folder
