# One project with one cluster's logs, an external PostgreSQL.
provider "google" {
  project = "acme-security"
  region  = "europe-west1"
}

module "seawall" {
  source              = "../.."
  project             = "acme-security"
  image               = "europe-west1-docker.pkg.dev/acme-security/seawall/functions@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  store_url           = "postgresql+psycopg://seawall@db.internal.example:5432/seawall?sslmode=require"
  cluster_projects    = ["acme-prod"]
  repository_projects = ["acme-prod"]
  api_token_secret    = "seawall-api-token"
  webhook_secret      = "seawall-webhook-secret"
}

output "api_url" {
  description = "Console and API."
  value       = module.seawall.api_url
}

output "store_host" {
  description = "Host of the database that the module makes with `store_url = null`."
  value       = module.seawall.store_host
}

output "store_users" {
  description = "Users of that database, for infra/sql/cloudsql.sql."
  value       = module.seawall.store_users
}

output "tick_subject" {
  description = "Subject of the federated credential that lets this deployment into the hub."
  value       = module.seawall.tick_subject
}

output "sensor_topic" {
  description = "Topic that sensors publish to."
  value       = module.seawall.sensor_topic
}
