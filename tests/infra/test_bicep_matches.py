"""Bicep against the inventory: every list of it becomes resources, and every grant names its thing, its role, its identity.

No compiler of Bicep is to be had here, so the templates are read: each role assignment is a loop over the grants of one
kind, and every part of it is looked at. `test_bicep.py` holds the same files against Azure's types.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BICEP = ROOT / "infra/bicep"
INVENTORY: dict[str, Any] = json.loads((ROOT / "infra/inventory.json").read_text())
# Kind of thing: the type that the scope of a grant must be.
TYPES = {
    "host": "Microsoft.Storage/storageAccounts",
    "queue": "Microsoft.Storage/storageAccounts/queueServices/queues",
    "container": "Microsoft.Storage/storageAccounts/blobServices/containers",
    "hub": "Microsoft.EventHub/namespaces/eventhubs",
    "key": "Microsoft.KeyVault/vaults/keys",
    "secret": "Microsoft.KeyVault/vaults/secrets",
    "rule": "Microsoft.Insights/dataCollectionRules",
    "insights": "Microsoft.Insights/components",
    "registry": "Microsoft.ContainerRegistry/registries",
}
# List of the inventory: type that is made once for each item.
LOOPS = {
    "queues": "Microsoft.Storage/storageAccounts/queueServices/queues",
    "containers": "Microsoft.Storage/storageAccounts/blobServices/containers",
    "hubs": "Microsoft.EventHub/namespaces/eventhubs",
    "keys": "Microsoft.KeyVault/vaults/keys",
    "secrets": "Microsoft.KeyVault/vaults/secrets",
    "apps": "Microsoft.ManagedIdentity/userAssignedIdentities",
}
# Which element of which collection a grant's `on` must pick, where there are several.
PICKS = {
    "queue": "queue[indexOf(inventory.queues, grant.on)]",
    "container": "container[indexOf(inventory.containers, grant.on)]",
    "hub": "hub[indexOf(hubNames, grant.on)]",
    "key": "key[indexOf(keyNames, grant.on)]",
    "secret": "secret[indexOf(inventory.secrets, grant.on)]",
}
# Grants beside the inventory's: file and what the description says.
BESIDE = {
    ("capture_grant", "Event Hubs Capture"),
    ("discovery", "discovery"),
    ("events", "send: batches of a sensor"),
    ("events", "send: documents of a deployment"),
    ("policy", "Policy remediation"),
}


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """Symbol, type without version, and body of each resource."""
    for match in re.finditer(
        r"^ *resource (\w+) '([\w./]+)@[\w-]+'[^\n]*\n(.*?)^ *}\]?$", text, re.MULTILINE | re.DOTALL
    ):
        yield match[1], match[2], match[0]


def problems(templates: dict[str, str]) -> list[str]:
    """Return what is not as the inventory has it; `templates` by file name."""
    found: list[str] = []
    every = "\n".join(templates.values())
    kinds = set()
    for file, text in templates.items():
        types = {symbol: kind for symbol, kind, _ in blocks(text)}
        for symbol, kind, body in blocks(text):
            if kind != "Microsoft.Authorization/roleAssignments":
                continue
            if any(file == name and part in body for name, part in BESIDE):
                continue
            loop = re.search(r"= \[for grant in (\w+):", body)
            chosen = loop and re.search(
                rf"var {loop[1]} = filter\(inventory\.grants, grant => grant\.kind == '(\w+)'", text
            )
            if not chosen:
                found.append(f"{file}: {symbol} is no loop over the grants of a kind")
                continue
            grant = chosen[1]
            kinds.add(grant)
            scope = re.search(r"scope: (\w+)(\S*)", body)
            if scope is None or types.get(scope[1]) != TYPES[grant]:
                found.append(f"{file}: {symbol} of kind {grant} is not on a {TYPES[grant]}")
            if grant in PICKS and f"scope: {PICKS[grant]}" not in body:
                found.append(f"{file}: {symbol} does not pick {PICKS[grant]}")
            if "roleDefinitions', inventory.roles[grant.role])" not in body:
                found.append(f"{file}: {symbol} does not take the role of the grant")
            if not re.search(
                r"principalId: (identities\[grant\.app\]\.principalId|identity\.principalId|principalId)$",
                body,
                re.MULTILINE,
            ):
                found.append(f"{file}: {symbol} is not for the app of the grant")
            if "description: grant.call" not in body:
                found.append(f"{file}: {symbol} does not say what it is for")
    found += [f"no grants of kind {kind}" for kind in {g["kind"] for g in INVENTORY["grants"]} - kinds]
    for name, kind in LOOPS.items():
        if not re.search(rf"'{re.escape(kind)}@[\w-]+' = \[for (?:\(?\w+(?:, \w+\))?) in inventory\.{name}: {{", every):
            found.append(f"{name} of the inventory are not made as {kind}")
    if "name: '${inventory.queuePrefix}${item}'" not in every:
        found.append("queues lack their prefix")
    if "toObject(concat(inventory.commonSettings, item.settings)" not in every:
        found.append("settings are not those of the inventory")
    for setting in {*INVENTORY["commonSettings"], *(s for app in INVENTORY["apps"] for s in app["settings"])}:
        if not re.search(rf"^\s*{setting}: ", every, re.MULTILINE):
            found.append(f"no value for {setting}")
    return found


def templates() -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(BICEP.rglob("*.bicep"))}


def test_bicep_is_what_the_inventory_says() -> None:
    assert problems(templates()) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        pytest.param(
            "events", "scope: hub[indexOf(hubNames, grant.on)]", "scope: namespace", "is not on a", id="wider scope"
        ),
        pytest.param(
            "data",
            "scope: queue[indexOf(inventory.queues, grant.on)]",
            "scope: account",
            "is not on a",
            id="whole account",
        ),
        pytest.param(
            "vault",
            "inventory.roles[grant.role]",
            "inventory.roles['Key Vault Crypto User']",
            "take the role",
            id="role",
        ),
        pytest.param("data", "identities[grant.app]", "identities.api", "for the app", id="identity"),
        pytest.param(
            "vault", "indexOf(keyNames, grant.on)", "indexOf(keyNames, 'findings')", "does not pick", id="key"
        ),
        pytest.param(
            "data", "[for item in inventory.queues:", "[for item in ['images']:", "queues of the inventory", id="queues"
        ),
        pytest.param("data", "'${inventory.queuePrefix}${item}'", "item", "prefix", id="prefix"),
        pytest.param("main", "SEAWALL_SIGNING_KEY:", "SEAWALL_SIGN_KEY:", "SEAWALL_SIGNING_KEY", id="setting"),
        pytest.param(
            "monitoring", "grant.kind == 'rule'", "grant.kind == 'insights'", "no grants of kind rule", id="kind"
        ),
        pytest.param("registry", "description: grant.call", "description: 'x'", "what it is for", id="purpose"),
    ],
)
def test_a_mistake_is_found(file: str, old: str, new: str, problem: str) -> None:
    changed = templates()
    assert old in changed[file]
    changed[file] = changed[file].replace(old, new)
    assert problem in "\n".join(problems(changed))


def test_places_in_the_inventory_that_main_counts_on() -> None:
    """`main.bicep` writes apps and hubs by number: the order of the inventory is a part of it."""
    main = (BICEP / "main.bicep").read_text()
    names = [app["name"] for app in INVENTORY["apps"]]
    assert f"app[{names.index('api')}].outputs.host" in main
    assert f"app[{names.index('sensor')}].outputs.host}}/v1/events/sensor" in main
    assert f"appId: app[{names.index('registry')}].outputs.id" in main
    assert f"identityList.outputs.all[{names.index('sync')}].principalId" in main
    for number, hub in enumerate(INVENTORY["hubs"]):
        assert f"{hub['name'].upper()}_HUB: inventory.hubs[{number}].name" in main
    keys = {"SEAWALL_SIGNING_KEY": "findings", "SEAWALL_SENSOR_AUTHORITY_KEY": "sensors"}
    order = [key["name"] for key in INVENTORY["keys"]]
    for setting, key in keys.items():
        assert re.search(rf"{setting}: .*inventory\.keys\[{order.index(key)}\]", main)


def test_an_app_that_is_closed_to_the_internet_has_a_private_endpoint() -> None:
    """Its deployment site is closed with it: without an endpoint no package comes to it from anywhere."""
    main = (BICEP / "main.bicep").read_text()
    endpoint = re.search(r"module appEndpoint .*?^}\]", main, re.MULTILINE | re.DOTALL)
    assert endpoint is not None
    assert "if (privateNetwork && !contains(reachable, item.name))" in endpoint[0]
    assert "reachable: !privateNetwork || contains(reachable, item.name)" in main
    assert "resourceId: app[i].outputs.id" in endpoint[0]
    assert "group: 'sites'" in endpoint[0]
    assert INVENTORY["privateZones"]["sites"] == "privatelink.azurewebsites.net"


def test_bicep_and_terraform_ask_the_same_of_the_logs() -> None:
    """Queries of the operators' alerts, as each language writes them."""
    bicep = re.findall(r"query: '([^']+)'", (BICEP / "modules/alerts.bicep").read_text())
    source = (ROOT / "infra/terraform/azure/alerts.tf").read_text()
    terraform = [text.replace('\\"', '"') for text in re.findall(r'query += "((?:[^"\\]|\\.)+)"', source)]
    assert bicep == terraform
    assert len(bicep) == 2
