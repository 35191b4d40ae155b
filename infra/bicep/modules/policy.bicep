// Azure Policy: every AKS and Arc cluster of the subscription gets the sensor, by Flux from a Git repository.
targetScope = 'subscription'

@description('Short name of this deployment.')
param name string

@description('Azure region of the assignments\' identities.')
param location string

@description('Git repository that holds the sensor\'s chart and infra/flux/sensor.')
param repositoryUrl string

@description('Tag of the repository that is installed.')
param repositoryTag string

@description('What happens on clusters without it.')
@allowed(['DeployIfNotExists', 'AuditIfNotExists', 'Disabled'])
param effect string

@description('Values of the sensor that the clusters get, by variable of infra/flux/sensor.')
param sensorValues { *: string }

var contributor = {
  aks: 'ed7f3fbd-7b88-4dd4-9017-9adb7ce333f8' // Azure Kubernetes Service Contributor Role
  arc: '85cb6faf-e071-4c9b-8136-154b5a04f717' // Kubernetes Extension Contributor
}
var kinds = [
  { id: 'aks', type: 'Microsoft.ContainerService/managedClusters', title: 'AKS clusters', roles: [contributor.aks, contributor.arc], client: 'reference(parameters(\'clusterId\'), \'2024-09-01\').identityProfile.kubeletidentity.clientId' }
  { id: 'arc', type: 'Microsoft.Kubernetes/connectedClusters', title: 'Arc-enabled clusters', roles: [contributor.arc], client: '\'\'' }
]

resource definition 'Microsoft.Authorization/policyDefinitions@2025-01-01' = [for kind in kinds: {
  name: '${name}-sensor-${kind.id}'
  properties: {
    displayName: 'Seawall: the sensor runs on ${kind.title}'
    description: 'Installs the Flux extension and a Flux configuration that keeps the sensor at a tag of the given repository.'
    policyType: 'Custom'
    mode: 'Indexed'
    metadata: { category: 'Kubernetes', version: '1.0.0' }
    parameters: {
      effect: {
        type: 'String'
        allowedValues: ['DeployIfNotExists', 'AuditIfNotExists', 'Disabled']
        defaultValue: 'DeployIfNotExists'
        metadata: { displayName: 'Effect', description: 'What happens on clusters without the sensor.' }
      }
      repositoryUrl: { type: 'String', metadata: { displayName: 'Repository', description: 'Git repository of the sensor.' } }
      repositoryTag: { type: 'String', metadata: { displayName: 'Tag', description: 'Tag that is installed.' } }
      sensorValues: { type: 'Object', metadata: { displayName: 'Values', description: 'Variables of infra/flux/sensor.' } }
    }
    policyRule: {
      if: { field: 'type', equals: kind.type }
      then: {
        effect: '[parameters(\'effect\')]'
        details: {
          type: 'Microsoft.KubernetesConfiguration/fluxConfigurations'
          name: 'seawall-sensor'
          evaluationDelay: 'AfterProvisioning'
          existenceCondition: {
            allOf: [
              { field: 'Microsoft.KubernetesConfiguration/fluxConfigurations/complianceState', in: ['Compliant', 'Pending'] }
              {
                field: 'Microsoft.KubernetesConfiguration/fluxConfigurations/gitRepository.repositoryRef.tag'
                equals: '[parameters(\'repositoryTag\')]'
              }
            ]
          }
          roleDefinitionIds: map(kind.roles, role => '/providers/Microsoft.Authorization/roleDefinitions/${role}')
          deployment: {
            properties: {
              mode: 'incremental'
              parameters: {
                cluster: { value: '[field(\'name\')]' }
                clusterId: { value: '[field(\'id\')]' }
                repositoryUrl: { value: '[parameters(\'repositoryUrl\')]' }
                repositoryTag: { value: '[parameters(\'repositoryTag\')]' }
                sensorValues: { value: '[parameters(\'sensorValues\')]' }
              }
              template: {
                '$schema': 'https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#'
                contentVersion: '1.0.0.0'
                parameters: {
                  cluster: { type: 'string' }
                  clusterId: { type: 'string' }
                  repositoryUrl: { type: 'string' }
                  repositoryTag: { type: 'string' }
                  sensorValues: { type: 'object' }
                }
                resources: [
                  {
                    type: 'Microsoft.KubernetesConfiguration/extensions'
                    apiVersion: '2023-05-01'
                    name: 'flux'
                    scope: '[concat(\'${kind.type}/\', parameters(\'cluster\'))]'
                    properties: { extensionType: 'microsoft.flux', autoUpgradeMinorVersion: true }
                  }
                  {
                    type: 'Microsoft.KubernetesConfiguration/fluxConfigurations'
                    apiVersion: '2023-05-01'
                    name: 'seawall-sensor'
                    scope: '[concat(\'${kind.type}/\', parameters(\'cluster\'))]'
                    dependsOn: ['[extensionResourceId(parameters(\'clusterId\'), \'Microsoft.KubernetesConfiguration/extensions\', \'flux\')]']
                    properties: {
                      scope: 'cluster'
                      namespace: 'seawall-system'
                      sourceKind: 'GitRepository'
                      gitRepository: {
                        url: '[parameters(\'repositoryUrl\')]'
                        repositoryRef: { tag: '[parameters(\'repositoryTag\')]' }
                        syncIntervalInSeconds: 600
                        timeoutInSeconds: 300
                      }
                      kustomizations: {
                        sensor: {
                          path: './infra/flux/sensor'
                          prune: true
                          syncIntervalInSeconds: 600
                          postBuild: {
                            substitute: '[union(parameters(\'sensorValues\'), createObject(\'cluster_name\', parameters(\'cluster\'), \'cluster_id\', parameters(\'clusterId\'), \'repository_tag\', parameters(\'repositoryTag\'), \'repository_url\', parameters(\'repositoryUrl\'), \'sensor_client_id\', ${kind.client}))]'
                          }
                        }
                      }
                    }
                  }
                ]
              }
            }
          }
        }
      }
    }
  }
}]

resource assignment 'Microsoft.Authorization/policyAssignments@2025-01-01' = [for (kind, i) in kinds: {
  name: '${name}-sensor-${kind.id}'
  location: location
  identity: { type: 'SystemAssigned' }
  properties: {
    displayName: 'Seawall: the sensor runs on ${kind.title}'
    policyDefinitionId: definition[i].id
    parameters: {
      effect: { value: effect }
      repositoryUrl: { value: repositoryUrl }
      repositoryTag: { value: repositoryTag }
      sensorValues: { value: sensorValues }
    }
  }
}]

// Remediation: read the cluster; install the extension and its configuration.
resource mayInstall 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (kind, i) in kinds: {
  name: guid(subscription().id, name, kind.id, contributor.arc)
  properties: {
    principalId: assignment[i].identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', contributor.arc)
    description: 'Policy remediation: Microsoft.KubernetesConfiguration/extensions and fluxConfigurations write'
  }
}]

resource mayReadAks 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, name, 'aks', contributor.aks)
  properties: {
    principalId: assignment[0].identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', contributor.aks)
    description: 'Policy remediation: extensions on managed clusters'
  }
}

// Clusters that are there already; new ones are dealt with as they come.
resource remediation 'Microsoft.PolicyInsights/remediations@2024-10-01' = [for (kind, i) in kinds: if (effect == 'DeployIfNotExists') {
  name: '${name}-sensor-${kind.id}'
  dependsOn: [mayInstall, mayReadAks]
  properties: {
    policyAssignmentId: assignment[i].id
    resourceDiscoveryMode: 'ReEvaluateCompliance'
  }
}]
