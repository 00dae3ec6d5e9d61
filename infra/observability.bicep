// Where one sees that it works.
param location string
param token string
param tags object

@description('Who sends telemetry.')
param publishers array

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: 'log-pcapwarden-${token}'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 90
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
    workspaceCapping: { dailyQuotaGb: 5 }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-pcapwarden-${token}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

// Monitoring Metrics Publisher.
var publisher = '3913510d-42f4-4e42-8a64-420c390055eb'

resource publishes 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for who in publishers: {
  name: guid(insights.id, who, publisher)
  scope: insights
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', publisher)
    principalId: who
    principalType: 'ServicePrincipal'
  }
}]

module workbook 'workbook.bicep' = {
  name: 'workbook'
  params: { location: location, tags: tags, workspace: workspace.id }
}

output workspace string = workspace.id
output insights string = insights.name
