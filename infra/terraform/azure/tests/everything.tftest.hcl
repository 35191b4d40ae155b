# By mocks: what is made, from which inputs, for whom. `tests/infra/test_azure_inventory.py` holds the result against infra/inventory.json.
mock_provider "azurerm" {
  mock_data "azurerm_client_config" {
    defaults = { tenant_id = "00000000-0000-0000-0000-000000000001", object_id = "00000000-0000-0000-0000-000000000002", subscription_id = "00000000-0000-0000-0000-000000000000" }
  }
  mock_data "azurerm_subscription" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000" }
  }
  mock_data "azurerm_log_analytics_workspace" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/soc-rg/providers/Microsoft.OperationalInsights/workspaces/soc" }
  }
}

variables {
  suffix    = "x7k2"
  location  = "westeurope"
  workspace = { name = "soc", resource_group_name = "soc-rg", location = "northeurope" }
  secrets = {
    api-token      = "0123456789abcdef0123456789abcdef"
    webhook-secret = "0123456789abcdef0123456789abcdef"
  }
  database_administrator = { id = "00000000-0000-0000-0000-000000000003", name = "dba@acme.example", type = "User" }
}

run "everything" {
  variables {
    registries = {
      acmereg = { id = "/subscriptions/0/resourceGroups/shop-rg/providers/Microsoft.ContainerRegistry/registries/acmereg", resource_group_name = "shop-rg", location = "westeurope" }
    }
    cluster_ids          = ["/subscriptions/0/resourceGroups/shop-rg/providers/Microsoft.ContainerService/managedClusters/prod"]
    code_deployed        = true
    capture              = true
    private_network      = true
    sensor_principal_ids = ["00000000-0000-0000-0000-00000000000a"]
    spoke_principal_ids  = ["00000000-0000-0000-0000-00000000000b"]
    operators            = ["platform@acme.example"]
    monthly_budget       = 500
    budget_start         = "2026-11-01"
    sensor_policy        = { repository_url = "https://git.example/seawall", repository_tag = "v1.0.0", image = "acmereg.azurecr.io/seawall/sensor", effect = "DeployIfNotExists" }
  }
  assert {
    condition     = alltrue([for account in concat(values(azurerm_storage_account.host), [azurerm_storage_account.data]) : !account.shared_access_key_enabled && !account.allow_nested_items_to_be_public])
    error_message = "a storage account takes keys or anonymous readers"
  }
  assert {
    condition     = !azurerm_eventhub_namespace.this.local_authentication_enabled && !azurerm_eventhub_namespace.this.public_network_access_enabled && azurerm_eventhub_namespace.this.network_rulesets[0].trusted_service_access_enabled
    error_message = "Event Hubs takes keys, is public, or keeps Azure Monitor out"
  }
  assert {
    condition     = toset(keys(azurerm_private_endpoint.this)) == toset(["blob", "queue", "events", "vault", "database", "monitor", "audit", "posture", "incidents", "sync"])
    error_message = "a private endpoint is missing"
  }
  assert {
    condition     = alltrue([for name, app in azurerm_function_app_flex_consumption.app : azurerm_private_endpoint.this[name].private_service_connection[0].subresource_names == tolist(["sites"]) if !app.public_network_access_enabled])
    error_message = "an app can be reached neither from outside nor from inside, and no package comes to it"
  }
  assert {
    condition     = length(azurerm_private_endpoint.this["monitor"].private_dns_zone_group[0].private_dns_zone_ids) == 5
    error_message = "the monitor endpoint needs the zones monitor, oms, ods, agentsvc and blob"
  }
  assert {
    condition     = azurerm_subnet.apps[0].address_prefixes == tolist(["10.83.0.0/24"]) && azurerm_subnet.endpoints[0].address_prefixes == tolist(["10.83.1.0/24"])
    error_message = "subnets are not the first two /24"
  }
  assert {
    condition     = toset([for name, app in azurerm_function_app_flex_consumption.app : name if app.public_network_access_enabled]) == toset(["registry", "sensor", "api"])
    error_message = "another app than those with callers from outside is public"
  }
  assert {
    condition     = toset([for name, app in azurerm_function_app_flex_consumption.app : name if strcontains(app.identity[0].type, "SystemAssigned")]) == toset(["api"])
    error_message = "Key Vault references need the system's identity, and only the API has some"
  }
  assert {
    condition     = azurerm_sentinel_alert_rule_nrt.incidents.event_grouping[0].aggregation_method == "AlertPerResult" && azurerm_sentinel_alert_rule_scheduled.catch_up.event_grouping[0].aggregation_method == "AlertPerResult"
    error_message = "a rule folds results"
  }
  assert {
    condition     = azurerm_sentinel_alert_rule_nrt.incidents.incident[0].create_incident_enabled && azurerm_sentinel_alert_rule_scheduled.catch_up.incident[0].create_incident_enabled
    error_message = "alerts of rules that make no incidents are invisible in the Defender portal"
  }
  assert {
    condition     = azurerm_monitor_data_collection_rule.this.location == "northeurope" && azurerm_resource_group.this.location == "westeurope"
    error_message = "rows go in where the workspace is"
  }
  assert {
    condition     = length(azurerm_eventgrid_system_topic_event_subscription.pushes) == 1 && length(azurerm_monitor_diagnostic_setting.cluster) == 1
    error_message = "pushes or audit logs do not come"
  }
  assert {
    condition     = length(azurerm_policy_definition.sensor) == 2 && length(azurerm_role_assignment.policy) == 3 && length(azurerm_subscription_policy_remediation.sensor) == 2
    error_message = "Policy puts the sensor on AKS and Arc clusters by three grants"
  }
  assert {
    condition     = azurerm_consumption_budget_resource_group.this[0].time_period[0].start_date == "2026-11-01T00:00:00Z"
    error_message = "the budget starts elsewhere"
  }
}

run "the_least" {
  command = plan
  assert {
    condition     = length(azurerm_virtual_network.this) + length(azurerm_private_endpoint.this) + length(azurerm_policy_definition.sensor) + length(azurerm_monitor_action_group.operators) + length(azurerm_storage_container.capture) + length(azurerm_log_analytics_workspace.soc) == 0
    error_message = "something optional is made without being asked for"
  }
  assert {
    condition     = length(azurerm_role_assignment.registry) + length(azurerm_role_assignment.policy) + length(azurerm_role_assignment.capture) + length(azurerm_role_assignment.sender) == 0
    error_message = "a grant is made that nothing needs"
  }
}

run "without_attestations_no_push_right" {
  command = plan
  variables {
    registries          = { acmereg = { id = "/r", resource_group_name = "shop-rg", location = "westeurope" } }
    attach_attestations = false
  }
  assert {
    condition     = toset(keys(azurerm_role_assignment.registry)) == toset(["acmereg/AcrPull"])
    error_message = "only AcrPull is needed"
  }
}

run "a_new_workspace_has_sentinel_and_a_cap" {
  command = plan
  variables {
    workspace = null
  }
  assert {
    condition     = length(azurerm_sentinel_log_analytics_workspace_onboarding.soc) == 1 && azurerm_log_analytics_workspace.soc[0].daily_quota_gb == 10 && azurerm_monitor_data_collection_endpoint.this.location == "westeurope"
    error_message = "the new workspace is not what Bicep makes"
  }
}
