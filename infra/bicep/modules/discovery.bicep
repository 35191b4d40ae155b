// What agentless discovery reads in this subscription, and nothing else: the rights of ../../discovery.json.
targetScope = 'subscription'

@description('Short name of this deployment.')
param name string

@description('Object id of the identity that discovers.')
param principalId string

var rights = loadJsonContent('../../discovery.json').azure

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, name, 'discovery')
  properties: {
    roleName: 'Seawall discovery (${name})'
    description: 'Reads clusters, registries and their settings; no data of theirs.'
    type: 'CustomRole'
    assignableScopes: [subscription().id]
    permissions: [{ actions: objectKeys(rights), notActions: [], dataActions: [], notDataActions: [] }]
  }
}

resource mayDiscover 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, name, principalId, 'discovery')
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: role.id
    description: 'discovery: one query of Resource Graph, then settings of clusters and registries'
  }
}
