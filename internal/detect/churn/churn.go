// Package churn knows connections that are opened again and again, and the
// ports that run out by it.
//
// Details:
//
//	tcp.churn       connections, perMinute, medianSeconds (of life), medianBytes (of payload, both ways), failed, reusedPorts
//	tcp.port-reuse  reused, connections, percent, failed (attempts from a reused port that came to nothing),
//	                soonestSeconds (from the end of the old connection to the SYN of the new one)
package churn

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// Detector reports what wears ports out.
var Detector = &detect.Detector{
	Name: "churn",
	Reports: []detect.Reported{
		{
			Kind:  "tcp.churn",
			Means: "A client opens a new connection to the same service for every small exchange. Each costs round trips, CPU for TLS, and a port that stays taken for minutes after it.",
			Threshold: "60 connections a minute between one client and one service, with a median life below 1 s and below 10 KB: low; medium from 600 a minute, or if ports are used again within 60 s; high if attempts from such ports fail. " +
				"Azure's default of 128 SNAT ports for a machine, each held for 4 minutes, lasts for 32 new connections a minute to one destination",
			Next: "Make the client keep its connections (HTTP keep-alive, a connection pool, one shared HTTP client). Check the SNAT connection count and failures of the NAT gateway or load balancer.",
		},
		{
			Kind:  "tcp.port-reuse",
			Means: "A client, or a NAT in front of it, opened a connection from a port whose last one to the same service had hardly ended: it is running out of ports. Servers and firewalls that still remember the old connection drop the new one.",
			Threshold: "a new connection within 60 s of the end of an answered one on the same four addresses and ports: info if it worked, low from 5 % of the connections, medium if one failed, high if half of at least 3 failed. " +
				"Hosts keep a closed connection for 60 s (Linux) to 240 s (RFC 9293)",
			Next: "Lower the number of new connections, widen the range of local ports, or give the NAT more ports (more public addresses, a NAT gateway).",
		},
	},
	Start: start,
}

const (
	window    = 60 * time.Second // Linux's TIME_WAIT
	rate      = 60               // connections a minute
	fastRate  = 600
	shortLife = time.Second
	small     = 10_000 // bytes

	watched    = rate / 2 // connections of a pair, from which on it is looked at
	sampled    = 512
	maxPending = 8192
)

// used are the connections of a pair.
type used struct {
	detect.Case // all of them
	lives       []time.Duration
	bytes       []uint64
	looked      int // of them: the later ones
	failed      int // of those that were looked at
	reuse       reuse
}

// Join takes over another pair's connections.
func (u *used) Join(o *used) {
	u.Merge(&o.Case)
	u.lives = append(u.lives, o.lives...)
	u.bytes = append(u.bytes, o.bytes...)
	u.looked += o.looked
	u.failed += o.failed
	u.reuse.Join(&o.reuse)
}

// reuse are connections from a port that was used a moment before.
type reuse struct {
	detect.Case
	of      int
	failed  int
	soonest time.Duration
}

// Join takes over another pair's connections.
func (r *reuse) Join(o *reuse) {
	r.Merge(&o.Case)
	r.of += o.of
	r.failed += o.failed
	if r.soonest == 0 || o.soonest != 0 && o.soonest < r.soonest {
		r.soonest = o.soonest
	}
}

type ends struct{ client, server netip.AddrPort }

type state struct {
	pass    *detect.Pass
	pairs   detect.Groups[detect.Pair, used]
	reused  detect.Groups[detect.Pair, reuse]
	pending map[ends]pcap.Timestamp // the end of a connection whose ports are used again
}

func start(p *detect.Pass) detect.Hooks {
	s := &state{pass: p, pending: map[ends]pcap.Timestamp{}}
	p.Bound(&s.pairs, &s.reused)
	return detect.Hooks{Connection: s.connection, End: s.end}
}

func (s *state) connection(c *detect.Connection) {
	k := c.Pair()
	if !c.FirstSYN.Seen() || k.Platform() {
		return
	}
	at := ends{c.ClientAddr(), c.ServerAddr()}
	before, again := s.pending[at]
	delete(s.pending, at)
	if c.Reason == flow.PortsReused && c.Server().Packets > 0 && len(s.pending) < maxPending {
		s.pending[at] = c.Last.Time
	}
	failed := !c.Established() && !c.Unseen(c.ClientSide.Other())
	if t := s.pass.TrafficOf(c.Number); t.Connections >= watched {
		if u := s.pairs.At(k); u != nil {
			u.add(c, t, failed)
		}
	}
	wait := c.FirstSYN.Time.Sub(before)
	if !again || !c.ReusedPorts || wait < 0 || wait > window {
		return
	}
	if r := s.reused.At(k); r != nil {
		r.Note(c, c.FirstSYN.Time, c.FirstSYN.Frame)
		if failed {
			r.failed++
		}
		if r.soonest == 0 || wait < r.soonest {
			r.soonest = wait
		}
	}
}

func (u *used) add(c *detect.Connection, t detect.Traffic, failed bool) {
	u.Note(c, c.FirstSYN.Time, c.FirstSYN.Frame)
	u.Count, u.First = t.Connections, t.First // of all of them
	u.looked++
	if failed {
		u.failed++
		return
	}
	if len(u.lives) < sampled {
		u.lives = append(u.lives, c.Last.Since(c.First))
		u.bytes = append(u.bytes, c.Sides[0].Bytes+c.Sides[1].Bytes)
	}
}

func (s *state) end(*detect.Summary) {
	for k, r := range s.reused.All {
		r.of = max(r.Count, s.pass.Traffic(k).Connections)
	}
	s.pairs.Keep(func(k detect.Pair, u *used) bool {
		if r, found := s.reused.Find(k); found {
			u.reuse = *r
		}
		return u.churns()
	})
	for _, u := range detect.Gather(&s.pairs) {
		s.pass.Report(u.Into(u.finding()))
	}
	for _, r := range detect.Gather(&s.reused) {
		s.pass.Report(r.Into(r.finding()))
	}
}

// perMinute does not make much of a burst of a few seconds.
func (u *used) perMinute() float64 {
	return float64(u.Count) / max(u.Last.Sub(u.First), time.Minute).Minutes()
}

func (u *used) churns() bool {
	return u.perMinute() >= rate && 2*u.failed <= u.looked && median(u.lives) < shortLife && median(u.bytes) < small
}

func (u *used) finding() finding.Finding {
	f := finding.Finding{
		Kind: "tcp.churn", Severity: finding.Low, Confidence: 0.85, Culprit: finding.Client, Flow: u.Flow(),
		Detail: map[string]any{
			"connections": u.Count, "perMinute": detect.Tenths(u.perMinute()), "medianSeconds": detect.Seconds(median(u.lives)),
			"medianBytes": int(median(u.bytes)), "failed": u.failed, "reusedPorts": u.reuse.Count,
		},
		Summary: fmt.Sprintf("%s opened %s to %s within %s since %s; half of them lived less than %s and carried less than %s.",
			u.Client(), detect.Count(u.Count, "connection"), u.Server(), detect.Span(u.Last.Sub(u.First)), detect.Clock(u.First),
			detect.Span(median(u.lives)+time.Millisecond), detect.Count(int(median(u.bytes))+1, "byte")),
	}
	switch r := &u.reuse; {
	case r.failed > 0:
		f.Severity, f.Confidence = finding.High, 0.9
		f.Summary += fmt.Sprintf(" %s came from a port that had just been used, and %d of these failed: the ports run out.", detect.Count(r.Count, "connection"), r.failed)
	case r.Count > 0:
		f.Severity = finding.Medium
		f.Summary += fmt.Sprintf(" %s came from a port that had just been used: ports are getting scarce.", detect.Count(r.Count, "connection"))
	case u.perMinute() >= fastRate:
		f.Severity = finding.Medium
	}
	return f
}

func (r *reuse) finding() finding.Finding {
	f := finding.Finding{
		Kind: "tcp.port-reuse", Severity: finding.Info, Confidence: 0.8, Culprit: finding.Client, Flow: r.Flow(),
		Summary: fmt.Sprintf("%s from %s came from a port whose last connection had ended less than a minute before (%s at the soonest); %s of them failed. The first at %s.",
			detect.Begin(detect.OutOf(r.Count, r.of, "connection")), r.Parties(), detect.Span(r.soonest), number(r.failed), detect.Clock(r.First)),
		Detail: map[string]any{
			"reused": r.Count, "connections": r.of, "percent": detect.Percent(r.Count, r.of), "failed": r.failed, "soonestSeconds": detect.Seconds(r.soonest),
		},
	}
	switch {
	case r.failed >= 3 && 2*r.failed >= r.Count:
		f.Severity = finding.High
	case r.failed > 0:
		f.Severity = finding.Medium
	case 20*r.Count >= r.of:
		f.Severity = finding.Low
	}
	return f
}

// number says how many.
func number(n int) string {
	if n == 0 {
		return "none"
	}
	return strconv.Itoa(n)
}

// median returns the middle value, 0 of none.
func median[T time.Duration | uint64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}
