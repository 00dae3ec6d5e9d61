// Package detect runs detectors over what one capture holds.
package detect

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/dissect/cleartext"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dhcp"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dns"
	"github.com/pcapwarden/pcapwarden/internal/dissect/http"
	"github.com/pcapwarden/pcapwarden/internal/dissect/quic"
	"github.com/pcapwarden/pcapwarden/internal/dissect/tls"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// A Detector recognises one sort of thing in a capture. It is a value: what
// it is called, what it reports and what that means are read from it, by the
// engine and by the page that documents all findings.
//
// It keeps nothing between captures, logs nothing and asks nobody.
type Detector struct {
	Name    string     // of its package
	Reports []Reported // every kind that it may report
	// Start makes the hooks for one capture. Which hooks are set is what the
	// detector needs: a protocol that nobody asks about is not dissected.
	Start func(*Pass) Hooks
}

// Reported documents a kind of finding. Each is one or two sentences for a
// person on call.
type Reported struct {
	Kind      finding.Kind
	Means     string // what was seen
	Threshold string // from when on it is reported, and where the number is from
	Next      string // what to check next
}

// Hooks are called as the capture is read, on one goroutine. Whatever is
// behind their pointers is valid during the call alone.
type Hooks struct {
	Connection   func(*Connection) // a TCP connection is over, or the capture is
	Conversation func(*flow.Conversation)
	ICMP         func(*packet.Packet)
	Transaction  func(*dns.Transaction)
	Lookup       func(*dns.Lookup)
	Exchange     func(*Exchange)
	Login        func(*Login)
	Lease        func(*dhcp.Lease)
	QUIC         func(*quic.Connection)
	End          func(*Summary) // everything was read; the last call
}

// A Connection is a TCP connection with what it carried.
type Connection struct {
	*flow.Conn
	Reason  flow.Reason  // why it is over
	TLS     *tls.Session // nil: no TLS was seen
	Service string       // what was spoken, as seen: "tls", "http", "dns", ...; "" if nobody could tell
	Events  []flow.Event // key packets of the first few connections of two endpoints that something is wrong with
	Number  int          // of its pair, from 0, as pairs appear; -1: there are too many
}

// Flow names the connection in a finding.
func (c *Connection) Flow() *finding.Flow {
	f := &finding.Flow{
		Protocol: "tcp",
		Client:   finding.Endpoint{AddrPort: c.ClientAddr()},
		Server:   finding.Endpoint{AddrPort: c.ServerAddr()},
	}
	if c.TLS != nil && c.TLS.Hello != nil {
		f.SNI = c.TLS.Hello.SNI
	}
	return f
}

// An Exchange is an HTTP request with its answer, on a connection.
type Exchange struct {
	*http.Exchange
	Client, Server netip.AddrPort
}

// A Login is a login in the clear, on a connection.
type Login struct {
	cleartext.Login
	Client, Server netip.AddrPort
}

// A Summary is what is known of the capture once it was read.
type Summary struct {
	First, Last pcap.Timestamp
	Packets     int64
	Truncated   int64 // packets that were cut at the snap length
	ShortestCut int   // fewest bytes that are there of one of them
	Dropped     int64 // by the capturing machine
	CutShort    bool  // the file ends in the middle of a packet
	Damage      error // why the rest of the file could not be read; nil: it could
	SnapLength  int
	Bytes       int64
	TCP         *flow.Counters
	Resolvers   []dns.Resolver
	LimitHit    bool // the engine's own caps dropped something
}

// Span is the time from the first packet to the last.
func (s *Summary) Span() time.Duration { return s.Last.Sub(s.First) }

// Context is what is known of a capture beside its packets. Its zero value
// knows nothing.
type Context struct {
	Vantage     []netip.Addr // the addresses of the machine that was captured on
	Filtered    bool         // the capture had filters: what is missing may have been left out
	TimeLimit   time.Duration
	TotalBytes  int64
	WindowStart time.Time // of the incident
	WindowEnd   time.Time

	ExpectedOutbound  []netip.Prefix
	ExpectedResolvers []netip.Addr
}

// IsVantage reports whether a is an address of the captured machine.
func (c *Context) IsVantage(a netip.Addr) bool { return slices.Contains(c.Vantage, a) }

// maxFindings is how many findings one detector may report; it should group
// long before. What is beyond is counted.
const maxFindings = 500

// A Pass is one reading of one capture, as a detector sees it.
type Pass struct {
	Context
	detector *Detector
	run      *Run
	reported int
}

// Report adds a finding. Its packets are sorted, made unique and cut to
// finding.MaxPackets: the first and the last ones stay.
func (p *Pass) Report(f finding.Finding) {
	if p.reported++; p.reported > maxFindings {
		p.run.Dropped++
		return
	}
	slices.Sort(f.Packets)
	f.Packets = slices.Compact(f.Packets)
	if n := len(f.Packets); n > finding.MaxPackets {
		f.Packets = slices.Delete(f.Packets, finding.MaxPackets/2, n-finding.MaxPackets/2)
	}
	if f.NextStep == "" {
		for _, r := range p.detector.Reports {
			if r.Kind == f.Kind {
				f.NextStep = r.Next
			}
		}
	}
	p.run.Findings = append(p.run.Findings, f)
}

// Bound tells the run of groups that may be full one day.
func (p *Pass) Bound(groups ...interface{ Left() int }) {
	p.run.bounded = append(p.run.bounded, groups...)
}

// Leave counts what the detector has no room for.
func (p *Pass) Leave(n int) { p.run.left += int64(n) }

// A Run is a set of detectors at work on one capture.
type Run struct {
	Findings []finding.Finding
	Dropped  int64 // findings beyond the cap

	hooks   []Hooks
	numbers map[Pair]int32
	traffic []Traffic // by number
	bounded []interface{ Left() int }
	left    int64
	// Wants says which protocols anybody asks about.
	Wants Hooks
}

// Start begins a run. The detectors are valid: see [Validate].
func Start(c Context, detectors []*Detector) *Run {
	r := &Run{Findings: []finding.Finding{}, numbers: map[Pair]int32{}}
	for _, d := range detectors {
		r.hooks = append(r.hooks, d.Start(&Pass{Context: c, detector: d, run: r}))
	}
	r.Wants = Hooks{
		Connection:   fan(r.hooks, func(h Hooks) func(*Connection) { return h.Connection }),
		Conversation: fan(r.hooks, func(h Hooks) func(*flow.Conversation) { return h.Conversation }),
		ICMP:         fan(r.hooks, func(h Hooks) func(*packet.Packet) { return h.ICMP }),
		Transaction:  fan(r.hooks, func(h Hooks) func(*dns.Transaction) { return h.Transaction }),
		Lookup:       fan(r.hooks, func(h Hooks) func(*dns.Lookup) { return h.Lookup }),
		Exchange:     fan(r.hooks, func(h Hooks) func(*Exchange) { return h.Exchange }),
		Login:        fan(r.hooks, func(h Hooks) func(*Login) { return h.Login }),
		Lease:        fan(r.hooks, func(h Hooks) func(*dhcp.Lease) { return h.Lease }),
		QUIC:         fan(r.hooks, func(h Hooks) func(*quic.Connection) { return h.QUIC }),
		End:          fan(r.hooks, func(h Hooks) func(*Summary) { return h.End }),
	}
	if tell := r.Wants.Connection; tell != nil {
		r.Wants.Connection = func(c *Connection) {
			r.measure(c)
			tell(c)
		}
	}
	return r
}

// fan calls a hook of every detector that has it; nil if none does.
func fan[T any](hooks []Hooks, hook func(Hooks) func(T)) func(T) {
	var all []func(T)
	for _, h := range hooks {
		if f := hook(h); f != nil {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return func(v T) {
		for _, f := range all {
			f(v)
		}
	}
}

// Left is how often detectors met something that they had no room for: the
// figures of their findings may be too low, and findings may be missing.
func (r *Run) Left() int64 {
	n := r.left
	for _, g := range r.bounded {
		n += int64(g.Left())
	}
	return n
}

// Sorted returns the findings, most severe first, then as they began.
func (r *Run) Sorted() []finding.Finding {
	slices.SortStableFunc(r.Findings, func(a, b finding.Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), a.First.Compare(b.First), cmp.Compare(a.Kind, b.Kind))
	})
	return r.Findings
}

// Validate says what is wrong with a list of detectors: a name twice, a kind
// that is documented twice, a kind without documentation.
func Validate(detectors []*Detector) error {
	names, kinds := map[string]bool{}, map[finding.Kind]bool{}
	for _, d := range detectors {
		switch {
		case d.Name == "" || names[d.Name]:
			return fmt.Errorf("detector %q: a name must be there, once", d.Name)
		case d.Start == nil || len(d.Reports) == 0:
			return fmt.Errorf("detector %s: it reports nothing", d.Name)
		}
		names[d.Name] = true
		for _, r := range d.Reports {
			switch {
			case kinds[r.Kind]:
				return fmt.Errorf("detector %s: %s is reported by another one", d.Name, r.Kind)
			case r.Means == "" || r.Threshold == "" || r.Next == "":
				return fmt.Errorf("detector %s: %s is not documented", d.Name, r.Kind)
			}
			kinds[r.Kind] = true
		}
	}
	return nil
}
