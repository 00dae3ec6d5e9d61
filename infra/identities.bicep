// Who acts. Three identities, so that the one that reads hostile packets can
// neither start captures nor delete evidence.
param location string
param token string
param tags object

@description('Starts, looks at and ends captures.')
resource control 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-pcapwarden-control-${token}'
  location: location
  tags: tags
  properties: {}
}

@description('Reads packets, writes evidence and reports.')
resource analyze 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-pcapwarden-analyze-${token}'
  location: location
  tags: tags
  properties: {}
}

@description('Deletes evidence on its date.')
resource sweep 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-pcapwarden-sweep-${token}'
  location: location
  tags: tags
  properties: {}
}

output control object = {
  id: control.id
  clientId: control.properties.clientId
  principalId: control.properties.principalId
}
output analyze object = {
  id: analyze.id
  clientId: analyze.properties.clientId
  principalId: analyze.properties.principalId
}
output sweep object = {
  id: sweep.id
  clientId: sweep.properties.clientId
  principalId: sweep.properties.principalId
}
