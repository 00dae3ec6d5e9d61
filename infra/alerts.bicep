// The last step, once the app is there: the action group that calls it, and
// rules that show how alerts get to it. infra/deploy.sh deploys this, with the
// function's key, which exists from the first deployment of the package on and
// is kept nowhere but in the action group.
param location string = resourceGroup().location

@description('https://APP.azurewebsites.net/api/startcaptures')
param endpoint string

@description('The key of the function startcaptures. It is no proof of anything; the token is.')
@secure()
param functionKey string

@description('The object ID of the app registration, and its api:// URI.')
param registration string
param audience string

@description('The Log Analytics workspace that the sample rule on logs asks.')
param workspace string

@description('A machine for the sample rule on a metric; empty: none.')
param sampleMachine string = ''

@description('A connection monitor for the sample rule on a path; empty: none.')
param sampleMonitor string = ''

@description('Deploy the sample rule on logs.')
param sampleLogRule bool = false

resource captures 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-pcapwarden-captures'
  location: 'global'
  properties: {
    groupShortName: 'pcapcapture'
    enabled: true
    webhookReceivers: [
      {
        name: 'startcaptures'
        serviceUri: '${endpoint}?code=${functionKey}'
        useCommonAlertSchema: true
        useAadAuth: true
        objectId: registration
        identifierUri: audience
        tenantId: tenant().tenantId
      }
    ]
  }
}

// The rule's name is what the policy matches; properties choose among the
// profiles that match, and never beyond them.
resource machine 'Microsoft.Insights/metricAlerts@2018-03-01' = if (!empty(sampleMachine)) {
  name: 'upload-failures'
  location: 'global'
  properties: {
    description: 'Sample: outgoing traffic of a machine has stopped.'
    severity: 1
    enabled: true
    scopes: [sampleMachine]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'silent'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: 'Microsoft.Compute/virtualMachines'
          metricName: 'Network Out Total'
          timeAggregation: 'Total'
          operator: 'LessThan'
          threshold: 10000
        }
      ]
    }
    actions: [
      { actionGroupId: captures.id, webHookProperties: { pcapProfile: 'partner-tls' } }
    ]
  }
}

resource path 'Microsoft.Insights/metricAlerts@2018-03-01' = if (!empty(sampleMonitor)) {
  name: 'connection-monitor'
  location: 'global'
  properties: {
    description: 'Sample: checks of a path fail. The alert names both ends, and the address that is captured.'
    severity: 1
    enabled: true
    scopes: [sampleMonitor]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'checks-fail'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: 'Microsoft.Network/networkWatchers/connectionMonitors'
          metricName: 'ChecksFailedPercent'
          timeAggregation: 'Average'
          operator: 'GreaterThan'
          threshold: 50
          dimensions: [
            { name: 'SourceResourceId', operator: 'Include', values: ['*'] }
            { name: 'DestinationAddress', operator: 'Include', values: ['*'] }
          ]
        }
      ]
    }
    actions: [
      { actionGroupId: captures.id }
    ]
  }
}

resource logs 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = if (sampleLogRule) {
  name: 'robot-heartbeat-missed'
  location: location
  kind: 'LogAlert'
  properties: {
    displayName: 'robot-heartbeat-missed'
    description: 'Sample: a machine has stopped to report.'
    severity: 2
    enabled: true
    scopes: [workspace]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: loadTextContent('queries/robot-heartbeat-missed.kql')
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          resourceIdColumn: '_ResourceId'
          failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
        }
      ]
    }
    actions: {
      actionGroups: [captures.id]
      customProperties: { pcapProfile: 'robot-heartbeat' }
    }
  }
}

output actionGroup string = captures.id
