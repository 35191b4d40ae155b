"""Ways out of a container, and gains of privilege."""

from __future__ import annotations

import pytest
from seawall.domain.runtime_events import (
    BpfLoad,
    Connect,
    ContainerContext,
    ContainerStart,
    CredentialChange,
    IoUring,
    ModuleLoad,
    Mount,
    NamespaceChange,
    ProcessVmWrite,
    Ptrace,
    SensitiveRead,
)

from tests.detection.runtime_events import (
    BUILD,
    HOST,
    PLATFORM,
    Case,
    Cases,
    caps,
    event,
    moved,
    raised,
    ran,
    read,
    rows,
    wrote,
)

LONE = ContainerContext(id="a" * 64, name="lone", image="x")
"""A container that no API server knows."""

CASES: Cases = {
    "RT-0901": (
        [event(NamespaceChange, "unshare -U", operation="unshare", namespaces=("user",)), event(NamespaceChange, "x", operation="clone", namespaces=("net",))],
        [
            event(NamespaceChange, "chrome", operation="clone", namespaces=("user",)),
            event(NamespaceChange, "unshare -U", operation="unshare", namespaces=("user",), where=HOST),
            event(NamespaceChange, "unshare -U", operation="unshare", namespaces=("user",), where=BUILD),
        ],
    ),
    "RT-0902": (
        [event(NamespaceChange, "nsenter", operation="setns", namespaces=("mnt", "pid"))],
        [
            event(NamespaceChange, "nsenter", operation="setns", namespaces=("mnt",), where=HOST),
            event(NamespaceChange, "nsenter", operation="setns", namespaces=("mnt",), where=PLATFORM),
            event(NamespaceChange, "nsenter", operation="unshare", namespaces=("mnt",)),
        ],
    ),
    "RT-0903": (
        [ran("nsenter -t 1 -m sh"), ran("chroot /host"), ran("sh -c 'chroot /host bash'"), ran("debugfs /dev/sda1")],
        [ran("chroot /srv/jail"), ran("nsenter -t 1 -m sh", where=HOST), ran("unshare -m x", where=PLATFORM)],
    ),
    "RT-0904": (
        [ran("docker exec --privileged c sh", where=HOST), ran("crictl exec c id")],
        [ran("docker exec c sh", where=HOST), ran("docker ps", where=HOST)],
    ),
    "RT-0905": (
        [ran("docker run --privileged x", where=HOST), ran("ctr run --mount type=bind,src=/,dst=/host x y"), ran("podman run -v /:/host x", where=HOST)],
        [ran("docker run x", where=HOST), ran("docker run --privileged x", where=HOST, by=["systemd"])],
    ),
    "RT-0906": (
        [
            wrote("/sys/fs/cgroup/rdma/release_agent"), wrote("/tmp/cg/x/notify_on_release"), wrote("/proc/sys/kernel/core_pattern"),
            moved("/host/etc/cron.d/x"), wrote("/proc/1/root/etc/passwd"),
        ],
        [
            wrote("/sys/fs/cgroup/rdma/release_agent", where=HOST), wrote("/sys/fs/cgroup/x/cgroup.procs"),
            wrote("/proc/self/oom_score_adj"), wrote("/proc/sys/kernel/core_pattern", where=PLATFORM),
        ],
    ),
    "RT-0907": (
        [event(ModuleLoad, "insmod", name="x"), event(ModuleLoad, "insmod", name="x", path="/tmp/x.ko", where=HOST)],
        [event(ModuleLoad, "modprobe", name="nf_nat", where=HOST), event(ModuleLoad, "modprobe", name="x", where=PLATFORM)],
    ),
    "RT-0908": (
        [ran("insmod /tmp/x.ko"), ran("modprobe msr")],
        [ran("modprobe -n x"), ran("modprobe x", where=HOST), ran("modprobe x", where=PLATFORM), ran("kmod list")],
    ),
    "RT-0909": (
        [event(BpfLoad, "x", program_type="kprobe", name="p"), event(BpfLoad, "x", program_type="tracing", where=HOST), event(BpfLoad, "x", program_type="socket_filter")],
        [
            event(BpfLoad, "cilium-agent", program_type="sched_cls", where=HOST), event(BpfLoad, "x", program_type="socket_filter", where=HOST),
            event(BpfLoad, "python -m seawall_sensor.cli run", program_type="tracing", where=HOST),
        ],
    ),
    "RT-0910": (
        [event(Ptrace, "x", request="attach", target_pid=77, target_exe="/usr/bin/nginx"), event(Ptrace, "x", request="poke", target_pid=77, target_exe="/usr/bin/nginx")],
        [
            event(Ptrace, "x", request="traceme", target_pid=3999),
            event(Ptrace, "strace ls", request="seize", target_pid=77, target_exe="/bin/ls", where=HOST),
        ],
    ),
    "RT-0911": (
        [event(ProcessVmWrite, "x", target_pid=77, target_exe="/usr/bin/nginx", size_bytes=64)],
        [event(ProcessVmWrite, "gdb x", target_pid=77, target_exe="/usr/bin/x", size_bytes=64, where=HOST)],
    ),
    "RT-0912": (
        [event(Connect, "curl x", family="unix", address="/var/run/docker.sock"), event(Connect, "x", family="unix", address="/run/containerd/containerd.sock")],
        [
            event(Connect, "curl x", family="unix", address="/var/run/docker.sock", where=HOST),
            event(Connect, "x", family="unix", address="/run/app.sock"),
            event(Connect, "x", family="unix", address="/run/containerd/containerd.sock", where=PLATFORM),
        ],
    ),
    "RT-0913": (
        [
            event(CredentialChange, "x", operation="kernel", previous_uid=1000, previous_euid=1000, uid=0, euid=0),
            event(CredentialChange, "x", operation="kernel", caps=caps("sys_admin")),
        ],
        [
            event(CredentialChange, "apt-get update", operation="setuid", previous_uid=42, previous_euid=42, uid=0, euid=0),
            event(CredentialChange, "x", operation="kernel", previous_caps=caps("sys_admin", "chown"), caps=caps("chown")),
            event(CredentialChange, "x", operation="kernel", caps=caps("sys_admin"), user_ns=4026532000),
        ],
    ),
    "RT-0914": (
        [
            event(Mount, "mount x", source="/dev/vda", target="/m", filesystem="ext4"),
            event(Mount, "mount x", source="cgroup", target="/tmp/cg", filesystem="cgroup", result=22),
        ],
        [
            event(Mount, "mount x", source="tmpfs", target="/m", filesystem="tmpfs"),
            event(Mount, "mount x", source="/dev/vda", target="/m", filesystem="ext4", where=HOST),
            event(Mount, "mount x", source="/dev/vda", target="/m", filesystem="ext4", where=PLATFORM),
            event(Mount, "umount x", source="", target="/m", unmount=True),
        ],
    ),
    "RT-0915": (
        [read("/dev/sda1", "dd x"), event(SensitiveRead, "dd x", path="/tmp/d", file_type="block"), read("/dev/mem", "dd x")],
        [read("/dev/sda1", "dd x", where=HOST), read("/dev/sda1", "dd x", where=PLATFORM), read("/dev/loop0", "dd x", file_type="block")],
    ),
    "RT-0916": (
        [event(IoUring, "x", operation="openat", path="/etc/shadow"), event(IoUring, "x", operation="connect", drift=True, origin="upper")],
        [event(IoUring, "x", operation="setup"), event(IoUring, "x", operation="openat", path="/data/a"), event(IoUring, "x", operation="openat", path="/etc/shadow", where=HOST)],
    ),
    "RT-0917": (
        [event(ContainerStart, "sh", where=LONE, mounts=(("/var/run/docker.sock", "/var/run/docker.sock", False),)), event(ContainerStart, "sh", where=LONE, mounts=(("/", "/host", False),))],
        [event(ContainerStart, "sh", where=LONE, mounts=(("/srv/data", "/data", False),)), event(ContainerStart, "sh", mounts=(("/", "/host", False),)), event(ContainerStart, "sh", mounts=(("/", "/host", False),), where=PLATFORM)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "case", "fires"), rows(CASES))
def test_escape(rule: str, case: Case, fires: bool) -> None:
    assert raised(rule, case) is fires
