package alert_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/alert/alerttest"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest/devset"
)

// payloads are ours, and those that Azure's documentation shows where they lie
// beside the repository.
func payloads(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{
		"testdata/*.json",
		devset.Beside(t, "samples/alerts/*.json"),
		devset.Beside(t, "samples/alerts/constructed/*.json"),
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			t.Logf("no published alerts in %s: without them", filepath.Dir(pattern))
		}
		all = append(all, found...)
	}
	return all
}

// TestVariants reads every payload with anything in it changed: there is an
// alert that keeps what the package promises, or a refusal with its reason.
func TestVariants(t *testing.T) {
	for _, file := range payloads(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			for what, body := range alerttest.Variants(read(t, file)) {
				a, err := alert.Parse(body)
				if err != nil {
					e, ok := errors.AsType[*alert.Error](err)
					if !ok || e.Reason == "" || e.Message == "" || len(err.Error()) > 1000 || !printable(err.Error()) {
						t.Errorf("%s: error %T %q: want a short, printable one with its reason", what, err, err)
					}
					continue
				}
				checkAlert(t, what, a)
			}
		})
	}
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r != '…' })
}

// checkAlert holds an alert against what the package's documentation says.
func checkAlert(t *testing.T, what string, a alert.Alert) {
	t.Helper()
	machines := 0
	for _, target := range a.Targets {
		if target.Machine() {
			machines++
		}
		hasID := target.Type != alert.ComputerName && target.Type != alert.Scope && target.Type != alert.Malformed
		switch {
		case hasID == target.ID.IsZero(),
			(target.Type == alert.Malformed) != (target.Err != nil),
			(target.Type == alert.ComputerName) != (target.Name != ""),
			target.Type == "", target.Source == "":
			t.Errorf("%s: target %+v contradicts itself", what, target)
		case target.Err != nil && !printable(target.Err.Error()):
			t.Errorf("%s: the target's error %q is not printable", what, target.Err)
		}
		for _, s := range append(target.Instances, target.Given, target.Name) {
			checkText(t, what, s)
		}
	}
	if (machines == 0) != (a.NoTarget != "") {
		t.Errorf("%s: %d machines, NoTarget %q", what, machines, a.NoTarget)
	}
	if len(a.Targets) > alert.MaxTargets {
		t.Errorf("%s: %d targets", what, len(a.Targets))
	}
	if a.ID == "" || a.Kind == "" || a.Fired.IsZero() || a.Condition != alert.Fired && a.Condition != alert.Resolved {
		t.Errorf("%s: without what no alert is: %+v", what, a)
	}
	for _, s := range []string{a.ID, a.Rule, a.RuleID, a.Severity, a.SignalType, a.MonitoringService} {
		checkText(t, what, s)
	}
	for name, values := range a.Dimensions {
		for _, s := range append(values, name) {
			checkText(t, what, s)
		}
	}
}

func checkText(t *testing.T, what, s string) {
	t.Helper()
	if len(s) > alert.MaxText || !utf8.ValidString(s) {
		t.Errorf("%s: text of %d bytes: at most %d of UTF-8", what, len(s), alert.MaxText)
	}
}
