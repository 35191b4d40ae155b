"""What Terraform would make (state of the modules' own mocked tests) against the inventory, the code and the settings."""

from __future__ import annotations

import inspect
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from seawall.adapters.azure.tables import TABLES
from seawall.adapters.job_queues import NAMES
from seawall.adapters.signers.gcp import GoogleSigner
from seawall.app.application import Application
from seawall.settings import DiscoverySettings

from tests.support import discovery, settings_of, terraform

INVENTORY: dict[str, Any] = json.loads((terraform.INFRA / "inventory.json").read_text())
APPS = {app["name"]: app for app in INVENTORY["apps"]}
Resource = dict[str, Any]
# Role assignments beside those of the inventory: by resource name, the role each of them is for.
BESIDE = {
    "capture": {"Storage Blob Data Contributor"},
    "discovery": {"discovery"},
    "sender": {"Azure Event Hubs Data Sender"},
    "policy": {"Azure Kubernetes Service Contributor Role", "Kubernetes Extension Contributor"},
    "terraform": {"Key Vault Crypto Officer", "Key Vault Secrets Officer"},
}
POLICY_ROLES = {
    "ed7f3fbd-7b88-4dd4-9017-9adb7ce333f8": "Azure Kubernetes Service Contributor Role",
    "85cb6faf-e071-4c9b-8136-154b5a04f717": "Kubernetes Extension Contributor",
}
# Roles that are not the inventory's: a custom one of discovery.json has an id that only the cloud knows.
ROLES = {identifier: name for name, identifier in INVENTORY["roles"].items()} | POLICY_ROLES
# Kind of thing that is granted on: type and attribute of the resource that the scope is.
KINDS = {
    "host": ("azurerm_storage_account", "id", "host"),
    "queue": ("azurerm_storage_queue", "id", "job"),
    "container": ("azurerm_storage_container", "id", "data"),
    "hub": ("azurerm_eventhub", "id", "hub"),
    "key": ("azurerm_key_vault_key", "resource_versionless_id", "signing"),
    "secret": ("azurerm_key_vault_secret", "resource_versionless_id", "this"),
    "rule": ("azurerm_monitor_data_collection_rule", "id", "this"),
    "insights": ("azurerm_application_insights", "id", "this"),
}


# Empties what this process has collected: a clock of `seawall serve` alone, functions do it with the next batch.
IN_PROCESS = {"assets"}


def timers() -> set[str]:
    """Names that the functions' clocks may say."""
    return set(re.findall(r'timer == "(\w+)"', inspect.getsource(Application.tick))) - IN_PROCESS


def of(resources: list[Resource], kind: str, name: str = "") -> dict[Any, dict[str, Any]]:
    """Values by index of the resources of a type (and name)."""
    return {
        item.get("index", ""): item["values"]
        for item in resources
        if item["type"] == kind and (not name or item["name"] == name)
    }


def grants(resources: list[Resource]) -> set[tuple[str, str, str, str]]:
    """(app, role, kind, on) of every role assignment to an app, read back from principal and scope."""
    principals = {
        item["principal_id"]: name for name, item in of(resources, "azurerm_user_assigned_identity", "app").items()
    }
    for name, app in of(resources, "azurerm_function_app_flex_consumption").items():
        if "SystemAssigned" in app["identity"][0]["type"]:
            principals[app["identity"][0]["principal_id"]] = name
    scopes = {
        "/subscriptions/0/resourceGroups/shop-rg/providers/Microsoft.ContainerRegistry/registries/acmereg": (
            "registry",
            "registries",
        )
    }
    for kind, (resource, attribute, name) in KINDS.items():
        for index, values in of(resources, resource, name).items():
            scopes[values[attribute]] = (kind, str(index) if index else kind)
    found = set()
    for item in resources:
        if item["type"] != "azurerm_role_assignment" or item["name"] in BESIDE:
            continue
        values = item["values"]
        app = principals[values["principal_id"]]
        kind, on = scopes[values["scope"]]
        if kind == "host":
            assert on == app, f"{app} may write to the host storage of {on}"
            on = "host"
        assert values["description"], item["address"]
        found.add((app, ROLES[values["role_definition_id"].rsplit("/", 1)[1]], kind, on))
    return found


def differences(resources: list[Resource]) -> dict[str, Any]:
    """Everything in which the deployment is not what the inventory says; empty when they agree."""
    found: dict[str, Any] = {}

    def compare(name: str, made: object, said: object) -> None:
        if made != said:
            found[name] = (made, said)

    compare("grants", grants(resources), {(g["app"], g["role"], g["kind"], g["on"]) for g in INVENTORY["grants"]})
    beside = defaultdict(set)
    for item in resources:
        if item["type"] == "azurerm_role_assignment" and item["name"] in BESIDE:
            identifier = str(item["values"]["role_definition_id"]).rsplit("/", 1)[-1]
            role = item["values"]["role_definition_name"] or ROLES.get(identifier, "discovery")
            beside[item["name"]].add(role)
    compare("grants beside", dict(beside), BESIDE)
    apps = of(resources, "azurerm_function_app_flex_consumption")
    compare("apps", set(apps), set(APPS))
    for name, app in APPS.items():
        made = apps[name]
        compare(f"settings of {name}", set(made["app_settings"]), {*INVENTORY["commonSettings"], *app["settings"]})
        compare(f"memory of {name}", made["instance_memory_in_mb"], app["memoryMB"])
        compare(f"ready of {name}", [item["name"] for item in made["always_ready"]], app["alwaysReady"])
        compare(f"functions of {name}", made["app_settings"]["SEAWALL_FUNCTIONS"], name)
        if discover := made["app_settings"].get("SEAWALL_DISCOVERY"):
            compare("discovery", DiscoverySettings.model_validate_json(discover).azure is not None, True)
        compare(f"empty in {name}", [key for key, value in made["app_settings"].items() if not value], [])
    queues = {item["name"] for item in of(resources, "azurerm_storage_queue").values()}
    compare("queues", queues, {INVENTORY["queuePrefix"] + name for name in INVENTORY["queues"]})
    hubs = {
        (item["name"], item["partition_count"], item["retention_description"][0]["retention_time_in_hours"])
        for item in of(resources, "azurerm_eventhub").values()
    }
    compare("hubs", hubs, {(hub["name"], hub["partitions"], hub["retentionHours"]) for hub in INVENTORY["hubs"]})
    consumers = {
        (item["eventhub_name"], item["name"]) for item in of(resources, "azurerm_eventhub_consumer_group").values()
    }
    compare("consumers", consumers, {(hub["name"], hub["consumerGroup"]) for hub in INVENTORY["hubs"]})
    compare("keys", set(of(resources, "azurerm_key_vault_key")), {key["name"] for key in INVENTORY["keys"]})
    compare("secrets", set(of(resources, "azurerm_key_vault_secret")), set(INVENTORY["secrets"]))
    compare("containers", set(of(resources, "azurerm_storage_container", "data")), set(INVENTORY["containers"]))
    compare(
        "zones",
        {item["name"] for item in of(resources, "azurerm_private_dns_zone").values()},
        set(INVENTORY["privateZones"].values()),
    )
    compare("tables", set(of(resources, "azurerm_log_analytics_workspace_table_custom_log")), {t.name for t in TABLES})
    return found


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Resource]]:
    made: dict[str, list[Resource]] = {}
    schemas = Path(__file__).parents[2].parent / "shared/data/terraform-schemas"

    def state(cloud: str) -> list[Resource]:
        if cloud not in made:
            with terraform.module(cloud, tmp_path_factory.mktemp(cloud), schemas) as module:
                made[cloud] = module.tested("everything")
        return made[cloud]

    return state


@pytest.mark.shared
@pytest.mark.real("terraform")
def test_azure_is_what_the_inventory_says(states: Callable[[str], list[Resource]]) -> None:
    assert differences(states("azure")) == {}


def test_discovery_file_is_the_codes_table() -> None:
    """`python -m tests.support.discovery` writes it."""
    assert discovery.FILE.read_text() == discovery.document()


@pytest.mark.shared
@pytest.mark.real("terraform")
def test_discovery_may_read_what_it_reads_and_no_more(states: Callable[[str], list[Resource]]) -> None:
    rights = json.loads(discovery.FILE.read_text())
    (role,) = of(states("azure"), "azurerm_role_definition").values()
    assert sorted(role["permissions"][0]["actions"]) == sorted(rights["azure"])
    assert not [action for action in rights["azure"] if not action.endswith("/read") and "UserCredential" not in action]
    for role in of(states("gcp"), "google_project_iam_custom_role", "clusters").values():
        assert set(rights["gcp"]) <= set(role["permissions"])
        assert not [
            item for item in role["permissions"] if item.endswith((".create", ".update", ".delete", "secrets.list"))
        ]
    assert not [action for action in rights["aws"] if not re.search(r":(Get|List|Describe)", action)]


@pytest.mark.shared
@pytest.mark.real("terraform")
def test_a_deployment_that_differs_is_noticed(tmp_path: Path, shared_data: Path) -> None:
    """A wrong role, a lost queue, a lost setting, other partitions, a grant on the wrong hub: each is named."""
    source = tmp_path / "source"
    shutil.copytree(terraform.INFRA, source)
    for file, old, new in (
        ("inventory.json", '"role": "AcrPull"', '"role": "Storage Queue Data Reader"'),
        ("inventory.json", '"AUDIT_HUB", ', ""),
        ("inventory.json", '"partitions": 4', '"partitions": 2'),
        ("inventory.json", '"correlate-poison"]', '"correlate-poison", "more"]'),
        ("terraform/azure/main.tf", "= azurerm_eventhub.hub[each.value.on].id", '= azurerm_eventhub.hub["audit"].id'),
    ):
        text = (source / file).read_text()
        assert old in text
        (source / file).write_text(text.replace(old, new, 1))
    with terraform.module("azure", tmp_path / "work", shared_data / "terraform-schemas", source) as module:
        found = differences(module.tested("everything", may_fail=True))
    assert set(found) == {"grants", "settings of audit", "hubs", "queues"}
    missing = found["grants"][1] - found["grants"][0]
    assert ("registry", "AcrPull", "registry", "registries") in missing
    assert ("sensor", "Azure Event Hubs Data Receiver", "hub", "sensor") in missing


@pytest.mark.shared
@pytest.mark.real("terraform")
def test_google_has_the_codes_queues_timers_and_settings(states: Callable[[str], list[Resource]]) -> None:
    resources = states("gcp")
    topics = {item["name"] for item in of(resources, "google_pubsub_topic", "this").values()}
    assert {f"seawall-{name}" for name in NAMES.values()} <= topics
    assert topics - {f"seawall-{name}" for name in NAMES.values()} == {
        "gcr",
        "seawall-audit-logs",
        "seawall-sensor-events",
        "seawall-tick",
    }
    assert set(of(resources, "google_cloud_scheduler_job")) == timers()
    entries = (terraform.INFRA.parent / "functions/gcp/main.py").read_text()
    for function in of(resources, "google_cloud_run_v2_service").values():
        variables = {item["name"]: item["value"] for item in function["template"][0]["containers"][0]["env"]}
        assert f"def {variables['FUNCTION_TARGET']}(" in entries
        for name in variables:
            if name.startswith("SEAWALL_"):
                settings_of.check(name)
        for name in ("SEAWALL_SIGNING_KEY", "SEAWALL_SENSOR_AUTHORITY_KEY"):
            scheme, _, address = variables[name].partition("://")
            assert scheme == "gcpkms"
            GoogleSigner("projects/p/locations/l/keyRings/r/cryptoKeys/" + address, client=object())
        found = DiscoverySettings.model_validate_json(variables["SEAWALL_DISCOVERY"])
        assert found.gcp is not None
        assert set(found.gcp.projects) == {"acme-prod", "acme-test"}


def test_aws_has_the_codes_queues_timers_and_settings() -> None:
    """Read from the source; `test_terraform.py` applies it."""
    source = "".join(path.read_text() for path in sorted((terraform.INFRA / "terraform/aws").glob("*.tf")))
    queues = set(re.findall(r'"?([\w.]+)"? = \d+', re.search(r"queues\s+= {(.+)}", source)[1]))  # type: ignore[index]
    assert {name.removesuffix(".fifo") for name in queues} == {*NAMES.values(), "pushes"}
    schedules = re.search(r'"aws_scheduler_schedule" "tick" {\n\s+for_each\s+= {(.+?)}', source)
    assert schedules is not None
    assert set(re.findall(r"(\w+) = ", schedules[1])) == timers()
    entries = (terraform.INFRA.parent / "functions/aws/handlers.py").read_text()
    for handler in set(re.findall(r'handler = "(\w+)"', source)) | {"audit_stream", "audit_logs"}:
        assert f"def {handler}(" in entries
    names = set(re.findall(r"^\s+(SEAWALL_\w+)\s*=", source, re.MULTILINE))
    assert len(names) > 15
    for name in names:
        settings_of.check(name)
