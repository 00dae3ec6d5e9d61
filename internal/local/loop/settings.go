package loop

import (
	"maps"
	"path/filepath"
)

// sweep is the schedule of a local run, as NCRONTAB: every two seconds.
const sweep = "*/2 * * * * *"

// settings are those of the app in a local run.
func settings(o Options) map[string]string {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		dir = o.Dir
	}
	all := map[string]string{
		"PCAPWARDEN_POLICY":            filepath.Join(dir, "policy.yaml"),
		"PCAPWARDEN_LANDING":           "file:" + filepath.Join(dir, "landing"),
		"PCAPWARDEN_RECORDS":           "file:" + filepath.Join(dir, "cases"),
		"PCAPWARDEN_VAULT":             "file:" + filepath.Join(dir, "vault"),
		"PCAPWARDEN_REPORTS":           "file:" + filepath.Join(dir, "reports"),
		"PCAPWARDEN_SIGNING_KEY":       "file:" + filepath.Join(dir, "signing.pem"),
		"PCAPWARDEN_INCIDENT_QUEUE":    "file:" + filepath.Join(dir, "incidents"),
		"PCAPWARDEN_LANDED_QUEUE":      "file:" + filepath.Join(dir, "landed"),
		"PCAPWARDEN_LANDED_QUEUE_NAME": "capture-landed",
		"PCAPWARDEN_SWEEP_SCHEDULE":    sweep,
		"PCAPWARDEN_CREDENTIAL":        "local",
		"PCAPWARDEN_FUNCTION_TIMEOUT":  "1m",
		"PCAPWARDEN_CLIENT_ID":         "",
		"PCAPWARDEN_AUTH":              "none", // nobody but this machine can call
		"PCAPWARDEN_CONTEXT":           "on",
	}
	maps.Copy(all, o.Settings)
	return all
}
