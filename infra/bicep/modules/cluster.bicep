// In the resource group of an AKS cluster: its audit log goes to the event hub.

@description('Name of the cluster.')
param clusterName string

@description('Authorization rule of the Event Hubs namespace that Azure Monitor writes under.')
param authorizationRuleId string

@description('Name of the hub.')
param hubName string

@description('kube-audit has reads (secrets, exec over websocket); kube-audit-admin leaves them out. Never both: every write would come twice.')
@allowed(['kube-audit', 'kube-audit-admin'])
param category string

resource cluster 'Microsoft.ContainerService/managedClusters@2026-05-01' existing = {
  name: clusterName
}

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: cluster
  name: 'seawall'
  properties: {
    eventHubAuthorizationRuleId: authorizationRuleId
    eventHubName: hubName
    logs: [{ category: category, enabled: true }]
  }
}
