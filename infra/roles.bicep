// What the identities may do, and nothing else. The actions are those that the
// program's adapters list: internal/azure/arm/actions.go and
// internal/azure/blob/actions.go; a test compares them.
targetScope = 'subscription'

param token string

@description('Subscriptions in which the roles are given.')
param scopes array

var here = subscription().id

@description('On the network watchers: run captures.')
resource captureOperator 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, token, 'capture-operator')
  properties: {
    roleName: 'PCAP Capture Operator ${token}'
    description: 'Starts, looks at, stops and deletes packet captures.'
    type: 'CustomRole'
    assignableScopes: scopes
    permissions: [
      {
        actions: [
          'Microsoft.Network/networkWatchers/read'
          'Microsoft.Network/networkWatchers/packetCaptures/read'
          'Microsoft.Network/networkWatchers/packetCaptures/write'
          'Microsoft.Network/networkWatchers/packetCaptures/delete'
          'Microsoft.Network/networkWatchers/packetCaptures/stop/action'
          'Microsoft.Network/networkWatchers/packetCaptures/queryStatus/action'
          'Microsoft.Network/networkWatchers/packetCaptures/queryStatus/read'
        ]
        dataActions: []
      }
    ]
  }
}

@description('On the resource groups that opted in: look a target up. Nothing is written: extensions/write is root on the machine.')
resource targetReader 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, token, 'target-reader')
  properties: {
    roleName: 'PCAP Target Reader ${token}'
    description: 'Looks up the machines that may be captured.'
    type: 'CustomRole'
    assignableScopes: scopes
    permissions: [
      {
        actions: [
          'Microsoft.Compute/virtualMachines/read'
          'Microsoft.Compute/virtualMachines/instanceView/read'
          'Microsoft.Compute/virtualMachines/extensions/read'
          'Microsoft.Compute/virtualMachineScaleSets/read'
          'Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read'
          'Microsoft.Compute/virtualMachineScaleSets/extensions/read'
          'Microsoft.Network/networkInterfaces/read'
          'Microsoft.Compute/virtualMachineScaleSets/virtualMachines/networkInterfaces/read'
        ]
        dataActions: []
      }
    ]
  }
}

@description('On the subscription: where long-running calls are polled, and alerts are read again.')
resource subscriptionReader 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, token, 'subscription-reader')
  properties: {
    roleName: 'PCAP Subscription Reader ${token}'
    description: 'Polls the operations that it began, and reads alerts.'
    type: 'CustomRole'
    assignableScopes: scopes
    permissions: [
      {
        actions: [
          'Microsoft.Network/locations/operations/read'
          'Microsoft.Network/locations/operationResults/read'
          'Microsoft.AlertsManagement/alerts/read'
        ]
        dataActions: []
      }
    ]
  }
}

@description('On the watchers and on the groups of machines and networks: ask what the rules of the network say. It changes nothing; analyze has it where findings come with that context.')
resource contextReader 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, token, 'context-reader')
  properties: {
    roleName: 'PCAP Context Reader ${token}'
    description: 'Asks what the rules of the network say about a flow.'
    type: 'CustomRole'
    assignableScopes: scopes
    permissions: [
      {
        actions: [
          'Microsoft.Network/networkWatchers/read'
          'Microsoft.Network/networkWatchers/ipFlowVerify/action'
          'Microsoft.Network/networkWatchers/nextHop/action'
          'Microsoft.Network/networkWatchers/networkConfigurationDiagnostic/action'
          'Microsoft.Compute/virtualMachines/read'
          'Microsoft.Network/networkInterfaces/read'
          'Microsoft.Compute/virtualMachineScaleSets/virtualMachines/networkInterfaces/read'
          'Microsoft.Compute/virtualMachineScaleSets/networkInterfaces/read'
          'Microsoft.Network/networkInterfaces/effectiveNetworkSecurityGroups/action'
          'Microsoft.Network/publicIPAddresses/read'
          'Microsoft.Network/privateEndpoints/read'
          'Microsoft.Network/loadBalancers/read'
        ]
        dataActions: []
      }
    ]
  }
}

@description('On the subscription, with the role above: whose addresses are Azure itself.')
resource addressReader 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, token, 'address-reader')
  properties: {
    roleName: 'PCAP Address Reader ${token}'
    description: 'Reads the addresses that Azure publishes, and polls the questions that it asked.'
    type: 'CustomRole'
    assignableScopes: scopes
    permissions: [
      {
        actions: [
          'Microsoft.Network/locations/serviceTags/read'
          'Microsoft.Network/locations/operations/read'
          'Microsoft.Network/locations/operationResults/read'
        ]
        dataActions: []
      }
    ]
  }
}

@description('On the landing accounts alone: Network Watcher makes the SAS that the agent uploads with in the name of who starts the capture.')
resource landingGrant 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, token, 'landing-grant')
  properties: {
    roleName: 'PCAP Landing Grant ${token}'
    description: 'Lets Network Watcher write captures to a landing account.'
    type: 'CustomRole'
    assignableScopes: [here]
    permissions: [
      {
        actions: [
          'Microsoft.Storage/storageAccounts/read'
          'Microsoft.Storage/storageAccounts/listServiceSas/action'
          'Microsoft.Storage/storageAccounts/listAccountSas/action'
          'Microsoft.Storage/storageAccounts/listKeys/action'
        ]
        dataActions: []
      }
    ]
  }
}

@description('On the containers where captures land: take them to the vault, mark what is suspect.')
resource landingClearer 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, token, 'landing-clearer')
  properties: {
    roleName: 'PCAP Landing Clearer ${token}'
    description: 'Reads, marks and clears captures that landed; writes none.'
    type: 'CustomRole'
    assignableScopes: [here]
    permissions: [
      {
        actions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags/write'
        ]
      }
    ]
  }
}

@description('On the evidence and the reports: write what is new. Blocks are staged with blobs/write, which could overwrite; the immutable container is what forbids it.')
resource evidenceWriter 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, token, 'evidence-writer')
  properties: {
    roleName: 'PCAP Vault Writer ${token}'
    description: 'Adds evidence and reports; deletes nothing.'
    type: 'CustomRole'
    assignableScopes: [here]
    permissions: [
      {
        actions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags/write'
        ]
      }
    ]
  }
}

@description('On evidence, reports and landed files: delete them on their date, with their versions.')
resource evidenceDeleter 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, token, 'evidence-deleter')
  properties: {
    roleName: 'PCAP Sweeper ${token}'
    description: 'Deletes evidence; writes nothing.'
    type: 'CustomRole'
    assignableScopes: [here]
    permissions: [
      {
        actions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/deleteBlobVersion/action'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags/read'
        ]
      }
    ]
  }
}

output captureOperator string = captureOperator.name
output targetReader string = targetReader.name
output subscriptionReader string = subscriptionReader.name
output contextReader string = contextReader.name
output addressReader string = addressReader.name
output landingGrant string = landingGrant.name
output landingClearer string = landingClearer.name
output evidenceWriter string = evidenceWriter.name
output evidenceDeleter string = evidenceDeleter.name
