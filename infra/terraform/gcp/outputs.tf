output "api_url" {
  description = "Console, API, webhooks and sensors' door."
  value       = google_cloud_run_v2_service.function["api"].uri
}

output "tick_subject" {
  description = "Unique id of the identity that publishes: subject of the federated credential on the hub's identity in Azure (issuer https://accounts.google.com)."
  value       = google_service_account.function["tick"].unique_id
}

output "sensor_topic" {
  description = "Topic that sensors publish to."
  value       = google_pubsub_topic.this["${local.prefix}sensor-events"].id
}

output "dead_letter_subscription" {
  description = "Where messages lie that were given up."
  value       = google_pubsub_subscription.dead.id
}

output "store_host" {
  description = "Private address of Cloud SQL; empty with an external store."
  value       = try(google_sql_database_instance.store[0].private_ip_address, "")
}

output "store_users" {
  description = "PostgreSQL users of the functions, for infra/sql/cloudsql.sql; empty with an external store."
  value       = [for user in google_sql_user.function : user.name]
}
