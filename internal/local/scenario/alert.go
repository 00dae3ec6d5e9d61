package scenario

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// rule is the metric alert rule of a story, and what it measured.
type rule struct {
	name, description string
	severity          string // "Sev1"
	namespace, metric string
	aggregation       string
	threshold         float64 // fires above it
	fired, resolved   float64 // what was measured then
	incident          string
}

// Alert returns what Azure Monitor sends when the story's alert fires, in the
// common alert schema; with a time in resolved, what it sends when that same
// alert resolves. Alerts that fired at different times are different alerts.
// https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema
func (s Scenario) Alert(fired, resolved time.Time) []byte {
	// Azure writes the IDs of targets in lower case.
	target := strings.ToLower(s.Machines[0].ID)
	scope := "/subscriptions/" + s.Subscription
	properties := map[string]string{"incidentId": s.rule.incident, "pcapProfile": s.Name}

	essentials := map[string]any{
		"alertId":             scope + "/providers/Microsoft.AlertsManagement/alerts/" + guid(s.Name, "alert", fired.UTC().String()),
		"alertRule":           s.rule.name,
		"alertRuleId":         scope + "/resourceGroups/" + s.ResourceGroup + "/providers/microsoft.insights/metricAlerts/" + s.rule.name,
		"severity":            s.rule.severity,
		"signalType":          "Metric",
		"monitorCondition":    "Fired",
		"monitoringService":   "Platform",
		"alertTargetIDs":      []string{target},
		"configurationItems":  []string{s.Machines[0].Name},
		"originAlertId":       guid(s.Name, "origin") + "_" + s.ResourceGroup + "_microsoft.insights_metricAlerts_" + s.rule.name + "_-117781227",
		"firedDateTime":       azureTime(fired),
		"description":         s.rule.description,
		"essentialsVersion":   "1.0",
		"alertContextVersion": "1.0",
		"targetResourceType":  "microsoft.compute/virtualmachines",
		"targetResourceGroup": strings.ToLower(s.ResourceGroup),
	}
	value, end := s.rule.fired, fired
	if !resolved.IsZero() {
		essentials["monitorCondition"] = "Resolved"
		essentials["resolvedDateTime"] = azureTime(resolved)
		value, end = s.rule.resolved, resolved
	}
	end = end.Truncate(time.Minute)
	body, err := json.MarshalIndent(map[string]any{
		"schemaId": "azureMonitorCommonAlertSchema",
		"data": map[string]any{
			"essentials": essentials,
			"alertContext": map[string]any{
				"properties":    properties,
				"conditionType": "SingleResourceMultipleMetricCriteria",
				"condition": map[string]any{
					"windowSize": "PT5M",
					"allOf": []any{map[string]any{
						"metricName":      s.rule.metric,
						"metricNamespace": s.rule.namespace,
						"operator":        "GreaterThan",
						"threshold":       fmt.Sprint(s.rule.threshold), // a string, as Azure sends it
						"timeAggregation": s.rule.aggregation,
						"dimensions":      []any{map[string]string{"name": "ResourceId", "value": s.Machines[0].VMID}},
						"metricValue":     value,
						"webTestName":     nil,
					}},
					"windowStartTime": azureTime(end.Add(-5 * time.Minute)),
					"windowEndTime":   azureTime(end),
				},
			},
			"customProperties": properties,
		},
	}, "", "  ")
	if err != nil {
		panic(err) // there is nothing in it that could not be written
	}
	return body
}

func azureTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

// guid is the same for the same words.
func guid(words ...string) string {
	h := sha256.Sum256([]byte(strings.Join(words, "\n")))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80 // version 8, RFC 9562
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}
