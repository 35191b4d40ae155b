variable "project" {
  description = "Project that everything is made in."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project is a project id, not a name or number."
  }
}

variable "region" {
  description = "Region of functions, keys, database."
  type        = string
  default     = "europe-west1"
}

variable "name" {
  description = "Short name of this deployment, part of every resource name."
  type        = string
  default     = "seawall"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,14}$", var.name))
    error_message = "name is 3 to 15 lower-case letters, digits and hyphens."
  }
}

variable "image" {
  description = "Container image of functions/gcp by digest, as `make package-gcp` and functions/gcp/Containerfile build it."
  type        = string
  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image is a reference with a digest."
  }
}

variable "store_url" {
  description = "External PostgreSQL, postgresql+psycopg://user@host:5432/seawall; null = a Cloud SQL instance is made."
  type        = string
  default     = null
}

variable "database" {
  description = "Cloud SQL instance, where no store_url is given: tier, disk in GB, standby in another zone, protection against deletion."
  type        = object({ tier = string, storage_gb = number, high_availability = bool, deletion_protection = bool })
  default     = { tier = "db-custom-1-3840", storage_gb = 20, high_availability = false, deletion_protection = true }
}

variable "network" {
  description = "Network and subnetwork (self links) with private services access, for Cloud SQL and the functions' egress; null = none, and an external store."
  type        = object({ network = string, subnetwork = string })
  default     = null
}

variable "cluster_projects" {
  description = "Projects whose GKE audit logs are judged; a sink is made in each."
  type        = set(string)
  default     = []
}

variable "data_access_logs" {
  description = "Turn on data-access audit logs of Kubernetes (reads of secrets); billed by volume."
  type        = bool
  default     = false
}

variable "repository_projects" {
  description = "Projects whose Artifact Registry repositories are read."
  type        = set(string)
  default     = []
}

variable "registry_hosts" {
  description = "Hosts of registries that are listed every hour for pushes that nobody announced, for example europe-west1-docker.pkg.dev."
  type        = set(string)
  default     = []
  validation {
    condition     = alltrue([for host in var.registry_hosts : can(regex("^[a-z0-9.-]+(gcr\\.io|pkg\\.dev)$", host))])
    error_message = "registry_hosts are host names of Artifact Registry or gcr.io."
  }
}

variable "attach_attestations" {
  description = "Attach signed findings to images as referrers; needs the right to upload."
  type        = bool
  default     = true
}

variable "sensor_members" {
  description = "Principals (GKE workload identities) that may publish sensor batches."
  type        = set(string)
  default     = []
}

variable "hub" {
  description = "Azure hub that has the Defender connection: namespace, source, tenant and client id of the federated identity; null = none."
  type        = object({ namespace = string, source = string, tenant_id = string, client_id = string })
  default     = null
}

variable "federation" {
  description = "Identities of other clouds that may act as the reader: Entra tenant with audience and object id, or AWS account and role; null = none."
  type = object({
    azure = optional(object({ tenant_id = string, audience = string, object_id = string }))
    aws   = optional(object({ account_id = string, role = string }))
  })
  default = null
}

variable "api_token_secret" {
  description = "Secret Manager secret (short id, in this project, with a version) of the API's bearer token."
  type        = string
}

variable "webhook_secret" {
  description = "Secret Manager secret (short id, in this project, with a version) that webhooks share."
  type        = string
}

variable "public_api" {
  description = "Let anybody call the API's URL; the application asks for its own token, certificate or signature."
  type        = bool
  default     = true
}

variable "notification_channels" {
  description = "Monitoring notification channels of alarms."
  type        = list(string)
  default     = []
}

variable "maximum_instances" {
  description = "Most instances of one function."
  type        = number
  default     = 20
  validation {
    condition     = var.maximum_instances >= 1 && var.maximum_instances <= 1000
    error_message = "maximum_instances is 1 to 1000."
  }
}

variable "otlp_endpoint" {
  description = "OpenTelemetry collector (OTLP over HTTP) that the functions' spans go to, https://host:4318; empty = none."
  type        = string
  default     = ""
  validation {
    condition     = var.otlp_endpoint == "" || can(regex("^https?://", var.otlp_endpoint))
    error_message = "otlp_endpoint is a URL."
  }
}
