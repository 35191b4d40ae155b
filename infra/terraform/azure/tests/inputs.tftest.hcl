# Each wrong input is refused by its own validation.
mock_provider "azurerm" {}

variables {
  suffix    = "x7k2"
  location  = "westeurope"
  workspace = { name = "soc", resource_group_name = "soc-rg", location = "westeurope" }
  secrets = {
    api-token      = "0123456789abcdef0123456789abcdef"
    webhook-secret = "0123456789abcdef0123456789abcdef"
  }
  database_administrator = { id = "00000000-0000-0000-0000-000000000003", name = "dba@acme.example", type = "User" }
}

run "everything_wrong" {
  command = plan
  variables {
    name                   = "Seawall Production"
    suffix                 = "!"
    cluster_ids            = ["prod"]
    audit_category         = "kube-apiserver"
    secrets                = { api-token = "short", webhook-secret = "0123456789abcdef0123456789abcdef" }
    database_administrator = { id = "me", name = "me", type = "Person" }
    database               = { sku = "B_Standard_B2s", storage_mb = 32768, zone_redundant = true }
    event_hubs_capacity    = 0
    address_space          = "10.0.0.0/28"
    retention_days         = 7
    maximum_instances      = 0
    storage_replication    = "RAGRS"
    body_retention_days    = 0
    monitor_access_mode    = "Closed"
    operators              = ["platform"]
    monthly_budget         = -1
    budget_start           = "2026-11-15"
    sensor_policy          = { repository_url = "u", repository_tag = "t", image = "i", effect = "Deny" }
  }
  expect_failures = [
    var.name, var.suffix, var.cluster_ids, var.audit_category, var.secrets, var.database_administrator, var.database,
    var.event_hubs_capacity, var.address_space, var.retention_days, var.maximum_instances, var.storage_replication,
    var.body_retention_days, var.monitor_access_mode, var.operators, var.monthly_budget, var.budget_start, var.sensor_policy,
  ]
}
