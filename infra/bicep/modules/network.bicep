// Private network: subnets, private endpoints, DNS, Azure Monitor Private Link Scope.

@description('Short name of this deployment.')
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags { *: string }

@description('Address space of the virtual network, /16 to /22.')
param addressSpace string

var inventory = loadJsonContent('../../inventory.json')
var zones = items(inventory.privateZones)

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: '${name}-network'
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressSpace] }
    subnets: [
      {
        name: 'apps'
        properties: {
          addressPrefix: cidrSubnet(addressSpace, 24, 0)
          delegations: [{ name: 'functions', properties: { serviceName: 'Microsoft.App/environments' } }]
        }
      }
      {
        name: 'endpoints'
        properties: { addressPrefix: cidrSubnet(addressSpace, 24, 1), privateEndpointNetworkPolicies: 'Disabled' }
      }
    ]
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [for item in zones: {
  name: item.value
  location: 'global'
  tags: tags
}]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (item, i) in zones: {
  parent: zone[i]
  name: '${name}-network'
  location: 'global'
  tags: tags
  properties: { registrationEnabled: false, virtualNetwork: { id: network.id } }
}]

@description('Subnet of the function apps.')
output appsSubnetId string = '${network.id}/subnets/apps'

@description('Subnet of the private endpoints.')
output endpointsSubnetId string = '${network.id}/subnets/endpoints'

@description('Resource ids of the DNS zones, by part of a service.')
output zoneIds { part: string, id: string }[] = [for (item, i) in zones: { part: item.key, id: zone[i].id }]
