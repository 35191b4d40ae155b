output "console_url" {
  description = "Console and API."
  value       = "https://${azurerm_function_app_flex_consumption.app["api"].default_hostname}"
}

output "sensor_url" {
  description = "Where sensors send batches by HTTPS."
  value       = "https://${azurerm_function_app_flex_consumption.app["sensor"].default_hostname}/v1/events/sensor"
}

output "app_names" {
  description = "Names of the function apps that the package is deployed to."
  value       = { for name, app in azurerm_function_app_flex_consumption.app : name => app.name }
}

output "database_host" {
  description = "Host of the database, for infra/sql/azure.sql."
  value       = azurerm_postgresql_flexible_server.store.fqdn
}

output "database_roles" {
  description = "PostgreSQL roles that infra/sql/azure.sql makes, one for each app that stores."
  value       = [for app in local.inventory.apps : azurerm_user_assigned_identity.app[app.name].name]
}

output "event_hubs_namespace" {
  description = "Event Hubs namespace of sensors and spokes."
  value       = local.namespace_host
}

output "workspace_id" {
  description = "Workspace that incidents go to."
  value       = local.workspace_id
}

output "resource_group_name" {
  description = "Resource group of everything."
  value       = local.group
}

output "sync_principal_id" {
  description = "Object id of the identity that needs SecurityIncident.Read.All (ReadWrite.All with defender_write_back) on Microsoft Graph."
  value       = azurerm_user_assigned_identity.app["sync"].principal_id
}
