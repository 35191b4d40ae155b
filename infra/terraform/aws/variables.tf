variable "name" {
  description = "Short name of this deployment, part of every resource name."
  type        = string
  default     = "seawall"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,19}$", var.name))
    error_message = "name is 3 to 20 lower-case letters, digits and hyphens."
  }
}

variable "package" {
  description = "Zip that `make package-aws` writes."
  type        = string
  validation {
    condition     = endswith(var.package, ".zip")
    error_message = "package is a .zip file."
  }
}

variable "store_url" {
  description = "External PostgreSQL, postgresql+psycopg://user@host:5432/seawall; null = an RDS instance is made."
  type        = string
  default     = null
  validation {
    condition     = var.store_url == null || startswith(coalesce(var.store_url, "x"), "postgresql+psycopg://")
    error_message = "store_url starts with postgresql+psycopg://."
  }
}

variable "database" {
  description = "RDS instance, where no store_url is given: class, disk in GB, standby in another zone, keep on destroy."
  type        = object({ class = string, storage_gb = number, multi_az = bool, deletion_protection = bool })
  default     = { class = "db.t4g.small", storage_gb = 20, multi_az = false, deletion_protection = true }
  validation {
    condition     = var.database.storage_gb >= 20
    error_message = "RDS disks have at least 20 GB."
  }
}

variable "network" {
  description = "Network of RDS and of the functions, with NAT or endpoints for S3, SQS, KMS, ECR, STS; null = functions outside a VPC and an external store."
  type        = object({ vpc_id = string, subnet_ids = list(string) })
  default     = null
  validation {
    condition     = var.network == null || try(length(var.network.subnet_ids) >= 2, false)
    error_message = "network has at least two subnets, in two zones."
  }
}

variable "clusters" {
  description = "Names of EKS clusters whose audit log is judged; their control-plane log type `audit` is on."
  type        = set(string)
  default     = []
  validation {
    condition     = alltrue([for name in var.clusters : can(regex("^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$", name))])
    error_message = "clusters are names, not ARNs."
  }
}

variable "access_entries" {
  description = "Give the posture reader a read-only access entry on the clusters (authentication mode API or API_AND_CONFIG_MAP)."
  type        = bool
  default     = true
}

variable "discover" {
  description = "Find and judge EKS clusters, ECR repositories and ECS tasks of the account: rights that read their settings."
  type        = bool
  default     = true
}

variable "audit_transport" {
  description = "stream: CloudWatch Logs to Kinesis, in order and with retries; direct: straight to Lambda, cheaper for few events."
  type        = string
  default     = "stream"
  validation {
    condition     = contains(["stream", "direct"], var.audit_transport)
    error_message = "audit_transport is stream or direct."
  }
}

variable "sensor_shards" {
  description = "Shards of the sensors' stream, 1 MB a second each; 0 = on demand."
  type        = number
  default     = 0
  validation {
    condition     = var.sensor_shards >= 0 && var.sensor_shards <= 100
    error_message = "sensor_shards is 0 to 100."
  }
}

variable "sensor_role_arns" {
  description = "Roles of sensors (EKS Pod Identity, IRSA) that may put records."
  type        = list(string)
  default     = []
}

variable "attach_attestations" {
  description = "Attach signed findings to ECR repositories as referrers; needs push rights."
  type        = bool
  default     = true
}

variable "repository_arns" {
  description = "ECR repositories that are read, and written to with attach_attestations."
  type        = list(string)
  default     = ["arn:aws:ecr:*:*:repository/*"]
  validation {
    condition     = length(var.repository_arns) > 0 && alltrue([for arn in var.repository_arns : can(regex("^arn:[a-z-]+:ecr:[^:]+:[^:]+:repository/.+$", arn))])
    error_message = "repository_arns are arn:aws:ecr:REGION:ACCOUNT:repository/NAME."
  }
}

variable "hub" {
  description = "Azure hub that has the Defender connection: namespace, source, tenant and client id of the federated identity; null = none."
  type        = object({ namespace = string, source = string, tenant_id = string, client_id = string })
  default     = null
}

variable "security_hub" {
  description = "Publish findings to AWS Security Hub."
  type        = bool
  default     = false
}

variable "alarm_topic_arn" {
  description = "SNS topic of alarms; empty = alarms without a receiver."
  type        = string
  default     = ""
}

variable "maximum_concurrency" {
  description = "Most concurrent runs of each queue's function."
  type        = number
  default     = 20
  validation {
    condition     = var.maximum_concurrency >= 2 && var.maximum_concurrency <= 1000
    error_message = "maximum_concurrency is 2 to 1000 (a limit of SQS event sources)."
  }
}

variable "log_retention_days" {
  description = "Days that logs of the functions are kept."
  type        = number
  default     = 30
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is one of the numbers that CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, ..."
  }
}

variable "tags" {
  description = "Tags on every resource."
  type        = map(string)
  default     = {}
}

variable "api_token" {
  description = "Bearer token of API and console, at least 32 characters; kept in Secrets Manager and in the state file."
  type        = string
  sensitive   = true
  validation {
    condition     = length(var.api_token) >= 32
    error_message = "api_token has at least 32 characters."
  }
}

variable "webhook_secret" {
  description = "Shared secret of registry and audit webhooks, at least 32 characters; kept in Secrets Manager and in the state file."
  type        = string
  sensitive   = true
  validation {
    condition     = length(var.webhook_secret) >= 32
    error_message = "webhook_secret has at least 32 characters."
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
