// In the workspace: tables, analytics rules, hunting queries, workbook.

@description('Name of the Log Analytics workspace with Sentinel.')
param workspaceName string

@description('Region of the workbook.')
param location string

@description('Tags on every resource.')
param tags { *: string }

@description('Days that rows of the Seawall tables are kept.')
@minValue(30)
@maxValue(730)
param retentionDays int

var schema = loadJsonContent('../../sentinel/tables.json')
var rule = loadJsonContent('../../sentinel/rule.json')
var hunting = loadJsonContent('../../sentinel/hunting.json')
var alertDetails = {
  alertDisplayNameFormat: rule.alertName
  alertDescriptionFormat: rule.alertDescription
  alertSeverityColumnName: rule.severityColumn
  alertTacticsColumnName: rule.tacticsColumn
  alertDynamicProperties: [{ alertProperty: 'Techniques', value: rule.techniquesColumn }]
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' existing = {
  name: workspaceName
}

// One at a time: the service refuses changes of several tables of a workspace at once.
@batchSize(1)
resource table 'Microsoft.OperationalInsights/workspaces/tables@2025-02-01' = [for item in schema.tables: {
  parent: workspace
  name: item.name
  properties: {
    plan: item.plan
    retentionInDays: retentionDays
    schema: { name: item.name, description: item.description, columns: item.columns }
  }
}]

// Kind NRT exists only in preview versions of the API.
resource nrt 'Microsoft.SecurityInsights/alertRules@2025-07-01-preview' = {
  scope: workspace
  name: guid(workspace.id, 'seawall-incidents')
  kind: 'NRT'
  dependsOn: [table]
  properties: {
    displayName: rule.nrtName
    description: rule.nrtDescription
    enabled: true
    severity: rule.severity
    query: loadTextContent('../../sentinel/incident.kql')
    suppressionEnabled: false
    suppressionDuration: 'PT5H'
    eventGroupingSettings: { aggregationKind: 'AlertPerResult' }
    alertDetailsOverride: alertDetails
    customDetails: rule.customDetails
    entityMappings: rule.entityMappings
    // One alert is one incident: Seawall has correlated already, and the Defender portal groups by itself.
    incidentConfiguration: {
      createIncident: true
      groupingConfiguration: {
        enabled: true
        reopenClosedIncident: false
        lookbackDuration: 'P7D'
        matchingMethod: 'Selected'
        groupByCustomDetails: ['IncidentKey']
      }
    }
  }
}

resource catchUp 'Microsoft.SecurityInsights/alertRules@2025-09-01' = {
  scope: workspace
  name: guid(workspace.id, 'seawall-incidents-catch-up')
  kind: 'Scheduled'
  dependsOn: [table]
  properties: {
    displayName: rule.scheduledName
    description: rule.scheduledDescription
    enabled: true
    severity: rule.severity
    query: loadTextContent('../../sentinel/incident_catch_up.kql')
    queryFrequency: rule.frequency
    queryPeriod: rule.period
    triggerOperator: 'GreaterThan'
    triggerThreshold: 0
    suppressionEnabled: false
    suppressionDuration: 'PT5H'
    eventGroupingSettings: { aggregationKind: 'AlertPerResult' }
    alertDetailsOverride: alertDetails
    customDetails: rule.customDetails
    entityMappings: rule.entityMappings
    incidentConfiguration: {
      createIncident: true
      groupingConfiguration: {
        enabled: true
        reopenClosedIncident: false
        lookbackDuration: 'P7D'
        matchingMethod: 'Selected'
        groupByCustomDetails: ['IncidentKey']
      }
    }
  }
}

resource query 'Microsoft.OperationalInsights/workspaces/savedSearches@2025-02-01' = [for item in hunting: {
  parent: workspace
  name: guid(workspace.id, item.id)
  dependsOn: [table]
  properties: {
    category: 'Hunting Queries'
    displayName: 'Seawall: ${item.title}'
    query: item.query
    version: 2
    tags: [
      { name: 'description', value: item.description }
      { name: 'tactics', value: item.tactics }
      { name: 'techniques', value: item.techniques }
    ]
  }
}]

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(workspace.id, 'seawall-workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Seawall'
    category: 'sentinel'
    sourceId: workspace.id
    serializedData: string(loadJsonContent('../../sentinel/workbook.json'))
  }
}
