// A file that lands becomes a message on the queue, without any key: Event
// Grid delivers as itself.
param region string
param tags object

@description('The landing account, and the container in it.')
param account string
param container string

param namespace string
param queue string
param workspace string

resource landing 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: account
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' existing = {
  parent: landing
  name: 'default'
}

resource undelivered 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = {
  parent: blobs
  name: 'undelivered-events'
}

resource bus 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: namespace
}

resource landed 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' existing = {
  parent: bus
  name: queue
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: 'evgt-${account}'
  location: region
  tags: tags
  identity: { type: 'SystemAssigned' }
  properties: {
    source: landing.id
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}

// Service Bus Data Sender.
var sender = '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39'

// Storage Blob Data Contributor.
var blobContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'

resource delivers 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(landed.id, topic.id, sender)
  scope: landed
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
  }
}

resource keeps 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(undelivered.id, topic.id, blobContributor)
  scope: undelivered
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobContributor)
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
  }
}

// Agents create the file empty and write it then; the empty one is no news.
resource arrivals 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'capture-landed'
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    filter: {
      includedEventTypes: ['Microsoft.Storage.BlobCreated']
      subjectBeginsWith: '/blobServices/default/containers/${container}/'
      subjectEndsWith: '.cap'
      isSubjectCaseSensitive: false
      enableAdvancedFilteringOnArrays: true
      advancedFilters: [
        { operatorType: 'NumberGreaterThan', key: 'data.contentLength', value: 0 }
      ]
    }
    deliveryWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      destination: {
        endpointType: 'ServiceBusQueue'
        properties: { resourceId: landed.id }
      }
    }
    deadLetterWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: { resourceId: landing.id, blobContainerName: undelivered.name }
      }
    }
    retryPolicy: { maxDeliveryAttempts: 30, eventTimeToLiveInMinutes: 1440 }
  }
  dependsOn: [delivers, keeps]
}

resource failures 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'failures'
  scope: topic
  properties: {
    workspaceId: workspace
    logs: [
      { category: 'DeliveryFailures', enabled: true }
    ]
  }
}
