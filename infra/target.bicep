// Rights in one subscription whose machines may be captured.
targetScope = 'subscription'

param token string

@description('The resource group of the network watchers, NetworkWatcherRG as a rule.')
param watcherGroup string

@description('The groups that opted in.')
param resourceGroups array

param control string
param operatorRole string
param targetRole string
param subscriptionRole string
param workspace string

module watchers 'grant.bicep' = {
  name: 'pcapwarden-watchers-${token}'
  scope: resourceGroup(watcherGroup)
  params: { role: operatorRole, principal: control }
}

module machines 'grant.bicep' = [for g in resourceGroups: {
  name: 'pcapwarden-machines-${token}'
  scope: resourceGroup(g)
  params: { role: targetRole, principal: control }
}]

resource polling 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, control, subscriptionRole)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', subscriptionRole)
    principalId: control
    principalType: 'ServicePrincipal'
  }
}

// The rule for captures that somebody else started reads it.
resource activity 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'pcapwarden-${token}'
  properties: {
    workspaceId: workspace
    logs: [
      { category: 'Administrative', enabled: true }
      { category: 'Alert', enabled: true }
    ]
  }
}
