// The case records with the audit log, and the reports. They are rewritten all
// the time, which immutable evidence must not be; so they have their account.
param location string
param token string
param tags object
param workspace string
param endpointSubnet string
param blobZone string
param writerRole string
param deleterRole string
param control string
param analyze string
param sweep string
param custodians string

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: 'pcaprecords${token}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowedCopyScope: 'AAD'
    defaultToOAuthAuthentication: true
    isHnsEnabled: false
    isLocalUserEnabled: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    encryption: {
      keySource: 'Microsoft.Storage'
      requireInfrastructureEncryption: true
      services: { blob: { enabled: true } }
    }
    publicNetworkAccess: 'Disabled'
    networkAcls: { defaultAction: 'Deny', bypass: 'None', ipRules: [], virtualNetworkRules: [] }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: { enabled: false }
    containerDeleteRetentionPolicy: { enabled: true, days: 7 }
  }
}

resource state 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: 'state'
  properties: { publicAccess: 'None' }
}

resource reports 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: 'reports'
  properties: { publicAccess: 'None' }
}

// The sweep deletes reports with their evidence. This catches what it lost.
// The records stay: the audit log is a chain, and a gap looks like an attack.
resource backstop 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'delete-reports-after-a-year'
          type: 'Lifecycle'
          enabled: true
          definition: {
            filters: { blobTypes: ['blockBlob'], prefixMatch: ['reports/'] }
            actions: { baseBlob: { delete: { daysAfterCreationGreaterThan: 366 } } }
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

// Storage Blob Data Contributor: records are made, changed under leases, and
// moved from open to closed.
var blobContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'

// Storage Blob Data Reader.
var blobReader = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'

resource records 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for who in [control, analyze]: {
  name: guid(state.id, who, blobContributor)
  scope: state
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobContributor)
    principalId: who
    principalType: 'ServicePrincipal'
  }
}]

resource writes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(reports.id, analyze, writerRole)
  scope: reports
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', writerRole)
    principalId: analyze
    principalType: 'ServicePrincipal'
  }
}

resource deletes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(reports.id, sweep, deleterRole)
  scope: reports
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', deleterRole)
    principalId: sweep
    principalType: 'ServicePrincipal'
  }
}

resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(custodians)) {
  name: guid(reports.id, custodians, blobReader)
  scope: reports
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobReader)
    principalId: custodians
    principalType: 'Group'
  }
}

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

output account string = account.name
