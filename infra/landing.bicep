// Where the captures of one region land. The agent on the machine uploads with
// a SAS that Network Watcher makes of the account's keys, so this is the one
// account that has keys. It is short-lived on purpose: evidence is copied to
// the vault within minutes.
// https://learn.microsoft.com/azure/network-watcher/packet-capture-manage
param region string

@description('Subnets of the machines, each with the service endpoint Microsoft.Storage.')
param subnets array

@description('Region of the apps.')
param location string

param tags object
param workspace string
param endpointSubnet string
param blobZone string
param grantRole string
param clearerRole string
param deleterRole string
param control string
param analyze string
param sweep string

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: 'pcapland${uniqueString(resourceGroup().id, region)}'
  location: region
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    allowSharedKeyAccess: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowedCopyScope: 'AAD'
    defaultToOAuthAuthentication: true
    isHnsEnabled: false
    isLocalUserEnabled: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    keyPolicy: { keyExpirationPeriodInDays: 90 }
    sasPolicy: { sasExpirationPeriod: '1.00:00:00', expirationAction: 'Log' }
    encryption: {
      keySource: 'Microsoft.Storage'
      requireInfrastructureEncryption: true
      services: { blob: { enabled: true } }
    }
    // The machines' subnets come by their service endpoints; nobody else does.
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      defaultAction: 'Deny'
      bypass: 'AzureServices'
      ipRules: []
      virtualNetworkRules: [for s in subnets: { id: s, action: 'Allow' }]
    }
  }
}

// Deleted is deleted: a copy that could be brought back would outlive its
// deletion date.
resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: { enabled: false }
    containerDeleteRetentionPolicy: { enabled: false }
  }
}

@description('The container that Network Watcher writes to; the name is its own.')
resource captures 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: 'network-watcher-logs'
  properties: { publicAccess: 'None' }
}

@description('Events that could not be delivered. They name files, and hold nothing of them.')
resource undelivered 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: 'undelivered-events'
  properties: { publicAccess: 'None' }
}

// The app deletes what it has copied. This catches what it never saw.
resource backstop 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'delete-after-a-week'
          type: 'Lifecycle'
          enabled: true
          definition: {
            filters: { blobTypes: ['blockBlob', 'appendBlob'] }
            actions: { baseBlob: { delete: { daysAfterCreationGreaterThan: 7 } } }
          }
        }
      ]
    }
  }
  dependsOn: [blobs]
}

module endpoint 'endpoint.bicep' = {
  name: 'endpoint-${account.name}'
  params: {
    name: 'pe-${account.name}'
    location: location
    tags: tags
    subnet: endpointSubnet
    target: account.id
    part: 'blob'
    zone: blobZone
  }
}

resource uploads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, control, grantRole)
  scope: account
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', grantRole)
    principalId: control
    principalType: 'ServicePrincipal'
  }
}

// Analyze takes what landed to the vault; sweep finds what came without an event, and deletes.
resource clears 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(captures.id, analyze, clearerRole)
  scope: captures
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', clearerRole)
    principalId: analyze
    principalType: 'ServicePrincipal'
  }
}

resource deletes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(captures.id, sweep, deleterRole)
  scope: captures
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', deleterRole)
    principalId: sweep
    principalType: 'ServicePrincipal'
  }
}

// Who read, wrote and deleted: the other half of the chain of custody.
resource access 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'access'
  scope: blobs
  properties: {
    workspaceId: workspace
    logs: [
      { category: 'StorageRead', enabled: true }
      { category: 'StorageWrite', enabled: true }
      { category: 'StorageDelete', enabled: true }
    ]
  }
}

output id string = account.id
output account string = account.name
output container string = captures.name
