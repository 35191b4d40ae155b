"""The sensor on arm64, in software emulation: `make test-arm64`. Prints what was seen; fails when something was not."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from tests.support import arm64

CONTAINER = "5ea" + "0" * 61
POLICY = "policies: [{name: shop, select: {names: [shop]}, drift: {action: block}}]"
INIT = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mount -t securityfs securityfs /sys/kernel/security
mount -t tmpfs run /run; mount -t tmpfs tmp /tmp; mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
insmod /overlay.ko
echo "kernel $(uname -rm)"
export PYTHONPATH=/site PYTHONDONTWRITEBYTECODE=1 HOME=/ PATH=/usr/bin:/bin
echo "at $(cut -d' ' -f1 /proc/uptime) up"
python3 -m seawall_sensor.cli check > /run/check 2>&1
sed 's/^/check /' /run/check
echo "at $(cut -d' ' -f1 /proc/uptime) checked"
store=/var/lib/containers/storage/overlay-containers
mkdir -p $store /run/c/lower/bin /run/c/lower/etc /run/c/upper /run/c/work /run/c/root
cat > $store/containers.json <<'X'
[{{"id": "{CONTAINER}", "names": ["shop"], "metadata": "{{\\"image-name\\": \\"localhost/shop:1\\"}}"}}]
X
echo '{POLICY}' > /run/policy.yaml
cp /bin/busybox /run/c/lower/bin/busybox; echo x > /run/c/lower/etc/shadow
python3 -m seawall_sensor.cli run --policy /run/policy.yaml --no-inventory > /run/out 2>/run/errors &
sensor=$!
for i in $(seq 600); do grep -q '"ready"\\|"degraded"' /run/out && break; sleep 0.2; done
echo "at $(cut -d' ' -f1 /proc/uptime) ready"
mkdir /sys/fs/cgroup/libpod-{CONTAINER}.scope
cat > /run/inside <<'X'
#!/bin/busybox sh
mount -t overlay -o lowerdir=/run/c/lower,upperdir=/run/c/upper,workdir=/run/c/work overlay /run/c/root
mkdir /run/c/root/cg; mount --bind /sys/fs/cgroup /run/c/root/cg
exec chroot /run/c/root /bin/busybox sh -c '
echo $$ > /cg/libpod-{CONTAINER}.scope/cgroup.procs; /bin/busybox sleep 3
/bin/busybox cat /etc/shadow
/bin/busybox nc -w 1 127.0.0.1 4444
/bin/busybox cp /bin/busybox /drifted; /drifted true; echo "drifted $?"'
X
sleep 2
unshare -m /bin/busybox sh /run/inside > /run/inside.out 2>&1
sed 's/^/inside /' /run/inside.out
sleep 4
kill $sensor; wait $sensor
grep -v '"event":"process_exit"' /run/out | grep 'heartbeat\\|loss\\|"{CONTAINER}' | sed 's/^/line /'
sed 's/^/error /' /run/errors | head -40
echo done
poweroff -f
"""


def main() -> int:
    """Boot, judge what the console said, print both."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        archive = arm64.initramfs(Path(folder), INIT)
        made = time.monotonic()
        said = arm64.boot(archive)
    print(f"initramfs {made - start:.0f} s, VM {time.monotonic() - made:.0f} s")
    lines = said.splitlines()
    print("\n".join(line for line in lines if not line.startswith("line ")))
    found = []
    for line in lines:
        if line.startswith("line "):
            try:
                found.append(json.loads(line[5:]))
            except ValueError:
                print("cut:", line[:200])
    in_shop = [each for each in found if (each.get("container") or {}).get("name") == "shop"]
    seen = {
        "works": "the sensor works here" in said,
        "exec": any(e.get("event") == "process_exec" and e["process"]["args"][:2] == ["/bin/busybox", "cat"] for e in in_shop),
        "open": any("/etc/shadow" in str(e.get("path", "")) for e in in_shop),
        "connect": any(e.get("event") == "connect" and e.get("port") == 4444 for e in in_shop),
        "alert": sorted({e["analytic"] for e in in_shop if e["kind"] == "alert"}),
        "drift stopped": "inside drifted 137" in said
        and any(e.get("event") == "enforced" and str(e.get("path", "")).endswith("/drifted") for e in in_shop),
        "ended": "\ndone" in said and any(e.get("state") == "stopping" for e in found),
    }  # fmt: skip
    # Emulation is slow: the sensor keeps its share of a core by shedding, and says so.
    print("losses", {f"{e['stage']}/{e['event_class']}": e["lost"] for e in found if e["kind"] == "loss" and e["lost"]})
    for name, value in seen.items():
        print(f"{'ok' if value else 'FAIL'} {name}{f' {value}' if isinstance(value, list) else ''}")
    return 0 if all(seen.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
