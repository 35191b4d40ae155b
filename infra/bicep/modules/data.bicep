// Job queues and blobs that all apps share; shared keys are off.
import { Identities, storageName } from 'shared.bicep'

@description('Short name of this deployment.')
param name string

@description('Part of globally unique names.')
param suffix string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags { *: string }

@description('Reachable by private endpoints only.')
param private bool

@description('Redundancy of the storage account.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param sku string

@description('Days after which queued bodies and captured events are deleted.')
@minValue(1)
param retentionDays int

@description('Identities of the apps.')
param identities Identities

var inventory = loadJsonContent('../../inventory.json')
var queueGrants = filter(inventory.grants, grant => grant.kind == 'queue')
var containerGrants = filter(inventory.grants, grant => grant.kind == 'container')

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: storageName(name, 'data', suffix)
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: sku }
  properties: {
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: { bypass: 'AzureServices', defaultAction: private ? 'Deny' : 'Allow' }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: { enabled: true, days: 7 }
    containerDeleteRetentionPolicy: { enabled: true, days: 7 }
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = [for item in inventory.containers: {
  parent: blobs
  name: item
  properties: { publicAccess: 'None' }
}]

resource capture 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = {
  parent: blobs
  name: 'capture'
  properties: { publicAccess: 'None' }
}

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'expire'
          type: 'Lifecycle'
          definition: {
            filters: { blobTypes: ['blockBlob'], prefixMatch: ['${inventory.containers[0]}/jobs/', 'capture/'] }
            actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: retentionDays } } }
          }
        }
      ]
    }
  }
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-01-01' = {
  parent: account
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-01-01' = [for item in inventory.queues: {
  parent: queueService
  name: '${inventory.queuePrefix}${item}'
}]

resource mayUseQueue 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in queueGrants: {
  scope: queue[indexOf(inventory.queues, grant.on)]
  name: guid(account.id, grant.on, grant.app, grant.role)
  properties: {
    principalId: identities[grant.app].principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', inventory.roles[grant.role])
    description: grant.call
  }
}]

resource mayUseContainer 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in containerGrants: {
  scope: container[indexOf(inventory.containers, grant.on)]
  name: guid(account.id, grant.on, grant.app, grant.role)
  properties: {
    principalId: identities[grant.app].principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', inventory.roles[grant.role])
    description: grant.call
  }
}]

@description('Resource id of the account.')
output id string = account.id

@description('Name of the account.')
output name string = account.name

@description('URL of the queue service.')
output queueEndpoint string = account.properties.primaryEndpoints.queue

@description('Where blobs lie, as SEAWALL_BLOB_URL is written.')
output blobUrl string = 'abfs://${container[0].name}@${account.name}.blob.${environment().suffixes.storage}/'
