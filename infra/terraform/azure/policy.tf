# Azure Policy: every AKS and Arc cluster of the subscription gets the sensor, by Flux from a Git repository.
data "azurerm_subscription" "this" {}

locals {
  policy_roles = {
    aks = "ed7f3fbd-7b88-4dd4-9017-9adb7ce333f8" # Azure Kubernetes Service Contributor Role
    arc = "85cb6faf-e071-4c9b-8136-154b5a04f717" # Kubernetes Extension Contributor
  }
  policy_kinds = var.sensor_policy == null ? {} : {
    aks = { type = "Microsoft.ContainerService/managedClusters", title = "AKS clusters", roles = ["aks", "arc"], client = "reference(parameters('clusterId'), '2024-09-01').identityProfile.kubeletidentity.clientId" }
    arc = { type = "Microsoft.Kubernetes/connectedClusters", title = "Arc-enabled clusters", roles = ["arc"], client = "''" }
  }
  policy_grants = merge([for name, kind in local.policy_kinds : { for role in kind.roles : "${name}/${role}" => { kind = name, role = role } }]...)
  flux_id       = "[extensionResourceId(parameters('clusterId'), 'Microsoft.KubernetesConfiguration/extensions', 'flux')]"
}

resource "azurerm_policy_definition" "sensor" {
  for_each     = local.policy_kinds
  name         = "${var.name}-sensor-${each.key}"
  display_name = "Seawall: the sensor runs on ${each.value.title}"
  description  = "Installs the Flux extension and a Flux configuration that keeps the sensor at a tag of the given repository."
  policy_type  = "Custom"
  mode         = "Indexed"
  metadata     = jsonencode({ category = "Kubernetes", version = "1.0.0" })
  parameters = jsonencode({
    effect = {
      type          = "String"
      allowedValues = ["DeployIfNotExists", "AuditIfNotExists", "Disabled"]
      defaultValue  = "DeployIfNotExists"
      metadata      = { displayName = "Effect", description = "What happens on clusters without the sensor." }
    }
    repositoryUrl = { type = "String", metadata = { displayName = "Repository", description = "Git repository of the sensor." } }
    repositoryTag = { type = "String", metadata = { displayName = "Tag", description = "Tag that is installed." } }
    sensorValues  = { type = "Object", metadata = { displayName = "Values", description = "Variables of infra/flux/sensor." } }
  })
  policy_rule = jsonencode({
    "if" = { field = "type", equals = each.value.type }
    "then" = {
      effect = "[parameters('effect')]"
      details = {
        type            = "Microsoft.KubernetesConfiguration/fluxConfigurations"
        name            = "seawall-sensor"
        evaluationDelay = "AfterProvisioning"
        existenceCondition = {
          allOf = [
            { field = "Microsoft.KubernetesConfiguration/fluxConfigurations/complianceState", "in" = ["Compliant", "Pending"] },
            { field = "Microsoft.KubernetesConfiguration/fluxConfigurations/gitRepository.repositoryRef.tag", equals = "[parameters('repositoryTag')]" },
          ]
        }
        roleDefinitionIds = [for role in each.value.roles : "${local.role}${local.policy_roles[role]}"]
        deployment = {
          properties = {
            mode = "incremental"
            parameters = {
              cluster       = { value = "[field('name')]" }
              clusterId     = { value = "[field('id')]" }
              repositoryUrl = { value = "[parameters('repositoryUrl')]" }
              repositoryTag = { value = "[parameters('repositoryTag')]" }
              sensorValues  = { value = "[parameters('sensorValues')]" }
            }
            template = {
              "$schema"      = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
              contentVersion = "1.0.0.0"
              parameters = {
                cluster       = { type = "string" }
                clusterId     = { type = "string" }
                repositoryUrl = { type = "string" }
                repositoryTag = { type = "string" }
                sensorValues  = { type = "object" }
              }
              resources = [
                {
                  type       = "Microsoft.KubernetesConfiguration/extensions"
                  apiVersion = "2023-05-01"
                  name       = "flux"
                  scope      = "[concat('${each.value.type}/', parameters('cluster'))]"
                  properties = { extensionType = "microsoft.flux", autoUpgradeMinorVersion = true }
                },
                {
                  type       = "Microsoft.KubernetesConfiguration/fluxConfigurations"
                  apiVersion = "2023-05-01"
                  name       = "seawall-sensor"
                  scope      = "[concat('${each.value.type}/', parameters('cluster'))]"
                  dependsOn  = [local.flux_id]
                  properties = {
                    scope      = "cluster"
                    namespace  = "seawall-system"
                    sourceKind = "GitRepository"
                    gitRepository = {
                      url                   = "[parameters('repositoryUrl')]"
                      repositoryRef         = { tag = "[parameters('repositoryTag')]" }
                      syncIntervalInSeconds = 600
                      timeoutInSeconds      = 300
                    }
                    kustomizations = {
                      sensor = {
                        path                  = "./infra/flux/sensor"
                        prune                 = true
                        syncIntervalInSeconds = 600
                        postBuild = {
                          substitute = "[union(parameters('sensorValues'), createObject('cluster_name', parameters('cluster'), 'cluster_id', parameters('clusterId'), 'repository_tag', parameters('repositoryTag'), 'repository_url', parameters('repositoryUrl'), 'sensor_client_id', ${each.value.client}))]"
                        }
                      }
                    }
                  }
                },
              ]
            }
          }
        }
      }
    }
  })
}

resource "azurerm_subscription_policy_assignment" "sensor" {
  for_each             = local.policy_kinds
  name                 = "${var.name}-sensor-${each.key}"
  display_name         = "Seawall: the sensor runs on ${each.value.title}"
  subscription_id      = data.azurerm_subscription.this.id
  policy_definition_id = azurerm_policy_definition.sensor[each.key].id
  location             = var.location
  parameters = jsonencode({
    effect        = { value = var.sensor_policy.effect }
    repositoryUrl = { value = var.sensor_policy.repository_url }
    repositoryTag = { value = var.sensor_policy.repository_tag }
    sensorValues  = { value = { event_hubs_namespace = local.namespace_host, event_hub = local.hubs["sensor"].name, server_url = "https://${azurerm_function_app_flex_consumption.app["api"].default_hostname}", sensor_image = var.sensor_policy.image } }
  })
  identity {
    type = "SystemAssigned"
  }
}

# Remediation: read the cluster; install the extension and its configuration.
resource "azurerm_role_assignment" "policy" {
  for_each           = local.policy_grants
  scope              = data.azurerm_subscription.this.id
  role_definition_id = "${local.role}${local.policy_roles[each.value.role]}"
  principal_id       = azurerm_subscription_policy_assignment.sensor[each.value.kind].identity[0].principal_id
  principal_type     = "ServicePrincipal"
  description        = "Policy remediation: Microsoft.KubernetesConfiguration/extensions and fluxConfigurations write"
}

# Clusters that are there already; new ones are dealt with as they come.
resource "azurerm_subscription_policy_remediation" "sensor" {
  for_each                = try(var.sensor_policy.effect, "") == "DeployIfNotExists" ? local.policy_kinds : {}
  name                    = "${var.name}-sensor-${each.key}"
  subscription_id         = data.azurerm_subscription.this.id
  policy_assignment_id    = azurerm_subscription_policy_assignment.sensor[each.key].id
  resource_discovery_mode = "ReEvaluateCompliance"
  depends_on              = [azurerm_role_assignment.policy]
}
