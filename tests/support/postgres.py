"""A real PostgreSQL server in a temporary folder on a free port."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.support.ports import free_port, wait_until


def _tool(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name) or name


def _answers(port: int) -> bool:
    """A server that is starting up listens, and refuses."""
    try:
        psycopg.connect(host="127.0.0.1", port=port, user="seawall", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Start a server; yield the URL of a database in it, `postgresql+psycopg://…`."""
    port, data = free_port(), folder / "data"
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None  # the server refuses to run as root
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
    as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    subprocess.run(
        [_tool("initdb"), "-D", str(data), "-U", "seawall", "--auth=trust", "--no-sync", "-E", "UTF8"],
        check=True, capture_output=True, env=env, cwd="/", **as_user,
    )  # fmt: skip
    server = subprocess.Popen(
        [_tool("postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, cwd="/", **as_user,
    )  # fmt: skip
    try:
        wait_until(lambda: _answers(port), what="postgres")
        yield f"postgresql+psycopg://seawall@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(30)
