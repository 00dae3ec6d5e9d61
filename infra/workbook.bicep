// What one sees of it. The queries are files, which people can run by
// themselves; docs/DEPLOY.md says what each is good for.
param location string
param tags object
param workspace string

var panels = [
  { title: 'Captures over time', look: 'timechart', query: loadTextContent('queries/captures-over-time.kql') }
  { title: 'From alert to running capture: 99 % within 90 s', look: 'table', query: loadTextContent('queries/alert-to-running.kql') }
  { title: 'From end of capture to finding: 95 % within 10 min', look: 'table', query: loadTextContent('queries/stop-to-finding.kql') }
  { title: 'Evidence by deletion date', look: 'barchart', query: loadTextContent('queries/evidence-by-deletion-date.kql') }
  { title: 'Refusals by reason', look: 'table', query: loadTextContent('queries/refusals.kql') }
  { title: 'Service levels, as measured', look: 'table', query: loadTextContent('queries/service-levels.kql') }
  { title: 'Throttle headroom', look: 'timechart', query: loadTextContent('queries/throttle-headroom.kql') }
  { title: 'Own failures', look: 'table', query: loadTextContent('queries/own-failures.kql') }
]

var period = [
  {
    type: 9
    name: 'period'
    content: {
      version: 'KqlParameterItem/1.0'
      style: 'pills'
      queryType: 0
      resourceType: 'microsoft.operationalinsights/workspaces'
      parameters: [
        {
          id: guid('pcapwarden', 'period')
          version: 'KqlParameterItem/1.0'
          name: 'Period'
          type: 4
          isRequired: true
          value: { durationMs: 604800000 }
          typeSettings: {
            selectableValues: [
              { durationMs: 86400000 }
              { durationMs: 604800000 }
              { durationMs: 2592000000 }
              { durationMs: 7776000000 }
            ]
          }
        }
      ]
    }
  }
]

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'pcapwarden')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'pcapwarden'
    category: 'workbook'
    version: '1.0'
    sourceId: workspace
    serializedData: string({
      version: 'Notebook/1.0'
      items: concat(period, map(panels, p => {
        type: 3
        name: p.title
        content: {
          version: 'KqlItem/1.0'
          title: p.title
          query: p.query
          visualization: p.look
          size: 0
          timeContextFromParameter: 'Period'
          queryType: 0
          resourceType: 'microsoft.operationalinsights/workspaces'
          crossComponentResources: [workspace]
        }
      }))
      fallbackResourceIds: [workspace]
    })
  }
}
