package loop

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/local/arm"
)

// Raise has the local Azure know an alert, as Azure Monitor does before its
// action groups call anybody.
func (l *Loop) Raise(body []byte) error {
	var doc struct {
		Data struct {
			Essentials struct {
				AlertID          string    `json:"alertId"`
				AlertRuleID      string    `json:"alertRuleId"`
				Severity         string    `json:"severity"`
				MonitorCondition string    `json:"monitorCondition"`
				AlertTargetIDs   []string  `json:"alertTargetIDs"`
				FiredDateTime    time.Time `json:"firedDateTime"`
			} `json:"essentials"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return fmt.Errorf("raise an alert: %w", err)
	}
	e := doc.Data.Essentials
	raised := arm.Alert{ID: e.AlertID, Rule: e.AlertRuleID, Severity: e.Severity, Condition: e.MonitorCondition, Fired: e.FiredDateTime}
	if len(e.AlertTargetIDs) == 1 {
		raised.Target = e.AlertTargetIDs[0]
	}
	return l.ARM.Update(func(w *arm.World) {
		w.Alerts = append(slices.DeleteFunc(w.Alerts, func(a arm.Alert) bool { return a.ID == raised.ID }), raised)
	})
}
