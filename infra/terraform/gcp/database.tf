# Cloud SQL for PostgreSQL, where no store is given. Functions log in by IAM tokens, as users of the role `seawall`.
resource "google_sql_database_instance" "store" {
  count               = var.store_url == null ? 1 : 0
  project             = var.project
  region              = var.region
  name                = "${local.prefix}store"
  database_version    = "POSTGRES_16"
  deletion_protection = var.database.deletion_protection
  depends_on          = [google_project_service.this]
  settings {
    tier              = var.database.tier
    disk_size         = var.database.storage_gb
    disk_autoresize   = true
    availability_type = var.database.high_availability ? "REGIONAL" : "ZONAL"
    dynamic "database_flags" {
      for_each = merge({ "cloudsql.iam_authentication" = "on" }, { for event in ["checkpoints", "connections", "disconnections", "lock_waits"] : "log_${event}" => "on" })
      content {
        name  = database_flags.key
        value = database_flags.value
      }
    }
    ip_configuration {
      ipv4_enabled    = false
      private_network = try(var.network.network, null)
      ssl_mode        = "ENCRYPTED_ONLY"
    }
    backup_configuration {
      enabled                        = true
      point_in_time_recovery_enabled = true
    }
  }
  lifecycle {
    precondition {
      condition     = var.network != null
      error_message = "Cloud SQL needs var.network; give it, or an external store by store_url."
    }
  }
}

resource "google_sql_database" "store" {
  count    = var.store_url == null ? 1 : 0
  project  = var.project
  name     = "seawall"
  instance = google_sql_database_instance.store[0].name
}

resource "google_sql_user" "function" {
  for_each = var.store_url == null ? local.functions : {}
  project  = var.project
  instance = google_sql_database_instance.store[0].name
  name     = trimsuffix(google_service_account.function[each.key].email, ".gserviceaccount.com")
  type     = "CLOUD_IAM_SERVICE_ACCOUNT"
}

# cloudsql.instances.login
resource "google_project_iam_member" "store" {
  for_each = var.store_url == null ? local.functions : {}
  project  = var.project
  role     = "roles/cloudsql.instanceUser"
  member   = local.account[each.key]
}
