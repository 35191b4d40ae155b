variable "name" {
  description = "Short name of this deployment, part of every resource name."
  type        = string
  default     = "seawall"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,9}$", var.name))
    error_message = "name is 3 to 10 lower-case letters, digits and hyphens."
  }
}

variable "suffix" {
  description = "Part of globally unique names, 4 to 8 lower-case letters and digits."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9]{4,8}$", var.suffix))
    error_message = "suffix is 4 to 8 lower-case letters and digits."
  }
}

variable "location" {
  description = "Azure region."
  type        = string
}

variable "workspace" {
  description = "Log Analytics workspace with Sentinel that incidents go to; null = a new one, which an administrator then connects to the Defender portal."
  type        = object({ name = string, resource_group_name = string, location = string })
  default     = null
}

variable "daily_cap_gb" {
  description = "Gigabytes a day that a new workspace takes; -1 = no cap."
  type        = number
  default     = 10
}

variable "registries" {
  description = "Container registries whose pushes are scanned: name, resource group, region."
  type        = map(object({ id = string, resource_group_name = string, location = string }))
  default     = {}
}

variable "cluster_ids" {
  description = "Resource ids of AKS clusters whose audit log is judged."
  type        = set(string)
  default     = []
  validation {
    condition     = alltrue([for id in var.cluster_ids : can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.ContainerService/managedClusters/[^/]+$", id))])
    error_message = "cluster_ids are resource ids: /subscriptions/…/resourceGroups/…/providers/Microsoft.ContainerService/managedClusters/NAME."
  }
}

variable "audit_category" {
  description = "kube-audit has reads of secrets and costs more; kube-audit-admin leaves reads out."
  type        = string
  default     = "kube-audit"
  validation {
    condition     = contains(["kube-audit", "kube-audit-admin"], var.audit_category)
    error_message = "audit_category is kube-audit or kube-audit-admin."
  }
}

variable "code_deployed" {
  description = "The code is on the function apps, so that Event Grid may subscribe: false at the first apply, then true."
  type        = bool
  default     = false
}

variable "attach_attestations" {
  description = "Attach signed findings to the registries as referrers."
  type        = bool
  default     = true
}

variable "secrets" {
  description = "api-token and webhook-secret, at least 32 characters each; kept in Key Vault and in the state file."
  type        = map(string)
  sensitive   = true
  validation {
    condition     = length(var.secrets) == 2 && alltrue([for name in ["api-token", "webhook-secret"] : length(lookup(var.secrets, name, "")) >= 32])
    error_message = "secrets has api-token and webhook-secret with at least 32 characters each."
  }
}

variable "database_administrator" {
  description = "Entra principal that administers the database: object id, name, User, Group or ServicePrincipal."
  type        = object({ id = string, name = string, type = string })
  validation {
    condition     = contains(["User", "Group", "ServicePrincipal"], var.database_administrator.type) && can(regex("^[0-9a-fA-F-]{36}$", var.database_administrator.id))
    error_message = "database_administrator has an object id (a GUID) and is a User, Group or ServicePrincipal."
  }
}

variable "database" {
  description = "Size of the database: SKU as azurerm writes it, disk in MB, second server in another zone."
  type        = object({ sku = string, storage_mb = number, zone_redundant = bool })
  default     = { sku = "B_Standard_B2s", storage_mb = 32768, zone_redundant = false }
  validation {
    condition     = var.database.storage_mb >= 32768 && !(var.database.zone_redundant && startswith(var.database.sku, "B_"))
    error_message = "database has at least 32768 MB, and a burstable one cannot be zone redundant."
  }
}

variable "event_hubs_capacity" {
  description = "Throughput units of Event Hubs; each takes 1 MB a second."
  type        = number
  default     = 1
  validation {
    condition     = var.event_hubs_capacity >= 1 && var.event_hubs_capacity <= 10
    error_message = "event_hubs_capacity is 1 to 10."
  }
}

variable "sensor_principal_ids" {
  description = "Object ids of identities that sensors send with."
  type        = set(string)
  default     = []
}

variable "spoke_principal_ids" {
  description = "Object ids of identities of deployments in other clouds that forward to this one."
  type        = set(string)
  default     = []
}

variable "private_network" {
  description = "Everything but callers from outside goes over private endpoints; Terraform then runs where it reaches the vault's (it writes keys and secrets)."
  type        = bool
  default     = false
}

variable "address_space" {
  description = "Address space of the private network, /16 to /22."
  type        = string
  default     = "10.83.0.0/16"
  validation {
    condition     = can(cidrhost(var.address_space, 0)) && try(tonumber(split("/", var.address_space)[1]) >= 16 && tonumber(split("/", var.address_space)[1]) <= 22, false)
    error_message = "address_space is an IPv4 network of /16 to /22."
  }
}

variable "retention_days" {
  description = "Days that rows of the Seawall tables are kept."
  type        = number
  default     = 90
  validation {
    condition     = var.retention_days >= 30 && var.retention_days <= 730
    error_message = "retention_days is 30 to 730."
  }
}

variable "maximum_instances" {
  description = "Most instances of one app at a time."
  type        = number
  default     = 40
  validation {
    condition     = var.maximum_instances >= 1 && var.maximum_instances <= 1000
    error_message = "maximum_instances is 1 to 1000."
  }
}

variable "tags" {
  description = "Tags on every resource."
  type        = map(string)
  default     = {}
}

variable "storage_replication" {
  description = "Redundancy of the storage account of queues and bodies."
  type        = string
  default     = "ZRS"
  validation {
    condition     = contains(["LRS", "ZRS", "GRS", "GZRS"], var.storage_replication)
    error_message = "storage_replication is LRS, ZRS, GRS or GZRS."
  }
}

variable "capture" {
  description = "Keep a copy of all events in storage (Event Hubs Capture)."
  type        = bool
  default     = false
}

variable "event_hubs_local_auth" {
  description = "Let Event Hubs accept shared access signatures too: only where audit logs of clusters do not arrive without."
  type        = bool
  default     = false
}

variable "body_retention_days" {
  description = "Days that queued bodies and captured events are kept."
  type        = number
  default     = 14
  validation {
    condition     = var.body_retention_days >= 1
    error_message = "body_retention_days is at least 1."
  }
}

variable "keep_ready" {
  description = "Keep an instance of the API and of sensor ingest ready; without it a call after an idle time can take 30 s."
  type        = bool
  default     = true
}

variable "monitor_access_mode" {
  description = "PrivateOnly stops every other Azure Monitor traffic from networks that share its DNS."
  type        = string
  default     = "Open"
  validation {
    condition     = contains(["Open", "PrivateOnly"], var.monitor_access_mode)
    error_message = "monitor_access_mode is Open or PrivateOnly."
  }
}

variable "operators" {
  description = "Mail addresses that are told when Seawall itself fails; empty = no alerts and no budget."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for email in var.operators : can(regex("^[^@[:space:]]+@[^@[:space:]]+$", email))])
    error_message = "operators are mail addresses."
  }
}

variable "monthly_budget" {
  description = "Most that the resource group is to cost a month, in the currency of the subscription; 0 = no budget."
  type        = number
  default     = 0
  validation {
    condition     = var.monthly_budget >= 0
    error_message = "monthly_budget is 0 or more."
  }
}

variable "budget_start" {
  description = "First day of the month that the budget starts in, YYYY-MM-01; null = the month of the first apply."
  type        = string
  default     = null
  validation {
    condition     = var.budget_start == null || can(regex("^20[0-9]{2}-[01][0-9]-01$", var.budget_start))
    error_message = "budget_start is YYYY-MM-01."
  }
}

variable "sensor_policy" {
  description = "Put the sensor on every AKS and Arc cluster of the subscription by Azure Policy: Git repository with the sensor's chart, tag, repository of the image, effect; null = leave clusters alone."
  type        = object({ repository_url = string, repository_tag = string, image = string, effect = string })
  default     = null
  validation {
    condition     = var.sensor_policy == null || contains(["DeployIfNotExists", "AuditIfNotExists", "Disabled"], try(var.sensor_policy.effect, ""))
    error_message = "sensor_policy.effect is DeployIfNotExists, AuditIfNotExists or Disabled."
  }
}

variable "discover" {
  description = "Find and judge clusters and registries of the subscription: a custom role that reads their settings."
  type        = bool
  default     = true
}

variable "defender_write_back" {
  description = "Decisions made in Seawall also change incidents in the Defender portal; the sync identity then needs SecurityIncident.ReadWrite.All."
  type        = bool
  default     = false
}
