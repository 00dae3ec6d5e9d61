package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestKillSwitch sends a good alert to an app that may not start anything.
func TestKillSwitch(t *testing.T) {
	o := localOptions(t, "partner-tls")
	o.Settings["PCAPWARDEN_STARTS"] = "off"
	l := startLoop(t, o)
	status, answer, err := l.Post(t.Context(), o.Scenario.Alert(time.Now().UTC(), time.Time{}))
	if err != nil {
		t.Fatal(err)
	}
	if status != http.StatusForbidden || !strings.Contains(string(answer), "switched off") {
		t.Errorf("answered %d %s; want 403 and why", status, answer)
	}
	for c := range l.Ledger.OpenCases(t.Context(), "") {
		t.Errorf("a case was recorded: %s", c.ID)
	}
}
