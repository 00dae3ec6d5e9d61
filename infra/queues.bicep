// How one tells the other: Event Grid tells analyze what landed, analyze tells
// people what it found. Both queues drop what they were told already.
param location string
param token string
param tags object
param sku string
param workspace string
param endpointSubnet string
param busZone string
param control string
param analyze string

var private = sku == 'Premium'

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: 'sb-pcapwarden-${token}'
  location: location
  tags: tags
  sku: { name: sku, tier: sku, capacity: private ? 1 : null }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
  }
}

// Event Grid is a trusted service, and has no other way in.
resource network 'Microsoft.ServiceBus/namespaces/networkRuleSets@2024-01-01' = if (private) {
  parent: namespace
  name: 'default'
  properties: {
    publicNetworkAccess: 'Disabled'
    defaultAction: 'Deny'
    trustedServiceAccessEnabled: true
    ipRules: []
    virtualNetworkRules: []
  }
}

@description('Files that landed. Event Grid retries for a day, with the same message ID.')
resource landed 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = {
  parent: namespace
  name: 'capture-landed'
  properties: {
    requiresDuplicateDetection: true
    duplicateDetectionHistoryTimeWindow: 'P1D'
    lockDuration: 'PT5M'
    maxDeliveryCount: 10
    defaultMessageTimeToLive: 'P7D'
    deadLetteringOnMessageExpiration: true
  }
}

@description('Findings and notices, for people and their tools.')
resource findings 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = {
  parent: namespace
  name: 'findings'
  properties: {
    requiresDuplicateDetection: true
    duplicateDetectionHistoryTimeWindow: 'P7D'
    lockDuration: 'PT5M'
    maxDeliveryCount: 10
    defaultMessageTimeToLive: 'P14D'
    deadLetteringOnMessageExpiration: true
  }
}

module endpoint 'endpoint.bicep' = if (private) {
  name: 'endpoint-${namespace.name}'
  params: {
    name: 'pe-${namespace.name}'
    location: location
    tags: tags
    subnet: endpointSubnet
    target: namespace.id
    part: 'namespace'
    zone: busZone
  }
}

// Service Bus Data Sender and Data Receiver; never Data Owner.
var sender = '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39'
var receiver = '4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0'

resource receives 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(landed.id, analyze, receiver)
  scope: landed
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiver)
    principalId: analyze
    principalType: 'ServicePrincipal'
  }
}

@description('Raises the event of a file that landed without one.')
resource recovers 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(landed.id, control, sender)
  scope: landed
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
    principalId: control
    principalType: 'ServicePrincipal'
  }
}

resource tells 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for who in [control, analyze]: {
  name: guid(findings.id, who, sender)
  scope: findings
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
    principalId: who
    principalType: 'ServicePrincipal'
  }
}]

resource access 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'access'
  scope: namespace
  properties: {
    workspaceId: workspace
    logs: [
      { category: 'OperationalLogs', enabled: true }
      { categoryGroup: 'audit', enabled: true }
    ]
    metrics: [
      { category: 'AllMetrics', enabled: true }
    ]
  }
}

output namespace string = namespace.name
output landedQueue string = landed.name
