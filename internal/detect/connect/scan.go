package connect

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Zeek's thresholds (policy/misc/scan.zeek, until version 5), and one of ours
// for captures of seconds.
const (
	scanWindow = 5 * time.Minute
	scanHosts  = 25 // on one port
	scanPorts  = 15 // of one host
	burst      = 10 // ports of one host within a second

	// wide is from how many targets on a source's attempts are counted for
	// it alone, and not for each of its targets.
	wide       = 100
	maxTargets = 1024 // of one source
	allTargets = 1 << 17
)

// A source is a machine whose attempts fail.
type source struct {
	detect.Case
	window  pcap.Timestamp                    // when it began
	targets map[netip.AddrPort]pcap.Timestamp // of the attempts in the window
	best    sweep
	refused int
	open    int // SYN-ACKs that it hung up on
}

// A sweep is what a source tried within the window.
type sweep struct {
	hosts, ports int // on one port, of one host
	port         uint16
	host         netip.Addr
	quick        bool // burst ports of the host, within a second
}

func (w sweep) horizontal() bool { return w.hosts >= scanHosts }
func (w sweep) vertical() bool   { return w.ports >= scanPorts || w.quick }

// scans counts a failed attempt for its source, and reports whether that has
// so many targets that they need not be told apart.
func (s *state) scans(a *attempt, refused bool) bool {
	src := s.sources.At(a.client.Addr())
	if src == nil {
		return false
	}
	src.NoteBetween(a.client, a.server, a.first.Time, a.first.Frame)
	if refused {
		src.refused++
	}
	if src.targets == nil || a.first.Time.Sub(src.window) > scanWindow {
		src.judge()
		s.targeted -= len(src.targets)
		src.targets, src.window = map[netip.AddrPort]pcap.Timestamp{}, a.first.Time
	}
	if _, known := src.targets[a.server]; !known && len(src.targets) < maxTargets && s.targeted < allTargets {
		src.targets[a.server] = a.first.Time
		s.targeted++
	}
	return len(src.targets) > wide
}

// judge keeps the widest sweep.
func (src *source) judge() {
	hosts, ports := map[uint16]int{}, map[netip.Addr]int{}
	first, last := map[netip.Addr]pcap.Timestamp{}, map[netip.Addr]pcap.Timestamp{}
	w := sweep{}
	for t, at := range src.targets {
		hosts[t.Port()]++
		a := t.Addr()
		if ports[a]++; ports[a] == 1 || at < first[a] {
			first[a] = at
		}
		last[a] = max(last[a], at)
	}
	for port, n := range hosts {
		if n > w.hosts || n == w.hosts && port < w.port {
			w.hosts, w.port = n, port
		}
	}
	for a, n := range ports {
		if n > w.ports || n == w.ports && a.Less(w.host) {
			w.ports, w.host = n, a
			w.quick = n >= burst && last[a].Sub(first[a]) <= time.Second
		}
	}
	if max(w.hosts, w.ports) > max(src.best.hosts, src.best.ports) {
		src.best = w
	}
}

// reportScans reports the sources that scan, and returns them.
func (s *state) reportScans() map[netip.Addr]bool {
	scanners := map[netip.Addr]bool{}
	for client, src := range s.sources.All {
		src.judge()
		w := src.best
		// Passive FTP through a firewall fails on another port each time.
		ftp := s.successes(detect.Pair{Client: client, Server: netip.AddrPortFrom(w.host, 21)}).count > 0
		vertical := w.vertical() && !ftp
		if !w.horizontal() && !vertical {
			continue
		}
		scanners[client] = true
		s.pass.Report(src.Into(s.scan(client, src, vertical)))
	}
	return scanners
}

func (s *state) scan(client netip.Addr, src *source, vertical bool) finding.Finding {
	w, took := src.best, src.Last.Sub(src.First)
	flow := src.Flow()
	flow.Client.AddrPort = netip.AddrPortFrom(client, 0)
	f := finding.Finding{
		Kind: "traffic.scan", Severity: finding.Medium, Confidence: 0.9, Culprit: finding.Client, Flow: flow,
		Detail: map[string]any{
			"type": "horizontal", "hosts": w.hosts, "ports": w.ports, "attempts": src.Count,
			"refused": src.refused, "silent": src.Count - src.refused, "open": src.open,
		},
	}
	what := fmt.Sprintf("port %d of %s", w.port, detect.Count(w.hosts, "host"))
	if vertical && w.ports >= w.hosts {
		f.Detail["type"] = "vertical"
		what = fmt.Sprintf("%s of %s", detect.Count(w.ports, "port"), w.host)
	}
	if max(w.hosts, w.ports) >= maxTargets {
		what = "at least " + what
	}
	if took > 0 {
		f.Detail["perSecond"] = detect.Tenths(float64(src.Count) / took.Seconds())
	}
	if w.quick && w.ports < scanPorts {
		f.Severity, f.Confidence = finding.Low, 0.7
	}
	if s.pass.IsVantage(client) {
		f.Severity = finding.High
	}
	how := fmt.Sprintf("%d refused and %d unanswered", src.refused, src.Count-src.refused)
	switch src.refused {
	case 0:
		how = "unanswered"
	case src.Count:
		how = "refused"
	}
	f.Summary = fmt.Sprintf("%s scans %s: %s that failed within %s since %s, %s.",
		client, what, detect.Count(src.Count, "attempt"), detect.Span(took), detect.Clock(src.First), how)
	if src.open > 0 {
		f.Summary += fmt.Sprintf(" %s found something that listens.", detect.Count(src.open, "attempt"))
	}
	return f
}
