locals {
  zones       = var.private_network ? local.inventory.privateZones : {}
  public_apps = ["registry", "sensor", "api"]
  # Apps that nobody calls from outside are closed to the internet, their deployment site too: the package comes by these.
  app_endpoints = { for name, app in azurerm_function_app_flex_consumption.app : name => { group = "sites", id = app.id } if !contains(local.public_apps, name) }
  endpoints = var.private_network ? merge(local.app_endpoints, {
    blob     = { group = "blob", id = azurerm_storage_account.data.id }
    queue    = { group = "queue", id = azurerm_storage_account.data.id }
    events   = { group = "namespace", id = azurerm_eventhub_namespace.this.id }
    vault    = { group = "vault", id = azurerm_key_vault.this.id }
    database = { group = "postgresqlServer", id = azurerm_postgresql_flexible_server.store.id }
    monitor  = { group = "azuremonitor", id = azurerm_monitor_private_link_scope.this[0].id }
  }) : {}
}

resource "azurerm_virtual_network" "this" {
  count               = var.private_network ? 1 : 0
  name                = "${var.name}-network"
  resource_group_name = local.group
  location            = var.location
  address_space       = [var.address_space]
  tags                = var.tags
}

resource "azurerm_subnet" "apps" {
  count                = var.private_network ? 1 : 0
  name                 = "apps"
  resource_group_name  = local.group
  virtual_network_name = azurerm_virtual_network.this[0].name
  address_prefixes     = [cidrsubnet(var.address_space, 24 - tonumber(split("/", var.address_space)[1]), 0)]
  delegation {
    name = "functions"
    service_delegation {
      name = "Microsoft.App/environments"
    }
  }
}

resource "azurerm_subnet" "endpoints" {
  count                             = var.private_network ? 1 : 0
  name                              = "endpoints"
  resource_group_name               = local.group
  virtual_network_name              = azurerm_virtual_network.this[0].name
  address_prefixes                  = [cidrsubnet(var.address_space, 24 - tonumber(split("/", var.address_space)[1]), 1)]
  private_endpoint_network_policies = "Disabled"
}

resource "azurerm_private_dns_zone" "this" {
  for_each            = local.zones
  name                = each.value
  resource_group_name = local.group
  tags                = var.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "this" {
  for_each            = local.zones
  name                = "${var.name}-network"
  private_dns_zone_id = azurerm_private_dns_zone.this[each.key].id
  virtual_network_id  = azurerm_virtual_network.this[0].id
}

resource "azurerm_private_endpoint" "this" {
  for_each            = local.endpoints
  name                = "${var.name}-${each.key}-endpoint"
  resource_group_name = local.group
  location            = var.location
  subnet_id           = azurerm_subnet.endpoints[0].id
  tags                = var.tags
  private_service_connection {
    name                           = each.value.group
    private_connection_resource_id = each.value.id
    subresource_names              = [each.value.group]
    is_manual_connection           = false
  }
  private_dns_zone_group {
    name                 = "default"
    private_dns_zone_ids = [for part in(each.key == "monitor" ? ["monitor", "oms", "ods", "agentsvc", "blob"] : [each.value.group]) : azurerm_private_dns_zone.this[part].id]
  }
}

resource "azurerm_monitor_private_link_scope" "this" {
  count                 = var.private_network ? 1 : 0
  name                  = "${var.name}-monitor"
  resource_group_name   = local.group
  ingestion_access_mode = var.monitor_access_mode
  query_access_mode     = "Open"
  tags                  = var.tags
}

resource "azurerm_monitor_private_link_scoped_service" "this" {
  for_each            = var.private_network ? { endpoint = azurerm_monitor_data_collection_endpoint.this.id, insights = azurerm_application_insights.this.id } : {}
  name                = each.key
  resource_group_name = local.group
  scope_name          = azurerm_monitor_private_link_scope.this[0].name
  linked_resource_id  = each.value
}
