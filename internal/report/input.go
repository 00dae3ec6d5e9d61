package report

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/analysis"
	"github.com/pcapwarden/pcapwarden/internal/controlplane"
	"github.com/pcapwarden/pcapwarden/internal/custody"
)

// A Page is what a report on one capture is made of. All but Analysis may be
// missing: what is not there takes no room. For a case of an incident whose
// file has not come, Analysis is missing, too.
type Page struct {
	Analysis *analysis.Analysis
	Case     About                 // who, why, until when; zero: somebody analysed a file by hand
	Custody  *custody.Manifest     // what the evidence is known by, as far as it is known yet
	Context  *controlplane.Context // what Azure's rules say about the deciding flows; nil: what Analysis has of it
	Excerpts []Excerpt             // cut out of the capture for its findings
}

// About is what the case knows of a capture. Its zero value is a file that
// somebody analysed by hand.
type About struct {
	Incident, Case         string
	Target, Region         string // Target is the machine's ARM ID
	Instance               string // of a scale set, where the capture is of one
	Baseline               bool   // the healthy side, captured to compare with
	Alert, Severity        string
	Fired                  time.Time
	WindowStart, WindowEnd time.Time // what the alert measured
	Profile                string
	Reason                 string // why it was allowed
	Owner, Approver        string
	Filters                []string
	Started                time.Time
	TimeLimit              time.Duration
	TotalBytes             int64
	DeleteAfter            time.Time
	Report                 string // name of the capture's own page, beside that of the incident
	State                  string // why there is no analysis, where there is none
}

// An Excerpt is a small capture file with the packets of one finding.
type Excerpt struct {
	Finding int    // index into the analysis' findings
	File    string // where it is kept, among the reports
	SHA256  string // in hex
	Packets int    // that it holds
}
