package incident

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/inert"
)

// The CloudEvents types of messages.
const (
	TypeFinding  = "io.github.pcapwarden.pcap.finding.v1"     // a capture was analysed, or could not be
	TypeFailed   = "io.github.pcapwarden.capture.failed.v1"   // a capture that was asked for will not come
	TypeSecurity = "io.github.pcapwarden.security.v1"         // somebody tries something: a person should look
	TypeApproval = "io.github.pcapwarden.capture.approval.v1" // a capture waits for a person's approval
	TypeTrouble  = "io.github.pcapwarden.trouble.v1"          // something has to be mended by hand

	TypeQuarantined = "io.github.pcapwarden.evidence.quarantined.v1" // evidence is not what it was
)

// MaxMessage is the largest message in bytes: what every CloudEvents
// intermediary must forward.
const MaxMessage = 64 << 10

// goal leaves room for what a broker adds.
const goal = 48 << 10

const dataSchema = "urn:pcapwarden:incident-message:v1"

// An Origin is what the case knows of the capture that was analysed.
type Origin struct {
	Source       string // URI of the app
	Version      string // of the program
	Incident     string
	Case         string
	Alert        string // the alert's ARM ID
	AlertRule    string
	Profile      string
	Owner        string
	Subscription string
	Target       string // ARM ID
	Region       string
	DeleteAfter  time.Time
	TraceParent  string
	Report       Reference // the page for people
	Analysis     Reference // the JSON
	Manifest     Reference // the custody manifest
	Evidence     string    // where the capture itself is kept
}

// A Reference names a stored document, with the hash to check it by. The
// location is nothing without rights of one's own.
type Reference struct{ Location, SHA256 string }

// envelope is CloudEvents 1.0, structured mode.
type envelope struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"`
	Type            string `json:"type"`
	Subject         string `json:"subject"`
	Time            string `json:"time"`
	DataContentType string `json:"datacontenttype"`
	DataSchema      string `json:"dataschema"`
	Correlation     string `json:"correlationid"`
	Classification  string `json:"dataclassification"`
	ExpiryTime      string `json:"expirytime,omitempty"`
	DataRef         string `json:"dataref,omitempty"`
	TraceParent     string `json:"traceparent,omitempty"`
	Data            any    `json:"data"`
}

// Analysed is the message of an analysis: of findings, of nothing found, or
// of a file that could not be read. Silence must not look like safety. Its ID
// depends on the case, the file's content and the analysis' schema alone, so
// that sending it again is no second message.
func Analysed(o Origin, a *analysis.Analysis, now time.Time) (Message, error) {
	order := make([]int, len(a.Findings))
	for i := range order {
		order[i] = i
	}
	deciding := func(i int) int { return slices.Index(a.Verdict.Findings, i) }
	slices.SortStableFunc(order, func(i, j int) int { // the verdict's first, then the most severe
		di, dj := deciding(i), deciding(j)
		switch {
		case di >= 0 && dj >= 0:
			return cmp.Compare(di, dj)
		case di >= 0:
			return -1
		case dj >= 0:
			return 1
		}
		return cmp.Compare(a.Findings[j].Severity, a.Findings[i].Severity)
	})
	id := identity(o.Case, a.Capture.File, a.Capture.SHA256, a.Schema)
	d := describe(o, a, now)
	d.FindingInfo.UID = id
	add := func(f *finding.Finding) {
		e := prove(f)
		e.UID = findingID(o.Case, a.Capture.SHA256, f)
		d.Evidences = append(d.Evidences, e)
		d.Observables = observe(d.Observables, f)
		if !slices.Contains(d.FindingInfo.Types, string(f.Kind)) {
			d.FindingInfo.Types = append(d.FindingInfo.Types, string(f.Kind))
		}
		if t, ok := techniques[f.Kind]; ok && !slices.Contains(d.FindingInfo.Attacks, t) {
			d.FindingInfo.Attacks = append(d.FindingInfo.Attacks, t)
		}
	}
	m := message(o, TypeFinding, id, now)
	room := goal
	for n, i := range order {
		before := d
		add(&a.Findings[i])
		body, err := m.encode(d)
		if err != nil {
			return Message{}, err
		}
		if len(body) <= room {
			continue
		}
		d = before
		d.Unmapped.Omitted = len(order) - n
		d.Metadata.IsTruncated = true
		d.Metadata.UntruncatedSize = len(body)
		m.DataRef = o.Analysis.Location
		break
	}
	return m.seal(d, d.Severity)
}

// Notice is a message about a capture that has no analysis: kind is
// one of the types above but TypeFinding. Subject and reason make its identity,
// so that the same notice sent again is no second message.
func Notice(o Origin, kind, title, reason string, severity finding.Severity, now time.Time) (Message, error) {
	id := identity(kind, o.Incident, o.Case, title, reason)
	d := describe(o, nil, now)
	d.SeverityID, d.Severity = ocsfSeverity(severity)
	d.IsAlert = true
	d.Message = clip(reason, 2000)
	d.FindingInfo.UID = id
	d.FindingInfo.Title = clip(title, 200)
	d.FindingInfo.Desc = clip(reason, 2000)
	return message(o, kind, id, now).seal(d, d.Severity)
}

// Quarantined is the message that evidence is not what was sealed. It says
// nothing of what the file shows.
func Quarantined(o Origin, file, reason string, now time.Time) (Message, error) {
	return Notice(o, TypeQuarantined, "evidence is quarantined", fmt.Sprintf(
		"%s: %s. It is kept as it is, and its deletion is on hold: find out who had access to the vault, compare with the audit log, and release the hold when that is settled.",
		file, reason), finding.Critical, now)
}

func message(o Origin, kind, id string, now time.Time) *envelope {
	e := &envelope{
		SpecVersion: "1.0", ID: id, Source: cmp.Or(o.Source, "urn:pcapwarden"), Type: kind,
		Subject: "incidents/" + o.Incident, Time: now.UTC().Format(time.RFC3339Nano),
		DataContentType: "application/json", DataSchema: dataSchema,
		Correlation: o.Incident, Classification: "restricted", TraceParent: o.TraceParent,
	}
	if o.Case != "" {
		e.Subject += "/captures/" + o.Case
	}
	if !o.DeleteAfter.IsZero() {
		e.ExpiryTime = o.DeleteAfter.UTC().Format(time.RFC3339)
	}
	return e
}

func (e *envelope) encode(d detection) ([]byte, error) {
	e.Data = d
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode incident message: %w", err)
	}
	return inert.JSON(body), nil
}

func (e *envelope) seal(d detection, severity string) (Message, error) {
	body, err := e.encode(d)
	if err != nil {
		return Message{}, err
	}
	if len(body) > MaxMessage {
		return Message{}, fmt.Errorf("incident message of %d bytes: %w", len(body), ErrTooLarge)
	}
	return Message{
		ID: e.ID, CorrelationID: e.Correlation, Subject: e.Type,
		ContentType: "application/cloudevents+json; charset=utf-8",
		Properties: map[string]string{
			"cloudEvents_type": e.Type, "severity": strings.ToLower(severity),
			"incident": e.Correlation, "cause": d.Unmapped.Verdict.Cause,
		},
		Body: body,
	}, nil
}

// findingID names a finding by what it is about, and not by how it is told or
// weighed: an analysis by a later version gives the same finding the same ID.
func findingID(capture, sha256 string, f *finding.Finding) string {
	about := ""
	if f.Flow != nil {
		about = fmt.Sprint(f.Flow.Protocol, f.Flow.Client, f.Flow.Server)
	}
	first := ""
	if len(f.Packets) > 0 {
		first = fmt.Sprint(f.Packets[0])
	}
	return identity("finding", capture, sha256, string(f.Kind), about, first)[:26]
}

// identity is a MessageId: 256 bits of the parts, each with its length so that
// no two lists of parts read the same.
func identity(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)))
}

// clip cuts s to at most n bytes, at a rune's border.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	s = s[:n-len("…")]
	return strings.ToValidUTF8(s, "") + "…"
}
