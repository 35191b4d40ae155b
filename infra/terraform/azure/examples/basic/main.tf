# One registry and one cluster; incidents go to the workspace of the security operations centre.
provider "azurerm" {
  features {}
  storage_use_azuread = true # shared keys are off
}

variable "secrets" {
  description = "api-token and webhook-secret."
  type        = map(string)
  sensitive   = true
}

module "seawall" {
  source    = "../.."
  suffix    = "x7k2"
  location  = "westeurope"
  secrets   = var.secrets
  workspace = { name = "soc", resource_group_name = "soc-rg", location = "westeurope" }
  registries = {
    acmereg = {
      id                  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shop-rg/providers/Microsoft.ContainerRegistry/registries/acmereg"
      resource_group_name = "shop-rg"
      location            = "westeurope"
    }
  }
  cluster_ids            = ["/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/shop-rg/providers/Microsoft.ContainerService/managedClusters/prod"]
  database_administrator = { id = "00000000-0000-0000-0000-000000000000", name = "dba@acme.example", type = "User" }
  operators              = ["platform@acme.example"]
  monthly_budget         = 500
}

output "console_url" {
  description = "Console and API."
  value       = module.seawall.console_url
}

output "database_host" {
  description = "Host of the database, for infra/sql/azure.sql."
  value       = module.seawall.database_host
}

output "database_roles" {
  description = "Roles to make in it, for infra/sql/azure.sql."
  value       = module.seawall.database_roles
}

output "app_names" {
  description = "Function apps to put the packages on."
  value       = module.seawall.app_names
}

output "sync_principal_id" {
  description = "Identity that needs the Microsoft Graph role."
  value       = module.seawall.sync_principal_id
}
