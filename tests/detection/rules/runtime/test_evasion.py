"""History, logs, security tooling, timestamps, firewall."""

from __future__ import annotations

import pytest
from seawall.domain.runtime_events import FileLink, FileOpen, FileRename, FileTimes, FileUnlink, Signal

from tests.detection.runtime_events import BUILD, HOST, NOW_NS, Case, Cases, event, moved, raised, ran, rows, wrote


def removed(path: str, command: str = "rm x", **more: object) -> FileUnlink:
    return event(FileUnlink, command, path=path, **more)


def emptied(path: str, command: str = "sh x.sh", **more: object) -> FileOpen:
    return event(FileOpen, command, path=path, writes=True, truncates=True, **more)


def linked(path: str, target: str, command: str = "ln -s a b", **more: object) -> FileLink:
    return event(FileLink, command, **({"path": path, "target": target, "symbolic": True} | more))


def dated(path: str, command: str = "x", *, days: float = 400, **more: object) -> FileTimes:
    return event(FileTimes, command, path=path, modified_s=int(NOW_NS / 1e9 - days * 86_400), **more)


CASES: Cases = {
    "RT-0801": (
        [
            removed("/root/.bash_history"), emptied("/home/a/.zsh_history"), linked("/dev/null", "/root/.bash_history"),
            removed("/root/.ash_history", "sh -c 'rm /root/.ash_history'"), moved("/root/.bash_history", "ln -sf /dev/null x"),
            emptied("/root/.bash_history", "sh"),
        ],
        [
            removed("/root/.bash_history", "bash"), removed("/root/history.txt"),
            emptied("/root/.bash_history", "bash -il", tty="pts0"),
            removed("/x/root/.bash_history", "podman rm x", where=HOST), removed("/root/.bash_history", where=BUILD),
        ],
    ),
    "RT-0802": (
        [ran("bash -c 'history -c'"), ran("rm -f /root/.bash_history"), ran("sh -c 'cat /dev/null > ~/.bash_history'")],
        [ran("bash -c 'history 10'"), ran("rm -f /root/history"), ran("bash -c 'history -c'", where=BUILD)],
    ),
    "RT-0803": (
        [ran("bash -c 'unset HISTFILE; id'"), ran("bash -c 'export HISTSIZE=0'"), ran("bash -c 'set +o history'")],
        [ran("bash -c 'export HISTSIZE=10000'"), ran("bash -c 'set -o pipefail'")],
    ),
    "RT-0804": (
        [ran("systemctl stop apt-daily-upgrade.timer"), ran("bash -c 'systemctl disable unattended-upgrades'")],
        [ran("systemctl status apt-daily.timer"), ran("systemctl stop nginx"), ran("systemctl stop apt-daily.timer", by=["cloud-init"])],
    ),
    "RT-0805": (
        [
            removed("/var/log/auth.log"), emptied("/var/log/wtmp"), removed("/var/log/journal/a/system.journal"),
            event(FileRename, "mv a b", path="/var/log/auth.log", target="/tmp/a"),
        ],
        [
            removed("/var/log/auth.log.1"), removed("/var/log/auth.log", "logrotate /etc/logrotate.conf"),
            event(FileRename, "ln -sf a b", path="/var/log/nginx/CuTgkX", target="/var/log/nginx/access.log"),
            removed("/var/log/myapp.log"), wrote("/var/log/auth.log"),
        ],
    ),
    "RT-0806": (
        [ran("rm -rf /var/log/audit"), ran("sh -c '> /var/log/auth.log'"), ran("journalctl --vacuum-time=1s")],
        [ran("rm -rf /var/log/myapp"), ran("tail /var/log/auth.log"), ran("rm /var/log/syslog.2.gz")],
    ),
    "RT-0807": (
        [ran("pkill -9 falco"), ran("bash -c 'killall auditd'")],
        [ran("pkill nginx"), ran("pgrep falco"), ran("kill 123")],
    ),
    "RT-0808": (
        [event(Signal, "sh", signal=9, target_pid=9, target_exe="/usr/bin/falco", where=HOST)],
        [
            event(Signal, "sh", signal=9, target_pid=9, target_exe="/usr/bin/nginx", where=HOST),
            event(Signal, "sh", signal=1, target_pid=9, target_exe="/usr/bin/falco", where=HOST),
        ],
    ),
    "RT-0809": (
        [ran("systemctl stop auditd"), ran("setenforce 0"), ran("bash -c 'apt-get remove -y falco'"), ran("aa-teardown")],
        [ran("systemctl stop nginx"), ran("getenforce"), ran("systemctl status auditd")],
    ),
    "RT-0810": (
        [wrote("/etc/pam.d/common-auth"), wrote("/etc/sudoers.d/x"), wrote("/host/etc/ssh/sshd_config"), moved("/etc/audit/rules.d/a.rules")],
        [
            wrote("/etc/app.conf"), wrote("/etc/sudoers.d/x", by=["dpkg -i x"]), wrote("/etc/passwd", "useradd x"),
            wrote("/etc/resolv.conf"),
        ],
    ),
    "RT-0811": (
        [ran("touch -r /bin/ls /tmp/.x"), ran("touch -d 2001-01-01 /etc/evil"), ran("bash -c 'touch -t 200101010000 /usr/bin/x'")],
        [ran("touch /tmp/x"), ran("touch -r /app/a /app/b"), ran("touch -r /bin/ls /tmp/.x", where=BUILD)],
    ),
    "RT-0817": (
        [
            dated("/opt/x", "/tmp/x", drift=True), dated("/tmp/.x", """python3 -c 'import os; os.utime("/tmp/.x", (1, 1))'"""),
            dated("/usr/bin/ls", "/app/server"), dated("/etc/passwd", "/app/server", days=-40),
        ],
        [
            dated("/opt/x", "/tmp/x", drift=True, days=0.01), dated("/usr/bin/ls", "tar xf a.tar"), dated("/tmp/a/b", "/app/server"),
            dated("/usr/lib/python3/x.py", "python3 /usr/bin/pip install x"), dated("/usr/bin/ls", where=HOST),
            dated("/usr/bin/ls", where=BUILD), dated("/usr/bin/ls", "app", by=["dpkg -i x"]), dated("/tmp/.x", "touch -d x /tmp/.x"),
        ],
    ),
    "RT-0812": (
        [ran("chattr +i /etc/cron.d"), ran("sh -c 'chattr -ia /etc/passwd'")],
        [ran("lsattr /etc"), ran("chattr +C /var/lib/db"), ran("chattr +i /x", where=BUILD)],
    ),
    "RT-0813": (
        [ran("iptables -F"), ran("ufw disable"), ran("nft flush ruleset"), ran("bash -c 'iptables -P INPUT ACCEPT'", by=["sh", "conmon -c x"])],
        [ran("iptables -L"), ran("iptables -A INPUT -j DROP"), ran("iptables -F", by=["kube-proxy"])],
    ),
    "RT-0814": (
        [removed("/var/log/pods/a/b/0.log"), emptied("/var/log/containers/x.log", where=HOST)],
        [removed("/var/log/pods/a/b/0.log", "kubelet", where=HOST), wrote("/var/log/pods/a/b/0.log"), removed("/var/log/x/0.log")],
    ),
    "RT-0818": (
        [ran("'[kworker/u4:2]'", exe="/bin/sleep"), ran("kswapd0", exe="/tmp/x"), ran("kworker/0:1", exe="memfd:x", where=HOST)],
        [ran("'[' -f x ']'", exe="/usr/bin/["), ran("-bash"), ran("irqbalance"), ran("migration", exe="/app/migration"), ran("watchdog")],
    ),
    "RT-0815": (
        [ran("docker build -t x .", where=HOST), ran("buildah bud .")],
        [ran("docker ps", where=HOST), ran("buildah images")],
    ),
    "RT-0816": (
        [linked("/etc/shadow", "/tmp/s"), linked("/", "/var/log/x"), linked("/root/.ssh", "/tmp/k"),
         linked("/etc/shadow", "/srv/notes", symbolic=False)],
        [
            linked("/etc/shadow", "/srv/notes"), linked("/srv/a", "/srv/b", symbolic=False),
            linked("/root/.pyenv/versions/3.11/bin/python3", "/tmp/venv/bin/python3", where=HOST),
            linked("/usr/bin/x", "/tmp/x"), linked("/etc/shadow", "/tmp/s", by=["dpkg -i x"]),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "case", "fires"), rows(CASES))
def test_evasion(rule: str, case: Case, fires: bool) -> None:
    assert raised(rule, case) is fires
