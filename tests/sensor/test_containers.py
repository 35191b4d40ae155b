from __future__ import annotations

from dataclasses import replace

import pytest
from seawall_sensor.containers import ContainerIndex, container_id, runtime_of
from seawall_sensor.host import Host
from seawall_sensor.processes import Entry, ProcessCache

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


HOST_NAMESPACE, OWN_NAMESPACE = 100, 200


def _entry(pid: int, ppid: int, *args: str, namespace: int, cgroup: int = 1, start_ns: int = 5) -> Entry:
    return Entry(pid, start_ns, ppid, args[0], args, mnt_ns=namespace, cgroup=cgroup)


@pytest.fixture
def index(monkeypatch):
    """An index that finds no process by itself, and a function that puts one into its cache."""
    processes = ProcessCache(proc="/nonexistent")
    monkeypatch.setattr(processes, "own_mnt_ns", HOST_NAMESPACE)
    host = replace(Host.here(), mount_namespace=HOST_NAMESPACE, proc="/nonexistent", cgroup_root="/nonexistent")
    return ContainerIndex(host, processes, root="/nonexistent"), processes._put


def test_a_mount_namespace_whose_number_comes_again_is_not_the_old_container(index):
    containers, put = index
    put(_entry(10, 1, "/usr/bin/conmon", "-c", A, namespace=HOST_NAMESPACE))
    inside = _entry(11, 10, "/bin/sh", namespace=OWN_NAMESPACE)
    put(inside)
    assert containers.find(1, inside).context.id == A
    assert not containers.is_host(1, OWN_NAMESPACE)
    inside.ended = True
    other = _entry(12, 1, "/usr/bin/unshare", namespace=OWN_NAMESPACE, start_ns=6)
    put(other)
    assert containers.find(1, other) is None
    assert containers.is_host(1, OWN_NAMESPACE)


def test_a_runtime_in_a_mount_namespace_of_its_own_is_no_container(index):
    containers, put = index
    put(_entry(10, 1, "/snap/k/containerd-shim-runc-v2", "-id", A, namespace=OWN_NAMESPACE))
    runtime = _entry(11, 10, "/snap/k/runc", "init", namespace=OWN_NAMESPACE)
    put(runtime)
    assert containers.find(1, runtime) is None


def test_a_runtime_that_is_in_the_containers_cgroup_already(index):
    containers, put = index
    containers.learn(7, f"/kubepods/pod1/{A}")
    parent = _entry(10, 1, "/snap/k/runc", namespace=OWN_NAMESPACE, cgroup=1)
    runtime = _entry(11, 10, "/runc", "init", namespace=OWN_NAMESPACE, cgroup=7)
    put(parent)
    put(runtime)
    container = containers.find(7, runtime)
    assert container.context.id == A
    assert containers.runtime_above(container, parent, 7, OWN_NAMESPACE)
    assert not containers.runtime_above(container, parent, 7, 300), "what runs in the container's own namespace"
    assert not containers.runtime_above(container, runtime, 7, OWN_NAMESPACE), "what a process of the container starts"
    containers.learn(8, f"/kubepods/pod1/{A}/inner")
    assert not containers.runtime_above(container, runtime, 8, OWN_NAMESPACE), "the container's own groups below it"
