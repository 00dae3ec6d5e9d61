package pathmtu

import (
	"fmt"
	"net/netip"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/packet"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// messages are the ICMP errors about what the same parties send.
type messages struct {
	detect.Case
	mtu      int
	episodes int // bursts of messages: a window of segments is told of at once
	last     pcap.Timestamp
	sender   netip.Addr
	router   netip.Addr
	protocol string
}

func (g *messages) keep(p *packet.Packet) {
	if g.Count == 1 || p.ICMP.MTU < g.mtu {
		g.mtu = p.ICMP.MTU
	}
	if g.Count == 1 || p.Time.Sub(g.last) > pause {
		g.episodes++
	}
	g.last = p.Time
	g.sender, g.router = p.ICMP.QuotedSrc, p.Src
	g.protocol = "icmp"
	switch p.ICMP.QuotedProtocol {
	case packet.ProtocolTCP:
		g.protocol = "tcp"
	case packet.ProtocolUDP:
		g.protocol = "udp"
	}
	g.Over(g.protocol)
}

// Join takes over another pair's messages.
func (g *messages) Join(o *messages) {
	g.Merge(&o.Case)
	g.mtu = min(g.mtu, o.mtu)
	g.episodes = max(g.episodes, o.episodes)
}

func (g *messages) finding() finding.Finding {
	f := finding.Finding{
		Kind: "icmp.fragmentation-needed", Severity: finding.Info, Confidence: 0.95, Culprit: finding.Network, Flow: g.Flow(),
		Detail: map[string]any{
			"mtu": g.mtu, "messages": g.Count, "sender": g.sender.String(), "router": g.router.String(), "protocol": g.protocol, "episodes": g.episodes,
		},
		Summary: fmt.Sprintf("%s said %s that packets of %s are too large for the path (%s): the next link takes %s at most. The first at %s.",
			g.router, times(g.Count), g.sender, g.Parties(), detect.Count(g.mtu, "byte"), detect.Clock(g.First)),
	}
	switch {
	case g.mtu > 0 && g.mtu < minimal:
		f.Severity = finding.Medium
		f.Summary += " No real link is that small: this may be an attempt to slow the connection down."
	case g.episodes >= ignored:
		f.Severity = finding.Medium
		f.Summary += " The sender does not act on it."
	case g.episodes > 1:
		f.Severity = finding.Low
	}
	return f
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return detect.Count(n, "time")
}
