from __future__ import annotations

import pytest
from seawall_sensor.containers import container_id, runtime_of

A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("path", "identity", "runtime"),
    [
        pytest.param(f"/kubepods.slice/kubepods-pod1.slice/cri-containerd-{A}.scope", A, "containerd", id="containerd, systemd"),
        pytest.param(f"/kubepods/burstable/pod1/{A}", A, "containerd", id="containerd, cgroupfs"),
        pytest.param(f"/kubepods.slice/kubepods-pod1.slice/crio-{A}.scope", A, "cri-o", id="CRI-O"),
        pytest.param(f"/kubepods.slice/kubepods-pod1.slice/crio-{A}.scope/container", A, "cri-o", id="CRI-O with crun"),
        pytest.param(f"/kubepods.slice/crio-conmon-{A}.scope", "", "cri-o", id="CRI-O's monitor"),
        pytest.param(f"/docker/{A}", A, "docker", id="Docker, cgroupfs"),
        pytest.param(f"/system.slice/docker-{A}.scope", A, "docker", id="Docker, systemd"),
        pytest.param(f"/docker/{A}/docker/{B}", B, "docker", id="Docker in Docker: the inner one"),
        pytest.param(f"/machine.slice/libpod-{A}.scope/container", A, "podman", id="podman, systemd"),
        pytest.param(f"/libpod_parent/libpod-{A}", A, "podman", id="podman, cgroupfs"),
        pytest.param(f"/libpod_parent/libpod-conmon-{A}", "", "podman", id="podman's monitor"),
        pytest.param("/system.slice/docker.service", "", "docker", id="the daemon itself"),
        pytest.param(f"/kubepods/{A[:63]}", "", "containerd", id="63 digits"),
        pytest.param("/", "", "", id="root"),
    ],
)  # fmt: skip
def test_container_of_a_cgroup(path, identity, runtime):
    assert (container_id(path), runtime_of(path)) == (identity, runtime)
