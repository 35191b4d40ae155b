"""What is read of runtimes' state on disk: trees as the runtimes leave them, and broken ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seawall_sensor.containers import ContainerIndex
from seawall_sensor.host import Host
from seawall_sensor.processes import ProcessCache
from seawall_sensor.runtimes import Mount, Runtimes, from_spec

ID = "c" * 64
ALL = ["CAP_CHOWN", "CAP_SYS_MODULE", "CAP_SYS_ADMIN", "CAP_UNKNOWN"]
SPEC = {
    "process": {"capabilities": {"bounding": ["CAP_CHOWN"]}},
    "mounts": [
        {"type": "proc", "source": "proc", "destination": "/proc"},
        {"type": "bind", "source": "/var/lib/kubelet/pods/1/x", "destination": "/data", "options": ["rbind", "ro"]},
    ],
    "annotations": {
        "io.kubernetes.cri.container-name": "web",
        "io.kubernetes.cri.image-name": "registry.example/web:1",
        "io.kubernetes.cri.sandbox-name": "web-1",
        "io.kubernetes.cri.sandbox-namespace": "shop",
        "io.kubernetes.cri.sandbox-uid": "11111111-2222-3333-4444-555555555555",
        "io.kubernetes.cri.container-type": "container",
    },
    "root": {"path": "rootfs"},
    "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}], "maskedPaths": ["/proc/kcore"]},
}
DOCKER = {
    "Name": "/shop",
    "Config": {"Image": "shop:2", "Labels": {"app": "shop"}},
    "MountPoints": {"/srv": {"Source": "/data/shop", "RW": False}, "/run": {"Source": "/run/shop"}},
}


def put(root: Path, path: str, content: Any) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.parametrize("place", ["run/containerd", "run/k3s/containerd"])
def test_containerd(tmp_path, place):
    put(tmp_path, f"{place}/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json", SPEC)
    found = Runtimes(str(tmp_path)).describe(ID)
    said = {name: value for name, value in found.facts.items() if value}
    assert said == {
        "name": "web",
        "image": "registry.example/web:1",
        "pod": "web-1",
        "namespace": "shop",
        "pod_uid": "11111111-2222-3333-4444-555555555555",
        "caps": 1,
        "host_network": True,
        "runtime": "containerd",
    }
    assert found.mounts == (Mount("/var/lib/kubelet/pods/1/x", "/data", True),)
    assert not found.sandbox
    assert found.rootfs == f"/{place}/io.containerd.runtime.v2.task/k8s.io/{ID}/rootfs"


def test_docker_stands_above_its_containerd(tmp_path):
    put(tmp_path, f"run/containerd/io.containerd.runtime.v2.task/moby/{ID}/config.json", SPEC)
    put(tmp_path, f"var/lib/docker/containers/{ID}/config.v2.json", DOCKER)
    put(tmp_path, f"var/lib/docker/containers/{ID}/hostconfig.json", {"Privileged": True, "NetworkMode": "host"})
    found = Runtimes(str(tmp_path)).describe(ID)
    assert (found.facts["name"], found.facts["image"], found.facts["runtime"]) == ("shop", "shop:2", "docker")
    assert (found.facts["privileged"], found.facts["caps"]) == (True, 1)
    assert set(found.mounts) == {Mount("/data/shop", "/srv", True), Mount("/run/shop", "/run", False)}


def test_podman(tmp_path):
    store = "var/lib/containers/storage"
    row = {"id": ID, "image": "i1", "names": ["db"], "metadata": json.dumps({"image-name": "db:3"})}
    put(tmp_path, f"{store}/overlay-containers/containers.json", [{"id": "other"}, row])
    put(tmp_path, f"{store}/overlay-images/images.json", [{"id": "i1", "digest": "sha256:d"}])
    found = Runtimes(str(tmp_path)).describe(ID)
    assert (found.facts["name"], found.facts["image"], found.facts["image_digest"]) == ("db", "db:3", "sha256:d")
    assert found.mounts is None
    put(tmp_path, f"run/containers/storage/overlay-containers/{ID}/userdata/config.json", {**SPEC, "annotations": {}})
    found = Runtimes(str(tmp_path)).describe(ID)
    assert (found.facts["name"], found.facts["runtime"], found.facts["caps"]) == ("db", "podman", 1)
    assert found.mounts


@pytest.mark.parametrize(
    ("masked", "privileged"),
    [pytest.param([], True, id="privileged"), pytest.param(["/proc/kcore"], False, id="capabilities")],
)
def test_privileged_is_every_capability_and_nothing_hidden(masked, privileged):
    spec = {"process": {"capabilities": {"bounding": ALL}}, "linux": {"maskedPaths": masked}}
    assert from_spec(spec).facts["privileged"] is privileged


def test_a_container_that_nobody_has_is_none(tmp_path):
    assert Runtimes(str(tmp_path)).describe(ID) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["annotations", "linux", "process", "mounts", "capabilities", "namespaces", "Config", "Labels", "id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_state_that_is_not_what_we_know_leaves_the_container_incomplete(tmp_path_factory, state):
    root = tmp_path_factory.mktemp("state")
    for path in (
        f"run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json",
        f"var/lib/docker/containers/{ID}/config.v2.json",
        "var/lib/containers/storage/overlay-containers/containers.json",
    ):
        put(root, path, state)
    host = Host.here("node")
    index = ContainerIndex(host, ProcessCache(proc="/nonexistent"), root=str(root))
    index.learn(1, f"/kubepods/pod1/{ID}")
    index.adopt(1)
    container = index.by_id[ID]
    assert container.context.id == ID
    assert not container.complete
