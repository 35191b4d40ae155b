// One function app with a host storage account of its own: who takes one app over cannot change another's code.
import { Identity, storageName } from 'shared.bicep'

@description('The app, as the inventory describes it.')
param app {
  @description('Name of the trust boundary.')
  name: string
  @description('Memory of an instance in MB.')
  memoryMB: int
  @description('Groups of functions with an instance that is always ready.')
  alwaysReady: string[]
}

@description('Settings by name.')
param settings { *: string }

@description('Short name of this deployment.')
param name string

@description('Part of globally unique names.')
param suffix string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags { *: string }

@description('Identity of the app.')
param identity Identity

@description('Resource id of Application Insights.')
param insightsId string

@description('Subnet of outgoing traffic; empty = no virtual network.')
param subnetId string

@description('Callers reach it from the internet: Event Grid, sensors, webhooks, people.')
param reachable bool

@description('Most instances at a time.')
@minValue(1)
@maxValue(1000)
param maximumInstances int

@description('Keep one instance ready for the groups that the inventory names.')
param keepReady bool

var inventory = loadJsonContent('../../inventory.json')
var hostGrants = filter(inventory.grants, grant => grant.kind == 'host' && grant.app == app.name)

// Endpoints of the host storage stay public in a private network, too: only the app's identity gets in, keys are off.
resource host 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: storageName(name, app.name, suffix)
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: { deleteRetentionPolicy: { enabled: true, days: 7 } }

    resource packages 'containers' = {
      name: 'packages'
      properties: { publicAccess: 'None' }
    }
  }
}

resource mayHost 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in hostGrants: {
  scope: host
  name: guid(host.id, app.name, grant.role)
  properties: {
    principalId: identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', inventory.roles[grant.role])
    description: grant.call
  }
}]

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: '${name}-${app.name}-${suffix}'
  location: location
  tags: tags
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource site 'Microsoft.Web/sites@2024-11-01' = {
  name: '${name}-${app.name}-${suffix}'
  location: location
  tags: union(tags, { 'azd-service-name': app.name, 'hidden-link: /app-insights-resource-id': insightsId })
  kind: 'functionapp,linux'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {} } }
  dependsOn: [mayHost]
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identity.id
    publicNetworkAccess: reachable ? 'Enabled' : 'Disabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${host.properties.primaryEndpoints.blob}${host::blobs::packages.name}'
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identity.id }
        }
      }
      runtime: { name: 'python', version: '3.13' }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstances
        instanceMemoryMB: app.memoryMB
        alwaysReady: keepReady ? map(app.alwaysReady, group => { name: group, instanceCount: 1 }) : []
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      appSettings: [for setting in items(union(settings, {
        AzureWebJobsStorage__accountName: host.name
      })): { name: setting.key, value: setting.value }]
    }
  }
}

// Deployment by password is off; azd and CI log in with Entra.
resource ftp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: site
  name: 'ftp'
  properties: { allow: false }
}

resource scm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: site
  name: 'scm'
  properties: { allow: false }
}

@description('Resource id of the app.')
output id string = site.id

@description('Name of the app.')
output name string = site.name

@description('Host name of the app.')
output host string = site.properties.defaultHostName
