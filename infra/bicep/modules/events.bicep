// Event Hubs for audit logs, sensors and spokes in other clouds; only identities, no keys.
import { Identities } from 'shared.bicep'

@description('Short name of this deployment.')
param name string

@description('Part of globally unique names.')
param suffix string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags { *: string }

@description('Reachable by private endpoints and trusted Azure services only.')
param private bool

@description('Throughput units; grows by itself up to four times as many.')
@minValue(1)
@maxValue(10)
param capacity int

@description('Accept shared access signatures too: only where diagnostic settings of the clusters do not arrive without.')
param localAuth bool

@description('Storage account for Event Hubs Capture; empty = no capture.')
param captureAccountId string

@description('Object ids of identities that sensors send with.')
param sensorPrincipalIds string[]

@description('Object ids of identities of deployments in other clouds that forward to this one.')
param spokePrincipalIds string[]

@description('Identities of the apps.')
param identities Identities

var inventory = loadJsonContent('../../inventory.json')
var grants = filter(inventory.grants, grant => grant.kind == 'hub')
var hubNames = map(inventory.hubs, hub => hub.name)
var sender = inventory.roles['Azure Event Hubs Data Sender']

resource namespace 'Microsoft.EventHub/namespaces@2024-01-01' = {
  name: '${name}-events-${suffix}'
  location: location
  tags: tags
  identity: { type: 'SystemAssigned' }
  sku: { name: 'Standard', tier: 'Standard', capacity: capacity }
  properties: {
    disableLocalAuth: !localAuth
    minimumTlsVersion: '1.2'
    isAutoInflateEnabled: true
    maximumThroughputUnits: capacity * 4
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
  }
}

// Diagnostic settings of AKS write as a trusted service.
resource network 'Microsoft.EventHub/namespaces/networkRuleSets@2024-01-01' = {
  parent: namespace
  name: 'default'
  properties: {
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    defaultAction: private ? 'Deny' : 'Allow'
    trustedServiceAccessEnabled: true
  }
}

resource hub 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = [for item in inventory.hubs: {
  parent: namespace
  name: item.name
  dependsOn: [mayCapture]
  properties: {
    partitionCount: item.partitions
    retentionDescription: { cleanupPolicy: 'Delete', retentionTimeInHours: item.retentionHours }
    captureDescription: empty(captureAccountId) ? null : {
      enabled: true
      encoding: 'Avro'
      intervalInSeconds: 300
      sizeLimitInBytes: 314572800
      skipEmptyArchives: true
      destination: {
        name: 'EventHubArchive.AzureBlockBlob'
        identity: { type: 'SystemAssigned' }
        properties: {
          storageAccountResourceId: captureAccountId
          blobContainer: 'capture'
          archiveNameFormat: '{Namespace}/{EventHub}/{PartitionId}/{Year}/{Month}/{Day}/{Hour}/{Minute}/{Second}'
        }
      }
    }
  }
}]

resource consumer 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01' = [for (item, i) in inventory.hubs: {
  parent: hub[i]
  name: item.consumerGroup
  properties: {}
}]

// Capture: the namespace writes blobs.
module mayCapture 'capture_grant.bicep' = if (!empty(captureAccountId)) {
  params: {
    accountName: last(split(captureAccountId, '/'))
    principalId: namespace.identity.principalId
    roleId: inventory.roles['Storage Blob Data Contributor']
  }
}

resource mayRead 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in grants: {
  scope: hub[indexOf(hubNames, grant.on)]
  name: guid(namespace.id, grant.on, grant.app, grant.role)
  properties: {
    principalId: identities[grant.app].principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', inventory.roles[grant.role])
    description: grant.call
  }
}]

resource sensorMaySend 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for principal in sensorPrincipalIds: {
  scope: hub[indexOf(hubNames, 'sensor')]
  name: guid(namespace.id, 'sensor', principal, sender)
  properties: {
    principalId: principal
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
    description: 'send: batches of a sensor'
  }
}]

resource spokeMaySend 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for principal in spokePrincipalIds: {
  scope: hub[indexOf(hubNames, 'forwarded')]
  name: guid(namespace.id, 'forwarded', principal, sender)
  properties: {
    principalId: principal
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
    description: 'send: documents of a deployment in another cloud'
  }
}]

// The one shared access policy: Azure Monitor writes diagnostic logs under a rule id, by its own trusted identity.
resource diagnostics 'Microsoft.EventHub/namespaces/authorizationRules@2024-01-01' = {
  parent: namespace
  name: 'diagnostic-settings'
  properties: { rights: ['Send', 'Listen', 'Manage'] }
}

@description('Resource id of the namespace.')
output id string = namespace.id

@description('Fully qualified name of the namespace.')
output fullyQualifiedName string = '${namespace.name}.servicebus.windows.net'

@description('Authorization rule that diagnostic settings name.')
output diagnosticsRuleId string = diagnostics.id
