"""`infra/inventory.json` says what the Azure implementations deploy: it fits the functions and settings that there are, and both read it."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from seawall.adapters.azure.tables import document
from seawall.adapters.job_queues import NAMES

from tests.support import settings_of

ROOT = Path(__file__).parents[2]
INVENTORY: dict[str, Any] = json.loads((ROOT / "infra/inventory.json").read_text())
APPS = {app["name"]: app for app in INVENTORY["apps"]}
TRIGGERS = {"queue_trigger", "timer_trigger", "event_hub_message_trigger", "event_grid_trigger", "route"}
IMPLEMENTATIONS = {
    "bicep": sorted((ROOT / "infra/bicep").rglob("*.bicep")),
    "terraform": sorted((ROOT / "infra/terraform/azure").rglob("*.tf")),
}


def functions_of(name: str) -> tuple[list[str], set[str], set[str]]:
    """Functions of one trust boundary's file, the queues they take from, and the variables in their bindings."""
    names, queues, variables = [], set(), set()
    for node in ast.parse((ROOT / f"functions/azure/apps/{name}.py").read_text()).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        calls = [item for item in node.decorator_list if isinstance(item, ast.Call)]
        if not any(isinstance(item.func, ast.Attribute) and item.func.attr in TRIGGERS for item in calls):
            continue
        names.append(node.name)
        for text in (leaf.value for call in calls for leaf in ast.walk(call) if isinstance(leaf, ast.Constant)):
            if isinstance(text, str):
                variables |= set(re.findall(r"%(\w+)%", text))
                queues |= set(re.findall(r"%SEAWALL_JOB_QUEUE__PREFIX%(\w+)", text))
    return names, queues, variables


@pytest.mark.parametrize("name", sorted(set(APPS) - {"api"}))
def test_app_has_the_functions_settings_and_queues_of_its_file(name: str) -> None:
    functions, queues, variables = functions_of(name)
    app = APPS[name]
    assert app["functions"] == functions
    assert variables <= {*app["settings"], *INVENTORY["commonSettings"]}
    taken = {g["on"] for g in INVENTORY["grants"] if g["app"] == name and g["role"].endswith("Message Processor")}
    assert taken == queues


def test_every_trust_boundary_is_an_app() -> None:
    source = (ROOT / "functions/azure/function_app.py").read_text()
    assert set(re.findall(r'^    "(\w+)": \w+\.blueprint', source, re.MULTILINE)) | {"api"} == set(APPS)


def test_queues_are_those_that_the_code_writes_with_their_poison_queues() -> None:
    assert set(INVENTORY["queues"]) == {name + end for name in NAMES.values() for end in ("", "-poison")}


def test_settings_are_settings() -> None:
    names = {*INVENTORY["commonSettings"], *(name for app in APPS.values() for name in app["settings"])}
    for name in (item for item in names if item.startswith("SEAWALL_") and item != "SEAWALL_FUNCTIONS"):
        settings_of.check(name)


def test_grants_name_known_apps_roles_and_things_and_the_call_they_are_for() -> None:
    things = {
        "host": {"host"},
        "container": set(INVENTORY["containers"]),
        "insights": {"insights"},
        "queue": set(INVENTORY["queues"]),
        "hub": {hub["name"] for hub in INVENTORY["hubs"]},
        "key": {key["name"] for key in INVENTORY["keys"]},
        "secret": set(INVENTORY["secrets"]),
        "rule": {"rule"},
        "registry": {"registries"},
    }
    seen = set()
    for grant in INVENTORY["grants"]:
        assert grant["app"] in APPS
        assert grant["role"] in INVENTORY["roles"]
        assert grant["on"] in things[grant["kind"]]
        assert len(grant["call"]) > 10
        seen.add((grant["app"], grant["role"], grant["kind"], grant["on"]))
    assert len(seen) == len(INVENTORY["grants"])


def test_nobody_owns_or_contributes_to_more_than_data() -> None:
    assert not {"Owner", "Contributor", "User Access Administrator"} & set(INVENTORY["roles"])
    shared = [grant for grant in INVENTORY["grants"] if grant["role"] == "Storage Blob Data Owner"]
    assert all(grant["kind"] == "host" for grant in shared)


@pytest.mark.parametrize("name", [name for name, files in IMPLEMENTATIONS.items() if files])
def test_implementation_takes_everything_from_the_inventory(name: str) -> None:
    source = "\n".join(path.read_text() for path in IMPLEMENTATIONS[name])
    for section in INVENTORY:
        assert re.search(rf"inventory\.{section}\b", source), f"{name} does not read {section} of the inventory"
    for kind in {grant["kind"] for grant in INVENTORY["grants"]}:
        assert re.search(rf"kind == ['\"]{kind}['\"]", source), f"{name} makes no grants on a {kind}"
    names = {*INVENTORY["commonSettings"], *(item for app in APPS.values() for item in app["settings"])}
    for setting in names:
        assert re.search(rf"^\s*{setting}\s*[:=]", source, re.MULTILINE), f"{name} has no value for {setting}"
    known = set(INVENTORY["roles"].values())
    for identifier in re.findall(r"roleDefinitions?/([0-9a-f-]{36})", source):
        assert identifier in known


def test_tables_file_is_the_one_that_the_code_describes() -> None:
    assert (ROOT / "infra/sentinel/tables.json").read_text() == document()
