package captures

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/capture"
	"github.com/pcapwarden/pcapwarden/internal/policy"
)

// A Capture is everything that is recorded of one capture: the record as it
// is kept, and what of it people rather read in words.
type Capture struct {
	capture.Case
	TimeLimitText string `json:"timeLimit"` // such as 5m
	RetentionText string `json:"retention"` // such as 7d
	Bytes         int64  `json:"bytes"`     // of all files
}

// Document returns the document of a case.
func Document(c capture.Case) Capture {
	return Capture{c, policy.FormatDuration(c.TimeLimit), policy.FormatDuration(c.Retention), size(c)}
}

// A Summary is one line of a [List], its fields are those of a [Capture].
type Summary struct {
	ID          string            `json:"id"`
	Incident    string            `json:"incident"`
	State       capture.State     `json:"state"`
	Reason      string            `json:"reason,omitempty"`
	AlertRule   string            `json:"alertRule"`
	Profile     string            `json:"profile"`
	Owner       string            `json:"owner"`
	Target      string            `json:"target"`
	TimeLimit   string            `json:"timeLimit"`
	TotalBytes  int64             `json:"totalBytes"`
	Bytes       int64             `json:"bytes"`
	Cause       string            `json:"cause,omitempty"`
	Culprit     string            `json:"culprit,omitempty"`
	Asked       time.Time         `json:"asked"`
	Started     time.Time         `json:"started,omitzero"`
	Stopped     time.Time         `json:"stopped,omitzero"`
	DeleteAfter time.Time         `json:"deleteAfter"`
	Hold        *capture.Decision `json:"hold,omitempty"`
	Deleted     time.Time         `json:"deleted,omitzero"`
}

func summary(c capture.Case) Summary {
	s := Summary{
		ID: c.ID, Incident: c.Incident, State: c.State, Reason: c.Reason, AlertRule: c.Alert.Rule, Profile: c.Profile,
		Owner: c.Approval.Owner, Target: c.Target, TimeLimit: policy.FormatDuration(c.TimeLimit), TotalBytes: c.TotalBytes,
		Bytes: size(c), Asked: c.Asked, Started: c.Started, Stopped: c.Stopped, DeleteAfter: c.DeleteAfter,
		Hold: c.Hold, Deleted: c.Deleted,
	}
	if s.Target == "" {
		s.Target = c.Sought
	}
	if len(c.Files) > 0 {
		s.Cause, s.Culprit = c.Files[0].Cause, c.Files[0].Culprit
	}
	return s
}

func size(c capture.Case) (bytes int64) {
	for _, f := range c.Files {
		bytes += f.Bytes
	}
	return bytes
}
