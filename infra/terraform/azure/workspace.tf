# The workspace of the security operations centre: the given one, or a new one with Sentinel.
data "azurerm_log_analytics_workspace" "soc" {
  count               = var.workspace == null ? 0 : 1
  name                = var.workspace.name
  resource_group_name = var.workspace.resource_group_name
}

resource "azurerm_log_analytics_workspace" "soc" {
  count                           = var.workspace == null ? 1 : 0
  name                            = "${var.name}-logs"
  resource_group_name             = local.group
  location                        = var.location
  sku                             = "PerGB2018"
  retention_in_days               = var.retention_days
  daily_quota_gb                  = var.daily_cap_gb
  local_authentication_enabled    = false
  allow_resource_only_permissions = true
  tags                            = var.tags
}

resource "azurerm_sentinel_log_analytics_workspace_onboarding" "soc" {
  count        = var.workspace == null ? 1 : 0
  workspace_id = azurerm_log_analytics_workspace.soc[0].id
}

locals {
  workspace_id       = var.workspace == null ? azurerm_log_analytics_workspace.soc[0].id : data.azurerm_log_analytics_workspace.soc[0].id
  workspace_location = var.workspace == null ? var.location : var.workspace.location
  workspace_group    = var.workspace == null ? local.group : var.workspace.resource_group_name
}
