locals {
  secret_readers = toset([for grant in local.inventory.grants : grant.app if grant.kind == "secret"])
  values = { for name, app in local.apps : name => {
    AzureWebJobsStorage__accountName          = azurerm_storage_account.host[name].name
    AzureWebJobsStorage__credential           = "managedidentity"
    AzureWebJobsStorage__clientId             = azurerm_user_assigned_identity.app[name].client_id
    APPLICATIONINSIGHTS_CONNECTION_STRING     = azurerm_application_insights.this.connection_string
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING = "ClientId=${azurerm_user_assigned_identity.app[name].client_id};Authorization=AAD"
    AZURE_CLIENT_ID                           = azurerm_user_assigned_identity.app[name].client_id
    SEAWALL_FUNCTIONS                         = name
    SEAWALL_AZURE__IDENTITY                   = "managed"
    SEAWALL_AZURE__CLIENT_ID                  = azurerm_user_assigned_identity.app[name].client_id
    SEAWALL_DATA_DIR                          = "/tmp/seawall"
    SEAWALL_LOG_FORMAT                        = "json"
    SEAWALL_STORE_URL                         = "postgresql+psycopg://${azurerm_user_assigned_identity.app[name].name}@${azurerm_postgresql_flexible_server.store.fqdn}:5432/seawall?sslmode=require"
    SEAWALL_STORE_IDENTITY                    = "azure"
    SEAWALL_BLOB_URL                          = "abfs://${local.inventory.containers[0]}@${azurerm_storage_account.data.name}.blob.core.windows.net/"
    SEAWALL_JOB_QUEUE__SERVICE                = "azure-storage"
    SEAWALL_JOB_QUEUE__ENDPOINT               = azurerm_storage_account.data.primary_queue_endpoint
    SEAWALL_JOB_QUEUE__PREFIX                 = local.inventory.queuePrefix
    Jobs__queueServiceUri                     = azurerm_storage_account.data.primary_queue_endpoint
    Jobs__credential                          = "managedidentity"
    Jobs__clientId                            = azurerm_user_assigned_identity.app[name].client_id
    EventHub__fullyQualifiedNamespace         = local.namespace_host
    EventHub__credential                      = "managedidentity"
    EventHub__clientId                        = azurerm_user_assigned_identity.app[name].client_id
    AUDIT_HUB                                 = local.hubs["audit"].name
    AUDIT_CONSUMER_GROUP                      = local.hubs["audit"].consumerGroup
    SENSOR_HUB                                = local.hubs["sensor"].name
    SENSOR_CONSUMER_GROUP                     = local.hubs["sensor"].consumerGroup
    FORWARDED_HUB                             = local.hubs["forwarded"].name
    FORWARDED_CONSUMER_GROUP                  = local.hubs["forwarded"].consumerGroup
    SEAWALL_SENTINEL__ENDPOINT                = azurerm_monitor_data_collection_endpoint.this.logs_ingestion_endpoint
    SEAWALL_SENTINEL__RULE_ID                 = azurerm_monitor_data_collection_rule.this.immutable_id
    SEAWALL_SIGNING_KEY                       = "azurekms://${azurerm_key_vault.this.name}.vault.azure.net/findings"
    SEAWALL_ATTACH_ATTESTATIONS               = tostring(var.attach_attestations)
    # Pushes that nobody announced are found by listing these.
    SEAWALL_REGISTRIES                     = jsonencode({ for name in keys(var.registries) : "${lower(name)}.azurecr.io" => { reconcile = true } })
    SEAWALL_DISCOVERY                      = var.discover ? jsonencode({ azure = { subscriptions = [data.azurerm_client_config.this.subscription_id] } }) : "{}"
    SEAWALL_SENSOR_AUTHORITY_KEY           = "azurekms://${azurerm_key_vault.this.name}.vault.azure.net/sensors"
    SEAWALL_DEFENDER_SYNC__OVERLAP_MINUTES = "10"
    SEAWALL_DEFENDER_SYNC__WRITE_BACK      = tostring(var.defender_write_back)
    SEAWALL_API_TOKEN                      = "@Microsoft.KeyVault(SecretUri=${azurerm_key_vault.this.vault_uri}secrets/api-token)"
    SEAWALL_WEBHOOK_SECRET                 = "@Microsoft.KeyVault(SecretUri=${azurerm_key_vault.this.vault_uri}secrets/webhook-secret)"
  } }
}

# A host storage account each: who takes one app over cannot change another's code.
resource "azurerm_storage_account" "host" {
  for_each                         = local.apps
  name                             = substr("${replace(var.name, "-", "")}${each.key}${var.suffix}", 0, 24)
  resource_group_name              = local.group
  location                         = var.location
  account_tier                     = "Standard"
  account_replication_type         = "LRS"
  shared_access_key_enabled        = false
  default_to_oauth_authentication  = true
  allow_nested_items_to_be_public  = false
  cross_tenant_replication_enabled = false
  https_traffic_only_enabled       = true
  min_tls_version                  = "TLS1_2"
  tags                             = var.tags
  blob_properties {
    delete_retention_policy {
      days = 7
    }
  }
}

resource "azurerm_storage_container" "packages" {
  for_each           = local.apps
  name               = "packages"
  storage_account_id = azurerm_storage_account.host[each.key].id
}

resource "azurerm_role_assignment" "host" {
  for_each           = { for key, grant in local.grants : key => grant if grant.kind == "host" }
  scope              = azurerm_storage_account.host[each.value.app].id
  role_definition_id = "${local.role}${local.roles[each.value.role]}"
  principal_id       = azurerm_user_assigned_identity.app[each.value.app].principal_id
  principal_type     = "ServicePrincipal"
  description        = each.value.call
}

resource "azurerm_service_plan" "app" {
  for_each            = local.apps
  name                = "${var.name}-${each.key}-${var.suffix}"
  resource_group_name = local.group
  location            = var.location
  os_type             = "Linux"
  sku_name            = "FC1"
  tags                = var.tags
}

resource "azurerm_function_app_flex_consumption" "app" {
  for_each                          = local.apps
  name                              = "${var.name}-${each.key}-${var.suffix}"
  resource_group_name               = local.group
  location                          = var.location
  service_plan_id                   = azurerm_service_plan.app[each.key].id
  runtime_name                      = "python"
  runtime_version                   = "3.13"
  storage_container_type            = "blobContainer"
  storage_container_endpoint        = "${azurerm_storage_account.host[each.key].primary_blob_endpoint}${azurerm_storage_container.packages[each.key].name}"
  storage_authentication_type       = "UserAssignedIdentity"
  storage_user_assigned_identity_id = azurerm_user_assigned_identity.app[each.key].id
  instance_memory_in_mb             = each.value.memoryMB
  maximum_instance_count            = var.maximum_instances
  https_only                        = true
  # Deployment by password is off; azd and CI log in with Entra.
  webdeploy_publish_basic_authentication_enabled = false
  public_network_access_enabled                  = !var.private_network || contains(local.public_apps, each.key)
  virtual_network_subnet_id                      = var.private_network ? azurerm_subnet.apps[0].id : null
  app_settings                                   = { for setting in concat(local.inventory.commonSettings, each.value.settings) : setting => local.values[each.key][setting] }
  tags                                           = var.tags
  site_config {
    minimum_tls_version = "1.2"
    http2_enabled       = true
  }
  identity {
    type         = contains(local.secret_readers, each.key) ? "SystemAssigned, UserAssigned" : "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.app[each.key].id]
  }
  dynamic "always_ready" {
    for_each = var.keep_ready ? each.value.alwaysReady : []
    content {
      name           = always_ready.value
      instance_count = 1
    }
  }
  depends_on = [azurerm_role_assignment.host]
}

resource "azurerm_role_assignment" "registry" {
  for_each = { for pair in setproduct(keys(var.registries), [for grant in local.inventory.grants : grant if grant.kind == "registry" && (var.attach_attestations || grant.role != "AcrPush")]) : "${pair[0]}/${pair[1].role}" => { registry = pair[0], grant = pair[1] } }

  scope              = var.registries[each.value.registry].id
  role_definition_id = "${local.role}${local.roles[each.value.grant.role]}"
  principal_id       = azurerm_user_assigned_identity.app[each.value.grant.app].principal_id
  principal_type     = "ServicePrincipal"
  description        = each.value.grant.call
}

resource "azurerm_eventgrid_system_topic" "registry" {
  for_each            = var.registries
  name                = "${each.key}-seawall"
  resource_group_name = each.value.resource_group_name
  location            = each.value.location
  source_resource_id  = each.value.id
  topic_type          = "Microsoft.ContainerRegistry.Registries"
  tags                = var.tags
}

resource "azurerm_eventgrid_system_topic_event_subscription" "pushes" {
  for_each             = var.code_deployed ? var.registries : {}
  name                 = "seawall"
  system_topic         = azurerm_eventgrid_system_topic.registry[each.key].name
  resource_group_name  = each.value.resource_group_name
  included_event_types = ["Microsoft.ContainerRegistry.ImagePushed"]
  azure_function_endpoint {
    function_id          = "${azurerm_function_app_flex_consumption.app["registry"].id}/functions/image_pushed"
    max_events_per_batch = 1
  }
  retry_policy {
    max_delivery_attempts = 30
    event_time_to_live    = 1440
  }
}

resource "azurerm_monitor_diagnostic_setting" "cluster" {
  for_each                       = var.cluster_ids
  name                           = "seawall"
  target_resource_id             = each.key
  eventhub_authorization_rule_id = azurerm_eventhub_namespace_authorization_rule.diagnostics.id
  eventhub_name                  = azurerm_eventhub.hub["audit"].name
  enabled_log {
    category = var.audit_category
  }
}
