package verdict

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/flow"
)

// A Vantage is where the capture was taken: what it cannot show depends on it.
type Vantage struct {
	Addresses []netip.Addr `json:"addresses"`           // of the captured machine; none: not known
	Inferred  bool         `json:"inferred"`            // from the packets; else somebody said so
	Because   string       `json:"because,omitempty"`   // why it was inferred
	Opened    int64        `json:"openedConnections"`   // TCP connections that the machine opened
	Accepted  int64        `json:"acceptedConnections"` // that it was asked for
}

// Known reports whether the place is known.
func (v *Vantage) Known() bool { return len(v.Addresses) > 0 }

// Is reports whether the captured machine has the address.
func (v *Vantage) Is(a netip.Addr) bool { return slices.Contains(v.Addresses, a) }

// Machine names the captured machine, by the first of its addresses.
func (v *Vantage) Machine() string {
	switch n := len(v.Addresses); n {
	case 0:
		return ""
	case 1:
		return v.Addresses[0].String()
	default:
		return fmt.Sprintf("%s (one of its %d addresses)", v.Addresses[0], n)
	}
}

const (
	// maxHosts is how many addresses a Witness keeps. The captured machine is
	// among the first of any capture.
	maxHosts = 4096
	// mostly is the share of conversations that the captured machine takes
	// part in: a capture on a machine holds little else.
	mostly = 0.9
	// near is the shortest round trip that tells the two ends apart; both
	// halves of a handshake on one machine take less.
	near = 200 * time.Microsecond
	// agreed is the share of hints that have to point to one end.
	agreed = 0.8
)

// A Witness watches connections for hints of where the capture was taken.
type Witness struct {
	hosts map[netip.Addr]*host
	all   int64
}

type host struct {
	conversations    int64
	opened, accepted int64
	peers            int // 2: several
	peer             netip.Addr
	near, far        int64 // hints that the capture was taken here; at the other end
	hops             int64 // connections whose packets from here had not passed a router, and the other end's had
	platform         bool
}

func (w *Witness) at(a, peer netip.Addr) *host {
	h := w.hosts[a]
	if h == nil {
		if len(w.hosts) >= maxHosts || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || a.IsUnspecified() {
			return nil
		}
		if w.hosts == nil {
			w.hosts = map[netip.Addr]*host{}
		}
		h = &host{peer: peer, peers: 1}
		w.hosts[a] = h
	}
	if h.peer != peer {
		h.peers = 2
	}
	h.conversations++
	return h
}

// Connection takes a TCP connection that is over.
func (w *Witness) Connection(c *detect.Connection) {
	client, server := c.ClientAddr().Addr(), c.ServerAddr().Addr()
	w.all++
	hc, hs := w.at(client, server), w.at(server, client)
	w.reserved(client, server, hc, hs)
	var none host
	if hc == nil {
		hc = &none
	}
	if hs == nil {
		hs = &none
	}
	if c.FirstSYN.Seen() {
		hc.opened++
		hs.accepted++
	}
	// The half of the handshake that stays on the captured machine takes no
	// time, the other one a round trip. SYNs that were sent again say nothing.
	if l := c.Latency(); l.ServerPart > 0 && l.ClientPart > 0 && c.FirstSYN == c.LastSYN {
		switch {
		case l.ClientPart >= near && l.ClientPart > 4*l.ServerPart:
			hs.near++
			hc.far++
		case l.ServerPart >= near && l.ServerPart > 4*l.ClientPart:
			hc.near++
			hs.far++
		}
	}
	if a, b := routed(c.Client()), routed(c.Server()); a == 0 && b == 1 {
		hc.hops++
	} else if a == 1 && b == 0 {
		hs.hops++
	}
}

// routed says whether the packets of s had passed a router: 0 no, 1 yes, -1
// unknown. Hosts begin with 64, 128 or 255 hops to live.
func routed(s *flow.Side) int {
	switch ttl := cmp.Or(s.TTL, s.FirstTTL); ttl {
	case 0:
		return -1
	case 64, 128, 255:
		return 0
	}
	return 1
}

// Conversation takes a UDP or ICMP conversation that is over.
func (w *Witness) Conversation(c *flow.Conversation) {
	a, b := c.Endpoint(c.Initiator).Addr(), c.Endpoint(c.Initiator.Other()).Addr()
	w.all++
	w.reserved(a, b, w.at(a, b), w.at(b, a))
}

// reserved uses that every machine talks to Azure's own addresses itself:
// they are not routed from anywhere else.
func (w *Witness) reserved(a, b netip.Addr, ha, hb *host) {
	if detect.Platform(b) && ha != nil {
		ha.platform = true
	}
	if detect.Platform(a) && hb != nil {
		hb.platform = true
	}
}

// Vantage says where the capture was taken: where said says, or else where the
// hints agree.
func (w *Witness) Vantage(said []netip.Addr) Vantage {
	v := Vantage{Addresses: said}
	if len(said) == 0 {
		a, because := w.infer()
		if !a.IsValid() {
			return v
		}
		v = Vantage{Addresses: []netip.Addr{a}, Inferred: true, Because: because}
	}
	// The address that was used most names the machine.
	v.Addresses = slices.SortedStableFunc(slices.Values(v.Addresses), func(a, b netip.Addr) int { return cmp.Compare(w.used(b), w.used(a)) })
	for _, a := range v.Addresses {
		if h := w.hosts[a]; h != nil {
			v.Opened += h.opened
			v.Accepted += h.accepted
		}
	}
	return v
}

func (w *Witness) used(a netip.Addr) int64 {
	if h := w.hosts[a]; h != nil {
		return h.conversations
	}
	return 0
}

func (w *Witness) infer() (netip.Addr, string) {
	type candidate struct {
		netip.Addr
		*host
	}
	var present, reserved []candidate
	for a, h := range w.hosts {
		if detect.Platform(a) {
			continue
		}
		if h.platform {
			reserved = append(reserved, candidate{a, h})
		}
		if float64(h.conversations) >= mostly*float64(w.all) {
			present = append(present, candidate{a, h})
		}
	}
	if len(reserved) == 1 {
		return reserved[0].Addr, "it talks to Azure's platform address, which every machine does for itself"
	}
	present = slices.DeleteFunc(present, func(c candidate) bool {
		n := c.near + c.far
		return n > 0 && float64(c.near) < agreed*float64(n) // the hints point elsewhere
	})
	switch {
	case len(present) == 1 && present[0].peers > 1:
		c := present[0]
		return c.Addr, fmt.Sprintf("it takes part in %s", of(c.conversations, w.all, "conversation"))
	case len(present) > 2 || len(present) == 0:
		return netip.Addr{}, ""
	}
	// The only two ends of all there is: who answers at once?
	slices.SortFunc(present, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.near, a.near), cmp.Compare(b.hops, a.hops))
	})
	c := present[0]
	switch {
	case c.near > 0:
		return c.Addr, fmt.Sprintf("its half of %s took no time, the other half a round trip", plural(c.near, "handshake"))
	case c.hops > 0 && (len(present) == 1 || present[1].hops == 0):
		return c.Addr, "its packets had not passed a router yet, and those of the other end had"
	}
	return netip.Addr{}, ""
}

// of says "all 41 connections" or "38 of 41 connections".
func of(part, all int64, what string) string { return detect.OutOf(int(part), int(all), what) }

func plural(n int64, what string) string { return detect.Count(int(n), what) }
