"""An image that a response denies, at the admission gate of the same deployment."""

from __future__ import annotations

import json
from pathlib import Path

from seawall.admission.review import Answer, Review
from seawall.bootstrap import bootstrap
from seawall.cli.main import build
from seawall.settings import Settings
from typer.testing import CliRunner

IMAGE = f"r.example/team/web@sha256:{'a' * 64}"


def answer(folder: Path) -> Answer:
    """The decision of a gate that starts now; its policy asks for nothing."""
    policy = json.dumps({"rules": [{"name": "any", "signed": False}]})
    admission = {"policy": policy, "token": "a token of API servers"}
    application = bootstrap(Settings(data_dir=folder, admission=admission))  # type: ignore[arg-type]
    try:
        gate = application.admission
        return gate.decide_in_time(Review("u-1", "shop", "alice", "Pod x", (IMAGE,)))
    finally:
        application.close()


def test_the_gate_refuses_from_the_response_to_its_undoing(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(build(), ["respond", *words], env={"SEAWALL_DATA_DIR": str(tmp_path)})
        assert done.exit_code == 0, done.exception
        return done.stdout

    assert answer(tmp_path).allowed
    run("--action", "deny-image", "--image", IMAGE)
    assert answer(tmp_path).allowed
    said = run("--action", "deny-image", "--image", IMAGE, "--apply", "--format", "json")
    assert answer(tmp_path).reasons == (f"{IMAGE} is denied in response to an incident",)
    run("--undo", json.loads(said)["responses"][0]["id"], "--apply")
    assert answer(tmp_path).allowed
