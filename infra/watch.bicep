// Alerts about ourselves, and about captures that are none of ours.
param location string
param tags object
param ownerEmail string
param workspace string
param namespace string

@description('Object IDs: who starts captures, who reads evidence, who deletes it.')
param control string
param analyze string
param sweep string

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-pcapwarden-people'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'pcapwarden'
    enabled: true
    emailReceivers: [
      { name: 'owner', emailAddress: ownerEmail, useCommonAlertSchema: true }
    ]
  }
}

resource bus 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: namespace
}

resource deadLetters 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'pcapwarden-dead-letters'
  location: 'global'
  tags: tags
  properties: {
    description: 'A message was given up: a capture that nobody could analyse, or a finding that nobody took.'
    severity: 2
    enabled: true
    scopes: [bus.id]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'dead-letters'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: 'Microsoft.ServiceBus/namespaces'
          metricName: 'DeadletteredMessages'
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: 0
        }
      ]
    }
    actions: [
      { actionGroupId: people.id }
    ]
  }
}

// Each query returns a row for each thing that is wrong.
var rules = [
  {
    name: 'foreign-capture'
    severity: 1
    description: 'A packet capture was started by somebody else.'
    query: replace(loadTextContent('queries/foreign-capture.kql'), 'CONTROL_IDENTITY', control)
    window: 'PT1H'
  }
  {
    name: 'unlogged-capture'
    severity: 1
    description: 'Our identity started a capture that the app knows nothing of.'
    query: replace(loadTextContent('queries/unlogged-capture.kql'), 'CONTROL_IDENTITY', control)
    window: 'PT1H'
  }
  {
    name: 'landing-keys'
    severity: 1
    description: 'Somebody else listed the keys of a landing account.'
    query: replace(loadTextContent('queries/landing-keys.kql'), 'CONTROL_IDENTITY', control)
    window: 'PT1H'
  }
  {
    name: 'evidence-access'
    severity: 2
    description: 'Evidence was read, written or deleted by somebody else.'
    query: replace(replace(loadTextContent('queries/evidence-access.kql'), 'ANALYZE_IDENTITY', analyze), 'SWEEP_IDENTITY', sweep)
    window: 'PT1H'
  }
  {
    name: 'no-heartbeat'
    severity: 1
    description: 'No sweep has succeeded for a quarter of an hour: captures end by their own limits alone.'
    query: loadTextContent('queries/no-heartbeat.kql')
    window: 'PT15M'
  }
  {
    name: 'own-failures'
    severity: 2
    description: 'The app failed, or could not do what it should.'
    query: loadTextContent('queries/own-failures.kql')
    window: 'PT15M'
  }
  {
    name: 'refused-callers'
    severity: 2
    description: 'Somebody knocks: many callers were refused.'
    query: loadTextContent('queries/refused-callers.kql')
    window: 'PT15M'
  }
]

resource rule 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for r in rules: {
  name: 'pcapwarden-${r.name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'pcapwarden: ${r.name}'
    description: r.description
    severity: r.severity
    enabled: true
    scopes: [workspace]
    evaluationFrequency: 'PT5M'
    windowSize: r.window
    autoMitigate: false
    skipQueryValidation: true // tables are made by their first line
    criteria: {
      allOf: [
        {
          query: r.query
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
        }
      ]
    }
    actions: { actionGroups: [people.id] }
  }
}]
