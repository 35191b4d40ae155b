// The way of rows into the workspace, and the apps' own telemetry.
import { Identities } from 'shared.bicep'

@description('Short name of this deployment.')
param name string

@description('Azure region; the one of the workspace.')
param location string

@description('Tags on every resource.')
param tags { *: string }

@description('Reachable through the Azure Monitor Private Link Scope only.')
param private bool

@description('Resource id of the workspace.')
param workspaceId string

@description('Identities of the apps.')
param identities Identities

var inventory = loadJsonContent('../../inventory.json')
var schema = loadJsonContent('../../sentinel/tables.json')
var ruleGrants = filter(inventory.grants, grant => grant.kind == 'rule')
var insightsGrants = filter(inventory.grants, grant => grant.kind == 'insights')

resource endpoint 'Microsoft.Insights/dataCollectionEndpoints@2023-03-11' = {
  name: '${name}-dce'
  location: location
  tags: tags
  properties: { networkAcls: { publicNetworkAccess: private ? 'Disabled' : 'Enabled' } }
}

resource rule 'Microsoft.Insights/dataCollectionRules@2023-03-11' = {
  name: '${name}-dcr'
  location: location
  tags: tags
  properties: {
    dataCollectionEndpointId: endpoint.id
    streamDeclarations: toObject(schema.tables, table => table.stream, table => {
      columns: map(table.columns, column => { name: column.name, type: column.type })
    })
    destinations: { logAnalytics: [{ name: 'sentinel', workspaceResourceId: workspaceId }] }
    dataFlows: map(schema.tables, table => {
      streams: [table.stream]
      destinations: ['sentinel']
      transformKql: 'source'
      outputStream: table.stream
    })
  }
}

resource mayPublish 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in ruleGrants: {
  scope: rule
  name: guid(rule.id, grant.app, grant.role)
  properties: {
    principalId: identities[grant.app].principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', inventory.roles[grant.role])
    description: grant.call
  }
}]

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${name}-insights'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspaceId
    DisableLocalAuth: true
    publicNetworkAccessForIngestion: private ? 'Disabled' : 'Enabled'
    publicNetworkAccessForQuery: 'Enabled'
  }
}

resource mayTrace 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in insightsGrants: {
  scope: insights
  name: guid(insights.id, grant.app, grant.role)
  properties: {
    principalId: identities[grant.app].principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', inventory.roles[grant.role])
    description: grant.call
  }
}]

@description('Logs ingestion endpoint.')
output ingestionEndpoint string = endpoint.properties.logsIngestion.endpoint

@description('Immutable id of the data collection rule.')
output ruleImmutableId string = rule.properties.immutableId

@description('Resource id of the data collection endpoint.')
output endpointId string = endpoint.id

@description('Resource id of Application Insights.')
output insightsId string = insights.id

@description('Connection string of Application Insights: says where, lets nobody in.')
output insightsConnectionString string = insights.properties.ConnectionString
