package arm

import (
	"context"
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/resourceid"
)

// typeAlert is an alert that fired, not the rule that had it fire.
const typeAlert = "Microsoft.AlertsManagement/alerts"

// alertsVersion is the API version of the one request to the alerts provider.
// https://learn.microsoft.com/rest/api/monitor/alertsmanagement/alerts/get-by-id
const alertsVersion = "2019-03-01"

// Raised returns an alert as Azure Monitor keeps it, for 30 days:
// capture.ErrNotFound where it never raised it, and for what is no alert's ID.
func (w *Watcher) Raised(ctx context.Context, id string) (capture.Raised, error) {
	parsed, err := resourceid.Parse(id)
	if err != nil || parsed.ResourceGroup() != "" || !parsed.Is(typeAlert) || !resourceid.IsGUID(parsed.Name()) {
		return capture.Raised{}, fmt.Errorf("read an alert again: %+.300q is not the ID of one: %w", id, capture.ErrNotFound)
	}
	var doc struct {
		Properties struct {
			Essentials struct {
				AlertRule        string    `json:"alertRule"`
				TargetResource   string    `json:"targetResource"`
				Severity         string    `json:"severity"`
				MonitorCondition string    `json:"monitorCondition"`
				StartDateTime    time.Time `json:"startDateTime"`
			} `json:"essentials"`
		} `json:"properties"`
	}
	if err := w.read(ctx, ReadAlerts, parsed.String(), alertsVersion, &doc); err != nil {
		return capture.Raised{}, fmt.Errorf("read alert %s again: %w", parsed.Name(), err)
	}
	e := doc.Properties.Essentials
	return capture.Raised{
		Rule: e.AlertRule, Target: e.TargetResource, Severity: e.Severity,
		Condition: e.MonitorCondition, Fired: e.StartDateTime,
	}, nil
}
