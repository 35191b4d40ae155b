// One identity for each trust boundary; roles are assigned beside the resources.
import { Identity } from 'shared.bicep'

@description('Short name of this deployment.')
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags { *: string }

var inventory = loadJsonContent('../../inventory.json')

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = [for app in inventory.apps: {
  name: '${name}-${app.name}'
  location: location
  tags: tags
}]

@description('The identities, in the order of the apps of the inventory.')
output all Identity[] = [for (app, i) in inventory.apps: {
  name: identity[i].name
  id: identity[i].id
  principalId: identity[i].properties.principalId
  clientId: identity[i].properties.clientId
}]
