package dissect

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/pcapwarden/pcapwarden/internal/packet"
)

// ICMPCounters are ICMP messages by "type/code".
type ICMPCounters struct {
	V4          map[string]int `json:"v4"`
	V6          map[string]int `json:"v6"`
	Unreachable int            `json:"unreachable"`
	TooBig      int            `json:"frag_needed_or_too_big"`
	MTU         []string       `json:"mtu"` // the values of those, each once, sorted as text
}

// Types of ICMP errors (RFC 792, RFC 4443).
const (
	unreachable4   = 3
	fragmentation4 = 4 // code
	unreachable6   = 1
	packetTooBig6  = 2
	domain         = 53
	distinctMTUs   = 256
)

// icmpCounts are messages by type and code. Both are foreign, but there are
// only 65,536.
type icmpCounts struct {
	v4, v6      map[[2]uint8]int
	unreachable int
	tooBig      int
	mtus        map[int]struct{}
}

// addICMP counts a message, and tells the DNS table which queries did not
// arrive.
func (d *Dissector) addICMP(p *packet.Packet) {
	c := &d.icmp
	m := &p.ICMP
	kind := [2]uint8{m.Type, m.Code}
	var unreachable, tooBig bool
	if p.Protocol == packet.ProtocolICMP {
		unreachable = m.Type == unreachable4
		tooBig = unreachable && m.Code == fragmentation4
		count(&c.v4, kind)
	} else {
		unreachable = m.Type == unreachable6
		tooBig = m.Type == packetTooBig6
		count(&c.v6, kind)
	}
	if unreachable {
		c.unreachable++
	}
	if tooBig {
		c.tooBig++
		if c.mtus == nil {
			c.mtus = make(map[int]struct{})
		}
		if len(c.mtus) < distinctMTUs {
			c.mtus[m.MTU] = struct{}{}
		}
	}
	if unreachable && !tooBig && m.Quoted && m.QuotedProtocol == packet.ProtocolUDP && m.QuotedDstPort == domain {
		d.dns.Unreachable(netip.AddrPortFrom(m.QuotedSrc, m.QuotedSrcPort), netip.AddrPortFrom(m.QuotedDst, m.QuotedDstPort), p.Number)
	}
}

func count(m *map[[2]uint8]int, kind [2]uint8) {
	if *m == nil {
		*m = make(map[[2]uint8]int)
	}
	(*m)[kind]++
}

func (c *icmpCounts) counters() ICMPCounters {
	out := ICMPCounters{V4: named(c.v4), V6: named(c.v6), Unreachable: c.unreachable, TooBig: c.tooBig, MTU: []string{}}
	for mtu := range c.mtus {
		out.MTU = append(out.MTU, strconv.Itoa(mtu))
	}
	slices.Sort(out.MTU)
	return out
}

func named(m map[[2]uint8]int) map[string]int {
	out := make(map[string]int, len(m))
	for kind, n := range m {
		out[strconv.Itoa(int(kind[0]))+"/"+strconv.Itoa(int(kind[1]))] = n
	}
	return out
}
