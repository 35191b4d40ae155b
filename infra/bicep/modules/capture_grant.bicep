// Beside the storage account that Event Hubs Capture writes to.

@description('Name of the storage account.')
param accountName string

@description('Object id of the Event Hubs namespace.')
param principalId string

@description('Role that writes blobs.')
param roleId string

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: accountName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource capture 'containers' existing = {
      name: 'capture'
    }
  }
}

resource mayWrite 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account::blobs::capture
  name: guid(account.id, principalId, roleId)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleId)
    description: 'Event Hubs Capture: write blobs'
  }
}
