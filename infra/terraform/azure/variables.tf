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
  description = "Log Analytics workspace with Sentinel that incidents go to."
  type        = object({ name = string, resource_group_name = string, location = string })
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
}

variable "database" {
  description = "Size of the database: SKU as azurerm writes it, disk in MB, second server in another zone."
  type        = object({ sku = string, storage_mb = number, zone_redundant = bool })
  default     = { sku = "B_Standard_B2s", storage_mb = 32768, zone_redundant = false }
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
  description = "Everything but callers from outside goes over private endpoints."
  type        = bool
  default     = false
}

variable "address_space" {
  description = "Address space of the private network."
  type        = string
  default     = "10.83.0.0/16"
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
}

variable "tags" {
  description = "Tags on every resource."
  type        = map(string)
  default     = {}
}
