"""Kubeconfigs as people have them, and wrong ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from seawall.adapters.kubernetes.access import from_kubeconfig, in_cluster
from seawall.domain.errors import ConfigError, Denied, SeawallError


def write(folder: Path, user: dict[str, Any], name: str = "config", **cluster: Any) -> Path:
    path = folder / name
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "c",
                "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:6443", **cluster}}],
                "users": [{"name": "u", "user": user}],
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}, {"name": "other", "context": {}}],
            }
        )
    )
    return path


def test_tokens(tmp_path: Path) -> None:
    access = from_kubeconfig(write(tmp_path, {"token": "abc"}))
    assert (access.server, access.name) == ("https://127.0.0.1:6443", "c")
    assert access.bearer is not None
    assert access.bearer() == "abc"
    (tmp_path / "t").write_text("from-file\n")
    access = from_kubeconfig(write(tmp_path, {"tokenFile": "t"}))
    assert access.bearer is not None
    assert access.bearer() == "from-file"


def plugin(folder: Path, script: str) -> dict[str, Any]:
    file = folder / "plugin.py"
    file.write_text(script)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(file)],
            "env": [{"name": "WHO", "value": "me"}],
            "provideClusterInfo": True,
            "installHint": "install it",
        }
    }


def test_sign_in_plug_ins(tmp_path: Path) -> None:
    script = (
        "import json, os\n"
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "token = os.environ['WHO'] + info['spec']['cluster']['server']\n"
        "print(json.dumps({'status': {'token': token, 'expirationTimestamp': '2099-01-01T00:00:00Z'}}))\n"
    )
    access = from_kubeconfig(write(tmp_path, plugin(tmp_path, script)))
    assert access.bearer is not None
    assert access.bearer() == "mehttps://127.0.0.1:6443"


@pytest.mark.parametrize(
    "script", ["import sys; sys.exit('no login')", "print('x')", f"print({json.dumps(json.dumps({'status': {}}))})"]
)
def test_plug_ins_that_fail(tmp_path: Path, script: str) -> None:
    with pytest.raises(Denied, match="plug-in"):
        from_kubeconfig(write(tmp_path, plugin(tmp_path, script)))


def test_several_files_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = write(tmp_path, {"token": "first"}, "a"), write(tmp_path, {"token": "second"}, "b")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'absent'}:{first}:{second}")
    access = from_kubeconfig()
    assert access.bearer is not None
    assert access.bearer() == "first"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context": "nope"}, "no context 'nope'"),
        ({"context": "other"}, "no cluster ''"),
        ({"text": "{"}, "cannot be read"),
        ({"text": "[]"}, "not a kubeconfig"),
        ({"text": "{}"}, "no current context"),
        ({"cluster": {"server": "ftp://x"}}, "no server URL"),
        ({"cluster": {"certificate-authority-data": "!!"}}, "certificate authority"),
        ({"cluster": {"certificate-authority": "absent.crt"}}, "certificate authority"),
        ({"user": {"exec": {"command": "/no/such/program"}}}, "not installed"),
        ({"user": {"exec": {}}}, "no command"),
        ({"user": {"client-certificate-data": "QQ==", "client-key-data": "QQ=="}}, "client certificate"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write(tmp_path, change.get("user", {"token": "t"}), **change.get("cluster", {}))
    if "text" in change:
        path.write_text(change["text"])
    with pytest.raises(ConfigError, match=message):
        from_kubeconfig(path, change.get("context", ""))


def test_outside_of_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SeawallError, match="not in a cluster"):
        in_cluster()
