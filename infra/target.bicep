// Rights in one subscription whose machines may be captured.
targetScope = 'subscription'

param token string

@description('The resource group of the network watchers, NetworkWatcherRG as a rule.')
param watcherGroup string

@description('The groups that opted in.')
param resourceGroups array

@description('The groups of their virtual networks, where they are others.')
param networkGroups array

@allowed(['on', 'off'])
param context string

param control string
param analyze string
param contextRole string
param addressRole string
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

// Where findings come with what the rules of the network say, who reads
// packets may ask for them, and change none.
module asks 'grant.bicep' = [for g in union([watcherGroup], resourceGroups, networkGroups): if (context == 'on') {
  name: 'pcapwarden-context-${token}'
  scope: resourceGroup(g)
  params: { role: contextRole, principal: analyze }
}]

resource looksUp 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (context == 'on') {
  name: guid(subscription().id, analyze, addressRole)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', addressRole)
    principalId: analyze
    principalType: 'ServicePrincipal'
  }
}

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
