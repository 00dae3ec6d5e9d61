package alert_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pcapwarden/pcapwarden/internal/alert"
	"github.com/pcapwarden/pcapwarden/internal/pcaptest/devset"
)

// TestPublishedSamples reads the payloads that Azure's documentation shows,
// where they lie beside the repository. They are others' and stay there.
func TestPublishedSamples(t *testing.T) {
	dir := devset.Beside(t, "samples/alerts")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no published alerts in %s", dir)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	constructed, err := filepath.Glob(filepath.Join(dir, "constructed", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, constructed...) {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			a, err := alert.Parse(read(t, file))
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.HasPrefix(name, "testaction_"); a.TestAction != want {
				t.Errorf("TestAction = %v, want %v", a.TestAction, want)
			}
			if a.Kind == alert.Unlisted {
				t.Errorf("kind %q is not known", a.MonitoringService)
			}
			t.Log(a.Kind, a.Condition, a.NoTarget, brief(a))
		})
	}

	// The documentation shows some contexts without an envelope.
	fragments, err := filepath.Glob(filepath.Join(dir, "context_fragments", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]struct {
		service string
		kind    alert.Kind
	}{
		"activitylog_autoscale_vmss.json": {"Activity Log - Autoscale", alert.ActivityAutoscale},
		"activitylog_security.json":       {"Activity Log - Security", alert.ActivitySecurity},
		"log_alerts_v2_vm.json":           {"Log Alerts V2", alert.LogV2},
		"metric_dynamic.json":             {"Platform", alert.MetricDynamic},
		"metric_static_fired.json":        {"Platform", alert.MetricStatic},
		"prometheus.json":                 {"whatever it is called", alert.Prometheus},
		"service_health_ints.json":        {"ServiceHealth", alert.ServiceHealth},
	}
	for _, file := range fragments {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			context := strings.TrimSpace(string(read(t, file)))
			context = strings.TrimSuffix(strings.TrimPrefix(context, "{"), "}")
			payload := `{"schemaId":"azureMonitorCommonAlertSchema","data":{"essentials":{"alertId":"a","alertRule":"r",` +
				`"monitorCondition":"Fired","monitoringService":"` + kinds[name].service + `",` +
				`"firedDateTime":"2026-05-04T02:00:00Z"},` + context + `}}`
			a, err := alert.Parse([]byte(payload))
			if err != nil {
				t.Fatal(err)
			}
			if a.Kind != kinds[name].kind {
				t.Errorf("kind %q, want %q", a.Kind, kinds[name].kind)
			}
			t.Log(a.Kind, a.NoTarget, brief(a))
		})
	}
}
