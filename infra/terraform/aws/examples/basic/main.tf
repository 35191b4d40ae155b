# One account, one cluster, an external PostgreSQL, findings forwarded to the Azure hub.
provider "aws" {
  region = "eu-west-1"
}

variable "api_token" {
  description = "Bearer token of API and console."
  type        = string
  sensitive   = true
}

variable "webhook_secret" {
  description = "Shared secret of webhooks."
  type        = string
  sensitive   = true
}

module "seawall" {
  source         = "../.."
  package        = "../../../../../dist/seawall-aws.zip"
  store_url      = "postgresql+psycopg://seawall@db.internal.example:5432/seawall?sslmode=require"
  clusters       = ["prod"]
  api_token      = var.api_token
  webhook_secret = var.webhook_secret
  hub = {
    namespace = "seawall-events-abc123.servicebus.windows.net"
    source    = "aws:123456789012:eu-west-1"
    tenant_id = "00000000-0000-0000-0000-000000000000"
    client_id = "00000000-0000-0000-0000-000000000000"
  }
}

output "api_url" {
  description = "Console and API."
  value       = module.seawall.api_url
}

output "store_host" {
  description = "Host of the database that the module makes with `store_url = null`."
  value       = module.seawall.store_host
}

output "tick_role_arn" {
  description = "Subject of the federated credential that lets this deployment into the hub."
  value       = module.seawall.tick_role_arn
}

output "sensor_stream" {
  description = "Kinesis stream that sensors write to."
  value       = module.seawall.sensor_stream
}
