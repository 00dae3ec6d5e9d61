package connect

import (
	"fmt"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
)

// attempts are those between the same parties that failed in the same way.
type attempts struct {
	detect.Case
	success
	syns    int
	foreign int      // RSTs that came over other hops than the rest of the connection
	resets  []answer // the latest RSTs
	other   int      // of Count: the same service was reached over the other IP version
	again   int      // clients that asked again after the answer had passed
	reused  int
}

// answer is a RST that refuses.
type answer struct {
	ttl  uint8
	took time.Duration
}

func (a *attempts) add(t *attempt, proof int64) {
	a.NoteBetween(t.client, t.server, t.first.Time, t.first.Frame, proof)
	a.syns += t.syns
	if t.again {
		a.again++
	}
	if t.reused {
		a.reused++
	}
}

// Join takes over another pair's attempts.
func (a *attempts) Join(o *attempts) {
	a.Merge(&o.Case)
	if a.first == 0 || o.first != 0 && o.first < a.first {
		a.first = o.first
	}
	a.last = max(a.last, o.last)
	a.count += o.count
	a.syns += o.syns
	a.foreign += o.foreign
	a.resets = append(a.resets, o.resets...)
	a.again += o.again
	a.other += o.other
	a.reused += o.reused
}

// stopped reports whether the service worked until the attempts began to fail.
func (a *attempts) stopped() bool { return a.count > 0 && a.success.last < a.First }

// severity goes by the share of attempts that failed.
func (a *attempts) severity() finding.Severity {
	all := a.Count + a.count
	switch {
	case a.other == a.Count:
		return finding.Low // tried, and done without
	case a.count == 0 && a.Count == 1 && a.syns == 1:
		return finding.Medium
	case a.count == 0 || a.stopped() && a.Count > 1:
		return finding.High
	case 10*a.Count >= all:
		return finding.Medium
	}
	return finding.Low
}

// detail is what all kinds have in common.
func (a *attempts) detail() map[string]any {
	d := map[string]any{"attempts": a.Count, "synPackets": a.syns, "worked": a.count}
	if a.Clients > 1 {
		d["clients"] = a.Clients
	}
	if a.Services > 1 {
		d["services"] = a.Services
	}
	return d
}

// tried says how many attempts, of whom, out of how many.
func (a *attempts) tried() string {
	all := a.Count + a.count
	if a.count == 0 {
		return fmt.Sprintf("%s from %s", detect.Count(a.Count, "connection attempt"), a.Parties())
	}
	return fmt.Sprintf("%d of %s from %s", a.Count, detect.Count(all, "connection attempt"), a.Parties())
}

// were agrees with tried.
func (a *attempts) were() string {
	if a.Count == 1 {
		return "was"
	}
	return "were"
}

// version is a service on all addresses of one IP version.
type version struct {
	port uint16
	ipv4 bool
}

// fallbacks finds the attempts of clients that try both IP versions
// (RFC 8305) and reached the service over the other one.
func (s *state) fallbacks() {
	reached := map[version]success{}
	for k, n := range s.pass.Pairs {
		w := s.worked.At(n)
		if w.count == 0 {
			continue
		}
		v := version{k.Server.Port(), k.Server.Addr().Unmap().Is4()}
		all := reached[v]
		if all.count == 0 || w.first < all.first {
			all.first = w.first
		}
		all.last = max(all.last, w.last)
		all.count += w.count
		reached[v] = all
	}
	for _, g := range []*detect.Groups[detect.Pair, attempts]{&s.refused, &s.silent} {
		s.fallBack(g, reached)
	}
}

func (s *state) fallBack(g *detect.Groups[detect.Pair, attempts], reached map[version]success) {
	for k, a := range g.All {
		w := reached[version{k.Server.Port(), !k.Server.Addr().Unmap().Is4()}]
		if w.count >= a.Count && w.last >= a.First && w.first.Sub(a.Last) < patience {
			a.other = a.Count
		}
	}
}
