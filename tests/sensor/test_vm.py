"""On Debian's cloud kernel, where the BPF security module exists (6.1; 5.10 and 6.12 when asked for): `check` tells the truth, drifted and listed programs are
refused with EPERM before anything of them ran, the alerts say so, system calls are seen without the tracepoint that all
of them pass, and files are named by the kernel's objects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sensor.conftest import CALLS, compiled
from tests.support import vm

# A kernel of its own: it runs beside other tests, unlike those that watch this machine.
pytestmark = [pytest.mark.timeout(900), pytest.mark.real("qemu"), pytest.mark.real("ebpf")]

CONTAINER = "5ea" + "0" * 61
POLICY = """
policies:
  - name: shop
    select: {names: [shop]}
    drift: {action: block}
    programs: {action: block, names: [listed]}
"""
INIT = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mount -t securityfs securityfs /sys/kernel/security
mount -t tmpfs run /run; mount -t tmpfs tmp /tmp; mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
insmod /lib/modules/overlay.ko
echo "kernel $(uname -r)"
export PYTHONPATH=/site PYTHONDONTWRITEBYTECODE=1 HOME=/ PATH=/bin
store=/var/lib/containers/storage/overlay-containers
mkdir -p $store /run/c/lower/bin /run/c/upper /run/c/work /run/c/root /tmp/up
cat > $store/containers.json <<'X'
[{{"id": "{CONTAINER}", "names": ["shop"], "metadata": "{{\\"image-name\\": \\"localhost/shop:1\\"}}"}}]
X
cat > /run/policy.yaml <<'X'
{POLICY}
X
for each in busybox listed; do cp /bin/busybox /run/c/lower/bin/$each; done
cp /bin/calls /run/c/lower/bin/calls
python -m seawall_sensor.cli run --output jsonl --policy /run/policy.yaml > /run/out 2>/run/errors &
sensor=$!
for i in $(seq 1200); do grep -q '"ready"' /run/out && break; sleep 0.2; done
cgroup=/sys/fs/cgroup/libpod-{CONTAINER}.scope
mkdir $cgroup
cat > /run/inside <<'X'
#!/bin/busybox sh
mount -t overlay -o lowerdir=/run/c/lower,upperdir=/run/c/upper,workdir=/run/c/work overlay /run/c/root
mkdir /run/c/root/cg; mount --bind /sys/fs/cgroup /run/c/root/cg
exec chroot /run/c/root /bin/busybox sh -c '
echo $$ > /cg/libpod-{CONTAINER}.scope/cgroup.procs; sleep 3
/bin/busybox true; echo "image $?"
/bin/busybox cp /bin/busybox /drifted; /drifted true; echo "drifted $?"
/bin/listed true; echo "listed $?"
/bin/busybox unshare -m /bin/busybox true
/bin/calls uring /ring
/bin/busybox mkdir /real; /bin/busybox ln -s /real /by; echo x > /a
/bin/busybox mv /a /by/b; /bin/busybox ln /by/b /by/c; /bin/busybox ln -s /dev/null /by/d; /bin/busybox rm /by/c
/bin/busybox mount -t proc proc /by'
X
sleep 2
unshare -m /bin/busybox sh /run/inside > /run/inside.out 2>&1
sed 's/^/inside /' /run/inside.out
sleep 5
kill $sensor; wait $sensor
grep '"kind":"alert"' /run/out | sed 's/^/line /'
grep -E '^.{{0,40}}"event":"(file_rename|file_unlink|file_link|mount|io_uring)"' /run/out | grep '"name":"shop"' | sed 's/^/event /'
python -m seawall_sensor.cli check --format json > /run/check.json 2>/run/check.errors
echo "check $(tr -d '\\n' < /run/check.json)"
sed 's/^/error /' /run/errors /run/check.errors | head -40
echo done
poweroff -f
"""


@pytest.fixture(scope="module")
def console(programs, tmp_path_factory) -> str:
    """What the VM said."""
    work = tmp_path_factory.mktemp("vm")
    calls = compiled(CALLS, tmp_path_factory.mktemp("calls") / "calls")
    said = vm.boot(vm.initramfs(work, INIT, modules=("fs/overlayfs/overlay.ko",), programs={"calls": calls}))
    assert "\ndone" in said, said[-6000:]
    return said


@pytest.fixture(scope="module")
def found(console) -> dict[str, Any]:
    """What `check` said."""
    line = next(line for line in console.splitlines() if line.startswith("check "))
    report: dict[str, Any] = json.loads(line.removeprefix("check "))
    return report


def test_check_tells_the_truth(found):
    version = tuple(int(each) for each in found["kernel"].split(".")[:2])
    assert found["works"]
    assert "may_exec" in found["attached"]
    # 5.10 does not describe `pt_regs` of all system calls.
    assert ("call_ends" in found["attached"]) == (version >= (6, 1))
    assert ("on_sys_exit" in found["attached"]) == (version < (6, 1))
    assert "trampolines" in found["system_calls"]
    assert found["reading"].startswith("plain loads" if version >= (6, 2) else "calls of a helper")
    assert found["names"].startswith("from the kernel's objects" if version >= (6, 1) else "from the caller's memory")
    assert "before they run" in found["exec_blocking"]
    assert found["missing"] == {}
    assert found["blind"] == []


def test_refused_with_eperm(console):
    assert "inside image 0" in console
    assert "inside drifted 126" in console
    assert "inside listed 126" in console
    assert console.count("Operation not permitted") == 2


def _alerts(console: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("line ")) for line in console.splitlines() if line.startswith("line ")]


def test_a_system_call_is_seen_at_the_end_of_its_function(console):
    (made,) = [each for each in _alerts(console) if each["analytic"] == "RT-0901" and each["container"]]
    assert made["container"]["name"] == "shop"
    assert "mnt" in made["message"]


def _events(console: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("event ")) for line in console.splitlines() if line.startswith("event ")]


def test_requests_through_io_uring_are_seen_in_the_form_that_this_kernel_has(console):
    seen = {
        (each["operation"], each.get("path", ""), each.get("address", ""))
        for each in _events(console)
        if each["event"] == "io_uring"
    }
    assert {("setup", "", ""), ("openat", "/ring", ""), ("unlinkat", "/ring", ""), ("connect", "", "127.0.0.1")} <= seen


def test_files_are_named_by_what_the_kernel_changed_where_it_has_trampolines(console, found):
    """A folder reached by a link: the caller's text says `/by`, the kernel's objects `/real`."""
    told = {(each["event"], each.get("path", each.get("source")), each.get("target", "")) for each in _events(console)}
    by_object = found["names"] == "from the kernel's objects"
    root = "/run/c/root"
    place = f"{root}/{'real' if by_object else 'by'}"
    assert {
        ("file_rename", f"{root}/a", f"{place}/b"),
        ("file_link", f"{place}/b", f"{place}/c"),
        ("file_link", "/dev/null", f"{place}/d"),
        ("file_unlink", f"{place}/c", ""),
        ("mount", "proc", place if by_object else "/by"),
    } <= told


def test_alerts_say_so(console):
    alerts = _alerts(console)
    blocked = [each for each in alerts if each["analytic"] == "RT-0102"]
    assert {each["container"]["name"] for each in blocked} == {"shop"}
    assert any("/drifted" in each["message"] for each in blocked)
    assert any("/bin/listed" in each["message"] for each in blocked)
