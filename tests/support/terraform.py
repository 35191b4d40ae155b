"""The real Terraform on a copy of `infra`: AWS with its provider out of a folder, the others with schema-only providers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.terraform_provider import provider

INFRA = Path(__file__).parents[2] / "infra"
PROVIDERS = {"azure": "azurerm", "gcp": "google"}


@dataclass(frozen=True)
class Module:
    """An initialised copy of one module, with the environment that Terraform needs for it."""

    folder: Path
    environment: dict[str, str]

    def run(self, *arguments: str, may_fail: bool = False) -> str:
        """Return standard output; a failure is an AssertionError with both outputs' ends, unless it may fail."""
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            env={**os.environ, **self.environment},
        )
        assert may_fail or done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    def tested(self, run: str, *, may_fail: bool = False) -> list[dict[str, Any]]:
        """Return the resources of the state that the test run of this name ended with; every test has passed or may fail."""
        output = self.run("test", "-json", "-verbose", may_fail=may_fail)
        lines = [json.loads(line) for line in output.splitlines()]
        states = [
            line["test_state"] for line in lines if line.get("type") == "test_state" and line.get("@testrun") == run
        ]
        resources: list[dict[str, Any]] = states[0]["root_module"]["resources"]
        return resources


def mirror() -> Path | None:
    """Folder that holds the AWS provider, laid out as a filesystem mirror: SEAWALL_TERRAFORM_MIRROR or /opt/tf-plugins."""
    for root in (os.environ.get("SEAWALL_TERRAFORM_MIRROR", ""), "/opt/tf-plugins"):
        if root and list(Path(root).glob("*/hashicorp/aws/*")):
            return Path(root)
    return None


def _configuration(folder: Path) -> dict[str, str]:
    """A CLI configuration of our own: whatever the machine's says, nothing is looked for online."""
    providers = mirror()
    text = (
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{providers}"\n  }}\n}}\n' if providers else ""
    )
    path = folder / "terraform.rc"
    path.write_text(text)
    return {"TF_CLI_CONFIG_FILE": str(path), "CHECKPOINT_DISABLE": "1"}


@contextmanager
def module(cloud: str, folder: Path, schemas: Path | None = None, source: Path = INFRA) -> Iterator[Module]:
    """Copy `source` into `folder` and initialise the module of a cloud; azure and gcp need the folder of schemas."""
    shutil.copytree(source, folder / "infra")
    target = folder / "infra/terraform" / cloud
    environment = _configuration(folder)
    if cloud not in PROVIDERS:
        made = Module(target, environment)
        made.run("init", "-input=false", "-no-color")
        yield made
        return
    assert schemas is not None
    with provider(PROVIDERS[cloud], target, schemas) as attached:
        made = Module(target, {**environment, **attached})
        made.run("init", "-input=false", "-no-color")
        yield made
