// One of the two apps. Both run the same package; the mode says which part of
// the work is theirs. Each has its own host account: whoever writes to it can
// replace the program, and the one that parses packets must not replace the
// one that starts captures.
@allowed(['control', 'analyze'])
param mode string

param location string
param token string
param tags object
param subnet string
param endpointSubnet string
param blobZone string
param workspace string

@description('The Application Insights component, in this group.')
param insights string

@description('Who the app is: { id, clientId, principalId }.')
param identity object

@description('Who deletes evidence; control alone has it.')
param sweeper object

param operatorAddresses array
param audience string
param recordsAccount string
param vaultAccount string
param namespace string

@description('The URI of the key that signs manifests.')
param signer string

param context string

@description('Where traces, metrics and logs go, as OTLP over HTTP; empty: nowhere.')
param otlpEndpoint string

param starts string

var records = 'https://${recordsAccount}.blob.${environment().suffixes.storage}'
var vault = 'https://${vaultAccount}.blob.${environment().suffixes.storage}'

// What both apps are told. No setting is a secret: all there is to prove is
// proved by an identity.
var everywhere = {
  AzureWebJobsStorage__accountName: host.name
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.clientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: monitor.properties.ConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.clientId};Authorization=AAD'
  PCAPWARDEN_MODE: mode
  PCAPWARDEN_POLICY: 'policy.yaml'
  PCAPWARDEN_LANDING: 'https://{account}.blob.${environment().suffixes.storage}/network-watcher-logs'
  PCAPWARDEN_RECORDS: '${records}/state'
  PCAPWARDEN_VAULT: '${vault}/vault'
  PCAPWARDEN_REPORTS: '${records}/reports'
  PCAPWARDEN_INCIDENT_QUEUE: 'sb://${namespace}.servicebus.windows.net/findings'
  PCAPWARDEN_SIGNING_KEY: signer
  PCAPWARDEN_CREDENTIAL: 'managedidentity'
  PCAPWARDEN_CLIENT_ID: identity.clientId
  PCAPWARDEN_LOG_LEVEL: 'info'
}

var control = {
  PCAPWARDEN_LANDED_QUEUE: 'sb://${namespace}.servicebus.windows.net/capture-landed'
  PCAPWARDEN_SWEEP_SCHEDULE: '0 * * * * *'
  PCAPWARDEN_SWEEP_CLIENT_ID: sweeper.clientId
  PCAPWARDEN_ARM_ENDPOINT: environment().resourceManager
  PCAPWARDEN_AUTH: 'entra'
  PCAPWARDEN_TENANT_ID: tenant().tenantId
  PCAPWARDEN_AUDIENCE: audience
  PCAPWARDEN_AUTHORITY: environment().authentication.loginEndpoint
  PCAPWARDEN_STARTS: starts
  'AzureWebJobs.analyzecapture.Disabled': 'true'
}

var analyze = {
  PCAPWARDEN_LANDED_QUEUE_NAME: 'capture-landed'
  PCAPWARDEN_SERVICEBUS__fullyQualifiedNamespace: '${namespace}.servicebus.windows.net'
  PCAPWARDEN_SERVICEBUS__credential: 'managedidentity'
  PCAPWARDEN_SERVICEBUS__clientId: identity.clientId
  PCAPWARDEN_FUNCTION_TIMEOUT: '29m'
  PCAPWARDEN_CONTEXT: context
  'AzureWebJobs.startcaptures.Disabled': 'true'
  'AzureWebJobs.sweepcaptures.Disabled': 'true'
  'AzureWebJobs.captures.Disabled': 'true'
}

// docs/TELEMETRY.md has these standard variables.
var telemetry = {
  OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint
  OTEL_SERVICE_NAME: 'pcapwarden-${mode}'
}

// Azure Monitor calls control; people and deployments come from where they
// say. Analyze is called by nobody.
var operators = [for (cidr, i) in operatorAddresses: {
  name: 'operators-${i}'
  action: 'Allow'
  priority: 200 + i
  ipAddress: cidr
}]
var alerts = [
  { name: 'azure-monitor', action: 'Allow', priority: 100, tag: 'ServiceTag', ipAddress: 'ActionGroup' }
]

resource monitor 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insights
}

resource host 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: 'pcaphost${take(mode, 1)}${token}'
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
    publicNetworkAccess: 'Disabled'
    networkAcls: { defaultAction: 'Deny', bypass: 'None', ipRules: [], virtualNetworkRules: [] }
  }
}

resource hostBlobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: host
  name: 'default'
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: hostBlobs
  name: 'packages'
  properties: { publicAccess: 'None' }
}

module endpoint 'endpoint.bicep' = {
  name: 'endpoint-${host.name}'
  params: {
    name: 'pe-${host.name}'
    location: location
    tags: tags
    subnet: endpointSubnet
    target: host.id
    part: 'blob'
    zone: blobZone
  }
}

// Storage Blob Data Owner, which the Functions host asks for on its own
// account: leases, the timer's state, function keys.
var blobOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'

resource hosts 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(host.id, identity.principalId, blobOwner)
  scope: host
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobOwner)
    principalId: identity.principalId
    principalType: 'ServicePrincipal'
  }
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: 'plan-pcapwarden-${mode}-${token}'
  location: location
  tags: tags
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: 'pcapwarden-${mode}-${token}'
  location: location
  tags: union(tags, { 'azd-service-name': mode })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: mode == 'control' ? { '${identity.id}': {}, '${sweeper.id}': {} } : { '${identity.id}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: subnet
    outboundVnetRouting: { allTraffic: true }
    functionAppConfig: {
      runtime: { name: 'custom', version: '1.0' }
      // Captures are read one at a time; 2 GiB hold any of them.
      scaleAndConcurrency: {
        instanceMemoryMB: 2048
        maximumInstanceCount: 40
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${host.properties.primaryEndpoints.blob}${packages.name}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      ipSecurityRestrictionsDefaultAction: 'Deny'
      ipSecurityRestrictions: mode == 'control' ? concat(alerts, operators) : []
      scmIpSecurityRestrictionsUseMain: false
      scmIpSecurityRestrictionsDefaultAction: 'Deny'
      scmIpSecurityRestrictions: operators
    }
  }
  dependsOn: [hosts, endpoint]
}

resource settings 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: app
  name: 'appsettings'
  properties: union(everywhere, mode == 'control' ? control : analyze, empty(otlpEndpoint) ? {} : telemetry)
}

// Deployments come with Entra tokens alone.
resource ftp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

resource scm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

resource access 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'access'
  scope: app
  properties: {
    workspaceId: workspace
    logs: [
      { category: 'FunctionAppLogs', enabled: true }
    ]
  }
}

output name string = app.name
output host string = app.properties.defaultHostName
