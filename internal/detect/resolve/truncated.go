package resolve

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/pcapwarden/pcapwarden/internal/detect"
	"github.com/pcapwarden/pcapwarden/internal/dissect/dns"
	"github.com/pcapwarden/pcapwarden/internal/finding"
	"github.com/pcapwarden/pcapwarden/internal/flow"
	"github.com/pcapwarden/pcapwarden/internal/pcap"
)

// patience is how long a client may take to come back over TCP.
const patience = 5 * time.Second

const maxCuts = 256

// stream names where a client has to come back over TCP.
type stream struct{ client, server netip.Addr }

// attempt is how such a connection went.
type attempt struct {
	refused, silent bool
	frame           int64
}

func (s *state) connection(c *detect.Connection) {
	if c.ServerAddr().Port() != 53 || !c.FirstSYN.Seen() || c.Established() || len(s.streams) >= maxCuts {
		return
	}
	a := attempt{frame: c.FirstSYN.Frame, silent: c.OneWay(), refused: c.RST().Seen() && c.RST().Phase == flow.AfterSYN}
	s.streams[stream{c.ClientAddr().Addr(), c.ServerAddr().Addr()}] = a
}

// cut is an answer with the TC flag that nobody fetched over TCP.
type cut struct {
	client, server netip.Addr
	name           string
	typ            dns.Type
	at             pcap.Timestamp
	query, answer  int64
	again          bool // the client asked again, and not over TCP
}

func (s *state) cut(l *dns.Lookup) {
	t, ok := l.TruncatedOnly()
	if !ok || len(s.cuts) >= maxCuts {
		return
	}
	for i := range l.Tries {
		if usable(&l.Tries[i]) && !l.Tries[i].Truncated {
			return // asked again over UDP, with more room
		}
	}
	again := l.Tries[len(l.Tries)-1].Asked > t.Answer
	s.cuts = append(s.cuts, cut{l.Client, t.Server.Addr(), l.Name, l.Type, t.Answer, t.Frame, t.Reply, again})
}

// reportCuts judges by the time of the last packet: a client takes its time.
func (s *state) reportCuts(last pcap.Timestamp) {
	var groups detect.Groups[stream, failures]
	for _, c := range s.cuts {
		a, tried := s.streams[stream{c.client, c.server}]
		if !tried && (last.Sub(c.at) < patience && !c.again || s.pass.Filtered) {
			continue // too early to say, or TCP was left out of the capture
		}
		if f := groups.At(stream{c.client, c.server}); f != nil {
			f.name, f.typ = c.name, c.typ
			f.Add(c.at, c.query, c.answer, a.frame)
		}
	}
	for k, g := range groups.All {
		f := finding.Finding{
			Kind: "dns.failure", Severity: finding.Medium, Confidence: 0.7, Culprit: finding.Client,
			Flow: &finding.Flow{
				Protocol: "udp", Client: finding.Endpoint{AddrPort: netip.AddrPortFrom(k.client, 0)}, Server: finding.Endpoint{AddrPort: netip.AddrPortFrom(k.server, 53)},
			},
			Detail: map[string]any{"resolver": k.server.String(), "name": g.name, "type": g.typ.String(), "truncated": true},
		}
		why := "the client never came back over TCP"
		if a, tried := s.streams[k]; tried {
			f.Confidence = 0.9
			switch {
			case a.refused:
				f.Culprit, why = finding.Resolver, "the resolver refuses TCP on port 53"
			default:
				f.Culprit, why = finding.Firewall, "TCP to its port 53 gets no answer"
			}
		}
		f.Summary = fmt.Sprintf("%s from %s to %s did not fit into a datagram (such as the one for %s, %s), and %s.",
			detect.Count(g.Count, "answer"), k.server, k.client, g.name, g.typ, why)
		s.pass.Report(g.Into(f))
	}
}
