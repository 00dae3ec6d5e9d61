package connect

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

const (
	floodAttempts = 500
	floodSources  = 100
	floodRate     = 100 // a second
	floodRatio    = 10  // attempts for each connection that came about

	// crowded is from how many attempts on those against one host are
	// counted for it alone, and not for each client.
	crowded    = 1000
	maxSources = 1 << 14 // of one target, that are told apart
	allSources = 1 << 17
)

// A target is a host that is knocked at in vain.
type target struct {
	detect.Case
	sources  map[netip.Addr]struct{}
	syns     int
	answered int
}

// floods counts an attempt that led nowhere for its target, and reports
// whether there are so many that they need not be told apart.
func (s *state) floods(a *attempt) bool {
	t := s.targets.At(a.server.Addr())
	if t == nil {
		t = &s.nowhere
	}
	t.NoteBetween(a.client, a.server, a.first.Time, a.first.Frame)
	t.Last = max(t.Last, a.last.Time)
	t.syns += a.syns
	if a.answered {
		t.answered++
	}
	if t.sources == nil {
		t.sources = map[netip.Addr]struct{}{}
	}
	if _, known := t.sources[a.client.Addr()]; !known && len(t.sources) < maxSources && s.knocking < allSources {
		t.sources[a.client.Addr()] = struct{}{}
		s.knocking++
	}
	return t.Count > crowded
}

// reportFloods reports the hosts that are flooded, and returns them.
func (s *state) reportFloods(scanners map[netip.Addr]bool) map[netip.Addr]bool {
	came := map[netip.Addr]int{}
	for k, n := range s.pass.Pairs {
		if w := s.worked.At(n); w.count > 0 {
			came[k.Server.Addr()] += w.count
		}
	}
	flooded := map[netip.Addr]bool{}
	for addr, t := range s.targets.All {
		if t.flood(came[addr]) && !t.scanned(scanners) {
			flooded[addr] = true
			s.reportFlood(t, came[addr])
		}
	}
	if s.nowhere.flood(0) {
		s.reportFlood(&s.nowhere, 0)
	}
	return flooded
}

func (t *target) rate() float64 {
	return float64(t.Count) / max(t.Last.Sub(t.First), time.Second).Seconds()
}

func (t *target) flood(worked int) bool {
	return t.Count >= floodAttempts && t.Count >= floodRatio*worked && (len(t.sources) >= floodSources || t.rate() >= floodRate)
}

// scanned reports whether those that knock are after something else.
func (t *target) scanned(scanners map[netip.Addr]bool) bool {
	for a := range t.sources {
		if !scanners[a] {
			return false
		}
	}
	return true
}

func (s *state) reportFlood(t *target, worked int) {
	took := t.Last.Sub(t.First)
	flow := t.Flow()
	to := "many hosts"
	if !flow.Server.IsZero() {
		to = flow.Server.String()
	}
	from := detect.Count(len(t.sources), "address")
	if len(t.sources) == maxSources || s.knocking == allSources {
		from = "at least " + from
	}
	f := finding.Finding{
		Kind: "tcp.half-open", Severity: finding.Critical, Confidence: 0.9, Culprit: finding.Client, Flow: flow,
		Detail: map[string]any{
			"flood": true, "attempts": t.Count, "synPackets": t.syns, "sources": len(t.sources), "answered": t.answered,
			"perSecond": detect.Tenths(t.rate()), "worked": worked,
		},
		Summary: fmt.Sprintf("SYN flood against %s: %s from %s within %s since %s, %d answered with a SYN-ACK and none completed; %s came about meanwhile.",
			to, detect.Count(t.Count, "connection attempt"), from, detect.Span(took), detect.Clock(t.First), t.answered, detect.Count(worked, "connection")),
		NextStep: "See that the host uses SYN cookies and that DDoS protection or a firewall in front of it takes the load; the source addresses are most likely forged, so blocking them one by one is in vain.",
	}
	if len(t.sources) == 1 {
		f.Severity, f.Confidence = finding.High, 0.8
		f.NextStep = "Find out what runs on the one machine that sends them, and stop it or block it."
	}
	s.pass.Report(t.Into(f))
}
