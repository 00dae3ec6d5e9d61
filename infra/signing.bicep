// The key that signs manifests, and certificates of deletion. It never leaves
// the service: analyze and control ask for signatures, and whoever verifies
// needs the public half alone.
param location string
param token string
param tags object
param workspace string
param endpointSubnet string
param keyZone string
param signers array

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: 'pcapsign${token}'
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    enablePurgeProtection: true
    softDeleteRetentionInDays: 90
    enabledForDeployment: false
    enabledForDiskEncryption: false
    enabledForTemplateDeployment: false
    publicNetworkAccess: 'Disabled'
    networkAcls: { defaultAction: 'Deny', bypass: 'None', ipRules: [], virtualNetworkRules: [] }
  }
}

// ES256. All its versions are trusted, so that it may be rotated; a version
// that is deleted verifies nothing any more.
resource key 'Microsoft.KeyVault/vaults/keys@2024-11-01' = {
  parent: vault
  name: 'manifests'
  tags: tags
  properties: {
    kty: 'EC'
    curveName: 'P-256'
    keyOps: ['sign', 'verify']
    attributes: { enabled: true, exportable: false }
  }
}

module endpoint 'endpoint.bicep' = {
  name: 'endpoint-${vault.name}'
  params: {
    name: 'pe-${vault.name}'
    location: location
    tags: tags
    subnet: endpointSubnet
    target: vault.id
    part: 'vault'
    zone: keyZone
  }
}

// Key Vault Crypto User.
var cryptoUser = '12338af0-0e69-4776-bea7-57ae8d297424'

resource signs 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for who in signers: {
  name: guid(key.id, who, cryptoUser)
  scope: key
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', cryptoUser)
    principalId: who
    principalType: 'ServicePrincipal'
  }
}]

resource access 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'access'
  scope: vault
  properties: {
    workspaceId: workspace
    logs: [
      { category: 'AuditEvent', enabled: true }
    ]
  }
}

output signer string = key.properties.keyUri
