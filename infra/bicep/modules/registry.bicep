// In the resource group of a registry: its pushes reach the function, and the function may read it.

@description('Name of the registry.')
param registryName string

@description('Tags on every resource.')
param tags { *: string }

@description('Resource id of the function app of registry events.')
param appId string

@description('Object id of its identity.')
param principalId string

@description('Attach signed findings to the registry.')
param attach bool

@description('The code is on the app: Event Grid asks the function at once whether it is there.')
param subscribe bool

var inventory = loadJsonContent('../../inventory.json')
var grants = filter(inventory.grants, grant => grant.kind == 'registry' && (attach || grant.role != 'AcrPush'))

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' existing = {
  name: registryName
}

resource mayUse 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in grants: {
  scope: registry
  name: guid(registry.id, principalId, grant.role)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', inventory.roles[grant.role])
    description: grant.call
  }
}]

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: '${registryName}-seawall'
  location: registry.location
  tags: tags
  properties: { source: registry.id, topicType: 'Microsoft.ContainerRegistry.Registries' }
}

resource pushes 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = if (subscribe) {
  parent: topic
  name: 'seawall'
  properties: {
    destination: {
      endpointType: 'AzureFunction'
      properties: { resourceId: '${appId}/functions/image_pushed', maxEventsPerBatch: 1 }
    }
    eventDeliverySchema: 'EventGridSchema'
    filter: { includedEventTypes: ['Microsoft.ContainerRegistry.ImagePushed'] }
    retryPolicy: { maxDeliveryAttempts: 30, eventTimeToLiveInMinutes: 1440 }
  }
}
