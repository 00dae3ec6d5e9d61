// pcapwarden in a subscription. Read from the top: who acts, where captures
// land, where evidence stays, how one tells the other, the two apps, and who
// may do what. docs/DEPLOY.md says how to deploy it and what it costs.
//
// The syntax is the subset that tree-sitter-bicep reads, so that the tests of
// this folder can check it without Azure's tools.
targetScope = 'subscription'

@description('Names the deployment; part of the resource group.')
@minLength(1)
@maxLength(24)
param environmentName string

@description('Region of the apps and of the vault.')
param location string

@description('Where captures land, one account a region: [{ region, subnets }], with the subnets of the machines that upload there.')
param landings array

@description('What may be captured: [{ subscription, watcherGroup, resourceGroups }], as in the policy; and networkGroups, the groups of the virtual networks, if context is on.')
param targets array

@description('The app registration that callers get tokens for: its api:// URI. infra/entra.sh makes it.')
param audience string

@description('Whom to write to: the owner of the evidence, and of the bill.')
param ownerEmail string

@description('Networks, as CIDRs, that people and deployments come from. Azure Monitor is always let in, to the control app alone.')
param operatorAddresses array = []

@description('Object ID of the Entra group that may read evidence and reports. Nobody else can.')
param custodians string = ''

@description('Premium: private endpoint and firewall. Standard: cheap, for trying it, with Entra tokens as the only lock.')
@allowed(['Premium', 'Standard'])
param serviceBusSku string = 'Premium'

@description('A CIDR of at least /24 that nothing else here uses.')
param addressSpace string = '10.91.0.0/24'

@description('Days in which nobody can delete or change evidence. Not above the shortest retention in the policy.')
@minValue(1)
@maxValue(365)
param immutableDays int = 1

@description('A collector of OpenTelemetry that the apps reach inside their network, as https://HOST:4318; empty: none.')
param otlpEndpoint string = ''

@description('The kill switch: off starts no capture.')
@allowed(['on', 'off'])
param starts string = 'on'

@description('Findings come with what the rules of the network say: analyze may ask Azure, and change nothing.')
@allowed(['on', 'off'])
param context string = 'off'

@description('In the currency of the subscription, a month.')
param monthlyBudget int = 200

@description('The first day of the month in which the budget begins.')
param budgetStart string = utcNow('yyyy-MM-01')

var token = toLower(uniqueString(subscription().id, environmentName, location))
var here = subscription().id
var tags = {
  'azd-env-name': environmentName
  owner: ownerEmail
  classification: 'restricted'
}

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: 'rg-pcapwarden-${environmentName}'
  location: location
  tags: tags
}

// Who acts: one identity a privilege.
module identities 'identities.bicep' = {
  name: 'identities'
  scope: group
  params: { location: location, token: token, tags: tags }
}

module roles 'roles.bicep' = {
  name: 'roles'
  params: {
    token: token
    scopes: union([here], map(targets, t => '/subscriptions/${t.subscription}'))
  }
}

module network 'network.bicep' = {
  name: 'network'
  scope: group
  params: { location: location, token: token, tags: tags, addressSpace: addressSpace, context: context }
}

module observability 'observability.bicep' = {
  name: 'observability'
  scope: group
  params: {
    location: location
    token: token
    tags: tags
    publishers: [identities.outputs.control.principalId, identities.outputs.analyze.principalId]
  }
}

// Where captures land: Network Watcher writes with account keys, so these
// accounts have them, and nothing else is kept there.
module landing 'landing.bicep' = [for l in landings: {
  name: 'landing-${l.region}'
  scope: group
  params: {
    region: l.region
    subnets: l.subnets
    location: location
    tags: tags
    workspace: observability.outputs.workspace
    endpointSubnet: network.outputs.endpointSubnet
    blobZone: network.outputs.blobZone
    grantRole: roles.outputs.landingGrant
    clearerRole: roles.outputs.landingClearer
    deleterRole: roles.outputs.evidenceDeleter
    control: identities.outputs.control.principalId
    analyze: identities.outputs.analyze.principalId
    sweep: identities.outputs.sweep.principalId
  }
}]

// Where evidence stays, and the records about it.
module vault 'vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    location: location
    token: token
    tags: tags
    immutableDays: immutableDays
    workspace: observability.outputs.workspace
    endpointSubnet: network.outputs.endpointSubnet
    blobZone: network.outputs.blobZone
    writerRole: roles.outputs.evidenceWriter
    deleterRole: roles.outputs.evidenceDeleter
    analyze: identities.outputs.analyze.principalId
    sweep: identities.outputs.sweep.principalId
    custodians: custodians
  }
}

module records 'records.bicep' = {
  name: 'records'
  scope: group
  params: {
    location: location
    token: token
    tags: tags
    workspace: observability.outputs.workspace
    endpointSubnet: network.outputs.endpointSubnet
    blobZone: network.outputs.blobZone
    writerRole: roles.outputs.evidenceWriter
    deleterRole: roles.outputs.evidenceDeleter
    control: identities.outputs.control.principalId
    analyze: identities.outputs.analyze.principalId
    sweep: identities.outputs.sweep.principalId
    custodians: custodians
  }
}

// What signs the manifest of each piece of evidence.
module signing 'signing.bicep' = {
  name: 'signing'
  scope: group
  params: {
    location: location
    token: token
    tags: tags
    workspace: observability.outputs.workspace
    endpointSubnet: network.outputs.endpointSubnet
    keyZone: network.outputs.keyZone
    signers: [identities.outputs.analyze.principalId, identities.outputs.control.principalId]
  }
}

// How one tells the other.
module queues 'queues.bicep' = {
  name: 'queues'
  scope: group
  params: {
    location: location
    token: token
    tags: tags
    sku: serviceBusSku
    workspace: observability.outputs.workspace
    endpointSubnet: network.outputs.endpointSubnet
    busZone: network.outputs.busZone
    control: identities.outputs.control.principalId
    analyze: identities.outputs.analyze.principalId
  }
}

module events 'events.bicep' = [for (l, i) in landings: {
  name: 'events-${l.region}'
  scope: group
  params: {
    region: l.region
    tags: tags
    account: landing[i].outputs.account
    container: landing[i].outputs.container
    namespace: queues.outputs.namespace
    queue: queues.outputs.landedQueue
    workspace: observability.outputs.workspace
  }
}]

// The two apps, from one package.
module control 'app.bicep' = {
  name: 'control'
  scope: group
  params: {
    mode: 'control'
    location: location
    token: token
    tags: tags
    subnet: network.outputs.controlSubnet
    endpointSubnet: network.outputs.endpointSubnet
    blobZone: network.outputs.blobZone
    workspace: observability.outputs.workspace
    insights: observability.outputs.insights
    identity: identities.outputs.control
    sweeper: identities.outputs.sweep
    operatorAddresses: operatorAddresses
    audience: audience
    recordsAccount: records.outputs.account
    vaultAccount: vault.outputs.account
    namespace: queues.outputs.namespace
    signer: signing.outputs.signer
    context: context
    otlpEndpoint: otlpEndpoint
    starts: starts
  }
}

module analyze 'app.bicep' = {
  name: 'analyze'
  scope: group
  params: {
    mode: 'analyze'
    location: location
    token: token
    tags: tags
    subnet: network.outputs.analyzeSubnet
    endpointSubnet: network.outputs.endpointSubnet
    blobZone: network.outputs.blobZone
    workspace: observability.outputs.workspace
    insights: observability.outputs.insights
    identity: identities.outputs.analyze
    sweeper: identities.outputs.sweep
    operatorAddresses: operatorAddresses
    audience: audience
    recordsAccount: records.outputs.account
    vaultAccount: vault.outputs.account
    namespace: queues.outputs.namespace
    signer: signing.outputs.signer
    context: context
    otlpEndpoint: otlpEndpoint
    starts: starts
  }
}

// What may be captured: rights on the watchers and the opted-in groups alone.
module target 'target.bicep' = [for t in targets: {
  name: 'pcapwarden-target-${token}'
  scope: subscription(t.subscription)
  params: {
    token: token
    watcherGroup: t.watcherGroup
    resourceGroups: t.resourceGroups
    networkGroups: t.?networkGroups ?? []
    context: context
    analyze: identities.outputs.analyze.principalId
    contextRole: roles.outputs.contextReader
    addressRole: roles.outputs.addressReader
    control: identities.outputs.control.principalId
    operatorRole: roles.outputs.captureOperator
    targetRole: roles.outputs.targetReader
    subscriptionRole: roles.outputs.subscriptionReader
    workspace: observability.outputs.workspace
  }
}]

// Who watches the watchman.
module watch 'watch.bicep' = {
  name: 'watch'
  scope: group
  params: {
    location: location
    tags: tags
    ownerEmail: ownerEmail
    workspace: observability.outputs.workspace
    namespace: queues.outputs.namespace
    control: identities.outputs.control.principalId
    analyze: identities.outputs.analyze.principalId
    sweep: identities.outputs.sweep.principalId
  }
}

module budget 'budget.bicep' = {
  name: 'budget'
  scope: group
  params: { amount: monthlyBudget, start: budgetStart, ownerEmail: ownerEmail }
}

output AZURE_RESOURCE_GROUP string = group.name
output CONTROL_APP string = control.outputs.name
output ANALYZE_APP string = analyze.outputs.name
output ALERT_ENDPOINT string = 'https://${control.outputs.host}/api/startcaptures'
output SERVICE_BUS string = queues.outputs.namespace
output VAULT_ACCOUNT string = vault.outputs.account
output SIGNING_KEY string = signing.outputs.signer
output WORKSPACE string = observability.outputs.workspace
output LANDING_ACCOUNTS array = [for (l, i) in landings: {
  region: l.region
  storageAccountId: landing[i].outputs.id
}]
