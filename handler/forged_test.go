package main

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/audit"
	"github.com/pcapwarden/pcapwarden/internal/incident"
	"github.com/pcapwarden/pcapwarden/internal/local/arm"
	"github.com/pcapwarden/pcapwarden/internal/local/folder"
)

// TestForgedAlerts is row H4: alerts in the right form and about the right
// machine that Azure Monitor did not raise, or not so. None starts a capture,
// each is told to a person and is in the audit log.
func TestForgedAlerts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a few seconds")
	}
	o := localOptions(t, "partner-tls")
	var down atomic.Bool
	puts := 0
	o.Fault = func(r *http.Request) *arm.Fault {
		switch {
		case r.Method == http.MethodPut:
			puts++
		case down.Load() && strings.Contains(strings.ToLower(r.URL.Path), "/alerts/"):
			return &arm.Fault{Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable"}
		}
		return nil
	}
	l := startVerifying(t, o)
	s := &stand{Loop: l, options: o}
	now := time.Now().UTC()
	genuine := func(n int) time.Time { return now.Add(time.Duration(-n) * time.Second) }
	resolved := func(body []byte) []byte {
		return []byte(strings.Replace(string(body), `"monitorCondition": "Fired"`, `"monitorCondition": "Resolved"`, 1))
	}
	tests := []struct {
		name        string
		raised, say func() []byte // raised: nil, Azure knows nothing
		status      int
		says        string
		told        bool
	}{
		{"H4 unknown to Azure", nil, func() []byte { return o.Scenario.Alert(genuine(1), time.Time{}) }, http.StatusForbidden, "has not raised it", true},
		{"H4 no ID of Azure's", nil, func() []byte {
			return []byte(strings.Replace(string(o.Scenario.Alert(genuine(2), time.Time{})), "/providers/Microsoft.AlertsManagement/alerts/", "/providers/Microsoft.Compute/virtualMachines/", 1))
		}, http.StatusForbidden, "has not raised it", true},
		{"H4 of another rule",
			func() []byte {
				return []byte(strings.ReplaceAll(string(o.Scenario.Alert(genuine(3), time.Time{})), "metricAlerts/", "metricAlerts/other-"))
			},
			func() []byte { return o.Scenario.Alert(genuine(3), time.Time{}) }, http.StatusForbidden, "by rule", true},
		{"H4 about another machine",
			func() []byte {
				own := strings.ToLower(o.Scenario.Machines[0].ID)
				return []byte(strings.ReplaceAll(string(o.Scenario.Alert(genuine(4), time.Time{})), own, own+"-other"))
			},
			func() []byte { return o.Scenario.Alert(genuine(4), time.Time{}) }, http.StatusForbidden, "raised it about", true},
		{"H4 over by now",
			func() []byte { return resolved(o.Scenario.Alert(genuine(5), time.Time{})) },
			func() []byte { return o.Scenario.Alert(genuine(5), time.Time{}) }, http.StatusForbidden, "Resolved", false},
		{"H4 forged resolution", nil, func() []byte { return resolved(o.Scenario.Alert(genuine(6), time.Time{})) }, http.StatusForbidden, "has not raised it", true},
		{"H5 fired long ago, says Azure",
			func() []byte {
				text := string(o.Scenario.Alert(genuine(7), time.Time{}))
				return []byte(strings.ReplaceAll(text, genuine(7).Format("2006-01-02T15:04:05"), genuine(7).Add(-24*time.Hour).Format("2006-01-02T15:04:05")))
			},
			func() []byte { return o.Scenario.Alert(genuine(7), time.Time{}) }, http.StatusForbidden, "ago", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.raised != nil {
				if err := l.Raise(tt.raised()); err != nil {
					t.Fatal(err)
				}
			}
			before := len(s.told(t, incident.TypeSecurity))
			status, answer, err := l.Post(t.Context(), tt.say())
			if err != nil {
				t.Fatal(err)
			}
			if status != tt.status || !strings.Contains(string(answer), tt.says) {
				t.Errorf("answered %d %s; want %d and a word about %q", status, answer, tt.status, tt.says)
			}
			if told := len(s.told(t, incident.TypeSecurity)) > before; told != tt.told {
				t.Errorf("a person was told: %v, want %v", told, tt.told)
			}
		})
	}
	t.Run("Azure does not answer", func(t *testing.T) {
		alert := o.Scenario.Alert(genuine(8), time.Time{})
		if err := l.Raise(alert); err != nil {
			t.Fatal(err)
		}
		down.Store(true)
		if status, answer, err := l.Post(t.Context(), alert); err != nil || status != http.StatusServiceUnavailable {
			t.Errorf("answered %d %s, %v; want 503, so that it comes again", status, answer, err)
		}
		if puts > 0 || s.cases(t) > 0 {
			t.Errorf("%d sessions, %d cases, though nothing genuine was heard", puts, s.cases(t))
		}
		down.Store(false)
		if status, answer, err := l.Post(t.Context(), alert); err != nil || status != http.StatusAccepted {
			t.Errorf("then answered %d %s, %v; want 202", status, answer, err)
		}
	})
	records, err := folder.OpenLedger(o.Dir + "/cases")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for e, err := range audit.New(records).All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Action == audit.Refuse {
			refused++
		}
	}
	if want := 5; refused != want {
		t.Errorf("%d refusals in the audit log, want %d", refused, want)
	}
	s.checkLog(t)
}
