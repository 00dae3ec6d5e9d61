// Where evidence stays until its date: no keys, no public network, nothing
// overwritten, nothing deleted before its time, by nobody.
param location string
param token string
param tags object
param immutableDays int
param workspace string
param endpointSubnet string
param blobZone string
param writerRole string
param deleterRole string
param analyze string
param sweep string
param custodians string

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: 'pcapvault${token}'
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

// Versions are what immutability is kept for. What is deleted after that is
// gone: a copy that could be brought back would outlive its deletion date.
resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    isVersioningEnabled: true
    deleteRetentionPolicy: { enabled: false }
    containerDeleteRetentionPolicy: { enabled: true, days: 7 }
  }
}

@description('Captures and their manifests.')
resource evidence 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: 'vault'
  properties: {
    publicAccess: 'None'
    immutableStorageWithVersioning: { enabled: true }
  }
}

// It begins unlocked, so that a first deployment can be undone. Locking it is
// for a person: docs/DEPLOY.md.
resource worm 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2025-06-01' = {
  parent: evidence
  name: 'default'
  properties: {
    immutabilityPeriodSinceCreationInDays: immutableDays
    allowProtectedAppendWrites: false
  }
}

// No lifecycle rule: none works on what is immutable. The sweep deletes.
// https://learn.microsoft.com/azure/storage/blobs/lifecycle-management-overview

// Against a resource group deleted in passing; evidence itself can be deleted.
resource keep 'Microsoft.Authorization/locks@2020-05-01' = {
  name: 'evidence'
  scope: account
  properties: {
    level: 'CanNotDelete'
    notes: 'Holds evidence. See docs/DEPLOY.md, Remove it.'
  }
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

// The sweep adds the certificates of what it deleted.
resource writes 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for who in [analyze, sweep]: {
  name: guid(evidence.id, who, writerRole)
  scope: evidence
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', writerRole)
    principalId: who
    principalType: 'ServicePrincipal'
  }
}]

resource deletes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(evidence.id, sweep, deleterRole)
  scope: evidence
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', deleterRole)
    principalId: sweep
    principalType: 'ServicePrincipal'
  }
}

// Storage Blob Data Reader.
var blobReader = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'

resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(custodians)) {
  name: guid(evidence.id, custodians, blobReader)
  scope: evidence
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
