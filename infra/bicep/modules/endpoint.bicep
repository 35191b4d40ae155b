// One private endpoint with its names.

@description('Name of the endpoint.')
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags { *: string }

@description('Subnet of the endpoint.')
param subnetId string

@description('What it leads to.')
param resourceId string

@description('Which part of it.')
@allowed(['blob', 'queue', 'namespace', 'vault', 'postgresqlServer', 'azuremonitor', 'sites'])
param group string

@description('DNS zones of its names.')
param zoneIds string[]

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      { name: group, properties: { privateLinkServiceId: resourceId, groupIds: [group] } }
    ]
  }

  resource names 'privateDnsZoneGroups' = {
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [for id in zoneIds: {
        name: replace(last(split(id, '/')), '.', '-')
        properties: { privateDnsZoneId: id }
      }]
    }
  }
}
