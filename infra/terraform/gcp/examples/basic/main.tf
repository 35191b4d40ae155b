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
