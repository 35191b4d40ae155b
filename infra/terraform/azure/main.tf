# The same as infra/bicep, from the same inventory.
data "azurerm_client_config" "this" {}

locals {
  inventory = jsondecode(file("${path.module}/../../inventory.json"))
  schema    = jsondecode(file("${path.module}/../../sentinel/tables.json"))
  roles     = local.inventory.roles
  apps      = { for app in local.inventory.apps : app.name => app }
  hubs      = { for hub in local.inventory.hubs : hub.name => hub }
  grants    = { for grant in local.inventory.grants : "${grant.app}/${grant.on}/${grant.role}" => grant }
  group     = azurerm_resource_group.this.name
  role      = "/providers/Microsoft.Authorization/roleDefinitions/"

  namespace_host = "${azurerm_eventhub_namespace.this.name}.servicebus.windows.net"
}

resource "azurerm_resource_group" "this" {
  name     = "${var.name}-rg"
  location = var.location
  tags     = var.tags
}

resource "azurerm_user_assigned_identity" "app" {
  for_each            = local.apps
  name                = "${var.name}-${each.key}"
  resource_group_name = local.group
  location            = var.location
  tags                = var.tags
}

resource "azurerm_storage_account" "data" {
  name                             = substr("${replace(var.name, "-", "")}data${var.suffix}", 0, 24)
  resource_group_name              = local.group
  location                         = var.location
  account_tier                     = "Standard"
  account_replication_type         = var.storage_replication
  shared_access_key_enabled        = false
  default_to_oauth_authentication  = true
  allow_nested_items_to_be_public  = false
  cross_tenant_replication_enabled = false
  https_traffic_only_enabled       = true
  min_tls_version                  = "TLS1_2"
  public_network_access_enabled    = !var.private_network
  tags                             = var.tags
  blob_properties {
    delete_retention_policy {
      days = 7
    }
    container_delete_retention_policy {
      days = 7
    }
  }
  # Event Hubs Capture writes as a trusted service.
  network_rules {
    bypass         = ["AzureServices"]
    default_action = var.private_network ? "Deny" : "Allow"
  }
}

resource "azurerm_storage_management_policy" "data" {
  storage_account_id = azurerm_storage_account.data.id
  rule {
    name    = "expire"
    enabled = true
    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["${local.inventory.containers[0]}/jobs/", "capture/"]
    }
    actions {
      base_blob {
        delete_after_days_since_modification_greater_than = var.body_retention_days
      }
    }
  }
}

resource "azurerm_storage_queue" "job" {
  for_each           = toset(local.inventory.queues)
  name               = "${local.inventory.queuePrefix}${each.key}"
  storage_account_id = azurerm_storage_account.data.id
}

resource "azurerm_storage_container" "data" {
  for_each           = toset(local.inventory.containers)
  name               = each.key
  storage_account_id = azurerm_storage_account.data.id
}

resource "azurerm_role_assignment" "queue" {
  for_each           = { for key, grant in local.grants : key => grant if grant.kind == "queue" }
  scope              = azurerm_storage_queue.job[each.value.on].id
  role_definition_id = "${local.role}${local.roles[each.value.role]}"
  principal_id       = azurerm_user_assigned_identity.app[each.value.app].principal_id
  principal_type     = "ServicePrincipal"
  description        = each.value.call
}

resource "azurerm_role_assignment" "container" {
  for_each           = { for key, grant in local.grants : key => grant if grant.kind == "container" }
  scope              = azurerm_storage_container.data[each.value.on].id
  role_definition_id = "${local.role}${local.roles[each.value.role]}"
  principal_id       = azurerm_user_assigned_identity.app[each.value.app].principal_id
  principal_type     = "ServicePrincipal"
  description        = each.value.call
}

resource "azurerm_eventhub_namespace" "this" {
  name                          = "${var.name}-events-${var.suffix}"
  resource_group_name           = local.group
  location                      = var.location
  sku                           = "Standard"
  capacity                      = var.event_hubs_capacity
  auto_inflate_enabled          = true
  maximum_throughput_units      = var.event_hubs_capacity * 4
  local_authentication_enabled  = var.event_hubs_local_auth
  minimum_tls_version           = "1.2"
  public_network_access_enabled = !var.private_network
  tags                          = var.tags
  identity {
    type = "SystemAssigned"
  }
  # Diagnostic settings of AKS write as a trusted service.
  network_rulesets = [{
    default_action                 = var.private_network ? "Deny" : "Allow"
    public_network_access_enabled  = !var.private_network
    trusted_service_access_enabled = true
    ip_rule                        = []
    virtual_network_rule           = []
  }]
}

resource "azurerm_storage_container" "capture" {
  count              = var.capture ? 1 : 0
  name               = "capture"
  storage_account_id = azurerm_storage_account.data.id
}

# Event Hubs Capture: the namespace writes blobs.
resource "azurerm_role_assignment" "capture" {
  count              = var.capture ? 1 : 0
  scope              = azurerm_storage_container.capture[0].id
  role_definition_id = "${local.role}${local.roles["Storage Blob Data Contributor"]}"
  principal_id       = azurerm_eventhub_namespace.this.identity[0].principal_id
  principal_type     = "ServicePrincipal"
  description        = "Event Hubs Capture: write blobs"
}

resource "azurerm_eventhub" "hub" {
  for_each        = local.hubs
  name            = each.key
  namespace_id    = azurerm_eventhub_namespace.this.id
  partition_count = each.value.partitions
  retention_description {
    cleanup_policy          = "Delete"
    retention_time_in_hours = each.value.retentionHours
  }
  dynamic "capture_description" {
    for_each = var.capture ? [1] : []
    content {
      enabled             = true
      encoding            = "Avro"
      interval_in_seconds = 300
      size_limit_in_bytes = 314572800
      skip_empty_archives = true
      destination {
        name                        = "EventHubArchive.AzureBlockBlob"
        storage_account_id          = azurerm_storage_account.data.id
        storage_authentication_type = "SystemAssigned"
        blob_container_name         = azurerm_storage_container.capture[0].name
        archive_name_format         = "{Namespace}/{EventHub}/{PartitionId}/{Year}/{Month}/{Day}/{Hour}/{Minute}/{Second}"
      }
    }
  }
  depends_on = [azurerm_role_assignment.capture]
}

resource "azurerm_eventhub_consumer_group" "app" {
  for_each            = local.hubs
  name                = each.value.consumerGroup
  namespace_name      = azurerm_eventhub_namespace.this.name
  eventhub_name       = azurerm_eventhub.hub[each.key].name
  resource_group_name = local.group
}

# Azure Monitor names a rule; it writes by its own trusted identity.
resource "azurerm_eventhub_namespace_authorization_rule" "diagnostics" {
  name                = "diagnostic-settings"
  namespace_name      = azurerm_eventhub_namespace.this.name
  resource_group_name = local.group
  listen              = true
  send                = true
  manage              = true
}

resource "azurerm_role_assignment" "hub" {
  for_each           = { for key, grant in local.grants : key => grant if grant.kind == "hub" }
  scope              = azurerm_eventhub.hub[each.value.on].id
  role_definition_id = "${local.role}${local.roles[each.value.role]}"
  principal_id       = azurerm_user_assigned_identity.app[each.value.app].principal_id
  principal_type     = "ServicePrincipal"
  description        = each.value.call
}

resource "azurerm_role_assignment" "sender" {
  for_each           = merge({ for id in var.sensor_principal_ids : id => "sensor" }, { for id in var.spoke_principal_ids : id => "forwarded" })
  scope              = azurerm_eventhub.hub[each.value].id
  role_definition_id = "${local.role}${local.roles["Azure Event Hubs Data Sender"]}"
  principal_id       = each.key
  principal_type     = "ServicePrincipal"
  description        = "send: sensors' batches, documents of deployments in other clouds"
}

resource "azurerm_key_vault" "this" {
  name                          = substr("${var.name}-${var.suffix}", 0, 24)
  resource_group_name           = local.group
  location                      = var.location
  tenant_id                     = data.azurerm_client_config.this.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = true
  soft_delete_retention_days    = 30
  public_network_access_enabled = !var.private_network
  tags                          = var.tags
  network_acls {
    bypass         = "AzureServices"
    default_action = var.private_network ? "Deny" : "Allow"
  }
}

# secrets/set and keys/create: Terraform itself, in this vault.
resource "azurerm_role_assignment" "terraform" {
  for_each             = toset(["Key Vault Crypto Officer", "Key Vault Secrets Officer"])
  scope                = azurerm_key_vault.this.id
  role_definition_name = each.key
  principal_id         = data.azurerm_client_config.this.object_id
}

resource "azurerm_key_vault_key" "signing" {
  for_each     = toset([for key in local.inventory.keys : key.name])
  name         = each.key
  key_vault_id = azurerm_key_vault.this.id
  key_type     = "EC"
  curve        = "P-256"
  key_opts     = ["sign", "verify"]
  depends_on   = [azurerm_role_assignment.terraform]
}

resource "azurerm_key_vault_secret" "this" {
  for_each     = toset(local.inventory.secrets)
  name         = each.key
  key_vault_id = azurerm_key_vault.this.id
  value        = var.secrets[each.key]
  content_type = "text/plain"
  depends_on   = [azurerm_role_assignment.terraform]
}

resource "azurerm_role_assignment" "key" {
  for_each           = { for key, grant in local.grants : key => grant if grant.kind == "key" }
  scope              = azurerm_key_vault_key.signing[each.value.on].resource_versionless_id
  role_definition_id = "${local.role}${local.roles[each.value.role]}"
  principal_id       = azurerm_user_assigned_identity.app[each.value.app].principal_id
  principal_type     = "ServicePrincipal"
  description        = each.value.call
}

# The provider cannot name an identity for Key Vault references of these apps: the platform then takes the system's own.
resource "azurerm_role_assignment" "secret" {
  for_each           = { for key, grant in local.grants : key => grant if grant.kind == "secret" }
  scope              = azurerm_key_vault_secret.this[each.value.on].resource_versionless_id
  role_definition_id = "${local.role}${local.roles[each.value.role]}"
  principal_id       = azurerm_function_app_flex_consumption.app[each.value.app].identity[0].principal_id
  principal_type     = "ServicePrincipal"
  description        = each.value.call
}

resource "azurerm_postgresql_flexible_server" "store" {
  name                          = "${var.name}-db-${var.suffix}"
  resource_group_name           = local.group
  location                      = var.location
  version                       = "16"
  sku_name                      = var.database.sku
  storage_mb                    = var.database.storage_mb
  auto_grow_enabled             = true
  backup_retention_days         = 14
  public_network_access_enabled = !var.private_network
  tags                          = var.tags
  authentication {
    active_directory_auth_enabled = true
    password_auth_enabled         = false
    tenant_id                     = data.azurerm_client_config.this.tenant_id
  }
  dynamic "high_availability" {
    for_each = var.database.zone_redundant ? [1] : []
    content {
      mode = "ZoneRedundant"
    }
  }
}

resource "azurerm_postgresql_flexible_server_active_directory_administrator" "this" {
  server_name         = azurerm_postgresql_flexible_server.store.name
  resource_group_name = local.group
  tenant_id           = data.azurerm_client_config.this.tenant_id
  object_id           = var.database_administrator.id
  principal_name      = var.database_administrator.name
  principal_type      = var.database_administrator.type
}

resource "azurerm_postgresql_flexible_server_database" "store" {
  name      = "seawall"
  server_id = azurerm_postgresql_flexible_server.store.id
}

resource "azurerm_postgresql_flexible_server_firewall_rule" "azure" {
  count            = var.private_network ? 0 : 1
  name             = "azure-services"
  server_id        = azurerm_postgresql_flexible_server.store.id
  start_ip_address = "0.0.0.0"
  end_ip_address   = "0.0.0.0"
}
