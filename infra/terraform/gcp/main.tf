data "google_project" "this" {
  project_id = var.project
}

locals {
  prefix       = "${var.name}-"
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  # Topics of jobs, as seawall.adapters.job_queues names them, and those that others publish to.
  jobs    = ["images", "audit", "sensor", "posture", "correlate"]
  topics  = toset(concat([for job in local.jobs : "${local.prefix}${job}"], ["gcr", "${local.prefix}audit-logs", "${local.prefix}sensor-events", "${local.prefix}tick"]))
  timers  = { publish = "* * * * *", rescan = "40 * * * *", advisories = "5 */6 * * *", reconcile = "20 * * * *", discover = "17 * * * *" }
  account = { for name, service in google_service_account.function : name => "serviceAccount:${service.email}" }

  # What each function takes, from which topic, with how much, and which topics it publishes to.
  functions = {
    image-pushed  = { entry = "image_pushed", topic = "gcr", memory = "512Mi", timeout = 60, sends = ["images"] }
    scan-image    = { entry = "run_job", topic = "${local.prefix}images", memory = "4Gi", timeout = 600, sends = ["images", "correlate"] }
    audit-again   = { entry = "run_job", topic = "${local.prefix}audit", memory = "1Gi", timeout = 120, sends = ["correlate"] }
    sensor-again  = { entry = "run_job", topic = "${local.prefix}sensor", memory = "1Gi", timeout = 120, sends = ["correlate"] }
    posture       = { entry = "run_job", topic = "${local.prefix}posture", memory = "1Gi", timeout = 300, sends = ["correlate"] }
    correlate     = { entry = "run_job", topic = "${local.prefix}correlate", memory = "1Gi", timeout = 120, sends = ["correlate"] }
    audit-logs    = { entry = "audit_logs", topic = "${local.prefix}audit-logs", memory = "1Gi", timeout = 120, sends = ["audit", "correlate"] }
    sensor-events = { entry = "sensor_events", topic = "${local.prefix}sensor-events", memory = "1Gi", timeout = 120, sends = ["sensor", "correlate"] }
    tick          = { entry = "tick", topic = "${local.prefix}tick", memory = "4Gi", timeout = 600, sends = ["images", "correlate"] }
    api           = { entry = "api", topic = "", memory = "1Gi", timeout = 60, sends = local.jobs }
  }
  sends = merge([for name, function in local.functions : { for topic in function.sends : "${name}/${topic}" => { function = name, topic = "${local.prefix}${topic}" } }]...)
}

# Also those that the functions call elsewhere (container: clusters of other projects): calls count for the caller's project.
resource "google_project_service" "this" {
  for_each           = toset(["run", "pubsub", "cloudkms", "secretmanager", "sqladmin", "cloudscheduler", "logging", "iam", "iamcredentials", "sts", "artifactregistry", "container", "monitoring", "storage"])
  project            = var.project
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_kms_key_ring" "this" {
  project    = var.project
  name       = var.name
  location   = var.region
  depends_on = [google_project_service.this]
}

resource "google_kms_crypto_key" "signing" {
  for_each = toset(["findings", "sensors"])
  name     = each.key
  key_ring = google_kms_key_ring.this.id
  purpose  = "ASYMMETRIC_SIGN"
  version_template {
    algorithm        = "EC_SIGN_P256_SHA256"
    protection_level = "SOFTWARE"
  }
}

# sign: attestations of findings, certificates of sensors; the sensors' door reads the public key.
resource "google_kms_crypto_key_iam_member" "sign" {
  for_each      = { "scan-image" = "findings", "tick" = "findings", "api" = "sensors" }
  crypto_key_id = google_kms_crypto_key.signing[each.value].id
  role          = "roles/cloudkms.signerVerifier"
  member        = local.account[each.key]
}

# cloudkms.cryptoKeyVersions.viewPublicKey: certificates of sensors are checked.
resource "google_kms_crypto_key_iam_member" "read" {
  for_each      = toset(["sensor-events", "sensor-again"])
  crypto_key_id = google_kms_crypto_key.signing["sensors"].id
  role          = "roles/cloudkms.publicKeyViewer"
  member        = local.account[each.key]
}

locals {
  # The application names a version; a key is made with its first.
  key_versions = { for name, key in google_kms_crypto_key.signing : name => "${key.id}/cryptoKeyVersions/1" }
}

resource "google_storage_bucket" "data" {
  project                     = var.project
  name                        = "${var.project}-${var.name}"
  location                    = var.region
  uniform_bucket_level_access = true
  depends_on                  = [google_project_service.this]
  public_access_prevention    = "enforced"
  versioning {
    enabled = true
  }
  lifecycle_rule {
    condition {
      age            = 14
      matches_prefix = ["jobs/"]
    }
    action {
      type = "Delete"
    }
  }
  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 7
    }
    action {
      type = "Delete"
    }
  }
}

# get and put of bodies, layer caches, the advisory file; no right to change the bucket.
resource "google_storage_bucket_iam_member" "data" {
  for_each = local.functions
  bucket   = google_storage_bucket.data.name
  role     = "roles/storage.objectUser"
  member   = local.account[each.key]
}

resource "google_pubsub_topic" "this" {
  for_each                   = local.topics
  project                    = var.project
  name                       = each.key
  message_retention_duration = "86400s"
  depends_on                 = [google_project_service.this]
}

resource "google_pubsub_topic" "dead" {
  project    = var.project
  name       = "${local.prefix}dead"
  depends_on = [google_project_service.this]
}

resource "google_pubsub_subscription" "dead" {
  project                    = var.project
  name                       = "${local.prefix}dead"
  topic                      = google_pubsub_topic.dead.id
  message_retention_duration = "604800s"
  expiration_policy {
    ttl = ""
  }
}

# Pub/Sub itself moves messages to the dead-letter topic.
resource "google_pubsub_topic_iam_member" "dead" {
  project = var.project
  topic   = google_pubsub_topic.dead.name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}

# pubsub.topics.publish: job_queues.put, and what failed too often.
resource "google_pubsub_topic_iam_member" "send" {
  for_each = local.sends
  project  = var.project
  topic    = google_pubsub_topic.this[each.value.topic].name
  role     = "roles/pubsub.publisher"
  member   = local.account[each.value.function]
}

# pubsub.topics.publish: batches of sensors.
resource "google_pubsub_topic_iam_member" "sensors" {
  for_each = var.sensor_members
  project  = var.project
  topic    = google_pubsub_topic.this["${local.prefix}sensor-events"].name
  role     = "roles/pubsub.publisher"
  member   = each.key
}

resource "google_pubsub_subscription" "function" {
  for_each                = { for name, function in local.functions : name => function if function.topic != "" }
  project                 = var.project
  name                    = "${local.prefix}${each.key}"
  topic                   = google_pubsub_topic.this[each.value.topic].id
  ack_deadline_seconds    = each.value.timeout
  enable_message_ordering = each.key == "correlate"
  push_config {
    push_endpoint = google_cloud_run_v2_service.function[each.key].uri
    oidc_token {
      service_account_email = google_service_account.push.email
    }
  }
  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead.id
    max_delivery_attempts = 20
  }
  expiration_policy {
    ttl = ""
  }
}

# Pub/Sub acknowledges what it has moved away.
resource "google_pubsub_subscription_iam_member" "dead" {
  for_each     = google_pubsub_subscription.function
  project      = var.project
  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

resource "google_monitoring_alert_policy" "dead" {
  project      = var.project
  display_name = "Seawall: messages were given up"
  combiner     = "OR"
  conditions {
    display_name = "messages in ${local.prefix}dead"
    condition_threshold {
      filter          = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.dead.name}\" AND metric.type = \"pubsub.googleapis.com/subscription/num_undelivered_messages\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "300s"
      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }
  notification_channels = var.notification_channels
}

resource "google_cloud_scheduler_job" "tick" {
  for_each  = local.timers
  project   = var.project
  region    = var.region
  name      = "${local.prefix}${each.key}"
  schedule  = each.value
  time_zone = "Etc/UTC"
  pubsub_target {
    topic_name = google_pubsub_topic.this["${local.prefix}tick"].id
    data       = base64encode(jsonencode({ timer = each.key }))
  }
}

# GKE audit logs of each project.
resource "google_logging_project_sink" "audit" {
  for_each               = var.cluster_projects
  project                = each.key
  name                   = "${local.prefix}audit"
  destination            = "pubsub.googleapis.com/${google_pubsub_topic.this["${local.prefix}audit-logs"].id}"
  filter                 = "resource.type=\"k8s_cluster\" AND protoPayload.serviceName=\"k8s.io\""
  unique_writer_identity = true
}

# pubsub.topics.publish: the log sink's own identity.
resource "google_pubsub_topic_iam_member" "sink" {
  for_each = google_logging_project_sink.audit
  project  = var.project
  topic    = google_pubsub_topic.this["${local.prefix}audit-logs"].name
  role     = "roles/pubsub.publisher"
  member   = each.value.writer_identity
}

resource "google_project_iam_audit_config" "reads" {
  for_each = var.data_access_logs ? var.cluster_projects : []
  project  = each.key
  service  = "container.googleapis.com"
  audit_log_config {
    log_type = "DATA_READ"
  }
}
