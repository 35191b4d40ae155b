// An example; azd fills the environment variables.
using 'main.bicep'

param name = readEnvironmentVariable('AZURE_ENV_NAME', 'seawall')
param location = readEnvironmentVariable('AZURE_LOCATION', 'westeurope')
param apiToken = readEnvironmentVariable('SEAWALL_API_TOKEN', '')
param webhookSecret = readEnvironmentVariable('SEAWALL_WEBHOOK_SECRET', '')
param workspaceId = readEnvironmentVariable('SEAWALL_WORKSPACE_ID', '')
param registryIds = json(readEnvironmentVariable('SEAWALL_REGISTRY_IDS', '[]'))
param clusterIds = json(readEnvironmentVariable('SEAWALL_CLUSTER_IDS', '[]'))
param codeDeployed = bool(readEnvironmentVariable('SEAWALL_CODE_DEPLOYED', 'false'))
param databaseAdministrator = {
  id: readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
  name: readEnvironmentVariable('AZURE_PRINCIPAL_NAME', '')
  type: 'User'
}
param operators = json(readEnvironmentVariable('SEAWALL_OPERATORS', '[]'))
param monthlyBudget = int(readEnvironmentVariable('SEAWALL_MONTHLY_BUDGET', '0'))
param auditCategory = readEnvironmentVariable('SEAWALL_AUDIT_CATEGORY', 'kube-audit')
param privateNetwork = bool(readEnvironmentVariable('SEAWALL_PRIVATE_NETWORK', 'false'))
param sensorPrincipalIds = json(readEnvironmentVariable('SEAWALL_SENSOR_PRINCIPAL_IDS', '[]'))
param spokePrincipalIds = json(readEnvironmentVariable('SEAWALL_SPOKE_PRINCIPAL_IDS', '[]'))
