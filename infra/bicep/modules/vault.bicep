// Signing keys that never leave the vault, and the two secrets that people hold.
import { Identities } from 'shared.bicep'

@description('Short name of this deployment.')
param name string

@description('Part of globally unique names.')
param suffix string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags { *: string }

@description('Reachable by private endpoints only.')
param private bool

@description('Bearer token of API and console.')
@secure()
param apiToken string

@description('Shared secret of registry and audit webhooks.')
@secure()
param webhookSecret string

@description('Identities of the apps.')
param identities Identities

var inventory = loadJsonContent('../../inventory.json')
var keyGrants = filter(inventory.grants, grant => grant.kind == 'key')
var secretGrants = filter(inventory.grants, grant => grant.kind == 'secret')
var keyNames = map(inventory.keys, key => key.name)

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: take('${name}-${suffix}', 24)
  location: location
  tags: tags
  properties: {
    tenantId: subscription().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enablePurgeProtection: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 30
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: { bypass: 'AzureServices', defaultAction: private ? 'Deny' : 'Allow' }
  }
}

resource key 'Microsoft.KeyVault/vaults/keys@2024-11-01' = [for item in inventory.keys: {
  parent: vault
  name: item.name
  properties: { kty: 'EC', curveName: 'P-256', keyOps: ['sign', 'verify'] }
}]

resource secret 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = [for item in inventory.secrets: {
  parent: vault
  name: item
  properties: { value: item == 'api-token' ? apiToken : webhookSecret, contentType: 'text/plain' }
}]

resource mayUseKey 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in keyGrants: {
  scope: key[indexOf(keyNames, grant.on)]
  name: guid(vault.id, grant.kind, grant.on, grant.app, grant.role)
  properties: {
    principalId: identities[grant.app].principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', inventory.roles[grant.role])
    description: grant.call
  }
}]

resource mayReadSecret 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for grant in secretGrants: {
  scope: secret[indexOf(inventory.secrets, grant.on)]
  name: guid(vault.id, grant.kind, grant.on, grant.app, grant.role)
  properties: {
    principalId: identities[grant.app].principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', inventory.roles[grant.role])
    description: grant.call
  }
}]

@description('Resource id of the vault.')
output id string = vault.id

@description('Host name of the vault.')
output host string = '${vault.name}${environment().suffixes.keyvaultDns}'

@description('URI of the vault.')
output uri string = vault.properties.vaultUri
