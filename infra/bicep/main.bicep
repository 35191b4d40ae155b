// Seawall in one subscription: a resource group with everything, and grants beside given registries, clusters, workspace.
targetScope = 'subscription'

@description('Short name of this deployment, part of every resource name.')
@minLength(3)
@maxLength(10)
param name string = 'seawall'

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags { *: string } = {}

@description('Log Analytics workspace with Sentinel that incidents go to, in this subscription; empty = a new one.')
param workspaceId string = ''

@description('Region of the given workspace, where it is another one.')
param workspaceLocation string = location

@description('Resource ids of container registries whose pushes are scanned.')
param registryIds string[] = []

@description('Resource ids of AKS clusters whose audit log is judged.')
param clusterIds string[] = []

@description('Which audit log: kube-audit has reads of secrets and costs more.')
@allowed(['kube-audit', 'kube-audit-admin'])
param auditCategory string = 'kube-audit'

@description('Attach signed findings to the registries as referrers; needs push rights on them.')
param attachAttestations bool = true

@description('The code is on the function apps, so that Event Grid may subscribe: false at the first deployment, then true.')
param codeDeployed bool = false

@description('Bearer token of API and console, at least 32 characters.')
@secure()
@minLength(32)
param apiToken string

@description('Shared secret of registry and audit webhooks, at least 32 characters.')
@secure()
@minLength(32)
param webhookSecret string

@description('Entra principal that administers the database.')
param databaseAdministrator {
  @description('Object id.')
  id: string
  @description('Name as Entra shows it.')
  name: string
  @description('What it is.')
  type: 'User' | 'Group' | 'ServicePrincipal'
}

@description('Size of the database.')
param database {
  @description('Compute size.')
  sku: string
  @description('Tier of the size.')
  tier: 'Burstable' | 'GeneralPurpose' | 'MemoryOptimized'
  @description('Disk in GB.')
  @minValue(32)
  storageGB: int
  @description('Second server in another zone.')
  zoneRedundant: bool
} = { sku: 'Standard_B2s', tier: 'Burstable', storageGB: 32, zoneRedundant: false }

@description('Throughput units of Event Hubs; each takes 1 MB a second.')
@minValue(1)
@maxValue(10)
param eventHubsCapacity int = 1

@description('Keep a copy of all events in storage (Event Hubs Capture).')
param capture bool = false

@description('Let Event Hubs accept shared access signatures too: only where audit logs of clusters do not arrive without.')
param eventHubsLocalAuth bool = false

@description('Object ids of identities that sensors send with.')
param sensorPrincipalIds string[] = []

@description('Object ids of identities of deployments in other clouds that forward to this one.')
param spokePrincipalIds string[] = []

@description('Everything but callers from outside goes over private endpoints.')
param privateNetwork bool = false

@description('Address space of the private network.')
param addressSpace string = '10.83.0.0/16'

@description('PrivateOnly stops every other Azure Monitor traffic from networks that share its DNS.')
@allowed(['Open', 'PrivateOnly'])
param monitorAccessMode string = 'Open'

@description('Redundancy of the storage account.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param storageSku string = 'Standard_ZRS'

@description('Most instances of one app at a time.')
@minValue(1)
@maxValue(1000)
param maximumInstances int = 40

@description('Keep an instance of the API and of sensor ingest ready; without it a call after an idle time can take 30 s.')
param keepReady bool = true

@description('Days that rows of the Seawall tables are kept.')
@minValue(30)
@maxValue(730)
param retentionDays int = 90

@description('Days that queued bodies and captured events are kept.')
@minValue(1)
param bodyRetentionDays int = 14

@description('Gigabytes a day that a new workspace takes; -1 = no cap.')
param dailyCapGB int = 10

@description('Mail addresses that are told when Seawall itself fails; empty = no alerts and no budget.')
param operators string[] = []

@description('Most that the resource group is to cost a month, in the currency of the subscription; 0 = no budget.')
@minValue(0)
param monthlyBudget int = 0

@description('First day of the month that the budget starts in.')
param budgetStart string = utcNow('yyyy-MM-01')

@description('Decisions made in Seawall also change incidents in the Defender portal; the sync identity then needs SecurityIncident.ReadWrite.All.')
param defenderWriteBack bool = false

@description('Find and judge clusters and registries of the subscription: a custom role that reads their settings.')
param discover bool = true

@description('Put the sensor on every AKS and Arc cluster of the subscription by Azure Policy; null = leave clusters alone.')
param sensorPolicy {
  @description('Git repository with the sensor\'s chart.')
  repositoryUrl: string
  @description('Tag that is installed.')
  repositoryTag: string
  @description('Repository of the sensor\'s image, without tag; the tag is the version of the chart.')
  image: string
  @description('What happens on clusters without the sensor.')
  effect: 'DeployIfNotExists' | 'AuditIfNotExists' | 'Disabled'
}?

var inventory = loadJsonContent('../inventory.json')
var suffix = uniqueString(subscription().id, name, location)
var newWorkspaceName = '${name}-logs'
var workspaceGroup = empty(workspaceId) ? group.name : split(workspaceId, '/')[4]
var workspaceName = empty(workspaceId) ? newWorkspaceName : last(split(workspaceId, '/'))
var workspaceResourceId = empty(workspaceId) ? '${group.id}/providers/Microsoft.OperationalInsights/workspaces/${newWorkspaceName}' : workspaceId
var monitorLocation = empty(workspaceId) ? location : workspaceLocation
var identities = toObject(identityList.outputs.all, item => substring(item.name, length(name) + 1))
var reachable = ['registry', 'sensor', 'api']

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: '${name}-rg'
  location: location
  tags: union(tags, { 'azd-env-name': name })
}

module identityList 'modules/identities.bicep' = {
  scope: group
  params: { name: name, location: location, tags: tags }
}

module data 'modules/data.bicep' = {
  scope: group
  params: {
    name: name
    suffix: suffix
    location: location
    tags: tags
    private: privateNetwork
    sku: storageSku
    retentionDays: bodyRetentionDays
    identities: identities
  }
}

module events 'modules/events.bicep' = {
  scope: group
  params: {
    name: name
    suffix: suffix
    location: location
    tags: tags
    private: privateNetwork
    capacity: eventHubsCapacity
    localAuth: eventHubsLocalAuth
    captureAccountId: capture ? data.outputs.id : ''
    sensorPrincipalIds: sensorPrincipalIds
    spokePrincipalIds: spokePrincipalIds
    identities: identities
  }
}

module vault 'modules/vault.bicep' = {
  scope: group
  params: {
    name: name
    suffix: suffix
    location: location
    tags: tags
    private: privateNetwork
    apiToken: apiToken
    webhookSecret: webhookSecret
    identities: identities
  }
}

module store 'modules/database.bicep' = {
  scope: group
  params: {
    name: name
    suffix: suffix
    location: location
    tags: tags
    private: privateNetwork
    skuName: database.sku
    skuTier: database.tier
    storageGB: database.storageGB
    zoneRedundant: database.zoneRedundant
    administratorId: databaseAdministrator.id
    administratorName: databaseAdministrator.name
    administratorType: databaseAdministrator.type
  }
}

module workspace 'modules/workspace.bicep' = if (empty(workspaceId)) {
  scope: group
  params: {
    name: newWorkspaceName
    location: location
    tags: tags
    retentionDays: retentionDays
    dailyCapGB: dailyCapGB
  }
}

module sentinel 'modules/sentinel.bicep' = {
  scope: resourceGroup(workspaceGroup)
  dependsOn: [workspace]
  params: {
    workspaceName: workspaceName
    location: monitorLocation
    tags: tags
    retentionDays: retentionDays
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  dependsOn: [sentinel]
  params: {
    name: name
    location: monitorLocation
    tags: tags
    private: privateNetwork
    workspaceId: workspaceResourceId
    identities: identities
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  scope: group
  params: { name: name, location: location, tags: tags, addressSpace: addressSpace }
}

module monitorScope 'modules/monitor_scope.bicep' = if (privateNetwork) {
  scope: group
  params: {
    name: name
    tags: tags
    linkedIds: [monitoring.outputs.endpointId, monitoring.outputs.insightsId]
    accessMode: monitorAccessMode
  }
}

var endpoints = [
  { name: 'blob', group: 'blob', id: data.outputs.id, zones: ['blob'] }
  { name: 'queue', group: 'queue', id: data.outputs.id, zones: ['queue'] }
  { name: 'events', group: 'namespace', id: events.outputs.id, zones: ['namespace'] }
  { name: 'vault', group: 'vault', id: vault.outputs.id, zones: ['vault'] }
  { name: 'database', group: 'postgresqlServer', id: store.outputs.id, zones: ['postgresqlServer'] }
  { name: 'monitor', group: 'azuremonitor', id: privateNetwork ? monitorScope!.outputs.id : '', zones: ['monitor', 'oms', 'ods', 'agentsvc', 'blob'] }
]

module endpoint 'modules/endpoint.bicep' = [for i in range(0, privateNetwork ? 6 : 0): {
  scope: group
  params: {
    name: '${name}-${endpoints[i].name}-endpoint'
    location: location
    tags: tags
    subnetId: network!.outputs.endpointsSubnetId
    resourceId: endpoints[i].id
    group: endpoints[i].group
    zoneIds: map(filter(network!.outputs.zoneIds, zone => contains(endpoints[i].zones, zone.part)), zone => zone.id)
  }
}]

var common = {
  AzureWebJobsStorage__credential: 'managedidentity'
  APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.insightsConnectionString
  SEAWALL_AZURE__IDENTITY: 'managed'
  SEAWALL_DATA_DIR: '/tmp/seawall'
  SEAWALL_LOG_FORMAT: 'json'
  SEAWALL_STORE_IDENTITY: 'azure'
  SEAWALL_BLOB_URL: data.outputs.blobUrl
  SEAWALL_JOB_QUEUE__SERVICE: 'azure-storage'
  SEAWALL_JOB_QUEUE__ENDPOINT: data.outputs.queueEndpoint
  SEAWALL_JOB_QUEUE__PREFIX: inventory.queuePrefix
  Jobs__queueServiceUri: data.outputs.queueEndpoint
  Jobs__credential: 'managedidentity'
  EventHub__fullyQualifiedNamespace: events.outputs.fullyQualifiedName
  EventHub__credential: 'managedidentity'
  AUDIT_HUB: inventory.hubs[0].name
  AUDIT_CONSUMER_GROUP: inventory.hubs[0].consumerGroup
  SENSOR_HUB: inventory.hubs[1].name
  SENSOR_CONSUMER_GROUP: inventory.hubs[1].consumerGroup
  FORWARDED_HUB: inventory.hubs[2].name
  FORWARDED_CONSUMER_GROUP: inventory.hubs[2].consumerGroup
  SEAWALL_SENTINEL__ENDPOINT: monitoring.outputs.ingestionEndpoint
  SEAWALL_SENTINEL__RULE_ID: monitoring.outputs.ruleImmutableId
  SEAWALL_SIGNING_KEY: 'azurekms://${vault.outputs.host}/${inventory.keys[0].name}'
  SEAWALL_ATTACH_ATTESTATIONS: string(attachAttestations)
  // Pushes that nobody announced are found by listing these.
  SEAWALL_REGISTRIES: string(toObject(registryIds, id => '${toLower(last(split(id, '/')))}.azurecr.io', id => { reconcile: true }))
  SEAWALL_DISCOVERY: discover ? string({ azure: { subscriptions: [subscription().subscriptionId] } }) : '{}'
  SEAWALL_SENSOR_AUTHORITY_KEY: 'azurekms://${vault.outputs.host}/${inventory.keys[1].name}'
  SEAWALL_DEFENDER_SYNC__OVERLAP_MINUTES: '10'
  SEAWALL_DEFENDER_SYNC__WRITE_BACK: string(defenderWriteBack)
  SEAWALL_API_TOKEN: '@Microsoft.KeyVault(SecretUri=${vault.outputs.uri}secrets/api-token)'
  SEAWALL_WEBHOOK_SECRET: '@Microsoft.KeyVault(SecretUri=${vault.outputs.uri}secrets/webhook-secret)'
}

module app 'modules/app.bicep' = [for (item, i) in inventory.apps: {
  scope: group
  params: {
    app: { name: item.name, memoryMB: item.memoryMB, alwaysReady: item.alwaysReady }
    settings: toObject(concat(inventory.commonSettings, item.settings), key => key, key => union(common, {
      // What differs by app; the module fills in its host storage.
      AzureWebJobsStorage__accountName: ''
      AzureWebJobsStorage__clientId: identityList.outputs.all[i].clientId
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityList.outputs.all[i].clientId};Authorization=AAD'
      AZURE_CLIENT_ID: identityList.outputs.all[i].clientId
      SEAWALL_FUNCTIONS: item.name
      SEAWALL_AZURE__CLIENT_ID: identityList.outputs.all[i].clientId
      SEAWALL_STORE_URL: 'postgresql+psycopg://${identityList.outputs.all[i].name}@${store.outputs.host}:5432/seawall?sslmode=require'
      Jobs__clientId: identityList.outputs.all[i].clientId
      EventHub__clientId: identityList.outputs.all[i].clientId
    })[key])
    name: name
    suffix: suffix
    location: location
    tags: tags
    identity: identityList.outputs.all[i]
    insightsId: monitoring.outputs.insightsId
    subnetId: privateNetwork ? network!.outputs.appsSubnetId : ''
    reachable: !privateNetwork || contains(reachable, item.name)
    maximumInstances: maximumInstances
    keepReady: keepReady
  }
}]

// Apps that nobody calls from outside are closed to the internet, their deployment site too: the package comes this way.
module appEndpoint 'modules/endpoint.bicep' = [for (item, i) in inventory.apps: if (privateNetwork && !contains(reachable, item.name)) {
  scope: group
  params: {
    name: '${name}-${item.name}-endpoint'
    location: location
    tags: tags
    subnetId: network!.outputs.endpointsSubnetId
    resourceId: app[i].outputs.id
    group: 'sites'
    zoneIds: map(filter(network!.outputs.zoneIds, zone => zone.part == 'sites'), zone => zone.id)
  }
}]

module registry 'modules/registry.bicep' = [for id in registryIds: {
  name: take('seawall-registry-${last(split(id, '/'))}', 64)
  scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
  params: {
    registryName: last(split(id, '/'))
    tags: tags
    appId: app[0].outputs.id
    principalId: identityList.outputs.all[0].principalId
    attach: attachAttestations
    subscribe: codeDeployed
  }
}]

module cluster 'modules/cluster.bicep' = [for id in clusterIds: {
  name: take('seawall-cluster-${last(split(id, '/'))}', 64)
  scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
  params: {
    clusterName: last(split(id, '/'))
    authorizationRuleId: events.outputs.diagnosticsRuleId
    hubName: inventory.hubs[0].name
    category: auditCategory
  }
}]

module alerts 'modules/alerts.bicep' = if (!empty(operators)) {
  scope: group
  params: {
    name: name
    location: monitorLocation
    tags: tags
    emails: operators
    storageId: data.outputs.id
    namespaceId: events.outputs.id
    insightsId: monitoring.outputs.insightsId
    monthlyBudget: monthlyBudget
    budgetStart: budgetStart
  }
}

module discovery 'modules/discovery.bicep' = if (discover) {
  params: { name: name, principalId: identities.posture.principalId }
}

module policy 'modules/policy.bicep' = if (sensorPolicy != null) {
  params: {
    name: name
    location: location
    repositoryUrl: sensorPolicy!.repositoryUrl
    repositoryTag: sensorPolicy!.repositoryTag
    effect: sensorPolicy!.effect
    sensorValues: {
      event_hubs_namespace: events.outputs.fullyQualifiedName
      event_hub: inventory.hubs[1].name
      server_url: 'https://${app[6].outputs.host}'
      sensor_image: sensorPolicy!.image
    }
  }
}

@description('Resource group of everything.')
output resourceGroupName string = group.name

@description('Console and API.')
output consoleUrl string = 'https://${app[6].outputs.host}'

@description('Where sensors send batches by HTTPS.')
output sensorUrl string = 'https://${app[2].outputs.host}/v1/events/sensor'

@description('Event Hubs namespace of sensors and spokes.')
output eventHubsNamespace string = events.outputs.fullyQualifiedName

@description('Names of the function apps that the package is deployed to.')
output appNames string[] = [for (item, i) in inventory.apps: app[i].outputs.name]

@description('Host of the database, for infra/sql/azure.sql.')
output databaseHost string = store.outputs.host

@description('PostgreSQL roles that infra/sql/azure.sql makes, one for each app that stores.')
output databaseRoles string[] = [for (item, i) in inventory.apps: identityList.outputs.all[i].name]

@description('Object id of the identity that needs SecurityIncident.Read.All (ReadWrite.All with defenderWriteBack) on Microsoft Graph.')
output syncPrincipalId string = identityList.outputs.all[5].principalId

@description('Workspace that incidents go to.')
output workspaceId string = workspaceResourceId
