# By mocks: what is made, from which inputs, for whom.
mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}

variables {
  project          = "acme-security"
  image            = "europe-west1-docker.pkg.dev/acme-security/seawall/functions@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  store_url        = "postgresql+psycopg://seawall@db.internal.example:5432/seawall?sslmode=require"
  api_token_secret = "seawall-api-token"
  webhook_secret   = "seawall-webhook-secret"
}

run "everything" {
  variables {
    store_url           = null
    network             = { network = "projects/acme-security/global/networks/main", subnetwork = "projects/acme-security/regions/europe-west1/subnetworks/main" }
    cluster_projects    = ["acme-prod", "acme-test"]
    repository_projects = ["acme-prod"]
    data_access_logs    = true
    sensor_members      = ["serviceAccount:sensor@acme-prod.iam.gserviceaccount.com"]
    hub                 = { namespace = "seawall-events-x7k2.servicebus.windows.net", source = "gcp:acme-security", tenant_id = "00000000-0000-0000-0000-000000000001", client_id = "00000000-0000-0000-0000-000000000002" }
    federation = {
      azure = { tenant_id = "00000000-0000-0000-0000-000000000001", audience = "api://seawall", object_id = "00000000-0000-0000-0000-000000000003" }
      aws   = { account_id = "123456789012", role = "seawall-tick" }
    }
  }
  assert {
    condition     = alltrue([for subscription in google_pubsub_subscription.function : subscription.dead_letter_policy[0].dead_letter_topic == google_pubsub_topic.dead.id && subscription.dead_letter_policy[0].max_delivery_attempts >= 5])
    error_message = "a subscription has no dead-letter topic"
  }
  assert {
    condition     = alltrue([for name, subscription in google_pubsub_subscription.function : subscription.ack_deadline_seconds == local.functions[name].timeout && subscription.ack_deadline_seconds <= 600])
    error_message = "a message is given out again while its function still runs"
  }
  assert {
    condition     = [for name, subscription in google_pubsub_subscription.function : name if subscription.enable_message_ordering] == ["correlate"]
    error_message = "incidents of one cluster are correlated in order, and nothing else waits for it"
  }
  assert {
    condition     = length(google_pubsub_subscription_iam_member.dead) == length(google_pubsub_subscription.function)
    error_message = "Pub/Sub cannot acknowledge what it moves away"
  }
  assert {
    condition     = [for name, service in google_cloud_run_v2_service.function : name if service.ingress == "INGRESS_TRAFFIC_ALL"] == ["api"]
    error_message = "another function than the API is reachable from the internet"
  }
  assert {
    condition     = alltrue([for service in google_cloud_run_v2_service.function : length(service.template[0].vpc_access) == 1])
    error_message = "a function does not reach Cloud SQL"
  }
  assert {
    condition     = toset(keys(google_logging_project_sink.audit)) == toset(["acme-prod", "acme-test"]) && length(google_pubsub_topic_iam_member.sink) == 2 && length(google_project_iam_audit_config.reads) == 2
    error_message = "a project's audit log does not come"
  }
  assert {
    condition     = google_sql_database_instance.store[0].settings[0].ip_configuration[0].ipv4_enabled == false && google_sql_database_instance.store[0].settings[0].ip_configuration[0].ssl_mode == "ENCRYPTED_ONLY"
    error_message = "Cloud SQL has a public address or takes plain text"
  }
  assert {
    condition     = google_iam_workload_identity_pool_provider.azure[0].attribute_condition == "assertion.sub == '00000000-0000-0000-0000-000000000003'" && google_iam_workload_identity_pool_provider.aws[0].attribute_condition == "attribute.aws_role == 'seawall-tick'"
    error_message = "a pool lets more than one identity in"
  }
  assert {
    condition     = alltrue([for role in concat(values(google_project_iam_custom_role.images), values(google_project_iam_custom_role.clusters)) : alltrue([for permission in role.permissions : can(regex("\\.(get|list|downloadArtifacts|uploadArtifacts)$", permission))])])
    error_message = "a reader's role can write"
  }
}

run "secrets_and_keys_reach_who_needs_them" {
  command = plan
  assert {
    condition     = alltrue([for name, service in google_cloud_run_v2_service.function : (name == "api") == contains([for item in service.template[0].containers[0].env : item.name], "SEAWALL_API_TOKEN")])
    error_message = "the API token is on another function"
  }
  assert {
    condition     = toset(keys(google_kms_crypto_key_iam_member.sign)) == toset(["scan-image", "tick", "api"]) && toset([for item in google_kms_crypto_key_iam_member.read : item.role]) == toset(["roles/cloudkms.publicKeyViewer"])
    error_message = "a function signs that has nothing to sign"
  }
  assert {
    condition     = length(google_sql_database_instance.store) + length(google_iam_workload_identity_pool.this) + length(google_project_iam_audit_config.reads) == 0
    error_message = "something optional is made without being asked for"
  }
}

run "cloud_sql_needs_a_network" {
  command = plan
  variables {
    store_url = null
  }
  expect_failures = [google_sql_database_instance.store]
}

run "everything_wrong" {
  command = plan
  variables {
    project           = "Acme Security"
    name              = "S"
    image             = "europe-west1-docker.pkg.dev/acme-security/seawall/functions:latest"
    maximum_instances = 0
  }
  expect_failures = [var.project, var.name, var.image, var.maximum_instances]
}
