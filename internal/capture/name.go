package capture

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
)

// Prefix begins the name of every session that this product starts, so that
// a sweep knows its own in a list that others share.
const Prefix = "pc-"

// Name is the name of the session that an alert starts on a target. The same
// alert on the same target always has the same name: a second start finds the
// first, whoever was killed in between. Azure documents no rule for names;
// these have 35 letters of [a-z0-9-].
func Name(incident, target, profile string) string {
	return Prefix + digest(incident, strings.ToLower(target), profile)[:32]
}

// IncidentID names what ties an alert to its captures, files and findings.
func IncidentID(alertID string) string {
	return "inc-" + digest(strings.ToLower(alertID))[:20]
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)))
}

// IncidentPage is the name of an incident's page among the reports, without
// its suffix. It tells of all its cases, and goes with the first of them.
func IncidentPage(incident string) string { return "incident-" + incident }
