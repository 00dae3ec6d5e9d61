package verdict

import (
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/service"
)

// Facts are what is known of a capture beside its findings: the denominators,
// and what limits the view.
type Facts struct {
	detect.Context
	Vantage Vantage

	Packets     int64
	Truncated   int64 // cut at the snap length
	ShortestCut int   // fewest bytes that are left of one
	Dropped     int64 // by the capturing machine
	CutShort    bool  // the file ends in the middle of a packet
	LimitHit    bool  // the analysis left something out
	Unreadable  int64 // packets without a header that could be decoded
	LinkTypes   string
	First, Last time.Time

	Connections Connections
	TLS         Outcome // handshakes begun, and finished
	Questions   Outcome // of DNS, answered
	Datagrams   Outcome // conversations by UDP and ICMP, answered
	TCP         *flow.Counters
	Services    []service.Service
}

// Connections are the TCP connections of a capture.
type Connections struct {
	Seen        int64
	Begun       int64 // their SYN was captured
	Established int64
	Answered    int64 // both sides sent payload
	Midstream   int64 // open before the capture began
}

// An Outcome is how often something was tried, and how often it worked.
type Outcome struct{ Tried, Worked int64 }

// Note counts a try.
func (o *Outcome) Note(worked bool) {
	o.Tried++
	if worked {
		o.Worked++
	}
}

// anything reports whether the capture holds a conversation at all.
func (f *Facts) anything() bool { return f.Connections.Seen+f.Datagrams.Tried > 0 }

// segments are the data segments of all TCP connections, and those of them
// that were lost.
func (f *Facts) segments() (all, lost int64) {
	for i := range f.Services {
		s := &f.Services[i]
		all += s.Segments[0] + s.Segments[1]
		lost += s.Lost[0] + s.Lost[1]
	}
	return all, lost
}

// failed is how many TCP connections came to this.
func (f *Facts) failed(k finding.Kind) int64 {
	n := 0
	for i := range f.Services {
		n += f.Services[i].Failures[k]
	}
	return int64(n)
}

// worked reports whether anything was seen to work.
func (f *Facts) worked() bool {
	c := f.Connections
	return c.Established+c.Answered+f.Questions.Worked+f.Datagrams.Worked > 0
}
