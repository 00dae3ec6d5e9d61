package arm

import (
	"net/http"
	"strings"
	"time"
)

// readAlert answers as the alerts provider does, with what anybody asks for.
// https://learn.microsoft.com/rest/api/monitor/alertsmanagement/alerts/get-by-id
func (s *Server) readAlert(r *request) *answer {
	id := "/subscriptions/" + r.subscription + "/providers/Microsoft.AlertsManagement/alerts/" + r.name(0)
	a := find(s.world.Alerts, func(a *Alert) bool { return strings.EqualFold(a.ID, id) })
	if a == nil {
		return fail(http.StatusNotFound, "NotFound", "The alert '%s' was not found.", r.name(0))
	}
	return &answer{status: http.StatusOK, body: map[string]any{
		"id": id, "name": r.name(0), "type": "Microsoft.AlertsManagement/alerts",
		"properties": map[string]any{"essentials": map[string]any{
			"severity": a.Severity, "alertState": "New", "monitorCondition": a.Condition,
			"targetResource": a.Target, "alertRule": a.Rule, "startDateTime": a.Fired.UTC().Format(time.RFC3339Nano),
		}},
	}}
}
