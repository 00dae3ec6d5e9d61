// A private endpoint, and the name that leads to it.
param name string
param location string
param tags object
param subnet string

@description('The resource that it leads to.')
param target string

@description('blob, namespace, vault: what of the resource.')
param part string

param zone string

resource endpoint 'Microsoft.Network/privateEndpoints@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: { id: subnet }
    privateLinkServiceConnections: [
      {
        name: part
        properties: {
          privateLinkServiceId: target
          groupIds: [part]
        }
      }
    ]
  }
}

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      { name: part, properties: { privateDnsZoneId: zone } }
    ]
  }
}
