"""What the sensor learns of a container that really runs, and that it knows it after a restart."""

from __future__ import annotations

import pytest

from tests.sensor.conftest import Running

pytestmark = [pytest.mark.real("ebpf"), pytest.mark.real("podman"), pytest.mark.bpf]

# Addresses of the container's own loopback device: nothing leaves it.
PEERS = "ip link set lo up; ip addr add 10.9.9.9/32 dev lo; ip addr add 198.51.101.7/32 dev lo"
WORK = "/bin/date; nc -w 1 10.9.9.9 80 </dev/null; sleep 0.1"
# By a variable: the text of the shell would tell from the start what it runs in the end.
POWERS = ("--cap-add", "NET_ADMIN", "--env", "LAST=/bin/find /etc")


def ready(*options: str) -> Running:
    running = Running("--only", "alert", "--fold-s", "0.1", *options)
    running.wait_for(lambda line: line["kind"] == "heartbeat" and line["state"] in ("ready", "degraded"))
    return running


def baseline_alerts(running: Running, container: str) -> dict[str, dict]:
    return {
        line["analytic"]: line
        for line in running.lines
        if line["kind"] == "alert" and line["analytic"].startswith("BL-") and line["container"]["name"] == container
    }


def test_what_a_container_never_did_is_told_also_after_a_restart(programs, in_container, tmp_path):
    options = ("--learn-hours", "0.002", "--state-dir", str(tmp_path))
    learning = ready(*options)
    name = in_container(
        f"{PEERS}; n=0; while [ $n -lt 90 ]; do {WORK}; n=$((n+1)); done; $LAST; nc -w 1 198.51.101.7 4444 </dev/null",
        *POWERS,
    )
    learning.wait_for(
        lambda line: line["kind"] == "alert" and line["analytic"] == "BL-0109" and line["container"]["name"] == name
    )
    learning.stop()
    found = baseline_alerts(learning, name)
    assert found.keys() == {"BL-0101", "BL-0109"}
    program, peer = found["BL-0101"], found["BL-0109"]
    assert program["process"]["exe"] == "/bin/busybox"
    assert program["process"]["args"][0].endswith("find")
    assert program["process"]["ancestors"]
    assert "/bin/busybox date" in program["features"]["usual"]
    assert program["features"]["learnt"]
    assert "198.51.101.7:4444" in peer["message"]
    beats = [line for line in learning.lines if line["kind"] == "heartbeat"]
    assert beats[-1]["workloads_learnt"] >= 1

    again = ready(*options)
    name = in_container(f"{PEERS}; {WORK}; {WORK}; $LAST", *POWERS)
    again.wait_for(
        lambda line: line["kind"] == "alert" and line["analytic"] == "BL-0101" and line["container"]["name"] == name
    )
    again.stop()
    assert baseline_alerts(again, name).keys() == {"BL-0101"}
