// Azure Monitor Private Link Scope: the data collection endpoint and Application Insights.

@description('Short name of this deployment.')
param name string

@description('Tags on every resource.')
param tags { *: string }

@description('Resource ids of the data collection endpoint, Application Insights and the workspace.')
param linkedIds string[]

@description('Whether networks with this scope still reach other workspaces in the open.')
@allowed(['Open', 'PrivateOnly'])
param accessMode string

resource scope 'Microsoft.Insights/privateLinkScopes@2021-07-01-preview' = {
  name: '${name}-monitor'
  location: 'global'
  tags: tags
  properties: { accessModeSettings: { ingestionAccessMode: accessMode, queryAccessMode: 'Open', exclusions: [] } }
}

@batchSize(1)
resource scoped 'Microsoft.Insights/privateLinkScopes/scopedResources@2021-07-01-preview' = [for (id, i) in linkedIds: {
  parent: scope
  name: 'link-${i}'
  properties: { linkedResourceId: id }
}]

@description('Resource id of the scope.')
output id string = scope.id
