"""Each thing is really done in a container; the event names container, process and file."""

from __future__ import annotations

import subprocess

import pytest

pytestmark = [pytest.mark.real("ebpf"), pytest.mark.real("podman"), pytest.mark.bpf]

UNCONFINED = ("--security-opt", "seccomp=unconfined")


@pytest.mark.parametrize(
    ("line", "event", "expected"),
    [
        pytest.param("cat /etc/shadow", "sensitive_read", {"path": "/etc/shadow"}, id="sensitive read"),
        pytest.param("ln -s /etc/shadow /tmp/a; cat /tmp/a", "sensitive_read", {"path": "/etc/shadow", "asked": "/tmp/a"}, id="read through a link"),
        pytest.param("cd /etc; cat ./shadow", "sensitive_read", {"path": "/etc/shadow"}, id="relative read"),
        pytest.param("echo x > /tmp/new", "file_open", {"path": "/tmp/new", "writes": True, "creates": True}, id="create"),
        pytest.param("echo x > /tmp/p; mv /tmp/p /tmp/q", "file_rename", {"path": "/tmp/p", "target": "/tmp/q"}, id="rename"),
        pytest.param("cd /tmp; touch u; rm u", "file_unlink", {"path": "/tmp/u"}, id="relative unlink"),
        pytest.param("touch /tmp/c; chmod 4755 /tmp/c", "file_chmod", {"path": "/tmp/c", "mode": 0o4755}, id="setuid bit"),
        pytest.param("ln -s /dev/null /tmp/l", "file_link", {"path": "/dev/null", "target": "/tmp/l", "symbolic": True}, id="symbolic link"),
        pytest.param("echo x > /tmp/first; rm /tmp/first; echo x > /tmp/second", "file_open", {"path": "/tmp/second"}, id="file with a removed one's inode"),
        pytest.param("echo x > /proc/sys/kernel/core_pattern; echo x > /proc/sys/kernel/domainname", "file_open", {"path": "/proc/sys/kernel/domainname", "result": 30}, id="second refused write"),
        pytest.param("echo x > /proc/sys/kernel/core_pattern", "file_open", {"path": "/proc/sys/kernel/core_pattern", "result": 30}, id="refused write"),
        pytest.param("nc -w 1 127.0.0.1 9", "connect", {"address": "127.0.0.1", "port": 9, "result": 111}, id="refused connect"),
        pytest.param("nc -l -p 4444 & sleep 0.3; kill $!", "listen", {"port": 4444}, id="listen"),
        pytest.param("unshare -U true", "namespace_change", {"operation": "unshare", "namespaces": ["user"]}, id="unshare"),
        pytest.param("mount -t tmpfs x /tmp", "mount", {"target": "/tmp", "filesystem": "tmpfs", "result": 1}, id="refused mount"),
        pytest.param("sleep 5 & kill -9 $!", "signal", {"signal": 9}, id="signal"),
    ],
)  # fmt: skip
def test_event_of_a_container(sensor, in_container, line, event, expected):
    name = in_container(line)
    found = sensor.wait_for(
        lambda each: (
            each.get("event") == event
            and (each.get("container") or {}).get("name") == name
            and all(each.get(key) == value for key, value in expected.items())
        )
    )
    assert found["container"]["image"].startswith("localhost/seawall-test-busybox")
    assert found["process"]["exe"] == "/bin/busybox"
    assert found["process"].get("origin", "image") == "image"


@pytest.mark.parametrize(
    ("line", "event", "expected", "options"),
    [
        pytest.param("touch /tmp/t; touch -d '2001-09-09 00:00:00' /tmp/t", "file_times", {"path": "/tmp/t", "modified_s": 999993600}, (), id="time set back"),
        pytest.param("touch /tmp/f; calls setcap /tmp/f", "file_capabilities", {"path": "/tmp/f", "permitted": 1 << 7 | 1 << 13}, (), id="file capabilities"),
        pytest.param("calls filter", "bpf_load", {"program_type": "socket_filter", "name": "sniff"}, (), id="eBPF by a bare call"),
        pytest.param("calls uring /etc/hostname", "io_uring", {"operation": "setup"}, UNCONFINED, id="ring set up"),
        pytest.param("calls uring /etc/shadow", "sensitive_read", {"path": "/etc/shadow"}, UNCONFINED, id="file read through io_uring"),
        pytest.param("calls uring /tmp/gone", "io_uring", {"operation": "unlinkat", "path": "/tmp/gone"}, UNCONFINED, id="file removed through io_uring"),
        pytest.param("calls uring /tmp/gone", "connect", {"address": "127.0.0.1", "port": 9}, UNCONFINED, id="connection through io_uring"),
        pytest.param(
            "calls fsmount proc", "mount", {"source": "proc", "filesystem": "proc"},
            ("--cap-add", "SYS_ADMIN", *UNCONFINED), id="a mount that is put nowhere",
        ),
    ],
)  # fmt: skip
def test_a_bare_call_in_a_container(sensor, in_container, line, event, expected, options):
    name = in_container(line, *options)
    sensor.wait_for(
        lambda each: (
            each.get("event") == event
            and (each.get("container") or {}).get("name") == name
            and all(each.get(key) == value for key, value in expected.items())
        )
    )


@pytest.mark.parametrize(
    ("line", "drift"),
    [
        pytest.param("cp /bin/busybox /tmp/true; /tmp/true", True, id="copied program"),
        pytest.param("/bin/true", False, id="program of the image"),
    ],
)
def test_drift_is_decided_in_the_kernel(sensor, in_container, line, drift):
    name = in_container(line)
    found = sensor.wait_for(
        lambda each: (
            each.get("event") == "process_exec"
            and each.get("container", {}).get("name") == name
            and each["process"]["args"][0].endswith("/true")
        )
    )
    assert found["process"].get("drift", False) is drift
    assert found["process"]["ancestors"]


def test_container_starts_and_stops(sensor, in_container):
    name = in_container("exit 3")
    for event in ("container_start", "container_stop"):
        sensor.wait_for(lambda each, event=event: each.get("event") == event and each["container"].get("name") == name)


def test_many_short_lived_processes_are_seen_or_counted(sensor):
    before = sum(1 for line in sensor.lines if line.get("event") == "process_exec")
    subprocess.run(
        ["sh", "-c", "i=0; while [ $i -lt 2000 ]; do /bin/true; i=$((i+1)); done; /bin/echo end-of-loop"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    sensor.wait_for(
        lambda each: each.get("event") == "process_exec" and "end-of-loop" in each["process"].get("args", ()), 60
    )
    seen = sum(1 for line in sensor.lines if line.get("event") == "process_exec") - before
    lost = sum(line["lost"] for line in sensor.lines if line["kind"] == "loss")
    assert seen + lost >= 2000


def test_sigterm_ends_with_a_report_of_losses(sensor):
    sensor.stop()
    assert sensor.process.returncode == 0
    assert any(line["kind"] == "loss" for line in sensor.lines)
    assert [line["state"] for line in sensor.lines if line["kind"] == "heartbeat"][-1] == "stopping"
