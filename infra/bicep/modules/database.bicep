// PostgreSQL flexible server, Entra logins only. Roles of the apps are made by ../../sql/azure.sql.

@description('Short name of this deployment.')
param name string

@description('Part of globally unique names.')
param suffix string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags { *: string }

@description('Reachable by a private endpoint only.')
param private bool

@description('Compute size.')
param skuName string

@description('Tier of the compute size.')
@allowed(['Burstable', 'GeneralPurpose', 'MemoryOptimized'])
param skuTier string

@description('Disk size in GB.')
@minValue(32)
param storageGB int

@description('A second server in another zone that takes over; not for Burstable.')
param zoneRedundant bool

@description('Object id of the Entra user, group or service principal that administers the database.')
param administratorId string

@description('Its name, as Entra shows it.')
param administratorName string

@description('What it is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param administratorType string

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2024-08-01' = {
  name: '${name}-db-${suffix}'
  location: location
  tags: tags
  sku: { name: skuName, tier: skuTier }
  properties: {
    version: '16'
    authConfig: { activeDirectoryAuth: 'Enabled', passwordAuth: 'Disabled', tenantId: subscription().tenantId }
    storage: { storageSizeGB: storageGB, autoGrow: 'Enabled' }
    backup: { backupRetentionDays: 14, geoRedundantBackup: 'Disabled' }
    highAvailability: { mode: zoneRedundant ? 'ZoneRedundant' : 'Disabled' }
    network: { publicNetworkAccess: private ? 'Disabled' : 'Enabled' }
  }
}

resource administrator 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2024-08-01' = {
  parent: server
  name: administratorId
  properties: { principalName: administratorName, principalType: administratorType, tenantId: subscription().tenantId }
}

resource database 'Microsoft.DBforPostgreSQL/flexibleServers/databases@2024-08-01' = {
  parent: server
  name: 'seawall'
  dependsOn: [administrator]
  properties: { charset: 'UTF8', collation: 'en_US.utf8' }
}

// "Allow access from Azure services": Flex Consumption apps outside a virtual network have no fixed addresses.
resource fromAzure 'Microsoft.DBforPostgreSQL/flexibleServers/firewallRules@2024-08-01' = if (!private) {
  parent: server
  name: 'azure-services'
  dependsOn: [database]
  properties: { startIpAddress: '0.0.0.0', endIpAddress: '0.0.0.0' }
}

@description('Resource id of the server.')
output id string = server.id

@description('Host name of the server.')
output host string = server.properties.fullyQualifiedDomainName
