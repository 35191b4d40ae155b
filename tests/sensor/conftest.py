"""A sensor that really runs, and containers that really run beside it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.receivers import Receiver
from tests.support.sensors import Authority

ROOT = Path(__file__).parents[2]
IMAGE = "seawall-test-busybox"
PODMAN = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
# crun refuses hosts where the v2 hierarchy lies beside v1 ones: it is hidden in a mount namespace of its own.
HIDE_V2 = 'if [ -d /sys/fs/cgroup/unified ]; then umount /sys/fs/cgroup/unified; fi; exec "$@"'

ATTACH = """
#include <stdlib.h>
#include <sys/ptrace.h>
int main(int n, char **args) { return ptrace(PTRACE_ATTACH, atoi(args[1]), 0, 0) != 0; }
"""


CALLS = """
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* One request through a ring of its own, waited for. */
static int request(struct io_uring_sqe ask)
{
    struct io_uring_params p = { 0 };
    int ring = syscall(SYS_io_uring_setup, 1, &p);
    size_t size = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    char *queue = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *asks = mmap(0, sizeof(ask), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    if (ring < 0 || queue == MAP_FAILED || asks == MAP_FAILED)
        return 1;
    asks[0] = ask;
    *(unsigned *)(queue + p.sq_off.array) = 0;
    ++*(unsigned *)(queue + p.sq_off.tail);
    return syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) != 1;
}

int main(int n, char **args)
{
    if (!strcmp(args[1], "uring")) {
        struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = { htonl(INADDR_LOOPBACK) } };
        unsigned long path = (unsigned long)args[2];
        return request((struct io_uring_sqe){ .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = path })
             | request((struct io_uring_sqe){ .opcode = IORING_OP_UNLINKAT, .fd = AT_FDCWD, .addr = path })
             | request((struct io_uring_sqe){ .opcode = IORING_OP_CONNECT, .fd = socket(AF_INET, SOCK_STREAM, 0),
                                              .addr = (unsigned long)&peer, .off = sizeof(peer) });
    }
    if (!strcmp(args[1], "setcap")) {
        /* struct vfs_cap_data, revision 2: setuid and net_raw, permitted and effective. */
        unsigned value[5] = { 0x02000001, 1 << 7 | 1 << 13, 0, 0, 0 };
        return setxattr(args[2], "security.capability", value, sizeof(value), 0);
    }
    if (!strcmp(args[1], "filter")) {
        struct bpf_insn exit0[] = { { .code = 0xb7 }, { .code = 0x95 } };
        union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2, .insns = (unsigned long)exit0,
                                .license = (unsigned long)"GPL" };
        strcpy(attr.prog_name, "sniff");
        return syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)) < 0;
    }
    if (!strcmp(args[1], "fsmount")) {
        int fs = syscall(SYS_fsopen, args[2], 0);
        syscall(SYS_fsconfig, fs, 6 /* FSCONFIG_CMD_CREATE */, 0, 0, 0);
        return syscall(SYS_fsmount, fs, 0, 0) < 0;
    }
    if (!strcmp(args[1], "faults"))
        return syscall(SYS_userfaultfd, 0) < 0;
    if (!strcmp(args[1], "kexec"))
        return syscall(SYS_kexec_load, 0, 0, 0, 0) < 0;
    if (!strcmp(args[1], "take"))
        return syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, atoi(args[2]), 0), 1, 0) < 0;
    if (!strcmp(args[1], "handle")) {
        struct { struct file_handle head; char rest[128]; } handle = { .head.handle_bytes = 128 };
        int id;
        if (name_to_handle_at(AT_FDCWD, args[2], &handle.head, &id, 0))
            return 1;
        return open_by_handle_at(open(args[2], O_RDONLY), &handle.head, O_RDONLY) < 0;
    }
    if (!strcmp(args[1], "shell")) {
        /* A shell with a connection as the descriptors that are named: "012" all, "0" its input alone. */
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(args[3])) };
        char *shell[] = { "sh", 0 };
        int at = socket(AF_INET, SOCK_STREAM, 0);
        inet_pton(AF_INET, args[2], &to.sin_addr);
        if (connect(at, (void *)&to, sizeof(to)))
            return 1;
        for (char *each = args[4]; *each; each++)
            dup2(at, *each - '0');
        return execv("/bin/sh", shell);
    }
    return 2;
}
"""


def compiled(code: str, program: Path) -> Path:
    """Make a static program of C source; return its path."""
    command = ["clang", "-O1", "-static", "-x", "c", "-o", str(program), "-"]
    subprocess.run(command, input=code.encode(), check=True)
    return program


@pytest.fixture(scope="session")
def programs() -> None:
    """The eBPF programs, compiled; by one of the processes that run tests at a time."""
    lock = ROOT / ".pytest_cache" / "programs.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        subprocess.run(["make", "-s", "sensor"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


class Running:
    """A sensor process; `lines` are its results so far."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "seawall_sensor.cli", "run", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.lines: list[dict[str, Any]] = []
        self.wrong: list[bytes] = []
        """Lines that are no JSON."""
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                self._queue.put(json.loads(line))
            except ValueError:
                self.wrong.append(line)
        self._queue.put(None)

    def wait_for(self, what: Callable[[dict[str, Any]], bool], timeout_s: float = 60) -> dict[str, Any]:
        """Return the first line that `what` holds for, old ones included."""
        for line in self.lines:
            if what(line):
                return line
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                line = self._queue.get(timeout=left)
                if line is None:
                    raise AssertionError(f"the sensor ended: {self.process.stderr.read().decode()}")  # type: ignore[union-attr]
                self.lines.append(line)
                if what(line):
                    return line
        raise AssertionError("the sensor did not say so in time")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
            while (line := self._queue.get(timeout=60)) is not None:
                self.lines.append(line)
        finally:
            self.process.kill()
            self._reader.join(60)
            for stream in (self.process.stdout, self.process.stderr):
                assert stream is not None
                stream.close()
        assert not self.wrong, self.wrong


@pytest.fixture(scope="module")
def sensor(programs: None) -> Iterator[Running]:
    """A sensor with all hooks, ready."""
    running = Running("--all-hooks")
    running.wait_for(lambda line: line["kind"] == "heartbeat" and line["state"] == "ready")
    yield running
    if running.process.poll() is None:
        running.stop()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A server with a store of its own, which enrols sensors and takes their batches."""
    folder = tmp_path / "server"
    folder.mkdir()
    found = Receiver(folder, Authority(datetime.now(UTC) - timedelta(days=1)), lambda: datetime.now(UTC))
    yield found
    found.close()


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small image made here: busybox and an /etc."""
    folder = tmp_path_factory.mktemp("image")
    root = folder / "root"
    for each in ("bin", "etc", "tmp", "proc", "sys", "dev", "run"):
        (root / each).mkdir(parents=True)
    (root / "bin/busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (root / "bin/busybox").chmod(0o755)
    for applet in subprocess.run(["/bin/busybox", "--list"], check=True, capture_output=True, text=True).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (root / "etc/shadow").write_text("root:*:1:0:99999:7:::\n")
    for each in ("var/log", "etc/cron.d", "run/secrets/kubernetes.io/serviceaccount"):
        (root / each).mkdir(parents=True)
    (root / "var/log/auth.log").write_text("x\n")
    (root / "run/secrets/kubernetes.io/serviceaccount/token").write_text("not a token\n")
    for name, code in (("attach", ATTACH), ("calls", CALLS)):
        compiled(code, root / "bin" / name)
    (root / "bin/kubelet").write_bytes((root / "bin/attach").read_bytes())
    (root / "bin/kubelet").chmod(0o755)
    with tarfile.open(folder / "root.tar", "w") as tar:
        tar.add(root, ".")
    subprocess.run(["podman", "import", "-q", str(folder / "root.tar"), IMAGE], check=True, capture_output=True)
    return IMAGE


@pytest.fixture
def in_container(image: str) -> Callable[..., str]:
    """Run a shell line in a container without a network; return the container's name."""

    def run(line: str, *options: str) -> str:
        name = f"seawall-test-{os.getpid()}-{time.monotonic_ns()}"
        command = [
            "podman",
            "run",
            "--rm",
            *PODMAN,
            "--network",
            "none",
            "--name",
            name,
            *options,
            image,
            "sh",
            "-c",
            line,
        ]
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", HIDE_V2, "sh", *command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "OCI runtime error" not in done.stderr, done.stderr
        return name

    return run
