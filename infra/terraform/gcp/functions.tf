resource "google_service_account" "function" {
  for_each     = local.functions
  project      = var.project
  account_id   = substr("${local.prefix}${each.key}", 0, 30)
  display_name = "Seawall: ${each.key}"
  depends_on   = [google_project_service.this]
}

resource "google_service_account" "push" {
  project      = var.project
  account_id   = "${local.prefix}push"
  display_name = "Seawall: Pub/Sub calls functions"
  depends_on   = [google_project_service.this]
}

# iam.serviceAccounts.getOpenIdToken: Pub/Sub signs its pushes as the account above. Projects since April 2021 have it by default.
resource "google_service_account_iam_member" "push" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = local.pubsub_agent
  depends_on         = [google_pubsub_topic.this]
}

locals {
  store = var.store_url != null ? var.store_url : "postgresql+psycopg://%s@${google_sql_database_instance.store[0].private_ip_address}:5432/seawall?sslmode=require"
  environment = merge(
    {
      SEAWALL_DATA_DIR            = "/tmp/seawall"
      SEAWALL_LOG_FORMAT          = "json"
      SEAWALL_STORE_IDENTITY      = var.store_url == null ? "gcp" : ""
      SEAWALL_BLOB_URL            = "gs://${google_storage_bucket.data.name}/"
      SEAWALL_JOB_QUEUE__SERVICE  = "pubsub"
      SEAWALL_JOB_QUEUE__ENDPOINT = "projects/${var.project}"
      SEAWALL_JOB_QUEUE__PREFIX   = local.prefix
      SEAWALL_ATTACH_ATTESTATIONS = tostring(var.attach_attestations)
      # Pushes that nobody announced are found by listing these.
      SEAWALL_REGISTRIES           = jsonencode({ for host in var.registry_hosts : host => { reconcile = true } })
      SEAWALL_DISCOVERY            = jsonencode(length(var.cluster_projects) > 0 ? { gcp = { projects = var.cluster_projects, clusters = true } } : {})
      SEAWALL_SIGNING_KEY          = "gcpkms://${local.key_versions["findings"]}"
      SEAWALL_SENSOR_AUTHORITY_KEY = "gcpkms://${local.key_versions["sensors"]}"
    },
    var.hub == null ? {} : {
      SEAWALL_AZURE__IDENTITY  = "gcp"
      SEAWALL_AZURE__TENANT_ID = var.hub.tenant_id
      SEAWALL_AZURE__CLIENT_ID = var.hub.client_id
      SEAWALL_HUB__NAMESPACE   = var.hub.namespace
      SEAWALL_HUB__SOURCE      = var.hub.source
    },
    var.otlp_endpoint == "" ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT = var.otlp_endpoint },
  )
}

resource "google_cloud_run_v2_service" "function" {
  for_each            = local.functions
  project             = var.project
  location            = var.region
  name                = "${local.prefix}${each.key}"
  ingress             = each.key == "api" ? "INGRESS_TRAFFIC_ALL" : "INGRESS_TRAFFIC_INTERNAL_ONLY"
  deletion_protection = false
  template {
    service_account                  = google_service_account.function[each.key].email
    timeout                          = "${each.value.timeout}s"
    max_instance_request_concurrency = contains(["scan-image", "tick"], each.key) ? 1 : 20
    scaling {
      min_instance_count = 0
      max_instance_count = var.maximum_instances
    }
    containers {
      image = var.image
      resources {
        limits            = { cpu = "1", memory = each.value.memory }
        startup_cpu_boost = true
        cpu_idle          = true
      }
      env {
        name  = "FUNCTION_TARGET"
        value = each.value.entry
      }
      env {
        name  = "FUNCTION_SIGNATURE_TYPE"
        value = each.value.topic == "" ? "http" : "cloudevent"
      }
      env {
        name  = "SEAWALL_STORE_URL"
        value = var.store_url != null ? local.store : format(local.store, urlencode(trimsuffix(google_service_account.function[each.key].email, ".gserviceaccount.com")))
      }
      dynamic "env" {
        for_each = local.environment
        content {
          name  = env.key
          value = env.value
        }
      }
      dynamic "env" {
        for_each = each.key == "api" ? { SEAWALL_API_TOKEN = var.api_token_secret, SEAWALL_WEBHOOK_SECRET = var.webhook_secret } : {}
        content {
          name = env.key
          value_source {
            secret_key_ref {
              secret  = env.value
              version = "latest"
            }
          }
        }
      }
    }
    dynamic "vpc_access" {
      for_each = var.network == null ? [] : [var.network]
      content {
        egress = "PRIVATE_RANGES_ONLY"
        network_interfaces {
          network    = vpc_access.value.network
          subnetwork = vpc_access.value.subnetwork
        }
      }
    }
  }
  depends_on = [google_project_service.this, google_secret_manager_secret_iam_member.api]
}

# run.routes.invoke: Pub/Sub pushes.
resource "google_cloud_run_v2_service_iam_member" "push" {
  for_each = { for name, function in local.functions : name => function if function.topic != "" }
  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_service.function[each.key].name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${google_service_account.push.email}"
}

# run.routes.invoke: registries and sensors cannot sign Google requests; the application asks for its own token.
resource "google_cloud_run_v2_service_iam_member" "public" {
  count    = var.public_api ? 1 : 0
  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_service.function["api"].name
  role     = "roles/run.invoker"
  member   = "allUsers"
}

# secretmanager.versions.access: the API's two secrets.
resource "google_secret_manager_secret_iam_member" "api" {
  for_each  = toset([var.api_token_secret, var.webhook_secret])
  project   = var.project
  secret_id = each.key
  role      = "roles/secretmanager.secretAccessor"
  member    = local.account["api"]
}

# Custom role: what scanning reads of Artifact Registry; with attach_attestations it also uploads referrers.
resource "google_project_iam_custom_role" "images" {
  for_each = var.repository_projects
  project  = each.key
  role_id  = replace("${var.name}_images", "-", "_")
  title    = "Seawall: read images"
  permissions = concat(
    ["artifactregistry.repositories.get", "artifactregistry.repositories.list", "artifactregistry.repositories.downloadArtifacts", "artifactregistry.dockerimages.get", "artifactregistry.dockerimages.list"],
    var.attach_attestations ? ["artifactregistry.repositories.uploadArtifacts"] : [],
  )
}

# The role above, for the functions that scan and attach.
resource "google_project_iam_member" "images" {
  for_each = { for pair in setproduct(["scan-image", "tick"], var.repository_projects) : join("/", pair) => { function = pair[0], project = pair[1] } }
  project  = each.value.project
  role     = google_project_iam_custom_role.images[each.value.project].id
  member   = local.account[each.value.function]
}

# Custom role: what discovery and posture read, for the timers and for the reader that other clouds may act as.
resource "google_service_account" "reader" {
  project      = var.project
  account_id   = "${local.prefix}reader"
  display_name = "Seawall: reads clusters"
  depends_on   = [google_project_service.this]
}

locals {
  discovery = keys(jsondecode(file("${path.module}/../../discovery.json")).gcp)
  # Kubernetes kinds that GKE guards by IAM; secrets are left out.
  kinds = ["apiServices", "clusterRoleBindings", "clusterRoles", "configMaps", "cronJobs", "customResourceDefinitions", "daemonSets", "deployments", "horizontalPodAutoscalers", "ingresses", "jobs", "limitRanges", "mutatingWebhookConfigurations", "namespaces", "networkPolicies", "nodes", "persistentVolumeClaims", "persistentVolumes", "podDisruptionBudgets", "pods", "priorityClasses", "replicaSets", "replicationControllers", "resourceQuotas", "roleBindings", "roles", "runtimeClasses", "serviceAccounts", "services", "statefulSets", "storageClasses", "thirdPartyObjects", "validatingWebhookConfigurations"]
}

resource "google_project_iam_custom_role" "clusters" {
  for_each    = var.cluster_projects
  project     = each.key
  role_id     = replace("${var.name}_clusters", "-", "_")
  title       = "Seawall: read clusters"
  permissions = concat(local.discovery, [for kind in local.kinds : "container.${kind}.list"])
}

# The role above, for the timers and the reader.
resource "google_project_iam_member" "clusters" {
  for_each = { for pair in setproduct(["reader", "tick"], var.cluster_projects) : join("/", pair) => { who = pair[0], project = pair[1] } }
  project  = each.value.project
  role     = google_project_iam_custom_role.clusters[each.value.project].id
  member   = each.value.who == "tick" ? local.account["tick"] : "serviceAccount:${google_service_account.reader.email}"
}

resource "google_iam_workload_identity_pool" "this" {
  count                     = var.federation == null ? 0 : 1
  project                   = var.project
  workload_identity_pool_id = var.name
  display_name              = "Seawall in other clouds"
  depends_on                = [google_project_service.this]
}

resource "google_iam_workload_identity_pool_provider" "azure" {
  count                              = try(var.federation.azure, null) == null ? 0 : 1
  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.this[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "azure"
  attribute_mapping                  = { "google.subject" = "assertion.sub" }
  attribute_condition                = "assertion.sub == '${var.federation.azure.object_id}'"
  oidc {
    issuer_uri        = "https://sts.windows.net/${var.federation.azure.tenant_id}/"
    allowed_audiences = [var.federation.azure.audience]
  }
}

resource "google_iam_workload_identity_pool_provider" "aws" {
  count                              = try(var.federation.aws, null) == null ? 0 : 1
  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.this[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "aws"
  attribute_mapping = {
    "google.subject"     = "assertion.arn"
    "attribute.aws_role" = "assertion.arn.extract('assumed-role/{role}/')"
  }
  attribute_condition = "attribute.aws_role == '${var.federation.aws.role}'"
  aws {
    account_id = var.federation.aws.account_id
  }
}

# iam.serviceAccounts.getAccessToken: the two identities above, which the providers' conditions pin.
resource "google_service_account_iam_member" "federated" {
  count              = var.federation == null ? 0 : 1
  service_account_id = google_service_account.reader.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.this[0].name}/*"
}
